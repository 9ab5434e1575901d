"""Sensitivity measures: equal to SALib without noise, right with it, and refusing what is not finite."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from SALib.analyze import morris as salib_morris
from SALib.analyze import sobol as salib_sobol
from SALib.sample import morris as sample_morris
from SALib.sample import sobol as sample_sobol
from scipy.stats import qmc

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.stats.sensitivity import elementary_effects, sobol_indices

Float = NDArray[np.float64]

PROBLEM = {"num_vars": 3, "names": ["a", "b", "c"], "bounds": [[-np.pi, np.pi]] * 3}
TOTAL = np.array([0.5576, 0.4424, 0.2437])
FIRST = np.array([0.3139, 0.4424, 0.0])


def ishigami(x: Float) -> Float:
    return np.sin(x[..., 0]) + 7 * np.sin(x[..., 1]) ** 2 + 0.1 * x[..., 2] ** 4 * np.sin(x[..., 0])


def design(n: int, seed: int) -> tuple[Float, Float, Float]:
    """Rows A, B and AB of the Ishigami function's inputs."""
    cube = qmc.Sobol(6, rng=np.random.default_rng(seed)).random(n)
    a, b = (2 * cube[:, :3] - 1) * np.pi, (2 * cube[:, 3:] - 1) * np.pi
    ab = np.repeat(a[:, None], 3, axis=1)
    for i in range(3):
        ab[:, i, i] = b[:, i]
    return a, b, ab


def noisy(x: Float, sd: float, m: int, rng: np.random.Generator) -> Float:
    y = ishigami(x)
    return y[..., None] + sd * rng.normal(size=(*y.shape, m))


def test_sobol_without_noise_equals_salib_on_the_same_sample() -> None:
    x = sample_sobol.sample(PROBLEM, 512, calc_second_order=False, seed=3)
    y = ishigami(x) + 4.0
    reference = salib_sobol.analyze(PROBLEM, y, calc_second_order=False, seed=1)
    rows = y.reshape(-1, 5)
    found = sobol_indices(rows[:, :1], rows[:, 4:], rows[:, 1:4, None])
    assert np.abs(found.first - reference["S1"]).max() < 1e-10
    assert np.abs(found.total - reference["ST"]).max() < 1e-10
    # Replicates that agree change nothing.
    same = sobol_indices(rows[:, :1].repeat(3, 1), rows[:, 4:].repeat(3, 1), rows[:, 1:4, None].repeat(3, 2))
    assert np.abs(same.total - reference["ST"]).max() < 1e-10
    assert same.noise < 1e-25


def test_elementary_effects_equal_salib_on_the_same_sample() -> None:
    x = sample_morris.sample(PROBLEM, 40, num_levels=4, seed=2)
    y = ishigami(x)
    reference = salib_morris.analyze(PROBLEM, x, y, num_levels=4)
    points, values = x.reshape(40, 4, 3), y.reshape(40, 4)
    effects = np.empty((40, 3, 1))
    step = 2 / 3
    for t in range(40):
        for s in range(3):
            move = points[t, s + 1] - points[t, s]
            i = int(np.abs(move).argmax())
            effects[t, i, 0] = (values[t, s + 1] - values[t, s]) / (np.sign(move[i]) * step)
    found = elementary_effects(effects)
    assert np.abs(found.mu - reference["mu"]).max() < 1e-10
    assert np.abs(found.mu_star - np.array(reference["mu_star"])).max() < 1e-10
    assert np.abs(found.sigma - np.array(reference["sigma"])).max() < 1e-10


