"""How well a score parts cases with a yes/no outcome: the ROC curve and the area below it, with intervals.

Cases of one group (replicates of one scenario, ticks of one run) are not independent: with `groups` intervals count
groups.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import ArrayLike
from scipy.special import expit, logit

from mpbf_abm.arrays import Bool, Float, Int
from mpbf_abm.errors import refuse
from mpbf_abm.stats.estimates import UNKNOWN, Estimate, critical_z, student

Labels = ArrayLike | None


# --------------------------------------------------------------------------- area under the ROC curve


def auc(scores: ArrayLike, outcome: ArrayLike, *, groups: Labels = None, folds: Labels = None) -> Estimate:
    """Return the area under the ROC curve: the chance that a case of outcome yes scores higher (ties half).

    Parameters
    ----------
    scores : float (n,)
        Higher ones predict yes.
    outcome : bool (n,)
    groups : (n,), optional
        Labels of dependent cases; by default each case stands alone.
    folds : (n,), optional
        Only cases with the same label are compared, and all pairs that are count alike. Cross-validated scores need it:
        those of different fits are not on one scale, and pooled scores of pure noise have an area below 0.5 (Airola et
        al. 2011).

    Returns
    -------
    Estimate
        1 in perfect order, 0.5 for a constant score, 0 reversed. The standard error is that of DeLong, DeLong and
        Clarke-Pearson (1988), with groups that of Obuchowski (1997); the interval is symmetric on the logit scale, so
        that it stays within 0 and 1. That error may be 0 (perfect order, constant scores) or unknown (all of one class
        in one group). The interval then is Newcombe's (2006, method 5), which needs the area and the numbers of cases
        (groups) only.

    Raises
    ------
    ConfigurationError
        If the arrays do not match, a score is not finite, an outcome is not 0 or 1, or either class is empty (in every
        fold).

    Examples
    --------
    >>> auc([1, 2, 3, 4], [False, False, True, True]).value
    1.0
    """
    y = checked_outcome(outcome)
    area, covariance, counts = _areas([checked_values("scores", scores, len(y))], y, groups, folds)
    return _bounded(area[0], covariance[0, 0], counts)


def auc_difference(
    first: ArrayLike, second: ArrayLike, outcome: ArrayLike, *, groups: Labels = None, folds: Labels = None
) -> Estimate:
    """Return the area of one score less that of another on the same cases, with its interval (DeLong et al. 1988).

    Parameters
    ----------
    first, second : float (n,)
    outcome, groups, folds
        As for :func:`auc`.

    Returns
    -------
    Estimate
        0 to 0 for scores in the same order. Where order differs and the error is still 0 or unknown, the interval is
        wide: it is put together from those of both areas as if they were independent (Zou and Donner 2008).
    """
    y = checked_outcome(outcome)
    scores = [checked_values("scores", s, len(y)) for s in (first, second)]
    area, covariance, counts = _areas(scores, y, groups, folds)
    value = area[0] - area[1]
    if np.array_equal(_ranks(scores[0]), _ranks(scores[1])):
        return Estimate(0.0, 0.0, 0.0, 0.0)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    # What is left of equal terms by rounding is nothing.
    if variance > 1e-15:
        half = critical_z() * math.sqrt(variance)
        return Estimate(value, math.sqrt(variance), max(-1.0, value - half), min(1.0, value + half))
    one, two = (_bounded(area[i], covariance[i, i], counts) for i in (0, 1))
    below = math.hypot(one.value - one.low, two.high - two.value)
    above = math.hypot(one.high - one.value, two.value - two.low)
    return Estimate(value, math.nan, max(-1.0, value - below), min(1.0, value + above))


def _areas(scores: Sequence[Float], y: Bool, groups: Labels, folds: Labels) -> tuple[Float, Float, tuple[int, int]]:
    """Return the areas (k,), their covariance (k, k), and the groups that hold each class."""
    label = group_numbers(groups, len(y))
    fold = np.zeros(len(y), np.int64) if folds is None else group_numbers(folds, len(y))
    ahead, rivals = np.zeros((len(scores), len(y))), np.zeros(len(y))
    for k in range(int(fold.max()) + 1):
        for one in (y, ~y):
            here, other = np.flatnonzero((fold == k) & one), np.flatnonzero((fold == k) & ~one)
            rivals[here] = len(other)
            both = np.concatenate([here, other])
            for row, s in zip(ahead, scores, strict=True):
                # How many of the other class a case is above, from midranks (Sun and Xu 2014).
                row[here] = _ranks(s[both])[: len(here)] - _ranks(s[here])
    pairs = rivals[y].sum()
    refuse(not pairs, "area under the ROC curve: no fold holds both classes")
    area = ahead[:, y].sum(axis=1) / pairs
    total = int(label.max()) + 1
    yes = np.array([np.bincount(label[y], (a - v * rivals)[y], total) for a, v in zip(ahead, area, strict=True)])
    no = np.array([np.bincount(label[~y], ((1 - v) * rivals - a)[~y], total) for a, v in zip(ahead, area, strict=True)])
    counts = len(np.unique(label[y])), len(np.unique(label[~y]))
    if min(counts) < 2:
        return area, np.full((len(scores), len(scores)), np.nan), counts
    cross = total / (total - 1) * yes @ no.T
    covariance = counts[0] / (counts[0] - 1) * yes @ yes.T + counts[1] / (counts[1] - 1) * no @ no.T + cross + cross.T
    return area, covariance / pairs**2, counts


def _bounded(area: float, variance: float, counts: tuple[int, int]) -> Estimate:
    """Return an area with an interval within 0 and 1."""
    error = math.sqrt(variance) if variance >= 0 else math.nan
    if 0 < area < 1 and variance > 1e-15:
        half = critical_z() * error / (area * (1 - area))
        low, high = expit(logit(area) + np.array([-half, half]))
        return Estimate(float(area), error, float(low), float(high))
    return Estimate(float(area), error, *_from_counts(area, *counts))


def _from_counts(area: float, m: int, n: int) -> tuple[float, float]:
    """Return all t with |area - t| <= z sd(t), by Hanley and McNeil's variance (Newcombe 2006, method 5)."""
    from scipy.optimize import brentq

    close = 1e-12
    low = 0.0 if area <= close else float(brentq(_outside, 0.0, area * (1 - close), (area, m, n)))
    high = 1.0 if area >= 1 - close else float(brentq(_outside, area + (1 - area) * close, 1.0, (area, m, n)))
    return low, high


