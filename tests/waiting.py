"""Waiting for what a process of its own does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from mpbf_abm.studies.store import Store, StoreError

T = TypeVar("T")


def wait_until(true: Callable[[], bool], seconds: float = 90) -> None:
    """Look again and again until something holds."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def finished(out: Path, file: str = "study.sqlite") -> int:
    """Number of committed runs."""
    try:
        with Store.open(out / file) as store:
            return store.counts().get("done", 0)
    except (OSError, StoreError):
        return 0


def run_alone(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a thread of its own: a browser may leave an event loop running in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
