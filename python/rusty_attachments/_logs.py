"""The loggers that records go to.

They are this package's, `rusty_attachments…`. While names of the reference are swapped for ours, they are the
reference's: levels and handlers that a program has set for those apply to our records.
"""

from __future__ import annotations

import logging

__all__ = ["logger", "use_those_of_the_reference"]

_OURS = {
    "": "rusty_attachments",
    "upload": "rusty_attachments.upload",
    "download": "rusty_attachments.download",
    "caches": "rusty_attachments.caches",
    "s3": "rusty_attachments.s3",
}
_THEIRS = {
    "": "deadline.job_attachments",
    "upload": "deadline.job_attachments.upload",
    "download": "deadline.job_attachments.download",
    "caches": "Deadline",
    "s3": "deadline.job_attachments.s3",
}
_is_swapped = False


def logger(area: str = "") -> logging.Logger:
    """The logger of an area: `upload`, `download`, `caches`, `s3`, or of none in particular."""
    return logging.getLogger((_THEIRS if _is_swapped else _OURS)[area])


def use_those_of_the_reference(is_swapped: bool) -> None:
    """Sends records to the reference's loggers from now on, or to ours again."""
    global _is_swapped
    _is_swapped = is_swapped
