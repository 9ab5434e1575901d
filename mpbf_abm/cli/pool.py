"""``mpbf pool``: campaigns on a pool of real settings, rules compared on the same starts."""

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
from mpbf_abm.cli.console import Json, complain, number, processes, real, table, tell_written, whole
from mpbf_abm.cli.data import Drop, Duplicates, Goal, Objective, given, read_space
from mpbf_abm.errors import ConfigurationError

if TYPE_CHECKING:
    import pandas as pd

    from mpbf_abm.model.campaign import Campaign
    from mpbf_abm.model.materials import MaterialsSpace

MOST_BY_DEFAULT = 500  # experiments
FEW = 20  # a pool of so many settings is gone through whole


@app.command()
def pool(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Table of numeric settings, one row each.")],
    objective: Objective = None,
    goal: Goal = "max",
    descriptors: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="Columns of the settings. [default: all other numeric ones]")
    ] = None,
    acquisition: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RULE",
            help="random, greedy, ucb, ei, thompson, maxvar or ranking; may be repeated. [default: greedy]",
        ),
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="INTEGER", help="Campaigns of each rule, at seeds 1, 2, ... [default: 20]")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="N|SHARE",
            help="Experiments of a campaign, those at the start included; up to 1, a share of the pool. "
            f"[default: three quarters of the pool, at most {MOST_BY_DEFAULT}]",
        ),
    ] = None,
    batch: Annotated[
        str | None,
        typer.Option(metavar="INTEGER", help="Experiments chosen together, the best by the rule. [default: 1]"),
    ] = None,
    top: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE", help="Share of the settings that are sought. [default: .05, .01 above 1,000 settings]"
        ),
    ] = None,
    founding: Annotated[
        str | None,
        typer.Option(metavar="INTEGER", help="Random settings at the start, the same for every rule. [default: 5]"),
    ] = None,
    kappa: Annotated[
        str | None, typer.Option(metavar="NUMBER", help="Weight of the sd in ucb and ranking. [default: 1]")
    ] = None,
    noise: Annotated[
        bool, typer.Option("--noise", help="Measure with the spread of repeated settings. [default: without noise]")
    ] = False,
    jobs: Annotated[
        str | None, typer.Option("--jobs", "-j", metavar="INTEGER", help="Processes. [default: one per core]")
    ] = None,
    duplicates: Duplicates = None,
    drop: Drop = False,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for tables, figure and provenance; what is over is kept in runs/. [default: none is written]",
        ),
    ] = None,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print neither progress nor table.")] = False,
) -> None:
    """Compare acquisition rules in sequential-learning campaigns on a pool whose answers are known.

    A planner starts from a few random settings, fits a Gaussian process, makes the setting that its rule likes best,
    and so on. Reported are acceleration and enhancement factors against random choice, with 95 % intervals over seeds.
    """
    from mpbf_abm.cli.progress import Bar
    from mpbf_abm.model.campaign import check_campaign
    from mpbf_abm.outputs import OutputFolder
    from mpbf_abm.studies.tasks import run_campaigns

    faults: list[str] = []
    if objective is None:
        faults.append("a pool needs --objective")
    share = real(top, "top", faults)
    if share is not None and not 0 < share <= 1:
        faults.append(f"--top = {share:g}: must be above 0 and at most 1")
    numbers = {k: whole(v, k, faults) for k, v in {"seeds": seeds, "batch": batch, "founding": founding}.items()}
    count = 20 if numbers["seeds"] is None else numbers["seeds"]
    if count < 1:
        faults.append(f"--seeds = {count}: must be at least 1")
    weight, limit, workers = real(kappa, "kappa", faults), real(budget, "budget", faults), processes(jobs, faults)
    named = None if descriptors is None else [name.strip() for name in descriptors.split(",")]
    columns = given(objective=objective, descriptors=named, top_share=share, duplicates=duplicates)
    space = None if faults else read_space({"pool": file, **columns}, goal, drop, faults)
    rules = list(dict.fromkeys(acquisition or ["greedy"]))
    options: dict[str, Any] = {}
    if space is not None:
        options = {
            "budget": _budget(limit, space.size, faults), "batch": 1 if numbers["batch"] is None else numbers["batch"],
            "founding": 5 if numbers["founding"] is None else numbers["founding"],
            "kappa": 1.0 if weight is None else weight, "noise": _noise(space, noise, faults),
        }  # fmt: skip
        try:
            check_campaign(space, rules, **options)
        except ConfigurationError as error:
            faults += [f"--{fault}" if "=" in fault.split(":")[0] else fault for fault in error.faults]
    if faults or space is None:
        raise ConfigurationError(faults)
    complain(space.origin["dropped"]["reasons"])
    run = {"pool": dict(space.origin), "acquisition": rules, "seeds": list(range(1, count + 1)), **options}
    workers = workers or os.cpu_count() or 1

    def campaigns() -> list[Campaign]:
        with Bar(quiet or as_json, "campaign") as watch:
            return run_campaigns(space, rules, run["seeds"], workers, out=out, progress=watch, **options)

    folder = None
    if out is None:
        made = campaigns()
    else:
        folder = OutputFolder(out, "pool", str(space.origin["sha256"]))
        with folder as work:
            made = campaigns()
            _write(space, made, run, work)
    from mpbf_abm.measures.acceleration import summary_table

    summary = summary_table(space, made)
    if as_json:
        from mpbf_abm.studies.whatif import plain

        print(json.dumps(plain({"run": run, "summary": summary.to_dict("records")}), indent=2, allow_nan=False))
    elif not quiet:
        print(report(space, summary, options))
    tell_written(folder, quiet=quiet, to=sys.stderr)


