"""What a disruption cost and how long it lasted, against a baseline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mpbf_abm.errors import ConfigurationError

Float = NDArray[np.float64]


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
    if t.ndim != 1 or len(t) < 2 or t.shape != y.shape or np.shape(baseline) not in ((), t.shape):
        raise ConfigurationError("resilience needs times, performance and baseline of one length, at least 2")
    gap = np.asarray(baseline, np.float64) - y
    if not (np.isfinite(gap).all() and np.isfinite(t).all() and np.all(np.diff(t) > 0)):
        raise ConfigurationError("resilience needs finite values at rising times")
    if not 0 < recovered <= 1:
        raise ConfigurationError(f"recovered = {recovered:g}: must be above 0 to 1")
    worst = int(np.argmax(gap))
    drop = float(gap[worst])
    return Resilience(
        drop, float(t[worst]), float(np.trapezoid(gap, t)), _recovery(t[worst:], gap[worst:], (1 - recovered) * drop)
    )


def _recovery(t: Float, gap: Float, allowed: float) -> float:
    """Time until the gap falls to what is allowed, between two times by a straight line."""
    good = np.flatnonzero(gap <= allowed + 1e-12 * abs(gap[0]))
    if not len(good):
        return float("inf")
    i = int(good[0])
    if i == 0 or gap[i] == gap[i - 1]:
        return float(t[i] - t[0])
    part = min(1.0, (gap[i - 1] - allowed) / (gap[i - 1] - gap[i]))
    return float(t[i - 1] + part * (t[i] - t[i - 1]) - t[0])
