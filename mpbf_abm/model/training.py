"""Training on records: the sample, encoders, labels as training sees them, and heads (phase abstract)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.arrays import Float, Float32, Int, kernel
from mpbf_abm.learning.encoders import Encoder, descriptor_encoder, train_encoder
from mpbf_abm.learning.gaussian import GaussianProcess, coordinate_map, coordinates, fit_gaussian
from mpbf_abm.learning.heads import Head, fit_head, log_evidence
from mpbf_abm.learning.linalg import features, first_features
from mpbf_abm.learning.models import FoundationModel, frequencies, gradient_moment
from mpbf_abm.model.commons import GENERATED
from mpbf_abm.model.coupling import channel, pooled_by
from mpbf_abm.model.materials import BLOCKS, NEIGHBOURS
from mpbf_abm.model.modalities import CRYSTAL_GRAPHS, FIDELITY, GAINS, MEASURED, SIMULATED, SIMULATED_SHARE
from mpbf_abm.model.world import World
from mpbf_abm.parameters import TrainerParameters

Maps = tuple[Float32, Float32]  # weights and phases of features
FIRST_VIEW, SECOND_VIEW = 1, 2
PROCESSES = ("gaussian_process", "gaussian_process_ard")  # heads: the kernel fixed, or learned at every training
STEP, LEAST_FEATURES = 16, 32  # features grow in steps, so that their frequencies can be kept
WIDTHS = (0.5, 1.0, 2.0, 4.0)  # factors on the length scale that evidence chooses from
BIAS_AMPLITUDE = 0.5  # prior sd of what simulated labels hold beside the property, against that of the property
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
    return seen_as(world, world.commons.key[rows], world.commons.material[rows], view, gains)


def seen_as(
    world: World, key: NDArray[np.uint64], material: Int, view: int = FIRST_VIEW, gains: Float32 | None = None
) -> Float32:
    """Ambient descriptors of materials, each in the view that follows from a key (n, d)."""
    own = world.streams.record_normal(f"record.gauge.{view}", key, world.space.view_dims)
    return world.space.ambient_rows(material, own, gains)


def column_gains(world: World, block_gains: Float32) -> Float32:
    """Spread gains per block (n, 4) over ambient columns (n, d); columns of noise alone are always shown."""
    space = world.space
    blocks = np.repeat(block_gains, [space.dims[b] for b in BLOCKS], axis=1)
    return np.pad(blocks, ((0, 0), (0, space.width - space.block_width)), constant_values=1.0)


@dataclass(frozen=True)
class Corpus:
    """What an encoder is trained on.

    Attributes
    ----------
    rows : int (n,)
        Rows of the commons.
    structures : int (m,)
        Rows of the structures.
    teachers : sequence of FoundationModel
        Models whose gradients have a say in its directions.
    """

    rows: Int
    structures: Int = field(default_factory=lambda: np.zeros(0, np.int64))
    teachers: Sequence[FoundationModel] = ()

    @property
    def identity(self) -> tuple[Any, ...]:
        """What tells it from other corpora of the same tick."""
        return self.rows.tobytes(), self.structures.tobytes(), tuple(map(id, self.teachers))


def encoder_corpus(world: World, trainer: int, rows: Int) -> Corpus:
    """Corpus of a trainer's encoder: the records of the head, or all that can be reached, structures too.

    Its teachers are the models that it has published last, where pretraining is supervised.
    """
    p = world.p.trainers
    teachers = world.registry.of(trainer) if p.supervised else []
    if p.corpus != "reachable":
        return Corpus(rows, teachers=teachers)
    sources = world.infrastructure.trainer_sources(trainer)
    return Corpus(world.commons.reachable(sources), world.structures.reachable(sources), teachers)


def sightings(world: World, corpus: Corpus) -> tuple[NDArray[np.uint64], Int, NDArray[np.int8]]:
    """Keys, materials and modalities of what a corpus shows, records first, structures as crystal graphs.

    Where descriptors are observed each material counts once, as it is shown first.
    """
    commons, structures, rows, more = world.commons, world.structures, corpus.rows, corpus.structures
    key, material, modality = commons.key[rows], commons.material[rows], commons.modality[rows]
    if len(more):
        key = np.concatenate([key, structures.key[more]])
        material = np.concatenate([material, structures.material[more]])
        modality = np.concatenate([modality, np.full(len(more), CRYSTAL_GRAPHS, np.int8)])
    if world.space.observation is not None:
        once = np.sort(np.unique(material, return_index=True)[1])
        key, material, modality = key[once], material[once], modality[once]
    return key, material, modality


def encode(world: World, corpus: Corpus, objective: str, k: int, invariance: float) -> Encoder:
    """Train an encoder on a corpus by one objective.

    Where descriptors are observed with noise, modalities act before the noise.
    """
    p, space = world.p.trainers, world.space
    if objective == "none":
        return descriptor_encoder(space.span, input_scale(world, invariance))
    observed = space.observation is not None
    key, material, modality = sightings(world, corpus)

    def shown(view: int, block_gains: Float32) -> tuple[Float32, Float32]:
        gains = column_gains(world, block_gains)[modality]
        if observed:
            return seen_as(world, key, material, view, gains), np.ones_like(gains)
        return seen_as(world, key, material, view), gains

    x, gains = shown(FIRST_VIEW, GAINS)
    extra: dict[str, Any] = {"distinct": len(material) if observed else None}
    if corpus.teachers:
        extra |= {"gradients": gradient_moment(corpus.teachers, x), "supervised": p.supervised}
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
        near = neighbour_mean(world, material)
        extra["smoothed"] = (1 - np.float32(p.graph_smoothing)) * x + np.float32(p.graph_smoothing) * near
    return train_encoder(x, gains, objective, k, input_scale(world, invariance), **extra)


def neighbour_mean(world: World, material: Int) -> Float32:
    """Mean ambient descriptors of the neighbours of materials, not turned (n, d).

    Where descriptors are observed, neighbours are the nearest of the same family among these materials alone.
    """
    space = world.space
    if space.observation is not None:
        x = space.ambient_rows(material, np.zeros((len(material), space.view_dims), np.float32))
        return mean_of_nearest(x, space.family[material].astype(np.int64))
    near = space.neighbours(material)
    mean = space.descriptors[near].mean(axis=1)
    left, none = space.dims["quantum"] + space.dims["meso"], np.zeros((len(material), space.dims["gauge"]), np.float32)
    return np.concatenate([mean[:, :left], none, mean[:, left:]], 1)


def mean_of_nearest(x: Float32, family: Int) -> Float32:
    """Mean of the nearest other rows of the same family (n, d); who is alone in its family is its own neighbour."""
    out = x.copy()
    for rows in np.split(np.argsort(family, kind="stable"), np.flatnonzero(np.diff(np.sort(family))) + 1):
        if len(rows) > 1:
            own = x[rows]
            square = np.einsum("nd,nd->n", own, own)
            gap = square[:, None] - 2 * own @ own.T + square
            np.fill_diagonal(gap, np.inf)
            nearest = np.argsort(gap, axis=1, kind="stable")[:, : min(NEIGHBOURS, len(rows) - 1)]
            out[rows] = own[nearest].mean(axis=1)
    return out


def labels(world: World, rows: Int) -> tuple[Float, Float]:
    """Labels and their variances as training sees them, after harmonisation and the channels."""
    c, commons = world.p.coupling, world.commons
    value = commons.harmonised(rows, world.p.trainers.harmonisation).astype(np.float64)
    claimed = commons.variance[rows].astype(np.float64)
    variance = pooled_by(commons.modality[rows], claimed, c.uncertainty_modalities)
    return value, channel(variance, c.uncertainty_dal_ral)


def head_features(world: World, encoder: Encoder, lineage: int, scale: float, records: int) -> tuple[Float32, Float32]:
    """Weights (d, p) and phases (p,) of a model's features at some scale and number of training records."""
    p = world.p.trainers
    if p.head == "mean":
        return np.zeros((world.space.width, 0), np.float32), np.zeros(0, np.float32)
    return feature_map(world, encoder, lineage, feature_count(p, scale, records))


