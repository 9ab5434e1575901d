"""Encoders keep the directions that the optimum of their objective keeps."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from mpbf_abm.arrays import recording
from mpbf_abm.learning.encoders import Encoder, train_encoder
from mpbf_abm.learning.linalg import features, gram, inverse, leading_directions, quadratic

Float = NDArray[np.float64]
N, D = 3_000, 9
GAUGE = slice(6, 9)
ONES = np.ones((N, D), np.float32)
PLAIN = np.ones(D)


def corpus(seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Two views of the same materials: columns 0-5 agree (falling variance), 6-8 a strong gauge redrawn per view."""
    rng = np.random.default_rng(seed)
    causal = rng.normal(size=(N, 6)) * np.array([2.0, 1.5, 1.2, 1.0, 0.3, 0.2])
    views = [np.concatenate([causal, 3 * rng.normal(size=(N, 3))], axis=1).astype(np.float32) for _ in range(2)]
    return views[0], views[1]


def onto(directions: Float) -> Float:
    return directions @ directions.T


def kept(encoder: Encoder, columns: slice) -> float:
    """Squared length of the kept subspace within some columns."""
    return float((encoder.directions[columns] ** 2).sum())


# --------------------------------------------------------------------------- objectives


@pytest.mark.parametrize("k", [1, 3, 6, 9])
def test_masked_reconstruction_is_principal_component_analysis(k: int) -> None:
    x, _ = corpus()
    gains = np.random.default_rng(1).uniform(0.2, 1, (N, D)).astype(np.float32)
    scale = np.array([1, 1, 1, 1, 1, 1, 0.5, 0.5, 0.5])
    encoder = train_encoder(x, gains, "masked", k, scale)
    seen = (x - x.mean(axis=0)) * scale * gains
    svd = np.linalg.svd(seen.astype(np.float64), full_matrices=False)[2][:k].T
    np.testing.assert_allclose(onto(encoder.directions), onto(svd), atol=1e-4)
    np.testing.assert_allclose(np.abs(np.sum(encoder.directions * svd, axis=0)), 1, atol=1e-4)


