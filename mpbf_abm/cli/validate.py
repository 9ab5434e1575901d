"""``mpbf validate``: stylised facts of real discovery ecosystems, in the model and in data."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mpbf_abm.cli.app import app
from mpbf_abm.cli.console import (
    MISMATCH,
    OK,
    Assignments,
    Json,
    Preset,
    number,
    processes,
    settings_of,
    table,
    tell_written,
    whole,
)
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.outputs import markdown_table

if TYPE_CHECKING:
    from mpbf_abm.evidence.facts.recorded import Fact
    from mpbf_abm.evidence.facts.validation import Validation
    from mpbf_abm.parameters import Parameters

PAGE, TABLE = "validation.md", "validation.csv"
HEAD = ["fact", "component", "real", "range", "from data", "simulated", "95 % interval", "n", "verdict", "use"]


@app.command()
def validate(
    config_file: Annotated[Path | None, typer.Argument(metavar="[CONFIG.toml]", help="Parameters; [run] is left aside.")] = None,
    preset: Preset = None,
    assignments: Assignments = None,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of real data: real values are computed from it.")] = None,
    only: Annotated[list[str] | None, typer.Option("--only", metavar="N", help="Fact (4) or several (4,7); may be repeated.")] = None,
    replicates: Annotated[str, typer.Option(metavar="INTEGER", help="Communities, each on materials of its own.")] = "20",
    seed: Annotated[str, typer.Option(metavar="INTEGER", help="Seed of the first replicate.")] = "1",
    least: Annotated[str, typer.Option(metavar="INTEGER", help="Exit with 3 if fewer facts are reproduced. [default: 4 of 5]")] = "",
    jobs: Annotated[str | None, typer.Option("--jobs", "-j", metavar="INTEGER", help="Processes. [default: one for each core]")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help=f"Write {PAGE}, {TABLE} and images/validation.png here; what is over is kept in runs/.")] = None,
    as_json: Json = False,
) -> int:  # fmt: skip
    """Compare the community with fifteen stylised facts, at once and with one configuration.

    A fact is reproduced where the mean of each of its numbers lies in the range of real values. Exit code 3 if too few are.
    """
    from mpbf_abm.evidence.facts.validation import chosen
    from mpbf_abm.evidence.facts.validation import validate as run_validation
    from mpbf_abm.model.settings import numbers_faults

    faults: list[str] = []
    settings = settings_of(config_file, preset, assignments or [], faults)
    p: Parameters = settings.parameters
    if settings.policies or settings.shocks:
        faults.append(
            f"{config_file}: the community is compared as it is, without [[policy]] and [[shock]]; take them out"
        )
    facts: tuple[Fact, ...] = ()
    try:
        facts = chosen(only or [])
    except ConfigurationError as error:
        faults += error.faults
    count, first = whole(replicates, "replicates", faults), whole(seed, "seed", faults)
    wanted = whole(least, "least", faults) if least else None
    if wanted is not None and facts and not 0 <= wanted <= len(facts):
        faults.append(f"--least = {wanted}: must be 0 to {len(facts)}, the number of facts")
    if count is not None and count < 2:
        faults.append(f"--replicates = {count}: must be at least 2, or there is no interval")
    if first is not None:
        faults += [f"--{fault}" for fault in numbers_faults({"seed": first})]
    workers = processes(jobs, faults) or os.cpu_count() or 1
    if data is not None and not data.is_dir():
        faults.append(f"--data {data}: no such folder")
    if faults:
        raise ConfigurationError(faults)
    from mpbf_abm.cli.progress import Bar
    from mpbf_abm.outputs import OutputFolder

    folder = None if out is None else OutputFolder(out, "validate")

    if settings.numbers:
        print(f"mpbf: [run] of {config_file} is left aside; --seed and --replicates say what is run", file=sys.stderr)
    with folder or nullcontext() as work:
        with Bar(as_json, "measure") as watch:
            found = run_validation(
                p, facts, seed=first or 0, replicates=count or 2, data=data, out=out, jobs=workers, progress=watch
            )
        if work is not None:
            _write(found, work, _command(config_file, preset, assignments, only, replicates, seed, data))
    tell_written(folder, to=sys.stderr)
    if as_json:
        print(json.dumps(as_mapping(found, p), indent=2, allow_nan=False))
    else:
        print(table(HEAD, cells(found), right=(2, 4, 5, 7)))
        print(f"\n{found.count} of {len(facts)} facts are reproduced" + _reasons(found))
    enough = wanted if wanted is not None else -(-4 * len(facts) // 5)
    return OK if found.count >= enough else MISMATCH


def cells(found: Validation) -> list[list[str]]:
    """The table as text, one row per component."""
    use = {fact.number: fact.use for fact in found.facts}
    rows: list[Any] = found.table.to_dict("records")
    return [
        [str(r["fact"]), f"{r['name']} ({r['unit']})", number(r["recorded"]), f"{number(r['low'])} to {number(r['high'])}", number(r["real"]),
         number(r["simulated"]), f"{number(r['simulated_low'])} to {number(r['simulated_high'])}", str(r["replicates"]), _verdict(r), use[r["fact"]]]
        for r in rows
    ]  # fmt: skip


def _verdict(r: Mapping[str, Any]) -> str:
    """Inside, or outside; and whether the interval says otherwise."""
    if r["inside"]:
        surely = r["low"] <= r["simulated_low"] and r["simulated_high"] <= r["high"]
        return "inside" if surely else "inside, not surely"
    touches = r["simulated_high"] >= r["low"] and r["simulated_low"] <= r["high"]
    return "outside, not surely" if touches else "outside"


def _reasons(found: Validation) -> str:
    missed = [fact for fact in found.facts if not found.reproduced(fact)]
    return "".join(f"\nnot reproduced: {f.number}, {f.title}" + (f" ({f.why})" if f.why else "") for f in missed)


def as_mapping(found: Validation, p: Any) -> dict[str, Any]:
    """Everything for machines; NaN becomes null."""
    from mpbf_abm.studies.whatif import plain

    out = {
        "reproduced": found.count,
        "facts": [
            {"fact": f.number, "title": f.title, "layer": f.layer, "use": f.use, "source": f.source, "reproduced": found.reproduced(f)}
            for f in found.facts
        ],
        "components": found.table.to_dict("records"),
        "changed": p.changed(),
    }  # fmt: skip
    plained: dict[str, Any] = plain(out)
    return plained


def _command(
    config_file: Path | None, preset: str | None, assignments: Sequence[str] | None, only: Sequence[str] | None, replicates: str,
    seed: str, data: Path | None,
) -> str:  # fmt: skip
    parts = ["mpbf validate", *([config_file.name] if config_file else []), *([f"--preset {preset}"] if preset else [])]
    parts += [f"--set {a}" for a in assignments or []] + [f"--only {o}" for o in only or []]
    parts += [f"--replicates {replicates}"] if replicates != "20" else []
    parts += [f"--seed {seed}"] if seed != "1" else []
    return " ".join([*parts, *(["--data DATA"] if data is not None else [])])


def _write(found: Validation, out: Path, command: str) -> None:
    """Write page, table and figure."""
    from mpbf_abm.figures.validation import save
    from mpbf_abm.outputs import write_pages

    (out / "images").mkdir()
    save(found, out / "images" / "validation.png")
    write_pages(out, {PAGE: markdown(found, command)}, {TABLE.removesuffix(".csv"): found.table})


def markdown(found: Validation, command: str) -> str:
    """The page ``docs/validation.md``."""
    rows = cells(found)
    lines = [
        "# Validation: stylised facts", "",
        f"Written by `{command}`. The community at its defaults, {len(found.facts)} facts at once: recorded real value and range, value",
        "computed from the public data where they are at hand ([data](data.md)), mean over communities on materials of their own with its",
        "95 % interval. A fact is reproduced where the mean of each of its numbers lies in the range. *Calibrated*: defaults were chosen to",
        "meet it ([calibration](calibration.md)), so it is no validation. *Reduction test*: the rule in a limit case. *Held out*: no default",
        "was chosen by it.", "",
        f"**{found.count} of {len(found.facts)} facts are reproduced.**", "",
        "![Ranges of real values with the model's means and intervals](images/validation.png)", "",
    ]  # fmt: skip
    for fact in found.facts:
        state = "reproduced" if found.reproduced(fact) else "**not reproduced**"
        lines += [f"## {fact.number}. {fact.title.capitalize()}", ""]
        lines += [f"{fact.layer}; {fact.use}; {state}. Real: {fact.source}. In the model: {fact.how}.", ""]
        if not found.reproduced(fact) and fact.why:
            lines += [f"Why not: {fact.why}.", ""]
        mine = [row[1:9] for row in rows if row[0] == str(fact.number)]
        lines += [markdown_table(HEAD[1:9], mine, right=(1, 3, 4, 6))]
    beside = found.values[~found.values["quantity"].isin(found.table["component"])]
    if len(beside):
        means: list[Any] = beside.groupby(["measure", "quantity"])["value"].mean().reset_index().to_dict("records")
        cells_beside = [(r["measure"], r["quantity"], number(r["value"])) for r in means]
        lines += ["## Reported beside", "", markdown_table(["measure", "quantity", "mean"], cells_beside, right=(2,))]
    return "\n".join(lines)
