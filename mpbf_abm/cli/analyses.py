"""``mpbf compare``, ``robustness``, ``sensitivity`` and ``discover``: analyses of the runs of a study."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from mpbf_abm.cli.binding import names_in, option, real
from mpbf_abm.cli.console import print_json, tell_written
from mpbf_abm.cli.options import MORE, Json, Out
from mpbf_abm.cli.study import Folder, write_provenance
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.outputs import frame_table

if TYPE_CHECKING:
    from mpbf_abm.studies.analyses import Analysis
    from mpbf_abm.studies.results import Results

COLUMNS = {
    "compare": "outcome arm role baseline treated difference low high verdict pairs_needed share_better share_harmed vrf "
    "units missing",
    "robustness": "criterion arm value rank first_share honest",
    "sensitivity": "outcome series tick factor first first_low first_high total total_low total_high mu_star floor size "
    "size_low size_high spread above_floor stochastic_share rows trajectories replicates",
    "discover": "factor restricted low high least most quasi_p reproduced",
}


Outcomes = Annotated[
    list[str] | None,
    option("NAME,...", f"Outcome or stored quantity{MORE}", complete=names_in("model.indicators:COLUMNS")),
]
OneOutcome = Annotated[
    str | None,
    option("NAME", "Outcome. [default: the first primary one]", complete=names_in("model.indicators:COLUMNS")),
]
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

        study = None if self.definition is None else read_study(self.definition)
        with Results.open(self.folder, study) as results:
            if self.definition is not None and not (results.status == 1).any():
                why = "belongs to this study; only outcomes, arms and the number of runs may differ"
                raise ConfigurationError(f"{self.definition.name}: no run of {self.folder} {why}")
            yield results


def analyse(stored: Stored, as_json: bool, kind: str, *arguments: Any, **options: Any) -> None:
    """Make an analysis, write its tables and figure, and print its main table."""
    from mpbf_abm.outputs import OutputFolder
    from mpbf_abm.reports.study_report import incomplete, write_analysis
    from mpbf_abm.studies import analyses

    with stored.opened() as results:
        analysis: Analysis = getattr(analyses, kind)(results, *arguments, **options)
        analysis.notes[:0] = incomplete(results)
        place = stored.out or results.store.path.parent / kind
        with (folder := OutputFolder(place, kind, results.study.name)) as work:
            write_analysis(results, analysis, work)
            write_provenance(results, work)
    if as_json:
        tables = {name: frame.to_dict("records") for name, frame in analysis.tables.items()}
        print_json({"kind": kind, "notes": analysis.notes, "tables": tables})
    else:
        print(frame_table(analysis.table, COLUMNS[kind].split()))
        print("\n" + "\n".join(f"- {note}" for note in analysis.notes))
    tell_written(folder, to=sys.stderr)


def names(values: list[str] | None) -> list[str] | None:
    """Return the values of an option that may be repeated, or be a list with commas."""
    return [part.strip() for value in values or [] for part in value.split(",") if part.strip()] or None


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
    from mpbf_abm.outputs import OutputFolder
    from mpbf_abm.reports.study_report import write_report
    from mpbf_abm.studies.analyses import refuse_without_outcomes

    with stored.opened() as results:
        place = stored.out or results.store.path.parent / "report"
        with (folder := OutputFolder(place, "report", results.study.name)) as work:
            if not (results.status == 1).any():
                raise ConfigurationError(f"{stored.folder}: no run is finished yet")
            refuse_without_outcomes(results)
            write_report(results, work)
            write_provenance(results, work)
    tell_written(folder)
