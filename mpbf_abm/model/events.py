"""Phase events: policies are put in force, and shocks act."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mpbf_abm.model.interventions import Policy, in_force
from mpbf_abm.model.planners import adopt
from mpbf_abm.model.shocks import Shock
from mpbf_abm.model.trainers import link_trainers
from mpbf_abm.model.world import World
from mpbf_abm.parameters import Parameters

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
                    shock.kind.act(world, shock)
            if world.p is not before:
                move_columns(world, before)


def move_columns(world: World, before: Parameters) -> None:
    """Carry a change of parameters over to the agents' columns and links."""
    for cohort in world.cohorts.values():
        cohort.follow(before, world.p)
    providers = world.p.infrastructure.providers
    world.infrastructure.need = world.p.infrastructure.need
    if providers != world.infrastructure.providers:
        world.infrastructure.set_providers(providers)
        if len(world.trainers):
            everyone = np.arange(len(world.trainers))
            link_trainers(world, everyone, world.infrastructure.model_repositories)
            adopt(world)
