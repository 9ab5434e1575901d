"""Open families: some lie dormant until a choice founds them.

The chance of a new family is that of the two-parameter Chinese restaurant (Pitman and Yor 1997; Ewens 1972 without a
discount). Which one it is follows the adjacent possible (Tria et al. 2014). The space itself never changes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.arrays import Bool, Float, Int
from mpbf_abm.model.assimilation import attainable, coverage
from mpbf_abm.model.attention import attention
from mpbf_abm.model.world import World
from mpbf_abm.parameters import Parameters
from mpbf_abm.streams import by_shares, race

DORMANT, FROM_THE_START = -1, 0
FIRST = 9  # Heaps exponents are fitted from this choice on, as those of real records
POINTS = 256  # at so many numbers of choices, evenly spaced


def unfolds(world: World) -> bool:
    """Whether families are founded by choices, or some are dormant still."""
    return world.p.commons.founds or not revealed(world).all()


def revealed(world: World) -> Bool:
    """Return which families are revealed (K,)."""
    return np.asarray(world.revealed_at > DORMANT)


def rate(concentration: float, discount: float, families: int, records: float) -> float:
    """Chance ``(theta + alpha K) / (theta + n)`` that a choice founds a family, at most 1; 1 before any record.

    Parameters
    ----------
    concentration, discount : float
        theta, at least 0, and alpha, from 0 to below 1.
    families : int
        Revealed families K.
    records : float
        Records in view n, without founding mass.
    """
    if families == 0 or concentration + records <= 0:
        return 1.0
    return min(1.0, (concentration + discount * families) / (concentration + records))


def attend(world: World, ε: Float, ν: float, γ: Float, w: Float | None = None) -> Float:
    """Attention of agents over revealed families alone, on records less the discount (n, K); see :func:`attention`."""
    x, near = world.commons.visible(), world.space.similarity
    if not unfolds(world):
        return attention(x, ε, ν, γ, near, w)
    share, known = np.zeros((len(ε), len(x))), np.flatnonzero(revealed(world))
    if len(known):
        near = near[np.ix_(known, known)]
        total = near.sum(axis=1, keepdims=True)
        P = np.where(total > 0, near / np.where(total > 0, total, 1.0), 1.0 / len(known))
        less = np.maximum(x[known] - world.p.commons.discount, 0.0)
        share[:, known] = attention(less, ε, ν, γ, P, None if w is None else w[:, known])
    return share


def found(world: World, family: Int, share: Float, lot: Float, clocks: Float, ν: float) -> Int:
    """Return what agents choose who may found a family instead; -1 where there is none to choose (n,).

    All see the records and families of the start of the phase. A new family is with chance ν a neighbour of the one
    that the agent would have chosen, which is its parent.

    Parameters
    ----------
    world : World
    family : int (n,)
        Choice by attention of each agent.
    share : float (n, K)
        This attention.
    lot : float (n, 1)
        Uniform numbers that decide who founds.
    clocks : float (n, K)
        Of dormant families.
    ν : float
        Chance of a neighbour, 0 to 1.
    """
    c, known, commons = world.p.commons, revealed(world), world.commons
    parent = share[np.arange(len(family)), family] > 0
    family = np.where(parent, family, -1)
    records = float((commons.visible() - commons.mass).sum())
    chance = rate(c.concentration, c.discount, int(known.sum()), records)
    new = np.flatnonzero(lot[:, 0] < chance)
    if len(new) and not known.all():
        near = np.where(known, 0.0, world.space.similarity[family[new]]) * parent[new, None]
        total = near.sum(axis=1, keepdims=True)
        uniform = ~known / (~known).sum()
        weight = np.where(total > 0, (1 - ν) * uniform + ν * near / np.where(total > 0, total, 1.0), uniform)
        family[new] = race(clocks[new], weight)
    return family


def reveal(world: World, family: NDArray[np.integer[Any]]) -> None:
    """Count choices that were made, in their order, and reveal their families (n,)."""
    if not unfolds(world):
        return
    of, first = np.unique(family, return_index=True)
    fresh = world.revealed_at[of] == DORMANT
    world.revealed_at[of[fresh]] = world.choices + 1 + first[fresh]
    world.choices += len(family)


def founding_choices(p: Parameters, mass: Float, share: Float, u: Float) -> Int:
    """Families of founding records, one after the other by the same chances, from uniform draws (n,).

    Parameters
    ----------
    p : Parameters
    mass, share : float (K,)
        Founding mass of each family, and its weight among dormant ones, in the order of family keys.
    u : float (n,)
    """
    θ, α = p.commons.concentration, p.commons.discount
    count, known = np.zeros(len(mass)), np.zeros(len(mass), bool)
    out = np.empty(len(u), np.int64)
    for i, draw in enumerate(u):
        weight = np.where(known, np.maximum(count + mass - α, 0.0), 0.0)
        new = np.where(known, 0.0, share)
        if (left := new.sum()) > 0:
            chance = rate(θ, α, int(known.sum()), i)
            weight = weight * ((1 - chance) / max(weight.sum(), 1e-300)) + new * (chance / left)
        summed = np.cumsum(weight)
        out[i] = by_shares(summed / summed[-1], draw)
        count[out[i]] += 1.0
        known[out[i]] = True
    return out


def covered(world: World) -> float:
    """Return coverage C of revealed families, in the form that the parameters name; 0 without any."""
    known, V, sizes = revealed(world), world.commons.distinct_materials(), world.space.family_sizes
    if not known.all():
        V, sizes = V[known], sizes[known]
    f = world.p.layers
    if not len(V):
        return 0.0
    return attainable(V, sizes, f.coverage_share) if f.coverage_share else coverage(V, f.coverage_scale)


def growth(world: World) -> dict[str, float]:
    """Revealed families, and Heaps exponents of how they grew with choices; NaN where all were open from the start."""
    at = np.sort(world.revealed_at[revealed(world)])
    first = at[at > FROM_THE_START]
    n = world.choices
    halves = {"heaps_revealed": (FIRST, n), "heaps_first": (FIRST, n // 2), "heaps_second": (n // 2 + 1, n)}
    slopes = {name: exponent(first, *span) if len(first) else math.nan for name, span in halves.items()}
    return {"families_revealed": float(len(at)), **slopes}


def exponent(at: Int, start: int, end: int) -> float:
    """Slope of log families on log choices from one number of choices to another; NaN over fewer than 9 (FIRST).

    Parameters
    ----------
    at : int (K,)
        Number of the choice that revealed each family, ascending.
    """
    if end - start < FIRST:
        return math.nan
    n = np.unique(np.linspace(start, end, POINTS).astype(np.int64))
    x, y = np.log(n), np.log(np.searchsorted(at, n, side="right"))
    x = x - x.mean()
    return float(x @ y / (x @ x))
