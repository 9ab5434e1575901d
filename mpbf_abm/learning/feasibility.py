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

COMMON = 1.0  # prior precision of the common mean, which is not estimated: alone, any share is as likely
MOST_STEPS, CLOSE = 50, 1e-5  # of Newton's method: at most so many, until no weight moves by more
ROOT = float(np.sqrt(2.0 * np.pi))


@dataclass(frozen=True)
class FeasibilityHead:
    """Gaussian posterior over weights, families' offsets and the common mean.

    Attributes
    ----------
    mean : float64 (p + k + 1,)
    covariance : float64 (p + k + 1, p + k + 1)
    families : int (k,)
        Keys of families with a trial, ascending.
    between : float
        Variance of offsets between families, that of a family without a trial.
    """

    mean: Float
    covariance: Float
    families: Int
    between: float

    def chance(self, phi: Float32, family: Int) -> Float:
        """Return the chance that materials can be made, for feature rows (n, p) and keys of families (n,)."""
        x = design(phi, family, self.families)
        strange = ~x[:, phi.shape[1] : -1].any(axis=1)
        variance = np.einsum("nq,nq->n", x @ self.covariance, x) + self.between * strange
        return np.asarray(scipy.special.ndtr((x @ self.mean) / np.sqrt(1.0 + variance)))


def design(phi: Float32, family: Int, families: Int) -> Float:
    """Return features, which of some families each row belongs to, and a one (n, p + k + 1)."""
    return np.concatenate([phi, family[:, None] == families, np.ones((len(phi), 1))], axis=1, dtype=np.float64)


@kernel
def fit_feasibility(phi: Float32, family: Int, made: Bool) -> FeasibilityHead:
    """Fit a head to trials, at least one.

    Parameters
    ----------
    phi : float32 (n, p)
        Features of the materials.
    family : int (n,)
        Keys of their families.
    made : bool (n,)
        Whether they could be made.
    """
    families = np.unique(family)
    x, p = design(phi, family, families), phi.shape[1]
    sign, precision = np.where(made, 1.0, -1.0), np.ones(x.shape[1])
    precision[-1], mean = COMMON, np.zeros(x.shape[1])
    for step in range(EVIDENCE_STEPS + 1):
        mean, covariance = posterior_mode(x, sign, precision, mean)
        for part in (slice(0, p), slice(p, -1)) if step < EVIDENCE_STEPS else ():
            effective = (1.0 - precision[part] * np.diagonal(covariance)[part]).sum()
            precision[part] = np.clip(effective / max(mean[part] @ mean[part], 1e-12), MIN_PRIOR, MAX_PRIOR)
    return FeasibilityHead(mean, covariance, families, float(1.0 / precision[p]))


def posterior_mode(x: Float, sign: Float, precision: Float, start: Float) -> tuple[Float, Float]:
    """Return the mode of a probit likelihood times a Gaussian prior (q,), and the covariance there (q, q).

    Parameters
    ----------
    x : float64 (n, q)
    sign : float64 (n,)
        1 for a success, -1 for a failure.
    precision : float64 (q,)
        Of the prior, whose mean is 0.
    start : float64 (q,)
    """
    mean = start
    for _ in range(MOST_STEPS):
        margin = sign * (x @ mean)
        pull = np.exp(-0.5 * margin**2 - scipy.special.log_ndtr(margin)) / ROOT
        weight = np.maximum(pull * (margin + pull), 0.0)
        curvature = gram(x, weight) + np.diag(precision)
        step = scipy.linalg.cho_solve(scipy.linalg.cho_factor(curvature), x.T @ (sign * pull) - precision * mean)
        mean = mean + step
        if np.abs(step).max() < CLOSE:
            break
    return mean, inverse(curvature)


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
