"""No parameter is a dead flag: moving any one of them, where it has a say, changes the run."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from golden import BUSY as BASE

from mpbf_abm import MaterialsSpace, Parameters, Policy, Shock
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.model.ecosystem import Ecosystem
from mpbf_abm.model.indicators import COLUMNS
from mpbf_abm.model.interventions import FIXED
from mpbf_abm.parameters import PATHS, current, schema

TICKS = 7

# What some parameters need to have a say.
CONTEXT: dict[str, dict[str, Any]] = {
    "planners.utility_gaps": {"planners.adoption": "utility"},
    "planners.utility_returns": {"planners.adoption": "utility", "planners.utility_gaps": (1.0, 0.5)},
    "layers.integrity_exponent": {"layers.integrity": "alternative"},
    "layers.fidelity_scale": {"layers.boundary_shift": "alternative"},
    "layers.invariance_half": {"layers.tradeoff": "alternative"},
    "curators.exploration_floor": {},
    "planners.exploration_floor": {},
    "trainers.scale_cap": {"trainers.scale": 4.0, "stocks.compute": 8.0},
    "trainers.measured_response": {"trainers.retrain_interval": 1},
    "stocks.compute": {"trainers.scale": 4.0},
    "stocks.repair": {"stocks.hazard": 0.4},
    "infrastructure.need": {"stocks.hazard": 0.3},
    "infrastructure.rewiring": {"infrastructure.repositories": 8},
    "infrastructure.preference": {"infrastructure.repositories": 8},
    "curators.adjacency": {"curators.exploration": 0.9},
    "trainers.fresh_floor": {"trainers.records": 30},
    "commons.grace": {"commons.forgetting": 1.0},
    "coupling.pseudo_anchor": {"coupling.pseudo_gain": 2.0},
    "space.signal": {"space.observed_dims": 64},
    "space.view_noise": {"space.observed_dims": 64},
    "space.curvature": {"space.observed_dims": 64},
    "founding.structures": {"space.observed_dims": 64, "trainers.corpus": "reachable"},
    "curators.structures": {"space.observed_dims": 64, "trainers.corpus": "reachable"},
    "trainers.features_most": {"trainers.features_growth": 20.0},
    "space.factors": {"space.properties": 3},
    "space.relatedness": {"space.properties": 3},
    "planners.demand": {"space.properties": 3},
    "modalities.simulated_focus": {"space.properties": 3},
    "modalities.measured_focus": {"space.properties": 3},
    "planners.feasibility_weight": {"space.feasible": 0.5, "planners.publication_bias": 0.0},
    "planners.mixture_components": {"planners.source": "mixture"},
    "planners.tilt": {"planners.source": "mixture"},
    "planners.proposals": {"planners.source": "mixture", "planners.tilt": 3.0},
    "planners.attention_cost": {"planners.source": "inverse"},
    "planners.priority": {"planners.common_candidates": 1.0, "planners.experiments": 3.0},
    "commons.concentration": {"commons.discount": 0.1, "founding.records": 10},
    "commons.discount": {"commons.concentration": 0.5, "founding.records": 10},
    "stocks.hazard_steepness": {"stocks.wear": 0.3, "stocks.hazard": 0.1},
    "infrastructure.search_time": {"stocks.hazard": 0.3, "infrastructure.providers": 1, "infrastructure.rewiring": 0.0},
    "infrastructure.service": {"stocks.hazard": 0.3},
    "infrastructure.hosts": {"stocks.hazard": 0.3, "infrastructure.service": "host"},
    "infrastructure.open_weights": {"stocks.hazard": 0.3, "infrastructure.service": "host"},
    "planners.discount": {"planners.switching_time": 3},
    "planners.adapter_features": {"planners.adapter_records": 20},
    "planners.adapter_sd": {"planners.adapter_records": 20},
}

# Values to move to where a small step within the bounds would not do.
VALUES: dict[str, Any] = {
    "founding.mass": (1.0, 4.0, 1.0, 2.0, 1.0, 1.0, 0.5, 1.0),
    "curators.modality_mix": (0.1, 0.1, 0.2, 0.2, 0.2, 0.2),
    "space.bias_family": ("space.bias_smooth", 0.4),
    "space.bias_smooth": ("space.bias_scatter", 0.4),
    "space.bias_scatter": ("space.bias_family", 0.4),
    "planners.utility_gaps": (0.0, 2.0),
    "planners.utility_returns": -2.0,
    "trainers.fresh_floor": 1.0,
    "planners.exploration_floor": 0.9,
    "curators.exploration_floor": 0.9,
    "trainers.scale_cap": 1.0,
    "stocks.compute": 0.5,
    "space.observed_dims": 64,
    "space.field": "binned",
    "founding.structures": 100,
    "trainers.features_most": 64,
    "trainers.corpus": "reachable",
    "trainers.width": "evidence",
    "trainers.objective": "graph",
    "trainers.head": "mean",
    "trainers.labels": "measured",
    "planners.source": "inverse",
    "planners.tilt": 3.0,
    "planners.attention_cost": "scored",
    "planners.acquisition": "thompson",
    "planners.adoption": "utility",
    "planners.memory": 0.2,
    "infrastructure.need": 2,
    "planners.neighbours": 1,
    "infrastructure.providers": 1,
    "infrastructure.enumerators": 1,
    "infrastructure.known": 1,
    "infrastructure.sizes": (1.0, 3.0, 2.0),
    "infrastructure.model_links": (0, 1, 2, 0, 1, 2, 0, -1),
    "infrastructure.lab_links": (3, 2, *[0, 1] * 7),
    "infrastructure.deposits": (2, 2, 2, 2, 0, 0, 1, -1),
    "layers.feedback_correction": 0.0,
    "stocks.attention_cap": 4.0,
    "stocks.attention": 3.0,
    "space.chemistry_rank": 2,
    "space.dense_share": 0.5,
    "layers.prior_overlaps": 50.0,
    "curators.measured_cost": 2.0,
    "stocks.repair": 1.0,
    "infrastructure.rewiring": 1.0,
    "planners.publication_threshold": 1.5,
    "space.top_share": 0.1,
    "founding.year": 2004,
    "planners.social": 1.0,
    "coupling.pseudo_anchor": "property",
    "planners.kappa": 10.0,
    "infrastructure.service": "host",
    "planners.adapter_features": "family",
}
ROWS = {row["path"]: row for row in schema()}


def moved(path: str, now: Any) -> dict[str, Any]:
    """Return the parameter moved to another valid value."""
    if path.startswith("space.bias_") and path in VALUES:
        other, value = VALUES[path]
        left = next(k for k in VALUES if k.startswith("space.bias_") and k not in (path, other))
        return {path: value, left: (1 - value) / 4, other: 3 * (1 - value) / 4}
    if path in VALUES:
        return {path: VALUES[path]}
    if isinstance(now, bool):
        return {path: not now}
    if isinstance(now, str):
        return {path: "alternative" if now == "chosen" else "chosen"}
    high = ROWS[path]["high"]
    if isinstance(now, int):
        return {path: now + 2}
    step = now * 1.7 if now else 0.5
    return {path: step if high is None or step <= high else now * 0.4}


@cache
def outcome(changes: tuple[tuple[str, Any], ...], levers: tuple[tuple[str, Any], ...] = ()) -> tuple[bytes, bytes]:
    """Return every indicator, and the records and claims, of a short run in which everything happens."""
    policies = [Policy("coverage_mandate", start=2, strength=0.3)]
    if levers:
        policies.append(Policy("own", set=dict(levers), start=1))
    shocks = [Shock("poisoning", start=3, strength=0.2), Shock("repository_outage", start=4, target=2)]
    p = Parameters.preset("single-default").updated(
        {current(path): value for path, value in (BASE | dict(changes)).items()}
    )
    # Materials have years where data say so.
    plain = MaterialsSpace.synthetic(p, seed=3)
    space = replace(plain, year=2000 + np.arange(plain.size) % 10)
    eco = Ecosystem(p, 3, policies=policies, shocks=shocks, space=space, record=("series",))
    for _ in range(TICKS):
        eco.step()
    rows = np.array([[row[c] for c in COLUMNS] for _, row in eco.recorder.series])
    commons = eco.world.commons
    claims = eco.world.planners.claims.tobytes()
    eco.release()
    return rows.tobytes(), commons.key.tobytes() + commons.value.tobytes() + claims


@pytest.mark.parametrize("path", PATHS)
def test_moving_a_parameter_changes_the_run(path: str) -> None:
    context = CONTEXT.get(path, {})
    now = getattr(getattr(Parameters.preset("single-default").updated(BASE | context), PATHS[path][0]), PATHS[path][1])
    before, after = outcome(tuple(context.items())), outcome(tuple((context | moved(path, now)).items()))
    assert before != after, f"{path}: {now} -> {moved(path, now)[path]} changes nothing"


# What a policy needs to move some parameters, and how far.
LEVERS: dict[str, dict[str, Any]] = {
    "curators.exploration": {"curators.exploration": 1.0},
    "trainers.records": {"trainers.records": 30},
    "infrastructure.preference": {"infrastructure.preference": 6.0},
    "stocks.hazard": {"stocks.hazard": 0.9},
    "modalities.simulated_focus": {"modalities.simulated_focus": 5.0},
    "curators.coverage_seeking": {"curators.coverage_seeking": 1.0},
}
FIRST: dict[str, dict[str, Any]] = {
    "infrastructure.preference": {"infrastructure.rewiring": 1.0, "infrastructure.repositories": 8},
    "planners.entry": {"planners.entry": 1},
}


@pytest.mark.parametrize("path", [path for path in PATHS if path not in FIXED])
def test_a_policy_of_ones_own_moves_every_parameter_that_is_not_fixed_at_founding(path: str) -> None:
    context = CONTEXT.get(path, {}) | FIRST.get(path, {})
    now = getattr(getattr(Parameters.preset("single-default").updated(BASE | context), PATHS[path][0]), PATHS[path][1])
    levers = LEVERS.get(path) or moved(path, now)
    assert outcome(tuple(context.items())) != outcome(tuple(context.items()), tuple(levers.items()))


@pytest.mark.parametrize("path", sorted(FIXED))
def test_what_is_fixed_at_founding_is_refused_as_a_lever(path: str) -> None:
    with pytest.raises(ConfigurationError, match="acts at founding only"):
        Policy("own", set={path: 1})


def test_what_is_fixed_at_founding_is_not_read_later(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = {
        path: 2 * getattr(getattr(Parameters.preset("single-default").updated(BASE), group), name)
        for path, (group, name) in PATHS.items()
        if path in FIXED and path != "founding.mass" and "space." not in path
    }
    monkeypatch.setattr("mpbf_abm.model.interventions.FIXED", frozenset())
    assert outcome(()) == outcome((), tuple(numbers.items()))
