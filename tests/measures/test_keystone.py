"""Single losses: nodes that nobody needs cost exactly nothing, hubs cost most, and labels do not matter."""

from __future__ import annotations

import math

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lean import LEAN
from scipy.stats import spearmanr

from mpbf_abm import Ecosystem, Policy, Shock, simulate
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.measures.keystones import STATIC, keystones, single_losses, standing, static_ranking
from mpbf_abm.measures.path import damage

COSTS = ["found_share", "unsteered_share", "damage"]


@pytest.mark.parametrize("kind", ["repository", "model"])
def test_a_node_that_nobody_leans_on_costs_exactly_nothing(kind):
    table = single_losses(LEAN, range(6), 12, start=5, kind=kind)
    idle = table["users"] == 0
    assert 0 < idle.sum() < len(table)
    assert (table.loc[idle, COSTS] == 0).all(axis=None)
    assert (table.loc[idle, ["katz", "reach"]] == 1).all(axis=None)
    assert (table.loc[~idle & (table["reach"] > 2), "unsteered_share"] > 0).all()


def test_a_second_provider_makes_every_single_repository_dispensable():
    one, two = (
        single_losses(LEAN.replace("infrastructure.providers", r), range(4), 12, start=5)[COSTS] for r in (1, 2)
    )
    assert (two == 0).all(axis=None)
    assert one["unsteered_share"].sum() > 0
    mirrored = single_losses(LEAN, range(4), 12, start=5, policies=[Policy("redundancy", start=2)])[COSTS]
    assert (mirrored == 0).all(axis=None)


def test_the_hub_is_the_keystone():
    """All models train on the repository that is largest at founding, and lose it together."""
    hub = LEAN.updated({"infrastructure.preference": 6.0, "infrastructure.openness": 0.0, "founding.records": 500})
    table = single_losses(hub, range(10), 12, start=5)
    first = keystones(table, "unsteered_share").iloc[0]
    assert (first["role"], first["rank"], first["costliest"]) == (1, 1, 1)
    assert first["low"] > 0
    assert (table.loc[table["role"] == 1, "users"] >= 2).all()
    rho = static_ranking(table, "unsteered_share").set_index("measure")
    assert (rho.loc[["users", "katz", "reach"], "rho_within"] > 0.9).all()
    assert (rho["high_within"] <= 1).all()


@pytest.mark.parametrize("kind", ["repository", "model"])
def test_a_cost_is_the_difference_of_two_whole_runs(kind):
    """From the start, with and without the shock, on the same seed; the summary of a run says both."""
    better = {"found_share": "more", "outages": "less"}
    table = single_losses(LEAN, [3], 11, start=4, kind=kind, better=better)
    shock = {"repository": "repository_outage", "model": "model_withdrawal"}[kind]
    plain = simulate(LEAN, seed=3, ticks=11)
    for row in table.itertuples():
        run = simulate(LEAN, seed=3, ticks=11, shocks=[Shock(shock, start=4, target=row.node)])
        assert row.found_share == plain.summary["found_share"] - run.summary["found_share"]
        assert row.outages == 1
        shares = [r.ecosystem.world.commons.records_by_family() + LEAN.founding.mass for r in (plain, run)]
        assert row.damage == pytest.approx(damage(*shares), abs=1e-12)


def test_roles_only_rename_nodes():
    table = single_losses(LEAN.replace("infrastructure.openness", 0.0), range(5), 10, start=5)
    assert table.duplicated(["seed", "users"]).any()
    for _, part in table.groupby("seed"):
        assert sorted(part["role"]) == [1, 2, 3, 4]
        by_role = part.sort_values("role")
        assert by_role["users"].is_monotonic_decreasing
        assert by_role.sort_values(["users", "size", "node"], ascending=[False, False, True])["role"].tolist() == [
            1,
            2,
            3,
            4,
        ]
    relabelled = table.assign(node=3 - table["node"])
    pd.testing.assert_frame_equal(keystones(relabelled, "damage"), keystones(table, "damage"))
    here, there = keystones(table, "damage", by="node"), keystones(relabelled, "damage", by="node")
    np.testing.assert_allclose(
        here.sort_values("node")["cost"], there.sort_values("node", ascending=False)["cost"], rtol=1e-12
    )


# --------------------------------------------------------------------------- static measures


@pytest.mark.parametrize("kind", ["repository", "model"])
def test_standing_is_that_of_the_graph(kind):
    eco = Ecosystem(LEAN.replace("infrastructure.providers", 2), 5, record=())
    for _ in range(3):
        eco.step()
    table, nodes = standing(eco.world, kind), eco.world.infrastructure
    graph = nodes.graph()
    leans = nx.DiGraph([(u, v) for u, v, d in graph.edges(data=True) if d["relation"] == "provides"])
    leans.add_nodes_from(graph)
    between = nx.betweenness_centrality(graph.to_undirected(), normalized=False)
    for node, row in table.iterrows():
        name = (kind, node)
        assert row["users"] == leans.out_degree(name)
        assert row["degree"] == len(set(graph.predecessors(name)) | set(graph.successors(name)))
        assert row["load"] == pytest.approx(between[name], abs=1e-8)
        assert row["reach"] == 1 + len(nx.descendants(leans, name))
        further = sum(leans.out_degree(v) for v in leans.successors(name))
        assert row["katz"] == 1 + 0.5 * leans.out_degree(name) + 0.25 * further
    eco.release()


# --------------------------------------------------------------------------- tables of costs


