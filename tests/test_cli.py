"""The command line: what it prints, writes and refuses, with which exit code."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib

import numpy as np
import pandas as pd
import pytest

from mpbf_abm import cli
from mpbf_abm.cli.app import COMMANDS, STUDY
from mpbf_abm.cli.binding import MOVED
from mpbf_abm.model.run import HEADLINE
from mpbf_abm.model.shocks import Shock
from mpbf_abm.outputs import table
from mpbf_abm.parameters import Parameters

SMALL = [
    "--preset=single-quick",
    "--ticks=6",
    "--jobs=1",
    "--set=space.materials=600",
    "--set=space.families=12",
    "--set=founding.records=200",
]
WHAT_IF = ["--policy=exploration_floor:start=2,strength=0.6", "--replicates=2"]
FILES = {
    "series.csv",
    "families.csv",
    "summary.csv",
    "parameters.toml",
    "provenance.json",
    "overview.png",
    "overview.pdf",
    "study.toml",
}


@pytest.fixture
def mpbf(capfd, tmp_path, monkeypatch):
    """Run the command in an empty folder; returns exit code, output and complaints."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        with pytest.raises(SystemExit) as stop:
            cli.main([str(a) for a in arguments])
        return stop.value.code, *capfd.readouterr()

    return call


def contents(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.is_file()}


# --------------------------------------------------------------------------- what it writes


def test_plain_run_writes_a_whole_folder_named_by_its_plan(mpbf, tmp_path):
    code, out, err = mpbf("run", *SMALL)
    assert (code, err) == (0, "")
    (folder,) = (tmp_path / "results").iterdir()
    assert {p.name for p in folder.iterdir()} == FILES | {"runs"}
    assert "found_share" in out
    assert str(folder.relative_to(tmp_path)) in out
    provenance = json.loads((folder / "provenance.json").read_text())
    assert folder.name == provenance["run_hash"][:12]
    assert set(provenance["outputs"]) == FILES - {"provenance.json"}
    assert Parameters.from_toml(folder / "parameters.toml").space.materials == 600
    assert len(pd.read_csv(folder / "series.csv")) == 6
    before = contents(folder)
    assert mpbf("run", *SMALL)[0] == 0
    assert contents(folder) == before


def test_what_if_pairs_arms_on_the_same_seeds(mpbf, tmp_path):
    code, out, _ = mpbf("run", *SMALL, *WHAT_IF, "--out=o")
    assert code == 0
    for word in ("difference", "95 % interval", "VRF", "median, 10-90 %"):
        assert word in out
    summary = pd.read_csv(tmp_path / "o" / "summary.csv")
    assert list(summary["arm"]) == ["baseline"] * 2 + ["what-if"] * 2
    assert list(summary["seed"]) == [1, 2, 1, 2]
    series = pd.read_csv(tmp_path / "o" / "series.csv").query("tick < 2").drop(columns="arm")
    half = len(series) // 2
    pd.testing.assert_frame_equal(series[:half].reset_index(drop=True), series[half:].reset_index(drop=True))
    effects = pd.read_csv(tmp_path / "o" / "effects.csv").set_index("outcome")
    by_arm = summary.groupby("arm")["found_share"].mean()
    assert effects.loc["found_share", "difference"] == pytest.approx(by_arm["what-if"] - by_arm["baseline"])


def test_shocks_hit_every_arm_unless_they_are_asked_about(mpbf, tmp_path):
    shock, policy = "--shock=retraction_wave:start=2", "--policy=audits:start=1"
    code, out, _ = mpbf("run", *SMALL, shock, "--replicates=2", "--no-shocks-in-baseline", "--out=shock")
    assert code == 0
    assert out.startswith("what-if: retraction_wave from tick 2, against a baseline without |")
    code, out, _ = mpbf("run", *SMALL, shock, policy, "--replicates=2", "--out=both")
    assert code == 0
    assert out.startswith("what-if: audits from tick 1; in both arms: retraction_wave from tick 2 |")
    code, out, _ = mpbf("run", *SMALL, shock, "--out=one")
    assert (code, out.split(" |")[0]) == (0, "run, with retraction_wave from tick 2")
    alone, both = (pd.read_csv(tmp_path / name / "series.csv") for name in ("shock", "both"))
    hit = alone[alone["arm"] == "what-if"].drop(columns="arm").reset_index(drop=True)
    pd.testing.assert_frame_equal(both[both["arm"] == "baseline"].drop(columns="arm").reset_index(drop=True), hit)
    (tmp_path / "c.toml").write_text("[run]\nshocks_in_baseline = 3\n")
    assert "run.shocks_in_baseline = 3: must be true or false" in mpbf("config", "check", "c.toml")[2]


