"""The four formulas and their couplings: worked numbers, limits, and properties over random arguments."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mpbf_abm.model import abstraction, assimilation, coupling, steering
from mpbf_abm.model import abstraction as tradeoff
from mpbf_abm.model.attention import attention, explored, reinforced

Float = NDArray[np.float64]
unit = st.floats(0, 1)
positive = st.floats(0.01, 10)


def lists(elements: st.SearchStrategy[float], low: int = 1, high: int = 6) -> st.SearchStrategy[list[float]]:
    return st.lists(elements, min_size=low, max_size=high)


# --------------------------------------------------------------------------- DAL


def test_boundary_shift_of_the_worked_example() -> None:
    C = assimilation.coverage([200.0, 200.0, 200.0], 200.0)
    assert assimilation.boundary_shift(C, 0.5) == pytest.approx(0.132121, abs=5e-7)


def test_coverage_is_averaged_over_families() -> None:
    assert assimilation.coverage([0, 200], 200.0) == pytest.approx((1 - math.exp(-1)) / 2)
    assert assimilation.coverage([0, 0, 0], 200.0) == 0.0
    assert assimilation.coverage([1e9], 200.0) == 1.0


@given(lists(st.floats(0, 2_000)), st.integers(0, 5), st.floats(1, 500), st.floats(1, 500))
def test_boundary_shift_is_increasing_and_concave_in_each_volume(
    V: list[float], k: int, step: float, v0: float
) -> None:
    k %= len(V)
    values = []
    for i in range(3):
        moved = list(V)
        moved[k] += i * step
        values.append(assimilation.boundary_shift(assimilation.coverage(moved, v0), 0.3, 1.7, 0.4))
    assert values[0] <= values[1] <= values[2]
    assert values[1] - values[0] >= values[2] - values[1] - 1e-12


@given(unit, unit, positive, positive, unit)
def test_boundary_shift_falls_with_fidelity_by_beta_and_is_bounded(
    C: float, F: float, α: float, β: float, F2: float
) -> None:
    shift = assimilation.boundary_shift(C, F, α, β)
    assert -β <= shift <= α
    assert assimilation.boundary_shift(C, F2, α, β) - shift == pytest.approx(-β * (F2 - F), abs=1e-9)


@given(st.floats(0, 5_000), st.floats(10, 500))
def test_boundary_shift_stays_below_alpha_for_any_volume(V: float, v0: float) -> None:
    C = assimilation.coverage([V], v0)
    assert 0 <= C <= 1
    assert C < 1 or 36 * v0 < V  # where 1 - exp(-36) is 1 in floating point


@given(lists(st.floats(0, 1_000), 2), st.integers(0, 5), st.integers(0, 5), unit, st.floats(10, 500))
def test_coverage_is_schur_concave(V: list[float], i: int, j: int, share: float, v0: float) -> None:
    """Moving volume from a richer family toward a poorer one never lowers coverage."""
    i, j = i % len(V), j % len(V)
    assume(i != j)
    evened = list(V)
    evened[i], evened[j] = (1 - share) * V[i] + share * V[j], share * V[i] + (1 - share) * V[j]
    assert assimilation.coverage(evened, v0) >= assimilation.coverage(V, v0) - 1e-12


def test_fidelity_weighs_by_claimed_precision() -> None:
    assert assimilation.fidelity([1.0, 2.0], [1.0, 2.0], [0.1, 5.0]) == 1.0
    assert assimilation.fidelity([1.0], [0.0], [0.3]) == pytest.approx(math.exp(-0.5))
    assert assimilation.fidelity([2.0], [0.0], [0.3], sd=2.0) == pytest.approx(math.exp(-0.5))
    expected = (1 / 0.1 + math.exp(-0.5 * 9) / 0.4) / (1 / 0.1 + 1 / 0.4)
    assert assimilation.fidelity([0.0, 3.0], [0.0, 0.0], [0.1, 0.4]) == pytest.approx(expected)


@given(lists(st.floats(-5, 5), 3, 3), lists(st.floats(-5, 5), 3, 3), lists(positive, 3, 3), positive)
def test_fidelity_lies_between_0_and_1_and_ignores_the_unit_of_variance(
    v: list[float], y: list[float], variance: list[float], factor: float
) -> None:
    F = assimilation.fidelity(v, y, variance)
    assert 0 <= F <= 1
    assert assimilation.fidelity(v, y, np.array(variance) * factor) == pytest.approx(F, rel=1e-9)


def test_alternative_boundary_shift() -> None:
    shift = assimilation.boundary_shift_alternative
    assert shift(2_000, 2_000, 0.25, 0.25) == 0.0
    assert shift(4_000, 2_000, 0.25, 0.25, α=2.0) == pytest.approx(2 * math.log(2))
    assert shift(2_000, 2_000, 0.5, 0.25, β=3.0) == pytest.approx(-3 * math.log(2))
    assert shift(0.0, 2_000, 0.25, 0.25) == pytest.approx(math.log(1e-6))


@given(st.floats(-1, 1), st.floats(0, 5), unit, unit)
def test_budget_response_follows_the_sign_of_the_shift(ΔB: float, gain: float, audit: float, quota: float) -> None:
    a, q = assimilation.budget_response(ΔB, gain, audit, quota)
    assert 0 <= a <= 1
    assert 0 <= q <= 1
    if ΔB >= 0:
        assert a >= audit
        assert q >= quota
    else:
        assert a <= audit
        assert q <= quota
    assert assimilation.budget_response(ΔB, 0.0, audit, quota) == (audit, quota)


def test_budget_response_moves_both_levers() -> None:
    assert assimilation.budget_response(0.4, 1.0, 0.1, 0.2) == pytest.approx((0.2, 0.4))


# --------------------------------------------------------------------------- RAL


def test_integrity_of_the_worked_example() -> None:
    R, μ = np.array([0.9, 0.7]), np.array([0.5, 0.5])
    assert abstraction.integrity(R, μ, (0.1, 0.1, 0.1), γ_A=0.9, δ_U=1.0) == pytest.approx(0.449, abs=1e-12)


@given(lists(unit, 3, 3), lists(unit), st.floats(0.01, 5), unit, st.integers(0, 2), unit, st.integers(0, 5))
def test_integrity_is_bounded_and_monotone(
    R: list[float], u: list[float], γ: float, δ: float, k: int, step: float, j: int
) -> None:
    μ = np.array([0.2, 0.5, 0.3])
    A = abstraction.integrity(R, μ, u, γ, δ)
    assert 0 <= A <= γ * (1 + 1e-12)
    better, worse = list(R), list(u)
    better[k] = min(1.0, R[k] + step)
    worse[j % len(u)] = min(1.0, u[j % len(u)] + step)
    assert abstraction.integrity(better, μ, u, γ, δ) >= A - 1e-12
    assert abstraction.integrity(R, μ, worse, γ, δ) <= A + 1e-12
    assert pytest.approx(max(0.0, abstraction.integrity_unfloored(R, μ, u, γ, δ))) == A


@given(lists(unit, 1, 4), unit)
def test_the_order_of_scale_transitions_is_irrelevant(u: list[float], δ: float) -> None:
    values = [abstraction.uncertainty(order, δ) for order in itertools.permutations(u)]
    np.testing.assert_allclose(values, values[0], atol=1e-12)
    assert 0 <= values[0] <= δ


@pytest.mark.parametrize(
    ("u", "expected"), [((), 0.0), ((0.0, 0.0), 0.0), ((1.0, 0.2), 0.3), ((0.5,), 0.15), ((2.0,), 0.3), ((-1.0,), 0.0)]
)
def test_uncertainty_at_its_ends(u: tuple[float, ...], expected: float) -> None:
    assert abstraction.uncertainty(u, 0.3) == pytest.approx(expected, abs=1e-15)


def test_unfloored_integrity_may_be_negative_and_integrity_not() -> None:
    assert abstraction.integrity_unfloored([0.0], [1.0], [1.0], 1.0, 0.3) == pytest.approx(-0.3)
    assert abstraction.integrity([0.0], [1.0], [1.0]) == 0.0


@given(lists(st.floats(0.01, 1), 3, 3), st.floats(0.05, 4))
def test_alternative_integrity_is_a_power_mean(R: list[float], g: float) -> None:
    μ = np.array([0.2, 0.5, 0.3])
    value = abstraction.integrity_alternative(R, μ, (), g)
    assert min(R) - 1e-9 <= value <= max(R) + 1e-9
    assert abstraction.integrity_alternative(R, μ, (), 1.0) == pytest.approx(float(μ @ np.array(R)))
    assert abstraction.integrity_alternative(R, μ, (1.0,), g, 0.3) == pytest.approx(value * math.exp(-0.3))


def test_captured_variance_is_the_share_that_the_decoder_returns() -> None:
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(3, 400, 4)) * np.array([3.0, 1.0, 1.0, 5.0])).astype(np.float32) + np.arange(3)[
        :, None, None
    ].astype(np.float32)
    causal = np.array([True, True, True, False])
    axes = np.eye(4)
    spread = ((x - x.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)[:, :3].astype(np.float64)
    for kept in ([], [0], [0, 1], [0, 1, 2], [3]):
        share = spread[:, [k for k in kept if k < 3]].sum(axis=1) / spread.sum(axis=1)
        np.testing.assert_allclose(abstraction.captured(x, axes[:, kept], causal), share, atol=1e-5)


def test_captured_variance_differs_between_families_with_their_own_chemistry() -> None:
    rng = np.random.default_rng(1)
    x = np.zeros((2, 100, 3), np.float32)
    x[0, :, 0], x[1, :, 1] = rng.normal(size=(2, 100))
    np.testing.assert_allclose(abstraction.captured(x, np.eye(3)[:, :1], np.ones(3, bool)), [1, 0], atol=1e-6)
    np.testing.assert_array_equal(
        abstraction.captured(np.ones((1, 5, 3), np.float32), np.eye(3), np.ones(3, bool)), [0]
    )


def test_invariant_share_is_what_of_the_latent_variance_is_not_gauge() -> None:
    rng, v = np.random.default_rng(2), np.array([[1.5, 0.0], [0.0, 0.5]])
    gauge = rng.normal(size=(2, 20_000, 2))
    chemistry = rng.normal(size=(2, 20_000, 2)) * np.array([2.0, 1.0])[:, None, None]
    shares = abstraction.invariant((chemistry + gauge @ v).astype(np.float32), v)
    np.testing.assert_allclose(shares, [8 / 10.5, 2 / 4.5], atol=0.02)
    np.testing.assert_array_equal(abstraction.invariant(chemistry.astype(np.float32), 0 * v), [1, 1])
    np.testing.assert_array_equal(abstraction.invariant((0 * gauge).astype(np.float32), v), [1, 1])
    np.testing.assert_array_equal(abstraction.invariant(chemistry.astype(np.float32), 100 * v), [0, 0])


def test_explained_variance_is_that_of_a_linear_regression() -> None:
    rng = np.random.default_rng(3)
    z = rng.normal(size=(4_000, 3)).astype(np.float32)
    signal, noise = z[:, :1] * 2 + 1, rng.normal(size=(4_000, 1)).astype(np.float32)
    assert abstraction.explained(signal, z) == pytest.approx(1, abs=1e-4)
    assert abstraction.explained(signal + noise, z) == pytest.approx(0.8, abs=0.02)
    assert abstraction.explained(noise, z) < 4.5 * 3 / 4_000 + 0.002
    assert abstraction.explained(np.zeros((4_000, 0), np.float32), z) == 1.0
    assert abstraction.explained(np.ones((4_000, 2), np.float32), z) == 1.0


# --------------------------------------------------------------------------- trade-off


def test_tradeoff_of_the_worked_example() -> None:
    assert tradeoff.tradeoff(6.5, 0.6, 0.2) == pytest.approx(0.688942, abs=5e-7)
    assert tradeoff.optimal_scale(0.6, 0.2) == pytest.approx(6.5)


@given(st.floats(0, 50), unit, unit, positive, positive)
def test_tradeoff_limits(p: float, I: float, E: float, η: float, θ: float) -> None:
    assert tradeoff.tradeoff(0.0, I, E, η, θ) == 0.0
    assert tradeoff.tradeoff(p, 1.0, E, η, θ) == pytest.approx(η * math.log1p(p))
    assert tradeoff.tradeoff(p, 0.0, E, η, θ) == pytest.approx(-θ * p * E)


@given(st.floats(0.1, 50), st.floats(0.05, 1), unit, positive, positive)
def test_tradeoff_slope_is_its_derivative(p: float, I: float, E: float, η: float, θ: float) -> None:
    h = 1e-4
    numeric = (tradeoff.tradeoff(p + h, I, E, η, θ) - tradeoff.tradeoff(p - h, I, E, η, θ)) / (2 * h)
    assert tradeoff.tradeoff_slope(p, I, E, η, θ) == pytest.approx(numeric, abs=1e-5)
    cross = (tradeoff.tradeoff_slope(p, I, E + h, η, θ) - tradeoff.tradeoff_slope(p, I, E, η, θ)) / h
    assert cross == pytest.approx(-θ * (1 - I), abs=1e-6)


@given(unit, st.floats(0.01, 1), positive, positive, st.floats(0.01, 100))
def test_the_optimal_scale_is_the_best(I: float, E: float, η: float, θ: float, other: float) -> None:
    best = tradeoff.optimal_scale(I, E, η, θ)
    assert best >= 0
    if math.isfinite(best) and best < 1e6:
        T = tradeoff.tradeoff(best, I, E, η, θ)
        assert tradeoff.tradeoff(other, I, E, η, θ) - 1e-9 * (1 + abs(T)) <= T
        if best > 0:
            assert tradeoff.tradeoff_slope(best, I, E, η, θ) == pytest.approx(0, abs=1e-9 * (1 + η))


def test_nothing_holds_the_scale_back_under_full_invariance_or_without_risk() -> None:
    assert tradeoff.optimal_scale(1.0, 0.5) == tradeoff.optimal_scale(0.5, 0.0) == math.inf
    assert tradeoff.optimal_scale(0.0, 0.5) == 0.0


def test_alternative_and_measured_tradeoff() -> None:
    assert tradeoff.tradeoff_alternative(2.0, 0.5, 0.1, 0.3, η=1.5, θ=2.0) == pytest.approx(1.5 * 2 / 0.8 + 0.2)
    assert tradeoff.measured_tradeoff(0.5, 0.3, 2.0, 0.1, 0.7) == pytest.approx(0.1 - 0.035)
    assert tradeoff.measured_tradeoff(0.5, 0.5, 1.0, 0.0, 1.0) == 0.0


# --------------------------------------------------------------------------- ISL


def test_steering_of_the_worked_example() -> None:
    assert steering.steering_fidelity(steering.feedback(0.7, 0.5), 0.5, 0.6) == pytest.approx(0.71)


@given(unit, st.floats(0, 2), st.floats(-5, 5), unit, positive)
def test_steering_fidelity_lies_between_0_and_1(o: float, c: float, T: float, w: float, T_s: float) -> None:
    Φ, Θ = steering.feedback(o, c), steering.resolution(T, T_s)
    assert 0 <= Φ <= 1
    assert 0 <= Θ <= 1
    assert -1e-12 <= steering.steering_fidelity(Φ, Θ, w) <= 1 + 1e-12
    assert 0 <= steering.steering_fidelity_alternative(o, c, Θ, w) <= 1


@given(unit, unit)
def test_feedback_at_its_ends(o: float, c: float) -> None:
    assert steering.feedback(o, 1.0) == 1.0
    assert steering.feedback(o, 0.0) == pytest.approx(o)
    assert steering.feedback(1.0, c) == 1.0
    assert steering.feedback(o, 1 + c) == pytest.approx(steering.feedback(o, 1 - c)), "too much is as bad as too little"


def test_resolution_is_logistic_and_never_overflows() -> None:
    assert steering.resolution(0.0, 0.5) == 0.5
    assert steering.resolution(0.5 * math.log(3), 0.5) == pytest.approx(0.75)
    assert steering.resolution(-1e9, 0.1) == pytest.approx(0, abs=1e-20)
    assert steering.resolution(1e9, 0.1) == pytest.approx(1)


@pytest.mark.parametrize(("gap", "o"), [(0.0, 1.0), (0.2, 0.6), (0.5, 0.0), (3.0, 0.0), (math.inf, 0.0)])
def test_agreement_is_relative_to_the_spread_of_the_property(gap: float, o: float) -> None:
    assert steering.agreement(gap, 0.5) == pytest.approx(o)


def test_alternative_steering() -> None:
    assert steering.steering_fidelity_alternative(0.5, 0.5, 0.81, 0.5) == pytest.approx(0.45)
    assert steering.steering_fidelity_alternative(1.0, 2.0, 1.0) == 1.0
    assert steering.steering_fidelity_alternative(0.0, 1.0, 0.5) == 0.0


def test_family_weights_are_standardised_clipped_and_scaled() -> None:
    a = np.array([[1.0, 2.0, 3.0], [5.0, 5.0, 5.0], [1.0, 2.0, 3.0]])
    logs = steering.family_weights(a, np.array([1.0, 1.0, 0.5]), 2.0)
    np.testing.assert_allclose(logs[0], 2 * np.array([-1, 0, 1]) * math.sqrt(1.5))
    np.testing.assert_array_equal(logs[1], 0)
    np.testing.assert_allclose(logs[2], logs[0] / 2)
    lonely = np.zeros((1, 100))
    lonely[0, 7] = 1.0
    assert steering.family_weights(lonely, np.ones(1), 1.0).max() == steering.CLIP


@given(lists(st.floats(-100, 100), 4, 4), st.floats(0.1, 50), st.floats(-20, 20))
def test_family_weights_ignore_the_unit_of_acquisition(a: list[float], factor: float, shift: float) -> None:
    values = np.array([a])
    assume(values.std() > 1e-3)
    plain = steering.family_weights(values, np.ones(1), 1.0)
    np.testing.assert_allclose(steering.family_weights(factor * values + shift, np.ones(1), 1.0), plain, atol=1e-6)


# --------------------------------------------------------------------------- attention


@st.composite
def urns(draw: st.DrawFn) -> tuple[Float, Float, float, Float, Float, Float]:
    """Masses, explorations, adjacency, reinforcements, similarity graph and weights."""
    K, n = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    mass = st.one_of(st.just(0.0), st.floats(1e-6, 1e6))
    x = np.array(draw(st.lists(mass, min_size=K, max_size=K)))
    ε = np.array(draw(st.lists(unit, min_size=n, max_size=n)))
    γ = np.array(
        draw(st.lists(st.one_of(st.sampled_from([-1.0, 0.0, 1.0, 2.0]), st.floats(-1, 4)), min_size=n, max_size=n))
    )
    raw = np.array(draw(st.lists(st.floats(0.01, 1), min_size=K * K, max_size=K * K))).reshape(K, K)
    w = np.array(draw(st.lists(st.floats(0.01, 100), min_size=n * K, max_size=n * K))).reshape(n, K)
    return x, ε, draw(unit), γ, raw / raw.sum(axis=1, keepdims=True), w


@given(urns(), st.booleans())
def test_attention_is_a_distribution_for_every_agent(
    urn: tuple[Float, Float, float, Float, Float, Float], weighted: bool
) -> None:
    x, ε, ν, γ, P, w = urn
    f = attention(x, ε, ν, γ, P, w if weighted else None)
    assert f.shape == (len(ε), len(x))
    assert f.min() >= 0
    np.testing.assert_allclose(f.sum(axis=1), 1, rtol=1e-12)


@given(urns())
@settings(suppress_health_check=[HealthCheck.filter_too_much])
def test_attention_equals_its_formula(urn: tuple[Float, Float, float, Float, Float, Float]) -> None:
    x, ε, ν, γ, P, w = urn
    assume((x > 0).all())
    for i in range(len(ε)):
        rise = x ** γ[i] * w[i]
        expected = ε[i] * ((1 - ν) / len(x) + ν * x @ P / x.sum()) + (1 - ε[i]) * rise / rise.sum()
        np.testing.assert_allclose(attention(x, ε, ν, γ, P, w)[i], expected, rtol=1e-9)


@given(urns(), st.randoms(use_true_random=False))
def test_attention_moves_with_relabelled_families(
    urn: tuple[Float, Float, float, Float, Float, Float], random: object
) -> None:
    x, ε, ν, γ, P, w = urn
    order = np.arange(len(x))
    random.shuffle(order)  # type: ignore[attr-defined]
    moved = attention(x[order], ε, ν, γ, P[np.ix_(order, order)], w[:, order])
    np.testing.assert_allclose(moved, attention(x, ε, ν, γ, P, w)[:, order], rtol=1e-9, atol=1e-15)


X = np.array([4.0, 1.0, 0.0, 5.0])
P4 = np.array([[0, 1, 0, 0], [0.5, 0, 0.5, 0], [0, 1, 0, 0], [0, 0, 1, 0]], float)


@pytest.mark.parametrize(
    ("γ", "share"),
    [
        (1.0, [0.4, 0.1, 0.0, 0.5]),
        (0.0, [0.25, 0.25, 0.25, 0.25]),
        (2.0, [16 / 42, 1 / 42, 0.0, 25 / 42]),
        (-1.0, [0.25 / 1.45, 1 / 1.45, 0.0, 0.2 / 1.45]),
        (0.5, [2 / (3 + math.sqrt(5)), 1 / (3 + math.sqrt(5)), 0.0, math.sqrt(5) / (3 + math.sqrt(5))]),
    ],
)
def test_reinforcement_by_hand(γ: float, share: list[float]) -> None:
    np.testing.assert_allclose(reinforced(X, np.array([γ]))[0], share, rtol=1e-12)


@pytest.mark.parametrize("γ", [-1.0, 0.0, 0.5, 1.0, 2.0])
def test_without_any_mass_attention_is_even(γ: float) -> None:
    np.testing.assert_allclose(reinforced(np.zeros(4), np.array([γ]))[0], 0.25)
    np.testing.assert_allclose(attention(np.zeros(4), np.array([0.3]), 0.8, np.array([γ]), P4)[0], 0.25)


def test_full_exploration_ignores_mass_and_weights() -> None:
    f = attention(X, np.array([1.0]), 0.0, np.array([4.0]), P4, np.array([[1.0, 50, 1, 1]]))
    np.testing.assert_allclose(f[0], 0.25)


def test_full_adjacency_follows_the_similarity_graph() -> None:
    np.testing.assert_allclose(explored(X, 1.0, P4), [0.05, 0.4, 0.55, 0.0])
    np.testing.assert_allclose(explored(X, 0.5, P4), 0.5 * np.array([0.05, 0.4, 0.55, 0.0]) + 0.125)


@given(st.floats(0.1, 1e5), st.sampled_from([-1.0, 0.5, 1.0, 2.0, 4.0]))
def test_shares_do_not_depend_on_the_unit_of_mass(scale: float, γ: float) -> None:
    np.testing.assert_allclose(reinforced(scale * X, np.array([γ])), reinforced(X, np.array([γ])), rtol=1e-9)


def test_great_masses_do_not_overflow() -> None:
    f = reinforced(np.array([1e200, 1e199, 1.0]), np.array([4.0, -1.0]))
    np.testing.assert_allclose(f[0], [1, 1e-4, 0], rtol=1e-3, atol=1e-12)
    np.testing.assert_allclose(f[1], [0, 0, 1], atol=1e-12)


def test_weights_tilt_the_reinforced_part_in_proportion() -> None:
    np.testing.assert_allclose(reinforced(X, np.array([1.0]), np.array([[1.0, 4, 9, 0]]))[0], [0.5, 0.5, 0, 0])


def test_agents_of_different_reinforcement_stand_side_by_side() -> None:
    γ = np.array([2.0, 1.0, 2.0, -1.0])
    rows = reinforced(X, γ)
    for i, g in enumerate(γ):
        np.testing.assert_array_equal(rows[i], reinforced(X, np.array([g]))[0])


# --------------------------------------------------------------------------- coupling


def test_pseudo_labels_repeat_sharpen_or_flatten() -> None:
    yhat = np.array([1.0, 3.0], np.float32)
    np.testing.assert_allclose(coupling.pseudo_label(yhat, 2.0, 1.0), yhat)
    np.testing.assert_allclose(coupling.pseudo_label(yhat, 2.0, 3.0), [-1.0, 5.0])
    np.testing.assert_allclose(coupling.pseudo_label(yhat, 2.0, 0.0), [2.0, 2.0])
    assert coupling.pseudo_label(yhat, 2.0, 1.0).dtype == np.float32


@given(lists(positive, 1, 8), unit)
def test_a_channel_keeps_the_mean_variance(variance: list[float], openness: float) -> None:
    v = np.array(variance)
    passed = coupling.channel(v, openness)
    assert passed.mean() == pytest.approx(v.mean())
    np.testing.assert_allclose(passed - v.mean(), openness * (v - v.mean()), atol=1e-12)


def test_an_open_channel_passes_everything_and_a_closed_one_only_the_mean() -> None:
    v = np.array([1.0, 2.0, 6.0])
    np.testing.assert_array_equal(coupling.channel(v, 1.0), v)
    np.testing.assert_allclose(coupling.channel(v, 0.0), 3.0)
    assert len(coupling.channel(np.zeros(0), 0.5)) == 0


def test_pooling_levels_groups_and_keeps_differences_within() -> None:
    group, v = np.array([0, 0, 2, 2], np.int8), np.array([1.0, 3.0, 5.0, 15.0])
    np.testing.assert_array_equal(coupling.pooled_by(group, v, 1.0), v)
    closed = coupling.pooled_by(group, v, 0.0)
    np.testing.assert_allclose([closed[:2].mean(), closed[2:].mean()], v.mean())
    np.testing.assert_allclose(closed, [3.0, 9.0, 3.0, 9.0])
    half = coupling.pooled_by(group, v, 0.5)
    np.testing.assert_allclose([half[:2].mean(), half[2:].mean()], [4.0, 8.0])
    assert len(coupling.pooled_by(np.zeros(0, np.int8), np.zeros(0), 0.5)) == 0


def test_steady_bias_of_the_worked_example() -> None:
    h = coupling.bias_share(0.05, 0.1)
    λ_P, q, λ_S = 1.0, 0.6, 0.8
    ρ = λ_P * q / (λ_P * q + λ_S)  # share of measured records among the new ones
    L = coupling.loop_gain(ρ, 0.5, 2.4, 0.9, h)
    assert coupling.steady_bias(ρ, 0.5, 0.4, h, L) == pytest.approx(0.0479616, abs=5e-8)


def test_bias_grows_without_limit_from_gain_one_on() -> None:
    assert coupling.steady_bias(0.2, 0.5, 0.4, 0.5, 1.0) == math.inf
    assert coupling.steady_bias(0.2, 0.5, 0.4, 0.5, 1.5) == math.inf
    assert coupling.loop_gain(1.0, 0.5, 2.0, 1.0, 1.0) == coupling.loop_gain(0.0, 0.0, 2.0, 1.0, 1.0) == 0.0
    assert coupling.bias_share(0.0, 0.0) == 1.0
    assert coupling.bias_share(0.1, 0.0) == 1.0
    assert coupling.bias_share(0.0, 0.1) == 0.0


@given(unit, unit, st.floats(0, 3), unit, unit, st.floats(0.01, 1))
def test_steady_bias_is_the_fixed_point_of_the_loop(
    ρ: float, π: float, g: float, χ: float, h: float, b_s: float
) -> None:
    L = coupling.loop_gain(ρ, π, g, χ, h)
    assume(L < 0.95)
    b = coupling.steady_bias(ρ, π, b_s, h, L)
    assert b == pytest.approx((1 - ρ) * h * ((1 - π) * b_s + π * g * χ * b), abs=1e-9)


def test_the_gain_matrix_places_each_effect() -> None:
    m = coupling.gain_matrix(inherited=1.0, steered=2.0, fed_back=3.0, generated=4.0, corrected=5.0)
    np.testing.assert_array_equal(m, [[0, 4, 3], [1, 0, -5], [0, 2, 0]])


@pytest.mark.parametrize(
    ("gains", "radius"),
    [
        ((0.0, 0.0, 0.0, 0.0, 0.0), 0.0),
        ((0.8, 0.0, 0.0, 0.2, 0.0), 0.4),  # DAL -> RAL -> DAL: sqrt(.16)
        ((0.5, 2.0, 1.0, 0.0, 0.0), 1.0),  # round all three: cube root of 1
        ((0.5, 1.0, 0.0, 0.0, 0.25), 0.5),  # corrected steering: sqrt(-.25) in modulus
        ((0.9, 0.9, 0.0, 0.0, 0.0), 0.0),  # a chain that does not close gains nothing
    ],
)
def test_the_spectral_radius_is_the_gain_around_the_loops(gains: tuple[float, ...], radius: float) -> None:
    assert coupling.spectral_radius(coupling.gain_matrix(*gains)) == pytest.approx(radius, abs=1e-5)
