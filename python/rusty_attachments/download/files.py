"""Downloading lists of files: what the functions of `rusty_attachments.download` share."""

from __future__ import annotations

import logging
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional, Union

from .. import _native
from .._calls.operation import report_end, store_arguments
from .._calls.session_settings import StoreSettings, settings_of_client
from .._utils import _is_relative_to
from ..asset_manifests import BaseAssetManifest, BaseManifestPath, HashAlgorithm, v2023_03_03, v2025_12_04
from ..exceptions import AssetSyncCancelledError, PathOutsideDirectoryError
from ..models import Attachments, FileConflictResolution, JobAttachmentS3Settings
from ..options import DownloadOptions
from ..os_file_permission import FileSystemPermissionSettings, posix_permissions
from ..progress_tracker import (
    DownloadSummaryStatistics,
    ProgressReportMetadata,
    ProgressStatus,
    ProgressTracker,
)
from .job_manifests import get_job_input_output_paths_by_asset_root

if TYPE_CHECKING:
    from .._native import Operation

    Logger = Union[logging.Logger, logging.LoggerAdapter[Any]]
    Callback = Callable[[ProgressReportMetadata], bool]

CANCELLED = "File download cancelled."

ABSOLUTE_PATHS = ""
"""The root of a manifest whose paths a caller has made absolute: they are taken as they are."""

_Files = Sequence[BaseManifestPath]
# A boto3 session; boto3 is no dependency.
_Session = Optional[Any]


class Placing(NamedTuple):
    """What becomes of the files of a download; `None` means the default of the native module.

    Attributes:
        resolution: What to do where a file is already.
        permissions: What to add to files and directories.
        in_order: Whether one path may be there several times, with different contents.
        verify: What is checked: `"hash"` (the default), `"size"` or `"off"`.
        fsync: Whether to wait for the disk.
        hash_cache_dir: The folder of the hash cache that RESUME asks; `None` for the default one.
    """

    resolution: Optional[FileConflictResolution]
    permissions: Optional[FileSystemPermissionSettings] = None
    in_order: bool = False
    verify: Optional[str] = None
    fsync: Optional[bool] = None
    hash_cache_dir: Optional[str] = None


def begin_download(
    bucket: str,
    roots: Iterable[tuple[str, BaseAssetManifest]],
    cas_prefix: Optional[str],
    session: _Session,
    tracker: Optional[Any],
    placing: Placing,
    options: Optional[DownloadOptions] = None,
) -> Operation:
    """Begins a download; its result is a list of written paths for each root.

    Args:
        bucket: The bucket.
        roots: Local directories, and what goes below each; `ABSOLUTE_PATHS` for paths that are taken as they are.
        cas_prefix: Where objects are.
        session: A boto3 session to take credentials from.
        tracker: Told of files and bytes; may cancel.
        placing: What becomes of the files.
        options: What the reference has no argument for.
    """
    options = options or DownloadOptions()
    permissions = placing.permissions
    return _native.download_manifests(
        store_arguments(session, options.max_connections),
        tracker,
        {
            "bucket": bucket,
            "cas_prefix": cas_prefix,
            "roots": [(str(root), manifest) for root, manifest in roots],
            "conflict_resolution": _resolution_name(placing.resolution),
            "in_order": placing.in_order,
            "hash_cache_dir": placing.hash_cache_dir or "",
            "options": {
                "verify": placing.verify,
                "fsync": placing.fsync,
                "buffer_bytes": options.buffer_bytes,
            },
            "permissions": None if permissions is None else posix_permissions(permissions),
        },
    )


def _named(directory: str) -> str:
    # Without a name it is the working directory, which every path must stay below.
    return directory or os.curdir


def _resolution_name(resolution: Optional[FileConflictResolution]) -> str:
    # By name, so that the reference's members are taken too. What is none of them is told of as it is, and only once
    # there is a conflict.
    name = getattr(resolution, "name", None)
    known = isinstance(resolution, Enum) and name in ("SKIP", "OVERWRITE", "CREATE_COPY", "RESUME")
    return str(name) if known else str(resolution)


def ensure_paths_within_directory(root_path: str, paths_relative_to_root: Iterable[str]) -> None:
    """Checks that paths stay below a root, symbolic links resolved.

    Downloads check this by themselves, where it counts: when they open something.

    Raises:
        ValueError: The root is not absolute.
        PathOutsideDirectoryError: A path leads out of the root.
    """
    root = Path(root_path)
    ensure_absolute(root_path)
    for path in paths_relative_to_root:
        if not _is_relative_to(root / path, root):
            raise PathOutsideDirectoryError(f"The provided path is not under the root directory: {path}")


