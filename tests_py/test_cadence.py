"""How often callbacks are made: as often as the reference's for files that come quickly, once a second for slow ones.

Silence is measured in ticks of a thread beside, so that a machine that stands still for a while makes no difference.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
import transfers
from deadline.job_attachments import progress_tracker as their_progress
from deadline.job_attachments import upload as their_upload
from download.trees import OURS, THEIRS
from rusty_attachments import progress_tracker as our_progress
from rusty_attachments import upload as our_upload
from rusty_attachments.exceptions import AssetSyncCancelledError

TICK_SECONDS = 0.1
PREFIX = transfers.ROOT_PREFIX
SIDES = {"theirs": (THEIRS, their_upload, their_progress), "ours": (OURS, our_upload, our_progress)}


class Reports:
    """A callback that notes at which tick it was called, and what it was told."""

    def __init__(self) -> None:
        self.ticks: list[int] = []
        self.rows: list[Any] = []
        self._now = 0
        self._done = threading.Event()
        self._clock = threading.Thread(target=self._tick, daemon=True)

    def _tick(self) -> None:
        while not self._done.wait(TICK_SECONDS):
            self._now += 1

    def __enter__(self) -> Reports:
        self._clock.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._clock.join()

    def __call__(self, report: Any) -> bool:
        self.ticks.append(self._now)
        self.rows.append(report)
        return True

    def judge(self, steps: int = 2) -> None:
        """Called all the time, in order, to the end."""
        moments = [0, *self.ticks, self._now]
        longest = max(later - earlier for earlier, later in zip(moments, moments[1:]))
        assert longest * TICK_SECONDS <= 2, self.ticks
        assert self._now * TICK_SECONDS > 3, "too fast to show anything"
        progress = [row.progress for row in self.rows]
        assert progress == sorted(progress)
        assert progress[-1] == 100.0
        # Somebody who looks at it sees it move.
        assert len({value for value in progress if 0 < value < 100}) >= steps


def uploaded(name: str, bucket: str, root: Path, reports: Callable[[Any], bool], cache: Path) -> Any:
    """Uploads a tree's files with one side's uploader and tracker; gives its manifest."""
    side, upload, progress = SIDES[name]
    manifest = side.decode(transfers.manifest_of(root).encode())
    tracker = progress.ProgressTracker(
        status=progress.ProgressStatus.UPLOAD_IN_PROGRESS,
        total_files=len(manifest.paths),
        total_bytes=manifest.totalSize,
        on_progress_callback=reports,
    )
    uploader = upload.S3AssetUploader(
        session=boto3.Session(), s3_max_pool_connections=50, small_file_threshold_multiplier=20
    )
    uploader.upload_assets(
        job_attachment_settings=side.models.JobAttachmentS3Settings(s3BucketName=bucket, rootPrefix=PREFIX),
        manifest=manifest,
        partial_manifest_prefix="farm/queue/Inputs/0",
        source_root=root,
        progress_tracker=tracker,
        s3_check_cache_dir=str(cache),
    )
    return manifest


def downloaded(name: str, bucket: str, manifest: Any, target: Path, reports: Callable[[Any], bool]) -> None:
    """Downloads a manifest's files with one side."""
    side = SIDES[name][0]
    side.download.download_files_from_manifests(
        s3_bucket=bucket,
        manifests_by_root={str(target): side.decode(manifest.encode())},
        cas_prefix=transfers.CAS_PREFIX,
        session=boto3.Session(),
        on_downloading_files=reports,
    )


