"""Loading a manifest from wherever it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Optional, Union

from .. import _native
from .._calls.operation import store_arguments
from .base_manifest import BaseAssetManifest
from .decode import decode_manifest

__all__ = ["load_manifest"]

_SCHEME = "s3://"


def load_manifest(
    source: Union[str, bytes, os.PathLike[str]],
    *,
    strict: bool = False,
    session: Optional[Any] = None,
) -> BaseAssetManifest:
    """Loads a manifest of any version.

    Args:
        source: A path, `s3://bucket/key`, or the JSON itself as text or bytes. Text is JSON if its first character
            that is not blank is `{`.
        strict: As for `decode_manifest`.
        session: For a manifest in S3, the boto3 session to take credentials from; without one, they come from
            the environment.

    Raises:
        ValueError: The URI has no bucket or no key.
        OSError: The file can't be read.
        ManifestDecodeValidationError: The manifest is not valid.
        json.JSONDecodeError: It is no JSON.
        JobAttachmentsS3ClientError: S3 refused the request.
        AssetSyncError: What is in S3 is no valid manifest.
    """
    if isinstance(source, bytes):
        return decode_manifest(source, strict=strict)
    if isinstance(source, str):
        if source.lstrip(" \t\r\n").startswith("{"):
            return decode_manifest(source, strict=strict)
        if source.startswith(_SCHEME):
            bucket, _, key = source[len(_SCHEME) :].partition("/")
            if not (bucket and key):
                raise ValueError(f"not an S3 URI with bucket and key: {source}")
            operation = _native.load_manifest(store_arguments(session), (bucket, key), strict)
            found: BaseAssetManifest = operation.run()
            return found
    return decode_manifest(Path(source).read_bytes(), strict=strict)
