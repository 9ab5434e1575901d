"""Paired effects: against scipy's paired t-interval, and with values missing."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.measures.paired import paired_effects, spread

values = st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=2, max_size=20)


@given(values)
def test_interval_is_the_paired_t_interval(pairs):
    a, b = np.array(pairs).T
    effect = paired_effects(pd.DataFrame({"y": a}), pd.DataFrame({"y": b}), ["y"]).iloc[0]
    assert effect.n == len(a)
    assert effect.difference == pytest.approx(np.mean(b - a), abs=1e-9)
    if np.std(b - a) > 1e-6:
        expected = stats.ttest_rel(b, a).confidence_interval(0.95)
        assert (effect.low, effect.high) == pytest.approx((expected.low, expected.high), rel=1e-6, abs=1e-6)
        assert effect.vrf == pytest.approx((a.var(ddof=1) + b.var(ddof=1)) / (b - a).var(ddof=1), rel=1e-6)


def test_common_noise_gives_a_large_variance_reduction():
    rng = np.random.default_rng(0)
    common = rng.normal(size=200)
    a, b = common + 0.1 * rng.normal(size=200), common + 0.1 * rng.normal(size=200)
    assert paired_effects(pd.DataFrame({"y": a}), pd.DataFrame({"y": b}), ["y"])["vrf"].iloc[0] > 50


def test_pairs_with_missing_values_are_left_out_and_counted():
    a = pd.DataFrame({"y": [1.0, np.nan, 3.0, 4.0], "z": [np.nan] * 4})
    b = pd.DataFrame({"y": [2.0, 5.0, np.inf, 6.0], "z": [1.0] * 4})
    y, z = (row for _, row in paired_effects(a, b, ["y", "z"]).iterrows())
    assert (y.n, y.difference, y.baseline) == (2, 1.5, 2.5)
    assert z.n == 0
    assert np.isnan([z.difference, z.low, z.vrf]).all()


def test_equal_arms_have_no_effect():
    a = pd.DataFrame({"y": [1.0, 2.0, 4.0]})
    effect = paired_effects(a, a, ["y"]).iloc[0]
    assert (effect.difference, effect.low, effect.high) == (0, 0, 0)
    assert effect.vrf == np.inf


@pytest.mark.parametrize(
    ("rows_a", "rows_b", "outcome", "words"),
    [
        (1, 1, "y", "at least 2 replicates, not 1"),
        (3, 2, "y", "same index"),
        (3, 3, "x", "no outcome 'x'"),
    ],
)
def test_faulty_input_is_one_line(rows_a, rows_b, outcome, words):
    a, b = (pd.DataFrame({"y": np.arange(float(n))}) for n in (rows_a, rows_b))
    with pytest.raises(ConfigurationError, match=words) as caught:
        paired_effects(a, b, [outcome])
    assert len(caught.value.faults) == 1


def test_spread_shows_two_groups():
    table = spread(pd.DataFrame({"y": [0.0] * 5 + [1.0] * 5 + [np.nan]}), ["y"]).iloc[0]
    assert (table.p10, table["median"], table.p90) == (0, 0.5, 1)
