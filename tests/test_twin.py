"""The mean-field twin: limits, derivatives, thresholds, noise, and what it refuses."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpbf_abm import MaterialsSpace, Parameters
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.model.curators import curator_attention
from mpbf_abm.model.ecosystem import Ecosystem
from mpbf_abm.theory.twin import Twin, label_kinds, of_shares, tick_noise, urn_variance


def null(families=5, gamma=2.0, eps=0.3, delta=0.1, curators=3, planners=4, **changes):
    return Parameters.null(
        **{
            "space.families": families,
            "space.materials": 8 * families,
            "founding.records": 0,
            "commons.forgetting": delta,
            "curators.count": curators,
            "curators.records": 1,
            "curators.reinforcement": gamma,
            "curators.exploration": eps,
            "planners.count": planners,
            "planners.experiments": 1.0,
            "planners.reinforcement": gamma,
            "planners.exploration": eps,
            **changes,
        }
    )


def looped(**changes):
    """Parameters of row M7: a mean learner, pseudo-labels, deposits q."""
    return null(
        families=2,
        gamma=1.0,
        eps=0.2,
        delta=0.05,
        curators=8,
        planners=10,
        **{
            "space.feasible": 1.0,
            "coupling.outer_loop": 0.6,
            "trainers.count": 1,
            "trainers.head": "mean",
            "trainers.retrain_interval": 1,
            "coupling.pseudo_share": 0.5,
            "coupling.pseudo_gain": 2.4,
            "coupling.pseudo_anchor": "property",
            "trainers.harmonisation": 0.0,
            "founding.mass": 60.0,
            **changes,
        },
    )


@pytest.fixture(scope="module")
def space():
    return MaterialsSpace.synthetic(Parameters.preset("single-default"), materials=60, families=6)


# --------------------------------------------------------------------------- rates


def test_rates_follow_the_parameters():
    p = null(
        **{
            "curators.records": 6,
            "planners.experiments": 0.5,
            "coupling.outer_loop": 0.7,
            "curators.exploration_floor": 0.4,
        }
    )
    twin = Twin.from_parameters(p)
    assert twin.curators.rate == 18
    assert twin.planners.rate * twin.planners.published[0] == pytest.approx(2 * 0.7)
    assert (twin.curators.exploration, twin.planners.exploration) == (0.4, 0.3)
    assert twin.total_inflow() == pytest.approx(19.4)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"planners.repeats": False}, "planners.repeats"),
        ({"trainers.count": 1}, "trainers.head"),
        ({"trainers.count": 1, "trainers.head": "mean", "planners.steering_gain": 1.0}, "steering_gain"),
        ({"planners.adjacency": 0.5}, "adjacency"),
        ({"planners.publication_bias": 0.5}, "publication_bias"),
        ({"stocks.hazard": 0.1}, "stocks.hazard"),
        ({"commons.grace": 1}, "commons.grace"),
        ({"founding.year": 2004, "founding.records": 10}, "founding.year"),
        ({"curators.response_dal": 0.2}, "response_dal"),
        ({"curators.provenance_errors": 0.2, "curators.qa": 0.5}, "provenance_errors"),
        ({"curators.audit_rate": 0.1, "commons.forgetting": 0.0, "space.feasible": 1.0}, "audit_rate"),
        ({"curators.audit_rate": 0.1}, "space.feasible"),
    ],
)
def test_what_cannot_be_represented_is_refused_in_one_line(changes, word):
    with pytest.raises(ConfigurationError) as caught:
        Twin.from_parameters(null(**changes))
    assert len(caught.value.faults) == 1
    assert word in caught.value.faults[0]


def test_all_faults_of_the_default_model_at_once():
    with pytest.raises(ConfigurationError) as caught:
        Twin.from_parameters(Parameters.preset("single-default"))
    assert len(caught.value.faults) > 5


def test_attention_is_that_of_the_model(space):
    p = null(6, **{"curators.adjacency": 0.6, "curators.coverage_seeking": 0.3, "founding.records": 40})
    eco = Ecosystem(p, 1, record=(), space=space)
    twin = Twin.from_parameters(p, space)
    own = twin.attend(twin.curators, eco.world.commons.visible())
    np.testing.assert_allclose(own, curator_attention(eco.world)[0], rtol=1e-12)
    eco.release()


def test_kinds_of_labels_and_their_cost_are_those_of_the_model():
    mix = {"curators.modality_mix": (0.3, 0.2, 0.2, 0.1, 0.1, 0.1), "curators.measured_quota": 0.6}
    p = null(
        3,
        0.0,
        curators=60,
        planners=0,
        delta=0.0,
        **{"space.materials": 20_000, "space.feasible": 0.8, "curators.records": 5, **mix},
    )
    eco = Ecosystem(p, 2, record=())
    for _ in range(60):
        eco.step()
    counts = eco.world.commons.modality_counts
    kinds = np.bincount([0, 0, 2, 2, 2, 1], counts)
    expected = label_kinds(p, eco.world.space.feasible_share)
    np.testing.assert_allclose(kinds / kinds.sum(), expected, atol=0.015)
    twin = Twin.from_parameters(p, eco.world.space)
    assert len(eco.world.commons) / 60 == pytest.approx(twin.curators.rate, rel=0.03)
    eco.release()


def test_publication_threshold_counts_by_family(space):
    p = null(6, curators=0, planners=400, delta=0.0, **{"planners.publication_bias": 0.9, "planners.exploration": 1.0})
    twin = Twin.from_parameters(p, space)
    eco = Ecosystem(p, 3, record=(), space=space)
    for _ in range(40):
        eco.step()
    records = eco.world.commons.visible() - 1.0
    expected = 40 * 400 / 6 * twin.planners.published
    np.testing.assert_allclose(records, expected, atol=5 * math.sqrt(expected.max()))
    assert np.ptp(twin.planners.published) > 0.05
    eco.release()


# --------------------------------------------------------------------------- trajectories


def test_map_is_the_urn_in_the_mean_for_a_linear_rule():
    # Without chance a linear urn keeps its shares.
    twin = Twin.from_parameters(null(3, 1.0, 0.0, 0.0, **{"founding.mass": (1.0, 2.0, 5.0)}))
    np.testing.assert_allclose(twin.map(50).shares[-1], np.array([1, 2, 5]) / 8, rtol=1e-12)
    np.testing.assert_allclose(twin.ode([0, 50]).shares[-1], np.array([1, 2, 5]) / 8, rtol=1e-8)


def test_symmetric_state_is_kept_to_the_last_bit():
    twin = Twin.from_parameters(null(7, 3.0, 0.0, 0.3))
    assert np.ptp(twin.map(500).records, axis=1).max() == 0
    assert np.ptp(twin.ode(np.linspace(0, 100, 30)).records, axis=1).max() == 0
    assert twin.growth(twin.steady()) > 1


@given(
    st.floats(0.01, 1.5), st.floats(-1, 4), st.floats(0, 1), st.integers(0, 20), st.integers(1, 20), st.floats(0.1, 1)
)
def test_volume_does_not_depend_on_the_allocation(delta, gamma, eps, curators, planners, q):
    twin = Twin.from_parameters(null(4, gamma, eps, delta, curators, planners, **{"coupling.outer_loop": q}))
    np.testing.assert_allclose(twin.map(20).volume, twin.volume(np.arange(21), "map"), rtol=1e-10)
    np.testing.assert_allclose(twin.ode([0, 3, 20]).volume, twin.volume([0, 3, 20]), rtol=1e-7)
    assert twin.volume([1e9])[0] == pytest.approx((planners * q + curators) / delta)
    assert twin.volume([1e9], "map")[0] == pytest.approx((planners * q + curators) / (1 - math.exp(-delta)))


def test_short_ticks_lead_from_the_map_to_the_ode():
    twin = Twin.from_parameters(null(4, 1.5, 0.6, 0.2, **{"founding.mass": (5.0, 2.0, 1.0, 9.0)}))
    gaps = []
    for parts in (1, 10, 100):
        fine = replace(
            twin,
            forgetting=twin.forgetting / parts,
            curators=replace(twin.curators, rate=twin.curators.rate / parts),
            planners=replace(twin.planners, rate=twin.planners.rate / parts),
        )
        gaps.append(np.abs(fine.map(10 * parts).records[-1] - twin.ode([0, 10]).records[-1]).max())
    assert gaps[1] < 0.2 * gaps[0]
    assert gaps[2] < 0.2 * gaps[1]


def test_weights_raise_the_reinforcement_to_gamma_eff():
    plain = Twin.from_parameters(null(4, 2.2, **{"founding.mass": (5.0, 2.0, 1.0, 9.0)}))
    weighed = Twin.from_parameters(null(4, 1.0, **{"founding.mass": (5.0, 2.0, 1.0, 9.0)}), gamma_eff=2.2)
    np.testing.assert_allclose(weighed.map(30).records, plain.map(30).records, rtol=1e-10)
    np.testing.assert_allclose(weighed.jacobian(plain.start), plain.jacobian(plain.start), rtol=1e-9)
    assert weighed.thresholds().fold == pytest.approx(plain.thresholds().fold)


# --------------------------------------------------------------------------- bias


def test_steady_bias_of_the_known_loop():
    twin = replace(Twin.from_parameters(looped(), transfer=0.9, bias=0.4), audit=0.1)
    gain, bias = twin.loop()
    assert bias == pytest.approx(0.0479616, abs=5e-8)
    path = twin.ode([0, 800])
    assert path.bias[-1].sum() / path.volume[-1] == pytest.approx(bias, rel=1e-6)
    path = twin.map(800)
    assert path.bias[-1].sum() / path.volume[-1] == pytest.approx(twin.loop("map")[1], rel=1e-9)
    assert gain == pytest.approx(0.2057143, abs=5e-8)


def test_chances_of_a_tick_in_place_of_rates_give_the_same_number():
    twin = Twin.from_parameters(looped(), transfer=0.9, bias=0.4)
    twin = replace(twin, forgetting=-math.log1p(-0.05), audit=math.log(1.1))
    # The learner reads the records of a tick before the six experiments of the tick are among 280.
    twin = replace(twin, transfer=twin.transfer * 274 / 280)
    path = twin.map(800)
    assert path.bias[-1].sum() / path.volume[-1] == pytest.approx(0.0479616, abs=5e-8)


@pytest.mark.parametrize(("gain", "grows"), [(0.9, False), (1.1, True)])
def test_bias_grows_without_end_beyond_a_loop_gain_of_one(gain, grows):
    twin = Twin.from_parameters(looped(**{"planners.count": 0}), bias=0.4)
    twin = replace(twin, pseudo_gain=gain / twin.pseudo_share, retrain=5)
    assert twin.loop()[0] == pytest.approx(gain)
    assert math.isinf(twin.loop()[1]) is grows
    first, second = (abs(twin.ode([0, t]).bias[-1].sum()) for t in (2000, 4000))
    assert bool(second > 2 * first) is grows


def test_audits_of_the_model_mend_as_many_records_as_the_twin_says():
    p = null(
        families=2,
        gamma=1.0,
        eps=0.5,
        delta=0.1,
        curators=40,
        planners=0,
        **{"space.feasible": 1.0, "curators.records": 10, "curators.audit_rate": 0.4, "infrastructure.repositories": 1},
    )
    eco = Ecosystem(p, 5, record=())
    for _ in range(120):
        eco.step()
    twin = Twin.from_parameters(p, eco.world.space, bias=1.0)
    path = twin.map(120)
    commons = eco.world.commons
    open_ = (commons.alive & ~commons.audited).sum() / commons.alive.sum()
    assert open_ == pytest.approx(path.bias[-1].sum() / path.volume[-1], rel=0.03)
    eco.release()


# --------------------------------------------------------------------------- derivatives


@given(
    st.floats(-1, 4),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 1),
    st.lists(st.floats(1, 50), min_size=6, max_size=6),
)
def test_jacobian_is_the_derivative(gamma, eps, nu, coverage, x):
    space = MaterialsSpace.synthetic(Parameters.preset("single-default"), materials=60, families=6)
    p = null(
        6,
        gamma,
        eps,
        0.2,
        **{"curators.adjacency": nu, "curators.coverage_seeking": coverage, "planners.adjacency": nu},
    )
    twin, x, zero = Twin.from_parameters(p, space), np.array(x), np.zeros(6)
    maps = {
        "map": lambda y: twin.step(y, zero, math.nan, 1)[0],
        "ode": lambda y: twin.slope(0.0, np.concatenate([y, zero, [0.0]]))[:6],
    }
    for kind, f in maps.items():
        steps = 1e-5 * np.eye(6) * x
        numeric = np.array([(f(x + h) - f(x - h)) / (2 * h.sum()) for h in steps]).T
        np.testing.assert_allclose(twin.jacobian(x, kind), numeric, atol=1e-6)


# --------------------------------------------------------------------------- lock-in


@given(st.floats(1.05, 4), st.integers(2, 60))
def test_symmetric_threshold_in_closed_form_and_by_root(gamma, families):
    found = Twin.from_parameters(null(families, gamma)).thresholds()
    assert found.symmetric == pytest.approx(1 - 1 / gamma, abs=1e-11)
    assert found.closed_form == pytest.approx(1 - 1 / gamma, abs=1e-12)
    assert found.fold >= found.symmetric - 1e-12


@given(st.integers(3, 80))
def test_fold_in_closed_form_for_gamma_two(families):
    found = Twin.from_parameters(null(families, 2.0)).thresholds()
    assert found.fold == pytest.approx(families / (1 + math.sqrt(families - 1)) ** 2, abs=1e-10)


def test_known_folds():
    assert Twin.from_parameters(null(5, 1.5)).thresholds().fold == pytest.approx(0.37898, abs=5e-6)
    two = Twin.from_parameters(null(2, 3.0)).thresholds()
    assert two.fold == pytest.approx(two.symmetric)
    none = Twin.from_parameters(null(5, 0.8)).thresholds()
    assert (none.symmetric, none.fold) == (0, 0)


def test_sources_of_different_strength_count_by_their_rates():
    p = null(5, 1.0, **{"planners.reinforcement": 3.0, "coupling.outer_loop": 0.5})
    found = Twin.from_parameters(p).thresholds()
    assert found.closed_form == pytest.approx(1 - 1 / ((3 * 1 + 2 * 3) / 5))
    assert found.symmetric == pytest.approx(found.closed_form, abs=1e-11)


@pytest.mark.parametrize("eps", [0.0, 0.2, 0.5, 0.55])
def test_locked_in_branch_is_where_the_map_stays(eps):
    twin = Twin.from_parameters(null(5, 2.0, eps))
    share = twin.locked_in(eps)
    start = 60 * np.array([0.96, 0.01, 0.01, 0.01, 0.01])
    assert (twin.steady(start) / twin.steady(start).sum())[0] == pytest.approx(share, abs=1e-9)
    assert math.isnan(twin.locked_in(0.56))


def test_thresholds_need_equal_families(space):
    with pytest.raises(ConfigurationError, match="adjacency 0"):
        Twin.from_parameters(null(6, **{"planners.adjacency": 0.4}), space).thresholds()


# --------------------------------------------------------------------------- noise


def test_covariance_is_that_of_the_linear_noise_simulated():
    twin = Twin.from_parameters(null(3, 1.5, 0.6, 0.3, 30, 20, **{"founding.mass": 40.0}))
    x = twin.steady()
    J, Q = twin.jacobian(x), tick_noise(twin, x, np.zeros(3))
    root, z = np.linalg.cholesky(Q + 1e-12 * np.eye(3)), np.zeros((4000, 3))
    draws = np.random.Generator(np.random.Philox(7))
    for _ in range(60):
        z = z @ J.T + draws.standard_normal((4000, 3)) @ root.T
    expected = twin.share_spread(80)[-1]
    np.testing.assert_allclose(of_shares(np.cov(z.T), x), expected, atol=0.1 * expected[0, 0])


def test_covariance_is_that_of_the_model():
    p = null(3, 1.0, 0.6, 0.3, 40, 20, **{"founding.mass": 60.0, "coupling.outer_loop": 0.5, "space.feasible": 1.0})
    eco = Ecosystem(p, 11, record=())
    twin = Twin.from_parameters(p)
    shares = []
    for tick in range(3000):
        eco.step()
        if tick > 30:
            x = eco.world.commons.visible()
            shares.append(x / x.sum())
    np.testing.assert_allclose(np.diag(np.cov(np.array(shares).T)), np.diag(twin.share_spread(200)[-1]), rtol=0.15)
    eco.release()


def test_without_forgetting_there_is_no_steady_state():
    with pytest.raises(ConfigurationError, match="without forgetting"):
        Twin.from_parameters(null(3, 1.0, 0.1, 0.0)).steady()


def test_urn_variance_one_at_a_time_is_that_of_polya():
    a, total, n = 2.0, 5.0, 40
    expected = a * (total - a) / (total**2 * (total + 1)) * n / (total + n)
    assert urn_variance(a, total, np.ones(n)) == pytest.approx(expected)
    assert urn_variance(24, 60, [100]) == pytest.approx(0.24 * 100 / 160**2)
