"""Page's taxonomy of path dependence (2006): what of a history the next outcome depends on, and whether the long run remembers.

A process is given by its kernel: the probabilities of the next outcome after a history. Short histories are looked at one by one, so that classes of the kernel are
exact; whether equilibria depend on history is told by runs that share early draws.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.measures.estimates import Estimate
from mpbf_abm.measures.path_dependence import early_stream_index

Float = NDArray[np.float64]
Kernel = Callable[[Sequence[int]], Float]

EQUAL = 1e-12
MOST = 50_000  # histories that are looked at


@dataclass(frozen=True)
class OutcomeClass:
    """What the next outcome depends on after histories of one length.

    Attributes
    ----------
    independent : bool
        Not on the history.
    phat : bool
        On how often each outcome happened, in whatever order (Polya processes); true of an independent process, too.
    recent, early : int
        On no more than so many last, or first, outcomes; the length of the histories where all matter.
    """

    independent: bool
    phat: bool
    recent: int
    early: int

    @property
    def name(self) -> str:
        """The narrowest class: ``independent``, ``recent``, ``early``, ``phat`` or ``path``, which depends on order."""
        length = max(self.recent, self.early)
        if self.independent:
            return "independent"
        if self.phat:
            return "phat"
        return "recent" if self.recent < length else "early" if self.early < length else "path"


def outcome_class(kernel: Kernel, outcomes: int, length: int) -> OutcomeClass:
    """Class of a kernel, from all histories of a length.

    Parameters
    ----------
    kernel : callable
        From a history (sequence of outcomes 0 to K-1) to the probabilities of the next (K,).
    outcomes : int
        K, at least 2.
    length : int
        At least 2; K^length histories are looked at, at most 50,000.

    Raises
    ------
    ConfigurationError
        For histories that are too many or too short.
    """
    if outcomes < 2 or length < 2 or outcomes**length > MOST:
        raise ConfigurationError(
            f"taxonomy: {outcomes} outcomes, length {length}: needs 2 or more of each, and at most {MOST:,} histories"
        )
    histories = list(itertools.product(range(outcomes), repeat=length))
    p = np.array([kernel(h) for h in histories], np.float64)

    def depends_on(keys: Sequence[object]) -> bool:
        """Whether histories with the same key have the same next outcome."""
        first: dict[object, Float] = {}
        return all(np.abs(row - first.setdefault(key, row)).max() <= EQUAL for key, row in zip(keys, p, strict=True))

    def fewest(part: Callable[[tuple[int, ...], int], tuple[int, ...]]) -> int:
        return next(m for m in range(length + 1) if depends_on([part(h, m) for h in histories]))

    return OutcomeClass(
        independent=depends_on([()] * len(histories)), phat=depends_on([tuple(sorted(h)) for h in histories]),
        recent=fewest(lambda h, m: h[len(h) - m :]), early=fewest(lambda h, m: h[:m]),
    )  # fmt: skip


def equilibrium_dependence(
    kernel: Kernel, outcomes: int, split: int, length: int, pairs: int, rng: np.random.Generator
) -> Estimate:
    """How much the long-run frequencies of later outcomes depend on early ones: early-stream index of pairs that share `split` outcomes.

    0 where the equilibrium is the same whatever happened early (up to the length that is run), towards 1 where early history decides.

    Parameters
    ----------
    kernel, outcomes
        As for :func:`outcome_class`.
    split, length : int
        Outcomes that a pair shares, and outcomes in all; those after the split are counted.
    pairs : int
        At least 3.
    rng : Generator

    Raises
    ------
    ConfigurationError
        For a length that is not beyond the split, and as :func:`early_stream_index`.
    """
    if not 0 < split < length:
        raise ConfigurationError(
            f"taxonomy: split = {split}, length = {length}: early outcomes, and some after them, are needed"
        )
    ends = np.empty((pairs, 2, outcomes))
    for i in range(pairs):
        start = _run(kernel, [], split, rng)
        for j in range(2):
            later = _run(kernel, start, length, rng)[split:]
            ends[i, j] = np.bincount(later, minlength=outcomes) / len(later)
    index, error = early_stream_index(ends[:, 0], ends[:, 1])
    half = 1.959964 * error
    return Estimate(index, error, index - half, index + half)


def _run(kernel: Kernel, start: Sequence[int], length: int, rng: np.random.Generator) -> list[int]:
    history = list(start)
    while len(history) < length:
        history.append(int(np.searchsorted(np.cumsum(kernel(history)), rng.random(), side="right")))
    return history


# --------------------------------------------------------------------------- processes that are known


def urn(gamma: float, masses: Sequence[float], exploration: float = 0.0) -> Kernel:
    """Kernel of a generalised Polya urn: ``eps / K + (1 - eps) x_k^gamma / sum x^gamma`` with founding masses."""
    mass, K = np.asarray(masses, np.float64), len(masses)
    if not (mass > 0).all() or not math.isfinite(gamma) or not 0 <= exploration <= 1:
        raise ConfigurationError("urn: masses above 0, a finite gamma and an exploration from 0 to 1 are needed")

    def kernel(history: Sequence[int]) -> Float:
        x = (mass + np.bincount(np.asarray(history, np.int64), minlength=K)) ** gamma
        return np.asarray(exploration / K + (1.0 - exploration) * x / x.sum())

    return kernel
