"""Numbers as people write them: decimal commas, separators of thousands, typographic signs."""

from __future__ import annotations

import re
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Float = NDArray[np.float64]
Mark = Literal[".", ","]

SPACES = "\u00a0\u2009\u202f"  # no-break, thin and narrow no-break space
EXPONENT = r"(?:[eE][+-]?\d+)?"


def _pattern(point: str, group: str) -> re.Pattern[str]:
    return re.compile(
        rf"[+-]?(?:[1-9]\d{{0,2}}(?:[{group}]\d{{3}})+(?:{point}\d*)?|\d+(?:{point}\d*)?|{point}\d+){EXPONENT}"
    )


POINT, COMMA = _pattern(r"\.", f",{SPACES}"), _pattern(",", rf"\.{SPACES}")
AS_ASCII = str.maketrans("\u2212", "-")
WITHOUT_SPACES = str.maketrans("", "", SPACES)


class Numbers(NamedTuple):
    """A column as numbers.

    Attributes
    ----------
    values : float (n,)
        NaN where a cell is no number.
    mark : {".", ","} or None
        The decimal mark; None where no number has one.
    unclear : str
        A cell that can be read in two ways, where that leaves the column without a reading; '' otherwise.
    """

    values: Float
    mark: Mark | None
    unclear: str = ""


def numbers(column: pd.Series[Any]) -> Numbers:
    """Read a column of numbers, or of texts that are numbers.

    Truth values, dates and complex numbers are no numbers. A column with decimal commas is read where all its cells
    agree with them. Commas or points that part thousands are taken as such where some number shows both marks, or one
    of them twice; ``1,234`` alone is unclear.
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    kind = column.dtype.kind
    if kind in "bmMc":
        return Numbers(np.full(len(column), np.nan), None)
    if kind in "iuf":
        values = column.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
        return Numbers(values, "." if np.any(np.isfinite(values) & (values != np.rint(values))) else None)
    cells = [v if isinstance(v, str) else None for v in column.tolist()]
    plain = column.map(lambda v: np.nan if isinstance(v, (bool, np.bool_, complex)) else v)
    values = pd.to_numeric(plain, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
    odd = [i for i in np.flatnonzero(np.isnan(values)) if cells[i] is not None]
    texts = {i: str(cells[i]).strip().translate(AS_ASCII) for i in odd}
    found = {i: t for i, t in texts.items() if POINT.fullmatch(t) or COMMA.fullmatch(t)}
    others = [c.strip() for c, v in zip(cells, values, strict=True) if c is not None and np.isfinite(v)]
    if not found:
        return Numbers(values, "." if any("." in c for c in others) else None)
    mark = _mark([*found.values(), *others])
    if mark is None:
        # Some cells speak against commas: those that need them are no numbers.
        return Numbers(values, ".")
    if mark == "unclear":
        return Numbers(values, None, next(iter(found.values())))
    for i, text in found.items():
        values[i] = _value(text, mark)
    if mark == ",":
        # Thousands with points were read as fractions.
        dotted = [i for i, c in enumerate(cells) if c is not None and i not in found and "." in c]
        values[dotted] = [_value(str(cells[i]).strip(), mark) for i in dotted]
    return Numbers(values, mark)


def _mark(cells: list[str]) -> Mark | Literal["unclear"] | None:
    """Return the decimal mark with which all cells are numbers; None if there is none."""
    comma = [c for c in cells if "," in c]
    dotted = [c for c in cells if "." in c]
    point, decimal = all(map(POINT.fullmatch, cells)), all(map(COMMA.fullmatch, cells))
    if not comma:
        return "." if point else None
    if not dotted and point and decimal:
        return "unclear"
    if point and (any("." in c for c in comma) or any(c.count(",") > 1 for c in comma)):
        return "."
    if decimal and (not dotted or any("." in c for c in comma) or any(c.count(".") > 1 for c in dotted)):
        return ","
    return None


def _value(text: str, mark: Mark) -> float:
    text = text.translate(WITHOUT_SPACES)
    return float(text.replace(",", "") if mark == "." else text.replace(".", "").replace(",", "."))
