"""Bayesian heads are exact: against a dense reference, a refit, a batch and fresh predictions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mpbf_abm.learning.heads import MAX_NOISE, MAX_PRIOR, MIN_NOISE, MIN_PRIOR, Head, fit_head
from mpbf_abm.learning.linalg import features
from mpbf_abm.learning.models import frequencies
from mpbf_abm.streams import Streams

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]


def problem(n: int = 400, p: int = 60, noise: float = 0.3, seed: int = 0) -> tuple[Float32, Float, Float, Float32]:
    """Features of random points, a smooth target with noise, label variances, and features of other points."""
    rng = np.random.default_rng(seed)
    omega, phase = frequencies(Streams(seed), 0, 5, p)
    weights = (omega / 3).astype(np.float32)
    x = rng.normal(size=(n + 100, 5)).astype(np.float32)
    phi = features(x, weights, phase)
    y = np.sin(x[:n, 0]) + 0.5 * x[:n, 1] + 2.0 + noise * rng.normal(size=n)
    return phi[:n], y.astype(np.float64), rng.uniform(0.01, 0.2, n), phi[n:]


def dense(phi: Float32, y: Float, variance: Float, noise: float, prior: float, offset: float) -> tuple[Float, Float]:
    """Posterior of the weights in float64, through the space of observations instead of weights."""
    a = phi.astype(np.float64)
    total = a @ a.T / prior + np.diag(noise + variance)
    mean = a.T @ np.linalg.solve(total, y - offset) / prior
    covariance = np.eye(a.shape[1]) / prior - a.T @ np.linalg.solve(total, a) / prior**2
    return mean, covariance


def predictions(phi: Float32, mean: Float, covariance: Float, noise: float, offset: float) -> tuple[Float, Float]:
    a = phi.astype(np.float64)
    return a @ mean + offset, np.einsum("np,pq,nq->n", a, covariance, a) + noise


def refit(head: Head, phi: Float32, y: Float, variance: Float) -> Head:
    """Fit with the noise, prior and offset of another head."""
    mean, covariance = dense(phi, y, variance, head.noise, head.prior, head.offset)
    return Head(mean, covariance, head.noise, head.prior, head.offset)


# --------------------------------------------------------------------------- against a dense reference


@pytest.mark.parametrize(("n", "p"), [(1, 20), (15, 60), (400, 60), (900, 192)])
def test_the_posterior_equals_a_dense_reference(n: int, p: int) -> None:
    phi, y, variance, other = problem(n, p)
    head = fit_head(phi, y, variance)
    mean, covariance = dense(phi, y, variance, head.noise, head.prior, head.offset)
    np.testing.assert_allclose(head.mean, mean, atol=1e-7 * max(1, np.abs(mean).max()))
    np.testing.assert_allclose(head.covariance, covariance, atol=1e-9 + 1e-7 * np.abs(covariance).max())
    for rows in (phi, other):
        got, expected = head.predict(rows), predictions(rows, mean, covariance, head.noise, head.offset)
        np.testing.assert_allclose(got[0], expected[0], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(got[1], expected[1], rtol=1e-5, atol=1e-5)


def test_the_offset_is_the_weighted_mean_at_the_starting_noise() -> None:
    phi, y, variance, _ = problem()
    assert fit_head(phi, y, variance, noise=0.5).offset == pytest.approx(np.average(y, weights=1 / (0.5 + variance)))


def test_a_shrunken_offset_counts_half_at_its_number_of_records() -> None:
    phi, y, variance, _ = problem(40)
    plain = fit_head(phi, y, variance).offset
    assert fit_head(phi, y, variance, offset_shrink=40.0).offset == pytest.approx(plain / 2)
    assert fit_head(phi, y, variance, offset_shrink=10.0).offset == pytest.approx(plain * 0.8)


def test_a_shift_of_all_labels_shifts_predictions_and_nothing_else() -> None:
    phi, y, variance, other = problem()
    plain, shifted = fit_head(phi, y, variance), fit_head(phi, y + 3, variance)
    np.testing.assert_allclose(shifted.predict(other)[0], plain.predict(other)[0] + 3, atol=1e-4)
    np.testing.assert_allclose(shifted.predict(other)[1], plain.predict(other)[1], rtol=1e-4)


def test_the_order_of_records_is_irrelevant() -> None:
    phi, y, variance, other = problem()
    order = np.random.default_rng(1).permutation(len(y))
    np.testing.assert_allclose(
        fit_head(phi[order], y[order], variance[order]).predict(other),
        fit_head(phi, y, variance).predict(other),
        rtol=1e-4,
    )


def test_labels_of_large_variance_hardly_count() -> None:
    phi, y, variance, other = problem()
    wild, vague = y.copy(), variance.copy()
    wild[:50] += 100
    vague[:50] = 1e12
    with_wild = fit_head(phi, wild, vague).predict(other)[0]
    without = fit_head(phi[50:], y[50:], variance[50:]).predict(other)[0]
    np.testing.assert_allclose(with_wild, without, atol=0.02)


def test_one_more_record_hardly_moves_predictions() -> None:
    phi, y, variance, other = problem(900, 192)
    moved = fit_head(phi, y, variance).predict(other)[0] - fit_head(phi[:-1], y[:-1], variance[:-1]).predict(other)[0]
    assert np.sqrt(np.mean(moved**2)) < 0.01 * y.std()


def test_without_records_a_head_is_its_prior() -> None:
    head = fit_head(np.zeros((0, 7), np.float32), np.zeros(0), np.zeros(0), noise=0.4, prior=2.0)
    mean, variance = head.predict(np.ones((3, 7), np.float32))
    np.testing.assert_array_equal(mean, 0)
    np.testing.assert_allclose(variance, 7 / 2 + 0.4, rtol=1e-6)
    assert (head.noise, head.prior, head.offset) == (0.4, 2.0, 0.0)


def test_predictive_variance_shrinks_with_records_to_the_misfit_and_grows_far_away() -> None:
    phi, y, variance, _ = problem(900, 60)
    few, many = fit_head(phi[:30], y[:30], variance[:30]), fit_head(phi, y, variance)
    few = refit(many, phi[:30], y[:30], variance[:30])
    assert np.all(many.predict(phi)[1] <= few.predict(phi)[1] + 1e-6)
    assert np.all(many.predict(phi)[1] >= many.noise)


def test_a_mean_head_is_the_shrunken_weighted_mean() -> None:
    y, variance = np.random.default_rng(0).normal(5, 1, 400), np.full(400, 0.1)
    head = fit_head(np.ones((400, 1), np.float32), y, variance)
    mean, spread = head.predict(np.ones((2, 1), np.float32))
    np.testing.assert_allclose(mean, y.mean(), rtol=1e-5)
    assert head.noise == pytest.approx(y.var() - 0.1, rel=0.1)
    np.testing.assert_allclose(spread, head.noise + 1 / (head.prior + 400 / (head.noise + 0.1)), rtol=1e-5)


# --------------------------------------------------------------------------- evidence


@pytest.mark.parametrize("noise", [0.15, 0.4, 0.8, 1.4])
def test_evidence_finds_the_noise_of_the_data(noise: float) -> None:
    rng = np.random.default_rng(4)
    n, p = 4_000, 50
    phi = (rng.normal(size=(n, p)) / np.sqrt(p)).astype(np.float32)
    y = phi @ rng.normal(size=p) * 1.0 + noise * rng.normal(size=n)
    head = fit_head(phi, y.astype(np.float64), np.full(n, 1e-4))
    assert np.sqrt(head.noise) == pytest.approx(noise, rel=0.05)


def test_evidence_finds_what_is_left_beyond_the_claimed_variance() -> None:
    rng = np.random.default_rng(5)
    n, p = 4_000, 30
    phi = (rng.normal(size=(n, p)) / np.sqrt(p)).astype(np.float32)
    y = phi @ rng.normal(size=p) + np.sqrt(0.2 + 0.3) * rng.normal(size=n)
    assert fit_head(phi, y, np.full(n, 0.3)).noise == pytest.approx(0.2, rel=0.2)


def test_evidence_finds_the_scale_of_the_weights() -> None:
    rng = np.random.default_rng(6)
    n, p = 4_000, 200
    phi = (rng.normal(size=(n, p)) / np.sqrt(p)).astype(np.float32)
    y = phi @ (rng.normal(size=p) / np.sqrt(4.0)) + 0.1 * rng.normal(size=n)
    assert fit_head(phi, y, np.full(n, 1e-4)).prior == pytest.approx(4.0, rel=4.5 * np.sqrt(2 / p))


@pytest.mark.parametrize("scale", [0.0, 1e-6, 1e4])
def test_evidence_stays_within_its_limits(scale: float) -> None:
    phi, y, variance, other = problem()
    head = fit_head(phi, scale * y, variance)
    assert MIN_NOISE <= head.noise <= MAX_NOISE
    assert MIN_PRIOR <= head.prior <= MAX_PRIOR
    assert np.isfinite(head.predict(other)).all()


def test_evidence_of_a_few_labels_does_not_make_a_head_certain() -> None:
    """One label is its own mean: nothing is left to tell noise from, and nothing to tell how large weights are."""
    phi, y, variance, other = problem(30)
    for n in (1, 2, 7):
        head = fit_head(phi[:n], y[:n], variance[:n])
        assert (head.noise, head.prior) == (0.3, 1.0)
        assert head.predict(other)[1].min() > 0.3
        started = fit_head(phi[:n], y[:n], variance[:n], noise=0.2, prior=3.0, steps=1)
        assert (started.noise, started.prior) == (0.2, 3.0)
    assert fit_head(phi[:8], y[:8], variance[:8]).noise != 0.3


def test_a_calibrated_head_covers_as_it_claims() -> None:
    """The learner's own model of the data holds here, so 68 % must mean 68 %."""
    rng = np.random.default_rng(7)
    n, p, m = 600, 80, 2_000
    phi = (rng.normal(size=(n + m, p)) / np.sqrt(p)).astype(np.float32)
    y = phi @ rng.normal(size=p) + 0.5 * rng.normal(size=n + m)
    head = fit_head(phi[:n], y[:n], np.full(n, 1e-4))
    mean, variance = head.predict(phi[n:])
    inside = np.mean(np.abs(y[n:] - mean) < np.sqrt(variance))
    # One fitted noise serves all test points: its own error (sd about noise/sqrt(2n)) adds to the binomial one.
    assert abs(inside - 0.6827) < 4.5 * np.sqrt(0.6827 * 0.3173 / m + (0.484 / np.sqrt(2 * n)) ** 2)


