"""The gain of the bias loop, measured by intervention: how much of the records' bias new records inherit.

Models learn what records say, and generated labels say what models have learned. If every record said a little more, new
records would say ``L`` times as much more: L is the loop's gain per generation of records. Without renewal, an urn of biases
then has the displacement of the corpus' mean bias grow as ``N^(L - 1)``: it is thinned out below L = 1, and grows above.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.agents.world import World
from mpbf_abm.ecosystem import Ecosystem, Snapshot
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.measures.path_dependence import Change, follow
from mpbf_abm.space.commons import FAILED

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

SIZE = 0.5  # shift of every record, in standard deviations of the property


def shift_records(ecosystem: Ecosystem, size: float) -> None:
    """Let every record that has a label say `size` more, between two ticks."""
    commons = ecosystem.world.commons
    rows = np.flatnonzero(_labelled(ecosystem.world))
    commons.rewrite(rows, (commons.value[rows] + size).astype(np.float32), commons.variance[rows])


def corpus_bias(world: World, since: int = -(2**31)) -> float:
    """Mean of record minus truth over labelled records entered since a tick; NaN without any."""
    commons = world.commons
    rows = np.flatnonzero(_labelled(world) & (commons.tick >= since))
    if not len(rows):
        return math.nan
    return float((commons.value[rows] - world.truth.property[commons.material[rows]]).mean(dtype=np.float64))


def _labelled(world: World) -> Bool:
    return np.asarray(world.commons.alive & (world.commons.origin != FAILED))


def bias_gain(snapshot: Snapshot, *, size: float = SIZE, wait: int | None = None) -> float:
    """Loop gain L: shift of new records over the shift of the corpus when they begin.

    Parameters
    ----------
    snapshot : Snapshot
    size : float
        Shift in standard deviations of the property.
    wait : int, optional
        Ticks until models know of it, and over which new records are then taken; by default the interval in which every
        trainer retrains once.

    Raises
    ------
    ConfigurationError
        For a shift of 0 or a wait below one tick.
    """
    ticks = snapshot.parameters.trainers.retrain_interval if wait is None else wait
    if not size or ticks < 1:
        raise ConfigurationError(f"bias gain: size = {size:g}, wait = {ticks}: must be a shift and at least one tick")
    since = snapshot.world.tick + ticks

    def look(ecosystem: Ecosystem) -> tuple[float, float]:
        return corpus_bias(ecosystem.world), corpus_bias(ecosystem.world, since)

    plain, moved = (follow(snapshot, [since, since + ticks], look, change=_shift(s)) for s in (0.0, size))
    return float((moved[1, 1] - plain[1, 1]) / (moved[0, 0] - plain[0, 0]))


def bias_displacements(
    snapshot: Snapshot, at: Sequence[int], *, size: float = SIZE, seed: int | None = None
) -> tuple[Float, Float]:
    """What becomes of a shift of every record: labelled records, and displacement of the corpus' mean bias, at some ticks.

    Parameters
    ----------
    snapshot : Snapshot
    at : increasing sequence of int
        Ticks of the run, from that of the snapshot on.
    size : float
        As for :func:`bias_gain`.
    seed : int, optional
        Another future: draws from the snapshot on come from this seed, in both runs alike.

    Returns
    -------
    two arrays (T,)
    """

    def look(ecosystem: Ecosystem) -> tuple[float, float]:
        return float(np.count_nonzero(_labelled(ecosystem.world))), corpus_bias(ecosystem.world)

    plain, moved = (follow(snapshot, at, look, seed=seed, change=_shift(s)) for s in (0.0, size))
    return plain[:, 0], moved[:, 1] - plain[:, 1]


def _shift(size: float) -> Change | None:
    return (lambda ecosystem: shift_records(ecosystem, size)) if size else None
