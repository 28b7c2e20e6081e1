"""Loading a manifest from wherever it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Callable, Optional, Union

from .base_manifest import BaseAssetManifest
from .decode import decode_manifest

__all__ = ["load_manifest"]

FetchObject = Callable[[str, str, Optional[Any]], bytes]
"""Gets an object: bucket, key and a boto3 session or `None`, to its bytes."""


def load_manifest(
    source: Union[str, bytes, os.PathLike[str]],
    *,
    strict: bool = False,
    session: Optional[Any] = None,
    fetch_object: Optional[FetchObject] = None,
) -> BaseAssetManifest:
    """Loads a manifest of any version.

    Args:
        source: A path, `s3://bucket/key`, or the JSON itself as text or bytes. Text is JSON if its first character
            that is not blank is `{`.
        strict: As for `decode_manifest`.
        session: The boto3 session to get an S3 object with.
        fetch_object: Gets an S3 object.

    Raises:
        ValueError: The URI has no bucket or no key, or there is nothing to get it with.
        OSError: The file can't be read.
        ManifestDecodeValidationError: The manifest is not valid.
        json.JSONDecodeError: It is no JSON.
    """
    if isinstance(source, bytes):
        return decode_manifest(source, strict=strict)
    if isinstance(source, str):
        if source.lstrip(" \t\r\n").startswith("{"):
            return decode_manifest(source, strict=strict)
        if source.startswith("s3://"):
            bucket, _, key = source[len("s3://") :].partition("/")
            if not (bucket and key):
                raise ValueError(f"not an S3 URI with bucket and key: {source}")
            if fetch_object is None:
                raise ValueError(f"a manifest in S3 needs fetch_object to get it with: {source}")
            return decode_manifest(fetch_object(bucket, key, session), strict=strict)
    return decode_manifest(Path(source).read_bytes(), strict=strict)
