"""Emulators on functions that are known, and posteriors that can be computed by hand."""

import math
from itertools import product

import numpy as np
import pytest
from scipy import stats

from mpbf_abm.evidence.calibration import correlation, fit, left_out, log_acceptance, middle, posterior, quadratic
from mpbf_abm.evidence.facts.recorded import Component


def within(low: float, high: float) -> Component:
    return Component("y", "y", "", (low + high) / 2, low, high)


def points(n: int, k: int, seed: int = 0) -> np.ndarray:
    return stats.qmc.LatinHypercube(k, rng=np.random.default_rng(seed)).random(n) * 2 - 1


def plane(slopes: tuple[float, ...]):
    """Emulator of a plane through zero, without noise."""
    x = points(60, len(slopes))
    return fit(x, x @ np.array(slopes))


def test_a_quadratic_is_recovered_through_noise():
    n, noise = 400, 0.1
    x = points(n, 2)
    truth = np.array([0.5, 1.0, -2.0, 0.0, 1.5])
    y = quadratic(x) @ truth + noise * np.random.default_rng(1).standard_normal(n)
    emulator = fit(x, y)
    # A parameter spans [-1, 1] evenly: variances of the basis are 1, 1/3 and 4/45; the ridge adds a thousandth.
    error = noise / np.sqrt(n * np.array([1, 1 / 3, 1 / 3, 4 / 45, 4 / 45]))
    bias = 1e-3 / np.array([1, 1 / 3, 1 / 3, 4 / 45, 4 / 45]) * np.abs(truth)
    assert (np.abs(emulator.coefficients - truth) < 4.5 * error + 2 * bias).all()
    new = points(200, 2, 5)
    mean, sd = emulator.predict(new)
    wrong = mean - quadratic(new) @ truth
    assert np.sqrt((wrong**2).mean()) < 0.4 * noise
    assert (np.abs(wrong) < 4.5 * sd + 2 * bias.sum()).all()


def test_what_a_quadratic_cannot_say_is_left_to_the_process():
    x = points(200, 1)
    new = points(100, 1, 5)
    emulator = fit(x, np.sin(5 * x[:, 0]))
    mean, _ = emulator.predict(new)
    rough = quadratic(new) @ emulator.coefficients
    truth = np.sin(5 * new[:, 0])
    assert np.abs(mean - truth).mean() < 0.2 * np.abs(rough - truth).mean()


def test_nearness_is_one_at_a_point_and_falls_with_distance():
    x = np.linspace(0, 4, 9)[:, None]
    near = correlation(x, x, 1.0)
    np.testing.assert_allclose(np.diag(near), 1)
    assert (np.diff(near[0]) < 0).all()
    assert np.linalg.eigvalsh(near).min() > 0
    r = math.sqrt(5)
    assert correlation(np.zeros((1, 1)), np.ones((1, 1)), 1.0).item() == pytest.approx((1 + r + 5 / 3) * math.exp(-r))


def test_errors_of_points_left_out_are_what_was_claimed():
    x = points(240, 3)
    y = np.sin(2 * x[:, 0]) + x[:, 1] ** 2 + 0.3 * np.random.default_rng(2).standard_normal(240)
    errors = left_out(x, y)
    # The standard error of a standard deviation is 1 / sqrt(2 n).
    assert abs(errors.std() - 1) < 4.5 / math.sqrt(2 * 240)
    assert abs(errors.mean()) < 4.5 / math.sqrt(240)
    # Points that are no such function stand out.
    y[7] += 6.0
    assert np.argmax(np.abs(left_out(x, y))) == 7


