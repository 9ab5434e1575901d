"""The synthetic materials space: families with their own chemistry, two scales, biased simulation.

Descriptors of material i in family f::

    q_i = c_f + s_q L_f z_i + s_0 xi_i          L_f = orth(sqrt(share) L_0 + sqrt(1 - share) G_f)

so that what an encoder learns depends on which families its corpus holds. The property is a
smooth random field of the quantum block plus one of quantum and meso jointly (random Fourier
features: Rahimi and Recht 2007); the simulation sees the quantum part only and adds a bias
field.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.arrays import Bool, Float, Float32, Int
from mpbf_abm.parameters import SpaceParameters
from mpbf_abm.streams import Streams

S_QUANTUM = 1.6
S_SCATTER = 0.1
S_CENTRE = 0.6
FAMILY_LENGTH = 1.0  # distance over which families share chemistry; positions are standard normal in the plane
MESO_LENGTH = 2.0
FIELD_FEATURES = 192
GRIDS = 64
CHUNK = 65_536


@dataclass(frozen=True)
class Quantity:
    """What a property is in the world: ``value = mean + sd * property``.

    Attributes
    ----------
    name, unit : str
    mean, sd : float
        In the unit; the sd is negative where a small value is sought.
    """

    name: str
    unit: str = "sd"
    mean: float = 0.0
    sd: float = 1.0

    def in_unit(self, standardised: Float | float) -> Float | float:
        """Return standardised values in the unit."""
        return self.mean + self.sd * standardised


def generate(p: SpaceParameters, streams: Streams) -> dict[str, Any]:
    """Generate a synthetic space from its parameters and keyed streams: the fields of a ``MaterialsSpace``."""
    start = family_rows(p.materials, p.families, p.family_exponent)
    sizes = np.diff(start)
    family = np.repeat(np.arange(p.families), sizes)
    affinity, position_factor = _family_positions(p.families, streams)
    quantum = _quantum(p, streams, start, position_factor)
    meso = streams.normal("space.meso", 0, (p.materials, p.meso_dims)).astype(np.float32)
    original = _near_duplicates(p, streams, start, family, quantum, meso)

    joint = np.concatenate([quantum / np.float32(p.ruggedness), meso / np.float32(MESO_LENGTH)], axis=1)
    value, simulated, proxy = (np.empty((p.properties, p.materials), np.float32) for _ in range(3))
    smooth, jump = _smooth_parts(p, streams, quantum), np.zeros(0, np.float32)
    if p.phase_jump > 0:
        jump = np.float32(p.phase_jump) * (random_field(streams, "space.phase", quantum, p.ruggedness) > 0)
    for t in range(p.properties):
        cross = _standard(random_field(streams, named("space.property.cross", t), joint, 1.0, p.field))
        # The cross-scale field keeps a quantum-only mean; what is left of it after removing the
        # smooth part would be small, so the split by variance share is taken as it stands.
        seen = np.sqrt(1 - p.cross_scale) * smooth[t]
        y = seen + np.sqrt(p.cross_scale) * cross
        if p.phase_jump > 0:
            y, seen = y + jump, seen + jump
        mean, sd = float(y.mean()), float(y.std())
        value[t] = y = ((y - mean) / sd).astype(np.float32)
        bias = bias_field(p, streams, quantum, family, position_factor, t)
        simulated[t] = (seen - np.float32(seen.mean())) / np.float32(sd) + bias
        other = random_field(streams, named("space.proxy", t), quantum, p.ruggedness)
        proxy[t] = _standard(other - y * np.float32((other * y).mean() / (y * y).mean()))

    dense = largest(sizes, p.dense_share)
    spurious = _spurious(p, streams, value, dense[family])
    rough = _standard(random_field(streams, "space.difficulty", quantum, p.ruggedness / 2))
    difficulty = np.exp(np.float32(p.difficulty) * rough).astype(np.float32)
    makeable = _standard(random_field(streams, "space.feasible", quantum, p.ruggedness))
    scatter = streams.normal("space.feasible.scatter", 0, p.materials).astype(np.float32)
    share = 2.0 * p.feasible_scatter  # at half and half, factors are 1
    makeable = np.float32(np.sqrt(2.0 - share)) * makeable + np.float32(np.sqrt(share)) * scatter
    feasible = makeable >= np.quantile(makeable, 1 - p.feasible) if p.feasible < 1 else np.ones(p.materials, bool)
    return {
        "descriptors": np.concatenate([quantum, meso, spurious], axis=1),
        "dims": {"quantum": p.quantum_dims, "meso": p.meso_dims, "gauge": p.gauge_dims, "spurious": p.spurious_dims},
        "start": start,
        "property": value.ravel(),
        "simulated": simulated.ravel(),
        "difficulty": difficulty,
        "feasible": feasible,
        "proxy": proxy.ravel(),
        "similarity": knn_similarity(affinity),
        "family_keys": np.arange(p.families, dtype=np.int64),
        "material_keys": np.arange(p.materials, dtype=np.int64),
        "top": np.concatenate([top_set(y, feasible, p.top_share) for y in value]),
        "dense": dense,
        "family_names": tuple(f"family {k}" for k in range(p.families)),
        "quantities": tuple(Quantity(f"property {t}") for t in range(p.properties)),
        "gauge_amplitude": p.gauge_amplitude,
        "origin": {"kind": "synthetic", "seed": streams.seed},
        "noise_keys": original.astype(np.uint64),
    }


def family_rows(materials: int, families: int, exponent: float) -> Int:
    """Return the first row of each family (K + 1,) with Zipf sizes of at least one material each."""
    weight = np.arange(1, families + 1, dtype=np.float64) ** -exponent
    exact = weight / weight.sum() * (materials - families)
    sizes = 1 + np.floor(exact).astype(np.int64)
    remainder = materials - int(sizes.sum())
    sizes[np.argsort(-(exact - np.floor(exact)), kind="stable")[:remainder]] += 1
    return np.concatenate([[0], np.cumsum(sizes)])


def named(draw: str, number: int) -> str:
    """Return the name of a draw for one of several properties; the first has that which it has alone."""
    return f"{draw}.{number}" if number else draw


def _smooth_parts(p: SpaceParameters, streams: Streams, quantum: Float32) -> list[Float32]:
    """Return the part of each property that depends on the quantum block alone, of mean 0 and sd 1 (T, N).

    A property alone is one random field. Several are mixtures ``sum_j A_tj f_j`` of J independent ones, with
    ``A_t = sqrt(rho) a + sqrt(1 - rho) a_t`` of standard normal a and a_t: neighbours in what they depend on, or
    opposites. One more property changes none of the others.
    """
    first = _standard(random_field(streams, "space.property.quantum", quantum, p.ruggedness, p.field))
    if p.properties == 1:
        return [first]
    fields = [first]
    for j in range(1, p.factors):
        name = named("space.property.quantum", j)
        fields.append(_standard(random_field(streams, name, quantum, p.ruggedness, p.field)))
    common = streams.normal("space.relatedness.common", 0, p.factors)
    own = streams.normal("space.relatedness.own", 0, (p.properties, p.factors))
    mixture = np.sqrt(p.relatedness) * common + np.sqrt(1 - p.relatedness) * own
    return list(map(_standard, mixture.astype(np.float32) @ np.array(fields)))


def random_field(streams: Streams, name: str, x: Float32, length: float, kind: str = "fourier") -> Float32:
    """Return a random field of unit prior variance at the rows of x (n, d): smooth and Gaussian, or binned."""
    if kind == "binned":
        return binned_field(streams, name, x, length)
    draws = streams.generator(name)
    omega = (draws.standard_normal((x.shape[1], FIELD_FEATURES)) / length).astype(np.float32)
    phase = (draws.random(FIELD_FEATURES) * 2 * np.pi).astype(np.float32)
    weight = (draws.standard_normal(FIELD_FEATURES) * np.sqrt(2 / FIELD_FEATURES)).astype(np.float32)
    out = np.empty(len(x), np.float32)
    for i in range(0, len(x), CHUNK):
        out[i : i + CHUNK] = np.cos(x[i : i + CHUNK] @ omega + phase) @ weight
    return out


def binned_field(streams: Streams, name: str, x: Float32, length: float) -> Float32:
    """Return a piecewise constant random field of unit prior variance at the rows of x (n, d).

    Grids with random pitch and shift, one normal number for each of their cells (random binning features: Rahimi and
    Recht 2007). Their kernel is ``exp(-sum_j |x_j - y_j| / L)``, with L such that points at distance `length`
    correlate as much, on average over directions, as those of :func:`random_field`.
    """
    d = x.shape[1]
    wide = 2.0 * length * np.sqrt(2.0 * d / np.pi)
    draws = streams.generator(name)
    pitch = draws.standard_gamma(2.0, (GRIDS, d)) * wide
    shift = draws.random((GRIDS, d)) * pitch
    lanes = draws.integers(2**63, size=(GRIDS, d), dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    salts = draws.integers(2**63, size=GRIDS, dtype=np.uint64)
    out = np.zeros(len(x))
    for grid in range(GRIDS):
        cell = np.floor((x + shift[grid]) / pitch[grid]).astype(np.int64).astype(np.uint64)
        number = (cell * lanes[grid]).sum(axis=1, dtype=np.uint64) + salts[grid]
        out += streams.record_normal("space.cell", number, 1)[:, 0]
    return np.asarray((out / np.sqrt(GRIDS)).astype(np.float32))


def bias_field(
    p: SpaceParameters, streams: Streams, quantum: Float32, family: Int, position_factor: Float, number: int = 0
) -> Float32:
    """Return a property's simulation bias: offset + family + smooth within families + scatter, by variance shares."""
    between = position_factor @ streams.normal(named("space.bias.family", number), 0, p.families)
    between = (between - between.mean()) / max(float(between.std()), 1e-9) if p.families > 1 else between * 0
    smooth = random_field(streams, named("space.bias.smooth", number), quantum, p.bias_length)
    # "Within families": the family mean belongs to the family share.
    count = np.bincount(family, minlength=p.families)
    smooth = _standard(smooth - (np.bincount(family, smooth, minlength=p.families) / count)[family].astype(np.float32))
    scatter = streams.normal(named("space.bias.scatter", number), 0, len(quantum)).astype(np.float32)
    total = np.sqrt(p.bias_family) * between[family].astype(np.float32) + np.sqrt(p.bias_smooth) * smooth
    total = total + np.sqrt(p.bias_scatter) * scatter
    return np.asarray((p.bias_offset + p.bias_sd * total).astype(np.float32))


