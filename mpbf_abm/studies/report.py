"""The report of a study: methods, parameters, counts, failures and results, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mpbf_abm.errors import lines_where
from mpbf_abm.outputs import markdown_table
from mpbf_abm.parameters import PATHS, schema
from mpbf_abm.provenance import version
from mpbf_abm.studies.analyses import Analysis, distributions
from mpbf_abm.studies.definition import Arm
from mpbf_abm.studies.design import Factor
from mpbf_abm.studies.results import DONE, FAILED, MISSING, Results

if TYPE_CHECKING:
    import pandas as pd

# Columns of tables that are printed; of the others all are.
SHOWN = {
    "effects": "outcome arm role baseline treated difference low high smallest verdict share_better share_harmed vrf "
    "units",
    "distributions": "outcome arm runs mean median p10 p90 bimodality share_low share_high",
    "criteria": "criterion arm value rank first_share honest",
    "indices": "outcome factor first first_low first_high total total_low total_high above_floor stochastic_share "
    "rows replicates",
    "box": "factor restricted low high quasi_p reproduced",
    "trajectory": "step chosen restricted coverage density mass held_out_coverage held_out_density",
    "generalised": "series factor first total",
}
MORRIS = "outcome factor mu_star floor size size_low size_high spread above_floor trajectories replicates"
LEFT_OUT = ("regret", "points", "along", "phase")
TITLES = {
    "phase": "Phase diagram",
    "compare": "Effects of policies",
    "robustness": "Robustness",
    "sensitivity": "Sensitivity",
    "discover": "Scenario discovery",
}
DESIGNS = {
    "single": "one setting of the parameters",
    "grid": "a full grid",
    "one_at_a_time": "one factor at a time",
    "lhs": "a Latin hypercube sample",
    "sobol": "a scrambled Sobol sequence",
    "morris": "Morris trajectories",
    "saltelli": "a Saltelli design on a scrambled Sobol sequence",
    "table": "a given table",
}
KEYED = "share every random draw that they have in common, keyed by decision, tick and agent"
SHARED = {
    "policies": f"Arms of a scenario {KEYED}",
    "all": f"All arms and scenarios {KEYED}",
    "none": "Runs are independent",
}
ANALYSED = (
    "Effects are paired differences with simultaneous 95 % intervals by a max-t bootstrap; proportions have Wilson "
    "intervals; Sobol and Morris measures have the noise of replicates taken out and bootstrap percentile intervals; "
    "boxes of scenario discovery are judged on a held-out half."
)


def report(
    results: Results, analyses: Sequence[Analysis], figures: Mapping[str, str], refused: Sequence[str] = ()
) -> str:
    """Write the report.

    Parameters
    ----------
    results : Results
    analyses : sequence of Analysis
    figures : mapping of str to str
        Paths of figures, as seen from the report, by kind of analysis.
    refused : sequence of str
        Analyses the design does not support, and why.
    """
    study = results.study
    lines = [f"# {study.name}"] + ["", study.question] * bool(study.question)
    sections = [("Methods", [methods(results)]), ("Parameters", parameters(results)), ("Arms", arms(results))]
    sections.append(("Runs", counts(results)))
    if not any(a.kind == "compare" for a in analyses):
        sections.append(("Distributions", table(distributions(results), SHOWN["distributions"])))
    for analysis in analyses:
        title, kind = TITLES[analysis.kind], analysis.kind
        part = [f"![{title}]({figures[kind]})", ""] if kind in figures else []
        part += [f"- {note}" for note in analysis.notes]
        for name, frame in analysis.tables.items():
            if name not in LEFT_OUT:
                shown = MORRIS if (kind, name) == ("sensitivity", "effects") else SHOWN.get(name, "")
                part += ["", f"### {name.capitalize()}", "", *table(frame, shown)]
        sections.append((title, part))
    if refused:
        sections.append(("Not possible with this design", [f"- {reason}" for reason in refused]))
    for title, part in sections:
        lines += ["", f"## {title}", "", *part]
    return "\n".join(lines).rstrip() + "\n"


def methods(results: Results) -> str:
    """Say in one paragraph how the study was made, for a paper's methods section."""
    study, status, rule = results.study, results.status, results.study.replicates
    done, failed = int((status == DONE).sum()), int((status == FAILED).sum())
    scenarios, each, replicates = (
        f"{n} {word}{'s' * (n > 1)}" for n, word in zip(results.shape, ("scenario", "arm", "replicate"), strict=True)
    )
    over = f" over {len(study.factors)} factors" if study.factors else ""
    precise = f" (as many as precision took, at least {rule.least}, at most {rule.most}, look ahead {rule.look_ahead})"
    history = (
        "a history of each replicate"
        if study.branch and study.branch.history == "own"
        else "one history of each scenario"
    )
    missing = status.size - done - failed
    model = f"model {study.own_model}" if study.own_model else "the ecosystem model"
    machines = {e.get("python", "?") + ", numpy " + e.get("numpy", "?") for e in results.store.environments().values()}
    seconds = sum(row[2] for row in results.store.seconds())
    runs = f"{scenarios} ({DESIGNS[study.design.kind]}{over}), {each}, {replicates} of each{precise * study.adaptive}"
    made = f"{model} (source {results.plan.fingerprint[:12]}), Python {'; Python '.join(sorted(machines))}"
    parts = lines_where(
        (True, f"{study.name}: {runs}; {study.ticks} ticks; root seed {study.seed}."),
        (True, f"{SHARED[study.crn]} (common random numbers: {study.crn})."),
        (study.branch, f"Arms branch at tick {study.branch.tick if study.branch else 0} from {history}."),
        (study.primary, f"Primary outcomes, declared before running: {', '.join(study.primary)}."),
        (not study.primary, "No outcome was declared primary; all results are exploratory."),
        (True, ANALYSED),
        (True, f"{status.size} runs planned, {done} done, {failed} failed{f', {missing} missing' if missing else ''}."),
        (
            True,
            f"Made with mpbf_abm {version()}, {made}; {seconds / 3600:.2g} processor hours; results {results.hash}.",
        ),
    )
    return " ".join(parts)


