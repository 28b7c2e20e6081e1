"""Manifest files: reading them, and writing them under the names that programs look for."""

from __future__ import annotations

import os
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Optional

from .._files import write_text
from .._utils import _get_long_path_compatible_path
from ..asset_manifests import BaseAssetManifest, HashAlgorithm, hash_data
from ..asset_manifests.decode import decode_manifest
from ..exceptions import NonValidInputError

__all__ = ["read_manifests", "write_manifest"]


def read_manifests(manifest_paths: list[str]) -> dict[str, BaseAssetManifest]:
    """Reads manifest files.

    Args:
        manifest_paths: The files.

    Returns:
        The manifests by file name, without the directory.

    Raises:
        NonValidInputError: A file is not there, or two files in different directories have the same name.
    """
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


def write_manifest(
    root: str,
    manifest: BaseAssetManifest,
    destination: str,
    name: Optional[str] = None,
) -> str:
    """Writes a manifest under a name that tells its root and the time.

    Args:
        root: The root, as its hash goes into the name.
        manifest: The manifest.
        destination: The directory; it is made if need be.
        name: What the name begins with, instead of the root.

    Returns:
        The file's path: `destination`, as given, and its name.
    """
    root_hash = hash_data(root.encode("utf-8", "surrogatepass"), HashAlgorithm.XXH128)
    time = datetime.now().strftime("%Y-%m-%dT%H-%M-%S")
    start = name if name else root.replace("/", "_").replace("\\", "_").replace(":", "_")
    file_name = f"{start[1:] if start.startswith('_') else start}-{root_hash}-{time}.manifest"
    path = os.path.join(destination, file_name)  # noqa: PTH118 (the destination as given)
    target = _get_long_path_compatible_path(Path(path).absolute())
    target.parent.mkdir(parents=True, exist_ok=True)
    write_text(target, manifest.encode())
    return path
