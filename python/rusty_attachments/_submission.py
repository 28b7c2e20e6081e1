"""The local half of a submission: grouping paths under roots, hashing files, making manifests."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Optional, Union

from . import _native
from .asset_manifests import BaseAssetManifest, BaseManifestPath, ManifestVersion
from .caches import HashCache
from .exceptions import AssetSyncCancelledError
from .models import (
    AssetRootGroup,
    AssetRootManifest,
    AssetUploadGroup,
    FileStatus,
    FileSystemLocationType,
    StorageProfile,
)
from .progress_tracker import ProgressReportMetadata, ProgressStatus, ProgressTracker, SummaryStatistics

__all__ = ["LocalSubmission"]

logger = logging.getLogger("rusty_attachments.upload")

_Paths = Iterable[Union[str, "os.PathLike[str]"]]


class LocalSubmission:
    """What a submission does before anything is uploaded.

    Attributes:
        manifest_version: The format of the manifests that are made.
    """

    manifest_version: ManifestVersion = ManifestVersion.v2023_03_03

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
                asset_manifest=(
                    self._hashed(group.inputs, group.root_path, hash_cache_dir, watch)
                    if group.inputs
                    else None
                ),
                outputs=sorted(group.outputs),
            )
            for group in asset_groups
        ]
        watch.tracker.total_time = time.perf_counter() - started
        return watch.tracker.get_summary_statistics(), manifests

    def _hashed(
        self, inputs: _Paths, root_path: str, hash_cache_dir: Optional[str], watch: _Watch
    ) -> BaseAssetManifest:
        self._check_version()
        paths = _native.LocalPaths(inputs).relative_to(root_path)
        survey = _native.survey_files(root_path, paths, may_vanish=False).run()
        return watch.hash_survey(survey, hash_cache_dir)

    def _check_version(self) -> None:
        if self.manifest_version != ManifestVersion.v2023_03_03:
            raise NotImplementedError(
                f"Creation of manifest version {self.manifest_version} is not supported."
            )

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
        self._check_version()
        paths = _native.LocalPaths([path]).relative_to(str(root_path))
        survey = _native.survey_files(str(root_path), paths, may_vanish=False).run()
        folder = os.path.dirname(hash_cache.cache_dir)  # noqa: PTH120 (text)
        manifest, reasons = _native.build_manifest(survey, folder, update_cache=update).run()
        if not reasons:
            status = FileStatus.UNCHANGED
        elif reasons.keys() <= {"new", "no_cache"}:
            status = FileStatus.NEW
        else:
            status = FileStatus.MODIFIED
        entry: BaseManifestPath = manifest.paths[0]
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
        self._check_version()
        paths = _native.LocalPaths(input_paths).relative_to(str(root_path))
        survey = _native.survey_files(str(root_path), paths, may_vanish=False).run()
        folder = os.path.dirname(hash_cache.cache_dir)  # noqa: PTH120 (text)
        manifest, _ = _native.build_manifest(survey, folder, progress_tracker).run()
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

    def hash_survey(self, survey: _native.FileSurvey, hash_cache_dir: Optional[str]) -> BaseAssetManifest:
        folder = None if hash_cache_dir is None else os.fspath(hash_cache_dir)
        manifest, _ = _native.build_manifest(survey, folder, self.tracker).run()
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
) -> tuple[SummaryStatistics, Optional[BaseAssetManifest]]:
    """Hashes files that were looked at already.

    Args:
        survey: The files.
        hash_cache_dir: The directory of the hash cache; `~/.deadline/job_attachments` by default.
        callback: Called with progress; the work is cancelled once it returns something false.

    Returns:
        Statistics, and the manifest, or `None` where there are no files.
    """
    started = time.perf_counter()
    watch = _Watch(callback, len(survey), survey.total_bytes)
    manifest = None if survey.is_empty else watch.hash_survey(survey, hash_cache_dir)
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
        logger.warning("%s", warning)
    return AssetUploadGroup(
        asset_groups=[_group(*parts) for parts in groups],
        total_input_files=total_files,
        total_input_bytes=total_bytes,
    )


def _group(location_name: Optional[str], root: str, *paths: _native.LocalPaths) -> AssetRootGroup:
    inputs, outputs, references = (set(map(Path, native.strings())) for native in paths)
    return AssetRootGroup(location_name, root, inputs, outputs, references)
