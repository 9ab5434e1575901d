"""A number with its standard error and interval, as measures hand it on: Student's, Wilson's, and the quantiles behind them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float = NDArray[np.float64]

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A number with its standard error and 95 % interval; NaN where they cannot be known."""

    value: float
    error: float
    low: float
    high: float


def critical_z(level: float = LEVEL) -> float:
    """Half width of the interval of a normal variable, in standard errors."""
    from scipy.special import ndtri

    return float(ndtri(0.5 + level / 2))


def critical_t(freedom: ArrayLike, level: float = LEVEL) -> Float:
    """Half width of the interval of Student's t, in standard errors, by degrees of freedom (any shape)."""
    from scipy.special import stdtrit

    return np.asarray(stdtrit(np.asarray(freedom, np.float64), 0.5 + level / 2))


def student(value: float, error: float, freedom: int, level: float = LEVEL) -> Estimate:
    """A value with its standard error and Student's interval (Student 1908)."""
    half = float(critical_t(freedom, level)) * error
    return Estimate(value, error, value - half, value + half)


def mean_estimate(values: ArrayLike) -> Estimate:
    """Mean of independent values (n,), NaN without any, with Student's interval, which one value alone does not have."""
    x = np.asarray(values, np.float64)
    n, mean = len(x), float(x.mean()) if len(x) else math.nan
    return student(mean, float(x.std(ddof=1)) / math.sqrt(n) if n > 1 else math.nan, n - 1)


def share_estimate(yes: ArrayLike) -> Estimate:
    """Share of cases (n,) that are so, with Wilson's interval; NaN without any."""
    x = np.asarray(yes, np.float64)
    n = len(x)
    if not n:
        return Estimate(math.nan, math.nan, math.nan, math.nan)
    low, high = wilson(x.sum(), n)
    return Estimate(float(x.mean()), math.sqrt(x.mean() * (1.0 - x.mean()) / n), float(low), float(high))


def wilson(hits: ArrayLike, n: ArrayLike, level: float = LEVEL) -> tuple[Float, Float]:
    """Interval of a proportion (Wilson 1927); 0 to 1 without trials.

    Parameters
    ----------
    hits, n : float arrays
        Successes (ties may count half) and trials.
    """
    z2 = critical_z(level) ** 2
    hits, n = np.asarray(hits, np.float64), np.asarray(n, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = hits / n
        middle = (p + z2 / (2 * n)) / (1 + z2 / n)
        half = np.sqrt(z2 * (p * (1 - p) + z2 / (4 * n)) / n) / (1 + z2 / n)
    return np.where(n > 0, np.maximum(middle - half, 0.0), 0.0), np.where(n > 0, np.minimum(middle + half, 1.0), 1.0)
