"""Adoption: which models planners depend on, and the track records that they choose by (in phases steer and couple)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.arrays import Float, Int
from mpbf_abm.model.links import NONE, choose_links, reached, users
from mpbf_abm.model.rivalry import credit
from mpbf_abm.model.steering import integrity_weights
from mpbf_abm.model.world import Experiments, World
from mpbf_abm.streams import Streams

INTERVAL = 1.959964  # standard normal quantile of the claimed 95 % interval
LABS_AT_ONCE = 256  # whose clocks for all others are in memory together


def adopt(world: World) -> None:
    """Let planners reconsider which models they depend on."""
    p, planners, registry = world.p.planners, world.planners, world.registry
    links = world.infrastructure.lab_models
    works, closing = world.infrastructure.working_models(), world.infrastructure.leaving_models()
    world.infrastructure.unready = world.infrastructure.ready > world.tick
    served = (registry.covered() & works & ~closing)[planners.property]
    able = served.any(axis=1)
    if not able.any():
        return
    u = world.uniform("planner.reconsider", planners, 1)[:, 0]
    review = able & (
        (u < p.adoption_rate)
        | reached(links, closing).any(axis=1)
        | (links[:, 0] == NONE)
        | (links == NONE).any(axis=1) & (served.sum(axis=1) > (links != NONE).sum(axis=1))
    )
    if p.entry:
        waiting = np.flatnonzero(able & (links[:, 0] == NONE))
        review[waiting[np.argsort(planners.slots[waiting])][p.entry :]] = False
    rows = np.flatnonzero(review)
    if not len(rows):
        return
    if p.adoption == "utility":
        useful, own = utility(world)
        useful = useful * foresight(world)
        weight = np.where(served[rows], useful[rows], -np.inf)
        # Between models of equal use taste decides (rounded, since sums of decimals are not exact).
        order = np.lexsort((~own[rows], -np.round(weight, 9)), axis=1)[:, : links.shape[1]]
        chosen = np.where(np.isneginf(np.take_along_axis(weight, order, axis=1)), NONE, order)
        chosen = np.pad(chosen, ((0, 0), (0, links.shape[1] - chosen.shape[1])), constant_values=NONE)
    else:
        clocks = world.clocks("planner.adopt", planners, len(works))[rows][:, world.trainers.slots]
        # Who only has a place to fill keeps the links it has.
        keep = np.where((u < p.adoption_rate)[:, None] | reached(links, closing), NONE, links)[rows]
        weight = adoption_weights(world, rows) * foresight(world)[rows] * served[rows]
        if (trust := integrity_weights(world)) is not None:
            weight *= trust.reshape(world.space.properties, -1)[planners.property[rows]]
        chosen = choose_links(clocks, weight, links.shape[1], keep)
    if p.switching_time and world.tick:
        learn_to_use(world, rows, chosen)
    newly = chosen[:, 0] != links[rows, 0]
    registry.adoptions += users(chosen[newly, 0], len(works))
    links[rows] = chosen
    for t in range(len(registry.users)):
        registry.users[t] = users(links[planners.property == t, 0], len(works))


def foresight(world: World) -> Float:
    """What the use of each model is worth to each lab from now on, against one that it works with already (L, M).

    With downtime tau at no use and a discount b, a model that it does not know pays b^tau as much: a lab that is at
    best switches iff the gain exceeds ``u (b^-tau - 1)``, u the utility of what it has.
    """
    p, links = world.p.planners, world.infrastructure.lab_models
    worth = np.full((len(links), len(world.trainers)), p.discount**p.switching_time)
    at, place = np.nonzero(links >= 0)
    worth[at, links[at, place]] = 1.0
    return worth


def learn_to_use(world: World, rows: Int, chosen: Int) -> None:
    """Let labs spend their switching time on models that they have not used until now (n, links)."""
    infrastructure = world.infrastructure
    fresh = (chosen >= 0) & ~(chosen[:, :, None] == infrastructure.lab_models[rows][:, None, :]).any(axis=2)
    at, place = np.nonzero(fresh)
    infrastructure.ready[rows[at], chosen[at, place]] = world.tick + world.p.planners.switching_time
    infrastructure.unready = infrastructure.ready > world.tick


def adoption_weights(world: World, rows: Int) -> Float:
    """Weight of each model for some planners: track record, shared with collaborators, and popularity (n, M).

    Both are of the planner's own property: of collaborators that seek it too, and of planners that do.
    """
    p, planners = world.p.planners, world.planners
    near = world.collaborators[rows]
    share = 1.0 / max(1, near.shape[1])
    alike = (planners.property[near] == planners.property[rows, None])[..., None]

    def shared(record: Float) -> Float:
        theirs = record[near] if world.space.properties == 1 else record[near] * alike
        return np.asarray(record[rows] + share * theirs.sum(axis=1))

    hits, misses = shared(planners.hits), shared(planners.misses)
    track = ((1 + hits) / (2 + hits + misses)) ** p.selectivity
    popular = world.registry.users[planners.property[rows]] + 1.0
    track = track / track.sum(axis=1, keepdims=True)
    return np.asarray((1 - p.social) * track + p.social * popular / popular.sum(axis=1, keepdims=True))


def utility(world: World) -> tuple[Float, NDArray[np.bool_]]:
    """Return ``g_{type,m} + r n_m`` (Arthur 1989), and which model is to each planner's taste (L, M)."""
    p, planners = world.p.planners, world.planners
    models = len(world.trainers)
    types = max(1, len(p.utility_gaps))
    taste = np.zeros((types, models))
    for k, gap in enumerate(p.utility_gaps[:models]):
        taste[k, world.trainers.slots == k] = gap
    kind = (planners.by_row(world.streams.uniform("planner.type", 0, len(planners))) * types).astype(np.int64)
    return taste[kind] + p.utility_returns * world.registry.users[planners.property], kind[
        :, None
    ] == world.trainers.slots


