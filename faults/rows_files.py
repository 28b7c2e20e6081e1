"""F11 to F14, F18 and F19: what happens to local files."""

from __future__ import annotations

import os
from pathlib import Path

from case import MIB, Case, case, row

row("F11", "file changed between hash and upload, and meanwhile")
row("F12", "ENOSPC, EIO, EMFILE at every Nth system call; a disk that pauses")
row("F13", "read-only directory, file where a directory is needed, foreign owner")
row("F14", "SIGKILL at random times and at every Nth system call, then again")
row("F18", "hostile paths")
row("F19", "a parent swapped for a symlink while downloading")

CHANGES = ["edit", "edit keeping mtime", "grow", "truncate", "replace", "delete"]


# -- F11 ---------------------------------------------------------------------------------------------------------


def _changed(change: str, large: bool) -> None:
    size = 40 * MIB if large else 20_000

    @case(
        "F11",
        f"{change} between hash and upload, {'large' if large else 'small'}",
        quick=not large or change == "edit",
    )
    def changed(this: Case) -> None:
        contents = this.write({"a": this.bytes(500), "victim.exr": this.bytes(size), "z": this.bytes(500)})
        outcome = this.run("submit", between=[[change, str(this.root / "victim.exr")]])
        this.check_bucket(contents, outcome)
        this.expect_error(outcome, "victim.exr")

    @case("F11", f"{change} meanwhile, {'large' if large else 'small'}", quick=False)
    def meanwhile(this: Case) -> None:
        victim = str(this.root / "victim.exr")
        contents = this.write({"victim.exr": this.bytes(size)})
        this.rig.config(delay_ms=30)
        outcome = this.run(
            "submit", between=[], during=[["wait", victim, 0.02], [change, victim]], every_ms=100_000
        )
        # The change may come too late to be seen: then what was uploaded must be right.
        this.judges_reference_rows = not (outcome.ok and change == "edit keeping mtime")
        this.check_bucket(contents if outcome.ok else None, outcome)


@case("F11", "edit between hash and upload, and an endpoint that checks no bodies")
def f11_unchecked(this: Case) -> None:
    # S3 would refuse a body that is not what its checksum says: here the check of what is sent stands alone.
    contents = this.write({"victim.exr": this.bytes(20_000)})
    this.rig.config(xxhash128="reject")
    outcome = this.run("submit", between=[["edit keeping mtime", str(this.root / "victim.exr")]])
    this.check_bucket(contents, outcome)
    this.expect_error(outcome, "victim.exr")


for _change in CHANGES:
    for _large in (False, True):
        _changed(_change, _large)


@case("F11", "edited all the time while it is hashed and uploaded")
def f11_always(this: Case) -> None:
    this.write({"victim.exr": this.bytes(20 * MIB)})
    outcome = this.run("submit", during=[["edit", str(this.root / "victim.exr")]], every_ms=1)
    this.check_bucket(None, outcome)


# -- F12: limits; faults in system calls are in rows_calls.py ------------------------------------------------------


@case("F12", "few file descriptors")
def f12_descriptors(this: Case) -> None:
    contents = {f"f{number}": this.bytes(3_000) for number in range(200)}
    manifest = this.store(contents)
    this.rig.config(delay_ms=20)
    this.wrapper = ["sh", "-c", 'ulimit -n 30; exec "$@"', "sh"]
    outcome = this.run("download", manifest=manifest)
    this.wrapper = []
    this.check_download(contents, outcome)


@case("F12", "a limit on the size of files")
def f12_size(this: Case) -> None:
    contents = {f"f{number}": this.bytes(3_000) for number in range(20)} | {"large": this.bytes(4 * MIB)}
    manifest = this.store(contents)
    this.wrapper = ["sh", "-c", 'ulimit -f 2048; exec "$@"', "sh"]
    outcome = this.run("download", manifest=manifest)
    this.wrapper = []
    this.check_download(contents, outcome)
    this.expect_error(outcome, "large")


# -- F13 ---------------------------------------------------------------------------------------------------------

NOBODY = 65_534


@case("F13", "a file where a directory is needed")
def f13_file_in_the_way(this: Case) -> None:
    contents = {"folder/one": b"1" * 100}
    manifest = this.store(contents)
    (this.target / "folder").write_bytes(b"in the way")
    outcome = this.run("download", manifest=manifest)
    this.expect_error(outcome, "folder")
    if (this.target / "folder").read_bytes() != b"in the way":
        this.score.lost += 10