@pytest.mark.nightly
def test_processes_do_not_change_a_byte(mpbf, tmp_path):
    assert mpbf("run", *SMALL, *WHAT_IF, "--out=one", "--quiet") == (0, "", "")
    others = [word for word in SMALL if "jobs" not in word]
    assert mpbf("run", *others, *WHAT_IF, "--out=two", "--quiet", "--jobs=2") == (0, "", "")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_the_runs_of_a_what_if_are_a_study_that_analyses_read(mpbf, tmp_path):
    assert mpbf("run", *SMALL, *WHAT_IF, "--out=o", "-q")[0] == 0
    code, out, _ = mpbf("compare", "o", "--json")
    assert code == 0
    told = {row["outcome"]: (row["low"], row["high"]) for row in json.loads(out)["tables"]["effects"]}
    for row in pd.read_csv(tmp_path / "o" / "effects.csv").to_dict("records"):
        if row["outcome"] in HEADLINE and not np.isnan(row["low"]):
            assert told[row["outcome"]] == pytest.approx((row["low"], row["high"]))
    # What an analysis has written beside the runs is in nobody's way.
    assert (tmp_path / "o" / "runs" / "compare").is_dir()
    for name in (*FILES, "effects.csv"):
        (tmp_path / "o" / name).unlink()
    assert mpbf("run", *SMALL, *WHAT_IF, "--out=o", "-q") == (0, "", "")
    assert (tmp_path / "o" / "runs" / "compare" / "effects.csv").exists()


def test_json_is_for_machines(mpbf):
    code, out, _ = mpbf("run", *SMALL, *WHAT_IF, "--json")
    data = json.loads(out)
    assert code == 0
    assert [r["seed"] for r in data["runs"]] == [1, 2, 1, 2]
    assert {e["outcome"] for e in data["effects"]} >= set(HEADLINE)


def test_file_and_options_together(mpbf, tmp_path):
    (tmp_path / "c.toml").write_text(
        'preset = "single-quick"\n[run]\nseed = 5\nticks = 4\nreplicates = 2\n[space]\nmaterials = 600\nfamilies = 12\n'
        '[founding]\nrecords = 200\n[[policy]]\nname = "audits"\n[[shock]]\nname = "poisoning"\nstart = 2\n'
    )
    code, out, _ = mpbf("run", "c.toml", "--ticks=3", "--jobs=1", "--json")
    assert code == 0
    data = json.loads(out)
    assert (data["ticks"], data["seeds"]) == (3, [5, 6])
    assert mpbf("config", "check", "c.toml")[0] == 0


def test_a_node_that_does_not_exist_is_told_by_check_and_by_run(mpbf, tmp_path):
    (tmp_path / "c.toml").write_text(
        '[infrastructure]\nrepositories = 3\n[[shock]]\nname = "repository_outage"\nstart = 2\ntarget = 3\n'
    )
    for command in (("config", "check"), ("run",)):
        code, _, err = mpbf(*command, "c.toml")
        assert code == 2
        assert "shock 'repository_outage': target = 3: must be from 0 to 2 (infrastructure.repositories = 3)" in err


def test_a_plan_in_words_says_what_a_shock_hits():
    lost = Shock("repository_outage", start=4, end=9, target=2)
    assert lost.words == "repository_outage, node 2 from tick 4 to 9"
    largest = Shock("model_withdrawal", strength=0.5, target="largest")
    assert largest.words == "model_withdrawal at 0.5, largest from tick 0"
    assert Shock("poisoning", start=1).words == "poisoning from tick 1"


