"""F23, F26, F27 and F29: file systems that refuse late, that are shared, that lack calls, and that are slow."""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from case import MIB, NOT_RUN, Case, case, end_all, row
from rig.leases import lease

row("F23", "`close`, `fsync` or a late `write` says EDQUOT, ENOSPC, EIO")
row("F26", "two hosts on one directory; locks refused or granted to everybody")
row("F27", "no exclusive rename and no hard links, each conflict resolution")
row("F29", "local work that takes long")

_IS_ROOT = os.geteuid() == 0
_HAS_STRACE = shutil.which("strace") is not None
_HAS_FUSE = _IS_ROOT and Path("/dev/fuse").exists() and importlib.util.find_spec("mfusepy") is not None

LATE_ERRORS = ("EDQUOT", "ENOSPC", "EIO")


@contextlib.contextmanager
def mounted(this: Case, place: Path, **manners: Any) -> Iterator[Path]:
    """A file system over a folder (`fuse_fs.py`); gives the folder that it lands in."""
    back = this.folder / f"case-behind-{place.name}"
    back.mkdir()
    log = this.folder / "case-fuse-log"
    command = [sys.executable, str(Path(__file__).with_name("fuse_fs.py"))]
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, str(back), str(place), json.dumps(manners)],
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 30
        while not os.path.ismount(place):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the file system did not come: {log.read_text()[-300:]}")
            time.sleep(0.02)
        yield back
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=False, capture_output=True)
        end_all(process)
        process.wait()


def lift_quota(back: Path) -> None:
    """From now on there is room for everything."""
    back.with_name(f"{back.name}.lifted").touch()


# -- F23 ---------------------------------------------------------------------------------------------------------

#: What there is room for of each file.
QUOTA = 100_000


def _late(told_at: str, error: str, quick: bool) -> None:
    manners = {"quota_bytes": QUOTA, "told_at": [told_at], "error": error}

    @case("F23", f"download: {error} at {told_at}", quick=quick, patience=60)
    def download(this: Case) -> None:
        twice = this.bytes(3 * MIB)
        contents = {
            "fits": this.bytes(1_000),
            "small": this.bytes(QUOTA + 1),
            "folder/one": twice,
            "folder/other": twice,
            "ranges": this.bytes(20 * MIB),
        }
        manifest = this.store(contents)
        with mounted(this, this.target, **manners) as back:
            outcome = this.run("download", manifest=manifest)
            this.check_download(contents, outcome)
            this.expect_error(outcome, str(this.target), os.strerror(getattr(errno, error)))
            lift_quota(back)
            again = this.run("download", manifest=manifest, again=True)
            this.check_download(contents, again, must_succeed=True)

    @case("F23", f"snapshot: {error} at {told_at}", quick=quick, patience=60)
    def snapshot(this: Case) -> None:
        this.write({"fits": this.bytes(1_000), "large": this.bytes(QUOTA + 1)})
        with mounted(this, this.target, **manners) as back:
            outcome = this.run("snapshot_assets")
            this.expect_error(outcome, str(this.target))
            this.score.false_success += outcome.ok
            check_snapshot(this, is_whole=False)
            lift_quota(back)
            again = this.run("snapshot_assets")
            this.surprise_unless(again.ok, f"again: {again.text[:200]}")
            check_snapshot(this, is_whole=True)


def check_snapshot(this: Case, is_whole: bool) -> None:
    """Contents are what their names say; a manifest is there only if they are."""
    files = [path for path in this.target.rglob("*") if path.is_file()]
    data = [path for path in files if path.parent.name == "Data"]
    manifests = [path for path in files if "Manifests" in path.parts]
    this.score.wrong += sum(this.rig.store(path.read_bytes()) != path.stem for path in data)
    this.score.leftovers += len(files) - len(data) - len(manifests)
    this.score.leftovers += sum(path.name.startswith(".") for path in data + manifests)
    if not is_whole:
        this.score.dangling += len(manifests)
    else:
        this.score.lost += (len(data), len(manifests)) != (2, 1)


