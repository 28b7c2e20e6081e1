"""Rows of the scorecard of faults: caches, limits and configuration.

Their quick cases run with the ordinary tests.
"""

from __future__ import annotations

import pytest

from rig.scorecard import assert_row_holds


@pytest.mark.parametrize("row", ["F16", "F17", "F31", "F32"])
def test_a_row_of_the_scorecard_holds(row):
    assert_row_holds(row)
