"""The download: the agent's script unswapped, with names swapped, and our command."""

from __future__ import annotations

import json
import os
import subprocess

import agent
import pytest
from rusty_attachments import swap
from rusty_attachments.worker import WorkerManifestProperties, write_worker_properties
from session import OUR_FILE, OURS, SWITCHED, UNSWAPPED, Session, lines, told, tree

FILES = {
    "scene/main.ma": b"scene" * 100,
    "textures/é 1.tx": b"\0" * 5000,
    "copy.ma": b"scene" * 100,
    "empty": b"",
}


def make(tmp_path, rig, bucket, name):
    session = Session(tmp_path / name, rig, bucket)
    session.add_root("/mnt/projects/shot", FILES, ["renders"])
    session.add_root("C:\\Users\\é", {"a/b.txt": b"windows"}, [], path_format="windows")
    session.add_root("/nothing", None, None)
    return session


NAMES_OF_DOWNLOAD = ["download_files_from_manifests", "decode_manifest"]


@pytest.fixture(scope="module")
def unswapped(rig_server, tmp_path_factory):
    """What the agent's script does by itself; run once."""
    rig_server.reset(objects=True)
    bucket = rig_server.create_bucket("agents-own")
    session = make(tmp_path_factory.mktemp("agent"), rig_server, bucket, "session")
    done = session.run("download", UNSWAPPED)
    assert done.returncode == 0, done.stderr.decode()
    return lines(done, session), [tree(session.folder / f"assetroot-{number}") for number in range(2)]


@pytest.mark.parametrize("how", [*NAMES_OF_DOWNLOAD, "all", OURS, OUR_FILE, SWITCHED])
def test_every_way_does_what_the_agents_script_does(how, unswapped, tmp_path, rig, rig_bucket):
    session = make(tmp_path, rig, rig_bucket, "session")
    done = session.run("download", how)
    assert done.returncode == 0, done.stderr.decode()
    expected_lines, expected_files = unswapped
    assert [tree(session.folder / f"assetroot-{number}") for number in range(2)] == expected_files
    assert lines(done, session) == expected_lines
    for name, body in FILES.items():
        assert (session.folder / "assetroot-0" / name).read_bytes() == body
        assert os.stat(session.folder / "assetroot-0" / name).st_mtime == 1_600_000_000


def test_all_names_together_leave_no_request_to_boto(tmp_path, rig, rig_bucket):
    session = make(tmp_path, rig, rig_bucket, "session")
    rig.config(log=True)
    assert session.run("download", "all").returncode == 0
    agents = {entry["user_agent"] for entry in rig.log()}
    assert agents
    assert not any("Boto3" in each for each in agents), agents


def test_a_retry_fetches_what_is_missing(tmp_path, rig, rig_bucket):
    session = make(tmp_path, rig, rig_bucket, "session")
    root = session.folder / "assetroot-0"
    assert session.run("download", OURS).returncode == 0
    before = tree(root)
    (root / "empty").unlink()
    (root / "scene/main.ma").write_bytes(b"half")
    rig.reset()
    done = session.run("download", OURS)
    assert done.returncode == 0, done.stdout
    assert tree(root) == before
    assert rig.count("GetObject") <= 2
    assert not [name for name in tree(root) if "(1)" in name]


def test_two_properties_at_one_place_are_merged(tmp_path, rig, rig_bucket):
    session = Session(tmp_path / "session", rig, rig_bucket)
    local = session.add_root("/r", {"a": b"first", "b": b"b"}, [])
    session.add_root("/r", {"a": b"second", "c": b"c"}, [], local=local)
    done = session.run("download", OURS)
    assert done.returncode == 0, done.stdout
    # The agent's script drops the first.
    assert tree(local) == {"a": b"second", "b": b"b", "c": b"c"}


def failure(done):
    """The line that tells the session."""
    assert done.returncode == 1, done.stdout
    found = [line for line in done.stdout.decode().splitlines() if line.startswith("openjd_fail: ")]
    assert len(found) == 1
    return found[0]


def test_a_missing_object_is_a_failure(tmp_path, rig, rig_bucket):
    session = make(tmp_path, rig, rig_bucket, "session")
    (key,) = [e["key"] for e in rig.objects(rig_bucket) if e["size"] == 5000]
    rig.delete(rig_bucket, key)
    assert key.removesuffix(".xxh128") in failure(session.run("download", OURS))
    assert session.run("download", UNSWAPPED).returncode == 1