def _family_positions(families: int, streams: Streams) -> tuple[Float, Float]:
    """Return the affinity of families (K, K) and a factor of it: rows correlate as families are similar."""
    position = streams.normal("space.family.position", 0, (families, 2))
    gap = position[:, None] - position[None]
    affinity = np.exp(-0.5 * np.einsum("ijd,ijd->ij", gap, gap) / FAMILY_LENGTH**2)
    return affinity, np.linalg.cholesky(affinity + 1e-6 * np.eye(families))


def _quantum(p: SpaceParameters, streams: Streams, start: Int, factor: Float) -> Float32:
    dq, rank = p.quantum_dims, p.chemistry_rank
    centre = S_CENTRE * streams.normal("space.family.centre", 0, (p.families, dq))
    shared = streams.normal("space.family.shared", 0, (dq, rank))
    # Similar families share more of the chemistry that is not common to all: G_f is a Gaussian process over positions.
    own = (factor @ streams.normal("space.family.own", 0, (p.families, dq * rank))).reshape(-1, dq, rank)
    loading = np.linalg.qr(np.sqrt(p.shared_chemistry) * shared + np.sqrt(1 - p.shared_chemistry) * own)[0]
    z = streams.normal("space.z", 0, (p.materials, rank)).astype(np.float32)
    quantum = S_SCATTER * streams.normal("space.scatter", 0, (p.materials, dq)).astype(np.float32)
    for k in range(p.families):
        rows = slice(start[k], start[k + 1])
        quantum[rows] += (z[rows] @ (S_QUANTUM * loading[k].T)).astype(np.float32) + centre[k].astype(np.float32)
    return quantum.astype(np.float32)


