"""Changes of a store as a driver would have written it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

from mpbf_abm.provenance import content_hash
from mpbf_abm.studies.store import RUN, sealed, sealed_run

COLUMNS = {
    "runs": RUN[:-1],
    "studies": ("name", "definition", "model", "fingerprint", "folder", "origin", "form", "saved"),
}


def rewrite(path: Path, table: str, where: str = "1", **values: Any) -> None:
    """Set columns of some rows of a table, and seal the rows anew."""
    names = COLUMNS[table]
    with sqlite3.connect(path) as db:
        for number, *row in db.execute(f"SELECT number, {', '.join(names)} FROM {table} WHERE {where}").fetchall():  # noqa: S608
            new = tuple(values.get(name, value) for name, value in zip(names, row, strict=True))
            if table == "runs":
                of = db.execute("SELECT quantities, ticks FROM series WHERE run = ?", (number,)).fetchone() or (
                    None,
                    None,
                )
                new = sealed_run(new, *of)
            else:
                new = sealed(new)
            sets = ", ".join(f"{n} = ?" for n in names)
            db.execute(f"UPDATE {table} SET {sets}, seal = ? WHERE number = ?", (*new, number))  # noqa: S608
    db.close()


def made_elsewhere(path: Path, **parts: str) -> None:
    """Change what a store says of the machine that its runs were made on."""
    with sqlite3.connect(path) as db:
        for number, text in db.execute("SELECT number, content FROM environments").fetchall():
            content = json.loads(text) | parts
            values = (content_hash(content), json.dumps(content, sort_keys=True), number)
            db.execute("UPDATE environments SET hash = ?, content = ? WHERE number = ?", values)
    db.close()
