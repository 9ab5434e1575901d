"""What a user's module registers ends with the test that imports it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mpbf_abm import identity
from mpbf_abm.learning import acquisition
from mpbf_abm.model import indicators, interventions, shocks
from mpbf_abm.model.world import Curators, Planners, Trainers


@contextmanager
def registering() -> Iterator[None]:
    """Restore every registry afterwards."""
    kept = [
        indicators.INDICATORS,
        indicators.COLUMNS,
        indicators.UNITS,
        indicators.BOUNDS,
        indicators.REGISTERED,
        shocks.SHOCKS,
        shocks.NODES,
        acquisition.RULES,
        interventions.POLICIES,
        Curators.declared,
        Trainers.declared,
        Planners.declared,
        identity._modules,
    ]
    before = [registry.copy() for registry in kept]
    try:
        yield
    finally:
        for registry, content in zip(kept, before, strict=True):
            registry.clear()
            (registry.extend if isinstance(registry, list) else registry.update)(content)
