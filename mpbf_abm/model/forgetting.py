"""Forgetting: records of the commons become obsolete (phase forget)."""

from __future__ import annotations

import numpy as np

from mpbf_abm.model.commons import Commons
from mpbf_abm.model.world import World


def forget(world: World) -> None:
    """Let records older than the grace go, each with probability 1 - exp(-forgetting)."""
    p = world.p.commons
    if p.forgetting:
        decay(world.commons, p.forgetting, world.tick, p.grace)


def decay(commons: Commons, rate: float, tick: int, grace: int = 0) -> int:
    """Forget: each record older than `grace` ticks goes with probability ``1 - exp(-rate)``, keyed by record.

    Founding mass decays by the same rule, as if it had been entered in the tick before the first.

    Returns
    -------
    int
        Records that went.
    """
    keep = np.exp(-rate)
    rows = np.flatnonzero(commons.alive & (commons.tick < tick - grace) if grace else commons.alive)
    gone = rows[commons.streams.record_uniform("commons.forget", commons.key[rows], tick) >= keep]
    if tick + 1 > grace:
        commons.mass *= keep
    commons.remove(gone)
    commons.recount()
    return len(gone)
