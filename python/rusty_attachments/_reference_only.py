"""Functions that are here only because the reference has them, under names of `_reference_names`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional

from .api._hashing import _hash_attachments
from .asset_manifests import BaseAssetManifest, BaseManifestPath, ManifestVersion
from .asset_manifests.decode import validate_manifest
from .progress_tracker import ProgressReportMetadata, SummaryStatistics
from .upload.submission import LocalSubmission

__all__ = [
    "canonical_path_comparator",
    "create_manifest_for_single_root",
    "manifest_to_canonical_json_string",
    "validate_manifest_2023_03_03",
]


def canonical_path_comparator(path: BaseManifestPath) -> bytes:
    """The key that paths are sorted by: UTF-16, big-endian, lone surrogates as they are."""
    return path.path.encode("utf-16_be", "surrogatepass")


def manifest_to_canonical_json_string(manifest: BaseAssetManifest) -> str:
    """The canonical text of a manifest; its paths are left in the order in which they are written."""
    return manifest.encode()


def create_manifest_for_single_root(
    *,
    files: list[str],
    root: str,
    print_function_callback: Callable[[Any], None] = lambda msg: None,
    hashing_progress_callback: Optional[Callable[[ProgressReportMetadata], bool]] = None,
    telemetry_callback: Optional[Callable[[SummaryStatistics], None]] = None,
    hash_cache_dir: Optional[str] = None,
) -> Optional[BaseAssetManifest]:
    """Hashes files and makes their manifest.

    Args:
        files: The files.
        root: The root. If files are outside, the deepest directory that has them all takes its place.
        print_function_callback: Called with a summary.
        hashing_progress_callback: Called with progress; cancels once it returns something false.
        telemetry_callback: Called with statistics.
        hash_cache_dir: The directory of the hash cache; `~/.deadline/job_attachments` by default.

    Returns:
        The manifest, or `None` without files.
    """
    submission = LocalSubmission()
    group = submission.prepare_paths_for_upload(files, [root], [])
    _, manifests = _hash_attachments(
        asset_manager=submission,
        asset_groups=group.asset_groups,
        total_input_files=group.total_input_files,
        total_input_bytes=group.total_input_bytes,
        print_function_callback=print_function_callback,
        hashing_progress_callback=hashing_progress_callback,
        telemetry_callback=telemetry_callback,
        hash_cache_dir=hash_cache_dir,
    )
    return manifests[0].asset_manifest


def validate_manifest_2023_03_03(manifest: dict[str, Any]) -> tuple[bool, Optional[str]]:
    """Checks a document; the form of hashes is `decode_manifest`'s to check.

    Returns:
        Whether it is valid, and why not.
    """
    return validate_manifest(manifest, ManifestVersion.v2023_03_03)
