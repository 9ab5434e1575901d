"""When a community locks in: changes of the leading family, lock-in times, and their survival curve with censoring."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mpbf_abm.errors import ConfigurationError

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Bool = NDArray[np.bool_]


def leaders(shares: ArrayLike) -> Int:
    """Leading family at each time (..., T) of shares or counts (..., T, K).

    Who leads keeps the lead while level with another; at the start the first of those that are level leads.
    """
    x = np.asarray(shares, np.float64)
    if x.ndim < 2 or not x.shape[-1] or not np.isfinite(x).all():
        raise ConfigurationError("leaders: finite shares by time and family are needed")
    out = x.argmax(axis=-1)
    for t in range(1, x.shape[-2]):
        held = np.take_along_axis(x[..., t, :], out[..., t - 1, None], axis=-1)[..., 0]
        out[..., t] = np.where(held >= x[..., t, :].max(axis=-1), out[..., t - 1], out[..., t])
    return np.asarray(out)


def leader_changes(shares: ArrayLike) -> Int:
    """How often the leading family changes (...,) in trajectories of shares (..., T, K)."""
    return np.asarray((np.diff(leaders(shares), axis=-1) != 0).sum(axis=-1))


def lock_in_times(shares: ArrayLike, threshold: float, times: ArrayLike | None = None) -> tuple[Float, Bool]:
    """From when on one family leads for good with at least a share, in every run.

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
    if x.ndim != 3 or not 0 < threshold <= 1:
        raise ConfigurationError(f"lock-in times: shares (runs, times, families) and a threshold in (0, 1] are needed, not {x.shape}, {threshold:g}")  # fmt: skip
    t = np.arange(x.shape[1], dtype=np.float64) if times is None else np.asarray(times, np.float64)
    total = x.sum(axis=2, keepdims=True)
    lead = leaders(x)
    share = np.take_along_axis(x / total, lead[..., None], axis=2)[..., 0]
    good = (lead == lead[:, -1:]) & (share >= threshold)
    # The last time at which it did not hold comes just before.
    failed = np.where(~good, np.arange(x.shape[1]), -1).max(axis=1)
    seen = failed < x.shape[1] - 1
    return np.where(seen, t[np.minimum(failed + 1, x.shape[1] - 1)], t[-1]), seen


def survival(times: ArrayLike, seen: ArrayLike, level: float = 0.95) -> pd.DataFrame:
    """Kaplan-Meier estimate of the share that is not yet locked in, with intervals on the complementary log-log scale.

    Parameters
    ----------
    times : float (n,)
        Of the event, or of censoring; who is censored at a time is at risk at that time.
    seen : bool (n,)
    level : float

    Returns
    -------
    DataFrame
        From time 0 on, at each time of an event: ``time``, ``at_risk``, ``events``, ``survival``, ``error`` (Greenwood's), ``low``, ``high``
        (Kalbfleisch and Prentice 1980; where survival is 1 or 0 they are equal to it).
    """
    from scipy.special import ndtri

    t, event = np.asarray(times, np.float64), np.asarray(seen, bool)
    if t.ndim != 1 or not len(t) or t.shape != event.shape or not np.isfinite(t).all() or (t < 0).any():
        raise ConfigurationError("survival: times of 0 or more, and for each whether the event was seen, are needed")
    at = np.unique(t[event])
    risk = (t[None, :] >= at[:, None]).sum(axis=1)
    count = ((t[None, :] == at[:, None]) & event).sum(axis=1)
    alive = np.cumprod(1.0 - count / risk)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Greenwood (1926): Var S = S^2 sum d / (n (n - d)).
        greenwood = np.cumsum(count / (risk * (risk - count)))
        half = float(ndtri(0.5 + level / 2)) * np.sqrt(greenwood) / np.abs(np.log(alive))
        low, high = alive ** np.exp(half), alive ** np.exp(-half)
        error = np.where(alive > 0, alive * np.sqrt(greenwood), 0.0)
    certain = ~np.isfinite(half)
    table = pd.DataFrame(
        {
            "time": at, "at_risk": risk, "events": count, "survival": alive, "error": error,
            "low": np.where(certain, alive, low), "high": np.where(certain, alive, high),
        }
    )  # fmt: skip
    first = pd.DataFrame(
        {
            "time": [0.0],
            "at_risk": [len(t)],
            "events": [0],
            "survival": [1.0],
            "error": [0.0],
            "low": [1.0],
            "high": [1.0],
        }
    )
    return table if len(at) and at[0] == 0 else pd.concat([first, table], ignore_index=True)


def median_time(curve: pd.DataFrame) -> tuple[float, float, float]:
    """Median time of a survival curve with its interval (Brookmeyer and Crowley 1982); infinite where half is not reached."""

    def first(column: str) -> float:
        down = curve.loc[curve[column] <= 0.5 + 1e-12, "time"]
        return float(down.iloc[0]) if len(down) else math.inf

    return first("survival"), first("low"), first("high")
