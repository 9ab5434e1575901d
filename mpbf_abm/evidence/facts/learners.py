"""The community's learners: inheritance, correction, transfer, calibration, learning curves (facts 2, 3, 6 to 9, 15).

Every function takes parameters, a space and a seed, so that the same measurement can be made on real materials.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy.stats import spearmanr

from mpbf_abm.arrays import Bool, Float, Int
from mpbf_abm.evidence.facts import corpora
from mpbf_abm.evidence.facts.corpora import Learned, learn, mixed, only, sample
from mpbf_abm.learning.heads import fit_head
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.modalities import label
from mpbf_abm.parameters import Parameters
from mpbf_abm.streams import Streams, normal_quantile

TESTED = 3_000  # materials on which a model is judged
LEAST = 250  # records of the smallest corpus of a learning curve
CURVE = (1, 2, 4, 8, 16)  # corpora of a learning curve, in smallest ones
MANY = 4.0  # scale of a model whose simulated labels are plenty
CORRECTIONS = (10, 30, 100, 300, 1_000)  # measured labels that correct a model
BEYOND = 3_000.0  # stands for more than were tried
FALL = 0.07  # fall of the structured error that counts: what 300 labels did to real gaps (.571 to .53 eV)
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
    world, measured = learned.world, only(corpora.MEASUREMENT, most)
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
    mean, spread = corpora.spread_of_ensemble(learned, test)
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
    records and root P times as many features. NaN where the space has too few materials for two corpora.
    """
    tests = {"learning_exponent": _held_out(p, space, seed), "corpus_exponent": _everywhere(space, seed)}
    sizes = [LEAST * k for k in CURVE if 2 * LEAST * k <= space.size]
    errors: dict[str, list[float]] = {name: [] for name in tests}
    for n in sizes:
        material = sample(space, p, seed, "train", n, outside=tests["learning_exponent"])
        learned = learn(p, space, seed, material, only(corpora.SIMULATION, n), scale=n / p.trainers.records)
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
    learned = learn(p, space, seed, material, only(corpora.SIMULATION, n))
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
    """Records of a corpus: so many times what a trainer takes, at most half of the space."""
    return min(round(times * p.trainers.records), space.size // 2)


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
    return learn(p, space, seed, material, only(corpora.SIMULATION, n), scale=n / p.trainers.records), test


def _structured(wrong: Float) -> float:
    """Mean absolute error about the median error."""
    return float(np.abs(wrong - np.median(wrong)).mean())


MEASURES = (inheritance, transfer, calibration, learning_curves, redundancy, prevalence)