def feature_count(p: TrainerParameters, scale: float, records: int) -> int:
    """Random features of a head: as many as the scale gives, or by the root of scale and records, in steps."""
    if not p.features_growth:
        return max(1, round(p.features * math.sqrt(scale)))
    grown = STEP * round(p.features_growth * math.sqrt(scale * records) / STEP)
    return min(p.features_most, max(LEAST_FEATURES, grown))


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


def panel_features(
    world: World,
    model: tuple[int, Encoder, Head | GaussianProcess],
    x: Float32,
    maps: Maps,
    known: dict[Any, Any],
    name: str,
) -> Float32:
    """Features of a head at rows that all heads on one lineage's encoder are shown.

    Features of a smaller head are the first ones of a larger one, so that heads of several properties share them.

    Parameters
    ----------
    model : (int, Encoder, Head or GaussianProcess)
        Lineage, encoder and head.
    x : float32 (n, d)
    maps : (float32 (d, p), float32 (p,))
        Weights and phases of the head.
    known : dict
        What is shared in a phase.
    name : str
        Which rows these are.
    """
    lineage, encoder, head = model
    key, count = ("shown", name, lineage, id(encoder)), maps[0].shape[1]
    if world.space.properties == 1 or not count or isinstance(head, GaussianProcess):
        return head.features(x, *maps)
    full: Float32 = known.get(key, np.zeros((0, 0), np.float32))
    if full.shape[1] <= count:
        known[key] = full = features(x, *maps)
    return first_features(full, count)


