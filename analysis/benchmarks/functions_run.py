"""A plugin of pytest: which functions of the package each test file runs, and its CPU seconds, as a JSON file.

``FUNCTIONS_RUN`` names the file, whose entries are ``{file: [CPU seconds, [[module, first line], ...]]}``.
"""

from __future__ import annotations

import collections
import json
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

PART = f"{os.sep}mpbf_abm{os.sep}"
SEEN: dict[str, set[tuple[str, int]]] = collections.defaultdict(set)
TOOK: dict[str, float] = collections.defaultdict(float)
HERE = [""]


def _note(frame: FrameType, event: str, arg: Any) -> None:  # noqa: ARG001 (the profiler's signature)
    code = frame.f_code
    if event == "call" and PART in code.co_filename:
        SEEN[HERE[0]].add((code.co_filename.split(PART)[-1], code.co_firstlineno))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[Any]:
    """Note the functions that a test runs, with its fixtures."""
    HERE[0] = item.nodeid.split("::")[0]
    sys.setprofile(_note)
    threading.setprofile(_note)
    try:
        return (yield)
    finally:
        sys.setprofile(None)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add the CPU seconds of a test, which ``tests/cpu.py`` measures, to those of its file."""
    took: list[Any] = [value for name, value in report.user_properties if name == "cpu"]
    TOOK[report.nodeid.split("::")[0]] += sum(took)


def pytest_sessionfinish() -> None:
    """Write what was seen."""
    text = json.dumps({file: [TOOK[file], sorted(SEEN[file])] for file in TOOK})
    Path(os.environ["FUNCTIONS_RUN"]).write_text(text, encoding="utf-8")
