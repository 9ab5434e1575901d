"""What the calibration moves: parameters at a point, and the facts there."""

import numpy as np
import pytest
from small import SMALL

from mpbf_abm.evidence.calibration import FACTORS, FITTED, FOUND, WHOLE, facts_at, parameters, study
from mpbf_abm.evidence.facts.recorded import COMPONENTS
from mpbf_abm.parameters import PATHS, Parameters
from mpbf_abm.studies.design import Design


def test_factors_are_parameters_with_their_default_in_range():
    now = Parameters.preset("single-default").flat()
    for name, (low, high, paths) in FACTORS.items():
        assert low < high
        assert set(paths) <= set(PATHS)
        assert len({now[path] for path in paths}) == 1, f"{name}: parameters that move together start together"
        assert low <= now[paths[0]] <= high, f"{name}: the default lies outside the prior"
    assert len({path for _, _, paths in FACTORS.values() for path in paths}) == sum(len(f[2]) for f in FACTORS.values())


@pytest.mark.parametrize("end", [0, 1])
def test_a_point_sets_what_it_says_and_nothing_else(end: int):
    values = {name: factor[end] for name, factor in FACTORS.items()}
    p, now = parameters(values), Parameters.preset("single-default").flat()
    flat = p.flat()
    for name, (_, _, paths) in FACTORS.items():
        for path in paths:
            assert flat[path] == values[name]
            assert isinstance(flat[path], int if name in WHOLE else float)
    assert p.space.bias_family + p.space.bias_smooth + p.space.bias_scatter == pytest.approx(1)
    moved = {path for _, _, paths in FACTORS.values() for path in paths} | {"space.bias_smooth"}
    assert {path: v for path, v in flat.items() if path not in moved} == {
        path: v for path, v in now.items() if path not in moved
    }


def test_whole_numbers_are_rounded_and_a_point_of_nothing_is_the_default():
    assert parameters({}) == Parameters.preset("single-default")
    assert parameters({"records": 1234.6}).trainers.records == 1235
    assert parameters({"providers": 1.4}).infrastructure.providers == 1


def test_every_fitted_fact_is_measured(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mpbf_abm.evidence.facts.community.HORIZON", 14)
    found = facts_at(Parameters.preset("single-default").updated(SMALL), 1)
    assert tuple(found) == FITTED
    assert set(FITTED) <= set(COMPONENTS) | {FOUND.id}
    assert 0 <= found["found_share"] <= 1
    assert found == pytest.approx(facts_at(Parameters.preset("single-default").updated(SMALL), 1), nan_ok=True)


def test_the_study_spans_the_prior_and_shares_its_draws():
    made = study("cheap", Design(kind="lhs", n=7), 2, 1)
    plan = made.plan()
    assert plan.count() == 14
    points = np.array(plan.scenarios.values, float)
    for column, (low, high, _) in zip(points.T, FACTORS.values(), strict=True):
        assert low <= column.min() < column.max() <= high
    assert made.crn == "all"
    assert set(made.outcomes) == set(FITTED)
