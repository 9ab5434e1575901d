"""Inference steering layer (ISL): steering fidelity S and the weight it gives to models.

The source paper describes steering fidelity in words; the forms here are this project's
operationalisation.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.arrays import Float, Int, kernel
from mpbf_abm.learning.acquisition import RULES, score
from mpbf_abm.learning.models import FoundationModel
from mpbf_abm.model.adapters import panel_shifts
from mpbf_abm.model.modalities import claimed_variance, measurement_sd
from mpbf_abm.model.opening import revealed
from mpbf_abm.model.world import World
from mpbf_abm.parameters import LayerParameters, Parameters

CLIP = 3.0
LEAST_INTEGRITY = 0.05  # that any model is taken to have


def agreement(median_gap: float, mad: float) -> float:
    """``o = clip(1 - median |yhat - y_obs| / MAD(y), 0, 1)``; an infinite gap (no test yet) gives 0."""
    return min(1.0, max(0.0, 1.0 - median_gap / mad))


def feedback(o: float, c: float) -> float:
    """``Φ = max(0, 1 - (1 - o) |1 - c|)``: full correction (c = 1) mends any disagreement."""
    return max(0.0, 1.0 - (1.0 - o) * abs(1.0 - c))


def resolution(T: float, T_s: float) -> float:
    """``Θ = logistic(T / T_s)``, the resolved trade-off, in (0, 1)."""
    return 1.0 / (1.0 + math.exp(-min(50.0, max(-50.0, T / T_s))))


def steering_fidelity(Φ: float, Θ: float, w: float = 0.6) -> float:
    """Steering fidelity ``S = w Φ + (1 - w) Θ``, in [0, 1]."""
    return w * Φ + (1.0 - w) * Θ


def steering_fidelity_alternative(o: float, c: float, Θ: float, w: float = 0.6) -> float:
    """Alternative form ``(o c)^w Θ^(1-w)``, with o c capped at 1."""
    return float(min(1.0, max(0.0, o * c)) ** w * Θ ** (1.0 - w))


def steering_of(f: LayerParameters, o: float, c: float, T: float) -> float:
    """Return steering fidelity S in the form that the parameters name, from agreement, correction and trade-off."""
    Θ = resolution(T, f.tradeoff_scale)
    if f.steering == "alternative":
        return steering_fidelity_alternative(o, c, Θ, f.feedback_weight)
    return steering_fidelity(feedback(o, c), Θ, f.feedback_weight)


@kernel
def family_weights(a: Float, S: Float, β_S: float) -> Float:
    """Log-weights that models give to families, ``β_S S a_k`` with a standardised and clipped to 3 (M, K).

    Parameters
    ----------
    a : float (M, K)
        Acquisition value of each family by each model.
    S : float (M,)
        Perceived steering fidelity of each model.
    """
    centred = a - a.mean(axis=1, keepdims=True)
    sd = centred.std(axis=1, keepdims=True)
    return np.asarray(β_S * S[:, None] * np.clip(centred / np.where(sd > 1e-12, sd, 1.0), -CLIP, CLIP))


# --------------------------------------------------------------------------- how models weigh families
def counted_correction(p: Parameters) -> float:
    """Correction c in the feedback that S counts: that of heads, if no other is given."""
    return p.coupling.correction if p.layers.feedback_correction < 0 else p.layers.feedback_correction


def perceived_steering(world: World, model: FoundationModel) -> float:
    """S of a model from its last published tests, and the trade-off it was trained at."""
    f, state = world.p.layers, (model.median_gap, world.truth.mad[model.of_property], counted_correction(world.p))
    if model.steering is None or model.steering[0] is not f or model.steering[1] != state:
        model.steering = f, state, steering_of(f, agreement(*state[:2]), state[2], model.diagnosis.tradeoff)
    return model.steering[2]


def family_values(
    world: World, models: list[FoundationModel], shifts: list[NDArray[np.float32]] | None = None
) -> Float:
    """Acquisition value of each family by each model: its mean over the panel (M, K).

    Parameters
    ----------
    shifts : list of float32 (K, B), optional
        What adapters add to the predictions of each model.
    """
    p = world.p.planners
    rule = RULES[p.acquisition].families
    if rule == "greedy":
        added = [0.0] * len(models) if shifts is None else [s.mean(axis=1) for s in shifts]
        return np.asarray([model.family_mean + a for model, a in zip(models, added, strict=True)], np.float64)

    sds = [channelled_sd(world, model, model.panel_variance) for model in models]
    best = [best_known(world, t) for t in range(world.space.properties)]
    options: dict[str, Any] = {"kappa": p.kappa, "where": f"tick {world.tick}, on the panels of trainers"}
    draws = [panel_falls(world, model) if RULES[rule].draws == "panel" else None for model in models]
    means = [m.panel_mean if shifts is None else m.panel_mean + shifts[i] for i, m in enumerate(models)]
    each = zip(models, means, sds, draws, strict=True)
    scores = [score(rule, mean, sd, best=best[m.of_property], draws=fall, **options) for m, mean, sd, fall in each]
    return np.asarray([s.mean(axis=1) for s in scores], np.float64)


def panel_falls(world: World, model: FoundationModel) -> NDArray[np.float32]:
    """Expected fall of a model's mean variance by an experiment on each material of its panel (K, B)."""
    materials = model.panel.materials
    return channelled_fall(world, model, None, materials.ravel()).reshape(materials.shape)


