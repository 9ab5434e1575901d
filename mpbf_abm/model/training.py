"""Training on records: the sample, encoders, labels as training sees them, and heads (phase abstract)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.arrays import Float, Float32, Int, kernel
from mpbf_abm.learning.encoders import Encoder, descriptor_encoder, train_encoder
from mpbf_abm.learning.gaussian import GaussianProcess, coordinate_map, coordinates, fit_gaussian
from mpbf_abm.learning.heads import Head, fit_head, log_evidence
from mpbf_abm.learning.linalg import features
from mpbf_abm.learning.models import frequencies
from mpbf_abm.model.commons import GENERATED
from mpbf_abm.model.coupling import channel, pooled_by
from mpbf_abm.model.materials import BLOCKS
from mpbf_abm.model.modalities import FIDELITY, GAINS, MEASURED, SIMULATED
from mpbf_abm.model.world import World

FIRST_VIEW, SECOND_VIEW = 1, 2
PROCESSES = ("gaussian_process", "gaussian_process_ard")  # heads: the kernel fixed, or learned at every training
STEP, LEAST_FEATURES = 16, 32  # features grow in steps, so that their frequencies can be kept
WIDTHS = (0.5, 1.0, 2.0, 4.0)  # factors on the length scale that evidence chooses from
WIDTH_RECORDS, WIDTH_FEATURES = 600, 200  # about so many records and features judge them


def training_rows(world: World, sources: NDArray[np.bool_], scale: float) -> Int:
    """Rows of the training sample: the P n_0 reachable records with the smallest keyed uniforms.

    One extra record changes at most one of them. A fresh-data floor leaves out old and
    model-generated records until the recent others have their share; without any it has no say.
    """
    p, commons = world.p.trainers, world.commons
    rows = commons.reachable(sources)
    if p.labels != "all":
        rows = rows[FIDELITY[commons.modality[rows]] == {"simulated": SIMULATED, "measured": MEASURED}[p.labels]]
    count = max(1, round(p.records * scale)) if p.records else len(rows)
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


def input_scale(world: World, invariance: float) -> Float:
    """Factor on ambient columns: 1 - I on the gauge block, 1 elsewhere (d,)."""
    scale = np.ones(world.space.width)
    scale[world.space.ambient["gauge"]] = 1.0 - invariance
    return scale


def record_descriptors(world: World, rows: Int, view: int = FIRST_VIEW, gains: Float32 | None = None) -> Float32:
    """Ambient descriptors of records, each in the view that follows from its key (n, d)."""
    own = world.streams.record_normal(f"record.gauge.{view}", world.commons.key[rows], world.space.view_dims)
    return world.space.ambient_rows(world.commons.material[rows], own, gains)


def column_gains(world: World, block_gains: Float32) -> Float32:
    """Spread gains per block (n, 4) over ambient columns (n, d); columns of noise alone are always shown."""
    space = world.space
    blocks = np.repeat(block_gains, [space.dims[b] for b in BLOCKS], axis=1)
    return np.pad(blocks, ((0, 0), (0, space.width - space.block_width)), constant_values=1.0)


def encode(world: World, rows: Int, objective: str, k: int, invariance: float) -> Encoder:
    """Train an encoder on records by one objective.

    Where descriptors are observed with noise, each material counts once, and modalities act before the noise.
    """
    p, commons, space = world.p.trainers, world.commons, world.space
    if objective == "none":
        return descriptor_encoder(space.span, input_scale(world, invariance))
    observed = space.observation is not None
    if observed:
        rows = commons.once(rows)
    modality = commons.modality[rows]

    def shown(view: int, block_gains: Float32) -> tuple[Float32, Float32]:
        gains = column_gains(world, block_gains)[modality]
        if observed:
            return record_descriptors(world, rows, view, gains), np.ones_like(gains)
        return record_descriptors(world, rows, view), gains

    x, gains = shown(FIRST_VIEW, GAINS)
    extra: dict[str, Any] = {"distinct": len(rows) if observed else None}
    if objective in ("contrastive", "fusion"):
        # The second view shows the same material in another gauge through the other modalities
        # of the corpus: what both views share is what contrastive learning keeps.
        share = np.bincount(modality, minlength=len(GAINS)).astype(np.float32)
        others = share - np.eye(len(GAINS), dtype=np.float32) * share
        others += 1e-6
        mixed = (others / others.sum(axis=1, keepdims=True)) @ GAINS
        second, second_gains = shown(SECOND_VIEW, mixed)
        extra |= {"second_view": second, "second_gains": second_gains, "fusion_weight": p.fusion_weight}
    elif objective == "graph":
        near = neighbour_mean(world, rows)
        extra["smoothed"] = (1 - np.float32(p.graph_smoothing)) * x + np.float32(p.graph_smoothing) * near
    return train_encoder(x, gains, objective, k, input_scale(world, invariance), **extra)


def neighbour_mean(world: World, rows: Int) -> Float32:
    """Mean ambient descriptors of the neighbours of records' materials, not turned (n, d)."""
    space = world.space
    near = space.neighbours(world.commons.material[rows])
    if space.observation is not None:
        flat = space.ambient_rows(near.ravel(), np.zeros((near.size, space.view_dims), np.float32))
        return np.asarray(flat.reshape(*near.shape, -1).mean(axis=1))
    mean = space.descriptors[near].mean(axis=1)
    left, none = space.dims["quantum"] + space.dims["meso"], np.zeros((len(rows), space.dims["gauge"]), np.float32)
    return np.concatenate([mean[:, :left], none, mean[:, left:]], 1)


