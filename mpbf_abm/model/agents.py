"""Mesa agents as views of the rows of a cohort.

An agent's attribute reads and writes its row, so inspection, custom subclasses and vectorised
rules always agree.
"""

from __future__ import annotations

from typing import Any

import mesa
import numpy as np

from mpbf_abm.model.world import Cohort, World


class Column:
    """Attribute of an agent that lives in its cohort's column of the same name."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, agent: CohortAgent | None, owner: type | None = None) -> Any:
        if agent is None:
            return self
        value = agent.cohort.columns[self.name][agent.row]
        return value.item() if np.ndim(value) == 0 else value

    def __set__(self, agent: CohortAgent, value: Any) -> None:
        agent.cohort.columns[self.name][agent.row] = value


class CohortAgent(mesa.Agent):
    """A Mesa agent that is a view of one row of its cohort."""

    kind = ""

    def __init__(self, model: mesa.Model, row: int) -> None:
        super().__init__(model)
        self.row = row

    @property
    def world(self) -> World:
        """What agents share: space, commons, registry, infrastructure."""
        world: World = self.model.world  # type: ignore[attr-defined]
        return world

    @property
    def cohort(self) -> Cohort:
        """All agents of this kind, as columns."""
        cohort: Cohort = getattr(self.world, self.kind)
        return cohort

    @property
    def slot(self) -> int:
        """Identity of this agent in keyed draws."""
        return int(self.cohort.slots[self.row])
