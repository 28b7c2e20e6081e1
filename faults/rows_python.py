"""F20 and F21: hostile manifests and bounded memory; P1 to P4: what Python programs do around a transfer."""

from __future__ import annotations

import json
import shutil
import signal
import time
from pathlib import Path
from typing import Any

from case import MIB, Case, Outcome, case, row
from rows_network import small_files

row("F20", "hostile manifests")
row("F21", "small and sparse files under a memory limit")
row("P1", "os.fork and multiprocessing after use")
row("P2", "Ctrl-C at random times")
row("P3", "DEBUG logging; callback raises, sleeps, calls again, returns False")
row("P4", "interpreter exit in the middle of a transfer")

_ENTRY = {"hash": "0" * 32, "mtime": 1, "path": "a", "size": 1}


def _manifest(*entries: Any, **top: Any) -> str:
    document = {
        "hashAlg": "xxh128",
        "manifestVersion": "2023-03-03",
        "paths": list(entries),
        "totalSize": 1,
        **top,
    }
    return json.dumps(document)


def _with(**changes: Any) -> str:
    return _manifest({**_ENTRY, **changes})


HOSTILE_TEXTS = {
    "nothing": "",
    "not JSON": "{",
    "null": "null",
    "a list": "[]",
    "a number": "1",
    "deep lists": "[" * 100_000 + "]" * 100_000,
    "deep objects": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "deep value": _manifest().replace("[]", "[" * 100_000 + "]" * 100_000),
    "duplicate keys": '{"hashAlg":"xxh128","hashAlg":"md5","manifestVersion":"2023-03-03","paths":[],"totalSize":0}',
    "the same file twice": _manifest(_ENTRY, _ENTRY),
    "two files at one path": _manifest(_ENTRY, {**_ENTRY, "hash": "1" * 32}),
    "two sizes at one path": _manifest(_ENTRY, {**_ENTRY, "size": 2}),
    "two spellings of one path": _manifest(_ENTRY, {**_ENTRY, "path": "./a", "hash": "1" * 32}),
    "file and folder": _manifest(_ENTRY, {**_ENTRY, "path": "a/b"}),
    "negative size": _with(size=-1),
    "size 2^63": _with(size=2**63),
    "size 2^64": _with(size=2**64),
    "size of a thousand digits": _with().replace('"size": 1', '"size": ' + "9" * 1000),
    "float size": _with(size=1.5),
    "size 1e400": _with().replace('"size": 1', '"size": 1e400'),
    "NaN": _with(size=float("nan")),
    "Infinity": _with(mtime=float("inf")),
    "true as size": _with(size=True),
    "null path": _with(path=None),
    "empty path": _with(path=""),
    "bad hash": _with(hash="../../x"),
    "empty hash": _with(hash=""),
    "long hash": _with(hash="a" * 1_000_000),
    "lone surrogates": _with(path="\udcff\ud800x"),
    "raw control character": _with(path="X").replace("X", "\x01"),
    "case twins": _manifest({**_ENTRY, "path": "File"}, {**_ENTRY, "path": "file"}),
    "NFC twins": _manifest({**_ENTRY, "path": "\u00e9"}, {**_ENTRY, "path": "e\u0301"}),
    "no version": json.dumps({"hashAlg": "xxh128", "paths": [_ENTRY], "totalSize": 1}),
    "unknown version": _manifest(_ENTRY, manifestVersion="2099-01-01"),
    "long version": _manifest(_ENTRY, manifestVersion="9" * 100_000),
    "paths an object": _manifest(paths={"a": 1}),
    "paths of nulls": _manifest(None, None),
    "total a string": _manifest(_ENTRY, totalSize="1"),
    "negative total": _manifest(_ENTRY, totalSize=-(2**70)),
    "unknown fields": _manifest({**_ENTRY, "extra": [1, {"a": None}]}, more={"deep": [[[]]]}),
    "byte order mark": "\ufeff" + _manifest(_ENTRY),
    "bytes after the end": _manifest(_ENTRY) + "x",
    "unpaired escape": _manifest(_ENTRY).replace('"a"', '"\\ud800"'),
    "bad escape": _manifest(_ENTRY).replace('"a"', '"\\x41"'),
    "beta, index loop": json.dumps(
        {
            "dirs": [{"name": "$0/a"}],
            "files": [{"name": "$7/x", "hash": "0" * 32, "size": 1, "mtime": 1}],
            "hashAlg": "xxh128",
            "manifestVersion": "2025-12-04-beta",
            "totalSize": 1,
        }
    ),
    "beta, link out": json.dumps(
        {
            "dirs": [],
            "files": [{"name": "x", "symlink": {"name": "../../etc/passwd"}}],
            "hashAlg": "xxh128",
            "manifestVersion": "2025-12-04-beta",
            "totalSize": 0,
        }
    ),
}


