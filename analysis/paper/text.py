"""The paper's words: numbers pulled from stored results, a summary that holds them, methods, captions and tables."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from analysis.paper.captions import FEEDS, FIGURES
from analysis.paper.studies import STUDIES
from mpbf_abm.config import Section
from mpbf_abm.errors import ConfigurationError, OutputError, did_you_mean
from mpbf_abm.figures.kind import scenario
from mpbf_abm.stats.estimates import Estimate, mean_estimate, share_estimate
from mpbf_abm.studies.analyses import compare
from mpbf_abm.studies.report import methods

if TYPE_CHECKING:
    from mpbf_abm.studies.results import Results

Read = Callable[[str], "Results"]
PLACE = re.compile(r"\{\{\s*([\w-]+)\s*\}\}")


class Number(Section):
    """A number of the text, and where it comes from: an outcome of a study, or a row of a figure's panel.

    Attributes
    ----------
    name : str
        How the text calls it.
    study, outcome, arm : str
    where : dict
        Values of the scenario's parameters (outcome), or of columns (panel).
    kind : str
        mean, share (of runs with an event, of one scenario), or difference to the baseline of the same histories. Over
        several scenarios each counts once.
    figure, panel, column : str
        Instead of an outcome: the only row of a panel that fits `where`.
    digits : int
        Significant digits.
    """

    name: str
    study: str = ""
    outcome: str = ""
    arm: str = "baseline"
    where: dict[str, Any] = Field(default_factory=dict)
    kind: Literal["mean", "share", "difference"] = "mean"
    figure: str = ""
    panel: str = ""
    column: str = ""
    digits: int = Field(3, ge=1, le=8)

    @classmethod
    def place(cls, fields: Any) -> str:
        """How messages call it."""
        return f"number '{fields.get('name', '')}'"

    def _conflicts(self) -> list[str]:
        at = f"number '{self.name}'"
        if bool(self.study) == bool(self.figure):
            return [f"{at}: needs a study and an outcome, or a figure, a panel and a column"]
        if self.study and self.study not in STUDIES:
            return [f"{at}: study = '{self.study}': unknown{did_you_mean(self.study, STUDIES)}"]
        if self.figure and self.figure not in FIGURES:
            return [f"{at}: figure = '{self.figure}': unknown{did_you_mean(self.figure, FIGURES)}"]
        return []


def read_numbers(path: Path) -> list[Number]:
    """Numbers of a file of ``[[number]]`` tables."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OutputError(f"{path}: cannot be read ({error.strerror})") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError([f"{path}: {error}"]) from None
    if unknown := sorted(table.keys() - {"number"}):
        raise ConfigurationError([f"{path}: unknown table '{unknown[0]}' (known: number)"])
    found, faults = [], []
    for entry in table.get("number", []):
        try:
            found.append(Number(**entry))
        except ConfigurationError as error:
            faults += [f"{path}: {fault}" for fault in error.faults]
    known = [n.name for n in found]
    faults += [f"{path}: number '{n}' is there twice" for n in sorted({n for n in known if known.count(n) > 1})]
    if faults:
        raise ConfigurationError(faults)
    return found


def value(number: Number, read: Read) -> tuple[Estimate, int]:
    """A number with its 95 % interval, and the replicates it stands on."""
    if number.figure:
        figure = FIGURES[number.figure]
        results = read(FEEDS[number.figure])
        row = _row(number, figure.prepare(results))
        low, high = (float(row.get(f"{number.column}_{end}", row.get(end, np.nan))) for end in ("low", "high"))
        return Estimate(float(row[number.column]), np.nan, low, high), int(
            row.get("n", row.get("rows", results.replicates))
        )
    results = read(number.study)
    if number.where and (unknown := [k for k in number.where if k not in results.scenarios]):
        raise ConfigurationError([f"number '{number.name}': study '{number.study}' does not vary '{unknown[0]}'"])
    values = results.values(number.outcome)
    rows = [scenario(results, number.where)] if number.where else range(values.shape[0])
    arm = results.arm_index(number.arm)
    x = values[list(rows), arm]
    if number.kind == "difference":
        x = x - values[list(rows), 0]
    # Replicates of one scenario share its parameters: over several scenarios, these are the cases.
    x = x[0] if len(x) == 1 else np.nanmean(x, axis=1)
    known = x[np.isfinite(x)]
    return (share_estimate if number.kind == "share" else mean_estimate)(known), len(known)