@pytest.mark.parametrize("objective", ["masked", "contrastive", "fusion", "graph"])
def test_an_encoder_is_whole(objective: str) -> None:
    x, y = corpus()
    gains = np.random.default_rng(2).uniform(0.2, 1, (N, D)).astype(np.float32)
    encoder = train_encoder(x, gains, objective, 4, PLAIN, second_view=y, second_gains=ONES, smoothed=x)
    assert encoder.k == 4
    np.testing.assert_allclose(encoder.directions.T @ encoder.directions, np.eye(4), atol=1e-10)
    np.testing.assert_allclose(encoder.centre, x.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(encoder.gains, np.sqrt((gains**2).mean(axis=0)), rtol=1e-5)
    along = ((x - x.mean(axis=0)) @ encoder.directions).std(axis=0)
    np.testing.assert_allclose(encoder.spread, along, rtol=1e-3)


def test_more_directions_than_columns_are_not_kept() -> None:
    assert train_encoder(corpus()[0], ONES, "masked", 50, PLAIN).k == D


def test_contrastive_learning_drops_the_gauge_that_masking_keeps() -> None:
    x, y = corpus()
    masked = train_encoder(x, ONES, "masked", 3, PLAIN)
    contrastive = train_encoder(x, ONES, "contrastive", 3, PLAIN, second_view=y, second_gains=ONES)
    assert kept(masked, GAUGE) > 2.99
    assert kept(contrastive, GAUGE) < 0.02
    assert kept(contrastive, slice(0, 3)) > 2.9


def test_contrastive_learning_finds_the_shared_direction_however_weak_its_variance() -> None:
    rng = np.random.default_rng(3)
    common = rng.normal(size=N)
    direction = np.array([0.6, 0.8, 0, 0, 0])
    x, y = (np.outer(common, direction) + np.array([0, 0, 2.0, 2.0, 2.0]) * rng.normal(size=(N, 5)) for _ in range(2))
    ones = np.ones((N, 5), np.float32)
    encoder = train_encoder(
        x.astype(np.float32), ones, "contrastive", 1, np.ones(5), second_view=y.astype(np.float32), second_gains=ones
    )
    assert abs(encoder.directions[:, 0] @ direction) > 0.99


@pytest.mark.parametrize(("weight", "objective"), [(0.0, "masked"), (1.0, "contrastive")])
def test_fusion_ends_at_its_two_parts(weight: float, objective: str) -> None:
    x, y = corpus()
    views = {"second_view": y, "second_gains": ONES}
    fused = train_encoder(x, ONES, "fusion", 3, PLAIN, fusion_weight=weight, **views)
    np.testing.assert_allclose(
        onto(fused.directions), onto(train_encoder(x, ONES, objective, 3, PLAIN, **views).directions), atol=1e-6
    )


def test_fusion_keeps_less_gauge_the_more_contrastive_it_is() -> None:
    x, y = corpus()
    x, y = x * np.float32([1, 1, 1, 1, 1, 1, 0.6, 0.5, 0.4]), y * np.float32([1, 1, 1, 1, 1, 1, 0.6, 0.5, 0.4])
    shares = [
        kept(train_encoder(x, ONES, "fusion", 4, PLAIN, second_view=y, second_gains=ONES, fusion_weight=w), GAUGE)
        for w in (0.0, 0.3, 0.6, 1.0)
    ]
    assert all(a >= b - 1e-9 for a, b in pairwise(shares))
    assert shares[0] > 1.9
    assert shares[-1] < 0.05


def test_a_graph_encoder_is_masked_reconstruction_of_smoothed_descriptors() -> None:
    x, _ = corpus()
    smoothed = x.copy()
    smoothed[:, GAUGE] *= 0.1  # neighbours in other orientations average the gauge out
    graph = train_encoder(x, ONES, "graph", 3, PLAIN, smoothed=smoothed)
    masked = train_encoder(smoothed, ONES, "masked", 3, PLAIN)
    np.testing.assert_allclose(onto(graph.directions), onto(masked.directions), atol=1e-6)
    assert kept(graph, GAUGE) < 0.01
    np.testing.assert_allclose(graph.centre, x.mean(axis=0), atol=1e-5)
    unsmoothed = train_encoder(x, ONES, "graph", 3, PLAIN, smoothed=x)
    np.testing.assert_allclose(
        onto(unsmoothed.directions), onto(train_encoder(x, ONES, "masked", 3, PLAIN).directions), atol=1e-6
    )


def test_an_encoder_keeps_what_its_corpus_shows() -> None:
    x, _ = corpus()
    gains = ONES.copy()
    gains[:, :3] = 0.01
    gains[:, GAUGE] = 0.01
    encoder = train_encoder(x, gains, "masked", 3, PLAIN)
    assert kept(encoder, slice(3, 6)) > 2.9
    np.testing.assert_allclose(encoder.gains, gains[0], rtol=1e-5)


@pytest.mark.parametrize("objective", ["masked", "contrastive", "fusion"])
def test_full_invariance_removes_the_gauge(objective: str) -> None:
    x, y = corpus()
    scale = PLAIN.copy()
    scale[GAUGE] = 0.0
    encoder = train_encoder(x, ONES, objective, 6, scale, second_view=y, second_gains=ONES)
    turned = x.copy()
    turned[:, GAUGE] = y[:, GAUGE]
    np.testing.assert_array_equal(encoder.latent(turned), encoder.latent(x))
    np.testing.assert_array_equal(encoder.projection()[GAUGE], 0)
    np.testing.assert_allclose(kept(encoder, GAUGE), 0, atol=1e-12)


def test_more_invariance_keeps_less_gauge() -> None:
    x, _ = corpus()
    shares = []
    for invariance in (0.0, 0.5, 0.8, 1.0):
        scale = PLAIN.copy()
        scale[GAUGE] = 1 - invariance
        shares.append(kept(train_encoder(x, ONES, "masked", 3, scale), GAUGE))
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 2.9
    assert shares[-1] < 0.1


# --------------------------------------------------------------------------- projection


def test_latent_coordinates_are_whitened() -> None:
    x, _ = corpus()
    z = train_encoder(x, ONES, "masked", 5, PLAIN).latent(x).astype(np.float64)
    np.testing.assert_allclose(np.cov(z.T, bias=True), np.eye(5), atol=1e-3)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-4)


def test_the_projection_is_what_it_says() -> None:
    x, _ = corpus()
    gains = np.random.default_rng(2).uniform(0.2, 1, (N, D)).astype(np.float32)
    scale = np.linspace(1, 0.2, D)
    e = train_encoder(x, gains, "masked", 4, scale)
    v, s = e.directions, np.diag(1 / e.spread)
    np.testing.assert_allclose(
        x[:5] @ e.projection(), (np.diag(e.gains) @ v @ s @ v.T @ np.diag(scale) @ x[:5].T).T, rtol=1e-9
    )


