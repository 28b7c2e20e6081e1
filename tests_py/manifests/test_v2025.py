"""Manifests of version 2025-12-04-beta from Python."""

import copy
import dataclasses
import json
import pickle

import pytest
from rusty_attachments.asset_manifests import (
    HashAlgorithm,
    ManifestModelRegistry,
    ManifestVersion,
    operations,
)
from rusty_attachments.asset_manifests.decode import decode_manifest, validate_manifest
from rusty_attachments.asset_manifests.v2023_03_03 import AssetManifest as AssetManifest2023
from rusty_attachments.asset_manifests.v2025_12_04 import (
    AssetManifest,
    ManifestDirectoryPath,
    ManifestFilePath,
    ManifestType,
)
from rusty_attachments.exceptions import ManifestDecodeValidationError

HASH = "99aa06d3014798d86001c324468d497f"
MEBI = 1024 * 1024


def example(**changes):
    arguments = {
        "hash_alg": HashAlgorithm.XXH128,
        "paths": [
            ManifestFilePath(path="bin/run", hash=HASH, size=3, mtime=7, runnable=True),
            ManifestFilePath(path="assets/big.bin", chunkhashes=["a", "b"], size=257 * MEBI, mtime=8),
            ManifestFilePath(path="assets/current", symlink_target="assets/shared/latest.png"),
            ManifestFilePath(path="assets/shared/latest.png", hash=HASH, size=4, mtime=9),
        ],
        "total_size": 257 * MEBI + 7,
        "dirs": [
            ManifestDirectoryPath("assets/shared"),
            ManifestDirectoryPath("assets"),
            ManifestDirectoryPath("empty"),
        ],
    }
    return AssetManifest(**{**arguments, **changes})


def test_the_text_is_what_the_format_says():
    assert example().encode() == (
        '{"dirs":[{"name":"assets"},{"name":"$0/shared"},{"name":"empty"}],'
        '"files":[{"chunkhashes":["a","b"],"mtime":8,"name":"$0/big.bin","size":269484032},'
        '{"name":"$0/current","symlink":{"name":"$1/latest.png"}},'
        f'{{"hash":"{HASH}","mtime":9,"name":"$1/latest.png","size":4}},'
        f'{{"hash":"{HASH}","mtime":7,"name":"bin/run","runnable":true,"size":3}}],'
        '"hashAlg":"xxh128","manifestVersion":"2025-12-04-beta","totalSize":269484039}'
    )


def test_objects_come_back_as_they_went():
    manifest = example()
    text = manifest.encode()
    decoded = decode_manifest(text)
    assert isinstance(decoded, AssetManifest)
    assert decoded.manifest_type is ManifestType.SNAPSHOT
    assert decoded.files is decoded.paths
    assert decoded.paths == manifest.paths
    assert decoded.dirs == sorted(manifest.dirs, key=lambda directory: directory.path)
    assert decoded.encode() == text
    for again in (copy.deepcopy(decoded), pickle.loads(pickle.dumps(decoded))):
        assert again == decoded
        assert again.encode() == text
    assert AssetManifest.decode(manifest_data=json.loads(text)).encode() == text
    json.dumps(dataclasses.asdict(decoded))


def test_a_changed_entry_or_directory_is_encoded():
    manifest = decode_manifest(example().encode())
    manifest.paths[3].runnable = False
    manifest.dirs[2].path = "full"
    decoded = decode_manifest(manifest.encode())
    assert [d.path for d in decoded.dirs] == ["assets", "assets/shared", "full"]
    assert not decoded.paths[3].runnable
    manifest.paths.append(ManifestFilePath(path="new", hash="1", size=1, mtime=1))
    manifest.dirs.append(ManifestDirectoryPath("more"))
    assert len(decode_manifest(manifest.encode()).paths) == 5
    size, manifest.paths[0].size = manifest.paths[0].size, "1"
    with pytest.raises(TypeError, match="size must be an integer"):
        manifest.encode()
    manifest.paths[0].size = size
    manifest.paths[0].hash = "1"
    with pytest.raises(TypeError, match="only one of hash, chunkhashes"):
        manifest.encode()


