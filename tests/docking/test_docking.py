"""Docking: the model and a second reading of its description give the same history.

Whole numbers are equal at every tick. Floating-point numbers agree within the rounding of single precision, in which
the package keeps values, features and predictions; the second reading computes in double precision throughout.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from naive import FEATURES_OF_FEASIBILITY, Community
from naive_space import read_space

from mpbf_abm import Parameters
from mpbf_abm.model.ecosystem import Ecosystem
from mpbf_abm.model.feasibility import basis
from mpbf_abm.model.homogenisation import homogenisation
from mpbf_abm.model.indicators import observe
from mpbf_abm.model.interventions import Policy
from mpbf_abm.model.links import NEVER
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.shocks import Shock
from mpbf_abm.streams import Streams

# Values are stored with 24 bits; the spurious block is the property times its amplitude of 2.5.
CLOSE = {"rtol": 1e-5, "atol": 2.5e-6}
# What models say passes an eigenproblem of moments summed in single precision and features of single precision; the
# worst met here is 1.4e-5.
LEARNED = {"rtol": 3e-5, "atol": 3e-5}
WHOLE = ("key", "material", "property", "family", "modality", "origin", "repository", "producer", "tick")
FLAGS = ("federated", "corrupted", "audited", "alive")


def equal(name: str, tick: int, ours: Any, theirs: Any, **close: float) -> None:
    """Assert that two arrays are equal, or close."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    message = f"{name} at tick {tick}"
    assert ours.shape == theirs.shape, f"{message}: {ours.shape} and {theirs.shape}"
    if close:
        np.testing.assert_allclose(ours, theirs, err_msg=message, **close)
    else:
        np.testing.assert_array_equal(ours, theirs, err_msg=message)


def links(rows: list[list[int | None]]) -> list[list[int]]:
    return [[-1 if x is None else x for x in row] for row in rows]


def compare(ours: Community, eco: Ecosystem) -> None:
    """Compare the whole state after a tick."""
    world, tick = eco.world, ours.tick - 1
    commons, planners = world.commons, world.planners
    for name in WHOLE + FLAGS:
        column = getattr(commons, name)[: commons.size]
        kind = np.uint64 if name == "key" else column.dtype
        equal(f"record {name}", tick, np.array([getattr(r, name) for r in ours.records], dtype=kind), column)
    # A generated label is a prediction, and a measured one is not.
    for name in ("value", "variance"):
        equal(name, tick, [getattr(r, name) for r in ours.records], getattr(commons, name)[: commons.size], **LEARNED)
        plain = [i for i, r in enumerate(ours.records) if r.origin != 3]
        equal(name, tick, [getattr(ours.records[i], name) for i in plain], getattr(commons, name)[plain], **CLOSE)
    equal("revealed", tick, [ours.revealed.get(k, -1) for k in range(ours.K)], world.revealed_at)
    equal("mass", tick, ours.mass, commons.mass, **CLOSE)
    pairs = [(t, i) for t in range(ours.T) for i in range(ours.N)]
    equal("tested", tick, [pair in ours.tested for pair in pairs], commons.tested)
    equal("found", tick, [ours.found.get(pair, -1) for pair in pairs], np.maximum(world.discoveries.tick, -1))
    equal("credit", tick, [c.credit for c in ours.curators], world.curators.credit, **CLOSE)
    equal("audit credit", tick, [c.audit_credit for c in ours.curators], world.curators.audit_credit, **CLOSE)
    results = world.results
    assert bool(ours.results) == (results is not None)
    if results is not None:
        for name in ("wave", "family", "material", "published"):
            equal(f"result {name}", tick, [getattr(r, name) for r in ours.results], getattr(results, name))
        equal("result planner", tick, [r.planner.slot for r in ours.results], results.planner)
        equal("result property", tick, [r.planner.property for r in ours.results], results.property)
        M = len(ours.trainers)
        used = [-1 if r.model is None else r.planner.property * M + r.model for r in ours.results]
        equal("result model", tick, used, results.model)
        equal("observed", tick, [r.value if r.made else np.nan for r in ours.results], results.observed, **CLOSE)
        steered = results.model >= 0
        predicted = [r.predicted for r in ours.results if r.model is not None]
        equal("predicted", tick, predicted, results.predicted[steered], **LEARNED)
    if ours.planners:
        equal("budget", tick, [q.budget for q in ours.planners], planners.budget)
        for name in ("funding", "attention", "judged", "claims", "best_value"):
            equal(name, tick, [getattr(q, name) for q in ours.planners], getattr(planners, name), **CLOSE)
        equal("best material", tick, [q.best_material for q in ours.planners], planners.best_material)
        equal("property", tick, [q.property for q in ours.planners], planners.property)
        equal("home", tick, [q.home for q in ours.planners], world.infrastructure.lab_repository)
        equal("adopted", tick, links([q.models for q in ours.planners]), world.infrastructure.lab_models)
        for m in range(len(ours.trainers)):
            equal("hits", tick, [q.hits.get(m, 0.0) for q in ours.planners], planners.hits[:, m], **CLOSE)
            equal("misses", tick, [q.misses.get(m, 0.0) for q in ours.planners], planners.misses[:, m], **CLOSE)
        for q in ours.planners if ours.trainers else []:
            equal("collaborators", tick, [r.slot for r in q.collaborators], world.collaborators[q.slot])
    theirs = observe(world)
    for name, value in ours.indicators().items():
        equal(name, tick, value, theirs[name], **LEARNED)
    infrastructure = world.infrastructure
    for name in ("key", "material", "repository", "federated"):
        equal(f"structures: {name}", tick, [getattr(s, name) for s in ours.structures], getattr(world.structures, name))
    equal("silent repositories", tick, [n.down for n in ours.repositories], infrastructure.down_repositories)
    equal("repository health", tick, [n.health for n in ours.repositories], world.health_repositories, **CLOSE)
    if ours.trainers:
        compare_models(ours, eco, tick)
        compare_frictions(ours, eco, tick)


