"""Whole-model checks: labels, workers, the regression baseline, campaigns on real pools (rows W1 to W4)."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpbf_abm.arrays import Float
from mpbf_abm.errors import refuse
from mpbf_abm.evidence.known.rows import Check, NotRun, generator, grouped, mean_error, mutation, parameter, row
from mpbf_abm.measures.acceleration import by_chance, wanted
from mpbf_abm.model.campaign import run_campaign
from mpbf_abm.model.community import Community
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.run import begin, simulate
from mpbf_abm.model.spec import RunSpec
from mpbf_abm.model.world import World
from mpbf_abm.parameters import Parameters
from mpbf_abm.processes import attempt, one_thread
from mpbf_abm.provenance import content_hash
from mpbf_abm.stats.concentration import gini
from mpbf_abm.studies.whatif import WhatIf, run_plan

# Sources of rows.
GREEDY_AND_EXPLORING = "Liang et al. 2021; Rohr et al. 2020: greedy 4.3 times (1.5 to 20), pure exploration 0.71 times"

BASELINE = Path(__file__).with_name("baseline.json")
BASELINE_RUNS = (("single-quick", 1, 60), ("single-default", 2, 36), ("null", 3, 60))  # preset, seed, ticks
# Real pools: file, objective, goal (below the folder of real data).
POOLS: dict[str, tuple[str, str, str]] = {
    "P3HT": ("pvlab_campaigns/P3HT_dataset.csv", "Conductivity (measured) (S/cm)", "max"),
    "Perovskite": ("pvlab_campaigns/Perovskite_dataset.csv", "Instability index", "min"),
    "crossed barrel": ("pvlab_campaigns/Crossed_barrel_dataset.csv", "toughness", "max"),
    "AgNP": ("pvlab_campaigns/AgNP_dataset.csv", "loss", "min"),
    "AutoAM": ("pvlab_campaigns/AutoAM_dataset.csv", "Score", "max"),
    "OER 3496": ("oer_plates/oer_plate_3496.csv", "overpotential_V", "min"),
    "OER 3860": ("oer_plates/oer_plate_3860.csv", "overpotential_V", "min"),
}
GREEDY = (1.5, 20.0)  # range of acceleration factors on these pools by other learners


@row("W1", "Labels are only labels", "relabelling of families and agents")
def relabelling(
    seed: int,
    ticks: int = parameter(24, "ticks", 1, 2_000, fast=10),
    families: int = parameter(12, "families", 2, 500),
    planners: int = parameter(10, "planners", 1, 1_000),
    materials: int = parameter(800, "materials", 50, 10**6),
) -> list[Check]:
    """Records and discoveries of a community and of the same one with other labels."""
    changes = grouped(
        space={"materials": materials, "families": families},
        founding={"records": 200, "mass": 1.0},
        planners={"count": planners, "experiments": 0.5},
        trainers={"features": 48, "records": 150},
    )
    p = Parameters.preset("single-quick").updated(changes)
    space = MaterialsSpace.synthetic(p, seed=seed)
    order = generator(seed, "W1").permutation(families)

    def run(space: MaterialsSpace, *, shuffle: bool = False) -> tuple[Float, float, Float]:
        eco = begin(RunSpec(p, seed, space=space), record=("series",))
        if shuffle:
            shuffle_planners(eco, generator(seed, "W1 planners").permutation(planners))
        for _ in range(ticks):
            eco.step()
        by_slot = np.empty(planners)
        by_slot[eco.world.planners.slots] = eco.world.planners.claims
        return eco.world.commons.records_by_family().astype(np.float64), eco.recorder.series[-1][1]["found"], by_slot

    records, found, claims = run(space)
    relabelled, shuffled = run(space.relabelled(order)), run(space, shuffle=True)
    return [
        Check("records of families that differ", 0, float(np.abs(records[order] - relabelled[0]).sum())),
        Check("discoveries that differ", 0, abs(found - relabelled[1])),
        Check("records that differ with planners in other rows", 0, float(np.abs(records - shuffled[0]).sum())),
        Check("claims of planners that differ", 0, float(np.abs(claims - shuffled[2]).max())),
    ]


def shuffle_planners(eco: Community, order: NDArray[np.int64]) -> None:
    """Put the planners of a community that has not run yet into other rows; each keeps its slot."""
    world = eco.world
    world.planners.slots = world.planners.slots[order]
    for name, column in world.planners.columns.items():
        world.planners.columns[name] = column[order]
    world.collaborators = np.argsort(order)[world.collaborators[order]]
    world.infrastructure.lab_models = world.infrastructure.lab_models[order]
    world.infrastructure.lab_repository = world.infrastructure.lab_repository[order]


@row("W2", "One worker equals two", "determinism by keyed draws")
def workers(
    seed: int,
    replicates: int = parameter(4, "replicates", 2, 100, fast=2),
    ticks: int = parameter(36, "ticks", 1, 1_000, fast=8),
    workers: int = parameter(2, "processes", 2, 64),
) -> Iterator[Check]:
    """Outcomes that differ between runs in one process and in several."""
    changes = {"space.materials": 2_000, "space.families": 20, "founding.records": 300, "trainers.features": 48}
    plan = WhatIf(Parameters.preset("single-quick").updated(changes), seed=seed, ticks=ticks, replicates=replicates)
    one, two = (run_plan(plan, jobs) for jobs in (1, workers))
    a, b = (e.summary.to_numpy(dtype=object) for e in (one, two))
    different = int((~((a == b) | (pd.isna(a) & pd.isna(b)))).sum())
    series = int(sum(not one.series[c].equals(two.series[c]) for c in one.series.columns))
    yield Check("outcomes that differ", 0, different)
    yield Check("columns of the series that differ", 0, series)


# --------------------------------------------------------------------------- the regression baseline


def held_baseline() -> dict[str, Any]:
    """Return the baseline on file."""
    return dict(json.loads(BASELINE.read_text(encoding="utf-8")))


def baseline_now() -> dict[str, Any]:
    """Return the indicators on file with this code, to six digits, and what they were computed with."""
    runs = {}
    for (preset, seed, ticks), (name, held) in zip(BASELINE_RUNS, held_baseline()["runs"].items(), strict=True):
        p = Parameters.preset(preset)
        if preset == "null":
            p = p.updated({"space.materials": 2_000})
        summary = simulate(p, seed=seed, ticks=ticks, record=()).summary
        runs[name] = {c: None if math.isnan(summary[c]) else float(f"{summary[c]:.6g}") for c in held}
    return {"arithmetic": arithmetic(), "runs": runs}


def arithmetic() -> dict[str, str]:
    """Return the versions of the numerical libraries, and a digest of their linear algebra on this machine."""
    x = np.random.Generator(np.random.Philox(1)).standard_normal((96, 64))
    y = x.astype(np.float32)
    with one_thread():
        # A product of y and y.T would go another way in BLAS, as x.T @ x does.
        parts = (x.T @ x, y @ x.T.astype(np.float32), np.linalg.eigh(x.T @ x)[1], np.cos(y))
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()[:16]
    return {"numpy": version("numpy"), "scipy": version("scipy"), "digest": digest}


@row("W3", "Regression baseline", "mpbf_abm/evidence/known/baseline.json, renewed by python docs/renew.py")
def regression(seed: int) -> Iterator[Check]:  # noqa: ARG001  (the seeds of the baseline are part of it)
    """Indicators that differ from those on file."""
    held, here = held_baseline(), arithmetic()
    other = [f"{name} {v}, here {here[name]}" for name, v in held["arithmetic"].items() if here[name] != v]
    if other:
        raise NotRun(
            f"the baseline was made with {' and '.join(other)}; bits are promised for one lock file and platform"
        )
    now = baseline_now()["runs"]
    for name, values in held["runs"].items():
        wrong = [f"{c} {v} -> {now[name][c]}" for c, v in values.items() if v != now[name][c]]
        yield Check(f"indicators that differ: {name}", 0, len(wrong), note="; ".join(wrong))


# --------------------------------------------------------------------------- real pools


def found_data(data: Path | None, needed: str) -> Path:
    """Folder of real data, or the reason why a row cannot be run."""
    if data is None:
        raise NotRun(f"needs real data: --data DIR with {needed} (see the README's section on real data)")
    refuse(not (data / needed).is_dir(), f"--data {data}: has no folder '{needed}'")
    return data


@lru_cache(maxsize=16)
def pool_space(data: Path, name: str) -> MaterialsSpace:
    """Real pool as a materials space."""
    file, objective, goal = POOLS[name]
    return MaterialsSpace.from_pool(data / file, objective=objective, goal=goal)


def pools_of(data: Path) -> tuple[str, str]:
    """Return what is real about rows and measures on real pools: the folder, and a hash of the files that are there."""
    held = {file: (data / file).read_bytes() for file, _, _ in POOLS.values() if (data / file).is_file()}
    return str(data), content_hash({file: hashlib.sha256(content).hexdigest() for file, content in held.items()})


def _log_factors(folder: Path, keys: Sequence[int], name: str, rule: str) -> Float:
    """Return log10 of the acceleration factor of a rule at half of a pool's top set, one for each key."""
    space = pool_space(folder, name)
    enough = wanted(space, 0.5)
    spent = [run_campaign(space, rule, key, enough=enough, kernel="fixed").spent(enough) for key in keys]
    return np.log10([by_chance(space) / n for n in spent])


