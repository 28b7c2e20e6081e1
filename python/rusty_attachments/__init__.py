"""AWS Deadline Cloud job attachments, in Rust."""

from ._native import __version__

__all__ = ["__version__"]
