"""Generative models of latent space: a mixture of Gaussians, tilted by a prediction. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mpbf_abm.arrays import Float, Float32, Int, kernel
from mpbf_abm.learning.gaussian import solve_lower
from mpbf_abm.streams import by_shares

EM_STEPS = 20  # more move no component by a hundredth of its spread on the corpora tried
MIXTURE_RIDGE = 1e-6  # of the mean variance, so that a corpus of few materials has a density
DISTANCES = 2**22  # kept at once while nearest materials are sought, 32 MB


@dataclass(frozen=True)
class Mixture:
    """A mixture of M Gaussians in k dimensions.

    Attributes
    ----------
    shares : float64 (M,)
    means : float64 (M, k)
    roots : float64 (M, k, k)
        Lower Cholesky factors of their covariances.
    """

    shares: Float
    means: Float
    roots: Float

    @kernel
    def draw(self, u: Float, normals: Float | Float32) -> Float:
        """Return draws (n, k) that follow from uniform (n,) and standard normal (n, k) numbers."""
        component, out = by_shares(np.cumsum(self.shares), u), np.empty(normals.shape)
        for j, (mean, root) in enumerate(zip(self.means, self.roots, strict=True)):
            at = component == j
            out[at] = mean + normals[at] @ root.T
        return out


@kernel
def fit_mixture(points: Float, u: Float) -> Mixture:
    """Fit as many Gaussians as there are uniform numbers, at most one for each point, by EM (Dempster et al. 1977).

    Mean and covariance of the mixture are those of the points, but for the ridge: components share a part w of their
    covariance, their mean within components, with ``w = M (k + 1) / (n + M (k + 1))``.

    Parameters
    ----------
    points : float64 (n, k)
    u : float64 (M,)
        They choose centres to start from (k-means++, Arthur and Vassilvitskii 2007).
    """
    n, k = points.shape
    u = u[:n]
    gap = points - points.mean(axis=0)
    ridge = MIXTURE_RIDGE * max(float((gap * gap).mean()), MIXTURE_RIDGE) * np.eye(k)
    shared = len(u) * (k + 1) / (n + len(u) * (k + 1))
    belongs = start(points, u)
    for _ in range(EM_STEPS):
        mixture = maximised(points, belongs, shared, ridge)
        belongs = responsibilities(mixture, points)
    return maximised(points, belongs, shared, ridge)


def start(points: Float, u: Float) -> Float:
    """Return which of the centres, chosen one by one far from the earlier ones, is nearest to each point (n, M)."""
    far, squares = np.ones(len(points)), []
    for draw in u:
        centre = points[by_shares(np.cumsum(far) / far.sum(), draw)]
        squares.append(((points - centre) ** 2).sum(axis=1))
        far = np.min(squares, axis=0) + 1e-12
    return np.asarray(np.eye(len(u))[np.argmin(squares, axis=0)])


def maximised(points: Float, belongs: Float, shared: float, ridge: Float) -> Mixture:
    """Return the mixture of largest likelihood, given how far each point belongs to each component (n, M)."""
    weight = np.maximum(belongs.sum(axis=0), 1e-12)
    means = belongs.T @ points / weight[:, None]
    within = np.empty((len(weight), points.shape[1], points.shape[1]))
    for j, mean in enumerate(means):
        gap = points - mean
        within[j] = (belongs[:, j, None] * gap).T @ gap / weight[j]
    shares = weight / weight.sum()
    covariances = (1 - shared) * within + shared * np.tensordot(shares, within, 1) + ridge
    return Mixture(shares, means, np.asarray(np.linalg.cholesky(covariances), np.float64))


def responsibilities(mixture: Mixture, points: Float) -> Float:
    """Return how far each point belongs to each component (n, M)."""
    logs = np.empty((len(points), len(mixture.shares)))
    for j, (share, mean, root) in enumerate(zip(mixture.shares, mixture.means, mixture.roots, strict=True)):
        gap = solve_lower(root, (points - mean).T)
        logs[:, j] = np.log(share) - 0.5 * (gap * gap).sum(axis=0) - np.log(root.diagonal()).sum()
    belongs = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(belongs / belongs.sum(axis=1, keepdims=True))


@kernel
def tilted(values: Float | Float32, tilt: float, u: Float) -> Int:
    """Choose along the last axis with chances in proportion to ``exp(tilt value)``, by uniform numbers of that shape.

    Sampling-importance-resampling (Rubin 1987): of many draws, as these, one has the tilted law. By the largest of
    value and Gumbel noise, which holds for any tilt.
    """
    noise = -np.log(-np.log(np.clip(u, 1e-300, 1 - 1e-16)))
    return np.asarray(np.argmax(tilt * values.astype(np.float64) + noise, axis=-1))


@kernel
def nearest(targets: Float, points: Float32) -> tuple[Int, Float]:
    """Return the nearest of some points (n, k) to each target (m, k), the first on ties, and the distances (m,)."""
    place, least = np.zeros(len(targets), np.int64), np.full(len(targets), np.inf)
    step = max(1, DISTANCES // len(targets))
    for first in range(0, len(points), step):
        z = points[first : first + step].astype(np.float64)
        part = (z * z).sum(axis=1) - 2.0 * (targets @ z.T)
        at = part.argmin(axis=1)
        found = part[np.arange(len(targets)), at]
        place[found < least] = first + at[found < least]
        least = np.minimum(least, found)
    return place, np.sqrt(((targets - points[place]) ** 2).sum(axis=1))
