"""Uploading assets: files as objects named by their contents, and manifests that list files."""

from __future__ import annotations

from ..options import UploadOptions
from .asset_manager import S3AssetManager
from .uploader import S3_MULTIPART_UPLOAD_CHUNK_SIZE, S3_UPLOAD_MAX_CONCURRENCY, S3AssetUploader

__all__ = [
    "S3_MULTIPART_UPLOAD_CHUNK_SIZE",
    "S3_UPLOAD_MAX_CONCURRENCY",
    "S3AssetManager",
    "S3AssetUploader",
    "UploadOptions",
]
