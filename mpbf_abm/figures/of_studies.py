"""Figures of a study's analyses: effects, robustness, sensitivity, discovery, phase diagrams.

``prepare_*`` turns tables into the frames that are drawn, ``draw_*`` only draws them. Axis labels name the intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from mpbf_abm.figures import style
from mpbf_abm.figures.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    LIGHT,
    PURPLE,
    VERMILION,
    Frames,
    name_rows,
    pick,
    records,
    strip,
    unique,
    words,
)
from mpbf_abm.studies.analyses import Analysis, compare
from mpbf_abm.studies.results import Results

MOST_PANELS = 3
MOST_MAPS = 4
VERDICTS = {"better": (BLUE, "o"), "worse": (VERMILION, "s"), "equivalent": (GREEN, "D"), "identical": (GREEN, "|")}
VERDICTS |= {"undecided": (GREY, "o"), "higher": (PURPLE, "^"), "lower": (PURPLE, "v")}
# --------------------------------------------------------------------------- effects


def prepare_effects(results: Results, analysis: Analysis) -> dict[str, pd.DataFrame]:
    """Prepare effects of the outcomes, primary ones first, as many as have room, and the values of all runs."""
    table = analysis.table
    shown = unique([*table.loc[table["role"] == "primary", "outcome"], *table["outcome"]])[:MOST_PANELS]
    parts = []
    for name in shown:
        values, event = results.values(name), results.outcome(name).event
        for a, arm in enumerate(results.arm_names):
            known = values[:, a][np.isfinite(values[:, a])]
            parts.append(pd.DataFrame({"outcome": name, "arm": arm, "value": known, "event": event}))
    effects = table[table["outcome"].isin(shown)].reset_index(drop=True)
    return {"effects": effects, "values": pd.concat(parts, ignore_index=True)}


def draw_effects(frames: Frames) -> Figure:
    """Draw, for each outcome, how it is distributed in every arm, and the paired effects with their intervals."""
    effects, values = frames["effects"], frames["values"]
    outcomes, arms = unique(effects["outcome"]), unique(values["arm"])
    height = max(45.0, 16 + 5.2 * len(arms))
    fig, axes = style.figure("double", height * len(outcomes), len(outcomes), 2, width_ratios=(1.0, 1.2))
    for row, name in enumerate(outcomes):
        left, right = axes[2 * row : 2 * row + 2]
        own = pick(values, outcome=name)
        _strips(left, own, arms)
        line = f"{words(name)} of each run; line: 10-90 %, tick: median"
        line = f"share of runs with {words(name)}" if own["event"].any() else line
        style.letter(left, "abcdef"[2 * row], f"{words(name)}: runs of each arm", xlabel=line)
        _forest(right, pick(effects, outcome=name), arms)
        style.letter(right, "abcdef"[2 * row + 1], "difference to the baseline")
    used = {v: look for v, look in VERDICTS.items() if (effects["verdict"] == v).any()}
    handles = [Line2D([], [], color=c, marker=m, markersize=3, linewidth=1, label=v) for v, (c, m) in used.items()]
    fig.legend(handles=handles, loc="outside lower right", ncols=len(used))
    return fig


def _strips(ax: Axes, values: pd.DataFrame, arms: Sequence[str]) -> None:
    """Draw one row of points for each arm, with median and 10-90 % range; a bar for events."""
    for y, arm in enumerate(arms):
        x = values.loc[values["arm"] == arm, "value"].to_numpy()
        if len(x) and values["event"].iloc[0]:
            ax.barh(y, x.mean(), height=0.6, color=LIGHT, edgecolor=GREY, linewidth=0.5)
        elif len(x):
            strip(ax, y, x)
    name_rows(ax, arms)


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


# --------------------------------------------------------------------------- robustness


def prepare_robustness(_: Results, analysis: Analysis) -> dict[str, pd.DataFrame]:
    """Ranks by criterion and arm; regret by scenario, scenarios in the order of their largest regret."""
    regret = analysis.tables["regret"].set_index("scenario")
    order = regret.max(axis=1).sort_values(ascending=False, kind="stable").index
    return {"criteria": analysis.table, "regret": regret.loc[order].reset_index()}


def draw_robustness(frames: Frames) -> Figure:
    """Draw the rank of each arm by each criterion, and its regret in each scenario."""
    table, regret = frames["criteria"], frames["regret"].drop(columns="scenario")
    arms, criteria = list(regret.columns), unique(table["criterion"])
    ranks = table.pivot(index="arm", columns="criterion", values="rank").loc[arms, criteria]
    fig, (left, right) = style.figure("double", max(70.0, 24 + 4.6 * len(arms)), 1, 2, width_ratios=(1.0, 1.3))
    look: dict[str, Any] = {"cmap": "cividis_r", "xticklabels": False, "yticklabels": False, "rasterized": True}
    sns.heatmap(ranks, annot=True, fmt="g", vmin=1, vmax=len(arms), cbar=False, **look, annot_kws={"size": 6}, ax=left)
    for text, rank in zip(left.texts, ranks.to_numpy().ravel(), strict=True):
        text.set_color("white" if rank > 1 + 0.55 * (len(arms) - 1) else INK)
    left.set_xticks(np.arange(len(criteria)) + 0.5, criteria, rotation=40, ha="right", rotation_mode="anchor")
    left.set_yticks(np.arange(len(arms)) + 0.5, [words(a) for a in arms])
    style.letter(left, "a", "rank by criterion (1 is best)", xlabel="", ylabel="")
    sns.heatmap(regret.T, vmin=0, cbar_kws={"shrink": 0.8}, **look, ax=right)
    title = f"regret: {words(str(table['outcome'].iloc[0]))} lost against the best arm"
    style.letter(right, "b", title, xlabel=f"{len(regret)} scenarios, largest regret first", ylabel="")
    return fig


# --------------------------------------------------------------------------- sensitivity


def prepare_sensitivity(_: Results, analysis: Analysis) -> dict[str, pd.DataFrame]:
    """Return the analysis's own tables, of the first outcomes."""
    table = analysis.table
    if "outcome" not in table:
        return dict(analysis.tables)
    shown = unique(table["outcome"])[:MOST_PANELS]
    return {next(iter(analysis.tables)): table[table["outcome"].isin(shown)].reset_index(drop=True)}


