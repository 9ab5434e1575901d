"""A supervised pool of processes: a task that raises, dies, hangs or bloats costs itself and nothing else.

Each worker has its own pipe, so that the parent always knows which task a worker was at when it died, and
no worker can spoil what another one sends. A result carries the number of its task and the process that made it: what
a copy of a worker sends (a task may fork) is never taken for the result of another task. The parent has no threads; it
looks at its workers in :meth:`Pool.collect`.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, Literal, Self

from mpbf_abm.errors import InterruptionError, MpbfError, StoppedError, private, words_of

if TYPE_CHECKING:
    import psutil

Work = Callable[[Any], Any]

BATCH_SECONDS = 0.05  # short tasks travel together, so that a message is worth its cost
MOST_TOGETHER = 256
FLUSH_SECONDS = 0.02
LOOK_SECONDS = 0.1  # how often memory is looked at
STARTS = 3  # workers in a row that may end before they are ready
KILLED_STARTS = 30  # the same where something outside killed them
DEAF_SECONDS = 1.0  # longest wait until a worker is found dead that cannot be heard to die
TELL_SECONDS = 0.1  # how often a worker tells how far it is
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class WorkerError(StoppedError):
    """Worker processes that cannot be started."""


class HaltedError(StoppedError):
    """A task that was asked to stop."""


class StrayMessageError(Exception):
    """A message that a worker does not send, or not then."""


@dataclass(frozen=True)
class Fault:
    """Why a task has no result.

    Attributes
    ----------
    kind : str
        raised: it raised an exception. died: its process ended. timeout, memory: it went over a limit. stopped: it was
        asked to (:meth:`Pool.stop`).
    type, message, traceback : str
        Of the exception, where there was one.
    error : MpbfError or None
        The exception itself, if it is one that a user can act on.
    """

    kind: Literal["raised", "died", "timeout", "memory", "stopped"]
    type: str
    message: str
    traceback: str = ""
    error: MpbfError | None = None


@dataclass(frozen=True)
class Done:
    """A task that is over: its value, or the fault.

    Attributes
    ----------
    task : object
        As it was submitted.
    value : object
        What the work returned; None with a fault.
    fault : Fault or None
    seconds : float
        Time of the last attempt.
    attempts : int
    """

    task: Any
    value: Any
    fault: Fault | None
    seconds: float
    attempts: int


# --------------------------------------------------------------------------- messages of workers

MARK = b"mpbf-worker:"
HEAD = len(MARK) + 8
CHUNK = 1 << 18
LONGEST = 1 << 32  # bytes of a message


def framed(message: bytes) -> bytes:
    """Return a message as it travels: a mark, its length, itself."""
    return MARK + len(message).to_bytes(8, "big") + message


def unframed(inbox: bytearray) -> bytes | None:
    """Take the next message out of what came; None if it is not all there yet.

    Raises
    ------
    StrayMessageError
        If no message begins there.
    """
    if not inbox.startswith(MARK[: len(inbox)]):
        raise StrayMessageError("what is no message")
    if len(inbox) < HEAD:
        return None
    end = HEAD + int.from_bytes(inbox[len(MARK) : HEAD], "big")
    if end > LONGEST:
        raise StrayMessageError(f"a message of {end} bytes")
    if len(inbox) < end:
        return None
    message = bytes(inbox[HEAD:end])
    del inbox[:end]
    return message


def receive(pipe: Connection) -> bytes:
    """Return what is there of the messages, which may end within one: the parent never waits for the rest."""
    if os.name == "nt":  # pragma: no cover
        return pipe.recv_bytes()
    data = os.read(pipe.fileno(), CHUNK)
    if not data:
        raise EOFError
    return data


def send(pipe: Connection, frame: bytes) -> None:
    """Send a message whole."""
    if os.name == "nt":  # pragma: no cover
        pipe.send_bytes(frame)
        return
    rest = memoryview(frame)
    while rest:
        rest = rest[os.write(pipe.fileno(), rest) :]


@contextlib.contextmanager
def one_process() -> Iterator[None]:
    """Let a process that is forked inside the block end there, however it leaves the block."""
    process = os.getpid()
    try:
        yield
    finally:
        if os.getpid() != process:
            os._exit(0)


def attempt(work: Work, task: Any) -> tuple[Any, Fault | None, float]:
    """Do one task; what it raises becomes a fault."""
    start = time.perf_counter()
    value, fault = None, None
    try:
        with one_process():
            value = work(task)
    except InterruptionError:
        raise
    except HaltedError as error:
        fault = Fault("stopped", type(error).__name__, str(error))
    except MemoryError as error:
        fault = Fault("memory", "MemoryError", words_of(error) or "out of memory", private(traceback.format_exc()))
    except BaseException as error:  # noqa: BLE001 (whatever a run raises is a result)
        ours = error if isinstance(error, MpbfError) else None
        fault = Fault("raised", type(error).__name__, words_of(error), private(traceback.format_exc()), ours)
    return value, fault, time.perf_counter() - start


@dataclass(eq=False)
class _Task:
    number: int
    task: Any
    attempts: int = 0
    alone: bool = False


@dataclass(eq=False)
class _Slot:
    """A worker as the parent sees it."""

    process: Any
    pipe: Connection
    inspect: psutil.Process | None = None
    inbox: bytearray = field(default_factory=bytearray)
    ready: bool = False
    hand: deque[_Task] = field(default_factory=deque)
    since: float = 0.0
    halt_by: float = 0.0  # when a task that was asked to stop is stopped by force


def _fits(slot: _Slot, kind: str, content: Any) -> bool:
    """Return whether a worker sends a message of some kind and content now."""
    if kind == "ready":
        return not slot.ready and isinstance(content, str)
    if kind == "progress":
        return bool(slot.hand) and isinstance(content, int)
    numbers, at_hand = [number for number, _, _, _ in content], [t.number for t in slot.hand]
    typed = all(isinstance(fault, Fault | None) and isinstance(seconds, float) for _, _, fault, seconds in content)
    return kind == "done" and numbers == at_hand[: len(numbers)] and typed


class Pool:
    """Processes that do tasks, under supervision.

    Parameters
    ----------
    work : callable
        Picklable; called with one task in a worker. It is sent to each worker once.
    workers : int
        Processes; they are started when there is something to do.
    seconds : float
        Longest time of a task; 0 is no limit.
    memory_mb : float
        Most resident memory of a worker, in MB; 0 is no limit.
    retries : int
        Further attempts at a task whose process died or went over a limit. A task that raises is not tried
        again: it is taken to be a pure function.
    together : int
        Most tasks that a worker is given at once, where they are short.
    heard : callable, optional
        Called in :meth:`collect` with a task that is under way and the amount of it that is done (:func:`tell`).

    Examples
    --------
    >>> with Pool(len, workers=1) as pool:
    ...     pool.submit([[1, 2]])
    ...     print([done.value for done in pool.drain()])
    [2]
    """

    def __init__(
        self,
        work: Work,
        workers: int,
        *,
        seconds: float = 0.0,
        memory_mb: float = 0.0,
        retries: int = 2,
        together: int = MOST_TOGETHER,
        heard: Callable[[Any, int], None] | None = None,
    ) -> None:
        self._blob = pickle.dumps(work, pickle.HIGHEST_PROTOCOL)
        self.workers, self._seconds, self._memory, self._retries = workers, seconds, memory_mb, retries
        self._most_together, self._heard = together, heard
        self._queue: deque[_Task] = deque()
        self._numbers = count()
        self._slots: list[_Slot] = []
        self._done: list[Done] = []
        self._mean: float | None = None
        self._starts = 0
        self._looked = 0.0
        self._context = multiprocessing.get_context("spawn")
        self._heard_bell, self._bell = self._context.Pipe(duplex=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self.close(kill=kind is not None)

    # ------------------------------------------------------------------ what users call

    @property
    def pending(self) -> int:
        """Return tasks that were submitted and are not collected yet."""
        return len(self._queue) + sum(len(s.hand) for s in self._slots) + len(self._done)

    @property
    def wants(self) -> int:
        """Return tasks to submit now, so that no worker waits for one."""
        return max(0, 2 * self.workers * self._together() - len(self._queue))

    def submit(self, tasks: Sequence[Any]) -> None:
        """Add tasks; they are begun in this order."""
        self._queue.extend(_Task(next(self._numbers), task) for task in tasks)

    def withdraw(self) -> list[Any]:
        """Take back the tasks that no worker has begun or holds."""
        tasks = [t.task for t in self._queue]
        self._queue.clear()
        return tasks

    def stop(self, unwanted: Callable[[Any], bool], patience: float = 1.0) -> list[Any]:
        """Give up tasks: those that no worker holds are returned, those under way end with a fault.

        A task under way ends when it next reports (:func:`tell`), and its worker goes on; one that reports nothing for
        `patience` seconds is stopped with its worker. A worker that holds several tasks gives up the one it is at.
        """
        gone = [t.task for t in self._queue if unwanted(t.task)]
        self._queue = deque(t for t in self._queue if not unwanted(t.task))
        for slot in self._slots:
            if slot.hand and unwanted(slot.hand[0].task):
                with contextlib.suppress(OSError):
                    slot.pipe.send(_STOP)
                slot.halt_by = slot.halt_by or time.monotonic() + patience
        return gone

    def wake(self) -> None:
        """Let :meth:`collect` return at once; the only method that another thread may call meanwhile."""
        with contextlib.suppress(OSError):
            self._bell.send_bytes(b".")

    def collect(self, timeout: float = 1.0) -> list[Done]:
        """Supervise the workers for up to `timeout` seconds; return what is over, as soon as anything is.

        Raises
        ------
        WorkerError
            If no worker can be started.
        """
        deadline = time.monotonic() + timeout
        woken = False
        while not woken:
            self._feed()
            busy = [s for s in self._slots if s.hand or not s.ready]
            left = deadline - time.monotonic()
            if self._done or not busy or left <= 0:
                break
            woken = self._listen(busy, left)
            self._enforce(busy)
        done, self._done = self._done, []
        return done

    def drain(self) -> Iterator[Done]:
        """Collect until nothing is pending."""
        while self.pending:
            yield from self.collect()

    def close(self, *, kill: bool = False) -> None:
        """End the workers; those that are at a task are stopped if `kill`, else waited for."""
        for slot in self._slots:
            if kill or slot.hand:
                end_tree(slot)
            else:
                with contextlib.suppress(OSError):
                    slot.pipe.send(None)
        for slot in self._slots:
            _ends(slot.process, 5)
            # Programs that its tasks have started and left end with a worker.
            _bury(slot)
        self._slots.clear()
        self._queue.clear()
        self._heard_bell.close()
        self._bell.close()

    # ------------------------------------------------------------------ feeding

    def _together(self) -> int:
        """Return tasks that go to a worker in one message."""
        if self._mean is None:
            return 1
        return max(1, min(self._most_together, int(BATCH_SECONDS / max(self._mean, 1e-6))))

    def _feed(self) -> None:
        """Give every free worker something to do; start workers while there are tasks for them."""
        while len(self._slots) < min(self.workers, len(self._queue) + sum(bool(s.hand) for s in self._slots)):
            self._slots.append(self._start())
        for slot in list(self._slots):
            if not (slot.ready and not slot.hand and self._queue):
                continue
            if slot.process.is_alive():
                self._give(slot)
            else:
                # It died while it had nothing to do.
                self._lose(slot)

    def _give(self, slot: _Slot) -> None:
        # Near the end the rest is shared out.
        most = max(1, min(self._together(), len(self._queue) // self.workers))
        slot.hand.append(self._queue.popleft())
        while self._queue and len(slot.hand) < most and not (slot.hand[0].alone or self._queue[0].alone):
            slot.hand.append(self._queue.popleft())
        slot.since, slot.halt_by = time.monotonic(), 0.0
        # A worker that has just died is found by its sentinel.
        with contextlib.suppress(OSError):
            slot.pipe.send([(t.number, t.task) for t in slot.hand])

    def _start(self) -> _Slot:
        here, there = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(there, self._memory), name="mpbf-worker", daemon=True)
        with _one_thread_each():
            process.start()
        there.close()
        slot = _Slot(process, here, _inspected(process.pid))
        with contextlib.suppress(OSError):
            here.send_bytes(self._blob)
        return slot

    # ------------------------------------------------------------------ listening

    def _listen(self, busy: Sequence[_Slot], left: float) -> bool:
        """Hear what comes in the time that is left; return whether another thread has rung."""
        places: dict[Any, _Slot] = {s.pipe: s for s in busy} | {s.process.sentinel: s for s in busy}
        there = wait([*places, self._heard_bell], min([left, *self._next_looks(busy)]))
        for slot in dict.fromkeys(places[p] for p in there if p in places):
            self._hear(slot)
        rung = self._heard_bell in there
        while rung and self._heard_bell.poll():
            self._heard_bell.recv_bytes()
        return rung

    def _next_looks(self, busy: Sequence[_Slot]) -> Iterator[float]:
        """Yield the seconds until limits are looked at next, and until each task under way is over its time."""
        yield LOOK_SECONDS if self._memory else DEAF_SECONDS
        if self._seconds:
            now = time.monotonic()
            yield from (max(0.0, s.since + self._seconds - now) for s in busy if s.hand)

    def _hear(self, slot: _Slot) -> None:
        """Take what a worker sent, up to its end if it has died."""
        # Asked first: what a dead worker sent is then all in its pipe.
        gone = not slot.process.is_alive()
        try:
            while slot.pipe.poll():
                slot.inbox += receive(slot.pipe)
                while (frame := unframed(slot.inbox)) is not None:
                    self._take(slot, *self._read(slot, frame))
                if not gone:
                    # Limits are looked at between one part and the next.
                    break
        except (EOFError, OSError):
            # The end of the pipe: of the worker as well, or its task has closed it.
            gone = True
        except StrayMessageError as error:
            self._lose(slot, Fault("died", "StrayMessage", f"the process of the run sent {error}"))
            return
        if gone:
            closed = Fault("died", "ProcessDied", "the process of the run closed its pipe to the driver")
            self._lose(slot, None if _ends(slot.process, 0.5) else closed)

    @staticmethod
    def _read(slot: _Slot, message: bytes) -> tuple[str, Any]:
        """Read a message, if it is of the worker itself and comes at its time."""
        try:
            kind, process, content = pickle.loads(message)  # noqa: S301 (over the pipe of a worker)
            fits = _fits(slot, kind, content)
        except Exception as error:  # noqa: BLE001 (to unpickle may raise anything)
            raise StrayMessageError(f"what cannot be read: {words_of(error)}") from None
        if process != slot.process.pid:
            raise StrayMessageError(f"a message by the copy {process} of itself")
        if not fits:
            raise StrayMessageError(f"'{kind}' at the wrong time")
        return kind, content

    def _take(self, slot: _Slot, kind: str, content: Any) -> None:
        if kind == "ready":
            if content:
                raise WorkerError(f"a worker cannot begin: {content}")
            slot.ready, self._starts = True, 0
        elif kind == "progress" and self._heard is not None:
            self._heard(slot.hand[0].task, content)
        elif kind == "done":
            for _, value, fault, seconds in content:
                task = slot.hand.popleft()
                self._mean = seconds if self._mean is None else 0.9 * self._mean + 0.1 * seconds
                self._end(task, value, fault, seconds)
            slot.since = time.monotonic()

    def _end(self, task: _Task, value: Any, fault: Fault | None, seconds: float) -> None:
        task.attempts += 1
        if fault is not None and fault.kind not in ("raised", "stopped") and task.attempts <= self._retries:
            task.alone = True
            self._queue.append(task)
            return
        self._done.append(Done(task.task, value, fault, seconds, task.attempts))

    def _lose(self, slot: _Slot, fault: Fault | None = None) -> None:
        """Account for a worker that is gone, and for the task it was at."""
        _bury(slot)
        self._slots.remove(slot)
        code = slot.process.exitcode or 0
        if not slot.ready:
            self._starts += 1
            if self._starts >= (KILLED_STARTS if code < 0 else STARTS):
                ended = f"{self._starts} worker processes in a row ended at their start (exit code {code})"
                raise WorkerError(f"{ended}; a script must start its work under: if __name__ == '__main__'")
        if len(slot.hand) == 1:
            words = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            died = Fault("died", "ProcessDied", f"the process of the run ended by {words}")
            self._end(slot.hand.pop(), None, fault or died, time.monotonic() - slot.since)
            return
        # Which of several was at fault is found by trying each alone, with nothing held against it.
        for task in reversed(slot.hand):
            task.alone = True
            self._queue.appendleft(task)

    # ------------------------------------------------------------------ limits

    def _enforce(self, busy: Sequence[_Slot]) -> None:
        now = time.monotonic()
        look = bool(self._memory) and now - self._looked >= LOOK_SECONDS
        self._looked = now if look else self._looked
        for slot in [s for s in busy if s in self._slots and not s.process.is_alive()]:
            # A program that a task has started may hold the pipe open that tells of the end of a worker.
            self._hear(slot)
        for slot in [s for s in busy if s in self._slots and s.hand]:
            if fault := self._excess(slot, now, look):
                self._lose(slot, fault)

    def _excess(self, slot: _Slot, now: float, look: bool) -> Fault | None:
        """Return why a worker at a task has to be stopped, if it has to."""
        if 0 < slot.halt_by < now:
            return Fault("stopped", HaltedError.__name__, "was stopped")
        if self._seconds and now - slot.since > self._seconds:
            return Fault("timeout", "TimeLimit", f"ran for more than {self._seconds:g} s")
        if look and _resident(slot) > self._memory:
            return Fault("memory", "MemoryLimit", f"took more than {self._memory:g} MB of memory")
        return None


# psutil is imported where it is used, as a worker without a limit of memory starts without it.


def _inspected(pid: int | None) -> psutil.Process | None:
    """Return the view of a process that memory and programs below it are read from; None if it is gone."""
    import psutil

    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid)
    return None


def _below(slot: _Slot) -> list[psutil.Process]:
    """Return the programs that the tasks of a worker have started, as far as they can be seen."""
    import psutil

    with contextlib.suppress(psutil.Error):
        return [] if slot.inspect is None else slot.inspect.children(recursive=True)
    return []


def _resident(slot: _Slot) -> float:
    """Return the memory of a worker in MB, and of the programs that its task has started."""
    import psutil

    size = 0
    with contextlib.suppress(psutil.Error):
        size += 0 if slot.inspect is None else slot.inspect.memory_info().rss
    # What a copy shares with the worker counts once.
    for child in _below(slot):
        with contextlib.suppress(psutil.Error):
            size += child.memory_full_info().uss
    return size / 1e6


def _ends(process: Any, seconds: float) -> bool:
    """Wait for the end of a process; whether it came in time.

    A join waits for the pipe that tells of the end, too, which a program that a task has started may hold open.
    """
    deadline = time.monotonic() + seconds
    while process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.005)
    return not process.is_alive()


def end_tree(slot: _Slot) -> None:
    """End a worker and all programs that its tasks have started, also those that it has left behind."""
    import psutil

    below = _below(slot)
    # A worker leads a group, which outlives it in what it has started.
    with contextlib.suppress(OSError, AttributeError):
        os.killpg(slot.process.pid, signal.SIGKILL)
    slot.process.kill()
    for process in below:
        with contextlib.suppress(psutil.Error):
            process.kill()


def _bury(slot: _Slot) -> None:
    """End a worker, wait for it, and let go of its pipe."""
    end_tree(slot)
    slot.process.join()
    slot.pipe.close()


def default_workers() -> int:
    """Return how many workers to start: one for each core, and two at least, so that limits can be kept."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # pragma: no cover - not Linux
        cores = os.cpu_count() or 1
    return max(2, cores)


