"""Figure of campaigns on a pool: how fast each rule discovers the top set, and what that gains on random choice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from mpbf_abm.figures import style
from mpbf_abm.figures.style import GREY, pick
from mpbf_abm.measures.acceleration import curve_table
from mpbf_abm.model.campaign import Campaign
from mpbf_abm.model.materials import MaterialsSpace

TITLE = "Campaigns on a pool"
# A rule has its colour and its line whatever it is compared with.
LINES = {"greedy": (style.BLUE, "-"), "ucb": (style.VERMILION, "--"), "ei": (style.GREEN, "-.")}
LINES |= {"thompson": (style.PURPLE, ":"), "maxvar": ("#E69F00", "-"), "ranking": ("#56B4E9", "--")}
LINES |= {"random": (style.INK, ":"), "integrated_variance": ("#999999", "-")}


def prepare(space: MaterialsSpace, campaigns: Sequence[Campaign]) -> dict[str, pd.DataFrame]:
    """Prepare curves along experiments, and AF along shares of the top set."""
    curves = curve_table(space, campaigns)
    # At each share that the mean recall reaches for the first time, AF is what EF is there.
    first = curves[curves["recall"] > 0].drop_duplicates(["rule", "recall"])
    return {"curves": curves, "factors": first[["rule", "recall", "ef"]].rename(columns={"ef": "af"})}


def alt_text(frames: dict[str, pd.DataFrame]) -> str:
    """Return in words what the figure shows."""
    last = frames["curves"].groupby("rule", sort=False).tail(1)
    ends = ", ".join(f"{r.rule} {r.recall:.2f}" for r in last.itertuples())
    n, chance = int(last["experiments"].max()), float(last["recall_by_chance"].max())
    return (
        "Left: mean share of the top set found against experiments, with the range of 10 to 90 % of seeds, and the "
        f"line of random choice; after {n} experiments {ends}, random choice {chance:.2f}. Middle: acceleration factor "
        "against the share found. Right: enhancement factor against experiments; 1 is random choice."
    )


def draw(frames: dict[str, pd.DataFrame]) -> Figure:
    """Draw the figure; call it inside :func:`style.styled`."""
    curves, factors = frames["curves"], frames["factors"]
    fig, (left, middle, right) = style.figure("double", 58, 1, 3, width_ratios=(1.4, 1, 1))
    for rule, part in curves.groupby("rule", sort=False):
        colour, line = LINES[str(rule)]
        left.fill_between(part["experiments"], part["recall_p10"], part["recall_p90"], color=colour, alpha=0.15, lw=0)
        left.plot(part["experiments"], part["recall"], line, color=colour, label=rule)
        right.plot(part["experiments"], part["ef"], line, color=colour)
        af = pick(factors, rule=rule)
        middle.plot(af["recall"], af["af"], line, color=colour)
    first = pick(curves, rule=curves["rule"].iloc[0])
    left.plot(first["experiments"], first["recall_by_chance"], color=GREY, lw=0.8, label="random choice (exact)")
    left.legend(loc="best", handlelength=2.2)
    for ax in (middle, right):
        ax.axhline(1, color=GREY, lw=0.8)
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter("{x:g}")
        ax.tick_params(axis="y", which="minor", labelsize=5)
    span, share = (0, float(first["experiments"].max())), "share of the top set found\n(mean, 10-90 % of seeds)"
    style.letter(left, "a", "found", xlabel="experiments", ylabel=share, xlim=span, ylim=(0, 1.02))
    factor = "acceleration factor AF"
    style.letter(middle, "b", "faster than chance", xlabel="share of the top set", ylabel=factor, xlim=(0, 1))
    factor = "enhancement factor EF"
    style.letter(right, "c", "more than chance", xlabel="experiments", ylabel=factor, xlim=span)
    return fig


def save(space: MaterialsSpace, campaigns: Sequence[Campaign], folder: Path) -> list[Path]:
    """Draw campaigns and write the figure as PNG and PDF."""
    frames = prepare(space, campaigns)
    return style.save_all(lambda: draw(frames), folder / "campaigns", title=TITLE, alt=alt_text(frames))
