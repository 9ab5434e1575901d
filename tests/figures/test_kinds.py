"""Kinds of figures from a user's own studies: made where the design supports them, refused in one line where not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import once
import pytest

from mpbf_abm import cli
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.evidence.assessments import histories
from mpbf_abm.figures.build import JOURNALS, KINDS
from mpbf_abm.figures.kind import Choice, levels, scenarios
from mpbf_abm.measures.networks import FLOWS
from mpbf_abm.measures.path import damage
from mpbf_abm.parameters import PRESETS
from mpbf_abm.studies.jobs import RunInput
from mpbf_abm.studies.results import Results

COMMUNITY = """
[study]
name = "course"
preset = "single-quick"
ticks = 15
[parameters]
"space.materials" = 800
"space.families" = 12
"founding.records" = 200
"curators.reinforcement" = { values = [1.05, 2.0] }
[[policy]]
name = "exploration_floor"
start = 3
strength = 0.6
[design]
kind = "grid"
[replicates]
n = 3
[outcome.found_share]
better = "more"
[outcome.families_d1]
[series]
of = ["found_share", "leading_share"]
tables = ["families", "flows", "links"]
"""
NULL = """
[study]
name = "{name}"
preset = "null"
ticks = 12
[parameters]
"space.materials" = 300
"space.families" = 5
"planners.count" = {planners}
"curators.reinforcement" = {{ low = 1.0, high = 3.0 }}
"curators.exploration" = {{ low = 0.0, high = 0.6 }}
[design]
{design}
[replicates]
n = 2
[outcome.found_share]
better = "more"
[outcome.lead]
of = "leading_share"
above = 0.35
"""
ARM = '[[policy]]\nname = "exploration_floor"\nstart = 4\n'
STUDIES = {
    "course": COMMUNITY,
    "grid": NULL.format(name="grid", planners=0, design='kind = "grid"\nlevels = 3'),
    "sampled": NULL.format(name="sampled", planners=3, design='kind = "lhs"\nn = 24') + ARM,
    "screened": NULL.format(name="screened", planners=3, design='kind = "morris"\nn = 4'),
}
# Which study feeds which kind, and a word of why each of the others does not.
FED = {
    "course": {"flows", "fan", "twins", "early", "removal", "ridges", "regret", "warnings"},
    "grid": {"phase", "ridges"},
    "sampled": {"regret", "box"},
    "screened": {"ridges", "indices"},
}
WHY = {
    "flows": 'tables = ["flows"]',
    "corpus": "mpbf_abm.evidence.assessments.histories.course",
    "phase": "a grid of two factors",
    "fan": "[series] of =",
    "twins": 'tables = ["families"]',
    "early": 'tables = ["families"]',
    "removal": 'tables = ["links"]',
    "ridges": "more than 24; choose some by --where and --arm",
    "regret": "robustness: the s",
    "indices": "[design] kind = 'morris'",
    "box": "discover: ",
    "warnings": "a series of 'leading_share'",
}
Mpbf = Callable[..., tuple[int, list[str]]]


def made(name: str) -> str:
    """Folder of a study, run once for all test processes."""
    assert once.folder is not None
    folder = once.folder / "kinds"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.toml").write_text(STUDIES[name])
    with pytest.raises(SystemExit) as stop:
        cli.main(["study", "run", str(folder / f"{name}.toml"), "--jobs=1", "--quiet", "--out", str(folder / name)])
    assert stop.value.code == 0
    return str(folder / name)


@pytest.fixture(scope="session")
def folders() -> dict[str, str]:
    return dict(zip(STUDIES, once.each("studies of the kinds of figures", list(STUDIES), made), strict=True))


@pytest.fixture
def course(folders: dict[str, str]) -> Any:
    with Results.open(folders["course"]) as results:
        yield results


@pytest.fixture
def mpbf(capsys: pytest.CaptureFixture[str]) -> Mpbf:
    def run(*arguments: str) -> tuple[int, list[str]]:
        with pytest.raises(SystemExit) as stop:
            cli.main([*arguments])
        return int(stop.value.code or 0), capsys.readouterr().err.splitlines()

    return run


def pair(kind: str, study: str) -> Any:
    """A kind and a study; the second study that feeds a kind is for the night."""
    later = kind in FED[study] and study != next(name for name in STUDIES if kind in FED[name])
    return pytest.param(kind, study, marks=[pytest.mark.nightly] * later)


@pytest.mark.parametrize(("kind", "study"), [pair(kind, study) for kind in KINDS for study in STUDIES])
def test_a_kind_is_made_of_a_study_or_says_what_the_study_lacks(
    folders: dict[str, str], mpbf: Mpbf, tmp_path: Path, kind: str, study: str
) -> None:
    out = tmp_path / "out"
    code, said = mpbf("figures", "build", kind, folders[study], "--journal=pnas", f"--out={out}")
    if kind not in FED[study]:
        assert code == 2
        assert len(said) == 1
        assert WHY[kind] in said[0]
        assert not out.exists()
        return
    assert code == 0, said
    (entry,) = json.loads((out / "figures.json").read_text())["figures"]
    assert (entry["name"], entry["study"], entry["draft"]) == (kind, study, "")
    assert entry["width_mm"] == getattr(JOURNALS["pnas"], KINDS[kind].width)
    assert {f"{kind}.pdf", f"{kind}.svg", f"{kind}.png"} < set(entry["files"])
    assert "DRAFT" not in (out / f"{kind}.svg").read_text(encoding="utf-8")


def test_every_kind_but_one_is_made_of_a_study_file() -> None:
    assert set.union(*FED.values()) == KINDS.keys() - {"corpus"}


def test_figures_of_a_study_gather_in_its_folder(
    folders: dict[str, str], mpbf: Mpbf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (["fan", "--where=gamma=2", "--outcome=leading_share", "--arm=baseline"], ["early"]):
        assert mpbf("figures", "build", *words, folders["course"], "--out=o")[0] == 0
    entries = json.loads(Path("o/figures.json").read_text())["figures"]
    assert [e["name"] for e in entries] == ["fan", "early"]
    assert "fan.leading_share.csv" in entries[0]["files"]
    Path("grid.toml").write_text(STUDIES["grid"])
    code, said = mpbf("figures", "build", "phase", "grid.toml")
    assert code == 2
    assert "its runs are not in results/grid" in said[0]


def test_faults_of_the_command_are_told_at_once(folders: dict[str, str], mpbf: Mpbf) -> None:
    code, said = mpbf("figures", "build", "flow", folders["course"], "--journal=natur", "--where=gamma")
    assert code == 2
    assert [word in line for word, line in zip(("'nature'", "NAME=VALUE", "'flows'"), said, strict=True)] == [True] * 3
    for where, words in (("gama=2", "did you mean"), ("gamma=7", "no scenario has curators.reinforcement = 7")):
        code, said = mpbf("figures", "build", "fan", folders["course"], f"--where={where}")
        assert code == 2
        assert len(said) == 1
        assert words in said[0]


def test_kinds_are_listed_with_what_they_need(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        cli.main(["figures", "list"])
    assert done.value.code == 0
    told = capsys.readouterr().out
    assert all(kind.title in told and kind.needs in told for kind in KINDS.values())


@pytest.mark.parametrize(
    ("words", "script"),
    [
        (["bench", "--quick"], "analysis.benchmarks"),
        (["paper", "--help"], "analysis.paper"),
        (["figures", "all", "-x", "y"], "analysis.paper"),
    ],
)
def test_what_moved_says_where_to(mpbf: Mpbf, words: list[str], script: str) -> None:
    code, said = mpbf(*words)
    assert code == 2
    assert len(said) == 1
    assert said[0].endswith(f"python -m {script}")


# --------------------------------------------------------------------------- the same numbers on both ways


def given(results: Results, scenario: int, replicate: int) -> RunInput:
    """The input of a model of histories for a baseline run of an ordinary study."""
    gamma = float(results.scenarios["curators.reinforcement"][scenario])
    values = {**PRESETS["single-quick"], **results.study.fixed, "curators.reinforcement": gamma}
    ticks, seed = results.study.ticks, results.plan.seed(scenario, 0, replicate)
    return RunInput(values, "baseline", (), (), seed, replicate, ticks, histories.COURSE_SERIES, [ticks - 1])


def test_flows_and_early_shares_of_stored_tables_are_those_of_the_model_of_courses(course: Results) -> None:
    runs = [[histories.course(given(course, s, r)) for r in range(3)] for s in range(2)]
    flows = KINDS["flows"].prepare(course)["flows"].query("arm == 'baseline'").set_index("flow")["per_tick"]
    start = len(histories.LAYERS)
    whole = np.mean([series[-1, start : start + len(FLOWS)] for _, series in runs[0]], axis=0) / course.study.ticks
    np.testing.assert_allclose(flows[list(FLOWS)], whole)
    shares = KINDS["early"].prepare(course)["shares"]
    assert list(shares.columns) == ["gamma", "replicate", "early", "final"]
    for name, outcome in (("early", "early_share"), ("final", "late_share")):
        assert shares[name].tolist() == pytest.approx([out[outcome] for row in runs for out, _ in row])


def test_a_stored_network_breaks_as_it_does_in_the_model_of_removal(course: Results) -> None:
    frame = KINDS["removal"].prepare(course, Choice(where={"gamma": 2.0}))["curves"]
    runs = [histories.removal(given(course, 1, r)) for r in range(3)]
    for criterion in ("random", "degree"):
        part = frame[frame["criterion"] == criterion]
        middle = [np.median([run[f"{criterion} {i}"] for run in runs]) for i in range(histories.STEPS + 1)]
        assert part["median"].tolist() == pytest.approx(middle)


def test_twins_are_the_baseline_and_an_arm_on_the_same_draws(course: Results) -> None:
    frames = KINDS["twins"].prepare(course)
    tables = course.tables("families")
    apart = np.array([damage(tables[0, 0, r]["records"], tables[0, 1, r]["records"]) for r in range(3)])
    distance = frames["distance"].query("gamma == 1.05")
    assert distance["median"].tolist() == pytest.approx(np.median(apart, axis=0).tolist())
    assert (apart[:, :3] == 0).all()  # before the policy starts
    first = [row[np.flatnonzero(row > 0)[0]] for row in apart]
    assert frames["growth"].query("gamma == 1.05")["growth"].tolist() == pytest.approx((apart[:, -1] / first).tolist())


def test_scenarios_are_chosen_by_value_and_told_apart_by_what_varies(course: Results, folders: dict[str, str]) -> None:
    assert scenarios(course, {"gamma": 2}) == scenarios(course, {"curators.reinforcement": 2.0}) == [1]
    assert levels(course, Choice(), 3) == ("gamma", {0: 1.05, 1: 2.0})
    with Results.open(folders["grid"]) as results:
        assert levels(results, Choice(), 2) == ("scenario", {0: 0, 1: 1})
    with pytest.raises(ConfigurationError, match="does not vary 'ticks'"):
        scenarios(course, {"ticks": 1})
