"""Runs in words: size and cost of a study, and what came of it; outcomes for machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mpbf_abm.errors import MpbfError, lines_where
from mpbf_abm.outputs import clock, size, table, write_pages
from mpbf_abm.studies import analyses
from mpbf_abm.studies.analyses import Analysis
from mpbf_abm.studies.definition import StudyDefinition
from mpbf_abm.studies.driver import Shard, Tally
from mpbf_abm.studies.plan import Plan
from mpbf_abm.studies.report import report
from mpbf_abm.studies.results import Results
from mpbf_abm.studies.upkeep import CostEstimate
from mpbf_abm.studies.whatif import Ensemble

KINDS = ("phase", "compare", "robustness", "sensitivity", "discover")
Stored = tuple[int, int] | None  # runs of the study, and others

# --------------------------------------------------------------------------- a run or what-if


def run_mapping(ensemble: Ensemble, folder: Path, run_hash: str) -> dict[str, Any]:
    """Return outcomes of every run, and effects, for machines."""
    effects = None if ensemble.effects is None else ensemble.effects.to_dict("records")
    run = {"run_hash": run_hash, "out": str(folder), "ticks": ensemble.plan.ticks, "seeds": ensemble.plan.seeds}
    return run | {"runs": ensemble.summary.to_dict("records"), "effects": effects, "cautions": ensemble.cautions}


# --------------------------------------------------------------------------- a study


def runs_in_words(plan: Plan) -> str:
    """Return how many runs a study has, and why."""
    n = plan.study.replicates
    replicates, runs = f"{n.n}", f"{plan.count()}"
    if n.n is None:
        replicates, runs = f"{n.first} to {n.most}", f"{runs} to {plan.count(n.most)}"
    return (
        f"{len(plan.scenarios)} scenarios x {len(plan.arms)} arms x {replicates} replicates = {runs} runs of "
        f"{plan.study.ticks} ticks"
    )


def _counts(plan: Plan) -> tuple[int, int]:
    """Count the fewest and the most runs."""
    return plan.count(), plan.count(_most(plan))


def _most(plan: Plan) -> int:
    """Return the most replicates."""
    n = plan.study.replicates
    return n.n or n.most or 0


def plan_mapping(plan: Plan, stored: Stored, cost: CostEstimate | None) -> dict[str, Any]:
    """Return size, cost and supported analyses, for machines."""
    runs, replicates = _counts(plan), [plan.study.replicates.first, _most(plan)]
    size = {"study": plan.study.name, "scenarios": len(plan.scenarios), "arms": [a.label for a in plan.arms]}
    size |= {"replicates": replicates, "runs": runs, "stored": stored or [0, 0]}
    supported = {kind: why or True for kind, why in plan.supports().items()}
    pilot = cost and vars(cost) | {"total_seconds": [*map(cost.duration, runs)], "total_bytes": [*map(cost.disk, runs)]}
    return size | {"analyses": supported, "pilot": pilot}


def plan_rows(plan: Plan, stored: Stored, cost: CostEstimate | None) -> list[list[str]]:
    """Return size, cost and supported analyses, as rows of a table."""
    rows = [["size", runs_in_words(plan)]]
    if stored is not None:
        rows.append(["stored", f"{stored[0]} of these runs, {stored[1]} that are no part of the study as it is now"])
    if cost is not None:
        rows += _cost_rows(cost, list(dict.fromkeys(_counts(plan))))
    why = plan.supports().items()
    return rows + [[f"mpbf {name}", f"not supported: {reason}" if reason else "supported"] for name, reason in why]


def _cost_rows(cost: CostEstimate, counts: Sequence[int]) -> list[list[str]]:
    """Return time and disk of the fewest and the most runs."""
    failed = f"; {cost.failed} FAILED: {cost.message}" if cost.failed else ""
    return [
        ["pilot", f"{cost.pilot} runs timed, {cost.seconds:.3g} s each on {cost.workers} processes{failed}"],
        ["time", " to ".join(clock(cost.duration(r)) for r in counts) + f" on {cost.workers} processes"],
        ["disk", " to ".join(size(cost.disk(r)) for r in counts)],
    ]


def summary(definition: StudyDefinition, tally: Tally, place: Path, part: Shard | None) -> str:
    """Return what came of the runs of a study, and which command comes next."""
    again = f" ({tally.again} of them again, to record more)" if tally.again else ""
    made = f"{tally.made} runs made{again}, {tally.failed} failed, {tally.known} there already"
    lines = [f"{made}, in {clock(tally.seconds)} -> {place}"]
    failures = f"mpbf study failures {place}"
    if tally.failed_before:
        retry = f"mpbf study run {place} --retry tries them again"
        lines.append(f"{tally.failed_before} runs failed before: {failures}; {retry}")
    elif tally.failed:
        lines.append(failures)
    return "\n".join([*lines, *_next(definition, tally, place, part)])


def _next(definition: StudyDefinition, tally: Tally, place: Path, part: Shard | None) -> list[str]:
    """Return which command comes next, and whether the wanted precision is reached."""
    if tally.interrupted:
        return [f"interrupted; finished runs are kept: mpbf study run {place} resumes"]
    if part is not None:
        return [f"when all {part.of} shards are there: mpbf study merge {place}"]
    reached = "precise enough" if tally.precise else "wanted precision NOT reached"
    adaptive = [f"{tally.replicates} replicates: {reached}"] if definition.adaptive else []
    return [*adaptive, f"mpbf study report {place}" + f"; mpbf compare {place}" * (len(definition.arms) > 1)]


def merged(count: Mapping[str, int], target: Path) -> str:
    """Return what came of a merge."""
    again, why = f"mpbf study run {target} makes them again", "different results (other machines or libraries?)"
    lines = lines_where(
        (True, f"{count['added']} runs added, {count['known']} there already -> {target}"),
        (count["damaged"], f"{count['damaged']} runs are damaged and left out; {again}"),
        (count["different"], f"{count['different']} runs are done in both with {why}; those of {target} stay"),
    )
    return "\n".join(lines)


def failures_text(frame: pd.DataFrame, tracebacks: Mapping[str, str]) -> str:
    """Return failed runs as a table, the message last, and tracebacks below."""
    if not len(frame):
        return "no run failed"
    order = [*frame.columns.drop("message"), "message"]
    rows = frame[order].map(_cell).assign(run=frame["run"].str[:12]).to_numpy().tolist()
    below = [f"\n{run}\n{tracebacks.get(run, '')}" for run in frame["run"]] if tracebacks else []
    return "\n".join([table(order, rows), *below])


def _cell(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def write_report(results: Results, work: Path) -> None:
    """Write methods, parameters, counts and every analysis that the design supports, with their figures."""
    from mpbf_abm.figures import of_studies, style

    made: list[Analysis] = []
    refused: list[str] = []
    for kind in KINDS:
        try:
            made.append(getattr(analyses, kind)(results))
        except MpbfError as error:
            refused += getattr(error, "faults", [str(error)])
    shown: dict[str, str] = {}
    for analysis in made:
        with style.or_none(analysis.kind):
            shown[analysis.kind] = of_studies.save(results, analysis, work / analysis.kind)[0].name
        write_pages(work, tables={f"{analysis.kind}-{name}": frame for name, frame in analysis.tables.items()})
    write_pages(work, {"report.md": report(results, made, shown, refused)})


def write_analysis(results: Results, analysis: Analysis, work: Path) -> None:
    """Write notes, tables and figure of an analysis."""
    from mpbf_abm.figures import of_studies, style

    write_pages(work, {"notes.txt": "\n".join(analysis.notes) + "\n"}, analysis.tables)
    with style.or_none(analysis.kind):
        of_studies.save(results, analysis, work / analysis.kind)


def incomplete(results: Results) -> list[str]:
    """Return a warning where runs are missing."""
    planned, finished = results.status.size, int((results.status != 0).sum())
    words = f"INCOMPLETE: {finished} of {planned} runs are finished; what follows may change"
    return [] if finished == planned else [words]
