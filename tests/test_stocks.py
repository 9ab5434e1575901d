"""Stocks and flows: whole budgets with a fixed total, shares that sum to 1, books that balance."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpbf_abm import Ecosystem, Parameters, Shock, simulate
from mpbf_abm.errors import BookkeepingError
from mpbf_abm.model.stocks import apportion, fund, funding_shares, maintain, outages, totals
from mpbf_abm.model.world import Books, Planners
from mpbf_abm.streams import Streams

# --------------------------------------------------------------------------- largest remainder


def shared_out(claims: list[float]) -> np.ndarray:
    return apportion(np.array(claims), np.arange(len(claims)))


@given(st.lists(st.floats(0, 20), min_size=1, max_size=30))
def test_budgets_are_whole_and_their_total_is_the_whole_part_of_the_claims(claims: list[float]) -> None:
    budget = shared_out(claims)
    assert budget.dtype == np.int64
    assert budget.min() >= 0
    assert budget.sum() == math.floor(sum(claims) + 1e-9)


@given(st.lists(st.floats(0, 20), min_size=1, max_size=30))
def test_nobody_is_off_by_more_than_one_experiment(claims: list[float]) -> None:
    budget, total = shared_out(claims), math.floor(sum(claims) + 1e-9)
    if total:
        quota = np.array(claims) * total / sum(claims)
        assert np.abs(budget - quota).max() < 1 + 1e-6


@given(st.lists(st.floats(0, 20), min_size=2, max_size=30))
def test_who_claims_more_never_gets_less(claims: list[float]) -> None:
    budget = shared_out(sorted(claims))
    quota = np.sort(np.array(claims))
    apart = np.diff(quota) > 1e-6
    assert np.all(np.diff(budget)[apart] >= 0)


@given(st.lists(st.floats(-3, 20), min_size=1, max_size=30))
def test_debts_get_nothing_and_lower_the_total(claims: list[float]) -> None:
    values = np.array(claims)
    budget = shared_out(claims)
    assert budget.sum() == max(0, math.floor(values.sum() + 1e-9))
    assert not budget[values <= 0].any()


@pytest.mark.parametrize(
    ("claims", "budget"),
    [
        ([2.6, 1.3, 0.1], [3, 1, 0]),
        ([0.5, 0.5, 0.5, 0.5], [1, 1, 0, 0]),
        ([1.4, 1.4, 1.2], [2, 1, 1]),
        ([0.4, 0.4], [0, 0]),
        ([0.0, 0.0], [0, 0]),
        ([3.0, 2.0], [3, 2]),
        ([-1.0, 2.5], [0, 1]),
        ([0.1] * 10, [1] + [0] * 9),
    ],
)
def test_largest_remainders_by_hand_with_ties_to_the_lowest_slot(claims: list[float], budget: list[int]) -> None:
    assert shared_out(claims).tolist() == budget


@given(st.lists(st.sampled_from([0.2, 0.5, 0.7, 1.1, 2.3]), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_budgets_follow_the_claimant_not_its_row(claims: list[float], random: Any) -> None:
    order = np.arange(len(claims))
    random.shuffle(order)
    np.testing.assert_array_equal(apportion(np.array(claims)[order], order), shared_out(claims)[order])


# --------------------------------------------------------------------------- books


def books() -> Books:
    b = Books()
    b.open(funding=10.0, health=3.0)
    b.flow("funding", "income", 4.0)
    b.flow("funding", "experiments", -2.5)
    b.flow("funding", "income", 1.0)
    return b


def test_books_balance_when_every_change_is_a_named_flow() -> None:
    b = books()
    b.check(funding=12.5, health=3.0)
    assert b.flows == {"funding": {"income": 5.0, "experiments": -2.5}, "health": {}}


@pytest.mark.parametrize("closing", [12.4999, 12.6, 10.0, -12.5, math.nan, math.inf])
def test_books_refuse_what_no_flow_explains(closing: float) -> None:
    with pytest.raises(BookkeepingError, match=r"stock 'funding' closed at .*its flows make 12\.5"):
        books().check(funding=closing)


def test_books_name_the_flows_of_the_stock_that_is_off() -> None:
    with pytest.raises(BookkeepingError, match=r"opening 3, flows \{\}"):
        books().check(funding=12.5, health=2.0)


def test_flows_belong_to_stocks_that_were_opened() -> None:
    with pytest.raises(KeyError):
        books().flow("gold", "found", 1.0)


def test_a_new_tick_forgets_the_flows_of_the_last() -> None:
    b = books()
    b.open(funding=12.5)
    b.flow("funding", "income", 2.0)
    assert b.flows == {"funding": {"income": 2.0}}
    b.check(funding=14.5)


# --------------------------------------------------------------------------- shares


def community(p: Parameters, claims: Any, tick: int = 0, seed: int = 0) -> Any:
    """What funding needs of a world."""
    streams = Streams(seed)
    planners = Planners(len(claims), claims=np.asarray(claims, float))

    def uniform(decision: str, cohort: Planners, width: int) -> np.ndarray:
        return streams.uniform(decision, tick, (len(cohort), width))[cohort.slots]

    return SimpleNamespace(p=p, planners=planners, uniform=uniform, tick=tick)


def shares(claims: Any, tick: int = 0, seed: int = 0, **stocks: float) -> np.ndarray:
    p = Parameters.preset("single-default").replace(**{f"stocks.{name}": value for name, value in stocks.items()})
    return funding_shares(community(p, claims, tick, seed))


@given(st.lists(st.floats(0, 50), min_size=1, max_size=12), st.floats(0, 1), st.floats(0, 1), st.floats(0, 4))
def test_shares_of_funding_sum_to_one(claims: list[float], merit: float, lottery: float, matthew: float) -> None:
    s = shares(claims, merit_share=merit, lottery_share=lottery, matthew=matthew)
    assert s.sum() == pytest.approx(1)
    assert s.min() >= -1e-15


def test_equal_funding_is_equal_whatever_the_claims() -> None:
    np.testing.assert_allclose(shares([0, 3, 90], merit_share=0.0), 1 / 3)


@pytest.mark.parametrize(("matthew", "expected"), [(0.0, [0.5, 0.5]), (1.0, [0.25, 0.75]), (2.0, [0.1, 0.9])])
def test_merit_grows_with_claims_to_the_matthew_exponent(matthew: float, expected: list[float]) -> None:
    np.testing.assert_allclose(shares([0, 2], merit_share=1.0, matthew=matthew), expected)
    mixed = 0.4 * np.array(expected) + 0.6 * 0.5
    np.testing.assert_allclose(shares([0, 2], merit_share=0.4, matthew=matthew), mixed)


def test_the_lottery_gives_half_of_the_planners_the_pot_anew_every_tick() -> None:
    n, ticks = 10, 400
    wins = np.array([shares(np.zeros(n), tick, lottery_share=1.0, merit_share=1.0) for tick in range(ticks)])
    assert set(np.unique(wins)) == {0.0, 0.2}
    np.testing.assert_allclose((wins > 0).sum(axis=1), 5)
    rate = (wins > 0).mean(axis=0)
    assert np.all(np.abs(rate - 0.5) < 4.5 * 0.5 / np.sqrt(ticks))


def test_the_lottery_takes_precedence_over_merit() -> None:
    s = shares([0, 0, 0, 96], lottery_share=0.7, merit_share=0.8, matthew=1.0)
    fixed = 0.3 * np.array([0.01, 0.01, 0.01, 0.97])
    np.testing.assert_allclose(np.sort(s - fixed), [0, 0, 0.35, 0.35], atol=1e-12)


def test_a_lone_planner_always_wins() -> None:
    assert shares([4], lottery_share=0.5).tolist() == [1.0]


def test_a_community_without_planners_has_no_shares() -> None:
    """Isolated planners alone are a community of none."""
    assert len(funding_shares(community(Parameters.preset("single-default"), []))) == 0


# --------------------------------------------------------------------------- phases on a real community

SMALL = {
    "space.materials": 400,
    "space.families": 5,
    "founding.records": 60,
    "trainers.count": 0,
    "curators.count": 3,
    "planners.count": 9,
    "planners.experiments": 0.37,
    "infrastructure.repositories": 3,
}


def ecosystem(**changes: Any) -> Ecosystem:
    return Ecosystem(Parameters.preset("single-default").updated({**SMALL, **changes}), 3, record=())


@pytest.mark.parametrize(
    "changes",
    [{}, {"stocks.lottery_share": 0.5}, {"stocks.merit_share": 1.0, "stocks.matthew": 4.0}, {"stocks.funding": 0.3}],
)
def test_the_total_of_experiments_is_fixed_however_they_are_shared(changes: dict[str, Any]) -> None:
    eco = ecosystem(**changes)
    p, world, given_out = eco.parameters, eco.world, 0
    for tick in range(20):
        eco.step()
        given_out += int(world.planners.budget[:9].sum())
        income = 9 * 0.37 * p.stocks.funding * (tick + 1)
        assert given_out <= income + 1e-9
        assert given_out > income - 1.001 - 1e-9
    eco.release()


def test_attention_flows_in_up_to_its_cap() -> None:
    eco = ecosystem(**{"stocks.attention": 50.0, "stocks.attention_cap": 60.0})
    fund(eco.world)
    assert eco.world.planners.attention.tolist() == [60.0] * 9
    assert eco.world.books.flows["attention"] == {"inflow": 90.0}
    eco.release()


def test_an_unrecorded_change_of_a_stock_stops_the_run() -> None:
    eco = ecosystem()
    eco.step()
    fund(eco.world)
    eco.world.planners.funding[0] += 1.0
    with pytest.raises(BookkeepingError, match="funding"):
        maintain(eco.world)
    eco.release()


def test_wear_follows_load_and_upkeep_restores_health() -> None:
    eco = ecosystem(**{"trainers.count": 4, "stocks.wear": 0.1, "stocks.upkeep": 0.0, "infrastructure.providers": 1})
    world = eco.world
    world.infrastructure.model_repositories[:, 0] = [0, 0, 0, 1]
    world.books.open(**totals(world))
    maintain(world)
    np.testing.assert_allclose(world.health_repositories, [1 - 0.1 * 3 / (4 / 3), 1 - 0.1 / (4 / 3), 1.0])
    world.p = world.p.replace("stocks.wear", 0.0).replace("stocks.upkeep", 0.15)
    world.books.open(**totals(world))
    maintain(world)
    np.testing.assert_allclose(world.health_repositories, [0.925, 1.0, 1.0])
    eco.release()


def test_health_stays_between_0_and_1() -> None:
    eco = ecosystem(**{"trainers.count": 4, "stocks.wear": 1.0, "stocks.upkeep": 0.0, "trainers.features": 8})
    for _ in range(3):
        eco.step()
    health = np.concatenate([eco.world.health_repositories, eco.world.health_models])
    assert health.min() == 0.0
    assert health.max() <= 1.0
    eco.release()


def hazard_world(tick: int, health: float, **stocks: float) -> Any:
    """Many repositories of one health, none of them with any load."""
    n = 4_000
    down, until = np.zeros(n, bool), np.zeros(n, np.int64)
    b = Books()
    b.open(**{"repository health": 0.0, "model health": 0.0})
    return SimpleNamespace(
        p=Parameters.preset("single-default").replace(**{f"stocks.{k}": v for k, v in stocks.items()}),
        streams=Streams(1),
        tick=tick,
        books=b,
        health_repositories=np.full(n, health),
        health_models=np.zeros(0),
        infrastructure=SimpleNamespace(
            down_repositories=down,
            until_repositories=until,
            down_models=np.zeros(0, bool),
            until_models=np.zeros(0, np.int64),
            host=np.zeros(0, np.int64),
            working_repositories=lambda: ~down,
        ),
        commons=SimpleNamespace(notice=lambda: None),
        totals=SimpleNamespace(outages=0),
    )


@pytest.mark.parametrize("health", [1.0, 0.5, 0.0])
def test_hazard_grows_as_health_falls(health: float) -> None:
    world = hazard_world(5, health, hazard=0.01, hazard_steepness=3.0)
    outages(world)
    p = 1 - np.exp(-0.01 * np.exp(3.0 * (1 - health)))
    failed = world.infrastructure.down_repositories.sum()
    assert abs(failed - 4_000 * p) < 4.5 * np.sqrt(4_000 * p * (1 - p))
    assert world.totals.outages == failed


def test_repairs_wait_for_their_tick_and_restore_health() -> None:
    world = hazard_world(5, 0.4, hazard=0.0, repair=0.25)
    infra = world.infrastructure
    infra.down_repositories[:] = True
    infra.until_repositories[:2_000] = 6
    outages(world)
    assert infra.down_repositories[:2_000].all()
    mended = int((~infra.down_repositories[2_000:]).sum())
    assert abs(mended - 500) < 4.5 * np.sqrt(2_000 * 0.25 * 0.75)
    np.testing.assert_array_equal(world.health_repositories, np.where(infra.down_repositories, 0.4, 1.0))
    assert world.books.flows["repository health"]["repair"] == pytest.approx(0.6 * mended)


def test_without_hazard_nothing_fails() -> None:
    world = hazard_world(5, 0.0, hazard=0.0)
    outages(world)
    assert not world.infrastructure.down_repositories.any()


def test_books_are_open_where_nobody_but_curators_lives() -> None:
    p = Parameters.preset("single-default").updated(
        {
            "space.materials": 300,
            "space.families": 5,
            "founding.records": 50,
            "planners.count": 0,
            "trainers.count": 0,
            "stocks.hazard": 0.3,
        }
    )
    run = simulate(p, seed=1, ticks=6, shocks=[Shock("repository_outage", start=2, strength=0.5)])
    assert run.summary["outages"] > 0
    assert {"repository health", "model health"} <= set(run.ecosystem.world.books.opening)