def _late_manifest(told_at: str, verb: str) -> None:
    @case("F23", f"{verb}: EDQUOT at {told_at}", patience=60)
    def late(this: Case) -> None:
        this.write({f"f{number}": this.bytes(10) for number in range(5)})
        manners = {"quota_bytes": 100, "told_at": [told_at], "error": "EDQUOT"}
        with mounted(this, this.target, **manners) as back:
            outcome = this.run(verb)
            this.expect_error(outcome, str(this.target))
            this.score.false_success += outcome.ok
            found = [path for path in this.target.rglob("*") if path.is_file()]
            this.score.wrong += sum(not path.name.startswith(".") for path in found)
            this.score.leftovers += sum(path.name.startswith(".") for path in found)
            lift_quota(back)
            again = this.run(verb)
            this.surprise_unless(again.ok, f"again: {again.text[:200]}")
            whole = [path for path in this.target.rglob("*") if path.is_file()]
            this.score.lost += not whole
            for path in whole:
                this.score.leftovers += path.name.startswith(".")


@case("F23", "caches: EDQUOT at flush and fsync", patience=60)
def f23_caches(this: Case) -> None:
    contents = this.write({f"f{number}": this.bytes(500) for number in range(20)})
    manners = {"quota_bytes": 5_000, "told_at": ["flush", "fsync"], "error": "EDQUOT"}
    with mounted(this, this.home, **manners):
        for _ in range(2):
            outcome = this.run("submit")
            this.check_bucket(contents, outcome, must_succeed=True)


if _HAS_FUSE:
    for _told_at in ("flush", "fsync", "write"):
        for _error in LATE_ERRORS:
            _late(_told_at, _error, quick=_error == "EDQUOT")
        for _verb in ("manifest_snapshot", "submit_with_local_manifests"):
            _late_manifest(_told_at, _verb)
else:
    NOT_RUN["F23"] = "its file system needs root, libfuse 3 and mfusepy"


# -- F26 ---------------------------------------------------------------------------------------------------------

#: How a shared file system answers flock(2) on a descriptor that is open for reading.
LOCKS = {
    "EBADF": "error=EBADF",
    "ENOLCK": "error=ENOLCK",
    "ENOSYS": "error=ENOSYS",
    "EOPNOTSUPP": "error=EOPNOTSUPP",
    "granted to everybody": "retval=0",
}


def strace(this: Case, *injections: str) -> list[str]:
    """What runs a command with some system calls injected."""
    names = ",".join(injection.split(":")[0] for injection in injections)
    command = ["strace", "-f", "-qq", "--seccomp-bpf", "-o", str(this.folder / "case-strace")]
    options = [option for injection in injections for option in ("-e", f"inject={injection}")]
    return [*command, "-e", f"trace={names}", *options]


#: Another host's processes mean nothing here.
ANOTHER_HOST = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]


#: A body that takes some seconds.
SLOW_BODY = {
    "operation": "GetObject",
    "times": 1,
    "fault": {"kind": "trickle", "bytes": 65_536, "every_ms": 100},
}


def _temporary_files(this: Case) -> list[Path]:
    return list(this.target.rglob(".rusty-attachments-*"))


@contextlib.contextmanager
def in_the_middle(this: Case, **specification: Any) -> Iterator[subprocess.Popen]:
    """A download that is stopped in the middle of a body; afterwards it goes on."""
    this.rig.rules(SLOW_BODY)
    writer = this.start("download", **specification)
    deadline = time.monotonic() + this.patience
    while not _temporary_files(this) and writer.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(writer.pid, signal.SIGSTOP)
    this.surprise_unless(len(_temporary_files(this)) == 1, "the writer was not stopped in the middle")
    try:
        yield writer
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(writer.pid, signal.SIGCONT)


