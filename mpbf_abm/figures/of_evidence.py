"""Figures of evidence: known results, the model beside its mean-field twin, and stylised facts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mpbf_abm.errors import refuse
from mpbf_abm.evidence.facts.recorded import USES
from mpbf_abm.evidence.facts.validation import Validation
from mpbf_abm.evidence.known.meanfield import community, passage, tiny, trajectory
from mpbf_abm.evidence.known.rows import SIGMAS, RowOutcome, seeds
from mpbf_abm.figures import style
from mpbf_abm.figures.style import BLUE, GREEN, GREY, INK, LIGHT, PURPLE, VERMILION, Frames, pick, unique
from mpbf_abm.parameters import Parameters
from mpbf_abm.provenance import DEFAULT_SEED
from mpbf_abm.theory.twin import Twin


def _save(draw: Callable[[], Figure], path: Path, title: str, alt: str) -> Path:
    """Draw a figure and write it once; the format follows the suffix."""
    return style.save_all(draw, path.with_suffix(""), title=title, alt=alt, suffixes=[path.suffix], dpi=200)[0]


# --------------------------------------------------------------------------- known results

GROUPS = {"U": ("urn limits", BLUE, "o"), "M": ("feedback", VERMILION, "s"), "F": ("infrastructure", GREEN, "^")}
GROUPS |= {"K": ("twin", PURPLE, "D"), "L": ("formulas", GREY, "v"), "W": ("whole model", INK, "P")}


def known_checks(outcomes: Sequence[RowOutcome]) -> pd.DataFrame:
    """Return one row per check of known results.

    Columns are row, group, check, expected, measured, error, tolerance, relation, passed and standardised.
    ``standardised`` is the difference beyond the tolerance in standard errors; 0 where nothing is random
    and the values agree, infinite where they do not. One-sided checks have none.
    """
    names = ("expected", "measured", "error", "tolerance", "relation", "passed")
    frame = pd.DataFrame(
        [
            {"row": o.id, "group": o.id[0], "check": c.name, **{n: getattr(c, n) for n in names}}
            for o in outcomes
            for c in o.checks
        ]
    )
    gap, error = frame["measured"] - frame["expected"], frame["error"].to_numpy(np.float64)
    beyond = np.where(np.isfinite(gap), np.sign(gap) * (gap.abs() - frame["tolerance"]).clip(lower=0.0), np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(error != 0, beyond / error, np.where(beyond == 0, 0.0, np.inf))
    return frame.assign(standardised=np.where(frame["relation"] == "=", z, np.nan))


def known_alt(checks: pd.DataFrame) -> str:
    """Return in words what the figure of known results shows."""
    z = checks["standardised"].replace([np.inf, -np.inf], np.nan).dropna()
    return (
        f"Left: {len(checks)} measured values against the expected ones on symmetric logarithmic axes, along "
        f"the diagonal. Right: standardised differences by row, largest {z.abs().max():.1f} standard errors, limit "
        f"{SIGMAS:g}; {int(checks['passed'].sum())} of {len(checks)} checks pass."
    )


def draw_known(checks: pd.DataFrame) -> Figure:
    """Draw expected against measured values, and standardised differences; call it inside :func:`style.styled`."""
    ids = unique(checks["row"])
    fig, (left, right) = style.figure("double", max(90.0, 2.6 * len(ids) + 22.0), 1, 2, width_ratios=(1, 1))
    two_sided = pick(checks, relation="=")
    groups = [(pick(two_sided, group=key), *how) for key, how in GROUPS.items() if (two_sided["group"] == key).any()]
    values = np.concatenate([two_sided["expected"], two_sided["measured"]])
    values = values[np.isfinite(values)]
    limit = 1.6 * float(np.abs(values).max(initial=1.0))
    left.plot([-limit, limit], [-limit, limit], color=LIGHT, lw=0.8, zorder=0)
    for part, label, colour, marker in groups:
        look: dict[str, Any] = {"color": colour, "label": label, "lw": 0.5, "ms": 2.8, "mew": 0.6, "mfc": "none"}
        left.errorbar(part["expected"], part["measured"], SIGMAS * part["error"], fmt=marker, **look)
    for scale in (left.set_xscale, left.set_yscale):
        scale("symlog", linthresh=0.01, linscale=0.4)
    low = 1.6 * min(0.0, float(values.min(initial=0.0))) - 0.003
    left.set_aspect("equal", adjustable="box", anchor="N")
    left.tick_params(axis="x", rotation=45)
    left.legend(loc="upper left", handlelength=1.2)
    ends: dict[str, Any] = {
        "xlim": (low, limit),
        "ylim": (low, limit),
        "ylabel": f"measured ± {SIGMAS:g} standard errors",
    }
    style.letter(left, "a", "every two-sided check", xlabel="expected", **ends)
    right.axvspan(-SIGMAS, SIGMAS, color=LIGHT, alpha=0.35, lw=0)
    right.axvline(0, color=GREY, lw=0.5)
    for part, _, colour, marker in groups:
        exact = part["error"] == 0
        right.plot(*_by_row(part[~exact], ids), marker, color=colour, ms=2.8, mew=0, alpha=0.85)
        right.plot(*_by_row(part[exact], ids), marker, color=colour, ms=2.8, mew=0.6, mfc="none")
    right.plot(*_by_row(two_sided[~two_sided["passed"]], ids), "x", color="black", ms=6)
    style.name_rows(right, ids)
    ends = {"xlim": (-SIGMAS - 2, SIGMAS + 2), "xlabel": "difference beyond the tolerance / standard error"}
    style.letter(right, "b", f"by row; shaded: accepted (± {SIGMAS:g}), hollow: nothing random", **ends)
    return fig


def _by_row(checks: pd.DataFrame, ids: Sequence[str]) -> tuple[pd.Series[float], pd.Series[int]]:
    """Return standardised differences, cut at the edge, and the places of their rows."""
    return checks["standardised"].clip(-SIGMAS - 1.5, SIGMAS + 1.5), checks["row"].map(ids.index)


def save_known(outcomes: Sequence[RowOutcome], path: Path) -> Path:
    """Draw the outcomes of known results and write the figure; the format follows the suffix."""
    checks = known_checks(outcomes)
    return _save(partial(draw_known, checks), path, "Known results: expected against measured", known_alt(checks))


# --------------------------------------------------------------------------- stylised facts

LOOKS = dict(zip(USES, ((BLUE, "o"), (VERMILION, "s"), (GREEN, "D")), strict=True))
EDGE = 3.2  # half ranges, beyond which a value is drawn at the edge


def facts_alt(v: Validation) -> str:
    """Return in words what the figure of facts shows."""
    return (
        f"One line for each of {len(v.table)} numbers of {len(v.facts)} facts, scaled so that the range of real values "
        "is a bar from -1 to 1; real values as ticks, simulated means with 95 % intervals as coloured points. "
        f"{int(v.table['inside'].sum())} numbers lie inside, {v.count} facts with all of theirs."
    )


def draw_facts(v: Validation) -> Figure:
    """Draw real ranges and the model's values, a line per component; call it inside :func:`style.styled`."""
    t, use = v.table, {fact.number: fact.use for fact in v.facts}
    middle, half = (t["low"] + t["high"]) / 2, (t["high"] - t["low"]) / 2
    names = ("simulated", "simulated_low", "simulated_high", "recorded", "real")
    mean, low, high, recorded, real = (((t[name] - middle) / half).clip(-EDGE, EDGE) for name in names)
    fig, (ax,) = style.figure("double", 5.2 * len(t) + 20)
    rows, inside = np.arange(len(t)), t["inside"].to_numpy(bool)
    ax.barh(rows, 2, left=-1, height=0.62, color=LIGHT, lw=0, zorder=0)
    ax.vlines(recorded, rows - 0.31, rows + 0.31, color=INK, lw=0.9, label="real value, recorded")
    ax.plot(real, rows, "|", color=GREY, ms=4, mew=2.2, label="real value, from data")
    for kind, (color, mark) in LOOKS.items():
        at = (t["fact"].map(use) == kind).to_numpy()
        if at.any():
            ax.hlines(rows[at], low[at], high[at], color=color, lw=1.0)
            ax.plot(mean[at & inside], rows[at & inside], mark, color=color, ms=3.4, label=f"model, {kind}")
            ax.plot(mean[at & ~inside], rows[at & ~inside], mark, color=color, mfc="white", ms=3.4)
    style.name_rows(ax, [f"{f}  {n}" for f, n in zip(t["fact"], t["name"], strict=True)])
    distance = "distance from the middle of the real range, in half ranges; hollow: outside (at the edge: farther)"
    ax.set(xlim=(-EDGE - 0.15, EDGE + 0.15), xticks=(-3, -2, -1, 0, 1, 2, 3), xlabel=distance)
    style.below(ax, -0.06 - 1.1 / len(t), 0.35, ncols=5, handletextpad=0.3, columnspacing=1.0)
    return fig


