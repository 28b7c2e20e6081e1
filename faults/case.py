"""One case of the scorecard: a server, a folder and the oracle that looks at what is left."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import zlib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Callable, Optional

from rig.server import RigServer
from stale import stale_rows

MIB = 1024 * 1024


@dataclass
class Score:
    """What the scorecard counts. Everything but `cases` should be zero.

    Attributes:
        wrong: files at their final place with wrong contents.
        lost: bytes that should have been delivered or kept and were not.
        outside: paths outside the root that were made or changed.
        poisoned: objects under `Data/` whose hash is not their key.
        dangling: manifests in S3 that name an object which is not there.
        leftovers: temporary files and unfinished uploads that stay.
        hangs: calls that did not end in time.
        panics: panics and crashes.
        false_success: calls that reported success and had not done the work.
        stale: rows of hash caches that are believed and don't fit the file that they name.
    """

    cases: int = 0
    wrong: int = 0
    lost: int = 0
    outside: int = 0
    poisoned: int = 0
    dangling: int = 0
    leftovers: int = 0
    hangs: int = 0
    panics: int = 0
    false_success: int = 0
    stale: int = 0

    def add(self, other: Score) -> None:
        for column in fields(self):
            setattr(self, column.name, getattr(self, column.name) + getattr(other, column.name))

    @property
    def forbidden(self) -> int:
        """The sum of all that should be zero."""
        return sum(getattr(self, column.name) for column in fields(self)) - self.cases


@dataclass
class Outcome:
    """How a call ended."""

    ok: bool
    value: Any = None
    error: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    stderr: str = ""
    status: Optional[int] = 0
    peak_rss_mb: float = 0.0

    @property
    def classes(self) -> list[str]:
        return self.error.get("classes", [])

    @property
    def text(self) -> str:
        return self.error.get("text", "")


def end_all(process: subprocess.Popen) -> None:
    """Ends the process and those that it has started: they are a session of their own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@dataclass(frozen=True)
class Side:
    """What is put to the test."""

    package: str
    python: str


