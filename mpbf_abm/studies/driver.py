"""The driver makes the runs of a study that are missing, on some engine, and keeps each as soon as it is over."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import tomllib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from itertools import islice, product
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.errors import (
    ConfigurationError,
    HaltError,
    InterruptionError,
    MpbfError,
    StoppedError,
    lines_where,
    refuse,
)
from mpbf_abm.model.spec import FORM
from mpbf_abm.outputs import RUNS, some
from mpbf_abm.processes import Done, Pool, Work, attempt, default_workers, one_thread
from mpbf_abm.stats.estimates import Verdict, judge
from mpbf_abm.studies.definition import Engine as EngineSettings
from mpbf_abm.studies.definition import Limits, Outcome, Recording, StudyDefinition
from mpbf_abm.studies.files import write_study
from mpbf_abm.studies.jobs import Failure, Job, Record, Runner
from mpbf_abm.studies.plan import Plan
from mpbf_abm.studies.results import Results
from mpbf_abm.studies.store import FILE, OF_A_RESULT, DamageError, Saved, Store, StoreError, folder_from, has

if TYPE_CHECKING:
    from mpbf_abm.model.materials import MaterialsSpace


class Progress(Protocol):
    """Who watches a study run."""

    def begin(self, total: int) -> None:
        """A round of `total` runs begins, those that are known included."""

    def advance(self, *, done: int, failed: int, known: int) -> None:
        """So many runs were made, failed, or were there already."""

    def say(self, line: str) -> None:
        """A line for the reader."""


class Silent:
    """A watcher that shows nothing."""

    def begin(self, total: int) -> None:
        """Do nothing."""

    def advance(self, *, done: int, failed: int, known: int) -> None:
        """Do nothing."""

    def say(self, line: str) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class Shard:
    """Part `number` of `of`, counted from 1."""

    number: int
    of: int

    @property
    def file(self) -> str:
        """Name of its store."""
        return f"shard-{self.number}-of-{self.of}.sqlite"


@dataclass
class Tally:
    """What a call of :func:`run_study` did.

    Attributes
    ----------
    made, failed, known : int
        Runs that were made, that failed, that were there before.
    again : int
        Of those that were made, the ones that were there, but had not noted all that is asked for.
    failed_before : int
        Of those that were there, the ones that had failed.
    replicates : int
        Replicates of each scenario and arm that were asked for.
    interrupted : bool
    precise : bool or None
        Whether the wanted precision was reached, where it was asked for.
    seconds : float
    """

    made: int = 0
    failed: int = 0
    known: int = 0
    failed_before: int = 0
    replicates: int = 0
    interrupted: bool = False
    precise: bool | None = None
    again: int = 0
    seconds: float = 0.0


def run_study(
    study: StudyDefinition,
    out: str | Path,
    *,
    folder: Path | None = None,
    workers: int | None = None,
    engine: EngineSettings | None = None,
    shard: Shard | None = None,
    retry: bool = False,
    progress: Progress | None = None,
) -> Tally:
    """Make the runs of a study that its store does not hold yet.

    Parameters
    ----------
    study : Study
    out : path
        Folder of the store; made if there is none.
    folder : Path, optional
        Folder that data files of the study are relative to.
    workers : int, optional
        Processes; 1 is this one.
    engine : Engine, optional
        In place of the study's.
    shard : Shard, optional
        Make this part of the runs only, into a separate store.
    retry : bool
        Try again the runs that failed.
    progress : Progress, optional

    Returns
    -------
    Tally

    Raises
    ------
    ConfigurationError
        For a study that cannot be run; every fault at once.
    StoreError
        If the store cannot be used, or belongs to something else.
    StoppedError
        If runs cannot be kept, or workers cannot be started.
    """
    out, folder, watch = Path(out), folder or Path(), progress or Silent()
    plan = Plan.of(study, folder)
    for note in plan.check():
        watch.say(note)
    begun = time.monotonic()
    with Store.open(out / (shard.file if shard else FILE), write=True) as store:
        plan = plan.in_form(form_of(out / FILE, store))
        earlier = "is of an earlier version, whose runs have no tables; choose another folder"
        refuse(plan.form == 0 and study.series.tables, f"{store.path}: {earlier}", StoreError)
        before = claim(store, plan, folder)
        _mend(store, watch, " if they are part of the study")
        if before is not None:
            _say_orphans(store, plan, before, watch)
        tally = _Driver(plan, store, watch, out, shard, retry, patient=True).run(engine or study.engine, workers)
    tally.seconds = time.monotonic() - begun
    return tally


def _mend(store: Store, watch: Progress, which: str = "") -> None:
    """Set damaged runs aside, and say which they are."""
    if damaged := store.mend():
        watch.say(f"{len(damaged)} stored runs are damaged, and are made again{which}: {some(damaged)}")


@contextmanager
def answered(
    study: StudyDefinition,
    out: Path | None,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
    space: MaterialsSpace | None = None,
) -> Iterator[Results]:
    """Answer one question: make its runs and yield them, as a command does whose result is more than its runs.

    Runs are made in the order of the study. Runs that failed before are tried again. The store may have answered other
    questions, or those of another version of the model: their runs stay, and are never taken for runs of this study.

    Parameters
    ----------
    study : Study
    out : Path or None
        Folder of results; the runs are kept in a folder of it (:data:`~mpbf_abm.outputs.RUNS`), where the same call
        goes on. None keeps them in memory.
    workers : int, optional
    progress : Progress, optional
    space : MaterialsSpace, optional
        Materials of all runs, instead of those that the study names.

    Raises
    ------
    ConfigurationError
        For a question that cannot be asked; also where a run says so.
    StoppedError
        If runs fail; those that did not are kept.
    HaltError
        After Ctrl-C.
    """
    watch, plan = progress or Silent(), Plan(study, space) if space is not None else Plan.of(study)
    plan.check()
    with Store.memory() if out is None else Store.open(out / RUNS / FILE, write=True) as store:
        claim(store, plan, Path(), alone=False)
        _mend(store, watch)
        driver = _Driver(plan, store, watch, out or Path(), None, retry=True, patient=False)
        tally = driver.run(study.engine, workers)
        kept = "nothing was written" if out is None else kept_in(out)
        refuse(tally.interrupted, f"interrupted; {kept}", HaltError)
        results = Results(store, study)
        if driver.lost:
            fault = driver.lost[0][1]
            raise StoppedError(f"a run failed when it was made again to note more: {fault.type}: {fault.message}")
        if tally.failed:
            refuse_failures(results, "" if out is None else f"; {kept}")
        yield results


def kept_in(out: Path) -> str:
    """Say of a folder of results what a command that stops early leaves there."""
    return f"finished runs are kept in {out / RUNS}, and the same command resumes"


def refuse_failures(results: Results, kept: str) -> None:
    """Say which runs failed, and why the first of them did.

    Raises
    ------
    ConfigurationError
        If the fault is the user's.
    StoppedError
        If not.
    """
    failures = results.failures
    kind, message = failures.iloc[0][["type", "message"]].astype(str)
    refuse(kind in ("ConfigurationError", "DataError"), message.splitlines())
    first = f"{kind}: {' '.join(message.split())}"
    raise StoppedError(f"{len(failures)} of {results.status.size} runs failed; the first: {first}{kept}")


def claim(store: Store, plan: Plan, folder: Path, *, alone: bool = True) -> Saved | None:
    """Note the study in its store, or refuse a store of another one; returns the definition before, if it was another.

    Parameters
    ----------
    store : Store
    plan : Plan
    folder : Path
    alone : bool
        Whether the store is one study's, made by one version of its model.

    Raises
    ------
    StoreError
        If the store holds runs of another study or another version of the model.
    """
    study, at = plan.study, "." if alone else OF_A_RESULT
    if alone and study.space is not None:
        at = folder_from(store.path, folder)
    made_by = (study.own_model, plan.fingerprint)
    new = Saved(study.name, write_study(study), *made_by, at, json.dumps(plan.origin), plan.form)
    last = _last_study(store, plan, alone)
    fault = "" if last is None else _strange(last, new, store)
    refuse(fault, f"{store.path}: {fault}", StoreError)
    store.save_study(new)
    return last if alone and last is not None and last.definition != new.definition else None


def _last_study(store: Store, plan: Plan, alone: bool) -> Saved | None:
    """Return the study that a store holds, as far as it can be read."""
    try:
        return store.last_study(sound=not alone)
    except DamageError:
        last, held = store.last_study(sound=True), store.look().done
        if last is None and len(held) and orphans(store, plan) == len(held):
            raise
        return last
    except MpbfError:
        if alone:
            raise
        return None


def _strange(last: Saved, new: Saved, store: Store) -> str:
    """Say why a store does not take the runs of a study, after the study that it holds."""
    held, result = last.folder == OF_A_RESULT, new.folder == OF_A_RESULT
    models = [study.model or "ecosystem" for study in (last, new)]
    version = (
        f"its runs were made by another version of the model ({last.fingerprint[:12]}, now {new.fingerprint[:12]}); "
        "choose another folder, or install that version to go on"
    )
    faults = lines_where(
        (result and not held, f"holds the study '{last.name}'; the runs of a result go into a separate folder"),
        (held and not result, "holds the runs of a result; the command that made it goes on with them"),
        (last.name != new.name, f"holds the study '{last.name}', not '{new.name}'; choose another folder"),
        (last.model != new.model, f"was made by the model '{models[0]}', not '{models[1]}'"),
        (last.fingerprint != new.fingerprint and store.counts(), version),
    )
    return "" if result and held else next(iter(faults), "")


def form_of(main: Path, store: Store) -> int:
    """Return the form of the ids of a study's runs: of its main store, if there is one, or its shard; else newest."""
    if store.path == main or not main.exists():
        form = store.form()
    else:
        with Store.open(main) as other:
            form = other.form()
    return FORM if form is None else form