def save_facts(v: Validation, path: Path) -> Path:
    """Draw the figure of facts and write it; the format follows the suffix."""
    return _save(partial(draw_facts, v), path, "Stylised facts: the model beside reality", facts_alt(v))


# --------------------------------------------------------------------------- the twin: numbers

COLORS = (BLUE, VERMILION, GREEN, PURPLE, GREY)
OTHERS = "#B0B0B0"  # families that lost
SHOWN = 12  # runs drawn one by one
BAND = 1.6449  # standard normal quantile of a 90 % band
BORDER = 0.5  # of the way to the locked-in share: equality counts as broken


def twin_frames(
    seed: int = DEFAULT_SEED,
    *,
    families: int = 3,
    gamma: float = 2.0,
    delta: float = 0.2,
    size: int = 40,
    ticks: int = 60,
    replicates: int = 40,
    sizes: Sequence[int] = (50, 100, 200, 400, 800),
    passages: int = 100,
) -> dict[str, pd.DataFrame]:
    """Run the model and its twin, above and below the threshold, and from equality.

    Parameters
    ----------
    seed : int
    families, gamma, delta : int, float, float
        K, reinforcement and obsolescence; exploration is set 35 % above and below the thresholds.
    size, ticks, replicates : int
        Curators and planners, and length and number of runs, of the upper panels and of panel c.
    sizes, passages : sequence of int, int
        Curators of the runs, and number of runs, whose time to break equality is taken.

    Returns
    -------
    dict of DataFrame
        ``shares``: side (above, below, equal), kind (map, ODE, run, band), replicate, tick, family, share, low,
        high. ``passages``: size, volume, median, low, high, expected. ``facts``: one row of numbers that labels quote.
    """
    nothing = "figure of the twin: without reinforcement above 1 and two families nothing locks in"
    refuse(families < 2 or gamma <= 1, nothing)
    volume = 2 * size / -math.expm1(-delta)
    uneven = np.arange(1.0, families + 1) / np.arange(1.0, families + 1).sum()
    equal = np.full(families, volume / families)
    limits = Twin.from_parameters(community(families, gamma, 0.0, delta, size, size, uneven)).thresholds()
    above, below = min(1.0, limits.fold * 1.35), limits.symmetric * 0.65
    sides = {"above": (above, volume * uneven), "below": (below, volume * uneven), "equal": (below, equal)}
    parts: list[pd.DataFrame] = []
    for side, (exploration, mass) in sides.items():
        p = community(families, gamma, exploration, delta, size, size, mass)
        parts += _twin_shares(side, p, ticks)
        for i, s in enumerate(seeds(seed, f"figure.twin.{side}", replicates)):
            states = np.array([x for _, x in zip(range(ticks + 1), trajectory(p, s), strict=False)])
            parts.append(_tidy(side, "run", i, states / states.sum(axis=1, keepdims=True)))
    times, rate, border = _passages(seed, families, delta, below, gamma, sizes, passages)
    facts: dict[str, float] = {"families": families, "gamma": gamma, "delta": delta, "volume": volume}
    facts |= {"replicates": replicates, "passages": passages, "eps_c": limits.symmetric, "eps_sn": limits.fold}
    facts |= {"above": above, "below": below, "growth": rate, "border": border}
    return {"shares": pd.concat(parts, ignore_index=True), "passages": times, "facts": pd.DataFrame([facts])}


