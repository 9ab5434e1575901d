"""Commands of the laboratory may be killed at any instant: the same command goes on.

Nothing that was finished is done twice.

Nightly: ``test_checks_killed.py`` and ``test_driver_killed.py`` show the same of the one driver beneath.
"""

from __future__ import annotations

import contextlib
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from waiting import wait_until

from mpbf_abm.cli import main
from mpbf_abm.cli.console import Bar

TINY = [
    "space.families=8",
    "space.materials=300",
    "founding.records=60",
    "trainers.records=40",
    "trainers.features=16",
    "planners.count=4",
    "curators.count=3",
]
COMMUNITY = ["--preset=single-quick", *(f"--set={pair}" for pair in TINY)]
ATLAS = ["atlas", "--row=DAL", "--row=premature convergence", *COMMUNITY, "--replicates=3", "--ticks=6"]
PATH = ["lab", "path", *COMMUNITY, "--replicates=3", "--ticks=10"]
KILLS = 22
LATE = 4
"""Of them when all tasks are over, while the report is made and written."""
EARLIEST, LATEST = 0.05, 2.0
"""Seconds, for kills that may come before anything is there."""

Row = tuple[object, ...]


def begin(arguments: list[str], out: Path, jobs: int = 1) -> subprocess.Popen[str]:
    """Start a command."""
    command = [sys.executable, "-m", "mpbf_abm", *arguments, f"--jobs={jobs}", f"--out={out}"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finish(arguments: list[str], out: Path, jobs: int = 1) -> tuple[int, int]:
    """Run a command to its end, in this process: tasks that were done, and that were there already."""
    watch = Bar(quiet=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mpbf_abm.cli.lab_commands.Bar", lambda *_: watch)
        with pytest.raises(SystemExit) as end:
            main([*arguments, f"--jobs={jobs}", f"--out={out}"])
    assert not end.value.code
    return watch.done, watch.known


def rows(out: Path) -> dict[str, Row]:
    """What the store says of each run that is over: its place, what came of it, how long it took."""
    place = out / "runs" / "study.sqlite"
    if not place.exists():
        return {}
    with contextlib.closing(sqlite3.connect(place, timeout=30)) as db:
        return {row[0]: row for row in db.execute("SELECT id, number, status, seconds, seal FROM runs")}


def kill(process: subprocess.Popen[str]) -> bool:
    """Kill a command; whether it was still there."""
    with contextlib.suppress(psutil.NoSuchProcess):
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        psutil.wait_procs(children, timeout=10)
        assert not any(c.is_running() and c.status() != psutil.STATUS_ZOMBIE for c in children)
    _, told = process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), told
    return process.returncode != 0


def files(out: Path) -> dict[str, bytes]:
    """Report and tables."""
    return {p.name: p.read_bytes() for p in out.iterdir() if p.suffix in (".csv", ".md")}


@pytest.mark.nightly
@pytest.mark.parametrize("arguments", [ATLAS, PATH], ids=["atlas", "path"])
def test_a_command_killed_at_random_instants_loses_nothing_and_repeats_nothing(
    tmp_path: Path, arguments: list[str]
) -> None:
    rng = random.Random(20261126)
    out, whole, kills, lives = tmp_path / "killed", tmp_path / "whole", 0, 0
    (total, _), known = finish(arguments, whole, 2), {}
    while kills < KILLS and lives < 100:
        process = begin(arguments, out, 2 if lives % 7 == 6 else 1)
        if kills < KILLS - LATE and lives % 2:
            time.sleep(rng.uniform(EARLIEST, LATEST))
        else:
            wanted = min(total, len(known) + rng.randint(1, 3)) if kills < KILLS - LATE else total
            wait_until(lambda process=process, wanted=wanted: process.poll() is not None or len(rows(out)) >= wanted)
            time.sleep(rng.uniform(0.0, 0.2) if wanted < total else rng.uniform(0.0, LATEST))
        kills += kill(process)
        lives += 1
        before, known = known, rows(out)
        assert known.items() >= before.items(), "a run that was over is gone, or was made again"
    assert kills >= 20
    assert finish(arguments, out) == (total - len(known), len(known))
    assert rows(out).items() >= known.items()
    assert len(rows(out)) == total
    assert files(out) == files(whole)
    assert {p.name for p in out.iterdir()} == {p.name for p in whole.iterdir()}


@pytest.mark.nightly
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_command_that_is_interrupted_says_what_is_kept_and_goes_on(tmp_path: Path, jobs: int) -> None:
    process = begin(PATH, tmp_path / "out", jobs)
    wait_until(lambda: process.poll() is not None or len(rows(tmp_path / "out")) >= 2)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert [line for line in told.splitlines() if " tasks, " not in line] == [
        f"mpbf: interrupted; finished runs are kept in {tmp_path / 'out' / 'runs'}, and the same command resumes"
    ]
    known = rows(tmp_path / "out")
    assert 2 <= len(known) < 27
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"runs"}
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert finish(PATH, tmp_path / "out", 3 - jobs) == (27 - len(known), len(known))
    assert rows(tmp_path / "out").items() >= known.items()
    assert len(rows(tmp_path / "out")) == 27
