"""Bayesian linear heads: exact posteriors, evidence for their two scales, low-rank updates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mpbf_abm.arrays import Float, Float32, kernel
from mpbf_abm.learning.linalg import features, gram, inverse, quadratic

EVIDENCE_STEPS = 2  # six change errors on a panel by less than a thousandth
LEAST = 8  # labels of which evidence can tell noise and prior; of fewer it makes near certainty
MIN_NOISE, MAX_NOISE = 1e-4, 4.0
MIN_PRIOR, MAX_PRIOR = 1e-2, 1e4


@dataclass
class Head:
    """Gaussian posterior over feature weights.

    Attributes
    ----------
    mean : float64 (p,)
    covariance : float64 (p, p)
    noise : float
        Variance 1/b of the model's own misfit, estimated by evidence.
    prior : float
        Prior precision of the weights, estimated by evidence.
    offset : float
        Value that predictions fall back to without data.
    """

    mean: Float
    covariance: Float
    noise: float
    prior: float
    offset: float

    features = staticmethod(features)

    def __post_init__(self) -> None:
        self.refresh()

    def refresh(self) -> None:
        """Renew the float32 copies that predictions use."""
        self.mean32 = self.mean.astype(np.float32)
        self.covariance32 = self.covariance.astype(np.float32)

    def centred(self, phi: Float32) -> Float32:
        """Return the posterior mean less the offset at feature rows (n, p)."""
        return phi @ self.mean32

    def joint(self, phi: Float32) -> Float32:
        """Return the posterior covariance between the feature rows (..., n, p) of one set each (..., n, n)."""
        return np.asarray((phi @ self.covariance32) @ np.swapaxes(phi, -1, -2), np.float32)

    def slope(self, x: Float32, weights: Float32, phase: Float32) -> Float32:
        """Return the gradient of the posterior mean at one ambient row or several (..., d), given the features."""
        weight = self.mean32[:-1] * np.float32(np.sqrt(2.0 / max(1, weights.shape[1])))
        return np.asarray(-(np.sin(x @ weights + phase) * weight) @ weights.T)

    def predict(self, phi: Float32) -> tuple[Float32, Float32]:
        """Return posterior mean and variance of observations, model misfit included, for feature rows (n, p)."""
        mean = phi @ self.mean32 + np.float32(self.offset)
        return mean, np.maximum(quadratic(phi, self.covariance32), np.float32(0)) + np.float32(self.noise)

    def over(self, panel: Float32) -> Float:
        """Return ``Sigma (Phi' Phi / n) Sigma`` of the feature rows (n, p) of a panel (p, p)."""
        half = panel.astype(np.float64) @ self.covariance
        return np.asarray(half.T @ half / len(half))

    def reach(self, phi: Float32, over: Float) -> tuple[Float, Float]:
        """Return what labels at feature rows (n, p) tell about a panel, for :func:`expected_fall` (n,), (n,)."""
        rows = phi.astype(np.float64)
        return np.einsum("np,np->n", rows @ over, rows), np.einsum("np,np->n", rows @ self.covariance, rows)

    def update(self, phi: Float32, residual: Float, variance: Float, strength: float) -> Update:
        """Fine-tune on new labels by an exact low-rank update (the inner loop).

        ``m += c K r``, ``Sigma -= min(1, c) K Phi Sigma`` with the gain
        ``K = Sigma Phi' (Phi Sigma Phi' + D)^-1``; at c = 1 this equals a refit with the new labels.

        Parameters
        ----------
        phi : float32 (r, p)
        residual : float64 (r,)
            Label minus prediction.
        variance : float64 (r,)
            Noise of the labels, the model's own misfit included.
        strength : float
            Correction strength c.

        Returns
        -------
        Update
            What changed, for caches of predictions.
        """
        rows = phi.astype(np.float64)
        shift, self.covariance, half, shrink = low_rank(self.covariance, rows, residual, variance, strength)
        self.mean = self.mean + shift
        self.refresh()
        return Update(shift.astype(np.float32), half.astype(np.float32), shrink.astype(np.float32))


@dataclass(frozen=True)
class Update:
    """Change of a head: mean shift (p,), and covariance change ``- half' shrink half``."""

    shift: Float32
    half: Float32
    shrink: Float32

    def apply(self, phi: Float32, mean: Float32, variance: Float32) -> None:
        """Bring cached predictions at feature rows `phi` up to date, in place."""
        raised, lowered = low_rank_change(phi, self.shift, self.half, self.shrink)
        mean += raised
        variance -= lowered


@kernel
def low_rank_change(phi: Float32, shift: Float32, half: Float32, shrink: Float32) -> tuple[Float32, Float32]:
    """Return what an update adds to the means and takes from the variances at feature rows (n,), (n,)."""
    reached = phi @ half.T
    return phi @ shift, np.einsum("nr,nr->n", reached @ shrink, reached)


@kernel
def low_rank(
    covariance: Float, phi: Float, residual: Float, variance: Float, strength: float
) -> tuple[Float, Float, Float, Float]:
    """Return the shift of the mean (p,), new covariance (p, p), ``Phi Sigma`` (r, p) and what shrinks it (r, r)."""
    half = phi @ covariance
    inner = np.asarray(np.linalg.inv(half @ phi.T + np.diag(variance)), np.float64)
    shrink = min(1.0, strength) * inner
    shift = strength * (half.T @ (inner @ residual))
    return shift, covariance - half.T @ (shrink @ half), half, shrink


@kernel
def expected_fall(reach: tuple[Float, Float], variance: Float) -> Float:
    """Return by how much one label at each of some rows lowers the mean variance over a panel (n,).

    ``phi' Q phi / (phi' Sigma phi + variance)`` with ``Q = Sigma (Phi' Phi / n) Sigma`` (Cohn et al. 1996).

    Parameters
    ----------
    reach : tuple of float64 (n,), (n,)
        Both quadratic forms.
    variance : float64 (n,)
        Noise of each label, the model's own misfit included.
    """
    taken, own = reach
    return np.asarray(taken / (own + variance))


@kernel
def fit_head(
    phi: Float32,
    value: Float,
    variance: Float,
    *,
    noise: float = 0.3,
    prior: float = 1.0,
    offset_shrink: float = 0.0,
    steps: int = EVIDENCE_STEPS,
) -> Head:
    """Fit a head with noise and prior by evidence (MacKay 1992).

    Parameters
    ----------
    phi : float32 (n, p)
        Features of the records.
    value : float64 (n,)
        Labels.
    variance : float64 (n,)
        Claimed variance of each label; records weigh ``1 / (1/b + var_r)``.
    noise, prior : float
        Starting values.
    offset_shrink : float
        Records at which the offset counts half; 0 leaves it as the mean.
    steps : int
        Updates of noise and prior; one is enough from values that were fitted before. None with fewer than LEAST
        labels, which keep the starting values.

    Notes
    -----
    The update of 1/b sets the derivative of the log evidence to zero with
    ``sum w^2 v`` replaced by ``(sum w^2 / sum w) gamma``, exact for equal variances; gamma is
    the effective number of parameters. The last posterior is computed in float64.
    """
    n, p = phi.shape
    if n == 0:
        return Head(np.zeros(p), np.eye(p) / prior, noise, prior, 0.0)
    offset = float(np.average(value, weights=1.0 / (noise + variance))) * n / (n + offset_shrink)
    target = value - offset
    steps = steps if n >= LEAST or p == 1 else 0
    for step in range(steps + 1):
        weight = 1.0 / (noise + variance)
        last = step == steps
        rows = phi.astype(np.float64) if last else phi
        precision = gram(rows, weight.astype(rows.dtype)).astype(np.float64)
        precision[np.diag_indices(p)] += prior
        covariance = inverse(precision)
        mean = covariance @ (rows.T @ (weight * target).astype(rows.dtype))
        if last:
            break
        effective = p - prior * np.trace(covariance)
        error = target - phi @ mean.astype(np.float32)
        total, square = weight.sum(), (weight**2).sum()
        # The offset was estimated from the same labels: one more parameter.
        room = max(total - (effective + 1.0) * square / total, 0.05 * total)
        noise = float(np.clip(noise * (weight**2 @ error**2) / room, MIN_NOISE, MAX_NOISE))
        prior = float(np.clip(effective / max(mean @ mean, 1e-12), MIN_PRIOR, MAX_PRIOR))
    return Head(mean, covariance, noise, prior, offset)


def log_evidence(phi: Float32, value: Float, variance: Float) -> float:
    """Return the log marginal likelihood of labels under a head whose two scales are fitted to them.

    Parameters
    ----------
    phi : float32 (n, p)
    value, variance : float64 (n,)
    """
    head = fit_head(phi, value, variance)
    weight, target = 1.0 / (head.noise + variance), value - head.offset
    error = target - phi @ head.mean
    fit = float(weight @ error**2) + head.prior * float(head.mean @ head.mean)
    volume = float(np.linalg.slogdet(head.covariance)[1]) + len(head.mean) * np.log(head.prior)
    return float(0.5 * (volume + np.log(weight / (2.0 * np.pi)).sum() - fit))
