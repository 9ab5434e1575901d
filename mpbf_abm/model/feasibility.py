"""Failures that teach: what models know of which materials can be made, and what planners make of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.arrays import Float32, Int
from mpbf_abm.learning.acquisition import RULES
from mpbf_abm.learning.feasibility import FEATURES, area, by_chance, fit_feasibility
from mpbf_abm.learning.gaussian import GaussianProcess
from mpbf_abm.learning.linalg import first_features
from mpbf_abm.learning.models import FoundationModel
from mpbf_abm.model.commons import FAILED
from mpbf_abm.model.training import record_descriptors
from mpbf_abm.model.world import World


def learn_feasibility(world: World, sources: NDArray[np.bool_], models: list[FoundationModel]) -> None:
    """Fit a feasibility head to every trial that the trainer of fresh models can reach, if one of them has failed.

    It stands on the first features of the first model, and starts from the trainer's last head; models of other
    properties share it.
    """
    if not world.p.planners.feasibility_weight:
        return
    space, commons, first = world.space, world.commons, models[0]
    rows = commons.trials(sources)
    made = commons.origin[rows] != FAILED
    if made.all():
        return
    keys = space.family_keys[commons.family[rows]]
    learned = [m for m in world.registry.of(first.trainer) if m.feasibility is not None]
    last = max(learned, key=lambda m: m.trained).feasibility if learned else None
    head = fit_feasibility(basis(first, record_descriptors(world, rows)), keys, made, last)
    judged = first.panel.materials.ravel()
    chance = head.chance(basis(first, first.panel.x, first.panel_phi), space.family_keys[space.family[judged]])
    auc = area(chance, space.feasible[judged])
    for model in models:
        model.feasibility, model.feasibility_on, model.feasibility_auc = head, first, auc


def basis(model: FoundationModel, x: Float32, phi: Float32 | None = None) -> Float32:
    """Return what a feasibility head stands on: a model's first features of ambient rows, or all its coordinates.

    Features phi (n, q) of another model on the same encoder have them already, if there are enough.
    """
    if isinstance(model.head, GaussianProcess):
        return model.features(x)
    count = min(FEATURES, len(model.phase))
    if phi is None or not 0 < count < phi.shape[1]:
        return model.head.features(x, model.weights[:, :count], model.phase[:count])
    return first_features(phi, count)


def weigh_by_chance(
    world: World, model: FoundationModel, candidates: Int, x: Float32, phi: Float32, scores: Float32
) -> Float32:
    """Let scores of candidates (n, C) count by the chance that they can be made; a random order stays as it is.

    Parameters
    ----------
    x : float32 (n C, d)
        Ambient descriptors of the candidates as the model is shown them.
    phi : float32 (n C, p + 1)
        Its features of them.
    """
    p, space = world.p.planners, world.space
    if (
        not p.feasibility_weight
        or model.feasibility is None
        or model.feasibility_on is None
        or RULES[p.acquisition].draws == "order"
    ):
        return scores
    on = model.feasibility_on
    rows = basis(on, x, phi if on.encoder is model.encoder else None)
    chance = model.feasibility.chance(rows, space.family_keys[space.family[candidates.ravel()]])
    return by_chance(scores, chance.reshape(candidates.shape), p.feasibility_weight)


def area_in_use(use: list[tuple[float, FoundationModel]]) -> float:
    """Mean area under the ROC curve of the models in use that have a feasibility head, by adopters; NaN of none."""
    weight, auc = np.array([(w, m.feasibility_auc) for w, m in use if not np.isnan(m.feasibility_auc)]).reshape(-1, 2).T
    return float(weight @ auc / weight.sum()) if len(weight) else float("nan")
