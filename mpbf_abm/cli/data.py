"""``mpbf data``: tables of real materials, and the options with which commands read them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mpbf_abm.cli.app import data
from mpbf_abm.cli.console import Json, complain, number, table
from mpbf_abm.errors import ConfigurationError

if TYPE_CHECKING:
    from mpbf_abm.model.materials import MaterialsSpace

FORMULAS = ("formula", "measured", "simulated", "year", "family", "simulated_unit")
WORDS = {
    "on_error='drop'": "--drop", "duplicates='mean'": "--duplicates mean", "duplicates = ": "--duplicates = ",
    "simulated_unit needs unit": "--simulated-unit needs --unit",
    "simulated_unit needs simulated": "--simulated-unit needs --simulated", "simulated_unit:": "--simulated-unit:",
}  # fmt: skip
SHOWN = 10
CONFLICTS_SHOWN = 5

Formula = Annotated[str | None, typer.Option(metavar="COLUMN", help="Column of formulas.")]
Measured = Annotated[str | None, typer.Option(metavar="COLUMN", help="Column of the measured property.")]
Simulated = Annotated[str | None, typer.Option(metavar="COLUMN", help="Column of the simulated property.")]
Year = Annotated[str | None, typer.Option(metavar="COLUMN", help="Column of the year of first report.")]
Family = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="Column of families; without it they follow chemistry.")
]
Objective = Annotated[str | None, typer.Option(metavar="COLUMN", help="Column of the pool's objective.")]
Goal = Annotated[str, typer.Option(metavar="min|max", help="Whether small or large values are sought.")]
Unit = Annotated[str | None, typer.Option(metavar="UNIT", help="Unit of the property. [default: name of its column]")]
SimulatedUnit = Annotated[
    str | None,
    typer.Option(metavar="UNIT", help="Unit of the simulated column, converted to --unit. [default: the same]"),
]
Duplicates = Annotated[
    str | None,
    typer.Option(
        metavar="mean|median|first|raise", help="What becomes of rows of the same composition. [default: mean]"
    ),
]
Drop = Annotated[bool, typer.Option("--drop", help="Leave out faulty rows of a table or pool instead of refusing it.")]


@data.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Table of formulas, or pool of numeric settings.")],
    formula: Formula = None,
    measured: Measured = None,
    simulated: Simulated = None,
    year: Year = None,
    family: Family = None,
    objective: Objective = None,
    goal: Goal = "max",
    unit: Unit = None,
    simulated_unit: SimulatedUnit = None,
    duplicates: Duplicates = None,
    drop: Drop = False,
    as_json: Json = False,
) -> None:
    """Read a table (--formula, --measured) or a pool (--objective) and report what it holds and what became of its rows.

    Faulty rows are told, one line per kind, and end with exit code 2 unless --drop leaves them out.
    """
    from mpbf_abm.model.materials import report

    columns = given(
        formula=formula, measured=measured, simulated=simulated, year=year, family=family, objective=objective,
        unit=unit, simulated_unit=simulated_unit, duplicates=duplicates,
    )  # fmt: skip
    source = "table" if objective is None else "pool"
    faults = [
        f"a table needs --{n}, a pool --objective"
        for n in ("formula", "measured")
        if source == "table" and n not in columns
    ]
    faults += [
        f"--{n.replace('_', '-')} belongs to a table, --objective to a pool"
        for n in columns
        if source == "pool" and n in FORMULAS
    ]
    if faults:
        raise ConfigurationError(faults)
    space = read_space({source: file, **columns}, goal, True, faults)
    if space is None:
        if not drop:
            # Faulty rows are faults here, and are told with the others.
            faults = []
            read_space({source: file, **columns}, goal, False, faults)
        raise ConfigurationError(faults)
    found = report(space)
    print(json.dumps(found, indent=2, allow_nan=False) if as_json else text(found))
    if found["dropped"]["count"] and not drop:
        raise ConfigurationError([f"{line}; --drop leaves them out" for line in found["dropped"]["reasons"]])
    complain(found["dropped"]["reasons"])


def given(**options: Any) -> dict[str, Any]:
    """Options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def read_space(columns: Mapping[str, Any], goal: str, drop: bool, faults: list[str]) -> MaterialsSpace | None:
    """Read real data, if any is named; faults are noted.

    Parameters
    ----------
    columns : mapping
        ``table`` or ``pool``, a path, and the options of its constructor.
    """
    options, faulty = dict(columns), len(faults)
    if goal not in ("min", "max"):
        faults.append(f"--goal = {goal!r}: must be min or max")
    if "table" in options and "pool" in options:
        faults.append("--table and --pool exclude each other")
    faults += [f"--table needs --{n}" for n in ("formula", "measured") if "table" in options and n not in options]
    faults += [f"--{n.replace('_', '-')} needs --table" for n in options if n in FORMULAS and "table" not in options]
    faults += [f"--{n} needs --table or --pool" for n in ("unit", "duplicates") if n in options and not _named(options)]
    if "pool" in options and "objective" not in options:
        faults.append("--pool needs --objective")
    if "objective" in options and "pool" not in options:
        faults.append("--objective needs --pool")
    if not options:
        if drop:
            faults.append("--drop needs --table or --pool")
        return None
    if len(faults) > faulty:
        return None
    from mpbf_abm.model.materials import MaterialsSpace

    how: dict[str, Any] = {"goal": goal, "on_error": "drop" if drop else "raise"}
    try:
        if "table" in options:
            return MaterialsSpace.from_table(options.pop("table"), **options, **how)
        return MaterialsSpace.from_pool(options.pop("pool"), **options, **how)
    except ConfigurationError as error:
        faults += [_as_options(fault) for fault in error.faults]
        return None


