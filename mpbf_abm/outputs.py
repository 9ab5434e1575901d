"""Folders of results: a result replaces what an earlier one of its kind wrote, if unchanged, and nothing else."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import html
import json
import math
import os
import re
import shutil
import sys
import tempfile
import textwrap
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from mpbf_abm.errors import OutputError, private, refuse, visible
from mpbf_abm.provenance import content_hash, record

if TYPE_CHECKING:
    import pandas as pd

    Frames = Mapping[str, pd.DataFrame]

RECORD = "provenance.json"
STORES = ".sqlite"
STORE = "study.sqlite"
RUNS = "runs"  # folder, inside one of results, of the store of the runs that they come from
NAMED = 5  # files that a message names
ELSEWHERE = "move it away, or choose another folder"
SOURCES = {"run": "plan", "pool": "pool"}  # what a result is of, where that is no study


@dataclass(frozen=True)
class Held:
    """What a folder holds of an earlier result.

    Attributes
    ----------
    kind, of : str
        As for :class:`OutputFolder`; None where the folder holds none.
    files : dict of str to set of str
        Hash of each file; several where a replacement was cut off, so that files of both results may be there.
    """

    kind: str | None = None
    of: str = ""
    files: dict[str, set[str]] = field(default_factory=dict)


class OutputFolder:
    """A folder that a result is written to.

    Files are written to a hidden folder beside the destination (inside it, if that is a mounted disk) and moved into
    place at the end. The record (``provenance.json``) lists every file with its hash. A destination that holds an
    earlier result and nothing else is replaced whole; where it holds other files, too, those stay, and the others are
    replaced one by one (meanwhile the record has a list `replaced`).

    Parameters
    ----------
    path : Path
        Destination: a folder that does not exist, is empty, or holds an earlier result.
    kind : str
        What the result is: run, compare, ... Another kind does not replace it.
    of : str
        What it is a result of; empty if that does not matter. A result of something else does not replace it.
    force : bool
        Let the result of something else be replaced.

    Attributes
    ----------
    written : list of str
        Files of the result, at the end.
    kept : list of str
        Files and folders in the destination that the result did not write, at the end.

    Raises
    ------
    OutputError
        For a destination that is a file, holds the runs of a study, another result, files but no result, or a file of
        the earlier result that was changed since. At the end, where the destination has become such a one meanwhile:
        the result is then kept in a folder beside it.
    """

    def __init__(self, path: str | Path, kind: str, of: str = "", *, force: bool = False) -> None:
        self.path, self.kind, self.of, self.force = Path(path), kind, of, force
        self.written, self.kept, self._moved = list[str](), list[str](), False
        try:
            # A link to a folder stays one.
            self._place = Path(os.path.realpath(self.path))
            self._work = self._place
            self._place.parent.mkdir(parents=True, exist_ok=True)
            with alone(self._place.parent):
                self._recover()
                self._check()
        except OSError as error:
            raise OutputError(self._words(error)) from None

    def __enter__(self) -> Path:
        try:
            beside = self._place if os.path.ismount(self._place) else self._place.parent
            self._work = Path(tempfile.mkdtemp(prefix=f".{self._place.name}.", dir=beside))
            # mkdtemp makes private folders; results are meant to be shared like other files.
            umask = os.umask(0)
            os.umask(umask)
            self._work.chmod(0o777 & ~umask)
        except OSError as error:
            raise OutputError(self._words(error)) from None
        return self._work

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is not None:
            shutil.rmtree(self._work, ignore_errors=True)
            return
        try:
            new = seal(self._work, self.kind, self.of)
            self.written = sorted([*new["outputs"], RECORD])
            self._publish(new)
        except OSError as failure:
            what = "what is not there yet of the result" if self._moved else "the result"
            raise OutputError(f"{self._words(failure)}; {what} is kept in {self._save()}") from None

    def _words(self, failure: OSError) -> str:
        if isinstance(failure, OutputError):
            return str(failure)
        return f"{self.path}: cannot be written ({failure.strerror})"

    # ------------------------------------------------------------------ what is there

    def _recover(self) -> None:
        """Put back an earlier result that a program was about to replace when it was killed."""
        if not os.path.lexists(self._place):
            left = list(self._place.parent.glob(f".{glob.escape(self._place.name)}.*.old"))
            if len(left) == 1:
                left[0].rename(self._place)

    def _check(self, new: Iterable[str] = ()) -> Held:
        """Return what there is of an earlier result; raise unless it may be replaced, and all else can stay as it is.

        Parameters
        ----------
        new : iterable of str
            Files that are to be moved there.
        """
        if not self._place.exists():
            return Held()
        self._refuse(not self._place.is_dir(), "is a file, not a folder")
        self._refuse(holds_store(self._place), "holds the runs of a study; a result goes into a separate folder")
        if not self._others(()):
            return Held()
        held = self._read()
        other, more = SOURCES.get(self.kind, "study"), ", or --force" if self.kind == "run" else ""
        self._refuse(held.kind not in (None, self.kind), f"holds another result ({held.kind}); choose another folder")
        replaced = held.of == self.of or self.force
        self._refuse(not replaced, f"holds the results of another {other}; choose another folder{more}")
        there = {name: hashes for name, hashes in held.files.items() if os.path.lexists(self._place / name)}
        changed = [name for name, hashes in there.items() if not self._is_ours(name, hashes)]
        self._refuse(changed, f"changed since mpbf wrote it: {some(changed)}; {ELSEWHERE}")
        taken = list(dict.fromkeys(filter(None, (self._in_the_way(name, held) for name in new))))
        self._refuse(taken, f"in the way, and not written by mpbf: {some(taken)}; {ELSEWHERE}")
        return held

    def _refuse(self, when: object, said: str) -> None:
        """Raise an error that names the destination when a condition holds."""
        refuse(when, f"{self.path}: {said}", OutputError)

    def _read(self) -> Held:
        """Read the record of an earlier result."""
        path = self._place / RECORD
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if found["software"]["name"] != "mpbf_abm":
                raise ValueError
            listed = found.get("outputs")
            files = {name: {about["sha256"]} for name, about in (listed or {}).items()}
            for name, hashes in found.get("replaced", {}).items():
                files.setdefault(name, set()).update(hashes)
            if not all(is_below(name) for name in files):
                raise ValueError
            # An earlier version did not say what a result is, and had a hash of the plan only.
            result = found.get("result", {"kind": None, "of": found.get("run_hash", "")})
            held = Held(result["kind"], result["of"], files)
            whole = "result" not in found or found["record_hash"] == _record_hash(found)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise OutputError(f"{self.path}: is not empty and was not written by mpbf; choose another folder") from None
        earlier = "a result of an earlier version of mpbf, which did not list its files"
        self._refuse(listed is None, f"holds {earlier}; {ELSEWHERE}")
        self._refuse(not whole, f"changed since mpbf wrote it: {RECORD}; {ELSEWHERE}")
        return held

    def _is_ours(self, name: str, hashes: set[str]) -> bool:
        """Return whether a listed file is as it was written, and no link leads elsewhere on the way to it."""
        path = self._place / name
        try:
            return path.is_file() and path.resolve() == path and _sha256(path) in hashes
        except OSError:
            return False

    def _in_the_way(self, name: str, held: Held) -> str | None:
        """Return what stands where a new file or one of its folders goes, and is not of the earlier result."""
        for part in [p.as_posix() for p in reversed(PurePosixPath(name).parents)][1:]:
            path = self._place / part
            if os.path.lexists(path) and part not in held.files and (path.is_symlink() or not path.is_dir()):
                return part
        return name if name not in held.files and os.path.lexists(self._place / name) else None

    def _others(self, written: Iterable[str]) -> list[str]:
        """Return files and folders in the destination that are not among some; a folder without them counts as one."""
        there = others(self._place, set(written))
        return [name for name in there if self._place / name != self._work and not self._is_runs(name)]

    def _is_runs(self, name: str) -> bool:
        """Return whether something in the destination is the folder of the runs that the result comes from."""
        if name != f"{RUNS}/":
            return False
        runs = self._place / RUNS
        # What goes before a store is all that there is where a program was killed before it had made one.
        return (runs / STORE).is_file() or all(p.name.lstrip(".").startswith(STORE) for p in runs.iterdir())

    # ------------------------------------------------------------------ what becomes of it

    def _publish(self, new: Mapping[str, Any]) -> None:
        """Move the result to its destination."""
        with alone(self._place.parent):
            held, inside = self._check(new["outputs"]), self._work.parent == self._place
            if not self._place.exists():
                self._work.rename(self._place)
            elif inside or self._others([*held.files, RECORD]) or (self._place / RUNS).exists():
                self._replace_files(new, held)
            else:
                self._replace_whole(held)
            self.kept += self._others(self.written)

    def _replace_whole(self, held: Held) -> None:
        """Put the new folder in place of one that holds the earlier result only."""
        old = self._work.with_name(f"{self._work.name}.old")
        self._place.rename(old)
        try:
            self._work.rename(self._place)
        except OSError:
            old.rename(self._place)
            raise
        for name in [*held.files, RECORD]:
            (old / name).unlink(missing_ok=True)
            _remove_empty(old, Path(name).parent)
        # What came into the folder at this very moment stays.
        if left := others(old, set()):
            self.kept += [f"{old.name}/{name}" for name in left]
        else:
            old.rmdir()

    def _replace_files(self, new: Mapping[str, Any], held: Held) -> None:
        """Move the new files to where other files are, too."""
        final = (self._work / RECORD).read_bytes()
        # From here on both results are listed, so that a run that is killed leaves no unknown file.
        _write_record({**new, "replaced": {name: sorted(hashes) for name, hashes in held.files.items()}}, self._work)
        os.replace(self._work / RECORD, self._place / RECORD)
        self._moved = True
        for name in held.files.keys() - new["outputs"].keys():
            (self._place / name).unlink(missing_ok=True)
            _remove_empty(self._place, Path(name).parent)
        for name in new["outputs"]:
            (self._place / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(self._work / name, self._place / name)
        (self._work / RECORD).write_bytes(final)
        os.replace(self._work / RECORD, self._place / RECORD)
        shutil.rmtree(self._work, ignore_errors=True)

    def _save(self) -> Path:
        """Keep what cannot be moved to its destination."""
        for number in range(1, 1_000):
            beside = self._place.with_name(f"{self._place.name}-{number}")
            if not os.path.lexists(beside):
                with contextlib.suppress(OSError):
                    self._work.rename(beside)
                    return beside
        return self._work


def seal(folder: Path, kind: str, of: str = "") -> dict[str, Any]:
    """Note in a folder's record what the result is, and every file of it with its hash.

    Parameters
    ----------
    folder : Path
        Its record (``provenance.json``) says what was run; one is begun if there is none.
    kind, of : str
        As for :class:`OutputFolder`.

    Returns
    -------
    dict
        The record.
    """
    path = folder / RECORD
    held: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else record()
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p != path)
    listed = {p.relative_to(folder).as_posix(): {"bytes": p.stat().st_size, "sha256": _sha256(p)} for p in files}
    held |= {"result": {"kind": kind, "of": of}, "outputs": listed}
    _write_record(held, folder)
    return held


def write_pages(folder: Path, texts: Mapping[str, str] | None = None, tables: Frames | None = None) -> None:
    """Write the texts and tables of a result; the same bytes on every system.

    Parameters
    ----------
    folder : Path
    texts : mapping of str to str, optional
        Content by the name of the file.
    tables : mapping of str to DataFrame, optional
        By the name of the file, without ``.csv``.
    """
    for name, text in (texts or {}).items():
        (folder / name).write_text(private(text), encoding="utf-8", newline="\n")
    for name, table in (tables or {}).items():
        write_table(table, folder / f"{name}.csv")


def write_table(table: pd.DataFrame, path: Path, **form: Any) -> None:
    """Write a table as CSV, whose columns :func:`descriptions` explains; `form` goes to pandas."""
    inert(table).to_csv(path, index=False, lineterminator="\n", **form)


@cache
def descriptions() -> dict[str, Any]:
    """Return what commands write, as ``outputs.toml`` has it: files, tables, and columns with unit and meaning."""
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


# What a spreadsheet takes for a formula that acts: after a sign, what calls a function or a program.
FORMULA = re.compile(r"[=@\t\r]|[+-](?=.*[|!(])", re.DOTALL)


def inert(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose texts cannot act: formulas behind a quote, control signs as their code points."""
    safe = table.copy(deep=False)
    for name in [c for c in table.columns if table[c].dtype.kind not in "biufmM"]:
        safe[name] = table[name].map(_inert)
    return safe.rename(columns=_inert)


