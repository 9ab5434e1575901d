"""The store of a study: one SQLite file, written by one driver, read by anyone.

What is committed is kept, whenever the driver ends. Runs are found by their id; each row has a hash of all its columns
(one of them is the hash of the series that it owes) and of what its series are of, so that damage is noticed, reported
by run, and made good by the next driver. The rollback journal is used (not the write-ahead log), which is as safe on a
network file system as a database can be.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import sqlite3
import time
import tomllib
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import astuple, dataclass, field, replace
from functools import cached_property, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.errors import MpbfError, OutputError, StoppedError, did_you_mean, one_line, private, refuse
from mpbf_abm.model.spec import FORM
from mpbf_abm.outputs import STORE, holds_result
from mpbf_abm.provenance import content_hash, environment, version
from mpbf_abm.studies.definition import Recording
from mpbf_abm.studies.jobs import (
    Failure,
    Job,
    Record,
    Returned,
    hash_bytes,
    outcomes_hash,
    outcomes_text,
    unpack_outcomes,
    unpack_series,
    unpack_value,
)

FORMAT = 2
RENAMED = 2  # form in a store of definitions that were saved since the earlier presets have other names
EARLIER_PRESETS = re.compile(r'^preset = "(default|quick|faithful)"$', re.MULTILINE)
READS = (1, 2)  # rows of format 1 have no hash, and do not say which series they owe
APPLICATION = 0x4D504246  # "MPBF"
FILE = STORE
WAIT_SECONDS = 600.0
GRACE = 1.0  # seconds in which a killed driver must have let go
RESCUE = "mpbf study merge NEW OLD saves the runs that can be read"
AGAIN = "mpbf study run makes it again"
SET_ASIDE = "damaged"  # status of a row whose place the next run of its id takes
SHORTEST = 64  # bytes that a run takes at least
PATIENCE = 10_000  # rows in a row that cannot be read before the rest is given up

TABLES = files("mpbf_abm.studies").joinpath("store.sql").read_text(encoding="utf-8")
MORE_TABLES = TABLES.partition("-- Since format 2.")[2]
# Names and hashes of the tables that are there of a run, as its row says them.
TABLES_THERE = (
    "(SELECT nullif(json_group_object(name, hash), '{}') FROM"
    " (SELECT name, hash FROM tables WHERE tables.run = runs.number ORDER BY name))"
)


EMPTY = f"PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {FORMAT}; BEGIN; {TABLES} COMMIT;"

OF_A_RESULT = ""  # in place of the folder of a study: its runs are those of a result
LOST = {"unknown": "its record was damaged"}  # in place of an environment


class StoreError(MpbfError, RuntimeError):
    """A store that cannot be used: damaged, of another version, not a store, or in use."""


class DamageError(StoreError):
    """A definition of a study that is damaged."""


class StoredRow(NamedTuple):
    """A row of the table `runs` with what is there of its series (`there` is their hash) and of its tables."""

    number: int
    id: str
    scenario: str
    arm: str
    replicate: int
    seed: int
    status: str
    outcomes: str | None
    hash: str | None
    failure: str | None
    seconds: float
    attempts: int
    environment: int
    series: str | None
    tables: str | None
    seal: str | None
    there: str | None
    quantities: str | None
    ticks: str | None
    tables_there: str | None
    data: bytes | None

    @property
    def series_there(self) -> StoredSeries | None:
        """Its series, as far as they are there."""
        if self.there is None:
            return None
        return StoredSeries(listed(self.quantities), listed(self.ticks), self.there, self.data or b"")


RUN = StoredRow._fields[1:16]  # the columns that a driver writes
INSERT = f"INSERT INTO runs ({', '.join(RUN)}) VALUES ({', '.join('?' * len(RUN))})"  # noqa: S608 (constants)
REPLACE = f" ON CONFLICT (id) DO UPDATE SET {', '.join(f'{c} = excluded.{c}' for c in RUN[1:])}"
INSERT_STUDY = (
    "INSERT INTO studies (name, definition, model, fingerprint, folder, origin, form, saved, seal)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
# A run that is done takes the place of one that failed, or was damaged; a run that is done stays.
UPDATE = f"{REPLACE} WHERE runs.status <> 'done'"
INSERT_SERIES = (
    "INSERT OR REPLACE INTO series (run, quantities, ticks, hash, data)"
    " SELECT number, ?2, ?3, ?4, ?5 FROM runs WHERE id = ?1"
)
INSERT_TABLE = "INSERT OR REPLACE INTO tables (run, name, hash, data) SELECT number, ?2, ?3, ?4 FROM runs WHERE id = ?1"


class Look(NamedTuple):
    """What a store holds.

    Attributes
    ----------
    done, short, failed : sorted arrays of ids
        Sound runs that are done and noted what is wanted, that are done and did not, and that failed.
    damaged : int
        Rows that are not as they were written.
    """

    done: NDArray[np.bytes_]
    short: NDArray[np.bytes_]
    failed: NDArray[np.bytes_]
    damaged: int


def sealed(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Values of a row, and a hash of them."""
    return *row, hash_bytes(json.dumps(row).encode())


