"""What uploads and downloads can be told that the reference has no argument for.

`None` stands for the default everywhere. The defaults are those of the native module, which
`docs/guide/configuration.md` lists.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Optional

__all__ = ["DownloadOptions", "UploadOptions"]


@dataclass(frozen=True)
class UploadOptions:
    """How an uploader goes about its work. The defaults do what the reference does.

    Attributes:
        confine_links: Refuses symbolic links that lead out of the asset root. By default links are followed wherever
            they lead.
        trust_cache_for: How long an object that was seen in S3 is taken to be there without asking; 30 days at the
            most, which is the default. A bucket whose lifecycle rules remove objects sooner wants less.
        resume_within: How old an unfinished upload of a large file may be to go on from its parts; zero for never. By
            default, a day.
        checksums: Whether requests carry checksums that S3 does not ask for, as they do by default. Off for
            S3-compatible stores that reject them, as `AWS_REQUEST_CHECKSUM_CALCULATION=when_required` is.
        buffer_bytes: Bytes of files in memory at once.

    Raises:
        ValueError: `buffer_bytes` is not positive.
    """

    confine_links: Optional[bool] = None
    trust_cache_for: Optional[timedelta] = None
    resume_within: Optional[timedelta] = None
    checksums: Optional[bool] = None
    buffer_bytes: Optional[int] = None

    def __post_init__(self) -> None:
        _check_positive(buffer_bytes=self.buffer_bytes)


@dataclass(frozen=True)
class DownloadOptions:
    """How a download goes about its work.

    Attributes:
        max_connections: The most requests under way at once.
        buffer_bytes: Bytes of files in memory at once.

    Raises:
        ValueError: A number is not positive.
    """

    max_connections: Optional[int] = None
    buffer_bytes: Optional[int] = None

    def __post_init__(self) -> None:
        _check_positive(max_connections=self.max_connections, buffer_bytes=self.buffer_bytes)


def _check_positive(**numbers: Optional[int]) -> None:
    for name, number in numbers.items():
        if number is not None and number < 1:
            raise ValueError(f"{name} must be a positive number, not {number}")
