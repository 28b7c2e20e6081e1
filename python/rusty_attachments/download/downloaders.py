"""Downloading the inputs or outputs of a job, with other roots than the submitter's and filters on paths."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from .. import _native
from ..exceptions import AssetSyncCancelledError
from ..models import Attachments, FileConflictResolution, JobAttachmentS3Settings, ManifestPathGroup
from ..options import DownloadOptions
from ..progress_tracker import DownloadSummaryStatistics
from .files import (
    Placing,
    as_manifest,
    begin_download,
    ensure_absolute,
    new_tracker,
    statistics,
)
from .job_manifests import get_job_input_paths_by_asset_root, get_job_output_paths_by_asset_root

if TYPE_CHECKING:
    from .files import Callback

_Groups = dict[str, ManifestPathGroup]


class FilterableDownloader:
    """Files by root, which can be given other roots and narrowed by patterns.

    Attributes:
        paths_by_root: What would be downloaded now.

    Args:
        s3_settings: The bucket and root prefix.
        initial_paths_by_root: The files. They stay as they are.
        session: A boto3 session to take credentials from.
        include_filters: Patterns; see `apply_include_filters`.
        manifest_label: What errors call the manifests: "input" or "output".
        options: What the reference has no argument for.
    """

    def __init__(
        self,
        s3_settings: JobAttachmentS3Settings,
        initial_paths_by_root: _Groups,
        session: Optional[Any] = None,
        include_filters: Optional[list[str]] = None,
        manifest_label: Optional[str] = None,
        *,
        options: Optional[DownloadOptions] = None,
    ) -> None:
        self.s3_settings = s3_settings
        self.session = session
        self.paths_by_root: _Groups = {}
        self._initial_paths_by_root = initial_paths_by_root
        self._manifest_label = manifest_label
        self._options = options
        self._include_filter_groups: list[list[str]] = [include_filters] if include_filters else []
        self._root_mappings: dict[str, str] = {}
        self._rebuild()

    def get_paths_by_root(self) -> dict[str, list[str]]:
        """The paths that would be downloaded now, sorted, by root."""
        return {root: group.get_all_paths() for root, group in self.paths_by_root.items()}

    def apply_include_filters(self, include_filters: list[str]) -> None:
        """Keeps only files that match one of the patterns, and all patterns that were applied before.

        Patterns are `fnmatch`'s on the whole path, root included; `*` crosses `/`. One that is relative matches
        anywhere; one that ends with `/` takes all below. They are applied again after a change of a root.

        Args:
            include_filters: The patterns.
        """
        self._include_filter_groups.append(include_filters)
        self._rebuild()

    def set_root_path(self, original_root: str, new_root: str) -> None:
        """Puts the files of a root below another directory.

        Where that is another root, files with the same path get a prefix made of their own root.

        Args:
            original_root: The root, as it is now.
            new_root: The directory; made absolute, symbolic links kept.

        Raises:
            ValueError: There is no such root.
        """
        new_root = os.path.normpath(Path(new_root).absolute())
        mapped = (root for root in self._initial_paths_by_root if self._current(root) == original_root)
        initial = next(mapped, None)
        if initial is None:
            label = f"{self._manifest_label} " if self._manifest_label else ""
            raise ValueError(
                f"The root path {original_root} was not found in {label}manifests. "
                f"Available roots: {list(self.paths_by_root)}"
            )
        if new_root != original_root:
            self._root_mappings[initial] = new_root
            self._rebuild()

    def download(
        self,
        file_conflict_resolution: Optional[FileConflictResolution] = FileConflictResolution.CREATE_COPY,
        on_downloading_files: Optional[Callback] = None,
    ) -> DownloadSummaryStatistics:
        """Downloads the files below their roots.

        Args:
            file_conflict_resolution: What to do where a file is already.
            on_downloading_files: Called with progress; a falsy result cancels.

        Returns:
            Statistics.

        Raises:
            AssetSyncCancelledError: The callback asked to stop. Files that were written stay.
            AssetSyncError: Contents are not what their hash says, or S3 refused a request.
            PathOutsideDirectoryError: A path leads out of its root. Nothing was written.
            ValueError: A root is not absolute. Nothing was written.
        """
        groups = self.paths_by_root
        for root in groups:
            ensure_absolute(root)
        lists = [
            (root, as_manifest(entries, algorithm))
            for root, group in groups.items()
            for algorithm, entries in group.files_by_hash_alg.items()
        ]
        files = sum(len(manifest.paths) for _, manifest in lists)
        tracker = new_tracker(
            (files, sum(group.total_bytes for group in groups.values())), on_downloading_files
        )
        start = time.perf_counter()
        operation = begin_download(
            self.s3_settings.s3BucketName,
            lists,
            self.s3_settings.full_cas_prefix(),
            self.session,
            tracker,
            Placing(file_conflict_resolution, in_order=True),
            self._options,
        )
        try:
            written: list[list[str]] = operation.run()
            by_root: dict[str, list[str]] = {}
            for (root, _), paths in zip(lists, written):
                by_root.setdefault(root, []).extend(paths)
            return statistics(by_root, tracker, start)
        except AssetSyncCancelledError as error:
            count = tracker.processed_files
            raise AssetSyncCancelledError(
                "Download cancelled. "
                f"(Downloaded {count} file{'' if count == 1 else 's'} before cancellation.)",
                error.summary_statistics,
            ) from None

    def _current(self, initial_root: str) -> str:
        return self._root_mappings.get(initial_root, initial_root)

    def _rebuild(self) -> None:
        """Makes `paths_by_root` anew from what there was at first, the roots' mappings and the patterns."""
        groups = {root: _copied(group) for root, group in self._initial_paths_by_root.items()}
        for root, new_root in self._root_mappings.items():
            if root in groups and root != new_root:
                groups = _moved(groups, root, new_root)
        for patterns in self._include_filter_groups:
            groups = filter_paths(groups, patterns)
        self.paths_by_root = groups