def _outside(t: float, area: float, m: int, n: int) -> float:
    """Return how far an area is outside the interval about t, by Hanley and McNeil's variance."""
    mean = (m + n) / 2
    variance = t * (1 - t) / (m * n) * (1 + (mean - 1) * ((1 - t) / (2 - t) + t / (1 + t)))
    return abs(area - t) - critical_z() * math.sqrt(variance)


def roc_curve(scores: ArrayLike, outcome: ArrayLike) -> pd.DataFrame:
    """Return the ROC curve: rates of true and false alarms when yes is said from a threshold on.

    Parameters
    ----------
    scores, outcome
        As for :func:`auc`.

    Returns
    -------
    DataFrame
        ``threshold`` (falling, from infinity), ``false_positive_rate``, ``true_positive_rate`` (rising, 0 to 1). The
        area below straight lines between its points is that of :func:`auc`.
    """
    y = checked_outcome(outcome)
    s = checked_values("scores", scores, len(y))
    order = np.argsort(-s, kind="stable")
    last = np.flatnonzero(np.append(np.diff(s[order]) != 0, True))
    rates = {"false_positive_rate": np.cumsum(~y[order])[last], "true_positive_rate": np.cumsum(y[order])[last]}
    columns = {name: np.append(0.0, count / count[-1]) for name, count in rates.items()}
    return pd.DataFrame({"threshold": np.append(np.inf, s[order][last])} | columns)


# --------------------------------------------------------------------------- what is given


def _ranks(x: Float) -> Float:
    from scipy.stats import rankdata

    return np.asarray(rankdata(x), np.float64)


def checked_outcome(outcome: ArrayLike) -> Bool:
    """Return outcomes as booleans (n,), or raise one clear line; neither class may be empty."""
    y = np.asarray(outcome)
    refuse(
        y.ndim != 1 or not len(y) or not np.isin(y, (0, 1)).all(), "outcome: a list of yes and no (1 and 0) is needed"
    )
    y = y.astype(bool)
    refuse(y.all() | (~y).all(), f"outcome: all {len(y)} cases are {'yes' if y[0] else 'no'}; both classes are needed")
    return y


