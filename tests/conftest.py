"""Settings shared by all tests."""

import os

# Before numpy is first imported: tests run in several processes, and threads beneath them would fight for the cores.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MPLBACKEND="Agg")

import contextlib
import signal

import described
import once
import psutil
import pytest
from hypothesis import settings

from mpbf_abm import outputs

# A shell that starts the tests in its background lets them ignore Ctrl-C, and so would the processes they interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["cpu", "tiers"]

# How many examples of a property are tried: the same ones each time, and at night many others.
settings.register_profile("fast", max_examples=50, deadline=None, derandomize=True)
settings.register_profile("nightly", max_examples=400, deadline=None)
settings.load_profile("fast")

WRITE, LACKING = outputs.write_table, []
BEFORE = pytest.StashKey[set]()


@pytest.fixture(scope="session", autouse=True)
def _shared_results(tmp_path_factory):
    """Give the processes of one test run a folder for results that several tests need."""
    base = tmp_path_factory.getbasetemp()
    once.folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "once"
    once.folder.mkdir(exist_ok=True)


def write_described(table, path, **form):
    """Write a table; note its columns that docs/results.md does not explain."""
    LACKING.extend(f"{path.name}: {column}" for column in described.lacking(path.name, table.columns))
    WRITE(table, path, **form)


outputs.write_table = write_described


@pytest.fixture(autouse=True)
def _columns_are_described():
    """Fail a test that, or a fixture of which, writes a table with a column that the page lacks."""
    yield
    lacking = LACKING[:]
    LACKING.clear()
    assert not lacking, "columns that mpbf_abm/outputs.toml does not describe"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Note which processes were there before a test, those of its fixtures included."""
    item.stash[BEFORE] = set(psutil.Process().children(recursive=True))
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """End the processes that a failed test has left."""
    report = yield
    if report.when == "call" and report.failed:
        left = [p for p in psutil.Process().children(recursive=True) if p not in item.stash[BEFORE] and not is_kept(p)]
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=5)
    return report


def is_kept(process):
    """Whether Python itself has begun a process, for all that come."""
    with contextlib.suppress(psutil.Error):
        return any("resource_tracker" in part for part in process.cmdline())
    return False
