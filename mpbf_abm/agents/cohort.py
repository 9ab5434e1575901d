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
