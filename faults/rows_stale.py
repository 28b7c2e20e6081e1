"""F22, more: rows of hash caches that are wrong, where nothing about the file shows it, and where something does."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import struct
import time
from datetime import datetime
from pathlib import Path

import xxhash
from case import MIB, Case, case
from rows_caches import cache_folder, check_hashes
from stale import seal

_CREATE_REFERENCE = (
    "create table if not exists hashesV4(file_path blob, hash_algorithm text, range_start integer, range_end integer,"
    " file_hash text, last_modified_time timestamp,"
    " primary key (file_path, hash_algorithm, range_start, range_end))"
)
_CREATE_OWN = (
    "create table if not exists rustyAttachmentsV1(file_path blob not null, range_start integer not null,"
    " range_end integer not null, hash blob not null, size_bytes integer not null, mtime_ns integer not null,"
    " ctime_ns integer not null, inode integer not null, seal integer not null,"
    " primary key (file_path, range_start, range_end)) without rowid"
)


def write_row(this: Case, path: Path, body: bytes, own: bool) -> None:
    """A row that says that a file, as it is now, holds `body`: the reference's, or a sealed one of ours."""
    folder = cache_folder(this)
    folder.mkdir(parents=True, exist_ok=True)
    stat, name = path.stat(), os.fsencode(path.resolve())
    digest = xxhash.xxh3_128_digest(body)
    with contextlib.closing(sqlite3.connect(folder / "hash_cache.db")) as database:
        database.execute(_CREATE_REFERENCE)
        database.execute(_CREATE_OWN)
        if own:
            (inode,) = struct.unpack("<q", struct.pack("<Q", stat.st_ino))
            values = (0, -1, digest, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, inode)
            sealed = (name, *values, seal(name, *values))
            database.execute("insert or replace into rustyAttachmentsV1 values (?,?,?,?,?,?,?,?,?)", sealed)
        else:
            text = str(datetime.fromtimestamp(stat.st_mtime))
            row = (name, "xxh128", 0, -1, digest.hex(), text)
            database.execute("insert or replace into hashesV4 values (?,?,?,?,?,?)", row)
        database.commit()


def replace(path: Path, body: bytes) -> None:
    """As `mv`, `tar` and `rsync` leave a file: another one, with the time of the one before."""
    before = path.stat()
    other = path.with_name("other")
    other.write_bytes(body)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


def rewrite(path: Path, body: bytes) -> None:
    """As a program that sets the time back leaves it."""
    before = path.stat()
    path.write_bytes(body)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def copy_over(path: Path, body: bytes) -> None:
    """As `cp -p` leaves it, from a file with the same time."""
    before = path.stat()
    source = path.with_name("source")
    source.write_bytes(body)
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
    shutil.copy2(source, path)
    source.unlink()


_HOWS = {"replaced": replace, "rewritten": rewrite, "copied over": copy_over}


def _kept(how: str, length: int) -> None:
    @case("F22", f"known to the reference's table alone, and {how} with its time kept, {length} bytes more")
    def kept(this: Case) -> None:
        contents = {f"f{number}": this.bytes(900) for number in range(6)}
        for name, body in contents.items():
            path = this.root / name
            path.write_bytes(body)
            write_row(this, path, body, own=False)
        for name in list(contents)[::2]:
            contents[name] = this.bytes(900 + length)
            _HOWS[how](this.root / name, contents[name])
        time.sleep(0.03)
        check_hashes(this, contents, this.run("hash_files"))
        this.check_bucket(contents, this.run("submit"), must_succeed=True)


for _how in _HOWS:
    _kept(_how, 0)
_kept("replaced", 7)


def _wrong(own: bool, size: int, verb: str) -> None:
    table = "the own table" if own else "the reference's table"

    @case("F22", f"a wrong row of {table}, {size} bytes, {verb}: the next try works")
    def wrong(this: Case) -> None:
        if own and this.side.package != "rusty_attachments":
            return  # which has no such table
        contents = {"a": this.bytes(400), "victim": this.bytes(size), "z": this.bytes(400)}
        for name, body in contents.items():
            (this.root / name).write_bytes(body)
        write_row(this, this.root / "victim", b"others" + this.bytes(size), own)
        time.sleep(0.03)
        target = {"destination": str(this.target / "copy")} if verb == "copy_into_snapshot" else {}
        first = this.run(verb, **target)
        this.expect_error(first, "victim")
        second = this.run(verb, **target)
        if verb == "submit":
            this.check_bucket(contents, second, must_succeed=True)
        else:
            expected = sorted(f"{this.rig.store(body)}.xxh128" for body in contents.values())
            this.score.lost += 0 if second.ok else size
            this.score.wrong += second.ok and second.value != expected
            this.surprise_unless(second.ok, f"failed: {second.classes[:1]} {second.text[:200]}")


for _own in (True, False):
    for _size, _verb in ((700, "submit"), (20 * MIB, "submit"), (700, "copy_into_snapshot")):
        _wrong(_own, _size, _verb)


@case("F22", "right rows of the reference's table are used, and not made ours before the contents were read")
def f22_adopted(this: Case) -> None:
    contents = {f"f{number}": this.bytes(900) for number in range(6)}
    for name, body in contents.items():
        (this.root / name).write_bytes(body)
        write_row(this, this.root / name, body, own=False)
    time.sleep(0.03)
    check_hashes(this, contents, this.run("hash_files"))
    with contextlib.closing(sqlite3.connect(cache_folder(this) / "hash_cache.db")) as database:
        (rows,) = database.execute("select count(*) from rustyAttachmentsV1").fetchone()
    this.surprise_unless(rows == 0, f"{rows} rows were made ours unread")
