"""The reference's `AssetSync`, which stays Python, with our functions and classes swapped in under it."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path

import boto3
import pytest
from deadline.job_attachments import models
from deadline.job_attachments.asset_sync import AssetSync
from rusty_attachments import swap
from session import PREFIX, Session, stored, tree

INPUTS = {"scene/main.ma": b"scene" * 100, "é.tx": b"texture", "copy.tx": b"texture"}
OUTPUTS = {"out/frame_1.exr": b"one", "out/sub/frame_2.exr": b"two" * 1000, "out/é.exr": b"three"}

WAYS = [
    [],
    ["S3AssetUploader"],
    ["download_files_from_manifests"],
    ["decode_manifest"],
    ["S3AssetUploader", "download_files_from_manifests"],
    "all",
]


def store_job(session):
    """A submitted job in S3; returns its attachments."""
    session.add_root("/mnt/shot/é", INPUTS, ["out"])
    session.add_root("C:\\shots", {"in.txt": b"in"}, ["out"], "windows", "shots")
    manifests = []
    for number, each in enumerate(session.properties):
        key = f"farm-1/queue-1/Inputs/guid/{number}_input"
        body = Path(each.local_input_manifest_path).read_bytes()
        session.rig.put(session.bucket, f"{PREFIX}/Manifests/{key}", body)
        of_job = each.manifest_properties
        manifests.append(
            models.ManifestProperties(
                of_job.rootPath,
                models.PathFormat(of_job.rootPathFormat.value),
                of_job.fileSystemLocationName,
                key,
            )
        )
        manifests[-1].outputRelativeDirectories = of_job.outputRelativeDirectories
    return models.Attachments(manifests=manifests)


def sync(folder, rig, bucket, names):
    """Syncs inputs, "renders", syncs outputs; returns all that can be compared."""
    session = Session(folder, rig, bucket)
    attachments = store_job(session)
    settings = models.JobAttachmentS3Settings(bucket, PREFIX)
    session_dir = folder / "session"
    session_dir.mkdir()
    (folder / "shots").mkdir()
    rules = {"C:\\shots": str(folder / "shots")}
    before = set(stored(session))
    reports = []

    def report(status):
        reports.append((status.status.name, status.progress))
        return True

    with swap.installed(names), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        syncer = AssetSync("farm-1", boto3.session.Session(), session_id="session-1")
        downloaded, mapping = syncer.sync_inputs(
            settings, attachments, "queue-1", "job-1", session_dir, None, rules, on_downloading_files=report
        )
        inputs = {"session": tree(session_dir), "shots": tree(folder / "shots")}
        # The times of inputs are known now: what is written from here on is an output.
        for rule in [*mapping, {"destination_path": str(folder / "shots")}]:
            for path, body in OUTPUTS.items():
                file = Path(rule["destination_path"], path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(body)
                os.utime(file, (1_950_000_000, 1_950_000_000))
        uploaded = syncer.sync_outputs(
            settings,
            attachments,
            "queue-1",
            "job-1",
            "step-1",
            "task-1",
            "sessionaction-1",
            1_700_000_000.123456,
            session_dir,
            rules,
            on_uploading_files=report,
        )
    objects = {key: value for key, value in stored(session).items() if key not in before}

    def counts(statistics):
        names = (
            "total_files",
            "total_bytes",
            "processed_files",
            "processed_bytes",
            "skipped_files",
            "skipped_bytes",
        )
        return {name: getattr(statistics, name) for name in names}

    def plain(value):
        return eval(re.sub(re.escape(str(folder)), "<folder>", repr(value)))

    return {
        "mapping": plain(mapping),
        "downloaded": counts(downloaded),
        "inputs": plain(inputs),
        "uploaded": counts(uploaded),
        "objects": plain(objects),
        "ends": sorted({each for each in reports if each[1] == 100.0}),
    }


@pytest.fixture
def unswapped(tmp_path, rig, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    return sync(tmp_path / "unswapped", rig, rig.create_bucket("unswapped"), [])


@pytest.mark.parametrize("names", WAYS[1:], ids=str)
def test_asset_sync_works_with_ours_under_it(names, unswapped, tmp_path, rig, rig_bucket):
    assert len(unswapped["objects"]) == 3 + 2
    assert len(unswapped["inputs"]["session"]) == 3
    assert unswapped["ends"]
    swapped = sync(tmp_path / "swapped", rig, rig_bucket, names)
    for what, expected in unswapped.items():
        assert swapped[what] == expected, what
