"""Simulated labels on a space (fact 1), in the unit of band gaps."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.arrays import Float
from mpbf_abm.evidence.facts.corpora import sample
from mpbf_abm.evidence.facts.recorded import RECORDED
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.parameters import Parameters

GAPS: tuple[float, ...] = tuple(RECORDED["gap_quantiles"])  # measured band gaps of non-metals, eV
GAP_SD = 1.584  # eV
METAL = 0.05  # eV, below which a simulated gap is none
NON_METAL = 0.1  # eV, above which a measured gap is one
LABELS = 4_000


def gaps(space: MaterialsSpace, material: NDArray[np.int64]) -> tuple[Float, Float]:
    """Return measured and simulated gaps of materials in eV (n,), (n,).

    On a space of gaps they are taken as they are. On a synthetic space the property stands for a gap: its quantiles
    for those of measured gaps, its standard deviation for theirs. A simulated gap is not below zero.
    """
    true, simulated = space.property[material].astype(np.float64), space.simulated[material].astype(np.float64)
    if space.origin.get("kind") == "table":
        measured = np.asarray(space.in_unit(true))
        return measured, np.asarray(space.in_unit(simulated))
    rank = np.searchsorted(np.sort(space.property), true, side="left") / space.size
    measured = np.interp(rank, np.linspace(0, 1, len(GAPS)), GAPS)
    return measured, np.maximum(measured + GAP_SD * (simulated - true), 0.0)


def simulated_labels(p: Parameters, space: MaterialsSpace, seed: int) -> dict[str, float]:
    """Return ratio, error and false metals of simulated gaps, and the share of the error's variance between families.

    The share is NaN without an error.
    """
    material = np.unique(sample(space, p, seed, "labels", LABELS))
    measured, simulated = gaps(space, material)
    real = measured > NON_METAL
    material, measured, simulated = material[real], measured[real], simulated[real]
    error = simulated - measured
    family = space.family[material]
    count = np.bincount(family, minlength=space.families)
    mean = np.bincount(family, error, minlength=space.families) / np.maximum(count, 1)
    spare = len(error) - int((count > 0).sum())
    within, variance = float(((error - mean[family]) ** 2).sum()) / max(spare, 1), float(error.var(ddof=1))
    return {
        "gap_pbe_ratio": float(np.median(simulated / measured)),
        "gap_pbe_mae": float(np.abs(error).mean()),
        "gap_false_metal": float((simulated < METAL).mean()),
        "gap_family_share": max(0.0, 1.0 - within / variance) if variance > 0 else math.nan,
    }
