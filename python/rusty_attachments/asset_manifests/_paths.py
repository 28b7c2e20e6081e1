"""The `paths` and `dirs` of a manifest that holds its entries in native columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._lazy_list import LazyList
from .base_manifest import BaseManifestPath

if TYPE_CHECKING:
    from .v2025_12_04.asset_manifest import ManifestDirectoryPath  # noqa: F401 - in quotes below, ruff overlooks it

__all__ = ["ManifestDirectories", "ManifestPaths"]


class ManifestPaths(LazyList[BaseManifestPath]):
    """A list of a manifest's files; an object of an entry is made when it is touched."""

    __slots__ = ()


class ManifestDirectories(LazyList["ManifestDirectoryPath"]):
    """A list of a manifest's directories; an object is made when it is touched."""

    __slots__ = ()
