"""Foundation models: an encoder, random features on what it keeps, and a head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.arrays import Float, Float32, Int
from mpbf_abm.learning.encoders import Encoder
from mpbf_abm.learning.feasibility import FeasibilityHead
from mpbf_abm.learning.gaussian import GaussianProcess
from mpbf_abm.learning.generation import Mixture
from mpbf_abm.learning.heads import Head, expected_fall
from mpbf_abm.streams import Streams

MATERN = 5.0  # degrees of freedom of the frequencies: the Matern-5/2 kernel
RECENT = 50


@dataclass(frozen=True)
class Panel:
    """A keyed sample of B materials of each family, on which models are judged.

    Attributes
    ----------
    materials : int (K, B)
    x : float32 (K * B, d)
        Ambient descriptors, each in its own view.
    clear : float32 (K * B, d)
        The same without the noise of observation (the same array where there is none).
    part : slice
        Some of the rows, enough to see how predictions move.
    x_turned : float32 (rows of `part`, d)
        These materials in other gauges.
    tick : int
        Tick at which it was drawn.
    """

    materials: Int
    x: Float32
    clear: Float32
    part: slice
    x_turned: Float32
    tick: int


@dataclass(frozen=True)
class Diagnosis:
    """What was measured of a model when it was trained.

    Attributes
    ----------
    captured : float (K,)
        Share of each family's causal variance that the encoder keeps.
    invariant : float (K,)
        Share of each family's latent variance that is not gauge.
    u : tuple of float
        Losses at the scale transitions: meso given latent, property given latent.
    integrity_true, integrity_perceived, integrity_unfloored : float
        A over families uniformly, A over the corpus, and the former before the floor.
    tradeoff, tradeoff_measured : float
    captured_dense, captured_niche : float
        Mean of `captured` over dense families and over all others.
    gauge_variance, strain_variance : float
        Prediction variance under gauge redraw and under a small strain.
    slope : float
        dT/dp by the formula.
    """

    captured: Float
    invariant: Float
    u: tuple[float, float]
    integrity_true: float
    integrity_perceived: float
    integrity_unfloored: float
    tradeoff: float
    tradeoff_measured: float
    gauge_variance: float
    strain_variance: float
    slope: float
    captured_dense: float
    captured_niche: float


@dataclass
class FoundationModel:
    """A published model of one property and its use since. Those of other properties may stand on the same encoder.

    Attributes
    ----------
    trainer, of_property, lineage, trained : int
        Who trained it, what it predicts, whose encoder it has, and when.
    objective : str
    scale, invariance : float
    encoder : Encoder
    weights : float32 (d, p)
        Frequencies times projection; of a Gaussian process the map to its coordinates.
    phase : float32 (p,)
    head : Head or GaussianProcess
    overconfidence : float
        Imposed factor by which claimed sds are divided.
    simulated_base : bool
        Whether predictions add the simulated property (physical prior, delta learning).
    records : int
        Records in the training sample.
    sample : int (records,)
        Material of each of them.
    corpus : float (K,)
        Share of each family in the sample.
    rare : int
        Families in the lower half by records in the sample (out of distribution).
    panel : Panel
    panel_phi : float32 (K * B, p + 1)
    panel_mean, panel_variance : float32 (K, B)
        Predictions on the panel, kept up to date by fine-tuning. Variance of an observation,
        model misfit included, before any imposed overconfidence.
    recent : list of float
        Absolute gaps between prediction and observation of the last published tests, before correction.
    median_gap : float
        Their median, infinite before any test.
    diagnosis : Diagnosis
        What was measured of it, set before it is published.
    feasibility : FeasibilityHead, optional
        What its trainer has learned about which materials can be made.
    feasibility_on : FoundationModel, optional
        The trainer's model whose features that stands on.
    feasibility_auc : float
        Area under the ROC curve of that on the panel, NaN without.
    steering : tuple or None
        Perceived steering fidelity, and what it followed from.
    mixture : Mixture or None
        Latent Gaussians fitted to the sample, once they are drawn from.
    """

    trainer: int
    of_property: int
    lineage: int
    trained: int
    objective: str
    scale: float
    invariance: float
    encoder: Encoder
    weights: Float32
    phase: Float32
    head: Head | GaussianProcess
    overconfidence: float
    simulated_base: bool
    records: int
    sample: Int
    corpus: Float
    rare: Int
    panel: Panel
    panel_phi: Float32
    panel_mean: Float32
    panel_variance: Float32
    diagnosis: Diagnosis = field(init=False)
    recent: list[float] = field(default_factory=list)
    median_gap: float = float("inf")
    feasibility: FeasibilityHead | None = None
    feasibility_on: FoundationModel | None = None
    feasibility_auc: float = float("nan")
    mixture: Mixture | None = field(default=None, init=False, repr=False)
    steering: tuple[Any, Any, float] | None = field(default=None, init=False, repr=False)
    _family_mean: Float32 | None = field(default=None, init=False, repr=False)
    _over: Any = field(default=None, init=False, repr=False)  # until predictions move, as the next
    _reach: Any = field(default=None, init=False, repr=False)

    @property
    def family_mean(self) -> Float32:
        """Return the mean prediction of each family on the panel (K,), kept until predictions move."""
        if self._family_mean is None:
            self._family_mean = self.panel_mean.mean(axis=1)
        return self._family_mean

    def features(self, x: Float32) -> Float32:
        """Return features of ambient rows (n, p + 1), or coordinates (n, k)."""
        return self.head.features(x, self.weights, self.phase)

    def claimed_sd(self, variance: Float32) -> Float32:
        """Return the claimed standard deviation for predictive variances."""
        return claimed_sd(variance, self.overconfidence)

    def epistemic_sd(self, variance: Float32) -> Float32:
        """Return the claimed sd of the property itself, without the misfit 1/b that is the same everywhere.

        Acquisition rules weigh what more data could teach; the misfit would drown it.
        """
        return self.claimed_sd(np.asarray(variance - np.float32(self.head.noise), np.float32))

    def panel_fall(self, phi: Float32 | None, variance: NDArray[Any]) -> Float:
        """Return the expected fall of the panel's mean variance by a result at each of some feature rows (n,).

        Parameters
        ----------
        phi : float32 (n, p + 1) or None
            The panel's own rows if None.
        variance : float (n,)
            Claimed variance of each result.
        """
        if self._over is None:
            self._over = self.head.over(self.panel_phi)
            self._reach = self.head.reach(self.panel_phi, self._over)
        reach = self._reach if phi is None else self.head.reach(phi, self._over)
        return expected_fall(reach, variance + self.head.noise)

    def correct(self, phi: Float32, residual: Float, variance: Float, strength: float) -> None:
        """Fine-tune the head on new labels and bring the panel's predictions up to date."""
        update = self.head.update(phi, residual, variance + self.head.noise, strength)
        update.apply(self.panel_phi, self.panel_mean.reshape(-1), self.panel_variance.reshape(-1))
        self._family_mean = self._over = None

    def rebase(self, change: Float32) -> None:
        """Add a change of the simulated property (N,) to the panel's predictions."""
        self.panel_mean += change[self.panel.materials]
        self._family_mean = None

    def remember(self, predicted: Float32, observed: Float32) -> None:
        """Keep the last 50 published tests."""
        self.recent.extend(np.abs(predicted - observed).tolist())
        del self.recent[:-RECENT]
        self.median_gap = median(self.recent)


