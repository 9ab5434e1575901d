"""Model trainers: retrain encoders and heads on reachable records (phase abstract)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from mpbf_abm.arrays import Int
from mpbf_abm.learning.encoders import Encoder
from mpbf_abm.learning.models import FoundationModel, Panel
from mpbf_abm.model.diagnosis import current_panel, diagnose
from mpbf_abm.model.links import choose_links
from mpbf_abm.model.training import encode, fit, head_features, training_rows
from mpbf_abm.model.world import CohortAgent, Trainers, World
from mpbf_abm.streams import race

DEALT = ("masked", "contrastive", "fusion", "graph")
MOST_LINKS = 50  # bound of infrastructure.providers


class ModelTrainer(CohortAgent):
    """A trainer who publishes one foundation model. Override a method to give it a rule of its own."""

    cohort_type = Trainers

    def sample(self, rows: Int) -> Int:
        """Return rows of the commons to train on, of those that the standard rule gives (n,)."""
        return rows

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
    if (rule := world.own("trainers").get(trainer)) is not None:
        rows = np.unique(np.asarray(rule.sample(rows), np.int64))
    if (
        int(sources.sum()) < max(1, world.infrastructure.need)
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
    """Return another trainer's published model, by race in proportion to one more than its adopters; None before any.

    A lineage attracts as many as stand on it and use it: the process of Simon (1955), whose descendants per base model
    have a power law.
    """
    registry, key = world.registry, ("donor",)
    if key not in shared:
        shared[key] = world.clocks("trainer.donor", world.trainers, len(world.trainers))[:, world.trainers.slots]
    weight = np.where(registry.published(), 1.0 + registry.adopters, 0.0)
    weight[trainer] = 0.0
    return registry.models[int(race(shared[key][trainer], weight))] if weight.any() else None


def train(
    world: World,
    trainer: int,
    scale: float,
    rows: Int,
    lineage: int,
    encoder: Encoder,
    objective: str,
    panel: Panel,
    shared: dict[tuple[Any, ...], Any],
) -> FoundationModel:
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
        trainer,
        lineage,
        world.tick,
        objective,
        scale,
        float(1 - encoder.input_scale[space.ambient["gauge"]].mean()) if space.dims["gauge"] else 1.0,
        encoder,
        weights,
        phase,
        head,
        p.overconfidence,
        base,
        len(rows),
        corpus,
        np.lexsort((space.family_keys, corpus))[: max(1, space.families // 2)],
        panel,
        phi,
        mean.reshape(shape),
        variance.reshape(shape),
    )
    old = world.registry.models[trainer]
    if old is not None:
        model.recent, model.median_gap = list(old.recent), old.median_gap
    model.diagnosis = diagnose(world, model)
    return model


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
