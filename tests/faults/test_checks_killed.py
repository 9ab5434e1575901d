"""Commands of much work may be killed or interrupted at any instant: what is over is neither lost nor done twice."""

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
from checks import HERE, TOYS
from waiting import wait_until

KILLS = [pytest.param(22, marks=pytest.mark.nightly)]
"""What any loop over many runs survives is tested at more instants in ``test_driver_killed.py``."""
PAUSE = {"PAUSE": "1.0"}
"""Length of a piece of work while kills go on: all of them take longer than all kills together."""
COMMANDS = {
    "validate": (
        "validate",
        "--only=1",
        "--least=0",
        "--replicates=80",
        "--set=space.materials=300",
        "--set=space.families=4",
        "--set=founding.records=100",
    ),
    "verify": ("verify", "--fast", f"--only={','.join(TOYS)}"),
    "run": (
        "run",
        "--preset=single-quick",
        "--set=space.materials=300",
        "--set=space.families=4",
        "--set=founding.records=100",
        "--ticks=4",
        "--policy=audits:start=1",
    ),
}
Kept = dict[str, tuple[object, ...]]


def begin(
    out: Path, name: str, jobs: int, env: dict[str, str] | None = None, *more: str, pieces: int = len(TOYS)
) -> subprocess.Popen[str]:
    """Start a command; runs come in pairs."""
    more = (*more, f"--replicates={pieces // 2}") if name == "run" else more
    script = str(Path(__file__).with_name("checks.py"))
    return subprocess.Popen(
        [sys.executable, script, *COMMANDS[name], f"--jobs={jobs}", f"--out={out}", *more],
        env=os.environ | (env or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kept(out: Path, status: str = "done") -> Kept:
    """What is committed of each piece of work, with the time it was made in."""
    path = out / "runs" / "study.sqlite"
    if not path.exists():
        return {}
    db = sqlite3.connect(path, timeout=30)
    try:
        rows = db.execute("SELECT id, hash, tables, seconds, attempts FROM runs WHERE status = ?", (status,)).fetchall()
    finally:
        db.close()
    return {id: rest for id, *rest in rows}


def files(out: Path) -> dict[str, bytes]:
    """Bytes of all files of a result."""
    found = {p.relative_to(out).as_posix(): p for p in out.rglob("*") if p.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith("runs/")}


@pytest.mark.parametrize("kills", KILLS)
@pytest.mark.parametrize(
    "name", ["run", *(pytest.param(name, marks=pytest.mark.nightly) for name in ("verify", "validate"))]
)
def test_what_is_over_outlives_a_command_that_is_killed_at_random_instants(
    name: str, kills: int, tmp_path: Path
) -> None:
    rng = random.Random(f"{name} 20261130")
    out, before = tmp_path / "killed", {}
    grown, pieces = 0, len(TOYS) if kills > 6 or name != "run" else 40
    for kill in range(kills):
        command = begin(out, name, rng.choice((1, 2)), PAUSE, pieces=pieces)
        if kill % 2:
            wait_until(lambda: len(kept(out)) > len(before))  # noqa: B023
            time.sleep(rng.uniform(0, 0.6))
        else:
            time.sleep(rng.uniform(0.05, 2.5))
        assert command.poll() is None, command.communicate()[1]
        children = psutil.Process(command.pid).children(recursive=True)
        command.kill()
        command.communicate()
        psutil.wait_procs(children, timeout=10)
        after = kept(out)
        assert {id: after.get(id) for id in before} == before, "what was over is gone, or was done again"
        grown += len(after) > len(before)
        before = after
    assert grown >= kills // 2
    assert kills // 2 <= len(before) < pieces
    last, whole = begin(out, name, 2, pieces=pieces), begin(tmp_path / "whole", name, 1, pieces=pieces)
    told, complaints = last.communicate(timeout=120)
    assert last.returncode == 0, complaints
    assert whole.communicate(timeout=120)[0].replace("/whole", "/killed") == told
    assert files(out) == files(tmp_path / "whole")
    after = kept(out)
    assert {id: after[id] for id in before} == before
    assert len(after) == pieces


@pytest.mark.parametrize(("name", "jobs"), [pytest.param("validate", 1, marks=pytest.mark.nightly), ("verify", 2)])
def test_an_interrupted_command_says_what_is_kept_and_goes_on(name: str, jobs: int, tmp_path: Path) -> None:
    command = begin(tmp_path / "o", name, jobs, PAUSE, "--json")
    wait_until(lambda: len(kept(tmp_path / "o")) >= 2)
    begun = time.monotonic()
    command.send_signal(signal.SIGINT)
    told, complaints = command.communicate(timeout=20)
    assert time.monotonic() - begun < 10
    assert (command.returncode, told) == (130, "")
    runs = tmp_path / "o" / "runs"
    assert complaints == f"mpbf: interrupted; finished runs are kept in {runs}, and the same command resumes\n"
    assert [p.name for p in tmp_path.iterdir()] == ["o"]
    before = kept(tmp_path / "o")
    assert 2 <= len(before) < len(TOYS)
    again = begin(tmp_path / "o", name, jobs)
    assert "written to" in again.communicate(timeout=60)[1]
    assert again.returncode == 0
    after = kept(tmp_path / "o")
    assert {id: after[id] for id in before} == before


@pytest.mark.nightly
@pytest.mark.parametrize("broken", [sorted(HERE)[1], TOYS[1]])
def test_a_row_that_raises_costs_no_other_one(broken: str, tmp_path: Path) -> None:
    command = begin(tmp_path / "o", "verify", 2, {"BROKEN": broken})
    told, complaints = command.communicate(timeout=60)
    assert (command.returncode, told) == (1, "")
    assert len(complaints.splitlines()) == 1
    assert "1 of " in complaints
    assert "ValueError: this one cannot be" in complaints
    before = kept(tmp_path / "o")
    assert len(kept(tmp_path / "o", "failed")) == 1
    again = begin(tmp_path / "o", "verify", 2)
    assert "80 of 80 rows pass" in again.communicate(timeout=60)[0]
    after = kept(tmp_path / "o")
    assert {id: after[id] for id in before} == before
    assert len(after) == len(TOYS)
