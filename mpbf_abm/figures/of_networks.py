"""Kinds of figures of fragility: networks under removal, and signals before a transition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mpbf_abm.evidence.assessments.fragility import CRITERIA
from mpbf_abm.evidence.assessments.histories import REMOVAL_OUTCOMES, STEPS, network_outcomes
from mpbf_abm.figures import style
from mpbf_abm.figures.kind import (
    EVERYTHING,
    Choice,
    Float,
    Frames,
    Kind,
    arms,
    band,
    finite,
    label,
    lacking,
    level_words,
    levels,
    scenario,
)
from mpbf_abm.figures.of_studies import strip
from mpbf_abm.figures.style import BLUE, GREEN, GREY, LIGHT, MM, PURPLE, VERMILION
from mpbf_abm.stats.classification import auc, roc_curve
from mpbf_abm.stats.estimates import mean_estimate
from mpbf_abm.stats.warning import early_warnings

if TYPE_CHECKING:
    import networkx as nx

    from mpbf_abm.studies.results import Results

STYLES = dict(
    zip(CRITERIA, ((GREY, "-", "o"), (BLUE, "--", "s"), (VERMILION, "-.", "^"), (GREEN, ":", "D")), strict=True)
)
SIGNALS = {"variance_trend": ("variance", BLUE, "-"), "autocorrelation_trend": ("autocorrelation", VERMILION, "--")}
SHOWN = 3  # single histories of each kind
LEVER = "exploration"
FEWEST_TICKS = 10  # of a series whose trends are looked at

# --------------------------------------------------------------------------- 7: removal


def prepare_removal(results: Results, choice: Choice = EVERYTHING) -> dict[str, pd.DataFrame]:
    """Prepare removal curves of the baseline's networks by level and criterion, and their mean R with its interval over communities."""
    column, chosen = levels(results, choice, 3)
    curves, means = [], []
    for s, level in chosen.items():
        found = _network(results, s)
        for criterion in CRITERIA:
            values = np.stack([found[f"{criterion} {i}"] for i in range(STEPS + 1)], axis=1)
            middle, low, high = band(values)
            curves += [(level, criterion, i / STEPS, middle[i], low[i], high[i]) for i in range(STEPS + 1)]
            known = finite(found[f"R {criterion}"])
            e = mean_estimate(known)
            means.append((level, criterion, e.value, e.low, e.high, len(known)))
    return {
        "curves": pd.DataFrame(curves, columns=[column, "criterion", "removed", "median", "low", "high"]),
        "robustness": pd.DataFrame(means, columns=[column, "criterion", "R", "low", "high", "n"]),
    }


def _network(results: Results, s: int) -> dict[str, Float]:
    """Return what is left of the networks of a scenario's baseline runs while nodes are removed (replicates,)."""
    if set(REMOVAL_OUTCOMES) <= results.definitions.keys():
        return {name: results.values(name)[s, 0] for name in REMOVAL_OUTCOMES}
    if "links" not in results.study.series.tables:
        raise lacking("removal", 'networks: [series] tables = ["links"]')
    out = {name: np.full(results.replicates, np.nan) for name in REMOVAL_OUTCOMES}
    for (at, arm, r), table in results.tables("links").items():
        if (at, arm) == (s, 0):
            for name, value in network_outcomes(_graph(table["states"][-1]), results.plan.seed(s, 0, r)).items():
                out[name][r] = value
    return out


def _graph(links: Mapping[str, NDArray[Any]]) -> nx.DiGraph[tuple[str, int]]:
    """Return the graph of stored links: repositories, models and labs, and who provides or deposits."""
    import networkx as nx

    graph: nx.DiGraph[tuple[str, int]] = nx.DiGraph()
    for kind, nodes in (("repository", "down_repositories"), ("model", "down_models"), ("lab", "lab_models")):
        graph.add_nodes_from((kind, i) for i in range(len(links[nodes])))
    for kind, user, name in (("repository", "model", "model_repositories"), ("model", "lab", "lab_models")):
        graph.add_edges_from(
            ((kind, j), (user, i)) for i, row in enumerate(links[name].tolist()) for j in row if j >= 0
        )
    graph.add_edges_from((("lab", i), ("repository", j)) for i, j in enumerate(links["lab_repository"].tolist()))
    return graph


