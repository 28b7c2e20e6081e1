"""Comparing trees and manifests."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Optional, Union

from . import _native
from ._reference_names import names_of
from .asset_manifests import BaseAssetManifest, BaseManifestPath
from .asset_manifests.operations import compare_manifest
from .exceptions import NonValidInputError
from .models import AssetRootManifest, FileStatus, ManifestDiff
from .upload.submission import LocalSubmission, file_statuses

__all__ = [
    "compare_manifest",
    "diff_manifest",
    "diff_tree_lines",
    "fast_file_list_to_manifest_diff",
    "find_file_with_status",
    "pretty_print_cli",
]

_STATUS = {"new": FileStatus.NEW, "size": FileStatus.MODIFIED, "mtime": FileStatus.MODIFIED}
_TEXT = {
    "new": "Found difference at: {}, Status: FileStatus.NEW",
    "size": "Found size difference at: {}, Status: FileStatus.MODIFIED",
    "mtime": "Found time difference at: {}, Status: FileStatus.MODIFIED",
}


def _nothing(line: object) -> None:
    """Prints nothing."""


def diff_manifest(
    asset_manager: LocalSubmission,
    asset_root_manifest: AssetRootManifest,
    manifest: str,
    update: bool,
) -> list[tuple[FileStatus, BaseManifestPath]]:
    """Finds files of a manifest whose contents the default hash cache does not know as they are now.

    Args:
        asset_manager: What made the manifest; its `manifest_version` is the format of the entries.
        asset_root_manifest: The root and its manifest.
        manifest: The folder of manifests below the root: files that begin with its last component are passed over.
        update: Whether new hashes go into the cache.

    Returns:
        New and changed files, each with its entry as it is now, sorted by path.

    Raises:
        NonValidInputError: The root has no manifest.
        AssetSyncError: A file can't be hashed.
    """
    described = asset_root_manifest.asset_manifest
    if described is None:
        raise NonValidInputError("Manifest object not found, please check input manifest. ")
    passed_over = os.path.basename(manifest)  # noqa: PTH119 (text: nothing after a slash at its end)
    root = asset_root_manifest.root_path
    paths = [Path(root, row.path) for row in described.paths if not row.path.startswith(passed_over)]
    statuses = [FileStatus.NEW, FileStatus.MODIFIED]
    return find_file_with_status(asset_manager, paths, root, update, statuses)


def find_file_with_status(
    asset_manager: LocalSubmission,
    input_paths: Sequence[Path],
    root_path: str,
    update: bool,
    statuses: Sequence[FileStatus],
    cache_dir: Optional[str] = None,
) -> list[tuple[FileStatus, BaseManifestPath]]:
    """Finds files by what a hash cache knows of them: nothing (new), another state (modified), or this one.

    Args:
        asset_manager: Its `manifest_version` is the format of the entries.
        input_paths: The files, absolute.
        root_path: The root that paths in entries are relative to.
        update: Whether new hashes go into the cache.
        statuses: Which files are wanted.
        cache_dir: The directory of the hash cache; `~/.deadline/job_attachments` by default.

    Returns:
        The wanted files with their entries as they are now, sorted by path.

    Raises:
        AssetSyncError: A file can't be hashed.
        ValueError: A file is not below the root.
    """
    wanted = {status.name for status in statuses}  # by name: they may be the reference's
    found = file_statuses(input_paths, str(root_path), asset_manager.manifest_version, cache_dir, update)
    return [(status, entry) for status, entry in found if status.name in wanted]


def fast_file_list_to_manifest_diff(
    root: str,
    current_files: Sequence[str],
    diff_manifest: BaseAssetManifest,
    print_function_callback: Callable[[Any], None] = _nothing,
    return_root_relative_path: bool = True,
) -> list[tuple[str, FileStatus]]:
    """Compares files with a manifest by size and modification time.

    Times may be off by a microsecond.

    Args:
        root: The root, absolute.
        current_files: Files below it, absolute.
        diff_manifest: What was there before.
        print_function_callback: Called with one line for each new or changed file.
        return_root_relative_path: Whether paths in the result are relative to the root, and not absolute.

    Returns:
        Paths of new, changed and deleted files.

    Raises:
        ValueError: A file is not below the root.
    """
    paths = _native.LocalPaths(current_files).relative_to(str(root))
    survey = _native.survey_files(str(root), paths, may_vanish=False).run()
    changed, deleted = diff_survey(survey, diff_manifest, print_function_callback)
    found = [(path, _STATUS[how]) for _, path, how in changed]
    found += [(path, FileStatus.DELETED) for path in deleted]
    if return_root_relative_path:
        return found
    return [(os.path.join(root, path), status) for path, status in found]  # noqa: PTH118 (text, as typed)


def diff_survey(
    survey: _native.FileSurvey, manifest: BaseAssetManifest, print_function_callback: Callable[[Any], None]
) -> tuple[list[tuple[int, str, str]], list[str]]:
    """Compares files that were looked at with a manifest, and prints what differs.

    Args:
        survey: The files.
        manifest: What was there before.
        print_function_callback: Called with one line for each new or changed file.

    Returns:
        New and changed files as index in the survey, path, and how they differ; and paths that are gone.
    """
    changed, deleted = _native.diff_tree(survey, manifest)
    if print_function_callback is not _nothing:
        for _, path, how in changed:
            print_function_callback(_TEXT[how].format(path))
    return changed, deleted


_COLORS = {
    FileStatus.MODIFIED: "\033[93m",
    FileStatus.NEW: "\033[92m",
    FileStatus.DELETED: "\033[91m",
    FileStatus.UNCHANGED: "\033[90m",
}
_DIRECTORY_COLOR = "\033[80m"
_RESET = "\033[0m"
_MARKS = {
    FileStatus.NEW: " +",
    FileStatus.DELETED: " -",
    FileStatus.MODIFIED: " M",
    FileStatus.UNCHANGED: "",
}

_Tree = dict[str, Union[FileStatus, "_Tree"]]


def diff_tree_lines(root: str, all_files: Sequence[str], manifest_diff: ManifestDiff) -> list[str]:
    """A tree of files with their statuses, drawn with terminal colours.

    Args:
        root: The root.
        all_files: Files below it.
        manifest_diff: Which of them are new, changed or deleted, relative to the root.

    Returns:
        One line for each directory and file.

    Raises:
        ValueError: A file is not below the root.
    """
    statuses: dict[str, FileStatus] = {}
    for status, paths in (
        (FileStatus.DELETED, manifest_diff.deleted),
        (FileStatus.MODIFIED, manifest_diff.modified),
        (FileStatus.NEW, manifest_diff.new),
    ):
        statuses.update(dict.fromkeys(paths, status))
    tree: _Tree = {}
    for file in all_files:
        # The root may be relative to the working directory, where files were found by their whole paths.
        path = PurePath(os.path.abspath(file)).relative_to(os.path.abspath(root))  # noqa: PTH100 (keeps links)
        folder = tree
        for part in path.parts[:-1]:
            below = folder.setdefault(part, {})
            if isinstance(below, dict):
                folder = below
        folder[path.name] = statuses.get(str(path), FileStatus.UNCHANGED)
    return _lines(tree, "") or [f"└──{_COLORS[FileStatus.UNCHANGED]}. {_RESET}"]


def _lines(tree: _Tree, prefix: str) -> list[str]:
    lines = []
    for index, (name, below) in enumerate(sorted(tree.items(), key=lambda item: item[0]), start=1):
        is_last = index == len(tree)
        corner = "└──" if is_last else "├──"
        if isinstance(below, dict):
            lines.append(f"{prefix}{corner}{_DIRECTORY_COLOR}{name}{_RESET}{os.path.sep}")
            lines += _lines(below, prefix + ("    " if is_last else "│    "))
        else:
            lines.append(f"{prefix}{corner}{_COLORS[below]}{name}{_MARKS[below]}{_RESET}")
    return lines


def pretty_print_cli(
    root: str,
    all_files: Sequence[str],
    manifest_diff: ManifestDiff,
    logger_to_use: Optional[logging.Logger] = None,
) -> None:
    """Shows a tree of files with their statuses on standard error.

    Args:
        root: The root.
        all_files: Files below it, absolute.
        manifest_diff: Which of them are new, changed or deleted, relative to the root.
        logger_to_use: Where the lines go instead, at INFO.
    """
    logger = logger_to_use
    if logger is None:
        logger = logging.getLogger(__name__)
        if not logger.handlers:
            logger.addHandler(logging.StreamHandler())
        logger.setLevel(logging.INFO)
        logger.propagate = False
    for line in [*diff_tree_lines(root, all_files, manifest_diff), ""]:
        logger.info("%s", line)


if not TYPE_CHECKING:
    __getattr__ = names_of(__name__)
