"""The detector of low transfer rates against the handler in the worker agent's download script."""

from __future__ import annotations

import ast
import dataclasses
import os
import pickle
from types import SimpleNamespace

import agent
import pytest
from download.job import PREFIX, JobInS3
from hypothesis import given, settings
from hypothesis import strategies as st
from rusty_attachments.asset_manifests.decode import decode_manifest
from rusty_attachments.download import download_files_from_manifests
from rusty_attachments.exceptions import AssetSyncCancelledError
from rusty_attachments.models import FileConflictResolution
from rusty_attachments.progress_tracker import ProgressReportMetadata, ProgressStatus, ProgressTracker
from rusty_attachments.worker import LowTransferRateDetector


def report(rate, files, **more):
    made = ProgressReportMetadata(ProgressStatus.DOWNLOAD_IN_PROGRESS, 0.0, rate, "", files)
    vars(made).update(more)
    return made


def agents_handler(limit):
    """The callback inside the script's `perform_download`, taken out of its source."""
    source = (agent.package() / "sessions/actions/scripts/attachment_download.py").read_text()
    tree = ast.parse(source)
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    outer = functions["perform_download"]
    outer.decorator_list = []
    outer.args.args = []
    ends = next(i for i, node in enumerate(outer.body) if isinstance(node, ast.FunctionDef)) + 1
    outer.body = outer.body[:ends] + ast.parse("def f():\n return progress_handler").body[0].body
    outer.returns = None
    inner = functions["progress_handler"]
    inner.args.args[0].annotation = None
    helper = functions["_seconds_to_minutes_str"]
    made = ast.fix_missing_locations(ast.Module([helper, outer], []))
    printed = []
    names = {
        "LOW_TRANSFER_RATE_THRESHOLD": 10_000,
        "LOW_TRANSFER_COUNT_THRESHOLD": limit,
        "_queue_id": "queue",
        "record_attachment_download_fail_telemetry_event": lambda **_: None,
        "print": lambda line, **_: printed.append(line),
        "sys": SimpleNamespace(stdout=SimpleNamespace(flush=lambda: None)),
    }
    exec(compile(made, "attachment_download.py", "exec"), names)
    return names["perform_download"](), printed


REPORTS = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0, 9_999.9, 10_000.0, 1e6]), st.sampled_from([0, 0, 0, 1])), max_size=40
)


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 130), REPORTS)
def test_the_agents_answers(limit, reports):
    handler, printed = agents_handler(limit)
    detector = LowTransferRateDetector(maximum_reports=limit)
    files = 0
    # A slow end, so that every series comes to its limit.
    for rate, finished in [*reports, *[(0.0, 0)] * limit]:
        files += finished
        expected = handler(report(rate, files))
        assert detector(report(rate, files)) is expected
        if not expected:
            assert printed[-1] == f"openjd_fail: {detector.failure_message}"
            return
    raise AssertionError("the agent goes on for ever")


def test_a_minute_at_most():
    detector = LowTransferRateDetector()
    assert all(detector(report(9_999, 3)) for _ in range(59))
    assert detector.low_reports == 59
    assert not detector(report(9_999, 3))


def test_counted_bytes_are_a_heartbeat():
    detector = LowTransferRateDetector(maximum_reports=3)
    assert all(detector(report(1.0, 0, processedBytes=number)) for number in range(1, 200))
    assert detector(report(0.0, 0, processedBytes=199))
    assert not detector(report(0.0, 0, processedBytes=199))


def test_local_work_is_no_low_rate():
    detector = LowTransferRateDetector(maximum_reports=3)
    counts = {"processedBytes": 5, "skippedFiles": 0, "checkedBytes": 0}
    assert all(detector(report(0.0, 1, **counts, beats=number)) for number in range(1, 200))
    assert detector(report(0.0, 1, **counts, beats=199))
    assert not detector(report(0.0, 1, **counts, beats=199))


