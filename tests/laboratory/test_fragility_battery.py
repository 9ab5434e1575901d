"""The fragility battery: 0 where nobody leans on anything, exact numbers of small networks, alike in any process."""

import math

import numpy as np
import pandas as pd
import pytest
from lean import LEAN

from mpbf_abm import Parameters, Policy, Shock
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.evidence.assessments.assessment import Setting, run_assessment
from mpbf_abm.evidence.assessments.fragility import (
    FRAGILITY,
    PARTS,
    PERFORMANCE,
    _cost,
    _of_shares,
    _of_warning,
    halfway,
    in_words,
    levels,
    measure,
    tasks,
)
from mpbf_abm.stats.estimates import Estimate, mean_estimate

# Nobody needs anybody, and every model reads all records.
ALONE = LEAN.updated({"infrastructure.need": 0, "infrastructure.providers": 4})
SMALL = Setting(LEAN, replicates=2, ticks=4)


def test_where_nobody_leans_on_repositories_their_loss_costs_exactly_nothing():
    setting = Setting(ALONE, replicates=2, ticks=8)
    losses = measure(setting, (1, "repository"))
    assert len(losses) == 4
    assert (losses[["found_share", "unsteered_share", "families_d1", "damage"]] == 0).all(axis=None)
    # With none left there is nothing to train on; with one left, nothing is missing.
    assert all(cost == 0 for lost, cost in measure(setting, (1, "random")).items() if lost < 4)
    assert measure(setting, (1, "network"))["cascade repository"] == 0
    courses = measure(setting, (1, "outages"))
    for what in PERFORMANCE:
        np.testing.assert_array_equal(courses["the most used repository"][what], courses["spared"][what])


def test_where_one_repository_serves_all_its_outage_stops_all_until_it_ends():
    hub = LEAN.updated(
        {
            "infrastructure.preference": 6.0,
            "infrastructure.openness": 0.0,
            "founding.records": 500,
            "stocks.repair": 1.0,
        }
    )
    setting = Setting(hub, replicates=2, ticks=20)
    network = measure(setting, (1, "network"))
    assert network["truck repository"] == 1
    assert network["cascade repository"] > network["cascade repository, any"] > 0
    courses = measure(setting, (1, "outages"))
    users = halfway(setting, 1)[0].world.infrastructure.repository_load()
    assert users.max() == 3
    steered = courses["the most used repository"]["steered"]
    np.testing.assert_array_equal(steered[:2], 0.0)
    np.testing.assert_array_equal(steered[3:], 1.0)
    np.testing.assert_array_equal(courses["spared"]["steered"], 1.0)


def test_the_loss_of_what_is_lost_already_costs_nothing_more():
    gone = Shock("repository_outage", start=2, target=1)
    setting = Setting(LEAN, replicates=2, ticks=8, shocks=(gone,))
    for seed in setting.seeds():
        table = measure(setting, (seed, "repository")).set_index("node")
        assert (table.loc[1, ["found_share", "unsteered_share", "families_d1", "damage"]] == 0).all()


def test_a_second_provider_is_a_policy_that_the_battery_sees():
    lone, both = (
        measure(Setting(LEAN, replicates=2, ticks=10, policies=policies), (1, "repository"))
        for policies in ((), (Policy("redundancy", start=1),))
    )
    assert lone["unsteered_share"].sum() > 0
    assert (both["unsteered_share"] == 0).all()


def test_a_course_ends_where_the_whole_run_does():
    setting = Setting(LEAN, replicates=2, ticks=8)
    eco = setting.community(2)
    for _ in range(8):
        eco.step()
    found = halfway(setting, 2)[0].world.discoveries.count
    rate = measure(setting, (2, "outages"))["spared"]["discoveries"]
    assert rate.sum() * eco.world.discoveries.existing == pytest.approx(eco.world.discoveries.count - found)
    assert set(measure(setting, (2, "outages"))["spared"]) == set(PERFORMANCE)


@pytest.fixture(scope="module")
def lean():
    return run_assessment(FRAGILITY, SMALL)


def test_every_part_of_every_community_is_a_task():
    assert len(tasks(SMALL)) == 2 * len(PARTS)


@pytest.mark.nightly
def test_a_report_is_the_same_in_two_processes(lean):
    one, two = lean, run_assessment(FRAGILITY, SMALL, 2)
    for name in one.tables:
        pd.testing.assert_frame_equal(one.tables[name], two.tables[name])
    pd.testing.assert_frame_equal(one.frame(), two.frame())


