"""Kinds of figures of histories: flows, the growing corpus, ensembles, perturbed copies, early advantage."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mpbf_abm.arrays import Float
from mpbf_abm.evidence.assessments.histories import EARLY, HELD, LAYERS, REGIONS, TWIN_SERIES
from mpbf_abm.figures import kind, style
from mpbf_abm.figures.kind import EVERYTHING, Choice, band, declare, finite, level_words, levels, mean, need
from mpbf_abm.figures.overview import draw_diagram
from mpbf_abm.figures.style import BLUE, GREEN, GREY, LIGHT, PURPLE, VERMILION, Frames, pick, ribbon, strip, unique
from mpbf_abm.measures.networks import FLOWS
from mpbf_abm.measures.path import damage
from mpbf_abm.model.commons import ORIGINS
from mpbf_abm.studies.results import Results

ARM_STYLES = ((GREY, "--", "o"), (BLUE, "-", "D"), (VERMILION, "-.", "s"))
LEVEL_STYLES = ((BLUE, "-"), (GREEN, "--"), (VERMILION, "-."))
MOST_SERIES = 6
FAMILIES = '[series] tables = ["families"]'


def family_records(results: Results, s: int, a: int) -> dict[int, Float]:
    """Return the records by family after each tick (T, K) of the runs of a scenario and arm, by replicate."""
    held = kind.tables(results, "families", s, a)
    return {replicate: np.asarray(table["records"], np.float64) for replicate, table in held.items()}


# --------------------------------------------------------------------------- 1: flows


def prepare_flows(results: Results, choice: Choice = EVERYTHING) -> dict[str, pd.DataFrame]:
    """Prepare the mean flow per tick with its interval over histories, by arm, in one scenario."""
    found = _flow_means(results, kind.scenario(results, choice.where))
    arms = kind.arms(results, choice, 3)
    rows = [
        mean(
            found[flow][a],
            "per_tick",
            **{"flow": flow, "arm": arm, "from": source, "to": to, "unit": unit, "what": what},
        )
        for flow, (source, to, unit, what) in FLOWS.items()
        for arm, a in arms.items()
    ]
    return {"flows": pd.DataFrame(rows)}


def _flow_means(results: Results, s: int) -> dict[str, Float]:
    """Return the mean of each flow per tick in the runs of a scenario (arms, replicates)."""
    series = results.study.series
    if set(FLOWS) <= set(series.of):  # sums up to each tick
        ticks = float(results.series_ticks[-1] + 1)
        return {flow: results.series_values(flow)[s, :, :, -1] / ticks for flow in FLOWS}
    need("flows", "flows" in series.tables, 'flows: [series] tables = ["flows"]')
    means = np.full((len(FLOWS), *results.shape[1:]), np.nan)
    for (at, a, r), table in results.tables("flows").items():
        if at == s:
            means[:, a, r] = [np.mean(table[flow]) for flow in FLOWS]
    return dict(zip(FLOWS, means, strict=True))


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
    model = "the model mpbf_abm.evidence.assessments.histories.course stores (made in Python)"
    need("corpus", set(HELD) <= set(results.study.series.of), f"records by origin, which only a study of {model}")
    column, chosen = levels(results, choice, 2)
    arms, ticks = kind.arms(results, choice, 2), results.series_ticks
    origins, held = [], []
    for s, level in chosen.items():
        # Each of shape (arms, replicates, ticks).
        parts = {(o, r): results.series_values(f"{o}, {r}")[s] for o in ORIGINS for r in REGIONS}
        core = sum(parts[o, "core"] for o in ORIGINS) / sum(parts.values())
        origins.append(
            [
                band(values[0], **{column: level, "tick": ticks, "origin": origin, "region": region}).assign(
                    records=np.nanmean(values[0], axis=0)
                )
                for (origin, region), values in parts.items()
            ]
        )
        held.append([band(core[a], "share", **{column: level, "arm": arm, "tick": ticks}) for arm, a in arms.items()])
    by_origin = _by_tick(origins)[[column, "tick", "origin", "region", "records", "low", "high"]]
    return {"origin": by_origin, "core": _by_tick(held)}


def _by_tick(levels: Iterable[Iterable[pd.DataFrame]]) -> pd.DataFrame:
    """Return the frames of all levels in one, those of a level tick by tick."""
    return pd.concat([pd.concat(parts).sort_values("tick", kind="stable") for parts in levels], ignore_index=True)


def draw_corpus(frames: Frames) -> Figure:
    """Draw stacked records by origin and region for each level, and the core's share."""
    column = str(frames["origin"].columns[0])
    shown = unique(frames["origin"][column])
    fig, (*axes, last) = style.figure("double", 70, 1, len(shown) + 1)
    for ax, level, mark in zip(axes, shown, "ab", strict=False):
        part = pick(frames["origin"], **{column: level})
        wide = part.pivot(index="tick", columns=["region", "origin"], values="records")
        _stack(ax, wide)
        style.letter(
            ax,
            mark,
            f"records by origin, {level_words(column, level)}",
            xlabel="tick (months)",
            ylabel="records (mean of histories)",
            xlim=(wide.index.min(), wide.index.max()),
            ylim=(0, None),
        )
    title = "plain: founding core; hatched: all other families"
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower left", ncols=5, title=title)
    for level, (color, line) in zip(shown, LEVEL_STYLES[::2], strict=False):
        rows = pick(frames["core"], **{column: level})
        for (arm, part), alpha in zip(rows.groupby("arm", sort=False), (1.0, 0.45), strict=False):
            label = f"{level_words(column, level)}, {arm}"
            ribbon(last, part, "tick", "share", color, 0.12, linestyle=line, alpha=alpha, label=label)
    style.below(last, -0.17, 0.4, ncols=1)
    held = "held by the founding core\n(share; median, 5–95 %)"
    style.letter(last, "abc"[len(shown)], "survival of the early corpus", xlabel="tick (months)", ylabel=held)
    return fig


