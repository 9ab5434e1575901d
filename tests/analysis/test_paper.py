"""The paper's figures: every one from small stored studies, the same bytes each time, fit to be printed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import once
import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysis.paper import __main__ as command
from analysis.paper import text
from analysis.paper.captions import FEEDS, FIGURES, chosen
from analysis.paper.studies import PROFILES, STUDIES
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.figures import build as b
from mpbf_abm.figures import style
from mpbf_abm.studies.definition import Replicates
from mpbf_abm.studies.jobs import hash_bytes
from mpbf_abm.studies.results import Results
from mpbf_abm.studies.study import Study

# Few of everything, and short: what is looked at here is figures, not findings.
FEWER = {"courses": 4, "twins": 3, "removal": 3, "urns": 3, "warnings": 8, "policies": 1, "budgets": 4, "indices": 1}
Read = Callable[[str], Results]


def small(name: str) -> Study:
    """A study of the quick profile with few replicates."""
    study = STUDIES[name]("quick")
    changes: dict[str, Any] = {"replicates": Replicates(n=FEWER[name])}
    if name not in ("urns", "warnings"):
        changes["ticks"] = max(12, study.ticks // 2)
    return study.model_copy(update=changes)


def made(name: str) -> str:
    """Folder of a small study, run once for all test processes."""
    assert once.folder is not None
    out = once.folder / "paper" / name
    with small(name).run(out, workers=1) as results:
        assert results.failures.empty
    return str(out)


@pytest.fixture(scope="session")
def read() -> Read:
    """Results of a study, which is run when it is first asked for."""

    @cache
    def results(name: str) -> Results:
        (folder,) = once.each("study of the paper", [name], made)
        return Results.open(folder, small(name))

    return results


@pytest.fixture(scope="session")
def built(read: Read, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of a figure, which is built when it is first asked for."""

    @cache
    def folder(name: str) -> Path:
        out = tmp_path_factory.mktemp(name)
        b.build(chosen([name]), command.feeding(read), out, draft="DRAFT")
        return out

    return folder


SOON = ("phase", "early")  # figures of different kinds; the others wait for the night
NAMES = [name if name in SOON else pytest.param(name, marks=pytest.mark.nightly) for name in FIGURES]


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_is_fit_to_be_printed(built: Callable[[str], Path], name: str) -> None:
    folder = built(name)
    (entry,) = json.loads((folder / b.LIST).read_text())["figures"]
    assert entry["name"] == name
    figure = FIGURES[name]
    assert entry["smallest_text_pt"] >= b.LEAST_POINTS
    assert {f"{name}.{suffix}" for suffix in b.FORMATS} < set(entry["files"])
    assert len(figure.caption) > 100
    pdf = (folder / f"{name}.pdf").read_bytes()
    assert b"/Type3" not in pdf
    assert b"/FontFile2" in pdf  # embedded TrueType
    box = re.search(rb"/MediaBox \[ 0 0 ([0-9.]+) ([0-9.]+) \]", pdf)
    assert box is not None
    width = {"single": 89.0, "double": 183.0}[figure.width]
    assert float(box.group(1)) == pytest.approx(width * 72 / 25.4, abs=0.01)
    assert float(box.group(2)) == pytest.approx(figure.height * 72 / 25.4, abs=0.01)
    assert figure.title.encode() in pdf or figure.title.encode("utf-16-be") in pdf
    svg = (folder / f"{name}.svg").read_text(encoding="utf-8")
    assert figure.alt[:40] in svg
    assert "http" not in re.sub(r'xmlns[:\w]*="[^"]+"|<!DOCTYPE[^>]+>|"http://purl[^"]+"|rdf:resource="[^"]+"', "", svg)


@pytest.mark.parametrize("name", NAMES)
def test_the_frames_that_are_drawn_are_the_data_that_are_given(
    built: Callable[[str], Path], read: Read, name: str
) -> None:
    for panel, frame in FIGURES[name].prepare(read(FEEDS[name])).items():
        stored = pd.read_csv(built(name) / f"{name}.{panel}.csv")
        assert list(stored.columns) == list(map(str, frame.columns))
        assert len(stored) == len(frame)


