"""Provenance: records are plain JSON, hashes know content only, output folders keep what they did not write."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpbf_abm import Parameters, __version__
from mpbf_abm.errors import OutputError
from mpbf_abm.outputs import OutputFolder
from mpbf_abm.provenance import LIBRARIES, content_hash, environment, fingerprint, record
from mpbf_abm.studies.store import Store


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder and what it holds."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def fill(path: Path, text: str = "first", of: str = "") -> OutputFolder:
    folder = OutputFolder(path, "run", of)
    with folder as work:
        (work / "a.csv").write_text(text)
        (work / "sub").mkdir()
        (work / "sub" / "table.csv").write_text(text)
    return folder


def break_off(path: Path, error: BaseException) -> None:
    with OutputFolder(path, "run") as work:
        (work / "a.csv").write_text("second")
        raise error


# --------------------------------------------------------------------------- hashes and records


def test_content_hash_is_independent_of_key_order() -> None:
    a = {"x": 1, "y": {"b": [1, 2], "a": None}}
    b = {"y": {"a": None, "b": [1, 2]}, "x": 1}
    assert list(a) != list(b)
    assert content_hash(a) == content_hash(b)


@pytest.mark.parametrize(
    "other", [{"x": 2}, {"x": "1"}, {"y": 1}, {"x": [1]}, {"x": 1, "y": None}, {"x": 1.5}, {"x": True}, [["x", 1]], {}]
)
def test_content_hash_tells_contents_apart(other: Any) -> None:
    assert content_hash(other) != content_hash({"x": 1})


def test_content_hash_minds_the_order_of_lists() -> None:
    assert content_hash([1, 2]) != content_hash([2, 1])


def test_content_hash_takes_arrays_and_parameters_as_what_they_hold() -> None:
    assert content_hash({"a": np.arange(3)}) == content_hash({"a": [0, 1, 2]})
    assert content_hash(np.int64(4)) == content_hash(4)
    assert content_hash(Parameters.preset("single-default")) == content_hash(
        Parameters.preset("single-default").model_dump()
    )
    assert content_hash(Parameters.preset("single-default")) != content_hash(
        Parameters.preset("single-default").replace("planners.count", 41)
    )


def test_content_hash_refuses_what_has_no_plain_form() -> None:
    with pytest.raises(TypeError, match="object does not belong in provenance"):
        content_hash({"a": object()})


def test_a_record_is_json_and_reads_back_the_same() -> None:
    made = record(
        parameters=Parameters.preset("single-default"),
        seed=np.int64(3),
        mass=np.array([0.5, 1.0]),
        flags=np.array([True]),
        later={3: 4},
        name="x",
    )
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert made["run"]["seed"] == 3
    assert made["run"]["mass"] == [0.5, 1.0]
    assert made["run"]["later"] == {"3": 4}
    assert made["run"]["parameters"]["planners"]["count"] == Parameters.preset("single-default").planners.count
    assert made["run_hash"] == content_hash(made["run"])


def test_a_record_hash_follows_what_was_run_only() -> None:
    assert record(a=1, b=2)["run_hash"] == record(b=2, a=1)["run_hash"]
    assert record(a=1)["run_hash"] != record(a=2)["run_hash"]


def test_a_record_names_the_software_and_the_libraries() -> None:
    made = record()
    assert made["software"] == {"name": "mpbf_abm", "version": __version__, "fingerprint": fingerprint()}
    assert made["environment"] == environment()
    assert set(LIBRARIES) < set(environment())
    assert "missing" not in environment().values()
    assert len(fingerprint()) == 32


# --------------------------------------------------------------------------- output folders


def test_a_finished_folder_is_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    fill(tmp_path / "out")
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["a.csv", "provenance.json", "sub"]
    assert (tmp_path / "out" / "sub" / "table.csv").read_text() == "first"


def test_a_record_lists_every_file_with_its_hash(tmp_path: Path) -> None:
    fill(tmp_path / "out")
    held = json.loads((tmp_path / "out" / "provenance.json").read_text())
    assert held["result"] == {"kind": "run", "of": ""}
    assert set(held["outputs"]) == {"a.csv", "sub/table.csv"}
    for name, about in held["outputs"].items():
        data = (tmp_path / "out" / name).read_bytes()
        assert about == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def test_nothing_looks_complete_before_the_end(tmp_path: Path) -> None:
    with OutputFolder(tmp_path / "out", "run") as work:
        (work / "a.csv").write_text("1")
        assert not (tmp_path / "out").exists()
        assert all(name.startswith(".") for name in names(tmp_path))


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failed_run_leaves_nothing(error: type[BaseException], tmp_path: Path) -> None:
    with pytest.raises(error):
        break_off(tmp_path / "out", error())
    assert names(tmp_path) == []


def test_a_failed_run_leaves_an_earlier_result_untouched(tmp_path: Path) -> None:
    fill(tmp_path / "out")
    before = tree(tmp_path / "out")
    with pytest.raises(ValueError, match="boom"):
        break_off(tmp_path / "out", ValueError("boom"))
    assert names(tmp_path) == ["out"]
    assert tree(tmp_path / "out") == before


def test_an_earlier_result_is_replaced_and_what_it_had_more_goes(tmp_path: Path) -> None:
    fill(tmp_path / "out")
    with OutputFolder(tmp_path / "out", "run") as work:
        (work / "a.csv").write_text("second")
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["a.csv", "provenance.json"]
    assert (tmp_path / "out" / "a.csv").read_text() == "second"


def test_an_empty_folder_is_filled_and_parents_are_made(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    fill(tmp_path / "empty")
    fill(tmp_path / "deep" / "er" / "out")
    assert tree(tmp_path / "empty") == tree(tmp_path / "deep" / "er" / "out")


def test_what_a_result_did_not_write_stays_and_is_named(tmp_path: Path) -> None:
    out = tmp_path / "out"
    fill(out)
    (out / "notes.md").write_text("hours of work")
    (out / "sub" / "mine.ipynb").write_text("more")
    (out / "figs").mkdir()
    (out / "figs" / "one.png").write_text("drawn by hand")
    folder = fill(out, "second")
    assert folder.kept == ["figs/", "notes.md", "sub/mine.ipynb"]
    assert folder.written == ["a.csv", "provenance.json", "sub/table.csv"]
    assert (out / "a.csv").read_text() == (out / "sub" / "table.csv").read_text() == "second"
    assert (out / "notes.md").read_text() == "hours of work"
    assert (out / "sub" / "mine.ipynb").read_text() == "more"
    assert (out / "figs" / "one.png").read_text() == "drawn by hand"
    # Nor is a folder of files that are no more when something else is in it.
    with OutputFolder(out, "run") as work:
        (work / "b.csv").write_text("third")
    assert tree(out).keys() == {"b.csv", "provenance.json", "notes.md", "sub/mine.ipynb", "figs/one.png"}


def link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parent.parent / "elsewhere.csv")


def edit(path: Path) -> None:
    path.write_text("mended by hand")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("change", [edit, empty, link, folder_instead])
@pytest.mark.parametrize("name", ["a.csv", "sub/table.csv"])
def test_a_file_that_was_changed_is_never_replaced(tmp_path: Path, name: str, change: Callable[[Path], Any]) -> None:
    (tmp_path / "elsewhere.csv").write_text("first")
    fill(tmp_path / "out")
    change(tmp_path / "out" / name)
    before = tree(tmp_path)
    with pytest.raises(OutputError, match=rf"out: changed since mpbf wrote it: {name}; move it away") as caught:
        OutputFolder(tmp_path / "out", "run")
    assert "\n" not in str(caught.value)
    assert tree(tmp_path) == before
    assert names(tmp_path) == ["elsewhere.csv", "out"]


@pytest.mark.parametrize(
    "left", [[], [".study.sqlite.lock"], [".study.sqlite.lock", ".study.sqlite.new"], ["study.sqlite"]]
)
def test_runs_that_a_killed_program_left_are_in_no_results_way(tmp_path: Path, left: list[str]) -> None:
    runs = tmp_path / "out" / "runs"
    runs.mkdir(parents=True)
    for name in left:
        (runs / name).touch()
    for _ in range(2):
        assert fill(tmp_path / "out").kept == []
        assert names(runs) == left
    (tmp_path / "other" / "runs").mkdir(parents=True)
    (tmp_path / "other" / "runs" / "notes.txt").touch()
    with pytest.raises(OutputError, match="is not empty and was not written by mpbf"):
        fill(tmp_path / "other")


def test_a_folder_of_the_result_that_became_a_link_is_not_followed(tmp_path: Path) -> None:
    fill(tmp_path / "out")
    (tmp_path / "out" / "sub").rename(tmp_path / "moved")
    (tmp_path / "out" / "sub").symlink_to(tmp_path / "moved")
    with pytest.raises(OutputError, match=r"changed since mpbf wrote it: sub/table\.csv"):
        OutputFolder(tmp_path / "out", "run")
    assert (tmp_path / "moved" / "table.csv").read_text() == "first"


def test_a_listed_file_that_was_removed_is_made_again(tmp_path: Path) -> None:
    fill(tmp_path / "out")
    (tmp_path / "out" / "a.csv").unlink()
    fill(tmp_path / "out", "second")
    assert (tmp_path / "out" / "a.csv").read_text() == "second"


RECORDS: dict[str, Any] = {
    "empty": {},
    "a list": [],
    "of another program": {"software": {"name": "dvc"}, "outputs": {}},
    "of files without hashes": {"software": {"name": "mpbf_abm"}, "outputs": {"thesis.txt": {"bytes": 13}}},
    "of names only": {"software": {"name": "mpbf_abm"}, "outputs": ["thesis.txt"]},
    "without a hash of itself": {"software": {"name": "mpbf_abm"}, "outputs": {}, "result": {"kind": "run", "of": ""}},
    "of itself": {"software": {"name": "mpbf_abm"}, "outputs": {"": {"sha256": "0"}}},
    "of something outside": {"software": {"name": "mpbf_abm"}, "outputs": {"../thesis.txt": {"sha256": "0"}}},
    "of a place of the system": {"software": {"name": "mpbf_abm"}, "outputs": {"/etc/passwd": {"sha256": "0"}}},
    "of a faulty result": {"software": {"name": "mpbf_abm"}, "outputs": {}, "result": "run"},
}


@pytest.mark.parametrize("content", RECORDS)
def test_a_record_that_lists_nothing_gives_nothing_away(tmp_path: Path, content: str) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    (tmp_path / "mine" / "provenance.json").write_text(json.dumps(RECORDS[content]))
    before = tree(tmp_path)
    with pytest.raises(OutputError, match=r"mine: is not empty and was not written by mpbf"):
        OutputFolder(tmp_path / "mine", "run")
    assert tree(tmp_path) == before


def test_a_result_of_a_version_that_listed_no_files_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "effects.csv").write_text("1")
    (tmp_path / "old" / "provenance.json").write_text(json.dumps({"software": {"name": "mpbf_abm"}, "run": {}}))
    with pytest.raises(
        OutputError, match="old: holds a result of an earlier version of mpbf, which did not list its files"
    ):
        OutputFolder(tmp_path / "old", "compare")


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\udcff"])
def test_a_record_that_cannot_be_read_gives_nothing_away(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "provenance.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(OutputError, match=r"mine: is not empty and was not written by mpbf"):
        OutputFolder(tmp_path / "mine", "run")
    assert names(tmp_path / "mine") == ["provenance.json"]


def test_a_record_that_was_changed_stays(tmp_path: Path) -> None:
    fill(tmp_path / "out")
    path = tmp_path / "out" / "provenance.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"remark": "for the paper"}))
    with pytest.raises(OutputError, match=r"changed since mpbf wrote it: provenance\.json"):
        OutputFolder(tmp_path / "out", "run")
    assert "for the paper" in path.read_text()


def test_another_kind_of_result_or_one_of_something_else_is_not_replaced(tmp_path: Path) -> None:
    fill(tmp_path / "out", of="a")
    before = tree(tmp_path)
    for kind, of, words in (
        ("compare", "a", r"another result \(run\)"),
        ("run", "b", "another plan; choose another folder, or --force"),
    ):
        with pytest.raises(OutputError, match=words):
            OutputFolder(tmp_path / "out", kind, of)
    assert tree(tmp_path) == before
    with OutputFolder(tmp_path / "out", "run", "b", force=True) as work:
        (work / "a.csv").write_text("b")
    assert (tmp_path / "out" / "a.csv").read_text() == "b"
    # What was changed is safe from force, too.
    (tmp_path / "out" / "a.csv").write_text("mine")
    with pytest.raises(OutputError, match="changed since"):
        OutputFolder(tmp_path / "out", "run", "c", force=True)


@pytest.mark.parametrize("store", ["study.sqlite", "shard-1-of-2.sqlite", "Old.SQLITE"])
def test_a_folder_with_a_store_is_no_folder_of_results(tmp_path: Path, store: str) -> None:
    fill(tmp_path / "out")
    (tmp_path / "out" / store).write_text("every run")
    before = tree(tmp_path)
    with pytest.raises(OutputError, match="out: holds the runs of a study; a result goes into a separate folder"):
        OutputFolder(tmp_path / "out", "run")
    assert tree(tmp_path) == before


def test_a_folder_of_results_is_no_folder_of_a_store(tmp_path: Path) -> None:
    fill(tmp_path / "out")
    before = tree(tmp_path)
    with pytest.raises(OutputError, match="out: holds results; the runs of a study go into a separate folder"):
        Store.open(tmp_path / "out" / "study.sqlite", write=True)
    assert tree(tmp_path) == before


def overtaken(out: Path, meanwhile: Callable[[], Any]) -> None:
    with OutputFolder(out, "run") as work:
        (work / "a.csv").write_text("second")
        meanwhile()


def lost(out: Path, meanwhile: Callable[[], Any]) -> str:
    """Make a result while something happens to its place; returns what is said."""
    with pytest.raises(OutputError) as caught:
        overtaken(out, meanwhile)
    assert (out.with_name("out-1") / "a.csv").read_text() == "second"
    assert str(caught.value).endswith(f"; the result is kept in {out.with_name('out-1')}")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_result_whose_place_was_taken_meanwhile_is_kept_beside_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    fill(out)
    assert "changed since mpbf wrote it: a.csv" in lost(out, lambda: (out / "a.csv").write_text("mine"))
    assert (out / "a.csv").read_text() == "mine"


def test_a_file_in_the_way_of_a_new_one_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with OutputFolder(out, "run") as work:
        (work / "b.csv").write_text("first")
    (out / "a.csv").write_text("mine")
    assert "in the way, and not written by mpbf: a.csv" in lost(out, lambda: None)
    assert tree(out).keys() == {"a.csv", "b.csv", "provenance.json"}
    assert (out / "a.csv").read_text() == "mine"


def test_files_that_came_into_an_absent_folder_are_kept(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def come() -> None:
        out.mkdir()
        (out / "thesis.txt").write_text("years of work")

    assert "is not empty and was not written by mpbf" in lost(out, come)
    assert tree(out) == {"thesis.txt": b"years of work"}


def test_a_foreign_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match=r"mine: is not empty and was not written by mpbf"):
        OutputFolder(tmp_path / "mine", "run")
    assert names(tmp_path) == ["mine"]
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    fill(tmp_path / "out")
    fill(tmp_path / "out", "second")
    assert (tmp_path / "out").is_symlink()
    assert (tmp_path / "disk" / "a.csv").read_text() == "second"
    assert names(tmp_path) == ["disk", "out"]


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    with pytest.raises(OutputError, match="is a file, not a folder"):
        OutputFolder(tmp_path / "out", "run")
    with pytest.raises(OutputError, match="cannot be written") as caught:
        OutputFolder(tmp_path / "out" / "below", "run")
    assert "\n" not in str(caught.value)
    assert (tmp_path / "out").read_text() == "x"


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX systems")
def test_an_unwritable_place_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> str:
        raise PermissionError(13, "Permission denied")

    # Tests may run as a user whom no permission stops.
    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with pytest.raises(OutputError, match=r"out: cannot be written \(Permission denied\)"):
        fill(tmp_path / "out")
    assert names(tmp_path) == []


def test_a_folder_is_as_readable_as_others(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    fill(tmp_path / "out")
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("moves", range(5))
def test_a_replacement_that_is_cut_off_at_any_point_leaves_no_file_that_nobody_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    out = tmp_path / "out"
    fill(out)
    (out / "notes.md").write_text("mine")
    replace, made = os.replace, []

    def stubborn(*paths: Any) -> None:
        if len(made) == moves:
            raise PermissionError(13, "Permission denied")
        made.append(paths)
        replace(*paths)

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", stubborn)
        if moves < 4:
            with pytest.raises(OutputError, match=r"cannot be written .* is kept in"):
                fill(out, "second")
        else:
            fill(out, "second")
    if moves == 0:
        assert (out / "a.csv").read_text() == (out / "sub" / "table.csv").read_text() == "first"
    # Whatever is there now is known, and the next result replaces it.
    assert fill(out, "third").kept == ["notes.md"]
    assert (out / "a.csv").read_text() == (out / "sub" / "table.csv").read_text() == "third"
    assert "replaced" not in json.loads((out / "provenance.json").read_text())


def test_a_replacement_that_is_cut_off_twice_is_known_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, replace = tmp_path / "out", os.replace
    fill(out)
    (out / "notes.md").write_text("mine")
    for text, moves in (("second", 3), ("third", 2)):
        made: list[Any] = []

        def stubborn(*paths: Any, made: list[Any] = made, moves: int = moves) -> None:
            if len(made) == moves:
                raise KeyboardInterrupt
            made.append(paths)
            replace(*paths)

        with monkeypatch.context() as patch:
            patch.setattr("os.replace", stubborn)
            with pytest.raises(KeyboardInterrupt):
                fill(out, text)
    assert {(out / name).read_text() for name in ("a.csv", "sub/table.csv")} == {"third", "second"}
    assert fill(out, "last").kept == ["notes.md"]
    assert (out / "a.csv").read_text() == (out / "sub" / "table.csv").read_text() == "last"


def test_a_folder_with_nothing_else_in_it_is_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "out")
    monkeypatch.setattr("os.replace", lambda *_: pytest.fail("a file was replaced by itself"))
    fill(tmp_path / "out", "second")
    assert names(tmp_path) == ["out"]


def test_what_comes_while_a_folder_is_replaced_whole_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, rename = tmp_path / "out", Path.rename
    fill(out)

    def late(self: Path, target: Path) -> Path:
        if self.resolve() == out:
            (out / "thesis.txt").write_text("years of work")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", late)
    folder = fill(out, "second")
    (kept,) = folder.kept
    assert (tmp_path / kept).read_text() == "years of work"
    assert (out / "a.csv").read_text() == "second"


def test_a_result_that_was_moved_away_when_its_replacement_was_killed_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, rename = tmp_path / "out", Path.rename
    fill(out)
    before = tree(out)

    def killed(self: Path, target: Path) -> Path:
        if self != out:
            raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            fill(out, "second")
    assert not out.exists()
    with pytest.raises(OutputError, match="another result"):
        OutputFolder(out, "compare")
    assert tree(out) == before
    fill(out, "third")
    assert (out / "a.csv").read_text() == "third"


@pytest.mark.parametrize("instead", ["nothing", "a file", "a link"])
def test_a_folder_of_the_result_that_is_gone(tmp_path: Path, instead: str) -> None:
    out = tmp_path / "out"
    fill(out)
    (out / "notes.md").write_text("mine")
    (tmp_path / "elsewhere").mkdir()
    shutil.rmtree(out / "sub")
    if instead == "a file":
        (out / "sub").write_text("mine")
    elif instead == "a link":
        (out / "sub").symlink_to(tmp_path / "elsewhere")
    if instead == "nothing":
        assert fill(out, "second").kept == ["notes.md"]
        with OutputFolder(out, "run") as work:
            (work / "a.csv").write_text("third")
        assert tree(out).keys() == {"a.csv", "notes.md", "provenance.json"}
    else:
        with pytest.raises(
            OutputError, match=r"in the way, and not written by mpbf: sub; .*; the result is kept in .*out-1"
        ):
            fill(out, "second")
        assert (tmp_path / "out-1" / "sub" / "table.csv").read_text() == "second"
        assert (out / "a.csv").read_text() == "first"
    assert names(tmp_path / "elsewhere") == []


def test_a_file_of_the_result_may_become_a_folder_of_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with OutputFolder(out, "run") as work:
        (work / "sub").write_text("a file")
    (out / "notes.md").write_text("mine")
    assert fill(out).kept == ["notes.md"]
    assert (out / "sub" / "table.csv").read_text() == "first"


RACER = """
import sys, time
from pathlib import Path
from mpbf_abm.outputs import OutputFolder
for _ in range(25):
    with OutputFolder(sys.argv[1], "run") as work:
        for number in range(30):
            (work / f"{number}.csv").write_text(sys.argv[2])
