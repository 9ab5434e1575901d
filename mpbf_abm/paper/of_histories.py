"""Figures of histories: flows between layers, the growing corpus, ensembles, twins, early advantage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mpbf_abm.evidence.assessments.histories import EARLY, LAYERS, REGIONS
from mpbf_abm.figures import style
from mpbf_abm.figures.layers import draw_diagram
from mpbf_abm.figures.of_studies import strip
from mpbf_abm.figures.style import BLUE, GREEN, GREY, LIGHT, MM, PURPLE, VERMILION
from mpbf_abm.measures.flows import FLOWS
from mpbf_abm.model.commons import ORIGINS
from mpbf_abm.paper.figure import Frames, PaperFigure, band, names, scenario
from mpbf_abm.stats.estimates import mean_estimate

if TYPE_CHECKING:
    from mpbf_abm.studies.results import Results

CROWD, PLAIN = 2.0, 1.05
ARM_STYLES = ((GREY, "--", "o"), (BLUE, "-", "D"), (VERMILION, "-.", "s"))
GAMMA_STYLES = ((BLUE, "-"), (GREEN, "--"), (VERMILION, "-."))
LABELS = {
    "boundary_shift": "boundary shift ΔB (index)", "integrity": "integrity A (index)", "steering": "steering S (index)",
    "tradeoff": "trade-off T (index)", "found_share": "found (share of the top 1 %)", "families_d1": "breadth (effective families)",
}  # fmt: skip

# --------------------------------------------------------------------------- 1: flows


def prepare_flows(results: Results) -> dict[str, pd.DataFrame]:
    """Mean flow per tick with its interval over histories, by arm; communities of followers."""
    s, ticks = scenario(results, gamma=CROWD), float(results.series_ticks[-1] + 1)
    rows = []
    for flow, (source, target, unit, what) in FLOWS.items():
        total = results.series_values(flow)[s, :, :, -1] / ticks
        for a, arm in enumerate(names(results)):
            e = mean_estimate(total[a])
            rows.append((flow, arm, source, target, unit, what, e.value, e.low, e.high, total.shape[1]))
    head = ["flow", "arm", "from", "to", "unit", "what", "per_tick", "low", "high", "n"]
    return {"flows": pd.DataFrame(rows, columns=head)}


def draw_flows(frames: Frames) -> Figure:
    """Draw the layer diagram of each arm, arrows as wide as what flows."""
    table = frames["flows"]
    fig = Figure(figsize=(style.WIDTHS["double"], 80 * MM))
    arms = list(dict.fromkeys(table["arm"]))
    for ax, arm, mark in zip(fig.subplots(1, len(arms)), arms, "abc", strict=False):
        draw_diagram(ax, table[table["arm"] == arm].set_index("flow"))
        style.letter(ax, mark, arm)
    return fig


# --------------------------------------------------------------------------- 2: corpus

KINDS = {"literature": LIGHT, "simulation": BLUE, "experiment": VERMILION, "model-generated": PURPLE, "failed": GREEN}


def prepare_corpus(results: Results) -> dict[str, pd.DataFrame]:
    """Records by origin over time, and what the founding core still holds, by reinforcement and arm."""
    rows, held = [], []
    for gamma in (PLAIN, CROWD):
        s = scenario(results, gamma=gamma)
        parts = {
            (o, r): results.series_values(f"{o}, {r}")[s] for o in ORIGINS for r in REGIONS
        }  # (arms, replicates, ticks)
        total = sum(parts.values())
        core = sum(parts[o, "core"] for o in ORIGINS) / total
        for i, tick in enumerate(results.series_ticks):
            for (origin, region), values in parts.items():
                _, low, high = band(values[0, :, i])
                rows.append((gamma, int(tick), origin, region, values[0, :, i].mean(), low, high))
            for a, arm in enumerate(names(results)):
                middle, low, high = band(core[a, :, i])
                held.append((gamma, arm, int(tick), middle, low, high))
    return {
        "origin": pd.DataFrame(rows, columns=["gamma", "tick", "origin", "region", "records", "low", "high"]),
        "core": pd.DataFrame(held, columns=["gamma", "arm", "tick", "share", "low", "high"]),
    }


def draw_corpus(frames: Frames) -> Figure:
    """Draw stacked records by origin and region for both reinforcements, and the core's share."""
    fig = Figure(figsize=(style.WIDTHS["double"], 70 * MM))
    axes = fig.subplots(1, 3)
    for ax, gamma, mark in zip(axes, (PLAIN, CROWD), "ab", strict=False):
        part = frames["origin"][frames["origin"]["gamma"] == gamma]
        wide = part.pivot(index="tick", columns=["region", "origin"], values="records")
        base = np.zeros(len(wide))
        for region in REGIONS:
            for origin, color in KINDS.items():
                top = base + wide[(region, origin)].to_numpy()
                if (top > base + 0.5).any():
                    ax.fill_between(
                        wide.index, base, top, color=color, alpha=0.9 if region == "core" else 0.45, linewidth=0,
                        hatch=None if region == "core" else "////", edgecolor="white", label=origin if region == "core" else None,
                    )  # fmt: skip
                base = top
        ax.set(
            xlabel="tick (months)",
            ylabel="records (mean of histories)",
            xlim=(wide.index.min(), wide.index.max()),
            ylim=(0, None),
        )
        style.letter(ax, mark, f"records by origin, γ = {gamma:g}")
    fig.legend(
        *axes[0].get_legend_handles_labels(),
        loc="outside lower left",
        ncols=5,
        title="plain: founding core; hatched: all other families",
    )
    table = frames["core"]
    arms = list(dict.fromkeys(table["arm"]))
    for gamma, (color, line) in zip((PLAIN, CROWD), GAMMA_STYLES[::2], strict=True):
        for arm, shade in zip(arms, (1.0, 0.45), strict=False):
            part = table[(table["gamma"] == gamma) & (table["arm"] == arm)]
            axes[2].fill_between(part["tick"], part["low"], part["high"], color=color, alpha=0.12, linewidth=0)
            axes[2].plot(
                part["tick"], part["share"], color=color, linestyle=line, alpha=shade, label=f"γ = {gamma:g}, {arm}"
            )
    axes[2].set(xlabel="tick (months)", ylabel="held by the founding core\n(share; median, 5–95 %)")
    axes[2].legend(loc="upper center", bbox_to_anchor=(0.4, -0.17), ncols=1)
    style.letter(axes[2], "c", "survival of the early corpus")
    return fig


