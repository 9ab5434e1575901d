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
from numpy.typing import ArrayLike, NDArray

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.stats.classification import auc

Float = NDArray[np.float64]
Detrend = Literal["mean", "linear"]


def autocorrelation(x: ArrayLike, lag: int = 1) -> float:
    """Autocorrelation of one series: sum_t (x_t - m)(x_{t+lag} - m) / sum_t (x_t - m)^2.

    Its mean over AR(1) series of coefficient a and length n is a - (1 + 4 a)/n + O(n^-2) at lag 1
    (Marriott and Pope 1954). NaN for a constant series.
    """
    x = _series(x, lag + 1)
    return float(rolling_autocorrelation(x, len(x), lag=lag)[0])


def detrended(x: ArrayLike, bandwidth: float) -> Float:
    """Subtract the slow part of a series, a Gaussian kernel mean (Dakos et al. 2008).

    Parameters
    ----------
    x : float (n,)
    bandwidth : float
        Standard deviation of the kernel in time steps, above 0.
    """
    from scipy.ndimage import gaussian_filter1d

    x = _series(x, 2)
    if bandwidth <= 0:
        raise ConfigurationError(f"bandwidth = {bandwidth:g}: must be above 0 time steps")
    return np.asarray(x - gaussian_filter1d(x, bandwidth, mode="nearest"))


