"""Runs the tests of the workspace with `cargo test` and the arguments given.

Fails as well when no test ran, and ends the run when a test hangs. Runs on any CPython from 3.9 on, without packages.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable

COMMAND = ("cargo", "test", "--workspace", "--no-fail-fast")

#: The run ends when no test has finished for so many seconds.
LIMIT_VARIABLE, LIMIT_SECONDS = "TEST_LIMIT_SECONDS", "300"

RESULT = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored")
#: libtest says this of each test after 60 seconds.
SLOW = re.compile(r"^test (\S+) .*has been running for over \d+ seconds$")
FINISHED = re.compile(r"^test (\S+) .*\.\.\. ")


class Watchdog:
    """Ends a process group in which no test finishes any more."""

    def __init__(self, process: subprocess.Popen[str], limit_seconds: float) -> None:
        self.process = process
        self.limit_seconds = limit_seconds
        self.has_fired = False
        self._last = time.monotonic()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def finished_one(self) -> None:
        """A test has finished: the time begins anew."""
        self._last = time.monotonic()

    def close(self) -> None:
        """The process has ended."""
        self._closed.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._closed.wait(max(0.0, self._last + self.limit_seconds - time.monotonic())):
            if time.monotonic() - self._last >= self.limit_seconds:
                self.has_fired = True
                kill(self.process)
                return


def kill(process: subprocess.Popen[str]) -> None:
    """Kills cargo, the test binary, and what that has started: they are a process group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def follow(lines: Iterable[str], watchdog: Watchdog) -> tuple[list[int], set[str]]:
    """Prints the output of `cargo test`; returns the totals, and the slow tests that have not finished."""
    totals, slow = [0, 0, 0], set()
    for line in lines:
        sys.stdout.write(line)
        sys.stdout.flush()
        is_slow = SLOW.match(line)
        if is_slow:
            slow.add(is_slow[1])
            continue
        watchdog.finished_one()
        finished, result = FINISHED.match(line), RESULT.match(line)
        if finished:
            slow.discard(finished[1])
        if result:
            totals = [total + int(count) for total, count in zip(totals, result.groups())]
    return totals, slow


def run(command: list[str], limit_seconds: float) -> int:
    """Exit status of the tests: that of cargo, or 1 where nothing ran or the limit was reached."""
    # Only standard output is read: cargo's own messages stay as they are, colours included.
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, errors="replace", start_new_session=True
    ) as process:
        assert process.stdout is not None
        watchdog = Watchdog(process, limit_seconds)
        try:
            totals, slow = follow(process.stdout, watchdog)
            process.wait()
        except BaseException:
            # Ctrl-C of the terminal reaches only this process, since cargo has a session of its own.
            kill(process)
            raise
        finally:
            watchdog.close()
    passed, failed, ignored = totals
    if watchdog.has_fired:
        print(f"cargo test: no test finished for {limit_seconds:g} seconds: the run was ended", flush=True)
        print(f"cargo test: still running: {', '.join(sorted(slow)) or 'unknown'}", flush=True)
    print(f"cargo test: {passed} passed, {failed} failed, {ignored} ignored", flush=True)
    if process.returncode == 0 and passed == 0:
        print("cargo test: no test ran", file=sys.stderr)
        return 1
    return 1 if watchdog.has_fired else process.returncode


def main() -> int:
    """Compiles, for as long as that takes, and runs under the limit."""
    arguments = sys.argv[1:]
    for_cargo = arguments[: arguments.index("--")] if "--" in arguments else arguments
    compiled = subprocess.run([*COMMAND, "--no-run", *for_cargo])
    if compiled.returncode:
        print("cargo test: the tests do not compile", flush=True)
        return compiled.returncode
    return run([*COMMAND, *arguments], float(os.environ.get(LIMIT_VARIABLE, LIMIT_SECONDS)))


if __name__ == "__main__":
    sys.exit(main())
