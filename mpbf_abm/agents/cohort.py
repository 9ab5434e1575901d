"""Cohorts: the state of all agents of one kind as columns. A rule acts on a cohort at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Cohort:
    """Columns of one kind of agent.

    Attributes
    ----------
    slots : int (n,)
        Identity of each agent in keyed draws. Assign it anew to change it.
    in_order : bool
        Whether every agent's slot is its row.
    by_slot : int (n,)
        Rows in the order of slots.
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
        return len(self._slots)

    @property
    def slots(self) -> NDArray[np.int64]:
        """Identity of each agent in keyed draws (n,)."""
        return self._slots

    @slots.setter
    def slots(self, slots: NDArray[np.int64]) -> None:
        self._slots = slots
        self.by_slot = np.argsort(slots)
        self.in_order = bool((self.by_slot == np.arange(len(slots))).all())

    def by_row(self, draws: NDArray[Any]) -> NDArray[Any]:
        """Draws of each agent, given by slot along the first axis."""
        return draws if self.in_order else draws[self._slots]

    def __getattr__(self, name: str) -> NDArray[Any]:
        columns = self.__dict__.get("columns")
        if columns is None or name not in columns:
            raise AttributeError(f"{self.__dict__.get('kind', 'cohort')} has no column '{name}'")
        column: NDArray[Any] = columns[name]
        return column

    def frame(self) -> dict[str, NDArray[Any]]:
        """Return the one-dimensional columns, as for a table of agents."""
        return {name: value for name, value in self.columns.items() if value.ndim == 1}