def sealed_run(row: tuple[Any, ...], quantities: str | None, ticks: str | None) -> tuple[Any, ...]:
    """Return the values of a run's row, and a hash of them and of what its series are of."""
    return *row, sealed((*row, quantities, ticks))[-1]


def is_sealed(row: Sequence[Any], seal: Any) -> bool:
    """Whether a hash is that of the values of a row."""
    try:
        return bool(sealed(tuple(row))[-1] == seal)
    except (TypeError, ValueError):
        return False


@dataclass(frozen=True)
class Saved:
    """A definition of a study as it was saved.

    Attributes
    ----------
    name, definition : str
        The definition is a study file.
    model : str
        Name of a custom model; empty for the ecosystem.
    fingerprint : str
        Of the model.
    folder : str
        Where data files are (:func:`folder_from`); an absolute path in stores of earlier versions.
    origin : str
        Where the materials came from, as JSON.
    form : int
        Of the ids of its runs (:data:`mpbf_abm.model.spec.FORM`).
    saved : str
        When.
    """

    name: str
    definition: str
    model: str
    fingerprint: str
    folder: str
    origin: str
    form: int = FORM
    saved: str = field(default="", compare=False)

    def data_folder(self, store: Path) -> Path:
        """Folder of the data files of a study that a store holds."""
        return Path(os.path.normpath(os.path.realpath(store.parent) / Path(os.path.expanduser(self.folder))))

    def moved(self, store: Path, other: Path) -> Saved:
        """Return the same as another store says it."""
        if self.folder == OF_A_RESULT:
            return self
        return replace(self, folder=folder_from(other, self.data_folder(store)))


def today(study: Saved) -> Saved:
    """Return a saved study with the presets of its definition under their present names, in the present form."""
    if study.form == RENAMED:
        return replace(study, form=FORM)
    return replace(study, definition=EARLIER_PRESETS.sub(r'preset = "single-\1"', study.definition))


def folder_from(store: Path, folder: Path) -> str:
    """Say where a folder is: seen from a store, or from the home folder (``~``) if only this one is in it."""
    here, there = os.path.realpath(store.parent), os.path.realpath(folder)
    if private(here) == here and private(there) != there:
        return private(there)
    try:
        return os.path.relpath(there, here)
    except ValueError:  # pragma: no cover - drives of Windows
        return there


@dataclass(frozen=True)
class StoredSeries:
    """Series of a run: quantities, ticks and the compressed array (ticks, quantities)."""

    quantities: tuple[str, ...]
    ticks: tuple[int, ...]
    hash: str
    data: bytes

    @property
    def of(self) -> tuple[str, str]:
        """Quantities and ticks as their row says them."""
        return json.dumps(self.quantities), json.dumps(self.ticks)

    def part(self, whole: NDArray[Any], ticks: Sequence[int], quantities: Sequence[str]) -> NDArray[Any]:
        """Return some ticks and quantities, all of which it has, of its uncompressed values."""
        rows, columns = [self.ticks.index(t) for t in ticks], [self.quantities.index(q) for q in quantities]
        return whole.reshape(len(self.ticks), len(self.quantities))[np.ix_(rows, columns)]


@dataclass(frozen=True)
class StoredRun:
    """A run as it is stored: its outcomes, or its failure."""

    id: str
    scenario: str
    arm: str
    replicate: int
    seed: int
    outcomes: dict[str, float] | None
    hash: str
    failure: Failure | None
    seconds: float
    attempts: int
    environment: int
    series: StoredSeries | None
    tables: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        """Whether it has results."""
        return self.outcomes is not None

    def row(self) -> tuple[Any, ...]:
        """Return the values of the table `runs`."""
        outcomes = None if self.outcomes is None else outcomes_text(self.outcomes)
        failure = None if self.failure is None else json.dumps(vars(self.failure))
        place = (self.id, self.scenario, self.arm, self.replicate, self.seed, "done" if self.done else "failed")
        made = (outcomes, self.hash or None, failure, self.seconds, self.attempts, self.environment)
        if self.series is None:
            return sealed_run((*place, *made, None, tables_text(self.tables)), None, None)
        return sealed_run((*place, *made, self.series.hash, tables_text(self.tables)), *self.series.of)


@lru_cache
def listed(text: str | None) -> tuple[Any, ...]:
    """Read quantities or ticks as a row says them."""
    return tuple(json.loads(text or "[]"))


def holds(row: StoredRow, wanted: Recording) -> bool:
    """Return whether a sound row holds what is wanted."""
    noted = all(f"{json.dumps(key)}:" in (row.outcomes or "") for key in wanted.measures)
    if wanted.tables:
        noted = noted and set(wanted.tables) <= json.loads(row.tables or "{}").keys()
    if wanted.series:
        series, ticks = (set(listed(text)) for text in (row.quantities, row.ticks))
        noted = noted and set(wanted.series) <= series and set(wanted.ticks) <= ticks
    return noted


