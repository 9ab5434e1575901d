"""Figures of a study's analyses: effects, robustness, sensitivity, discovery, phase diagrams.

``prepare_*`` turns tables into the frames that are drawn, ``draw_*`` only draws them. Intervals are named in the axis labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mpbf_abm.figures import style
from mpbf_abm.figures.style import BLUE, GREEN, GREY, INK, LIGHT, MM, PURPLE, VERMILION
from mpbf_abm.stats.paired import middle

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mpbf_abm.studies.analyses import Analysis
    from mpbf_abm.studies.results import Results

Frames = Mapping[str, pd.DataFrame]

MOST_PANELS = 3
MOST_MAPS = 4
VERDICTS = {
    "better": (BLUE, "o"), "worse": (VERMILION, "s"), "equivalent": (GREEN, "D"), "identical": (GREEN, "|"), "undecided": (GREY, "o"), "higher": (PURPLE, "^"),
    "lower": (PURPLE, "v"),
}  # fmt: skip
WORDS = str.maketrans("_", " ")


def words(name: str) -> str:
    """Name as a label, none of it a formula."""
    return name.translate(WORDS).replace("$", r"\$")


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table as dicts."""
    return [{str(k): v for k, v in row.items()} for row in frame.to_dict("records")]


# --------------------------------------------------------------------------- effects


def prepare_effects(results: Results, analysis: Analysis) -> dict[str, pd.DataFrame]:
    """Effects of the outcomes, primary ones first, as many as have room, and the values of all runs behind them."""
    table = analysis.table
    primary = list(dict.fromkeys(table.loc[table["role"] == "primary", "outcome"]))
    shown = list(dict.fromkeys([*primary, *table["outcome"]]))[:MOST_PANELS]
    parts = []
    for name in shown:
        values = results.values(name)
        for a, arm in enumerate(results.arm_names):
            known = values[:, a][np.isfinite(values[:, a])]
            parts.append(
                pd.DataFrame({"outcome": name, "arm": arm, "value": known, "event": results.outcome(name).event})
            )
    return {
        "effects": table[table["outcome"].isin(shown)].reset_index(drop=True),
        "values": pd.concat(parts, ignore_index=True),
    }


def draw_effects(frames: Frames) -> Figure:
    """Draw, for each outcome, how it is distributed in every arm, and the paired effects with their intervals."""
    effects, values = frames["effects"], frames["values"]
    outcomes = list(dict.fromkeys(effects["outcome"]))
    arms = list(dict.fromkeys(values["arm"]))
    height = max(45.0, 16 + 5.2 * len(arms))
    fig = Figure(figsize=(style.WIDTHS["double"], height * len(outcomes) * MM))
    axes = fig.subplots(len(outcomes), 2, squeeze=False, width_ratios=(1.0, 1.2))
    for row, name in enumerate(outcomes):
        left, right = axes[row]
        own = values[values["outcome"] == name]
        _strips(left, own, arms)
        line = f"{words(name)} of each run; line: 10-90 %, tick: median"
        left.set_xlabel(f"share of runs with {words(name)}" if own["event"].any() else line)
        style.letter(left, "abcdef"[2 * row], f"{words(name)}: runs of each arm")
        part = effects[effects["outcome"] == name]
        _forest(right, part, arms)
        style.letter(right, "abcdef"[2 * row + 1], "difference to the baseline")
    _verdict_legend(fig, effects)
    return fig


def _strips(ax: Axes, values: pd.DataFrame, arms: Sequence[str]) -> None:
    """One row of points for each arm, with median and 10-90 % range; a bar for events."""
    for y, arm in enumerate(arms):
        x = values.loc[values["arm"] == arm, "value"].to_numpy()
        if not len(x):
            continue
        if values["event"].iloc[0]:
            ax.barh(y, x.mean(), height=0.6, color=LIGHT, edgecolor=GREY, linewidth=0.5)
            continue
        strip(ax, y, x)
    name_rows(ax, arms)


