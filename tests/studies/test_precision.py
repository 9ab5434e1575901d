"""The number of replicates: widths, the look ahead, and coverage where outcomes fall into two groups."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mpbf_abm.stats.estimates import ahead, half_widths, judge


@given(st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=30))
def test_widths_are_those_of_students_interval(values: list[float]) -> None:
    x = np.array(values)
    found = half_widths(x[:, None])[:, 0]
    assert np.isinf(found[0])
    for n in (2, len(x)):
        expected = stats.t.ppf(0.975, n - 1) * x[:n].std(ddof=1) / np.sqrt(n)
        assert found[n - 1] == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_a_missing_unit_is_left_out_of_its_column() -> None:
    x = np.array([[1.0, 1.0], [np.nan, 2.0], [3.0, 4.0], [2.0, 1.0]])
    found = half_widths(x)
    assert found[-1, 0] == pytest.approx(half_widths(x[[0, 2, 3], :1])[-1, 0])
    assert np.isinf(found[1, 0])
    assert np.isfinite(found[1, 1])


def test_events_that_never_happened_are_not_known_to_be_impossible() -> None:
    zeros = np.zeros((50, 1))
    assert half_widths(zeros)[-1, 0] == 0.0
    width = half_widths(zeros, [True])
    assert 0.03 < width[-1, 0] < 0.08
    assert (np.diff(width[1:, 0]) < 0).all()


def test_enough_is_said_only_after_the_look_ahead() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(0, 1, (300, 1))
    widths = half_widths(x)[:, 0]
    target = 0.3
    last_missed = int(np.flatnonzero(widths > target)[-1])
    since = max(20, last_missed + 2)
    for n in range(since - 1, since + 30):
        verdict = judge(x[:n], [target], least=20, most=1000, look_ahead=25)
        assert verdict.enough == (n >= since + 25)
        assert verdict.wanted == (n if verdict.enough else since + 25 if n >= since else verdict.wanted)


def test_three_runs_in_one_basin_are_not_enough() -> None:
    x = np.array([[1.0]] * 3)
    verdict = judge(x, [0.1], least=3, most=100, look_ahead=25)
    assert not verdict.enough
    assert verdict.wanted == 28


def test_the_most_is_the_most() -> None:
    x = np.random.default_rng(1).normal(0, 100, (50, 1))
    verdict = judge(x, [0.01], least=20, most=50, look_ahead=25)
    assert not verdict.enough
    assert verdict.wanted == 50
    assert judge(x[:49], [0.01], least=20, most=50, look_ahead=25).wanted == 50


def test_every_target_must_be_met() -> None:
    x = np.random.default_rng(1).normal(0, 1, (200, 2)) * [0.1, 5.0]
    assert judge(x[:, :1], [0.1], least=20, most=1000, look_ahead=25).enough
    assert not judge(x, [0.1, 0.1], least=20, most=1000, look_ahead=25).enough


def test_the_rule_is_asked_again_whatever_there_is() -> None:
    assert judge(np.empty((0, 1)), [0.1], least=20, most=100, look_ahead=25).wanted == 45
    assert judge(np.empty((1, 1)), [0.1], least=20, most=30, look_ahead=25).wanted == 30


def test_the_look_ahead_grows_in_proportion_above_a_hundred() -> None:
    assert [ahead(n, 25) for n in (20, 100, 200, 1000)] == [25, 25, 50, 250]


def stopped(rng: np.random.Generator, draw: float, target: float, *, look_ahead: int, least: int) -> np.ndarray:
    """Differences of a sequential study of an outcome that falls into two groups."""
    x = np.empty((0, 1))
    n = least + look_ahead
    while True:
        fresh = n - len(x)
        x = np.concatenate([x, ((rng.random((fresh, 1)) < draw) + 0.05 * rng.normal(size=(fresh, 1)))])
        verdict = judge(x, [target], least=least, most=2000, look_ahead=look_ahead)
        if verdict.enough or len(x) >= 2000:
            return x
        n = verdict.wanted


def test_the_interval_covers_where_outcomes_fall_into_two_groups() -> None:
    rng = np.random.default_rng(4)

    def coverage(studies: int, **rule: int) -> float:
        inside = 0
        for _ in range(studies):
            x = stopped(rng, 0.7, 0.1, **rule)
            inside += abs(x.mean() - 0.7) <= half_widths(x)[-1, 0]
        return inside / studies

    # The rule that everybody cites looks 5 ahead from 3 on.
    assert coverage(500, least=20, look_ahead=25) > 0.95 - 3 * np.sqrt(0.95 * 0.05 / 500)
    assert coverage(500, least=3, look_ahead=0) < 0.85
