"""Probabilities of a yes/no outcome: their score, their skill, and logistic regression judged out of sample.

Cases of one group (replicates of one scenario, ticks of one run) are not independent: intervals count groups, and
cross-validation keeps a group on one side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.measures.classification import checked_outcome, checked_values, group_numbers
from mpbf_abm.measures.estimates import Estimate, student

Float = NDArray[np.float64]
Int = NDArray[np.int64]


# --------------------------------------------------------------------------- probabilities


def brier_score(probability: ArrayLike, outcome: ArrayLike, groups: ArrayLike | None = None) -> Estimate:
    """Mean squared error of a probability, from 0 (certain and right) to 1 (Brier 1950), with a t-interval over groups."""
    y = checked_outcome(outcome, both=False)
    loss = (_probability(probability, len(y)) - y) ** 2
    return _ratio(loss, np.ones(len(y)), group_numbers(groups, len(y)))


def brier_skill(
    probability: ArrayLike, outcome: ArrayLike, *, base: ArrayLike | None = None, groups: ArrayLike | None = None
) -> Estimate:
    """Brier skill: 1 less the Brier score over that of base rates alone; 1 is perfect, 0 no better than base rates.

    Parameters
    ----------
    probability : float (n,)
    outcome : bool (n,)
    base : float (n,) or float, optional
        Base rate to beat; by default that of these outcomes, which who predicts out of sample does not know.
    groups : (n,), optional
        As for :func:`~mpbf_abm.measures.classification.auc`.

    Returns
    -------
    Estimate
        Interval by linearisation of the ratio, Student's t over groups.
    """
    y = checked_outcome(outcome)
    p = _probability(probability, len(y))
    b = _probability(np.broadcast_to(y.mean() if base is None else np.asarray(base, np.float64), y.shape), len(y))
    if not np.any(b != y):
        raise ConfigurationError("brier skill: base rates foretell every outcome, so that nothing is left to gain")
    ratio = _ratio((p - y) ** 2, (b - y) ** 2, group_numbers(groups, len(y)))
    return Estimate(1.0 - ratio.value, ratio.error, 1.0 - ratio.high, 1.0 - ratio.low)


def _ratio(above: Float, below: Float, label: Int) -> Estimate:
    """Ratio of two sums over cases, with an interval over groups."""
    value = float(above.sum() / below.sum())
    rest = np.bincount(label, above - value * below)
    n = len(rest)
    if n < 2:
        return Estimate(value, math.nan, math.nan, math.nan)
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
        """Probability of yes (n,) for inputs (n, q)."""
        from scipy.special import expit

        x = _inputs(inputs)
        if x.shape[1] != len(self.mean):
            raise ConfigurationError(f"inputs: {x.shape[1]} columns; the regression has {len(self.mean)}")
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
    from scipy.special import expit

    y = checked_outcome(outcome)
    x = _inputs(inputs, len(y))
    if not 0 < ridge < math.inf:
        raise ConfigurationError(f"ridge = {ridge:g}: must be above 0")
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


def grouped_folds(outcome: ArrayLike, folds: int, rng: np.random.Generator, groups: ArrayLike | None = None) -> Int:
    """Fold of each case (n,): groups whole, and dealt so that folds have about the same share of yes.

    Groups in order of their share of yes (at random where it is the same) are dealt in turn.

    Raises
    ------
    ConfigurationError
        Unless there are 2 folds or more, and as many groups.
    """
    y = checked_outcome(outcome)
    label = group_numbers(groups, len(y))
    count = int(label.max()) + 1
    if not 2 <= folds <= count:
        raise ConfigurationError(f"folds = {folds}: must be from 2 to the {count} groups of cases")
    share = np.bincount(label, y) / np.bincount(label)
    order = np.lexsort((rng.random(count), share))
    fold = np.empty(count, np.int64)
    fold[order] = np.arange(count) % folds
    return fold[label]


def cross_validate(
    inputs: ArrayLike,
    outcome: ArrayLike,
    *,
    rng: np.random.Generator,
    groups: ArrayLike | None = None,
    folds: int = 5,
    ridge: float = 1.0,
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
        In the order of the cases: ``fold`` (to be given to :func:`~mpbf_abm.measures.classification.auc`), ``probability``,
        and ``base``, the share of yes in what the regression was fitted to: the base rate that an out-of-sample prediction
        has to beat (:func:`brier_skill`).

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
        if len(np.unique(y[~out])) < 2:
            raise ConfigurationError(
                f"cross-validation: without fold {k} all outcomes are the same; use fewer folds or more groups"
            )
        probability[out] = fit_logistic(x[~out], y[~out], ridge).probability(x[out])
        base[out] = y[~out].mean()
    return pd.DataFrame({"fold": fold, "probability": probability, "base": base})


# --------------------------------------------------------------------------- what is given


def _probability(probability: ArrayLike, n: int) -> Float:
    p = checked_values("probability", probability, n)
    if p.min() < 0 or p.max() > 1:
        raise ConfigurationError("probability: must be from 0 to 1")
    return p


def _inputs(inputs: ArrayLike, n: int | None = None) -> Float:
    x = np.asarray(inputs, np.float64)
    if x.ndim != 2 or (n is not None and len(x) != n) or not np.isfinite(x).all():
        raise ConfigurationError(
            "inputs: finite numbers are needed, one row for each outcome and one column for each input"
        )
    return x
