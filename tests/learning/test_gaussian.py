"""The growing Gaussian process equals the textbook's, computed anew each time; a correction equals a refit."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from numpy.typing import NDArray

from mpbf_abm import Ecosystem, MaterialsSpace, Parameters
from mpbf_abm.learning.encoders import descriptor_encoder, train_encoder
from mpbf_abm.learning.gaussian import GaussianProcess, GrowingPosterior, coordinate_map, coordinates, fit_gaussian
from mpbf_abm.learning.kernels import MIN_SCALE, NOISE, Kernel, matern

Float = NDArray[np.float64]


def textbook(x: Float, y: Float, noise: Float, at: Float) -> tuple[Float, Float]:
    """Posterior mean and variance as in Rasmussen and Williams (2006), equations 2.25 and 2.26, labels standardised."""

    def kernel(a: Float, b: Float) -> Float:
        out = np.empty((len(a), len(b)))
        for i, p in enumerate(a):
            for j, q in enumerate(b):
                r = np.sqrt(((p - q) ** 2).sum())
                out[i, j] = (1 + np.sqrt(5) * r + 5 * r**2 / 3) * np.exp(-np.sqrt(5) * r)
        return out

    offset, scale = y.mean(), max(y.std(), MIN_SCALE)
    z = (y - offset) / scale
    inverse = np.linalg.inv(kernel(x, x) + np.diag(noise))
    cross = kernel(at, x)
    mean = offset + scale * cross @ inverse @ z
    variance = scale**2 * (1 - np.einsum("ij,jk,ik->i", cross, inverse, cross)) + NOISE
    return mean, variance


def problem(n: int = 30, seed: int = 0, k: int = 3) -> tuple[Float, Float, Float, Float]:
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 2, (n + 40, k)).astype(np.float32)
    y = (np.sin(2 * x[:, 0]) + x[:, 1] ** 2 + 5).astype(np.float32)
    return x[:n], y[:n].astype(np.float64), rng.uniform(0.0, 0.3, n), x[n:]


def test_the_kernel_is_matern_five_halves() -> None:
    from scipy.special import gamma, kv

    r = np.array([0.1, 0.5, 1.0, 3.0])
    z = np.sqrt(5) * r
    expected = 2 ** (1 - 2.5) / gamma(2.5) * z**2.5 * kv(2.5, z)
    np.testing.assert_allclose(matern(np.zeros((1, 1)), r[:, None])[0], expected, rtol=1e-12)
    assert matern(np.ones((1, 4)), np.ones((1, 4)))[0, 0] == 1.0


def test_a_fit_is_the_textbook_posterior() -> None:
    x, y, v, at = problem()
    mean, variance = fit_gaussian(x, y, v).predict(at)
    expected_mean, expected_variance = textbook(x.astype(float), y, v + NOISE, at.astype(float))
    np.testing.assert_allclose(mean, expected_mean, atol=2e-6)
    np.testing.assert_allclose(variance, expected_variance, atol=2e-6)


LEARNED = Kernel(np.array([0.5, 2.0, 1.0]), 0.04, 3.0)


def test_with_a_kernel_of_its_own_a_pool_has_the_textbook_posterior_entered_together_or_one_by_one() -> None:
    x, y, _, _ = problem(24)
    together, single = (GrowingPosterior(x, 24, LEARNED) for _ in range(2))
    together.observe_all(list(range(8)), y[:8], 0.3 + LEARNED.noise)
    for row in range(12):
        single.observe(row, y[row], 0.3 + LEARNED.noise)
        if row >= 8:
            together.observe(row, y[row], 0.3 + LEARNED.noise)
    # With a scale of its own the textbook's is of labels whose spread is that scale.
    inner = 9.0 * matern(x[:12] / LEARNED.lengths, x[:12] / LEARNED.lengths) + (0.3 + 0.04) * np.eye(12)
    cross = 9.0 * matern(x.astype(float) / LEARNED.lengths, x[:12] / LEARNED.lengths)
    mean = y[:12].mean() + cross @ np.linalg.solve(inner, y[:12] - y[:12].mean())
    variance = 9.0 - np.einsum("ij,ji->i", cross, np.linalg.solve(inner, cross.T)) + 0.04
    for posterior in (together, single):
        np.testing.assert_allclose(posterior.predict()[0], mean, atol=1e-5)
        np.testing.assert_allclose(posterior.predict()[1], variance, atol=1e-5)
        draw = posterior.sample(np.zeros(len(x), np.float32), np.zeros(12))
        np.testing.assert_allclose(draw, mean, atol=1e-5)
    noise = np.random.default_rng(0).normal(size=12)
    moved = together.sample(np.zeros(len(x), np.float32), noise)
    np.testing.assert_allclose(moved, mean - cross @ np.linalg.solve(inner, noise), atol=1e-5)


def test_a_head_learns_its_kernel_and_is_corrected_exactly() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(60, 4)).astype(np.float32)
    y, v = np.sin(2 * x[:, 0].astype(float)), rng.uniform(0, 0.1, 60)
    encoder = train_encoder(x, np.ones_like(x), "masked", 4, np.ones(4))
    weights, shift = coordinate_map(encoder, 0.7)
    head = fit_gaussian(coordinates(x[:50], weights, shift), y[:50], v[:50], learns=True)
    assert (head.kernel.lengths != 1).all()
    phi = head.features(x, weights, shift)
    mean, variance = head.predict(phi)
    kernel = head.kernel.unit * matern(phi[:50].astype(float), phi[:50].astype(float))
    expected = np.linalg.solve(kernel + np.diag(v[:50] + head.noise), y[:50] - y[:50].mean())
    np.testing.assert_allclose(mean[:50], y[:50].mean() + kernel @ expected, atol=1e-4)
    residual = (y[50:] - mean[50:]).astype(np.float32).astype(float)
    change = head.update(phi[50:], residual, v[50:] + head.noise, 1.0)
    change.apply(phi, mean, variance)
    for cached, now in zip((mean, variance), head.predict(phi), strict=True):
        np.testing.assert_allclose(cached, now, atol=1e-5)
    at, step = x[0], 1e-2
    ends = np.stack([at + sign * step * np.eye(4, dtype=np.float32)[j] for j in range(4) for sign in (1, -1)])
    values = head.centred(head.features(ends, weights, shift)).astype(float).reshape(4, 2)
    np.testing.assert_allclose(head.slope(at, weights, shift), (values[:, 0] - values[:, 1]) / (2 * step), atol=5e-3)


def test_the_posterior_of_a_pool_is_the_textbook_posterior_after_every_label() -> None:
    x, y, v, _ = problem(24)
    posterior = GrowingPosterior(x, 24)
    for n, row in enumerate(np.random.default_rng(1).permutation(24)):
        posterior.observe(int(row), float(y[row]), float(v[row]) + NOISE)
        if n in (0, 1, 5, 23):
            rows = posterior.rows
            mean, variance = posterior.predict()
            expected = textbook(x[rows].astype(float), y[rows], v[rows] + NOISE, x.astype(float))
            np.testing.assert_allclose(mean, expected[0], atol=2e-6)
            np.testing.assert_allclose(variance, expected[1], atol=2e-6)


def test_corrections_at_full_strength_equal_a_refit_and_follow_on_caches() -> None:
    x, y, v, at = problem()
    head = fit_gaussian(x[:10], y[:10], v[:10])
    mean, variance = head.predict(at)
    for part in (slice(10, 11), slice(11, 15), slice(15, 30)):
        predicted = head.predict(x[part])[0]
        change = head.update(x[part], (y[part] - predicted).astype(np.float32).astype(float), v[part] + NOISE, 1.0)
        change.apply(at, mean, variance)
    refit = fit_gaussian(x, y, v)
    for got, expected in zip(head.predict(at), refit.predict(at), strict=True):
        np.testing.assert_allclose(got, expected, atol=3e-6)
    np.testing.assert_allclose(mean, refit.predict(at)[0], atol=5e-6)
    np.testing.assert_allclose(variance, refit.predict(at)[1], atol=5e-6)
    np.testing.assert_allclose(head.labels, y, rtol=2e-7)


@pytest.mark.parametrize("strength", [0.4, 1.5])
def test_corrections_of_other_strength_move_mean_and_covariance_by_their_share(strength: float) -> None:
    x, y, v, at = problem()
    head = fit_gaussian(x[:20], y[:20], v[:20])
    # Labels whose mean and spread are those of the old ones leave offset and scale where they are.
    new = np.array([head.labels.mean() - head.scale, head.labels.mean() + head.scale])
    predicted = head.predict(x[20:22])[0].astype(float)
    rows = np.concatenate([at, x[20:22]])
    joint = head.joint(rows).astype(float) / head.scale**2
    before = head.predict(at)
    cross, inner = joint[:-2, -2:], joint[-2:, -2:] + np.diag(v[20:22] + NOISE)
    gain = cross @ np.linalg.inv(inner)
    change = head.update(x[20:22], new - predicted, v[20:22] + NOISE, strength)
    cached = (before[0].copy(), before[1].copy())
    change.apply(at, *cached)
    mean, variance = head.predict(at)
    np.testing.assert_allclose(mean, before[0] + strength * gain @ (new - predicted), atol=2e-5)
    lowered = min(1.0, strength) * np.einsum("ij,ij->i", gain, cross) * head.scale**2
    np.testing.assert_allclose(variance, before[1] - lowered, atol=2e-5)
    np.testing.assert_allclose(cached[0], mean, atol=1e-5)
    np.testing.assert_allclose(cached[1], variance, atol=1e-5)


def test_a_correction_leaves_copies_alone() -> None:
    x, y, v, at = problem()
    head = fit_gaussian(x[:10], y[:10], v[:10])
    other, before = copy.copy(head), head.predict(at)
    head.update(x[10:12], np.ones(2), np.full(2, 0.1), 1.0)
    assert np.array_equal(other.predict(at)[0], before[0])
    assert not np.array_equal(head.predict(at)[0], before[0])


def test_the_slope_is_the_gradient_of_the_mean() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(50, 4)).astype(np.float32)
    encoder = train_encoder(x, np.ones_like(x), "masked", 4, np.ones(4))
    weights, shift = coordinate_map(encoder, 0.7)
    head = fit_gaussian(coordinates(x, weights, shift), np.sin(x[:, 0].astype(float)) + x[:, 1], np.zeros(50))
    at, step = x[0].copy(), 1e-2
    ends = np.stack([at + sign * step * np.eye(4, dtype=np.float32)[j] for j in range(4) for sign in (1, -1)])
    values = head.centred(coordinates(ends, weights, shift)).astype(float).reshape(4, 2)
    np.testing.assert_allclose(head.slope(at, weights, shift), (values[:, 0] - values[:, 1]) / (2 * step), atol=5e-3)


def test_joint_covariance_agrees_with_variances_and_comes_in_sets() -> None:
    x, y, v, at = problem()
    head = fit_gaussian(x, y, v)
    sets = at.reshape(4, 10, 3)
    joint = head.joint(sets)
    assert joint.shape == (4, 10, 10)
    np.testing.assert_allclose(np.diagonal(joint, axis1=1, axis2=2).ravel() + NOISE, head.predict(at)[1], atol=2e-6)
    assert np.linalg.eigvalsh(joint.astype(float)).min() > -1e-6


@pytest.mark.parametrize("n", [0, 1])
def test_few_labels(n: int) -> None:
    x, y, v, at = problem()
    mean, variance = fit_gaussian(x[:n], y[:n], v[:n]).predict(at)
    assert np.isfinite(mean).all()
    assert (variance > 0).all()
    assert fit_gaussian(x[:n], y[:n], v[:n], offset_shrink=10.0).offset == pytest.approx(y[0] / 11 if n else 0.0)


@pytest.mark.parametrize("kind", ["same point", "nearly the same", "same labels", "heavy tails", "one column"])
def test_hard_inputs_stay_finite_and_sensible(kind: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 3, (300, 1 if kind == "one column" else 4)).astype(np.float32)
    y = rng.normal(size=300)
    if kind == "same point":
        x[:] = x[0]
    elif kind == "nearly the same":
        x = x[:1] + 1e-6 * x
    elif kind == "same labels":
        y[:] = 2.5
    elif kind == "heavy tails":
        y = np.exp(4 * y)
    posterior, head = GrowingPosterior(x, 250), fit_gaussian(x[:1], y[:1], np.zeros(1))
    posterior.observe(0, y[0], NOISE)
    for i in range(1, 250):
        posterior.observe(i, float(y[i]), NOISE)
    head = fit_gaussian(x[:250], y[:250], np.zeros(250))
    for mean, variance in (posterior.predict(), head.predict(x)):
        assert np.isfinite(mean).all()
        assert (variance >= np.float32(NOISE)).all()
    np.testing.assert_allclose(
        posterior.predict()[0], head.predict(x)[0], rtol=1e-4, atol=1e-4 * max(1, np.abs(y).max())
    )
    if kind == "same labels":
        np.testing.assert_allclose(posterior.predict()[0], 2.5, atol=1e-6)
    if kind == "same point":
        assert posterior.predict()[0] == pytest.approx(y[:250].mean(), abs=1e-3)


def test_samples_have_the_posterior_mean_and_variance() -> None:
    rng = np.random.default_rng(5)
    x = rng.uniform(0, 2, (25, 2)).astype(np.float32)
    posterior = GrowingPosterior(x, 10)
    for i in range(10):
        posterior.observe(i, float(np.sin(3 * x[i, 0])), NOISE)
    half = np.linalg.cholesky(matern(x.astype(float), x.astype(float)) + 1e-9 * np.eye(25))
    draws = np.array(
        [
            posterior.sample((half @ rng.normal(size=25)).astype(np.float32), np.sqrt(NOISE) * rng.normal(size=10))
            for _ in range(4_000)
        ]
    )
    mean, variance = posterior.predict()
    sd = np.sqrt(variance - NOISE)
    assert np.abs((draws.mean(axis=0) - mean) / (sd / np.sqrt(4_000))).max() < 4.5
    assert np.abs(draws.std(axis=0) / sd - 1).max() < 0.07


def test_descriptors_without_pretraining_become_a_unit_box() -> None:
    space = MaterialsSpace.synthetic(Parameters.preset("single-quick"), seed=1, materials=300, families=5)
    encoder = descriptor_encoder(space.span, np.ones(space.width))
    rows = space.ambient_rows(np.arange(300), np.zeros((300, space.dims["gauge"]), np.float32))
    z = coordinates(rows, *coordinate_map(encoder, 1.0)) * np.sqrt(encoder.k)
    stored = np.ones(space.width, bool)
    stored[space.ambient["gauge"]] = False
    np.testing.assert_allclose(np.ptp(z[:, stored], axis=0), 1.0, rtol=1e-5)
    assert descriptor_encoder(space.span, stored.astype(float)).k == stored.sum()


@pytest.mark.parametrize(
    "changes",
    [
        {"trainers.objective": "mixed", "planners.source": "inverse", "trainers.scale": 2.0},
        {"planners.acquisition": "thompson", "trainers.physical_prior": True, "coupling.correction": 0.6},
        {"trainers.objective": "none", "planners.acquisition": "ucb", "coupling.pseudo_share": 0.5},
        {"trainers.head": "gaussian_process_ard", "planners.source": "inverse"},
    ],
)
def test_a_community_runs_on_gaussian_processes_and_keeps_its_caches(changes: dict[str, object]) -> None:
    p = Parameters.preset("single-quick").updated(
        {
            "space.materials": 400,
            "space.families": 6,
            "founding.records": 120,
            "trainers.head": "gaussian_process",
            "trainers.retrain_interval": 4,
            **changes,
        }
    )
    eco = Ecosystem(p, seed=2)
    for _ in range(6):
        eco.step()
    for _, model in eco.world.models():
        assert isinstance(model.head, GaussianProcess)
        mean, variance = model.head.predict(model.panel_phi)
        base = eco.world.truth.simulated[model.panel.materials.ravel()] if model.simulated_base else 0.0
        np.testing.assert_allclose(model.panel_mean.ravel(), mean + base, atol=1e-4)
        np.testing.assert_allclose(model.panel_variance.ravel(), variance, atol=1e-4)
    here = eco.snapshot()
    eco.step()
    again = Ecosystem.restore(here)
    again.step()
    assert again.recorder.series[-1][1] == pytest.approx(eco.recorder.series[-1][1], nan_ok=True, abs=0)
    eco.release()
    again.release()
