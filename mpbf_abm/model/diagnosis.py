"""Diagnosis of a fresh model: the panel it is judged on, and what integrity A and trade-off T are made of there."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mpbf_abm.arrays import Float, Int
from mpbf_abm.learning.encoders import Encoder, descriptor_encoder, train_encoder
from mpbf_abm.learning.models import Diagnosis, FoundationModel, Panel
from mpbf_abm.model.abstraction import (
    captured,
    explained,
    integrity_of,
    integrity_unfloored,
    invariant,
    measured_tradeoff,
    tradeoff_of,
)
from mpbf_abm.model.training import (
    choose_width,
    encode,
    encoder_corpus,
    feature_count,
    feature_map,
    fit,
    fitted,
    head_features,
    lacks_width,
    panel_features,
    training_rows,
)
from mpbf_abm.model.world import World

MOVED = 256  # panel materials that are turned and strained
STRAIN = 0.1  # small strain: shift of every causal column, in descriptor units


def current_panel(world: World) -> Panel:
    """Panel of this tick: B keyed materials of each family, drawn anew when a trainer retrains."""
    if world.panel is None or world.panel.tick != world.tick:
        world.panel = draw_panel(world, world.tick)
    return world.panel


def draw_panel(world: World, tick: int) -> Panel:
    """Draw the panel of a tick."""
    space, B, keys = world.space, world.p.trainers.panel, world.space.family_keys
    u = world.streams.uniform("panel.material", tick, (space.families, B))[keys]
    materials = space.member(np.arange(space.families)[:, None], u)
    gauge = world.streams.normal("panel.gauge", tick, (space.families, 2, B, space.view_dims))[keys]
    flat, dg = materials.ravel(), space.view_dims
    first, second = (gauge[:, i].astype(np.float32).reshape(len(flat), dg) for i in (0, 1))
    part = slice(None, None, max(1, len(flat) // MOVED))
    x_turned = space.ambient_rows(flat[part], second[part])
    x = space.ambient_rows(flat, first)
    clear = x if space.observation is None else space.clear_rows(flat, first)
    return Panel(materials, x, clear, part, x_turned, tick)


def judge_encoder(world: World, encoder: Encoder, panel: Panel) -> tuple[Float, Float, float]:
    """Measure what an encoder keeps on a panel: causal variance and invariance (K,), and the share of meso it loses."""
    space = world.space
    K, B = panel.materials.shape
    x, z = encoder.seen(panel.clear)
    shown = z if panel.clear is panel.x else encoder.seen(panel.x)[1]
    causal = captured(x.reshape(K, B, -1), encoder.directions, space.causal)
    block = space.ambient["gauge"]
    gauge_rows = encoder.directions[block] * encoder.input_scale[block, None] * space.gauge_sd
    invariance = invariant(z.reshape(K, B, -1), gauge_rows)
    return causal, invariance, 1.0 - explained(x[:, space.ambient["meso"]], shown)


def diagnose(world: World, model: FoundationModel, shared: dict[tuple[Any, ...], Any]) -> Diagnosis:
    """Measure A and T of a fresh model on the panel; what belongs to its encoder is measured once."""
    f, space, panel, encoder = world.p.layers, world.space, model.panel, model.encoder
    K, key = space.families, ("diagnosis", id(encoder))
    if key not in shared:
        shared[key] = judge_encoder(world, encoder, panel)
    causal, invariance, lost_meso = shared[key]
    R = causal * invariance
    y = world.truth.property[space.pairs(model.of_property, panel.materials.ravel())]
    gap = model.panel_mean.ravel() - y
    mse, variance = float(np.mean(gap * gap)), float(y.var()) or 1.0
    reached = max(0.0, 1.0 - mse / variance) / ceiling(world, model)
    u = (lost_meso, float(np.clip(1.0 - reached, 0.0, 1.0)))
    uniform = np.full(K, 1.0 / K)
    T, slope = tradeoff_of(f, model.scale, model.invariance, lost_meso)
    on, maps, part = (model.lineage, encoder, model.head), (model.weights, model.phase), panel.part
    turned = model.head.centred(panel_features(world, on, panel.x_turned, maps, shared, "turned"))
    plain = model.head.centred(model.panel_phi[part])
    strained = panel.x[part].copy()
    strained[:, space.causal] += np.float32(STRAIN)
    moved = model.head.centred(panel_features(world, on, strained, maps, shared, "strained"))
    gauge_variance = float(np.mean((turned - plain) ** 2)) / 2
    reference = reference_error(world, model, mse)
    return Diagnosis(
        captured=causal,
        invariant=invariance,
        u=u,
        integrity_true=integrity_of(f, R, uniform, u),
        integrity_perceived=integrity_of(f, R, model.corpus, u),
        integrity_unfloored=integrity_unfloored(R, uniform, u, f.integration, f.uncertainty_penalty),
        tradeoff=T,
        tradeoff_measured=measured_tradeoff(reference, mse, variance, gauge_variance, f.gauge_penalty),
        gauge_variance=gauge_variance,
        strain_variance=float(np.mean((moved - plain) ** 2)),
        slope=slope,
        captured_dense=mean_over(causal, space.dense_families),
        captured_niche=mean_over(causal, space.niche_families),
    )


def mean_over(values: Float, families: Int) -> float:
    """Mean over some families, NaN over none."""
    return float(values[families].mean()) if len(families) else math.nan


def reference_error(world: World, model: FoundationModel, mse: float) -> float:
    """Squared error on the panel of the same training at the reference scale P_0 = 1."""
    if model.scale == 1.0:
        return mse
    rows = training_rows(world, world.infrastructure.trainer_sources(model.trainer), 1.0)
    own = rows[world.commons.property[rows] == model.of_property]
    corpus = encoder_corpus(world, model.trainer, own if world.p.trainers.corpus == "own" else rows)
    encoder = encode(world, corpus, model.objective, world.p.trainers.latent_dims, model.invariance)
    weights, phase = head_features(world, encoder, model.lineage, 1.0, len(own))
    head, pairs = fit(world, own, weights, phase), world.space.pairs(model.of_property, model.panel.materials.ravel())
    mean = head.centred(head.features(model.panel.x, weights, phase)) + np.float32(head.offset)
    if model.simulated_base:
        mean = mean + world.truth.simulated[pairs]
    return float(np.mean((mean - world.truth.property[pairs]) ** 2))


def ceiling(world: World, model: FoundationModel) -> float:
    """R^2 of the same head on the true causal descriptors with as many measured labels, uniformly drawn.

    Descriptors are those without noise. Computed once for each power-of-two class of sample size; of several
    properties, which have one law, for the first.
    """
    size, p = 2 ** round(math.log2(max(2, model.records))), model.weights.shape[1]
    if world.p.trainers.features_growth:
        p = feature_count(world.p.trainers, model.scale, size)
    known = size, p, world.p.modalities.measured_noise
    if known not in world.ceilings:
        world.ceilings[known] = measured_ceiling(world, *known)
    return world.ceilings[known]


def measured_ceiling(world: World, size: int, p: int, noise_sd: float) -> float:
    """Fit a head of p features on some labels of true causal descriptors, and return its R^2 on a panel."""
    space, truth = world.space, world.space.by_property(world.truth.property)[0]
    u = world.streams.uniform("ceiling.sample", 0, size)
    sample = np.argsort(space.material_keys)[(u * space.size).astype(np.int64)]
    noise = world.streams.normal("ceiling.noise", 0, size) * noise_sd
    x = space.clear_rows(sample, np.zeros((size, space.view_dims), np.float32))
    causal = space.causal.astype(np.float64)
    if world.p.trainers.objective == "none":
        encoder = descriptor_encoder(space.span, causal)
    else:
        gains = np.broadcast_to(causal.astype(np.float32), x.shape)
        encoder = train_encoder(x, gains, "masked", int(space.causal.sum()), causal)
    value, variance = truth[sample] + noise * space.difficulty[sample], np.full(size, noise_sd**2)
    if lacks_width(world, -1):
        choose_width(world, encoder, -1, x, value, variance)
    weights, phase = feature_map(world, encoder, -1, p)
    head = fitted(world.p.trainers.head, x, weights, phase, value, variance)
    panel = draw_panel(world, 0)
    y = truth[panel.materials.ravel()]
    mean, _ = head.predict(head.features(panel.clear, weights, phase))
    return max(0.05, 1.0 - float(np.mean((mean - y) ** 2)) / max(float(y.var()), 1e-9))
