"""Structures: unlabelled records, which stand in the corpora of encoders and nowhere else."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.arrays import Bool, Int
from mpbf_abm.model.commons import CURATOR, FOUNDER

# Kinds of their keys, beside those of records: no record shows the view of a structure.
FOUNDING_STRUCTURE, CURATED_STRUCTURE = 3 + FOUNDER, 3 + CURATOR

COLUMNS: dict[str, Any] = {"key": np.uint64, "material": np.int64, "repository": np.int32, "federated": np.bool_}


class Structures:
    """An append-only store of structures, one entry of each column for one structure.

    Attributes
    ----------
    key : uint64 (n,)
        Identity in keyed draws.
    material : int64 (n,)
    repository : int32 (n,)
        Where it is held.
    federated : bool (n,)
        Whether other repositories hold a copy.
    """

    key: NDArray[np.uint64]
    material: Int
    repository: NDArray[np.int32]
    federated: Bool

    def __init__(self) -> None:
        for name, kind in COLUMNS.items():
            setattr(self, name, np.zeros(0, kind))

    def __len__(self) -> int:
        return len(self.key)

    def append(self, **columns: NDArray[Any]) -> None:
        """Add structures, given as one array for each column."""
        for name, kind in COLUMNS.items():
            setattr(self, name, np.concatenate([getattr(self, name), columns[name].astype(kind)]))

    def reachable(self, repositories: Bool) -> Int:
        """Rows of the structures that can be read through some working repositories (R,), by the rule of records."""
        return np.flatnonzero((repositories[self.repository] | self.federated) & repositories.any())
