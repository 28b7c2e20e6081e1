"""The detector of low transfer rates against the handler in the worker agent's download script."""

from __future__ import annotations

import ast
from types import SimpleNamespace

import agent
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rusty_attachments.progress_tracker import ProgressReportMetadata, ProgressStatus
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


@pytest.mark.parametrize("files", [10_000])
def test_small_files_are_no_stall(files):
    detector = LowTransferRateDetector()
    assert all(detector(report(1.0, number)) for number in range(1, files))
