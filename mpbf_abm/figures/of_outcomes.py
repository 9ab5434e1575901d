"""Kinds of figures of outcomes over parameters and policies: phase diagram, ridges, regret, indices, a box of scenarios."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.figures import of_studies, style
from mpbf_abm.figures.kind import EVERYTHING, SHORT, Choice, Frames, Kind, arms, finite, label, levels
from mpbf_abm.figures.style import BLUE, GREY, INK, MM, VERMILION
from mpbf_abm.parameters import Parameters
from mpbf_abm.stats.estimates import wilson
from mpbf_abm.studies.analyses import discover, main_outcome, phase, robustness, sensitivity
from mpbf_abm.theory.twin import Twin

if TYPE_CHECKING:
    from mpbf_abm.studies.results import Results

POINTS = 200  # of a density
MOST_RIDGES = 24
INTEREST = 0.4  # of all scenarios, those with the largest values


def _outcome(results: Results, choice: Choice) -> str:
    """Return the outcome that is chosen, or the study's main one."""
    return main_outcome(results, next(iter(choice.outcomes), None))


# --------------------------------------------------------------------------- 3: phase diagram


def prepare_phase(results: Results, choice: Choice = EVERYTHING) -> dict[str, pd.DataFrame]:
    """Prepare an outcome over a grid of two parameters, and where theory draws the borders of lock-in in a null community."""
    events = (name for name, outcome in results.definitions.items() if outcome.event)
    name = next(iter(choice.outcomes), None) or next(events, _outcome(results, choice))
    table = phase(results, [name], arm=next(iter(choice.arms), "baseline")).table
    axes = [SHORT.get(str(c), str(c)) for c in table.columns[:2]]
    runs = table.set_axis([*axes, *table.columns[2:]], axis=1).rename(columns={"mean": name})
    # An outcome of 0 and 1 is a share: its interval is that of a proportion.
    share = bool(np.isin(finite(results.values(name)), (0.0, 1.0)).all())
    if share:
        low, high = wilson(runs[name].to_numpy() * runs["runs"].to_numpy(), runs["runs"].to_numpy(np.float64))
        runs = runs.assign(low=low, high=high)
    out = {name: runs[[*axes, name, "runs", "low", "high"]]}
    out[name].attrs["share"] = share
    if axes == ["gamma", "eps"] and share and _is_null(results):
        out["theory"] = _borders(dict(results.study.fixed), runs["gamma"])
    return out


def _is_null(results: Results) -> bool:
    """Return whether the community is a null one without planners, for which theory has borders."""
    study = results.study
    return study.own_model.endswith("histories:urn") or (
        not study.own_model and study.preset == "null" and study.fixed.get("planners.count") == 0
    )


def _borders(fixed: dict[str, object], gammas: pd.Series[float]) -> pd.DataFrame:
    """Return the exploration below which equal families fall apart, and above which no lock-in is left, by reinforcement."""
    values = []
    for gamma in np.linspace(float(gammas.min()), float(gammas.max()), 41):
        p = Parameters.null(**fixed | {"curators.reinforcement": float(gamma), "planners.reinforcement": float(gamma)})
        limits = Twin.from_parameters(p).thresholds() if gamma > 1 else None
        values.append((gamma, limits.closed_form if limits else 0.0, limits.fold if limits else np.nan))
    return pd.DataFrame(values, columns=["gamma", "symmetric", "fold"])


