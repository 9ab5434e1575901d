"""Figure of the combinations of forms: each headline's effect under all of them."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from mpbf_abm.evidence.assessments.forms import FORMS, HEADLINES
from mpbf_abm.figures import style
from mpbf_abm.figures.style import BLUE, GREY, MM, VERMILION

if TYPE_CHECKING:
    from mpbf_abm.evidence.assessments.assessment import Report

ALT = (
    "One panel per headline result: its paired effect with a simultaneous 95 % interval under each of the sixteen combinations of formula "
    "forms, coloured by whether it is surely as claimed, surely not, or not told."
)
COLUMNS = 5


def draw(report: Report) -> Figure:
    """Draw the effects of every combination; the number of alternative forms grows to the right."""
    fig = Figure(figsize=(style.WIDTHS["double"], 92 * MM))
    axes = fig.subplots(-(-len(HEADLINES) // COLUMNS), COLUMNS).ravel()
    for ax, letter, headline in zip(axes, "abcdefghij", HEADLINES, strict=False):
        table = report.tables["combinations"]
        rows = table[table["headline"] == headline.words]
        order = np.argsort((rows[list(FORMS)] == "alternative").sum(axis=1).to_numpy(), kind="stable")
        for x, (effect, low, high) in enumerate(rows[["effect", "low", "high"]].to_numpy()[order]):
            surely = low > 0 if headline.sign > 0 else high < 0
            against = high < 0 if headline.sign > 0 else low > 0
            color = BLUE if surely else VERMILION if against else GREY
            ax.plot([x, x], [low, high], color=color, linewidth=0.8)
            ax.plot(x, effect, "o" if surely else "x" if against else "s", color=color, markersize=2.5)
        ax.axhline(0.0, color=style.LIGHT, linewidth=0.8, zorder=0)
        ax.set_xticks([])
        ax.set_ylabel(headline.outcome, fontsize=5)
        ax.tick_params(axis="y", labelsize=5)
        ax.set_title(style.heading(letter, textwrap.fill(headline.words, 22)), loc="left", fontsize=5.5)
    for ax in axes[len(HEADLINES) :]:
        ax.remove()
    fig.supxlabel("combinations, from all chosen (left) to all alternative (right); circle: as claimed, cross: the opposite, square: not told", fontsize=6)  # fmt: skip
    return fig
