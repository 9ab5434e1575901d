"""Errors that a user can act on: one line each, all faults of an input at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

import numpy as np


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


def refuse(when: object, faults: str | Iterable[str]) -> None:
    """Raise a ConfigurationError when a condition holds."""
    if when:
        raise ConfigurationError(faults)


def refuse_all(*checks: tuple[object, str]) -> None:
    """Raise one ConfigurationError with the fault of every condition that holds."""
    faults = [fault for wrong, fault in checks if wrong]
    refuse(faults, faults)


class DataError(ConfigurationError):
    """A table or pool that cannot become a materials space."""


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


def words_of(error: BaseException) -> str:
    """What an exception says, also where saying it raises."""
    try:
        return str(error).encode("utf-8", "backslashreplace").decode("utf-8")
    except Exception as further:  # noqa: BLE001 (an exception of a user's may do anything)
        return f"(its words cannot be had: {type(further).__name__})"


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return ``'; did you mean 'x'?'`` for the closest choice, or an empty string."""
    close = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.6)
    if not close:
        # A dotted path is often right in its last part only.
        tails = {c.rsplit(".", 1)[-1]: c for c in choices}
        close = [tails[t] for t in difflib.get_close_matches(word.rsplit(".", 1)[-1], list(tails), n=1, cutoff=0.6)]
    return f"; did you mean '{close[0]}'?" if close else ""


def visible(text: str) -> str:
    r"""Return a text with signs that cannot be seen, or that act on a terminal, as their code points.

    Examples
    --------
    >>> visible("a\u200bb\x1b[1m")
    'a<U+200B>b<U+001B>[1m'
    """
    return "".join(c if c.isprintable() else f"<U+{ord(c):04X}>" for c in text)


def fault_of_values(value: Any, shape: tuple[int, ...], least: float = -np.inf) -> str:
    """Return why what a function of the user returned is no array of finite numbers of a shape, or nothing.

    Examples
    --------
    >>> fault_of_values([1.0, float("nan")], (2,))
    '1 of 2 numbers is not finite'
    >>> fault_of_values(None, (2,))
    'NoneType instead of numbers'
    """
    try:
        values = np.asarray(value)
    except ValueError:
        return f"{type(value).__name__} of unequal lengths"
    if values.dtype.kind not in "biuf":
        return (
            f"{type(value).__name__} instead of numbers" if values.ndim == 0 else f"{values.dtype} instead of numbers"
        )
    if values.shape != shape:
        return f"shape {values.shape} instead of {shape}"
    for bad, what in ((~np.isfinite(values), "not finite"), (values < least, f"below {least:g}")):
        if count := int(bad.sum()):
            return f"{count} of {values.size} numbers {'is' if count == 1 else 'are'} {what}"
    return ""
