"""Designs: which scenarios a study looks at.

Points of the unit cube become values by each factor's quantile function. Longer designs begin with the
shorter ones (Latin hypercubes: every doubling), so that extending one runs no scenario again.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from pydantic import field_validator

from mpbf_abm.arrays import Float
from mpbf_abm.config import Section
from mpbf_abm.errors import lines_where, refuse, refuse_any
from mpbf_abm.parameters import FORM_1

KINDS = ("single", "grid", "one_at_a_time", "lhs", "sobol", "morris", "saltelli", "table")
NEEDS_N = ("lhs", "sobol", "morris", "saltelli")
SAMPLED = ("lhs", "sobol")
SCREENS = ("morris", "saltelli")
MOST_SCENARIOS = 1_000_000
DUMMY = "(dummy)"


def plain(value: Any) -> Any:
    """Python's own kind of a value: no NumPy, no lists."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return tuple(plain(v) for v in value)
    return value.item() if isinstance(value, np.generic) else value


def names_of(text: str) -> tuple[str, ...]:
    """Return the names that a text lists."""
    return tuple(text.split())


def _key(value: Any) -> Any:
    """What equal values have in common: as in Python 1 equals 1.0, but true is another value than 1."""
    try:
        hash(value)
    except TypeError:  # a table or a list that no factor takes
        return False, repr(value)
    return isinstance(value, bool), value


