"""``mpbf figures``: the kinds of figures, made from any study that supports them."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from mpbf_abm.cli.binding import argument, names_in, one_of, option
from mpbf_abm.cli.console import complain, tell_written
from mpbf_abm.cli.options import MORE
from mpbf_abm.cli.study import Folder, write_provenance
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.outputs import table

if TYPE_CHECKING:
    from mpbf_abm.figures.kind import Choice, Kind


def listed() -> None:
    """List the kinds of figures: what each shows, its size, and what it needs of a study."""
    from mpbf_abm.figures.build import KINDS

    head = ["figure", "shows", "width", "height, mm", "needs of a study"]
    print(table(head, [[k.name, k.title, k.width, f"{k.height:g}", k.needs] for k in KINDS.values()], right=(3,)))


def _value(text: str) -> tuple[str, float | str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise ConfigurationError([f"--where {text}: must be NAME=VALUE"])
    try:
        return name.strip(), float(value)
    except ValueError:
        return name.strip(), value.strip()


@dataclass(frozen=True)
class Wanted:
    """A figure, and what of a study it shows."""

    name: Annotated[str, argument("KIND", "A figure, as mpbf figures list names it.")]
    folder: Folder
    journal: str = one_of("Journal: column widths and panel letters.", "nature", "elsevier", "pnas", default="nature")
    out: Path | None = option("--out -o DIR", "Folder of figures. [default: figures, in the study's folder]")
    where: list[Any] = option("NAME=VALUE", f"Scenarios with this value of a parameter{MORE}", _value, default=())
    outcome: list[str] = option(
        "NAME", f"An outcome or series to show{MORE}", None, names_in("model.indicators:COLUMNS"), default=()
    )
    arm: list[str] = option("LABEL", f"An arm to show{MORE}", default=())

    @cached_property
    def kind(self) -> Kind:
        """Kind of the figure, told which part of the study it shows."""
        from mpbf_abm.figures.build import kind

        return kind(self.name)

    @property
    def choice(self) -> Choice:
        """Part of the study that the figure shows."""
        from mpbf_abm.figures.kind import Choice

        return Choice(dict(self.where), tuple(self.outcome), tuple(self.arm))


def build(wanted: Wanted) -> None:
    """Make a figure for a journal from the runs of a study: PDF, SVG, PNG, and a CSV of each panel.

    A study that lacks what the figure needs is refused, with what it lacks. Other figures in the folder stay.
    """
    from mpbf_abm.figures import build as made
    from mpbf_abm.outputs import OutputFolder
    from mpbf_abm.reports.study_report import incomplete
    from mpbf_abm.studies.results import Results

    chosen = replace(wanted.kind, prepare=partial(wanted.kind.prepare, choice=wanted.choice))
    with Results.open(wanted.folder) as results:
        if not (results.status == 1).any():
            raise ConfigurationError(f"{wanted.folder}: no run is done yet; mpbf study run {wanted.folder}")
        target = wanted.out or results.store.path.parent / "figures"
        output = OutputFolder(target, "figures", results.study.name)
        with output as work:
            made.build([chosen], lambda _: results, work, journal=wanted.journal, before=target)
            write_provenance(results, work)
        complain(incomplete(results))
    tell_written(output, to=sys.stderr)
