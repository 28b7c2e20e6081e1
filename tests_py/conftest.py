"""Fixtures for every area: the test rig's S3 server, a fresh bucket, AWS clients that lead there."""

from __future__ import annotations

import faulthandler
import itertools
import os
import time
from collections.abc import Generator, Iterator

import deadline.job_attachments
import pytest
from hypothesis import settings
from rig.server import RigServer, StartedServer, aws_environment, built_program

# The same examples each time, whatever the machine. `make search` draws others, and prints their seed. What it finds
# is kept as an `@example` of the test.
settings.register_profile("test", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "test"))

_bucket_numbers = itertools.count(1)

#: Of standard error, which tests have captured while they run.
_stderr = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    """Keeps standard error for the stacks of a test that hangs."""
    config.stash[_stderr] = os.dup(2)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Closes what `pytest_configure` opened."""
    faulthandler.cancel_dump_traceback_later()
    os.close(config.stash[_stderr])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Ends the process of a test that hangs where no signal reaches it, such as in native code, with all stacks.

    pytest-timeout raises an exception in the test at its limit, by a signal. This one comes a little later.
    """
    limit_seconds = item.config.getoption("timeout")
    if limit_seconds is None:
        limit_seconds = float(item.config.getini("timeout") or 0)
    if limit_seconds:
        margin_seconds = float(os.environ.get("TIMEOUT_MARGIN_SECONDS", "60"))
        stderr = item.config.stash[_stderr]
        faulthandler.dump_traceback_later(limit_seconds + margin_seconds, exit=True, file=stderr)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


def pytest_enter_pdb() -> None:
    """A test that is debugged may take as long as it likes."""
    faulthandler.cancel_dump_traceback_later()


def pytest_report_header() -> str:
    """Which version of the reference is the oracle."""
    return f"reference: deadline-job-attachments {deadline.job_attachments.version}"


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home folder of the test's own: default cache folders are in it."""
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture
def slow_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time hardly passes for trackers, ours and the reference's, which report once more for each second."""
    ticks = itertools.count(1_000_000)
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks) / 1_000_000)


@pytest.fixture(scope="session")
def rig_server() -> Iterator[RigServer]:
    """One rig for the session: most tests want `rig`, which clears it."""
    with RigServer() as server:
        yield server


@pytest.fixture
def rig(rig_server: RigServer, monkeypatch: pytest.MonkeyPatch) -> RigServer:
    """The rig, empty and without faults; the environment leads AWS clients to it."""
    rig_server.reset(objects=True)
    for name, value in rig_server.environment().items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return rig_server


@pytest.fixture
def rig_bucket(rig: RigServer) -> str:
    """An empty bucket that no other test has used, so that nothing cached can concern it."""
    return rig.create_bucket(f"bucket-{next(_bucket_numbers)}")


@pytest.fixture
def s3_fs(tmp_path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The strict server, s3s-fs, on an empty folder; yields its address."""
    command = [str(built_program("s3_fs")), str(tmp_path / "s3_fs")]
    with StartedServer(command) as server:
        for name, value in aws_environment(server.endpoint).items():
            monkeypatch.setenv(name, value)
        yield server.endpoint
