"""The twin beside the model it stands for: where it is right, and where it must be wrong.

:func:`prepare` runs both and returns one tidy frame per panel; :func:`draw` only draws them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.evidence.known.meanfield import community, passage, tiny, trajectory
from mpbf_abm.evidence.known.rows import seeds
from mpbf_abm.figures import style
from mpbf_abm.figures.style import MM
from mpbf_abm.parameters import Parameters
from mpbf_abm.theory.twin import Twin

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Frames = Mapping[str, pd.DataFrame]

SIZE = (style.WIDTHS["double"], 108 * MM)
COLORS = (style.BLUE, style.VERMILION, style.GREEN, style.PURPLE, style.GREY)
OTHERS = "#B0B0B0"  # families that lost
SHOWN = 12  # runs drawn one by one
BAND = 1.6449  # standard normal quantile of a 90 % band
BORDER = 0.5  # of the way to the locked-in share: equality counts as broken


# --------------------------------------------------------------------------- numbers


def prepare(
    seed: int = 1, *, families: int = 3, gamma: float = 2.0, delta: float = 0.2, size: int = 40, ticks: int = 60,
    replicates: int = 40, sizes: Sequence[int] = (50, 100, 200, 400, 800), passages: int = 100,
) -> dict[str, pd.DataFrame]:  # fmt: skip
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
    if families < 2 or gamma <= 1:
        raise ConfigurationError("figure of the twin: without reinforcement above 1 and two families nothing locks in")
    volume = 2 * size / -math.expm1(-delta)
    uneven = np.arange(1.0, families + 1) / np.arange(1.0, families + 1).sum()

    def parameters(exploration: float, curators: int, planners: int, mass: np.ndarray) -> Parameters:
        return community(families, gamma, exploration, delta, curators, planners, mass)

    limits = Twin.from_parameters(parameters(0.0, size, size, uneven)).thresholds()
    sides = {
        "above": (min(1.0, limits.fold * 1.35), volume * uneven),
        "below": (limits.symmetric * 0.65, volume * uneven),
        "equal": (limits.symmetric * 0.65, np.full(families, volume / families)),
    }
    parts = []
    for side, (exploration, mass) in sides.items():
        p = parameters(exploration, size, size, mass)
        twin = Twin.from_parameters(p, tiny(families))
        at = np.arange(ticks + 1.0)
        path = twin.map(ticks)
        sd = np.sqrt([np.diag(c) for c in twin.share_spread(ticks)])
        parts.append(_tidy(side, "map", 0, path.shares).assign(low=np.nan, high=np.nan))
        parts.append(_tidy(side, "ODE", 0, twin.ode(at).shares).assign(low=np.nan, high=np.nan))
        band = _tidy(side, "band", 0, path.shares)
        parts.append(band.assign(low=band["share"] - BAND * sd.ravel(), high=band["share"] + BAND * sd.ravel()))
        for i, s in enumerate(seeds(seed, f"figure.twin.{side}", replicates)):
            states = np.array([x for _, x in zip(range(ticks + 1), trajectory(p, s), strict=False)])
            run = _tidy(side, "run", i, states / states.sum(axis=1, keepdims=True))
            parts.append(run.assign(low=np.nan, high=np.nan))
    shares = pd.concat(parts, ignore_index=True)
    times, rate, border = _passages(seed, families, delta, sides["equal"][0], gamma, sizes, passages)
    facts = {
        "families": families, "gamma": gamma, "delta": delta, "volume": volume, "replicates": replicates, "passages": passages,
        "eps_c": limits.symmetric, "eps_sn": limits.fold, "above": sides["above"][0], "below": sides["below"][0],
        "growth": rate, "border": border,
    }  # fmt: skip
    return {"shares": shares, "passages": times, "facts": pd.DataFrame([facts])}


def _tidy(side: str, kind: str, replicate: int, shares: np.ndarray) -> pd.DataFrame:
    ticks, families = shares.shape
    return pd.DataFrame(
        {
            "side": side, "kind": kind, "replicate": replicate, "tick": np.repeat(np.arange(ticks), families),
            "family": np.tile(np.arange(families), ticks), "share": shares.ravel(),
        }
    )  # fmt: skip


def _passages(
    seed: int, families: int, delta: float, exploration: float, gamma: float, sizes: Sequence[int], runs: int
) -> tuple[pd.DataFrame, float, float]:
    """Times at which curators alone break equality, the growth per tick, and the border that they pass."""
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


# --------------------------------------------------------------------------- drawing


def draw(fig: Figure, frames: Frames) -> None:
    """Draw shares above and below the threshold, and the twin's failure at equality with its time."""
    facts = frames["facts"].iloc[0]
    axes = fig.subplots(2, 2)
    shares = frames["shares"]
    _shares(axes[0, 0], shares, "above", "a", f"no lock-in: ε = {facts['above']:.2f} above {facts['eps_sn']:.2f}")
    _shares(axes[0, 1], shares, "below", "b", f"lock-in: ε = {facts['below']:.2f} below {facts['eps_c']:.2f}")
    _shares(axes[1, 0], shares, "equal", "c", f"the same from equality, ε = {facts['below']:.2f}", winners=True)
    _times(axes[1, 1], frames["passages"], facts)


