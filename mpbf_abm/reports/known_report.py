"""Known results: which rows there are, and which pass."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mpbf_abm.evidence.known import suite
from mpbf_abm.evidence.known.rows import ROWS
from mpbf_abm.figures import twin, verification
from mpbf_abm.outputs import table, write_pages

Mutated = tuple[str, str, set[str], set[str]]  # name, function, rows that must fail, rows that failed


def summary(outcomes: Sequence[Any]) -> str:
    """Return how many rows pass, which fail, and which were not run."""
    failed = [o.id for o in outcomes if not o.passed]
    skipped = [o.id for o in outcomes if o.skipped]
    ran = len(outcomes) - len(skipped)
    lists = (("failed", failed), ("not run", skipped))
    return f"{ran - len(failed)} of {ran} rows pass" + "".join(
        f"; {word}: {', '.join(ids)}" for word, ids in lists if ids
    )


def as_text(outcomes: Sequence[Any]) -> str:
    """Return every check as a row, and how many rows pass."""
    return table(suite.HEAD, suite.cells(outcomes), right=(2, 3, 4, 5)) + f"\n\n{summary(outcomes)}"


def rows_listed(rows: Sequence[str]) -> str:
    """Return rows with their parameters as text."""
    lines = []
    for id in rows:
        lines.append([id, "", "", "", f"{ROWS[id].title} ({ROWS[id].source})"])
        lines += [["", k, str(v.default), v.range(), v.help] for k, v in ROWS[id].parameters.items()]
    return table(["row", "parameter", "default", "allowed", "what it is"], lines)


def write(outcomes: Sequence[Any], out: Path, command: str, seed: int, *, fast: bool, figure: bool) -> None:
    """Write the page of the suite and its figures: expected vs measured, and the twin where its row ran."""
    paths: list[Path] = []
    if figure:
        images = out / "images"
        images.mkdir()
        paths.append(verification.save(outcomes, images / "verification.png"))
        if any(o.id == "K4" for o in outcomes):
            few: dict[str, Any] = {"replicates": 8, "sizes": (50, 100, 200), "passages": 30} if fast else {}
            paths += twin.save(twin.prepare(seed, **few), images, suffixes=(".png",))
    shown = {path.stem: path.relative_to(out).as_posix() for path in paths}
    write_pages(out, {"verification.md": suite.markdown(outcomes, command, shown)})


def mutations_mapping(results: Sequence[Mutated]) -> dict[str, Any]:
    """Return which rows detected each fault, for machines."""
    rows = [
        {"name": n, "function": t, "must_fail": sorted(m), "failed": sorted(d), "caught": m == d}
        for n, t, m, d in results
    ]
    return {"passed": all(row["caught"] for row in rows), "mutations": rows}


def mutations_text(results: Sequence[Mutated]) -> str:
    """Return which rows detected each fault, as a table."""
    lines = [
        [n, t, " ".join(sorted(m)), "as expected" if m == d else f"BUT FAILED: {' '.join(sorted(d)) or 'none'}"]
        for n, t, m, d in results
    ]
    return table(["mutation", "function", "rows that must fail", "verdict"], lines)
