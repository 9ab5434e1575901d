"""Engines: where runs are made. All give the same bits; which one is used is never part of a run."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from typing import Any, Protocol

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.processes import Done, Pool, Work, attempt, default_workers, one_thread
from mpbf_abm.studies.definition import Engine as EngineSettings
from mpbf_abm.studies.definition import Limits
from mpbf_abm.studies.jobs import Failure, Record

GROUP = "mpbf_abm.engines"  # entry points: each an engine other than this machine


class RunEngine(Protocol):
    """What the driver asks of an engine."""

    @property
    def wants(self) -> int:
        """Tasks to submit now, so that no worker waits for one."""

    @property
    def pending(self) -> int:
        """Tasks that were submitted and are not collected yet."""

    def submit(self, tasks: Sequence[Any]) -> None:
        """Add tasks."""

    def withdraw(self) -> list[Any]:
        """Take back the tasks that are not begun."""

    def collect(self, timeout: float = 1.0) -> list[Done]:
        """Return what is over, as soon as anything is, or nothing after `timeout` seconds."""

    def close(self, *, kill: bool = False) -> None:
        """End all workers."""


class InProcess:
    """Makes runs in this process, one by one: for debuggers. Limits of time and memory are not kept."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._queue: deque[Any] = deque()
        self._process = os.getpid()

    @property
    def wants(self) -> int:
        """One task at a time."""
        return max(0, 1 - len(self._queue))

    @property
    def pending(self) -> int:
        """Tasks that wait."""
        return len(self._queue)

    def submit(self, tasks: Sequence[Any]) -> None:
        """Add tasks."""
        self._queue.extend(tasks)

    def withdraw(self) -> list[Any]:
        """Take back what waits."""
        tasks = list(self._queue)
        self._queue.clear()
        return tasks

    def collect(self, timeout: float = 1.0) -> list[Done]:  # noqa: ARG002 (a run in this process is waited for)
        """Make the next run."""
        if os.getpid() != self._process:
            # A copy of the driver, forked by what a model has left behind.
            os._exit(0)
        if not self._queue:
            return []
        task = self._queue.popleft()
        # As in a worker: sums in BLAS have one order, also in models of one's own.
        with one_thread():
            value, fault, seconds = attempt(self._work, task)
        return [Done(task, value, fault, seconds, 1)]

    def close(self, *, kill: bool = False) -> None:  # noqa: ARG002
        """Nothing runs beside this process."""
        self._queue.clear()


def open_engine(work: Work, settings: EngineSettings, limits: Limits, workers: int | None = None) -> RunEngine:
    """Start an engine.

    Parameters
    ----------
    work : callable
        What makes a run of a job.
    settings : Engine
        Of the study.
    limits : Limits
    workers : int, optional
        In place of the study's; 1 on the local engine is this process.
    """
    count = workers or settings.workers
    if settings.kind != "local":
        return installed(settings.kind)(work, settings, limits, count)
    if count == 1:
        return InProcess(work)
    return Pool(
        work, count or default_workers(), seconds=limits.seconds, memory_mb=limits.memory_mb, retries=limits.retries
    )


def installed(kind: str) -> Callable[[Work, EngineSettings, Limits, int | None], RunEngine]:
    """Return the factory of an engine by the name of its entry point.

    Raises
    ------
    ConfigurationError
        If there is none, or the library that it stands on is not installed.
    """
    for point in entry_points(group=GROUP, name=kind):
        factory: Callable[[Work, EngineSettings, Limits, int | None], RunEngine] = point.load()
        return factory
    raise ConfigurationError(f"[engine]: kind = '{kind}': the installed mpbf_abm has no such engine; install it again")


def result_of(done: Done) -> Record | Failure:
    """What is kept of a run that is over; a fault of its worker is a failure."""
    if done.fault is not None:
        return Failure("worker", done.fault.type, done.fault.message, done.fault.traceback)
    result: Record | Failure = done.value
    return result
