"""What labs that look at the same have in common: sets of candidates, and credit for what several find (steer, couple).

Two labs that choose the same material in the same tick both test it, and both pay for it.
"""

from __future__ import annotations

import numpy as np

from mpbf_abm.arrays import Bool, Float, Int
from mpbf_abm.learning.acquisition import RULES
from mpbf_abm.model.commons import PLANNER, record_keys
from mpbf_abm.model.world import Experiments, World
from mpbf_abm.streams import U64, splitmix

SET = 5  # kind of the keys of common sets, beside those of records and structures


def common_sets(world: World, planner: Int, wave: Int, model: Int) -> Bool:
    """Return which experiments (E,) look at the candidates that are common to all labs.

    Only where candidates are ranked, by a model or a custom rule: a random choice stays the lab's own.
    """
    p, own = world.p.planners, world.own("planners")
    if p.common_candidates == 0:
        return np.zeros(len(planner), bool)
    ranked = (model >= 0) & (RULES[p.acquisition].draws != "order") | np.isin(planner, list(own))
    keys = record_keys(PLANNER, world.planners.slots[planner], world.tick, wave)
    return np.asarray(ranked & (world.streams.record_uniform("planner.common", keys) < p.common_candidates))


def set_keys(world: World, family: Int, wave: Int) -> U64:
    """Identity of the common set of each family at this tick, by number of the experiment within a lab's (E,)."""
    return record_keys(SET, world.space.family_keys[family], world.tick, wave)


def common_draws(world: World, attempt: int, keys: U64, width: int) -> Float:
    """Return the uniform numbers that draw common sets, by their keys (E, width)."""
    lanes = np.asarray(splitmix(keys)[:, None] + np.arange(width, dtype=np.uint64), np.uint64)
    return world.streams.record_uniform(f"planner.common.{attempt}", lanes)


def credit(world: World, results: Experiments, rows: Int) -> Float:
    """Return the credit for results above the threshold, given by their rows (n,).

    The first to publish a material's property has it whole. Of several in one tick the least keyed draw is first. All
    others, and those who repeat a public test, have 1 - `planners.priority`.
    """
    share, planner, wave = world.p.planners.priority, results.planner[rows], results.wave[rows]
    if share == 0:
        return np.ones(len(rows))
    pairs = world.space.pairs(results.property, results.material)[rows]
    keys = record_keys(PLANNER, world.planners.slots[planner], world.tick, wave)
    order = np.lexsort((world.streams.record_uniform("planner.first", keys), pairs))
    first = np.empty(len(rows), bool)
    first[order] = np.diff(pairs[order], prepend=-1) != 0
    return np.where(first & ~world.commons.tested[pairs], 1.0, 1.0 - share)