def test_noise_of_sd_6_is_taken_out_of_total_indices() -> None:
    # The estimator's own standard deviation at 1,024 rows is .04 to .05; 8,192 rows make it a third of that.
    rng = np.random.default_rng(1)
    a, b, ab = design(8192, 1)
    A, B, AB = (noisy(x, 6.0, 4, rng) for x in (a, b, ab))
    found = sobol_indices(A, B, AB)
    assert np.abs(found.total - TOTAL).max() < 0.06
    assert np.abs(found.first - FIRST).max() < 0.06
    assert found.noise == pytest.approx(36, rel=0.02)
    assert found.stochastic_share == pytest.approx(36 / (36 + 13.845), abs=0.02)
    naive = sobol_indices(A, B, AB, correct=False)
    assert (naive.total > TOTAL + 0.1).all()


def test_intervals_of_noisy_indices_cover_the_truth() -> None:
    inside = np.zeros(3)
    for seed in range(60):
        rng = np.random.default_rng(seed)
        a, b, ab = design(256, seed)
        found = sobol_indices(*(noisy(x, 3.0, 3, rng) for x in (a, b, ab)), resamples=300, seed=seed)
        inside += (found.total_low <= TOTAL) & (found.total_high >= TOTAL)
    assert (inside >= 60 * 0.85).all()


def test_a_factor_that_does_nothing_has_an_index_of_zero() -> None:
    rng = np.random.default_rng(4)
    a, b, ab = design(1024, 2)
    dummy = noisy(a, 2.0, 3, rng)
    AB = np.concatenate([noisy(ab, 2.0, 3, rng), dummy[:, None]], axis=1)
    found = sobol_indices(noisy(a, 2.0, 3, rng), noisy(b, 2.0, 3, rng), AB)
    assert found.total_low[-1] < 0.0 < found.total_high[-1]
    assert abs(found.total[-1]) < 0.03


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_refused_wherever_it_is(place: int, value: float) -> None:
    a, b, ab = design(32, 1)
    arrays = [noisy(x, 1.0, 2, np.random.default_rng(1)) for x in (a, b, ab)]
    arrays[place].flat[5] = value
    with pytest.raises(ConfigurationError, match="all finite"):
        sobol_indices(*arrays)
    effects = np.ones((5, 3, 2))
    effects.flat[place] = value
    with pytest.raises(ConfigurationError, match="all finite"):
        elementary_effects(effects)


def test_an_outcome_that_does_not_vary_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="does not vary"):
        sobol_indices(np.ones((8, 1)), np.ones((8, 1)), np.ones((8, 2, 1)))


@pytest.mark.parametrize(
    "shapes",
    [((8, 1), (7, 1), (8, 2, 1)), ((8, 1), (8, 1), (8, 2, 2)), ((8,), (8, 1), (8, 2, 1)), ((1, 1), (1, 1), (1, 2, 1))],
)
def test_shapes_that_do_not_fit_are_refused(shapes: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(ConfigurationError, match="Sobol indices need"):
        sobol_indices(*(np.ones(s) for s in shapes))
    with pytest.raises(ConfigurationError, match="two trajectories"):
        elementary_effects(np.ones((1, 2, 1)))


def test_size_of_an_effect_has_no_noise_left_and_mu_star_has() -> None:
    rng = np.random.default_rng(7)
    true = np.array([2.0, 0.5, 0.0])
    effects = true[None, :, None] + rng.normal(0, 1.5, (400, 3, 4))
    found = elementary_effects(effects)
    assert found.size == pytest.approx(true, abs=0.25)
    assert found.size_low[0] > 1.8
    assert found.size_low[2] == 0.0
    assert found.mu_star[2] == pytest.approx(found.floor[2], rel=0.1)
    assert found.floor == pytest.approx(np.full(3, np.sqrt(2 / np.pi) * 1.5 / 2), rel=0.1)
    assert (found.spread < 0.3).all()


def test_one_replicate_leaves_noise_unknown() -> None:
    found = elementary_effects(np.random.default_rng(1).normal(size=(10, 2, 1)))
    assert np.isnan(found.floor).all()
    assert found.size == pytest.approx(np.sqrt(found.mu**2 + found.sigma**2 * 0.9))
