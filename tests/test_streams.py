"""Keyed draws: pure functions of seed, decision, tick, slot; common random numbers by construction."""

from __future__ import annotations

import copy
import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.model.commons import record_keys
from mpbf_abm.streams import Streams, check_seed, hash_normal, hash_uniform, race, splitmix

KINDS = ("uniform", "normal", "exponential")
LAWS = {"uniform": stats.uniform.cdf, "normal": stats.norm.cdf, "exponential": stats.expon.cdf}
SMALLEST_P = 7e-6  # two-sided tail beyond 4.5 standard errors


@pytest.mark.parametrize("kind", KINDS)
def test_a_draw_does_not_depend_on_what_was_drawn_before(kind: str) -> None:
    quiet, busy = Streams(5), Streams(5)
    for tick in range(7):
        busy.uniform("other", tick, (3, 2))
        busy.exponential("wanted", tick + 1, 5)
        busy.normal("wanted", tick, 1)
    expected = getattr(quiet, kind)("wanted", 3, (4, 3))
    np.testing.assert_array_equal(getattr(busy, kind)("wanted", 3, (4, 3)), expected)
    np.testing.assert_array_equal(getattr(busy, kind)("wanted", 3, (4, 3)), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [1, 2, 7])
def test_one_more_slot_leaves_the_slots_before_it_alone(kind: str, width: int) -> None:
    few = getattr(Streams(1), kind)("d", 9, (50, width))
    many = getattr(Streams(1), kind)("d", 9, (51, width))
    np.testing.assert_array_equal(many[:50], few)
    assert not np.array_equal(many[50], many[49])


@pytest.mark.parametrize("kind", KINDS)
def test_draws_follow_their_law(kind: str) -> None:
    streams = Streams(2024)
    sample = np.concatenate([getattr(streams, kind)("law", tick, 400) for tick in range(100)])
    assert stats.kstest(sample, LAWS[kind]).pvalue > SMALLEST_P


def test_first_draws_of_many_ticks_are_uniform() -> None:
    """Streams that start alike at every tick would show in the first slot alone."""
    streams = Streams(0)
    first = np.array([streams.uniform("first", tick, 1)[0] for tick in range(4_000)])
    assert stats.kstest(first, "uniform").pvalue > SMALLEST_P
    assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 4.5 / np.sqrt(len(first))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((0, "x", 0), (1, "x", 0)),
        ((0, "x", 0), (0, "y", 0)),
        ((0, "x", 0), (0, "x", 1)),
        ((0, "x.1", 1), (0, "x.11", 0)),
        ((2**63 - 1, "x", 5), (0, "x", 5)),
    ],
)
def test_streams_of_different_keys_are_independent(a: tuple[int, str, int], b: tuple[int, str, int]) -> None:
    n = 20_000
    first, second = (Streams(seed).normal(name, tick, n) for seed, name, tick in (a, b))
    assert abs(np.corrcoef(first, second)[0, 1]) < 4.5 / np.sqrt(n)
    assert not np.isin(first, second).any()


def test_same_key_gives_same_draws_in_another_object() -> None:
    np.testing.assert_array_equal(Streams(7).uniform("a", 3, 100), Streams(np.int64(7)).uniform("a", 3, 100))


def test_a_later_seed_rules_from_its_tick_on() -> None:
    plain, other = Streams(1), Streams(2)
    split = Streams(1, {10: 2, 20: 1})
    for tick, source in ((0, plain), (9, plain), (10, other), (19, other), (20, plain), (99, plain), (3, plain)):
        np.testing.assert_array_equal(split.uniform("d", tick, 8), source.uniform("d", tick, 8))
        assert split.root(tick) == source.root(tick)


def test_later_seeds_may_be_given_in_any_order() -> None:
    a, b = Streams(1, {20: 3, 10: 2}), Streams(1, {10: 2, 20: 3})
    assert [a.root(t) for t in (5, 15, 25)] == [b.root(t) for t in (5, 15, 25)]


def test_early_draws_do_not_know_the_late_seed() -> None:
    np.testing.assert_array_equal(Streams(4, {12: 1}).normal("d", 11, 9), Streams(4, {12: 2}).normal("d", 11, 9))


