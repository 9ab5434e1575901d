"""Small spaces and communities of the tests of validation."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.parameters import Parameters

SMALL: dict[str, Any] = {
    "space.materials": 600,
    "space.families": 8,
    "founding.records": 200,
    "curators.count": 3,
    "trainers.count": 4,
    "planners.count": 10,
    "trainers.features": 24,
    "trainers.records": 150,
    "trainers.latent_dims": 6,
    "trainers.panel": 8,
    "infrastructure.repositories": 4,
}


def small(**changes: Any) -> Parameters:
    """Parameters of a small community; ``group__name`` changes ``group.name``."""
    return Parameters.preset("single-default").updated(
        SMALL | {name.replace("__", "."): value for name, value in changes.items()}
    )


@lru_cache(maxsize=8)
def space_of(p: Parameters, seed: int = 1) -> MaterialsSpace:
    """Materials of some parameters."""
    return MaterialsSpace.synthetic(p, seed=seed)
