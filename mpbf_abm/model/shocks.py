"""Shocks: what can happen to a community, and the phase events, in which policies and shocks act.

Each shock is one function, whose first line is its help. Shocks act through keyed draws, so that an arm is
bit-identical to the baseline before its start tick.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from mpbf_abm.arrays import Int
from mpbf_abm.data.synthetic import top_set
from mpbf_abm.errors import did_you_mean, lines_where
from mpbf_abm.identity import first_line, name_of, own
from mpbf_abm.model.adoption import adopt
from mpbf_abm.model.closures import announce, close, serve
from mpbf_abm.model.interventions import Event, Policy, follow, in_force
from mpbf_abm.model.links import NEVER
from mpbf_abm.model.materials import deviation
from mpbf_abm.model.trainers import link_trainers
from mpbf_abm.model.world import World, start_counting
from mpbf_abm.parameters import Parameters

TARGETS = ("random", "largest", "correlated")
Act = Callable[[World, "Shock"], None]


@dataclass(frozen=True)
class ShockKind:
    """A shock that users can name: what it does, its usual strength, and its act.

    Attributes
    ----------
    nodes : str, optional
        Parameter that says how many nodes there are, for shocks that hit nodes.
    """

    help: str
    strength: float
    act: Act
    nodes: str | None = None


SHOCKS: dict[str, ShockKind] = {}
NODES: dict[str, str] = {}


def shock(strength: float, *, nodes: str | None = None, name: str | None = None) -> Callable[[Act], Act]:
    """Register a shock: a function of the world and the :class:`Shock`, called at every tick while it lasts.

    Parameters
    ----------
    strength : float
        Usual strength, 0 to 1.
    nodes : str, optional
        Parameter that says how many nodes there are, for shocks that hit nodes.
    name : str, optional
        The function's name if not given; the first line of its docstring is the help.

    Raises
    ------
    ConfigurationError
        If there is a shock of that name.
    """

    def register(act: Act) -> Act:
        called = name_of(act, name, "shock", SHOCKS)
        SHOCKS[called] = ShockKind(first_line(act, called), strength, own(act), nodes)
        if nodes is not None:
            NODES[called] = nodes
        return act

    return register


class Shock(Event):
    """Something that happens to the community at `start`.

    Outages and withdrawals last until `end`, when repair may begin (None: the node is lost for
    good); funding cuts last until `end`; poisoning spoils records while it lasts; the others happen once.
    """

    target: Literal["random", "largest", "correlated"] | int = Field(
        "random", description="which nodes are hit; a number is that one node"
    )

    @field_validator("target", mode="before")
    @classmethod
    def _target_is_one_of_the_ways_or_a_number(cls, value: Any) -> Any:
        if value in TARGETS or (type(value) is int and value >= 0):
            return value
        raise ValueError(f"must be {', '.join(TARGETS)}, or the number of a node from 0")

    def _conflicts(self) -> list[str]:
        one, place = isinstance(self.target, int), f"{self.label}: target = {self.target}"
        strong = f"{place} is one node; it cannot have a strength (a share of nodes) as well"
        return super()._conflicts() + lines_where(
            (one and self.name not in NODES, f"{place}: hits no nodes, only {', '.join(NODES)} do"),
            (one and self.strength is not None, strong),
        )

    @classmethod
    def _name_faults(cls, name: str, fields: Mapping[str, Any]) -> list[str]:  # noqa: ARG003 (a policy's depend on them)
        if name in SHOCKS:
            return []
        return [f"shock: unknown shock '{name}'{did_you_mean(name, SHOCKS)} (shocks: {', '.join(SHOCKS)})"]

    def _hit(self) -> str:
        """Which nodes it hits, if it hits any."""
        if self.name not in NODES:
            return ""
        return f", node {self.target}" if isinstance(self.target, int) else f", {self.target}"

    @property
    def kind(self) -> ShockKind:
        """What it does, and its usual strength."""
        return SHOCKS[self.name]

    @property
    def usual(self) -> float:
        """Strength of its kind where none is given."""
        return self.kind.strength

    def active(self, tick: int) -> bool:
        """Whether the shock lasts at a tick (a shock without end lasts one tick)."""
        return self.start <= tick < (self.start + 1 if self.end is None else self.end)


def missing_nodes(shocks: Sequence[Shock], parameters: Parameters) -> list[str]:
    """Faults of shocks aimed at hosts, or at a number, that a community with these parameters does not have."""
    faults = []
    for shock in shocks:
        if shock.name == "host_outage" and parameters.infrastructure.service != "host":
            faults.append(f"{shock.label}: there are no hosts; they serve models with infrastructure.service = host")
        elif isinstance(shock.target, int) and shock.target >= (count := parameters.value(NODES[shock.name])):
            allowed = f"must be from 0 to {count - 1}" if count else "there is no node"
            faults.append(f"{shock.label}: target = {shock.target}: {allowed} ({NODES[shock.name]} = {count})")
    return faults


def unfit_shocks(shocks: Sequence[Shock], size: int) -> list[str]:
    """Faults of shocks that a space of so many materials has no room for."""
    other = "two materials have no second objective that is uncorrelated with the first; at least 3 are needed"
    return [f"{s.label}: {other}" for s in shocks if s.name == "objective_shift" and size < 3]


# --------------------------------------------------------------------------- what they do


@shock(0.1, nodes="infrastructure.repositories")
def repository_outage(world: World, event: Shock) -> None:
    """Take down a share of repositories (at least one): random, largest by load, correlated, or one by its number."""
    if world.tick != event.start:
        return
    n = len(world.infrastructure.down_repositories)
    nodes = hit_nodes(world, event, n, world.infrastructure.repository_load(), world.commons.counts[:n].sum(axis=1))
    if event.end is None:
        announce(world, "repositories", nodes)
        return
    world.infrastructure.fail_repositories(nodes, event.end)
    world.commons.notice()
    world.totals.outages += len(nodes)


@shock(0.2, nodes="trainers.count")
def model_withdrawal(world: World, event: Shock) -> None:
    """Withdraw a share of the models (at least one), chosen in the same ways."""
    n = len(world.infrastructure.down_models)
    if world.tick != event.start or not n:
        return
    nodes = hit_models(world, event)
    if event.end is None:
        announce(world, "models", nodes)
        return
    world.infrastructure.fail_models(nodes, event.end)
    world.totals.outages += len(nodes)


@shock(0.1, nodes="infrastructure.hosts")
def host_outage(world: World, event: Shock) -> None:
    """Take down a share of the hosts (at least one), and with each every model it serves."""
    infrastructure = world.infrastructure
    n = len(infrastructure.down_hosts)
    if world.tick != event.start or not (infrastructure.host >= 0).any():
        return
    load = np.bincount(infrastructure.host, infrastructure.model_load(), minlength=n)
    nodes = hit_nodes(world, event, n, load, load)
    infrastructure.fail_hosts(nodes, NEVER if event.end is None else event.end)
    world.totals.outages += len(nodes)


@shock(0.2, nodes="trainers.count")
def model_freeze(world: World, event: Shock) -> None:
    """Train a share of the models (at least one) no more: they are served as they are, and age."""
    if world.tick == event.start and len(world.trainers):
        world.infrastructure.frozen[hit_models(world, event)] = True


@shock(1.0, nodes="trainers.count")
def licence_end(world: World, event: Shock) -> None:
    """Close the weights of a share of the models (at least one): labs can host them no more."""
    if world.tick == event.start and len(world.trainers):
        world.infrastructure.revoked[hit_models(world, event)] = True
        serve(world)


def hit_models(world: World, event: Shock) -> Int:
    """Models that a shock hits: random, largest by load, alike in lineage, or one by its number."""
    infrastructure = world.infrastructure
    return hit_nodes(world, event, len(infrastructure.host), infrastructure.model_load(), world.registry.lineage)


def hit_nodes(world: World, shock: Shock, n: int, load: NDArray[Any], likeness: NDArray[Any]) -> Int:
    """Nodes that a shock hits."""
    if isinstance(shock.target, int):
        return np.array([shock.target], np.int64)
    count = min(n, max(1, round(shock.force * n)))
    clocks = world.streams.exponential(f"shock.{shock.name}", shock.start, n)
    first = {
        "largest": -load,
        # Neighbours in likeness (size, lineage) of one random node fall with it.
        "correlated": np.abs(likeness - likeness[np.argmin(clocks)]),
        "random": np.zeros(n),
    }
    return np.lexsort((clocks, first[shock.target]))[:count]


@shock(0.3)
def poisoning(world: World, event: Shock) -> None:
    """Spoil a share of the records entered in the last tick: values shift up by 2 sd plus noise."""
    commons = world.commons
    rows = np.flatnonzero(commons.alive & (commons.tick == world.tick - 1))
    if not len(rows):
        return
    rows = rows[world.streams.record_uniform("shock.poisoning", commons.key[rows]) < event.force]
    if len(rows):
        noise = world.streams.record_normal("shock.poisoning.noise", commons.key[rows], 1)[:, 0]
        commons.rewrite(rows, commons.value[rows] + 2.0 + 0.5 * noise, commons.variance[rows], corrupted=True)


@shock(1.0)
def functional_revision(world: World, event: Shock) -> None:
    """Replace a share of the simulation bias by that of another method (bias shuffled within families)."""
    if world.tick != event.start:
        return
    space, truth = world.space, world.truth
    u = world.streams.record_uniform("shock.functional_revision", space.material_keys.astype(np.uint64), world.tick)
    order, simulated = np.lexsort((u, space.family)), []
    gaps = space.by_property(truth.simulated - truth.property)
    for y, gap in zip(space.by_property(truth.property), gaps, strict=True):
        mean = (np.bincount(space.family, gap) / space.family_sizes)[space.family]
        own = gap - mean
        # Another method errs as much, elsewhere: a keyed permutation within each family.
        other = np.empty_like(own)
        other[order] = own
        mixed = mean + np.sqrt(1 - event.force) * own + np.sqrt(event.force) * other
        simulated.append((y + mixed).astype(np.float32))
    set_simulated(world, np.concatenate(simulated))


def set_simulated(world: World, simulated: NDArray[np.float32]) -> None:
    """Replace the simulated property, also under the predictions of models that build on it."""
    change = simulated - world.truth.simulated
    world.truth.simulated = simulated
    for model in (*world.registry.models, *(m for _, _, models in world.training for m in models.values())):
        if model is not None and model.simulated_base:
            model.rebase(world.space.by_property(change)[model.of_property])


@shock(0.5)
def funding_cut(world: World, event: Shock) -> None:
    """Cut the inflow of experimental funding by the shock's strength while it lasts."""
    world.p = world.p.replace("stocks.funding", world.p.stocks.funding * (1 - event.force))


