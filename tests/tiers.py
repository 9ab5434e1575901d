"""Two tiers of tests: the fast one, and what is marked ``nightly``, of which a tenth goes along with each commit."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def commit() -> str:
    """Return the id of the commit that is checked out, or nothing where there is no Git."""
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def drawn(commit: str, test: str) -> bool:
    """Return whether a test is of the tenth that goes along with a commit."""
    return int(hashlib.sha256(f"{commit} {test}".encode()).hexdigest(), 16) % 10 == 0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--nightly",
        choices=["none", "tenth", "all"],
        default=os.environ.get("NIGHTLY", "none"),
        help="nightly tests to run besides the fast ones; -m nightly runs them alone (default: NIGHTLY, or none)",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the nightly tests that were not asked for."""
    which = config.getoption("--nightly")
    if which == "all" or "nightly" in config.getoption("markexpr"):
        return
    head = commit() if which == "tenth" else ""
    out = [i for i in items if i.get_closest_marker("nightly") and not (which == "tenth" and drawn(head, i.nodeid))]
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in set(out)]
