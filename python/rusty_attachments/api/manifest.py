"""Manifests of local trees: snapshots, differences, merging."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Optional, Union

from .. import _native
from .._diff import _nothing, compare_manifest, diff_survey
from .._glob import find_files, glob_config, glob_paths
from .._reference_names import names_of
from .._utils import _get_long_path_compatible_path
from ..asset_manifests import BaseAssetManifest, ManifestVersion, v2025_12_04
from ..asset_manifests.decode import decode_manifest
from ..asset_manifests.operations import compute_diff, merge_asset_manifests
from ..models import FileStatus, ManifestDiff, ManifestMerge, ManifestSnapshot, SymlinkPolicy
from ..progress_tracker import ProgressReportMetadata, SummaryStatistics
from ..upload.submission import hash_survey
from ._hashing import show_statistics
from .manifest_files import read_manifests, write_manifest
from .manifest_transfers import manifest_download, manifest_upload

__all__ = [
    "glob_files",
    "manifest_diff",
    "manifest_download",
    "manifest_merge",
    "manifest_snapshot",
    "manifest_upload",
]

_Print = Callable[[Any], None]
_Progress = Callable[[ProgressReportMetadata], bool]
_Telemetry = Callable[[SummaryStatistics], None]


def glob_files(
    root: str,
    include: Optional[list[str]] = None,
    exclude: Optional[list[str]] = None,
    include_exclude_config: Optional[str] = None,
) -> list[str]:
    """Finds files below a directory.

    Args:
        root: The directory.
        include: Patterns of files to find, as `glob.glob(..., recursive=True)` takes them.
        exclude: Patterns of files to leave out.
        include_exclude_config: JSON with both, or a file that has it; used where neither is given.

    Returns:
        Absolute paths.

    Raises:
        NonValidInputError: `include_exclude_config` is no JSON.
        OSError: A directory can't be read.
    """
    config = glob_config(include, exclude, include_exclude_config)
    return glob_paths(root, config.include_glob, config.exclude_glob)


def manifest_snapshot(
    *,
    root: str,
    destination: str,
    name: str,
    include: Optional[list[str]] = None,
    exclude: Optional[list[str]] = None,
    include_exclude_config: Optional[str] = None,
    diff: Optional[str] = None,
    force_rehash: bool = False,
    print_function_callback: _Print = _nothing,
    hashing_progress_callback: Optional[_Progress] = None,
    telemetry_callback: Optional[_Telemetry] = None,
    hash_cache_dir: Optional[str] = None,
    manifest_version: ManifestVersion = ManifestVersion.v2023_03_03,
    symlink_policy: Union[SymlinkPolicy, str] = SymlinkPolicy.COLLAPSE_ESCAPING,
) -> Optional[ManifestSnapshot]:
    """Writes a manifest of a directory's files, or of those that differ from an earlier manifest.

    Args:
        root: The directory.
        destination: The directory that the manifest is written to. It is made if need be.
        name: What the manifest's name begins with; if empty, the root.
        include: Patterns of files to find, as `glob.glob(..., recursive=True)` takes them.
        exclude: Patterns of files to leave out.
        include_exclude_config: JSON with both, or a file that has it; used where neither is given.
        diff: An earlier manifest: only new and changed files are listed. In version 2025-12-04-beta the result is a
            diff manifest: what is new, changed or gone since that snapshot, with its hash.
        force_rehash: Whether files are compared by their hashes, and not by sizes and times.
        print_function_callback: Called with lines of text.
        hashing_progress_callback: Called with progress; cancels once it returns something false.
        telemetry_callback: Called with statistics.
        hash_cache_dir: The directory of the hash cache; `~/.deadline/job_attachments` by default.
        manifest_version: The format. Version 2025-12-04-beta also lists directories, links and execute bits.
        symlink_policy: What becomes of links in that version; 2023-03-03 lists what they point to.

    Returns:
        The root and the manifest's path, or `None` where there is nothing to list.

    Raises:
        AssetSyncCancelledError: The callback asked to stop.
        AssetSyncError: A file can't be hashed.
        OSError: A directory can't be read, or the manifest can't be written.
        NotImplementedError: For a diff of version 2025-12-04-beta, `diff` is no snapshot of that version.
    """
    config = glob_config(include, exclude, include_exclude_config)
    if manifest_version == ManifestVersion.v2025_12_04_beta:
        patterns = (config.include_glob, config.exclude_glob)
        base = os.path.abspath(root)  # noqa: PTH100 (normalises too)
        survey = _native.collect_tree(base, patterns, SymlinkPolicy(symlink_policy).value).run()
    elif manifest_version == ManifestVersion.v2023_03_03:
        survey = _survey(root, config.include_glob, config.exclude_glob)
    else:
        raise NotImplementedError(f"Creation of manifest version {manifest_version} is not supported.")
    show = _Show(print_function_callback, hashing_progress_callback, telemetry_callback, hash_cache_dir)
    if diff:
        with open(diff) as file:  # noqa: PTH123 (the reference's way of naming what is missing)
            earlier = decode_manifest(file.read())
        if manifest_version == ManifestVersion.v2025_12_04_beta:
            manifest = _diff_snapshot(survey, earlier, force_rehash, show)
        else:
            changed = _changed(root, survey, earlier, force_rehash, show)
            manifest = show.hash(survey.select(changed)) if changed else None
    else:
        manifest = show.hash(survey)
    if manifest is None:
        return None
    path = write_manifest(root=root, manifest=manifest, destination=destination, name=name)
    print_function_callback(f"Manifest generated at {path}")
    return ManifestSnapshot(root=root, manifest=path)


class _Show:
    """Hashes, and tells a caller's callbacks about it."""

    def __init__(
        self,
        print_function_callback: _Print,
        hashing_progress_callback: Optional[_Progress],
        telemetry_callback: Optional[_Telemetry],
        hash_cache_dir: Optional[str],
    ) -> None:
        self.print = print_function_callback
        self._progress = hashing_progress_callback
        self._telemetry = telemetry_callback
        self._hash_cache_dir = hash_cache_dir

    def hash(
        self,
        survey: _native.FileSurvey,
        since: Optional[BaseAssetManifest] = None,
        may_be_empty: bool = False,
    ) -> Optional[BaseAssetManifest]:
        statistics, manifest = hash_survey(
            survey, self._hash_cache_dir, self._progress, since, may_be_empty=may_be_empty
        )
        show_statistics(statistics, self.print, self._progress, self._telemetry)
        return manifest


