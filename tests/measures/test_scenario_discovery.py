"""Scenario discovery: trajectories equal those of ema_workbench, and boxes are where they should be."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.stats.prim import Prim, quantile


def scenarios(seed: int, n: int = 500) -> tuple[pd.DataFrame, np.ndarray]:
    """Scenarios with reals (one of them with ties), a name, and an outcome that is common in a box."""
    rng = np.random.default_rng(seed)
    x = pd.DataFrame(
        {"a": rng.random(n), "b": rng.random(n), "tied": rng.random(n).round(1), "k": rng.choice(list("uvw"), n)}
    )
    chance = 0.05 + 0.8 * ((x["a"] > 0.4) & (x["b"] < 0.7) & (x["k"] != "u"))
    return x, rng.random(n) < chance


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(4))
def test_trajectories_equal_those_of_ema_workbench(seed: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ema_workbench.analysis import prim as ema

        x, y = scenarios(seed)
        reference = ema.Prim(x, y.astype(int), threshold=0.1).find_box()
    found = Prim([x[c].to_numpy() if c != "k" else x[c].to_numpy(object) for c in x], y)
    steps = found.trajectory()
    table = reference.peeling_trajectory
    assert len(steps) == len(table)
    for i, step in enumerate(steps):
        row, limits = table.iloc[i], reference.box_lims[i]
        assert (step.coverage, step.density, step.mass) == pytest.approx(
            (row["coverage"], row["density"], row["mass"]), abs=1e-12
        )
        assert len(step.restricted) == row["res_dim"]
        for name, limit in zip(x.columns, step.box, strict=True):
            theirs = limits[name].tolist()
            assert (set(limit) == set(theirs[0])) if isinstance(limit, frozenset) else (list(limit) == theirs)
    quasi = reference.qp[len(table) - 1]
    for i, p in found.quasi_p(steps[-1]).items():
        theirs = [v for v in quasi[x.columns[i]] if v >= 0]
        if len(theirs) == 1:
            assert p == pytest.approx(theirs[0], rel=1e-9)


def test_whole_numbers_are_peeled_by_whole_steps() -> None:
    rng = np.random.default_rng(1)
    i = rng.integers(0, 9, 600)
    steps = Prim([i, rng.random(600)], i >= 6).trajectory()
    assert steps[-1].density == 1.0
    assert steps[-1].coverage == 1.0
    assert steps[-1].box[0] == (6, 8)
    assert steps[-1].restricted == (0,)


def test_pasting_takes_back_what_peeling_took_too_much() -> None:
    rng = np.random.default_rng(3)
    x = rng.random((800, 2))
    found = Prim([x[:, 0], x[:, 1]], (x[:, 0] > 0.5) & (x[:, 1] > 0.5))
    last = found.trajectory()[-1]
    assert last.density > 0.97
    assert last.coverage > 0.9
    assert last.box[0][0] == pytest.approx(0.5, abs=0.05)
    assert all(p < 1e-6 for p in found.quasi_p(last).values())


def test_a_restriction_that_makes_no_difference_has_a_large_quasi_p() -> None:
    rng = np.random.default_rng(5)
    x, z = rng.random(500), rng.random(500)
    found = Prim([x, z], x > 0.6)
    box = ((0.6, 1.0), (0.2, 0.9))
    p = found.quasi_p(found.measured(box, found.inside(box)))
    assert p[0] < 1e-6
    assert p[1] > 0.05


def test_boxes_apply_to_other_points() -> None:
    x = np.linspace(0, 1, 101)
    found = Prim([x, np.array(["u", "v"] * 50 + ["u"])], x > 0.5)
    box = ((0.5, 1.0), frozenset({"v"}))
    inside = found.inside(box, [np.array([0.2, 0.7, 0.8]), np.array(["v", "v", "u"])])
    assert inside.tolist() == [False, True, False]


@pytest.mark.parametrize(("y", "told"), [(np.zeros(5, bool), "0 of 5 are of interest"), (np.ones(5, bool), "5 of 5")])
def test_outcomes_of_one_kind_are_refused(y: np.ndarray, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        Prim([np.arange(5.0)], y)


def test_columns_that_do_not_fit_are_refused() -> None:
    y = np.array([True, False, True])
    with pytest.raises(ConfigurationError, match="as long as"):
        Prim([np.arange(4.0)], y)
    with pytest.raises(ConfigurationError, match="as long as"):
        Prim([], y)
    with pytest.raises(ConfigurationError, match="finite"):
        Prim([np.array([0.0, np.nan, 1.0])], y)


def test_quantiles_step_past_ties() -> None:
    assert quantile(np.array([0.0, 0, 0, 1, 2]), 0.05) == 0.5
    assert quantile(np.array([0.0, 1, 2, 2, 2]), 0.95) == 1.5
    assert quantile(np.array([1.0, 1, 1]), 0.5) == 1.0