# --------------------------------------------------------------------------- 4: fan


def prepare_fan(results: Results) -> dict[str, pd.DataFrame]:
    """Median, range of nine tenths and eight histories of each layer over time, by arm; communities of followers."""
    s, out = scenario(results, gamma=CROWD), {}
    for layer in LAYERS:
        values, rows = results.series_values(layer)[s], []
        for a, arm in enumerate(names(results)):
            middle, low, high = band(values[a])
            for i, tick in enumerate(results.series_ticks):
                thin = {f"history {r}": values[a, r, i] for r in range(min(8, values.shape[1]))}
                rows.append(
                    {"arm": arm, "tick": int(tick), "median": middle[i], "low": low[i], "high": high[i], **thin}
                )
        out[layer] = pd.DataFrame(rows)
    return out


def draw_fan(frames: Frames) -> Figure:
    """Draw a panel for each layer."""
    fig = Figure(figsize=(style.WIDTHS["double"], 95 * MM))
    axes = fig.subplots(2, 3).ravel()
    for ax, (layer, table), mark in zip(axes, frames.items(), "abcdef", strict=True):
        for (arm, part), (color, line, _) in zip(table.groupby("arm", sort=False), ARM_STYLES, strict=False):
            thin = [c for c in part.columns if c.startswith("history")]
            ax.plot(part["tick"], part[thin], color=color, linewidth=0.3, alpha=0.5)
            ax.fill_between(part["tick"], part["low"], part["high"], color=color, alpha=0.2, linewidth=0)
            ax.plot(part["tick"], part["median"], color=color, linestyle=line, linewidth=1.4, label=str(arm))
        ax.set(xlabel="tick (months)", ylabel=LABELS[layer])
        style.letter(ax, mark, "")
    axes[0].legend(loc="best")
    return fig


