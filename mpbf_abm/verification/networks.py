"""Fragility: graph and resilience measures, and the failure rules, against percolation theory (rows F1 to F11).

Rows F1 to F10 are checks of the public functions the package measures fragility with. Random
graphs are independent; standard errors are those over graphs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import ArrayLike, NDArray

from mpbf_abm.ecosystem import Ecosystem
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.events import Policy, Shock
from mpbf_abm.measures import cascades, early_warning, fragility, influence, percolation
from mpbf_abm.measures.resilience import resilience
from mpbf_abm.parameters import Parameters
from mpbf_abm.space.infrastructure import Network, any_of_r, fraction, from_graph, load, mutual
from mpbf_abm.space.materials import MaterialsSpace
from mpbf_abm.space.synthetic import generate
from mpbf_abm.streams import Streams
from mpbf_abm.verification.mutations import mutation
from mpbf_abm.verification.rows import Check, Knob, generator, mean_error, row, seeds, share_error

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


# --------------------------------------------------------------------------- removal


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
        fragility.percolation_threshold(graph, "random", rng)
        for graph, rng in random_graphs(seed, "F1 quarter", graphs, n // 4, c)
    ]
    for graph, rng in random_graphs(seed, "F1", graphs, n, c):
        order = fragility.removal_order(graph, "random", rng)
        before.append(fragility.giant_share(graph))
        after.append(fragility.removal_curve(graph, order)[gone])
        threshold.append(fragility.percolation_threshold(graph, order))
    return [
        Check("giant share", whole[0], *counted(before, n), whole[1], note=whole[2]),
        Check(
            f"giant share after removing {gone / n:.4g}", left / n * rest[0], *counted(after, n), left / n * rest[1],
            note=rest[2],
        ),
        Check(
            "threshold", max(0.0, 1 - 1 / c), *without_bias(threshold, quarter), 1 / n, note=f"1 - 1/c; {BIAS}"
        ),
    ]  # fmt: skip


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
        fragility.percolation_threshold(graph, "degree", rng)
        for graph, rng in random_graphs(seed, "F2 quarter", graphs, n // 4, c)
    ]
    gone = round(critical / 2 * n)
    static, half, recalculated = [], [], []
    for graph, rng in random_graphs(seed, "F2", graphs, n, c):
        order = fragility.removal_order(graph, "degree", rng)
        static.append(fragility.percolation_threshold(graph, order))
        half.append(fragility.removal_curve(graph, order)[gone])
        recalculated.append(fragility.percolation_threshold(graph, "degree-recalculated", rng))
    fewer = np.subtract(static, recalculated)
    return [
        Check(
            "threshold, degrees of the whole graph", critical, *without_bias(static, quarter), 1 / n, note=BIAS
        ),
        Check(
            f"giant share after removing {gone / n:.4g}",
            percolation.giant_share(p, percolation.attacked(p, gone / n)),
            *counted(half, n),
        ),
        Check(
            "static less recalculated threshold", 0.0, *mean_error(fewer), relation=">",
            note="same graphs: recalculated degrees find a quicker way",
        ),
    ]  # fmt: skip


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
        Check("complete graph", (N - 1) / (2 * N), fragility.robustness(nx.complete_graph(N), "degree"), 0, rounding),
        Check("star, by degree", (N - 1) / N**2, fragility.robustness(star, "degree"), 0, rounding),
        Check("star, by load", (N - 1) / N**2, fragility.robustness(star, "load-recalculated"), 0, rounding),
        Check(
            "star, at random",
            random_star,
            *mean_error([fragility.robustness(star, "random", rng) for _ in range(orders)]),
        ),
        Check(
            "two cliques and a bridge, by load", N / (2 * N + 1), float(fragility.removal_curve(cliques, "load")[1]),
            tolerance=rounding, note="giant share after one removal: the bridge goes first",
        ),
        Check(
            "two cliques and a bridge, by degree", (N + 1) / (2 * N + 1),
            float(fragility.removal_curve(cliques, "degree")[1]), tolerance=rounding, note="a clique's link goes first",
        ),
    ]  # fmt: skip


# --------------------------------------------------------------------------- cascades


GLOBAL = 0.1  # cascades that fail more than this share count as global


def cascades_on(seed: int, label: str, graphs: int, nodes: int, mean: float, phi: float, starts: int) -> Float:
    """Sizes of threshold cascades from single random nodes (graphs, starts)."""
    sizes = []
    for graph, rng in random_graphs(seed, label, graphs, nodes, mean):
        network = from_graph(graph, fraction(phi))
        sizes.append([cascades.cascade_size(network, [v]) for v in rng.integers(0, nodes, starts).tolist()])
    return np.array(sizes)


@row(
    "F3",
    "threshold cascades",
    "Watts 2002; Gleeson and Cahalane 2007",
    phi=Knob((0.18, 0.25), "share of failed neighbours at which a node fails", low=0.05, high=1, fast=(0.25,)),
    n=Knob(5_000, "nodes of a graph", low=1_000, high=1_000_000, fast=2_000),
    graphs=Knob(40, "independent graphs", low=5, high=100_000, fast=20),
    starts=Knob(12, "first failures tried on each graph", low=2, high=10_000, fast=10),
)
def watts(seed: int, phi: tuple[float, ...], n: int, graphs: int, starts: int) -> list[Check]:
    """Edges of the cascade window on sampled graphs; global cascades inside it, none outside."""
    return [check for one in phi for check in watts_at(seed, one, n, graphs, starts)]


def watts_at(seed: int, phi: float, n: int, graphs: int, starts: int) -> list[Check]:
    """Checks of one threshold."""
    from scipy.stats import poisson

    degree = percolation.vulnerable_degree(phi)
    window = percolation.watts_window(phi)
    checks, of = [], f"phi = {phi:.4g}: "

    def condition(mean: float, label: str) -> list[float]:
        return [fragility.branching(graph, degree) for graph, _ in random_graphs(seed, label, graphs, n, mean)]

    def none(mean: float, label: str) -> Check:
        hits = int((cascades_on(seed, label, graphs, n, mean, phi, starts) > GLOBAL).sum())
        share, error = share_error(hits, graphs * starts)
        # Beyond the vulnerable cluster of s nodes failures need a node with two failed neighbours: (s z)^2/2 pairs over N.
        k = np.arange(1, degree + 1)
        leads = float(poisson.pmf(k - 1, mean).sum())
        cluster = 1 + mean * leads / (1 - percolation.watts_condition(phi, mean))
        return Check(
            f"{of}share of global cascades at z = {mean:.4g}", 0.0, share, error, (cluster * mean) ** 2 / 2 / n,
            note="outside the window; what chance may still join at this size",
        )  # fmt: skip

    if window is None:
        middle = degree / 2 + 1
        return [
            Check(
                f"{of}vulnerable branching at its largest", 1.0, *mean_error(condition(middle, "F3 none")), relation="<",
                note=f"no window: z Q(K* - 1, z) = {percolation.watts_condition(phi, middle):.4g} near its top",
            ),
            none(middle, "F3 none cascades"),
        ]  # fmt: skip
    low, high = window
    for name, edge in (("lower", low), ("upper", high)):
        checks.append(
            Check(
                f"{of}vulnerable branching at the {name} edge z = {edge:.4f}",
                1.0,
                *mean_error(condition(edge, f"F3 {name}")),
                tolerance=edge / n,
                note="z Q(K* - 1, z) = 1; O(z/N) since degrees are binomial",
            )
        )
    inside = (low + high) / 2
    p = percolation.binomial_degrees(n, inside)
    sizes = cascades_on(seed, "F3 inside", graphs, n, inside, phi, starts)
    large = sizes > GLOBAL
    by_graph = [float(s[big].mean()) for s, big in zip(sizes, large, strict=True) if big.any()]
    chance, error = mean_error(large.mean(axis=1))
    checks.append(
        Check(
            f"{of}chance of a global cascade at z = {inside:.4g}",
            percolation.cascade_chance(p, phi),
            chance,
            max(error, share_error(int(large.sum()), large.size)[1]),
        )
    )
    if len(by_graph) > 1:
        checks.append(
            Check(
                f"{of}share failed by one at z = {inside:.4g}",
                percolation.cascade_share(p, phi),
                *counted(by_graph, n),
                tolerance=1 / n,
                note="the first failure comes on top",
            )
        )
    checks += [
        none(0.7 * low, "F3 below"),
        none(1.4 * high, "F3 above"),
    ]
    return checks


def collapse(network: Network, order: list[Any], layers: int, least: float) -> tuple[float, float]:
    """Share of a layer kept at which dependent layers still stand, and share that works then, by bisection."""
    size = len(network.nodes) // layers

    def working(kept: int) -> float:
        return float(network.fail(order[kept:])[:size].mean())

    low, high, last = 0, size, working(size)
    while high - low > 1:
        middle = (low + high) // 2
        works = working(middle)
        if works > least:
            high, last = middle, works
        else:
            low = middle
    return high / size, last


def sampled_collapses(seed: int, layers: int, k: float, nodes: int, graphs: int, kept: tuple[float, ...]) -> Float:
    """Threshold, jump there, and shares that work after removals to some sizes (graphs, 2 + kept)."""
    least = percolation.mutual_threshold(layers)[1] / k / 4
    rows = []
    for key in seeds(seed, f"F4 {layers} {nodes}", graphs):
        rng = generator(key, "F4")
        network = from_graph(cascades.dependent_layers(nodes, layers, k, rng), mutual())
        order = [(0, i) for i in rng.permutation(nodes).tolist()]
        shares = [network.fail(order[round(p * nodes) :]).reshape(layers, nodes).mean(axis=1) for p in kept]
        apart = max((float(np.ptp(s)) for s in shares), default=0.0)
        rows.append([*collapse(network, order, layers, least), *(s[0] for s in shares), apart])
    return np.array(rows)


EIGHTH = 8


@row(
    "F4",
    "mutually dependent layers",
    "Buldyrev et al. 2010; Gao et al. 2011",
    n=Knob((2, 3), "layers (one number, or several)", low=2, high=8, fast=(2,)),
    k=Knob(5.0, "mean degree of each layer", low=2.5, high=12),
    N=Knob(
        2_400, "nodes of each layer; the threshold is also measured at an eighth", low=1_200, high=200_000, fast=1_200
    ),
    graphs=Knob(24, "independent graphs, twice as many of an eighth of the size", low=5, high=100_000, fast=16),
)
def dependent(seed: int, n: tuple[int, ...], k: float, N: int, graphs: int) -> list[Check]:
    """Threshold and jump, survivors above the threshold, collapse below it."""
    checks = []
    for layers in n:
        critical, jump = (x / k for x in percolation.mutual_threshold(layers))
        if critical > 0.85:
            raise ConfigurationError(
                f"F4.k = {k:g}: must be at least {critical * k / 0.85:.4g} with {layers} layers, "
                "so that the collapse comes well before the first removal"
            )
        above, below = (1 + critical) / 2, 0.8 * critical
        large = sampled_collapses(seed, layers, k, N, graphs, (above, below))
        small = sampled_collapses(seed, layers, k, N // EIGHTH, 2 * graphs, ())
        name = f"n = {layers}: "

        # A saddle-node: the threshold is N^-2/3 off, the last share before the collapse N^-1/3. The first is
        # extrapolated away (the next term is smaller by N^-1/3 of the nodes left), the second is as large as the
        # difference to an eighth of the nodes, since 8^(1/3) = 2.
        (p, p_error), (p_eighth, p_eighth_error) = mean_error(k * large[:, 0]), mean_error(k * small[:, 0])
        (z, z_error), (z_eighth, _) = mean_error(k * large[:, 1]), mean_error(k * small[:, 1])
        checks += [
            Check(
                f"{name}threshold k p_c", k * critical, (4 * p - p_eighth) / 3, math.hypot(4 * p_error, p_eighth_error) / 3,
                abs(p - p_eighth) * (critical * N / EIGHTH) ** (-1 / 3), note="bias N^-2/3 extrapolated away from N and N/8",
            ),
            Check(
                f"{name}jump, times k", k * jump, z, z_error, abs(z - z_eighth),
                note="bias N^-1/3: as large as the difference between N and N/8",
            ),
        ]  # fmt: skip
        kept = round(above * N) / N
        checks += [
            Check(
                f"{name}share working at p = {kept:.4f}", percolation.mutual_share(layers, k, kept),
                *counted(large[:, 2], N),
            ),
            Check(
                f"{name}share working at p = {below:.4f}", 0.0, *counted(large[:, 3], N), tolerance=3 / N,
                note="below the threshold; a few nodes linked in every layer may be left",
            ),
            Check(f"{name}difference between layers", 0.0, float(large[:, 4].max()), note="partners fare alike"),
        ]  # fmt: skip
    return checks


@row(
    "F5",
    "load redistribution",
    "Motter and Lai 2002; closed form on an odd ring",
    n=Knob(15, "nodes of the ring, odd", low=5, high=401, fast=9),
)
def ring(seed: int, n: int) -> list[Check]:  # noqa: ARG001 (nothing is random)
    """Least tolerance at which one removal takes nobody with it: by paths on a ring, by neighbours among equals."""
    if n % 2 == 0:
        raise ConfigurationError(f"F5.n = {n}: the ring must be odd")
    cycle, equal = nx.cycle_graph(n), nx.complete_graph(n)
    precision = 1e-7
    # Half of n, m, bounds the loads: 2m nodes in a row carry (i - 1)(2m - i), each carried m (m - 1)/2.
    tight = from_graph(cycle, load(1 - 1e-4 / n**2)).fail([0]).sum()
    return [
        Check(
            "ring, loads by paths", 1.0, cascades.critical_tolerance(cycle, [0], precision=precision),
            tolerance=2 * precision, note="the middle of the row that is left carries twice its load",
        ),
        Check("ring, nodes lost just below", 3.0, float(n - tight), note="the removed one and the two in the middle"),
        Check(
            "equals, loads by neighbours", 1 / (n - 1),
            cascades.critical_tolerance(equal, [0], by="neighbours", precision=precision), tolerance=2 * precision,
            note="a unit load is taken over by n - 1 others in equal parts",
        ),
    ]  # fmt: skip


# --------------------------------------------------------------------------- growing graphs


@row(
    "F7",
    "founders' reach under uniform attachment",
    "random recursive trees (Moon 1974)",
    n=Knob(500, "nodes", low=2, high=100_000, fast=200),
    i=Knob((1, 2, 5, 20), "places in the order of birth, from 1", low=1),
    graphs=Knob(200, "independent graphs", low=10, high=1_000_000, fast=60),
)
def founders(seed: int, n: int, i: tuple[int, ...], graphs: int) -> list[Check]:
    """Mean reach n/i of the i-th node, and mean damage H_n of a single failure through the failure rule."""
    if max(i) > n:
        raise ConfigurationError(f"F7.i = {max(i)}: must not exceed n = {n}")
    reaches, damage = [], []
    for key in seeds(seed, "F7", graphs):
        graph = cascades.growing_graph(n, 1, generator(key, "F7"))
        reaches.append(cascades.reach(graph))
        network = from_graph(graph, any_of_r(1))
        # One node that is drawn at random stands for all: the mean over graphs is the same.
        first = int(generator(key, "F7 node").integers(n))
        damage.append((n * cascades.cascade_size(network, [first]), reaches[-1][first]))
    reach = np.array(reaches, np.float64)
    failed, reached = np.array(damage, np.float64).T
    checks = []
    for place in i:
        mean, error = mean_error(reach[:, place - 1])
        checks.append(Check(f"reach of node {place}", n / place, mean, error, note="n/i, exact at every n"))
    return [
        *checks,
        Check(
            "mean reach", float((1 / np.arange(1, n + 1)).sum()), *mean_error(reach.mean(axis=1)), note="H_n, exact"
        ),
        Check(
            "damage of a failure less reach", 0.0, float(np.abs(failed - reached).max()), tolerance=1e-6,
            note="with one provider, whoever leans on a node fails with it",
        ),
    ]  # fmt: skip


@row(
    "F8",
    "redundant providers in a growing graph",
    "mean field of the growth; exact Markov chain at finite size",
    r=Knob(2, "providers of a node, of which it needs one", low=1, high=20),
    phi=Knob(0.2, "chance that a node is down by itself", low=0, high=1),
    n=Knob(3_000, "nodes", low=50, high=20_000, fast=1_500),
    m=Knob(100, "founders, who lean on nobody", low=1, high=20_000, fast=50),
    graphs=Knob(60, "independent graphs", low=5, high=100_000, fast=20),
)
def providers(seed: int, r: int, phi: float, n: int, m: int, graphs: int) -> list[Check]:
    """Functioning share through the failure rule: exact mean at this size, and the limit it tends to."""
    if not r <= m <= n:
        raise ConfigurationError(f"F8.m = {m}: founders must be from r = {r} to n = {n}")
    shares = []
    for key in seeds(seed, "F8", graphs):
        rng = generator(key, "F8")
        network = from_graph(cascades.growing_graph(n, r, rng, founders=m), any_of_r(1))
        shares.append(1 - cascades.cascade_size(network, np.flatnonzero(rng.random(n) < phi).tolist()))
    exact, deviation = percolation.functioning_share_finite(n, m, r, phi)
    mean, error = float(np.mean(shares)), deviation / math.sqrt(graphs)
    limit = percolation.functioning_share(r, phi)
    # The growth s' = (g(s) - s)/t is concave: founders' surplus fades at least as fast as linearised at the limit.
    slope = (1 - phi) * r * (1 - limit) ** (r - 1)
    memory = abs(1 - phi - limit) * (m / n) ** (1 - slope)
    curvature = (1 - phi) * r * (r - 1) * (1 - limit) ** max(r - 2, 0)
    noise = curvature / 2 * phi * (1 - phi) / m / (1 - slope) if slope < 1 else 0.0
    side = "<" if phi < 1 - 1 / r else ">="
    return [
        Check("functioning share at this size", exact, mean, error, 1e-9, note="mean and its error from the exact chain"),
        Check(
            "limit of the functioning share", limit, mean, error, memory + noise,
            note=f"phi {side} 1 - 1/r = {1 - 1 / r:.4g}; founders' surplus fades as n^-{1 - slope:.3g}",
        ),
    ]  # fmt: skip


# --------------------------------------------------------------------------- influence and recovery


@row(
    "F9",
    "truck factor, Katz centrality, influence vector",
    "Avelino et al. 2016; Katz 1953; Acemoglu et al. 2012",
    n=Knob(9, "leaves of the star; agents with a task of their own", low=2, high=1_000),
    alpha=Knob(0.2, "attenuation of Katz centrality, below n^-1/2", low=0, high=1),
    labour=Knob(0.4, "share of labour in the influence vector", low=0, high=1, above=True),
)
def influences(seed: int, n: int, alpha: float, labour: float) -> list[Check]:  # noqa: ARG001 (nothing is random)
    """Closed forms on a star and on agents with one task each."""
    if alpha * math.sqrt(n) >= 1:
        raise ConfigurationError(f"F9.alpha = {alpha:g}: must be below 1/sqrt(n) = {1 / math.sqrt(n):.4g}")
    sole = {task: [task] for task in range(n)}
    backed = {task: [task, "second"] for task in range(n)}
    star = nx.star_graph(n)
    x = influence.katz(star, alpha)
    inputs = np.zeros((n + 1, n + 1))
    inputs[0, 1:], inputs[1:, 0] = 1 / n, 1.0
    v = influence.influence_vector(inputs, labour)
    goods = 1 - labour
    hub = labour / (n + 1) * (1 + n * goods) / (1 - goods**2)
    rounding = 1e-9
    walks = 1 - n * alpha**2
    return [
        Check("truck factor of sole agents", n // 2 + 1, influence.truck_factor(sole)),
        Check("truck factor with a second for all", n // 2 + 2, influence.truck_factor(backed), note="the second goes first"),
        Check("Katz, hub", (1 + n * alpha) / walks, float(x[0]), 0, rounding / walks),
        Check("Katz, leaf", (1 + alpha) / walks, float(x[1:].mean()), 0, rounding / walks),
        Check("Katz, leaves alike", 0.0, float(np.ptp(x[1:])), 0, rounding / walks),
        Check("influence, hub", hub, float(v[0]), 0, rounding, note="leaves buy from the hub, the hub from all leaves"),
        Check("influence, leaf", (1 - hub) / n, float(v[-1]), 0, rounding, note="influences sum to 1"),
    ]  # fmt: skip


@row(
    "F10",
    "resilience triangle",
    "Bruneau et al. 2003",
    X=Knob(0.4, "drop", low=0, high=1e6, above=True),
    T=Knob(12.0, "time of linear recovery", low=0, high=1e6, above=True),
    l=Knob(0.3, "rate of exponential recovery", low=0, high=1e6, above=True),
)
def triangle(seed: int, X: float, T: float, l: float) -> list[Check]:  # noqa: ARG001
    """Area lost and recovery time after a drop, by a straight line and exponentially."""
    step, instant = 0.01, 1e-12
    line = np.concatenate([[-0.5, -instant], np.arange(11) / 10, [2.0]])
    straight = resilience(T * line, 1 - X * np.where(line < 0, 0, np.clip(1 - line, 0, 1)), recovered=1.0)
    t = np.concatenate([[-0.5, -instant], np.arange(0, 40 + step / 2, step)])
    undisturbed = 2.0 + t
    decay = resilience(t / l, undisturbed - X * np.where(t < 0, 0, np.exp(-t)), undisturbed, recovered=0.9)
    rounding = 1e-9
    trapezoid = "against a rising run; straight lines between steps of h add h^2/12"
    return [
        Check("area, linear", X * T / 2, straight.area, 0, rounding * X * T, note="against a level"),
        Check("drop", X, straight.drop, 0, rounding * X),
        Check("recovery time, linear", T, straight.recovery, 0, rounding * T),
        Check("area, exponential", X / l, decay.area, 0, X / l * (step**2 / 12 + 1e-9), note=trapezoid),
        Check(
            "time to nine tenths, exponential", math.log(10) / l, decay.recovery, 0, step**2 / 8 / l + rounding / l,
            note="a straight line between steps lies h^2/8 off",
        ),
    ]  # fmt: skip


# --------------------------------------------------------------------------- early warning


START, LEVEL = 0.1, 0.4  # exploration at the start of the ramp, and in the other arm, against the fold
REPOSITORIES = 40
SETTLE = 20  # ticks until fluctuations have their full size


def stationary(a: float, s: float, n: int, rng: np.random.Generator) -> Float:
    """AR(1) series of coefficient a and innovation sd s, from its stationary law (n,)."""
    from scipy.signal import lfilter

    noise = s * rng.standard_normal(n)
    noise[0] /= math.sqrt(1 - a * a)
    return np.asarray(lfilter([1.0], [1.0, -a], noise))


def sample_variance(a: float, variance: float, n: int) -> float:
    """Mean of the sample variance of n successive values of an AR(1) process, exactly."""
    k = np.arange(1, n)
    return variance * (1 - 2 / (n - 1) * float(((1 - k / n) * a**k).sum()))


def attention(x: ArrayLike, K: int, eps: float) -> Float:
    """Share of new records that the leading of K families gets, the others being equal; reinforcement 2."""
    x = np.asarray(x, np.float64)
    return np.asarray(eps / K + (1 - eps) * x**2 / (x**2 + (1 - x) ** 2 / (K - 1)))


def locked_in(K: int, eps: float) -> tuple[float, float]:
    """Leading share in the locked-in state, and the slope of :func:`attention` there."""
    from scipy.optimize import brentq

    grid = np.linspace(1, 1 / K, 10_001)
    crossed = int(np.argmax(attention(grid, K, eps) > grid))
    x = float(brentq(lambda y: float(attention(y, K, eps)) - y, grid[crossed], grid[crossed - 1]))
    h = 1e-5
    return x, float(attention(x + h, K, eps) - attention(x - h, K, eps)) / (2 * h)


def reference(
    mass: Float,
    eps: float,
    delta: float,
    records: int,
    outages: Sequence[int],
    ticks: int,
    runs: int,
    rng: np.random.Generator,
) -> Float:
    """Leading share in a process without agents: repositories forget, gather records, and drop out (ticks, runs)."""
    keep, K = math.exp(-delta), len(mass)
    held = np.zeros((runs, REPOSITORIES, K), np.int64)
    up = np.ones((runs, REPOSITORIES), bool)
    out = np.empty((ticks, runs))
    for tick in range(ticks):
        for _ in range(outages.count(tick)):
            up[np.arange(runs), rng.integers(0, REPOSITORIES, runs)] = False
        held, mass = rng.binomial(held, keep), mass * keep
        x = mass + (held * up[..., None]).sum(axis=1)
        p = eps / K + (1 - eps) * x**2 / (x**2).sum(axis=1, keepdims=True)
        held += rng.multinomial(records, p[:, None, :], size=(runs, REPOSITORIES)) * up[..., None]
        x = mass + (held * up[..., None]).sum(axis=1)
        out[tick] = x[:, 0] / x.sum(axis=1)
    return out


def leading_share(
    p: Parameters, seed: int, ticks: int, space: MaterialsSpace, policies: Iterable[Policy], shocks: Iterable[Shock]
) -> Float:
    """Share of the first family among visible records after every tick (ticks,)."""
    eco = Ecosystem(p, seed, record=(), space=space, policies=policies, shocks=shocks)
    out = np.empty(ticks)
    for tick in range(ticks):
        eco.step()
        visible = eco.world.commons.visible()
        out[tick] = visible[0] / visible.sum()
    eco.release()
    return out


@row(
    "F11",
    "early warning",
    "Scheffer et al. 2009; Dakos et al. 2012; AR(1) sampled from an Ornstein-Uhlenbeck process",
    l=Knob(0.5, "rate of return", low=0, high=1e3, above=True),
    dt=Knob(0.4, "sampling interval", low=0, high=1e3, above=True),
    s=Knob(0.3, "standard deviation of innovations", low=0, high=1e3, above=True),
    n=Knob(20_000, "values of a series", low=500, high=10_000_000, fast=10_000),
    series=Knob(40, "independent series", low=5, high=100_000, fast=20),
    K=Knob(5, "families of the community", low=3, high=50),
    V=Knob(2_000, "records in force", low=1_000, high=100_000),
    delta=Knob(1.0, "rate of forgetting", low=0.8, high=5, fast=1.5),
    ticks=Knob(320, "ticks of the ramp, and of the outages", low=200, high=100_000, fast=200),
    replicates=Knob(24, "runs toward the fold; half as many lose repositories", low=12, high=10_000, fast=16),
)
def warnings(
    seed: int,
    l: float,
    dt: float,
    s: float,
    n: int,
    series: int,
    K: int,
    V: int,
    delta: float,
    ticks: int,
    replicates: int,
) -> list[Check]:
    """Signals of an AR(1) process; of the community on its way to the fold; and while it loses repositories."""
    return [*known_process(seed, l, dt, s, n, series), *community_signals(seed, K, V, delta, ticks, replicates)]


def known_process(seed: int, l: float, dt: float, s: float, n: int, series: int) -> list[Check]:
    """Lag-1 autocorrelation and variance of an AR(1) process, in whole series and in windows."""
    a = math.exp(-l * dt)
    if n * (1 - a) < 100:
        raise ConfigurationError(
            f"F11.n = {n}: series of l dt = {l * dt:g} must have at least {100 / (1 - a):.0f} values"
        )
    variance = s**2 / (1 - a * a)
    window, most = 5, 20_000
    slow, wide, rolling, bent = [], [], [], 0.0
    for key in seeds(seed, "F11", series):
        x = stationary(a, s, n, generator(key, "F11"))
        slow.append(early_warning.autocorrelation(x))
        wide.append(early_warning.rolling_variance(x, n)[0])
        part = x[:most]
        rolling.append(early_warning.rolling_variance(part, window).mean())
        line = part + s * np.arange(len(part))
        straight, tilted = (early_warning.rolling_autocorrelation(y, window, detrend="linear") for y in (part, line))
        bent = max(bent, float(np.abs(straight - tilted).max()))
    return [
        Check("autocorrelation", a, *mean_error(slow), tolerance=(1 + 4 * a) / n, note="e^(-l dt); bias of the estimator"),
        Check("variance", sample_variance(a, variance, n), *mean_error(wide), note="s^2/(1 - ac1^2), exact at this length"),
        Check(
            f"variance in windows of {window}", sample_variance(a, variance, window), *mean_error(rolling),
            note="each about its own mean; exact",
        ),
        Check("what a straight line adds to a detrended signal", 0.0, bent, tolerance=1e-6),
    ]  # fmt: skip


def community_signals(seed: int, K: int, V: int, delta: float, ticks: int, replicates: int) -> list[Check]:
    """Trends of the leading family's signals toward the fold, and while repositories are lost for good."""
    fold = K / (1 + math.sqrt(K - 1)) ** 2
    turnover = -math.expm1(-delta)
    records = round(V * turnover / REPOSITORIES)
    base = Parameters.null().updated({
        "space.materials": 20 * K, "space.families": K, "founding.records": 0, "commons.forgetting": delta,
        "curators.count": REPOSITORIES, "curators.records": records, "curators.reinforcement": 2.0, "curators.openness": 0.0,
        "infrastructure.repositories": REPOSITORIES, "planners.count": 1, "planners.experiments": 0.0,
    })  # fmt: skip

    def founding(level: float) -> tuple[float, ...]:
        x = locked_in(K, level * fold)[0]
        return (V * x, *[V * (1 - x) / (K - 1)] * (K - 1))

    def community(level: float) -> Parameters:
        return base.updated({"curators.exploration": level * fold, "founding.mass": founding(level)})

    # The policy's floor rises from 0 and binds from the starting exploration on.
    idle = math.ceil(ticks * START / (1 - START))
    ramp = Policy(name="exploration_floor", strength=fold, ramp=idle + ticks)
    outages = [
        Shock(name="repository_outage", start=SETTLE + ticks * i // REPOSITORIES, strength=1 / REPOSITORIES)
        for i in range(REPOSITORIES)
    ]
    space = generate(base.space, Streams(seed))
    toward, losing, level = [], [], []
    for i, key in enumerate(seeds(seed, "F11 community", replicates)):
        rising = leading_share(community(START), key, idle + ticks, space, [ramp], [])[idle:]
        toward.append(early_warning.early_warnings(rising, ticks // 8))
        if i % 2 == 0:
            steady = leading_share(community(LEVEL), key, SETTLE + ticks, space, [], outages)[SETTLE:]
            losing.append(early_warning.early_warnings(steady, ticks // 8))
            level.append(early_warning.autocorrelation(steady))
    expected = reference(
        np.array(founding(LEVEL)), LEVEL * fold, delta, records, [o.start for o in outages], SETTLE + ticks, 100,
        generator(seed, "F11 reference"),
    )  # fmt: skip
    usual, usual_error = mean_error([early_warning.autocorrelation(x) for x in expected[SETTLE:].T])
    # How large a trend arises by chance is known from the reference better than from few runs.
    chance = [early_warning.early_warnings(x, ticks // 8) for x in expected[SETTLE:].T]
    by_chance = float(np.std([w.autocorrelation_trend for w in chance], ddof=1))
    wider, spread = (float(f([w.variance_trend for w in chance])) for f in (np.mean, np.std))
    found, error = mean_error(level)
    limit = 1 - turnover * (1 - locked_in(K, LEVEL * fold)[1])
    return [
        Check(
            "tau of autocorrelation, toward the fold", 0.0,
            float(np.mean([w.autocorrelation_trend for w in toward])), by_chance / math.sqrt(len(toward)), relation=">", note=f"exploration to {fold:.4g}",
        ),
        Check(
            "tau of variance, toward the fold", 0.0, *mean_error([w.variance_trend for w in toward]), relation=">"
        ),
        Check(
            "tau of autocorrelation, losing repositories", 0.0, float(np.mean([w.autocorrelation_trend for w in losing])), by_chance / math.sqrt(len(losing)),
            note="stocks and flows shrink alike: as quick to recover as before",
        ),
        Check(
            "tau of variance, losing repositories", wider, float(np.mean([w.variance_trend for w in losing])),
            spread * math.sqrt(1 / len(losing) + 1 / len(chance)), note="fewer records, more chance: the loss is felt, as in a process without agents",
        ),
        Check(
            "autocorrelation, losing repositories", usual, found, math.hypot(error, usual_error),
            note=f"expected from a process without agents; 1 - (1 - e^-delta)(1 - p'(x*)) = {limit:.4f} in long, large runs",
        ),
    ]  # fmt: skip


# --------------------------------------------------------------------------- wrong rules


mutation(
    "giant share among nodes that have an edge", "measures.fragility:giant_share",
    lambda right: lambda graph, removed=(): right(graph, removed) * len(graph) / (len(graph) - nx.number_of_isolates(graph)),
    "F1",
)  # fmt: skip
mutation(
    "removal curve as a share of the nodes left", "measures.fragility:removal_curve",
    lambda right: lambda *a, **k: (c := right(*a, **k)) * (len(c) - 1) / np.maximum(len(c) - 1 - np.arange(len(c)), 1),
    "F1", "F2", "F6",
)  # fmt: skip
mutation(
    "recalculated degrees are those of the whole graph", "measures.fragility:_by_degree_left",
    lambda _: lambda pairs, ties: np.lexsort((ties, -np.bincount(pairs.ravel(), minlength=len(ties)))), "F2",
)  # fmt: skip
mutation(
    "the least load goes first", "measures.fragility:_load", lambda right: lambda graph, nodes: -right(graph, nodes), "F6"
)  # fmt: skip
mutation(
    "threshold counts the nodes left", "measures.fragility:percolation_threshold",
    lambda right: lambda *a, **k: 1 - right(*a, **k), "F1", "F2",
)  # fmt: skip
mutation(
    "branching counts the edge one comes by", "measures.fragility:branching",
    lambda right: lambda *a, **k: right(*a, **k) + 1, "F3",
)  # fmt: skip
mutation(
    "a node fails above, not at, its fraction", "space.infrastructure:fraction.step",
    lambda right: lambda rule, network, works: right(fraction(rule.phi + 1e-6), network, works), "F3",
)  # fmt: skip
mutation(
    "nobody follows a failed node", "space.infrastructure:Network.fail",
    lambda _: lambda network, removed: ~np.isin(np.arange(len(network.nodes)), [network.index[v] for v in removed]),
    "F3", "F4", "F5", "F7", "F8",
)  # fmt: skip
mutation(
    "small components of a layer stay up", "space.infrastructure:mutual.step",
    lambda _: lambda _rule, network, works: works & ~(network.partners @ ~works > 0), "F4",
)  # fmt: skip
mutation(
    "layers of twice the mean degree", "measures.cascades:dependent_layers",
    lambda right: lambda nodes, layers, degree, rng: right(nodes, layers, 2 * degree, rng), "F4",
)  # fmt: skip
mutation(
    "half the tolerance by paths", "space.infrastructure:load._by_paths",
    lambda right: lambda rule, network, works: right(load(rule.alpha / 2), network, works), "F5",
)  # fmt: skip
mutation(
    "shed load is lost", "space.infrastructure:load._by_neighbours", lambda _: lambda _rule, _network, works: works, "F5"
)  # fmt: skip
mutation(
    "reach counts direct users only", "measures.cascades:reach",
    lambda _: lambda graph: np.array([1 + d for _, d in graph.out_degree()]), "F7",
)  # fmt: skip
mutation(
    "a newcomer leans on the one before", "measures.cascades:growing_graph",
    lambda _: lambda nodes, *_a, **_k: nx.path_graph(nodes, nx.DiGraph), "F7", "F8",
)  # fmt: skip
mutation(
    "a node needs all of its providers", "space.infrastructure:any_of_r.step",
    lambda _: lambda _rule, network, works: works & (network.incoming @ ~works == 0), "F8",
)  # fmt: skip
mutation(
    "a task is lost with its first holder", "measures.influence:truck_factor",
    lambda right: lambda holders, lost=0.5: right({t: list(a)[:1] for t, a in holders.items()}, lost), "F9",
)  # fmt: skip
mutation(
    "Katz counts walks of one step", "measures.influence:katz",
    lambda _: lambda graph, alpha: np.array([1 + alpha * d for _, d in graph.degree()]), "F9",
)  # fmt: skip
mutation(
    "labour for goods", "measures.influence:influence_vector",
    lambda right: lambda inputs, labour: right(inputs, 1 - labour), "F9",
)  # fmt: skip
mutation(
    "any baseline is 1", "measures.resilience:resilience",
    lambda right: lambda times, performance, _baseline=1.0, **k: right(times, performance, **k), "F10",
)  # fmt: skip
mutation(
    "recovered at once", "measures.resilience:_recovery", lambda _: lambda *_a: 0.0, "F10"
)  # fmt: skip
mutation(
    "autocorrelation at lag 2", "measures.early_warning:autocorrelation", lambda right: lambda x: right(x, 2), "F11"
)  # fmt: skip
mutation(
    "variance divided by the window", "measures.early_warning:rolling_variance",
    lambda right: lambda x, window, **k: right(x, window, **k) * (window - 1) / window, "F11",
)  # fmt: skip
mutation(
    "no straight line is subtracted", "measures.early_warning:rolling_autocorrelation",
    lambda right: lambda x, window, **_k: right(x, window), "F11",
)  # fmt: skip
mutation(
    "trend against reversed time", "measures.early_warning:trend", lambda right: lambda values: -right(values), "F11"
)  # fmt: skip
