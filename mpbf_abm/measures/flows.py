"""What flows between curators, models and planners: counts of one tick, read off a community after it.

The arrows of the layer diagram, measured: nothing is added to the model for their sake.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.model.commons import EXPERIMENT, FAILED, ORIGINS
from mpbf_abm.model.world import World

# Name: from, to, unit, what it counts.
FLOWS: dict[str, tuple[str, str, str, str]] = {
    "acquired": ("curators", "commons", "records", "records that curators entered, model-generated ones left out"),
    "generated": (
        "models",
        "commons",
        "records",
        "records that curators entered with a model's prediction for a label",
    ),
    "read": ("commons", "models", "records", "records in the training samples of models that were retrained"),
    "steered": ("models", "planners", "experiments", "experiments whose material a model chose"),
    "alone": ("planners", "experiments", "experiments", "experiments of the community without a model"),
    "published": ("experiments", "planners", "tests", "published tests, failures included"),
    "deposited": ("experiments", "commons", "records", "results that became records (the outer loop)"),
    "corrected": (
        "experiments",
        "models",
        "tests",
        "published tests that corrected the model that chose them (the inner loop)",
    ),
}


def tick_flows(world: World) -> dict[str, float]:
    """Return the flows of the tick that has just ended, by the names of :data:`FLOWS`.

    Parameters
    ----------
    world : World
        After a step: results and signals are of tick ``world.tick - 1``.
    """
    last, commons = world.tick - 1, world.commons
    out = dict.fromkeys(FLOWS, 0.0)
    acquired = float(world.signals.acquisitions.sum())
    out["generated"] = float(world.signals.generated)
    out["acquired"] = acquired - out["generated"]
    out["read"] = float(sum(m.records for m in world.registry.models if m is not None and m.trained == last))
    origin, recent = commons.origin, commons.tick == last
    out["deposited"] = float(np.count_nonzero(recent & ((origin == EXPERIMENT) | (origin == FAILED))))
    results = world.results
    if results is not None:
        with_model = results.model >= 0
        out["steered"] = float(np.count_nonzero(with_model))
        out["alone"] = float(len(results.planner)) - out["steered"]
        out["published"] = float(np.count_nonzero(results.published))
        if world.p.coupling.correction > 0:
            out["corrected"] = float(np.count_nonzero(results.published & with_model & ~np.isnan(results.observed)))
    return out


def records_by_origin(world: World, regions: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return the records alive of each origin in each region of the families (origins, regions).

    Parameters
    ----------
    world : World
    regions : int (K,)
        Region of each family.
    count : int
        Regions.
    """
    commons = world.commons
    alive = commons.alive
    cell = commons.origin[alive].astype(np.int64) * count + regions[commons.family[alive]]
    return np.bincount(cell, minlength=len(ORIGINS) * count).reshape(len(ORIGINS), count)


def core_families(records: NDArray[np.int64], share: float = 0.5) -> NDArray[np.bool_]:
    """Return the largest families that together hold a share of the records (K,): the core of a corpus."""
    order = np.argsort(-records, kind="stable")
    held = np.cumsum(records[order])
    core = np.zeros(len(records), bool)
    if held[-1] > 0:
        core[order[: int(np.searchsorted(held, share * held[-1])) + 1]] = True
    return core


def added(flows: Mapping[str, float], more: Mapping[str, float]) -> dict[str, float]:
    """Sum of flows, name by name."""
    return {name: flows.get(name, 0.0) + value for name, value in more.items()}


__all__ = ["FLOWS", "added", "core_families", "records_by_origin", "tick_flows"]
