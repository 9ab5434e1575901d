"""The stylised facts: what real discovery ecosystems look like, as recorded values with ranges.

Recorded values were measured on public data, or are taken from the named source. :mod:`mpbf_abm.evidence.facts.public` computes those
again for which data are at hand; ranges stay as recorded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Use = Literal["calibrated", "reduction test", "held out"]
USES: tuple[Use, ...] = ("calibrated", "reduction test", "held out")


@dataclass(frozen=True)
class Component:
    """One number by which a fact is judged.

    Attributes
    ----------
    id, name, unit : str
    value, low, high : float
        Recorded real value and its range.
    """

    id: str
    name: str
    unit: str
    value: float
    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether a value lies in the range."""
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Fact:
    """A stylised fact: it is reproduced where all of its components are.

    Attributes
    ----------
    number : int
    title, layer : str
    use : str
        calibrated (defaults were chosen to meet it), reduction test (the rule in a limit case), or held out (no default was
        chosen by it).
    source : str
    components : tuple of Component
    how : str
        How it is measured in the model.
    why : str
        Why the model does not reproduce it, where it does not.
    """

    number: int
    title: str
    layer: str
    use: Use
    source: str
    components: tuple[Component, ...]
    how: str
    why: str = ""


OWN = "measured for this project"

