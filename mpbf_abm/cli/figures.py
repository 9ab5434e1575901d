"""``mpbf figures``: the kinds of figures, made from any study that supports them."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from mpbf_abm.cli.app import figures
from mpbf_abm.cli.console import complain, table, tell_written
from mpbf_abm.cli.study import Source, write_provenance
from mpbf_abm.errors import ConfigurationError


@figures.command("list")
def listed() -> None:
    """List the kinds of figures: what each shows, its size, and what it needs of a study."""
    from mpbf_abm.figures.build import KINDS

    head = ["figure", "shows", "width", "height, mm", "needs of a study"]
    print(table(head, [[k.name, k.title, k.width, f"{k.height:g}", k.needs] for k in KINDS.values()], right=(3,)))


@figures.command()
def build(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="A figure, as `mpbf figures list` names it.")],
    source: Source,
    journal: Annotated[
        str, typer.Option(metavar="NAME", help="nature, elsevier or pnas: column widths and panel letters.")
    ] = "nature",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Folder of figures. [default: figures, in the study's folder]"),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Scenarios with this value of a parameter; may be repeated."),
    ] = None,
    outcome: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="An outcome or series to show; may be repeated.")
    ] = None,
    arm: Annotated[list[str] | None, typer.Option(metavar="LABEL", help="An arm to show; may be repeated.")] = None,
) -> None:
    """Make a figure for a journal from the runs of a study: PDF, SVG, PNG, and a CSV of each panel.

    A study that lacks what the figure needs is refused, with what it lacks. Other figures in the folder stay.
    """
    from mpbf_abm.cli.analyses import incomplete, opened
    from mpbf_abm.figures import build as made
    from mpbf_abm.figures.kind import Choice
    from mpbf_abm.outputs import OutputFolder

    faults, values = made.journal_faults(journal), {}
    for text in where or []:
        name, sign, value = text.partition("=")
        if not sign:
            faults.append(f"--where {text}: must be NAME=VALUE")
        values[name.strip()] = _value(value.strip())
    try:
        wanted = made.kind(kind)
    except ConfigurationError as error:
        faults += error.faults
    if faults:
        raise ConfigurationError(faults)
    chosen = replace(
        wanted, prepare=partial(wanted.prepare, choice=Choice(values, tuple(outcome or ()), tuple(arm or ())))
    )
    with opened(source, None) as results:
        if not (results.status == 1).any():
            raise ConfigurationError(f"{source}: no run is done yet; mpbf study run {source}")
        target = out or results.store.path.parent / "figures"
        output = OutputFolder(target, "figures", results.study.name)
        with output as work:
            made.build([chosen], lambda _: results, work, journal=journal, before=target)
            write_provenance(results, work)
        complain(incomplete(results))
    tell_written(output, to=sys.stderr)


def _value(text: str) -> float | str:
    """Return a value of a parameter: a number, or what stands there."""
    try:
        return float(text)
    except ValueError:
        return text
