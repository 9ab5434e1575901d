"""Model trainers: retrain encoders and heads on reachable records (phase 4, abstract)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.kernels import kernel
from mpbf_abm.learning.encoders import Encoder, descriptor_encoder, train_encoder
from mpbf_abm.learning.gaussian import GaussianProcess, coordinate_map, fit_gaussian
from mpbf_abm.learning.heads import Head, fit_head
from mpbf_abm.learning.models import Diagnosis, FoundationModel, Panel, frequencies
from mpbf_abm.model.abstraction import (
    captured,
    explained,
    integrity,
    integrity_alternative,
    integrity_unfloored,
    invariant,
    measured_tradeoff,
    tradeoff,
    tradeoff_alternative,
    tradeoff_slope,
)
from mpbf_abm.model.agents import CohortAgent, Column
from mpbf_abm.model.commons import GENERATED
from mpbf_abm.model.coupling import channel, pooled_by
from mpbf_abm.model.links import choose_links
from mpbf_abm.model.modalities import FIDELITY, GAINS, MEASURED, SIMULATED
from mpbf_abm.model.world import World
from mpbf_abm.streams import race

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]
Int = NDArray[np.int64]

DEALT = ("masked", "contrastive", "fusion", "graph")
MOST_LINKS = 50  # bound of infrastructure.providers
MOVED = 256  # panel materials that are turned and strained
STRAIN = 0.1  # small strain: shift of every causal column, in descriptor units
FIRST_VIEW, SECOND_VIEW = 1, 2


class ModelTrainer(CohortAgent):
    """A trainer who publishes one foundation model."""

    kind = "trainers"
    scale = Column()
    invariance = Column()
    compute = Column()

    @property
    def published(self) -> FoundationModel | None:
        """The model this trainer has published last."""
        return self.world.registry.models[self.row]


def abstract(world: World) -> None:
    """Retrain whoever is due: all at tick 0, then every interval, staggered."""
    p, trainers = world.p.trainers, world.trainers
    offset = trainers.slots * p.retrain_interval // max(1, len(trainers))
    due = np.flatnonzero((world.tick == 0) | ((world.tick + offset) % p.retrain_interval == 0))
    if not len(due):
        return
    due = due[np.argsort(trainers.slots[due])]
    if world.tick:
        rewire(world, due)
    shared: dict[tuple[Any, ...], Any] = {}
    for trainer in due:
        retrain(world, int(trainer), shared)


def rewire(world: World, due: Int) -> None:
    """Let trainers who retrain reconsider their repository links."""
    p, links = world.p.infrastructure, world.infrastructure.model_repositories
    u = world.uniform("trainer.rewire", world.trainers, MOST_LINKS)[:, : links.shape[1]]
    keep = np.where(u < p.rewiring, -1, links)
    link_trainers(world, due, keep[due])


def link_trainers(world: World, trainers: Int, keep: Int | None = None) -> None:
    """Fill empty repository links by exponential race on repository size."""
    infrastructure, commons = world.infrastructure, world.commons
    clocks = world.clocks("trainer.repository", world.trainers, commons.repositories)[trainers]
    size = commons.counts[: commons.repositories].sum(axis=1) + 1.0
    weight = size**world.p.infrastructure.preference * infrastructure.working_repositories()
    infrastructure.model_repositories[trainers] = choose_links(clocks, weight, infrastructure.providers, keep)


def retrain(world: World, trainer: int, shared: dict[tuple[Any, ...], Any]) -> None:
    """Train a model on what the trainer can reach, and publish it."""
    trainers = world.trainers
    sources = world.infrastructure.trainer_sources(trainer)
    scale = affordable_scale(world, trainer)
    rows = training_rows(world, sources, scale)
    if (
        int(sources.sum()) < max(1, world.p.infrastructure.need)
        or world.infrastructure.down_models[trainer]
        or not len(rows)
    ):
        world.totals.failed_retrainings += 1
        return
    if world.p.stocks.compute > 0:
        paid = min(scale, float(trainers.compute[trainer]))
        trainers.compute[trainer] -= paid
        trainers.spent[trainer] += paid
    panel = current_panel(world)
    lineage, encoder, objective = choose_encoder(world, trainer, scale, rows, shared)
    model = train(world, trainer, scale, rows, lineage, encoder, objective, panel, shared)
    world.registry.publish(trainer, model, lineage)
    respond(world, trainer, model)


def affordable_scale(world: World, trainer: int) -> float:
    """Scale that the trainer wants, within the cap and its compute."""
    p, trainers = world.p.trainers, world.trainers
    wanted = min(float(trainers.scale[trainer]), p.scale_cap)
    return max(1 / 64, min(wanted, float(trainers.compute[trainer]))) if world.p.stocks.compute > 0 else wanted


def training_rows(world: World, sources: NDArray[np.bool_], scale: float) -> Int:
    """Rows of the training sample: the P n_0 reachable records with the smallest keyed uniforms.

    One extra record changes at most one of them. A fresh-data floor leaves out old and
    model-generated records until the recent others have their share; without any it has no say.
    """
    p, commons = world.p.trainers, world.commons
    rows = commons.reachable(sources)
    fidelity = FIDELITY[commons.modality[rows]]
    if p.labels == "simulated":
        rows = rows[fidelity == SIMULATED]
    elif p.labels == "measured":
        rows = rows[fidelity == MEASURED]
    count = max(1, round(p.records * scale))
    u = commons.uniform()[rows]
    recent = (commons.tick[rows] > world.tick - p.retrain_interval) & (commons.origin[rows] != GENERATED)
    if p.fresh_floor == 0 or not recent.any():
        return smallest(rows, u, count)
    fresh, f = int(recent.sum()), p.fresh_floor
    old = min(int((~recent).sum()), int(fresh * (1 - f) / f), count - min(fresh, math.ceil(f * count)))
    parts = smallest(rows[recent], u[recent], count - old), smallest(rows[~recent], u[~recent], old)
    return np.sort(np.concatenate(parts))


@kernel
def smallest(rows: Int, u: Float, count: int) -> Int:
    """Rows with the `count` smallest numbers, in the order of rows."""
    return rows if len(rows) <= count else np.sort(rows[np.argpartition(u, count - 1)[:count]]) if count else rows[:0]


def current_panel(world: World) -> Panel:
    """Panel of this tick: B keyed materials of each family, drawn anew when someone retrains."""
    if world.panel is None or world.panel.tick != world.tick:
        world.panel = draw_panel(world, world.tick)
    return world.panel


def draw_panel(world: World, tick: int) -> Panel:
    """Draw the panel of a tick."""
    space, B, keys = world.space, world.p.planners.panel, world.space.family_keys
    u = world.streams.uniform("panel.material", tick, (space.families, B))[keys]
    materials = space.start[:-1, None] + (u * space.family_sizes[:, None]).astype(np.int64)
    gauge = world.streams.normal("panel.gauge", tick, (space.families, 2, B, space.dims["gauge"]))[keys]
    turns = gauge.astype(np.float32)
    flat = materials.ravel()
    dg = space.dims["gauge"]
    part = slice(None, None, max(1, len(flat) // MOVED))
    return Panel(
        materials,
        space.ambient_rows(flat, turns[:, 0].reshape(len(flat), dg)),
        part,
        space.ambient_rows(flat[part], turns[:, 1].reshape(len(flat), dg)[part]),
        tick,
    )


def choose_encoder(
    world: World, trainer: int, scale: float, rows: Int, shared: dict[tuple[Any, ...], Any]
) -> tuple[int, Encoder, str]:
    """Train an encoder, or build on that of another trainer's published model (reuse)."""
    slot = int(world.trainers.slots[trainer])
    draw = world.uniform("trainer.reuse", world.trainers, 1)[trainer, 0]
    if draw < world.p.trainers.reuse and (donor := choose_donor(world, trainer, shared)) is not None:
        return donor.lineage, donor.encoder, donor.objective
    objective = DEALT[slot % len(DEALT)] if world.p.trainers.objective == "mixed" else world.p.trainers.objective
    invariance = float(world.trainers.invariance[trainer])
    k = max(1, world.p.trainers.latent_dims + round(world.p.trainers.latent_per_doubling * math.log2(scale)))
    key = ("encoder", objective, k, invariance, rows.tobytes())
    if key not in shared:
        shared[key] = encode(world, rows, objective, k, invariance)
    return slot, shared[key], objective