def ensure_absolute(root_path: str) -> None:
    """Refuses a root that is not absolute.

    Raises:
        ValueError: It is not.
    """
    if not Path(root_path).is_absolute():
        raise ValueError(f"The provided root path is not an absolute path: {root_path}")


def as_manifest(files: _Files, hash_algorithm: HashAlgorithm) -> BaseAssetManifest:
    """A manifest of some files; of the later version where one of them needs it."""
    total_size = sum(file.size for file in files)  # of every version
    needs_later = any(isinstance(file, v2025_12_04.ManifestFilePath) for file in files)
    version = v2025_12_04 if needs_later else v2023_03_03
    return version.AssetManifest(  # type: ignore[no-any-return]
        hash_alg=hash_algorithm, paths=files, total_size=total_size
    )


def new_tracker(
    totals: tuple[int, int], callback: Optional[Callback], logger: Optional[Logger] = None
) -> ProgressTracker:
    """A tracker for a download of so many files and bytes."""
    files, size_bytes = totals
    return ProgressTracker(
        status=ProgressStatus.DOWNLOAD_IN_PROGRESS,
        total_files=files,
        total_bytes=size_bytes,
        on_progress_callback=callback,
        logger=logger,
    )


def statistics(
    written: Mapping[str, list[str]], tracker: ProgressTracker, start: float, *, reported: bool = False
) -> DownloadSummaryStatistics:
    """What a download that began at `start` has done; the end is reported if there was a root and nobody has.

    Raises:
        AssetSyncCancelledError: The callback asked to stop, however little was left to do by then.
    """
    if not tracker.continue_reporting:
        raise AssetSyncCancelledError(CANCELLED, tracker.get_summary_statistics())
    if written and not reported:
        tracker.report_progress()
    tracker.total_time = time.perf_counter() - start
    return tracker.get_download_summary_statistics(dict(written))


def download_files(
    files: list[BaseManifestPath],
    hash_algorithm: HashAlgorithm,
    local_download_dir: str,
    s3_settings: JobAttachmentS3Settings,
    session: _Session = None,
    progress_tracker: Optional[ProgressTracker] = None,
    file_conflict_resolution: Optional[FileConflictResolution] = FileConflictResolution.CREATE_COPY,
    *,
    options: Optional[DownloadOptions] = None,
) -> list[str]:
    """Downloads files below a directory.

    Files with the same path are treated as if they were downloaded one after another; where their contents are the
    same, there is one.

    Args:
        files: The files, as a manifest has them.
        hash_algorithm: The algorithm of their hashes.
        local_download_dir: The directory.
        s3_settings: The bucket and root prefix.
        session: A boto3 session to take credentials from.
        progress_tracker: Told of files and bytes; may cancel.
        file_conflict_resolution: What to do where a file is already.
        options: What the reference has no argument for.

    Returns:
        The paths of the files that were written.

    Raises:
        AssetSyncError: Contents are not what their hash says, or S3 refused a request.
        AssetSyncCancelledError: The tracker asked to stop.
        PathOutsideDirectoryError: A path leads out of the directory.
    """
    manifest = as_manifest(files, hash_algorithm)
    operation = begin_download(
        s3_settings.s3BucketName,
        [(_named(local_download_dir), manifest)],
        s3_settings.full_cas_prefix(),
        session,
        progress_tracker,
        Placing(file_conflict_resolution, in_order=True),
        options,
    )
    written: list[list[str]] = operation.run()
    report_end(progress_tracker, CANCELLED)
    return written[0]


