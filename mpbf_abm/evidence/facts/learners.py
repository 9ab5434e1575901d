"""Designed corpora, and what labels and learners make of them (facts 1 to 3, 6 to 9, 15).

What is known of real learners was measured on designed corpora: so many records, of this kind of label, without that
family. Here the same is done on any materials space, synthetic or real, through the code that curators and trainers
use; nothing is learned otherwise than in a run.

Every measure takes parameters, a space and a seed, so that the same measurement can be made on real materials.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from mpbf_abm.arrays import Bool, Float, Float32, Int
from mpbf_abm.errors import refuse
from mpbf_abm.evidence.facts.recorded import METAL, NON_METAL, RECORDED
from mpbf_abm.evidence.known.rows import grouped
from mpbf_abm.learning.heads import fit_head
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
        """Return what a head predicts of the first property, on its simulation where it is a correction (n,)."""
        return mean + self.world.truth.simulated[material] if self.model.simulated_base else mean

    def shown(self, material: Int) -> Float32:
        """Return ambient descriptors of materials in separate gauges (n, d)."""
        width = self.world.space.view_dims
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
    refuse(np.count_nonzero(each) < 2, "the space has too few materials for a corpus and a test")
    edges = np.cumsum(each)
    u = Streams(seed).uniform(f"validation.{name}", 0, n)
    return np.asarray(np.minimum(np.searchsorted(edges, u * edges[-1], side="right"), space.size - 1), np.int64)


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

    Each has a separate bootstrap sample and separate random features.
    """
    world, encoder = learned.world, learned.model.encoder
    n = len(world.commons)
    shown, predictions = learned.shown(material), []
    for member in range(MEMBERS):
        weights, phase = head_features(world, encoder, member, learned.model.scale, learned.model.records)
        draw = world.streams.uniform(f"validation.bootstrap.{member}", 0, n)
        head = fit(world, (draw * n).astype(np.int64), weights, phase)
        mean = head.predict(head.features(shown, weights, phase))[0]
        predictions.append(learned.whole(material, mean).astype(np.float64))
    return np.mean(predictions, axis=0), np.std(predictions, axis=0, ddof=1)


# --------------------------------------------------------------------------- simulated labels

# Simulated labels on a space (fact 1), in the unit of band gaps.

GAPS: tuple[float, ...] = tuple(RECORDED["gap_quantiles"])  # measured band gaps of non-metals, eV
GAP_SD = 1.584  # eV
LABELS = 4_000


def gaps(space: MaterialsSpace, material: NDArray[np.int64]) -> tuple[Float, Float]:
    """Return measured and simulated gaps of materials in eV (n,), (n,).

    On a space of gaps they are taken as they are. On a synthetic space the property stands for a gap: its quantiles
    for those of measured gaps, its standard deviation for theirs. A simulated gap is not below zero.
    """
    true, simulated = space.property[material].astype(np.float64), space.simulated[material].astype(np.float64)
    if space.origin.get("kind") == "table":
        measured = np.asarray(space.in_unit(true))
        return measured, np.asarray(space.in_unit(simulated))
    rank = np.searchsorted(np.sort(space.property), true, side="left") / space.size
    measured = np.interp(rank, np.linspace(0, 1, len(GAPS)), GAPS)
    return measured, np.maximum(measured + GAP_SD * (simulated - true), 0.0)


def simulated_labels(p: Parameters, space: MaterialsSpace, seed: int) -> dict[str, float]:
    """Return ratio, error and false metals of simulated gaps, and the share of the error's variance between families.

    The share is NaN without an error.
    """
    material = np.unique(sample(space, p, seed, "labels", LABELS))
    measured, simulated = gaps(space, material)
    real = measured > NON_METAL
    material, measured, simulated = material[real], measured[real], simulated[real]
    error = simulated - measured
    family = space.family[material]
    count = np.bincount(family, minlength=space.families)
    mean = np.bincount(family, error, minlength=space.families) / np.maximum(count, 1)
    spare = len(error) - int((count > 0).sum())
    within, variance = float(((error - mean[family]) ** 2).sum()) / max(spare, 1), float(error.var(ddof=1))
    return {
        "gap_pbe_ratio": float(np.median(simulated / measured)),
        "gap_pbe_mae": float(np.abs(error).mean()),
        "gap_false_metal": float((simulated < METAL).mean()),
        "gap_family_share": max(0.0, 1.0 - within / variance) if variance > 0 else math.nan,
    }


# --------------------------------------------------------------------------- learners

# Inheritance, correction, transfer, calibration, learning curves (facts 2, 3, 6 to 9, 15).

TESTED = 3_000  # materials on which a model is judged
LEAST = 250  # records of the smallest corpus of a learning curve
CURVE = (1, 2, 4, 8, 16)  # corpora of a learning curve, in smallest ones
MANY = 4.0  # scale of a model whose simulated labels are plenty
CORRECTIONS = (10, 30, 100, 300, 1_000)  # measured labels that correct a model
BEYOND = 3_000.0  # stands for more than were tried
FALL = 0.07  # fall of the structured error that counts: what 300 labels did to real gaps (0.571 to 0.53 eV)
KEPT = (0.5, 0.3, 0.2, 0.1, 0.05)  # shares of a corpus that pruning leaves
LOSS = 1.1  # how far the error may rise by pruning (Li et al. 2023)
LEFT_OUT = 6  # families that are held out, the largest of the corpus


