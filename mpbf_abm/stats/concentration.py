"""Concentration of shares and what an urn leaves of it in the end, divergence of replicates, mutual information.

The shares of a Polya urn (linear reinforcement, no exploration) that has masses `a` now tend to a
Dirichlet(a) law (Blackwell and MacQueen 1973). The functions ``limit_*`` are the exact means of
concentration indices under that law; from the masses of any moment they say what to expect of the end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy  # its parts are loaded when they are first used
from numpy.typing import ArrayLike, NDArray

from mpbf_abm.arrays import Float
from mpbf_abm.errors import refuse


def hill(counts: NDArray[Any], order: float) -> float:
    """Return Hill number (effective number of kinds) of order 0, 1 or 2 (Hill 1973); NaN for an empty count."""
    total = np.add.reduce(counts)
    if total <= 0:
        return math.nan
    share = counts[counts > 0] / total
    if order == 0:
        return float(len(share))
    return math.exp(-(share @ np.log(share))) if order == 1 else 1.0 / float(share @ share)


def gini(counts: NDArray[Any]) -> float:
    """Return Gini coefficient, 0 (equal) to 1 - 1/n; NaN for an empty count."""
    total, n = np.add.reduce(counts), len(counts)
    return math.nan if total <= 0 else float(np.arange(1 - n, n, 2) @ np.sort(counts) / (n * total))


def hhi(counts: NDArray[Any]) -> float:
    """Return the Herfindahl-Hirschman index: the sum of squared shares, 1/K to 1; NaN without counts.

    Parameters
    ----------
    counts : array (K,)
        Non-negative counts, masses or shares.
    """
    total = float(np.sum(counts))
    return float(np.sum((np.asarray(counts, np.float64) / total) ** 2)) if total > 0 else math.nan


def shannon(counts: NDArray[Any]) -> float:
    """Return Shannon entropy of shares in nats, 0 to ln K; NaN without counts.

    Parameters
    ----------
    counts : array (..., K)
        Non-negative counts, masses or shares; the last axis is summed over.
    """
    x = np.asarray(counts, np.float64)
    total = x.sum()
    if not total > 0:
        return math.nan
    p = x[x > 0] / total
    return float(-(p * np.log(p)).sum())


def limit_hhi(masses: NDArray[Any]) -> float:
    """Return the mean Herfindahl index of the limiting shares: ``sum a_k (a_k + 1) / (A (A + 1))``.

    Flat ``a_k = 1``: 2 / (K + 1).
    """
    a = np.asarray(masses, np.float64)
    total = a.sum()
    return float((a * (a + 1)).sum() / (total * (total + 1)))


def limit_entropy(masses: NDArray[Any]) -> float:
    """Return the mean Shannon entropy of the limiting shares in nats; flat ``a_k = 1``: ``H_K - 1`` (harmonic number).

    ``psi(A + 1) - sum a_k psi(a_k + 1) / A`` (Wolpert and Wolf 1995).
    """
    a = np.asarray(masses, np.float64)
    total = a.sum()
    return float(scipy.special.digamma(total + 1) - (a * scipy.special.digamma(a + 1)).sum() / total)


def limit_gini(masses: NDArray[Any]) -> float:
    """Return the mean Gini coefficient of the limiting shares; flat ``a_k = 1``: ``(K - 1) / (2 K)``.

    ``sum_{i<j} E|x_i - x_j| / K``: the sum of two shares is independent of how they divide it, by
    a Beta(a_i, a_j) law. Each mean is ``(a_i + a_j) / A`` times ``E|2 B - 1|``.
    """
    a = np.asarray(masses, np.float64)
    i, j = np.triu_indices(len(a), 1)
    p, q = a[i], a[j]
    below = scipy.special.betainc(p, q, 0.5)  # P(B < 1/2)
    mean = p / (p + q)
    # E[B; B < 1/2] = mean P(Beta(a + 1, b) < 1/2)
    apart = 2 * mean - 1 + 2 * (below - 2 * mean * scipy.special.betainc(p + 1, q, 0.5))
    return float(((p + q) / a.sum() * apart).sum() / len(a))


def limit_inverse_hhi(masses: Sequence[float] | NDArray[Any]) -> float:
    """Return the mean inverse Herfindahl index (Hill number D2) of the limiting shares of two colours; flat: pi / 2.

    Parameters
    ----------
    masses : array (2,)
    """
    a, b = (float(v) for v in masses)
    # 1 + E[1/HHI - 1] over the log-odds, where the integrand is smooth and falls off like exp(-|s|).
    centre, width = math.log(a / b), 12 * math.sqrt(1 / a + 1 / b)
    s = np.linspace(max(-40.0, centre - width), min(40.0, centre + width), 20_001)
    twice = 2 * scipy.special.expit(s) * scipy.special.expit(-s)
    density = np.exp(a * scipy.special.log_expit(s) + b * scipy.special.log_expit(-s) - scipy.special.betaln(a, b))
    return 1.0 + float(np.trapezoid(density * twice / (1 - twice), s))


# --------------------------------------------------------------------------- mutual information

PERMUTATIONS = 111


@dataclass(frozen=True)
class Information:
    """Mutual information of two continuous variables, in nats.

    Attributes
    ----------
    value : float
        As estimated from the sample.
    null : float
        Mean over permutations of one of them: what chance alone gives.
    corrected : float
        ``value - null``; about 0 for independent variables.
    error : float
        Of the corrected value: spread of the local terms over the square root of n, and spread of the null, added in
        squares.
    p : float
        Share of permutations, the sample itself counted, with as much.
    """

    value: float
    null: float
    corrected: float
    error: float
    p: float


def share_information(
    early: ArrayLike, late: ArrayLike, rng: np.random.Generator, *, neighbours: int = 3
) -> Information:
    """Estimate mutual information of two continuous variables by nearest neighbours.

    The first estimator of Kraskov, Stoegbauer and Grassberger (2004).

    Parameters
    ----------
    early, late : float (n,)
    rng : Generator
        Of the permutations.
    neighbours : int
        At least 1, below n.

    Raises
    ------
    ConfigurationError
        For fewer pairs than neighbours need.
    """
    x, y = (np.asarray(v, np.float64) for v in (early, late))
    refuse(
        x.ndim != 1 or x.shape != y.shape or len(x) < 3,
        f"mutual information: at least three pairs are needed, not {x.shape} and {y.shape}",
    )
    refuse(
        not 1 <= neighbours < len(x), f"mutual information: neighbours = {neighbours}: must be from 1 to {len(x) - 1}"
    )
    # Ranks: information does not change, and ties of equal values are broken by chance.
    x, y = (_spread_ranks(v, rng) for v in (x, y))
    null = np.array([_kraskov(x, rng.permutation(y), neighbours).mean() for _ in range(PERMUTATIONS)])
    terms = _kraskov(x, y, neighbours)
    value = float(terms.mean())
    # Sums of equal terms differ by rounding.
    p = (1 + int((null >= value - 1e-12).sum())) / (1 + len(null))
    error = math.sqrt(float(terms.std()) ** 2 / len(x) + float(null.var()))
    return Information(value, float(null.mean()), value - float(null.mean()), error, p)


def _spread_ranks(x: Float, rng: np.random.Generator) -> Float:
    order = np.lexsort((rng.random(len(x)), x))
    ranks = np.empty(len(x))
    ranks[order] = (np.arange(len(x)) + 0.5) / len(x)
    return np.asarray(scipy.special.ndtri(ranks))


def _kraskov(x: Float, y: Float, k: int) -> Float:
    """Return local terms (n,), whose mean is the estimate."""
    from scipy.spatial import cKDTree

    both = np.column_stack([x, y])
    # The farthest neighbour is not nearer than itself, whatever rounding says.
    distance = np.asarray(cKDTree(both).query(both, k=k + 1, p=np.inf)[0])[:, -1] * (1.0 - 1e-10)
    terms = np.full(len(x), float(scipy.special.digamma(k) + scipy.special.digamma(len(x))))
    for v in (x, y):
        order = np.sort(v)
        inside = np.searchsorted(order, v + distance, side="left") - np.searchsorted(order, v - distance, side="right")
        # The point itself is among them.
        terms -= np.asarray(scipy.special.digamma(np.maximum(inside, 1)))
    return terms


# --------------------------------------------------------------------------- divergence

# Divergence: how far replicates of one community end apart.


def entropies(shares: Float) -> Float:
    """Return Shannon entropy in nats along the last axis (...,)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(-np.where(shares > 0, shares * np.log(shares), 0.0).sum(axis=-1))


