"""Networks: what is left when nodes are taken away, influence, cascades, and what flows between the layers.

How nodes are taken is always said: a criterion by name (:data:`CRITERIA`) or an explicit order of
nodes. Directed graphs are taken as undirected; edges from a node to itself do not count.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from mpbf_abm.arrays import Float, Int
from mpbf_abm.errors import ConfigurationError, did_you_mean, refuse
from mpbf_abm.model.links import Network, from_graph, load

if TYPE_CHECKING:
    import networkx as nx


from numpy.typing import NDArray

from mpbf_abm.model.commons import EXPERIMENT, FAILED, ORIGINS
from mpbf_abm.model.world import World

CRITERIA = ("random", "degree", "degree-recalculated", "load", "load-recalculated")
Criterion = str | Sequence[Hashable]


def edge_list(graph: nx.Graph[Any]) -> tuple[list[Hashable], Int]:
    """Return the nodes of a graph, and its undirected edges as pairs of positions (m, 2), each pair once.

    Raises
    ------
    ConfigurationError
        If the graph has no node.
    """
    nodes: list[Hashable] = list(graph.nodes)
    refuse(not nodes, "the graph has no nodes")
    index = {node: i for i, node in enumerate(nodes)}
    pairs = np.array([(index[u], index[v]) for u, v in graph.edges()], np.int64).reshape(-1, 2)
    pairs = np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)
    if graph.is_directed() or graph.is_multigraph():
        pairs = np.unique(pairs, axis=0)
    return nodes, pairs


def giant_share(graph: nx.Graph[Any], removed: Iterable[Hashable] = ()) -> float:
    """Return the share of all nodes in the largest connected component left after a removal.

    Parameters
    ----------
    graph : networkx graph
    removed : iterable of nodes

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    ConfigurationError
        If the graph is empty, or a removed node is not in it.
    """
    from scipy import sparse
    from scipy.sparse.csgraph import connected_components

    nodes, pairs = edge_list(graph)
    works = np.ones(len(nodes), bool)
    works[_positions(nodes, removed)] = False
    if not works.any():
        return 0.0
    a, b = pairs[works[pairs].all(axis=1)].T
    matrix = sparse.coo_array((np.ones(len(a), np.int8), (a, b)), shape=(len(nodes), len(nodes)))
    labels = connected_components(matrix, directed=False)[1]
    return float(np.bincount(labels[works]).max() / len(nodes))


def _positions(nodes: list[Hashable], chosen: Iterable[Hashable]) -> Int:
    index = {node: i for i, node in enumerate(nodes)}
    chosen = list(chosen)
    for node in chosen:
        refuse(node not in index, f"node {node!r} is not in the graph")
    return np.array([index[node] for node in chosen], np.int64)


# --------------------------------------------------------------------------- orders of removal


def removal_order(graph: nx.Graph[Any], criterion: Criterion, rng: np.random.Generator | None = None) -> list[Hashable]:
    """Return all nodes in the order in which a criterion removes them.

    Parameters
    ----------
    graph : networkx graph
    criterion : str or sequence of nodes
        ``random``; ``degree`` or ``load`` (shortest paths through a node) in the whole graph, highest
        first; the same ``-recalculated`` in what is left after every removal; or an explicit order.
    rng : Generator, optional
        Breaks ties; without it they fall in the order of ``graph.nodes``. ``random`` needs it.

    Raises
    ------
    ConfigurationError
        For an unknown criterion, for ``random`` without a generator, and for an explicit order
        that does not hold every node once.
    """
    nodes, pairs = edge_list(graph)
    if not isinstance(criterion, str):
        order = list(criterion)
        _positions(nodes, order)
        refuse(
            len(order) != len(nodes) or len(set(order)) != len(nodes),
            f"an order of removal must hold each of the {len(nodes)} nodes once",
        )
        return order
    known = f"{did_you_mean(criterion, CRITERIA)} (criteria: {', '.join(CRITERIA)})"
    refuse(criterion not in CRITERIA, f"unknown criterion '{criterion}'{known}")
    refuse(criterion == "random" and rng is None, "random removal needs a generator (rng)")
    ties = np.arange(len(nodes)) if rng is None else rng.permutation(len(nodes))
    chosen: dict[str, Callable[[], Int]] = {
        "random": lambda: np.argsort(ties),
        "degree": lambda: np.lexsort((ties, -np.bincount(pairs.ravel(), minlength=len(nodes)))),
        "load": lambda: np.lexsort((ties, -_load(graph, nodes))),
        "degree-recalculated": lambda: _by_degree_left(pairs, ties),
        "load-recalculated": lambda: _by_load_left(graph, nodes, ties),
    }
    return [nodes[i] for i in chosen[criterion]()]


def _load(graph: nx.Graph[Any], nodes: Sequence[Hashable]) -> Float:
    """Return shortest paths through each node (N,) of an undirected graph."""
    import networkx as nx

    through = nx.betweenness_centrality(graph.to_undirected(as_view=True), normalized=False)
    # Sums of fractions of paths differ in their last digits between nodes that are alike.
    return np.round([through[v] for v in nodes], 9)


def _by_degree_left(pairs: Int, ties: Int) -> Int:
    neighbours: list[list[int]] = [[] for _ in ties]
    for a, b in pairs.tolist():
        neighbours[a].append(b)
        neighbours[b].append(a)
    left = [len(n) for n in neighbours]
    rank = ties.tolist()
    queue = [(-left[v], rank[v], v) for v in range(len(left))]
    heapq.heapify(queue)
    order = []
    while queue:
        degree, _, v = heapq.heappop(queue)
        # Entries with an outdated degree have been pushed again.
        if left[v] < 0 or -degree != left[v]:
            continue
        order.append(v)
        left[v] = -1
        for w in neighbours[v]:
            if left[w] >= 0:
                left[w] -= 1
                heapq.heappush(queue, (-left[w], rank[w], w))
    return np.array(order, np.int64)


def _by_load_left(graph: nx.Graph[Any], nodes: list[Hashable], ties: Int) -> Int:
    left = graph.to_undirected()
    position = {v: i for i, v in enumerate(nodes)}
    order = []
    while left.number_of_nodes():
        names = list(left.nodes)
        spots = np.array([position[v] for v in names])
        first = np.lexsort((ties[spots], -_load(left, names)))[0]
        order.append(spots[first])
        left.remove_node(names[first])
    return np.array(order, np.int64)


# --------------------------------------------------------------------------- curves and what follows


def _removals(graph: nx.Graph[Any], criterion: Criterion, rng: np.random.Generator | None) -> tuple[int, Int]:
    """Return the number of nodes, and the places of the ends of every edge in the order of removal (m, 2)."""
    order = removal_order(graph, criterion, rng)
    nodes, pairs = edge_list(graph)
    rank = np.empty(len(nodes), np.int64)
    rank[_positions(nodes, order)] = np.arange(len(nodes))
    return len(nodes), rank[pairs]


def removal_curve(graph: nx.Graph[Any], criterion: Criterion, rng: np.random.Generator | None = None) -> Float:
    """Return the giant component after the removal of the first 0, 1, ..., N nodes, as a share of all N nodes.

    Parameters
    ----------
    graph : networkx graph
    criterion, rng
        As in :func:`removal_order`.

    Returns
    -------
    float (N + 1,)
        Never rising, from at most 1 to 0.

    Notes
    -----
    Nodes come back in reverse order and join clusters (Newman and Ziff 2001): linear in the edges.
    """
    from scipy.cluster.hierarchy import DisjointSet

    n, ends = _removals(graph, criterion, rng)
    partners: list[list[int]] = [[] for _ in range(n)]
    for first, last in np.sort(ends, axis=1).tolist():
        partners[first].append(last)
    clusters, curve, largest = DisjointSet(range(n)), np.zeros(n + 1), 1
    for back in range(n - 1, -1, -1):
        for partner in partners[back]:
            if clusters.merge(back, partner):
                largest = max(largest, clusters.subset_size(back))
        curve[back] = largest
    return curve / n


def robustness(graph: nx.Graph[Any], criterion: Criterion, rng: np.random.Generator | None = None) -> float:
    """Return R = (1/N) sum over Q = 1..N of the giant share after Q removals (Schneider et al. 2011).

    Complete graph: (N - 1)/(2 N); star under attack by degree: (N - 1)/N^2.
    """
    curve = removal_curve(graph, criterion, rng)
    return float(curve[1:].sum() / (len(curve) - 1))


def branching(graph: nx.Graph[Any], largest_degree: float = np.inf) -> float:
    """Return the mean number of further neighbours behind an edge, <k(k-1)>/<k> (Molloy and Reed 1995).

    Parameters
    ----------
    graph : networkx graph
    largest_degree : float
        Only nodes up to this degree pass anything on, as the vulnerable ones of a threshold cascade.

    Returns
    -------
    float
        A random graph with these degrees has a giant cluster iff it exceeds 1; 0 without edges.
    """
    nodes, pairs = edge_list(graph)
    k = np.bincount(pairs.ravel(), minlength=len(nodes))
    return float((k * (k - 1))[k <= largest_degree].sum() / k.sum()) if len(pairs) else 0.0


def percolation_threshold(graph: nx.Graph[Any], criterion: Criterion, rng: np.random.Generator | None = None) -> float:
    """Return the share of nodes after whose removal no giant component is left (Molloy and Reed's condition).

    Parameters
    ----------
    graph : networkx graph
    criterion, rng
        As in :func:`removal_order`.

    Returns
    -------
    float
        First share of the N nodes at which <k(k-1)>/<k> among the nodes left is at most 1. Exact for
        large graphs that are random but for their degrees; elsewhere a local estimate.
    """
    n, ends = _removals(graph, criterion, rng)
    # The j-th edge that a node loses, of k, takes 2 (k - j) from its k (k - 1).
    death = np.tile(ends.min(axis=1), 2)
    end = ends.T.ravel()
    by_node = np.lexsort((death, end))
    end, death = end[by_node], death[by_node]
    degree = np.bincount(end, minlength=n)
    lost_before = np.arange(len(end)) - (np.cumsum(degree) - degree)[end]
    left = degree[end] - lost_before
    pairs_of_edges = (degree * (degree - 1)).sum() - np.cumsum(np.bincount(death, 2.0 * (left - 1), minlength=n))
    edges = len(end) - np.cumsum(np.bincount(death, minlength=n))
    if (degree * (degree - 1)).sum() <= degree.sum():
        return 0.0
    return float((np.argmax(pairs_of_edges <= edges) + 1) / n)


# --------------------------------------------------------------------------- influence

# Who matters: truck factor of shared tasks, Katz centrality, and the influence vector of an economy.


def truck_factor(holders: Mapping[Any, Iterable[Hashable]], lost: float = 0.5) -> int:
    """Return the fewest agents whose loss orphans more than a share of all tasks, found greedily (Avelino et al. 2016).

    Parameters
    ----------
    holders : mapping
        From each task (file, record, method) to the agents who can do it; a task may have none.
    lost : float
        Share of orphaned tasks that must be exceeded, 0 to below 1.

    Returns
    -------
    int
        Agents removed, most tasks first, until more than `lost` of the tasks have no holder.

    Raises
    ------
    ConfigurationError
        Without tasks, or if `lost` is out of range.
    """
    left = {task: set(agents) for task, agents in holders.items()}
    refuse(not left, "the truck factor needs at least one task")
    refuse(not 0 <= lost < 1, f"lost = {lost:g}: must be from 0 to below 1")
    tasks: dict[Hashable, set[Any]] = {}
    for task, agents in left.items():
        for agent in agents:
            tasks.setdefault(agent, set()).add(task)
    orphans = sum(not agents for agents in left.values())
    removed = 0
    while orphans <= lost * len(left):
        top = max(tasks, key=lambda agent: len(tasks[agent]))
        for task in tasks.pop(top):
            left[task].remove(top)
            orphans += not left[task]
        removed += 1
    return removed


def katz(graph: nx.Graph[Any], alpha: float) -> Float:
    """Return Katz centrality x = alpha A' x + 1, not normalised (Katz 1953).

    Parameters
    ----------
    graph : networkx graph
        A directed edge u -> v passes u's standing on to v; edges count 1.
    alpha : float
        Attenuation, from 0 to below 1 over the largest eigenvalue of A.

    Returns
    -------
    float (N,)
        In the order of ``graph.nodes``, each at least 1.

    Raises
    ------
    ConfigurationError
        If the sum over walks diverges at this attenuation.
    """
    import networkx as nx

    x = _walks(alpha * nx.to_scipy_sparse_array(graph, weight=None).toarray().T) if alpha >= 0 else None
    if x is None:
        raise ConfigurationError(f"alpha = {alpha:g}: must be 0 to below 1 over the largest eigenvalue of the graph")
    return x


def influence_vector(inputs: ArrayLike, labour: float) -> Float:
    """Return the influence of sectors on aggregate output, v = (a/n) [I - (1 - a) W']^-1 1 (Acemoglu et al. 2012).

    Parameters
    ----------
    inputs : float (n, n)
        W: share of sector j in the inputs of sector i; rows sum to 1.
    labour : float
        a, share of labour, above 0 to 1.

    Returns
    -------
    float (n,)
        Sums to 1.

    Raises
    ------
    ConfigurationError
        If W is not square, negative, has rows that do not sum to 1, or `labour` is out of range.
    """
    w = np.asarray(inputs, np.float64)
    refuse(
        w.ndim != 2 or w.shape[0] != w.shape[1] or np.any(w < 0) or not np.allclose(w.sum(axis=1), 1.0),
        "inputs: a square matrix of shares is needed, each row summing to 1",
    )
    refuse(not 0 < labour <= 1, f"labour = {labour:g}: must be above 0 to 1")
    n = len(w)
    return np.asarray(labour / n * np.linalg.solve(np.eye(n) - (1.0 - labour) * w.T, np.ones(n)))


def _walks(step: Float) -> Float | None:
    """Sum of all powers of a non-negative matrix times ones, None where it diverges."""
    try:
        x: Float = np.linalg.solve(np.eye(len(step)) - step, np.ones(len(step))).astype(np.float64)
    except np.linalg.LinAlgError:
        return None
    # A positive x with (I - B) x = 1 exists iff the spectral radius of B >= 0 is below 1.
    return x if np.all(x >= 1.0 - 1e-9) else None


# --------------------------------------------------------------------------- cascades

# How failures spread over a graph: cascades by the package's failure rules, tolerance, reach and damage.
#
# An edge u -> v of a directed graph says that v depends on u, as in :mod:`mpbf_abm.model.links`.


def cascade_size(network: Network, removed: Iterable[Hashable]) -> float:
    """Return the share of all nodes that do not work in the end, the removed ones included.

    Parameters
    ----------
    network : Network
        A graph with its failure rule (:func:`~mpbf_abm.model.links.from_graph`).
    removed : iterable of nodes
        Where it begins.

    Raises
    ------
    ConfigurationError
        If a removed node is not in the graph.
    """
    return 1.0 - float(network.fail(removed).mean())


def reach(graph: nx.DiGraph[Any]) -> Int:
    """Return the nodes that depend on a node directly or through others, itself included, for every node (N,).

    Raises
    ------
    ConfigurationError
        If the graph is not directed.
    """
    import networkx as nx

    refuse(not graph.is_directed(), "reach needs a directed graph: an edge u -> v says that v depends on u")
    return np.array([1 + len(nx.descendants(graph, v)) for v in graph], np.int64)


def critical_tolerance(
    graph: nx.Graph[Any],
    removed: Iterable[Hashable],
    *,
    by: Literal["paths", "neighbours"] = "paths",
    left: float = 1.0,
    precision: float = 1e-6,
) -> float:
    """Return the least tolerance alpha with which a network outlives the removal of some nodes, by bisection.

    Parameters
    ----------
    graph : networkx graph
    removed : iterable of nodes
    by : str
        What a load is; see :class:`~mpbf_abm.model.links.load`.
    left : float
        Share of the nodes not removed that must go on working, above 0 to 1; with 1 no other
        may fail. Below 1 survival need not be monotone in the tolerance: one crossing is found.
    precision : float
        Largest error, above 0.

    Returns
    -------
    float
        0 if no tolerance is needed. Always finite: a node that no shortest path passed has neighbours
        that are all joined, and none will pass it when others go.

    Raises
    ------
    ConfigurationError
        If a removed node is not in the graph, or `left` or `precision` is out of range.
    """
    refuse(not 0 < left <= 1, f"left = {left:g}: must be above 0 to 1")
    refuse(precision <= 0, f"precision = {precision:g}: must be above 0")
    gone = list(dict.fromkeys(removed))
    others = graph.number_of_nodes() - len(gone)

    def survives(alpha: float) -> bool:
        return bool(from_graph(graph, load(alpha, by)).fail(gone).sum() >= left * others - 1e-9)

    if survives(0.0):
        return 0.0
    low, high = 0.0, 1.0
    while not survives(high):
        low, high = high, 2 * high
    while high - low > precision:
        middle = (low + high) / 2
        low, high = (low, middle) if survives(middle) else (middle, high)
    return (low + high) / 2


# --------------------------------------------------------------------------- graphs to try this on


def growing_graph(
    nodes: int, providers: int, rng: np.random.Generator, *, founders: int | None = None
) -> nx.DiGraph[int]:
    """Return a graph that grows by uniform attachment: each newcomer depends on r distinct earlier nodes.

    Parameters
    ----------
    nodes : int
        Nodes 0, 1, ... in the order of birth.
    providers : int
        r, at least 1.
    rng : Generator
    founders : int, optional
        First nodes, which depend on none; from r to `nodes`, r by default.
    """
    import networkx as nx

    first = providers if founders is None else founders
    refuse(
        not 1 <= providers <= first <= nodes,
        f"founders = {first}: must be from providers = {providers} (1 or more) to {nodes}",
    )
    born = np.arange(first, nodes)
    links = np.empty((len(born), providers), np.int64)
    for place in range(providers):
        # Floyd's draw without replacement: what is taken already gives way to the newest in question.
        highest = born - providers + place
        drawn = np.floor(rng.random(len(born)) * (highest + 1)).astype(np.int64)
        taken = (links[:, :place] == drawn[:, None]).any(axis=1)
        links[:, place] = np.where(taken, highest, drawn)
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(range(nodes))
    graph.add_edges_from(
        (provider, user) for user, row in zip(born.tolist(), links.tolist(), strict=True) for provider in row
    )
    return graph


def dependent_layers(nodes: int, layers: int, degree: float, rng: np.random.Generator) -> nx.Graph[tuple[int, int]]:
    """Return Erdos-Renyi layers whose nodes depend on their namesakes, for rule `mutual`.

    Parameters
    ----------
    nodes : int
        Nodes of each layer; they are named (layer, number).
    layers : int
        At least 1; a node's partners are its namesakes in the layers beside its own.
    degree : float
        Mean degree within a layer.
    rng : Generator
    """
    import networkx as nx

    refuse(
        layers < 1 or not 0 <= degree <= nodes - 1,
        f"dependent layers: {layers} layers of mean degree {degree:g} on {nodes} nodes",
    )
    graph: nx.Graph[tuple[int, int]] = nx.Graph()
    for layer in range(layers):
        graph.add_nodes_from(((layer, i) for i in range(nodes)), layer=layer)
        one = nx.fast_gnp_random_graph(nodes, degree / (nodes - 1), seed=rng)
        graph.add_edges_from((((layer, a), (layer, b)) for a, b in one.edges), dependency=False)
    for layer in range(layers - 1):
        graph.add_edges_from((((layer, i), (layer + 1, i)) for i in range(nodes)), dependency=True)
    return graph


# --------------------------------------------------------------------------- flows

# What flows between curators, models and planners: counts of one tick, read off a community after it. The arrows of the
# layer diagram, measured: nothing is added to the model for their sake.

# Name: from, to, unit, what it counts.
FLOWS: dict[str, tuple[str, str, str, str]] = {
    "acquired": ("curators", "commons", "records", "records that curators entered, model-generated ones left out"),
    "generated": (
        "models",
        "commons",
        "records",
        "records that curators entered with a model's prediction for a label",
    ),
    "read": ("commons", "models", "records", "records in the training samples of models that were retrained"),
    "steered": ("models", "planners", "experiments", "experiments whose material a model chose"),
    "alone": ("planners", "experiments", "experiments", "experiments of the community without a model"),
    "published": ("experiments", "planners", "tests", "published tests, failures included"),
    "deposited": ("experiments", "commons", "records", "results that became records (the outer loop)"),
    "corrected": (
        "experiments",
        "models",
        "tests",
        "published tests that corrected the model that chose them (the inner loop)",
    ),
}


def tick_flows(world: World) -> dict[str, float]:
    """Return the flows of the tick that has just ended, by the names of :data:`FLOWS`.

    Parameters
    ----------
    world : World
        After a step: results and signals are of tick ``world.tick - 1``.
    """
    last, origin = world.tick - 1, world.commons.origin
    flows: dict[str, float] = dict.fromkeys(FLOWS, 0) | {
        "acquired": world.signals.acquisitions.sum() - world.signals.generated,
        "generated": world.signals.generated,
        "read": sum(m.records for m in world.registry.models if m is not None and m.trained == last),
        "deposited": np.count_nonzero((world.commons.tick == last) & ((origin == EXPERIMENT) | (origin == FAILED))),
    }
    if (r := world.results) is not None:
        steered = r.model >= 0
        flows |= {"steered": steered.sum(), "alone": (~steered).sum(), "published": r.published.sum()}
        if world.p.coupling.correction > 0:
            flows["corrected"] = float(np.count_nonzero(r.published & steered & ~np.isnan(r.observed)))
    return {name: float(count) for name, count in flows.items()}


def records_by_origin(world: World, regions: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return the records alive of each origin in each region of the families (origins, regions).

    Parameters
    ----------
    world : World
    regions : int (K,)
        Region of each family.
    count : int
        Regions.
    """
    commons = world.commons
    alive = commons.alive
    cell = commons.origin[alive].astype(np.int64) * count + regions[commons.family[alive]]
    return np.bincount(cell, minlength=len(ORIGINS) * count).reshape(len(ORIGINS), count)


def core_families(records: NDArray[np.int64], share: float = 0.5) -> NDArray[np.bool_]:
    """Return the largest families that together hold a share of the records (K,): the core of a corpus."""
    order = np.argsort(-records, kind="stable")
    held = np.cumsum(records[order])
    core = np.zeros(len(records), bool)
    if held[-1] > 0:
        core[order[: int(np.searchsorted(held, share * held[-1])) + 1]] = True
    return core


def added(flows: Mapping[str, float], more: Mapping[str, float]) -> dict[str, float]:
    """Sum of flows, name by name."""
    return {name: flows.get(name, 0.0) + value for name, value in more.items()}
