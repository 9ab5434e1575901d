"""How models weigh families: what planners and curators are guided by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.arrays import Float
from mpbf_abm.learning.acquisition import RULES, score
from mpbf_abm.learning.models import FoundationModel
from mpbf_abm.model.steering import agreement, family_weights, steering_of
from mpbf_abm.model.world import World


def perceived_steering(world: World, model: FoundationModel) -> float:
    """S of a model from its last published tests, and the trade-off it was trained at."""
    T = model.diagnosis.tradeoff if model.diagnosis else 0.0
    o = agreement(model.median_gap, world.truth.mad)
    return steering_of(world.p.layers, o, world.p.coupling.correction, T)


def family_values(world: World, models: list[FoundationModel]) -> Float:
    """Acquisition value of each family by each model: its mean over the panel (M, K)."""
    p = world.p.planners
    rule = RULES[p.acquisition].families
    if rule == "greedy":
        return np.asarray([model.family_mean for model in models], np.float64)
    best, values = best_known(world), []
    for model in models:
        sd = channelled_sd(world, model, model.panel_variance)
        values.append(score(rule, model.panel_mean, sd, best=best, kappa=p.kappa).mean(axis=1))
    return np.asarray(values, np.float64)


def channelled_sd(world: World, model: FoundationModel, variance: NDArray[np.float32]) -> NDArray[np.float32]:
    """Claimed sds after the uncertainty channel from representation to steering.

    Closed (0), a planner sees the model's mean sd over the panel whatever the material.
    """
    openness = np.float32(world.p.coupling.uncertainty_ral_isl)
    sd = model.epistemic_sd(variance)
    if openness == 1:
        return sd
    return np.asarray(openness * sd + (1 - openness) * model.epistemic_sd(model.panel_variance).mean(), np.float32)


def best_known(world: World) -> float:
    """Best experimental value any lab of the community has seen (0, the mean, before any)."""
    best = world.planners.best_value
    return float(np.max(best, initial=0.0, where=np.isfinite(best)))


def log_weights(world: World) -> Float | None:
    """Log-weights w_k that the served models give to families (M, K); None without models.

    Rows of models that are not served are 0. Computed once per phase by whoever needs it.
    """
    served = world.models()
    if not served:
        return None
    out = np.zeros((len(world.registry.models), world.space.families))
    S = np.array([perceived_steering(world, m) for _, m in served])
    gain = world.p.planners.steering_gain
    out[[i for i, _ in served]] = family_weights(family_values(world, [m for _, m in served]), S, gain)
    return out
