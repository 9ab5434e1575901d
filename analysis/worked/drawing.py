"""Figures of the worked examples: runs of each arm as points, beside what the real record has where there is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mpbf_abm.figures import style
from mpbf_abm.figures.style import BLUE, GREEN, GREY, INK, MM, PURPLE, VERMILION, name_rows, strip

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Float = NDArray[np.float64]

LINES = (
    (BLUE, "-"),
    (VERMILION, "--"),
    (GREEN, "-."),
    (PURPLE, ":"),
    (GREY, (0, (5, 1))),
    ("#E69F00", (0, (1, 1))),
    ("#56B4E9", "-"),
)
# Arms whose lines would lie on each other are left to the points.
ALONG = ("baseline", "usual exploration", "falling exploration", "urn with mass")
BESIDE = "points: runs; line: 10-90 %; tick: median"


def panels(
    fig: Figure,
    axes: Sequence[Axes],
    arms: Sequence[str],
    values: Mapping[str, Float],
    marks: Mapping[str, float],
    per_row: int,
    first: int = 0,
) -> None:
    """Draw one panel per quantity with a row per arm, and a line where the record lies.

    Parameters
    ----------
    fig : Figure
    axes : sequence of Axes
    arms : sequence of str
    values : dict of float (arms, runs)
        By the words that head each panel.
    marks : dict of float
        Value of the record, of those quantities that have one.
    per_row : int
        Panels side by side; the first of each row that has them names the arms.
    first : int
        Letter of the first panel, counted from a.
    """
    for i, (ax, (name, runs)) in enumerate(zip(axes, values.items(), strict=True)):
        if name in marks:
            ax.axvline(marks[name], color=VERMILION, linewidth=0.9, linestyle="--", zorder=0)
        for y, row in enumerate(runs):
            if (known := row[np.isfinite(row)]).size:
                strip(ax, y, known)
        name_rows(ax, arms)
        if i and (first + i) % per_row:
            ax.tick_params(axis="y", labelleft=False)
        style.letter(ax, "abcdefghi"[first + i], name)
    word = BESIDE + ("; dashed: the record" if marks else "")
    fig.supxlabel(word, fontsize=6, color=INK)


def curves(ax: Axes, x: Float, arms: Sequence[str], runs: Float, record: Float | None = None) -> None:
    """Draw the mean of each arm along time, and the record as points.

    Parameters
    ----------
    x : float (T,)
    arms : sequence of str
    runs : float (arms, runs, T)
    record : float (T,), optional
    """
    for (color, line), arm, values in zip(LINES, arms, runs, strict=False):
        known = np.isfinite(values)
        total = np.where(known, values, 0.0).sum(axis=0)
        mean = np.divide(total, known.sum(axis=0), out=np.full(len(x), np.nan), where=known.any(axis=0))
        ax.plot(x, mean, color=color, linestyle=line, label=arm)
    if record is not None:
        ax.plot(x, record, "o", color=INK, markersize=3, label="record")
    ax.set_ylim(-0.02, 1.02)
    ax.legend(fontsize=5, handlelength=2.4, labelspacing=0.2)


def draw_alloys(
    arms: Sequence[str],
    years: Float,
    reuse: Float,
    record: Float,
    values: Mapping[str, Float],
    marks: Mapping[str, float],
) -> Figure:
    """Draw reuse by year, and how the runs of each arm compare with the record."""
    fig = Figure(figsize=(style.WIDTHS["double"], 122 * MM))
    axes = fig.subplots(2, 3).ravel()
    along = [i for i, arm in enumerate(arms) if arm in ALONG]
    curves(axes[0], years, [arms[i] for i in along], reuse[along], record)
    axes[0].xaxis.get_major_locator().set_params(integer=True)
    axes[0].set_ylabel("share of events on known families")
    style.letter(axes[0], "a", "reuse by year, mean of runs")
    panels(fig, axes[1:], arms, values, marks, per_row=3, first=1)
    return fig


def draw_gaps(arms: Sequence[str], values: Mapping[str, Float]) -> Figure:
    """Draw error, inherited bias, finds and records of the runs of each arm."""
    fig = Figure(figsize=(style.WIDTHS["double"], 92 * MM))
    panels(fig, fig.subplots(2, 2).ravel(), arms, values, {}, per_row=2)
    return fig


def draw_cuprates(arms: Sequence[str], ticks: Float, found: Float, values: Mapping[str, Float]) -> Figure:
    """Draw when communities find cuprates, and how well their models know them."""
    fig = Figure(figsize=(style.WIDTHS["double"], 98 * MM))
    axes = fig.subplots(2, 2).ravel()
    curves(axes[0], ticks, arms, found)
    axes[0].set_xlabel("tick")
    axes[0].set_ylabel("share of communities")
    style.letter(axes[0], "a", "a cuprate above 77 K was made")
    panels(fig, axes[1:], arms, values, {}, per_row=2, first=1)
    return fig
