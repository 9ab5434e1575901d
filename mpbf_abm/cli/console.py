"""What commands share: exit codes, tables, progress, faults, and options that several of them have."""

from __future__ import annotations

import math
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from mpbf_abm.errors import ConfigurationError, OutputError

if TYPE_CHECKING:
    from mpbf_abm.outputs import OutputFolder

OK, FAILURE, USAGE, MISMATCH, INTERRUPTED = 0, 1, 2, 3, 130
Rows = Sequence[Sequence[str]]


class Told(int):
    """An exit code whose reason the command has told itself."""


ConfigFile = Annotated[
    Path | None, typer.Argument(metavar="[CONFIG.toml]", help="Parameters, and [run], [[policy]], [[shock]].")
]
Preset = Annotated[
    str | None, typer.Option(metavar="NAME", help="Start from a preset: default, quick, faithful, null, pool.")
]
Assignments = Annotated[
    list[str] | None, typer.Option("--set", metavar="GROUP.NAME=VALUE", help="Change one parameter; may be repeated.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def complain(faults: Sequence[str]) -> None:
    """Print faults to standard error, one line each."""
    for fault in faults:
        print(f"mpbf: {' '.join(str(fault).split())}", file=sys.stderr)


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
    widths = [max(len(str(row[i])) for row in [head, *rows]) for i in range(len(head))]
    before = sum(widths[:-1]) + 2 * (len(head) - 1)
    room = max(24, shutil.get_terminal_size().columns - before) if sys.stdout.isatty() else 10**6
    lines = []
    for row in [head, *rows]:
        cells = [f"{c:>{w}}" if i in right else f"{c:<{w}}" for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        last = [cells[-1]] if len(cells[-1]) <= room else textwrap.wrap(str(row[-1]), room) or [""]
        lines.append("  ".join([*cells[:-1], last[0]]).rstrip())
        lines += [" " * before + more for more in last[1:]]
    lines.insert(1, "-" * min(max(len(line) for line in lines), before + min(room, widths[-1])))
    return "\n".join(lines)


def whole(text: str | None, name: str, faults: list[str]) -> int | None:
    """Read a whole number, or note the fault."""
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        faults.append(f"--{name} = {text!r}: must be a whole number")
        return None


def real(text: str | None, name: str, faults: list[str]) -> float | None:
    """Read a finite number, or note the fault."""
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        faults.append(f"--{name} = {text!r}: must be a number")
        return None
    return value


def processes(text: str | None, faults: list[str]) -> int | None:
    """Read the number of processes; what it cannot be is noted."""
    count = whole(text, "jobs", faults)
    if count is not None and count < 1:
        faults.append(f"--jobs = {count}: must be at least 1")
    return count


def assigned(parameters: Any, assignments: Sequence[str], faults: list[str]) -> Any:
    """Apply ``--set`` options; faults are noted."""
    from mpbf_abm.parameters import parse_assignment

    changes: dict[str, Any] = {}
    for text in assignments:
        try:
            path, value = parse_assignment(text)
            changes[path] = value
        except ConfigurationError as error:
            faults += error.faults
    try:
        return parameters.updated(changes)
    except ConfigurationError as error:
        faults += error.faults
        return parameters


def settings_of(config_file: Path | None, preset: str | None, assignments: Sequence[str], faults: list[str]) -> Any:
    """Settings of a configuration file or preset, with ``--set`` options applied; faults are noted."""
    from mpbf_abm.model.settings import Settings, read_settings
    from mpbf_abm.parameters import Parameters

    try:
        settings = read_settings(config_file, preset)
    except ConfigurationError as error:
        faults += error.faults
        settings = Settings(Parameters(), {})
    return replace(settings, parameters=assigned(settings.parameters, assignments, faults))


@contextmanager
def bar(total: int, quiet: bool, unit: str = "tick") -> Iterator[Callable[[int], None]]:
    """One progress bar for everything; silent where standard error is not a terminal."""
    from tqdm import tqdm

    # Faults raised inside must find a clean line, so the bar goes when it is done.
    with tqdm(total=total, unit=unit, leave=False, disable=True if quiet else None) as bar:

        def advance(ticks: int) -> None:
            bar.update(ticks)

        yield advance


def number(value: float, sign: str = "") -> str:
    """Format with three digits; NaN is a dash."""
    return "-" if math.isnan(value) else f"{value:{sign}.3g}"


def tell_written(folder: OutputFolder | None, *, quiet: bool = False, to: TextIO | None = None) -> None:
    """Say what a result wrote, and what else it left in its folder; nothing where no folder was asked for."""
    from mpbf_abm.outputs import some

    if folder is None:
        return
    if folder.kept:
        complain([f"{folder.path}: not of this result, and kept: {some(folder.kept)}"])
    if not quiet:
        print(f"written to {folder.path}: " + ", ".join(folder.written), file=to or sys.stdout)


def fresh_file(path: Path, text: str) -> None:
    """Write a file that does not exist yet; one that does stays as it is."""
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise OutputError(f"{path}: exists already and is left as it is; choose another name") from None
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from None
