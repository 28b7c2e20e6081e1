"""The canonical form of manifests: sorted keys, no blanks, ASCII alone, paths in the order of UTF-16."""

from __future__ import annotations

from .base_manifest import BaseAssetManifest, BaseManifestPath

__all__ = ["canonical_path_comparator", "manifest_to_canonical_json_string"]


def canonical_path_comparator(path: BaseManifestPath) -> bytes:
    """The key that paths are sorted by: UTF-16, big-endian, lone surrogates as they are."""
    return path.path.encode("utf-16_be", "surrogatepass")


def manifest_to_canonical_json_string(manifest: BaseAssetManifest) -> str:
    """The canonical text of a manifest; its paths are left in the order in which they are written."""
    return manifest.encode()
