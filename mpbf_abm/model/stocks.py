"""Stocks and flows: funding, compute, health and attention (phases 2 and 7).

A stock changes through named flows only, and every tick checks that stocks and flows balance. Updates
are defined in discrete time (one tick is about a month): they are difference equations, not an
approximation of differential ones.
"""

from __future__ import annotations

import numpy as np

from mpbf_abm.arrays import Float, Int
from mpbf_abm.model.world import World


def totals(world: World) -> dict[str, float]:
    """Present total of every stock."""
    stocks = {
        "funding": world.planners.funding,
        "compute": world.trainers.compute,
        "attention": world.planners.attention,
        "repository health": world.health_repositories,
        "model health": world.health_models,
    }
    return {name: float(np.add.reduce(stock)) for name, stock in stocks.items()}


# --------------------------------------------------------------------------- phase fund


def fund(world: World) -> None:
    """Give income, and turn it into whole experiments whose total is fixed."""
    books, p, planners, trainers = world.books, world.p, world.planners, world.trainers
    books.open(**totals(world))
    if len(planners):
        income = len(planners) * p.planners.experiments * p.stocks.funding
        planners.funding[...] += income * funding_shares(world)
        books.flow("funding", "income", income)
        planners.budget[...] = apportion(planners.funding, planners.slots)
        planners.funding[...] -= planners.budget
        books.flow("funding", "experiments", -float(planners.budget.sum()))
        inflow = np.minimum(p.stocks.attention, p.stocks.attention_cap - planners.attention)
        planners.attention[...] += inflow
        planners.judged[...] = 0.0
        books.flow("attention", "inflow", float(inflow.sum()))
    if len(trainers):
        trainers.spent[...] = 0.0
        income = p.stocks.compute / p.trainers.retrain_interval
        room = np.minimum(income, np.maximum(0.0, 4 * p.stocks.compute - trainers.compute))
        trainers.compute[...] += room
        books.flow("compute", "income", float(room.sum()))


def funding_shares(world: World) -> Float:
    """Share of each planner in the income: merit on claimed discoveries, lottery, equal rest."""
    p, planners = world.p.stocks, world.planners
    n = len(planners)
    equal = lottery = np.full(n, 1.0 / max(n, 1))
    if not n or (not p.merit_share and not p.lottery_share):
        return equal
    merit = (planners.claims + 1.0) ** p.matthew
    merit = merit / merit.sum()
    if p.lottery_share:
        # Half of the planners win, by keyed draw, and share the pot.
        u, winners = world.uniform("fund.lottery", planners, 1)[:, 0], max(1, n // 2)
        lottery = np.zeros(n)
        lottery[np.argsort(u, kind="stable")[:winners]] = 1.0 / winners
    merit_share = min(p.merit_share, 1 - p.lottery_share)
    return np.asarray(merit_share * merit + p.lottery_share * lottery + (1 - merit_share - p.lottery_share) * equal)


def apportion(claims: Float, slots: Int) -> Int:
    """Whole experiments by largest remainder: their total is the whole part of the claims' total.

    Parameters
    ----------
    claims : float (n,)
        Funding at hand, in experiments; negative claims get nothing.
    slots : int (n,)
        Identity of the claimants: equal remainders go to the lowest.
    """
    positive = np.maximum(claims, 0.0)
    total = int(np.floor(claims.sum() + 1e-9))
    if total <= 0 or positive.sum() <= 0:
        return np.zeros(len(claims), np.int64)
    quota = positive * (total / positive.sum())
    whole = np.floor(quota + 1e-9).astype(np.int64)
    rest = total - int(whole.sum())
    whole[np.lexsort((slots, -np.round(quota - whole, 9)))[:rest]] += 1
    return np.asarray(whole)


# --------------------------------------------------------------------------- phase maintain


def maintain(world: World) -> None:
    """Spend attention, wear and keep up nodes, let outages and repairs happen, and check the books."""
    books, p = world.books, world.p.stocks
    if len(world.planners):
        world.planners.attention[...] -= world.planners.judged
        books.flow("attention", "candidates judged", -float(world.planners.judged.sum()))
    if len(world.trainers):
        books.flow("compute", "training", -float(world.trainers.spent.sum()))
    infrastructure = world.infrastructure
    for stock, health, load in (
        ("repository health", world.health_repositories, infrastructure.repository_load()),
        ("model health", world.health_models, infrastructure.model_load()),
    ):
        if len(health) and (p.wear or p.upkeep):
            mean = load.mean()
            worn = np.minimum(health, p.wear * (load / mean if mean > 0 else np.ones_like(load)))
            health -= worn
            books.flow(stock, "wear", -float(worn.sum()))
            kept = np.minimum(1.0 - health, p.upkeep)
            health += kept
            books.flow(stock, "upkeep", float(kept.sum()))
    outages(world)
    books.check(**totals(world))


def outages(world: World) -> None:
    """Let nodes fail with a hazard that grows as health falls, and be repaired."""
    p, infrastructure = world.p.stocks, world.infrastructure
    nodes = [
        ("repository", world.health_repositories, infrastructure.down_repositories, infrastructure.until_repositories),
        ("model", world.health_models, infrastructure.down_models, infrastructure.until_models),
    ]
    if (infrastructure.host >= 0).any():  # hosts serve others, too, whose upkeep they live on: their health is full
        full = np.ones(len(infrastructure.down_hosts))
        nodes.append(("host", full, infrastructure.down_hosts, infrastructure.until_hosts))
    for kind, health, down, until in nodes:
        if not len(health) or not (p.hazard or down.any()):
            continue
        u = world.streams.uniform(f"maintain.{kind}", world.tick, (len(health), 2))
        repaired = down & (until <= world.tick) & (u[:, 1] < p.repair)
        hazard = -np.expm1(-p.hazard * np.exp(p.hazard_steepness * (1.0 - health)))
        failed = ~down & (u[:, 0] < hazard)
        down[repaired] = False
        down[failed] = True
        until[failed] = world.tick + 1
        world.totals.outages += int(failed.sum())
        if kind != "host":
            world.books.flow(f"{kind} health", "repair", float((1.0 - health[repaired]).sum()))
        health[repaired] = 1.0
    world.commons.notice()
