"""Tipping points by bisection: steps, known responses, order statistics, coverage, and responses that turn back."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import t as student

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.measures.tipping import tipping_point
from mpbf_abm.stats.estimates import wilson

FINE = 1e-6


@given(st.floats(-4.9, 4.9), st.booleans())
def test_a_step_is_found_to_the_precision(place, rising):
    point = tipping_point(lambda x, _: (x > place) == rising, -5, 5, seeds=range(6), precision=0.01)
    assert abs(point.level - place) <= 0.005
    assert point.low <= place <= point.high
    assert point.high - point.low <= 0.02
    assert point.rising == rising
    assert point.setback is None
    assert (point.turning, point.crossings) == (0, 1)


@given(st.integers(0, 999), st.booleans())
def test_seeds_that_move_one_way_have_the_order_statistics_of_their_own_tipping_points(seed, rising):
    """Of 25 the 8th and the 18th bound the median with 95.7 %, a tabled pair; the 13th is its estimate."""
    own = np.sort(np.random.default_rng(seed).normal(size=25))
    point = tipping_point(lambda x, i: (x > own[i]) == rising, -6, 6, seeds=range(25), precision=FINE)
    assert (point.level, point.low, point.high) == pytest.approx((own[12], own[7], own[17]), abs=2 * FINE)
    assert point.remark.endswith("no seed turns back")


@pytest.mark.parametrize(("share", "rank"), [(0.5, 20), (0.2, 8), (0.9, 36)])
def test_a_logistic_response_is_crossed_at_any_share(share, rank):
    u = (np.arange(1, 40) + 0.0) / 40
    point = tipping_point(
        lambda x, i: bool(u[i] < expit((x - 2) / 0.5)), -3, 7, seeds=range(39), precision=FINE, threshold=share
    )
    # The share passes `share` of 39 with the rank-th seed.
    assert point.level == pytest.approx(2 + 0.5 * logit(u[math.floor(39 * share)]), abs=FINE)
    assert math.floor(39 * share) + 1 == rank
    assert point.low < 2 + 0.5 * logit(share) < point.high


@given(st.integers(0, 999), st.floats(0.5, 5), st.booleans())
def test_a_mean_crosses_where_students_interval_says(seed, slope, rising):
    """Straight responses of one slope: the crossing is (threshold - mean)/slope, give or take t s/(slope sqrt n)."""
    shift = np.random.default_rng(seed).normal(size=9)
    sign = 1 if rising else -1
    point = tipping_point(
        lambda x, i: sign * slope * x + shift[i], -40, 40, seeds=range(9), precision=FINE, threshold=3.0
    )
    centre = (3.0 - shift.mean()) / (sign * slope)
    half = student.isf(0.025, 8) * shift.std(ddof=1) / 3 / slope
    assert (point.level, point.low, point.high) == pytest.approx((centre, centre - half, centre + half), abs=3 * FINE)


@given(st.integers(0, 999), st.floats(0.1, 10), st.floats(-50, 50))
def test_units_and_order_of_seeds_do_not_matter(seed, unit, origin):
    own = np.random.default_rng(seed).random(12)
    plain = tipping_point(lambda x, i: bool(x > own[i]), -0.5, 1.5, seeds=range(12), precision=0.001)
    other = tipping_point(
        lambda x, i: bool((x - origin) / unit > own[i]),
        origin - 0.5 * unit,
        origin + 1.5 * unit,
        seeds=range(11, -1, -1),
        precision=0.001 * unit,
    )
    assert (other.level - origin) / unit == pytest.approx(plain.level, abs=0.002)
    assert (other.low - origin) / unit == pytest.approx(plain.low, abs=0.002)


@pytest.mark.parametrize("common", [True, False])
def test_intervals_cover(common):
    runs, missed = 200, 0
    for run in range(runs):
        u, asked, place = np.random.default_rng(run).random(2_000), [0], 0.3 + 0.4 * run / runs

        def response(x, i, u=u, asked=asked, place=place):
            asked[0] += 1
            return bool(u[i if common else asked[0]] < expit((x - place) / 0.1))

        point = tipping_point(response, -0.5, 1.5, seeds=range(30), precision=0.02)
        missed += not point.low <= place <= point.high
        assert point.level == pytest.approx(place, abs=0.3)
    assert missed / runs < 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def test_an_interval_without_end_says_so():
    """At the lower end of the bracket the share is not surely below a half."""
    point = tipping_point(lambda x, i: i < 4 or x > 0.5, 0, 1, seeds=range(10), precision=0.01)
    assert point.low == -math.inf
    assert 0.5 <= point.high <= 0.52
    few = tipping_point(lambda x, _: x > 0.5, 0, 1, seeds=range(6), precision=0.01, threshold=0.05)
    assert few.low == -math.inf
    assert few.high <= 0.52


def test_every_level_has_its_interval():
    own = np.random.default_rng(0).random(20)
    table = tipping_point(lambda x, i: bool(x > own[i]), -1, 2, seeds=range(20), precision=0.1).levels
    assert table["level"].is_monotonic_increasing
    low, high = wilson(table["mean"].to_numpy() * 20, np.full(len(table), 20))
    np.testing.assert_allclose(table[["low", "high"]], np.column_stack([low, high]))
    np.testing.assert_allclose(table["mean"], [(x > own).mean() for x in table["level"]])


# --------------------------------------------------------------------------- responses that turn back


def test_a_response_that_turns_back_is_told():
    """It happens between 1.5 and 2.5 and above 3.3."""
    point = tipping_point(lambda x, _: 1.5 < x < 2.5 or x > 3.3, 0, 4, seeds=range(8), precision=0.01)
    assert point.setback is not None
    assert point.crossings == 3
    assert point.turning == 1
    a, b, change = point.setback
    assert 1.5 < a < 2.5 <= b <= 3.3
    assert change == -1
    assert point.remark.startswith("not monotone: rises on the whole, but changes by -1 from")
    falls = tipping_point(lambda x, _: -((x - 2) ** 2) - x, 0, 4, seeds=range(8), precision=0.01, threshold=-5.0)
    assert falls.setback[2] > 0
    assert falls.setback is not None


def test_noise_is_not_taken_for_turning_back():
    told = 0
    for run in range(100):
        rng = np.random.default_rng(run)
        point = tipping_point(lambda x, _, r=rng: x + r.normal(), -3, 3, seeds=range(15), precision=0.1, threshold=0.0)
        told += point.setback is not None
        assert point.turning > 0.5
    assert told / 100 < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 100)


# --------------------------------------------------------------------------- faults


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"response": lambda *_: False}, "the share is 0 at 0 and 0 at 1 and does not cross 0.5"),
        ({"response": lambda *_: True}, "the share is 1 at 0 and 1 at 1"),
        ({"response": lambda x, _: x, "threshold": 2.0}, "the mean is 0 at 0 and 1 at 1 and does not cross 2"),
        ({"threshold": 1.0}, "threshold = 1: a share"),
        ({"threshold": math.nan}, "threshold = nan: must be finite"),
        ({"response": lambda *_: math.nan}, "level 0 is not finite"),
        ({"seeds": range(5)}, "at least 6 different ones are needed, not 5 among 5"),
        ({"seeds": [1, 2, 3, 4, 5, 6, 6]}, "not 6 among 7"),
        ({"low": 1}, "bracket from 1 to 1"),
        ({"high": math.inf}, "bracket from 0 to inf"),
        ({"precision": 0}, "precision = 0"),
        ({"precision": 1}, "precision = 1"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(changes, says):
    given_ = {"response": lambda x, _: x > 0.4, "low": 0, "high": 1, "seeds": range(6), "precision": 0.1}
    with pytest.raises(ConfigurationError, match=says) as refused:
        tipping_point(**{**given_, **changes})
    assert len(refused.value.faults) == 1
