"""Observed descriptors: blocks under noise, what an encoder learns of them, and heads that fit their kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from mpbf_abm import MaterialsSpace, Parameters, simulate
from mpbf_abm.data.synthetic import binned_field
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.learning.encoders import Encoder, spike, spiked, train_encoder
from mpbf_abm.learning.heads import fit_head, log_evidence
from mpbf_abm.learning.linalg import features, leading_directions
from mpbf_abm.learning.models import frequencies
from mpbf_abm.model.ecosystem import Ecosystem
from mpbf_abm.model.training import Corpus, encode, training_rows
from mpbf_abm.streams import Streams

SMALL = {"space.materials": 1_200, "space.families": 6, "space.quantum_dims": 8, "founding.records": 300}
OBSERVED = SMALL | {"space.observed_dims": 64, "space.gauge_dims": 3, "space.near_duplicates": 0.3}


def space(seed: int = 1, **changes: Any) -> MaterialsSpace:
    p = Parameters.preset("single-default").updated(OBSERVED | {f"space.{k}": v for k, v in changes.items()})
    return MaterialsSpace.synthetic(p, seed=seed)


def views(of: MaterialsSpace, n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, of.view_dims)).astype(np.float32)


# --------------------------------------------------------------------------- the world


def test_rows_are_amplified_blocks_and_unit_noise_of_the_material():
    of, plain = space(signal=3.0), space(observed_dims=0)
    every = np.arange(of.size)
    view = views(of, of.size)
    x, clear, blocks = of.ambient_rows(every, view), of.clear_rows(every, view), plain.ambient_rows(every, view)
    assert x.shape == (of.size, 64)
    np.testing.assert_array_equal(clear[:, : of.block_width], np.float32(3.0) * blocks)
    assert not clear[:, of.block_width :].any()
    own = of.observation.keys == every
    noise = (x - clear)[own]
    assert stats.kstest(noise[:200].ravel(), "norm").pvalue > 1e-4
    assert np.abs(noise.T @ noise / len(noise) - np.eye(64)).max() < 6 / np.sqrt(len(noise))
    # Another view of the same material has the same noise; a near-duplicate has that of what it copies.
    np.testing.assert_allclose(
        of.ambient_rows(every, views(of, of.size, 1))[:, of.block_width :], x[:, of.block_width :]
    )
    copies = np.flatnonzero(~own)
    assert len(copies) > 100
    sources = of.observation.keys[copies].astype(int)
    np.testing.assert_array_equal(x[copies][:, of.block_width :], x[sources][:, of.block_width :])


def test_a_curved_observation_bends_the_blocks_and_nothing_else():
    of, bent, every = space(), space(curvature=0.7), np.arange(100)
    view = views(of, 100)
    blocks = of.clear_rows(every, view)[:, : of.block_width] / 2
    np.testing.assert_allclose(
        bent.clear_rows(every, view)[:, : of.block_width], 2 * (blocks + 0.7 * np.tanh(blocks)), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_array_equal(bent.observation.noise(every), of.observation.noise(every))


def test_a_binned_field_is_piecewise_constant_with_the_kernel_it_says():
    rng, length = np.random.default_rng(2), 3.0
    x, step = rng.standard_normal((80, 4)).astype(np.float32), rng.standard_normal((80, 4))
    near = (x + length * step / np.linalg.norm(step, axis=1, keepdims=True)).astype(np.float32)
    fields = np.array([[binned_field(Streams(s), "f", rows, length) for rows in (x, near)] for s in range(300)])
    assert fields.var() == pytest.approx(1.0, abs=0.1)
    wanted = np.exp(-np.abs(near - x).sum(axis=1) / (2 * length * np.sqrt(8 / np.pi))).mean()
    assert wanted == pytest.approx(np.exp(-0.5), abs=0.03)
    products = fields.prod(axis=1).mean(axis=1)
    assert products.mean() == pytest.approx(wanted, abs=4 * products.std() / np.sqrt(300))
    # Next to most points nothing changes at all.
    line = np.linspace(0, 0.01, 50)[:, None].astype(np.float32) * np.ones((1, 4), np.float32)
    assert len(np.unique(binned_field(Streams(1), "f", line, length))) < 10


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_a_share_of_the_noise_differs_between_views(share):
    of = space(view_noise=share, near_duplicates=0.0)
    rows = np.arange(600)
    first, second = (of.ambient_rows(rows, views(of, 600, s)) - of.clear_rows(rows, views(of, 600, s)) for s in (0, 1))
    assert first.var() == pytest.approx(1.0, abs=0.03)
    assert (first * second).mean() == pytest.approx(1 - share, abs=0.02)


def test_noise_that_is_not_kept_is_the_same(monkeypatch):
    rows = np.array([3, 1, 700, 3])
    kept = space().observation.noise(rows)
    monkeypatch.setattr("mpbf_abm.model.materials.KEPT_NOISE", 100)
    np.testing.assert_array_equal(space().observation.noise(rows), kept)


def test_relabelled_families_keep_their_noise_and_runs_are_the_same():
    of = space()
    order = np.random.default_rng(0).permutation(of.families)
    other = of.relabelled(order)
    rows = np.concatenate([np.arange(of.start[k], of.start[k + 1]) for k in order])
    view = views(of, of.size)
    np.testing.assert_array_equal(other.ambient_rows(np.arange(of.size), view[rows]), of.ambient_rows(rows, view[rows]))
    assert other.content != of.content
    p = Parameters.preset("single-quick").updated(OBSERVED)
    here, there = (simulate(p, seed=2, ticks=3, space=s).summary for s in (of, other))
    assert here["found_share"] == there["found_share"]
    assert here["rmse_dense"] == pytest.approx(there["rmse_dense"], rel=1e-5)


def test_a_descriptor_narrower_than_its_blocks_is_refused():
    with pytest.raises(ConfigurationError, match="at least the width of the four blocks, 38"):
        Parameters.preset("single-default").replace("space.observed_dims", 20)


@pytest.mark.parametrize("objective", ["masked", "contrastive", "fusion", "graph", "none"])
def test_nothing_is_learned_of_where_the_blocks_stand(monkeypatch, objective):
    """Encoded distances stay where every descriptor is turned: the first columns are no hint."""
    turn = np.linalg.qr(np.random.default_rng(5).standard_normal((64, 64)))[0].astype(np.float32)
    p = Parameters.preset("single-quick").updated(OBSERVED | {"trainers.invariance": 0.0})
    world = Ecosystem(p, 2).world
    rows = training_rows(world, np.ones(world.commons.repositories, bool), 1.0)[:200]
    plain = MaterialsSpace.ambient_rows
    # All modalities show all columns here: how they weigh the blocks is a matter of the blocks' own axes.
    monkeypatch.setattr("mpbf_abm.model.training.GAINS", np.ones((6, 4), np.float32))

    def distances() -> np.ndarray:
        encoder = encode(world, Corpus(rows), objective, 8, 0.0)
        of = world.space
        z = of.ambient_rows(np.arange(60), np.zeros((60, of.view_dims), np.float32)) @ encoder.projection()
        return np.linalg.norm(z[:, None] - z[None], axis=2)

    before = distances()
    monkeypatch.setattr(MaterialsSpace, "ambient_rows", lambda self, *given: plain(self, *given) @ turn)
    np.testing.assert_allclose(distances(), before, rtol=2e-3, atol=2e-3)


# --------------------------------------------------------------------------- encoders


def corpus(n: int, d: int, spikes: np.ndarray, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    x = draw.standard_normal((n, d))
    x[:, : len(spikes)] += np.sqrt(spikes) * draw.standard_normal((n, len(spikes)))
    return x.astype(np.float32)


def encoder_of(x: np.ndarray, k: int) -> Encoder:
    n, d = x.shape
    ones = np.ones((n, d), np.float32)
    return train_encoder(x, ones, "masked", k, np.ones(d), distinct=n)


def test_spikes_are_read_back_from_the_eigenvalues_they_raise():
    l, c = np.array([0.8, 2.0, 30.0]), 0.5
    found, overlap = spike((1 + l) * (1 + c / l), c)
    np.testing.assert_allclose(found, l)
    np.testing.assert_allclose(overlap, (1 - c / l**2) / (1 + c / l))
    below = spike(np.array([(1 + np.sqrt(c)) ** 2, 1.0, 0.0]), c)
    assert not np.any(below)


def test_learned_directions_overlap_the_true_ones_as_the_spiked_covariance_says():
    n, d, spikes = 400, 160, np.array([8.0, 3.0])
    found = []
    for seed in range(20):
        x = corpus(n, d, spikes, seed)
        directions = leading_directions((x.T @ x).astype(float) / n, 2)
        found.append(directions[[0, 1], [0, 1]] ** 2)
    mean, error = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / np.sqrt(20)
    c = d / n
    wanted = (1 - c / spikes**2) / (1 + c / spikes)
    assert (np.abs(mean - wanted) < 4 * error + 0.01).all()


def test_noise_alone_leaves_one_direction_and_signal_keeps_its_own():
    noise = encoder_of(corpus(300, 100, np.zeros(0)), 10)
    assert noise.k == 1
    found = encoder_of(corpus(2_000, 100, np.array([9.0, 9.0, 4.0, 4.0])), 10)
    assert found.k == 4
    assert (found.directions[:4] ** 2).sum() == pytest.approx(4.0, abs=0.2)


def test_strong_signal_is_weighed_alike_and_weak_signal_less():
    x = corpus(2_000, 60, np.array([400.0, 300.0, 200.0]))
    strong = encoder_of(x, 3).spread
    np.testing.assert_allclose(strong, strong.mean(), rtol=0.01)
    weak = encoder_of(corpus(2_000, 60, np.array([50.0, 1.0])), 2)
    weight = 1 / weak.spread
    l, c = np.array([50.0, 1.0]), 60 / 2_000
    signal = l * (1 - c / l**2) / (1 + c / l)
    wanted = signal / (1 + signal)
    assert weight[1] / weight[0] == pytest.approx(wanted[1] / wanted[0], rel=0.1)


def test_kept_directions_vary_by_one_on_average():
    x = corpus(500, 80, np.array([20.0, 5.0, 2.0]))
    moment = (x.T @ x).astype(float) / len(x)
    encoder = spiked(moment, leading_directions(moment, 3), 500, np.zeros(80), np.ones(80))
    z = x @ (encoder.directions / encoder.spread)
    assert (z**2).mean() == pytest.approx(1.0, rel=1e-3)


# --------------------------------------------------------------------------- heads


def test_evidence_finds_the_width_that_made_the_labels():
    draw = np.random.default_rng(3)
    omega, phase = frequencies(Streams(1), 0, 5, 150)
    x = draw.standard_normal((400, 5)).astype(np.float32)
    true, _ = frequencies(Streams(9), 0, 5, 600)
    chosen = []
    for width in (0.5, 1.0, 2.0, 4.0) * 3:
        weights = draw.standard_normal(600) * np.sqrt(2 / 600)
        y = np.cos(x @ true / (2 * width) + draw.uniform(0, 6.28, 600)) @ weights + 0.1 * draw.standard_normal(400)
        scores = {
            w: log_evidence(features(x, (omega / (2 * w)).astype(np.float32), phase), y, np.full(400, 0.01))
            for w in (0.5, 1.0, 2.0, 4.0)
        }
        chosen.append(np.log2(max(scores, key=scores.__getitem__) / width))
    assert np.abs(chosen).max() <= 2
    assert chosen.count(0) >= 6  # of twelve; at random: three


def test_log_evidence_is_the_density_of_the_labels():
    draw = np.random.default_rng(0)
    phi = np.c_[draw.standard_normal((30, 3)), np.ones(30)].astype(np.float32)
    y, variance = draw.standard_normal(30), draw.uniform(0.1, 0.5, 30)
    head = fit_head(phi, y, variance)
    cov = phi.astype(float) @ phi.T / head.prior + np.diag(head.noise + variance)
    wanted = stats.multivariate_normal(np.full(30, head.offset), cov).logpdf(y)
    assert log_evidence(phi, y, variance) == pytest.approx(wanted, rel=1e-4)


def test_features_grow_with_the_records_up_to_their_most():
    growth = {"trainers.features_growth": 4.0, "trainers.features_most": 96, "trainers.records": 0}
    p = Parameters.preset("single-quick").updated(OBSERVED | growth | {"infrastructure.openness": 1.0})
    widths = {}
    for records in (60, 300, 900):
        community = Ecosystem(p.replace("founding.records", records), 2)
        community.step()
        model = community.world.registry.models[0]
        widths[records] = model.weights.shape[1]
        assert model.records > 0.8 * records
    assert widths[60] == 32
    assert 32 < widths[300] < widths[900] == 96
