"""Exact Gaussian process regression whose Cholesky factor grows with the data.

The kernel (:mod:`mpbf_abm.learning.kernels`) has unit length on coordinates that were divided by their lengths, and
unit variance beside the noise of the labels; the offset follows from the labels seen so far. A user of the same points
again and again keeps their posterior with :class:`GrowingPosterior`, at O(n N) a new label.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mpbf_abm.arrays import Float, Float32, Int, kernel
from mpbf_abm.learning.encoders import Encoder
from mpbf_abm.learning.kernels import FIXED, ROOT5, Kernel, learned, matern, of_distance


def coordinate_map(encoder: Encoder, length_scale: float) -> tuple[Float32, Float32]:
    """Return weights (d, k) and shift (k,) from ambient columns to coordinates in units of `length_scale` sqrt(k)."""
    to = encoder.input_scale[:, None] * encoder.directions / (encoder.spread * length_scale * np.sqrt(encoder.k))
    return to.astype(np.float32), (-encoder.centre @ to).astype(np.float32)


@kernel
def coordinates(x: Float32, weights: Float32, shift: Float32) -> Float32:
    """Return coordinates of ambient rows (n, k)."""
    return x @ weights + shift


@kernel
def solve_lower(factor: Float, right: Float, *, transposed: bool = False) -> Float:
    """Solve ``M x = right``, or ``M' x = right``, for a lower triangular matrix."""
    if not len(factor):
        return np.zeros_like(right)
    from scipy.linalg import solve_triangular

    return np.asarray(solve_triangular(factor, right, lower=True, trans="T" if transposed else "N", check_finite=False))


def claims(centred: Float, reduction: Float, offset: float, scale: float, noise: float) -> tuple[Float32, Float32]:
    """Return mean and variance of observations in float32.

    They follow from the mean less the offset, and from what the labels took off the variance 1.
    """
    left = scale**2 * np.maximum(1.0 - reduction, 0.0)
    return centred.astype(np.float32) + np.float32(offset), left.astype(np.float32) + np.float32(noise)


# --------------------------------------------------------------------------- a head


