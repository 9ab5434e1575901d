"""The tests' own conditions: signals reach the processes that they start, and a failed test leaves none."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

HERE = Path(__file__).parent
pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and shells of POSIX")

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


def run(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run the case with the tests' own settings, in a shell that does something first."""
    for name in ("conftest.py", "once.py"):
        shutil.copy(HERE / name, folder)
    (folder / "test_case.py").write_text(CASE)
    code = f"{script} exec {sys.executable} -m pytest -q -p no:cacheprovider -o addopts= -o testpaths= ."
    return subprocess.run(["sh", "-c", code], cwd=folder, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("script", ["", "trap '' INT;"], ids=["plain", "SIGINT ignored"])
def test_an_interrupt_arrives_and_nothing_is_left(tmp_path: Path, script: str) -> None:
    done = run(tmp_path, script)
    assert "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert (tmp_path / "begun").exists()
    left = [p for p in psutil.process_iter(["cwd"]) if p.info["cwd"] == str(tmp_path)]
    assert not left


def test_this_process_minds_an_interrupt() -> None:
    assert signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
