"""Representational abstraction layer (RAL): abstraction integrity A and what it is made of.

The source paper describes integrity in words; the forms here are this project's
operationalisation. Every ingredient is measured on materials, none is assumed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mpbf_abm.arrays import Float, Float32, kernel
from mpbf_abm.parameters import LayerParameters


def uncertainty(u: Sequence[float], δ_U: float) -> float:
    """Penalty of scale transitions ``U = δ_U (1 - prod_l (1 - u_l))``, in [0, δ_U]; their order is irrelevant."""
    return float(δ_U * (1.0 - np.prod(1.0 - np.clip(np.asarray(u, np.float64), 0.0, 1.0))))


def integrity_unfloored(R: ArrayLike, μ: ArrayLike, u: Sequence[float], γ_A: float, δ_U: float) -> float:
    """``γ_A sum_e μ(e) R(e) - U`` before the floor at 0.

    Parameters
    ----------
    R : float (K,)
        Representational quality of each family, 0 to 1.
    μ : float (K,)
        Measure over families: uniform (true) or the corpus's (perceived); sums to 1.
    u : sequence of float
        Losses at the scale transitions, 0 to 1.
    """
    return float(γ_A * np.sum(np.asarray(μ) * np.asarray(R)) - uncertainty(u, δ_U))


def integrity(R: ArrayLike, μ: ArrayLike, u: Sequence[float], γ_A: float = 1.0, δ_U: float = 0.3) -> float:
    """Abstraction integrity ``A = max(0, γ_A sum_e μ(e) R(e) - U)``."""
    return max(0.0, integrity_unfloored(R, μ, u, γ_A, δ_U))


def integrity_alternative(R: ArrayLike, μ: ArrayLike, u: Sequence[float], g: float, δ_U: float = 0.3) -> float:
    """Alternative form ``(sum_e μ(e) R(e)^g)^(1/g) exp(-U)``."""
    mean = np.sum(np.asarray(μ) * np.clip(np.asarray(R, np.float64), 0.0, None) ** g)
    return float(mean ** (1.0 / g) * np.exp(-uncertainty(u, δ_U)))


def integrity_of(f: LayerParameters, R: ArrayLike, μ: ArrayLike, u: Sequence[float]) -> float:
    """Return A in the form that the parameters name."""
    if f.integrity == "alternative":
        return integrity_alternative(R, μ, u, f.integrity_exponent, f.uncertainty_penalty)
    return integrity(R, μ, u, f.integration, f.uncertainty_penalty)


@kernel
def captured(x: Float32, directions: Float, causal: NDArray[np.bool_]) -> Float:
    """Share of each family's causal variance that the encoder's own decoder keeps (K,).

    ``1 - |(I - V V')(x_i - xbar_f)|^2_causal / sum |x_i - xbar_f|^2_causal``, no refit per family.

    Parameters
    ----------
    x : float32 (K, B, d)
        Panel of B materials of each family.
    directions : float (d, k)
        Encoder directions V.
    causal : bool (d,)
    """
    K, _, d = x.shape
    mean = x.mean(axis=1)
    centred = x - mean[:, None]
    left = np.eye(d) - directions @ directions.T
    lost = _square_by_family(centred.reshape(-1, d) @ left[:, causal].astype(np.float32), K)
    total = _square_by_family(centred[:, :, causal], K)
    # A family of equal rows differs from its mean by rounding alone.
    varies = total > 1e-10 * (total + x.shape[1] * np.einsum("kc,kc->k", mean[:, causal], mean[:, causal]))
    share = 1.0 - lost / np.where(varies, total, np.inf)
    return np.asarray(np.clip(share, 0.0, 1.0).astype(np.float64) * varies)


def _square_by_family(rows: Float32, families: int) -> Float32:
    """Sum of squares of each family's rows, which follow one another (K,)."""
    part = rows.reshape(families, -1)
    return np.asarray(np.einsum("kn,kn->k", part, part))


@kernel
def invariant(z: Float32, gauge_directions: Float) -> Float:
    """Share of each family's latent variance that is not gauge, ``1 - tr(V_g' V_g S_g) / tr Cov_f(z)`` (K,).

    Parameters
    ----------
    z : float32 (K, B, k)
        Latent coordinates (not whitened) of the panel.
    gauge_directions : float (dg, k)
        Rows of V for the gauge block, times its input scale and amplitude.
    """
    total = z.var(axis=1, dtype=np.float64).sum(axis=1)
    gauge = float(np.sum(gauge_directions**2))
    return np.clip(1.0 - gauge / np.where(total > 0, total, np.inf), 0.0, 1.0)


@kernel
def explained(target: Float32, z: Float32, ridge: float = 1e-3) -> float:
    """R^2 of a linear regression of target columns (n, m) on latent coordinates (n, k), in [0, 1]."""
    if target.shape[1] == 0:
        return 1.0
    zc = (z - z.mean(axis=0)).astype(np.float64)
    tc = (target - target.mean(axis=0)).astype(np.float64)
    moment = zc.T @ zc
    moment[np.diag_indices(len(moment))] += ridge * np.trace(moment) / len(moment) + 1e-12
    fit = zc @ np.linalg.solve(moment, zc.T @ tc)
    total = np.sum(tc**2)
    return float(np.clip(1.0 - np.sum((tc - fit) ** 2) / total, 0.0, 1.0)) if total > 0 else 1.0


# --------------------------------------------------------------------------- tradeoff

# The trade-off between pretraining scale and domain invariance, T.
#
# The source paper describes the trade-off in words; the forms here are this project's
# operationalisation.


def tradeoff(p: float, I: float, E: float, η: float = 1.0, θ: float = 1.0) -> float:
    """``T = η I ln(1 + p) - θ (1 - I) p E`` for relative scale p = P/P0, invariance I, epistemic risk E."""
    return η * I * math.log1p(p) - θ * (1.0 - I) * p * E


def tradeoff_slope(p: float, I: float, E: float, η: float = 1.0, θ: float = 1.0) -> float:
    """``dT/dp``: trainers move their scale along its sign."""
    return η * I / (1.0 + p) - θ * (1.0 - I) * E


def optimal_scale(I: float, E: float, η: float = 1.0, θ: float = 1.0) -> float:
    """``p* = max(0, η I / (θ (1 - I) E) - 1)``, infinite where nothing holds the scale back."""
    brake = θ * (1.0 - I) * E
    return max(0.0, η * I / brake - 1.0) if brake > 0 else math.inf


def tradeoff_alternative(p: float, I: float, E: float, I0: float, η: float = 1.0, θ: float = 1.0) -> float:
    """Alternative form ``η p / (I0 + I) + θ E``: a cost, lower is better."""
    return η * p / (I0 + I) + θ * E


def tradeoff_of(f: LayerParameters, p: float, I: float, E: float) -> tuple[float, float]:
    """Return T and its slope dT/dp in the form that the parameters name; the alternative is a cost, with a minus."""
    if f.tradeoff == "alternative":
        cost = tradeoff_alternative(p, I, E, f.invariance_half, f.scale_benefit, f.risk_weight)
        return -cost, -f.scale_benefit / (f.invariance_half + I)
    return tradeoff(p, I, E, f.scale_benefit, f.risk_weight), tradeoff_slope(p, I, E, f.scale_benefit, f.risk_weight)


def measured_tradeoff(mse_reference: float, mse: float, variance: float, gauge_variance: float, θ_m: float) -> float:
    """``(MSE(P0) - MSE(P)) / Var y - θ_m Var_gauge(yhat) / Var y``, all measured on materials."""
    return (mse_reference - mse) / variance - θ_m * gauge_variance / variance
