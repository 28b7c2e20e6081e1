"""Rows of hash caches that don't fit the files that they name."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import struct
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import xxhash

_OWN = (
    "select file_path, range_start, range_end, hash, size_bytes, mtime_ns, ctime_ns, inode, seal"
    " from rustyAttachmentsV1"
)
_REFERENCE = (
    "select file_path, range_start, range_end, file_hash, last_modified_time from hashesV4"
    " where hash_algorithm = 'xxh128'"
)


def stale_rows(folder: Path, with_reference: bool) -> list[str]:
    """Names the rows of all hash caches below a folder that are believed, and wrong.

    A row of ours is believed where its seal is right and size, times and inode are the file's. A row of the reference's
    table is believed where the file's modification time is its text, in this process's time zone.
    """
    found = []
    for path in sorted(folder.rglob("hash_cache.db")):
        if path.is_file():
            found += [f"{path.name}: {row}" for row in _stale_rows_of(path, with_reference)]
    return found


def _stale_rows_of(path: Path, with_reference: bool) -> Iterator[str]:
    # A copy: looking must not change what is looked at, and the folder may be read-only.
    with tempfile.TemporaryDirectory(prefix="rusty-stale-") as copies:
        for suffix in ("", "-wal"):
            source = path.with_name(path.name + suffix)
            if source.is_file():
                shutil.copyfile(source, Path(copies) / source.name)
        # A damaged file, or a table that is not there, has no rows that anyone believes.
        with contextlib.suppress(sqlite3.DatabaseError):
            yield from _of_ours(Path(copies) / path.name)
        if with_reference:
            with contextlib.suppress(sqlite3.DatabaseError):
                yield from _of_the_reference(Path(copies) / path.name)


def _rows(database: Path, query: str) -> Iterator[tuple]:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.text_factory = bytes
        yield from connection.execute(query)


def _of_ours(database: Path) -> Iterator[str]:
    for name, start, end, digest, size, mtime, ctime, inode, sealed in _rows(database, _OWN):
        # Damage may leave values of other types.
        try:
            is_sealed = sealed == seal(name, start, end, digest, size, mtime, ctime, inode)
        except (struct.error, TypeError):
            is_sealed = False
        if not is_sealed:
            continue
        file = _file(name)
        stat = _stat(file)
        if stat is None or (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) != (size, mtime, ctime):
            continue
        same_inode = struct.pack("<Q", stat.st_ino) == struct.pack("<q", inode)
        if same_inode and _differs(file, (start, end), digest.hex()):
            yield f"{file} in the own table"


def _of_the_reference(database: Path) -> Iterator[str]:
    for name, start, end, digest, time in _rows(database, _REFERENCE):
        file = _file(name)
        stat = _stat(file)
        if stat is None or not isinstance(time, bytes):
            continue
        with contextlib.suppress(ValueError, OverflowError):
            same_time = str(datetime.fromtimestamp(stat.st_mtime)).encode() == time
            if same_time and _differs(file, (start, end), bytes(digest).decode("latin-1")):
                yield f"{file} in the reference's table"


def seal(
    name: bytes, start: int, end: int, digest: bytes, size: int, mtime: int, ctime: int, inode: int
) -> int:
    """Ties the values of a row of ours together, as the package does it."""
    text = struct.pack("<qqqqqq", start, end, mtime, ctime, size, inode) + digest + name
    return int(struct.unpack("<q", xxhash.xxh3_128_digest(text)[:8])[0])


def _file(name: bytes) -> str:
    """The host's name of a path in WTF-8."""
    return name.decode("utf-8", "surrogatepass")


def _stat(file: str) -> os.stat_result | None:
    try:
        return Path(file).stat()
    except (OSError, ValueError):
        return None


def _differs(file: str, byte_range: tuple[int, int], digest: str) -> bool:
    """Whether a range of a file, to its end where the range has none, hashes to something else; not if unreadable."""
    start, end = byte_range
    hasher = xxhash.xxh3_128()
    with contextlib.suppress(OSError), Path(file).open("rb") as opened:
        opened.seek(start)
        left = end - start if end >= 0 else None
        while piece := opened.read(1 << 20 if left is None else min(1 << 20, left)):
            hasher.update(piece)
            left = None if left is None else left - len(piece)
        return hasher.hexdigest() != digest
    return False
