"""Sensitivity: which factors an outcome depends on, with the noise of replicates taken out.

Index arrays hold replicate values along the last axis. Replicates of a row are independent of those of other rows for
Sobol indices. They are shared along a trajectory for elementary effects (see :mod:`mpbf_abm.studies.design`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mpbf_abm.arrays import Float
from mpbf_abm.errors import refuse
from mpbf_abm.stats.estimates import LEVEL

RESAMPLES = 1_000


@dataclass(frozen=True)
class SobolIndices:
    """First-order and total indices of k factors.

    Attributes
    ----------
    first, total : float arrays (k,)
    first_low, first_high, total_low, total_high : float arrays (k,)
        95 % intervals: percentiles over resampled base rows.
    variance : float
        Variance that the factors make, noise taken out.
    noise : float
        Variance of a single run around its row's mean; NaN with one replicate.
    rows, replicates : int
    """

    first: Float
    total: Float
    first_low: Float
    first_high: Float
    total_low: Float
    total_high: Float
    variance: float
    noise: float
    rows: int
    replicates: int

    @property
    def stochastic_share(self) -> float:
        """Share of a single run's variance that is noise."""
        return self.noise / (self.variance + self.noise)


def _check_blocks(a: Float, b: Float, ab: Float) -> None:
    """Refuse blocks of a Saltelli design that do not fit together, or have values that are not finite."""
    wrong = a.ndim != 2 or a.shape != b.shape or ab.ndim != 3 or ab.shape[::2] != a.shape or len(a) < 2
    shapes = f"{a.shape}, {b.shape}, {ab.shape}"
    refuse(wrong, f"Sobol indices need A (n, m), B (n, m) and AB (n, k, m) with n > 1, not {shapes}")
    gaps = not all(np.isfinite(x).all() for x in (a, b, ab))
    refuse(gaps, "Sobol indices need outcomes that are all finite; leave out whole rows")


def sobol_indices(
    A: Float, B: Float, AB: Float, *, correct: bool = True, resamples: int = RESAMPLES, seed: int = 0
) -> SobolIndices:
    """Return Sobol indices from a Saltelli design (Saltelli et al. 2010; total index of Jansen 1999).

    ``S_i = mean(B (AB_i - A)) / V`` and ``T_i = (mean((A - AB_i)^2) / 2 - s^2/m) / V`` with ``V = Var(A, B) - s^2/m``:
    means of m replicates carry noise of variance s^2/m, which would count as variance that every factor makes.

    Parameters
    ----------
    A, B : float arrays (n, m)
        Outcomes of the base rows, one column for each replicate.
    AB : float array (n, k, m)
        Outcomes of A with column i taken from B.
    correct : bool
        Whether noise is taken out, where replicates show it.
    resamples, seed : int

    Raises
    ------
    ConfigurationError
        For values that are not finite, shapes that do not fit, fewer than two rows, or outcomes that do not vary.
    """
    a, b, ab = (np.asarray(x, np.float64) for x in (A, B, AB))
    _check_blocks(a, b, ab)
    n, m = a.shape
    every = np.concatenate([a[:, None], b[:, None], ab], axis=1)
    within = every.var(axis=2, ddof=1).mean(axis=1) if m > 1 else np.full(n, np.nan)
    means = [x.mean(axis=-1) for x in (a, b, ab)]
    centre = np.concatenate([x.ravel() for x in means]).mean()
    fa, fb, fab = (x - centre for x in means)
    noise = within / m if m > 1 and correct else np.zeros(n)
    first = fb[:, None] * (fab - fa[:, None])
    total = 0.5 * (fa[:, None] - fab) ** 2 - noise[:, None]
    square, mean = (fa**2 + fb**2) / 2 - noise, (fa + fb) / 2

    def ratios(weight: Float) -> tuple[Float, Float, Float]:
        variance = weight @ square - (weight @ mean) ** 2
        with np.errstate(divide="ignore", invalid="ignore"):
            good = np.where(variance > 0, variance, np.nan)
            return weight @ first / good[:, None], weight @ total / good[:, None], variance

    S, T, V = ratios(np.full((1, n), 1.0 / n))
    scale = max(1.0, abs(centre)) ** 2
    words = "the outcome does not vary with the factors beyond its noise: there is nothing to share out"
    refuse(not V[0] > 1e-24 * scale, words)
    rng = np.random.default_rng([seed, n, m])
    bootstrap = ratios(rng.multinomial(n, np.full(n, 1.0 / n), resamples) / n)
    tail = 100 * (1 - LEVEL) / 2
    with np.errstate(invalid="ignore"):
        (s_low, s_high), (t_low, t_high) = (np.nanpercentile(x, [tail, 100 - tail], axis=0) for x in bootstrap[:2])
    return SobolIndices(S[0], T[0], s_low, s_high, t_low, t_high, float(V[0]), float(within.mean()), n, m)


