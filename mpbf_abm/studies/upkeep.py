"""Join the stores of shards, or save what can be read of a damaged store."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.outputs import some
from mpbf_abm.processes import Done, default_workers
from mpbf_abm.provenance import environment, unlike
from mpbf_abm.studies.definition import Engine as EngineSettings
from mpbf_abm.studies.definition import Recording, load_space
from mpbf_abm.studies.driver import Progress, Silent
from mpbf_abm.studies.engines import open_engine, result_of
from mpbf_abm.studies.jobs import Failure, Record, Runner
from mpbf_abm.studies.plan import Plan, fingerprint_of
from mpbf_abm.studies.results import Results
from mpbf_abm.studies.store import FILE, LOST, Saved, Store, StoredRun, StoreError, again, enlarged, if_readable


def merge_stores(target: Path, sources: Sequence[Path], progress: Progress | None = None) -> dict[str, int]:
    """Copy all runs that can be read from some stores into the one of a folder.

    Parameters
    ----------
    target : Path
        Folder; its store is made if there is none.
    sources : sequence of Path
        Stores, or folders of them; the shards in the target if empty.
    progress : Progress, optional

    Returns
    -------
    dict
        Numbers of runs: added, known, damaged, different.

    Raises
    ------
    ConfigurationError
        If there is nothing to join.
    StoreError
        If the stores do not belong to one study and one version of its model.
    """
    watch = progress or Silent()
    paths = [path for source in sources or [target] for path in _stores(source, shards_only=not sources)]
    own = target / FILE
    paths = [p for p in paths if not (own.exists() and p.exists() and p.samefile(own))]
    if not paths:
        raise ConfigurationError(f"{target}: holds no shards (shard-1-of-N.sqlite, ...); name the stores to join")
    with ExitStack() as stack:
        opened = [_opened(path, stack) for path in paths]
        studies = [study for store in opened if (study := if_readable(store.last_study, None)) is not None]
        held = _held(own)
        if held is None and not studies:
            raise StoreError(
                f"{paths[0]}: what study it holds cannot be read; run the study in {target} first (mpbf study run STUDY.toml --out {target})"
            )
        first = held or studies[0]
        newest = max([*studies, *([held] if held else [])], key=lambda s: s.saved)
        for path, study in zip(paths, [if_readable(store.last_study, None) for store in opened], strict=True):
            if study is not None and (study.name, study.model, study.fingerprint, study.form) != (
                first.name,
                first.model,
                first.fingerprint,
                first.form,
            ):
                raise StoreError(
                    f"{path}: holds the study '{study.name}' by model {study.fingerprint[:12]}, not '{first.name}' by {first.fingerprint[:12]}"
                )
        # Nothing is made before all is known to fit.
        into = stack.enter_context(Store.open(own, write=True))
        if damaged := into.mend():
            watch.say(
                f"{len(damaged)} runs of {own} are damaged, and are taken from the others if they are there: {some(damaged)}"
            )
        if held is None or newest.definition != held.definition:
            if len({s.definition for s in studies}) > 1:
                watch.say(
                    f"the stores hold different definitions of '{newest.name}'; the newest is kept, of {newest.saved}"
                )
            into.save_study(newest)
        kinds = [e for store in [into, *opened] for e in if_readable(store.environments, {}).values() if e != LOST]
        if apart := unlike(*kinds):
            watch.say(
                f"the runs were made on machines that differ in {', '.join(apart)}: the same run may have other bytes there"
            )
        watch.begin(sum(sum(if_readable(store.counts, {}).values()) for store in opened))
        return into.merge(opened, lambda: watch.advance(done=1, failed=0, known=0))


def _opened(path: Path, stack: ExitStack) -> Store:
    """Open a store to read; one that was cut short, by way of a copy that is filled up with zeros."""
    whole = _pages(path)
    if whole <= path.stat().st_size:
        return stack.enter_context(Store.open(path))
    copy = Path(stack.enter_context(tempfile.TemporaryDirectory())) / path.name
    shutil.copyfile(path, copy)
    os.truncate(copy, whole)
    return stack.enter_context(Store.open(copy))


def _pages(path: Path) -> int:
    """Size in bytes that a SQLite file says it has (0 if it says nothing)."""
    with path.open("rb") as file:
        head = file.read(100)
    if len(head) < 100 or not head.startswith(b"SQLite format 3"):
        return 0
    size = int.from_bytes(head[16:18], "big")
    return (65536 if size == 1 else size) * int.from_bytes(head[28:32], "big")


def _stores(source: Path, *, shards_only: bool) -> list[Path]:
    if not source.exists():
        raise ConfigurationError(f"{source}: no such store or folder")
    if not source.is_dir():
        return [source]
    shards = sorted(source.glob("shard-*-of-*.sqlite"))
    return shards if shards_only else [*([source / FILE] if (source / FILE).exists() else []), *shards]


def _held(path: Path) -> Saved | None:
    """Study of the store that is joined to, if there is one."""
    if not path.exists():
        return None
    with Store.open(path) as store:
        return store.last_study()


# --------------------------------------------------------------------------- replay

# Make stored runs again, and compare them bit for bit.


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
    if study.rules and not study.classes:
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


def twice(plan: Plan) -> list[list[str]]:
    """Make the first run of every arm twice; return label, seconds, and whether the bits are equal."""
    rows = []
    for arm, label in enumerate(a.label for a in plan.arms):
        job = plan.job(plan.order(0)[0], arm, 0)
        begun = time.perf_counter()
        first = Runner(plan.study, plan.space)(job)
        seconds = time.perf_counter() - begun
        second = Runner(plan.study, plan.space)(job)
        if not isinstance(first, Record):
            word = f"failed: {first.type}: {first.message}"
        else:
            same = isinstance(second, Record) and (first.hash, first.series_hash) == (second.hash, second.series_hash)
            word = "equal" if same else "DIFFERENT"
        rows.append([label, f"{seconds:.2f}", word])
    return rows


def replayed_rows(results: Results, ids: Sequence[str], sample: int, *, debug: bool) -> list[list[str]]:
    """Replay runs by the beginnings of their ids, and some at random; return what each is, and how it compares."""
    rows = []
    for stored in [*map(results.store.run, ids), *(some_runs(results, sample) if sample else [])]:
        again = replay_run(results, stored, debug=debug)
        rows.append([stored.id[:12], stored.arm, str(stored.replicate), f"{again.seconds:.2f}", again.words])
    return rows


# --------------------------------------------------------------------------- pilot

# What a study will cost: a few of its runs, made as all of them would be.

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
        len(timed),
        len(failures),
        failures[0] if failures else "",
        sum(d.seconds for d in timed) / max(1, len(timed)),
        count,
        start,
        sum(stored) / max(1, len(stored)),
    )
