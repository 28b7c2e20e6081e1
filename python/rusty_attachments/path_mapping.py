"""Path mapping: where paths of the submitter's machine are on this one."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, Union

from . import _native
from .models import (
    PathFormat,
    PathMappingRule,
    StorageProfile,
    StorageProfileOperatingSystemFamily,
)

if TYPE_CHECKING:
    from .models import Attachments, ManifestProperties

__all__ = [
    "PathFormat",
    "PathMappingRule",
    "PathMappingRuleApplier",
    "convert_directory",
    "generate_dynamic_path_mapping",
    "generate_path_mapping_rules",
    "get_local_destination",
    "get_unique_directory_name",
    "read_path_mapping_file",
]

_IS_CLASSIC_PATHLIB = sys.version_info < (3, 12)
"""Until Python 3.12, `pathlib` read the beginning of some Windows paths in another way."""


def _name(value: Any) -> str:
    return str(getattr(value, "value", value))


def _rule_to_native(rule: PathMappingRule) -> tuple[str, str, str]:
    return _name(rule.source_path_format), os.fspath(rule.source_path), os.fspath(rule.destination_path)


class PathMappingRuleApplier:
    r"""Maps paths by the most specific rule that applies.

    A rule applies to its source path and everything below. Windows source paths ignore case, and take `/` for
    `\`. The rules of one applier have one source format.

    Args:
        path_mapping_rules: The rules; of two with one source path the later counts.

    Attributes:
        path_mapping_rules: The rules as given.
        source_path_format: The format of their source paths, or None without rules.

    Raises:
        ValueError: The rules' source formats differ, or a format is none.
    """

    source_path_format: Optional[str]
    path_mapping_rules: list[PathMappingRule]

    def __init__(self, path_mapping_rules: list[PathMappingRule]) -> None:
        self.path_mapping_rules = path_mapping_rules
        self.source_path_format = path_mapping_rules[0].source_path_format if path_mapping_rules else None
        formats = sorted({_name(rule.source_path_format) for rule in path_mapping_rules})
        if len(formats) > 1:
            raise ValueError(
                "The path mapping rules included multiple source path formats "
                f"{', '.join(formats)}, only one is permitted."
            )
        if formats and formats[0] not in ("posix", "windows"):
            raise ValueError(f"Unexpected source path format {formats[0]}")
        rules = [_rule_to_native(rule) for rule in path_mapping_rules]
        self._native = _native.PathMappingRuleApplier(rules, _IS_CLASSIC_PATHLIB)

    def strict_transform(self, source_path: str) -> Path:
        """The path on this machine.

        Raises:
            ValueError: No rule applies.
        """
        found = self._native.transform(os.fspath(source_path))
        if found is None:
            raise ValueError("No path mapping rule could be applied")
        return Path(found)

    def transform(self, source_path: str) -> Union[str, Path]:
        """The path on this machine, or the given path itself where no rule applies."""
        found = self._native.transform(os.fspath(source_path))
        return source_path if found is None else Path(found)


def generate_path_mapping_rules(
    source_storage_profile: Union[StorageProfile, dict[str, Any]],
    destination_storage_profile: Union[StorageProfile, dict[str, Any]],
) -> list[PathMappingRule]:
    """Rules from one storage profile to another: one for each location that both have, shared or local.

    Args:
        source_storage_profile: A `StorageProfile`, or what boto3's `get_storage_profile` returns.
        destination_storage_profile: The same.

    Returns:
        The rules in the order of the source's locations; none for two profiles with one id.
    """
    rules = _native.generate_path_mapping_rules(
        _profile_to_native(source_storage_profile), _profile_to_native(destination_storage_profile)
    )
    return [PathMappingRule(*rule) for rule in rules]


def _profile_to_native(
    profile: Union[StorageProfile, dict[str, Any]],
) -> tuple[str, str, list[tuple[str, str]]]:
    if isinstance(profile, dict):
        family, identity = profile["osFamily"], profile["storageProfileId"]
        # The API leaves the list out where it is empty.
        locations = [(each["name"], each["path"]) for each in profile.get("fileSystemLocations") or []]
    else:
        family, identity = profile.osFamily, profile.storageProfileId
        locations = [(each.name, each.path) for each in profile.fileSystemLocations]
    is_windows = _name(family).lower() == StorageProfileOperatingSystemFamily.WINDOWS.value
    return identity, "windows" if is_windows else "posix", locations


def get_unique_directory_name(source_root: str) -> str:
    """The directory of a session that stands for a root of the submitter's machine: `assetroot-…`."""
    return _native.unique_directory_name(source_root)


def generate_dynamic_path_mapping(
    session_dir: Union[str, os.PathLike[str]], attachments: Attachments
) -> dict[str, PathMappingRule]:
    """Rules for the roots without a file system location: each goes to a directory of the session's.

    Args:
        session_dir: The session's directory.
        attachments: The job's attachments.

    Returns:
        The rules by root path.
    """
    roots = [
        (each.rootPath, _name(each.rootPathFormat), each.fileSystemLocationName)
        for each in attachments.manifests
    ]
    rules = _native.generate_dynamic_path_mapping(os.fspath(session_dir), roots)
    return {rule[1]: PathMappingRule(*rule) for rule in rules}


def get_local_destination(
    manifest_properties: ManifestProperties,
    dynamic_mapping_rules: Optional[Mapping[str, PathMappingRule]] = None,
    storage_profiles_path_mapping_rules: Optional[Mapping[str, str]] = None,
) -> str:
    """Where a root is on this machine.

    Args:
        manifest_properties: The root.
        dynamic_mapping_rules: For roots without a file system location, by root path.
        storage_profiles_path_mapping_rules: For the others, destination paths by root path.

    Raises:
        AssetSyncError: No rule is for this root.
    """
    root = manifest_properties.rootPath
    dynamic = (dynamic_mapping_rules or {}).get(root)
    destination = (storage_profiles_path_mapping_rules or {}).get(root)
    return _native.local_destination(
        root,
        bool(manifest_properties.fileSystemLocationName),
        [(_name(dynamic.source_path_format), root, dynamic.destination_path)] if dynamic else [],
        [(root, destination)] if destination else [],
    )


def convert_directory(directory: str, source_format: PathFormat, target_format: PathFormat) -> str:
    """A directory relative to a root, in another system's format; in its own format it stays as it is.

    Raises:
        ValueError: The directory has a drive or a root.
    """
    return _native.convert_directory(directory, _name(source_format), _name(target_format))


def read_path_mapping_file(path: Union[str, os.PathLike[str]]) -> list[PathMappingRule]:
    """Rules from a path mapping file of Open Job Description.

    Args:
        path: A JSON file: an object with `path_mapping_rules`, or the list of rules alone.

    Raises:
        NonValidInputError: The file is no such JSON.
    """
    text = Path(path).read_text(encoding="utf-8")
    return [PathMappingRule(*rule) for rule in _native.path_mapping_rules_from_json(text)]
