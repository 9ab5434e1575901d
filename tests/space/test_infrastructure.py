"""Who works when providers fail: the community's links, and failure rules on arbitrary graphs in solved cases."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.model.links import (
    NONE,
    Infrastructure,
    Network,
    any_of_r,
    choose_links,
    fraction,
    from_graph,
    load,
    mutual,
)
from mpbf_abm.streams import Streams


def community(need: int = 1) -> Infrastructure:
    """Three repositories, three models, four labs, two links each."""
    infra = Infrastructure(np.zeros(3, bool), 3, 4, 2, need)
    infra.model_repositories[:] = [[0, 1], [1, NONE], [2, 0]]
    infra.lab_models[:] = [[0, 1], [1, 2], [NONE, NONE], [2, NONE]]
    infra.lab_repository[:] = [0, 1, 2, 2]
    return infra


# --------------------------------------------------------------------------- the community's links


def test_with_everything_up_only_unlinked_nodes_do_not_work() -> None:
    infra = community()
    assert infra.working_repositories().all()
    assert infra.working_models().tolist() == [True, True, True]
    assert infra.working_labs().tolist() == [True, True, False, True]
    assert infra.model_in_use().tolist() == [0, 1, NONE, 2]


def test_failures_spread_from_repositories_over_models_to_labs() -> None:
    infra = community()
    infra.fail_repositories(np.array([1]), 5)
    assert infra.working_models().tolist() == [True, False, True]
    assert infra.model_in_use().tolist() == [0, 2, NONE, 2]
    infra.fail_repositories(np.array([0]), 5)
    assert infra.working_models().tolist() == [False, False, True]
    assert infra.model_in_use().tolist() == [NONE, 2, NONE, 2]


@pytest.mark.parametrize(
    ("need", "models", "labs"),
    [
        (0, [True, True, True], [True, True, True, True]),
        (1, [True, True, True], [True, True, False, True]),
        (2, [True, False, True], [False, False, False, False]),
    ],
)
def test_a_node_works_with_as_many_providers_as_it_needs(need: int, models: list[bool], labs: list[bool]) -> None:
    infra = community(need)
    assert infra.working_models().tolist() == models
    assert infra.working_labs().tolist() == labs


def test_a_lab_that_needs_none_still_uses_a_working_model_only() -> None:
    infra = community(need=0)
    infra.fail_models(np.array([0, 1, 2]), 3)
    assert infra.working_labs().all()
    assert infra.model_in_use().tolist() == [NONE] * 4


def test_a_withdrawn_model_is_replaced_by_the_next_best() -> None:
    infra = community()
    infra.fail_models(np.array([0]), 3)
    assert infra.model_in_use().tolist() == [1, 1, NONE, 2]


def test_the_longer_of_two_outages_counts() -> None:
    infra = community()
    infra.fail_repositories(np.array([0, 1]), 9)
    infra.fail_repositories(np.array([0]), 4)
    infra.fail_models(np.array([2]), 7)
    assert infra.until_repositories.tolist() == [9, 9, 0]
    assert infra.until_models.tolist() == [0, 0, 7]


def test_a_trainer_reads_its_working_repositories() -> None:
    infra = community()
    assert infra.trainer_sources(1).tolist() == [False, True, False]
    infra.fail_repositories(np.array([2]), 1)
    assert infra.trainer_sources(2).tolist() == [True, False, False]


def test_loads_count_the_links() -> None:
    infra = community()
    assert infra.repository_load().tolist() == [2, 2, 1]
    assert infra.model_load().tolist() == [1, 2, 2]


def test_a_community_without_models_has_no_steered_lab() -> None:
    infra = Infrastructure(np.zeros(2, bool), 0, 3, 1, 1)
    assert infra.working_models().tolist() == []
    assert infra.model_in_use().tolist() == [NONE] * 3
    assert not infra.working_labs().any()
    assert infra.graph().number_of_nodes() == 5


def test_more_or_fewer_providers_keep_the_best_links() -> None:
    infra = community()
    infra.set_providers(3)
    assert infra.providers == 3
    assert infra.model_repositories.tolist() == [[0, 1, NONE], [1, NONE, NONE], [2, 0, NONE]]
    infra.set_providers(1)
    assert infra.model_repositories.tolist() == [[0], [1], [2]]
    assert infra.lab_models.tolist() == [[0], [1], [NONE], [2]]


def test_the_graph_shows_links_deposits_and_who_works() -> None:
    infra = community()
    infra.fail_repositories(np.array([1]), 5)
    g = infra.graph()
    provides = {(u, v) for u, v, d in g.edges(data=True) if d["relation"] == "provides"}
    deposits = {(u, v) for u, v, d in g.edges(data=True) if d["relation"] == "deposits"}
    assert provides == {(("repository", r), ("model", m)) for m, r in ((0, 0), (0, 1), (1, 1), (2, 2), (2, 0))} | {
        (("model", m), ("lab", lab)) for lab, m in ((0, 0), (0, 1), (1, 1), (1, 2), (3, 2))
    }
    assert deposits == {(("lab", lab), ("repository", r)) for lab, r in enumerate((0, 1, 2, 2))}
    works = nx.get_node_attributes(g, "works")
    assert [works["repository", i] for i in range(3)] == [True, False, True]
    assert [works["model", i] for i in range(3)] == [True, False, True]
    assert [works["lab", i] for i in range(4)] == [True, True, False, True]


# --------------------------------------------------------------------------- choosing links


WEIGHTS = st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 1e6)), min_size=9, max_size=9)


@given(st.integers(1, 8), st.integers(1, 9), st.integers(1, 6), st.integers(0, 2**32), WEIGHTS)
def test_links_are_distinct_possible_and_nested(
    n: int, options: int, links: int, seed: int, weights: list[float]
) -> None:
    clocks, weight = Streams(seed).exponential("link", 0, (n, options)), np.array(weights[:options])
    chosen = choose_links(clocks, weight, links)
    assert chosen.shape == (n, links)
    for row in chosen.tolist():
        real = [c for c in row if c != NONE]
        assert len(set(real)) == len(real) == min(links, int((weight > 0).sum()))
        assert row == real + [NONE] * (links - len(real)), "empty places come last"
        assert all(weight[c] > 0 for c in real)
    np.testing.assert_array_equal(choose_links(clocks, weight, links + 1)[:, :links], chosen)


def test_the_first_link_goes_by_weight() -> None:
    n, weights = 30_000, np.array([6.0, 3.0, 1.0])
    first = choose_links(Streams(0).exponential("link", 0, (n, 3)), weights, 2)[:, 0]
    p = weights / weights.sum()
    assert np.all(np.abs(np.bincount(first, minlength=3) / n - p) < 4.5 * np.sqrt(p * (1 - p) / n))


def test_kept_links_stay_in_their_order_and_the_rest_is_filled() -> None:
    clocks = np.array([[0.1, 0.2, 0.3, 0.4]] * 3)
    keep = np.array([[3, 2], [NONE, 3], [NONE, NONE]])
    assert choose_links(clocks, np.ones(4), 3, keep).tolist() == [[3, 2, 0], [3, 0, 1], [0, 1, 2]]
    assert choose_links(clocks, np.ones(4), 1, keep).tolist() == [[3], [3], [0]]


def test_a_kept_link_stays_though_nothing_speaks_for_it() -> None:
    keep = np.array([[1, NONE]])
    assert choose_links(np.array([[0.5, 0.1, 0.2]]), np.array([1.0, 0.0, 0.0]), 2, keep).tolist() == [[1, 0]]


def test_weights_may_differ_by_chooser() -> None:
    assert choose_links(np.ones((2, 2)), np.eye(2), 2).tolist() == [[0, NONE], [1, NONE]]


# --------------------------------------------------------------------------- arbitrary graphs


def survivors(network: Network, removed: list[Hashable]) -> set[Any]:
    return {node for node, works in zip(network.nodes, network.fail(removed), strict=True) if works}


RULES = [any_of_r(), fraction(0.5), load(0.3)]


@pytest.mark.parametrize("rule", RULES)
def test_nothing_fails_unless_something_is_removed(rule: Any) -> None:
    assert from_graph(nx.cycle_graph(6), rule).fail([]).all()


@pytest.mark.parametrize("rule", RULES)
def test_a_node_that_is_not_there_is_refused(rule: Any) -> None:
    with pytest.raises(ConfigurationError, match="node 'x' is not in the graph"):
        from_graph(nx.cycle_graph(6), rule).fail([0, "x"])


@pytest.mark.parametrize("rule", RULES)
def test_removing_everything_leaves_nothing(rule: Any) -> None:
    assert not from_graph(nx.cycle_graph(5), rule).fail(range(5)).any()


@pytest.mark.parametrize("rule", RULES)
def test_a_network_can_be_failed_again_and_again(rule: Any) -> None:
    network = from_graph(nx.cycle_graph(7), rule)
    first = network.fail([0])
    network.fail([1, 2, 3])
    np.testing.assert_array_equal(network.fail([0]), first)


def test_any_of_r_fails_a_chain_downstream_only() -> None:
    chain = nx.DiGraph([("a", "b"), ("b", "c"), ("c", "d")])
    assert survivors(from_graph(chain, any_of_r()), ["b"]) == {"a"}


def test_any_of_r_spares_what_has_another_provider() -> None:
    diamond = nx.DiGraph([("a", "c"), ("b", "c"), ("c", "d")])
    assert survivors(from_graph(diamond, any_of_r(1)), ["a"]) == {"b", "c", "d"}
    assert survivors(from_graph(diamond, any_of_r(1)), ["a", "b"]) == set()
    assert survivors(from_graph(diamond, any_of_r(0)), ["a", "b"]) == {"c", "d"}


def test_any_of_r_needs_as_many_providers_as_it_says() -> None:
    two = nx.DiGraph([("a", "c"), ("b", "c")])
    assert survivors(from_graph(two, any_of_r(2)), ["a"]) == {"b"}
    assert survivors(from_graph(two, any_of_r(2)), []) == {"a", "b", "c"}


def test_sources_stand_alone() -> None:
    g = nx.DiGraph([("a", "b")])
    g.add_node("alone")
    assert survivors(from_graph(g, any_of_r(1)), ["a"]) == {"alone"}


def test_the_community_and_its_graph_agree_on_who_works() -> None:
    infra = community()
    g = infra.graph()
    g.remove_edges_from([(u, v) for u, v, d in g.edges(data=True) if d["relation"] == "deposits"])
    g.remove_nodes_from(list(nx.isolates(g)))
    for down in range(3):
        infra = community()
        infra.fail_repositories(np.array([down]), 1)
        works = survivors(from_graph(g, any_of_r(1)), [("repository", down)])
        assert {i for kind, i in works if kind == "model"} == set(np.flatnonzero(infra.working_models()))
        assert {i for kind, i in works if kind == "lab"} == set(np.flatnonzero(infra.working_labs()))


@pytest.mark.parametrize(("phi", "left"), [(0.4, 0), (0.5, 0), (0.51, 8), (1.0, 8)])
def test_fraction_on_a_ring_spreads_up_to_one_half(phi: float, left: int) -> None:
    assert from_graph(nx.cycle_graph(9), fraction(phi)).fail([0]).sum() == left


@pytest.mark.parametrize(("phi", "left"), [(0.1, 0), (0.11, 9), (0.9, 9)])
def test_fraction_on_a_complete_graph_is_all_or_nothing(phi: float, left: int) -> None:
    """Ten others each: one failure is a tenth of everybody's neighbours."""
    g = nx.complete_graph(11)
    g.remove_node(10)
    g.add_edges_from((10, i) for i in range(10))
    assert from_graph(g, fraction(phi)).fail([0]).sum() == (0 if phi <= 0.1 else left + 1)


