"""What can be made is learned from failures: the head against a plain reading, and what labs make of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtr
from scipy.stats import norm

from mpbf_abm import MaterialsSpace, Parameters, simulate
from mpbf_abm.learning.feasibility import area, by_chance, fit_feasibility, posterior_mode
from mpbf_abm.model.run import Run
from mpbf_abm.stats.classification import auc


def problem(n: int = 90, p: int = 5, families: int = 4, seed: int = 0):
    """Features, families and outcomes of trials that a line and the family decide, with chance."""
    rng = np.random.default_rng(seed)
    phi, family = rng.standard_normal((n, p)).astype(np.float32), 3 * rng.integers(0, families, n)
    return phi, family, rng.random(n) < ndtr(2 * phi[:, 0] + (family == 3) - 0.5)


# --------------------------------------------------------------------------- the head


def test_the_posterior_is_that_of_a_plain_reading():
    """Slope 0 at the mode, and the inverse of the curvature there, both by finite differences."""
    phi, family, made = problem()
    x = np.concatenate([phi, family[:, None] == np.unique(family), np.ones((len(phi), 1))], axis=1)
    prior = np.array([0.7] * 5 + [3.0] * 4 + [0.1])

    def density(w: np.ndarray) -> float:
        total = -0.5 * sum(p * v * v for p, v in zip(prior, w, strict=True))
        for row, good in zip(x, made, strict=True):
            f = sum(a * b for a, b in zip(row, w, strict=True))
            total += norm.logcdf(f if good else -f)
        return total

    mean, covariance = posterior_mode(x.astype(float), np.where(made, 1.0, -1.0), prior, np.zeros(10))
    step = 1e-4 * np.eye(10)
    slope = [(density(mean + e) - density(mean - e)) / 2e-4 for e in step]
    np.testing.assert_allclose(slope, 0.0, atol=1e-5)
    along = np.random.default_rng(1).standard_normal(10)
    e = 1e-3 * along
    curvature = (2 * density(mean) - density(mean + e) - density(mean - e)) / 1e-6
    assert along @ np.linalg.inv(covariance) @ along == pytest.approx(curvature, rel=1e-4)


@pytest.mark.parametrize(("successes", "failures"), [(3, 0), (0, 9), (20, 5)])
def test_without_features_the_chance_is_near_the_exact_integral(successes: int, failures: int):
    made = np.arange(successes + failures) < successes
    head = fit_feasibility(np.zeros((len(made), 0), np.float32), np.zeros(len(made), np.int64), made)
    total = math.sqrt(head.between + 1.0)  # offset and common mean are one number here

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
    x = np.zeros(len(head.mean))
    x[-1] = 1.0
    variance = x @ head.covariance @ x + head.between
    assert strange == pytest.approx(ndtr(head.mean[-1] / math.sqrt(1 + variance)), abs=1e-12)


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
    assert "feasibility_auc" not in silent.series
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
