"""How alike models are: errors, best picks and wrong picks of pairs that predict the same property (phase observe)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mpbf_abm.arrays import Float, Float32, Int
from mpbf_abm.learning.models import FoundationModel
from mpbf_abm.model.commons import distinct
from mpbf_abm.model.world import World

POINTS = 200  # materials on which models are compared, at least one of each family
BEST = 0.05  # share of them that a model picks
FLAT = 1e-9  # variance below which a cause does not differ between pairs
COLUMNS = (
    *("error_correlation", "overlap_top", "shared_wrong_picks"),
    *("error_shared_corpus", "error_shared_encoder", "error_intrinsic"),
)


class Looked(NamedTuple):
    """What is kept of a model between two looks.

    Attributes
    ----------
    model : FoundationModel
    phi : float32 (n, p + 1)
        Its features of the materials on which models are compared.
    sample : int
        Materials in its training sample, each once, in ascending order.
    """

    model: FoundationModel
    phi: Float32
    sample: Int


def homogenisation(world: World) -> dict[str, float]:
    """Return how alike the served models of each property are; NaN with fewer than two of any, or without error.

    All on a fixed, keyed panel, since models are judged on other panels when they are trained. Means over pairs; a
    shared wrong pick is one of a model's best that is not among the true best, and that the other model picks, too.
    """
    served = dict(world.models())
    numbers = np.array(list(served), np.int64)
    of = np.array([m.of_property for m in served.values()], np.int64)
    # Both orders of each pair.
    first, second = np.nonzero((of[:, None] == of) & ~np.eye(len(of), dtype=bool))
    if not len(first):
        return {}
    materials, known = look(world, served)
    y = world.truth.property[world.space.pairs(of[:, None], np.tile(materials, (len(of), 1)))]
    predicted = np.array([predict(world, looked, materials) for looked in known])
    errors = (predicted - y).astype(np.float64)
    errors -= errors.mean(axis=1, keepdims=True)
    size = np.sqrt(np.square(errors).sum(axis=1, keepdims=True))
    errors /= np.where(size > 0, size, np.nan)
    correlation = (errors @ errors.T)[first, second]
    picks = best(predicted)
    wrong, count = picks * (1 - best(y)), picks.sum(axis=1)
    overlap = 2 * (picks @ picks.T)[first, second] / (count[first] + count[second])
    misses, shared = wrong.sum(axis=1)[first].sum(), (wrong @ picks.T)[first, second].sum()
    lineage = np.array([m.lineage for m in served.values()])
    pairs = zip(numbers[first].tolist(), numbers[second].tolist(), strict=True)
    reading = np.array([common_reading(world, min(pair), max(pair)) for pair in pairs])
    parts = split(correlation, reading, (lineage[first] == lineage[second]).astype(float), of[first])
    wrongly = float(shared / misses) if misses else float("nan")
    return dict(zip(COLUMNS, (float(correlation.mean()), float(overlap.mean()), wrongly, *parts), strict=True))


def look(world: World, served: dict[int, FoundationModel]) -> tuple[Int, list[Looked]]:
    """Return the materials on which models are compared (n,), and what is kept of each served model."""
    space, seen = world.space, world.compared
    if "panel" not in seen:
        shape = space.families, max(1, round(POINTS / space.families))
        u = world.streams.uniform("comparison.material", 0, shape)[space.family_keys]
        view = world.streams.normal32("comparison.view", 0, (*shape, space.view_dims))[space.family_keys]
        rows = space.member(np.arange(space.families)[:, None], u).ravel()
        seen["panel"] = rows, space.ambient_rows(rows, view.reshape(len(rows), -1))
    rows, x = seen["panel"]
    for i, m in served.items():
        if i not in seen or seen[i].model is not m:
            seen[i] = Looked(m, m.features(x), distinct(m.sample))
            for pair in [k for k in seen if isinstance(k, tuple) and i in k]:
                del seen[pair]
    return rows, [seen[i] for i in served]


def predict(world: World, looked: Looked, materials: Int) -> Float32:
    """Return what a model predicts now of the materials on which models are compared (n,)."""
    m = looked.model
    mean = m.head.centred(looked.phi) + np.float32(m.head.offset)
    return mean + world.truth.simulated[world.space.pairs(m.of_property, materials)] if m.simulated_base else mean


def best(values: Float32) -> Float:
    """Return 1 for the best share of each row, what is equal to the least of them included, and 0 for the rest."""
    k = values.shape[1] - max(1, round(BEST * values.shape[1]))
    return (values >= np.partition(values, k, axis=1)[:, k : k + 1]).astype(np.float64)


def common_reading(world: World, i: int, j: int) -> float:
    """Return the share of the materials in either training sample of two models that is in both."""
    seen = world.compared
    if (i, j) not in seen:
        a, b = seen[i].sample, seen[j].sample
        both = np.intersect1d(a, b, assume_unique=True).size
        seen[i, j] = both / (len(a) + len(b) - both)
    return float(seen[i, j])


def split(correlation: Float, reading: Float, lineage: Float, of: Int) -> tuple[float, float, float]:
    """Split the mean error correlation of pairs into parts of shared corpus, shared encoder and the rest.

    By least squares over pairs within properties, on the share of materials that both have read and on whether both
    are of one lineage: a part is the slope times the mean. The rest, what models of other lineages without a common
    material would still share, is intrinsic: structure out of reach, simulation bias. A part is NaN where its cause
    does not differ between pairs, unless there is none of it, and so is then the rest.

    Parameters
    ----------
    correlation, reading, lineage : float (n,)
    of : int (n,)
        Property of each pair.
    """

    def within(values: Float) -> Float:
        return np.asarray(values - (np.bincount(of, values) / np.maximum(np.bincount(of), 1))[of])

    x, slopes = np.array([within(reading), within(lineage)]), np.full(2, np.nan)
    moments = x @ x.T
    slopes[[not reading.any(), not lineage.any()]] = 0.0
    moves = np.diag(moments) > FLAT * len(of)
    a = moments[np.ix_(moves, moves)]
    if moves.any() and np.linalg.det(a) > FLAT * np.prod(np.diag(a)):
        slopes[moves] = np.linalg.solve(a, x[moves] @ within(correlation))
    corpus, encoder = (slopes * (reading.mean(), lineage.mean())).tolist()
    return corpus, encoder, float(correlation.mean()) - corpus - encoder
