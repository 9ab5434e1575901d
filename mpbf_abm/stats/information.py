"""Mutual information of early and late shares, and divergence of replicates, both less the part of chance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mpbf_abm.arrays import Float
from mpbf_abm.errors import ConfigurationError, refuse

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
    if x.ndim != 1 or x.shape != y.shape or len(x) < 3:
        raise ConfigurationError(f"mutual information: at least three pairs are needed, not {x.shape} and {y.shape}")
    if not 1 <= neighbours < len(x):
        raise ConfigurationError(f"mutual information: neighbours = {neighbours}: must be from 1 to {len(x) - 1}")
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
    from scipy.special import ndtri

    order = np.lexsort((rng.random(len(x)), x))
    ranks = np.empty(len(x))
    ranks[order] = (np.arange(len(x)) + 0.5) / len(x)
    return np.asarray(ndtri(ranks))


def _kraskov(x: Float, y: Float, k: int) -> Float:
    """Return local terms (n,), whose mean is the estimate."""
    from scipy.spatial import cKDTree
    from scipy.special import digamma

    both = np.column_stack([x, y])
    # The farthest neighbour is not nearer than itself, whatever rounding says.
    distance = np.asarray(cKDTree(both).query(both, k=k + 1, p=np.inf)[0])[:, -1] * (1.0 - 1e-10)
    terms = np.full(len(x), float(digamma(k) + digamma(len(x))))
    for v in (x, y):
        order = np.sort(v)
        inside = np.searchsorted(order, v + distance, side="left") - np.searchsorted(order, v - distance, side="right")
        # The point itself is among them.
        terms -= np.asarray(digamma(np.maximum(inside, 1)))
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
    whole = float(entropies(total / R) - own.mean())
    estimate = R * whole - (R - 1) * float(left_out.mean())
    error = math.sqrt((R - 1) * float(left_out.var()))
    # What is left of the null bias when R grows: (K - 1) / (2 n).
    n = float(np.mean(np.sum(counts, axis=1)))
    return estimate - (K - 1) / (2.0 * n), error
