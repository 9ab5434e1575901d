"""Ensembles: many histories of one null community advanced together, with the bits of each one alone.

Without models, what families hold follows from attention and from the keyed clocks of curators and planners:
no rule reads materials or labels. A tick of all histories then is one array operation for each rule, and a history
costs little more than its draws. :class:`mpbf_abm.Ecosystem` is the oracle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from mpbf_abm.arrays import Float, Int
from mpbf_abm.errors import lines_where, refuse
from mpbf_abm.model.attention import crowd
from mpbf_abm.model.founding import check_fit, found_community, founding_families, founding_mass
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.stocks import fund
from mpbf_abm.parameters import CuratorParameters, Parameters, PlannerParameters
from mpbf_abm.processes import one_thread
from mpbf_abm.streams import Streams, race

# What makes families' records depend on more than attention and clocks, unless it has this value.
NEEDED: dict[str, object] = {
    "trainers.count": 0,
    "curators.measured_quota": 0.0,
    "curators.audit_rate": 0.0,
    "curators.response_dal": 0.0,
    "curators.coverage_seeking": 0.0,
    "commons.forgetting": 0.0,
    "commons.concentration": 0.0,
    "commons.discount": 0.0,
    "stocks.hazard": 0.0,
    "infrastructure.specialisation": 0.0,
    "infrastructure.enumerators": 0,
    "infrastructure.known": 0,
    "founding.year": 0,
}
OF_PLANNERS: dict[str, object] = {
    "planners.repeats": True,
    "planners.publication_bias": 0.0,
    "coupling.outer_loop": 1.0,
    "stocks.merit_share": 0.0,
    "stocks.lottery_share": 0.0,
}


def obstacles(parameters: Parameters, space: MaterialsSpace) -> list[str]:
    """Return why histories of a community cannot be advanced together; empty where they can."""
    p = parameters
    misfiled = p.curators.provenance_errors * (1 - p.curators.qa) > 0
    every = NEEDED | (OF_PLANNERS if p.planners.count else {})
    values = [(path, p.value(path), needed) for path, needed in every.items()]
    return lines_where(
        *((given != needed, f"{path} = {given!r}: an ensemble needs {needed!r}") for path, given, needed in values),
        (sum(p.curators.modality_mix[1:]) > 0, "curators.modality_mix: an ensemble needs one kind of data, the first"),
        (misfiled, "curators.provenance_errors: an ensemble needs 0, or curators.qa = 1"),
        (p.founding.records and space.families == 1, "space.families = 1: an ensemble needs more"),
    )


def family_masses(
    parameters: Parameters,
    seeds: Sequence[int],
    ticks: int | Sequence[int],
    *,
    space: MaterialsSpace,
    reseed: Sequence[Mapping[int, int]] | None = None,
) -> Float:
    """Return founding mass plus visible records of each family after some ticks, in many histories.

    Parameters
    ----------
    parameters : Parameters
        A null community (:meth:`Parameters.null`), with any reinforcement, exploration, adjacency and founding.
    seeds : sequence of int
        Root seed of each of R histories.
    ticks : int or increasing sequence of int
        Ticks after which to observe, T of them.
    space : MaterialsSpace
        Shared by all histories.
    reseed : sequence of mapping, optional
        For each history what :class:`~mpbf_abm.streams.Streams` takes as `later`.

    Returns
    -------
    float (R, K), or (R, T, K) for several ticks

    Raises
    ------
    ConfigurationError
        For a community whose families depend on more than attention and clocks, one line for each reason.

    Examples
    --------
    >>> p = Parameters.null(**{"space.families": 3, "planners.count": 0})
    >>> space = MaterialsSpace.synthetic(p, seed=0)
    >>> family_masses(p, [1, 2], 12, space=space).shape
    (2, 3)
    """
    check_fit(parameters, space.size, space.families, space.year)
    faults = obstacles(parameters, space)
    refuse(faults, faults)
    times = [ticks] if isinstance(ticks, (int, np.integer)) else list(ticks)
    wanted = set(times)
    later = [None] * len(seeds) if reseed is None else list(reseed)
    streams = [Streams(seed, after) for seed, after in zip(seeds, later, strict=True)]
    with one_thread():
        seen = [x.copy() for t, x in enumerate(_histories(parameters, streams, space, max(times))) if t in wanted]
    return seen[0] if isinstance(ticks, (int, np.integer)) else np.stack(seen, axis=1)


def _attention(of: CuratorParameters | PlannerParameters, x: Float, space: MaterialsSpace) -> Float:
    """Return the shares of attention that masses draw (R, K)."""
    return crowd(x, max(of.exploration, of.exploration_floor), of.adjacency, of.reinforcement, space.similarity)


def _histories(p: Parameters, streams: list[Streams], space: MaterialsSpace, ticks: int) -> Iterator[Float]:
    """Return masses (R, K) at the start and after each tick, in one array that goes on changing."""
    x = np.tile(founding_mass(p, space.families), (len(streams), 1))
    if p.founding.records:
        shape = (p.founding.records, 8)
        _enter(x, np.array([founding_families(p, space, s.uniform("found.record", 0, shape)[:, 0]) for s in streams]))
    # Budgets do not depend on what is found: one community without data counts for all.
    budgets = found_community(p.replace("founding.records", 0), Streams(0), space)

    yield x
    for tick in range(ticks):
        if p.curators.count and p.curators.records:
            share = _attention(p.curators, x, space)
            for j in range(p.curators.records):
                _enter(x, _races(streams, f"curator.family.{j}", tick, p.curators.count, share, space))
        if p.planners.count:
            fund(budgets)
            share = _attention(p.planners, x, space)
            for j in range(int(budgets.planners.budget.max())):
                chosen = _races(streams, f"planner.family.{j}", tick, p.planners.count, share, space)
                _enter(x, chosen[:, budgets.planners.budget > j])
        yield x


def _races(streams: list[Streams], decision: str, tick: int, agents: int, share: Float, space: MaterialsSpace) -> Int:
    """Return the family that each agent chooses in each history (R, n)."""
    clocks = np.empty((len(streams), agents, space.families))
    for one, out in zip(streams, clocks, strict=True):
        one.generator(decision, tick).standard_exponential(out=out)
    if not space.keys_in_order:
        clocks = clocks[:, :, space.family_keys]
    return race(clocks, share[:, None])


def _enter(x: Float, families: Int) -> None:
    """Count a record for each chosen family (R, n), one at a time as the commons does."""
    np.add.at(x.reshape(-1), (np.arange(len(x))[:, None] * x.shape[1] + families).reshape(-1), 1.0)
