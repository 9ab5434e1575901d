"""Model trainers: retrain encoders and heads on reachable records (phase abstract)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from mpbf_abm.arrays import Int
from mpbf_abm.learning.encoders import Encoder
from mpbf_abm.learning.models import FoundationModel
from mpbf_abm.model.diagnosis import current_panel, diagnose
from mpbf_abm.model.feasibility import learn_feasibility
from mpbf_abm.model.links import NONE, choose_links, reached
from mpbf_abm.model.training import (
    begin,
    choose_width,
    encode,
    encoder_corpus,
    fit,
    head_features,
    lacks_width,
    panel_features,
    record_descriptors,
    targets,
    training_rows,
)
from mpbf_abm.model.world import CohortAgent, Trainers, World, checked_rows
from mpbf_abm.streams import race

DEALT = ("masked", "contrastive", "fusion", "graph")
MOST_LINKS = 50  # bound of infrastructure.providers


class ModelTrainer(CohortAgent):
    """A trainer who publishes one foundation model. Override a method to give it a custom rule."""

    cohort_type = Trainers

    def sample(self, rows: Int) -> Int:
        """Return rows of the commons to train on, of those that the standard rule gives (n,)."""
        return rows

    @property
    def published(self) -> FoundationModel | None:
        """The model this trainer has published last; of several properties that of the first."""
        return next(iter(self.world.registry.of(self.row)), None)


def abstract(world: World) -> None:
    """Retrain whoever is due: all at tick 0, then every interval, staggered."""
    interval, trainers = world.p.trainers.retrain_interval, world.trainers
    world.registry.tick = world.tick
    offset = trainers.slots * interval // max(1, len(trainers))
    due = trainers.by_slot[((world.tick == 0) | ((world.tick + offset) % interval == 0))[trainers.by_slot]]
    if world.p.infrastructure.search_time >= 0:
        search(world)
    release(world)
    if world.tick and len(due):
        rewire(world, due)
    shared: dict[tuple[Any, ...], Any] = {}
    for trainer in due:
        retrain(world, int(trainer), shared)


def rewire(world: World, due: Int) -> None:
    """Let trainers who retrain reconsider their repository links."""
    links = world.infrastructure.model_repositories
    u = world.uniform("trainer.rewire", world.trainers, MOST_LINKS)[:, : links.shape[1]]
    link_trainers(world, due, np.where(u < world.p.infrastructure.rewiring, NONE, links)[due])


def link_trainers(world: World, trainers: Int, keep: Int | None = None) -> None:
    """Fill empty repository links by exponential race on repository size."""
    infrastructure, commons = world.infrastructure, world.commons
    clocks = world.clocks("trainer.repository", world.trainers, commons.repositories)[trainers]
    size = commons.counts[: commons.repositories].sum(axis=1) + 1.0
    weight = size**world.p.infrastructure.preference * infrastructure.staying_repositories()
    infrastructure.model_repositories[trainers] = choose_links(clocks, weight, infrastructure.providers, keep)


def search(world: World) -> None:
    """Let trainers with too few sources that work and are not about to close look for others.

    Who has looked for `search_time` ticks links to others in place of those.
    """
    infrastructure, lost = world.infrastructure, world.infrastructure.searching
    good = reached(infrastructure.model_repositories, infrastructure.staying_repositories())
    lacking = good.sum(axis=1) < max(1, infrastructure.need)
    lost[...] = np.where(lacking, np.where(lost < 0, world.tick, lost), -1)
    found = np.flatnonzero(lacking & (world.tick - lost >= world.p.infrastructure.search_time))
    if len(found):
        link_trainers(world, found, np.where(good, infrastructure.model_repositories, NONE)[found])


def retrain(world: World, trainer: int, shared: dict[tuple[Any, ...], Any]) -> None:
    """Train models on what the trainer can reach, one for each property with labels, and publish them."""
    trainers = world.trainers
    sources = world.infrastructure.trainer_sources(trainer)
    scale = affordable_scale(world, trainer)
    rows = training_rows(world, sources, scale)
    if (rule := world.own("trainers").get(trainer)) is not None:
        rows = checked_rows(rule, "sample", rule.sample(rows.copy()), rows)
    enough = sources.sum() >= max(1, world.infrastructure.need)
    stopped = world.infrastructure.down_models[trainer] or world.infrastructure.frozen[trainer]
    if not enough or stopped or not len(rows):
        world.totals.failed_retrainings += 1
        return
    if world.p.stocks.compute > 0:
        paid = min(scale, float(trainers.compute[trainer]))
        trainers.compute[trainer] -= paid
        trainers.spent[trainer] += paid
    models = train(world, trainer, scale, rows, shared)
    learn_feasibility(world, sources, list(models.values()))
    if world.p.trainers.training_time and world.tick:
        world.training.append((world.tick + world.p.trainers.training_time, trainer, models))
    else:
        publish_models(world, trainer, models)


def release(world: World) -> None:
    """Publish the models whose training ends, in the order in which it began."""
    for _, trainer, models in [t for t in world.training if t[0] <= world.tick]:
        publish_models(world, trainer, models)
    world.training = [t for t in world.training if t[0] > world.tick]


def publish_models(world: World, trainer: int, models: dict[int, FoundationModel]) -> None:
    """Publish a trainer's new models, note their errors, and let it respond to them."""
    first = next(iter(models.values()))
    for last in world.registry.of(trainer):
        if (model := models.get(last.of_property)) is not None:
            model.recent, model.median_gap = list(last.recent), last.median_gap
    world.registry.publish(trainer, models, first.lineage)
    for model in models.values():
        note_error(world, model)
    respond(world, trainer, first)


