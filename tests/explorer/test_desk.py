"""The desk: results once for all who ask, a turn for each session, orders given up, limits with a reason."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from questions import SMALL, scenario
from waiting import run_alone

from mpbf_abm.model.shocks import Shock
from mpbf_abm.page.desk import Desk, Order
from mpbf_abm.page.history import History, Task, tasks_of


def with_desk(work: Callable[[Desk], Awaitable[None]], **options: float) -> None:
    """Do something while a desk is served."""

    async def both() -> None:
        desk = Desk(2, **options)  # type: ignore[arg-type]
        serving = asyncio.create_task(desk.serve())
        try:
            await asyncio.wait_for(work(desk), 60)
            assert not serving.done()
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    run_alone(both())


async def over(order: Order) -> Order:
    while not order.over:
        await order.news(1.0)
    return order


def tasks(query: str = SMALL) -> dict[tuple[str, int], Task]:
    return tasks_of(scenario(query).plan)


def test_results_come_once_and_are_kept():
    async def work(desk: Desk) -> None:
        order = await over(desk.order(tasks()))
        assert order.progress == 1
        assert all(isinstance(h, History) for h in order.results.values())
        again = desk.order(tasks())
        assert again.over
        assert again.results[("baseline", 1)] is order.results[("baseline", 1)]
        # The what-if's baseline is known, so that only its own runs are made.
        more = desk.order(tasks(f"{SMALL}&policy=audits"))
        assert len(more.results) == 2
        assert len((await over(more)).results) == 4

    with_desk(work)


def test_two_who_ask_for_the_same_share_the_runs_and_each_may_leave():
    async def work(desk: Desk) -> None:
        first, second = desk.order(tasks()), desk.order(tasks())
        await asyncio.sleep(0.05)
        desk.cancel(first)
        assert first.cancelled
        assert len((await over(second)).results) == 2
        assert not second.fault

    with_desk(work)


def test_a_long_order_does_not_keep_another_session_waiting():
    async def work(desk: Desk) -> None:
        long = desk.order(tasks("preset=single-quick&replicates=40&ticks=60"))
        while not long.results:
            await long.news(1.0)
        short = await over(desk.order(tasks(SMALL)))
        assert len(short.results) == 2
        assert len(long.results) < 20
        desk.cancel(long)

    with_desk(work)


def test_an_order_that_is_given_up_frees_its_workers_at_once():
    async def work(desk: Desk) -> None:
        await over(desk.order(tasks(f"{SMALL}&seed=50")))
        long = desk.order(tasks("preset=single-faithful&replicates=8&ticks=300&planners.repeats=true"))
        while not long.progress:
            await long.news(0.2)
        desk.cancel(long)
        begun = time.monotonic()
        await over(desk.order(tasks(SMALL)))
        assert time.monotonic() - begun < 6
        assert len(long.results) < len(long.tasks)
        # What was stopped can be asked for again.
        again = desk.order({"one": next(iter(tasks("preset=single-quick&replicates=1&ticks=30").values()))})
        await asyncio.sleep(0.3)
        desk.cancel(again)
        assert len((await over(desk.order({"one": again.tasks["one"]}))).results) == 1

    with_desk(work)


def test_a_run_over_its_limits_is_one_line_with_what_to_do():
    async def slow(desk: Desk) -> None:
        order = await over(desk.order(tasks("preset=single-faithful&replicates=1&ticks=300&planners.repeats=true")))
        assert "takes longer than 3 s" in order.fault
        assert "quick" in order.fault
        assert len((await over(desk.order(tasks(SMALL)))).results) == 2

    with_desk(slow, seconds=3.0)

    async def big(desk: Desk) -> None:
        order = await over(desk.order(tasks("space.materials=200000&founding.records=100000&replicates=1&ticks=2")))
        assert "MB of memory" in order.fault

    with_desk(big, memory_mb=330.0)


def test_a_run_that_cannot_be_made_says_why():
    async def work(desk: Desk) -> None:
        task = next(iter(tasks().values()))
        impossible = Task(task.spec.changed(ticks=5, shocks=(Shock("repository_outage", target=99),)))
        order = await over(desk.order({"one": impossible}))
        assert (
            order.fault
            == "shock 'repository_outage': target = 99: must be from 0 to 3 (infrastructure.repositories = 4)"
        )

    with_desk(work)


def test_memory_for_results_has_an_end():
    async def work(desk: Desk) -> None:
        first = await over(desk.order(tasks()))
        assert len(first.results) == 2
        await over(desk.order(tasks(f"{SMALL}&seed=9")))
        assert not desk.order(tasks()).over

    with_desk(work, cache_mb=0.05)
