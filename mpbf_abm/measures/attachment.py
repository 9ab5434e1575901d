"""How families are chosen over time: attachment, reuse, adjacency and growth, from a chronological list of events.

An event says that a family was worked on at a time. Times are periods (years, ticks): what is known before a
period counts for its events. What happens within it does not, since a record by years has no order within a year.
Events of one paper (or producer) are one unit of resampling.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.arrays import Float, Int

LEVEL = 0.9  # probability of an interval
RESAMPLES = 1_000
STEEPEST = 8.0  # exponents beyond this are not looked for

Estimator = Callable[["Choices", Float | None], float]


@dataclass(frozen=True)
class Choices:
    """Choices among known families, sorted by what each family held before the period.

    Attributes
    ----------
    period : int (r,)
        Number of the period of each choice of a known family, from 0 on.
    prior : int (r,)
        Events that the chosen family had before that period, at least 1.
    unit : int (r,)
        Paper of the choice.
    holders : int (periods, k + 1)
        Families with 0, 1, ..., k prior events at the beginning of each period; column 0 is empty.
    """

    period: Int
    prior: Int
    unit: Int
    holders: Int


@dataclass(frozen=True)
class Exponent:
    """An attachment exponent and its interval over resampled papers."""

    value: float
    low: float
    high: float


# --------------------------------------------------------------------------- what was known


def prior_events(time: Int, family: Int) -> Int:
    """Return the events that the family of each event had before the period of that event (n,).

    Parameters
    ----------
    time : int (n,)
        Period of each event; equal values are one period. Any order.
    family : int (n,)
        Family of each event, from 0 on.

    Examples
    --------
    >>> prior_events(np.array([2004, 2004, 2005, 2006]), np.array([0, 0, 0, 1])).tolist()
    [0, 0, 2, 0]
    """
    period = _periods(time)
    return np.asarray(_held(period, family)[period, family])


def choices(time: Int, family: Int, unit: Int | None = None) -> Choices:
    """Return the choices of known families, with what there was to choose from.

    Parameters
    ----------
    time, family : arrays (n,)
        As in :func:`prior_events`.
    unit : int (n,), optional
        Paper of each event; each event is a separate paper if not given.
    """
    period = _periods(time)
    before = _held(period, family)
    holders = np.zeros((len(before), int(before.max(initial=0)) + 1), np.int64)
    rows = np.broadcast_to(np.arange(len(before))[:, None], before.shape)
    np.add.at(holders, (rows, before), 1)
    holders[:, 0] = 0
    prior = before[period, family]
    known = prior > 0
    units = np.arange(len(period)) if unit is None else np.unique(unit, return_inverse=True)[1]
    return Choices(period[known], prior[known], units[known].astype(np.int64), holders)


# --------------------------------------------------------------------------- attachment


def binned_exponent(made: Choices, weight: Float | None = None) -> float:
    """Return the attachment exponent by regression over bins: rate of choosing a family with k prior events, against k.

    The rate is the number of choices with k, over the exposure: families with k times choices made, summed over
    periods. Both are pooled in octaves of k; log rate is regressed on log k (mean over the exposure of the bin),
    bins weighing as their choices. Low where one family runs away (exponents above 1).

    Parameters
    ----------
    made : Choices
    weight : float (r,), optional
        Weight of each choice; 1 if not given.

    Returns
    -------
    float
        NaN where fewer than two bins hold choices.
    """
    chosen, exposed = _rates(made, weight)
    k = np.arange(1, len(chosen))
    octave = np.frexp(k)[1] - 1
    hits, seen, held = (np.bincount(octave, v) for v in (chosen[1:], exposed[1:], exposed[1:] * k))
    full = hits > 0
    return _slope(np.log(held[full] / seen[full]), np.log(hits[full] / seen[full]), hits[full].astype(np.float64))


def kernel_exponent(made: Choices, weight: Float | None = None) -> float:
    """Return the attachment exponent by the cumulative kernel (Jeong et al. 2003; Pham et al. 2015).

    The rate of choosing a family with k prior events is corrected for exposure as in :func:`binned_exponent`. It is
    summed up to each k from 1 to the largest that was chosen; log sum is regressed on log k and the slope less 1
    returned. A k
    that no family had adds nothing, so that a sparse tail flattens the sum: low for short records and large exponents.
    """
    chosen, exposed = _rates(made, weight)
    most = int(made.prior.max(initial=0))
    rate = np.divide(chosen, exposed, out=np.zeros(len(chosen)), where=exposed > 0)[1 : most + 1]
    total, k = np.cumsum(rate), np.arange(1, most + 1)
    started = total > 0
    return _slope(np.log(k[started]), np.log(total[started]), np.ones(int(started.sum()))) - 1.0


def likelihood_exponent(made: Choices, weight: Float | None = None) -> float:
    """Return the attachment exponent of largest likelihood: known families are chosen in proportion to k^gamma.

    Needs neither bins nor weights, and is the one estimator here without bias on urns. NaN where choices say
    nothing (fewer than two families to choose from, throughout); at most `STEEPEST` either way.
    """
    from scipy.optimize import brentq

    each = np.ones(len(made.prior)) if weight is None else weight
    times = np.bincount(made.period, each, len(made.holders))
    held, times = made.holders[times > 0].astype(np.float64), times[times > 0]
    log_k = np.log(np.maximum(np.arange(made.holders.shape[1]), 1))
    observed = float(each @ np.log(made.prior))

    def excess(gamma: float) -> float:
        """Sum of log k that the exponent expects of the choices, less what they have; rises with gamma."""
        power = held * np.exp(gamma * log_k - max(0.0, gamma * log_k[-1]))
        return float(times @ ((power @ log_k) / power.sum(axis=1))) - observed

    least, most = excess(-STEEPEST), excess(STEEPEST)
    if most - least < 1e-9:
        return math.nan
    if least >= 0:
        return -STEEPEST
    if most <= 0:
        return STEEPEST
    return float(brentq(excess, -STEEPEST, STEEPEST))


def with_interval(exponent: Estimator, made: Choices, *, resamples: int = RESAMPLES, seed: int = 0) -> Exponent:
    """Return an exponent with its percentile interval over resampled papers.

    Papers are resampled with the history as it was: a history of resampled papers would be another one, with more
    reuse and a smaller exponent.

    Parameters
    ----------
    exponent : callable
        One of the estimators above.
    made : Choices
    resamples, seed : int
    """
    rng = np.random.default_rng([seed, len(made.prior)])
    papers = _count(made.unit)
    if not papers:
        return Exponent(math.nan, math.nan, math.nan)
    share = np.full(papers, 1.0 / papers)
    weights = (rng.multinomial(papers, share)[made.unit].astype(float) for _ in range(resamples))
    again = np.array([exponent(made, weight) for weight in weights])
    again = again[np.isfinite(again)]
    low, high = np.quantile(again, (0.5 - LEVEL / 2, 0.5 + LEVEL / 2)) if len(again) else (math.nan, math.nan)
    return Exponent(exponent(made, None), float(low), float(high))


def _rates(made: Choices, weight: Float | None) -> tuple[Float, Float]:
    """Return choices of families with k prior events, and the exposure of k: families with k times choices (k + 1,)."""
    chosen = np.bincount(made.prior, weight, made.holders.shape[1]).astype(np.float64)
    times = np.bincount(made.period, weight, len(made.holders)).astype(np.float64)
    return chosen, times @ made.holders


def _slope(x: Float, y: Float, weight: Float) -> float:
    """Return the slope of a weighted straight line; NaN without two different x."""
    if len(x) < 2 or np.ptp(x) == 0:
        return math.nan
    gap = x - np.average(x, weights=weight)
    return float((weight * gap) @ y / ((weight * gap) @ gap))


# --------------------------------------------------------------------------- reuse, adjacency, growth


def reuse(time: Int, family: Int) -> tuple[Int, Float, Int]:
    """Return the share of the events of each period on families known before it.

    Returns
    -------
    periods : int (p,)
        Periods with events, in order.
    share : float (p,)
    events : int (p,)
    """
    periods, period = np.unique(time, return_inverse=True)
    known = prior_events(time, family) > 0
    events = np.bincount(period)
    return periods, np.bincount(period, known) / events, events


def first_edits(time: Int, family: Int, edits: NDArray[np.integer[Any]]) -> Int:
    """Return the edits from each family to the nearest one known before it, in the order of first periods.

    Families of the first period have no earlier one and are left out.

    Parameters
    ----------
    time, family : arrays (n,)
    edits : int (K, K)
        Edits between families, as :func:`mpbf_abm.data.chemistry.element_edits` counts them.
    """
    seen = np.unique(family)
    first = _first(_periods(time), family)[seen]
    rank = np.argsort(first, kind="stable")
    order, ranks = seen[rank], first[rank]
    gaps = edits[np.ix_(order, order)].astype(np.int64)
    earlier = ranks[None, :] < ranks[:, None]
    nearest = np.where(earlier, gaps, np.iinfo(np.int64).max).min(axis=1, initial=np.iinfo(np.int64).max)
    return np.asarray(nearest[earlier.any(axis=1)], np.int64)


def adjacency(nearest: Int, most: int = 2) -> float:
    """Return the share of new families within some edits of an earlier one (:func:`first_edits`), or NaN."""
    return float((nearest <= most).mean()) if len(nearest) else math.nan


def heaps(time: Int, family: Int) -> float:
    """Return the Heaps exponent: slope of log families seen on log events, at the end of each period."""
    period = _periods(time)
    seen = np.bincount(_first(period, family), minlength=_count(period) + 1)[:-1]
    events = np.cumsum(np.bincount(period)).astype(np.float64)
    return _slope(np.log(events), np.log(np.cumsum(seen).astype(np.float64)), np.ones(len(events)))


def _held(period: Int, family: Int) -> Int:
    """Return the events of each family before each period (periods, K)."""
    table = np.zeros((_count(period), _count(family)), np.int64)
    np.add.at(table, (period, family), 1)
    return np.asarray(np.cumsum(table, axis=0) - table)


def _first(period: Int, family: Int) -> Int:
    """Return the first period of each family; beyond the last for a family without events (K,)."""
    first = np.full(_count(family), _count(period), np.int64)
    np.minimum.at(first, family, period)
    return first


def _periods(time: Int) -> Int:
    return np.unique(time, return_inverse=True)[1].astype(np.int64)


def _count(labels: Int) -> int:
    return int(labels.max(initial=-1)) + 1
