"""The upload: the agent's script unswapped, with names swapped, and our command."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from session import OUR_FILE, OURS, PREFIX, SWITCHED, UNSWAPPED, Session, lines, stored, told

INPUTS = {"scene/main.ma": b"scene" * 100, "renders/old.exr": b"old", "renders/touched.exr": b"before"}
OUTPUTS = {
    "renders/frame_0001.exr": b"frame 1",
    "renders/sub dir/é.exr": b"frame 2" * 1000,
    "renders/third.exr": b"frame 3",
    "renders/touched.exr": b"after!",
    "elsewhere/ignored.txt": b"not an output",
}
NAMES_OF_UPLOAD = [
    *(
        "S3AssetUploader",
        "_manifest_snapshot",
        "_manifest_merge",
        "decode_manifest",
        "human_readable_file_size",
    ),
]
TOGETHER = [["ProgressTracker", "ProgressStatus", "ProgressReportMetadata", "SummaryStatistics"]]
TOGETHER[0].append("DownloadSummaryStatistics")


def write(folder, files, seconds):
    for path, body in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
        os.utime(file, (seconds, seconds))


def make(folder, rig, bucket):
    """Always the same folder: names of manifests are hashes of local paths."""
    shutil.rmtree(folder, ignore_errors=True)
    session = Session(folder, rig, bucket)
    local = session.add_root("/mnt/shot/é", INPUTS, ["renders"])
    write(local, INPUTS, 1_600_000_000)
    windows = session.add_root("C:\\shots", {"in.txt": b"in"}, ["out\\[1]\\final"], "windows", "shots")
    write(windows, {"in.txt": b"in"}, 1_600_000_000)
    session.add_root("/no/outputs", {"x": b"x"}, None)
    write(session.folder / "assetroot-2", {"x": b"x"}, 1_600_000_000)
    # A root of an earlier step's outputs too, and no inputs of its own.
    empty = session.add_root("/no/inputs", None, ["."])
    write(empty, {"result.txt": b"result"}, 1_650_000_000)
    # What the bucket has is what the upload stores.
    for each in rig.objects(bucket):
        rig.delete(bucket, each["key"])
    return session


def render(session):
    write(session.folder / "assetroot-0", OUTPUTS, 1_650_000_000)
    write(session.folder / "assetroot-1", {"out/[1]/final/a.txt": b"windows out"}, 1_650_000_000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("upload") / "session"


@pytest.fixture(scope="module")
def unswapped(rig_server, folder):
    """What the agent's script does by itself; run once."""
    rig_server.reset(objects=True)
    session = make(folder, rig_server, rig_server.create_bucket("session-bucket"))
    render(session)
    done = session.run("upload", UNSWAPPED)
    assert done.returncode == 0, done.stderr.decode()
    return lines(done, session), stored(session), told(done, "ja_upload")


@pytest.mark.parametrize("how", [*NAMES_OF_UPLOAD, *TOGETHER, "all", OURS, OUR_FILE, SWITCHED], ids=str)
def test_every_way_does_what_the_agents_script_does(how, unswapped, folder, rig):
    session = make(folder, rig, rig.create_bucket("session-bucket"))
    render(session)
    done = session.run("upload", how)
    assert done.returncode == 0, done.stderr.decode()
    expected_lines, expected_objects, expected_upload = unswapped
    assert stored(session) == expected_objects
    assert told(done, "ja_upload") == expected_upload
    assert lines(done, session) == expected_lines


def test_what_is_stored_is_right(unswapped):
    """The comparison above compares something."""
    _, objects, ((*infos,),) = unswapped
    assert len(infos) == 3
    # Six different contents and three manifests.
    assert len([key for key in objects if key.startswith(f"{PREFIX}/Data/")]) == 6
    assert len([key for key in objects if key.startswith(f"{PREFIX}/Manifests/")]) == 3
    for info in infos:
        assert info["output_manifest_path"].startswith(
            "farm-1/queue-1/job-1/step-1/task-1/2023-11-14T22:13:20.12345"
        )
        assert f"{PREFIX}/Manifests/{info['output_manifest_path']}" in objects


def manifests(session):
    """Paths of the output manifests that were stored, by asset root."""
    found = {}
    for key, (body, headers) in stored(session).items():
        if "/Manifests/" in key:
            root = headers["x-amz-meta-asset-root"]
            root = json.loads(root) if root.startswith('"') else root
            found[root] = [entry["path"] for entry in json.loads(body)["paths"]]
    return found


def test_a_chunk_of_tasks_has_no_task_in_its_key(folder, rig, rig_bucket):
    keys = []
    for how in (UNSWAPPED, OURS):
        session = make(folder, rig, rig_bucket)
        render(session)
        done = session.run("upload", how, DEADLINE_TASK_ID=None)
        assert done.returncode == 0, done.stderr
        ((*infos,),) = told(done, "ja_upload")
        keys.append([info["output_manifest_path"] for info in infos])
    assert keys[0] == keys[1]
    assert keys[0][0].startswith("farm-1/queue-1/job-1/step-1/2023-11-14T")


def test_nothing_changed(folder, rig, rig_bucket):
    printed = []
    for how in (UNSWAPPED, OURS):
        session = make(folder, rig, rig_bucket)
        (session.folder / "assetroot-3/result.txt").unlink()
        done = session.run("upload", how)
        assert done.returncode == 0, done.stderr
        assert stored(session) == {}
        printed.append(lines(done, session))
    assert printed[0] == printed[1]
    assert "No output to upload" in printed[1]


