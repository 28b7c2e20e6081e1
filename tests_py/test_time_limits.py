"""A test that hangs, of Rust or of Python, is ended at a limit and named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]

#: In the place of cargo: the output of libtest, of which the second test hangs.
CARGO = """#!/bin/sh
case "$*" in
    *--no-run*) exit 0 ;;
esac
echo "test fine ... ok"
echo "test module::slow has been running for over 60 seconds"
echo "test module::hangs has been running for over 60 seconds"
echo "test module::slow ... ok"
exec sleep 1000
"""

REACTS = "import time\ndef test_reacts():\n    time.sleep(1000)\n"
#: As native code that never looks for signals.
DOES_NOT_REACT = """
import signal, time
def test_does_not_react():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    time.sleep(1000)
"""


def test_a_rust_test_that_hangs_ends_the_run(tmp_path):
    cargo = tmp_path / "cargo"
    cargo.write_text(CARGO)
    cargo.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "TEST_LIMIT_SECONDS": "1",
    }
    command = [sys.executable, str(REPOSITORY / "make" / "cargo_test.py"), "--lib", "--", "module"]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert ended.returncode == 1
    assert "\ncargo test: no test finished for 1 seconds: the run was ended\n" in ended.stdout
    assert "\ncargo test: still running: module::hangs\n" in ended.stdout


def hanging(test: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a test of its own with the settings and the hooks of this suite, and a limit of a second."""
    (folder / "test_hangs.py").write_text(test)
    settings = ["-c", str(REPOSITORY / "pyproject.toml"), "--rootdir", str(folder), "--timeout", "1"]
    plugins = ["-p", "conftest", "-p", "no:cacheprovider", "-p", "no:xdist"]
    command = [sys.executable, "-m", "pytest", *settings, *plugins, str(folder / "test_hangs.py")]
    path = os.pathsep.join([str(REPOSITORY / "tests_py"), *sys.path])
    everything = {**os.environ, "PYTHONPATH": path, **environment}
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=everything)


def test_a_python_test_that_hangs_fails(tmp_path):
    ended = hanging(REACTS, tmp_path)
    assert ended.returncode == 1
    assert "1 failed" in ended.stdout
    assert "time.sleep(1000)" in ended.stdout


def test_a_python_test_that_hangs_in_native_code_ends_its_process(tmp_path):
    """Under xdist that is a worker's, which is replaced; the test counts as failed."""
    ended = hanging(DOES_NOT_REACT, tmp_path, TIMEOUT_MARGIN_SECONDS="0.5")
    assert ended.returncode == 1
    assert "Timeout (0:00:01.5" in ended.stderr
    assert "in test_does_not_react" in ended.stderr