@dataclass
class GaussianProcess:
    """Posterior over functions, as a head on an encoder's coordinates.

    Attributes
    ----------
    points : float64 (n, k)
        Coordinates of the labels.
    factor : float64 (n, n)
        Lower triangular M with ``v(a) = M^-1 k(X, a)``: the posterior variance is ``1 - v'v``. The Cholesky
        factor of kernel and noise, where corrections have strength 1.
    labels : float64 (n,)
    value, unit : float64 (n,)
        Labels and ones after ``M^-1``: the posterior mean is ``offset + v'(value - offset unit)``.
    offset_shrink : float
        Records at which the offset counts half; 0 leaves it as the mean.
    kernel : Kernel
    """

    points: Float
    factor: Float
    labels: Float
    value: Float
    unit: Float
    offset_shrink: float = 0.0
    kernel: Kernel = FIXED

    @property
    def noise(self) -> float:
        """Return the variance of the misfit."""
        return self.kernel.noise

    def features(self, x: Float32, weights: Float32, shift: Float32) -> Float32:
        """Return coordinates of ambient rows in units of their lengths (n, k)."""
        return np.asarray(coordinates(x, weights, shift) / self.kernel.lengths, np.float32)

    def __post_init__(self) -> None:
        self.refresh()

    def refresh(self) -> None:
        """Renew offset, scale and weights of the kernel, which follow from the rest."""
        offset, self.scale = self.kernel.offset_and_scale(self.labels)
        n = len(self.labels)
        self.offset = offset * n / (n + self.offset_shrink) if n else 0.0
        self.weights = solve_lower(self.factor, self.value - self.offset * self.unit, transposed=True)

    def centred(self, phi: Float32) -> Float32:
        """Return the posterior mean less the offset at rows (n, k)."""
        return np.asarray(matern(phi.astype(np.float64), self.points) @ self.weights, np.float32)

    def predict(self, phi: Float32) -> tuple[Float32, Float32]:
        """Return posterior mean and variance of observations, misfit included, for rows (n, k)."""
        cross = matern(phi.astype(np.float64), self.points)
        v = solve_lower(self.factor, cross.T)
        return claims(cross @ self.weights, (v * v).sum(axis=0), self.offset, self.scale, self.noise)

    def joint(self, phi: Float32) -> Float32:
        """Return the posterior covariance between rows (..., n, k) of one set each (..., n, n)."""
        out = [self._joint(rows.astype(np.float64)) for rows in phi.reshape(-1, *phi.shape[-2:])]
        return np.stack(out).astype(np.float32).reshape(*phi.shape[:-1], phi.shape[-2])

    def _joint(self, rows: Float) -> Float:
        v = solve_lower(self.factor, matern(self.points, rows))
        return self.scale**2 * (matern(rows, rows) - v.T @ v)

    def over(self, panel: Float32) -> tuple[Float, Float]:
        """Return the rows of a panel (m, k), and what the labels tell about them (n, m)."""
        rows = panel.astype(np.float64)
        return rows, solve_lower(self.factor, matern(self.points, rows))

    def reach(self, phi: Float32, over: tuple[Float, Float]) -> tuple[Float, Float]:
        """Return what labels at rows (n, k) tell about a panel, for :func:`~mpbf_abm.learning.heads.expected_fall`."""
        rows, unit = phi.astype(np.float64), self.kernel.unit
        v = solve_lower(self.factor, matern(self.points, rows))
        left = matern(rows, over[0]) - v.T @ over[1]
        return self.scale**2 * unit * (left * left).mean(axis=1), unit * np.maximum(1.0 - (v * v).sum(axis=0), 0.0)

    def slope(self, x: Float32, weights: Float32, shift: Float32) -> Float32:
        """Return the gradient of the posterior mean at one ambient row or several (..., d)."""
        if x.ndim > 1:
            return np.array([self.slope(row, weights, shift) for row in x])
        gap = self.features(x, weights, shift).astype(np.float64) - self.points
        t = ROOT5 * np.sqrt((gap * gap).sum(axis=1))
        along = (-5.0 / 3.0 * (1.0 + t) * np.exp(-t) * self.weights) @ gap / self.kernel.lengths
        return np.asarray(weights @ along.astype(np.float32))

    def update(self, phi: Float32, residual: Float, variance: Float, strength: float) -> Growth:
        """Fine-tune on new labels (the inner loop): at strength 1 this equals a refit with them.

        The factor grows by a block. With strength c and the gain K of the exact update, the mean moves by
        ``c K r``, beside what the offset does. The covariance moves by ``min(1, c) K C``.

        Parameters
        ----------
        phi : float32 (r, k)
        residual : float64 (r,)
            Label minus prediction.
        variance : float64 (r,)
            Noise of the labels, the misfit included.
        strength : float
            Correction strength c.
        """
        before = replace(self)
        # Labels are float32, as all records: this restores them, but for the last bit.
        labels = (residual + self.centred(phi) + np.float32(self.offset)).astype(np.float32).astype(np.float64)
        _extend(self, phi.astype(np.float64), labels, variance, strength)
        return Growth.between(before, self)


def fit_gaussian(
    phi: Float32, value: Float, variance: Float, *, offset_shrink: float = 0.0, learns: bool = False
) -> GaussianProcess:
    """Fit a Gaussian process to labels at coordinates.

    Parameters
    ----------
    phi : float32 (n, k)
    value : float64 (n,)
    variance : float64 (n,)
        Claimed variance of each label, in property sd squared; the misfit comes on top.
    offset_shrink : float
        Records at which the offset counts half; 0 leaves it as the mean.
    learns : bool
        Whether the kernel is learned from the labels.
    """
    none = np.zeros(0)
    found = learned(phi, value, variance) if learns and len(phi) else FIXED
    process = GaussianProcess(np.zeros((0, phi.shape[1])), np.zeros((0, 0)), none, none, none, offset_shrink, found)
    if len(phi):
        _extend(process, phi.astype(np.float64) / found.lengths, value, variance + found.noise, 1.0)
    return process


