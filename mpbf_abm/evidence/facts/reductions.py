"""Rules in their limit cases: campaigns, descent of models, collapse (facts 10, 12, 13)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import zeta

from mpbf_abm.arrays import Int
from mpbf_abm.evidence.facts.learners import crossing
from mpbf_abm.evidence.known.communities import flat_space, generations, grouped
from mpbf_abm.evidence.known.feedback import self_training, standard_labels
from mpbf_abm.evidence.known.rows import seeds
from mpbf_abm.evidence.known.whole import POOLS, pool_space
from mpbf_abm.measures.acceleration import by_chance, wanted
from mpbf_abm.model.campaign import run_campaign
from mpbf_abm.model.founding import found_community
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.planners import adopt
from mpbf_abm.model.trainers import abstract
from mpbf_abm.parameters import Parameters
from mpbf_abm.processes import one_thread
from mpbf_abm.streams import Streams

POOL_SIZES = (100, 600)  # a family of as many materials can stand for an experimental pool
FEW, SMALL = 5, 1_000
MANY, ADOPTING = 600, 24  # trainers, and planners; ticks of adoption
LABELS, GENERATIONS, RUNS = 20, 40, 40
FRESH = (0.01, 0.02, 0.05, 0.1)
STOPPED = 0.9


def acceleration(p: Parameters, space: MaterialsSpace, seed: int) -> dict[str, float]:  # noqa: ARG001
    """Return the acceleration of campaigns on families taken as pools, geometric mean over pools, by rule."""
    sizes = space.family_sizes
    fit = np.flatnonzero((sizes >= POOL_SIZES[0]) & (sizes <= POOL_SIZES[1]))
    some = fit[np.linspace(0, len(fit) - 1, min(FEW, len(fit))).astype(np.int64)]
    pools = [pool_of(space, int(family)) for family in some]
    return {"af_greedy": factor(pools, "greedy", seed), "af_maxvar": factor(pools, "maxvar", seed)}


def real_acceleration(data: Path, seed: int) -> dict[str, float]:
    """Return the same on real pools: greedy on all, largest variance on the small ones.

    Of a large one it would take most.
    """
    pools = [pool_space(data, name) for name in POOLS]
    small = [pool for pool in pools if pool.size <= SMALL]
    return {"af_greedy": factor(pools, "greedy", seed), "af_maxvar": factor(small, "maxvar", seed)}


def factor(pools: Sequence[MaterialsSpace], rule: str, seed: int) -> float:
    """Return the acceleration at half of the top set, geometric mean over pools; NaN without any."""
    if not pools:
        return math.nan
    spent = [run_campaign(pool, rule, seed, enough=wanted(pool, 0.5)).spent(wanted(pool, 0.5)) for pool in pools]
    return math.exp(float(np.mean([math.log(by_chance(pool) / n) for pool, n in zip(pools, spent, strict=True)])))


def pool_of(space: MaterialsSpace, family: int) -> MaterialsSpace:
    """Return one family as a pool of settings: its causal descriptors and its property."""
    rows = slice(space.start[family], space.start[family + 1])
    width = space.dims["quantum"] + space.dims["meso"]
    table = pd.DataFrame(space.descriptors[rows, :width].astype(np.float64)).rename(columns="x{}".format)
    return MaterialsSpace.from_pool(table.assign(y=space.property[rows].astype(np.float64)), objective="y")


def descent(p: Parameters, space: MaterialsSpace, seed: int) -> dict[str, float]:  # noqa: ARG001 (a space of its own)
    """Return the power law of descendants per base model, and the most used hundredth's share of all adoptions.

    Many trainers publish one after the other, each on a new encoder or on a published one by the rule of reuse. As many
    planners then adopt. What is learned plays no part, so heads are means and spaces small.
    """
    changes = grouped(
        space={"materials": 400, "families": 4},
        founding={"records": 60},
        trainers={"count": MANY, "head": "mean", "records": 20, "panel": 1},
        stocks={"compute": 0.0},
        planners={"count": MANY, "entry": MANY // ADOPTING},
        curators={"count": 0},
    )
    many = p.updated(changes)
    world = found_community(many, Streams(seed), MaterialsSpace.synthetic(many, seed=seed))
    abstract(world)
    sizes = np.bincount(world.registry.lineage)
    descendants = sizes[sizes > 1] - 1
    for tick in range(ADOPTING):
        world.tick = tick
        adopt(world)
    use = np.sort(world.registry.adoptions)[::-1]
    return {
        "reuse_powerlaw": power_law(descendants),
        "download_top1pct": float(use[: max(1, len(use) // 100)].sum() / use.sum()),
    }


def power_law(counts: Int) -> float:
    """Return the likeliest exponent of a discrete power law from 1 on (Clauset et al. 2009); NaN without counts."""
    if not len(counts):
        return math.nan
    logs, n = float(np.log(counts).sum()), len(counts)
    return float(minimize_scalar(lambda a: a * logs + n * math.log(zeta(a)), bounds=(1.05, 8.0), method="bounded").x)


def collapse(p: Parameters, space: MaterialsSpace, seed: int) -> dict[str, float]:  # noqa: ARG001
    """Return the loss of log variance by recursive refits, times labels, and the fresh share that stops most of it."""

    def loss(fresh: float) -> float:
        p = self_training(LABELS, fresh, accumulate=False)
        labels = standard_labels(p)
        space = flat_space(p, labels, labels)
        variance = generations(p, seeds(seed, "collapse", RUNS), GENERATIONS + 1, space)[:, :, 1]
        return float(np.log(variance[:, -1] / variance[:, 0]).mean())

    with one_thread():
        alone = loss(0.0)
        stopped = [1.0 - loss(fresh) / alone for fresh in FRESH]
    return {
        "collapse_rate": alone * LABELS / GENERATIONS,
        "collapse_stop": crossing((FRESH[0] / 2, *FRESH), [0.0, *stopped], STOPPED),
    }


MEASURES = (acceleration, descent, collapse)
