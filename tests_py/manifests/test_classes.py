"""The Python classes behave as the reference's dataclasses do."""

import copy
import dataclasses
import json
import pickle
import sys

import pytest
from rusty_attachments.asset_manifests import (
    BaseAssetManifest,
    BaseManifestPath,
    HashAlgorithm,
    ManifestVersion,
)
from rusty_attachments.asset_manifests._canonical_json import (
    canonical_path_comparator,
    manifest_to_canonical_json_string,
)
from rusty_attachments.asset_manifests.decode import decode_manifest
from rusty_attachments.asset_manifests.v2023_03_03 import AssetManifest, ManifestPath
from rusty_attachments.asset_manifests.v2023_03_03.validate import validate_manifest_2023_03_03

TEXT = (
    '{"hashAlg":"xxh128","manifestVersion":"2023-03-03","paths":['
    '{"hash":"99aa06d3014798d86001c324468d497f","mtime":1700000000000000,"path":"a/x.exr","size":3},'
    '{"hash":"b","mtime":2,"path":"caf\\u00e9","size":4},'
    '{"hash":"d","mtime":4,"path":"z\\udcff","size":6},'
    '{"hash":"c","mtime":3,"path":"\\ud83d\\ude00","size":5},'
    '{"hash":"e","mtime":5,"path":"\\ufb33","size":-7}'
    '],"totalSize":11}'
)


@pytest.fixture
def manifest():
    return decode_manifest(TEXT)


def shuffled(manifest):
    order = [3, 0, 4, 2, 1]
    return AssetManifest(
        hash_alg=HashAlgorithm.XXH128, paths=[manifest.paths[i] for i in order], total_size=11
    )


def test_round_trip_is_byte_for_byte(manifest):
    assert json.dumps(json.loads(TEXT), sort_keys=True, separators=(",", ":")) == manifest.encode()


def test_paths_are_a_list_in_all_that_is_done_to_it(manifest):
    paths = manifest.paths
    plain = [
        ManifestPath(path=p.path, hash=p.hash, size=p.size, mtime=p.mtime)
        for p in decode_manifest(TEXT).paths
    ]
    assert isinstance(paths, list)
    assert len(paths) == 5
    assert paths[0] is paths[0]
    assert paths[-1].path == "\ufb33"
    assert [p.path for p in paths[1:3]] == ["café", "z\udcff"]
    assert paths == plain
    assert plain == paths
    assert list(reversed(paths)) == plain[::-1]
    assert decode_manifest(TEXT).paths + [1] == [*plain, 1]  # noqa: RUF005
    assert [1] + decode_manifest(TEXT).paths == [1, *plain]  # noqa: RUF005
    assert json.loads(json.dumps(dataclasses.asdict(decode_manifest(TEXT)))) == json.loads(TEXT)
    assert sorted(decode_manifest(TEXT).paths, key=lambda p: p.size)[0].size == -7
    with pytest.raises(IndexError, match="list index out of range"):
        paths[5]
    with pytest.raises(TypeError, match="list indices must be integers or slices, not str"):
        paths["a"]


@pytest.mark.parametrize(
    "change",
    [
        lambda paths: paths.append(paths[0]),
        lambda paths: paths.extend(list(paths)),
        lambda paths: paths.insert(1, paths[4]),
        lambda paths: paths.pop(),
        lambda paths: paths.pop(0),
        lambda paths: paths.remove(paths[2]),
        lambda paths: paths.reverse(),
        lambda paths: paths.sort(key=lambda p: p.size),
        lambda paths: paths.clear(),
        lambda paths: paths.__setitem__(0, paths[1]),
        lambda paths: paths.__setitem__(slice(1, 3), []),
        lambda paths: paths.__delitem__(0),
        lambda paths: paths.__iadd__([paths[1]]),
        lambda paths: paths.__imul__(2),
    ],
)
def test_changes_are_those_of_a_list(change):
    lazy = decode_manifest(TEXT).paths
    plain = list(decode_manifest(TEXT).paths)
    change(lazy)
    change(plain)
    assert lazy == plain
    assert [p.path for p in lazy] == [p.path for p in plain]


def test_a_change_of_an_entry_is_encoded(manifest):
    manifest.paths[1].path = "0first"
    manifest.paths[1].size = 40
    decoded = decode_manifest(manifest.encode())
    assert (decoded.paths[0].path, decoded.paths[0].size) == ("0first", 40)
    assert manifest.paths[0].path == "0first", "encode sorts what was touched along with the rest"
    assert len(decoded.paths) == 5


