"""What is left of a graph when nodes are taken away: giant component, removal curves, robustness, threshold.

How nodes are taken is always said: a criterion by name (:data:`CRITERIA`) or an explicit order of
nodes. Directed graphs are taken as undirected; edges from a node to itself do not count.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.errors import ConfigurationError, did_you_mean

if TYPE_CHECKING:
    import networkx as nx

Float = NDArray[np.float64]
Int = NDArray[np.int64]

CRITERIA = ("random", "degree", "degree-recalculated", "load", "load-recalculated")
Criterion = str | Sequence[Hashable]


def edge_list(graph: nx.Graph[Any]) -> tuple[list[Hashable], Int]:
    """Nodes of a graph, and its undirected edges as pairs of positions (m, 2), each pair once.

    Raises
    ------
    ConfigurationError
        If the graph has no node.
    """
    nodes: list[Hashable] = list(graph.nodes)
    if not nodes:
        raise ConfigurationError("the graph has no nodes")
    index = {node: i for i, node in enumerate(nodes)}
    pairs = np.array([(index[u], index[v]) for u, v in graph.edges()], np.int64).reshape(-1, 2)
    pairs = np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)
    if graph.is_directed() or graph.is_multigraph():
        pairs = np.unique(pairs, axis=0)
    return nodes, pairs


def giant_share(graph: nx.Graph[Any], removed: Iterable[Hashable] = ()) -> float:
    """Nodes of the largest connected component left after a removal, as a share of all nodes.

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
        if node not in index:
            raise ConfigurationError(f"node {node!r} is not in the graph")
    return np.array([index[node] for node in chosen], np.int64)


# --------------------------------------------------------------------------- orders of removal


def removal_order(graph: nx.Graph[Any], criterion: Criterion, rng: np.random.Generator | None = None) -> list[Hashable]:
    """All nodes in the order in which a criterion removes them.

    Parameters
    ----------
    graph : networkx graph
    criterion : str or sequence of nodes
        ``random``; ``degree`` or ``load`` (shortest paths through a node) in the whole graph, highest
        first; the same ``-recalculated`` in what is left after every removal; or an order of one's own.
    rng : Generator, optional
        Breaks ties; without it they fall in the order of ``graph.nodes``. ``random`` needs it.

    Raises
    ------
    ConfigurationError
        For an unknown criterion, for ``random`` without a generator, and for an order of one's own
        that does not hold every node once.
    """
    nodes, pairs = edge_list(graph)
    if not isinstance(criterion, str):
        order = list(criterion)
        _positions(nodes, order)
        if len(order) != len(nodes) or len(set(order)) != len(nodes):
            raise ConfigurationError(f"an order of removal must hold each of the {len(nodes)} nodes once")
        return order
    if criterion not in CRITERIA:
        raise ConfigurationError(
            f"unknown criterion '{criterion}'{did_you_mean(criterion, CRITERIA)} (criteria: {', '.join(CRITERIA)})"
        )
    if criterion == "random" and rng is None:
        raise ConfigurationError("random removal needs a generator (rng)")
    ties = np.arange(len(nodes)) if rng is None else rng.permutation(len(nodes))
    if criterion == "random":
        chosen = np.argsort(ties)
    elif criterion == "degree":
        chosen = np.lexsort((ties, -np.bincount(pairs.ravel(), minlength=len(nodes))))
    elif criterion == "load":
        chosen = np.lexsort((ties, -_load(graph, nodes)))
    elif criterion == "degree-recalculated":
        chosen = _by_degree_left(pairs, ties)
    else:
        chosen = _by_load_left(graph, nodes, ties)
    return [nodes[i] for i in chosen]


def _load(graph: nx.Graph[Any], nodes: Sequence[Hashable]) -> Float:
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


def removal_curve(graph: nx.Graph[Any], criterion: Criterion, rng: np.random.Generator | None = None) -> Float:
    """Giant component after the removal of the first 0, 1, ..., N nodes, as a share of all N nodes.

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
    order = removal_order(graph, criterion, rng)
    nodes, pairs = edge_list(graph)
    n = len(nodes)
    rank = np.empty(n, np.int64)
    rank[_positions(nodes, order)] = np.arange(n)
    ends = rank[pairs]
    death = ends.min(axis=1)
    falling = np.argsort(-death, kind="stable")
    partner, times = ends.max(axis=1)[falling].tolist(), death[falling].tolist()
    root, size = list(range(n)), [1] * n

    def find(v: int) -> int:
        while root[v] != v:
            root[v] = root[root[v]]
            v = root[v]
        return v

    curve = np.zeros(n + 1)
    largest, edge = 0, 0
    for back in range(n - 1, -1, -1):
        largest = max(largest, 1)
        while edge < len(times) and times[edge] == back:
            a, b = find(back), find(partner[edge])
            edge += 1
            if a != b:
                a, b = (a, b) if size[a] >= size[b] else (b, a)
                root[b] = a
                size[a] += size[b]
                largest = max(largest, size[a])
        curve[back] = largest
    return curve / n


def robustness(graph: nx.Graph[Any], criterion: Criterion, rng: np.random.Generator | None = None) -> float:
    """Robustness R = (1/N) sum over Q = 1..N of the giant share after Q removals (Schneider et al. 2011).

    Complete graph: (N - 1)/(2 N); star under attack by degree: (N - 1)/N^2.
    """
    curve = removal_curve(graph, criterion, rng)
    return float(curve[1:].sum() / (len(curve) - 1))


def branching(graph: nx.Graph[Any], largest_degree: float = np.inf) -> float:
    """Mean number of further neighbours behind an edge, <k(k-1)>/<k> (Molloy and Reed 1995).

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
    """Share of nodes after whose removal what is left has no giant component by Molloy and Reed's condition.

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
    order = removal_order(graph, criterion, rng)
    nodes, pairs = edge_list(graph)
    n = len(nodes)
    rank = np.empty(n, np.int64)
    rank[_positions(nodes, order)] = np.arange(n)
    # The j-th edge that a node loses, of k, takes 2 (k - j) from its k (k - 1).
    death = np.tile(rank[pairs].min(axis=1), 2)
    end = pairs.T.ravel()
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
