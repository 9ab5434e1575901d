"""Rows of the same material become one; where they contradict each other, that is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Rule = Literal["mean", "median", "first", "raise"]

RULES = ("mean", "median", "first", "raise")
CONFLICT_SD = 2.0


def distinct(keys: Sequence[bytes]) -> tuple[Int, Int]:
    """Return the number of each row's key, by order of appearance, and the first row of each key."""
    seen: dict[bytes, int] = {}
    same = np.array([seen.setdefault(key, len(seen)) for key in keys], np.int64)
    return same, np.unique(same, return_index=True)[1].astype(np.int64)


def merge(values: Float, same: Int, rule: Rule) -> Float:
    """One value for each set of equal rows (m,)."""
    if rule == "median":
        return np.asarray(pd.Series(values).groupby(same).median(), np.float64)
    if rule == "first":
        return values[np.unique(same, return_index=True)[1]]
    return np.asarray(np.bincount(same, weights=values) / np.bincount(same), np.float64)


def replicate_sd(values: Float, same: Int) -> float | None:
    """Pooled standard deviation within sets of equal rows; None where nothing repeats."""
    mean = merge(values, same, "mean")
    spare = len(values) - len(mean)
    return float(np.sqrt(((values - mean[same]) ** 2).sum() / spare)) if spare else None


def conflicts(
    values: Float, same: Int, sd: float, numbers: Sequence[Any], names: Sequence[str]
) -> list[dict[str, Any]]:
    """Sets of equal rows whose values differ by more than ``CONFLICT_SD`` standard deviations, the widest first.

    Parameters
    ----------
    values : float (n,)
    same : int (n,)
        Set of each row.
    sd : float
        Standard deviation of the property over materials.
    numbers : sequence (n,)
        Number of each row as its user sees it.
    names : sequence of str (m,)
        Name of each set.
    """
    order = np.lexsort((values, same))
    ends = np.cumsum(np.bincount(same))
    low, high = values[order[np.append(0, ends[:-1])]], values[order[ends - 1]]
    wide = np.flatnonzero(high - low > CONFLICT_SD * sd)
    rows = pd.Series(np.arange(len(same))).groupby(same).indices if len(wide) else {}
    return [
        {
            "material": names[k],
            "rows": [numbers[i] for i in rows[k]],
            "low": float(low[k]),
            "high": float(high[k]),
            "sd_apart": float((high[k] - low[k]) / sd),
        }
        for k in wide[np.argsort(low[wide] - high[wide], kind="stable")]
    ]


def repeats(same: Int) -> Int:
    """First set that has several rows, as rows; empty where nothing repeats."""
    several = np.flatnonzero(np.bincount(same) > 1)
    return np.flatnonzero(same == several[0]) if len(several) else several