def draw_phase(frames: Frames) -> Figure:
    """Draw the outcome; of a share its half-way contour with those of its interval, and both borders of theory."""
    table = next(iter(frames.values()))
    columns, rows, name = map(str, table.columns[:3])
    share = bool(table.attrs["share"])
    fig = Figure(figsize=(style.WIDTHS["single"], 85 * MM))
    ax = fig.subplots()
    grid = {c: table.pivot(index=rows, columns=columns, values=c) for c in (name, "low", "high")}
    x, y = grid[name].columns.to_numpy(float), grid[name].index.to_numpy(float)
    mesh = ax.pcolormesh(
        x,
        y,
        grid[name].to_numpy(),
        cmap="cividis",
        shading="nearest",
        rasterized=True,
        vmin=0 if share else None,
        vmax=1 if share else None,
    )
    for column, line, width in ((name, "-", 1.2), ("low", ":", 0.8), ("high", ":", 0.8)) if share else ():
        values = grid[column].to_numpy()
        if values.min() < 0.5 < values.max():
            ax.contour(x, y, values, levels=[0.5], colors="white", linestyles=line, linewidths=width)
    if "theory" in frames:
        theory = frames["theory"]
        ax.plot(
            theory["gamma"], theory["symmetric"], color=VERMILION, linestyle="--", label="1 - 1/γ: equal families fall apart below"
        )  # fmt: skip
        ax.plot(theory["gamma"], theory["fold"], color=VERMILION, linestyle="-.", label="fold: no lock-in above")
    if share:
        ax.plot([], [], color="white", label="half of the histories (dotted: 95 %)", path_effects=_outline())
    ax.set(xlabel=label(columns), ylabel=label(rows), xlim=(x.min(), x.max()), ylim=(y.min(), y.max()))
    unlike = "" if label(name) != of_studies.words(name) else " (share of runs)" if share else " (mean)"
    fig.colorbar(mesh, ax=ax, label=label(name) + unlike, shrink=0.8)
    if share:
        fig.legend(loc="outside lower center", ncols=1)
    return fig


def _outline() -> list[object]:
    from matplotlib.patheffects import Normal, Stroke

    return [Stroke(linewidth=2.2, foreground=GREY), Normal()]


# --------------------------------------------------------------------------- 8: ridges


def prepare_ridges(results: Results, choice: Choice = EVERYTHING) -> dict[str, pd.DataFrame]:
    """Prepare densities and single runs of two outcomes, by level and arm."""
    from scipy.stats import gaussian_kde

    column, chosen = levels(results, choice, results.shape[0])
    shown, out = arms(results, choice), {}
    if (many := len(chosen) * len(shown)) > MOST_RIDGES:
        raise ConfigurationError(
            f"ridges: {len(chosen)} scenarios x {len(shown)} arms are {many} rows, more than {MOST_RIDGES}; choose some by --where and --arm"
        )
    for name in (choice.outcomes or tuple(results.definitions))[:2]:
        values, rows = results.values(name), []
        span = np.linspace(float(np.nanmin(values)), float(np.nanmax(values)), POINTS)
        for s, level in chosen.items():
            for arm, a in shown.items():
                known = finite(values[s, a])
                rows += [("run", level, arm, r, v, np.nan) for r, v in enumerate(known)]
                if len(known) and np.ptp(known) > 0:
                    rows += [
                        ("density", level, arm, -1, x, d) for x, d in zip(span, gaussian_kde(known)(span), strict=True)
                    ]
        out[name] = pd.DataFrame(rows, columns=["what", column, "arm", "replicate", "value", "density"])
    return out


def draw_ridges(frames: Frames) -> Figure:
    """Draw a ridge for each level and arm, the runs below it, and their median."""
    fig = Figure(figsize=(style.WIDTHS["double"], 95 * MM))
    axes = np.atleast_1d(fig.subplots(1, len(frames), sharey=True))
    column = str(next(iter(frames.values())).columns[1])
    several = next(iter(frames.values()))[column].nunique() > 1
    for ax, (name, table), mark in zip(axes, frames.items(), "ab", strict=False):
        rows = list(dict.fromkeys(zip(table[column], table["arm"], strict=True)))
        arms = list(dict.fromkeys(table["arm"]))
        for y, (level, arm) in enumerate(rows):
            part = table[(table[column] == level) & (table["arm"] == arm)]
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
        short = [f"{level:g}" if isinstance(level, (int, float)) else str(level) for level, _ in rows]
        ax.set_yticks(
            range(len(rows)), [f"{arm}, {at}" if several else arm for (_, arm), at in zip(rows, short, strict=True)]
        )
        ax.set(xlabel=label(name), ylim=(len(rows) - 0.5, -1.0))
        style.letter(ax, mark, "")
    axes[0].set_ylabel(f"policy, {label(column)}" if several else "policy")
    return fig


