"""``mpbf compare``, ``robustness``, ``sensitivity`` and ``discover``: what the runs of a study say."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mpbf_abm.cli.app import app, study
from mpbf_abm.cli.console import Json, number, real, table, tell_written
from mpbf_abm.cli.study import Folder, write_provenance
from mpbf_abm.errors import ConfigurationError, MpbfError

if TYPE_CHECKING:
    import pandas as pd

    from mpbf_abm.studies.analyses import Analysis
    from mpbf_abm.studies.results import Results

Outcomes = Annotated[
    list[str] | None,
    typer.Option("--outcome", metavar="NAME", help="Outcome of the study, or any stored quantity; may be repeated."),
]
OneOutcome = Annotated[
    str | None, typer.Option("--outcome", metavar="NAME", help="Outcome. [default: the first primary one]")
]
ReadBy = Annotated[
    Path | None,
    typer.Option("--study", metavar="STUDY.toml", help="Read the runs by this study: other outcomes, fewer arms."),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="DIR", help="Folder of tables and figure. [default: in the study's folder]"),
]
ArmName = Annotated[str, typer.Option(metavar="LABEL", help="Arm whose runs are looked at.")]


@contextmanager
def opened(folder: Path, definition: Path | None) -> Iterator[Results]:
    """Results of a folder, perhaps read by another study."""
    from mpbf_abm.studies.files import read_study
    from mpbf_abm.studies.results import Results

    with Results.open(folder, None if definition is None else read_study(definition)) as results:
        if definition is not None and not (results.status == 1).any():
            raise ConfigurationError(
                f"{definition.name}: no run of {folder} belongs to this study; only outcomes, arms and the number of runs may differ"
            )
        yield results


def finish(results: Results, analysis: Analysis, out: Path | None, as_json: bool, columns: list[str]) -> None:
    """Write tables and figure, and print the main table."""
    from mpbf_abm.figures import of_studies as figures
    from mpbf_abm.outputs import OutputFolder, write_pages
    from mpbf_abm.studies.whatif import plain

    place = out or results.store.path.parent / analysis.kind
    analysis.notes[:0] = incomplete(results)
    folder = OutputFolder(place, analysis.kind, results.study.name)
    with folder as work:
        write_pages(work, {"notes.txt": "\n".join(analysis.notes) + "\n"}, analysis.tables)
        figures.save(results, analysis, work / analysis.kind)
        write_provenance(results, work)
    if as_json:
        tables = {name: frame.to_dict("records") for name, frame in analysis.tables.items()}
        print(
            json.dumps(
                plain({"kind": analysis.kind, "notes": analysis.notes, "tables": tables}), indent=2, allow_nan=False
            )
        )
    else:
        print(shown(analysis.table, columns))
        print()
        for note in analysis.notes:
            print(f"- {note}")
    tell_written(folder, to=sys.stderr)


def incomplete(results: Results) -> list[str]:
    """Say of a study that is not all there that it is not."""
    planned, over = results.status.size, int((results.status != 0).sum())
    return [] if over == planned else [f"INCOMPLETE: {over} of {planned} runs are over; what follows may change"]


def shown(frame: pd.DataFrame, columns: list[str]) -> str:
    """Some columns of a table as text."""
    have = [c for c in columns if c in frame.columns]
    rows = [
        [_cell(row[c]) for c in have] for row in ({str(k): v for k, v in r.items()} for r in frame.to_dict("records"))
    ]
    right = [i for i, c in enumerate(have) if frame[c].dtype.kind in "if"]
    return table([c.replace("_", " ") for c in have], rows, right=right)


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value)
    return "-" if value is None else str(value)


@app.command()
def compare(
    folder: Folder, outcome: Outcomes = None, definition: ReadBy = None, out: Out = None, as_json: Json = False
) -> None:
    """Compare every arm with the baseline: paired effects, simultaneous 95 % intervals, verdicts."""
    from mpbf_abm.studies.analyses import compare as analyse

    with opened(folder, definition) as results:
        analysis = analyse(results, names(outcome))
        columns = [
            "outcome",
            "arm",
            "role",
            "baseline",
            "treated",
            "difference",
            "low",
            "high",
            "verdict",
            "pairs_needed",
            "share_better",
            "share_harmed",
            "vrf",
            "units",
            "missing",
        ]
        finish(results, analysis, out, as_json, columns)


@app.command()
def robustness(
    folder: Folder,
    outcome: OneOutcome = None,
    threshold: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER", help="What a satisfactory scenario reaches. [default: the outcome's acceptable]"
        ),
    ] = None,
    definition: ReadBy = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Rank the arms over all scenarios by several criteria (maximin, regret, satisficing, ...), and say how sure the order is."""
    from mpbf_abm.studies.analyses import robustness as analyse

    (level,) = _reals(threshold=threshold)
    with opened(folder, definition) as results:
        finish(
            results,
            analyse(results, outcome, threshold=level),
            out,
            as_json,
            ["criterion", "arm", "value", "rank", "first_share", "honest"],
        )


