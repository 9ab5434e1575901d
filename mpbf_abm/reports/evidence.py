"""Evidence as tables, pages and plain values: stylised facts, known results, assessments of a community."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from mpbf_abm.evidence.assessments.assessment import Report, Setting
from mpbf_abm.evidence.facts.recorded import Fact
from mpbf_abm.evidence.facts.validation import Validation
from mpbf_abm.evidence.known import suite
from mpbf_abm.evidence.known.rows import ROWS
from mpbf_abm.outputs import OutputFolder, inline, interval, markdown_table, number, table, write_pages
from mpbf_abm.parameters import Parameters

# --------------------------------------------------------------------------- stylised facts

FACTS_HEAD = ["fact", "component", "real", "range", "from data", "simulated", "95 % interval", "n", "verdict", "use"]

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
"""
FACTS_FIGURE = "![Ranges of real values with the model's means and intervals](images/validation.png)"


def facts_cells(found: Validation) -> list[list[str]]:
    """Return the table as text, one row per component."""
    use = {fact.number: fact.use for fact in found.facts}
    return [[*_fact_cells(r), use[r["fact"]]] for r in found.table.to_dict("records")]


def _fact_cells(r: Mapping[Any, Any]) -> list[str]:
    """Return the cells of a component, but for its use."""
    real = [number(r["recorded"]), _range(r["low"], r["high"]), number(r["real"])]
    model = [number(r["simulated"]), _range(r["simulated_low"], r["simulated_high"]), str(r["replicates"])]
    return [str(r["fact"]), f"{r['name']} ({r['unit']})", *real, *model, _verdict(r)]


def _range(low: float, high: float) -> str:
    return f"{number(low)} to {number(high)}"


def _verdict(r: Mapping[str, Any]) -> str:
    """Return inside or outside, and whether the interval leaves it open."""
    if r["inside"]:
        surely = r["low"] <= r["simulated_low"] and r["simulated_high"] <= r["high"]
        return "inside" if surely else "inside, not surely"
    touches = r["simulated_high"] >= r["low"] and r["simulated_low"] <= r["high"]
    return "outside, not surely" if touches else "outside"


def facts_summary(found: Validation) -> str:
    """Return how many facts are reproduced, and why others are not."""
    missed = [fact for fact in found.facts if not found.reproduced(fact)]
    lines = [f"not reproduced: {f.number}, {f.title}" + (f" ({f.why})" if f.why else "") for f in missed]
    return "\n".join([f"{found.count} of {len(found.facts)} facts are reproduced", *lines])


def facts_text(found: Validation) -> str:
    """Return the table, and how many facts are reproduced."""
    return table(FACTS_HEAD, facts_cells(found), right=(2, 4, 5, 7)) + f"\n\n{facts_summary(found)}"


def facts_mapping(found: Validation, p: Any) -> dict[str, Any]:
    """Return everything for machines."""
    names = ("title", "layer", "use", "source")
    facts = [
        {"fact": f.number, **{name: getattr(f, name) for name in names}, "reproduced": found.reproduced(f)}
        for f in found.facts
    ]
    components = found.table.to_dict("records")
    return {"reproduced": found.count, "facts": facts, "components": components, "changed": p.changed()}


def _facts_page(found: Validation, command: str, drawn: bool) -> str:
    """Return the page ``docs/validation.md``, with its figure if there is one."""
    rows = facts_cells(found)
    introduction = INTRODUCTION.format(command, len(found.facts), found.count).splitlines()
    lines = [*introduction, "", *[FACTS_FIGURE, ""] * drawn]
    for fact in found.facts:
        mine = [row[1:9] for row in rows if row[0] == str(fact.number)]
        lines += [*_about(fact, found.reproduced(fact)), markdown_table(FACTS_HEAD[1:9], mine, right=(1, 3, 4, 6))]
    beside = found.values[~found.values["quantity"].isin(found.table["component"])]
    if len(beside):
        means: Any = beside.groupby(["measure", "quantity"])["value"].mean().items()
        cells = [(measure, quantity, number(value)) for (measure, quantity), value in means]
        lines += ["## Reported beside", "", markdown_table(["measure", "quantity", "mean"], cells, right=(2,))]
    return "\n".join(lines)


