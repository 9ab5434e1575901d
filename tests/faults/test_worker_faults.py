"""A run that fails in any way costs itself and nothing else, is listed with its parameters, and can be replayed."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import toys
from driving import begin, drive_study, make, open_results, seeds_done, tables
from waiting import finished, wait_until

from mpbf_abm.studies.jobs import Failure
from mpbf_abm.studies.store import Store
from mpbf_abm.studies.upkeep import replay_run

# What each fault is called in the store: stage, type, and how often it is tried.
KINDS = {
    "raises": ("run", "ValueError", 1),
    "raises what cannot be sent": ("run", "Unpicklable", 1),
    "raises what has no words": ("run", "Unspeakable", 1),
    "interrupts itself": ("run", "KeyboardInterrupt", 1),
    "leaves": ("run", "SystemExit", 1),
    "ends its process": ("worker", "ProcessDied", 2),
    "kills its process": ("worker", "ProcessDied", 2),
    "segfaults": ("worker", "ProcessDied", 2),
    "hangs": ("worker", "TimeLimit", 2),
    "takes memory step by step": ("worker", "Memory", 2),
    "takes memory at once": ("worker", "Memory", 2),
}
LIMITS = {"seconds": 1.5, "memory": 500, "retries": 1}


# Each kind of failure once; further ways to the same one at night, or in the test of one worker and more.
LATER = ("ends its process", "segfaults", "raises what cannot be sent")
MEMORY = ("takes memory step by step", "takes memory at once")
NOW = tuple(fault for fault in KINDS if fault not in LATER + MEMORY)


@pytest.mark.parametrize(
    ("faults", "seconds"), [(NOW, 1.5), (MEMORY, 20), pytest.param(LATER, 1.5, marks=pytest.mark.nightly)]
)
def test_a_fault_costs_exactly_its_own_run(tmp_path: Path, faults: tuple[str, ...], seconds: float) -> None:
    # Memory is to run out before time does, however busy the machine.
    options = LIMITS | {"replicates": 6, "seconds": seconds}
    begun = time.monotonic()
    done = drive_study(tmp_path, "faulty", timeout=90, env={"FAULT": ",".join(faults)}, **options)
    assert done.returncode == 3, done.stderr
    assert time.monotonic() - begun < 60
    with open_results(tmp_path, "faulty", **options) as results:
        # Each fault is in one replicate of one scenario, in both arms.
        assert (results.status == 1).sum() == 60 - 2 * len(faults)
        assert (results.status == 2).sum() == 2 * len(faults)
        failures = results.failures.set_index(["x", "replicate", "arm"])
        for place, fault in enumerate(faults):
            stage, kind, attempts = KINDS[fault]
            for arm in ("baseline", "other"):
                row = failures.loc[((2.0 + place) % 5, 3 + place // 5, arm)]
                assert row["type"].startswith(kind)
                assert (row["stage"], row["attempts"]) == (stage, attempts)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> list[list[object]]:
    """Outcomes of runs that do not fork."""
    folder = tmp_path_factory.mktemp("plain")
    make(folder, "outcome", replicates=6)
    return outcomes_of(folder, "outcome", replicates=6)


def outcomes_of(folder: Path, model: str, **options: object) -> list[list[object]]:
    with open_results(folder, model, **options) as results:
        return results.outcomes[["scenario", "arm", "replicate", "value"]].to_numpy().tolist()


@pytest.mark.parametrize("workers", [2, *(pytest.param(n, marks=pytest.mark.nightly) for n in (1, 3))])
@pytest.mark.parametrize(
    "fork",
    [
        "comes back at once",
        "is interrupted",
        "tells",
        *(pytest.param(fork, marks=pytest.mark.nightly) for fork in ("comes back late", "leaves", "raises")),
    ],
)
def test_a_model_that_forks_costs_nothing_and_no_outcome_lands_under_another_run(
    tmp_path: Path, plain: list[list[object]], fork: str, workers: int
) -> None:
    options = {"replicates": 6, "workers": workers}
    done = drive_study(tmp_path, "forking", timeout=60, env={"FORK": fork}, **options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Tally(made=60, failed=0, known=0,")
    assert outcomes_of(tmp_path, "forking", **options) == plain
    with Store.open(tmp_path / "study.sqlite") as store:
        assert sum(run.attempts for run in store.runs("status = 'done'")) == 60


@pytest.mark.parametrize(
    "words",
    [
        pytest.param("garbage that is long enough", marks=pytest.mark.nightly),
        pytest.param("x", marks=pytest.mark.nightly),
        pytest.param("mpbf-worker:" + "z" * 20, marks=pytest.mark.nightly),
        "mpbf-worker:\1\1\1\1\1\1\1\1cos",
    ],
)
def test_a_model_that_writes_to_its_driver_costs_itself(tmp_path: Path, words: str) -> None:
    options = {"replicates": 6, "retries": 1, "seconds": 3}
    done = drive_study(tmp_path, "babbling", timeout=60, env={"BABBLE": words}, **options)
    assert done.returncode == 3, done.stderr
    with open_results(tmp_path, "babbling", **options) as results:
        assert (results.status == 1).sum() == 58
        assert set(results.failures["type"]) <= {"StrayMessage", "TimeLimit"}
        assert set(results.failures["attempts"]) == {2}


def test_a_worker_that_dies_is_missed_although_a_copy_of_it_lives(tmp_path: Path) -> None:
    options = {"replicates": 6, "retries": 0, "seconds": 0}
    # The copy lives for 20 seconds.
    assert begin(tmp_path, "orphaning", **options).wait(timeout=15) == 3
    with open_results(tmp_path, "orphaning", **options) as results:
        assert (results.status == 1).sum() == 58
        assert set(results.failures["type"]) == {"ProcessDied"}


@pytest.mark.parametrize(
    "fault",
    [
        "raises what cannot be sent",
        *(
            pytest.param(f, marks=pytest.mark.nightly)
            for f in ("raises", "raises what has no words", "interrupts itself", "leaves")
        ),
    ],
)
def test_one_worker_and_more_behave_alike(tmp_path: Path, fault: str) -> None:
    tables = []
    for workers in (1, 2):
        options = {"replicates": 5, "workers": workers}
        done = drive_study(tmp_path / str(workers), "faulty", timeout=60, env={"FAULT": fault}, **options)
        assert done.returncode == 3, done.stderr
        assert "made=48, failed=2, known=0, failed_before=0, replicates=5, interrupted=False" in done.stdout
        with open_results(tmp_path / str(workers), "faulty", **options) as results:
            tables.append((results.outcomes.to_csv(), results.failures.to_csv()))
    assert tables[0] == tables[1]


def started(mark: Path) -> list[psutil.Process]:
    """Programs that a model has started and that still run."""
    return [
        p
        for p in psutil.process_iter(["cmdline"])
        if any(part.startswith(str(mark)) for part in p.info["cmdline"] or [])
    ]


@pytest.mark.parametrize(
    "fault",
    [
        "hangs",
        "kills its process",
        pytest.param("ends its process", marks=pytest.mark.nightly),
        pytest.param("raises", marks=pytest.mark.nightly),
        "nothing",
    ],
)
def test_programs_that_a_model_starts_end_with_the_study_at_the_latest(tmp_path: Path, fault: str) -> None:
    mark = tmp_path / "mark"
    options = {"replicates": 6, "seconds": 4, "retries": 1}
    driver = begin(tmp_path, "starting", env={"FAULT": fault, "PROGRAM": str(mark)}, **options)
    assert driver.wait(timeout=90) == (0 if fault == "nothing" else 3)
    assert list(tmp_path.glob("mark-*"))
    assert not started(mark)


def test_programs_that_a_model_starts_end_with_a_driver_that_is_killed(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    driver = begin(tmp_path, "starting", env={"FAULT": "hangs", "PROGRAM": str(mark)}, replicates=6, seconds=100)
    wait_until(lambda: bool(list(tmp_path.glob("mark-*"))))
    driver.kill()
    driver.wait()
    wait_until(lambda: not started(mark), 15)


def test_the_memory_of_programs_counts_towards_that_of_their_run(tmp_path: Path) -> None:
    options = {"replicates": 6, "seconds": 60, "retries": 0, "memory": 500}
    env = {"FAULT": "hangs", "PROGRAM": str(tmp_path / "mark"), "PROGRAM_MB": "200", "PROGRAMS": "3"}
    assert drive_study(tmp_path, "starting", timeout=80, env=env, **options).returncode == 3
    with open_results(tmp_path, "starting", **options) as results:
        assert set(results.failures["type"]) == {"MemoryLimit"}
        assert (results.status == 1).sum() == 58


@pytest.mark.nightly
def test_other_runs_are_the_same_beside_every_fault(tmp_path: Path) -> None:
    size = LIMITS | {"replicates": 5, "retries": 0}
    kept = {}
    for fault in ("raises", "kills its process", "hangs"):
        assert drive_study(tmp_path / fault, "faulty", env={"FAULT": fault}, **size).returncode == 3
        with open_results(tmp_path / fault, "faulty", **size) as results:
            outcomes = results.outcomes
            kept[fault] = outcomes[["scenario", "arm", "replicate", "value"]].to_numpy().tolist()
    assert kept["raises"] == kept["kills its process"] == kept["hangs"]
    assert len(kept["raises"]) == 48


def test_a_failed_run_is_replayed_and_raises_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAULT", "raises")
    assert drive_study(tmp_path, "faulty", replicates=5).returncode == 3
    with open_results(tmp_path, "faulty", replicates=5) as results:
        (run, *_) = results.store.failures()
        again = replay_run(results, run)
        assert again.words == "equal: raised ValueError: this run cannot be"
        assert isinstance(again.result, Failure)
        assert "raise_error" in again.result.traceback
        assert run.failure is not None
        assert "raise_error" in run.failure.traceback


def test_failed_runs_are_not_made_again_unless_asked(tmp_path: Path) -> None:
    (tmp_path / "marks").mkdir()
    env = {"FLAKY": str(tmp_path / "marks")}
    size = {"scenarios": 2, "replicates": 5, "retries": 0}
    first = drive_study(tmp_path / "o", "flaky", env=env, **size)
    assert first.returncode == 3
    failed = int(first.stdout.split("failed=")[1].split(",")[0])
    again = drive_study(tmp_path / "o", "flaky", env=env, **size)
    assert again.returncode == 3
    assert f"made=0, failed=0, known=20, failed_before={failed}" in again.stdout
    retried = drive_study(tmp_path / "o", "flaky", env=env, retry="yes", **size)
    assert retried.returncode == 0
    assert f"made={failed}, failed=0, known={20 - failed}, failed_before=0" in retried.stdout


def test_a_run_that_kills_its_process_once_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "marks").mkdir()
    env = {"FLAKY": str(tmp_path / "marks")}
    size = {"scenarios": 2, "replicates": 5}
    assert drive_study(tmp_path / "o", "flaky", env=env, retries=1, **size).returncode == 0
    make(tmp_path / "w", "outcome", **size)
    with (
        open_results(tmp_path / "o", "flaky", retries=1, **size) as a,
        open_results(tmp_path / "w", "outcome", **size) as b,
    ):
        assert a.outcomes["value"].tolist() == b.outcomes["value"].tolist()


def test_workers_that_are_killed_from_outside_cost_no_run(tmp_path: Path) -> None:
    rng = random.Random(5)
    size = {"scenarios": 10, "replicates": 20, "retries": 20}
    driver = begin(tmp_path / "o", "logged", env={"PAUSE": "0.03"}, **size)
    kills = 0

    def at_work() -> list[psutil.Process]:
        return [c for c in psutil.Process(driver.pid).children() if "spawn_main" in " ".join(c.cmdline())]

    for _ in range(6):
        before = finished(tmp_path / "o")
        wait_until(lambda before=before: driver.poll() is not None or finished(tmp_path / "o") > before)
        time.sleep(rng.uniform(0.0, 0.3))
        if driver.poll() is None and (workers := at_work()):
            os.kill(rng.choice(workers).pid, signal.SIGKILL)
            kills += 1
    assert driver.wait(timeout=120) == 0
    assert kills >= 3
    assert len(seeds_done(tmp_path / "o")) == 400
    make(tmp_path / "w", "logged", **size)
    assert tables(tmp_path / "o", tmp_path / "a", "logged", **size) == tables(
        tmp_path / "w", tmp_path / "b", "logged", **size
    )


def test_a_script_without_a_guard_is_told_what_it_lacks(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nsys.path.insert(0, sys.argv[1])\nimport toys\n"
        "from mpbf_abm.studies.definition import StudyDefinition as Study\n"
        "from mpbf_abm.studies.driver import run_study\n"
        "run_study(Study(name='t', model=toys.outcome, replicates={'n': 3}), sys.argv[2], workers=2)\n"
    )
    arguments = [sys.executable, str(script), str(Path(toys.__file__).parent), str(tmp_path / "o")]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "if __name__ == '__main__'" in done.stderr.splitlines()[-1]


def test_a_script_that_forks_where_it_is_imported_costs_nothing(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys\nsys.path.insert(0, sys.argv[1])\nimport toys\n"
        "if __name__ != '__main__':\n    os.fork()\n"
        "from mpbf_abm.studies.definition import StudyDefinition as Study\n"
        "from mpbf_abm.studies.driver import run_study\n"
        "if __name__ == '__main__':\n"
        "    print(run_study(Study(name='t', model=toys.outcome, replicates={'n': 40}), sys.argv[2], workers=2))\n"
    )
    arguments = [sys.executable, str(script), str(Path(toys.__file__).parent), str(tmp_path / "o")]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.startswith("Tally(made=40, failed=0,"), done.stderr


def test_no_process_is_left_when_a_study_is_over(tmp_path: Path) -> None:
    before = {c.pid for c in psutil.Process().children(recursive=True)}
    assert drive_study(tmp_path, "outcome").returncode == 0
    left = [c for c in psutil.Process().children(recursive=True) if c.pid not in before]
    assert not left
    assert not multiprocessing.active_children()