def _near_duplicates(
    p: SpaceParameters, streams: Streams, start: Int, family: Int, quantum: Float32, meso: Float32
) -> Int:
    """Let a share of materials nearly copy another one of their family (in place); return what each copies (N,)."""
    draw = streams.uniform("space.duplicate", 0, (p.materials, 2))
    original = draw[:, 0] >= p.near_duplicates
    # A family of copies alone has nothing to copy: its first member stays itself.
    alone = np.add.reduceat(original, start[:-1]) == 0
    original[start[:-1][alone]] = True
    copies = np.flatnonzero(~original)
    before = np.concatenate([[0], np.cumsum(original)])
    originals = np.flatnonzero(original)
    first, count = before[start[family[copies]]], (before[start[1:]] - before[start[:-1]])[family[copies]]
    source = originals[first + (draw[copies, 1] * count).astype(np.int64)]
    jitter = streams.normal("space.duplicate.jitter", 0, (p.materials, 2)).astype(np.float32)
    quantum[copies] = quantum[source] + 0.02 * jitter[copies, :1]
    meso[copies] = meso[source] + 0.02 * jitter[copies, 1:]
    copied = np.arange(p.materials)
    copied[copies] = source
    return copied


def _spurious(p: SpaceParameters, streams: Streams, value: Float32, dense: NDArray[np.bool_]) -> Float32:
    """Return columns that follow properties, in turn, in dense families and a random other material's elsewhere."""
    count = len(dense)
    other = value[:, (streams.uniform("space.spurious.other", 0, count) * count).astype(np.int64)]
    followed = np.where(dense, value, other)[np.arange(p.spurious_dims) % len(value)].T
    noise = streams.normal("space.spurious.noise", 0, (count, p.spurious_dims)).astype(np.float32)
    rho = p.spurious_correlation
    return np.asarray((p.spurious_amplitude * (rho * followed + np.sqrt(1 - rho * rho) * noise)).astype(np.float32))