def _inert(cell: Any) -> Any:
    if not isinstance(cell, str):
        return cell
    shown = visible(cell)
    return f"'{shown}" if FORMULA.match(shown) else shown


# What begins a block, a tag, an entity, a link, code or emphasis in Markdown.
MARKS = re.compile(r"[\\`*\[\]<>&]|^(?:[#~+-]|\d+(?=[.)]))|(?<!\w)_|_(?!\w)")


def inline(text: str) -> str:
    """Return a text of the user's as one line of Markdown that shows it, and in which no sign acts."""
    return MARKS.sub(_escaped, visible(" ".join(text.split())))


def _escaped(mark: re.Match[str]) -> str:
    sign = mark.group()
    return html.escape(sign, quote=False) if sign in "<>&" else f"{sign}\\" if sign.isdigit() else f"\\{sign}"


def _write_record(record: Mapping[str, Any], folder: Path) -> None:
    text = json.dumps({**record, "record_hash": _record_hash(record)}, indent=2, allow_nan=False)
    write_pages(folder, {RECORD: text + "\n"})


def _record_hash(record: Mapping[str, Any]) -> str:
    """Return the hash of a record without its own hash, so that a change of it is noticed."""
    return content_hash({key: value for key, value in record.items() if key != "record_hash"})


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def holds_result(folder: Path) -> bool:
    """Return whether a folder is one of results: no study's runs go there."""
    return (folder / RECORD).exists()