def _about(fact: Fact, reproduced: bool) -> list[str]:
    """Return the lines above the table of a fact."""
    state = "reproduced" if reproduced else "**not reproduced**"
    about = f"{fact.layer}; {fact.use}; {state}. Real: {fact.source}. In the model: {fact.how}."
    why = [f"Why not: {fact.why}.", ""] if fact.why and not reproduced else []
    return [f"## {fact.number}. {fact.title.capitalize()}", "", about, "", *why]


def write_facts(found: Validation, out: Path, command: str) -> None:
    """Write page, table and figure."""
    from mpbf_abm.figures import of_evidence, style

    figure = out / "images" / "validation.png"
    figure.parent.mkdir()
    with style.or_none("validation"):
        of_evidence.save_facts(found, figure)
    write_pages(out, {"validation.md": _facts_page(found, command, figure.exists())}, {"validation": found.table})


def calibration_blocks(best: Mapping[str, Parameters], seed: int, tables: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """Return the blocks of a calibration's page: commands that compare its best parameters with facts, and tables."""
    from mpbf_abm.evidence.calibration import assignments  # it imports the emulator

    call = f"mpbf validate --preset single-default --data DATA --seed {seed}"
    text = {name: f"```bash\n{call} {' '.join(assignments(p))}\n```\n" for name, p in best.items()}
    for name, frame in tables.items():
        text[name] = markdown_table(list(frame.columns), [[*map(_cell, row)] for row in frame.itertuples(index=False)])
    return text


def _cell(value: Any) -> str:
    """Format a number with two digits; less than 0.005 is zero."""
    return (f"{value:.2g}" if value >= 0.005 else "0") if isinstance(value, float) else str(value)


# --------------------------------------------------------------------------- known results

Mutated = tuple[str, str, set[str], set[str]]  # name, function, rows that must fail, rows that failed


def known_summary(outcomes: Sequence[Any]) -> str:
    """Return how many rows pass, which fail, and which were not run."""
    failed = [o.id for o in outcomes if not o.passed]
    skipped = [o.id for o in outcomes if o.skipped]
    ran = len(outcomes) - len(skipped)
    words = f"{ran - len(failed)} of {ran} rows pass"
    words += f"; failed: {', '.join(failed)}" if failed else ""
    return words + (f"; not run: {', '.join(skipped)}" if skipped else "")


def known_text(outcomes: Sequence[Any]) -> str:
    """Return every check as a row, and how many rows pass."""
    return table(suite.HEAD, suite.cells(outcomes), right=(2, 3, 4, 5)) + f"\n\n{known_summary(outcomes)}"


def rows_listed(rows: Sequence[str]) -> str:
    """Return rows with their parameters as text."""
    lines = []
    for id in rows:
        lines.append([id, "", "", "", f"{ROWS[id].title} ({ROWS[id].source})"])
        lines += [["", k, str(v.default), v.range(), v.help] for k, v in ROWS[id].parameters.items()]
    return table(["row", "parameter", "default", "allowed", "what it is"], lines)


def write_known(outcomes: Sequence[Any], out: Path, command: str, seed: int, *, fast: bool, figure: bool) -> None:
    """Write the page of the suite and its figures: expected vs measured, and the twin where its row ran."""
    from mpbf_abm.figures import of_evidence, style

    paths: list[Path] = []
    if figure:
        images = out / "images"
        images.mkdir()
        with style.or_none("verification"):
            paths.append(of_evidence.save_known(outcomes, images / "verification.png"))
        if any(o.id == "K4" for o in outcomes):
            few: dict[str, Any] = {"replicates": 8, "sizes": (50, 100, 200), "passages": 30} if fast else {}
            with style.or_none("twin"):
                paths += of_evidence.save_twin(of_evidence.twin_frames(seed, **few), images, suffixes=(".png",))
    shown = {path.stem: path.relative_to(out).as_posix() for path in paths}
    write_pages(out, {"verification.md": suite.markdown(outcomes, command, shown)})


def mutations_mapping(results: Sequence[Mutated]) -> dict[str, Any]:
    """Return which rows detected each fault, for machines."""
    head = ("name", "function", "must_fail", "failed", "caught")
    rows = [dict(zip(head, (n, t, sorted(m), sorted(d), m == d), strict=True)) for n, t, m, d in results]
    return {"passed": all(row["caught"] for row in rows), "mutations": rows}


def mutations_text(results: Sequence[Mutated]) -> str:
    """Return which rows detected each fault, as a table."""
    lines = [
        [n, t, " ".join(sorted(m)), "as expected" if m == d else f"BUT FAILED: {' '.join(sorted(d)) or 'none'}"]
        for n, t, m, d in results
    ]
    return table(["mutation", "function", "rows that must fail", "verdict"], lines)


# --------------------------------------------------------------------------- assessments

FINDINGS_HEAD = ["measure", "value", "95 % interval", "null", "against null", "n", "reading"]
LONGEST = 40  # rows of a table on a page; files have them all


def _findings(report: Report) -> list[list[str]]:
    """Return findings as text, one row each."""
    return [
        [f.measure, number(e.value), interval(e.low, e.high), number(f.null), f.verdict, str(f.n), f.reading]
        for f in report.findings
        for e in [f.estimate]
    ]


def made(command: str, setting: Setting) -> str:
    """Return the command and the community of a page."""
    changed = ", ".join(f"`{k} = {v}`" for k, v in setting.parameters.changed().items()) or "default parameters"
    events = "".join(f"; {inline(e.label)}" for e in (*setting.policies, *setting.shocks))
    seeds = setting.seeds()
    runs = f"{setting.replicates} communities (seeds {seeds.start} to {seeds.stop - 1}), {setting.ticks} ticks"
    return f"`{command}`: {runs}, {changed}{events}.\n"


def lab_blocks(report: Report, how: str) -> dict[str, str]:
    """Return the Markdown of a report by the names of its blocks."""
    text = {"made": how}
    if report.findings:
        text["findings"] = markdown_table(FINDINGS_HEAD, _findings(report))
    for name, frame in report.tables.items():
        text[name] = markdown_table(list(frame.columns), frame.map(_number).itertuples(index=False))
    return text


def _number(value: Any) -> Any:
    return number(value) if isinstance(value, float) else value


def lab_mapping(report: Report, setting: Setting) -> dict[str, Any]:
    """Return everything for machines."""
    tables = {n: t.to_dict("records") for n, t in report.tables.items()}
    asked = {name: getattr(setting, name) for name in ("seed", "replicates", "ticks")}
    changed = setting.parameters.changed()
    return {"findings": report.frame().to_dict("records"), "tables": tables, **asked, "changed": changed}


def _lab_page(question: str, figure: str, report: Report, text: Mapping[str, str]) -> str:
    """Return the page of a report, from its figure and blocks; long tables are in files alone."""
    lines = [f"# {question}", "", text["made"], *([figure, ""] if figure else [])]
    for part, frame in {"findings": report.frame(), **report.tables}.items():
        lines += [f"## {part.replace('_', ' ').capitalize()}", ""]
        here = part in text and len(frame) <= LONGEST
        lines += [text[part]] if here else [f"{len(frame)} rows in `{part}.csv`.", ""]
    return "\n".join(lines)


def lab_text(report: Report) -> str:
    """Return the findings as a table."""
    return table(FINDINGS_HEAD, _findings(report), right=(1, 3, 5))


def write_lab(folder: OutputFolder, name: str, question: str, report: Report, how: str) -> None:
    """Write report, tables and figure to their folder."""
    from mpbf_abm.figures import style
    from mpbf_abm.figures.of_assessments import FIGURES

    draw, alt = FIGURES[name]
    with folder as work:
        with style.or_none(name):
            style.save_all(partial(draw, report), work / name, title=question, alt=alt)
        figure = f"![{alt}]({name}.png)" * (work / f"{name}.png").exists()
        written = {f"{name}.md": _lab_page(question, figure, report, lab_blocks(report, how))}
        write_pages(work, written, {"findings": report.frame(), **report.tables})
