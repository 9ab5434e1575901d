"""Kinds of figures of fragility: networks under removal, and signals before a transition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mpbf_abm.arrays import Float
from mpbf_abm.evidence.assessments.fragility import CRITERIA
from mpbf_abm.evidence.assessments.histories import REMOVAL_OUTCOMES, STEPS, network_outcomes
from mpbf_abm.figures import kind, style
from mpbf_abm.figures.kind import EVERYTHING, Choice, band, declare, finite, level_words, levels, mean, need
from mpbf_abm.figures.style import BLUE, GREEN, GREY, LIGHT, PURPLE, VERMILION, Frames, pick, ribbon, strip, unique
from mpbf_abm.model.links import Infrastructure
from mpbf_abm.stats.classification import auc, roc_curve
from mpbf_abm.stats.warning import early_warnings
from mpbf_abm.studies.results import Results

LOOKS = ((GREY, "-", "o"), (BLUE, "--", "s"), (VERMILION, "-.", "^"), (GREEN, ":", "D"))
STYLES = dict(zip(CRITERIA, LOOKS, strict=True))
SIGNALS = {"variance_trend": ("variance", BLUE, "-"), "autocorrelation_trend": ("autocorrelation", VERMILION, "--")}
SHOWN = 3  # single histories of each kind
LEVER = "exploration"
FEWEST_TICKS = 10  # of a series whose trends are looked at

# --------------------------------------------------------------------------- 7: removal


def prepare_removal(results: Results, choice: Choice = EVERYTHING) -> dict[str, pd.DataFrame]:
    """Prepare removal curves of the baseline's networks by level and criterion, and their mean R with its interval."""
    column, chosen = levels(results, choice, 3)
    curves, means = [], []
    for s, level in chosen.items():
        found = _network(results, s)
        for criterion in CRITERIA:
            values = np.stack([found[f"{criterion} {i}"] for i in range(STEPS + 1)], axis=1)
            what: dict[str, Any] = {column: level, "criterion": criterion}
            curves.append(band(values, **what, removed=np.arange(STEPS + 1) / STEPS))
            means.append(mean(found[f"R {criterion}"], "R", **what))
    return {"curves": pd.concat(curves, ignore_index=True), "robustness": pd.DataFrame(means)}


def _network(results: Results, s: int) -> dict[str, Float]:
    """Return what is left of the networks of a scenario's baseline runs while nodes are removed (replicates,)."""
    if set(REMOVAL_OUTCOMES) <= results.definitions.keys():
        return {name: results.values(name)[s, 0] for name in REMOVAL_OUTCOMES}
    need("removal", "links" in results.study.series.tables, 'networks: [series] tables = ["links"]')
    held = kind.tables(results, "links", s).items()
    graphs = {r: Infrastructure.of(table["states"][-1], table["need"]).graph() for r, table in held}
    found = {r: network_outcomes(graph, results.plan.seed(s, 0, r)) for r, graph in graphs.items()}
    frame = pd.DataFrame(
        [found.get(r, {}) for r in range(results.replicates)], columns=REMOVAL_OUTCOMES, dtype=np.float64
    )
    return {str(name): column.to_numpy() for name, column in frame.items()}


def draw_removal(frames: Frames) -> Figure:
    """Draw a panel of curves for each number of providers, and R of all."""
    curves, means = frames["curves"], frames["robustness"]
    column = str(curves.columns[0])
    shown = unique(curves[column])
    ratios = (*[1.0] * len(shown), 1.15)
    fig, (*axes, last) = style.figure("double", 62, 1, len(ratios), width_ratios=ratios)
    for ax, level, mark in zip(axes, shown, "abc", strict=False):
        for criterion, (color, line, _) in STYLES.items():
            part = pick(curves, **{column: level}, criterion=criterion)
            ribbon(ax, part, "removed", "median", color, linestyle=line, label=CRITERIA[criterion])
        if ax is not axes[0]:
            ax.sharey(axes[0])
        title = level_words(column, level) if len(shown) > 1 else "largest component"
        style.letter(ax, mark, title, xlabel="nodes removed (share)", xlim=(0, 1), ylim=(0, 1.02))
    axes[0].set_ylabel("largest component\n(share; median, 5–95 %)")
    _areas(last, means, column, shown)
    style.letter(last, "abcd"[len(shown)], "area below the curves", xlabel=kind.label(column))
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return fig


def _areas(ax: Axes, means: pd.DataFrame, column: str, shown: list[Any]) -> None:
    """Draw R by level: numbers of providers stand at their value, other levels one after the other."""
    places, names = (shown, None) if column == "providers" else (list(range(len(shown))), shown)
    for i, (criterion, (color, _, mark)) in enumerate(STYLES.items()):
        x = np.array(places, np.float64) + 0.12 * (i - 1.5)
        style.dots(ax, x, pick(means, criterion=criterion), "R", color, mark)
    ax.set_xticks(places, names and [level_words(column, level).split(" = ")[-1] for level in names])
    ax.set_ylabel("robustness R\n(mean, 95 %)")


# --------------------------------------------------------------------------- 12: early warning


def _courses(results: Results, shown: dict[str, int], values: dict[str, Float]) -> pd.DataFrame:
    """Return the first histories of some arms, from values by arm, replicate and tick."""
    courses = [
        pd.DataFrame({"kind": arm, "replicate": r, "tick": results.series_ticks}).assign(
            **{column: v[a, r] for column, v in values.items()}
        )
        for arm, a in shown.items()
        for r in range(min(SHOWN, results.replicates))
    ]
    return pd.concat(courses, ignore_index=True)


