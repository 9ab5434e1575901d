"""Figure of the atlas: one small panel per row, the indicator over its knob."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from mpbf_abm.figures import style
from mpbf_abm.figures.style import BLUE, GREEN, GREY, MM, PURPLE, VERMILION

if TYPE_CHECKING:
    from mpbf_abm.evidence.assessments.assessment import Report

ALT = (
    "One small panel per row of the atlas: mean of the indicator with its 95 % interval at each level of the knob, low to high; colour and "
    "mark say whether the effect is as predicted, weak, absent, reversed or undecided."
)
COLUMNS = 6
LOOK = {
    "as predicted": (BLUE, "o"), "weak": (GREEN, "^"), "absent": (GREY, "s"), "reversed": (VERMILION, "x"), "undecided": (PURPLE, "D"),
}  # fmt: skip


def draw(report: Report) -> Figure:
    """Draw every row of an atlas."""
    levels = report.tables["levels"]
    keys = list(dict.fromkeys(zip(levels["group"], levels["row"], levels["knob"], strict=True)))
    lines = -(-len(keys) // COLUMNS)
    fig = Figure(figsize=(style.WIDTHS["double"], (12 + 21 * lines) * MM))
    axes = fig.subplots(lines, COLUMNS, squeeze=False).ravel()
    for ax, (group, row, knob) in zip(axes, keys, strict=False):
        part = levels[(levels["group"] == group) & (levels["row"] == row) & (levels["knob"] == knob)]
        name, indicator = row.rsplit(": ", 1)
        color, mark = LOOK[part["found"].iloc[0]]
        low, high = (np.maximum(part["value"] - part["low"], 0.0), np.maximum(part["high"] - part["value"], 0.0))
        ax.errorbar(part["level"], part["value"], (low, high), color=color, marker=mark, linewidth=0.8, markersize=2.5)
        ax.set_xticks([])
        ax.margins(x=0.15)
        ax.tick_params(axis="y", labelsize=4.5)
        ax.set_title(textwrap.fill(name, 20), loc="left", fontsize=5, fontweight="bold", pad=2)
        ax.set_ylabel(indicator, fontsize=4.5, labelpad=1)
    for ax in axes[len(keys) :]:
        ax.remove()
    handles = [fig.axes[0].plot([], [], color=c, marker=m, linewidth=0.8, markersize=3)[0] for c, m in LOOK.values()]
    fig.legend(handles, list(LOOK), loc="outside lower center", ncols=len(LOOK))
    return fig