def _extend(process: GaussianProcess, points: Float, labels: Float, variance: Float, strength: float) -> None:
    """Enter labels: a block row of the factor, and what follows from it. No array is changed in place."""
    n, r = len(process.points), len(points)
    reached = solve_lower(process.factor, matern(process.points, points)).T
    inner = matern(points, points) - reached @ reached.T
    inner.flat[:: r + 1] += variance / process.kernel.unit
    half = np.asarray(np.linalg.cholesky(inner), np.float64)
    root = min(1.0, strength) ** 0.5
    factor = np.zeros((n + r, n + r))
    factor[:n, :n], factor[n:, :n], factor[n:, n:] = process.factor, reached, half / root
    more = solve_lower(half, np.stack([labels - reached @ process.value, 1.0 - reached @ process.unit], axis=1))
    more *= strength / root
    process.points = np.concatenate([process.points, points])
    process.factor = factor
    process.labels = np.concatenate([process.labels, labels])
    process.value = np.concatenate([process.value, more[:, 0]])
    process.unit = np.concatenate([process.unit, more[:, 1]])
    process.refresh()


@dataclass(frozen=True)
class Growth:
    """Change of a Gaussian process by new labels, for caches of predictions.

    Attributes
    ----------
    points : float64 (n + r, k)
    shift : float
        Change of the offset.
    weights : float64 (n + r,)
        Change of the weights of the mean.
    solved : float64 (n, r)
        ``K^-1 k(X, Z)`` for the r new points Z.
    block : float64 (r, r)
        Their block of the factor.
    scales : (float, float)
        Scale before and after.
    noise : float
        Variance of the misfit.
    """

    points: Float
    shift: float
    weights: Float
    solved: Float
    block: Float
    scales: tuple[float, float]
    noise: float

    @classmethod
    def between(cls, before: GaussianProcess, after: GaussianProcess) -> Growth:
        """Return what one correction changed."""
        n = len(before.points)
        weights = after.weights.copy()
        weights[:n] -= before.weights
        solved = solve_lower(before.factor, np.asarray(after.factor[n:, :n].T), transposed=True)
        block, scales = after.factor[n:, n:], (before.scale, after.scale)
        return cls(after.points, after.offset - before.offset, weights, solved, block, scales, after.noise)

    def apply(self, phi: Float32, mean: Float32, variance: Float32) -> None:
        """Bring cached predictions at rows `phi` up to date, in place."""
        n = len(self.solved)
        cross = matern(phi.astype(np.float64), self.points)
        mean += (cross @ self.weights + self.shift).astype(np.float32)
        taken = solve_lower(self.block, (cross[:, n:] - cross[:, :n] @ self.solved).T)
        before, after = self.scales
        left = (variance - np.float32(self.noise)) / before**2 - (taken * taken).sum(axis=0)
        variance[...] = (after**2 * np.maximum(left, 0.0) + self.noise).astype(np.float32)


# --------------------------------------------------------------------------- the same points again and again


