"""The heavy array work of the learners."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.arrays import Float, Float32, kernel

FLAT = 1e-6


@kernel
def features(x: Float32, weights: Float32, phase: Float32) -> Float32:
    """Return random Fourier features with a constant column.

    Parameters
    ----------
    x : float32 (n, d)
        Ambient descriptors.
    weights : float32 (d, p)
        Frequencies already multiplied by the encoder's projection.
    phase : float32 (p,)

    Returns
    -------
    float32 (n, p + 1)
        ``sqrt(2/p) cos(x W + b)`` and a last column of ones.
    """
    n, p = len(x), weights.shape[1]
    out = np.empty((n, p + 1), np.float32)
    if p:
        z = x @ weights
        z += phase
        np.cos(z, out=z)
        np.multiply(z, np.float32(np.sqrt(2.0 / p)), out=out[:, :p])
    out[:, p] = 1.0
    return out


def first_features(phi: Float32, count: int) -> Float32:
    """Return the features of a smaller head (n, count + 1), which are the first of a larger one's (n, p + 1)."""
    if phi.shape[1] == count + 1:
        return phi
    out: Float32 = np.ones((len(phi), count + 1), np.float32)
    np.multiply(phi[:, :count], np.float32(np.sqrt((phi.shape[1] - 1) / count)), out=out[:, :count])
    return out


@kernel
def quadratic(phi: Float32, covariance: Float32) -> Float32:
    """Return the latent variance ``phi Sigma phi'`` of each row (n,)."""
    return np.asarray(np.einsum("np,np->n", phi @ covariance, phi))


@kernel
def gram(phi: NDArray[Any], weight: NDArray[Any]) -> NDArray[Any]:
    """Return the weighted second moment ``Phi' W Phi`` (p, p) in the precision of its arguments."""
    scaled = phi * np.sqrt(weight)[:, None]
    return np.asarray(scaled.T @ scaled)


@kernel
def inverse(matrix: Float) -> Float:
    """Return the inverse of a symmetric positive definite matrix by Cholesky factorisation."""
    return inverse_and_root(matrix)[0]


def inverse_and_root(matrix: Float) -> tuple[Float, float]:
    """Return the inverse, and the logarithm of the square root of the determinant."""
    from scipy.linalg import lapack

    factor, info = lapack.dpotrf(matrix, lower=1)
    if info != 0:
        raise np.linalg.LinAlgError("the posterior precision is not positive definite")
    root = float(np.log(factor.diagonal()).sum())
    half, _ = lapack.dpotri(factor, lower=1)
    # The upper triangle is zero; mirrored, the diagonal counts twice.
    full = np.asarray(half + half.T)
    full.flat[:: len(full) + 1] *= 0.5
    return full, root


@kernel
def leading_directions(moment: Float, k: int) -> Float:
    """Return eigenvectors of a symmetric matrix for its largest eigenvalues, at most k (d, <= k).

    What the data do not span is left out: eigenvalues up to FLAT of the largest belong to directions
    that rounding chose. The largest component of each direction is positive, for the same reason.
    """
    values, vectors = np.linalg.eigh(moment)
    spanned = max(1, int((values > FLAT * values[-1]).sum()))
    leading = vectors[:, ::-1][:, : min(k, spanned)]
    largest = leading[np.argmax(np.abs(leading), axis=0), np.arange(leading.shape[1])]
    return np.asarray(leading * np.where(largest < 0, -1.0, 1.0))