# --------------------------------------------------------------------------- inside a worker

_STOP = "stop"
Result = tuple[int, Any, "Fault | None", float]  # number of a task, its value or fault, seconds


@dataclass
class _Line:
    """What a worker tells its parent while it is at a task."""

    pipe: Connection | None = None
    amount: int = 0
    sent: float = 0.0

    def send(self, kind: str, content: Any) -> None:
        """Send a message with the process that it comes from."""
        if self.pipe is not None:
            send(self.pipe, framed(pickle.dumps((kind, os.getpid(), content), pickle.HIGHEST_PROTOCOL)))

    def leave(self) -> None:
        """Take the pipe from a copy of the worker that has just been forked, wherever that was."""
        if self.pipe is not None:
            self.pipe.close()
            self.pipe = None


_line = _Line()


def tell(amount: int = 1) -> None:
    """Say, in a task, how much more of it is done; in a process that is no worker nothing happens.

    Raises
    ------
    HaltedError
        If the parent has asked to stop.
    """
    # A process that the task has forked has no pipe.
    if _line.pipe is None:
        return
    _line.amount += amount
    if time.monotonic() - _line.sent >= TELL_SECONDS:
        _line.send("progress", _line.amount)
        _line.amount, _line.sent = 0, time.monotonic()
    # While a worker is at a task its parent sends nothing else.
    if _line.pipe.poll():
        _line.pipe.recv()
        raise HaltedError("was stopped")


