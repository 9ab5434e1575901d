"""Cross-layer coupling: pseudo-labels, uncertainty channels, the bias loop and its gain.

All forms are this project's operationalisation of couplings that the source paper names.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.arrays import Float, Float32, kernel


def pseudo_label(predicted: Float32, mean: float, g: float) -> Float32:
    """``ybar + g (yhat - ybar)``: g = 1 is the prediction, g > 1 sharpens it."""
    return (np.float32(mean) + np.float32(g) * (predicted - np.float32(mean))).astype(np.float32)


def channel(variance: Float, openness: float) -> Float:
    """Variances after an uncertainty channel: open (1) they pass, closed (0) all become their mean."""
    if openness == 1.0 or not len(variance):
        return variance
    return np.asarray(openness * variance + (1.0 - openness) * variance.mean())


def pooled_by(group: NDArray[np.int8], variance: Float, openness: float) -> Float:
    """Variances whose differences *between* groups pass with a factor, those within stay.

    Used for uncertainty across modalities: closed (0) every modality has the same mean variance.
    """
    if openness == 1.0 or not len(variance):
        return variance
    mean = np.bincount(group, variance) / np.maximum(np.bincount(group), 1)
    levelled = openness * mean + (1.0 - openness) * variance.mean()
    return np.asarray(variance * np.divide(levelled, mean, out=np.ones_like(mean), where=mean > 0)[group])


def bias_share(δ: float, κ: float) -> float:
    """``h = δ / (δ + κ)``: share of a family's bias left when records renew at δ and audits mend at κ."""
    return δ / (δ + κ) if δ + κ > 0 else 1.0


def loop_gain(ρ: float, π: float, g: float, χ: float, h: float) -> float:
    """``L = (1 - ρ) π g χ h``: bias growth around the loop; its sign changes at L = 1."""
    return (1.0 - ρ) * π * g * χ * h


def steady_bias(ρ: float, π: float, b_s: float, h: float, L: float) -> float:
    """``b* = (1 - ρ)(1 - π) b_s h / (1 - L)`` for L < 1, infinite beyond."""
    return (1.0 - ρ) * (1.0 - π) * b_s * h / (1.0 - L) if L < 1 else float("inf")


def gain_matrix(inherited: float, steered: float, fed_back: float, generated: float, corrected: float) -> Float:
    """Measured gains between the layers' errors (3, 3); entry (i, j) is the effect of layer j on layer i.

    Order DAL, RAL, ISL. RAL inherits label error from DAL; ISL is steered by RAL; new records
    carry ISL's choices back to DAL; pseudo-labels close DAL on RAL directly; corrections take
    error out of RAL.
    """
    return np.array([[0.0, generated, fed_back], [inherited, 0.0, -corrected], [0.0, steered, 0.0]])


@kernel
def spectral_radius(matrix: Float) -> float:
    """Largest modulus of the eigenvalues."""
    return float(np.max(np.abs(np.linalg.eigvals(matrix))))
