"""``mpbf lab`` and ``mpbf atlas``: reports in a folder and on a page, JSON, and faults in one line each."""

import json
from pathlib import Path

import pytest
import renew
from waiting import finished

from mpbf_abm.cli import main
from mpbf_abm.studies.driver import Tally

TINY = [
    "space.families=8",
    "space.materials=600",
    "founding.records=120",
    "trainers.records=80",
    "trainers.features=24",
    "planners.count=6",
    "curators.count=4",
]
SETS = [word for pair in TINY for word in ("--set", pair)]


@pytest.fixture
def mpbf(capsys: pytest.CaptureFixture[str]):
    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main([*arguments])
        out = capsys.readouterr()
        return int(end.value.code or 0), out.out, out.err

    return run


def test_a_battery_writes_report_tables_and_figure_of_which_a_page_is_renewed(
    mpbf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    page = tmp_path / "page.md"
    page.write_text(
        "# Page\n\n<!-- result:made -->\n<!-- /result -->\n<!-- result:findings -->\noutworn\n<!-- /result -->\n"
    )
    out = tmp_path / "out"
    code, told, err = mpbf(
        "lab", "path", "--preset", "single-quick", *SETS, "--replicates=2", "--ticks=10", "--jobs=1", f"--out={out}"
    )
    assert code == 0, err
    assert "effective reinforcement" in told
    assert {"path.md", "path.png", "path.pdf", "findings.csv", "histories.csv", "survival.csv"} <= {
        p.name for p in out.iterdir()
    }
    monkeypatch.setitem(renew.LABORATORY, "page.md", "path")
    monkeypatch.setitem(renew.PAGES, "page.md", renew.PAGES["atlas.md"])
    assert renew.main([str(page), str(out)]) == 0
    text = page.read_text()
    assert "outworn" not in text
    assert "2 communities (seeds 1 to 2), 10 ticks" in text
    assert "`space.families = 8`" in text
    assert "| effective reinforcement |" in text
    assert (tmp_path / "images" / "page.png").is_file()
    report = (out / "path.md").read_text()
    findings = text.split("<!-- result:findings -->\n")[1].split("<!-- /result -->")[0]
    assert findings in report
    assert "mpbf lab path --preset single-quick --set space.families=8" in report


def test_the_same_command_goes_on_from_what_is_kept_and_replaces_its_report(mpbf, tmp_path: Path):
    out, words = (
        tmp_path / "out",
        ["atlas", "--row", "premature convergence", "--preset", "single-quick", *SETS, "--ticks=8", "--jobs=1"],
    )
    # What a command leaves that is killed while it makes its store.
    (out / "runs").mkdir(parents=True)
    (out / "runs" / ".study.sqlite.lock").touch()
    reports = []
    for replicates in (3, 3, 4):
        code, _, err = mpbf(*words, f"--replicates={replicates}", f"--out={out}")
        assert code == 0
        assert err.startswith(f"written to {out}: atlas.md, ")
        assert "runs" not in err.removeprefix(f"written to {out}")
        assert {p.name for p in tmp_path.iterdir()} == {"out"}
        reports.append({p.name: p.read_bytes() for p in out.glob("*.csv")})
        assert finished(out / "runs") == 3 * replicates
    assert reports[0] == reports[1] != reports[2]
    code, _, err = mpbf(
        "lab", "path", "--preset", "single-quick", *SETS, "--replicates=2", "--ticks=10", f"--out={out}"
    )
    assert (code, err) == (2, f"mpbf: {out}: holds another result (lab atlas); choose another folder\n")


def test_a_folder_of_something_else_is_no_folder_of_runs(mpbf, tmp_path: Path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "diary.md").write_text("mine")
    code, _, err = mpbf(
        "lab", "path", "--preset", "single-quick", *SETS, "--replicates=2", "--ticks=10", f"--out={tmp_path}"
    )
    assert code == 2
    assert err == f"mpbf: {tmp_path}: is not empty and was not written by mpbf; choose another folder\n"


def test_held_out_draws_that_are_interrupted_leave_no_report(mpbf, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("mpbf_abm.studies.driver.run_study", lambda *_, **__: Tally(interrupted=True))
    code, told, err = mpbf("lab", "urn", "--draws=12", f"--out={tmp_path / 'out'}")
    assert (code, told) == (130, "")
    assert (
        err
        == f"mpbf: interrupted; finished runs are kept in {tmp_path / 'out' / 'runs'}, and the same command resumes\n"
    )
    assert not list(tmp_path.iterdir())


def test_json_has_no_numbers_that_json_does_not_know(mpbf, tmp_path: Path):
    code, told, _ = mpbf(
        "atlas",
        "--row",
        "premature convergence",
        "--preset",
        "quick",
        *SETS,
        "--replicates=3",
        "--ticks=8",
        "--jobs=1",
        f"--out={tmp_path}",
        "--json",
    )
    assert code == 0
    found = json.loads(told)
    assert found["replicates"] == 3
    assert len(found["findings"]) == 1
    assert len(found["tables"]["levels"]) == 3


def test_the_atlas_lists_its_rows(mpbf):
    code, told, _ = mpbf("atlas", "--list", "--row", "DAL")
    assert code == 0
    assert "data sparsity: rmse_centred_niche" in told
    assert "exploration lock-in" not in told


CONFIG = '[[shock]]\nname = "repository_outage"\nstart = 5\ntarget = 99\n'


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["lab", "path", "--replicates=1"], "replicates = 1: must be at least 2 for path"),
        (["lab", "fragility", "--replicates=1"], "replicates = 1: must be at least 2"),
        (["lab", "data", "--set", "trainers.count=0"], "trainers.count = 0: must be at least 1"),
        (["lab", "forecast", "--replicates=3"], "replicates = 3: must be at least 40"),
        (["lab", "forms", "--replicates=x"], "must be a whole number"),
        (["lab", "path", "CONFIG"], "99"),
        (["lab", "path", "nowhere.toml"], "nowhere.toml"),
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