@app.command()
def sensitivity(
    folder: Folder,
    outcome: Outcomes = None,
    arm: ArmName = "baseline",
    series: Annotated[
        str | None, typer.Option(metavar="NAME", help="Indices of this stored series at every stored tick, instead.")
    ] = None,
    definition: ReadBy = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Say which factors outcomes depend on: elementary effects (morris design) or Sobol indices (saltelli design)."""
    from mpbf_abm.studies.analyses import sensitivity as analyse

    columns = ["outcome", "series", "tick", "factor", "first", "first_low", "first_high", "total", "total_low", "total_high", "mu_star", "floor", "size", "size_low",
               "size_high", "spread", "above_floor", "stochastic_share", "rows", "trajectories", "replicates"]  # fmt: skip
    with opened(folder, definition) as results:
        finish(results, analyse(results, names(outcome), arm=arm, series=series), out, as_json, columns)


@app.command()
def discover(
    folder: Folder,
    outcome: OneOutcome = None,
    above: Annotated[
        str | None, typer.Option(metavar="NUMBER", help="Scenarios whose mean lies above this are of interest.")
    ] = None,
    below: Annotated[
        str | None, typer.Option(metavar="NUMBER", help="Scenarios whose mean lies below this are of interest.")
    ] = None,
    arm: ArmName = "baseline",
    definition: ReadBy = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Find the factor values under which an outcome of interest is common (PRIM), judged on held-out scenarios."""
    from mpbf_abm.studies.analyses import discover as analyse

    high, low = _reals(above=above, below=below)
    with opened(folder, definition) as results:
        finish(
            results,
            analyse(results, outcome, arm=arm, above=high, below=low),
            out,
            as_json,
            ["factor", "restricted", "low", "high", "least", "most", "quasi_p", "reproduced"],
        )


def _reals(**texts: str | None) -> list[float | None]:
    """Numbers of options, or all that are none."""
    faults: list[str] = []
    values = [real(text, name, faults) for name, text in texts.items()]
    if faults:
        raise ConfigurationError(faults)
    return values


def names(values: list[str] | None) -> list[str] | None:
    """Values of an option that may be repeated, or be a list with commas."""
    split = [part.strip() for value in values or [] for part in value.split(",") if part.strip()]
    return split or None


@study.command()
def report(
    folder: Folder,
    definition: Annotated[
        Path | None,
        typer.Option("--study", metavar="STUDY.toml", help="Read the runs by this study: other outcomes, fewer arms."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Folder to write. [default: DIR/report]")
    ] = None,
) -> None:
    """Write methods, parameters, counts and every analysis the design supports: Markdown, tables (CSV) and figures."""
    from mpbf_abm.figures import of_studies as figures
    from mpbf_abm.outputs import OutputFolder, write_pages
    from mpbf_abm.studies import analysis as analyses
    from mpbf_abm.studies.analyses import refuse_without_outcomes
    from mpbf_abm.studies.report import report as write

    made: list[Analysis] = []
    refused: list[str] = []
    with (
        opened(folder, definition) as results,
        (output := OutputFolder(out or results.store.path.parent / "report", "report", results.study.name)) as work,
    ):
        if not (results.status == 1).any():
            raise ConfigurationError(f"{folder}: no run is done yet")
        refuse_without_outcomes(results)
        for name in ("phase", "compare", "robustness", "sensitivity", "discover"):
            try:
                made.append(getattr(analyses, name)(results))
            except MpbfError as error:
                refused += getattr(error, "faults", [str(error)])
        shown: dict[str, str] = {}
        for analysis in made:
            shown[analysis.kind] = figures.save(results, analysis, work / analysis.kind)[0].name
            write_pages(work, tables={f"{analysis.kind}-{name}": frame for name, frame in analysis.tables.items()})
        write_pages(work, {"report.md": write(results, made, shown, refused)})
        write_provenance(results, work)
    tell_written(output)
