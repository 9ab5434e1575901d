"""Cost of studies: of a run beside itself, use of processes, memory and reading of large stores, start-up."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from analysis.benchmarks.measuring import ROOT, Row, resident_memory, row
from mpbf_abm.processes import Pool
from mpbf_abm.studies.definition import Arm, Engine, StudyDefinition
from mpbf_abm.studies.driver import Silent, run_study
from mpbf_abm.studies.jobs import RunInput
from mpbf_abm.studies.results import Results

QUANTITIES = ("a", "b")
BURN_SECONDS = 0.05


def idle(run: RunInput) -> tuple[dict[str, float], Any]:
    """Model that does next to nothing: two outcomes and two series."""
    draws = np.random.default_rng(run.seed).normal(size=(len(run.kept), len(run.series)))
    return {"y": float(draws[0, 0]), "z": float(draws[-1, 1])}, draws.cumsum(axis=0)


def burn(_: Any = None) -> float:
    """Work for a while; returns the processor seconds it took."""
    start = time.process_time()
    while time.process_time() - start < BURN_SECONDS:
        pass
    return time.process_time() - start


def busy(run: RunInput) -> tuple[dict[str, float], Any]:
    """Model that takes its time."""
    burn()
    return idle(run)


def toy(runs: int, model: Any = idle, **fields: Any) -> StudyDefinition:
    """Study of so many runs: a baseline and three other arms."""
    arms = [Arm(label=f"arm_{i}", parameters={"x": float(i)}) for i in (1, 2, 3)]
    given = {
        "name": "toy",
        "model": model,
        "ticks": 120,
        "policies": arms,
        "replicates": {"n": runs // 4},
        "outcomes": {"y": {"better": "more"}, "z": {}},
        "series": {"of": QUANTITIES, "every": 12},
    }
    return StudyDefinition(**(given | fields))


def processor_seconds() -> float:
    """Processor time of this process and of its children that have ended."""
    t = os.times()
    return t.user + t.system + t.children_user + t.children_system


def overhead(few: int = 2_000, many: int = 12_000, rounds: int = 3) -> list[Row]:
    """Processor time of a run beside itself, storage included: cost of further runs, their own work taken off."""
    study = toy(4)
    runs = [
        RunInput({}, "baseline", (), (), seed, 0, study.ticks, QUANTITIES, study.series.ticks(study.ticks))
        for seed in range(2_000)
    ]
    start = time.process_time()
    for run in runs:
        idle(run)
    own = (time.process_time() - start) / len(runs)

    def cost(runs: int, workers: int) -> float:
        with tempfile.TemporaryDirectory() as folder:
            begun = processor_seconds()
            run_study(toy(runs), folder, workers=workers)
            return processor_seconds() - begun

    rows = [row("the idle run itself", 1e3 * own, "ms")]
    for workers, words in ((1, "in one process"), (2, "in two processes")):
        each = [1e3 * ((cost(many, workers) - cost(few, workers)) / (many - few) - own) for _ in range(rounds)]
        middle = float(np.median(each))
        rows.append(row(f"study overhead of a run, {words}", middle, "ms CPU", "<= 1", middle <= 1, rounds=each))
    return rows


class _Clock(Silent):
    """When the first and the last run of a study were over."""

    def __init__(self) -> None:
        self.over: list[float] = []

    def advance(self, *, done: int, failed: int, known: int) -> None:
        """Note the time."""
        self.over += [time.perf_counter()] * (done + failed + known)


def _span(over: list[float], skip: int) -> float:
    """Seconds from the first runs being over, when all processes are there, to the last."""
    return over[-1] - over[skip - 1]


def efficiency(runs: int = 800, workers: int = 2, rounds: int = 3) -> list[Row]:
    """Study of runs of 50 ms of processor time against the same work given to bare processes by hand."""
    skip = 4 * workers

    def bare() -> float:
        loop = f"for _ in range({runs // workers}): burn(); print(flush=True)"
        work = f"from analysis.benchmarks.studies import burn\n{loop}"
        command = [sys.executable, "-c", work]
        processes = [subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) for _ in range(workers)]  # noqa: S603 (this interpreter)
        begun, over = [], []
        for p in processes:
            assert p.stdout is not None  # noqa: S101 (it was asked for)
            p.stdout.readline()
            begun.append(time.perf_counter())
        for p in processes:
            p.communicate()
            over.append(time.perf_counter())
        return (max(over) - float(np.mean(begun))) / (runs - workers)

    def study(parts: dict[str, list[float]]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            clock, begun = _Clock(), time.perf_counter()
            run_study(toy(runs, busy), folder, workers=workers, progress=clock)
            parts["whole"].append((time.perf_counter() - begun) / runs)
            parts["running"].append(_span(clock.over, skip) / (runs - skip))

    parts: dict[str, list[float]] = {"whole": [], "running": []}
    by_hand = []
    for _ in range(rounds):
        by_hand.append(bare())
        study(parts)
    best = {name: min(by_hand) / min(values) for name, values in parts.items()}
    detail = {"by_hand": by_hand, **parts}
    return [
        row(
            f"study efficiency, {workers} processes, 50 ms runs",
            best["running"],
            "ratio",
            ">= 0.95",
            best["running"] >= 0.95,
            **detail,
        ),
        row(f"the same, start and end of {runs} runs included", best["whole"], "ratio"),
    ]


def cluster(workers: Sequence[int] = (1, 2, 4), runs: int = 240, rounds: int = 2) -> list[Row]:
    """The same study on dask workers of this machine: processor time of its runs against what the cores had to give."""
    cores, rows = os.cpu_count() or 1, []
    for count in workers:
        each = []
        for _ in range(rounds):
            # The first third goes by while workers start.
            each.append(_dask_run(toy(runs * count, busy), count, chunk_seconds=4 * BURN_SECONDS))
        used = BURN_SECONDS / (min(each) * min(count, cores))
        name = f"dask efficiency, {count} worker{'s' * (count > 1)} on {cores} cores, 50 ms runs"
        rows.append(row(name, used, "ratio", size=count, rounds=each))
    return rows


def _dask_run(study: StudyDefinition, workers: int, **engine: Any) -> float:
    """Seconds for each run of a study on a local dask cluster, its first third left out."""
    with tempfile.TemporaryDirectory() as folder:
        clock = _Clock()
        settings = Engine(kind="dask", options={"host": "127.0.0.1"}, **engine)
        run_study(study, folder, workers=workers, engine=settings, progress=clock)
    skip = len(clock.over) // 3
    return _span(clock.over, skip) / (len(clock.over) - skip)


def chunks(runs: int = 1_200, sizes: tuple[int, int, int] = (1, 10, 100), rounds: int = 3) -> list[Row]:
    """What a chunk (a) and a run (b) cost scheduler and driver of a dask study whose runs do nothing.

    The model on paper: a run in chunks of c costs ``a / c + b``. The smallest and the largest size give a and b,
    the middle one tests them.
    """
    from mpbf_abm.studies import distributed

    most, cost = distributed.MOST_TOGETHER, {}
    try:
        for size in sizes:
            distributed.MOST_TOGETHER = size
            cost[size] = min(_dask_run(toy(runs), 1, chunk_seconds=60.0) for _ in range(rounds))
    finally:
        distributed.MOST_TOGETHER = most
    few, some, many = sizes
    a = (cost[few] - cost[many]) / (1 / few - 1 / many)
    b = cost[few] - a / few
    return [
        *(row(f"dask, a run that does nothing, chunks of {c}", 1e3 * s, "ms", size=c) for c, s in cost.items()),
        row("cost of a chunk to scheduler and driver, a", 1e3 * a, "ms"),
        row("cost of a run to scheduler and driver, b", 1e3 * b, "ms"),
        row(f"chunks of {some}: a / c + b against measured", (a / some + b) / cost[some], "ratio", "about 1"),
        row("workers that one scheduler keeps busy, chunks of 1 s, runs of 1 s", 1.0 / (a + b), "workers"),
    ]


def storage(runs: int = 100_000, workers: int = 2) -> list[Row]:
    """Memory of the driver while a large study runs, the size of its store, and the time to read it."""
    memory: dict[int, float] = {}

    class Watch(Silent):
        seen = 0

        def advance(self, *, done: int, failed: int, known: int) -> None:
            self.seen += done + failed + known
            for mark in (runs // 10, runs // 2, runs):
                if self.seen >= mark and mark not in memory:
                    memory[mark] = resident_memory()

    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        run_study(toy(runs), folder, workers=workers, progress=Watch())
        rate = runs / (time.perf_counter() - start)
        size = sum(f.stat().st_size for f in Path(folder).iterdir())
        with Results.open(folder) as results:
            start = time.perf_counter()
            means = results.mean_series()
            reading = time.perf_counter() - start
    grown = memory[runs] - memory[runs // 10]
    return [
        *(row(f"driver memory at {mark} stored runs", mb, "MB") for mark, mb in memory.items()),
        row(f"growth from {runs // 10} to {runs}", grown, "MB", "<= 50", grown <= 50),
        row("stored idle runs", rate, "runs/s"),
        row("store, each run", size / runs, "bytes"),
        row(f"mean by policy and tick of {runs} runs", reading, "s", "<= 60", reading <= 60, rows=len(means)),
    ]


def start(rounds: int = 5) -> list[Row]:
    """Time to import and to show help, against a bare interpreter and one that imports NumPy."""
    ways = {
        "bare": ["-c", "pass"],
        "NumPy": ["-c", "import numpy"],
        "import mpbf_abm": ["-c", "import mpbf_abm"],
        "mpbf --help": ["-m", "mpbf_abm", "--help"],
        "mpbf study --help": ["-m", "mpbf_abm", "study", "--help"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, arguments in ways.items():
            begun = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, capture_output=True)  # noqa: S603 (this interpreter)
            seconds[name].append(time.perf_counter() - begun)
    best = {name: min(values) for name, values in seconds.items()}
    with Pool(burn, 1) as pool:
        begun = time.perf_counter()
        pool.submit([None])
        list(pool.drain())
        worker = time.perf_counter() - begun - BURN_SECONDS
    return [
        row("bare interpreter", best["bare"], "s"),
        *(row(f"{name} / bare interpreter", best[name] / best["bare"], "ratio") for name in list(ways)[1:]),
        row("start of a worker process", worker, "s"),
    ]