def _serve(pipe: Connection, memory_mb: float) -> None:
    """Do tasks until the parent says no more, or is gone."""
    global _inside
    _inside = True  # by the environment that the parent has given, before BLAS was loaded
    _leave_with_parent()
    _line.pipe = pipe
    with contextlib.suppress(AttributeError):
        os.register_at_fork(after_in_child=_line.leave)
    with one_process():
        _work_off(pipe, memory_mb)


def _received_work(pipe: Connection, memory_mb: float) -> Work | None:
    """Return the work, once this worker has said that it is ready; None if it is not, and has said why."""
    work, fault = None, ""
    try:
        work = pickle.loads(pipe.recv_bytes())  # noqa: S301 (sent by the parent, over its own pipe)
        fault = _limit_memory(memory_mb) if memory_mb else ""
    except EOFError:
        return None
    except BaseException as error:  # noqa: BLE001 (the parent raises it)
        fault = f"{type(error).__name__}: {words_of(error)}"
    _line.send("ready", fault)
    return None if fault else work


def _work_off(pipe: Connection, memory_mb: float) -> None:
    if (work := _received_work(pipe, memory_mb)) is None:
        return
    while (tasks := _received(pipe)) is not None:
        _line.amount = 0
        out: list[Result] = []
        flushed = time.monotonic()
        for number, task in tasks:
            out.append((number, *attempt(work, task)))
            if time.monotonic() - flushed > FLUSH_SECONDS:
                _send(out)
                out, flushed = [], time.monotonic()
        if out:
            _send(out)


