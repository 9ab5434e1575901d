"""Figure of the path battery: courses of histories, where pairs of them end, and what was measured against its null value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from mpbf_abm.evidence.assessments.effective_urn import LOCKED
from mpbf_abm.figures import style
from mpbf_abm.figures.style import BLUE, GREY, INK, LIGHT, MM, PETROFF, VERMILION

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mpbf_abm.evidence.assessments.assessment import Report

ALT = (
    "Courses of the largest family's share in several histories of several worlds; share at the end of the two later courses of each "
    "history against each other; histories' growth of a small change against the effective urn's law; measures of path dependence "
    "with 95 % intervals over worlds and their null values."
)


def draw(report: Report) -> Figure:
    """Draw a path battery's report."""
    fig = Figure(figsize=(style.WIDTHS["double"], 215 * MM))
    grid = fig.add_gridspec(4, 2, height_ratios=(1.0, 1.0, 1.0, 1.35))
    panels = (
        (_courses, "largest family, by history"), (_pairs, "two later courses of one early history"), (_law, "what becomes of a small change"),
        (_survival, "not yet locked in"), (_loops, "exploring more, and less again"), (_gains, "gain of policies that know"),
    )  # fmt: skip
    for i, (panel, title) in enumerate(panels):
        ax = fig.add_subplot(grid[i // 2, i % 2])
        panel(ax, report)
        style.letter(ax, "abcdef"[i], title)
    ax = fig.add_subplot(grid[3, :])
    forest(ax, report)
    style.letter(ax, "g", "measured (mean over worlds), and null")
    return fig


def _color(world: int) -> str:
    return PETROFF[world % len(PETROFF)]


def _courses(ax: Axes, report: Report) -> None:
    for i, (_, rows) in enumerate(report.tables["courses"].groupby("world", sort=False)):
        for _, line in rows.groupby("history"):
            ax.plot(line["tick"], line["leading"], color=_color(i), linewidth=0.6, alpha=0.8)
    ax.axhline(LOCKED, color=GREY, linewidth=0.7, linestyle="--")
    ax.set(xlabel="tick", ylabel="share of the records", ylim=(0, None))


def _pairs(ax: Axes, report: Report) -> None:
    for i, (_, rows) in enumerate(report.tables["histories"].groupby("world", sort=False)):
        same = (rows["leader_a"] == rows["leader_b"]).to_numpy()
        for known, mark in ((same, "o"), (~same, "x")):
            ax.plot(rows["leading_a"][known], rows["leading_b"][known], mark, color=_color(i), markersize=3.5)
    top = 1.05 * float(report.tables["histories"][["leading_a", "leading_b"]].to_numpy().max())
    ax.plot([0, top], [0, top], color=LIGHT, linewidth=0.8, zorder=0)
    ax.set(xlabel="largest share at the end, first course", ylabel="second course", xlim=(0, top), ylim=(0, top))
    ax.text(0.03, 0.97, "o same family, x another", transform=ax.transAxes, va="top", fontsize=6)


def _law(ax: Axes, report: Report) -> None:
    for i, (_, rows) in enumerate(report.tables["histories"].groupby("world", sort=False)):
        ax.plot(rows["law"], rows["exponent"], "x", color=LIGHT, markersize=3.5, zorder=1)
        ax.plot(rows["local"], rows["exponent"], "o", color=_color(i), markersize=3.5, zorder=2)
    both = report.tables["histories"][["local", "exponent"]].to_numpy()
    both = both[np.isfinite(both).all(axis=1)]
    if len(both):
        low, high = both.min() - 0.1, both.max() + 0.1
        ax.plot([low, high], [low, high], color=LIGHT, linewidth=0.8, zorder=0)
    ax.axhline(-1, color=VERMILION, linewidth=0.7, linestyle="--")
    ax.set(xlabel="effective urn where the community stands (x: of equal families)", ylabel="exponent of damage")


def _survival(ax: Axes, report: Report) -> None:
    curve, end = report.tables["survival"], float(report.tables["courses"]["tick"].max())
    t, rows = (
        np.append(curve["time"], end),
        [np.append(curve[c], curve[c].iloc[-1]) for c in ("survival", "low", "high")],
    )
    ax.fill_between(t, rows[1], rows[2], step="post", color=BLUE, alpha=0.2, linewidth=0)
    ax.step(t, rows[0], where="post", color=BLUE)
    ax.set(xlabel="tick", ylabel="share of histories", ylim=(-0.02, 1.05))


def _loops(ax: Axes, report: Report) -> None:
    for color, (ticks, rows) in zip((GREY, VERMILION, BLUE), report.tables["loops"].groupby("ticks"), strict=False):
        mean = rows.assign(step=rows.groupby("world").cumcount()).groupby("step")[["way", "leading"]].mean()
        ax.plot(mean["way"], mean["leading"], color=color, linewidth=0.9, label=f"{ticks} ticks a way")
    ax.set(xlabel="exploration, as a share of its way", ylabel="largest share expected next")
    if len(report.tables["loops"]):
        ax.legend()


def _gains(ax: Axes, report: Report) -> None:
    arms = report.tables["arms"]
    for y, (name, color) in enumerate((("informed", BLUE), ("oracle", VERMILION))):
        gain = (arms[name] - arms["laissez-faire"]).to_numpy(np.float64)
        ax.plot(gain, y + np.linspace(-0.15, 0.15, len(gain)), "o", color=color, markersize=2.5, alpha=0.8)
    ax.axvline(0.0, color=LIGHT, linewidth=0.8, zorder=0)
    ax.set_yticks((0, 1), ("informed policy", "oracle"))
    ax.set(xlabel="share found, over laissez-faire", ylim=(-0.6, 1.6))


def forest(ax: Axes, report: Report) -> None:
    """Draw findings from 0 to 1 with their intervals, and null values as ticks."""
    shown = [f for f in report.findings if np.isfinite(f.estimate.value) and "tick" not in f.measure]
    for y, f in enumerate(shown):
        e = f.estimate
        ax.plot([e.low, e.high], [y, y], color=BLUE, linewidth=1.0)
        ax.plot(e.value, y, "o", color=BLUE)
        ax.plot(f.null, y, "|", color=VERMILION, markersize=7)
    ax.set_yticks(range(len(shown)), [_short(f.measure) for f in shown], fontsize=5.5)
    ax.invert_yaxis()
    ax.set_xlim(-1.3, 2.1)
    ax.set_xlabel("value (bar: 95 % interval, cut at the edge; tick: null)", color=INK)


def _short(measure: str) -> str:
    """A measure without what stands in brackets at its end."""
    return measure.split(" (0 to")[0].split(" (nats")[0].split(" (largest")[0].split(", (")[0]
