"""The stylised facts: what real discovery ecosystems look like, as recorded and as public data give them.

Recorded values with ranges stand in facts.toml. They were measured on public data, or are taken from the named source.
:func:`measured` computes those again for which data are at hand (each folder below DATA as its source lays it out);
ranges stay as recorded.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from mpbf_abm.data.chemistry import element_edits
from mpbf_abm.errors import DataError, one_line, refuse
from mpbf_abm.measures.attachment import adjacency, choices, first_edits, likelihood_exponent, reuse
from mpbf_abm.stats.concentration import gini, hhi

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
        """Return whether a value lies in the range."""
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Fact:
    """A stylised fact: it is reproduced where all of its components are.

    Attributes
    ----------
    number : int
    title, layer : str
    use : str
        calibrated (defaults were chosen to meet it), reduction test (the rule in a limit case), or held out (no
        default was chosen by it).
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


RECORDED: dict[str, Any] = tomllib.loads(Path(__file__).with_name("facts.toml").read_text(encoding="utf-8"))
# What measures the components of a fact in the model, by the number of the fact.
OF_FACT: dict[int, str] = {entry["number"]: entry.pop("measure") for entry in RECORDED["facts"]}
FACTS: list[Fact] = [
    Fact(**{**entry, "components": tuple(Component(*c) for c in entry["components"])}) for entry in RECORDED["facts"]
]
COMPONENTS: dict[str, Component] = {c.id: c for f in FACTS for c in f.components}


# --------------------------------------------------------------------------- computed from public data

METAL = 0.05  # eV, below which a simulated gap is none
NON_METAL = 0.1  # eV, above which a measured gap is one
HUMAN = ("mp2018_eform", "supercon", "mpea", "ssub")  # sources chosen by people, not enumerated
LATE_YEARS = (2016, 2019)
# What a file of another make or of no rows leads to.
UNUSABLE = (OSError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError, StopIteration, DataError)


def measured(data: Path) -> dict[str, float]:
    """Return the real value of every component that the folder has data for.

    Raises
    ------
    DataError
        One line for every file that is there but cannot be used.
    """
    out: dict[str, float] = {}
    faults = []
    for folder, measure in MEASURES.items():
        if not (data / folder).is_dir():
            continue
        try:
            found = measure(data / folder)
            lost = [name for name, value in found.items() if not math.isfinite(value)]
            refuse(lost, f"holds no values for {', '.join(lost)}", DataError)
            out |= found
        except UNUSABLE as error:
            what = f"needs {error}, which is not there" if isinstance(error, KeyError) else one_line(error)
            faults.append(f"{data / folder}: {what or type(error).__name__}")
    refuse(faults, faults, DataError)
    return out


def gap_pairs(folder: Path) -> dict[str, float]:
    """Return PBE against measured gaps of non-metals."""
    table = pd.read_csv(folder / "gap_pairs.csv")
    table = table[table["gap_expt_eV"] > NON_METAL]
    simulated, true = table["pbe_median"], table["gap_expt_eV"]
    return {
        "gap_pbe_ratio": float((simulated / true).median()),
        "gap_pbe_mae": float((simulated - true).abs().mean()),
        "gap_false_metal": float((simulated < METAL).mean()),
    }


def concentration(folder: Path) -> dict[str, float]:
    """Return the top decile of chemical systems and Gini of elements, median of the databases that people chose."""
    systems = pd.read_csv(folder / "system_size_histogram.csv")
    elements = pd.read_csv(folder / "element_counts.csv")
    tops = []
    for _, part in systems[systems["source"].isin(HUMAN)].groupby("source"):
        size = np.repeat(part["entries_per_chemical_system"].to_numpy(), part["n_chemical_systems"].to_numpy())
        top = np.sort(size)[::-1][: max(1, round(0.1 * len(size)))]
        tops.append(top.sum() / size.sum())
    counts = elements[elements["source"].isin(HUMAN)].groupby("source")["n_entries_with_element"]
    return {
        "system_top10": float(np.median(tops)),
        "element_gini": float(np.median([gini(part.to_numpy()) for _, part in counts])),
    }


def alloys(folder: Path) -> dict[str, float]:
    """Return attachment, adjacency and late reuse of alloy families."""
    events = pd.read_csv(folder / "paper_system_events.csv")
    family, names = pd.factorize(events["system"])
    sets = [set(name.split("-")) for name in names]
    elements = sorted(set().union(*sets))
    edits = element_edits(np.array([[e in one for e in elements] for one in sets]))
    year = events["year"].to_numpy()
    years, share, count = reuse(year, family)
    late = (years >= LATE_YEARS[0]) & (years <= LATE_YEARS[1])
    return {
        "attachment_alpha": likelihood_exponent(choices(year, family)),
        "adjacent_possible": adjacency(first_edits(year, family, edits)),
        "reuse_share": float(np.average(share[late], weights=count[late])),
    }


def networks(folder: Path) -> dict[str, float]:
    """Return learning curve, transfer and calibration of other learners on formation energies; campaigns on pools."""
    curve = pd.read_csv(folder / "learning_curve_eform.csv")
    families = pd.read_csv(folder / "ood_leave_element_out.csv")
    campaigns = pd.read_csv(folder / "campaign_results.csv")
    greedy, explored = (campaigns[campaigns["acq"] == rule]["AF@50"].dropna() for rule in ("greedy", "maxvar"))
    return {
        "af_greedy": float(np.exp(np.log(greedy).mean())),
        "af_maxvar": float(np.exp(np.log(explored).mean())),
        "learning_exponent": float(np.polyfit(np.log(curve["n_train"]), np.log(curve["test_mae_eV_atom"]), 1)[0]),
        "ood_ratio": float(families["ratio"].median()),
        "cov68_id": float(families["ens_ID_cov68"].mean()),
        "overconfidence": float(families["ens_ID_over"].mean()),
    }


def leaderboard(folder: Path) -> dict[str, float]:
    """Return the share of models on Materials Project data, effective mixes, and error against counts of elements."""
    models = pd.read_csv(folder / "models.csv").dropna(subset=["train"])
    mixes = models["train"].value_counts().to_numpy()
    derived = models["train"].str.contains("MP")  # MPF, MP Graphs, MP 2022, MPtrj and their mixes
    lines = [
        json.loads(line) for line in (folder / "element-prevalence-vs-error.jsonl").read_text().splitlines() if line
    ]
    base, rhos = lines[0]["_base"], []
    count = np.array(next(v for k, v in base.items() if k != "elements"), np.float64)
    for line in lines[1:]:
        error = np.array([math.nan if v is None else v for v in line["y"]])
        known = np.isfinite(error) & np.isfinite(count)
        rhos.append(abs(spearmanr(count[known], error[known]).statistic))
    return {
        "corpus_monoculture": float(derived.mean()),
        "effective_mixes": 1.0 / hhi(mixes),
        "element_prevalence_weak": float(np.median(rhos)),
    }


MEASURES: dict[str, Callable[[Path], dict[str, float]]] = {
    "pbe_expt_gap_pairs": gap_pairs,
    "concentration": concentration,
    "mpea": alloys,
    "measured": networks,
    "matbench_discovery": leaderboard,
}
