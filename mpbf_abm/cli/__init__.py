"""The ``mpbf`` command.

A command's module is imported when the command is called, and imports what it needs when it runs: ``mpbf --help`` is
quick. Tables go to standard output, progress and errors to standard error. Exit codes: 0 ok, 1 failure, 2 usage or
configuration, 3 something ran but did not match, 130 interrupted.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mpbf_abm.cli.app import app
from mpbf_abm.cli.console import FAILURE, INTERRUPTED, OK, USAGE, Explained, complain
from mpbf_abm.errors import BookkeepingError, HaltError, MpbfError, StoppedError, UndrawnWarning


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit.

    Parameters
    ----------
    arguments : sequence of str, optional
        Default: those of the process.
    """
    _open_streams()
    sys.exit(_run(arguments))


def _open_streams() -> None:
    """Give streams that were closed before the start the null device, so that no file takes theirs."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "r" if name == "stdin" else "w", closefd=False))


def _run(arguments: Sequence[str] | None) -> int:
    try:
        with _orderly_end(), _undrawn() as undrawn:
            code = app(args=None if arguments is None else list(arguments), prog_name="mpbf", standalone_mode=False)
    except Exception as error:
        if (failed := _explain(error)) is None:
            raise
        return failed
    if code == INTERRUPTED and not isinstance(code, Explained):
        complain(["interrupted; no result was written"])
    complain(undrawn)
    return code or (FAILURE if undrawn else OK)


@contextmanager
def _orderly_end() -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl-C does: what it has begun is cleared away, its workers first."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def _undrawn() -> Iterator[list[str]]:
    """Collect what is said of figures that could not be drawn."""
    lost: list[str] = []
    with warnings.catch_warnings():
        others = warnings.showwarning
        warnings.simplefilter("always", UndrawnWarning)

        def show(message: Any, category: type[Warning], *place: Any, **more: Any) -> None:
            if issubclass(category, UndrawnWarning):
                lost.append(str(message))
            else:
                others(message, category, *place, **more)

        warnings.showwarning = show
        yield lost


BROKEN = "stocks and flows of the model do not balance, please report this: "
# The first kind that an error is of says the exit code.
CODES: dict[type[Exception], int] = {BookkeepingError: FAILURE, HaltError: INTERRUPTED, StoppedError: FAILURE}
CODES |= {MpbfError: USAGE, OSError: FAILURE, MemoryError: FAILURE}


def _explain(error: Exception) -> int | None:
    """Print what an error says, one line for each fault, and return its exit code; None for a fault of the program."""
    code = next((code for kind, code in CODES.items() if isinstance(error, kind)), None)
    if code is not None:
        lines = getattr(error, "faults", None) or [str(error) or type(error).__name__]
        broken = BROKEN if isinstance(error, BookkeepingError) else ""
        complain([broken + line for line in lines])
        return code
    # typer keeps its parser's errors under a private name; what they share is this method.
    message = getattr(error, "format_message", None)
    return None if message is None else _explain_usage(type(error).__name__, message())


def _explain_usage(kind: str, message: str) -> int:
    """Print what the parser says: a whole help text, or one line."""
    if kind == "NoArgsIsHelpError":
        print(message, file=sys.stderr)
    else:
        complain([message])
    return USAGE