@case("F20", "decoded and encoded")
def f20_decode(this: Case) -> None:
    names = list(HOSTILE_TEXTS)
    manifests = [this.text(HOSTILE_TEXTS[name], f"hostile-{number}") for number, name in enumerate(names)]
    outcome = this.run("decode_each", manifests=manifests)
    this.score.cases += len(names) - 1
    this.surprise_unless(outcome.ok, f"{outcome.classes} {outcome.text[:300]}")
    for kind, text in outcome.value or []:
        panicked = kind == "PanicException" or "panicked" in str(text)
        this.score.panics += panicked


@case("F20", "downloaded")
def f20_download(this: Case) -> None:
    digest = this.rig.store(b"x", this.bucket, "root/Data/")
    texts = [text.replace("0" * 32, digest) for text in HOSTILE_TEXTS.values()]
    manifests = [this.text(text, f"hostile-{number}") for number, text in enumerate(texts)]
    outcome = this.run("download_each", manifests=manifests)
    this.score.cases += len(texts) - 1
    this.surprise_unless(outcome.ok, f"{outcome.classes} {outcome.text[:300]}")
    for path in this.target.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.read_bytes() != b"x":
            this.score.wrong += 1
    must_refuse = {
        "two files at one path",
        "two sizes at one path",
        "two spellings of one path",
        "file and folder",
        "negative size",
        "size 2^63",
        "size 2^64",
        "bad hash",
        "empty path",
    }
    must_refuse |= {"empty hash", "deep lists", "NaN", "Infinity", "beta, index loop", "beta, link out"}
    for name, (kind, _) in zip(HOSTILE_TEXTS, outcome.value or []):
        this.score.false_success += name in must_refuse and kind == "ok"
        if name in must_refuse and kind == "ok":
            this.surprises.append(f"accepted: {name}")


@case("F20", "the same file twice")
def f20_twice(this: Case) -> None:
    # The reference writes such manifests itself, so they are read: one file, and the second entry counts as skipped
    # (docs/compatibility.md). Entries that differ are refused, see above.
    contents = {"a": this.bytes(700), "folder/b": this.bytes(300)}
    rows = []
    for path, body in contents.items():
        digest = this.rig.store(body, this.bucket, "root/Data/")
        rows += [{"hash": digest, "mtime": 1_700_000_000_000_000, "path": path, "size": len(body)}] * 2
    outcome = this.run("download", manifest=this.manifest(rows))
    this.check_download(contents, outcome, must_succeed=True)
    if outcome.ok:
        this.surprise_unless(outcome.value == {"processed": 2, "skipped": 2}, f"counted {outcome.value}")
    fetched = this.rig.count("GetObject")
    this.surprise_unless(fetched == 2, f"{fetched} requests for two contents")


