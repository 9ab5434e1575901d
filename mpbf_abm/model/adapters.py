"""Adapters: what a lab learns of the errors of its model from all results that it made (phases steer and couple)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.arrays import Float, Float32, Int
from mpbf_abm.learning.models import FoundationModel
from mpbf_abm.model.world import Experiments, World


@dataclass
class Adapter:
    """The adapter of one lab: its own results since it took up a lineage, and weights fitted to them.

    Attributes
    ----------
    lineage : int
        Lineage it is bound to; with another one it starts anew.
    material : int (n,)
    observed, variance : float (n,)
        Own results, the latest last, and their claimed variances.
    model : FoundationModel or None
        Model whose errors the weights correct; None before any result.
    weights : float32 (q,)
    """

    lineage: int
    material: Int = field(default_factory=lambda: np.zeros(0, np.int64))
    observed: Float = field(default_factory=lambda: np.zeros(0))
    variance: Float = field(default_factory=lambda: np.zeros(0))
    model: FoundationModel | None = None
    weights: Float32 = field(default_factory=lambda: np.zeros(0, np.float32))


def adapt(world: World) -> None:
    """Fit the adapter of every lab with a model to its own results; a lab that changes lineage loses its adapter."""
    in_use, p = world.model_in_use(), world.p.planners
    for lab in np.flatnonzero(in_use >= 0).tolist() if p.adapter_records else []:
        model = world.registry.models[in_use[lab]]
        if model is None:
            continue
        adapter = world.adapters.get(lab)
        if adapter is None or adapter.lineage != model.lineage:
            adapter = world.adapters[lab] = Adapter(model.lineage)
        if len(adapter.material):
            fit_adapter(world, adapter, model)


def fit_adapter(world: World, adapter: Adapter, model: FoundationModel) -> None:
    """Fit an adapter to what a model misses of own results: ridge regression, in whichever form is smaller.

    ``w = s^2 Phi' (s^2 Phi Phi' + D)^-1 r = (Phi' D^-1 Phi + I / s^2)^-1 Phi' D^-1 r``, the posterior mean of weights
    with prior sd s, for residuals r with claimed variances D (Bishop 2006, section 3.3).
    """
    space, material = world.space, adapter.material
    phi = model.features(space.ambient_rows(material, np.zeros((len(material), space.view_dims), np.float32)))
    predicted = model.head.predict(phi)[0].astype(np.float64)
    if model.simulated_base:
        predicted += world.truth.simulated[space.pairs(model.of_property, material)]
    rows, prior = weighed(world, phi, material).astype(np.float64), world.p.planners.adapter_sd**2
    residual, variance = adapter.observed - predicted, adapter.variance + model.head.noise
    if rows.shape[0] < rows.shape[1]:
        weights = prior * rows.T @ np.linalg.solve(prior * rows @ rows.T + np.diag(variance), residual)
    else:
        scaled = rows / variance[:, None]
        weights = np.linalg.solve(scaled.T @ rows + np.eye(rows.shape[1]) / prior, scaled.T @ residual)
    adapter.model, adapter.weights = model, weights.astype(np.float32)


def weighed(world: World, phi: Float32, material: Int) -> Float32:
    """What adapters weigh of some materials: features of their model (n, p + 1), or indicators of families (n, K)."""
    if world.p.planners.adapter_features == "model":
        return phi
    return np.asarray(world.space.family[material][:, None] == np.arange(world.space.families), np.float32)


def shifts(world: World, model: FoundationModel, planner: Int, phi: Float32, material: Int) -> Float32 | None:
    """What the labs' adapters add to the predictions of some materials (n,); None if no lab has one.

    Parameters
    ----------
    planner : int (n,)
        Row of the lab to which each material is shown.
    phi : float32 (n, p + 1)
        Features of the materials as they are shown.
    material : int (n,)
    """
    fitted = (
        {lab: a for lab, a in world.adapters.items() if a.model is model} if world.p.planners.adapter_records else {}
    )
    if not fitted:
        return None
    out, rows = np.zeros(len(planner), np.float32), weighed(world, phi, material)
    for lab in np.unique(planner).tolist():
        if lab in fitted:
            mine = planner == lab
            out[mine] = rows[mine] @ fitted[lab].weights
    return out


def panel_shifts(world: World, model: FoundationModel, lab: int) -> NDArray[np.float32] | None:
    """What a lab's adapter adds to its model's predictions of the panel (K, B); None without one."""
    panel = model.panel.materials
    shift = shifts(world, model, np.full(panel.size, lab), model.panel_phi, panel.ravel())
    return None if shift is None else shift.reshape(panel.shape)


def keep_results(world: World, results: Experiments) -> None:
    """Give each lab with an adapter its results of this tick."""
    most = world.p.planners.adapter_records
    for e in np.flatnonzero(~np.isnan(results.observed)).tolist() if most else []:
        adapter = world.adapters.get(int(results.planner[e]))
        if adapter is not None:
            adapter.material = np.append(adapter.material, results.material[e])[-most:]
            adapter.observed = np.append(adapter.observed, results.observed[e])[-most:]
            adapter.variance = np.append(adapter.variance, results.variance[e])[-most:]