def draw_sensitivity(frames: Frames) -> Figure:
    """Draw indices as bars with intervals, or size against spread of elementary effects."""
    if "along" in frames:
        return _draw_along(frames["along"])
    if "indices" in frames:
        return _by_factor(frames["indices"], _sobol, max(50.0, 22 + 6 * frames["indices"]["factor"].nunique()), 2)
    return _by_factor(frames["effects"], _morris, max(55.0, 22 + 4.6 * frames["effects"]["factor"].nunique()), 3)


def _by_factor(table: pd.DataFrame, panel: Callable[[Axes, pd.DataFrame], str], height: float, columns: int) -> Figure:
    """Draw one panel for each outcome, a row for each factor; `panel` returns what its title adds."""
    outcomes, factors = unique(table["outcome"]), unique(table["factor"])
    fig, axes = style.figure("double", height, 1, len(outcomes), sharey=True)
    for ax, name, mark in zip(axes, outcomes, "abc", strict=False):
        more = panel(ax, pick(table, outcome=name).set_index("factor").loc[factors])
        style.letter(ax, mark, words(name) + more)
    name_rows(axes[0], factors)
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower right", ncols=columns)
    return fig


def _sobol(ax: Axes, part: pd.DataFrame) -> str:
    y = np.arange(len(part))
    for offset, index, color, label in ((-0.18, "total", BLUE, "total"), (0.18, "first", VERMILION, "first-order")):
        value, low, high = (part[c].to_numpy() for c in (index, f"{index}_low", f"{index}_high"))
        ax.barh(y + offset, np.maximum(value, 0), height=0.32, color=color, alpha=0.85, label=label)
        ax.hlines(y + offset, low, high, color=INK, linewidth=0.8)
    ax.axvline(0, color=GREY, linewidth=0.5)
    ax.set_xlabel("Sobol index, 95 % interval")
    return f"; chance {part['stochastic_share'].iloc[0]:.0%} of variance"