def corrected_jsd(counts: NDArray[Any]) -> tuple[float, float]:
    """Return the divergence of infinitely many replicates, less the part of chance, and its standard error.

    The null bias is subtracted with the mean number of draws; the bias of the mean's entropy,
    of order 1/R, goes by the jackknife, which also gives the standard error.

    Parameters
    ----------
    counts : array (R, K)
        New draws of each replicate, founding mass left out.

    Raises
    ------
    ConfigurationError
        If there are fewer than three replicates, or one without counts.
    """
    x = np.asarray(counts, np.float64)
    refuse(x.ndim != 2 or len(x) < 3, f"divergence needs counts of at least 3 replicates by family, not {x.shape}")
    size = x.sum(axis=1, keepdims=True)
    refuse(not (size > 0).all(), "divergence needs counts in every replicate; one has none")
    shares = x / size
    R, K = shares.shape
    own = entropies(shares)
    total = shares.sum(axis=0)
    left_out = entropies((total - shares) / (R - 1)) - (own.sum() - own) / (R - 1)
    estimate = R * float(entropies(total / R) - own.mean()) - (R - 1) * float(left_out.mean())
    error = math.sqrt((R - 1) * float(left_out.var()))
    # What is left of the null bias when R grows: (K - 1) / (2 n).
    n = float(np.mean(np.sum(counts, axis=1)))
    return estimate - (K - 1) / (2.0 * n), error