class GrowingPosterior:
    """Posterior at a fixed set of points, of which some are observed one by one.

    Parameters
    ----------
    points : float (N, k)
        Coordinates in units of the length scale.
    most : int
        Observations there will be at most.
    kernel : Kernel
    """

    def __init__(self, points: Float32, most: int, kernel: Kernel = FIXED) -> None:
        self.kernel = kernel
        self.points = points.astype(np.float64) / kernel.lengths
        self.squares = (self.points * self.points).sum(axis=1)
        self.half = np.empty((most, len(points)))  # row j: v_j at every point, the j-th column of the growing factor
        self.rows: list[int] = []
        self.labels, self.roots = np.empty((2, most))  # the roots are the factor's diagonal
        self.value, self.unit, self.reduction = np.zeros((3, len(points)))

    def observe(self, row: int, label: float, variance: float) -> None:
        """Enter the label of a point; `variance` is its noise, the misfit included."""
        n = len(self.rows)
        past = self.half[:n]
        squared = self.squares + self.squares[row] - 2.0 * (self.points @ self.points[row])
        fresh = of_distance(np.sqrt(np.maximum(squared, 0.0)))
        fresh -= past[:, row] @ past
        root = float(np.sqrt(max(1.0 - self.reduction[row], 0.0) + variance / self.kernel.unit))
        fresh /= root
        self.value += fresh * ((label - self.value[row]) / root)
        self.unit += fresh * ((1.0 - self.unit[row]) / root)
        self.reduction += fresh * fresh
        self.half[n] = fresh
        self.labels[n], self.roots[n] = label, root
        self.rows.append(row)

    def observe_all(self, rows: list[int], labels: Float, variance: float) -> None:
        """Enter the first labels together, as :meth:`observe` does one by one."""
        n = len(rows)
        cross = matern(self.points[rows], self.points)
        inner = cross[:, rows]
        inner.flat[:: n + 1] += variance / self.kernel.unit
        factor = np.asarray(np.linalg.cholesky(inner), np.float64)
        self.half[:n] = half = solve_lower(factor, cross)
        self.value, self.unit = solve_lower(factor, np.stack([labels, np.ones(n)], axis=1)).T @ half
        self.reduction = (half * half).sum(axis=0)
        self.rows, self.labels[:n], self.roots[:n] = list(rows), labels, factor.diagonal()

    def mean(self) -> Float32:
        """Return the posterior mean at every point (N,)."""
        offset, _ = self.kernel.offset_and_scale(self.labels[: len(self.rows)])
        return (self.value - offset * self.unit).astype(np.float32) + np.float32(offset)

    def predict(self) -> tuple[Float32, Float32]:
        """Return posterior mean and variance of observations, misfit included, at every point (N,)."""
        offset, scale = self.kernel.offset_and_scale(self.labels[: len(self.rows)])
        return claims(self.value - offset * self.unit, self.reduction, offset, scale, self.kernel.noise)

    def panel_fall(self, panel: Int, variance: float) -> Float32:
        """Return by how much a label at each point lowers the mean variance of some of the points (N,).

        Parameters
        ----------
        panel : int (m,)
            Rows of these points.
        variance : float
            Noise of a label, the misfit included.
        """
        past = self.half[: len(self.rows)]
        left = matern(self.points, self.points[panel]) - past.T @ past[:, panel]
        own = np.maximum(1.0 - self.reduction, 0.0) + variance / self.kernel.unit
        _, scale = self.kernel.offset_and_scale(self.labels[: len(self.rows)])
        return np.asarray(scale**2 * (left * left).mean(axis=1) / own, np.float32)

    def sample(self, prior: Float32, noise: Float) -> Float32:
        """Draw from the posterior at every point (N,): a draw from the prior, corrected by the data (Matheron's rule).

        Parameters
        ----------
        prior : float32 (N,)
            Draw from the prior.
        noise : float64 (n,)
            Draws of the labels' noise, in property sd.
        """
        n = len(self.rows)
        offset, scale = self.kernel.offset_and_scale(self.labels[:n])
        factor = np.tril(self.half[:n, self.rows].T, -1)
        factor.flat[:: n + 1] = self.roots[:n]
        gap = (self.labels[:n] - offset) / scale - prior[self.rows] - noise / self.kernel.unit**0.5
        return np.asarray(offset + scale * (prior + solve_lower(factor, gap) @ self.half[:n]), np.float32)
