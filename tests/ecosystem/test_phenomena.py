"""What must emerge from the rules, tested on pairs with common random numbers, each against its dullest explanation.

Nothing here is scripted in the model: the same code runs in all arms, with one parameter changed. Every night each
claim has an interval over 20 pairs of the default preset (48 for outages). At all other times the preset is ``quick``,
and pairs are added until the interval excludes zero. The level is shared among the looks, so that looking again makes
no false claim likelier.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import once
import pytest
from scipy import stats

from mpbf_abm import MaterialsSpace, Parameters, Shock, simulate
from mpbf_abm.model.ecosystem import Ecosystem

GAMMA2 = {"planners.reinforcement": 2.0, "curators.reinforcement": 2.0}
FLOOR = {"planners.exploration_floor": 0.6, "curators.exploration_floor": 0.6}
EVEN = {"founding.concentration": 0.0}  # no family leads at founding but by chance
DENSE = {"founding.concentration": 3.0, "curators.reinforcement": 1.5}
SIMULATED, MEASURED = {"trainers.labels": "simulated"}, {"trainers.labels": "measured"}
LEARNED = 48  # ticks until models have settled: every trainer has trained five times
LOSS, HORIZON = 12, 24  # trainers find other repositories later, and the loss fades


class Outcome(NamedTuple):
    """What one run leaves behind."""

    summary: dict[str, float]
    records: np.ndarray
    untested: float
    requested: list[float]


@cache
def space(seed: int) -> MaterialsSpace:
    return MaterialsSpace.synthetic(Parameters.preset("single-default"), seed=seed)


@dataclass(frozen=True)
class Tier:
    """How long runs are, and after how many pairs their differences are looked at."""

    preset: str
    ticks: int
    looks: tuple[int, ...]
    outages: tuple[int, ...]

    def arm(self, changes: dict[str, Any], one_space: bool = False, ticks: int = 0) -> Arm:
        """Runs of one arm; arms share seeds and therefore every draw they do not change."""
        return Arm(self, tuple(sorted(changes.items())), one_space, ticks or self.ticks)

    def learning(self, changes: dict[str, Any]) -> Arm:
        """An arm as far as models have settled."""
        return self.arm(changes, ticks=LEARNED)

    def surely(self, differences: Callable[[int], np.ndarray], sign: int, looks: Sequence[int] = ()) -> np.ndarray:
        """Pairs of the first look at which the interval of their mean lies on one side of zero."""
        looks = looks or self.looks
        for pairs in looks:
            found = differences(pairs)
            low, high = bounds(found, 0.05 / len(looks))
            if (low if sign > 0 else -high) > 0:
                return found
        pytest.fail(
            f"the mean difference of {looks[-1]} pairs lies in {low:.4g} to {high:.4g}, not on the side of {sign}"
        )


@dataclass(frozen=True)
class Arm:
    """Runs of one set of parameters, made when they are asked for."""

    tier: Tier
    changes: tuple[tuple[str, Any], ...]
    one_space: bool
    ticks: int

    def runs(self, pairs: int) -> list[Outcome]:
        """Outcomes of the first so many seeds."""
        name = f"{self.tier.preset} {self.changes} {self.one_space} {self.ticks}"
        return once.each(name, range(pairs), self.outcome)

    @cache  # noqa: B019
    def column(self, name: str, pairs: int) -> np.ndarray:
        """One number of each run's summary."""
        return np.array([o.summary[name] for o in self.runs(pairs)])

    def mean(self, name: str) -> float:
        """Mean of a number over as many runs as are looked at first."""
        return float(self.column(name, self.tier.looks[0]).mean())

    def shares(self) -> np.ndarray:
        """Each family's share of the records, in as many runs as are looked at first."""
        records = np.array([o.records for o in self.runs(self.tier.looks[0])])
        return records / records.sum(axis=1, keepdims=True)

    def outcome(self, seed: int) -> Outcome:
        p = Parameters.preset(self.tier.preset).updated(dict(self.changes))
        run = simulate(p, seed=seed, ticks=self.ticks, space=space(0 if self.one_space else seed), record=())
        world = run.ecosystem.world
        left = world.commons.untested / world.space.family_sizes
        return Outcome(
            run.summary,
            world.commons.records_by_family(),
            float(left[world.experiments > 0].min()),
            [run.summary["experiments_requested"], run.summary["experiments_done"]],
        )


