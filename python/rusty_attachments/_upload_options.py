"""What the reference has no argument for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class UploadOptions:
    """How an uploader goes about its work. The defaults do what the reference does.

    Attributes:
        confine_links: Refuses symbolic links that lead out of the asset root. By default links are followed wherever
            they lead.
        trust_cache_for: How long an object that was seen in S3 is taken to be there without asking; 30 days at the
            most. A bucket whose lifecycle rules remove objects sooner wants less.
        resume_within: How old an unfinished upload of a large file may be to go on from its parts; zero for never.
        checksums: Whether requests carry checksums that S3 does not ask for. Off for S3-compatible stores that
            reject them, as `AWS_REQUEST_CHECKSUM_CALCULATION=when_required` is.
        buffer_bytes: Bytes of files in memory at once.
    """

    confine_links: bool = False
    trust_cache_for: timedelta = timedelta(days=30)
    resume_within: timedelta = timedelta(days=1)
    checksums: bool = True
    buffer_bytes: int = 64 * 1024 * 1024
