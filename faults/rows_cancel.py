"""F30: stopped at a random moment of every phase, and run again."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from case import MIB, Case, Outcome, case, row

row("F30", "cancelled, Ctrl-C or killed at a random moment of every phase, then again")

#: How a call is stopped.
HOWS = ("cancel", "interrupt", "kill")
#: What a frame holds, and what half of those that are there hold instead: the same size, another last byte.
FRAME = bytes(12 * MIB)


@dataclass(frozen=True)
class Phase:
    """A phase: how it is set up in a case, and how one is sure of its outcome."""

    name: str
    #: The call's longest time, in seconds, in which it is stopped.
    within_s: float
    #: Sets the case up for one attempt, and gives the verb and what it is given.
    prepare: Callable[[Case, int], tuple[str, dict[str, Any]]]
    #: Judges the call that was made again.
    judge: Callable[[Case, int, Outcome], None]


def frames(folder: Path, wrong_every: int) -> None:
    """Sparse frames of one size, some of them wrong, that have rested."""
    folder.mkdir(parents=True)
    for number in range(40):
        path = folder / f"frame.{number:04}"
        with path.open("wb") as file:
            file.truncate(len(FRAME))
            if number % wrong_every == 1:
                file.seek(len(FRAME) - 1)
                file.write(b"x")
        os.utime(path, (1_700_000_000, 1_700_000_000))


def frames_wanted() -> dict[str, bytes]:
    return {f"frame.{number:04}": FRAME for number in range(40)}


def one_content(this: Case, contents: dict[str, bytes]) -> str:
    """As `Case.store`, for files that all have the same contents."""
    body = next(iter(contents.values()))
    entry = {"hash": this.rig.store(body, this.bucket, "root/Data/"), "size": len(body)}
    return this.manifest([{**entry, "mtime": 1_700_000_000_000_000, "path": path} for path in contents])


def target_of(this: Case, attempt: int) -> Path:
    return this.target / str(attempt)


# -- looking at what is there, for RESUME ------------------------------------------------------------------------


def prepare_verifying(this: Case, attempt: int) -> tuple[str, dict[str, Any]]:
    frames(target_of(this, attempt), 5)
    manifest = one_content(this, frames_wanted())
    return "download", {"manifest": manifest, "again": True, "target": str(target_of(this, attempt))}


def judge_frames(this: Case, attempt: int, outcome: Outcome) -> None:
    this.check_download(frames_wanted(), outcome, must_succeed=True, target=target_of(this, attempt))
    shutil.rmtree(target_of(this, attempt))


# -- hashing, and manifests of what is there ---------------------------------------------------------------------


def prepare_hashing(this: Case, attempt: int) -> tuple[str, dict[str, Any]]:
    frames(this.root / str(attempt), 3)
    return "hash_files", {"root": str(this.root / str(attempt))}


def prepare_snapshot(this: Case, attempt: int) -> tuple[str, dict[str, Any]]:
    _, specification = prepare_hashing(this, attempt)
    return "snapshot", {**specification, "destination": str(this.target / str(attempt))}


def judge_hashes(this: Case, attempt: int, outcome: Outcome) -> None:
    this.surprise_unless(outcome.ok, f"failed: {outcome.classes[:1]} {outcome.text[:200]}")
    right, wrong = this.rig.store(FRAME), this.rig.store(FRAME[:-1] + b"x")
    for name, (digest, size) in (outcome.value or {}).items():
        expected = wrong if int(name[-4:]) % 3 == 1 else right
        this.score.wrong += (digest, size) != (expected, len(FRAME))
    this.score.false_success += outcome.ok and len(outcome.value) != 40
    shutil.rmtree(this.root / str(attempt))


# -- copying: into a snapshot, and to files of the same contents -------------------------------------------------


def prepare_copying(this: Case, attempt: int) -> tuple[str, dict[str, Any]]:
    folder = this.root / str(attempt)
    folder.mkdir()
    for number in range(120):
        (folder / f"f{number}").write_bytes(number.to_bytes(2, "big") * 50_000)
    return "copy_into_snapshot", {"root": str(folder), "destination": str(this.target / str(attempt))}


def judge_copies(this: Case, attempt: int, outcome: Outcome) -> None:
    this.surprise_unless(outcome.ok, f"failed: {outcome.classes[:1]} {outcome.text[:200]}")
    data = this.target / str(attempt) / "Data"
    expected = {this.rig.store(path.read_bytes()) for path in (this.root / str(attempt)).iterdir()}
    found = {path.name.partition(".")[0]: path for path in data.iterdir()} if data.is_dir() else {}
    this.score.lost += 100_000 * len(expected - set(found))
    this.score.leftovers += len(set(found) - expected)
    this.score.poisoned += sum(
        this.rig.store(path.read_bytes()) != name for name, path in found.items() if name in expected
    )
    shutil.rmtree(this.root / str(attempt))
    shutil.rmtree(this.target / str(attempt), ignore_errors=True)


def clones() -> dict[str, bytes]:
    return {f"d{number % 4}/clone{number}": bytes(range(256)) * 12_000 for number in range(60)}


def prepare_cloning(this: Case, attempt: int) -> tuple[str, dict[str, Any]]:
    target_of(this, attempt).mkdir()
    again = {"again": True, "target": str(target_of(this, attempt))}
    return "download", {"manifest": one_content(this, clones()), **again}


def judge_clones(this: Case, attempt: int, outcome: Outcome) -> None:
    this.check_download(clones(), outcome, must_succeed=True, target=target_of(this, attempt))
    shutil.rmtree(target_of(this, attempt))


# -- permissions, and listing ------------------------------------------------------------------------------------


def small() -> dict[str, bytes]:
    return {f"d{number % 40}/f{number}": number.to_bytes(2, "big") * 300 for number in range(400)}


def prepare_permissions(this: Case, attempt: int) -> tuple[str, dict[str, Any]]:
    target_of(this, attempt).mkdir()
    owner = (pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name)
    again = {"again": True, "permissions": owner, "target": str(target_of(this, attempt))}
    return "download", {"manifest": this.store(small()), **again}


def judge_permissions(this: Case, attempt: int, outcome: Outcome) -> None:
    target = target_of(this, attempt)
    this.check_download(small(), outcome, must_succeed=True, target=target)
    places = [target, *target.rglob("*")]
    closed = [path for path in places if not path.stat().st_mode & 0o20]
    this.surprise_unless(not closed, f"{len(closed)} places without their permissions: {closed[:2]}")
    shutil.rmtree(target)


def prepare_listing(this: Case, attempt: int) -> tuple[str, dict[str, Any]]:
    entry = {"hash": this.rig.store(b"x", this.bucket, "root/Data/"), "mtime": 1, "size": 1}
    for task in range(40):
        text = Path(this.manifest([{**entry, "path": f"f{task}"}], f"output-{task}")).read_bytes()
        folder = (
            f"root/Manifests/{_FARM}/{_QUEUE}/{_JOB}/step-1/task-{task}/2026-01-01T00:00:00.000000Z_action-1"
        )
        this.rig.put(
            this.bucket, f"{folder}/{task:032x}_output", text, {"x-amz-meta-asset-root": "/somewhere"}
        )
    this.rig.config(delay_ms=8)
    return "list_outputs", {"job": _JOB}


def judge_listing(this: Case, attempt: int, outcome: Outcome) -> None:
    this.surprise_unless(outcome.ok, f"failed: {outcome.classes[:1]} {outcome.text[:200]}")
    paths = (outcome.value or {}).get("/somewhere", [])
    this.score.lost += 40 - len(paths) if outcome.ok else 0


_FARM = "farm-0123456789abcdef0123456789abcdef"
_QUEUE = "queue-0123456789abcdef0123456789abcdef"
_JOB = "job-0123456789abcdef0123456789abcdef"

PHASES = (
    Phase("verifying for RESUME", 0.5, prepare_verifying, judge_frames),
    Phase("hashing", 0.5, prepare_hashing, judge_hashes),
    Phase("a snapshot", 0.5, prepare_snapshot, judge_hashes),
    Phase("copying into a snapshot", 0.3, prepare_copying, judge_copies),
    Phase("cloning", 0.4, prepare_cloning, judge_clones),
    Phase("permissions", 0.3, prepare_permissions, judge_permissions),
    Phase("listing", 0.2, prepare_listing, judge_listing),
)


def _stopped(phase: Phase, how: str, attempts: int, quick: bool) -> None:
    times = "" if quick else f", {attempts} times"

    @case("F30", f"{phase.name}: {how}{times}, then again", quick=quick)
    def stopped(this: Case) -> None:
        this.score.cases += attempts - 1
        for attempt in range(attempts):
            verb, specification = phase.prepare(this, attempt)
            # Early moments more often: the calls are short.
            after_s = phase.within_s * this.random.random() ** 2
            outcome = this.finish(
                this.start(verb, stop=[how, after_s], **specification), expect_kill=how == "kill"
            )
            if not outcome.ok and how != "kill":
                this.expect_error(outcome, classes=("AssetSyncCancelledError", "KeyboardInterrupt"))
            this.check_caches()
            phase.judge(this, attempt, this.run(verb, **specification))
            this.check_caches()


for _phase in PHASES:
    for _how in HOWS:
        _stopped(_phase, _how, 1, True)
        _stopped(_phase, _how, 10, False)


@case("F30", "verifying for RESUME: cancelled by the first report of reading, then again")
def f30_first_report(this: Case) -> None:
    # Some threads are ahead of others then: results that come in another order than their files would show.
    for attempt in range(3):
        verb, specification = prepare_verifying(this, attempt)
        outcome = this.run(verb, stop_when_reading=True, **specification)
        if not outcome.ok:
            this.expect_error(outcome, classes=("AssetSyncCancelledError",))
        this.check_caches()
        judge_frames(this, attempt, this.run(verb, **specification))
    this.score.cases += 2


@case("F30", "verifying for RESUME: the time becomes the manifest's, and the cache knows it")
def f30_time(this: Case) -> None:
    target = target_of(this, 0)
    frames(target, 5)
    manifest = one_content(this, frames_wanted())
    for number, path in enumerate(sorted(target.iterdir())):
        os.utime(path, (1_600_000_000 + number, 1_600_000_000 + number))
    specification = {"manifest": manifest, "resolution": "RESUME", "target": str(target)}
    this.check_download(
        frames_wanted(), this.run("download", **specification), must_succeed=True, target=target
    )
    late = [path.name for path in target.iterdir() if path.stat().st_mtime_ns != 1_700_000_000 * 10**9]
    this.surprise_unless(not late, f"{len(late)} files have another time: {late[:3]}")
    this.check_caches()
    fetched = this.rig.count("GetObject")
    this.check_download(
        frames_wanted(), this.run("download", **specification), must_succeed=True, target=target
    )
    this.surprise_unless(this.rig.count("GetObject") == fetched, "what was right was fetched again")


def f30_owner(this: Case) -> None:
    target = target_of(this, 0)
    contents = {f"f{number}": this.bytes(700) for number in range(5)}
    manifest = this.store(contents)
    target.mkdir()
    for name, body in contents.items():
        (target / name).write_bytes(body)
        os.utime(target / name, (1_600_000_000, 1_600_000_000))
    os.chown(this.home, 65_534, 65_534)
    for path in (this.folder, target):
        path.chmod(0o755)
    this.user = 65_534
    outcome = this.run("download", manifest=manifest, resolution="RESUME", target=str(target), log=True)
    this.check_download(contents, outcome, must_succeed=True, target=target)
    times = {path.stat().st_mtime for path in target.iterdir()}
    this.surprise_unless(times == {1_600_000_000}, f"times {times}")
    told = [line for line in outcome.stderr.splitlines() if "could not be set" in line]
    this.surprise_unless(len(told) == 1 and str(target) in told[0], f"the log says {told[:2]}")


if os.getuid() == 0:  # who alone can be two users
    case("F30", "verifying for RESUME: another owner's files keep their times, with a warning")(f30_owner)
