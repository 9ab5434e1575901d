"""What commands share on the terminal: exit codes, results, errors, progress."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TextIO

from mpbf_abm.errors import OutputError, visible

if TYPE_CHECKING:
    from mpbf_abm.outputs import OutputFolder
    from mpbf_abm.studies.results import Results

OK, FAILURE, USAGE, MISMATCH, INTERRUPTED = 0, 1, 2, 3, 130
LONGEST_LINE = 600  # signs of an error that are shown
LINE_SECONDS = 30.0  # between lines of progress, without a terminal


class Explained(int):
    """Exit code already explained to the user."""


def complain(faults: Sequence[str]) -> None:
    """Print errors to standard error, one line each."""
    for fault in faults:
        line = visible(" ".join(str(fault).split()))
        print(f"mpbf: {line if len(line) <= LONGEST_LINE else line[:LONGEST_LINE] + ' ...'}", file=sys.stderr)


def tell(as_json: bool, value: Any, text: str, indent: int | None = 2) -> None:
    """Print a result: a value as JSON, in which NaN becomes null, or text."""
    if as_json:
        from mpbf_abm.studies.whatif import plain

        text = json.dumps(plain(value), indent=indent, allow_nan=False)
    print(visible(text))


@contextmanager
def result(out: Path | None, *names: str, quiet: bool = False) -> Iterator[Path | None]:
    """Open the folder of a result, None without one; say in the end what was written.

    Parameters
    ----------
    out : Path, optional
    names : str
        Kind of the result, and what tells it from others.
    quiet : bool
        Print nothing.
    """
    from mpbf_abm.outputs import OutputFolder

    folder = None if out is None else OutputFolder(out, *names)
    with folder or nullcontext() as work:
        yield work
    tell_written(folder, quiet=quiet, to=sys.stderr)


def verdict(matches: bool) -> int:
    """Return the exit code of a check: 3 if something ran but did not match."""
    return OK if matches else MISMATCH


@contextmanager
def written(results: Results, place: Path, kind: str, to: TextIO) -> Iterator[Path]:
    """Open a folder, and begin its record with the study of the result; say in the end what was written."""
    from mpbf_abm.outputs import RECORD, OutputFolder
    from mpbf_abm.provenance import record
    from mpbf_abm.studies.files import write_study

    with (folder := OutputFolder(place, kind, results.study.name)) as work:
        text = json.dumps(record(study=write_study(results.study), results=results.hash))
        (work / RECORD).write_text(text, encoding="utf-8")
        yield work
    tell_written(folder, to=to)


def tell_written(folder: OutputFolder | None, *, quiet: bool = False, to: TextIO | None = None) -> None:
    """Print which files a result wrote, and which other files its folder holds; nothing without a folder."""
    from mpbf_abm.outputs import some

    if folder is None:
        return
    if folder.kept:
        complain([f"{folder.path}: not of this result, and kept: {some(folder.kept)}"])
    if not quiet:
        print(f"written to {folder.path}: " + ", ".join(folder.written), file=to or sys.stdout)


def fresh_file(path: Path, kind: str, name: str, more: str = "") -> None:
    """Write the template of a file, with a name in it, and more; an existing file is left as it is."""
    text = (Path(__file__).parent / "templates" / f"{kind}.toml").read_text(encoding="utf-8")
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text.replace("NAME", name, 1) + more)
    except FileExistsError:
        raise OutputError(f"{path}: exists already and is left as it is; choose another name") from None
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from None
    print(f"written: {path}")


# --------------------------------------------------------------------------- progress


class Bar:
    """Show done, failed, rate and time left, on standard error.

    Parameters
    ----------
    quiet : bool
        Print nothing.
    unit : str
    """

    def __init__(self, quiet: bool, unit: str = "run") -> None:
        self.quiet, self.unit = quiet, unit
        self.done = self.failed = self.known = self.total = 0
        self._bar: Any = None
        self._begun = self._printed = time.monotonic()

    def __enter__(self) -> Self:
        if not self.quiet and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=0, unit=self.unit, leave=False, dynamic_ncols=True, smoothing=0.05)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self._bar is not None:
            self._bar.close()
        elif self._printed > self._begun:
            self._line()

    def begin(self, total: int) -> None:
        """Announce `total` more items, known ones included."""
        self.total += total
        if self._bar is not None:
            self._bar.total = self.total
            self._bar.refresh()

    def advance(self, *, done: int = 0, failed: int = 0, known: int = 0) -> None:
        """Count items that are done, failed, or were there already."""
        self.done, self.failed, self.known = self.done + done, self.failed + failed, self.known + known
        if self._bar is not None:
            if known:
                # What was there already says nothing about the rate.
                self._bar.initial += known
                self._bar.n += known
            else:
                self._bar.update(done + failed)
            if failed:
                self._bar.set_postfix(failed=self.failed)
        elif not self.quiet and time.monotonic() - self._printed >= LINE_SECONDS:
            self._line()

    def say(self, line: str) -> None:
        """Print a line between the bars."""
        if self.quiet:
            return
        line = visible(" ".join(line.split()))
        if self._bar is not None:
            self._bar.write(f"mpbf: {line}", file=sys.stderr)
        else:
            print(f"mpbf: {line}", file=sys.stderr, flush=True)

    def _line(self) -> None:
        self._printed = time.monotonic()
        made = self.done + self.failed
        rate = made / max(1e-9, self._printed - self._begun)
        left = max(0, self.total - made - self.known)
        eta = f", {left / rate / 60:.0f} min left" if rate > 0 and left else ""
        count = f"{made + self.known} of {self.total} {self.unit}s, {self.failed} failed"
        print(f"mpbf: {count}, {rate:.2g} a second{eta}", file=sys.stderr, flush=True)