def claimed_sd(variance: Float32, overconfidence: float = 1.0) -> Float32:
    """Return the standard deviation that a model claims for predictive variances."""
    return np.asarray(np.sqrt(np.maximum(variance, np.float32(1e-8))) / np.float32(overconfidence), np.float32)


def gradient_moment(models: Sequence[FoundationModel], x: Float32) -> Float:
    """Return the average gradient outer product of what models predict at ambient rows (d, d).

    The mean over models and rows of ``grad m(x) grad m(x)'``, the feature matrix of Radhakrishnan et al. (2024).
    """
    slopes = [model.head.slope(x, model.weights, model.phase) for model in models]
    return np.asarray(sum(s.T @ s for s in slopes) / (len(models) * len(x)), np.float64)


def frequencies(streams: Streams, lineage: int, d: int, p: int) -> tuple[Float, Float32]:
    """Return random frequencies (d, p) and phases (p,) of a lineage, for a Matern-5/2 kernel of unit length.

    Frequencies of a Matern kernel are multivariate t (Rasmussen and Williams 2006, section 4.2.1).
    """
    # Three streams, features along the first axis: a larger model keeps the features of a smaller one.
    normal = streams.normal(f"model.frequencies.{lineage}", 0, (p, d))
    spread = np.sqrt(MATERN / (2.0 * streams.generator(f"model.spread.{lineage}").standard_gamma(MATERN / 2.0, p)))
    phase = (2 * np.pi * streams.uniform(f"model.phase.{lineage}", 0, p)).astype(np.float32)
    return (normal * spread[:, None]).T, phase