@pytest.mark.nightly
def test_results_of_another_plan_are_not_replaced_unasked(mpbf, tmp_path):
    assert mpbf("run", *SMALL, "--out=o", "-q")[0] == 0
    before = contents(tmp_path / "o")
    code, out, err = mpbf("run", *SMALL, "--seed=2", "--out=o")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "--force" in err
    assert contents(tmp_path / "o") == before
    assert mpbf("run", *SMALL, "--seed=2", "--out=o", "--force", "-q")[0] == 0
    assert contents(tmp_path / "o") != before


def test_real_materials_from_a_table(mpbf, tmp_path):
    formulas = [f"{a}{b}" for a in ("Li", "Na", "K", "Rb", "Mg", "Ca") for b in ("F", "Cl", "Br", "O", "S", "Se")]
    rows = [f"{f};{i % 7};{i % 7 + 0.3 * (i % 3)}" for i, f in enumerate(formulas)]
    (tmp_path / "t.csv").write_text("formula;gap;pbe\n" + "\n".join(rows) + "\nXx9;1;1\n")
    options = [
        "run",
        "--table=t.csv",
        "--formula=formula",
        "--measured=gap",
        "--simulated=pbe",
        "--ticks=2",
        "--set=founding.records=20",
        "--set=planners.count=2",
    ]
    code, out, err = mpbf(*options)
    assert (code, out) == (2, "")
    assert "Xx9" in err
    assert "--drop" in err
    assert not (tmp_path / "results").exists()
    code, _, err = mpbf(*options, "--drop", "--out=o")
    assert code == 0
    assert "t.csv: fields are parted by semicolons" in err
    assert "left out 1 rows" in err
    assert json.loads((tmp_path / "o" / "provenance.json").read_text())["run"]["space"]["dropped"]["count"] == 1


# --------------------------------------------------------------------------- what it refuses

