"""Figures of a study for a journal: files at exact column widths, a CSV for each panel, and one list with hashes of everything."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib

from mpbf_abm.errors import ConfigurationError, OutputError, did_you_mean
from mpbf_abm.figures import of_histories, of_networks, of_outcomes, style
from mpbf_abm.figures.kind import Kind
from mpbf_abm.figures.style import MM
from mpbf_abm.provenance import version
from mpbf_abm.studies.jobs import hash_bytes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from mpbf_abm.studies.results import Results

ORDER = (
    "flows",
    "corpus",
    "phase",
    "fan",
    "twins",
    "early",
    "removal",
    "ridges",
    "regret",
    "indices",
    "box",
    "warnings",
)
_ALL = {k.name: k for k in (*of_histories.KINDS, *of_outcomes.KINDS, *of_networks.KINDS)}
KINDS: dict[str, Kind] = {name: _ALL[name] for name in ORDER}
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


JOURNALS = {
    "nature": Journal(89, 183, 170, "bold"), "elsevier": Journal(90, 190, 240, "bold"), "pnas": Journal(87, 178, 225, "italic"),
}  # fmt: skip


class FigureError(OutputError):
    """A figure that must not be printed as it is."""


def journal_faults(journal: str) -> list[str]:
    """What is wrong with the name of a journal."""
    if journal in JOURNALS:
        return []
    return [f"--journal {journal}: unknown{did_you_mean(journal, JOURNALS)} (journals: {', '.join(JOURNALS)})"]


def kind(name: str) -> Kind:
    """Return a kind of figure by its name."""
    if name not in KINDS:
        raise ConfigurationError(f"{name}: no such figure{did_you_mean(name, KINDS)} (figures: {', '.join(KINDS)})")
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
        For a figure with text below 5 points, without alternative text, too high for the journal, with an axis that has no label,
        or with a panel that shows neither an interval nor single runs.
    """
    if faults := journal_faults(journal):
        raise ConfigurationError(faults)
    try:
        out.mkdir(parents=True, exist_ok=True)
        earlier = (before or out) / LIST
        known = (
            {f["name"]: f for f in json.loads(earlier.read_text(encoding="utf-8"))["figures"]}
            if earlier.is_file()
            else {}
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{out}: cannot be used ({error})") from None
    made = []
    for name in known.keys() - {figure.name for figure in figures} if before is not None else ():
        for file in known[name]["files"]:
            shutil.copyfile(before / file, out / file)
    for figure in figures:
        entry = _build(figure, results(figure.name), out, JOURNALS[journal], formats, draft) | {"journal": journal}
        known[figure.name] = entry
        made.append(entry)
        if progress is not None:
            progress(figure.name)
    text = {"software": {"name": "mpbf_abm", "version": version(), "matplotlib": matplotlib.__version__},
            "figures": [known[n] for n in ORDER if n in known]}  # fmt: skip
    (out / LIST).write_text(json.dumps(text, indent=2) + "\n", encoding="utf-8", newline="\n")
    return made


def _build(
    figure: Kind, results: Results, out: Path, journal: Journal, formats: Sequence[str], draft: str
) -> dict[str, Any]:
    frames = figure.prepare(results)
    files = []
    for panel, frame in frames.items():
        path = out / f"{figure.name}.{panel}.csv"
        frame.to_csv(path, index=False, float_format="%.10g", lineterminator="\n")
        files.append(path)
    with style.styled():
        fig = figure.draw(frames)
        fig.set_size_inches(getattr(journal, figure.width) * MM, figure.height * MM)
        if journal.letters == "italic":
            _italic(fig)
        if draft:
            fig.text(
                0.5,
                0.5,
                draft,
                ha="center",
                va="center",
                fontsize=26,
                color="#D9D9D9",
                alpha=0.6,
                rotation=20,
                zorder=10,
            )
        smallest = check(figure, fig, frames, journal)
        for suffix in formats:
            path = out / f"{figure.name}.{suffix}"
            style.save(fig, path, title=figure.title, alt=figure.alt, dpi=450 if suffix == "png" else None)
            fig.set_layout_engine("none")
            files.append(path)
    return {
        "name": figure.name, "title": figure.title, "alt": figure.alt, "caption": figure.caption, "study": results.study.name, "arms": results.arm_names,
        "replicates": results.replicates, "scenarios": len(results.scenarios), "ticks": results.study.ticks, "data": results.hash,
        "width_mm": getattr(journal, figure.width), "height_mm": figure.height, "smallest_text_pt": smallest, "draft": draft,
        "files": {p.name: hash_bytes(p.read_bytes()) for p in files},
    }  # fmt: skip


def _italic(fig: Figure) -> None:
    """Panel letters as capitals in italics instead of bold lower case."""
    import re

    for ax in fig.axes:
        title = ax.get_title(loc="left")
        ax.set_title(re.sub(r"\\bf\{(\w)\}", lambda m: rf"\it{{{m.group(1).upper()}}}", title), loc="left")


def check(figure: Kind, fig: Figure, frames: Mapping[str, pd.DataFrame], journal: Journal) -> float:
    """Smallest text of a figure in points; raises for what must not be printed."""
    from matplotlib.text import Text

    fig.draw_without_rendering()  # ticks have their texts from here on
    faults = []
    shown = [t for t in fig.findobj(Text) if t.get_visible() and t.get_text().strip()]
    smallest = min((float(t.get_fontsize()) for t in shown), default=0.0)
    if smallest < LEAST_POINTS:
        faults.append(f"text of {smallest:g} points: at least {LEAST_POINTS:g}")
    if figure.height > journal.height:
        faults.append(f"{figure.height:g} mm high: at most {journal.height:g}")
    if len(figure.alt) < LEAST_ALT:
        faults.append(f"alternative text of {len(figure.alt)} characters: at least {LEAST_ALT}")
    for i, ax in enumerate(fig.axes):
        if not ax.axison or ax.get_label() == "<colorbar>":
            continue
        for axis in (ax.xaxis, ax.yaxis):
            ticks = any(t.get_text() for t in axis.get_ticklabels())
            words = any(c.isalpha() for t in axis.get_ticklabels() for c in t.get_text())
            if axis.get_visible() and ticks and not axis.get_label_text() and not words and not _shared(ax, axis):
                faults.append(f"panel {i + 1}: the {axis.axis_name} axis has no label")
    for panel, frame in frames.items():
        columns = set(map(str, frame.columns))
        honest = (
            {"low", "high"} <= columns
            or columns & {"replicate", "scenario"}
            or any(c.endswith("_low") for c in columns)
        )
        if panel not in figure.bare and not honest:
            faults.append(f"panel '{panel}' has neither an interval nor single runs")
    if faults:
        raise FigureError("\n".join(f"figure '{figure.name}': {fault}" for fault in faults))
    return smallest


def _shared(ax: Any, axis: Any) -> bool:
    """Whether another panel that shares the axis has its label."""
    group = ax.get_shared_x_axes() if axis.axis_name == "x" else ax.get_shared_y_axes()
    return any(
        (other.xaxis if axis.axis_name == "x" else other.yaxis).get_label_text()
        for other in group.get_siblings(ax)
        if other is not ax
    )


def compare(out: Path, figures: Sequence[Kind], results: Callable[[str], Results], **options: Any) -> list[str]:
    """Build again in a temporary folder; names of files that differ from those in `out`, or are missing there."""
    try:
        known = {f["name"]: f for f in json.loads((out / LIST).read_text(encoding="utf-8"))["figures"]}
    except (OSError, ValueError, KeyError) as error:
        raise OutputError(f"{out / LIST}: cannot be read ({error})") from None
    with tempfile.TemporaryDirectory() as folder:
        again = build(figures, results, Path(folder), **options)
    different = []
    for entry in again:
        before = known.get(entry["name"], {}).get("files", {})
        for file, digest in entry["files"].items():
            path = out / file
            here = hash_bytes(path.read_bytes()) if path.is_file() else ""
            if digest != here or digest != before.get(file):
                different.append(file)
    return different