def failure(done):
    """The line that tells the session."""
    assert done.returncode == 1, done.stdout
    found = [line for line in done.stdout.decode().splitlines() if line.startswith("openjd_fail: ")]
    assert len(found) == 1
    assert not told(done, "ja_upload")
    return found[0]


def test_an_environment_that_is_not_complete(folder, rig, rig_bucket):
    session = make(folder, rig, rig_bucket)
    render(session)
    changes = {"DEADLINE_FARM_ID": None, "DEADLINE_STEP_ID": ""}
    found = failure(session.run("upload", OURS, **changes))
    assert found == "openjd_fail: The environment has no DEADLINE_FARM_ID, DEADLINE_STEP_ID"
    assert session.run("upload", UNSWAPPED, **changes).returncode == 1
    found = failure(session.run("upload", OURS, DEADLINE_SESSIONACTION_START_TIME="yesterday"))
    assert found == "openjd_fail: DEADLINE_SESSIONACTION_START_TIME is no number: yesterday"
    assert stored(session) == {}


def test_a_refused_upload_is_a_failure(folder, rig, rig_bucket):
    session = make(folder, rig, rig_bucket)
    render(session)
    rig.rules({"operation": "PutObject", "fault": {"kind": "status", "status": 403, "code": "AccessDenied"}})
    found = failure(session.run("upload", OURS))
    assert "HTTP Status Code: 403" in found
    assert not [key for key in stored(session) if "/Manifests/" in key]


@pytest.fixture
def here(monkeypatch):
    """Runs our command in this process, in a session."""
    from rusty_attachments.worker import upload

    def run(session):
        monkeypatch.chdir(session.folder)
        for name, value in session.environment().items():
            if name != "PATH":
                monkeypatch.setenv(name, value)
        return upload.main(["-s3", session.uri, "-wp", str(session.properties_file)])

    return run


def test_an_output_that_goes_away_is_a_failure(folder, rig, rig_bucket, here, monkeypatch, capsys):
    from rusty_attachments.worker import upload

    session = make(folder, rig, rig_bucket)
    render(session)
    snapshot = upload.snapshot

    def snapshot_and_remove(root, base):
        made = snapshot(root, base)
        (session.folder / "assetroot-0/renders/frame_0001.exr").unlink(missing_ok=True)
        return made

    monkeypatch.setattr(upload, "snapshot", snapshot_and_remove)
    assert here(session) == 1
    printed = capsys.readouterr().out
    assert "openjd_fail: SourceFileNotFoundError: " in printed
    assert "frame_0001.exr" in printed
    assert "ja_upload" not in printed
    assert "/mnt/shot/é" not in manifests(session)


def test_a_snapshot_that_can_not_be_read_is_a_failure(folder, rig, rig_bucket, here, monkeypatch, capsys):
    """The agent's script prints a line, and succeeds."""
    from rusty_attachments.worker import upload

    session = make(folder, rig, rig_bucket)
    render(session)
    monkeypatch.setattr(upload, "snapshot", lambda *_: "manifest_snapshot/gone")
    assert here(session) == 1
    assert "openjd_fail: FileNotFoundError" in capsys.readouterr().out


def test_two_properties_on_one_root(folder, rig, rig_bucket):
    session = make(folder, rig, rig_bucket)
    shutil.rmtree(session.folder / "assetroot-3")
    session.properties = session.properties[:1]
    local = session.folder / "assetroot-0"
    session.add_root("/mnt/shot/é", {"late.txt": b"late"}, ["late"], local=local)
    write(local, {"late/new.txt": b"new"}, 1_650_000_000)
    render(session)
    for each in rig.objects(rig_bucket):
        rig.delete(rig_bucket, each["key"])
    done = session.run("upload", OURS)
    assert done.returncode == 0, done.stdout
    (paths,) = manifests(session).values()
    expected = {path for path in OUTPUTS if path.startswith("renders/")} | {"late/new.txt"}
    assert set(paths) == expected
    assert len(told(done, "ja_upload")[0]) == 1


@pytest.mark.parametrize("text", ["{}", "[{]", "[{}]"])
def test_bad_properties_files(folder, rig, rig_bucket, text):
    session = make(folder, rig, rig_bucket)
    session.properties_file.write_text(text)
    assert failure(session.run("upload", OURS))
    # The agent's upload takes an object for a list of its keys.
    assert session.run("upload", UNSWAPPED).returncode == (0 if text == "{}" else 1)


def test_a_uri_that_is_none(folder, rig, rig_bucket, monkeypatch):
    session = make(folder, rig, rig_bucket)
    monkeypatch.setattr(Session, "uri", "s3://bucket")
    assert "Invalid root uri format" in failure(session.run("upload", OURS))


def test_contents_that_occur_twice_are_sent_once(folder, rig, rig_bucket):
    session = make(folder, rig, rig_bucket)
    for number in range(4):
        write(session.folder / "assetroot-0", {f"renders/twin {number}.exr": b"twin"}, 1_650_000_000)
    rig.reset()
    done = session.run("upload", OURS)
    assert done.returncode == 0, done.stdout
    assert len(manifests(session)["/mnt/shot/é"]) == 4
    assert "Processed 1 file totaling 4 B." in done.stdout.decode()
    assert "Skipped re-processing 3 files totaling 12 B." in done.stdout.decode()
    # One PUT for the contents, one for the result of the root without inputs, two for manifests.
    assert rig.count("PutObject") == 4
