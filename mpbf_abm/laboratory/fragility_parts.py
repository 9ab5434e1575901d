"""What the fragility battery does with one community: its network, every single loss, losses of many, outages that end.

A community is taken at half of its time; what follows is compared with the same community without the loss, on the same draws.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpbf_abm.agents.world import World
from mpbf_abm.ecosystem import Ecosystem, Snapshot
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.interventions import Shock
from mpbf_abm.laboratory.battery import Setting
from mpbf_abm.measures.fragility import removal_curve
from mpbf_abm.measures.influence import influence_vector, truck_factor
from mpbf_abm.measures.keystone import LOSS, Kind, leaning, losses_from, standing
from mpbf_abm.simulation import summarise
from mpbf_abm.space.infrastructure import any_of_r, from_graph

Float = NDArray[np.float64]
Course = dict[str, Float]

CRITERIA = {
    "random": "nodes at random", "degree": "most links first", "degree-recalculated": "most links among what is left first",
    "load": "most shortest paths first",
}  # fmt: skip
ORDERS = 20  # random orders of removal, averaged
LABOUR = 0.5  # of what a node makes comes from itself, in the influence vector
ORPHANED = 0.5  # share of users left without any provider that the truck factor asks for
OUTAGE = 10  # an outage lasts 1/10 of a run
STEPS = 6  # in which all repositories are lost
BELOW = 0.5  # reinforcement that locks nobody in, for the null of early warning

# What a loss costs: whether more or less is better, the smallest effect of interest, and in words.
OUTCOMES: dict[str, tuple[Literal["more", "less"], float, str]] = {
    "found_share": ("more", 0.02, "finds, share of what is to be found"),
    "unsteered_share": ("less", 0.05, "experiments without a model, share"),
    "rmse_niche": ("less", 0.02, "error in rare families, sd"),
    "families_d1": ("more", 3.0, "breadth, effective families"),
}
WORST = "found_share"  # by which nodes are ranked
KINDS: dict[Kind, tuple[str, str]] = {
    "repository": ("repositories", "models"),
    "model": ("models", "labs"),
}  # in the plural, and who leans on them
ALL: dict[Literal["largest", "random"], str] = {"largest": "most leaned on first", "random": "at random"}
# Outages that end: shock, how nodes are chosen, and the share of them (None: the one most leaned on).
OUTAGES: dict[str, tuple[str, Literal["largest", "correlated"], float | None]] = {
    "the most leaned-on repository": (LOSS["repository"], "largest", None),
    "a quarter of the repositories, most leaned on": (LOSS["repository"], "largest", 0.25),
    "a quarter of the repositories, alike": (LOSS["repository"], "correlated", 0.25),
    "the most used model": (LOSS["model"], "largest", None),
}
PERFORMANCE = {
    "finds": "finds per tick, share of what is to be found", "steered": "labs with a working model", "visible": "records that can be read"
}  # fmt: skip


# --------------------------------------------------------------------------- what is run


def tasks(setting: Setting) -> list[tuple[int, str]]:
    """Every community and what is done with it.

    Raises
    ------
    ConfigurationError
        For a community without a second repository, models or time.
    """
    flat, faults = setting.parameters.flat(), []
    if flat["infrastructure.repositories"] < 2:
        faults.append("infrastructure.repositories = 1: must be at least 2, so that one can be lost and one is left")
    if not flat["trainers.count"]:
        faults.append("trainers.count = 0: must be at least 1; without models nobody leans on anything")
    if setting.ticks < 4:
        faults.append(f"ticks = {setting.ticks}: must be at least 4, two before a loss and two after")
    if faults:
        raise ConfigurationError(faults)
    return [(seed, part) for seed in setting.seeds() for part in PARTS]


def measure(setting: Setting, task: tuple[int, str]) -> Any:
    """One part of one community's measurements."""
    seed, part = task
    return PARTS[part](setting, seed)


@dataclass(frozen=True)
class _Community:
    """A setting and a seed; settings with policies cannot be hashed."""

    setting: Setting
    seed: int

    def __hash__(self) -> int:
        return hash(self.seed)


def halfway(setting: Setting, seed: int) -> tuple[Snapshot, Float]:
    """A community after half of its time, and its largest family's share of the records until then (start + 1,)."""
    return _halfway(_Community(setting, seed))


