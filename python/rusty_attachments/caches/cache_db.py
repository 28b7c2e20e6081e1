"""A cache in an SQLite file."""

from __future__ import annotations

import logging
import os
import threading
from abc import ABC
from pathlib import Path
from types import TracebackType
from typing import Optional, TypeVar, Union

from .._native import CacheConnection
from ..exceptions import JobAttachmentsError

CONFIG_ROOT = ".deadline"
COMPONENT_NAME = "job_attachments"

_logger = logging.getLogger("Deadline")

_Cache = TypeVar("_Cache", bound="CacheDB")


class CacheDB(ABC):
    """A table in an SQLite file, to be used as a context manager.

    Attributes:
        cache_name: The file's name without `.db`.
        table_name: The table.
        create_query: SQL that makes the table.
        enabled: Whether the cache is used; always true, as SQLite is built in.
        cache_dir: The file (not its directory), as text.
        db_lock: Held while `db_connection` is used.
        db_connection: The connection, within the context.
    """

    db_connection: CacheConnection

    def __init__(
        self,
        cache_name: str,
        table_name: str,
        create_query: str,
        cache_dir: Optional[Union[str, os.PathLike[str]]] = None,
    ) -> None:
        if not cache_name or not table_name or not create_query:
            raise JobAttachmentsError("Constructor strings for CacheDB cannot be empty.")
        self.cache_name = cache_name
        self.table_name = table_name
        self.create_query = create_query
        self.enabled = True
        self._local = threading.local()
        self._local_connections: set[CacheConnection] = set()
        folder = self.get_default_cache_db_file_dir() if cache_dir is None else cache_dir
        if folder is None:
            raise JobAttachmentsError(
                f"No default cache path found. Please provide a directory for {self.cache_name}."
            )
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.cache_dir: str = os.path.join(folder, f"{self.cache_name}.db")  # noqa: PTH118 (text, as typed)
        self.db_lock = threading.Lock()

    def __enter__(self: _Cache) -> _Cache:
        """Opens the file.

        Raises:
            JobAttachmentsError: The file can't be used. A damaged file is put aside instead, with a warning.
        """
        self.db_connection = self._connect()
        return self

    def __exit__(
        self,
        exc_type: Optional[type[BaseException]],
        exc_value: Optional[BaseException],
        exc_traceback: Optional[TracebackType],
    ) -> None:
        """Closes the file."""
        self._close()

    def get_local_connection(self) -> CacheConnection:
        """A connection of the calling thread's own, for `get_connection_entry`."""
        if not hasattr(self._local, "connection"):
            self._local.connection = self._connect()
            self._local_connections.add(self._local.connection)
        connection: CacheConnection = self._local.connection
        return connection

    @classmethod
    def get_default_cache_db_file_dir(cls) -> Optional[str]:
        """The directory of caches below the user's home, or `None` where there is no home."""
        home = os.path.expanduser("~")  # noqa: PTH111 (pathlib raises where there is none)
        if not home or home == "~":
            return None
        return os.path.join(home, CONFIG_ROOT, COMPONENT_NAME)  # noqa: PTH118

    def remove_cache(self) -> None:
        """Closes the cache and deletes its file.

        Raises:
            OSError: The file can't be deleted.
        """
        self._close()
        _logger.debug("The cache %s will be removed", self.cache_dir)
        try:
            os.remove(self.cache_dir)  # noqa: PTH107 (callers patch it, as with the reference)
        except OSError as error:
            _logger.error("Error occurred while removing the cache file %s: %s", self.cache_dir, error)
            raise

    def _connect(self) -> CacheConnection:
        try:
            connection, warning = CacheConnection.open(self.cache_dir, self.table_name, self.create_query)
        except Exception as error:
            raise JobAttachmentsError(f"Could not access cache file: {self.cache_dir}") from error
        if warning is not None:
            _logger.warning(warning)
        return connection

    def _close(self) -> None:
        self.db_connection.close()
        for connection in self._local_connections:
            connection.close()
        self._local_connections.clear()
        self._local = threading.local()
