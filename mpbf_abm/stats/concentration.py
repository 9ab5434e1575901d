"""Concentration: how unevenly shares are divided, and what an urn leaves of it in the end.

The shares of a Polya urn (linear reinforcement, no exploration) that has masses `a` now tend to a
Dirichlet(a) law (Blackwell and MacQueen 1973). The functions ``limit_*`` are the exact means of
concentration indices under that law; from the masses of any moment they say what to expect of the end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def hill(counts: NDArray[Any], order: float) -> float:
    """Return Hill number (effective number of kinds) of order 0, 1 or 2 (Hill 1973); NaN for an empty count."""
    total = np.add.reduce(counts)
    if total <= 0:
        return math.nan
    share = counts[counts > 0] / total
    if order == 0:
        return float(len(share))
    if order == 1:
        return math.exp(-(share @ np.log(share)))
    return 1.0 / float(share @ share)


def gini(counts: NDArray[Any]) -> float:
    """Return Gini coefficient, 0 (equal) to 1 - 1/n; NaN for an empty count."""
    total, n = np.add.reduce(counts), len(counts)
    if total <= 0:
        return math.nan
    return float(np.arange(1 - n, n, 2) @ np.sort(counts) / (n * total))


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
    from scipy.special import digamma

    a = np.asarray(masses, np.float64)
    total = a.sum()
    return float(digamma(total + 1) - (a * digamma(a + 1)).sum() / total)


def limit_gini(masses: NDArray[Any]) -> float:
    """Return the mean Gini coefficient of the limiting shares; flat ``a_k = 1``: ``(K - 1) / (2 K)``.

    ``sum_{i<j} E|x_i - x_j| / K``: the sum of two shares is independent of how they divide it, by
    a Beta(a_i, a_j) law, so that each mean is ``(a_i + a_j) / A`` times ``E|2 B - 1|``.
    """
    from scipy.special import betainc

    a = np.asarray(masses, np.float64)
    i, j = np.triu_indices(len(a), 1)
    p, q = a[i], a[j]
    below = betainc(p, q, 0.5)  # P(B < 1/2)
    mean = p / (p + q)
    # E[B; B < 1/2] = mean P(Beta(a + 1, b) < 1/2)
    apart = 2 * mean - 1 + 2 * (below - 2 * mean * betainc(p + 1, q, 0.5))
    return float(((p + q) / a.sum() * apart).sum() / len(a))


def limit_inverse_hhi(masses: Sequence[float] | NDArray[Any]) -> float:
    """Return the mean inverse Herfindahl index (Hill number D2) of the limiting shares of two colours; flat: pi / 2.

    Parameters
    ----------
    masses : array (2,)
    """
    from scipy.special import betaln, expit, log_expit

    a, b = (float(v) for v in masses)
    # 1 + E[1/HHI - 1] over the log-odds, where the integrand is smooth and falls off like exp(-|s|).
    centre, width = math.log(a / b), 12 * math.sqrt(1 / a + 1 / b)
    s = np.linspace(max(-40.0, centre - width), min(40.0, centre + width), 20_001)
    twice = 2 * expit(s) * expit(-s)
    density = np.exp(a * log_expit(s) + b * log_expit(-s) - betaln(a, b))
    return 1.0 + float(np.trapezoid(density * twice / (1 - twice), s))
