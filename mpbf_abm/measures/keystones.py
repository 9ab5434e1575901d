"""Keystones: the single nodes whose loss costs a community most, each lost for good in turn on the same random draws.

Costs are paired differences to the run without loss, positive where things get worse. A node of one seed need not be
like the node of that number in another: repositories differ in what they hold, models in who adopts them. Seeds are
therefore put together by role, the rank of a node among those that others depend on when the loss happens. They may
be put together by number, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from mpbf_abm.arrays import Float
from mpbf_abm.errors import ConfigurationError, did_you_mean, refuse, refuse_all
from mpbf_abm.measures.networks import _load, edge_list, katz, reach
from mpbf_abm.measures.path import damage, run_on
from mpbf_abm.model.community import Community, Snapshot
from mpbf_abm.model.interventions import Policy
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.run import OUTCOMES, begin, summarise
from mpbf_abm.model.shocks import NODES, Shock
from mpbf_abm.model.spec import RunSpec
from mpbf_abm.model.world import World
from mpbf_abm.parameters import Parameters
from mpbf_abm.stats.estimates import TAILS, mean_estimate
from mpbf_abm.stats.paired import simultaneous_intervals

if TYPE_CHECKING:
    import networkx as nx

Kind = Literal["repository", "model"]
By = Literal["role", "node"]
Better = Mapping[str, Literal["more", "less"]]

LOSS: dict[str, str] = {"repository": "repository_outage", "model": "model_withdrawal"}
BETTER: Better = {"found_share": "more", "unsteered_share": "less"}
STATIC = ("users", "size", "degree", "load", "katz", "reach")
ATTENUATION = 0.5  # of Katz centrality: who depends on a node through another counts half
RESAMPLES = 2_000


# --------------------------------------------------------------------------- simulation


def single_losses(
    parameters: Parameters,
    seeds: Sequence[int],
    ticks: int,
    *,
    start: int,
    kind: Kind = "repository",
    better: Better = BETTER,
    space: MaterialsSpace | None = None,
    policies: Sequence[Policy] = (),
) -> pd.DataFrame:
    """Lose each node of a kind in turn, for good, and compare with the run in which none is lost.

    Parameters
    ----------
    parameters : Parameters
    seeds : sequence of int
    ticks : int
        Horizon.
    start : int
        First tick without the node, before the horizon.
    kind : str
        ``repository`` or ``model``.
    better : mapping
        Outcomes of a run's summary, and whether ``more`` or ``less`` of each is better.
    space, policies
        As for :class:`~mpbf_abm.model.ecosystem.Ecosystem`, in all runs.

    Returns
    -------
    DataFrame
        One row per seed and node: ``seed``, ``node`` (its number), ``role`` (from 1, the most used), what
        :func:`standing` measures at `start`, and the cost in each outcome at the horizon. ``damage`` is the distance of
        the family shares of all records from those of the run without loss, to which chance adds. NaN where an outcome
        is not defined.

    Raises
    ------
    ConfigurationError
        For an unknown kind or outcome, no seeds, no nodes, or a `start` outside the run.
    """
    _check(parameters, seeds, ticks, start, kind, better)
    tables = []
    for seed in seeds:
        eco = begin(RunSpec(parameters, seed, ticks, tuple(policies), space=space), record=())
        losses = losses_from(run_on(eco, start).snapshot(), ticks, kind=kind, better=better)
        tables.append(losses.assign(seed=seed))
    table = pd.concat(tables, ignore_index=True)
    return table[["seed", *table.columns.drop("seed")]]


def losses_from(snapshot: Snapshot, ticks: int, *, kind: Kind = "repository", better: Better = BETTER) -> pd.DataFrame:
    """Lose each node of a kind in turn from a snapshot on, whose own policies and shocks stay in force.

    Parameters and columns as for :func:`single_losses`, without ``seed``.
    """
    start = snapshot.world.tick
    spared, shares = end_of(snapshot, ticks)
    rows = []
    for node, central in standing(snapshot.world, kind).iterrows():
        lost, moved = end_of(snapshot, ticks, Shock(name=LOSS[kind], start=start, target=int(str(node))))
        cost = {o: spared[o] - lost[o] if way == "more" else lost[o] - spared[o] for o, way in better.items()}
        rows.append({"node": node, **central, **cost, "damage": float(damage(shares, moved))})
    return pd.DataFrame(rows).astype({"role": np.int64})


def leaning(graph: nx.DiGraph[Any]) -> nx.DiGraph[Any]:
    """Return the dependency graph: the infrastructure without deposit edges, which carry no failure."""
    leans = graph.copy()
    leans.remove_edges_from([(u, v) for u, v, d in graph.edges(data=True) if d["relation"] != "provides"])
    return leans


def standing(world: World, kind: Kind) -> pd.DataFrame:
    """Measure how central each node of a kind is between two ticks, by static measures.

    Parameters
    ----------
    world : World
    kind : str
        ``repository`` or ``model``.

    Returns
    -------
    DataFrame
        Indexed by the node's number: ``users`` that depend on it directly (models, or labs of the community); ``size``,
        the records that a repository alone holds, or the labs whose first model it is; ``degree`` and ``load``
        (shortest paths through it) in the undirected graph of repositories, models and labs; ``katz``, one for itself,
        a half for each direct user, a quarter for each of theirs; ``reach``, itself and who depends on it directly or
        through others; ``role``, its rank by users, then size, then number.
    """
    nodes = world.infrastructure
    if kind == "repository":
        users = nodes.repository_load()
        size = world.commons.counts[: len(users)].sum(axis=1).astype(np.float64)
    else:
        users, size = nodes.model_load(), world.registry.adopters.astype(np.float64)
    graph = nodes.graph()
    leans = leaning(graph)
    everyone, edges = edge_list(graph)
    mine = [everyone.index((kind, i)) for i in range(len(users))]
    degree, load = np.bincount(edges.ravel(), minlength=len(everyone)), _load(graph, everyone)
    # Standing passes from users to whom they depend on.
    central = (degree.astype(np.float64), load, katz(leans.reverse(), ATTENUATION), reach(leans).astype(np.float64))
    table = pd.DataFrame(dict(zip(STATIC, (users, size, *(x[mine] for x in central)), strict=True)))
    order = np.lexsort((np.arange(len(users)), -size, -users))
    return table.assign(role=np.argsort(order) + 1)


def end_of(snapshot: Snapshot, ticks: int, *shocks: Shock) -> tuple[dict[str, float], Float]:
    """Return outcomes at the horizon with further shocks, and family masses with all records, seen or not (K,)."""
    eco = Community.restore(snapshot, shocks=(*snapshot.shocks, *shocks))
    run_on(eco, ticks - eco.tick)
    return summarise(eco), eco.world.commons.mass + eco.world.commons.records_by_family()


def _check(
    parameters: Parameters, seeds: Sequence[int], ticks: int, start: int, kind: str, better: Mapping[str, Any]
) -> None:
    refuse(kind not in LOSS, f"kind = {kind!r}: must be {' or '.join(repr(k) for k in LOSS)}")
    path, ways = NODES[LOSS[kind]], {o: way for o, way in better.items() if o in OUTCOMES}
    refuse_all(
        (not parameters.flat()[path], f"{path} = 0: there is no {kind} to lose"),
        (not len(seeds) or len(set(seeds)) < len(seeds), "seeds: one or more different ones are needed"),
        (not 0 <= start < ticks, f"start = {start}: must be from 0 to below the horizon of {ticks} ticks"),
        *((o not in OUTCOMES, f"unknown outcome '{o}'{did_you_mean(o, OUTCOMES)}") for o in better),
        *((w not in ("more", "less"), f"better: {o} = {w!r}: must be 'more' or 'less'") for o, w in ways.items()),
    )


# --------------------------------------------------------------------------- what it cost


def keystones(losses: pd.DataFrame, cost: str, *, by: By = "role", seed: int = 0) -> pd.DataFrame:
    """Rank nodes by what their loss costs on average.

    Parameters
    ----------
    losses : DataFrame
        From :func:`single_losses`.
    cost : str
        Column of it: an outcome, or damage.
    by : str
        What makes nodes of several seeds one: their ``role``, or ``node``, their number.
    seed : int
        Of the bootstrap.

    Returns
    -------
    DataFrame
        Costliest first: role or node; mean ``cost`` with ``low`` and ``high`` of 95 % intervals that hold for all nodes
        together (NaN for fewer than ten seeds that all agree); ``p10``, ``median``, ``p90`` over seeds, which do not
        hide that few seeds may bear the cost; ``rank`` (equal costs share theirs); ``costliest``, the share of
        resamples of the seeds in which it costs most (equals share it); ``seeds`` that know it.
    """
    from scipy.stats import rankdata

    costs = _pivot(losses, cost, by)
    x, nodes = costs.to_numpy(), costs.columns
    intervals = simultaneous_intervals(x, events=[False] * x.shape[1], seed=seed)
    means = _resampled_means(x, seed)
    top = np.nanmax(means, axis=1, keepdims=True)
    most = means >= top - 1e-12 * np.abs(top)
    costliest = (most / most.sum(axis=1, keepdims=True)).mean(axis=0)
    middle = np.nanquantile(x, (0.1, 0.5, 0.9), axis=0)
    rank = rankdata(-np.round(intervals.mean, 12))
    columns = (intervals.mean, intervals.low, intervals.high, *middle, rank, costliest, intervals.n)
    names = ("cost", "low", "high", "p10", "median", "p90", "rank", "costliest", "seeds")
    table = pd.DataFrame({by: nodes} | dict(zip(names, columns, strict=True)))
    return table.sort_values(["rank", by], ignore_index=True)


def static_ranking(losses: pd.DataFrame, cost: str) -> pd.DataFrame:
    """Measure how well static measures rank nodes by cost of loss: Spearman correlation over nodes.

    Parameters
    ----------
    losses, cost
        As for :func:`keystones`.

    Returns
    -------
    DataFrame
        One row per measure of :func:`standing`: ``measure``; ``rho`` of mean cost with the mean measure, with ``low``
        and ``high`` of its 95 % bootstrap interval over seeds; ``rho_within``, the mean over seeds of the correlation
        in each, with Student's interval (``low_within``, ``high_within``), which chance in single runs makes smaller;
        ``seeds`` of which it is the mean. NaN where all nodes are alike.
    """
    x = _pivot(losses, cost).to_numpy()
    rows = []
    for measure in STATIC:
        z = _pivot(losses, measure).to_numpy()
        rho = float(_spearman(np.nanmean(z, axis=0)[None], np.nanmean(x, axis=0)[None])[0])
        resampled = _spearman(_resampled_means(z), _resampled_means(x))
        resampled = resampled[np.isfinite(resampled)]
        known = len(x) > 1 and len(resampled) > 0
        low, high = np.quantile(resampled, TAILS) if known else (np.nan, np.nan)
        each = _spearman(z, x)
        each = each[np.isfinite(each)]
        mean = mean_estimate(each)
        low_within, high_within = np.clip((mean.low, mean.high), -1.0, 1.0)
        rows.append((measure, rho, low, high, mean.value, low_within, high_within, len(each)))
    columns = ["measure", "rho", "low", "high", "rho_within", "low_within", "high_within", "seeds"]
    return pd.DataFrame(rows, columns=columns)


def _pivot(losses: pd.DataFrame, column: str, by: str = "role") -> pd.DataFrame:
    """Return the values by seed and node, every node in every seed."""
    if column not in losses.columns:
        raise ConfigurationError(f"single losses have no column '{column}'{did_you_mean(column, list(losses.columns))}")
    refuse(by not in ("role", "node"), f"by = {by!r}: must be 'role' or 'node'")
    table = losses.pivot(index="seed", columns=by, values=column)
    refuse(table.isna().all(axis=0).any(), f"single losses: {column} is not known of every {by} in any seed")
    return table


def _resampled_means(x: Float, seed: int = 0) -> Float:
    """Return the means over resamples of the seeds (resamples, nodes), of known values."""
    draws = np.random.default_rng([seed, len(x)]).multinomial(len(x), np.full(len(x), 1.0 / len(x)), RESAMPLES)
    known = np.isfinite(x)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((draws @ np.where(known, x, 0.0)) / (draws @ known.astype(np.float64)))


def _spearman(x: Float, y: Float) -> Float:
    """Return Spearman's correlation of each row of two arrays (rows, nodes); NaN for constant or unknown rows."""
    from scipy.stats import rankdata

    a, b = (rankdata(np.round(v, 12), axis=1, nan_policy="propagate") for v in (x, y))
    a, b = (v - v.mean(axis=1, keepdims=True) for v in (a, b))
    size = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return np.asarray(np.divide((a * b).sum(axis=1), size, out=np.full(len(a), np.nan), where=size > 0))