def test_the_projection_is_indifferent_to_signs_and_order_of_directions() -> None:
    e = train_encoder(corpus()[0], ONES, "masked", 4, PLAIN)
    order = np.array([2, 0, 3, 1])
    other = replace(e, directions=(e.directions * np.array([1, -1, -1, 1]))[:, order], spread=e.spread[order])
    np.testing.assert_allclose(other.projection(), e.projection(), atol=1e-12)


def test_the_projection_is_indifferent_to_rotation_among_equals() -> None:
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]
    e = replace(train_encoder(corpus()[0], ONES, "masked", 4, PLAIN), spread=np.full(4, 1.3))
    np.testing.assert_allclose(replace(e, directions=e.directions @ rotation).projection(), e.projection(), atol=1e-12)


def test_one_more_record_hardly_moves_the_projection_though_axes_may_turn() -> None:
    """Equal variances: which axes come out is chance, what they project on is not."""
    x = np.random.default_rng(5).normal(size=(4_000, 4)).astype(np.float32)
    x = np.concatenate([x, 0.05 * np.random.default_rng(6).normal(size=(4_000, 3))], axis=1).astype(np.float32)
    a, b = (train_encoder(x[:n], np.ones((n, 7), np.float32), "masked", 4, np.ones(7)) for n in (3_999, 4_000))
    assert np.abs(a.projection() - b.projection()).max() < 0.01


# --------------------------------------------------------------------------- kernels


def test_features_estimate_the_kernel_and_end_in_a_constant() -> None:
    rng, p = np.random.default_rng(0), 20_000
    x = rng.normal(size=(2, 3)).astype(np.float32)
    phi = features(x, rng.normal(size=(3, p)).astype(np.float32), (2 * np.pi * rng.random(p)).astype(np.float32))
    assert phi.shape == (2, p + 1)
    np.testing.assert_array_equal(phi[:, -1], 1)
    gap = x[0].astype(np.float64) - x[1]
    assert abs(phi[0, :-1] @ phi[1, :-1] - np.exp(-0.5 * gap @ gap)) < 4.5 * np.sqrt(1.5 / p)


def test_features_of_a_mean_head_are_the_constant_alone() -> None:
    np.testing.assert_array_equal(
        features(np.ones((3, 2), np.float32), np.zeros((2, 0), np.float32), np.zeros(0, np.float32)), np.ones((3, 1))
    )


def test_small_kernels_equal_their_formula() -> None:
    rng = np.random.default_rng(0)
    phi, w = rng.normal(size=(30, 5)), rng.random(30)
    moment = phi.T @ np.diag(w) @ phi
    np.testing.assert_allclose(gram(phi, w), moment, rtol=1e-12)
    np.testing.assert_allclose(inverse(moment), np.linalg.inv(moment), rtol=1e-8)
    np.testing.assert_array_equal(inverse(moment), inverse(moment).T)
    np.testing.assert_allclose(quadratic(phi, moment), np.diag(phi @ moment @ phi.T), rtol=1e-12)
    values = np.linalg.eigvalsh(moment)[::-1]
    v = leading_directions(moment, 2)
    np.testing.assert_allclose(np.diag(v.T @ moment @ v), values[:2], rtol=1e-10)


def test_a_matrix_that_is_not_positive_definite_is_refused() -> None:
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite"):
        inverse(np.array([[1.0, 2.0], [2.0, 1.0]]))


def test_recorded_kernel_calls_can_be_replayed() -> None:
    with recording() as tape:
        first = gram(np.eye(2), np.ones(2))
    gram(np.eye(3), np.ones(3))
    assert len(tape) == 1
    function, arguments, options = tape[0]
    np.testing.assert_array_equal(function(*arguments, **options), first)


def test_directions_that_the_data_do_not_span_are_left_out_and_signs_are_fixed() -> None:
    x = np.random.default_rng(1).standard_normal((4, 9))
    few = leading_directions(x.T @ x, 7)
    assert few.shape == (9, 4)
    assert (few[np.argmax(np.abs(few), axis=0), np.arange(4)] > 0).all()
    assert np.allclose(few @ few.T @ x.T, x.T)
    assert leading_directions(np.zeros((3, 3)), 2).shape == (3, 1)
    assert leading_directions(np.eye(5), 3).shape == (5, 3)
