"""Kinds of figures of histories: flows between layers, the growing corpus, ensembles, twins, early advantage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mpbf_abm.evidence.assessments.histories import EARLY, HELD, LAYERS, REGIONS, TWIN_SERIES
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
from mpbf_abm.figures.layers import draw_diagram
from mpbf_abm.figures.of_studies import strip
from mpbf_abm.figures.style import BLUE, GREEN, GREY, LIGHT, MM, PURPLE, VERMILION
from mpbf_abm.measures.flows import FLOWS
from mpbf_abm.measures.path import damage
from mpbf_abm.model.commons import ORIGINS
from mpbf_abm.stats.estimates import mean_estimate

if TYPE_CHECKING:
    from mpbf_abm.studies.results import Results

ARM_STYLES = ((GREY, "--", "o"), (BLUE, "-", "D"), (VERMILION, "-.", "s"))
LEVEL_STYLES = ((BLUE, "-"), (GREEN, "--"), (VERMILION, "-."))
MOST_SERIES = 6
FAMILIES = '[series] tables = ["families"]'


def family_records(results: Results, s: int, a: int) -> Iterator[tuple[int, Float]]:
    """Yield, for each run of a scenario and arm that stored them, its replicate and its records by family after each tick (T, K)."""
    for (at, arm, replicate), table in sorted(results.tables("families").items()):
        if (at, arm) == (s, a):
            yield replicate, np.asarray(table["records"], np.float64)


# --------------------------------------------------------------------------- 1: flows


def prepare_flows(results: Results, choice: Choice = EVERYTHING) -> dict[str, pd.DataFrame]:
    """Prepare the mean flow per tick with its interval over histories, by arm, in one scenario."""
    s, chosen = scenario(results, choice.where), arms(results, choice, 3)
    if set(FLOWS) <= set(results.study.series.of):  # sums up to each tick
        ticks = float(results.series_ticks[-1] + 1)
        totals = {flow: results.series_values(flow)[s, :, :, -1] / ticks for flow in FLOWS}
    elif "flows" in results.study.series.tables:
        held = results.tables("flows")
        totals = {flow: np.full(results.shape[1:], np.nan) for flow in FLOWS}
        for (at, a, r), table in held.items():
            for flow in FLOWS if at == s else ():
                totals[flow][a, r] = np.mean(table[flow])
    else:
        raise lacking("flows", 'flows: [series] tables = ["flows"]')
    rows = []
    for flow, (source, target, unit, what) in FLOWS.items():
        for arm, a in chosen.items():
            known = finite(totals[flow][a])
            e = mean_estimate(known)
            rows.append((flow, arm, source, target, unit, what, e.value, e.low, e.high, len(known)))
    head = ["flow", "arm", "from", "to", "unit", "what", "per_tick", "low", "high", "n"]
    return {"flows": pd.DataFrame(rows, columns=head)}


def draw_flows(frames: Frames) -> Figure:
    """Draw the layer diagram of each arm, arrows as wide as what flows."""
    table = frames["flows"]
    fig = Figure(figsize=(style.WIDTHS["double"], 80 * MM))
    arms = list(dict.fromkeys(table["arm"]))
    for ax, arm, mark in zip(np.atleast_1d(fig.subplots(1, len(arms))), arms, "abc", strict=False):
        draw_diagram(ax, table[table["arm"] == arm].set_index("flow"))
        style.letter(ax, mark, arm)
    return fig


# --------------------------------------------------------------------------- 2: corpus

COLORS = {"literature": LIGHT, "simulation": BLUE, "experiment": VERMILION, "model-generated": PURPLE, "failed": GREEN}


def prepare_corpus(results: Results, choice: Choice = EVERYTHING) -> dict[str, pd.DataFrame]:
    """Prepare records by origin over time, and what the founding core still holds, in two scenarios, by arm."""
    if not set(HELD) <= set(results.study.series.of):
        raise lacking(
            "corpus",
            "records by origin, which only a study of the model mpbf_abm.evidence.assessments.histories.course stores (made in Python)",
        )
    column, chosen = levels(results, choice, 2)
    rows, held = [], []
    for s, level in chosen.items():
        parts = {
            (o, r): results.series_values(f"{o}, {r}")[s] for o in ORIGINS for r in REGIONS
        }  # (arms, replicates, ticks)
        total = sum(parts.values())
        core = sum(parts[o, "core"] for o in ORIGINS) / total
        for i, tick in enumerate(results.series_ticks):
            for (origin, region), values in parts.items():
                _, low, high = band(values[0, :, i])
                rows.append((level, int(tick), origin, region, finite(values[0, :, i]).mean(), low, high))
            for arm, a in arms(results, choice, 2).items():
                middle, low, high = band(core[a, :, i])
                held.append((level, arm, int(tick), middle, low, high))
    return {
        "origin": pd.DataFrame(rows, columns=[column, "tick", "origin", "region", "records", "low", "high"]),
        "core": pd.DataFrame(held, columns=[column, "arm", "tick", "share", "low", "high"]),
    }


def draw_corpus(frames: Frames) -> Figure:
    """Draw stacked records by origin and region for each level, and the core's share."""
    fig = Figure(figsize=(style.WIDTHS["double"], 70 * MM))
    column = str(frames["origin"].columns[0])
    shown = list(dict.fromkeys(frames["origin"][column]))
    axes = fig.subplots(1, len(shown) + 1)
    for ax, level, mark in zip(axes, shown, "ab", strict=False):
        part = frames["origin"][frames["origin"][column] == level]
        wide = part.pivot(index="tick", columns=["region", "origin"], values="records")
        base = np.zeros(len(wide))
        for region in REGIONS:
            for origin, color in COLORS.items():
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
        style.letter(ax, mark, f"records by origin, {level_words(column, level)}")
    fig.legend(
        *axes[0].get_legend_handles_labels(),
        loc="outside lower left",
        ncols=5,
        title="plain: founding core; hatched: all other families",
    )
    table, last = frames["core"], axes[-1]
    arms = list(dict.fromkeys(table["arm"]))
    for level, (color, line) in zip(shown, LEVEL_STYLES[::2], strict=False):
        for arm, shade in zip(arms, (1.0, 0.45), strict=False):
            part = table[(table[column] == level) & (table["arm"] == arm)]
            last.fill_between(part["tick"], part["low"], part["high"], color=color, alpha=0.12, linewidth=0)
            last.plot(
                part["tick"], part["share"], color=color, linestyle=line, alpha=shade,
                label=f"{level_words(column, level)}, {arm}",
            )  # fmt: skip
    last.set(xlabel="tick (months)", ylabel="held by the founding core\n(share; median, 5–95 %)")
    last.legend(loc="upper center", bbox_to_anchor=(0.4, -0.17), ncols=1)
    style.letter(last, "abc"[len(shown)], "survival of the early corpus")
    return fig


