"""Stores that are damaged, full, of another version, or in use: finished runs survive, one line says what is wrong."""

from __future__ import annotations

import os
import random
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import drive
import pytest
import toys
from driving import HERE, begin, command, drive_study, make, open_results, seeds_done, tables
from tampering import rewrite

from mpbf_abm.cli import main
from mpbf_abm.errors import OutputError, StoppedError
from mpbf_abm.studies.driver import Silent, Tally, run_study
from mpbf_abm.studies.results import Results
from mpbf_abm.studies.store import Store, StoreError
from mpbf_abm.studies.upkeep import merge_stores

Command = Callable[..., subprocess.CompletedProcess[str]]


def cli(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mpbf_abm", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.fixture
def mpbf(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command in this process."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        with pytest.raises(SystemExit) as stop:
            main([str(a) for a in arguments])
        return subprocess.CompletedProcess(arguments, int(stop.value.code or 0), *capsys.readouterr())

    return run


def one_line(done: subprocess.CompletedProcess[str], *words: str, code: int = 2) -> None:
    """Check an error: one line, some words, no traceback."""
    assert done.returncode == code, done.stderr
    (line,) = [text for text in done.stderr.splitlines() if text]
    for word in words:
        assert word in line


# --------------------------------------------------------------------------- in use


def test_a_second_driver_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    driver = begin(tmp_path, "logged", env={"PAUSE": "0.05"}, scenarios=5, replicates=10)
    while not (tmp_path / "study.sqlite").exists() and driver.poll() is None:
        time.sleep(0.05)
    time.sleep(0.3)
    one_line(
        drive_study(tmp_path, "logged", scenarios=5, replicates=10),
        "another driver is at work on it",
        f"process {driver.pid}",
    )
    assert driver.wait(60) == 0
    assert len(seeds_done(tmp_path)) == 100
    make(tmp_path, "logged", scenarios=5, replicates=10)


@pytest.mark.parametrize("folder", [True, pytest.param(False, marks=pytest.mark.nightly)], ids=["folder", "file"])
def test_a_driver_that_comes_by_a_link_is_refused_too(tmp_path: Path, folder: bool) -> None:
    real, other = tmp_path / "real", tmp_path / "other"
    real.mkdir()
    if folder:
        other.symlink_to(real)
    else:
        other.mkdir()
        (other / "study.sqlite").symlink_to(real / "study.sqlite")
    # The first one comes by the link, and makes the store where the link leads.
    driver = begin(other, "logged", env={"PAUSE": "0.05"}, scenarios=5, replicates=10)
    while not (real / "study.sqlite").exists() and driver.poll() is None:
        time.sleep(0.05)
    time.sleep(0.3)
    one_line(drive_study(real, "logged", scenarios=5, replicates=10), "another driver is at work on it")
    assert driver.wait(60) == 0
    assert len(seeds_done(real)) == 100
    assert (other if folder else other / "study.sqlite").is_symlink()
    make(real, "logged", scenarios=5, replicates=10)


def test_the_lock_of_a_killed_driver_is_free(tmp_path: Path) -> None:
    driver = begin(tmp_path, "logged", env={"PAUSE": "0.05"}, scenarios=5, replicates=10)
    while not (tmp_path / ".study.sqlite.driver").exists() and driver.poll() is None:
        time.sleep(0.05)
    driver.kill()
    driver.wait()
    make(tmp_path, "logged", scenarios=5, replicates=10)


# --------------------------------------------------------------------------- other stores


def test_a_store_of_another_format_is_refused(mpbf: Command, tmp_path: Path) -> None:
    make(tmp_path, "outcome")
    db = sqlite3.connect(tmp_path / "study.sqlite")
    db.execute("PRAGMA user_version = 99")
    db.close()
    one_line(drive_study(tmp_path, "outcome"), "store format 99", "reads formats 1 to 2")
    one_line(mpbf("study", "status", tmp_path), "store format 99")


def test_a_file_that_is_no_store_is_refused_and_stays(mpbf: Command, tmp_path: Path) -> None:
    place = tmp_path / "study.sqlite"
    place.write_text("not a database, but a letter to the editor" * 200)
    before = place.read_bytes()
    one_line(drive_study(tmp_path, "outcome"), "damaged")
    one_line(mpbf("compare", tmp_path), "study.sqlite")
    assert place.read_bytes() == before
    place.unlink()
    sqlite3.connect(place).execute("CREATE TABLE letters (text)").connection.commit()
    one_line(drive_study(tmp_path, "outcome"), "not the store of a study")


def test_a_store_of_another_study_or_model_is_refused(tmp_path: Path) -> None:
    make(tmp_path, "outcome")
    one_line(drive_study(tmp_path, "logged"), "was made by the model 'toys:outcome', not 'toys:logged'")
    rewrite(tmp_path / "study.sqlite", "studies", fingerprint="f00d")
    one_line(drive_study(tmp_path, "outcome"), "another version of the model (f00d, now ")
    rewrite(tmp_path / "study.sqlite", "studies", name="other")
    one_line(drive_study(tmp_path, "outcome"), "holds the study 'other', not 'toy'")
    assert len(seeds_done(tmp_path)) == 200


def test_a_store_made_by_a_script_is_analysed_but_not_run_from_the_command_line(tmp_path: Path) -> None:
    make(tmp_path, "outcome")
    one_line(cli("study", "run", tmp_path), "was made by the model 'toys:outcome' of a script")
    done = cli("compare", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "other" in done.stdout


# --------------------------------------------------------------------------- damage


def runs_of(path: Path) -> dict[str, str]:
    with Store.open(path) as store:
        return {run.id: run.hash for run in store.runs()}


def read_everything(out: Path) -> None:
    with Results.open(out) as results:
        list(results.store.runs())
        results.store.look()
        results.store.scenarios()


def test_a_flipped_byte_in_a_result_is_told_by_run_and_the_others_are_saved(mpbf: Command, tmp_path: Path) -> None:
    out = tmp_path / "o"
    make(out, "outcome")
    whole = runs_of(out / "study.sqlite")
    data = bytearray((out / "study.sqlite").read_bytes())
    places = [m.start(1) for m in re.finditer(rb'"y":-?0\.(\d)', bytes(data))]
    at = random.Random(1).choice(places)
    data[at] = ord(b"1") if data[at] != ord(b"1") else ord(b"2")
    (out / "study.sqlite").write_bytes(data)
    done = mpbf("compare", out)
    one_line(done, "its outcomes are damaged", "mpbf study merge")
    (id,) = re.findall(r"run ([0-9a-f]{32})", done.stderr)
    saved = mpbf("study", "merge", tmp_path / "saved", out)
    assert saved.returncode == 3, saved.stderr
    assert "199 runs added" in saved.stdout
    assert "1 runs are damaged" in saved.stdout
    assert runs_of(tmp_path / "saved" / "study.sqlite") == {i: h for i, h in whole.items() if i != id}
    again = make(tmp_path / "saved", "outcome")
    assert (again.made, again.known) == (1, 199)
    assert runs_of(tmp_path / "saved" / "study.sqlite") == whole


def test_a_flipped_byte_in_a_series_is_told_by_run(tmp_path: Path) -> None:
    make(tmp_path, "outcome")
    db = sqlite3.connect(tmp_path / "study.sqlite")
    (number, data, id) = db.execute(
        "SELECT series.run, data, id FROM series JOIN runs ON runs.number = series.run LIMIT 1 OFFSET 77"
    ).fetchone()
    spoiled = bytearray(data)
    spoiled[len(spoiled) // 2] ^= 1
    db.execute("UPDATE series SET data = ? WHERE run = ?", (bytes(spoiled), number))
    db.commit()
    db.close()
    with (
        open_results(tmp_path, "outcome") as results,
        pytest.raises(StoreError, match=f"run {id}: its series are damaged"),
    ):
        results.mean_series()


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(1, 4))])
def test_damaged_pages_cost_the_runs_on_them_only(tmp_path: Path, seed: int) -> None:
    out = tmp_path / "o"
    make(out, "outcome", replicates=100)
    whole = runs_of(out / "study.sqlite")
    assert len(whole) == 1000
    path = out / "study.sqlite"
    data = bytearray(path.read_bytes())
    rng = random.Random(seed)
    pages = len(data) // 4096
    for page in rng.sample(range(pages // 4, pages), 3):
        data[4096 * page : 4096 * (page + 1)] = rng.randbytes(4096)
    path.write_bytes(data)
    with pytest.raises(StoreError, match="mpbf study merge"):
        read_everything(out)
    count = merge_stores(tmp_path / "saved", [out])
    saved = runs_of(tmp_path / "saved" / "study.sqlite")
    assert len(saved) == count["added"]
    assert len(saved) > 700
    assert all(whole[id] == digest for id, digest in saved.items())
    make(tmp_path / "saved", "outcome", replicates=100)
    assert runs_of(tmp_path / "saved" / "study.sqlite") == whole


def test_a_store_cut_short_is_refused_and_saved_as_far_as_it_goes(tmp_path: Path) -> None:
    out = tmp_path / "o"
    make(out, "outcome", replicates=60)
    path = out / "study.sqlite"
    size = path.stat().st_size
    os.truncate(path, size - 4096 * (size // 4096 // 3))
    done = drive_study(out, "outcome", replicates=60)
    one_line(done, "damaged")
    count = merge_stores(tmp_path / "saved", [out])
    assert count["added"] > 100
    make(tmp_path / "saved", "outcome", replicates=60)


SIZE = {"scenarios": 5, "replicates": 20}


def tables_of(out: Path) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as place:
        return tables(out, Path(place) / "t", "outcome", **SIZE)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of two hundred runs with series."""
    out = tmp_path_factory.mktemp("sound")
    make(out, "outcome", **SIZE)
    return out


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same store with the ids of version 0.1."""
    out = tmp_path_factory.mktemp("earlier")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mpbf_abm.studies.driver.FORM", 0)
        make(out, "outcome", **SIZE)
    return out


SPOILED = {
    "series gone": "DELETE FROM series WHERE run <= 50",
    "series of another run": "UPDATE series SET run = 10000 WHERE run = 5",
    "hash of series": "UPDATE series SET hash = 'f00d' WHERE run = 9",
    "status": "UPDATE runs SET status = 'dnne' WHERE number = 7",
    "failed, and was not": "UPDATE runs SET status = 'failed' WHERE number = 7",
    "id": "UPDATE runs SET id = 'f' || substr(id, 2) WHERE number = 8",
    "id as bytes": "UPDATE runs SET id = x'00ff' WHERE number = 8",
    "seed": "UPDATE runs SET seed = seed + 1 WHERE number = 3",
    "replicate": "UPDATE runs SET replicate = 10000 WHERE number = 3",
    "replicate as text": "UPDATE runs SET replicate = 'x' WHERE number = 3",
    "arm": "UPDATE runs SET arm = 'f' WHERE number = 4",
    "outcomes": "UPDATE runs SET outcomes = replace(outcomes, 'y', 'z') WHERE number = 4",
    "outcomes that are none": "UPDATE runs SET outcomes = '[1, 2' WHERE number = 4",
    "hash": "UPDATE runs SET hash = NULL WHERE number = 4",
    "seconds": "UPDATE runs SET seconds = 1e6 WHERE number = 4",
    "environment of a run": "UPDATE runs SET environment = 99 WHERE number = 4",
    "seal": "UPDATE runs SET seal = NULL WHERE number = 4",
    "data of series": "UPDATE series SET data = zeroblob(40) WHERE run = 6",
    "bytes that are no text": "UPDATE runs SET arm = CAST(x'ff66' AS TEXT) WHERE number = 4",
    "number": "UPDATE runs SET number = 900000000000 WHERE number = 200",
    "of other quantities": 'UPDATE series SET quantities = \'["b", "a"]\' WHERE run = 6',
    "of fewer quantities": "UPDATE series SET quantities = '[\"a\"]' WHERE run = 6",
    "quantities": "UPDATE series SET quantities = '[' WHERE run = 6",
    "ticks as bytes": "UPDATE series SET ticks = x'ff' WHERE run = 6",
}
# What no run follows from.
BESIDE = {
    "environment": "UPDATE environments SET content = '{'",
    "scenarios": "UPDATE scenarios SET parameters = '{'",
    "definition": "UPDATE studies SET definition = 'name = [' || definition",
    "definition as bytes": "UPDATE studies SET definition = x'ff'",
    "another definition": "UPDATE studies SET definition = replace(definition, 'n = 20', 'n = 2')",
    "origin": "UPDATE studies SET origin = '{'",
    "fingerprint": "UPDATE studies SET fingerprint = 'f00d'",
}


# What a store of format 1 can tell, whose rows had no hash of their own.
TOLD_BY_1 = (
    "series gone",
    "hash of series",
    "status",
    "id as bytes",
    "outcomes",
    "outcomes that are none",
    "hash",
    "data of series",
    "quantities",
)


def downgrade(path: Path) -> None:
    """Make a store one of format 1."""
    with sqlite3.connect(path) as db:
        for column in (
            "studies DROP COLUMN seal",
            "runs DROP COLUMN seal",
            "runs DROP COLUMN series",
            "runs DROP COLUMN tables",
            "studies DROP COLUMN form",
        ):
            db.execute(f"ALTER TABLE {column}")
        db.execute("DROP TABLE tables")
        db.execute("PRAGMA user_version = 1")
    db.close()


def go_on(out: Path, said: list[str] | None = None) -> Tally:
    study = drive.study("outcome", drive.DEFAULTS | {k: str(v) for k, v in SIZE.items()})
    return run_study(study, out, workers=1, progress=Teller([] if said is None else said))


@pytest.mark.parametrize(
    ("what", "format"),
    [
        *((what, 2) for what in [*SPOILED, *BESIDE]),
        *(pytest.param(what, 1, marks=pytest.mark.nightly) for what in TOLD_BY_1[1:]),
        *((what, 1) for what in [TOLD_BY_1[0], "definition as bytes", "origin"]),
    ],
)
def test_damage_of_any_kind_is_told_named_and_made_good(
    mpbf: Command, sound: Path, earlier: Path, tmp_path: Path, what: str, format: int
) -> None:
    out = tmp_path / "o"
    sound = earlier if format == 1 else sound
    shutil.copytree(sound, out)
    if format == 1:
        downgrade(out / "study.sqlite")
    with sqlite3.connect(out / "study.sqlite") as db:
        db.execute((SPOILED | BESIDE)[what])
    db.close()
    # Whoever reads it may refuse, in one line; nothing ends in a traceback, and nothing is told as if it were whole.
    for arguments in (("study", "status", out), ("compare", out), ("study", "export", out), ("study", "failures", out)):
        done = mpbf(*arguments)
        assert "Traceback" not in done.stderr
        assert done.returncode in (0, 2, 3)
        if done.returncode == 2:
            assert len(done.stderr.splitlines()) == 1
    # A rescue takes what is whole; and a damaged store takes what it lacks.
    shutil.copytree(out, tmp_path / "target")
    saved = merge_stores(tmp_path / "saved", [out]) if what not in BESIDE else {"damaged": 0}
    said: list[str] = []
    with Store.open(out / "study.sqlite") as store:
        damaged = [row for row in store._rows(data=True) if not store._is_whole(row)]
    if what in SPOILED and what != "number":
        merge_stores(tmp_path / "target", [sound])
        assert tables_of(tmp_path / "target") == tables_of(sound)
    tally = go_on(out, said)
    assert tally.failed == 0
    if what in SPOILED:
        assert saved["damaged"] == len(damaged) > 0
        assert any(f"{len(damaged)} stored runs are damaged" in line for line in said), said
        assert tally.made == len(damaged)
    else:
        assert tally.made == 0
    assert tables_of(out) == tables_of(sound)
    # Once and for all.
    again: list[str] = []
    tally = go_on(out, again)
    assert (tally.made, tally.known, again) == (0, 200, [])
    assert "damaged" not in mpbf("study", "status", out).stdout


def test_a_driver_that_is_killed_while_it_upgrades_a_store_leaves_it_as_it_was_or_done(
    earlier: Path, tmp_path: Path
) -> None:
    rng, formats = random.Random(3), set()
    for number in range(8):
        out = tmp_path / f"o{number}"
        shutil.copytree(earlier, out)
        downgrade(out / "study.sqlite")
        driver = begin(out, "outcome", **SIZE)
        while not (out / "study.sqlite-journal").exists() and driver.poll() is None:
            time.sleep(0.0005)
        time.sleep(rng.uniform(0, 0.01))
        driver.kill()
        driver.wait()
        with sqlite3.connect(out / "study.sqlite") as db:
            (found,) = db.execute("PRAGMA user_version").fetchone()
            names = [row[1] for row in db.execute("PRAGMA table_info(runs)")]
        db.close()
        assert ("seal" in names) == ("series" in names) == (found == 2)
        formats.add(found)
        tally = go_on(out)
        assert (tally.made, tally.known) == (0, 200)
        assert tables_of(out) == tables_of(earlier)
    assert formats


def test_a_damaged_run_that_fails_when_it_is_made_again_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAULT", "nothing")
    monkeypatch.setitem(toys.FAULTS, "nothing", lambda: None)
    make(tmp_path, "faulty", **SIZE)
    with sqlite3.connect(tmp_path / "study.sqlite") as db:
        db.execute("UPDATE runs SET seal = NULL WHERE replicate = 3")
    db.close()
    monkeypatch.setenv("FAULT", "raises")
    study = drive.study("faulty", drive.DEFAULTS | {k: str(v) for k, v in SIZE.items()})
    tally = run_study(study, tmp_path, workers=1)
    assert (tally.made, tally.failed) == (8, 2)
    again = run_study(study, tmp_path, workers=1)
    assert (again.made, again.failed, again.failed_before) == (0, 0, 2)
    with open_results(tmp_path, "faulty", **SIZE) as results:
        assert len(results.failures) == 2
        assert len(results.mean_series())


def test_another_study_does_not_take_over_a_store_whose_definition_is_damaged(tmp_path: Path) -> None:
    make(tmp_path, "outcome", **SIZE)
    with sqlite3.connect(tmp_path / "study.sqlite") as db:
        db.execute("UPDATE studies SET definition = 'x' || definition")
    db.close()
    other = drive.study("logged", drive.DEFAULTS | {k: str(v) for k, v in SIZE.items()})
    with pytest.raises(StoreError, match="the definition of its study is damaged"):
        run_study(other, tmp_path, workers=1)
    assert make(tmp_path, "outcome", **SIZE).known == 200


class Teller(Silent):
    """Keeps what is said."""

    def __init__(self, lines: list[str]) -> None:
        self.say = lines.append  # type: ignore[method-assign]


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(1, 5))])
def test_random_damage_is_never_a_silent_loss_and_never_a_traceback(
    mpbf: Command, sound: Path, tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    whole, expected = (sound / "study.sqlite").read_bytes(), tables_of(sound)
    for number in range(20):
        out = tmp_path / f"o{number}"
        out.mkdir()
        data = bytearray(whole)
        match rng.randrange(5):
            case 0:
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            case 1:
                del data[rng.randrange(len(data) // 3, len(data)) :]
            case 2:
                page = rng.randrange(1, len(data) // 4096)
                data[4096 * page : 4096 * (page + 1)] = rng.randbytes(4096)
            case 3:
                a, b = sorted(rng.sample(range(1, len(data) // 4096), 2))
                one, two = (bytes(data[4096 * p : 4096 * (p + 1)]) for p in (a, b))
                data[4096 * a : 4096 * (a + 1)], data[4096 * b : 4096 * (b + 1)] = two, one
            case _:
                at = rng.randrange(len(data) - 64)
                data[at : at + 64] = bytes(64)
        (out / "study.sqlite").write_bytes(data)
        for arguments in (("study", "status", out), ("compare", out), ("study", "merge", tmp_path / f"s{number}", out)):
            done = mpbf(*arguments)
            assert "Traceback" not in done.stderr
            assert done.returncode in (0, 2, 3), (done.returncode, done.stderr)
        refused: list[Path] = []
        # Wherever the study can be gone on with, it ends with the same tables.
        for place in (out, tmp_path / f"s{number}"):
            if not (place / "study.sqlite").exists():
                continue
            try:
                go_on(place)
            except (StoreError, OutputError, StoppedError):
                refused.append(place)
                continue
            assert tables_of(place) == expected
        # A rescued store is sound.
        assert refused in ([], [out])


# --------------------------------------------------------------------------- no room


def test_a_disk_that_fills_up_keeps_what_was_committed(tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=900k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("a small disk cannot be mounted here (needs root)")
    try:
        size = {"scenarios": 20, "replicates": 40, "ticks": 60}
        done = drive_study(place / "o", "logged", env={"PAUSE": "0.012"}, **size)
        one_line(done, "could not be kept (database or disk is full)", "those before them are")
        kept = seeds_done(place / "o")
        assert 20 < len(kept) < 1600
        shutil.copytree(place / "o", tmp_path / "moved")
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
    assert make(tmp_path / "moved", "logged", **size).known == len(kept)
    make(tmp_path / "w", "logged", **size)
    assert tables(tmp_path / "moved", tmp_path / "a", "logged", **size) == tables(
        tmp_path / "w", tmp_path / "b", "logged", **size
    )


def test_a_file_that_may_not_grow_keeps_what_was_committed(tmp_path: Path) -> None:
    size = {"scenarios": 20, "replicates": 40, "ticks": 60}
    done = subprocess.run(
        command(tmp_path / "o", "logged", **size),
        env=os.environ | {"PAUSE": "0.012"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000)),
    )
    one_line(done, "could not be kept")
    kept = seeds_done(tmp_path / "o")
    assert 20 < len(kept) < 1600
    assert make(tmp_path / "o", "logged", **size).known == len(kept)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    one_line(drive_study(tmp_path / "file" / "o", "outcome"), "cannot be made")


def test_places_that_hold_no_study_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ["compare", tmp_path],
        ["study", "status", tmp_path / "none"],
        ["study", "merge", tmp_path],
        ["study", "replay", tmp_path, "abc"],
    ):
        with pytest.raises(SystemExit) as stop:
            main([str(a) for a in arguments])
        assert stop.value.code == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert HERE.exists()


def test_a_folder_in_the_place_of_a_store_is_one_line(tmp_path: Path, mpbf: Command) -> None:
    (tmp_path / "study.sqlite").mkdir()
    for asked in (["merge", tmp_path / "new", tmp_path], ["status", tmp_path]):
        one_line(mpbf("study", *asked), "is a folder, not the store of a study")
