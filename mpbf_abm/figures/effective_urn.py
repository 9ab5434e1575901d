"""Figure of the effective-urn study: what was foretold against what came, draw by draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from mpbf_abm.evidence.assessments.effective_urn import PLAIN, URN
from mpbf_abm.figures import style
from mpbf_abm.figures.style import BLUE, GREY, LIGHT, MM, VERMILION

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mpbf_abm.evidence.assessments.assessment import Report

ALT = (
    "Observed against predicted, one point per held-out draw: exponent of a displaced share by the fitted urn and by the law of equal "
    "families, early-stream index, largest share at the end by the fitted urn and by one of nominal parameters, exponent of a shift of "
    "the corpus' bias; and what the price of a reversal bought."
)
# What each panel shows: what, and by which predictors.
PANELS = (
    ("exponent of a displaced share", (URN,)),
    ("exponent of a displaced share", ("law where the community stands", "law of equal families")),
    ("early-stream Sobol index", (URN, PLAIN)),
    ("largest share at the end", (URN, PLAIN)),
    ("exponent of a shift of the corpus' bias", ("L - 1",)),
)
MARKS = ((BLUE, "o"), (VERMILION, "x"))


def draw(report: Report) -> Figure:
    """Draw the study's report."""
    fig = Figure(figsize=(style.WIDTHS["double"], 118 * MM))
    axes = fig.subplots(2, 3).ravel()
    for ax, letter, (what, predictors) in zip(axes, "abcde", PANELS, strict=False):
        _pairs(ax, report, what, predictors)
        style.letter(ax, letter, what)
    _price(axes[5], report)
    style.letter(axes[5], "f", "bought by the price of a reversal")
    return fig


def _pairs(ax: Axes, report: Report, what: str, predictors: tuple[str, ...]) -> None:
    points = report.tables["points"]
    # The alternative lies below.
    for (color, mark), name in reversed(list(zip(MARKS, predictors, strict=False))):
        rows = points[(points["what"] == what) & (points["by"] == name)]
        ax.plot(rows["predicted"], rows["observed"], mark, color=color, markersize=1.8, alpha=0.6, label=name)
    known = points[(points["what"] == what) & points["by"].isin(predictors)][["observed", "predicted"]].to_numpy()
    known = known[np.isfinite(known).all(axis=1)]
    if len(known):
        # A few far points would hide the others: the axes hold 98 % of them.
        low, high = np.quantile(known, (0.01, 0.99))
        room = 0.06 * (high - low) + 1e-9
        ax.plot([low - room, high + room], [low - room, high + room], color=LIGHT, linewidth=0.8, zorder=0)
        ax.set(xlim=(low - room, high + room), ylim=(low - room, high + room))
    ax.set(xlabel="foretold", ylabel="observed")
    ax.legend(fontsize=5, loc="upper left", handletextpad=0.1)


def _price(ax: Axes, report: Report) -> None:
    bought = report.tables["draws"]["bought"].dropna().to_numpy(np.float64)
    ax.hist(np.clip(bought, -0.5, 3.0), bins=np.linspace(-0.5, 3.0, 29).tolist(), color=BLUE)
    ax.axvline(1.0, color=GREY, linewidth=0.8, linestyle="--")
    ax.set(xlabel="bought over paid for (ends: beyond)", ylabel="draws")
