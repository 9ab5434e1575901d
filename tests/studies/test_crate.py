"""A study as an RO-Crate: every file described, and nothing else."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from mpbf_abm import Outcome, Parameters, Replicates, Series, Study, cli
from mpbf_abm.studies.report import PROFILE

SMALL = {
    **Parameters.preset("single-quick").changed(),
    "space.materials": 400,
    "space.families": 8,
    "founding.records": 60,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("study")
    study = Study(
        name="tiny",
        question="Does it travel?",
        ticks=4,
        parameters=SMALL,
        replicates=Replicates(n=2),
        outcomes={"found_share": Outcome()},
        series=Series(of=("found_share",)),
    )
    study.run(out, workers=1).close()
    return out


def exported(folder: Path, out: Path, *more: str) -> dict[str, dict[str, object]]:
    with pytest.raises(SystemExit) as done:
        cli.main(["study", "export", str(folder), "--to", "crate", "--out", str(out), *more])
    assert done.value.code == 0
    graph = json.loads((out / "ro-crate-metadata.json").read_text(encoding="utf-8"))["@graph"]
    return {entity["@id"]: entity for entity in graph}


def test_a_crate_describes_every_file_and_no_other(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "crate"
    graph = exported(folder, out, "--author", "A Person", "--license", "https://spdx.org/licenses/CC-BY-4.0")
    root = graph["./"]
    assert all(root[field] for field in ("name", "description", "license", "datePublished", "author"))
    assert root["conformsTo"] == {"@id": PROFILE}
    there = {p.name for p in out.iterdir()} - {"ro-crate-metadata.json"}
    assert {part["@id"] for part in root["hasPart"]} == there  # type: ignore[attr-defined]
    # The record of the folder has a hash of itself, and of the description.
    assert "what made these files" in str(graph["provenance.json"]["name"])
    record = json.loads((out / "provenance.json").read_text(encoding="utf-8"))
    assert set(record["outputs"]) == there - {"provenance.json"} | {"ro-crate-metadata.json"}
    for name in there - {"provenance.json"}:
        assert graph[name]["sha256"] == hashlib.sha256((out / name).read_bytes()).hexdigest()
    action = graph["#run"]
    assert action["@type"] == "CreateAction"
    assert action["object"] == {"@id": "study.toml"}
    assert {r["@id"] for r in action["result"]} == there - {"study.toml"}  # type: ignore[attr-defined]
    assert graph["#mpbf_abm"]["softwareRequirements"]
    assert "tiny: 1 scenario" in (out / "methods.md").read_text(encoding="utf-8")


def test_a_licence_can_be_chosen_and_belongs_to_a_crate(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = "https://spdx.org/licenses/CC0-1.0"
    graph = exported(folder, tmp_path / "crate", "--license", url)
    assert graph["./"]["license"] in (url, {"@id": url})
    capsys.readouterr()
    with pytest.raises(SystemExit) as done:
        cli.main(["study", "export", str(folder), "--license", url, "--out", str(tmp_path / "csv")])
    assert done.value.code == 2
    assert capsys.readouterr().err.splitlines() == ["mpbf: --license and --author belong to --to crate"]


def test_a_licence_is_asked_and_never_assumed(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    with pytest.raises(SystemExit) as done:
        cli.main(["study", "export", str(folder), "--to", "crate", "--out", str(tmp_path / "crate")])
    assert done.value.code == 2
    assert "--to crate needs --license URL" in capsys.readouterr().err
    assert not (tmp_path / "crate").exists()
