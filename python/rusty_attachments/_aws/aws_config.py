"""Settings of the AWS clients."""

from __future__ import annotations

VENDOR_CODE: str = "deadline"
S3_CONNECT_TIMEOUT_IN_SECS: int = 30
S3_READ_TIMEOUT_IN_SECS: int = 30
S3_RETRIES_MODE: str = "standard"
