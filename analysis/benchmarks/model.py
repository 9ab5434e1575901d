"""Cost of the model: time against its kernel floor, scaling, memory, leaks."""

from __future__ import annotations

import gc
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from analysis.benchmarks.measuring import ROOT, SEED, Row, exponent, peak_memory, resident_memory, row, timed
from mpbf_abm import arrays
from mpbf_abm.measures.path import run_to
from mpbf_abm.model.community import Community
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.run import begin, simulate
from mpbf_abm.model.spec import DEFAULT_TICKS, RunSpec
from mpbf_abm.parameters import Parameters
from mpbf_abm.theory.ensembles import family_masses

KINDS = ("curators", "trainers", "planners")


def kernel_floor(parameters: Parameters | None = None, ticks: int = DEFAULT_TICKS, rounds: int = 7) -> list[Row]:
    """Time a run against its kernel calls replayed alone, in alternated rounds.

    The run uses a prebuilt space; generating one is a row of its own.
    """
    p = parameters or Parameters.preset("single-default")
    space = MaterialsSpace.synthetic(p, seed=SEED)

    def run() -> None:
        simulate(p, seed=SEED, ticks=ticks, space=space)

    run()
    memory = peak_memory()
    with arrays.recording() as tape:
        run()

    def replay() -> None:
        arrays.replay(tape)

    replay()
    whole, floor, generation = [], [], []
    for _ in range(rounds):
        whole.append(timed(run))
        floor.append(timed(replay))
        generation.append(timed(lambda: MaterialsSpace.synthetic(p, seed=SEED)))
    middle, best = statistics.median(whole), min(whole)
    low, made = statistics.median(floor), statistics.median(generation)
    size = (
        f"{p.space.materials} materials, {p.curators.count}/{p.trainers.count}/{p.planners.count} agents, {ticks} ticks"
    )
    ratio = best / min(floor)
    return [
        row("run", middle, "s", best=best, rounds=whole, size=size),
        row("runs on one core, space included", 1 / (middle + made), "runs/s"),
        row("kernel floor", low, "s", best=min(floor), rounds=floor, calls=len(tape)),
        row("space generation", made, "s", best=min(generation), rounds=generation),
        row("run / floor, best of rounds", ratio, "ratio", "<= 1.3", ratio <= 1.3),
        row("run / floor, median", middle / low, "ratio", "<= 1.3", middle / low <= 1.3),
        row("(run + space) / floor, median", (middle + made) / low, "ratio"),
        row("peak memory after the run", memory, "MB"),
    ]


def per_tick(parameters: Parameters, space: MaterialsSpace, ticks: int) -> float:
    """Seconds per tick, founding left out."""
    ecosystem = begin(RunSpec(parameters, SEED, space=space))
    ecosystem.step()

    def steps() -> None:
        for _ in range(ticks):
            ecosystem.step()

    return timed(steps) / ticks


def materials_scaling(
    sizes: Sequence[int] = (10_000, 100_000, 1_000_000), ticks: int = 24, rounds: int = 3
) -> list[Row]:
    """Cost per tick against the number of materials: same families, same agents, spaces prebuilt."""
    p = Parameters.preset("single-default")
    plans = [p.replace("space.materials", n) for n in sizes]
    spaces = [MaterialsSpace.synthetic(plan, seed=SEED) for plan in plans]
    costs = np.array([[per_tick(plan, s, ticks) for plan, s in zip(plans, spaces, strict=True)] for _ in range(rounds)])
    best = costs.min(axis=0)
    ratio = float(best[-1] / best[0])
    rows = [row(f"tick at {n} materials", 1e3 * c, "ms", size=n) for n, c in zip(sizes, best, strict=True)]
    return [
        *rows,
        row("tick, most / fewest materials", ratio, "ratio", "0.85 to 1.15", 0.85 <= ratio <= 1.15),
        row("exponent in materials", exponent(sizes, best), "exponent", "about 0"),
    ]


def agents_scaling(
    factors: Sequence[int] = (1, 4, 16, 69, 172), materials: int = 200_000, ticks: int = 12, rounds: int = 2
) -> list[Row]:
    """Cost per tick against the number of agents, all kinds in proportion, at constant materials."""
    plans = [crowded(f, **{"space.materials": materials}) for f in factors]
    space = MaterialsSpace.synthetic(plans[0], seed=SEED)
    totals = [agents(plan) for plan in plans]
    best = np.array([[per_tick(plan, space, ticks) for plan in plans] for _ in range(rounds)]).min(axis=0)
    slope = exponent(totals, best)
    return [
        *(row(f"tick with {n} agents", 1e3 * c, "ms", size=n) for n, c in zip(totals, best, strict=True)),
        row("exponent in agents", slope, "exponent", "<= 1", slope <= 1),
    ]


