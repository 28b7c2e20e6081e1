"""Hashing with what callers show of it."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Optional

from ..progress_tracker import ProgressReportMetadata, ProgressStatus, SummaryStatistics

if TYPE_CHECKING:
    from ..models import AssetRootGroup, AssetRootManifest
    from ..upload.submission import LocalSubmission


def _hash_attachments(
    *,
    asset_manager: LocalSubmission,
    asset_groups: list[AssetRootGroup],
    total_input_files: int,
    total_input_bytes: int,
    print_function_callback: Callable[[str], None] = lambda msg: None,
    hashing_progress_callback: Optional[Callable[[Any], bool]] = None,
    hash_cache_dir: Optional[str] = None,
    telemetry_callback: Optional[Callable[[SummaryStatistics], None]] = None,
) -> tuple[SummaryStatistics, list[AssetRootManifest]]:
    """Hashes the files of groups, and shows a summary.

    Args:
        asset_manager: An `S3AssetManager`.
        asset_groups: The groups.
        total_input_files: How many files they have.
        total_input_bytes: The files' size.
        print_function_callback: Called with a summary.
        hashing_progress_callback: Called with progress; once at least.
        hash_cache_dir: The directory of the hash cache; `~/.deadline/job_attachments` by default.
        telemetry_callback: Called with statistics.

    Returns:
        Statistics, and one manifest object for each group.
    """
    statistics, manifests = asset_manager.hash_assets_and_create_manifest(
        asset_groups=asset_groups,
        total_input_files=total_input_files,
        total_input_bytes=total_input_bytes,
        hash_cache_dir=hash_cache_dir,
        on_preparing_to_submit=hashing_progress_callback,
    )
    show_statistics(statistics, print_function_callback, hashing_progress_callback, telemetry_callback)
    return statistics, manifests


def show_statistics(
    statistics: SummaryStatistics,
    print_function_callback: Callable[[str], None],
    hashing_progress_callback: Optional[Callable[[Any], bool]],
    telemetry_callback: Optional[Callable[[SummaryStatistics], None]],
) -> None:
    """Tells the callbacks how hashing went.

    Args:
        statistics: How it went.
        print_function_callback: Called with a summary, if there were files.
        hashing_progress_callback: Called if there were none, as it was not called before.
        telemetry_callback: Called with the statistics.
    """
    if telemetry_callback:
        telemetry_callback(statistics)
    if statistics.total_files > 0:
        print_function_callback("Hashing Summary:")
        print_function_callback(textwrap.indent(str(statistics), "    "))
    elif hashing_progress_callback:
        hashing_progress_callback(
            ProgressReportMetadata(
                status=ProgressStatus.PREPARING_IN_PROGRESS,
                progress=100,
                transferRate=0,
                progressMessage="No files to hash",
                processedFiles=0,
            )
        )
