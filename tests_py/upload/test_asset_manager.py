"""`S3AssetManager`: what a submission uploads, and what it gets back."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from rusty_attachments.asset_manifests import HashAlgorithm, ManifestVersion, hash_data
from rusty_attachments.download import download_files_from_manifests, get_manifest_from_s3
from rusty_attachments.exceptions import (
    AssetSyncCancelledError,
    AssetSyncError,
    JobAttachmentsError,
    MissingS3BucketError,
    MissingS3RootPrefixError,
)
from rusty_attachments.models import AssetRootManifest, JobAttachmentS3Settings
from rusty_attachments.upload import S3AssetManager
from upload.conftest import manifest_of


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "one.txt").write_bytes(b"one")
    (root / "sub" / "two.txt").write_bytes(b"two two")
    (root / "same.txt").write_bytes(b"one")
    return root


@pytest.fixture
def manager(rig_bucket: str) -> S3AssetManager:
    return S3AssetManager("farm-1", "queue-1", JobAttachmentS3Settings(rig_bucket, "prefix"))


def test_files_and_manifest_are_uploaded_and_described(rig, rig_bucket, manager, tree, tmp_path):
    root = AssetRootManifest(
        root_path=str(tree),
        asset_manifest=manifest_of(tree, "one.txt", "sub/two.txt", "same.txt"),
        outputs=[tree / "out", tree],
    )
    statistics, attachments = manager.upload_assets([root], s3_check_cache_dir=str(tmp_path / "cache"))
    assert (statistics.total_files, statistics.total_bytes) == (3, 13)
    assert (statistics.processed_files, statistics.processed_bytes) == (2, 10)
    assert (statistics.skipped_files, statistics.skipped_bytes) == (1, 3)
    assert statistics.transfer_rate == statistics.processed_bytes / statistics.total_time

    (properties,) = attachments.manifests
    assert properties.outputRelativeDirectories == ["out", "."]
    name = hash_data(str(tree).encode(), HashAlgorithm.XXH128) + "_input"
    partial = properties.inputManifestPath
    assert partial.startswith("farm-1/queue-1/Inputs/")
    assert partial.endswith("/" + name)
    text = rig.get(rig_bucket, f"prefix/Manifests/{partial}")
    assert properties.inputManifestHash == hash_data(text, HashAlgorithm.XXH128)
    assert [path["path"] for path in json.loads(text)["paths"]] == ["one.txt", "same.txt", "sub/two.txt"]
    stored = {row["key"]: row["xxh128"] for row in rig.objects(rig_bucket, "prefix/Data/", hashed=True)}
    assert len(stored) == 2
    assert all(key == f"prefix/Data/{digest}.xxh128" for key, digest in stored.items())


def test_a_root_without_files_has_no_manifest(rig, rig_bucket, manager, tree):
    root = AssetRootManifest("location", str(tree), None, [tree / "out"])
    statistics, attachments = manager.upload_assets([root])
    (properties,) = attachments.manifests
    assert properties.inputManifestPath is None
    assert properties.fileSystemLocationName == "location"
    assert statistics.total_files == 0
    assert rig.objects(rig_bucket) == []


def test_the_second_upload_asks_for_a_sample_only(rig, rig_bucket, manager, tree, tmp_path):
    root = AssetRootManifest(root_path=str(tree), asset_manifest=manifest_of(tree, "one.txt", "sub/two.txt"))
    cache = str(tmp_path / "cache")
    manager.upload_assets([root], s3_check_cache_dir=cache)
    rig.reset()
    statistics, _ = manager.upload_assets([root], s3_check_cache_dir=cache)
    assert statistics.skipped_files == 2
    assert rig.stats()["operations"] == {"HeadObject": 2, "PutObject": 1}


def test_more_cached_files_than_a_sample_has_are_checked_by_one_listing(rig, rig_bucket, manager, tmp_path):
    names = [f"{number:02}" for number in range(40)]
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    root = AssetRootManifest(root_path=str(tmp_path), asset_manifest=manifest_of(tmp_path, *names))
    cache = str(tmp_path / "cache")
    manager.upload_assets([root], s3_check_cache_dir=cache)
    rig.reset()
    statistics, _ = manager.upload_assets([root], s3_check_cache_dir=cache)
    assert statistics.skipped_files == 40
    assert rig.stats()["operations"] == {"HeadObject": 30, "ListObjectsV2": 1, "PutObject": 1}

    # A listing that does not answer holds nobody who wants to stop.
    rig.reset()
    rig.rules({"operation": "ListObjectsV2", "fault": {"kind": "stall"}})
    with pytest.raises(AssetSyncCancelledError, match=r"File upload cancelled\."):
        manager.upload_assets(
            [root], lambda _report: rig.count("ListObjectsV2") == 0, s3_check_cache_dir=cache
        )
    assert rig.stats()["operations"] == {"HeadObject": 30, "ListObjectsV2": 1}


def test_a_missing_file_is_an_error_that_names_it_and_no_manifest_is_stored(
    rig, rig_bucket, manager, tree, tmp_path
):
    manifest = manifest_of(tree, "one.txt", "sub/two.txt")
    (tree / "one.txt").unlink()
    root = AssetRootManifest(root_path=str(tree), asset_manifest=manifest)
    with pytest.raises(AssetSyncError, match=r"one\.txt: the file does not exist"):
        manager.upload_assets([root], s3_check_cache_dir=str(tmp_path / "cache"))
    assert [row["size"] for row in rig.objects(rig_bucket)] == [7]


def test_a_callback_that_says_no_cancels(rig, rig_bucket, manager, tree, tmp_path):
    root = AssetRootManifest(root_path=str(tree), asset_manifest=manifest_of(tree, "one.txt"))
    with pytest.raises(AssetSyncCancelledError, match=r"File upload cancelled\.") as error:
        manager.upload_assets([root], lambda _report: False, s3_check_cache_dir=str(tmp_path / "cache"))
    assert error.value.summary_statistics.total_files == 1


def test_constructor_checks():
    with pytest.raises(MissingS3BucketError, match="the 's3BucketName' must be set"):
        S3AssetManager("farm", "queue", JobAttachmentS3Settings("", "prefix"))
    with pytest.raises(MissingS3RootPrefixError, match="the 'rootPrefix' must be set"):
        S3AssetManager("farm", "queue", JobAttachmentS3Settings("bucket", ""))
    with pytest.raises(AssetSyncError, match="'s3_max_pool_connections' \\(0\\) must be positive integer"):
        S3AssetManager(s3_max_pool_connections=0)
    with pytest.raises(AssetSyncError, match="'small_file_threshold_multiplier' \\(-1\\)"):
        S3AssetManager(small_file_threshold_multiplier=-1)


@pytest.mark.parametrize("name", ["upload_assets", "snapshot_assets"])
def test_farm_and_queue_are_needed(name, tmp_path):
    manager = S3AssetManager(None, "queue", JobAttachmentS3Settings("bucket", "prefix"))
    arguments = ([],) if name == "upload_assets" else (str(tmp_path), [])
    with pytest.raises(JobAttachmentsError, match=f"{name}: Farm or Fleet ID is missing"):
        getattr(manager, name)(*arguments)


def test_connections_default_and_explicit_values_are_kept():
    assert S3AssetManager().asset_uploader._max_connections == 128
    uploader = S3AssetManager(s3_max_pool_connections=50, small_file_threshold_multiplier=20).asset_uploader
    assert uploader._max_connections == 50
    assert uploader.num_upload_workers == 5
    assert uploader.small_file_threshold == 20 * 8 * 1024 * 1024


def test_other_extra_arguments_are_refused():
    uploader = S3AssetManager().asset_uploader
    with pytest.raises(ValueError, match="Only Metadata and ContentType"):
        uploader.upload_bytes_to_s3(io.BytesIO(b""), "bucket", "key", extra_args={"ACL": "public-read"})


def test_the_cache_can_be_sampled_and_forgotten(rig, rig_bucket, manager, tree, tmp_path):
    cache, uploader = str(tmp_path / "cache"), manager.asset_uploader
    manifest = manifest_of(tree, "one.txt", "sub/two.txt")
    manager.upload_assets([AssetRootManifest(root_path=str(tree), asset_manifest=manifest)], None, cache)
    arguments = (cache, manifest, "prefix/Data", rig_bucket)
    assert uploader.verify_hash_cache_integrity(*arguments) is True
    rig.delete(rig_bucket, f"prefix/Data/{manifest.paths[0].hash}.xxh128")
    assert uploader.verify_hash_cache_integrity(*arguments) is False
    uploader.reset_s3_check_cache(cache)
    assert uploader.verify_hash_cache_integrity(*arguments) is True, "nothing is claimed any more"


def test_links_and_execute_bits_make_the_round(rig, rig_bucket, tree, tmp_path):
    """A submission of version 2025-12-04-beta: hashed, uploaded, found in S3, downloaded."""
    (tree / "link").symlink_to("sub/two.txt")
    (tree / "one.txt").chmod(0o755)
    settings = JobAttachmentS3Settings(rig_bucket, "prefix")
    manager = S3AssetManager(
        "farm-1", "queue-1", settings, asset_manifest_version=ManifestVersion.v2025_12_04_beta
    )
    inputs = [str(tree / name) for name in ("one.txt", "sub/two.txt", "same.txt", "link")]
    group = manager.prepare_paths_for_upload(inputs, [], [])
    _, manifests = manager.hash_assets_and_create_manifest(
        group.asset_groups, group.total_input_files, group.total_input_bytes, str(tmp_path / "cache")
    )
    _, attachments = manager.upload_assets(manifests, s3_check_cache_dir=str(tmp_path / "cache"))
    key = settings.add_root_and_manifest_folder_prefix(attachments.manifests[0].inputManifestPath)
    found = get_manifest_from_s3(key, rig_bucket)
    target = tmp_path / "target"
    download_files_from_manifests(rig_bucket, {str(target): found}, settings.full_cas_prefix())
    assert (target / "link").readlink() == Path("sub/two.txt")
    assert (target / "link").read_bytes() == b"two two"
    assert [os.access(target / name, os.X_OK) for name in ("one.txt", "same.txt")] == [True, False]
