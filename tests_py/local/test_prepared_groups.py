"""Groups of a submission: their sets of paths are made when they are looked at, and nobody can tell."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from rusty_attachments.models import AssetRootGroup
from rusty_attachments.upload.submission import LocalSubmission


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "root"
    for name in ("a", "b/c"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def prepared(root: Path) -> AssetRootGroup:
    group = LocalSubmission().prepare_paths_for_upload(
        [root / "a", root / "b" / "c"], [root / "out"], [root / "ref"]
    )
    return group.asset_groups[0]


def made(root: Path) -> AssetRootGroup:
    return AssetRootGroup(None, str(root), {root / "a", root / "b" / "c"}, {root / "out"}, {root / "ref"})


def hashed(group: AssetRootGroup, folder: Path) -> list[str]:
    _, (manifest,) = LocalSubmission().hash_assets_and_create_manifest([group], 2, 4, str(folder / "cache"))
    assert manifest.asset_manifest
    return sorted(entry.path for entry in manifest.asset_manifest.paths)


def test_a_prepared_group_is_what_a_caller_would_make(root):
    assert prepared(root) == made(root)
    assert repr(prepared(root)).startswith("AssetRootGroup(file_system_location_name=None, root_path=")
    assert dataclasses.asdict(prepared(root)) == dataclasses.asdict(made(root))
    assert dataclasses.replace(prepared(root), root_path="/") == dataclasses.replace(
        made(root), root_path="/"
    )
    assert type(prepared(root).inputs) is set
    assert type(prepared(root)) is AssetRootGroup


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda group: pickle.loads(pickle.dumps(group))])
def test_copies_are_equal(root, again):
    assert again(prepared(root)) == made(root)
    assert again(made(root)) == made(root)


def test_hashing_makes_no_objects_of_paths(root, tmp_path):
    group = prepared(root)
    assert hashed(group, tmp_path) == ["a", "b/c"]
    assert "inputs" not in vars(group)


def test_what_the_caller_changes_is_what_is_hashed(root, tmp_path):
    group = prepared(root)
    group.inputs.remove(root / "a")
    assert hashed(group, tmp_path) == ["b/c"]
    group = prepared(root)
    group.inputs = {root / "a"}
    assert hashed(group, tmp_path) == ["a"]


def test_threads_that_look_at_once_see_one_set(root):
    for _ in range(20):
        group = prepared(root)
        with ThreadPoolExecutor(8) as pool:
            sets = list(pool.map(getattr, [group] * 8, ["inputs"] * 8))
        assert all(each is group.inputs for each in sets)


def test_a_wrong_name_is_an_attribute_error(root):
    with pytest.raises(AttributeError, match="'AssetRootGroup' object has no attribute 'input'"):
        _ = prepared(root).input
    with pytest.raises(AttributeError, match="'AssetRootGroup' object has no attribute 'input'"):
        _ = made(root).input