FACTS: list[Fact] = [
    Fact(
        1,
        "simulated labels are precise and wrong",
        "DAL",
        "calibrated",
        f"{OWN}: PBE and measured band gaps of 1,162 non-metals",
        (
            Component("gap_pbe_ratio", "median ratio of simulated to measured gap", "ratio", 0.65, 0.63, 0.69),
            Component("gap_pbe_mae", "mean absolute error", "eV", 0.95, 0.87, 1.0),
            Component("gap_false_metal", "false metals", "share", 0.15, 0.14, 0.18),
        ),
        "4,000 materials as the literature draws them; the property read as a gap by its quantiles",
    ),
    Fact(
        2,
        "models of simulated labels inherit their bias",
        "DAL to RAL",
        "calibrated",
        f"{OWN}: extra-trees on 25,000 PBE gaps",
        (Component("bias_inheritance", "slope of model error on label error", "slope", 0.87, 0.8, 1.1),),
        "four times a trainer's usual corpus, simulated labels only, model at scale 4; unseen materials",
    ),
    Fact(
        3,
        "correction has a price",
        "coupling",
        "calibrated",
        f"{OWN}: delta learning on 0 to 2,300 measured gaps",
        (
            Component(
                "bias_correction_n", "measured labels that lower the structured error by 7 %", "log10", 2.477, 2.0, 3.0
            ),
        ),
        "a second head on what 10 to 1,000 measured labels leave of the first one's predictions",
    ),
    Fact(
        4,
        "human-chosen corpora are concentrated",
        "DAL",
        "calibrated",
        f"{OWN}: Materials Project, SuperCon, MPEA, measured gaps, substances",
        (
            Component("system_top10", "records in the largest tenth of families", "share", 0.48, 0.47, 0.5),
            Component(
                "element_gini", "Gini of records over families (of elements, in reality)", "index", 0.55, 0.47, 0.62
            ),
        ),
        "the commons after 120 ticks",
    ),
    Fact(
        5,
        "families attract in proportion; new ones are adjacent",
        "ISL",
        "held out",
        f"{OWN}: 465 alloy papers, 2004-2019",
        (
            Component("attachment_alpha", "attachment exponent", "exponent", 1.15, 0.8, 1.3),
            Component("adjacent_possible", "new families next to one tried before", "share", 0.84, 0.75, 0.9),
            Component("reuse_share", "late experiments in families tried before", "share", 0.63, 0.55, 0.7),
        ),
        "experiments of 120 ticks, by year; exponent on the records that families hold",
        why="a hundred families are a closed set: within a few years all have been tried, so reuse and adjacency tend to 1; "
        "the alloy example has open ones",
    ),
    Fact(
        6,
        "leaving a family out costs",
        "RAL",
        "held out",
        f"{OWN}: formation energies, eight elements held out",
        (Component("ood_ratio", "error without over with the family, median", "ratio", 1.74, 1.09, 3.06),),
        "each of the six largest families in turn, twice a trainer's usual corpus",
    ),
    Fact(
        7,
        "ensembles are overconfident",
        "ISL",
        "calibrated",
        f"{OWN}: five networks, four element families",
        (
            Component("cov68_id", "coverage of nominal 68 %", "share", 0.49, 0.41, 0.53),
            Component("overconfidence", "RMSE over claimed spread", "ratio", 1.8, 1.4, 2.3),
        ),
        "five bootstrapped learners with features of their own, in distribution, against labels of the same fidelity",
    ),
    Fact(
        8,
        "learning curves are shallow power laws",
        "RAL",
        "calibrated",
        f"{OWN}: 200 to 80,000 formation energies; Matbench Discovery",
        (
            Component("learning_exponent", "exponent of the error in distribution", "exponent", -0.21, -0.25, -0.18),
            Component(
                "corpus_exponent",
                "exponent over all families alike (leaderboard, in reality)",
                "exponent",
                -0.14,
                -0.17,
                -0.11,
            ),
        ),
        "simulated labels, 250 to 4,000, the model growing along by the rule of scale",
    ),
    Fact(
        9,
        "corpora are redundant",
        "DAL",
        "held out",
        "Li et al., Nat. Commun. 14, 7283 (2023)",
        (Component("redundancy", "share that can go before the error rises by 10 %", "share", 0.95, 0.7, 0.95),),
        "random pruning of four times a trainer's usual corpus, model of the same size",
    ),
    Fact(
        10,
        "steering accelerates, pure exploration decelerates",
        "ISL",
        "reduction test",
        f"{OWN}: nine experimental pools",
        (
            Component("af_greedy", "acceleration at half of the top set, greedy", "ratio", 4.3, 1.5, 20.8),
            Component("af_maxvar", "the same, largest variance", "ratio", 0.71, 0.35, 0.97),
        ),
        "campaigns of one planner, geometric mean over the real pools (largest variance: the five small ones), or over five families taken as pools where they are not at hand",
    ),
    Fact(
        11,
        "much leans on one infrastructure",
        "infrastructure",
        "calibrated",
        f"{OWN}: 62 models of Matbench Discovery",
        (
            Component("corpus_monoculture", "models trained on the most used corpus", "share", 0.9, 0.85, 0.97),
            Component("effective_mixes", "effective number of training mixes", "mixes", 4.2, 3.0, 6.0),
        ),
        "every model published in 120 ticks",
    ),
    Fact(
        12,
        "model reuse is heavy-tailed",
        "infrastructure",
        "reduction test",
        f"{OWN}: 12,229 descendants of 3,471 models (PeaTMOSS)",
        (
            Component("reuse_powerlaw", "exponent of descendants per base model", "exponent", 2.19, 2.0, 2.6),
            Component("download_top1pct", "use of the most used hundredth of models", "share", 0.9, 0.8, 0.95),
        ),
        "600 trainers who publish one after the other, then 600 planners who adopt",
        why="planners weigh track records and take each model for as good as one more adopter, which keeps use far more even "
        "than downloads are",
    ),
    Fact(
        13,
        "refitting to one's own output collapses",
        "coupling",
        "reduction test",
        f"{OWN}: recursive Gaussian refits",
        (
            Component("collapse_rate", "loss of log variance per generation, times labels", "nats", -1.04, -1.2, -0.8),
            Component("collapse_stop", "fresh share that stops nine tenths of it", "share", 0.05, 0.02, 0.1),
        ),
        "40 generations of 20 labels drawn from the last model, a share of them fresh",
    ),
    Fact(
        14,
        "individual gain, collective contraction",
        "community",
        "held out",
        "Hao et al., Nature (2026); ranges are ours",
        (
            Component("individual_gain", "published discoveries, steered over unsteered", "ratio", 3.02, 1.0, 6.04),
            Component("ai_narrowing", "change of the extent of topics", "share", -0.0463, -0.25, 0.0),
        ),
        "a community and its unsteered twin on the same draws, 120 ticks",
    ),
    Fact(
        15,
        "counts of elements do not predict error",
        "RAL",
        "held out",
        f"{OWN}: 50 models of Matbench Discovery",
        (
            Component(
                "element_prevalence_weak",
                "absolute rank correlation of error and records",
                "correlation",
                0.1,
                0.0,
                0.27,
            ),
        ),
        "over the ends of every descriptor axis, which materials share as they share elements",
    ),
]
COMPONENTS: dict[str, Component] = {c.id: c for f in FACTS for c in f.components}