@shock(0.5)
def upkeep_decay(world: World, event: Shock) -> None:
    """Let upkeep of repositories and models fade while it lasts, by so much a year: times (1 - strength)^(ticks/12)."""
    kept = (1 - event.force) ** ((world.tick - event.start + 1) / 12)
    world.p = world.p.replace("stocks.upkeep", world.p.stocks.upkeep * kept)


@shock(0.5)
def objective_shift(world: World, event: Shock) -> None:
    """Turn the property sought toward the other one (`proxy`): y' = (1-s) y + s y2, standardised."""
    if world.tick != event.start:
        return
    space, truth = world.space, world.truth
    s = np.float32(event.force)
    turned = space.by_property((1 - s) * truth.property + s * space.proxy)
    new = np.concatenate([(y - y.mean()) / y.std() for y in turned])
    set_simulated(world, (new + (truth.simulated - truth.property)).astype(np.float32))
    truth.property = new.astype(np.float32)
    sought = list(zip(space.by_property(truth.property), space.by_property(space.top), strict=True))
    feasible = max(1, int(space.feasible.sum()))
    truth.top = np.concatenate([top_set(y, space.feasible, float(top.sum()) / feasible) for y, top in sought])
    world.ceilings.clear()
    world.commons.notice()
    truth.mad = [deviation(y) for y in space.by_property(new)]
    start_counting(world)
    world.planners.best_value[...] = -np.inf


