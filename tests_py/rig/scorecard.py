"""Rows of the scorecard of faults as tests. They are spread over several files, which run in parallel."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from rig.server import REPOSITORY

RUN = [sys.executable, str(REPOSITORY / "faults" / "run.py"), "--quick"]


def assert_row_holds(row: str) -> None:
    """Runs the quick cases of one row: there are some, and all hold."""
    command = [*RUN, "--rows", row]
    ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "QUICK": "1"})
    last = ended.stdout.strip().splitlines()[-1]
    counts = dict(re.findall(r"(\w+)=(\d+)", last))
    assert int(counts.pop("cases")) > 0
    assert set(counts.values()) == {"0"}, ended.stdout
    assert f"| {row} " in ended.stdout
    (line,) = [line for line in ended.stdout.splitlines() if line.startswith(f"| {row} ")]
    assert "| held" in line, ended.stdout
