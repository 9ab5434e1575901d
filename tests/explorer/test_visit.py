"""A visit: what a page is told that runs nothing; messages may hold anything."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from questions import SMALL

from mpbf_abm.page.desk import Desk, Order
from mpbf_abm.page.stored import Studies
from mpbf_abm.page.visit import Visit


class Idle(Desk):
    """Takes orders, and runs nothing."""

    def __init__(self) -> None:
        self.orders: list[Order] = []

    def order(self, tasks: Any, first: int = 1) -> Order:
        self.orders.append(Order(dict(tasks), first))
        return self.orders[-1]

    def cancel(self, order: Order) -> None:
        order.cancelled = True


def told(act: Callable[[Visit], Awaitable[None]]) -> tuple[dict[str, Any], list[Order]]:
    """Return the last message of each name that a page gets, and what was ordered."""
    said: dict[str, Any] = {}

    async def tell(name: str, message: dict[str, Any]) -> None:
        said[name] = message

    async def both() -> list[Order]:
        with ThreadPoolExecutor(1) as artist:
            desk = Idle()
            visit = Visit(desk, Studies(Path("nowhere")), tell, artist, SMALL)
            await act(visit)
            await asyncio.sleep(0)
            visit.leave()
            return desk.orders

    # In a thread of its own: tests of the browser leave a running loop in theirs.
    with ThreadPoolExecutor(1) as apart:
        return said, apart.submit(asyncio.run, both()).result()


def test_an_address_with_a_fault_runs_nothing_and_is_left_alone():
    said, orders = told(
        lambda visit: visit.arrive("preset=single-quick&ticks=30&planners.exploration=7&tab=network&view=both")
    )
    assert not orders
    assert "address" not in said
    assert said["fill"]["run"] is False
    # What can be used is there, and what cannot stands at its control.
    assert (said["fill"]["preset"], said["fill"]["numbers"]["ticks"]) == ("single-quick", "30")
    assert said["fill"]["values"] == {"planners.exploration": "7"}
    line = "planners.exploration = 7: must be 0 to 1 (number)"
    assert said["faults"] == {"faults": [{"control": "planners.exploration", "line": line}]}
    assert said["status"]["words"] == f"Cannot be run: {line}"
    assert not said["status"]["running"]
    for query in ("v=3", "ticsk=30"):
        said, _ = told(lambda visit, query=query: visit.arrive(query))
        assert said["status"]["words"].startswith("Cannot be run: ")
        assert said["fill"]["run"] is False
    # What says nothing about the model is the page itself, or is left out.
    for query, ticks in (("tab=network&tick=4", "18"), ("utm_source=<mail>", "18"), ("ticks=7&fbclid=", "7")):
        said, _ = told(lambda visit, query=query: visit.arrive(query))
        assert (said["fill"]["run"], said["fill"]["numbers"]["ticks"]) == (True, ticks)
        assert "faults" not in said
    assert said["html"] == {
        "id": "example-help",
        "html": "Not about the model, and left out of the address: &#x27;fbclid&#x27;",
    }


def test_a_form_that_cannot_be_run_says_why_where_results_would_be():
    late = {"preset": "single-quick", "numbers": {"ticks": 40, "replicates": 2}, "shock": {"poisoning": {"start": 500}}}
    said, orders = told(lambda visit: visit.form(late))
    assert not orders
    why = "shock 'poisoning': start = 500 is not before the end of a run at tick 40"
    assert said["status"]["words"] == f"Cannot be run: {why}"
    assert said["faults"]["faults"][0]["control"] == "shock:poisoning"


KEYS = """preset values numbers policy shock live query text name study audits poisoning start ticks seed
planners.exploration shocks_in_baseline tab view tick pair indicator"""
keys = st.sampled_from(KEYS.split())
parts = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["²", "v=1", "quick"])
messages = st.recursive(parts, lambda m: st.lists(m).map(tuple) | st.dictionaries(keys, m))


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=30)
@example({"view": {}})
@example({"tick": "²"})
@example({"numbers": {"ticks": (1,)}})
@given(messages)
def test_a_message_may_hold_anything(message: Any):
    async def act(visit: Visit) -> None:
        for take in (visit.form, visit.looked, visit.file, visit.choose):
            await take(message)
        for text in (visit.arrive, visit.example, visit.ask):
            await text(str(message))

    told(act)
