"""Figures of assessments: atlas, value of data, effective urn, forecast, forms of equations, fragility, path.

Each function draws the report of one assessment.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mpbf_abm.evidence.assessments.assessment import Report
from mpbf_abm.evidence.assessments.effective_urn import LOCKED, PLAIN, URN
from mpbf_abm.evidence.assessments.forecast import ENSEMBLES, INDICATORS, SETS
from mpbf_abm.evidence.assessments.forms import FORMS, HEADLINES
from mpbf_abm.evidence.assessments.fragility import ALL, CRITERIA, KINDS, OUTAGES, OUTCOMES, WORST
from mpbf_abm.evidence.assessments.worth import OUTCOMES as WORTH
from mpbf_abm.figures import style
from mpbf_abm.figures.style import BLUE, GREEN, GREY, LIGHT, PETROFF, PURPLE, ROLES, VERMILION, Frames, pick, ribbon
from mpbf_abm.model.indicators import UNITS

Panel = Callable[[Axes, Frames], None]


def _draw(axes: Iterable[Axes], panels: Iterable[tuple[str, Panel]], tables: Frames) -> None:
    """Draw a panel into each of the axes, under its letter and title."""
    for ax, letter, (title, panel) in zip(axes, "abcdef", panels, strict=False):
        panel(ax, tables)
        style.letter(ax, letter, title)


def _zero(ax: Axes) -> None:
    ax.axhline(0.0, color=LIGHT, linewidth=0.8, zorder=0)


def _diagonal(ax: Axes, low: float, high: float) -> None:
    ax.plot([low, high], [low, high], color=LIGHT, linewidth=0.8, zorder=0)


def _errors(rows: pd.DataFrame) -> Any:
    """Return how far an interval reaches below and above its value (2, N)."""
    return np.maximum(np.stack([rows["value"] - rows["low"], rows["high"] - rows["value"]]), 0.0)


# --------------------------------------------------------------------------- atlas

ACROSS = 6
LOOK = {"as predicted": (BLUE, "o"), "weak": (GREEN, "^"), "absent": (GREY, "s"), "reversed": (VERMILION, "x")}
LOOK |= {"undecided": (PURPLE, "D")}


def atlas(report: Report) -> Figure:
    """Draw one small panel per row of the atlas: the indicator over its parameter."""
    rows = report.tables["levels"].groupby(["group", "row", "parameter"], sort=False)
    lines = -(-rows.ngroups // ACROSS)
    fig, axes = style.figure("double", 12 + 21 * lines, lines, ACROSS)
    for ax, ((_, row, _), part) in zip(axes, rows, strict=False):
        name, indicator = str(row).rsplit(": ", 1)
        color, mark = LOOK[part["found"].iloc[0]]
        ax.errorbar(
            part["level"], part["value"], _errors(part), color=color, marker=mark, linewidth=0.8, markersize=2.5
        )
        ax.set(xticks=[], xmargin=0.15)
        ax.tick_params(axis="y", labelsize=4.5)
        ax.set_title(textwrap.fill(name, 20), loc="left", fontsize=5, fontweight="bold", pad=2)
        ax.set_ylabel(indicator, fontsize=4.5, labelpad=1)
    for ax in axes[rows.ngroups :]:
        ax.remove()
    handles = [fig.axes[0].plot([], [], color=c, marker=m, linewidth=0.8, markersize=3)[0] for c, m in LOOK.values()]
    fig.legend(handles, list(LOOK), loc="outside lower center", ncols=len(LOOK))
    return fig


# --------------------------------------------------------------------------- effective urn

# Each panel's quantity, and its predictors.
PREDICTED = (
    ("exponent of a displaced share", (URN,)),
    ("exponent of a displaced share", ("law where the community stands", "law of equal families")),
    ("early-stream Sobol index", (URN, PLAIN)),
    ("largest share at the end", (URN, PLAIN)),
    ("exponent of a shift of the corpus' bias", ("L - 1",)),
)
PREDICTORS = ((BLUE, "o"), (VERMILION, "x"))


def effective_urn(report: Report) -> Figure:
    """Draw observed against predicted values, draw by draw, and what the price of a reversal bought."""
    fig, axes = style.figure("double", 118, 2, 3)
    pairs = [(what, partial(_predicted, what=what, predictors=by)) for what, by in PREDICTED]
    _draw(axes, [*pairs, ("bought by the price of a reversal", _price)], report.tables)
    return fig


def _predicted(ax: Axes, tables: Frames, what: str, predictors: tuple[str, ...]) -> None:
    points = pick(tables["points"], what=what)
    # The alternative lies below.
    for (color, mark), name in reversed(list(zip(PREDICTORS, predictors, strict=False))):
        rows = pick(points, by=name)
        ax.plot(rows["predicted"], rows["observed"], mark, color=color, markersize=1.8, alpha=0.6, label=name)
    known = points.loc[points["by"].isin(predictors), ["observed", "predicted"]].dropna()
    if len(known):
        # A few far points would hide the others: the axes hold 98 % of them.
        low, high = np.quantile(known, (0.01, 0.99))
        room = 0.06 * (high - low) + 1e-9
        _diagonal(ax, low - room, high + room)
        ax.set(xlim=(low - room, high + room), ylim=(low - room, high + room))
    ax.set(xlabel="predicted", ylabel="observed")
    ax.legend(fontsize=5, loc="upper left", handletextpad=0.1)


def _price(ax: Axes, tables: Frames) -> None:
    bought = tables["draws"]["bought"].dropna().astype(float)
    sns.histplot(x=bought.clip(-0.5, 3.0), bins=np.linspace(-0.5, 3.0, 29).tolist(), color=BLUE, alpha=1.0, ax=ax)
    ax.axvline(1.0, color=GREY, linewidth=0.8, linestyle="--")
    ax.set(xlabel="bought over paid for (ends: beyond)", ylabel="draws")


# --------------------------------------------------------------------------- forecast

COLORS = dict(zip(SETS, (GREY, BLUE, VERMILION), strict=True))
DASHES = dict(zip(SETS, ((4, 1.5), "", (3, 1.25, 1.5, 1.25)), strict=True))
MARKS = dict(zip(ENSEMBLES, ((BLUE, "o"), (GREEN, "s")), strict=True))


def forecast(report: Report) -> Figure:
    """Draw ROC curves out of sample, when the largest share predicts lock-in, and the weight of each indicator.

    Ensembles that cannot be predicted have empty panels.
    """
    fig, axes = style.figure("double", 110, 2, 2)
    curves = [(name, partial(_roc, ensemble=ensemble)) for ensemble, name in ENSEMBLES.items()]
    others = [("largest share alone, by moment", _moments), ("weight of each early indicator", _weights)]
    _draw(axes, [*curves, *others], report.tables)
    return fig


def _roc(ax: Axes, tables: Frames, ensemble: str) -> None:
    _diagonal(ax, 0, 1)
    part = pick(tables["roc"], ensemble=ensemble) if "roc" in tables else pd.DataFrame()
    if part.empty:
        ax.text(0.5, 0.5, "not known: too few\nruns of one kind", ha="center", va="center")
    else:
        look: dict[str, Any] = {"hue": "indicators", "style": "indicators", "palette": COLORS, "dashes": DASHES}
        sns.lineplot(part, x="false_positive_rate", y="true_positive_rate", estimator=None, sort=False, **look, ax=ax)
        ax.legend(loc="lower right")
    ax.set(xlabel="false alarms", ylabel="lock-ins predicted", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))


def _moments(ax: Axes, tables: Frames) -> None:
    ax.axhline(0.5, color=LIGHT, linewidth=0.8)
    ax.set(xlabel="share of the run that has passed", ylabel="area under the ROC curve", ylim=(0.4, 1.02))
    if "moments" not in tables:
        return
    for ensemble, rows in tables["moments"].groupby("ensemble", sort=False):
        color, mark = MARKS[str(ensemble)]
        name = ENSEMBLES[str(ensemble)]
        ax.errorbar(rows["moment"], rows["value"], _errors(rows), color=color, marker=mark, linewidth=0.8, label=name)
    ax.legend(loc="lower right")


def _weights(ax: Axes, tables: Frames) -> None:
    ax.axvline(0.0, color=LIGHT, linewidth=0.8)
    ax.set_xlabel("log odds of lock-in per standard deviation")
    ax.set_yticks(range(len(INDICATORS)), [name.replace("_", " ") for name in INDICATORS])
    ax.invert_yaxis()
    if "weights" not in tables:
        return
    for ensemble, rows in tables["weights"].groupby("ensemble", sort=False):
        color, mark = MARKS[str(ensemble)]
        ax.plot(rows["log_odds_per_sd"], range(len(rows)), linestyle="", color=color, marker=mark)


# --------------------------------------------------------------------------- forms of equations

COLUMNS = 5
COMBINATIONS = "combinations, from all chosen (left) to all alternative (right); "
COMBINATIONS += "circle: as claimed, cross: the opposite, square: undecided"


def forms(report: Report) -> Figure:
    """Draw each headline's effect under every combination; the number of alternative forms grows to the right."""
    fig, axes = style.figure("double", 92, -(-len(HEADLINES) // COLUMNS), COLUMNS)
    for ax, letter, headline in zip(axes, "abcdefghij", HEADLINES, strict=False):
        rows = pick(report.tables["combinations"], headline=headline.words)
        order = np.argsort((rows[list(FORMS)] == "alternative").sum(axis=1).to_numpy(), kind="stable")
        for x, (effect, low, high) in enumerate(rows[["effect", "low", "high"]].to_numpy()[order]):
            side = int(low > 0) - int(high < 0)
            color, mark = {1: (BLUE, "o"), -1: (VERMILION, "x"), 0: (GREY, "s")}[side * headline.sign]
            ax.plot([x, x], [low, high], color=color, linewidth=0.8)
            ax.plot(x, effect, mark, color=color, markersize=2.5)
        _zero(ax)
        ax.set_xticks([])
        ax.set_ylabel(headline.outcome, fontsize=5)
        ax.tick_params(axis="y", labelsize=5)
        ax.set_title(style.heading(letter, textwrap.fill(headline.words, 22)), loc="left", fontsize=5.5)
    for ax in axes[len(HEADLINES) :]:
        ax.remove()
    fig.supxlabel(COMBINATIONS, fontsize=6)
    return fig


# --------------------------------------------------------------------------- fragility

SMALLEST = OUTCOMES[WORST][1]
STYLES = ((BLUE, "-"), (VERMILION, "--"), (GREEN, "-."), (PURPLE, ":"))


def fragility(report: Report) -> Figure:
    """Draw the network under removal, what losses cost, outages that end, and static measures against costs."""
    fig, axes = style.figure("double", 118, 2, 3)
    panels: dict[str, Panel] = {
        "network, nodes removed": _removal,
        "loss of one node for good": _keystones,
        "loss of many repositories": _tipping,
        "labs without a model in an outage": partial(_gaps, performance="steered"),
        "records out of reach in an outage": partial(_gaps, performance="visible"),
        "users of a node, and its cost": _static,
    }
    _draw(axes, panels.items(), report.tables)
    axes[3].legend(fontsize=5, loc="upper right")
    return fig


def _removal(ax: Axes, tables: Frames) -> None:
    for (criterion, words), (color, line) in zip(CRITERIA.items(), STYLES, strict=True):
        rows = pick(tables["removal_curves"], criterion=criterion)
        ax.plot(rows["removed"], rows["giant"], color=color, linestyle=line, label=words)
    ax.set(xlabel="nodes removed, share", ylabel="largest part, share", xlim=(0, 1), ylim=(0, 1))
    ax.legend(fontsize=5)


def _costs(tables: Frames, kind: str) -> pd.DataFrame:
    return pick(tables["keystones"], kind=kind, outcome=WORST).sort_values("role")


def _threshold(ax: Axes) -> None:
    _zero(ax)
    ax.axhline(SMALLEST, color=GREY, linewidth=0.7, linestyle="--", zorder=0)


def _keystones(ax: Axes, tables: Frames) -> None:
    start = 0
    for kind, mark in zip(KINDS, "os", strict=True):
        rows, color = _costs(tables, kind), ROLES[kind]
        x = start + np.arange(len(rows))
        ax.vlines(x, rows["p10"], rows["p90"], color=color, linewidth=2.5, alpha=0.25)
        style.dots(ax, x, rows, "cost", color, mark, width=0.8, label=kind)
        start += len(rows) + 1
    _threshold(ax)
    nodes = "nodes, most used first\n(thin: interval for all; thick: 10-90 % of communities)"
    ax.set(xticks=[], xlabel=nodes, ylabel="cost in discoveries, share")
    ax.legend(fontsize=5)


def _tipping(ax: Axes, tables: Frames) -> None:
    for (target, words), (color, line), shift in zip(ALL.items(), STYLES, (-0.006, 0.006), strict=False):
        rows = pick(tables["tipping"], chosen=target)
        style.dots(ax, rows["lost"] + shift, rows, "cost", color, "o", width=0.8, linestyle=line, label=words)
    _threshold(ax)
    ax.set(xlabel="repositories lost for good, share", ylabel="cost in discoveries, share")
    ax.legend(fontsize=5)


def _gaps(ax: Axes, tables: Frames, performance: str) -> None:
    for name, (color, line) in zip(OUTAGES, STYLES, strict=True):
        rows = pick(tables["gap_curves"], outage=name, performance=performance)
        ribbon(ax, rows, "time", "gap", color, linestyle=line, label=name)
    _zero(ax)
    ax.set(xlabel="ticks since the outage", ylabel="below the spared community, share")


def _static(ax: Axes, tables: Frames) -> None:
    for kind, mark in zip(KINDS, "os", strict=True):
        rows, color = _costs(tables, kind), ROLES[kind]
        x = pick(tables["losses"], kind=kind).groupby("role")["users"].mean().reindex(rows["role"]).to_numpy()
        style.dots(ax, x, rows, "cost", color, mark, width=0.6, label=kind)
    _threshold(ax)
    ax.set(xlabel="models or labs that depend on it, mean", ylabel="cost in discoveries, share")


# --------------------------------------------------------------------------- insurance


def insurance(report: Report) -> Figure:
    """Draw what each insurance saves of the cost of a loss, and the cost by channel."""
    fig, axes = style.figure("double", 118, 2, 2)
    panels: list[tuple[str, Panel]] = []
    for kind in KINDS:
        panels += [
            (f"loss of the leading {kind}", partial(_by_name, table="insurances", names="arm", kind=kind)),
            ("by channel", partial(_by_name, table="channels", names="channel", kind=kind)),
        ]
    _draw(axes, panels, report.tables)
    return fig


def _by_name(ax: Axes, tables: Frames, table: str, names: str, kind: str) -> None:
    rows = pick(tables[table], kind=kind, outcome="found_by_planners_share")
    _bars(ax, rows[names], rows["cost"], rows["low"], rows["high"])
    ax.set(xlabel="cost in discoveries by planners, share")


def _bars(ax: Axes, names: pd.Series, value: pd.Series, low: pd.Series, high: pd.Series) -> None:
    y = np.arange(len(names))
    ax.axvline(0.0, color=LIGHT, linewidth=0.8, zorder=0)
    ax.hlines(y, low, high, color=BLUE, linewidth=1.0)
    ax.plot(value, y, "o", color=BLUE, markersize=3)
    ax.set_yticks(y, [textwrap.fill(name, 24) for name in names], fontsize=5)
    ax.invert_yaxis()


# --------------------------------------------------------------------------- value of data


EFFECTS = {
    "rmse_centred": "centred error",
    "rmse_centred_niche": "centred error, niche families",
    "found_by_planners_share": "found by planners",
    "value_gain": "gain of choices",
    "unsteered_share": "experiments without a model",
}


def data(report: Report) -> Figure:
    """Draw the effect of every arm on each outcome, and the static learning curve."""
    fig, axes = style.figure("double", 118, 2, 3)
    panels: list[tuple[str, Panel]] = [(EFFECTS[outcome], partial(_arms, outcome=outcome)) for outcome in WORTH]
    _draw(axes, [*panels, ("models of the first tick", _curve)], report.tables)
    for ax in axes[[1, 2, 4]]:
        ax.set_yticklabels([])
    return fig


def _arms(ax: Axes, tables: Frames, outcome: str) -> None:
    rows, least = pick(tables["value_of_data"], outcome=outcome), WORTH[outcome].smallest or 0.0
    ax.axvspan(-least, least, color=LIGHT, alpha=0.4, linewidth=0)
    _bars(ax, rows["arm"], rows["effect"], rows["low"], rows["high"])
    ax.set(xlabel=f"effect ({UNITS[outcome]})")


def _curve(ax: Axes, tables: Frames) -> None:
    rows = tables["learning_curve"].dropna()
    style.dots(ax, rows["labels"], rows, "error", BLUE, "o")
    ax.set(xlabel="labels of a model", ylabel="centred error (sd)")


# --------------------------------------------------------------------------- path dependence

DOTS: dict[str, Any] = {"s": 20, "linewidth": 0, "legend": False}
BRACKETS = re.compile(r" \((?:0 to|nats|largest)|, \(")


def path(report: Report) -> Figure:
    """Draw courses of histories, where pairs of them end, and each measure against its null value."""
    fig = Figure(figsize=(style.WIDTHS["double"], 215 * style.MM))
    grid = fig.add_gridspec(4, 2, height_ratios=(1.0, 1.0, 1.0, 1.35))
    panels: dict[str, Panel] = {
        "largest family, by history": _courses,
        "two later courses of one early history": _pairs,
        "what becomes of a small change": _law,
        "not yet locked in": _survival,
        "exploring more, and less again": _loops,
        "gain of policies that know": _gains,
    }
    _draw((fig.add_subplot(grid[i // 2, i % 2]) for i in range(6)), panels.items(), report.tables)
    ax = fig.add_subplot(grid[3, :])
    forest(ax, report)
    style.letter(ax, "g", "measured (mean over worlds), and null")
    return fig


def _by_world(frame: pd.DataFrame) -> dict[str, Any]:
    """Return the colour of each world."""
    worlds = style.unique(frame["world"])
    return {"hue": "world", "palette": {w: PETROFF[i % len(PETROFF)] for i, w in enumerate(worlds)}}


def _courses(ax: Axes, tables: Frames) -> None:
    look: dict[str, Any] = {"units": "history", "estimator": None, "linewidth": 0.6, "alpha": 0.8, "legend": False}
    sns.lineplot(tables["courses"], x="tick", y="leading", **_by_world(tables["courses"]), **look, ax=ax)
    ax.axhline(LOCKED, color=GREY, linewidth=0.7, linestyle="--")
    ax.set(xlabel="tick", ylabel="share of the records", ylim=(0, None))


def _pairs(ax: Axes, tables: Frames) -> None:
    rows = tables["histories"].assign(same=tables["histories"]["leader_a"] == tables["histories"]["leader_b"])
    look: dict[str, Any] = {"style": "same", "markers": {True: "o", False: "X"}, **DOTS}
    sns.scatterplot(rows, x="leading_a", y="leading_b", **_by_world(rows), **look, ax=ax)
    top = 1.05 * float(tables["histories"][["leading_a", "leading_b"]].to_numpy().max())
    _diagonal(ax, 0, top)
    ax.set(xlabel="largest share at the end, first course", ylabel="second course", xlim=(0, top), ylim=(0, top))
    ax.text(0.03, 0.97, "o same family, x another", transform=ax.transAxes, va="top", fontsize=6)


def _law(ax: Axes, tables: Frames) -> None:
    rows = tables["histories"]
    ax.plot(rows["law"], rows["exponent"], "x", color=LIGHT, markersize=3.5, zorder=1)
    sns.scatterplot(rows, x="local", y="exponent", zorder=2, **_by_world(rows), **DOTS, ax=ax)
    both = rows[["local", "exponent"]].dropna().to_numpy()
    if len(both):
        _diagonal(ax, both.min() - 0.1, both.max() + 0.1)
    ax.axhline(-1, color=VERMILION, linewidth=0.7, linestyle="--")
    ax.set(xlabel="effective urn where the community stands (x: of equal families)", ylabel="exponent of damage")


def _survival(ax: Axes, tables: Frames) -> None:
    curve, end = tables["survival"], float(tables["courses"]["tick"].max())
    t = np.append(curve["time"], end)
    middle, low, high = (np.append(curve[c], curve[c].iloc[-1]) for c in ("survival", "low", "high"))
    ax.fill_between(t, low, high, step="post", color=BLUE, alpha=0.2, linewidth=0)
    ax.step(t, middle, where="post", color=BLUE)
    ax.set(xlabel="tick", ylabel="share of histories", ylim=(-0.02, 1.05))


def _loops(ax: Axes, tables: Frames) -> None:
    for color, (ticks, rows) in zip((GREY, VERMILION, BLUE), tables["loops"].groupby("ticks"), strict=False):
        mean = rows.assign(step=rows.groupby("world").cumcount()).groupby("step")[["way", "leading"]].mean()
        ax.plot(mean["way"], mean["leading"], color=color, linewidth=0.9, label=f"{ticks} ticks a way")
    ax.set(xlabel="exploration, as a share of its way", ylabel="largest share expected next")
    if len(tables["loops"]):
        ax.legend()


def _gains(ax: Axes, tables: Frames) -> None:
    arms = tables["arms"]
    for y, (name, color) in enumerate((("informed", BLUE), ("oracle", VERMILION))):
        gain = (arms[name] - arms["laissez-faire"]).to_numpy(np.float64)
        ax.plot(gain, y + np.linspace(-0.15, 0.15, len(gain)), "o", color=color, markersize=2.5, alpha=0.8)
    ax.axvline(0.0, color=LIGHT, linewidth=0.8, zorder=0)
    ax.set_yticks((0, 1), ("informed policy", "oracle"))
    ax.set(xlabel="share found, over laissez-faire", ylim=(-0.6, 1.6))


def forest(ax: Axes, report: Report) -> None:
    """Draw findings from 0 to 1 with their intervals, and null values as ticks."""
    shown = report.frame()
    shown = shown[np.isfinite(shown["value"]) & ~shown["measure"].str.contains("tick")]
    y = np.arange(len(shown))
    ax.hlines(y, shown["low"], shown["high"], color=BLUE, linewidth=1.0)
    ax.plot(shown["value"], y, "o", color=BLUE)
    ax.plot(shown["null"], y, "|", color=VERMILION, markersize=7)
    # A measure without what stands in brackets at its end.
    ax.set_yticks(y, shown["measure"].str.split(BRACKETS).str[0], fontsize=5.5)
    ax.invert_yaxis()
    ax.set(xlim=(-1.3, 2.1), xlabel="value (bar: 95 % interval, cut at the edge; tick: null)")


# --------------------------------------------------------------------------- all


DRAWN = (atlas, data, effective_urn, forecast, forms, fragility, insurance, path)
# What draws the report of an assessment, and the figure's alternative text.
FIGURES: dict[str, tuple[Callable[[Report], Figure], str]] = {
    draw.__name__: (draw, style.TEXTS["assessments"][draw.__name__]) for draw in DRAWN
}
