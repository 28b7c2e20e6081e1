"""AWS Deadline Cloud job attachments, in Rust."""

from ._version import __version__, version

__all__ = ["__version__", "version"]
