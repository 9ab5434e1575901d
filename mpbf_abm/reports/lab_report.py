"""Findings of the laboratory: rows, Markdown blocks, a page, and plain values."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from mpbf_abm.evidence.assessments.assessment import Report, Setting
from mpbf_abm.figures import style
from mpbf_abm.figures.of_assessments import FIGURES
from mpbf_abm.outputs import OutputFolder, interval, markdown_table, number, table, write_pages

HEAD = ["measure", "value", "95 % interval", "null", "against null", "n", "reading"]
LONGEST = 40  # rows of a table on a page; files have them all


def cells(report: Report) -> list[list[str]]:
    """Return findings as text, one row each."""
    return [
        [f.measure, number(e.value), interval(e.low, e.high), number(f.null), f.verdict, str(f.n), f.reading]
        for f in report.findings
        for e in [f.estimate]
    ]


def made(command: str, setting: Setting) -> str:
    """Return the command and the community of a page."""
    changed = ", ".join(f"`{k} = {v}`" for k, v in setting.parameters.changed().items()) or "default parameters"
    events = "".join(f"; {e.label}" for e in (*setting.policies, *setting.shocks))
    seeds = setting.seeds()
    runs = f"{setting.replicates} communities (seeds {seeds.start} to {seeds.stop - 1}), {setting.ticks} ticks"
    return f"`{command}`: {runs}, {changed}{events}.\n"


def blocks(report: Report, how: str) -> dict[str, str]:
    """Return the Markdown of a report by the names of its blocks."""
    text = {"made": how}
    if report.findings:
        text["findings"] = markdown_table(HEAD, cells(report))
    for name, frame in report.tables.items():
        rows = [[number(v) if isinstance(v, float) else v for v in row] for row in frame.itertuples(index=False)]
        text[name] = markdown_table(list(frame.columns), rows)
    return text


def as_mapping(report: Report, setting: Setting) -> dict[str, Any]:
    """Return everything for machines."""
    tables = {n: t.to_dict("records") for n, t in report.tables.items()}
    asked = {name: getattr(setting, name) for name in ("seed", "replicates", "ticks")}
    changed = setting.parameters.changed()
    return {"findings": report.frame().to_dict("records"), "tables": tables, **asked, "changed": changed}


def page(name: str, question: str, alt: str, report: Report, text: Mapping[str, str]) -> str:
    """Return the page of a report, from its blocks; long tables are in files alone."""
    lines = [f"# {question}", "", text["made"], f"![{alt}]({name}.png)", ""]
    for part, frame in {"findings": report.frame(), **report.tables}.items():
        lines += [f"## {part.replace('_', ' ').capitalize()}", ""]
        here = part in text and len(frame) <= LONGEST
        lines += [text[part]] if here else [f"{len(frame)} rows in `{part}.csv`.", ""]
    return "\n".join(lines)


def as_text(report: Report) -> str:
    """Return the findings as a table."""
    return table(HEAD, cells(report), right=(1, 3, 5))


def write(folder: OutputFolder, name: str, question: str, report: Report, how: str) -> None:
    """Write report, tables and figure to their folder."""
    draw, alt = FIGURES[name]
    with folder as work:
        written = {f"{name}.md": page(name, question, alt, report, blocks(report, how))}
        write_pages(work, written, {"findings": report.frame(), **report.tables})
        style.save_all(partial(draw, report), work / name, title=question, alt=alt)