def draw_removal(frames: Frames) -> Figure:
    """Draw a panel of curves for each number of providers, and R of all."""
    curves, means = frames["curves"], frames["robustness"]
    column = str(curves.columns[0])
    shown = list(dict.fromkeys(curves[column]))
    # Numbers of providers stand at their value, other levels one after the other.
    places = shown if column == "providers" else list(range(len(shown)))
    fig = Figure(figsize=(style.WIDTHS["double"], 62 * MM))
    axes = fig.subplots(1, len(shown) + 1, width_ratios=(*[1.0] * len(shown), 1.15))
    for ax, level, mark in zip(axes, shown, "abc", strict=False):
        for criterion, (color, line, _) in STYLES.items():
            part = curves[(curves[column] == level) & (curves["criterion"] == criterion)]
            ax.fill_between(part["removed"], part["low"], part["high"], color=color, alpha=0.15, linewidth=0)
            ax.plot(part["removed"], part["median"], color=color, linestyle=line, label=CRITERIA[criterion])
        if ax is not axes[0]:
            ax.sharey(axes[0])
        ax.set(xlabel="nodes removed (share)", xlim=(0, 1), ylim=(0, 1.02))
        style.letter(ax, mark, level_words(column, level) if len(shown) > 1 else "largest component")
    axes[0].set_ylabel("largest component\n(share; median, 5–95 %)")
    for i, (criterion, (color, _, mark)) in enumerate(STYLES.items()):
        part = means[means["criterion"] == criterion]
        x = np.array(places, np.float64) + 0.12 * (i - 1.5)
        axes[-1].vlines(x, part["low"], part["high"], color=color)
        axes[-1].plot(x, part["R"], mark, color=color)
    axes[-1].set(xlabel=label(column), ylabel="robustness R\n(mean, 95 %)", xticks=places)
    if places is not shown:
        axes[-1].set_xticklabels([level_words(column, level).split(" = ")[-1] for level in shown])
    style.letter(axes[-1], "abcd"[len(shown)], "area below the curves")
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=2)
    return fig


# --------------------------------------------------------------------------- 12: early warning


def prepare_warnings(results: Results, choice: Choice = EVERYTHING) -> dict[str, pd.DataFrame]:
    """Prepare single histories, trends of both signals, their ROC curves and areas: an arm against the baseline, in one scenario."""
    s, stored = scenario(results, choice.where), results.study.series.of
    name = next(iter(choice.outcomes), "leading_share")
    near = next((a for a in arms(results, choice).values() if a > 0), None)
    if name not in stored:
        raise lacking("warnings", f"a series of '{name}': [series] of = [\"{name}\"]")
    if near is None:
        raise lacking("warnings", "an arm beside the baseline, [[policy]] or [[arm]], that approaches a transition")
    share, lever = results.series_values(name)[s], results.series_values(LEVER)[s] if LEVER in stored else None
    first = "staying" if results.study.own_model.endswith("histories:approach") else "baseline"
    shown = {first: 0, results.arm_names[near].replace("_", " "): near}
    series = [
        (kind, r, int(t), share[a, r, i], *(() if lever is None else (lever[a, r, i],)))
        for kind, a in shown.items() for r in range(min(SHOWN, share.shape[1])) for i, t in enumerate(results.series_ticks)
    ]  # fmt: skip
    trends, curves, areas = [], [], []
    found = _trends(results, s, share)
    for signal, (words, _, _) in SIGNALS.items():
        values = found[signal]
        for kind, a in shown.items():
            trends += [(words, kind, r, v) for r, v in enumerate(values[a])]
        known = finite(values[near]), finite(values[0])
        if not (len(known[0]) and len(known[1])):
            raise lacking("warnings", f"runs of both arms with a trend of {words}")
        scores = np.concatenate(known)
        happened = np.concatenate([np.ones(len(known[0]), bool), np.zeros(len(known[1]), bool)])
        e = auc(scores, happened)
        areas.append((words, e.value, e.low, e.high, len(scores)))
        curves.append(roc_curve(scores, happened)[["false_positive_rate", "true_positive_rate"]].assign(signal=words))
    roc = pd.concat(curves, ignore_index=True).merge(
        pd.DataFrame(areas, columns=["signal", "auc", "low", "high", "n"]), on="signal"
    )
    head = ["kind", "replicate", "tick", "share", *([] if lever is None else [LEVER])]
    frame = pd.DataFrame(series, columns=head)
    frame.attrs["of"] = "share of the first family" if first == "staying" else label(name)
    return {
        "series": frame,
        "trends": pd.DataFrame(trends, columns=["signal", "kind", "replicate", "tau"]),
        "roc": roc,
    }


