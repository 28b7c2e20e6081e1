"""What can be swapped."""

from __future__ import annotations

import importlib
import importlib.util
from typing import NamedTuple

KNOWN_VERSIONS = ("0.1.3", "0.1.5")
"""Versions of the reference that this was tested with."""

REFERENCE = "deadline.job_attachments"
OURS = "rusty_attachments"


class Swap(NamedTuple):
    """A name that can be swapped: the module that defines it, and those that it must be swapped with."""

    module: str
    together: tuple[str, ...] = ()


# What this package may swap, by module. Names that it lacks can't be swapped.
_NAMES = {
    "download": (
        "InputDownloader",
        "OutputDownloader",
        "download_file",
        "download_files",
        "download_files_from_manifests",
        "download_files_in_directory",
        "filter_manifests",
        "get_asset_root_and_manifest_from_s3",
        "get_job_input_output_paths_by_asset_root",
        "get_job_input_paths_by_asset_root",
        "get_job_output_paths_by_asset_root",
        "get_manifest_from_s3",
        "get_output_manifests_by_asset_root",
        "merge_asset_manifests",
    ),
    "upload": ("S3AssetManager", "S3AssetUploader"),
    "api.attachment": ("_attachment_download", "_attachment_upload"),
    "api.manifest": (
        "_glob_files",
        "_manifest_diff",
        "_manifest_download",
        "_manifest_merge",
        "_manifest_snapshot",
        "_manifest_upload",
    ),
    "api._hashing": ("_hash_attachments",),
    "_incremental_downloads._manifest_s3_downloads": (
        "_add_output_manifests_from_s3",
        "_download_all_manifests_with_absolute_paths",
        "_download_manifest_paths",
        "_get_manifests_to_download",
        "_merge_absolute_path_manifest_list",
    ),
    "_incremental_downloads.incremental_download_state": (
        "IncrementalDownloadJob",
        "IncrementalDownloadState",
    ),
    "_diff": ("diff_manifest", "find_file_with_status", "pretty_print_cli"),
    "_path_mapping": ("_PathMappingRuleApplier", "_generate_path_mapping_rules"),
    "_path_summarization": (
        "human_readable_file_size",
        "summarize_path_list",
        "summarize_paths_by_nested_directory",
        "summarize_paths_by_sequence",
    ),
    "_utils": ("_get_unique_dest_dir_name",),
    "asset_manifests.decode": ("decode_manifest",),
    "asset_manifests.hash_algorithms": ("hash_data", "hash_file"),
    "caches.hash_cache": ("HashCache", "HashCacheEntry"),
    "caches.s3_check_cache": ("S3CheckCache", "S3CheckCacheEntry"),
    "progress_tracker": (
        "DownloadSummaryStatistics",
        "ProgressReportMetadata",
        "ProgressStatus",
        "ProgressTracker",
        "SummaryStatistics",
    ),
}

# Modules whose names are swapped together: their objects are handed to each other.
_TOGETHER = (
    "_incremental_downloads.incremental_download_state",
    "caches.hash_cache",
    "caches.s3_check_cache",
    "progress_tracker",
)


def _swaps() -> dict[str, Swap]:
    found = {}
    for module, names in _NAMES.items():
        if importlib.util.find_spec(f"{OURS}.{module}") is None:
            continue
        ours = importlib.import_module(f"{OURS}.{module}")
        together = names if module in _TOGETHER else ()
        found.update({name: Swap(module, together) for name in names if hasattr(ours, name)})
    return found


SWAPS: dict[str, Swap] = _swaps()
"""What can be swapped, by name."""

PROGRAMS: dict[str, tuple[str, ...]] = {
    # What the agent's scripts and its session actions use.
    "worker-agent": (
        "S3AssetManager",
        "S3AssetUploader",
        "_get_unique_dest_dir_name",
        "_manifest_merge",
        "_manifest_snapshot",
        "decode_manifest",
        "download_files_from_manifests",
    ),
    "deadline": tuple(SWAPS),
    "all": tuple(SWAPS),
}
"""The names that a program uses, by the program."""
