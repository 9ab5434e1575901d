"""Provenance: records are plain JSON, hashes know content only, output folders are complete or absent."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpbf_abm import Parameters, __version__
from mpbf_abm.errors import OutputError
from mpbf_abm.provenance import LIBRARIES, OutputFolder, content_hash, environment, fingerprint, record


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def fill(path: Path, text: str = "1") -> None:
    with OutputFolder(path) as work:
        (work / "provenance.json").write_text(text)
        (work / "sub").mkdir()
        (work / "sub" / "table.csv").write_text("a\n1\n")


def break_off(path: Path, error: BaseException) -> None:
    with OutputFolder(path) as work:
        (work / "provenance.json").write_text("second")
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
    assert content_hash(Parameters()) == content_hash(Parameters().model_dump())
    assert content_hash(Parameters()) != content_hash(Parameters().replace("planners.count", 41))


def test_content_hash_refuses_what_has_no_plain_form() -> None:
    with pytest.raises(TypeError, match="object does not belong in provenance"):
        content_hash({"a": object()})


def test_a_record_is_json_and_reads_back_the_same() -> None:
    made = record(
        parameters=Parameters(),
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
    assert made["run"]["parameters"]["planners"]["count"] == Parameters().planners.count
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
    assert names(tmp_path / "out") == ["provenance.json", "sub"]
    assert (tmp_path / "out" / "sub" / "table.csv").read_text() == "a\n1\n"


def test_nothing_looks_complete_before_the_end(tmp_path: Path) -> None:
    with OutputFolder(tmp_path / "out") as work:
        (work / "provenance.json").write_text("1")
        assert not (tmp_path / "out").exists()
        assert all(name.startswith(".") for name in names(tmp_path))


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failed_run_leaves_nothing(error: type[BaseException], tmp_path: Path) -> None:
    with pytest.raises(error):
        break_off(tmp_path / "out", error())
    assert names(tmp_path) == []


def test_a_failed_run_leaves_an_earlier_result_untouched(tmp_path: Path) -> None:
    fill(tmp_path / "out", "first")
    with pytest.raises(ValueError, match="boom"):
        break_off(tmp_path / "out", ValueError("boom"))
    assert names(tmp_path) == ["out"]
    assert (tmp_path / "out" / "provenance.json").read_text() == "first"


def test_an_own_folder_is_replaced_whole(tmp_path: Path) -> None:
    fill(tmp_path / "out", "first")
    with OutputFolder(tmp_path / "out") as work:
        (work / "provenance.json").write_text("second")
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["provenance.json"]
    assert (tmp_path / "out" / "provenance.json").read_text() == "second"


def test_an_empty_folder_is_filled_and_parents_are_made(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    fill(tmp_path / "empty")
    fill(tmp_path / "deep" / "er" / "out")
    assert names(tmp_path / "empty") == names(tmp_path / "deep" / "er" / "out") == ["provenance.json", "sub"]


def test_a_foreign_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match=r"mine: is not empty and was not written by mpbf"):
        OutputFolder(tmp_path / "mine")
    assert names(tmp_path) == ["mine"]
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    with pytest.raises(OutputError, match="is a file, not a folder"):
        OutputFolder(tmp_path / "out")
    with pytest.raises(OutputError, match="cannot be written") as caught:
        OutputFolder(tmp_path / "out" / "below")
    assert "\n" not in str(caught.value)
    assert (tmp_path / "out").read_text() == "x"


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX systems")
def test_an_unwritable_place_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> str:
        raise PermissionError(13, "Permission denied")

    # Tests may run as a user whom no permission stops.
    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with pytest.raises(OutputError, match=r"out: cannot be written \(Permission denied\)"):
        OutputFolder(tmp_path / "out")
    assert names(tmp_path) == []


def test_a_folder_is_as_readable_as_others(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    fill(tmp_path / "out")
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_replacement_that_cannot_be_moved_into_place_keeps_the_earlier_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "out", "first")
    rename = Path.rename

    def stubborn(self: Path, target: Path) -> Path:
        if "second" in "".join(p.read_text() for p in self.glob("provenance.json")):
            raise PermissionError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", stubborn)
    with pytest.raises(OutputError, match="cannot be written"), OutputFolder(tmp_path / "out") as work:
        (work / "provenance.json").write_text("second")
    assert names(tmp_path) == ["out"]
    assert (tmp_path / "out" / "provenance.json").read_text() == "first"