def checked_values(what: str, values: ArrayLike, n: int) -> Float:
    """Return finite numbers (n,), or raise one clear line."""
    x = np.asarray(values, np.float64)
    refuse(x.shape != (n,) or not np.isfinite(x).all(), f"{what}: {n} finite numbers are needed, one for each outcome")
    return x


def group_numbers(groups: Labels, n: int) -> Int:
    """Return the numbers of groups, from 0 without gaps (n,)."""
    if groups is None:
        return np.arange(n)
    g = np.asarray(groups)
    refuse(g.shape != (n,), f"groups: {n} labels are needed, one for each outcome")
    return np.asarray(np.unique(g, return_inverse=True)[1], np.int64)


# --------------------------------------------------------------------------- prediction

# Probabilities of a yes/no outcome: their score, their skill, and logistic regression judged out of sample.
#
# Cases of one group (replicates of one scenario, ticks of one run) are not independent: intervals count groups, and
# cross-validation keeps a group on one side.

# --------------------------------------------------------------------------- probabilities


def brier_skill(
    probability: ArrayLike, outcome: ArrayLike, *, base: ArrayLike | None = None, groups: Labels = None
) -> Estimate:
    """Return 1 less the Brier score over that of base rates alone; 1 is perfect, 0 no better than base rates.

    Parameters
    ----------
    probability : float (n,)
    outcome : bool (n,)
    base : float (n,) or float, optional
        Base rate to beat; by default that of these outcomes, which who predicts out of sample does not know.
    groups : (n,), optional
        As for :func:`~mpbf_abm.stats.classification.auc`.

    Returns
    -------
    Estimate
        Interval by linearisation of the ratio, Student's t over groups.
    """
    y = checked_outcome(outcome)
    p = _probability(probability, len(y))
    b = _probability(np.broadcast_to(y.mean() if base is None else np.asarray(base, np.float64), y.shape), len(y))
    refuse(not np.any(b != y), "brier skill: base rates predict every outcome, so that nothing is left to gain")
    ratio = _ratio((p - y) ** 2, (b - y) ** 2, group_numbers(groups, len(y)))
    return Estimate(1.0 - ratio.value, ratio.error, 1.0 - ratio.high, 1.0 - ratio.low)


def _ratio(above: Float, below: Float, label: Int) -> Estimate:
    """Return the ratio of two sums over cases, with an interval over groups."""
    value = float(above.sum() / below.sum())
    rest = np.bincount(label, above - value * below)
    n = len(rest)
    if n < 2:
        return replace(UNKNOWN, value=value)
    error = float(math.sqrt(n / (n - 1) * (rest**2).sum()) / below.sum())
    return student(value, error, n - 1)


# --------------------------------------------------------------------------- prediction


@dataclass(frozen=True)
class Logistic:
    """A logistic regression: log odds = intercept + coefficients . (x - mean) / sd.

    Attributes
    ----------
    intercept : float
    coefficients, mean, sd : float (q,)
        Inputs that do not vary have sd 1, and coefficient 0.
    """

    intercept: float
    coefficients: Float
    mean: Float
    sd: Float

    def probability(self, inputs: ArrayLike) -> Float:
        """Return the probability of yes (n,) for inputs (n, q)."""
        x = _inputs(inputs)
        refuse(x.shape[1] != len(self.mean), f"inputs: {x.shape[1]} columns; the regression has {len(self.mean)}")
        return np.asarray(expit(self.intercept + (x - self.mean) / self.sd @ self.coefficients))