# --------------------------------------------------------------------------- fine-tuning


@pytest.mark.parametrize("r", [1, 2, 7])
def test_a_full_correction_equals_a_refit(r: int) -> None:
    phi, y, variance, other = problem(300 + r)
    base = fit_head(phi[:300], y[:300], variance[:300])
    tuned = Head(base.mean, base.covariance, base.noise, base.prior, base.offset)
    new = slice(300, 300 + r)
    residual = y[new] - (phi[new].astype(np.float64) @ base.mean + base.offset)
    tuned.update(phi[new], residual, variance[new] + base.noise, 1.0)
    whole = refit(base, phi, y, variance)
    np.testing.assert_allclose(tuned.mean, whole.mean, atol=1e-7)
    np.testing.assert_allclose(tuned.covariance, whole.covariance, atol=1e-9)
    for got, expected in zip(tuned.predict(other), whole.predict(other), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_corrections_in_turn_equal_one_batch() -> None:
    phi, y, variance, _ = problem(306)
    base = fit_head(phi[:300], y[:300], variance[:300])
    heads = [Head(base.mean, base.covariance, base.noise, base.prior, base.offset) for _ in range(2)]
    for rows in ([300], [301, 302], [303, 304, 305]):
        a = phi[rows].astype(np.float64)
        heads[0].update(phi[rows], y[rows] - a @ heads[0].mean - base.offset, variance[rows] + base.noise, 1.0)
    rows = [305, 303, 304, 302, 301, 300]
    a = phi[rows].astype(np.float64)
    heads[1].update(phi[rows], y[rows] - a @ base.mean - base.offset, variance[rows] + base.noise, 1.0)
    np.testing.assert_allclose(heads[0].mean, heads[1].mean, atol=1e-9)
    np.testing.assert_allclose(heads[0].covariance, heads[1].covariance, atol=1e-11)


@given(st.floats(0, 2), st.integers(1, 5), st.integers(0, 50))
def test_a_partial_correction_moves_its_share_of_the_way(c: float, r: int, seed: int) -> None:
    phi, y, variance, _ = problem(60 + r, 20, seed=seed)
    base = fit_head(phi[:60], y[:60], variance[:60])
    full, part = (Head(base.mean, base.covariance, base.noise, base.prior, base.offset) for _ in range(2))
    new = slice(60, 60 + r)
    residual = y[new] - phi[new].astype(np.float64) @ base.mean - base.offset
    full.update(phi[new], residual, variance[new] + base.noise, 1.0)
    part.update(phi[new], residual, variance[new] + base.noise, c)
    np.testing.assert_allclose(part.mean - base.mean, c * (full.mean - base.mean), atol=1e-10)
    shrunk = min(c, 1.0) * (full.covariance - base.covariance)
    np.testing.assert_allclose(part.covariance - base.covariance, shrunk, atol=1e-10)
    assert np.linalg.eigvalsh(part.covariance).min() > 0


def test_a_correction_pulls_predictions_toward_the_label() -> None:
    phi, y, variance, other = problem(300)
    head = fit_head(phi, y, variance)
    mean, spread = head.predict(other[:1])
    head.update(other[:1], np.array([2.0]), np.array([0.01 + head.noise]), 1.0)
    after, narrower = head.predict(other[:1])
    assert mean[0] < after[0] < mean[0] + 2
    assert narrower[0] < spread[0]


@pytest.mark.parametrize("c", [0.0, 0.3, 1.0, 1.7])
def test_cached_predictions_equal_fresh_ones_after_many_corrections(c: float) -> None:
    phi, y, variance, panel = problem(340)
    head = fit_head(phi[:300], y[:300], variance[:300])
    mean, spread = head.predict(panel)
    for start in range(300, 340, 4):
        rows = slice(start, start + 4)
        residual = y[rows] - head.predict(phi[rows])[0]
        head.update(phi[rows], residual.astype(np.float64), variance[rows] + head.noise, c).apply(panel, mean, spread)
    fresh = head.predict(panel)
    np.testing.assert_allclose(mean, fresh[0], atol=2e-5)
    np.testing.assert_allclose(spread, fresh[1], atol=2e-5)


def test_a_correction_leaves_a_head_that_shares_its_arrays_alone() -> None:
    phi, y, variance, other = problem(60, 20)
    base = fit_head(phi, y, variance)
    twin = Head(base.mean, base.covariance, base.noise, base.prior, base.offset)
    before = base.predict(other)[0].copy()
    twin.update(phi[:1], np.array([5.0]), np.array([0.1]), 1.0)
    np.testing.assert_array_equal(base.predict(other)[0], before)


# --------------------------------------------------------------------------- frequencies


def test_frequencies_follow_the_lineage_and_a_smaller_model_starts_alike() -> None:
    a, b, c = (frequencies(Streams(1), lineage, 6, 50) for lineage in (0, 0, 1))
    np.testing.assert_array_equal(a[0], b[0])
    np.testing.assert_array_equal(a[1], b[1])
    assert not np.isin(a[0], c[0]).any()
    assert a[0].shape == (6, 50)
    small = frequencies(Streams(1), 0, 6, 20)
    np.testing.assert_array_equal(small[0], a[0][:, :20])
    np.testing.assert_array_equal(small[1], a[1][:20])
    assert a[1].min() >= 0
    assert a[1].max() <= np.float32(2 * np.pi)


def test_frequencies_give_the_matern_kernel() -> None:
    omega, _ = frequencies(Streams(0), 3, 4, 60_000)
    for distance in (0.5, 1.0, 2.0):
        waves = np.cos(omega.T @ np.array([distance, 0, 0, 0]))
        s = np.sqrt(5) * distance
        assert abs(waves.mean() - (1 + s + s * s / 3) * np.exp(-s)) < 4.5 * waves.std() / np.sqrt(len(waves))