def channelled_fall(
    world: World, model: FoundationModel, phi: NDArray[np.float32] | None, materials: Int
) -> NDArray[np.float32]:
    """Expected falls of the panel's mean variance by experiments, after the same channel as sds (n,).

    Parameters
    ----------
    world : World
    model : FoundationModel
    phi : float32 (n, p + 1) or None
        Features of the materials; None for those of the panel.
    materials : int (n,)
    """
    openness = world.p.coupling.uncertainty_ral_isl

    def falls(phi: NDArray[np.float32] | None, materials: Int) -> Float:
        sd = measurement_sd(world.p.modalities, world.space.difficulty[materials])
        return model.panel_fall(phi, claimed_variance(sd))

    fall = falls(phi, materials)
    if openness < 1:
        fall = openness * fall + (1 - openness) * falls(None, model.panel.materials.ravel()).mean()
    return fall.astype(np.float32)


def channelled_sd(world: World, model: FoundationModel, variance: NDArray[np.float32]) -> NDArray[np.float32]:
    """Claimed sds after the uncertainty channel from representation to steering.

    Closed (0), a planner sees the model's mean sd over the panel whatever the material.
    """
    openness = np.float32(world.p.coupling.uncertainty_ral_isl)
    sd = model.epistemic_sd(variance)
    if openness == 1:
        return sd
    return np.asarray(openness * sd + (1 - openness) * model.epistemic_sd(model.panel_variance).mean(), np.float32)


def best_known(world: World, number: int) -> float:
    """Best experimental value of a property that any lab of the community has seen (0, the mean, before any)."""
    best = world.planners.best_value
    return float(np.max(best, initial=0.0, where=np.isfinite(best) & (world.planners.property == number)))


def log_weights(world: World) -> Float | None:
    """Log-weights w_k that the served models give to families (T M, K); None without models.

    Rows of models that are not served are 0. Computed once per phase by whoever needs it.
    """
    served = dict(world.models())
    if not served:
        return None
    models = list(served.values())
    S = np.array([perceived_steering(world, model) for model in models])
    out = np.zeros((len(world.registry.models), world.space.families))
    values, gain, known = family_values(world, models), world.p.planners.steering_gain, revealed(world)
    if known.all():
        out[list(served)] = family_weights(values, S, gain)
    else:
        out[np.ix_(np.array(list(served)), np.flatnonzero(known))] = family_weights(values[:, known], S, gain)
    return out


def integrity_weights(world: World) -> Float | None:
    """Weight of each served model by its perceived A, ``max(A, 0.05)^w`` (T M,), 0 elsewhere; None if A has no say."""
    w = world.p.coupling.integrity_weight
    if not w:
        return None
    out = np.zeros(len(world.registry.models))
    for i, model in world.models():
        out[i] = max(model.diagnosis.integrity_perceived, LEAST_INTEGRITY) ** w
    return out


def adapted(world: World, logs: Float, in_use: Int) -> Float:
    """Log-weights that labs give to families by the models in use (L, K); each with an adapter by what it adds."""
    out = logs[in_use]
    for lab in world.adapters:
        model = world.registry.models[in_use[lab]] if in_use[lab] >= 0 else None
        if model is None or (shift := panel_shifts(world, model, lab)) is None:
            continue
        S = np.array([perceived_steering(world, model)])
        out[lab] = family_weights(family_values(world, [model], [shift]), S, world.p.planners.steering_gain)[0]
    return out
