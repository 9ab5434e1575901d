"""Figures of a study for a journal: files at exact column widths, a CSV for each panel, one list with hashes."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.text import Text

from mpbf_abm import outputs
from mpbf_abm.errors import OutputError, did_you_mean, lines_where, refuse
from mpbf_abm.figures import of_histories, of_networks, of_outcomes, style
from mpbf_abm.figures.kind import Kind
from mpbf_abm.figures.style import LIGHT, MM
from mpbf_abm.provenance import version
from mpbf_abm.studies.jobs import hash_bytes
from mpbf_abm.studies.results import Results

_ALL = {k.name: k for k in (*of_histories.KINDS, *of_outcomes.KINDS, *of_networks.KINDS)}
KINDS: dict[str, Kind] = {name: _ALL[name] for name in style.TEXTS["kinds"]}
FORMATS = ("pdf", "svg", "png")
LIST = "figures.json"
LEAST_POINTS = 5.0  # of any text
LEAST_ALT = 60  # characters


@dataclass(frozen=True)
class Journal:
    """Column widths and greatest height in millimetres, and the look of panel letters."""

    single: float
    double: float
    height: float
    letters: str


JOURNALS = {"nature": Journal(89, 183, 170, "bold"), "elsevier": Journal(90, 190, 240, "bold")}
JOURNALS |= {"pnas": Journal(87, 178, 225, "italic")}


class FigureError(OutputError):
    """A figure that must not be printed as it is."""


def kind(name: str) -> Kind:
    """Return a kind of figure by its name."""
    close = did_you_mean(name, KINDS)
    refuse(name not in KINDS, f"{name}: no such figure{close} (figures: {', '.join(KINDS)})")
    return KINDS[name]


def build(
    figures: Sequence[Kind],
    results: Callable[[str], Results],
    out: Path,
    *,
    journal: str = "nature",
    formats: Sequence[str] = FORMATS,
    draft: str = "",
    before: Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[dict[str, Any]]:
    """Build figures from stored studies.

    Parameters
    ----------
    figures : sequence of Kind
    results : callable
        Gives the results of the study that feeds a figure, by the figure's name.
    out : Path
        Folder.
    journal : str
        nature, elsevier or pnas.
    formats : sequence of str
    draft : str
        Words printed across a figure that is not final.
    before : Path, optional
        Folder of an earlier build, if not `out`: its other figures are taken over.
    progress : callable, optional
        Called with the name of each figure that is done.

    Returns
    -------
    list of dict
        What the list says of each figure.

    Raises
    ------
    ConfigurationError
        For a study that lacks what a figure needs, and for an unknown journal.
    FigureError
        For a figure with text below 5 points, without alternative text, too high for the journal, with an axis that has
        no label, or with a panel that shows neither an interval nor single runs.
    """
    journals = f"unknown{did_you_mean(journal, JOURNALS)} (journals: {', '.join(JOURNALS)})"
    refuse(journal not in JOURNALS, f"--journal {journal}: {journals}")
    known = _earlier(out, before or out)
    if before is not None:
        _take_over([known[name] for name in known.keys() - {figure.name for figure in figures}], before, out)
    made = []
    for figure in figures:
        made.append(_build(figure, results(figure.name), out, JOURNALS[journal], formats, draft) | {"journal": journal})
        if progress is not None:
            progress(figure.name)
    known |= {entry["name"]: entry for entry in made}
    software = {"name": "mpbf_abm", "version": version(), "matplotlib": matplotlib.__version__}
    text = {"software": software, "figures": [known[n] for n in KINDS if n in known]}
    (out / LIST).write_text(json.dumps(text, indent=2) + "\n", encoding="utf-8", newline="\n")
    return made


def _take_over(entries: Sequence[Mapping[str, Any]], before: Path, out: Path) -> None:
    """Copy the files of figures of an earlier build."""
    for entry in entries:
        for file in entry["files"]:
            shutil.copyfile(before / file, out / file)


def _earlier(out: Path, before: Path) -> dict[str, Any]:
    """Make a folder; return what the list of an earlier build says, if there is one."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        return listed(before / LIST) if (before / LIST).is_file() else {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{out}: cannot be used ({error})") from None


def listed(path: Path) -> dict[str, Any]:
    """Return what a list says of each figure."""
    return {f["name"]: f for f in json.loads(path.read_text(encoding="utf-8"))["figures"]}


