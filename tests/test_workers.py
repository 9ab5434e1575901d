"""The pool: order, batches, faults and limits, and what it tells of workers that cannot start."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
from typing import Any

import pytest
import toys

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.processes import (
    MARK,
    Fault,
    HaltedError,
    Pool,
    StrayMessageError,
    WorkerError,
    _line,
    attempt,
    default_workers,
    framed,
    tell,
    unframed,
)


def square(x: int) -> int:
    return x * x


def slow(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def where(_: Any) -> int:
    return os.getpid()


class Stubborn:
    """Work that can be sent, but not received."""

    def __reduce__(self) -> Any:
        return toys.raise_error, ()

    def __call__(self, task: Any) -> Any:
        return task


def environment(_: Any) -> str:
    return os.environ.get("OMP_NUM_THREADS", "")


def unsendable(_: Any) -> Any:
    return lambda: None


def test_every_task_comes_back_once_with_its_value() -> None:
    with Pool(square, 2) as pool:
        pool.submit(range(2000))
        done = list(pool.drain())
    assert sorted(d.task for d in done) == list(range(2000))
    assert all(d.value == d.task**2 and d.fault is None and d.attempts == 1 for d in done)


def test_both_workers_work_and_have_one_thread_each() -> None:
    with Pool(slow, 2) as pool:
        pool.submit([0.2] * 6)
        begun = time.monotonic()
        while pool.pending:
            pool.collect(5.0)
        assert time.monotonic() - begun < 6
    with Pool(where, 2) as pool:
        pool.submit(range(60))
        assert os.getpid() not in {d.value for d in pool.drain()}
    with Pool(environment, 1) as pool:
        pool.submit([0])
        assert [d.value for d in pool.drain()] == ["1"]


def test_tasks_that_are_not_begun_can_be_taken_back() -> None:
    with Pool(slow, 1) as pool:
        pool.submit([0.3, 0.31, 0.32, 0.33])
        while not any(s.hand for s in pool._slots):
            pool.collect(0.05)
        back = pool.withdraw()
        assert back == [0.31, 0.32, 0.33]
        assert [d.value for d in pool.drain()] == [0.3]


def test_what_a_task_raises_is_its_result() -> None:
    value, fault, seconds = attempt(lambda _: toys.raise_error(), None)
    assert value is None
    assert isinstance(fault, Fault)
    assert (fault.kind, fault.type, fault.message) == ("raised", "ValueError", "this run cannot be")
    assert "raise_error" in fault.traceback
    assert seconds >= 0


def test_a_value_that_cannot_be_sent_is_a_fault_of_its_task() -> None:
    with Pool(unsendable, 1) as pool:
        pool.submit([1, 2])
        done = list(pool.drain())
    assert all(d.fault is not None and "cannot be sent" in d.fault.message for d in done)


class Unreadable:
    """A value that can be sent, but not received."""

    def __reduce__(self) -> Any:
        return toys.raise_error, ()


def sometimes_unreadable(task: int) -> Any:
    return Unreadable() if task == 50 else task


def sometimes_unsendable(task: int) -> Any:
    return (lambda: None) if task == 50 else task


@pytest.mark.parametrize(
    ("work", "kind", "words"),
    [
        (sometimes_unreadable, "StrayMessage", "what cannot be read: this run cannot be"),
        (sometimes_unsendable, "PicklingError|AttributeError", "the result cannot be sent"),
    ],
)
def test_a_value_that_does_not_travel_costs_its_own_task_and_none_that_travels_with_it(
    work: Any, kind: str, words: str
) -> None:
    with Pool(work, 1, retries=0) as pool:
        pool.submit(range(300))
        done = list(pool.drain())
    assert sorted(d.task for d in done) == list(range(300))
    (lost,) = [d for d in done if d.fault is not None]
    assert lost.task == 50
    assert lost.fault is not None
    assert lost.fault.type in kind.split("|")
    assert words in lost.fault.message
    assert all(d.value == d.task for d in done if d is not lost)


def test_messages_are_put_together_from_any_parts() -> None:
    sent = [b"", b"x" * 5, MARK, bytes(range(256)) * 9]
    stream = b"".join(map(framed, sent))
    for step in (1, 2, 7, 19, len(stream)):
        inbox, got = bytearray(), []
        for start in range(0, len(stream), step):
            inbox += stream[start : start + step]
            while (message := unframed(inbox)) is not None:
                got.append(message)
        assert got == sent
        assert not inbox


@pytest.mark.parametrize("noise", [b"y", b"mpbf-worker;", b"mpbf_", b"\0\0\0\5hello"])
def test_what_is_no_message_is_noticed_at_its_first_byte(noise: bytes) -> None:
    inbox = bytearray(framed(b"first") + noise)
    assert unframed(inbox) == b"first"
    with pytest.raises(StrayMessageError):
        unframed(inbox)


def forks_later(task: int) -> tuple[int, int]:
    """Leave a timer whose handler forks, while the worker waits for its next task."""
    if task == 0:
        signal.signal(signal.SIGALRM, lambda *_: os.fork())
        signal.setitimer(signal.ITIMER_REAL, 0.05)
    else:
        time.sleep(0.02)
    return task, os.getpid()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_copy_of_a_waiting_worker_takes_no_task_and_sends_no_result() -> None:
    with Pool(forks_later, 1, retries=0, seconds=5) as pool:
        pool.submit([0])
        assert [d.fault for d in pool.drain()] == [None]
        time.sleep(0.4)
        worker = pool._slots[0].process.pid
        pool.submit(range(1, 9))
        assert [d.value for d in pool.drain()] == [(task, worker) for task in range(1, 9)]


FORGED: dict[str, Any] = {
    "seconds": ("done", [(3, None, None, "long")]),
    "a fault": ("done", [(3, 1, "no fault", 0.1)]),
    "another task": ("done", [(4, 1, None, 0.1)]),
    "more than it holds": ("done", [(3, 1, None, 0.1), (4, 1, None, 0.1)]),
    "no results": ("done", 5),
    "a second beginning": ("ready", ""),
    "words for an amount": ("progress", "much"),
    "an unknown kind": ("over", None),
    "no kind": ([], None),
}


def forges(task: tuple[int, str]) -> tuple[int, str]:
    number, kind = task
    if number == 3:
        assert _line.pipe is not None
        process = os.getppid() if kind == "the process" else os.getpid()
        name, content = FORGED.get(kind, ("progress", 1))
        message = framed(pickle.dumps((name, process, content)))
        if kind == "the length":
            message = MARK + (1 << 60).to_bytes(8, "big")
        os.write(_line.pipe.fileno(), message)
        time.sleep(0.3)
    return task


@pytest.mark.parametrize("kind", [*FORGED, "the process", "the length"])
def test_a_message_that_a_worker_does_not_send_costs_its_task_only(kind: str) -> None:
    heard: list[int] = []
    with Pool(forges, 2, retries=0, seconds=20, together=1, heard=lambda _, amount: heard.append(amount)) as pool:
        pool.submit([(number, kind) for number in range(8)])
        done = list(pool.drain())
    assert {d.task[0] for d in done if d.fault is None} == set(range(8)) - {3}
    (lost,) = [d.fault for d in done if d.fault is not None]
    assert lost.type == "StrayMessage"
    assert ("by the copy" in lost.message) == (kind == "the process")
    assert heard == []


def closes(task: int) -> int:
    if task == 3:
        os.close(_line.pipe.fileno())  # type: ignore[union-attr]
        time.sleep(20)
    return task


def test_a_task_that_closes_the_pipe_is_lost_by_its_name() -> None:
    with Pool(closes, 2, retries=0, seconds=15, together=1) as pool:
        pool.submit(range(6))
        (lost,) = [d for d in pool.drain() if d.fault is not None]
    assert lost.task == 3
    assert lost.fault is not None
    assert lost.fault.message == "the process of the run closed its pipe to the driver"


def drained(work: Any, **limits: Any) -> None:
    with Pool(work, 2, **limits) as pool:
        pool.submit([1])
        list(pool.drain())


def test_work_that_a_worker_cannot_receive_is_told_at_once() -> None:
    with pytest.raises(WorkerError, match="a worker cannot begin: ValueError: this run cannot be"):
        drained(Stubborn())


def test_a_limit_below_what_a_worker_takes_at_rest_is_told() -> None:
    with pytest.raises(WorkerError, match="MB at rest, more than the limit of 1 MB"):
        drained(square, memory_mb=1.0)


def test_a_limit_of_time_ends_one_task_and_no_other() -> None:
    with Pool(slow, 2, seconds=0.5, retries=0) as pool:
        pool.submit([0.01] * 5 + [60.0] + [0.01] * 5)
        begun = time.monotonic()
        done = list(pool.drain())
        assert time.monotonic() - begun < 10
    (late,) = [d for d in done if d.fault is not None]
    assert late.task == 60.0
    assert late.fault is not None
    assert (late.fault.kind, late.fault.message) == ("timeout", "ran for more than 0.5 s")
    assert 0.5 <= late.seconds < 2
    assert len(done) == 11


def test_there_are_two_workers_at_least() -> None:
    assert default_workers() >= 2


def test_short_tasks_travel_together_and_long_ones_alone() -> None:
    with Pool(square, 2) as pool:
        assert pool.wants == 4
        pool.submit(range(500))
        list(pool.drain())
        assert pool.wants > 100
    with Pool(slow, 2) as pool:
        pool.submit([0.1] * 4)
        list(pool.drain())
        assert pool.wants == 4


def picky(task: str) -> str:
    if task == "ours":
        raise ConfigurationError(["one", "two"])
    if task == "a bug":
        raise KeyError("nobody knows")
    if task == "dies":
        os._exit(3)
    return task.upper()


def telling(steps: int) -> int:
    for _ in range(steps):
        time.sleep(0.02)
        tell()
    return steps


def deaf(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def test_a_task_tells_how_far_it_is() -> None:
    heard: list[tuple[int, int]] = []
    with Pool(telling, 1, together=1, heard=lambda task, amount: heard.append((task, amount))) as pool:
        pool.submit([30])
        (done,) = pool.drain()
    assert done.value == 30
    assert {task for task, _ in heard} == {30}
    assert 10 < sum(amount for _, amount in heard) <= 30
    # Outside a worker there is nobody to tell.
    tell()


def test_tasks_are_given_up_and_the_worker_goes_on() -> None:
    with Pool(telling, 1, together=1) as pool:
        pool.submit([10_000, 10_001, 3])
        while not pool._slots or not pool._slots[0].hand:
            pool.collect(0.1)
        process = pool._slots[0].process.pid
        assert pool.stop(lambda task: task > 100) == [10_001]
        done = list(pool.drain())
        assert [(d.task, d.value) for d in done] == [(10_000, None), (3, 3)]
        assert done[0].fault is not None
        assert (done[0].fault.kind, done[0].fault.type, done[0].attempts) == ("stopped", HaltedError.__name__, 1)
        assert pool._slots[0].process.pid == process
        # What is stopped too late, when it is over, stops nothing else.
        pool.submit([1])
        pool._slots[0].pipe.send("stop")
        assert [d.value for d in pool.drain()] == [1]


def test_a_task_that_tells_nothing_is_stopped_with_its_worker() -> None:
    with Pool(deaf, 1, together=1) as pool:
        pool.submit([60.0])
        while not pool._slots or not pool._slots[0].hand:
            pool.collect(0.1)
        begun = time.monotonic()
        assert pool.stop(lambda _: True, patience=0.3) == []
        (done,) = pool.drain()
        assert done.fault is not None
        assert done.fault.kind == "stopped"
        assert time.monotonic() - begun < 10
        pool.submit([0.0])
        assert [d.value for d in pool.drain()] == [0.0]


def test_collecting_ends_when_somebody_rings() -> None:
    with Pool(deaf, 1, together=1) as pool:
        pool.submit([0.0])
        assert [d.value for d in pool.drain()] == [0.0]
        pool.submit([30.0])
        threading.Timer(0.3, pool.wake).start()
        begun = time.monotonic()
        assert pool.collect(20.0) == []
        assert time.monotonic() - begun < 5
        pool.close(kill=True)