def _stack(ax: Axes, records: pd.DataFrame) -> None:
    """Draw records over time as stacked areas by region and origin; those that stay empty are left out."""
    base = np.zeros(len(records))
    for region in REGIONS:
        core = region == "core"
        look: dict[str, Any] = {"alpha": 0.9 if core else 0.45, "linewidth": 0, "hatch": None if core else "////"}
        for origin, color in COLORS.items():
            top, label = base + records[(region, origin)].to_numpy(), origin if core else None
            if (top > base + 0.5).any():
                ax.fill_between(records.index, base, top, color=color, edgecolor="white", label=label, **look)
            base = top


# --------------------------------------------------------------------------- 4: fan


def prepare_fan(results: Results, choice: Choice = EVERYTHING) -> dict[str, pd.DataFrame]:
    """Prepare median, range of nine tenths and eight histories of each series over time, by arm, in one scenario."""
    s, stored, out = kind.scenario(results, choice.where), results.study.series.of, {}
    shown = choice.outcomes or (LAYERS if set(LAYERS) <= set(stored) else stored)
    need("fan", shown, 'series: [series] of = ["found_share", "families_d1"], say')
    for name in shown[:MOST_SERIES]:
        values = results.series_values(name)[s]
        rows = [
            band(values[a], arm=arm, tick=results.series_ticks).assign(
                **{f"history {r}": course for r, course in enumerate(values[a, :8])}
            )
            for arm, a in kind.arms(results, choice, len(ARM_STYLES)).items()
        ]
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
        style.letter(ax, mark, "", xlabel="tick (months)", ylabel=kind.label(name))
    for ax in axes[len(frames) :]:
        ax.set_axis_off()
    axes[0].legend(loc="best")
    return fig


# --------------------------------------------------------------------------- 5: perturbed copies


def prepare_twins(results: Results, choice: Choice = EVERYTHING) -> dict[str, pd.DataFrame]:
    """Prepare the distance of perturbed copies over time by level, and how many times it has grown.

    They are the runs of the model of that name in ``histories``, or the baseline and another arm on the same draws.
    """
    column, chosen = levels(results, choice, len(LEVEL_STYLES))
    if set(TWIN_SERIES) <= set(results.study.series.of) and "growth" in results.definitions:
        found = {twin: results.series_values(twin)[:, 0] for twin in TWIN_SERIES}
        ticks, growth, differ = results.series_ticks, results.values("growth")[:, 0], "an early deposit"
    else:
        other = _second_arm(results, choice)
        found, differ = {"moved": _apart(results, other)}, results.arm_names[other].replace("_", " ")
        ticks, growth = np.arange(results.study.ticks), _growth(found["moved"])
    courses = [
        band(values[s], **{column: level, "twin": twin, "tick": ticks})
        for s, level in chosen.items()
        for twin, values in found.items()
    ]
    ends = [(level, r, v) for s, level in chosen.items() for r, v in enumerate(growth[s])]
    distance = pd.concat(courses, ignore_index=True)
    distance.attrs["differ"] = differ
    return {"distance": distance, "growth": pd.DataFrame(ends, columns=[column, "replicate", "growth"])}


def _second_arm(results: Results, choice: Choice) -> int:
    """Return the number of the arm whose runs are the baseline's perturbed copies."""
    study = results.study
    model = "or make it in Python of the model mpbf_abm.evidence.assessments.histories.twins"
    need("twins", "families" in study.series.tables, f"families: {FAMILIES} and an arm beside the baseline; {model}")
    others = [a for a in kind.arms(results, choice).values() if a > 0]
    need("twins", others, "an arm beside the baseline, [[policy]] or [[arm]]")
    need("twins", study.crn != "none", "draws that arms have in common: [study] crn = 'none'")
    return others[0]


