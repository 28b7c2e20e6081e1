"""The classes that belong to each version of manifests."""

from __future__ import annotations

from typing import ClassVar

from .base_manifest import BaseManifestModel
from .v2023_03_03 import ManifestModel as _Model2023
from .v2025_12_04 import ManifestModel as _Model2025
from .versions import ManifestVersion

__all__ = ["BaseManifestModel", "ManifestModelRegistry"]


class ManifestModelRegistry:
    """Finds the model of a version."""

    _asset_manifest_mapping: ClassVar[dict[ManifestVersion, type[BaseManifestModel]]] = {}

    @classmethod
    def register(cls) -> None:
        """Enters the models of all versions."""
        cls._asset_manifest_mapping = {
            **cls._asset_manifest_mapping,
            ManifestVersion.v2023_03_03: _Model2023,
            ManifestVersion.v2025_12_04_beta: _Model2025,
        }

    @classmethod
    def get_manifest_model(cls, *, version: ManifestVersion) -> type[BaseManifestModel]:
        """Gives the model of a version.

        Raises:
            RuntimeError: There is none.
        """
        model = cls._asset_manifest_mapping.get(version)
        if model is None:
            raise RuntimeError(f"No model for asset manifest version: {version}")
        return model