def _loaded(text: Any, digest: str = "") -> Any:
    """Return what JSON in the store says; None where it is damaged, or has another hash than is given."""
    with contextlib.suppress(ValueError, TypeError, RecursionError):
        found = json.loads(text)
        return found if not digest or content_hash(found) == digest else None
    return None


def tables_text(tables: Mapping[str, bytes]) -> str | None:
    """Names and hashes of tables as a row says them; None without any."""
    if not tables:
        return None
    return json.dumps({name: hash_bytes(tables[name]) for name in sorted(tables)}, separators=(",", ":"))


class Store(AbstractContextManager["Store"]):
    """An open store; see :meth:`open`."""

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: Any = None) -> None:
        self.path, self._db, self._lock = path, connection, lock
        self._waiting: list[tuple[StoredRun, bool]] = []
        self.apart: list[str] = []
        """Runs that were made again, to note more, with other results."""
        self._scenarios: dict[str, str] = {}
        self._known: set[str] = set()
        self._environment: int | None = None
        self._format = FORMAT
        self._mended: set[str] = set()

    # ------------------------------------------------------------------ opening

    @classmethod
    def open(cls, path: Path, *, write: bool = False) -> Self:
        """Open a store that exists; to write, also one that does not exist yet.

        Raises
        ------
        StoreError
            If another driver holds it, or it cannot be used.
        """
        refuse(path.is_dir(), f"{path}: is a folder, not the store of a study", StoreError)
        new = not path.exists()
        refuse(new and not write, f"{path}: no such store", StoreError)
        taken = f"{path.parent}: holds results; the runs of a study go into a separate folder"
        refuse(new and holds_result(path.parent), taken, OutputError)
        # A store is one, by whichever link it is reached.
        real = Path(os.path.realpath(path))
        lock = _take_lock(real) if write else None
        try:
            if write and not (path.exists() and path.stat().st_size):
                _create(real)
            store = cls(path, _connect(path, write), lock)
            with _one_line(path):
                store._check_format()
        except BaseException:
            _release(real, lock)
            raise
        return store

    @classmethod
    def memory(cls) -> Self:
        """Return a store that ends with the process: nothing is written anywhere."""
        db = sqlite3.connect(":memory:")
        db.executescript(EMPTY)
        return cls(Path(":memory:"), db)

    def _check_format(self) -> None:
        mark = self._db.execute("PRAGMA application_id").fetchone()[0]
        found = self._db.execute("PRAGMA user_version").fetchone()[0]
        refuse(mark != APPLICATION, f"{self.path}: is a database, but not the store of a study", StoreError)
        reads = f"mpbf_abm {version()} reads formats {READS[0]} to {READS[-1]}"
        refuse(found not in READS, f"{self.path}: has store format {found}; {reads}", StoreError)
        self._format = int(found)

    def close(self) -> None:
        """Commit what waits, and let go."""
        try:
            self.commit()
        finally:
            self._db.close()
            _release(Path(os.path.realpath(self.path)), self._lock)
            self._lock = None

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------------ the study

    def save_study(self, study: Saved) -> None:
        """Note the definition of the runs from now on, unless it is the last one; comes before all other writing."""
        self._upgrade()
        with contextlib.suppress(DamageError):
            if self.last_study() == study:
                return
        with _one_line(self.path):
            form = RENAMED if study.form else 0
            self._db.execute(INSERT_STUDY, sealed(astuple(replace(study, form=form, saved=study.saved or _now()))))
            self._db.commit()

    def last_study(self, *, sound: bool = False) -> Saved | None:
        """Definition that was saved last.

        Parameters
        ----------
        sound : bool
            Take the last one that is as it was written, instead.

        Raises
        ------
        DamageError
            If it is damaged.
        """
        anew = f"mpbf study run STUDY.toml --out {self.path.parent} notes it anew"
        for study in self._studies():
            if study is not None:
                return study
            refuse(not sound, f"{self.path}: the definition of its study is damaged; {anew}", DamageError)
        return None

    def form(self) -> int | None:
        """Form of the ids of its runs, which also a definition says that is damaged; None without any."""
        column = "form" if self._format > 1 else "0"
        rows = self._query(f"SELECT {column} FROM studies ORDER BY number DESC LIMIT 1")  # noqa: S608
        return next((min(form, FORM) for (form,) in rows if form in (0, FORM, RENAMED)), None)

    def _studies(self) -> Iterator[Saved | None]:
        """Definitions, the last one first; None for one that is damaged."""
        more = "form, saved, seal" if self._format > 1 else "0, saved, NULL"
        query = f"SELECT name, definition, model, fingerprint, folder, origin, {more} FROM studies ORDER BY number DESC"  # noqa: S608
        for *row, seal in self._query(query):
            good = all(isinstance(value, str) for value in [*row[:6], row[7]]) and isinstance(row[6], int)
            good = good and (self._format == 1 or is_sealed(row, seal))
            yield today(Saved(*row)) if good else None

    # ------------------------------------------------------------------ writing

    def add(
        self,
        job: Job,
        key: str,
        arm: str,
        parameters: dict[str, Any],
        result: Record | Failure,
        noted: Recording,
        made: tuple[float, int] = (0.0, 1),
        *,
        more: bool = False,
    ) -> None:
        """Add a run that is over; it counts once it is committed (:meth:`commit`).

        With `more` it is there already, and adds what it did not note before; `made` are its seconds and attempts.
        """
        if key not in self._known:
            self._scenarios[key] = json.dumps(parameters)
        failure = result if isinstance(result, Failure) else None
        run = StoredRun(job.id, key, arm, job.replicate, job.seed, None, "", failure, *made, 0, None)
        self._waiting.append((again(run, result, noted), more) if isinstance(result, Record) else (run, False))

    def commit(self) -> int:
        """Make durable what was added; returns how many runs that was.

        Raises
        ------
        StoppedError
            If there is no room, or the disk fails; what was committed before is kept.
        """
        count = len(self._waiting)
        if not count:
            return 0
        try:
            machine = self._environment or self._own_environment()
            self._note_scenarios(self._scenarios)
            for run, more in self._waiting:
                if not more:
                    self._put(replace(run, environment=machine))
                elif not self._enlarge(run, environment=machine):
                    self.apart.append(run.id)
            self._db.commit()
        except sqlite3.DatabaseError as error:
            with contextlib.suppress(sqlite3.Error):
                self._db.rollback()
            raise StoppedError(
                f"{self.path}: {count} runs could not be kept ({error}); those before them are"
            ) from None
        finally:
            self._waiting = []
        self._environment = machine
        self._known |= self._scenarios.keys()
        self._scenarios = {}
        return count

    def _enlarge(self, new: StoredRun, **changes: Any) -> bool:
        """Add what a run that was made again noted more, if what both noted has equal bits; return whether it has."""
        both = enlarged(next(self.runs("runs.id = ?", (new.id,))), new)
        if both is not None:
            self._put(replace(both, **changes), REPLACE)
        return both is not None

    def _put(self, run: StoredRun, clause: str = UPDATE) -> None:
        """Write a run with its series and tables; those of a damaged run whose place it takes go."""
        self._db.execute(INSERT + clause, run.row())
        if run.id in self._mended:
            for part in ("series", "tables"):
                self._db.execute(f"DELETE FROM {part} WHERE run = (SELECT number FROM runs WHERE id = ?)", (run.id,))  # noqa: S608
        if run.series is not None:
            self._db.execute(INSERT_SERIES, (run.id, *run.series.of, run.series.hash, run.series.data))
        for name, data in run.tables.items():
            self._db.execute(INSERT_TABLE, (run.id, name, hash_bytes(data), data))

    def _note_scenarios(self, texts: Mapping[str, str]) -> None:
        self._db.executemany("INSERT OR IGNORE INTO scenarios VALUES (?, ?)", texts.items())

    def _own_environment(self) -> int:
        return self._note_environment(environment() | {"mpbf_abm": version()})

    def _note_environment(self, content: dict[str, str]) -> int:
        digest = content_hash(content)
        values = (digest, json.dumps(content, sort_keys=True))
        self._db.execute("INSERT OR IGNORE INTO environments (hash, content) VALUES (?, ?)", values)
        return int(self._db.execute("SELECT number FROM environments WHERE hash = ?", (digest,)).fetchone()[0])

    # ------------------------------------------------------------------ reading

    def _query(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return the rows of a query; what SQLite says of the file becomes one line."""
        with _one_line(self.path):
            return self._db.execute(query, values).fetchall()

    def _rows(self, where: str = "1", values: Sequence[Any] = (), *, data: bool = False) -> Iterator[StoredRow]:
        """Read rows of runs, with the data of their series if asked for."""
        columns = [f"runs.{name}" for name in RUN] + ["series.hash", "quantities", "ticks", TABLES_THERE]
        if self._format == 1:
            columns[-7:-4] = ["NULL"] * 3
            columns[-1] = "NULL"
        columns.append("series.data" if data else "NULL")
        with _one_line(self.path):
            query = (
                f"SELECT number, {', '.join(columns)} FROM runs LEFT JOIN series ON series.run = number WHERE {where}"  # noqa: S608
            )
            yield from map(StoredRow._make, self._db.execute(query, values))

    def _is_sound(self, row: StoredRow) -> bool:
        """Whether a row is as it was written, and its series are there (what they hold is not looked at)."""
        if row.status not in ("done", "failed"):
            return False
        if self._format == 1:
            there = row.there is not None or row.status == "failed" or not self._owes
            return len(str(row.id)) == 32 and str(row.id).isascii() and there
        there = row.series == row.there and row.tables == row.tables_there
        return there and is_sealed((*row[1:15], row.quantities, row.ticks), row.seal)

    @cached_property
    def _owes(self) -> bool:
        """Whether runs of format 1 owe series, which rows do not say: all definitions of the store ask for some."""
        asked = []
        for study in self._studies():
            with contextlib.suppress(ValueError):
                asked.append(bool(tomllib.loads(study.definition).get("series", {}).get("of")) if study else False)
        return bool(asked) and all(asked)

    def look(self, wanted: Recording | None = None) -> Look:
        """Return ids of all sound runs, and how many are damaged.

        Parameters
        ----------
        wanted : Recording, optional
            What a run must have noted to count as done; anything will do if not given.
        """
        found: dict[str, list[bytes]] = {"done": [], "short": [], "failed": []}
        damaged = 0
        for row in self._rows():
            if self._is_sound(row):
                kind = row.status if row.status == "failed" or holds(row, wanted or Recording()) else "short"
                found[kind].append(row.id.encode())
            else:
                damaged += row.status != SET_ASIDE
        done, short, failed = (np.sort(np.array(ids, "S32")) for ids in found.values())
        return Look(done, short, failed, damaged)

    def noted(self, id: str) -> Recording:
        """Return what a finished run noted along its way."""
        (row,) = self._rows("runs.id = ?", (id,))
        return Recording((), listed(row.quantities), listed(row.ticks), tuple(json.loads(row.tables or "{}")))

    def mend(self) -> list[str]:
        """Set damaged rows aside, so that the next runs of their ids take their places; return the ids as they are now.

        Raises
        ------
        StoreError
            If pages are damaged, so that rows cannot be found.
        """
        self._upgrade()
        with _one_line(self.path):
            if self._fault():
                self._db.execute("REINDEX")
                if fault := self._fault():
                    raise StoreError(f"{self.path}: is damaged ({fault}); {RESCUE}")
            damaged = [r for r in self._rows(data=True) if r.status != SET_ASIDE and not self._is_whole(r)]
            numbers = [(SET_ASIDE, row.number) for row in damaged]
            self._db.executemany("UPDATE runs SET status = ? WHERE number = ?", numbers)
            aside = self._db.execute("SELECT id FROM runs WHERE status = ?", (SET_ASIDE,))
            self._mended = {str(id) for (id,) in aside}
            self._db.commit()
        return [_shown(row.id) for row in damaged]

    def _fault(self) -> str:
        """Return the first fault of the file's pages after SQLite; values are looked at row by row."""
        values = ("ok", "NULL value in", "NUMERIC value in", "TEXT value in", "non-")
        said = [str(row[0]) for row in self._db.execute("PRAGMA integrity_check")]
        return next((one_line(line) for line in said if not line.startswith(values)), "")

    def _is_whole(self, row: StoredRow) -> bool:
        """Whether a row is as it was written, with what its series hold."""
        if self._format > 1 and row.there is None and row.tables is None:
            return self._is_sound(row)
        try:
            self._stored(row)
        except StoreError:
            return False
        return True

    def counts(self) -> dict[str, int]:
        """Number of runs by status."""
        return dict(self._query("SELECT status, count(*) FROM runs GROUP BY status"))

    def hashes(self) -> list[tuple[str, str, str]]:
        """Id of every finished run, with the hashes of its outcomes and of its series."""
        return [(row.id, row.hash or "", row.there or "") for row in self._sound("status = 'done'")]

    def _sound(self, where: str = "1") -> Iterator[StoredRow]:
        """Read rows of runs that are as they were written."""
        return filter(self._is_sound, self._rows(where))

    def last_replicate(self) -> int:
        """Largest number of a replicate; -1 in an empty store."""
        ((last,),) = self._query("SELECT max(replicate) FROM runs WHERE typeof(replicate) = 'integer'")
        return -1 if last is None else int(last)

    def environments(self) -> dict[int, dict[str, str]]:
        """Kinds of machines and versions that runs were made by; a damaged record says that it is."""
        rows = self._query("SELECT number, hash, content FROM environments")
        read = {number: _loaded(content, digest) or LOST for number, digest, content in rows}
        # Earlier versions noted the name of the machine.
        return {number: {part: said for part, said in e.items() if part != "host"} for number, e in read.items()}

    def scenarios(self) -> dict[str, dict[str, Any]]:
        """What varied, by scenario key, as far as it can be read."""
        rows = self._query("SELECT key, parameters FROM scenarios")
        return {key: found for key, text in rows if (found := _loaded(text)) is not None}

    def outcomes(self, *, damaged: bool = False) -> Iterator[tuple[str, dict[str, float]]]:
        """Id and outcomes of every finished run, each checked against its hash.

        Parameters
        ----------
        damaged : bool
            Pass over damaged runs.

        Raises
        ------
        StoreError
            At the first damaged run; it is named.
        """
        for row in self._rows("status = 'done'"):
            if (sound := self._is_sound(row)) or not damaged:
                yield row.id, self._checked(row, sound)

    def _checked(self, row: StoredRow, sound: bool) -> dict[str, float]:
        """Return the outcomes of a row that is known to be sound, or not."""
        with self._damage(row, "outcomes are", sound=sound):
            outcomes = unpack_outcomes(row.outcomes or "")
            # The hash of a row is of their text.
            if self._format == 1 and outcomes_hash(outcomes) != row.hash:
                raise ValueError
            return outcomes

    @contextmanager
    def _damage(self, row: StoredRow, what: str, *, sound: bool) -> Iterator[None]:
        """Name the run of a row that is not sound, or cannot be read."""
        try:
            if not sound:
                raise ValueError
            yield
        except (ValueError, TypeError, AttributeError, RecursionError):
            said = f"{self.path}: run {_shown(row.id)}: its {what} damaged; {AGAIN}, and {RESCUE}"
            raise StoreError(said) from None

    def seconds(self) -> Iterator[tuple[str, str, float, int, int]]:
        """Id, status, seconds, attempts and environment of every sound run."""
        for row in self._sound():
            yield row.id, row.status, row.seconds, row.attempts, row.environment

    def series(self) -> Iterator[tuple[str, StoredSeries]]:
        """Read id and series of every run that has any; their data are not yet checked (:func:`series_bytes` does).

        Raises
        ------
        StoreError
            At the first run whose series are gone; it is named.
        """
        for row in self._rows("runs.status = 'done'", data=True):
            with self._damage(row, "series are", sound=self._is_sound(row)):
                series = row.series_there
            if series is not None:
                yield row.id, series

    def run(self, id: str) -> StoredRun:
        """Read one run, whole, by its id or the first characters of it."""
        ids = self._query("SELECT id FROM runs WHERE id >= ? AND id < ? LIMIT 3", (id, id + "g"))
        if not ids:
            known = [_shown(other) for (other,) in self._query("SELECT id FROM runs LIMIT 10000")]
            raise StoreError(f"{self.path}: no run '{id}'{did_you_mean(id, known)}")
        begin = ", ".join(i[:12] for (i,) in ids)
        refuse(len(ids) > 1, f"{self.path}: several runs begin with '{id}': {begin}, ...", StoreError)
        return next(self.runs("runs.id = ?", ids[0]))

    def finished(self, id: str, wanted: Recording) -> Returned | None:
        """Return what was noted of a finished run at some ticks, if it is here and noted all of it."""
        row = next(self._rows("runs.id = ? AND status = 'done'", (id,), data=True), None)
        if row is None or not self._is_sound(row) or not holds(row, wanted):
            return None
        run, series = self._stored(row), None
        if run.series is not None and wanted.series:
            whole = unpack_series(run.series.data, len(run.series.quantities))
            series = run.series.part(whole, wanted.ticks, wanted.series)
        tables = {name: unpack_value(run.tables[name]) for name in wanted.tables}
        return Returned(run.outcomes or {}, series, tables)

    def failures(self) -> Iterator[StoredRun]:
        """Runs that failed, in the order of their ids."""
        return self.runs("status = 'failed'")

    def runs(self, where: str = "1", values: Sequence[Any] = ()) -> Iterator[StoredRun]:
        """Whole runs in the order of their ids, each checked against its hashes."""
        for row in self._rows(f"{where} ORDER BY id", values, data=True):
            yield self._stored(row)

    def readable(self) -> Iterator[StoredRun | None]:
        """Every run that can be found, row by row; None for one that is damaged."""
        failed = 0
        for number in self._numbers():
            try:
                for row in self._rows("runs.number = ?", (number,), data=True):
                    if row.status != SET_ASIDE:
                        yield self._stored(row)
                failed = 0
            except (MpbfError, sqlite3.DatabaseError):
                failed += 1
                if failed > PATIENCE:
                    return
                yield None

    def _numbers(self) -> Iterable[int]:
        """Numbers of all rows; every number that one may have, where pages are damaged."""
        try:
            if not self._fault():
                return [row[0] for row in self._db.execute("SELECT number FROM runs")]
        except sqlite3.DatabaseError:
            pass
        return range(1, self.path.stat().st_size // SHORTEST + 1)

    def _stored(self, row: StoredRow) -> StoredRun:
        """Make a run of a row, or say how it is damaged."""
        place = (row.id, row.scenario, row.arm, row.replicate, row.seed)
        made = (row.seconds, row.attempts, row.environment)
        with self._damage(row, "record is", sound=self._is_sound(row)):
            if row.status != "done":
                return StoredRun(*place, None, "", Failure(**json.loads(row.failure or "")), *made, None)
            series, tables = row.series_there, self._tables_of(row)
            if series is not None:
                series_bytes(self.path, row.id, series)
        return StoredRun(*place, self._checked(row, True), row.hash or "", None, *made, series, tables)

    def _tables_of(self, row: StoredRow) -> dict[str, bytes]:
        """Tables of a sound row, each checked against its hash."""
        if row.tables is None:
            return {}
        wanted: dict[str, str] = json.loads(row.tables)
        held = dict(self._query("SELECT name, data FROM tables WHERE run = ?", (row.number,)))
        if {name: hash_bytes(data) for name, data in held.items()} != wanted:
            raise ValueError
        return held

    def tables(self) -> Iterator[tuple[str, dict[str, bytes]]]:
        """Read id and tables of every finished run that has any, each checked against its hash.

        Raises
        ------
        StoreError
            At the first run whose tables are damaged; it is named.
        """
        for row in self._rows("runs.status = 'done' AND runs.tables IS NOT NULL" if self._format > 1 else "0"):
            with self._damage(row, "tables are", sound=self._is_sound(row)):
                tables = self._tables_of(row)
            yield row.id, tables

    def _upgrade(self) -> None:
        """Give the rows of a store of format 1 the hashes that they lack; a damaged one gets none."""
        if self._format == FORMAT:
            return
        with _one_line(self.path):
            # A driver that is killed leaves the store as it was.
            self._db.execute("BEGIN IMMEDIATE")
            seals = [
                (row.there, sealed_run((*row[1:13], row.there, None), row.quantities, row.ticks)[-1], row.number)
                for row in self._rows(data=True)
                if self._is_whole(row)
            ]
            query = "SELECT number, name, definition, model, fingerprint, folder, origin, saved FROM studies"
            studies = [row for row in self._db.execute(query) if all(isinstance(value, str) for value in row[1:])]
            sound = [(sealed((*row[:-1], 0, row[-1]))[-1], number) for number, *row in studies]
            added = ["studies ADD COLUMN seal TEXT", "studies ADD COLUMN form INTEGER NOT NULL DEFAULT 0"]
            for change in added + [f"runs ADD COLUMN {name} TEXT" for name in ("series", "tables", "seal")]:
                self._db.execute(f"ALTER TABLE {change}")
            self._db.execute(MORE_TABLES)
            self._db.executemany("UPDATE runs SET series = ?, seal = ? WHERE number = ?", seals)
            self._db.executemany("UPDATE studies SET seal = ? WHERE number = ?", sound)
            self._db.execute(f"PRAGMA user_version = {FORMAT}")
            self._db.commit()
        self._format = FORMAT

    # ------------------------------------------------------------------ joining stores

    def merge(self, sources: Iterable[Store], notify: Callable[[], None] = lambda: None) -> dict[str, int]:
        """Copy all runs that can be read from other stores into this one.

        Parameters
        ----------
        sources : iterable of Store
        notify : callable, optional
            Called for each run looked at.

        Returns
        -------
        dict
            Numbers: added, known (there already), damaged, different (done in both with other results).

        Notes
        -----
        Comes after :meth:`mend`: what is damaged here is then taken from there.
        """
        count = dict.fromkeys(("added", "known", "damaged", "different"), 0)
        for source in sources:
            environments, scenarios = if_readable(source.environments, {}), if_readable(source.scenarios, {})
            with _one_line(self.path):
                numbers = {n: self._note_environment(c) for n, c in environments.items() if c != LOST}
                self._note_scenarios({key: json.dumps(parameters) for key, parameters in scenarios.items()})
            for run in source.readable():
                with _one_line(self.path):
                    count["damaged" if run is None else self._take(run, numbers)] += 1
                notify()
            with _one_line(self.path):
                self._db.commit()
        return count

    def _take(self, run: StoredRun, numbers: dict[int, int]) -> str:
        held = self._db.execute("SELECT status, hash, series, tables FROM runs WHERE id = ?", (run.id,)).fetchone()
        if held is not None and (held[0] == "done" or (held[0] == "failed" and not run.done)):
            same = held[1:] == (run.hash, None if run.series is None else run.series.hash, tables_text(run.tables))
            return "known" if same or not run.done or self._enlarge(run) else "different"
        self._put(replace(run, environment=numbers.get(run.environment) or self._note_environment(LOST)))
        return "added"


def again(run: StoredRun, record: Record, noted: Recording) -> StoredRun:
    """Return a run with the record of another time that it was made."""
    outcomes, series = unpack_outcomes(record.outcomes), None
    if record.series is not None:
        series = StoredSeries(noted.series, noted.ticks, record.series_hash, record.series)
    return replace(run, outcomes=outcomes, hash=record.hash, series=series, tables=record.tables)


def _differ(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Return whether outcomes differ that both of two records of a run hold."""
    common = sorted(a.keys() & b.keys())
    one, other = (outcomes_hash({name: outcomes[name] for name in common}) for outcomes in (a, b))
    return one != other


def enlarged(held: StoredRun, new: StoredRun) -> StoredRun | None:
    """Return a finished run with all that either of two records of it holds; None if they differ in what both hold."""
    a, b = held.outcomes or {}, new.outcomes or {}
    if _differ(a, b) or any(held.tables[n] != new.tables[n] for n in held.tables.keys() & new.tables.keys()):
        return None
    series = held.series or new.series
    if held.series is not None and new.series is not None and (series := _larger(held.series, new.series)) is None:
        return None
    outcomes, tables = dict(sorted((a | b).items())), {**held.tables, **new.tables}
    return replace(held, outcomes=outcomes, hash=outcomes_hash(outcomes), series=series, tables=tables)


def _larger(held: StoredSeries, new: StoredSeries) -> StoredSeries | None:
    """The one of two series of a run that holds the other, else the first; None where bits that both hold differ."""
    ticks = sorted(set(held.ticks) & set(new.ticks))
    names = sorted(set(held.quantities) & set(new.quantities))
    one, other = (s.part(np.frombuffer(zlib.decompress(s.data), "<i8"), ticks, names) for s in (held, new))
    if not np.array_equal(one, other):
        return None
    holds = set(held.quantities) <= set(new.quantities) and set(held.ticks) <= set(new.ticks)
    return new if holds else held


def series_bytes(path: Path, id: str, series: StoredSeries) -> bytes:
    """Uncompressed series of a run, checked against their hash."""
    try:
        data = zlib.decompress(series.data)
    except (zlib.error, TypeError):
        data = b""
    if hash_bytes(data) != series.hash:
        raise StoreError(f"{path}: run {id}: its series are damaged; {AGAIN}, and {RESCUE}")
    return data


def has(sorted_ids: NDArray[np.bytes_], id: str) -> bool:
    """Whether an id is among sorted ones."""
    i = int(np.searchsorted(sorted_ids, id.encode()))
    return i < len(sorted_ids) and bool(sorted_ids[i] == id.encode())


# --------------------------------------------------------------------------- files and locks


def _create(path: Path) -> None:
    """Make an empty store beside its place and move it there, so that no reader ever opens half of one."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with _one_line(path), contextlib.closing(sqlite3.connect(new)) as db:
        db.executescript(EMPTY)
    new.replace(path)


def _connect(path: Path, write: bool) -> sqlite3.Connection:
    try:
        if write or (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
            # A journal that a killed driver left is rolled back by whoever opens the file first.
            db = sqlite3.connect(path, timeout=WAIT_SECONDS)
        else:
            db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=WAIT_SECONDS)
        if write:
            db.execute("PRAGMA journal_mode = DELETE")
            db.execute("PRAGMA synchronous = FULL")
        else:
            db.execute("PRAGMA query_only = 1")
        # A byte that is no text is a damaged value of its row, and no more.
        db.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
        db.execute("PRAGMA cell_size_check = 1")
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.DatabaseError as error:
        raise _error(path, error) from None
    return db


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    """Turn what SQLite says of a file into one clear line."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise _error(path, error) from None


def _shown(id: Any) -> str:
    """An id as it can be printed."""
    return str(id).encode("utf-8", "backslashreplace").decode("utf-8")


def _error(path: Path, error: sqlite3.DatabaseError) -> MpbfError:
    text = str(error)
    if any(word in text for word in ("malformed", "not a database", "corrupt", "no such table", "no such column")):
        return StoreError(f"{path}: is damaged, or not a store ({text}); {RESCUE}")
    if "locked" in text:
        return StoreError(f"{path}: is locked by another program")
    return OutputError(f"{path}: {text}")


def _take_lock(path: Path) -> Any:
    """Hold the store for this driver alone, until it closes the store or ends."""
    from filelock import FileLock, Timeout

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_name(f".{path.name}.lock"))
        # A process that a killed driver had just begun to start holds its files for another moment.
        lock.acquire(timeout=GRACE, poll_interval=0.05)
    except Timeout:
        try:
            who = f" ({_holder(path).read_text(encoding='utf-8').strip()})"
        except OSError:
            who = ""
        raise StoreError(f"{path}: another driver is at work on it{who}") from None
    except OSError as error:
        raise OutputError(f"{path}: cannot be made ({error.strerror})") from None
    with contextlib.suppress(OSError):
        _holder(path).write_text(f"process {os.getpid()} on {socket.gethostname()}, since {_now()}\n", encoding="utf-8")
    return lock


def _holder(path: Path) -> Path:
    return path.with_name(f".{path.name}.driver")


def _release(path: Path, lock: Any) -> None:
    if lock is not None:
        with contextlib.suppress(OSError):
            _holder(path).unlink()
        lock.release()


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def if_readable(read: Any, instead: Any) -> Any:
    """What a method of a store returns, or something instead where the store is damaged."""
    try:
        return read()
    except MpbfError:
        return instead
