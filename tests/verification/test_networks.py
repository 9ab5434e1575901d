"""Network rows: they pass for other seeds and other values, and refuse in one line what makes no sense."""

from __future__ import annotations

import numpy as np
import pytest

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.evidence.known import failures
from mpbf_abm.evidence.known.rows import evaluate
from mpbf_abm.evidence.known.suite import select

IDS = select(["F"])


def told(id, seed, changes=None):
    """Checks of a row that failed, in words."""
    outcome = evaluate(id, seed, changes, fast=True)
    assert outcome.checks
    return [
        f"{c.name}: {c.measured:.6g} {c.relation} {c.expected:.6g} +- {c.error:.2g}"
        for c in outcome.checks
        if not c.passed
    ]


def test_every_row_is_here():
    assert sorted(IDS, key=lambda id: int(id[1:])) == [f"F{i}" for i in range(1, 13)]


@pytest.mark.nightly
@pytest.mark.parametrize("id", IDS)
def test_rows_pass_for_another_seed_than_the_suites(id):
    assert told(id, 2) == []


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("id", "changes"),
    [
        ("F1", {"c": 2.5, "f": 0.4}),
        ("F1", {"c": 0.5, "f": 0.1}),
        ("F1", {"c": 18.0, "f": 0.0, "n": 1_000, "graphs": 6}),
        ("F2", {"c": 6.0}),
        ("F3", {"phi": 0.3, "graphs": 8}),
        ("F3", {"phi": 0.18, "graphs": 10}),
        ("F4", {"n": 3, "k": 4.0, "graphs": 6}),
        ("F5", {"n": 21}),
        ("F6", {"N": 30}),
        ("F7", {"n": 2, "i": (1, 2)}),
        ("F8", {"r": 3, "phi": 0.4}),
        ("F8", {"r": 2, "phi": 0.6}),
        ("F8", {"phi": 0.0}),
        ("F9", {"n": 4, "alpha": 0.0, "labour": 1.0}),
        ("F10", {"X": 300.0, "T": 0.5, "l": 7.0}),
    ],
    ids=str,
)
def test_expected_values_follow_the_parameters(id, changes):
    assert told(id, 3, changes) == []


@pytest.mark.parametrize(
    ("id", "changes", "says"),
    [
        ("F1", {"c": 1.0}, "too near to the threshold 1"),
        ("F1", {"c": -1.0}, "must be a number from 0.05 to 20"),
        ("F4", {"k": 3.0, "n": 3}, "must be at least 3.634 with 3 layers"),
        ("F5", {"n": 8}, "the ring must be odd"),
        ("F7", {"n": 10, "i": 11}, "must not exceed n = 10"),
        ("F8", {"r": 3, "m": 2}, "founders must be from r = 3"),
        ("F9", {"n": 25, "alpha": 0.2}, "must be below 1/sqrt"),
        ("F10", {"X": 0.0}, "above 0"),
        ("F11", {"l": 0.001, "dt": 0.01}, "must have at least"),
        ("F11", {"N": 5}, "unknown parameter 'F11.N'"),
    ],
    ids=str,
)
def test_a_wrong_value_is_refused_in_one_line(id, changes, says):
    with pytest.raises(ConfigurationError, match=says) as refused:
        evaluate(id, 1, changes, fast=True)
    assert len(refused.value.faults) == 1


def test_standard_errors_are_at_least_one_node_in_one_graph():
    assert failures.counted([0.5] * 4, 100) == (0.5, 1 / 400)
    mean, error = failures.counted([0.1, 0.3], 100)
    assert (mean, error) == pytest.approx((0.2, 0.1))


def test_the_variance_of_few_values_is_exact():
    """White noise is unbiased; in a process that hardly moves the sample mean takes nearly all variance."""
    assert failures.sample_variance(0.0, 2.0, 7) == 2.0
    assert failures.sample_variance(0.5, 1.0, 2) == pytest.approx(0.5)
    x = failures.stationary(0.7, 0.4, 200_000, np.random.default_rng(0))
    assert x.var() == pytest.approx(0.16 / 0.51, rel=0.02)


def test_the_locked_in_state_ends_at_the_fold():
    fold = 5 / 9
    x, slope = failures.locked_in(5, 0.999 * fold)
    assert failures.attention(x, 5, 0.999 * fold) == pytest.approx(x)
    assert 0.9 < slope < 1
    assert failures.locked_in(5, 0.01)[0] > 0.99
