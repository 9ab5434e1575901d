"""What a community does, on histories that are known and on one that was run."""

import dataclasses
import math

import numpy as np
import pytest
from small import small, space_of

from mpbf_abm import Ecosystem
from mpbf_abm.evidence.facts.community import (
    YEAR,
    CommunityHistory,
    attachment,
    community,
    concentration,
    history,
    monoculture,
    narrowing,
)
from mpbf_abm.model.commons import EXPERIMENT, FAILED

SPACE = space_of(small())
K = SPACE.families
FEW = small(planners__count=4, trainers__count=2, curators__count=1)


def told(**changes) -> CommunityHistory:
    """A history in which nothing happened, with changes."""
    nothing = CommunityHistory(
        SPACE, np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, bool), np.zeros(0, np.int64), 0, 0.0, ()
    )
    return dataclasses.replace(nothing, **changes)


def events(*rows: tuple[int, int, int, bool]) -> CommunityHistory:
    """A history of so many records of a family, in a year, experiments or not."""
    times, family, year, tested = (np.array(column) for column in zip(*rows, strict=True))
    return told(
        family=np.repeat(family, times),
        tick=np.repeat(year * YEAR, times),
        tested=np.repeat(tested.astype(bool), times),
    )


# --------------------------------------------------------------------------- concentration


def test_equal_families_are_not_concentrated_and_one_alone_is():
    even = concentration(told(family=np.repeat(np.arange(K), 5)))
    assert even == {"system_top10": pytest.approx(1 / K), "element_gini": pytest.approx(0)}
    one = concentration(told(family=np.full(5, 3)))
    assert one["system_top10"] == 1
    assert one["element_gini"] == pytest.approx((K - 1) / K)


# --------------------------------------------------------------------------- attachment


@pytest.mark.parametrize("gamma", [0, 1, 2])
def test_the_exponent_is_that_by_which_experiments_are_shared_out(gamma: int):
    share = 3**gamma
    h = events(
        (30, 0, -1, False),
        (10, 1, -1, False),
        (100 * share, 0, 0, True),
        (100, 1, 0, True),
        (500, 1, 0, False),  # what curators add is no choice of a planner's
    )
    assert attachment(h)["attachment_alpha"] == pytest.approx(gamma, abs=1e-6)


def test_founding_records_lie_before_the_first_year():
    h = events((30, 0, -1, False), (10, 1, -1, False), (90, 0, 0, True), (10, 1, 0, True))
    assert h.tick.min() == -YEAR
    late = dataclasses.replace(h, tick=np.where(h.tick < 0, -1, h.tick))  # -1 as in a run
    assert attachment(late) == attachment(h)


def test_reuse_counts_experiments_alone_and_weighs_years_by_them():
    h = events(
        (50, 2, -1, False),  # records are no experiment: family 2 is new in year 1
        (40, 0, 0, True),
        (30, 0, 1, True),
        (10, 2, 1, True),
    )
    assert attachment(h)["reuse_share"] == pytest.approx(30 / 80)
    # Only the last four years count.
    later = events(*((40, 0, year, True) for year in range(6)))
    assert attachment(later)["reuse_share"] == 1


@pytest.mark.parametrize(("near", "share"), [((), 0.0), ((2,), 0.5), ((2, 3), 1.0)])
def test_a_new_family_is_adjacent_where_it_is_similar_to_one_tried_before(near: tuple[int, ...], share: float):
    similarity = np.zeros((K, K))
    for other in near:
        similarity[0, other] = similarity[other, 0] = 1.0
    similarity[2, 3] = similarity[3, 2] = 1.0  # both new in the same year: neither was known
    h = events((5, 0, 0, True), (5, 2, 1, True), (5, 3, 1, True))
    h = dataclasses.replace(h, space=dataclasses.replace(SPACE, similarity=similarity))
    assert attachment(h)["adjacent_possible"] == share


def test_without_experiments_there_is_no_attachment():
    assert all(map(math.isnan, attachment(events((5, 0, 0, False))).values()))


# --------------------------------------------------------------------------- monoculture


