"""Costly results that several tests share: computed once, by whichever test process comes first."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout

Item = TypeVar("Item", bound=Hashable)
Result = TypeVar("Result")
folder: Path | None = None  # set by conftest.py; shared by the processes of one test run


def each(name: str, items: Sequence[Item], compute: Callable[[Item], Result]) -> list[Result]:
    """``compute(item)`` for every item, shared under ``name``; processes that ask at once divide the work."""
    assert folder is not None
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    files = [folder / f"{digest}-{item}.pickle" for item in items]
    for patience in (0, -1):  # first what nobody else is at, then what is left
        for item, file in zip(items, files, strict=True):
            try:
                with FileLock(f"{file}.lock", timeout=patience):
                    if not file.exists():
                        file.write_bytes(pickle.dumps(compute(item)))
            except Timeout:
                continue
    return [pickle.loads(file.read_bytes()) for file in files]
