"""What a study will cost: a few of its runs, made as all of them would be."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import islice

from mpbf_abm.studies.definition import Engine as EngineSettings
from mpbf_abm.studies.engines import open_engine, result_of
from mpbf_abm.studies.model import Failure, Record, Runner
from mpbf_abm.studies.plan import Plan
from mpbf_abm.workers import Done, default_workers

RUNS = 24  # most runs of a pilot, those that warm the workers up left out
SHARE = 8  # at most this part of a small study
SECONDS = 60.0
ROW = 400  # bytes of a stored run besides its results


@dataclass(frozen=True)
class Estimate:
    """Cost of a study.

    Attributes
    ----------
    pilot : int
        Runs that were made and timed.
    failed : int
        How many of them failed.
    message : str
        What the first of those said.
    seconds : float
        Mean time of a run, on a machine that is as busy as it will be.
    workers : int
    start : float
        Seconds until workers were warm.
    bytes : float
        Mean size of a stored run.
    """

    pilot: int
    failed: int
    message: str
    seconds: float
    workers: int
    start: float
    bytes: float

    def duration(self, runs: int) -> float:
        """Seconds that some runs take on all workers."""
        return self.start + runs * self.seconds / self.workers

    def disk(self, runs: int) -> float:
        """Bytes that some runs take."""
        return runs * self.bytes


def estimate(plan: Plan, workers: int | None = None) -> Estimate:
    """Make a few runs of a plan on the local engine, and time them.

    Each worker first makes one run that does not count, as it imports what it needs there.

    Parameters
    ----------
    plan : Plan
    workers : int, optional
    """
    study = plan.study
    count = workers or study.engine.workers or default_workers()
    size = plan.count()
    most = min(RUNS, max(2 * count, size // SHARE))
    jobs = list(islice(plan.jobs(0, study.replicates.first), min(size, count + most)))
    engine = open_engine(Runner(study, plan.space), EngineSettings(workers=count), study.limits)
    begun = time.monotonic()
    done: list[Done] = []
    start = 0.0
    try:
        engine.submit(jobs)
        while engine.pending and (time.monotonic() - begun < SECONDS or len(done) <= count):
            done += engine.collect(0.5)
            if len(done) <= count:
                start = time.monotonic() - begun
    finally:
        engine.close(kill=True)
    # Runs of one worker only are timed where there are no more than workers.
    timed = done[count:] or done
    results = [result_of(d) for d in done]
    records = [r for r in results if isinstance(r, Record)]
    failures = [r.message for r in results if isinstance(r, Failure)]
    stored = [len(r.outcomes) + len(r.series or b"") + ROW for r in records]
    return Estimate(
        len(timed), len(failures), failures[0] if failures else "", sum(d.seconds for d in timed) / max(1, len(timed)), count,
        start, sum(stored) / max(1, len(stored)),
    )  # fmt: skip
