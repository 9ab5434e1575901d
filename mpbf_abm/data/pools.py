"""Pools: a table of settings and their objective, or several; numbers, and texts as factors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mpbf_abm.arrays import Bool, Float, Int
from mpbf_abm.data.spaces import Goal, OnError, fields_of, options_of, to_variance
from mpbf_abm.data.tables import Columns, Rule, Table, TableCheck, alone, listed, numbers
from mpbf_abm.errors import DataError

MOST_LEVELS = 0.5  # a text with more levels than this share of the rows names rows, and is no factor
# Names of running numbers.
COUNTED = r"(?:run|sample|exp(?:eriment)?|trial|entry|row|batch)"
COUNTERS = rf"#|{COUNTED}|(?:{COUNTED}[ _.-]?)?(?:id|index|idx|number|num|n[or]\.?)"
FEW_LEVELS = 20  # so many levels are a factor in the smallest table


class Factor(NamedTuple):
    """One factor of a pool.

    Attributes
    ----------
    name : str
    columns : float (rows, k)
        One column of numbers, or of places of ordered levels; one column for each level otherwise.
    texts : list of str (rows,)
        Setting of each row, for names.
    levels : tuple of str
        Levels of a text; empty for numbers.
    ordered : bool
        Whether levels have an order.
    """

    name: str
    columns: Float
    texts: list[str]
    levels: tuple[str, ...] = ()
    ordered: bool = False

    @property
    def described(self) -> dict[str, Any]:
        """The factor in plain values."""
        kind = "number" if not self.levels else "ordinal" if self.ordered else "one-hot"
        return {"name": self.name, "kind": kind} | ({"levels": list(self.levels)} if self.levels else {})

    def varies(self, keep: Int) -> bool:
        """Whether some rows differ in it."""
        return bool((self.columns[keep] != self.columns[keep[0]]).any())

    def scaled(self, keep: Int) -> Float:
        """Return columns of some rows in a box of unit length, of which two levels are as far apart as two ends."""
        part = self.columns[keep]
        if self.levels and not self.ordered:
            return np.asarray(part / np.sqrt(2), np.float64)
        low, high = part.min(), part.max()
        return np.asarray((part - low) / (high - low), np.float64)


def from_pool(
    table: Table,
    *,
    objective: Columns,
    goal: Goal | Sequence[Goal] = "max",
    descriptors: Sequence[str] | None = None,
    ordinal: Mapping[str, Sequence[str]] | None = None,
    ignore: Sequence[str] = (),
    on_error: OnError = "raise",
    unit: Columns | None = None,
    duplicates: Rule = "mean",
    top_share: float | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Read a space of one family from a pool of settings: the fields of a ``MaterialsSpace``.

    Columns of numbers are factors. A column of texts is a factor, too, with one column for each level (one-hot), such
    that two levels are as far apart as the ends of a column of numbers. Repeated settings become one; their pooled
    spread is kept as ``origin["replicate_sd"]``, in sd of the property.

    Parameters
    ----------
    table : path or DataFrame
        As in :func:`mpbf_abm.data.spaces.from_table`.
    objective : str or sequence of str
        Column of the objective, or columns of several (at most 64), with a number in every row.
    goal : {"max", "min"}, or a sequence of them
        Whether a large or a small value is sought. Like the unit, one for all objectives or one for each.
    descriptors : sequence of str, optional
        Columns of the settings. Without it, every other column, but those that count or name the rows; what is left
        out is in ``origin["left_out"]``, with the reason.
    ordinal : mapping of str to sequence of str, optional
        Columns of which the levels have an order, and the levels from low to high; they are equally far apart.
    ignore : sequence of str
        Columns to leave out, although rows that differ in them alone are merged.
    on_error : {"raise", "drop"}
        Whether faulty rows are refused or left out.
    unit : str or sequence of str, optional
        Unit of the objective; the name of its column if not given, or ''.
    duplicates : {"mean", "median", "first", "raise"}
        What becomes of rows of the same settings.
    top_share : float, optional
        Share of the settings in the top set; 0.05, or 0.01 above 1,000 settings, if not given.
    seed : int
        Seed of the direction of the misaligned objective (``proxy``).

    Raises
    ------
    DataError
        With one line per fault, all at once; also if a column that is left out, and is not in `ignore`, tells rows
        apart that would be merged.
    """
    objective, goal, unit = map(alone, (objective, goal, unit))
    options = options_of(locals())
    share = 0.05 if top_share is None else top_share
    check = TableCheck(table, goal=goal, on_error=on_error, duplicates=duplicates, top_share=share, seed=seed)
    sought = check.sought("objective", objective, goal, unit)
    orders = {name: [str(level).strip() for level in levels] for name, levels in (ordinal or {}).items()}
    ignored, given, targets = listed(ignore), None if descriptors is None else listed(descriptors), listed(objective)
    _check_names(check, targets, given, orders, ignored)
    chosen, left = _chosen(check, targets, given, orders, ignored)
    if not chosen:
        beside = ", ".join(f"'{name}'" for name in targets)
        check.faults.append(f"{check.label}: no column of settings beside {beside}")
    factors = [_factor(check, name, orders.get(name)) for name in chosen]
    keep = check.finish()

    used = [f for f in factors if f.varies(keep)]
    if not used:
        raise DataError(f"{check.label}: fewer than two distinct settings; a pool needs at least two")
    box = np.concatenate([f.scaled(keep) for f in used], axis=1)
    keys = [row.tobytes() for row in np.rint(box * 1e9).astype(np.int64)]
    _check_left_out(check, left, ignored, keys, keep)
    rows = check.merged(sought, keep, keys, lambda i: ", ".join(f.texts[keep[i]] for f in factors))
    n = len(rows.first)
    share = 0.01 if top_share is None and n > 1000 else share
    fields = fields_of(rows, to_variance(box[rows.first]), np.zeros(n, np.int64), ("pool",), share, seed)
    about = {
        "descriptors": [f.name for f in used],
        "constant": [f.name for f in factors if not f.varies(keep)],
        "factors": [f.described for f in used],
        "left_out": left,
    }
    origin = {**check.origin("pool", options), "materials": n, **about, **rows.notes}
    return fields | {"origin": origin}


