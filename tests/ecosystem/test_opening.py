"""Open families, coverage that can be had, and models weighed by their abstraction integrity."""

from __future__ import annotations

import numpy as np
import pytest
from lean import LEAN

from mpbf_abm import simulate
from mpbf_abm.model.adoption import adoption_weights
from mpbf_abm.model.assimilation import attainable
from mpbf_abm.model.commons import CURATOR
from mpbf_abm.model.curators import curator_attention
from mpbf_abm.model.opening import exponent, rate, revealed
from mpbf_abm.model.planners import planner_attention
from mpbf_abm.model.steering import integrity_weights

OPEN = LEAN.updated(
    {
        "space.families": 60,
        "founding.records": 20,
        "curators.count": 3,
        "commons.concentration": 2.0,
        "commons.discount": 0.5,
        "planners.adjacency": 1.0,
        "curators.adjacency": 1.0,
    }
)


def test_dormant_families_hold_nothing_until_a_choice_founds_them() -> None:
    run = simulate(OPEN, seed=4, ticks=6)
    world, series = run.community.world, run.series
    known = revealed(world)
    assert 20 > series.families_revealed[0] > 1
    assert series.families_revealed.is_monotonic_increasing
    assert series.families_revealed.iloc[-1] == known.sum() < 60
    assert set(np.unique(world.commons.family)) <= set(np.flatnonzero(known))
    assert not world.experiments[~known].any()
    for share in (planner_attention(world), curator_attention(world)):
        assert not share[:, ~known].any()
    np.testing.assert_allclose(curator_attention(world).sum(axis=1), 1.0)
    # Choices are counted in their order: one for each founding record, acquisition and experiment.
    order = np.sort(world.revealed_at[known])
    assert order[0] == 1
    acquired = ((world.commons.key >> np.uint64(60)) == CURATOR).sum()
    assert order[-1] <= world.choices == 20 + world.totals.done + acquired
    assert 0 < series.heaps_revealed.iloc[-1] < 1


def test_a_new_family_is_a_neighbour_of_a_known_one_where_adjacency_is_whole() -> None:
    world = simulate(OPEN, seed=4, ticks=6).community.world
    at, near = world.revealed_at, world.space.similarity
    later = np.flatnonzero(at > 20)
    assert len(later)
    for k in later:
        earlier = (at >= 0) & (at < at[k])
        assert near[earlier, k].any() or not near[earlier][:, at < 0].any()


def test_novelty_is_defined_and_the_run_goes_on_when_no_family_is_left() -> None:
    run = simulate(OPEN.updated({"space.families": 6, "commons.concentration": 50.0}), seed=1, ticks=4)
    assert run.series.families_revealed.iloc[-1] == 6
    assert run.series[["novelty", "heaps", "families_d1"]].notna().all(axis=None)


def test_the_first_choice_of_all_founds_a_family() -> None:
    run = simulate(OPEN.updated({"founding.records": 0, "trainers.count": 0}), seed=2, ticks=2)
    assert run.series.families_revealed[0] >= 1
    assert rate(0.0, 0.5, 0, 0.0) == rate(0.0, 0.5, 3, 0.0) == 1.0


def test_curators_whose_repository_has_no_weight_for_what_is_known_choose_no_family() -> None:
    unlike = {"infrastructure.specialisation": 100.0, "infrastructure.enumerators": 3, "founding.records": 0}
    run = simulate(OPEN.updated(unlike | {"trainers.count": 0, "curators.coverage_seeking": 0.3}), seed=2, ticks=3)
    assert run.series.families_revealed.iloc[-1] >= 1


def test_every_family_is_open_from_the_start_without_concentration_and_discount() -> None:
    run = simulate(LEAN, seed=1, ticks=1)
    assert run.series.families_revealed[0] == 4
    assert run.series[["heaps_revealed", "heaps_first", "heaps_second"]].isna().all(axis=None)


def test_heaps_exponent_of_a_power_law() -> None:
    at = np.ceil(np.arange(1, 2_000) ** (1 / 0.7)).astype(np.int64)
    assert exponent(at, 9, 10_000) == pytest.approx(0.7, abs=0.01)
    assert np.isnan(exponent(at, 9, 10))


def test_coverage_that_can_be_had_reaches_1() -> None:
    sizes = np.array([10, 1_000])
    assert attainable(sizes, sizes, 0.2) == pytest.approx(1.0)
    assert attainable(np.zeros(2), sizes, 0.2) == 0.0
    assert attainable(sizes // 2, sizes, 50.0) == pytest.approx(0.5, abs=0.01)
    assert attainable(sizes // 2, sizes, 0.1) > attainable(sizes // 2, sizes, 0.3)


def test_what_curators_see_of_coverage_decides_on_audits() -> None:
    changes = {"curators.count": 3, "curators.records": 40, "space.materials": 500}
    absolute, relative = (
        simulate(LEAN.updated(changes | {"layers.coverage_share": share}), seed=1, ticks=12) for share in (0.0, 0.1)
    )
    assert absolute.summary["audits"] == 0
    assert absolute.series.boundary_shift_perceived.max() < 0 < relative.series.boundary_shift_perceived.max()
    assert relative.summary["audits"] > 0


def test_models_of_low_integrity_count_less_where_it_has_a_say() -> None:
    p = LEAN.updated({"curators.count": 2, "curators.model_guidance": 1.0, "trainers.objective": "mixed"})
    world = simulate(p, seed=3, ticks=5).community.world
    assert integrity_weights(world) is None
    plain = curator_attention(world)[0]
    world.p = p.updated({"coupling.integrity_weight": 3.0})
    weights, models = integrity_weights(world), dict(world.models())
    assert weights is not None
    assert len({m.diagnosis.integrity_perceived for m in models.values()}) > 1
    for i, model in models.items():
        assert weights[i] == max(model.diagnosis.integrity_perceived, 0.05) ** 3
    assert not np.array_equal(plain, curator_attention(world)[0])
    assert adoption_weights(world, np.arange(2)).shape == (2, len(weights))
