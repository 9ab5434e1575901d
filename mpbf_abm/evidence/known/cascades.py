"""Cascades, mutual dependence, overload, founders and providers (rows F3 to F5, F7 and F8)."""

from __future__ import annotations

import math
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.evidence.known.mutations import mutation
from mpbf_abm.evidence.known.rows import Check, Knob, generator, mean_error, row, seeds, share_error
from mpbf_abm.measures import networks
from mpbf_abm.model.links import Network, any_of_r, fraction, from_graph, load, mutual
from mpbf_abm.theory import percolation

Float = NDArray[np.float64]
from mpbf_abm.evidence.known.removal import counted, random_graphs

GLOBAL = 0.1  # cascades that fail more than this share count as global


def cascades_on(seed: int, label: str, graphs: int, nodes: int, mean: float, phi: float, starts: int) -> Float:
    """Sizes of threshold cascades from single random nodes (graphs, starts)."""
    sizes = []
    for graph, rng in random_graphs(seed, label, graphs, nodes, mean):
        network = from_graph(graph, fraction(phi))
        sizes.append([networks.cascade_size(network, [v]) for v in rng.integers(0, nodes, starts).tolist()])
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
        return [networks.branching(graph, degree) for graph, _ in random_graphs(seed, label, graphs, n, mean)]

    def none(mean: float, label: str) -> Check:
        hits = int((cascades_on(seed, label, graphs, n, mean, phi, starts) > GLOBAL).sum())
        share, error = share_error(hits, graphs * starts)
        # Beyond the vulnerable cluster of s nodes failures need a node with two failed neighbours: (s z)^2/2 pairs over N.
        k = np.arange(1, degree + 1)
        leads = float(poisson.pmf(k - 1, mean).sum())
        cluster = 1 + mean * leads / (1 - percolation.watts_condition(phi, mean))
        return Check(
            f"{of}share of global cascades at z = {mean:.4g}",
            0.0,
            share,
            error,
            (cluster * mean) ** 2 / 2 / n,
            note="outside the window; what chance may still join at this size",
        )

    if window is None:
        middle = degree / 2 + 1
        return [
            Check(
                f"{of}vulnerable branching at its largest",
                1.0,
                *mean_error(condition(middle, "F3 none")),
                relation="<",
                note=f"no window: z Q(K* - 1, z) = {percolation.watts_condition(phi, middle):.4g} near its top",
            ),
            none(middle, "F3 none cascades"),
        ]
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
    checks += [none(0.7 * low, "F3 below"), none(1.4 * high, "F3 above")]
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
        network = from_graph(networks.dependent_layers(nodes, layers, k, rng), mutual())
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
                f"{name}threshold k p_c",
                k * critical,
                (4 * p - p_eighth) / 3,
                math.hypot(4 * p_error, p_eighth_error) / 3,
                abs(p - p_eighth) * (critical * N / EIGHTH) ** (-1 / 3),
                note="bias N^-2/3 extrapolated away from N and N/8",
            ),
            Check(
                f"{name}jump, times k",
                k * jump,
                z,
                z_error,
                abs(z - z_eighth),
                note="bias N^-1/3: as large as the difference between N and N/8",
            ),
        ]
        kept = round(above * N) / N
        checks += [
            Check(
                f"{name}share working at p = {kept:.4f}",
                percolation.mutual_share(layers, k, kept),
                *counted(large[:, 2], N),
            ),
            Check(
                f"{name}share working at p = {below:.4f}",
                0.0,
                *counted(large[:, 3], N),
                tolerance=3 / N,
                note="below the threshold; a few nodes linked in every layer may be left",
            ),
            Check(f"{name}difference between layers", 0.0, float(large[:, 4].max()), note="partners fare alike"),
        ]
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
            "ring, loads by paths",
            1.0,
            networks.critical_tolerance(cycle, [0], precision=precision),
            tolerance=2 * precision,
            note="the middle of the row that is left carries twice its load",
        ),
        Check("ring, nodes lost just below", 3.0, float(n - tight), note="the removed one and the two in the middle"),
        Check(
            "equals, loads by neighbours",
            1 / (n - 1),
            networks.critical_tolerance(equal, [0], by="neighbours", precision=precision),
            tolerance=2 * precision,
            note="a unit load is taken over by n - 1 others in equal parts",
        ),
    ]


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
        graph = networks.growing_graph(n, 1, generator(key, "F7"))
        reaches.append(networks.reach(graph))
        network = from_graph(graph, any_of_r(1))
        # One node that is drawn at random stands for all: the mean over graphs is the same.
        first = int(generator(key, "F7 node").integers(n))
        damage.append((n * networks.cascade_size(network, [first]), reaches[-1][first]))
    reach = np.array(reaches, np.float64)
    failed, reached = np.array(damage, np.float64).T
    checks = []
    for place in i:
        mean, error = mean_error(reach[:, place - 1])
        # Late nodes are rarely leaned on: no variance below that of so rare an event.
        error = max(error, math.sqrt(max(0.0, n / place - 1) / graphs))
        checks.append(Check(f"reach of node {place}", n / place, mean, error, note="n/i, exact at every n"))
    return [
        *checks,
        Check("mean reach", float((1 / np.arange(1, n + 1)).sum()), *mean_error(reach.mean(axis=1)), note="H_n, exact"),
        Check(
            "damage of a failure less reach",
            0.0,
            float(np.abs(failed - reached).max()),
            tolerance=1e-6,
            note="with one provider, whoever leans on a node fails with it",
        ),
    ]


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
    return [
        Check(
            "functioning share at this size", exact, mean, error, 1e-9, note="mean and its error from the exact chain"
        ),
        Check(
            "limit of the functioning share",
            limit,
            mean,
            error,
            memory + noise,
            note=f"phi {side} 1 - 1/r = {1 - 1 / r:.4g}; founders' surplus fades as n^-{1 - slope:.3g}",
        ),
    ]


