"""What a model takes over from other data: three static measurements with the learners of the model.

python analysis/transfer.py [--preset quick] [--set space.properties=6 ...] [--seeds 6] [--part NAME ...]

Parts: `others` (another property), `same` (simulated labels of the same property), `errors` (the latter, for smaller
errors of simulation) and `labels` (what pretraining saves). A world has no agents; every arm sees the same materials,
labels and random features, and is judged by the standard deviation of its error on other materials. Numbers in brackets
are 95 % intervals over worlds. Real figures stand beside those of the model.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from mpbf_abm import MaterialsSpace, Parameters
from mpbf_abm.errors import MpbfError, refuse
from mpbf_abm.evidence.facts.learners import MEASUREMENT, SIMULATION, mixed, only, sample
from mpbf_abm.learning.encoders import Encoder
from mpbf_abm.learning.heads import Head, fit_head
from mpbf_abm.model.commons import FOUNDER, LITERATURE, record_keys
from mpbf_abm.model.founding import found_community
from mpbf_abm.model.modalities import label
from mpbf_abm.model.training import (
    Corpus,
    choose_width,
    encode,
    fit,
    head_features,
    labels,
    lacks_width,
    record_descriptors,
)
from mpbf_abm.outputs import table
from mpbf_abm.parameters import parse_assignment
from mpbf_abm.stats.estimates import mean_estimate
from mpbf_abm.streams import Streams, normal_quantile

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]
Int = NDArray[np.int64]
Errors = dict[tuple[str, int], list[float]]  # by arm and labels, one for each property or pair of properties

LABELS = (30, 100, 300, 1_000)
MORE = 3_000  # labels of the longest curve
SOURCE, PLENTY = 2_000, 5_000  # records of the other property; simulated labels of the same one
TESTED = 2_000  # materials on which a model is judged
STRUCTURES = 6_000
WEIGHTS = (0.0, 0.5, 1.0)  # of supervised pretraining
OWN_FEATURES = 64  # of simulated labels, in the arm that has such
HARMFUL = 1.02  # ratio of errors above which transfer counts as harmful
BIAS, CROSS = (1.0, 0.5, 0.1), (1.0, 0.0)  # factors on space.bias_sd and space.cross_scale
REAL_OTHERS = "0.94 to 1.06, 0.85 to 0.90, 1.10 to 1.24, 0.2 to 0.5"
REAL_SAME = {30: 0.31, 100: 0.35, 300: 0.42, 1_000: 0.61}
ALONE = {
    "planners.count": 0,
    "curators.count": 0,
    "founding.records": 0,
    "stocks.compute": 0.0,
    "infrastructure.repositories": 1,
    "infrastructure.providers": 1,
    "infrastructure.need": 1,
    "trainers.count": 1,
    "trainers.labels": "all",
    "trainers.supervised": 0.0,
    "trainers.harmonisation": 0.0,  # overlaps with records of other arms must not matter
}


@dataclass(frozen=True)
class Fitted:
    """A head and the map to its features. It may teach an encoder."""

    head: Head
    weights: Float32
    phase: Float32


class Laboratory:
    """A world without agents, in which records are entered and learners trained on some of them."""

    def __init__(self, p: Parameters, seed: int) -> None:
        refuse(p.trainers.head != "bayesian", f"trainers.head = {p.trainers.head}: only bayesian heads are measured")
        shown = bool(p.space.observed_dims) and p.trainers.corpus == "reachable"
        changes = ALONE | {"founding.structures": STRUCTURES if shown else 0, "curators.structures": 0}
        self.p, self.seed, self.batch = p, seed, 0
        self.world = found_community(p.updated(changes), Streams(seed), MaterialsSpace.synthetic(p, seed=seed))
        space = self.world.space
        self.test = np.unique(sample(space, p, seed, "test", min(TESTED, space.size // 4)))
        gauge = self.world.streams.normal("validation.gauge", 0, (len(self.test), space.view_dims))
        self.x = space.ambient_rows(self.test, gauge.astype(np.float32))

    def enter(self, name: str, number: int, modality: NDArray[np.int8]) -> Int:
        """Enter records of materials that are not tested, labelled with one property; returns their rows (n,)."""
        world, n = self.world, len(modality)
        material = sample(world.space, self.p, self.seed, name, n, outside=self.test)
        noise = normal_quantile(world.streams.uniform(f"transfer.{name}.{number}", 0, n))
        pair = world.space.pairs(number, material)
        value, variance = label(world.p.modalities, world.truth, world.space.difficulty, pair, modality, noise)
        keys = record_keys(FOUNDER, np.arange(n) >> 15, self.batch, np.arange(n) & 0x7FFF)
        labelled = {"key": keys, "material": material, "modality": modality, "value": value, "variance": variance}
        entered = {"origin": np.int8(LITERATURE), "repository": 0, "producer": -1, "tick": -1, "federated": False}
        self.batch += 1
        rows = world.commons.append(**labelled, property=np.int8(number), **entered)
        return np.arange(rows.start, rows.stop)

    def encoder(
        self,
        rows: Int,
        objective: str = "masked",
        *,
        structures: bool = False,
        teacher: Fitted | None = None,
        weight: float = 0.0,
    ) -> Encoder:
        """Train an encoder on records, on structures too, and by the slopes of a teacher to some weight."""
        world, more = self.world, np.arange(len(self.world.structures) if structures else 0)
        world.p = world.p.replace("trainers.supervised", weight)
        teachers: Any = [teacher] if weight else ()
        corpus = Corpus(rows, more, teachers)
        return encode(world, corpus, objective, self.p.trainers.latent_dims, self.p.trainers.invariance)

    def fit(
        self, encoder: Encoder, rows: Int, features: Fitted | None = None, *, own: int = 0, lineage: int = 0
    ) -> Fitted:
        """Fit a head on records: with features and width of its own, or with given ones."""
        world = self.world
        world.p = world.p.replace("trainers.bias_features", own)
        if features is None:
            world.widths.pop(lineage, None)
            if lacks_width(world, lineage):
                choose_width(world, encoder, lineage, record_descriptors(world, rows), *labels(world, rows))
            weights, phase = head_features(world, encoder, lineage, 1.0, len(rows))
        else:
            weights, phase = features.weights, features.phase
        return Fitted(cast(Head, fit(world, rows, weights, phase)), weights, phase)

    def left(self, model: Fitted, rows: Int) -> tuple[Float32, Float, Float]:
        """Features of records, what a model leaves of their labels, and their variances."""
        value, variance = labels(self.world, rows)
        phi = model.head.features(record_descriptors(self.world, rows), model.weights, model.phase)
        return phi, value - model.head.predict(phi)[0], variance

    def tuned(self, model: Fitted, rows: Int) -> Fitted:
        """Fine-tune a copy of a model's head on records, at full strength, as labs do."""
        phi, residual, variance = self.left(model, rows)
        head = replace(model.head)
        head.update(phi, residual, variance + head.noise, 1.0)
        return replace(model, head=head)

    def begun(self, model: Fitted, rows: Int) -> Fitted:
        """Fit a second head to what a model leaves: its weights are the prior mean, evidence says how firmly."""
        second = fit_head(*self.left(model, rows))
        mean, offset = model.head.mean + second.mean, model.head.offset + second.offset
        return replace(model, head=replace(second, mean=mean, offset=offset))

    def errors(self, model: Fitted, number: int) -> tuple[float, float]:
        """Root mean square and mean absolute error about their centre on the test materials."""
        phi = model.head.features(self.x, model.weights, model.phase)
        true = self.world.truth.property[self.world.space.pairs(number, self.test)]
        wrong = (model.head.predict(phi)[0] - true).astype(np.float64)
        return float(wrong.std()), float(np.abs(wrong - np.median(wrong)).mean())


