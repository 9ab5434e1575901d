"""Early-warning signals of a tipping point: slowing down and growing variance in rolling windows.

Near a fold a system recovers ever more slowly from small disturbances: its lag-1 autocorrelation
rises to 1 and its variance grows (Scheffer et al. 2009; Dakos et al. 2012). The trend of both is
summed up by Kendall's tau; how large a tau arises by chance must be learnt from stationary runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from mpbf_abm.arrays import Float
from mpbf_abm.errors import refuse

Detrend = Literal["mean", "linear"]


def autocorrelation(x: ArrayLike, lag: int = 1) -> float:
    """Return the autocorrelation of one series: sum_t (x_t - m)(x_{t+lag} - m) / sum_t (x_t - m)^2.

    Its mean over AR(1) series of coefficient a and length n is a - (1 + 4 a)/n + O(n^-2) at lag 1
    (Marriott and Pope 1954). NaN for a constant series.
    """
    x = _series(x, lag + 1)
    return float(rolling_autocorrelation(x, len(x), lag=lag)[0])


def rolling_autocorrelation(x: ArrayLike, window: int, *, lag: int = 1, detrend: Detrend = "mean") -> Float:
    """Return the autocorrelation in every window of a series.

    Parameters
    ----------
    x : float (n,)
    window : int
        Values in a window, above `lag` to n.
    lag : int
        At least 1.
    detrend : str
        What is subtracted within each window: its ``mean``, or a straight line (``linear``).

    Returns
    -------
    float (n - window + 1,)
        NaN where a window is constant.
    """
    parts = _windows(x, window, detrend, lag + 1)
    refuse(lag < 1, f"lag = {lag}: must be at least 1")
    total = (parts**2).sum(axis=1)
    together = (parts[:, :-lag] * parts[:, lag:]).sum(axis=1)
    return np.asarray(np.divide(together, total, out=np.full(len(parts), np.nan), where=total > 0))


def rolling_variance(x: ArrayLike, window: int, *, detrend: Detrend = "mean") -> Float:
    """Return the variance in every window (n - window + 1,); arguments as in :func:`rolling_autocorrelation`.

    Divided by the window less one, or less two after a straight line.
    """
    parts = _windows(x, window, detrend, 3)
    return np.asarray((parts**2).sum(axis=1) / (window - (1 if detrend == "mean" else 2)))


def trend(values: ArrayLike) -> float:
    """Return Kendall's tau of a signal against time, from -1 to 1; NaN if it is constant or not finite."""
    from scipy.stats import kendalltau

    values = _series(values, 2)
    return float(kendalltau(np.arange(len(values)), values).statistic)


@dataclass(frozen=True)
class Warnings:
    """Early-warning signals of one series: both in rolling windows, and their trends."""

    autocorrelation: Float
    variance: Float
    autocorrelation_trend: float
    variance_trend: float


def early_warnings(x: ArrayLike, window: int, *, detrend: Detrend = "linear") -> Warnings:
    """Return lag-1 autocorrelation and variance in rolling windows, and Kendall's tau of each.

    Parameters
    ----------
    x : float (n,)
        The state at equal time steps, up to the transition but not beyond.
    window : int
        Values in a window, 3 to n - 1; half the series is usual.
    detrend : str
        As in :func:`rolling_autocorrelation`.
    """
    x = _series(x, 4)
    refuse(not 3 <= window < len(x), f"window = {window}: must be from 3 to {len(x) - 1}")
    slow = rolling_autocorrelation(x, window, detrend=detrend)
    wide = rolling_variance(x, window, detrend=detrend)
    return Warnings(slow, wide, trend(slow), trend(wide))


def _series(x: ArrayLike, least: int) -> Float:
    x = np.asarray(x, np.float64)
    refuse(x.ndim != 1 or len(x) < least, f"a series of at least {least} values is needed, not one of shape {x.shape}")
    return x


def _windows(x: ArrayLike, window: int, detrend: Detrend, least: int) -> Float:
    """Return the residuals in every window (n - window + 1, window)."""
    x = _series(x, least)
    refuse(not least <= window <= len(x), f"window = {window}: must be from {least} to {len(x)}")
    refuse(detrend not in ("mean", "linear"), f"detrend = {detrend!r}: must be 'mean' or 'linear'")
    parts = np.lib.stride_tricks.sliding_window_view(x, window)
    parts = parts - parts.mean(axis=1, keepdims=True)
    if detrend == "linear":
        time = np.arange(window) - (window - 1) / 2
        parts = parts - np.outer(parts @ time / (time @ time), time)
    return np.asarray(parts)


def warning_trends(series: ArrayLike, window: int, *, detrend: Detrend = "linear") -> pd.DataFrame:
    """Return trends of the early-warning signals of many series.

    Parameters
    ----------
    series : float (runs, n)
    window, detrend
        As for :func:`~mpbf_abm.stats.warning.early_warnings`.

    Returns
    -------
    DataFrame
        ``autocorrelation`` and ``variance``: Kendall's tau, one row per run; NaN where a window is constant.
    """
    runs = np.asarray(series, np.float64)
    refuse(runs.ndim != 2, f"an array (runs, ticks) of series is needed, not one of shape {runs.shape}")
    found = [early_warnings(x, window, detrend=detrend) for x in runs]
    trends = [(w.autocorrelation_trend, w.variance_trend) for w in found]
    return pd.DataFrame(trends, columns=["autocorrelation", "variance"])
