"""What early history says about the end: mutual information of leaders and of shares, with the part of chance taken off."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mpbf_abm.errors import ConfigurationError

Float = NDArray[np.float64]
Int = NDArray[np.int64]

PERMUTATIONS = 999
NORMAL = 1.959964  # standard errors to each side in which a normal variable is 95 % of the time


@dataclass(frozen=True)
class Information:
    """Mutual information of two variables, in nats.

    Attributes
    ----------
    value : float
        As estimated from the sample (labels: plug-in).
    miller_madow : float
        Of labels, less the bias by which cells are occupied (Miller and Madow 1955); NaN for continuous variables.
    null : float
        Mean over permutations of one of them: what chance alone gives.
    corrected : float
        ``value - null``; about 0 for independent variables.
    error : float
        Of the corrected value: spread of the local terms over the square root of n, and spread of the null, added in squares.
    share : float
        Corrected, over the entropy of the later variable less the same null (1: the end is known); NaN for a constant or a continuous one.
    p : float
        Share of permutations, the sample itself counted, with as much.
    n : int

    Notes
    -----
    Over 300 samples of 48 and of 200 pairs ``low`` to ``high`` covered the true value in .88 to 1, and in as few as .4 to .77 of
    those in which one variable says nearly all about the other: there the share tells more.
    """

    value: float
    miller_madow: float
    null: float
    corrected: float
    error: float
    share: float
    p: float
    n: int

    @property
    def low(self) -> float:
        """Lower end of the approximate 95 % interval of the corrected value."""
        return self.corrected - NORMAL * self.error

    @property
    def high(self) -> float:
        """Upper end of it."""
        return self.corrected + NORMAL * self.error


def entropy(labels: ArrayLike) -> float:
    """Plug-in entropy of discrete labels (n,), in nats."""
    _, counts = np.unique(np.asarray(labels), return_counts=True)
    p = counts / counts.sum()
    return float(-(p * np.log(p)).sum())


def label_information(early: ArrayLike, late: ArrayLike, rng: np.random.Generator) -> Information:
    """Mutual information of discrete labels, such as the leading family early and at the end.

    ``I = H(early) + H(late) - H(early, late)`` from the counts. Its bias, ``(a + b - ab - 1) / 2n`` from above where a, b and ab are the labels and
    pairs of them that occur (Miller and Madow 1955), is also taken off by permutation, which does better where many pairs are rare.

    Parameters
    ----------
    early, late : (n,)
        Labels of the same runs.
    rng : Generator
        Of the permutations.

    Raises
    ------
    ConfigurationError
        For fewer than three pairs.
    """
    a, b = (np.unique(np.asarray(v), return_inverse=True)[1] for v in (early, late))
    _check(a, b)
    counts = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(counts, (a, b), 1.0)
    n = len(a)
    value = float(_of_counts(counts[None])[0])
    occur = [int((counts.sum(axis=i) > 0).sum()) for i in (0, 1)]
    miller_madow = value + (sum(occur) - int((counts > 0).sum()) - 1) / (2 * n)
    terms = np.log(
        counts * n / np.outer(counts.sum(axis=1), counts.sum(axis=0)), where=counts > 0, out=np.zeros_like(counts)
    )
    spread = math.sqrt(max(0.0, float((counts * (terms - value) ** 2).sum()) / n))
    shuffled = np.zeros((PERMUTATIONS, *counts.shape))
    for table in shuffled:
        np.add.at(table, (a, rng.permutation(b)), 1.0)
    null = _of_counts(shuffled)
    left = entropy(b) - float(null.mean())
    share = (value - float(null.mean())) / left if left > 1e-12 else math.nan
    return _against(value, miller_madow, spread, null, share, n)


def share_information(
    early: ArrayLike, late: ArrayLike, rng: np.random.Generator, *, neighbours: int = 3
) -> Information:
    """Mutual information of two continuous variables, such as the largest share early and at the end, by nearest neighbours.

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
    _check(x, y)
    if not 1 <= neighbours < len(x):
        raise ConfigurationError(f"mutual information: neighbours = {neighbours}: must be from 1 to {len(x) - 1}")
    # Ranks: information does not change, and ties of equal values are broken by chance.
    x, y = (_spread_ranks(v, rng) for v in (x, y))
    null = np.array([_kraskov(x, rng.permutation(y), neighbours).mean() for _ in range(PERMUTATIONS // 9)])
    terms = _kraskov(x, y, neighbours)
    return _against(float(terms.mean()), math.nan, float(terms.std()), null, math.nan, len(x))


def _check(a: NDArray[np.generic], b: NDArray[np.generic]) -> None:
    if a.ndim != 1 or a.shape != b.shape or len(a) < 3:
        raise ConfigurationError(f"mutual information: at least three pairs are needed, not {a.shape} and {b.shape}")


def _of_counts(counts: Float) -> Float:
    """Plug-in information of tables of counts (m, a, b)."""
    p = counts / counts.sum(axis=(1, 2), keepdims=True)
    rows, columns = p.sum(axis=2, keepdims=True), p.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(p > 0, p * np.log(p / (rows * columns)), 0.0).sum(axis=(1, 2)))


def _against(value: float, miller_madow: float, spread: float, null: Float, share: float, n: int) -> Information:
    mean = float(null.mean())
    # Sums of equal tables differ by rounding.
    p = (1 + int((null >= value - 1e-12).sum())) / (1 + len(null))
    error = math.sqrt(spread**2 / n + float(null.var()))
    return Information(value, miller_madow, mean, value - mean, error, share, p, n)


def _spread_ranks(x: Float, rng: np.random.Generator) -> Float:
    from scipy.special import ndtri

    order = np.lexsort((rng.random(len(x)), x))
    ranks = np.empty(len(x))
    ranks[order] = (np.arange(len(x)) + 0.5) / len(x)
    return np.asarray(ndtri(ranks))


def _kraskov(x: Float, y: Float, k: int) -> Float:
    """Local terms (n,), whose mean is the estimate."""
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
    """Shannon entropy in nats along the last axis (...,)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(-np.where(shares > 0, shares * np.log(shares), 0.0).sum(axis=-1))


def replicate_jsd(counts: NDArray[Any]) -> float:
    """Jensen-Shannon divergence of replicates: entropy of their mean less their mean entropy, in nats.

    Parameters
    ----------
    counts : array (R, K)
        Records, experiments or finds of each family in each replicate; rows are normalised.

    Returns
    -------
    float
        0 (all alike) to min(ln R, ln K) (Lin 1991, with equal weights).

    Raises
    ------
    ConfigurationError
        If there are fewer than two replicates, or one without counts.
    """
    shares = _shares(counts)
    return float(entropies(shares.mean(axis=0)) - entropies(shares).mean())


def jsd_null_bias(families: int, replicates: int, draws: float) -> float:
    """Divergence that chance alone leaves: ``(K - 1)(R - 1) / (2 n R)`` nats.

    Replicates that each draw `n` records from the *same* shares differ by this much on average
    (the Miller-Madow bias of their entropies).
    """
    return (families - 1) * (replicates - 1) / (2.0 * draws * replicates)


def corrected_jsd(counts: NDArray[Any]) -> tuple[float, float]:
    """Divergence of replicates for infinitely many of them, without the part of chance, and its standard error.

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
    shares = _shares(counts, least=3)
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


def _shares(counts: NDArray[Any], least: int = 2) -> Float:
    x = np.asarray(counts, np.float64)
    if x.ndim != 2 or len(x) < least:
        raise ConfigurationError(f"divergence needs counts of at least {least} replicates by family, not {x.shape}")
    total = x.sum(axis=1, keepdims=True)
    if not (total > 0).all():
        raise ConfigurationError("divergence needs counts in every replicate; one has none")
    return np.asarray(x / total)
