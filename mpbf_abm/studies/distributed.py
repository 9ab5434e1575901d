"""The dask engine: chunks of runs on a cluster, each worker with a supervised pool.

dask carries chunks to machines and brings results back; limits, retries and faults of single runs are the
business of the same pool as on a laptop (:mod:`mpbf_abm.processes`), one inside each thread of a dask worker.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import pickle
import queue
import threading
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any

from mpbf_abm.errors import ConfigurationError, refuse
from mpbf_abm.processes import Done, Fault, Pool, Work, WorkerError, default_workers
from mpbf_abm.provenance import model_fingerprint
from mpbf_abm.studies.definition import Engine as EngineSettings
from mpbf_abm.studies.definition import Limits

try:
    import dask
    from distributed import Client, Future, LocalCluster, WorkerPlugin, get_worker
    from distributed.comm.addressing import parse_address, parse_host_port
    from distributed.comm.registry import get_backend
    from distributed.scheduler import KilledWorker
except ImportError:
    raise ConfigurationError("[engine]: kind = 'dask' needs dask: pip install 'mpbf_abm[distributed]'") from None

PLUGIN = "mpbf-study"
MOST_TOGETHER = 10_000
# A chunk takes at least so many seconds for each worker: some three times what it costs scheduler and driver
# (`python -m analysis.benchmarks --only chunks`), so that they are busy for a third of the time.
CHUNK_COST = 0.02
# Workers have children (the pools), which a daemonic process may not have.
FREE = {"distributed.worker.daemon": False}
EXPORT = "export DASK_DISTRIBUTED__WORKER__DAEMON=False"
QUIET: dict[str, Any] = {"dashboard_address": "127.0.0.1:0", "silence_logs": logging.CRITICAL, "memory_limit": 0}
QUEUES = {
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "sge": "SGECluster",
    "lsf": "LSFCluster",
    "oar": "OARCluster",
    "htcondor": "HTCondorCluster",
}


class StudyPlugin(WorkerPlugin):
    """Keeps a study's pools in a dask worker, one for each of its threads."""

    name = PLUGIN

    def __init__(self, blob: bytes, limits: dict[str, Any]) -> None:
        self.blob, self.limits = blob, limits
        self.fingerprint = model_fingerprint()

    def setup(self, worker: Any) -> None:  # noqa: ARG002 (dask passes it)
        """Begin without pools."""
        self.pools: list[Pool] = []
        self.mine = threading.local()

    def teardown(self, worker: Any) -> None:  # noqa: ARG002
        """End all pools."""
        for pool in self.pools:
            pool.close(kill=True)

    def pool(self) -> Pool:
        """Pool of this thread."""
        if not hasattr(self.mine, "pool"):
            if multiprocessing.current_process().daemon:
                raise WorkerError(f"dask workers must be started with {EXPORT.removeprefix('export ')}")
            if model_fingerprint() != self.fingerprint:
                raise WorkerError("dask workers have another version of mpbf_abm than the driver; install the same one")
            limits = Limits(**self.limits)
            self.mine.pool = Pool(
                pickle.loads(self.blob),  # noqa: S301 (sent by the driver of this study)
                1,
                seconds=limits.seconds,
                memory_mb=limits.memory_mb,
                retries=limits.retries,
            )
            self.pools.append(self.mine.pool)
        pool: Pool = self.mine.pool
        return pool


def run_chunk(tasks: Sequence[Any]) -> list[Done]:
    """Do some tasks in the pool of this dask worker."""
    plugin: Any = get_worker().plugins[PLUGIN]
    pool: Pool = plugin.pool()
    pool.submit(tasks)
    return list(pool.drain())


def chunk_seconds(asked: float | None, slots: int) -> float:
    """Seconds of work that travel together, to so many workers."""
    return max(1.0, CHUNK_COST * slots) if asked is None else asked


