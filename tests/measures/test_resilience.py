"""Disruption over pairs of runs: identical twins, triangles in closed form, published medians, coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import CensoredData, ecdf

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.measures.resilience import disruption, gap_curve, paired_resilience, resilience
from mpbf_abm.stats.estimates import mean_estimate


def numbers(table):
    return {row.measure: (row.value, row.low, row.high) for row in table.itertuples()}


def pairs_with(recoveries, seen, horizon):
    """Pairs whose gap of 1 ends after some ticks, or has lasted that long when the run ends."""
    gaps = np.zeros((len(recoveries), horizon + 1))
    for gap, time, ends in zip(gaps, recoveries, seen, strict=True):
        gap[slice(0, time) if ends else slice(horizon - time, None)] = 1.0
    rising = np.cumsum(np.ones_like(gaps), axis=1)
    return rising - gaps, rising


@given(st.integers(1, 20), st.integers(2, 20), st.integers(0, 999))
def test_identical_twins_lose_exactly_nothing(n, ticks, seed):
    runs = np.random.default_rng(seed).normal(size=(n, ticks))
    found = numbers(disruption(runs, runs))
    assert [found[m][0] for m in ("area", "drop", "mean_drop", "recovery")] == [0, 0, 0, 0]
    assert found["recovered_share"][0] == 1
    if n > 1:
        assert all(found[m] == (0, 0, 0) for m in ("area", "drop", "mean_drop", "recovery"))
    assert (gap_curve(runs, runs)[["gap", "low", "high"]] == 0).all(axis=None)


@given(st.lists(st.tuples(st.floats(0.1, 5), st.integers(1, 10)), min_size=2, max_size=8), st.floats(0.5, 3))
def test_triangles_have_their_area(triangles, step):
    """A drop d that is made good along a straight line in r steps costs d r / 2, whatever the undisturbed course."""
    t = step * np.arange(15)
    base = np.sin(np.arange(len(triangles) * 15)).reshape(-1, 15)
    gap = np.array([np.interp(np.arange(15), [0, 2, 2 + r], [0, d, 0]) for d, r in triangles])
    table = paired_resilience(base - gap, base, t, recovered=1.0)
    d, r = np.array(triangles).T
    np.testing.assert_allclose(table["drop"], d)
    np.testing.assert_allclose(table["worst"], 2 * step)
    np.testing.assert_allclose(table["area"], d * (r + 2) * step / 2, rtol=1e-6)
    np.testing.assert_allclose(table["recovery"], r * step, rtol=1e-6)
    np.testing.assert_allclose(table["watched"], t[-1] - 2 * step)
    found = numbers(disruption(base - gap, base, t, recovered=1.0))
    area = mean_estimate(table["area"])
    assert found["area"] == (area.value, area.low, area.high)
    assert found["mean_drop"][0] == pytest.approx(gap.mean(axis=0).max())


def test_a_mean_has_students_interval():
    # Student (1908), sleep data: differences of two drugs, mean 1.58, interval .70 to 2.46 (t = 4.0621 on 9 df).
    e = mean_estimate([1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4])
    assert (e.value, e.value / e.error) == pytest.approx((1.58, 4.0621), abs=5e-5)
    assert (e.low, e.high) == pytest.approx((0.7001142, 2.4598858), abs=1e-6)
    assert math.isnan(mean_estimate([3.0]).low)


# --------------------------------------------------------------------------- recovery with censoring


@pytest.mark.parametrize(
    ("times", "median"),
    [
        ("6 6 6 6+ 7 9+ 10 10+ 11+ 13 16 17+ 19+ 20+ 22 23 25+ 32+ 32+ 34+ 35+", 23),
        ("1 1 2 2 3 4 4 5 5 8 8 8 8 11 11 12 12 15 17 22 23", 8),
    ],
    ids=["treated", "placebo"],
)
def test_published_medians_of_censored_times(times, median):
    """Remission of leukaemia under 6-mercaptopurine and placebo (Freireich et al. 1963), + where it still lasts."""
    seen = ["+" not in t for t in times.split()]
    series = pairs_with([int(t.strip("+")) for t in times.split()], seen, 36)
    found = numbers(disruption(*series, recovered=1.0))
    assert found["recovery"][0] == median
    assert found["recovery"][1] < median < found["recovery"][2]
    assert found["recovered_share"][0] == pytest.approx(np.mean(seen))


@given(st.lists(st.tuples(st.integers(1, 9), st.booleans()), min_size=1, max_size=30))
def test_medians_are_those_of_kaplan_and_meier(cases):
    time, seen = (np.array(column) for column in zip(*cases, strict=True))
    found = numbers(disruption(*pairs_with(time, seen, 12), recovered=1.0))["recovery"]
    survival = ecdf(CensoredData.right_censored(time.astype(float), ~seen)).sf
    reached = survival.quantiles[survival.probabilities <= 0.5 + 1e-9]
    assert found[0] == (reached[0] if len(reached) else math.inf)
    if len(cases) > 1:
        assert found[1] <= found[0] <= found[2]


def test_what_is_not_recovered_within_the_horizon_takes_for_ever():
    series = pairs_with([4, 5, 6, 6, 6, 6], [True, True, False, False, False, False], 10)
    table = paired_resilience(*series, recovered=1.0)
    assert table["recovery"].tolist() == [4, 5] + [math.inf] * 4
    assert table["watched"].tolist() == [10, 10, 6, 6, 6, 6]
    found = numbers(disruption(*series, recovered=1.0))
    assert found["recovery"][0] == found["recovery"][2] == math.inf
    assert found["recovered_share"][0] == pytest.approx(1 / 3)


def test_intervals_of_the_median_cover_it():
    """Exponential recovery of median 7 log 2 in fine ticks, watched for 12 units: a fifth is censored."""
    rng, missed, runs = np.random.default_rng(1), 0, 150
    for i in range(runs):
        time = np.ceil(rng.exponential(70, 30)).astype(int)
        series = pairs_with(np.minimum(time, 120), time <= 120, 121)
        _, low, high = numbers(disruption(*series, recovered=1.0, seed=i))["recovery"]
        missed += not low <= np.ceil(70 * math.log(2)) <= high
    assert missed / runs < 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


# --------------------------------------------------------------------------- noise and single series


def test_noise_has_no_area_and_its_largest_gap_is_not_a_drop_of_the_mean():
    rng, runs = np.random.default_rng(2), 200
    covered = {"area": 0, "mean_drop": 0, "drop": 0}
    for _ in range(runs):
        found = numbers(disruption(rng.normal(size=(12, 20)), rng.normal(size=(12, 20))))
        for measure in covered:
            covered[measure] += found[measure][1] <= 0
    # Half of the missed lie above.
    assert covered["area"] / runs > 0.975 - 3 * math.sqrt(0.025 * 0.975 / runs)
    assert covered["mean_drop"] / runs > 0.95 - 3 * math.sqrt(0.05 * 0.95 / runs)
    assert covered["drop"] == 0


def test_the_band_of_the_gap_holds_at_all_times_together():
    rng, runs, held = np.random.default_rng(3), 150, 0
    truth = np.interp(np.arange(20), [0, 5, 8, 19], [0, 0, 1, 0])
    for _ in range(runs):
        noise = np.cumsum(rng.normal(size=(25, 20)), axis=1) * 0.3
        noise[:, :5] = 0.0
        band = gap_curve(-truth - noise, np.zeros((25, 20)))
        held += ((band["low"] <= truth + 1e-12) & (truth <= band["high"] + 1e-12)).all()
    assert held / runs > 0.95 - 3 * math.sqrt(0.05 * 0.95 / runs)


def test_one_pair_is_a_single_series():
    y, base = np.array([[1, 0.4, 0.8, 1.0]]), np.ones((1, 4))
    one = resilience([0, 1, 2, 3], y[0])
    table = paired_resilience(y, base).iloc[0]
    assert (one.drop, one.worst, one.area, one.recovery) == tuple(table[["drop", "worst", "area", "recovery"]])
    assert math.isnan(numbers(disruption(y, base))["area"][1])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: disruption([[1, 2]], [[1, 2, 3]]), "two arrays"),
        (lambda: disruption([1, 2], [1, 2]), "not .2,. and .2,."),
        (lambda: gap_curve(np.zeros((0, 2)), np.zeros((0, 2))), "resilience of pairs"),
        (lambda: paired_resilience([[1, np.nan]], [[1, 2]]), "pairs: finite values"),
        (lambda: paired_resilience([[1, 2]], [[1, 2]], [1, 0]), "rising times"),
        (lambda: paired_resilience([[1, 2]], [[1, 2]], [1, 2, 3]), "one time for each tick"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(call, says):
    with pytest.raises(ConfigurationError, match=says) as refused:
        call()
    assert len(refused.value.faults) == 1
