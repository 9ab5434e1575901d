"""The effective urn: exact where the community is an urn, and what its twin foretells."""

import math

import numpy as np
import pytest

from mpbf_abm import MaterialsSpace, Parameters
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.measures.path import cost_of_reversal, damage_exponent, share_after_deposit
from mpbf_abm.measures.urn import (
    at_mass_quantiles,
    displacements,
    early_index,
    fitted_twin,
    intervene,
    lasting_cost,
    local_exponent,
    logit,
    merit,
    predicted,
)
from mpbf_abm.model.ecosystem import Ecosystem
from mpbf_abm.theory.twin import Twin, urn_variance

BOTH = ("planners", "curators")


def urn(gamma=1.0, exploration=0.0, **changes):
    """Parameters of a community without models."""
    return Parameters.null(
        **{f"{who}.reinforcement": gamma for who in BOTH},
        **{f"{who}.exploration": exploration for who in BOTH},
        **{"space.families": 6, "space.materials": 1_200, **changes},
    )


def learning(**changes):
    """Parameters of a small community with models."""
    return Parameters.preset("single-quick").updated(
        {
            "space.families": 8,
            "space.materials": 1_600,
            "founding.records": 300,
            "trainers.records": 200,
            "trainers.retrain_interval": 4,
            **changes,
        }
    )


def at_tick(p, tick, seed=1):
    """Snapshot of a community after some ticks."""
    eco = Ecosystem(p, seed, record=())
    for _ in range(tick):
        eco.step()
    snapshot = eco.snapshot()
    eco.release()
    return snapshot


# --------------------------------------------------------------------------- measured


@pytest.mark.parametrize(("gamma", "exploration"), [(1.0, 0.0), (1.6, 0.25), (0.5, 0.6), (-0.5, 0.1)])
def test_an_urn_has_the_exponents_that_it_was_given(gamma, exploration):
    snapshot = at_tick(urn(gamma, exploration), 12)
    found = intervene(snapshot, range(6), wait=0)
    np.testing.assert_allclose(found.gamma, gamma, rtol=1e-9)
    np.testing.assert_allclose(found.gamma_of, gamma, rtol=1e-9)
    np.testing.assert_allclose(found.passed, 1 - exploration, rtol=1e-9)
    assert found.exponent == pytest.approx((1 - exploration) * gamma - 1)
    assert found.threshold == pytest.approx(max(0.0, 1 - 1 / gamma) if gamma > 1 else 0.0)


def test_an_urn_that_is_measured_later_keeps_its_exponent_nearly():
    """Meanwhile the other families' records differ too, which moves the odds a little."""
    found = intervene(at_tick(urn(1.5, 0.2), 12), range(6), wait=12)
    np.testing.assert_allclose(found.gamma, 1.5, atol=0.1)
    np.testing.assert_allclose(found.passed, 0.8, rtol=1e-9)


def test_groups_that_differ_are_told_apart():
    p = urn(1.0).updated({"planners.reinforcement": 2.0})
    found = intervene(at_tick(p, 6), [0, 3], wait=0)
    np.testing.assert_allclose(found.gamma_of, [[1.0, 1.0], [2.0, 2.0]], rtol=1e-9)
    assert ((found.gamma > 1) & (found.gamma < 2)).all()


def test_models_move_the_weights_only_when_they_have_retrained():
    """With the models as they were, what curators follow is their rule alone; what models say is added by learning."""
    snapshot = at_tick(learning(), 8)
    now, later = (intervene(snapshot, [0, 2, 5], wait=wait) for wait in (0, None))
    np.testing.assert_allclose(now.gamma_of[0], 1.05, rtol=1e-9)
    assert np.abs(now.gamma_of[1] - 1.05).max() < 0.05
    assert np.abs(later.gamma_of[1] - now.gamma_of[1]).max() > 0.005


