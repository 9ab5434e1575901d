"""Discoveries: which materials of the top set are found, and when, since founding or since a new objective."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.model.commons import distinct
from mpbf_abm.model.world import World

NOT_YET, KNOWN = -1, -2


def start_counting(world: World) -> None:
    """Count from now on: what is known already is no discovery."""
    d, known, truth = world.discoveries, world.commons.tested, world.truth
    d.tick = np.where(known, KNOWN, NOT_YET).astype(np.int32)
    d.by_family[...], d.best = 0, 0.0
    d.existing = int((truth.top & ~known).sum())
    d.untested = int((world.space.feasible & ~known).sum())
    d.spent = world.totals.done + world.totals.measured_acquisitions


def note(world: World, materials: NDArray[np.int64]) -> None:
    """Note which of the materials measured in public are of the top set and new."""
    if not len(materials):
        return
    d, truth = world.discoveries, world.truth
    top = materials[truth.top[materials] & world.space.feasible[materials]]
    fresh = distinct(top[d.tick[top] == NOT_YET])
    if len(fresh):
        d.tick[fresh] = world.tick
        np.add.at(d.by_family, world.space.family[fresh], 1)
        d.best = max(d.best, float(truth.property[fresh].max()))
