"""Labs that look at the same candidates (row G3)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from scipy.integrate import quad
from scipy.special import ndtr

from mpbf_abm.arrays import Float, Float32, Int
from mpbf_abm.evidence.known.rows import (
    Check,
    flat_space,
    generator,
    grouped,
    mean_error,
    mutation,
    parameter,
    row,
    seeds,
    share_error,
)
from mpbf_abm.model.community import Community
from mpbf_abm.model.planners import ExperimentPlanner, keyed, propose
from mpbf_abm.model.rivalry import common_draws, credit
from mpbf_abm.model.run import begin
from mpbf_abm.model.spec import RunSpec
from mpbf_abm.parameters import Parameters

PAIRS = 250  # of labs in a community; each pair has a separate family
RIVALS = grouped(
    space={"families": PAIRS, "family_exponent": 0.0, "feasible": 1.0, "quantum_dims": 4, "gauge_dims": 0},
    founding={"records": 0},
    curators={"count": 0},
    planners={"count": 2 * PAIRS, "repeats": False, "publication_threshold": -5.0, "neighbours": 0},
    infrastructure={"repositories": 1},
)


@row("G3", "Shared rankings among rivals", "Kleinberg and Raghavan 2021; orthant probability of two normals")
def rivals(
    seed: int,
    v: tuple[float, ...] = parameter((0.0, 1.0, 2.0), "values of the candidates, at least two", -10, 10),
    sigma: float = parameter(1.0, "sd of the error by which each is ranked", 0.05, 10),
    n: int = parameter(20, "materials of a family of which two are shown", 2, 200),
    pairs: int = parameter(25_000, "pairs of labs", 500, 10**7, fast=3_000),
) -> Iterator[Check]:
    """What two labs find one after the other by one ranking and by two; how often they choose the same at once.

    The second lab chooses among what the first has not published. Both have equal accuracy, so that who comes first
    makes no difference. Errors are normal and independent between materials.
    """
    runs = -(-pairs // PAIRS)
    one, two = (
        np.concatenate([found(s, v, sigma, shared) for s in seeds(seed, "G3", runs)]) for shared in (True, False)
    )
    yield Check("value found by two labs with one ranking", by_one(v, sigma), *mean_error(one))
    yield Check("value found by two labs with a ranking each", by_two(v, sigma), *mean_error(two))
    once = np.array([at_once(s, n, sigma) for s in seeds(seed, "G3 at once", -(-runs // 4))])
    same = 1 / n + (1 - 1 / n) * (0.5 + math.asin(1 / (1 + sigma**2)) / math.pi)
    note = "1/2 + asin(1/(1 + sigma^2))/pi, or the same material shown twice"
    name = "pairs that choose the same of two common candidates"
    yield Check(name, same, *share_error(float(once[:, 0].sum()), len(once) * PAIRS), note=note)
    yield Check("credit less materials found, all to the first", 0.0, float(np.abs(once[:, 1]).max()))


def begin_rivals(seed: int, size: int, values: Float, seen: Float, **planners: Any) -> Community:
    """Begin a community of pairs of labs: s and s + PAIRS look at family s, and rank by their rows of `seen` (2, N)."""

    class Rival(ExperimentPlanner):
        def family_weights(self, share: Float) -> Float:
            return np.asarray(np.where(np.arange(PAIRS) == self.slot % PAIRS, share, 0.0))

        def score(self, candidates: Int, mean: Float32, sd: Float32, scores: Float32) -> Float32:  # noqa: ARG002
            return np.asarray(seen[self.slot // PAIRS, candidates], np.float32)

    changes = grouped(space={"materials": size * PAIRS}, planners=planners)
    p = Parameters.null().updated(RIVALS | changes)
    return begin(RunSpec(p, seed, space=flat_space(p, values), planners=Rival), record=())


def found(seed: int, v: Sequence[float], sigma: float, shared: bool) -> Float:
    """Return the value that each pair discovers by two experiments, one lab's after the other's (PAIRS,)."""
    rng, values = generator(seed, "G3"), np.tile(np.asarray(v, np.float64), PAIRS)
    errors = np.repeat(rng.standard_normal((1, len(values))), 2, 0) if shared else rng.standard_normal((2, len(values)))
    # Half an experiment a tick: the labs of lower slots are served first, and the others at the second tick.
    eco = begin_rivals(seed, len(v), values, values + sigma * errors, experiments=0.5, candidates=len(v))
    total = np.zeros(PAIRS)
    for _ in range(2):
        eco.step()
        if (r := eco.world.results) is not None:
            np.add.at(total, r.family, values[r.material])
    return total


def at_once(seed: int, size: int, sigma: float) -> tuple[int, float]:
    """Return how many pairs choose the same material at once, and what credit exceeds the number of materials found."""
    rng = generator(seed, "G3 at once")
    values = rng.standard_normal(size * PAIRS)
    seen = values + sigma * rng.standard_normal((2, len(values)))
    rules = {"experiments": 1.0, "candidates": 2, "common_candidates": 1.0, "priority": 1.0}
    eco = begin_rivals(seed, size, values, seen, **rules)
    eco.step()
    r = eco.world.results
    if r is None:
        raise RuntimeError("no lab has made an experiment")
    claimed = np.unique(r.material[r.observed > eco.world.p.planners.publication_threshold])
    return len(r.material) - len(np.unique(r.material)), float(eco.world.planners.claims.sum()) - len(claimed)


# --------------------------------------------------------------------------- exact values


def beating(values: Sequence[float], sigma: float, j: int, above: int | None = None) -> float:
    """Return the chance that j is ranked before all others, or before all but one, which is before it."""

    def integrand(x: float) -> float:
        gaps = (values[j] - np.asarray(values)) / sigma + x
        below = [float(ndtr(-gap if i == above else gap)) for i, gap in enumerate(gaps) if i != j]
        return math.prod(below) * math.exp(-x * x / 2) / math.sqrt(2 * math.pi)

    return float(quad(integrand, -9, 9, epsabs=1e-10)[0])


def by_one(v: Sequence[float], sigma: float) -> float:
    """Return the mean total value of the two that one ranking has first."""
    each = range(len(v))
    return sum((v[i] + v[j]) * beating(v, sigma, j, above=i) for i in each for j in each if i != j)


def by_two(v: Sequence[float], sigma: float) -> float:
    """Return the mean total value of the first of one ranking and the first of the rest in another."""
    total = 0.0
    for i in range(len(v)):
        rest = [*v[:i], *v[i + 1 :]]
        second = sum(value * beating(rest, sigma, j) for j, value in enumerate(rest))
        total += beating(v, sigma, i) * (v[i] + second)
    return total


# --------------------------------------------------------------------------- injected faults

mutation("what is tested is looked at again", propose, "G3")(
    lambda _, world, planner, wave, family, count, *__: world.space.member(
        family[:, None], keyed(world, "planner.candidate.0", planner, wave, count)
    )
)
mutation("common sets are drawn by lab", common_draws, "G3")(
    lambda right, world, attempt, keys, width: world.streams.uniform(f"wrong.{attempt}", world.tick, (len(keys), width))
)
mutation("all who discover the same are first", credit, "G3")(lambda right, world, results, rows: np.ones(len(rows)))
