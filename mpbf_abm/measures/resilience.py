"""What a disruption cost and how long it lasted, against a baseline: of one series, and of pairs of runs."""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from mpbf_abm.arrays import Float
from mpbf_abm.errors import refuse
from mpbf_abm.stats.estimates import TAILS, mean_estimate, share_estimate
from mpbf_abm.stats.paired import simultaneous_intervals
from mpbf_abm.stats.survival import median_times

Times = ArrayLike | None

RESAMPLES = 2_000


@dataclass(frozen=True)
class Resilience:
    """A disruption in numbers.

    Attributes
    ----------
    drop : float
        Largest gap to the baseline.
    worst : float
        Time of the largest gap.
    area : float
        Integral of the gap over time, the resilience triangle (Bruneau et al. 2003); performance
        above the baseline counts against losses.
    recovery : float
        Time from the largest gap until a share of it is made good; infinite if that is not seen.
    """

    drop: float
    worst: float
    area: float
    recovery: float


def resilience(
    times: ArrayLike, performance: ArrayLike, baseline: ArrayLike = 1.0, *, recovered: float = 0.95
) -> Resilience:
    """Measure a disruption: drop, area lost and recovery time.

    Parameters
    ----------
    times : float (n,)
        Rising; the area is that of straight lines between them.
    performance : float (n,)
    baseline : float or float (n,)
        What would have been: a level, or the undisturbed run.
    recovered : float
        Share of the drop that must be made good, above 0 to 1.

    Raises
    ------
    ConfigurationError
        If the arrays do not match, times do not rise, a value is not finite, or `recovered` is out
        of range.

    Examples
    --------
    >>> resilience([0, 1, 3], [1.0, 0.6, 1.0], recovered=1.0)
    Resilience(drop=0.4, worst=1.0, area=0.6000000000000001, recovery=2.0)
    """
    t, y = np.asarray(times, np.float64), np.asarray(performance, np.float64)
    refuse(
        t.ndim != 1 or len(t) < 2 or t.shape != y.shape or np.shape(baseline) not in ((), t.shape),
        "resilience needs times, performance and baseline of one length, at least 2",
    )
    gap = np.asarray(baseline, np.float64) - y
    refuse(
        not (np.isfinite(gap).all() and np.isfinite(t).all() and np.all(np.diff(t) > 0)),
        "resilience needs finite values at rising times",
    )
    refuse(not 0 < recovered <= 1, f"recovered = {recovered:g}: must be above 0 to 1")
    worst = int(np.argmax(gap))
    drop = float(gap[worst])
    recovery = _recovery(t[worst:], gap[worst:], (1 - recovered) * drop)
    return Resilience(drop, float(t[worst]), float(np.trapezoid(gap, t)), recovery)


def _recovery(t: Float, gap: Float, allowed: float) -> float:
    """Return the time until the gap falls to what is allowed, between two times by a straight line."""
    good = np.flatnonzero(gap <= allowed + 1e-12 * abs(gap[0]))
    if not len(good):
        return float("inf")
    i = int(good[0])
    if i == 0 or gap[i] == gap[i - 1]:
        return float(t[i] - t[0])
    part = min(1.0, (gap[i - 1] - allowed) / (gap[i - 1] - gap[i]))
    return float(t[i - 1] + part * (t[i] - t[i - 1]) - t[0])


# --------------------------------------------------------------------------- pairs of runs


def paired_resilience(
    disrupted: ArrayLike, undisturbed: ArrayLike, times: Times = None, *, recovered: float = 0.95
) -> pd.DataFrame:
    """Measure the disruption in every pair of runs, against the twin that was spared.

    Parameters
    ----------
    disrupted, undisturbed : float (replicates, ticks)
        Performance, more being better, with and without the shock on the same seeds (common random numbers).
    times : float (ticks,), optional
        By default 0, 1, 2, ...
    recovered : float
        As for :func:`resilience`.

    Returns
    -------
    DataFrame
        One row per replicate: ``drop``, ``worst``, ``area``, ``recovery`` as in :class:`Resilience`, and ``watched``,
        the time from the largest gap to the end, beyond which recovery is not seen.

    Raises
    ------
    ConfigurationError
        As for :func:`resilience`, and if the series do not match.
    """
    with_shock, without, t = _pairs(disrupted, undisturbed, times)
    rows = [astuple(resilience(t, y, base, recovered=recovered)) for y, base in zip(with_shock, without, strict=True)]
    table = pd.DataFrame(rows, columns=["drop", "worst", "area", "recovery"])
    return table.assign(watched=t[-1] - table["worst"])


