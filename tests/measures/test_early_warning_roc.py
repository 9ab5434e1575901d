"""Trends of early warning as a classifier: slowing down, and series chosen for what they did."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.stats.classification import auc
from mpbf_abm.stats.warning import early_warnings, warning_trends


def ornstein_uhlenbeck(rates, runs, rng):
    """Series of dx = -k(t) x dt + dW at unit steps, exactly, from the stationary state (runs, ticks)."""
    k = np.asarray(rates, float)
    keep, kick = np.exp(-k), np.sqrt(-np.expm1(-2 * k) / (2 * k))
    x = np.empty((runs, len(k)))
    x[:, 0] = rng.normal(size=runs) / math.sqrt(2 * k[0])
    for t in range(1, len(k)):
        x[:, t] = keep[t] * x[:, t - 1] + kick[t] * rng.normal(size=runs)
    return x


STAYS = np.full(120, 0.8)
SLOWS = np.linspace(0.8, 0.02, 120)


def warning_auc(approaching, stationary, window, detrend="linear"):
    """Area under the ROC curve of each trend: how well it tells runs that approach a transition from others."""
    trends = warning_trends(np.concatenate([approaching, stationary]), window, detrend=detrend)
    outcome = np.repeat([True, False], [len(approaching), len(stationary)])
    rows = [vars(auc(trends[signal], outcome)) for signal in trends]
    return pd.DataFrame(rows, index=trends.columns)


def test_slowing_down_is_told_from_staying_and_staying_not_from_itself():
    rng = np.random.default_rng(8)
    table = warning_auc(ornstein_uhlenbeck(SLOWS, 40, rng), ornstein_uhlenbeck(STAYS, 40, rng), 50)
    assert (table["low"] > 0.7).all()
    same = ornstein_uhlenbeck(STAYS, 60, rng)
    split = warning_auc(same[:30], same[30:], 50)
    assert ((split["low"] < 0.5) & (split["high"] > 0.5)).all()
    assert (warning_auc(same, same[::-1], 50)["value"] == 0.5).all()
    turned = warning_auc(same[30:], same[:30], 50)
    np.testing.assert_allclose(turned["value"], 1 - split["value"])


def test_a_run_chosen_for_having_tipped_looks_like_a_warning():
    """Boettiger and Hastings (2012): stationary series that end far out by chance have rising signals."""
    rng = np.random.default_rng(9)
    x = ornstein_uhlenbeck(np.full(60, 0.3), 6_000, rng)
    fallen = x[np.argsort(x[:, -5:].mean(axis=1))[-300:]]
    biased = warning_auc(fallen, x[:300], 30, detrend="mean")
    assert (biased["low"] > 0.5).all()


def test_trends_are_those_of_each_series():
    x = np.random.default_rng(10).normal(size=(3, 40))
    table = warning_trends(x, 15)
    for row, series in zip(table.itertuples(), x, strict=True):
        w = early_warnings(series, 15)
        assert (row.autocorrelation, row.variance) == (w.autocorrelation_trend, w.variance_trend)


def test_what_cannot_be_used_is_refused_in_one_line():
    with pytest.raises(ConfigurationError, match=r"an array .runs, ticks.") as refused:
        warning_trends([1.0, 2, 3], 3)
    assert len(refused.value.faults) == 1
