"""How often callbacks are made: as often as the reference's for files that come quickly, once a second for slow ones.

No test looks at a clock. Where counts are compared, time stands still for the trackers. Where a transfer is slow, it
would outlast the test, and ends because the callback has seen enough.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional

import boto3
import pytest
import transfers
from deadline.job_attachments import progress_tracker as their_progress
from deadline.job_attachments import upload as their_upload
from download.trees import OURS, THEIRS
from rusty_attachments import progress_tracker as our_progress
from rusty_attachments import upload as our_upload
from rusty_attachments.exceptions import AssetSyncCancelledError

PREFIX = transfers.ROOT_PREFIX
SIDES = {"theirs": (THEIRS, their_upload, their_progress), "ours": (OURS, our_upload, our_progress)}


class Reports:
    """A callback that keeps what it was told, and stops the call once it has seen the progress move so often."""

    def __init__(self, stop_after_steps: Optional[int] = None) -> None:
        self.rows: list[Any] = []
        self._stop_after_steps = stop_after_steps

    def __call__(self, report: Any) -> bool:
        self.rows.append(report)
        return self._stop_after_steps is None or len(self._steps()) < self._stop_after_steps

    def _steps(self) -> set[float]:
        """The progress somewhere between the beginning and the end."""
        return {row.progress for row in self.rows if 0 < row.progress < 100}

    def judge(self) -> None:
        """The call moved only in one direction, and was stopped in the middle: somebody saw it move."""
        progress = [row.progress for row in self.rows]
        assert progress == sorted(progress)
        assert len(self._steps()) == self._stop_after_steps


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
def test_as_many_reports_as_the_reference_makes(rig, rig_bucket, tmp_path, slow_clock, count):
    root = transfers.make_tree(tmp_path / "root", files=count)
    told = []
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
    # The end is reported twice, and from 50 files on, 50 at a time. Before its first report a tracker's clock does not
    # run: the first file that is there already is reported by itself.
    sent = -(-count // (50 if count >= 50 else 1)) + 1
    there = count + 1 if count < 50 else 1 + -(-(count - 1) // 50) + 1
    assert [row[0] for row in ours[:2]] == [sent, there]
    # The reference's threads may report two files at once; it reports files that are there already only at the end.
    for reference, row in zip(theirs[:2], ours[:2]):
        assert 1 <= reference[0] <= row[0]
        assert row[1:] == reference[1:]
    assert ours[2] == theirs[2]
    assert [row[1] for row in ours] == [100.0] * 3


@pytest.mark.parametrize("files", [1, 60])
def test_a_slow_download_is_reported_every_second(rig, rig_bucket, tmp_path, files):
    """60 files are reported by fifties: without the second, a slow network would be silent for most of the way."""
    root = transfers.make_tree(tmp_path / "root", files=files, large=1)
    manifest = uploaded("ours", rig_bucket, root, lambda _: True, tmp_path / "cache")
    rig.rules({"operation": "GetObject", "fault": {"kind": "trickle", "bytes": 16 * 1024, "every_ms": 120}})
    reports = Reports(stop_after_steps=3)
    with pytest.raises(AssetSyncCancelledError):
        downloaded("ours", rig_bucket, manifest, tmp_path / "target", reports)
    reports.judge()


def test_a_slow_upload_is_reported_every_second(rig, rig_bucket, tmp_path):
    """Parts count once S3 has them: the replies to all but the first part take longer than the test has."""
    root = transfers.make_tree(tmp_path / "root", files=1, large=4)
    rig.rules({"operation": "UploadPart", "skip": 1, "fault": {"kind": "delay", "ms": 600_000}})
    reports = Reports(stop_after_steps=1)
    with pytest.raises(AssetSyncCancelledError):
        uploaded("ours", rig_bucket, root, reports, tmp_path / "cache")
    rig.reset()
    reports.judge()


def test_where_nothing_comes_somebody_is_asked_all_the_same(rig, rig_bucket, tmp_path):
    """Nothing arrives for ten minutes: whoever wants to stop is asked, again and again, and can."""
    root = transfers.make_tree(tmp_path / "root", files=2)
    manifest = uploaded("ours", rig_bucket, root, lambda _: True, tmp_path / "cache")
    rig.config(delay_ms=600_000)
    asked = []

    def stop_at_the_third(report: Any) -> bool:
        asked.append(report.progress)
        return len(asked) < 3

    with pytest.raises(AssetSyncCancelledError):
        downloaded("ours", rig_bucket, manifest, tmp_path / "target", stop_at_the_third)
    rig.reset()
    assert asked == [0, 0, 0]


def test_log_records_are_no_reason_for_reports(rig, rig_bucket, tmp_path, slow_clock, caplog):
    """Each record wakes the pump: the callback must not be called with each."""
    root = transfers.make_tree(tmp_path / "root", files=40)
    with caplog.at_level("DEBUG", logger="rusty_attachments"):
        reports = Reports()
        manifest = uploaded("ours", rig_bucket, root, reports, tmp_path / "cache")
        quiet = len(reports.rows)
        reports = Reports()
        downloaded("ours", rig_bucket, manifest, tmp_path / "target", reports)
    assert sum("Downloaded " in record.getMessage() for record in caplog.records) == 40
    assert len(reports.rows) == 41
    assert quiet <= 42
