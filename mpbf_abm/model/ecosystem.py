"""The ecosystem as a Mesa model: agents are Mesa agents, sorted by type, over the rows of a community."""

from __future__ import annotations

from functools import cache
from itertools import count
from typing import Any, Self

import mesa

from mpbf_abm.model.community import AGENTS, Community
from mpbf_abm.model.spec import rule_kind
from mpbf_abm.model.world import Cohort
from mpbf_abm.parameters import Parameters
from mpbf_abm.provenance import DEFAULT_SEED


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
        self, parameters: Parameters | None = None, seed: int = DEFAULT_SEED, *, mesa_seed: int = 0, **options: Any
    ) -> None:
        self._prepare(int(mesa_seed))
        Community.__init__(self, parameters, seed, **options)

    @classmethod
    def around(cls, community: Community) -> Self:
        """Give a community its Mesa agents; the state stays the same object."""
        self = cls.__new__(cls)
        self._prepare()
        own = {kind: {row: vars(rule) for row, rule in rules.items()} for kind, rules in community.world.rules.items()}
        self.agenda, self.recorder, self.rules = community.agenda, community.recorder, community.rules
        self.world = community.world
        self._assemble()
        for kind, rows in own.items():
            for row, attributes in rows.items():
                kept = {k: v for k, v in attributes.items() if k not in ("model", "row")}
                vars(self.world.rules[kind][row]).update(kept)
        return self

    def _prepare(self, rng: int = 0) -> None:
        self._numbers = count(1)
        mesa.Model.__init__(self, rng=rng)

    def _dealt(self, kind: str, cohort: Cohort) -> dict[int, Any]:
        classes: list[Any] = [rule for rule in self.rules if rule_kind(rule) == kind] or [AGENTS[kind]]
        agents: dict[int, Any] = {row: mesa_type(classes[row % len(classes)])(self, row) for row in range(len(cohort))}
        return {row: agent for row, agent in agents.items() if type(agent).__bases__[0] is not AGENTS[kind]}

    @property
    def agents_by_type(self) -> dict[Any, Any]:
        """Agents of each class, as Mesa's agent sets."""
        return {kind.__bases__[0]: agents for kind, agents in super().agents_by_type.items()}

    def register_agent(self, agent: Any) -> None:
        """Register an agent and number it: the table that Mesa 3.3 numbers agents by keeps every model in it."""
        super().register_agent(agent)  # type: ignore[no-untyped-call]
        self.release()
        agent.unique_id = next(self._numbers)

    def release(self) -> None:
        """Take this model out of Mesa's table of models."""
        ids = getattr(mesa.Agent, "_ids", None)
        if isinstance(ids, dict):
            ids.pop(self, None)
