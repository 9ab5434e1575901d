"""``mpbf verify``: known results."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from mpbf_abm.cli.app import app
from mpbf_abm.cli.console import MISMATCH, OK, Json, processes, table, tell_written, whole
from mpbf_abm.cli.progress import Bar
from mpbf_abm.errors import ConfigurationError


@app.command()
def verify(
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="ROW", help="Row (U3), several (U3,M7) or a group (U); may be repeated.")
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change a row's parameter, for one row as ROW.NAME=VALUE; the expected value follows."),
    ] = None,
    seed: Annotated[str, typer.Option(metavar="N", help="Root seed.")] = "1",
    fast: Annotated[bool, typer.Option("--fast", help="Fewer runs and larger standard errors: a minute or two.")] = False,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of real data, for the rows that need it.")] = None,
    jobs: Annotated[str | None, typer.Option(metavar="N", help="Processes. [default: one for each core]")] = None,
    as_json: Json = False,
    figure: Annotated[bool, typer.Option("--figure", help="Draw expected against measured (and the twin beside the model) into --out, too.")] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write verification.md here, and the figure into images/; what is over is kept in runs/.")
    ] = None,
    mutations: Annotated[bool, typer.Option("--mutations", help="Try the wrong rules that the suite must notice, instead.")] = False,
    knobs: Annotated[bool, typer.Option("--list", help="List rows and their parameters, instead.")] = False,
) -> int:  # fmt: skip
    """Check the model against known results: exact or published values, each with its standard error.

    Exit code 3 if a row fails.
    """
    from mpbf_abm.evidence.known import suite
    from mpbf_abm.model.settings import numbers_faults

    faults: list[str] = []
    root, count = whole(seed, "seed", faults), processes(jobs, faults)
    if root is not None:
        faults += [f"--{fault}" for fault in numbers_faults({"seed": root})]
    if data is not None and not data.is_dir():
        faults.append(f"--data {data}: no such folder")
    if figure and out is None:
        faults.append("--figure needs a folder: --out DIR")
    changes: dict[str, dict[str, Any]] = {}
    rows: list[str] = []
    try:
        rows = suite.select(only or [])
        changes = suite.assign(rows, assignments or [])
    except ConfigurationError as error:
        faults += error.faults
    if faults:
        raise ConfigurationError(faults)
    count = count or os.cpu_count() or 1
    if knobs:
        print(_rows_listed(rows))
        return OK
    if mutations:
        return _try_mutations(root or 0, count, out, as_json)
    from mpbf_abm.outputs import OutputFolder

    folder = None if out is None else OutputFolder(out, "verify")
    command = " ".join(["mpbf verify", *_repeated("--only", only), *_repeated("--set", assignments),
                        *([f"--seed {seed}"] if seed != "1" else []), *(["--fast"] if fast else []), *(["--data DIR"] if data else [])])  # fmt: skip
    with folder or nullcontext() as work:
        with Bar(as_json, "row") as watch:
            outcomes = suite.run_suite(
                rows, root or 0, changes, fast=fast, data=data, out=out, jobs=count, progress=watch
            )
        if work is not None:
            drawn = _draw_verification(outcomes, work / "images", root or 0, fast) if figure else []
            _write_verification(outcomes, work, drawn, command + (" --figure" if figure else ""))
    tell_written(folder, to=sys.stderr)
    if as_json:
        from mpbf_abm.studies.whatif import plain

        print(json.dumps(plain(suite.as_json(outcomes, root or 0)), indent=2, allow_nan=False))
    else:
        print(table(suite.HEAD, suite.cells(outcomes), right=(2, 3, 4, 5)))
        failed = [o.id for o in outcomes if not o.passed]
        ran = sum(not o.skipped for o in outcomes)
        left_out = [o.id for o in outcomes if o.skipped]
        print(
            f"\n{ran - len(failed)} of {ran} rows pass"
            + (f"; failed: {', '.join(failed)}" if failed else "")
            + (f"; not run: {', '.join(left_out)}" if left_out else "")
        )
    return OK if all(o.passed for o in outcomes) else MISMATCH


def _repeated(option: str, values: Sequence[str] | None) -> list[str]:
    return [f"{option} {value}" for value in values or []]


def _rows_listed(rows: Sequence[str]) -> str:
    from mpbf_abm.evidence.known.rows import ROWS

    lines = []
    for id in rows:
        lines.append([id, "", "", "", f"{ROWS[id].title} ({ROWS[id].source})"])
        lines += [["", k, str(v.default), v.range(), v.help] for k, v in ROWS[id].knobs.items()]
    return table(["row", "parameter", "default", "allowed", "what it is"], lines)


def _write_verification(outcomes: Sequence[Any], out: Path, drawn: list[Path], command: str) -> None:
    """Write the page of the suite, with the figures that were drawn."""
    from mpbf_abm.evidence.known import suite
    from mpbf_abm.outputs import write_pages

    shown = {path.stem: path.relative_to(out).as_posix() for path in drawn}
    write_pages(out, {"verification.md": suite.markdown(outcomes, command, shown)})


def _draw_verification(outcomes: Sequence[Any], folder: Path, seed: int, fast: bool) -> list[Path]:
    """Draw expected against measured and, where the twin was looked at, the twin beside the model."""
    from mpbf_abm.figures import twin, verification

    folder.mkdir()
    paths = [verification.save(outcomes, folder / "verification.png")]
    if any(o.id == "K4" for o in outcomes):
        few: dict[str, Any] = {"replicates": 8, "sizes": (50, 100, 200), "passages": 30} if fast else {}
        paths += twin.save(twin.prepare(seed, **few), folder, suffixes=(".png",))
    return paths


def _try_mutations(seed: int, jobs: int, out: Path | None, as_json: bool) -> int:
    """Try the wrong rules and say which rows noticed."""
    from mpbf_abm.evidence.known import suite

    with Bar(as_json, "row") as watch:
        results = suite.run_mutations(seed, jobs, out=out, progress=watch)
    good = all(must == did for _, _, must, did in results)
    if as_json:
        rows = [
            {"name": n, "function": t, "must_fail": sorted(m), "failed": sorted(d), "caught": m == d}
            for n, t, m, d in results
        ]
        print(json.dumps({"passed": good, "mutations": rows}, indent=2))
    else:
        lines = [
            [n, t, " ".join(sorted(m)), "as it must" if m == d else f"BUT FAILED: {' '.join(sorted(d)) or 'none'}"]
            for n, t, m, d in results
        ]
        print(table(["wrong rule", "function", "rows that must fail", "verdict"], lines))
    return OK if good else MISMATCH
