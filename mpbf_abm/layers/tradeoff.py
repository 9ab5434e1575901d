"""The trade-off between pretraining scale and domain invariance, T.

The source paper describes the trade-off in words; the forms here are this project's
operationalisation.
"""

from __future__ import annotations

import math


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


def measured_tradeoff(mse_reference: float, mse: float, variance: float, gauge_variance: float, θ_m: float) -> float:
    """``(MSE(P0) - MSE(P)) / Var y - θ_m Var_gauge(yhat) / Var y``, all measured on materials."""
    return (mse_reference - mse) / variance - θ_m * gauge_variance / variance
