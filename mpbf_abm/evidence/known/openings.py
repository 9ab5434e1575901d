"""Open families: how many are founded, and how many hold two records (row U14)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from mpbf_abm.arrays import Float, Int
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
    urn,
)
from mpbf_abm.measures.path import run_to
from mpbf_abm.model.community import Community
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.opening import attend, founding_choices, rate
from mpbf_abm.model.world import World
from mpbf_abm.parameters import Parameters


def expected_families(theta: float, alpha: float, n: int) -> float:
    """Expected number of families after n choices (Pitman 2006, section 3.3); Ewens' sum without a discount."""
    if alpha == 0:
        return float((theta / (theta + np.arange(n))).sum())
    ratio = (
        math.lgamma(theta + 1) + math.lgamma(theta + n + alpha) - math.lgamma(theta + alpha) - math.lgamma(theta + n)
    )
    return math.exp(ratio) / alpha - theta / alpha


def expected_pairs(theta: float, alpha: float, n: int) -> float:
    """Expected number of families with two of n records, by exchangeability of the choices."""
    rising = math.lgamma(theta + alpha + n - 2) - math.lgamma(theta + alpha)
    rising -= math.lgamma(theta + n) - math.lgamma(theta + 1)
    return math.comb(n, 2) * (1 - alpha) * math.exp(rising)


def _held(eco: Community) -> Float:
    return eco.world.commons.records_by_family().astype(np.float64)


@row("U14", "Open families: the two-parameter Chinese restaurant", "Ewens 1972; Pitman and Yor 1997; Pitman 2006")
def open_families(
    seed: int,
    theta: float = parameter(1.0, "concentration", 1e-3, 1e4),
    alpha: float = parameter(0.8, "discount, with Ewens' law at 0 beside it", 1e-3, 0.99),
    n: int = parameter(60, "choices, one at a time", 2, 5_000, fast=30),
    runs: int = parameter(800, RUNS + "; a quarter of them of a community", 40, 10**6, fast=240),
) -> Iterator[Check]:
    """Founding records, curators and planners one at a time, with so many dormant families that they never end."""
    K = 4 * n
    urns = {"curators": {"curators.count": 1}, "planners": {"curators.count": 0, "planners.count": 1}}
    for discount in (alpha, 0.0):
        chance = {"commons.concentration": theta, "commons.discount": discount, "planners.experiments": 1.0}
        own = {
            name: urn(K, 0.0, **(chance | grouped(planners={"exploration": 0.0}) | who)) for name, who in urns.items()
        }
        space = MaterialsSpace.synthetic(own["curators"], seed=0)
        u = generator(seed, f"U14 {discount}").random((runs, n))
        held = {"founding records": np.array([_founded(own["curators"], K, draws) for draws in u])}
        for name, p in own.items():
            keys = seeds(seed, f"U14 {name} {discount}", runs // 4)
            held[name] = np.array([run_to(p, s, n, space=space, observe=_held) for s in keys])
        mean = expected_families(theta, discount, n)
        two = expected_pairs(theta, discount, n)
        for name, counts in held.items():
            yield Check(f"E K_n, {name}, alpha = {discount:g}", mean, *mean_error((counts > 0).sum(axis=1)))
            yield Check(f"E families of two records, {name}", two, *mean_error((counts == 2).sum(axis=1)))


def _founded(p: Parameters, K: int, draws: Float) -> Int:
    """Founding records of each family (K,)."""
    return np.bincount(founding_choices(p, np.zeros(K), np.full(K, 1 / K), draws), minlength=K)


# --------------------------------------------------------------------------- injected faults

mutation("the chance of a new family forgets how many there are", rate, "U14")(
    lambda right, theta, _alpha, families, records: right(theta, 0.0, families, records)
)
mutation("founding records do not pay the discount", founding_choices, "U14")(
    lambda right, p, mass, share, u: right(p, mass + p.commons.discount, share, u)
)


@mutation("attention does not pay the discount", attend, "U14")
def _undiscounted(right: Any, world: World, *arguments: Any) -> Any:
    own, world.p = world.p, world.p.replace("commons.discount", 0.0)
    share = right(world, *arguments)
    world.p = own
    return share
