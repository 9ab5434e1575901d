"""Removal of nodes: random, by degree, by load (rows F1, F2 and F6)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.evidence.known.mutations import mutation
from mpbf_abm.evidence.known.rows import Check, Knob, generator, mean_error, row, seeds
from mpbf_abm.measures import networks
from mpbf_abm.theory import percolation

Float = NDArray[np.float64]


NODES = Knob(10_000, "nodes of a graph", low=1_000, high=1_000_000, fast=2_000)
GRAPHS = Knob(60, "independent graphs", low=5, high=100_000, fast=20)


def random_graphs(seed: int, label: str, count: int, nodes: int, mean: float) -> Iterator[tuple[Any, Any]]:
    """Independent Erdos-Renyi graphs, each with a generator of its own."""
    for key in seeds(seed, label, count):
        rng = generator(key, label)
        yield nx.fast_gnp_random_graph(nodes, mean / (nodes - 1), seed=rng), rng


def counted(shares: Sequence[float] | Float, nodes: int) -> tuple[float, float]:
    """Mean of shares of nodes over graphs, and its standard error, at least that of one node in one graph."""
    mean, error = mean_error(shares)
    return mean, max(error, 1 / (nodes * len(shares)))


BIAS = "bias of O(1/N) extrapolated away from N and N/4"


def without_bias(large: Sequence[float], quarter: Sequence[float]) -> tuple[float, float]:
    """Limit of a mean that is O(1/N) off, from graphs of N and of N/4 nodes, and its standard error."""
    (a, a_error), (b, b_error) = mean_error(large), mean_error(quarter)
    return (4 * a - b) / 3, math.hypot(4 * a_error, b_error) / 3


CLEAR = 4.0  # scaling distance from the percolation threshold, abs(c - 1) N^(1/3)


def expected_giant(nodes: int, mean: float, name: str) -> tuple[float, float, str]:
    """Giant share of a random graph, what is allowed beside, and why; near the threshold neither is known."""
    if abs(mean - 1) * nodes ** (1 / 3) < CLEAR:
        raise ConfigurationError(
            f"{name} = {mean:.4g}: too near to the threshold 1 for {nodes} nodes "
            f"(at least {CLEAR / nodes ** (1 / 3):.2g} away)"
        )
    if mean > 1:
        return percolation.giant_share_er_finite(nodes, mean), 0.0, "mean at this size; its limit is 1 + W(-c e^-c)/c"
    # A node's component is no larger than a Poisson tree: P(size >= s) <= exp(-s (c - 1 - ln c)) / c.
    largest = math.log(1e6 * nodes / mean) / (mean - 1 - math.log(mean))
    return 0.0, largest / nodes, "no giant: components stay below O(ln N), but once in a million graphs"


@row(
    "F1",
    "random removal from a random graph",
    "Erdos and Renyi 1960; Cohen et al. 2000",
    c=Knob(4.0, "mean degree", low=0.05, high=20),
    f=Knob(0.3, "share of nodes removed", low=0, high=0.99),
    n=NODES,
    graphs=GRAPHS,
)
def random_removal(seed: int, c: float, f: float, n: int, graphs: int) -> list[Check]:
    """Giant component before and after random removal, and the threshold by Molloy and Reed on what is left."""
    gone = round(f * n)
    left = n - gone
    whole = expected_giant(n, c, "F1.c")
    rest = expected_giant(left, c * (left - 1) / (n - 1), "F1: c (1 - f)")
    before, after, threshold = [], [], []
    quarter = [
        networks.percolation_threshold(graph, "random", rng)
        for graph, rng in random_graphs(seed, "F1 quarter", graphs, n // 4, c)
    ]
    for graph, rng in random_graphs(seed, "F1", graphs, n, c):
        order = networks.removal_order(graph, "random", rng)
        before.append(networks.giant_share(graph))
        after.append(networks.removal_curve(graph, order)[gone])
        threshold.append(networks.percolation_threshold(graph, order))
    return [
        Check("giant share", whole[0], *counted(before, n), whole[1], note=whole[2]),
        Check(
            f"giant share after removing {gone / n:.4g}",
            left / n * rest[0],
            *counted(after, n),
            left / n * rest[1],
            note=rest[2],
        ),
        Check("threshold", max(0.0, 1 - 1 / c), *without_bias(threshold, quarter), 1 / n, note=f"1 - 1/c; {BIAS}"),
    ]


@row(
    "F2",
    "attack by degree",
    "Callaway et al. 2000",
    c=Knob(4.0, "mean degree", low=2.5, high=20),
    n=NODES,
    graphs=GRAPHS,
)
def attack(seed: int, c: float, n: int, graphs: int) -> list[Check]:
    """Static attack: threshold, and giant component half-way to it; recalculated attack needs fewer nodes."""
    p = percolation.binomial_degrees(n, c)
    critical = percolation.attack_threshold(percolation.binomial_degrees(10**9, c))
    quarter = [
        networks.percolation_threshold(graph, "degree", rng)
        for graph, rng in random_graphs(seed, "F2 quarter", graphs, n // 4, c)
    ]
    gone = round(critical / 2 * n)
    static, half, recalculated = [], [], []
    for graph, rng in random_graphs(seed, "F2", graphs, n, c):
        order = networks.removal_order(graph, "degree", rng)
        static.append(networks.percolation_threshold(graph, order))
        half.append(networks.removal_curve(graph, order)[gone])
        recalculated.append(networks.percolation_threshold(graph, "degree-recalculated", rng))
    fewer = np.subtract(static, recalculated)
    return [
        Check("threshold, degrees of the whole graph", critical, *without_bias(static, quarter), 1 / n, note=BIAS),
        Check(
            f"giant share after removing {gone / n:.4g}",
            percolation.giant_share(p, percolation.attacked(p, gone / n)),
            *counted(half, n),
        ),
        Check(
            "static less recalculated threshold",
            0.0,
            *mean_error(fewer),
            relation=">",
            note="same graphs: recalculated degrees find a quicker way",
        ),
    ]


@row(
    "F6",
    "robustness R",
    "Schneider et al. 2011",
    N=Knob(20, "nodes", low=4, high=2_000),
    orders=Knob(400, "random orders", low=10, high=1_000_000, fast=200),
)
def robustness(seed: int, N: int, orders: int) -> list[Check]:
    """R of graphs whose removal curve is known, by criterion."""
    star, cliques = nx.star_graph(N - 1), nx.barbell_graph(N, 1)
    rng = generator(seed, "F6")
    # The hub stands at place j of a random order: (N - Q)/N nodes stay joined while Q < j, one afterwards.
    q = np.arange(1, N)
    random_star = float(((N - q) * (N - q) / N + q / N).sum() / N**2)
    rounding = 1e-12
    return [
        Check("complete graph", (N - 1) / (2 * N), networks.robustness(nx.complete_graph(N), "degree"), 0, rounding),
        Check("star, by degree", (N - 1) / N**2, networks.robustness(star, "degree"), 0, rounding),
        Check("star, by load", (N - 1) / N**2, networks.robustness(star, "load-recalculated"), 0, rounding),
        Check(
            "star, at random",
            random_star,
            *mean_error([networks.robustness(star, "random", rng) for _ in range(orders)]),
        ),
        Check(
            "two cliques and a bridge, by load",
            N / (2 * N + 1),
            float(networks.removal_curve(cliques, "load")[1]),
            tolerance=rounding,
            note="giant share after one removal: the bridge goes first",
        ),
        Check(
            "two cliques and a bridge, by degree",
            (N + 1) / (2 * N + 1),
            float(networks.removal_curve(cliques, "degree")[1]),
            tolerance=rounding,
            note="a clique's link goes first",
        ),
    ]


# --------------------------------------------------------------------------- wrong rules

mutation(
    "giant share among nodes that have an edge",
    networks.giant_share,
    lambda right: (
        lambda graph, removed=(): right(graph, removed) * len(graph) / (len(graph) - nx.number_of_isolates(graph))
    ),
    "F1",
)
mutation(
    "removal curve as a share of the nodes left",
    networks.removal_curve,
    lambda right: lambda *a, **k: (c := right(*a, **k)) * (len(c) - 1) / np.maximum(len(c) - 1 - np.arange(len(c)), 1),
    "F1",
    "F2",
    "F6",
)
mutation(
    "recalculated degrees are those of the whole graph",
    networks._by_degree_left,
    lambda _: lambda pairs, ties: np.lexsort((ties, -np.bincount(pairs.ravel(), minlength=len(ties)))),
    "F2",
)
mutation("the least load goes first", networks._load, lambda right: lambda graph, nodes: -right(graph, nodes), "F6")
mutation(
    "threshold counts the nodes left",
    networks.percolation_threshold,
    lambda right: lambda *a, **k: 1 - right(*a, **k),
    "F1",
    "F2",
)
