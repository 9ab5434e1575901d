"""Wrong rules that the suite must notice: each is one line, and each must make exactly its rows fail.

A mutation replaces one function of the package for a moment. Rows that never call it cannot be
touched by it, which is seen by counting calls; of those that do, exactly the named ones must fail.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any

from mpbf_abm.evidence.known.rows import evaluate

Wrong = Callable[[Callable[..., Any]], Callable[..., Any]]


@dataclass(frozen=True)
class Mutation:
    """A wrong rule.

    Attributes
    ----------
    name : str
        What is wrong about it.
    function : callable
        Function or method of the package that is replaced.
    wrong : callable
        From the right function to the wrong one.
    breaks : tuple of str
        Rows that must fail; no other row may.
    """

    name: str
    function: Callable[..., Any]
    wrong: Wrong
    breaks: tuple[str, ...]

    @property
    def target(self) -> str:
        """Module and name of the function."""
        return f"{self.function.__module__.removeprefix('mpbf_abm.')}:{self.function.__qualname__}"


MUTATIONS: list[Mutation] = []


def mutation(name: str, function: Callable[..., Any], wrong: Wrong, *breaks: str) -> None:
    """Register a wrong rule and the rows that must fail under it."""
    MUTATIONS.append(Mutation(name, function, wrong, breaks))


@contextmanager
def patched(function: Callable[..., Any], wrong: Wrong) -> Iterator[None]:
    """Replace a function of the package wherever it is known, until the block ends."""
    owner: Any = sys.modules[function.__module__]
    *path, last = function.__qualname__.split(".")
    for part in path:
        owner = getattr(owner, part)
    original = vars(owner)[last]
    plain = original.__func__ if isinstance(original, (staticmethod, classmethod)) else original
    replacement: Any = wraps(plain)(wrong(plain))
    if isinstance(original, (staticmethod, classmethod)):
        replacement = type(original)(replacement)
    # A function imported by name stands in several modules.
    places = [
        (module, key)
        for module_name, module in list(sys.modules.items())
        if module_name.startswith("mpbf_abm") and module is not None
        for key, value in list(vars(module).items())
        if value is original
    ]
    places = places if not path else [(owner, last)]
    for module, key in places:
        setattr(module, key, replacement)
    try:
        yield
    finally:
        for module, key in places:
            setattr(module, key, original)


def failing(mutation: Mutation, ids: Sequence[str], seed: int) -> set[str]:
    """Rows among `ids` that fail under a mutation; an exception is a failure, too."""
    failed = set()
    with patched(mutation.function, mutation.wrong):
        for id in ids:
            try:
                if not evaluate(id, seed, fast=True).passed:
                    failed.add(id)
            except Exception:  # noqa: BLE001  (a rule may be wrong enough to stop the model)
                failed.add(id)
    return failed


def callers(targets: Sequence[str], id: str, seed: int) -> set[str]:
    """Which of some functions one row calls."""
    called: set[str] = set()
    functions = {m.target: m.function for m in MUTATIONS}

    def counted(target: str) -> Wrong:
        def wrong(original: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                called.add(target)
                return original(*args, **kwargs)

            return call

        return wrong

    def nested(rest: Sequence[str]) -> None:
        if rest:
            with patched(functions[rest[0]], counted(rest[0])):
                nested(rest[1:])
        else:
            evaluate(id, seed, fast=True)

    nested(list(dict.fromkeys(targets)))
    return called