def _survey(root: str, include: Sequence[str], exclude: Sequence[str]) -> _native.FileSurvey:
    """Looks at the files of a root that match patterns."""
    base = os.path.abspath(root)  # noqa: PTH100 (normalises too)
    files, outside = find_files(base, include, exclude)
    if len(outside):
        everything = files.strings(f"{base}/") + outside.strings()
        base = os.path.commonpath([base, *everything])
        files = _native.LocalPaths(everything).relative_to(base)
    elif not len(files):
        base = "/"
    survey: _native.FileSurvey = _native.survey_files(base, files, may_vanish=True).run()
    return survey


def _changed(
    root: str, survey: _native.FileSurvey, earlier: BaseAssetManifest, force_rehash: bool, show: _Show
) -> list[int]:
    """Which files of a survey are new or changed, by their indices."""
    if not force_rehash:
        changed, _ = diff_survey(survey, earlier, show.print)
        return [index for index, _, _ in changed]
    now = show.hash(survey)
    if now is None:
        return []
    # Manifests are made in the survey's order, turned round.
    place = {entry.path: len(survey) - 1 - row for row, entry in enumerate(now.paths)}
    indices = []
    for status, entry in compare_manifest(earlier, now):
        if status in (FileStatus.MODIFIED, FileStatus.NEW):
            indices.append(place[entry.path])
            show.print(f"Found difference at: {root}/{entry.path}, Status: {status}")
    return sorted(indices)