# --------------------------------------------------------------------------- 9 to 11: studies under uncertainty


def prepare_regret(results: Results, choice: Choice = EVERYTHING) -> dict[str, pd.DataFrame]:
    """Prepare ranks by criterion and regret by scenario."""
    judged = [name for name, outcome in results.definitions.items() if outcome.better != "none"]
    name = _outcome(results, choice if choice.outcomes else Choice(outcomes=tuple(judged[:1])))
    frames = of_studies.prepare_robustness(results, robustness(results, name))
    return {"criteria": frames["criteria"], "regret": frames["regret"]}


def prepare_indices(results: Results, choice: Choice = EVERYTHING) -> dict[str, pd.DataFrame]:
    """Prepare first-order and total indices with their intervals, the dummy factor included, or elementary effects."""
    return of_studies.prepare_sensitivity(results, sensitivity(results, choice.outcomes or None))


def prepare_box(results: Results, choice: Choice = EVERYTHING) -> dict[str, pd.DataFrame]:
    """Prepare the conditions of an event, or of the two fifths of baseline scenarios with the largest values of an outcome."""
    name = _outcome(results, choice)
    if results.outcome(name).event:
        return of_studies.prepare_discover(results, discover(results, name))
    mean = results.values(name)[:, 0].mean(axis=1)
    above = float(np.nanquantile(mean, 1 - INTEREST))
    return of_studies.prepare_discover(results, discover(results, name, above=above))


KINDS = (
    Kind(
        "phase", "Phase diagram", "[design] kind = \"grid\" over two parameters that are numbers; an outcome, best an event", "single", 95,
        "An outcome over a grid of two parameters. Of an event: the share of histories with it; white: half of the histories, dotted its 95 % interval. Red, in a null community: the exploration below which equal families do not stay equal "
        "(dashed), and above which no locked-in state is left (dash-dotted), both without any fitting.",
        "Heat map of an outcome over two parameters; of an event with the contour along which half of the histories have it.",
        prepare_phase, draw_phase, ("theory",),
    ),
    Kind(
        "ridges", "Distributions of outcomes", "outcomes; up to 24 scenarios times arms", "double", 95,
        "Distributions over histories of the first two outcomes, by arm and scenario: density, single runs (ticks) and their median (triangle).",
        "Ridges of the distributions of outcomes over histories for each arm and scenario, with single runs and medians.",
        prepare_ridges, draw_ridges,
    ),
    Kind(
        "regret", "Policies under uncertainty", "arms, and a design of several scenarios (lhs, sobol, grid, table)", "double", 90,
        "Rank of each policy by several criteria of robustness (a), and its regret, what is lost against the best policy of a scenario, in every scenario (b), scenarios in the order of their largest regret.",
        "Table of ranks of policies by criterion, and a heat map of their regret over scenarios.",
        prepare_regret, of_studies.draw_robustness, ("criteria",),
    ),
    Kind(
        "indices", "What explains the variance of outcomes", "[design] kind = \"saltelli\", or \"morris\"", "double", 60,
        "Sensitivity of outcomes to parameters with 95 % intervals: total and first-order Sobol indices, free of the noise of replicates, or elementary effects; a factor that does nothing shows the floor of noise.",
        "Bars of total and first-order Sobol indices, or sizes of elementary effects, with intervals for each parameter and outcome.",
        prepare_indices, of_studies.draw_sensitivity,
    ),
    Kind(
        "box", "Scenario discovery", "a sampled design (lhs, sobol, table, grid) of at least 20 scenarios", "double", 62,
        "Scenario discovery: coverage and density of boxes on the way to the chosen one, on the fitted and on the held-out half of the scenarios (a); limits of the chosen box in parts of each parameter's range (b); all scenarios in two of "
        "them (c).",
        "Three panels of scenario discovery: coverage against density, limits of the chosen box, and scenarios of interest and others.",
        prepare_box, of_studies.draw_discover, ("limits", "trajectory"),
    ),
)  # fmt: skip
