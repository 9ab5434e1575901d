"""Look after studies: join their stores, make runs again, estimate their cost, say how far they are."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from mpbf_abm.errors import ConfigurationError, faults_of, refuse
from mpbf_abm.outputs import some
from mpbf_abm.processes import Done, default_workers
from mpbf_abm.provenance import environment, unlike
from mpbf_abm.studies.definition import Engine as EngineSettings
from mpbf_abm.studies.definition import Recording, StudyDefinition, load_space
from mpbf_abm.studies.driver import Progress, Silent, open_engine, orphans, precision, result_of
from mpbf_abm.studies.files import StudyFileError, read_study
from mpbf_abm.studies.jobs import Failure, Record, Runner
from mpbf_abm.studies.plan import Plan, fingerprint_of
from mpbf_abm.studies.results import DONE, FAILED, Results, saved_study, store_path
from mpbf_abm.studies.store import (
    FILE,
    LOST,
    OF_A_RESULT,
    Saved,
    Store,
    StoredRun,
    StoreError,
    again,
    enlarged,
    if_readable,
)


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
    watch, own = progress or Silent(), target / FILE
    paths = [path for source in sources or [target] for path in _stores(source, shards_only=not sources)]
    paths = [p for p in paths if not _same_file(p, own)]
    refuse(not paths, f"{target}: holds no shards (shard-1-of-N.sqlite, ...); name the stores to join")
    with ExitStack() as stack:
        opened, held = [_opened(path, stack) for path in paths], _held(own)
        read = [(path, if_readable(store.last_study, None)) for path, store in zip(paths, opened, strict=True)]
        studies = _fitting([(path, study and study.moved(path, own)) for path, study in read], held, target)
        # Nothing is made before all is known to fit.
        into = stack.enter_context(Store.open(own, write=True))
        if damaged := into.mend():
            found = "are damaged, and are taken from the others if they are there"
            watch.say(f"{len(damaged)} runs of {own} {found}: {some(damaged)}")
        newest = max([*studies, *filter(None, [held])], key=lambda s: s.saved)
        if held is None or newest.definition != held.definition:
            _say_definitions(newest, studies, watch)
            into.save_study(newest)
        _say_machines([into, *opened], watch)
        watch.begin(sum(sum(if_readable(store.counts, {}).values()) for store in opened))
        return into.merge(opened, lambda: watch.advance(done=1, failed=0, known=0))


def _same_file(one: Path, other: Path) -> bool:
    """Return whether two paths lead to one file that is there."""
    return all(path.exists() for path in (one, other)) and one.samefile(other)


def _fitting(stores: Sequence[tuple[Path, Saved | None]], held: Saved | None, target: Path) -> list[Saved]:
    """Return the studies of stores that are joined, as far as they can be read; refuse those that do not go together.

    What they have in common are name, model, its version, and the form of ids.
    """
    read = [(path, study) for path, study in stores if study is not None]
    needed = f"run the study in {target} first (mpbf study run STUDY.toml --out {target})"
    refuse(held is None and not read, f"{stores[0][0]}: what study it holds cannot be read; {needed}", StoreError)
    first = held or read[0][1]
    kind = attrgetter("name", "model", "fingerprint", "form")
    for path, study in read:
        other = f"not '{first.name}' by {first.fingerprint[:12]}"
        differs = f"{path}: holds the study '{study.name}' by model {study.fingerprint[:12]}, {other}"
        refuse(kind(study) != kind(first), differs, StoreError)
    return [study for _, study in read]


def _say_definitions(newest: Saved, studies: Sequence[Saved], watch: Progress) -> None:
    """Say which definition is kept, where stores hold several."""
    if len({s.definition for s in studies}) > 1:
        kept = f"the newest is kept, of {newest.saved}"
        watch.say(f"the stores hold different definitions of '{newest.name}'; {kept}")


def _say_machines(stores: Sequence[Store], watch: Progress) -> None:
    """Say in what the machines differ that the runs of some stores were made on."""
    kinds = [e for store in stores for e in if_readable(store.environments, {}).values() if e != LOST]
    if apart := unlike(*kinds):
        bytes_apart = "the same run may have other bytes there"
        watch.say(f"the runs were made on machines that differ in {', '.join(apart)}: {bytes_apart}")


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
    """Size in bytes that a SQLite file says it has (0 if it says nothing, or is a folder)."""
    if path.is_dir():
        return 0
    with path.open("rb") as file:
        head = file.read(100)
    if len(head) < 100 or not head.startswith(b"SQLite format 3"):
        return 0
    size = int.from_bytes(head[16:18], "big")
    return (65536 if size == 1 else size) * int.from_bytes(head[28:32], "big")


def _stores(source: Path, *, shards_only: bool) -> list[Path]:
    refuse(not source.exists(), f"{source}: no such store or folder")
    if not source.is_dir():
        return [source]
    patterns = ["shard-*-of-*.sqlite"] if shards_only else [FILE, "shard-*-of-*.sqlite"]
    return [path for pattern in patterns for path in sorted(source.glob(pattern))]


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
        Opened with the study, if it has a custom model.
    stored : StoredRun
    debug : bool
        Open the debugger where the run raises.
    """
    study, plan, place = results.study, results.plan, results.places.get(stored.id)
    path, rules = results.store.path, ", ".join(study.rules)
    if place is None:
        raise StoreError(f"{path}: run {stored.id[:12]} is no part of the study any more")
    custom, unnamed = study.rules and not study.classes, study.space is None and plan.origin is not None
    refuse(custom, f"{path}: was made with custom rules ({rules}); replay it from Python", StoreError)
    again = "the command that made them makes them again"
    refuse(unnamed, f"{path}: was made on materials that the study does not name; {again}", StoreError)
    space = None if study.space is None else load_space(study.space, results.saved.data_folder(path), study)
    runner = Runner(study, space)
    runner.debug = debug
    begun = time.perf_counter()
    # What it noted is noted again, whatever the study asks for now.
    also = results.store.noted(stored.id) if stored.done and plan.form else Recording()
    job = plan.job(*place)._replace(also=also)
    result = runner(job)
    seconds = time.perf_counter() - begun
    return Replayed(_compared(results, stored, result, runner.recording(job)), seconds, result)


