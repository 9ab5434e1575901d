"""What can be made is learned from failures: the head against a plain reading, and what labs make of it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtr
from scipy.stats import norm

from mpbf_abm import MaterialsSpace, Parameters, simulate
from mpbf_abm.learning.feasibility import COMMON, area, by_chance, fit_feasibility
from mpbf_abm.model.run import Run
from mpbf_abm.stats.classification import auc


def problem(n: int = 90, p: int = 5, families: int = 4, seed: int = 0):
    """Features, families and outcomes of trials that a line and the family decide, with chance."""
    rng = np.random.default_rng(seed)
    phi, family = rng.standard_normal((n, p)).astype(np.float32), 3 * rng.integers(0, families, n)
    return phi, family, rng.random(n) < ndtr(2 * phi[:, 0] + (family == 3) - 0.5)


def plain(phi, family, made, weights: float, offsets: float, rows, keys):
    """Chance at feature rows in families with a trial: one design matrix, and Newton's method until nothing moves."""
    known = np.unique(family)
    x = np.concatenate([phi, family[:, None] == known, np.ones((len(phi), 1))], axis=1)
    prior, sign = np.diag([weights] * phi.shape[1] + [offsets] * len(known) + [COMMON]), np.where(made, 1.0, -1.0)
    mode = np.zeros(len(prior))
    for _ in range(30):
        f = sign * (x @ mode)
        pull = norm.pdf(f) / ndtr(f)
        curvature = x.T @ ((pull * (f + pull))[:, None] * x) + prior
        mode = mode + np.linalg.solve(curvature, x.T @ (sign * pull) - prior @ mode)
    at = np.concatenate([rows, keys[:, None] == known, np.ones((len(rows), 1))], axis=1)
    return ndtr(at @ mode / np.sqrt(1 + np.sum(at * np.linalg.solve(curvature, at.T).T, axis=1))), mode, x


# --------------------------------------------------------------------------- the head


def test_the_posterior_is_that_of_a_plain_reading():
    """One posterior with given scales, offsets eliminated, against a design matrix; slope 0 at its mode."""
    phi, family, made = problem()
    last = replace(fit_feasibility(phi, family, made), prior=0.7, between=1 / 3)
    order = np.random.default_rng(2).permutation(len(phi))
    head = fit_feasibility(phi[order], family[order], made[order], last)
    chance, mode, x = plain(phi, family, made, 0.7, 3.0, phi, family)
    np.testing.assert_allclose(head.chance(phi, family), chance, atol=1e-6)
    np.testing.assert_allclose(head.level, mode[-1] + np.append(mode[5:-1], 0.0), atol=1e-6)

    def density(w: np.ndarray) -> float:
        precision = np.array([0.7] * 5 + [3.0] * 4 + [COMMON])
        return norm.logcdf(np.where(made, 1, -1) * (x @ w)).sum() - 0.5 * precision @ w**2

    slope = [(density(mode + e) - density(mode - e)) / 2e-4 for e in 1e-4 * np.eye(10)]
    np.testing.assert_allclose(slope, 0.0, atol=1e-5)


def test_scales_follow_from_the_posterior_and_hold_for_the_next_head():
    phi, family, made = problem(400)
    head = first = fit_feasibility(phi, family, made)
    for _ in range(20):
        head = fit_feasibility(phi, family, made, head)
    again = fit_feasibility(phi, family, made, head)
    assert head.prior == pytest.approx(again.prior, rel=1e-3)
    effective = 5 - head.prior * np.trace(head.covariance)
    assert head.prior == pytest.approx(effective / (head.mean @ head.mean), rel=1e-3)
    elsewhere = fit_feasibility(phi[:, :3], family + 3, made, first)  # other features, and families in part
    assert elsewhere.covariance.shape == (3, 3)
    np.testing.assert_allclose(
        elsewhere.chance(phi[:, :3], family + 3),
        plain(phi[:, :3], family + 3, made, first.prior, 1 / first.between, phi[:, :3], family + 3)[0],
        atol=1e-6,
    )


@pytest.mark.parametrize(("successes", "failures"), [(3, 0), (0, 9), (20, 5)])
def test_without_features_the_chance_is_near_the_exact_integral(successes: int, failures: int):
    made = np.arange(successes + failures) < successes
    trials = np.zeros((len(made), 0), np.float32), np.zeros(len(made), np.int64), made
    first = fit_feasibility(*trials)
    head = fit_feasibility(*trials, first)
    total = math.sqrt(first.between + 1.0)  # offset and common mean are one number here

    def weight(f: float) -> float:
        return float(norm.pdf(f / total) * ndtr(f) ** successes * ndtr(-f) ** failures)

    exact = quad(lambda f: weight(f) * ndtr(f), -25, 25)[0] / quad(weight, -25, 25)[0]
    assert head.chance(np.zeros((1, 0), np.float32), np.zeros(1, np.int64))[0] == pytest.approx(exact, abs=0.04)