def inheritance(p: Parameters, space: MaterialsSpace, seed: int) -> dict[str, float]:
    """Return the slope of model error on label error where all labels are simulated, and the price of a correction.

    As in the measurement, where simulated labels were plenty, corpus and model are four times the usual ones (scale 4).
    The correction is the logarithm (base 10) of the measured labels at which delta learning lowers the structured error
    by 7 %, as 300 did for real gaps. Delta learning is a second head on what measured labels leave of the first one's
    predictions. The structured error is the mean absolute error about the median error, which a shift of all
    predictions cannot repair. Between the numbers that are tried the logarithm is interpolated; 3,000 stands for more
    than were tried.
    """
    learned, test = _simulated(p, space, seed, MANY)
    truth = space.property[test].astype(np.float64)
    plain, _, phi = learned.predict(test)
    wrong = plain - truth
    slope = np.polyfit(space.simulated[test] - truth, wrong, 1)[0]
    most = min(max(CORRECTIONS), space.size - len(test))
    overlaps = sample(space, p, seed, "overlap", most, outside=test)
    predicted, _, at_overlaps = learned.predict(overlaps)
    world, measured = learned.world, only(MEASUREMENT, most)
    noise = normal_quantile(world.streams.uniform("validation.measured", 0, most))
    value, variance = label(world.p.modalities, world.truth, world.space.difficulty, overlaps, measured, noise)
    residual = (value - predicted).astype(np.float64)
    tried, gain = [1.0], [0.0]
    for n in (n for n in CORRECTIONS if n <= most):
        head = fit_head(at_overlaps[:n], residual[:n], variance[:n].astype(np.float64))
        tried.append(float(n))
        gain.append(1.0 - _structured(wrong + head.predict(phi)[0]) / _structured(wrong))
    return {"bias_inheritance": float(slope), "bias_correction_n": math.log10(min(crossing(tried, gain, FALL), BEYOND))}


def transfer(p: Parameters, space: MaterialsSpace, seed: int) -> dict[str, float]:
    """Return the error without over the error with a family in the corpus, median over large families; NaN with one."""
    n = _corpus(p, space, 2.0)
    ratios = []
    for family in np.argsort(-space.family_sizes, kind="stable")[: min(LEFT_OUT, space.families - 1)]:
        test = np.arange(space.start[family], space.start[family + 1])[:TESTED:2]
        errors = []
        for without, outside in ((None, test), (int(family), None)):
            material = sample(space, p, seed, "train", n, without=without, outside=outside)
            learned = learn(p, space, seed, material, mixed(p, seed, n))
            errors.append(float(np.abs(learned.predict(test)[0] - space.property[test]).mean()))
        ratios.append(errors[1] / errors[0])
    return {"ood_ratio": float(np.median(ratios)) if ratios else math.nan}


def calibration(p: Parameters, space: MaterialsSpace, seed: int) -> dict[str, float]:
    """Return coverage of nominal 68 % and overconfidence of ensembles, in distribution, against labels of one fidelity.

    As on real models, an ensemble of five claims the spread of its members. What the Bayesian head of the community
    claims, with its misfit, is given beside it.
    """
    learned, test = _simulated(p, space, seed)
    noise = normal_quantile(learned.world.streams.uniform("validation.label", 0, len(test)))
    target = space.simulated[test] + p.modalities.simulated_noise * noise
    mean, spread = spread_of_ensemble(learned, test)
    own, variance, _ = learned.predict(test)
    return {
        "cov68_id": float((np.abs(mean - target) <= spread).mean()),
        "overconfidence": float(np.sqrt(((mean - target) ** 2).mean() / (spread**2).mean())),
        "cov68_head": float((np.abs(own - target) <= np.sqrt(variance)).mean()),
        "overconfidence_head": float(np.sqrt(((own - target) ** 2).mean() / variance.mean())),
    }


def learning_curves(p: Parameters, space: MaterialsSpace, seed: int) -> dict[str, float]:
    """Return exponents of the error with the corpus, in distribution and over all families alike.

    Labels and reference are simulated. Model and corpus grow together: at scale P a trainer takes P times as many
    records and root P times as many features. NaN where the space has too few materials for two
    """
    tests = {"learning_exponent": _held_out(p, space, seed), "corpus_exponent": _everywhere(space, seed)}
    sizes = [LEAST * k for k in CURVE if 2 * LEAST * k <= space.size]
    errors: dict[str, list[float]] = {name: [] for name in tests}
    for n in sizes:
        material = sample(space, p, seed, "train", n, outside=tests["learning_exponent"])
        learned = learn(p, space, seed, material, only(SIMULATION, n), scale=_scale(p, n))
        for name, test in tests.items():
            errors[name].append(float(np.abs(learned.predict(test)[0] - space.simulated[test]).mean()))
    if len(sizes) < 2:
        return dict.fromkeys(errors, math.nan)
    return {name: float(np.polyfit(np.log(sizes), np.log(e), 1)[0]) for name, e in errors.items()}


