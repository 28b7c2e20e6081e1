"""The `deadline` command on manifests and attachments: unswapped, and with everything swapped."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from deadline_command import BUCKET, FILES, PREFIX, PROFILE, QUEUE_OPTIONS, STARTED, Deadline, store_manifest
from deadline_service import FARM, JOB, QUEUE
from rusty_attachments import swap
from rusty_attachments.asset_manifests import HashAlgorithm, hash_data

# What the commands call.
SWAPPED = {
    *("_manifest_snapshot", "_manifest_diff", "_manifest_download", "_manifest_upload", "_glob_files"),
    *("_attachment_download", "_attachment_upload", "pretty_print_cli"),
}


def snapshots(deadline: Deadline) -> object:
    """Snapshots, whole and of what changed, and the two forms of the comparison."""
    root, manifests = deadline.root, deadline.folder / "manifests"
    base = deadline.snapshot("base")
    where = ["--root", root, "--destination", manifests]
    said = [deadline.said("manifest", "snapshot", *where, "--name", "whole")]
    said.append(deadline.said("manifest", "diff", "--root", root, "--manifest", base))
    deadline.write({"scene/main.ma": b"changed", "new/a.txt": b"new"}, STARTED + 60)
    (root / "notes.txt").unlink()
    said.append(deadline.said("manifest", "diff", "--root", root, "--manifest", base))
    said.append(deadline.said("manifest", "diff", "--root", root, "--manifest", base, "--json"))
    said.append(
        deadline.said(
            "manifest", "diff", "--root", root, "--manifest", base, "--force-rehash", "-i", "scene/*"
        )
    )
    said.append(deadline.said("manifest", "snapshot", *where, "--name", "changed", "--diff", base, "--json"))
    said.append(
        deadline.said("manifest", "snapshot", *where, "--name", "some", "-i", "**/*.ma", "-e", "**/copy*")
    )
    config = json.dumps({"include": ["textures/**"], "exclude": []})
    said.append(deadline.said("manifest", "diff", "--root", root, "--manifest", base, "-ie", config))
    return said, deadline.files(manifests)


def test_a_root_may_be_relative(tmp_path, rig, service):
    """The reference's comparison raises ValueError."""
    deadline = Deadline(tmp_path / "deadline", rig, service, swapped=True)
    base = deadline.snapshot("base")
    deadline.write({"scene/main.ma": b"changed", "new.txt": b"new"}, STARTED + 60)
    deadline.work = deadline.folder
    status, heading, *lines = deadline.said("manifest", "diff", "--root", deadline.root, "--manifest", base)
    assert status == 0
    assert heading.endswith("<folder>/shot")
    assert deadline.said("manifest", "diff", "--root", "shot", "--manifest", base) == [
        0,
        heading.replace("<folder>/", ""),
        *lines,
    ]
    done = deadline.run("manifest", "diff", "--root", "shot", "--manifest", base)
    assert "new.txt +" in done.stderr.decode()


def uploads(deadline: Deadline) -> object:
    """The files of a manifest, and a manifest, to an address and to a queue."""
    base = deadline.snapshot("base")
    uri = f"s3://{BUCKET}/{PREFIX}"
    upload = ["attachment", "upload", "-m", base, "-r", deadline.root]
    said = [deadline.said(*upload, "--s3-root-uri", uri, *PROFILE)]
    said.append(
        deadline.said(*upload, "--s3-root-uri", uri, "--upload-manifest-path", "some/where", *PROFILE)
    )
    first = deadline.stored()
    for each in deadline.rig.objects(BUCKET):
        deadline.rig.delete(BUCKET, each["key"])
    shutil.rmtree(deadline.folder / "home" / ".deadline", ignore_errors=True)
    said.append(deadline.said(*upload, "--upload-manifest-path", "queue", *QUEUE_OPTIONS))
    said.append(deadline.said("manifest", "upload", base, "--s3-cas-uri", uri, *PROFILE))
    said.append(deadline.said("manifest", "upload", base, "--s3-manifest-prefix", "mine", *QUEUE_OPTIONS))
    return said, first, deadline.stored()


def mapping(deadline: Deadline) -> Path:
    """A file of rules that leads the root's files elsewhere."""
    rule = {
        "source_path_format": "posix",
        "source_path": str(deadline.root),
        "destination_path": str(deadline.folder / "mapped"),
    }
    file = deadline.folder / "rules.json"
    file.write_text(json.dumps({"version": "pathmapping-1.0", "path_mapping_rules": [rule]}))
    return file