def test_a_family_without_a_trial_has_the_common_mean_and_is_less_sure():
    phi, family, made = problem(400)
    head = fit_feasibility(phi, family, made)
    known, strange = (head.chance(np.zeros((1, 5), np.float32), np.array([key]))[0] for key in (3, 8))
    assert made[family == 3].mean() > made[family != 3].mean()
    assert known > strange
    assert strange == pytest.approx(ndtr(head.level[-1] / math.sqrt(1 + head.spread[-1])), abs=1e-12)
    assert head.spread[-1] > head.between


def test_families_are_known_by_their_keys_whatever_their_order():
    phi, family, made = problem()
    keys = np.array([5, 0, 9, 2])
    one, other = fit_feasibility(phi, keys[family // 3], made), fit_feasibility(phi, keys[family // 3], made)
    np.testing.assert_array_equal(one.families, [0, 2, 5, 9])
    np.testing.assert_array_equal(one.mean, other.mean)


def test_scores_count_by_chance_from_the_least_of_their_row():
    scores = np.array([[1.0, 3.0, 2.0], [-4.0, -5.0, -4.5]], np.float32)
    chance = np.array([[0.9, 0.1, 0.5], [0.5, 0.1, 1.0]])
    np.testing.assert_allclose(by_chance(scores, chance, 2.0), [[1.0, 1.02, 1.25], [-4.75, -5.0, -4.5]], rtol=1e-6)
    np.testing.assert_array_equal(by_chance(scores, np.ones((2, 3)), 5.0), scores)


def test_the_area_is_that_of_the_statistics():
    rng = np.random.default_rng(3)
    chance, made = rng.integers(0, 9, 60) / 8, rng.random(60) < 0.4
    assert area(chance, made) == pytest.approx(auc(chance, made).value)
    assert math.isnan(area(chance, np.ones(60, bool)))


# --------------------------------------------------------------------------- in a community

TRYING = {
    "space.materials": 3_000,
    "space.families": 6,
    "space.feasible": 0.5,
    "space.feasible_scatter": 0.1,
    "founding.records": 120,
    "trainers.count": 2,
    "trainers.retrain_interval": 2,
    "trainers.features": 32,
    "planners.count": 12,
    "planners.experiments": 1.0,
    "planners.feasibility_weight": 3.0,
    "planners.publication_bias": 0.0,
    "infrastructure.repositories": 3,
}


def tried(space: MaterialsSpace | None = None, ticks: int = 8, **changes: object) -> Run:
    p = Parameters.preset("single-quick").updated(TRYING | {k.replace("__", "."): v for k, v in changes.items()})
    return simulate(p, seed=4, ticks=ticks, space=space)


def records(run: Run) -> tuple[bytes, bytes]:
    commons = run.ecosystem.world.commons
    return commons.material.tobytes(), commons.value.tobytes()


def test_without_a_published_failure_nothing_is_learned_and_the_weight_does_nothing():
    silent = tried(planners__publication_bias=1.0, planners__publication_threshold=-5.0)
    plain = tried(
        planners__publication_bias=1.0, planners__publication_threshold=-5.0, planners__feasibility_weight=0.0
    )
    assert silent.series.equals(plain.series)
    assert silent.series["feasibility_auc"].isna().all()
    assert math.isnan(silent.summary["feasibility_auc"])
    assert records(silent) == records(plain)
    assert silent.summary["infeasible_share"] > 0.3


def test_published_failures_teach():
    run = tried(ticks=20)
    assert run.series["feasibility_auc"].iloc[-1] > 0.65
    plain = tried(ticks=20, planners__feasibility_weight=0.0)
    assert run.summary["infeasible_share"] < plain.summary["infeasible_share"] - 0.08


def test_a_random_order_stays_random():
    rule = {"planners__acquisition": "random", "planners__proxy": 0.3}
    assert records(tried(**rule)) == records(tried(**rule, planners__feasibility_weight=0.0))


def test_relabelled_families_learn_the_same():
    p = Parameters.preset("single-quick").updated(TRYING)
    space = MaterialsSpace.synthetic(p, seed=4)
    one, other = tried(space), tried(space.relabelled(np.array([3, 0, 5, 1, 4, 2])))
    made = [r.ecosystem.world.space.material_keys[r.ecosystem.world.commons.material] for r in (one, other)]
    np.testing.assert_array_equal(made[0], made[1])
    assert one.summary["feasibility_auc"] == pytest.approx(other.summary["feasibility_auc"], abs=1e-9)
