"""Kinds of figures of outcomes over parameters and policies: phase diagram, ridges, regret, indices, a box."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke
from scipy.stats import gaussian_kde

from mpbf_abm.arrays import Float
from mpbf_abm.errors import refuse
from mpbf_abm.figures import kind, of_studies, style
from mpbf_abm.figures.kind import EVERYTHING, SHORT, Choice, declare, finite, label, levels
from mpbf_abm.figures.style import BLUE, GREY, INK, VERMILION, Frames, pick, unique
from mpbf_abm.parameters import Parameters
from mpbf_abm.stats.estimates import wilson
from mpbf_abm.studies.analyses import discover, main_outcome, phase, robustness, sensitivity
from mpbf_abm.studies.results import Results
from mpbf_abm.theory.twin import Twin

POINTS = 200  # of a density
MOST_RIDGES = 24
INTEREST = 0.4  # of all scenarios, those with the largest values


def _outcome(results: Results, choice: Choice) -> str:
    """Return the outcome that is chosen, or the study's main one."""
    return main_outcome(results, next(iter(choice.outcomes), None))


# --------------------------------------------------------------------------- 3: phase diagram


def prepare_phase(results: Results, choice: Choice = EVERYTHING) -> dict[str, pd.DataFrame]:
    """Prepare an outcome over a grid of two parameters, and the borders of lock-in by theory in a null community."""
    events = [name for name, outcome in results.definitions.items() if outcome.event]
    name = next(iter([*choice.outcomes, *events]), None) or _outcome(results, choice)
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
    """Return, by reinforcement, the exploration below which equality breaks, and above which no lock-in is left."""
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
    fig, (ax,) = style.figure("single", 85)
    grid = {c: table.pivot(index=rows, columns=columns, values=c) for c in (name, "low", "high")}
    x, y = grid[name].columns.to_numpy(float), grid[name].index.to_numpy(float)
    limits = {"vmin": 0, "vmax": 1} if share else {}
    mesh = ax.pcolormesh(x, y, grid[name].to_numpy(), cmap="cividis", shading="nearest", rasterized=True, **limits)
    if share:
        _half_way(ax, x, y, [grid[c].to_numpy() for c in (name, "low", "high")])
    if "theory" in frames:
        theory, red = frames["theory"].set_index("gamma"), {"color": VERMILION}
        ax.plot(theory["symmetric"], linestyle="--", label="1 - 1/γ: equal families fall apart below", **red)
        ax.plot(theory["fold"], linestyle="-.", label="fold: no lock-in above", **red)
    if share:
        outline = [Stroke(linewidth=2.2, foreground=GREY), Normal()]
        ax.plot([], [], color="white", label="half of the histories (dotted: 95 %)", path_effects=outline)
        fig.legend(loc="outside lower center", ncols=1)
    ax.set(xlabel=label(columns), ylabel=label(rows), xlim=(x.min(), x.max()), ylim=(y.min(), y.max()))
    what = "share of runs" if share else "mean"
    # A label that differs from the name says what is shown.
    named = label(name) if label(name) != style.words(name) else f"{label(name)} ({what})"
    fig.colorbar(mesh, ax=ax, label=named, shrink=0.8)
    return fig


def _half_way(ax: Axes, x: Float, y: Float, shares: Sequence[Float]) -> None:
    """Draw the contours along which a share, and either end of its interval, is a half."""
    for values, line, width in zip(shares, "-::", (1.2, 0.8, 0.8), strict=True):
        if values.min() < 0.5 < values.max():
            ax.contour(x, y, values, levels=[0.5], colors="white", linestyles=line, linewidths=width)


# --------------------------------------------------------------------------- 8: ridges


