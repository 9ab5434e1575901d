"""Facts beside their ranges: what is measured, on which seeds, and how a fact is judged."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small import small

from mpbf_abm.cli.console import Bar
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.evidence.facts import validation as module
from mpbf_abm.evidence.facts.recorded import COMPONENTS, FACTS
from mpbf_abm.evidence.facts.validation import HEAVY, MEASURES, OF_FACT, Validation, chosen, measure, tasks, validate
from mpbf_abm.parameters import Parameters
from mpbf_abm.stats.estimates import mean_estimate

QUICK = small(planners__count=4, trainers__count=2, curators__count=1)
ONE, FOUR, SEVEN, TEN = (FACTS[n - 1] for n in (1, 4, 7, 10))


@pytest.fixture(scope="module")
def values() -> dict[str, dict[str, float]]:
    """Every measure of one small community."""
    short = pytest.MonkeyPatch()
    short.setattr("mpbf_abm.evidence.facts.community.HORIZON", 14)
    for name, value in {"MANY": 72, "RUNS": 4, "GENERATIONS": 3, "FRESH": (0.1,)}.items():
        short.setattr(f"mpbf_abm.evidence.facts.community.{name}", value)
    got = {name: measure(QUICK, name, 1) for name in MEASURES}
    short.undo()
    return got


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: str(fact.number))
def test_the_measure_of_a_fact_returns_all_of_its_components(fact, values):
    assert {c.id for c in fact.components} <= set(values[OF_FACT[fact.number]])


def test_no_component_comes_from_two_measures(values):
    named = [name for found in values.values() for name in found]
    assert len(named) == len(set(named))
    assert set(COMPONENTS) <= set(named)


def test_facts_are_chosen_by_number_in_their_own_order():
    assert chosen([]) == tuple(FACTS)
    assert [f.number for f in chosen(["7,4", " 1 "])] == [1, 4, 7]
    with pytest.raises(ConfigurationError) as caught:
        chosen(["4,16", "x"])
    assert len(caught.value.faults) == 2
    assert "unknown fact '16'" in caught.value.faults[0]


def test_a_measure_is_made_once_for_all_facts_that_need_it_and_heavy_ones_less_often():
    assert tasks([FACTS[3], FACTS[4], FACTS[10], FACTS[13]], 5, 3) == [("community", s) for s in (5, 6, 7)]
    both = tasks([FACTS[11], FACTS[0]], 1, 10)
    assert both.count(("descent", 1)) == 1
    assert sum(name in HEAVY for name, _ in both) == 3
    assert sum(name == "simulated_labels" for name, _ in both) == 10
    # Never fewer than an interval needs.
    assert len(tasks([FACTS[11]], 1, 2)) == 2


def test_replicates_have_materials_of_their_own_and_a_mean_with_its_interval():
    found = validate(QUICK, [ONE], seed=3, replicates=3)
    assert sorted(set(found.values["seed"])) == [3, 4, 5]
    for row in found.table.itertuples():
        each = found.values.loc[found.values["quantity"] == row.component, "value"]
        assert len(set(each)) == row.replicates == 3
        e = mean_estimate(each)
        assert (row.simulated, row.simulated_low, row.simulated_high) == (e.value, e.low, e.high)
        c = COMPONENTS[row.component]
        assert (row.recorded, row.low, row.high) == (c.value, c.low, c.high)
        assert row.inside == c.holds(row.simulated)
        assert math.isnan(row.real)
    # A replicate is what a community of its seed alone gives.
    again = validate(QUICK, [ONE], seed=4, replicates=2).values
    pd.testing.assert_frame_equal(again, found.values[found.values["seed"] > 3].reset_index(drop=True))


@pytest.mark.nightly
def test_two_processes_find_what_one_does():
    one = validate(QUICK, [ONE, SEVEN], replicates=2)
    watch = Bar(quiet=True)
    two = validate(QUICK, [ONE, SEVEN], replicates=2, jobs=2, progress=watch)
    pd.testing.assert_frame_equal(one.table, two.table)
    pd.testing.assert_frame_equal(one.values, two.values)
    assert (watch.done, watch.known, watch.total) == (4, 0, 4)


def test_more_replicates_go_on_from_what_a_folder_holds(tmp_path):
    def asked(replicates: int, p: Parameters = QUICK, data: Path | None = None) -> tuple[Validation, tuple[int, int]]:
        watch = Bar(quiet=True)
        return validate(p, [ONE, TEN], replicates=replicates, data=data, out=tmp_path / "o", progress=watch), (
            watch.done,
            watch.known,
        )

    assert asked(2)[1] == (4, 0)
    more, counts = asked(4)
    assert counts == (4, 4)
    alone = validate(QUICK, [ONE, TEN], replicates=4)
    pd.testing.assert_frame_equal(more.values, alone.values)
    pd.testing.assert_frame_equal(more.table, alone.table)
    # Fewer are some of them; another community shares none.
    assert asked(2)[1] == (0, 4)
    assert asked(2, small(planners__count=4, trainers__count=2, curators__count=2))[1] == (4, 0)


def test_campaigns_on_real_pools_follow_from_what_the_files_hold(tmp_path, monkeypatch: pytest.MonkeyPatch):
    def asked() -> tuple[int, int]:
        watch = Bar(quiet=True)
        validate(QUICK, [ONE, TEN], replicates=2, data=tmp_path / "data", out=tmp_path / "o", progress=watch)
        return watch.done, watch.known

    monkeypatch.setattr(module, "POOLS", {"one": ("one.csv", "y", "max")})
    monkeypatch.setattr("mpbf_abm.evidence.known.whole.POOLS", module.POOLS)
    monkeypatch.setattr(module.community, "real_acceleration", lambda *_: {"af_greedy": 4.0, "af_maxvar": 0.7})
    (tmp_path / "data").mkdir()
    assert asked() == (4, 0)  # no pools: families stand for them
    (tmp_path / "data" / "one.csv").write_text("x,y\n1,2\n", encoding="utf-8")
    assert asked() == (2, 2)
    assert asked() == (0, 4)
    (tmp_path / "data" / "one.csv").write_text("x,y\n1,3\n", encoding="utf-8")
    assert asked() == (2, 2)


def test_a_fact_is_reproduced_where_all_of_its_numbers_are_inside(monkeypatch: pytest.MonkeyPatch):
    middle = {c.id: c.value for fact in FACTS for c in fact.components}
    values = dict(middle)
    monkeypatch.setattr(module, "MEASURES", {name: lambda *_: dict(values) for name in MEASURES})
    monkeypatch.setattr(module, "_space", lambda *_: None)
    assert validate(QUICK, FACTS[:9], replicates=2).count == 9
    values["gap_pbe_mae"] = 1.5
    found = validate(QUICK, [ONE, FOUR], replicates=2)
    assert [found.reproduced(f) for f in (ONE, FOUR)] == [False, True]
    assert found.count == 1
    values["system_top10"] = math.nan
    assert validate(QUICK, [ONE, FOUR], replicates=2).count == 0


def test_real_values_stand_beside_the_recorded_ones(tmp_path):
    folder = tmp_path / "pbe_expt_gap_pairs"
    folder.mkdir()
    (folder / "gap_pairs.csv").write_text("gap_expt_eV,pbe_median\n2,1\n4,2\n", encoding="utf-8")
    found: Validation = validate(QUICK, [ONE], replicates=2, data=tmp_path)
    real = dict(zip(found.table["component"], found.table["real"], strict=True))
    assert real == {"gap_pbe_ratio": 0.5, "gap_pbe_mae": 1.5, "gap_false_metal": 0.0}
    # They play no part in what is simulated.
    np.testing.assert_array_equal(found.table["simulated"], validate(QUICK, [ONE], replicates=2).table["simulated"])
