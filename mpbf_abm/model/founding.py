"""Founding: the commons with its first records, the links, the agents and their columns."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.arrays import Bool, Int
from mpbf_abm.errors import lines_where, refuse_any
from mpbf_abm.model.adoption import choose_collaborators
from mpbf_abm.model.closures import serve
from mpbf_abm.model.commons import FOUNDER, LITERATURE, Commons, record_keys
from mpbf_abm.model.links import Infrastructure, Registry
from mpbf_abm.model.materials import MaterialsSpace, Truth
from mpbf_abm.model.modalities import CRYSTAL_GRAPHS, FIDELITY, MEASURED, label, labelled_property
from mpbf_abm.model.opening import DORMANT, FROM_THE_START, founding_choices, reveal, revealed, unfolds
from mpbf_abm.model.repositories import ENUMERATOR, founding_materials, founding_repositories, kinds, specialise
from mpbf_abm.model.structures import FOUNDING_STRUCTURE
from mpbf_abm.model.trainers import link_trainers
from mpbf_abm.model.world import Curators, Planners, Trainers, World, start_counting
from mpbf_abm.parameters import Parameters
from mpbf_abm.streams import Streams, by_shares, normal_quantile, race, zipf

DISTINCT = 64  # so many founding records of a pool are of distinct materials


def check_fit(p: Parameters, size: int, families: int, year: Int | None = None, *, observed: bool = True) -> None:
    """Check that parameters fit a space of some materials, families, years and descriptors; all faults at once."""
    faults = []
    mass, wanted = p.founding.mass, p.planners.count * p.planners.experiments
    if isinstance(mass, tuple) and len(mass) != families:
        faults.append(f"founding.mass has {len(mass)} entries; this space has {families} families")
    more = f"more than the space has materials ({size}); allow planners.repeats or enlarge the space"
    each = f"planners.count x planners.experiments = {wanted:g} experiments per tick: {more}"
    faults += lines_where((wanted > size and not p.planners.repeats, each))
    if p.founding.year and p.founding.records and (year is None or year.min() > p.founding.year):
        first = "this space has no years" if year is None else f"the first of this space is of {year.min()}"
        faults.append(f"founding.year = {p.founding.year}: needs materials reported by then; {first}")
    faults += link_faults(p)
    if not observed:
        faults += [
            f"{entered}: needs observed descriptors, which this space has not" for entered in p.entered_structures
        ]
    refuse_any(faults)


def link_faults(p: Parameters) -> list[str]:
    """Founding links that are not as many, or lead elsewhere, than the numbers of nodes and providers say."""
    i, r = p.infrastructure, p.infrastructure.providers
    faults = []
    for name, users, nodes in (
        ("model_links", p.trainers.count * r, i.repositories),
        ("lab_links", p.planners.count * r, p.trainers.count),
        ("deposits", p.planners.count, i.repositories),
    ):
        links = getattr(i, name)
        strange = [x for x in links if not -1 <= x < nodes]
        faults += lines_where(
            (links and len(links) != users, f"infrastructure.{name} has {len(links)} entries: must be {users} or none"),
            (strange, f"infrastructure.{name}: {strange[:1]} is no number of a node, -1 to {nodes - 1}"),
        )
    return faults


def founding_faults(p: Parameters, space: MaterialsSpace, ticks: int) -> list[str]:
    """Founding records that leave, on average, too few untested materials for the experiments of one tick."""
    each, records = p.planners.count * p.planners.experiments, p.founding.records
    if p.planners.repeats or not each or p.founding.year:
        return []
    mix = np.asarray(p.curators.modality_mix, np.float64)
    measured = float(mix[FIDELITY == MEASURED].sum() / mix.sum())
    sizes, share = space.family_sizes.astype(np.float64), founding_shares(p, space)

    def untested(records: int) -> float:
        if space.families == 1 and records <= DISTINCT:
            return space.size - records * measured
        return float((sizes * np.exp(-records * measured * share / sizes)).sum())

    left = untested(records)
    if left >= each:
        return []
    # Untested materials become fewer with each record: the most that leaves enough for the run, or a tenth untested.
    wanted = min(each * ticks, 0.9 * space.size)
    most = max(0, bisect_right(range(records + 1), -wanted, key=lambda n: -untested(n)) - 1)
    known = f"{space.size - left:.0f} of {space.size} materials"
    fault = f"founding.records = {records} test about {known}, so that none are left for experiments"
    return [f"{fault}; set at most {most}"]


def found_community(p: Parameters, streams: Streams, space: MaterialsSpace) -> World:
    """Found a community: commons with its founding records, links, agents with their columns."""
    R, M, L = p.infrastructure.repositories, p.trainers.count, p.planners.count
    truth = Truth.of(space)
    commons = Commons(space, R, founding_mass(p, space.families), streams, truth)
    world = World(
        p=p,
        base=p,
        streams=streams,
        space=space,
        truth=truth,
        commons=commons,
        infrastructure=Infrastructure(
            commons.down, M, L, p.infrastructure.providers, p.infrastructure.need, p.infrastructure.hosts
        ),
        registry=Registry(M, space.properties),
        curators=Curators.begin(p, p.curators.count),
        trainers=Trainers.begin(p, M),
        planners=Planners.begin(p, L),
        collaborators=np.full((L, 0), -1),
        health_repositories=np.ones(R),
        health_models=np.ones(M),
        revealed_at=np.full(space.families, DORMANT if p.commons.founds else FROM_THE_START),
        experiments=np.zeros(space.families, np.int64),
        experiments_before=np.zeros(space.families, np.int64),
        reference=np.array([np.quantile(y, 0.9) for y in space.by_property(space.property)]),
        specialisation=specialise(p, space, streams),
    )
    if space.properties > 1:
        u = world.uniform("planner.property", world.planners, 1)[:, 0]
        world.planners.property[...] = by_shares(zipf(space.properties, p.planners.demand), u)
    if M:
        world.collaborators = choose_collaborators(streams, L, p.planners.neighbours)
    found_records(world)
    found_structures(world)
    start_counting(world)
    link(world)
    return world


def found_records(world: World) -> None:
    """Enter the founding records: families by size to the founding concentration, materials uniformly.

    Those of a founding year, and those of a pool, are distinct materials in a keyed order, whatever their family.
    """
    p, space, streams = world.p, world.space, world.streams
    n = p.founding.records
    if n == 0:
        return
    u = streams.uniform("found.record", 0, (n, 8))
    family = founding_families(p, space, u[:, 0])
    if unfolds(world):
        by_key = np.argsort(space.family_keys, kind="stable")
        chances = founding_mass(p, space.families)[by_key], founding_shares(p, space)[by_key]
        family = by_key[founding_choices(p, *chances, u[:, 0])]
    material = space.member(family, u[:, 1])
    if p.founding.year or (n <= DISTINCT and space.families == 1):
        order = np.argsort(streams.uniform("found.pool", 0, space.size), kind="stable")
        if p.founding.year and space.year is not None:
            order = order[space.year[order] <= p.founding.year]
        material = np.resize(order[:n], n)
    reveal(world, space.family[material])
    repository = founding_repositories(world, u[:, 4], space.family[material].astype(np.int64))
    mix = np.asarray(p.curators.modality_mix) / sum(p.curators.modality_mix)
    modality = by_shares(np.cumsum(mix), u[:, 2]).astype(np.int8)
    if p.infrastructure.enumerators or p.infrastructure.known:
        material, repository = founding_materials(
            world, space.family[material].astype(np.int64), material, repository, u[:, 1]
        )
        modality[kinds(p.infrastructure)[repository] == ENUMERATOR] = CRYSTAL_GRAPHS
    keys = founding_keys(FOUNDER, n)
    sought = labelled_property(p.modalities, streams, space.properties, keys, modality)
    pairs, z = space.pairs(sought, material), normal_quantile(u[:, 3])
    value, variance = label(p.modalities, world.truth, space.difficulty, pairs, modality, z)
    world.commons.append(
        key=keys,
        material=material,
        property=sought,
        modality=modality,
        value=value,
        variance=variance,
        origin=np.int8(LITERATURE),
        repository=repository,
        producer=-1,
        tick=-1,
        federated=u[:, 5] < p.infrastructure.openness,
    )


def found_structures(world: World) -> None:
    """Enter the founding structures: families, materials and repositories as of founding records, by other draws."""
    p, n = world.p, world.p.founding.structures
    if n == 0:
        return
    u, known = world.streams.uniform("found.structure", 0, (n, 4)), revealed(world)
    family = founding_families(p, world.space, u[:, 0], known if known.any() else True)
    world.structures.append(
        key=founding_keys(FOUNDING_STRUCTURE, n),
        material=world.space.member(family, u[:, 1]),
        repository=founding_repositories(world, u[:, 2], family),
        federated=u[:, 3] < p.infrastructure.openness,
    )


def founding_keys(kind: int, n: int) -> NDArray[np.uint64]:
    """Keys of so many founding records of a kind (n,)."""
    return record_keys(kind, np.arange(n) >> 15, 0, np.arange(n) & 0x7FFF)


def founding_mass(p: Parameters, families: int) -> NDArray[np.float64]:
    """Virtual founding mass of each family (K,)."""
    return np.broadcast_to(np.asarray(p.founding.mass, np.float64), (families,))


def founding_shares(p: Parameters, space: MaterialsSpace) -> NDArray[np.float64]:
    """Chance of each family to have a founding record: its size to the founding concentration (K,)."""
    weight = space.family_sizes.astype(np.float64) ** p.founding.concentration
    return np.asarray(weight / weight.sum())


def founding_families(
    p: Parameters, space: MaterialsSpace, u: NDArray[np.float64], among: Bool | bool = True
) -> NDArray[np.int64]:
    """Family of each founding record, by size to the founding concentration, from uniform draws (n,)."""
    share = founding_shares(p, space)
    if not np.all(among):
        share = share * among / (share * among).sum()
    # Ordered by inverse CDF over family keys, so that the draw does not depend on labels.
    by_key = np.argsort(space.family_keys, kind="stable")
    return np.asarray(by_key[by_shares(np.cumsum(share[by_key]), u)])


def link(world: World) -> None:
    """Make the founding links of trainers and labs to repositories."""
    infrastructure, commons, given = world.infrastructure, world.commons, world.p.infrastructure
    serve(world)
    if len(world.trainers):
        if given.model_links:
            infrastructure.model_repositories = np.array(given.model_links, np.int64).reshape(len(world.trainers), -1)
        else:
            link_trainers(world, np.arange(len(world.trainers)))
    if given.lab_links:
        infrastructure.lab_models = np.array(given.lab_links, np.int64).reshape(len(world.planners), -1)
    if len(world.planners) and commons.repositories > 1:
        size = commons.counts[: commons.repositories].sum(axis=1) + 1.0
        clocks = world.clocks("found.lab_repository", world.planners, commons.repositories)
        infrastructure.lab_repository = race(clocks, size**world.p.infrastructure.preference)
    if given.deposits:
        homes = np.array(given.deposits, np.int64)
        infrastructure.lab_repository = np.where(homes >= 0, homes, infrastructure.lab_repository)
