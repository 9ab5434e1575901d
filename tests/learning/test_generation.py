"""Mixtures of latent Gaussians: what is fitted, drawn, tilted and realised, and what it costs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mpbf_abm import MaterialsSpace, Parameters
from mpbf_abm.learning import generation
from mpbf_abm.learning.encoders import train_encoder
from mpbf_abm.learning.generation import fit_mixture, nearest, tilted
from mpbf_abm.model import generation as generated
from mpbf_abm.model import planners
from mpbf_abm.model.community import Community
from mpbf_abm.model.generation import latent_points, mixture_of
from mpbf_abm.model.planners import REACH

MIXTURE = {"planners.source": "mixture", "planners.experiments": 2.0, "planners.count": 12}
OBSERVED = {"space.observed_dims": 64, "space.materials": 1_500, "space.families": 6, "founding.records": 300}


def community(ticks: int = 2, **changes: Any) -> Community:
    p = Parameters.preset("single-quick").updated(OBSERVED | MIXTURE | {f"planners.{k}": v for k, v in changes.items()})
    eco = Community(p, seed=4)
    for _ in range(ticks):
        eco.step()
    return eco


@pytest.mark.parametrize(("n", "k", "components"), [(300, 6, 4), (5, 8, 3), (1, 3, 4), (40, 1, 2)])
def test_a_mixture_has_the_mean_and_covariance_of_its_corpus_however_small(n: int, k: int, components: int) -> None:
    rng = np.random.default_rng(n)
    points = rng.normal(size=(n, k)) * np.arange(1, k + 1) + 5
    points[n // 2 :] = points[n // 2]  # near-duplicates, and components without a material of their own
    mixture = fit_mixture(points, rng.random(components))
    assert len(mixture.shares) == min(n, components)
    mean = mixture.shares @ mixture.means
    gap = mixture.means - mean
    covariance = np.tensordot(mixture.shares, mixture.roots @ np.swapaxes(mixture.roots, 1, 2), 1)
    covariance += (mixture.shares[:, None] * gap).T @ gap
    np.testing.assert_allclose(mean, points.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(covariance, np.cov(points.T, bias=True).reshape(k, k), atol=1e-5 * k**2)


def test_two_groups_are_told_apart_and_drawn_in_proportion() -> None:
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(-4, 0.3, (300, 2)), rng.normal(4, 1.0, (100, 2))])
    mixture = fit_mixture(points, rng.random(2))
    np.testing.assert_allclose(np.sort(mixture.shares), [0.25, 0.75], atol=1e-3)
    draws = mixture.draw(rng.random(20_000), rng.standard_normal((20_000, 2)))
    right = draws[:, 0] > 0
    assert right.mean() == pytest.approx(0.25, abs=4.5 * np.sqrt(0.25 * 0.75 / 20_000))
    # Components share 6 of 406 parts of their covariances.
    assert draws[right].std(axis=0) == pytest.approx([1.0, 1.0], rel=0.1)
    assert draws[~right].std(axis=0) == pytest.approx([0.3, 0.3], rel=0.15)


def test_a_tilt_chooses_in_proportion_to_its_exponential() -> None:
    rng, values = np.random.default_rng(1), np.float32([0.0, 1.0, 2.0])
    u = rng.random((40_000, 3))
    for tilt in (0.0, 1.3, 900.0):
        chosen = np.bincount(tilted(values, tilt, u), minlength=3) / len(u)
        wanted = np.exp(tilt * (values - 2.0))
        np.testing.assert_allclose(chosen, wanted / wanted.sum(), atol=4.5 * 0.5 / np.sqrt(len(u)))


def test_the_nearest_is_found_in_parts_as_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    points, targets = rng.normal(size=(101, 3)).astype(np.float32), rng.normal(size=(7, 3))
    points[90] = points[3]  # the first on ties
    targets[0] = points[3]
    gap = np.sqrt(((targets[:, None] - points[None]) ** 2).sum(axis=2))
    for kept in (generation.DISTANCES, 70):
        monkeypatch.setattr(generation, "DISTANCES", kept)
        at, distance = nearest(targets, points)
        np.testing.assert_array_equal(at, gap.argmin(axis=1))
        np.testing.assert_allclose(distance, gap.min(axis=1), atol=1e-7)


def test_a_latent_point_becomes_a_row_with_these_coordinates() -> None:
    rng = np.random.default_rng(3)
    x = (rng.normal(size=(500, 12)) * np.linspace(3, 0.5, 12) + 1).astype(np.float32)
    scale = np.repeat([1.0, 0.3, 0.0], [6, 3, 3])
    encoder = train_encoder(x, np.ones_like(x), "masked", 4, scale)
    z = rng.normal(size=(50, 4))
    np.testing.assert_allclose(encoder.latent(encoder.ambient(z)), z, atol=1e-4)
    # Nothing else of a row counts.
    seen = x @ encoder.projection()
    np.testing.assert_allclose(encoder.ambient(encoder.latent(x)) @ encoder.projection(), seen, atol=1e-4)


def test_without_a_tilt_draws_are_the_corpus_of_the_model() -> None:
    eco = community(1)
    model = eco.world.registry.models[0]
    corpus = latent_points(eco.world, model, model.sample).astype(np.float64)
    assert len(corpus) == model.records
    mixture, rng = mixture_of(eco.world, model), np.random.default_rng(0)
    draws = mixture.draw(rng.random(20_000), rng.standard_normal((20_000, corpus.shape[1])))
    sd = corpus.std(axis=0)
    np.testing.assert_allclose(draws.mean(axis=0), corpus.mean(axis=0), atol=4.5 * sd.max() / np.sqrt(len(draws)))
    np.testing.assert_allclose(np.cov(draws.T), np.cov(corpus.T, bias=True), atol=0.06 * sd.max() ** 2)
    assert mixture_of(eco.world, model) is mixture


def test_candidates_are_open_materials_of_the_chosen_family_and_their_distance_is_told() -> None:
    eco = community(6, candidates=5)
    tested = eco.world.commons.tested.copy()
    eco.step()
    results = eco.world.results
    assert (results.model >= 0).all()
    assert (eco.world.space.family[results.candidates] == results.family[:, None]).all()
    assert not tested[results.candidates].any()
    assert results.distance > 0


def test_a_large_tilt_realises_what_the_model_predicts_best() -> None:
    """In one family, where the mixture is of its own materials; measured by rank among all of them."""

    def rank(tilt: float) -> float:
        p = Parameters.preset("single-quick").updated(
            OBSERVED
            | MIXTURE
            | {"space.families": 1, "planners.candidates": 1, "planners.tilt": tilt, "planners.proposals": 1_024}
            | {"planners.experiments": 10.0}
            | {"stocks.attention": 1e5, "stocks.attention_cap": 1e5}
        )
        eco = Community(p, seed=4)
        eco.step()
        world = eco.world
        view = np.zeros((world.space.size, world.space.view_dims), np.float32)
        x, ranks = world.space.ambient_rows(np.arange(world.space.size), view), []
        for model, material in zip(world.results.model, world.results.material, strict=True):
            mean = world.registry.models[model].head.centred(world.registry.models[model].features(x))
            ranks.append((mean < mean[material]).mean())
        return float(np.mean(ranks))

    ranks = [rank(tilt) for tilt in (0.0, 1.0, 1_000.0)]
    assert ranks[0] < ranks[1] < ranks[2]
    assert ranks[0] == pytest.approx(0.5, abs=0.05)
    assert ranks[2] > 0.95


@pytest.mark.parametrize(
    ("changes", "cost", "scored"),
    [
        ({"tilt": 2.0, "proposals": 7}, 8, 7),
        ({"tilt": 0.0, "proposals": 7}, 1, 0),
        ({"source": "inverse", "attention_cost": "scored"}, REACH, REACH),
    ],
)
def test_what_a_model_scores_for_a_choice_is_paid_for(
    changes: dict[str, Any], cost: int, scored: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    climb = planners.ascend
    monkeypatch.setattr(planners, "ascend", lambda model, x: seen.append(len(x)) or climb(model, x))
    monkeypatch.setattr(generated, "tilted", lambda values, *a: seen.append(values.size) or tilted(values, *a))
    p = Parameters.preset("single-quick").updated(
        OBSERVED | MIXTURE | {"planners.candidates": 9, "stocks.attention": 60.0, "stocks.attention_cap": 60.0}
    )
    eco = Community(p.updated({f"planners.{k}": v for k, v in changes.items()}), seed=4)
    eco.step()
    labs = eco.world.planners
    each = np.clip(60.0 // (np.maximum(labs.budget, 1) * cost), 1, 9)
    np.testing.assert_array_equal(labs.judged, np.minimum(labs.budget * each * cost, 60.0))
    assert sum(seen) == (labs.budget * each * scored).sum()


def test_relabelled_families_get_the_same_candidates() -> None:
    p = Parameters.preset("single-quick").updated(OBSERVED | MIXTURE | {"planners.tilt": 2.0})
    space = MaterialsSpace.synthetic(p, seed=4)
    made = []
    for own in (space, space.relabelled(np.random.default_rng(0).permutation(space.families))):
        eco = Community(p, seed=4, space=own)
        for _ in range(3):
            eco.step()
        made.append(own.material_keys[eco.world.results.candidates])
    np.testing.assert_array_equal(*made)


def test_proposals_are_the_same_however_many_are_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    eco = community(1, tilt=2.0, proposals=5)
    points = []
    for at_once in (generated.AT_ONCE, 1):
        monkeypatch.setattr(generated, "AT_ONCE", at_once)
        points.append(generated.drawn(eco.world, eco.world.registry.models[1], np.uint64(7), 6))
    assert points[0].shape == (6, eco.world.registry.models[1].encoder.k)
    np.testing.assert_allclose(*points, rtol=1e-6)
