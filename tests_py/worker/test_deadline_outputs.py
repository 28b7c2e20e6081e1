"""The outputs of jobs, which `deadline` maps to this machine's paths: unswapped, and with everything swapped."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from deadline_command import BUCKET, PREFIX, QUEUE_OPTIONS, STARTED, Deadline, store_manifest
from deadline_service import FARM, JOB, QUEUE
from rusty_attachments.asset_manifests import HashAlgorithm, hash_data

ROOT = "/mnt/shows/shot"
OUTPUTS = {"renders/1.exr": b"one" * 100, "renders/2.exr": b"two", "é/log 1.txt": b"log", "empty": b""}


def profile(name: str, family: str, path: str) -> dict[str, object]:
    """A storage profile with one location."""
    location = {"name": "shows", "path": path, "type": "LOCAL"}
    return {
        "storageProfileId": name,
        "displayName": f"Profile {name}",
        "osFamily": family,
        "fileSystemLocations": [location],
    }


def stored_outputs(deadline: Deadline, root: str, files: dict[str, bytes], task: int = 1, action: int = 0):
    """The outputs of a task, as the worker stores them."""
    folder = f"{FARM}/{QUEUE}/{JOB}/step-1/task-{task}/2023-11-14T22:13:20.123456Z_sessionaction-abc-{action}"
    name = f"{hash_data(root.encode(), HashAlgorithm.XXH128)}_output"
    store_manifest(deadline, f"{folder}/{name}", files, root)
    # The rig keeps contents by bucket.
    for body in files.values():
        deadline.rig.store(body, BUCKET, f"{PREFIX}/Data/")


def job_with_outputs(
    deadline: Deadline, root: str = ROOT, family: str = "LINUX", location: str = "/mnt/shows"
):
    """A job that was submitted with another storage profile than the one of this machine."""
    service = deadline.service
    path_format = "windows" if family == "WINDOWS" else "posix"
    service.manifests = [{"rootPath": root, "rootPathFormat": path_format}]
    service.job = {"storageProfileId": "sp-job"}
    service.storage_profiles = {
        "sp-job": profile("sp-job", family, location),
        "sp-here": profile("sp-here", "LINUX", str(deadline.folder / "mapped")),
    }
    deadline.run("config", "set", "defaults.farm_id", FARM)
    deadline.run("config", "set", "settings.storage_profile_id", "sp-here")


DOWNLOAD = ["job", "download-output", "--job-id", JOB, *QUEUE_OPTIONS, "--yes"]


def mapped(deadline: Deadline) -> object:
    """Outputs that go to mapped paths: at first, over files that are there, some of them, as JSON."""
    job_with_outputs(deadline)
    stored_outputs(deadline, ROOT, OUTPUTS)
    said = [deadline.said(*DOWNLOAD, "--output", "verbose")]
    there = deadline.folder / "mapped" / "shot" / "empty"
    there.write_bytes(b"mine")
    os.utime(there, (STARTED, STARTED))
    for resolution in ("SKIP", "CREATE_COPY"):
        said.append(deadline.said(*DOWNLOAD, "--conflict-resolution", resolution))
    said.append(deadline.said(*DOWNLOAD, "--conflict-resolution", "OVERWRITE", "--output", "verbose"))
    shutil.rmtree(deadline.folder / "mapped" / "shot" / "renders")
    some = ["--include", f"{ROOT}/renders/*", "--match-paths-by", "JOB"]
    said.append(deadline.said(*DOWNLOAD, *some, "--conflict-resolution", "SKIP"))
    return said, deadline.files(deadline.folder / "mapped", deadline.folder / "work")


def mapped_from_windows(deadline: Deadline) -> object:
    """Outputs of a Windows machine, with paths that no rule maps, and some that lead out of the root."""
    job_with_outputs(deadline, "Z:\\shows\\shot", "WINDOWS", "Z:\\Shows")
    stored_outputs(deadline, "Z:\\shows\\shot", {**OUTPUTS, "../../elsewhere": b"x", "../sister/a": b"a"})
    return [deadline.said(*DOWNLOAD)], deadline.files(deadline.folder / "mapped", deadline.folder / "work")


def mapped_from_two_roots(deadline: Deadline) -> object:
    """Two roots that are mapped below one directory."""
    job_with_outputs(deadline)
    deadline.service.manifests.append({"rootPath": f"{ROOT}/renders", "rootPathFormat": "posix"})
    stored_outputs(deadline, ROOT, OUTPUTS)
    stored_outputs(deadline, f"{ROOT}/renders", {"3.exr": b"three"}, task=2, action=1)
    return [deadline.said(*DOWNLOAD)], deadline.files(deadline.folder / "mapped", deadline.folder / "work")


SCENARIOS = [mapped, mapped_from_windows, mapped_from_two_roots]


@pytest.mark.parametrize("where", ["above", "top"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_mapped_outputs_come_to_the_same_files_with_the_same_lines(scenario, where, both):
    """From a directory above the mapped paths: from others the reference refuses them."""

    def placed(deadline):
        deadline.work = deadline.folder if where == "above" else Path("/")
        return scenario(deadline)

    (theirs, they_asked), (ours, we_asked) = both(placed)
    assert ours == theirs
    assert we_asked == they_asked
    said, files = theirs
    for status, *printed in said:
        assert status == 0, printed
        assert any("Downloaded" in line for line in printed), printed
    assert "shot/renders/1.exr" in files
    assert "elsewhere" not in str(sorted(files))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_mapped_outputs_come_from_any_directory(scenario, tmp_path, rig, service):
    outcomes = []
    for where in (Path("/"), tmp_path / "deadline" / "work"):
        deadline = Deadline(tmp_path / "deadline", rig, service, swapped=True)
        deadline.work = where
        outcomes.append(scenario(deadline))
    from_the_top, from_beside = outcomes
    assert from_beside == from_the_top
    # The reference takes its working directory for the root of absolute paths.
    deadline = Deadline(tmp_path / "deadline", rig, service, swapped=False)
    job_with_outputs(deadline)
    stored_outputs(deadline, ROOT, OUTPUTS)
    assert deadline.run(*DOWNLOAD).returncode == 1
    assert not (deadline.folder / "mapped").exists()