def _twin_shares(side: str, p: Parameters, ticks: int) -> list[pd.DataFrame]:
    """Return shares of families by the twin's map and ODE, and the band of linear noise about the map."""
    twin = Twin.from_parameters(p, tiny(p.space.families))
    shares, ode = twin.map(ticks).shares, twin.ode(np.arange(ticks + 1.0)).shares
    noise = BAND * np.sqrt([np.diag(c) for c in twin.share_spread(ticks)]).ravel()
    band = _tidy(side, "band", 0, shares)
    band = band.assign(low=band["share"] - noise, high=band["share"] + noise)
    return [_tidy(side, "map", 0, shares), _tidy(side, "ODE", 0, ode), band]


def _tidy(side: str, kind: str, replicate: int, shares: np.ndarray) -> pd.DataFrame:
    ticks, families = shares.shape
    t, f = np.repeat(np.arange(ticks), families), np.tile(np.arange(families), ticks)
    columns = {"side": side, "kind": kind, "replicate": replicate, "tick": t, "family": f, "share": shares.ravel()}
    return pd.DataFrame(columns | {"low": np.nan, "high": np.nan})


def _passages(
    seed: int, families: int, delta: float, exploration: float, gamma: float, sizes: Sequence[int], runs: int
) -> tuple[pd.DataFrame, float, float]:
    """Return the times at which curators alone break equality, the growth per tick, and the border that they pass."""
    rows, rate, border = [], math.nan, math.nan
    for n in sizes:
        volume = n / -math.expm1(-delta)
        p = community(families, gamma, exploration, delta, n, 0, np.full(families, volume / families))
        twin = Twin.from_parameters(p, tiny(families))
        rate = math.log(twin.growth(twin.start))
        border = BORDER * (twin.locked_in(exploration) - 1 / families)
        horizon = math.ceil((math.log(volume) / 2 + 14) / rate)
        times = [passage(trajectory(p, s), border, horizon) for s in seeds(seed, f"figure.twin.{n}", runs)]
        low, median, high = np.quantile(times, [0.1, 0.5, 0.9])
        rows.append({"size": n, "volume": volume, "median": median, "low": low, "high": high, "mean": np.mean(times)})
    table = pd.DataFrame(rows)
    logs = np.log(table["volume"])
    # The slope is known; the height is what the border and the kind of noise make of it.
    table["expected"] = table["median"].mean() + (logs - logs.mean()) / (2 * rate)
    return table, rate, border


