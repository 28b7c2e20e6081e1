"""The version of this package; the native module carries it."""

from __future__ import annotations

from ._native import __version__

__all__ = [
    "__commit_id__",
    "__version__",
    "__version_tuple__",
    "commit_id",
    "version",
    "version_tuple",
]

version: str = __version__
__version_tuple__: tuple[int, ...] = tuple(int(part) for part in __version__.split("-")[0].split("."))
version_tuple = __version_tuple__
commit_id = __commit_id__ = None
"""Which commit a build is of is not recorded."""
