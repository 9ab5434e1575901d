"""When a community locks in: changes of the leading family, lock-in times, and their survival curve with censoring."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from mpbf_abm.arrays import Bool, Float, Int
from mpbf_abm.errors import refuse
from mpbf_abm.stats.estimates import critical_z

CURVE = ["time", "at_risk", "events", "survival", "error", "low", "high"]
HALF = 0.5 + 1e-9  # what is left of a half by rounding is a half


def leaders(shares: ArrayLike) -> Int:
    """Return the leading family at each time (..., T) of shares or counts (..., T, K).

    Who leads keeps the lead while level with another; at the start the first of those that are level leads.
    """
    x = np.asarray(shares, np.float64)
    refuse(
        x.ndim < 2 or not x.shape[-1] or not np.isfinite(x).all(),
        "leaders: finite shares by time and family are needed",
    )
    out = x.argmax(axis=-1)
    for t in range(1, x.shape[-2]):
        held = np.take_along_axis(x[..., t, :], out[..., t - 1, None], axis=-1)[..., 0]
        out[..., t] = np.where(held >= x[..., t, :].max(axis=-1), out[..., t - 1], out[..., t])
    return np.asarray(out)


def leader_changes(shares: ArrayLike) -> Int:
    """Return how often the leading family changes (...,) in trajectories of shares (..., T, K)."""
    return np.asarray((np.diff(leaders(shares), axis=-1) != 0).sum(axis=-1))


def lock_in_times(shares: ArrayLike, threshold: float, times: ArrayLike | None = None) -> tuple[Float, Bool]:
    """Return from when on one family leads for good with at least a share, in every run.

    Parameters
    ----------
    shares : float (R, T, K)
        Normalised along the last axis.
    threshold : float
        Least share of the leader, above 0 and at most 1.
    times : float (T,), optional
        By default 0, 1, 2, ...

    Returns
    -------
    float (R,), bool (R,)
        The time, and whether it was seen: runs that are not locked in at the end are censored then.
    """
    x = np.asarray(shares, np.float64)
    needed = "shares (runs, times, families) and a threshold in (0, 1] are needed"
    refuse(x.ndim != 3 or not 0 < threshold <= 1, f"lock-in times: {needed}, not {x.shape}, {threshold:g}")
    t = np.arange(x.shape[1], dtype=np.float64) if times is None else np.asarray(times, np.float64)
    total = x.sum(axis=2, keepdims=True)
    lead = leaders(x)
    share = np.take_along_axis(x / total, lead[..., None], axis=2)[..., 0]
    good = (lead == lead[:, -1:]) & (share >= threshold)
    # The last time at which it did not hold comes just before.
    failed = np.where(~good, np.arange(x.shape[1]), -1).max(axis=1)
    seen = failed < x.shape[1] - 1
    return np.where(seen, t[np.minimum(failed + 1, x.shape[1] - 1)], t[-1]), seen


def product_limit(times: ArrayLike, seen: ArrayLike, weight: ArrayLike) -> tuple[Int, Float, Float]:
    """Return product-limit estimates of survival (Kaplan and Meier 1958) of weighted samples, case by case.

    Parameters
    ----------
    times : float (n,)
        Of the event, or of censoring; who is censored at a time is at risk at that time.
    seen : bool (n,)
    weight : float (m, n)
        How often each case is in each of m samples.

    Returns
    -------
    int (n,), float (m, n), float (m, n)
        Cases by time, weight at risk before each of them, and survival after it.
    """
    t, event, w = np.asarray(times, np.float64), np.asarray(seen, bool), np.asarray(weight, np.float64)
    order = np.lexsort((~event, t))
    w = w[:, order]
    at_risk = w[:, ::-1].cumsum(axis=1)[:, ::-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.where((at_risk > 0) & event[order], 1.0 - w / at_risk, 1.0)
    return np.asarray(order), at_risk, np.asarray(np.cumprod(left, axis=1), np.float64)


def median_times(times: ArrayLike, seen: ArrayLike, weight: ArrayLike) -> Float:
    """Return the median time of each weighted sample (m,): when survival falls to a half, infinite if not."""
    order, _, alive = product_limit(times, seen, weight)
    half = alive <= HALF
    return np.where(half.any(axis=1), np.asarray(times, np.float64)[order][half.argmax(axis=1)], np.inf)


def survival(times: ArrayLike, seen: ArrayLike) -> pd.DataFrame:
    """Return the Kaplan-Meier curve of the share not yet locked in, with complementary log-log intervals.

    Parameters
    ----------
    times : float (n,)
        Of the event, or of censoring; who is censored at a time is at risk at that time.
    seen : bool (n,)

    Returns
    -------
    DataFrame
        From time 0 on, at each time of an event: ``time``, ``at_risk``, ``events``, ``survival``, ``error`` (Greenwood
        1926), ``low``, ``high`` (Kalbfleisch and Prentice 1980). Where none survives the error is NaN, ``low`` 0, and
        ``high`` the bound before, which still holds, as survival only falls.
    """
    t, event = np.asarray(times, np.float64), np.asarray(seen, bool)
    refuse(
        t.ndim != 1 or not len(t) or t.shape != event.shape or not np.isfinite(t).all() or (t < 0).any(),
        "survival: times of 0 or more, and for each whether the event was seen, are needed",
    )
    at, count = np.unique(t[event], return_counts=True)
    order, at_risk, left = product_limit(t, event, np.ones((1, len(t))))
    first, last = (np.searchsorted(t[order], at, side) for side in ("left", "right"))
    risk, alive = at_risk[0, first], left[0, last - 1]
    gone = risk == count
    alive[gone] = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        # Var S = S^2 sum d / (n (n - d)).
        greenwood = np.cumsum(count / (risk * (risk - count)))
        half = critical_z() * np.sqrt(greenwood) / np.abs(np.log(alive))
        low, high = alive ** np.exp(half), alive ** np.exp(-half)
        error = np.where(gone, np.nan, alive * np.sqrt(greenwood))
    before = high[~gone][-1] if (~gone).any() else 1.0
    ends = np.where(gone, 0.0, low), np.where(gone, before, high)
    table = pd.DataFrame(dict(zip(CURVE, (at, risk.astype(np.int64), count, alive, error, *ends), strict=True)))
    start = pd.DataFrame([(0.0, len(t), 0, 1.0, 0.0, 1.0, 1.0)], columns=CURVE)
    return table if len(at) and at[0] == 0 else pd.concat([start, table], ignore_index=True)


def median_time(curve: pd.DataFrame) -> tuple[float, float, float]:
    """Return the median time of a survival curve with its interval (Brookmeyer and Crowley 1982), or infinity."""
    return _first_below(curve, "survival"), _first_below(curve, "low"), _first_below(curve, "high")


def _first_below(curve: pd.DataFrame, column: str) -> float:
    """Return the first time at which a column is at most one half, or infinity."""
    down = curve.loc[curve[column] <= HALF, "time"]
    return float(down.iloc[0]) if len(down) else math.inf
