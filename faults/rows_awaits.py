"""P4: the interpreter's end after, during and instead of awaiting, and in the middle of plain calls in threads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from case import Case, Outcome, case, end_all
from rows_network import small_files

#: Enough for a race that strikes once in fifty runs on one processor.
RUNS = 200
QUICK_RUNS = 8


class Runs:
    """One verb again and again, each in a process of its own, which must end with status 0 and without a word."""

    def __init__(self, this: Case, runs: int) -> None:
        self.this, self.runs = this, runs
        this.score.cases += runs - 1
        self.contents = small_files(this, 3, 1_000)
        self.manifest = this.store(self.contents)

    def each(self, verb: str, error: str = "", **specification: Any) -> None:
        """Runs the verb, which ends well or with the given error; files that were delivered must be right."""
        this = self.this
        for number in range(self.runs):
            target = this.target / str(number)
            before = len(this.surprises)
            outcome = this.run(
                verb,
                manifest=self.manifest,
                run_target=str(target),
                caches=str(this.home / f"caches-{number}"),
                **specification,
            )
            self._judge(outcome, error, target)
            this.surprises[before:] = [f"run {number}: {text}" for text in this.surprises[before:]]

    def _judge(self, outcome: Outcome, error: str, target: Path) -> None:
        this = self.this
        if error:
            this.expect_error(outcome, classes=(error,))
        else:
            this.surprise_unless(outcome.ok, f"{outcome.classes[:1]} {outcome.text[:200]}")
        this.surprise_unless(outcome.status == 0, f"status {outcome.status}")
        this.surprise_unless(not outcome.stderr, f"said {outcome.stderr[-300:]}")
        for name, body in self.contents.items():
            path = target / name
            this.score.wrong += path.is_file() and path.read_bytes() != body


def _awaited(how: str, upload: bool, quick: bool) -> None:
    what, runs = "upload" if upload else "download", QUICK_RUNS if quick else RUNS

    @case("P4", f"{runs} ends behind an awaited {what}, {how}", quick=quick, patience=60)
    def awaited(this: Case) -> None:
        running = Runs(this, runs)
        for name, body in running.contents.items() if upload else ():
            (this.root / name).parent.mkdir(parents=True, exist_ok=True)
            (this.root / name).write_bytes(body)
        if upload:
            this.rig.reset(objects=True)
            this.rig.create_bucket(this.bucket)
        if how == "failed":
            operation = "PutObject" if upload else "GetObject"
            this.rig.rules({"operation": operation, "fault": {"kind": "status", "status": 403}})
        if how in ("cancelled", "abandoned"):
            this.rig.config(delay_ms=100)
        error = "JobAttachmentsS3ClientError" if how == "failed" else ""
        running.each("await_and_exit", error, how=how, upload=upload)


def _threaded(daemon: bool, quick: bool) -> None:
    what, runs = "a daemon thread" if daemon else "another thread", QUICK_RUNS if quick else RUNS

    @case("P4", f"{runs} ends while {what} is in a call", quick=quick, patience=60)
    def threaded(this: Case) -> None:
        running = Runs(this, runs)
        this.rig.config(delay_ms=30)
        running.each("call_in_thread_and_exit", daemon=daemon)
        for number in range(0 if daemon else runs):
            this.check_download(running.contents, Outcome(True), target=this.target / str(number))


for _quick in (True, False):
    for _how in ("done", "failed", "cancelled", "abandoned", "never awaited"):
        for _upload in (False, True):
            _awaited(_how, _upload, _quick)
    for _daemon in (False, True):
        _threaded(_daemon, _quick)


@case("P4", "a dropped call leaves the server alone", patience=60)
def dropped(this: Case) -> None:
    contents = small_files(this, 3, 1_000)
    manifest = this.store(contents)
    this.rig.rules({"operation": "GetObject", "fault": {"kind": "stall", "at": 0}})
    process = this.start("drop_and_wait", manifest=manifest)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        this.rig.wait_until_idle(10)
    except TimeoutError:
        this.surprises.append("the server still has the dropped call's requests")
    this.surprise_unless(process.poll() is None, "the process has ended")
    end_all(process)
    this.finish(process, expect_kill=True)