def fit(world: World, rows: Int, weights: Float32, phase: Float32, **start: Any) -> Head | GaussianProcess:
    """Fit a head on records with given features, from where :func:`begin` says."""
    value, variance, rows = targets(world, rows)
    p = world.p.trainers
    # With a physical prior the mean is the simulation itself: without data the correction is zero.
    shrink = 10.0 if p.physical_prior and not p.delta_learning else 0.0
    x, of_bias = record_descriptors(world, rows), min(p.bias_features, weights.shape[1])
    if p.head != "bayesian" or not of_bias:
        return fitted(p.head, x, weights, phase, value, variance, shrink, **start)
    phi, keep = features(x, weights, phase), slice(weights.shape[1] + 1)
    share = SIMULATED_SHARE[world.commons.modality[rows]].astype(np.float32)
    size = np.float32(BIAS_AMPLITUDE * math.sqrt(weights.shape[1] / of_bias))
    phi = np.concatenate([phi, size * share[:, None] * phi[:, :of_bias]], axis=1)
    head = fit_head(phi, value, variance, offset_shrink=shrink, **start)
    # What measured labels will say is of the property alone: the rest is integrated out.
    return replace(head, mean=head.mean[keep], covariance=head.covariance[keep, keep])


def begin(world: World, last: FoundationModel | None) -> dict[str, Any]:
    """Where a trainer's head starts: where features grow, with noise and prior of its last one."""
    p = world.p.trainers
    if not p.features_growth or p.head != "bayesian" or last is None or not isinstance(last.head, Head):
        return {}
    return {"noise": last.head.noise, "prior": last.head.prior, "steps": 1}


def targets(world: World, rows: Int) -> tuple[Float, Float, Int]:
    """What a head is fitted to on some records: values, their variances, and the rows that have them."""
    p = world.p.trainers
    if p.delta_learning:
        rows = rows[FIDELITY[world.commons.modality[rows]] == MEASURED]
    value, variance = labels(world, rows)
    if p.physical_prior or p.delta_learning:
        value = value - world.truth.simulated[world.commons.pairs(rows)]
    return value, variance, rows


def fitted(
    kind: str,
    x: Float32,
    weights: Float32,
    phase: Float32,
    value: Float,
    variance: Float,
    shrink: float = 0.0,
    **start: Any,
) -> Head | GaussianProcess:
    """Fit a head of some kind to labels at ambient rows, a linear one from given noise and prior."""
    if kind in PROCESSES:
        phi, learns = coordinates(x, weights, phase), kind == PROCESSES[1]
        return fit_gaussian(phi, value, variance, offset_shrink=shrink, learns=learns)
    return fit_head(Head.features(x, weights, phase), value, variance, offset_shrink=shrink, **start)
