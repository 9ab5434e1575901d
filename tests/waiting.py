"""Waiting for what a process of its own does."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from mpbf_abm.studies.store import Store, StoreError


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
