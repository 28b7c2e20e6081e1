"""Local caches: hashes of files, and objects that were seen in S3.

The files are the reference's, and both tools may use them at the same time.
"""

from __future__ import annotations

from .cache_db import COMPONENT_NAME, CONFIG_ROOT, CacheDB
from .hash_cache import WHOLE_FILE_RANGE_END, HashCache, HashCacheEntry
from .s3_check_cache import S3CheckCache, S3CheckCacheEntry

__all__ = [
    "COMPONENT_NAME",
    "CONFIG_ROOT",
    "WHOLE_FILE_RANGE_END",
    "CacheDB",
    "HashCache",
    "HashCacheEntry",
    "S3CheckCache",
    "S3CheckCacheEntry",
]
