"""Whole-model checks: labels, workers, the regression baseline, campaigns on real pools (rows W1 to W4)."""

from __future__ import annotations

import hashlib
import json
import math
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.evidence.known.mutations import mutation
from mpbf_abm.evidence.known.rows import Check, Knob, NotRun, generator, mean_error, row
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
from mpbf_abm.studies.whatif import Plan, run_plan

Float = NDArray[np.float64]

BASELINE = Path(__file__).with_name("baseline.json")
BASELINE_RUNS: dict[str, tuple[str, int, int]] = {
    "quick, seed 1, 60 ticks": ("quick", 1, 60),
    "default, seed 2, 36 ticks": ("default", 2, 36),
    "null, seed 3, 60 ticks": ("null", 3, 60),
}
INDICATORS = (
    "records", "experiments_done", "found", "families_d1", "records_gini", "rmse", "inherited_bias", "claimed_to_actual",
    "boundary_shift", "integrity", "tradeoff", "steering", "models_d2", "funding_gini",
)  # fmt: skip
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


@row(
    "W1", "Labels are only labels", "relabelling of families and agents",
    ticks=Knob(24, "ticks", 1, 2_000, fast=10), families=Knob(12, "families", 2, 500), planners=Knob(10, "planners", 1, 1_000), materials=Knob(800, "materials", 50, 10**6),
)  # fmt: skip
def relabelling(seed: int, ticks: int, families: int, planners: int, materials: int) -> list[Check]:
    """Records and finds of a community and of the same one with other labels."""
    p = Parameters.preset("quick").updated(
        {
            "space.materials": materials, "space.families": families, "founding.records": 200, "founding.mass": 1.0,
            "planners.count": planners, "planners.experiments": 0.5, "trainers.features": 48, "trainers.records": 150,
        }
    )  # fmt: skip
    space = MaterialsSpace.synthetic(p, seed=seed)
    order = generator(seed, "W1").permutation(families)

    def run(space: MaterialsSpace, *, shuffle: bool = False) -> tuple[Float, float, Float]:
        eco = begin(RunSpec(p, seed, space=space), record=("series",))
        if shuffle:
            shuffle_planners(eco, generator(seed, "W1 planners").permutation(planners))
        for _ in range(ticks):
            eco.step()
        counts = eco.world.commons.records_by_family().astype(np.float64)
        by_slot = np.empty(planners)
        by_slot[eco.world.planners.slots] = eco.world.planners.claims
        found = eco.recorder.series[-1][1]["found"]
        return counts, found, by_slot

    plain, relabelled, shuffled = run(space), run(space.relabelled(order)), run(space, shuffle=True)
    return [
        Check("records of families that differ", 0, float(np.abs(plain[0][order] - relabelled[0]).sum())),
        Check("finds that differ", 0, abs(plain[1] - relabelled[1])),
        Check("records that differ with planners in other rows", 0, float(np.abs(plain[0] - shuffled[0]).sum())),
        Check("claims of planners that differ", 0, float(np.abs(plain[2] - shuffled[2]).max())),
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


@row(
    "W2", "One worker equals two", "determinism by keyed draws",
    replicates=Knob(4, "replicates", 2, 100, fast=2), ticks=Knob(36, "ticks", 1, 1_000, fast=8), workers=Knob(2, "processes", 2, 64),
)  # fmt: skip
def workers(seed: int, replicates: int, ticks: int, workers: int) -> list[Check]:
    """Outcomes that differ between runs in one process and in several."""
    p = Parameters.preset("quick").updated(
        {"space.materials": 2_000, "space.families": 20, "founding.records": 300, "trainers.features": 48}
    )
    plan = Plan(p, seed=seed, ticks=ticks, replicates=replicates)
    one, two = (run_plan(plan, jobs) for jobs in (1, workers))
    a, b = (e.summary.to_numpy(dtype=object) for e in (one, two))
    different = sum(
        not (x == y or (isinstance(x, float) and math.isnan(x) and math.isnan(y)))
        for x, y in zip(a.ravel(), b.ravel(), strict=True)
    )
    series = int(sum(not one.series[c].equals(two.series[c]) for c in one.series.columns))
    return [Check("outcomes that differ", 0, different), Check("columns of the series that differ", 0, series)]  # fmt: skip


# --------------------------------------------------------------------------- the regression baseline


def baseline_now() -> dict[str, Any]:
    """Key indicators of the baseline runs with this code, to six digits, and what they were computed with."""
    runs = {}
    for name, (preset, seed, ticks) in BASELINE_RUNS.items():
        p = Parameters.preset(preset)
        if preset == "null":
            p = p.updated({"space.materials": 2_000})
        summary = simulate(p, seed=seed, ticks=ticks, record=()).summary
        runs[name] = {c: None if math.isnan(summary[c]) else float(f"{summary[c]:.6g}") for c in INDICATORS}
    return {"arithmetic": arithmetic(), "runs": runs}


def arithmetic() -> dict[str, str]:
    """Versions of the numerical libraries, and a digest of what their linear algebra gives on this machine."""
    rng = np.random.Generator(np.random.Philox(1))
    x = rng.standard_normal((96, 64))
    with one_thread():
        parts = (
            x.T @ x, x.astype(np.float32) @ x.T.astype(np.float32), np.linalg.eigh(x.T @ x)[1], np.cos(x.astype(np.float32)),
        )  # fmt: skip
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()[:16]
    return {"numpy": version("numpy"), "scipy": version("scipy"), "digest": digest}


@row("W3", "Regression baseline", "mpbf_abm/evidence/known/baseline.json, renewed by python docs/renew.py")
def regression(seed: int) -> list[Check]:  # noqa: ARG001  (the seeds of the baseline are part of it)
    """Indicators that differ from those on file."""
    held = json.loads(BASELINE.read_text(encoding="utf-8"))
    other = [
        f"{name} {held['arithmetic'][name]}, here {v}"
        for name, v in arithmetic().items()
        if held["arithmetic"][name] != v
    ]
    if other:
        raise NotRun(
            f"the baseline was made with {' and '.join(other)}; bits are promised for one lock file and platform"
        )
    now = baseline_now()["runs"]
    out = []
    for name, values in held["runs"].items():
        wrong = [f"{c} {values[c]} -> {now[name].get(c)}" for c in values if values[c] != now[name].get(c)]
        out.append(Check(f"indicators that differ: {name}", 0, len(wrong), note="; ".join(wrong)))
    return out


# --------------------------------------------------------------------------- real pools


def found_data(data: Path | None, needed: str) -> Path:
    """Folder of real data, or the reason why a row cannot be run."""
    if data is None:
        raise NotRun(f"needs real data: --data DIR with {needed} (see the README's section on real data)")
    if not (data / needed).is_dir():
        raise ConfigurationError(f"--data {data}: has no folder '{needed}'")
    return data


@lru_cache(maxsize=16)
def pool_space(data: Path, name: str) -> MaterialsSpace:
    """Real pool as a materials space."""
    file, objective, goal = POOLS[name]
    return MaterialsSpace.from_pool(data / file, objective=objective, goal=goal)


def pools_of(data: Path) -> tuple[str, str]:
    """What is real about rows and measures on real pools: the folder, and a hash of all that the files hold which are there."""
    held = {file: (data / file).read_bytes() for file, _, _ in POOLS.values() if (data / file).is_file()}
    return str(data), content_hash({file: hashlib.sha256(content).hexdigest() for file, content in held.items()})


@row(
    "W4", "Campaigns on real pools", "Liang et al. 2021; Rohr et al. 2020: greedy 4.3 times (1.5 to 20), pure exploration .71 times",
    seeds=Knob(6, "campaigns on each pool", 2, 200, fast=2),
)  # fmt: skip
def real_pools(seed: int, seeds: int, data: Path | None = None) -> list[Check]:
    """Acceleration factor at half of the top set: one planner, one fidelity, no curators, five founding records."""
    folder = found_data(data, "pvlab_campaigns").resolve()
    found_data(data, "oer_plates")
    out, logs = [], []
    middle = 0.5 * (math.log10(GREEDY[0]) + math.log10(GREEDY[1]))
    for name in POOLS:
        space = pool_space(folder, name)
        factors = {
            rule: np.log10(
                [
                    by_chance(space)
                    / run_campaign(space, rule, seed + i, enough=wanted(space, 0.5)).spent(wanted(space, 0.5))
                    for i in range(seeds)
                ]
            )
            for rule in ("greedy", "maxvar")
        }
        mean, error = mean_error(factors["greedy"])
        out.append(Check(f"log10 AF@50, greedy, {name}", middle, mean, error, middle - math.log10(GREEDY[0]),
                         note=f"AF {10**mean:.2f}; tolerance: the range 1.5 to 20"))  # fmt: skip
        logs.append(factors["maxvar"].mean())
    mean, error = mean_error(logs)
    out.append(
        Check(
            "log10 AF@50, pure exploration, mean of pools",
            math.log10(0.71),
            mean,
            error,
            -math.log10(0.71),
            note=f"AF {10**mean:.2f}; tolerance: up to chance, and as far below",
        )
    )
    return out


# --------------------------------------------------------------------------- wrong rules

mutation("families keep their labels in the draws", World.family_clocks,
         lambda _: lambda self, name, cohort: self.clocks(name, cohort, self.space.families), "W1")  # fmt: skip
mutation("planners draw by row", World.uniform,
         lambda _: lambda self, name, cohort, width: self.streams.uniform(name, self.tick, (len(cohort), width)), "W1")  # fmt: skip
mutation("one process makes other replicates than several", attempt,
         lambda right: lambda work, job: right(work, job._replace(seed=job.seed + 1)), "W2")  # fmt: skip
mutation("another Gini coefficient", gini, lambda right: lambda counts: 1.001 * right(counts), "W3")
