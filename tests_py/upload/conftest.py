"""What tests of uploads share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rusty_attachments.asset_manifests import HashAlgorithm, hash_file
from rusty_attachments.asset_manifests.v2023_03_03 import AssetManifest, ManifestPath
from rusty_attachments.models import JobAttachmentS3Settings
from rusty_attachments.upload import S3AssetUploader

Upload = Callable[..., tuple[str, str]]


def manifest_of(root: Path, *names: str) -> AssetManifest:
    """The manifest of files, all of them by default."""
    if not names:
        names = tuple(str(path.relative_to(root)) for path in sorted(root.rglob("*")) if path.is_file())
    paths = [
        ManifestPath(
            path=name,
            hash=hash_file(str(root / name), HashAlgorithm.XXH128),
            size=(root / name).stat().st_size,
            mtime=(root / name).stat().st_mtime_ns // 1000,
        )
        for name in names
    ]
    total = sum(path.size for path in paths)
    return AssetManifest(hash_alg=HashAlgorithm.XXH128, paths=paths, total_size=total)


@pytest.fixture
def upload(rig_bucket: str, tmp_path: Path) -> Upload:
    """Uploads a tree into the rig's bucket, under `root`, with its manifest."""

    def run(root: Path, manifest: Any = None, uploader: Any = None, **keywords: Any) -> tuple[str, str]:
        if uploader is None:
            uploader = S3AssetUploader(s3_max_pool_connections=50, small_file_threshold_multiplier=20)
        keywords.setdefault("s3_check_cache_dir", str(tmp_path / "cache"))
        return uploader.upload_assets(
            JobAttachmentS3Settings(rig_bucket, "root"),
            manifest_of(root) if manifest is None else manifest,
            root,
            partial_manifest_prefix="in",
            **keywords,
        )

    return run


@pytest.fixture
def stored(rig: Any, rig_bucket: str) -> Callable[[], dict[str, int]]:
    """The contents in the bucket by hash, with their sizes; fails where one is not what its key says."""

    def look() -> dict[str, int]:
        rows = rig.objects(rig_bucket, "root/Data/", hashed=True)
        for row in rows:
            assert row["key"] == f"root/Data/{row['xxh128']}.xxh128", "contents under a wrong key"
        return {row["xxh128"]: row["size"] for row in rows}

    return look
