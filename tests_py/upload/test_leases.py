"""A source file that another process holds a lease on is waited for, as the reference does."""

from __future__ import annotations

from pathlib import Path

import pytest
from deadline.job_attachments.asset_manifests import HashAlgorithm as ReferenceAlgorithm
from deadline.job_attachments.asset_manifests import hash_file as reference_hash_file
from rig.leases import lease
from rusty_attachments.api.manifest import manifest_snapshot
from rusty_attachments.asset_manifests.decode import decode_manifest
from upload.conftest import manifest_of


@pytest.fixture
def leased(tmp_path: Path) -> Path:
    path = tmp_path / "tree" / "folder" / "leased"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"contents")
    return path


def test_the_reference_waits(leased):
    with lease(leased, for_s=0.3):
        reference_hash_file(str(leased), ReferenceAlgorithm.XXH128)


@pytest.mark.parametrize("is_link", [False, True])
def test_a_snapshot_waits(leased, tmp_path, is_link):
    root = leased.parents[1]
    if is_link:
        outside = tmp_path / "outside"
        leased.rename(outside)
        leased.symlink_to(outside)
    with lease(leased, for_s=0.3):
        taken = manifest_snapshot(
            root=str(root), destination=str(tmp_path / "out"), name="n", hash_cache_dir=str(tmp_path / "c")
        )
    assert [entry.size for entry in decode_manifest(Path(taken.manifest).read_text()).paths] == [8]


def test_an_upload_waits(leased, upload, stored):
    manifest = manifest_of(leased.parents[1])
    with lease(leased, for_s=0.3):
        upload(leased.parents[1], manifest)
    assert list(stored().values()) == [8]
