"""Making the manifest of one root."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional

from ..progress_tracker import ProgressReportMetadata, SummaryStatistics
from .base_manifest import BaseAssetManifest


def _create_manifest_for_single_root(
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
    from .._submission import LocalSubmission
    from ..api._hashing import _hash_attachments

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
