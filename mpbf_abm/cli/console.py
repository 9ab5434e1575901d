"""What commands share on the terminal: exit codes, tables, JSON, progress, errors."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from mpbf_abm.errors import ConfigurationError, OutputError

if TYPE_CHECKING:
    from mpbf_abm.outputs import OutputFolder

OK, FAILURE, USAGE, MISMATCH, INTERRUPTED = 0, 1, 2, 3, 130


class Explained(int):
    """Exit code already explained to the user."""


def complain(faults: Sequence[str]) -> None:
    """Print errors to standard error, one line each."""
    for fault in faults:
        print(f"mpbf: {' '.join(str(fault).split())}", file=sys.stderr)


def tell(as_json: bool, value: Any, text: str) -> None:
    """Print a result: a value as JSON, or text."""
    if as_json:
        print_json(value)
    else:
        print(text)


@contextmanager
def result(out: Path | None, *names: str, quiet: bool = False) -> Iterator[Path | None]:
    """Open the folder of a result, in which its files are written; None without a folder. Say in the end what was written.

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


def refuse(faults: Sequence[str]) -> None:
    """Raise all errors at once, if there are any."""
    if faults:
        raise ConfigurationError(faults)


def print_json(value: Any, indent: int | None = 2) -> None:
    """Print for machines; NaN becomes null."""
    from mpbf_abm.studies.whatif import plain

    print(json.dumps(plain(value), indent=indent, allow_nan=False))


@contextmanager
def bar(total: int, quiet: bool, unit: str = "tick") -> Iterator[Callable[[int], None]]:
    """Show one progress bar; silent where standard error is not a terminal."""
    from tqdm import tqdm

    # Errors raised inside must find a clean line, so the bar goes when it is done.
    with tqdm(total=total, unit=unit, leave=False, disable=True if quiet else None) as bar:

        def advance(ticks: int) -> None:
            bar.update(ticks)

        yield advance


def tell_written(folder: OutputFolder | None, *, quiet: bool = False, to: TextIO | None = None) -> None:
    """Print which files a result wrote, and which other files its folder holds; nothing without a folder."""
    from mpbf_abm.outputs import some

    if folder is None:
        return
    if folder.kept:
        complain([f"{folder.path}: not of this result, and kept: {some(folder.kept)}"])
    if not quiet:
        print(f"written to {folder.path}: " + ", ".join(folder.written), file=to or sys.stdout)


def fresh_file(path: Path, text: str) -> None:
    """Write a file that does not exist yet; an existing one is left as it is."""
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise OutputError(f"{path}: exists already and is left as it is; choose another name") from None
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from None
    print(f"written: {path}")


def template(kind: str, name: str) -> str:
    """Return the template of a file, with a name in it."""
    text = (Path(__file__).parent / "templates" / f"{kind}.toml").read_text(encoding="utf-8")
    return text.replace("NAME", name, 1)