# --------------------------------------------------------------------------- what is asked


def _budget(value: float | None, size: int, faults: list[str]) -> int:
    """Experiments that are meant: a number, or a share of the pool."""
    if value is None:
        return min(MOST_BY_DEFAULT, max(3 * size // 4, min(size, FEW)))
    if value > 1 and value != int(value):
        faults.append(f"--budget = {value:g}: must be a whole number, or a share of the pool up to 1")
    return round(value * size) if value <= 1 else int(value)


def _noise(space: MaterialsSpace, wanted: bool, faults: list[str]) -> float:
    """Standard deviation of a measurement in property sd: that of repeated settings, or none."""
    if not wanted:
        return 0.0
    spread = space.origin["replicate_sd"]
    if spread is None:
        faults.append("--noise: no setting is repeated in this pool, so that its spread is not known")
        return 0.0
    return float(spread)


# --------------------------------------------------------------------------- what is told


def report(space: MaterialsSpace, summary: pd.DataFrame, options: dict[str, Any]) -> str:
    """Table of the rules, random choice first."""
    rows = []
    for row in ({str(k): v for k, v in r.items()} for r in summary.to_dict("records")):
        factors = [_factor(row, f"af{share}") for share in (30, 50, 80)]
        rows.append(
            [str(row["rule"]), *factors, _with_interval(row, "ef"), _with_interval(row, "recall_tenth"),
             number(row["found_best"]), number(row["cpu_seconds"]) if row["seeds"] else "-"]
        )  # fmt: skip
    head = ["rule", "AF@30", "AF@50", "AF@80", "EF", "top @10 % of pool", "found best", "CPU s"]
    words = "descriptor" if len(space.origin["descriptors"]) == 1 else "descriptors"
    top, seeds = int(space.top.sum()), int(summary["seeds"].max())
    what = (
        f"{space.size} settings, {len(space.origin['descriptors'])} {words}, the best {top} sought | {seeds} campaigns of each rule, "
        f"{options['budget']} experiments, {options['founding']} at the start, batch {options['batch']}"
    )
    notes = [
        "mean (95 % interval over seeds). AF@x: experiments by chance over experiments until x % of the best are found; EF: found at the end over by chance",
        *(["- n/m: only n of m campaigns got there; a larger --budget tells"] if (summary.filter(like="_reached").min(axis=1) < summary["seeds"]).any() else []),
    ]  # fmt: skip
    return "\n".join([what, "", table(head, rows, right=range(1, len(head))), *notes])


def _factor(row: dict[str, Any], name: str) -> str:
    reached = row.get(f"{name}_reached", math.nan)
    if row["seeds"] and reached < row["seeds"]:
        return f"- {reached:.0f}/{row['seeds']}"
    return _with_interval(row, name)


def _with_interval(row: dict[str, Any], name: str) -> str:
    low, high = row.get(f"{name}_low", math.nan), row.get(f"{name}_high", math.nan)
    return number(row[name]) + ("" if math.isnan(low) else f" ({number(low)} to {number(high)})")


def _write(space: MaterialsSpace, campaigns: Sequence[Campaign], run: dict[str, Any], work: Path) -> None:
    from mpbf_abm.figures import of_pools
    from mpbf_abm.measures.acceleration import campaign_table, curve_table, summary_table
    from mpbf_abm.outputs import RECORD, write_pages
    from mpbf_abm.provenance import record

    # Seconds are not a result: equal campaigns give equal bytes.
    summary = summary_table(space, campaigns).drop(columns="cpu_seconds")
    tables = {"summary": summary, "curves": curve_table(space, campaigns), "campaigns": campaign_table(space, campaigns)}  # fmt: skip
    write_pages(work, tables=tables)
    of_pools.save(space, campaigns, work)
    (work / RECORD).write_text(json.dumps(record(**run), allow_nan=False), encoding="utf-8")
