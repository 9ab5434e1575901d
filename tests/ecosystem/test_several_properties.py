"""Several properties: what is common to them, what is apart, and what one of them says of another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_determinism import permute

from mpbf_abm import MaterialsSpace, Parameters
from mpbf_abm.evidence.known.urns import family_sequence
from mpbf_abm.model.ecosystem import Ecosystem
from mpbf_abm.model.modalities import FIDELITY, MEASURED
from mpbf_abm.streams import Streams

SMALL = Parameters.preset("single-default").updated(
    {
        "space.properties": 3,
        "space.materials": 300,
        "space.families": 6,
        "founding.records": 150,
        "curators.count": 3,
        "trainers.count": 3,
        "trainers.retrain_interval": 3,
        "trainers.features": 24,
        "trainers.panel": 6,
        "planners.count": 9,
        "planners.experiments": 1.5,
        "planners.candidates": 6,
        "infrastructure.repositories": 3,
        "coupling.pseudo_share": 0.3,
        "trainers.reuse": 0.3,
    }
)


def run(p: Parameters, ticks: int, space: MaterialsSpace | None = None, agents: int | None = None) -> Ecosystem:
    """Run a community, its agents in other rows if a seed is given."""
    eco = Ecosystem(p, 5, record=(), space=space)
    if agents is not None:
        permute(eco, agents)
    for _ in range(ticks):
        eco.step()
    eco.release()
    return eco


def columns(eco: Ecosystem, names: tuple[str, ...]) -> dict[str, list[Any]]:
    return {name: getattr(eco.world.commons, name).tolist() for name in names}


# --------------------------------------------------------------------------- the space


def space(**changes: Any) -> MaterialsSpace:
    return MaterialsSpace.generate(SMALL.updated({f"space.{k}": v for k, v in changes.items()}).space, Streams(2))


def test_pairs_and_cells_stand_property_after_property() -> None:
    s, some = space(), np.array([0, 7, 299])
    assert s.properties == 3
    assert s.pairs(2, some).tolist() == [600, 607, 899]
    assert s.pairs(np.array([0, 1, 2]), some).tolist() == [0, 307, 899]
    assert s.cells(s.pairs(1, some)).tolist() == (6 + s.family[some]).tolist()
    assert s.each(some).tolist() == [i + 300 * t for t in range(3) for i in some]
    values = s.by_property(s.property)
    np.testing.assert_array_equal(values[1, some], s.property[s.pairs(1, some)])
    np.testing.assert_allclose(values.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(values.std(axis=1), 1, atol=1e-5)
    tops = s.by_property(s.top)
    assert len({tuple(np.flatnonzero(top)) for top in tops}) == 3
    assert all(top.sum() == max(1, round(0.01 * s.feasible.sum())) for top in tops)


def test_one_more_property_changes_no_other() -> None:
    two, three = space(properties=2), space()
    for name in ("property", "simulated", "proxy", "top"):
        np.testing.assert_array_equal(getattr(two, name), getattr(three, name)[: 2 * two.size])
    np.testing.assert_array_equal(two.difficulty, three.difficulty)
    np.testing.assert_array_equal(two.feasible, three.feasible)


def test_relatedness_from_independent_to_the_same() -> None:
    apart, same = (space(properties=8, cross_scale=0.0, relatedness=rho) for rho in (0.0, 1.0))
    off = ~np.eye(8, dtype=bool)
    correlation = np.corrcoef(apart.by_property(apart.property))[off]
    # Mixtures of four fields: opposed as often as alike.
    assert correlation.min() < -0.3
    assert correlation.max() > 0.3
    assert abs(correlation.mean()) < 0.3
    np.testing.assert_allclose(np.corrcoef(same.by_property(same.property))[off], 1, atol=1e-5)
    assert np.abs(np.diff(same.by_property(same.simulated), axis=0)).max() > 0.1  # methods err on each in its own way


# --------------------------------------------------------------------------- labels change, nothing else


def test_families_in_another_order() -> None:
    plain_space, order = space(), np.array([3, 0, 5, 4, 1, 2])
    moved = plain_space.relabelled(order)
    plain, other = (run(SMALL, 6, space=s).world for s in (plain_space, moved))
    assert plain.planners.property.tolist() == other.planners.property.tolist()
    keys = [w.space.material_keys[w.commons.material].tolist() for w in (plain, other)]
    assert keys[0] == keys[1]
    assert plain.commons.property.tolist() == other.commons.property.tolist()
    rows = np.argsort(moved.material_keys)
    there = other.space.by_property(other.commons.tested)[:, rows]
    np.testing.assert_array_equal(there, plain.space.by_property(plain.commons.tested))


def test_agents_in_other_rows() -> None:
    plain, other = run(SMALL, 6), run(SMALL, 6, agents=1)
    names = ("key", "material", "property", "modality", "origin", "repository", "producer")
    assert columns(plain, names) == columns(other, names)
    np.testing.assert_allclose(plain.world.commons.value, other.world.commons.value, atol=1e-4)
    slots = other.world.planners.slots
    assert plain.world.planners.property[slots].tolist() == other.world.planners.property.tolist()


def test_one_more_agent_moves_no_draw_of_others() -> None:
    p = SMALL.updated({"trainers.count": 0, "stocks.merit_share": 0.0})
    few, more = run(p, 1), run(p.updated({"curators.count": 4, "planners.count": 10}), 1)
    names = ("material", "property", "modality", "value", "producer")
    labels = [
        dict(zip(e.world.commons.key.tolist(), zip(*columns(e, names).values(), strict=True), strict=True))
        for e in (few, more)
    ]
    curated = [key for key in labels[0] if key >> 60 < 2]
    assert len(curated) < sum(key >> 60 < 2 for key in labels[1])
    assert all(labels[1][key] == labels[0][key] for key in curated)
    assert more.world.planners.property[:9].tolist() == few.world.planners.property.tolist()


def test_the_null_community_is_the_same_urn_with_any_number_of_properties() -> None:
    p = Parameters.null(**{"space.materials": 600, "space.families": 6, "planners.experiments": 1.0})
    assert family_sequence(p, 7, 12) == family_sequence(p.updated({"space.properties": 3}), 7, 12)


# --------------------------------------------------------------------------- what one says of another


def test_labels_of_different_properties_are_no_bias_of_simulations() -> None:
    p = SMALL.updated(
        {
            "space.relatedness": 0.0,
            "space.cross_scale": 0.0,
            "space.bias_sd": 0.0,
            "space.bias_offset": 0.0,
            "modalities.measured_noise": 0.05,
            "founding.records": 3_000,
            "trainers.count": 0,
        }
    )
    world = run(p, 0).world
    commons, s = world.commons, world.space
    np.testing.assert_allclose(s.simulated, s.property, atol=1e-5)
    # Properties of a material are some standard deviations apart, and labels .05 around each.
    assert np.abs(commons.estimated_bias()).max() < 0.05


def test_a_failure_says_of_a_material_that_it_has_no_property_at_all() -> None:
    p = SMALL.updated({"space.feasible": 0.3, "planners.publication_bias": 0.0, "trainers.count": 0})
    eco = Ecosystem(p, 5, record=())
    before = eco.world.commons.tested.copy()
    eco.step()
    world, r = eco.world, eco.world.results
    eco.release()
    failed = np.isnan(r.observed)
    assert 0 < failed.sum() < len(failed)
    tested = world.space.by_property(world.commons.tested)
    assert tested[:, r.material[failed]].all()
    own = world.space.pairs(r.property, r.material)[~failed]
    assert world.commons.tested[own].all()
    others = np.setdiff1d(world.space.each(r.material[~failed]), own)
    measured = world.commons.pairs(np.flatnonzero(FIDELITY[world.commons.modality] == MEASURED))
    fresh = np.setdiff1d(others, measured)
    np.testing.assert_array_equal(world.commons.tested[fresh], before[fresh])


def test_a_property_without_a_label_has_no_model_and_its_labs_go_without() -> None:
    p = SMALL.updated(
        {
            "space.properties": 6,
            "founding.records": 12,
            "modalities.measured_focus": 5.0,
            "modalities.simulated_focus": 5.0,
            "planners.demand": 0.0,
            "curators.count": 0,
            "coupling.outer_loop": 0.0,
        }
    )
    world = run(p, 4).world
    covered, sought = world.registry.covered().any(axis=1), world.planners.property
    assert covered[0]
    without = ~covered[sought]
    assert 0 < without.sum() < len(without)
    links = world.infrastructure.lab_models
    assert (links[without] == -1).all()
    assert (links[~without, 0] >= 0).all()
    model = world.results.model
    assert (model[without[world.results.planner]] == -1).all()
    assert (model[~without[world.results.planner]] >= 0).all()
    assert not world.registry.users[~covered].any()


@pytest.mark.parametrize("head", ["bayesian", "mean", "gaussian_process_ard"])
def test_panels_show_every_model_what_its_own_features_say(head: str) -> None:
    p = SMALL.updated({"trainers.head": head, "trainers.features_growth": 4.0 if head == "bayesian" else 0.0})
    for model in run(p, 1).world.registry.models:
        np.testing.assert_allclose(model.panel_phi, model.features(model.panel.x), atol=2e-6)
