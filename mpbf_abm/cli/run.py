"""``mpbf run``: a plain run, or a what-if on common seeds."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mpbf_abm.cli.app import app
from mpbf_abm.cli.console import (
    Assignments,
    ConfigFile,
    Json,
    Preset,
    complain,
    number,
    processes,
    settings_of,
    table,
    tell_written,
    whole,
)
from mpbf_abm.cli.data import (
    Drop,
    Duplicates,
    Family,
    Formula,
    Goal,
    Measured,
    Objective,
    Simulated,
    SimulatedUnit,
    Unit,
    Year,
    given,
    read_space,
)
from mpbf_abm.errors import ConfigurationError

if TYPE_CHECKING:
    from mpbf_abm.studies.whatif import Ensemble, Plan


@app.command()
def run(
    config_file: ConfigFile = None,
    preset: Preset = None,
    assignments: Assignments = None,
    seed: Annotated[
        str | None, typer.Option(metavar="INTEGER", help="Seed of the first replicate. [default: 1]")
    ] = None,
    ticks: Annotated[
        str | None, typer.Option(metavar="INTEGER", help="Horizon; a tick is about a month. [default: 120]")
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[:start=24,strength=0.5]",
            help="Ask what a policy would change (mpbf config policies); may be repeated.",
        ),
    ] = None,
    shock: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[:start=24,end=36]",
            help="Let a shock hit every run (mpbf config shocks); may be repeated.",
        ),
    ] = None,
    shared: Annotated[
        bool | None,
        typer.Option(
            "--shocks-in-baseline/--no-shocks-in-baseline",
            help="Let shocks hit both arms, or the what-if alone: what do they change, with the policies? [default: both]",
        ),
    ] = None,
    replicates: Annotated[
        str | None,
        typer.Option(
            metavar="INTEGER", help="Runs, or pairs of a what-if, at seeds SEED, SEED+1, ... [default: 1, what-if 8]"
        ),
    ] = None,
    jobs: Annotated[
        str | None,
        typer.Option("--jobs", "-j", metavar="INTEGER", help="Processes. [default: one per core, at most one per run]"),
    ] = None,
    data_table: Annotated[
        Path | None,
        typer.Option(
            "--table", metavar="FILE", help="Real materials: a table of formulas (with --formula, --measured)."
        ),
    ] = None,
    formula: Formula = None,
    measured: Measured = None,
    simulated: Simulated = None,
    year: Year = None,
    family: Family = None,
    pool: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Real settings: a numeric pool (with --objective; often with --preset pool)."
        ),
    ] = None,
    objective: Objective = None,
    goal: Goal = "max",
    unit: Unit = None,
    simulated_unit: SimulatedUnit = None,
    duplicates: Duplicates = None,
    drop: Drop = False,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of results. [default: results/ and the hash of the plan]")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the results of another plan in DIR.")] = False,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print neither progress nor tables.")] = False,
) -> None:
    """Run the model once, or ask a what-if: with --policy, baseline and what-if on the same seeds; shocks hit both.

    Writes tables, parameters, provenance and an overview figure into a folder of its own, complete or not at all. The runs are kept
    in its folder `runs`: a command that was stopped goes on there, and with the same --out more replicates make the new ones only.
    """
    from mpbf_abm.cli.progress import Bar
    from mpbf_abm.outputs import OutputFolder
    from mpbf_abm.studies.whatif import run_plan

    numbers = {"seed": seed, "ticks": ticks, "replicates": replicates}
    data = given(
        table=data_table, formula=formula, measured=measured, simulated=simulated, year=year, family=family, pool=pool,
        objective=objective, unit=unit, simulated_unit=simulated_unit, duplicates=duplicates,
    )  # fmt: skip
    faults: list[str] = []
    count = processes(jobs, faults)
    plan = make_plan(
        config_file, preset, assignments or [], {k: whole(v, k, faults) for k, v in numbers.items()}, policy or [], shock or [],
        data, goal, drop, faults, shared,
    )  # fmt: skip
    record = plan.record()
    folder = out if out is not None else Path("results") / str(record["run_hash"])[:12]
    output = OutputFolder(folder, "run", plan.question_hash, force=force)
    with output as work:
        _tell_read(plan)
        jobs_at_once = count or min(os.cpu_count() or 1, plan.replicates * len(plan.arms))
        with Bar(quiet) as watch:
            ensemble = run_plan(plan, jobs_at_once, watch, folder)
        _write(ensemble, work)
    if as_json:
        print(json.dumps(summary_json(ensemble, folder, str(record["run_hash"])), indent=2, allow_nan=False))
    elif not quiet:
        print(report(ensemble))
        print()
    tell_written(output, quiet=quiet or as_json)


def make_plan(
    config_file: Path | None,
    preset: str | None,
    assignments: Sequence[str],
    numbers: dict[str, int | None],
    policies: Sequence[str],
    shocks: Sequence[str],
    data: dict[str, Any],
    goal: str,
    drop: bool,
    faults: list[str],
    shared: bool | None = None,
) -> Plan:
    """Put together what to run; the command line goes before the file.

    Raises
    ------
    ConfigurationError
        Every fault at once, those that were found before included.
    """
    from mpbf_abm.model.settings import DEFAULT_PAIRS, numbers_faults, read_events
    from mpbf_abm.studies.whatif import Plan

    settings = settings_of(config_file, preset, assignments, faults)
    given = {k: v for k, v in numbers.items() if v is not None}
    faults += [f"--{fault}" for fault in numbers_faults(given)]
    arms: dict[str, tuple[Any, ...]] = {}
    for key, texts, known in (("policy", policies, settings.policies), ("shock", shocks, settings.shocks)):
        events, event_faults = read_events(texts, key)
        faults += event_faults
        arms[key] = (*known, *events)
    space = read_space(data, goal, drop, faults)
    if faults:
        raise ConfigurationError(faults)
    both = settings.shocks_in_baseline if shared is None else shared
    whatif = {"replicates": DEFAULT_PAIRS} if arms["policy"] or (arms["shock"] and not both) else {}
    plan = Plan(
        settings.parameters,
        policies=arms["policy"],
        shocks=arms["shock"],
        space=space,
        shocks_in_baseline=both,
        **{**whatif, **settings.numbers, **given},
    )
    plan.check()
    return plan


def _tell_read(plan: Plan) -> None:
    """Say how the data were understood, if that is not plain, and what was left out."""
    if plan.space is None:
        return
    origin = dict(plan.space.origin)
    complain([f"{origin['source']}: {note}" for note in origin.get("notes", [])])
    dropped = origin.get("dropped", {})
    if dropped.get("count"):
        print(f"mpbf: left out {dropped['count']} rows", file=sys.stderr)
        complain(dropped["reasons"])


def _write(ensemble: Ensemble, work: Path) -> None:
    from mpbf_abm.figures import overview
    from mpbf_abm.studies.whatif import write_provenance, write_tables

    write_tables(ensemble, work)
    shown = ensemble.first(list(ensemble.plan.arms)[-1])
    frames = overview.prepare(ensemble.series, ensemble.families, ensemble.summary, shown.nodes, shown.edges)
    overview.save(frames, work)
    write_provenance(ensemble, work)


# --------------------------------------------------------------------------- what a run says


def report(ensemble: Ensemble) -> str:
    """Headline outcomes as text: means and effects, medians and ranges."""
    from mpbf_abm.model.run import HEADLINE

    effects = ensemble.effects
    parts = [ensemble.plan.words(), ""]
    if effects is None:
        parts += [_spread_table(ensemble)]
        return "\n".join(parts)
    rows = []
    for outcome in HEADLINE:
        e = effects[effects["outcome"] == outcome].iloc[0]
        sure = "*" if e.low > 0 or e.high < 0 else ""
        interval = (
            "identical  " if e.identical else "-" if math.isnan(e.low) else f"{e.low:+.3g} to {e.high:+.3g} {sure:1}"
        )
        rows.append(
            [
                outcome,
                number(e.baseline),
                number(e.treated),
                number(e.difference, "+"),
                interval,
                number(e.vrf),
                str(e.n),
            ]
        )
    head = ["outcome (mean)", "baseline", "what-if", "difference", "95 % interval  ", "VRF", "pairs"]
    parts += [table(head, rows, right=(1, 2, 3, 4, 5, 6))]
    parts += ["* interval without 0; the intervals hold together; VRF: variance of unpaired over paired differences"]
    parts += [*ensemble.cautions, "", _spread_table(ensemble)]
    return "\n".join(parts)


def _spread_table(ensemble: Ensemble) -> str:
    from mpbf_abm.model.indicators import UNITS
    from mpbf_abm.model.run import HEADLINE
    from mpbf_abm.stats.paired import spread

    if ensemble.plan.replicates == 1:
        rows = [[o, number(float(ensemble.summary[o].iloc[0])), UNITS[o]] for o in HEADLINE]
        return table(["outcome", "value", "unit"], rows, right=(1,))
    arms = list(ensemble.plan.arms)
    by_arm = {arm: spread(ensemble.arm(arm), HEADLINE).set_index("outcome").T.to_dict() for arm in arms}
    rows = [
        [o, *(f"{number(t[o]['median'])} ({number(t[o]['p10'])} to {number(t[o]['p90'])})" for t in by_arm.values()), UNITS[o]]
        for o in HEADLINE
    ]  # fmt: skip
    head = ["outcome (median, 10-90 % of runs)", *(arms if len(arms) > 1 else ["value"]), "unit"]
    return table(head, rows, right=range(1, len(head) - 1))


def summary_json(ensemble: Ensemble, folder: Path, run_hash: str) -> dict[str, Any]:
    """Outcomes of every run, and effects, for machines; NaN becomes null."""
    from mpbf_abm.studies.whatif import plain

    effects = ensemble.effects
    out = {
        "run_hash": run_hash,
        "out": str(folder),
        "ticks": ensemble.plan.ticks,
        "seeds": ensemble.plan.seeds,
        "runs": ensemble.summary.to_dict("records"),
        "effects": None if effects is None else effects.to_dict("records"),
        "cautions": ensemble.cautions,
    }
    plained: dict[str, Any] = plain(out)
    return plained
