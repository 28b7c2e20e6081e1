"""Downloading the files of manifests below local roots."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Optional

from .._calls.operation import Begun
from ..asset_manifests import BaseAssetManifest
from ..models import FileConflictResolution
from ..options import DownloadOptions
from ..os_file_permission import FileSystemPermissionSettings
from ..progress_tracker import DownloadSummaryStatistics, ProgressTracker
from .files import Placing, begin_download, new_tracker, statistics

if TYPE_CHECKING:
    from .files import Callback, Logger

__all__ = ["download_files_from_manifests", "download_files_from_manifests_async"]


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
    verify: Optional[str] = None,
    fsync: Optional[bool] = None,
    hash_cache_dir: Optional[str] = None,
    options: Optional[DownloadOptions] = None,
) -> DownloadSummaryStatistics:
    """Downloads all files of manifests below local roots.

    Every path is checked before anything is written; every file is checked before it gets its name.

    A manifest in S3 has paths below its root. An absolute path is taken where it leads below the root, links
    resolved. The root `""` is for manifests whose paths the caller has made absolute, as
    `deadline job download-output` does by the rules of storage profiles: their absolute paths are taken as they are,
    in any directory. Never use it for a manifest as it came from S3.

    Args:
        s3_bucket: The bucket.
        manifests_by_root: The files, by the local directory that they go below; by `""` where their paths are absolute.
            Relative paths go below the working directory there.
        cas_prefix: Where objects are: `<root prefix>/Data`.
        fs_permission_settings: A group and permission bits to add to files and directories.
        session: A boto3 session to take credentials from.
        on_downloading_files: Called with progress, serially, from the calling thread; a falsy result cancels.
        logger: Told the progress at INFO, every tenth of the way.
        conflict_resolution: What to do where a file is already. `RESUME` leaves files alone that are right.
        verify: What is checked of each file: `"hash"` (size and hash; the default), `"size"`, or `"off"`.
        fsync: Whether to wait for the disk: for a file before it gets its name, for its name before the end. Off by
            default.
        hash_cache_dir: The folder of the hash cache, which `RESUME` asks about files that are there; `None` for
            the default one.
        options: Memory and connections.

    Returns:
        Statistics, with counts by root and the sorted paths of the files that were written.

    Raises:
        AssetSyncError: Contents are not what their hash says, a file can't be written, or S3 refused a request.
        AssetSyncCancelledError: The callback asked to stop.
        ManifestDecodeValidationError: A manifest is a diff, or its paths are in each other's way.
        OSError: A directory can't be made.
        PathOutsideDirectoryError: A path leads out of its root.
        ValueError: Two roots are one directory, or a conflict meets a resolution that is not known.
    """
    placing = Placing(conflict_resolution, fs_permission_settings, False, verify, fsync, hash_cache_dir)
    told = (on_downloading_files, logger)
    return _start(s3_bucket, manifests_by_root, cas_prefix, session, told, placing, options).run()


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
    verify: Optional[str] = None,
    fsync: Optional[bool] = None,
    hash_cache_dir: Optional[str] = None,
    options: Optional[DownloadOptions] = None,
) -> DownloadSummaryStatistics:
    """Does what `download_files_from_manifests` does, for asyncio programs and Jupyter.

    Arguments, results and errors are the same. Callbacks are made from the event loop's thread.
    """
    placing = Placing(conflict_resolution, fs_permission_settings, False, verify, fsync, hash_cache_dir)
    told = (on_downloading_files, logger)
    return await _start(s3_bucket, manifests_by_root, cas_prefix, session, told, placing, options).run_async()


def _start(
    bucket: str,
    manifests_by_root: dict[str, BaseAssetManifest],
    cas_prefix: Optional[str],
    session: Optional[Any],
    told: tuple[Optional[Callback], Optional[Logger]],
    placing: Placing,
    options: Optional[DownloadOptions],
) -> Begun[DownloadSummaryStatistics]:
    """Begins `download_files_from_manifests`; callback and logger are `told`."""
    start = time.perf_counter()
    tracker = _tracker(manifests_by_root, *told)
    roots = manifests_by_root.items()
    operation = begin_download(bucket, roots, cas_prefix, session, tracker, placing, options)
    return Begun(operation, lambda written: statistics(dict(zip(manifests_by_root, written)), tracker, start))


def _tracker(
    manifests_by_root: dict[str, BaseAssetManifest],
    callback: Optional[Callback],
    logger: Optional[Logger],
) -> ProgressTracker:
    manifests = manifests_by_root.values()
    files = sum(len(manifest.paths) for manifest in manifests)
    size_bytes = sum(manifest.totalSize for manifest in manifests)
    return new_tracker((files, size_bytes), callback, logger)