@pytest.mark.parametrize("seed", ["1", "", 1.0, np.float64(2), True, np.True_, None, -1, 2**63, np.int64(-3), [1]])
def test_a_seed_that_is_not_a_whole_number_in_range_is_refused(seed: object) -> None:
    for build in (lambda: check_seed(seed), lambda: Streams(seed), lambda: Streams(0, {3: seed})):
        with pytest.raises(ConfigurationError, match=r"seed = .*0 to 2\^63 - 1") as caught:
            build()
        assert len(caught.value.faults) == 1
        assert "\n" not in str(caught.value)


def test_a_bad_later_seed_is_named_as_such() -> None:
    with pytest.raises(ConfigurationError, match="later seed"):
        Streams(0, {3: "x"})


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1, np.uint8(200), np.int32(5)])
def test_whole_seeds_in_range_are_taken(seed: object) -> None:
    assert check_seed(seed) == int(seed)  # type: ignore[call-overload]
    assert type(check_seed(seed)) is int


@pytest.mark.parametrize("clone", [copy.deepcopy, copy.copy, lambda s: pickle.loads(pickle.dumps(s))])
def test_a_copy_draws_the_same_and_shares_nothing(clone: object) -> None:
    streams = Streams(3, {5: 9})
    streams.uniform("warm", 2, 10)
    twin = clone(streams)  # type: ignore[operator]
    for tick in (2, 6):
        expected = Streams(3, {5: 9}).uniform("d", tick, 4)
        held = twin.generator("d", tick)
        streams.uniform("between", tick, 3)
        np.testing.assert_array_equal(held.random(4), expected)


# --------------------------------------------------------------------------- race


def test_race_chooses_in_proportion_to_weights() -> None:
    n, weights = 40_000, np.array([5.0, 3.0, 1.0, 0.5, 0.5])
    chosen = race(Streams(0).exponential("race", 0, (n, 5)), weights)
    p = weights / weights.sum()
    assert np.all(np.abs(np.bincount(chosen, minlength=5) / n - p) < 4.5 * np.sqrt(p * (1 - p) / n))


def test_race_never_chooses_weight_zero() -> None:
    clocks = Streams(1).exponential("race", 0, (2_000, 4))
    assert set(race(clocks, np.array([0.0, 1e-12, 0.0, 2e-12])).tolist()) == {1, 3}


def test_race_is_indifferent_to_the_scale_of_weights() -> None:
    clocks, weights = Streams(1).exponential("race", 0, (500, 4)), np.array([0.1, 0.2, 0.3, 0.4])
    np.testing.assert_array_equal(race(clocks, weights), race(clocks, 1024 * weights))


@given(
    st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=6), st.integers(0, 5), st.floats(0.1, 10), st.integers(0, 2**32)
)
def test_one_changed_weight_moves_choices_only_to_or_from_that_option(
    weights: list[float], option: int, factor: float, seed: int
) -> None:
    option %= len(weights)
    clocks = Streams(seed).exponential("race", 0, (40, len(weights)))
    changed = np.array(weights)
    changed[option] *= factor
    before, after = race(clocks, np.array(weights)), race(clocks, changed)
    moved = before != after
    assert np.all(after[moved] == option) if factor >= 1 else np.all(before[moved] == option)


def test_race_moves_with_relabelled_options() -> None:
    streams, order = Streams(6), np.array([2, 0, 3, 1])
    clocks, weights = streams.exponential("race", 0, (300, 4)), np.array([0.4, 0.3, 0.2, 0.1])
    np.testing.assert_array_equal(order[race(clocks[:, order], weights[order])], race(clocks, weights))


def test_race_takes_a_row_of_weights_per_chooser() -> None:
    clocks = Streams(1).exponential("race", 0, (3, 3))
    np.testing.assert_array_equal(race(clocks, np.eye(3)), [0, 1, 2])


# --------------------------------------------------------------------------- keyed by record

KEYS = record_keys(1, np.arange(20)[:, None, None], 3, np.arange(1_000)[None, :, None]).ravel()


def test_hashed_uniforms_are_uniform_and_pure() -> None:
    u = hash_uniform(KEYS, 17)
    assert stats.kstest(u, "uniform").pvalue > SMALLEST_P
    assert u.min() >= 0
    assert u.max() < 1
    np.testing.assert_array_equal(hash_uniform(KEYS[5:9], 17), u[5:9])


