"""Rows of the scorecard of faults: files, paths and file systems.

Their quick cases run with the ordinary tests.
"""

from __future__ import annotations

import pytest

from rig.scorecard import assert_row_holds


@pytest.mark.parametrize("row", ["F11", "F13", "F14", "F18", "F20", "F22", "F25"])
def test_a_row_of_the_scorecard_holds(row):
    assert_row_holds(row)
