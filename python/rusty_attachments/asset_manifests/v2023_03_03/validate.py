"""Checking JSON documents against the rules of version 2023-03-03."""

from __future__ import annotations

from typing import Any, Optional

from ..decode import validate_manifest
from ..versions import ManifestVersion

__all__ = ["validate_manifest_2023_03_03"]


def validate_manifest_2023_03_03(manifest: dict[str, Any]) -> tuple[bool, Optional[str]]:
    """Checks a document; the form of hashes is `decode_manifest`'s to check.

    Returns:
        Whether it is valid, and why not.
    """
    return validate_manifest(manifest, ManifestVersion.v2023_03_03)
