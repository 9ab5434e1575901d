"""Learners on designed corpora: the ends of every scale."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from small import small, space_of

from mpbf_abm import MaterialsSpace
from mpbf_abm.evidence.facts import learners
from mpbf_abm.evidence.facts.learners import (
    BEYOND,
    KEPT,
    calibration,
    constituents,
    crossing,
    inheritance,
    learn,
    learning_curves,
    prevalence,
    redundancy,
    sample,
    transfer,
)

# Learns nothing but the mean of its labels.
MEAN = small(trainers__head="mean", space__materials=2_400)


@pytest.mark.parametrize(
    ("y", "level", "at"),
    [
        ([0.0, 1.0, 2.0], 1.0, 10.0),  # at a point
        ([0.0, 1.0, 2.0], 0.5, 10**0.5),  # half way, by the logarithm
        ([0.0, 1.0, 2.0], 1.5, 10**1.5),
        ([0.0, 1.0, 0.0], 0.25, 10**0.25),  # the first time
        ([0.0, 1.0, 2.0], 2.0, 100.0),  # at the end
        ([1.0, 2.0, 3.0], 1.0, math.inf),  # what begins there does not pass it
        ([0.0, 1.0, 2.0], 2.5, math.inf),  # never
        ([3.0, 2.0, 1.0], 1.5, math.inf),  # passed from above is not reached
    ],
)
def test_a_crossing_is_interpolated_by_the_logarithm(y: list[float], level: float, at: float):
    assert crossing([1.0, 10.0, 100.0], y, level) == pytest.approx(at)


def test_who_learns_nothing_gains_nothing_by_data():
    space = space_of(MEAN)
    curves = learning_curves(MEAN, space, 1)
    assert set(curves) == {"learning_exponent", "corpus_exponent"}
    assert all(abs(exponent) < 0.01 for exponent in curves.values())
    # More by an order of magnitude where there is something to learn with.
    p = small(space__materials=2_400, trainers__features=96)
    assert learning_curves(p, space, 1)["learning_exponent"] < -0.05


def test_trainers_who_take_all_that_there_is_are_measured_on_the_founding_records():
    everything = small(space__materials=2_400, trainers__records=0, founding__records=120)
    assert learners._corpus(everything, space_of(everything), 2.0) == 240
    assert all(math.isfinite(v) for v in inheritance(everything, space_of(everything), 1).values())
    assert learning_curves(everything, space_of(everything), 1)["learning_exponent"] < 0


def test_who_learns_nothing_loses_nothing_without_a_family_or_nearly_all_data():
    space = space_of(MEAN)
    assert abs(transfer(MEAN, space, 1)["ood_ratio"] - 1) < 0.1
    assert redundancy(MEAN, space, 1)["redundancy"] == pytest.approx(1 - KEPT[-1])
    assert inheritance(MEAN, space, 1)["bias_correction_n"] == pytest.approx(math.log10(BEYOND))


def test_a_family_is_left_out_whole_and_what_is_tested_is_never_learned(monkeypatch: pytest.MonkeyPatch):
    p, calls = small(), []
    space = space_of(p)

    def noted(p, space, seed, material, modality):
        learned = learn(p, space, seed, material, modality)
        calls.append((material, tested := []))
        return SimpleNamespace(predict=lambda test: (tested.append(test), *learned.predict(test))[1:])

    monkeypatch.setattr(learners, "learn", noted)
    transfer(p, space, 1)
    assert len(calls) == 2 * learners.LEFT_OUT
    # Families from the largest on, each with and then without.
    for i, ((whole, (test,)), (without, (again,))) in enumerate(zip(calls[::2], calls[1::2], strict=True)):
        family = np.argsort(-space.family_sizes, kind="stable")[i]
        assert np.array_equal(test, again)
        assert set(space.family[test]) == {family}
        assert not np.isin(whole, test).any()
        assert (space.family[whole] == family).any()
        assert not (space.family[without] == family).any()
        assert len(whole) == len(without)


def test_who_learns_loses_by_pruning():
    p = small(trainers__features=96, trainers__latent_dims=18)
    assert redundancy(p, space_of(p), 1)["redundancy"] < 0.9


def test_one_family_or_too_few_materials_have_no_value():
    p = small(space__families=1)
    assert math.isnan(transfer(p, space_of(p), 1)["ood_ratio"])
    assert all(map(math.isnan, learning_curves(p, space_of(p), 1).values()))


@pytest.mark.parametrize(("smooth", "low", "high"), [(1.0, 0.9, 1.05), (0.0, -0.05, 0.15)])
def test_bias_that_can_be_learned_is_inherited_and_scatter_is_not(smooth: float, low: float, high: float):
    p = small(
        space__materials=2_400,
        space__bias_sd=5.0,
        space__bias_family=0.0,
        space__bias_smooth=smooth,
        space__bias_scatter=1 - smooth,
        space__bias_length=20.0,
        trainers__objective="none",
        trainers__invariance=1.0,
        trainers__length_scale=0.5,
        trainers__features=200,
        trainers__records=300,
    )
    assert low < inheritance(p, space_of(p), 1)["bias_inheritance"] < high


def test_more_measured_noise_makes_a_correction_dearer():
    prices = []
    for noise in (0.05, 2.0):
        p = small(space__materials=2_400, modalities__measured_noise=noise)
        prices.append(np.mean([inheritance(p, space_of(p), s)["bias_correction_n"] for s in range(1, 5)]))
    assert prices[0] < prices[1] - 0.3


def test_an_ensemble_without_features_claims_less_than_it_misses():
    found = calibration(MEAN, space_of(MEAN), 1)
    # Members agree on the mean, so that the error is the whole spread of the labels.
    assert found["overconfidence"] > 5
    assert found["cov68_id"] < 0.2
    # The Bayesian head knows its misfit.
    assert abs(found["overconfidence_head"] - 1) < 0.1


def test_error_on_what_is_common_and_rare_alike_has_a_correlation():
    p = small(space__materials=2_400)
    assert 0 <= prevalence(p, space_of(p), 1)["element_prevalence_weak"] <= 1


def test_constituents_of_a_table_are_its_elements():
    table = pd.DataFrame({"formula": ["NaCl", "KCl", "NaF", "KF", "MgO", "CaO", "Na2O", "K2O"], "gap": np.arange(8.0)})
    space = MaterialsSpace.from_table(table, formula="formula", measured="gap")
    holds = constituents(space)
    assert holds.shape[0] == 8
    of = {name: set(np.flatnonzero(row)) for name, row in zip(space.names, holds, strict=True)}
    assert all(len(elements) == 2 for elements in of.values())
    assert len(set().union(*of.values())) == 7  # Na, K, Mg, Ca, Cl, F, O
    assert len(of["NaCl"] & of["KCl"]) == 1
    assert not of["NaCl"] & of["KF"]
    assert len(of["NaCl"] & of["Na2O"]) == 1


def test_constituents_of_a_synthetic_space_are_the_ends_of_its_axes():
    space = space_of(small())
    x = space.descriptors[:, : space.dims["quantum"]]
    holds = constituents(space)
    assert holds.shape == (space.size, 2 * x.shape[1])
    high, low = np.split(holds, 2, axis=1)
    assert not (high & low).any()
    assert x[high[:, 0], 0].min() > x[~high[:, 0], 0].max()
    assert x[low[:, 0], 0].max() < x[~low[:, 0], 0].min()


def test_measures_follow_from_their_seed():
    p = small()
    assert inheritance(p, space_of(p), 2) == inheritance(p, space_of(p), 2)
    assert inheritance(p, space_of(p), 2) != inheritance(p, space_of(p), 3)
    assert len(sample(space_of(p), p, 1, "test", 5)) == 5