@row("W4", "Campaigns on real pools", GREEDY_AND_EXPLORING)
def real_pools(
    seed: int, seeds: int = parameter(6, "campaigns on each pool", 2, 200, fast=2), data: Path | None = None
) -> Iterator[Check]:
    """Acceleration factor at half of the top set: one planner, one fidelity, no curators, five founding records."""
    folder = found_data(data, "pvlab_campaigns").resolve()
    found_data(data, "oer_plates")
    middle = 0.5 * (math.log10(GREEDY[0]) + math.log10(GREEDY[1]))

    factors = partial(_log_factors, folder, range(seed, seed + seeds))
    for name in POOLS:
        mean, error = mean_error(factors(name, "greedy"))
        note = f"AF {10**mean:.2f}; tolerance: the range 1.5 to 20"
        yield Check(f"log10 AF@50, greedy, {name}", middle, mean, error, middle - math.log10(GREEDY[0]), note=note)
    mean, error = mean_error([factors(name, "maxvar").mean() for name in POOLS])
    name, note = "log10 AF@50, pure exploration, mean of pools", "tolerance: up to chance, and as far below"
    yield Check(name, math.log10(0.71), mean, error, -math.log10(0.71), note=f"AF {10**mean:.2f}; {note}")


# --------------------------------------------------------------------------- injected faults

mutation("families keep their labels in the draws", World.family_clocks, "W1")(
    lambda _, self, name, cohort: self.clocks(name, cohort, self.space.families)
)
mutation("planners draw by row", World.uniform, "W1")(
    lambda _, self, name, cohort, width: self.streams.uniform(name, self.tick, (len(cohort), width))
)
mutation("one process makes other replicates than several", attempt, "W2")(
    lambda right, work, job: right(work, job._replace(seed=job.seed + 1))
)
mutation("another Gini coefficient", gini, "W3")(lambda right, counts: 1.001 * right(counts))
