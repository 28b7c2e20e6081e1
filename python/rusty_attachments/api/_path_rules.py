"""Path mapping rules as the attachment functions take them: from a file, or as a list of root directories."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from ..asset_manifests import HashAlgorithm
from ..exceptions import NonValidInputError
from ..models import PathMappingRule


def _process_path_mapping(
    path_mapping_rules: Optional[str] = None, root_dirs: Sequence[str] = ()
) -> list[PathMappingRule]:
    """Reads rules.

    Args:
        path_mapping_rules: A JSON file: a list of rules, or an object with `path_mapping_rules`.
        root_dirs: Directories that are their own destinations.

    Returns:
        The file's rules, then one for each directory.

    Raises:
        NonValidInputError: The file or a directory is not there.
        AssertionError: The file holds no list.
        TypeError: A rule has other fields than a rule has.
    """
    rules: list[PathMappingRule] = []
    if path_mapping_rules:
        file = Path(path_mapping_rules)
        if not file.is_file():
            raise NonValidInputError(f"Specified path mapping file {path_mapping_rules} is not valid.")
        data = json.loads(file.read_text(encoding="utf8"))
        if "path_mapping_rules" in data:
            data = data["path_mapping_rules"]
        if not isinstance(data, list):
            raise AssertionError("Path mapping rules have to be a list of dict.")
        rules.extend(PathMappingRule(**rule) for rule in data)
    missing = [root for root in root_dirs if not Path(root).is_dir()]
    if missing:
        raise NonValidInputError(f"Specified root dir {missing} are not valid.")
    rules.extend(PathMappingRule("", root, root) for root in root_dirs)
    return rules


def _rule_for(
    file_name: str, rules: Sequence[PathMappingRule], hash_alg: HashAlgorithm
) -> Optional[PathMappingRule]:
    """The first rule the hash of whose source path occurs in a manifest file's name."""
    return next((rule for rule in rules if rule.get_hashed_source_path(hash_alg) in file_name), None)