def redundancy(p: Parameters, space: MaterialsSpace, seed: int) -> dict[str, float]:
    """Return the share of a corpus that can go, at random, before the error in distribution rises by a tenth.

    The model stays the same size.
    """
    n = _corpus(p, space, 4.0)
    test = _held_out(p, space, seed)
    material, modality = sample(space, p, seed, "train", n, outside=test), mixed(p, seed, n)
    errors = []
    for share in (1.0, *KEPT):
        kept = max(2, round(share * n))
        learned = learn(p, space, seed, material[:kept], modality[:kept])
        errors.append(float(np.sqrt(np.mean((learned.predict(test)[0] - space.property[test]) ** 2))))
    risen = np.array(errors) / errors[0]
    # The share that is kept when the error passes the limit, by the logarithm between what was tried.
    kept_at = 1.0 / crossing([1.0 / share for share in (1.0, *KEPT)], risen.tolist(), LOSS)
    return {"redundancy": 1.0 - max(kept_at, KEPT[-1])}


def prevalence(p: Parameters, space: MaterialsSpace, seed: int) -> dict[str, float]:
    """Return the absolute rank correlation of error with the number of records, over constituents that materials share.

    Constituents are elements where materials have formulas, otherwise the ends of each descriptor axis: a material may
    have several, and how many records hold one says little of how many lie near.
    """
    n = _corpus(p, space, 2.0)
    test = _held_out(p, space, seed)
    material = sample(space, p, seed, "train", n, outside=test)
    learned = learn(p, space, seed, material, only(SIMULATION, n))
    error = np.abs(learned.predict(test)[0] - space.simulated[test])
    holds = constituents(space)
    count, tested = holds[material].sum(axis=0), holds[test]
    enough = (tested.sum(axis=0) >= 10) & (count > 0)
    mean = (tested * error[:, None]).sum(axis=0)[enough] / tested.sum(axis=0)[enough]
    return {"element_prevalence_weak": abs(float(spearmanr(count[enough], mean).statistic))}


def constituents(space: MaterialsSpace) -> Bool:
    """Return which constituents each material has (N, constituents)."""
    if space.names is not None:
        from mpbf_abm.data.chemistry import composition_matrix

        return np.asarray(composition_matrix(list(space.names)).toarray() > 0)
    x = space.descriptors[:, : space.dims["quantum"]]
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    return np.concatenate([x > 1.0, x < -1.0], axis=1)


def crossing(x: Sequence[float], y: Sequence[float], level: float) -> float:
    """Return where a curve first passes a level, by the logarithm of x between points; infinite if it does not."""
    for (x0, y0), (x1, y1) in pairwise(zip(x, y, strict=True)):
        if y1 >= level > y0:
            return float(math.exp(math.log(x0) + (level - y0) / (y1 - y0) * (math.log(x1) - math.log(x0))))
    return math.inf


# --------------------------------------------------------------------------- corpora and tests


def _corpus(p: Parameters, space: MaterialsSpace, times: float) -> int:
    """Records of a corpus: so many times what a trainer takes (all those at founding), at most half a space."""
    return min(round(times * (p.trainers.records or p.founding.records)), space.size // 2)


def _scale(p: Parameters, n: int) -> float:
    """Scale P of a model of n records: in proportion to what a trainer takes; 1 where it takes all."""
    return n / p.trainers.records if p.trainers.records else 1.0


def _held_out(p: Parameters, space: MaterialsSpace, seed: int) -> Int:
    """Materials to judge a model on, as the literature draws them."""
    return np.unique(sample(space, p, seed, "test", min(TESTED, space.size // 4)))


def _everywhere(space: MaterialsSpace, seed: int) -> Int:
    """Materials to judge a model on, from all families alike."""
    u = Streams(seed).uniform("validation.everywhere", 0, (space.families, max(2, TESTED // space.families)))
    return np.unique(space.start[:-1, None] + (u * space.family_sizes[:, None]).astype(np.int64))


def _simulated(p: Parameters, space: MaterialsSpace, seed: int, times: float = 1.0) -> tuple[Learned, Int]:
    """A model of simulated labels alone, so many times the usual size, and unseen materials."""
    test = _held_out(p, space, seed)
    n = _corpus(p, space, times)
    material = sample(space, p, seed, "train", n, outside=test)
    return learn(p, space, seed, material, only(SIMULATION, n), scale=_scale(p, n)), test


def _structured(wrong: Float) -> float:
    """Mean absolute error about the median error."""
    return float(np.abs(wrong - np.median(wrong)).mean())


MEASURES = (inheritance, transfer, calibration, learning_curves, redundancy, prevalence)