def download_files_in_directory(
    s3_settings: JobAttachmentS3Settings,
    attachments: Attachments,
    farm_id: str,
    queue_id: str,
    job_id: str,
    directory_path: str,
    local_download_dir: str,
    session: _Session = None,
    on_downloading_files: Optional[Callback] = None,
    *,
    options: Optional[DownloadOptions] = None,
) -> DownloadSummaryStatistics:
    """Downloads those inputs and outputs of a job that are below a directory of an asset root.

    Args:
        s3_settings: The bucket and root prefix.
        attachments: The job's attachments.
        farm_id: The farm.
        queue_id: The queue.
        job_id: The job.
        directory_path: The directory, relative to the asset roots, such as `inputs/textures`.
        local_download_dir: Where the files go, with their paths relative to their roots.
        session: A boto3 session to take credentials from.
        on_downloading_files: Called with progress; a falsy result cancels.
        options: What the reference has no argument for.

    Returns:
        Statistics; where nothing is below the directory, with no files.
    """
    groups = get_job_input_output_paths_by_asset_root(
        s3_settings, attachments, farm_id, queue_id, job_id, session=session
    )
    chosen: defaultdict[HashAlgorithm, list[BaseManifestPath]] = defaultdict(list)
    for group in groups.values():
        for algorithm, entries in group.files_by_hash_alg.items():
            chosen[algorithm].extend(row for row in entries if row.path.startswith(f"{directory_path}/"))
    files = sum(len(entries) for entries in chosen.values())
    size_bytes = sum(row.size for entries in chosen.values() for row in entries)
    tracker = new_tracker((files, size_bytes), on_downloading_files)
    start = time.perf_counter()
    written: list[str] = []
    for algorithm, entries in chosen.items():
        written += download_files(
            entries,
            algorithm,
            local_download_dir,
            s3_settings,
            session,
            progress_tracker=tracker,
            options=options,
        )
    return statistics({local_download_dir: written}, tracker, start, reported=True)


class _BytesOnly:
    """A tracker's part in the download of one file: its bytes. Files are the caller's to count."""

    def __init__(self, tracker: ProgressTracker) -> None:
        self._tracker = tracker
        self.get_summary_statistics = tracker.get_summary_statistics
        self.track_progress_callback = tracker.track_progress_callback

    def increase_processed(self, num_files: int = 1, file_bytes: int = 0) -> None:
        """Counts nothing."""

    def increase_skipped(self, num_files: int = 1, file_bytes: int = 0) -> None:
        """Counts nothing."""

    def report_progress(self) -> bool:
        """Whether to go on."""
        return self._tracker.continue_reporting


class _ClientAsSession:
    """What a boto3 client of S3 knows, where a session is wanted."""

    profile_name = None

    def __init__(self, client: Any) -> None:
        self._client = client
        self.region_name: Optional[str] = client.meta.region_name

    def get_credentials(self) -> Any:
        """The client's credentials."""
        return self._client._request_signer._credentials

    def store_settings(self) -> StoreSettings:
        """How the client reaches S3."""
        return settings_of_client(self._client)


def download_file(
    file: BaseManifestPath,
    hash_algorithm: HashAlgorithm,
    local_download_dir: str,
    collision_lock: Any,
    collision_file_dict: Any,
    s3_bucket: str,
    cas_prefix: Optional[str],
    s3_client: Optional[Any] = None,
    session: _Session = None,
    modified_time_override: Optional[float] = None,
    progress_tracker: Optional[ProgressTracker] = None,
    file_conflict_resolution: Optional[FileConflictResolution] = FileConflictResolution.CREATE_COPY,
) -> tuple[int, Optional[Path]]:
    """Downloads one file below a directory.

    For many files, `download_files` is much faster.

    Args:
        file: The file, as a manifest has it.
        hash_algorithm: The algorithm of its hash.
        local_download_dir: The directory.
        collision_lock: Not used: names of copies are taken exclusively.
        collision_file_dict: Not used.
        s3_bucket: The bucket.
        cas_prefix: Where objects are.
        s3_client: A boto3 client of S3 to take credentials, region and endpoint from, if there is no session.
        session: A boto3 session to take credentials from.
        modified_time_override: Not used: the manifest has the file's time.
        progress_tracker: Told of bytes; may cancel. Files are the caller's to count.
        file_conflict_resolution: What to do where a file is already.

    Returns:
        The file's size in bytes, and its path, or `None` where it was skipped.

    Raises:
        AssetSyncError: As for `download_files`.
    """
    if session is None and s3_client is not None:
        session = _ClientAsSession(s3_client)
    tracker = None if progress_tracker is None else _BytesOnly(progress_tracker)
    roots = [(_named(local_download_dir), as_manifest([file], hash_algorithm))]
    placing = Placing(file_conflict_resolution)
    operation = begin_download(s3_bucket, roots, cas_prefix, session, tracker, placing)
    written: list[str] = operation.run()[0]
    return (file.size, Path(written[0]) if written else None)
