"""What a notebook or terminal shows of an object at a glance: a line, and a small table; and its picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mpbf_abm.errors import visible
from mpbf_abm.outputs import cell, table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ROWS = 14
MOST_SIGNS = 160  # of a line or a cell


@dataclass(frozen=True)
class Glance:
    """What is shown of an object.

    Attributes
    ----------
    said : str
        A line.
    head : sequence of str
        Heads of the columns of a table.
    rows : iterable of sequences
        Its rows; numbers are shown with three digits, and what is beyond fourteen rows is counted.
    notes : sequence of str
        Lines below it.
    right : sequence of int
        Columns that are aligned to the right.
    """

    said: str
    head: Sequence[str] = ()
    rows: Iterable[Sequence[Any]] = ()
    notes: Sequence[str] = ()
    right: Sequence[int] = ()

    def parts(self) -> tuple[list[str], list[list[str]], list[str]]:
        """Return lines above the table, its rows, and lines below; all as text that cannot act on a terminal."""
        rows = [[_short(cell(value)) for value in row] for row in self.rows]
        more = len(rows) - MOST_ROWS
        below = [f"and {more} more"] if more > 0 else []
        return [_short(self.said)], rows[:MOST_ROWS], [*below, *map(_short, self.notes)]

    def text(self) -> str:
        """Return it as lines."""
        above, rows, below = self.parts()
        return "\n".join([*above, *([table(self.head, rows, self.right)] if rows else []), *below])

    def html(self) -> str:
        """Return it as HTML, in which nothing of a user's can act."""
        import pandas as pd

        above, rows, below = self.parts()
        shown = [f"<p>{escape(line)}</p>" for line in above]
        if rows:
            with pd.option_context("display.max_colwidth", None, "display.max_rows", None):
                shown.append(pd.DataFrame(rows, columns=list(self.head)).to_html(index=False, border=0))
        return "\n".join([*shown, *(f"<p>{escape(line)}</p>" for line in below)])


def _short(text: str) -> str:
    """Return a text without control signs, cut where it is long."""
    line = visible(" ".join(text.splitlines()))
    return line if len(line) <= MOST_SIGNS else f"{line[: MOST_SIGNS - 3]}..."


class Shown:
    """An object that is shown by its glance."""

    def glance(self) -> Glance:
        """Return what is shown."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return self.glance().text()

    def __str__(self) -> str:
        return self.glance().text()

    def _repr_html_(self) -> str:
        return self.glance().html()


def picture(drawer: str, thing: Any) -> Figure:
    """Draw an object by a function of :mod:`mpbf_abm.figures`, in the project's style.

    Figures stand above what they show, so that the function is found by its name when a picture is wanted. No drawing
    backend is asked for, and a user's own settings stay as they are.

    Parameters
    ----------
    drawer : str
        Module and function.
    thing : object
    """
    module, name = drawer.split(":")
    with import_module("mpbf_abm.figures.style").styled():
        figure: Figure = getattr(import_module(f"mpbf_abm.figures.{module}"), name)(thing)
    return figure