def _shares(ax: Axes, frame: pd.DataFrame, side: str, letter: str, title: str, *, winners: bool = False) -> None:
    """Draw shares of families; from equality runs are coloured by who won, as families are alike."""
    style.letter(ax, letter, title)
    frame = frame[frame["side"] == side]
    wide = frame[frame["kind"] != "band"].pivot_table(
        index="tick", columns=["kind", "replicate", "family"], values="share"
    )
    runs = wide["run"] if "run" in wide else pd.DataFrame(index=wide.index)
    families = sorted(frame["family"].unique())
    band = frame[frame["kind"] == "band"]
    dashes = style.VERMILION if winners else style.INK
    for replicate in list(dict.fromkeys(runs.columns.get_level_values(0)))[:SHOWN]:
        for f in families:
            color = COLORS[f % len(COLORS)]
            if winners:
                color = style.BLUE if runs[replicate].iloc[-1].idxmax() == f else OTHERS
            ax.plot(runs.index, runs[replicate, f], color=color, linewidth=0.4, alpha=0.45, zorder=1)
    for f in families:
        color = style.INK if winners else COLORS[f % len(COLORS)]
        if not winners:
            part = band[band["family"] == f]
            ax.fill_between(
                part["tick"], part["low"].clip(0, 1), part["high"].clip(0, 1), color=color, alpha=0.12, linewidth=0
            )
        ax.plot(wide.index, wide["map", 0, f], color=color, linewidth=1.3, zorder=3)
        ax.plot(wide.index, wide["ODE", 0, f], color=dashes, linewidth=0.7, linestyle=(0, (2, 2)), zorder=4)
    ax.plot([], [], color=style.BLUE, linewidth=0.5, alpha=0.6, label="runs, winner" if winners else "runs")
    if winners:
        ax.plot([], [], color=OTHERS, linewidth=0.8, label="runs, others")
    else:
        ax.fill_between([], [], [], color=style.BLUE, alpha=0.2, linewidth=0, label="90 %, linear noise")
    ax.plot([], [], color=style.INK if winners else style.BLUE, linewidth=1.3, label="twin, map")
    ax.plot([], [], color=dashes, linewidth=0.7, linestyle=(0, (2, 2)), label="twin, ODE")
    ax.set_ylim(0, 1)
    ax.set_xlim(wide.index.min(), wide.index.max())
    ax.set_xlabel("time (ticks)")
    ax.set_ylabel("share of records (–)")
    _below(ax, 4)


def _times(ax: Axes, frame: pd.DataFrame, facts: pd.Series) -> None:
    style.letter(ax, "d", f"time until equality is broken; λ = {facts['growth']:.3f} per tick")
    error = np.stack([frame["median"] - frame["low"], frame["high"] - frame["median"]])
    ax.errorbar(
        frame["volume"],
        frame["median"],
        error,
        fmt="o",
        color=style.BLUE,
        elinewidth=0.7,
        label="runs: median, 10–90 %",
    )
    ax.plot(frame["volume"], frame["expected"], color=style.INK, linewidth=1.0, label="slope ln N / 2λ")
    ax.plot([], [], " ", label="twin: never")
    ax.set_xscale("log")
    ax.minorticks_off()
    ax.set_xticks(frame["volume"], [f"{v:.0f}" for v in frame["volume"]])
    ax.set_ylim(bottom=0)
    ax.set_xlabel("N, total records and mass (records)")
    ax.set_ylabel("time (ticks)")
    _below(ax, 3)


def _below(ax: Axes, columns: int) -> None:
    """Put the legend below the axes, where it can hide nothing."""
    ax.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -0.24),
        borderaxespad=0,
        columnspacing=1.2,
        handlelength=1.8,
        ncols=columns,
    )


# --------------------------------------------------------------------------- the whole


def alternative_text(frames: Frames) -> str:
    """Describe the figure in words, with the numbers that matter."""
    facts, times = frames["facts"].iloc[0], frames["passages"]
    return (
        f"Four panels on {facts['families']:.0f} families, reinforcement {facts['gamma']:g}. Above the fold (exploration "
        f"{facts['above']:.2f}) shares of {facts['replicates']:.0f} runs end equal, below the threshold ({facts['below']:.2f}) "
        "one family takes most; both as the twin's map and ODE say. From equality the twin never moves while every run locks in, "
        f"after {times['median'].iloc[0]:.0f} ticks (median) at {times['volume'].iloc[0]:.0f} records and "
        f"{times['median'].iloc[-1]:.0f} at {times['volume'].iloc[-1]:.0f}: the slope is ln N over twice the growth rate."
    )


def build(frames: Frames) -> Figure:
    """Return the figure; call inside :func:`mpbf_abm.figures.style.styled`."""
    fig = Figure(figsize=SIZE)
    draw(fig, frames)
    return fig


def save(frames: Frames, folder: Path, suffixes: Sequence[str] = (".png", ".pdf")) -> list[Path]:
    """Write ``twin`` once for each suffix into a folder; equal frames give equal bytes."""
    title, alt = "The mean-field twin of mpbf_abm beside the model", alternative_text(frames)
    return style.save_all(lambda: build(frames), folder / "twin", title=title, alt=alt, suffixes=suffixes)
