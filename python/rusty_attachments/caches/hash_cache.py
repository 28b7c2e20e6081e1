"""The cache of hashes of local files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Optional, Union

from .._native import CacheConnection
from ..asset_manifests.hash_algorithms import HashAlgorithm
from .cache_db import CacheDB

WHOLE_FILE_RANGE_END = -1
"""The end of the range that is a whole file."""


@dataclass
class HashCacheEntry:
    """The hash of a file, or of a part of it.

    Attributes:
        file_path: The resolved path. Lone surrogates, which stand for bytes that are no UTF-8, are kept.
        hash_algorithm: The algorithm.
        file_hash: The hash.
        last_modified_time: `str(datetime.fromtimestamp(st_mtime))`: local time.
        range_start: The first byte.
        range_end: The byte after the last, or `WHOLE_FILE_RANGE_END`.

    Raises:
        ValueError: The range ends before it begins.
    """

    file_path: str
    hash_algorithm: HashAlgorithm
    file_hash: str
    last_modified_time: str
    range_start: int = 0
    range_end: int = WHOLE_FILE_RANGE_END

    def __post_init__(self) -> None:
        if self.range_end != WHOLE_FILE_RANGE_END and self.range_end <= self.range_start:
            raise ValueError(
                f"For byte-range entries, range_end ({self.range_end}) must be greater than "
                f"range_start ({self.range_start})"
            )

    def is_whole_file(self) -> bool:
        """Whether this is the hash of a whole file."""
        return self.range_start == 0 and self.range_end == WHOLE_FILE_RANGE_END

    def to_dict(self) -> dict[str, Any]:
        """The entry's fields, the algorithm by its name."""
        return {
            "file_path": self.file_path,
            "hash_algorithm": self.hash_algorithm.value,
            "file_hash": self.file_hash,
            "last_modified_time": self.last_modified_time,
            "range_start": self.range_start,
            "range_end": self.range_end,
        }


class HashCache(CacheDB):
    """The reference's table of hashes, to be used as a context manager; threads may share it.

    Hashing in this package keeps a table of its own in the same file, which also knows sizes and status
    change times, and writes this one along.
    """

    CACHE_NAME = "hash_cache"
    CACHE_DB_VERSION = 4

    def __init__(self, cache_dir: Optional[Union[str, os.PathLike[str]]] = None) -> None:
        """Makes the cache's directory.

        Args:
            cache_dir: The directory; `~/.deadline/job_attachments` by default.
        """
        table = f"hashesV{self.CACHE_DB_VERSION}"
        columns = (
            "file_path blob, hash_algorithm text, range_start integer, range_end integer, "
            "file_hash text, last_modified_time timestamp, "
            "PRIMARY KEY (file_path, hash_algorithm, range_start, range_end)"
        )
        super().__init__(self.CACHE_NAME, table, f"CREATE TABLE {table}({columns})", cache_dir)

    def get_connection_entry(
        self,
        file_path_key: str,
        hash_algorithm: HashAlgorithm,
        connection: CacheConnection,
        range_start: int = 0,
        range_end: int = WHOLE_FILE_RANGE_END,
    ) -> Optional[HashCacheEntry]:
        """Looks up a hash through a connection of the caller's, usually `get_local_connection()`."""
        row = connection.execute(
            "SELECT file_path, hash_algorithm, file_hash, last_modified_time, range_start, range_end "
            f"FROM {self.table_name} "
            "WHERE file_path=? AND hash_algorithm=? AND range_start=? AND range_end=?",
            [_encoded(file_path_key), HashAlgorithm(hash_algorithm).value, range_start, range_end],
        ).fetchone()
        if row is None:
            return None
        return HashCacheEntry(
            file_path=str(row[0], encoding="utf-8", errors="surrogatepass"),
            hash_algorithm=HashAlgorithm(row[1]),
            file_hash=row[2],
            last_modified_time=str(row[3]),
            range_start=row[4],
            range_end=row[5],
        )

    def get_entry(
        self,
        file_path_key: str,
        hash_algorithm: HashAlgorithm,
        range_start: int = 0,
        range_end: int = WHOLE_FILE_RANGE_END,
    ) -> Optional[HashCacheEntry]:
        """Looks up a hash.

        Args:
            file_path_key: The resolved path.
            hash_algorithm: The algorithm.
            range_start: The first byte.
            range_end: The byte after the last, or `WHOLE_FILE_RANGE_END`.

        Returns:
            The entry, or `None`.
        """
        with self.db_lock:
            return self.get_connection_entry(
                file_path_key, hash_algorithm, self.db_connection, range_start, range_end
            )

    def put_entry(self, entry: HashCacheEntry) -> None:
        """Adds or replaces an entry."""
        with self.db_lock:
            self.db_connection.execute(
                f"INSERT OR REPLACE INTO {self.table_name}"
                "(file_path, hash_algorithm, range_start, range_end, file_hash, last_modified_time) "
                "VALUES(?, ?, ?, ?, ?, ?)",
                [
                    _encoded(entry.file_path),
                    entry.hash_algorithm.value,
                    entry.range_start,
                    entry.range_end,
                    entry.file_hash,
                    entry.last_modified_time,
                ],
            )


def _encoded(path: str) -> bytes:
    return path.encode("utf-8", "surrogatepass")