def test_building_again_gives_the_same_bytes_and_changes_are_noticed(built: Callable[[str], Path], read: Read) -> None:
    folder, figures, results = built("phase"), chosen(["phase"]), command.feeding(read)
    page = folder / "phase.locked.csv"
    before = page.read_bytes()
    page.write_bytes(before + b"1,2,3\n")
    assert command.compare(folder, figures, results, draft="DRAFT") == ["phase.locked.csv"]
    page.write_bytes(before)


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["flows", "regret"])
def test_building_other_figures_again_gives_the_same_bytes(built: Callable[[str], Path], read: Read, name: str) -> None:
    assert command.compare(built(name), chosen([name]), command.feeding(read), draft="DRAFT") == []


def test_journals_have_their_widths_and_letters(read: Read, tmp_path: Path) -> None:
    (entry,) = b.build(chosen(["early"]), command.feeding(read), tmp_path, journal="pnas", formats=["svg"])
    assert entry["width_mm"] == 87
    assert "A" in (tmp_path / "early.svg").read_text()
    with pytest.raises(ConfigurationError, match="did you mean 'nature'"):
        b.build(chosen(["early"]), command.feeding(read), tmp_path, journal="natur")
    with pytest.raises(ConfigurationError, match="did you mean 'flows'"):
        chosen(["flow"])


def plain(**more: Any) -> tuple[Figure, dict[str, pd.DataFrame]]:
    fig = Figure(figsize=(3, 3))
    ax = fig.subplots()
    ax.plot([0, 1], [0, 1])
    ax.set(**({"xlabel": "x (–)", "ylabel": "y (–)"} | more))
    return fig, {"a": pd.DataFrame({"x": [0.0], "low": [0.0], "high": [1.0]})}


def test_what_must_not_be_printed_is_refused() -> None:
    figure, journal = FIGURES["flows"], b.JOURNALS["nature"]
    with style.styled():
        fig, frames = plain()
        assert b.check(figure, fig, frames, journal) == 6
        cases = [
            (figure, fig, {"a": frames["a"][["x"]]}, "neither an interval nor single runs"),
            (replace(figure, alt="short"), fig, frames, "alternative text of 5 characters"),
            (replace(figure, height=300), fig, frames, "300 mm high"),
        ]
        small, _ = plain()
        small.text(0.5, 0.5, "small", fontsize=4)
        bare, _ = plain(ylabel="")
        cases += [(figure, small, frames, "text of 4 points"), (figure, bare, frames, "the y axis has no label")]
        for one, drawn, data, told in cases:
            with pytest.raises(b.FigureError, match=told):
                b.check(one, drawn, data, journal)


# --------------------------------------------------------------------------- words


@pytest.mark.nightly
def test_every_number_of_the_summary_comes_from_the_runs(read: Read) -> None:
    table = text.numbers(text.read_numbers(command.HERE / "numbers.toml"), read)
    page = text.filled((command.HERE / "template.md").read_text(encoding="utf-8"), table, "template.md")
    assert "{{" not in page
    row = table.set_index("name").loc["finds_floor"]
    results = read("courses")
    found = results.values("found_share")[1]
    assert row["value"] == pytest.approx((found[1] - found[0]).mean())
    assert row["n"] == 4
    assert row["low"] < row["value"] < row["high"]
    area = table.set_index("name").loc["alarm_variance"]
    assert 0 <= area["low"] <= area["value"] <= area["high"] <= 1
    assert "courses: 2 scenarios" in text.methods_section(read)
    effects = text.effects(read)
    assert set(effects["outcome"]) >= {"found_share", "families_d1"}
    assert r"exploration\_floor" in text.latex(effects, "Effects & more", "tab:e")


def number(**fields: Any) -> text.Number:
    return text.Number(**({"name": "n", "study": "courses", "outcome": "found_share"} | fields))