def _copied(group: ManifestPathGroup) -> ManifestPathGroup:
    copied = ManifestPathGroup(total_bytes=group.total_bytes)
    for algorithm, entries in group.files_by_hash_alg.items():
        copied.files_by_hash_alg[algorithm] = [copy(row) for row in entries]
    return copied


def _moved(groups: _Groups, root: str, new_root: str) -> _Groups:
    if new_root not in groups:
        return {new_root if name == root else name: group for name, group in groups.items()}
    known = set(groups[new_root].get_all_paths())
    prefix = root.replace("/", "_").replace("\\", "_").replace(":", "_")
    for entries in groups[root].files_by_hash_alg.values():
        for row in entries:
            if row.path in known:
                path = Path(row.path)
                row.path = str(path.with_name(f"{prefix}_{path.name}"))
    groups[new_root].combine_with_group(groups.pop(root))
    return groups


def filter_paths(paths_by_root: _Groups, path_filters: Iterable[str]) -> _Groups:
    """The files whose whole paths match one of the patterns; roots without any are left out."""
    patterns = list(path_filters)
    filtered: _Groups = {}
    for root, group in paths_by_root.items():
        kept = ManifestPathGroup()
        for algorithm, entries in group.files_by_hash_alg.items():
            manifest = _native.filter_manifest(as_manifest(entries, algorithm), root, patterns)
            if manifest is not None:
                kept.files_by_hash_alg[algorithm] = manifest.paths
                kept.total_bytes += sum(row.size for row in manifest.paths)
        if kept.files_by_hash_alg:
            filtered[root] = kept
    return filtered


class OutputDownloader(FilterableDownloader):
    """Downloads the outputs of a job, a step, a task or a session action.

    Args:
        s3_settings: The bucket and root prefix.
        farm_id: The farm.
        queue_id: The queue.
        job_id: The job.
        step_id: The step, if not all.
        task_id: The task, if not all.
        session_action_id: The session action, if not the latest.
        session: A boto3 session to take credentials from.
        include_filters: Patterns; see `apply_include_filters`.
        options: What the reference has no argument for.
    """

    def __init__(
        self,
        s3_settings: JobAttachmentS3Settings,
        farm_id: str,
        queue_id: str,
        job_id: str,
        step_id: Optional[str] = None,
        task_id: Optional[str] = None,
        session_action_id: Optional[str] = None,
        session: Optional[Any] = None,
        include_filters: Optional[list[str]] = None,
        *,
        options: Optional[DownloadOptions] = None,
    ) -> None:
        found = get_job_output_paths_by_asset_root(
            s3_settings, farm_id, queue_id, job_id, step_id, task_id, session_action_id, session
        )
        super().__init__(s3_settings, found, session, include_filters, "output", options=options)


class InputDownloader(FilterableDownloader):
    """Downloads the inputs of a job.

    Args:
        s3_settings: The bucket and root prefix.
        attachments: The job's attachments, which name the input manifests.
        session: A boto3 session to take credentials from.
        include_filters: Patterns; see `apply_include_filters`.
        options: What the reference has no argument for.
    """

    def __init__(
        self,
        s3_settings: JobAttachmentS3Settings,
        attachments: Attachments,
        session: Optional[Any] = None,
        include_filters: Optional[list[str]] = None,
        *,
        options: Optional[DownloadOptions] = None,
    ) -> None:
        found = get_job_input_paths_by_asset_root(s3_settings, attachments, session)
        super().__init__(s3_settings, found, session, include_filters, "input", options=options)