# --------------------------------------------------------------------------- 5: twins


def prepare_twins(results: Results) -> dict[str, pd.DataFrame]:
    """Distance of twins over time by reinforcement, and how many times it has grown."""
    moved, same = results.series_values("moved"), results.series_values("identical")
    growth, rows, ends = results.values("growth"), [], []
    for s, gamma in enumerate(results.scenarios["gamma"].astype(float)):
        for kind, values in (("moved", moved), ("identical", same)):
            middle, low, high = band(values[s, 0])
            rows += [(gamma, kind, int(t), middle[i], low[i], high[i]) for i, t in enumerate(results.series_ticks)]
        ends += [(gamma, r, v) for r, v in enumerate(growth[s, 0])]
    return {
        "distance": pd.DataFrame(rows, columns=["gamma", "twin", "tick", "median", "low", "high"]),
        "growth": pd.DataFrame(ends, columns=["gamma", "replicate", "growth"]),
    }


def draw_twins(frames: Frames) -> Figure:
    """Draw distances on a logarithmic axis, and the distribution of their growth."""
    fig = Figure(figsize=(style.WIDTHS["double"], 65 * MM))
    left, right = fig.subplots(1, 2, width_ratios=(1.6, 1))
    table = frames["distance"]
    for (gamma, part), (color, line) in zip(
        table[table["twin"] == "moved"].groupby("gamma"), GAMMA_STYLES, strict=False
    ):
        shown = part[part["median"] > 0]
        left.fill_between(shown["tick"], shown["low"], shown["high"], color=color, alpha=0.15, linewidth=0)
        left.plot(shown["tick"], shown["median"], color=color, linestyle=line, label=f"γ = {gamma:g}")
    apart = float(table.loc[table["twin"] == "identical", "high"].max())
    left.set(yscale="log", xlabel="tick (months)", ylabel="distance of family shares\n(half of L1; median, 5–95 %)")
    left.legend(loc="best", title=f"identical twins: {apart:g} apart")
    style.letter(left, "a", "twins that differ by an early deposit")
    for y, ((_, part), (color, _)) in enumerate(zip(frames["growth"].groupby("gamma"), GAMMA_STYLES, strict=False)):
        strip(right, y, np.log10(part["growth"].to_numpy()), color)
    right.axvline(0, color=GREY, linewidth=0.5)
    right.set_yticks(
        range(frames["growth"]["gamma"].nunique()), [f"γ = {g:g}" for g in sorted(frames["growth"]["gamma"].unique())]
    )
    right.set(xlabel="log10 of last over first distance (–)", ylim=(frames["growth"]["gamma"].nunique() - 0.4, -0.6))
    style.letter(right, "b", "growth; each point a pair")
    return fig


# --------------------------------------------------------------------------- 6: early advantage


def prepare_early(results: Results) -> dict[str, pd.DataFrame]:
    """Final against early share of the family that led early, and the variance of both over histories."""
    early, late = results.values("early_share"), results.values("late_share")
    points, spread = [], []
    for gamma in (PLAIN, CROWD):
        s = scenario(results, gamma=gamma)
        points += [(gamma, r, e, f) for r, (e, f) in enumerate(zip(early[s, 0], late[s, 0], strict=True))]
        for time, values in (("early", early[s, 0]), ("final", late[s, 0])):
            e = mean_estimate((values - values.mean()) ** 2)
            spread.append((gamma, time, e.value, max(0.0, e.low), e.high, len(values)))
    return {
        "shares": pd.DataFrame(points, columns=["gamma", "replicate", "early", "final"]),
        "variance": pd.DataFrame(spread, columns=["gamma", "time", "variance", "low", "high", "n"]),
    }


