"""Rules in their limit cases: exponents of known samples, descent without and with nothing but reuse, pools."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy.special import digamma, polygamma, zeta
from small import small, space_of

from mpbf_abm.evidence.facts import community
from mpbf_abm.evidence.facts.community import (
    acceleration,
    collapse,
    descent,
    factor,
    pool_of,
    power_law,
    real_acceleration,
)
from mpbf_abm.evidence.known.whole import POOLS
from mpbf_abm.measures.acceleration import by_chance, wanted

DATA = Path(__file__).parents[3] / "shared" / "data"
P = small()


@pytest.mark.parametrize("exponent", [1.8, 2.2, 3.5])
def test_the_exponent_of_a_power_law_is_found(exponent: float):
    n, k = 4_000, np.arange(1, 10**6)
    weight = k**-exponent / zeta(exponent)
    log = np.log(k)
    mean = weight @ log
    error = 1 / math.sqrt(n * (weight @ (log - mean) ** 2))  # of Fisher's information
    found = power_law(np.random.default_rng(3).zipf(exponent, n))
    assert abs(found - exponent) < 4.5 * error


def test_no_counts_have_no_exponent():
    assert math.isnan(power_law(np.zeros(0, np.int64)))


def test_without_reuse_no_model_descends_and_with_nothing_else_all_from_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(community, "MANY", 72)
    none, some, all_of_them = (descent(P.updated({"trainers.reuse": r}), space_of(P), 1) for r in (0.0, 0.35, 1.0))
    assert math.isnan(none["reuse_powerlaw"])
    assert some["reuse_powerlaw"] > all_of_them["reuse_powerlaw"]
    # One lineage: the first trainer's, with everybody else in it.
    assert all_of_them["reuse_powerlaw"] == pytest.approx(power_law(np.array([71])))
    assert all(1 / 72 <= found["download_top1pct"] <= 1 for found in (none, some, all_of_them))


def test_a_refit_loses_what_a_sample_variance_loses(monkeypatch: pytest.MonkeyPatch):
    labels, runs, generations = 5, 80, 8
    for name, value in {"LABELS": labels, "RUNS": runs, "GENERATIONS": generations, "FRESH": (0.5,)}.items():
        monkeypatch.setattr(community, name, value)
    found = collapse(P, space_of(P), 1)
    # Log of a chi-square over its degrees of freedom, in each generation.
    half = (labels - 1) / 2
    expected = labels * (digamma(half) - math.log(half))
    error = labels * math.sqrt(polygamma(1, half) / (runs * generations))
    assert abs(found["collapse_rate"] - expected) < 4.5 * error
    # Half of fresh labels stop it nearly whole.
    assert found["collapse_stop"] <= 0.5


def test_a_family_becomes_a_pool_of_its_own_settings():
    space = space_of(P)
    pool = pool_of(space, 2)
    rows = slice(space.start[2], space.start[3])
    assert (pool.size, pool.families) == (space.family_sizes[2], 1)
    y = space.property[rows].astype(float)
    np.testing.assert_allclose(np.asarray(pool.in_unit(pool.property.astype(float))), y, atol=1e-5)


def test_acceleration_is_what_chance_would_spend_over_what_was_spent():
    pool = pool_of(space_of(P), 1)
    enough = wanted(pool, 0.5)
    spent = community.run_campaign(pool, "greedy", 4, enough=enough, kernel="fixed").spent(enough)
    one = factor([pool], "greedy", 4)
    assert one == pytest.approx(by_chance(pool) / spent)
    other = pool_of(space_of(P), 0)
    assert factor([pool, other], "greedy", 4) == pytest.approx(math.sqrt(one * factor([other], "greedy", 4)))


def test_families_too_small_for_pools_are_left_out():
    assert acceleration(P, space_of(P), 1)["af_greedy"] > 1
    p = small(space__materials=400, space__family_exponent=0.0)  # 50 in each
    assert all(map(math.isnan, acceleration(p, space_of(p), 1).values()))


def test_greedy_campaigns_on_the_small_real_pools_lie_in_the_recorded_range(monkeypatch: pytest.MonkeyPatch):
    if not all((DATA / file).is_file() for file, _, _ in POOLS.values()):
        pytest.skip("real data not here: pools (see the README's section on real data for where to get it)")
    sizes = {name: community.pool_space(DATA, name).size for name in POOLS}
    few = {name: POOLS[name] for name in sorted(POOLS, key=sizes.__getitem__)[:3]}
    monkeypatch.setattr(community, "POOLS", few)
    found = real_acceleration(DATA, 1)
    assert found["af_greedy"] > 1 > found["af_maxvar"] / 1.5