def prepare_warnings(results: Results, choice: Choice = EVERYTHING) -> dict[str, pd.DataFrame]:
    """Prepare histories, trends of both signals, their ROC curves and areas: an arm against the baseline."""
    s, (name, near) = kind.scenario(results, choice.where), _approach(results, choice)
    first = "staying" if results.study.own_model.endswith("histories:approach") else "baseline"
    shown = {first: 0, results.arm_names[near].replace("_", " "): near}
    columns = {"share": name, LEVER: LEVER} if LEVER in results.study.series.of else {"share": name}
    values = {column: results.series_values(of)[s] for column, of in columns.items()}
    series = _courses(results, shown, values)
    series.attrs["of"] = "share of the first family" if first == "staying" else kind.label(name)
    found = {SIGNALS[signal][0]: trend for signal, trend in _trends(results, s, values["share"]).items()}
    taus = [(of, arm, r, v) for of, trend in found.items() for arm, a in shown.items() for r, v in enumerate(trend[a])]
    return {
        "series": series,
        "trends": pd.DataFrame(taus, columns=["signal", "kind", "replicate", "tau"]),
        "roc": pd.concat([_roc(of, trend[near], trend[0]) for of, trend in found.items()], ignore_index=True),
    }


def _approach(results: Results, choice: Choice) -> tuple[str, int]:
    """Return the series that is looked at, and the number of the arm that approaches a transition."""
    name = next(iter(choice.outcomes), "leading_share")
    near = next((a for a in kind.arms(results, choice).values() if a > 0), 0)
    need("warnings", name in results.study.series.of, f"a series of '{name}': [series] of = [\"{name}\"]")
    need("warnings", near, "an arm beside the baseline, [[policy]] or [[arm]], that approaches a transition")
    return name, near


def _roc(signal: str, near: Float, staying: Float) -> pd.DataFrame:
    """Return the ROC curve of a signal's trend, and the area below it with its interval."""
    positive, negative = finite(near), finite(staying)
    need("warnings", len(positive) and len(negative), f"runs of both arms with a trend of {signal}")
    scores, happened = np.concatenate([positive, negative]), np.repeat([True, False], [len(positive), len(negative)])
    e = auc(scores, happened)
    return roc_curve(scores, happened)[["false_positive_rate", "true_positive_rate"]].assign(
        signal=signal, auc=e.value, low=e.low, high=e.high, n=len(scores)
    )


def _trends(results: Results, s: int, share: Float) -> dict[str, Float]:
    """Return the trend of each signal (arms, replicates).

    Trends are outcomes of the study, or those of its series in windows of half of the run.
    """
    if SIGNALS.keys() <= results.definitions.keys():
        return {signal: results.values(signal)[s] for signal in SIGNALS}
    few = f"stored ticks: {share.shape[-1]}, at least {FEWEST_TICKS} are needed ([series] every)"
    need("warnings", share.shape[-1] >= FEWEST_TICKS, few)
    out = np.full((len(SIGNALS), *share.shape[:-1]), np.nan)
    for place in np.argwhere(np.isfinite(share).all(axis=-1)):
        seen = early_warnings(share[*place], share.shape[-1] // 2)
        out[:, *place] = [getattr(seen, signal) for signal in SIGNALS]
    return dict(zip(SIGNALS, out, strict=True))


def draw_warnings(frames: Frames) -> Figure:
    """Draw histories, trends and ROC curves."""
    fig, (left, middle, right) = style.figure("double", 65, 1, 3)
    series, trends = frames["series"], frames["trends"]
    colors = dict(zip(unique(series["kind"]), (GREY, PURPLE), strict=False))
    look: dict[str, Any] = {"hue": "kind", "palette": colors, "units": "replicate", "estimator": None}
    sns.lineplot(series, x="tick", y="share", **look, linewidth=0.6, ax=left)
    of, near = str(series.attrs["of"]), list(colors)[-1]
    if LEVER in series:
        part, label = pick(series, kind=near, replicate=0), f"{LEVER}, {near}"
        left.plot(part["tick"], part[LEVER], color=PURPLE, linestyle=":", linewidth=0.8, label=label)
        of += f"; {LEVER} (share)"
    if series.iloc[:, 3:].to_numpy().max() <= 1:
        left.set_ylim(0, 1)
    style.below(left, -0.2)
    style.letter(left, "a", "histories", xlabel="tick (months)", ylabel=of)
    rows = [(signal, arm) for signal in unique(trends["signal"]) for arm in colors]
    for y, (signal, arm) in enumerate(rows):
        strip(middle, y, pick(trends, signal=signal, kind=arm)["tau"].dropna().to_numpy(), colors[arm])
    middle.axvline(0, color=LIGHT, linewidth=0.8, zorder=0)
    middle.set_yticks(range(len(rows)), [f"{signal},\n{arm}" for signal, arm in rows])
    tau: dict[str, Any] = {
        "xlabel": "Kendall's tau of the signal (–)",
        "xlim": (-1.05, 1.05),
        "ylim": (len(rows) - 0.4, -0.6),
    }
    style.letter(middle, "b", "trends; each point a history", **tau)
    right.plot([0, 1], [0, 1], color=LIGHT, linewidth=0.8)
    for signal, color, line in SIGNALS.values():
        part = pick(frames["roc"], signal=signal)
        area = "{auc:.2f} ({low:.2f}–{high:.2f})".format(**part.iloc[0])
        right.plot(
            part["false_positive_rate"],
            part["true_positive_rate"],
            color=color,
            linestyle=line,
            label=f"{signal}: area {area}",
        )
    style.below(right, -0.2, 0.45)
    rates: dict[str, Any] = {"xlabel": "false alarms (share)", "ylabel": "transitions predicted (share)"}
    style.letter(right, "c", "as an alarm", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), **rates)
    return fig


KINDS = (declare("removal", prepare_removal, draw_removal), declare("warnings", prepare_warnings, draw_warnings))