def _compared(results: Results, stored: StoredRun, result: Record | Failure, noted: Recording) -> str:
    """Say how a run that was made again compares with the stored one."""
    was, now = results.plan.fingerprint, fingerprint_of(results.study, results.plan.form)
    version = "" if now == was else f" (another version of the model: {was[:12]}, now {now[:12]})"
    before, after = (
        f"{failure.type}: {failure.message}" if isinstance(failure, Failure) else ""
        for failure in (stored.failure, result)
    )
    if after:
        instead = f", not {before}" if before else ""
        return f"equal: raised {after}" if after == before else f"DIFFERENT: raised {after}{instead}{version}"
    if before:
        return f"DIFFERENT: finished, where it failed before ({before}){version}"
    if isinstance(result, Record) and enlarged(stored, again(stored, result, noted)) is not None:
        return "equal"
    return f"DIFFERENT results{version}{_machines(results.store.environments().get(stored.environment, {}))}"


def _machines(made: Mapping[str, str]) -> str:
    """Say in what a machine differs from this one."""
    here = environment()
    parts = {part: f"{part} {made[part]}, here {here[part]}" for part in unlike(here, made) if part != "cpu"}
    apart = [parts.get(part, "another kind of processor") for part in unlike(here, made)]
    return f" (made with {'; '.join(apart)})" if apart else ""


def some_runs(results: Results, count: int) -> list[StoredRun]:
    """Finished runs of the study, chosen at random."""
    done = [id for id in map(bytes.decode, results.store.look().done) if id in results.places]
    rng = np.random.default_rng([0, len(done)])
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
        if isinstance(first, Failure):
            word = f"failed: {first.type}: {first.message}"
        else:
            same = isinstance(second, Record) and (first.hash, first.series_hash) == (second.hash, second.series_hash)
            word = "equal" if same else "DIFFERENT"
        rows.append([label, f"{seconds:.2f}", word])
    return rows


def replayed_rows(results: Results, ids: Sequence[str], sample: int, *, debug: bool) -> list[list[str]]:
    """Replay runs by the beginnings of their ids, and some at random; return what each is, and how it compares."""
    chosen, rows = [*map(results.store.run, ids), *(some_runs(results, sample) if sample else [])], []
    refuse(not chosen, f"{results.store.path}: holds no finished run of the study")
    for stored in chosen:
        again = replay_run(results, stored, debug=debug)
        rows.append([stored.id[:12], stored.arm, str(stored.replicate), f"{again.seconds:.2f}", again.words])
    return rows


# --------------------------------------------------------------------------- pilot

