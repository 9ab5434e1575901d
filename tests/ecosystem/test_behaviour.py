"""Rules that only show in a running community."""

from __future__ import annotations

import gc
import tracemalloc
import weakref

import numpy as np
import pandas as pd
import pytest

from mpbf_abm import MaterialsSpace, Parameters, Policy, Shock, simulate
from mpbf_abm.model.community import Community
from mpbf_abm.model.ecosystem import Ecosystem
from mpbf_abm.model.indicators import UNITS
from mpbf_abm.model.modalities import FIDELITY, MEASURED

SMALL = Parameters.preset("single-quick").updated(
    {"space.materials": 2_000, "space.families": 10, "founding.records": 400}
)


def test_a_branch_restored_in_the_middle_of_a_policy_is_free_of_it() -> None:
    eco = Ecosystem(
        SMALL, 1, policies=[Policy("exploration_floor", strength=0.9), Policy("invariance_standard")], record=()
    )
    eco.step()
    eco.step()
    branch = Ecosystem.restore(eco.snapshot(), policies=[], shocks=[])
    branch.step()
    assert branch.world.p == SMALL
    assert np.all(branch.world.trainers.invariance == SMALL.trainers.invariance)
    assert eco.world.p.planners.exploration_floor == 0.9
    branch.release()
    eco.release()


def test_what_is_called_a_share_lies_between_0_and_1() -> None:
    for seed in range(3):
        run = simulate(SMALL, seed=seed, ticks=25)
        for column, unit in UNITS.items():
            values = run.series[column].to_numpy() if column in run.series else np.array([run.summary[column]])
            if unit == "share":
                assert ((values >= 0.0) & (values <= 1.0) | np.isnan(values)).all(), column


def test_later_seeds_of_a_branch_come_on_top_of_those_of_the_run() -> None:
    eco = Ecosystem(SMALL, 1, reseed={3: 9})
    for _ in range(5):
        eco.step()
    branch = Ecosystem.restore(eco.snapshot(), reseed={7: 8})
    for _ in range(4):
        branch.step()
    whole = simulate(SMALL, seed=1, ticks=9, reseed={3: 9, 7: 8})
    assert np.array_equal(branch.world.commons.value, whole.ecosystem.world.commons.value)
    branch.release()
    eco.release()


@pytest.mark.parametrize("trainers", [0, 1])
def test_random_choice_from_a_pool_does_not_follow_the_order_of_the_file(trainers: int) -> None:
    table = pd.DataFrame({"a": np.linspace(0, 1, 150), "b": np.linspace(0, 1, 150) ** 2, "goal": np.arange(150.0)})
    pool = MaterialsSpace.from_pool(table, objective="goal")
    p = Parameters.preset("pool").updated({"planners.acquisition": "random", "trainers.count": trainers})
    made = []
    for seed in range(2):
        run = simulate(p, seed=seed, ticks=40, space=pool, record=())
        commons = run.ecosystem.world.commons
        made.append(commons.material[commons.producer >= 0])
        correlation = np.corrcoef(np.arange(len(made[-1])), made[-1])[0, 1]
        assert abs(correlation) < 0.6
    assert not np.array_equal(made[0], made[1])


@pytest.mark.parametrize(("quota", "records"), [(0.3, 4), (0.6, 4), (0.6, 1)])
def test_a_measured_quota_is_met_by_what_curators_acquire(quota: float, records: int) -> None:
    p = SMALL.updated(
        {
            "curators.measured_quota": quota,
            "curators.records": records,
            "curators.response_dal": 0.0,
            "trainers.count": 0,
            "planners.count": 0,
            "curators.provenance_errors": 0.0,
            "founding.records": 0,
            "curators.audit_rate": 0.0,
        }
    )
    commons = simulate(p, seed=1, ticks=60, record=()).ecosystem.world.commons
    share = float((FIDELITY[commons.modality] == MEASURED).mean())
    # Crystal graphs stand in where a material has no measured kind of data or cannot be made.
    assert abs(share - quota) < 0.06


def test_a_budget_is_spent_whatever_it_buys() -> None:
    p = SMALL.updated(
        {"trainers.count": 0, "planners.count": 0, "curators.response_dal": 0.0, "curators.provenance_errors": 0.0}
    )
    world = simulate(p, seed=1, ticks=60, record=()).ecosystem.world
    given = 60 * p.curators.count * p.curators.records * (1 - p.curators.audit_rate)
    records = world.commons.modality[world.commons.producer >= 0]
    cost = np.array([1.0, 2.5, 4.0])[FIDELITY[records]].sum()
    # Audits turned some records into measured ones; what is left unspent is at most a record each.
    assert abs(cost / given - 1) < 0.1


@pytest.mark.parametrize(
    "name", ["repository_outage", "model_withdrawal", "objective_shift", "functional_revision", "funding_cut"]
)
def test_a_shock_of_strength_zero_does_nothing(name: str) -> None:
    plain, shocked = (
        simulate(SMALL, seed=1, ticks=6, shocks=s) for s in ([], [Shock(name, start=3, end=5, strength=0.0)])
    )
    assert plain.series.equals(shocked.series)


@pytest.mark.parametrize("strength", [0.25, 0.5, 1.0])
def test_a_revision_of_simulation_errs_as_much_elsewhere(strength: float) -> None:
    eco = Ecosystem(SMALL, 1, shocks=[Shock("functional_revision", start=0, strength=strength)], record=())
    truth = eco.world.truth
    before = truth.simulated - truth.property
    eco.step()
    after = truth.simulated - truth.property
    assert abs(after.std() / before.std() - 1) < 0.03
    assert abs(np.corrcoef(before, after)[0, 1]) < 0.99
    eco.release()


def test_models_that_build_on_simulation_follow_its_revision() -> None:
    p = SMALL.updated({"trainers.physical_prior": True, "coupling.correction": 0.0})
    eco = Ecosystem(p, 1, shocks=[Shock("functional_revision", start=1, strength=1.0)], record=())
    eco.step()
    eco.step()
    model = eco.world.registry.models[0]
    assert model is not None
    mean = model.head.predict(model.panel_phi)[0] + eco.world.truth.simulated[model.panel.materials.ravel()]
    np.testing.assert_allclose(model.panel_mean.ravel(), mean, atol=1e-4)
    eco.release()


@pytest.mark.parametrize("kind", [Community, Ecosystem])
def test_a_community_that_goes_out_of_scope_is_freed(kind: type[Community]) -> None:
    tiny = SMALL.updated({"space.materials": 200, "founding.records": 50, "planners.count": 3})
    alive: weakref.WeakSet[Community] = weakref.WeakSet()
    held = []
    tracemalloc.start()
    for seed in range(20):
        eco = kind(tiny, seed)
        eco.step()
        alive.add(eco)
        del eco
        if seed in (4, 19):
            gc.collect()
            held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert not alive
    assert held[1] - held[0] < 200_000


def test_agents_of_an_ecosystem_have_numbers_of_their_own() -> None:
    ids = [agent.unique_id for agent in Ecosystem(SMALL, 1).agents]
    assert ids == list(range(1, len(ids) + 1))