def test_acceptance_is_the_product_of_normal_probabilities():
    x = points(60, 2)
    rng = np.random.default_rng(4)
    slopes = {"a": (1, 0), "b": (1, -2)}
    emulators = {name: fit(x, x @ slope + 0.2 * rng.standard_normal(60)) for name, slope in slopes.items()}
    ranges = {"a": within(-0.2, 0.3), "b": within(0.1, 0.9)}
    at = points(300, 2, 9)
    direct = np.ones(300)
    for name, emulator in emulators.items():
        mean, sd = emulator.predict(at)
        direct *= stats.norm.cdf(ranges[name].high, mean, sd) - stats.norm.cdf(ranges[name].low, mean, sd)
    likely = direct > 1e-9
    assert likely.sum() > 20
    np.testing.assert_allclose(
        log_acceptance(emulators, ranges, at)[likely], np.log(direct[likely]), rtol=1e-4, atol=1e-9
    )


@pytest.mark.parametrize("side", [1, -1])
def test_acceptance_is_finite_and_falls_far_out(side: int):
    emulator = plane((1.0,))
    _, sd = emulator.predict(np.zeros((1, 1)))
    far = [
        log_acceptance({"y": emulator}, {"y": within(*sorted((side * d, side * (d + 0.1))))}, np.zeros((1, 1))).item()
        for d in (0.0, 0.1, 1.0, 10.0, 100.0)
    ]
    assert np.isfinite(far).all()
    assert (np.diff(far) < 0).all()
    # The tail of a normal law at 100 is about -z^2 / 2.
    assert far[-1] == pytest.approx(-((100 / max(sd.item(), 1e-9)) ** 2) / 2, rel=0.01)


def test_without_facts_the_posterior_is_the_prior():
    draws = posterior({}, {}, 2, 1, 2_000)
    for column in draws.T:
        assert np.abs(np.sort(column) - np.linspace(-1, 1, 2_000)).max() < 0.15
    assert np.abs(draws).max() <= 1


def test_draws_fill_the_accepted_interval_evenly():
    draws = posterior({"y": plane((1.0,))}, {"y": within(0.2, 0.5)}, 1, 1, 2_000)[:, 0]
    assert draws.shape == (2_000,)
    # The ends are soft by what the emulator does not know.
    assert 0.19 < draws.min() < 0.21
    assert 0.49 < draws.max() < 0.51
    shares = np.histogram(draws, np.linspace(0.2, 0.5, 4))[0] / 2_000
    assert np.abs(shares - 1 / 3).max() < 0.06


def test_draws_fill_the_accepted_square_of_two_facts():
    emulators = {"sum": plane((1.0, 1.0)), "difference": plane((1.0, -1.0))}
    ranges = {"sum": within(-0.5, 0.5), "difference": within(0.0, 0.4)}
    draws = posterior(emulators, ranges, 2, 1, 2_000)
    total, gap = draws.sum(axis=1), draws[:, 0] - draws[:, 1]
    assert (np.abs(total) < 0.52).all()
    assert ((gap > -0.02) & (gap < 0.42)).all()
    quarters = [((total > 0) == a) & ((gap > 0.2) == b) for a, b in product((True, False), repeat=2)]
    assert all(abs(q.mean() - 0.25) < 0.06 for q in quarters)


def test_a_prior_that_ends_first_ends_the_posterior():
    draws = posterior({"y": plane((1.0,))}, {"y": within(0.9, 5.0)}, 1, 1, 1_000)
    assert draws.max() <= 1
    assert draws.min() > 0.88


def test_draws_follow_from_the_seed():
    one, two = {"y": plane((1.0, 0.5))}, {"y": within(0.2, 0.5)}
    first = posterior(one, two, 2, 1, 200)
    assert np.array_equal(first, posterior(one, two, 2, 1, 200))
    assert not np.array_equal(first, posterior(one, two, 2, 2, 200))


def test_the_middle_is_where_a_fact_is_most_surely_in_its_range():
    x = np.linspace(-1, 1, 21)[:, None]
    rng = np.random.default_rng(1)
    at = points(60, 1)
    emulator = fit(at, at[:, 0] + 0.3 * rng.standard_normal(60))
    assert abs(middle({"y": emulator}, {"y": within(0.1, 0.5)}, x).item() - 0.3) < 0.25
