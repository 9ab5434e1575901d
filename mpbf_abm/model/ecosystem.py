"""The ecosystem as a Mesa model: agents are Mesa agents, sorted by type, over the rows of a community."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Self

import mesa

from mpbf_abm.model.community import Community
from mpbf_abm.model.curators import DataCurator
from mpbf_abm.model.planners import ExperimentPlanner
from mpbf_abm.model.trainers import ModelTrainer
from mpbf_abm.parameters import Parameters


@cache
def mesa_type(kind: Any) -> type[Any]:
    """Return a class of Mesa agents that are views as `kind` is."""

    def __init__(self: Any, model: Ecosystem, row: int) -> None:
        mesa.Agent.__init__(self, model)
        self.row = row

    names = {
        "__init__": __init__,
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
    }
    return type(kind.__name__, (kind, mesa.Agent), names)


class Ecosystem(Community, mesa.Model):
    """A discovery ecosystem: a :class:`Community` whose agents are Mesa agents.

    Parameters
    ----------
    parameters, seed, **options
        Those of :class:`Community`.
    mesa_seed : int
        Seed of Mesa's own generators, which no result depends on.

    Examples
    --------
    >>> eco = Ecosystem(Parameters.preset("quick"), seed=1)
    >>> eco.step()
    >>> eco.world.tick
    1
    """

    def __init__(
        self, parameters: Parameters | None = None, seed: int = 0, *, mesa_seed: int = 0, **options: Any
    ) -> None:
        mesa.Model.__init__(self, rng=int(mesa_seed))
        Community.__init__(self, parameters, seed, **options)

    @classmethod
    def around(cls, community: Community) -> Self:
        """Give a community its Mesa agents; the state stays the same object."""
        self = cls.__new__(cls)
        self._prepare()
        own = {row: vars(rule) for row, rule in community.world.rules.items()}
        self.agenda, self.recorder, self.planner_types = community.agenda, community.recorder, community.planner_types
        self.world = community.world
        self._assemble()
        for row, attributes in own.items():
            vars(self.world.rules[row]).update({k: v for k, v in attributes.items() if k not in ("model", "row")})
        return self

    def _prepare(self) -> None:
        mesa.Model.__init__(self, rng=0)

    def _rules(self, kinds: Sequence[type[ExperimentPlanner]]) -> dict[int, ExperimentPlanner]:
        for kind, cohort in ((DataCurator, self.world.curators), (ModelTrainer, self.world.trainers)):
            for row in range(len(cohort)):
                mesa_type(kind)(self, row)
        planners = {row: mesa_type(kind)(self, row) for row, kind in enumerate(tuple[Any, ...](kinds))}
        return {row: planner for row, planner in planners.items() if kinds[row] is not ExperimentPlanner}

    @property
    def agents_by_type(self) -> dict[Any, Any]:
        """Agents of each class, as Mesa's agent sets."""
        return {kind.__bases__[0]: agents for kind, agents in super().agents_by_type.items()}

    def release(self) -> None:
        """Let go of this model: Mesa 3.3 otherwise keeps every model that had an agent."""
        ids = getattr(mesa.Agent, "_ids", None)
        if isinstance(ids, dict):
            ids.pop(self, None)