def _morris(ax: Axes, part: pd.DataFrame) -> str:
    y = np.arange(len(part))
    above = part["above_floor"].fillna(False).astype(bool).to_numpy()
    size, low, high = (part[c].to_numpy() for c in ("size", "size_low", "size_high"))
    for chosen, color, label in ((above, BLUE, "above noise"), (~above, GREY, "within noise")):
        ax.hlines(y[chosen], low[chosen], high[chosen], color=color, linewidth=1)
        ax.plot(size[chosen], y[chosen], "o", color=color, markersize=3, label=label)
    ax.plot(part["spread"], y, "|", color=VERMILION, markersize=5, label="spread (interactions, curvature)")
    ax.set(xlim=(0, None), xlabel="size of effect over the range,\n95 % interval")
    return ""


def _draw_along(table: pd.DataFrame) -> Figure:
    fig, (ax,) = style.figure("single", 60)
    for factor, part in table.groupby("factor", sort=False):
        (line,) = ax.plot(part["tick"], part["total"], label=words(str(factor)))
        band = part["tick"], part["total_low"], part["total_high"]
        ax.fill_between(*band, color=line.get_color(), alpha=0.2, linewidth=0)
    style.letter(ax, "a", words(str(table["series"].iloc[0])), xlabel="tick", ylabel="total Sobol index, 95 % interval")
    fig.legend(loc="outside lower right", ncols=2)
    return fig


# --------------------------------------------------------------------------- discovery


def prepare_discover(_: Results, analysis: Analysis) -> dict[str, pd.DataFrame]:
    """Prepare the trajectory, points, and limits of the chosen box on the unit scale."""
    box = analysis.table
    limits = box[box["restricted"] & np.array([not isinstance(low, str) for low in box["low"]], bool)]
    limits = limits.assign(**{"from": limits["low"], "to": limits["high"]}).infer_objects()
    limits = limits.astype(dict.fromkeys(("low", "high", "least", "most"), float)).reset_index(drop=True)
    for end in ("low", "high"):
        limits[end] = (limits[end] - limits["least"]) / (limits["most"] - limits["least"])
    columns = ["factor", "low", "high", "quasi_p", "reproduced", "least", "most", "from", "to"]
    return {"limits": limits[columns], **{name: analysis.tables[name] for name in ("trajectory", "points")}}


def draw_discover(frames: Frames) -> Figure:
    """Draw coverage against density, limits of the chosen box, and scenarios in its first two factors."""
    trajectory, limits, points = frames["trajectory"], frames["limits"], frames["points"]
    fig, (left, middle, right) = style.figure("double", 62, 1, 3)
    left.plot(trajectory["coverage"], trajectory["density"], "o-", color=GREY, label="fitted half")
    left.plot(trajectory["held_out_coverage"], trajectory["held_out_density"], "s--", color=BLUE, label="held-out half")
    best = trajectory[trajectory["chosen"]].iloc[0]
    stars = [*best[["coverage", "held_out_coverage"]]], [*best[["density", "held_out_density"]]]
    left.plot(*stars, "*", color=VERMILION, markersize=7, label="chosen box")
    left.legend(loc="lower left")
    style.letter(
        left, "a", "boxes on the way", xlabel="coverage", ylabel="density", xlim=(-0.03, 1.05), ylim=(-0.03, 1.05)
    )
    for y, row in enumerate(records(limits)):
        middle.barh(y, 1, color=LIGHT, height=0.5)
        middle.barh(y, row["high"] - row["low"], left=row["low"], color=BLUE, height=0.5)
        span = f"{words(row['factor'])}: {row['from']:.3g} to {row['to']:.3g}"
        odds = f"(p {row['quasi_p']:.2g}, again in {row['reproduced']:.0%})"
        middle.text(0, y - 0.42, f"{span} {odds}", fontsize=5.5, va="bottom")
    room: dict[str, Any] = {"xlim": (0, 1), "ylim": (max(1, len(limits)) - 0.4, -0.8)}
    style.letter(middle, "b", "limits of the chosen box", yticks=[], xlabel="share of the factor's range", **room)
    _scatter(right, points, limits.set_index("factor"))
    style.letter(right, "c", "scenarios")
    return fig


