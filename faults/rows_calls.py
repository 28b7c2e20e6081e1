"""F12 and F14 at every system call: a run for the first of a kind, one for the second, until no run meets its fault.

Each run that met its fault counts as a case. strace counts the calls of each thread by itself, so the second call of a
kind may fail in several threads at once.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from case import MIB, NOT_RUN, Case, Outcome, case

#: The few files here don't make more calls of a kind.
MOST_CALLS = 80

#: What a download does with files. The interpreter makes none of these calls.
_DOWNLOAD = {
    "openat2": ("EMFILE", "EIO", "ENOSPC"),
    "mkdirat": ("ENOSPC", "EIO"),
    "fallocate": ("ENOSPC", "EIO"),
    "pwrite64": ("ENOSPC", "EIO"),
    "utimensat": ("EIO",),
    "renameat2": ("ENOSPC", "EIO"),
    "flock": ("EIO",),
}
#: What an upload does with its inputs: these fail the call.
_INPUTS = {
    "openat2": ("EMFILE", "EIO"),
    "pread64": ("EIO",),
}
#: What it does with its caches: these do not.
_CACHES = {
    "openat": ("EMFILE", "EIO", "ENOSPC"),
    "mkdir": ("ENOSPC",),
    "pread64": ("EIO",),
    "pwrite64": ("ENOSPC", "EIO"),
    "fsync": ("EIO",),
    "ftruncate": ("EIO", "ENOSPC"),
    "unlink": ("EIO",),
    "mmap": ("ENOMEM",),
}
#: Where a process is killed. A download that nothing went wrong for removes nothing, so there is no `unlinkat`.
_KILLS = {
    "download": ("openat2", "mkdirat", "pwrite64", "utimensat", "renameat2", "writev", "recvfrom"),
    "submit": ("openat2", "writev", "recvfrom", "pwrite64", "fsync", "unlink", "connect"),
}


def _strace(log: Path, call: str, fault: str, *options: str) -> list[str]:
    """What runs a command with a fault injected into one of its system calls."""
    command = ["strace", "-f", "-qq", "--seccomp-bpf", "-o", str(log), "-e", f"trace={call}", *options]
    return [*command, "-e", f"inject={call}:{fault}"]


class Faults:
    """Runs one verb again and again, with the fault one call later each time."""

    def __init__(self, this: Case, verb: str, call: str, fault: str, paths: list[Path]) -> None:
        self.this, self.verb, self.call, self.fault, self.paths = this, verb, call, fault, paths
        self.log = this.folder / "case-strace"
        self.contents = {f"d{number % 2}/f{number}": this.bytes(3_000) for number in range(5)}
        self.contents["large"] = this.bytes(9 * MIB)
        self.manifest = ""

    def _begin(self) -> None:
        """As if nothing had ever run."""
        this = self.this
        for folder in (this.target, this.home):
            shutil.rmtree(folder)
            folder.mkdir()
        this.rig.reset(objects=True)
        this.rig.create_bucket(this.bucket)
        if self.verb == "download":
            self.manifest = this.store(self.contents)
        else:
            this.write(self.contents)

    def each(self) -> Iterator[Outcome]:
        """The outcomes of the runs that met their fault."""
        for nth in range(1, MOST_CALLS + 1):
            self._begin()
            this = self.this
            # strace knows a path by its name, and a descriptor by what it names.
            paths = [argument for path in self.paths for argument in ("-P", str(path))]
            this.wrapper = _strace(self.log, self.call, f"{self.fault}:when={nth}", *paths)
            process = this.start(self.verb, manifest=self.manifest)
            outcome = this.finish(process, expect_kill="SIGKILL" in self.fault)
            this.wrapper = []
            traced = self.log.read_text(errors="replace")
            if "(INJECTED)" not in traced and "killed by SIGKILL" not in traced:
                this.surprise_unless(nth > 1, f"{self.verb} makes no {self.call}")
                this.surprise_unless(outcome.ok, f"failed without a fault: {outcome.text[:200]}")
                return
            this.score.cases += 1
            before = len(this.surprises)
            yield outcome
            this.surprises[before:] = [f"at number {nth}: {text}" for text in this.surprises[before:]]
        this.surprises.append(f"more than {MOST_CALLS} times {self.call}")

    def again(self) -> Outcome:
        """The same without a fault, as someone does who tries again."""
        outcome = self.this.run(self.verb, manifest=self.manifest, again=True)
        self.this.surprise_unless(outcome.ok, f"again: {outcome.classes[:1]} {outcome.text[:200]}")
        return outcome


TYPED = ("JobAttachmentsError", "AssetSyncError", "OSError")


def _failing_download(call: str, error: str) -> None:
    @case(
        "F12",
        f"download: {error} at every {call}",
        quick=(call, error) == ("renameat2", "ENOSPC"),
        patience=60,
    )
    def failing(this: Case) -> None:
        faults = Faults(this, "download", call, f"error={error}", [])
        for outcome in faults.each():
            this.check_download(faults.contents, outcome)
            if not outcome.ok:
                this.expect_error(outcome, str(this.target), classes=TYPED)
            this.check_download(faults.contents, faults.again(), must_succeed=True)


def _failing_upload(call: str, error: str, of_inputs: bool) -> None:
    what = "inputs" if of_inputs else "caches"

    @case(
        "F12",
        f"upload: {error} at every {call} of {what}",
        quick=(call, error) == ("openat2", "EMFILE"),
        patience=60,
    )
    def failing(this: Case) -> None:
        faults = Faults(this, "submit", call, f"error={error}", _places(this, of_inputs))
        # A process without a free descriptor waits for one.
        waits = of_inputs and error == "EMFILE"
        for outcome in faults.each():
            this.check_bucket(faults.contents, outcome, must_succeed=waits)
            if outcome.ok:
                is_read = waits or not of_inputs
                this.surprise_unless(is_read, "an input that could not be read was passed over")
            elif of_inputs:
                this.expect_error(outcome, str(this.root), classes=TYPED)
            else:
                this.surprises.append(f"a cache failed the job: {outcome.classes[:1]} {outcome.text[:200]}")
            this.check_bucket(faults.contents, faults.again(), must_succeed=True)


def _places(this: Case, of_inputs: bool) -> list[Path]:
    """The files that a fault concerns."""
    if of_inputs:
        files = [this.root / name for name in ("large", *(f"d{number % 2}/f{number}" for number in range(5)))]
        return [this.root, this.root / "d0", this.root / "d1", *files]
    folder = this.home / ".deadline" / "job_attachments"
    databases = [
        folder / f"{name}.db{suffix}"
        for name in ("hash_cache", "s3_check_cache")
        for suffix in ("", "-wal", "-shm", "-journal")
    ]
    return [folder.parent, folder, *databases]


def _slow_disk(when: str, what: str) -> None:
    @case("F12", f"download: a disk that pauses at {what} write", quick=False, patience=60)
    def slow(this: Case) -> None:
        contents = {
            **{f"f{number}": this.bytes(3 * MIB) for number in range(4)},
            "large": this.bytes(40 * MIB),
        }
        manifest = this.store(contents)
        log = this.folder / "case-strace"
        this.wrapper = _strace(log, "pwrite64", f"delay_exit=30000:when={when}")
        outcome = this.run("download", manifest=manifest)
        this.surprise_unless("(DELAYED)" in log.read_text(errors="replace"), "no write was delayed")
        this.check_download(contents, outcome, must_succeed=True)


def _killed(verb: str, call: str) -> None:
    @case("F14", f"{verb}: SIGKILL at every {call}, then again", quick=False, patience=60)
    def killed(this: Case) -> None:
        faults = Faults(this, verb, call, "signal=SIGKILL", [])
        for _ in faults.each():
            if verb == "submit":
                this.check_bucket(None, None, may_leave=1)
                this.check_bucket(faults.contents, faults.again(), must_succeed=True, may_leave=1)
                continue
            done = [name for name in faults.contents if (this.target / name).is_file()]
            this.score.wrong += sum(
                (this.target / name).read_bytes() != faults.contents[name] for name in done
            )
            this.rig.wait_until_idle()
            before = this.rig.count("GetObject")
            outcome = faults.again()
            fetched = this.rig.count("GetObject") - before
            this.check_download(faults.contents, outcome, must_succeed=True)
            # The large file comes in two ranges.
            most = len(faults.contents) - len(done) + ("large" not in done)
            this.surprise_unless(fetched == most, f"fetched {fetched} again, {len(done)} were there")


if shutil.which("strace"):
    for _call, _errors in _DOWNLOAD.items():
        for _error in _errors:
            _failing_download(_call, _error)
    # strace counts by thread. A thread that has written swiftly for a while writes what comes itself.
    for _when, _what in (("1+", "every"), ("3+3", "every third"), ("20+20", "every twentieth")):
        _slow_disk(_when, _what)
    for _of_inputs, _calls in ((True, _INPUTS), (False, _CACHES)):
        for _call, _errors in _calls.items():
            for _error in _errors:
                _failing_upload(_call, _error, _of_inputs)
    for _verb, _names in _KILLS.items():
        for _call in _names:
            _killed(_verb, _call)
else:
    NOT_RUN["F12"] = "its faults in system calls need strace"