@lru_cache(maxsize=1)
def _halfway(community: _Community) -> tuple[Snapshot, Float]:
    """Made once by a process that does several parts of one community."""
    setting = community.setting
    eco = setting.community(community.seed)
    leading = [_leading(eco.world)]
    for _ in range(setting.ticks // 2):
        eco.step()
        leading.append(_leading(eco.world))
    snapshot = eco.snapshot()
    eco.release()
    return snapshot, np.array(leading)


def _leading(world: World) -> float:
    x = world.commons.visible()
    return float(x.max() / x.sum()) if x.any() else 0.0


def _losses(kind: Kind) -> Callable[[Setting, int], pd.DataFrame]:
    """Each node of a kind lost for good in turn."""

    def losses(setting: Setting, seed: int) -> pd.DataFrame:
        ways = {name: way for name, (way, _, _) in OUTCOMES.items()}
        return losses_from(halfway(setting, seed)[0], setting.ticks, kind=kind, better=ways)

    return losses


def _network(setting: Setting, seed: int) -> dict[str, Any]:
    """The network of repositories, models and labs, as it stands halfway."""
    world = halfway(setting, seed)[0].world
    graph, rng = world.infrastructure.graph(), np.random.default_rng(seed)
    nodes, leans = list(graph), leaning(graph)
    curves = {c: removal_curve(graph, c, rng) for c in CRITERIA if c != "random"}
    curves["random"] = np.mean([removal_curve(graph, "random", rng) for _ in range(ORDERS)], axis=0)
    # What leans on nobody gets all it needs from itself.
    needs = np.eye(len(nodes))
    for i, node in enumerate(nodes):
        providers = [nodes.index(v) for v in graph.predecessors(node)]
        if providers:
            needs[i] = np.bincount(providers, minlength=len(nodes)) / len(providers)
    weight = influence_vector(needs, LABOUR) * len(nodes)
    out: dict[str, Any] = {"curves": curves, "influence": float(weight.max())}
    network = from_graph(leans, any_of_r(world.infrastructure.need))
    stands = network.fail([])
    for kind, (_, users) in KINDS.items():
        roles = standing(world, kind)["role"].to_numpy()
        falls = np.array([(stands & ~network.fail([(kind, i)])).sum() for i in range(len(roles))])
        # Of all but itself, if it worked.
        others = (falls - stands[[nodes.index((kind, i)) for i in range(len(roles))]]) / (len(nodes) - 1)
        out[f"cascade {kind}"], out[f"cascade {kind}, any"] = float(others[roles == 1][0]), float(others.mean())
        out[f"truck {kind}"] = truck_factor({v: leans.predecessors(v) for v in nodes if v[0] == users[:-1]}, ORPHANED)
    return out


def _shares_lost(target: Literal["largest", "random"]) -> Callable[[Setting, int], dict[int, float]]:
    """Finds lost with so many repositories, for good."""

    def lost(setting: Setting, seed: int) -> dict[int, float]:
        snapshot, _ = halfway(setting, seed)
        count = setting.parameters.infrastructure.repositories
        spared = _found(snapshot, setting.ticks)
        out = {0: 0.0}
        for n in levels(count)[1:]:
            shock = Shock(name="repository_outage", start=snapshot.world.tick, strength=n / count, target=target)
            out[n] = spared - _found(snapshot, setting.ticks, shock)
        return out

    return lost


def levels(repositories: int) -> list[int]:
    """Numbers of repositories that are lost together."""
    return sorted({0, 1, *(round(repositories * i / STEPS) for i in range(STEPS + 1))})


def _found(snapshot: Snapshot, ticks: int, *shocks: Shock) -> float:
    eco = Ecosystem.restore(snapshot, shocks=(*snapshot.shocks, *shocks))
    while eco.tick < ticks:
        eco.step()
    eco.release()
    return summarise(eco)["found_share"]


def _outages(setting: Setting, seed: int) -> dict[str, Course]:
    """Performance tick by tick, spared and with every outage."""
    snapshot, _ = halfway(setting, seed)
    start = snapshot.world.tick
    end = start + max(1, setting.ticks // OUTAGE)
    out = {"spared": _course(snapshot, setting.ticks)}
    for name, (shock, target, share) in OUTAGES.items():
        if share is None:
            kind: Kind = "repository" if shock == LOSS["repository"] else "model"
            node = int(standing(snapshot.world, kind)["role"].to_numpy().argmin())
            hit = Shock(name=shock, start=start, end=end, target=node)
        else:
            hit = Shock(name=shock, start=start, end=end, target=target, strength=share)
        out[name] = _course(snapshot, setting.ticks, hit)
    return out


def _course(snapshot: Snapshot, ticks: int, *shocks: Shock) -> Course:
    """Performance after each tick from a snapshot on, arrays (ticks - start,)."""
    eco = Ecosystem.restore(snapshot, shocks=(*snapshot.shocks, *shocks))
    world = eco.world
    rows: list[tuple[float, float, float]] = []
    while eco.tick < ticks:
        found = world.found
        eco.step()
        members = world.infrastructure.members
        works = world.infrastructure.working_labs()[members]
        everything = world.commons.mass + world.commons.records_by_family()
        rows.append((
            # An objective that shifts counts finds anew.
            max(0, world.found - found) / max(1, world.existing), float(works.mean()) if len(works) else 0.0,
            float(world.commons.visible().sum() / max(1.0, everything.sum())),
        ))  # fmt: skip
    eco.release()
    return dict(zip(PERFORMANCE, np.array(rows).T, strict=True))


def _warning(setting: Setting, seed: int) -> dict[str, Any]:
    """Largest share until halfway, here and in a community that nothing locks in, and at the end."""
    snapshot, leading = halfway(setting, seed)
    eco = Ecosystem.restore(snapshot)
    while eco.tick < setting.ticks:
        eco.step()
    eco.release()
    changes = {
        f"{who}.reinforcement": min(BELOW, setting.parameters.flat()[f"{who}.reinforcement"])
        for who in ("planners", "curators")
    }
    calm = Setting(setting.parameters.updated(changes), policies=setting.policies, shocks=setting.shocks)
    other = calm.community(seed)
    quiet = [_leading(other.world)]
    for _ in range(setting.ticks // 2):
        other.step()
        quiet.append(_leading(other.world))
    other.release()
    return {"leading": leading, "calm": np.array(quiet), "end": _leading(eco.world)}


PARTS: dict[str, Callable[[Setting, int], Any]] = {
    "network": _network, **{kind: _losses(kind) for kind in KINDS}, **{target: _shares_lost(target) for target in ALL}, "outages": _outages,
    "warning": _warning,
}  # fmt: skip
