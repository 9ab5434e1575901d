"""Kernels of Gaussian processes, fixed or learned from the labels: one length per column, signal and noise.

The kernel is Matern-5/2. What is learned has the largest posterior density (marginal likelihood times priors), by
exact gradients (Rasmussen and Williams 2006, section 5.4.1). The priors are centred on the fixed kernel, which few
labels leave nearly as it is. A column that does not matter gets a long length (automatic relevance determination): that
costs little under the prior, and a short length, which fits anything, much.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mpbf_abm.arrays import Float, Float32, kernel
from mpbf_abm.learning.linalg import inverse_and_root

NOISE = 0.01  # variance of the misfit beside the kernel's 1
MIN_SCALE = 0.01  # least scale of labels, in property sd: equal labels do not determine it
ROOT5 = float(np.sqrt(5.0))
SHORTER, LONGER = 0.75, 1.5  # prior sds of the logarithm of a length: below its centre, and above
SIGNAL_SPREAD = 1.0  # prior sd of the logarithm of the signal's variance
NOISE_SPREAD = 2.0  # prior sd of the logarithm of the noise's variance
BOUND = 4.0  # prior sds within which a logarithm is sought
MOST_LEARNED = 500  # labels that are learned from, evenly spaced if there are more
STEPS, TOLERANCE = 15, 1e-3  # of L-BFGS: most iterations, and the relative gain below which it ends


@dataclass(frozen=True)
class Kernel:
    """Hyperparameters of a kernel.

    Attributes
    ----------
    lengths : float64 (k,)
        Length of each column, in the unit of the coordinates; of size 1 where all are alike.
    noise : float
        Variance of the misfit, in property sd squared.
    amplitude : float, optional
        Standard deviation of the function, in property sd; None: that of the labels, whatever they are.
    logarithms : float64 (k + 2,), optional
        What was learned, as :func:`misfit` takes it.
    """

    lengths: Float = field(default_factory=lambda: np.ones(1))
    noise: float = NOISE
    amplitude: float | None = None
    logarithms: Float | None = None

    @property
    def unit(self) -> float:
        """Return the variance in which noise counts beside the kernel's 1."""
        return 1.0 if self.amplitude is None else self.amplitude**2

    def offset_and_scale(self, labels: Float) -> tuple[float, float]:
        """Return the mean of the labels seen so far, and the standard deviation of the function."""
        offset, scale = offset_and_scale(labels)
        return offset, scale if self.amplitude is None else self.amplitude


FIXED = Kernel()


def offset_and_scale(labels: Float) -> tuple[float, float]:
    """Return mean and standard deviation of the labels seen so far, by which they are standardised."""
    n = len(labels)
    if not n:
        return 0.0, 1.0
    offset = float(np.add.reduce(labels)) / n
    gap = labels - offset
    return offset, max((float(gap @ gap) / n) ** 0.5, MIN_SCALE)


@kernel
def matern(a: Float, b: Float) -> Float:
    """Return the Matern-5/2 covariance of unit length and variance between the rows of two sets (..., n, m)."""
    squared = (a * a).sum(axis=-1)[..., :, None] + (b * b).sum(axis=-1)[..., None, :]
    return of_distance(np.sqrt(np.maximum(squared - 2.0 * (a @ np.swapaxes(b, -1, -2)), 0.0)))


def of_distance(r: Float) -> Float:
    """Return the Matern-5/2 covariance at distances in units of the length."""
    t = ROOT5 * r
    return np.asarray((1.0 + t + t * t / 3.0) * np.exp(-t))


def learned(points: Float | Float32, labels: Float, variance: Float, before: Kernel = FIXED) -> Kernel:
    """Return the kernel of largest posterior density, sought from the one before or from the prior's centre.

    Parameters
    ----------
    points : float (n, k)
        Coordinates, in units of the prior's length.
    labels : float64 (n,)
    variance : float64 (n,)
        Known noise of each label, in property sd squared; what is learned comes on top.
    before : Kernel
        An earlier one; the better start of the two is taken.
    """
    from scipy.optimize import minimize

    some = np.unique(np.linspace(0, len(labels) - 1, MOST_LEARNED).astype(np.int64))
    x, (offset, scale) = np.asarray(points[some], np.float64), offset_and_scale(labels)
    centre, below, above = prior(x.shape[1])
    given = (x, (labels[some] - offset) / scale, variance[some] / scale**2)
    starts = [centre] if before.logarithms is None else [before.logarithms, centre]
    start = min(starts, key=lambda logarithms: misfit(logarithms, *given)[0])
    bounds = list(zip(centre - BOUND * below, centre + BOUND * above, strict=True))
    options: Any = {"maxiter": STEPS, "ftol": TOLERANCE}
    best = minimize(misfit, start, given, method="L-BFGS-B", jac=True, bounds=bounds, options=options).x
    *lengths, signal, noise = np.exp(best)
    return Kernel(np.array(lengths), float(noise * scale**2), float(scale * np.sqrt(signal)), best)


def prior(k: int) -> tuple[Float, Float, Float]:
    """Return centre of the prior of the logarithms, and its sds below and above (k + 2,): lengths, signal, noise."""
    last = [SIGNAL_SPREAD, NOISE_SPREAD]
    centre = np.append(np.zeros(k + 1), np.log(NOISE))
    return centre, np.array([SHORTER] * k + last), np.array([LONGER] * k + last)


@kernel
def misfit(logarithms: Float, x: Float, z: Float, variance: Float) -> tuple[float, Float]:
    """Return the negative logarithm of the posterior density, but for a constant, and its gradient (k + 2,).

    Parameters
    ----------
    logarithms : float64 (k + 2,)
        Of lengths, variance of the signal and variance of the noise.
    x : float64 (n, k)
    z, variance : float64 (n,)
        Standardised labels and their known noise.
    """
    n, (centre, below, above) = len(z), prior(x.shape[1])
    signal, noise = np.exp(logarithms[-2:])
    x = x * np.exp(-logarithms[:-2])
    squares = (x * x).sum(axis=1)
    t = ROOT5 * np.sqrt(np.maximum(squares[:, None] + squares - 2.0 * (x @ x.T), 0.0))
    decay = signal * np.exp(-t)
    covariance = (1.0 + t + t * t / 3.0) * decay
    total = covariance.copy()
    total.flat[:: n + 1] += noise + variance
    precision, root = inverse_and_root(total)
    spread = np.where(logarithms > centre, above, below)
    weights, gap = precision @ z, (logarithms - centre) / spread
    # The likelihood's derivative by an entry of the covariance; a length acts through the squared distances.
    slope = 0.5 * (precision - np.outer(weights, weights))
    reach = slope * (10.0 / 3.0 * (1.0 + t) * decay)
    gradient = gap / spread
    gradient[:-2] += reach.sum(axis=1) @ (x * x) - (x * (reach @ x)).sum(axis=0)
    gradient[-2] += (slope * covariance).sum()
    gradient[-1] += noise * slope.trace()
    return float(0.5 * (z @ weights) + root + 0.5 * (gap @ gap)), gradient