def _standard(x: Float32) -> Float32:
    sd = float(x.std())
    return np.asarray(((x - x.mean()) / (sd if sd > 0 else 1.0)).astype(np.float32))


# --------------------------------------------------------------------------- what any space derives from its materials
def top_set(values: Float32, feasible: Bool, share: float) -> Bool:
    """Mark the best `share` of the feasible materials (at least one), ties broken by row."""
    count = max(1, round(share * int(feasible.sum())))
    order = np.argsort(np.where(feasible, -values.astype(np.float64), np.inf), kind="stable")
    mask = np.zeros(len(values), bool)
    mask[order[:count]] = True
    return mask


def largest(sizes: Int, share: float) -> Bool:
    """Mark a share of the families that has the most materials, at least one (K,)."""
    mask = np.zeros(len(sizes), bool)
    mask[np.argsort(-sizes, kind="stable")[: max(1, round(share * len(sizes)))]] = True
    return mask


def knn_similarity(affinity: Float, neighbours: int = 5) -> Float:
    """Return a row-normalised similarity graph that keeps each family's strongest links, made symmetric.

    Parameters
    ----------
    affinity : float (K, K)
        Symmetric, non-negative; the diagonal is ignored.
    """
    k = len(affinity)
    if k == 1:
        return np.ones((1, 1))
    weights = affinity.astype(np.float64).copy()
    np.fill_diagonal(weights, 0.0)
    strongest = np.argsort(-weights, axis=1, kind="stable")[:, : min(neighbours, k - 1)]
    mask = np.zeros_like(weights, bool)
    np.put_along_axis(mask, strongest, True, axis=1)
    weights[~(mask | mask.T)] = 0.0
    lonely = weights.sum(axis=1) <= 0
    weights[np.ix_(lonely, lonely)] = np.eye(int(lonely.sum()))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def adjacent_similarity(edits: NDArray[np.integer[Any]]) -> Float:
    """Return a row-normalised graph of families one edit apart; one without such a neighbour is joined to its nearest.

    Parameters
    ----------
    edits : int (K, K)
        Edits between families, 0 on the diagonal (:func:`mpbf_abm.data.chemistry.element_edits`). Families without
        any edit between them are one step apart, too.
    """
    k = len(edits)
    if k == 1:
        return np.ones((1, 1))
    near = np.maximum(edits, 1)
    np.fill_diagonal(near, np.iinfo(near.dtype).max)
    linked = near == near.min(axis=1, keepdims=True)
    linked |= linked.T
    return np.asarray(linked / linked.sum(axis=1, keepdims=True), np.float64)
