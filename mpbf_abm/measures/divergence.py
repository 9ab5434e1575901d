"""Divergence: how far replicates of one community end apart."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.errors import ConfigurationError

Float = NDArray[np.float64]


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
