"""Figures of fragility: networks under removal, and signals before a transition."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mpbf_abm.evidence.assessments.fragility import CRITERIA
from mpbf_abm.evidence.assessments.histories import STEPS
from mpbf_abm.figures import style
from mpbf_abm.figures.of_studies import strip
from mpbf_abm.figures.style import BLUE, GREEN, GREY, LIGHT, MM, PURPLE, VERMILION
from mpbf_abm.paper.figure import Frames, PaperFigure, band
from mpbf_abm.stats.classification import auc, roc_curve
from mpbf_abm.stats.estimates import mean_estimate

if TYPE_CHECKING:
    from mpbf_abm.studies.results import Results

STYLES = dict(
    zip(CRITERIA, ((GREY, "-", "o"), (BLUE, "--", "s"), (VERMILION, "-.", "^"), (GREEN, ":", "D")), strict=True)
)
SIGNALS = {"variance_trend": ("variance", BLUE, "-"), "autocorrelation_trend": ("autocorrelation", VERMILION, "--")}
SHOWN = 3  # single histories of each kind

# --------------------------------------------------------------------------- 7: removal


def prepare_removal(results: Results) -> dict[str, pd.DataFrame]:
    """Removal curves by providers and criterion, and their mean R with its interval over communities."""
    curves, means = [], []
    for s, providers in enumerate(results.scenarios["infrastructure.providers"].astype(int)):
        for criterion in CRITERIA:
            values = np.stack([results.values(f"{criterion} {i}")[s, 0] for i in range(STEPS + 1)], axis=1)
            middle, low, high = band(values)
            curves += [(providers, criterion, i / STEPS, middle[i], low[i], high[i]) for i in range(STEPS + 1)]
            e = mean_estimate(results.values(f"R {criterion}")[s, 0])
            means.append((providers, criterion, e.value, e.low, e.high, results.replicates))
    return {
        "curves": pd.DataFrame(curves, columns=["providers", "criterion", "removed", "median", "low", "high"]),
        "robustness": pd.DataFrame(means, columns=["providers", "criterion", "R", "low", "high", "n"]),
    }


def draw_removal(frames: Frames) -> Figure:
    """Draw a panel of curves for each number of providers, and R of all."""
    curves, means = frames["curves"], frames["robustness"]
    counts = sorted(curves["providers"].unique())
    fig = Figure(figsize=(style.WIDTHS["double"], 62 * MM))
    axes = fig.subplots(1, len(counts) + 1, width_ratios=(*[1.0] * len(counts), 1.15))
    for ax, providers, mark in zip(axes, counts, "abc", strict=False):
        for criterion, (color, line, _) in STYLES.items():
            part = curves[(curves["providers"] == providers) & (curves["criterion"] == criterion)]
            ax.fill_between(part["removed"], part["low"], part["high"], color=color, alpha=0.15, linewidth=0)
            ax.plot(part["removed"], part["median"], color=color, linestyle=line, label=CRITERIA[criterion])
        if ax is not axes[0]:
            ax.sharey(axes[0])
        ax.set(xlabel="nodes removed (share)", xlim=(0, 1), ylim=(0, 1.02))
        style.letter(ax, mark, f"{providers} provider{'s' * int(providers > 1)} each")
    axes[0].set_ylabel("largest component\n(share; median, 5–95 %)")
    for i, (criterion, (color, _, mark)) in enumerate(STYLES.items()):
        part = means[means["criterion"] == criterion]
        x = part["providers"].to_numpy(float) + 0.12 * (i - 1.5)
        axes[-1].vlines(x, part["low"], part["high"], color=color)
        axes[-1].plot(x, part["R"], mark, color=color)
    axes[-1].set(xlabel="providers (number)", ylabel="robustness R\n(mean, 95 %)", xticks=counts)
    style.letter(axes[-1], "d", "area below the curves")
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=2)
    return fig


# --------------------------------------------------------------------------- 12: early warning


def prepare_warnings(results: Results) -> dict[str, pd.DataFrame]:
    """Single histories, trends of both signals, their ROC curves and areas; approaching against staying."""
    share, lever = results.series_values("leading_share")[0], results.series_values("exploration")[0]
    near = results.arm_index("approaching")
    arms = {"staying": 0, "approaching": near}
    series = [
        (kind, r, int(t), share[a, r, i], lever[a, r, i])
        for kind, a in arms.items() for r in range(min(SHOWN, share.shape[1])) for i, t in enumerate(results.series_ticks)
    ]  # fmt: skip
    trends, curves, areas = [], [], []
    for signal, (label, _, _) in SIGNALS.items():
        values = results.values(signal)[0]
        for kind, a in arms.items():
            trends += [(label, kind, r, v) for r, v in enumerate(values[a])]
        known = np.isfinite(values[near]), np.isfinite(values[0])
        scores = np.concatenate([values[near][known[0]], values[0][known[1]]])
        happened = np.concatenate([np.ones(known[0].sum(), bool), np.zeros(known[1].sum(), bool)])
        e = auc(scores, happened)
        areas.append((label, e.value, e.low, e.high, len(scores)))
        curves.append(roc_curve(scores, happened)[["false_positive_rate", "true_positive_rate"]].assign(signal=label))
    roc = pd.concat(curves, ignore_index=True).merge(
        pd.DataFrame(areas, columns=["signal", "auc", "low", "high", "n"]), on="signal"
    )
    return {
        "series": pd.DataFrame(series, columns=["kind", "replicate", "tick", "share", "exploration"]),
        "trends": pd.DataFrame(trends, columns=["signal", "kind", "replicate", "tau"]),
        "roc": roc,
    }


def draw_warnings(frames: Frames) -> Figure:
    """Draw histories, trends and ROC curves."""
    fig = Figure(figsize=(style.WIDTHS["double"], 65 * MM))
    left, middle, right = fig.subplots(1, 3)
    series = frames["series"]
    for kind, color in (("staying", GREY), ("approaching", PURPLE)):
        for r, part in series[series["kind"] == kind].groupby("replicate"):
            left.plot(part["tick"], part["share"], color=color, linewidth=0.6, label=kind if r == 0 else None)
    part = series[(series["kind"] == "approaching") & (series["replicate"] == 0)]
    left.plot(
        part["tick"], part["exploration"], color=PURPLE, linestyle=":", linewidth=0.8, label="exploration, approaching"
    )
    left.set(xlabel="tick (months)", ylabel="share of the first family; exploration (share)", ylim=(0, 1))
    left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2))
    style.letter(left, "a", "histories")
    rows = [(s, k) for s in dict.fromkeys(frames["trends"]["signal"]) for k in ("staying", "approaching")]
    for y, (signal, kind) in enumerate(rows):
        chosen = frames["trends"][(frames["trends"]["signal"] == signal) & (frames["trends"]["kind"] == kind)][
            "tau"
        ].dropna()
        strip(middle, y, chosen.to_numpy(), GREY if kind == "staying" else PURPLE)
    middle.axvline(0, color=LIGHT, linewidth=0.8, zorder=0)
    middle.set_yticks(range(len(rows)), [f"{s},\n{k}" for s, k in rows])
    middle.set(xlabel="Kendall's tau of the signal (–)", ylim=(len(rows) - 0.4, -0.6), xlim=(-1.05, 1.05))
    style.letter(middle, "b", "trends; each point a history")
    right.plot([0, 1], [0, 1], color=LIGHT, linewidth=0.8)
    for signal, color, line in SIGNALS.values():
        part = frames["roc"][frames["roc"]["signal"] == signal]
        told = part.iloc[0]
        right.plot(
            part["false_positive_rate"], part["true_positive_rate"], color=color, linestyle=line,
            label=f"{signal}: area {told['auc']:.2f} ({told['low']:.2f}–{told['high']:.2f})",
        )  # fmt: skip
    right.set(
        xlabel="false alarms (share)", ylabel="transitions foretold (share)", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02)
    )
    right.legend(loc="upper center", bbox_to_anchor=(0.45, -0.2))
    style.letter(right, "c", "as an alarm")
    return fig


FIGURES = (
    PaperFigure(
        "removal", "The network under removal", "removal", "double", 68,
        "Largest component of the network of repositories, models and labs while nodes are removed, at random or by three criteria of attack, where models and labs lean on one (a), two (b) or three (c) providers: median and the range of nine "
        "tenths of communities. The mean of each curve, R, with its 95 % interval (d).",
        "Curves of the largest component against the share of nodes removed, for four orders of removal and one to three providers, and the mean of each curve with its interval.",
        prepare_removal, draw_removal,
    ),
    PaperFigure(
        "warnings", "Signals before a transition", "warnings", "double", 72,
        "Null communities of constant size whose exploration falls to the threshold of lock-in, and others whose exploration stays: single histories (a), trends of variance and autocorrelation of the first family's share in windows of half "
        "of the run (b; line: 10–90 %, tick: median), and how well the trends tell one kind from the other, area with its 95 % interval (c).",
        "Histories of communities that approach a transition and of others, distributions of the trends of two early-warning signals, and their ROC curves.",
        prepare_warnings, draw_warnings,
    ),
)  # fmt: skip
