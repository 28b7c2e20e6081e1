"""What the functions of this package share."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from .._utils import _get_long_path_compatible_path
from ..exceptions import NonValidInputError

if TYPE_CHECKING:
    from ..asset_manifests import BaseAssetManifest


def _read_manifests(manifest_paths: list[str]) -> dict[str, BaseAssetManifest]:
    """Reads manifest files.

    Args:
        manifest_paths: The files.

    Returns:
        The manifests by file name, without the directory.

    Raises:
        NonValidInputError: A file is not there, or two files in different directories have the same name.
    """
    from ..asset_manifests.decode import decode_manifest

    # Absolute first: Windows' long-path prefix takes no other paths.
    files = {given: _get_long_path_compatible_path(Path(given).absolute()) for given in manifest_paths}
    missing = [given for given, file in files.items() if not file.is_file()]
    if missing:
        raise NonValidInputError(f"Specified manifests {missing} are not valid.")
    names = Counter({file: file.name for file in files.values()}.values())
    doubled = [given for given, file in files.items() if names[file.name] > 1]
    if doubled:
        raise NonValidInputError(f"Specified manifests {doubled} have the same file name.")
    return {file.name: decode_manifest(file.read_text(encoding="utf-8")) for file in files.values()}
