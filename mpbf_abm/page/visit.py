"""One reader's page: what was asked, what is under way, what is looked at; visits share the workers only."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any
from urllib.parse import parse_qsl

import pandas as pd

from mpbf_abm.errors import MpbfError
from mpbf_abm.measures.keystones import keystones
from mpbf_abm.model.indicators import COLUMNS
from mpbf_abm.model.settings import EVENTS, SHARED
from mpbf_abm.model.spec import event_fields
from mpbf_abm.page import tabs
from mpbf_abm.page.desk import Desk, Order
from mpbf_abm.page.history import Task, tasks_of
from mpbf_abm.page.scenario import (
    EXAMPLES,
    NUMBERS,
    FormFault,
    Scenario,
    ScenarioError,
    from_address,
    from_form,
    from_toml,
    placed,
    value_text,
)
from mpbf_abm.page.shown import Shown
from mpbf_abm.page.stored import Studies
from mpbf_abm.page.tabs import TABS, VIEWS, Loss, View
from mpbf_abm.parameters import PATHS, Parameters, current

Tell = Callable[[str, dict[str, Any]], Awaitable[None]]

LOG = logging.getLogger(__name__)
NEWS_SECONDS = 0.4
NOTHING: Mapping[str, str] = {}
REDRAW_SECONDS = 1.5  # least time between pictures of an ensemble that still grows


class Visit:
    """What one session does; every method runs in the event loop.

    Parameters
    ----------
    desk : Desk
    studies : Studies
    tell : callable
        Sends a message to the page, by name.
    artist : ThreadPoolExecutor
        One thread, in which everything is drawn.
    opening : str
        Address of the scenario that a page without one starts with.
    """

    def __init__(self, desk: Desk, studies: Studies, tell: Tell, artist: ThreadPoolExecutor, opening: str = "") -> None:
        self.desk, self.studies, self.tell, self.artist, self.opening = desk, studies, tell, artist, opening
        self.scenario: Scenario | None = None
        self.shown: Shown | None = None
        self.look = View()
        self.order: Order | None = None
        self.losses: Order | None = None
        self.costs: dict[str, dict[Loss, pd.DataFrame]] = {}
        self.study: dict[str, str] = {}
        self._preset = "default"
        self._sent: dict[str, str] = {}
        self._repaint = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._follower: asyncio.Task[None] | None = None
        self._spawn(self._paint())

    def leave(self) -> None:
        """Compute nothing more for a reader who is gone."""
        self._cancel(self.order, self.losses)
        for task in list(self._tasks):
            task.cancel()

    def _cancel(self, *orders: Order | None) -> None:
        for order in orders:
            if order is not None:
                self.desk.cancel(order)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something that takes time; messages of all sessions wait for each other, but not for this."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)
        return task

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            LOG.error("a page's work has failed", exc_info=task.exception())

    # ------------------------------------------------------------------ what the page sends

    async def arrive(self, query: str) -> None:
        """Open the page, perhaps with an address that says what it shows."""
        faults: list[FormFault] = []
        try:
            scenario = from_address(query if _asks(query) else self.opening, asdict(self.look))
        except ScenarioError as error:
            scenario, faults = error.rest, error.placed
        texts = {current(key): text for key, text in parse_qsl(query[:10_000])}
        # Without a word about it the end of the runs is looked at.
        self.look = View(**({"tick": scenario.ticks - 1} | _checked_look(texts)))
        await self.tell("look", asdict(self.look))
        # An address with a fault runs nothing, and stays as it is, until the reader changes something.
        wrong = {fault.control: texts[fault.control] for fault in faults if fault.control in texts}
        await self._fill(scenario, wrong, run=not faults)
        if faults:
            await self._cannot(faults)
        self._spawn(self._browse())

    async def form(self, form: Any) -> None:
        """Take the form as it has changed."""
        if isinstance(form, Mapping):
            await self._rebase(form.get("preset"))
        try:
            scenario = from_form(form).checked()
        except ScenarioError as error:
            await self._cannot(error.placed)
            return
        await self._complain([])
        self.scenario = scenario
        await self.tell("address", {"query": scenario.address()})
        if form.get("live") or self.shown is None:
            await self._begin(scenario)
        else:
            await self._status("Changed; press Run to see what comes of it", stale=True)

    async def _rebase(self, preset: Any) -> None:
        """Send the page the values of a preset, if it is another one than before."""
        if not isinstance(preset, str) or preset == self._preset:
            return
        try:
            base = Parameters.preset(preset)
        except MpbfError:
            base = Parameters()
        self._preset = preset
        await self.tell("fill", {"bases": _texts(base.flat()), "values": None})

    async def example(self, name: str) -> None:
        """Show a ready-made question; an empty name puts everything back."""
        query, help = EXAMPLES.get(str(name), ("", ""))
        await self._send("example-help", tabs.escape(help))
        await self._fill(from_address(query))

    async def file(self, given: Any) -> None:
        """Read a configuration file, as data."""
        name = str(given.get("name", "file"))[:80] if isinstance(given, Mapping) else "file"
        text = given.get("text") if isinstance(given, Mapping) else None
        try:
            scenario = from_toml(text if isinstance(text, str) else "", name)
        except ScenarioError as error:
            await self._complain([FormFault("file", f.line) for f in error.placed])
            return
        await self._fill(scenario)

    async def looked(self, what: Any) -> None:
        """Show another tab, view, tick, pair or indicator."""
        self.look = View(**_checked_look(what if isinstance(what, Mapping) else {}))
        self._repaint.set()

    async def cancel(self) -> None:
        """Stop what is under way."""
        self._cancel(self.order, self.losses)

    async def ask(self, what: str) -> None:
        """Compute something that is only computed on request."""
        if what == "losses" and self.shown is not None and (self.losses is None or self.losses.over):
            self._spawn(self._lose(self.shown))

    async def choose(self, what: Any) -> None:
        """Show another study, scenario or outcome of a study."""
        self.study = {str(k): str(v) for k, v in what.items()} if isinstance(what, Mapping) else {}
        self._spawn(self._browse())

    # ------------------------------------------------------------------ runs

    async def _fill(self, scenario: Scenario, wrong: Mapping[str, str] = NOTHING, *, run: bool = True) -> None:
        """Show a scenario in the form, with texts that are `wrong`; the page then sends it, if it is to be run."""
        self._preset = scenario.preset
        message: dict[str, Any] = {
            "run": run,
            "preset": scenario.preset,
            "bases": _texts(Parameters.preset(scenario.preset).flat()),
            "values": _texts(scenario.changes) | {path: text for path, text in wrong.items() if path in PATHS},
            "numbers": {name: wrong.get(name, str(getattr(scenario, name))) for name in NUMBERS},
            SHARED: scenario.shocks_in_baseline,
            **{kind: {} for kind in EVENTS},
        }
        for kind, event in scenario.events():
            message[kind][event.name] = {k: str(v) for k, v in event_fields(event).items() if k != "name"}
        await self.tell("fill", message)

    async def _begin(self, scenario: Scenario) -> None:
        # Ordered before the last order is given up, so that runs of both go on.
        old, self.order = self.order, self.desk.order(tasks_of(scenario.plan), first=len(scenario.plan.arms))
        self._cancel(old, self.losses)
        if self._follower is not None:
            self._follower.cancel()
        self._follower = self._spawn(self._follow(scenario, self.order))

    async def _follow(self, scenario: Scenario, order: Order) -> None:
        """Show what comes, as it comes."""
        pairs, drawn, clock = 0, 0.0, asyncio.get_running_loop().time
        while True:
            # Asked first: whatever comes while numbers are sent is shown in the next round.
            over = order.over
            now = Shown(scenario, dict(order.results))
            if len(now.replicates) > pairs:
                pairs, self.shown = len(now.replicates), now
                await self._numbers(now)
                if over or pairs == 1 or clock() - drawn > REDRAW_SECONDS:
                    self._repaint.set()
                    drawn = clock()
            await self._status(self._words(scenario, order), order.progress, not over, stale=not pairs)
            if over:
                break
            await order.news(NEWS_SECONDS)
        if order.fault:
            await self._complain(placed([order.fault]))
        self._repaint.set()

    def _words(self, scenario: Scenario, order: Order) -> str:
        if order.fault:
            return "The runs have failed."
        if order.cancelled:
            done = len(Shown(scenario, order.results).replicates)
            return f"Cancelled: {done} of {scenario.replicates} are there. {scenario.plan.words()}"
        return scenario.plan.words()

    async def _numbers(self, shown: Shown) -> None:
        await self._send("cards", tabs.cards(shown))
        await self.tell("time", {"ticks": shown.scenario.ticks, "pairs": shown.replicates, "what_if": shown.what_if})

    async def _lose(self, shown: Shown) -> None:
        """Find keystones by simulation."""
        s, look = shown.scenario, self.look.fitting(shown)
        if s.ticks < 2 or not s.parameters.planners.count:
            nothing = "there is nothing to lose: keystones need two ticks and some planners"
            await self._complain([FormFault("", nothing)])
            return
        loss = tabs.loss_at(shown, look)
        tasks = {i: Task(s.plan.spec(loss.arm, i), losses=loss.tick) for i in shown.replicates}
        self.losses = order = self.desk.order(tasks)
        await self._wait(order, f"Losing each node in turn {loss.words(s)}")
        await self._status(self._words(s, self.order) if self.order else "", 1.0, False)
        if order.fault:
            await self._complain(placed([order.fault]))
        elif not order.cancelled:
            # Results of another scenario are kept by the desk.
            self.costs = {s.address(): self.costs.get(s.address(), {}) | {loss: _costs(order)}}
            self._repaint.set()

    async def _wait(self, order: Order, words: str) -> None:
        """Count the results of an order as they come, until it is over."""
        wanted = len(order.tasks)
        while True:
            over, done = order.over, len(order.results)
            await self._status(f"{words}: {done} of {wanted}", done / wanted, not over)
            if over:
                return
            await order.news(NEWS_SECONDS)

    async def _cannot(self, faults: Sequence[FormFault]) -> None:
        """Say why something is not run; results of an earlier scenario, and what is under way, stay."""
        await self._complain(faults)
        if self.order is None:
            more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
            await self._status(f"Cannot be run: {faults[0].line}{more}")

    async def _complain(self, faults: Sequence[FormFault]) -> None:
        """Say what cannot be used, each at its control; what was said before goes."""
        await self.tell("faults", {"faults": [{"control": f.control, "line": f.line} for f in faults]})

    async def _status(self, words: str, progress: float = 1.0, running: bool = False, *, stale: bool = False) -> None:
        await self.tell("status", {"words": words, "progress": round(progress, 3), "running": running, "stale": stale})

    # ------------------------------------------------------------------ pictures

    async def _drawn(self, make: Callable[..., str], *of: Any) -> str:
        return await asyncio.get_running_loop().run_in_executor(self.artist, make, *of)

    async def _send(self, id: str, html: str) -> None:
        """Put HTML into its place, unless it is there already."""
        if self._sent.get(id) != html:
            self._sent[id] = html
            await self.tell("html", {"id": id, "html": html})

    async def _browse(self) -> None:
        """Show a stored study."""
        await self._send("panel-study", await self._drawn(self.studies.page, self.study))

    async def _paint(self) -> None:
        """Draw what is looked at, always the latest."""
        while True:
            await self._repaint.wait()
            self._repaint.clear()
            if self.shown is None or self.look.tab not in tabs.MAKERS:
                continue
            shown, look = self.shown, self.look.fitting(self.shown)
            try:
                if look.tab == "layers":
                    await self._send("at-tick", await self._drawn(tabs.at_tick, shown, look))
                await self._send(f"panel-{look.tab}-body", await self._drawn(self._tab, shown, look))
            except Exception as error:
                # The page goes on; another tab or tick may well be drawn.
                LOG.exception("a tab could not be drawn")
                words = f"this could not be drawn: {type(error).__name__}: {error}"
                await self._send(f"panel-{look.tab}-body", f'<p class="fault">{tabs.escape(words)}</p>')

    def _tab(self, shown: Shown, look: View) -> str:
        if look.tab == "network":
            return tabs.network(shown, look, self.costs.get(shown.scenario.address(), {}))
        return tabs.MAKERS[look.tab](shown, look)


def _costs(order: Order) -> pd.DataFrame:
    """Return the cost in discoveries of losing the node of each rank, costliest first."""
    table = pd.concat([t for _, t in sorted(order.results.items())], ignore_index=True)
    parts = []
    for kind, part in table.groupby("kind", sort=False):
        ranks = keystones(part, "found_share")
        ranks["name"] = [f"rank {int(r)}" for r in ranks["role"]]
        parts.append(ranks.assign(kind=kind))
    return pd.concat(parts, ignore_index=True)


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {path: value_text(value) for path, value in values.items()}


def _asks(query: str) -> bool:
    """Return whether an address says anything about the model."""
    return bool({part.split("=", 1)[0] for part in query.split("&") if part} - set(View().__dict__))


def _checked_look(what: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields of a look that can be used; others are as by default."""
    out: dict[str, Any] = {}
    for name, known in (("tab", TABS), ("view", VIEWS), ("indicator", COLUMNS)):
        if str(what.get(name)) in known:
            out[name] = str(what[name])
    for name in ("tick", "pair"):
        text = str(what.get(name, ""))
        if text.isdecimal() and len(text) < 7:
            out[name] = int(text)
    return out
