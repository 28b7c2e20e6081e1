"""Rows of the scorecard of faults: requests, replies and servers.

Their quick cases run with the ordinary tests.
"""

from __future__ import annotations

import pytest

from rig.scorecard import assert_row_holds


@pytest.mark.parametrize("row", ["F3", "F4", "F5", "F7", "F8", "F10", "F28", "F33"])
def test_a_row_of_the_scorecard_holds(row):
    assert_row_holds(row)
