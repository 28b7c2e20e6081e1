"""Rows of the scorecard of faults: callers that cancel, fork, interrupt or leave.

Their quick cases run with the ordinary tests.
"""

from __future__ import annotations

import pytest

from rig.scorecard import assert_row_holds


@pytest.mark.parametrize("row", ["F30", "F34", "P1", "P3", "P4"])
def test_a_row_of_the_scorecard_holds(row):
    assert_row_holds(row)