def test_hashed_uniforms_of_neighbouring_keys_and_salts_are_uncorrelated() -> None:
    u, v = hash_uniform(KEYS, 17), hash_uniform(KEYS, 18)
    bound = 4.5 / np.sqrt(len(u))
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < bound
    assert abs(np.corrcoef(u, v)[0, 1]) < bound


def test_another_tick_or_decision_is_another_set_of_numbers_for_records() -> None:
    """Salts that only permute numbers among keys would make counts over many keys the same at every tick."""
    keys, share, draws = record_keys(0, 0, 0, np.arange(2_048)), 0.1, 400
    streams, variance = Streams(3), 2_048 * share * (1 - share)
    by_tick = [streams.record_uniform("forget", keys, tick) for tick in range(draws)]
    by_name = [streams.record_uniform(f"decision {i}", keys) for i in range(draws)]
    by_normal = [streams.record_normal("noise", keys, 1, tick)[:, 0] < -1.2815516 for tick in range(draws)]
    for counts in (
        [(u < share).sum() for u in by_tick],
        [(u < share).sum() for u in by_name],
        [z.sum() for z in by_normal],
    ):
        assert abs(np.var(counts, ddof=1) / variance - 1) < 4.5 * np.sqrt(2 / (draws - 1))


def test_record_draws_are_pure_functions_of_seed_decision_tick_and_key() -> None:
    streams = Streams(3, {8: 4})
    u = streams.record_uniform("d", KEYS, 2)
    streams.uniform("other", 5, 9)
    np.testing.assert_array_equal(streams.record_uniform("d", KEYS[4:6], 2), u[4:6])
    np.testing.assert_array_equal(streams.record_uniform("d", KEYS, 8), Streams(4).record_uniform("d", KEYS, 8))
    assert stats.kstest(u, "uniform").pvalue > SMALLEST_P
    for other in (
        Streams(4).record_uniform("d", KEYS, 2),
        streams.record_uniform("e", KEYS, 2),
        streams.record_uniform("d", KEYS, 3),
    ):
        assert abs(np.corrcoef(u, other)[0, 1]) < 4.5 / np.sqrt(len(u))


def test_hashed_normals_are_normal_and_pure() -> None:
    z = hash_normal(KEYS, 5, 6)
    assert z.shape == (len(KEYS), 6)
    assert z.dtype == np.float32
    for column in z.T:
        assert stats.kstest(column, "norm").pvalue > SMALLEST_P
    off_diagonal = np.corrcoef(np.concatenate([z, z**2], axis=1).T)[np.triu_indices(12, 1)]
    assert np.abs(off_diagonal).max() < 5.2 / np.sqrt(len(KEYS))  # 4.5 for one, allowed for 66 pairs
    np.testing.assert_array_equal(hash_normal(KEYS[7:8], 5, 6), z[7:8])


@pytest.mark.parametrize("count", [0, 1, 3])
def test_hashed_normals_come_in_any_count(count: int) -> None:
    assert hash_normal(KEYS[:4], 5, count).shape == (4, count)


def test_another_salt_gives_other_normals() -> None:
    assert abs(np.corrcoef(hash_normal(KEYS, 5, 1)[:, 0], hash_normal(KEYS, 6, 1)[:, 0])[0, 1]) < 4.5 / np.sqrt(
        len(KEYS)
    )


def test_splitmix_gives_its_published_sequence() -> None:
    """First outputs of splitmix64 from seed 1234567 (reference implementation of Vigna)."""
    golden, state, outputs = 0x9E3779B97F4A7C15, 1234567, []
    for _ in range(3):
        outputs.append(int(splitmix(np.array([state], np.uint64))[0]))
        state = (state + golden) % 2**64
    assert outputs == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_record_keys_are_distinct_over_producers_ticks_and_indices() -> None:
    kinds, slots, ticks, indices = range(3), (0, 1, 2, 99_999), (0, 1, 119, 100_000), (0, 1, 4_095, 60_000)
    keys = [
        int(record_keys(kind, slot, tick, np.array([index]))[0])
        for kind, slot, tick, index in itertools.product(kinds, slots, ticks, indices)
    ]
    assert len(set(keys)) == len(keys)


def test_many_founding_records_have_distinct_keys() -> None:
    keys = record_keys(0, 0, 0, np.arange(200_000))
    assert len(np.unique(keys)) == 200_000
