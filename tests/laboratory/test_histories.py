"""Models of studies that keep whole histories, in their limit cases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mpbf_abm import Parameters, simulate
from mpbf_abm.evidence.assessments import histories as h
from mpbf_abm.measures.networks import FLOWS
from mpbf_abm.measures.path import run_to
from mpbf_abm.model.interventions import Policy
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.parameters import PRESETS
from mpbf_abm.studies.jobs import RunInput

SMALL = {**PRESETS["single-quick"], "space.materials": 800, "space.families": 12, "founding.records": 200}
URN = {
    "space.materials": 20,
    "space.families": 4,
    "founding.records": 0,
    "founding.mass": 2.0,
    "planners.count": 0,
    "curators.count": 3,
    "curators.records": 2,
}


def given(values: dict[str, Any], ticks: int, series: tuple[str, ...] = (), every: int = 1, **more: Any) -> RunInput:
    kept = [t for t in range(ticks) if (t + 1) % every == 0]
    return RunInput(values, "baseline", more.get("policies", ()), (), more.get("seed", 5), 0, ticks, series, kept)


def test_a_course_is_that_of_the_community() -> None:
    outcomes, series = h.course(given(SMALL, 10, h.COURSE_SERIES, every=5))
    run = simulate(Parameters.preset("single-default").updated(SMALL), seed=5, ticks=10)
    assert series.shape == (2, len(h.COURSE_SERIES))
    for name in h.LAYERS:
        assert series[:, h.COURSE_SERIES.index(name)].tolist() == pytest.approx(
            run.series[name][[4, 9]].tolist(), nan_ok=True
        )
    assert outcomes["found_share"] == run.summary["found_share"]
    flows = series[:, len(h.LAYERS) : len(h.LAYERS) + len(FLOWS)]
    assert (flows[1] >= flows[0]).all()
    held = series[:, -len(h.HELD) :]
    assert held.sum(axis=1).tolist() == run.series["records"][[4, 9]].tolist()
    early = run.families[run.families["tick"] == 1]
    assert outcomes["early_share"] == pytest.approx(early["share"].max())


def test_a_policy_is_part_of_a_course() -> None:
    policy = Policy(name="exploration_floor", start=2, strength=1.0)
    plain, _ = h.course(given(SMALL, 10, h.COURSE_SERIES))
    moved, _ = h.course(given(SMALL, 10, h.COURSE_SERIES, policies=(policy,)))
    assert moved["families_d1"] != plain["families_d1"]


def test_identical_twins_stay_so_and_others_begin_by_what_was_given() -> None:
    outcomes, distance = h.twins(given({**SMALL, "deposit": 0.1}, 10, h.TWIN_SERIES))
    assert (distance[:, 1] == 0).all()
    assert distance[0, 0] == 0  # before the deposit
    assert outcomes["first"] == distance[1, 0] > 0
    assert outcomes["last"] == distance[-1, 0]


def test_removal_curves_fall_from_the_largest_component_to_nothing() -> None:
    out = h.removal(given(SMALL, 2))
    for criterion in h.CRITERIA:
        curve = np.array([out[f"{criterion} {i}"] for i in range(h.STEPS + 1)])
        assert 0 < curve[0] <= 1
        assert curve[-1] == 0
        assert (np.diff(curve) <= 1e-12).all()
        assert 0 < out[f"R {criterion}"] < 1
    assert out["R degree"] < out["R random"]


def test_an_urn_is_the_null_community() -> None:
    values = {**URN, "curators.reinforcement": 2.5, "curators.exploration": 0.0}
    out = h.urn(given(values, 40))
    p = Parameters.null(**values)
    x = run_to(p, 5, 40, space=MaterialsSpace.synthetic(p, seed=0))
    assert out["leading_share"] == x.max() / x.sum()
    assert out["locked"] == (out["leading_share"] > h.LOCKED)


def test_exploration_falls_along_a_line_or_stays() -> None:
    values = {**URN, "curators.reinforcement": 2.0, "high": 0.9, "low": 0.5}
    outcomes, series = h.approach(given(values, 20, h.WARNING_SERIES))
    np.testing.assert_allclose(series[:, 1], np.linspace(0.9, 0.5, 20))
    assert -1 <= outcomes["variance_trend"] <= 1
    _, stays = h.approach(given({**values, "low": 0.9}, 20, h.WARNING_SERIES))
    assert (stays[:, 1] == 0.9).all()
    p = Parameters.null(
        **{k: v for k, v in values.items() if k not in ("high", "low")}, **{"curators.exploration": 0.9}
    )
    x = run_to(p, 5, 20, space=MaterialsSpace.synthetic(p, seed=0))
    assert stays[-1, 0] == x[0] / x.sum()
