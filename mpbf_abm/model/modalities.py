"""The six kinds of data: what each shows of a material, what label it carries, what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.arrays import Float, Int
from mpbf_abm.model.materials import Truth
from mpbf_abm.parameters import ModalityParameters
from mpbf_abm.streams import Streams, by_shares, zipf

SIMULATED, HYBRID, MEASURED = 0, 1, 2
FIDELITIES = ("simulated", "hybrid", "measured")


@dataclass(frozen=True)
class Modality:
    """One kind of data.

    Attributes
    ----------
    gains : tuple of float
        How strongly the data show the quantum, meso, gauge and spurious block, 0 to 1.
    fidelity : int
        Kind of label: simulated, hybrid or measured.
    noise : float
        Factor on the noise of that label kind.
    coverage : float
        Share of materials for which such data can be had; elsewhere crystal graphs serve.
    """

    name: str
    gains: tuple[float, float, float, float]
    fidelity: int
    noise: float
    coverage: float


MODALITIES = (
    Modality("crystal graphs", (1.0, 0.1, 1.0, 0.3), SIMULATED, 1.0, 1.0),
    Modality("DFT trajectories", (1.0, 0.1, 0.6, 0.1), SIMULATED, 0.5, 0.8),
    Modality("spectroscopy", (0.6, 0.5, 0.5, 0.4), MEASURED, 1.0, 0.6),
    Modality("microscopy", (0.2, 1.0, 1.0, 1.0), MEASURED, 1.5, 0.5),
    Modality("synthesis metadata", (0.2, 0.8, 0.1, 1.0), MEASURED, 1.2, 0.7),
    Modality("multi-fidelity sets", (0.8, 0.4, 0.5, 0.3), HYBRID, 1.0, 0.6),
)
NAMES = tuple(m.name for m in MODALITIES)
GAINS: NDArray[np.float32] = np.array([m.gains for m in MODALITIES], np.float32)
FIDELITY: NDArray[np.int8] = np.array([m.fidelity for m in MODALITIES], np.int8)
NOISE: NDArray[np.float64] = np.array([m.noise for m in MODALITIES])
# Share of the simulation in a label of each modality, and what its noise takes from each method's.
SIMULATED_SHARE: NDArray[np.float64] = np.array([1.0, 0.5, 0.0])[FIDELITY]
SIMULATED_NOISE: NDArray[np.float64] = np.where(FIDELITY == SIMULATED, NOISE, 0.0)
MEASURED_NOISE: NDArray[np.float64] = np.array([0.0, 0.5, 1.0])[FIDELITY] * NOISE
COVERAGE: NDArray[np.float64] = np.array([m.coverage for m in MODALITIES])
CRYSTAL_GRAPHS = 0
SPECTROSCOPY = 2


# Chance that some measured kind of data can be had of a material that can be made.
MEASURABLE = 1.0 - float(np.prod(1.0 - COVERAGE[FIDELITY == MEASURED]))


def costs_by_fidelity(measured_cost: float) -> NDArray[np.float64]:
    """Cost of one record of each kind of label, in simulated records (3,); hybrids cost half-way."""
    return np.array([1.0, 0.5 * (1.0 + measured_cost), measured_cost])


@lru_cache(maxsize=64)
def costs(measured_cost: float) -> NDArray[np.float64]:
    """Cost of one record of each modality, in simulated records (6,)."""
    return costs_by_fidelity(measured_cost)[FIDELITY]


def measurement_sd(p: ModalityParameters, difficulty: Float | NDArray[np.float32]) -> Float:
    """Return the standard deviation of an experiment's noise on materials of some difficulty (n,)."""
    return np.asarray(p.measured_noise * difficulty)


def claimed_variance(sd: Float) -> NDArray[np.float32]:
    """Return the variance that is claimed for experiments with noise of some standard deviation (n,)."""
    return np.maximum(sd**2, 1e-6).astype(np.float32)


def label(
    p: ModalityParameters,
    truth: Truth,
    difficulty: NDArray[np.float32],
    pair: Int,
    modality: NDArray[np.int8],
    z: Float,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return values and claimed variances of labels of pairs in some modalities, with standard normal noise z (n,).

    A claimed variance knows the noise of its method, never its bias: that is how simulated
    labels come to be precise and wrong.
    """
    measured = p.measured_noise * MEASURED_NOISE[modality] * difficulty[pair % len(difficulty)]
    sd = p.simulated_noise * SIMULATED_NOISE[modality] + measured
    weight = SIMULATED_SHARE[modality]
    centre = weight * truth.simulated[pair] + (1 - weight) * truth.property[pair]
    return (centre + sd * z).astype(np.float32), claimed_variance(sd)


def labelled_property(
    p: ModalityParameters, streams: Streams, properties: int, keys: NDArray[np.uint64], modality: NDArray[np.int8]
) -> NDArray[np.int8]:
    """Property that each record labels (n,), by Zipf's law: a steeper one for measured labels than for others."""
    if properties == 1:
        return np.zeros(len(keys), np.int8)
    u = streams.record_uniform("record.property", keys)
    flat, steep = (by_shares(zipf(properties, e), u) for e in (p.simulated_focus, p.measured_focus))
    return np.where(FIDELITY[modality] == MEASURED, steep, flat).astype(np.int8)


def short_of(floor: float, mix: NDArray[np.float64], feasible: float) -> float:
    """Share of labels to raise to measured ones, where such can be had, so that a quota is met.

    Parameters
    ----------
    floor : float
        Least expected share of measured labels. What the mix leaves short of it is raised, no more.
    mix : float (6,)
        Shares of the modalities.
    feasible : float
        Share of materials that can be made.
    """
    measured = FIDELITY == MEASURED
    expected = float(mix[measured] @ COVERAGE[measured]) * feasible
    return max(0.0, floor - expected) / max(1e-12, MEASURABLE * feasible - expected)
