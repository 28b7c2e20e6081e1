"""State files of incremental downloads against the reference's."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import deadline.job_attachments._incremental_downloads.incremental_download_state as reference
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rusty_attachments._incremental_downloads import incremental_download_state as ours

TIME = st.datetimes(timezones=st.sampled_from([None, timezone.utc]))
JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=5) | TIME,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
JOB = st.tuples(
    st.dictionaries(st.text(max_size=3), JSON, max_size=3).map(lambda job: {**job, "jobId": "job-1"}),
    st.none() | TIME,
    st.none() | st.dictionaries(st.text(max_size=5), st.integers(0, 99), max_size=3),
)
STATE = st.tuples(
    st.none() | st.text(max_size=5),
    TIME,
    st.none() | TIME,
    st.lists(JOB, max_size=3),
    st.sampled_from([None, 0, 7]),
)


def build(module, state):
    profile, started, completed, jobs, seconds = state
    made = [module.IncrementalDownloadJob(*job) for job in jobs]
    return module.IncrementalDownloadState(profile, started, completed, made, seconds)


@settings(max_examples=300, deadline=None)
@given(STATE)
def test_files_go_both_ways(tmp_path_factory, state):
    folder = tmp_path_factory.getbasetemp() / "states" / "deep"
    mine, theirs = build(ours, state), build(reference, state)
    assert mine.to_dict() == theirs.to_dict()
    mine.save_file(str(folder / "ours"))
    theirs.save_file(str(folder / "theirs"))
    assert json.loads((folder / "ours").read_text()) == json.loads((folder / "theirs").read_text())
    assert reference.IncrementalDownloadState.from_file(str(folder / "ours")).to_dict() == theirs.to_dict()
    assert ours.IncrementalDownloadState.from_file(str(folder / "theirs")).to_dict() == theirs.to_dict()
    assert sorted(path.name for path in folder.iterdir()) == ["ours", "theirs"]
    assert [job.job_id for job in mine.jobs] == [job.job_id for job in theirs.jobs]


GOOD = build(ours, ("sp", datetime(2026, 1, 1), None, [({"jobId": "j"}, None, None)], None)).to_dict()


@pytest.mark.parametrize(
    "data",
    [
        *([], {}, "text", {**GOOD, "jobs": [{}]}, {**GOOD, "jobs": [3]}),
        *({**GOOD, "downloadsStartedTimestamp": "yesterday"}, {**GOOD, "eventualConsistencyMaxSeconds": "x"}),
    ],
    ids=str,
)
def test_bad_states(data):
    texts = []
    for module in (ours, reference):
        with pytest.raises(ValueError, match=r".+") as error:
            module.IncrementalDownloadState.from_dict(data)
        texts.append(str(error.value))
    assert texts[0] == texts[1]


def test_a_failed_write_leaves_what_was_there(tmp_path):
    """The reference leaves its temporary file."""
    file = tmp_path / "state"
    file.mkdir()
    with pytest.raises(OSError, match="directory"):
        ours.IncrementalDownloadState.from_dict(GOOD).save_file(str(file))
    assert list(tmp_path.iterdir()) == [file]
