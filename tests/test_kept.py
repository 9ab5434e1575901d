"""No command takes away what it did not make: notes, edited reports and stores stay, whatever folder is named."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import renew as pages

from analysis.benchmarks import __main__ as benchmarks
from analysis.benchmarks import suite
from mpbf_abm.cli import main
from mpbf_abm.errors import OutputError

Command = Callable[..., tuple[int, list[str]]]

STUDY = """
[study]
name = "kept"
preset = "null"
ticks = 3

[parameters]
"space.materials" = 200
"space.families" = 4
"planners.count" = 3
"infrastructure.repositories" = 2

[[policy]]
name = "exploration_floor"
start = 1

[replicates]
n = 3
"""
SMALL = (
    "--preset=null",
    "--set=space.materials=200",
    "--set=space.families=4",
    "--set=planners.count=3",
    "--ticks=3",
    "--quiet",
)
RUN = ("run", *SMALL)
POOL = "heat,time,out\n" + "".join(f"{i % 5},{i % 7},{(i % 5) * 0.7 + (i % 7) * 0.1}\n" for i in range(35))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that was run."""
    folder = tmp_path_factory.mktemp("kept")
    (folder / "kept.toml").write_text(STUDY)
    (folder / "pool.csv").write_text(POOL)
    with pytest.raises(SystemExit) as stop:
        main(["study", "run", str(folder / "kept.toml"), "--quiet", "--jobs=1", "--out", str(folder / "runs")])
    assert stop.value.code == 0
    return folder