def _two_hosts(locks: str, injection: str, is_shared: bool) -> None:
    where = "FUSE" if is_shared else "a disk"

    @case("F26", f"another host comes while a file is written to {where}, locks: {locks}", patience=90)
    def two(this: Case) -> None:
        contents = {"big": this.bytes(3 * MIB), "other": this.bytes(1_000)}
        first = this.store({"big": contents["big"]}, "first")
        second = this.store({"other": contents["other"]}, "second")
        with mounted(this, this.target) if is_shared else contextlib.nullcontext():
            with in_the_middle(this, manifest=first, resolution="OVERWRITE") as writer:
                this.wrapper = [*ANOTHER_HOST, *(strace(this, f"flock:{injection}") if injection else [])]
                came = this.run("download", manifest=second, resolution="OVERWRITE")
                this.wrapper = []
                this.surprise_unless(came.ok, f"the other host: {came.text[:200]}")
                this.surprise_unless(len(_temporary_files(this)) == 1, "the live file is gone")
            wrote = this.finish(writer)
            this.check_download(contents, wrote, must_succeed=True)


def _killed_writer(locks: str, injection: str) -> None:
    @case("F26", f"a killed writer of this host is swept, locks: {locks}", patience=90)
    def killed(this: Case) -> None:
        contents = {"big": this.bytes(3 * MIB)}
        manifest = this.store(contents)
        with in_the_middle(this, manifest=manifest) as writer:
            end_all(writer)
        this.finish(writer, expect_kill=True)
        this.surprise_unless(len(_temporary_files(this)) == 1, "nothing was left")
        this.wrapper = strace(this, f"flock:{injection}")
        outcome = this.run("download", manifest=manifest)
        this.wrapper = []
        this.check_download(contents, outcome, must_succeed=True)


if _IS_ROOT and _HAS_STRACE and shutil.which("unshare"):
    for _locks, _injection in {"as they are": "", **LOCKS}.items():
        _two_hosts(_locks, _injection, is_shared=False)
        if _HAS_FUSE:
            _two_hosts(_locks, _injection, is_shared=True)
    for _locks, _injection in LOCKS.items():
        _killed_writer(_locks, _injection)
else:
    NOT_RUN["F26"] = "another host is a process namespace: it needs root, unshare and strace"


# -- F27 ---------------------------------------------------------------------------------------------------------

RESOLUTIONS = ("CREATE_COPY", "SKIP", "OVERWRITE", "RESUME")
#: What is there before, and what each resolution makes of it: ours stays, goes, or gets a copy beside it.
THERE = b"was there before"


def _check_resolved(this: Case, contents: dict[str, bytes], outcome: Any, resolution: str) -> None:
    """As on any file system."""
    expected = dict(contents)
    if resolution == "SKIP":
        expected["there"] = THERE
    elif resolution == "CREATE_COPY":
        expected = {**contents, "there": THERE, "there (1)": contents["there"]}
    this.check_download(expected, outcome, must_succeed=True)


def _lacking(name: str, injections: tuple[str, ...], quick: bool) -> None:
    for resolution in RESOLUTIONS:

        @case("F27", f"{resolution} with {name}", quick=quick or resolution == "CREATE_COPY", patience=60)
        def lacking(this: Case, resolution: str = resolution) -> None:
            contents = {f"d{number % 2}/f{number}": this.bytes(2_000) for number in range(6)}
            contents |= {"large": this.bytes(9 * MIB), "there": this.bytes(100)}
            contents["d0/twin"] = contents["large"]
            manifest = this.store(contents)
            (this.target / "there").write_bytes(THERE)
            this.wrapper = strace(this, *injections)
            outcome = this.run("download", manifest=manifest, resolution=resolution)
            this.wrapper = []
            traced = (this.folder / "case-strace").read_text(errors="replace")
            this.surprise_unless("(INJECTED)" in traced or resolution in ("OVERWRITE", "RESUME"), "no fault")
            _check_resolved(this, contents, outcome, resolution)


def _lacking_fuse(refused: tuple[str, ...], refusal: str) -> None:
    for resolution in RESOLUTIONS:

        @case("F27", f"{resolution} on FUSE without {', '.join(refused)} ({refusal})", patience=60)
        def lacking(this: Case, resolution: str = resolution) -> None:
            contents = {f"d{number % 2}/f{number}": this.bytes(2_000) for number in range(4)}
            contents |= {"large": this.bytes(9 * MIB), "there": this.bytes(100)}
            manifest = this.store(contents)
            with mounted(this, this.target, refused=refused, refusal=refusal):
                (this.target / "there").write_bytes(THERE)
                outcome = this.run("download", manifest=manifest, resolution=resolution)
                _check_resolved(this, contents, outcome, resolution)