# --------------------------------------------------------------------------- another property


def others(p: Parameters, seed: int) -> tuple[Errors, Errors, list[float]]:
    """Ratios of error with transfer from another property over that without, over ordered pairs of properties.

    Returns
    -------
    dict, dict
        By arm and labels: ratios of root mean square errors, and of mean absolute ones, one for each pair.
    list of float
        Absolute correlation of the two properties of each pair.
    """
    lab = Laboratory(p, seed)
    T = lab.world.space.properties
    refuse(T < 2, "space.properties = 1: transfer to another property needs two or more")
    own = [lab.enter("train", t, only(MEASUREMENT, max(LABELS))) for t in range(T)]
    again = [lab.enter("again", t, only(MEASUREMENT, max(LABELS))) for t in range(T)]
    scratch = {(t, n): lab.errors(lab.fit(lab.encoder(own[t][:n]), own[t][:n]), t) for t in range(T) for n in LABELS}
    square: Errors = defaultdict(list)
    absolute: Errors = defaultdict(list)
    related: list[float] = []

    def note(arm: str, n: int, t: int, model: Fitted) -> None:
        for ratios, error, before in zip((square, absolute), lab.errors(model, t), scratch[t, n], strict=True):
            ratios[arm, n].append(error / before)

    y = lab.world.space.by_property(lab.world.truth.property)
    kinds = mixed(p, seed, SOURCE)
    for s in range(T):
        rows = lab.enter("source", s, kinds)
        teacher = lab.fit(plain := lab.encoder(rows), rows)
        encoders = {w: lab.encoder(rows, teacher=teacher, weight=w) if w else plain for w in WEIGHTS}
        sources = {w: lab.fit(encoder, rows) for w, encoder in encoders.items()}
        for t in (t for t in range(T) if t != s):
            related.append(abs(float(np.corrcoef(y[s], y[t])[0, 1])))
            for n in LABELS:
                for w, encoder in encoders.items():
                    note(f"encoder, weight {w:g}", n, t, lab.fit(encoder, own[t][:n]))
                for w in WEIGHTS[::2]:
                    note(f"fine-tuned head, weight {w:g}", n, t, lab.tuned(sources[w], own[t][:n]))
                    note(f"head begun from its weights, weight {w:g}", n, t, lab.begun(sources[w], own[t][:n]))
        for n in LABELS:
            note(
                "no transfer: other labels, other features",
                n,
                s,
                lab.fit(lab.encoder(again[s][:n]), again[s][:n], lineage=1),
            )
    return square, absolute, related