def test_without_planners_there_is_nothing_of_theirs():
    found = intervene(at_tick(urn(1.2, **{"planners.count": 0}), 4), [1], wait=0)
    assert math.isnan(found.gamma_of[1, 0])
    assert found.gamma[0] == pytest.approx(1.2)


def test_families_are_taken_by_records():
    assert at_mass_quantiles(np.array([1.0, 50.0, 30.0, 19.0]), 2).tolist() == [1, 2]
    assert at_mass_quantiles(np.ones(4), 4).tolist() == [0, 1, 2, 3]
    # One family that holds nearly all: the others come by size.
    assert at_mass_quantiles(np.array([2.0, 0.0, 1000.0, 3.0]), 3).tolist() == [2, 3, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"families": [6]}, "must exist and have records"),
        ({"families": [-1]}, "must exist and have records"),
        ({"families": []}, "must exist and have records"),
        ({"fraction": 0.0}, "fraction = 0: must be above 0"),
        ({"wait": -1}, "a wait of 0 or more ticks"),
    ],
)
def test_interventions_that_cannot_be_are_one_line(change, message):
    with pytest.raises(ConfigurationError, match=message):
        intervene(at_tick(urn(), 2), **{"families": [0], **change})


def test_a_community_that_has_not_begun_or_does_nothing_is_one_line():
    with pytest.raises(ConfigurationError, match="after the first tick"):
        intervene(at_tick(urn(), 0), [0])
    idle = urn(**{"planners.count": 0, "curators.count": 0})
    with pytest.raises(ConfigurationError, match="no record was entered"):
        intervene(at_tick(idle, 3), [0], wait=1)
    with pytest.raises(ConfigurationError, match="families = 7: must be 1 to 6"):
        at_mass_quantiles(np.ones(6), 7)


# --------------------------------------------------------------------------- displaced


def test_a_displacement_begins_as_the_extra_records_and_stays_on_average_in_a_linear_urn():
    snapshot = at_tick(urn(), 6)
    x = snapshot.world.commons.visible()
    N, k = x.sum(), 2
    m = max(1, round(0.5 * x[k]))
    ratios = []
    for seed in range(40):
        records, own, damage = displacements(snapshot, [k], [6, 30], fraction=0.5, seed=seed)
        assert own[0, 0] == pytest.approx(share_after_deposit(x[k] / N, N, m) - x[k] / N)
        assert damage[0, 0] == pytest.approx(own[0, 0])
        assert records[0].sum() == N
        assert (damage >= np.abs(own) - 1e-12).all()
        ratios.append(own[0, 1] / own[0, 0])
    error = np.std(ratios, ddof=1) / math.sqrt(len(ratios))
    assert abs(np.mean(ratios) - 1) < 4.5 * error
    assert error < 0.1


def test_futures_differ_by_seed_and_twins_share_theirs():
    snapshot = at_tick(urn(1.5), 4)
    first, again, other = (displacements(snapshot, [0], [4, 10], seed=s) for s in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])
    assert np.array_equal(first[0][0], other[0][0])


# --------------------------------------------------------------------------- predicted


def test_at_rest_the_local_law_is_that_of_equal_families():
    assert local_exponent(1.4, 0.2, 0.2) == pytest.approx(0.4)
    # A leader that takes all of the flow loses its lead over nothing: displacement only dilutes.
    assert local_exponent(1.4, 1.0, 0.7) == -1.0


def test_the_damage_exponent_undoes_growth():
    volumes = np.array([100.0, 130.0, 150.0, 400.0])
    for q in (-0.5, 0.0, 0.8):
        grown = np.prod(1.0 + q * np.diff(volumes) / volumes[1:])
        assert damage_exponent(1.0, grown, volumes) == pytest.approx(q, abs=1e-9)