def _many_entries(count: int, quick: bool, limit_mb: int) -> None:
    @case("F20", f"{count:,} entries", quick=quick, patience=200)
    def many(this: Case) -> None:
        path = this.folder / "many.json"
        with path.open("w") as file:
            file.write('{"hashAlg":"xxh128","manifestVersion":"2023-03-03","paths":[')
            for number in range(count):
                separator = "," if number else ""
                file.write(f'{separator}{{"hash":"{number:032x}","mtime":1,"path":"f{number:09}","size":1}}')
            file.write(f'],"totalSize":{count}}}')
        peak, outcome = with_peak(this, "decode_each", manifests=[str(path)])
        this.surprise_unless(
            outcome.ok and outcome.value == [["ok", count]], str(outcome.value or outcome.error)[:300]
        )
        this.surprise_unless(
            peak <= limit_mb, f"peak RSS {peak:.0f} MB for {path.stat().st_size / MIB:.0f} MB of text"
        )


_many_entries(200_000, True, 250)
_many_entries(10_000_000, False, 4_000)


def with_peak(this: Case, verb: str, **specification: Any) -> tuple[float, Outcome]:
    """Runs the verb; its peak RSS in MB too."""
    this.wrapper = [this.side.python, "-c", _WATCH]
    outcome = this.run(verb, **specification)
    this.wrapper = []
    lines = [line for line in outcome.stderr.splitlines() if line.startswith("peak-rss-kb ")]
    return (int(lines[-1].split()[1]) / 1024 if lines else float("inf")), outcome


_WATCH = (
    "import os, resource, subprocess, sys\n"
    "code = subprocess.run(sys.argv[1:]).returncode\n"
    "print('peak-rss-kb', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)\n"
    "sys.exit(code if code >= 0 else 1)\n"
)


# -- F21 ---------------------------------------------------------------------------------------------------------

#: The limit and a fixed share for interpreter and libraries.
MEMORY_LIMIT_MB = 256 + 64


def _sparse_is_right(path: Path, number: int, size: int) -> bool:
    """Whether a file is what `_memory` made: its number, and zeros to its end."""
    block, head = bytes(8 * MIB), b"%d" % number
    if not path.is_file() or path.stat().st_size != size:
        return False
    with path.open("rb") as file:
        is_right = file.read(len(head)) == head
        while is_right and (read := file.read(len(block))):
            is_right = read == block[: len(read)]
    return is_right


def _memory(name: str, small: int, sparse: int, sparse_size: int, quick: bool) -> None:
    @case("F21", name, quick=quick, patience=280 if quick else 900)
    def memory(this: Case) -> None:
        needed, free = 11 * sparse * sparse_size // 10, shutil.disk_usage(this.folder).free
        if free < needed:
            this.surprises.append(
                f"not run: what comes down needs {needed >> 30} GiB, and {free >> 30} are free"
            )
            return
        contents = {f"d{number % 50}/f{number}": b"%d" % number * 50 for number in range(small)}
        this.write(contents)
        for number in range(sparse):
            with (this.root / f"sparse{number}").open("wb") as file:
                file.write(b"%d" % number)
                file.truncate(sparse_size)
        peak, outcome = with_peak(this, "submit")
        this.surprise_unless(outcome.ok, f"{outcome.classes} {outcome.text[:300]}")
        this.surprise_unless(peak <= MEMORY_LIMIT_MB, f"upload: peak RSS {peak:.0f} MB")
        objects = this.rig.objects(this.bucket, "root/Data/")
        this.score.false_success += outcome.ok and len(objects) != small + sparse
        rows = []
        for path, value in (this.run("hash_files").value or {}).items():
            rows.append({"hash": value[0], "mtime": 1, "path": path, "size": value[1]})
        peak, outcome = with_peak(this, "download", manifest=this.manifest(rows))
        this.surprise_unless(peak <= MEMORY_LIMIT_MB, f"download: peak RSS {peak:.0f} MB")
        this.check_download(contents, outcome, True, may_leave=sparse)
        arrived = [
            _sparse_is_right(this.target / f"sparse{number}", number, sparse_size) for number in range(sparse)
        ]
        this.score.wrong += outcome.ok and arrived.count(False)


_memory("500 small and 1 × 512 MiB sparse", 500, 1, 512 * MIB, True)
_memory("10,000 small and 10 × 2 GiB sparse", 10_000, 10, 2048 * MIB, False)


# -- P1 to P4 ----------------------------------------------------------------------------------------------------