@pytest.mark.parametrize("files", [10_000])
def test_small_files_are_no_stall(files):
    detector = LowTransferRateDetector()
    assert all(detector(report(1.0, number)) for number in range(1, files))


class Watch:
    """A detector, with the answers that the agent's rule gives to the same reports."""

    def __init__(self, maximum_reports):
        self.detector = LowTransferRateDetector(maximum_reports=maximum_reports)
        self.by_rate_alone = LowTransferRateDetector(maximum_reports=maximum_reports)
        self.reports, self.answers, self.answers_by_rate = [], [], []

    def __call__(self, made):
        self.reports.append(made)
        plain = SimpleNamespace(transferRate=made.transferRate, processedFiles=made.processedFiles)
        self.answers_by_rate.append(self.by_rate_alone(plain))
        self.answers.append(self.detector(made))
        return self.answers[-1]


@pytest.fixture
def job(rig, rig_bucket, monkeypatch):
    # A stall is the detector's to see here, not the engine's.
    monkeypatch.setenv("RUSTY_ATTACHMENTS_STALL_SECONDS", "600")
    return JobInS3(rig, rig_bucket)


def download(job, root, files, watch, **options):
    return download_files_from_manifests(
        s3_bucket=job.bucket,
        manifests_by_root={str(root): decode_manifest(job.manifest(files))},
        cas_prefix=f"{PREFIX}/Data",
        on_downloading_files=watch,
        **options,
    )


def slow(**fault):
    return {"operation": "GetObject", "fault": fault}


def test_a_trickle_lives(job, tmp_path):
    job.rig.rules(slow(kind="trickle", bytes=300, every_ms=150))
    # The end of a download is told of twice.
    watch = Watch(3)
    download(job, tmp_path, {"f": os.urandom(10_000)}, watch)
    assert (tmp_path / "f").stat().st_size == 10_000
    assert all(watch.answers)
    assert not all(watch.answers_by_rate), "for a report without counts it was too slow"
    counts = [made.processedBytes for made in watch.reports]
    assert counts == sorted(counts)
    assert counts[-1] == 10_000


def test_a_stalled_body_is_given_up(job, tmp_path):
    job.rig.rules(slow(kind="stall", at=0.5, ms=60_000))
    watch = Watch(3)
    with pytest.raises(AssetSyncCancelledError):
        download(job, tmp_path, {"f": os.urandom(10_000)}, watch)
    assert watch.answers[-1] is False
    assert list(tmp_path.iterdir()) == []


def test_thousands_of_small_files_and_their_retry(job, tmp_path):
    files = {f"{number:04}": bytes([number % 251]) for number in range(3_000)}
    watch = Watch(5)
    done = download(job, tmp_path, files, watch)
    assert (done.processed_files, all(watch.answers)) == (3_000, True)
    # Nothing is transferred by a retry that finds all in place.
    again = Watch(5)
    done = download(job, tmp_path, files, again, conflict_resolution=FileConflictResolution.RESUME)
    assert (done.skipped_files, all(again.answers)) == (3_000, True)
    assert len(again.reports) >= 60
    assert not all(again.answers_by_rate)
    assert [again.reports[-1].skippedFiles, again.reports[-1].checkedBytes] == [3_000, 3_000]


def test_counts_are_no_fields():
    tracker = ProgressTracker(ProgressStatus.DOWNLOAD_IN_PROGRESS, 1, 10, lambda _: True)
    made = tracker._get_progress_report_metadata()
    assert (made.processedBytes, made.skippedFiles, made.checkedBytes, made.beats) == (0, 0, 0, 0)
    names = [field.name for field in dataclasses.fields(made)]
    assert names == ["status", "progress", "transferRate", "progressMessage", "processedFiles"]
    assert list(dataclasses.asdict(made)) == names
    other = report(made.transferRate, 0)
    other.progressMessage = made.progressMessage
    assert other == made
    assert other.processedBytes is None
    copied = pickle.loads(pickle.dumps(made))
    assert (copied, copied.processedBytes) == (made, 0)
    assert repr(made) == repr(other)
