"""Fragility measures: limit cases, closed forms, brute force on small graphs, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.measures import networks
from mpbf_abm.measures.resilience import resilience
from mpbf_abm.model.links import any_of_r, fraction, from_graph, mutual
from mpbf_abm.stats import warning
from mpbf_abm.theory import percolation

graphs = st.builds(
    lambda n, p, seed: nx.gnp_random_graph(n, p, seed=seed), st.integers(1, 25), st.floats(0, 0.4), st.integers(0, 999)
)


def largest(graph: nx.Graph) -> int:
    return max((len(c) for c in nx.connected_components(graph)), default=0)


def without(graph: nx.Graph, nodes: list[Any]) -> nx.Graph:
    left = graph.copy()
    left.remove_nodes_from(nodes)
    return left


# --------------------------------------------------------------------------- removal


@given(graphs, st.sampled_from(networks.CRITERIA), st.integers(0, 99))
def test_curves_and_thresholds_equal_brute_force(graph, criterion, seed):
    order = networks.removal_order(graph, criterion, np.random.default_rng(seed))
    n = len(graph)
    assert sorted(order) == list(range(n))
    rest = [without(graph, order[:q]) for q in range(n + 1)]
    curve = networks.removal_curve(graph, order)
    np.testing.assert_allclose(curve, [largest(g) / n for g in rest])
    np.testing.assert_allclose(curve, [networks.giant_share(graph, order[:q]) for q in range(n + 1)])
    assert networks.robustness(graph, order) == pytest.approx(curve[1:].mean())
    alive = [len(g) > 0 and networks.branching(g) > 1 for g in rest]
    assert networks.percolation_threshold(graph, order) == pytest.approx(alive.index(False) / n)


@given(graphs, st.integers(0, 99))
def test_attacks_take_the_highest_first(graph, seed):
    rng = np.random.default_rng(seed)
    degrees = [graph.degree(v) for v in networks.removal_order(graph, "degree", rng)]
    assert degrees == sorted(degrees, reverse=True)
    order = networks.removal_order(graph, "degree-recalculated", rng)
    for q, v in enumerate(order):
        left = without(graph, order[:q])
        assert left.degree(v) == max(d for _, d in left.degree())
    for q, v in enumerate(order := networks.removal_order(graph, "load-recalculated", rng)):
        load = nx.betweenness_centrality(without(graph, order[:q]), normalized=False)
        assert load[v] == pytest.approx(max(load.values()))


def test_ties_are_broken_by_the_generator_or_in_the_order_of_nodes():
    ring = nx.cycle_graph(30)
    assert networks.removal_order(ring, "degree") == list(range(30))
    first = {networks.removal_order(ring, "degree", np.random.default_rng(s))[0] for s in range(20)}
    assert len(first) > 5


def test_directed_graphs_and_loops_count_as_simple_graphs():
    g = nx.DiGraph([(0, 1), (1, 0), (1, 2), (2, 2)])
    assert networks.giant_share(g) == 1.0
    assert networks.branching(g) == networks.branching(nx.path_graph(3)) == 0.5
    np.testing.assert_allclose(networks.removal_curve(g, [1, 0, 2]), [1, 1 / 3, 1 / 3, 0])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda g: networks.removal_order(g, "degre"), "unknown criterion 'degre'; did you mean 'degree'"),
        (lambda g: networks.removal_curve(g, "random"), "needs a generator"),
        (lambda g: networks.removal_order(g, [0, 1, 1, 2]), "each of the 4 nodes once"),
        (lambda g: networks.removal_order(g, [0, 1, 2]), "hold each of the 4 nodes"),
        (lambda g: networks.giant_share(g, ["x"]), "node 'x' is not in the graph"),
        (lambda _: networks.giant_share(nx.Graph()), "no nodes"),
        (lambda _: networks.reach(nx.path_graph(3)), "directed"),
        (lambda g: networks.critical_tolerance(g, [0], left=0), "left = 0"),
        (lambda g: networks.critical_tolerance(g, [0], precision=0), "precision = 0"),
        (lambda _: networks.growing_graph(5, 3, np.random.default_rng(0), founders=2), "founders = 2"),
        (lambda _: networks.dependent_layers(5, 2, 9.0, np.random.default_rng(0)), "mean degree 9"),
        (lambda _: networks.truck_factor({}), "at least one task"),
        (lambda _: networks.truck_factor({1: [1]}, 1.0), "lost = 1"),
        (lambda g: networks.katz(g, 0.9), "largest eigenvalue"),
        (lambda g: networks.katz(g, -0.1), "alpha = -0.1"),
        (lambda _: networks.influence_vector([[0.5, 0.4], [1, 0]], 0.3), "summing to 1"),
        (lambda _: networks.influence_vector([[0.5, 0.5], [1, 0]], 0.0), "labour = 0"),
        (lambda _: resilience([0, 1], [1, 1, 1]), "one length"),
        (lambda _: resilience([1, 0], [1, 1]), "rising times"),
        (lambda _: resilience([0, 1], [1, np.nan]), "finite values"),
        (lambda _: resilience([0, 1], [1, 1], recovered=0), "recovered = 0"),
        (lambda _: warning.autocorrelation([1.0]), "at least 2 values"),
        (lambda _: warning.rolling_variance(range(9), 10), "window = 10"),
        (lambda _: warning.rolling_autocorrelation(range(9), 5, detrend="log"), "detrend = 'log'"),
        (lambda _: warning.rolling_autocorrelation(range(9), 5, lag=0), "lag = 0"),
        (lambda _: warning.early_warnings(range(9), 9), "window = 9"),
        (lambda _: percolation.giant_share([0.5, 0.4]), "sum to 1"),
        (lambda _: percolation.giant_share_er(-1), "mean degree -1"),
        (lambda _: percolation.binomial_degrees(10, 10), "from 0 to 9"),
        (lambda _: percolation.watts_window(0), "phi = 0"),
        (lambda _: percolation.mutual_threshold(1), "at least 2"),
        (lambda _: percolation.functioning_share(0, 0.1), "providers = 0"),
        (lambda _: percolation.functioning_share(2, 1.1), "phi = 1.1"),
        (lambda _: percolation.functioning_share_finite(5, 1, 2, 0.1), "founders = 1"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(call, says):
    with pytest.raises(ConfigurationError, match=says) as refused:
        call(nx.path_graph(4))
    assert len(refused.value.faults) == 1


# --------------------------------------------------------------------------- theory


def test_published_numbers():
    p = percolation.binomial_degrees(10**7, 4.0)
    assert percolation.attack_threshold(p) == pytest.approx(0.3616, abs=1e-4)
    assert percolation.watts_window(0.18) == pytest.approx((1.0207, 5.7647), abs=1e-4)
    assert percolation.watts_window(0.3) is None
    assert percolation.mutual_threshold(2) == pytest.approx((2.455407, 1.256431), abs=1e-6)
    assert percolation.mutual_threshold(3)[0] == pytest.approx(3.089119, abs=1e-6)
    assert percolation.functioning_share(2, 0.2) == pytest.approx(0.75)


@given(st.floats(0, 12), st.floats(0, 1))
def test_removing_at_random_thins_a_random_graph(c, kept):
    p = percolation.binomial_degrees(10**8, c)
    assert percolation.giant_share(p, kept) == pytest.approx(kept * percolation.giant_share_er(c * kept), abs=2e-3)


@given(st.floats(1.5, 12))
def test_attack_leaves_a_giant_up_to_its_threshold_only(c):
    p = percolation.binomial_degrees(10**6, c)
    critical = percolation.attack_threshold(p)
    assert percolation.giant_share(p, percolation.attacked(p, 0.9 * critical)) > 1e-3
    assert percolation.giant_share(p, percolation.attacked(p, critical + 0.01)) == pytest.approx(0, abs=1e-6)
    assert critical < 1 - 1 / c
    assert p @ percolation.attacked(p, critical) == pytest.approx(1 - critical)


@given(st.integers(2, 9), st.floats(1, 12), st.floats(0, 1))
def test_dependent_layers_work_above_the_threshold_only(layers, k, kept):
    threshold, jump = percolation.mutual_threshold(layers)
    share = percolation.mutual_share(layers, k, kept)
    assert share == pytest.approx(kept * (1 - math.exp(-k * share)) ** layers, abs=1e-9)
    assert (share > 0) == (k * kept >= threshold)
    assert share == 0 or share * k >= jump - 1e-9


@given(st.integers(1, 6), st.floats(0, 1))
def test_providers_keep_a_growing_graph_alive_up_to_one_less_one_over_r(r, phi):
    s = percolation.functioning_share(r, phi)
    assert s == pytest.approx((1 - phi) * (1 - (1 - s) ** r), abs=1e-6)
    if abs(phi - (1 - 1 / r)) > 1e-3:
        assert (s > 0) == (phi < 1 - 1 / r)


def test_the_exact_chain_counts_every_case():
    """Two founders and one who leans on both: all eight combinations of outages."""
    phi = 0.3
    mean, deviation = percolation.functioning_share_finite(3, 2, 2, phi)
    cases = [((1 - phi) ** u * phi ** (2 - u) * [1, 2, 1][u], u) for u in range(3)]
    expected = sum(w * (u + (1 - phi) * (u > 0)) for w, u in cases) / 3
    square = sum(w * ((1 - phi) * (u + (u > 0)) ** 2 + phi * u**2) for w, u in cases) / 9
    assert (mean, deviation) == pytest.approx((expected, math.sqrt(square - expected**2)))


def test_the_finite_giant_tends_to_the_limit():
    gaps = [percolation.giant_share_er_finite(n, 2.0) - percolation.giant_share_er(2.0) for n in (10**4, 10**5)]
    assert gaps[0] / gaps[1] == pytest.approx(10, rel=0.05)
    assert percolation.giant_share_er_finite(1_000, 0.5) == 0


@pytest.mark.parametrize("z", [1.5, 3.0, 5.0])
def test_cascades_need_a_vulnerable_cluster(z):
    p = percolation.binomial_degrees(10**6, z)
    assert 0 < percolation.cascade_chance(p, 0.18) <= percolation.giant_share(p) + 1e-9
    assert percolation.cascade_share(p, 0.18) >= percolation.cascade_chance(p, 0.18) - 0.2
    assert percolation.cascade_chance(p, 0.6) == pytest.approx(0, abs=1e-12)
    assert percolation.cascade_share(p, 0.6) == 0


# --------------------------------------------------------------------------- cascades


@given(graphs, st.integers(0, 999))
def test_reach_is_descendants_and_damage_with_one_provider(graph, seed):
    rng = np.random.default_rng(seed)
    directed = nx.DiGraph([e if rng.random() < 0.5 else e[::-1] for e in graph.edges])
    directed.add_nodes_from(graph)
    assert networks.reach(directed).tolist() == [1 + len(nx.descendants(directed, v)) for v in directed]
    tree = networks.growing_graph(len(graph), 1, rng)
    network = from_graph(tree, any_of_r(1))
    lost = [len(tree) - network.fail([v]).sum() for v in network.nodes]
    np.testing.assert_array_equal(lost, networks.reach(tree))


@given(st.integers(1, 5), st.integers(0, 20), st.integers(0, 20), st.integers(0, 999))
def test_growing_graphs_have_distinct_earlier_providers(r, more, later, seed):
    founders = r + more
    g = networks.growing_graph(founders + later, r, np.random.default_rng(seed), founders=founders)
    assert [d for _, d in g.in_degree()] == [0] * founders + [r] * later
    assert all(a < b for a, b in g.edges)


def test_every_set_of_providers_is_as_likely():
    rng = np.random.default_rng(1)
    pairs = [tuple(sorted(networks.growing_graph(5, 2, rng, founders=4).predecessors(4))) for _ in range(3_000)]
    counts = np.unique(pairs, axis=0, return_counts=True)[1]
    assert len(counts) == 6
    assert np.all(np.abs(counts - 500) < 4.5 * math.sqrt(500 * 5 / 6))


def test_cascade_size_counts_the_first_failures():
    assert networks.cascade_size(from_graph(nx.cycle_graph(10), fraction(0.6)), [0, 5]) == pytest.approx(0.2)
    assert networks.cascade_size(from_graph(nx.cycle_graph(10), fraction(0.5)), [0]) == 1.0


def test_dependent_layers_are_what_rule_mutual_needs():
    g = networks.dependent_layers(40, 3, 30.0, np.random.default_rng(0))
    works = from_graph(g, mutual()).fail([(1, 7)]).reshape(3, 40)
    assert works.sum() == 117
    assert not works[:, 7].any()


@pytest.mark.parametrize("n", [5, 9, 13])
def test_critical_tolerance_of_odd_rings_and_of_equals(n):
    assert networks.critical_tolerance(nx.cycle_graph(n), [0]) == pytest.approx(1, abs=1e-6)
    assert networks.critical_tolerance(nx.complete_graph(n), [0], by="neighbours") == pytest.approx(
        1 / (n - 1), abs=1e-6
    )


def test_critical_tolerance_at_its_ends():
    assert networks.critical_tolerance(nx.complete_graph(5), [0]) == 0
    assert networks.critical_tolerance(nx.cycle_graph(7), []) == 0
    # The path by b of three carries c to d alone, where it shared them with a.
    assert networks.critical_tolerance(nx.Graph(["ab", "ac", "cb", "ad", "db"]), ["a"]) == pytest.approx(1, abs=1e-6)
    tight = [networks.critical_tolerance(nx.cycle_graph(21), [0], left=left) for left in (0.5, 0.9, 1.0)]
    assert tight == sorted(tight)


# --------------------------------------------------------------------------- influence, recovery, warnings


@given(st.integers(1, 40), st.integers(1, 4))
def test_truck_factor_of_shared_tasks(agents, shared):
    assert networks.truck_factor({t: [t] for t in range(agents)}) == agents // 2 + 1
    assert networks.truck_factor({t: range(shared) for t in range(agents)}) == shared
    assert networks.truck_factor({t: [] for t in range(agents)}) == 0


@given(st.integers(1, 30), st.floats(0, 0.99), st.floats(0.01, 1))
def test_centralities_of_a_star(n, part, labour):
    a = part / math.sqrt(n)
    x = networks.katz(nx.star_graph(n), a)
    assert x[0] == pytest.approx((1 + n * a) / (1 - n * a * a))
    assert x[1:] == pytest.approx((1 + a) / (1 - n * a * a))
    inputs = np.zeros((n + 1, n + 1))
    inputs[0, 1:], inputs[1:, 0] = 1 / n, 1
    assert networks.influence_vector(inputs, labour).sum() == pytest.approx(1)


def test_katz_follows_the_arrows():
    assert networks.katz(nx.DiGraph([(0, 1), (1, 2)]), 0.5) == pytest.approx([1, 1.5, 1.75])


@given(st.floats(0.01, 10), st.floats(0.1, 100))
def test_resilience_triangle(drop, time):
    r = resilience([0, time], [1 - drop, 1], recovered=1.0)
    assert (r.drop, r.worst, r.area, r.recovery) == pytest.approx((drop, 0, drop * time / 2, time))


def test_what_is_not_recovered_takes_for_ever():
    assert resilience([0, 1, 2], [1, 0, 0.5]).recovery == math.inf
    assert resilience([0, 1, 2], [1, 1, 1]).recovery == 0
    assert resilience([0, 1, 2], [1, 2, 1]).area == -1


@given(st.lists(st.floats(-100, 100), min_size=12, max_size=30), st.integers(3, 10), st.floats(-5, 5))
def test_windows_equal_their_definition(values, window, slope):
    x = np.array(values)
    slow, wide = warning.rolling_autocorrelation(x, window), warning.rolling_variance(x, window)
    for i in range(len(x) - window + 1):
        part = x[i : i + window]
        assert wide[i] == pytest.approx(part.var(ddof=1), abs=1e-9)
        if part.std() > 1e-3:
            d = part - part.mean()
            assert slow[i] == pytest.approx(d[1:] @ d[:-1] / (d @ d), abs=1e-6)
    line = slope * np.arange(len(x))
    np.testing.assert_allclose(
        warning.rolling_variance(x + line, window, detrend="linear"),
        warning.rolling_variance(x, window, detrend="linear"),
        atol=1e-6,
    )


def test_signals_of_slowing_down():
    rng = np.random.default_rng(0)
    x = np.zeros(2_000)
    for t in range(1, 2_000):
        x[t] = 0.98 * t / 2_000 * x[t - 1] + rng.normal()
    found = warning.early_warnings(x, 500)
    assert found.autocorrelation_trend > 0.8
    assert found.variance_trend > 0.7
    assert warning.trend(np.arange(5)) == pytest.approx(1)
    assert math.isnan(warning.autocorrelation(np.ones(9)))


def test_newcomers_may_lean_on_nearly_everybody():
    graph = networks.growing_graph(30, 20, np.random.default_rng(1))
    assert sorted(d for _, d in graph.in_degree()) == [0] * 20 + [20] * 10
    # Every set of providers is equally likely.
    counts = np.zeros(6)
    for seed in range(600):
        counts[sorted(networks.growing_graph(7, 5, np.random.default_rng(seed), founders=6).predecessors(6))] += 1
    assert abs(counts - 500).max() < 4.5 * np.sqrt(600 * 5 / 36)
