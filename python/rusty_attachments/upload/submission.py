"""The local half of a submission: grouping paths under roots, hashing files, making manifests."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Optional, Union

from .. import _native
from .._logs import logger
from ..asset_manifests import BaseAssetManifest, BaseManifestPath, ManifestVersion
from ..caches import HashCache
from ..exceptions import AssetSyncCancelledError
from ..models import (
    AssetRootGroup,
    AssetRootManifest,
    AssetUploadGroup,
    FileStatus,
    FileSystemLocationType,
    StorageProfile,
    SymlinkPolicy,
    _held_inputs,
)
from ..progress_tracker import ProgressReportMetadata, ProgressStatus, ProgressTracker, SummaryStatistics

__all__ = ["LocalSubmission", "file_statuses"]


_Paths = Iterable[Union[str, "os.PathLike[str]"]]


_STATUSES = {"u": FileStatus.UNCHANGED, "n": FileStatus.NEW, "m": FileStatus.MODIFIED}


def survey_listed(
    paths: _native.LocalPaths,
    root_path: str,
    version: ManifestVersion,
    symlink_policy: Union[SymlinkPolicy, str],
) -> _native.FileSurvey:
    """Looks at files below a root, for a manifest of a version.

    Raises:
        NotImplementedError: There is no such version.
        AssetSyncError: A file is missing, or is none.
    """
    if version.value == ManifestVersion.v2023_03_03.value:
        policy = None
    elif version.value == ManifestVersion.v2025_12_04_beta.value:
        policy = SymlinkPolicy(symlink_policy).value
    else:
        raise NotImplementedError(f"Creation of manifest version {version} is not supported.")
    survey: _native.FileSurvey = _native.survey_files(root_path, paths, may_vanish=False, policy=policy).run()
    return survey


def file_statuses(
    paths: _Paths, root_path: str, version: ManifestVersion, cache_folder: Optional[str], update: bool
) -> list[tuple[FileStatus, BaseManifestPath]]:
    """Hashes files with a cache, and tells what the cache knew of each.

    Args:
        paths: The files, absolute.
        root_path: The root that paths in entries are relative to.
        version: The format of the entries.
        cache_folder: The cache's folder; `None` for the default one.
        update: Whether new hashes go into the cache.

    Returns:
        A status and an entry for each file, sorted by path. Links are the files that they point to.
    """
    below = _native.LocalPaths(paths).relative_to(root_path)
    survey = survey_listed(below, root_path, version, SymlinkPolicy.COLLAPSE_ALL)
    manifest, _, letters = _native.build_manifest(survey, cache_folder, update_cache=update).run()
    statuses = (_STATUSES[letter] for letter in letters.decode())
    return list(zip(statuses, manifest.paths))[::-1]


class LocalSubmission:
    """What a submission does before anything is uploaded.

    Attributes:
        manifest_version: The format of the manifests that are made. Version 2025-12-04-beta also lists the directories
            above the files, links among the inputs, and execute bits.
        symlink_policy: What becomes of links in that version; 2023-03-03 lists what they point to.
    """

    manifest_version: ManifestVersion = ManifestVersion.v2023_03_03
    symlink_policy: Union[SymlinkPolicy, str] = SymlinkPolicy.COLLAPSE_ESCAPING

    def prepare_paths_for_upload(
        self,
        input_paths: _Paths,
        output_paths: _Paths,
        referenced_paths: _Paths,
        storage_profile: Optional[StorageProfile] = None,
        require_paths_exist: bool = False,
    ) -> AssetUploadGroup:
        """Sorts the paths of a submission under asset roots.

        Paths below a SHARED location of the storage profile are left out; those below a LOCAL one form a
        group of their own. The root of a group is the deepest directory that its paths have in common.

        Args:
            input_paths: Files to upload. Empty strings are dropped, here and below.
            output_paths: Directories that will hold outputs.
            referenced_paths: Paths that only have to be below some root.
            storage_profile: The file system locations of the queue's storage profile.
            require_paths_exist: Whether a missing input is an error; else it is referenced, with a warning.

        Returns:
            The groups, with the number and size of the input files.

        Raises:
            MisconfiguredInputsError: Inputs are directories, or missing while they are required.
        """
        local: dict[str, str] = {}
        shared: dict[str, str] = {}
        if storage_profile:
            local, shared = self._get_file_system_locations_by_type(storage_profile)
        paths = (_given(input_paths), _given(output_paths), _given(referenced_paths))
        return _prepare(paths, local, shared, require_paths_exist)

    def hash_assets_and_create_manifest(
        self,
        asset_groups: list[AssetRootGroup],
        total_input_files: int,
        total_input_bytes: int,
        hash_cache_dir: Optional[str] = None,
        on_preparing_to_submit: Optional[Callable[[ProgressReportMetadata], bool]] = None,
    ) -> tuple[SummaryStatistics, list[AssetRootManifest]]:
        """Hashes the input files of groups and makes a manifest for each group that has any.

        Why a file is hashed again is logged at debug level.

        Args:
            asset_groups: The groups.
            total_input_files: How many files they have, for progress.
            total_input_bytes: The files' size, for progress.
            hash_cache_dir: The directory of the hash cache; `~/.deadline/job_attachments` by default.
            on_preparing_to_submit: Called with progress; cancels once it returns something false.

        Returns:
            Statistics, and one manifest object for each group.

        Raises:
            AssetSyncCancelledError: The callback asked to stop.
            AssetSyncError: A file can't be hashed; the text names it.
        """
        started = time.perf_counter()
        watch = _Watch(on_preparing_to_submit, total_input_files, total_input_bytes)
        manifests = [
            AssetRootManifest(
                file_system_location_name=group.file_system_location_name,
                root_path=group.root_path,
                asset_manifest=self._hashed(group, hash_cache_dir, watch),
                outputs=sorted(group.outputs),
            )
            for group in asset_groups
        ]
        watch.tracker.total_time = time.perf_counter() - started
        return watch.tracker.get_summary_statistics(), manifests

    def _hashed(
        self, group: AssetRootGroup, hash_cache_dir: Optional[str], watch: _Watch
    ) -> Optional[BaseAssetManifest]:
        inputs = _held_inputs(group)
        return watch.hash_survey(self._survey(inputs, group.root_path), hash_cache_dir) if inputs else None

    def _survey(self, inputs: Union[_Paths, _native.LocalPaths], root_path: str) -> _native.FileSurvey:
        native = inputs if isinstance(inputs, _native.LocalPaths) else _native.LocalPaths(inputs)
        paths = native.relative_to(root_path)
        return survey_listed(paths, root_path, self.manifest_version, self.symlink_policy)

    def _get_asset_groups(
        self,
        input_paths: set[str],
        output_paths: set[str],
        referenced_paths: set[str],
        local_type_locations: Mapping[str, str] = {},
        shared_type_locations: Mapping[str, str] = {},
        require_paths_exist: bool = False,
    ) -> list[AssetRootGroup]:
        """The groups of `prepare_paths_for_upload`, from locations as mappings of path to name."""
        paths = (input_paths, output_paths, referenced_paths)
        return _prepare(paths, local_type_locations, shared_type_locations, require_paths_exist).asset_groups

    def _get_file_system_locations_by_type(
        self, storage_profile_for_queue: StorageProfile
    ) -> tuple[dict[str, str], dict[str, str]]:
        """The LOCAL and the SHARED locations of a storage profile, as mappings of path to name."""
        locations = storage_profile_for_queue.fileSystemLocations
        local = {it.path: it.name for it in locations if it.type == FileSystemLocationType.LOCAL}
        shared = {it.path: it.name for it in locations if it.type == FileSystemLocationType.SHARED}
        return local, shared

    def _process_input_path(
        self,
        path: Path,
        root_path: str,
        hash_cache: HashCache,
        progress_tracker: Optional[ProgressTracker] = None,
        update: bool = True,
    ) -> tuple[FileStatus, int, BaseManifestPath]:
        """Hashes one file with a cache.

        Args:
            path: The file, absolute.
            root_path: The root that its path in the manifest is relative to.
            hash_cache: The cache.
            progress_tracker: Asked whether to go on.
            update: Whether a new hash goes into the cache.

        Returns:
            Whether the cache knew the file, its size in bytes, and its entry.
        """
        if progress_tracker and not progress_tracker.continue_reporting:
            raise AssetSyncCancelledError(
                "File hashing cancelled.", progress_tracker.get_summary_statistics()
            )
        folder = os.path.dirname(hash_cache.cache_dir)  # noqa: PTH120 (text)
        ((status, entry),) = file_statuses([path], str(root_path), self.manifest_version, folder, update)
        return status, entry.size, entry

    def _create_manifest_file(
        self,
        input_paths: list[Path],
        root_path: str,
        hash_cache: HashCache,
        progress_tracker: Optional[ProgressTracker] = None,
    ) -> BaseAssetManifest:
        """Hashes files with a cache and makes their manifest.

        Args:
            input_paths: The files, absolute.
            root_path: The root that paths in the manifest are relative to.
            hash_cache: The cache.
            progress_tracker: Told of files and bytes; may cancel.

        Returns:
            The manifest.
        """
        survey = self._survey(input_paths, str(root_path))
        folder = os.path.dirname(hash_cache.cache_dir)  # noqa: PTH120 (text)
        manifest = _native.build_manifest(survey, folder, progress_tracker).run()[0]
        made: BaseAssetManifest = manifest
        return made


class _Watch:
    """A tracker of hashing, and whether its callback asked to stop before all was done."""

    def __init__(
        self,
        callback: Optional[Callable[[ProgressReportMetadata], bool]],
        total_files: int,
        total_bytes: int,
    ) -> None:
        self._callback = callback
        self._is_refused = False
        self.tracker = ProgressTracker(
            status=ProgressStatus.PREPARING_IN_PROGRESS,
            total_files=total_files,
            total_bytes=total_bytes,
            on_progress_callback=self._report if callback else None,
        )

    def hash_survey(
        self,
        survey: _native.FileSurvey,
        hash_cache_dir: Optional[str],
        since: Optional[BaseAssetManifest] = None,
    ) -> BaseAssetManifest:
        folder = None if hash_cache_dir is None else os.fspath(hash_cache_dir)
        manifest = _native.build_manifest(survey, folder, self.tracker, since=since).run()[0]
        # Small trees are done before the callback is first heard.
        if self._is_refused:
            raise AssetSyncCancelledError("File hashing cancelled.", self.tracker.get_summary_statistics())
        made: BaseAssetManifest = manifest
        return made

    def _report(self, report: ProgressReportMetadata) -> bool:
        goes_on = bool(self._callback and self._callback(report))
        done = self.tracker.processed_files + self.tracker.skipped_files
        if not goes_on and done < self.tracker.total_files:
            self._is_refused = True
        return goes_on


def hash_survey(
    survey: _native.FileSurvey,
    hash_cache_dir: Optional[str],
    callback: Optional[Callable[[ProgressReportMetadata], bool]],
    since: Optional[BaseAssetManifest] = None,
    *,
    may_be_empty: bool = False,
) -> tuple[SummaryStatistics, Optional[BaseAssetManifest]]:
    """Hashes files that were looked at already.

    Args:
        survey: The files.
        hash_cache_dir: The directory of the hash cache; `~/.deadline/job_attachments` by default.
        callback: Called with progress; the work is cancelled once it returns something false.
        since: An earlier manifest: files that it has with the same size and time are not read.
        may_be_empty: Whether there is a manifest where there are no files.

    Returns:
        Statistics, and the manifest, or `None` where there are no files.
    """
    started = time.perf_counter()
    watch = _Watch(callback, len(survey), survey.total_bytes)
    is_wanted = may_be_empty or not survey.is_empty
    manifest = watch.hash_survey(survey, hash_cache_dir, since) if is_wanted else None
    watch.tracker.total_time = time.perf_counter() - started
    return watch.tracker.get_summary_statistics(), manifest


def _given(paths: _Paths) -> list[Union[str, os.PathLike[str]]]:
    """The paths without empty ones."""
    return [path for path in paths if path]


def _prepare(
    paths: tuple[_Paths, _Paths, _Paths],
    local_locations: Mapping[str, str],
    shared_locations: Mapping[str, str],
    require_paths_exist: bool,
) -> AssetUploadGroup:
    groups, total_files, total_bytes, warnings = _native.prepare_inputs(
        paths, list(local_locations.items()), list(shared_locations.items()), require_paths_exist
    ).run()
    for warning in warnings:
        logger("upload").warning("%s", warning)
    return AssetUploadGroup(
        asset_groups=[
            AssetRootGroup._of_native(name, root, inputs=inputs, outputs=outputs, references=references)
            for name, root, inputs, outputs, references in groups
        ],
        total_input_files=total_files,
        total_input_bytes=total_bytes,
    )
