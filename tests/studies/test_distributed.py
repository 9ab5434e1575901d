"""The dask engine on real clusters: an address, a queueing system, workers that are killed."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from communities import small_study
from waiting import finished, wait_until

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.processes import WorkerError
from mpbf_abm.studies.files import write_study

pytest.importorskip("distributed")

SMALL = write_study(
    small_study(
        name="spread", parameters={"planners.exploration": {"low": 0.0, "high": 0.9}}, design={"kind": "lhs", "n": 6}
    )
)

# What a queueing system does, on this machine: `sbatch` runs the script and says its number.
SBATCH = """#!/bin/sh
for script in "$@"; do :; done
here="$(dirname "$0")"
cp "$script" "$here/job-$$.sh"
cp "$script" "$here/job.sh"
setsid sh "$here/job-$$.sh" > "$here/job.log" 2>&1 &
echo $! >> "$here/pids"
echo "Submitted batch job $!"
"""
SCANCEL = """#!/bin/sh
for job in "$@"; do kill -- "-$job" 2> /dev/null; done
exit 0
"""


def study_run(path: Path, out: Path, *more: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-m", "mpbf_abm", "study", "run", str(path), "--out", str(out), *more]
    return subprocess.run(
        arguments, capture_output=True, text=True, timeout=150, check=False, env=os.environ | (env or {})
    )


def results(out: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "mpbf_abm", "study", "status", str(out)], capture_output=True, text=True, check=True
    )
    return next(line.split()[-1] for line in done.stdout.splitlines() if line.startswith("results"))


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("spread")
    (folder / "s.toml").write_text(SMALL)
    assert study_run(folder / "s.toml", folder / "o", "-j", "1").returncode == 0
    return results(folder / "o")


@pytest.mark.nightly
def test_jobs_of_a_queueing_system_give_the_same_bits(tmp_path: Path, reference: str) -> None:
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod((tmp_path / name).stat().st_mode | stat.S_IXUSR)
    engine = (
        '\n[engine]\nkind = "dask"\ncluster = "slurm"\nworkers = 2\n'
        'options = { queue = "short", walltime = "00:10:00", memory = "1GB", interface = "lo" }\n'
    )
    (tmp_path / "s.toml").write_text(SMALL + engine)
    done = study_run(tmp_path / "s.toml", tmp_path / "o", env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert done.returncode == 0, done.stderr + (tmp_path / "job.log").read_text()
    assert results(tmp_path / "o") == reference
    script = (tmp_path / "job.sh").read_text()
    assert "#SBATCH -p short" in script
    assert "#SBATCH -t 00:10:00" in script
    assert "export DASK_DISTRIBUTED__WORKER__DAEMON=False" in script
    time.sleep(1)
    left = [
        int(pid)
        for pid in (tmp_path / "pids").read_text().split()
        if psutil.pid_exists(int(pid)) and psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE
    ]
    assert not left


@pytest.mark.nightly
def test_a_running_cluster_is_used_by_its_address_and_may_lose_workers(tmp_path: Path, reference: str) -> None:
    place = tmp_path / "scheduler.json"
    quiet: dict[str, Any] = {
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
        "env": os.environ | {"DASK_DISTRIBUTED__WORKER__DAEMON": "False"},
    }

    def start(module: str, *options: str) -> subprocess.Popen[bytes]:
        common = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(place)]
        return subprocess.Popen([sys.executable, "-m", f"distributed.cli.{module}", *common, *options], **quiet)

    scheduler = start("dask_scheduler", "--port", "0")
    workers = [start("dask_worker", "--nthreads", "1") for _ in range(2)]
    try:
        wait_until(lambda: place.exists() and place.stat().st_size > 0)
        address = json.loads(place.read_text())["address"]
        (tmp_path / "s.toml").write_text(SMALL)
        command = ["study", "run", str(tmp_path / "s.toml"), "--out", str(tmp_path / "o"), "--address", address]
        driver = subprocess.Popen(
            [sys.executable, "-m", "mpbf_abm", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        wait_until(lambda: finished(tmp_path / "o") > 0)
        # The nanny of one worker goes, with all beneath it.
        for child in psutil.Process(workers[0].pid).children(recursive=True):
            child.kill()
        os.kill(workers[0].pid, signal.SIGKILL)
        out, err = driver.communicate(timeout=120)
        assert driver.returncode == 0, err
        assert "36 runs made, 0 failed" in out
        assert results(tmp_path / "o") == reference
    finally:
        for process in [*workers, scheduler]:
            process.terminate()
        for process in [*workers, scheduler]:
            process.wait(20)


def test_a_cluster_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(SMALL)
    done = study_run(
        tmp_path / "s.toml",
        tmp_path / "o",
        "--address",
        "tcp://127.0.0.1:1",
        env={"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "1s"},
    )
    assert done.returncode == 2
    assert "[engine]: address = 'tcp://127.0.0.1:1': no scheduler answers" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("address", ["foo", "http://x:1", ""])
def test_what_is_no_address_is_refused_at_once(address: str) -> None:
    from mpbf_abm.studies.distributed import _check_address

    with pytest.raises(ConfigurationError, match="is no HOST:PORT"):
        _check_address(address)


@pytest.mark.parametrize(
    ("cluster", "options", "told"), [("slurm", "walltim = 3", "walltim"), ("local", "n_threads = 3", "n_threads")]
)
def test_options_that_a_cluster_does_not_take_are_one_line(
    tmp_path: Path, cluster: str, options: str, told: str
) -> None:
    (tmp_path / "s.toml").write_text(
        SMALL + f'\n[engine]\nkind = "dask"\ncluster = "{cluster}"\noptions = {{ {options} }}\n'
    )
    done = study_run(tmp_path / "s.toml", tmp_path / "o")
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert told in done.stderr


def test_workers_of_another_version_are_refused() -> None:
    from mpbf_abm.studies.distributed import StudyPlugin

    plugin = StudyPlugin(b"", {})
    plugin.setup(None)
    plugin.fingerprint = "of another version"
    with pytest.raises(WorkerError, match="another version"):
        plugin.pool()


def test_chunks_grow_with_the_workers_that_one_scheduler_has_to_serve() -> None:
    from mpbf_abm.studies.distributed import chunk_seconds

    assert [chunk_seconds(None, slots) for slots in (1, 50, 1_000)] == [1.0, 1.0, 20.0]
    assert chunk_seconds(0.3, 1_000) == 0.3


def test_an_engine_is_found_by_its_entry_point_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from mpbf_abm.studies import distributed, driver

    assert driver.installed("dask") is distributed.DaskEngine
    monkeypatch.setattr(driver, "entry_points", lambda **_: ())
    with pytest.raises(ConfigurationError, match="kind = 'dask': the installed mpbf_abm has no such engine"):
        driver.installed("dask")