def downloads(deadline: Deadline) -> object:
    """The files of a manifest, with rules and without, over files that are there, from an address and a queue."""
    base = deadline.snapshot("base")
    for body in FILES.values():
        deadline.rig.store(body, BUCKET, f"{PREFIX}/Data/")
    download = ["attachment", "download", "-m", base]
    rules = ["--path-mapping-rules", mapping(deadline)]
    address = ["--s3-root-uri", f"s3://{BUCKET}/{PREFIX}", *PROFILE]
    said = [deadline.said(*download, *address)]
    said.append(deadline.said(*download, *rules, *address))
    (deadline.folder / "mapped" / "notes.txt").write_bytes(b"mine, and longer")
    os.utime(deadline.folder / "mapped" / "notes.txt", (STARTED, STARTED))
    for resolution in ("SKIP", "CREATE_COPY"):
        said.append(deadline.said(*download, *rules, *address, "--conflict-resolution", resolution))
    said.append(
        deadline.said(*download, *rules, *QUEUE_OPTIONS, "--conflict-resolution", "OVERWRITE", "--json")
    )
    return said, deadline.files(deadline.folder / "work", deadline.folder / "mapped")


def manifests_of_a_job(deadline: Deadline) -> object:
    """The manifests of a job and of a step that depends on another."""
    service, folder = deadline.service, deadline.folder / "manifests"
    roots = ("/mnt/shot", "C:\\shots")
    service.manifests = []
    for root, path_format in zip(roots, ("posix", "windows")):
        name = f"{FARM}/{QUEUE}/Inputs/abc/{hash_data(root.encode(), HashAlgorithm.XXH128)}_input"
        store_manifest(deadline, name, {"in.txt": root.encode(), "both.txt": b"input"}, root)
        service.manifests.append(
            {
                "rootPath": root,
                "rootPathFormat": path_format,
                "inputManifestPath": name,
                "inputManifestHash": "x",
            }
        )
    service.dependencies = {"step-2": ["step-1"]}
    for step, files in {"step-1": {"both.txt": b"1", "1.exr": b"1"}, "step-2": {"2.exr": b"2"}}.items():
        action = f"{FARM}/{QUEUE}/{JOB}/{step}/task-1/2023-11-14T22:13:20.123456Z_sessionaction-{step}"
        for root in roots:
            name = f"{hash_data(root.encode(), HashAlgorithm.XXH128)}_output"
            store_manifest(deadline, f"{action}/{name}", files, root)
    said = []
    for what in (
        [],
        ["--asset-type", "input"],
        ["--asset-type", "output"],
        ["--step-id", "step-2"],
        ["--json"],
    ):
        into = folder / f"{len(said)}"
        into.mkdir()
        command = ["manifest", "download", into, "--job-id", JOB, *QUEUE_OPTIONS, *what]
        said.append(deadline.said(*command))
    return said, deadline.files(folder)


def test_the_functions_behind_the_commands_are_swapped():
    assert set(swap.SWAPS) >= SWAPPED


@pytest.mark.parametrize("scenario", [snapshots, uploads, downloads, manifests_of_a_job])
def test_swapped_and_unswapped_do_the_same(scenario, both):
    (theirs, they_asked), (ours, we_asked) = both(scenario)
    for mine, expected in zip(ours, theirs):
        assert mine == expected
    assert we_asked == they_asked
    # Something was compared, and went well.
    for status, *printed in theirs[0]:
        assert status == 0, printed
        assert printed
    assert all(theirs[1:])


def test_what_fails_fails_alike(tmp_path, rig, service):
    """The same statuses; the texts of exceptions are our own."""
    statuses = []
    for swapped in (False, True):
        deadline = Deadline(tmp_path / "deadline", rig, service, swapped)
        base, root = deadline.snapshot("base"), deadline.root
        uri = ["--s3-root-uri", f"s3://{BUCKET}/{PREFIX}", *PROFILE]
        config = json.dumps({"include": ["textures/**"]})
        done = [
            # No contents are stored yet.
            deadline.run("attachment", "download", "-m", base, *uri),
            deadline.run("attachment", "download", "-m", base, "--path-mapping-rules", "missing", *uri),
            deadline.run("attachment", "upload", "-m", base, "-r", deadline.folder, *uri),
            deadline.run("manifest", "download", deadline.folder, "--job-id", "no-such-job", *QUEUE_OPTIONS),
            # The command hands the option over as a tuple, which neither takes.
            deadline.run("manifest", "snapshot", "--root", root, "--name", "config", "-ie", config),
        ]
        statuses.append([each.returncode for each in done])
        assert not list(deadline.files(deadline.folder / "work"))
    assert statuses == [[1] * 5] * 2


def test_a_file_that_is_gone_fails_the_upload(tmp_path, rig, service):
    statuses = []
    for swapped in (False, True):
        deadline = Deadline(tmp_path / "deadline", rig, service, swapped)
        base = deadline.snapshot("base")
        (deadline.root / "notes.txt").unlink()
        upload = ["attachment", "upload", "-m", base, "-r", deadline.root, "--upload-manifest-path", "x"]
        done = deadline.run(*upload, "--s3-root-uri", f"s3://{BUCKET}/{PREFIX}", *PROFILE)
        manifests = [key for key in deadline.stored() if "/Manifests/" in key]
        statuses.append((done.returncode, len(manifests)))
    # The reference stores a manifest that names an object that isn't there.
    assert statuses == [(0, 1), (1, 0)]