def _apart(results: Results, arm: int) -> Float:
    """Return the distance of family shares between baseline and arm after each tick (scenarios, replicates, T)."""
    out = np.full((results.shape[0], results.shape[2], results.study.ticks), np.nan)
    for s in range(results.shape[0]):
        moved = family_records(results, s, arm)
        for r, records in family_records(results, s, 0).items():
            if r in moved and len(records) == len(moved[r]) == results.study.ticks:
                out[s, r] = damage(records, moved[r])
    return out


def _growth(apart: Float) -> Float:
    """Return how many times the last distance is the first one above 0 (scenarios, replicates); NaN without one."""
    first = np.take_along_axis(apart, (apart > 0).argmax(axis=2)[..., None], axis=2)[..., 0]
    return apart[..., -1] / np.where(first > 0, first, np.nan)


def draw_twins(frames: Frames) -> Figure:
    """Draw distances on a logarithmic axis, and the distribution of their growth."""
    fig, (left, right) = style.figure("double", 65, 1, 2, width_ratios=(1.6, 1))
    table, ends = frames["distance"], frames["growth"]
    column = str(table.columns[0])
    for (level, part), (color, line) in zip(pick(table, twin="moved").groupby(column), LEVEL_STYLES, strict=False):
        ribbon(
            left, part[part["median"] > 0], "tick", "median", color, linestyle=line, label=level_words(column, level)
        )
    same = table.loc[table["twin"] == "identical", "high"]
    left.legend(loc="best", title=f"identical copies: {float(same.max()):g} apart" if len(same) else None)
    style.letter(
        left,
        "a",
        f"copies that differ by {table.attrs['differ']}",
        yscale="log",
        xlabel="tick (months)",
        ylabel="distance of family shares\n(half of L1; median, 5–95 %)",
    )
    for y, ((_, part), (color, _)) in enumerate(zip(ends.groupby(column), LEVEL_STYLES, strict=False)):
        grown = part["growth"].to_numpy()
        strip(right, y, np.log10(grown[grown > 0]), color)
    right.axvline(0, color=GREY, linewidth=0.5)
    count = ends[column].nunique()
    right.set_yticks(range(count), [level_words(column, level) for level in sorted(ends[column].unique())])
    style.letter(
        right,
        "b",
        "growth; each point a pair",
        xlabel="log10 of last over first distance (–)",
        ylim=(count - 0.4, -0.6),
    )
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
            spread.append(mean((values - values.mean()) ** 2, "variance", **{column: level, "time": time}))
    shares, variance = pd.DataFrame(points, columns=[column, "replicate", "early", "final"]), pd.DataFrame(spread)
    return {"shares": shares, "variance": variance.assign(low=np.fmax(variance["low"], 0.0))}


def _leader(results: Results, s: int) -> tuple[Float, Float]:
    """Return the share that each baseline history's early leader holds then and at the end (replicates,)."""
    if {"early_share", "late_share"} <= results.definitions.keys():
        return results.values("early_share")[s, 0], results.values("late_share")[s, 0]
    need("early", "families" in results.study.series.tables, f"families: {FAMILIES}")
    out = np.full((2, results.replicates), np.nan)
    for r, records in family_records(results, s, 0).items():
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
    named = shares.assign(level=[level_words(column, level) for level in shares[column]])
    palette, markers = [color for _, color, _ in styles], [mark for _, _, mark in styles]
    look: dict[str, Any] = {"palette": palette, "markers": markers, "s": 9, "alpha": 0.7, "linewidth": 0}
    sns.scatterplot(named, x="early", y="final", hue="level", style="level", **look, ax=top)
    most = float(np.nanmax(shares[["early", "final"]].to_numpy())) * 1.05
    top.legend(loc="upper left")
    style.letter(
        top,
        "a",
        "the family that led early",
        xlim=(0, most),
        ylim=(0, most),
        xlabel=f"share at 1/{EARLY} of the run (–)",
        ylabel="share of the same family at the end (–)",
    )
    for i, (level, color, mark) in enumerate(styles):
        part = pick(variance, **{column: level})
        x = np.arange(2) + 0.12 * (i - 0.5)
        style.dots(bottom, x, part, "variance", color, mark)
    bottom.set_xticks([0, 1], ["early", "final"])
    style.letter(
        bottom,
        "b",
        "how far histories differ",
        ylabel="variance over\nhistories, 95 % (–)",
        xlim=(-0.5, 1.5),
        ylim=(0, None),
    )
    return fig


KINDS = (
    declare("flows", prepare_flows, draw_flows),
    declare("corpus", prepare_corpus, draw_corpus),
    declare("fan", prepare_fan, draw_fan),
    declare("twins", prepare_twins, draw_twins),
    declare("early", prepare_early, draw_early),
)
