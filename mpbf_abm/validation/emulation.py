"""Emulators of facts, and the posterior of parameters under which all facts lie in their ranges.

A fact as a function of the parameters is emulated by a quadratic in each parameter and a Gaussian process on what that leaves
(Kennedy and O'Hagan 2001). With a uniform prior and acceptance where every fact lies in its range, as in approximate Bayesian
computation, the posterior density is the probability of acceptance under the emulators; it is drawn from by tempering (Del
Moral et al. 2006).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.special import log_ndtr

from mpbf_abm.streams import Streams

Float = NDArray[np.float64]

LENGTHS = (0.7, 1.4, 2.8, 5.6)  # of the Gaussian process, per root of parameters, in half ranges
NUGGETS = (0.05, 0.2, 0.5, 0.9)  # shares of what the quadratic leaves that is noise of replicates
RIDGE = 1e-3
PARTICLES = 4_000
KEEP = 0.5  # effective share of the particles that one step of tempering leaves
MOVES = 8


class Range(Protocol):
    """Anything with the ends of a range."""

    @property
    def low(self) -> float: ...  # noqa: D102
    @property
    def high(self) -> float: ...  # noqa: D102


@dataclass(frozen=True)
class Emulator:
    """An output as a function of parameters scaled to [-1, 1].

    Attributes
    ----------
    x : float (n, k)
    coefficients : float (2 k + 1,)
    weights : float (n,)
        Of the Gaussian process.
    factor : float (n, n)
        Cholesky factor of its covariance, in units of `variance`.
    inverse : float (2 k + 1, 2 k + 1)
        Of the normal equations of the quadratic.
    variance, noise, length : float
        Of the residuals that are a function, of those that are not, and correlation length.
    """

    x: Float
    coefficients: Float
    weights: Float
    factor: tuple[Float, bool]
    inverse: Float
    variance: float
    noise: float
    length: float

    def predict(self, x: Float) -> tuple[Float, Float]:
        """Mean, and standard deviation of the expected output, at points (m,), (m,)."""
        basis = quadratic(x)
        near = correlation(x, self.x, self.length)
        mean = basis @ self.coefficients + near @ self.weights
        gain = cho_solve(self.factor, near.T)
        left = np.maximum(1.0 - np.einsum("mn,nm->m", near, gain), 0.0)
        curve = np.einsum("mi,ij,mj->m", basis, self.inverse, basis)
        return mean, np.sqrt(self.variance * left + (self.variance + self.noise) * curve)


def quadratic(x: Float) -> Float:
    """Basis of the quadratic: 1, each parameter, each square (n, 2 k + 1)."""
    return np.concatenate([np.ones((len(x), 1)), x, x**2 - 1.0 / 3.0], axis=1)


def correlation(a: Float, b: Float, length: float) -> Float:
    """Matern-5/2 correlation between points (m, n)."""
    squared = np.maximum((a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T, 0.0)
    r = np.sqrt(5 * squared) / (length * np.sqrt(a.shape[1]))
    return np.asarray((1 + r + r**2 / 3) * np.exp(-r))


def fit(x: Float, y: Float) -> Emulator:
    """Emulate an output; length and noise by the largest marginal likelihood of the residuals.

    Parameters
    ----------
    x : float (n, k)
        Parameters in [-1, 1].
    y : float (n,)
    """
    basis = quadratic(x)
    inverse = np.asarray(np.linalg.inv(basis.T @ basis + RIDGE * np.eye(basis.shape[1]) * len(x)), np.float64)
    coefficients = inverse @ (basis.T @ y)
    rest = y - basis @ coefficients
    total = max(float(rest @ rest) / max(len(y) - basis.shape[1], 1), 1e-12)
    best: tuple[float, Emulator] | None = None
    for length in LENGTHS:
        near = correlation(x, x, length)
        for share in NUGGETS:
            covariance = (1 - share) * near + share * np.eye(len(x))
            factor = cho_factor(covariance, lower=True)
            solved = cho_solve(factor, rest)
            fitness = -0.5 * float(rest @ solved) / total - float(np.log(np.diag(factor[0])).sum())
            if best is None or fitness > best[0]:
                # Covariance with a point: (1 - share) k; `weights` and `factor` hold that scale.
                function = (np.asarray(factor[0] / np.sqrt(1 - share), np.float64), True)
                best = (
                    fitness,
                    Emulator(
                        x,
                        coefficients,
                        (1 - share) * solved,
                        function,
                        inverse,
                        (1 - share) * total,
                        share * total,
                        length,
                    ),
                )
    if best is None:
        raise ValueError("no emulator was tried")
    return best[1]


def left_out(x: Float, y: Float, folds: int = 8) -> Float:
    """Standardised errors of an output at points that were left out of the emulator in turn (n,)."""
    errors = np.empty(len(y))
    for fold in range(folds):
        out = np.arange(len(y)) % folds == fold
        emulator = fit(x[~out], y[~out])
        mean, sd = emulator.predict(x[out])
        errors[out] = (y[out] - mean) / np.sqrt(sd**2 + emulator.noise)
    return errors


def log_acceptance(emulators: Mapping[str, Emulator], ranges: Mapping[str, Range], x: Float) -> Float:
    """Log probability under the emulators that every output lies in its range, at points (m,)."""
    total = np.zeros(len(x))
    for name, emulator in emulators.items():
        mean, sd = emulator.predict(x)
        sd = np.maximum(sd, 1e-9)
        low, high = (ranges[name].low - mean) / sd, (ranges[name].high - mean) / sd
        # The logarithm of a difference of normal probabilities, taken in the tail where both are small.
        swap = low > 0
        a, b = log_ndtr(np.where(swap, -low, high)), log_ndtr(np.where(swap, -high, low))
        total += a + np.log1p(-np.exp(np.minimum(b - a, -1e-12)))
    return total


def posterior(
    emulators: Mapping[str, Emulator], ranges: Mapping[str, Range], k: int, seed: int, particles: int = PARTICLES
) -> Float:
    """Draws of the parameters from the posterior, in [-1, 1] (particles, k)."""
    draws = Streams(seed).generator("calibration.posterior")
    x = draws.uniform(-1, 1, (particles, k))
    level, value = 0.0, log_acceptance(emulators, ranges, x)
    while level < 1.0:
        temperature = _next(level, value)
        weight = np.exp((temperature - level) * (value - value.max()))
        # Systematic resampling.
        edges = np.cumsum(weight / weight.sum())
        chosen = np.searchsorted(edges, (np.arange(particles) + draws.random()) / particles).clip(max=particles - 1)
        x, value, level = x[chosen], value[chosen], temperature
        for _ in range(MOVES):
            # Small and large steps in turn, along the spread that the particles have.
            step = draws.standard_normal((particles, k)) @ np.linalg.cholesky(np.cov(x.T) + 1e-9 * np.eye(k)).T
            step *= 2.4 / np.sqrt(k) * 10 ** draws.uniform(-1, 0, (particles, 1))
            near = x + step
            inside = (np.abs(near) <= 1).all(axis=1)
            other = np.full(particles, -np.inf)
            other[inside] = log_acceptance(emulators, ranges, near[inside])
            moved = np.log(draws.random(particles)) < level * (other - value)
            x, value = np.where(moved[:, None], near, x), np.where(moved, other, value)
    return x


def _next(level: float, value: Float) -> float:
    """Temperature at which half of the particles still count, by bisection; 1 if they do there."""

    def effective(temperature: float) -> float:
        weight = np.exp((temperature - level) * (value - value.max()))
        return float(weight.sum() ** 2 / (weight**2).sum() / len(value))

    low, high = level, 1.0
    if effective(high) >= KEEP:
        return high
    for _ in range(40):
        centre = 0.5 * (low + high)
        low, high = (centre, high) if effective(centre) >= KEEP else (low, centre)
    return high


def middle(emulators: Mapping[str, Emulator], ranges: Mapping[str, Range], x: Sequence[Float] | Float) -> Float:
    """Of some points, the one at which all facts most probably lie in their ranges (k,)."""
    points = np.asarray(x)
    return np.asarray(points[int(np.argmax(log_acceptance(emulators, ranges, points)))])
