"""Data assimilation layer (DAL): coverage, fidelity and the boundary shift Delta-B.

The source paper describes the boundary shift in words; the forms here are this project's
operationalisation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from mpbf_abm.parameters import LayerParameters


def coverage(V: ArrayLike, v0: float) -> float:
    """Coverage ``C = mean_k (1 - exp(-V_k / v0))``, in [0, 1).

    Parameters
    ----------
    V : int (K,)
        Distinct materials with records in each family.
    v0 : float
        Distinct materials at which a family counts as covered (1 - 1/e).
    """
    return float(np.mean(-np.expm1(-np.asarray(V, np.float64) / v0)))


def attainable(V: ArrayLike, size: ArrayLike, share: float) -> float:
    """Coverage relative to what can be had, ``mean_k (1 - exp(-V_k / (s N_k))) / (1 - exp(-1 / s))``, in [0, 1].

    Parameters
    ----------
    V, size : int (K,)
        Distinct materials with records in each family, and all materials of it.
    share : float
        v_0 as a share s of a family's materials, above 0.
    """
    seen = np.asarray(V, np.float64) / np.asarray(size, np.float64)
    return float(np.mean(np.expm1(-seen / share)) / np.expm1(-1.0 / share))


def fidelity(value: ArrayLike, truth: ArrayLike, variance: ArrayLike, sd: float = 1.0) -> float:
    """Fidelity ``F = sum_r w_r exp(-(v_r - y_i)^2 / (2 sd^2)) / sum_r w_r`` with ``w = 1 / variance``, in [0, 1]."""
    w = 1.0 / np.asarray(variance, np.float64)
    gap = np.asarray(value, np.float64) - np.asarray(truth, np.float64)
    return float(np.sum(w * np.exp(-0.5 * (gap / sd) ** 2)) / np.sum(w))


def boundary_shift(C: float, F: float, α: float = 1.0, β: float = 1.0) -> float:
    """Boundary shift ``ΔB = α C - β F``: above 0 coverage claims outrun fidelity."""
    return α * C - β * F


def boundary_shift_alternative(V: float, V0: float, F: float, F0: float, α: float = 1.0, β: float = 1.0) -> float:
    """Alternative form ``α ln(V / V0) - β ln(F / F0)`` on volumes instead of coverage.

    Both ratios are floored at 1e-6 so that an empty corpus gives a large negative number.
    """
    return float(α * np.log(max(V / V0, 1e-6)) - β * np.log(max(F / F0, 1e-6)))


def delta_b(f: LayerParameters, covered: float, fidelity: float, volume: float, founding: float) -> float:
    """Return Delta-B in the form that the parameters name.

    Parameters
    ----------
    f : LayerParameters
    covered, fidelity : float
        Coverage C and fidelity F, each in [0, 1].
    volume, founding : float
        Records now, and at founding.
    """
    if f.boundary_shift == "alternative":
        return boundary_shift_alternative(
            volume, founding, fidelity, f.fidelity_scale, f.coverage_weight, f.fidelity_weight
        )
    return boundary_shift(covered, fidelity, f.coverage_weight, f.fidelity_weight)


def budget_response(ΔB: float, gain: float, audit: float, quota: float) -> tuple[float, float]:
    """Audit share and measured-label quota after the response to ΔB, each in [0, 1].

    ΔB > 0 moves budget from acquisition to audits and measured labels, ΔB < 0 the reverse.
    """
    shift = gain * ΔB
    return float(np.clip(audit + 0.25 * shift, 0.0, 1.0)), float(np.clip(quota + 0.5 * shift, 0.0, 1.0))
