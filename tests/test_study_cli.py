"""``mpbf study`` and the analyses, as a user types them: real communities, real processes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from waiting import finished, wait_until

from mpbf_abm.cli import main
from mpbf_abm.cli.console import Bar
from mpbf_abm.outputs import clock, size

SMALL = """
[study]
name = "small"
question = "Does it work?"
ticks = 8

[parameters]
space.materials = 500
space.families = 8
founding.records = 120
curators.count = 3
trainers.count = 2
planners.count = 5
planners.experiments = 1.0
trainers.retrain_interval = 3
trainers.features = 32
trainers.records = 100
trainers.panel = 4
planners.candidates = 6
infrastructure.repositories = 3
planners.exploration = { low = 0.0, high = 0.9 }

[[policy]]
name = "exploration_floor"
start = 3
strength = 0.9

[design]
kind = "lhs"
n = 20

[replicates]
n = 2

[outcome.found_share]
better = "more"
smallest = 0.1
primary = true

[outcome.families_d1]
better = "more"

[series]
of = ["found_share"]
every = 3
"""


class Told:
    """What a command said."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def faults(self) -> list[str]:
        return self.err.splitlines()


@pytest.fixture
def mpbf(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command in this process."""

    def run(*arguments: Any) -> Told:
        with pytest.raises(SystemExit) as stop:
            main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return Told(int(stop.value.code or 0), out, err)

    return run


def shell(*arguments: Any, timeout: float = 120, **options: Any) -> Told:
    """Run a command in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "mpbf_abm", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        **options,
    )
    return Told(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that was run, and its file beside it."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "small.toml").write_text(SMALL)
    done = shell("study", "run", folder / "small.toml", "--out", folder / "out")
    assert done.code == 0, done.err
    assert "80 runs made, 0 failed, 0 there already" in done.out
    return folder


# --------------------------------------------------------------------------- before


def test_a_template_is_written_checked_and_left_alone(mpbf: Any, tmp_path: Path) -> None:
    path = tmp_path / "my study.toml"
    assert mpbf("study", "init", path).code == 0
    told = mpbf("study", "check", path)
    assert told.code == 0
    assert "1 scenarios x 2 arms x 20 replicates = 40 runs of 60 ticks" in told.out
    assert 'name = "my-study"' in path.read_text()
    again = mpbf("study", "init", path)
    assert again.code == 2
    assert "exists already" in again.err


def test_check_tells_every_fault_and_exits_with_2(mpbf: Any, tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(
        SMALL.replace("start = 3", "start = 30")
        .replace("[outcome.found_share]", "[outcome.foundshare]")
        .replace("trainers.panel", "planners.pannel")
    )
    told = mpbf("study", "check", path)
    assert told.code == 2
    assert not told.out
    assert len(told.faults) == 3
    assert any("did you mean 'found_share'?" in f for f in told.faults)
    assert any("did you mean 'trainers.panel'?" in f for f in told.faults)
    assert all(f.startswith("mpbf: ") for f in told.faults)


def test_check_runs_every_arm_twice_if_asked(mpbf: Any, ran: Path) -> None:
    told = mpbf("study", "check", ran / "small.toml", "--twice")
    assert told.code == 0
    assert told.out.count("equal") == 2


def test_plan_says_runs_time_disk_and_what_is_supported(mpbf: Any, ran: Path) -> None:
    told = mpbf("study", "plan", ran / "small.toml", "--json")
    plan = json.loads(told.out)
    assert plan["runs"] == [80, 80]
    assert plan["analyses"]["compare"] is True
    assert "cannot support it" in plan["analyses"]["sensitivity"]
    assert plan["pilot"]["pilot"] == 10  # an eighth of the runs
    assert plan["pilot"]["total_seconds"][0] > 0
    stored = (ran / "out" / "study.sqlite").stat().st_size
    assert 0.5 * stored < plan["pilot"]["total_bytes"][0] < 2 * stored
    text = mpbf("study", "plan", ran / "small.toml", "--no-pilot").out
    assert "20 scenarios x 2 arms x 2 replicates = 80 runs of 8 ticks" in text
    assert "mpbf sensitivity  not supported" in text


@pytest.mark.parametrize(("seconds", "words"), [(5, "5 s"), (100, "2 min"), (7200, "2.0 h"), (400_000, "4.6 days")])
def test_times_in_words(seconds: float, words: str) -> None:
    assert clock(seconds) == words


def test_sizes_in_words() -> None:
    assert [size(x) for x in (10, 1.5e3, 2e6, 3e9, 4e12)] == ["10 B", "1.5 kB", "2 MB", "3 GB", "4 TB"]


# --------------------------------------------------------------------------- running and looking


def test_a_study_is_gone_on_with_by_file_or_by_folder(mpbf: Any, ran: Path) -> None:
    for source in (ran / "small.toml", ran / "out", ran / "out" / "study.sqlite"):
        told = mpbf("study", "run", source, *(["--out", ran / "out"] if source.suffix == ".toml" else []))
        assert told.code == 0
        assert "0 runs made, 0 failed, 80 there already" in told.out


def test_status_tells_what_is_there(mpbf: Any, ran: Path) -> None:
    facts = json.loads(mpbf("study", "status", ran / "out", "--json").out)
    assert (facts["done"], facts["failed"], facts["missing"]) == (80, 0, 0)
    assert re.fullmatch("[0-9a-f]{32}", facts["results"])
    assert "20 x 2 x 2" in mpbf("study", "status", ran / "out").out
    assert mpbf("study", "status", ran / "out", "--watch").code == 0


def test_replay_compares_bit_for_bit(mpbf: Any, ran: Path) -> None:
    told = mpbf("study", "replay", ran / "out", "--sample", 3)
    assert told.code == 0
    assert told.out.count("  equal") == 3
    id = told.out.splitlines()[2].split()[0]
    assert mpbf("study", "replay", ran / "out", id).code == 0


def test_failed_runs_exit_with_3_and_are_listed_and_replayed(mpbf: Any, tmp_path: Path) -> None:
    path = tmp_path / "tight.toml"
    path.write_text(SMALL.replace("n = 20", "n = 1") + "\n[limits]\nseconds = 0.001\nretries = 0\n")
    told = mpbf("study", "run", path, "--out", tmp_path / "o")
    assert told.code == 3
    assert "0 runs made, 4 failed" in told.out
    listed = mpbf("study", "failures", tmp_path / "o")
    assert listed.code == 3
    assert listed.out.count("ran for more than 0.001 s") == 4
    assert "planners.exploration" in listed.out
    rows = json.loads(mpbf("study", "failures", tmp_path / "o", "--json").out)
    assert {r["type"] for r in rows} == {"TimeLimit"}
    replayed = mpbf("study", "replay", tmp_path / "o", rows[0]["run"])
    assert replayed.code == 3
    assert "finished, where it failed before (TimeLimit" in replayed.out
    again = mpbf("study", "run", path, "--out", tmp_path / "o")
    assert again.code == 3
    assert "4 runs failed before" in again.out
    # Limits are no part of a run, so that the same runs are made when they are wider.
    path.write_text(SMALL.replace("n = 20", "n = 1"))
    assert mpbf("study", "run", path, "--out", tmp_path / "o", "--retry", "-j", 1).code == 0
    assert mpbf("study", "failures", tmp_path / "o").out == "no run failed\n"


def begin_study(path: Path, out: Path, **streams: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mpbf_abm", "study", "run", str(path), "--out", str(out)]
    return subprocess.Popen(command, text=True, **streams)


def test_interrupting_the_command_keeps_everything_and_exits_with_130(mpbf: Any, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(SMALL.replace("ticks = 8", "ticks = 16").replace("n = 20", "n = 8"))
    driver = begin_study(tmp_path / "s.toml", tmp_path / "o", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: finished(tmp_path / "o") > 0)
    os.kill(driver.pid, signal.SIGINT)
    out, err = driver.communicate(timeout=60)
    assert driver.returncode == 130, err
    assert "interrupted; finished runs are kept" in out
    assert "finishing the runs that are under way" in err
    kept = finished(tmp_path / "o")
    assert 0 < kept < 32
    told = mpbf("study", "run", tmp_path / "o", "-j", 1)
    assert told.code == 0
    assert f"{32 - kept} runs made, 0 failed, {kept} there already" in told.out


@pytest.mark.nightly
def test_a_killed_command_is_resumed_to_the_same_bits(mpbf: Any, ran: Path, tmp_path: Path) -> None:
    for enough in (1, 30):
        driver = begin_study(ran / "small.toml", tmp_path / "o", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda enough=enough: finished(tmp_path / "o") >= enough)
        driver.kill()
        driver.wait()
    assert mpbf("study", "run", ran / "small.toml", "--out", tmp_path / "o", "-j", 1).code == 0
    hashes = {
        json.loads(mpbf("study", "status", place, "--json").out)["results"] for place in (ran / "out", tmp_path / "o")
    }
    assert len(hashes) == 1


def test_shards_are_run_and_merged(mpbf: Any, ran: Path, tmp_path: Path) -> None:
    for part in ("2/2", "1/2"):
        told = mpbf("study", "run", ran / "small.toml", "--out", tmp_path / "o", "--shard", part, "-j", 1)
        assert told.code == 0
        assert "when all 2 shards are there: mpbf study merge" in told.out
    assert "holds 2 shards: mpbf study merge" in mpbf("study", "status", tmp_path / "o").err
    merged = mpbf("study", "merge", tmp_path / "o")
    assert merged.code == 0
    assert "80 runs added, 0 there already" in merged.out
    hashes = {
        json.loads(mpbf("study", "status", place, "--json").out)["results"] for place in (ran / "out", tmp_path / "o")
    }
    assert len(hashes) == 1


# --------------------------------------------------------------------------- what comes out


def test_analyses_print_a_table_and_write_tables_figure_and_provenance(mpbf: Any, ran: Path) -> None:
    for arguments, words in (
        (["compare"], "found_share  exploration_floor  primary"),
        (["robustness", "--threshold", "0.1"], "satisficing"),
        (["discover", "--outcome", "families_d1", "--above", "6.65"], "planners.exploration"),
    ):
        told = mpbf(arguments[0], ran / "out", *arguments[1:])
        assert told.code == 0, told.err
        assert words in told.out
        place = ran / "out" / arguments[0]
        written = {p.name for p in place.iterdir()}
        assert {f"{arguments[0]}.png", f"{arguments[0]}.pdf", "notes.txt", "provenance.json"} <= written
        assert sum(name.endswith(".csv") for name in written) >= 2
        data = json.loads(mpbf(arguments[0], ran / "out", *arguments[1:], "--json").out)
        assert data["kind"] == arguments[0]
    told = mpbf("sensitivity", ran / "out")
    assert told.code == 2
    way_out = "use [design] kind = 'morris' (screening) or 'saltelli' (indices)"
    assert told.faults == [f"mpbf: sensitivity: a design of kind lhs cannot support it; {way_out}"]


def test_runs_are_read_by_another_study_of_the_same_runs(mpbf: Any, ran: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text(
        SMALL.replace("[outcome.families_d1]", '[outcome.wide]\nof = "families_d1"\nabove = 4.0\n[outcome.families_d1]')
    )
    told = mpbf("compare", ran / "out", "--study", other, "--outcome", "wide,rmse", "--out", tmp_path / "c")
    assert told.code == 0, told.err
    assert "wide" in told.out
    assert "rmse" in told.out
    other.write_text(SMALL.replace("ticks = 8", "ticks = 9"))
    told = mpbf("compare", ran / "out", "--study", other, "--out", tmp_path / "c")
    assert told.code == 2
    assert "belongs to this study" in told.err


def test_the_report_and_the_exports_are_written(mpbf: Any, ran: Path, tmp_path: Path) -> None:
    told = mpbf("study", "report", ran / "out")
    assert told.code == 0, told.err
    text = (ran / "out" / "report" / "report.md").read_text()
    for name in re.findall(r"!\[[^]]*\]\(([^)]+)\)", text):
        assert (ran / "out" / "report" / name).exists()
    assert "## Not possible with this design" in text
    for form in ("csv", "parquet", "netcdf"):
        assert mpbf("study", "export", ran / "out", "--to", form, "--out", tmp_path / form).code == 0
        assert (tmp_path / form / "study.toml").exists()
    assert mpbf("study", "check", tmp_path / "csv" / "study.toml").code == 0
    again = mpbf("study", "export", ran / "out", "--to", "cvs", "--out", tmp_path / "x")
    assert again.code == 2
    assert not (tmp_path / "x").exists()


# --------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["study", "run", "{toml}", "--jobs", "0"], "--jobs = 0: must be at least 1"),
        (["study", "run", "{toml}", "--jobs", "two"], "--jobs = 'two': must be a whole number"),
        (["study", "run", "{toml}", "--shard", "3/2"], "--shard = '3/2'"),
        (["study", "run", "{toml}", "--engine", "ray"], "--engine = 'ray': must be local or dask"),
        (
            ["study", "run", "{toml}", "--engine", "local", "--address", "tcp://x:1"],
            "--address belongs to --engine dask",
        ),
        (["study", "run", "none.toml"], "none.toml: no such file"),
        (["study", "plan", "{toml}", "--jobs", "-1"], "--jobs = -1"),
        (["study", "replay", "{out}"], "name a run, or say how many"),
        (["study", "replay", "{out}", "--sample", "0"], "--sample = 0"),
        (["study", "replay", "{out}", "feed"], "no run 'feed'"),
        (["compare", "{out}", "--outcome", "fund"], "unknown outcome 'fund'"),
        (["robustness", "{out}", "--threshold", "high"], "--threshold = 'high': must be a number"),
        (["discover", "{out}", "--above", "x"], "--above = 'x'"),
        (["discover", "{out}"], "say what of 'found_share' is of interest"),
        (["compare", "none"], "none: no such store"),
        (["study", "status", "{folder}"], "holds no study"),
        (["study", "merge", "{folder}"], "holds no shards"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    mpbf: Any, ran: Path, tmp_path: Path, arguments: list[str], told: str
) -> None:
    places = {"toml": ran / "small.toml", "out": ran / "out", "folder": tmp_path}
    said = mpbf(*(a.format(**places) for a in arguments))
    assert said.code == 2
    assert len(said.faults) == 1
    assert told in said.err


def test_data_of_a_study_that_is_gone_is_refused_but_its_results_are_read(mpbf: Any, tmp_path: Path) -> None:
    rows = "\n".join(
        f"{a}{b},{1 + 0.1 * i + 0.3 * j}"
        for i, a in enumerate(["Zn", "Cd", "Ga", "In", "Mg", "Al"])
        for j, b in enumerate(["O", "S", "Se", "Te", "N", "P"])
    )
    (tmp_path / "gaps.csv").write_text("formula,gap\n" + rows + "\n")
    text = (
        re.sub(r"space\.\w+ = \d+\n", "", SMALL)
        .replace("n = 20", "n = 2")
        .replace("founding.records = 120", "founding.records = 10")
        .replace("planners.count = 5", "planners.count = 2")
    )
    (tmp_path / "s.toml").write_text(text + '\n[space]\ntable = "gaps.csv"\nformula = "formula"\nmeasured = "gap"\n')
    told = mpbf("study", "run", tmp_path / "s.toml", "--out", tmp_path / "o", "-j", 1)
    assert told.code == 0, told.err
    assert mpbf("study", "replay", tmp_path / "o", "--sample", 1).code == 0
    (tmp_path / "gaps.csv").unlink()
    assert mpbf("study", "run", tmp_path / "o", "-j", 1).faults == [
        f"mpbf: {tmp_path / 'gaps.csv'}: cannot be read (No such file or directory)"
    ]
    assert mpbf("compare", tmp_path / "o").code == 0


def test_progress_is_a_line_now_and_then_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mpbf_abm.cli.console.LINE_SECONDS", 0.0)
    with Bar(quiet=False) as bar:
        bar.begin(10)
        bar.advance(known=4)
        bar.advance(done=1)
        bar.advance(failed=1)
        bar.say("hello")
    err = capsys.readouterr().err
    assert "6 of 10 runs, 1 failed" in err
    assert "mpbf: hello" in err
    with Bar(quiet=True) as bar:
        bar.begin(1)
        bar.advance(done=1)
        bar.say("hello")
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        (["--help"], "scipy"),
        (["study", "--help"], "scipy"),
        (["study", "run", "--help"], "scipy"),
        (["compare", "--help"], "scipy"),
        (["study", "status", "{out}"], "seaborn"),
    ],
)
def test_help_and_status_stay_light(ran: Path, arguments: list[str], heavy: str) -> None:
    code = (
        "import sys\nfrom mpbf_abm.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        f"print([m for m in ('mesa', 'pandas', 'matplotlib', 'dask', '{heavy}') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code, *(a.format(out=ran / "out") for a in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.nightly
def test_the_study_of_the_readme_runs_by_its_three_commands(
    mpbf: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(__file__).parents[1]
    section = (root / "README.md").read_text(encoding="utf-8").split("## A study in thirty lines")[1].split("\n## ")[0]
    file = section.split("```toml\n")[1].split("```")[0]
    assert file == (root / "experiments" / "quickstart.toml").read_text(encoding="utf-8")
    assert len(file.splitlines()) <= 30
    assert file.count("[[policy]]") == 2
    commands = section.split("```bash\n")[1].split("```")[0].splitlines()
    assert len(commands) == 3
    (tmp_path / "experiments").mkdir()
    # Its design as it stands, on short histories.
    assert "\nticks = 60\n" in file
    short = file.replace("ticks = 60", "ticks = 13")
    (tmp_path / "experiments" / "quickstart.toml").write_text(short, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for command in commands:
        program, *arguments = command.split("#")[0].split()
        assert program == ".venv/bin/mpbf"
        told = mpbf(*arguments)
        assert told.code == 0, told.err
    report = (tmp_path / "results" / "quickstart" / "report" / "report.md").read_text(encoding="utf-8")
    assert "48" in report
    effects = (tmp_path / "results" / "quickstart" / "report" / "compare-effects.csv").read_text(encoding="utf-8")
    assert {"exploration_floor", "audits"} <= {line.split(",")[1] for line in effects.splitlines()[1:]}


def test_faults_of_structure_and_of_names_are_told_together(mpbf: Any, tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(
        '[study]\nname = "x"\ntics = 5\npreset = "qick"\n'
        "[outcome.found_shar]\n[parameters]\nplanners.explorations = 0.2\n"
    )
    told = mpbf("study", "check", tmp_path / "x.toml")
    assert told.code == 2
    assert all(
        any(word in fault and "did you mean" in fault for fault in told.faults)
        for word in ("tics", "qick", "found_shar", "explorations")
    )


def test_a_policy_that_moves_nothing_is_told(mpbf: Any, tmp_path: Path) -> None:
    policy = '[[policy]]\nname = "redundancy"\nstart = 2\nstrength = {}\n'
    for strength, said in ((0.6, True), (1.0, False)):
        (tmp_path / "x.toml").write_text(f'[study]\nname = "x"\nticks = 4\n{policy.format(strength)}')
        told = mpbf("study", "check", tmp_path / "x.toml")
        assert told.code == 0
        assert ("changes no parameter" in told.err) is said


def test_a_study_file_stands_for_its_results(
    mpbf: Any, ran: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = mpbf("compare", ran / "small.toml")
    assert told.code == 2
    assert "is a study file, and its runs are not in results/small" in told.err
    (tmp_path / "results").mkdir()
    shutil.copytree(ran / "out", tmp_path / "results" / "small")
    assert mpbf("compare", ran / "small.toml").code == 0
    told = mpbf("study", "plan", "--no-pilot", ran / "small.toml")
    assert "80 of these runs, 0 that are no part" in told.out