def note_error(world: World, model: FoundationModel) -> None:
    """Note a new model's labels and its centred error: a point of the community's learning curve."""
    pairs = world.space.pairs(model.of_property, model.panel.materials)
    square = float((model.panel_mean - world.truth.property[pairs]).astype(np.float64).var())
    world.discoveries.learned[model.of_property].add(
        math.log(model.records), 0.5 * math.log(square) if square > 0 else -math.inf
    )


def affordable_scale(world: World, trainer: int) -> float:
    """Scale that the trainer wants, within the cap and its compute."""
    p, trainers = world.p.trainers, world.trainers
    wanted = min(float(trainers.scale[trainer]), p.scale_cap)
    return max(1 / 64, min(wanted, float(trainers.compute[trainer]))) if world.p.stocks.compute > 0 else wanted


def choose_encoder(
    world: World, trainer: int, number: int, scale: float, rows: Int, shared: dict[tuple[Any, ...], Any]
) -> tuple[int, Encoder, str]:
    """Train an encoder for heads of a property and others, or build on that of another trainer's model (reuse)."""
    p, slot = world.p.trainers, int(world.trainers.slots[trainer])
    draw = world.uniform("trainer.reuse", world.trainers, 1)[trainer, 0]
    if draw < p.reuse and (donor := choose_donor(world, trainer, number, shared)) is not None:
        return donor.lineage, donor.encoder, donor.objective
    objective = DEALT[slot % len(DEALT)] if p.objective == "mixed" else p.objective
    invariance = float(world.trainers.invariance[trainer])
    k = max(1, p.latent_dims + round(p.latent_per_doubling * math.log2(scale)))
    corpus = encoder_corpus(world, trainer, rows)
    key = ("encoder", objective, k, invariance, *corpus.identity)
    if key not in shared:
        shared[key] = encode(world, corpus, objective, k, invariance)
    return slot, shared[key], objective


def choose_donor(world: World, trainer: int, number: int, shared: dict[tuple[Any, ...], Any]) -> FoundationModel | None:
    """Return the newest model of another trainer, rather of a property than of others; None before any.

    The trainer is chosen by race in proportion to one more than its adopters.

    A lineage attracts as many as stand on it and use it: the process of Simon (1955), whose descendants per base model
    have a power law.
    """
    registry, key = world.registry, ("donor",)
    if key not in shared:
        shared[key] = world.clocks("trainer.donor", world.trainers, len(world.trainers))[:, world.trainers.slots]
    weight = np.where(registry.published(), 1.0 + registry.adopters, 0.0)
    weight[trainer] = 0.0
    if not weight.any():
        return None
    models = registry.of(int(race(shared[key][trainer], weight)))
    return max(models, key=lambda model: (model.trained, model.of_property == number))