def _comes_meanwhile(resolution: str) -> None:
    @case("F27", f"{resolution} without both: somebody else's file comes meanwhile", patience=90)
    def meanwhile(this: Case) -> None:
        ours = this.bytes(3 * MIB)
        manifest = this.store({"there": ours})
        # What is there later makes the folder one to look at now.
        (this.target / "kept").write_bytes(b"kept")
        this.wrapper = strace(this, "renameat2:error=EINVAL", "linkat:error=EPERM")
        with in_the_middle(this, manifest=manifest, resolution=resolution) as writer:
            (this.target / "there").write_bytes(THERE)
        this.wrapper = []
        outcome = this.finish(writer)
        expected = {"there": THERE, "kept": b"kept"}
        if resolution == "CREATE_COPY":
            expected["there (1)"] = ours
        this.check_download(expected, outcome, must_succeed=True)


if _HAS_STRACE:
    for _resolution in ("CREATE_COPY", "SKIP"):
        _comes_meanwhile(_resolution)
    for _error in ("EPERM", "EOPNOTSUPP", "ENOSYS", "EMLINK", "EINVAL"):
        _lacking(
            f"linkat {_error}", ("renameat2:error=EINVAL", f"linkat:error={_error}"), quick=_error == "EPERM"
        )
    for _error in ("EPERM", "ENOSYS", "EOPNOTSUPP"):
        _lacking(f"renameat2 and fallocate {_error}", (f"renameat2,fallocate:error={_error}",), quick=False)
        _lacking(
            f"no times, room, locks ({_error})", (f"utimensat,fallocate,flock:error={_error}",), quick=False
        )
    if _HAS_FUSE:
        for _refused in (
            ("link", "exclusive rename"),
            ("link", "exclusive rename", "rename over"),
            ("link", "exclusive rename", "rename over", "times", "modes"),
        ):
            _lacking_fuse(_refused, "EPERM")
        _lacking_fuse(("link", "exclusive rename", "rename over"), "EEXIST")
else:
    NOT_RUN["F27"] = "its faults in system calls need strace"


# -- F29 ---------------------------------------------------------------------------------------------------------


def _slow(name: str, injection: str, contents_of: Any, there: bool = False) -> None:
    @case("F29", name, patience=90)
    def slow(this: Case) -> None:
        contents = contents_of(this)
        manifest = this.store(contents)
        if there:
            (this.target / "there").write_bytes(THERE)
        this.wrapper = strace(this, injection)
        # Three reports without a sign of life, a second each, would end it.
        outcome = this.run("download_unless_slow", manifest=manifest, maximum_reports=3)
        this.wrapper = []
        traced = (this.folder / "case-strace").read_text(errors="replace")
        this.surprise_unless("(DELAYED)" in traced, "nothing was slow")
        expected = {**contents, "there": THERE} if there else contents
        this.check_download(expected, outcome, must_succeed=True)


def _twins(this: Case) -> dict[str, bytes]:
    body = this.bytes(3 * MIB)
    return {"v003": body, "latest": body}


@case("F29", "a source file that somebody holds a lease on")
def f29_lease(this: Case) -> None:
    contents = this.write({"leased": this.bytes(10_000), "other": this.bytes(100)})
    with lease(this.root / "leased", for_s=2):
        outcome = this.run("submit")
    this.check_bucket(contents, outcome, must_succeed=True)


if _HAS_STRACE:
    _slow("a copy to the second path", "copy_file_range:delay_enter=6000000", _twins)
    _slow("times that take long to set", "utimensat:delay_enter=6000000", _twins)
    _slow("a name that takes long", "renameat2:delay_enter=6000000", _twins)
    _slow(
        "looks at what is there",
        "openat2:delay_enter=500000",
        lambda this: {f"f{number}": b"x" for number in range(80)},
        there=True,
    )
else:
    NOT_RUN["F29"] = "its slow system calls need strace"
