"""Failures that teach: what models know of which materials can be made, and what planners make of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.arrays import Float32, Int
from mpbf_abm.learning.acquisition import RULES
from mpbf_abm.learning.feasibility import area, by_chance, fit_feasibility
from mpbf_abm.learning.models import FoundationModel
from mpbf_abm.model.commons import FAILED
from mpbf_abm.model.training import record_descriptors
from mpbf_abm.model.world import World


def learn_feasibility(world: World, sources: NDArray[np.bool_], model: FoundationModel) -> None:
    """Fit a feasibility head to every trial that a fresh model's trainer can reach, if one of them has failed."""
    if not world.p.planners.feasibility_weight:
        return
    space, commons = world.space, world.commons
    rows = commons.trials(sources)
    made = commons.origin[rows] != FAILED
    if made.all():
        return
    keys = space.family_keys[commons.family[rows]]
    model.feasibility = fit_feasibility(model.features(record_descriptors(world, rows)), keys, made)
    judged = model.panel.materials.ravel()
    chance = model.feasibility.chance(model.panel_phi, space.family_keys[space.family[judged]])
    model.feasibility_auc = area(chance, space.feasible[judged])


def weigh_by_chance(world: World, model: FoundationModel, candidates: Int, phi: Float32, scores: Float32) -> Float32:
    """Let scores of candidates (n, C) count by the chance that they can be made; a random order stays as it is."""
    p, space = world.p.planners, world.space
    if not p.feasibility_weight or model.feasibility is None or RULES[p.acquisition].draws == "order":
        return scores
    chance = model.feasibility.chance(phi, space.family_keys[space.family[candidates.ravel()]])
    return by_chance(scores, chance.reshape(candidates.shape), p.feasibility_weight)


def area_in_use(use: list[tuple[float, FoundationModel]]) -> float:
    """Mean area under the ROC curve of the models in use that have a feasibility head, by adopters; NaN of none."""
    weight, auc = np.array([(w, m.feasibility_auc) for w, m in use if not np.isnan(m.feasibility_auc)]).reshape(-1, 2).T
    return float(weight @ auc / weight.sum()) if len(weight) else float("nan")
