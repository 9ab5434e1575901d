"""Make stored runs again, and compare them bit for bit."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mpbf_abm.provenance import environment, unlike
from mpbf_abm.studies.definition import Recording, load_space
from mpbf_abm.studies.model import Failure, Record, Runner
from mpbf_abm.studies.plan import fingerprint_of
from mpbf_abm.studies.results import Results
from mpbf_abm.studies.store import StoredRun, StoreError, again, enlarged


@dataclass(frozen=True)
class Replayed:
    """A run that was made again.

    Attributes
    ----------
    words : str
        Begins with `equal` if it is the same as stored.
    seconds : float
    result : Record or Failure
    """

    words: str
    seconds: float
    result: Record | Failure


def replay_run(results: Results, stored: StoredRun, *, debug: bool = False) -> Replayed:
    """Make a stored run again in this process.

    Parameters
    ----------
    results : Results
        Opened with the study, if it has a model of its own.
    stored : StoredRun
    debug : bool
        Open the debugger where the run raises.
    """
    place = results.places.get(stored.id)
    if place is None:
        raise StoreError(f"{results.store.path}: run {stored.id[:12]} is no part of the study any more")
    study = results.study
    if study.rules and not study.planners:
        raise StoreError(
            f"{results.store.path}: was made with rules of one's own ({', '.join(study.rules)}); replay it from Python"
        )
    if study.space is None and results.plan.origin is not None:
        raise StoreError(
            f"{results.store.path}: was made on materials that the study does not name; the command that made them makes them again"
        )
    space = None if study.space is None else load_space(study.space, Path(results.saved.folder), study)
    runner = Runner(study, space)
    runner.debug = debug
    begun = time.perf_counter()
    # What it noted is noted again, whatever the study asks for now.
    also = results.store.noted(stored.id) if stored.done and results.plan.form else Recording()
    job = results.plan.job(*place)._replace(also=also)
    result = runner(job)
    seconds = time.perf_counter() - begun
    return Replayed(_compared(results, stored, result, runner.recording(job)), seconds, result)


def _compared(results: Results, stored: StoredRun, result: Record | Failure, noted: Recording) -> str:
    now = fingerprint_of(results.study, results.plan.form)
    version = (
        ""
        if now == results.plan.fingerprint
        else f" (another version of the model: {results.plan.fingerprint[:12]}, now {now[:12]})"
    )
    if isinstance(result, Failure):
        said = f"{result.type}: {result.message}"
        if stored.failure is None:
            return f"DIFFERENT: raised {said}{version}"
        same = (stored.failure.type, stored.failure.message) == (result.type, result.message)
        return (
            f"equal: raised {said}"
            if same
            else f"DIFFERENT: raised {said}, not {stored.failure.type}: {stored.failure.message}{version}"
        )
    if stored.failure is not None:
        return f"DIFFERENT: finished, where it failed before ({stored.failure.type}: {stored.failure.message}){version}"
    if enlarged(stored, again(stored, result, noted)) is not None:
        return "equal"
    made = results.store.environments().get(stored.environment, {})
    here = environment()
    apart = [
        f"{part} {made[part]}, here {here[part]}" if part != "cpu" else "another kind of processor"
        for part in unlike(here, made)
    ]
    return f"DIFFERENT results{version}" + (f" (made with {'; '.join(apart)})" if apart else "")


def some_runs(results: Results, count: int, seed: int = 0) -> list[StoredRun]:
    """Finished runs of the study, chosen at random."""
    done = [id for id in map(bytes.decode, results.store.look().done) if id in results.places]
    rng = np.random.default_rng([seed, len(done)])
    return [results.store.run(done[i]) for i in rng.permutation(len(done))[:count]]
