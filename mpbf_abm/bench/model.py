"""Cost of the model: time against its kernel floor, scaling, memory, leaks."""

from __future__ import annotations

import gc
import statistics
from collections.abc import Sequence

import numpy as np

from mpbf_abm import kernels
from mpbf_abm.bench.measuring import SEED, Row, exponent, peak_memory, resident_memory, row, timed
from mpbf_abm.ecosystem import Ecosystem
from mpbf_abm.parameters import Parameters
from mpbf_abm.simulation import DEFAULT_TICKS, simulate
from mpbf_abm.space.materials import MaterialsSpace


def kernel_floor(parameters: Parameters | None = None, ticks: int = DEFAULT_TICKS, rounds: int = 7) -> list[Row]:
    """Time a run against its kernel calls replayed alone, in alternated rounds.

    The run uses a prebuilt space; generating one is a row of its own.
    """
    p = parameters or Parameters()
    space = MaterialsSpace.synthetic(p, seed=SEED)

    def run() -> None:
        simulate(p, seed=SEED, ticks=ticks, space=space)

    run()
    memory = peak_memory()
    with kernels.recording() as tape:
        run()

    def replay() -> None:
        kernels.replay(tape)

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
        row("run", middle, "s", "about 0.5", best=best, rounds=whole, size=size),
        row("kernel floor", low, "s", best=min(floor), rounds=floor, calls=len(tape)),
        row("space generation", made, "s", best=min(generation), rounds=generation),
        row("run / floor, best of rounds", ratio, "ratio", "<= 2", ratio <= 2),
        row("run / floor, median", middle / low, "ratio", "<= 2", middle / low <= 2),
        row("(run + space) / floor, median", (middle + made) / low, "ratio"),
        row("peak memory after the run", memory, "MB"),
    ]


def per_tick(parameters: Parameters, space: MaterialsSpace, ticks: int) -> float:
    """Seconds per tick, founding left out."""
    ecosystem = Ecosystem(parameters, SEED, space=space)
    try:
        ecosystem.step()

        def steps() -> None:
            for _ in range(ticks):
                ecosystem.step()

        return timed(steps) / ticks
    finally:
        ecosystem.release()


def materials_scaling(
    sizes: Sequence[int] = (10_000, 100_000, 1_000_000), ticks: int = 24, rounds: int = 3
) -> list[Row]:
    """Cost per tick against the number of materials: same families, same agents, spaces prebuilt."""
    p = Parameters()
    plans = [p.replace("space.materials", n) for n in sizes]
    spaces = [MaterialsSpace.synthetic(plan, seed=SEED) for plan in plans]
    costs = np.array([[per_tick(plan, s, ticks) for plan, s in zip(plans, spaces, strict=True)] for _ in range(rounds)])
    best = costs.min(axis=0)
    ratio = float(best[-1] / best[0])
    rows = [row(f"tick at {n} materials", 1e3 * c, "ms") for n, c in zip(sizes, best, strict=True)]
    return [
        *rows,
        row("tick, most / fewest materials", ratio, "ratio", "0.75 to 1.25", 0.75 <= ratio <= 1.25),
        row("exponent in materials", exponent(sizes, best), "exponent", "about 0"),
    ]


def agents_scaling(
    factors: Sequence[int] = (1, 4, 16, 69), materials: int = 200_000, ticks: int = 12, rounds: int = 2
) -> list[Row]:
    """Cost per tick against the number of agents, all kinds in proportion, at constant materials."""
    p = Parameters().replace(**{"space.materials": materials, "planners.repeats": True})
    space = MaterialsSpace.synthetic(p, seed=SEED)
    kinds = ("curators", "trainers", "planners")
    plans = [p.replace(**{f"{k}.count": f * getattr(p, k).count for k in kinds}) for f in factors]
    totals = [sum(getattr(plan, k).count for k in kinds) for plan in plans]
    best = np.array([[per_tick(plan, space, ticks) for plan in plans] for _ in range(rounds)]).min(axis=0)
    slope = exponent(totals, best)
    return [
        *(row(f"tick with {n} agents", 1e3 * c, "ms") for n, c in zip(totals, best, strict=True)),
        row("exponent in agents", slope, "exponent", "<= 1", slope <= 1),
    ]


def null_model(ticks: int = 2_000, rounds: int = 3) -> list[Row]:
    """Cost of a tick of the urn: one curator, one record, nothing else, nothing recorded."""
    p = Parameters.null(**{"curators.count": 1, "curators.records": 1, "planners.count": 0})
    space = MaterialsSpace.synthetic(p, seed=SEED)
    costs = [timed(lambda: simulate(p, seed=SEED, ticks=ticks, space=space, record=())) / ticks for _ in range(rounds)]
    return [row("null model, tick", 1e6 * min(costs), "microseconds", rounds=costs)]


def leaks(runs: int = 1_000, warm: int = 30) -> list[Row]:
    """Memory and live models after many runs in one process."""
    p = Parameters.preset("quick").replace(**{"space.materials": 500, "space.families": 10, "founding.records": 100})

    def some(count: int) -> None:
        for seed in range(count):
            simulate(p, seed=seed, ticks=3)

    def living() -> int:
        gc.collect()
        return sum(isinstance(o, Ecosystem) for o in gc.get_objects())

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
