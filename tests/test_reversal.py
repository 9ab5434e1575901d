"""The level at which a falling share reaches a value."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

FILE = Path(__file__).parents[1] / "analysis" / "reversal.py"
SPEC = importlib.util.spec_from_file_location("reversal", FILE)
assert SPEC is not None and SPEC.loader is not None  # noqa: PT018
REVERSAL = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(REVERSAL)


@pytest.mark.parametrize(("share", "level"), [(0.5, 0.2), (0.4, 0.3), (0.3, 0.4), (0.9, 0.1), (0.1, np.inf)])
def test_levels_are_interpolated(share, level):
    assert REVERSAL.needed([0.1, 0.2, 0.4], np.array([0.6, 0.5, 0.3]), share) == pytest.approx(level)