TIERS = {
    "quick": Tier("single-quick", 120, (6, 10, 20), (12, 24, 48)),
    "default": Tier("single-default", 120, (20,), (48,)),
}


@pytest.fixture(params=["quick", pytest.param("default", marks=pytest.mark.nightly)])
def tier(request: pytest.FixtureRequest) -> Tier:
    return TIERS[request.param]


@pytest.fixture(params=[pytest.param("default", marks=pytest.mark.nightly)])
def full(request: pytest.FixtureRequest) -> Tier:
    """What shows in the default preset alone."""
    return TIERS[request.param]


def bounds(d: np.ndarray, level: float = 0.05) -> tuple[float, float]:
    half = float(stats.t.isf(level / 2, len(d) - 1) * d.std(ddof=1) / np.sqrt(len(d)))
    return float(d.mean()) - half, float(d.mean()) + half


def lower(a: Arm, b: Arm, name: str) -> None:
    a.tier.surely(lambda n: b.column(name, n) - a.column(name, n), -1)


def higher(a: Arm, b: Arm, name: str) -> None:
    a.tier.surely(lambda n: b.column(name, n) - a.column(name, n), 1)


def entropy(p: np.ndarray) -> float:
    p = p[p > 0]
    return float(-(p * np.log(p)).sum())


def divergence(shares: np.ndarray) -> float:
    """Jensen-Shannon divergence between replicates, in nats."""
    return entropy(shares.mean(axis=0)) - float(np.mean([entropy(p) for p in shares]))


# --------------------------------------------------------------------------- room, and controls


@pytest.mark.nightly
def test_the_default_leaves_room_to_move_both_ways(tier: Tier) -> None:
    found = tier.arm({}).mean("found_share")
    assert 0.3 < found < 0.6
    assert tier.arm({"trainers.count": 0, "planners.steering_gain": 0.0}).mean("found_share") < 0.5 * found


def test_a_change_that_means_nothing_changes_nothing() -> None:
    """Draws stay synchronised: kappa plays no part in the greedy rule."""
    for seed in range(3):
        a, b = (
            simulate(
                Parameters.preset("single-quick").replace("planners.kappa", k), seed=seed, ticks=24, space=space(seed)
            )
            for k in (1.0, 3.0)
        )
        assert a.series.equals(b.series)


# --------------------------------------------------------------------------- reinforcement


def test_strong_reinforcement_narrows_the_field_and_finds_less(tier: Tier) -> None:
    base, strong = tier.arm({}), tier.arm(GAMMA2)
    lower(base, strong, "families_d1")
    lower(base, strong, "found_share")
    assert strong.mean("families_d1") < 0.5 * base.mean("families_d1")


def test_strong_reinforcement_loses_no_budget(tier: Tier) -> None:
    """The first dull explanation: experiments not made."""
    n = tier.looks[0]
    for a, b in zip(tier.arm({}).runs(n), tier.arm(GAMMA2).runs(n), strict=True):
        assert a.requested == b.requested
        assert b.requested[0] == b.requested[1]


def test_strong_reinforcement_finds_less_also_where_no_family_is_used_up(tier: Tier) -> None:
    """The second dull explanation: locked in on a family that has nothing left."""
    base, strong = tier.arm({}), tier.arm(GAMMA2)

    def where_open(pairs: int) -> np.ndarray:
        open_ = np.array([o.untested for o in strong.runs(pairs)]) > 0.1
        assert open_.sum() >= 5
        return (strong.column("found_share", pairs) - base.column("found_share", pairs))[open_]

    tier.surely(where_open, -1)


@pytest.mark.nightly
def test_strong_reinforcement_makes_replicates_differ_threefold(tier: Tier) -> None:
    """Where the founding leaves the race open; one and the same space leaves chance and its amplification alone."""
    base, strong = (tier.arm(c | EVEN, one_space=True).shares() for c in ({}, GAMMA2))
    picks = np.random.default_rng(0).integers(0, len(base), (500, len(base)))
    ratio = np.array([divergence(strong[i]) / divergence(base[i]) for i in picks])
    assert divergence(strong) / divergence(base) > 3
    assert np.quantile(ratio, 0.025) > 1.5


