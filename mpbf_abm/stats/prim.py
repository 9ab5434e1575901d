"""Scenario discovery: boxes of factor values in which an outcome of interest is common.

The patient rule induction method (Friedman and Fisher 1999) as scenario discovery uses it (Bryant and Lempert 2010;
Kwakkel and Jaxa-Rozen 2016): columns of numbers, whole numbers and names are peeled each in its way. A peel is valued
by what it gains for each point it gives up. Trajectories equal those of ema_workbench.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.arrays import Bool
from mpbf_abm.errors import refuse

Limit = tuple[float, float] | frozenset[Any]
Box = tuple[Limit, ...]

PEEL, PASTE = 0.05, 0.05  # share of a box that one step takes or gives
LEAST_MASS = 0.05  # share of all points that a box keeps at least
KINDS = {"f": "real", "i": "whole", "u": "whole"}  # by kind of array; others hold names


@dataclass(frozen=True)
class Found:
    """A box on the way.

    Attributes
    ----------
    box : tuple
        Limits of each column: (low, high), or a set of names.
    inside : bool array (n,)
        Points in it.
    coverage, density, mass : float
        Share of the points of interest that are inside; share of those inside that are of interest; share of all
        points.
    restricted : tuple of int
        Columns whose limits are not those of all points.
    """

    box: Box
    inside: Bool
    coverage: float
    density: float
    mass: float
    restricted: tuple[int, ...]


class Prim:
    """Peels and pastes a box around points of interest.

    Parameters
    ----------
    columns : sequence of arrays (n,)
        Float arrays are peeled by quantiles, integer arrays by whole steps, others by their values.
    interest : bool array (n,)

    Examples
    --------
    >>> x = np.linspace(0.0, 1.0, 200)
    >>> found = Prim([x], x > 0.7).trajectory()[-1]
    >>> bool(found.density > 0.99), found.restricted
    (True, (0,))
    """

    def __init__(self, columns: Sequence[NDArray[Any]], interest: Bool) -> None:
        self.y = np.asarray(interest, bool)
        self.columns = [np.asarray(c) for c in columns]
        n, hits = len(self.y), int(self.y.sum())
        short = not self.columns or any(len(c) != n for c in self.columns)
        refuse(short, "scenario discovery needs columns as long as the outcome")
        refuse(hits in (0, n), f"scenario discovery needs both kinds of scenarios; {hits} of {n} are of interest")
        finite = all(np.isfinite(c).all() for c in self.columns if c.dtype.kind == "f")
        refuse(not finite, "scenario discovery needs factor values that are all finite")
        self.kinds = [KINDS.get(c.dtype.kind, "name") for c in self.columns]
        # Reals come before whole numbers before names where two steps are equally good.
        self.order = sorted(range(len(self.kinds)), key=lambda i: ("real", "whole", "name").index(self.kinds[i]))
        self.all: Box = tuple(map(_limits, self.columns, self.kinds))

    def trajectory(self) -> list[Found]:
        """Return the boxes from all points to the last one: peeled while that pays, then pasted while that does."""
        steps = [self.measured(self.all, np.ones(len(self.y), bool))]
        for grows in (False, True):
            while step := self._step(steps[-1], grows):
                steps.append(step)
        return steps

    def _step(self, last: Found, grows: bool) -> Found | None:
        """Return the best larger or smaller box, None where none pays."""
        moves = self._pastes(last) if grows else self._peels(last)
        options = [(self._gain(last.inside, new), -len(self.restricted(box)), box, new) for box, new in moves]
        if not options:
            return None
        # Of equally good ones the first.
        gain, _, box, inside = max(options, key=lambda option: option[:2])
        before, after = int(last.inside.sum()), int(inside.sum())
        onwards = after > before if grows else after < before
        return self.measured(box, inside) if all([after / len(self.y) >= LEAST_MASS, onwards, gain > 0]) else None

    def _gain(self, old: Bool, new: Bool) -> float:
        """Return the gain in density for each point given up, or taken in."""
        before, after = int(old.sum()), int(new.sum())
        mean_old, mean_new = self.y[old].mean(), self.y[new].mean() if after else 0.0
        return 0.0 if mean_old == mean_new else float((mean_new - mean_old) / abs(before - after))

    # ------------------------------------------------------------------ steps

    def _peels(self, found: Found) -> list[tuple[Box, Bool]]:
        out: list[tuple[Box, Bool]] = []
        for i in self.order:
            x, limit = self.columns[i], found.box[i]
            ways: list[tuple[Bool, Limit]]
            if isinstance(limit, frozenset):
                ways = [(x != v, limit - {v}) for v in sorted(limit, key=repr) if len(limit) > 1]
            else:
                ways = [self._peel(i, x[found.inside], limit, upper) for upper in (True, False)]
            out += [(self._with(found.box, i, new), found.inside & keep) for keep, new in ways]
        return out

    def _peel(
        self, i: int, inside: NDArray[Any], limit: tuple[float, float], upper: bool
    ) -> tuple[Bool, tuple[float, float]]:
        """Take some points off an end of a column of numbers; return those that it keeps, and its new limits."""
        x, edge = self.columns[i], quantile(inside, 1 - PEEL if upper else PEEL)
        if self.kinds[i] != "real":
            return self._whole_peel(x, inside, limit, int(edge), upper)
        return (x <= edge, (limit[0], edge)) if upper else (x >= edge, (edge, limit[1]))

    @staticmethod
    def _whole_peel(
        x: NDArray[Any], inside: NDArray[Any], limit: tuple[float, float], edge: int, upper: bool
    ) -> tuple[Bool, tuple[float, float]]:
        """Take at least one whole step off an end."""
        low, high = limit
        if upper:
            keep = (x < high) & (x >= low) if edge == high else (x <= edge) & (x >= low)
        else:
            keep = (x > low) & (x <= high) if edge == low else (x >= edge) & (x <= high)
        left = inside[(inside >= x[keep].min()) & (inside <= x[keep].max())] if keep.any() else inside
        left = left if len(left) else inside
        return keep, (low, left.max().item()) if upper else (left.min().item(), high)

    def _pastes(self, found: Found) -> list[tuple[Box, Bool]]:
        out: list[tuple[Box, Bool]] = []
        for i in filter(found.restricted.__contains__, self.order):
            limit = found.box[i]
            if isinstance(limit, frozenset):
                boxes = [self._with(found.box, i, limit | {v}) for v in sorted({*self.all[i]} - limit, key=repr)]
            else:
                boxes = [self._paste(found.box, i, limit, upper) for upper in (False, True)]
            out += [(box, self.inside(box)) for box in boxes]
        return out

    def _paste(self, box: Box, i: int, limit: tuple[float, float], upper: bool) -> Box:
        """Return the box with a column of numbers taken further at an end, by some of the points beyond."""
        low, high = self.all[i]
        beyond = self.inside(self._with(box, i, (limit[1], high) if upper else (low, limit[0])))
        edge = high if upper else low
        if beyond.any():
            edge = quantile(self.columns[i][beyond], PASTE if upper else 1 - PASTE)
        return self._with(box, i, (limit[0], edge) if upper else (edge, limit[1]))

    @staticmethod
    def _with(box: Box, i: int, limit: Limit) -> Box:
        return (*box[:i], limit, *box[i + 1 :])

    # ------------------------------------------------------------------ boxes

    def restricted(self, box: Box) -> tuple[int, ...]:
        """Return the columns whose limits differ from those of all points."""
        return tuple(i for i, (a, b) in enumerate(zip(box, self.all, strict=True)) if a != b)

    def inside(self, box: Box, columns: Sequence[NDArray[Any]] | None = None) -> Bool:
        """Return the points inside the restrictions of a box; of other columns, if given."""
        columns = self.columns if columns is None else columns
        keep = np.ones(len(columns[0]), bool)
        for i in self.restricted(box):
            limit = box[i]
            if isinstance(limit, frozenset):
                keep &= np.isin(columns[i], list(limit))
            else:
                keep &= (columns[i] >= limit[0]) & (columns[i] <= limit[1])
        return keep

    def measured(self, box: Box, inside: Bool) -> Found:
        """Return a box with its coverage, density and mass."""
        hits, n = int(self.y[inside].sum()), int(inside.sum())
        density = hits / n if n else math.nan
        return Found(box, inside, hits / int(self.y.sum()), density, n / len(self.y), self.restricted(box))

    def quasi_p(self, found: Found) -> dict[int, float]:
        """Return the chance of so many hits in the box if a restriction made no difference, for each restricted column.

        ``P[Binomial(n, H'/T') >= H]`` with H' hits among the T' points inside without it (Bryant and Lempert 2010);
        small values say that the restriction matters.
        """
        from scipy.stats import binom

        hits, n = int(self.y[found.inside].sum()), int(found.inside.sum())
        out = {}
        for i in found.restricted:
            without = self.inside(self._with(found.box, i, self.all[i]))
            out[i] = float(binom.sf(hits - 1, n, self.y[without].mean()))
        return out


def _limits(x: NDArray[Any], kind: str) -> Limit:
    """Return the limits of all points of a column."""
    return frozenset(x.tolist()) if kind == "name" else (x.min().item(), x.max().item())


def quantile(x: NDArray[Any], share: float) -> float:
    """Return the quantile as scenario discovery takes it: midway between neighbours, and past a run of equal values."""
    data = np.sort(x)
    at = (len(data) - 1) * share
    low, high = math.floor(at), math.ceil(at)
    if share > 0.5:
        while data[low] == data[high] and low > 0:
            low -= 1
    else:
        while data[low] == data[high] and high < len(data) - 1:
            high += 1
    return float((data[low] + data[high]) / 2)
