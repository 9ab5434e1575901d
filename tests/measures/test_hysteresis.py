"""Hysteresis: areas and limits of systems that are known, and of urns below and above their folds."""

import math

import numpy as np
import pytest

from mpbf_abm import Parameters
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.measures.hysteresis import FOLD, loop_area, loop_areas, ramp_community, slow_limit


def driven(f, rate, low=-1.0, high=1.0, y0=-1.3, step=0.02):
    """Lever and response of dy/dt = f(y, p) over a triangular ramp, Runge-Kutta."""
    n = math.ceil((high - low) / rate / step)
    way = np.linspace(low, high, n + 1)
    p = np.concatenate([way, way[-2::-1]])
    dt, y = (high - low) / rate / n, np.empty(len(p))
    y[0] = y0
    for i in range(len(p) - 1):
        mid = 0.5 * (p[i] + p[i + 1])
        a = f(y[i], p[i])
        b = f(y[i] + 0.5 * dt * a, mid)
        c = f(y[i] + 0.5 * dt * b, mid)
        d = f(y[i] + dt * c, p[i + 1])
        y[i + 1] = y[i] + dt / 6 * (a + 2 * b + 2 * c + d)
    return p, y


def test_a_response_that_follows_has_no_area():
    p = np.concatenate([np.linspace(0, 1, 50), np.linspace(1, 0, 50)[1:]])
    assert loop_area(p, np.full(99, 3.0)) == pytest.approx(0.0, abs=1e-12)
    assert loop_area(p, np.sin(3 * p)) == pytest.approx(0.0, abs=1e-12)


def test_a_rectangle():
    assert loop_area([0, 1, 2, 2, 1, 0], [1, 1, 1, 4, 4, 4]) == pytest.approx(2 * 3)
    assert loop_area([0, 1, 2, 2, 1, 0], [4, 4, 4, 1, 1, 1]) == pytest.approx(-2 * 3)


@pytest.mark.parametrize("tau", [0.5, 2.0])
def test_a_lag_vanishes_with_the_rate(tau):
    """Linear relaxation: r^2 tau (2 T - tau (1 - E)(3 - E)) with T = 2 / r, E = exp(-T / tau)."""
    rates, areas = np.array([0.01, 0.02, 0.05]) / tau, []
    for r in rates:
        areas.append(loop_area(*driven(lambda y, p: (p - y) / tau, r, y0=-1.0)))
        T = 2 / r
        E = math.exp(-T / tau)
        assert areas[-1] == pytest.approx(r**2 * tau * (2 * T - tau * (1 - E) * (3 - E)), rel=1e-3)
    assert abs(slow_limit(rates, areas, exponent=1.0).value) < 0.02 * areas[-1] + 0.01


def test_a_fold_leaves_its_static_loop():
    """dy/dt = y - y^3 + p: area 3/2 between the branches, and growth with the rate to the power 2/3."""
    rates = np.array([0.002, 0.004, 0.008, 0.016])
    areas = [loop_area(*driven(lambda y, p: y - y**3 + p, r, step=0.05)) for r in rates]
    limit = slow_limit(rates, areas)
    assert limit.value == pytest.approx(1.5, abs=0.03)
    assert np.polyfit(np.log(rates), np.log(np.array(areas) - 1.5), 1)[0] == pytest.approx(FOLD, abs=0.05)


def test_runs_give_an_interval():
    rng = np.random.default_rng(1)
    rates = np.array([0.1, 0.2, 0.4])
    areas = 0.7 + 0.5 * rates**FOLD + 0.02 * rng.normal(size=(20, 3))
    limit = slow_limit(rates, areas)
    assert limit.low < 0.7 < limit.high
    assert limit.high - limit.low < 0.1


def urn(gamma):
    who = ("planners", "curators")
    return Parameters.null(**{
        **{f"{w}.reinforcement": gamma for w in who}, **{f"{w}.exploration": 0.1 for w in who}, "space.families": 4, "space.materials": 400,
        "founding.records": 200, "founding.mass": 1.0, "curators.records": 10, "commons.forgetting": 0.5,
    })  # fmt: skip


def leading(eco):
    x = eco.world.commons.visible()
    return float(x.max() / x.sum())


EPS = {"planners.exploration": (0.1, 0.95), "curators.exploration": (0.1, 0.95)}


def test_an_urn_with_a_fold_remembers_and_one_without_does_not():
    """Reinforcement 2.5 at four families: locked in below the fold, equal above; forgetting lets shares follow within ticks."""
    locked = loop_areas(urn(2.5), [1, 2], EPS, [6, 12, 24], leading, settle=30)
    loose = loop_areas(urn(0.5), [1, 2], EPS, [6, 12, 24], leading, settle=30)
    assert slow_limit(*loose).low < 0.05
    # On the way down the community is even where it was locked in on the way up.
    assert np.mean(locked[1]) < -3 * abs(np.mean(loose[1]))


def test_the_lever_rises_and_falls_as_asked():
    way, seen = ramp_community(urn(1.0), 1, EPS, 5, lambda eco: eco.world.p.planners.exploration, settle=2)
    np.testing.assert_allclose(way, [0.2, 0.4, 0.6, 0.8, 1.0, 0.8, 0.6, 0.4, 0.2])
    np.testing.assert_allclose(seen, 0.1 + 0.85 * way)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"ticks": 1}, "at least 2 ticks"),
        ({"lever": {"planners.exploration": (0.5, 0.5)}}, "must rise"),
        ({"lever": {}}, "no parameter"),
    ],
)
def test_a_ramp_with_no_room_is_refused(change, line):
    with pytest.raises(ConfigurationError, match=line):
        ramp_community(**{"parameters": urn(1.0), "seed": 1, "lever": EPS, "ticks": 5, "observe": leading} | change)


def test_faulty_loops_and_rates_are_refused():
    with pytest.raises(ConfigurationError, match="rise to its largest"):
        loop_area([0, 1, 2, 3], [1, 1, 1, 1])
    with pytest.raises(ConfigurationError, match="three different rates"):
        slow_limit([0.1, 0.1, 0.2], [1.0, 1.0, 1.0])
