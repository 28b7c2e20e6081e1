"""The `paths` and `dirs` of a manifest that holds its entries in native columns."""

from __future__ import annotations

from typing import Any

from ._lazy_list import LazyList
from .base_manifest import BaseManifestPath

__all__ = ["ManifestDirectories", "ManifestPaths"]


class ManifestPaths(LazyList[BaseManifestPath]):
    """A list of a manifest's files; an object of an entry is made when it is touched."""

    __slots__ = ()


class ManifestDirectories(LazyList[Any]):
    """A list of a manifest's directories; an object is made when it is touched."""

    __slots__ = ()
