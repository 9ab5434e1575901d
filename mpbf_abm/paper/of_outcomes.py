"""Figures of outcomes over parameters and policies: phase diagram, ridges, regret, indices, a box of scenarios."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mpbf_abm.figures import of_studies, style
from mpbf_abm.figures.style import BLUE, GREY, INK, MM, VERMILION
from mpbf_abm.paper.figure import Frames, PaperFigure, names
from mpbf_abm.parameters import Parameters
from mpbf_abm.stats.estimates import wilson
from mpbf_abm.studies.analyses import discover, phase, robustness, sensitivity
from mpbf_abm.theory.twin import Twin

if TYPE_CHECKING:
    from mpbf_abm.studies.results import Results

POINTS = 200  # of a density

# --------------------------------------------------------------------------- 3: phase diagram


def prepare_phase(results: Results) -> dict[str, pd.DataFrame]:
    """Share of histories that end locked in over reinforcement and exploration, and where theory draws the borders."""
    table = phase(results, ["locked"]).table
    runs = table.rename(columns={"curators.reinforcement": "gamma", "curators.exploration": "eps", "mean": "locked"})
    # An outcome of 0 and 1 is a share: its interval is that of a proportion.
    low, high = wilson(runs["locked"].to_numpy() * runs["runs"].to_numpy(), runs["runs"].to_numpy(np.float64))
    values, fixed = [], dict(results.study.fixed)
    for gamma in np.linspace(float(runs["gamma"].min()), float(runs["gamma"].max()), 41):
        p = Parameters.null(**fixed | {"curators.reinforcement": float(gamma), "planners.reinforcement": float(gamma)})
        limits = Twin.from_parameters(p).thresholds() if gamma > 1 else None
        values.append((gamma, limits.closed_form if limits else 0.0, limits.fold if limits else np.nan))
    return {
        "locked": runs[["gamma", "eps", "locked", "runs"]].assign(low=low, high=high),
        "theory": pd.DataFrame(values, columns=["gamma", "symmetric", "fold"]),
    }


def draw_phase(frames: Frames) -> Figure:
    """Draw the share, its half-way contour with those of its interval, and both borders of theory."""
    table, theory = frames["locked"], frames["theory"]
    fig = Figure(figsize=(style.WIDTHS["single"], 85 * MM))
    ax = fig.subplots()
    grid = {c: table.pivot(index="eps", columns="gamma", values=c) for c in ("locked", "low", "high")}
    x, y = grid["locked"].columns.to_numpy(float), grid["locked"].index.to_numpy(float)
    mesh = ax.pcolormesh(
        x, y, grid["locked"].to_numpy(), cmap="cividis", vmin=0, vmax=1, shading="nearest", rasterized=True
    )
    for name, line, width in (("locked", "-", 1.2), ("low", ":", 0.8), ("high", ":", 0.8)):
        values = grid[name].to_numpy()
        if values.min() < 0.5 < values.max():
            ax.contour(x, y, values, levels=[0.5], colors="white", linestyles=line, linewidths=width)
    ax.plot(
        theory["gamma"],
        theory["symmetric"],
        color=VERMILION,
        linestyle="--",
        label="1 - 1/γ: equal families fall apart below",
    )
    ax.plot(theory["gamma"], theory["fold"], color=VERMILION, linestyle="-.", label="fold: no lock-in above")
    ax.plot([], [], color="white", label="half of the histories (dotted: 95 %)", path_effects=_outline())
    ax.set(
        xlabel="reinforcement γ (–)", ylabel="exploration ε (share)", xlim=(x.min(), x.max()), ylim=(y.min(), y.max())
    )
    fig.colorbar(mesh, ax=ax, label="histories that end locked in (share)", shrink=0.8)
    fig.legend(loc="outside lower center", ncols=1)
    return fig


def _outline() -> list[object]:
    from matplotlib.patheffects import Normal, Stroke

    return [Stroke(linewidth=2.2, foreground=GREY), Normal()]


# --------------------------------------------------------------------------- 8: ridges


def prepare_ridges(results: Results) -> dict[str, pd.DataFrame]:
    """Densities and single runs of finds and breadth, by budget and policy."""
    from scipy.stats import gaussian_kde

    out = {}
    budget = results.scenarios["planners.experiments"].astype(float)
    for name in ("found_share", "families_d1"):
        values, rows = results.values(name), []
        span = np.linspace(float(np.nanmin(values)), float(np.nanmax(values)), POINTS)
        for s in range(len(budget)):
            for a, arm in enumerate(names(results)):
                known = values[s, a][np.isfinite(values[s, a])]
                rows += [("run", budget[s], arm, r, v, np.nan) for r, v in enumerate(known)]
                if np.ptp(known) > 0:
                    rows += [
                        ("density", budget[s], arm, -1, x, d)
                        for x, d in zip(span, gaussian_kde(known)(span), strict=True)
                    ]
        out[name] = pd.DataFrame(rows, columns=["what", "budget", "arm", "replicate", "value", "density"])
    return out


def draw_ridges(frames: Frames) -> Figure:
    """Draw a ridge for each budget and policy, the runs below it, and their median."""
    fig = Figure(figsize=(style.WIDTHS["double"], 95 * MM))
    labels = {"found_share": "found (share of the top 1 %)", "families_d1": "breadth (effective families)"}
    axes = fig.subplots(1, 2, sharey=True)
    for ax, (name, table), mark in zip(axes, frames.items(), "ab", strict=True):
        rows = list(dict.fromkeys(zip(table["budget"], table["arm"], strict=True)))
        arms = list(dict.fromkeys(table["arm"]))
        for y, (budget, arm) in enumerate(rows):
            part = table[(table["budget"] == budget) & (table["arm"] == arm)]
            color = (GREY, BLUE, VERMILION)[arms.index(arm) % 3]
            ridge, runs = part[part["what"] == "density"], part[part["what"] == "run"]
            if len(ridge):
                ax.fill_between(
                    ridge["value"],
                    y,
                    y - 0.85 * ridge["density"] / ridge["density"].max(),
                    color=color,
                    alpha=0.5,
                    linewidth=0.5,
                )
            ax.plot(runs["value"], np.full(len(runs), y + 0.06), "|", color=color, markersize=3, markeredgewidth=0.4)
            ax.plot([runs["value"].median()], [y - 0.02], "v", color=INK, markersize=2.5)
        ax.set_yticks(range(len(rows)), [f"{arm}, {budget:g}" for budget, arm in rows])
        ax.set(xlabel=labels[name], ylim=(len(rows) - 0.5, -1.0))
        style.letter(ax, mark, "")
    axes[0].set_ylabel("policy, experiments of a planner in a tick")
    return fig


# --------------------------------------------------------------------------- 9 to 11: studies under uncertainty


def prepare_regret(results: Results) -> dict[str, pd.DataFrame]:
    """Ranks by criterion and regret by scenario, of finds."""
    frames = of_studies.prepare_robustness(results, robustness(results, "found_share"))
    return {"criteria": frames["criteria"], "regret": frames["regret"]}


def prepare_indices(results: Results) -> dict[str, pd.DataFrame]:
    """First-order and total indices with their intervals, the dummy factor included."""
    return of_studies.prepare_sensitivity(results, sensitivity(results))


def prepare_box(results: Results) -> dict[str, pd.DataFrame]:
    """Conditions under which baseline communities become concentrated: the two fifths with the largest leading share."""
    mean = results.values("leading_share")[:, 0].mean(axis=1)
    return of_studies.prepare_discover(results, discover(results, "leading_share", above=float(np.quantile(mean, 0.6))))


FIGURES = (
    PaperFigure(
        "phase", "Phase diagram of the null community", "urns", "single", 95,
        "Share of histories of the null community (five equal families) in which one family holds more than two fifths of the records at the end, twice an equal share, over reinforcement γ and exploration ε. White: half of the histories, dotted its 95 % interval; "
        "red: the exploration below which equal families do not stay equal (dashed), and above which no locked-in state is left (dash-dotted), both without any fitting.",
        "Heat map of the share of histories that lock in over reinforcement and exploration, with the half-way contour and two curves of theory that border it.",
        prepare_phase, draw_phase, ("theory",),
    ),
    PaperFigure(
        "ridges", "Distributions of outcomes by policy and budget", "budgets", "double", 95,
        "Distributions over histories of finds (a) and breadth (b) in communities that follow the crowd, by policy and by the experiments that a planner can make in a tick: density, single runs (ticks) and their median (triangle).",
        "Ridges of the distributions of finds and of breadth for three policies and three budgets, with single runs and medians.",
        prepare_ridges, draw_ridges,
    ),
    PaperFigure(
        "regret", "Policies under uncertainty", "policies", "double", 90,
        "Rank of each policy by several criteria of robustness (a), and its regret in finds, what is lost against the best policy of a scenario, in every scenario (b), scenarios in the order of their largest regret.",
        "Table of ranks of policies by criterion, and a heat map of their regret over scenarios.",
        prepare_regret, of_studies.draw_robustness, ("criteria",),
    ),
    PaperFigure(
        "indices", "What explains the variance of outcomes", "indices", "double", 60,
        "Total and first-order Sobol indices of five parameters, free of the noise of replicates, with 95 % intervals; a factor that does nothing shows the floor of noise, and the share of the variance that is chance stands above.",
        "Bars of total and first-order Sobol indices with intervals for five parameters and a dummy factor, for finds and for breadth.",
        prepare_indices, of_studies.draw_sensitivity,
    ),
    PaperFigure(
        "box", "Which communities become concentrated", "policies", "double", 62,
        "Scenario discovery of the two fifths of communities that end most concentrated: coverage and density of boxes on the way to the chosen one, on the fitted and on the held-out half of the scenarios (a); limits of the chosen box in parts of each parameter's range (b); all scenarios in two of them (c).",
        "Three panels of scenario discovery: coverage against density, limits of the chosen box, and scenarios that end concentrated and others.",
        prepare_box, of_studies.draw_discover, ("limits", "trajectory"),
    ),
)  # fmt: skip