def fit_logistic(inputs: ArrayLike, outcome: ArrayLike, ridge: float = 1.0) -> Logistic:
    """Fit a logistic regression with a ridge penalty on standardised inputs.

    Minimises the sum of log losses plus ``ridge/2`` times the sum of squared coefficients; the intercept is free
    (le Cessie and van Houwelingen 1992).

    Parameters
    ----------
    inputs : float (n, q)
    outcome : bool (n,)
        Both classes are needed.
    ridge : float
        Above 0, so that there is one solution even where the classes can be parted.
    """
    from scipy.optimize import minimize

    y = checked_outcome(outcome)
    x = _inputs(inputs, len(y))
    refuse(not 0 < ridge < math.inf, f"ridge = {ridge:g}: must be above 0")
    mean, sd = x.mean(axis=0), x.std(axis=0)
    # What is left of equal inputs by rounding does not vary.
    sd[sd <= 1e-12 * np.abs(mean)] = 0.0
    z = np.column_stack([np.ones(len(y)), np.divide(x - mean, sd, out=np.zeros_like(x), where=sd > 0)])
    penalty = np.append(0.0, np.full(x.shape[1], ridge))
    sign = np.where(y, 1.0, -1.0)

    def loss(b: Float) -> float:
        return float(np.logaddexp(0.0, -sign * (z @ b)).sum() + 0.5 * penalty @ b**2)

    def slope(b: Float) -> Float:
        return np.asarray(z.T @ (expit(z @ b) - y) + penalty * b)

    def curvature(b: Float) -> Float:
        p = expit(z @ b)
        return np.asarray(z.T @ (z * (p * (1 - p))[:, None]) + np.diag(penalty))

    rate = y.mean()
    start = np.append(math.log(rate / (1 - rate)), np.zeros(x.shape[1]))
    found = minimize(loss, start, jac=slope, hess=curvature, method="trust-exact", options={"gtol": 1e-9 * len(y)})
    return Logistic(float(found.x[0]), np.asarray(found.x[1:]), mean, np.where(sd > 0, sd, 1.0))


def grouped_folds(outcome: ArrayLike, folds: int, rng: Generator, groups: Labels = None) -> Int:
    """Deal cases to folds (n,): groups whole, and folds of about the same share of yes.

    Groups in order of their share of yes (at random where it is the same) are dealt in turn.

    Raises
    ------
    ConfigurationError
        Unless there are 2 folds or more, and as many groups.
    """
    y = checked_outcome(outcome)
    label = group_numbers(groups, len(y))
    count = int(label.max()) + 1
    refuse(not 2 <= folds <= count, f"folds = {folds}: must be from 2 to the {count} groups of cases")
    share = np.bincount(label, y) / np.bincount(label)
    order = np.lexsort((rng.random(count), share))
    fold = np.empty(count, np.int64)
    fold[order] = np.arange(count) % folds
    return fold[label]


def cross_validate(
    inputs: ArrayLike, outcome: ArrayLike, *, rng: Generator, groups: Labels = None, folds: int = 5, ridge: float = 1.0
) -> pd.DataFrame:
    """Predict every outcome by a logistic regression that has not seen its group.

    Parameters
    ----------
    inputs : float (n, q)
    outcome : bool (n,)
    rng : Generator
        Deals groups to folds.
    groups : (n,), optional
        Labels of cases that must stay together, such as replicates of one scenario; by default each stands alone.
    folds, ridge
        As for :func:`grouped_folds` and :func:`fit_logistic`.

    Returns
    -------
    DataFrame
        In the order of the cases: ``fold`` (to be given to :func:`~mpbf_abm.stats.classification.auc`),
        ``probability``, and ``base``, the share of yes in what the regression was fitted to: the base rate that an
        out-of-sample prediction has to beat (:func:`brier_skill`).

    Raises
    ------
    ConfigurationError
        As for the functions above, and where what is left for a fit has one class only.
    """
    y = checked_outcome(outcome)
    x = _inputs(inputs, len(y))
    fold = grouped_folds(y, folds, rng, groups)
    probability, base = np.empty(len(y)), np.empty(len(y))
    for k in range(folds):
        out = fold == k
        words = f"cross-validation: without fold {k} all outcomes are the same; use fewer folds or more groups"
        refuse(len(np.unique(y[~out])) < 2, words)
        probability[out] = fit_logistic(x[~out], y[~out], ridge).probability(x[out])
        base[out] = y[~out].mean()
    return pd.DataFrame({"fold": fold, "probability": probability, "base": base})


# --------------------------------------------------------------------------- what is given


def _probability(probability: ArrayLike, n: int) -> Float:
    p = checked_values("probability", probability, n)
    refuse(p.min() < 0 or p.max() > 1, "probability: must be from 0 to 1")
    return p


def _inputs(inputs: ArrayLike, n: int | None = None) -> Float:
    x = np.asarray(inputs, np.float64)
    wrong = x.ndim != 2 or (n is not None and len(x) != n) or not np.isfinite(x).all()
    refuse(wrong, "inputs: finite numbers are needed, one row for each outcome and one column for each input")
    return x
