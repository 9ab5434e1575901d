"""``mpbf data``: tables of real materials."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from mpbf_abm.cli.binding import argument
from mpbf_abm.cli.console import complain, tell
from mpbf_abm.cli.options import OF_TABLE, DataOptions, Json, flag
from mpbf_abm.errors import ConfigurationError, refuse_any


@dataclass(frozen=True)
class TableReading(DataOptions):
    """How a file is read that is a pool where it has an objective, and a table otherwise."""

    def check(self) -> None:
        """Raise options that are missing, or belong to the other kind of file."""
        columns = self.columns()
        missing = [f"a table needs --{n}, a pool --objective" for n in ("formula", "measured") if n not in columns]
        others = [f"{flag(n)} belongs to a table, --objective to a pool" for n in OF_TABLE if n in columns]
        refuse_any(missing if self.objective is None else others)


def check(
    file: Annotated[Path, argument("FILE", "Table of formulas, or pool of numeric settings.")],
    reading: TableReading,
    as_json: Json = False,
) -> None:
    """Read a table (--formula, --measured) or a pool (--objective); report its contents and what became of its rows.

    Faulty rows are listed, one line per kind, and end with exit code 2 unless --drop leaves them out.
    """
    from mpbf_abm.model.materials import report
    from mpbf_abm.reports.data_report import text

    columns = {"table" if reading.objective is None else "pool": file, **reading.columns()}
    try:
        space = reading.read(drop=True, **columns)
    except ConfigurationError:
        # Faulty rows are listed with what else is wrong.
        space = reading.read(drop=reading.drop, **columns)
    found = report(space)
    tell(as_json, found, text(found))
    dropped = found["dropped"]
    if dropped["count"] and not reading.drop:
        raise ConfigurationError([f"{line}; --drop leaves them out" for line in dropped["reasons"]])
    complain(dropped["reasons"])
