"""CPU seconds, user and system, of tests and of whole sessions, child processes included."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

START = pytest.StashKey[float]()
WORKERS = pytest.StashKey[list[float]]()


def spent() -> float:
    """Return the CPU seconds of this process and of those of its children that have ended."""
    return sum(os.times()[:4])


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cpu", type=int, metavar="N", default=0, help="show the N tests that took most CPU seconds")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Note when a test began."""
    item.stash[START] = spent()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Report with a test's end what it took, with fixtures that were made or ended for it."""
    report = yield
    if report.when == "teardown":
        report.user_properties = [*report.user_properties, ("cpu", spent() - item.stash[START])]
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand a worker's total to the process that controls it."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["cpu"] = spent()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error) -> None:  # noqa: ARG001
    """Collect the total of a worker."""
    node.config.stash.setdefault(WORKERS, []).append(getattr(node, "workeroutput", {}).get("cpu", 0.0))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what the session took, and which tests took most."""
    if number := config.getoption("--cpu"):
        took = {}
        for reports in terminalreporter.stats.values():
            for report in reports:
                for name, value in getattr(report, "user_properties", ()):
                    if name == "cpu":
                        took[report.nodeid] = value
        terminalreporter.section("CPU seconds")
        for name in sorted(took, key=took.__getitem__, reverse=True)[:number]:
            terminalreporter.line(f"{took[name]:9.2f} {name}")
    workers = config.stash.get(WORKERS, None)
    own = time.process_time() if workers else spent()
    terminalreporter.line(f"CPU seconds: {own + sum(workers or ()):.0f}")
