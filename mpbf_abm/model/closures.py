"""Ends of repositories, models and hosts: announced or not, with or without their records (phases events, maintain)."""

from __future__ import annotations

import numpy as np

from mpbf_abm.arrays import Int
from mpbf_abm.model.links import NEVER, NONE
from mpbf_abm.model.world import World
from mpbf_abm.streams import race


def serve(world: World) -> None:
    """Let models be served as the parameters in force say: by hosts dealt in turn, or as long as they can be trained.

    Weights of the models with the smallest keyed numbers are open, but those whose licence has ended.
    """
    p, infrastructure = world.p.infrastructure, world.infrastructure
    hosted, slots = p.service == "host", world.trainers.slots
    infrastructure.host = slots % p.hosts if hosted else np.full(len(slots), NONE, np.int64)
    u = world.trainers.by_row(world.streams.uniform("infrastructure.open_weights", 0, len(slots)))
    infrastructure.open_weights = (u < p.open_weights) & ~infrastructure.revoked


def announce(world: World, kind: str, nodes: Int) -> None:
    """Announce the end of repositories or models, for so many ticks ahead as is the community's notice."""
    closing = getattr(world.infrastructure, f"closing_{kind}")
    closing[nodes] = np.minimum(closing[nodes], world.tick + world.p.infrastructure.notice)


def close(world: World) -> None:
    """End what was announced for now: a share of what a repository holds moves on, the rest is lost with it."""
    infrastructure = world.infrastructure
    repositories = np.flatnonzero(infrastructure.closing_repositories == world.tick)
    models = np.flatnonzero(infrastructure.closing_models == world.tick)
    for repository in repositories.tolist():
        migrate(world, repository)
    infrastructure.fail_repositories(repositories, NEVER)
    infrastructure.fail_models(models, NEVER)
    world.totals.outages += len(repositories) + len(models)
    world.commons.notice()


def migrate(world: World, repository: int) -> None:
    """Hand a share of a repository's records and structures to one other, drawn by size; none is left to take them.

    Which ones follows from a keyed number of each; federated ones are elsewhere already.
    """
    share, commons, structures = world.p.infrastructure.migration, world.commons, world.structures
    R = commons.repositories
    staying = world.infrastructure.staying_repositories()
    if not share or not staying.any():
        return
    size = (commons.counts[:R].sum(axis=1) + 1.0) * staying
    heir = int(race(world.streams.exponential("infrastructure.heir", world.tick, (R, R))[repository], size))
    rows = np.flatnonzero(commons.alive & (commons.repository == repository) & ~commons.federated)
    commons.move(rows[world.streams.record_uniform("infrastructure.migration", commons.key[rows]) < share], heir)
    held = np.flatnonzero((structures.repository == repository) & ~structures.federated)
    moved = held[world.streams.record_uniform("infrastructure.migration", structures.key[held]) < share]
    structures.repository[moved] = heir
