"""Robustness criteria on tables that were worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.stats import robustness as r

# Four policies, five scenarios; larger is better.
F = np.array(
    [[5.0, 3.0, 4.0, 1.0, 2.0], [3.0, 3.0, 3.0, 3.0, 3.0], [9.0, 0.0, 0.0, 0.0, 1.0], [4.0, 4.0, 4.0, 2.0, 1.0]]
)


def test_values_worked_out_by_hand() -> None:
    assert r.maximin(F).tolist() == [1, 3, 0, 1]
    assert r.maximax(F).tolist() == [5, 3, 9, 4]
    assert r.hurwicz(F).tolist() == [3, 3, 4.5, 2.5]
    assert r.hurwicz(F, 0.75).tolist() == [2, 3, 2.25, 1.75]
    assert r.laplace(F) == pytest.approx([3, 3, 2, 3])
    assert r.regret(F).tolist() == [[4, 1, 0, 2, 1], [6, 1, 1, 0, 0], [0, 4, 4, 3, 2], [5, 0, 0, 1, 2]]
    assert r.minimax_regret(F).tolist() == [4, 6, 4, 5]
    assert r.percentile_regret(F, 50).tolist() == [1, 1, 3, 1]
    assert r.percentile_regret(F, 75).tolist() == [2, 1, 4, 2]
    assert r.satisficing(F, 3.0).tolist() == [0.6, 1.0, 0.2, 0.6]
    assert r.satisficing(F, 9.5).tolist() == [0, 0, 0, 0]
    # Medians 3, 3, 0, 4; what lies below them.
    assert r.undesirable_deviation(F).tolist() == [3, 0, 0, 5]


def test_ranks_share_ties() -> None:
    assert r.ranks(r.maximin(F), larger=True).tolist() == [2.5, 1, 4, 2.5]
    assert r.ranks(r.minimax_regret(F), larger=False).tolist() == [1.5, 4, 1.5, 3]
    assert r.ranks(r.laplace(F), larger=True).tolist() == [2, 2, 4, 2]
    assert r.ranks(np.array([1.0, 1.0 + 1e-15]), larger=True).tolist() == [1.5, 1.5]


def test_one_scenario_makes_all_value_criteria_agree() -> None:
    f = F[:, :1]
    for function in (r.maximin, r.maximax, r.hurwicz, r.laplace):
        assert function(f).tolist() == [5, 3, 9, 4]
    assert r.minimax_regret(f).tolist() == [4, 6, 0, 5]


def test_criteria_agree_by_kendalls_tau() -> None:
    ranked = {name: r.ranks(function(F), larger) for name, (function, larger) in r.criteria(3.0).items()}
    tau = r.agreement(ranked)
    assert np.diag(tau).tolist() == [1.0] * len(ranked)
    assert np.allclose(tau, tau.T, equal_nan=True)
    names = list(ranked)
    # maximin ranks 2.5 1 4 2.5, maximax 2 4 1 3: five pairs disagree, one is tied in the first.
    expected = -5 / np.sqrt(5 * 6)
    assert tau[names.index("maximin"), names.index("maximax")] == pytest.approx(expected)


def test_shares_of_first_place_sum_to_one_and_follow_the_noise() -> None:
    rng = np.random.default_rng(1)
    clear = np.array([[2.0], [0.0], [1.0]])[..., None] + rng.normal(0, 0.01, (3, 1, 8))
    share = r.rank_shares(np.repeat(clear, 4, axis=1), r.laplace, True)
    assert share.tolist() == [1.0, 0.0, 0.0]
    equal = np.zeros((3, 4, 8))
    assert r.rank_shares(equal, r.laplace, True) == pytest.approx([1 / 3] * 3)
    close = rng.normal(0, 1, (2, 6, 10))
    shares = r.rank_shares(close, r.laplace, True)
    assert shares.sum() == pytest.approx(1)
    assert 0.02 < shares[0] < 0.98


def test_honest_regret_has_no_optimism() -> None:
    rng = np.random.default_rng(2)
    naive, honest = [], []
    for _ in range(300):
        values = rng.normal(0, 1, (6, 30, 4))  # policies that are all the same: true regret is 0
        naive.append(r.minimax_regret(values.mean(axis=2)))
        honest.append(r.honest_regret(values, splits=5).mean())
    assert np.mean(naive) > 1.0
    assert abs(np.mean(honest)) < 4 * np.std(honest) / np.sqrt(300) < 0.15
    sure = np.array([[1.0, 1.0], [0.0, 3.0]])[..., None].repeat(4, axis=2)
    assert r.honest_regret(sure).tolist() == r.minimax_regret(sure.mean(axis=2)).tolist() == [2.0, 1.0]
    assert np.isnan(r.honest_regret(sure[..., :1])).all()


@pytest.mark.parametrize("bad", [np.zeros(3), np.zeros((0, 2)), np.zeros((2, 0))])
def test_tables_that_are_none_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(ConfigurationError, match="policies by scenarios"):
        r.check_table(bad)


def test_a_table_with_a_hole_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="all finite"):
        r.check_table(np.array([[1.0, np.nan]]))