def parameters(results: Results) -> list[str]:
    """Return a table of what varies and what differs from the preset, with unit and source."""
    study = results.study
    known = {row["path"]: row for row in schema()}
    rows = []
    for name, value in study.parameters.items():
        paths = value.targets if isinstance(value, Factor) else (name,)
        first, head = known.get(paths[0], {}), f"`{name}`" if name in PATHS else name
        note = first.get("help", "") if len(paths) == 1 else f"moves {', '.join(f'`{p}`' for p in paths)}"
        rows.append((head, span(value), first.get("unit", "1"), first.get("source", "of the study"), note))
    if not rows:
        return [f"All parameters are those of the preset `{study.preset}`."]
    table = markdown_table(("parameter", "value", "unit", "source", "meaning"), rows).splitlines()
    return [f"All others are those of the preset `{study.preset}`.", "", *table]


def span(value: Any) -> str:
    """Value or range of a parameter in words."""
    if not isinstance(value, Factor):
        return f"{value}"
    if value.values:
        return " | ".join(str(v) for v in value.values)
    return f"{value.low:g} to {value.high:g}" + (" (log)" if value.scale == "log" else "")


def arms(results: Results) -> list[str]:
    """Return a table of the arms and what they do when."""
    rows = [(arm.label, described(arm)) for arm in results.plan.arms]
    lines = markdown_table(("arm", "what it adds"), rows).splitlines()
    shocks = "; ".join(map(_event, results.study.shocks))
    return lines + (["", f"In every arm: {shocks}."] if shocks else [])


def described(arm: Arm) -> str:
    """Policies, shocks and parameters of an arm in words."""
    parts = [_event(e) for e in arm.events] + [f"{path} = {value}" for path, value in arm.parameters.items()]
    return "; ".join(parts) or "nothing"


def _event(event: Any) -> str:
    words = f"{event.name} from tick {event.start}"
    if event.end is not None:
        words += f" to {event.end}"
    if event.strength is not None:
        words += f" at {event.strength:g}"
    elif (usual := event.usual) is not None:
        words += f" at {usual:g} (usual)"
    for name in ("ramp", "fade"):
        if getattr(event, name, 0):
            words += f", {name} {getattr(event, name)}"
    if getattr(event, "set", None):
        words += " (" + ", ".join(f"{path} = {value}" for path, value in event.set.items()) + ")"
    return words


def counts(results: Results) -> list[str]:
    """Return a table of runs by arm and status, and the failures by what they said."""
    counted = [(results.status == kind).sum(axis=(0, 2)) for kind in (DONE, FAILED, MISSING)]
    rows = [(arm, *map(str, (sum(row), *row))) for arm, *row in zip(results.arm_names, *counted, strict=True)]
    lines = markdown_table(("arm", "planned", "done", "failed", "missing"), rows).splitlines()
    failures = results.failures
    if len(failures):
        grouped = failures.groupby(["arm", "stage", "type", "message"]).size().reset_index(name="runs")
        lines += ["", "Failures:", "", *table(grouped)]
    return lines


def table(frame: pd.DataFrame, columns: str = "") -> list[str]:
    """Return a table as Markdown; numbers with four digits."""
    shown = [c for c in (columns.split() or frame.columns) if c in frame.columns]
    rows = [tuple(_cell(v) for v in row) for row in frame[shown].itertuples(index=False)]
    return markdown_table([str(c).replace("_", " ") for c in shown], rows).splitlines()


def _cell(value: Any) -> str:
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (float, np.floating)):
        return "" if np.isnan(value) else f"{value:.4g}"
    return "" if value is None else str(value)
