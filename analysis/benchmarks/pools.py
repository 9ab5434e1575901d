"""Campaigns on pools: the fixed kernel against a plain Gaussian process with a growing Cholesky factor."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.benchmarks import incremental
from analysis.benchmarks.measuring import SEED, Row, row
from mpbf_abm.data.synthetic import random_field
from mpbf_abm.evidence.known.rows import mean_error
from mpbf_abm.evidence.known.whole import POOLS
from mpbf_abm.measures.acceleration import by_chance, wanted
from mpbf_abm.model.campaign import run_campaign
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.streams import Streams

RULES = ("greedy", "ucb")
KAPPA = 2.0
SHARE = 0.5  # of the top set
MOST = 300  # experiments; half of the top set comes before


def missing(data: Path) -> list[str]:
    """Faults of a folder that lacks pools."""
    return [f"--data {data}: has no file {file}" for file, _, _ in POOLS.values() if not (data / file).is_file()]


def real(data: Path, seeds: int) -> list[Row]:
    """AF@50 and seconds on every real pool, ours and the plain process's, on the same starts."""
    rows = []
    for name, space in pools(data).items():
        for rule in RULES:
            rows += compared(space, rule, seeds, min(space.size, MOST), f"{name}, {rule}")
    return rows


def pools(data: Path) -> dict[str, MaterialsSpace]:
    """Every real pool of a folder, by name."""
    return {
        name: MaterialsSpace.from_pool(data / file, objective=objective, goal="min" if goal == "min" else "max")
        for name, (file, objective, goal) in POOLS.items()
    }


def synthetic(size: int, budget: int, rounds: int = 5) -> list[Row]:
    """Seconds of a campaign on a synthetic pool of six columns, ours and the plain process's."""
    return compared(synthetic_pool(size), "ucb", rounds, budget, f"pool of {size}, {budget} experiments")[-2:]


def synthetic_pool(size: int) -> MaterialsSpace:
    """Pool of random settings in six columns."""
    x = np.random.Generator(np.random.Philox(SEED)).random((size, 6))
    frame = pd.DataFrame(x, columns=list("abcdef")).assign(goal=np.sin(5 * x[:, 0]) + x[:, 1] * x[:, 2])
    return MaterialsSpace.from_pool(frame, objective="goal")


LENGTHS = {
    "2 of 6": (0.3, 0.3, *4 * (np.inf,)),
    "3 of 8": (0.3, 0.6, 1.2, *5 * (np.inf,)),
    "graded": (0.3, 0.6, 1.2, 2.4),
}


def unequal_pools(size: int) -> dict[str, MaterialsSpace]:
    """Pools of random settings on which a smooth random function has lengths by column, by name."""
    made = {}
    for name, lengths in LENGTHS.items():
        x = np.random.Generator(np.random.Philox(SEED)).random((size, len(lengths)))
        goal = random_field(Streams(SEED), name, (x / lengths).astype(np.float32), 1.0)
        frame = pd.DataFrame(x, columns=[f"c{j}" for j in range(len(lengths))])
        made[f"{name} columns"] = MaterialsSpace.from_pool(frame.assign(goal=goal), objective="goal")
    return made


def compared(space: MaterialsSpace, rule: str, seeds: int, budget: int, label: str) -> list[Row]:
    """Compare campaigns with the plain process's: factors, their ratio with its standard error, seconds."""
    x, y, enough = space.descriptors.astype(np.float64), space.property.astype(np.float64), wanted(space, SHARE)
    spent, plain, ours, theirs, same = [], [], [], [], 0
    for seed in range(seeds):
        made = run_campaign(space, rule, seed, budget=budget, kappa=KAPPA, kernel="fixed")
        start = time.process_time()
        rows = incremental.campaign(x, y, made.materials[: made.founding].tolist(), budget, rule, KAPPA)
        theirs.append(time.process_time() - start)
        ours.append(made.cpu_seconds)
        same += rows == made.materials.tolist()
        hits = np.flatnonzero(np.cumsum(space.top[rows]) >= enough)
        spent.append(made.spent(enough))
        plain.append(hits[0] + 1.0 if len(hits) else np.inf)
    chance = by_chance(space, SHARE)
    # A campaign that did not get there leaves no factor.
    mean, error, reference, gap = np.nan, np.nan, np.nan, np.nan
    if np.isfinite([spent, plain]).all():
        (mean, error), reference = mean_error(spent), float(np.mean(plain))
        gap = mean_error(np.array(spent) - np.array(plain))[1]
    cost, bar = statistics.median(ours), statistics.median(theirs)
    return [
        row(f"AF@50, {label}", chance / mean, "ratio", "> 1", chance > mean, error=chance * error / mean**2),
        row(
            f"AF@50 / plain process, {label}",
            reference / mean,
            "ratio",
            "1 within noise",
            mean - reference <= 2 * gap,
            error=gap / mean,
            plain=chance / reference,
            alike=same,
            seeds=seeds,
        ),
        row(f"campaign, {label}", 1e3 * cost, "CPU ms", plain=1e3 * bar),
        row(f"campaign / plain process, {label}", cost / bar, "ratio", "<= 1", cost <= bar),
    ]