def _check_names(
    check: TableCheck,
    targets: list[str],
    given: Sequence[str] | None,
    orders: Mapping[str, list[str]],
    ignored: list[str],
) -> None:
    """Note names that are no columns, or stand where they cannot."""
    for role, names in (("descriptors", given or ()), ("ordinal", orders), ("ignore", ignored)):
        for name in {*targets} & {*names}:
            check.faults.append(f"{role}: '{name}' is an objective and cannot describe the settings")
        if role != "descriptors":
            for name in names:
                check.column(name, role)
    for name in {*orders, *(given or ())} & {*ignored}:
        check.faults.append(f"ignore: '{name}' is also among the settings")
    for name, levels in orders.items():
        if len(set(levels)) < max(2, len(levels)) or "" in levels:
            check.faults.append(f"ordinal: '{name}' needs at least two levels, each once, from low to high")
        if given is not None and name not in given:
            check.faults.append(f"ordinal: '{name}' is not among the descriptors")


def _chosen(
    check: TableCheck,
    targets: list[str],
    given: Sequence[str] | None,
    orders: Mapping[str, list[str]],
    ignored: list[str],
) -> tuple[list[str], dict[str, str]]:
    """Return the columns that are settings, and those that are left out with the reason."""
    others = [str(name) for name in dict.fromkeys(check.source.frame.columns) if name not in targets]
    left = dict.fromkeys([name for name in others if name in ignored], "ignored")
    if given is not None:
        named = [name for name in dict.fromkeys(given) if name not in targets]
        return named, left | {n: "not among the descriptors" for n in others if n not in named and n not in left}
    reasons = {name: "" if name in orders else _no_setting(check, name) for name in others if name not in left}
    # Where there are no other columns, those that count or name the rows describe the settings.
    chosen = _with_reason(reasons, "") or _with_reason(reasons, COUNTS, NAMES)
    return chosen, {name: (left | reasons)[name] for name in others if name not in chosen}