def test_fraction_on_a_star_kills_leaves_but_not_the_hub() -> None:
    star = nx.star_graph(4)
    assert survivors(from_graph(star, fraction(0.5)), [0]) == set()
    assert survivors(from_graph(star, fraction(0.5)), [1]) == {0, 2, 3, 4}
    assert survivors(from_graph(star, fraction(0.5)), [1, 2]) == set()
    assert survivors(from_graph(star, fraction(0.75)), [1, 2]) == {0, 3, 4}


def test_fraction_zero_spreads_to_neighbours_only_from_failures() -> None:
    g = nx.disjoint_union(nx.path_graph(3), nx.path_graph(3))
    assert survivors(from_graph(g, fraction(0.0)), [0]) == {3, 4, 5}


def test_directed_failures_follow_the_arrows() -> None:
    g = nx.DiGraph([(0, 1), (2, 1)])
    assert survivors(from_graph(g, fraction(0.5)), [0]) == {2}
    assert survivors(from_graph(g, fraction(0.5)), [1]) == {0, 2}


# --------------------------------------------------------------------------- load


@pytest.mark.parametrize("n", [5, 9, 21])
@pytest.mark.parametrize(("alpha", "whole"), [(0.9, False), (0.999, False), (1.0, True), (1.001, True), (2.0, True)])
def test_load_on_an_odd_ring_has_its_threshold_at_alpha_one(n: int, alpha: float, whole: bool) -> None:
    """Loads by shortest paths on a ring of 2m + 1: after one removal the middle carries exactly twice its load."""
    left = from_graph(nx.cycle_graph(n), load(alpha)).fail([0]).sum()
    assert (left == n - 1) == whole