def choose_donor(world: World, trainer: int, shared: dict[tuple[Any, ...], Any]) -> FoundationModel | None:
    """Another trainer's published model, by exponential race in proportion to one more than its adopters; None before any.

    A lineage attracts as many as stand on it and use it: the process of Simon (1955), whose descendants per base model
    have a power law.
    """
    registry, key = world.registry, ("donor",)
    if key not in shared:
        shared[key] = world.clocks("trainer.donor", world.trainers, len(world.trainers))[:, world.trainers.slots]
    weight = np.where(registry.published(), 1.0 + registry.adopters, 0.0)
    weight[trainer] = 0.0
    return registry.models[int(race(shared[key][trainer], weight))] if weight.any() else None


def input_scale(world: World, invariance: float) -> Float:
    """Factor on ambient columns: 1 - I on the gauge block, 1 elsewhere (d,)."""
    scale = np.ones(world.space.width)
    scale[world.space.ambient["gauge"]] = 1.0 - invariance
    return scale


def record_descriptors(world: World, rows: Int, view: int = FIRST_VIEW) -> Float32:
    """Ambient descriptors of records, each in the gauge that follows from its key (n, d)."""
    gauge = world.streams.record_normal(f"record.gauge.{view}", world.commons.key[rows], world.space.dims["gauge"])
    return world.space.ambient_rows(world.commons.material[rows], gauge)


