"""Simulated labels as gaps: quantiles, and what is left without bias."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from small import small, space_of

from mpbf_abm import MaterialsSpace
from mpbf_abm.evidence.facts.learners import GAP_SD, GAPS, gaps, simulated_labels

BLIND = {"space__bias_sd": 0.0, "space__bias_offset": 0.0, "space__cross_scale": 0.0}


def test_the_property_is_read_by_its_quantiles():
    space = space_of(small(space__materials=2_000))
    everyone = np.arange(space.size)
    measured, simulated = gaps(space, everyone)
    order = np.argsort(space.property)
    assert (np.diff(measured[order]) >= 0).all()
    # The share below each recorded quantile is that quantile.
    for share, gap in zip(np.linspace(0, 1, len(GAPS)), GAPS, strict=True):
        assert abs((measured < gap).mean() - share) <= 1 / space.size + 1e-12
    assert (simulated >= 0).all()
    seen = simulated > 0
    error = GAP_SD * (space.simulated.astype(float) - space.property)
    np.testing.assert_allclose((simulated - measured)[seen], error[seen], atol=1e-6)
    assert (measured + error)[~seen].max() <= 0
    # What a material is read as is no matter of the others that are asked about.
    some = everyone[5:50:7]
    np.testing.assert_array_equal(gaps(space, some)[0], measured[some])


def test_without_bias_and_anything_unseen_a_simulation_is_right():
    p = small(**BLIND)
    found = simulated_labels(p, space_of(p), 1)
    assert found["gap_pbe_ratio"] == pytest.approx(1)
    assert found["gap_pbe_mae"] < 1e-6
    assert found["gap_false_metal"] == 0


def test_an_offset_alone_is_the_error_and_leaves_no_variance_to_families():
    p = small(**BLIND | {"space__bias_offset": 0.5})
    found = simulated_labels(p, space_of(p), 1)
    assert found["gap_pbe_mae"] == pytest.approx(0.5 * GAP_SD, rel=1e-5)
    assert found["gap_pbe_ratio"] > 1
    p = small(**BLIND | {"space__bias_offset": -5.0})
    found = simulated_labels(p, space_of(p), 1)
    assert found["gap_false_metal"] > 0.95
    assert found["gap_pbe_ratio"] == 0


@pytest.mark.parametrize(("family", "low", "high"), [(1.0, 0.999, 1.0), (0.0, 0.0, 0.02)])
def test_the_share_of_families_is_that_of_the_bias(family: float, low: float, high: float):
    # Far above zero, where no gap is cut off.
    p = small(
        **BLIND
        | {"space__bias_offset": 4.0, "space__bias_sd": 0.3, "space__bias_family": family, "space__bias_smooth": 0.0},
        space__bias_scatter=1 - family,
    )
    assert low <= simulated_labels(p, space_of(p), 1)["gap_family_share"] <= high


def test_nothing_wrong_has_no_share():
    p = small(**BLIND)
    space = space_of(p)
    exact = dataclasses.replace(space, simulated=space.property)
    assert np.isnan(simulated_labels(p, exact, 1)["gap_family_share"])


def test_a_table_of_gaps_keeps_its_own_unit():
    metals = ("Na", "K", "Rb", "Cs", "Li", "Ag", "Cu", "Tl")
    names = [m + x for m in metals for x in ("F", "Cl", "Br", "I")]
    gap = np.linspace(1.0, 8.0, len(names))
    table = pd.DataFrame({"formula": names, "gap": gap, "pbe": 0.5 * gap})
    space = MaterialsSpace.from_table(table, formula="formula", measured="gap", simulated="pbe", unit="eV")
    measured, simulated = gaps(space, np.arange(space.size))
    np.testing.assert_allclose(np.sort(measured), gap, rtol=1e-5)
    np.testing.assert_allclose(simulated / measured, 0.5, rtol=1e-4)