class DaskEngine:
    """Runs chunks on a dask cluster: one on this machine, a running one, or one that a scheduler starts.

    Parameters
    ----------
    work : callable
    settings : Engine
    limits : Limits
    workers : int, optional
    """

    def __init__(self, work: Work, settings: EngineSettings, limits: Limits, workers: int | None = None) -> None:
        dask.config.set(FREE)
        self._chunk_seconds, self._retries = settings.chunk_seconds, limits.retries
        self._expected = workers or default_workers()
        if settings.address:
            _check_address(settings.address)
        self._cluster = None if settings.address else start_cluster(settings, self._expected)
        try:
            self._client = Client(settings.address or self._cluster, set_as_default=False)
            plugin = StudyPlugin(pickle.dumps(work, pickle.HIGHEST_PROTOCOL), limits.model_dump())
            self._client.register_plugin(plugin, name=PLUGIN)
        except OSError as error:
            self._end_cluster()
            raise ConfigurationError(
                f"[engine]: address = '{settings.address}': no scheduler answers ({error})"
            ) from None
        self._queue: deque[tuple[Any, int]] = deque()
        self._flying: dict[str, tuple[Future[Any], list[tuple[Any, int]]]] = {}
        self._landed: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._mean: float | None = None

    @property
    def _slots(self) -> int:
        return max(1, int(sum(self._client.nthreads().values())))

    @property
    def _together(self) -> int:
        """Tasks in a chunk."""
        if self._mean is None:
            return 1
        seconds = chunk_seconds(self._chunk_seconds, self._slots)
        return max(1, min(MOST_TOGETHER, int(seconds / max(self._mean, 1e-6))))

    @property
    def wants(self) -> int:
        """Tasks to submit now, so that no worker waits for one."""
        room = max(0, 3 * self._slots - len(self._flying))
        return max(0, room * self._together - len(self._queue))

    @property
    def pending(self) -> int:
        """Tasks that were submitted and are not collected yet."""
        return len(self._queue) + sum(len(tasks) for _, tasks in self._flying.values())

    def submit(self, tasks: Sequence[Any]) -> None:
        """Add tasks."""
        self._queue.extend((task, 0) for task in tasks)
        self._send()

    def _send(self) -> None:
        room = 3 * self._slots - len(self._flying)
        while self._queue and room > 0:
            # A task that a chunk was lost with travels alone.
            size = 1 if self._queue[0][1] else self._together
            tasks = [self._queue.popleft()]
            while self._queue and len(tasks) < size and not self._queue[0][1]:
                tasks.append(self._queue.popleft())
            future = self._client.submit(run_chunk, [task for task, _ in tasks], pure=False)
            self._flying[str(future.key)] = (future, tasks)
            future.add_done_callback(lambda f: self._landed.put(str(f.key)))
            room -= 1

    def withdraw(self) -> list[Any]:
        """Take back the tasks that no chunk holds, and the chunks that wait."""
        back = list(self._queue)
        self._queue.clear()
        running = {key for keys in self._client.processing().values() for key in map(str, keys)}
        waiting = [key for key, (future, _) in self._flying.items() if key not in running and not future.done()]
        for key in waiting:
            future, held = self._flying.pop(key)
            future.cancel()
            back += held
        return [task for task, _ in back]

    def collect(self, timeout: float = 1.0) -> list[Done]:
        """Return what is over, as soon as anything is."""
        self._send()
        out: list[Done] = []
        while self._flying:
            try:
                key = self._landed.get(block=not out, timeout=timeout)
            except queue.Empty:
                break
            if key in self._flying:
                out += self._land(*self._flying.pop(key))
        self._send()
        return out

    def _land(self, future: Future[Any], tasks: list[tuple[Any, int]]) -> list[Done]:
        try:
            done: list[Done] = future.result()
        except (KilledWorker, OSError) as error:
            return self._lost(tasks, str(error))
        except Exception as error:
            if future.cancelled() or type(error).__name__ == "FutureCancelledError":
                return self._lost(tasks, "the cluster lost it")
            if isinstance(error, WorkerError):
                raise
            raise WorkerError(f"a dask worker cannot make runs: {type(error).__name__}: {error}") from None
        spent = sum(d.seconds for d in done) / max(1, len(done))
        self._mean = spent if self._mean is None else 0.8 * self._mean + 0.2 * spent
        return done

    def _lost(self, tasks: list[tuple[Any, int]], words: str) -> list[Done]:
        """Try the runs of a lost chunk again, each alone; give up on one that was lost alone too often."""
        over = []
        for task, attempts in tasks:
            if len(tasks) == 1 and attempts > self._retries:
                over.append(
                    Done(task, None, Fault("died", "WorkerLost", f"its dask worker was lost: {words}"), 0.0, attempts)
                )
            else:
                self._queue.append((task, attempts + 1))
        return over

    def close(self, *, kill: bool = False) -> None:  # noqa: ARG002 (what runs on a cluster is left to it)
        """End the connection, and the cluster if it was started here."""
        for future, _ in self._flying.values():
            with contextlib.suppress(Exception):
                future.cancel()
        for end in (partial(self._client.unregister_worker_plugin, PLUGIN), partial(self._client.close, timeout=5)):
            with contextlib.suppress(Exception):
                end()
        self._end_cluster()

    def _end_cluster(self) -> None:
        if self._cluster is not None:
            with contextlib.suppress(Exception):
                self._cluster.close(timeout=10)


def _check_address(address: str) -> None:
    """Refuse what is no address before a client is made of it, which would complain of itself for a minute."""
    try:
        scheme, place = parse_address(address)
        get_backend(scheme)
        parse_host_port(place)
    except ValueError as error:
        raise ConfigurationError(f"[engine]: address = '{address}': is no HOST:PORT ({error})") from None


def start_cluster(settings: EngineSettings, workers: int) -> Any:
    """Start the dask cluster that a study asks for.

    Raises
    ------
    ConfigurationError
        If a library is missing, or the cluster refuses its options.
    """
    options = dict(settings.options)
    try:
        if settings.cluster == "local":
            return LocalCluster(n_workers=workers, threads_per_worker=1, processes=True, **(QUIET | options))
        if settings.cluster == "kubernetes":
            from dask_kubernetes.operator import KubeCluster

            env = {"DASK_DISTRIBUTED__WORKER__DAEMON": "False"} | dict(options.pop("env", {}))
            return KubeCluster(**({"n_workers": workers, "env": env} | options))
        import dask_jobqueue

        kind = getattr(dask_jobqueue, QUEUES[settings.cluster])
        prologue = [EXPORT, *options.pop("job_script_prologue", [])]
        cluster = kind(**({"cores": 1, "memory": "4GB", "processes": 1} | options), job_script_prologue=prologue)
        cluster.scale(workers)
        return cluster
    except ImportError as error:
        refuse(error.name is None, f"[engine]: cluster = '{settings.cluster}': {_deepest(error)}")
        extra = "kubernetes" if settings.cluster == "kubernetes" else "distributed"
        raise ConfigurationError(
            f"[engine]: cluster = '{settings.cluster}' needs {error.name}: pip install 'mpbf_abm[{extra}]'"
        ) from None
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigurationError(f"[engine]: cluster = '{settings.cluster}': {_deepest(error)}") from None


def _deepest(error: BaseException) -> str:
    """What the first cause of an error said, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())
