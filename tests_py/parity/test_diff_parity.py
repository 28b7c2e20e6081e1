"""Finding changed files by a hash cache: the same statuses and entries as the reference's."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import pytest
from deadline.job_attachments import _diff as reference_diff
from deadline.job_attachments import exceptions as reference_exceptions
from deadline.job_attachments import models as reference_models
from deadline.job_attachments.upload import S3AssetManager as ReferenceManager
from rusty_attachments import _diff, models
from rusty_attachments.asset_manifests import ManifestVersion
from rusty_attachments.upload.submission import LocalSubmission
from trees import write_tree

TREE = {"a": b"1", "b": b"22", "folder": {"c": b"333"}, "manifests": {"m": b"{}"}, "manifests.txt": b"x"}


@pytest.fixture(params=["ours", "theirs"])
def side(request, monkeypatch, tmp_path):
    """A manager, the functions, the classes, and the folder of one side's cache."""
    monkeypatch.setenv("HOME", str(tmp_path / request.param))
    if request.param == "ours":
        return LocalSubmission(), _diff, models, str(tmp_path / "our cache")
    for name in ("AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "us-west-2")
    return ReferenceManager(), reference_diff, reference_models, str(tmp_path / "their cache")


def write(tmp_path) -> Path:
    root = tmp_path / "root"
    write_tree(root, TREE)
    for path in root.rglob("*"):
        os.utime(path, (1_600_000_000, 1_600_000_000))
    return root


def plain(found):
    return sorted((status.name, *asdict(entry).values()) for status, entry in found)


def test_files_by_status(side, tmp_path):
    manager, module, classes, cache = side
    root = write(tmp_path)
    paths = [root / "a", root / "folder" / "c"]
    every = list(classes.FileStatus)

    def find(update=True, statuses=every):
        return plain(module.find_file_with_status(manager, paths, str(root), update, statuses, cache))

    first = find(update=False)
    assert [row[:2] for row in first] == [("NEW", "a"), ("NEW", "folder/c")]
    assert first[0][3:] == (1, 1_600_000_000_000_000)
    assert find() == first
    assert [row[0] for row in find()] == ["UNCHANGED", "UNCHANGED"]
    (root / "a").write_bytes(b"other")
    assert [row[:2] for row in find(update=False)] == [("MODIFIED", "a"), ("UNCHANGED", "folder/c")]
    assert [row[:2] for row in find(False, [classes.FileStatus.MODIFIED])] == [("MODIFIED", "a")]
    assert find(False, []) == []
    assert module.find_file_with_status(manager, [], str(root), True, every, cache) == []
    with pytest.raises(ValueError, match="is not in the subpath of"):
        module.find_file_with_status(manager, paths, str(tmp_path / "other"), True, every, cache)


def test_a_manifests_changed_files(side, tmp_path):
    manager, module, _, _ = side
    root = write(tmp_path)
    group = manager.prepare_paths_for_upload(
        [str(path) for path in root.rglob("*") if path.is_file()], [], []
    )
    cache = str(Path(os.environ["HOME"]) / ".deadline" / "job_attachments")
    _, (made,) = manager.hash_assets_and_create_manifest(
        group.asset_groups, group.total_input_files, group.total_input_bytes, cache
    )

    def changed(update):
        return [
            row[:2] for row in plain(module.diff_manifest(manager, made, str(root / "manifests"), update))
        ]

    assert changed(True) == []
    (root / "b").write_bytes(b"4444")
    (root / "manifests" / "m").write_bytes(b"[]")
    (root / "manifests.txt").write_bytes(b"passed over, too")
    assert changed(False) == [("MODIFIED", "b")]
    assert changed(True) == [("MODIFIED", "b")]
    assert changed(True) == []
    made.asset_manifest = None
    with pytest.raises(reference_exceptions.NonValidInputError, match=r"^Manifest object not found, please"):
        module.diff_manifest(manager, made, "x", True)


def test_both_sides_give_the_same_entries(tmp_path, monkeypatch):
    for name in ("AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "us-west-2")
    root = write(tmp_path)
    paths = [path for path in root.rglob("*") if path.is_file()]
    ours = _diff.find_file_with_status(
        LocalSubmission(), paths, str(root), True, list(models.FileStatus), str(tmp_path / "o")
    )
    theirs = reference_diff.find_file_with_status(
        ReferenceManager(), paths, str(root), True, list(reference_models.FileStatus), str(tmp_path / "t")
    )
    assert plain(ours) == plain(theirs)
    assert [entry.path for _, entry in ours] == sorted(entry.path for _, entry in theirs)


def test_entries_of_the_later_version(tmp_path):
    root = write(tmp_path)
    (root / "a").chmod(0o755)
    manager = LocalSubmission()
    manager.manifest_version = ManifestVersion.v2025_12_04_beta
    every = list(models.FileStatus)
    ((status, entry),) = _diff.find_file_with_status(
        manager, [root / "a"], str(root), True, every, str(tmp_path)
    )
    assert (status, entry.runnable) == (models.FileStatus.NEW, True)
    manager.manifest_version = ManifestVersion.UNDEFINED
    with pytest.raises(NotImplementedError, match="UNDEFINED"):
        _diff.find_file_with_status(manager, [root / "a"], str(root), True, every)
