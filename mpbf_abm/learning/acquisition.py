"""Acquisition rules: what a planner values in a prediction. Pure functions, any leading axes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, ndtr

from mpbf_abm.kernels import kernel
from mpbf_abm.parameters import ACQUISITIONS

Float32 = NDArray[np.float32]


@kernel
def score(rule: str, mean: Float32, sd: Float32, *, best: float, kappa: float, draws: Float32 | None = None) -> Float32:
    """Score candidates; larger is better.

    Parameters
    ----------
    rule : str
        random, greedy, ucb, ei (expected improvement), thompson, maxvar (maximum variance) or
        ranking (mean of the ranks by greedy, ucb and ei along the last axis).
    mean, sd : float32 (..., C)
        Predicted mean and claimed standard deviation.
    best : float
        Best value known, the reference of expected improvement.
    kappa : float
        Weight of the sd in ucb.
    draws : float32 (..., C), optional
        Uniform numbers (random) or posterior samples (thompson).
    """
    if rule == "random":
        if draws is None:
            return np.zeros_like(mean)
        return draws
    if rule == "greedy":
        return mean
    if rule == "ucb":
        return mean + np.float32(kappa) * sd
    if rule == "ei":
        return expected_improvement(mean, sd, best)
    if rule == "thompson":
        return mean if draws is None else draws
    if rule == "maxvar":
        return sd
    if rule == "ranking":
        parts = (mean, mean + np.float32(kappa) * sd, expected_improvement(mean, sd, best))
        ranks = [np.argsort(np.argsort(part, axis=-1, kind="stable"), axis=-1) for part in parts]
        return np.asarray(np.mean(ranks, axis=0).astype(np.float32))
    raise ValueError(f"unknown acquisition rule '{rule}' (rules: {', '.join(ACQUISITIONS)})")


def expected_improvement(mean: Float32, sd: Float32, best: float) -> Float32:
    """Logarithm of expected improvement over `best` (Jones et al. 1998), safe in the far tail (Ament et al. 2023)."""
    sd = np.maximum(sd, np.float32(1e-6))
    z = ((mean - np.float32(best)) / sd).astype(np.float64)
    density = -0.5 * z * z - 0.5 * np.log(2 * np.pi)
    near = np.log(np.maximum(z * ndtr(z) + np.exp(density), 1e-300))
    a = np.maximum(-z, 1.0)
    ratio = np.sqrt(np.pi / 2) * erfcx(a / np.sqrt(2))
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
    jitter = np.float32(1e-4) * np.eye(mean.shape[-1], dtype=np.float32)
    factor = np.linalg.cholesky(
        joint + jitter * np.maximum(np.trace(joint, axis1=-2, axis2=-1)[..., None, None] / mean.shape[-1], 1e-3)
    )
    return np.asarray(mean + np.einsum("...ij,...j->...i", factor, normals).astype(np.float32))


def rank_scale(values: Float32) -> Float32:
    """Standardise scores along the last axis (constant rows become 0)."""
    centred = values - values.mean(axis=-1, keepdims=True)
    sd = centred.std(axis=-1, keepdims=True)
    return np.asarray(centred / np.where(sd > 0, sd, 1), np.float32)