def rolling_autocorrelation(x: ArrayLike, window: int, *, lag: int = 1, detrend: Detrend = "mean") -> Float:
    """Autocorrelation in every window of a series.

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
    if lag < 1:
        raise ConfigurationError(f"lag = {lag}: must be at least 1")
    total = (parts**2).sum(axis=1)
    together = (parts[:, :-lag] * parts[:, lag:]).sum(axis=1)
    return np.asarray(np.divide(together, total, out=np.full(len(parts), np.nan), where=total > 0))


def rolling_variance(x: ArrayLike, window: int, *, detrend: Detrend = "mean") -> Float:
    """Variance in every window of a series (n - window + 1,); arguments as in :func:`rolling_autocorrelation`.

    Divided by the window less one, or less two after a straight line.
    """
    parts = _windows(x, window, detrend, 3)
    return np.asarray((parts**2).sum(axis=1) / (window - (1 if detrend == "mean" else 2)))


def trend(values: ArrayLike) -> float:
    """Kendall's tau of a signal against time, from -1 to 1; NaN if it is constant or not finite."""
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
    """Lag-1 autocorrelation and variance in rolling windows, and Kendall's tau of each.

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
    if not 3 <= window < len(x):
        raise ConfigurationError(f"window = {window}: must be from 3 to {len(x) - 1}")
    slow = rolling_autocorrelation(x, window, detrend=detrend)
    wide = rolling_variance(x, window, detrend=detrend)
    return Warnings(slow, wide, trend(slow), trend(wide))


def _series(x: ArrayLike, least: int) -> Float:
    x = np.asarray(x, np.float64)
    if x.ndim != 1 or len(x) < least:
        raise ConfigurationError(f"a series of at least {least} values is needed, not one of shape {x.shape}")
    return x


def _windows(x: ArrayLike, window: int, detrend: Detrend, least: int) -> Float:
    """Residuals in every window (n - window + 1, window)."""
    x = _series(x, least)
    if not least <= window <= len(x):
        raise ConfigurationError(f"window = {window}: must be from {least} to {len(x)}")
    if detrend not in ("mean", "linear"):
        raise ConfigurationError(f"detrend = {detrend!r}: must be 'mean' or 'linear'")
    parts = np.lib.stride_tricks.sliding_window_view(x, window)
    parts = parts - parts.mean(axis=1, keepdims=True)
    if detrend == "linear":
        time = np.arange(window) - (window - 1) / 2
        parts = parts - np.outer(parts @ time / (time @ time), time)
    return np.asarray(parts)


# --------------------------------------------------------------------------- early warning roc

# What a trend of early-warning signals is worth: against surrogates of the same series, and as a classifier of runs.
#
# A trend of rolling windows is large by chance more often than one expects, since windows overlap: its chance is that of
# surrogates without slowing down (Dakos et al. 2008, 2012). And that most runs which tipped had a trend does not say that most
# runs with a trend will tip (the prosecutor's fallacy, Boettiger and Hastings 2012b): that takes runs with and without an
# approach to the transition, neither chosen for what they did, and the base rate of transitions.

Null = Literal["ar1", "phases"]

STEADY = 0.999  # largest coefficient of an AR(1) null, which is stationary


# --------------------------------------------------------------------------- surrogates


def ar1_surrogates(x: ArrayLike, count: int, rng: np.random.Generator) -> Float:
    """Stationary AR(1) series with the lag-1 autocorrelation and variance of a series, around its straight line.

    Parameters
    ----------
    x : float (n,)
        At least 6 values.
    count : int
    rng : Generator

    Returns
    -------
    float (count, n)

    Notes
    -----
    An autocorrelation that is measured in a short series is too small, and surrogates made with it would fluctuate too
    little: the coefficient is the one whose measured autocorrelation has the right mean (Marriott and Pope 1954).
    """
    from scipy.signal import lfilter

    line, rest = _line(x)
    n = len(rest)
    if not rest.any():
        return np.tile(line, (count, 1))
    a = float(np.clip((n * autocorrelation(rest) + 1.0) / (n - 4.0), -STEADY, STEADY))
    noise = rng.normal(size=(count, n))
    noise[:, 1:] *= np.sqrt(1.0 - a**2)
    return np.asarray(line + rest.std() * lfilter([1.0], [1.0, -a], noise, axis=1))


def phase_surrogates(x: ArrayLike, count: int, rng: np.random.Generator) -> Float:
    """Series with the periodogram of a series and random phases, around its straight line (Theiler et al. 1992).

    Parameters and result as for :func:`ar1_surrogates`. Mean, variance and circular autocorrelation are those of the series
    exactly; what happens when is not. They are periodic, so that for series about as slow as a window the chance of a trend
    comes out somewhat too small.
    """
    line, rest = _line(x)
    n = len(rest)
    power = np.abs(np.fft.rfft(rest))
    turned = power * np.exp(2j * np.pi * rng.random((count, len(power))))
    # The mean, and with an even number of values the fastest wave, have no phase but a sign.
    turned[:, 0] = power[0]
    if n % 2 == 0:
        turned[:, -1] = power[-1] * rng.choice([-1.0, 1.0], count)
    return np.asarray(line + np.fft.irfft(turned, n, axis=1))


SURROGATES = {"ar1": ar1_surrogates, "phases": phase_surrogates}


@dataclass(frozen=True)
class Significance:
    """Chance of trends at least as large without slowing down: 1 plus the surrogates that have them, over 1 plus all."""

    autocorrelation: float
    variance: float


def trend_significance(
    x: ArrayLike,
    window: int,
    *,
    rng: np.random.Generator,
    null: Null = "ar1",
    surrogates: int = 199,
    detrend: Detrend = "linear",
) -> Significance:
    """One-sided p-values of the rising trends of one series, by surrogates that are measured in the same way.

    Parameters
    ----------
    x : float (n,)
        As for :func:`~mpbf_abm.stats.warning.early_warnings`; what moves slowly, other than along a straight line,
        should have been taken out (:func:`~mpbf_abm.stats.warning.detrended`).
    window, detrend
        As for :func:`~mpbf_abm.stats.warning.early_warnings`.
    rng : Generator
    null : str
        ``ar1`` or ``phases``.
    surrogates : int
        The smallest p-value is 1 over 1 plus their number.

    Returns
    -------
    Significance
        NaN where the series has no trend, because a window is constant.

    Raises
    ------
    ConfigurationError
        As for ``early_warnings``, for an unknown null, and without surrogates.
    """
    if null not in SURROGATES:
        raise ConfigurationError(f"null = {null!r}: must be {' or '.join(repr(name) for name in SURROGATES)}")
    if surrogates < 1:
        raise ConfigurationError(f"surrogates = {surrogates}: must be at least 1")
    seen = early_warnings(x, window, detrend=detrend)
    own = np.array([seen.autocorrelation_trend, seen.variance_trend])
    if np.isnan(own).any():
        return Significance(np.nan, np.nan)
    by_chance = warning_trends(SURROGATES[null](x, surrogates, rng), window, detrend=detrend).to_numpy()
    # Trends are sums of signs: what differs less than one sign is the same.
    return Significance(*((1 + (by_chance >= own - 1e-12).sum(axis=0)) / (1 + surrogates)).tolist())


def _line(x: ArrayLike) -> tuple[Float, Float]:
    """Straight line of least squares through a series, and what is left."""
    x = np.asarray(x, np.float64)
    if x.ndim != 1 or len(x) < 6 or not np.isfinite(x).all():
        raise ConfigurationError("surrogates need a series of at least 6 finite values")
    time = np.arange(len(x)) - (len(x) - 1) / 2
    line = x.mean() + (x @ time) / (time @ time) * time
    rest = x - line
    # What is left of a straight line by rounding is nothing.
    return line, np.where(np.abs(rest) <= 1e-12 * np.abs(x).max(), 0.0, rest)


# --------------------------------------------------------------------------- trends as a classifier


def warning_trends(series: ArrayLike, window: int, *, detrend: Detrend = "linear") -> pd.DataFrame:
    """Trends of the early-warning signals of many series.

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
    if runs.ndim != 2:
        raise ConfigurationError(f"an array (runs, ticks) of series is needed, not one of shape {runs.shape}")
    found = [early_warnings(x, window, detrend=detrend) for x in runs]
    return pd.DataFrame(
        [(w.autocorrelation_trend, w.variance_trend) for w in found], columns=["autocorrelation", "variance"]
    )


