"""The level at which a falling share reaches a value."""

import numpy as np
import pytest

from analysis import reversal


@pytest.mark.parametrize(("share", "level"), [(0.5, 0.2), (0.4, 0.3), (0.3, 0.4), (0.9, 0.1), (0.1, np.inf)])
def test_levels_are_interpolated(share, level):
    assert reversal.needed([0.1, 0.2, 0.4], np.array([0.6, 0.5, 0.3]), share) == pytest.approx(level)
