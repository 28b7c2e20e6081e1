"""Worker properties against the worker agent's own class."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path

import deadline.job_attachments.models as reference_models
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "worker"))
import agent
from rusty_attachments import models
from rusty_attachments.worker import (
    WorkerManifestProperties,
    read_worker_properties,
    write_worker_properties,
)

AGENT = agent.module("sessions/attachment_models.py").WorkerManifestProperties

TEXT = st.text(max_size=12)
ANY_TEXT = st.one_of(TEXT, st.text(st.characters(), max_size=12).map(lambda text: text + "\udcff"))
DIRECTORY = st.lists(st.sampled_from(["a", "b c", "..", ".", "é"]), max_size=4).flatmap(
    lambda parts: st.sampled_from(["/", "\\"]).map(lambda separator: separator.join(parts))
)


def properties(text):
    optional = st.one_of(st.none(), text)
    job = st.fixed_dictionaries(
        {"rootPath": text, "rootPathFormat": st.sampled_from(["posix", "windows"])},
        optional={
            "fileSystemLocationName": optional,
            "inputManifestPath": optional,
            "inputManifestHash": optional,
            "outputRelativeDirectories": st.one_of(st.none(), st.lists(DIRECTORY, max_size=3)),
            "unknown": optional,
        },
    )
    return st.fixed_dictionaries(
        {"manifestProperties": job, "localRootPath": text},
        optional={
            "localManifestPaths": st.lists(text, max_size=3),
            "localInputManifestPath": optional,
            "unknownToo": st.one_of(st.integers(), st.lists(text, max_size=2)),
        },
    )


@example(
    {
        "manifestProperties": {"rootPath": "\ud83d" + "\ude00", "rootPathFormat": "posix"},
        "localRootPath": "/",
    }
)
@settings(max_examples=1000)
@given(properties(ANY_TEXT))
def test_json_goes_both_ways(data):
    ours, theirs = WorkerManifestProperties.from_dict(data), AGENT.from_dict(data)
    text = json.dumps(ours.to_dict())
    assert text == json.dumps(theirs.to_dict())
    again = AGENT.from_dict(json.loads(text))
    # JSON joins a high and a low surrogate that stand side by side.
    assert again.to_dict() == json.loads(text)
    assert WorkerManifestProperties.from_dict(
        json.loads(json.dumps(again.to_dict()))
    ).to_dict() == json.loads(text)


@settings(max_examples=1000)
@given(properties(TEXT))
def test_what_is_made_of_them(data):
    ours, theirs = WorkerManifestProperties.from_dict(data), AGENT.from_dict(data)
    assert ours.as_output_metadata() == theirs.as_output_metadata()
    assert ours.get_hashed_source_path() == theirs.get_hashed_source_path()
    assert vars(ours.to_path_mapping_rule()) == vars(theirs.to_path_mapping_rule())
    for name in (
        *("root_path", "root_path_format", "file_system_location_name", "input_manifest_path"),
        *("input_manifest_hash", "output_relative_directories", "local_root_path", "local_manifest_paths"),
    ):
        assert getattr(ours, name) == getattr(theirs, name)


@settings(max_examples=500)
@given(properties(TEXT))
def test_output_directories_in_the_hosts_format(data):
    # A directory with a root is refused by ours; there is no such path on the other system.
    directories = data["manifestProperties"].get("outputRelativeDirectories")
    ours, theirs = WorkerManifestProperties.from_dict(data), AGENT.from_dict(data)
    if directories and any(directory.startswith(("/", "\\")) for directory in directories):
        return
    assert ours.local_output_relative_directories() == theirs.local_output_relative_directories()


@settings(max_examples=500, deadline=None)
@given(st.lists(properties(ANY_TEXT), max_size=3))
def test_files_go_both_ways(tmp_path_factory, entries):
    file = tmp_path_factory.getbasetemp() / "properties.json"
    file.write_text(json.dumps([AGENT.from_dict(entry).to_dict() for entry in entries]))
    # Read again: JSON itself makes one character of two surrogates that are a pair.
    theirs = [AGENT.from_dict(entry) for entry in json.loads(file.read_text())]
    ours = read_worker_properties(file)
    assert [each.to_dict() for each in ours] == [each.to_dict() for each in theirs]
    write_worker_properties(file, ours)
    assert [AGENT.from_dict(entry) for entry in json.loads(file.read_text())] == theirs


@given(properties(TEXT), properties(TEXT))
def test_equality_and_hash(first, second):
    ours = [WorkerManifestProperties.from_dict(each) for each in (first, second, first)]
    theirs = [AGENT.from_dict(each) for each in (first, second)]
    assert (ours[0] == ours[1]) == (theirs[0] == theirs[1])
    assert ours[0] == ours[2]
    assert hash(ours[0]) == hash(ours[2])
    assert ours[0] != first
    assert pickle.loads(pickle.dumps(ours[0])) == ours[0]


def test_the_references_properties_will_do():
    theirs = reference_models.ManifestProperties(
        "C:\\a", reference_models.PathFormat.WINDOWS, None, "k", "h", ["r\\x"]
    )
    ours = models.ManifestProperties.from_dict(theirs.to_dict())
    with_theirs = WorkerManifestProperties(theirs, "/local")
    assert with_theirs == WorkerManifestProperties(ours, "/local")
    assert with_theirs.local_output_relative_directories() == ["r/x"]


ROOT = {"rootPath": "/r", "rootPathFormat": "posix"}


@pytest.mark.parametrize(
    ("text", "error", "problem"),
    [
        ("", json.JSONDecodeError, "Expecting value"),
        ("[{]", json.JSONDecodeError, "property name"),
        ("{}", ValueError, "Expected a list"),
        ('"text"', ValueError, "Expected a list"),
        ("[1]", ValueError, "entry 0: it is no object"),
        (json.dumps([{"localRootPath": "/"}]), ValueError, "entry 0: manifestProperties is missing"),
        (json.dumps([{"manifestProperties": ROOT}]), ValueError, "entry 0: localRootPath is missing"),
        (
            json.dumps([{"manifestProperties": {**ROOT, "rootPathFormat": "mac"}, "localRootPath": "/"}]),
            ValueError,
            "entry 0: rootPathFormat 'mac' is not a valid PathFormat",
        ),
    ],
)
def test_files_that_are_no_properties(tmp_path, text, error, problem):
    file = tmp_path / "properties.json"
    file.write_text(text)
    with pytest.raises(error, match=problem):
        read_worker_properties(file)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_worker_properties(tmp_path / "missing.json")
