"""Reading and validating manifests."""

from __future__ import annotations

import json
from typing import Any, Optional, Union

from .. import _native
from .base_manifest import BaseAssetManifest
from .versions import ManifestVersion

__all__ = ["decode_manifest", "validate_manifest"]


def decode_manifest(manifest: Union[str, bytes], *, strict: bool = False) -> BaseAssetManifest:
    """Reads a manifest of any version.

    Its entries are held in native columns: `paths` behaves as a list, and makes an object of an entry when it is
    touched.

    Args:
        manifest: The JSON text; of bytes, UTF-8, UTF-16 and UTF-32 are taken, as by `json.loads`.
        strict: Refuses what is accepted for the reference's sake: duplicate paths, paths that lead out of a root or
            are both a file and a directory, negative sizes, and totals that don't add up.

    Raises:
        ManifestDecodeValidationError: The version is not known, or the manifest is not valid.
        json.JSONDecodeError: The text is no JSON.
    """
    if not isinstance(manifest, str):
        encoding = json.detect_encoding(manifest)
        manifest = bytes(manifest).decode(encoding, "surrogatepass")
    return _native.decode_manifest(manifest, strict)


def validate_manifest(manifest: dict[str, Any], version: ManifestVersion) -> tuple[bool, Optional[str]]:
    """Checks a JSON document against the rules of a version; the form of hashes is `decode_manifest`'s to check.

    Returns:
        Whether it is valid, and why not.
    """
    if version not in (ManifestVersion.v2023_03_03, ManifestVersion.v2025_12_04_beta):
        return False, f"Version {version} is not supported"
    problem = _native.validate_manifest(json.dumps(manifest), version.value)
    return problem is None, problem