# --------------------------------------------------------------------------- 4: fan


def prepare_fan(results: Results, choice: Choice = EVERYTHING) -> dict[str, pd.DataFrame]:
    """Prepare median, range of nine tenths and eight histories of each series over time, by arm, in one scenario."""
    s, stored, out = scenario(results, choice.where), results.study.series.of, {}
    shown = choice.outcomes or (LAYERS if set(LAYERS) <= set(stored) else stored)
    if not shown:
        raise lacking("fan", 'series: [series] of = ["found_share", "families_d1"], say')
    for name in shown[:MOST_SERIES]:
        values, rows = results.series_values(name)[s], []
        for arm, a in arms(results, choice, len(ARM_STYLES)).items():
            middle, low, high = band(values[a])
            for i, tick in enumerate(results.series_ticks):
                thin = {f"history {r}": values[a, r, i] for r in range(min(8, values.shape[1]))}
                rows.append(
                    {"arm": arm, "tick": int(tick), "median": middle[i], "low": low[i], "high": high[i], **thin}
                )
        out[name] = pd.DataFrame(rows)
    return out


def draw_fan(frames: Frames) -> Figure:
    """Draw a panel for each series."""
    fig = Figure(figsize=(style.WIDTHS["double"], 95 * MM))
    across = min(3, -(-len(frames) // 2)) if len(frames) > 2 else len(frames)
    axes = fig.subplots(-(-len(frames) // across), across, squeeze=False).ravel()
    for ax, (name, table), mark in zip(axes, frames.items(), "abcdef", strict=False):
        for (arm, part), (color, line, _) in zip(table.groupby("arm", sort=False), ARM_STYLES, strict=False):
            thin = [c for c in part.columns if c.startswith("history")]
            ax.plot(part["tick"], part[thin], color=color, linewidth=0.3, alpha=0.5)
            ax.fill_between(part["tick"], part["low"], part["high"], color=color, alpha=0.2, linewidth=0)
            ax.plot(part["tick"], part["median"], color=color, linestyle=line, linewidth=1.4, label=str(arm))
        ax.set(xlabel="tick (months)", ylabel=label(name))
        style.letter(ax, mark, "")
    for ax in axes[len(frames) :]:
        ax.set_axis_off()
    axes[0].legend(loc="best")
    return fig


# --------------------------------------------------------------------------- 5: twins


def prepare_twins(results: Results, choice: Choice = EVERYTHING) -> dict[str, pd.DataFrame]:
    """Prepare the distance of twins over time by level, and how many times it has grown.

    Twins are what the model of that name made, or the baseline and another arm on the same draws.
    """
    column, chosen = levels(results, choice, len(LEVEL_STYLES))
    if set(TWIN_SERIES) <= set(results.study.series.of) and "growth" in results.definitions:
        found = {kind: results.series_values(kind)[:, 0] for kind in TWIN_SERIES}
        ticks, growth, differ = results.series_ticks, results.values("growth")[:, 0], "an early deposit"
    else:
        other = _second_arm(results, choice)
        found, differ = {"moved": _apart(results, other)}, results.arm_names[other].replace("_", " ")
        ticks, growth = np.arange(results.study.ticks), np.full((results.shape[0], results.shape[2]), np.nan)
        for place in np.ndindex(growth.shape):
            if len(unlike := np.flatnonzero(found["moved"][place] > 0)):
                growth[place] = found["moved"][place][-1] / found["moved"][place][unlike[0]]
    rows, ends = [], []
    for s, level in chosen.items():
        for kind, values in found.items():
            middle, low, high = band(values[s])
            rows += [(level, kind, int(t), middle[i], low[i], high[i]) for i, t in enumerate(ticks)]
        ends += [(level, r, v) for r, v in enumerate(growth[s])]
    distance = pd.DataFrame(rows, columns=[column, "twin", "tick", "median", "low", "high"])
    distance.attrs["differ"] = differ
    return {"distance": distance, "growth": pd.DataFrame(ends, columns=[column, "replicate", "growth"])}


def _second_arm(results: Results, choice: Choice) -> int:
    """Return the number of the arm whose runs are the baseline's twins."""
    study = results.study
    if "families" not in study.series.tables:
        raise lacking(
            "twins",
            f"families: {FAMILIES} and an arm beside the baseline; or make it in Python of the model mpbf_abm.evidence.assessments.histories.twins",
        )
    others = [a for a in arms(results, choice).values() if a > 0]
    if not others:
        raise lacking("twins", "an arm beside the baseline, [[policy]] or [[arm]]")
    if study.crn == "none":
        raise lacking("twins", "draws that arms have in common: [study] crn = 'none'")
    return others[0]


def _apart(results: Results, arm: int) -> Float:
    """Return the distance of family shares between the baseline and an arm after each tick (scenarios, replicates, T)."""
    out = np.full((results.shape[0], results.shape[2], results.study.ticks), np.nan)
    for s in range(results.shape[0]):
        moved = dict(family_records(results, s, arm))
        for r, records in family_records(results, s, 0):
            if r in moved and len(records) == len(moved[r]) == results.study.ticks:
                out[s, r] = damage(records, moved[r])
    return out


def draw_twins(frames: Frames) -> Figure:
    """Draw distances on a logarithmic axis, and the distribution of their growth."""
    fig = Figure(figsize=(style.WIDTHS["double"], 65 * MM))
    left, right = fig.subplots(1, 2, width_ratios=(1.6, 1))
    table, ends = frames["distance"], frames["growth"]
    column = str(table.columns[0])
    for (level, part), (color, line) in zip(
        table[table["twin"] == "moved"].groupby(column), LEVEL_STYLES, strict=False
    ):
        shown = part[part["median"] > 0]
        left.fill_between(shown["tick"], shown["low"], shown["high"], color=color, alpha=0.15, linewidth=0)
        left.plot(shown["tick"], shown["median"], color=color, linestyle=line, label=level_words(column, level))
    same = table.loc[table["twin"] == "identical", "high"]
    left.set(yscale="log", xlabel="tick (months)", ylabel="distance of family shares\n(half of L1; median, 5–95 %)")
    left.legend(loc="best", title=f"identical twins: {float(same.max()):g} apart" if len(same) else None)
    style.letter(left, "a", f"twins that differ by {table.attrs['differ']}")
    for y, ((_, part), (color, _)) in enumerate(zip(ends.groupby(column), LEVEL_STYLES, strict=False)):
        grown = part["growth"].to_numpy()
        strip(right, y, np.log10(grown[grown > 0]), color)
    right.axvline(0, color=GREY, linewidth=0.5)
    count = ends[column].nunique()
    right.set_yticks(range(count), [level_words(column, level) for level in sorted(ends[column].unique())])
    right.set(xlabel="log10 of last over first distance (–)", ylim=(count - 0.4, -0.6))
    style.letter(right, "b", "growth; each point a pair")
    return fig


# --------------------------------------------------------------------------- 6: early advantage


def prepare_early(results: Results, choice: Choice = EVERYTHING) -> dict[str, pd.DataFrame]:
    """Prepare final against early share of the family that led early, and the variance of both over histories, in the baseline."""
    column, chosen = levels(results, choice, 2)
    points, spread = [], []
    for s, level in chosen.items():
        early, late = _leader(results, s)
        points += [(level, r, e, f) for r, (e, f) in enumerate(zip(early, late, strict=True))]
        for time, values in (("early", finite(early)), ("final", finite(late))):
            e = mean_estimate((values - values.mean()) ** 2)
            spread.append((level, time, e.value, max(0.0, e.low), e.high, len(values)))
    return {
        "shares": pd.DataFrame(points, columns=[column, "replicate", "early", "final"]),
        "variance": pd.DataFrame(spread, columns=[column, "time", "variance", "low", "high", "n"]),
    }


def _leader(results: Results, s: int) -> tuple[Float, Float]:
    """Return the share that each baseline history's early leader holds then and at the end (replicates,)."""
    if {"early_share", "late_share"} <= results.definitions.keys():
        return results.values("early_share")[s, 0], results.values("late_share")[s, 0]
    if "families" not in results.study.series.tables:
        raise lacking("early", f"families: {FAMILIES}")
    out = np.full((2, results.replicates), np.nan)
    for r, records in family_records(results, s, 0):
        first, last = records[max(1, len(records) // EARLY) - 1], records[-1]
        if first.sum() > 0:
            leader = int(first.argmax())
            out[:, r] = first[leader] / first.sum(), last[leader] / last.sum()
    return out[0], out[1]


def draw_early(frames: Frames) -> Figure:
    """Draw the map with the line of equality, and the variances."""
    fig = Figure(figsize=(style.WIDTHS["single"], 95 * MM))
    top, bottom = fig.subplots(2, 1, height_ratios=(2, 1))
    top.plot([0, 1], [0, 1], color=LIGHT, linewidth=0.8)
    column = str(frames["shares"].columns[0])
    shown = dict.fromkeys(frames["shares"][column])
    styles = list(zip(shown, (BLUE, VERMILION), ("o", "s"), strict=False))
    for level, color, mark in styles:
        part = frames["shares"][frames["shares"][column] == level]
        top.plot(
            part["early"],
            part["final"],
            mark,
            color=color,
            markersize=3,
            alpha=0.7,
            markeredgewidth=0,
            label=level_words(column, level),
        )
    most = float(np.nanmax(frames["shares"][["early", "final"]].to_numpy())) * 1.05
    top.set(
        xlabel=f"share at 1/{EARLY} of the run (–)",
        ylabel="share of the same family at the end (–)",
        xlim=(0, most),
        ylim=(0, most),
    )
    top.legend(loc="upper left")
    style.letter(top, "a", "the family that led early")
    for i, (level, color, mark) in enumerate(styles):
        part = frames["variance"][frames["variance"][column] == level]
        x = np.arange(2) + 0.12 * (i - 0.5)
        bottom.vlines(x, part["low"], part["high"], color=color)
        bottom.plot(x, part["variance"], mark, color=color)
    bottom.set_xticks([0, 1], ["early", "final"])
    bottom.set(ylabel="variance over\nhistories, 95 % (–)", xlim=(-0.5, 1.5), ylim=(0, None))
    style.letter(bottom, "b", "how far histories differ")
    return fig


KINDS = (
    Kind(
        "flows", "Measured flows between the layers", "[series] tables = [\"flows\"]; one scenario, up to three arms", "double", 80,
        "What flows between curators, commons, models, planners and experiments in a tick: mean over histories with its 95 % interval, by arm. Width grows with the logarithm of the flow; blue: records, red: experiments, green: "
        "published tests.",
        "Diagram of five boxes, curators, commons, models, planners and experiments, joined by eight arrows whose width is the measured flow per tick; one diagram for each arm.",
        prepare_flows, draw_flows,
    ),
    Kind(
        "corpus", "Growth of the corpus", "model mpbf_abm.evidence.assessments.histories.course, in Python; up to two scenarios and two arms", "double", 80,
        "Records by origin over time, mean of histories; plain areas are the founding core, the largest families that held half of the founding records, hatched ones all others. Last panel: what the core still holds, by arm, median and the "
        "range of nine tenths of the histories.",
        "Stacked areas of records by origin over time, and lines of the share of records that the founding core of families still holds.",
        prepare_corpus, draw_corpus,
    ),
    Kind(
        "fan", "Quantities over time", "[series] of = [...]; one scenario, up to three arms and six series", "double", 95,
        "Quantities along the run, by arm: eight histories (thin), median (thick), and the range of nine tenths of all histories (shaded).",
        "Panels over time with medians, ranges of nine tenths and single histories of each stored quantity, for each arm of the study.",
        prepare_fan, draw_fan,
    ),
    Kind(
        "twins", "Divergence of twins", "[series] tables = [\"families\"] and an arm on common draws; or model mpbf_abm.evidence.assessments.histories.twins, in Python; up to three scenarios",
        "double", 65,
        "Two histories on the same draws: distance of their family shares over time (a; median and the range of nine tenths of pairs) and how many times it has grown from the first difference to the end (b; line: 10–90 %, tick: median).",
        "Distance between twin histories over time on a logarithmic axis, and the distribution of its growth over pairs of histories.",
        prepare_twins, draw_twins,
    ),
    Kind(
        "early", "Early advantage", "[series] tables = [\"families\"]; up to two scenarios, the baseline", "single", 95,
        "Share of the records that the family leading at a fifth of the run holds then and at the end, one point for each history (a; line: equality), and the variance of both shares over histories with its 95 % interval (b).",
        "Scatter of final against early share of the early leader with the line of equality, and the variance of shares early and at the end.",
        prepare_early, draw_early,
    ),
)  # fmt: skip
