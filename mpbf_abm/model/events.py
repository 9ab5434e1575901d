"""What policies and shocks do to the world (phase events).

What they are is data (:mod:`mpbf_abm.model.interventions`). Both act through keyed draws, so that an arm is
bit-identical to the baseline before its start tick.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.data.families import top_set
from mpbf_abm.model.discoveries import start_counting
from mpbf_abm.model.interventions import Policy, Shock, in_force
from mpbf_abm.model.planners import adopt
from mpbf_abm.model.trainers import link_trainers
from mpbf_abm.model.world import World
from mpbf_abm.parameters import Parameters

Int = NDArray[np.int64]


# --------------------------------------------------------------------------- shocks


def repository_outage(world: World, shock: Shock) -> None:
    """Take down a share of the repositories (at least one): random, the most leaned on, or a correlated group; or one by its number."""
    if world.tick != shock.start:
        return
    n = len(world.infrastructure.down_repositories)
    nodes = hit_nodes(world, shock, n, world.infrastructure.repository_load(), world.commons.counts[:n].sum(axis=1))
    world.infrastructure.fail_repositories(nodes, outage_end(shock))
    world.commons.notice()
    world.totals.outages += len(nodes)


def model_withdrawal(world: World, shock: Shock) -> None:
    """Withdraw a share of the models (at least one), chosen in the same ways."""
    n = len(world.infrastructure.down_models)
    if world.tick != shock.start or not n:
        return
    nodes = hit_nodes(world, shock, n, world.infrastructure.model_load(), world.registry.lineage)
    world.infrastructure.fail_models(nodes, outage_end(shock))
    world.totals.outages += len(nodes)


def outage_end(shock: Shock) -> int:
    """First tick at which repair may begin; without an end the node is lost for good."""
    return shock.end if shock.end is not None else 2**31


def hit_nodes(world: World, shock: Shock, n: int, load: NDArray[Any], likeness: NDArray[Any]) -> Int:
    """Nodes that a shock hits."""
    if isinstance(shock.target, int):
        return np.array([shock.target], np.int64)
    count = min(n, max(1, round(shock.force * n)))
    clocks = world.streams.exponential(f"shock.{shock.name}", shock.start, n)
    if shock.target == "largest":
        return np.lexsort((clocks, -load))[:count]
    if shock.target == "correlated":
        # Neighbours in likeness (size, lineage) of one random node fall with it.
        first = int(np.argmin(clocks))
        return np.lexsort((clocks, np.abs(likeness - likeness[first])))[:count]
    return np.argsort(clocks, kind="stable")[:count]


def poisoning(world: World, shock: Shock) -> None:
    """Spoil a share of the records entered in the last tick: values shift up by 2 sd plus noise."""
    commons = world.commons
    rows = np.flatnonzero(commons.alive & (commons.tick == world.tick - 1))
    if not len(rows):
        return
    u = world.streams.record_uniform("shock.poisoning", commons.key[rows])
    rows = rows[u < shock.force]
    if len(rows):
        noise = world.streams.record_normal("shock.poisoning.noise", commons.key[rows], 1)[:, 0]
        commons.rewrite(rows, commons.value[rows] + 2.0 + 0.5 * noise, commons.variance[rows], corrupted=True)


def functional_revision(world: World, shock: Shock) -> None:
    """Replace a share of the simulation bias by that of another method (bias shuffled within families)."""
    if world.tick != shock.start:
        return
    space, truth = world.space, world.truth
    gap = truth.simulated - truth.property
    mean = (np.bincount(space.family, gap) / space.family_sizes)[space.family]
    own = gap - mean
    keys = space.material_keys.astype(np.uint64)
    u = world.streams.record_uniform("shock.functional_revision", keys, world.tick)
    # Another method errs as much, elsewhere: a keyed permutation within each family.
    other = np.empty_like(own)
    other[np.lexsort((u, space.family))] = own
    mixed = mean + np.sqrt(1 - shock.force) * own + np.sqrt(shock.force) * other
    set_simulated(world, (truth.property + mixed).astype(np.float32))


def set_simulated(world: World, simulated: NDArray[np.float32]) -> None:
    """Replace the simulated property, also under the predictions of models that build on it."""
    change = simulated - world.truth.simulated
    world.truth.simulated = simulated
    for model in world.registry.models:
        if model is not None and model.simulated_base:
            model.rebase(change)


def funding_cut(world: World, shock: Shock) -> None:
    """Cut the inflow of experimental funding by the shock's strength while it lasts."""
    world.p = world.p.replace("stocks.funding", world.p.stocks.funding * (1 - shock.force))


def objective_shift(world: World, shock: Shock) -> None:
    """Turn the property sought toward the other one (`proxy`): y' = (1-s) y + s y2, standardised."""
    if world.tick != shock.start:
        return
    space, truth = world.space, world.truth
    s = np.float32(shock.force)
    new = (1 - s) * truth.property + s * space.proxy
    new = (new - new.mean()) / new.std()
    set_simulated(world, (new + (truth.simulated - truth.property)).astype(np.float32))
    world.truth.property = new.astype(np.float32)
    world.truth.top = top_set(
        world.truth.property, space.feasible, float(space.top.sum()) / max(1, int(space.feasible.sum()))
    )
    world.ceilings.clear()
    world.commons.notice()
    world.truth.mad = float(np.median(np.abs(new - np.median(new))))
    start_counting(world)
    world.planners.best_value[...] = -np.inf


def retraction_wave(world: World, shock: Shock) -> None:
    """Retract a share of all records."""
    if world.tick != shock.start:
        return
    rows = np.flatnonzero(world.commons.alive)
    u = world.streams.record_uniform("shock.retraction_wave", world.commons.key[rows])
    world.commons.remove(rows[u < shock.force], retracted=True)


ACTS: dict[str, Callable[[World, Shock], None]] = {
    "repository_outage": repository_outage,
    "model_withdrawal": model_withdrawal,
    "poisoning": poisoning,
    "functional_revision": functional_revision,
    "funding_cut": funding_cut,
    "objective_shift": objective_shift,
    "retraction_wave": retraction_wave,
}


# --------------------------------------------------------------------------- phase events


@dataclass(frozen=True)
class Agenda:
    """The policies and shocks of a run."""

    policies: tuple[Policy, ...] = ()
    shocks: tuple[Shock, ...] = ()

    def act(self, world: World) -> None:
        """Put in force what this tick asks for."""
        # A branch without events may have been restored in the middle of a policy.
        if self.policies or self.shocks or world.p is not world.base:
            before = world.p
            world.p = in_force(world.base, self.policies, world.tick)
            for shock in self.shocks:
                if shock.active(world.tick) and shock.force > 0:
                    ACTS[shock.name](world, shock)
            if world.p is not before:
                move_columns(world, before)


def move_columns(world: World, before: Parameters) -> None:
    """Carry a change of parameters over to the agents' columns and links."""
    for cohort in (world.curators, world.trainers, world.planners):
        cohort.follow(before, world.p)
    providers = world.p.infrastructure.providers
    world.infrastructure.need = world.p.infrastructure.need
    if providers != world.infrastructure.providers:
        world.infrastructure.set_providers(providers)
        if len(world.trainers):
            everyone = np.arange(len(world.trainers))
            link_trainers(world, everyone, world.infrastructure.model_repositories)
            adopt(world)
