"""Columns of a table as checked texts and numbers; every fault is kept, so that a user sees all at once."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpbf_abm.errors import ConfigurationError, DataError, did_you_mean
from mpbf_abm.space import merging
from mpbf_abm.space.numerals import Mark, numbers
from mpbf_abm.space.reading import SHOWN, Source, read
from mpbf_abm.space.units import convert
from mpbf_abm.streams import check_seed

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Bool = NDArray[np.bool_]

LONGEST = 160  # signs of a cell that are shown
LARGEST = 1e100  # larger numbers overflow when squared
YEARS = (1, 9999)
CHOICES = {"goal": ("max", "min"), "on_error": ("raise", "drop"), "duplicates": merging.RULES}


class Check:
    """Reads a table, hands out its columns, and collects what is wrong.

    Parameters
    ----------
    table : path or DataFrame
    goal, on_error, duplicates, top_share, seed
        Options of a space made of data, checked here.
    """

    def __init__(
        self,
        table: str | Path | pd.DataFrame,
        *,
        goal: str,
        on_error: str,
        duplicates: str,
        top_share: object,
        seed: object,
    ) -> None:
        self.faults: list[str] = []
        self.row_faults: list[str] = []
        self.marks: dict[str, Mark] = {}
        for name, given in (("goal", goal), ("on_error", on_error), ("duplicates", duplicates)):
            self.choice(name, given, CHOICES[name])
        if not isinstance(top_share, (int, float)) or not 0 < top_share <= 1:
            self.faults.append(f"top_share = {top_share!r}: must be above 0 and at most 1")
        try:
            check_seed(seed)
        except ConfigurationError as error:
            self.faults += error.faults
        try:
            self.source: Source = read(table)
        except DataError as error:
            raise DataError(self.faults + error.faults) from error
        self.on_error = on_error
        self.label = self.source.label
        self.bad = np.zeros(len(self.source.frame), bool)

    def choice(self, name: str, given: object, allowed: Collection[str]) -> None:
        """Note an option that is not one of those allowed."""
        if given not in allowed:
            words = [f"'{word}'" for word in allowed]
            self.faults.append(f"{name} = {given!r}: must be {', '.join(words[:-1])} or {words[-1]}")

    def whole(self, name: str, value: object) -> None:
        """Note an option that is not a whole number of at least one."""
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            self.faults.append(f"{name} = {value!r}: must be a whole number of at least 1")

    def _column(self, name: str, role: str) -> pd.Series[Any] | None:
        frame = self.source.frame
        if name in frame.columns:
            column: Any = frame[name]
            if isinstance(column, pd.Series):
                return column
            self.faults.append(f"{self.label}: two columns are named '{name}' ({role})")
        elif name in self.source.index:
            self.faults.append(f"{self.label}: '{name}' ({role}) is an index; reset_index() makes it a column")
        else:
            columns = list(frame.columns)
            near = _near(str(name), columns)
            has = "" if near else f"; columns: {', '.join(columns[:12])}{', ...' if len(columns) > 12 else ''}"
            self.faults.append(f"{self.label}: no column '{name}' ({role}){near}{has}")
        return None

    def texts(self, name: str, role: str) -> list[str]:
        """Return a column as text, '' where nothing is given (noted as a fault)."""
        column = self._column(name, role)
        if column is None:
            return [""] * len(self.bad)
        texts = ["" if gone else str(v).strip() for v, gone in zip(column, column.isna(), strict=True)]
        self.rows(np.array([not t for t in texts], bool), f"column '{name}': {{count}} without a {role}")
        return texts

    def numbers(self, name: str, role: str) -> Float:
        """Return a column as finite numbers; others are noted as faults and come back as NaN."""
        column = self._column(name, role)
        if column is None:
            return np.full(len(self.bad), np.nan)
        values, mark, unclear = numbers(column)
        if unclear:
            self.faults.append(
                f"{self.label}: column '{name}': '{unclear}' may be a decimal comma or one that parts thousands; write points"
            )
            return values
        if mark and self.source.text:
            self.marks[name] = mark
        values[~(np.abs(values) <= LARGEST)] = np.nan
        if role == "year":
            values[(values != np.rint(values)) | (values < YEARS[0]) | (values > YEARS[1])] = np.nan
        given = column.notna()
        kind = f"whole number from {YEARS[0]} to {YEARS[1]}" if role == "year" else "finite number"
        self.rows(
            np.isnan(values),
            f"column '{name}': {{count}} without a {kind}",
            lambda i: f"'{column.iloc[i]}'" if given.iloc[i] else "empty",
        )
        return values

    def numeric_columns(self, objective: str) -> list[str]:
        """Columns that can describe a pool: mostly numbers, and not a nameless row number."""
        frame = self.source.frame
        others = [(c, k) for k, c in enumerate(frame.columns) if c != objective and not c.startswith("Unnamed:")]
        mostly = [c for c, k in others if np.isfinite(numbers(frame.iloc[:, k]).values).mean() >= 0.5]
        return list(dict.fromkeys(mostly))

    def converted(self, values: Float, unit: str, to: str | None) -> Float:
        """Express a simulated column in the unit of the measured one."""
        if to is None:
            self.faults.append("simulated_unit needs unit, that of the measured column")
            return values
        try:
            return convert(values, unit, to)
        except DataError as error:
            self.faults += [f"simulated_unit: {fault}" for fault in error.faults]
            return values

    def rows(self, bad: Bool, text: str, detail: Callable[[int], str] | None = None) -> None:
        """Note rows with the same fault in one line; `text` has a place for their count."""
        at = np.flatnonzero(bad)
        if len(at) == 0:
            return
        self.bad |= bad
        first = "" if detail is None else f"; first: {textwrap.shorten(detail(int(at[0])), LONGEST)}"
        count = f"{len(at)} row{'s' if len(at) > 1 else ''}"
        self.row_faults.append(_line(f"{self.label}: {text.replace('{count}', count)} ({self.where(at)}{first})"))

    def where(self, at: Int) -> str:
        """Name rows as their user sees them."""
        shown = ", ".join(str(self.source.numbers[i]) for i in at[:SHOWN]) + (", ..." if len(at) > SHOWN else "")
        return f"{self.source.word}{'s' if len(at) > 1 and self.source.word != 'index' else ''} {shown}"

    def finish(self) -> Int:
        """Raise what was found, or return the rows to keep."""
        commas = [name for name, mark in self.marks.items() if mark == ","]
        points = [name for name, mark in self.marks.items() if mark == "."]
        if commas and points:
            self.faults.append(
                f"{self.label}: column '{commas[0]}' has decimal commas, column '{points[0]}' decimal points; use one of them"
            )
        if self.on_error != "drop":
            self.faults += [f"{line}; on_error='drop' leaves them out" for line in self.row_faults]
        elif self.bad.all() and not self.faults:
            self.faults = [f"{self.label}: no usable row is left", *self.row_faults]
        if self.faults:
            raise DataError(map(_line, self.faults))
        self.source.notes.extend(f"column '{name}' has decimal commas" for name in commas)
        return np.flatnonzero(~self.bad)

    def once(self, same: Int, keep: Int, name: Callable[[int], str], rule: str) -> None:
        """Refuse materials or settings that stand in several rows, if that is the rule."""
        again = merging.repeats(same)
        if rule == "raise" and len(again):
            several = int((np.bincount(same) > 1).sum())
            raise DataError(
                f"{self.label}: {several} materials or settings stand in more than one row (first: '{name(int(again[0]))}', "
                f"{self.where(keep[again])}); duplicates='mean' averages them"
            )

    def scale(self, name: str, values: Float) -> tuple[float, float]:
        """Mean and standard deviation of the property; refuse values that do not vary."""
        if len(values) < 2:
            raise DataError(f"{self.label}: one distinct material or setting is left; a space needs at least two")
        mean, sd = float(values.mean()), float(values.std())
        if not sd > 1e-12 * float(np.abs(values).max()):
            raise DataError(f"{self.label}: column '{name}' is the same for all {len(values)} materials or settings")
        return mean, sd

    def origin(self, kind: str, options: dict[str, Any]) -> dict[str, Any]:
        """Record the source, its digest, the options and what was dropped."""
        dropped = [self.source.numbers[i] for i in np.flatnonzero(self.bad)]
        return {
            "kind": kind,
            "source": self.label,
            "sha256": self.source.digest,
            "notes": list(self.source.notes),
            "options": options,
            "rows": len(self.bad),
            "dropped": {"count": len(dropped), self.source.word: dropped, "reasons": list(self.row_faults)},
        }


def _line(text: str) -> str:
    """One line of a text in which cells or names may have several."""
    return " ".join(text.split())


def _near(name: str, columns: list[str]) -> str:
    """Suggest a column: the same but for case, spaces and signs, or one that begins so, or one spelt alike."""

    def plain(text: str) -> str:
        return "".join(c for c in text.casefold() if c.isalnum())

    alike = [c for c in columns if plain(c) == plain(name)]
    alike = alike or [c for c in columns if plain(name) and plain(c).startswith(plain(name))]
    return f"; did you mean '{alike[0]}'?" if alike else did_you_mean(name, columns)
