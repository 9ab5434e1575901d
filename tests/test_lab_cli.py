"""``mpbf lab`` and ``mpbf atlas``: reports in a folder and on a page, JSON, and faults in one line each."""

import json
from pathlib import Path

import pytest

from mpbf_abm.cli import main

TINY = ["space.families=8", "space.materials=600", "founding.records=120", "trainers.records=80", "trainers.features=24", "planners.count=6", "curators.count=4"]  # fmt: skip
SETS = [word for pair in TINY for word in ("--set", pair)]


@pytest.fixture
def mpbf(capsys: pytest.CaptureFixture[str]):
    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main([*arguments])
        out = capsys.readouterr()
        return int(end.value.code or 0), out.out, out.err

    return run


def test_a_battery_writes_report_tables_figure_and_page(mpbf, tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text(
        "# Page\n\n<!-- result:made -->\n<!-- /result -->\n<!-- result:findings -->\nold\n<!-- /result -->\n"
    )
    out = tmp_path / "out"
    code, told, err = mpbf(
        "lab", "path", "--preset", "quick", *SETS, "--replicates=2", "--ticks=10", "--jobs=1", f"--out={out}", f"--doc={page}"
    )  # fmt: skip
    assert code == 0, err
    assert "effective reinforcement" in told
    assert {"path.md", "path.png", "path.pdf", "findings.csv", "histories.csv", "survival.csv"} <= {
        p.name for p in out.iterdir()
    }
    text = page.read_text()
    assert "outworn" not in text
    assert "2 communities (seeds 1 to 2), 10 ticks" in text
    assert "`space.families = 8`" in text
    assert "| effective reinforcement |" in text
    assert (tmp_path / "images" / "page.png").is_file()
    report = (out / "path.md").read_text()
    assert "mpbf lab path --preset quick --set space.families=8" in report


def test_json_has_no_numbers_that_json_does_not_know(mpbf, tmp_path: Path):
    code, told, _ = mpbf("atlas", "--row", "premature convergence", "--preset", "quick", *SETS, "--replicates=3", "--ticks=8", "--jobs=1", f"--out={tmp_path}", "--json")  # fmt: skip
    assert code == 0
    found = json.loads(told)
    assert found["replicates"] == 3
    assert len(found["findings"]) == 1
    assert len(found["tables"]["levels"]) == 3


def test_the_atlas_lists_its_rows(mpbf):
    code, told, _ = mpbf("atlas", "--list", "--row", "DAL")
    assert code == 0
    assert "data sparsity: rmse_out" in told
    assert "exploration lock-in" not in told


CONFIG = '[[shock]]\nname = "repository_outage"\nstart = 5\ntarget = 99\n'


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["lab", "path", "--replicates=1"], "replicates = 1: must be at least 2 for path"),
        (["lab", "fragility", "--replicates=1"], "replicates = 1: must be at least 2"),
        (["lab", "forecast", "--replicates=3"], "replicates = 3: must be at least 40"),
        (["lab", "forms", "--replicates=x"], "must be a whole number"),
        (["lab", "path", "CONFIG"], "99"),
        (["lab", "path", "nowhere.toml"], "nowhere.toml"),
        (["lab", "path", "--doc=nowhere.md"], "--doc nowhere.md: no such file"),
        (["lab", "path", "--jobs=0"], "--jobs = 0"),
        (["lab", "path", "--set", "planners.reinforcment=2"], "did you mean"),
        (["atlas", "--row", "exploration lockin"], "no such row; did you mean 'exploration lock-in'?"),
        (["atlas", "--replicates=2"], "must be at least 3 for atlas"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_faults_are_told_in_one_line_each_before_anything_runs(mpbf, tmp_path: Path, monkeypatch, arguments, line):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "CONFIG").write_text(CONFIG)
    code, told, err = mpbf(*arguments)
    assert code == 2
    assert told == ""
    assert len(err.strip().splitlines()) == 1
    assert line in err
    assert not (tmp_path / "results").exists()
