"""Every experiment file can be run, and the table of experiments lists them all."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from mpbf_abm.cli import main

FOLDER = Path(__file__).parents[1] / "experiments"
FILES = sorted(FOLDER.glob("*.toml"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_an_experiment_file_is_valid_and_listed(path: Path) -> None:
    kind = "study" if "study" in tomllib.loads(path.read_text(encoding="utf-8")) else "config"
    with pytest.raises(SystemExit) as stop:
        main([kind, "check", str(path)])
    assert stop.value.code == 0
    assert f"[{path.name}]({path.name})" in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_there_are_experiments() -> None:
    assert FILES
