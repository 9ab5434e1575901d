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
