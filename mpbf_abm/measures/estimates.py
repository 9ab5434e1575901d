"""A number with its standard error and interval, as measures hand it on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mpbf_abm.measures.paired import LEVEL, wilson


@dataclass(frozen=True)
class Estimate:
    """A number with its standard error and 95 % interval; NaN where they cannot be known."""

    value: float
    error: float
    low: float
    high: float


def mean_estimate(values: ArrayLike) -> Estimate:
    """Mean of independent values (n,), NaN without any, with Student's interval, which one value alone does not have."""
    from scipy.special import stdtrit

    x = np.asarray(values, np.float64)
    n, mean = len(x), float(x.mean()) if len(x) else math.nan
    if n < 2:
        return Estimate(mean, math.nan, math.nan, math.nan)
    error = float(x.std(ddof=1)) / math.sqrt(n)
    half = float(stdtrit(n - 1, 0.5 + LEVEL / 2)) * error
    return Estimate(mean, error, mean - half, mean + half)


def share_estimate(yes: ArrayLike) -> Estimate:
    """Share of cases (n,) that are so, with Wilson's interval; NaN without any."""
    x = np.asarray(yes, np.float64)
    n = len(x)
    if not n:
        return Estimate(math.nan, math.nan, math.nan, math.nan)
    low, high = wilson(np.array(x.sum()), np.array(float(n)))
    return Estimate(float(x.mean()), math.sqrt(x.mean() * (1.0 - x.mean()) / n), float(low), float(high))
