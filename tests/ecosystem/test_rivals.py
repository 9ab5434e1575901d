"""Labs that look at the same: common candidates, credit for what several find, and how alike models are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from lean import LEAN

from mpbf_abm import MaterialsSpace
from mpbf_abm.model import homogenisation
from mpbf_abm.model.ecosystem import Ecosystem
from mpbf_abm.model.rivalry import credit

RIVALS = LEAN.updated(
    {
        "space.families": 1,
        "infrastructure.providers": 2,
        "space.gauge_dims": 0,
        "planners.publication_bias": 0.0,
        "planners.publication_threshold": -5.0,
        "space.feasible": 1.0,
        "planners.memory": 1.0,
        "stocks.merit_share": 0.0,
    }
)


def stepped(ticks: int = 1, **changes: float) -> Ecosystem:
    eco = Ecosystem(RIVALS.updated({path.replace("__", "."): v for path, v in changes.items()}), 5, record=())
    for _ in range(ticks):
        eco.step()
    return eco


def test_labs_with_one_model_and_common_candidates_make_the_same_and_both_pay() -> None:
    eco = stepped(planners__common_candidates=1.0, trainers__count=1, infrastructure__providers=1)
    r, planners = eco.world.results, eco.world.planners
    assert len(r.material) == 6
    assert len(np.unique(r.material)) == 1
    assert (r.candidates == r.candidates[0]).all()
    assert planners.claims.sum() == 6  # without priority everyone has the whole credit
    apart = stepped(trainers__count=1, infrastructure__providers=1)
    assert len(np.unique(apart.world.results.material)) > 3


def test_a_random_choice_stays_the_labs_own() -> None:
    eco = stepped(planners__common_candidates=1.0, trainers__count=0)
    assert len(np.unique(eco.world.results.material)) > 3


def test_who_is_first_has_the_credit_and_what_is_public_is_claimed() -> None:
    eco = stepped(
        planners__common_candidates=1.0, trainers__count=1, infrastructure__providers=1, planners__priority=0.75
    )
    world, r = eco.world, eco.world.results
    assert sorted(world.planners.claims) == [0.25] * 5 + [1.0]
    # The same results a tick later: their pair is public now.
    assert credit(world, r, np.arange(6)).tolist() == [0.25] * 6
    # What was first seen in this tick, and by one lab alone.
    fresh = np.flatnonzero(~world.commons.tested)[:6]
    assert credit(world, replace(r, material=fresh), np.arange(6)).tolist() == [1.0] * 6


def test_families_keep_their_common_sets_when_they_are_relabelled() -> None:
    p = LEAN.updated({"planners.common_candidates": 0.7, "planners.priority": 0.5, "space.materials": 150})
    space = MaterialsSpace.synthetic(p, seed=5)
    ends = []
    for materials in (space, space.relabelled(np.array([2, 0, 3, 1]))):
        eco = Ecosystem(p, 5, space=materials, record=())
        for _ in range(5):
            eco.step()
        world = eco.world
        ends.append((materials.material_keys[world.commons.material].tolist(), world.planners.claims.tolist()))
    assert ends[0] == ends[1]


def test_models_are_as_alike_as_plain_counting_says() -> None:
    eco = stepped(6, trainers__reuse=0.5)
    world, told = eco.world, homogenisation.homogenisation(eco.world)
    materials, looked = homogenisation.look(world, dict(world.models()))
    y = world.truth.property[materials]
    said = [homogenisation.predict(world, k, materials) for k in looked]
    best = [set(np.argsort(-values)[:10]) for values in said]
    true = set(np.argsort(-y)[:10])
    pairs = [(i, j) for i in range(3) for j in range(3) if i != j]
    assert told["error_correlation"] == pytest.approx(
        np.mean([np.corrcoef(said[i] - y, said[j] - y)[0, 1] for i, j in pairs])
    )
    # Materials may be shown twice, so that a few more are as good as the tenth.
    assert told["overlap_top"] == pytest.approx(np.mean([len(best[i] & best[j]) / 10 for i, j in pairs]), abs=0.1)
    wrong = sum(len(best[i] - true) for i, _ in pairs)
    assert told["shared_wrong_picks"] == pytest.approx(
        sum(len((best[i] - true) & best[j]) for i, j in pairs) / wrong, abs=0.1
    )
    parts = [told[name] for name in homogenisation.COLUMNS[3:]]
    assert np.isnan(parts).all() or sum(parts) == pytest.approx(told["error_correlation"])


def test_one_model_is_alike_to_none() -> None:
    assert homogenisation.homogenisation(stepped(trainers__count=1, infrastructure__providers=1).world) == {}


def test_parts_are_slopes_within_properties() -> None:
    rng = np.random.default_rng(0)
    of = np.repeat([0, 1], 30)
    reading, lineage = rng.random(60), (rng.random(60) < 0.4).astype(float)
    r = 0.3 + 0.1 * of + 0.2 * reading + 0.25 * lineage
    corpus, encoder, rest = homogenisation.split(r, reading, lineage, of)
    assert (corpus, encoder, rest) == pytest.approx((0.2 * reading.mean(), 0.25 * lineage.mean(), 0.35))
    # No pair of one lineage: nothing is shared that way. All of one lineage: it cannot be told.
    assert homogenisation.split(0.3 + 0.2 * reading, reading, 0 * lineage, of)[1] == 0
    none = homogenisation.split(r, reading, np.ones(60), of)
    assert np.isnan(none[1:]).all()
    # What both always go with cannot be told apart.
    assert np.isnan(homogenisation.split(r, lineage, lineage, of)).all()
