"""Results and exports: tidy tables, arrays and files that follow from the study alone."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import toys
from communities import small_study
from scipy.io import netcdf_file

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.studies.definition import Arm, Outcome, Recording, StudyDefinition
from mpbf_abm.studies.driver import Shard, run_study
from mpbf_abm.studies.jobs import Failure, Job, pack
from mpbf_abm.studies.report import export
from mpbf_abm.studies.results import Results
from mpbf_abm.studies.store import Saved, Store, StoreError, has
from mpbf_abm.studies.upkeep import merge_stores, replay_run, replayed_rows, some_runs

STUDY = StudyDefinition(
    name="toy",
    model=toys.outcome,
    parameters={"x": {"values": (0.0, 1.0, 2.0)}, "name": {"values": ("u", "v")}},
    policies=[Arm(label="other", parameters={"z": 1.0})],
    design={"kind": "grid"},
    replicates={"n": 4},
    series={"of": ("a", "b"), "every": 3},
    ticks=10,
    outcomes={"y": Outcome(), "big": Outcome(of="y", above=1.0)},
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    run_study(STUDY, folder, workers=1)
    return folder


@pytest.fixture
def results(place: Path) -> Any:
    with Results.open(place, STUDY) as found:
        yield found


def test_tables_are_tidy_and_agree_with_the_arrays(results: Results) -> None:
    assert results.shape == (6, 2, 4)
    assert len(results.scenarios) == 6
    runs, outcomes = results.runs, results.outcomes
    assert len(runs) == 48
    assert runs["run"].is_unique
    assert set(runs["status"]) == {"done"}
    assert list(runs.columns) == ["scenario", "arm", "replicate", "run", "seed", "status", "x", "name"]
    assert len(outcomes) == 96
    y = results.values("y")
    for entry in outcomes[outcomes["outcome"] == "y"].to_dict("records"):
        assert y[entry["scenario"], results.arm_index(entry["arm"]), entry["replicate"]] == entry["value"]
    assert set(results.values("big").ravel()) == {0.0, 1.0}
    assert np.array_equal(results.values("big") == 1, y > 1)
    # Arms share their draws, and the toy does not know of arms.
    assert np.array_equal(y[:, 0], y[:, 1])
    assert not len(results.failures)


def test_series_are_read_whole_by_quantity_and_as_means(results: Results) -> None:
    assert results.series_ticks.tolist() == [2, 5, 8, 9]
    frame = results.series()
    assert len(frame) == 48 * 4
    values = results.series_values("b")
    assert values.shape == (6, 2, 4, 4)
    one = frame[(frame["scenario"] == 3) & (frame["arm"] == "other") & (frame["replicate"] == 2)]
    assert one["tick"].tolist() == [2, 5, 8, 9]
    assert one["b"].tolist() == values[3, 1, 2].tolist()
    mean = results.mean_series()
    part = mean[(mean["arm"] == "other") & (mean["quantity"] == "b")]
    assert part["mean"].to_numpy() == pytest.approx(values[:, 1].reshape(-1, 4).mean(axis=0))
    assert part["sd"].to_numpy() == pytest.approx(values[:, 1].reshape(-1, 4).std(axis=0, ddof=1))
    assert set(part["n"]) == {24}


def test_the_store_is_tidy_for_other_programs(place: Path) -> None:
    db = sqlite3.connect(place / "study.sqlite")
    rows = db.execute(
        "SELECT arm, outcome, count(*), avg(value) FROM outcomes GROUP BY arm, outcome ORDER BY arm, outcome"
    ).fetchall()
    assert [(r[0], r[1], r[2]) for r in rows] == [
        ("baseline", "big", 24),
        ("baseline", "y", 24),
        ("other", "big", 24),
        ("other", "y", 24),
    ]
    with Results.open(place, STUDY) as results:
        assert rows[1][3] == pytest.approx(results.values("y")[:, 0].mean())
    parameters = [json.loads(p) for (p,) in db.execute("SELECT parameters FROM scenarios")]
    assert {p["name"] for p in parameters} == {"u", "v"}
    assert json.loads(db.execute("SELECT content FROM environments").fetchone()[0])["numpy"] == np.__version__


@pytest.mark.parametrize("form", ["csv", "parquet", "netcdf"])
def test_exports_hold_the_same_numbers(results: Results, tmp_path: Path, form: str) -> None:
    paths = {p.name: p for p in export(results, tmp_path, form)}
    if form == "netcdf":
        with netcdf_file(paths["results.nc"], mmap=False) as file:
            assert np.array_equal(file.variables["y"][:], results.values("y"))
            assert np.array_equal(file.variables["series_b"][:], results.series_values("b"))
            assert file.variables["x"][:].tolist() == [0, 0, 1, 1, 2, 2]
            assert b"".join(file.variables["arm_label"][1]).strip() == b"other"
            assert b"".join(file.variables["name"][1]).strip() == b"v"
            assert results.hash in file.history.decode()
        return
    read = pd.read_csv if form == "csv" else pd.read_parquet
    pd.testing.assert_frame_equal(read(paths[f"outcomes.{form}"]), results.outcomes, check_dtype=False)
    pd.testing.assert_frame_equal(read(paths[f"series.{form}"]), results.series(), check_dtype=False)
    timings = read(paths[f"timings.{form}"])
    assert (timings["attempts"] == 1).all()
    assert (timings["seconds"] >= 0).all()


def test_exported_bytes_follow_from_the_study_alone(tmp_path: Path, results: Results) -> None:
    run_study(STUDY, tmp_path / "o", workers=2)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with Results.open(tmp_path / "o", STUDY) as again:
        assert again.hash == results.hash
        for one, two in zip(export(results, tmp_path / "a", "csv"), export(again, tmp_path / "b", "csv"), strict=True):
            assert one.read_bytes() == two.read_bytes() or one.stem == "timings"


def test_a_format_that_is_none_is_refused(results: Results, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match="--to = 'cvs': must be one of csv, parquet, netcdf, crate; did you mean 'csv'"
    ):
        export(results, tmp_path, "cvs")


def test_stored_runs_are_replayed_bit_for_bit(tmp_path: Path) -> None:
    study = small_study()
    run_study(study, tmp_path, workers=1)
    with Results.open(tmp_path) as results:
        runs = some_runs(results, 3)
        assert len({r.id for r in runs}) == 3
        assert [replay_run(results, run).words for run in runs] == ["equal"] * 3
        spoiled = results.store.run(runs[0].id)
        object.__setattr__(spoiled, "outcomes", {**(spoiled.outcomes or {}), "found_share": 0.987})
        assert replay_run(results, spoiled).words == "DIFFERENT results"
        failed = results.store.run(runs[0].id)
        object.__setattr__(failed, "failure", Failure("run", "ValueError", "no"))
        assert replay_run(results, failed).words.startswith("DIFFERENT: finished, where it failed before")
        with pytest.raises(StoreError, match="no run 'zz'"):
            results.store.run("zz")
        with pytest.raises(StoreError, match="several runs begin with ''"):
            results.store.run("")
        assert results.store.run(runs[0].id[:9]).id == runs[0].id
        results.places.clear()
        with pytest.raises(ConfigurationError, match="holds no finished run of the study"):
            replayed_rows(results, [], 3, debug=False)


# --------------------------------------------------------------------------- the store itself

JOB = Job("ab" * 16, 0, 0, 3, 77, 0, (1.0,))
SAVED = Saved("s", 'x = "y"', "", "f00d", "/", "null")


def add(store: Store, result: Any, job: Job = JOB) -> None:
    store.add(job, "key", "baseline", {"x": 1.0}, result, Recording((), ("a",), (0, 1)), (0.5, 1))


def test_what_is_committed_is_there_and_what_is_not_is_not(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with Store.open(path, write=True) as store:
        store.save_study(SAVED)
        add(store, pack({"y": 1.0}, np.ones((2, 1))))
        with Store.open(path) as reader:
            assert reader.counts() == {}
        assert store.commit() == 1
        assert store.commit() == 0
        with Store.open(path) as reader:
            run = reader.run(JOB.id)
            assert (run.outcomes, run.replicate, run.seed, run.seconds) == ({"y": 1.0}, 3, 77, 0.5)
            assert run.series is not None
            assert (run.series.quantities, run.series.ticks) == (("a",), (0, 1))
            assert reader.last_study() == SAVED
            assert has(reader.look().done, JOB.id)
            assert not has(reader.look().done, "cd" * 16)
            assert not has(reader.look().failed, JOB.id)


def test_a_failure_gives_way_to_a_result_and_a_result_stays(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s.sqlite", write=True) as store:
        for result, status in (
            (Failure("run", "E", "m"), "failed"),
            (pack({"y": 1.0}, None), "done"),
            (Failure("run", "E", "m"), "done"),
            (pack({"y": 2.0}, None), "done"),
        ):
            add(store, result)
            store.commit()
            assert store.counts() == {status: 1}
        assert store.run(JOB.id).outcomes == {"y": 1.0}


def test_definitions_are_kept_in_order_and_once(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s.sqlite", write=True) as store:
        assert store.last_study() is None
        for name in ("a", "a", "b", "a"):
            store.save_study(Saved(name, "d", "", "f", "/", "null"))
        assert store.last_study() == Saved("a", "d", "", "f", "/", "null")
    assert sqlite3.connect(tmp_path / "s.sqlite").execute("SELECT name FROM studies").fetchall() == [
        ("a",),
        ("b",),
        ("a",),
    ]


def test_a_store_is_read_where_nothing_may_be_written(place: Path, tmp_path: Path) -> None:
    copy = tmp_path / "study.sqlite"
    copy.write_bytes((place / "study.sqlite").read_bytes())
    copy.chmod(0o444)
    tmp_path.chmod(0o555)
    try:
        with Results.open(tmp_path, STUDY) as results:
            assert (results.status == 1).all()
    finally:
        tmp_path.chmod(0o755)


def test_reading_does_not_write(place: Path) -> None:
    with Store.open(place / "study.sqlite") as store, pytest.raises(sqlite3.OperationalError, match="readonly"):
        store._db.execute("DELETE FROM runs")


def test_runs_are_read_by_another_study_whatever_it_measures(tmp_path: Path) -> None:
    whole = small_study(outcomes={"m": {"of": "found_share", "over": "mean"}, "found_share": {}})
    run_study(whole, tmp_path, workers=1)
    with Results.open(tmp_path, small_study(outcomes={"families_d1": {}}, series={"of": ("families_d1",)})) as results:
        assert (results.status == 1).all()
        assert np.isfinite(results.values("families_d1")).all()
        assert results.study.series == whole.series
    other = small_study(outcomes={"top": {"of": "found_share", "over": "max"}})
    with Results.open(tmp_path, other) as results, pytest.raises(ConfigurationError, match="the runs did not note max"):
        results.values("top")


def test_a_merged_study_is_the_newest_of_its_shards(tmp_path: Path) -> None:
    for n in (2, 4):
        for part in (1, 2):
            run_study(small_study(replicates={"n": n}), tmp_path, workers=1, shard=Shard(part, 2))
        merge_stores(tmp_path, [])
        with Results.open(tmp_path) as results:
            assert results.shape[2] == n
            assert (results.status == 1).all()
            assert results.orphans == 0
