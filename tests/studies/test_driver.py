"""The driver: any engine gives the same bits, extending runs nothing again, precision decides on prefixes."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toys
from communities import small_study
from tampering import made_elsewhere, rewrite

from mpbf_abm import Policy
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.provenance import environment
from mpbf_abm.studies.definition import Arm, Engine, Outcome, StudyDefinition
from mpbf_abm.studies.driver import Shard, Silent, answered, check_shard, precision, run_study
from mpbf_abm.studies.jobs import pack
from mpbf_abm.studies.results import Results
from mpbf_abm.studies.store import Store, StoreError
from mpbf_abm.studies.upkeep import merge_stores, replay_run


def toy(**fields: Any) -> StudyDefinition:
    given: dict[str, Any] = {
        "name": "toy",
        "model": toys.logged,
        "parameters": {"x": {"low": 0.0, "high": 1.0}},
        "policies": [Arm(label="other", parameters={"z": 1.0})],
        "design": {"kind": "lhs", "n": 8},
        "replicates": {"n": 5},
        "series": {"of": ("a", "b"), "every": 4},
        "ticks": 20,
        "outcomes": {"y": Outcome(better="more", primary=True, smallest=0.5)},
    }
    return StudyDefinition(**(given | fields))


def whole(out: Path, study: StudyDefinition) -> tuple[str, list[Any]]:
    """Hash of the results, and every outcome."""
    with Results.open(out, study) as results:
        assert (results.status == 1).all()
        return results.hash, results.outcomes.to_numpy().tolist()


def made(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RUN_LOG", str(tmp_path / "log"))
    return tmp_path / "log"


class Looker(Silent):
    """Looks into the store whenever it is told of finished runs."""

    def __init__(self, out: Path) -> None:
        self.out, self.told, self.looks = out, 0, 0

    def advance(self, *, done: int, failed: int, known: int) -> None:
        self.told += done + failed + known
        self.looks += 1
        with Store.open(self.out / "study.sqlite") as store:
            assert sum(store.counts().values()) >= self.told


class Reader(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def test_stores_of_different_machines_are_joined_and_it_is_said(tmp_path: Path) -> None:
    for name in ("a", "b"):
        run_study(toy(replicates={"n": 2}), tmp_path / name, workers=1)
    made_elsewhere(tmp_path / "b" / "study.sqlite", host="another", machine="x86_64")
    reader = Reader()
    merge_stores(tmp_path / "a", [tmp_path / "b"], reader)
    assert reader.lines == []
    made_elsewhere(tmp_path / "b" / "study.sqlite", blas="openblas 0.3 Nehalem", cpu="SSE")
    merge_stores(tmp_path / "a", [tmp_path / "b"], reader)
    assert reader.lines == [
        "the runs were made on machines that differ in blas, cpu: the same run may have other bytes there"
    ]


def test_a_replay_says_where_a_run_was_made_that_has_other_bytes(tmp_path: Path) -> None:
    study = toy(replicates={"n": 2})
    run_study(study, tmp_path, workers=1)
    path = tmp_path / "study.sqlite"
    record = pack({"y": 1.0, "big": 0.0}, None)
    rewrite(path, "runs", "number = 1", outcomes=record.outcomes, hash=record.hash)
    made_elsewhere(path, blas="openblas 0.3 Nehalem", cpu="SSE", numpy="1.99")
    with Results.open(tmp_path, study) as results:
        words = {run.id: replay_run(results, run).words for run in results.store.runs("number <= 2")}
    here = environment()
    wrong = (
        f"DIFFERENT results (made with numpy 1.99, here {here['numpy']}; "
        f"blas openblas 0.3 Nehalem, here {here['blas']}; another kind of processor)"
    )
    assert sorted(words.values()) == [wrong, "equal"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_counts_as_finished_when_it_is_committed(tmp_path: Path, workers: int) -> None:
    looker = Looker(tmp_path)
    tally = run_study(toy(replicates={"n": 12}), tmp_path, workers=workers, progress=looker)
    assert looker.told == tally.made == 192
    assert looker.looks > 3


# --------------------------------------------------------------------------- engines


@pytest.mark.parametrize(
    "study", [pytest.param(toy(), id="toy"), pytest.param(small_study(), id="ecosystem", marks=pytest.mark.nightly)]
)
def test_serial_workers_dask_and_shards_in_any_order_give_the_same_bits(tmp_path: Path, study: StudyDefinition) -> None:
    ways: dict[str, dict[str, Any]] = {
        "serial": {"workers": 1},
        "two": {"workers": 2},
        "dask": {"workers": 2, "engine": Engine(kind="dask", options={"host": "127.0.0.1"})},
    }
    found = {}
    for name, how in ways.items():
        tally = run_study(study, tmp_path / name, **how)
        assert (tally.failed, tally.interrupted) == (0, False)
        found[name] = whole(tmp_path / name, study)
    order = list(range(1, 8))
    random.Random(3).shuffle(order)
    for i in order:
        run_study(study, tmp_path / "shards", workers=1, shard=Shard(i, 7))
    count = merge_stores(tmp_path / "shards", [])
    assert count == {"added": len(found["serial"][1]) // len(study.outcomes), "known": 0, "damaged": 0, "different": 0}
    found["shards"] = whole(tmp_path / "shards", study)
    assert all(f == found["serial"] for f in found.values())
    # A joined store is a store: nothing is left to do.
    assert run_study(study, tmp_path / "shards", workers=1).made == 0


def test_shards_share_the_runs_out_and_skip_what_is_merged(tmp_path: Path, log: Path) -> None:
    study = toy()
    for i in (1, 2, 3):
        run_study(study, tmp_path, workers=1, shard=Shard(i, 3))
    assert len(made(log)) == len(set(made(log))) == 80
    merge_stores(tmp_path, [])
    larger = toy(replicates={"n": 7})
    for i in (1, 2, 3):
        run_study(larger, tmp_path, workers=1, shard=Shard(i, 3))
    merge_stores(tmp_path, [])
    assert len(made(log)) == len(set(made(log))) == 112
    whole(tmp_path, larger)


def test_a_shard_runs_what_its_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_shard("3/7") == Shard(3, 7)
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "0")
    monkeypatch.setenv("JOB_COMPLETIONS", "4")
    assert check_shard("env") == Shard(1, 4)
    for name, value in (("ID", "12"), ("COUNT", "5"), ("MIN", "10")):
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", value)
    assert check_shard("env") == Shard(3, 5)


@pytest.mark.parametrize("text", ["0/3", "4/3", "x", "1/", "1/0", "-1/3", "1.5/3", "env"])
def test_shards_that_are_none_are_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigurationError, match="--shard"):
        check_shard(text)


# --------------------------------------------------------------------------- extending


def test_nothing_is_run_twice_when_a_study_grows(tmp_path: Path, log: Path) -> None:
    first = toy()
    assert run_study(first, tmp_path, workers=1).made == 80
    before, known = whole(tmp_path, first), 80
    for change, added in (
        ({"replicates": {"n": 8}}, 48),
        ({"design": {"kind": "lhs", "n": 16}}, 128),
        ({"policies": [*first.policies, Arm(label="third", parameters={"z": 2.0})]}, 128),
    ):
        grown = toy(
            **{"replicates": {"n": 8}} | ({"design": {"kind": "lhs", "n": 16}} if added == 128 else {}) | change
        )
        tally = run_study(grown, tmp_path, workers=1)
        assert (tally.made, tally.known) == (added, known)
        known += added
        assert len(made(log)) == len(set(made(log))) == known
    # The first study still stands in the same store.
    with Store.open(tmp_path / "study.sqlite") as store:
        assert Results(store, first).hash == before[0]


def test_a_renamed_arm_and_another_outcome_run_nothing(tmp_path: Path, log: Path) -> None:
    run_study(toy(), tmp_path, workers=1)
    study = small_study()
    run_study(study, tmp_path / "e", workers=1)
    renamed = small_study(
        policies=[Arm(label="floor", policies=study.policies[0].policies)],
        outcomes={"rmse": Outcome(), "wide": Outcome(of="families_d1", above=3.0)},
    )
    assert run_study(renamed, tmp_path / "e", workers=1).made == 0
    with Results.open(tmp_path / "e") as results:
        assert results.arm_names == ["baseline", "floor"]
        assert set(results.outcomes["outcome"]) == {"rmse", "wide"}
        assert np.isfinite(results.values("rmse")).all()
        assert set(results.values("wide").ravel()) <= {0.0, 1.0}
    assert len(made(log)) == 80


def test_runs_that_are_no_part_of_the_study_any_more_are_kept_and_counted(tmp_path: Path) -> None:
    run_study(toy(), tmp_path, workers=1)
    smaller = toy(policies=[])
    assert run_study(smaller, tmp_path, workers=1).made == 0
    with Results.open(tmp_path, smaller) as results:
        assert results.orphans == 40
        assert (results.status == 1).all()


# --------------------------------------------------------------------------- precision


def test_replicates_go_on_until_precise_whoever_runs_them(tmp_path: Path) -> None:
    study = toy(
        replicates={"least": 5, "most": 400, "look_ahead": 4},
        outcomes={"y": Outcome(better="more", primary=True, half_width=0.15)},
        policies=[],
        design={"kind": "single"},
        parameters={"x": 0.5},
    )
    one = run_study(study, tmp_path / "one", workers=1)
    two = run_study(study, tmp_path / "two", workers=2)
    assert one.precise
    assert 100 < one.replicates == two.replicates < 400
    assert whole(tmp_path / "one", study) == whole(tmp_path / "two", study)
    with Store.open(tmp_path / "one" / "study.sqlite") as store, Results.open(tmp_path / "one", study) as results:
        verdict = precision(results.plan, store)
        assert verdict.enough
        x = results.values("y")[0, 0]
        half = 1.96 * x.std(ddof=1) / np.sqrt(len(x))
        assert half < 0.15
    assert run_study(study, tmp_path / "one", workers=1).made == 0


def test_a_study_that_cannot_be_precise_says_so(tmp_path: Path) -> None:
    study = toy(
        replicates={"least": 5, "most": 12, "look_ahead": 4},
        outcomes={"y": Outcome(better="more", primary=True, half_width=1e-3)},
        policies=[],
        crn="all",
    )
    tally = run_study(study, tmp_path, workers=1)
    assert tally.precise is False
    assert tally.replicates == 12


def test_precision_is_judged_on_paired_differences(tmp_path: Path) -> None:
    # The arms share their draws, so that their difference is known at once.
    study = toy(
        replicates={"least": 5, "most": 200, "look_ahead": 4},
        outcomes={"y": Outcome(better="more", primary=True, half_width=1e-6)},
        crn="all",
    )
    assert run_study(study, tmp_path, workers=1).replicates == 9


def test_shards_of_an_adaptive_study_go_on_after_they_were_merged(tmp_path: Path) -> None:
    study = toy(
        replicates={"least": 5, "most": 60, "look_ahead": 4},
        outcomes={"y": Outcome(better="more", primary=True, half_width=0.12)},
        policies=[],
        design={"kind": "single"},
        parameters={"x": 0.5},
    )
    made_so_far = []
    for _ in range(3):
        for i in (1, 2):
            run_study(study, tmp_path, workers=1, shard=Shard(i, 2))
        merge_stores(tmp_path, [])
        with Store.open(tmp_path / "study.sqlite") as store:
            made_so_far.append(store.counts()["done"])
    assert made_so_far[0] == 9
    assert made_so_far[0] < made_so_far[1] < made_so_far[2]


# --------------------------------------------------------------------------- refusals


def test_a_study_at_fault_makes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        run_study(small_study(outcomes={"none": Outcome()}), tmp_path / "o")
    assert not (tmp_path / "o").exists()


def test_stores_of_different_studies_are_not_joined(tmp_path: Path) -> None:
    run_study(toy(), tmp_path / "a", workers=1)
    run_study(toy(name="another"), tmp_path / "b", workers=1)
    with pytest.raises(StoreError, match="holds the study 'another'"):
        merge_stores(tmp_path / "a", [tmp_path / "b"])
    with pytest.raises(ConfigurationError, match="holds no shards"):
        merge_stores(tmp_path / "a", [])
    with pytest.raises(ConfigurationError, match="no such store"):
        merge_stores(tmp_path / "a", [tmp_path / "none"])


def test_runs_with_other_results_are_told_when_stores_are_joined(tmp_path: Path) -> None:
    for name in ("a", "b"):
        run_study(toy(), tmp_path / name, workers=1)
    record = pack({"y": 1.0, "big": 0.0}, None)
    rewrite(tmp_path / "b" / "study.sqlite", "runs", "number <= 3", outcomes=record.outcomes, hash=record.hash)
    assert merge_stores(tmp_path / "a", [tmp_path / "b"]) == {"added": 0, "known": 77, "damaged": 0, "different": 3}


def test_a_policy_acts_in_a_study_as_it_does_alone(tmp_path: Path) -> None:
    study = small_study(
        policies=[Policy("exploration_floor", start=5, strength=1.0)],
        series={"of": ("families_d1",), "every": 1},
        ticks=12,
    )
    run_study(study, tmp_path, workers=1)
    with Results.open(tmp_path) as results:
        values = results.series_values("families_d1")
    assert np.array_equal(values[:, 0, :, :5], values[:, 1, :, :5], equal_nan=True)
    assert not np.array_equal(values[:, 0, :, 6:], values[:, 1, :, 6:], equal_nan=True)


def test_runs_that_are_no_part_of_a_changed_study_are_told(tmp_path: Path) -> None:
    class Heard(Silent):
        lines: list[str]

        def say(self, line: str) -> None:
            self.lines.append(line)

    heard = Heard()
    heard.lines = []
    for n in (4, 8, 6):
        run_study(toy(design={"kind": "lhs", "n": n}), tmp_path, workers=1, progress=heard)
    # Twice as many keep the first four; six begin with none of them.
    assert [line.split(" (")[0] for line in heard.lines] == ["80 stored runs are no part of the study as it is now"]


@pytest.mark.parametrize("workers", [1, 2])
def test_linear_algebra_of_any_model_has_one_thread(tmp_path: Path, workers: int) -> None:
    study = StudyDefinition(
        name="threads",
        model=toys.threads,
        replicates={"n": 2},
        outcomes={"threads": Outcome()},
        parameters={"x": {"values": [1.0]}},
        design={"kind": "grid"},
    )
    run_study(study, tmp_path, workers=workers)
    with Results.open(tmp_path, study) as results:
        assert results.outcomes["value"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(("replicates", "made"), [(1, 1), (2, 0)])
def test_ctrl_c_in_a_run_that_is_a_study_itself_ends_the_outer_one(tmp_path: Path, replicates: int, made: int) -> None:
    def interrupted(_: Any) -> dict[str, float]:
        os.kill(os.getpid(), signal.SIGINT)
        return {"y": 1.0}

    def asked(model: Any, n: int) -> StudyDefinition:
        parameters = {"x": {"values": [0.0]}}
        return StudyDefinition(
            name="asked",
            model=model,
            parameters=parameters,
            design={"kind": "grid"},
            outcomes={"y": Outcome()},
            replicates={"n": n},
        )

    def asking(_: Any) -> dict[str, float]:
        with answered(asked(interrupted, replicates), None, workers=1) as results:
            return {"y": float(len(results.outcomes))}

    before = signal.getsignal(signal.SIGINT)
    tally = run_study(asked(asking, 2), tmp_path, workers=1)
    assert (tally.made, tally.failed, tally.interrupted) == (made, 0, True)
    assert signal.getsignal(signal.SIGINT) is before