# --------------------------------------------------------------------------- the twin: drawing


def draw_twin(frames: Frames) -> Figure:
    """Draw shares above and below the threshold, and the twin's failure at equality with its time."""
    fig, axes = style.figure("double", 108, 2, 2)
    facts, shares = frames["facts"].iloc[0], frames["shares"]
    titles = {
        "above": f"no lock-in: ε = {facts['above']:.2f} above {facts['eps_sn']:.2f}",
        "below": f"lock-in: ε = {facts['below']:.2f} below {facts['eps_c']:.2f}",
        "equal": f"the same from equality, ε = {facts['below']:.2f}",
    }
    for ax, letter, (side, title) in zip(axes, "abc", titles.items(), strict=False):
        style.letter(ax, letter, title)
        _twin_panel(ax, pick(shares, side=side), winners=side == "equal")
    style.letter(axes[3], "d", f"time until equality is broken; λ = {facts['growth']:.3f} per tick")
    _times(axes[3], frames["passages"])
    return fig


def _twin_run(ax: Axes, run: pd.DataFrame, colors: dict[Any, str] | None) -> None:
    """Draw the shares of a run, in colours by family or, without any, by who has won."""
    winner = run.iloc[-1].idxmax()
    colors = colors or {f: BLUE if f == winner else OTHERS for f in run.columns}
    for f in sorted(run.columns):
        ax.plot(run.index, run[f], color=colors[f], linewidth=0.4, alpha=0.45, zorder=1)


