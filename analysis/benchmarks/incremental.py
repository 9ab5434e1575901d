"""A plain Gaussian process with a growing Cholesky factor, as one would write it for a campaign.

It is the reference of quality and cost. Matern-5/2, length .25 sqrt(d) on columns scaled to [0, 1], noise .01, labels
standardised by those seen so far. Nothing of the package is used.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


def campaign(x: Float, y: Float, start: list[int], budget: int, rule: str, kappa: float = 2.0) -> list[int]:
    """Choose `budget` of the rows of `x` (N, d), the first of them given, by the largest mean or upper bound (ucb)."""
    size, d = x.shape
    x = (x - x.min(axis=0)) / (x.max(axis=0) - x.min(axis=0)) / (0.25 * math.sqrt(d))
    half, variance = np.empty((budget, size)), np.ones(size)
    labels, ones = np.zeros(size), np.zeros(size)
    made: list[int] = []
    fresh = list(start)
    open_ = np.ones(size, bool)
    while True:
        for row in fresh:
            n = len(made)
            t = math.sqrt(5) * np.sqrt(((x - x[row]) ** 2).sum(axis=1))
            column = (1 + t + t**2 / 3) * np.exp(-t) - half[:n, row] @ half[:n]
            root = math.sqrt(max(variance[row], 0) + 0.01)
            column /= root
            labels += column * (y[row] - labels[row]) / root
            ones += column * (1 - ones[row]) / root
            variance -= column**2
            half[n] = column
            made.append(row)
            open_[row] = False
        if len(made) >= budget:
            return made
        seen = y[made]
        score = seen.mean() + labels - seen.mean() * ones
        if rule == "ucb":
            score = score + kappa * seen.std() * np.sqrt(np.maximum(variance, 0))
        fresh = [int(np.argmax(np.where(open_, score, -np.inf)))]