@shock(0.3)
def retraction_wave(world: World, event: Shock) -> None:
    """Retract a share of all records."""
    if world.tick != event.start:
        return
    rows = np.flatnonzero(world.commons.alive)
    u = world.streams.record_uniform("shock.retraction_wave", world.commons.key[rows])
    world.commons.remove(rows[u < event.force], retracted=True)


# --------------------------------------------------------------------------- phase events


@dataclass(frozen=True)
class Agenda:
    """The policies and shocks of a run."""

    policies: tuple[Policy, ...] = ()
    shocks: tuple[Shock, ...] = ()

    def act(self, world: World) -> None:
        """Put in force what this tick asks for.

        A branch without events may have been restored in the middle of a policy: its parameters return to the base.
        """
        before = world.p
        world.p = in_force(world.base, self.policies, world.tick)
        for shock in self.shocks:
            if shock.active(world.tick) and shock.force > 0:
                shock.kind.act(world, shock)
        close(world)
        if world.p is not before:
            move_columns(world, before)


def move_columns(world: World, before: Parameters) -> None:
    """Carry a change of parameters over to the agents' columns and links."""
    for cohort in world.cohorts.values():
        follow(cohort, before, world.p)
    p, infrastructure = world.p.infrastructure, world.infrastructure
    infrastructure.need = p.need
    serve(world)
    if p.providers != infrastructure.providers:
        infrastructure.set_providers(p.providers)
        if len(world.trainers):
            link_trainers(world, np.arange(len(world.trainers)), infrastructure.model_repositories)
            adopt(world)