def labels(world: World, rows: Int) -> tuple[Float, Float]:
    """Labels and their variances as training sees them, after harmonisation and the channels."""
    c, commons = world.p.coupling, world.commons
    value = commons.harmonised(rows, world.p.trainers.harmonisation).astype(np.float64)
    claimed = commons.variance[rows].astype(np.float64)
    variance = pooled_by(commons.modality[rows], claimed, c.uncertainty_modalities)
    return value, channel(variance, c.uncertainty_dal_ral)


def encoder_rows(world: World, trainer: int, rows: Int) -> Int:
    """Rows that a trainer's encoder is trained on: those of the head, or all that can be reached."""
    if world.p.trainers.corpus == "sample":
        return rows
    return world.commons.reachable(world.infrastructure.trainer_sources(trainer))


def head_features(world: World, encoder: Encoder, lineage: int, scale: float, records: int) -> tuple[Float32, Float32]:
    """Weights (d, p) and phases (p,) of a model's features at some scale and number of training records."""
    p = world.p.trainers
    if p.head == "mean":
        return np.zeros((world.space.width, 0), np.float32), np.zeros(0, np.float32)
    count = max(1, round(p.features * math.sqrt(scale)))
    if p.features_growth:
        grown = STEP * round(p.features_growth * math.sqrt(scale * records) / STEP)
        count = min(p.features_most, max(LEAST_FEATURES, grown))
    return feature_map(world, encoder, lineage, count)


def feature_map(
    world: World, encoder: Encoder, lineage: int, count: int, width: float | None = None
) -> tuple[Float32, Float32]:
    """Weights and phases of some number of random features, or of the coordinates of a Gaussian process.

    Their kernel is as wide as that of the lineage, if no width is given.
    """
    width = world.widths.get(lineage, 1.0) if width is None else width
    length = world.p.trainers.length_scale * width
    if world.p.trainers.head in PROCESSES:
        return coordinate_map(encoder, length)
    if (lineage, count) not in world.frequencies:
        world.frequencies[lineage, count] = frequencies(world.streams, lineage, world.space.width, count)
    omega, phase = world.frequencies[lineage, count]
    return (encoder.projection() @ omega / (length * math.sqrt(encoder.k))).astype(np.float32), phase


def lacks_width(world: World, lineage: int) -> bool:
    """Whether the width of a lineage's kernel is to be chosen, which is done once."""
    p = world.p.trainers
    return p.width == "evidence" and p.head == "bayesian" and lineage not in world.widths


def choose_width(world: World, encoder: Encoder, lineage: int, x: Float32, value: Float, variance: Float) -> None:
    """Choose the width of a lineage's kernel by the evidence of some labels at ambient rows."""
    part = slice(None, None, max(1, len(x) // WIDTH_RECORDS))

    def evidence(width: float) -> float:
        phi = features(x[part], *feature_map(world, encoder, lineage, WIDTH_FEATURES, width))
        return log_evidence(phi, value[part], variance[part])

    world.widths[lineage] = max(WIDTHS, key=evidence)


def fit(world: World, rows: Int, weights: Float32, phase: Float32) -> Head | GaussianProcess:
    """Fit a head on records with given features."""
    value, variance, rows = targets(world, rows)
    p = world.p.trainers
    # With a physical prior the mean is the simulation itself: without data the correction is zero.
    shrink = 10.0 if p.physical_prior and not p.delta_learning else 0.0
    return fitted(p.head, record_descriptors(world, rows), weights, phase, value, variance, shrink)


def targets(world: World, rows: Int) -> tuple[Float, Float, Int]:
    """What a head is fitted to on some records: values, their variances, and the rows that have them."""
    p = world.p.trainers
    if p.delta_learning:
        rows = rows[FIDELITY[world.commons.modality[rows]] == MEASURED]
    value, variance = labels(world, rows)
    if p.physical_prior or p.delta_learning:
        value = value - world.truth.simulated[world.commons.material[rows]]
    return value, variance, rows


def fitted(
    kind: str, x: Float32, weights: Float32, phase: Float32, value: Float, variance: Float, shrink: float = 0.0
) -> Head | GaussianProcess:
    """Fit a head of some kind to labels at ambient rows."""
    if kind in PROCESSES:
        phi, learns = coordinates(x, weights, phase), kind == PROCESSES[1]
        return fit_gaussian(phi, value, variance, offset_shrink=shrink, learns=learns)
    return fit_head(Head.features(x, weights, phase), value, variance, offset_shrink=shrink)