def test_what_could_not_be_read_again_is_not_written():
    for entry, problem in [
        (ManifestFilePath(path="../x", hash="1"), "'..' component"),
        (ManifestFilePath(path="x", deleted=True), "no diff"),
        (ManifestFilePath(path="x", hash="1", size=-1), "negative size"),
        (ManifestFilePath(path="x", chunkhashes=["1"], size=5), "more than 268435456 bytes"),
        (ManifestFilePath(path="x", symlink_target="/etc/passwd"), "is absolute"),
        (ManifestFilePath(path="empty", hash="1"), "is also a directory"),
    ]:
        with pytest.raises(ManifestDecodeValidationError, match=problem):
            example(paths=[entry]).encode()


def test_diffs_are_computed_and_applied():
    parent, current = example(), example()
    current.paths[0].size = 30
    del current.paths[2]
    current.paths.append(ManifestFilePath(path="new", hash="1", size=1, mtime=1))
    current.dirs = current.dirs[:2]
    current.totalSize = 257 * MEBI + 35
    diff = operations.compute_diff(parent, current)
    assert diff.manifest_type is ManifestType.DIFF
    assert sorted((p.path, p.deleted) for p in diff.paths) == [
        ("assets/current", True),
        ("bin/run", False),
        ("new", False),
    ]
    assert [(d.path, d.deleted) for d in diff.dirs] == [("empty", True)]
    read = decode_manifest(diff.encode())
    assert read == diff or read.encode() == diff.encode()
    assert operations.apply_diffs(parent, [read]).encode() == current.encode()
    with pytest.raises(ManifestDecodeValidationError, match="the diff is against manifest"):
        operations.apply_diffs(current, [read])
    with pytest.raises(NotImplementedError):
        operations.apply_diffs(parent, [current])
    with pytest.raises(NotImplementedError):
        operations.merge_asset_manifests([parent, diff])


def test_parts_and_prefixes():
    manifest = example()
    moved = operations.with_prefix(manifest, "proj")
    assert operations.subtree(moved, "proj").encode() == manifest.encode()
    parts, rest = operations.partition(manifest, ["assets", "bin"])
    assert [p.path for p in parts["bin"].paths] == ["run"]
    assert parts["assets"].paths[1].symlink_target == "shared/latest.png"
    assert [d.path for d in rest.dirs] == ["assets", "empty"] or {d.path for d in rest.dirs} == {
        "assets",
        "empty",
    }
    with pytest.raises(NotImplementedError, match="leads out of its part"):
        operations.partition(manifest, ["assets/shared"])
    with pytest.raises(ValueError, match=r"'\.\.' component"):
        operations.subtree(manifest, "../x")


def test_versions_convert_where_nothing_is_lost():
    with pytest.raises(ManifestDecodeValidationError, match='has no place for directory "assets/shared"'):
        operations.convert(example(), ManifestVersion.v2023_03_03)
    plain = example(paths=[ManifestFilePath(path="a", hash="1", size=1, mtime=2)], dirs=[], total_size=1)
    older = operations.convert(plain, ManifestVersion.v2023_03_03)
    assert isinstance(older, AssetManifest2023)
    newer = operations.convert(older, ManifestVersion.v2025_12_04_beta)
    assert newer.encode() == plain.encode()
    with pytest.raises(NotImplementedError, match="different versions"):
        operations.merge_asset_manifests([plain, older])
    diff = operations.compute_diff(plain, plain)
    with pytest.raises(NotImplementedError, match="Merging diff manifests is not supported"):
        operations.merge_asset_manifests([diff, diff])
    older.paths[0].path = "../a"
    with pytest.raises(ManifestDecodeValidationError, match=r"'\.\.' component"):
        operations.convert(older, ManifestVersion.v2025_12_04_beta)


def test_the_registry_knows_the_version():
    model = ManifestModelRegistry.get_manifest_model(version=ManifestVersion.v2025_12_04_beta)
    assert model.AssetManifest is AssetManifest
    with pytest.raises(RuntimeError, match="No model for asset manifest version"):
        ManifestModelRegistry.get_manifest_model(version=ManifestVersion.UNDEFINED)
    document = json.loads(example().encode())
    assert validate_manifest(document, ManifestVersion.v2025_12_04_beta) == (True, None)
    del document["dirs"]
    problem = "manifest is missing required field(s) ['dirs']"
    assert validate_manifest(document, ManifestVersion.v2025_12_04_beta) == (False, problem)