def _diff_snapshot(
    survey: _native.FileSurvey, earlier: BaseAssetManifest, force_rehash: bool, show: _Show
) -> Optional[BaseAssetManifest]:
    """The diff manifest that leads from an earlier snapshot to a tree, or `None` where nothing differs."""
    now = show.hash(survey, None if force_rehash else earlier, may_be_empty=True)
    assert isinstance(now, v2025_12_04.AssetManifest)
    difference = compute_diff(earlier, now)
    assert isinstance(difference, v2025_12_04.AssetManifest)
    if show.print is not _nothing:
        before = {entry.path for entry in earlier.paths}
        for entry in difference.paths:
            status = FileStatus.MODIFIED if entry.path in before else FileStatus.NEW
            if getattr(entry, "deleted", False):
                status = FileStatus.DELETED
            show.print(f"Found difference at: {entry.path}, Status: {status}")
    return difference if len(difference.paths) or difference.dirs else None


def manifest_diff(
    manifest: str,
    root: str,
    include: Optional[list[str]] = None,
    exclude: Optional[list[str]] = None,
    include_exclude_config: Optional[str] = None,
    force_rehash: bool = False,
    print_function_callback: _Print = _nothing,
    cache_dir: Optional[str] = None,
) -> ManifestDiff:
    """Compares a directory with a manifest of it.

    Args:
        manifest: The manifest's file.
        root: The directory.
        include: Patterns of files to find, as `glob.glob(..., recursive=True)` takes them.
        exclude: Patterns of files to leave out.
        include_exclude_config: JSON with both, or a file that has it; used where neither is given.
        force_rehash: Whether files are compared by their hashes, and not by sizes and times.
        print_function_callback: Called with a line for each file that differs.
        cache_dir: The directory of the hash cache; `~/.deadline/job_attachments` by default.

    Returns:
        Paths of new, changed and deleted files, relative to the root.
    """
    config = glob_config(include, exclude, include_exclude_config)
    survey = _survey(root, config.include_glob, config.exclude_glob)
    with open(_get_long_path_compatible_path(os.path.abspath(manifest))) as file:  # noqa: PTH123, PTH100
        earlier = decode_manifest(file.read())
    difference = ManifestDiff()
    if force_rehash:
        _, now = hash_survey(survey, cache_dir, None)
        lists = {
            FileStatus.NEW: difference.new,
            FileStatus.MODIFIED: difference.modified,
            FileStatus.DELETED: difference.deleted,
        }
        if now is None:
            difference.deleted = [entry.path for entry in earlier.paths]
            return difference
        for status, entry in compare_manifest(earlier, now):
            if status in lists:
                lists[status].append(entry.path)
        return difference
    changed, difference.deleted = diff_survey(survey, earlier, print_function_callback)
    for _, path, how in changed:
        (difference.new if how == "new" else difference.modified).append(path)
    return difference


def manifest_merge(
    root: str,
    manifest_files: list[str],
    destination: str,
    name: Optional[str],
    print_function_callback: _Print = _nothing,
) -> Optional[ManifestMerge]:
    """Merges manifest files into one; of a path in several, the last file's entry counts.

    Args:
        root: The root that the manifests share; it goes into the new one's name.
        manifest_files: The manifests.
        destination: The directory that the new one is written to.
        name: What its name begins with, instead of the root.
        print_function_callback: Called with a line of text.

    Returns:
        The root and the new manifest's path, or `None` without manifests.

    Raises:
        NonValidInputError: A file is not there.
    """
    merged = merge_asset_manifests(list(read_manifests(manifest_paths=manifest_files).values()))
    if not merged:
        return None
    path = write_manifest(root=root, manifest=merged, destination=destination, name=name)
    print_function_callback(f"Manifest generated at {path}")
    return ManifestMerge(manifest_root=root, local_manifest_path=path)


if not TYPE_CHECKING:
    __getattr__ = names_of(__name__)