def _twin_panel(ax: Axes, frame: pd.DataFrame, *, winners: bool) -> None:
    """Draw shares of families; from equality runs are coloured by who won, as families are alike."""
    single = frame[frame["kind"] != "band"]
    wide = single.pivot_table(index="tick", columns=["kind", "replicate", "family"], values="share")
    runs = wide["run"] if "run" in wide else pd.DataFrame(index=wide.index)
    families = sorted(frame["family"].unique())
    colors = {f: INK if winners else COLORS[f % len(COLORS)] for f in families}
    for replicate in unique(runs.columns.get_level_values(0))[:SHOWN]:
        _twin_run(ax, runs[replicate], None if winners else colors)
    bands = frame[(frame["kind"] == "band") & (not winners)]
    for f, part in bands.groupby("family"):
        low, high = part["low"].clip(0, 1), part["high"].clip(0, 1)
        ax.fill_between(part["tick"], low, high, color=colors[f], alpha=0.12, linewidth=0)
    dashed: dict[str, Any] = {"color": VERMILION if winners else INK, "linewidth": 0.7, "linestyle": (0, (2, 2))}
    for f in families:
        ax.plot(wide.index, wide["map", 0, f], color=colors[f], linewidth=1.3, zorder=3)
        ax.plot(wide.index, wide["ODE", 0, f], zorder=4, **dashed)
    _twin_legend(ax, winners, dashed)
    ax.set(xlim=(0, wide.index.max()), ylim=(0, 1), xlabel="time (ticks)", ylabel="share of records (–)")
    _below(ax, 4)


def _twin_legend(ax: Axes, winners: bool, dashed: dict[str, Any]) -> None:
    """Draw what the legend names, outside the data."""
    ax.plot([], [], color=BLUE, linewidth=0.5, alpha=0.6, label="runs, winner" if winners else "runs")
    if winners:
        ax.plot([], [], color=OTHERS, linewidth=0.8, label="runs, others")
    else:
        ax.fill_between([], [], [], color=BLUE, alpha=0.2, linewidth=0, label="90 %, linear noise")
    ax.plot([], [], color=INK if winners else BLUE, linewidth=1.3, label="twin, map")
    ax.plot([], [], label="twin, ODE", **dashed)


def _times(ax: Axes, frame: pd.DataFrame) -> None:
    volume, error = frame["volume"], np.stack([frame["median"] - frame["low"], frame["high"] - frame["median"]])
    ax.errorbar(volume, frame["median"], error, fmt="o", color=BLUE, elinewidth=0.7, label="runs: median, 10–90 %")
    ax.plot(volume, frame["expected"], color=INK, linewidth=1.0, label="slope ln N / 2λ")
    ax.plot([], [], " ", label="twin: never")
    ax.set_xscale("log")
    ax.minorticks_off()
    ax.set_xticks(volume, [f"{v:.0f}" for v in volume])
    ax.set(ylim=(0, None), xlabel="N, total records and mass (records)", ylabel="time (ticks)")
    _below(ax, 3)


def _below(ax: Axes, columns: int) -> None:
    style.below(ax, -0.24, borderaxespad=0, columnspacing=1.2, handlelength=1.8, ncols=columns)


def twin_alt(frames: Frames) -> str:
    """Describe the figure of the twin in words, with the numbers that matter."""
    facts, times = frames["facts"].iloc[0], frames["passages"]
    return (
        f"Four panels on {facts['families']:.0f} families, reinforcement {facts['gamma']:g}. Above the fold "
        f"(exploration {facts['above']:.2f}) shares of {facts['replicates']:.0f} runs end equal, below the threshold "
        f"({facts['below']:.2f}) one family takes most; both as the twin's map and ODE say. From equality the twin "
        f"never moves while every run locks in, after {times['median'].iloc[0]:.0f} ticks (median) at "
        f"{times['volume'].iloc[0]:.0f} records and {times['median'].iloc[-1]:.0f} at {times['volume'].iloc[-1]:.0f}: "
        "the slope is ln N over twice the growth rate."
    )


def save_twin(frames: Frames, folder: Path, suffixes: Sequence[str] = (".png", ".pdf")) -> list[Path]:
    """Write ``twin`` once for each suffix into a folder; equal frames give equal bytes."""
    title, alt = "The mean-field twin of mpbf_abm beside the model", twin_alt(frames)
    return style.save_all(lambda: draw_twin(frames), folder / "twin", title=title, alt=alt, suffixes=suffixes)
