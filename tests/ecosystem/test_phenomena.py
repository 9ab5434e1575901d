"""What must emerge from the rules, tested on pairs with common random numbers, each against its dullest explanation.

Every claim has an interval over at least 20 pairs. Nothing here is scripted in the model: the same
code runs in all arms, with one parameter changed.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import once
import pytest
from scipy import stats

from mpbf_abm import MaterialsSpace, Parameters, Shock, simulate
from mpbf_abm.model.ecosystem import Ecosystem

PAIRS = 20
GAMMA2 = {"planners.reinforcement": 2.0, "curators.reinforcement": 2.0}
FLOOR = {"planners.exploration_floor": 0.6, "curators.exploration_floor": 0.6}
EVEN = {"founding.concentration": 0.0}  # no family leads at founding but by chance
DENSE = {"founding.concentration": 3.0, "curators.reinforcement": 1.5}


class Outcome(NamedTuple):
    """What one run leaves behind."""

    summary: dict[str, float]
    records: np.ndarray
    untested: float
    requested: list[float]


def key(changes: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(changes.items()))


@cache
def space(seed: int) -> MaterialsSpace:
    return MaterialsSpace.synthetic(seed=seed)


def arm(changes: tuple[tuple[str, Any], ...] = (), one_space: bool = False, ticks: int = 120) -> list[Outcome]:
    """Outcomes of one arm on every seed; arms share seeds and therefore every draw they do not change."""
    return outcomes(changes, one_space, ticks)


@cache
def outcomes(changes: tuple[tuple[str, Any], ...], one_space: bool, ticks: int) -> list[Outcome]:
    p = Parameters().updated(dict(changes))

    def outcome(seed: int) -> Outcome:
        run = simulate(p, seed=seed, ticks=ticks, space=space(0 if one_space else seed), record=())
        world = run.ecosystem.world
        left = world.commons.untested / world.space.family_sizes
        return Outcome(
            run.summary, world.commons.records_by_family(), float(left[world.experiments > 0].min()),
            [run.summary["experiments_requested"], run.summary["experiments_done"]],
        )  # fmt: skip

    return once.each(f"outcomes {changes} {one_space} {ticks}", range(PAIRS), outcome)


def column(outcomes: list[Outcome], name: str) -> np.ndarray:
    return np.array([o.summary[name] for o in outcomes])


def bounds(d: np.ndarray) -> tuple[float, float]:
    half = float(stats.t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / np.sqrt(len(d)))
    return float(d.mean()) - half, float(d.mean()) + half


def difference(a: list[Outcome], b: list[Outcome], name: str) -> tuple[float, float, float]:
    """Mean paired difference b - a with its 95 % t-interval."""
    d = column(b, name) - column(a, name)
    low, high = bounds(d)
    return low, float(d.mean()), high


def lower(a: list[Outcome], b: list[Outcome], name: str) -> None:
    interval = difference(a, b, name)
    assert interval[2] < 0, f"{name}: paired difference {interval} is not below 0"


def higher(a: list[Outcome], b: list[Outcome], name: str) -> None:
    interval = difference(a, b, name)
    assert interval[0] > 0, f"{name}: paired difference {interval} is not above 0"


def entropy(p: np.ndarray) -> float:
    p = p[p > 0]
    return float(-(p * np.log(p)).sum())


def divergence(shares: np.ndarray) -> float:
    """Jensen-Shannon divergence between replicates, in nats."""
    return entropy(shares.mean(axis=0)) - float(np.mean([entropy(p) for p in shares]))


def replicate_shares(outcomes: list[Outcome]) -> np.ndarray:
    return np.array([o.records / o.records.sum() for o in outcomes])


# --------------------------------------------------------------------------- room, and controls


def test_the_default_leaves_room_to_move_both_ways() -> None:
    found = column(arm(), "found_share")
    assert 0.3 < found.mean() < 0.6
    null = column(arm(key({"trainers.count": 0, "planners.steering_gain": 0.0})), "found_share")
    assert null.mean() < 0.5 * found.mean()


def test_a_change_that_means_nothing_changes_nothing() -> None:
    """Draws stay synchronised: kappa plays no part in the greedy rule."""
    for seed in range(3):
        a, b = (
            simulate(Parameters().replace("planners.kappa", k), seed=seed, ticks=24, space=space(seed))
            for k in (1.0, 3.0)
        )
        assert a.series.equals(b.series)


# --------------------------------------------------------------------------- reinforcement


def test_strong_reinforcement_narrows_the_field_and_finds_less() -> None:
    lower(arm(), arm(key(GAMMA2)), "families_d1")
    lower(arm(), arm(key(GAMMA2)), "found_share")
    assert column(arm(key(GAMMA2)), "families_d1").mean() < 0.5 * column(arm(), "families_d1").mean()


def test_strong_reinforcement_loses_no_budget() -> None:
    """The first dull explanation: experiments not made."""
    for a, b in zip(arm(), arm(key(GAMMA2)), strict=True):
        assert a.requested == b.requested
        assert b.requested[0] == b.requested[1]


def test_strong_reinforcement_finds_less_also_where_no_family_is_used_up() -> None:
    """The second dull explanation: locked in on a family that has nothing left."""
    open_ = np.array([o.untested for o in arm(key(GAMMA2))]) > 0.1
    assert open_.sum() >= 5
    d = (column(arm(key(GAMMA2)), "found_share") - column(arm(), "found_share"))[open_]
    assert bounds(d)[1] < 0


def test_strong_reinforcement_makes_replicates_differ_threefold() -> None:
    """Where the founding leaves the race open; one and the same space leaves chance and its amplification alone."""
    base, strong = (replicate_shares(arm(key(c | EVEN), one_space=True)) for c in ({}, GAMMA2))
    picks = np.random.default_rng(0).integers(0, PAIRS, (500, PAIRS))
    ratio = np.array([divergence(strong[i]) / divergence(base[i]) for i in picks])
    assert divergence(strong) / divergence(base) > 3
    assert np.quantile(ratio, 0.025) > 1.5


def test_a_founding_as_concentrated_as_real_ones_decides_who_wins() -> None:
    """Where one family leads by size from the start, lock-in is foreseeable: history was written at founding."""
    strong = replicate_shares(arm(key(GAMMA2)))
    assert (strong.argmax(axis=1) == 0).mean() >= 0.9
    assert divergence(strong) < 0.5 * divergence(replicate_shares(arm(key(GAMMA2 | EVEN), one_space=True)))


def test_an_exploration_floor_restores_breadth_fully_and_finds_in_part() -> None:
    """The floor undoes the narrowing and the divergence; its effort is not steered by merit, so finds return in part."""
    base, strong, floor = arm(), arm(key(GAMMA2)), arm(key(GAMMA2 | FLOOR))
    higher(strong, floor, "families_d1")
    higher(strong, floor, "found_share")
    narrowed = column(base, "families_d1").mean() - column(strong, "families_d1").mean()
    regained = column(floor, "families_d1").mean() - column(strong, "families_d1").mean()
    assert regained > 0.6 * narrowed
    even = [arm(key(c | EVEN), one_space=True) for c in ({}, GAMMA2, GAMMA2 | FLOOR)]
    spread = [divergence(replicate_shares(o)) for o in even]
    assert spread[1] - spread[2] > 0.6 * (spread[1] - spread[0])
    # What the floor can give back is bounded by what a community at that floor finds without lock-in.
    bound = column(arm(key(FLOOR)), "found_share").mean()
    lost = bound - column(strong, "found_share").mean()
    assert column(floor, "found_share").mean() - column(strong, "found_share").mean() > 0.5 * lost


# --------------------------------------------------------------------------- loops and invariance


def test_cutting_the_outer_loop_finds_less() -> None:
    """Results still become known (no test is repeated, finds count); only their data stay out of the commons."""
    cut = arm(key({"coupling.outer_loop": 0.0}))
    lower(arm(), cut, "found_share")
    assert [o.requested for o in cut] == [o.requested for o in arm()]


def test_removing_invariance_finds_less_and_spends_capacity_on_the_gauge() -> None:
    bare = arm(key({"trainers.invariance": 0.0}))
    lower(arm(), bare, "found_share")
    lower(arm(), bare, "captured_niche")
    higher(arm(), bare, "gauge_variance")


# --------------------------------------------------------------------------- latent collapse


def learning(changes: dict[str, Any]) -> list[Outcome]:
    """An arm as far as models have settled: every trainer has trained five times."""
    return arm(key(changes), ticks=48)


def test_a_corpus_of_dense_families_collapses_in_niche_ones() -> None:
    base, dense = learning({}), learning(DENSE)
    # Against dense families: what directions a corpus of few families leaves over go to scatter, which all families have.
    lost = [column(o, "captured_niche") - column(o, "captured_dense") for o in (base, dense)]
    assert bounds(lost[1] - lost[0])[1] < 0
    higher(base, dense, "rmse_niche")
    higher(base, dense, "integrity_gap")
    # Not a lack of records: the concentrated community has as many.
    assert abs(column(dense, "records").mean() / column(base, "records").mean() - 1) < 0.1
    # Not general ignorance: dense families lose less than niche ones.
    assert difference(base, dense, "rmse_niche")[1] > difference(base, dense, "rmse_dense")[1]


def first_look(changes: dict[str, Any], name: str) -> np.ndarray:
    """Indicator after the first training, one value per space."""
    p, out = Parameters().updated({"trainers.reuse": 0.0, "planners.count": 0, **changes}), []
    for seed in range(PAIRS):
        eco = Ecosystem(p, seed, space=space(seed), record=("series",))
        eco.step()
        out.append(eco.recorder.series[0][1][name])
        eco.release()
    return np.array(out)


def test_the_best_number_of_latent_directions_moves_with_the_corpus() -> None:
    """A broad corpus wants nearly all directions, a concentrated one overfits them."""

    def prefers_many(corpus: dict[str, Any]) -> tuple[float, float]:
        d = first_look({"trainers.latent_dims": 18, **corpus}, "rmse") - first_look(
            {"trainers.latent_dims": 30, **corpus}, "rmse"
        )
        return bounds(d)

    assert prefers_many({})[0] > 0
    assert prefers_many({"founding.concentration": 3.0})[1] < 0


# --------------------------------------------------------------------------- simulated labels


def test_simulated_labels_alone_pass_on_their_bias_and_make_claims_too_bold() -> None:
    """Overconfidence is imposed nowhere: the factor is 1 in all arms."""
    base, simulated, measured = (
        learning(c) for c in ({}, {"trainers.labels": "simulated"}, {"trainers.labels": "measured"})
    )
    higher(base, simulated, "inherited_bias")
    higher(measured, simulated, "inherited_bias")
    higher(base, simulated, "claimed_to_actual")
    np.testing.assert_allclose(column(simulated, "overconfidence_imposed"), 1)
    # Judged against labels of their own fidelity the same claims are about right.
    assert abs(column(simulated, "coverage_68_simulated").mean() - 0.68) < 0.04


def test_without_simulation_bias_there_is_nothing_to_be_too_bold_about() -> None:
    """Control: with an unbiased simulation the same diet of labels does not make claims bolder."""
    p = Parameters().updated({"space.bias_sd": 0.0, "space.bias_offset": 0.0, "space.cross_scale": 0.0})
    bolder = []
    for seed in range(PAIRS):
        one = MaterialsSpace.synthetic(p, seed=seed)
        mixed, simulated = (
            simulate(p.replace("trainers.labels", kind), seed=seed, ticks=48, space=one, record=()).summary[
                "claimed_to_actual"
            ]
            for kind in ("all", "simulated")
        )
        bolder.append(simulated - mixed)
    biased = difference(learning({}), learning({"trainers.labels": "simulated"}), "claimed_to_actual")
    assert bounds(np.array(bolder))[1] < biased[1]


# --------------------------------------------------------------------------- infrastructure


LOSS, HORIZON, MANY = 12, 24, 48  # trainers find other repositories later, and the loss fades


@cache
def found_after(changes: tuple[tuple[str, Any], ...], target: Any) -> np.ndarray:
    """Found share a year after one repository is lost for good (or none), one value per seed."""
    shocks = [Shock("repository_outage", start=LOSS, strength=0.05, target=target)] if target else []
    p = Parameters().updated(dict(changes))

    def found(seed: int) -> tuple[float, float]:
        run = simulate(p, seed=seed, ticks=HORIZON, shocks=shocks, space=space(seed), record=())
        return run.summary["found_share"], run.summary["unsteered_share"]

    return np.array(once.each(f"found {changes} {target}", range(MANY), found))


def loss(target: str, providers: int) -> tuple[np.ndarray, np.ndarray]:
    """Change of the found share and of the share of unsteered experiments, one value per pair."""
    changes = {"infrastructure.providers": providers}
    d = found_after(key(changes), target) - found_after(key(changes), None)
    return d[:, 0], d[:, 1]


def test_losing_the_repository_that_most_models_lean_on_hurts_more_than_a_random_one() -> None:
    """With one provider each: a few finds are lost, while models are dark and labs unsteered; afterwards trainers train elsewhere."""
    (found, dark), (found_random, dark_random) = loss("largest", 1), loss("random", 1)
    assert bounds(found)[1] < 0
    assert bounds(found - found_random)[1] < 0
    assert bounds(dark - dark_random)[0] > 0


def test_a_second_provider_softens_the_loss() -> None:
    (one, dark), (two, dark_two) = loss("largest", 1), loss("largest", 2)
    assert bounds(two - one)[0] > 0
    assert bounds(dark_two - dark)[1] < 0


@pytest.mark.parametrize("changes", [{}, GAMMA2])
def test_budgets_are_conserved(changes: dict[str, Any]) -> None:
    p = Parameters()
    expected = int(p.planners.count * p.planners.experiments * 120 + 1e-6)
    assert {tuple(o.requested) for o in arm(key(changes))} == {(expected, expected)}
