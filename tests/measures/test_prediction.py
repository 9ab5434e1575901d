"""Brier score and skill, logistic regression in closed form, and predictions that have not seen their group."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.stats.classification import auc, brier_skill, cross_validate, fit_logistic, grouped_folds


def signal(rng, groups, size, slope):
    """Cases of groups that share an input, and outcomes that follow from it."""
    g = np.repeat(np.arange(groups), size)
    x = rng.normal(size=groups)[g][:, None]
    return x, rng.random(len(g)) < expit(slope * x[:, 0]), g


# --------------------------------------------------------------------------- scores


def test_scores_and_skill_are_exact_at_their_limits():
    y = np.array([1, 0, 0, 1, 1])
    assert brier_skill(y, y).value == 1
    assert brier_skill(np.full(5, 0.6), y).value == pytest.approx(0)
    assert brier_skill(np.full(5, 0.5), y, base=0.5).value == 0


def test_intervals_of_skill_cover_what_is_true_of_large_samples():
    rng = np.random.default_rng(1)

    def draw(n):
        q = rng.choice([0.1, 0.4, 0.8], n)
        return q, rng.random(n) < q

    # E(q - y)^2 = E q(1 - q); base rate 13/30.
    truth = 1 - np.mean([0.09, 0.24, 0.16]) / (13 / 30 * 17 / 30)
    missed = 0
    for _ in range(400):
        q, y = draw(150)
        s = brier_skill(q, y)
        missed += not s.low <= truth <= s.high
    assert missed / 400 < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)


# --------------------------------------------------------------------------- regression


@given(st.tuples(*[st.integers(1, 30)] * 4))
def test_one_yes_no_input_has_the_log_odds_ratio(table):
    """Of the table (a, b; c, d) the slope is log(ad/bc), in units of the input."""
    a, b, c, d = table
    x = np.repeat([1.0, 1.0, 0.0, 0.0], table)[:, None]
    y = np.repeat([True, False, True, False], table)
    fit = fit_logistic(x, y, ridge=1e-9)
    assert fit.coefficients[0] / fit.sd[0] == pytest.approx(math.log(a * d / (b * c)), abs=1e-5)
    assert fit.probability([[0.0], [1.0]]) == pytest.approx([c / (c + d), a / (a + b)], abs=1e-6)


@given(st.integers(0, 10_000), st.floats(0.01, 100), st.floats(0.1, 1e3), st.floats(-100, 100))
def test_a_fit_is_the_optimum_and_does_not_depend_on_units(seed, ridge, scale, shift):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(30, 3)), np.append([True, False], rng.random(28) < 0.4)
    fit = fit_logistic(x, y, ridge)
    p = fit.probability(x)
    z = (x - fit.mean) / fit.sd
    assert (p - y).sum() == pytest.approx(0, abs=1e-6)
    assert z.T @ (p - y) + ridge * fit.coefficients == pytest.approx(np.zeros(3), abs=1e-6)
    moved = fit_logistic(x * scale + shift, y, ridge)
    assert moved.coefficients == pytest.approx(fit.coefficients, abs=1e-5)


def test_limits_of_the_penalty():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 2)), np.arange(50) < 20
    assert fit_logistic(x, y, 1e12).probability(x) == pytest.approx(np.full(50, 0.4), abs=1e-6)
    parted = fit_logistic(np.arange(10.0)[:, None], np.arange(10) >= 5, 0.1)
    assert 0 < parted.coefficients[0] < math.inf
    constant = fit_logistic(np.column_stack([np.full(50, 0.1), x]), y)
    assert constant.coefficients[0] == 0
    assert np.isfinite(constant.probability([[5.0, 0, 0]])).all()


# --------------------------------------------------------------------------- out of sample


@given(st.integers(2, 40), st.integers(1, 4), st.integers(2, 6), st.integers(0, 999))
def test_groups_stay_whole_and_folds_are_alike(groups, size, folds, seed):
    rng = np.random.default_rng(seed)
    folds = min(folds, groups)
    g = rng.permutation(np.repeat(np.arange(groups), size))
    y = np.append([True, False], rng.random(len(g) - 2) < 0.5)
    fold = grouped_folds(y, folds, np.random.default_rng(seed), g)
    assert all(len(set(fold[g == k])) == 1 for k in range(groups))
    held = [len(set(g[fold == k])) for k in range(folds)]
    assert sum(held) == groups
    assert max(held) - min(held) <= 1
    assert np.array_equal(fold, grouped_folds(y, folds, np.random.default_rng(seed), g))
    alone = grouped_folds(y, folds, np.random.default_rng(seed))
    yes = [y[alone == k].sum() for k in range(folds)]
    assert max(yes) - min(yes) <= 1


def test_the_outcomes_of_a_group_do_not_reach_its_own_prediction():
    """Turning all outcomes of one group changes no prediction for it."""
    rng = np.random.default_rng(2)
    x, y, g = signal(rng, 24, 5, 1.0)
    x = np.column_stack([x, rng.normal(size=len(x))])
    # Both outcomes in every group and as often, so that the deal does not follow from outcomes.
    y = np.tile([True, True, False, False, False], 24)
    turned = np.where(g == 7, np.tile([False, False, True, False, True], 24), y)
    first, second = (cross_validate(x, o, rng=np.random.default_rng(1), groups=g) for o in (y, turned))
    assert np.array_equal(first.fold, second.fold)
    here = first.fold == first.fold[g == 7].iloc[0]
    assert first.probability[here].equals(second.probability[here])
    assert not first.probability[~here].equals(second.probability[~here])


def test_replicates_on_both_sides_would_be_foretold_by_heart():
    """Twenty inputs that say which group a case is of, and outcomes of groups at random."""
    rng = np.random.default_rng(4)
    g = np.repeat(np.arange(20), 6)
    x = np.eye(20)[g]
    seen, unseen = [], []
    for _ in range(20):
        y = (rng.permutation(20) < 10)[g]
        for areas, groups in ((seen, None), (unseen, g)):
            t = cross_validate(x, y, rng=rng, groups=groups, ridge=0.1)
            areas.append(auc(t.probability, y, folds=t.fold).value)
    assert np.mean(seen) > 0.95
    assert np.mean(unseen) == pytest.approx(0.5, abs=0.02)


def test_noise_is_not_foretold():
    """Area .5 within folds; pooled over folds it would be below. Base rates are not beaten."""
    rng = np.random.default_rng(0)
    within, pooled, skill = [], [], []
    for _ in range(120):
        x, y = rng.normal(size=(60, 1)), np.arange(60) < 24
        t = cross_validate(x, y, rng=rng, folds=30)
        within.append(auc(t.probability, y, folds=t.fold).value)
        pooled.append(auc(t.probability, y).value)
        skill.append(brier_skill(t.probability, y, base=t.base).value)
    assert abs(np.mean(within) - 0.5) < 4.5 * np.std(within) / math.sqrt(120)
    assert np.mean(pooled) < 0.5 - 4.5 * np.std(pooled) / math.sqrt(120)
    assert np.mean(skill) < 0


def test_a_signal_is_foretold_as_well_as_it_can_be():
    rng = np.random.default_rng(6)
    x, y, g = signal(rng, 400, 3, 2.0)
    t = cross_validate(x, y, rng=rng, groups=g)
    best, found = auc(x[:, 0], y, groups=g), auc(t.probability, y, groups=g, folds=t.fold)
    assert found.value == pytest.approx(best.value, abs=0.02)
    assert np.abs(t.probability - expit(2 * x[:, 0])).max() < 0.1
    assert brier_skill(t.probability, y, base=t.base, groups=g).low > 0.2


# --------------------------------------------------------------------------- faults


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: brier_skill([0.5, 1.5], [0, 1]), "from 0 to 1"),
        (lambda: brier_skill([0.5], [0, 1]), "probability: 2 finite"),
        (lambda: brier_skill([0.5, 0.5], [1, 1]), "both classes"),
        (lambda: brier_skill([0.5, 0.5], [0, 1], base=[0, 1]), "nothing is left to gain"),
        (lambda: fit_logistic([[1], [2]], [1, 1]), "all 2 cases are yes"),
        (lambda: fit_logistic([1, 2], [0, 1]), "inputs: finite numbers"),
        (lambda: fit_logistic([[1], [2]], [0, 1], ridge=0), "ridge = 0"),
        (lambda: fit_logistic([[1], [2]], [0, 1]).probability([[1, 2]]), "2 columns; the regression has 1"),
        (lambda: grouped_folds([0, 1, 1], 4, np.random.default_rng(0)), "folds = 4: must be from 2 to the 3 groups"),
        (lambda: grouped_folds([0, 1], 1, np.random.default_rng(0)), "folds = 1"),
        (
            lambda: cross_validate([[1.0]] * 4, [0, 0, 0, 1], rng=np.random.default_rng(0), folds=2),
            "all outcomes are the same",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(call, says):
    with pytest.raises(ConfigurationError, match=says) as refused:
        call()
    assert len(refused.value.faults) == 1
