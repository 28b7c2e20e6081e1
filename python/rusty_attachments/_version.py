"""The version of this package; the native module carries it."""

from __future__ import annotations

from ._native import __version__

__all__ = ["__version__", "__version_tuple__", "version", "version_tuple"]

version: str = __version__
__version_tuple__: tuple[int, ...] = tuple(int(part) for part in __version__.split("-")[0].split("."))
version_tuple = __version_tuple__
