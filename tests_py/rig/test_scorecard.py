"""The scorecard of faults itself: it can fail. Files beside this one run a part of it; `make faults` runs all of it."""

from __future__ import annotations

import re
import subprocess
import sys

from rig.scorecard import RUN
from rig.server import REPOSITORY


def test_the_scorecard_can_turn_red():
    """The reference delivers what a spoiled body held: a row that it holds would be blind."""
    command = [*RUN, "--reference", "--rows", "F5"]
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
    ended = subprocess.run([*RUN, "--rows", "none"], capture_output=True, text=True)
    assert "held" not in ended.stdout
    assert ended.stdout.strip().endswith(
        "faults: cases=0 wrong=0 lost=0 outside=0 poisoned=0 dangling=0 leftovers=0 hangs=0 panics=0 false_success=0"
        " stale=0"
    )
