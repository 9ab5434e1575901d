"""Designed corpora: chosen records, and the model that the community's own trainers make of them.

What is known of real learners was measured on designed corpora: so many records, of this kind of label, without that
family. Here the same is done on any materials space, synthetic or real, through the code that curators and trainers
use; nothing is learned otherwise than in a run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.arrays import Float, Float32, Int
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.evidence.known.communities import grouped
from mpbf_abm.learning.models import FoundationModel
from mpbf_abm.model.commons import FOUNDER, LITERATURE, record_keys
from mpbf_abm.model.founding import found_community
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.modalities import CRYSTAL_GRAPHS, SPECTROSCOPY, label
from mpbf_abm.model.trainers import DEALT, abstract
from mpbf_abm.model.training import fit, head_features
from mpbf_abm.model.world import World
from mpbf_abm.parameters import Parameters
from mpbf_abm.streams import Streams, normal_quantile

SIMULATION, MEASUREMENT = CRYSTAL_GRAPHS, SPECTROSCOPY  # the kinds of data that stand for one fidelity alone
MEMBERS = 5  # of an ensemble, as in the measurement on real models


@dataclass(frozen=True)
class Learned:
    """A model and the world in which it was trained.

    Attributes
    ----------
    world : World
    model : FoundationModel
    """

    world: World
    model: FoundationModel

    def predict(self, material: Int) -> tuple[Float32, Float32, Float32]:
        """Return mean and variance (n,) of predictions, and features (n, p + 1), each in its own gauge."""
        phi = self.model.features(self.shown(material))
        mean, variance = self.model.head.predict(phi)
        return self.whole(material, mean), variance, phi

    def whole(self, material: Int, mean: Float32) -> Float32:
        """Return what a head predicts for materials, on the simulation where the head is a correction of it (n,)."""
        return mean + self.world.truth.simulated[material] if self.model.simulated_base else mean

    def shown(self, material: Int) -> Float32:
        """Return ambient descriptors of materials in gauges of their own (n, d)."""
        width = self.world.space.dims["gauge"]
        gauge = self.world.streams.normal("validation.gauge", 0, (len(material), width)).astype(np.float32)
        return self.world.space.ambient_rows(material, gauge)


def sample(
    space: MaterialsSpace,
    p: Parameters,
    seed: int,
    name: str,
    n: int,
    *,
    without: int | None = None,
    outside: Int | None = None,
) -> Int:
    """Return materials as the founding literature draws them: families by size to the founding concentration (n,).

    Parameters
    ----------
    without : int, optional
        A family that is left out.
    outside : int (m,), optional
        Materials that must not be drawn (those of a training corpus).

    Raises
    ------
    ConfigurationError
        If fewer than two materials can be drawn.
    """
    weight = space.family_sizes.astype(np.float64) ** p.founding.concentration / space.family_sizes
    each = weight[space.family]
    if without is not None:
        each[space.start[without] : space.start[without + 1]] = 0.0
    if outside is not None:
        each[outside] = 0.0
    if np.count_nonzero(each) < 2:
        raise ConfigurationError("the space has too few materials for a corpus and a test")
    edges = np.cumsum(each)
    u = Streams(seed).uniform(f"validation.{name}", 0, n)
    rows = np.searchsorted(edges, u * edges[-1], side="right")
    return np.asarray(np.minimum(rows, space.size - 1), np.int64)


def mixed(p: Parameters, seed: int, n: int) -> NDArray[np.int8]:
    """Return kinds of data by the curators' mix (n,)."""
    mix = np.cumsum(np.asarray(p.curators.modality_mix) / sum(p.curators.modality_mix))
    draw = Streams(seed).uniform("validation.modality", 0, n)
    return np.minimum(np.searchsorted(mix, draw, side="right"), len(mix) - 1).astype(np.int8)


def only(kind: int, n: int) -> NDArray[np.int8]:
    """Return one kind of data for all records (n,)."""
    return np.full(n, kind, np.int8)


def learn(
    p: Parameters,
    space: MaterialsSpace,
    seed: int,
    material: Int,
    modality: NDArray[np.int8],
    *,
    scale: float = 1.0,
    objective: str | None = None,
) -> Learned:
    """Let one trainer of the community learn from a corpus, all of it.

    Parameters
    ----------
    p : Parameters
    space : MaterialsSpace
    seed : int
        Of the labels' noise, the features, and, where none is given, the objective: the community deals the four to its
        trainers in turn, and so do successive seeds.
    material : int (n,)
    modality : int8 (n,)
    scale : float
        Pretraining scale P: features grow with its root, latent directions with its logarithm.
    objective : str, optional
    """
    n = len(material)
    if objective is None:
        objective = DEALT[seed % len(DEALT)] if p.trainers.objective == "mixed" else p.trainers.objective
    changes = grouped(
        planners={"count": 0},
        curators={"count": 0},
        founding={"records": 0},
        stocks={"compute": 0.0},
        infrastructure={"repositories": 1, "providers": 1, "need": 1},
        trainers={"count": 1, "reuse": 0.0, "labels": "all", "objective": objective, "records": math.ceil(n / scale)},
    )
    alone = p.updated(changes | {"trainers.scale": scale, "trainers.scale_cap": 64.0})
    world = found_community(alone, Streams(seed), space)
    noise = normal_quantile(world.streams.uniform("validation.noise", 0, n))
    value, variance = label(world.p.modalities, world.truth, world.space.difficulty, material, modality, noise)
    keys, federated = record_keys(FOUNDER, np.arange(n) >> 15, 0, np.arange(n) & 0x7FFF), np.zeros(n, bool)
    labelled = {"key": keys, "material": material, "modality": modality, "value": value, "variance": variance}
    entered = {"origin": np.int8(LITERATURE), "repository": 0, "producer": -1, "tick": -1, "federated": federated}
    world.commons.append(**labelled, **entered)
    abstract(world)
    ((_, model),) = world.models()
    return Learned(world, model)


def spread_of_ensemble(learned: Learned, material: Int) -> tuple[Float, Float]:
    """Return mean and spread of five models trained like this one (n,), (n,).

    Each has a bootstrap sample and random features of its own.
    """
    world, encoder = learned.world, learned.model.encoder
    n = len(world.commons)
    shown, predictions = learned.shown(material), []
    for member in range(MEMBERS):
        weights, phase = head_features(world, encoder, member, learned.model.scale)
        draw = world.streams.uniform(f"validation.bootstrap.{member}", 0, n)
        head = fit(world, (draw * n).astype(np.int64), weights, phase)
        mean = head.predict(head.features(shown, weights, phase))[0]
        predictions.append(learned.whole(material, mean).astype(np.float64))
    return np.mean(predictions, axis=0), np.std(predictions, axis=0, ddof=1)
