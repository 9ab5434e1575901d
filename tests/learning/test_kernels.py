"""Kernels are learned by exact gradients, find the columns that matter, and stay at the prior without evidence."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import multivariate_normal

from mpbf_abm.learning import kernels
from mpbf_abm.learning.kernels import FIXED, NOISE, learned, matern, misfit, prior

Float = NDArray[np.float64]


def draw(n: int, lengths: tuple[float, ...], noise: float = 0.05, seed: int = 0) -> tuple[Float, Float]:
    """Points, and labels that follow the kernel itself."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 3, (n, len(lengths)))
    factor = np.linalg.cholesky(matern(x / lengths, x / lengths) + noise**2 * np.eye(n))
    return x, factor @ rng.normal(size=n)


def test_the_misfit_is_that_of_the_normal_distribution_and_its_gradient_is_exact() -> None:
    rng = np.random.default_rng(1)
    x, z = draw(20, (1.0, 2.0, 0.5))
    variance = rng.uniform(0, 0.2, 20)

    def density(at: Float) -> float:
        covariance = np.exp(at[3]) * matern(x / np.exp(at[:3]), x / np.exp(at[:3]))
        likelihood = multivariate_normal(np.zeros(20), covariance + np.diag(np.exp(at[4]) + variance)).logpdf(z)
        centre, below, above = prior(3)
        return float(
            likelihood - 0.5 * sum((gap / (above if gap > 0 else below)[i]) ** 2 for i, gap in enumerate(at - centre))
        )

    at, other = (prior(3)[0] + rng.normal(0, 0.5, 5) for _ in range(2))
    value, gradient = misfit(at, x, z, variance)
    assert value - misfit(other, x, z, variance)[0] == pytest.approx(density(other) - density(at))
    steps = 1e-5 * np.eye(5)
    slopes = [(misfit(at + s, x, z, variance)[0] - misfit(at - s, x, z, variance)[0]) / 2e-5 for s in steps]
    np.testing.assert_allclose(gradient, slopes, rtol=1e-6, atol=1e-6)


def test_lengths_noise_and_signal_are_recovered() -> None:
    x, y = draw(300, (0.5, 1.0, 60.0, 60.0), noise=0.3, seed=1)
    kernel = learned(x, 7.0 + 5.0 * y, np.zeros(300))
    assert kernel.lengths[0] == pytest.approx(0.5, rel=0.3)
    assert kernel.lengths[1] == pytest.approx(1.0, rel=0.4)
    assert kernel.lengths[2:].min() > 3
    assert np.sqrt(kernel.noise) == pytest.approx(1.5, rel=0.15)
    assert kernel.amplitude == pytest.approx(5.0, rel=0.3)
    # Noise that is known is not learned once more.
    assert learned(x, 7.0 + 5.0 * y, np.full(300, 1.5**2)).noise < 0.4


def test_without_evidence_the_prior_decides() -> None:
    x, y = draw(40, (1.0, 1.0, 1.0))
    one = learned(x[:1], y[:1], np.zeros(1))
    np.testing.assert_allclose(one.lengths, 1.0)
    few = learned(x[:4], y[:4], np.zeros(4))
    assert np.abs(np.log(few.lengths)).max() < 0.5
    # A column that does not vary keeps its length, and columns that are alike share one.
    kernel = learned(np.stack([x[:, 0], x[:, 0], np.ones(40)], axis=1), np.sin(3 * x[:, 0]), np.zeros(40))
    assert kernel.lengths[0] == pytest.approx(kernel.lengths[1])
    assert kernel.lengths[2] == pytest.approx(1.0)


@pytest.mark.parametrize("kind", ["duplicates", "same labels", "levels", "no noise", "heavy tails"])
def test_hard_inputs_give_kernels_that_predict(kind: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 3, (60, 3))
    y = np.sin(2 * x[:, 0])
    if kind == "duplicates":
        x[30:], y[30:] = x[:30], y[:30]
    elif kind == "same labels":
        y[:] = 2.5
    elif kind == "levels":
        x = np.eye(3)[rng.integers(3, size=60)]
        y = x @ [0.0, 1.0, 3.0]
    elif kind == "heavy tails":
        y = np.exp(8 * rng.normal(size=60))
    kernel = learned(x, y, np.zeros(60))
    assert kernel.amplitude is not None
    assert np.isfinite([*kernel.lengths, kernel.noise, kernel.amplitude]).all()
    z = x / kernel.lengths
    inner = matern(z, z) + kernel.noise / kernel.unit * np.eye(60)
    fitted = y.mean() + (inner - kernel.noise / kernel.unit * np.eye(60)) @ np.linalg.solve(inner, y - y.mean())
    assert np.isfinite(fitted).all()
    if kind in ("duplicates", "no noise", "levels"):
        np.testing.assert_allclose(fitted, y, atol=0.1 * y.std())


def test_a_warm_start_finds_the_same_kernel_in_fewer_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = draw(60, (0.5, 4.0))
    count = 0

    def counted(*given: Float) -> tuple[float, Float]:
        nonlocal count
        count += 1
        return misfit(*given)

    monkeypatch.setattr(kernels, "misfit", counted)
    cold, spent, count = learned(x, y, np.zeros(60)), count, 0
    warm = learned(x, y, np.zeros(60), cold)
    assert count < spent
    np.testing.assert_allclose(np.log(warm.lengths), np.log(cold.lengths), atol=0.2)
    # A start that has gone astray is left.
    lost = kernels.Kernel(logarithms=np.array([5.0, -5.0, 3.0, 3.0]))
    assert learned(x, y, np.zeros(60), lost).lengths.tolist() == cold.lengths.tolist()


def test_of_many_labels_evenly_spaced_ones_are_learned_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "MOST_LEARNED", 5)
    x, y = draw(41, (1.0, 1.0))
    some = slice(None, None, 10)
    offset, scale = kernels.offset_and_scale(y)
    shift = np.concatenate([y[some], [0.0]])  # labels are standardised by all of them
    assert len(shift) == 6
    few = learned(x, y, np.zeros(41))
    best = few.logarithms
    assert best is not None
    start = misfit(prior(2)[0], x[some], (y[some] - offset) / scale, np.zeros(5))[0]
    assert misfit(best, x[some], (y[some] - offset) / scale, np.zeros(5))[0] < start


def test_the_fixed_kernel_takes_the_scale_of_the_labels() -> None:
    y = np.array([1.0, 3.0])
    assert FIXED.offset_and_scale(y) == (2.0, 1.0)
    assert (FIXED.unit, FIXED.noise) == (1.0, NOISE)
    assert kernels.Kernel(amplitude=3.0).offset_and_scale(y) == (2.0, 3.0)
