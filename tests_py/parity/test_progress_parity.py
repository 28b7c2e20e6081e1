"""Progress, statistics and summaries of paths against the reference's."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import logging
import pickle
import time

import deadline.job_attachments._path_summarization as reference_summaries
import deadline.job_attachments.progress_tracker as reference_progress
import pytest
from deadline.job_attachments.models import PathFormat as ReferencePathFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from rusty_attachments import _path_summarization, api, progress_tracker
from rusty_attachments.models import PathFormat

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["track", "done", "processed", "skipped", "report", "total"]),
        st.integers(0, 5_000_000),
        st.sampled_from([0.0, 0.004, 0.25, 1.0, 1.5, 400.0]),
    ),
    max_size=40,
)


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def fields(report):
    values = dataclasses.asdict(report) | {"status": report.status.name}
    return values


def run(module, steps, files, size, with_logger, cancel_after):
    clock, reports, lines = Clock(), [], []

    def callback(report):
        reports.append(fields(report))
        return len(reports) < cancel_after

    class Logger:
        info = staticmethod(lines.append)

    status = (
        module.ProgressStatus.PREPARING_IN_PROGRESS if files % 2 else module.ProgressStatus.UPLOAD_IN_PROGRESS
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "perf_counter", clock)
        tracker = module.ProgressTracker(
            status, files, size, callback, logger=Logger() if with_logger else None
        )
        answers = []
        for kind, amount, seconds in steps:
            clock.now += seconds
            if kind in ("track", "done"):
                answers.append(tracker.track_progress_callback(amount, kind == "done"))
            elif kind == "processed":
                tracker.increase_processed(1, amount)
            elif kind == "skipped":
                tracker.increase_skipped(1, amount)
            elif kind == "report":
                answers.append(tracker.report_progress())
            else:
                tracker.set_total_files(files + 10, size + amount)
        tracker.total_time = 3.5
        statistics = tracker.get_summary_statistics()
        by_root = {"/b": ["/b/2", "\\\\?\\C:\\x"], "/a": ["/a/1"], "/none": []}
        downloads = tracker.get_download_summary_statistics(by_root)
    return answers, reports, lines, vars(statistics), vars(downloads), str(statistics), str(downloads)


@settings(max_examples=300)
@given(STEPS, st.integers(0, 120), st.integers(1, 10_000_000), st.booleans(), st.integers(1, 30))
def test_reports_come_when_the_references_come(steps, files, size, with_logger, cancel_after):
    ours = run(progress_tracker, steps, files, size, with_logger, cancel_after)
    theirs = run(reference_progress, steps, files, size, with_logger, cancel_after)
    assert ours == theirs


def test_no_bytes_and_a_logger():
    """The reference divides by zero here."""
    tracker = progress_tracker.ProgressTracker(
        progress_tracker.ProgressStatus.UPLOAD_IN_PROGRESS, 1, 0, logger=logging.getLogger("test")
    )
    assert tracker.track_progress_callback(0, True) is True


def test_signatures():
    ours = inspect.signature(progress_tracker.ProgressTracker).parameters
    theirs = inspect.signature(reference_progress.ProgressTracker).parameters
    assert [(p.name, p.default) for p in ours.values()] == [(p.name, p.default) for p in theirs.values()]
    for name in ("SummaryStatistics", "DownloadSummaryStatistics", "ProgressReportMetadata"):
        mine, reference = getattr(progress_tracker, name), getattr(reference_progress, name)
        assert [f.name for f in dataclasses.fields(mine)] == [f.name for f in dataclasses.fields(reference)]
    assert [(m.name, m.value, m.title, m.verb_in_message) for m in progress_tracker.ProgressStatus] == [
        (m.name, m.value, m.title, m.verb_in_message) for m in reference_progress.ProgressStatus
    ]
    for name in ("CALLBACK_INTERVAL", "MAX_FILES_IN_CHUNK", "LOG_INTERVAL", "LOG_PERCENTAGE_THRESHOLD"):
        assert getattr(progress_tracker, name) == getattr(reference_progress, name)


def test_a_tracker_is_a_dataclass_and_hands_out_a_function():
    tracker = progress_tracker.ProgressTracker(progress_tracker.ProgressStatus.NONE, 1, 1)
    assert dataclasses.is_dataclass(tracker)
    tracker.track_progress_callback = lambda *_: False
    assert tracker.track_progress_callback(1) is False


COUNT = st.integers(0, 10**13)
STATISTICS = st.tuples(
    st.sampled_from([0.0, 0.125, 1.0, 77.7, 1e5]), COUNT, COUNT, COUNT, COUNT, COUNT, COUNT, st.floats(0, 1e9)
)
ROOTS = st.dictionaries(st.sampled_from(["/a", "/b", "/c"]), st.integers(-2, 9))


@given(STATISTICS, STATISTICS, ROOTS, ROOTS)
def test_statistics_add_up(first, second, roots, other_roots):
    def add(module):
        plain = module.SummaryStatistics(*first)
        assert plain.aggregate(module.SummaryStatistics(*second)) is plain
        download = module.DownloadSummaryStatistics(*first, dict(roots), ["x"])
        download.aggregate(module.DownloadSummaryStatistics(*second, dict(other_roots), ["y"]))
        less = download.convert_to_summary_statistics()
        assert type(less) is module.SummaryStatistics
        return [(dataclasses.asdict(each), str(each)) for each in (plain, download, less)]

    assert add(progress_tracker) == add(reference_progress)


def test_statistics_of_other_kinds_do_not_add_up():
    def errors(module):
        plain, download = module.SummaryStatistics(), module.DownloadSummaryStatistics()
        plain.aggregate(download)
        found = []
        for other in (plain, 3):
            with pytest.raises(TypeError) as error:
                download.aggregate(other)
            found.append(str(error.value))
        return found

    assert errors(progress_tracker) == errors(reference_progress)


def test_the_references_statistics_add_up_with_ours():
    ours = progress_tracker.SummaryStatistics(total_time=1.0, processed_bytes=5)
    ours.aggregate(reference_progress.DownloadSummaryStatistics(total_time=1.0, processed_bytes=5))
    assert (ours.processed_bytes, ours.transfer_rate) == (10, 5.0)


def test_statistics_are_true_dataclasses():
    statistics = progress_tracker.DownloadSummaryStatistics(1.0, downloaded_files=["a"])
    assert pickle.loads(pickle.dumps(statistics)) == copy.deepcopy(statistics) == statistics
    assert dataclasses.asdict(statistics)["downloaded_files"] == ["a"]


@given(st.one_of(st.integers(0, 10**20), st.integers(0, 2000), st.floats(0, 1e20)))
def test_sizes(size):
    assert api.human_readable_file_size(size) == reference_summaries.human_readable_file_size(size)


NAMES = st.sampled_from(
    [
        "frame_",
        "frame_0",
        "a",
        "b.c",
        "take",
        "readme.txt",
        "1",
        "10",
        "007",
        "12",
        "..",
        ".",
        " ",
        "v2-",
        "é",
    ]
)
NUMBERED = st.builds(
    "{}{:0{}d}{}".format,
    NAMES,
    st.integers(0, 1200),
    st.integers(1, 5),
    st.sampled_from(["", ".png", ".tar.gz", "_x", "/y"]),
)
DIRECTORIES = st.lists(NAMES, max_size=3).map("/".join)
POSIX_PATH = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "/", "//", "/mnt/", "C:\\", "\\\\host\\share\\"]),
    DIRECTORIES,
    st.sampled_from(["", "/", "\\"]),
    st.one_of(NUMBERED, NAMES),
)
SEQUENCES = st.builds(
    lambda before, numbers, padding, after: [f"{before}{n:0{padding}d}{after}" for n in numbers],
    st.builds("{}/{}".format, DIRECTORIES, NAMES),
    st.lists(st.integers(0, 120), min_size=1, max_size=12),
    st.integers(1, 4),
    st.sampled_from(["", ".exr"]),
)
PATHS = st.builds(
    lambda loose, runs: [*loose, *(path for run in runs for path in run)],
    st.lists(POSIX_PATH, max_size=12),
    st.lists(SEQUENCES, max_size=3),
)


def shape(summaries):
    return [
        (repr(each), str(each), bool(each.is_dir()), each.file_count, each.total_size) for each in summaries
    ]


@settings(max_examples=400, deadline=None)
@given(PATHS, st.sampled_from(["POSIX", "WINDOWS", None]), st.booleans(), st.integers(1, 12), st.booleans())
def test_summaries(paths, path_format, with_sizes, max_entries, include_totals):
    sizes = {path: (len(path) * 7919) % 100_000 for path in paths} if with_sizes else None

    def summarise(module, formats):
        chosen = getattr(formats, path_format) if path_format else None
        keywords = {"path_format": chosen, "total_size_by_path": sizes}
        return (
            shape(module.summarize_paths_by_sequence(paths, **keywords)),
            shape(module.summarize_paths_by_nested_directory(paths, **keywords)),
            module.summarize_path_list(
                paths, **keywords, max_entries=max_entries, include_totals=include_totals
            ),
        )

    try:
        theirs = summarise(reference_summaries, ReferencePathFormat)
    except (IndexError, ValueError):
        # The reference fails on a path without parts ("." or ""), and on a drive that is not its heading's.
        summarise(_path_summarization, PathFormat)
        return
    assert summarise(_path_summarization, PathFormat) == theirs


def test_a_percent_sign_is_no_pattern():
    """The reference raises here: it makes the paths again from the pattern."""
    sizes = {f"100%/frame_{number}": 10 for number in range(3)}
    (summary,) = _path_summarization.summarize_paths_by_sequence(list(sizes), total_size_by_path=sizes)
    assert (summary.total_size, summary.file_count) == (30, 3)


@given(st.sets(st.integers(0, 60), min_size=1))
def test_ranges(numbers):
    ours = _path_summarization._int_set_to_range_expr(numbers)
    assert ours == reference_summaries._int_set_to_range_expr(numbers)


def test_api_names():
    import deadline.job_attachments.api as reference_api

    assert set(reference_api.__all__) <= set(api.__all__)
    summary = api.PathSummary("a/b/")
    assert summary == reference_like(summary)
    assert summary != "a/b/"


def reference_like(summary):
    return api.PathSummary(summary.path, file_count=summary.file_count)
