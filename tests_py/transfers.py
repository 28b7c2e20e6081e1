"""A small tree, its manifest, and the two calls that move it: what tests of calls' manners share.

Runs in child processes of tests too: `child_environment` lets them import it.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

from rusty_attachments.asset_manifests import HashAlgorithm, hash_file
from rusty_attachments.asset_manifests.v2023_03_03 import AssetManifest, ManifestPath
from rusty_attachments.download import download_files_from_manifests, download_files_from_manifests_async
from rusty_attachments.models import JobAttachmentS3Settings
from rusty_attachments.progress_tracker import ProgressStatus, ProgressTracker
from rusty_attachments.upload import S3AssetUploader

ROOT_PREFIX = "prefix"
CAS_PREFIX = f"{ROOT_PREFIX}/Data"
MIB = 1024 * 1024

#: Two parts and a bit: multipart on the way up, ranges on the way down.
LARGE_BYTES = 20 * MIB


def make_tree(root: Path, *, files: int = 20, large: int = 0, seed: int = 0) -> Path:
    """Writes small files in two folders, and large ones."""
    contents = random.Random(seed)
    for number in range(files):
        path = root / f"folder {number % 2}" / f"file-{number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents.randbytes(1 + number * 37))
    for number in range(large):
        root.mkdir(parents=True, exist_ok=True)
        (root / f"large-{number}.bin").write_bytes(contents.randbytes(LARGE_BYTES))
    return root


def manifest_of(root: Path) -> AssetManifest:
    """The manifest of a tree."""
    paths: list[Any] = [
        ManifestPath(
            path=path.relative_to(root).as_posix(),
            hash=hash_file(str(path), HashAlgorithm.XXH128),
            size=path.stat().st_size,
            mtime=path.stat().st_mtime_ns // 1000,
        )
        for path in sorted(root.rglob("*"))
        if path.is_file()
    ]
    return AssetManifest(
        hash_alg=HashAlgorithm.XXH128, paths=paths, total_size=sum(path.size for path in paths)
    )


def tracker_of(manifest: AssetManifest, callback) -> ProgressTracker:
    """A tracker for an upload of the manifest."""
    return ProgressTracker(
        status=ProgressStatus.UPLOAD_IN_PROGRESS,
        total_files=len(manifest.paths),
        total_bytes=manifest.totalSize,
        on_progress_callback=callback,
    )


def _upload_arguments(bucket: str, root: Path, caches: Path, manifest: AssetManifest, callback) -> dict:
    return {
        "job_attachment_settings": JobAttachmentS3Settings(s3BucketName=bucket, rootPrefix=ROOT_PREFIX),
        "manifest": manifest,
        "source_root": root,
        "partial_manifest_prefix": "farm/queue/Inputs/0",
        "progress_tracker": tracker_of(manifest, callback) if callback else None,
        "s3_check_cache_dir": str(caches),
    }


def uploader() -> S3AssetUploader:
    """One with the reference's settings."""
    return S3AssetUploader(s3_max_pool_connections=50, small_file_threshold_multiplier=20)


def upload(bucket: str, root: Path, caches: Path, *, manifest=None, callback=None) -> tuple[str, str]:
    """Uploads a tree with its manifest."""
    manifest = manifest or manifest_of(root)
    return uploader().upload_assets(**_upload_arguments(bucket, root, caches, manifest, callback))


async def upload_async(bucket: str, root: Path, caches: Path, *, manifest=None, callback=None):
    """Does what `upload` does, awaitably."""
    manifest = manifest or manifest_of(root)
    return await uploader().upload_assets_async(**_upload_arguments(bucket, root, caches, manifest, callback))


def download(bucket: str, manifest: AssetManifest, target: Path, *, callback=None):
    """Downloads a manifest's files."""
    return download_files_from_manifests(
        bucket, {str(target): manifest}, CAS_PREFIX, on_downloading_files=callback
    )


async def download_async(bucket: str, manifest: AssetManifest, target: Path, *, callback=None):
    """Does what `download` does, awaitably."""
    return await download_files_from_manifests_async(
        bucket, {str(target): manifest}, CAS_PREFIX, on_downloading_files=callback
    )


def tree_bytes(root: Path) -> dict[str, bytes]:
    """Every file below a root, temporary and hidden ones too."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def half_written(root: Path) -> list[str]:
    """Temporary files of downloads below a root."""
    return sorted(path.name for path in root.rglob(".rusty-attachments-*"))


def child_environment() -> dict[str, str]:
    """This process's environment, with the helpers of the tests on Python's path and no buffered output."""
    folders = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(folders), "PYTHONUNBUFFERED": "1"}