def test_a_founding_as_concentrated_as_real_ones_decides_who_wins(tier: Tier) -> None:
    """Where one family leads by size from the start, lock-in is foreseeable: history was written at founding."""
    strong = tier.arm(GAMMA2).shares()
    assert (strong.argmax(axis=1) == 0).mean() >= 0.9
    assert divergence(strong) < 0.5 * divergence(tier.arm(GAMMA2 | EVEN, one_space=True).shares())


@pytest.mark.nightly
def test_an_exploration_floor_restores_breadth_fully_and_finds_in_part(tier: Tier) -> None:
    """The floor undoes the narrowing and the divergence; merit does not steer its effort, so finds return in part."""
    base, strong, floor = (tier.arm(c) for c in ({}, GAMMA2, GAMMA2 | FLOOR))
    higher(strong, floor, "families_d1")
    higher(strong, floor, "found_share")
    narrowed = base.mean("families_d1") - strong.mean("families_d1")
    assert floor.mean("families_d1") - strong.mean("families_d1") > 0.6 * narrowed
    even = [tier.arm(c | EVEN, one_space=True).shares() for c in ({}, GAMMA2, GAMMA2 | FLOOR)]
    spread = [divergence(o) for o in even]
    assert spread[1] - spread[2] > 0.6 * (spread[1] - spread[0])
    # What the floor can give back is bounded by what a community at that floor finds without lock-in.
    lost = tier.arm(FLOOR).mean("found_share") - strong.mean("found_share")
    assert floor.mean("found_share") - strong.mean("found_share") > 0.5 * lost


# --------------------------------------------------------------------------- loops and invariance


@pytest.mark.nightly
def test_cutting_the_outer_loop_finds_less(tier: Tier) -> None:
    """Results still become known (no test is repeated, finds count); only their data stay out of the commons."""
    base, cut = tier.arm({}), tier.arm({"coupling.outer_loop": 0.0})
    lower(base, cut, "found_share")
    n = tier.looks[0]
    assert [o.requested for o in cut.runs(n)] == [o.requested for o in base.runs(n)]


def test_removing_invariance_finds_less_and_spends_capacity_on_the_gauge(tier: Tier) -> None:
    base, bare = tier.arm({}), tier.arm({"trainers.invariance": 0.0})
    lower(base, bare, "found_share")
    lower(base, bare, "captured_niche")
    higher(base, bare, "gauge_variance")


# --------------------------------------------------------------------------- latent collapse


def test_a_corpus_of_dense_families_loses_most_in_niche_ones(tier: Tier) -> None:
    base, dense = tier.learning({}), tier.learning(DENSE)
    higher(base, dense, "rmse_niche")
    higher(base, dense, "integrity_gap")
    # Not a lack of records: the concentrated community has as many.
    assert abs(dense.mean("records") / base.mean("records") - 1) < 0.1
    # Not general ignorance: dense families lose less than niche ones.
    lost = [dense.mean(f"rmse_{kind}") - base.mean(f"rmse_{kind}") for kind in ("niche", "dense")]
    assert lost[0] > lost[1]


def test_a_corpus_of_dense_families_collapses_in_niche_ones(full: Tier) -> None:
    """Against dense families: directions that a corpus of few families leaves over go to scatter, which all have."""
    base, dense = full.learning({}), full.learning(DENSE)

    def lost(arm: Arm, pairs: int) -> np.ndarray:
        return arm.column("captured_niche", pairs) - arm.column("captured_dense", pairs)

    full.surely(lambda n: lost(dense, n) - lost(base, n), -1)


def first_look(changes: dict[str, Any], pairs: int) -> np.ndarray:
    """Error after the first training, one value per space."""
    p, out = Parameters.preset("single-default").updated({"trainers.reuse": 0.0, "planners.count": 0, **changes}), []
    for seed in range(pairs):
        eco = Ecosystem(p, seed, space=space(seed), record=("series",))
        eco.step()
        out.append(eco.recorder.series[0][1]["rmse"])
        eco.release()
    return np.array(out)


@pytest.mark.nightly
def test_the_best_number_of_latent_directions_moves_with_the_corpus() -> None:
    """A broad corpus wants nearly all directions, a concentrated one overfits them."""

    def fewer(corpus: dict[str, Any], pairs: int) -> np.ndarray:
        few, many = (first_look(corpus | {"trainers.latent_dims": d}, pairs) for d in (18, 30))
        return few - many

    tier = TIERS["default"]
    tier.surely(lambda n: fewer({}, n), 1)
    tier.surely(lambda n: fewer({"founding.concentration": 3.0}, n), -1)


