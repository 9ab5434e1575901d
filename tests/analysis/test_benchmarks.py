"""The benchmark measures what it says; no test looks at a time."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import renew

from analysis.benchmarks import __main__ as command
from analysis.benchmarks import drawing, model, peers, pools, studies, suite
from analysis.benchmarks.measuring import ROOT, exponent
from mpbf_abm import MaterialsSpace
from mpbf_abm.errors import OutputError
from mpbf_abm.parameters import Parameters
from mpbf_abm.studies import distributed

SMALL = Parameters.preset("single-quick").replace(
    **{"space.materials": 600, "space.families": 12, "founding.records": 200}
)


def values(rows):
    return {r["name"]: r["value"] for r in rows}


def test_floor_replays_the_kernel_calls_of_the_run():
    rows = model.kernel_floor(SMALL, ticks=4, rounds=1)
    named = {r["name"]: r for r in rows}
    assert named["kernel floor"]["calls"] > 10
    assert named["run / floor, median"]["value"] == pytest.approx(
        named["run"]["value"] / named["kernel floor"]["value"]
    )
    assert all(math.isfinite(v) and v > 0 for v in values(rows).values())


@pytest.mark.nightly
def test_scaling_reports_one_row_per_size_and_an_exponent():
    materials = values(model.materials_scaling((500, 1_000), ticks=1, rounds=1))
    agents = values(model.agents_scaling((1, 2), materials=2_000, ticks=1, rounds=1))
    assert {"tick at 500 materials", "tick at 1000 materials", "exponent in materials"} <= set(materials)
    assert {"tick with 58 agents", "tick with 116 agents", "exponent in agents"} <= set(agents)


def test_exponent_is_the_power_of_a_power_law():
    assert exponent([1, 10, 100], [3, 30, 300]) == pytest.approx(1)
    assert exponent([1, 10, 100], [2, 2, 2]) == pytest.approx(0, abs=1e-12)


@pytest.mark.nightly
def test_ticks_and_replicates_have_an_exponent_and_an_ensemble_its_oracle():
    assert "exponent in ticks" in values(model.ticks_scaling((2, 4), rounds=1))
    named = {r["name"]: r for r in model.ensemble((2, 4), ticks=3, rounds=1)}
    assert named["one by one / together, 4 histories"]["equal_bits"] is True
    assert {"2 histories of the urn together, each", "exponent in replicates"} < set(named)


@pytest.mark.nightly
def test_a_large_community_is_measured_in_a_process_of_its_own():
    rows = model.large(1, 1_000, 1)
    assert rows[0]["name"] == "run of 58 agents, 1000 materials, 1 ticks"
    assert rows[1]["value"] > 50


@pytest.mark.nightly
def test_an_object_for_each_agent_is_timed_beside_columns():
    rows = peers.objects(ROOT / "tests" / "docking", 1, 1)
    assert rows[2]["value"] == pytest.approx(rows[0]["value"] / rows[1]["value"])
    assert "needs --docking" in peers.objects(None, 1, 1)[0]["name"]


def test_campaigns_with_a_general_library_start_from_the_same_materials(monkeypatch):
    asked = []

    def near(x, y, ahead):
        asked.append((len(x), len(ahead)))
        return -np.abs(ahead - x[np.argmax(y)]).sum(axis=1), np.zeros(len(ahead))  # what is nearest to the best

    monkeypatch.setattr(peers, "PEERS", {"near": ("numpy", near), "none": ("no_such_library", near)})
    space = pools.synthetic_pool(60)
    factor, cost, none = peers.campaigns({"p": space}, 2)
    assert asked[0] == (5, 55)
    assert all(sum(pair) == 60 for pair in asked)
    assert [row["name"] for row in (factor, cost, none)] == [
        "AF@50 / near, p",
        "near / ours, CPU, p",
        "campaigns with none: not installed",
    ]
    assert factor["theirs"] > 1
    assert factor["low"] < factor["value"] == pytest.approx(factor["ours"] / factor["theirs"])
    # A campaign for which the budget does not suffice counts as the budget.
    monkeypatch.setattr(peers, "MOST_SPENT", 6)
    short = peers.Made.of(space, 2, lambda *_: float("inf"))
    assert (short.missed, short.spent.tolist()) == (2, [6.0, 6.0])


def test_scikit_learn_finds_the_top_of_a_smooth_pool():
    x = np.linspace(0, 1, 40)[:, None]
    y = np.sin(6 * x[:, 0])
    assert abs(int(np.argmax(peers.sklearn_process(x[::5], y[::5], x)[0])) - int(np.argmax(y))) <= 3


def test_chunks_give_two_costs_and_test_them(monkeypatch):
    cost = {1: 0.0101, 10: 0.0012, 100: 0.0002}
    monkeypatch.setattr(studies, "_dask_run", lambda *_, **__: cost[distributed.MOST_TOGETHER])
    rows = values(studies.chunks(4))
    assert rows["cost of a chunk to scheduler and driver, a"] == pytest.approx(10)
    assert rows["cost of a run to scheduler and driver, b"] == pytest.approx(0.1)
    assert rows["chunks of 10: a / c + b against measured"] == pytest.approx(1.1 / 1.2)
    assert distributed.MOST_TOGETHER == 10_000


@pytest.mark.nightly
def test_a_dask_study_is_timed():
    rows = studies.cluster((1,), 12, 1)
    assert rows[0]["size"] == 1
    assert rows[0]["value"] > 0


@pytest.mark.nightly
def test_the_page_and_its_figure_are_renewed(tmp_path, monkeypatch):
    page = tmp_path / "performance.md"
    page.write_text("<!-- result:made -->\n<!-- /result -->\n<!-- result:ensemble -->\n<!-- /result -->\n")
    monkeypatch.setattr(suite, "BENCHES", {"ensemble": lambda _: model.ensemble((2, 4), ticks=2, rounds=1)})
    assert command.main(["--json", str(tmp_path / "bench.json")]) == 0
    assert renew.main([str(page), str(tmp_path / "bench.json")]) == 0
    text = page.read_text()
    assert "`python -m analysis.benchmarks`" in text
    assert "| one by one / together, 4 histories |" in text
    assert (tmp_path / "images" / "performance.png").stat().st_size > 10_000
    assert renew.main([str(page), str(tmp_path / "none.json")]) == 2


def test_targets_are_read_from_their_words():
    assert [drawing.bound(t) for t in ("<= 1.3", ">= 1 within noise", "about 1", "", "0.85 to 1.15")] == [
        ("<=", 1.3),
        (">=", 1.0),
        None,
        None,
        None,
    ]


def test_no_model_outlives_its_run():
    assert values(model.leaks(runs=5, warm=1))["models alive after 5 runs"] == 0


@pytest.mark.nightly
def test_studies_are_measured_against_the_work_itself():
    cost = values(studies.overhead(40, 120, rounds=1))
    assert {"study overhead of a run, in one process", "study overhead of a run, in two processes"} < set(cost)
    used = studies.efficiency(24, rounds=1)
    assert all(len(used[0][way]) == 1 for way in ("by_hand", "running", "whole"))
    assert used[1]["value"] > 0


@pytest.mark.nightly
def test_a_large_store_is_filled_and_read():
    rows = studies.storage(80)
    named = {r["name"]: r for r in rows}
    assert {"driver memory at 8 stored runs", "driver memory at 80 stored runs"} < set(named)
    # Four arms, ten stored ticks, two quantities.
    assert named["mean by policy and tick of 80 runs"]["rows"] == 4 * 10 * 2


@pytest.mark.nightly
def test_starts_are_ratios_to_a_bare_interpreter():
    rows = values(studies.start(1))
    assert rows["mpbf --help / bare interpreter"] > 1


def test_a_measurement_that_fails_costs_no_other(monkeypatch):
    def fails(_):
        raise OSError("no room")

    monkeypatch.setattr(suite, "BENCHES", {"storage": fails, "null": lambda _: model.null_model(ticks=5, rounds=1)})
    rows = suite.run_all(suite.How(quick=True))["rows"]
    assert [r["name"] for r in rows[:2]] == ["storage: failed, no room", "null model, tick"]
    assert rows[0]["met"] is False


def test_results_are_a_table_and_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(suite, "BENCHES", {"null": lambda _: model.null_model(ticks=5, rounds=1)})
    seen = []
    result = suite.run_all(suite.How(quick=True), progress=lambda: seen.append(1))
    assert seen == [1]
    head, rows = suite.as_table(result["rows"])
    assert {len(r) for r in rows} == {len(head)}
    assert rows[-1][0] == "peak memory of the whole bench"
    suite.write(result, tmp_path / "bench.json")
    assert json.loads((tmp_path / "bench.json").read_text())["environment"]["threads"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["bench.json"]


def test_a_file_that_cannot_be_written_is_noticed_before(tmp_path):
    for path in (tmp_path, tmp_path / "no" / "bench.json"):
        with pytest.raises(OutputError):
            suite.check_writable(path)


def test_campaigns_are_compared_with_the_plain_process_on_the_same_starts():
    rows = values(pools.synthetic(60, 20, rounds=2))
    assert {"campaign, pool of 60, 20 experiments", "campaign / plain process, pool of 60, 20 experiments"} == set(rows)
    rng = np.random.default_rng(0)
    x = rng.random((80, 3))
    frame = pd.DataFrame(x, columns=list("abc")).assign(goal=np.sin(5 * x[:, 0]) + x[:, 1])
    space = MaterialsSpace.from_pool(frame, objective="goal")
    named = {r["name"]: r for r in pools.compared(space, "greedy", 3, 60, "p")}
    assert named["AF@50, p"]["value"] > 1
    assert named["AF@50 / plain process, p"]["alike"] == 3
    assert named["AF@50 / plain process, p"]["value"] == 1
    # A budget that does not reach half of the top set has no factor.
    short = {r["name"]: r for r in pools.compared(space, "greedy", 2, 6, "p")}
    assert short["AF@50 / plain process, p"]["met"] is False


def test_a_folder_without_pools_is_refused(tmp_path):
    assert len(pools.missing(tmp_path)) == 7


def test_the_command_refuses_what_it_cannot_measure(tmp_path, capsys):
    assert command.main(["--only=campain", "--data", str(tmp_path), "--docking", str(tmp_path)]) == 2
    told = capsys.readouterr().err.splitlines()
    assert "did you mean 'campaign'" in told[0]
    assert len(told) == 9