def test_bad_properties_files(tmp_path, rig, rig_bucket):
    session = make(tmp_path, rig, rig_bucket, "session")
    good = session.properties_file.read_text()
    for text, problem in (
        ("{}", "ValueError: Expected a list"),
        ("[{]", "JSONDecodeError: "),
        ("[{}]", "entry 0: manifestProperties is missing"),
    ):
        session.properties_file.write_text(text)
        assert problem in failure(session.run("download", OURS))
        assert session.run("download", UNSWAPPED).returncode == 1
    unknown = [{**entry, "somethingNew": 1} for entry in json.loads(good)]
    session.properties_file.write_text(json.dumps(unknown))
    assert session.run("download", OURS).returncode == 0
    session.properties_file.unlink()
    assert "FileNotFoundError" in failure(session.run("download", OURS))


def test_a_manifest_that_is_not_there_or_is_none(tmp_path, rig, rig_bucket):
    session = make(tmp_path, rig, rig_bucket, "session")
    each = session.properties[0]
    for path in (tmp_path / "missing", session.properties_file):
        moved = WorkerManifestProperties(each.manifest_properties, each.local_root_path, [], str(path))
        write_worker_properties(session.properties_file, [moved])
        done = session.run("download", OURS)
        assert failure(done)
        assert session.run("download", UNSWAPPED).returncode == 1


@pytest.mark.parametrize("uri", ["bucket/prefix", "s3://bucket", "s3:///prefix", "https://bucket/prefix", ""])
def test_a_uri_that_is_none(tmp_path, rig, rig_bucket, uri):
    session = make(tmp_path, rig, rig_bucket, "session")
    type(session).uri, kept = property(lambda _: uri), type(session).uri
    try:
        assert "Invalid root uri format" in failure(session.run("download", OURS))
    finally:
        type(session).uri = kept


def test_wrong_arguments(tmp_path, rig, rig_bucket):
    import sys

    command = [sys.executable, "-m", "rusty_attachments.worker.download", "-s3", "s3://a/b"]
    assert subprocess.run(command, capture_output=True).returncode == 2


def test_output_is_utf8_whatever_the_console(tmp_path, rig, rig_bucket):
    session = Session(tmp_path / "session", rig, rig_bucket)
    session.add_root("/mnt/日本\udcff", None, None)
    done = session.run("download", OURS, PYTHONIOENCODING="ascii", LC_ALL="C", PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    assert "Root /mnt/日本\\udcff contains no input manifest to sync." in done.stdout.decode("utf-8")


def test_progress_lines_are_limited_in_rate(capsys, monkeypatch):
    import time

    from rusty_attachments.worker._console import ProgressLines

    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    shown = ProgressLines()
    for number in range(1000):
        now[0] += 0.01
        shown.show(number / 10, f"message {number}")
    shown.show(100.0, "done")
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "openjd_progress: 0.0"
    assert printed[-2:] == ["openjd_progress: 100.0", "openjd_status: done"]
    # Ten seconds, a line and its message each, and the end.
    assert 20 <= len(printed) <= 24


def test_a_slow_download_is_given_up(monkeypatch, capsys, tmp_path):
    from rusty_attachments.exceptions import AssetSyncCancelledError
    from rusty_attachments.models import JobAttachmentS3Settings
    from rusty_attachments.progress_tracker import ProgressReportMetadata, ProgressStatus
    from rusty_attachments.worker import _console, download

    def slow(*, on_downloading_files, **_):
        report = ProgressReportMetadata(ProgressStatus.DOWNLOAD_IN_PROGRESS, 1.0, 100.0, "slow", 0)
        assert [on_downloading_files(report) for _ in range(61)] == [True] * 59 + [False] * 2
        raise AssetSyncCancelledError("Download cancelled.")

    monkeypatch.setattr(download, "download_files_from_manifests", slow)
    status = _console.run(lambda: download.download(JobAttachmentS3Settings("b", "p"), {}))
    assert status == 1
    printed = capsys.readouterr().out
    assert printed.count("openjd_fail: ") == 1
    assert "successive low transfer rates (< 10.0 KB/s)" in printed


def test_agent_is_the_version_that_was_compared():
    assert agent.package().exists()
    assert agent.ENVIRONMENT.requirement.endswith("==0.33.6")
    assert set(NAMES_OF_DOWNLOAD) <= set(swap.SWAPS)
    assert told