BAD_FILE = """
preset = "quik"
[run]
seed = "7"
tick = 3
[planners]
exploration = 3
[plannets]
[[policy]]
name = "exploration_flor"
[[shock]]
start = 3
"""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--seed=abc"], ["seed", "whole number"]),
        (["run", "--seed=-1"], ["seed", "0 to 2^63"]),
        (["run", "--ticks=0"], ["ticks", "1 to"]),
        (["run", "--replicates=1.5"], ["replicates", "whole number"]),
        (["run", "--jobs=0"], ["jobs"]),
        (["run", "--sed=1"], ["--sed", "--seed"]),
        (["run", "--preset=quik"], ["did you mean 'quick'"]),
        (["run", "--set=planners.explorations=1"], ["did you mean 'planners.exploration'"]),
        (["run", "--set=planners.exploration=7"], ["planners.exploration = 7", "0 to 1"]),
        (["run", "--set=planners.exploration"], ["group.name=value"]),
        (["run", "--policy=exploration_flor"], ["did you mean 'exploration_floor'"]),
        (["run", "--policy=audits:name=x"], ["name is given twice"]),
        (["run", "--policy=audits:strength=2"], ["strength"]),
        (["run", "--policy=audits", "--replicates=1"], ["2 pairs"]),
        (["run", "--shock=poisoning:start=120"], ["start = 120", "end of a run"]),
        (["run", "--set=space.materials=5", "--set=space.families=9"], ["some family is empty"]),
        (["run", "--set=space.materials=400", "--set=planners.experiments=2"], ["more experiments than materials"]),
        (["run", "missing.toml"], ["no such file"]),
        (["run", "--table=missing.csv", "--formula=f", "--measured=m"], ["missing.csv", "cannot be read"]),
        (["run", "--table=t.csv", "--formula=f"], ["--table needs --measured"]),
        (["run", "--formula=f"], ["--formula needs --table"]),
        (["run", "--pool=p.csv"], ["--pool needs --objective"]),
        (["run", "--drop"], ["--drop needs"]),
        (["run", "--goal=up"], ["min or max"]),
        (["run", "--out=file"], ["is a file"]),
        (["run", "--policy=audits", "--no-shocks-in-baseline"], ["needs a shock"]),
        (["explore", "--port=99999"], ["from 0 to 65535"]),
        (["explore", "--port=x", "--no-browser"], ["whole number"]),
        (["explore", "--set=planners.count=5000", "--set=planners.repeats=true"], ["the page takes at most 2000"]),
        (["run", "--out=file/below"], ["cannot be written"]),
        (["run", "--out=other"], ["was not written by mpbf"]),
        (["config", "check", "missing.toml"], ["no such file"]),
        (["config", "show", "--set=a.b=1"], ["unknown parameter"]),
        (["config", "init", "file"], ["exists already"]),
        (["config", "init", "no/where.toml"], ["cannot be written"]),
        (["nonsense"], ["nonsense"]),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(mpbf, tmp_path, arguments, words):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    code, out, err = mpbf(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("mpbf: ")
    assert err.count("\n") == 1, err
    for word in words:
        assert word in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "other"]
    assert [p.name for p in (tmp_path / "other").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("command", [["run"], ["config", "check"], ["config", "show"]])
def test_a_file_tells_all_its_faults_at_once(mpbf, tmp_path, command):
    (tmp_path / "bad.toml").write_text(BAD_FILE)
    code, out, err = mpbf(*command, "bad.toml")
    assert (code, out) == (2, "")
    lines = err.splitlines()
    assert len(lines) == 7, err
    assert all(line.startswith("mpbf: bad.toml: ") for line in lines)
    for words in (
        "'quik'",
        "planners.exploration = 3",
        "'plannets'",
        "run.tick",
        "run.seed",
        "exploration_flor",
        "no name",
    ):
        assert sum(words in line for line in lines) == 1


def test_options_tell_all_their_faults_at_once(mpbf):
    _, _, err = mpbf("run", "--seed=abc", "--ticks=-3", "--set=a.b=1", "--policy=x", "--shock=y", "--goal=up")
    assert len(err.splitlines()) == 6


# --------------------------------------------------------------------------- interrupted


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("number", "code", "jobs"),
    [
        (signal.SIGINT, 130, 2),
        (signal.SIGKILL, -signal.SIGKILL, 1),
        pytest.param(signal.SIGINT, 130, 1, marks=pytest.mark.nightly),
        pytest.param(signal.SIGKILL, -signal.SIGKILL, 2, marks=pytest.mark.nightly),
    ],
)
def test_a_run_killed_half_way_leaves_its_finished_runs_and_nothing_that_looks_complete(tmp_path, number, code, jobs):
    small = [a for a in SMALL if not a.startswith(("--ticks", "--jobs"))]
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "mpbf_abm",
            "run",
            *small,
            *WHAT_IF,
            "--set=planners.repeats=true",
            "--ticks=100000",
            f"--jobs={jobs}",
            "--out=o",
        ],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "o" / "runs" / "study.sqlite").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    process.send_signal(number)
    _, err = process.communicate(timeout=180)
    assert process.returncode == code
    assert [p.name for p in (tmp_path / "o").iterdir()] == ["runs"]
    assert not list(tmp_path.rglob("provenance.json"))
    if number == signal.SIGINT:
        assert err == "mpbf: interrupted; finished runs are kept in o/runs, and the same command resumes\n"
        assert [p.name for p in tmp_path.iterdir()] == ["o"]


# --------------------------------------------------------------------------- help and tables


HEAVY = {"mesa", "numpy", "pandas", "matplotlib", "seaborn", "scipy", "networkx"}


def started(code, *arguments, **environment):
    """Run some code, after which the modules that were loaded are a line of JSON on standard error."""
    code += "\nimport json, sys\nprint(json.dumps(sorted(sys.modules)), file=sys.stderr)\n"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | environment,
    )
    return done.stdout, set(json.loads(done.stderr))


CALL = "import contextlib, sys\nfrom mpbf_abm.cli import main\nwith contextlib.suppress(SystemExit): main(sys.argv[1:])"


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["config", "--help"], ["--version"]])
def test_help_is_light_and_plain(arguments):
    out, loaded = started(CALL, *arguments, NO_COLOR="1", FORCE_COLOR="1")
    assert not loaded & (HEAVY | {"rich"})
    assert "\x1b" not in out
    assert "mpbf" in out


def test_importing_the_command_imports_no_command():
    _, loaded = started("import mpbf_abm.cli")
    assert not loaded & (HEAVY | {"pydantic", "rich"})
    assert not {m for m in loaded if m.startswith("mpbf_abm.cli.")} - {
        f"mpbf_abm.cli.{m}" for m in ("app", "binding", "console")
    }


