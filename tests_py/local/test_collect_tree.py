"""Snapshots of version 2025-12-04-beta: directories, execute bits, and links under the four policies."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from rusty_attachments.api.manifest import SymlinkPolicy, manifest_snapshot
from rusty_attachments.asset_manifests import ManifestVersion
from rusty_attachments.asset_manifests.decode import decode_manifest


@pytest.fixture
def root(tmp_path) -> Path:
    """A tree with a link of every kind."""
    root = tmp_path / "root"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "sub" / "file").write_text("file")
    (root / "tool").write_text("#!")
    (root / "tool").chmod(0o755)
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


def test_an_unknown_policy_and_a_diff(root):
    with pytest.raises(ValueError, match="KEEP"):
        snapshot(root, "KEEP")
    with pytest.raises(NotImplementedError, match="diff"):
        snapshot(root, diff="x")


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
