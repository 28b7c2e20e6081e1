"""Downloading files that manifests name, and finding the manifests of jobs.

Mounting virtual file systems (`mount_vfs_from_manifests`, `handle_existing_vfs`) stays with the reference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._reference_names import names_of
from ..asset_manifests.operations import filter_manifests, merge_asset_manifests
from ..options import DownloadOptions
from .downloaders import InputDownloader, OutputDownloader
from .files import download_file, download_files, download_files_in_directory
from .job_manifests import (
    get_asset_root_and_manifest_from_s3,
    get_job_input_output_paths_by_asset_root,
    get_job_input_paths_by_asset_root,
    get_job_output_paths_by_asset_root,
    get_manifest_from_s3,
    get_output_manifests_by_asset_root,
)
from .manifests import download_files_from_manifests, download_files_from_manifests_async

__all__ = [
    "DownloadOptions",
    "InputDownloader",
    "OutputDownloader",
    "download_file",
    "download_files",
    "download_files_from_manifests",
    "download_files_from_manifests_async",
    "download_files_in_directory",
    "filter_manifests",
    "get_asset_root_and_manifest_from_s3",
    "get_job_input_output_paths_by_asset_root",
    "get_job_input_paths_by_asset_root",
    "get_job_output_paths_by_asset_root",
    "get_manifest_from_s3",
    "get_output_manifests_by_asset_root",
    "merge_asset_manifests",
]

if not TYPE_CHECKING:
    __getattr__ = names_of(__name__)
