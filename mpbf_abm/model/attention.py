"""Attention: how curators and planners divide their effort over families. The urn.

A generalised Polya urn (Polya 1930; non-linear reinforcement: Arthur 1989) with an exploration
term that is part uniform, part the adjacent possible (Kauffman 2000; Tria et al. 2014).
"""

from __future__ import annotations

import numpy as np

from mpbf_abm.arrays import Float, kernel


def reinforced(x: Float, γ: Float, w: Float | None = None) -> Float:
    """Reinforced share ``x_k^γ w_k / sum_j x_j^γ w_j`` of each agent and family (n, K), or (1, K) where all agree.

    Parameters
    ----------
    x : float (K,)
        Founding mass plus visible records of each family, non-negative.
    γ : float (n,)
        Reinforcement exponent of each agent, -1 to 4.
    w : float (n, K), optional
        Weights learned by models; 1 without.
    """
    if γ.size and (γ == γ[0]).all():
        powers = power(x, float(γ[0]))[None]
    else:
        distinct, row = np.unique(γ, return_inverse=True)
        powers = np.array([power(x, float(g)) for g in distinct])[row]
    share = powers if w is None else powers * w
    total = share.sum(axis=1, keepdims=True)
    if (total > 0).all():
        return np.asarray(share / total)
    return np.asarray(np.divide(share, total, out=np.full_like(share, 1.0 / len(x)), where=total > 0))


def power(x: Float, γ: float) -> Float:
    """``x^γ`` up to a factor; families without mass get 0, whatever the sign of γ."""
    if γ == 1.0:
        return x
    if γ == 0.0:
        return np.ones_like(x)
    with np.errstate(divide="ignore"):
        term = np.where(x > 0, γ * np.log(x), -np.inf)
    # The largest term is 1, so that large records do not overflow.
    largest = term.max(axis=-1, keepdims=True)
    return np.where(np.isfinite(largest), np.exp(term - np.where(np.isfinite(largest), largest, 0.0)), 1.0)


def explored(x: Float, ν: float, P: Float) -> Float:
    """Exploration share ``(1-ν)/K + ν sum_j P_jk x_j / X`` of each family (..., K)."""
    uniform = np.full(x.shape, 1.0 / x.shape[-1])
    if ν == 0.0:
        return uniform
    total = x.sum(axis=-1, keepdims=True)
    # Row by row: a product of matrices would round otherwise than one of a vector.
    near = np.array([row @ P for row in x.reshape(-1, x.shape[-1])]).reshape(x.shape)
    return np.where(total > 0, (1 - ν) * uniform + ν * near / np.where(total > 0, total, 1.0), uniform)


@kernel
def crowd(x: Float, ε: float, ν: float, γ: float, P: Float) -> Float:
    """Return attention of equal agents without a model, each in its own community (..., K); see :func:`attention`."""
    powers = power(x, γ)
    total = powers.sum(axis=-1, keepdims=True)
    share = np.where(total > 0, powers / np.where(total > 0, total, 1.0), 1.0 / x.shape[-1])
    return np.asarray(ε * explored(x, ν, P) + (1 - ε) * share)


@kernel
def attention(x: Float, ε: Float, ν: float, γ: Float, P: Float, w: Float | None = None) -> Float:
    """Attention ``f_k = ε explored + (1-ε) reinforced`` of each agent (n, K); rows sum to 1.

    Parameters
    ----------
    x : float (K,)
        Founding mass plus visible records of each family.
    ε : float (n,)
        Exploration of each agent, 0 to 1.
    ν : float
        Adjacency: share of exploration that follows the similarity graph.
    γ : float (n,)
        Reinforcement of each agent.
    P : float (K, K)
        Row-normalised similarity graph.
    w : float (n, K), optional
    """
    e = ε[:, None]
    return np.asarray(e * explored(x, ν, P) + (1 - e) * reinforced(x, γ, w))


def covering(share: Float, x: Float, c: float) -> Float:
    """Attention mixed with what is rare: ``(1 - c) f_k + c r_k / sum r``, ``r_k = 1 / (1 + x_k)`` (..., K).

    Parameters
    ----------
    share : float (..., K)
        Attention f.
    x : float (K,)
        Founding mass plus visible records of each family.
    c : float
        Coverage seeking, 0 to 1.
    """
    rare = 1.0 / (1.0 + x)
    return np.asarray((1 - c) * share + c * rare / rare.sum())
