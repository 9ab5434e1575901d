"""What any space derives from its materials: the top set, and the similarity graph of families."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.arrays import Bool, Float, Float32, Int


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
    keep = min(neighbours, k - 1)
    strongest = np.argsort(-weights, axis=1, kind="stable")[:, :keep]
    mask = np.zeros_like(weights, bool)
    np.put_along_axis(mask, strongest, True, axis=1)
    weights[~(mask | mask.T)] = 0.0
    total = weights.sum(axis=1, keepdims=True)
    lonely = total[:, 0] <= 0
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
