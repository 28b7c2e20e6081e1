"""The cache of objects that were seen in S3."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Optional, Union

from .._native import CacheConnection
from .cache_db import CacheDB

_logger = logging.getLogger("Deadline")


@dataclass
class S3CheckCacheEntry:
    """An object that was seen in S3.

    Attributes:
        s3_key: `<bucket>/<key>`.
        last_seen_time: Seconds since the epoch, as text.
    """

    s3_key: str
    last_seen_time: str

    def to_dict(self) -> dict[str, Any]:
        """The entry's fields."""
        return {"s3_key": self.s3_key, "last_seen_time": self.last_seen_time}


class S3CheckCache(CacheDB):
    """The table of objects seen in S3, to be used as a context manager; threads may share it."""

    CACHE_NAME = "s3_check_cache"
    CACHE_DB_VERSION = 1
    ENTRY_EXPIRY_DAYS = 30

    def __init__(self, cache_dir: Optional[Union[str, os.PathLike[str]]] = None) -> None:
        """Makes the cache's directory.

        Args:
            cache_dir: The directory; `~/.deadline/job_attachments` by default.
        """
        table = f"s3checkV{self.CACHE_DB_VERSION}"
        columns = "s3_key text primary key, last_seen_time timestamp"
        super().__init__(self.CACHE_NAME, table, f"CREATE TABLE {table}({columns})", cache_dir)

    def get_connection_entry(self, s3_key: str, connection: CacheConnection) -> Optional[S3CheckCacheEntry]:
        """Looks up an object through a connection of the caller's, usually `get_local_connection()`."""
        row = connection.execute(
            f"SELECT s3_key, last_seen_time FROM {self.table_name} WHERE s3_key=?", [s3_key]
        ).fetchone()
        if row is None:
            return None
        entry = S3CheckCacheEntry(s3_key=row[0], last_seen_time=str(row[1]))
        try:
            age = datetime.now() - datetime.fromtimestamp(float(entry.last_seen_time))
        except (ValueError, OverflowError, OSError):
            _logger.warning("Timestamp for S3 key %s is not valid. Ignoring.", s3_key)
            return None
        return entry if age.days < self.ENTRY_EXPIRY_DAYS else None

    def get_entry(self, s3_key: str) -> Optional[S3CheckCacheEntry]:
        """Looks up an object that was seen within the last `ENTRY_EXPIRY_DAYS`.

        Args:
            s3_key: `<bucket>/<key>`.

        Returns:
            The entry, or `None`.
        """
        with self.db_lock:
            return self.get_connection_entry(s3_key, self.db_connection)

    def put_entry(self, entry: S3CheckCacheEntry) -> None:
        """Adds or replaces an entry."""
        with self.db_lock:
            self.db_connection.execute(
                f"INSERT OR REPLACE INTO {self.table_name}(s3_key, last_seen_time) VALUES(?, ?)",
                [entry.s3_key, entry.last_seen_time],
            )