def test_help_takes_less_than_a_fifth_of_a_second_of_cpu():
    code = f"{CALL}\nimport time\nprint(time.process_time())"
    assert min(float(started(code, "--help")[0].split()[-1]) for _ in range(5)) < 0.2


@pytest.mark.parametrize("columns", [30, 60, 200])
def test_commands_are_grouped_at_any_width(mpbf, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    code, out, err = mpbf("--help")
    assert (code, err) == (0, "")
    text = " ".join(out.split())
    for panel, first in (("Use", "run"), ("Analyse", "compare"), ("Evidence", "verify")):
        assert f"{panel}: {first} {COMMANDS[first].help}" in text
    assert f"Maintain: failures {STUDY['failures'].help}" in " ".join(mpbf("study", "--help")[1].split())
    assert "..." not in text.split("Use:")[1]


def every_command(entries=COMMANDS, *above):
    for name, entry in entries.items():
        if entry.panel != MOVED:
            yield [*above, name]
        yield from every_command(entry.commands, *above, name)


@pytest.mark.parametrize("command", list(every_command()), ids=" ".join)
def test_every_command_has_help_and_says_what_is_close_to_an_unknown_option(mpbf, command):
    code, out, err = mpbf(*command, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"Usage: mpbf {' '.join(command)} ")
    code, out, err = mpbf(*command, "--hepl")
    assert (code, out) == (2, "")
    assert "--hepl" in err
    assert "--help" in err


def test_unknown_options_and_faulty_values_are_reported_together(mpbf):
    code, _, err = mpbf("run", "--sed", "3", "--quite", "--ticks=0", "--preset=quik")
    assert code == 2
    assert err.splitlines()[:2] == [
        "mpbf: no such option --sed; did you mean '--seed'?",
        "mpbf: no such option --quite; did you mean '--quiet'?",
    ]
    assert [line.split()[1] for line in err.splitlines()[2:]] == ["--ticks", "unknown"]
    assert mpbf("study", "rnu")[2] == "mpbf: no such command 'rnu'; did you mean 'run'?\n"
    # What follows an option is its value, whatever it looks like; and an option may hold no braces.
    assert mpbf("run", "--out", "--sed", "--ticks=0")[2].count("\n") == 1
    assert "'{}'" in mpbf("run", "--policy={}")[2]


# --------------------------------------------------------------------------- completion


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("va", {"validate"}),
        ("study re", {"report", "replay"}),
        ("run --pol", {"--policy"}),
        ("run --policy aud", {"audits"}),
        ("run --shock repo", {"repository_outage"}),
        ("run --preset fa", {"faithful"}),
        ("run --set planners.reinf", {"planners.reinforcement="}),
        ("run --goal m", {"min", "max"}),
        ("pool table.csv --acquisition gr", {"greedy"}),
        ("study export runs --to n", {"netcdf"}),
        ("compare runs --outcome found_s", {"found_share"}),
        ("verify --only K", {f"K{i}" for i in range(1, 5)}),
    ],
)
def test_a_shell_completes_commands_options_and_values(typed, wanted):
    words = f"mpbf {typed}"
    done = subprocess.run(
        [sys.executable, "-m", "mpbf_abm"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"_MPBF_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))},
    )
    assert wanted <= set(done.stdout.split())
    assert all(word.startswith(typed.split()[-1]) for word in done.stdout.split())


def test_completion_is_shown_for_a_shell(mpbf, monkeypatch):
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    code, out, _ = mpbf("--show-completion", "bash")
    assert code == 0
    assert "_MPBF_COMPLETE=complete_bash" in out


def test_no_arguments_shows_help_as_a_usage_error(mpbf):
    code, out, err = mpbf()
    assert (code, out) == (2, "")
    assert all(f"{panel}:" in err for panel in ("Use", "Analyse", "Evidence"))


@pytest.mark.parametrize("what", ["policies", "shocks", "phases", "indicators", "schema"])
def test_tables_of_what_there_is(mpbf, what):
    code, out, err = mpbf("config", what)
    rows = json.loads(mpbf("config", what, "--json")[1])
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == len(rows) + 2
    assert all(str(next(iter(r.values()))) in out for r in rows)


def test_written_file_holds_what_it_was_asked_for(mpbf, tmp_path):
    assert mpbf("config", "init", "--preset=single-quick")[0] == 0
    assert Parameters.from_toml(tmp_path / "mpbf.toml") == Parameters.preset("single-quick")
    assert mpbf("config", "check", "mpbf.toml")[0] == 0
    _, out, _ = mpbf("config", "show", "mpbf.toml", "--set=planners.exploration=0.4")
    assert tomllib.loads(out)["planners"]["exploration"] == 0.4
    assert "#" in out
    # Another preset on the command line is not overruled by lines that nobody has changed.
    _, out, _ = mpbf("config", "show", "mpbf.toml", "--preset=single-faithful")
    assert tomllib.loads(out)["trainers"]["features"] == 512
    text = (tmp_path / "mpbf.toml").read_text()
    every = "\n".join(
        line.removeprefix("# ") if " = " in line and "  # " in line else line for line in text.splitlines()
    )
    (tmp_path / "every.toml").write_text(every)
    assert Parameters.from_toml(tmp_path / "every.toml") == Parameters.preset("single-quick")


def test_last_column_is_wrapped_on_a_terminal_only(monkeypatch):
    head, rows = ["name", "help"], [["a", "word " * 60]]
    assert len(table(head, rows).splitlines()) == 3
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    lines = table(head, rows).splitlines()
    assert len(lines) > 5
    assert max(map(len, lines)) <= 60


# --------------------------------------------------------------------------- environments and odd words


DIGITS, DEEP = "9" * 5000, "[" * 3000


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ([f"--set=planners.count={DIGITS}"], "planners.count: a number has more digits"),
        ([f"--set=planners.count=-{DIGITS}"], "planners.count: a number has more digits"),
        ([f"--set=planners.count={DEEP}"], "planners.count: lists or tables stand too deep"),
        ([f"--ticks={DIGITS}"], "--ticks = '99"),
        ([f"--seed={DIGITS}"], "--seed = '99"),
        ([f"--policy=audits:start={DIGITS}"], "start"),
        (["--ticks=3", "--ticks=4"], "--ticks is given twice"),
        (["--set=planners.count=3", "--set=planners.count=4"], "--set planners.count is given twice"),
        (["--seed=1", "--seed", "1"], "--seed is given twice"),
        (["--policy=\x1b[31mx"], "U+001B"),
    ],
)
def test_words_without_end_and_words_said_twice_are_one_line(mpbf, words, part):
    code, out, err = mpbf("run", *words)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert part in line
    assert len(line) < 700