def holds_store(folder: Path) -> bool:
    """Return whether a folder holds the runs of a study: no result goes there."""
    return any(p.suffix.lower() == STORES for p in folder.iterdir())


def is_below(name: str) -> bool:
    """Return whether a path is that of something below a folder."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def others(place: Path, written: set[str]) -> list[str]:
    """Return files and folders in a folder that are not among some; a folder without any of them counts as one."""
    folders = {parent.as_posix() for name in written for parent in PurePosixPath(name).parents}
    found = []
    for path in sorted(place.iterdir()):
        name = path.name
        if name in folders and path.is_dir():
            below = {w.removeprefix(f"{name}/") for w in written if w.startswith(f"{name}/")}
            found += [f"{name}/{other}" for other in others(path, below)]
        elif name not in written:
            found.append(name + "/" * path.is_dir())
    return found


def some(names: Sequence[str]) -> str:
    """Return a few names, and how many more there are."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _remove_empty(place: Path, folder: Path) -> None:
    """Remove a folder below another one, and those above it, as far as they are empty."""
    while folder != Path() and (place / folder).is_dir() and not any((place / folder).iterdir()):
        (place / folder).rmdir()
        folder = folder.parent


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Let other programs that look at, or move, results in a folder wait until the end of the block."""
    try:
        import fcntl
    except ImportError:  # pragma: no cover - Windows
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        # Some network file systems have no locks.
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


# --------------------------------------------------------------------------- tables

# Tables as text and as Markdown, for terminals, pages and reports.

Rows = Sequence[Sequence[str]]


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[Any]], right: Sequence[int] = ()) -> str:
    """Return a Markdown table, a line for each row; bars in cells are escaped, columns `right` aligned to the right."""
    rule = ["---:" if i in right else "---" for i in range(len(head))]
    lines = [map(_cell, head), rule, *(map(_cell, row) for row in rows)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _cell(value: Any) -> str:
    return " ".join(str(value).splitlines()).replace("|", "\\|").strip()


def table(head: Sequence[str], rows: Rows, right: Sequence[int] = ()) -> str:
    """Format rows as plain text columns.

    The last column is wrapped to the width of a terminal; into a file or pipe it goes whole.

    Parameters
    ----------
    head : sequence of str
    rows : sequences of str
    right : sequence of int
        Columns that are aligned to the right.
    """
    rows = [[visible(" ".join(str(value).splitlines())) for value in row] for row in rows]
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    before = sum(widths[:-1]) + 2 * (len(head) - 1)
    room = max(24, shutil.get_terminal_size().columns - before) if sys.stdout.isatty() else 10**6
    lines = []
    for row in [head, *rows]:
        cells = [f"{c:>{w}}" if i in right else f"{c:<{w}}" for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        last = [cells[-1]] if len(cells[-1]) <= room else textwrap.wrap(row[-1], room) or [""]
        lines.append("  ".join([*cells[:-1], last[0]]).rstrip())
        lines += [" " * before + more for more in last[1:]]
    lines.insert(1, "-" * min(max(len(line) for line in lines), before + min(room, widths[-1])))
    return "\n".join(lines)


def frame_table(frame: pd.DataFrame, columns: Sequence[str]) -> str:
    """Format some columns of a frame, those that it has; numbers are aligned to the right."""
    have = [c for c in columns if c in frame.columns]
    rows = [[cell(value) for value in row] for row in frame[have].astype(object).itertuples(index=False)]
    right = [i for i, c in enumerate(have) if frame[c].dtype.kind in "if"]
    return table([c.replace("_", " ") for c in have], rows, right=right)


def cell(value: Any) -> str:
    """Format one value of a table."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value)
    return "-" if value is None else str(value)


def number(value: float, sign: str = "") -> str:
    """Format with three digits; NaN is a dash."""
    return "-" if math.isnan(value) else f"{value:{sign}.3g}"


def interval(low: float, high: float) -> str:
    """Format an interval; a dash where there is none."""
    return "-" if math.isnan(low + high) else f"{number(low)} to {number(high)}"


def clock(seconds: float) -> str:
    """Format a time."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} days"


def size(count: float) -> str:
    """Format a number of bytes."""
    units = ["B", "kB", "MB", "GB", "TB"]
    while count >= 1000 and len(units) > 1:
        count /= 1000
        units.pop(0)
    return f"{count:.3g} {units[0]}"