def _received(pipe: Connection) -> Any:
    """Return the next tasks; None where there are no more."""
    try:
        while (tasks := pipe.recv()) == _STOP:
            # Too late: the task it was meant for is over.
            continue
    except EOFError:
        return None
    return tasks


def _send(results: list[Result]) -> None:
    try:
        _line.send("done", results)
    except OSError:
        raise
    except Exception:  # noqa: BLE001 (a value may refuse to be pickled in any way)
        _line.send("done", [_sendable(result) for result in results])


def _sendable(result: Result) -> Result:
    """Return a result as it is, or as the fault that its value cannot be sent."""
    number, _, fault, seconds = result
    try:
        pickle.dumps(result, pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # noqa: BLE001
        cannot = Fault("raised", type(error).__name__, f"the result cannot be sent: {error}")
        return number, None, fault or cannot, seconds
    return result


def _leave_with_parent() -> None:
    """Leave Ctrl-C to the parent, and end when the parent does, with all that this worker has started."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    if os.name == "posix":
        if os.getppid() != parent.pid:
            # A copy of a worker, forked where the script was imported; or the parent is gone.
            os._exit(0)
        with contextlib.suppress(OSError):
            os.setsid()

    def watch() -> None:
        parent.join()
        with contextlib.suppress(OSError, AttributeError):
            if os.getpgrp() == os.getpid():
                os.killpg(0, signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _limit_memory(memory_mb: float) -> str:
    """Let an allocation that goes over the limit raise here, before the parent can look; say if that cannot be."""
    import psutil

    held = psutil.Process().memory_info()
    if held.rss > memory_mb * 1e6:
        return f"it takes {held.rss / 1e6:.0f} MB at rest, more than the limit of {memory_mb:g} MB"
    # Windows has no such limits.
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        soft = int(getattr(held, "data", 0) + memory_mb * 1e6 - held.rss)
        resource.setrlimit(resource.RLIMIT_DATA, (soft if hard < 0 else min(soft, hard), hard))
    return ""


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let processes that are started inside the block have one BLAS thread."""
    before = {name: os.environ.pop(name) for name in THREADS if name in os.environ}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name in THREADS:
            os.environ.pop(name, None)
        os.environ.update(before)


# --------------------------------------------------------------------------- threads

# One BLAS thread: sums then have one order, so that bytes do not depend on the machine's cores.

_inside = False


@lru_cache(maxsize=1)
def _controller() -> Any:
    import numpy  # noqa: F401  (both bring a BLAS, which must be loaded to be found)
    import scipy.linalg  # noqa: F401
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Limit BLAS to one thread inside the block; nesting costs nothing.

    The matrices here are small: one thread is also the fastest.
    """
    global _inside
    if _inside:
        yield
        return
    with _controller().limit(limits=1, user_api="blas"):
        _inside = True
        try:
            yield
        finally:
            _inside = False
