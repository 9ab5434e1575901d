"""A number with its standard error and interval: Student's, Wilson's, and the quantiles behind them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri, stdtrit

from mpbf_abm.arrays import Float

Events = Sequence[bool] | None

LEVEL = 0.95
TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)  # quantiles at its ends


@dataclass(frozen=True)
class Estimate:
    """A number with its standard error and 95 % interval; NaN where they cannot be known."""

    value: float
    error: float
    low: float
    high: float


UNKNOWN = Estimate(math.nan, math.nan, math.nan, math.nan)


def critical_z(level: float = LEVEL) -> float:
    """Return the half width of the interval of a normal variable, in standard errors."""
    return float(ndtri(0.5 + level / 2))


def critical_t(freedom: ArrayLike, level: float = LEVEL) -> Float:
    """Return the half width of the interval of Student's t, in standard errors, by degrees of freedom (any shape)."""
    return np.asarray(stdtrit(np.asarray(freedom, np.float64), 0.5 + level / 2))


def student(value: float, error: float, freedom: int, level: float = LEVEL) -> Estimate:
    """Return a value with its standard error and Student's interval (Student 1908)."""
    half = float(critical_t(freedom, level)) * error
    return Estimate(value, error, value - half, value + half)


def mean_estimate(values: ArrayLike) -> Estimate:
    """Return the mean of independent values (n,), NaN without any, with Student's interval (from two values on)."""
    x = np.asarray(values, np.float64)
    n, mean = len(x), float(x.mean()) if len(x) else math.nan
    return student(mean, float(x.std(ddof=1)) / math.sqrt(n) if n > 1 else math.nan, n - 1)


def share_estimate(yes: ArrayLike) -> Estimate:
    """Return the share of cases (n,) that are so, with Wilson's interval; NaN without any."""
    x = np.asarray(yes, np.float64)
    n = len(x)
    if not n:
        return UNKNOWN
    low, high = wilson(x.sum(), n)
    return Estimate(float(x.mean()), math.sqrt(x.mean() * (1.0 - x.mean()) / n), float(low), float(high))


def wilson(hits: ArrayLike, n: ArrayLike) -> tuple[Float, Float]:
    """Return the interval of a proportion (Wilson 1927); 0 to 1 without trials.

    Parameters
    ----------
    hits, n : float arrays
        Successes (ties may count half) and trials.
    """
    z2 = critical_z() ** 2
    hits, n = np.asarray(hits, np.float64), np.asarray(n, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = hits / n
        middle = (p + z2 / (2 * n)) / (1 + z2 / n)
        half = np.sqrt(z2 * (p * (1 - p) + z2 / (4 * n)) / n) / (1 + z2 / n)
    return np.where(n > 0, np.maximum(middle - half, 0.0), 0.0), np.where(n > 0, np.minimum(middle + half, 1.0), 1.0)


def holm(p: Float) -> Float:
    """Return Holm's (1979) adjusted p values (n,); NaN stays, and is no test."""
    out = np.full(len(p), math.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    out[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)))
    return out


@dataclass
class Slope:
    """Least-squares slope of y on x over points that come one by one, from their sums.

    Attributes
    ----------
    n : int
        Points so far.
    least, most : float
        Of x.
    sums : float (4,)
        Of x, y, x^2 and x y.
    """

    n: int = 0
    least: float = math.inf
    most: float = -math.inf
    sums: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

    def add(self, x: float, y: float) -> None:
        """Add a point; one that is not finite does not count."""
        if math.isfinite(x) and math.isfinite(y):
            a, b, aa, ab = self.sums
            self.n, self.sums = self.n + 1, (a + x, b + y, aa + x * x, ab + x * y)
            self.least, self.most = min(self.least, x), max(self.most, x)

    def spread(self, apart: float) -> tuple[float, float]:
        """Return centred sums of x^2 and x y; 0 before three points, and while x spans no more than `apart`."""
        x, y, xx, xy = self.sums
        if self.n < 3 or self.most - self.least <= apart:
            return 0.0, 0.0
        return xx - x * x / self.n, xy - x * y / self.n

    def value(self, apart: float = 0.0) -> float:
        """Return the slope; NaN where nothing spreads."""
        return pooled([self], apart)


