"""Trends of early warning against chance, and as a classifier: uniform p-values, exact limits, slowing down."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter
from scipy.stats import kstest

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.stats.classification import roc_curve
from mpbf_abm.stats.warning import (
    ar1_surrogates,
    autocorrelation,
    early_warnings,
    phase_surrogates,
    predictive_value,
    trend_significance,
    warning_auc,
    warning_trends,
)


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


# --------------------------------------------------------------------------- surrogates


@pytest.mark.parametrize("null", ["ar1", "phases"])
def test_white_noise_has_uniform_p_values(null):
    rng = np.random.default_rng(1)
    found = [trend_significance(rng.normal(size=60), 25, rng=rng, null=null, surrogates=39) for _ in range(110)]
    for signal in ("autocorrelation", "variance"):
        assert kstest([getattr(s, signal) for s in found], "uniform").pvalue > 0.01


def test_slow_noise_is_not_taken_for_slowing_down():
    rng = np.random.default_rng(2)
    found = [trend_significance(x, 30, rng=rng, surrogates=39) for x in ornstein_uhlenbeck(np.full(80, 0.1), 120, rng)]
    for signal in ("autocorrelation", "variance"):
        assert kstest([getattr(s, signal) for s in found], "uniform").pvalue > 0.01
    alarms = [trend_significance(x, 40, rng=rng, surrogates=39) for x in ornstein_uhlenbeck(SLOWS, 20, rng)]
    assert np.median([s.variance for s in alarms]) < 0.1


@given(st.integers(6, 60), st.integers(0, 999), st.floats(-3, 3))
def test_random_phases_keep_the_periodogram(n, seed, slope):
    rng = np.random.default_rng(seed)
    line = slope * np.arange(n) + 2
    x = np.cumsum(rng.normal(size=n)) + line
    made = phase_surrogates(x, 5, rng)
    time = np.arange(n) - (n - 1) / 2
    trend = x.mean() + (x @ time) / (time @ time) * time
    wanted = np.abs(np.fft.rfft(x - trend))
    np.testing.assert_allclose(np.abs(np.fft.rfft(made - trend, axis=1)), np.tile(wanted, (5, 1)), atol=1e-8)
    assert not np.allclose(made[0], made[1])


def test_ar1_surrogates_have_variance_and_autocorrelation_of_the_series():
    rng = np.random.default_rng(3)
    x = lfilter([1.0], [1.0, -0.6], rng.normal(size=80))
    rest = x - np.polyval(np.polyfit(np.arange(80), x, 1), np.arange(80))
    made = ar1_surrogates(x, 4_000, rng) - (x - rest)
    measured = np.array([autocorrelation(s) for s in made])
    error = measured.std() / math.sqrt(len(made))
    # The correction leaves terms of order 1/n^2 (80^-2 = .0002, times about 10).
    assert abs(measured.mean() - autocorrelation(rest)) < 4.5 * error + 0.002
    assert made.var() == pytest.approx(rest.var(), rel=0.02)
    # Stationary from the first value on.
    assert made[:, 0].var() == pytest.approx(rest.var(), rel=4.5 * math.sqrt(2 / 4_000))


def test_p_values_count_surrogates_and_do_not_depend_on_units():
    x = np.random.default_rng(4).normal(size=50)
    first, second = (trend_significance(y, 20, rng=np.random.default_rng(5)) for y in (x, 1e6 * x - 7))
    assert first == second
    assert 0 < first.variance <= 1
    assert (first.variance * 200) % 1 == pytest.approx(0, abs=1e-9)
    growing = np.random.default_rng(4).normal(size=60) * np.arange(60) ** 3
    assert trend_significance(growing, 20, rng=np.random.default_rng(6), surrogates=9).variance == 1 / 10
    flat = trend_significance(np.append(np.zeros(30), x[:20]), 20, rng=np.random.default_rng(7))
    assert math.isnan(flat.autocorrelation)


def test_straight_lines_have_no_noise_to_imitate():
    line = 0.1 * np.arange(20)
    assert np.abs(ar1_surrogates(line, 3, np.random.default_rng(0)) - line).max() < 1e-12
    assert np.abs(phase_surrogates(line, 3, np.random.default_rng(0)) - line).max() < 1e-12


# --------------------------------------------------------------------------- classifier


def test_slowing_down_is_told_from_staying_and_staying_not_from_itself():
    rng = np.random.default_rng(8)
    table = warning_auc(ornstein_uhlenbeck(SLOWS, 40, rng), ornstein_uhlenbeck(STAYS, 40, rng), 50).set_index("signal")
    assert (table["low"] > 0.7).all()
    same = ornstein_uhlenbeck(STAYS, 60, rng)
    split = warning_auc(same[:30], same[30:], 50)
    assert ((split["low"] < 0.5) & (split["high"] > 0.5)).all()
    assert (warning_auc(same, same[::-1], 50)["auc"] == 0.5).all()
    turned = warning_auc(same[30:], same[:30], 50)
    np.testing.assert_allclose(turned["auc"], 1 - split["auc"])


def test_a_run_chosen_for_having_tipped_looks_like_a_warning():
    """Boettiger and Hastings (2012): stationary series that end far out by chance have rising signals."""
    rng = np.random.default_rng(9)
    x = ornstein_uhlenbeck(np.full(60, 0.3), 6_000, rng)
    fallen = x[np.argsort(x[:, -5:].mean(axis=1))[-300:]]
    biased = warning_auc(fallen, x[:300], 30, detrend="mean").set_index("signal")
    assert (biased["low"] > 0.5).all()


def test_trends_are_those_of_each_series():
    x = np.random.default_rng(10).normal(size=(3, 40))
    table = warning_trends(x, 15)
    for row, series in zip(table.itertuples(), x, strict=True):
        w = early_warnings(series, 15)
        assert (row.autocorrelation, row.variance) == (w.autocorrelation_trend, w.variance_trend)


# --------------------------------------------------------------------------- base rates


def test_an_alarm_is_worth_what_the_base_rate_makes_of_it():
    # Eddy (1982): mammography finds 79.2 % of cancers, errs on 9.6 % of healthy women, 1 % have cancer: 7.7 %.
    assert predictive_value(0.792, 0.096, 0.01) == pytest.approx(0.077, abs=5e-4)
    curve = roc_curve([1, 2, 3, 4], [0, 1, 0, 1])
    value = predictive_value(curve.true_positive_rate, curve.false_positive_rate, 0.5)
    assert math.isnan(value[0])
    assert value[1:] == pytest.approx([1, 0.5, 2 / 3, 0.5])
    assert predictive_value(0.3, 0.3, 0.2) == pytest.approx(0.2)
    assert predictive_value(0.5, 0.1, 0.0) == 0
    assert predictive_value(0.5, 0.1, 1.0) == 1


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda rng: trend_significance(np.arange(9.0), 4, rng=rng, null="white"), "null = 'white': must be 'ar1'"),
        (lambda rng: trend_significance(np.arange(9.0), 4, rng=rng, surrogates=0), "surrogates = 0"),
        (lambda rng: trend_significance(np.arange(9.0), 9, rng=rng), "window = 9"),
        (lambda rng: ar1_surrogates(np.arange(5.0), 1, rng), "at least 6 finite"),
        (lambda rng: phase_surrogates([1, 2, 3, 4, 5, np.nan], 1, rng), "6 finite values"),
        (lambda _: warning_trends([1.0, 2, 3], 3), "an array .runs, ticks."),
        (lambda _: warning_auc(np.ones((2, 9)), np.ones((2, 8)), 4), "all of one length"),
        (lambda _: warning_auc(np.ones((0, 9)), np.ones((2, 9)), 4), "both sides need series"),
        (lambda _: warning_auc(np.ones((2, 9)), np.ones((2, 9)), 4), "4 of 4 runs have no trend"),
        (lambda _: predictive_value(0.5, 0.5, 2), "base rate = 2"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(call, says):
    with pytest.raises(ConfigurationError, match=says) as refused:
        call(np.random.default_rng(0))
    assert len(refused.value.faults) == 1