@pytest.mark.parametrize(("alpha", "left"), [(0.24, 0), (0.25, 4), (0.4, 4)])
def test_load_of_one_of_five_equal_nodes_is_shared_by_four(alpha: float, left: int) -> None:
    assert from_graph(nx.complete_graph(5), load(alpha, by="neighbours")).fail([0]).sum() == left


def test_load_without_a_working_neighbour_is_lost() -> None:
    g = nx.disjoint_union(nx.path_graph(2), nx.path_graph(2))
    assert survivors(from_graph(g, load(0.0, by="neighbours")), [0]) == {2, 3}
    assert survivors(from_graph(g, load(0.0, by="neighbours")), [0, 1]) == {2, 3}


@given(st.integers(0, 1_000), st.floats(0, 2), st.floats(0, 1))
def test_more_capacity_never_hurts(seed: int, alpha: float, more: float) -> None:
    g = nx.gnp_random_graph(25, 0.15, seed=seed)
    tight, wide = (from_graph(g, load(a, by="neighbours")).fail([0, 1]).sum() for a in (alpha, alpha + 5 + more))
    assert wide >= tight


# --------------------------------------------------------------------------- mutual dependence


def twins(edges: dict[str, list[tuple[int, int]]], n: int) -> nx.Graph:
    g = nx.Graph()
    for layer, pairs in edges.items():
        g.add_nodes_from(((layer, i) for i in range(n)), layer=layer)
        g.add_edges_from((((layer, a), (layer, b)) for a, b in pairs), dependency=False)
    first, second = edges
    g.add_edges_from((((first, i), (second, i)) for i in range(n)), dependency=True)
    return g