def strip(ax: Axes, y: float, x: NDArray[np.float64], color: str = GREY) -> None:
    """One row of points, with median and 10-90 % range."""
    # Places within a row follow from the order of runs, so that a figure is the same each time.
    jitter = (np.arange(len(x)) * 0.618034) % 1.0 - 0.5
    ax.plot(
        x,
        y + 0.5 * jitter,
        ".",
        color=color,
        alpha=max(0.2, min(0.9, 60 / len(x))),
        markersize=3,
        markeredgewidth=0,
        rasterized=len(x) > 500,
    )
    low, half, high = middle(x)
    ax.plot([low, high], [y, y], color=INK, linewidth=0.8)
    ax.plot([half], [y], "|", color=INK, markersize=6)


def _forest(ax: Axes, effects: pd.DataFrame, arms: Sequence[str]) -> None:
    smallest = effects["smallest"].iloc[0]
    if np.isfinite(smallest):
        ax.axvspan(-smallest, smallest, color=LIGHT, alpha=0.6, linewidth=0)
    ax.axvline(0, color=GREY, linewidth=0.5)
    for effect in records(effects):
        color, marker = VERDICTS[effect["verdict"]]
        y = arms.index(effect["arm"])
        ax.plot([effect["low"], effect["high"]], [y, y], color=color, linewidth=1)
        ax.plot([effect["difference"]], [y], marker, color=color, markersize=3)
    name_rows(ax, arms)
    ax.tick_params(axis="y", labelleft=False)
    sign = {"more": "right is better", "less": "left is better"}.get(str(effects["better"].iloc[0]), "")
    band = "; grey band: too small to matter" if np.isfinite(smallest) else ""
    ax.set_xlabel(f"mean difference, simultaneous 95 % interval\n{sign}{band}".rstrip())


def name_rows(ax: Axes, labels: Sequence[str]) -> None:
    """Name the rows of a panel, the first on top."""
    ax.set_yticks(range(len(labels)), [words(label) for label in labels])
    ax.set_ylim(len(labels) - 0.4, -0.6)


def _verdict_legend(fig: Figure, effects: pd.DataFrame) -> None:
    from matplotlib.lines import Line2D

    used = [v for v in VERDICTS if (effects["verdict"] == v).any()]
    handles = [
        Line2D([], [], color=VERDICTS[v][0], marker=VERDICTS[v][1], markersize=3, linewidth=1, label=v) for v in used
    ]
    fig.legend(handles=handles, loc="outside lower right", ncols=len(used))


# --------------------------------------------------------------------------- robustness


def prepare_robustness(_: Results, analysis: Analysis) -> dict[str, pd.DataFrame]:
    """Ranks by criterion and arm; regret by scenario, scenarios in the order of their largest regret."""
    regret = analysis.tables["regret"].set_index("scenario")
    order = regret.max(axis=1).sort_values(ascending=False, kind="stable").index
    return {"criteria": analysis.table, "regret": regret.loc[order].reset_index()}


def draw_robustness(frames: Frames) -> Figure:
    """Draw the rank of each arm by each criterion, and its regret in each scenario."""
    table, regret = frames["criteria"], frames["regret"].drop(columns="scenario")
    ranks = table.pivot(index="criterion", columns="arm", values="rank").loc[
        list(dict.fromkeys(table["criterion"])), list(regret.columns)
    ]
    arms = list(ranks.columns)
    fig = Figure(figsize=(style.WIDTHS["double"], max(70.0, 24 + 4.6 * len(arms)) * MM))
    left, right = fig.subplots(1, 2, width_ratios=(1.0, 1.3))
    image = left.imshow(ranks.T.to_numpy(), cmap="cividis_r", aspect="auto", vmin=1, vmax=len(arms))
    for i in range(len(arms)):
        for j in range(len(ranks.index)):
            rank = float(ranks.to_numpy()[j, i])
            shade = "white" if rank > 1 + 0.55 * (len(arms) - 1) else INK
            left.text(j, i, f"{rank:g}", ha="center", va="center", color=shade, fontsize=6)
    left.set_xticks(range(len(ranks.index)), list(ranks.index), rotation=40, ha="right", rotation_mode="anchor")
    left.set_yticks(range(len(arms)), [words(a) for a in arms])
    style.letter(left, "a", "rank by criterion (1 is best)")
    values = regret.to_numpy().T
    image = right.imshow(values, cmap="cividis_r", aspect="auto", vmin=0, interpolation="nearest")
    right.set_yticks(range(len(arms)), [])
    right.set_xticks([])
    right.set_xlabel(f"{values.shape[1]} scenarios, largest regret first")
    style.letter(right, "b", f"regret: {words(str(table['outcome'].iloc[0]))} lost against the best arm")
    fig.colorbar(image, ax=right, shrink=0.8)
    return fig