def train(
    world: World, trainer: int, scale: float, rows: Int, shared: dict[tuple[Any, ...], Any]
) -> dict[int, FoundationModel]:
    """Choose an encoder (or one for each property), and fit a head on it for each property that records label."""
    labelled, alone = world.commons.property[rows], world.p.trainers.corpus == "own"
    count = np.bincount(labelled)
    models: dict[int, FoundationModel] = {}
    # The property with the most labels comes first: it has the most features, and decides on the width.
    for t in np.argsort(-count, kind="stable")[: np.count_nonzero(count)].tolist():
        own = rows[labelled == t]
        if alone or not models:
            pretrained = choose_encoder(world, trainer, t, scale, own if alone else rows, shared)
        models[t] = train_head(world, trainer, t, scale, own, pretrained, shared)
    return models


def train_head(
    world: World,
    trainer: int,
    number: int,
    scale: float,
    rows: Int,
    pretrained: tuple[int, Encoder, str],
    shared: dict[tuple[Any, ...], Any],
) -> FoundationModel:
    """Fit a head of one property on an encoder, and judge the model on the panel."""
    p, space, commons, panel = world.p.trainers, world.space, world.commons, current_panel(world)
    lineage, encoder, objective = pretrained
    last = world.registry.models[number * len(world.trainers) + trainer]
    start = begin(world, last)
    key = ("head", lineage, id(encoder), scale, rows.tobytes(), *start.values())
    if key not in shared:
        if lacks_width(world, lineage):
            value, variance, labelled = targets(world, rows)
            choose_width(world, encoder, lineage, record_descriptors(world, labelled), value, variance)
        weights, phase = head_features(world, encoder, lineage, scale, len(rows))
        shared[key] = weights, phase, fit(world, rows, weights, phase, **start)
    weights, phase, head = shared[key]
    base = p.physical_prior or p.delta_learning
    phi = panel_features(world, (lineage, encoder, head), panel.x, (weights, phase), shared, "panel")
    mean, variance = head.predict(phi)
    if base:
        mean = mean + world.truth.simulated[space.pairs(number, panel.materials.ravel())]
    corpus = np.bincount(commons.family[rows], minlength=space.families) / len(rows)
    model = FoundationModel(
        trainer=trainer,
        of_property=number,
        lineage=lineage,
        trained=world.tick,
        objective=objective,
        scale=scale,
        invariance=float(1 - encoder.input_scale[space.ambient["gauge"]].mean()) if space.dims["gauge"] else 1.0,
        encoder=encoder,
        weights=weights,
        phase=phase,
        head=replace(head),
        overconfidence=p.overconfidence,
        simulated_base=base,
        records=len(rows),
        sample=commons.material[rows],
        corpus=corpus,
        rare=np.lexsort((space.family_keys, corpus))[: max(1, space.families // 2)],
        panel=panel,
        panel_phi=phi,
        panel_mean=mean.reshape(panel.materials.shape),
        panel_variance=variance.reshape(panel.materials.shape),
    )
    model.diagnosis = diagnose(world, model, shared)
    return model


def respond(world: World, trainer: int, model: FoundationModel) -> None:
    """Move the trainer's scale along the sign of dT/dp (gain response_ral)."""
    p, trainers = world.p.trainers, world.trainers
    if not p.response_ral:
        return
    direction = float(np.sign(model.diagnosis.slope))
    if p.measured_response:
        # The measured trade-off has no formula to differentiate: keep the direction that paid.
        measured, direction = model.diagnosis.tradeoff_measured, float(trainers.last_direction[trainer])
        if measured < trainers.last_tradeoff[trainer]:
            direction = -direction
        trainers.last_tradeoff[trainer], trainers.last_direction[trainer] = measured, direction
    scale = float(trainers.scale[trainer]) * 2.0 ** (p.response_ral * direction)
    trainers.scale[trainer] = np.clip(scale, 1 / 16, p.scale_cap)