def warning_auc(
    approaching: ArrayLike, stationary: ArrayLike, window: int, *, detrend: Detrend = "linear"
) -> pd.DataFrame:
    """How well trends tell runs that approach a transition from runs that do not (Boettiger and Hastings 2012a).

    Parameters
    ----------
    approaching : float (runs, n)
        Series under a condition that moves towards the transition, up to it but not beyond, whether or not they tipped.
    stationary : float (runs, n)
        Series of the same length under a condition that stays, whatever they did.
    window, detrend
        As for :func:`~mpbf_abm.stats.warning.early_warnings`.

    Returns
    -------
    DataFrame
        One row per signal: ``signal``, ``auc`` with ``low`` and ``high`` of its 95 % interval; .5 is no better than a coin.

    Raises
    ------
    ConfigurationError
        If the lengths differ, a side is empty, or a run has no trend because it is constant in a window.
    """
    sides = [np.asarray(side, np.float64) for side in (approaching, stationary)]
    if any(side.ndim != 2 or not len(side) for side in sides) or sides[0].shape[1] != sides[1].shape[1]:
        raise ConfigurationError("early warning: both sides need series, all of one length, as arrays (runs, ticks)")
    trends = warning_trends(np.concatenate(sides), window, detrend=detrend)
    silent = int(trends.isna().any(axis=1).sum())
    if silent:
        raise ConfigurationError(f"early warning: {silent} of {len(trends)} runs have no trend: constant in a window")
    outcome = np.repeat([True, False], [len(side) for side in sides])
    rows = [(signal, auc(trends[signal], outcome)) for signal in trends.columns]
    return pd.DataFrame(
        [(signal, a.value, a.low, a.high) for signal, a in rows], columns=["signal", "auc", "low", "high"]
    )


def predictive_value(true_positive_rate: ArrayLike, false_positive_rate: ArrayLike, base_rate: float) -> Float:
    """Chance of a transition given an alarm, by Bayes: ``b t / (b t + (1 - b) f)``.

    Parameters
    ----------
    true_positive_rate, false_positive_rate : float (...,)
        t and f, as columns of :func:`~mpbf_abm.stats.classification.roc_curve`.
    base_rate : float
        b, chance of a transition before anything is seen, 0 to 1.

    Returns
    -------
    float (...,)
        NaN where there are no alarms.
    """
    if not 0 <= base_rate <= 1:
        raise ConfigurationError(f"base rate = {base_rate:g}: must be from 0 to 1")
    right = base_rate * np.asarray(true_positive_rate, np.float64)
    alarms = right + (1 - base_rate) * np.asarray(false_positive_rate, np.float64)
    return np.asarray(np.divide(right, alarms, out=np.full(alarms.shape, np.nan), where=alarms > 0))
