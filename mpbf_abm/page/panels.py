"""The page's pictures: from tables to SVG that takes its colours from the page, light or dark.

Each picture is one small figure; its first argument is the alternative text. Nothing is computed here but what a
caption or a scale needs. Matplotlib's settings are global, so that all drawing belongs in one thread.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm, Normalize, SymLogNorm
from matplotlib.figure import Figure

from mpbf_abm.figures import overview, style
from mpbf_abm.figures.style import BLUE, GREY, INK, LIGHT, MM, ROLES, VERMILION, strip
from mpbf_abm.page import WORDS
from mpbf_abm.studies.definition import BASELINE, WHAT_IF

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDE, TALL = style.WIDTHS["single"], 52 * MM
# Where the axes of a chart over time lie in its figure, from the left and bottom; the page puts the time cursor by it.
LEFT, RIGHT, BOTTOM, TOP = 0.135, 0.985, 0.19, 0.965
# Colours of the style that become colours of the page.
COLORS: dict[str, str] = WORDS["colors"]
DASH = (0, (3, 1.5))

Array = np.ndarray[Any, Any]
P = ParamSpec("P")


def svg(fig: Figure, alt: str) -> str:
    """Return a figure as an element of a page, with its alternative text; call inside ``style.styled()``."""
    out = io.StringIO()
    fig.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # Names of clips are hashes of what they are; all other names would clash with those of the next figure.
    text = re.sub(r'<g id="[^"]*"', "<g", text).replace("xlink:href", "href")
    for color, name in COLORS.items():
        text = re.sub(color, f"var({name})", text, flags=re.IGNORECASE)
    tag = r'<svg viewBox="\1" role="img" aria-label="ALT">'
    text = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', tag, text, count=1)
    return text.replace('aria-label="ALT"', f'aria-label="{html.escape(alt, quote=True)}"', 1)


def picture(draw: Callable[P, Figure]) -> Callable[Concatenate[str, P], str]:
    """Return what draws a figure as an element of a page: its alternative text comes first, then what is drawn."""

    def drawn(alt: str, /, *of: P.args, **how: P.kwargs) -> str:
        with style.styled():
            return svg(draw(*of, **how), alt)

    drawn.__doc__ = draw.__doc__
    return drawn


def blank(width: float, height: float) -> Figure:
    """Return a figure whose axes lie where they are put (width and height in inches)."""
    fig = Figure(figsize=(width, height))
    fig.set_layout_engine("none")
    return fig


def chart(ticks: int, unit: str) -> tuple[Figure, Axes]:
    """Return a figure over time, whose axes lie where the time cursor expects them."""
    fig = blank(WIDE, TALL)
    ax = fig.add_axes((LEFT, BOTTOM, RIGHT - LEFT, TOP - BOTTOM))
    ax.set(xlim=(0, max(1, ticks - 1)), xlabel="time (ticks)", ylabel=unit)
    return fig, ax


# --------------------------------------------------------------------------- layers


@picture
def lines(bands: pd.DataFrame, labels: Mapping[str, str], ticks: int, unit: str) -> Figure:
    """Return medians and ranges over time: baseline dashed, what-if solid; of two quantities each has a colour.

    Parameters
    ----------
    bands : DataFrame
        From :func:`mpbf_abm.figures.overview.bands`, of one or two quantities.
    labels : mapping
        Quantities, and what they are called where there are two.
    ticks : int
    unit : str
    """
    fig, ax = chart(ticks, unit)
    if bands.empty:
        _nothing(ax, "not defined in these runs")
    arms, several = style.unique(bands["arm"]), len(labels) > 1
    colors: dict[Any, str] = dict(zip(labels, (BLUE, VERMILION), strict=False))
    if not several:
        colors = dict(zip(reversed(arms), (ROLES[WHAT_IF], GREY), strict=False))
    for (quantity, arm), part in bands.groupby(["quantity", "arm"], sort=False):
        # The arm that is asked about is solid, and has the name.
        line, name = ("-", labels[str(quantity)] if several else None) if arm == arms[-1] else (DASH, None)
        style.ribbon(ax, part, "x", "median", colors[quantity if several else arm], 0.16, linestyle=line, label=name)
    if several and not bands.empty:
        ax.legend(loc="best")
    return fig


@picture
def gaps(frame: pd.DataFrame, labels: Mapping[str, str], ticks: int, unit: str) -> Figure:
    """Return the mean paired difference over time with its interval, against zero.

    Parameters
    ----------
    frame : DataFrame
        quantity, tick, difference, low, high.
    labels, ticks, unit
        As for :func:`lines`.
    """
    fig, ax = chart(ticks, unit)
    ax.axhline(0, color=INK, linewidth=0.5)
    for (quantity, label), color in zip(labels.items(), (BLUE, VERMILION), strict=False):
        part, name = style.pick(frame, quantity=quantity), label if len(labels) > 1 else None
        style.ribbon(ax, part, "tick", "difference", color, 0.2, label=name)
    if frame["difference"].notna().sum() == 0:
        _nothing(ax, "not defined in these runs")
    elif len(labels) > 1:
        ax.legend(loc="best")
    return fig


def _nothing(ax: Axes, text: str) -> None:
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=GREY)


# --------------------------------------------------------------------------- flows, network, materials


@picture
def flows(table: pd.DataFrame) -> Figure:
    """Return the layer diagram, measured; see :func:`mpbf_abm.figures.overview.draw_diagram`."""
    fig = blank(WIDE * 1.15, 82 * MM)
    overview.draw_diagram(fig.add_axes((0, 0, 1, 1)), table)
    return fig


@picture
def network(nodes: pd.DataFrame, edges: pd.DataFrame) -> Figure:
    """Return the dependency graph; see :func:`mpbf_abm.figures.overview.draw_network`."""
    fig = blank(WIDE, 88 * MM)
    ax = fig.add_axes((0.03, 0.07, 0.94, 0.92))
    overview.draw_network(ax, nodes, edges)
    ax.set_xticks(range(3), [overview.PLURALS[k] for k in overview.COLUMNS])
    return fig


@picture
def materials(places: pd.DataFrame, values: Array, found: Array, most: float, *, signed: bool = False) -> Figure:
    """Return the map of families: area by materials, colour by a value, a ring around those with discoveries.

    Parameters
    ----------
    places : DataFrame
        From :func:`mpbf_abm.page.history.family_places`.
    values : array (K,)
        Experiments so far, or their difference between arms if `signed`.
    found : array (K,)
        Best materials found so far.
    most : float
        Largest value of the scale, which maps that stand side by side share.
    """
    fig = blank(WIDE, 84 * MM)
    ax = fig.add_axes((0.02, 0.15, 0.96, 0.84))
    norm, colors, ends, words = (_gap_scale if signed else _count_scale)(max(2.0, most))
    area = (6 + 160 * np.sqrt(places["materials"] / places["materials"].max())).to_numpy()
    x, y = places["x"].to_numpy(), places["y"].to_numpy()
    hollow = (values == 0) & (not signed)
    order = np.argsort(-area, kind="stable")
    filled = order[~hollow[order]]
    ax.scatter(x[hollow], y[hollow], s=area[hollow], facecolor="none", edgecolor=GREY, linewidth=0.6)
    look: dict[str, Any] = {"norm": norm, "cmap": colors, "edgecolor": GREY, "linewidth": 0.3}
    points = ax.scatter(x[filled], y[filled], s=area[filled], c=values[filled].astype(np.float64), **look)
    hit = np.flatnonzero(found > 0)
    ax.scatter(x[hit], y[hit], s=area[hit] + 14, facecolor="none", edgecolor=VERMILION, linewidth=1.2)
    ax.set_axis_off()
    ax.margins(0.06)
    bar = fig.colorbar(points, cax=fig.add_axes((0.25, 0.085, 0.5, 0.022)), orientation="horizontal")
    bar.outline.set_linewidth(0)
    bar.ax.tick_params(which="minor", length=0)
    bar.set_ticks(list(ends), labels=list(ends.values()))
    bar.set_label(words, fontsize=6)
    return fig


def _count_scale(most: float) -> tuple[Normalize, str, dict[float, str], str]:
    """Return norm, colour map, ticks and label of a scale of numbers."""
    return LogNorm(1.0, most), "cividis", {1: "1", most: f"{most:.0f}"}, "experiments so far (number)"


def _gap_scale(most: float) -> tuple[Normalize, str, dict[float, str], str]:
    """Return the same of a scale of differences."""
    ends = {-most: f"{-most:+.0f}", 0: "0", most: f"{most:+.0f}"}
    return SymLogNorm(1.0, vmin=-most, vmax=most), "RdBu", ends, "what-if minus baseline (experiments)"


# --------------------------------------------------------------------------- outcomes


@picture
def outcome(pairs: pd.DataFrame, label: str) -> Figure:
    """Return every run of each arm, pairs joined; bars mark the medians.

    Parameters
    ----------
    pairs : DataFrame
        One row per replicate, one column per arm.
    label : str
    """
    fig = blank(WIDE * 0.62, 46 * MM)
    ax = fig.add_axes((0.24, 0.13, 0.72, 0.83))
    arms = [a for a in (BASELINE, WHAT_IF) if a in pairs]
    values = pairs[arms].to_numpy(np.float64)
    if len(arms) == 2:
        ax.plot([0, 1], values.T, color=LIGHT, linewidth=0.7, zorder=1)
    looks = ((GREY, "o"), (ROLES[WHAT_IF], "D"))[-len(arms) :]
    for i, (column, (color, marker)) in enumerate(zip(values.T, looks, strict=True)):
        known = column[np.isfinite(column)]
        # Runs of one value lie beside each other, so that a crowd looks like one.
        aside = (np.arange(len(known)) % 5 - 2) * 0.035 * (len(arms) == 1)
        ax.plot(i + aside, known, marker, color=color, markersize=3, zorder=2)
        if len(known):
            ax.plot([i - 0.22, i + 0.22], [np.median(known)] * 2, color=INK, linewidth=1.4, zorder=3)
    ax.margins(y=0.12)
    if not np.isfinite(values).any():
        _nothing(ax, "not defined in these runs")
    ax.set_xticks(range(len(arms)), arms if len(arms) > 1 else ["runs"])
    ax.set(xlim=(-0.55, len(arms) - 0.45), ylabel=label)
    return fig


@picture
def distributions(groups: Mapping[str, Array], label: str) -> Figure:
    """Return values of an outcome by arm: every run, median and 10-90 % range."""
    fig, ax = _in_rows([_short(n) for n in groups], label, WIDE * 1.4, 16, 9, 11)
    for y, values in enumerate(groups.values()):
        known = values[np.isfinite(values)]
        if len(known):
            strip(ax, y, known, BLUE if y else GREY)
        else:
            ax.text(0.5, y, "no value", ha="center", va="center", color=GREY, transform=ax.get_yaxis_transform())
        ax.axhline(y, color=LIGHT, linewidth=0.4, zorder=0)
    return fig


def _in_rows(
    names: Sequence[str], label: str, width: float, spare: float, each: float, below: float
) -> tuple[Figure, Axes]:
    """Return a figure with a row for each name, and its axes; heights are in mm."""
    height = (spare + each * len(names)) * MM
    fig, base = blank(width, height), below * MM / height
    ax = fig.add_axes((0.24, base, 0.73, 0.975 - base))
    style.name_rows(ax, names)
    ax.set_xlabel(label)
    return fig, ax


def _short(text: str, most: int = 24) -> str:
    text = text.replace("_", " ")
    return text if len(text) <= most else text[: most - 1] + "…"


@picture
def ranked(costs: pd.DataFrame, label: str) -> Figure:
    """Return the mean cost of each node's loss with its interval, costliest first.

    Parameters
    ----------
    costs : DataFrame
        name, cost, low, high.
    label : str
    """
    fig, ax = _in_rows(costs["name"].tolist(), label, WIDE, 14, 4.2, 10)
    y = np.arange(len(costs))
    ax.axvline(0, color=GREY, linewidth=0.5)
    ax.hlines(y, costs["low"], costs["high"], color=BLUE)
    ax.plot(costs["cost"], y, "D", color=BLUE)
    return fig
