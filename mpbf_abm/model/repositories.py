"""Repositories that are not substitutes: which families each prefers, and which materials its type lets it enter."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import gammaincinv

from mpbf_abm.arrays import Bool, Float, Int
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.world import World
from mpbf_abm.parameters import InfrastructureParameters, Parameters
from mpbf_abm.streams import Streams, by_shares

GENERAL, ENUMERATOR, KNOWN = range(3)
ATTEMPTS = 16
LEAST = 1e-300  # weight of a family in a repository


def kinds(p: InfrastructureParameters) -> Int:
    """Type of each repository by number: the first is general, then come enumerators, then those of the known (R,)."""
    types = np.full(p.repositories, GENERAL)
    types[1 : 1 + p.enumerators] = ENUMERATOR
    types[1 + p.enumerators : 1 + p.enumerators + p.known] = KNOWN
    return types


def specialise(p: Parameters, space: MaterialsSpace, streams: Streams) -> Float | None:
    """Weights of families in repositories, of mean 1 and variance `specialisation` over relative size (R, K).

    None where all repositories are alike. Draws are keyed by repository and family key.
    """
    spread = p.infrastructure.specialisation
    if not spread:
        return None
    shape = space.family_sizes / space.family_sizes.mean() / spread
    u = streams.uniform("found.specialisation", 0, (p.infrastructure.repositories, space.families))
    return np.asarray(np.maximum(gammaincinv(shape, u[:, space.family_keys]) / shape, LEAST))


# --------------------------------------------------------------------------- founding


def founding_repositories(world: World, u: Float, family: Int) -> Int:
    """Repository of each founding record of a family, from uniform draws (n,).

    They start unequal, as real ones are: by Zipf, or as large as they are said to be. Weights of families tilt that
    choice, so that each family has as many records as without.
    """
    p = world.p.infrastructure
    size = np.asarray(p.sizes) if p.sizes else 1.0 / np.arange(1, world.commons.repositories + 1)
    if world.specialisation is None:
        share = np.cumsum(size)
        return np.asarray(by_shares(share / share[-1], u))
    share = np.cumsum(world.specialisation * size[:, None], axis=0).T
    # Shares of all families one after the other, each family's from its number to the next.
    ladder = (share / share[:, -1:] + np.arange(len(share))[:, None]).ravel()
    return np.asarray(np.minimum(np.searchsorted(ladder, family + u, side="right") - family * len(size), len(size) - 1))


def founding_materials(world: World, family: Int, material: Int, repository: Int, u: Float) -> tuple[Int, Int]:
    """Materials and repositories of founding records by type: general ones first, as they are.

    Those of the known draw among what these hold of the family; without any the record goes to the first repository.
    Enumerators draw among materials without a record by then.
    """
    types, space = kinds(world.p.infrastructure)[repository], world.space
    held = np.unique(material[types == GENERAL])
    rows = np.flatnonzero(types == KNOWN)
    copied = among(space, held, family[rows], u[rows])
    material, repository = material.copy(), repository.copy()
    material[rows] = np.where(copied >= 0, copied, material[rows])
    repository[rows[copied < 0]] = 0
    rows, taken = np.flatnonzero(types == ENUMERATOR), np.zeros(space.size, bool)
    taken[material[types != ENUMERATOR]] = True

    def redraw(attempt: int) -> Float:
        return world.streams.uniform(f"found.enumerate.{attempt}", 0, len(u))[rows]

    material[rows] = new(space, family[rows], material[rows], redraw, lambda some: taken[some])
    return material, repository


# --------------------------------------------------------------------------- acquisition


def curated(world: World, share: Float, types: Int) -> Float:
    """Attention of every curator (n, K) to families in which a repository of its type (n,) has something to enter."""
    commons, space = world.commons, world.space
    if not types.any():
        return share
    open_ = np.ones((3, space.families), bool)
    open_[ENUMERATOR] = commons.distinct_materials() < space.family_sizes
    open_[KNOWN] = np.isin(np.arange(space.families), space.family[readable(world)])
    return share * open_[types]


def curated_materials(world: World, types: Int, family: Int, material: Int, u: Float) -> Int:
    """Materials of curators' records (n, waves) by the type of their repositories; -1 where there is none.

    Parameters
    ----------
    world : World
    types : int (n,)
        Type of each curator's repository.
    family, material : int (n, waves)
        Families, and materials as a general repository draws them.
    u : float (n, waves)
        The uniform draws that these are made of.
    """
    curators, space = world.curators, world.space
    if (rows := types == KNOWN).any():
        material[rows] = among(space, readable(world), family[rows], u[rows])
    if (rows := types == ENUMERATOR).any():
        waves = range(material.shape[1])
        again = np.array([world.uniform(f"curator.enumerate.{j}", curators, ATTEMPTS) for j in waves]).swapaxes(0, 1)
        known = world.commons.material_records
        drawn = new(
            space,
            family[rows].ravel(),
            material[rows].ravel(),
            lambda i: again[rows, :, i].ravel(),
            lambda m: known[m] > 0,
        )
        material[rows] = drawn.reshape(-1, material.shape[1])
    return material


def curators_kinds(world: World) -> Int:
    """Type of the repository of every curator (n,)."""
    return np.asarray(kinds(world.p.infrastructure)[world.curators.repository])


def readable(world: World) -> Int:
    """Materials with a record in sight, in ascending order."""
    commons = world.commons
    answers = ~commons.down
    seen = commons.alive & (answers[commons.repository] | commons.federated & answers.any())
    return np.unique(commons.material[seen])


def among(space: MaterialsSpace, materials: Int, family: Int, u: Float) -> Int:
    """Choose of some materials, in ascending order, one of each family by uniform draws; -1 where it has none (...)."""
    first, end = np.searchsorted(materials, space.start[family]), np.searchsorted(materials, space.start[family + 1])
    at = first + (u * (end - first)).astype(np.int64)
    return np.where(end > first, np.append(materials, -1)[np.minimum(at, len(materials))], -1)


def new(
    space: MaterialsSpace, family: Int, material: Int, redraw: Callable[[int], Float], taken: Callable[[Int], Bool]
) -> Int:
    """Draw materials again until they are not taken, `ATTEMPTS` times at most, then take the next free one (n,).

    Where all materials of a family are taken, or there is no family (-1), the last draw stands. Draws made together do
    not see each other.
    """
    for attempt in range(ATTEMPTS):
        if not (again := (family >= 0) & taken(material)).any():
            return material
        material = np.where(again, space.member(family, redraw(attempt)), material)
    for i in np.flatnonzero((family >= 0) & taken(material)):
        members = np.arange(*space.start[family[i] : family[i] + 2])
        if len(free := members[~taken(members)]):
            material[i] = free[np.searchsorted(free, material[i]) % len(free)]
    return material
