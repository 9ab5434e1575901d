"""Holdings: which repositories hold records of which materials, and what only one of them holds or serves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.arrays import Bool, Float, Int


class Holdings:
    """Materials by repository, kept as records come and go.

    Attributes
    ----------
    records : int32 (N, R)
        Records alive of each material in each repository; a federated one counts where it was entered.
    federated : int32 (N,)
        How many of them other repositories hold a copy of.
    held, unique : int (R,)
        Materials that each repository holds, and those of them that no other one holds, whether or not it answers.
    sole : int (R,)
        Materials that can be read as long as this repository answers: no other holder answers, and there is no copy.
    readable : int
        Materials with a record that can be read.
    """

    def __init__(self, materials: int, repositories: int) -> None:
        self.records = np.zeros((materials, repositories), np.int32)
        self.federated = np.zeros(materials, np.int32)
        self.working = np.ones(repositories, bool)
        self.held, self.unique, self.sole = np.zeros((3, repositories), np.int64)
        self.readable = 0

    def enter(self, material: Int, repository: NDArray[np.int32], federated: Bool, sign: int) -> None:
        """Add records (sign 1), or take them away (-1)."""
        touched = np.unique(material)
        before = self._state(touched)
        np.add.at(self.records, (material, repository), np.int32(sign))
        np.add.at(self.federated, material[federated], np.int32(sign))
        self._count(self._state(touched) - before)

    def answer(self, working: Bool, materials: Int) -> None:
        """Note which repositories answer from now on, given all materials with records."""
        touched = np.unique(materials)
        before = self._state(touched)
        self.working = working
        self._count(self._state(touched) - before)

    def _state(self, materials: Int) -> Int:
        """What some materials add to the totals: held, unique and sole by repository, and readable (3 R + 1,)."""
        held = self.records[materials] > 0
        copied, answering = self.federated[materials] > 0, np.count_nonzero(self.working)
        served = held if answering == len(self.working) else held & self.working
        places, servers = held.sum(axis=1), served.sum(axis=1)
        sole = served[(servers == 1) & ~copied] if answering > 1 else served
        totals = (held.sum(axis=0), held[places == 1].sum(axis=0), sole.sum(axis=0))
        readable = np.count_nonzero((servers > 0) | copied) if answering else 0
        return np.concatenate([*totals, [readable]])

    def _count(self, change: Int) -> None:
        """Add to the totals."""
        self.held, self.unique, self.sole = np.stack((self.held, self.unique, self.sole)) + change[:-1].reshape(3, -1)
        self.readable += int(change[-1])

    def unique_shares(self) -> Float:
        """Share of each repository's own materials that no other one holds, NaN where it holds none (R,)."""
        return np.where(self.held > 0, self.unique / np.maximum(self.held, 1), np.nan)