# --------------------------------------------------------------------------- sensitivity


def prepare_sensitivity(_: Results, analysis: Analysis) -> dict[str, pd.DataFrame]:
    """The analysis's own tables, of the first outcomes."""
    table = analysis.table
    if "outcome" not in table:
        return dict(analysis.tables)
    shown = list(dict.fromkeys(table["outcome"]))[:MOST_PANELS]
    return {next(iter(analysis.tables)): table[table["outcome"].isin(shown)].reset_index(drop=True)}


def draw_sensitivity(frames: Frames) -> Figure:
    """Draw indices as bars with intervals, or size against spread of elementary effects."""
    if "along" in frames:
        return _draw_along(frames["along"])
    return _draw_sobol(frames["indices"]) if "indices" in frames else _draw_morris(frames["effects"])


def _draw_sobol(table: pd.DataFrame) -> Figure:
    outcomes = list(dict.fromkeys(table["outcome"]))
    factors = list(dict.fromkeys(table["factor"]))
    fig = Figure(figsize=(style.WIDTHS["double"], max(50.0, 22 + 6 * len(factors)) * MM))
    axes = np.atleast_1d(fig.subplots(1, len(outcomes), sharey=True))
    for ax, name, mark in zip(axes, outcomes, "abc", strict=False):
        part = table[table["outcome"] == name].set_index("factor").loc[factors]
        y = np.arange(len(factors))
        for offset, index, color in ((-0.18, "total", BLUE), (0.18, "first", VERMILION)):
            value, low, high = (part[c].to_numpy() for c in (index, f"{index}_low", f"{index}_high"))
            ax.barh(
                y + offset,
                np.maximum(value, 0),
                height=0.32,
                color=color,
                alpha=0.85,
                label=f"{index}{'-order' if index == 'first' else ''}",
            )
            ax.hlines(y + offset, low, high, color=INK, linewidth=0.8)
        ax.axvline(0, color=GREY, linewidth=0.5)
        ax.set_xlabel("Sobol index, 95 % interval")
        style.letter(ax, mark, f"{words(name)}; chance {part['stochastic_share'].iloc[0]:.0%} of variance")
    axes[0].set_yticks(range(len(factors)), [words(f) for f in factors])
    axes[0].set_ylim(len(factors) - 0.4, -0.6)
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower right", ncols=2)
    return fig


def _draw_morris(table: pd.DataFrame) -> Figure:
    outcomes = list(dict.fromkeys(table["outcome"]))
    factors = list(dict.fromkeys(table["factor"]))
    fig = Figure(figsize=(style.WIDTHS["double"], max(55.0, 22 + 4.6 * len(factors)) * MM))
    axes = np.atleast_1d(fig.subplots(1, len(outcomes), sharey=True))
    for ax, name, mark in zip(axes, outcomes, "abc", strict=False):
        part = table[table["outcome"] == name].set_index("factor").loc[factors]
        y = np.arange(len(factors))
        above = part["above_floor"].fillna(False).astype(bool).to_numpy()
        for chosen, color, label in ((above, BLUE, "above noise"), (~above, GREY, "not told from noise")):
            ax.hlines(
                y[chosen],
                part["size_low"].to_numpy()[chosen],
                part["size_high"].to_numpy()[chosen],
                color=color,
                linewidth=1,
            )
            ax.plot(part["size"].to_numpy()[chosen], y[chosen], "o", color=color, markersize=3, label=label)
        ax.plot(part["spread"], y, "|", color=VERMILION, markersize=5, label="spread (interactions, curvature)")
        ax.set_xlim(left=0)
        ax.set_xlabel("size of effect over the range,\n95 % interval")
        style.letter(ax, mark, words(name))
    axes[0].set_yticks(range(len(factors)), [words(f) for f in factors])
    axes[0].set_ylim(len(factors) - 0.4, -0.6)
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower right", ncols=3)
    return fig


