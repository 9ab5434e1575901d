"""Degrees of path dependence: constructed gains, allocation, and communities in which nothing can be gained."""

import numpy as np
import pytest

from mpbf_abm import Parameters
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.measures.path import allocate, current, degree, informed, oracle, policy_arms
from mpbf_abm.model.ecosystem import Ecosystem


def arms(oracle_gain, informed_gain, n=40, noise=0.01):
    rng = np.random.default_rng(4)
    base = rng.normal(size=n)
    return base, base + informed_gain + noise * rng.normal(size=n), base + oracle_gain + noise * rng.normal(size=n)


@pytest.mark.parametrize(
    ("gains", "noise", "found"),
    [
        ((0.0, 0.0), 0.01, "first"),
        ((0.5, 0.0), 0.01, "second"),
        ((0.5, 0.4), 0.01, "third"),
        ((0.05, -0.3), 0.01, "first"),
        ((0.5, 0.0), 3.0, "undecided"),
    ],
)
def test_constructed_gains(gains, noise, found):
    laissez_faire, told, best = arms(*gains, noise=noise)
    result = degree(laissez_faire, told, best, smallest=0.1)
    assert result.degree == found
    assert result.oracle[1] <= result.oracle[0] <= result.oracle[2]


def test_arms_that_are_one_arm_are_of_the_first_degree():
    x = np.random.default_rng(1).normal(size=8)
    result = degree(x, x, x, smallest=0.01)
    assert result.degree == "first"
    assert result.oracle == result.informed == (0.0, 0.0, 0.0)


def test_allocation_is_whole_and_in_proportion():
    worth = np.array([1.0, 0.0, 3.0, 6.0, 0.5])
    assert allocate(worth, 10, 3).tolist() == [1, 0, 3, 6, 0]
    assert allocate(worth, 7, 3).sum() == 7
    assert allocate(np.zeros(4), 5).tolist() == [0, 0, 0, 0]
    assert allocate(worth, 0).tolist() == [0] * 5


def community(**changes):
    p = Parameters.preset("single-quick").updated(
        {
            "space.families": 8,
            "space.materials": 800,
            "founding.records": 200,
            "trainers.records": 150,
            "trainers.features": 32,
            **changes,
        }
    )
    eco = Ecosystem(p, 3, record=())
    for _ in range(6):
        eco.step()
    snapshot = eco.snapshot()
    eco.release()
    return snapshot


def test_without_records_all_arms_are_the_same_bits():
    table = policy_arms([community()], 0, 14, futures=2)
    assert (table["oracle"] == table["laissez-faire"]).all()
    assert (table["informed"] == table["laissez-faire"]).all()


def test_policies_know_what_they_may():
    snapshot = community()
    world = snapshot.world
    x = current(world)
    np.testing.assert_array_equal(x, world.commons.visible())
    # The oracle counts what is left to find, the informed policy never looks at it.
    assert oracle(world).sum() == (world.truth.top & world.space.feasible & (world.discoveries.tick < 0)).sum()
    before = informed(world)
    world.truth.top[:] = ~world.truth.top
    np.testing.assert_array_equal(informed(world), before)
    assert before.any()
    assert not informed(community(**{"trainers.count": 0}).world).any()


def test_where_attention_follows_no_records_nothing_can_be_gained():
    who = ("planners", "curators")
    p = Parameters.null(**{f"{w}.exploration": 1.0 for w in who}, **{"space.families": 6, "space.materials": 600})
    eco = Ecosystem(p, 1, record=())
    for _ in range(3):
        eco.step()
    table = policy_arms([eco.snapshot()], 50, 20, futures=3)
    eco.release()
    assert (table["oracle"] == table["laissez-faire"]).all()


def test_faulty_input_is_refused():
    with pytest.raises(ConfigurationError, match="three paired arms"):
        degree([1.0, 2.0], [1.0, 2.0], [1.0, 2.0], 0.1)
    with pytest.raises(ConfigurationError, match="before their end"):
        policy_arms([community()], 5, 6)