def test_a_what_if_that_funds_nothing_is_a_success_and_says_what_has_no_value(mpbf, tmp_path):
    (tmp_path / "p.toml").write_text('[[policy]]\nname = "no funding"\nset = { "stocks.funding" = 0.0 }\n')
    code, out, err = mpbf("run", "p.toml", *SMALL, "--replicates=2", "--out=o")
    assert (code, err) == (0, "")
    assert "no value in any run of the what-if: " in out
    assert "only 2 units" in out


def test_a_run_without_experiments_is_no_success(mpbf, tmp_path):
    (tmp_path / "t.csv").write_text("formula,gap\nLiF,1\nNaCl,2\nKBr,3\nKF,4\n")
    options = ["run", "--table=t.csv", "--formula=formula", "--measured=gap", "--ticks=4", "--set=planners.count=1"]
    options += ["--preset=single-default"]
    options += ["--set=planners.experiments=0.5", "--set=founding.concentration=1"]
    code, out, err = mpbf(*options, "--set=founding.records=9", "--seed=1", "--out=o")
    assert code == 3
    assert "no experiment was made" in err
    assert re.search(r"no value in any run: .*infeasible_share.* \(no experiment was made\)", out)
    assert (tmp_path / "o" / "summary.csv").exists()


@pytest.mark.parametrize("text", [f"planners.count = {DIGITS}", f"a = {DEEP}"])
def test_files_without_end_are_one_line(mpbf, tmp_path, text):
    (tmp_path / "c.toml").write_text(text)
    for command in (["run", "c.toml"], ["config", "check", "c.toml"], ["study", "check", "c.toml"]):
        code, _, err = mpbf(*command)
        assert (code, len(err.splitlines())) == (2, 1)
        assert "c.toml: " in err
        assert "set_int_max" not in err
