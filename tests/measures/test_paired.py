"""Paired effects: against scipy's paired t-interval, and with values missing."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.stats.estimates import mean_estimate
from mpbf_abm.stats.paired import Simultaneous, bimodality, paired_effects, simultaneous_intervals, spread

values = st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=2, max_size=20)


@given(values)
def test_one_effect_has_at_least_the_paired_t_interval(pairs):
    a, b = np.array(pairs).T
    effect = paired_effects(pd.DataFrame({"y": a}), pd.DataFrame({"y": b}), [["y"]]).iloc[0]
    assert effect.n == len(a)
    assert effect.difference == pytest.approx(np.mean(b - a), abs=1e-9)
    if np.std(b - a) > 1e-6:
        expected = stats.ttest_rel(b, a).confidence_interval(0.95)
        assert (effect.low + effect.high) / 2 == pytest.approx(effect.difference, rel=1e-6, abs=1e-6)
        assert effect.high - effect.low >= (expected.high - expected.low) * (1 - 1e-6)
        assert effect.vrf == pytest.approx((a.var(ddof=1) + b.var(ddof=1)) / (b - a).var(ddof=1), rel=1e-6)


def test_common_noise_gives_a_large_variance_reduction():
    rng = np.random.default_rng(0)
    common = rng.normal(size=200)
    a, b = common + 0.1 * rng.normal(size=200), common + 0.1 * rng.normal(size=200)
    assert paired_effects(pd.DataFrame({"y": a}), pd.DataFrame({"y": b}), [["y"]])["vrf"].iloc[0] > 50


def test_pairs_with_missing_values_are_left_out_and_counted():
    a = pd.DataFrame({"y": [1.0, np.nan, 3.0, 4.0], "z": [np.nan] * 4})
    b = pd.DataFrame({"y": [2.0, 5.0, np.inf, 6.0], "z": [1.0] * 4})
    y, z = (row for _, row in paired_effects(a, b, [["y", "z"]]).iterrows())
    assert (y.n, y.difference, y.baseline) == (2, 1.5, 2.5)
    assert z.n == 0
    assert np.isnan([z.difference, z.low, z.vrf]).all()


def test_equal_arms_have_no_effect():
    a = pd.DataFrame({"y": [1.0, 2.0, 4.0]})
    effect = paired_effects(a, a, [["y"]]).iloc[0]
    assert effect.difference == 0
    assert np.isnan(effect.vrf)
    # Three pairs that agree are too few to be taken for a fact.
    assert np.isnan(effect.low)


@pytest.mark.parametrize(
    ("rows_a", "rows_b", "outcome", "words"), [(3, 2, "y", "same index"), (3, 3, "x", "no outcome 'x'")]
)
def test_faulty_input_is_one_line(rows_a, rows_b, outcome, words):
    a, b = (pd.DataFrame({"y": np.arange(float(n))}) for n in (rows_a, rows_b))
    with pytest.raises(ConfigurationError, match=words) as caught:
        paired_effects(a, b, [[outcome]])
    assert len(caught.value.faults) == 1


def test_spread_shows_two_groups():
    table = spread(pd.DataFrame({"y": [0.0] * 5 + [1.0] * 5 + [np.nan]}), ["y"]).iloc[0]
    assert (table.p10, table["median"], table.p90) == (0, 0.5, 1)


# --------------------------------------------------------------------------- several effects at once


def skewed_arms(rng: np.random.Generator, n: int, arms: int) -> np.ndarray:
    """Differences of equal, skewed arms that share a part of their draws."""
    z = 0.6 * rng.normal(size=(n, 1)) + 0.8 * rng.normal(size=(n, arms + 1))
    y = np.exp(0.8 * z)
    return y[:, 1:] - y[:, :1]


def test_eight_null_policies_are_seldom_told_apart() -> None:
    rng = np.random.default_rng(1)
    wrong = np.mean(
        [_any_sure(simultaneous_intervals(skewed_arms(rng, 30, 8), resamples=500, seed=i)) for i in range(400)]
    )
    assert wrong < 0.06 + 2 * np.sqrt(0.05 * 0.95 / 400)
    t = [
        np.abs(x.mean(axis=0) / (x.std(axis=0, ddof=1) / np.sqrt(30))).max() > 2.045
        for x in (skewed_arms(rng, 30, 8) for _ in range(400))
    ]
    assert np.mean(t) > 0.1  # what unadjusted intervals do


def _any_sure(found: Simultaneous) -> bool:
    return bool(((found.low > 0) | (found.high < 0)).any())


def test_one_effect_has_about_students_interval() -> None:
    x = np.random.default_rng(2).normal(1, 2, (40, 1))
    found = simultaneous_intervals(x)
    plain = mean_estimate(x[:, 0])
    assert found.mean[0] == pytest.approx(plain.value)
    assert plain.high - plain.low <= found.high[0] - found.low[0] < 1.12 * (plain.high - plain.low)


def test_missing_units_count_for_their_effect_only() -> None:
    x = np.random.default_rng(3).normal(size=(30, 3))
    whole = simultaneous_intervals(x)
    holes = x.copy()
    holes[:10, 1] = np.nan
    found = simultaneous_intervals(holes)
    assert found.n.tolist() == [30, 20, 30]
    assert found.mean[0] == whole.mean[0]
    assert found.mean[1] == pytest.approx(x[10:, 1].mean())
    holes[:, 2] = np.nan
    empty = simultaneous_intervals(holes)
    assert np.isnan([empty.mean[2], empty.low[2], empty.high[2]]).all()


def test_an_effect_that_never_varies_is_known_but_an_event_is_not() -> None:
    x = np.zeros((20, 2))
    found = simultaneous_intervals(x, events=[False, True])
    assert (found.low[0], found.high[0]) == (0.0, 0.0)
    assert found.low[1] == pytest.approx(-found.high[1])
    assert 0.1 < found.high[1] < 0.2  # about 3 / 20, the rule of three


def test_two_groups_are_told_by_the_bimodality_coefficient() -> None:
    rng = np.random.default_rng(1)
    assert bimodality(rng.normal(size=2000)) == pytest.approx(1 / 3, abs=0.03)
    assert bimodality(rng.random(5000)) == pytest.approx(5 / 9, abs=0.02)
    assert bimodality(np.concatenate([rng.normal(0, 0.1, 500), rng.normal(1, 0.1, 500)])) > 0.8
    assert np.isnan(bimodality(np.ones(10)))
    assert np.isnan(bimodality(np.array([1.0, 2.0, np.nan, 3.0])))


@pytest.mark.parametrize("n", [10, 20])
def test_few_replicates_keep_the_family_wise_error(n):
    rng, wrong = np.random.default_rng(n), 0
    for study in range(400):
        s = simultaneous_intervals(rng.normal(size=(n, 8)), resamples=300, seed=study)
        wrong += bool(((s.low > 0) | (s.high < 0)).any())
    assert wrong / 400 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


def test_an_effect_that_few_units_know_does_not_widen_the_others():
    x = np.random.default_rng(1).normal(1, 1, (40, 3))
    whole = simultaneous_intervals(x)
    x[2:, 2] = np.nan
    thin = simultaneous_intervals(x)
    assert (thin.high[:2] - thin.low[:2] <= 1.05 * (whole.high[:2] - whole.low[:2])).all()
    assert thin.high[2] - thin.low[2] > 3 * (whole.high[2] - whole.low[2])


def test_an_interval_ends_where_its_effect_must():
    x = np.column_stack(
        [np.repeat([1.0, 0.0, -1.0], [9, 1, 2]), np.repeat([0.9, -0.9], [11, 1]), np.repeat([9.0, -9.0], [11, 1])]
    )
    free = simultaneous_intervals(x, events=[True, False, False])
    held = simultaneous_intervals(x, events=[True, False, False], bounds=[np.inf, 1.0, np.inf])
    assert free.high[0] == held.high[0] <= 1.0
    assert free.high[1] > held.high[1] == 1.0
    assert held.high[2] == free.high[2] > 9.0
    np.testing.assert_array_equal(held.low, free.low)
    below = simultaneous_intervals(-x, events=[True, False, False], bounds=1.0)
    assert below.low[1] == -1.0
    certain = simultaneous_intervals(np.repeat([[1.0], [0.0]], [11, 1], axis=0), events=[True])
    assert certain.high[0] == 1.0


def test_few_units_that_agree_are_not_taken_for_certainty():
    few, many = (simultaneous_intervals(np.full((n, 1), 0.01)) for n in (2, 30))
    assert np.isnan(few.low).all()
    assert (many.low[0], many.high[0]) == pytest.approx((0.01, 0.01))


def test_differences_of_events_are_known_as_such():
    rng, inside = np.random.default_rng(3), 0
    for study in range(200):
        x = (rng.random((20, 1)) < 0.05) * 1.0
        s = simultaneous_intervals(x, resamples=200, seed=study)
        inside += bool(s.low[0] <= 0.05 <= s.high[0])
    assert inside > 185
