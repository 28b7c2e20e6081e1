"""The names that are here only because `deadline.job_attachments`, the reference, has them.

Programs that were written for the reference import functions whose names begin with an underscore, and names from
modules in which this package has no use for them. This is the list of all of these. Each is another name of something
that has its own home; a module finds its names of the list through `__getattr__` (PEP 562), when it is asked for one.

What only this list needs is in `_reference_only` and in `_aws`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

__all__ = ["NAMES", "names_of"]

_PACKAGE = __name__.rpartition(".")[0]

NAMES: dict[str, dict[str, str]] = {
    "_diff": {
        "_fast_file_list_to_manifest_diff": "_diff.fast_file_list_to_manifest_diff",
    },
    "_glob": {
        "_glob_paths": "_glob.glob_paths",
        "_process_glob_inputs": "_glob.process_glob_inputs",
    },
    "_path_mapping": {
        "_PathMappingRuleApplier": "path_mapping.PathMappingRuleApplier",
        "_generate_path_mapping_rules": "path_mapping.generate_path_mapping_rules",
    },
    "api._utils": {
        "_read_manifests": "api.manifest_files.read_manifests",
    },
    "api.attachment": {
        "_attachment_download": "api.attachment.attachment_download",
        "_attachment_upload": "api.attachment.attachment_upload",
        "_process_path_mapping": "api.attachment.process_path_mapping",
    },
    "api.manifest": {
        "_glob_files": "api.manifest.glob_files",
        "_manifest_diff": "api.manifest.manifest_diff",
        "_manifest_download": "api.manifest_transfers.manifest_download",
        "_manifest_merge": "api.manifest.manifest_merge",
        "_manifest_snapshot": "api.manifest.manifest_snapshot",
        "_manifest_upload": "api.manifest_transfers.manifest_upload",
        "_write_manifest": "api.manifest_files.write_manifest",
    },
    "asset_manifests._canonical_json": {
        "canonical_path_comparator": "_reference_only.canonical_path_comparator",
        "manifest_to_canonical_json_string": "_reference_only.manifest_to_canonical_json_string",
    },
    "asset_manifests._create_manifest": {
        "_create_manifest_for_single_root": "_reference_only.create_manifest_for_single_root",
    },
    "asset_manifests.v2023_03_03.validate": {
        "validate_manifest_2023_03_03": "_reference_only.validate_manifest_2023_03_03",
    },
    "download": {
        "TEMP_DOWNLOAD_ADDED_CHARS_LENGTH": "_utils.TEMP_DOWNLOAD_ADDED_CHARS_LENGTH",
        "WINDOWS_MAX_PATH_LENGTH": "_utils.WINDOWS_MAX_PATH_LENGTH",
        "_BaseFilterableDownloader": "download.downloaders.FilterableDownloader",
        "_ensure_paths_within_directory": "download.files.ensure_paths_within_directory",
        "_filter_paths": "download.downloaders.filter_paths",
        "_get_asset_root_and_manifest_from_s3_with_last_modified": (
            "download.job_manifests.get_asset_root_and_manifest_from_s3_with_last_modified"
        ),
        "_get_manifests_by_session_action_id": "download.job_manifests.get_manifests_by_session_action_id",
        "_get_output_manifest_files_by_asset_root_with_last_modified": (
            "download.job_manifests.get_output_manifest_files_by_asset_root_with_last_modified"
        ),
        "_get_output_manifest_prefix": "download.job_manifests.get_output_manifest_prefix",
        "_get_tasks_manifests_keys_from_s3": "download.job_manifests.get_tasks_manifests_keys_from_s3",
        "_merge_asset_manifests_sorted_asc_by_last_modified": (
            "asset_manifests.operations.merge_asset_manifests_by_last_modified"
        ),
        "_set_fs_group": "os_file_permission._set_fs_group_for_posix",
    },
}
"""Modules of the reference, their names, and what each name is here."""


def names_of(module_name: str) -> Callable[[str], Any]:
    """Gives a module's `__getattr__`, which finds its names of the list.

    Args:
        module_name: The module's `__name__`.
    """
    names = NAMES[module_name[len(_PACKAGE) + 1 :]]

    def find(name: str) -> Any:
        try:
            home, _, its_name = names[name].rpartition(".")
        except KeyError:
            raise AttributeError(f"module {module_name!r} has no attribute {name!r}") from None
        return getattr(importlib.import_module(f"{_PACKAGE}.{home}"), its_name)

    return find