def gap_curve(disrupted: ArrayLike, undisturbed: ArrayLike, times: Times = None) -> pd.DataFrame:
    """Return the mean gap to the undisturbed runs at each time, with a band that holds at all times together.

    Parameters
    ----------
    disrupted, undisturbed, times
        As for :func:`paired_resilience`.

    Returns
    -------
    DataFrame
        ``time``, ``gap`` (undisturbed less disrupted), ``low`` and ``high`` of the simultaneous 95 % band. A gap that
        is 0 in every pair, as before the shock, has the interval 0 to 0.
    """
    with_shock, without, t = _pairs(disrupted, undisturbed, times)
    gaps = without - with_shock
    band = simultaneous_intervals(gaps, events=[False] * len(t))
    same = (gaps == 0).all(axis=0)
    low, high = (np.where(same, 0.0, end) for end in (band.low, band.high))
    return pd.DataFrame({"time": t, "gap": band.mean, "low": low, "high": high})


def disruption(
    disrupted: ArrayLike, undisturbed: ArrayLike, times: Times = None, *, recovered: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    """Sum up a disruption over pairs of runs, each number with its 95 % interval over replicates.

    Parameters
    ----------
    disrupted, undisturbed, times, recovered
        As for :func:`paired_resilience`.
    seed : int
        Of the bootstrap.

    Returns
    -------
    DataFrame
        ``measure``, ``value``, ``low``, ``high``, ``n``:

        - ``area``: mean resilience triangle (Student's interval);
        - ``drop``: mean over pairs of the largest gap, to which chance adds, since noise too has a largest gap;
        - ``mean_drop``: largest gap of the mean curve, between the largest lower and upper bounds of :func:`gap_curve`;
        - ``recovered_share``: pairs that are seen to recover (Wilson's interval);
        - ``recovery``: median recovery time by Kaplan and Meier (1958), with pairs that do not recover within the
          horizon censored there; infinite where less than half recover. Interval by bootstrap of pairs (Efron 1981).

    Notes
    -----
    Identical runs have exactly 0 everywhere, and recover at once.
    """
    table = paired_resilience(disrupted, undisturbed, times, recovered=recovered)
    curve = gap_curve(disrupted, undisturbed, times)
    n = len(table)
    seen = np.isfinite(table["recovery"].to_numpy())
    time = np.where(seen, table["recovery"], table["watched"])
    area, drop = mean_estimate(table["area"]), mean_estimate(table["drop"])
    share, rng = share_estimate(seen), np.random.default_rng([seed, n])
    medians = median_times(time, seen, rng.multinomial(n, np.full(n, 1.0 / n), RESAMPLES))
    median = float(median_times(time, seen, np.ones((1, n)))[0])
    ends = np.quantile(medians, TAILS, method="inverted_cdf") if n > 1 else (math.nan, math.nan)
    rows = [
        ("area", area.value, area.low, area.high),
        ("drop", drop.value, drop.low, drop.high),
        ("mean_drop", curve["gap"].max(), curve["low"].max(skipna=False), curve["high"].max(skipna=False)),
        ("recovered_share", share.value, share.low, share.high),
        ("recovery", median, *ends),
    ]
    return pd.DataFrame(rows, columns=["measure", "value", "low", "high"]).assign(n=n)


def _pairs(disrupted: ArrayLike, undisturbed: ArrayLike, times: Times) -> tuple[Float, Float, Float]:
    y, base = np.asarray(disrupted, np.float64), np.asarray(undisturbed, np.float64)
    shapes = f"{y.shape} and {base.shape}"
    needed = f"two arrays (replicates, ticks) of one shape are needed, not {shapes}"
    refuse(y.ndim != 2 or not len(y) or y.shape != base.shape, f"resilience of pairs: {needed}")
    t = np.arange(y.shape[1], dtype=np.float64) if times is None else np.asarray(times, np.float64)
    refuse(
        t.shape != y.shape[1:] or not np.isfinite(base - y).all(),
        "resilience of pairs: finite values are needed, and one time for each tick",
    )
    return y, base, t