@pytest.fixture
def here(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own with that study."""
    shutil.copytree(study, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def mpbf(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command; returns its exit code and its complaints."""

    def run(*arguments: str) -> tuple[int, list[str]]:
        with pytest.raises(SystemExit) as stop:
            main([*arguments])
        return int(stop.value.code or 0), [
            line for line in capsys.readouterr().err.splitlines() if line.startswith("mpbf: ")
        ]

    return run


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# Commands that write a folder of results: arguments without the folder, and a file that each writes.
RESULTS = {
    "run": (RUN, "series.csv"),
    "what-if": ((*RUN, "--policy=exploration_floor:start=1", "--replicates=2"), "effects.csv"),
    "compare": (("compare", "runs"), "effects.csv"),
    "report": (("study", "report", "runs"), "report.md"),
    "figures": (("figures", "build", "ridges", "runs"), "ridges.pdf"),
    "export": (("study", "export", "runs"), "runs.csv"),
    "crate": (
        ("study", "export", "runs", "--to=crate", "--license=https://spdx.org/licenses/CC0-1.0"),
        "ro-crate-metadata.json",
    ),
    "pool": (("pool", "pool.csv", "--objective=out", "--seeds=2", "--budget=9", "--quiet"), "summary.csv"),
    "verify": (("verify", "--only=L1", "--fast", "--jobs=1"), "verification.md"),
    "validate": (
        ("validate", "--only=4", "--replicates=2", "--least=0", "--jobs=1", "--preset=single-quick"),
        "validation.md",
    ),
    "atlas": (
        ("atlas", "--row=premature convergence", *SMALL[1:-1], "--preset=single-quick", "--replicates=3", "--jobs=1"),
        "atlas.md",
    ),
}


# One class keeps watch over every folder: two kinds of commands show it, and the others at night.
SOON = {"run", "compare"}
KINDS = [name if name in SOON else pytest.param(name, marks=pytest.mark.nightly) for name in RESULTS]


@pytest.mark.parametrize("name", KINDS)
def test_notes_stay_edited_files_stop_it_and_other_results_are_not_replaced(
    here: Path, mpbf: Command, name: str
) -> None:
    arguments, file = RESULTS[name]
    out = here / "out"
    code, said = mpbf(*arguments, "--out=out")
    assert code == 0, said
    first = tree(out)
    assert file in first
    (out / "my_notes.md").write_text("hours of work")
    code, said = mpbf(*arguments, "--out=out")
    assert code == 0
    assert said == ["mpbf: out: not of this result, and kept: my_notes.md"]
    assert tree(out).keys() == first.keys() | {"my_notes.md"}
    with (out / file).open("a") as edited:
        edited.write("edited")
    before = tree(here)
    code, said = mpbf(*arguments, "--out=out")
    assert (code, said) == (
        2,
        [f"mpbf: out: changed since mpbf wrote it: {file}; move it away, or choose another folder"],
    )
    other = ("compare", "runs") if name != "compare" else ("study", "export", "runs")
    code, said = mpbf(*other, "--out=out")
    assert code == 2
    assert said[0].startswith("mpbf: out: holds another result (")
    assert tree(here) == before


@pytest.mark.parametrize("name", RESULTS)
def test_a_store_and_a_folder_of_ones_own_are_never_a_place_for_results(here: Path, mpbf: Command, name: str) -> None:
    arguments, _ = RESULTS[name]
    (here / "mine").mkdir()
    (here / "mine" / "thesis.docx").write_text("years of work")
    (here / "mine" / "provenance.json").write_text("{}")
    (here / "linked").symlink_to(here / "runs")
    before = tree(here)
    for place, words in (
        ("runs", "holds the runs of a study"),
        ("linked", "holds the runs of a study"),
        ("mine", "was not written by mpbf"),
    ):
        code, said = mpbf(*arguments, f"--out={place}")
        assert code == 2
        assert len(said) == 1
        assert words in said[0]
    assert tree(here) == before
    assert (here / "linked").is_symlink()


@pytest.mark.parametrize(
    "arguments",
    [
        ("study", "run", "kept.toml", "--out=out"),
        ("study", "run", "kept.toml", "--shard=1/2", "--out=out"),
        ("study", "merge", "out", "runs"),
    ],
    ids=["run", "shard", "merge"],
)
def test_a_folder_of_results_is_never_a_place_for_runs(here: Path, mpbf: Command, arguments: tuple[str, ...]) -> None:
    assert mpbf(*RUN, "--out=out") == (0, [])
    before = tree(here)
    assert mpbf(*arguments) == (2, ["mpbf: out: holds results; the runs of a study go into a separate folder"])
    assert tree(here) == before


def test_results_of_another_plan_or_study_are_not_replaced_unasked(here: Path, mpbf: Command) -> None:
    assert mpbf(*RUN, "--out=out") == (0, [])
    before = tree(here)
    code, said = mpbf(*RUN, "--seed=2", "--out=out")
    assert (code, said) == (2, ["mpbf: out: holds the results of another plan; choose another folder, or --force"])
    assert tree(here) == before
    assert mpbf(*RUN, "--seed=2", "--out=out", "--force") == (0, [])
    (here / "other.toml").write_text(STUDY.replace('"kept"', '"other"'))
    assert mpbf("study", "run", "other.toml", "--quiet", "--jobs=1", "--out=others")[0] == 0
    assert mpbf("compare", "runs", "--out=c")[0] == 0
    code, said = mpbf("compare", "others", "--out=c")
    assert (code, said) == (2, ["mpbf: c: holds the results of another study; choose another folder"])


def test_a_file_of_another_kind_is_no_place_for_measurements(here: Path) -> None:
    before = tree(here)
    for place in ("runs/study.sqlite", "pool.csv"):
        assert benchmarks.main(["--quick", "--only=null", f"--json={place}"]) == 2
        with pytest.raises(OutputError, match=r"exists and was not written by analysis\.benchmarks"):
            suite.check_writable(here / place)
    assert tree(here) == before
    suite.write({"software": {}, "environment": {}, "quick": True, "rows": []}, here / "bench.json")
    suite.check_writable(here / "bench.json")


def test_a_picture_beside_a_page_is_replaced_only_where_it_is_ours(tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    page, picture = tmp_path / "page.md", tmp_path / "images" / "page.png"
    page.write_text("<!-- result:made -->\nold\n<!-- /result -->\n")
    pages.renew(page, {"made": "new"}, Figure, title="A title", alt="A figure.")
    pages.renew(page, {"made": "newer"}, Figure, title="A title", alt="A figure.")
    for other in (b"a photograph", None):
        if other is not None:
            picture.write_bytes(other)
        before = tree(tmp_path)
        with pytest.raises(OutputError, match="was not drawn by mpbf for this page"):
            pages.renew(page, {"made": "newest"}, Figure, title="A title" if other else "Another", alt="A figure.")
        assert tree(tmp_path) == before
        picture.unlink()
        pages.renew(page, {"made": "newer"}, Figure, title="A title", alt="A figure.")