# --------------------------------------------------------------------------- simulated labels


@pytest.mark.nightly
def test_simulated_labels_alone_pass_on_their_bias_and_make_claims_too_bold(tier: Tier) -> None:
    """Overconfidence is imposed nowhere: the factor is 1 in all arms."""
    base, simulated, measured = (tier.learning(c) for c in ({}, SIMULATED, MEASURED))
    higher(base, simulated, "inherited_bias")
    higher(measured, simulated, "inherited_bias")
    higher(base, simulated, "claimed_to_actual")
    np.testing.assert_allclose(simulated.column("overconfidence_imposed", tier.looks[0]), 1)
    # Judged against labels of their own fidelity the same claims are about right.
    assert abs(simulated.mean("coverage_68_simulated") - 0.68) < 0.04


def test_without_simulation_bias_there_is_nothing_to_be_too_bold_about(tier: Tier) -> None:
    """Control: with an unbiased simulation the same diet of labels does not make claims bolder."""
    biased = tier.learning(SIMULATED).mean("claimed_to_actual") - tier.learning({}).mean("claimed_to_actual")
    unbiased = {"space.bias_sd": 0.0, "space.bias_offset": 0.0, "space.cross_scale": 0.0}
    p = Parameters.preset(tier.preset).updated(unbiased)

    def less_bold(pairs: int) -> np.ndarray:
        bolder = []
        for seed in range(pairs):
            one = MaterialsSpace.synthetic(p, seed=seed)
            mixed, simulated = (
                simulate(p.replace("trainers.labels", kind), seed=seed, ticks=LEARNED, space=one, record=())
                for kind in ("all", "simulated")
            )
            bolder.append(simulated.summary["claimed_to_actual"] - mixed.summary["claimed_to_actual"])
        return np.array(bolder) - biased

    tier.surely(less_bold, -1)


# --------------------------------------------------------------------------- infrastructure


@cache
def found_after(tier: Tier, providers: int, target: str, seed: int) -> tuple[float, float]:
    """Found share, and share of unsteered experiments, a year after one repository is lost for good (or none)."""
    shocks = [Shock("repository_outage", start=LOSS, strength=0.05, target=target)] if target else []
    p = Parameters.preset(tier.preset).updated({"infrastructure.providers": providers})
    run = simulate(p, seed=seed, ticks=HORIZON, shocks=shocks, space=space(seed), record=())
    return run.summary["found_share"], run.summary["unsteered_share"]


FOUND, DARK = 0, 1


def loss(tier: Tier, target: str, providers: int, what: int, pairs: int) -> np.ndarray:
    """Change of the found share or of the share of unsteered experiments, one value per pair."""
    after = [[found_after(tier, providers, t, seed)[what] for seed in range(pairs)] for t in (target, "")]
    return np.array(after[0]) - np.array(after[1])


@pytest.mark.nightly
def test_losing_the_repository_that_most_models_lean_on_hurts_more_than_a_random_one(tier: Tier) -> None:
    """With one provider each: a few finds are lost, while models are dark; afterwards trainers train elsewhere."""
    largest, random = (partial(loss, tier, target, 1) for target in ("largest", "random"))
    tier.surely(lambda n: largest(FOUND, n), -1, tier.outages)
    tier.surely(lambda n: largest(FOUND, n) - random(FOUND, n), -1, tier.outages)
    tier.surely(lambda n: largest(DARK, n) - random(DARK, n), 1, tier.outages)


@pytest.mark.nightly
def test_a_second_provider_softens_the_loss(tier: Tier) -> None:
    one, two = (partial(loss, tier, "largest", providers) for providers in (1, 2))
    tier.surely(lambda n: two(FOUND, n) - one(FOUND, n), 1, tier.outages)
    tier.surely(lambda n: two(DARK, n) - one(DARK, n), -1, tier.outages)


@pytest.mark.parametrize("changes", [{}, GAMMA2], ids=["base", "strong"])
def test_budgets_are_conserved(tier: Tier, changes: dict[str, Any]) -> None:
    p = Parameters.preset(tier.preset)
    expected = int(p.planners.count * p.planners.experiments * tier.ticks + 1e-6)
    assert {tuple(o.requested) for o in tier.arm(changes).runs(tier.looks[0])} == {(expected, expected)}
