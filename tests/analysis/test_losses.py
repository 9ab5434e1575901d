"""The script of losses: known costs, known worth."""

import numpy as np
import pytest

from analysis import losses

ARMS = ["baseline", "repository lost", "mirrors", "mirrors, repository lost", "less funding"]


@pytest.fixture
def found():
    """Finds (arms, replicates): a loss costs .08, mirrors cost .01 and save .06, a fifth of the funding is worth .1."""
    base = 0.4 + 0.1 * np.random.default_rng(1).normal(size=40)
    return base + np.array([0.0, -0.08, -0.01, -0.03, -0.1])[:, None]


def test_costs_and_worth_are_those_put_in(found):
    table = losses.worth(found, found[0] - 0.2, ARMS).set_index(["measure", "arm"])
    expected = {
        ("cost", "repository lost"): 0.08,
        ("share", "repository lost"): 0.4,
        ("effect", "mirrors, repository lost"): -0.01,
        ("avoided", "mirrors, repository lost"): 0.06,
        ("price", "mirrors, repository lost"): 12.0,
        ("cost", "less funding"): 0.1,
    }
    assert set(table.index) == set(expected)
    for key, value in expected.items():
        # The same in every pair: no interval.
        assert table.loc[key].tolist() == pytest.approx([value] * 3)


def test_effects_are_paired_by_scenario(found):
    noise = 0.01 * np.random.default_rng(2).normal(size=(2, *found.shape))
    table = losses.effects(np.stack([found, 2 * found]) + noise, ARMS).set_index(["scenario", "arm"])
    for (scenario, arm), row in table.iterrows():
        truth = (found[ARMS.index(arm)] - found[0]).mean() * (1 + scenario)
        assert row["low"] < truth < row["high"]
        assert row["high"] - row["low"] < 0.02
    assert len(table) == 8


def test_a_bootstrap_interval_is_about_that_of_student():
    x = np.random.default_rng(3).normal(size=200)
    value, low, high = losses.interval([x], lambda mean: mean)
    assert value == pytest.approx(x.mean())
    assert (high - low) / 2 == pytest.approx(1.96 * x.std() / np.sqrt(200), rel=0.1)


def test_a_folder_without_a_study_is_told(tmp_path, capsys):
    assert losses.main([str(tmp_path)]) == 2
    assert "holds no study" in capsys.readouterr().err


def test_without_a_sure_cost_of_funding_there_is_no_price(found):
    found[-1] = found[0] + 0.01 * np.random.default_rng(4).normal(size=found.shape[1])
    table = losses.worth(found, found[0] - 0.2, ARMS)
    assert table.loc[table["measure"] == "price", ["value", "low", "high"]].isna().all(axis=None)


def test_scenarios_are_put_together_by_level():
    values = np.arange(3 * 2 * 2, dtype=float).reshape(3, 2, 2)
    together, levels = losses.grouped(values, ["low", "high", "low"])
    assert levels == ["low", "high"]
    np.testing.assert_array_equal(together[0], [[0, 1, 8, 9], [2, 3, 10, 11]])
    np.testing.assert_array_equal(together[1], [[4, 5, np.nan, np.nan], [6, 7, np.nan, np.nan]])
