"""A part of the scorecard of faults that takes under five minutes: `make faults` runs all of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from rig.server import REPOSITORY

#: Rows whose quick cases run with the ordinary tests.
ROWS = [
    "F3",
    "F4",
    "F5",
    "F7",
    "F8",
    "F10",
    "F11",
    "F13",
    "F14",
    "F16",
    "F17",
    "F18",
    "F20",
    "F22",
    "F25",
    "F28",
    "F30",
    "F31",
    "F32",
    "F33",
    "F34",
    "P1",
    "P3",
    "P4",
]


@pytest.mark.parametrize("row", ROWS)
def test_a_row_of_the_scorecard_holds(row):
    command = [sys.executable, str(REPOSITORY / "faults" / "run.py"), "--quick", "--rows", row]
    ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "QUICK": "1"})
    last = ended.stdout.strip().splitlines()[-1]
    counts = dict(re.findall(r"(\w+)=(\d+)", last))
    assert int(counts.pop("cases")) > 0
    assert set(counts.values()) == {"0"}, ended.stdout
    assert f"| {row} " in ended.stdout
    (line,) = [line for line in ended.stdout.splitlines() if line.startswith(f"| {row} ")]
    assert "| held" in line, ended.stdout


def test_the_scorecard_can_turn_red():
    """The reference delivers what a spoiled body held: a row that it holds would be blind."""
    command = [
        sys.executable,
        str(REPOSITORY / "faults" / "run.py"),
        "--quick",
        "--reference",
        "--rows",
        "F5",
    ]
    ended = subprocess.run([*command, "--reference-python", sys.executable], capture_output=True, text=True)
    wrong = re.search(r" wrong=(\d+) ", ended.stdout)
    assert wrong, ended.stdout + ended.stderr
    assert int(wrong.group(1)) >= 5
    assert "BROKEN" in ended.stdout


def test_the_patches_of_the_mutation_check_fit_the_code():
    """`make mutations` itself takes minutes; this much can be known at once."""
    command = [sys.executable, str(REPOSITORY / "faults" / "mutations.py"), "--patches"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert re.search(r"all [1-9]\d* patches apply", ended.stdout)


def test_a_row_that_is_not_run_does_not_pass():
    command = [sys.executable, str(REPOSITORY / "faults" / "run.py"), "--quick", "--rows", "none"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert "held" not in ended.stdout
    assert ended.stdout.strip().endswith(
        "faults: cases=0 wrong=0 lost=0 outside=0 poisoned=0 dangling=0 leftovers=0 hangs=0 panics=0 false_success=0"
        " stale=0"
    )
