"""The page of validation: every fact with its real range, the model's values, and a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from mpbf_abm.evidence.facts.validation import Validation
from mpbf_abm.figures.of_evidence import save_facts
from mpbf_abm.outputs import markdown_table, number, table, write_pages
from mpbf_abm.parameters import Parameters

HEAD = ["fact", "component", "real", "range", "from data", "simulated", "95 % interval", "n", "verdict", "use"]

INTRODUCTION = """\
# Validation: stylised facts

Written by `{0}`. The community at its defaults, {1} facts at once: recorded real value and range, value
computed from the public data where they are at hand ([data](data.md)), mean over communities on materials of their \
own with its
95 % interval. A fact is reproduced where the mean of each of its numbers lies in the range. *Calibrated*: defaults \
were chosen to
meet it ([calibration](calibration.md)), so it is no validation. *Reduction test*: the rule in a limit case. \
*Held out*: no default
was chosen by it.

**{2} of {1} facts are reproduced.**

![Ranges of real values with the model's means and intervals](images/validation.png)
"""


def cells(found: Validation) -> list[list[str]]:
    """Return the table as text, one row per component."""
    use = {fact.number: fact.use for fact in found.facts}
    rows: list[Any] = found.table.to_dict("records")
    out = []
    for r in rows:
        real = [number(r["recorded"]), _span(r["low"], r["high"]), number(r["real"])]
        model = [number(r["simulated"]), _span(r["simulated_low"], r["simulated_high"]), str(r["replicates"])]
        out.append([str(r["fact"]), f"{r['name']} ({r['unit']})", *real, *model, _verdict(r), use[r["fact"]]])
    return out


def _span(low: float, high: float) -> str:
    return f"{number(low)} to {number(high)}"


def _verdict(r: Mapping[str, Any]) -> str:
    """Return inside or outside, and whether the interval leaves it open."""
    if r["inside"]:
        surely = r["low"] <= r["simulated_low"] and r["simulated_high"] <= r["high"]
        return "inside" if surely else "inside, not surely"
    touches = r["simulated_high"] >= r["low"] and r["simulated_low"] <= r["high"]
    return "outside, not surely" if touches else "outside"


def summary(found: Validation) -> str:
    """Return how many facts are reproduced, and why others are not."""
    lines = [f"{found.count} of {len(found.facts)} facts are reproduced"]
    for fact in found.facts:
        if not found.reproduced(fact):
            why = f" ({fact.why})" if fact.why else ""
            lines.append(f"not reproduced: {fact.number}, {fact.title}{why}")
    return "\n".join(lines)


def as_text(found: Validation) -> str:
    """Return the table, and how many facts are reproduced."""
    return table(HEAD, cells(found), right=(2, 4, 5, 7)) + f"\n\n{summary(found)}"


def as_mapping(found: Validation, p: Any) -> dict[str, Any]:
    """Return everything for machines."""
    names = ("title", "layer", "use", "source")
    facts = [
        {"fact": f.number, **{name: getattr(f, name) for name in names}, "reproduced": found.reproduced(f)}
        for f in found.facts
    ]
    components = found.table.to_dict("records")
    return {"reproduced": found.count, "facts": facts, "components": components, "changed": p.changed()}


def markdown(found: Validation, command: str) -> str:
    """Return the page ``docs/validation.md``."""
    rows = cells(found)
    lines = [*INTRODUCTION.format(command, len(found.facts), found.count).splitlines(), ""]
    for fact in found.facts:
        state = "reproduced" if found.reproduced(fact) else "**not reproduced**"
        lines += [f"## {fact.number}. {fact.title.capitalize()}", ""]
        lines += [f"{fact.layer}; {fact.use}; {state}. Real: {fact.source}. In the model: {fact.how}.", ""]
        if not found.reproduced(fact) and fact.why:
            lines += [f"Why not: {fact.why}.", ""]
        mine = [row[1:9] for row in rows if row[0] == str(fact.number)]
        lines += [markdown_table(HEAD[1:9], mine, right=(1, 3, 4, 6))]
    beside = found.values[~found.values["quantity"].isin(found.table["component"])]
    if len(beside):
        means: list[Any] = beside.groupby(["measure", "quantity"])["value"].mean().reset_index().to_dict("records")
        cells_beside = [(r["measure"], r["quantity"], number(r["value"])) for r in means]
        lines += ["## Reported beside", "", markdown_table(["measure", "quantity", "mean"], cells_beside, right=(2,))]
    return "\n".join(lines)


def write(found: Validation, out: Path, command: str) -> None:
    """Write page, table and figure."""
    (out / "images").mkdir()
    save_facts(found, out / "images" / "validation.png")
    write_pages(out, {"validation.md": markdown(found, command)}, {"validation": found.table})


def blocks(best: Mapping[str, Parameters], seed: int, tables: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """Return the blocks of a calibration's page: commands that compare its best parameters with facts, and tables."""
    from mpbf_abm.evidence.calibration import assignments  # it imports the emulator

    call = f"mpbf validate --data DATA --seed {seed}"
    text = {name: f"```bash\n{call} {' '.join(assignments(p))}\n```\n" for name, p in best.items()}
    for name, frame in tables.items():
        text[name] = markdown_table(list(frame.columns), [[*map(_cell, row)] for row in frame.itertuples(index=False)])
    return text


def _cell(value: Any) -> str:
    """Format a number with two digits; less than 0.005 is zero."""
    return (f"{value:.2g}" if value >= 0.005 else "0") if isinstance(value, float) else str(value)
