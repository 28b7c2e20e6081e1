"""The version of this package, as `rusty_attachments.version.version`."""

from __future__ import annotations

from ._version import __version__, __version_tuple__, version, version_tuple

__all__ = ["__version__", "__version_tuple__", "version", "version_tuple"]
