"""Kinds of figures of histories: flows between layers, the growing corpus, ensembles, twins, early advantage."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mpbf_abm.arrays import Float
from mpbf_abm.evidence.assessments.histories import EARLY, HELD, LAYERS, REGIONS, TWIN_SERIES
from mpbf_abm.figures import kind, style
from mpbf_abm.figures.kind import EVERYTHING, Choice, band, declare, finite, lacking, level_words, levels
from mpbf_abm.figures.layers import draw_diagram
from mpbf_abm.figures.of_studies import strip
from mpbf_abm.figures.style import BLUE, GREEN, GREY, LIGHT, PURPLE, VERMILION, Frames, pick, ribbon, unique
from mpbf_abm.measures.networks import FLOWS
from mpbf_abm.measures.path import damage
from mpbf_abm.model.commons import ORIGINS
from mpbf_abm.stats.estimates import mean_estimate
from mpbf_abm.studies.results import Results

ARM_STYLES = ((GREY, "--", "o"), (BLUE, "-", "D"), (VERMILION, "-.", "s"))
LEVEL_STYLES = ((BLUE, "-"), (GREEN, "--"), (VERMILION, "-."))
MOST_SERIES = 6
FAMILIES = '[series] tables = ["families"]'


def family_records(results: Results, s: int, a: int) -> Iterator[tuple[int, Float]]:
    """Yield the replicate and the records by family after each tick (T, K) of each run of a scenario and arm."""
    for (at, arm, replicate), table in sorted(results.tables("families").items()):
        if (at, arm) == (s, a):
            yield replicate, np.asarray(table["records"], np.float64)


# --------------------------------------------------------------------------- 1: flows


def prepare_flows(results: Results, choice: Choice = EVERYTHING) -> dict[str, pd.DataFrame]:
    """Prepare the mean flow per tick with its interval over histories, by arm, in one scenario."""
    s, chosen = kind.scenario(results, choice.where), kind.arms(results, choice, 3)
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
    arms = unique(table["arm"])
    fig, axes = style.figure("double", 80, 1, len(arms))
    for ax, arm, mark in zip(axes, arms, "abc", strict=False):
        draw_diagram(ax, pick(table, arm=arm).set_index("flow"))
        style.letter(ax, mark, arm)
    return fig


# --------------------------------------------------------------------------- 2: corpus

COLORS = {"literature": LIGHT, "simulation": BLUE, "experiment": VERMILION, "model-generated": PURPLE, "failed": GREEN}


def prepare_corpus(results: Results, choice: Choice = EVERYTHING) -> dict[str, pd.DataFrame]:
    """Prepare records by origin over time, and what the founding core still holds, in two scenarios, by arm."""
    if not set(HELD) <= set(results.study.series.of):
        model = "the model mpbf_abm.evidence.assessments.histories.course stores (made in Python)"
        raise lacking("corpus", f"records by origin, which only a study of {model}")
    column, chosen = levels(results, choice, 2)
    rows, held = [], []
    for s, level in chosen.items():
        # Each of shape (arms, replicates, ticks).
        parts = {(o, r): results.series_values(f"{o}, {r}")[s] for o in ORIGINS for r in REGIONS}
        total = sum(parts.values())
        core = sum(parts[o, "core"] for o in ORIGINS) / total
        for i, tick in enumerate(results.series_ticks):
            for (origin, region), values in parts.items():
                _, low, high = band(values[0, :, i])
                rows.append((level, int(tick), origin, region, finite(values[0, :, i]).mean(), low, high))
            for arm, a in kind.arms(results, choice, 2).items():
                middle, low, high = band(core[a, :, i])
                held.append((level, arm, int(tick), middle, low, high))
    return {
        "origin": pd.DataFrame(rows, columns=[column, "tick", "origin", "region", "records", "low", "high"]),
        "core": pd.DataFrame(held, columns=[column, "arm", "tick", "share", "low", "high"]),
    }


def draw_corpus(frames: Frames) -> Figure:
    """Draw stacked records by origin and region for each level, and the core's share."""
    column = str(frames["origin"].columns[0])
    shown = unique(frames["origin"][column])
    fig, (*axes, last) = style.figure("double", 70, 1, len(shown) + 1)
    for ax, level, mark in zip(axes, shown, "ab", strict=False):
        part = frames["origin"][frames["origin"][column] == level]
        wide = part.pivot(index="tick", columns=["region", "origin"], values="records")
        base = np.zeros(len(wide))
        for region in REGIONS:
            core = region == "core"
            look = {"alpha": 0.9 if core else 0.45, "linewidth": 0, "hatch": None if core else "////"}
            for origin, color in COLORS.items():
                top, label = base + wide[(region, origin)].to_numpy(), origin if core else None
                if (top > base + 0.5).any():
                    ax.fill_between(wide.index, base, top, color=color, edgecolor="white", label=label, **look)
                base = top
        ax.set(xlabel="tick (months)", ylabel="records (mean of histories)", ylim=(0, None))
        ax.set_xlim(wide.index.min(), wide.index.max())
        style.letter(ax, mark, f"records by origin, {level_words(column, level)}")
    title = "plain: founding core; hatched: all other families"
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower left", ncols=5, title=title)
    for level, (color, line) in zip(shown, LEVEL_STYLES[::2], strict=False):
        rows = frames["core"][frames["core"][column] == level]
        for (arm, part), alpha in zip(rows.groupby("arm", sort=False), (1.0, 0.45), strict=False):
            label = f"{level_words(column, level)}, {arm}"
            ribbon(last, part, "tick", "share", color, 0.12, linestyle=line, alpha=alpha, label=label)
    last.set(xlabel="tick (months)", ylabel="held by the founding core\n(share; median, 5–95 %)")
    style.below(last, -0.17, 0.4, ncols=1)
    style.letter(last, "abc"[len(shown)], "survival of the early corpus")
    return fig


