"""Repositories that are not substitutes: what is lost with one of them, in closed form (row F12)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from mpbf_abm.arrays import Float, Int
from mpbf_abm.evidence.known.rows import Check, grouped, mean_error, mutation, parameter, row, seeds
from mpbf_abm.model.holdings import Holdings
from mpbf_abm.model.repositories import specialise
from mpbf_abm.model.run import begin
from mpbf_abm.model.spec import RunSpec
from mpbf_abm.model.world import World
from mpbf_abm.parameters import Parameters

INDEPENDENT = "exact given the records of each repository in each family, whose materials are drawn with return"


@row("F12", "what is lost with a repository", "independent draws with return (our operationalisation)")
def lost_with_one(
    seed: int,
    materials: int = parameter(240, "materials", 20, 10**5),
    families: int = parameter(6, "families", 2, 100),
    repositories: int = parameter(4, "repositories", 2, 50),
    specialisation: float = parameter(1.0, "variance of the weights of a family of mean size", 0, 100, above=True),
    openness: float = parameter(0.3, "share of records with a copy elsewhere", 0, 1),
    records: int = parameter(120, "founding records", 0, 10**5),
    ticks: int = parameter(4, "ticks of acquisition", 0, 1_000),
    replicates: int = parameter(200, "communities", 20, 10**6, fast=60),
) -> Iterator[Check]:
    """Share of materials that one repository alone serves, less its expectation; and the weights of families."""
    changes = grouped(
        space={"materials": materials, "families": families},
        founding={"records": records},
        planners={"count": 0},
        infrastructure={"repositories": repositories, "specialisation": specialisation},
    )
    for o in (0.0, openness):
        p = Parameters.preset("null").updated(changes | {"infrastructure.openness": o})
        found = np.array([losses(p, key, ticks) for key in seeds(seed, f"F12 {o}", replicates)])
        lost, expected, simple, weight, variance = found.T
        level = f"expected {expected.mean():.3f}; as a product of chances and 1 - openness {simple.mean():.3f}"
        gap = mean_error(lost - expected)
        yield Check(f"share lost less its expectation, openness {o:g}", 0.0, *gap, note=f"{INDEPENDENT}; {level}")
    yield Check("weight of a family in a repository", 1.0, *mean_error(weight))
    yield Check("its variance times the relative size of the family", specialisation, *mean_error(variance))


def losses(p: Parameters, seed: int, ticks: int) -> tuple[float, ...]:
    """Lost share, mean over repositories: as it is, expected, as a simple product; mean weight and its variance."""
    community = begin(RunSpec(p, seed), record=())
    for _ in range(ticks):
        community.step()
    world, size = community.world, community.world.space.family_sizes
    expected, simple = expected_losses(drawn(world), size, p.infrastructure.openness)
    weight = np.asarray(world.specialisation)
    variance = float(((weight - 1) ** 2 * size / size.mean()).mean())
    lost = float(world.commons.holdings.sole.mean()) / int(size.sum())
    return lost, expected, simple, float(weight.mean()), variance


def drawn(world: World) -> Int:
    """Records of each repository in each family, with copies and without (R, K)."""
    commons, shape = world.commons, (world.commons.repositories, world.space.families)
    place = np.ravel_multi_index((commons.repository, commons.family), shape)
    return np.bincount(place, minlength=shape[0] * shape[1]).reshape(shape)


def expected_losses(n: Int, size: Int, openness: float) -> tuple[float, float]:
    """Expected share of all materials (sizes (K,)) that one repository alone serves, mean over repositories.

    Parameters
    ----------
    n : int (R, K)
        Draws with return.
    size : int (K,)
    openness : float

    Returns
    -------
    expected, simple : float
        Exact: a material is lost if it was drawn here, never with a copy, and nowhere else. As a product: the chance to
        be held here and nowhere else, times 1 - openness. They are equal at openness 0, and above it where no
        repository has drawn a material twice.
    """
    missed = (1 - 1 / size) ** n
    elsewhere = (1 - 1 / size) ** (n.sum(axis=0) - n)
    alone = (1 - openness / size) ** n - missed

    def share(chance: Float) -> float:
        return float((chance * elsewhere * size).sum(axis=1).mean() / size.sum())

    return share(alone), (1 - openness) * share(1 - missed)


# --------------------------------------------------------------------------- injected faults


def without_copies(right: Callable[..., Any], holdings: Holdings, materials: Int) -> Int:
    """What materials add to the totals, as if no record had a copy."""
    federated, holdings.federated = holdings.federated, np.zeros_like(holdings.federated)
    try:
        return np.asarray(right(holdings, materials))
    finally:
        holdings.federated = federated


mutation("copies do not save what a repository holds", Holdings._state, "F12")(without_copies)
mutation("weights of families spread twice as far", specialise, "F12")(
    lambda right, p, *more: right(
        p.replace("infrastructure.specialisation", 2 * p.infrastructure.specialisation), *more
    )
)
