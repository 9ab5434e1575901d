"""Runs for pages: worker processes that all sessions share in turn; results are kept by what they follow from."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from mpbf_abm.errors import one_line
from mpbf_abm.page.history import History, Task, work
from mpbf_abm.processes import Done, Fault, Pool

LOOK_SECONDS = 0.2
CACHE_MB = 512.0
RUN_SECONDS = 120.0
RUN_MB = 4_000.0


@dataclass(eq=False)
class Order:
    """What one session waits for.

    Attributes
    ----------
    tasks : dict
        By the session's name of each, such as arm and replicate.
    first : int
        Tasks that make up the first thing to be shown.
    results : dict
        What is there so far, by the same names.
    fault : str
        Why it ended early, in one line.
    cancelled : bool
    """

    tasks: Mapping[Any, Task]
    first: int = 1
    results: dict[Any, Any] = field(default_factory=dict)
    fault: str = ""
    cancelled: bool = False
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _waiting: deque[Any] = field(default_factory=deque)
    _ticks: dict[str, int] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        """Return whether nothing more will come."""
        return bool(self.fault) or self.cancelled or len(self.results) == len(self.tasks)

    @property
    def progress(self) -> float:
        """Return the share of its ticks that are done."""
        total = sum(t.ticks for t in self.tasks.values())
        done = sum(self.tasks[name].ticks for name in self.results)
        return min(1.0, (done + sum(self._ticks.values())) / total) if total else 1.0

    def wait_again(self, key: str) -> None:
        """Put the tasks of a key back among those that wait for a worker."""
        self._waiting.extend(n for n in self._named(key) if n not in self._waiting)
        self._ticks.pop(key, None)

    def take(self, key: str, value: Any) -> None:
        """Take the result of the tasks of a key."""
        for name in self._named(key):
            self.results[name] = value
            if name in self._waiting:
                self._waiting.remove(name)
        self._ticks.pop(key, None)
        self._news.set()

    def _named(self, key: str) -> list[Any]:
        """Return the names of the tasks of a key."""
        return [name for name, task in self.tasks.items() if task.key == key]

    async def news(self, seconds: float) -> None:
        """Wait until something has come, or for some seconds."""
        try:
            await asyncio.wait_for(self._news.wait(), seconds)
        except TimeoutError:
            return
        self._news.clear()


class Desk:
    """Takes orders of all sessions; call everything from the event loop that runs :meth:`serve`.

    Parameters
    ----------
    workers : int
        Processes.
    cache_mb : float
        Memory for results that may be asked for again.
    seconds, memory_mb : float
        Limits of one run.
    folder : Path, optional
        Folder of results, whose runs are not made again.
    """

    def __init__(
        self,
        workers: int,
        *,
        cache_mb: float = CACHE_MB,
        seconds: float = RUN_SECONDS,
        memory_mb: float = RUN_MB,
        folder: Path | None = None,
    ) -> None:
        self.workers, self._seconds, self._memory = workers, seconds, memory_mb
        self._said: list[tuple[Task | None, int]] = []
        limits: dict[str, Any] = {"seconds": seconds, "memory_mb": memory_mb, "retries": 0, "together": 1}
        self._pool = Pool(partial(work, folder=folder), workers, heard=lambda *said: self._said.append(said), **limits)
        self._orders: deque[Order] = deque()
        self._under_way: dict[str, Task] = {}
        self._kept: OrderedDict[str, tuple[Any, float]] = OrderedDict()
        self._room = cache_mb * 1e6
        self._wake = asyncio.Event()
        self._unwanted = False

    # ------------------------------------------------------------------ what sessions call

    def order(self, tasks: Mapping[Any, Task], first: int = 1) -> Order:
        """Ask for results; those that are kept are there at once."""
        order = Order(dict(tasks), first)
        for name, task in tasks.items():
            known = self._kept.get(task.key)
            if known is None:
                order._waiting.append(name)
            else:
                self._kept.move_to_end(task.key)
                order.results[name] = known[0]
        order._news.set()
        if not order.over:
            self._orders.append(order)
            self._ring()
        return order

    def cancel(self, order: Order) -> None:
        """Give up an order; runs that no other order waits for are stopped."""
        if not order.over:
            order.cancelled = True
            self._leave(order)

    def _leave(self, order: Order) -> None:
        order._news.set()
        if order in self._orders:
            self._orders.remove(order)
        self._unwanted = True
        self._ring()

    def _ring(self) -> None:
        """Say that something has changed, so that it is looked at at once."""
        self._wake.set()
        self._pool.wake()

    # ------------------------------------------------------------------ the work

    async def serve(self) -> None:
        """Keep the workers busy until cancelled.

        The pool waits for its workers in its own thread, as waiting in turns would take the processor from them;
        nothing else touches it meanwhile.
        """
        self._pool.submit([None] * self.workers)
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, "desk") as thread:
            try:
                while True:
                    self._wake.clear()
                    self._withdraw()
                    self._feed()
                    if not self._pool.pending:
                        await self._wake.wait()
                        continue
                    done = await loop.run_in_executor(thread, self._pool.collect, LOOK_SECONDS)
                    self._note()
                    for one in done:
                        self._take(one)
            finally:
                self._pool.wake()
                thread.shutdown()
                self._pool.close(kill=True)

    def _withdraw(self) -> None:
        """Stop what no order waits for any more."""
        if not self._unwanted:
            return
        self._unwanted = False
        wanted = {task.key for order in self._orders for task in order.tasks.values()}
        for task in self._pool.stop(lambda task: task is not None and task.key not in wanted):
            self._under_way.pop(task.key, None)

    def _feed(self) -> None:
        """Give the workers what is next, one task of each session in turn."""
        while self._orders and len(self._under_way) < self.workers:
            for _ in range(len(self._orders)):
                order = self._orders[0]
                self._orders.rotate(-1)
                under_way = sum(task.key in self._under_way for task in order.tasks.values())
                if order._waiting and under_way < self._most_of(order):
                    self._begin(order)
                    break
            else:
                return

    def _most_of(self, order: Order) -> int:
        """Return how many workers an order may have: half of them until its first numbers are there.

        Two cores are often two threads of one.
        """
        return self.workers if order.results else max(order.first, self.workers // 2)

    def _begin(self, order: Order) -> None:
        task = order.tasks[order._waiting.popleft()]
        if task.key in self._kept:
            self._give(task.key, self._kept[task.key][0])
        if task.key in self._under_way or task.key in self._kept:
            return
        self._under_way[task.key] = task
        self._pool.submit([task])

    def _note(self) -> None:
        """Take down how far tasks are."""
        heard, self._said = self._said, []
        for task, amount in heard:
            if task is not None:
                for order in self._waiting_for(task.key):
                    order._ticks[task.key] = order._ticks.get(task.key, 0) + amount

    def _waiting_for(self, key: str) -> list[Order]:
        return [order for order in self._orders if order._named(key)]

    def _take(self, done: Done) -> None:
        task: Task | None = done.task
        if task is None:
            return
        self._under_way.pop(task.key, None)
        waiting = self._waiting_for(task.key)
        if done.fault is None:
            self._keep(task.key, done.value)
            self._give(task.key, done.value)
        elif done.fault.kind == "stopped":
            # A session may have asked for it again while it was being stopped.
            for order in waiting:
                order.wait_again(task.key)
        else:
            for order in waiting:
                order.fault = self._words(done.fault)
                self._leave(order)

    def _give(self, key: str, value: Any) -> None:
        for order in self._waiting_for(key):
            order.take(key, value)
            if order.over:
                self._orders.remove(order)

    def _keep(self, key: str, value: Any) -> None:
        # What is no history is a small table.
        self._kept[key] = value, float(value.bytes) if isinstance(value, History) else 1e5
        while len(self._kept) > 1 and sum(size for _, size in self._kept.values()) > self._room:
            self._kept.popitem(last=False)

    def _words(self, fault: Fault) -> str:
        """Return a fault in one line, with what can be done."""
        match fault.kind:
            case "memory":
                less = "fewer materials, records or features need less"
                return f"a run needs more than {self._memory:g} MB of memory: {less}"
            case "timeout":
                less = "fewer ticks or agents, or preset quick, take less; mpbf run has no such limit"
                return f"a run takes longer than {self._seconds:g} s: {less}"
            case "raised" if fault.error is not None:
                return one_line(fault.error)
            case _:
                return f"the run failed: {fault.type}: {one_line(fault.message)}"
