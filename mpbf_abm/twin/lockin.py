"""Where communities lock in: the symmetric state's loss of stability, and the fold of the locked-in one.

Both belong to ``p(x) = x``, what shares rest at, and so depend neither on rates nor on forgetting.
They vary the exploration of everybody at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from mpbf_abm.errors import ConfigurationError

if TYPE_CHECKING:
    from mpbf_abm.twin.model import Twin

Float = NDArray[np.float64]

FARTHEST = 25.0  # log-odds of a winner beyond which a share is 1 to ten digits


@dataclass(frozen=True)
class Thresholds:
    """Exploration below which communities lock in.

    Attributes
    ----------
    symmetric : float
        eps_c: below it equal families do not stay equal; root of the Jacobian there (0: never).
    closed_form : float
        The same as ``1 - 1/gamma``, whatever K.
    fold : float
        eps_sn: above it no locked-in state is left.
    locked_in : float
        Share of the winner at the fold.
    """

    symmetric: float
    closed_form: float
    fold: float
    locked_in: float


def thresholds(twin: Twin) -> Thresholds:
    """Find both thresholds of a twin whose families differ in nothing but their records."""
    K, rate, equal = twin.families, twin.total_inflow(), 1.0 / twin.families
    greedy = without_exploration(twin)

    def growth(exploration: float) -> float:
        change = twin.exploring(exploration).inflow_jacobian(np.full(K, equal)) / rate
        return float(np.linalg.eigvals(change).real.max()) - 1.0

    gamma = float(sum(s.rate * s.published[0] * twin.reinforcement(s) for s in twin.sources)) / rate
    if K == 1 or growth(0.0) <= 0:
        return Thresholds(0.0, 0.0, 0.0, equal)
    symmetric, closed = float(brentq(growth, 0.0, 1.0, xtol=1e-14)), 1.0 - 1.0 / gamma

    def turn(share: float) -> float:
        """Sign of the slope of the exploration at which a winner's share is steady."""
        x = winner(share, K)
        drawn = greedy.allocation(x)[0]
        rise = float((greedy.inflow_jacobian(x) @ (winner(1.0, K) - winner(0.0, K)))[0]) / rate
        return float((rise - 1) * (drawn - equal) - (drawn - share) * rise)

    # From near equality to near monopoly, in steps of the winner's log-odds.
    odds = np.linspace(math.log(equal / (1 - equal)) + 0.02, FARTHEST, 500)
    shares = 1.0 / (1.0 + np.exp(-odds))
    rising = np.flatnonzero([turn(s) > 0 for s in shares])
    if not len(rising):
        return Thresholds(symmetric, closed, symmetric, equal)
    share = float(brentq(turn, shares[rising[-1]], shares[rising[-1] + 1], xtol=1e-15))
    return Thresholds(symmetric, closed, exploration_at(greedy, share), share)


def locked_in(twin: Twin, exploration: float) -> float:
    """Share of the winner in the stable locked-in state at some exploration; NaN where there is none."""
    limits, K = thresholds(twin), twin.families
    if exploration >= limits.fold:
        return math.nan
    if exploration == 0:
        return 1.0
    greedy = without_exploration(twin)

    def gap(share: float) -> float:
        drawn = greedy.allocation(winner(share, K))[0]
        return float(drawn - share - exploration * (drawn - 1 / K))

    return float(brentq(gap, max(limits.locked_in, 1 / K + 1e-9), 1.0 - 1e-15, xtol=1e-15))


def exploration_at(greedy: Twin, share: float) -> float:
    """Exploration at which a winner's share is steady, from the allocation without any."""
    K = greedy.families
    drawn = greedy.allocation(winner(share, K))[0]
    return float((drawn - share) / (drawn - 1 / K))


def winner(share: float, K: int) -> Float:
    """Shares with one winner and equal others (K,)."""
    return np.concatenate([[share], np.full(K - 1, (1.0 - share) / (K - 1))])


def without_exploration(twin: Twin) -> Twin:
    """Return the twin that only reinforces; refuse one whose families are not alike."""
    if any((s.adjacency and s.exploration) or s.coverage for s in twin.sources if s.rate):
        raise ConfigurationError(
            "twin: thresholds need families that differ in their records only (adjacency 0, coverage_seeking 0)"
        )
    return twin.exploring(0.0)