def test_mutual_layers_that_are_alike_lose_the_removed_pair_only() -> None:
    complete = [(i, j) for i in range(5) for j in range(i)]
    network = from_graph(twins({"a": complete, "b": complete}, 5), mutual())
    assert survivors(network, []) == {(layer, i) for layer in "ab" for i in range(5)}
    assert survivors(network, [("a", 2)]) == {(layer, i) for layer in "ab" for i in (0, 1, 3, 4)}


def test_mutual_failures_go_back_and_forth_between_layers() -> None:
    """Cutting the chain at one place takes its tail, the tail's partners, and what leant on those."""
    network = from_graph(
        twins({"a": [(0, 1), (1, 2), (2, 3), (3, 4)], "b": [(4, 0), (0, 1), (1, 2), (2, 3)]}, 5), mutual()
    )
    # a: 0-1-2-3-4, removing 3 leaves {0, 1, 2}; b loses 3 and 4 by dependence, keeps 0-1-2.
    assert survivors(network, [("a", 3)]) == {(layer, i) for layer in "ab" for i in (0, 1, 2)}
    # Removing 1 in a leaves {2, 3, 4}; in b, 2-3 stay joined without 0 and 1, 4 is cut off; then a keeps 2-3.
    assert survivors(network, [("a", 1)]) == {(layer, i) for layer in "ab" for i in (2, 3)}


def test_mutual_needs_to_know_the_layers() -> None:
    with pytest.raises(ConfigurationError, match="node attribute 'layer'"):
        from_graph(nx.path_graph(3), mutual())


def test_dependency_edges_do_not_connect_a_layer() -> None:
    g = nx.Graph()
    g.add_nodes_from([0, 1, 2], layer="one")
    g.add_edge(0, 1)
    g.add_edge(1, 2, dependency=True)
    assert survivors(from_graph(g, mutual()), []) == {0}