class Factor(Section):
    """A quantity that varies over scenarios: one parameter, or several that move together.

    Attributes
    ----------
    name : str
        What tables and figures call it; a dotted parameter path if it moves that one.
    paths : tuple of str
        Parameters that take its value; empty stands for the one of its name.
    low, high : float
        Range of a continuous factor, or of a whole number.
    scale : str
        How the range is covered: linear, or log for ratios.
    values : tuple
        A list of values instead of a range.
    whole : bool
        Whether values are whole numbers.
    """

    name: str
    paths: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    scale: Literal["linear", "log"] = "linear"
    values: tuple[Any, ...] = ()
    whole: bool = False

    @classmethod
    def place(cls, fields: Any) -> str:
        """How messages call this factor."""
        return f"[parameters] {fields.get('name', '')}".rstrip()

    def _conflicts(self) -> list[str]:
        place, low, high = self.place({"name": self.name}), self.low, self.high
        if self.values:
            tables = [value for value in self.values if isinstance(value, Mapping)]
            faults = lines_where(
                (tables, f"a value is a table, {tables[:1]}; numbers, texts, switches and lists of them are meant"),
                (low is not None or high is not None, "has values and a range; one of them is meant"),
                (self.scale != "linear", f"scale = '{self.scale}': belongs to a range, not to values"),
                (len(set(map(_key, self.values))) < len(self.values), "a value is listed twice"),
            )
        elif low is None or high is None:
            faults = ["needs low and high, or values"]
        else:
            ends, broken = f"low = {low:g}, high = {high:g}", not (low.is_integer() and high.is_integer())
            faults = lines_where(
                (not low < high, f"low = {low:g} must be below high = {high:g}"),
                (self.scale == "log" and low <= 0, f"low = {low:g}: a logarithmic range lies above 0"),
                (self.whole and broken, f"{ends}: ends of a range of whole numbers are whole"),
            )
        return [f"{place}: {line}" for line in faults[:1]]

    @field_validator("values", mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        """Take numbers of NumPy as Python's, and lists within as tuples."""
        return plain(value)

    def takes(self, value: Any) -> bool:
        """Whether a value lies in its range, or is listed."""
        if self.values:
            return _key(value) in map(_key, self.values)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        return float(self.low or 0.0) <= value <= float(self.high or 0.0) and not (self.whole and value != int(value))

    @property
    def targets(self) -> tuple[str, ...]:
        """Parameters that take its value."""
        return self.paths or (self.name,)

    @property
    def ordered(self) -> bool:
        """Whether its values can be ordered."""
        return not any(isinstance(v, (str, list, tuple)) for v in self.values)

    def at(self, u: float) -> Any:
        """Quantile function: value at a point of [0, 1]."""
        if self.values:
            return self.values[min(int(u * len(self.values)), len(self.values) - 1)]
        low, high = float(self.low or 0.0), float(self.high or 0.0)
        # Each whole number has a cell, from itself to the next.
        end = high + 1 if self.whole else high
        place = low * (end / low) ** float(u) if self.scale == "log" else low + float(u) * (end - low)
        return int(min(place, high)) if self.whole else place

    def levels(self, count: int) -> tuple[Any, ...]:
        """Evenly spaced values, ends included, each once; a list of values as it is."""
        if self.values:
            return self.values
        steps = [i / (count - 1) for i in range(count)] if count > 1 else [0.5]
        if self.whole:
            line = self.model_copy(update={"whole": False})
            return tuple(dict.fromkeys(round(line.at(u)) for u in steps))
        return tuple(self.at(u) for u in steps)


class Design(Section):
    """How scenarios are chosen.

    Attributes
    ----------
    kind : str
        single (nothing varies), grid, one_at_a_time, lhs, sobol, morris, saltelli or table.
    n : int
        Points of lhs and sobol, trajectories of morris, base rows of saltelli.
    levels : int
        Levels of a range in a grid, one_at_a_time or morris.
    dummy : bool
        Whether saltelli carries a factor that does nothing, as the floor of noise.
    columns, rows : tuples
        The table of a table design.
    """

    kind: Literal["single", "grid", "one_at_a_time", "lhs", "sobol", "morris", "saltelli", "table"] = "single"
    n: int | None = None
    levels: int | None = None
    dummy: bool = True
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()

    def _conflicts(self) -> list[str]:
        kind, n, levels = self.kind, self.n, self.levels
        of, table = f"a design of kind {kind}", self.columns or self.rows
        many = n is None or not 1 <= n <= MOST_SCENARIOS
        faults = lines_where(
            (kind in NEEDS_N and many, f"n = {n}: {of} needs a number from 1 to {MOST_SCENARIOS}"),
            (kind not in NEEDS_N and n is not None, f"n = {n}: {of} has no n"),
        )
        if levels is not None:
            faults += lines_where(
                (kind not in ("grid", "one_at_a_time", "morris"), f"levels = {levels}: {of} has no levels"),
                (not 2 <= levels <= 1000, f"levels = {levels}: must be from 2 to 1000"),
                (kind == "morris" and levels % 2, f"levels = {levels}: {of} needs an even number"),
            )[:1]
        faults += lines_where(
            (kind == "table" and not (self.columns and self.rows), f"{of} needs a file, or columns and rows"),
            (kind != "table" and table, f"{of} has no table"),
        )
        return [f"[design]: {line}" for line in faults]


Points = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Scenarios:
    """The scenarios of a design.

    Attributes
    ----------
    names : tuple of str
        Factors, in order.
    values : list of tuple
        One for each scenario, in the order of the factors.
    keys : list of str
        What its random draws are keyed by, next to seed and replicate; empty stands for its values.
    labels : list of str
        Place in the design: `A:3`, `B:3`, `AB:3:planners.exploration` of saltelli, `5:2` (trajectory and
        step) of morris, otherwise its number.
    moved : list of int
        Factor that changed from the scenario before (morris), or that comes from B (saltelli); or -1.
    steps : list of float
        Change of that factor in the unit cube (morris); 1 elsewhere.
    """

    names: tuple[str, ...]
    values: Points
    keys: list[str]
    labels: list[str]
    moved: list[int]
    steps: list[float]

    def __len__(self) -> int:
        return len(self.values)


def build(design: Design, factors: Sequence[Factor], seed: int) -> Scenarios:
    """Make the scenarios of a design.

    Parameters
    ----------
    design : Design
    factors : sequence of Factor
    seed : int
        Root seed of the study; sampled designs follow from it.

    Raises
    ------
    ConfigurationError
        Where design and factors do not fit together.
    """
    refuse_any(design_faults(design, factors))
    kind, names = design.kind, tuple(f.name for f in factors)
    if kind in SCREENS:
        # Each row has its key, place, values, the factor that moved, and by how much.
        rows = (_saltelli if kind == "saltelli" else _morris)(design, factors, seed)
        keys, labels, values, moved, steps = map(list, zip(*rows, strict=True))
        return Scenarios(names, values, keys, labels, moved, steps)
    values = POINTS[kind](design, factors, seed)
    labels = [str(i) for i in range(len(values))]
    # Rows of a sample have separate draws, also where few values make two rows alike.
    keys = [f"row:{i}" if kind in SAMPLED else "" for i in labels]
    return Scenarios(names, values, keys, labels, [-1] * len(values), [1.0] * len(values))


def design_faults(design: Design, factors: Sequence[Factor]) -> list[str]:
    """Say where a design and the factors do not fit together."""
    kind, names = design.kind, [f.name for f in factors]
    if kind == "single" or not names:
        how = f"{''.join(names[:1])} varies; say how (kind = {', '.join(KINDS[1:])})"
        faults = lines_where((names, how), (kind != "single", f"kind = {kind}: no parameter varies"))
    else:
        faults = FAULTS[kind](design, factors) if kind in FAULTS else []
        size = _size(design, factors)
        faults += lines_where((size > MOST_SCENARIOS, f"kind = {kind}: {size} scenarios; at most {MOST_SCENARIOS}"))
    return [f"[design]: {line}" for line in faults]


def _size(design: Design, factors: Sequence[Factor]) -> int:
    """Return how many scenarios there will be, without making them; 0 where that is what the user listed."""
    if design.kind == "grid":
        return math.prod(len(f.levels(design.levels or 5)) for f in factors)
    each = {"morris": len(factors) + 1, "saltelli": len(factors) + 2 + design.dummy}
    return (design.n or 0) * each.get(design.kind, 1)


def _morris_faults(design: Design, factors: Sequence[Factor]) -> list[str]:  # noqa: ARG001 (one of FAULTS)
    """Say which factors have no order to move along."""
    return [f"kind = morris: {f.name} has values without an order" for f in factors if not f.ordered]


def _table_faults(design: Design, factors: Sequence[Factor]) -> list[str]:
    """Say where a table and the factors do not fit together."""
    columns, by_name = design.columns, {f.name: f for f in factors}
    faults = [f"the table has no column '{n}'" for n in by_name if n not in columns]
    faults += [f"column '{c}' of the table is no parameter that varies" for c in columns if c not in by_name]
    faults += [f"column '{c}' stands twice" for c, times in Counter(columns).items() if times > 1]
    uneven = [(i, len(row)) for i, row in enumerate(design.rows, 1) if len(row) != len(columns)]
    faults += [f"row {i} of the table has {size} values for {len(columns)} columns" for i, size in uneven]
    return faults or _row_faults(design, by_name)


def _row_faults(design: Design, by_name: Mapping[str, Factor]) -> list[str]:
    """Say which rows of a table stand twice, or have values that their factors do not take."""
    faults: list[str] = []
    first: dict[Any, int] = {}
    outside = "is not among its values, or not in its range"
    for i, row in enumerate(design.rows, 1):
        same = first.setdefault(tuple(map(_key, row)), i)
        faults += lines_where((same != i, f"rows {same} and {i} of the table are the same"))
        wrong = [(c, value) for c, value in zip(design.columns, row, strict=True) if not by_name[c].takes(value)]
        faults += [f"row {i} of the table: {c} = {value!r} {outside}" for c, value in wrong]
    return faults


def _point(factors: Sequence[Factor], row: Float) -> tuple[Any, ...]:
    return tuple(f.at(float(u)) for f, u in zip(factors, row, strict=True))


def _cell(factor: Factor, value: Any) -> Any:
    """Value of a table in the kind of its factor."""
    if isinstance(value, float) and factor.whole and value.is_integer():
        return int(value)
    return value


def _single(*_: Any) -> Points:
    return [()]


def _grid(design: Design, factors: Sequence[Factor], _: int) -> Points:
    return list(itertools.product(*(f.levels(design.levels or 5) for f in factors)))


def _one_at_a_time(design: Design, factors: Sequence[Factor], _: int) -> Points:
    """Return all factors at the middle, and each in turn at its levels."""
    middle = tuple(f.at(0.5) for f in factors)
    rows = [(*middle[:i], v, *middle[i + 1 :]) for i, f in enumerate(factors) for v in f.levels(design.levels or 5)]
    return list(dict.fromkeys([middle, *rows]))


def _table(design: Design, factors: Sequence[Factor], _: int) -> Points:
    places = [(f, design.columns.index(f.name)) for f in factors]
    return [tuple(_cell(f, row[i]) for f, i in places) for row in design.rows]


def _sampled(cube: Callable[[int, int, int], Float], design: Design, factors: Sequence[Factor], seed: int) -> Points:
    """Return the values at the points of a sample of the unit cube."""
    return [_point(factors, row) for row in cube(design.n or 1, len(factors), seed)]


# --------------------------------------------------------------------------- samples of the unit cube


def _lhs(n: int, k: int, seed: int) -> Float:
    """Latin hypercube (n, k) that begins with the one of n/2, n/4, ... points.

    Doubling cuts every cell in two; each new point takes, on every axis, a cell that holds none yet.
    """
    size = n
    while size % 2 == 0:
        size //= 2
    rng = np.random.default_rng([seed, size])
    points = (rng.random((size, k)).argsort(axis=0, kind="stable") + rng.random((size, k))) / size
    while size < n:
        rng = np.random.default_rng([seed, 2 * size])
        order, place = rng.random((size, k)).argsort(axis=0, kind="stable"), rng.random((size, k))
        taken = np.minimum((points * 2 * size).astype(np.int64), 2 * size - 1)
        fresh = np.empty((size, k))
        for axis in range(k):
            free = np.setdiff1d(np.arange(2 * size), taken[:, axis])
            fresh[:, axis] = (free[order[:, axis]] + place[:, axis]) / (2 * size)
        points, size = np.concatenate([points, fresh]), 2 * size
    return points


def _sobol(n: int, k: int, seed: int) -> Float:
    """First n points of a scrambled Sobol sequence in k dimensions (Owen 1998; Joe and Kuo 2008)."""
    import warnings

    from scipy.stats import qmc

    most = qmc.Sobol.MAXDIM
    refuse(k > most, f"[design]: a Sobol sequence has at most {most} dimensions, not {k}")
    with warnings.catch_warnings():
        # Balance is lost between powers of two; `check` says so.
        warnings.simplefilter("ignore", UserWarning)
        return np.asarray(qmc.Sobol(k, scramble=True, rng=np.random.default_rng(seed)).random(n))


def _saltelli(design: Design, factors: Sequence[Factor], seed: int) -> Iterator[tuple[Any, ...]]:
    """Make rows A, B and A with one column of B (Saltelli et al. 2010), each with separate draws.

    Shared draws within a row block would stay in the variance and shrink every index.
    """
    k, n = len(factors), design.n or 1
    names = [f.name for f in factors] + [DUMMY] * design.dummy
    for j, row in enumerate(_sobol(n, 2 * k, seed)):
        a, b = _point(factors, row[:k]), _point(factors, row[k:])
        mixed = [
            (f"AB:{j}:{FORM_1.get(name, name)}", (*a[:i], *b[i : i + 1], *a[i + 1 :]), i)
            for i, name in enumerate(names)
        ]
        for key, values, i in [(f"A:{j}", a, -1), (f"B:{j}", b, -1), *mixed]:
            yield key, key, values, i, 1.0


def _morris(design: Design, factors: Sequence[Factor], seed: int) -> Iterator[tuple[Any, ...]]:
    """Make trajectories on a grid of levels, one factor moved in each step (Morris 1991).

    A trajectory shares its draws, so that an elementary effect is a paired difference.
    """
    k, levels = len(factors), design.levels or 4
    jump = levels // 2
    for t in range(design.n or 1):
        u = np.random.default_rng([seed, t]).random((k, 3))
        up = u[:, 1] < 0.5
        level = (u[:, 0] * jump).astype(int) + np.where(up, 0, jump)
        yield f"trajectory:{t}", f"{t}:0", _point(factors, level / (levels - 1)), -1, 1.0
        for number, i in enumerate(np.argsort(u[:, 2], kind="stable"), 1):
            step = jump if up[i] else -jump
            level[i] += step
            values = _point(factors, level / (levels - 1))
            yield f"trajectory:{t}", f"{t}:{number}", values, int(i), step / (levels - 1)


# Faults, and values of the scenarios, by kind of design.
FAULTS: dict[str, Callable[[Design, Sequence[Factor]], list[str]]] = {"morris": _morris_faults, "table": _table_faults}
POINTS: dict[str, Callable[[Design, Sequence[Factor], int], Points]] = {
    "single": _single,
    "grid": _grid,
    "one_at_a_time": _one_at_a_time,
    "table": _table,
    "lhs": partial(_sampled, _lhs),
    "sobol": partial(_sampled, _sobol),
}