def show_others(p: Parameters, seeds: Sequence[int]) -> str:
    """Tables of transfer to another property."""
    found = [others(p, seed) for seed in seeds]
    rows = []
    for arm, n in found[0][0]:
        each = [np.array(world[0][arm, n]) for world in found]
        mean = [np.array(world[1][arm, n]) for world in found]
        kin = [
            spearmanr(r, world[2]).statistic
            for r, world in zip(each, found, strict=True)
            if len(r) == len(world[2]) and len(set(world[2])) > 1
        ]
        rows.append(
            [
                arm,
                str(n),
                *(over([float(np.quantile(r, q)) for r in each]) for q in (0.5, 0.1, 0.9)),
                over([float((r > HARMFUL).mean()) for r in each]),
                over([float(np.median(r)) for r in mean]),
                over(kin) if kin else "",
            ]
        )
    head = ["transfer", "labels", "median", "p10", "p90", "above 1.02", "median, mean absolute", "rank r with kinship"]
    return f"Error with over error without transfer from another property (real: {REAL_OTHERS})\n" + table(head, rows)


# --------------------------------------------------------------------------- the same property, simulated


def same(p: Parameters, seed: int) -> tuple[Errors, list[float]]:
    """Ratios of error with simulated labels of the same property over that without, one for each property.

    Returns
    -------
    dict
        By arm and labels.
    list of float
        Correlation of true and simulated values, by property.
    """
    lab, agree = Laboratory(p, seed), []
    ratios: Errors = defaultdict(list)
    for t in range(lab.world.space.properties):
        plenty = lab.enter("plenty", t, only(SIMULATION, PLENTY))
        own = lab.enter("train", t, only(MEASUREMENT, max(LABELS)))
        encoder = lab.encoder(plenty)
        source = lab.fit(encoder, plenty)
        for n in LABELS:
            rows = own[:n]
            both = np.concatenate([plenty, rows])
            scratch, shared = lab.fit(lab.encoder(rows), rows), lab.fit(encoder, rows, source)
            before, same_features = lab.errors(scratch, t)[0], lab.errors(shared, t)[0]
            arms = {
                "fine-tuned": lab.tuned(source, rows),
                "one fit on both": lab.fit(encoder, both, source),
                f"one fit, {OWN_FEATURES} features of simulation": lab.fit(encoder, both, source, own=OWN_FEATURES),
                "head begun from its weights": lab.begun(source, rows),
                "not tuned at all": source,
            }
            for arm, model in arms.items():
                error = lab.errors(model, t)[0]
                ratios[arm, n].append(error / before)
                ratios[f"{arm}; without: same features", n].append(error / same_features)
        truth = lab.world.truth
        pairs = lab.world.space.pairs(t, lab.test)
        agree.append(float(np.corrcoef(truth.property[pairs], truth.simulated[pairs])[0, 1]))
    return ratios, agree


def show_same(p: Parameters, seeds: Sequence[int]) -> str:
    """Table of transfer from simulated to measured labels of the same property."""
    found = [same(p, seed) for seed in seeds]
    arms = dict.fromkeys(arm for arm, _ in found[0][0])
    rows = [
        [arm, *(over([float(np.median(ratios[arm, n])) for ratios, _ in found]) for n in LABELS)]
        for arm in sorted(arms)
    ]
    rows.append(["real", *(f"{REAL_SAME[n]:.2f}" for n in LABELS)])
    agree = over([float(np.mean(r)) for _, r in found])
    title = (
        f"Error with over error without {PLENTY:,} simulated labels; simulated and true values correlate by {agree}\n"
    )
    return title + table(["transfer", *map(str, LABELS)], rows)