class Case:
    """A fresh server, bucket and folder.

    `root` is where inputs are, `target` where downloads go, `home` where caches are, `outside` what nobody may touch.
    """

    def __init__(self, side: Side, folder: Path, seed: int, patience: float) -> None:
        self.side = side
        self.folder = folder
        self.random = random.Random(seed)
        self.patience = patience
        self.score = Score(cases=1)
        self.surprises: list[str] = []
        self.root, self.target, self.home, self.outside = (
            folder / name for name in ("root", "target", "home", "outside")
        )
        for path in (self.root, self.target, self.home, self.outside):
            path.mkdir(parents=True)
        (self.outside / "precious").write_bytes(b"precious")
        self.rig = RigServer("--seed", str(seed))
        self.bucket = self.rig.create_bucket("bucket")
        self.user: Optional[int] = None
        self.wrapper: list[str] = []
        #: Whether rows of the reference's table are judged. Not where the case itself has spoiled them, or has changed
        #: a file and kept its time after anyone could see it: that table knows files by their times alone.
        self.judges_reference_rows = True

    def close(self) -> None:
        """Looks at the caches and at what lies outside one last time, and ends."""
        self.check_caches()
        self.check_outside()
        self.rig.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- making things -------------------------------------------------------------------------------------------

    def bytes(self, length: int) -> bytes:
        """Random bytes."""
        return self.random.randbytes(length)

    def write(self, contents: dict[str, bytes]) -> dict[str, bytes]:
        """Files under the root, a while ago, so that caches may trust their times."""
        past = time.time() - 3_600
        for name, body in contents.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
            os.utime(path, (past, past))
        return contents

    def store(self, contents: dict[str, bytes], name: str = "manifest") -> str:
        """Contents in the bucket, and a manifest on the disk that names them; its path."""
        rows = []
        for path, body in contents.items():
            digest = self.rig.store(body, self.bucket, "root/Data/")
            rows.append({"hash": digest, "mtime": 1_700_000_000_000_000, "path": path, "size": len(body)})
        return self.manifest(rows, name)

    def manifest(self, rows: list[dict[str, Any]], name: str = "manifest") -> str:
        """A manifest on the disk."""
        rows = sorted(rows, key=lambda row: str(row["path"]).encode("utf-16-be", "surrogatepass"))
        document = {
            "hashAlg": "xxh128",
            "manifestVersion": "2023-03-03",
            "paths": rows,
            "totalSize": sum(row["size"] for row in rows),
        }
        return self.text(json.dumps(document, sort_keys=True, separators=(",", ":")), name)

    def text(self, text: str, name: str) -> str:
        """A file beside the others."""
        path = self.folder / f"{name}.json"
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        return str(path)

    # -- running -------------------------------------------------------------------------------------------------

    def start(
        self,
        verb: str,
        environment: Optional[dict[str, str]] = None,
        side: Optional[Side] = None,
        **specification: Any,
    ) -> subprocess.Popen:
        """The verb in a process of its own, of the side that is put to the test or of another one."""
        side = side or self.side
        settings = {
            "verb": verb,
            "bucket": self.bucket,
            "root": str(self.root),
            "target": str(self.target),
            "user": self.user,
            **specification,
        }
        script = Path(__file__).with_name("verbs.py")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return subprocess.Popen(
            [*self.wrapper, side.python, str(script), side.package, json.dumps(settings)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env={**kept, **self.rig.environment(), "HOME": str(self.home), **(environment or {})},
            start_new_session=True,
        )

    def finish(self, process: subprocess.Popen, expect_kill: bool = False) -> Outcome:
        """Waits, and counts hangs and crashes."""
        start = time.monotonic()
        try:
            output, errors = process.communicate(timeout=self.patience)
        except subprocess.TimeoutExpired:
            end_all(process)
            output, errors = process.communicate()
            self.score.hangs += 1
            self.surprises.append(f"did not end: {errors[-300:]}")
            return Outcome(False, error={"classes": ["Hang"], "text": "the call did not end"}, stderr=errors)
        end_all(process)
        seconds = time.monotonic() - start
        lines = [line for line in output.splitlines() if line.startswith('{"ok"')]
        if lines:
            told = json.loads(lines[-1])
            outcome = Outcome(
                told["ok"], told.get("value"), told.get("error", {}), seconds, errors, process.returncode
            )
        else:
            outcome = Outcome(False, seconds=seconds, stderr=errors, status=process.returncode)
        crashed = process.returncode < 0 and not expect_kill
        if crashed or "panicked at" in errors or "PanicException" in outcome.classes:
            self.score.panics += 1
            self.surprises.append(f"crash: status {process.returncode}, {errors[-500:]}")
        elif not lines and not expect_kill:
            self.surprises.append(f"no outcome: status {process.returncode}, {errors[-500:]}")
        return outcome

    def run(self, verb: str, environment: Optional[dict[str, str]] = None, **specification: Any) -> Outcome:
        """The verb, to its end."""
        return self.finish(self.start(verb, environment, **specification))

    def run_killed(self, verb: str, after_requests: int, **specification: Any) -> None:
        """The verb, killed once the server has been asked so often; some time later if it never is."""
        before = self.rig.stats()["requests"]
        process = self.start(verb, **specification)
        deadline = time.monotonic() + 20
        while process.poll() is None and time.monotonic() < deadline:
            if self.rig.stats()["requests"] - before >= after_requests:
                break
            time.sleep(0.002)
        end_all(process)
        self.finish(process, expect_kill=True)

    # -- judging -------------------------------------------------------------------------------------------------

    def surprise_unless(self, holds: bool, what: str) -> None:
        """Notes an expectation that does not hold, where nothing was harmed."""
        if not holds:
            self.surprises.append(what)

    def expect_error(self, outcome: Outcome, *mentions: str, classes: tuple[str, ...] = ()) -> None:
        """An error that names what failed."""
        if outcome.ok:
            self.surprises.append("an error was expected")
            return
        for mention in mentions:
            self.surprise_unless(
                mention in outcome.text, f"the error does not name {mention}: {outcome.text[:300]}"
            )
        if classes:
            known = any(name in outcome.classes for name in classes)
            self.surprise_unless(
                known, f"expected one of {classes}: {outcome.classes[:2]} {outcome.text[:200]}"
            )

    def check_download(
        self,
        contents: dict[str, bytes],
        outcome: Outcome,
        must_succeed: bool = False,
        may_leave: int = 0,
        target: Optional[Path] = None,
    ) -> None:
        """Every file at its final place is right; success means that all are there."""
        target = target or self.target
        missing = wrong = 0
        for name, body in contents.items():
            path = target / name
            if not path.is_file():
                missing += 1
                self.score.lost += max(len(body), 1) if must_succeed and not outcome.ok else 0
            elif path.read_bytes() != body:
                wrong += 1
        self.score.wrong += wrong
        if outcome.ok and (missing or wrong):
            self.score.false_success += 1
        if must_succeed and not outcome.ok:
            self.surprises.append(f"failed: {outcome.classes[:1]} {outcome.text[:300]}")
        extra = [
            path
            for path in target.rglob("*")
            if not path.is_dir() and str(path.relative_to(target)) not in contents
        ]
        self.score.leftovers += max(len(extra) - may_leave, 0)
        if len(extra) > may_leave:
            self.surprises.append(f"left: {[path.name for path in extra[:3]]}")

    def check_bucket(
        self,
        contents: Optional[dict[str, bytes]] = None,
        outcome: Optional[Outcome] = None,
        must_succeed: bool = False,
        may_leave: int = 0,
    ) -> None:
        """Objects are what their keys say, manifests name what is there, success means that contents are there."""
        objects = self.rig.objects(self.bucket, hashed=True)
        data = {
            row["key"].rpartition("/")[2].partition(".")[0]: row["xxh128"]
            for row in objects
            if "/Data/" in row["key"]
        }
        self.score.poisoned += sum(1 for stem, digest in data.items() if stem != digest)
        right = {stem for stem, digest in data.items() if stem == digest}
        manifests = [row["key"] for row in objects if "/Manifests/" in row["key"]]
        for key in manifests:
            named = {row["hash"] for row in json.loads(self.rig.get(self.bucket, key))["paths"]}
            self.score.dangling += int(not named <= set(data))
        missing = [body for body in (contents or {}).values() if self.rig.store(body) not in right]
        if outcome and outcome.ok and (missing or not manifests):
            self.score.false_success += 1
        if outcome and must_succeed and not outcome.ok:
            self.score.lost += sum(max(len(body), 1) for body in missing)
            self.surprises.append(f"failed: {outcome.classes[:1]} {outcome.text[:300]}")
        uploads = self.rig.uploads(self.bucket)
        self.score.leftovers += max(len(uploads) - may_leave, 0)

    def check_caches(self) -> None:
        """Every row of a hash cache that would be believed is right."""
        stale = stale_rows(self.folder, self.judges_reference_rows)
        self.score.stale += len(stale)
        if stale:
            self.surprises.append(f"{len(stale)} stale rows, the first is of {stale[0]}")

    def check_outside(self) -> None:
        """Nothing beside the root, the target, the home and our own files has been touched."""
        found = {path.name: path for path in self.outside.rglob("*")}
        if set(found) != {"precious"} or found["precious"].read_bytes() != b"precious":
            self.score.outside += max(len(found) - 1, 1)
        known = {"root", "target", "home", "outside"}
        for path in self.folder.iterdir():
            if path.name not in known and path.suffix != ".json" and not path.name.startswith("case-"):
                self.score.outside += 1
        self.score.outside += sum(1 for _ in self.folder.parent.glob("escaped*"))


@dataclass(frozen=True)
class Planned:
    """A case to run."""

    row: str
    name: str
    quick: bool
    run: Callable[[Case], None]
    patience: float


#: Rows in the scorecard's order: their titles.
TITLES: dict[str, str] = {}
#: What the modules of rows register.
PLAN: list[Planned] = []
#: Rows that can't run here, and why.
NOT_RUN: dict[str, str] = {}


def row(name: str, title: str) -> None:
    """Declares a row."""
    TITLES[name] = title


def case(row_name: str, name: str, quick: bool = True, patience: float = 100) -> Callable:
    """Registers a function as a case of a row; slow ones are left out with QUICK=1."""

    def register(function: Callable[[Case], None]) -> Callable[[Case], None]:
        PLAN.append(Planned(row_name, name, quick, function, patience))
        return function

    return register


def run_case(planned: Planned, side: Side, base: Path, seed: int) -> tuple[Score, list[str]]:
    """One case from beginning to end; a driver's own failure counts as a surprise, never as passed."""
    folder = base / f"{planned.row}-{zlib.crc32(planned.name.encode()):08x}" / "case"
    folder.mkdir(parents=True)
    # Users of other cases may have to read it.
    folder.parent.chmod(0o755)
    running = Case(
        side, folder, seed ^ zlib.crc32(f"{planned.row} {planned.name}".encode()), planned.patience
    )
    try:
        planned.run(running)
    except Exception as error:
        running.surprises.append(f"the case itself failed: {type(error).__name__}: {error}")
        if os.environ.get("FAULTS_DEBUG"):
            import traceback

            traceback.print_exc(file=sys.stderr)
    finally:
        with contextlib.suppress(OSError):
            running.close()
    return running.score, running.surprises
