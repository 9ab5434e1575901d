"""What the model costs: time against its kernel floor, scaling, memory, leaks.

Absolute times belong to a machine and an hour; ratios are taken between things that were
measured in turn, in one process. Each measurement is a function that returns rows.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from mpbf_abm import kernels
from mpbf_abm.ecosystem import Ecosystem
from mpbf_abm.errors import OutputError
from mpbf_abm.parameters import Parameters
from mpbf_abm.provenance import environment, fingerprint, version
from mpbf_abm.simulation import DEFAULT_TICKS, simulate
from mpbf_abm.space.materials import MaterialsSpace

Row = dict[str, Any]
SEED = 1


def row(name: str, value: float, unit: str, target: str = "", met: bool | None = None, **detail: Any) -> Row:
    """One line of the results."""
    return {"name": name, "value": value, "unit": unit, "target": target, "met": met, **detail}


def timed(act: Callable[[], Any]) -> float:
    """Seconds that one call takes, the collector of garbage held back."""
    gc.collect()
    gc.disable()
    try:
        start = time.perf_counter()
        act()
        return time.perf_counter() - start
    finally:
        gc.enable()


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Slope of log cost on log size: 0 is independent, 1 is linear."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def peak_memory() -> float:
    """Highest resident memory of this process so far, in MB (NaN where it cannot be had)."""
    try:
        import resource
    except ImportError:  # pragma: no cover - Windows
        return float("nan")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def resident_memory() -> float:
    """Resident memory of this process now, in MB; the peak where only that can be had."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:  # pragma: no cover - not Linux
        return peak_memory()
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


# --------------------------------------------------------------------------- measurements


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


BENCHES: dict[str, Callable[[bool], list[Row]]] = {
    "floor": lambda quick: kernel_floor(rounds=3 if quick else 7),
    "null": lambda quick: null_model(500 if quick else 2_000),
    "leaks": lambda quick: leaks(100 if quick else 1_000),
    "agents": lambda quick: agents_scaling((1, 4, 16), 50_000, 8) if quick else agents_scaling(),
    "materials": lambda quick: materials_scaling((10_000, 100_000), 12) if quick else materials_scaling(),
}


# --------------------------------------------------------------------------- all of them


def run_all(
    *, quick: bool = False, only: Sequence[str] | None = None, progress: Callable[[], None] | None = None
) -> dict[str, Any]:
    """Run the measurements with one BLAS thread.

    Parameters
    ----------
    quick : bool
        Smaller sizes.
    only : sequence of str, optional
        Names in :data:`BENCHES`.
    progress : callable, optional
        Called after each.

    Returns
    -------
    dict
        ``rows`` and the ``environment`` they were measured in.
    """
    rows: list[Row] = []
    with threadpool_limits(1):
        for name, measure in BENCHES.items():
            if only is None or name in only:
                rows += [{"bench": name, **r} for r in measure(quick)]
            if progress is not None:
                progress()
        blas = sorted({f"{lib['internal_api']} {lib.get('version')}" for lib in threadpool_info()})
    rows.append({"bench": "all", **row("peak memory of the whole bench", peak_memory(), "MB")})
    load = list(os.getloadavg()) if hasattr(os, "getloadavg") else None
    return {
        "software": {"version": version(), "fingerprint": fingerprint()},
        "environment": environment() | {"processor": platform.processor(), "cores": os.cpu_count(), "threads": 1, "blas": blas, "load": load},
        "quick": quick,
        "rows": rows,
    }  # fmt: skip


def as_table(result: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the results as text."""
    verdict = {True: "yes", False: "NO", None: ""}
    cells = [[r["name"], f"{r['value']:.4g}", r["unit"], r["target"], verdict[r["met"]]] for r in result["rows"]]
    return ["measurement", "value", "unit", "target", "met"], cells


def check_writable(path: Path) -> None:
    """Raise if a file cannot be put there, before anything is measured."""
    if path.is_dir():
        raise OutputError(f"{path}: is a folder, not a file")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from None


def write(result: dict[str, Any], path: Path) -> None:
    """Write the results as JSON, whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8", newline="\n")
    part.replace(path)
