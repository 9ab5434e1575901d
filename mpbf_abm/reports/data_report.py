"""The report of a table or pool as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mpbf_abm.outputs import number, table

SHOWN = 10
CONFLICTS_SHOWN = 5


def text(found: Mapping[str, Any]) -> str:
    """Return the report of a table or pool (:func:`mpbf_abm.model.materials.report`) as text."""
    what, dropped = "settings" if found["kind"] == "pool" else "materials", found["dropped"]["count"]
    rows = [f"{found['rows']} rows", f"{dropped} left out", f"{found['merged']} merged"]
    parts = [f"{found['source']}: {', '.join(rows)}, {found['materials']} {what}, {found['descriptors']} descriptors"]
    parts += [f"- {note}" for note in found["notes"]]
    if found["replicate_sd"] is not None:
        parts.append(f"- rows of one {what[:-1]} differ by an sd of {number(found['replicate_sd'])}")
    if found["years"]:
        parts.append("- years {} to {}".format(*found["years"]))
    p, top = found["property"], found["top"]
    span = f"{number(p['low'])} to {number(p['high'])}, median {number(p['median'])}, sd {number(p['sd'])}"
    parts += ["", f"property [{found['unit']}], {found['goal']} sought: {span}"]
    parts.append(f"top set: {top['materials']}; best: " + "; ".join(map(_best, top["best"])))
    if s := found["simulated"]:
        correlation = "-" if s["correlation"] is None else number(s["correlation"])
        bias = f"{number(s['bias'], '+')} in the mean, {number(s['mean_absolute'])} in size"
        slope = f"slope of simulated on measured {number(s['slope'])}, correlation {correlation}"
        parts.append(f"simulated less measured: {bias}; {slope}")
    return "\n".join([*parts, *_conflicts(found["conflicts"]), *_families(found["families"], found["kind"])])


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
    names = ["materials", "low", "median", "high", *(["bias"] if "bias" in families[0] else [])]
    rows = [
        [f["name"], str(f["materials"]), *(number(f[n], "+" if n == "bias" else "") for n in names[1:])]
        for f in families[:SHOWN]
    ]
    if len(families) > SHOWN:
        rest = sum(f["materials"] for f in families[SHOWN:])
        rows.append([f"{len(families) - SHOWN} more", str(rest), *([""] * (len(names) - 1))])
    return ["", table([f"family (of {len(families)})", *names], rows, right=range(1, len(names) + 1))]