def draw_early(frames: Frames) -> Figure:
    """Draw the map with the line of equality, and the variances."""
    fig = Figure(figsize=(style.WIDTHS["single"], 95 * MM))
    top, bottom = fig.subplots(2, 1, height_ratios=(2, 1))
    top.plot([0, 1], [0, 1], color=LIGHT, linewidth=0.8)
    styles = list(zip((PLAIN, CROWD), (BLUE, VERMILION), ("o", "s"), strict=True))
    for gamma, color, mark in styles:
        part = frames["shares"][frames["shares"]["gamma"] == gamma]
        top.plot(
            part["early"],
            part["final"],
            mark,
            color=color,
            markersize=3,
            alpha=0.7,
            markeredgewidth=0,
            label=f"γ = {gamma:g}",
        )
    most = float(frames["shares"][["early", "final"]].to_numpy().max()) * 1.05
    top.set(
        xlabel=f"share at 1/{EARLY} of the run (–)",
        ylabel="share of the same family at the end (–)",
        xlim=(0, most),
        ylim=(0, most),
    )
    top.legend(loc="upper left")
    style.letter(top, "a", "the family that led early")
    for i, (gamma, color, mark) in enumerate(styles):
        part = frames["variance"][frames["variance"]["gamma"] == gamma]
        x = np.arange(2) + 0.12 * (i - 0.5)
        bottom.vlines(x, part["low"], part["high"], color=color)
        bottom.plot(x, part["variance"], mark, color=color)
    bottom.set_xticks([0, 1], ["early", "final"])
    bottom.set(ylabel="variance over\nhistories, 95 % (–)", xlim=(-0.5, 1.5), ylim=(0, None))
    style.letter(bottom, "b", "how far histories differ")
    return fig


FIGURES = (
    PaperFigure(
        "flows", "Measured flows between the layers", "courses", "double", 80,
        "What flows between curators, commons, models, planners and experiments in a tick, in communities that follow the crowd (γ = 2): mean over histories with its 95 % interval, as they are and with a floor on exploration. Width grows "
        "with the logarithm of the flow; blue: records, red: experiments, green: published tests.",
        "Diagram of five boxes, curators, commons, models, planners and experiments, joined by eight arrows whose width is the measured flow per tick; one diagram for the baseline, one with a floor on exploration.",
        prepare_flows, draw_flows,
    ),
    PaperFigure(
        "corpus", "Growth of the corpus", "courses", "double", 80,
        "Records by origin over time, mean of histories, at a reinforcement of 1.05 (a) and 2 (b); plain areas are the founding core, the largest families that held half of the founding records, hatched ones all others. What the "
        "core still holds (c), with and without a floor on exploration: median and the range of nine tenths of the histories.",
        "Stacked areas of records by origin over time for weak and strong reinforcement, and lines of the share of records that the founding core of families still holds.",
        prepare_corpus, draw_corpus,
    ),
    PaperFigure(
        "fan", "Layers over time", "courses", "double", 95,
        "The four quantities of the framework in this project's operationalisation, finds and breadth, in communities that follow the crowd (γ = 2), with and without a floor on exploration: eight histories (thin), median (thick), and "
        "the range of nine tenths of all histories (shaded).",
        "Six panels over time with medians, ranges and single histories: boundary shift, integrity, steering, trade-off, finds and breadth, for the baseline and a floor on exploration.",
        prepare_fan, draw_fan,
    ),
    PaperFigure(
        "twins", "Divergence of twins", "twins", "double", 65,
        "Two histories on the same draws that differ by a deposit of a fiftieth of the records in a family of median size at a fifth of the way: distance of their family shares over time (a; median and the range of nine tenths of pairs) "
        "and how many times it has grown at the end (b; line: 10–90 %, tick: median). The founding is even; identical twins stay identical.",
        "Distance between twin histories over time on a logarithmic axis for three reinforcements, and the distribution of its growth over pairs.",
        prepare_twins, draw_twins,
    ),
    PaperFigure(
        "early", "Early advantage", "courses", "single", 95,
        "Share of the records that the family leading at a fifth of the run holds then and at the end, one point for each history (a; line: equality), and the variance of both shares over histories with its 95 % interval (b).",
        "Scatter of final against early share of the early leader with the line of equality, for weak and strong reinforcement, and the variance of shares early and at the end.",
        prepare_early, draw_early,
    ),
)  # fmt: skip
