"""The driver may be killed at any instant: nothing that was finished is lost, or made twice."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from driving import begin, make, seeds_done, tables

KILLS = [8, pytest.param(22, marks=pytest.mark.nightly)]
SIZE = {"scenarios": 25, "replicates": 40}
LONGEST = 2.2
"""Seconds before the latest kill."""
PAUSE = {"PAUSE": "0.06"}
"""A run's length while kills go on: the 2,000 runs of two workers take longer than all kills together."""


def finished_within(driver: subprocess.Popen[str], seconds: float) -> bool:
    """Whether a driver ended within some time."""
    try:
        driver.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


@pytest.mark.parametrize("wanted", KILLS)
def test_a_driver_killed_at_random_instants_loses_nothing_and_repeats_nothing(tmp_path: Path, wanted: int) -> None:
    rng = random.Random(20261125)
    out, kills, attempt = tmp_path / "killed", 0, 0
    done: set[str] = set()
    log = tmp_path / "log-0"
    while attempt < 200:
        log = tmp_path / f"log-{attempt}"
        attempt += 1
        # Instants from the very start to well into the runs.
        enough = kills >= wanted
        driver = begin(out, "logged", env={"RUN_LOG": str(log)} | ({} if enough else PAUSE), **SIZE)
        if finished_within(driver, 100 if enough else rng.uniform(0.05, LONGEST)):
            break
        children = psutil.Process(driver.pid).children(recursive=True)
        driver.kill()
        driver.wait()
        kills += 1
        psutil.wait_procs(children, timeout=10)
        assert not any(c.is_running() and c.status() != psutil.STATUS_ZOMBIE for c in children), (
            "a worker outlives its driver"
        )
        made = set(log.read_text().split("\n")[:-1]) if log.exists() else set()
        assert not made & done, "a run that was committed was made again"
        before, done = done, seeds_done(out)
        assert before <= done, "a committed run is gone"
    assert driver.returncode == 0
    assert kills >= wanted - 2, f"only {kills} kills before the study was finished"
    assert not set(log.read_text().split("\n")[:-1]) & done
    whole = tmp_path / "whole"
    make(whole, "logged", **SIZE)
    assert tables(out, tmp_path / "a", "logged", **SIZE) == tables(whole, tmp_path / "b", "logged", **SIZE)


def test_a_journal_that_a_killed_driver_left_is_rolled_back(tmp_path: Path) -> None:
    make(tmp_path, "outcome")
    code = (
        "import os, sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "db.execute('PRAGMA cache_size = 1'); db.execute('BEGIN IMMEDIATE')\n"
        "db.execute('UPDATE runs SET outcomes = zeroblob(20000)')\n"
        "os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path / "study.sqlite")], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "study.sqlite-journal").exists(), "the write was not cut off half-way"
    before = len(seeds_done(tmp_path))
    assert before == 200
    make(tmp_path, "outcome")


@pytest.mark.parametrize(("number", "times"), [(signal.SIGINT, 1), (signal.SIGINT, 2), (signal.SIGTERM, 1)])
def test_an_interrupted_driver_keeps_what_is_over_and_goes_on(
    tmp_path: Path, number: signal.Signals, times: int
) -> None:
    size = {"scenarios": 4, "replicates": 10}
    driver = begin(tmp_path, "logged", env={"PAUSE": "0.5"}, **size)
    deadline = time.monotonic() + 30
    while len(seeds_done(tmp_path)) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    begun = time.monotonic()
    for _ in range(times):
        os.kill(driver.pid, number)
        time.sleep(0.05)
    driver.wait(20)
    assert driver.returncode == 130
    assert time.monotonic() - begun < 5
    stopped = seeds_done(tmp_path)
    assert 2 <= len(stopped) < 80
    again = make(tmp_path, "logged", **size)
    assert (again.made, again.known) == (80 - len(stopped), len(stopped))


def test_a_store_that_is_read_while_it_is_written_delays_nobody_for_good(tmp_path: Path) -> None:
    driver = begin(tmp_path, "logged", env={"PAUSE": "0.02"}, scenarios=5, replicates=20)
    looks = 0
    while driver.poll() is None:
        looks += bool(seeds_done(tmp_path))
        time.sleep(0.1)
    assert driver.returncode == 0
    assert looks > 3
    assert sqlite3.connect(tmp_path / "study.sqlite").execute("SELECT count(*) FROM runs").fetchone() == (200,)
