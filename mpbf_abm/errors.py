"""Errors that a user can act on: one line each, all faults of an input at once."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


class MpbfError(Exception):
    """Base of every error this package raises on purpose."""


class ConfigurationError(MpbfError, ValueError):
    """A parameter, policy, shock, seed or option that cannot be used.

    Parameters
    ----------
    faults : str or iterable of str
        One line per fault: what was wrong, where, what is allowed.
    """

    def __init__(self, faults: str | Iterable[str]) -> None:
        self.faults: list[str] = [faults] if isinstance(faults, str) else list(faults)
        super().__init__("\n".join(self.faults))

    def __reduce__(self) -> tuple[type[ConfigurationError], tuple[list[str]]]:
        """Keep the list of faults when the error crosses a process border."""
        return type(self), (self.faults,)


def refuse(when: object, faults: Any, kind: type[MpbfError] = ConfigurationError) -> None:
    """Raise an error, by default a ConfigurationError, when a condition holds."""
    if when:
        raise kind(faults)


def refuse_any(faults: Iterable[str]) -> None:
    """Raise one ConfigurationError with all faults, each once, if there are any."""
    each = list(dict.fromkeys(faults))
    refuse(each, each)


def lines_where(*checks: tuple[object, str]) -> list[str]:
    """Return the lines whose condition holds."""
    return [line for holds, line in checks if holds]


def refuse_all(*checks: tuple[object, str]) -> None:
    """Raise one ConfigurationError with the fault of every condition that holds."""
    refuse_any(lines_where(*checks))


def tried(acts: Iterable[Callable[[], T]]) -> tuple[list[T], list[str]]:
    """Call every act; return what they give, and the faults of those that are refused."""
    made, faults = [], []
    for act in acts:
        try:
            made.append(act())
        except ConfigurationError as error:
            faults += error.faults
    return made, faults


def faults_of(*acts: Callable[[], Any]) -> list[str]:
    """Call every act, and return the faults of all."""
    return tried(acts)[1]


class DataError(ConfigurationError):
    """A table or pool that cannot become a materials space."""


class NotTomlError(ConfigurationError):
    """A text that is not TOML."""


class RuleError(ConfigurationError):
    """A rule of the user that returned what cannot be used."""


class OutputError(MpbfError, OSError):
    """A place that cannot be written to."""


class StoppedError(MpbfError, RuntimeError):
    """Something that ended work in its course, such as a full disk; what was finished before is kept."""


class HaltError(StoppedError):
    """Work that ended because the user said so; what was finished before is kept."""


class InterruptionError(KeyboardInterrupt):
    """Ctrl-C, as a driver in the same process raises it; what a model raises of itself is a failure of its run."""


class BookkeepingError(MpbfError, AssertionError):
    """Stocks and flows that do not balance: a fault of the model, never of the user."""


class UndrawnWarning(UserWarning):
    """A figure that cannot be drawn; the rest of its result is there."""


def words_of(error: BaseException) -> str:
    """What an exception says, also where saying it raises."""
    try:
        return private(str(error).encode("utf-8", "backslashreplace").decode("utf-8"))
    except Exception as further:  # noqa: BLE001 (an exception of a user's may do anything)
        return f"(its words cannot be had: {type(further).__name__})"


def private(text: str) -> str:
    """Return a text that is kept or passed on, in which the home folder is ``~``."""
    home = os.path.expanduser("~").rstrip("/\\")
    return re.sub(rf"{re.escape(home)}(?![\w.-])", "~", text) if home.strip("~") else text


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return ``'; did you mean 'x'?'`` for the closest choice, or an empty string."""
    close = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.6)
    if not close:
        # A dotted path is often right in its last part only.
        tails = {c.rsplit(".", 1)[-1]: c for c in choices}
        close = [tails[t] for t in difflib.get_close_matches(word.rsplit(".", 1)[-1], list(tails), n=1, cutoff=0.6)]
    return f"; did you mean '{close[0]}'?" if close else ""


def visible(text: str) -> str:
    r"""Return a text with signs that cannot be seen, or that act on a terminal, as their code points; lines stay.

    Examples
    --------
    >>> visible("a\u200bb\x1b[1m")
    'a<U+200B>b<U+001B>[1m'
    """
    return "".join(c if c.isprintable() or c == "\n" else f"<U+{ord(c):04X}>" for c in text)