# What a study will cost: a few of its runs, made as all of them would be.

RUNS = 24  # most runs of a pilot, those that warm the workers up left out
SHARE = 8  # at most this part of a small study
SECONDS = 60.0
ROW = 400  # bytes of a stored run without its results


@dataclass(frozen=True)
class CostEstimate:
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


def estimate(plan: Plan, workers: int | None = None) -> CostEstimate:
    """Make a few runs of a plan on the local engine, and time them.

    Each worker first makes one run that does not count, as it imports what it needs there.

    Parameters
    ----------
    plan : Plan
    workers : int, optional
    """
    study, size = plan.study, plan.count()
    count = workers or study.engine.workers or default_workers()
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
            start = time.monotonic() - begun if len(done) <= count else start
    finally:
        engine.close(kill=True)
    return _cost(done, count, start)


def _cost(done: Sequence[Done], workers: int, start: float) -> CostEstimate:
    """Return what the runs of a pilot cost that began after some seconds."""
    # Runs of one worker only are timed where there are no more than workers.
    seconds = [d.seconds for d in done[workers:] or done]
    results = [result_of(d) for d in done]
    failures = [r.message for r in results if isinstance(r, Failure)]
    stored = [len(r.outcomes) + len(r.series or b"") + ROW for r in results if isinstance(r, Record)]
    mean, disk = (sum(x) / max(1, len(x)) for x in (seconds, stored))
    return CostEstimate(len(seconds), len(failures), next(iter(failures), ""), mean, workers, start, disk)


# --------------------------------------------------------------------------- status

# Find a study by file or store, and say how far its runs are.


def load(source: Path) -> tuple[StudyDefinition, Path, Path | None]:
    """Return a study, the folder of its data, and the folder of its store: read from a file, or from the store."""
    if not source.is_dir() and source.suffix != ".sqlite":
        try:
            return read_study(source), source.parent, None
        except StudyFileError as error:
            # What is wrong with the rest of the file is said, too.
            rest, folder = error.rest, source.parent
            further = [] if rest is None else faults_of(lambda: Plan.of(rest, folder).check())
            raise ConfigurationError([*error.faults, *(f"{source.name}: {fault}" for fault in further)]) from None
    path = store_path(source)
    with Store.open(path) as store:
        saved = store.last_study()
    if saved is None:
        raise ConfigurationError(f"{path}: holds no study")
    of_a_result = f"{path}: holds the runs of a result; the command that made it goes on with them"
    refuse(saved.folder == OF_A_RESULT, of_a_result)
    refuse(saved.model, f"{path}: was made by the model '{saved.model}' of a script; go on from that script")
    return saved_study(saved), saved.data_folder(path), path.parent


def stored_runs(planned: Plan, path: Path) -> tuple[int, int] | None:
    """Count finished runs of a plan that its store holds, and others; None without a store."""
    if not path.exists():
        return None
    with Store.open(path) as store:
        others, held = orphans(store, planned), store.look(planned.study.recording if planned.form else None)
        return len(held.done) - others, others


def facts(results: Results) -> dict[str, Any]:
    """Return how far a study is, by what each number is."""
    done, failed = int((results.status == DONE).sum()), int((results.status == FAILED).sum())
    seconds = np.array([row[2] for row in results.store.seconds() if row[1] == "done"])
    model, fingerprint = results.study.own_model or "ecosystem", results.plan.fingerprint[:12]
    facts: dict[str, Any] = {
        "study": results.study.name,
        "scenarios x arms x replicates": " x ".join(map(str, results.shape)),
        "done": done,
        "failed": failed,
        "missing": int(results.status.size - done - failed),
        "of no part of the study any more": results.orphans,
        "seconds of a run (median, longest)": f"{np.median(seconds):.3g}, {seconds.max():.3g}" if len(seconds) else "-",
        "model": f"{model}, source {fingerprint}",
        "results": results.hash,
    }
    if results.damaged:
        facts["damaged (mpbf study run makes them again)"] = results.damaged
    if results.study.adaptive:
        facts["precision"] = _precision(results, facts["missing"])
    return facts


def _precision(results: Results, missing: int) -> str:
    verdict, most = precision(results.plan, results.store), results.shape[2]
    if verdict.enough:
        return "reached"
    if verdict.wanted <= most and not missing:
        return f"not reached with the most replicates allowed, {most}"
    return f"not reached; {verdict.wanted} replicates wanted next"
