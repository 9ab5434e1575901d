"""What early history says about the end: mutual information of leaders and of shares, with the part of chance taken off."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mpbf_abm.errors import ConfigurationError

Float = NDArray[np.float64]
Int = NDArray[np.int64]

PERMUTATIONS = 999


@dataclass(frozen=True)
class Information:
    """Mutual information of two variables, in nats.

    Attributes
    ----------
    value : float
        As estimated from the sample.
    null : float
        Mean over permutations of one of them: what chance alone gives.
    corrected : float
        ``value - null``; about 0 for independent variables.
    share : float
        Corrected, over the entropy of the later variable less the same null (1: the end is known); NaN for a constant or a continuous one.
    p : float
        Share of permutations, the sample itself counted, with as much.
    n : int
    """

    value: float
    null: float
    corrected: float
    share: float
    p: float
    n: int


def entropy(labels: ArrayLike) -> float:
    """Plug-in entropy of discrete labels (n,), in nats."""
    _, counts = np.unique(np.asarray(labels), return_counts=True)
    p = counts / counts.sum()
    return float(-(p * np.log(p)).sum())


def label_information(early: ArrayLike, late: ArrayLike, rng: np.random.Generator) -> Information:
    """Mutual information of discrete labels, such as the leading family early and at the end.

    ``I = H(early) + H(late) - H(early, late)`` from the counts. Its bias, of order (a-1)(b-1)/2n (Miller and Madow 1955), is taken off by permutation.

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
    value = _of_counts(counts[None])[0]
    shuffled = np.zeros((PERMUTATIONS, *counts.shape))
    for table in shuffled:
        np.add.at(table, (a, rng.permutation(b)), 1.0)
    null = _of_counts(shuffled)
    left = entropy(b) - float(null.mean())
    share = (value - float(null.mean())) / left if left > 1e-12 else math.nan
    return _against(float(value), null, share, len(a))


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
    null = np.array([_kraskov(x, rng.permutation(y), neighbours) for _ in range(PERMUTATIONS // 9)])
    return _against(_kraskov(x, y, neighbours), null, math.nan, len(x))


def _check(a: NDArray[np.generic], b: NDArray[np.generic]) -> None:
    if a.ndim != 1 or a.shape != b.shape or len(a) < 3:
        raise ConfigurationError(f"mutual information: at least three pairs are needed, not {a.shape} and {b.shape}")


def _of_counts(counts: Float) -> Float:
    """Plug-in information of tables of counts (m, a, b)."""
    p = counts / counts.sum(axis=(1, 2), keepdims=True)
    rows, columns = p.sum(axis=2, keepdims=True), p.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(p > 0, p * np.log(p / (rows * columns)), 0.0).sum(axis=(1, 2)))


def _against(value: float, null: Float, share: float, n: int) -> Information:
    mean = float(null.mean())
    # Sums of equal tables differ by rounding.
    p = (1 + int((null >= value - 1e-12).sum())) / (1 + len(null))
    return Information(value, mean, value - mean, share, p, n)


def _spread_ranks(x: Float, rng: np.random.Generator) -> Float:
    from scipy.special import ndtri

    order = np.lexsort((rng.random(len(x)), x))
    ranks = np.empty(len(x))
    ranks[order] = (np.arange(len(x)) + 0.5) / len(x)
    return np.asarray(ndtri(ranks))


def _kraskov(x: Float, y: Float, k: int) -> float:
    from scipy.spatial import cKDTree
    from scipy.special import digamma

    both = np.column_stack([x, y])
    distance = np.asarray(cKDTree(both).query(both, k=k + 1, p=np.inf)[0])[:, -1]
    total = 0.0
    for v in (x, y):
        order = np.sort(v)
        inside = np.searchsorted(order, v + distance, side="left") - np.searchsorted(order, v - distance, side="right")
        # The point itself is among them.
        total += float(digamma(np.maximum(inside, 1)).mean())
    return float(digamma(k) + digamma(len(x)) - total)
