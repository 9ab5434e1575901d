"""A driver in a process of its own, and what it leaves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import drive

from mpbf_abm.studies.driver import Tally, run_study
from mpbf_abm.studies.report import export
from mpbf_abm.studies.results import Results
from mpbf_abm.studies.store import Store

HERE = Path(__file__).parent


def command(out: Path, model: str, **options: Any) -> list[str]:
    """Command line of a driver."""
    return [sys.executable, str(HERE / "drive.py"), str(out), model, *(f"{k}={v}" for k, v in options.items())]


def drive_study(
    out: Path, model: str, *, env: dict[str, str] | None = None, timeout: float = 120, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a driver to its end."""
    return subprocess.run(
        command(out, model, **options),
        env=os.environ | (env or {}),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def make(out: Path, model: str, **options: Any) -> Tally:
    """Make what a driver's study lacks in this process, where no driver is what is tested."""
    tally = run_study(drive.study(model, drive.DEFAULTS | {k: str(v) for k, v in options.items()}), out, workers=1)
    assert (tally.failed, tally.interrupted) == (0, False)
    return tally


def begin(out: Path, model: str, *, env: dict[str, str] | None = None, **options: Any) -> subprocess.Popen[str]:
    """Start a driver."""
    quiet = subprocess.DEVNULL
    return subprocess.Popen(
        command(out, model, **options), env=os.environ | (env or {}), stdout=quiet, stderr=quiet, text=True
    )


def open_results(out: Path, model: str, **options: Any) -> Results:
    """Results of a driver's study."""
    return Results.open(out, drive.study(model, drive.DEFAULTS | {k: str(v) for k, v in options.items()}))


def tables(out: Path, folder: Path, model: str, **options: Any) -> dict[str, bytes]:
    """Bytes of every exported table that follows from the study alone."""
    folder.mkdir()
    with open_results(out, model, **options) as results:
        paths = export(results, folder, "csv")
        found = {"hash": results.hash.encode()}
    return found | {p.name: p.read_bytes() for p in paths if p.stem != "timings"}


def seeds_done(out: Path, file: str = "study.sqlite") -> set[str]:
    """Seed and arm of every run that is committed."""
    path = out / file
    if not path.exists():
        return set()
    with Store.open(path) as store:
        return {f"{run.seed} {run.arm}" for run in store.runs("status = 'done'")}