# --------------------------------------------------------------------------- wrong rules

mutation(
    "branching counts the edge one comes by", networks.branching, lambda right: lambda *a, **k: right(*a, **k) + 1, "F3"
)
mutation(
    "a node fails above, not at, its fraction",
    fraction.step,
    lambda right: lambda rule, network, works: right(fraction(rule.phi + 1e-6), network, works),
    "F3",
)
mutation(
    "nobody follows a failed node",
    Network.fail,
    lambda _: lambda network, removed: ~np.isin(np.arange(len(network.nodes)), [network.index[v] for v in removed]),
    "F3",
    "F4",
    "F5",
    "F7",
    "F8",
)
mutation(
    "small components of a layer stay up",
    mutual.step,
    lambda _: lambda _rule, network, works: works & ~(network.partners @ ~works > 0),
    "F4",
)
mutation(
    "layers of twice the mean degree",
    networks.dependent_layers,
    lambda right: lambda nodes, layers, degree, rng: right(nodes, layers, 2 * degree, rng),
    "F4",
)
mutation(
    "half the tolerance by paths",
    load._by_paths,
    lambda right: lambda rule, network, works: right(load(rule.alpha / 2), network, works),
    "F5",
)
mutation("shed load is lost", load._by_neighbours, lambda _: lambda _rule, _network, works: works, "F5")
mutation(
    "reach counts direct users only",
    networks.reach,
    lambda _: lambda graph: np.array([1 + d for _, d in graph.out_degree()]),
    "F7",
)
mutation(
    "a newcomer leans on the one before",
    networks.growing_graph,
    lambda _: lambda nodes, *_a, **_k: nx.path_graph(nodes, nx.DiGraph),
    "F7",
    "F8",
)
mutation(
    "a node needs all of its providers",
    any_of_r.step,
    lambda _: lambda _rule, network, works: works & (network.incoming @ ~works == 0),
    "F8",
)