def _build(
    figure: Kind, results: Results, out: Path, journal: Journal, formats: Sequence[str], draft: str
) -> dict[str, Any]:
    frames = figure.prepare(results)
    files = [out / f"{figure.name}.{name}" for name in (*(f"{panel}.csv" for panel in frames), *formats)]
    for path, frame in zip(files, frames.values(), strict=False):
        outputs.write_table(frame, path, float_format="%.10g")
    width, height = getattr(journal, figure.width), figure.height
    with style.styled():
        fig = figure.draw(frames)
        fig.set_size_inches(width * MM, height * MM)
        if journal.letters == "italic":
            _italic(fig)
        if draft:
            fig.text(
                0.5, 0.5, draft, ha="center", va="center", fontsize=26, color=LIGHT, alpha=0.6, rotation=20, zorder=10
            )
        smallest = check(figure, fig, frames, journal)
        for path in files[len(frames) :]:
            style.save(fig, path, title=figure.title, alt=figure.alt, dpi=450 if path.suffix == ".png" else None)
            fig.set_layout_engine("none")
    entry: dict[str, Any] = {name: getattr(figure, name) for name in ("name", "title", "alt", "caption")}
    entry |= {"study": results.study.name, "arms": results.arm_names, "replicates": results.replicates}
    entry |= {"scenarios": len(results.scenarios), "ticks": results.study.ticks, "data": results.hash}
    entry |= {"width_mm": width, "height_mm": height, "smallest_text_pt": smallest, "draft": draft}
    return entry | {"files": {p.name: hash_bytes(p.read_bytes()) for p in files}}


def _italic(fig: Figure) -> None:
    """Make panel letters capitals in italics instead of bold lower case."""
    for ax in fig.axes:
        title = ax.get_title(loc="left")
        ax.set_title(re.sub(r"\\bf\{(\w)\}", lambda m: rf"\it{{{m.group(1).upper()}}}", title), loc="left")


def check(figure: Kind, fig: Figure, frames: Mapping[str, pd.DataFrame], journal: Journal) -> float:
    """Return the smallest text of a figure in points; raises for what must not be printed."""
    fig.draw_without_rendering()  # ticks have their texts from here on
    shown = [t for t in fig.findobj(Text) if t.get_visible() and t.get_text().strip()]
    smallest = min((float(t.get_fontsize()) for t in shown), default=0.0)
    faults = lines_where(
        (smallest < LEAST_POINTS, f"text of {smallest:g} points: at least {LEAST_POINTS:g}"),
        (figure.height > journal.height, f"{figure.height:g} mm high: at most {journal.height:g}"),
        (len(figure.alt) < LEAST_ALT, f"alternative text of {len(figure.alt)} characters: at least {LEAST_ALT}"),
    ) + _unlabelled(fig)
    bare = [panel for panel in frames if panel not in figure.bare and not _is_honest(frames[panel])]
    faults += [f"panel '{panel}' has neither an interval nor single runs" for panel in bare]
    refuse(faults, "\n".join(f"figure '{figure.name}': {fault}" for fault in faults), FigureError)
    return smallest


def _unlabelled(fig: Figure) -> list[str]:
    """Return a fault for each axis that has no label."""
    panels = [(i, ax) for i, ax in enumerate(fig.axes, 1) if ax.axison and ax.get_label() != "<colorbar>"]
    axes = [(i, ax, axis) for i, ax in panels for axis in (ax.xaxis, ax.yaxis)]
    return [f"panel {i}: the {axis.axis_name} axis has no label" for i, ax, axis in axes if not _is_labelled(ax, axis)]


def _is_honest(frame: pd.DataFrame) -> bool:
    """Return whether a frame has an interval, or single runs."""
    columns = {*map(str, frame.columns)}
    interval = {"low", "high"} <= columns or any(c.endswith("_low") for c in columns)
    return interval or not columns.isdisjoint({"replicate", "scenario"})


def _is_labelled(ax: Any, axis: Any) -> bool:
    """Return whether an axis needs no label, has one, or shares that of another panel."""
    ticks = "".join(t.get_text() for t in axis.get_ticklabels())
    if not axis.get_visible() or not ticks or any(c.isalpha() for c in ticks) or axis.get_label_text():
        return True
    name = axis.axis_name
    others = getattr(ax, f"get_shared_{name}_axes")().get_siblings(ax)
    return any(getattr(other, f"{name}axis").get_label_text() for other in others)