# --------------------------------------------------------------------------- what is said


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.03, 0.05, "at least 0.02 for sure"),
        (-0.01, 0.01, "less than 0.02 for sure"),
        (0.005, 0.015, "less than 0.02 for sure, yet not 0"),
        (-0.01, 0.03, "undecided"),
        (0.01, 0.03, "undecided: above 0, 0.02 not known"),
        (math.nan, math.nan, "not known: no interval"),
        (-0.05, -0.01, "undecided"),
    ],
)
def test_an_interval_is_read_against_the_smallest_effect(low, high, words):
    assert in_words(Estimate(0.5 * (low + high), math.nan, low, high), 0.02) == words


def test_who_bears_a_cost_is_said():
    costs = np.tile([0.0, 0.001, -0.001, 0.2, 0.201, 0.199], 4)
    finding = _cost("x", costs, 0.02)
    assert (
        finding.reading
        == "at least 0.02 for sure; more than 0.02 lost in 50%, gained in 0% of communities, in two groups"
    )
    assert _cost("x", np.zeros(4), 0.02).reading.startswith("all 4 alike, too few to be sure")
    assert _cost("x", np.array([1.0, math.nan, 3.0]), 0.02).estimate == mean_estimate([1.0, 3.0])


def test_the_share_at_which_a_known_cost_tips_is_found():
    """Cost of .1 from half of the repositories on, in every community but for noise."""
    setting = Setting(
        Parameters.preset("single-default").replace("infrastructure.repositories", 12), seed=5, replicates=8
    )
    rng = np.random.default_rng(1)
    worlds = [{m: (0.1 if m >= 6 else 0.0) + 0.005 * rng.normal() * (m > 0) for m in levels(12)} for _ in range(8)]
    findings, ((_, table),) = _of_shares(worlds, "largest", setting)
    assert findings[0].reading.startswith("at least 0.02 for sure")
    tipped = findings[1].estimate
    # Levels tried lie between those computed, which are 2 of 12 apart.
    assert 4 / 12 <= tipped.low <= tipped.value <= tipped.high <= 6 / 12
    assert table.loc[table["lost"] == 0.5, "costly"].item() == 1.0
    none, _ = _of_shares([dict.fromkeys(levels(12), 0.001) for _ in range(8)], "random", setting)
    assert none[0].reading.startswith("no such share")


def test_warnings_are_weighed_only_where_something_locks_in():
    rng = np.random.default_rng(3)
    noise = 0.01 * rng.normal(size=(24, 40))
    worlds = [
        {"leading": 0.1 + x * np.linspace(1, 8, 40), "calm": 0.1 + y, "end": 0.5}
        for x, y in zip(noise[:12], noise[12:], strict=True)
    ]
    aucs = {f.measure.split(": ")[1]: f for f in _of_warning(worlds)}
    assert aucs["rising variance of it"].verdict == "above"
    assert aucs["rise of the largest share itself"].verdict == "as null"
    assert _of_warning([w | {"end": 0.1} for w in worlds])[0].reading == "not known: 0 of 12 communities end locked in"


@pytest.mark.parametrize(
    ("changes", "options", "fault"),
    [
        ({}, {"replicates": 1}, "replicates = 1: must be at least 2 for fragility"),
        ({"infrastructure.repositories": 1}, {}, "infrastructure.repositories = 1: must be at least 2"),
        ({"trainers.count": 0}, {}, "trainers.count = 0: must be at least 1"),
        ({}, {"ticks": 3}, "ticks = 3: must be at least 4"),
        ({}, {"shocks": (Shock("model_withdrawal", start=2, target=3),)}, "target = 3: must be from 0 to 2"),
    ],
)
def test_what_cannot_be_examined_is_told_before_anything_runs(changes, options, fault):
    setting = Setting(LEAN.updated(changes), **{"replicates": 2, "ticks": 8} | options)
    with pytest.raises(ConfigurationError, match=fault):
        run_assessment(FRAGILITY, setting)


def test_the_figure_shows_every_table(lean):
    from mpbf_abm.figures import style
    from mpbf_abm.figures.of_assessments import fragility as draw

    with style.styled():
        fig = draw(lean)
    assert len(fig.axes) == 6
    assert all(ax.get_xlabel() and ax.get_ylabel() for ax in fig.axes)
    assert [len(ax.collections) for ax in (fig.axes[3], fig.axes[4])] == [4, 4]