def compare_frictions(ours: Community, eco: Ecosystem, tick: int) -> None:
    """Compare hosts, ends, what trainers look for and train, what labs learn, and adapters by what they add."""
    world, infrastructure = eco.world, eco.world.infrastructure
    models, served = ours.model_nodes, [ours.answers(t.slot) for t in ours.trainers]
    equal("served", tick, served, infrastructure.working_models())
    equal("frozen", tick, [n.frozen for n in models], infrastructure.frozen)
    if ours.host_nodes:
        equal("silent hosts", tick, [n.down for n in ours.host_nodes], infrastructure.down_hosts)
        equal("open weights", tick, [n.open for n in models], infrastructure.open_weights)
    for nodes, closing in (
        (ours.repositories, infrastructure.closing_repositories),
        (models, infrastructure.closing_models),
    ):
        equal("ends", tick, [NEVER if n.closing is None else n.closing for n in nodes], closing)
    equal("looking", tick, [-1 if t.looking is None else t.looking for t in ours.trainers], infrastructure.searching)
    theirs = sorted((due, trainer, sorted(fresh)) for due, trainer, fresh in world.training)
    mine = [(due, t.slot, sorted(m.property for m in fresh)) for t in ours.trainers for due, fresh in t.in_training]
    assert sorted(mine) == theirs
    occurred = {
        "hosts": [n.down for n in ours.host_nodes],
        "open": [n.open and (n.down or ours.host_nodes[ours.host(m)].down) for m, n in enumerate(models)],
        "frozen": infrastructure.frozen,
        "revoked": infrastructure.revoked,
        "announced": [n.closing is not None and n.closing > tick for n in ours.repositories + models],
        "looking": infrastructure.searching >= 0,
        "in training": len(theirs) > 0,
        "unready": infrastructure.unready,
        "idle": [m is None and ours.learns(q) for q in ours.planners for m in [ours.model_of(q, tick)]],
        "few": [a.model is not None and len(a.material) < len(a.weights) for a in world.adapters.values()],
        "many": [a.model is not None and len(a.material) >= len(a.weights) for a in world.adapters.values()],
    }
    ours.met |= {name for name, cases in occurred.items() if np.any(cases)}
    if not ours.planners:
        return
    use = [-1 if (m := ours.model_of(q, tick)) is None else q.property * len(models) + m for q in ours.planners]
    equal("model in use", tick, use, world.model_in_use())
    for q in ours.planners:
        adapter = world.adapters.get(q.slot)
        assert (q.adapter is None) == (adapter is None)
        if adapter is not None:
            kept = q.adapter.results[-ours.p.planners.adapter_records :]
            assert q.adapter.lineage == adapter.lineage
            equal("own results", tick, [r.material for r in kept], adapter.material)
            weights = np.zeros(0) if q.adapter.weights is None else q.adapter.weights
            equal("weights of an adapter", tick, weights, adapter.weights, **LEARNED)