def test_places_and_numbers_go_together() -> None:
    table = pd.DataFrame({"name": ["a", "b"], "text": ["1", "2"]})
    assert text.filled("x {{ a }}, {{b}}", table, "t") == "x 1, 2"
    with pytest.raises(ConfigurationError) as told:
        text.filled("{{ a }} {{ c }}", table, "t")
    assert told.value.faults == ["t: no number 'c'", "t: number 'b' has no place"]


def test_bad_numbers_are_one_line_each(tmp_path: Path) -> None:
    page = tmp_path / "n.toml"
    page.write_text(
        '[[number]]\nname = "a"\nstudy = "course"\n[[number]]\nname = "b"\n[[number]]\nname = "c"\nfigure = "flow"\n'
    )
    with pytest.raises(ConfigurationError) as told:
        text.read_numbers(page)
    assert len(told.value.faults) == 3
    assert "did you mean 'courses'" in told.value.faults[0]
    page.write_text("[[number]\n")
    with pytest.raises(ConfigurationError):
        text.read_numbers(page)


def test_numbers_are_printed_with_interval_and_sign() -> None:
    from mpbf_abm.stats.estimates import mean_estimate

    e = mean_estimate(np.array([0.1, 0.2, 0.3]))
    assert text.printed(number(digits=2), e, 3).startswith("0.2 (95 % interval -0.048 to 0.45, n = 3)")
    assert text.printed(number(kind="difference", digits=2), e, 3).startswith("+0.2 (95 % interval")


# --------------------------------------------------------------------------- command line


def test_bad_input_is_one_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, words in (
        (["--only", "flow"], "did you mean 'flows'"),
        (["--numbers", str(tmp_path / "no.toml")], "no.toml: no such file"),
        (["--jobs", "0"], "--jobs = 0: must be at least 1"),
    ):
        assert command.main(arguments) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        assert words in lines[0]


def drawn(target: Path) -> None:
    (target / "figures").mkdir()
    (target / "figures" / "one.pdf").write_text("drawn")


@pytest.mark.parametrize("arguments", [["--quick"], ["--quick", "--only", "fan"]], ids=["paper", "figures"])
def test_figures_and_texts_that_were_changed_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    # What is drawn is not what is tested.
    monkeypatch.setattr(command, "reader", lambda *_: None)
    monkeypatch.setattr(command, "write", lambda *_: "")
    monkeypatch.setattr(
        command, "build", lambda _f, _r, out, **_: drawn(out if "--only" in arguments else out.parent) or []
    )
    out = tmp_path / "out"
    assert command.main([*arguments, "--out", str(out)]) == 0
    (out / "notes.md").write_text("mine")
    assert command.main([*arguments, "--out", str(out)]) == 0
    (out / "figures" / "one.pdf").write_text("mended by hand")
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    capsys.readouterr()
    assert command.main([*arguments, "--out", str(out)]) == 2
    assert "changed since mpbf wrote it: figures/one.pdf" in capsys.readouterr().err
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", STUDIES)
def test_studies_of_both_profiles_hold(name: str, profile: Any) -> None:
    study = STUDIES[name](profile)
    assert study.name == name
    study.check()


# --------------------------------------------------------------------------- what is committed


def test_the_committed_figures_are_those_of_the_list_and_of_the_words() -> None:
    folder = command.HERE / "figures"
    entries = json.loads((folder / b.LIST).read_text(encoding="utf-8"))["figures"]
    assert [e["name"] for e in entries] == list(FIGURES)
    for entry in entries:
        figure = FIGURES[entry["name"]]
        assert (entry["title"], entry["caption"], entry["alt"]) == (figure.title, figure.caption, figure.alt)
        assert entry["study"] == FEEDS[figure.name]
        assert entry["files"] == {name: hash_bytes((folder / name).read_bytes()) for name in entry["files"]}
    assert (command.HERE / "captions.md").read_text(encoding="utf-8") == text.captions()


def test_the_committed_summary_is_the_template_with_the_committed_numbers() -> None:
    table = pd.read_csv(command.HERE / "numbers.csv")
    template = (command.HERE / "template.md").read_text(encoding="utf-8")
    assert text.filled(template, table, "template.md") == (command.HERE / "summary.md").read_text(encoding="utf-8")
