"""Downloading files that manifests name, and finding the manifests of jobs."""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, Any, Callable, Optional, Union, cast

from . import _native
from ._job_manifests import (
    _get_asset_root_and_manifest_from_s3_with_last_modified,
    _get_manifests_by_session_action_id,
    _get_output_manifest_files_by_asset_root_with_last_modified,
    _get_output_manifest_prefix,
    _get_tasks_manifests_keys_from_s3,
    get_asset_root_and_manifest_from_s3,
    get_job_input_output_paths_by_asset_root,
    get_job_input_paths_by_asset_root,
    get_job_output_paths_by_asset_root,
    get_manifest_from_s3,
    get_output_manifests_by_asset_root,
)
from ._operation import run_async, store_arguments
from .asset_manifests import BaseAssetManifest
from .asset_manifests.operations import (
    _merge_asset_manifests_sorted_asc_by_last_modified,
    filter_manifests,
    merge_asset_manifests,
)
from .models import FileConflictResolution
from .os_file_permission import FileSystemPermissionSettings, PosixFileSystemPermissionSettings
from .progress_tracker import (
    DownloadSummaryStatistics,
    ProgressReportMetadata,
    ProgressStatus,
    ProgressTracker,
)

if TYPE_CHECKING:
    from ._native import Operation

    PathLike = Union[str, os.PathLike[str]]
    Logger = Union[logging.Logger, logging.LoggerAdapter[Any]]
    Callback = Callable[[ProgressReportMetadata], bool]

__all__ = [
    "_get_asset_root_and_manifest_from_s3_with_last_modified",
    "_get_manifests_by_session_action_id",
    "_get_output_manifest_files_by_asset_root_with_last_modified",
    "_get_output_manifest_prefix",
    "_get_tasks_manifests_keys_from_s3",
    "_merge_asset_manifests_sorted_asc_by_last_modified",
    "download_files_from_manifests",
    "download_files_from_manifests_async",
    "filter_manifests",
    "get_asset_root_and_manifest_from_s3",
    "get_job_input_output_paths_by_asset_root",
    "get_job_input_paths_by_asset_root",
    "get_job_output_paths_by_asset_root",
    "get_manifest_from_s3",
    "get_output_manifests_by_asset_root",
    "merge_asset_manifests",
]


def download_files_from_manifests(
    s3_bucket: str,
    manifests_by_root: dict[str, BaseAssetManifest],
    cas_prefix: Optional[str] = None,
    fs_permission_settings: Optional[FileSystemPermissionSettings] = None,
    session: Optional[Any] = None,
    on_downloading_files: Optional[Callback] = None,
    logger: Optional[Logger] = None,
    conflict_resolution: FileConflictResolution = FileConflictResolution.CREATE_COPY,
    *,
    verify: str = "hash",
    fsync: bool = False,
) -> DownloadSummaryStatistics:
    """Downloads all files of manifests below local roots.

    Every path is checked before anything is written; every file is checked before it gets its name.

    Args:
        s3_bucket: The bucket.
        manifests_by_root: The files, by the local directory that they go below.
        cas_prefix: Where objects are: `<root prefix>/Data`.
        fs_permission_settings: A group and permission bits to add to files and directories.
        session: A boto3 session to take credentials from.
        on_downloading_files: Called with progress, serially, from the calling thread; a falsy result cancels.
        logger: Told the progress at INFO, every tenth of the way.
        conflict_resolution: What to do where a file is already. `RESUME` leaves files alone that are right already.
        verify: What is checked of each file: `"hash"` (size and hash), `"size"`, or `"off"`.
        fsync: Whether to wait for the disk before a file gets its name.

    Returns:
        Statistics, with counts by root and the sorted paths of the files that were written.

    Raises:
        AssetSyncError: Contents are not what their hash says, or S3 refused a request.
        AssetSyncCancelledError: The callback asked to stop.
        PathOutsideDirectoryError: A path leads out of its root.
    """
    start = time.perf_counter()
    tracker = _tracker(manifests_by_root, on_downloading_files, logger)
    operation = _begin(
        s3_bucket,
        manifests_by_root,
        cas_prefix,
        fs_permission_settings,
        session,
        tracker,
        conflict_resolution,
        verify,
        fsync,
    )
    return _statistics(manifests_by_root, operation.run(), tracker, start)