def prepare_ridges(results: Results, choice: Choice = EVERYTHING) -> dict[str, pd.DataFrame]:
    """Prepare densities and single runs of two outcomes, by level and arm."""
    column, chosen = levels(results, choice, results.shape[0])
    shown, out = kind.arms(results, choice), {}
    many = len(chosen) * len(shown)
    rows = f"{len(chosen)} scenarios x {len(shown)} arms are {many} rows, more than {MOST_RIDGES}"
    refuse(many > MOST_RIDGES, f"ridges: {rows}; choose some by --where and --arm")
    for name in (choice.outcomes or tuple(results.definitions))[:2]:
        values = results.values(name)
        span = np.linspace(float(np.nanmin(values)), float(np.nanmax(values)), POINTS)
        places = [(s, level, arm, a) for s, level in chosen.items() for arm, a in shown.items()]
        parts = [
            _ridge(finite(values[s, a]), span).assign(**{column: level, "arm": arm}) for s, level, arm, a in places
        ]
        out[name] = pd.concat(parts, ignore_index=True)[["what", column, "arm", "replicate", "value", "density"]]
    return out


def _ridge(known: Float, span: Float) -> pd.DataFrame:
    """Return single runs, and their density along a span if they differ."""
    runs = pd.DataFrame({"what": "run", "replicate": range(len(known)), "value": known, "density": np.nan})
    if not len(known) or np.ptp(known) == 0:
        return runs
    return pd.concat(
        [runs, pd.DataFrame({"what": "density", "replicate": -1, "value": span, "density": gaussian_kde(known)(span)})]
    )


def draw_ridges(frames: Frames) -> Figure:
    """Draw a ridge for each level and arm, the runs below it, and their median."""
    fig, axes = style.figure("double", 95, 1, len(frames), sharey=True)
    column = str(next(iter(frames.values())).columns[1])
    several = next(iter(frames.values()))[column].nunique() > 1
    for ax, (name, table), mark in zip(axes, frames.items(), "ab", strict=False):
        colors = {arm: (GREY, BLUE, VERMILION)[i % 3] for i, arm in enumerate(unique(table["arm"]))}
        named = []
        for y, ((level, arm), part) in enumerate(table.groupby([column, "arm"], sort=False)):
            _draw_ridge(ax, y, part, colors[arm])
            at = f"{level:g}" if isinstance(level, (int, float)) else str(level)
            named.append(f"{arm}, {at}" if several else arm)
        ax.set_yticks(range(len(named)), named)
        style.letter(ax, mark, "", xlabel=label(name), ylim=(len(named) - 0.5, -1.0))
    axes[0].set_ylabel(f"policy, {label(column)}" if several else "policy")
    return fig


def _draw_ridge(ax: Axes, y: int, part: pd.DataFrame, color: str) -> None:
    ridge, runs = pick(part, what="density"), pick(part, what="run")
    top = y - 0.85 * ridge["density"] / ridge["density"].max()
    ax.fill_between(ridge["value"], y, top, color=color, alpha=0.5, linewidth=0.5)
    ax.plot(runs["value"], np.full(len(runs), y + 0.06), "|", color=color, markersize=3, markeredgewidth=0.4)
    ax.plot([runs["value"].median()], [y - 0.02], "v", color=INK, markersize=2.5)


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
    """Prepare the conditions of an event, or of the two fifths of baseline scenarios with the largest values."""
    name = _outcome(results, choice)
    if results.outcome(name).event:
        return of_studies.prepare_discover(results, discover(results, name))
    above = float(np.nanquantile(results.values(name)[:, 0].mean(axis=1), 1 - INTEREST))
    return of_studies.prepare_discover(results, discover(results, name, above=above))


KINDS = (
    declare("phase", prepare_phase, draw_phase, ("theory",)),
    declare("ridges", prepare_ridges, draw_ridges),
    declare("regret", prepare_regret, of_studies.draw_robustness, ("criteria",)),
    declare("indices", prepare_indices, of_studies.draw_sensitivity),
    declare("box", prepare_box, of_studies.draw_discover, ("limits", "trajectory")),
)