def column_gains(world: World, block_gains: Float32) -> Float32:
    """Spread gains per block (n, 4) over ambient columns (n, d)."""
    widths = [world.space.dims[b] for b in ("quantum", "meso", "gauge", "spurious")]
    return np.repeat(block_gains, widths, axis=1)


def encode(world: World, rows: Int, objective: str, k: int, invariance: float) -> Encoder:
    """Train an encoder on records by one objective."""
    p, commons, space = world.p.trainers, world.commons, world.space
    if objective == "none":
        return descriptor_encoder(space.span, input_scale(world, invariance))
    x = record_descriptors(world, rows)
    modality = commons.modality[rows]
    gains = column_gains(world, GAINS)[modality]
    extra: dict[str, Any] = {}
    if objective in ("contrastive", "fusion"):
        # The second view shows the same material in another gauge through the other modalities
        # of the corpus: what both views share is what contrastive learning keeps.
        share = np.bincount(modality, minlength=len(GAINS)).astype(np.float32)
        others = share - np.eye(len(GAINS), dtype=np.float32) * share
        others += 1e-6
        mixed = (others / others.sum(axis=1, keepdims=True)) @ GAINS
        extra = {
            "second_view": record_descriptors(world, rows, SECOND_VIEW),
            "second_gains": column_gains(world, mixed)[modality],
            "fusion_weight": p.fusion_weight,
        }
    elif objective == "graph":
        near = space.descriptors[space.neighbours(commons.material[rows])].mean(axis=1)
        left = space.dims["quantum"] + space.dims["meso"]
        ambient = np.concatenate(
            [near[:, :left], np.zeros((len(rows), space.dims["gauge"]), np.float32), near[:, left:]], 1
        )
        extra = {"smoothed": (1 - np.float32(p.graph_smoothing)) * x + np.float32(p.graph_smoothing) * ambient}
    return train_encoder(x, gains, objective, k, input_scale(world, invariance), **extra)


def labels(world: World, rows: Int) -> tuple[Float, Float]:
    """Labels and their variances as training sees them, after harmonisation and the channels."""
    c, commons = world.p.coupling, world.commons
    value = commons.harmonised(rows, world.p.curators.harmonisation).astype(np.float64)
    variance = commons.variance[rows].astype(np.float64)
    variance = pooled_by(commons.modality[rows], variance, c.uncertainty_modalities)
    return value, channel(variance, c.uncertainty_dal_ral)


def head_features(world: World, encoder: Encoder, lineage: int, scale: float) -> tuple[Float32, Float32]:
    """Weights (d, p) and phases (p,) of a model's features at some scale."""
    p = world.p.trainers
    if p.head == "mean":
        return np.zeros((world.space.width, 0), np.float32), np.zeros(0, np.float32)
    return feature_map(world, encoder, lineage, max(1, round(p.features * math.sqrt(scale))))


def feature_map(world: World, encoder: Encoder, lineage: int, count: int) -> tuple[Float32, Float32]:
    """Weights and phases of some number of random features, or of the coordinates of a Gaussian process."""
    p = world.p.trainers
    if p.head == "gaussian_process":
        return coordinate_map(encoder, p.length_scale)
    known = lineage, count
    if known not in world.frequencies:
        world.frequencies[known] = frequencies(world.streams, lineage, world.space.width, count)
    omega, phase = world.frequencies[known]
    length = p.length_scale * math.sqrt(encoder.k)
    return (encoder.projection() @ omega / length).astype(np.float32), phase


