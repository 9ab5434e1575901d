"""Path dependence: pick-freeze, twins, interventions, monopoly."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpbf_abm import Parameters
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.measures.path import (
    cost_of_reversal,
    damage,
    damage_exponent,
    deposit,
    early_stream_index,
    monopoly_chance,
    run_to,
    share_after_deposit,
    split_streams,
)
from mpbf_abm.model.ecosystem import Ecosystem

URN = Parameters.null(
    **{
        "space.materials": 40,
        "space.families": 2,
        "founding.records": 0,
        "curators.count": 1,
        "curators.records": 1,
        "planners.count": 0,
        "infrastructure.repositories": 1,
    }
)


def test_running_on_sees_what_stopping_sees():
    whole = run_to(URN, 3, [0, 4, 9])
    assert whole.sum(axis=1).tolist() == [2, 6, 11]
    assert run_to(URN, 3, 9).tolist() == whole[-1].tolist()
    assert run_to(URN, 3, 0).tolist() == [1, 1]


def test_split_runs_agree_until_the_split_and_draw_anew_after_it():
    first, second = split_streams(URN, 12, 12, [1, 2, 3, 4])
    assert np.array_equal(first, second)
    first, second = split_streams(URN, 0, 30, list(range(20)))
    assert not np.array_equal(first, second)


def test_index_is_one_for_equal_pairs_and_zero_for_unrelated_ones():
    rng = np.random.default_rng(1)
    y, other = rng.random(4_000), rng.random(4_000)
    assert early_stream_index(y, y)[0] == pytest.approx(1)
    index, error = early_stream_index(y, other)
    assert abs(index) < 4.5 * error
    for bad in (y[:2], np.ones(5)):
        with pytest.raises(ConfigurationError, match="early-stream index needs"):
            early_stream_index(bad, bad)


def test_error_of_the_index_is_its_scatter():
    rng = np.random.default_rng(2)
    runs = []
    for _ in range(300):
        early = rng.standard_normal(80)
        runs.append(early_stream_index(early + rng.standard_normal(80), early + rng.standard_normal(80)))
    assert np.mean([s for s, _ in runs]) == pytest.approx(0.5, abs=0.02)
    assert np.mean([e for _, e in runs]) == pytest.approx(np.std([s for s, _ in runs]), rel=0.15)


def test_damage_is_total_variation_and_its_exponent_that_of_a_power_law():
    assert damage([1, 1], [3, 3]) == 0
    assert damage([1, 0], [0, 7]) == 1
    n = np.arange(100.0, 1_001.0)
    assert damage_exponent(0.1, 0.1 * 10**0.4, n) == pytest.approx(0.4, abs=0.01)
    assert damage_exponent(0.1, 0.1 * 10**-0.7, n) == pytest.approx(-0.7, abs=0.01)
    assert math.isnan(damage_exponent(0.1, 0.0, n))


@given(st.floats(0.01, 0.8), st.floats(1, 1e5), st.floats(0.001, 0.15))
def test_the_price_buys_what_it_says(x, N, D):
    assert share_after_deposit(x, N, cost_of_reversal(x, N, D)) == pytest.approx(x + D)
    assert cost_of_reversal(x, N, 1 - x) == math.inf


def test_a_deposit_is_seen_by_all_and_nothing_else_changes():
    eco, plain = Ecosystem(URN, 5, record=()), Ecosystem(URN, 5, record=())
    for _ in range(5):
        eco.step()
        plain.step()
    deposit(eco, 1, 7)
    deposit(eco, 1, 0)
    deposit(eco, 0, 2, measured=True)
    commons = eco.world.commons
    assert (commons.visible() - plain.world.commons.visible()).tolist() == [2, 7]
    assert len(set(commons.key.tolist())) == len(commons)
    assert np.array_equal(commons.value[5:12], eco.world.space.simulated[commons.material[5:12]])
    assert np.array_equal(commons.value[12:], eco.world.space.property[commons.material[12:]])
    assert commons.tested[commons.material[12:]].all()
    for bad in ((2, 1), (-1, 1), (0, -1)):
        with pytest.raises(ConfigurationError, match="deposit: family"):
            deposit(eco, *bad)
    eco.release()
    plain.release()


@pytest.mark.parametrize(("a", "b", "g"), [(1, 2, 2), (2, 3, 2), (1, 3, 1.5), (1, 1.5, 3), (5, 2, 2.5)])
def test_monopoly_agrees_with_racing_birth_processes(a, b, g):
    rng, n, rest = np.random.default_rng(1), 20_000, 400
    j = np.arange(float(rest))
    times = [
        (rng.exponential(size=(n, rest)) * (m + j) ** -g).sum(1) + (m + rest - 0.5) ** (1 - g) / (g - 1) for m in (a, b)
    ]
    share = np.mean(times[0] < times[1])
    chance = monopoly_chance(a, b, g)
    assert abs(chance - share) < 4.5 * math.sqrt(chance * (1 - chance) / n) + 1e-3
    assert monopoly_chance(b, a, g) == pytest.approx(1 - chance)


@pytest.mark.parametrize(("a", "b", "g"), [(1e4, 10_100, 2), (1e4, 10_100, 1.2), (3_000, 3_050, 2)])
def test_monopoly_of_large_masses_is_a_matter_of_normal_sums(a, b, g):
    mean = (a ** (1 - g) - b ** (1 - g)) / (g - 1)
    sd = math.sqrt((a ** (1 - 2 * g) + b ** (1 - 2 * g)) / (2 * g - 1))
    assert monopoly_chance(a, b, g) == pytest.approx(0.5 * math.erfc(mean / sd / math.sqrt(2)), abs=2e-3)


def test_monopoly_needs_strong_reinforcement():
    assert monopoly_chance(3, 3, 2) == 0.5
    for bad in ((1, 1, 1.0), (0, 1, 2), (1, -1, 2)):
        with pytest.raises(ConfigurationError, match="monopoly needs"):
            monopoly_chance(*bad)