def test_a_walk_that_is_cut_short_keeps_the_rest_lazy(manifest):
    for entry in manifest.paths:
        entry.mtime += 1
        break
    assert manifest.paths._rows is not None
    assert decode_manifest(manifest.encode()).paths[0].mtime == 1700000000000001


def test_growing_while_walking(manifest):
    seen = []
    for entry in manifest.paths:
        seen.append(entry)
        if len(seen) == 1:
            manifest.paths.append(entry)
    assert len(seen) == 6
    assert seen[-1] is seen[0]


def test_encode_sorts_the_list_in_place(manifest):
    mixed = shuffled(manifest)
    paths = mixed.paths
    assert mixed.encode() == manifest.encode()
    assert mixed.paths is paths
    assert [p.path for p in paths] == [p.path for p in decode_manifest(TEXT).paths]


def test_dataclass_manners(manifest):
    assert [f.name for f in dataclasses.fields(manifest)] == [
        "hashAlg",
        "paths",
        "manifestVersion",
        "totalSize",
    ]
    assert [f.name for f in dataclasses.fields(ManifestPath)] == ["path", "hash", "size", "mtime"]
    assert copy.copy(manifest).paths is manifest.paths
    deep = copy.deepcopy(manifest)
    assert deep == manifest
    deep.paths[0].size = 99
    assert deep != manifest
    assert manifest.paths[0].size == 3
    thawed = pickle.loads(pickle.dumps(manifest))
    assert thawed == manifest
    assert thawed.encode() == manifest.encode()
    entry = manifest.paths[0]
    entry.note = "mine"
    assert manifest.paths[0].note == "mine"
    del entry.hash
    with pytest.raises(AttributeError):
        manifest.encode()
    with pytest.raises(TypeError):
        ManifestPath("a", "b", 1, 2)
    with pytest.raises(TypeError):
        AssetManifest(HashAlgorithm.XXH128, [], 0)
    with pytest.raises(TypeError):
        hash(entry)
    assert dataclasses.asdict(manifest.paths[1]) == {"path": "café", "hash": "b", "size": 4, "mtime": 2}


def test_isinstance_works_in_both_directions(manifest):
    created_before = manifest
    from deadline.job_attachments.asset_manifests import base_manifest as theirs
    from deadline.job_attachments.asset_manifests.v2023_03_03 import asset_manifest as theirs_2023

    assert "deadline.job_attachments.asset_manifests" in sys.modules
    assert isinstance(created_before, theirs.BaseAssetManifest)
    assert isinstance(created_before, theirs_2023.AssetManifest)
    assert isinstance(created_before.paths[0], theirs.BaseManifestPath)
    assert isinstance(created_before.paths[0], theirs_2023.ManifestPath)
    assert not isinstance(created_before, theirs.BaseManifestPath)
    their_path = theirs_2023.ManifestPath(path="a/x.exr", hash="1", size=1, mtime=2)
    assert isinstance(their_path, BaseManifestPath)
    assert isinstance(their_path, ManifestPath)
    their_manifest = theirs_2023.AssetManifest(
        hash_alg=theirs.HashAlgorithm.XXH128, paths=[their_path], total_size=1
    )
    assert isinstance(their_manifest, BaseAssetManifest)
    assert isinstance(their_manifest, AssetManifest)
    assert not isinstance(their_manifest, BaseManifestPath)
    assert not isinstance("text", BaseAssetManifest)


def test_the_version_is_set(manifest):
    assert manifest.manifestVersion is ManifestVersion.v2023_03_03
    assert manifest.hashAlg is HashAlgorithm.XXH128
    assert manifest.paths[0].manifest_version is ManifestVersion.v2023_03_03


def test_canonical_functions():
    """Names of the reference's modules `_canonical_json` and `validate`."""
    paths = [ManifestPath(path=name, hash="a", size=1, mtime=2) for name in ("\ufb33", "\U0001f600")]
    manifest = AssetManifest(hash_alg=HashAlgorithm.XXH128, paths=paths, total_size=2)
    text = manifest_to_canonical_json_string(manifest)
    assert text == manifest.encode()
    assert [entry.path for entry in manifest.paths] == ["\U0001f600", "\ufb33"]
    assert sorted(paths, key=canonical_path_comparator) == manifest.paths
    assert canonical_path_comparator(ManifestPath(path="\udcff", hash="a", size=1, mtime=2)) == b"\xdc\xff"
    document = json.loads(text)
    assert validate_manifest_2023_03_03(document) == (True, None)
    del document["paths"]
    assert validate_manifest_2023_03_03(document) == (
        False,
        "manifest is missing required field(s) ['paths']",
    )