def test_monoculture_counts_models_and_mixes():
    mixes = ({0}, {0, 1}, {0}, {1})
    found = monoculture(told(sources=tuple(map(frozenset, mixes))))
    assert found == {"corpus_monoculture": 0.75, "effective_mixes": pytest.approx(1 / (0.5**2 + 0.25**2 + 0.25**2))}
    same = monoculture(told(sources=(frozenset({2, 1}), frozenset({1, 2}))))
    assert same == {"corpus_monoculture": 1.0, "effective_mixes": pytest.approx(1)}
    assert all(map(math.isnan, monoculture(told()).values()))


# --------------------------------------------------------------------------- gain and contraction


def test_a_community_beside_itself_gains_and_loses_nothing():
    h = told(claims=7, tests=np.arange(0, SPACE.size, 5))
    assert narrowing(h, h) == {"individual_gain": 1.0, "ai_narrowing": 0.0}


def test_one_topic_has_no_extent_and_claims_are_a_ratio():
    wide = told(claims=3, tests=np.arange(0, SPACE.size, 5))
    one = told(claims=6, tests=np.arange(SPACE.start[1]))
    assert narrowing(one, wide) == {"individual_gain": 2.0, "ai_narrowing": -1.0}
    assert math.isnan(narrowing(wide, one)["ai_narrowing"])
    assert math.isnan(narrowing(told(), wide)["ai_narrowing"])
    assert math.isnan(narrowing(wide, told())["ai_narrowing"])
    assert narrowing(wide, told())["individual_gain"] == 3.0  # over one claim, not over none


def test_the_extent_of_two_topics_is_half_their_distance():
    a, b, c = (np.arange(SPACE.start[k], SPACE.start[k] + 2) for k in (0, 1, 2))
    width = SPACE.dims["quantum"] + SPACE.dims["meso"]
    topic = [
        SPACE.descriptors[SPACE.start[k] : SPACE.start[k + 1], :width].astype(float).mean(axis=0) for k in range(3)
    ]
    near, far = np.linalg.norm(topic[0] - topic[1]), np.linalg.norm(topic[0] - topic[2])
    found = narrowing(told(tests=np.concatenate([a, b])), told(tests=np.concatenate([a, c])))
    assert found["ai_narrowing"] == pytest.approx(near / far - 1, rel=1e-5)


# --------------------------------------------------------------------------- runs


def test_a_history_tells_what_the_commons_hold():
    ticks = 14
    h = history(FEW, SPACE, 2, ticks)
    eco = Ecosystem(FEW, 2, space=SPACE, record=())
    world, tests, claims, models = eco.world, [], 0, 0
    for _ in range(ticks):
        before = world.registry.version.copy()
        eco.step()
        models += int((world.registry.version > before).sum())
        if world.results is None:
            continue
        shown = world.results.published
        tests += world.results.material[shown].tolist()
        claims += int((world.results.observed[shown] > FEW.planners.publication_threshold).sum())
    commons, n = world.commons, len(world.commons)
    assert np.array_equal(h.family, commons.family[:n])
    assert np.array_equal(h.tick, commons.tick[:n])
    assert (h.tick == -1).sum() == FEW.founding.records
    assert h.tested.sum() == np.isin(commons.origin[:n], (EXPERIMENT, FAILED)).sum() > 0
    assert h.tests.tolist() == tests
    # What is published is in the commons, once.
    made = commons.material[:n][np.isin(commons.origin[:n], (EXPERIMENT, FAILED))]
    assert sorted(tests) == sorted(made.tolist())
    assert h.claims == claims > 0
    assert h.found == world.discoveries.count / world.discoveries.existing > 0
    assert len(h.sources) == models > 0
    assert all(1 <= len(mix) <= FEW.infrastructure.providers for mix in h.sources)
    eco.release()


def test_the_twin_of_a_community_without_steering_is_itself(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mpbf_abm.evidence.facts.community.HORIZON", 14)
    p = FEW.updated({"trainers.count": 0, "planners.steering_gain": 0.0, "planners.acquisition": "random"})
    found = community(p, SPACE, 1)
    assert (found["individual_gain"], found["ai_narrowing"]) == (1.0, 0.0)
    assert math.isnan(found["corpus_monoculture"])
    assert 0 < found["found_share"] < 1


def test_a_community_without_planners_has_a_corpus_and_no_more():
    p = FEW.updated({"planners.count": 0})
    h = history(p, SPACE, 1, 6)
    assert not h.tested.any()
    assert (h.claims, len(h.tests)) == (0, 0)
    assert 0 < concentration(h)["element_gini"] < 1
    assert all(map(math.isnan, attachment(h).values()))
