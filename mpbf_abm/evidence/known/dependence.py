"""Dependence with frictions: outages and repairs, switching, search, notice and migration (rows D1 to D3)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from mpbf_abm.evidence.known.rows import (
    ONE_FAMILY,
    Check,
    grouped,
    mean_error,
    mutation,
    parameter,
    row,
    seeds,
    share_error,
    variance_error,
)
from mpbf_abm.model import closures, stocks, trainers
from mpbf_abm.model.adoption import foresight, learn_to_use
from mpbf_abm.model.commons import Commons
from mpbf_abm.model.community import Community
from mpbf_abm.model.links import Infrastructure
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.run import begin
from mpbf_abm.model.shocks import Shock
from mpbf_abm.model.spec import RunSpec
from mpbf_abm.parameters import Parameters

MARKOV = "two-state Markov chain in discrete time: stationary share, variance of the time mean"
NODES = 400  # hosts, and repositories, of one community
WARM = 60  # ticks before outages are counted


def community(seed: int, changes: dict[str, Any], *shocks: Shock, materials: int = 40) -> Community:
    """Return the null community of one family with some changes, before its first tick."""
    p = Parameters.null(**(ONE_FAMILY | grouped(space={"materials": materials}) | changes))
    return begin(RunSpec(p, seed, shocks=shocks, space=MaterialsSpace.synthetic(p, seed=0)), record=())


# --------------------------------------------------------------------------- D1: outages and repairs


@row("D1", "Availability of nodes that fail and are repaired", MARKOV)
def availability(
    seed: int,
    hazard: float = parameter(0.05, "outages per node and tick", 0.001, 1),
    repair: float = parameter(0.2, "chance of repair per tick", 0.01, 1),
    n: int = parameter(200, "ticks counted", 10, 100_000, fast=100),
    runs: int = parameter(10, "runs of the model", 3, 10**5, fast=4),
) -> Iterator[Check]:
    """Share of time that hosts and repositories work, and how it varies between nodes; health does not change."""
    p = -math.expm1(-hazard)
    A, after = repair / (repair + p), 1 - p - repair
    variance = A * (1 - A) / n * ((1 + after) / (1 - after) - 2 * after * (1 - after**n) / (n * (1 - after) ** 2))
    changes = grouped(
        founding={"records": 0},
        curators={"count": 0},
        trainers={"count": 1},
        planners={"count": 0},
        infrastructure={"repositories": NODES, "service": "host", "hosts": NODES},
        stocks={"hazard": hazard, "repair": repair, "wear": 0.0, "upkeep": 0.0},
    )
    means: dict[str, list[np.ndarray[Any, Any]]] = {"hosts": [], "repositories": []}
    for s in seeds(seed, "D1", runs):
        eco, up = community(s, changes), {kind: np.zeros(NODES) for kind in means}
        for tick in range(WARM + n):
            eco.step()
            for kind in means:
                if tick >= WARM:
                    up[kind] += ~getattr(eco.world.infrastructure, f"down_{kind}") / n
        for kind, share in up.items():
            means[kind].append(share)
    for kind, shares in means.items():
        note = "r/(r + p), p = 1 - exp(-hazard)"
        yield Check(f"{kind}: share of time that they work", A, *mean_error(np.concatenate(shares)), note=note)
        note = "A(1 - A)(1 + l)/((1 - l) n) in long runs, l = 1 - p - r; exact at this length"
        yield Check(
            f"{kind}: variance of it between nodes", variance, *variance_error(np.concatenate(shares)), note=note
        )


# --------------------------------------------------------------------------- D2: switching


@row("D2", "A lab switches iff the gain outweighs the downtime", "discounted sums: gap above u (b^-tau - 1)")
def switching(
    seed: int,
    labs: int = parameter(20, "labs, all on the first model", 4, 1_000),
    r: float = parameter(0.5, "returns to adoption, so that u = r labs", 0, 100, True),
    tau: int = parameter(3, "ticks of switching", 1, 100),
    b: float = parameter(0.9, "discount per tick", 0, 1, True),
) -> list[Check]:
    """Which tastes for a model that comes back are large enough to switch to it, and what switching costs in ticks.

    A stream u from now on is worth u / (1 - b); after tau ticks at no use, v is worth b^tau v / (1 - b).
    """
    u = r * labs
    threshold = u * b**-tau
    rows, wrong, unsteered, due = [], 0, 0, 0
    for taste in (0.6 * threshold, 0.98 * threshold, 1.02 * threshold, 1.6 * threshold):
        rules = {"adoption": "utility", "adoption_rate": 1.0, "utility_gaps": (0.0, taste), "utility_returns": r}
        changes = grouped(
            founding={"records": 20},
            curators={"count": 0},
            trainers={"count": 2, "retrain_interval": 10_000},
            planners={"count": labs, "experiments": 1.0, "repeats": True, "switching_time": tau, "discount": b} | rules,
            infrastructure={"providers": 1},
            stocks={"repair": 1.0},
        )
        # The second model is withdrawn until all labs can work with the first.
        away = Shock(name="model_withdrawal", start=1, end=tau + 3, target=1)
        eco = community(seeds(seed, "D2", 1)[0], changes, away)
        for _ in range(tau + 4):
            eco.step()
        before = eco.world.totals.unsteered
        for _ in range(tau + 2):
            eco.step()
        uses = eco.world.infrastructure.model_in_use()
        draws = eco.world.streams.uniform("planner.type", 0, labs)
        second = (draws * 2).astype(int) == 1
        expected = np.where(second & (taste > threshold), 1, 0)
        wrong += int((uses != expected).sum())
        rows.append(int((uses == 1).sum()))
        unsteered += eco.world.totals.unsteered - before
        due += int(expected.sum()) * tau
    return [
        Check(f"labs that choose otherwise, of {4 * labs}", 0, wrong, note=f"threshold {threshold:.4g}, u = {u:g}"),
        Check("experiments without a model while labs learn", due, unsteered, note="tau for each lab that switches"),
        Check("labs that switch", 0, sum(rows), relation=">"),
    ]


# --------------------------------------------------------------------------- D3: search, notice, migration


@row("D3", "Search takes its time; what migrates is not lost", "by definition of the rules")
def endings(
    seed: int,
    tau: int = parameter(4, "ticks of search", 1, 50),
    notice: int = parameter(3, "ticks of notice", 1, 50),
    share: float = parameter(0.4, "share that migrates", 0, 1),
    records: int = parameter(2_000, "founding records", 100, 100_000, fast=1_000),
) -> Iterator[Check]:
    """Ticks until trainers that lost their only source have another; records in sight after the end."""

    def after(ticks: int, **infrastructure: Any) -> tuple[list[int], Community]:
        """Return at which ticks from the loss on some trainer lacks a source, and the community then."""
        changes = grouped(
            founding={"records": records},
            curators={"count": 0},
            trainers={"count": 6, "retrain_interval": 1, "records": 50},
            planners={"count": 0},
            infrastructure={"repositories": 3, "providers": 1, "openness": 0.0, "rewiring": 0.0} | infrastructure,
        )
        lost = Shock(name="repository_outage", start=2, target=0)
        eco, lacking = community(seeds(seed, "D3", 1)[0], changes, lost, materials=400), []
        for tick in range(2 + ticks):
            eco.step()
            if tick >= 2 and not eco.world.infrastructure.fed().all():
                lacking.append(tick - 2)
        return lacking, eco

    for wait in (0, tau):
        lacking, eco = after(tau + 2, search_time=wait)
        yield Check(f"ticks without a source, search {wait}", wait, len(lacking))
    yield Check(f"the same with notice of {tau}", 0, len(after(2 * tau + 2, search_time=tau, notice=tau)[0]))
    yield Check("ticks until the end, announced", notice, _ended(after(notice + 2, notice=notice)[1]))
    held = int((eco.world.commons.repository == 0).sum())
    yield Check("records in sight, nothing migrates", records - held, _seen(eco))
    yield Check("records in sight, all migrate", records, _seen(after(2, migration=1.0)[1]))
    some = _seen(after(2, migration=share)[1]) - (records - held)
    yield Check("share that migrates", share, *share_error(some, held))


def _seen(eco: Community) -> float:
    """Return how many records are in sight."""
    return float((eco.world.commons.visible() - eco.world.commons.mass).sum())


def _ended(eco: Community) -> int:
    """Return after how many ticks from the announcement the first repository ended."""
    return int(eco.world.infrastructure.closing_repositories[0]) - 2 if eco.world.commons.down[0] else -1


# --------------------------------------------------------------------------- injected faults

mutation("a node that fails can be repaired at once with the next", stocks.outages, "D1")(
    lambda right, world: (right(world), right(world))[0]
)
mutation("downtime is not discounted", foresight, "D2")(lambda right, world: np.ones_like(right(world)))
mutation("a lab can use a new model at once", learn_to_use, "D2")(lambda _, *_a: None)
mutation("no trainer searches", trainers.search, "D3")(lambda _, _world: None)
mutation("ends come without notice", closures.announce, "D3")(
    lambda right, world, kind, nodes: getattr(world.infrastructure, f"closing_{kind}").put(nodes, world.tick)
)
mutation("records migrate to nowhere", Commons.move, "D3")(lambda _, *_a: None)
mutation("a model needs its data and its host", Infrastructure.fed, "D3")(
    lambda right, infrastructure: right(infrastructure) & (infrastructure.host >= 0)
)