def ticks_scaling(horizons: Sequence[int] = (60, 120, 240, 480), rounds: int = 2) -> list[Row]:
    """Cost of a run against its length, founding included: to see whether a tick costs more, the more is known."""
    p = Parameters.preset("single-default").replace("planners.repeats", True)
    space = MaterialsSpace.synthetic(p, seed=SEED)

    def run(ticks: int) -> float:
        return timed(lambda: simulate(p, seed=SEED, ticks=ticks, space=space))

    costs = [min(run(n) for _ in range(rounds)) for n in horizons]
    slope = exponent(horizons, costs)
    return [
        *(row(f"run of {n} ticks", c, "s", size=n) for n, c in zip(horizons, costs, strict=True)),
        row("exponent in ticks", slope, "exponent", "about 1"),
    ]


def large(factor: int = 172, materials: int = 1_000_000, ticks: int = 120) -> list[Row]:
    """A large community in a process of its own: peak memory and time."""
    work = (
        "import json, time\n"
        "from analysis.benchmarks import model, measuring\n"
        f"p = model.crowded({factor}, **{{'space.materials': {materials}}})\n"
        f"begun = time.perf_counter(); model.simulate(p, seed=measuring.SEED, ticks={ticks})\n"
        "print(json.dumps([time.perf_counter() - begun, measuring.peak_memory()]))"
    )
    told = subprocess.run([sys.executable, "-c", work], check=True, capture_output=True, text=True, cwd=ROOT).stdout  # noqa: S603 (this interpreter)
    seconds, memory = json.loads(told.splitlines()[-1])
    size = f"{agents(crowded(factor))} agents, {materials} materials, {ticks} ticks"
    return [row(f"run of {size}", seconds, "s"), row(f"peak memory, {size}", memory, "MB", "<= 8590", memory <= 8590)]


def crowded(factor: int, **changes: Any) -> Parameters:
    """Community of `factor` times as many agents of each kind, who may repeat experiments."""
    p = Parameters.preset("single-default").replace(**{"planners.repeats": True, **changes})
    return p.replace(**{f"{k}.count": factor * getattr(p, k).count for k in KINDS})


def agents(p: Parameters) -> int:
    """Agents of a community."""
    return sum(getattr(p, k).count for k in KINDS)


def ensemble(histories: Sequence[int] = (10, 100, 1_000), ticks: int = 500, rounds: int = 3) -> list[Row]:
    """Histories of the urn advanced together against one by one, per history; the same histories."""
    p = Parameters.null(**{"curators.count": 1, "curators.records": 1, "planners.count": 0})
    space = MaterialsSpace.synthetic(p, seed=SEED)
    few = range(SEED, SEED + 5)
    alone, together = [], []

    def of(count: int) -> float:
        return timed(lambda: family_masses(p, range(count), ticks, space=space))

    for _ in range(rounds):
        alone.append(timed(lambda: [run_to(p, seed, ticks, space=space) for seed in few]) / len(few))
        together.append([of(n) for n in histories])
    same = np.array_equal([run_to(p, s, ticks, space=space) for s in few], family_masses(p, few, ticks, space=space))
    best = np.min(together, axis=0)
    ratio = float(np.median([a * histories[-1] / t[-1] for a, t in zip(alone, together, strict=True)]))
    return [
        *(
            row(f"{n} histories of the urn together, each", 1e3 * c / n, "ms", size=n)
            for n, c in zip(histories, best, strict=True)
        ),
        row("a history of the urn alone", 1e3 * min(alone), "ms"),
        row(
            f"one by one / together, {histories[-1]} histories",
            ratio,
            "ratio",
            ">= 30",
            ratio >= 30 and same,
            equal_bits=same,
        ),
        row("exponent in replicates", exponent(histories, best), "exponent", "about 1"),
    ]


def null_model(ticks: int = 2_000, rounds: int = 3) -> list[Row]:
    """Cost of a tick of the urn: one curator, one record, nothing else, nothing recorded."""
    p = Parameters.null(**{"curators.count": 1, "curators.records": 1, "planners.count": 0})
    space = MaterialsSpace.synthetic(p, seed=SEED)
    costs = [timed(lambda: simulate(p, seed=SEED, ticks=ticks, space=space, record=())) / ticks for _ in range(rounds)]
    return [row("null model, tick", 1e6 * min(costs), "microseconds", rounds=costs)]


def leaks(runs: int = 1_000, warm: int = 30) -> list[Row]:
    """Memory and live models after many runs in one process."""
    p = Parameters.preset("single-quick").replace(
        **{"space.materials": 500, "space.families": 10, "founding.records": 100}
    )

    def some(count: int) -> None:
        for seed in range(count):
            simulate(p, seed=seed, ticks=3)

    def living() -> int:
        gc.collect()
        return sum(isinstance(o, Community) for o in gc.get_objects())

    some(warm)
    already = living()
    before = resident_memory()
    some(runs)
    gc.collect()
    growth = resident_memory() - before
    alive = living() - already
    return [
        row(f"models alive after {runs} runs", alive, "models", "0", alive == 0),
        row(f"memory growth over {runs} runs", growth, "MB", "<= 20", growth <= 20),
    ]
