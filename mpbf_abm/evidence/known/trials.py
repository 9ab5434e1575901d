"""What failed trials teach (row M10)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mpbf_abm.arrays import Float
from mpbf_abm.evidence.known.rows import (
    RUNS,
    Check,
    generator,
    grouped,
    mean_error,
    mutation,
    parameter,
    row,
    seeds,
    share_error,
)
from mpbf_abm.learning.feasibility import by_chance, fit_feasibility
from mpbf_abm.measures.path import run_to
from mpbf_abm.parameters import Parameters

BAYES, MARGIN = 0.442, 0.5005  # errors times trials over columns: least possible, and of the largest margin
TRIALS = "generalisation of perceptrons (Opper and Kinzel 1996), and counting"
# Everything fails or not by a smooth field, and results are published by chance alone.
TRYING = grouped(
    space={"materials": 600, "families": 1, "quantum_dims": 4, "feasible": 0.5, "feasible_scatter": 0.0},
    founding={"records": 40},
    curators={"count": 0},
    trainers={"count": 1, "features": 48, "retrain_interval": 4, "panel": 16},
    planners={"count": 20, "experiments": 1.0, "publication_threshold": 5.0, "feasibility_weight": 8.0},
)


@row("M10", "Failures that teach", TRIALS)
def failures_teach(
    seed: int,
    columns: int = parameter(40, "columns of the head", 20, 200),
    fits: int = parameter(200, "fits of the head", 10, 10**5, fast=30),
    runs: int = parameter(200, RUNS, 5, 10**5, fast=40),
) -> Iterator[Check]:
    """A head on noiseless labels, the choice with perfect knowledge, and communities with and without failures."""
    for α in (10, 20):
        rng = generator(seed, f"M10 {α}")
        wrong, error = mean_error([α * misjudged(rng, columns, α * columns) for _ in range(fits)])
        note = "tolerance: from the best possible to the largest margin, and .03 for the size"
        middle, half = (BAYES + MARGIN) / 2, (MARGIN - BAYES) / 2 + 0.03
        yield Check(f"errors times trials a column, {α} trials a column", middle, wrong, error, half, note=note)
    b, C, sets = 0.4, 3, 40_000
    rng = generator(seed, "M10 choice")
    made = rng.random((sets, C)) >= b
    pick = by_chance(rng.standard_normal((sets, C)).astype(np.float32), made.astype(float), 1.0).argmax(axis=1)
    expected = b**C + (1 - b) * b ** (C - 1) * (C - 1) / C
    name, note = "failed share with perfect knowledge", "none can be made, or the least alone, which counts no more"
    yield Check(name, expected, *share_error(float((~made[np.arange(sets), pick]).sum()), sets), note=note)
    silent, told = (failed_share(seed, runs, bias) for bias in (1.0, 0.0))
    yield Check("failed share, no failure published", 0.5, *mean_error(silent))
    gap, error = mean_error(told - silent)
    yield Check("failed share, failures published less that", 0.0, gap, error, relation="<")


def misjudged(rng: np.random.Generator, columns: int, trials: int) -> float:
    """Return the share of judgements that are wrong after noiseless trials of which a hyperplane decides."""
    x, plane = rng.standard_normal((trials, columns)).astype(np.float32), rng.standard_normal(columns)
    found = fit_feasibility(x, np.zeros(trials, np.int64), x @ plane > 0).mean[:columns]
    return float(np.arccos(found @ plane / np.sqrt((found @ found) * (plane @ plane))) / np.pi)


def failed_share(seed: int, runs: int, bias: float) -> Float:
    """Return the share of experiments that failed in communities with some publication bias (R,)."""
    p = Parameters.preset("single-quick").updated(TRYING | {"planners.publication_bias": bias})
    totals = [run_to(p, s, 12, observe=lambda eco: eco.world.totals) for s in seeds(seed, "M10", runs)]
    return np.array([t.item().infeasible / t.item().done for t in totals])


# --------------------------------------------------------------------------- injected faults

mutation("one trial in ten is remembered as a success", fit_feasibility, "M10")(
    lambda right, phi, family, made, last=None: right(phi, family, made | (np.arange(len(made)) % 10 == 0), last)
)
mutation("scores count from zero, not from the least", by_chance, "M10")(
    lambda _, scores, chance, weight: np.asarray(scores * chance**weight, np.float32)
)