def pooled(slopes: Sequence[Slope], apart: float = 0.0) -> float:
    """Return the slope that several sets of points have in common, each about its own mean; NaN of none."""
    spreads = [slope.spread(apart) for slope in slopes]
    below = sum(xx for xx, _ in spreads)
    return sum(xy for _, xy in spreads) / below if below > 0 else math.nan


# --------------------------------------------------------------------------- precision

# How many replicates: until the paired differences are known well enough.
#
# The rule looks at replicates 0, 1, ..., n - 1 only, never at what happens to be finished: a rule that stops on
# what came first would favour quick runs. It asks that the half width of a t-interval falls to its target and
# stays there over a number of further replicates (Hoad, Robinson and Davies 2010): three runs in the same basin
# look precise, and a longer look ahead is what two basins take.

GROWTH = 0.1  # further replicates are asked for in steps of this share


def half_widths(differences: Float, events: Events = None, *, together: int = 1) -> Float:
    """Return the half widths of 95 % t-intervals of a mean, over the first 1, 2, ..., n units.

    Parameters
    ----------
    differences : float array (n, q)
        One row for each replicate; a row with NaN is left out of its column.
    events : sequence of bool (q,), optional
        Differences of events; their variance counts one further unit of each sign, as in
        :func:`~mpbf_abm.stats.paired.simultaneous_intervals`.
    together : int
        Intervals that are to hold together (Bonferroni).

    Returns
    -------
    float array (n, q)
        Infinite while fewer than two units are known.
    """
    x = np.asarray(differences, np.float64)
    pseudo = np.zeros(x.shape[1]) if events is None else np.asarray(events, np.float64)
    known = np.isfinite(x)
    n = np.cumsum(known, axis=0)
    # Sums are taken about the first known value, so that a large mean costs no digits.
    first = np.take_along_axis(x, np.argmax(known, axis=0)[None], axis=0)
    first = np.where(np.isfinite(first), first, 0.0)
    centred = np.where(known, x - first, 0.0)
    total, square = np.cumsum(centred, axis=0), np.cumsum(centred**2, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        inner = np.maximum(square - total**2 / n, 0.0) + pseudo * 2.0 * (1.0 + (first + total / n) ** 2)
        size = n + 2.0 * pseudo
        width = critical_t(np.maximum(n - 1, 1), 1.0 - (1.0 - LEVEL) / together) * np.sqrt(inner / (size - 1) / size)
    return np.where(n >= 2, width, np.inf)


@dataclass(frozen=True)
class Verdict:
    """What the rule says after some replicates.

    Attributes
    ----------
    enough : bool
        Whether every target is met, and was over the whole look ahead.
    wanted : int
        Replicates to have before it is asked again (those there are, if `enough`).
    widths : float array
        Half widths now, one for each target.
    """

    enough: bool
    wanted: int
    widths: Float


def judge(
    differences: Float, targets: Sequence[float], *, least: int, most: int, look_ahead: int, events: Events = None
) -> Verdict:
    """Ask whether there are enough replicates for intervals that hold together.

    Parameters
    ----------
    differences : float array (n, q)
        Rows are replicates 0 to n - 1, columns quantities whose mean is sought (paired differences).
    targets : sequence of float
        Wanted half width of each column.
    least, most, look_ahead : int
    events : sequence of bool, optional
        Columns that are differences of events.

    Returns
    -------
    Verdict
    """
    n = len(differences)
    if n < 2:
        return Verdict(False, min(most, least + ahead(least, look_ahead)), np.full(len(targets), np.inf))
    widths = half_widths(np.asarray(differences, np.float64).reshape(n, -1), events, together=len(targets))
    # The last time that a target was missed; precision holds from the next replicate on.
    missed = np.flatnonzero(~(widths <= np.asarray(targets)).all(axis=1))
    since = max(least, int(missed[-1]) + 2 if len(missed) else 1)
    if since <= n and n - since >= ahead(since, look_ahead):
        return Verdict(True, n, widths[-1])
    if n >= most:
        return Verdict(False, n, widths[-1])
    # Not before the look ahead is over; else a step further.
    soonest = since + ahead(since, look_ahead) if since <= n else n + max(1, int(GROWTH * n))
    return Verdict(False, min(most, max(n + 1, soonest)), widths[-1])


def ahead(n: int, look_ahead: int) -> int:
    """Return the replicates over which precision must hold after it was reached at n: in proportion above 100."""
    return look_ahead if n <= 100 else look_ahead * n // 100
