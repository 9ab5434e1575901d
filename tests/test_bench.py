"""The benchmark measures what it says; no test looks at a time."""

import json
import math

import pytest

from mpbf_abm import bench
from mpbf_abm.errors import OutputError
from mpbf_abm.parameters import Parameters

SMALL = Parameters.preset("quick").replace(**{"space.materials": 600, "space.families": 12, "founding.records": 200})


def values(rows):
    return {r["name"]: r["value"] for r in rows}


def test_floor_replays_the_kernel_calls_of_the_run():
    rows = bench.kernel_floor(SMALL, ticks=4, rounds=1)
    named = {r["name"]: r for r in rows}
    assert named["kernel floor"]["calls"] > 10
    assert named["run / floor, median"]["value"] == pytest.approx(
        named["run"]["value"] / named["kernel floor"]["value"]
    )
    assert all(math.isfinite(v) and v > 0 for v in values(rows).values())


def test_scaling_reports_one_row_per_size_and_an_exponent():
    materials = values(bench.materials_scaling((500, 1_000), ticks=1, rounds=1))
    agents = values(bench.agents_scaling((1, 2), materials=2_000, ticks=1, rounds=1))
    assert {"tick at 500 materials", "tick at 1000 materials", "exponent in materials"} <= set(materials)
    assert {"tick with 58 agents", "tick with 116 agents", "exponent in agents"} <= set(agents)


def test_exponent_is_the_power_of_a_power_law():
    assert bench.exponent([1, 10, 100], [3, 30, 300]) == pytest.approx(1)
    assert bench.exponent([1, 10, 100], [2, 2, 2]) == pytest.approx(0, abs=1e-12)


def test_no_model_outlives_its_run():
    assert values(bench.leaks(runs=5, warm=1))["models alive after 5 runs"] == 0


def test_results_are_a_table_and_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "BENCHES", {"null": lambda _: bench.null_model(ticks=5, rounds=1)})
    seen = []
    result = bench.run_all(quick=True, progress=lambda: seen.append(1))
    assert seen == [1]
    head, rows = bench.as_table(result)
    assert {len(r) for r in rows} == {len(head)}
    assert rows[-1][0] == "peak memory of the whole bench"
    bench.write(result, tmp_path / "bench.json")
    assert json.loads((tmp_path / "bench.json").read_text())["environment"]["threads"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["bench.json"]


def test_a_file_that_cannot_be_written_is_noticed_before(tmp_path):
    for path in (tmp_path, tmp_path / "no" / "bench.json"):
        with pytest.raises(OutputError):
            bench.check_writable(path)
