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


def learn_feasibility(world: World, sources: NDArray[np.bool_], models: list[FoundationModel]) -> None:
    """Fit a feasibility head to every trial that the trainer of fresh models can reach, if one of them has failed.

    It stands on the features of the first model; those of other properties share it.
    """
    if not world.p.planners.feasibility_weight:
        return
    space, commons, first = world.space, world.commons, models[0]
    rows = commons.trials(sources)
    made = commons.origin[rows] != FAILED
    if made.all():
        return
    keys = space.family_keys[commons.family[rows]]
    head = fit_feasibility(first.features(record_descriptors(world, rows)), keys, made)
    judged = first.panel.materials.ravel()
    auc = area(head.chance(first.panel_phi, space.family_keys[space.family[judged]]), space.feasible[judged])
    for model in models:
        model.feasibility, model.feasibility_on, model.feasibility_auc = head, first, auc


def weigh_by_chance(world: World, model: FoundationModel, candidates: Int, x: Float32, scores: Float32) -> Float32:
    """Let scores of candidates (n, C) count by the chance that they can be made; a random order stays as it is.

    Parameters
    ----------
    x : float32 (n C, d)
        Ambient descriptors of the candidates as the model is shown them.
    """
    p, space = world.p.planners, world.space
    if (
        not p.feasibility_weight
        or model.feasibility is None
        or model.feasibility_on is None
        or RULES[p.acquisition].draws == "order"
    ):
        return scores
    phi = model.feasibility_on.features(x)
    chance = model.feasibility.chance(phi, space.family_keys[space.family[candidates.ravel()]])
    return by_chance(scores, chance.reshape(candidates.shape), p.feasibility_weight)


def area_in_use(use: list[tuple[float, FoundationModel]]) -> float:
    """Mean area under the ROC curve of the models in use that have a feasibility head, by adopters; NaN of none."""
    weight, auc = np.array([(w, m.feasibility_auc) for w, m in use if not np.isnan(m.feasibility_auc)]).reshape(-1, 2).T
    return float(weight @ auc / weight.sum()) if len(weight) else float("nan")