def compare_models(ours: Community, eco: Ecosystem, tick: int) -> None:
    """Compare trainers, links, and models by their predictions on the panel."""
    world = eco.world
    equal("sources", tick, links([t.sources for t in ours.trainers]), world.infrastructure.model_repositories)
    equal("silent models", tick, [n.down for n in ours.model_nodes], world.infrastructure.down_models)
    equal("model health", tick, [n.health for n in ours.model_nodes], world.health_models, **CLOSE)
    equal("compute", tick, [t.compute for t in ours.trainers], world.trainers.compute, **CLOSE)
    equal("scale", tick, [t.scale for t in ours.trainers], world.trainers.scale, **CLOSE)
    M = len(ours.trainers)
    covered = [i for i in range(ours.T * M) if i // M in ours.trainers[i % M].models]
    equal("published", tick, covered, [i for i, m in enumerate(world.registry.models) if m is not None])
    for i in covered:
        mine, theirs = ours.trainers[i % M].models[i // M], world.registry.models[i]
        assert (i % M, i // M) == (theirs.trainer, theirs.of_property)
        assert mine.encoder.lineage == theirs.lineage
        assert mine.encoder.objective == theirs.objective
        equal("spread", tick, np.sort(mine.encoder.spread), np.sort(theirs.encoder.spread), **LEARNED)
        equal("noise", tick, mine.head.noise, theirs.head.noise, **LEARNED)
        equal("prior", tick, mine.head.prior, theirs.head.prior, **LEARNED)
        mean, variance = mine.panel_predictions()
        equal(f"prediction of model {i}", tick, mean, theirs.panel_mean.ravel(), **LEARNED)
        equal(f"variance of model {i}", tick, variance, theirs.panel_variance.ravel(), **LEARNED)
        for name, value in mine.diagnosis.items():
            equal(name, tick, value, getattr(theirs.diagnosis, name), **LEARNED)
        assert (mine.feasibility is None) == (theirs.feasibility is None)
        if theirs.feasibility is not None:
            families = np.repeat(world.space.family_keys, world.p.trainers.panel)
            phi = basis(theirs.feasibility_on, theirs.panel.x)
            chance = theirs.feasibility.chance(phi, families)
            shown = [mine.feasibility_features.first(x, FEATURES_OF_FEASIBILITY) for x in theirs.panel.x]
            rows = zip(shown, families.tolist(), strict=True)
            equal("chance to be made", tick, [mine.feasibility.chance(*row) for row in rows], chance, **LEARNED)
        equal("recent errors", tick, mine.errors, theirs.recent, **LEARNED)


def dock(p: Parameters, seed: int, ticks: int, space: Any = None, *, alike: bool = False, **events: Any) -> Community:
    """Run both and compare after every tick, on request also how alike models are."""
    eco = Ecosystem(p, seed, record=(), space=space, **events)
    ours = Community(p, eco.world.space, Streams(seed), **events)
    try:
        for _ in range(ticks):
            eco.step()
            ours.step()
            compare(ours, eco)
            if alike:
                likeness = homogenisation(eco.world)
                for name, value in ours.likeness().items():
                    equal(name, eco.tick, value, likeness.get(name, np.nan), **LEARNED)
    finally:
        eco.release()
    return ours


SMALL = {
    "space.materials": 150,
    "space.families": 5,
    "founding.records": 60,
    "curators.count": 3,
    "planners.count": 6,
    "infrastructure.repositories": 4,
}


@pytest.mark.parametrize(
    ("seed", "changes"),
    [
        (1, {}),
        (2, {"curators.reinforcement": 2.0, "planners.reinforcement": 0.0, "curators.count": 4}),
        (
            3,
            {"curators.reinforcement": -1.0, "founding.mass": (3.0, 1.0, 0.0, 2.0, 0.5), "planners.reinforcement": 1.5},
        ),
        (4, {"planners.count": 0}),
        (5, {"curators.count": 0, "planners.exploration": 0.7}),
        (6, {"founding.records": 0, "curators.adjacency": 0.6, "planners.adjacency": 1.0, "curators.records": 0}),
    ],
)
def test_null(seed: int, changes: dict[str, Any]) -> None:
    ours = dock(Parameters.null().updated({**SMALL, "planners.experiments": 1.0, **changes}), seed, 20)
    assert len({r.family for r in ours.records}) > 1


@pytest.mark.parametrize(("records", "year"), [(60, 2004), (150, 2001)])
def test_founding_by_year(records: int, year: int) -> None:
    p = Parameters.preset("single-default").updated(
        {**SMALL, "trainers.count": 0, "founding.records": records, "founding.year": year}
    )
    plain = MaterialsSpace.generate(p.space, Streams(4))
    dated = replace(plain, year=2000 + (np.arange(plain.size) * 7) % 10)
    ours = dock(p, 4, 4, space=dated)
    founders = [r.material for r in ours.records if r.tick < 0]
    assert len(founders) == records
    assert max(dated.year[founders]) == year
    # Distinct as long as there are enough.
    assert len(set(founders)) == min(records, int((dated.year <= year).sum()))


UNLIKE = {
    "infrastructure.repositories": 4,
    "infrastructure.specialisation": 1.5,
    "infrastructure.enumerators": 1,
    "infrastructure.known": 1,
    "curators.count": 5,
    "curators.exploration": 0.5,
    "stocks.hazard": 0.1,
}
UNSTEERED = {**SMALL, "trainers.count": 0, "planners.experiments": 0.8}


@pytest.mark.parametrize(
    ("seed", "changes"),
    [
        (1, {}),
        (
            2,
            {
                "curators.measured_quota": 0.5,
                "curators.provenance_errors": 0.9,
                "curators.qa": 0.2,
                "curators.records": 5,
            },
        ),
        (3, {"commons.forgetting": 0.1, "stocks.hazard": 0.1, "stocks.wear": 0.1, "curators.coverage_seeking": 0.3}),
        (4, {"stocks.lottery_share": 0.4, "stocks.matthew": 1.5, "coupling.outer_loop": 0.6}),
        (5, {"infrastructure.repositories": 1, "founding.concentration": 1.5, "planners.publication_bias": 0.9}),
        (6, {"space.materials": 40, "founding.records": 20, "planners.experiments": 2.0}),  # runs out of materials
        (7, {"curators.modality_mix": (0.0, 0.0, 0.0, 1.0, 1.0, 1.0), "curators.records": 3}),
        (8, {"space.families": 1, "space.materials": 60, "founding.records": 10, "planners.repeats": True}),
        (9, {"stocks.hazard": 0.2, "stocks.repair": 0.5, "infrastructure.openness": 0.0, "commons.forgetting": 0.02}),
        (
            10,
            {"curators.audit_rate": 0.7, "curators.count": 7, "curators.records": 9, "curators.provenance_errors": 0.8},
        ),
        (11, {"curators.response_dal": 3.0, "layers.boundary_shift": "alternative", "layers.coverage_scale": 5.0}),
        (
            12,
            {"commons.forgetting": 3.0, "commons.grace": 2, "curators.response_dal": 4.0, "layers.coverage_scale": 2.0},
        ),
        (13, {"curators.audit_rate": 1.0, "founding.records": 8, "stocks.hazard": 0.2, "layers.prior_overlaps": 0.0}),
        (14, UNLIKE),
        (15, UNLIKE | {"founding.records": 6, "infrastructure.sizes": (1.0, 5.0, 3.0, 2.0), "space.materials": 60}),
    ],
)
def test_without_models(seed: int, changes: dict[str, Any]) -> None:
    dock(Parameters.preset("single-default").updated({**UNSTEERED, **changes}), seed, 25)


GROWING = {"trainers.features_growth": 6.0}
OBSERVED = {"space.observed_dims": 40, "space.signal": 1.5, "trainers.records": 0, "coupling.pseudo_share": 0.3}
READING = OBSERVED | {"trainers.corpus": "reachable", "founding.structures": 50, "curators.structures": 2}
FAILING = {
    "planners.feasibility_weight": 2.0,
    "planners.publication_bias": 0.2,
    "space.feasible": 0.5,
    "space.feasible_scatter": 0.2,
}
# Families are few enough to be looked through, so that labs have nothing left but to found others.
OPEN = {
    "space.families": 12,
    "commons.concentration": 2.0,
    "commons.discount": 0.4,
    "founding.records": 12,
    "curators.coverage_seeking": 0.2,
    "curators.model_guidance": 1.0,
    "curators.response_dal": 1.0,
    "layers.coverage_share": 0.3,
    "coupling.integrity_weight": 2.0,
}
LEARNING = {
    **SMALL,
    "trainers.count": 2,
    "trainers.features": 24,
    "trainers.records": 80,
    "trainers.retrain_interval": 5,
    "trainers.latent_dims": 5,
    "planners.experiments": 1.5,
    "trainers.panel": 6,
    "planners.candidates": 6,
    "space.quantum_dims": 8,
    "space.meso_dims": 3,
    "space.spurious_dims": 2,
    "space.gauge_dims": 3,
}


@pytest.mark.parametrize(
    ("seed", "changes"),
    [
        (1, {"trainers.objective": "masked"}),
        (2, {"trainers.objective": "contrastive"}),
        (3, {"trainers.objective": "fusion"}),
        (4, {"trainers.objective": "graph"}),
        (5, {"planners.acquisition": "ucb", "trainers.count": 3, "trainers.reuse": 0.7, "coupling.pseudo_share": 0.7}),
        (6, {"planners.acquisition": "random", "infrastructure.providers": 2, "curators.model_guidance": 1.0}),
        (7, {"planners.acquisition": "ei", "trainers.overconfidence": 1.7, "coupling.uncertainty_ral_isl": 0.4}),
        (8, {"planners.acquisition": "thompson", "trainers.fresh_floor": 0.6, "trainers.records": 40}),
        (9, {"planners.acquisition": "maxvar", "trainers.response_ral": 0.5, "trainers.head": "bayesian"}),
        (10, {"planners.acquisition": "ranking", "planners.proxy": 0.4, "layers.steering": "alternative"}),
        (11, {"trainers.delta_learning": True, "coupling.pseudo_share": 0.5, "coupling.pseudo_noise": 1.0}),
        (12, {"trainers.physical_prior": True, "coupling.pseudo_share": 0.5, "coupling.pseudo_gain": 1.5}),
        (13, {"trainers.head": "mean", "coupling.correction": 1.4, "layers.tradeoff": "alternative"}),
        (14, {"trainers.labels": "simulated", "planners.entry": 1}),
        (
            15,
            {
                "trainers.labels": "measured",
                "coupling.uncertainty_dal_ral": 0.3,
                "coupling.uncertainty_modalities": 0.2,
            },
        ),
        (16, {"stocks.hazard": 0.1, "stocks.wear": 0.1, "infrastructure.providers": 2, "infrastructure.need": 2}),
        (17, {"planners.adoption": "utility", "planners.utility_gaps": (0.5, 0.2), "planners.utility_returns": 0.1}),
        (18, {"stocks.compute": 0.6, "trainers.latent_per_doubling": 1, "infrastructure.rewiring": 0.8}),
        (
            19,
            {"stocks.attention": 4.0, "stocks.attention_cap": 9.0, "planners.candidates": 12, "planners.repeats": True},
        ),
        (20, {"space.materials": 60, "planners.experiments": 2.5, "planners.adoption_rate": 0.6}),
        (21, {"coupling.correction": 0.0, "coupling.pseudo_share": 0.8, "coupling.pseudo_anchor": "property"}),
        (23, {"planners.source": "neighbourhood"}),
        (24, {"planners.source": "inverse", "planners.candidates": 4}),
        (25, {"planners.source": "generative", "trainers.physical_prior": True, "space.materials": 60}),
        (26, {"planners.source": "inverse", "trainers.delta_learning": True, "planners.repeats": True}),
        (27, {"planners.source": "neighbourhood", "planners.acquisition": "random", "planners.candidates": 20}),
        (28, {"planners.source": "generative", "trainers.head": "mean", "planners.candidates": 3}),
        (29, {"planners.source": "inverse", "trainers.head": "mean", "planners.candidates": 3}),
        (30, {"trainers.measured_response": True, "trainers.response_ral": 0.5, "trainers.reuse": 0.5}),
        (
            31,
            {
                "layers.integrity": "alternative",
                "trainers.scale": 0.5,
                "space.meso_dims": 1,
                "modalities.measured_noise": 0.6,
            },
        ),
        (
            32,
            {
                "planners.acquisition": "random",
                "planners.proxy": 0.4,
                "trainers.fresh_floor": 0.3,
                "trainers.records": 400,
            },
        ),
        (33, {"space.families": 1, "founding.records": 64, "space.materials": 50, "trainers.panel": 25}),
        (34, {"trainers.objective": "contrastive", "planners.source": "generative", "planners.candidates": 20}),
        (35, OBSERVED | {"trainers.objective": "masked", "trainers.corpus": "reachable", "space.near_duplicates": 0.4}),
        (
            36,
            OBSERVED | {"trainers.objective": "contrastive", "space.view_noise": 0.4, "trainers.features_growth": 6.0},
        ),
        (
            37,
            OBSERVED
            | {"space.curvature": 0.5}
            | {"trainers.objective": "fusion", "trainers.width": "evidence", "trainers.reuse": 0.5},
        ),
        (38, OBSERVED | {"trainers.objective": "graph", "planners.source": "neighbourhood", "trainers.scale": 0.5}),
        (43, {"trainers.head": "mean", "trainers.features_growth": 6.0, "trainers.bias_features": 8}),
        (44, {"trainers.delta_learning": True, "trainers.bias_features": 200, "curators.bias_claims": True}),
        (40, READING | {"trainers.objective": "masked", "stocks.hazard": 0.1, "curators.records": 0}),
        (41, READING | {"trainers.supervised": 0.6, "trainers.scale": 0.5}),
        (42, {"trainers.supervised": 1.0, "trainers.objective": "graph", "trainers.reuse": 0.5}),
        (
            48,
            OBSERVED
            | {"planners.source": "mixture", "planners.tilt": 2.0, "planners.proposals": 5, "stocks.attention": 20.0}
            | {"planners.acquisition": "integrated_variance", "coupling.uncertainty_ral_isl": 0.6},
        ),
        (
            49,
            {
                "space.properties": 2,
                "planners.source": "mixture",
                "planners.mixture_components": 3,
                "planners.repeats": True,
            },
        ),
        (
            50,
            {"planners.source": "inverse", "planners.attention_cost": "scored", "stocks.attention": 9.0}
            | {"planners.acquisition": "integrated_variance"},
        ),
        (39, {"trainers.width": "evidence", "trainers.features_growth": 8.0, "trainers.features_most": 64}),
        (45, FAILING | {"planners.acquisition": "thompson", "trainers.count": 3, "planners.proxy": 0.3}),
        (46, FAILING | {"trainers.head": "mean", "planners.acquisition": "ei", "curators.audit_rate": 0.5}),
        (
            47,
            FAILING
            | OBSERVED
            | {"space.properties": 3, "planners.acquisition": "ucb", "trainers.features_growth": 12.0},
        ),
        (
            51,
            OBSERVED
            | {"trainers.corpus": "own", "space.properties": 2, "trainers.reuse": 0.5, "trainers.scale": 0.5}
            | {"modalities.measured_focus": 0.0, "modalities.simulated_focus": 0.0}
            | FAILING,
        ),
        (52, OPEN | {"trainers.reuse": 0.5, "planners.candidates": 3}),
        (
            53,
            OPEN
            | OBSERVED
            | {"trainers.corpus": "reachable", "founding.structures": 20, "curators.structures": 1}
            | {"commons.forgetting": 0.05, "stocks.hazard": 0.1, "planners.repeats": True, "founding.records": 25},
        ),
        (22, {"infrastructure.need": 0, "stocks.hazard": 0.2, "stocks.compute": 0.0, "trainers.invariance": 1.0}),
    ],
)
def test_with_models(seed: int, changes: dict[str, Any]) -> None:
    dock(Parameters.preset("single-default").updated({**LEARNING, **changes}), seed, 16)


SEVERAL = {"space.properties": 3, "founding.records": 120, "planners.count": 8}
EVEN = {"modalities.measured_focus": 0.0, "modalities.simulated_focus": 0.0}
SCARCE = {
    "space.properties": 4,
    "modalities.measured_focus": 3.0,
    "modalities.simulated_focus": 3.0,
    "trainers.records": 10,
    "trainers.reuse": 0.5,
    "trainers.count": 3,
    "planners.demand": 0.0,
    "planners.entry": 1,
    "planners.adoption_rate": 0.5,
}


@pytest.mark.parametrize(
    ("seed", "changes"),
    [
        (1, {"trainers.objective": "contrastive", "planners.publication_bias": 0.2, "space.feasible": 0.6}),
        (2, {"trainers.delta_learning": True, "coupling.pseudo_share": 0.6, "planners.acquisition": "ei"}),
        (3, {"trainers.physical_prior": True, "coupling.pseudo_share": 0.6, "curators.model_guidance": 1.0}),
        (
            4,
            {"planners.adoption": "utility", "planners.utility_gaps": (0.5, 0.2), "planners.utility_returns": 0.1}
            | {"infrastructure.providers": 2, "planners.entry": 1, "planners.proxy": 0.3},
        ),
        (
            5,
            OBSERVED
            | {"space.view_noise": 0.2, "trainers.features_growth": 6.0, "trainers.width": "evidence"}
            | {"trainers.corpus": "reachable", "trainers.reuse": 0.5, "trainers.count": 3, "founding.records": 60},
        ),
        # Nobody has a model of some properties: who seeks them neither chooses nor waits in turn.
        (44, SCARCE | {"founding.records": 12}),
        # Of what a trainer has published, some models stand on an encoder of before.
        (47, SCARCE | {"founding.records": 40, "trainers.records": 6, "trainers.retrain_interval": 2} | EVEN),
        (7, {"trainers.response_ral": 0.5, "trainers.measured_response": True, "stocks.hazard": 0.1}),
        (8, {"curators.audit_rate": 0.5, "curators.provenance_errors": 0.8, "planners.neighbours": 3}),
        (
            2,
            {"curators.bias_claims": True, "trainers.bias_features": 10, "coupling.pseudo_share": 0.3}
            | {"trainers.features_growth": 6.0, "stocks.hazard": 0.1, "trainers.harmonisation": 0.5},
        ),
        # Trainers with the same records and encoder, but other heads before.
        (
            1,
            {"trainers.retrain_interval": 1, "trainers.reuse": 0.5, "trainers.records": 0, "trainers.count": 3}
            | {"infrastructure.openness": 1.0, "trainers.features_growth": 3.0, "trainers.objective": "masked"},
        ),
    ],
)
def test_several_properties(seed: int, changes: dict[str, Any]) -> None:
    dock(Parameters.preset("single-default").updated({**LEARNING, **SEVERAL, **changes}), seed, 13)


RIVALS = {
    "trainers.count": 3,
    "trainers.reuse": 0.5,
    "infrastructure.providers": 1,
    "infrastructure.openness": 0.2,
    "planners.experiments": 2.5,
    "planners.memory": 1.0,
}


@pytest.mark.parametrize(
    ("seed", "changes"),
    [
        (
            3,
            {"planners.common_candidates": 0.6, "planners.priority": 0.7, "planners.publication_bias": 0.2}
            | {"planners.acquisition": "ucb", "planners.kappa": -1.0},
        ),
        (
            5,
            SEVERAL
            | OBSERVED
            | {"planners.common_candidates": 1.0, "planners.priority": 0.4, "planners.source": "neighbourhood"}
            | {"planners.repeats": True},
        ),
    ],
)
def test_rivals(seed: int, changes: dict[str, Any]) -> None:
    ours = dock(Parameters.preset("single-default").updated({**LEARNING, **RIVALS, **changes}), seed, 8, alike=True)
    assert any(q.claims % 1 for q in ours.planners)


FRICTIONS = {
    "trainers.count": 4,
    "trainers.reuse": 0.4,
    "trainers.retrain_interval": 3,
    "infrastructure.providers": 2,
    "planners.adoption_rate": 0.4,
}
LOST = [
    Shock("repository_outage", start=2, strength=0.5, target="largest"),
    Shock("model_withdrawal", start=4, target=1),
    Shock("model_freeze", start=3, end=5, strength=0.3, target="largest"),
    Shock("repository_outage", start=5, end=8, target="largest", strength=0.4),
    Shock("upkeep_decay", start=1, end=9, strength=0.9),
]


@pytest.mark.parametrize(
    ("seed", "changes", "shocks", "met"),
    [
        # Hosts, some with open weights, and labs that learn to use models and adapt them.
        (
            1,
            {"infrastructure.service": "host", "infrastructure.hosts": 3, "infrastructure.open_weights": 0.4}
            | {"planners.adapter_records": 5, "planners.switching_time": 2, "planners.discount": 0.8}
            | {"planners.acquisition": "ei", "stocks.hazard": 0.1, "infrastructure.search_time": 1},
            [
                Shock("host_outage", start=3, end=5, strength=0.5, target="largest"),
                Shock("licence_end", start=6, strength=0.5),
                Shock("host_outage", start=7, target=0),
                Shock("model_freeze", start=4, strength=0.2),
            ],
            {"hosts", "open", "frozen", "revoked", "few", "unready", "idle"},
        ),
        # Ends that are announced, with records that move; models that take their time.
        (
            2,
            {"infrastructure.notice": 2, "infrastructure.migration": 0.6, "infrastructure.search_time": 1}
            | {"trainers.training_time": 2, "infrastructure.openness": 0.2, "infrastructure.providers": 1}
            | {"planners.adapter_records": 40, "planners.adapter_features": "family", "stocks.wear": 0.1}
            | {"trainers.response_ral": 0.5, "stocks.upkeep": 0.05, "founding.structures": 30}
            | OBSERVED
            | {"trainers.corpus": "reachable", "planners.acquisition": "ucb"},
            LOST,
            {"announced", "moved", "looking", "in training", "few", "many"},
        ),
        # Several properties, labels that add to a simulation, and a change of what is sought while models are trained.
        (
            3,
            SEVERAL
            | {"trainers.training_time": 4, "planners.adapter_records": 8, "trainers.delta_learning": True}
            | {"planners.acquisition": "thompson", "planners.switching_time": 1, "infrastructure.search_time": 0},
            [
                Shock("objective_shift", start=5, strength=0.5),
                Shock("functional_revision", start=7, strength=0.5),
                Shock("repository_outage", start=2, strength=0.8),
            ],
            {"looking", "in training", "few", "unready"},
        ),
        # Labs that weigh what switching costs by the utility of models.
        (
            4,
            {"planners.adoption": "utility", "planners.utility_gaps": (0.5, 0.2), "planners.utility_returns": 0.1}
            | {"planners.discount": 0.9, "planners.switching_time": 3, "infrastructure.notice": 1}
            | {"planners.adapter_records": 3, "planners.source": "inverse", "trainers.head": "mean"},
            [
                Shock("model_withdrawal", start=3, strength=0.2, target="largest"),
                Shock("model_withdrawal", start=5, target=0),
            ],
            {"announced", "many", "idle"},
        ),
    ],
)
def test_frictions(seed: int, changes: dict[str, Any], shocks: list[Shock], met: set[str]) -> None:
    p = Parameters.preset("single-default").updated({**LEARNING, **FRICTIONS, **changes})
    assert met <= dock(p, seed, 9, shocks=shocks).met


POLICY_GROUPS = [
    (1, ["negative_results", "coverage_mandate", "measured_quota", "provenance_standard"]),
    (2, ["audits", "harmonisation", "uncertainty_aware", "invariance_standard"]),
    (3, ["model_pluralism", "redundancy", "mirrors_and_repair", "compute_cap"]),
    (4, ["equal_funding", "exploration_floor", "fresh_data_floor"]),
    (5, ["funding_lottery", "redundancy", "measured_quota"]),
]


@pytest.mark.parametrize(("seed", "names"), POLICY_GROUPS)
def test_policies(seed: int, names: list[str]) -> None:
    """Each in its time, some with a ramp, an end or part of their strength."""
    policies = [
        Policy(name, start=2 + i, end=None if i % 2 else 9, strength=(0.7, 1.0, 0.3)[i % 3], ramp=3 * (i % 3))
        for i, name in enumerate(names)
    ]
    p = Parameters.preset("single-default").updated({**LEARNING, "stocks.hazard": 0.05, "curators.response_dal": 1.0})
    dock(p, seed, 13, policies=policies)


@pytest.mark.parametrize("target", ["random", "largest", "correlated"])
def test_outages(target: str) -> None:
    shocks = [
        Shock("repository_outage", start=2, end=4, strength=0.5, target=target),
        Shock("model_withdrawal", start=3, end=5, strength=0.3, target=target),
        Shock("repository_outage", start=8, strength=0.2, target=target),
    ]
    dock(
        Parameters.preset("single-default").updated({**LEARNING, "trainers.count": 3, "trainers.reuse": 0.5}),
        8,
        12,
        shocks=shocks,
    )


def test_the_loss_of_numbered_nodes() -> None:
    shocks = [
        Shock("repository_outage", start=2, target=1),
        Shock("model_withdrawal", start=4, end=7, target=2),
        Shock("repository_outage", start=6, end=8, target=0),
    ]
    dock(Parameters.preset("single-default").updated({**LEARNING, "trainers.count": 3}), 8, 12, shocks=shocks)


@pytest.mark.parametrize(
    ("seed", "names", "changes"),
    [
        (1, ["poisoning", "retraction_wave"], {}),
        (2, ["functional_revision", "funding_cut"], {}),
        (3, ["objective_shift"], {"space.top_share": 0.2}),
        (4, ["functional_revision", "objective_shift", "poisoning"], {"trainers.physical_prior": True}),
        (5, ["functional_revision", "objective_shift", "poisoning"], {**SEVERAL, "trainers.delta_learning": True}),
    ],
)
def test_shocks(seed: int, names: list[str], changes: dict[str, Any]) -> None:
    shocks = [Shock(name, start=3 * i, end=3 * i + 4, strength=0.5) for i, name in enumerate(names)]
    dock(Parameters.preset("single-default").updated({**LEARNING, **changes}), seed, 12, shocks=shocks)


OPEN = {"commons.concentration": 1.0, "commons.discount": 0.3, "founding.records": 5}


@pytest.mark.parametrize(("source", "more"), [("neighbourhood", OPEN), ("mixture", UNLIKE)])
def test_relabelled_families(source: str, more: dict[str, Any]) -> None:
    """Families and materials keep their draws when their rows move."""
    changes = {**LEARNING, **FAILING, **more, "planners.source": source, "space.properties": 2}
    p = Parameters.preset("single-default").updated(changes)
    order = np.array([3, 0, 4, 1, 2])
    dock(p, 9, 10, MaterialsSpace.generate(p.space, Streams(9)).relabelled(order))


@pytest.mark.parametrize(
    ("seed", "changes"),
    [
        (1, {}),
        (2, {"materials": 60, "families": 20, "near_duplicates": 0.6, "shared_chemistry": 0.9}),
        (3, {"families": 1, "phase_jump": 1.5, "spurious_dims": 0, "top_share": 0.1}),
        (5, {"field": "binned", "families": 2, "materials": 80}),
        (6, {"properties": 3, "factors": 2, "phase_jump": 0.5, "relatedness": 0.7}),
        (5, {"field": "binned", "families": 2, "materials": 80, "feasible_scatter": 0.1}),
        (4, {"families": 3, "quantum_dims": 4, "chemistry_rank": 4, "family_exponent": 2.0, "dense_share": 0.5}),
    ],
)
def test_space(seed: int, changes: dict[str, Any]) -> None:
    p = Parameters.preset("single-default").updated(
        {f"space.{k}": v for k, v in {"materials": 400, "families": 12, "observed_dims": 160, **changes}.items()}
        | {"founding.records": 0}
    )
    theirs = MaterialsSpace.generate(p.space, Streams(seed))
    for name, array in read_space(p.space, Streams(seed)).items():
        array = np.asarray(array)
        whole = array.dtype.kind in "biu"
        mine = theirs.observation.keys if name == "noise_keys" else getattr(theirs, name)
        equal(name, 0, array, mine, **({} if whole else CLOSE))
