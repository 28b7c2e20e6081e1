"""Snapshots of version 2025-12-04-beta: directories, execute bits, and links under the four policies."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from rusty_attachments.api.manifest import SymlinkPolicy, manifest_snapshot
from rusty_attachments.asset_manifests import ManifestVersion
from rusty_attachments.asset_manifests.decode import decode_manifest
from rusty_attachments.asset_manifests.operations import apply_diffs
from rusty_attachments.asset_manifests.v2025_12_04 import ManifestType
from rusty_attachments.exceptions import AssetSyncError
from rusty_attachments.models import AssetRootGroup, FileStatus
from rusty_attachments.upload import S3AssetManager


@pytest.fixture
def root(tmp_path) -> Path:
    """A tree with a link of every kind."""
    root = tmp_path / "root"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "sub" / "file").write_text("file")
    (root / "tool").write_text("#!")
    (root / "tool").chmod(0o755)
    # Whole microseconds: comparing goes through a double, as in the reference, and would round others up.
    os.utime(root / "tool", ns=(1_700_000_000_123_456_000, 1_700_000_000_123_456_000))
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x").write_text("x")
    links = {
        "inside": "sub/file",
        "sub/up": "../tool",
        "to_folder": "sub",
        "chain": "inside",
        "absolute": str(root / "tool"),
        "escapes": "../outside/x",
        "escaping_folder": "../outside",
        "to_escaping": "escapes",
        "dead": "nowhere",
        "sub/deep/circle": "../..",
        "self": "self",
    }
    for name, target in links.items():
        os.symlink(target, root / name)
    return root


def snapshot(root: Path, policy=SymlinkPolicy.COLLAPSE_ESCAPING, **arguments):
    result = manifest_snapshot(
        root=str(root),
        destination=str(root.parent / "out"),
        name="n",
        hash_cache_dir=str(root.parent / "cache"),
        manifest_version=ManifestVersion.v2025_12_04_beta,
        symlink_policy=policy,
        **arguments,
    )
    return decode_manifest(Path(result.manifest).read_text())


def described(manifest):
    """Files, links with their targets, directories."""
    files = {entry.path for entry in manifest.paths if entry.symlink_target is None}
    links = {entry.path: entry.symlink_target for entry in manifest.paths if entry.symlink_target is not None}
    return files, links, {directory.path for directory in manifest.dirs}


KEPT = {"inside": "sub/file", "sub/up": "tool", "to_folder": "sub", "chain": "inside", "absolute": "tool"}
PLAIN = {"sub/file", "tool"}
FOLDERS = {"sub", "sub/deep", "empty"}


def test_links_stay_and_those_that_escape_are_replaced(root, caplog):
    files, links, folders = described(snapshot(root))
    assert links == KEPT
    assert files == PLAIN | {"escapes", "to_escaping", "escaping_folder/x"}
    assert folders == FOLDERS | {"escaping_folder"}
    for left_out in ("dead", "self", "sub/deep/circle"):
        assert f"The link {root}/{left_out} " in caplog.text


def test_links_stay_and_those_that_escape_are_left_out(root):
    assert described(snapshot(root, SymlinkPolicy.EXCLUDE_ESCAPING)) == (PLAIN, KEPT, FOLDERS)


def test_all_links_are_left_out(root):
    assert described(snapshot(root, "EXCLUDE_ALL")) == (PLAIN, {}, FOLDERS)


def test_all_links_are_replaced(root):
    files, links, folders = described(snapshot(root, SymlinkPolicy.COLLAPSE_ALL))
    assert links == {}
    assert files >= PLAIN | {
        "inside",
        "chain",
        "sub/up",
        "absolute",
        "escapes",
        "to_escaping",
        "escaping_folder/x",
    }
    assert {"to_folder/file", "to_folder/up"} <= files
    assert folders >= FOLDERS | {"to_folder", "to_folder/deep", "escaping_folder"}
    assert not any("circle" in file for file in files)


def test_execute_bits_and_round_trip(root):
    manifest = snapshot(root)
    assert {entry.path for entry in manifest.paths if entry.runnable} == {"tool"}
    text = manifest.encode()
    assert decode_manifest(text).encode() == text
    assert json.loads(text)["totalSize"] == sum(entry.size for entry in manifest.paths)


def test_patterns_choose(root):
    files, links, folders = described(snapshot(root, include=["sub/**"], exclude=["**/up"]))
    assert (files, links, folders) == ({"sub/file"}, {}, {"sub/deep"})
    with pytest.raises(ValueError, match="leads out of the root"):
        snapshot(root, include=["../outside/*"])


def test_an_unknown_policy(root):
    with pytest.raises(ValueError, match="KEEP"):
        snapshot(root, "KEEP")


@pytest.fixture
def earlier(root) -> str:
    """A snapshot of the tree, as a file."""
    path = root.parent / "earlier.manifest"
    path.write_text(snapshot(root).encode())
    return str(path)


def changed(root: Path) -> None:
    """Changes something of every kind."""
    (root / "sub" / "file").write_text("longer than before")
    (root / "new").mkdir()
    (root / "new" / "x").write_text("x")
    (root / "empty").rmdir()
    (root / "tool").chmod(0o644)
    (root / "inside").unlink()
    (root / "inside").symlink_to("new/x")
    (root / "escapes").unlink()


@pytest.mark.parametrize("force_rehash", [False, True])
def test_a_diff_leads_from_the_earlier_snapshot_to_the_tree(root, earlier, force_rehash):
    changed(root)
    lines = []
    diff = snapshot(root, diff=earlier, force_rehash=force_rehash, print_function_callback=lines.append)
    before = decode_manifest(Path(earlier).read_text())
    assert diff.manifest_type == ManifestType.DIFF
    now = snapshot(root)
    reached = apply_diffs(before, [diff])
    assert json.loads(reached.encode()) == json.loads(now.encode())
    assert {entry.path for entry in diff.paths if entry.deleted} == {"escapes", "to_escaping"}
    # `chain` leads to `inside`: it stays what it was.
    others = {entry.path for entry in diff.paths if not entry.deleted}
    assert others == {"sub/file", "new/x", "tool", "inside"}
    assert {(folder.path, folder.deleted) for folder in diff.dirs} == {("new", False), ("empty", True)}
    found = [line for line in lines if line.startswith("Found difference at: ")]
    assert f"Found difference at: new/x, Status: {FileStatus.NEW}" in found
    assert f"Found difference at: sub/file, Status: {FileStatus.MODIFIED}" in found
    assert f"Found difference at: escapes, Status: {FileStatus.DELETED}" in found
    assert len(found) == 6


def test_a_diff_without_differences_is_none_and_reads_nothing(root, earlier):
    heard = []
    options = {
        "root": str(root),
        "destination": str(root.parent / "none"),
        "name": "n",
        "diff": earlier,
        "telemetry_callback": heard.append,
        # An empty cache: what is not read is known from the snapshot.
        "hash_cache_dir": str(root.parent / "another cache"),
        "manifest_version": ManifestVersion.v2025_12_04_beta,
    }
    assert manifest_snapshot(**options) is None
    assert not (root.parent / "none").exists()
    assert (heard[0].processed_files, heard[0].skipped_files) == (0, 5)
    assert manifest_snapshot(**options, force_rehash=True) is None
    assert (heard[1].processed_files, heard[1].skipped_files) == (5, 0)


def test_a_time_within_a_microsecond_is_no_change(root, earlier):
    stat = (root / "tool").stat()
    os.utime(root / "tool", ns=(stat.st_atime_ns, stat.st_mtime_ns + 1000))
    result = manifest_snapshot(
        root=str(root),
        destination=str(root.parent / "out"),
        name="n",
        diff=earlier,
        manifest_version=ManifestVersion.v2025_12_04_beta,
    )
    assert result is None


def test_everything_deleted(root, earlier):
    shutil.rmtree(root)
    root.mkdir()
    diff = snapshot(root, diff=earlier)
    assert all(entry.deleted for entry in [*diff.paths, *diff.dirs])
    assert not apply_diffs(decode_manifest(Path(earlier).read_text()), [diff]).paths


def test_a_diff_against_another_version_is_refused(root, tmp_path):
    made = manifest_snapshot(root=str(root / "sub"), destination=str(tmp_path / "old"), name="n")
    with pytest.raises(NotImplementedError):
        snapshot(root, diff=made.manifest)


def submitted(root, inputs, policy=SymlinkPolicy.COLLAPSE_ESCAPING):
    """What a submission of some files makes of them."""
    manager = S3AssetManager(
        asset_manifest_version=ManifestVersion.v2025_12_04_beta, symlink_policy=policy, session=None
    )
    group = AssetRootGroup(root_path=str(root), inputs={root / name for name in inputs})
    _, manifests = manager.hash_assets_and_create_manifest([group], 0, 0, str(root.parent / "cache"))
    manifest = manifests[0].asset_manifest
    assert decode_manifest(manifest.encode()).encode() == manifest.encode()
    return described(manifest)


INPUTS = ["sub/file", "tool", "inside", "chain", "sub/up", "absolute", "escapes", "to_escaping"]


def test_a_submission_keeps_links_whose_targets_it_has(root):
    files, links, folders = submitted(root, INPUTS)
    assert links == {name: target for name, target in KEPT.items() if name != "to_folder"}
    assert files == PLAIN | {"escapes", "to_escaping"}
    assert folders == {"sub"}
    # What a link points to is not among the inputs.
    assert submitted(root, ["inside", "sub/file"]) == ({"sub/file"}, {"inside": "sub/file"}, {"sub"})
    assert submitted(root, ["inside"]) == ({"inside"}, {}, set())
    # A directory that is a link is a directory here.
    assert submitted(root, ["to_folder/file"]) == ({"to_folder/file"}, {}, {"to_folder"})


def test_the_other_policies_of_a_submission(root):
    assert submitted(root, INPUTS, "COLLAPSE_ALL") == (set(INPUTS), {}, {"sub"})
    kept = {name: target for name, target in KEPT.items() if name != "to_folder"}
    assert submitted(root, INPUTS, SymlinkPolicy.EXCLUDE_ESCAPING) == (PLAIN, kept, {"sub"})
    assert submitted(root, INPUTS, SymlinkPolicy.EXCLUDE_ALL) == (PLAIN, {}, {"sub"})
    with pytest.raises(ValueError, match="KEEP"):
        S3AssetManager(symlink_policy="KEEP")


def test_a_submission_refuses_what_is_missing(root):
    with pytest.raises(AssetSyncError, match="nowhere"):
        submitted(root, ["nowhere"])
    with pytest.raises(AssetSyncError, match="dead"):
        submitted(root, ["dead"])


def test_large_files_are_hashed_in_chunks(root):
    """A sparse file of a little more than two chunks: three hashes, known the second time."""
    large = root / "large"
    size = 2 * 256 * 1024 * 1024 + 5
    with large.open("wb") as file:
        file.truncate(size)
    heard = []
    manifest = snapshot(root, telemetry_callback=heard.append)
    entry = next(entry for entry in manifest.paths if entry.path == "large")
    assert entry.size == size
    assert entry.hash is None
    assert len(entry.chunkhashes) == 3
    assert entry.chunkhashes[0] == entry.chunkhashes[1] != entry.chunkhashes[2]
    assert heard[0].skipped_files == 0
    snapshot(root, telemetry_callback=heard.append)
    assert heard[1].processed_files == 0
    assert heard[1].skipped_bytes == heard[0].processed_bytes


def test_a_tree_of_empty_directories_is_a_manifest(tmp_path):
    (tmp_path / "root" / "a" / "b").mkdir(parents=True)
    assert described(snapshot(tmp_path / "root")) == (set(), {}, {"a", "a/b"})