def choose_collaborators(streams: Streams, labs: int, neighbours: int) -> Int:
    """Let each lab pick the others with the smallest keyed clocks: their rows, nearest first (labs, c)."""
    take = max(0, min(neighbours, labs - 1))
    near = np.empty((labs, take), np.int64)
    if not take:
        return near
    draws = streams.generator("found.collaborators")
    for first in range(0, labs, LABS_AT_ONCE):
        rows = np.arange(first, min(first + LABS_AT_ONCE, labs))
        clocks = draws.standard_exponential((len(rows), labs))
        clocks[rows - first, rows] = np.inf
        nearest = np.argpartition(clocks, take - 1, axis=1)[:, :take]
        order = np.take_along_axis(clocks, nearest, axis=1).argsort(axis=1)
        near[rows] = np.take_along_axis(nearest, order, axis=1)
    return near


def fade(world: World) -> None:
    """Let track records and claimed discoveries fade."""
    for name in ("hits", "misses", "claims"):
        world.planners.columns[name] *= world.p.planners.memory


def keep_track(world: World, results: Experiments) -> None:
    """Update track records, own bests and claimed discoveries."""
    p, planners = world.p.planners, world.planners
    made = ~np.isnan(results.observed)
    tested = made & (results.model >= 0) & ~np.isnan(results.predicted)
    spot = (results.planner[tested], results.model[tested] % max(1, len(world.trainers)))
    width = INTERVAL * np.sqrt(results.claimed_sd[tested] ** 2 + results.variance[tested])
    inside = np.abs(results.observed[tested] - results.predicted[tested]) <= width
    np.add.at(planners.hits, spot, inside.astype(np.float64))
    np.add.at(planners.misses, spot, (~inside).astype(np.float64))
    # What is above the threshold is always published.
    claimed = made & (np.nan_to_num(results.observed) > p.publication_threshold)
    np.add.at(planners.claims, results.planner[claimed], credit(world, results, np.flatnonzero(claimed)))
    order = np.flatnonzero(made)[np.argsort(results.observed[made], kind="stable")]
    who, value = results.planner[order], results.observed[order]
    better = value > planners.best_value[who]
    # Ascending order: the last assignment to a planner is its best of the tick.
    planners.best_material[who[better]] = results.material[order][better]
    planners.best_value[who[better]] = value[better]
