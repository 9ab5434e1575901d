"""Figure of the lock-in forecast: ROC curves out of sample, when the largest share tells, and what tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from mpbf_abm.evidence.assessments.forecast import ENSEMBLES, INDICATORS, SETS
from mpbf_abm.figures import style
from mpbf_abm.figures.style import BLUE, GREEN, GREY, MM, VERMILION

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mpbf_abm.evidence.assessments.assessment import Report

ALT = (
    "ROC curves of out-of-sample predictions of lock-in, for histories of one community and for communities that differ; area under the "
    "curve of the largest share by the moment of the run; log odds per standard deviation of each early indicator."
)
LINES = dict(zip(SETS, ((GREY, "--"), (BLUE, "-"), (VERMILION, "-.")), strict=True))
MARKS = dict(zip(ENSEMBLES, ((BLUE, "o"), (GREEN, "s")), strict=True))


def draw(report: Report) -> Figure:
    """Draw a forecast's report; ensembles that could not be told have empty panels."""
    fig = Figure(figsize=(style.WIDTHS["double"], 110 * MM))
    axes = fig.subplots(2, 2)
    for ax, letter, (ensemble, name) in zip(axes[0], "ab", ENSEMBLES.items(), strict=True):
        _roc(ax, report, ensemble)
        style.letter(ax, letter, name)
    _moments(axes[1, 0], report)
    style.letter(axes[1, 0], "c", "largest share alone, by moment")
    _weights(axes[1, 1], report)
    style.letter(axes[1, 1], "d", "weight of each early indicator")
    return fig


def _roc(ax: Axes, report: Report, ensemble: str) -> None:
    ax.plot([0, 1], [0, 1], color=style.LIGHT, linewidth=0.8)
    ax.set(xlabel="false alarms", ylabel="lock-ins foretold", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    known = report.tables.get("roc")
    part = None if known is None else known[known["ensemble"] == ensemble]
    if part is None or part.empty:
        ax.text(0.5, 0.5, "not told: too few\nruns of one kind", ha="center", va="center")
        return
    for name, rows in part.groupby("indicators", sort=False):
        color, line = LINES[str(name)]
        ax.plot(rows["false_positive_rate"], rows["true_positive_rate"], color=color, linestyle=line, label=str(name))
    ax.legend(loc="lower right")


def _moments(ax: Axes, report: Report) -> None:
    ax.axhline(0.5, color=style.LIGHT, linewidth=0.8)
    ax.set(xlabel="share of the run that has passed", ylabel="area under the ROC curve", ylim=(0.4, 1.02))
    if "moments" not in report.tables:
        return
    for ensemble, rows in report.tables["moments"].groupby("ensemble", sort=False):
        color, mark = MARKS[str(ensemble)]
        ax.errorbar(
            rows["moment"], rows["value"], (rows["value"] - rows["low"], rows["high"] - rows["value"]), color=color, marker=mark,
            linewidth=0.8, label=ENSEMBLES[str(ensemble)],
        )  # fmt: skip
    ax.legend(loc="lower right")


def _weights(ax: Axes, report: Report) -> None:
    ax.axvline(0.0, color=style.LIGHT, linewidth=0.8)
    ax.set_xlabel("log odds of lock-in per standard deviation")
    ax.set_yticks(range(len(INDICATORS)), [name.replace("_", " ") for name in INDICATORS])
    ax.invert_yaxis()
    if "weights" not in report.tables:
        return
    for ensemble, rows in report.tables["weights"].groupby("ensemble", sort=False):
        color, mark = MARKS[str(ensemble)]
        ax.plot(rows["log_odds_per_sd"], range(len(rows)), linestyle="", color=color, marker=mark)
