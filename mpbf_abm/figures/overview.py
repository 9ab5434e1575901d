"""The overview figure: layers, families, discovery, infrastructure, learning and outcomes of a run or a what-if.

:func:`prepare` turns the tables of an ensemble into one tidy frame per panel; :func:`draw` only draws them. The page
draws its infrastructure and its flows by the same functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.patches import FancyArrowPatch

from mpbf_abm.figures import style
from mpbf_abm.figures.style import BLUE, GREEN, INK, MM, ROLES, VERMILION, Frames, pick, unique
from mpbf_abm.model.run import Run, families_frame, families_table
from mpbf_abm.studies.whatif import Ensemble

BASELINE, WHAT_IF = "baseline", "what-if"
SIZE = (style.WIDTHS["double"], 122 * MM)
LAYERS = {"boundary_shift": "boundary shift ΔB", "integrity": "integrity A", "integrity_perceived": "A as perceived"}
LAYERS |= {"tradeoff": "trade-off T", "steering": "steering S"}
OUTCOMES = {"found_share": "found\nshare (–)", "families_d1": "effective\nfamilies (–)"}
OUTCOMES |= {"rmse_niche": "niche\nerror (sd)"}
SHOWN_FAMILIES = 8
SHOWN_LABS = 60
COLUMNS = ("repository", "model", "lab")
PLURALS = {"repository": "repositories", "model": "models", "lab": "labs"}
SHARE_COLORS = (*style.PETROFF[:4], style.PETROFF[5], "#56B4E9", "#009E73", "#E69F00")


# --------------------------------------------------------------------------- numbers


def prepare(
    series: pd.DataFrame, families: pd.DataFrame, summary: pd.DataFrame, nodes: pd.DataFrame, edges: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """Return the frame that each panel draws.

    Parameters
    ----------
    series, families, summary : DataFrame
        Tables of an ensemble, with columns ``arm`` and ``replicate``.
    nodes, edges : DataFrame
        Infrastructure of one run: (kind, id, load, works) and (provider_kind, provider, user_kind, user).

    Returns
    -------
    dict of DataFrame
        ``layers``, ``learning``, ``discovery``, ``diversity``: arm, quantity, x, median, low, high (10-90 %
        of replicates). ``shares``: tick, family, share. ``nodes``, ``edges``: with places. ``outcomes``: arm,
        replicate, outcome, value. ``facts``: one row of numbers that titles quote.
    """
    shown = WHAT_IF if (summary["arm"] == WHAT_IF).any() else BASELINE
    placed = place(nodes, edges)
    replicates, ticks = int(summary["replicate"].nunique()), int(series["tick"].max()) + 1 if len(series) else 0
    facts = {"what_if": shown == WHAT_IF, "replicates": replicates, "shown": shown, "ticks": ticks}
    run = pick(series, arm=shown, replicate=series["replicate"].min())
    for kind, plural in PLURALS.items():
        first = run[f"{plural}_working"]
        # Before its first model no lab works; that is no failure.
        facts[f"least_{kind}"] = float(first[first.gt(0).cummax()].min()) if first.gt(0).any() else np.nan
    out = {"facts": pd.DataFrame([facts]), "nodes": placed, "edges": place_edges(placed, edges)}
    series_of = {"layers": list(LAYERS), "learning": ["rmse_dense", "rmse_niche"], "diversity": ["families_d1"]}
    out |= {panel: bands(series, quantities) for panel, quantities in series_of.items()}
    outcomes = summary.melt(["arm", "replicate"], list(OUTCOMES), "outcome", "value")
    shares = family_shares(pick(families, arm=shown))
    return out | {"shares": shares, "discovery": discovery(series), "outcomes": outcomes}


def bands(series: pd.DataFrame, quantities: Sequence[str], x: str = "tick") -> pd.DataFrame:
    """Return the median and 10-90 % range over replicates, by arm and tick."""
    parts = []
    for quantity in quantities:
        grouped = series.groupby(["arm", "tick"], sort=True)[quantity]
        part = grouped.quantile(0.5).rename("median").to_frame()
        part["low"], part["high"] = grouped.quantile(0.1), grouped.quantile(0.9)
        part["x"] = part.index.get_level_values("tick") if x == "tick" else series.groupby(["arm", "tick"])[x].mean()
        parts.append(part.reset_index().assign(quantity=quantity))
    table = pd.concat(parts, ignore_index=True)
    # A quantity that was never there goes; a gap stays, so that no line is drawn across it.
    known = table.groupby(["arm", "quantity"])["median"].transform("count") > 0
    return table.loc[known, ["arm", "quantity", "x", "median", "low", "high"]].reset_index(drop=True)


def discovery(series: pd.DataFrame) -> pd.DataFrame:
    """Return the found share against experiments done, from nothing found with none."""
    table = bands(series, ["found_share"], "experiments_done").dropna(subset=["median"])
    table = table[table["x"] > 0]
    origin = table.groupby("arm", as_index=False).first().assign(x=0.0, median=0.0, low=0.0, high=0.0)
    return pd.concat([origin, table], ignore_index=True).sort_values(["arm", "x"], kind="stable", ignore_index=True)


def family_shares(families: pd.DataFrame) -> pd.DataFrame:
    """Return shares of records over time of the families that end largest, and of all others, in the first run."""
    first = families[families["replicate"] == families["replicate"].min()]
    wide = first.pivot_table(index="tick", columns="family", values="share", aggfunc="first").fillna(0.0)
    names = first.drop_duplicates("family").set_index("family")["name"]
    last = wide.iloc[-1].sort_values(ascending=False, kind="stable") if len(wide) else pd.Series(dtype=float)
    top = list(last.index[:SHOWN_FAMILIES])
    out = wide[top].rename(columns=dict(names))
    rest = wide.drop(columns=top)
    if rest.shape[1]:
        out[f"{rest.shape[1]} others"] = rest.sum(axis=1)
    out.columns.name = "family"
    table: pd.DataFrame = out.stack().rename("share").reset_index()
    return table


def place(nodes: pd.DataFrame, edges: pd.DataFrame) -> pd.DataFrame:
    """Give every node a column by its kind and a height near its main provider; many labs are thinned out.

    Returns
    -------
    DataFrame
        kind, id, load, works, x (0, 1, 2), y (0 to 1).
    """
    main = edges.drop_duplicates(["user_kind", "user"]).set_index(["user_kind", "user"])["provider"]
    height: dict[tuple[str, int], float] = {}
    parts = []
    for x, kind in enumerate(COLUMNS):
        part = nodes[nodes["kind"] == kind]
        if kind == "lab" and len(part) > SHOWN_LABS:
            part = part.iloc[np.linspace(0, len(part) - 1, SHOWN_LABS).round().astype(int)]
        provider_kind = COLUMNS[x - 1]
        key = [height.get((provider_kind, int(main.get((kind, i), -1))), 2.0) if x else 0.0 for i in part["id"]]
        part = part.assign(x=x, key=key).sort_values(["key", "id"], kind="stable").drop(columns="key")
        part["y"] = 1.0 - (np.arange(len(part)) + 0.5) / max(1, len(part))
        # Heights count from the top, so that users follow the order of their providers.
        height |= {(kind, int(i)): 1.0 - y for i, y in zip(part["id"], part["y"], strict=True)}
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def place_edges(placed: pd.DataFrame, edges: pd.DataFrame) -> pd.DataFrame:
    """Give links the places of their ends; links of nodes that are not shown are left out."""
    table, at = edges, placed[["kind", "id", "x", "y", "works"]]
    for end, node in (("from", "provider"), ("to", "user")):
        table = table.merge(
            at.add_prefix(f"{end}_"), left_on=[f"{node}_kind", node], right_on=[f"{end}_kind", f"{end}_id"]
        )
    table = table.sort_values(["from_x", "provider", "user"], kind="stable", ignore_index=True)
    return table[["provider_kind", "provider", "user_kind", "user", "from_x", "from_y", "to_x", "to_y"]].assign(
        works=table["from_works"] & table["to_works"]
    )


# --------------------------------------------------------------------------- drawing


def draw(fig: Figure, frames: Frames) -> None:
    """Draw the six panels."""
    facts, grid = frames["facts"].iloc[0], fig.add_gridspec(2, 3)
    of, run = f", {facts['shown']}" * bool(facts["what_if"]), ", run 1" * bool(facts["replicates"] > 1)
    words = {"of": of, "run": run}
    for i, (name, title, panel, missing) in enumerate(PANELS[:-1] if facts["what_if"] else PANELS):
        ax = fig.add_subplot(grid[divmod(i, 3)])
        style.letter(ax, "abcdef"[i], title.format(**words))
        if missing and frames[name].empty:
            _empty(ax, missing)
        else:
            panel(ax, frames, facts)
    if facts["what_if"]:
        _outcomes(fig, grid[1, 2], frames["outcomes"])


def _arms(frame: pd.DataFrame) -> list[str]:
    return [arm for arm in (BASELINE, WHAT_IF) if (frame["arm"] == arm).any()]


def _dash(arm: str, facts: Any) -> Any:
    """Return solid for the arm that is asked about, dashed for what it is compared with."""
    return "-" if arm == facts["shown"] else (0, (3, 1.5))


def _empty(ax: Axes, text: str) -> None:
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=style.GREY)
    ax.set_xticks([])
    ax.set_yticks([])


def _lines(ax: Axes, frame: pd.DataFrame, color: str, linestyle: Any, label: str | None = None) -> None:
    style.ribbon(ax, frame, "x", "median", color, linestyle=linestyle, label=label, linewidth=1.0)


def _below(ax: Axes, **options: Any) -> None:
    style.below(ax, -0.2, borderaxespad=0, columnspacing=1.0, handlelength=1.8, **options)


def _layers(ax: Axes, frames: Frames, facts: Any) -> None:
    frame = frames["layers"]
    arms = _arms(frame)
    for quantity, label in LAYERS.items():
        for arm in arms:
            named = label if arm == facts["shown"] else None
            _layer(ax, pick(frame, arm=arm, quantity=quantity), quantity, named, _dash(arm, facts))
    ax.axhline(0, color=style.LIGHT, linewidth=0.5, zorder=0)
    ax.set(xlabel="time (ticks)", ylabel="layer quantities (–)")
    _below(ax, ncols=2)


def _layer(ax: Axes, part: pd.DataFrame, quantity: str, label: str | None, dash: Any) -> None:
    """Draw a quantity of an arm; perceived beside true: dots, and only where the question is asked."""
    color = ROLES[quantity.removesuffix("_perceived")]
    if part.empty:
        return
    if not quantity.endswith("_perceived"):
        _lines(ax, part, color, dash, label)
    elif label:
        ax.plot(part["x"], part["median"], color=color, label=label, linestyle=(0, (0.6, 1.2)), linewidth=1.4)


def _shares(ax: Axes, frames: Frames, _: Any) -> None:
    frame = frames["shares"]
    names = unique(frame["family"])
    wide = frame.pivot_table(index="tick", columns="family", values="share")[names]
    colors = [*SHARE_COLORS, style.LIGHT][: len(names)]
    labels = [n if len(n) <= 14 else n[:13] + "…" for n in names]
    ax.stackplot(wide.index, wide.to_numpy().T, colors=colors, labels=labels, edgecolor="white", linewidth=0.3)
    ax.set_xlim(wide.index.min(), max(wide.index.max(), wide.index.min() + 1))
    ax.set(ylim=(0, 1), xlabel="time (ticks)", ylabel="share of records (–)")
    _below(ax, ncols=3)


def _discovery(ax: Axes, frames: Frames, facts: Any) -> None:
    frame = frames["discovery"]
    for arm in _arms(frame):
        color, label = (ROLES[arm], arm) if facts["what_if"] else (ROLES[WHAT_IF], "runs")
        _lines(ax, pick(frame, arm=arm), color, _dash(arm, facts), label)
    ax.set(xlabel="experiments (number)", ylabel="found share of the top set (–)", xlim=(0, None), ylim=(0, None))
    if (n := int(facts["replicates"])) > 1:
        _below(ax, ncols=2, title=f"lines: median; bands: 10–90 % of {n} runs")


def _learning(ax: Axes, frames: Frames, facts: Any) -> None:
    frame = frames["learning"]
    for (quantity, arm), part in frame.groupby(["quantity", "arm"], sort=False):
        kind = str(quantity).removeprefix("rmse_")
        label = f"{kind} families" + f", {arm}" * bool(facts["what_if"])
        _lines(ax, part, ROLES[kind], _dash(str(arm), facts), label)
    ax.set(xlabel="time (ticks)", ylabel="root mean square error (sd)")
    _below(ax, ncols=2)


def _diversity(ax: Axes, frames: Frames, _: Any) -> None:
    _lines(ax, frames["diversity"], ROLES[WHAT_IF], "-")
    ax.set(ylim=(0, None), xlabel="time (ticks)", ylabel="effective families (families)")


def _outcomes(fig: Figure, place: SubplotSpec, frame: pd.DataFrame) -> None:
    """Draw one line per pair of runs from baseline to what-if; bars mark the medians."""
    cells = place.subgridspec(1, len(OUTCOMES))
    for i, (outcome, label) in enumerate(OUTCOMES.items()):
        ax = fig.add_subplot(cells[0, i])
        if i == 0:
            # Wider than its axes: a title would make the layout push the others aside.
            ax.set_title(" ")
            head = style.heading("f", "runs: baseline ● to what-if ◆")
            ax.annotate(head, (0, 1), (0, 6), "axes fraction", "offset points").set_in_layout(False)
        pairs = pick(frame, outcome=outcome).pivot_table(index="replicate", columns="arm", values="value")
        if pairs.empty or len(pairs.columns) < 2:
            _empty(ax, "none")
        else:
            left, right = pairs[BASELINE].to_numpy(), pairs[WHAT_IF].to_numpy()
            ax.plot([0, 1], np.stack([left, right]), color=style.LIGHT, linewidth=0.6, zorder=1)
            for x, values, arm, marker in ((0, left, BASELINE, "o"), (1, right, WHAT_IF, "D")):
                ax.plot(np.full(len(values), x), values, marker, color=ROLES[arm], markersize=2.5, zorder=2)
                ax.plot([x - 0.25, x + 0.25], [np.nanmedian(values)] * 2, color=INK, linewidth=1.2, zorder=3)
            ax.margins(y=0.12)
        ax.set(xticks=[], xlim=(-0.6, 1.6))
        ax.set_xlabel(label, fontsize=6)


def _infrastructure(ax: Axes, frames: Frames, facts: Any) -> None:
    nodes, edges = frames["nodes"], frames["edges"]
    draw_network(ax, nodes, edges)
    heads = []
    for kind in COLUMNS:
        least, there = facts[f"least_{kind}"], (nodes["kind"] == kind).any()
        fewest = f"\n{100 * least:.0f} %" if there and not np.isnan(least) else ""
        heads.append(f"{'' if there else 'no '}{PLURALS[kind]}{fewest}")
    note = "" if edges["works"].all() and nodes["works"].all() else "\n× not working at the end"
    ax.set_xticks(range(3), heads)
    ax.set_xlabel(f"least share that worked in the run (%){note}")


def draw_network(ax: Axes, nodes: pd.DataFrame, edges: pd.DataFrame) -> None:
    """Draw the dependency graph in three columns: repositories, models, labs.

    Parameters
    ----------
    ax : Axes
    nodes : DataFrame
        From :func:`place`; a column ``mark``, if there is one, rings the nodes where it is true.
    edges : DataFrame
        From :func:`place_edges`; a column ``new``, if there is one, colours the links where it is true.
    """
    _draw_links(ax, edges)
    for kind in COLUMNS:
        _draw_nodes(ax, pick(nodes, kind=kind), kind)
    ax.set(xlim=(-0.35, 2.35), ylim=(-0.02, 1.02), yticks=[])
    ax.tick_params(axis="x", length=0)
    ax.spines[["left", "bottom"]].set_visible(False)


def _draw_links(ax: Axes, edges: pd.DataFrame) -> None:
    fresh = edges["new"] if "new" in edges else pd.Series(False, edges.index)
    for new, works in ((False, True), (False, False), (True, True), (True, False)):
        part = edges[(edges["works"] == works) & (fresh == new)]
        ends = (part[[f"from_{axis}", f"to_{axis}"]].to_numpy().T for axis in "xy")
        color = ROLES["what-if"] if new else "#B0B0B0" if works else ROLES["model"]
        ax.plot(*ends, color=color, linewidth=0.8 if new else 0.4, linestyle="-" if works else ":", zorder=1)


def _draw_nodes(ax: Axes, nodes: pd.DataFrame, kind: str) -> None:
    # Area grows with the number of users of a node.
    load = nodes["load"].to_numpy(np.float64) * (kind != "lab")
    area = pd.Series(5.0 + 22.0 * load / max(1.0, load.max(initial=0.0)), nodes.index)
    up, down = nodes[nodes["works"].astype(bool)], nodes[~nodes["works"].astype(bool)]
    ax.scatter(up["x"], up["y"], s=area[up.index], color=ROLES[kind], linewidth=0, zorder=2)
    cross: dict[str, Any] = {"marker": "X", "color": INK, "edgecolor": "white", "linewidth": 0.4}
    ax.scatter(down["x"], down["y"], s=area[down.index] + 6, zorder=3, **cross)
    ringed = nodes[nodes["mark"].astype(bool)] if "mark" in nodes else nodes[:0]
    ring: dict[str, Any] = {"facecolor": "none", "edgecolor": INK, "linewidth": 0.9}
    ax.scatter(ringed["x"], ringed["y"], s=area[ringed.index] + 40, zorder=4, **ring)
    text: dict[str, Any] = {"textcoords": "offset points", "ha": "right", "va": "center", "fontsize": 6}
    for node in ringed.itertuples():
        ax.annotate(str(node.id), (node.x, node.y), (-7, 0), **text)


# --------------------------------------------------------------------------- the layer diagram

FLOW_COLORS = {"records": BLUE, "experiments": VERMILION, "tests": GREEN}
NODES = {"curators": (0.10, 0.84), "commons": (0.10, 0.22), "models": (0.50, 0.53), "planners": (0.90, 0.84)}
NODES |= {"experiments": (0.90, 0.22)}
# Each arrow: from, to, bend, and where its label stands.
ARROWS: dict[str, tuple[str, str, float, tuple[float, float]]] = {
    "acquired": ("curators", "commons", 0.0, (-0.02, 0.53)),
    "generated": ("models", "commons", 0.35, (0.24, 0.60)),
    "read": ("commons", "models", 0.25, (0.41, 0.22)),
    "steered": ("models", "planners", -0.2, (0.60, 0.80)),
    "alone": ("planners", "experiments", -0.3, (1.10, 0.53)),
    "published": ("experiments", "planners", -0.25, (0.735, 0.60)),
    "deposited": ("experiments", "commons", -0.18, (0.50, 0.035)),
    "corrected": ("experiments", "models", 0.2, (0.655, 0.335)),
}


def draw_diagram(ax: Axes, table: pd.DataFrame) -> None:
    """Draw boxes joined by arrows as wide as what flows.

    Parameters
    ----------
    ax : Axes
    table : DataFrame
        Indexed by flow: ``per_tick`` with its interval, ``low`` to ``high`` (NaN where there is none), and ``unit``.
    """
    ax.set(xlim=(-0.15, 1.22), ylim=(0.0, 0.95))
    ax.set_axis_off()
    for flow, (source, target, bend, at) in ARROWS.items():
        row = table.loc[flow]
        # Wider by the logarithm: records read in retrainings are a hundred times the experiments.
        width = 0.4 + 0.9 * float(np.log1p(row["per_tick"]))
        arrow: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 6 + width, "shrinkA": 17, "shrinkB": 17}
        arrow |= {"linewidth": width, "color": FLOW_COLORS[str(row["unit"])], "alpha": 0.75}
        ax.add_patch(FancyArrowPatch(NODES[source], NODES[target], connectionstyle=f"arc3,rad={bend}", **arrow))
        interval = "" if np.isnan(row["low"]) else f" ({row['low']:.3g}–{row['high']:.3g})"
        ax.text(*at, f"{flow}\n{row['per_tick']:.3g}{interval}", ha="center", va="center", fontsize=5.5, color=INK)
    box = {"boxstyle": "round,pad=0.45", "facecolor": "white", "edgecolor": INK, "linewidth": 0.6}
    for node, (x, y) in NODES.items():
        ax.text(x, y, node, ha="center", va="center", fontsize=7, bbox=box)


# --------------------------------------------------------------------------- the whole

# Each panel: what must be there, its title, what draws it, and what is said where nothing is there.
PANELS: tuple[tuple[str, str, Callable[[Axes, Frames, Any], None], str], ...] = (
    ("layers", "layers", _layers, "nothing recorded"),
    ("shares", "records by family{of}{run}", _shares, "nothing recorded"),
    ("discovery", "discovery", _discovery, "no experiments in this run"),
    ("nodes", "infrastructure at the end{run}", _infrastructure, ""),
    ("learning", "model error", _learning, "no models in this run"),
    ("diversity", "diversity of experiments", _diversity, "no experiments in this run"),
)


def alternative_text(frames: Frames) -> str:
    """Describe the figure in words, with the numbers that matter."""
    facts = frames["facts"].iloc[0]
    ends = frames["discovery"].groupby("arm")["median"].last()
    found = ", ".join(f"{arm if facts['what_if'] else ''} {share:.3f}".strip() for arm, share in ends.items()) or "none"
    kind = f"a what-if of {facts['replicates']} pairs" if facts["what_if"] else f"{facts['replicates']} run(s)"
    return (
        f"Six panels on {kind} over {facts['ticks']} ticks: layer quantities over time, shares of records by family, "
        f"found share against experiments (median at the end: {found}), the infrastructure graph, model error in "
        "dense and niche families, and the distribution of outcomes."
    )


def build(frames: Frames) -> Figure:
    """Return the figure; call inside :func:`mpbf_abm.figures.style.styled`."""
    fig = Figure(figsize=SIZE)
    draw(fig, frames)
    return fig


def prepare_ensemble(ensemble: Ensemble) -> dict[str, pd.DataFrame]:
    """Return the frames of a what-if, or of several runs; infrastructure is that of the first run of the last arm."""
    shown = ensemble.first(list(ensemble.plan.arms)[-1])
    return prepare(ensemble.series, ensemble.families, ensemble.summary, shown.nodes, shown.edges)


def of_ensemble(ensemble: Ensemble) -> Figure:
    """Draw a what-if."""
    return build(prepare_ensemble(ensemble))


def of_run(run: Run) -> Figure:
    """Draw one run."""
    tables = run.series, families_frame(families_table(run.community)), pd.DataFrame([run.summary])
    series, families, summary = (table.assign(arm=BASELINE, replicate=0) for table in tables)
    nodes, edges = run.community.world.infrastructure.tables()
    return build(prepare(series, families, summary, nodes, edges))


def save(frames: Frames, folder: Path) -> list[Path]:
    """Write ``overview.png`` and ``overview.pdf`` into a folder; equal frames give equal bytes."""
    return style.save_all(
        lambda: build(frames), folder / "overview", title="Overview of a run of mpbf_abm", alt=alternative_text(frames)
    )
