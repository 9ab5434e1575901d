"""Cohorts: the state of all agents of one kind as columns, with Mesa agents as views of rows.

A rule acts on a cohort at once; an agent's attribute reads and writes its row, so inspection,
custom subclasses and vectorised rules always agree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mesa
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mpbf_abm.agents.world import World


class Cohort:
    """Columns of one kind of agent.

    Attributes
    ----------
    slots : int (n,)
        Identity of each agent in keyed draws.
    columns : dict of arrays, first axis n
    """

    def __init__(self, kind: str, count: int, **columns: Any) -> None:
        self.kind = kind
        self.slots = np.arange(count, dtype=np.int64)
        self.columns: dict[str, NDArray[Any]] = {}
        for name, value in columns.items():
            array = np.asarray(value)
            self.columns[name] = np.full(count, array) if array.ndim == 0 else array.copy()

    def __len__(self) -> int:
        return len(self.slots)

    def __getattr__(self, name: str) -> NDArray[Any]:
        columns = self.__dict__.get("columns")
        if columns is None or name not in columns:
            raise AttributeError(f"{self.__dict__.get('kind', 'cohort')} has no column '{name}'")
        column: NDArray[Any] = columns[name]
        return column

    def frame(self) -> dict[str, NDArray[Any]]:
        """Return the one-dimensional columns, as for a table of agents."""
        return {name: value for name, value in self.columns.items() if value.ndim == 1}


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