async def download_files_from_manifests_async(
    s3_bucket: str,
    manifests_by_root: dict[str, BaseAssetManifest],
    cas_prefix: Optional[str] = None,
    fs_permission_settings: Optional[FileSystemPermissionSettings] = None,
    session: Optional[Any] = None,
    on_downloading_files: Optional[Callback] = None,
    logger: Optional[Logger] = None,
    conflict_resolution: FileConflictResolution = FileConflictResolution.CREATE_COPY,
    *,
    verify: str = "hash",
    fsync: bool = False,
) -> DownloadSummaryStatistics:
    """Does what `download_files_from_manifests` does, for asyncio programs and Jupyter.

    Arguments, results and errors are the same. Callbacks are made from the event loop's thread.
    """
    start = time.perf_counter()
    tracker = _tracker(manifests_by_root, on_downloading_files, logger)
    operation = _begin(
        s3_bucket,
        manifests_by_root,
        cas_prefix,
        fs_permission_settings,
        session,
        tracker,
        conflict_resolution,
        verify,
        fsync,
    )
    return _statistics(manifests_by_root, await run_async(operation), tracker, start)


def _tracker(
    manifests_by_root: dict[str, BaseAssetManifest],
    callback: Optional[Callback],
    logger: Optional[Logger],
) -> ProgressTracker:
    manifests = manifests_by_root.values()
    return ProgressTracker(
        status=ProgressStatus.DOWNLOAD_IN_PROGRESS,
        total_files=sum(len(manifest.paths) for manifest in manifests),
        total_bytes=sum(manifest.totalSize for manifest in manifests),  # type: ignore[attr-defined]
        on_progress_callback=callback,
        logger=logger,
    )


def _begin(
    bucket: str,
    manifests_by_root: dict[str, BaseAssetManifest],
    cas_prefix: Optional[str],
    permissions: Optional[FileSystemPermissionSettings],
    session: Optional[Any],
    tracker: Optional[ProgressTracker],
    resolution: FileConflictResolution,
    verify: str,
    fsync: bool,
) -> Operation:
    return _native.download_manifests(
        store_arguments(session),
        tracker,
        {
            "bucket": bucket,
            "cas_prefix": cas_prefix,
            "roots": list(manifests_by_root.items()),
            # By name, so that the reference's members are taken too.
            "conflict_resolution": getattr(resolution, "name", None) or str(resolution),
            "verify": verify,
            "fsync": fsync,
            "permissions": _permissions(permissions),
        },
    )


def _permissions(
    settings: Optional[FileSystemPermissionSettings],
) -> Optional[tuple[Optional[int], int, int]]:
    """A group's number and permission bits, as the native module takes them."""
    if settings is None:
        return None
    names = ("os_group", "file_mode", "dir_mode")
    if os.name != "posix" or not all(hasattr(settings, name) for name in names):
        raise TypeError("The file system permission settings must be specific to Posix-based system.")
    import grp

    # By its attributes: the reference's class is taken, too.
    posix = cast(PosixFileSystemPermissionSettings, settings)
    return (grp.getgrnam(posix.os_group).gr_gid, posix.file_mode, posix.dir_mode)


def _statistics(
    manifests_by_root: dict[str, BaseAssetManifest],
    written: list[list[str]],
    tracker: ProgressTracker,
    start: float,
) -> DownloadSummaryStatistics:
    tracker.report_progress()
    tracker.total_time = time.perf_counter() - start
    return tracker.get_download_summary_statistics(dict(zip(manifests_by_root, written)))
