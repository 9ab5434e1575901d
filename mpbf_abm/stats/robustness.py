"""Robustness: which policy holds up over scenarios, by several criteria, and how sure their order is.

A table has one row per policy and one column per scenario; larger is better (flip the sign otherwise). The criteria
are those of McPhail et al. (2018): value or regret, which scenarios, how they are combined.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from mpbf_abm.arrays import Float
from mpbf_abm.errors import refuse

HURWICZ = 0.5
PERCENTILE = 90.0
RESAMPLES = 1_000


def maximin(f: Float) -> Float:
    """Return the worst value over scenarios (Wald 1950)."""
    return np.asarray(f.min(axis=1))


def maximax(f: Float) -> Float:
    """Return the best value over scenarios."""
    return np.asarray(f.max(axis=1))


def hurwicz(f: Float, pessimism: float = HURWICZ) -> Float:
    """Return ``a min + (1 - a) max`` with pessimism a (Hurwicz 1951)."""
    return np.asarray(pessimism * f.min(axis=1) + (1 - pessimism) * f.max(axis=1))


def laplace(f: Float) -> Float:
    """Return the mean over scenarios, all equally likely."""
    return np.asarray(f.mean(axis=1))


def regret(f: Float) -> Float:
    """Return what a policy loses against the best one of each scenario (policies, scenarios)."""
    return np.asarray(f.max(axis=0) - f)


def minimax_regret(f: Float) -> Float:
    """Return the largest regret (Savage 1954); less is better."""
    return np.asarray(regret(f).max(axis=1))


def percentile_regret(f: Float, percentile: float = PERCENTILE) -> Float:
    """Return the percentile of regret over scenarios; less is better."""
    return np.asarray(np.percentile(regret(f), percentile, axis=1))


def satisficing(f: Float, threshold: float) -> Float:
    """Return the share of scenarios in which a policy reaches a threshold (Starr 1963)."""
    return np.asarray((f >= threshold).mean(axis=1))


def undesirable_deviation(f: Float) -> Float:
    """Sum of the distances below the median, over scenarios that lie below it; less is better."""
    below = np.median(f, axis=1, keepdims=True) - f
    return np.asarray(np.where(below > 0, below, 0.0).sum(axis=1))


def criteria(threshold: float | None = None) -> dict[str, tuple[Callable[[Float], Float], bool]]:
    """Return criteria by name: the function, and whether a larger value is better."""
    out: dict[str, tuple[Callable[[Float], Float], bool]] = {
        "maximin": (maximin, True),
        "maximax": (maximax, True),
        "hurwicz": (hurwicz, True),
        "laplace": (laplace, True),
        "minimax regret": (minimax_regret, False),
        f"{PERCENTILE:g} % regret": (percentile_regret, False),
        "undesirable deviation": (undesirable_deviation, False),
    }
    if threshold is not None:
        out["satisficing"] = (lambda f: satisficing(f, threshold), True)
    return out


def ranks(values: Float, larger: bool) -> Float:
    """Return ranks from 1 (best); policies that tie, but for rounding, share the mean of their ranks."""
    from scipy.stats import rankdata

    score = np.round(values / (1e-12 * max(1.0, float(np.abs(values).max()))))
    return np.asarray(rankdata(-score if larger else score, method="average"), np.float64)


def agreement(table: Mapping[str, Float]) -> Float:
    """Return Kendall's tau-b between the ranks of criteria (c, c); NaN where one ranks all alike."""
    from scipy.stats import kendalltau

    names = list(table)
    out = np.eye(len(names))
    for i in range(len(names)):
        for j in range(i):
            out[i, j] = out[j, i] = float(kendalltau(table[names[i]], table[names[j]]).statistic)
    return out


def check_table(f: Float) -> Float:
    """Return a table of at least one policy and one scenario, all finite, or say what is wrong."""
    f = np.asarray(f, np.float64)
    refuse(f.ndim != 2 or not f.size, f"robustness needs a table of policies by scenarios, not {f.shape}")
    refuse(not np.isfinite(f).all(), "robustness needs values that are all finite; leave out whole scenarios")
    return f


def rank_shares(values: Float, function: Callable[[Float], Float], larger: bool, *, seed: int = 0) -> Float:
    """Return how often each policy comes first when replicates are drawn anew; ties share.

    Scenarios are kept: robustness is a statement about them. Replicates are resampled within each scenario, the same
    for all policies, which share their draws.

    Parameters
    ----------
    values : float array (policies, scenarios, replicates)
    function, larger
        A criterion (:func:`criteria`).
    seed : int

    Returns
    -------
    float array (policies,)
        Sums to 1.
    """
    x = np.asarray(values, np.float64)
    P, S, m = x.shape
    rng = np.random.default_rng([seed, P, S, m])
    first = np.zeros(P)
    for _ in range(RESAMPLES):
        weight = rng.multinomial(m, np.full(m, 1.0 / m), S) / m
        score = function(np.einsum("psm,sm->ps", x, weight)) * (1 if larger else -1)
        best = score >= score.max() - 1e-12 * max(1.0, float(np.abs(score).max()))
        first += best / best.sum()
    return first / RESAMPLES


def honest_regret(values: Float, *, splits: int = 50, seed: int = 0) -> Float:
    """Return the largest regret, chosen on one half of the replicates and valued on the other.

    The regret of noisy means is a largest value over scenarios of differences to a largest value over policies, and
    too large on both counts. Half the replicates say which scenario and which policy; the other half what they are
    worth. Both ways round of some random halvings are averaged.

    Parameters
    ----------
    values : float array (policies, scenarios, replicates)
    splits, seed : int

    Returns
    -------
    float array (policies,)
        NaN with fewer than two replicates; may fall below 0 by chance.
    """
    x = np.asarray(values, np.float64)
    P, _, m = x.shape
    if m < 2:
        return np.full(P, np.nan)
    rng = np.random.default_rng([seed, P, m])
    out = np.zeros(P)
    for _ in range(splits):
        order = rng.permutation(m)
        halves = (x[..., order[: m // 2]].mean(axis=2), x[..., order[m // 2 :]].mean(axis=2))
        for choose, value in (halves, halves[::-1]):
            best = choose.argmax(axis=0)
            worst = (choose.max(axis=0) - choose).argmax(axis=1)
            out += value[best[worst], worst] - value[np.arange(P), worst]
    return out / (2 * splits)
