"""Real materials as text: what a table or pool holds, and acquisition rules on a pool beside random choice."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpbf_abm.outputs import RECORD, number, table, write_pages
from mpbf_abm.provenance import record

if TYPE_CHECKING:
    import pandas as pd

    from mpbf_abm.model.campaign import Campaign
    from mpbf_abm.model.materials import MaterialsSpace

SHOWN = 10
CONFLICTS_SHOWN = 5
NAMED = 12  # factors


def table_text(found: Mapping[str, Any]) -> str:
    """Return the report of a table or pool (:func:`mpbf_abm.model.materials.report`) as text."""
    what, dropped = "settings" if found["kind"] == "pool" else "materials", found["dropped"]["count"]
    rows = [f"{found['rows']} rows", f"{dropped} left out", f"{found['merged']} merged"]
    parts = [f"{found['source']}: {', '.join(rows)}, {found['materials']} {what}, {found['descriptors']} descriptors"]
    parts += [f"- {line}" for line in [*factor_lines(found), *found["notes"]]]
    each = found.get("properties", [found])
    for p in each:
        if p["replicate_sd"] is not None:
            parts.append(f"- rows of one {what[:-1]} differ by an sd of {number(p['replicate_sd'])}{_of(p, ' in')}")
    if found["years"]:
        parts.append("- years {} to {}".format(*found["years"]))
    return "\n".join([*parts, *(line for p in each for line in _property_lines(p, found["kind"]))])


def _of(values: Mapping[str, Any], word: str = "") -> str:
    """Name a property, where there are several."""
    return f"{word} '{values['name']}'" if "name" in values else ""


def _property_lines(values: Mapping[str, Any], kind: str) -> list[str]:
    """Return what is said of one property."""
    p, top = values["property"], values["top"]
    span = f"{number(p['low'])} to {number(p['high'])}, median {number(p['median'])}, sd {number(p['sd'])}"
    lines = ["", f"property{_of(values)} [{values['unit']}], {values['goal']} sought: {span}"]
    lines.append(f"top set: {top['materials']}; best: " + "; ".join(map(_best, top["best"])))
    if s := values["simulated"]:
        correlation = "-" if s["correlation"] is None else number(s["correlation"])
        bias = f"{number(s['bias'], '+')} in the mean, {number(s['mean_absolute'])} in size"
        slope = f"slope of simulated on measured {number(s['slope'])}, correlation {correlation}"
        lines.append(f"simulated less measured: {bias}; {slope}")
    return [*lines, *_conflicts(values["conflicts"]), *_families(values["families"], kind)]


def factor_lines(found: Mapping[str, Any]) -> list[str]:
    """Name the factors of a pool, and the columns that are none, in at most two lines."""
    named = [_factor_words(factor) for factor in found.get("factors", ())]
    left = [f"{name} ({reason})" for name, reason in found.get("left_out", {}).items()]
    lines = []
    for label, words in (("factors: ", named), ("left out: ", left)):
        more = f", and {len(words) - NAMED} more" if len(words) > NAMED else ""
        lines += [f"{label}{', '.join(words[:NAMED])}{more}"] if words else []
    return lines


def _factor_words(factor: Mapping[str, Any]) -> str:
    """Return a factor with its kind, and its levels as far as they are few."""
    if factor["kind"] == "number":
        return str(factor["name"])
    levels = factor["levels"]
    order = " in order" if factor["kind"] == "ordinal" else ""
    return f"{factor['name']} ({len(levels)} levels{order}: {', '.join(levels[:4])}{', ...' * (len(levels) > 4)})"


def _best(entry: Mapping[str, Any]) -> str:
    return f"{entry['name']} ({number(entry['value'])})" if "name" in entry else number(entry["value"])


def _conflicts(conflicts: list[dict[str, Any]]) -> list[str]:
    if not conflicts:
        return []
    rows = [
        [c["material"], number(c["low"]), number(c["high"]), number(c["sd_apart"]), ", ".join(map(str, c["rows"]))]
        for c in conflicts[:CONFLICTS_SHOWN]
    ]
    more = f", the widest {CONFLICTS_SHOWN}" if len(conflicts) > CONFLICTS_SHOWN else ""
    head = ["material", "low", "high", "sd apart", "rows"]
    return ["", f"rows that contradict each other: {len(conflicts)}{more}", table(head, rows, right=(1, 2, 3))]


def _families(families: list[dict[str, Any]], kind: str) -> list[str]:
    if kind == "pool":
        return []
    bias = ["bias"] if "bias" in families[0] else []
    names = ["materials", "low", "median", "high", *bias]
    rows = [_family(family, bias) for family in families[:SHOWN]]
    if rest := families[SHOWN:]:
        rows.append([f"{len(rest)} more", str(sum(f["materials"] for f in rest)), *[""] * (len(names) - 1)])
    return ["", table([f"family (of {len(families)})", *names], rows, right=range(1, len(names) + 1))]


def _family(family: Mapping[str, Any], bias: list[str]) -> list[str]:
    """Return the cells of a family."""
    numbers = [number(family[name]) for name in ("low", "median", "high")]
    return [family["name"], str(family["materials"]), *numbers, *(number(family[name], "+") for name in bias)]


# --------------------------------------------------------------------------- campaigns


def pool_text(space: MaterialsSpace, summary: pd.DataFrame, options: dict[str, Any]) -> str:
    """Format the rules as a table, random choice first."""
    rows = [[row["rule"], *_cells(row)] for row in summary.to_dict("records")]
    head = ["rule", "AF@30", "AF@50", "AF@80", "EF", "top @10 % of pool", "found best", "CPU s"]
    width, seeds = len(space.origin["descriptors"]), int(summary["seeds"].max())
    pool = f"{space.size} settings, {width} descriptor{'s' * (width != 1)}, the best {int(space.top.sum())} sought"
    start = f"{options['founding']} at the start, batch {options['batch']}, {options['kernel']} kernel"
    factors = "AF@x: experiments by chance over experiments until x % of the best are found"
    notes = [f"mean (95 % interval over seeds). {factors}; EF: found at the end over by chance"]
    if (summary.filter(like="_reached").min(axis=1) < summary["seeds"]).any():
        notes.append("- n/m: only n of m campaigns reached it; try a larger --budget")
    first = f"{pool} | {seeds} campaigns of each rule, {options['budget']} experiments, {start}"
    first = "\n".join([first, *(f"- {line}" for line in factor_lines(space.origin))])
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


def write_pool(space: MaterialsSpace, campaigns: Sequence[Campaign], run: dict[str, Any], work: Path) -> None:
    """Write tables, figure and the record of the campaigns."""
    from mpbf_abm.figures import of_pools, style
    from mpbf_abm.measures.acceleration import campaign_table, curve_table, summary_table

    # Seconds are not a result: equal campaigns give equal bytes.
    summary = summary_table(space, campaigns).drop(columns="cpu_seconds")
    tables = {"curves": curve_table(space, campaigns), "campaigns": campaign_table(space, campaigns)}
    write_pages(work, tables={"summary": summary, **tables})
    with style.or_none("campaigns"):
        of_pools.save(space, campaigns, work)
    (work / RECORD).write_text(json.dumps(record(**run), allow_nan=False), encoding="utf-8")
