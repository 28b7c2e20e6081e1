"""What models and helpers do where the reference does otherwise."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import pytest
from rusty_attachments import exceptions, models, os_file_permission, version
from rusty_attachments._version import __version_tuple__
from rusty_attachments.api.manifest_files import read_manifests
from rusty_attachments.asset_manifests import HashAlgorithm, hash_data
from rusty_attachments.asset_manifests.v2023_03_03 import AssetManifest, ManifestPath


def manifest(*paths):
    entries = [ManifestPath(path=path, hash="a" * 32, size=2, mtime=1) for path in paths]
    return AssetManifest(hash_alg=HashAlgorithm.XXH128, paths=entries, total_size=2 * len(paths))


def test_path_groups_leave_their_manifests_alone():
    first, second, third = manifest("b", "a"), manifest("c"), manifest("d")
    group, other = models.ManifestPathGroup(), models.ManifestPathGroup()
    group.add_manifest_to_group(first)
    group.add_manifest_to_group(second)
    other.add_manifest_to_group(third)
    group.combine_with_group(other)
    assert group.get_all_paths() == ["a", "b", "c", "d"]
    assert group.total_bytes == 8
    assert [len(each.paths) for each in (first, second, third)] == [2, 1, 1]
    assert other.get_all_paths() == ["d"]


def test_families_of_other_types():
    with pytest.raises(ValueError, match="3 is not a valid"):
        models.StorageProfileOperatingSystemFamily(3)


def test_windows_permissions_differ():
    permissions = os_file_permission.WindowsPermissionEnum
    assert permissions.READ != permissions.FULL_CONTROL
    assert len({*permissions}) == 5
    settings = os_file_permission.WindowsFileSystemPermissionSettings(
        "user", permissions.READ, permissions.WRITE
    )
    assert pickle.loads(pickle.dumps(settings)) == copy.deepcopy(settings) == settings
    names = [field.name for field in dataclasses.fields(os_file_permission.PosixFileSystemPermissionSettings)]
    assert names == ["os_user", "os_group", "dir_mode", "file_mode"]


def test_rules_hash_their_source():
    rule = models.PathMappingRule("posix", "/mnt/é", "/local")
    assert rule.get_hashed_source_path(HashAlgorithm.XXH128) == hash_data(
        "/mnt/é".encode(), HashAlgorithm.XXH128
    )


def test_manifest_files_of_one_name(tmp_path, monkeypatch):
    files = []
    for number, folder in enumerate(("one", "two")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same").write_text(manifest(f"path {number}").encode())
        files.append(str(tmp_path / folder / "same"))
    with pytest.raises(exceptions.NonValidInputError, match="have the same file name"):
        read_manifests(files)
    # The same file twice is one file.
    monkeypatch.chdir(tmp_path)
    found = read_manifests([files[0], "one/same"])
    assert [entry.path for entry in found["same"].paths] == ["path 0"]
    with pytest.raises(exceptions.NonValidInputError) as error:
        read_manifests([files[0], str(tmp_path), "missing"])
    assert str(error.value) == f"Specified manifests ['{tmp_path}', 'missing'] are not valid."


def test_versions():
    assert version.startswith(".".join(map(str, __version_tuple__)))
    assert len(__version_tuple__) == 3
