"""Figure of the fragility battery: the network under removal, what losses cost, outages that end, static measures against costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from mpbf_abm.evidence.assessments.fragility import ALL, CRITERIA, KINDS, OUTAGES, OUTCOMES, WORST
from mpbf_abm.figures import style
from mpbf_abm.figures.style import BLUE, GREEN, GREY, LIGHT, MM, PURPLE, ROLES, VERMILION

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from mpbf_abm.evidence.assessments.assessment import Report

ALT = (
    "Largest connected part of the network as nodes are removed by several criteria; finds that the loss of each repository or model costs, with "
    "intervals; finds that the loss of several repositories costs; labs without a model, and records that cannot be read, during and after outages; "
    "how many lean on a node against what its loss costs."
)
SMALLEST = OUTCOMES[WORST][1]
LINES = ((BLUE, "-"), (VERMILION, "--"), (GREEN, "-."), (PURPLE, ":"))


def draw(report: Report) -> Figure:
    """Draw a fragility battery's report."""
    fig = Figure(figsize=(style.WIDTHS["double"], 118 * MM))
    panels = (
        ("network, nodes removed", _removal), ("finds lost with one node for good", _keystones), ("finds lost with many repositories", _tipping),
        ("labs without a model in an outage", _service), ("records out of reach in an outage", _reach), ("who leans on a node, and its cost", _static),
    )  # fmt: skip
    for ax, letter, (title, panel) in zip(fig.subplots(2, 3).ravel(), "abcdef", panels, strict=True):
        panel(ax, report)
        style.letter(ax, letter, title)
    return fig


def _removal(ax: Axes, report: Report) -> None:
    curves = report.tables["removal_curves"]
    for (criterion, words), (color, line) in zip(CRITERIA.items(), LINES, strict=True):
        rows = curves[curves["criterion"] == criterion]
        ax.plot(rows["removed"], rows["giant"], color=color, linestyle=line, label=words)
    ax.set(xlabel="nodes removed, share", ylabel="largest part, share", xlim=(0, 1), ylim=(0, 1))
    ax.legend(fontsize=5)


def _costs(report: Report, kind: str) -> pd.DataFrame:
    table = report.tables["keystones"]
    rows = table[(table["kind"] == kind) & (table["outcome"] == WORST)]
    return rows.sort_values("role")


def _threshold(ax: Axes) -> None:
    ax.axhline(0.0, color=LIGHT, linewidth=0.8, zorder=0)
    ax.axhline(SMALLEST, color=GREY, linewidth=0.7, linestyle="--", zorder=0)


def _keystones(ax: Axes, report: Report) -> None:
    start = 0
    for kind, mark in zip(KINDS, "os", strict=True):
        rows = _costs(report, kind)
        x = start + np.arange(len(rows))
        ax.vlines(x, rows["low"], rows["high"], color=ROLES[kind], linewidth=0.8)
        ax.vlines(x, rows["p10"], rows["p90"], color=ROLES[kind], linewidth=2.5, alpha=0.25)
        ax.plot(x, rows["cost"], mark, color=ROLES[kind], label=kind)
        start += len(rows) + 1
    _threshold(ax)
    ax.set_xticks([])
    ax.set(
        xlabel="nodes, most leaned on first\n(thin: interval for all; thick: 10-90 % of communities)",
        ylabel="cost in finds, share",
    )
    ax.legend(fontsize=5)


def _tipping(ax: Axes, report: Report) -> None:
    table = report.tables["tipping"]
    for (target, words), (color, line), shift in zip(ALL.items(), LINES, (-0.006, 0.006), strict=False):
        rows = table[table["chosen"] == target]
        x = rows["lost"] + shift
        ax.vlines(x, rows["low"], rows["high"], color=color, linewidth=0.8)
        ax.plot(x, rows["cost"], "o", linestyle=line, color=color, label=words)
    _threshold(ax)
    ax.set(xlabel="repositories lost for good, share", ylabel="cost in finds, share")
    ax.legend(fontsize=5)


def _gaps(ax: Axes, report: Report, performance: str) -> None:
    table = report.tables["gap_curves"]
    for name, (color, line) in zip(OUTAGES, LINES, strict=True):
        rows = table[(table["outage"] == name) & (table["performance"] == performance)]
        ax.plot(rows["time"], rows["gap"], color=color, linestyle=line, label=name)
        ax.fill_between(rows["time"], rows["low"], rows["high"], color=color, alpha=0.15, linewidth=0)
    ax.axhline(0.0, color=LIGHT, linewidth=0.8, zorder=0)
    ax.set(xlabel="ticks since the outage", ylabel="below the spared community, share")


def _service(ax: Axes, report: Report) -> None:
    _gaps(ax, report, "steered")
    ax.legend(fontsize=5, loc="upper right")


def _reach(ax: Axes, report: Report) -> None:
    _gaps(ax, report, "visible")


def _static(ax: Axes, report: Report) -> None:
    losses = report.tables["losses"]
    for kind, mark in zip(KINDS, "os", strict=True):
        rows = _costs(report, kind)
        users = losses[losses["kind"] == kind].groupby("role")["users"].mean()
        x = users.reindex(rows["role"]).to_numpy()
        ax.vlines(x, rows["low"], rows["high"], color=ROLES[kind], linewidth=0.6)
        ax.plot(x, rows["cost"], mark, color=ROLES[kind], label=kind)
    _threshold(ax)
    ax.set(xlabel="models or labs that lean on it, mean", ylabel="cost in finds, share")
