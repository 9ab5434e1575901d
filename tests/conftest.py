"""Settings shared by all tests."""

import os

# Before numpy is first imported: tests run in several processes, and threads beneath them would fight for the cores.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MPLBACKEND="Agg")

import once
import pytest


@pytest.fixture(scope="session", autouse=True)
def _shared_results(tmp_path_factory):
    """Give the processes of one test run a folder for results that several tests need."""
    base = tmp_path_factory.getbasetemp()
    once.folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "once"
    once.folder.mkdir(exist_ok=True)
