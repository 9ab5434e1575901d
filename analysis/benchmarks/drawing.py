"""Figure of a benchmark: scaling, ensembles, what was aimed at, and what a chunk of runs costs."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from mpbf_abm.figures import style
from mpbf_abm.figures.style import BLUE, GREEN, GREY, LIGHT, MM, VERMILION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

ALT = (
    "Cost of a tick against materials and agents, and of a run against ticks, on logarithmic axes; "
    "cost of a history of the urn in ensembles of several sizes against one alone; "
    "every measurement that has a target, as a multiple of it; cost of a run that does nothing by runs in a chunk."
)
SIZED = {
    "materials": ("tick, materials", BLUE, "o"),
    "agents": ("tick, agents", VERMILION, "s"),
    "ticks": ("run, ticks", GREEN, "^"),
}


def draw(rows: Sequence[dict[str, Any]]) -> Figure:
    """Draw the rows of a benchmark; what was not measured has an empty panel."""
    fig = Figure(figsize=(style.WIDTHS["double"], 130 * MM))
    axes = fig.subplots(2, 2, width_ratios=(1, 1.15))
    _scaling(axes[0, 0], rows)
    style.letter(axes[0, 0], "a", "cost against size")
    _targets(axes[0, 1], rows)
    style.letter(axes[0, 1], "b", "value / target, the worst of each kind")
    _ensemble(axes[1, 0], rows)
    style.letter(axes[1, 0], "c", "the urn, many at once")
    _chunks(axes[1, 1], rows)
    style.letter(axes[1, 1], "d", "a run that does nothing, on dask")
    return fig


def _sized(rows: Sequence[dict[str, Any]], bench: str) -> tuple[list[float], list[float]]:
    found = [
        (float(r["size"]), float(r["value"])) for r in rows if r["bench"] == bench and isinstance(r.get("size"), int)
    ]
    return [x for x, _ in found], [y for _, y in found]


def _scaling(ax: Axes, rows: Sequence[dict[str, Any]]) -> None:
    ax.set(xscale="log", yscale="log", xlabel="size / smallest", ylabel="cost / cost at the smallest")
    for bench, (label, color, mark) in SIZED.items():
        x, y = _sized(rows, bench)
        if len(x) > 1:
            relative = np.array(x) / x[0]
            slope = np.polyfit(np.log(x), np.log(y), 1)[0]
            ax.plot(relative, np.array(y) / y[0], color=color, marker=mark, label=f"{label}: exponent {slope:.2f}")
    if ax.lines:
        ax.plot([1, 200], [1, 200], color=LIGHT, linewidth=0.8, zorder=0)
        ax.legend(loc="upper left")


def bound(target: str) -> tuple[str, float] | None:
    """Side and number of a target such as ``<= 1.3`` or ``>= 1 within noise``; None for any other."""
    told = re.match(r"(<=|>=) ([0-9.]+)", target)
    return (told.group(1), float(told.group(2))) if told else None


def _targets(ax: Axes, rows: Sequence[dict[str, Any]]) -> None:
    worst: dict[str, tuple[str, float, str, bool | None]] = {}
    for r in rows:
        told = bound(r["target"])
        if told is None or not told[1] > 0 or not math.isfinite(r["value"]) or r["value"] <= 0 or "AF@" in r["name"]:
            continue
        # Of the same on several pools, rounds or ways, the one that is nearest to missing its target.
        kind, value = r["name"].split(",")[0], r["value"] / told[1]
        before = worst.get(kind)
        if before is None or (value > before[1]) == (told[0] == "<="):
            worst[kind] = (kind, value, told[0], r["met"])
    if not worst:
        ax.text(0.5, 0.5, "nothing with a target\nwas measured", ha="center", va="center", transform=ax.transAxes)
        return
    shown = list(worst.values())[::-1]
    for i, (_, value, side, met) in enumerate(shown):
        ax.plot([1, value], [i, i], color=LIGHT, linewidth=1.5, zorder=1)
        ax.plot(
            value,
            i,
            color=GREY if met is None else BLUE if met else VERMILION,
            marker="<" if side == "<=" else ">",
            linestyle="none",
            zorder=2,
        )
    ax.axvline(1, color=GREY, linewidth=0.8)
    ax.set(xscale="log", xlabel="value / target (marks point to the better side)")
    ax.set_yticks(range(len(shown)), [_short(name) for name, *_ in shown])


def _short(name: str) -> str:
    return name if len(name) <= 46 else name[:45] + "…"


def _ensemble(ax: Axes, rows: Sequence[dict[str, Any]]) -> None:
    x, y = _sized(rows, "ensemble")
    ax.set(xscale="log", yscale="log", xlabel="histories together", ylabel="ms each")
    if x:
        ax.plot(x, y, color=BLUE, marker="o", label="together")
    for r in rows:
        if r["bench"] == "ensemble" and r["name"].endswith("alone"):
            ax.axhline(r["value"], color=GREY, linestyle="--", label="alone")
            ax.legend(loc="center right")


def _chunks(ax: Axes, rows: Sequence[dict[str, Any]]) -> None:
    x, y = _sized(rows, "chunks")
    ax.set(xscale="log", yscale="log", xlabel="runs in a chunk, c", ylabel="ms a run")
    costs = {
        r["name"].rsplit(", ", 1)[-1]: r["value"]
        for r in rows
        if r["bench"] == "chunks" and r["name"].startswith("cost of")
    }
    if x and {"a", "b"} <= set(costs):
        c = np.geomspace(min(x), max(x), 50)
        ax.plot(c, costs["a"] / c + costs["b"], color=GREY, linestyle="--", label="a / c + b")
        ax.plot(x, y, color=BLUE, marker="o", linestyle="none", label="measured")
        ax.legend(loc="upper right")
