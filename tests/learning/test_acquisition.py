"""Acquisition rules value what they say they value."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from mpbf_abm import Parameters
from mpbf_abm.learning.acquisition import RULES, expected_improvement, posterior_sample, rank_scale, score
from mpbf_abm.model.community import Community

MEAN = np.array([[0.1, 0.9, -0.5, 0.4], [1.0, 0.0, 0.2, 0.3]], np.float32)
SD = np.array([[0.5, 0.1, 2.0, 0.4], [0.2, 0.3, 0.1, 1.0]], np.float32)
DRAWS = np.array([[0.3, 0.1, 0.7, 0.2], [0.9, 0.8, 0.1, 0.5]], np.float32)


def rule(name: str, draws: np.ndarray | None = None, best: float = 0.6, kappa: float = 1.5) -> np.ndarray:
    return score(name, MEAN, SD, best=best, kappa=kappa, draws=draws)


def improvement(mean: float, sd: float, best: float) -> float:
    """Expected improvement by numerical integration."""
    value, _ = integrate.quad(
        lambda t: t * sd * stats.norm.pdf((best + t * sd - mean) / sd),
        0,
        max(12.0, (mean - best) / sd + 12),
        epsabs=0,
        epsrel=1e-10,
    )
    return value


@pytest.mark.parametrize("name", RULES)
def test_every_rule_scores_every_candidate(name: str) -> None:
    values = rule(name, DRAWS)
    assert values.shape == MEAN.shape
    assert np.isfinite(values).all()


def test_plain_rules() -> None:
    np.testing.assert_array_equal(rule("greedy", DRAWS), MEAN)
    np.testing.assert_array_equal(rule("maxvar", DRAWS), SD)
    np.testing.assert_allclose(rule("ucb"), MEAN + 1.5 * SD, rtol=1e-6)
    np.testing.assert_array_equal(rule("ucb", kappa=0.0), MEAN)
    np.testing.assert_array_equal(rule("random", DRAWS), DRAWS)
    np.testing.assert_array_equal(rule("thompson", DRAWS), DRAWS)


def test_rules_that_draw_fall_back_without_draws() -> None:
    np.testing.assert_array_equal(rule("random"), np.zeros_like(MEAN))
    np.testing.assert_array_equal(rule("thompson"), MEAN)


def test_an_unknown_rule_is_refused_with_the_list() -> None:
    with pytest.raises(ValueError, match=r"unknown acquisition rule 'best' \(rules: ucb, random, greedy"):
        rule("best")


def test_ranking_averages_the_ranks_of_greedy_ucb_and_ei() -> None:
    parts = [stats.rankdata(rule(name), axis=-1) - 1 for name in ("greedy", "ucb", "ei")]
    np.testing.assert_allclose(rule("ranking"), np.mean(parts, axis=0), rtol=1e-6)


def test_ranking_does_not_change_with_the_unit() -> None:
    scaled = score("ranking", 10 * MEAN + 3, 10 * SD, best=9.0, kappa=1.5)
    np.testing.assert_array_equal(scaled, rule("ranking"))


# --------------------------------------------------------------------------- expected improvement


@pytest.mark.parametrize("sd", [0.01, 0.5, 3.0])
@pytest.mark.parametrize("z", [-4.9, -4.0, -2.0, -0.5, 0.0, 0.5, 3.0, 10.0])
def test_expected_improvement_equals_its_integral(z: float, sd: float) -> None:
    mean = np.float32([0.7 + z * sd])
    exact = math.log(improvement(float(mean[0]), sd, 0.7))
    assert float(expected_improvement(mean, np.float32([sd]), 0.7)[0]) == pytest.approx(exact, abs=2e-3)


@pytest.mark.parametrize("z", [-5.1, -6.0, -8.0, -12.0, -20.0, -30.0])
def test_expected_improvement_holds_to_a_percent_in_the_far_tail(z: float) -> None:
    exact = math.log(improvement(z, 1.0, 0.0))
    assert float(expected_improvement(np.float32([z]), np.float32([1.0]), 0.0)[0]) == pytest.approx(exact, abs=0.01)


def test_expected_improvement_grows_with_the_mean_everywhere() -> None:
    z = np.arange(-40, 5, 0.002).astype(np.float32)
    assert np.all(np.diff(expected_improvement(z, np.ones_like(z), 0.0)) >= 0)


def test_expected_improvement_tells_hopeless_candidates_apart() -> None:
    z = np.array([-1e4, -1e3, -300.0, -60.0], np.float32)
    values = expected_improvement(z, np.ones_like(z), 0.0)
    assert np.isfinite(values).all()
    assert np.all(np.diff(values) > 0)


@given(st.floats(-3, 3), st.floats(0.05, 2), st.floats(1.05, 3))
def test_expected_improvement_grows_with_the_sd(z: float, sd: float, factor: float) -> None:
    mean, sds = np.float32([z, z]), np.float32([sd, sd * factor])
    low, high = expected_improvement(mean, sds, 0.5)
    assert high >= low - 1e-5


def test_expected_improvement_of_a_certain_gain_is_the_gain() -> None:
    value = expected_improvement(np.float32([1.5]), np.float32([0.0]), 1.0)
    assert float(value[0]) == pytest.approx(math.log(0.5), abs=1e-3)


# --------------------------------------------------------------------------- joint samples


def test_thompson_samples_have_the_joint_law() -> None:
    rng, n = np.random.default_rng(0), 60_000
    root = rng.normal(size=(3, 3))
    joint = (root @ root.T + 0.1 * np.eye(3)).astype(np.float32)
    mean = np.array([1.0, -2.0, 0.5], np.float32)
    normals = rng.normal(size=(n, 3)).astype(np.float32)
    draws = posterior_sample(np.broadcast_to(mean, (n, 3)), np.broadcast_to(joint, (n, 3, 3)), normals).astype(
        np.float64
    )
    sd = np.sqrt(np.diag(joint))
    assert np.all(np.abs(draws.mean(axis=0) - mean) < 4.5 * sd / np.sqrt(n))
    error = np.cov(draws.T) - joint
    bound = 4.5 * np.sqrt((np.outer(sd, sd) ** 2 + joint.astype(float) ** 2) / n) + 2e-4 * np.trace(joint)
    assert np.all(np.abs(error) < bound)


def test_candidates_that_are_one_are_drawn_as_one() -> None:
    joint = np.ones((2, 2), np.float32)
    draws = posterior_sample(
        np.zeros((500, 2), np.float32),
        np.broadcast_to(joint, (500, 2, 2)),
        np.random.default_rng(0).normal(size=(500, 2)).astype(np.float32),
    )
    assert np.corrcoef(draws.T)[0, 1] > 0.999
    assert draws.std() == pytest.approx(1, abs=4.5 / np.sqrt(1_000))


def test_a_sample_without_uncertainty_is_the_mean() -> None:
    draws = posterior_sample(np.float32([[1.0, 2.0]]), np.zeros((1, 2, 2), np.float32), np.float32([[1.0, -1.0]]))
    np.testing.assert_allclose(draws, [[1.0, 2.0]], atol=1e-3)


def test_scores_are_standardised_by_row_and_constant_rows_become_zero() -> None:
    scaled = rank_scale(np.float32([[1.0, 2.0, 3.0], [5.0, 5.0, 5.0]]))
    np.testing.assert_allclose(scaled, [[-np.sqrt(1.5), 0, np.sqrt(1.5)], [0, 0, 0]], rtol=1e-6)


# --------------------------------------------------------------------------- integrated variance


@pytest.mark.parametrize("head", ["bayesian", "gaussian_process"])
def test_a_result_lowers_the_variance_of_the_panel_as_expected(head: str) -> None:
    """In a community whose corrections are full: what labs were promised is what the model's panel shows afterwards."""
    p = Parameters.preset("single-quick").updated(
        {"trainers.head": head, "trainers.count": 1, "planners.acquisition": "integrated_variance"}
        | {"coupling.correction": 1.0, "space.materials": 600, "space.families": 4, "founding.records": 60}
    )
    eco = Community(p, seed=2)
    eco.step()
    model = eco.world.registry.models[0]
    phi, variance = model.panel_phi[5:6], np.array([0.1])
    if head == "gaussian_process":  # a scale that follows from the labels would move, too
        model.head.kernel = replace(model.head.kernel, amplitude=1.0)
        model.head.refresh()
        model.panel_variance[...] = model.head.predict(model.panel_phi)[1].reshape(model.panel_variance.shape)
    before = model.panel_variance.mean(dtype=np.float64)
    (expected,) = model.panel_fall(phi, variance)
    model.correct(phi, np.array([0.2]), variance, 1.0)
    assert before - model.panel_variance.mean(dtype=np.float64) == pytest.approx(expected, rel=2e-3)
    assert 0 < model.panel_fall(phi, variance)[0] < expected


def test_integrated_variance_makes_what_teaches_most_and_is_blind_where_its_channel_is_closed() -> None:
    base = {"planners.acquisition": "integrated_variance", "space.materials": 600, "space.families": 4}
    picks = []
    for openness in (1.0, 0.0):
        eco = Community(
            Parameters.preset("single-quick").updated(base | {"coupling.uncertainty_ral_isl": openness}), seed=2
        )
        eco.step()
        picks.append(eco.world.results.pick)
    assert picks[0].any()
    assert not picks[1].any()  # all alike: the first keyed one


def test_integrated_variance_without_a_panel_values_nothing() -> None:
    np.testing.assert_array_equal(rule("integrated_variance"), np.zeros_like(MEAN))
    np.testing.assert_array_equal(rule("integrated_variance", DRAWS), DRAWS)
