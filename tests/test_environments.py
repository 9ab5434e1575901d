"""A result follows from the question: in whatever environment the command runs, its files have the same bytes."""

from __future__ import annotations

import os
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from mpbf_abm import cli
from mpbf_abm.figures import of_studies, overview, style
from mpbf_abm.outputs import STORE

ROOT = Path(__file__).resolve().parents[1]
TINY = "run --preset=single-quick --ticks=2 --jobs=1 --set=space.materials=600 --set=space.families=12"
TINY += " --set=founding.records=200 --set=trainers.features=16 --force --out"
# What may be said of each part of an environment; None leaves it as it is, a first sign of "!" takes a variable away.
PARTS: dict[str, tuple[str | None, ...]] = {
    "MPLBACKEND": (None, "module://nowhere.backend_inline", "not a backend", ""),
    "PYTHONIOENCODING": (None, "ascii", "latin-1", "utf-16"),
    "LC_ALL": (None, "C", "xx_XX.nothing", "tr_TR.UTF-8"),
    "LANG": (None, "", "POSIX"),
    "PYTHONUTF8": (None, "0", "1"),
    "TZ": (None, "Mars/Olympus", "Pacific/Kiritimati"),
    "COLUMNS": (None, "1", "0", "wide"),
    "NO_COLOR": (None, "1"),
    "FORCE_COLOR": (None, "3"),
    "TERM": (None, "dumb", "unheard-of", ""),
    "HOME": (None, "/nowhere", "!"),
    "TMPDIR": (None, "/nowhere", "/proc"),
    "OMP_NUM_THREADS": (None, "3", "!"),
    "PYTHONHASHSEED": (None, "0", "7"),
    "redirect": ("", "2>&-", ">&-", "<&-", "<&- >&- 2>&-", ">/dev/full"),
    "cwd": (None, "/proc", "/"),
}


def drawn(seed: int) -> dict[str, str]:
    """Draw an environment: about half of its parts are odd."""
    rng = random.Random(seed)
    picked = {part: rng.choice(values if rng.random() < 0.7 else values[:1]) for part, values in PARTS.items()}
    return {part: value for part, value in picked.items() if value is not None}


def files(folder: Path, made: dict[str, str]) -> dict[str, bytes]:
    """Make a small run in an environment; return the files of its result."""
    words = shlex.join([sys.executable, "-m", "mpbf_abm", *TINY.split(), str(folder / "o")])
    env = os.environ | {"PYTHONPATH": str(ROOT)} | {k: v for k, v in made.items() if k.isupper()}
    env = {name: value for name, value in env.items() if value != "!"}
    line = f"exec {words} {made.get('redirect', '')}"
    place = made.get("cwd", str(folder))
    done = subprocess.run(["sh", "-c", line], cwd=place, env=env, capture_output=True, check=False, timeout=120)
    said = done.stderr.decode(errors="replace")
    # A full device is said; the files are there all the same.
    assert done.returncode == (1 if ">/dev/full" in line else 0), (made, said)
    assert "Traceback" not in said, (made, said)
    return {path.name: path.read_bytes() for path in sorted((folder / "o").iterdir()) if path.is_file()}


CLOSED = {"HOME": "!", "redirect": "<&- >&- 2>&-"}
# All streams closed and no home; a full device and a backend that is none. What else there is, is drawn at night.
FEW = [CLOSED, drawn(3)]


@pytest.mark.parametrize("made", [FEW, pytest.param([*map(drawn, range(4, 40))], marks=pytest.mark.nightly)])
def test_a_result_has_the_same_bytes_in_any_environment(made: list[dict[str, str]], tmp_path: Path) -> None:
    usual = files(tmp_path, {})
    assert {"summary.csv", "overview.png", "overview.pdf", "provenance.json"} <= usual.keys()
    for number, environment in enumerate(made):
        (tmp_path / str(number)).mkdir()
        assert files(tmp_path / str(number), environment) == usual, environment


# --------------------------------------------------------------------------- a figure that fails


def refused(*_: object, **__: object) -> None:
    raise RuntimeError("no such font")


def test_tables_survive_a_figure_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(overview, "build", refused)
    monkeypatch.setattr(of_studies, "FIGURES", dict.fromkeys(of_studies.FIGURES, (refused, refused)))
    out = tmp_path / "o"
    what_if = [*TINY.split(), str(out), "--policy=audits", "--replicates=2"]
    for words, figure in ((what_if, "overview"), (["compare", str(out), "--out", str(tmp_path / "c")], "compare")):
        with pytest.raises(SystemExit) as end:
            cli.main(words)
        told = capsys.readouterr()
        assert end.value.code == 1
        assert f"mpbf: the figure {figure} could not be drawn (RuntimeError: no such font)" in told.err
        assert "found_share" in told.out
    assert {"summary.csv", "effects.csv", "provenance.json"} <= {path.name for path in out.iterdir()}
    assert {"effects.csv", "notes.txt", "provenance.json"} <= {path.name for path in (tmp_path / "c").iterdir()}


def test_a_lost_figure_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with cli._undrawn() as lost:
        with style.or_none("map"):
            refused()
        told = capsys.readouterr().err
    assert told == f"mpbf: {lost[0]}\n"


# --------------------------------------------------------------------------- asked to end


def test_a_command_that_is_asked_to_end_ends_as_after_ctrl_c() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), cli._orderly_end():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before


LONG = {
    "run": "run --ticks=400 --replicates=40 --jobs=2 --out=o",
    "study": "study run study.toml --jobs=2 --out=o",
    "lab": "lab path --jobs=2 --out=o",
    "explore": "explore --no-browser --port=0 --jobs=2",
}


@pytest.mark.parametrize("name", ["run", *(pytest.param(n, marks=pytest.mark.nightly) for n in [*LONG][1:])])
def test_workers_end_with_a_driver_that_is_asked_to_end(name: str, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text('[study]\nname = "s"\nticks = 300\n[replicates]\nn = 40\n')
    words = [sys.executable, "-m", "mpbf_abm", *LONG[name].split()]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    driver = subprocess.Popen(words, cwd=tmp_path, env=env, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    seen: list[psutil.Process] = []
    while len(seen) < (1 if name == "explore" else 3) and driver.poll() is None:  # two workers, and who tracks them
        time.sleep(0.05)
        seen = psutil.Process(driver.pid).children()
    if name == "explore":
        assert driver.stdout is not None
        driver.stdout.readline()
    driver.send_signal(signal.SIGTERM)
    _, said = driver.communicate(timeout=30)
    assert driver.returncode == (0 if name == "explore" else 130)
    assert not any(word in said for word in ("Traceback", "leaked", "resource_tracker")), said
    assert psutil.wait_procs(seen, timeout=10)[1] == []
    assert not list(tmp_path.glob(".o.*")), "a folder of half a result is left"
    assert name not in ("run", "lab") or (tmp_path / "o" / "runs" / STORE).exists()
