"""Names of the array types that all rooms use, and marking of the heavy array work, so that its cost can be measured.

A kernel is a pure function of arrays. While :func:`recording` is active every kernel call is
kept with its arguments; ``python -m analysis.benchmarks`` replays the calls and compares a whole run with this floor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]
Int = NDArray[np.int64]
Bool = NDArray[np.bool_]

P = ParamSpec("P")
R = TypeVar("R")
Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]

_tape: list[Call] | None = None
_depth = 0


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Mark a function as a kernel. A kernel inside a kernel counts once."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        global _depth
        if _tape is None:
            return function(*args, **kwargs)
        if not _depth:
            _tape.append((function, args, kwargs))
        _depth += 1
        try:
            return function(*args, **kwargs)
        finally:
            _depth -= 1

    return call


@contextmanager
def recording() -> Iterator[list[Call]]:
    """Collect kernel calls made inside the block."""
    global _tape
    tape: list[Call] = []
    _tape = tape
    try:
        yield tape
    finally:
        _tape = None


def replay(tape: list[Call]) -> None:
    """Make recorded calls again, alone."""
    for function, args, kwargs in tape:
        function(*args, **kwargs)


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
    if np.ma.is_masked(value):
        return "masked numbers"
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