def _draw_along(table: pd.DataFrame) -> Figure:
    fig = Figure(figsize=(style.WIDTHS["single"], 60 * MM))
    ax = fig.subplots()
    for factor, part in table.groupby("factor", sort=False):
        (line,) = ax.plot(part["tick"], part["total"], label=words(str(factor)))
        ax.fill_between(
            part["tick"], part["total_low"], part["total_high"], color=line.get_color(), alpha=0.2, linewidth=0
        )
    ax.set_xlabel("tick")
    ax.set_ylabel("total Sobol index, 95 % interval")
    style.letter(ax, "a", words(str(table["series"].iloc[0])))
    fig.legend(loc="outside lower right", ncols=2)
    return fig


# --------------------------------------------------------------------------- discovery


def prepare_discover(_: Results, analysis: Analysis) -> dict[str, pd.DataFrame]:
    """Trajectory, points, and limits of the chosen box on the unit scale."""
    box = analysis.table
    limits = []
    for row in records(box[box["restricted"]]):
        if isinstance(row["low"], str):
            continue
        least, width = float(row["least"]), float(row["most"]) - float(row["least"])
        scaled = {"low": (float(row["low"]) - least) / width, "high": (float(row["high"]) - least) / width}
        limits.append(row | scaled | {"from": row["low"], "to": row["high"]})
    columns = ["factor", "low", "high", "quasi_p", "reproduced", "least", "most", "from", "to"]
    return {
        "limits": pd.DataFrame(limits, columns=columns),
        "trajectory": analysis.tables["trajectory"],
        "points": analysis.tables["points"],
    }


def draw_discover(frames: Frames) -> Figure:
    """Draw coverage against density on the way, the limits of the chosen box, and the scenarios in its first two factors."""
    trajectory, limits, points = frames["trajectory"], frames["limits"], frames["points"]
    fig = Figure(figsize=(style.WIDTHS["double"], 62 * MM))
    left, middle, right = fig.subplots(1, 3)
    left.plot(trajectory["coverage"], trajectory["density"], "o-", color=GREY, label="fitted half")
    left.plot(trajectory["held_out_coverage"], trajectory["held_out_density"], "s--", color=BLUE, label="held-out half")
    best = trajectory[trajectory["chosen"]].iloc[0]
    left.plot(
        [best["coverage"], best["held_out_coverage"]],
        [best["density"], best["held_out_density"]],
        "*",
        color=VERMILION,
        markersize=7,
        label="chosen box",
    )
    left.set(xlabel="coverage", ylabel="density", xlim=(-0.03, 1.05), ylim=(-0.03, 1.05))
    left.legend(loc="lower left")
    style.letter(left, "a", "boxes on the way")
    for y, row in enumerate(records(limits)):
        middle.barh(y, 1, color=LIGHT, height=0.5)
        middle.barh(y, row["high"] - row["low"], left=row["low"], color=BLUE, height=0.5)
        told = f"{words(row['factor'])}: {row['from']:.3g} to {row['to']:.3g} (p {row['quasi_p']:.2g}, again in {row['reproduced']:.0%})"
        middle.text(0, y - 0.42, told, fontsize=5.5, va="bottom")
    middle.set(xlim=(0, 1), ylim=(max(1, len(limits)) - 0.4, -0.8), yticks=[], xlabel="share of the factor's range")
    style.letter(middle, "b", "limits of the chosen box")
    _scatter(right, points, limits)
    style.letter(right, "c", "scenarios")
    return fig


