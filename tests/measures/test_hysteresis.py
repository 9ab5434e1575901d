"""Hysteresis: areas and limits of systems that are known, and of urns below and above their folds."""

import math
from dataclasses import replace

import numpy as np
import pytest

from mpbf_abm import Parameters
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.measures.tipping import FOLD, loop_area, ramp_community, slow_limit
from mpbf_abm.model.spec import RunSpec
from mpbf_abm.theory.twin import Twin


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


def test_a_lag_is_no_loop_unless_the_exponent_says_so():
    rates = np.array([0.01, 0.02, 0.05])
    areas = [loop_area(*driven(lambda y, p: p - y, r, y0=-1.0)) for r in rates]
    by_lag, by_fold = slow_limit(rates, areas, exponent=1.0), slow_limit(rates, areas)
    assert by_lag.low < 0 < by_lag.high
    assert by_fold.value < -3 * abs(by_lag.value)


def test_runs_give_an_interval():
    rng = np.random.default_rng(1)
    rates = np.array([0.1, 0.2, 0.4])
    areas = 0.7 + 0.5 * rates**FOLD + 0.02 * rng.normal(size=(20, 3))
    limit = slow_limit(rates, areas)
    assert limit.low < 0.7 < limit.high
    assert limit.high - limit.low < 0.1


def urn(gamma):
    who = ("planners", "curators")
    return Parameters.null(
        **{
            **{f"{w}.reinforcement": gamma for w in who},
            **{f"{w}.exploration": 0.1 for w in who},
            "space.families": 4,
            "space.materials": 400,
            "founding.records": 200,
            "founding.mass": 1.0,
            "curators.records": 10,
            "commons.forgetting": 0.5,
        }
    )


def leading(eco):
    x = eco.world.commons.visible()
    return float(x.max() / x.sum())


EPS = {"planners.exploration": (0.1, 0.95), "curators.exploration": (0.1, 0.95)}


def loop_areas(p, seeds, ticks, settle):
    """Rates of some ramps (m,), and the area of the loop of each in every run (seeds, m)."""
    areas = [[loop_area(*ramp_community(RunSpec(p, s), EPS, t, leading, settle=settle)) for t in ticks] for s in seeds]
    return 1.0 / np.array(ticks), np.array(areas)


def ramp_twin(one, low, high, ticks, settle=0):
    """The same ramp in the mean-field urn: exploration of everybody, and the largest share of a family."""
    way = np.minimum(np.arange(1, 2 * ticks), np.arange(2 * ticks - 1, 0, -1)) / ticks
    x, unbiased, seen = one.start, np.zeros(one.families), []
    for tick, strength in enumerate(np.concatenate([np.zeros(settle), way])):
        x = one.exploring(low + strength * (high - low)).step(x, unbiased, np.nan, tick)[0]
        seen.append(x.max() / x.sum())
    return way, np.array(seen[settle:])


def test_an_urn_with_a_fold_remembers_and_one_without_does_not():
    """Reinforcement 2.5, four families: locked in below the fold, equal above; forgetting lets shares follow."""
    locked = loop_areas(urn(2.5), [1, 2], [6, 12, 24], 30)
    loose = loop_areas(urn(0.5), [1, 2], [6, 12, 24], 30)
    assert slow_limit(*loose).low < 0.05
    # On the way down the community is even where it was locked in on the way up.
    assert np.mean(locked[1]) < -3 * abs(np.mean(loose[1]))


def test_the_lever_rises_and_falls_as_asked():
    way, seen = ramp_community(RunSpec(urn(1.0), 1), EPS, 5, lambda eco: eco.world.p.planners.exploration, settle=2)
    np.testing.assert_allclose(way, [0.2, 0.4, 0.6, 0.8, 1.0, 0.8, 0.6, 0.4, 0.2])
    np.testing.assert_allclose(seen, 0.1 + 0.85 * way)


def twin(gamma, families, merit=1.0):
    p = urn(gamma).updated({"space.families": families, "space.materials": 100 * families, "commons.forgetting": 1.0})
    plain = Twin.from_parameters(p)
    worth = np.r_[merit, np.ones(families - 1)]
    return replace(plain, curators=replace(plain.curators, merit=worth), planners=replace(plain.planners, merit=worth))


def test_slow_ramps_of_a_twin_approach_the_loop_of_its_steady_states():
    """One family of eight is worth a hundredth more; both branches are followed through their steady states."""
    one, low, high = twin(2.5, 8, 1.01), 0.55, 0.8
    levels, x, branches = np.linspace(low, high, 126), one.start, []
    for way in (levels, levels[::-1]):
        branch = []
        for level in way:
            x = one.exploring(level).map(80, x).records[-1]
            branch.append(x.max() / x.sum())
        branches.append(branch)
    static = np.trapezoid(np.array(branches[1][::-1]) - branches[0], np.linspace(0, 1, len(levels)))
    assert static < -0.04
    ticks = [100, 200, 400, 800]
    areas = [loop_area(*ramp_twin(one, low, high, t, settle=30)) for t in ticks]
    assert slow_limit(1.0 / np.array(ticks), areas).value == pytest.approx(static, rel=0.1)
    assert areas[-1] < static


def test_a_twin_without_a_fold_has_no_loop():
    ticks = [400, 800, 1600]
    areas = [loop_area(*ramp_twin(twin(0.8, 4, 1.2), 0.1, 0.9, t, settle=30)) for t in ticks]
    limit = slow_limit(1.0 / np.array(ticks), areas, exponent=1.0)
    assert abs(limit.value) < 0.06 * abs(areas[-1]) < 1e-4
    # Merit makes the only difference: without it families stay equal.
    way, seen = ramp_twin(twin(0.8, 4), 0.1, 0.9, 5, settle=80)
    np.testing.assert_allclose(seen, 0.25, atol=1e-9)
    np.testing.assert_allclose(way, [0.2, 0.4, 0.6, 0.8, 1.0, 0.8, 0.6, 0.4, 0.2])


def test_large_communities_follow_their_twin_up_and_down():
    p = urn(1.0).updated({"founding.records": 2000, "commons.forgetting": 0.1})
    lever = dict.fromkeys(EPS, (0.1, 0.5))
    runs = np.array([ramp_community(RunSpec(p, seed), lever, 4, leading)[1] for seed in range(12)])
    way, expected = ramp_twin(Twin.from_parameters(p), 0.1, 0.5, 4)
    assert np.ptp(expected) > 0.02
    error = runs.std(axis=0, ddof=1) / math.sqrt(len(runs))
    assert (np.abs(runs.mean(axis=0) - expected) < 4.5 * error + 1e-3).all()
    assert (np.diff(expected) < 0).all()
    assert len(way) == 7


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
        ramp_community(**{"spec": RunSpec(urn(1.0), 1), "lever": EPS, "ticks": 5, "observe": leading} | change)


def test_faulty_loops_and_rates_are_refused():
    with pytest.raises(ConfigurationError, match="rise to its largest"):
        loop_area([0, 1, 2, 3], [1, 1, 1, 1])
    with pytest.raises(ConfigurationError, match="three different rates"):
        slow_limit([0.1, 0.1, 0.2], [1.0, 1.0, 1.0])
