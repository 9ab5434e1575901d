"""Dependence with frictions: limits of adapters, time, hosts and open weights, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from lean import LEAN

from mpbf_abm import Shock
from mpbf_abm.cli import main
from mpbf_abm.measures.keystones import standing
from mpbf_abm.model.ecosystem import Ecosystem
from mpbf_abm.model.indicators import observe
from mpbf_abm.model.links import NONE, Infrastructure

HOSTED = {"infrastructure.service": "host", "infrastructure.hosts": 3}
ADAPTING = {"planners.adapter_records": 50, "planners.experiments": 3.0}


def begin(changes: dict[str, Any], *shocks: Shock) -> Ecosystem:
    return Ecosystem(LEAN.updated(changes), 3, shocks=shocks, record=())


def after(ticks: int, changes: dict[str, Any], *shocks: Shock) -> Any:
    """Return the world after some ticks."""
    eco = begin(changes, *shocks)
    for _ in range(ticks):
        eco.step()
    eco.release()
    return eco.world


# --------------------------------------------------------------------------- adapters


@pytest.mark.parametrize("experiments", [1.0, 14.0], ids=["fewer results than features", "more"])
def test_an_adapter_is_the_dense_regression_on_what_its_model_misses(experiments: float) -> None:
    # A correction of 0 leaves the head that the weights were fitted to.
    many = {"planners.experiments": experiments, "planners.adapter_records": 200}
    world = after(4, many | {"coupling.correction": 0.0})
    sizes, s = [], world.p.planners.adapter_sd
    made = (
        0
        if world.results is None
        else np.bincount(world.results.planner, ~np.isnan(world.results.observed), len(world.planners)).astype(int)
    )
    for lab, adapter in world.adapters.items():
        kept = len(adapter.material) - made[lab]  # what it knew when it was fitted
        material, observed, variance = (getattr(adapter, n)[:kept] for n in ("material", "observed", "variance"))
        model, views = adapter.model, np.zeros((kept, world.space.view_dims), np.float32)
        phi = model.features(world.space.ambient_rows(material, views)).astype(np.float64)
        head = model.head
        missed = observed - head.predict(phi.astype(np.float32))[0]
        precision = np.diag(1 / (variance + head.noise))
        dense = np.linalg.inv(phi.T @ precision @ phi + np.eye(phi.shape[1]) / s**2) @ phi.T @ precision @ missed
        np.testing.assert_allclose(adapter.weights, dense, atol=1e-5)
        sizes.append((kept, phi.shape[1]))
    assert sizes
    assert all((n > p) == (experiments > 1) for n, p in sizes)


def test_an_adapter_of_no_prior_sd_vanishes() -> None:
    small = after(4, ADAPTING | {"planners.adapter_sd": 0.001})
    assert max(abs(a.weights).max() for a in small.adapters.values()) < 1e-4
    assert max(abs(a.weights).max() for a in after(4, ADAPTING).adapters.values()) > 0.01


def test_a_lab_that_changes_lineage_loses_its_adapter_and_heads_do_not_depend_on_adapters() -> None:
    eco = begin(ADAPTING | {"infrastructure.notice": 1}, Shock("model_withdrawal", start=4, target=0))
    for _ in range(4):
        eco.step()
    world = eco.world
    users = np.flatnonzero(world.infrastructure.lab_models[:, 0] == 0).tolist()
    others = set(range(len(world.planners))) - set(users)
    assert users
    assert others
    assert all(len(world.adapters[lab].material) > 6 for lab in users)
    eco.step()
    assert world.infrastructure.model_in_use()[users[0]] != 0
    assert all(len(world.adapters[lab].material) <= 5 for lab in users)
    assert all(len(world.adapters[lab].material) > 6 for lab in others)
    eco.release()


def test_heads_are_corrected_by_what_they_missed_themselves() -> None:
    """With one choice of a family and one candidate adapters change no test, and so no head."""
    alone = {"space.families": 1, "planners.candidates": 1, "trainers.retrain_interval": 50}
    plain, adapted = after(6, ADAPTING | alone | {"planners.adapter_records": 0}), after(6, ADAPTING | alone)
    assert np.abs(adapted.results.shift).max() > 0.01
    np.testing.assert_array_equal(plain.results.material, adapted.results.material)
    for ours, theirs in zip(adapted.registry.models, plain.registry.models, strict=True):
        np.testing.assert_allclose(ours.head.mean, theirs.head.mean, atol=1e-5)
        np.testing.assert_allclose(ours.recent, theirs.recent, atol=1e-5)


# --------------------------------------------------------------------------- trainers


def test_time_of_training_publishes_the_same_model_later() -> None:
    still = {"planners.count": 0, "stocks.compute": 0.0}
    soon, late = after(5, still), after(7, still | {"trainers.training_time": 2})
    # Trainer 0 trains at tick 4, when its model comes at once, or is still to come for two ticks.
    assert [w.registry.models[0].trained for w in (soon, late)] == [4, 4]
    np.testing.assert_array_equal(soon.registry.models[0].panel_mean, late.registry.models[0].panel_mean)
    assert after(6, still | {"trainers.training_time": 2}).registry.models[0].trained == 0


def test_a_frozen_model_ages() -> None:
    ages = [
        observe(after(7, {}, *shocks))["model_age"] for shocks in ((), [Shock("model_freeze", start=1, strength=1)])
    ]
    assert ages[0] < ages[1] == 6


def test_a_search_of_no_time_is_rewiring_of_all_links_for_trainers_without_a_source() -> None:
    def sources(changes: dict[str, Any]) -> list[list[list[int]]]:
        lost = Shock("repository_outage", start=2, target=0)
        once = {"trainers.retrain_interval": 1, "planners.count": 0, "founding.concentration": 1.0}
        return [after(t, once | changes, lost).infrastructure.model_repositories.tolist() for t in (2, 3)]

    before, searched = sources({"infrastructure.search_time": 0})
    _, rewired = sources({"infrastructure.rewiring": 1.0})
    lost = [m for m, row in enumerate(before) if row == [0]]
    assert lost
    assert all(searched[m] == rewired[m] != [0] for m in lost)
    assert all(searched[m] == before[m] for m in range(len(before)) if m not in lost)


# --------------------------------------------------------------------------- hosts and labs


def test_a_host_outage_silences_exactly_its_models_and_open_weights_keep_a_withdrawn_one_served() -> None:
    out = Shock("host_outage", start=1, end=9, target=1)
    assert after(2, HOSTED | {"trainers.count": 5}, out).infrastructure.working_models().tolist() == [
        True,
        False,
        True,
        True,
        False,
    ]
    gone = [Shock("model_withdrawal", start=1, target=0), Shock("repository_outage", start=1, strength=1.0)]
    closed = Shock("licence_end", start=2, target=0)
    for open_weights, shocks, served in ((0.0, gone, False), (1.0, gone, True), (1.0, [*gone, closed], False)):
        world = after(3, HOSTED | {"infrastructure.open_weights": open_weights}, *shocks)
        # Without data models are served as they are.
        assert world.infrastructure.working_models().tolist() == [served, True, True]


def test_hosts_are_nodes_of_the_graph_and_tables_and_keystones_are_as_without() -> None:
    world = after(2, HOSTED | {"trainers.count": 5}, Shock("host_outage", start=1, end=9, target=1))
    graph, plain = world.infrastructure.graph(), after(2, {"trainers.count": 5})
    assert [graph.nodes["host", i]["works"] for i in range(3)] == [True, False, True]
    assert list(graph.successors(("host", 1))) == [("model", 1), ("model", 4)]
    assert graph.edges[("host", 1), ("model", 4)]["relation"] == "serves"
    for ours, theirs in zip(world.infrastructure.tables(), plain.infrastructure.tables(), strict=True):
        assert [*ours] == [*theirs]
        assert len(ours) == len(theirs)
    assert len(standing(world, "model")) == 5


def test_who_drops_a_model_that_it_was_learning_to_use_does_not_learn_it() -> None:
    infrastructure = Infrastructure(np.zeros(1, bool), models=2, labs=2, providers=1, need=1)
    infrastructure.lab_models[:] = [[0], [NONE]]
    infrastructure.model_repositories[:] = 0
    infrastructure.unready[:] = [[True, False], [True, False]]
    assert infrastructure.labs_learning().tolist() == [True, False]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--set", "infrastructure.search_time=-2"], "infrastructure.search_time"),
        (["--set", "infrastructure.hosts=0"], "infrastructure.hosts"),
        (["--set", "infrastructure.service=foo"], "infrastructure.service"),
        (["--shock", "host_outage:start=1"], "shock 'host_outage': there are no hosts; they serve models with"),
        (
            ["--set", "infrastructure.service=host", "--shock", "host_outage:start=1,target=1"],
            "shock 'host_outage': target = 1: must be from 0 to 0 (infrastructure.hosts = 1)",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(words: list[str], line: str, capsys: Any, tmp_path: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "--ticks", "2", *words, "--out", str(tmp_path / "x")])
    assert ended.value.code == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith("mpbf: ")
    assert line in said[0]