def _trends(results: Results, s: int, share: Float) -> dict[str, Float]:
    """Return the trend of each signal (arms, replicates): outcomes of the study, or those of its series in windows of half of the run."""
    if SIGNALS.keys() <= results.definitions.keys():
        return {signal: results.values(signal)[s] for signal in SIGNALS}
    if share.shape[-1] < FEWEST_TICKS:
        raise lacking(
            "warnings", f"stored ticks: {share.shape[-1]}, at least {FEWEST_TICKS} are needed ([series] every)"
        )
    out = {signal: np.full(share.shape[:-1], np.nan) for signal in SIGNALS}
    for place in np.ndindex(share.shape[:-1]):
        if np.isfinite(share[place]).all():
            seen = early_warnings(share[place], share.shape[-1] // 2)
            for signal in SIGNALS:
                out[signal][place] = getattr(seen, signal)
    return out


def draw_warnings(frames: Frames) -> Figure:
    """Draw histories, trends and ROC curves."""
    fig = Figure(figsize=(style.WIDTHS["double"], 65 * MM))
    left, middle, right = fig.subplots(1, 3)
    series = frames["series"]
    kinds = list(dict.fromkeys(series["kind"]))
    for kind, color in zip(kinds, (GREY, PURPLE), strict=False):
        for r, part in series[series["kind"] == kind].groupby("replicate"):
            left.plot(part["tick"], part["share"], color=color, linewidth=0.6, label=kind if r == 0 else None)
    of = str(series.attrs["of"])
    if LEVER in series:
        part = series[(series["kind"] == kinds[1]) & (series["replicate"] == 0)]
        left.plot(
            part["tick"], part[LEVER], color=PURPLE, linestyle=":", linewidth=0.8, label=f"{LEVER}, {kinds[1]}"
        )  # fmt: skip
        of += f"; {LEVER} (share)"
    left.set(xlabel="tick (months)", ylabel=of)
    if series.iloc[:, 3:].to_numpy().max() <= 1:
        left.set_ylim(0, 1)
    left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2))
    style.letter(left, "a", "histories")
    rows = [(s, k) for s in dict.fromkeys(frames["trends"]["signal"]) for k in kinds]
    for y, (signal, kind) in enumerate(rows):
        chosen = frames["trends"][(frames["trends"]["signal"] == signal) & (frames["trends"]["kind"] == kind)][
            "tau"
        ].dropna()
        strip(middle, y, chosen.to_numpy(), GREY if kind == kinds[0] else PURPLE)
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


KINDS = (
    Kind(
        "removal", "The network under removal", "[series] tables = [\"links\"]; up to three scenarios, the baseline", "double", 68,
        "Largest component of the network of repositories, models and labs while nodes are removed, at random or by three criteria of attack: median and the range of nine tenths of communities. The mean of each curve, R, with its 95 % "
        "interval (last panel).",
        "Curves of the largest component against the share of nodes removed, for four orders of removal, and the mean of each curve with its interval.",
        prepare_removal, draw_removal,
    ),
    Kind(
        "warnings", "Signals before a transition", "[series] of = [\"leading_share\"], every = 1, and an arm that approaches a transition; one scenario", "double", 72,
        "Communities that approach a transition, and others that do not: single histories (a), trends of variance and autocorrelation of their series in windows of half of the run (b; line: 10–90 %, tick: median), and how well the trends "
        "tell one arm from the other, area with its 95 % interval (c).",
        "Histories of communities that approach a transition and of others, distributions of the trends of two early-warning signals, and their ROC curves.",
        prepare_warnings, draw_warnings,
    ),
)  # fmt: skip
