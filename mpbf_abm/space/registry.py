"""The registry of published models: what planners see of trainers.

Planners see the registry, never inside a trainer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Int = NDArray[np.int64]


@dataclass
class Registry(Generic[T]):
    """One entry per trainer: its latest published model and how it is used.

    Attributes
    ----------
    models : list
        Latest published model of each trainer, None before the first one.
    version : int (M,)
        Times a trainer has published.
    lineage : int (M,)
        Encoder lineage in use; trainers that reuse an encoder share its lineage.
    adopters : int (M,)
        Planners that use the model now.
    adoptions : int (M,)
        Adoptions ever.
    """

    models: list[T | None]
    version: Int = field(init=False)
    lineage: Int = field(init=False)
    adopters: Int = field(init=False)
    adoptions: Int = field(init=False)

    def __post_init__(self) -> None:
        count = len(self.models)
        self.version = np.zeros(count, np.int64)
        self.lineage = np.arange(count)
        self.adopters = np.zeros(count, np.int64)
        self.adoptions = np.zeros(count, np.int64)

    def publish(self, trainer: int, model: T, lineage: int) -> None:
        """Replace a trainer's published model."""
        self.models[trainer] = model
        self.version[trainer] += 1
        self.lineage[trainer] = lineage

    def published(self) -> NDArray[np.bool_]:
        """Trainers with a published model (M,)."""
        return self.version > 0