# --------------------------------------------------------------------------- 4: fan


def prepare_fan(results: Results, choice: Choice = EVERYTHING) -> dict[str, pd.DataFrame]:
    """Prepare median, range of nine tenths and eight histories of each series over time, by arm, in one scenario."""
    s, stored, out = kind.scenario(results, choice.where), results.study.series.of, {}
    shown = choice.outcomes or (LAYERS if set(LAYERS) <= set(stored) else stored)
    if not shown:
        raise lacking("fan", 'series: [series] of = ["found_share", "families_d1"], say')
    for name in shown[:MOST_SERIES]:
        values, rows = results.series_values(name)[s], []
        for arm, a in kind.arms(results, choice, len(ARM_STYLES)).items():
            middle, low, high = band(values[a])
            courses = {"arm": arm, "tick": results.series_ticks, "median": middle, "low": low, "high": high}
            thin = {f"history {r}": course for r, course in enumerate(values[a, :8])}
            rows.append(pd.DataFrame(courses | thin))
        out[name] = pd.concat(rows, ignore_index=True)
    return out


def draw_fan(frames: Frames) -> Figure:
    """Draw a panel for each series."""
    across = min(3, -(-len(frames) // 2)) if len(frames) > 2 else len(frames)
    fig, axes = style.figure("double", 95, -(-len(frames) // across), across)
    for ax, (name, table), mark in zip(axes, frames.items(), "abcdef", strict=False):
        for (arm, part), (color, line, _) in zip(table.groupby("arm", sort=False), ARM_STYLES, strict=False):
            thin = [c for c in part.columns if c.startswith("history")]
            ax.plot(part["tick"], part[thin], color=color, linewidth=0.3, alpha=0.5)
            ribbon(ax, part, "tick", "median", color, 0.2, linestyle=line, linewidth=1.4, label=str(arm))
        ax.set(xlabel="tick (months)", ylabel=kind.label(name))
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
        found = {twin: results.series_values(twin)[:, 0] for twin in TWIN_SERIES}
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
        for twin, values in found.items():
            middle, low, high = band(values[s])
            rows += [(level, twin, int(t), middle[i], low[i], high[i]) for i, t in enumerate(ticks)]
        ends += [(level, r, v) for r, v in enumerate(growth[s])]
    distance = pd.DataFrame(rows, columns=[column, "twin", "tick", "median", "low", "high"])
    distance.attrs["differ"] = differ
    return {"distance": distance, "growth": pd.DataFrame(ends, columns=[column, "replicate", "growth"])}


def _second_arm(results: Results, choice: Choice) -> int:
    """Return the number of the arm whose runs are the baseline's twins."""
    study = results.study
    if "families" not in study.series.tables:
        model = "or make it in Python of the model mpbf_abm.evidence.assessments.histories.twins"
        raise lacking("twins", f"families: {FAMILIES} and an arm beside the baseline; {model}")
    others = [a for a in kind.arms(results, choice).values() if a > 0]
    if not others:
        raise lacking("twins", "an arm beside the baseline, [[policy]] or [[arm]]")
    if study.crn == "none":
        raise lacking("twins", "draws that arms have in common: [study] crn = 'none'")
    return others[0]


def _apart(results: Results, arm: int) -> Float:
    """Return the distance of family shares between baseline and arm after each tick (scenarios, replicates, T)."""
    out = np.full((results.shape[0], results.shape[2], results.study.ticks), np.nan)
    for s in range(results.shape[0]):
        moved = dict(family_records(results, s, arm))
        for r, records in family_records(results, s, 0):
            if r in moved and len(records) == len(moved[r]) == results.study.ticks:
                out[s, r] = damage(records, moved[r])
    return out


def draw_twins(frames: Frames) -> Figure:
    """Draw distances on a logarithmic axis, and the distribution of their growth."""
    fig, (left, right) = style.figure("double", 65, 1, 2, width_ratios=(1.6, 1))
    table, ends = frames["distance"], frames["growth"]
    column = str(table.columns[0])
    for (level, part), (color, line) in zip(pick(table, twin="moved").groupby(column), LEVEL_STYLES, strict=False):
        label = level_words(column, level)
        ribbon(left, part[part["median"] > 0], "tick", "median", color, linestyle=line, label=label)
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
    """Prepare final against early share of the family that led early, and both variances, in the baseline."""
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
    fig, (top, bottom) = style.figure("single", 95, 2, 1, height_ratios=(2, 1))
    top.plot([0, 1], [0, 1], color=LIGHT, linewidth=0.8)
    shares, variance = frames["shares"], frames["variance"]
    column = str(shares.columns[0])
    styles = list(zip(unique(shares[column]), (BLUE, VERMILION), ("o", "s"), strict=False))
    for level, color, mark in styles:
        part, look = shares[shares[column] == level], {"markersize": 3, "alpha": 0.7, "markeredgewidth": 0}
        top.plot(part["early"], part["final"], mark, color=color, label=level_words(column, level), **look)
    most = float(np.nanmax(shares[["early", "final"]].to_numpy())) * 1.05
    top.set(xlabel=f"share at 1/{EARLY} of the run (–)", ylabel="share of the same family at the end (–)")
    top.set(xlim=(0, most), ylim=(0, most))
    top.legend(loc="upper left")
    style.letter(top, "a", "the family that led early")
    for i, (level, color, mark) in enumerate(styles):
        part = variance[variance[column] == level]
        x = np.arange(2) + 0.12 * (i - 0.5)
        bottom.vlines(x, part["low"], part["high"], color=color)
        bottom.plot(x, part["variance"], mark, color=color)
    bottom.set_xticks([0, 1], ["early", "final"])
    bottom.set(ylabel="variance over\nhistories, 95 % (–)", xlim=(-0.5, 1.5), ylim=(0, None))
    style.letter(bottom, "b", "how far histories differ")
    return fig


KINDS = (
    declare("flows", prepare_flows, draw_flows),
    declare("corpus", prepare_corpus, draw_corpus),
    declare("fan", prepare_fan, draw_fan),
    declare("twins", prepare_twins, draw_twins),
    declare("early", prepare_early, draw_early),
)