@case("F13", "a directory where a file is needed")
def f13_directory_in_the_way(this: Case) -> None:
    contents = {"one": b"1" * 100}
    manifest = this.store(contents)
    (this.target / "one").mkdir()
    (this.target / "one" / "precious").write_bytes(b"precious")
    outcome = this.run("download", manifest=manifest)
    if (this.target / "one" / "precious").read_bytes() != b"precious":
        this.score.lost += 8
    if not outcome.ok:
        this.expect_error(outcome, "one")


def as_nobody(this: Case) -> None:
    """The rest of the case runs without root's privileges."""
    if os.getuid() == 0:
        this.user = NOBODY
        os.chown(this.home, NOBODY, NOBODY)


@case("F13", "a read-only directory")
def f13_read_only(this: Case) -> None:
    contents = {"folder/one": b"1" * 100}
    manifest = this.store(contents)
    (this.target / "folder").mkdir()
    as_nobody(this)
    (this.target / "folder").chmod(0o555)
    outcome = this.run("download", manifest=manifest)
    (this.target / "folder").chmod(0o755)
    this.check_download(contents, outcome)
    this.expect_error(outcome, "folder")


@case("F13", "a foreign owner's folder")
def f13_foreign(this: Case) -> None:
    contents = {"one": b"1" * 100}
    manifest = this.store(contents)
    if os.getuid() != 0:
        this.surprises.append("needs root: not run")
        return
    as_nobody(this)
    outcome = this.run("download", manifest=manifest)
    this.check_download(contents, outcome)
    this.expect_error(outcome, str(this.target))


@case("F13", "an input that may not be read")
def f13_unreadable(this: Case) -> None:
    contents = this.write({"a": b"a" * 100, "secret": b"s" * 100})
    (this.root / "secret").chmod(0)
    as_nobody(this)
    outcome = this.run("submit")
    this.check_bucket(contents, outcome)
    this.expect_error(outcome, "secret")


# -- F14: at random times ---------------------------------------------------------------------------------------------


def _killed_download(number: int, quick: bool) -> None:
    @case("F14", f"SIGKILL at a random time {number}, download again", quick=quick)
    def killed(this: Case) -> None:
        contents = {f"d{index % 7}/f{index}": this.bytes(2_000 + index) for index in range(300)}
        contents["large"] = this.bytes(24 * MIB)
        manifest = this.store(contents)
        this.rig.config(delay_ms=40)
        this.run_killed("download", this.random.randint(20, 280), manifest=manifest)
        done = {name for name, body in contents.items() if (this.target / name).is_file()}
        for name in done:
            this.score.wrong += (this.target / name).read_bytes() != contents[name]
        partial = [
            path
            for path in this.target.rglob("*")
            if path.is_file() and str(path.relative_to(this.target)) not in contents
        ]
        this.surprise_unless(len(partial) <= 110, f"{len(partial)} temporary files after the kill")
        this.rig.config(delay_ms=0)
        this.rig.wait_until_idle()
        before = this.rig.count("GetObject")
        outcome = this.run("download", manifest=manifest, again=True)
        fetched = this.rig.count("GetObject") - before
        this.check_download(contents, outcome, must_succeed=True)
        most = len(contents) - len(done) + 8
        this.surprise_unless(
            fetched <= most, f"fetched {fetched} times again, {len(done)} of {len(contents)} were there"
        )


def _killed_upload(number: int, quick: bool) -> None:
    @case("F14", f"SIGKILL at a random time {number}, upload again", quick=quick)
    def killed(this: Case) -> None:
        contents = {f"d{index % 7}/f{index}": this.bytes(2_000 + index) for index in range(300)}
        this.write({**contents, "large": this.bytes(24 * MIB)})
        this.rig.config(delay_ms=40)
        this.run_killed("submit", this.random.randint(20, 280))
        this.rig.config(delay_ms=0)
        this.check_bucket(None, None, may_leave=4)
        outcome = this.run("submit")
        this.check_bucket(contents, outcome, must_succeed=True, may_leave=4)


for _number in range(10):
    _killed_download(_number, _number < 2)
    _killed_upload(_number, _number < 2)


# -- F18 ---------------------------------------------------------------------------------------------------------