"""


@pytest.mark.parametrize("notes", [False, True], ids=["whole", "file by file"])
def test_two_at_once_leave_one_result(tmp_path: Path, notes: bool) -> None:
    out = tmp_path / "out"
    with OutputFolder(out, "run") as work:
        (work / "0.csv").write_text("first")
    if notes:
        (out / "notes.md").write_text("mine")
    racers = [subprocess.Popen([sys.executable, "-c", RACER, str(out), text]) for text in ("a", "b")]
    assert [racer.wait(60) for racer in racers] == [0, 0]
    found = tree(out)
    assert found.pop("notes.md", b"mine") == b"mine"
    held = json.loads(found.pop("provenance.json"))
    assert {name: hashlib.sha256(data).hexdigest() for name, data in found.items()} == {
        n: a["sha256"] for n, a in held["outputs"].items()
    }
    assert len(set(found.values())) == 1
    assert names(tmp_path) == ["out"]


def test_a_disk_of_its_own_is_written_to(tmp_path: Path) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount")
    try:
        fill(place)
        (place / "notes.md").write_text("mine")
        assert fill(place, "second").kept == ["notes.md"]
        assert tree(place).keys() == {"a.csv", "sub/table.csv", "notes.md", "provenance.json"}
        assert (place / "a.csv").read_text() == "second"
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
