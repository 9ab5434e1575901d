"""Degrees of path dependence of Liebowitz and Margolis (1995): whether there is a loss, and whether it could be avoided.

First degree: history matters, and nothing is lost by it. Second: a better path existed, but nobody could know. Third: a policy that acts on what was known at the
time does better, so that the loss could be remedied. All arms enter the same number of records at the same tick and differ in the families alone; the oracle knows nature.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mpbf_abm.agents.world import World
from mpbf_abm.ecosystem import Ecosystem, Snapshot
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.measures.paired import simultaneous_intervals
from mpbf_abm.measures.path_dependence import deposit
from mpbf_abm.observation import observe, usage

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Degree = Literal["first", "second", "third", "undecided"]

AIMED = 5  # families that a policy enters records of


@dataclass(frozen=True)
class Degrees:
    """What comparison of the arms says.

    Attributes
    ----------
    degree : str
        ``first``, ``second``, ``third`` or ``undecided``.
    oracle, informed : (mean, low, high)
        Gain over laissez-faire, with simultaneous 95 % intervals.
    n : int
        Pairs.
    """

    degree: Degree
    oracle: tuple[float, float, float]
    informed: tuple[float, float, float]
    n: int


def degree(
    laissez_faire: ArrayLike, informed: ArrayLike, oracle: ArrayLike, smallest: float, *, seed: int = 0
) -> Degrees:
    """Degree of path dependence from paired outcomes of three arms, more being better.

    Parameters
    ----------
    laissez_faire, informed, oracle : float (n,)
        Outcomes on the same draws.
    smallest : float
        Smallest gain of interest, above 0: what is surely smaller is no loss.
    seed : int
        Of the bootstrap.

    Returns
    -------
    Degrees
        ``first`` where the oracle surely gains less than the smallest gain of interest; ``third`` where the informed policy surely gains that
        much or its gain is surely above 0 and the oracle's mean above it; ``second`` where the oracle's gain is surely above 0 and the informed policy's surely below the
        smallest of interest; else ``undecided``.

    Raises
    ------
    ConfigurationError
        For fewer than three pairs, or a smallest gain that is not above 0.
    """
    arms = [np.asarray(v, np.float64) for v in (laissez_faire, informed, oracle)]
    if len({a.shape for a in arms}) != 1 or arms[0].ndim != 1 or len(arms[0]) < 3 or not smallest > 0:
        raise ConfigurationError(
            "degrees: three paired arms of at least three outcomes, and a smallest gain above 0, are needed"
        )
    both = simultaneous_intervals(
        np.column_stack([arms[2] - arms[0], arms[1] - arms[0]]), events=[False, False], seed=seed
    )
    oracle_gain, informed_gain = ((float(both.mean[i]), float(both.low[i]), float(both.high[i])) for i in (0, 1))
    # Differences that are all 0 have no error, and no interval where pairs are few.
    same = [not (a - arms[0]).any() for a in (arms[2], arms[1])]
    oracle_gain, informed_gain = (
        (0.0, 0.0, 0.0) if s else g for s, g in zip(same, (oracle_gain, informed_gain), strict=True)
    )
    found: Degree = "undecided"
    if informed_gain[1] > 0 and informed_gain[0] >= smallest:
        found = "third"
    elif oracle_gain[2] < smallest:
        found = "first"
    elif oracle_gain[1] > 0 and informed_gain[2] < smallest:
        found = "second"
    return Degrees(found, oracle_gain, informed_gain, len(arms[0]))


# --------------------------------------------------------------------------- policies


def current(world: World) -> Float:
    """Laissez-faire: families as they have records now (K,)."""
    return np.asarray(world.commons.visible().astype(np.float64))


def informed(world: World) -> Float:
    """What is known: untested materials of each family times the share that models in use predict to be above the fixed reference (K,).

    All 0 where no model is in use.
    """
    worth = np.zeros(world.space.families)
    for weight, model in usage(world):
        worth += weight * (model.panel_mean > world.reference).mean(axis=1)
    return np.asarray(worth * world.commons.untested)


def oracle(world: World) -> Float:
    """What nature knows: materials of the top set that nobody has found in each family (K,)."""
    left = np.flatnonzero(world.truth.top & world.space.feasible & (world.found_by < 0))
    return np.bincount(world.space.family[left], minlength=world.space.families).astype(np.float64)


POLICIES: Mapping[str, Callable[[World], Float]] = {"laissez-faire": current, "informed": informed, "oracle": oracle}


def allocate(worth: Float, count: int, families: int = AIMED) -> Int:
    """Records of each family (K,): `count` in proportion to worth, over the best few families (largest remainders)."""
    best = np.argsort(-worth, kind="stable")[:families]
    weight = np.zeros(len(worth))
    weight[best] = np.maximum(worth[best], 0.0)
    if not weight.any():
        return np.zeros(len(worth), np.int64)
    exact = count * weight / weight.sum()
    whole: Int = np.floor(exact).astype(np.int64)
    rest = np.argsort(whole - exact, kind="stable")[: count - int(whole.sum())]
    whole[rest] += 1
    return whole


def policy_arms(
    snapshots: Sequence[Snapshot], count: int, ticks: int, *, futures: int = 1, outcome: str = "found_share", families: int = AIMED
) -> pd.DataFrame:  # fmt: skip
    """Outcome of every policy, each from the same state on the same draws.

    Parameters
    ----------
    snapshots : sequence of Snapshot
        One community each.
    count : int
        Records that each policy enters, as literature that anyone can read; laissez-faire enters as many, where records are now.
    ticks : int
        Horizon of the run, after the snapshots.
    futures : int
        Later courses of each; the first is the community's own.
    outcome : str
        Column of the observation at the end.
    families : int
        Families that a policy enters records of.

    Returns
    -------
    DataFrame
        ``community`` (number of the snapshot), ``future``, and a column per policy.

    Raises
    ------
    ConfigurationError
        For no snapshot, a negative count, or a horizon that is over.
    """
    if not snapshots or count < 0 or any(ticks <= s.world.tick for s in snapshots):
        raise ConfigurationError(
            f"policy arms: count = {count}, ticks = {ticks}: communities before their end, and 0 records or more, are needed"
        )
    rows = []
    for i, snapshot in enumerate(snapshots):
        for future in range(futures):
            row: dict[str, float] = {"community": i, "future": future}
            for name, worth in POLICIES.items():
                reseed = {snapshot.world.tick: snapshot.seed ^ (future << 59)} if future else None
                eco = Ecosystem.restore(snapshot, reseed=reseed)
                for family, extra in enumerate(allocate(worth(eco.world), count, families)):
                    deposit(eco, family, int(extra))
                for _ in range(ticks - eco.tick):
                    eco.step()
                row[name] = observe(eco.world)[outcome]
                eco.release()
            rows.append(row)
    return pd.DataFrame(rows)