def test_the_lasting_cost_is_the_cost_of_reversal_where_displacements_last():
    assert lasting_cost(0.2, 1_000, 0.1, 1.0) == cost_of_reversal(0.2, 1_000, 0.1)
    assert lasting_cost(0.2, 1_000, 0.1, 0.5) == cost_of_reversal(0.2, 1_000, 0.2)
    assert lasting_cost(0.2, 1_000, 0.1, 0.1) == math.inf
    assert lasting_cost(0.2, 1_000, 0.1, 0.0) == math.inf


def test_merit_is_what_records_do_not_explain():
    x = np.array([1.0, 2.0, 4.0, 0.0])
    assert merit(x**2 / (x**2).sum(), x, 2.0) == pytest.approx([1.0, 1.0, 1.0, 0.0])
    assert merit(np.array([0.5, 0.25, 0.25, 0.0]), x, 0.0)[0] == pytest.approx(1.5)


def test_the_twin_of_an_urn_is_the_urn():
    p = urn(1.5, 0.2, **{"space.families": 5})
    space = MaterialsSpace.synthetic(p, seed=3)
    eco = Ecosystem(p, 3, record=(), space=space)
    for _ in range(5):
        eco.step()
    snapshot = eco.snapshot()
    eco.release()
    fitted, exact = fitted_twin(intervene(snapshot, [0, 1], wait=0), snapshot), Twin.from_parameters(p, space)
    x = np.array([5.0, 9.0, 30.0, 2.0, 70.0])
    for ours, right in zip(fitted.sources, exact.sources, strict=True):
        np.testing.assert_allclose(ours.merit, 1.0, rtol=1e-9)
        np.testing.assert_allclose(fitted.attend(ours, x), exact.attend(right, x), rtol=1e-9)
    # What it foretells begins with what was deposited.
    added = np.array([10])
    records, own, damage = predicted(fitted, [1], added, [0, 20])
    start = snapshot.world.commons.visible()
    assert records[0] == pytest.approx(start)
    assert own[0, 0] == pytest.approx(
        share_after_deposit(start[1] / start.sum(), start.sum(), 10) - start[1] / start.sum()
    )
    assert damage[0, 0] == pytest.approx(own[0, 0])


def test_the_twin_knows_what_models_think_of_families():
    snapshot = at_tick(learning(**{"planners.steering_gain": 3.0}), 12)
    found = intervene(snapshot, at_mass_quantiles(snapshot.world.commons.visible(), 3))
    fitted = fitted_twin(found, snapshot)
    # Allotted as in the community at the moment of measuring, exploration (adjacency included) and all.
    for i, source in enumerate(fitted.sources):
        np.testing.assert_allclose(fitted.attend(source, found.records), found.flow.total[i], atol=0.004)
    assert np.ptp(np.log(fitted.planners.merit)) > 1
    assert logit(found.records).shape == (8,)


def test_the_early_index_of_a_linear_urn_nears_its_exact_value():
    """Exact: the ratio of variances after the split and at the end (urn_variance); the twin has it to first order."""
    errors = []
    for founding in (20.0, 200.0, 2_000.0):
        p = urn(
            **{
                "space.families": 2,
                "space.materials": 40,
                "founding.records": 0,
                "founding.mass": founding / 2,
                "curators.count": 1,
                "curators.records": round(founding / 10),
                "planners.count": 0,
                "infrastructure.repositories": 1,
            }
        )
        exact = urn_variance(founding / 2, founding, [founding / 10] * 5) / urn_variance(
            founding / 2, founding, [founding / 10] * 30
        )
        twin = Twin.from_parameters(p)
        errors.append(abs(early_index(twin, twin.start, 0.0, 5, 30) - exact))
        # All of it is early, or nothing.
        assert early_index(twin, twin.start, 0.0, 30, 30) == 1.0
        assert early_index(twin, twin.start, 0.0, 0, 30) == 0.0
    assert errors[2] < 1e-3
    assert errors[0] > errors[1] > errors[2]
    # Founding records that are drawn are early history too: one big first batch.
    assert early_index(twin, twin.start, 2_000.0, 0, 30) > 0.5
