"""Infrastructure: removal, cascades, dependence, growing graphs, who is needed, early warning (rows F1 to F11)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import poisson

from mpbf_abm.arrays import Float
from mpbf_abm.errors import refuse
from mpbf_abm.evidence.known.rows import (
    Check,
    Relation,
    generator,
    grouped,
    mean_error,
    mutation,
    parameter,
    row,
    seeds,
    share_error,
)
from mpbf_abm.measures import networks
from mpbf_abm.measures import resilience as resilience_rules
from mpbf_abm.measures.path import run_to
from mpbf_abm.measures.resilience import resilience
from mpbf_abm.model.interventions import Policy
from mpbf_abm.model.links import Network, any_of_r, fraction, from_graph, load, mutual
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.shocks import Shock
from mpbf_abm.parameters import Parameters
from mpbf_abm.stats import warning
from mpbf_abm.streams import Streams
from mpbf_abm.theory import percolation

# Sources of rows.
SCHEFFER = "Scheffer et al. 2009; Dakos et al. 2012; AR(1) sampled from an Ornstein-Uhlenbeck process"

NODES = parameter(10_000, "nodes of a graph", 1_000, 1_000_000, fast=2_000)
GRAPHS = parameter(60, "independent graphs", 5, 100_000, fast=20)


def random_graphs(seed: int, label: str, count: int, nodes: int, mean: float) -> Iterator[tuple[Any, Any]]:
    """Independent Erdos-Renyi graphs, each with a separate generator."""
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
    refuse(
        abs(mean - 1) * nodes ** (1 / 3) < CLEAR,
        f"{name} = {mean:.4g}: too near to the threshold 1 for {nodes} nodes "
        f"(at least {CLEAR / nodes ** (1 / 3):.2g} away)",
    )
    if mean > 1:
        return percolation.giant_share_er_finite(nodes, mean), 0.0, "mean at this size; its limit is 1 + W(-c e^-c)/c"
    # A node's component is no larger than a Poisson tree: P(size >= s) <= exp(-s (c - 1 - ln c)) / c.
    largest = math.log(1e6 * nodes / mean) / (mean - 1 - math.log(mean))
    return 0.0, largest / nodes, "no giant: components stay below O(ln N), but once in a million graphs"


@row("F1", "random removal from a random graph", "Erdos and Renyi 1960; Cohen et al. 2000")
def random_removal(
    seed: int,
    c: float = parameter(4.0, "mean degree", 0.05, 20),
    f: float = parameter(0.3, "share of nodes removed", 0, 0.99),
    n: int = NODES,
    graphs: int = GRAPHS,
) -> Iterator[Check]:
    """Giant component before and after random removal, and the threshold by Molloy and Reed on what is left."""
    gone = round(f * n)
    left = n - gone
    whole, finite, why = expected_giant(n, c, "F1.c")
    rest, rest_finite, rest_why = expected_giant(left, c * (left - 1) / (n - 1), "F1: c (1 - f)")
    before, after, threshold = [], [], []
    for graph, rng in random_graphs(seed, "F1", graphs, n, c):
        order = networks.removal_order(graph, "random", rng)
        before.append(networks.giant_share(graph))
        after.append(networks.removal_curve(graph, order)[gone])
        threshold.append(networks.percolation_threshold(graph, order))
    unbiased = without_bias(threshold, quarter_thresholds(seed, "F1 quarter", graphs, n, c, "random"))
    name = f"giant share after removing {gone / n:.4g}"
    yield Check("giant share", whole, *counted(before, n), finite, note=why)
    yield Check(name, left / n * rest, *counted(after, n), left / n * rest_finite, note=rest_why)
    yield Check("threshold", max(0.0, 1 - 1 / c), *unbiased, 1 / n, note=f"1 - 1/c; {BIAS}")


def quarter_thresholds(seed: int, label: str, graphs: int, nodes: int, mean: float, by: str) -> list[float]:
    """Return percolation thresholds of random graphs of a quarter of the nodes, which are removed by some criterion."""
    quarter = random_graphs(seed, label, graphs, nodes // 4, mean)
    return [networks.percolation_threshold(graph, by, rng) for graph, rng in quarter]


@row("F2", "attack by degree", "Callaway et al. 2000")
def attack(
    seed: int, c: float = parameter(4.0, "mean degree", 2.5, 20), n: int = NODES, graphs: int = GRAPHS
) -> list[Check]:
    """Static attack: threshold, and giant component half-way to it; recalculated attack needs fewer nodes."""
    p = percolation.binomial_degrees(n, c)
    critical = percolation.attack_threshold(percolation.binomial_degrees(10**9, c))
    gone = round(critical / 2 * n)
    static, half, recalculated = [], [], []
    for graph, rng in random_graphs(seed, "F2", graphs, n, c):
        order = networks.removal_order(graph, "degree", rng)
        static.append(networks.percolation_threshold(graph, order))
        half.append(networks.removal_curve(graph, order)[gone])
        recalculated.append(networks.percolation_threshold(graph, "degree-recalculated", rng))
    unbiased = without_bias(static, quarter_thresholds(seed, "F2 quarter", graphs, n, c, "degree"))
    left = percolation.giant_share(p, percolation.attacked(p, gone / n))
    fewer, note = np.subtract(static, recalculated), "same graphs: recalculated degrees find a quicker way"
    return [
        Check("threshold, degrees of the whole graph", critical, *unbiased, 1 / n, note=BIAS),
        Check(f"giant share after removing {gone / n:.4g}", left, *counted(half, n)),
        Check("static less recalculated threshold", 0.0, *mean_error(fewer), relation=">", note=note),
    ]


@row("F6", "robustness R", "Schneider et al. 2011")
def robustness(
    seed: int,
    N: int = parameter(20, "nodes", 4, 2_000),
    orders: int = parameter(400, "random orders", 10, 1_000_000, fast=200),
) -> Iterator[Check]:
    """R of graphs whose removal curve is known, by criterion."""
    star, rng, rounding = nx.star_graph(N - 1), generator(seed, "F6"), 1e-12
    # The hub stands at place j of a random order: (N - Q)/N nodes stay joined while Q < j, one afterwards.
    q = np.arange(1, N)
    at_random = float(((N - q) * (N - q) / N + q / N).sum() / N**2)
    yield Check("complete graph", (N - 1) / (2 * N), networks.robustness(nx.complete_graph(N), "degree"), 0, rounding)
    for by, criterion in (("degree", "degree"), ("load", "load-recalculated")):
        yield Check(f"star, by {by}", (N - 1) / N**2, networks.robustness(star, criterion), 0, rounding)
    measured = mean_error([networks.robustness(star, "random", rng) for _ in range(orders)])
    yield Check("star, at random", at_random, *measured)
    first = {"load": "giant share after one removal: the bridge goes first", "degree": "a clique's link goes first"}
    for by, left in (("load", N), ("degree", N + 1)):
        giant = float(networks.removal_curve(nx.barbell_graph(N, 1), by)[1])
        yield Check(f"two cliques and a bridge, by {by}", left / (2 * N + 1), giant, 0.0, rounding, note=first[by])


GLOBAL = 0.1  # cascades that fail more than this share count as global


def cascades_on(seed: int, label: str, graphs: int, nodes: int, mean: float, phi: float, starts: int) -> Float:
    """Sizes of threshold cascades from single random nodes (graphs, starts)."""
    sizes = []
    for graph, rng in random_graphs(seed, label, graphs, nodes, mean):
        network = from_graph(graph, fraction(phi))
        sizes.append([networks.cascade_size(network, [v]) for v in rng.integers(0, nodes, starts).tolist()])
    return np.array(sizes)


@row("F3", "threshold cascades", "Watts 2002; Gleeson and Cahalane 2007")
def watts(
    seed: int,
    phi: tuple[float, ...] = parameter(
        (0.18, 0.25), "share of failed neighbours at which a node fails", 0.05, 1, fast=(0.25,)
    ),
    n: int = parameter(5_000, "nodes of a graph", 1_000, 1_000_000, fast=2_000),
    graphs: int = parameter(40, "independent graphs", 5, 100_000, fast=20),
    starts: int = parameter(12, "first failures tried on each graph", 2, 10_000, fast=10),
) -> Iterator[Check]:
    """Edges of the cascade window on sampled graphs; global cascades inside it, none outside."""
    for one in phi:
        yield from watts_at(seed, one, n, graphs, starts)


def watts_at(seed: int, phi: float, n: int, graphs: int, starts: int) -> Iterator[Check]:
    """Check one threshold."""
    degree = percolation.vulnerable_degree(phi)
    window = percolation.watts_window(phi)
    of = f"phi = {phi:.4g}: "

    def condition(mean: float, label: str) -> tuple[float, float]:
        sampled = random_graphs(seed, label, graphs, n, mean)
        return mean_error([networks.branching(graph, degree) for graph, _ in sampled])

    def none(mean: float, label: str) -> Check:
        hits = int((cascades_on(seed, label, graphs, n, mean, phi, starts) > GLOBAL).sum())
        # Beyond the vulnerable cluster of s nodes failures need a node with two failed neighbours: (s z)^2/2 pairs / N.
        leads = float(poisson.pmf(np.arange(degree), mean).sum())
        cluster = 1 + mean * leads / (1 - percolation.watts_condition(phi, mean))
        name, joined = f"{of}share of global cascades at z = {mean:.4g}", (cluster * mean) ** 2 / 2 / n
        note = "outside the window; what chance may still join at this size"
        return Check(name, 0.0, *share_error(hits, graphs * starts), joined, note=note)

    if window is None:
        middle = degree / 2 + 1
        note = f"no window: z Q(K* - 1, z) = {percolation.watts_condition(phi, middle):.4g} near its top"
        largest = condition(middle, "F3 none")
        yield Check(f"{of}vulnerable branching at its largest", 1.0, *largest, relation="<", note=note)
        yield none(middle, "F3 none cascades")
        return
    for name, edge in zip(("lower", "upper"), window, strict=True):
        note, at_edge = "z Q(K* - 1, z) = 1; O(z/N) since degrees are binomial", condition(edge, f"F3 {name}")
        yield Check(f"{of}vulnerable branching at the {name} edge z = {edge:.4f}", 1.0, *at_edge, edge / n, note=note)
    inside = sum(window) / 2
    at = f"at z = {inside:.4g}"
    p = percolation.binomial_degrees(n, inside)
    sizes = cascades_on(seed, "F3 inside", graphs, n, inside, phi, starts)
    large = sizes > GLOBAL
    by_graph = [float(s[big].mean()) for s, big in zip(sizes, large, strict=True) if big.any()]
    chance, error = mean_error(large.mean(axis=1))
    error = max(error, share_error(int(large.sum()), large.size)[1])
    yield Check(f"{of}chance of a global cascade {at}", percolation.cascade_chance(p, phi), chance, error)
    if len(by_graph) > 1:
        share, note = percolation.cascade_share(p, phi), "the first failure comes on top"
        yield Check(f"{of}share failed by one {at}", share, *counted(by_graph, n), 1 / n, note=note)
    yield none(0.7 * window[0], "F3 below")
    yield none(1.4 * window[1], "F3 above")


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
        network = from_graph(networks.dependent_layers(nodes, layers, k, rng), mutual())
        order = [(0, i) for i in rng.permutation(nodes).tolist()]
        shares = [network.fail(order[round(p * nodes) :]).reshape(layers, nodes).mean(axis=1) for p in kept]
        apart = max((float(np.ptp(s)) for s in shares), default=0.0)
        rows.append([*collapse(network, order, layers, least), *(s[0] for s in shares), apart])
    return np.array(rows)


EIGHTH = 8


@row("F4", "mutually dependent layers", "Buldyrev et al. 2010; Gao et al. 2011")
def dependent(
    seed: int,
    n: tuple[int, ...] = parameter((2, 3), "layers (one number, or several)", 2, 8, fast=(2,)),
    k: float = parameter(5.0, "mean degree of each layer", 2.5, 12),
    N: int = parameter(
        2_400, "nodes of each layer; the threshold is also measured at an eighth", 1_200, 200_000, fast=1_200
    ),
    graphs: int = parameter(24, "independent graphs, twice as many of an eighth of the size", 5, 100_000, fast=16),
) -> Iterator[Check]:
    """Threshold and jump, survivors above the threshold, collapse below it."""
    for layers in n:
        critical, jump = (x / k for x in percolation.mutual_threshold(layers))
        refuse(
            critical > 0.85,
            f"F4.k = {k:g}: must be at least {critical * k / 0.85:.4g} with {layers} layers, "
            "so that the collapse comes well before the first removal",
        )
        above, below = (1 + critical) / 2, 0.8 * critical
        large = sampled_collapses(seed, layers, k, N, graphs, (above, below))
        small = sampled_collapses(seed, layers, k, N // EIGHTH, 2 * graphs, ())
        # A saddle-node: the threshold is N^-2/3 off, the last share before the collapse N^-1/3. The first is
        # extrapolated away (the next term is smaller by N^-1/3 of the nodes left), the second is as large as the
        # difference to an eighth of the nodes, since 8^(1/3) = 2.
        (p, p_error), (p_eighth, p_eighth_error) = mean_error(k * large[:, 0]), mean_error(k * small[:, 0])
        (z, z_error), (z_eighth, _) = mean_error(k * large[:, 1]), mean_error(k * small[:, 1])
        threshold = (4 * p - p_eighth) / 3, math.hypot(4 * p_error, p_eighth_error) / 3
        next_term = abs(p - p_eighth) * (critical * N / EIGHTH) ** (-1 / 3)
        kept, name = round(above * N) / N, f"n = {layers}: "
        survivors, few = counted(large[:, 2], N), counted(large[:, 3], N)
        note = "bias N^-2/3 extrapolated away from N and N/8"
        yield Check(f"{name}threshold k p_c", k * critical, *threshold, next_term, note=note)
        note = "bias N^-1/3: as large as the difference between N and N/8"
        yield Check(f"{name}jump, times k", k * jump, z, z_error, abs(z - z_eighth), note=note)
        yield Check(f"{name}share working at p = {kept:.4f}", percolation.mutual_share(layers, k, kept), *survivors)
        note = "below the threshold; a few nodes linked in every layer may be left"
        yield Check(f"{name}share working at p = {below:.4f}", 0.0, *few, 3 / N, note=note)
        yield Check(f"{name}difference between layers", 0.0, float(large[:, 4].max()), note="partners fare alike")


@row("F5", "load redistribution", "Motter and Lai 2002; closed form on an odd ring")
def ring(
    seed: int,  # noqa: ARG001 (nothing is random)
    n: int = parameter(15, "nodes of the ring, odd", 5, 401, fast=9),
) -> Iterator[Check]:
    """Least tolerance at which one removal takes no other along: by paths on a ring, by neighbours among equals."""
    refuse(n % 2 == 0, f"F5.n = {n}: the ring must be odd")
    cycle, precision = nx.cycle_graph(n), 1e-7
    # Half of n, m, bounds the loads: 2m nodes in a row carry (i - 1)(2m - i), each carried m (m - 1)/2.
    tight = from_graph(cycle, load(1 - 1e-4 / n**2)).fail([0]).sum()
    by_paths = networks.critical_tolerance(cycle, [0], precision=precision)
    equals = networks.critical_tolerance(nx.complete_graph(n), [0], by="neighbours", precision=precision)
    note = "the middle of the row that is left carries twice its load"
    yield Check("ring, loads by paths", 1.0, by_paths, 0.0, 2 * precision, note=note)
    yield Check("ring, nodes lost just below", 3.0, float(n - tight), note="the removed one and the two in the middle")
    note = "a unit load is taken over by n - 1 others in equal parts"
    yield Check("equals, loads by neighbours", 1 / (n - 1), equals, 0.0, 2 * precision, note=note)


# --------------------------------------------------------------------------- growing graphs


@row("F7", "founders' reach under uniform attachment", "random recursive trees (Moon 1974)")
def founders(
    seed: int,
    n: int = parameter(500, "nodes", 2, 100_000, fast=200),
    i: tuple[int, ...] = parameter((1, 2, 5, 20), "places in the order of birth, from 1", 1),
    graphs: int = parameter(200, "independent graphs", 10, 1_000_000, fast=60),
) -> Iterator[Check]:
    """Mean reach n/i of the i-th node, and mean damage H_n of a single failure through the failure rule."""
    refuse(max(i) > n, f"F7.i = {max(i)}: must not exceed n = {n}")
    reaches, damage = [], []
    for key in seeds(seed, "F7", graphs):
        graph = networks.growing_graph(n, 1, generator(key, "F7"))
        reaches.append(networks.reach(graph))
        network = from_graph(graph, any_of_r(1))
        # One node that is drawn at random stands for all: the mean over graphs is the same.
        first = int(generator(key, "F7 node").integers(n))
        damage.append((n * networks.cascade_size(network, [first]), reaches[-1][first]))
    reach = np.array(reaches, np.float64)
    failed, reached = np.array(damage, np.float64).T
    for place in i:
        mean, error = mean_error(reach[:, place - 1])
        # Few nodes depend on late ones: no variance below that of so rare an event.
        error = max(error, math.sqrt(max(0.0, n / place - 1) / graphs))
        yield Check(f"reach of node {place}", n / place, mean, error, note="n/i, exact at every n")
    yield Check(
        "mean reach", float((1 / np.arange(1, n + 1)).sum()), *mean_error(reach.mean(axis=1)), note="H_n, exact"
    )
    note = "with one provider, whoever depends on a node fails with it"
    yield Check("damage of a failure less reach", 0.0, float(np.abs(failed - reached).max()), tolerance=1e-6, note=note)


@row("F8", "redundant providers in a growing graph", "mean field of the growth; exact Markov chain at finite size")
def providers(
    seed: int,
    r: int = parameter(2, "providers of a node, of which it needs one", 1, 20),
    phi: float = parameter(0.2, "chance that a node is down by itself", 0, 1),
    n: int = parameter(3_000, "nodes", 50, 20_000, fast=1_500),
    m: int = parameter(100, "founders, who depend on no other", 1, 20_000, fast=50),
    graphs: int = parameter(60, "independent graphs", 5, 100_000, fast=20),
) -> Iterator[Check]:
    """Functioning share through the failure rule: exact mean at this size, and the limit it tends to."""
    refuse(not r <= m <= n, f"F8.m = {m}: founders must be from r = {r} to n = {n}")
    shares = []
    for key in seeds(seed, "F8", graphs):
        rng = generator(key, "F8")
        network = from_graph(networks.growing_graph(n, r, rng, founders=m), any_of_r(1))
        shares.append(1 - networks.cascade_size(network, np.flatnonzero(rng.random(n) < phi).tolist()))
    exact, deviation = percolation.functioning_share_finite(n, m, r, phi)
    mean, error = float(np.mean(shares)), deviation / math.sqrt(graphs)
    limit = percolation.functioning_share(r, phi)
    # The growth s' = (g(s) - s)/t is concave: founders' surplus fades at least as fast as linearised at the limit.
    slope = (1 - phi) * r * (1 - limit) ** (r - 1)
    memory = abs(1 - phi - limit) * (m / n) ** (1 - slope)
    curvature = (1 - phi) * r * (r - 1) * (1 - limit) ** max(r - 2, 0)
    noise = curvature / 2 * phi * (1 - phi) / m / (1 - slope) if slope < 1 else 0.0
    side = "<" if phi < 1 - 1 / r else ">="
    yield Check(
        "functioning share at this size", exact, mean, error, 1e-9, note="mean and its error from the exact chain"
    )
    note = f"phi {side} 1 - 1/r = {1 - 1 / r:.4g}; founders' surplus fades as n^-{1 - slope:.3g}"
    yield Check("limit of the functioning share", limit, mean, error, memory + noise, note=note)


@row("F9", "truck factor, Katz centrality, influence vector", "Avelino et al. 2016; Katz 1953; Acemoglu et al. 2012")
def influences(
    seed: int,  # noqa: ARG001 (nothing is random)
    n: int = parameter(9, "leaves of the star; agents with a task each", 2, 1_000),
    alpha: float = parameter(0.2, "attenuation of Katz centrality, below n^-1/2", 0, 1),
    labour: float = parameter(0.4, "share of labour in the influence vector", 0, 1, True),
) -> list[Check]:
    """Closed forms on a star and on agents with one task each."""
    refuse(alpha * math.sqrt(n) >= 1, f"F9.alpha = {alpha:g}: must be below 1/sqrt(n) = {1 / math.sqrt(n):.4g}")
    sole = {task: [task] for task in range(n)}
    backed = {task: [task, "second"] for task in range(n)}
    x = networks.katz(nx.star_graph(n), alpha)
    inputs = np.zeros((n + 1, n + 1))
    inputs[0, 1:], inputs[1:, 0] = 1 / n, 1.0
    v = networks.influence_vector(inputs, labour)
    goods = 1 - labour
    hub = labour / (n + 1) * (1 + n * goods) / (1 - goods**2)
    rounding = 1e-9
    walks = 1 - n * alpha**2
    return [
        Check("truck factor of sole agents", n // 2 + 1, networks.truck_factor(sole)),
        Check(
            "truck factor with a second for all",
            n // 2 + 2,
            networks.truck_factor(backed),
            note="the second goes first",
        ),
        Check("Katz, hub", (1 + n * alpha) / walks, float(x[0]), 0, rounding / walks),
        Check("Katz, leaf", (1 + alpha) / walks, float(x[1:].mean()), 0, rounding / walks),
        Check("Katz, leaves alike", 0.0, float(np.ptp(x[1:])), 0, rounding / walks),
        Check("influence, hub", hub, float(v[0]), 0, rounding, note="leaves buy from the hub, the hub from all leaves"),
        Check("influence, leaf", (1 - hub) / n, float(v[-1]), 0, rounding, note="influences sum to 1"),
    ]


@row("F10", "resilience triangle", "Bruneau et al. 2003")
def triangle(
    seed: int,  # noqa: ARG001
    X: float = parameter(0.4, "drop", 0, 1e6, True),
    T: float = parameter(12.0, "time of linear recovery", 0, 1e6, True),
    l: float = parameter(0.3, "rate of exponential recovery", 0, 1e6, True),
) -> Iterator[Check]:
    """Area lost and recovery time after a drop, by a straight line and exponentially."""
    step, instant = 0.01, 1e-12
    line = np.concatenate([[-0.5, -instant], np.arange(11) / 10, [2.0]])
    straight = resilience(T * line, 1 - X * np.where(line < 0, 0, np.clip(1 - line, 0, 1)), recovered=1.0)
    t = np.concatenate([[-0.5, -instant], np.arange(0, 40 + step / 2, step)])
    undisturbed = 2.0 + t
    decay = resilience(t / l, undisturbed - X * np.where(t < 0, 0, np.exp(-t)), undisturbed, recovered=0.9)
    rounding = 1e-9
    trapezoid = "against a rising run; straight lines between steps of h add h^2/12"
    yield Check("area, linear", X * T / 2, straight.area, 0, rounding * X * T, note="against a level")
    yield Check("drop", X, straight.drop, 0, rounding * X)
    yield Check("recovery time, linear", T, straight.recovery, 0, rounding * T)
    yield Check("area, exponential", X / l, decay.area, 0, X / l * (step**2 / 12 + 1e-9), note=trapezoid)
    name, note = "time to nine tenths, exponential", "a straight line between steps lies h^2/8 off"
    yield Check(name, math.log(10) / l, decay.recovery, 0, step**2 / 8 / l + rounding / l, note=note)


# --------------------------------------------------------------------------- early warning


START, LEVEL = 0.1, 0.4  # exploration at the start of the ramp, and in the other arm, against the fold
REPOSITORIES = 40
SETTLE = 20  # ticks until fluctuations have their full size
REFERENCE_RUNS = 100


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
    mass: Float, eps: float, delta: float, records: int, outages: Sequence[int], ticks: int, rng: np.random.Generator
) -> Float:
    """Return the leading share in a process without agents (ticks, runs).

    Repositories forget, gather records, and drop out.
    """
    runs = REFERENCE_RUNS
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


def leading_share(p: Parameters, seed: int, ticks: int, **events: Any) -> Float:
    """Return the share of the first family among visible records after every tick (ticks,)."""
    visible = run_to(p, seed, range(1, ticks + 1), **events)
    return np.asarray(visible[:, 0] / visible.sum(axis=1))


@row("F11", "early warning", SCHEFFER)
def warnings(
    seed: int,
    l: float = parameter(0.5, "rate of return", 0, 1e3, True),
    dt: float = parameter(0.4, "sampling interval", 0, 1e3, True),
    s: float = parameter(0.3, "standard deviation of innovations", 0, 1e3, True),
    n: int = parameter(20_000, "values of a series", 500, 10_000_000, fast=5_000),
    series: int = parameter(40, "independent series", 5, 100_000, fast=10),
    K: int = parameter(5, "families of the community", 3, 50),
    V: int = parameter(2_000, "records in force", 1_000, 100_000),
    delta: float = parameter(1.0, "rate of forgetting", 0.8, 5, fast=1.5),
    ticks: int = parameter(320, "ticks of the ramp, and of the outages", 200, 100_000, fast=200),
    replicates: int = parameter(24, "runs toward the fold; half as many lose repositories", 12, 10_000, fast=16),
) -> Iterator[Check]:
    """Signals of an AR(1) process; of the community on its way to the fold; and while it loses repositories."""
    yield from known_process(seed, l, dt, s, n, series)
    yield from community_signals(seed, K, V, delta, ticks, replicates)


def known_process(seed: int, l: float, dt: float, s: float, n: int, series: int) -> list[Check]:
    """Check lag-1 autocorrelation and variance of an AR(1) process, in whole series and in windows."""
    a = math.exp(-l * dt)
    refuse(n * (1 - a) < 100, f"F11.n = {n}: series of l dt = {l * dt:g} must have at least {100 / (1 - a):.0f} values")
    variance = s**2 / (1 - a * a)
    window, most = 5, 20_000
    slow, wide, rolling, bent = [], [], [], 0.0
    for key in seeds(seed, "F11", series):
        x = stationary(a, s, n, generator(key, "F11"))
        slow.append(warning.autocorrelation(x))
        wide.append(warning.rolling_variance(x, n)[0])
        part = x[:most]
        rolling.append(warning.rolling_variance(part, window).mean())
        line = part + s * np.arange(len(part))
        straight, tilted = (warning.rolling_autocorrelation(y, window, detrend="linear") for y in (part, line))
        bent = max(bent, float(np.abs(straight - tilted).max()))
    return [
        Check("autocorrelation", a, *mean_error(slow), (1 + 4 * a) / n, note="e^(-l dt); bias of the estimator"),
        Check(
            "variance", sample_variance(a, variance, n), *mean_error(wide), note="s^2/(1 - ac1^2), exact at this length"
        ),
        Check(
            f"variance in windows of {window}",
            sample_variance(a, variance, window),
            *mean_error(rolling),
            note="each about its own mean; exact",
        ),
        Check("what a straight line adds to a detrended signal", 0.0, bent, tolerance=1e-6),
    ]


def _trend(name: str, runs: list[warning.Warnings], by_chance: float, relation: Relation, note: str) -> Check:
    """Check the mean trend of the autocorrelation against the one that arises by chance."""
    tau = float(np.mean([w.autocorrelation_trend for w in runs]))
    return Check(f"tau of autocorrelation, {name}", 0.0, tau, by_chance / math.sqrt(len(runs)), 0.0, relation, note)


def community_signals(seed: int, K: int, V: int, delta: float, ticks: int, replicates: int) -> Iterator[Check]:
    """Check trends of the leading family's signals toward the fold, and while repositories are lost for good."""
    fold = K / (1 + math.sqrt(K - 1)) ** 2
    turnover = -math.expm1(-delta)
    records = round(V * turnover / REPOSITORIES)
    changes = grouped(
        space={"materials": 20 * K, "families": K},
        founding={"records": 0},
        commons={"forgetting": delta},
        curators={"count": REPOSITORIES, "records": records, "reinforcement": 2.0},
        infrastructure={"openness": 0.0, "repositories": REPOSITORIES},
        planners={"count": 1, "experiments": 0.0},
    )
    base = Parameters.null(**changes)

    def founding(level: float) -> tuple[float, ...]:
        x = locked_in(K, level * fold)[0]
        return (V * x, *[V * (1 - x) / (K - 1)] * (K - 1))

    def community(level: float) -> Parameters:
        return base.updated({"curators.exploration": level * fold, "founding.mass": founding(level)})

    # The policy's floor rises from 0 and binds from the starting exploration on.
    idle = math.ceil(ticks * START / (1 - START))
    ramp = Policy(name="exploration_floor", strength=fold, ramp=idle + ticks)
    starts = [SETTLE + ticks * i // REPOSITORIES for i in range(REPOSITORIES)]
    outages = tuple(Shock(name="repository_outage", start=t, strength=1 / REPOSITORIES) for t in starts)
    space = MaterialsSpace.generate(base.space, Streams(seed))
    toward, losing, level = [], [], []
    for i, key in enumerate(seeds(seed, "F11 community", replicates)):
        rising = leading_share(community(START), key, idle + ticks, space=space, policies=(ramp,))[idle:]
        toward.append(warning.early_warnings(rising, ticks // 8))
        if i % 2 == 0:
            steady = leading_share(community(LEVEL), key, SETTLE + ticks, space=space, shocks=outages)[SETTLE:]
            losing.append(warning.early_warnings(steady, ticks // 8))
            level.append(warning.autocorrelation(steady))
    rng, eps = generator(seed, "F11 reference"), LEVEL * fold
    expected = reference(np.array(founding(LEVEL)), eps, delta, records, starts, SETTLE + ticks, rng)[SETTLE:].T
    usual, usual_error = mean_error([warning.autocorrelation(x) for x in expected])
    # How large a trend arises by chance is known from the reference better than from few runs.
    chance = [warning.early_warnings(x, ticks // 8) for x in expected]
    by_chance = float(np.std([w.autocorrelation_trend for w in chance], ddof=1))
    wider, spread = (float(f([w.variance_trend for w in chance])) for f in (np.mean, np.std))
    limit = 1 - turnover * (1 - locked_in(K, eps)[1])

    yield _trend("toward the fold", toward, by_chance, ">", f"exploration to {fold:.4g}")
    yield Check("tau of variance, toward the fold", 0.0, *mean_error([w.variance_trend for w in toward]), relation=">")
    note = "stocks and flows shrink alike: as quick to recover as before"
    yield _trend("losing repositories", losing, by_chance, "=", note)
    measured, error = float(np.mean([w.variance_trend for w in losing])), math.sqrt(1 / len(losing) + 1 / len(chance))
    note = "fewer records, more chance: the loss is felt, as in a process without agents"
    yield Check("tau of variance, losing repositories", wider, measured, spread * error, note=note)
    found, error = mean_error(level)
    note = f"expected from a process without agents; 1 - (1 - e^-delta)(1 - p'(x*)) = {limit:.4f} in long, large runs"
    yield Check("autocorrelation, losing repositories", usual, found, math.hypot(error, usual_error), note=note)


# --------------------------------------------------------------------------- injected faults

mutation("giant share among nodes that have an edge", networks.giant_share, "F1")(
    lambda right, graph, removed=(): right(graph, removed) * len(graph) / (len(graph) - nx.number_of_isolates(graph))
)
mutation("removal curve as a share of the nodes left", networks.removal_curve, "F1 F2 F6")(
    lambda right, *a, **k: (c := right(*a, **k)) * (len(c) - 1) / np.maximum(len(c) - 1 - np.arange(len(c)), 1)
)
mutation("recalculated degrees are those of the whole graph", networks._by_degree_left, "F2")(
    lambda _, pairs, ties: np.lexsort((ties, -np.bincount(pairs.ravel(), minlength=len(ties))))
)
mutation("the least load goes first", networks._load, "F6")(lambda right, graph, nodes: -right(graph, nodes))
mutation("threshold counts the nodes left", networks.percolation_threshold, "F1 F2")(lambda right, *a: 1 - right(*a))
mutation("branching counts the edge one comes by", networks.branching, "F3")(lambda right, *a, **k: right(*a, **k) + 1)
mutation("a node fails above, not at, its fraction", fraction.step, "F3")(
    lambda right, rule, network, works: right(fraction(rule.phi + 1e-6), network, works)
)
mutation("no node follows a failed one", Network.fail, "F3 F4 F5 F7 F8")(
    lambda _, network, removed: ~np.isin(np.arange(len(network.nodes)), [network.index[v] for v in removed])
)
mutation("small components of a layer stay up", mutual.step, "F4")(
    lambda _, _rule, network, works: works & ~(network.partners @ ~works > 0)
)
mutation("layers of twice the mean degree", networks.dependent_layers, "F4")(
    lambda right, nodes, layers, degree, rng: right(nodes, layers, 2 * degree, rng)
)
mutation("half the tolerance by paths", load._by_paths, "F5")(
    lambda right, rule, network, works: right(load(rule.alpha / 2), network, works)
)
mutation("shed load is lost", load._by_neighbours, "F5")(lambda _, _rule, _network, works: works)
mutation("reach counts direct users only", networks.reach, "F7")(
    lambda _, graph: np.array([1 + d for _, d in graph.out_degree()])
)
mutation("a newcomer depends on the one before", networks.growing_graph, "F7 F8")(
    lambda _, nodes, *_a, **_k: nx.path_graph(nodes, nx.DiGraph)
)
mutation("a node needs all of its providers", any_of_r.step, "F8")(
    lambda _, _rule, network, works: works & (network.incoming @ ~works == 0)
)
mutation("a task is lost with its first holder", networks.truck_factor, "F9")(
    lambda right, holders, lost=0.5: right({t: list(a)[:1] for t, a in holders.items()}, lost)
)
mutation("Katz counts walks of one step", networks.katz, "F9")(
    lambda _, graph, alpha: np.array([1 + alpha * d for _, d in graph.degree()])
)
mutation("labour for goods", networks.influence_vector, "F9")(lambda right, inputs, labour: right(inputs, 1 - labour))
mutation("any baseline is 1", resilience, "F10")(
    lambda right, times, performance, _baseline=1.0, **k: right(times, performance, **k)
)
mutation("recovered at once", resilience_rules._recovery, "F10")(lambda _, *_a: 0.0)
mutation("autocorrelation at lag 2", warning.autocorrelation, "F11")(lambda right, x: right(x, 2))
mutation("variance divided by the window", warning.rolling_variance, "F11")(
    lambda right, x, window, **k: right(x, window, **k) * (window - 1) / window
)
mutation("no straight line is subtracted", warning.rolling_autocorrelation, "F11")(
    lambda right, x, window, **_k: right(x, window)
)
mutation("trend against reversed time", warning.trend, "F11")(lambda right, values: -right(values))
