"""Agents as views of the rows of a cohort.

An agent's attribute reads and writes its row, so inspection, custom subclasses and vectorised
rules always agree.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from mpbf_abm.model.world import Cohort, World


class CohortAgent:
    """A view of one row of a cohort; every column of the cohort is an attribute.

    Parameters
    ----------
    model : Community
        Whose world the agent lives in.
    row : int
    """

    cohort_type: ClassVar[type[Cohort]] = Cohort

    def __init__(self, model: Any, row: int) -> None:
        self.model = model
        self.row = row

    @property
    def world(self) -> World:
        """What agents share: space, commons, registry, infrastructure."""
        world: World = self.model.world
        return world

    @property
    def cohort(self) -> Cohort:
        """All agents of this kind, as columns."""
        cohort: Cohort = getattr(self.world, self.cohort_type.kind)
        return cohort

    @property
    def slot(self) -> int:
        """Identity of this agent in keyed draws."""
        return int(self.cohort.slots[self.row])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in type(self).cohort_type.declared:
            raise AttributeError(f"{type(self).__name__} has no attribute '{name}'")
        value = self.cohort.columns[name][self.row]
        return value.item() if np.ndim(value) == 0 else value

    def __setattr__(self, name: str, value: Any) -> None:
        if name in type(self).cohort_type.declared:
            self.cohort.columns[name][self.row] = value
        else:
            super().__setattr__(name, value)
