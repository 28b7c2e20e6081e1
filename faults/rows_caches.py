"""F15 to F17 and F22: the caches on the disk, and the clock they live by."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Callable

from case import Case, Outcome, case, end_all, row

row("F15", "2, 4, 8 processes on the same caches, a fifth of them killed")
row("F16", "cache garbage, truncated, flipped bits, old schema, removed, read-only, stale WAL")
row("F17", "stale check cache, one key missing in S3")
row("F22", "clock: DST, time zone, ±1 h, coarse mtime, edits that keep it")


def some_files(this: Case, count: int = 60) -> dict[str, bytes]:
    """Small files."""
    return this.write({f"d{number % 3}/f{number}": this.bytes(500 + number) for number in range(count)})


def cache_folder(this: Case) -> Path:
    """Where caches are by default."""
    return this.home / ".deadline" / "job_attachments"


def check_hashes(this: Case, contents: dict[str, bytes], outcome: Outcome) -> None:
    """Every hash is that of the contents as they are now."""
    if not outcome.ok:
        this.surprises.append(f"failed: {outcome.classes[:1]} {outcome.text[:300]}")
        this.score.lost += sum(len(body) for body in contents.values())
        return
    for name, body in contents.items():
        digest, size = outcome.value.get(name, ("", -1))
        if digest != this.rig.store(body) or size != len(body):
            this.score.wrong += 1


# -- F15 ---------------------------------------------------------------------------------------------------------


def _together(count: int, quick: bool) -> None:
    @case("F15", f"{count} processes", quick=quick)
    def together(this: Case) -> None:
        contents = some_files(this, 150)
        processes = [this.start("submit") for _ in range(count)]
        victims = processes[: count // 5]
        if victims:
            time.sleep(this.random.uniform(0.4, 1.2))
        for victim in victims:
            end_all(victim)
        for process in processes:
            outcome = this.finish(process, expect_kill=process in victims)
            if process not in victims:
                this.check_bucket(contents, outcome, must_succeed=True, may_leave=len(victims))
        check_hashes(this, contents, this.run("hash_files", root=str(this.root)))
        for path in cache_folder(this).glob("*.db"):
            with sqlite3.connect(path) as database:
                sound = database.execute("pragma integrity_check").fetchone()[0]
            this.surprise_unless(sound == "ok", f"{path.name}: {sound}")


_together(2, False)
_together(4, True)
_together(8, False)


# -- F16 ---------------------------------------------------------------------------------------------------------


def garbage(path: Path) -> None:
    path.write_bytes(b"this is no database " * 500)
    for sidecar in path.parent.glob(path.name + "-*"):
        sidecar.unlink()


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def flipped_bits(path: Path) -> None:
    body = bytearray(path.read_bytes())
    for at in range(100, len(body), 97):
        body[at] ^= 0x10
    path.write_bytes(bytes(body))


def old_schema(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("create table hashesV1 (file_path text primary key, file_hash text)")
        database.execute("create table hashesV4 (file_path text primary key, what text)")
        database.execute("create table s3checkV1 (unknown integer)")


def removed(path: Path) -> None:
    path.unlink()


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def stale_wal(path: Path) -> None:
    path.with_name(path.name + "-wal").write_bytes(b"\x37\x7f\x06\x82" + os.urandom(4_000))
    path.with_name(path.name + "-shm").write_bytes(os.urandom(32_768))


def read_only(path: Path) -> None:
    path.chmod(0o444)
    path.parent.chmod(0o555)


_DAMAGES: list[Callable[[Path], None]] = [
    garbage,
    truncated,
    empty,
    flipped_bits,
    old_schema,
    removed,
    a_folder,
    stale_wal,
    read_only,
]


def _damaged(damage: Callable[[Path], None], name: str) -> None:
    what = damage.__name__.replace("_", " ")

    @case("F16", f"{name}: {what}", quick=damage in (garbage, truncated, a_folder))
    def damaged(this: Case) -> None:
        contents = some_files(this)
        if damage is read_only and os.getuid() == 0:
            this.user = 65_534
            os.chown(this.home, 65_534, 65_534)
        first = this.run("submit")
        this.check_bucket(contents, first, must_succeed=True)
        path = cache_folder(this) / name
        if not path.exists():
            this.surprises.append(f"there is no {path.name}")
            return
        damage(path)
        this.judges_reference_rows = damage is not flipped_bits
        second = this.run("submit", log=True)
        cache_folder(this).chmod(0o755)
        this.check_bucket(contents, second, must_succeed=True)
        contents.update(this.write({"new": this.bytes(700)}))
        third = this.run("submit")
        this.check_bucket(contents, third, must_succeed=True)
        if damage in (garbage, truncated, flipped_bits):
            aside = [
                other.name for other in cache_folder(this).iterdir() if "db" in other.name and other != path
            ]
            aside = [
                other for other in aside if not other.endswith(("-wal", "-shm", "-journal")) and name in other
            ]
            this.surprise_unless(len(aside) <= 1, f"put aside more than once: {aside}")

    @case("F16", f"{name}: {what}, hashes stay right", quick=False)
    def hashes(this: Case) -> None:
        contents = some_files(this)
        this.run("submit")
        path = cache_folder(this) / name
        if path.exists():
            damage(path)
        this.judges_reference_rows = damage is not flipped_bits
        outcome = this.run("hash_files", root=str(this.root))
        cache_folder(this).chmod(0o755)
        check_hashes(this, contents, outcome)


for _damage in _DAMAGES:
    for _name in ("hash_cache.db", "s3_check_cache.db"):
        _damaged(_damage, _name)


@case("F16", "caches removed while a job runs")
def f16_midway(this: Case) -> None:
    contents = some_files(this, 150)
    this.run("hash_files")
    this.rig.config(delay_ms=20)
    process = this.start("submit")
    time.sleep(0.6)
    shutil.rmtree(cache_folder(this), ignore_errors=True)
    this.check_bucket(contents, this.finish(process), must_succeed=True)


@case("F16", "a lying row: another file's hash")
def f16_lie(this: Case) -> None:
    contents = some_files(this, 5)
    this.run("submit")
    this.rig.reset(objects=True)
    this.rig.create_bucket(this.bucket)
    wrong = this.rig.store(b"something else")
    this.judges_reference_rows = False
    for path in cache_folder(this).glob("hash_cache.db"):
        with sqlite3.connect(path) as database:
            tables = [
                name for (name,) in database.execute("select name from sqlite_master where type='table'")
            ]
            for table in tables:
                columns = [column[1] for column in database.execute(f"pragma table_info({table})")]
                if "file_hash" in columns:
                    database.execute(f"update {table} set file_hash=?", (wrong,))
    for path in cache_folder(this).glob("s3_check*"):
        path.unlink()
    outcome = this.run("submit")
    # The hash can't be known to be wrong before the bytes are read: what counts is that nothing wrong is stored.
    this.check_bucket(contents if outcome.ok else None, outcome)


# -- F17 ---------------------------------------------------------------------------------------------------------


def _missing(count: int, quick: bool) -> None:
    @case("F17", f"1 of {count:,} missing", quick=quick, patience=150)
    def missing(this: Case) -> None:
        contents = some_files(this, count)
        this.check_bucket(contents, this.run("submit"), must_succeed=True)
        victim = this.random.choice(sorted(contents))
        this.rig.delete(this.bucket, f"root/Data/{this.rig.store(contents[victim])}.xxh128")
        this.run("submit")
        # "In this or the next run": what is judged is how things stand after the second.
        this.check_bucket(contents, this.run("submit"), must_succeed=True)


_missing(25, True)
_missing(300, True)
_missing(10_000, False)


@case("F17", "the bucket was emptied")
def f17_emptied(this: Case) -> None:
    contents = some_files(this)
    this.run("submit")
    this.rig.reset(objects=True)
    this.rig.create_bucket(this.bucket)
    this.check_bucket(contents, this.run("submit"), must_succeed=True)


# -- F22 ---------------------------------------------------------------------------------------------------------


@case("F22", "another time zone, and DST")
def f22_zones(this: Case) -> None:
    contents = some_files(this, 12)
    # Two instants that read the same on a clock in New York on the night when summer time ends.
    first, second = 1_699_163_400, 1_699_167_000
    for number, name in enumerate(contents):
        moment = first if number % 2 else second
        os.utime(this.root / name, (moment, moment))
    for zone in ("UTC", "America/New_York", "Asia/Kolkata"):
        check_hashes(this, contents, this.run("hash_files", {"TZ": zone}))
    for name in list(contents)[:6]:
        path = this.root / name
        moment = path.stat().st_mtime_ns
        contents[name] = this.bytes(len(contents[name]))
        path.write_bytes(contents[name])
        other = second if moment == first * 10**9 else first
        os.utime(path, (other, other))
    check_hashes(this, contents, this.run("hash_files", {"TZ": "America/New_York"}))


@case("F22", "edited, with size and mtime kept")
def f22_kept(this: Case) -> None:
    contents = some_files(this, 6)
    check_hashes(this, contents, this.run("hash_files"))
    for name in contents:
        path = this.root / name
        before = path.stat()
        contents[name] = this.bytes(len(contents[name]))
        path.write_bytes(contents[name])
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    check_hashes(this, contents, this.run("hash_files"))


@case("F22", "mtimes of whole seconds, edited at once")
def f22_coarse(this: Case) -> None:
    contents = {f"f{number}": this.bytes(400) for number in range(6)}
    for _ in range(3):
        now = int(time.time())
        for name in contents:
            contents[name] = this.bytes(400)
            (this.root / name).write_bytes(contents[name])
            os.utime(this.root / name, (now, now))
        check_hashes(this, contents, this.run("hash_files"))


@case("F22", "mtimes an hour ahead and behind")
def f22_hours(this: Case) -> None:
    contents = some_files(this, 8)
    for shift in (3_600, -3_600, 0, 86_400 * 400):
        for name in contents:
            contents[name] = this.bytes(len(contents[name]))
            (this.root / name).write_bytes(contents[name])
            moment = time.time() + shift
            os.utime(this.root / name, (moment, moment))
        check_hashes(this, contents, this.run("hash_files"))
