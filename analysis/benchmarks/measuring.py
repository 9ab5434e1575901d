"""Rows of the benchmark, and how time and memory are taken."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Row = dict[str, Any]
SEED = 1
ROOT = Path(__file__).resolve().parents[2]  # where other processes find these modules


def row(name: str, value: float, unit: str, target: str = "", met: bool | None = None, **detail: Any) -> Row:
    """One line of the results."""
    return {"name": name, "value": value, "unit": unit, "target": target, "met": met, **detail}


def timed(act: Callable[[], Any]) -> float:
    """Seconds that one call takes, the collector of garbage held back."""
    gc.collect()
    gc.disable()
    try:
        start = time.perf_counter()
        act()
        return time.perf_counter() - start
    finally:
        gc.enable()


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Slope of log cost on log size: 0 is independent, 1 is linear."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def peak_memory() -> float:
    """Highest resident memory of this process so far, in MB (NaN where it cannot be had)."""
    try:
        import resource
    except ImportError:  # pragma: no cover - Windows
        return float("nan")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def resident_memory() -> float:
    """Resident memory of this process now, in MB; the peak where only that can be had."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:  # pragma: no cover - not Linux
        return peak_memory()
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
