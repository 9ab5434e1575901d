"""Rows K1-K5 hold for other seeds and values than those of ``test_suite.py``, and say so when asked for too little."""

import pytest

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.evidence.known.rows import evaluate, fold
from mpbf_abm.evidence.known.suite import select

IDS = select(["K"])
# Small enough for a test; the row's own quick values, which the suite runs, take longer.
SMALL = {"K1": {"sizes": (4, 8, 16, 32, 64), "runs": 24, "delta": 0.5, "bias_runs": 20}}
OTHERS = [
    ("K1", {"families": 2, "gamma": -1.0, "deposited": 0.0, "pseudo_share": 1.0, "pseudo_gain": 0.5}),
    ("K1", {"families": 4, "gamma": 3.0, "margin": 0.2, "retrain": 5}),
    ("K2", {"families": 1, "gamma": 0.0, "delta": 1.5, "records": 0, "curators": 0}),
    ("K3", {"mass": (0.5, 3.0), "batch": 100}),
    ("K4", {"families": 2, "gamma": 3.0, "delta": 1.0, "depth": 1.0}),
    ("K5", {"gamma": 1.5, "delta": 0.0}),
    ("K5", {"families": 2, "gamma": 1.2}),
    ("K5", {"families": 40, "gamma": 3.5, "curators": 0, "exploration": 0.0}),
]


def missed(id, seed, changes):
    return [c for c in evaluate(id, seed, SMALL.get(id, {}) | changes, fast=True).checks if not c.passed]


@pytest.mark.nightly
@pytest.mark.parametrize("id", IDS)
def test_rows_hold_for_another_seed_than_the_suites(id):
    assert missed(id, 2, {}) == []


@pytest.mark.nightly
@pytest.mark.parametrize(("id", "changes"), OTHERS)
def test_rows_hold_for_other_values(id, changes):
    assert missed(id, 3, changes) == []


@pytest.mark.parametrize(("id", "sizes"), [("K1", (8, 16, 32, 64)), ("K4", (1, 1, 4))])
def test_a_slope_needs_enough_sizes(id, sizes):
    with pytest.raises(ConfigurationError, match="different sizes"):
        evaluate(id, 1, {"sizes": sizes})


def test_every_row_states_what_it_could_catch():
    assert sorted(IDS) == [f"K{i}" for i in range(1, 6)]
    for check in evaluate("K5", 1).checks:
        assert check.detects < 0.01


@pytest.mark.parametrize(
    ("gamma", "families", "expected"), [(2, 5, 5 / 9), (2, 10, 5 / 8), (1.5, 5, 0.37898), (2, 2, 0.5)]
)
def test_fold_found_without_the_twin(gamma, families, expected):
    assert fold(gamma, families) == pytest.approx(expected, abs=5e-6)