def _row(number: Number, frames: dict[str, pd.DataFrame]) -> pd.Series[Any]:
    if number.panel not in frames:
        what = f"figure '{number.figure}' has no panel '{number.panel}' (panels: {', '.join(frames)})"
        raise ConfigurationError([f"number '{number.name}': {what}"])
    frame = frames[number.panel]
    if unknown := [c for c in (number.column, *number.where) if c not in frame]:
        columns = ", ".join(map(str, frame.columns))
        what = f"panel '{number.panel}' has no column '{unknown[0]}' (columns: {columns})"
        raise ConfigurationError([f"number '{number.name}': {what}"])
    for column, wanted in number.where.items():
        frame = frame[np.isclose(frame[column], wanted) if isinstance(wanted, float) else frame[column] == wanted]
    if frame.empty:
        raise ConfigurationError([f"number '{number.name}': panel '{number.panel}' has no such row"])
    return frame.iloc[0]


def numbers(wanted: Sequence[Number], read: Read) -> pd.DataFrame:
    """Every number: name, value, interval, replicates, source, and how the text prints it."""
    rows = []
    for number in wanted:
        e, n = value(number, read)
        source = (
            f"{number.figure}.{number.panel}.{number.column}"
            if number.figure
            else f"{number.study}.{number.outcome}, {number.arm}"
        )
        rows.append((number.name, e.value, e.low, e.high, n, number.kind, source, printed(number, e, n)))
    return pd.DataFrame(rows, columns=["name", "value", "low", "high", "n", "kind", "source", "text"])


def printed(number: Number, e: Estimate, n: int) -> str:
    """A number as the text prints it."""
    sign = "+" if number.kind == "difference" else ""

    def digits(x: float) -> str:
        return f"{x:{sign}.{number.digits}g}"

    interval = (
        f" (95 % interval {digits(e.low)} to {digits(e.high)}, n = {n})"
        if np.isfinite([e.low, e.high]).all()
        else f" (n = {n})"
    )
    return digits(e.value) + interval


def filled(template: str, table: pd.DataFrame, where: str) -> str:
    """A text with its ``{{ name }}`` places filled; every place needs a number, and every number a place."""
    known = dict(zip(table["name"], table["text"], strict=True))
    places = PLACE.findall(template)
    faults = [
        f"{where}: no number '{name}'{did_you_mean(name, known)}" for name in dict.fromkeys(places) if name not in known
    ]
    faults += [f"{where}: number '{name}' has no place" for name in known if name not in places]
    if faults:
        raise ConfigurationError(faults)
    return PLACE.sub(lambda m: known[m.group(1)], template)


def captions() -> str:
    """Captions and alternative texts of all figures."""
    return "# Captions\n\n" + "\n".join(
        f"**Figure {i}. {f.title}.** {f.caption}\n\n*Alternative text:* {f.alt}\n"
        for i, f in enumerate(FIGURES.values(), 1)
    )


def methods_section(read: Read) -> str:
    """How every study was made, a paragraph each."""
    return "# Methods\n\n" + "\n\n".join(methods(read(name)) for name in STUDIES) + "\n"


def effects(read: Read) -> pd.DataFrame:
    """Effects of all policies on the declared outcomes, with simultaneous intervals."""
    table = compare(read("policies")).table
    return table[["outcome", "arm", "baseline", "treated", "difference", "low", "high", "verdict", "units"]]


def latex(frame: pd.DataFrame, caption: str, label: str) -> str:
    """A table in LaTeX, rules of booktabs."""
    head = " & ".join(_escaped(c) for c in frame.columns)
    body = "\n".join(
        " & ".join(_escaped(f"{v:.3g}" if isinstance(v, float) else v) for v in row) + r" \\"
        for row in frame.itertuples(index=False)
    )
    align = "".join("r" if frame[c].dtype.kind in "fi" else "l" for c in frame)
    return (
        "\\begin{table}\n\\centering\n"
        + f"\\caption{{{_escaped(caption)}}}\n\\label{{{label}}}\n"
        + f"\\begin{{tabular}}{{{align}}}\n\\toprule\n{head} \\\\\n\\midrule\n"
        + body
        + "\n\\bottomrule\n\\end{tabular}\n\\end{table}\n"
    )


def _escaped(value: Any) -> str:
    return re.sub(r"([&%$#_{}])", r"\\\1", str(value)).replace("~", r"\textasciitilde{}")