def frame(costs, **measures):
    """Single losses of a table of costs (seeds, nodes), with the roles in order."""
    costs = np.asarray(costs, float)
    seeds, nodes = costs.shape
    columns = {name: np.ravel(np.broadcast_to(v, costs.shape)).astype(float) for name, v in measures.items()}
    return pd.DataFrame(
        {
            "seed": np.repeat(np.arange(seeds), nodes),
            "node": np.tile(np.arange(nodes), seeds),
            "role": np.tile(np.arange(nodes) + 1, seeds),
            "harm": costs.ravel(),
            **dict.fromkeys(STATIC, 1.0),
            **columns,
        }
    )


def test_the_costliest_is_known_where_nothing_is_left_to_chance():
    table = keystones(frame(np.tile([0.0, 2.0, 1.0, 0.0], (12, 1))), "harm")
    assert table["role"].tolist() == [2, 3, 1, 4]
    assert table["rank"].tolist() == [1, 2, 3.5, 3.5]
    assert table["costliest"].tolist() == [1, 0, 0, 0]
    assert table["low"].tolist() == table["high"].tolist() == table["median"].tolist() == [2, 1, 0, 0]
    twins = keystones(frame(np.repeat(np.random.default_rng(0).normal(size=(12, 1)), 2, axis=1)), "harm")
    assert twins["costliest"].tolist() == [0.5, 0.5]
    nothing = keystones(frame(np.zeros((4, 5))), "harm")
    assert nothing["costliest"].tolist() == pytest.approx([0.2] * 5)
    assert nothing["low"].isna().all()


def test_the_chance_of_being_costliest_is_that_of_means():
    """Two nodes whose difference is normal with mean d and error e: Phi(d/e)."""
    rng = np.random.default_rng(1)
    costs = rng.normal(size=(400, 2)) + np.array([0.1, 0.0])
    gap = costs[:, 0] - costs[:, 1]
    expected = 0.5 * math.erfc(-gap.mean() / gap.std() * math.sqrt(400) / math.sqrt(2))
    table = keystones(frame(costs), "harm").set_index("role")
    assert table.loc[1, "costliest"] == pytest.approx(expected, abs=4.5 * math.sqrt(0.25 / 2_000))


def test_intervals_hold_for_all_nodes_together():
    rng, held, runs = np.random.default_rng(2), 0, 100
    truth = np.array([0.0, 0.5, 1.0, 0.2, 0.0])
    for run in range(runs):
        shared = rng.normal(size=(30, 1))
        table = keystones(frame(truth + shared + rng.normal(size=(30, 5))), "harm", seed=run).sort_values("role")
        held += ((table["low"] <= truth) & (truth <= table["high"])).all()
    assert held / runs > 0.95 - 3 * math.sqrt(0.05 * 0.95 / runs)


@given(st.integers(2, 7), st.integers(1, 6), st.integers(0, 999))
def test_static_rankings_are_spearmans(nodes, seeds, seed):
    rng = np.random.default_rng(seed)
    costs, users = rng.normal(size=(seeds, nodes)), rng.integers(0, 4, (seeds, nodes)) + 1e-3 * np.arange(nodes)
    table = static_ranking(frame(costs, users=users, katz=2.0 * costs, load=-costs), "harm").set_index("measure")
    rho = spearmanr(users.mean(axis=0), costs.mean(axis=0)).statistic if nodes > 1 else math.nan
    assert table.loc["users", "rho"] == pytest.approx(rho)
    each = [spearmanr(u, c).statistic for u, c in zip(users, costs, strict=True)]
    assert table.loc["users", "rho_within"] == pytest.approx(np.mean(each))
    assert table.loc["katz", ["rho", "rho_within"]].tolist() == pytest.approx([1, 1])
    assert table.loc["load", ["rho", "rho_within"]].tolist() == pytest.approx([-1, -1])
    if seeds > 1:
        assert table.loc["katz", ["low", "high"]].tolist() == pytest.approx([1, 1])
    else:
        assert table[["low", "high", "low_within", "high_within"]].isna().all(axis=None)
    assert math.isnan(table.loc["degree", "rho"])
    assert table["seeds"].to_dict() == {m: seeds if m in ("users", "katz", "load") else 0 for m in STATIC}


def test_what_is_not_known_of_a_seed_is_left_out():
    costs = np.array([[1.0, 0.0], [3.0, np.nan], [np.nan, 2.0]])
    table = keystones(frame(costs), "harm").set_index("role")
    assert table["cost"].to_dict() == {1: 2.0, 2: 1.0}
    assert table["seeds"].tolist() == [2, 2]
    assert np.isfinite(table["costliest"]).all()


# --------------------------------------------------------------------------- faults


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"kind": "lab"}, "kind = 'lab': must be 'repository' or 'model'"),
        ({"parameters": LEAN.replace("trainers.count", 0), "kind": "model"}, "trainers.count = 0: there is no model"),
        ({"seeds": []}, "seeds: one or more"),
        ({"seeds": [1, 1]}, "different ones are needed"),
        ({"start": 8}, "start = 8: must be from 0 to below the horizon of 8 ticks"),
        ({"better": {"found_shar": "more"}}, "unknown outcome 'found_shar'; did you mean 'found_share'"),
        ({"better": {"found_share": "up"}}, "found_share = 'up': must be 'more' or 'less'"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(changes, says):
    with pytest.raises(ConfigurationError, match=says) as refused:
        single_losses(**{"parameters": LEAN, "seeds": [1], "ticks": 8, "start": 2, **changes})
    assert len(refused.value.faults) == 1


def test_columns_that_are_not_there_are_told():
    table = frame(np.full((2, 2), np.nan))
    for call, says in (
        (lambda: keystones(table, "harms"), "no column 'harms'; did you mean 'harm'"),
        (lambda: keystones(table, "users", by="name"), "by = 'name': must be 'role' or 'node'"),
        (lambda: static_ranking(table, "harm"), "harm is not known of every role in any seed"),
    ):
        with pytest.raises(ConfigurationError, match=says):
            call()