def _named(options: Mapping[str, Any]) -> bool:
    return "table" in options or "pool" in options


def _as_options(fault: str) -> str:
    """Say a fault in the words of the command line."""
    for python, option in WORDS.items():
        fault = fault.replace(python, option)
    return fault


# --------------------------------------------------------------------------- what the report says


def text(found: Mapping[str, Any]) -> str:
    """Report of a table or pool as text."""
    what, dropped = "settings" if found["kind"] == "pool" else "materials", found["dropped"]["count"]
    rows = [f"{found['rows']} rows", f"{dropped} left out", f"{found['merged']} merged"]
    parts = [f"{found['source']}: {', '.join(rows)}, {found['materials']} {what}, {found['descriptors']} descriptors"]
    parts += [f"- {note}" for note in found["notes"]]
    if found["replicate_sd"] is not None:
        parts.append(f"- rows of one {what[:-1]} differ by an sd of {number(found['replicate_sd'])}")
    if found["years"]:
        parts.append("- years {} to {}".format(*found["years"]))
    p = found["property"]
    parts += [
        "",
        f"property [{found['unit']}], {found['goal']} sought: {_between(p)}, median {number(p['median'])}, sd {number(p['sd'])}",
        f"top set: {found['top']['materials']}; best: " + "; ".join(_best(b) for b in found["top"]["best"]),
    ]
    if found["simulated"]:
        s = found["simulated"]
        correlation = "-" if s["correlation"] is None else number(s["correlation"])
        parts.append(
            f"simulated less measured: {number(s['bias'], '+')} in the mean, {number(s['mean_absolute'])} in size; "
            f"slope of simulated on measured {number(s['slope'])}, correlation {correlation}"
        )
    return "\n".join([*parts, *_conflicts(found["conflicts"]), *_families(found["families"], found["kind"])])


def _between(values: Mapping[str, float]) -> str:
    return f"{number(values['low'])} to {number(values['high'])}"


def _best(entry: Mapping[str, Any]) -> str:
    return f"{entry['name']} ({number(entry['value'])})" if "name" in entry else number(entry["value"])


def _conflicts(conflicts: list[dict[str, Any]]) -> list[str]:
    if not conflicts:
        return []
    rows = [
        [c["material"], number(c["low"]), number(c["high"]), number(c["sd_apart"]), ", ".join(map(str, c["rows"]))]
        for c in conflicts[:CONFLICTS_SHOWN]
    ]
    more = f", the widest {CONFLICTS_SHOWN}" if len(conflicts) > CONFLICTS_SHOWN else ""
    head = ["material", "low", "high", "sd apart", "rows"]
    return ["", f"rows that contradict each other: {len(conflicts)}{more}", table(head, rows, right=(1, 2, 3))]


def _families(families: list[dict[str, Any]], kind: str) -> list[str]:
    if kind == "pool":
        return []
    names = ["materials", "low", "median", "high", *(["bias"] if "bias" in families[0] else [])]
    rows = [[f["name"], *(number(f[n], "+" if n == "bias" else "") for n in names)] for f in families[:SHOWN]]
    for row, family in zip(rows, families, strict=False):
        row[1] = str(family["materials"])
    if len(families) > SHOWN:
        rest = sum(f["materials"] for f in families[SHOWN:])
        rows.append([f"{len(families) - SHOWN} more", str(rest), *([""] * (len(names) - 1))])
    return ["", table([f"family (of {len(families)})", *names], rows, right=range(1, len(names) + 1))]