_HOSTILE = [
    "../escaped",
    "../../escaped",
    "a/../../escaped",
    "a/b/../../../escaped",
    "./../escaped",
    "..",
    ".",
    "",
    "/",
    "//",
    "/tmp/escaped-absolute",
    "//tmp/escaped",
    "a//b",
    "a/./b",
    "a/",
    "a/..",
    "a/../",
    ".../x",
    "..\\escaped",
    "a\\..\\..\\b",
    "C:\\escaped",
    "C:escaped",
    "\\\\server\\share\\x",
    "//server/share/x",
    "\\\\?\\C:\\x",
    "nul\x00byte",
    "\x00",
    "a\nb",
    "CON",
    "aux.txt",
    "name.",
    "name ",
    "a:stream",
    "x" * 300,
    "d/" * 3000 + "x",
    "\udc80\udcff",
    "e\u0301",
    "é",
    "link/escaped",
    "link/../escaped",
    "link",
    "link/deep/escaped",
    "~/x",
    "$HOME/x",
    "%2e%2e/x",
    "..%2fx",
    "\u2025/x",
    "\u202e../x",
    "a/b/c/../../../../outside/precious",
    "../outside/precious",
    "../../outside/precious",
]


def generated_paths(this: Case, count: int) -> list[str]:
    """More of them, put together at random."""
    pieces = [
        "..",
        ".",
        "",
        "a",
        "link",
        "\\",
        "C:",
        "~",
        "\x00",
        "outside",
        "precious",
        " ",
        "\udcff",
        "…",
        "x" * 256,
    ]
    chosen = []
    for _ in range(count):
        parts = [this.random.choice(pieces) for _ in range(this.random.randint(1, 6))]
        chosen.append(this.random.choice(["", "/", "//"]) + this.random.choice(["/", "\\", "//"]).join(parts))
    return chosen


def leads_out(path: str) -> bool:
    """Whether no root can have such a file below it, whatever is on the disk."""
    parts = path.split("/")
    return (
        path.startswith("/")
        or "\x00" in path
        or ".." in parts
        or not any(part not in ("", ".") for part in parts)
    )


@case("F18", "written and generated paths", patience=200)
def f18_paths(this: Case) -> None:
    body = this.bytes(64)
    digest = this.rig.store(body, this.bucket, "root/Data/")
    (this.target / "link").symlink_to(this.outside)
    paths = _HOSTILE + generated_paths(this, 450)
    manifests = []
    for number, path in enumerate(paths):
        entry = {"hash": digest, "mtime": 1_700_000_000_000_000, "path": path, "size": 64}
        manifests.append(this.manifest([entry], f"manifest-{number}"))
    outcome = this.run("download_each", manifests=manifests)
    this.surprise_unless(outcome.ok, f"{outcome.classes} {outcome.text[:300]}")
    for path in this.target.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.read_bytes() != body:
            this.score.wrong += 1
    for path, (kind, _) in zip(paths, outcome.value or []):
        if kind == "ok" and leads_out(path):
            this.score.false_success += 1
            this.surprises.append(f"accepted: {path!r}")
    refused = sum(1 for kind, _ in outcome.value or [] if kind != "ok")
    this.surprise_unless(refused > 60, f"only {refused} of {len(paths)} refused")
    for path in (Path("/tmp/escaped-absolute"), Path("/tmp/escaped")):
        if path.exists():
            this.score.outside += 1
            path.unlink()


@case("F18", "a hash that is a path")
def f18_hashes(this: Case) -> None:
    this.rig.put(this.bucket, "secret", b"s" * 10)
    manifests = []
    for number, digest in enumerate(
        ["../../secret", "..", "", "%2e%2e/secret", "a" * 5000, "é", "0" * 31, "g" * 32]
    ):
        entry = {"hash": digest, "mtime": 1, "path": "x", "size": 10}
        manifests.append(this.manifest([entry], f"manifest-{number}"))
    outcome = this.run("download_each", manifests=manifests)
    this.surprise_unless(outcome.ok, f"{outcome.classes} {outcome.text[:300]}")
    this.score.wrong += sum(1 for path in this.target.rglob("*") if path.is_file())


# -- F19 ---------------------------------------------------------------------------------------------------------


@case("F19", "swaps while downloading", quick=False, patience=200)
def f19_swaps(this: Case) -> None:
    contents = {f"folder/sub/f{number}": this.bytes(200) for number in range(50)}
    manifest = this.store(contents)
    outcome = this.run(
        "download_among_swaps",
        manifest=manifest,
        folder="folder",
        outside=str(this.outside),
        wanted_swaps=100_000,
        most_seconds=90,
    )
    this.surprise_unless(outcome.ok, f"{outcome.classes} {outcome.text[:300]}")
    if outcome.ok:
        this.surprise_unless(outcome.value["swaps"] > 1_000, f"only {outcome.value['swaps']} swaps")
