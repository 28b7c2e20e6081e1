"""The `paths` of a manifest that holds its entries in native columns."""

from __future__ import annotations

from ._lazy_list import LazyList
from .base_manifest import BaseManifestPath

__all__ = ["ManifestPaths"]


class ManifestPaths(LazyList[BaseManifestPath]):
    """A list of a manifest's files; an object of an entry is made when it is touched."""

    __slots__ = ()