@pytest.mark.parametrize("count", [1, 10, 49, 50, 120])
def test_as_many_reports_as_the_reference_makes(rig, rig_bucket, tmp_path, count):
    root = transfers.make_tree(tmp_path / "root", files=count)
    told = []
    began = time.monotonic()
    for name in SIDES:
        bucket = rig.create_bucket(f"{rig_bucket}-{name}")
        up, again, down = Reports(), Reports(), Reports()
        manifest = uploaded(name, bucket, root, up, tmp_path / name)
        uploaded(name, bucket, root, again, tmp_path / name)
        downloaded(name, bucket, manifest, tmp_path / f"{name} target", down)
        told.append(
            [(len(reports.rows), reports.rows[-1].progress, reports.rows[-1].processedFiles)
             for reports in (up, again, down)]
        )  # fmt: skip
    theirs, ours = told
    # Trackers also report by time, once a second: on a busy machine both tell more.
    by_time = int(time.monotonic() - began)
    # In an upload the reference tells of a file with the bytes of a later one, as threads will have it, and of files
    # that are there already only at the end: ours tells of each as soon as it is done.
    chunks = count if count < 50 else count // 50 + 1
    for reference, row in zip(theirs[:2], ours[:2]):
        # With many files the reference's threads may count a chunk twice.
        assert min(reference[0] - by_time, chunks) <= row[0] <= chunks + 1 + by_time
        assert row[1:] == reference[1:]
    assert abs(ours[2][0] - theirs[2][0]) <= by_time
    assert ours[2][1:] == theirs[2][1:]
    assert [row[1] for row in ours] == [100.0] * 3


@pytest.mark.parametrize("files", [1, 60])
def test_a_slow_download_is_reported_every_second(rig, rig_bucket, tmp_path, files):
    """60 files are reported by fifties: without the second, a slow network would be silent for most of the way."""
    root = transfers.make_tree(tmp_path / "root", files=files, large=1)
    manifest = uploaded("ours", rig_bucket, root, lambda _: True, tmp_path / "cache")
    rig.rules({"operation": "GetObject", "fault": {"kind": "trickle", "bytes": 256 * 1024, "every_ms": 120}})
    with Reports() as reports:
        downloaded("ours", rig_bucket, manifest, tmp_path / "target", reports)
    reports.judge()


def test_a_slow_upload_is_reported_every_second(rig, rig_bucket, tmp_path):
    root = transfers.make_tree(tmp_path / "root", files=1, large=4)
    rig.config(delay_ms=1500)
    with Reports() as reports:
        uploaded("ours", rig_bucket, root, reports, tmp_path / "cache")
    # Parts count once S3 has them: with so long a delay, several at once.
    reports.judge(steps=1)


def test_where_nothing_comes_somebody_is_asked_all_the_same(rig, rig_bucket, tmp_path):
    """Nothing arrives for three seconds: whoever wants to stop is asked, and can."""
    root = transfers.make_tree(tmp_path / "root", files=2)
    manifest = uploaded("ours", rig_bucket, root, lambda _: True, tmp_path / "cache")
    rig.config(delay_ms=3500)
    reports = Reports()
    downloaded("ours", rig_bucket, manifest, tmp_path / "target", reports)
    assert [row.progress for row in reports.rows][:2] == [0, 0]
    assert reports.rows[-1].progress == 100.0

    rig.config(delay_ms=600_000)
    with pytest.raises(AssetSyncCancelledError):
        downloaded("ours", rig_bucket, manifest, tmp_path / "other", lambda _: False)
    rig.reset()


def test_log_records_are_no_reason_for_reports(rig, rig_bucket, tmp_path, caplog):
    """Each record wakes the pump: the callback must not be called with each."""
    root = transfers.make_tree(tmp_path / "root", files=40)
    with caplog.at_level("DEBUG", logger="rusty_attachments"):
        reports = Reports()
        manifest = uploaded("ours", rig_bucket, root, reports, tmp_path / "cache")
        quiet = len(reports.rows)
        reports = Reports()
        began = time.monotonic()
        downloaded("ours", rig_bucket, manifest, tmp_path / "target", reports)
        by_time = int(time.monotonic() - began)
    assert sum("Downloaded " in record.getMessage() for record in caplog.records) == 40
    assert 41 <= len(reports.rows) <= 41 + by_time
    assert quiet <= 42
