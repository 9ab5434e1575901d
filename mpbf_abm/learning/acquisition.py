"""Acquisition rules: what a planner values in a prediction. Pure functions, any leading axes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy  # its parts are loaded when they are first used

from mpbf_abm.arrays import Float32, fault_of_values, kernel
from mpbf_abm.errors import ConfigurationError, RuleError
from mpbf_abm.identity import is_own, name_of, own

Score = Callable[..., Float32]


@dataclass(frozen=True)
class Acquisition:
    """An acquisition rule, declared once.

    Attributes
    ----------
    score : callable
        ``score(mean, sd, *, best, kappa, draws)`` gives scores (..., C); larger is better.
    sd : bool
        Whether it reads the claimed sd; without, sd is 1 throughout.
    best : bool
        Whether it reads the best value known.
    draws : str
        What else it reads. ``order``: a random order of the candidates; ``posterior``: joint samples of the posterior;
        ``panel``: expected falls of the variance, averaged over the model's panel; empty: nothing.
    ranks : bool
        Whether a score depends on which other candidates there are.
    families : str
        Rule by which families are valued.
    """

    score: Score
    sd: bool = True
    best: bool = False
    draws: Literal["", "order", "posterior", "panel"] = ""
    ranks: bool = False
    families: str = ""


RULES: dict[str, Acquisition] = {}


def acquisition(name: str | None = None, *, families: str = "", **reads: Any) -> Callable[[Score], Score]:
    """Register an acquisition rule; see :class:`Acquisition` for what it may say that it reads.

    Examples
    --------
    >>> @acquisition("optimist")
    ... def optimist(mean, sd, *, best, kappa, draws):
    ...     return mean + 3 * sd
    >>> _ = RULES.pop("optimist")

    Raises
    ------
    ConfigurationError
        If there is a rule of that name, or `families` names none.
    """

    def register(function: Score) -> Score:
        called = name_of(function, name, "acquisition rule", RULES)
        if families and families not in RULES:
            raise ConfigurationError(f"acquisition rule '{called}': families = '{families}' is no rule")
        RULES[called] = Acquisition(own(function), families=families or called, **reads)
        return function

    return register


@acquisition()
def ucb(mean: Float32, sd: Float32, *, kappa: float, **_: Any) -> Float32:
    """Upper confidence bound: the mean plus kappa claimed sds."""
    return mean + np.float32(kappa) * sd


@acquisition(sd=False, draws="order", families="ucb")
def random(mean: Float32, sd: Float32, *, draws: Float32 | None, **_: Any) -> Float32:  # noqa: ARG001
    """Any candidate, in a random order."""
    return np.zeros_like(mean) if draws is None else draws


@acquisition(sd=False)
def greedy(mean: Float32, sd: Float32, **_: Any) -> Float32:  # noqa: ARG001
    """Largest mean."""
    return mean


@acquisition(best=True)
def ei(mean: Float32, sd: Float32, *, best: float, **_: Any) -> Float32:
    """Expected improvement on the best value known."""
    return expected_improvement(mean, sd, best)


@acquisition(draws="posterior", families="ucb")
def thompson(mean: Float32, sd: Float32, *, draws: Float32 | None, **_: Any) -> Float32:  # noqa: ARG001
    """One joint sample of the posterior (Thompson sampling)."""
    return mean if draws is None else draws


@acquisition()
def maxvar(mean: Float32, sd: Float32, **_: Any) -> Float32:  # noqa: ARG001
    """Maximum variance."""
    return sd


@acquisition(sd=False, draws="panel")
def integrated_variance(mean: Float32, sd: Float32, *, draws: Float32 | None, **_: Any) -> Float32:  # noqa: ARG001
    """Fall of the variance over the whole panel that a result lets expect (Cohn et al. 1996)."""
    return np.zeros_like(mean) if draws is None else draws


@acquisition(best=True, ranks=True, families="ucb")
def ranking(mean: Float32, sd: Float32, *, best: float, kappa: float, **_: Any) -> Float32:
    """Mean of the ranks by greedy, ucb and ei along the last axis."""
    parts = (mean, mean + np.float32(kappa) * sd, expected_improvement(mean, sd, best))
    ranks = [np.argsort(np.argsort(part, axis=-1, kind="stable"), axis=-1) for part in parts]
    return np.asarray(np.mean(ranks, axis=0).astype(np.float32))


@kernel
def score(
    rule: str, mean: Float32, sd: Float32, *, best: float, kappa: float, draws: Float32 | None = None, where: str = ""
) -> Float32:
    """Score candidates by a rule of :data:`RULES`; larger is better.

    Parameters
    ----------
    rule : str
    mean, sd : float32 (..., C)
        Predicted mean and claimed standard deviation.
    best : float
        Best value known, the reference of expected improvement.
    kappa : float
        Weight of the sd in ucb.
    draws : float32 (..., C), optional
        Uniform numbers, posterior samples or falls of the variance, for rules that read them.
    where : str
        Tick and agents, for messages.

    Raises
    ------
    RuleError
        If a rule of the user returns what is no array of finite numbers (..., C).
    """
    if rule not in RULES:
        raise ValueError(f"unknown acquisition rule '{rule}' (rules: {', '.join(RULES)})")
    function = RULES[rule].score
    given = function(mean, sd, best=best, kappa=kappa, draws=draws)
    if is_own(function) and (fault := fault_of_values(given, mean.shape)):
        raise RuleError(f"acquisition rule '{rule}' ({where}) returned {fault}")
    return np.asarray(given, np.float32)


def expected_improvement(mean: Float32, sd: Float32, best: float) -> Float32:
    """Return log expected improvement over `best` (Jones et al. 1998), safe in the far tail (Ament et al. 2023)."""
    sd = np.maximum(sd, np.float32(1e-6))
    z = ((mean - np.float32(best)) / sd).astype(np.float64)
    density = -0.5 * z * z - 0.5 * np.log(2 * np.pi)
    near = np.log(np.maximum(z * scipy.special.ndtr(z) + np.exp(density), 1e-300))
    a = np.maximum(-z, 1.0)
    ratio = np.sqrt(np.pi / 2) * scipy.special.erfcx(a / np.sqrt(2))
    # Beyond 1e3 even the scaled form loses its digits; what is left is density / z^2.
    far = density + np.where(a > 1e3, -2 * np.log(a), np.log1p(-np.minimum(a * ratio, 1 - 1e-15)))
    return np.asarray(np.where(z > -1, near, far) + np.log(sd), np.float32)


def posterior_sample(mean: Float32, joint: Float32, normals: Float32) -> Float32:
    """Draw jointly from the posterior over candidates: ``mean + chol(joint) z``.

    Parameters
    ----------
    mean, normals : float32 (..., C)
    joint : float32 (..., C, C)
        Posterior covariance of the candidates.
    """
    n = mean.shape[-1]
    jitter = np.float32(1e-4) * np.eye(n, dtype=np.float32)
    size = np.trace(joint, axis1=-2, axis2=-1)[..., None, None] / n
    factor = np.linalg.cholesky(joint + jitter * np.maximum(size, 1e-3))
    return np.asarray(mean + np.einsum("...ij,...j->...i", factor, normals).astype(np.float32))


def rank_scale(values: Float32) -> Float32:
    """Standardise scores along the last axis (constant rows become 0)."""
    centred = values - values.mean(axis=-1, keepdims=True)
    sd = centred.std(axis=-1, keepdims=True)
    return np.asarray(centred / np.where(sd > 0, sd, 1), np.float32)