def _scatter(ax: Axes, points: pd.DataFrame, limits: pd.DataFrame) -> None:
    """Draw the scenarios in the first two factors, those with limits first, and the box."""
    numeric = list(
        points.drop(columns=["scenario", "interest", "half", "value"], errors="ignore").select_dtypes("number")
    )
    shown = unique([*(c for c in limits.index if c in numeric), *numeric])[:2]
    if len(shown) < 2:
        ax.set_axis_off()
        return
    x, y = shown
    named = points.assign(kind=np.where(points["interest"], "of interest", "other"))
    look: dict[str, Any] = {"palette": {"other": GREY, "of interest": VERMILION}, "s": 12, "alpha": 0.7, "linewidth": 0}
    sns.scatterplot(
        named, x=x, y=y, hue="kind", style="kind", markers={"other": "X", "of interest": "o"}, **look, ax=ax
    )
    spans = {name: points[name].agg(["min", "max"]) for name in shown}
    spans |= {name: limits.loc[name, ["from", "to"]].astype(float) for name in shown if name in limits.index}
    (x0, x1), (y0, y1) = (spans[name] for name in shown)
    ax.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=BLUE, linewidth=1))
    ax.set(xlabel=words(x), ylabel=words(y))
    style.below(ax, -0.18, ncols=2)


# --------------------------------------------------------------------------- phase diagram


def prepare_phase(_: Results, analysis: Analysis) -> dict[str, pd.DataFrame]:
    """Prepare outcomes over the grid, as many as have room."""
    table = analysis.table
    return {"phase": table[table["outcome"].isin(unique(table["outcome"])[:MOST_MAPS])]}


def draw_phase(frames: Frames) -> Figure:
    """Draw outcomes over a grid of two factors."""
    table = frames["phase"]
    x, y = table.columns[:2]
    outcomes = unique(table["outcome"])
    fig, axes = style.figure("double", 55, 1, len(outcomes), sharey=True)
    for ax, name, mark in zip(axes, outcomes, "abcd", strict=False):
        part = pick(table, outcome=name)
        # The largest value of the second factor is on top.
        grid = part.pivot(index=y, columns=x, values="mean").sort_index(ascending=False)
        grid = grid.rename(index="{:.3g}".format, columns="{:.3g}".format)
        sns.heatmap(grid, cmap="cividis", rasterized=True, cbar_kws={"orientation": "horizontal", "shrink": 0.9}, ax=ax)
        ax.tick_params(axis="y", rotation=0)
        title = f"{words(name)} ({'share of runs' if part['event'].all() else 'mean'})"
        style.letter(ax, mark, title, xlabel=words(x), ylabel=words(y) if ax is axes[0] else "")
    return fig


# --------------------------------------------------------------------------- saving

Prepare = Callable[[Results, Analysis], dict[str, pd.DataFrame]]
Draw = Callable[[Frames], Figure]
FIGURES: dict[str, tuple[Prepare, Draw]] = {"compare": (prepare_effects, draw_effects)}
FIGURES |= {"robustness": (prepare_robustness, draw_robustness), "sensitivity": (prepare_sensitivity, draw_sensitivity)}
FIGURES |= {"phase": (prepare_phase, draw_phase), "discover": (prepare_discover, draw_discover)}


def of_results(results: Results) -> Figure:
    """Draw the effects of the arms of a study."""
    return draw_effects(prepare_effects(results, compare(results)))


def save(results: Results, analysis: Analysis, stem: Path, suffixes: Sequence[str] = (".png", ".pdf")) -> list[Path]:
    """Draw the figure of an analysis and write it."""
    kind = analysis.kind
    prepare, draw = FIGURES[kind]
    title, alt, frames = f"{results.study.name}: {kind}", style.TEXTS["analyses"][kind], prepare(results, analysis)
    return style.save_all(lambda: draw(frames), stem, title=title, alt=alt, suffixes=suffixes)
