"""Forgetting: records of the commons become obsolete (phase forget)."""

from __future__ import annotations

from mpbf_abm.model.world import World


def forget(world: World) -> None:
    """Let records older than the grace go, each with probability 1 - exp(-forgetting)."""
    p = world.p.commons
    if p.forgetting:
        world.commons.decay(p.forgetting, world.tick, p.grace)
