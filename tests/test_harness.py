"""The tests' own conditions: signals arrive, a failed test leaves no process, nightly tests wait for the night."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import psutil
import pytest
import tiers

HERE = Path(__file__).parent
pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and shells of POSIX")
MARKED = "-o markers='nightly: at night'"

CASE = """
import os
import pathlib
import signal
import subprocess
import sys
import time

SLEEP = [sys.executable, "-c", "import time; time.sleep(300)"]
PARENT = [sys.executable, "-c", f"import subprocess, time; subprocess.Popen({SLEEP!r}); time.sleep(300)"]


def test_that_fails():
    one = subprocess.Popen(PARENT)
    time.sleep(1.0)
    pathlib.Path("begun").touch()
    assert one.poll() is not None


def test_that_interrupts():
    process = subprocess.Popen(SLEEP)
    time.sleep(0.5)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(20) != 0
"""


BUSY = """
import time


def test_that_is_busy():
    start = time.process_time()
    while time.process_time() < start + 1.0:
        pass
"""


def run(folder: Path, case: str, script: str = "", options: str = "") -> subprocess.CompletedProcess[str]:
    """Run a case with the tests' own settings, in a shell that does something first."""
    for name in ("conftest.py", "cpu.py", "described.py", "once.py", "tiers.py"):
        shutil.copy(HERE / name, folder)
    (folder / "test_case.py").write_text(case)
    code = f"{script} exec {sys.executable} -m pytest -q -p no:cacheprovider -o addopts= -o testpaths= {options} ."
    return subprocess.run(["sh", "-c", code], cwd=folder, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("script", ["", "trap '' INT;"], ids=["plain", "SIGINT ignored"])
def test_an_interrupt_arrives_and_nothing_is_left(tmp_path: Path, script: str) -> None:
    done = run(tmp_path, CASE, script)
    assert "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert (tmp_path / "begun").exists()
    left = [p for p in psutil.process_iter(["cwd"]) if p.info["cwd"] == str(tmp_path)]
    assert not left


def test_this_process_minds_an_interrupt() -> None:
    assert signal.getsignal(signal.SIGINT) is not signal.SIG_IGN


class Item(NamedTuple):
    """A test, as far as its tier needs it."""

    nodeid: str
    nightly: bool

    def get_closest_marker(self, name: str) -> bool:
        return self.nightly and name == "nightly"


@pytest.mark.parametrize(
    ("asked", "marked", "expected"),
    [("none", "", set()), ("tenth", "", None), ("all", "", set(range(100))), ("none", "nightly", set(range(100)))],
)
def test_nightly_tests_wait_but_for_a_tenth_where_it_is_asked_for(
    asked: str, marked: str, expected: set[int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiers, "ROOT", HERE.root)  # no repository
    items, left = [Item(f"night {n}", True) for n in range(100)] + [Item("day", False)], []
    hook = SimpleNamespace(pytest_deselected=lambda items: left.extend(items))
    config = SimpleNamespace(getoption={"--nightly": asked, "markexpr": marked}.__getitem__, hook=hook)
    tiers.pytest_collection_modifyitems(config, items)
    kept = {item.nodeid for item in items}
    if expected is None:
        expected = {n for n in range(100) if tiers.drawn("", f"night {n}")}
        assert 2 <= len(expected) <= 20
    assert kept == {"day"} | {f"night {n}" for n in expected}
    assert len(left) == 101 - len(kept)


def test_each_commit_draws_a_tenth_of_its_own() -> None:
    tests = [f"test_{number}" for number in range(1_000)]
    one, two = ({t for t in tests if tiers.drawn(commit, t)} for commit in ("a", "b"))
    assert one != two
    assert 60 < len(one) < 140
    assert 60 < len(two) < 140


def test_a_session_says_what_it_took(tmp_path: Path) -> None:
    told = run(tmp_path, BUSY, "", "-n 1 --cpu 1").stdout
    (seconds,) = re.findall(r"^CPU seconds: (\d+)$", told, re.MULTILINE)
    (dearest,) = re.findall(r"^ +([\d.]+) test_case\.py::test_that_is_busy$", told, re.MULTILINE)
    assert 1.0 <= float(dearest) < int(seconds) + 0.5
