"""The versions of manifests."""

from __future__ import annotations

from enum import Enum

__all__ = ["ManifestVersion"]


class ManifestVersion(str, Enum):
    """A version of the manifest format, as `manifestVersion` names it.

    `UNDEFINED` stands for no version; nothing reads or writes it.
    """

    UNDEFINED = "UNDEFINED"
    v2023_03_03 = "2023-03-03"
    v2025_12_04_beta = "2025-12-04-beta"
