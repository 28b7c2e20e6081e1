"""A hash that a cache had wrong: the upload fails by name, and the next try works."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from rusty_attachments.asset_manifests import HashAlgorithm, hash_data
from rusty_attachments.exceptions import AssetSyncError
from rusty_attachments.models import JobAttachmentS3Settings
from rusty_attachments.upload import S3AssetManager


def submit(manager: S3AssetManager, root: Path, caches: Path):
    files = [str(path) for path in sorted(root.iterdir())]
    group = manager.prepare_paths_for_upload(files, [], [])
    _, manifests = manager.hash_assets_and_create_manifest(
        group.asset_groups, group.total_input_files, group.total_input_bytes, hash_cache_dir=str(caches)
    )
    return manager.upload_assets(manifests, s3_check_cache_dir=str(caches))


def test_a_wrong_row_of_the_references_table_fails_one_submission(rig, rig_bucket, tmp_path):
    root, caches = tmp_path / "root", tmp_path / "caches"
    root.mkdir()
    for name in ("a", "b", "c"):
        (root / name).write_bytes(name.encode() * 900)
    manager = S3AssetManager("farm-1", "queue-1", JobAttachmentS3Settings(rig_bucket, "prefix"))
    submit(manager, root, caches)
    rig.delete(rig_bucket, f"prefix/Data/{hash_data(b'b' * 900, HashAlgorithm.XXH128)}.xxh128")
    (caches / "s3_check_cache.db").unlink()
    with sqlite3.connect(caches / "hash_cache.db") as database:
        database.execute("DELETE FROM rustyAttachmentsV1")
        changed = database.execute(
            "UPDATE hashesV4 SET file_hash=? WHERE file_path=?", ("0" * 32, str(root / "b").encode())
        )
        assert changed.rowcount == 1
    with pytest.raises(AssetSyncError, match="root/b: changed after it was hashed"):
        submit(manager, root, caches)
    statistics, _ = submit(manager, root, caches)
    assert statistics.processed_files == 1
    assert (
        rig.get(rig_bucket, f"prefix/Data/{hash_data(b'b' * 900, HashAlgorithm.XXH128)}.xxh128") == b"b" * 900
    )
