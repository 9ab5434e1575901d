"""``mpbf run``: a plain run, or a what-if on common seeds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from mpbf_abm.cli.binding import option
from mpbf_abm.cli.console import complain, tell, tell_written
from mpbf_abm.cli.options import OUTPUT, DataFile, Jobs, Json, Out, Question, Quiet, workers

if TYPE_CHECKING:
    from mpbf_abm.studies.whatif import Ensemble, WhatIf


def run(
    question: Question,
    data: DataFile,
    jobs: Jobs = None,
    out: Out = None,
    force: Annotated[bool, option("--force", "Replace the results of another plan in DIR.", panel=OUTPUT)] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run the model once, or ask a what-if: with --policy, baseline and what-if on the same seeds; shocks hit both.

    Writes tables, parameters, provenance and an overview figure into one folder, atomically. The default folder is
    results/ and the hash of the plan. Finished runs are kept in its folder `runs`: a command that was stopped resumes
    there, and with the same --out more replicates make the new ones only.
    """
    from mpbf_abm.cli.progress import Bar
    from mpbf_abm.outputs import OutputFolder
    from mpbf_abm.reports.run_report import as_mapping, report
    from mpbf_abm.studies.whatif import run_plan

    plan = question.plan(data.space)
    run_hash = str(plan.record()["run_hash"])
    folder = out or Path("results") / run_hash[:12]
    output = OutputFolder(folder, "run", plan.question_hash, force=force)
    with output as work:
        _say_read(plan)
        with Bar(quiet) as watch:
            ensemble = run_plan(plan, jobs or min(workers(None), plan.replicates * len(plan.arms)), watch, folder)
        _write(ensemble, work)
    if as_json or not quiet:
        tell(as_json, as_mapping(ensemble, folder, run_hash), report(ensemble) + "\n")
    tell_written(output, quiet=quiet or as_json)


def _say_read(plan: WhatIf) -> None:
    """Print how the data were understood, if that is not plain, and what was left out."""
    if plan.space is None:
        return
    origin = dict(plan.space.origin)
    complain([f"{origin['source']}: {note}" for note in origin.get("notes", [])])
    dropped = origin.get("dropped", {})
    if dropped.get("count"):
        complain([f"left out {dropped['count']} rows", *dropped["reasons"]])


def _write(ensemble: Ensemble, work: Path) -> None:
    from mpbf_abm.figures import overview
    from mpbf_abm.studies.whatif import write_provenance, write_tables

    write_tables(ensemble, work)
    shown = ensemble.first(list(ensemble.plan.arms)[-1])
    frames = overview.prepare(ensemble.series, ensemble.families, ensemble.summary, shown.nodes, shown.edges)
    overview.save(frames, work)
    write_provenance(ensemble, work)
