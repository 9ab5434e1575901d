"""Validation: every stylised fact in the model at once, beside its real value."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from mpbf_abm.errors import did_you_mean, refuse_any
from mpbf_abm.evidence.facts import community, learners, recorded
from mpbf_abm.evidence.facts.recorded import FACTS, OF_FACT, Fact
from mpbf_abm.evidence.known.whole import POOLS, pools_of
from mpbf_abm.identity import own
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.parameters import Parameters
from mpbf_abm.processes import one_thread
from mpbf_abm.provenance import DEFAULT_SEED
from mpbf_abm.stats.estimates import mean_estimate
from mpbf_abm.studies.driver import Progress
from mpbf_abm.studies.jobs import Returned, RunInput
from mpbf_abm.studies.study import do_tasks, returned, task_of

Measure = Callable[[Parameters, MaterialsSpace, int], dict[str, float]]

REPLICATES = 20
PARAMETERS = "parameters"
# Runs of many models or generations: fewer replicates, each of which averages over many.
HEAVY = ("descent", "collapse")
HEAVY_SHARE = 0.3
MEASURES: dict[str, Measure] = {
    f.__name__: f for f in (learners.simulated_labels, community.community, *learners.MEASURES, *community.MEASURES)
}


def fact(fact: Fact, measure: Measure) -> Fact:
    """Register a fact of the user, and what measures its components in the model.

    Parameters
    ----------
    fact : Fact
    measure : callable
        ``measure(parameters, space, seed)`` gives a value for each component, by id.

    Raises
    ------
    ConfigurationError
        If there is a fact of that number, or a measure of that name.
    """
    faults = [f"fact {fact.number} is registered already"] if fact.number in OF_FACT else []
    faults += [f"measure '{measure.__name__}' is registered already"] if measure.__name__ in MEASURES else []
    refuse_any(faults)
    FACTS.append(fact)
    MEASURES[measure.__name__], OF_FACT[fact.number] = own(measure), measure.__name__
    return fact


@dataclass(frozen=True)
class Validation:
    """Facts in the model, beside their recorded values.

    Attributes
    ----------
    facts : tuple of Fact
    table : DataFrame
        One row per component: fact, component, name, unit, recorded, low, high, real (computed from data, or NaN),
        simulated, simulated_low, simulated_high (95 % interval of the mean), replicates, inside.
    values : DataFrame
        One row per replicate: measure, seed, quantity, value; components and what is reported beside them.
    """

    facts: tuple[Fact, ...]
    table: pd.DataFrame
    values: pd.DataFrame

    def reproduced(self, fact: Fact) -> bool:
        """Return whether all components of a fact lie inside their ranges."""
        return bool(self.table.loc[self.table["fact"] == fact.number, "inside"].all())

    @property
    def count(self) -> int:
        """Number of facts that are reproduced."""
        return sum(self.reproduced(fact) for fact in self.facts)


def chosen(only: Sequence[str]) -> tuple[Fact, ...]:
    """Return facts by number; all if none is named."""
    numbers = [part.strip() for text in only for part in text.split(",") if part.strip()]
    known = {str(fact.number): fact for fact in FACTS}
    among = f"facts: 1 to {len(FACTS)}"
    faults = [f"--only: unknown fact '{n}'{did_you_mean(n, known)} ({among})" for n in numbers if n not in known]
    refuse_any(faults)
    return tuple(known[n] for n in known if not numbers or n in numbers)


def tasks(facts: Sequence[Fact], seed: int, replicates: int) -> list[tuple[str, int]]:
    """Return each measure on each of its seeds, those of one seed together."""
    names = dict.fromkeys(OF_FACT[fact.number] for fact in facts)
    few = max(2, math.ceil(HEAVY_SHARE * replicates))
    return [(n, seed + i) for i in range(replicates) for n in names if n not in HEAVY or i < few]


def measure(p: Parameters, name: str, seed: int, pools: Path | None = None) -> dict[str, float]:
    """Return one measure on one seed.

    The materials of a seed serve all measures, but for campaigns where there are real pools.
    """
    with one_thread():
        if pools is not None:
            return community.real_acceleration(pools, seed)
        return MEASURES[name](p, _space(p, seed), seed)


def measured(run: RunInput) -> Returned:
    """Measure what a task says: the model of this study."""
    name, seed, *real_pools = task_of(run)
    p = Parameters(**json.loads(run.values[PARAMETERS]))
    return returned(measure(p, name, seed, Path(real_pools[0]) if real_pools else None))


@lru_cache(maxsize=2)
def _space(p: Parameters, seed: int) -> MaterialsSpace:
    return MaterialsSpace.synthetic(p, seed=seed)


def validate(
    p: Parameters,
    facts: Sequence[Fact] = tuple(FACTS),
    *,
    seed: int = DEFAULT_SEED,
    replicates: int = REPLICATES,
    data: Path | None = None,
    out: Path | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
) -> Validation:
    """Measure facts in a community with these parameters.

    Parameters
    ----------
    p : Parameters
    facts : sequence of Fact
    seed : int
        First seed; each replicate has separate materials and draws.
    replicates : int
        At least 2; measures that average over many models within a replicate take fewer.
    data : Path, optional
        Folder of real data, from which real values are computed; campaigns are run on its pools, if it has all of them.
    out : Path, optional
        Folder in which measures that are over are kept, where the same call goes on, also with more replicates.
    jobs : int
        Processes.
    progress : Progress, optional
    """
    found = recorded.measured(data) if data is not None else {}
    there = data is not None and all((data / file).is_file() for file, _, _ in POOLS.values())
    pools = pools_of(data) if data is not None and there else ()
    todo = [(n, s, *(pools if n == "acceleration" else ())) for n, s in tasks(facts, seed, replicates)]
    given = {PARAMETERS: json.dumps(p.model_dump())}
    done = do_tasks("validation", measured, todo, given, out=out, jobs=min(jobs, len(todo)), progress=progress)
    rows = [{"measure": t[0], "seed": t[1], "quantity": q, "value": v} for t in todo for q, v in done[t].items()]
    values = pd.DataFrame(rows)
    return Validation(tuple(facts), _table(facts, values, found), values)


COLUMNS = (
    *("fact", "component", "name", "unit", "recorded", "low", "high", "real"),
    *("simulated", "simulated_low", "simulated_high", "replicates", "inside"),
)


def _table(facts: Sequence[Fact], values: pd.DataFrame, found: Mapping[str, float]) -> pd.DataFrame:
    rows = []
    for number, c in ((fact.number, c) for fact in facts for c in fact.components):
        got = values.loc[values["quantity"] == c.id, "value"].to_numpy(np.float64)
        mean, real = mean_estimate(got), found.get(c.id, math.nan)
        recorded = (number, c.id, c.name, c.unit, c.value, c.low, c.high, real)
        rows.append((*recorded, mean.value, mean.low, mean.high, len(got), c.holds(mean.value)))
    return pd.DataFrame(rows, columns=COLUMNS)