def _scatter(ax: Axes, points: pd.DataFrame, limits: pd.DataFrame) -> None:
    numeric = [
        c
        for c in points.columns
        if c not in ("scenario", "interest", "half", "value") and points[c].dtype.kind in "iuf"
    ]
    first = [c for c in limits["factor"] if c in numeric]
    shown = (first + [c for c in numeric if c not in first])[:2]
    if len(shown) < 2:
        ax.set_axis_off()
        return
    x, y = shown
    for interest, color, marker, label in ((False, GREY, "x", "other"), (True, VERMILION, "o", "of interest")):
        part = points[points["interest"] == interest]
        ax.plot(part[x], part[y], marker, color=color, markersize=2.5, linestyle="none", alpha=0.7, label=label)
    from matplotlib.patches import Rectangle

    edges = {}
    for name in shown:
        row = limits[limits["factor"] == name]
        values = points[name]
        edges[name] = (
            (float(row["from"].iloc[0]), float(row["to"].iloc[0]))
            if len(row)
            else (float(values.min()), float(values.max()))
        )
    (x0, x1), (y0, y1) = edges[x], edges[y]
    ax.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=BLUE, linewidth=1))
    ax.set(xlabel=words(x), ylabel=words(y))
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)


# --------------------------------------------------------------------------- phase diagram


def prepare_phase(results: Results, analysis: Analysis) -> dict[str, pd.DataFrame]:  # noqa: ARG001 (as the others)
    """Outcomes over the grid, as many as have room."""
    table = analysis.table
    return {"phase": table[table["outcome"].isin(list(dict.fromkeys(table["outcome"]))[:MOST_MAPS])]}


def draw_phase(frames: Frames) -> Figure:
    """Draw outcomes over a grid of two factors."""
    table = frames["phase"]
    x, y = table.columns[:2]
    outcomes = list(dict.fromkeys(table["outcome"]))
    fig = Figure(figsize=(style.WIDTHS["double"], 55 * MM))
    axes = np.atleast_1d(fig.subplots(1, len(outcomes), sharey=True))
    axes[0].set_ylabel(words(y))
    for ax, name, mark in zip(axes, outcomes, "abcd", strict=False):
        part = table[table["outcome"] == name]
        grid = part.pivot(index=y, columns=x, values="mean")
        mesh = ax.pcolormesh(_edges(grid.columns), _edges(grid.index), grid.to_numpy(), cmap="cividis", rasterized=True)
        ax.set_xlabel(words(x))
        style.letter(ax, mark, f"{words(name)} ({'share of runs' if part['event'].all() else 'mean'})")
        fig.colorbar(mesh, ax=ax, orientation="horizontal", shrink=0.9)
    return fig


def _edges(values: Any) -> np.ndarray[Any, Any]:
    """Borders of cells around some places."""
    v = np.asarray(values, np.float64)
    if len(v) < 2:
        return np.array([v[0] - 0.5, v[0] + 0.5])
    middle = (v[1:] + v[:-1]) / 2
    return np.concatenate([[v[0] - (middle[0] - v[0])], middle, [v[-1] + (v[-1] - middle[-1])]])


# --------------------------------------------------------------------------- saving

Prepare = Callable[["Results", "Analysis"], dict[str, pd.DataFrame]]
FIGURES: dict[str, tuple[Prepare, Callable[[Frames], Figure], str]] = {
    "compare": (prepare_effects, draw_effects, "Effects of policies: runs of every arm, and paired differences to the baseline with simultaneous 95 % intervals."),
    "robustness": (prepare_robustness, draw_robustness, "Rank of every arm by several criteria of robustness, and its regret in every scenario."),
    "sensitivity": (prepare_sensitivity, draw_sensitivity, "Sensitivity of outcomes to factors with 95 % intervals."),
    "phase": (prepare_phase, draw_phase, "Phase diagram: outcomes over a grid of two factors."),
    "discover": (prepare_discover, draw_discover, "Scenario discovery: coverage and density of boxes, limits of the chosen box, and scenarios."),
}  # fmt: skip


def save(results: Results, analysis: Analysis, stem: Path, suffixes: Sequence[str] = (".png", ".pdf")) -> list[Path]:
    """Draw the figure of an analysis and write it."""
    prepare, draw, alt = FIGURES[analysis.kind]
    frames = prepare(results, analysis)
    return style.save_all(
        lambda: draw(frames), stem, title=f"{results.study.name}: {analysis.kind}", alt=alt, suffixes=suffixes
    )