def fit(world: World, rows: Int, weights: Float32, phase: Float32) -> Head | GaussianProcess:
    """Fit a head on records with given features."""
    p = world.p.trainers
    if p.delta_learning:
        rows = rows[FIDELITY[world.commons.modality[rows]] == MEASURED]
    value, variance = labels(world, rows)
    if p.physical_prior or p.delta_learning:
        value = value - world.truth.simulated[world.commons.material[rows]]
    # With a physical prior the mean is the simulation itself: without data the correction is zero.
    shrink = 10.0 if p.physical_prior and not p.delta_learning else 0.0
    return fitted(p.head, record_descriptors(world, rows), weights, phase, value, variance, shrink)


def fitted(
    kind: str, x: Float32, weights: Float32, phase: Float32, value: Float, variance: Float, shrink: float = 0.0
) -> Head | GaussianProcess:
    """Fit a head of some kind to labels at ambient rows."""
    if kind == "gaussian_process":
        return fit_gaussian(GaussianProcess.features(x, weights, phase), value, variance, offset_shrink=shrink)
    return fit_head(Head.features(x, weights, phase), value, variance, offset_shrink=shrink)


def train(
    world: World, trainer: int, scale: float, rows: Int, lineage: int, encoder: Encoder, objective: str, panel: Panel,
    shared: dict[tuple[Any, ...], Any],
) -> FoundationModel:  # fmt: skip
    """Fit the head on an encoder and judge the model on the panel."""
    p, space, commons = world.p.trainers, world.space, world.commons
    key = ("head", lineage, id(encoder), scale, rows.tobytes())
    if key not in shared:
        weights, phase = head_features(world, encoder, lineage, scale)
        shared[key] = weights, phase, fit(world, rows, weights, phase)
    weights, phase, head = shared[key]
    head = replace(head)
    base = p.physical_prior or p.delta_learning
    phi = head.features(panel.x, weights, phase)
    mean, variance = head.predict(phi)
    if base:
        mean = mean + world.truth.simulated[panel.materials.ravel()]
    shape = panel.materials.shape
    corpus = np.bincount(commons.family[rows], minlength=space.families) / len(rows)
    model = FoundationModel(
        trainer, lineage, world.tick, objective, scale, float(1 - encoder.input_scale[space.ambient["gauge"]].mean())
        if space.dims["gauge"] else 1.0, encoder, weights, phase, head, p.overconfidence, base, len(rows), corpus,
        np.lexsort((space.family_keys, corpus))[: max(1, space.families // 2)], panel,
        phi, mean.reshape(shape), variance.reshape(shape),
    )  # fmt: skip
    old = world.registry.models[trainer]
    if old is not None:
        model.recent, model.median_gap = list(old.recent), old.median_gap
    model.diagnosis = diagnose(world, model)
    return model


def diagnose(world: World, model: FoundationModel) -> Diagnosis:
    """Measure A and T of a fresh model on the panel."""
    f, space, panel, encoder = world.p.layers, world.space, model.panel, model.encoder
    K, B = panel.materials.shape
    x, z = encoder.seen(panel.x)
    causal = captured(x.reshape(K, B, -1), encoder.directions, space.causal)
    block = space.ambient["gauge"]
    gauge_rows = encoder.directions[block] * encoder.input_scale[block, None] * space.gauge_amplitude
    invariance = invariant(z.reshape(K, B, -1), gauge_rows)
    R = causal * invariance
    y = world.truth.property[panel.materials.ravel()]
    gap = model.panel_mean.ravel() - y
    mse, variance = float(np.mean(gap * gap)), float(y.var()) or 1.0
    lost_meso = 1.0 - explained(x[:, space.ambient["meso"]], z)
    reached = max(0.0, 1.0 - mse / variance) / ceiling(world, model.records, model.weights.shape[1])
    u = (lost_meso, float(np.clip(1.0 - reached, 0.0, 1.0)))
    uniform = np.full(K, 1.0 / K)
    if f.integrity == "alternative":
        true, perceived = (
            integrity_alternative(R, mu, u, f.integrity_exponent, f.uncertainty_penalty)
            for mu in (uniform, model.corpus)
        )
    else:
        true, perceived = (integrity(R, mu, u, f.integration, f.uncertainty_penalty) for mu in (uniform, model.corpus))
    I, p, E = model.invariance, model.scale, lost_meso
    if f.tradeoff == "alternative":
        T = -tradeoff_alternative(p, I, E, f.invariance_half, f.scale_benefit, f.risk_weight)
        slope = -f.scale_benefit / (f.invariance_half + I)
    else:
        T = tradeoff(p, I, E, f.scale_benefit, f.risk_weight)
        slope = tradeoff_slope(p, I, E, f.scale_benefit, f.risk_weight)
    part = panel.part
    turned = model.head.centred(model.features(panel.x_turned))
    plain = model.head.centred(model.panel_phi[part])
    strained = panel.x[part].copy()
    strained[:, space.causal] += np.float32(STRAIN)
    moved = model.head.centred(model.features(strained))
    gauge_variance = float(np.mean((turned - plain) ** 2)) / 2
    return Diagnosis(
        causal, invariance, u, true, perceived,
        integrity_unfloored(R, uniform, u, f.integration, f.uncertainty_penalty), T,
        measured_tradeoff(reference_error(world, model, mse), mse, variance, gauge_variance, f.gauge_penalty),
        gauge_variance, float(np.mean((moved - plain) ** 2)), slope, mean_over(causal, space.dense_families),
        mean_over(causal, space.niche_families),
    )  # fmt: skip


def mean_over(values: Float, families: Int) -> float:
    """Mean over some families, NaN over none."""
    return float(values[families].mean()) if len(families) else math.nan


def reference_error(world: World, model: FoundationModel, mse: float) -> float:
    """Squared error on the panel of the same training at the reference scale P_0 = 1."""
    if model.scale == 1.0:
        return mse
    rows = training_rows(world, world.infrastructure.trainer_sources(model.trainer), 1.0)
    encoder = encode(world, rows, model.objective, world.p.trainers.latent_dims, model.invariance)
    weights, phase = head_features(world, encoder, model.lineage, 1.0)
    head = fit(world, rows, weights, phase)
    mean = head.centred(head.features(model.panel.x, weights, phase)) + np.float32(head.offset)
    if model.simulated_base:
        mean = mean + world.truth.simulated[model.panel.materials.ravel()]
    return float(np.mean((mean - world.truth.property[model.panel.materials.ravel()]) ** 2))


def ceiling(world: World, records: int, p: int) -> float:
    """R^2 of the same head on the true causal descriptors with as many measured labels, uniformly drawn.

    Computed once for each power-of-two class of sample size.
    """
    size = 2 ** round(math.log2(max(2, records)))
    noise_sd = world.p.curators.measured_noise
    known = size, p, noise_sd
    if known not in world.ceilings:
        space = world.space
        u = world.streams.uniform("ceiling.sample", 0, size)
        sample = np.argsort(space.material_keys)[(u * space.size).astype(np.int64)]
        noise = world.streams.normal("ceiling.noise", 0, size) * noise_sd
        gauge = np.zeros((size, space.dims["gauge"]), np.float32)
        x = space.ambient_rows(sample, gauge)
        causal = space.causal.astype(np.float64)
        if world.p.trainers.objective == "none":
            encoder = descriptor_encoder(space.span, causal)
        else:
            gains = np.broadcast_to(causal.astype(np.float32), x.shape)
            encoder = train_encoder(x, gains, "masked", int(space.causal.sum()), causal)
        weights, phase = feature_map(world, encoder, -1, p)
        value = world.truth.property[sample] + noise * space.difficulty[sample]
        head = fitted(world.p.trainers.head, x, weights, phase, value, np.full(size, noise_sd**2))
        panel = draw_panel(world, 0)
        y = world.truth.property[panel.materials.ravel()]
        mean, _ = head.predict(head.features(panel.x, weights, phase))
        world.ceilings[known] = max(0.05, 1.0 - float(np.mean((mean - y) ** 2)) / max(float(y.var()), 1e-9))
    return world.ceilings[known]


def respond(world: World, trainer: int, model: FoundationModel) -> None:
    """Move the trainer's scale along the sign of dT/dp (gain response_ral)."""
    p = world.p.trainers
    if not p.response_ral or model.diagnosis is None:
        return
    if p.measured_response:
        # The measured trade-off has no formula to differentiate: keep the direction that paid.
        before = float(world.trainers.last_tradeoff[trainer])
        direction = float(world.trainers.last_direction[trainer])
        if math.isfinite(before) and model.diagnosis.tradeoff_measured < before:
            direction = -direction
        world.trainers.last_tradeoff[trainer] = model.diagnosis.tradeoff_measured
        world.trainers.last_direction[trainer] = direction
    else:
        direction = float(np.sign(model.diagnosis.slope))
    scale = float(world.trainers.scale[trainer]) * 2.0 ** (p.response_ral * direction)
    world.trainers.scale[trainer] = float(np.clip(scale, 1 / 16, p.scale_cap))


__all__ = ["DEALT", "ModelTrainer", "abstract", "link_trainers", "retrain"]
