"""Encoders: which directions of the ambient descriptor a pretrained representation keeps.

Each objective reduces to an eigenproblem on moments of the corpus, the linear case in which
its optimum is known. Masked reconstruction is principal component analysis (Baldi and Hornik
1989). Contrastive learning across modalities is canonical correlation analysis (Hotelling
1936). Fusion is their declared mixture. A graph encoder is PCA of neighbour-smoothed
descriptors (Wu et al. 2019).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mpbf_abm.arrays import Float, Float32, kernel
from mpbf_abm.learning.linalg import leading_directions

RIDGE = 1e-3


@dataclass(frozen=True)
class Encoder:
    """A linear encoder of the ambient descriptor.

    Attributes
    ----------
    directions : float64 (d, k)
        Orthonormal directions V that the representation keeps.
    spread : float64 (k,)
        Standard deviation s of the corpus along them.
    gains : float64 (d,)
        How strongly the corpus showed each column, g.
    centre : float64 (d,)
        Corpus mean.
    input_scale : float64 (d,)
        Factor on each column before encoding: 1 - I on the gauge block, 1 elsewhere.
    """

    directions: Float
    spread: Float
    gains: Float
    centre: Float
    input_scale: Float

    @property
    def k(self) -> int:
        """Return the number of latent directions."""
        return int(self.directions.shape[1])

    def projection(self) -> Float:
        """Return M' of the features: x -> ``diag(g) V diag(1/s) V' diag(scale) x``, transposed (d, d).

        Working with the projected *ambient* vector makes features indifferent to sign flips and
        rotations of the eigenbasis.
        """
        m = self.gains[:, None] * (self.directions / self.spread) @ self.directions.T
        return (m * self.input_scale).T

    @kernel
    def seen(self, x: Float32) -> tuple[Float32, Float32]:
        """Return ambient rows as the encoder takes them (n, d), and their coordinates, not whitened (n, k)."""
        scaled = x * self.input_scale.astype(np.float32)
        return scaled, scaled @ self.directions.astype(np.float32)

    def latent(self, x: Float32) -> Float32:
        """Return whitened latent coordinates of ambient rows (n, k)."""
        to = (self.input_scale[:, None] * self.directions / self.spread).astype(np.float32)
        return (x - self.centre.astype(np.float32)) @ to

    def ambient(self, z: Float) -> Float32:
        """Return the ambient rows (n, d) nearest to the corpus mean that have latent coordinates z (n, k).

        By the pseudo-inverse of :meth:`latent`. A model sees nothing of a row but its latent coordinates.
        """
        to = self.input_scale[:, None] * self.directions / self.spread
        return np.asarray(self.centre + z @ np.linalg.pinv(to), np.float32)


def descriptor_encoder(span: Float, input_scale: Float) -> Encoder:
    """Return the encoder without pretraining: the columns themselves, each as wide as its range over the space.

    Parameters
    ----------
    span : float64 (d,)
        Range of each ambient column.
    input_scale : float64 (d,)
        Columns of scale 0 are left out.
    """
    shown = (input_scale > 0) & (span > 0)
    return Encoder(np.eye(len(span))[:, shown], span[shown], np.ones(len(span)), np.zeros(len(span)), input_scale)


@kernel
def train_encoder(
    x: Float32,
    gains: Float32,
    objective: str,
    k: int,
    input_scale: Float,
    *,
    second_view: Float32 | None = None,
    second_gains: Float32 | None = None,
    smoothed: Float32 | None = None,
    fusion_weight: float = 0.5,
    distinct: int | None = None,
    gradients: Float | None = None,
    supervised: float = 0.0,
) -> Encoder:
    """Train an encoder on a corpus.

    Parameters
    ----------
    x : float32 (n, d)
        Ambient descriptors of the records, each in its own gauge.
    gains : float32 (n, d)
        How strongly each record's modality shows each column.
    objective : str
        masked, contrastive, fusion or graph.
    k : int
        Latent directions, at most d.
    input_scale : float64 (d,)
    second_view, second_gains : float32 (n, d), optional
        The same materials in other gauges and through other modalities (contrastive, fusion).
    smoothed : float32 (n, d), optional
        Neighbour-smoothed descriptors (graph).
    fusion_weight : float
        Weight of the contrastive part in fusion.
    gradients : float64 (d, d), optional
        Average gradient outer product of heads trained before (supervised pretraining).
    supervised : float
        Its weight in the matrix whose leading directions are taken, beside that of the objective; both of trace 1.
    distinct : int, optional
        Distinct materials N of a corpus whose descriptors are observed with noise: directions are weighed by what they
        hold of the signal (:func:`spiked`). Without it they are whitened.
    """
    scale = input_scale.astype(np.float32)
    centre = x.mean(axis=0, dtype=np.float64)
    seen = (x - centre.astype(np.float32)) * scale * gains
    n, d = seen.shape
    k = min(k, d)
    moment = aim = (seen.T @ seen).astype(np.float64) / n
    if objective == "graph" and smoothed is not None:
        smooth = (smoothed - smoothed.mean(axis=0)) * scale * gains
        aim = (smooth.T @ smooth).astype(np.float64) / n
    elif objective in ("contrastive", "fusion") and second_view is not None and second_gains is not None:
        other = (second_view - second_view.mean(axis=0)) * scale * second_gains
        aim = _canonical(moment, (other.T @ other).astype(np.float64) / n, (seen.T @ other).astype(np.float64) / n)
        if objective == "fusion":
            aim = mixed(moment, aim, fusion_weight)
    if gradients is not None and gradients.any():
        aim = mixed(aim, gradients, supervised)
    directions = leading_directions(aim, k)
    if distinct is not None:
        return spiked(moment, directions, distinct, centre, input_scale)
    plain = (x - centre.astype(np.float32)) * scale
    z = plain @ directions.astype(np.float32)  # centred already
    along = np.sqrt(np.einsum("nk,nk->k", z, z).astype(np.float64) / n)
    spread = np.sqrt(along**2 + (RIDGE * max(float(along.max()), 1e-6)) ** 2)
    exposure = np.sqrt(np.einsum("nd,nd->d", gains, gains).astype(np.float64) / n)
    return Encoder(directions, spread, exposure, centre, input_scale)


def mixed(first: Float, second: Float, weight: float) -> Float:
    """Return two moments brought to trace 1 and mixed, the second with a weight (d, d)."""
    own = first / max(np.trace(first), 1e-12)
    return np.asarray((1 - weight) * own + weight * second / max(np.trace(second), 1e-12))


def spiked(moment: Float, directions: Float, distinct: int, centre: Float, input_scale: Float) -> Encoder:
    """Return an encoder that weighs directions by their share of signal, and drops those that are noise.

    The corpus is taken for a spiked covariance: isotropic noise, and signal in few directions (Johnstone 2001;
    Baik and Silverstein 2006). Of d columns and N materials, c = d / N, a sample eigenvalue s^2 over that of the noise
    s_0^2 (the mean of those that are discarded) stands for a spike l, ``s^2 / s_0^2 = (1 + l)(1 + c / l)``. Its learned
    direction has the squared cosine ``o = (1 - c / l^2) / (1 + c / l)`` with the true one. The weight is the best
    linear guess of the signal, ``l o / (1 + l o)``; at ``s^2 / s_0^2 <= (1 + sqrt c)^2`` nothing is known of it.
    The leading direction is kept in any case. Weights are scaled so that the mean variance of a kept direction is 1.

    Parameters
    ----------
    moment : float64 (d, d)
        Second moment of the scaled descriptors.
    directions : float64 (d, k)
    distinct : int
        Distinct materials N, at least 1.
    centre, input_scale : float64 (d,)
    """
    columns, along = int(np.count_nonzero(input_scale)), np.einsum("dk,dk->k", directions, moment @ directions)
    keep, weight = np.ones(len(along), bool), np.ones(len(along))
    while True:
        # What is dropped is noise, too, and raises its estimate until nothing more is dropped.
        rest = (float(np.trace(moment)) - float(along[keep].sum())) / max(1, columns - int(keep.sum()))
        l, overlap = spike(along / max(rest, 1e-12 * float(along.max()), 1e-12), columns / distinct)
        weight = l * overlap / (1.0 + l * overlap)
        if ((weight > 0) >= keep).all():
            break
        keep &= weight > 0
    if not keep.any():
        keep[np.argmax(along)], weight = True, np.ones(len(along))
    weight = weight[keep]
    size = np.sqrt(np.mean(weight**2 * along[keep])) or 1.0
    return Encoder(directions[:, keep], size / weight, np.ones(len(centre)), centre, input_scale)


def spike(ratio: Float, c: float) -> tuple[Float, Float]:
    """Return spikes l of sample eigenvalues over the noise's, and the squared cosines o of their directions; 0 below.

    Parameters
    ----------
    ratio : float64 (k,)
    c : float
        Columns over materials.
    """
    sure = ratio > (1.0 + np.sqrt(c)) ** 2
    half = np.where(sure, ratio - 1.0 - c, 0.0) / 2
    l = np.where(sure, half + np.sqrt(np.maximum(half**2 - c, 0.0)), 0.0)
    safe = np.where(sure, l, 1.0)
    return l, np.where(sure, (1.0 - c / safe**2) / (1.0 + c / safe), 0.0)


def _canonical(first: Float, second: Float, cross: Float) -> Float:
    """Return a positive semidefinite matrix whose leading directions span the canonical subspace (d, d)."""
    left, back = _whitener(first)
    right, _ = _whitener(second)
    u, correlation, _ = np.linalg.svd(left @ cross @ right)
    directions = (back @ u) * correlation
    return np.asarray(directions @ directions.T)


def _whitener(moment: Float) -> tuple[Float, Float]:
    """Return the inverse square root of a second moment, and its square root (d, d)."""
    values, vectors = np.linalg.eigh(moment)
    # Directions that a view hardly shows are not blown up: the ridge is relative to the largest.
    root = np.sqrt(np.maximum(values, 0) + 0.01 * max(values[-1], 1e-12))
    return (vectors / root) @ vectors.T, (vectors * root) @ vectors.T
