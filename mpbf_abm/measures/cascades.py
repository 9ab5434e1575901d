"""How failures spread over a graph: cascades by the package's failure rules, tolerance, reach and damage.

An edge u -> v of a directed graph says that v leans on u, as in :mod:`mpbf_abm.space.infrastructure`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.space.infrastructure import Network, any_of_r, fraction, from_graph, load, mutual

if TYPE_CHECKING:
    import networkx as nx

Int = NDArray[np.int64]


def cascade_size(network: Network, removed: Iterable[Hashable]) -> float:
    """Share of all nodes that do not work in the end, the removed ones included.

    Parameters
    ----------
    network : Network
        A graph with its failure rule (:func:`~mpbf_abm.space.infrastructure.from_graph`).
    removed : iterable of nodes
        Where it begins.

    Raises
    ------
    ConfigurationError
        If a removed node is not in the graph.
    """
    return 1.0 - float(network.fail(removed).mean())


def single_failure_damage(graph: nx.Graph[Any], rule: any_of_r | fraction | load | mutual) -> Int:
    """Nodes that stop working when one node fails, itself included, for every node (N,)."""
    network = from_graph(graph, rule)
    return np.array([len(network.nodes) - network.fail([v]).sum() for v in network.nodes], np.int64)


def reach(graph: nx.DiGraph[Any]) -> Int:
    """Nodes that lean on a node directly or through others, itself included, for every node (N,).

    Raises
    ------
    ConfigurationError
        If the graph is not directed.

    Notes
    -----
    Sets are bits of whole numbers, joined from the last users back over the condensation: N^2/8
    bytes at most.
    """
    import networkx as nx

    if not graph.is_directed():
        raise ConfigurationError("reach needs a directed graph: an edge u -> v says that v leans on u")
    position = {v: i for i, v in enumerate(graph.nodes)}
    strong = nx.condensation(graph)
    sets: dict[int, int] = {}
    out = np.zeros(len(position), np.int64)
    for part in reversed(list(nx.topological_sort(strong))):
        members = strong.nodes[part]["members"]
        joined = sum(1 << position[v] for v in members)
        for after in strong.successors(part):
            joined |= sets[after]
        sets[part] = joined
        out[[position[v] for v in members]] = joined.bit_count()
    return out


def critical_tolerance(
    graph: nx.Graph[Any],
    removed: Iterable[Hashable],
    *,
    by: Literal["paths", "neighbours"] = "paths",
    left: float = 1.0,
    precision: float = 1e-6,
) -> float:
    """Least tolerance alpha with which a network outlives the removal of some nodes, by bisection.

    Parameters
    ----------
    graph : networkx graph
    removed : iterable of nodes
    by : str
        What a load is; see :class:`~mpbf_abm.space.infrastructure.load`.
    left : float
        Share of the nodes not removed that must go on working, above 0 to 1; with 1 nobody else
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
    if not 0 < left <= 1:
        raise ConfigurationError(f"left = {left:g}: must be above 0 to 1")
    if precision <= 0:
        raise ConfigurationError(f"precision = {precision:g}: must be above 0")
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
    """Return a graph that grows by uniform attachment: each newcomer leans on r distinct earlier nodes.

    Parameters
    ----------
    nodes : int
        Nodes 0, 1, ... in the order of birth.
    providers : int
        r, at least 1.
    rng : Generator
    founders : int, optional
        First nodes, which lean on nobody; from r to `nodes`, r by default.
    """
    import networkx as nx

    first = providers if founders is None else founders
    if not 1 <= providers <= first <= nodes:
        raise ConfigurationError(f"founders = {first}: must be from providers = {providers} (1 or more) to {nodes}")
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

    if layers < 1 or not 0 <= degree <= nodes - 1:
        raise ConfigurationError(f"dependent layers: {layers} layers of mean degree {degree:g} on {nodes} nodes")
    graph: nx.Graph[tuple[int, int]] = nx.Graph()
    for layer in range(layers):
        graph.add_nodes_from(((layer, i) for i in range(nodes)), layer=layer)
        one = nx.fast_gnp_random_graph(nodes, degree / (nodes - 1), seed=rng)
        graph.add_edges_from((((layer, a), (layer, b)) for a, b in one.edges), dependency=False)
    for layer in range(layers - 1):
        graph.add_edges_from((((layer, i), (layer + 1, i)) for i in range(nodes)), dependency=True)
    return graph