@dataclass(frozen=True)
class ElementaryEffects:
    """Morris's measures of k factors, per unit of the factor's range.

    Attributes
    ----------
    mu, mu_star, sigma : float arrays (k,)
        Mean, mean absolute value and standard deviation of elementary effects (Campolongo et al. 2007), as they are.
    mu_star_low, mu_star_high : float arrays (k,)
        95 % interval of mu_star: percentiles over resampled trajectories.
    size : float array (k,)
        Root mean square effect with the noise of replicates taken out.
    size_low, size_high : float arrays (k,)
        Its 95 % interval.
    spread : float array (k,)
        Sigma with noise taken out: interactions and curvature.
    floor : float array (k,)
        Value of mu_star that noise alone would give.
    trajectories, replicates : int
    """

    mu: Float
    mu_star: Float
    sigma: Float
    mu_star_low: Float
    mu_star_high: Float
    size: Float
    size_low: Float
    size_high: Float
    spread: Float
    floor: Float
    trajectories: int
    replicates: int


def elementary_effects(effects: Float, *, seed: int = 0) -> ElementaryEffects:
    """Return Morris's measures (Morris 1991) from elementary effects.

    The absolute value of a noisy effect is too large, so that mu_star of a factor that does nothing is that of the
    noise. Mean squares have no such bias once the noise variance of a mean over replicates is subtracted.

    Parameters
    ----------
    effects : float array (r, k, m)
        Effect of each factor in each trajectory, one for each replicate.
    seed : int

    Raises
    ------
    ConfigurationError
        For values that are not finite, or fewer than two trajectories.
    """
    e = np.asarray(effects, np.float64)
    refuse(e.ndim != 3 or len(e) < 2, f"elementary effects need at least two trajectories (r, k, m), not {e.shape}")
    refuse(
        not np.isfinite(e).all(), "elementary effects need outcomes that are all finite; leave out whole trajectories"
    )
    r, k, m = e.shape
    each = e.mean(axis=2)
    noise = e.var(axis=2, ddof=1) / m if m > 1 else np.full((r, k), np.nan)
    known = np.nan_to_num(noise)
    mu, sigma = each.mean(axis=0), each.std(axis=0, ddof=1)

    def measures(weight: Float) -> tuple[Float, Float]:
        return weight @ np.abs(each), np.sqrt(np.maximum(weight @ (each**2 - known), 0.0))

    mu_star, size = (x[0] for x in measures(np.full((1, r), 1.0 / r)))
    rng = np.random.default_rng([seed, r, k])
    star, rms = measures(rng.multinomial(r, np.full(r, 1.0 / r), RESAMPLES) / r)
    tail = 100 * (1 - LEVEL) / 2
    (low, high), (size_low, size_high) = (np.percentile(x, [tail, 100 - tail], axis=0) for x in (star, rms))
    spread = np.sqrt(np.maximum(sigma**2 - known.mean(axis=0), 0.0))
    floor = np.sqrt(2 / np.pi * noise.mean(axis=0))
    return ElementaryEffects(mu, mu_star, sigma, low, high, size, size_low, size_high, spread, floor, r, m)
