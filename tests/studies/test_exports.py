"""What leaves a study: nothing in it acts where it is read, and nothing says whose machine it was made on."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from communities import SMALL, small_study

from mpbf_abm import Outcome, Study, cli
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.figures import build
from mpbf_abm.outputs import inline
from mpbf_abm.reports.runs import write_report
from mpbf_abm.studies.definition import Arm, Space
from mpbf_abm.studies.driver import Shard, run_study
from mpbf_abm.studies.report import write_crate
from mpbf_abm.studies.store import Store
from mpbf_abm.studies.upkeep import load, merge_stores

EVIL = "=HYPERLINK(0)<script>x</script> [a](b)"
NAME = "=cmd|'/C calc'!A0<b>"


def acting(run: Any) -> dict[str, float]:
    """A model whose failures are named after a file, and would act if they could."""
    if run.replicate == 1:
        raise ValueError(f"={EVIL}\x1b[31m\n# heading {Path.home() / 'secret'}")
    return {NAME: float(run.seed % 97)}


def told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        cli.main(arguments)
    out, err = capsys.readouterr()
    return out + err


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home" / "alice"))
    monkeypatch.setattr(socket, "gethostname", lambda: "alices-laptop")
    (tmp_path / "home" / "alice").mkdir(parents=True)
    return tmp_path / "home" / "alice"


def test_nothing_acts_and_nothing_says_whose_machine_it_was(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, export, report = (home / name for name in ("study", "crate", "report"))
    arms = [Arm(label=EVIL, parameters={"z": 1.0})]
    study = Study(
        name="evil",
        question=f"# {EVIL}\n\n# another",
        model=acting,
        ticks=2,
        policies=arms,
        replicates={"n": 6},
        outcomes={NAME: Outcome(better="more", primary=True, smallest=1.0)},
    )
    for folder in (export, report):
        folder.mkdir()
    with study.run(out, workers=1) as results:
        write_crate(results, export, license="https://spdx.org/licenses/CC0-1.0")
        write_report(results, report)
    for folder in (out, export, report):
        held = b"".join(path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file())
        for word in (b"alice", b"laptop", str(home.parent.parent).encode()):
            assert word not in held, folder
    for path in [*export.glob("*.csv"), *report.glob("*.csv")]:
        table = pd.read_csv(path)
        texts = [*table.columns, *table.select_dtypes(exclude="number").astype(str).to_numpy().ravel()]
        assert not any(str(text).startswith(("=", "@", "+", "\t")) or "\x1b" in str(text) for text in texts), path
    pages = [(report / "report.md").read_text(), (export / "methods.md").read_text()]
    graph = json.loads((export / "ro-crate-metadata.json").read_text())["@graph"]
    pages.append(next(str(entity["description"]) for entity in graph if entity["@id"] == "./"))
    for page in pages:
        assert [sign for sign in ("<", "\x1b", "[a](b)", "\n# another") if sign in page] == []
    assert inline(EVIL) in pages[0]
    for command in (["study", "failures"], ["study", "failures", "--traceback"], ["study", "status"], ["compare"]):
        text = told([*command, str(out)], capsys)
        assert "\x1b" not in text
        assert "alice" not in text.replace(str(out), "")


def test_names_have_a_length_and_no_control_signs() -> None:
    bad = Arm(label="a" * 201), Arm(label=""), Arm(label="\x1b[1m")
    study = small_study(policies=[*bad], outcomes={"\a": Outcome(of="found_share")}, series={"of": ("\t",)})
    with pytest.raises(ConfigurationError) as refused:
        Study(**{name: getattr(study, name) for name in type(study).model_fields}).check()
    lines = [line for line in refused.value.faults if "1 to 200 characters" in line]
    assert [line.split()[0] for line in lines] == ["arm", "arm", "arm", "outcome", "series"]
    assert all(len(line) < 120 for line in lines)


def test_panels_of_figures_are_inert(tmp_path: Path) -> None:
    frame = pd.DataFrame({"arm": ["=1+1"], "scenario": [0]})
    with pytest.raises(ZeroDivisionError):  # it is written before the figure is drawn
        build._build(_Kind(frame), None, tmp_path, build.JOURNALS["nature"], (), "")  # type: ignore[arg-type]
    assert (tmp_path / "panels.a.csv").read_text().splitlines()[1].startswith("'=1+1")


class _Kind:
    """A kind of figure that cannot be drawn."""

    name, width, height = "panels", "single", 50.0

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame

    def prepare(self, _: Any) -> dict[str, pd.DataFrame]:
        return {"a": self.frame}

    def draw(self, _: Any) -> Any:
        raise ZeroDivisionError


def pool_study(folder: Path) -> Any:
    folder.mkdir(parents=True, exist_ok=True)
    rows = "".join(f"{i % 7},{i % 11},{(i * 13) % 29}\n" for i in range(77))
    (folder / "pool.csv").write_text("a,b,goal\n" + rows, encoding="utf-8")
    own = {n: v for n, v in SMALL.items() if not n.startswith("space.")} | {"founding.records": 10}
    fields = {"ticks": 2, "replicates": {"n": 1}, "series": {}, "design": {}, "policies": ()}
    study = small_study(**fields, space=Space(pool="pool.csv", objective="goal"))
    return study.changed(parameters=own)


def test_a_store_finds_its_data_without_saying_where_they_are(home: Path, tmp_path: Path) -> None:
    below, outside, joined = home / "work/results/a", tmp_path / "scratch/b", home / "joined"
    study = pool_study(home / "work")
    run_study(study, below, folder=home / "work", workers=1)
    run_study(study, outside, folder=home / "work", workers=1, shard=Shard(1, 1))
    merge_stores(joined, [below])
    for out, name in ((below, "study.sqlite"), (outside, "shard-1-of-1.sqlite"), (joined, "study.sqlite")):
        assert b"alice" not in (out / name).read_bytes()
        assert load(out / name)[1] == home / "work"
    # A store goes along with the folder that it is in.
    (home / "work").rename(home / "moved")
    assert load(home / "moved/results/a")[1] == home / "moved"


def test_stores_that_name_folder_and_host_are_still_read(home: Path) -> None:
    out = home / "old"
    run_study(pool_study(home / "work"), out, folder=home / "work", workers=1)
    with Store.open(out / "study.sqlite", write=True) as store:
        saved = store.last_study()
        assert saved is not None
        store.save_study(type(saved)(**vars(saved) | {"folder": str(home / "work"), "saved": ""}))
        content = {"host": "alices-laptop", "python": "3.11.0"}
        store._note_environment(content)
        store._db.commit()
        assert store.environments()[2] == {"python": "3.11.0"}
    assert load(out)[1] == home / "work"
