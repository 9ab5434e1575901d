"""``mpbf compare``, ``robustness``, ``sensitivity``, ``discover`` and ``figures``: analyses of the runs of a study."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

from mpbf_abm.cli.binding import argument, names_in, one_of, option, real
from mpbf_abm.cli.console import complain, tell, written
from mpbf_abm.cli.options import MORE, Json, Out
from mpbf_abm.cli.study_commands import Folder
from mpbf_abm.errors import refuse
from mpbf_abm.outputs import frame_table, table

if TYPE_CHECKING:
    from mpbf_abm.figures.kind import Choice, Kind
    from mpbf_abm.studies.analyses import Analysis
    from mpbf_abm.studies.results import Results

# Columns of the main table that are printed.
EFFECT = "outcome arm role baseline treated difference low high verdict pairs_needed share_better share_harmed"
INDEX = "outcome series tick factor first first_low first_high total total_low total_high mu_star floor size size_low"
COLUMNS = {
    "compare": f"{EFFECT} vrf units missing",
    "robustness": "criterion arm value rank first_share honest",
    "sensitivity": f"{INDEX} size_high spread above_floor stochastic_share rows trajectories replicates",
    "discover": "factor restricted low high least most quasi_p reproduced",
}


NAMES = names_in("model.indicators:COLUMNS")
Outcomes = Annotated[list[str] | None, option("NAME,...", f"Outcome or stored quantity{MORE}", complete=NAMES)]
OneOutcome = Annotated[str | None, option("NAME", "Outcome. [default: the first primary one]", complete=NAMES)]
ArmName = Annotated[str, option("LABEL", "Arm whose runs are analysed.")]


@dataclass(frozen=True)
class Stored:
    """Stored runs, and where their analysis goes."""

    folder: Folder
    definition: Path | None = option(
        "--study STUDY.toml", "Re-analyse stored runs with another study file (other outcomes or a subset of arms)."
    )
    out: Out = None

    @contextmanager
    def opened(self) -> Iterator[Results]:
        """Open the results of the folder, perhaps as another study reads them."""
        from mpbf_abm.studies.files import read_study
        from mpbf_abm.studies.results import Results

        with Results.open(self.folder, None if self.definition is None else read_study(self.definition)) as results:
            if self.definition is not None:
                why = "belongs to this study; only outcomes, arms and the number of runs may differ"
                refuse(not (results.status == 1).any(), f"{self.definition.name}: no run of {self.folder} {why}")
            yield results

    def written(self, results: Results, kind: str, to: TextIO | None = None) -> AbstractContextManager[Path]:
        """Open the folder of an analysis."""
        return written(results, self.out or results.store.path.parent / kind, kind, to or sys.stderr)


def analyse(stored: Stored, as_json: bool, kind: str, *arguments: Any, **options: Any) -> None:
    """Make an analysis, write its tables and figure, and print its main table."""
    from mpbf_abm.reports.runs import incomplete, write_analysis
    from mpbf_abm.studies import analyses

    with stored.opened() as results:
        analysis: Analysis = getattr(analyses, kind)(results, *arguments, **options)
        analysis.notes[:0] = incomplete(results)
        with stored.written(results, kind) as work:
            write_analysis(results, analysis, work)
    tables = {name: frame.to_dict("records") for name, frame in analysis.tables.items()}
    notes = "\n".join(f"- {note}" for note in analysis.notes)
    text = f"{frame_table(analysis.table, COLUMNS[kind].split())}\n\n{notes}"
    tell(as_json, {"kind": kind, "notes": analysis.notes, "tables": tables}, text)


def names(values: list[str] | None) -> list[str] | None:
    """Return the values of an option that may be repeated, or be a list with commas."""
    return [*filter(None, map(str.strip, ",".join(values or []).split(",")))] or None


def compare(stored: Stored, outcome: Outcomes = None, as_json: Json = False) -> None:
    """Compare every arm with the baseline: paired effects, simultaneous 95 % intervals, verdicts."""
    analyse(stored, as_json, "compare", names(outcome))


def robustness(
    stored: Stored,
    outcome: OneOutcome = None,
    threshold: Annotated[float | None, real("", "Satisfactory value. [default: the outcome's acceptable]")] = None,
    as_json: Json = False,
) -> None:
    """Rank the arms over all scenarios by several criteria (maximin, regret, satisficing, ...), with uncertainty."""
    analyse(stored, as_json, "robustness", outcome, threshold=threshold)


def sensitivity(
    stored: Stored,
    outcome: Outcomes = None,
    arm: ArmName = "baseline",
    series: Annotated[str | None, option("NAME", "Indices of this series at every stored tick, instead.")] = None,
    as_json: Json = False,
) -> None:
    """Find the factors on which outcomes depend: elementary effects (morris) or Sobol indices (saltelli design)."""
    analyse(stored, as_json, "sensitivity", names(outcome), arm=arm, series=series)


def discover(
    stored: Stored,
    outcome: OneOutcome = None,
    above: Annotated[float | None, real("", "Scenarios whose mean lies above this are of interest.")] = None,
    below: Annotated[float | None, real("", "Scenarios whose mean lies below this are of interest.")] = None,
    arm: ArmName = "baseline",
    as_json: Json = False,
) -> None:
    """Find the factor values under which an outcome of interest is common (PRIM), tested on held-out scenarios."""
    analyse(stored, as_json, "discover", outcome, arm=arm, above=above, below=below)


def report(stored: Stored) -> None:
    """Write methods, parameters, counts and every analysis that the design supports: Markdown, CSV tables, figures.

    The default folder is DIR/report.
    """
    from mpbf_abm.reports.runs import write_report
    from mpbf_abm.studies.analyses import refuse_without_outcomes

    with stored.opened() as results, stored.written(results, "report", to=sys.stdout) as work:
        refuse(not (results.status == 1).any(), f"{stored.folder}: no run is finished yet")
        refuse_without_outcomes(results)
        write_report(results, work)


# --------------------------------------------------------------------------- figures


def listed() -> None:
    """List the kinds of figures: what each shows, its size, and what it needs of a study."""
    from mpbf_abm.figures.build import KINDS

    head = ["figure", "shows", "width", "height, mm", "needs of a study"]
    print(table(head, [[k.name, k.title, k.width, f"{k.height:g}", k.needs] for k in KINDS.values()], right=(3,)))


def _value(text: str) -> tuple[str, float | str]:
    name, sign, value = text.partition("=")
    refuse(not sign, f"--where {text}: must be NAME=VALUE")
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
    outcome: list[str] = option("NAME", f"An outcome or series to show{MORE}", None, NAMES, default=())
    arm: list[str] = option("LABEL", f"An arm to show{MORE}", default=())

    @cached_property
    def kind(self) -> Kind:
        """Kind of the figure."""
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
    from mpbf_abm.reports.runs import incomplete
    from mpbf_abm.studies.results import Results

    chosen = replace(wanted.kind, prepare=partial(wanted.kind.prepare, choice=wanted.choice))
    with Results.open(wanted.folder) as results:
        done = (results.status == 1).any()
        refuse(not done, f"{wanted.folder}: no run is done yet; mpbf study run {wanted.folder}")
        target = wanted.out or results.store.path.parent / "figures"
        with written(results, target, "figures", sys.stderr) as work:
            made.build([chosen], lambda _: results, work, journal=wanted.journal, before=target)
        complain(incomplete(results))
