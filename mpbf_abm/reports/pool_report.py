"""Acquisition rules on a pool, compared with random choice."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mpbf_abm.figures import of_pools
from mpbf_abm.measures.acceleration import campaign_table, curve_table, summary_table
from mpbf_abm.model.campaign import Campaign
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.outputs import RECORD, number, table, write_pages
from mpbf_abm.provenance import record


def report(space: MaterialsSpace, summary: pd.DataFrame, options: dict[str, Any]) -> str:
    """Format the rules as a table, random choice first."""
    records: list[dict[Any, Any]] = summary.to_dict("records")
    rows = [[row["rule"], *_cells(row)] for row in records]
    head = ["rule", "AF@30", "AF@50", "AF@80", "EF", "top @10 % of pool", "found best", "CPU s"]
    width, seeds = len(space.origin["descriptors"]), int(summary["seeds"].max())
    pool = f"{space.size} settings, {width} descriptor{'s' * (width != 1)}, the best {int(space.top.sum())} sought"
    start = f"{options['founding']} at the start, batch {options['batch']}"
    factors = "AF@x: experiments by chance over experiments until x % of the best are found"
    notes = [f"mean (95 % interval over seeds). {factors}; EF: found at the end over by chance"]
    if (summary.filter(like="_reached").min(axis=1) < summary["seeds"]).any():
        notes.append("- n/m: only n of m campaigns reached it; try a larger --budget")
    first = f"{pool} | {seeds} campaigns of each rule, {options['budget']} experiments, {start}"
    return "\n".join([first, "", table(head, rows, right=range(1, len(head))), *notes])


def _cells(row: dict[Any, Any]) -> list[str]:
    """Return the cells of a rule, after its name."""
    factors = [_factor(row, f"af{share}") for share in (30, 50, 80)]
    shares = [_with_interval(row, name) for name in ("ef", "recall_tenth")]
    return [*factors, *shares, number(row["found_best"]), number(row["cpu_seconds"]) if row["seeds"] else "-"]


def _factor(row: dict[Any, Any], name: str) -> str:
    reached = row.get(f"{name}_reached", math.nan)
    if row["seeds"] and reached < row["seeds"]:
        return f"- {reached:.0f}/{row['seeds']}"
    return _with_interval(row, name)


def _with_interval(row: dict[Any, Any], name: str) -> str:
    low, high = row.get(f"{name}_low", math.nan), row.get(f"{name}_high", math.nan)
    return number(row[name]) + ("" if math.isnan(low) else f" ({number(low)} to {number(high)})")


def write(space: MaterialsSpace, campaigns: Sequence[Campaign], run: dict[str, Any], work: Path) -> None:
    """Write tables, figure and the record of the campaigns."""
    # Seconds are not a result: equal campaigns give equal bytes.
    summary = summary_table(space, campaigns).drop(columns="cpu_seconds")
    tables = {"curves": curve_table(space, campaigns), "campaigns": campaign_table(space, campaigns)}
    write_pages(work, tables={"summary": summary, **tables})
    of_pools.save(space, campaigns, work)
    (work / RECORD).write_text(json.dumps(record(**run), allow_nan=False), encoding="utf-8")
