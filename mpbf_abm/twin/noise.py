"""Linear noise about the twin: how far chance takes the ecosystem from it, to first order in N^-1/2."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_continuous_lyapunov, solve_discrete_lyapunov

from mpbf_abm.errors import ConfigurationError

if TYPE_CHECKING:
    from mpbf_abm.twin.model import Kind, Twin

Float = NDArray[np.float64]


def tick_noise(twin: Twin, x: Float, mass: Float) -> Float:
    """Covariance of the records that one tick of chance adds (K, K).

    Records other than founding mass are thinned one by one; curators and planners draw families
    one by one, and what planners find is deposited or not.
    """
    keep = math.exp(-twin.forgetting)
    half = twin.halves(x)
    thinned = half.curated @ np.diag((x - mass) * keep * (1 - keep)) @ half.curated.T
    drawn = twin.curators.rate * (np.diag(half.chosen) - np.outer(half.chosen, half.chosen))
    deposited = twin.planners.rate * (np.diag(half.published) - np.outer(half.published, half.published))
    return np.asarray(half.planned @ (thinned + drawn) @ half.planned.T + deposited)


def spread(
    twin: Twin, ticks: int, start: Float | None = None, initial: Float | None = None, until: int | None = None
) -> Float:
    """Covariance of the records along the map's trajectory, with chance in the ticks before `until` (ticks + 1, K, K)."""
    out = np.zeros((ticks + 1, twin.families, twin.families))
    if initial is not None:
        out[0] = initial
    for t, x in enumerate(twin.map(ticks, start).records[:-1]):
        J = twin.jacobian(x)
        out[t + 1] = J @ out[t] @ J.T
        if until is None or t < until:
            out[t + 1] += tick_noise(twin, x, twin.mass * math.exp(-twin.forgetting * t))
    return out


def covariance(twin: Twin, x: Float, kind: Kind) -> Float:
    """Stationary covariance of the records about a stable steady state (K, K).

    Lyapunov's equation: discrete for the map; continuous for the ODE, where every event is a
    Poisson process of its own.
    """
    J = twin.jacobian(x, kind)
    values = np.linalg.eigvals(J)
    if (np.abs(values).max() if kind == "map" else 1 + values.real.max()) >= 1:
        raise ConfigurationError("twin: noise about an unstable state grows without end")
    if kind == "map":
        return np.asarray(solve_discrete_lyapunov(J, tick_noise(twin, x, np.zeros_like(x))))
    return np.asarray(solve_continuous_lyapunov(J, -np.diag(twin.inflow(x) + twin.forgetting * x)))


def of_shares(covariance: Float, x: Float) -> Float:
    """Covariance of the shares from that of the records about a state x (K, K)."""
    change = (np.eye(len(x)) - (x / x.sum())[:, None]) / x.sum()
    return np.asarray(change @ covariance @ change.T)


def urn_covariance(twin: Twin, shares: Float) -> Float:
    """Limit of n times the covariance of the shares after n records without forgetting (K, K).

    The central limit of urns, for two families ``f(1-f)/(1-2f')``; it needs f' < 1/2. About
    the shares at which ``p(x) = x``.
    """
    rate = twin.total_inflow()
    D = twin.inflow_jacobian(shares) / rate
    if np.linalg.eigvals(D).real.max() >= 0.5:
        raise ConfigurationError("twin: the shares of an urn with f' of 1/2 or more have no central limit at rate n")
    G = np.zeros_like(D)
    for source in twin.sources:
        f, q = twin.attend(source, shares), source.published[0]
        counts = (1 - q) * np.outer(f - shares, f - shares)
        G += source.rate * q / rate * (np.diag(f) - np.outer(f, f) + counts)
    return np.asarray(solve_continuous_lyapunov(D - 0.5 * np.eye(len(D)), -G))


def urn_variance(a: float, total: float, batches: Sequence[float] | NDArray[np.generic]) -> float:
    """Variance of the first family's share of a linear urn after some batches of records.

    ``x0 (1-x0) [1 - prod_t (1 - m_t / (N_t + m_t)^2)]`` for founding mass `a` of `total`, where the
    m_t records of a batch are drawn from the same shares. One record at a time, without end:
    ``x0 (1-x0) / (total + 1)``.
    """
    m = np.asarray(batches, np.float64)
    grown = total + np.cumsum(m)
    return a / total * (1 - a / total) * -math.expm1(float(np.log1p(-m / grown**2).sum()))
