"""AWS Deadline Cloud job attachments, in Rust.

Asset trees move between workstations and render workers through Amazon S3: every file's contents are an object named by
their hash, and a manifest lists paths, hashes, sizes and times of the files below one root. This package hashes trees,
writes and reads manifests, uploads and downloads.

Modules have the names of the reference, `deadline.job_attachments`: what `deadline.job_attachments.upload` has is in
`rusty_attachments.upload`, and so on. The names that most programs need are here, too.

    >>> from rusty_attachments import HashAlgorithm, hash_data
    >>> hash_data(b"abc", HashAlgorithm.XXH128)
    '06b05ab6733a618578af5f94892f3950'
"""

from __future__ import annotations

from ._version import __version__, version
from .api.attachment import attachment_download, attachment_upload
from .api.manifest import (
    manifest_diff,
    manifest_download,
    manifest_merge,
    manifest_snapshot,
    manifest_upload,
)
from .asset_manifests import BaseAssetManifest, HashAlgorithm, ManifestVersion, hash_data, hash_file
from .asset_manifests.decode import decode_manifest
from .asset_manifests.load import load_manifest
from .asset_manifests.v2023_03_03 import AssetManifest, ManifestPath
from .download import download_files_from_manifests, download_files_from_manifests_async
from .exceptions import (
    AssetSyncCancelledError,
    AssetSyncError,
    JobAttachmentsError,
    JobAttachmentsS3ClientError,
)
from .models import FileConflictResolution, JobAttachmentS3Settings
from .options import DownloadOptions, UploadOptions
from .progress_tracker import ProgressReportMetadata, ProgressStatus, ProgressTracker, SummaryStatistics
from .upload import S3AssetManager, S3AssetUploader

__all__ = [
    "AssetManifest",
    "AssetSyncCancelledError",
    "AssetSyncError",
    "BaseAssetManifest",
    "DownloadOptions",
    "FileConflictResolution",
    "HashAlgorithm",
    "JobAttachmentS3Settings",
    "JobAttachmentsError",
    "JobAttachmentsS3ClientError",
    "ManifestPath",
    "ManifestVersion",
    "ProgressReportMetadata",
    "ProgressStatus",
    "ProgressTracker",
    "S3AssetManager",
    "S3AssetUploader",
    "SummaryStatistics",
    "UploadOptions",
    "__version__",
    "attachment_download",
    "attachment_upload",
    "decode_manifest",
    "download_files_from_manifests",
    "download_files_from_manifests_async",
    "hash_data",
    "hash_file",
    "load_manifest",
    "manifest_diff",
    "manifest_download",
    "manifest_merge",
    "manifest_snapshot",
    "manifest_upload",
    "version",
]

# Where the switch is on (`swap.enable`) and this package is what imported the reference, its names are swapped now.
if "_swap_pending" in globals():
    globals().pop("_swap_pending")()