def _with_reason(reasons: Mapping[str, str], *wanted: str) -> list[str]:
    return [name for name, reason in reasons.items() if reason in wanted]


EMPTY, NAMELESS = "is empty", "has no name"
COUNTS, NAMES = "counts the rows", "has another text in nearly every row"


def _no_setting(check: TableCheck, name: str) -> str:
    """Return why a column describes no settings, or nothing."""
    frame = check.source.frame
    if name.startswith("Unnamed:"):
        return NAMELESS
    if (frame.columns == name).sum() > 1:
        return ""  # refused when they are read
    if frame[name].isna().all():
        return EMPTY
    if check.is_numeric(name):
        return COUNTS if counts(check.parsed(name).values, name) else ""
    return NAMES if _names_rows(frame[name]) else ""


def _names_rows(column: pd.Series[Any]) -> bool:
    """Whether texts have so many levels that they name the rows."""
    levels = column.dropna().astype(str).str.strip().nunique()
    return levels > max(FEW_LEVELS, MOST_LEVELS * len(column)) or levels == len(column) > 2


def counts(values: Float, name: str) -> bool:
    """Whether numbers count the rows: each once from 0 or 1 on, or rising whole numbers under a name that says so."""
    if len(values) < 3 or not (values == np.rint(values)).all():
        return False
    named = re.fullmatch(COUNTERS, name.strip().casefold()) is not None
    in_steps = bool((np.diff(np.sort(values)) == 1).all()) and (named or values.min() in (0, 1))
    return in_steps or (named and bool((np.diff(values) > 0).all()))


def _factor(check: TableCheck, name: str, order: list[str] | None) -> Factor:
    """Return a column as a factor; what cannot be one is noted."""
    column = check.column(name, "descriptor")
    if column is None or (order is None and check.is_numeric(name)):
        values = np.zeros(len(check.bad)) if column is None else check.numbers(name, "descriptor")
        return Factor(name, values[:, None], [f"{v:g}" for v in values])
    texts = check.texts(name, "descriptor")
    levels = tuple(order or sorted({t for t in texts if t}))
    places = {level: place for place, level in enumerate(levels)}
    place = np.array([places.get(t, -1) for t in texts])
    unknown: Bool = (place < 0) & np.array([bool(t) for t in texts])
    fault = f"column '{name}': {{count}} with a level that is not in its order ({', '.join(levels)})"
    check.rows(unknown, fault, lambda i: f"'{texts[i]}'")
    columns = place[:, None] if order else place[:, None] == np.arange(len(levels))
    return Factor(name, columns.astype(np.float64), texts, levels, order is not None)


def _check_left_out(
    check: TableCheck, left: Mapping[str, str], ignored: list[str], keys: list[bytes], keep: Int
) -> None:
    """Refuse to merge rows that a column which is left out tells apart, unless it is measured or said to be ignored."""
    same = pd.factorize(np.array(keys, object))[0]
    if len(np.unique(same)) == len(same):
        return
    frame, faults = check.source.frame, []
    for name, reason in left.items():
        if name in ignored or reason in (EMPTY, NAMELESS):
            continue
        # Two left-out columns may have one name.
        columns = [c.reset_index(drop=True) for label, c in frame.iloc[keep].items() if label == name]
        settings = [column for column in columns if reason in (COUNTS, NAMES) or _sets(column)]
        apart = max((_told_apart(column, same) for column in settings), default=0)
        if apart:
            what = f"{apart} setting{'s' if apart > 1 else ''} would merge rows that differ in it"
            faults.append(
                f"{check.label}: column '{name}' is left out ({reason}), and {what}; ignore='{name}' allows it"
            )
    if faults:
        raise DataError(faults)


def _sets(column: pd.Series[Any]) -> bool:
    """Whether a column can be a setting: texts, or numbers that come again; others are measured."""
    return bool(np.isfinite(numbers(column).values).mean() < 0.5 or column.nunique() <= len(column) / 2)


def _told_apart(column: pd.Series[Any], same: Int) -> int:
    """Count sets of rows in which a column has more than one value."""
    return int((column.astype(str).groupby(same).nunique() > 1).sum())
