"""Manifests of version 2025-12-04-beta."""

from __future__ import annotations

from .asset_manifest import (
    AssetManifest,
    ManifestDirectoryPath,
    ManifestFilePath,
    ManifestModel,
    ManifestType,
)

__all__ = ["AssetManifest", "ManifestDirectoryPath", "ManifestFilePath", "ManifestModel", "ManifestType"]
