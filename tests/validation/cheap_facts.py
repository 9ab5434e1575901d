"""A cheap stand-in for the community in tests of the calibration: every fact is a plane over the factors."""

from __future__ import annotations

from typing import Any

import numpy as np

from mpbf_abm.evidence.calibration import FACTORS, FITTED, RANGES, scaled

STRONG, WEAK = 1.5, 0.5  # by how many half ranges the two factors of a fact move it, either way


def slopes() -> np.ndarray:
    """Half ranges by which each factor moves each fact from its middle to an end (facts, factors)."""
    table = np.zeros((len(FITTED), len(FACTORS)))
    fact = np.arange(len(FITTED))
    table[fact, fact % len(FACTORS)] = STRONG
    table[fact, (fact + 7) % len(FACTORS)] = -WEAK
    return table


def planes(run: Any) -> dict[str, float]:
    """All facts at a point; in the middle of their ranges in the middle of the factors."""
    x = scaled(np.array([[run.values[name] for name in FACTORS]]))[0]
    # Seeds differ in level, as communities on other materials do.
    level = 0.02 * ((run.seed % 7) - 3)
    moved = slopes() @ x + level
    return {
        name: float((RANGES[name].low + RANGES[name].high) / 2 + m * (RANGES[name].high - RANGES[name].low) / 2)
        for name, m in zip(FITTED, moved, strict=True)
    }