def _redesigned(before: Saved, study: StudyDefinition) -> bool:
    """Whether the design is another than before."""
    return bool(tomllib.loads(before.definition).get("design") != tomllib.loads(write_study(study)).get("design"))


def _say_orphans(store: Store, plan: Plan, before: Saved, watch: Progress) -> None:
    """Say how many stored runs a study has no longer, which was another one before."""
    if gone := orphans(store, plan):
        redesigned = plan.study.design.kind == "lhs" and _redesigned(before, plan.study)
        hint = " (an lhs keeps its runs where n is doubled)" if redesigned else ""
        watch.say(f"{gone} stored runs are no part of the study as it is now{hint}")


def orphans(store: Store, plan: Plan) -> int:
    """Count finished runs that a plan does not hold."""
    done, replicates = store.look().done, plan.study.replicates
    if not len(done):
        return 0
    most = replicates.n or replicates.most or 0
    # The number of a replicate says nothing where seeds are named.
    last = most if replicates.seeds else min(most, store.last_replicate() + 1)
    return len(done) - sum(has(done, job.id) for job in plan.jobs(0, last))


class _Driver:
    """Makes the missing runs of a plan; a patient one shuffles scenarios, and ends what runs after one Ctrl-C."""

    guarded = False  # whether a driver of this process looks after Ctrl-C

    def __init__(
        self, plan: Plan, store: Store, watch: Progress, out: Path, shard: Shard | None, retry: bool, patient: bool
    ) -> None:
        self.plan, self.store, self.watch, self.shard = plan, store, watch, shard
        self.retry, self.patient = retry, patient
        self.tally, self.stops, self._here = Tally(), 0, False
        self._main = out / FILE if shard is not None and (out / FILE).exists() else None
        self._short: set[str] = set()
        self.lost: list[tuple[Job, Failure]] = []
        """Runs that failed when they were made again; what they noted before is there."""

    def run(self, settings: EngineSettings, workers: int | None) -> Tally:
        study, tally = self.plan.study, self.tally
        first, last = 0, self._begin_with()
        engine = open_engine(Runner(study, self.plan.space), settings, study.limits, workers)
        self._here = isinstance(engine, InProcess)
        killed = True
        try:
            with self._signals():
                while True:
                    self.watch.begin(self._share(last - first))
                    self._make(engine, self._missing(first, last))
                    tally.replicates = last
                    if self.stops or not study.adaptive or self.shard is not None:
                        break
                    verdict = precision(self.plan, self.store, last)
                    tally.precise = verdict.enough
                    if verdict.wanted <= last:
                        break
                    self.watch.say(f"precision is not reached with {last} replicates; going on to {verdict.wanted}")
                    first, last = last, verdict.wanted
                killed = self.stops > 1
        except InterruptionError:
            if not self.stops:
                # It was meant for the driver around this one.
                raise
        finally:
            engine.close(kill=killed)
            tally.interrupted = self.stops > 0
        return tally

    # ------------------------------------------------------------------ which runs

    @property
    def _wanted(self) -> Recording | None:
        """What runs must have noted to count; in stores of form 0 their ids say it."""
        return None if self.plan.form == 0 else self.plan.study.recording

    def _begin_with(self) -> int:
        """Replicates of the first round; for a shard of a study whose stores were merged, what that one wants."""
        n = self.plan.study.replicates.first
        if self._main is not None and self.plan.study.adaptive:
            with Store.open(self._main) as main:
                n = max(n, precision(self.plan, main).wanted)
        return n

    def _share(self, replicates: int) -> int:
        """Runs of a round, of this shard."""
        groups = len(self.plan.scenarios) * replicates
        if self.shard is not None:
            groups = len(range(self.shard.number - 1, groups, self.shard.of))
        return groups * len(self.plan.arms)

    def _missing(self, first: int, last: int) -> Iterator[Job]:
        """Yield runs of some replicates that are not there yet."""
        there = self.store.look(self._wanted)
        known, failed, arms = [there.done], there.failed if not self.retry else there.failed[:0], len(self.plan.arms)
        if self._main is not None:
            with Store.open(self._main) as main:
                known.append(main.look(self._wanted).done)
        done = np.sort(np.concatenate(known))
        for number, job in enumerate(self.plan.jobs(first, last, shuffled=self.patient)):
            if self.shard is not None and number // arms % self.shard.of != self.shard.number - 1:
                continue
            lost = has(failed, job.id)
            if lost or has(done, job.id):
                self.tally.known += 1
                self.tally.failed_before += lost
                self.watch.advance(done=0, failed=0, known=1)
            elif has(there.short, job.id):
                # What it noted before is noted again, and compared.
                self._short.add(job.id)
                self.tally.again += 1
                yield job._replace(also=self.store.noted(job.id))
            else:
                yield job

    # ------------------------------------------------------------------ making them

    def _make(self, engine: RunEngine, jobs: Iterator[Job]) -> None:
        """Feed the engine, and keep what comes back."""
        over = False
        while not (over and not engine.pending) and self.stops < 2:
            if self.stops:
                if not over:
                    self.watch.say("finishing the runs that are under way; Ctrl-C again stops them")
                engine.withdraw()
                over = True
            elif not over:
                room = engine.wants
                more = list(islice(jobs, room))
                engine.submit(more)
                over = len(more) < room
            if done := engine.collect(0.2):
                self._keep(done)
        if self.stops == 1:
            # What is there is counted to the end.
            deque(jobs, maxlen=0)

    def _keep(self, over: Sequence[Done]) -> None:
        """Make durable what is over, and count it then."""
        failed, scenarios = 0, self.plan.scenarios
        for done in over:
            job: Job = done.task
            result = result_of(done)
            failed += isinstance(result, Failure)
            if isinstance(result, Failure) and job.id in self._short:
                self.lost.append((job, result))
                why = f"{result.type}: {' '.join(result.message.split())}"
                self.watch.say(f"run {job.id[:12]}, made again to note more, failed: {why}; it stays as it was")
                continue
            varied = dict(zip(scenarios.names, scenarios.values[job.scenario], strict=True))
            place = (self.plan.key(job.scenario), self.plan.arms[job.arm].label, varied)
            noted, made = self.plan.study.recording.joined(job.also), (done.seconds, done.attempts)
            self.store.add(job, *place, result, noted, made, more=job.id in self._short)
        self.store.commit()
        apart = (
            f"{self.store.path}: run {''.join(self.store.apart[:1])}, made again to note more, came out otherwise than "
            "stored (perhaps on another kind of machine); it stays as it was; choose another folder"
        )
        refuse(self.store.apart, apart, StoppedError)
        self.tally.failed += failed
        self.tally.made += len(over) - failed
        self.watch.advance(done=len(over) - failed, failed=failed, known=0)

    # ------------------------------------------------------------------ signals

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Ctrl-C once: finish what runs (where patient). Twice, or SIGTERM: stop now. What is over is kept."""
        if _Driver.guarded or threading.current_thread() is not threading.main_thread():
            # A study that a run of another one makes ends with that one.
            yield
            return

        def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
            self.stops += 1 if number == signal.SIGINT and self.patient else 2
            if self.stops > 1 and self._here:
                raise InterruptionError

        before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
        _Driver.guarded = True
        try:
            yield
        finally:
            _Driver.guarded = False
            for number, handler in before.items():
                signal.signal(number, handler)


def precision(plan: Plan, store: Store, replicates: int | None = None) -> Verdict:
    """Ask of a store whether a study's primary outcomes are known precisely enough.

    The effect that is judged is the mean over the scenarios; where the baseline is the only arm, the outcome itself.

    Parameters
    ----------
    plan : Plan
    store : Store
    replicates : int, optional
        Replicates 0 to this one; as many as are complete if not given.
    """
    study, rule, repeats = plan.study, plan.study.replicates, max(1, len(plan.arms) - 1)
    judged = {n: study.outcomes[n] for n in study.primary if study.outcomes[n].target is not None}
    rows = list(_effects(plan, store, judged, replicates))
    return judge(
        np.array(rows).reshape(len(rows), repeats * len(judged)),
        [outcome.target or np.inf for outcome in judged.values()] * repeats,
        events=[outcome.event for outcome in judged.values()] * repeats,
        least=rule.least,
        most=rule.most or 0,
        look_ahead=rule.look_ahead,
    )


def _effects(
    plan: Plan, store: Store, judged: Mapping[str, Outcome], replicates: int | None
) -> Iterator[NDArray[np.float64]]:
    """Yield the mean over the scenarios of what each arm changes, replicate by replicate (arms - 1 times outcomes)."""
    arms, blank, failed = len(plan.arms), [np.nan] * len(judged), store.look().failed
    values = _values(store, judged)
    for r in range(plan.study.replicates.most or 0 if replicates is None else replicates):
        ids = [plan.job(s, a, r).id for s, a in product(range(len(plan.scenarios)), range(arms))]
        if replicates is None and not all(id in values or has(failed, id) for id in ids):
            return
        table = np.array([values.get(id, blank) for id in ids]).reshape(len(plan.scenarios), arms, len(judged))
        yield (table[:, 1:] - table[:, :1] if arms > 1 else table).mean(axis=0).ravel()


def _values(store: Store, judged: Mapping[str, Outcome]) -> dict[str, list[float]]:
    """Return some outcomes of every sound run, by id."""
    keys = [(outcome, outcome.measure(name).key) for name, outcome in judged.items()]
    found = store.outcomes(damaged=True)
    return {id: [outcome.value(stored.get(key, np.nan)) for outcome, key in keys] for id, stored in found}


def check_shard(text: str) -> Shard:
    """Read ``i/n``, or ``env`` for what SLURM (array) or Kubernetes (indexed job) says.

    Raises
    ------
    ConfigurationError
    """
    text = _shard_of_array() if text == "env" else text
    i, n = (int(part) if _is_whole(part) else 0 for part in text.partition("/")[::2])
    refuse(not 1 <= i <= n <= 100_000, f"--shard = '{text}': write i/n with 1 <= i <= n, or env")
    return Shard(i, n)


def _shard_of_array() -> str:
    """Say which shard a job of an array is, after the variables of its scheduler."""
    number, of, first, step = (os.environ.get(f"SLURM_ARRAY_TASK_{name}") for name in ("ID", "COUNT", "MIN", "STEP"))
    if number is None:
        number, of, first = os.environ.get("JOB_COMPLETION_INDEX"), os.environ.get("JOB_COMPLETIONS"), "0"
    unset = (
        "--shard env: neither SLURM_ARRAY_TASK_ID and SLURM_ARRAY_TASK_COUNT nor JOB_COMPLETION_INDEX and "
        "JOB_COMPLETIONS are set"
    )
    refuse(number is None or of is None, unset)
    numbers = (str(number), str(of), first or "0", step or "1")
    array = f"--shard env: the numbers of the array are {', '.join(numbers)}; whole numbers are meant"
    refuse(not all(map(_is_whole, numbers)), array)
    at, _, begin, by = map(int, numbers)
    return f"{(at - begin) // max(1, by) + 1}/{of}"


def _is_whole(text: str) -> bool:
    """Whether a text is a whole number, and no sign or other script."""
    return text.isdecimal() and text.isascii()


# --------------------------------------------------------------------------- engines

# Where runs are made: all engines give the same bits, and which one is used is never part of a run.

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
        # As in a worker: sums in BLAS have one order, also in custom models.
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
