"""What can be made: a probit head that learns from failures as well as from successes.

``P(made) = ndtr(f)``, f linear in a model's features, with an offset for each family that is shrunk to a common mean.
The posterior is Gaussian at its mode (Laplace's method: Rasmussen and Williams 2006, section 3.4). Two scales, of the
weights and of the families' offsets, follow from the evidence (MacKay 1992).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy  # its parts are loaded when they are first used

from mpbf_abm.arrays import Bool, Float, Float32, Int, kernel
from mpbf_abm.learning.heads import EVIDENCE_STEPS, MAX_PRIOR, MIN_PRIOR
from mpbf_abm.learning.linalg import gram, inverse

FEATURES = 64  # at most so many of a model's random features carry the head
COMMON = 1.0  # prior precision of the common mean, which is not estimated: alone, any share is as likely
MOST_STEPS, CLOSE = 50, 1e-4  # of Newton's method: at most so many, until no weight moves by more
ROOT = float(np.sqrt(2.0 * np.pi))


@dataclass(frozen=True)
class FeasibilityHead:
    """Gaussian posterior over weights and levels of families. A level is the common mean and the family's offset.

    Attributes
    ----------
    mean : float64 (p,)
        Of the weights.
    covariance : float64 (p, p)
        Of the weights.
    families : int (k,)
        Keys of families with a trial, ascending.
    level, spread : float64 (k + 1,)
        Mean and variance of their levels, and last those of a family without a trial.
    cross : float64 (k + 1, p)
        Covariance of levels with weights.
    prior, between : float
        Prior precision of the weights, and variance of offsets between families, as they follow from this posterior.
    """

    mean: Float
    covariance: Float
    families: Int
    level: Float
    spread: Float
    cross: Float
    prior: float
    between: float

    def chance(self, phi: Float32, family: Int) -> Float:
        """Return the chance that materials can be made, for feature rows (n, p) and keys of families (n,)."""
        at = self.families.searchsorted(family)
        at[np.append(self.families, -1)[at] != family] = len(self.families)
        variance = np.einsum("nq,nq->n", phi @ self.covariance + 2.0 * self.cross[at], phi) + self.spread[at]
        return np.asarray(scipy.special.ndtr((phi @ self.mean + self.level[at]) / np.sqrt(1.0 + variance)))


@kernel
def fit_feasibility(phi: Float32, family: Int, made: Bool, last: FeasibilityHead | None = None) -> FeasibilityHead:
    """Fit a head to trials, at least one.

    Parameters
    ----------
    phi : float32 (n, p)
        Features of the materials.
    family : int (n,)
        Keys of their families.
    made : bool (n,)
        Whether they could be made.
    last : FeasibilityHead, optional
        Head whose scales hold, and whose mode is where the search starts.
    """
    order, p = np.argsort(family, kind="stable"), phi.shape[1]
    families, first = np.unique(family[order], return_index=True)
    x = np.concatenate([phi[order], np.ones((len(phi), 1))], axis=1, dtype=np.float64)
    sign, prior, between = np.where(made[order], 1.0, -1.0), 1.0, 1.0
    mean, offset = np.zeros(p + 1), np.zeros(len(families))
    if last is not None:
        prior, between = last.prior, last.between
        if len(last.mean) == p:
            mean = np.append(last.mean, last.level[-1])
        _, new, old = np.intersect1d(families, last.families, assume_unique=True, return_indices=True)
        offset[new] = last.level[old] - last.level[-1]
    for _ in range(EVIDENCE_STEPS + 1 if last is None else 1):
        precision = np.append(np.full(p, prior), COMMON)
        mean, offset, covariance, toward, own = posterior_mode(x, first, sign, precision, 1.0 / between, mean, offset)
        cross = -toward @ covariance
        spread = own - np.einsum("kq,kq->k", cross, toward)
        prior = scale(p - prior * np.diagonal(covariance)[:-1].sum(), mean[:-1])
        between = 1.0 / scale(len(offset) - spread.sum() / between, offset)
    common = covariance[-1]
    return FeasibilityHead(
        mean[:-1],
        covariance[:-1, :-1],
        families,
        mean[-1] + np.append(offset, 0.0),
        np.append(spread + 2.0 * cross[:, -1], between) + common[-1],
        np.concatenate([cross[:, :-1], np.zeros((1, p))]) + common[:-1],
        prior,
        between,
    )


def scale(effective: float, values: Float) -> float:
    """Return the prior precision that is likeliest for values with so many effective parameters."""
    return float(np.clip(effective / max(float(values @ values), 1e-12), MIN_PRIOR, MAX_PRIOR))


def posterior_mode(
    x: Float, first: Int, sign: Float, precision: Float, of_offsets: float, mean: Float, offset: Float
) -> tuple[Float, Float, Float, Float, Float]:
    """Return the mode of weights (q,) and offsets (k,) by Newton's method, and the covariance there in parts.

    Offsets are eliminated: given weights they are independent. Their covariance with weights is minus `toward` (k, q)
    times that of weights (q, q), the variance of each `own` (k,) and what follows from the weights.

    Parameters
    ----------
    x : float64 (n, q)
        Features and a last column of ones, family by family.
    first : int (k,)
        First row of each family.
    sign : float64 (n,)
        1 for a success, -1 for a failure.
    precision : float64 (q,)
        Prior precision of the weights.
    of_offsets : float
        That of the offsets.
    mean, offset : float64 (q,), (k,)
        Where the search starts.
    """
    sizes = np.diff(first, append=len(x))
    for _ in range(MOST_STEPS):
        margin = sign * (x @ mean + np.repeat(offset, sizes))
        pull = np.exp(-0.5 * margin**2 - scipy.special.log_ndtr(margin)) / ROOT
        weight = np.maximum(pull * (margin + pull), 0.0)
        rows = np.add.reduceat(x * weight[:, None], first)
        own = 1.0 / (rows[:, -1] + of_offsets)
        toward = own[:, None] * rows
        covariance = inverse(gram(x, weight) + np.diag(precision) - rows.T @ toward)
        slope = np.add.reduceat(sign * pull, first) - of_offsets * offset
        step = covariance @ (x.T @ (sign * pull) - precision * mean - toward.T @ slope)
        along = own * slope - toward @ step
        mean, offset = mean + step, offset + along
        if max(np.abs(step).max(), np.abs(along).max()) < CLOSE:
            break
    return mean, offset, covariance, toward, own


def by_chance(scores: Float32, chance: Float, weight: float) -> Float32:
    """Return scores (n, C) whose lead on the least of their row counts by the chance (n, C) to a power."""
    least = scores.min(axis=-1, keepdims=True)
    return np.asarray(least + (scores - least) * chance**weight, np.float32)


def area(chance: Float, made: Bool) -> float:
    """Return how often what can be made has the higher chance than what cannot (ties half); NaN without either."""
    high, low = chance[made], np.sort(chance[~made])
    if not (len(high) and len(low)):
        return float("nan")
    below = low.searchsorted(high, "left") + low.searchsorted(high, "right")
    return float(below.mean() / (2 * len(low)))