def show_errors(p: Parameters, seeds: Sequence[int]) -> str:
    """Table of the same, best arm and fine-tuning, for smaller errors of simulation."""
    rows = []
    for b, c in ((b, c) for c in CROSS for b in BIAS):
        changed = p.updated({"space.bias_sd": b * p.space.bias_sd, "space.cross_scale": c * p.space.cross_scale})
        found = [same(changed, seed) for seed in seeds]
        for arm in ("fine-tuned", "one fit on both", "head begun from its weights"):
            ratio = (over([float(np.median(ratios[arm, n])) for ratios, _ in found]) for n in LABELS)
            agree = over([float(np.mean(r)) for _, r in found])
            rows.append([f"{changed.space.bias_sd:.3f}", f"{changed.space.cross_scale:.3f}", agree, arm, *ratio])
    rows.append(["", "", "", "real", *(f"{REAL_SAME[n]:.2f}" for n in LABELS)])
    return "Smaller errors of simulation\n" + table(
        ["bias_sd", "cross_scale", "r", "transfer", *map(str, LABELS)], rows
    )


# --------------------------------------------------------------------------- labels saved by pretraining


def curves(p: Parameters, seed: int) -> tuple[list[int], dict[str, Float]]:
    """Numbers of labels, and error of each arm after them: mean over properties (n,)."""
    lab = Laboratory(p, seed)
    T, n = lab.world.space.properties, p.founding.records
    corpus = lab.enter("founding", 0, mixed(p, seed, n))
    sizes = sorted({*LABELS, MORE})
    out: dict[str, Float] = defaultdict(lambda: np.zeros(len(sizes)))
    for t in range(T):
        own = lab.enter("train", t, only(MEASUREMENT, MORE))
        for i, count in enumerate(sizes):
            rows = own[:count]
            reached = np.concatenate([corpus, rows])
            arms = {
                "none": lab.encoder(rows, "none"),
                "own rows": lab.encoder(rows),
                "corpus": lab.encoder(reached),
                "corpus, structures": lab.encoder(reached, structures=True),
            }
            for arm, encoder in arms.items():
                out[arm][i] += lab.errors(lab.fit(encoder, rows), t)[0] / T
    return sizes, dict(out)


def show_labels(p: Parameters, seeds: Sequence[int]) -> str:
    """Learning curves by what pretraining saw, and the labels that it saves."""
    sizes, found = curves(p, seeds[0])[0], [curves(p, seed)[1] for seed in seeds]
    rows = [[arm, *(over(list(each)) for each in np.array([c[arm] for c in found]).T)] for arm in found[0]]
    rows += [
        [f"own rows less {arm}", *(over(list(each)) for each in np.array([c["own rows"] - c[arm] for c in found]).T)]
        for arm in ("corpus", "corpus, structures")
    ]
    out = ["Error by labels and what the encoder saw", table(["encoder", *map(str, sizes)], rows)]
    for arm in ("own rows", "corpus", "corpus, structures"):
        needed = np.array([log_labels(sizes, c["none"], c[arm][sizes.index(100)]) for c in found])
        e, most = mean_estimate(needed - np.log(100)), int((needed >= np.log(MORE)).sum())
        low, middle, high = np.exp([e.low, e.value, e.high])
        out.append(
            f"{arm}: with 100 labels as good as without pretraining with {middle:.1f} [{low:.1f}, {high:.1f}] times as "
            f"many (real: 5 or more; {most} of {len(found)} worlds need {MORE:,} or more, taken as {MORE:,})"
        )
    return "\n".join(out)


def log_labels(sizes: Sequence[int], errors: Float, level: float) -> float:
    """Logarithm of the labels with which a falling curve reaches a level of error, within those that were tried."""
    falling = np.minimum.accumulate(errors)
    return float(np.interp(level, falling[::-1], np.log(sizes)[::-1]))


def over(values: Sequence[float]) -> str:
    """Mean over worlds with its 95 % interval."""
    e = mean_estimate(values)
    return f"{e.value:.3f} [{e.low:.3f}, {e.high:.3f}]"


PARTS = {"others": show_others, "same": show_same, "errors": show_errors, "labels": show_labels}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; returns 0, or 2 for input that cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the community")
    parser.add_argument("--seeds", type=int, default=6, help="worlds")
    parser.add_argument("--part", action="append", choices=PARTS, help="what to measure (default: all)")
    asked = parser.parse_args(arguments)
    try:
        refuse(asked.seeds < 2, f"--seeds {asked.seeds}: intervals need two worlds or more")
        p = Parameters.preset(asked.preset).updated(dict(parse_assignment(text) for text in asked.set))
        for part in asked.part or PARTS:
            print(PARTS[part](p, range(1, asked.seeds + 1)), end="\n\n", flush=True)
    except MpbfError as error:
        print("\n".join(f"transfer: {line}" for line in str(error).splitlines()), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