@case("P1", "os.fork", patience=40)
def p1_fork(this: Case) -> None:
    contents = small_files(this)
    manifest = this.store(contents)
    outcome = this.run("download_after_fork", manifest=manifest, second_target=str(this.target / "child"))
    told = outcome.value or {}
    this.surprise_unless(
        outcome.ok and told.get("child") == 0, f"{told} {outcome.error} {outcome.stderr[-300:]}"
    )
    this.check_download(contents | {f"child/{name}": body for name, body in contents.items()}, outcome)


def _pool(method: str) -> None:
    @case("P1", f"multiprocessing, {method}", patience=40)
    def pool(this: Case) -> None:
        contents = small_files(this)
        manifest = this.store(contents)
        second = this.target / "pool"
        outcome = this.run("download_in_pool", manifest=manifest, second_target=str(second), method=method)
        everything = dict(contents)
        for number in range(2):
            everything |= {f"pool/{number}/{name}": body for name, body in contents.items()}
        this.check_download(everything, outcome, must_succeed=True)


_pool("fork")
_pool("spawn")

#: From the signal to the call's return.
INTERRUPT_LIMIT_S = 0.5


def _interrupted(number: int, quick: bool) -> None:
    @case("P2", f"Ctrl-C at a random time {number}", quick=quick)
    def interrupted(this: Case) -> None:
        contents = small_files(this, 200, 20_000) | {"large": this.bytes(24 * MIB)}
        manifest = this.store(contents)
        this.rig.config(delay_ms=300)
        process = this.start("download_until_interrupted", manifest=manifest)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(this.random.uniform(0.05, 0.9))
        sent = time.time()
        process.send_signal(signal.SIGINT)
        outcome = this.finish(process)
        back = (outcome.value or {}).get("interrupted") if outcome.ok else None
        this.check_download(contents, Outcome(False))
        if back is None:
            this.surprises.append(f"no KeyboardInterrupt came: {outcome.error} {outcome.value}")
        else:
            this.surprise_unless(back - sent <= INTERRUPT_LIMIT_S, f"back after {back - sent:.2f} s")


for _number in range(50):
    _interrupted(_number, _number < 3)


def _callback(kind: str) -> None:
    @case("P3", f"callback {kind}")
    def callback(this: Case) -> None:
        contents = small_files(this, 60)
        manifest = this.store(contents)
        outcome = this.run(
            "download_with_callback", manifest=manifest, callback=kind, second_target=str(this.home / "again")
        )
        if kind == "raises":
            this.check_download(contents, outcome)
            this.expect_error(outcome, "from the callback", classes=("ZeroDivisionError",))
        elif kind == "returns False":
            this.check_download(contents, outcome)
            this.expect_error(outcome, "cancelled", classes=("AssetSyncCancelledError",))
        else:
            this.check_download(contents, outcome, must_succeed=True)


for _kind in ("raises", "sleeps", "calls again", "returns False", "does well"):
    _callback(_kind)


def _leaves(after_s: float, quick: bool) -> None:
    @case("P4", f"exit after {after_s} s", quick=quick)
    def leaves(this: Case) -> None:
        contents = small_files(this, 300, 20_000)
        manifest = this.store(contents)
        this.rig.config(delay_ms=400)
        process = this.start("download_and_exit", manifest=manifest, after_s=after_s)
        outcome = this.finish(process)
        ended = time.time()
        this.surprise_unless(
            outcome.ok and process.returncode == 0, f"status {process.returncode}: {outcome.stderr[-300:]}"
        )
        if outcome.ok:
            this.surprise_unless(
                ended - outcome.value["left"] <= 2, f"took {ended - outcome.value['left']:.1f} s to exit"
            )
            this.surprise_unless(outcome.value["was_running"], "the transfer was over already")
        for name, body in contents.items():
            path = this.target / name
            this.score.wrong += path.is_file() and path.read_bytes() != body


for _after in (0.05, 0.3, 0.7):
    _leaves(_after, _after == 0.3)
