"""The page's tabs, as HTML: which pictures and tables a tab has, and what is said about them."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mpbf_abm.figures.overview import PLURALS
from mpbf_abm.figures.style import records
from mpbf_abm.measures.networks import FLOWS
from mpbf_abm.model.indicators import INDICATORS, UNITS
from mpbf_abm.model.run import HEADLINE
from mpbf_abm.page import WORDS, panels
from mpbf_abm.page.scenario import Scenario
from mpbf_abm.page.shown import FLOW_WINDOW, Shown
from mpbf_abm.parameters import schema
from mpbf_abm.stats.estimates import mean_estimate
from mpbf_abm.stats.paired import spread
from mpbf_abm.studies.definition import BASELINE, WHAT_IF

Array = np.ndarray[Any, Any]
TABS = tuple(WORDS["tabs"])
VIEWS: dict[str, str] = WORDS["views"]
MEANING = {i.column: i.definition for i in INDICATORS} | {
    "leading_share": "share of the records that the largest family holds"
}
TITLES: dict[str, str] = WORDS["titles"]
CHARTS = [(chart["title"], chart["labels"], chart["note"]) for chart in WORDS["charts"]]
NOTES: dict[str, str] = WORDS["notes"]


@dataclass(frozen=True)
class View:
    """What the reader looks at.

    Attributes
    ----------
    tab, view : str
        Of :data:`TABS` and :data:`VIEWS`.
    tick : int
        Of the scrubber, from 0.
    pair : int
        Replicate whose network and map are shown, from 0.
    indicator : str
        The chart that the reader has chosen.
    """

    tab: str = "layers"
    view: str = "both"
    tick: int = 0
    pair: int = 0
    indicator: str = "records_hhi"

    def fitting(self, shown: Shown) -> View:
        """Return the same within what there is."""
        view = self.view if shown.what_if else BASELINE
        pair = self.pair if self.pair in shown.replicates else shown.replicates[0]
        return View(self.tab, view, min(max(0, self.tick), shown.scenario.ticks - 1), pair, self.indicator)


@dataclass(frozen=True)
class Loss:
    """From which tick on, and in which arm, nodes are lost."""

    tick: int
    arm: str

    def words(self, scenario: Scenario) -> str:
        """Return when and where, with what else happens there."""
        events = ", ".join(e.words for events in scenario.plan.arms[self.arm] for e in events)
        arm = f", in the {self.arm}" * (len(scenario.plan.arms) > 1)
        return f"from tick {self.tick} on{arm}, {f'with {events}' if events else 'without policies and shocks'}"


def loss_at(shown: Shown, look: View) -> Loss:
    """Return the loss that a look asks for: from its tick on, in the arm that is looked at."""
    return Loss(look.tick, BASELINE if look.view == BASELINE else shown.last_arm)


def arms_in(view: str, shown: Shown) -> list[str]:
    """Return arms that a view shows."""
    return list(shown.arms) if view in ("both", "difference") else [view]


# --------------------------------------------------------------------------- words and numbers


def num(value: float, sign: str = "") -> str:
    """Return a number of three digits; what is not defined is a dash."""
    return "–" if math.isnan(value) else f"{value:{sign}.3g}".replace("-", "−")


def interval(low: float, high: float) -> str:
    """Return an interval in words."""
    if low == high == 0.0:
        return "0"
    return "" if math.isnan(low) else f"{num(low, '+')} to {num(high, '+')}"


def verdict(effect: Mapping[str, Any]) -> tuple[str, str]:
    """Return what a paired difference says, and the class of its colour."""
    low, high = effect["low"], effect["high"]
    readings = (
        (not effect["n"], "not defined", "unsure"),
        (effect["identical"] or low == high == 0.0, "no difference", "none"),
        (math.isnan(low), "one pair says little" if effect["n"] == 1 else "no interval", "unsure"),
        (low > 0, "more", "more"),
        (high < 0, "less", "less"),
        (True, "undecided", "unsure"),
    )
    return next((word, cls) for holds, word, cls in readings if holds)


def said(effect: Mapping[str, Any]) -> str:
    """Return the verdict on a difference in its colour."""
    word, cls = verdict(effect)
    return f'<span class="verdict {cls}">{word}</span>'


def escape(text: object) -> str:
    """Return the text for HTML."""
    return html.escape(str(text), quote=True)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str, numeric: Sequence[int] = ()) -> str:
    """Return a table with a caption, which scrolls on a narrow screen; cells are HTML."""
    cls = [' class="num"' if i in numeric else "" for i in range(len(head))]
    top = "".join(f'<th scope="col"{c}>{h}</th>' for h, c in zip(head, cls, strict=True))
    body = "".join(_row(row, cls) for row in rows)
    inside = f"<caption>{caption}</caption><thead><tr>{top}</tr></thead><tbody>{body}</tbody>"
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table>{inside}</table></div>'
    )


def _row(row: Sequence[str], cls: Sequence[str]) -> str:
    cells = "".join(f"<td{c}>{value}</td>" for value, c in zip(row[1:], cls[1:], strict=True))
    return f'<tr><th scope="row">{row[0]}</th>{cells}</tr>'


def figure(title: str, picture: str, note: str = "", *, timed: bool = False, wide: bool = False) -> str:
    """Return a picture with its title; `timed` ones have the time cursor over them."""
    classes = "figure" + " timed" * timed + " wide" * wide
    cursor = '<div class="cursor" aria-hidden="true"></div>' * timed
    head = f"<h3>{title}</h3><p>{note}</p>" if note else f"<h3>{title}</h3>"
    body = f'<div class="picture">{picture}{cursor}</div>'
    return f'<figure class="{classes}"><figcaption>{head}</figcaption>{body}</figure>'


def joined(head: str, parts: Iterable[str], grid: str = "grid two") -> str:
    """Return parts in a grid under a line about them."""
    return f'{head}<div class="{grid}">{"".join(parts)}</div>'


def note(text: str, kind: str = "help") -> str:
    """Return a line about what stands near it."""
    return f'<p class="{kind}">{text}</p>'


def meant(outcome: str) -> str:
    """Return the name of an indicator with its meaning."""
    return f'<abbr title="{escape(MEANING[outcome])}">{outcome}</abbr>'


def legend(shown: Shown, view: str) -> str:
    """Return what lines and bands mean."""
    n = len(shown.replicates)
    over = str(n) if shown.whole else f"{n} of {shown.scenario.replicates}"
    key = '<span class="key {}"></span>{}'
    if view == "difference":
        words = f"what-if minus baseline, mean of {over} pairs; band: 95 % interval at each tick"
        return note(key.format("what-if", words), "legend")
    solid = " solid" * (view == BASELINE)
    keys = [key.format(arm + solid, arm) for arm in arms_in(view, shown)] if shown.what_if else []
    band = f"median of {over} runs; band: 10–90 % of them" if n > 1 else "one run"
    return note(f'{" ".join(keys)} <span class="over">{band}</span>', "legend")


# --------------------------------------------------------------------------- what is always there


def cards(shown: Shown) -> str:
    """Return the headline numbers at the end of the runs."""
    parts = "".join(_card(shown, outcome) for outcome in TITLES)
    kind = "means of pairs, and what-if minus baseline with its 95 % interval" if shown.what_if else "means of runs"
    n, wanted = len(shown.replicates), shown.scenario.replicates
    some = f"; {n} of {wanted} so far" if n < wanted else f"; {n} {'pairs' if shown.what_if else 'runs'}"
    return f'<div class="cards">{parts}</div>' + note(f"{at_end(shown)}, {kind}{some}.")


def at_end(shown: Shown) -> str:
    """Return the name of the last tick."""
    return f"At the end (tick {shown.scenario.ticks - 1})"


def _card(shown: Shown, outcome: str) -> str:
    about = f'data-outcome="{outcome}"'
    if shown.effects is None:
        values = shown.ensemble.arm(BASELINE)[outcome].to_numpy(np.float64)
        known = values[np.isfinite(values)]
        value = float(known.mean()) if len(known) else math.nan
        top = f'<p class="value" {about} data-value="{value!r}">{num(value)}</p>'
        spread = _range(known, len(values))
    else:
        e = shown.effects[outcome]
        before, after = float(e["baseline"]), float(e["treated"])
        top = (
            f'<p class="value"><span {about} data-arm="baseline" data-value="{before!r}">{num(before)}</span>'
            '<span class="arrow" aria-label="to"> → </span>'
            f'<strong {about} data-arm="what-if" data-value="{after!r}">{num(after)}</strong></p>'
        )
        between = "" if math.isnan(e["low"]) else f" ({interval(e['low'], e['high'])})"
        spread = f"{said(e)} {num(e['difference'], '+')}{between}"
    plain = f'<p class="plain">{WORDS["plain"][outcome]}</p><p class="range">{spread}</p>'
    return f'<div class="card"><h3>{TITLES[outcome]}</h3>{top}{plain}</div>'


def _range(known: Array, runs: int) -> str:
    """Return how far the runs lie apart in which a value is defined."""
    if len(known) < 2:
        return "one run" if runs == 1 and len(known) else f"defined in {len(known)} of {runs} runs"
    low, high = np.quantile(known, (0.1, 0.9))
    return f"10–90 % of runs: {num(low)} to {num(high)}"


# --------------------------------------------------------------------------- layers


def draw(shown: Shown, key: tuple[Any, ...], make: Callable[..., str], *of: Any) -> str:
    """Return a picture of something, made once."""
    if key not in shown.drawn:
        shown.drawn[key] = make(*of)
    return shown.drawn[key]


def layers(shown: Shown, look: View) -> str:
    """Return charts over time."""
    mine = (f"Of your choice: {look.indicator}", {look.indicator: look.indicator}, MEANING[look.indicator])
    charts = (
        draw(shown, ("layers", look.view, title), _chart, shown, look.view, title, labels, about)
        for title, labels, about in (*CHARTS, mine)
    )
    return joined(legend(shown, look.view), charts, "grid")


def _chart(shown: Shown, view: str, title: str, labels: Mapping[str, str], about: str) -> str:
    quantities, ticks = list(labels), shown.scenario.ticks
    unit = UNITS[quantities[0]]
    if view == "difference":
        frame = shown.gaps(quantities)
        last = records(frame[frame["tick"] == ticks - 1])
        ends = "; ".join(f"{labels[r['quantity']]} {num(r['difference'], '+')}" for r in last)
        alt = f"{title}, what-if minus baseline over time; at the end {ends}."
        picture = panels.gaps(alt, frame, labels, ticks, unit)
    else:
        bands = shown.bands(quantities, arms_in(view, shown))
        last = records(bands.groupby(["arm", "quantity"], sort=False).tail(1))
        names = [[r["arm"]] * shown.what_if + [labels[r["quantity"]]] * (len(labels) > 1) for r in last]
        ends = "; ".join(" ".join([*name, num(r["median"])]) for name, r in zip(names, last, strict=True))
        alt = f"{title} over time; median at the end: {ends or 'not defined'}."
        picture = panels.lines(alt, bands, labels, ticks, unit)
    return figure(title, picture, escape(about), timed=True)


def at_tick(shown: Shown, look: View) -> str:
    """Return indicators at the tick of the scrubber, as a table."""
    names = dict.fromkeys([*(q for _, labels, _ in CHARTS for q in labels), look.indicator])
    rows = [(meant(name), UNITS[name], [shown.values(name, arm)[:, look.tick] for arm in shown.arms]) for name in names]
    return _values_table(shown, rows, f"At tick {look.tick} (means over runs)", "indicator")


def _values_table(shown: Shown, values: Iterable[tuple[str, str, list[Array]]], caption: str, first: str) -> str:
    """Return means of each arm and paired differences of quantities: label, unit, values by arm."""
    rows = []
    for label, unit, by_arm in values:
        row = [label, *(num(mean_estimate(v[np.isfinite(v)]).value) for v in by_arm)]
        if shown.what_if:
            gap = by_arm[1] - by_arm[0]
            e = mean_estimate(gap[np.isfinite(gap)])
            row += [num(e.value, "+"), interval(e.low, e.high)]
        rows.append([*row, escape(unit)])
    head = [first, *shown.arms, "difference", "95 % interval", "unit"] if shown.what_if else [first, "value", "unit"]
    return table(head, rows, caption, numeric=range(1, len(head) - 1))


# --------------------------------------------------------------------------- flows


def flows(shown: Shown, look: View) -> str:
    """Return the layer diagram of each arm, and a table of what flows."""
    when = f"ticks {max(0, look.tick + 1 - FLOW_WINDOW)} to {look.tick}"
    n = len(shown.replicates)
    over = f" and {n} runs, with its 95 % interval" if n > 1 else ""
    parts = []
    for arm in arms_in(look.view, shown):
        frame = shown.flow_table(arm, look.tick)
        amounts = "; ".join(f"{name} {num(v)}" for name, v in frame["per_tick"].items())
        alt = f"Layer diagram of the {arm}, {when}, per tick: {amounts}."
        picture = draw(shown, ("flows", arm, look.tick), panels.flows, alt, frame)
        parts.append(figure(arm if shown.what_if else "Flows between the layers", picture, wide=alone(shown, look)))
    rows = [
        (
            f"<strong>{flow}</strong>: {escape(what)}",
            f"{unit} per tick",
            [shown.flow_values(flow, arm, look.tick) for arm in shown.arms],
        )
        for flow, (_, _, unit, what) in FLOWS.items()
    ]
    head = note(f"what flows in a tick, mean over {when}{over}; {NOTES['flows']}", "legend")
    return joined(head, parts) + _values_table(shown, rows, f"Flows per tick, {when}", "flow")


def alone(shown: Shown, look: View) -> bool:
    """Return whether one picture has the width of two."""
    return look.view != "both" or not shown.what_if


def _run(shown: Shown, look: View) -> str:
    """Return which run is looked at, if there are several."""
    return "" if len(shown.replicates) == 1 else f", {'pair' if shown.what_if else 'run'} {look.pair + 1}"


# --------------------------------------------------------------------------- network


def network(shown: Shown, look: View, losses: Mapping[Loss, pd.DataFrame] | None = None) -> str:
    """Return the dependency graph at a tick, and what it costs to lose a node then, if that was computed."""
    fresh, parts = look.view == "difference", []
    for arm in [WHAT_IF] if fresh else arms_in(look.view, shown):
        nodes, edges = shown.new_links(look.pair, look.tick) if fresh else shown.network(arm, look.pair, look.tick)
        title = arm if shown.what_if else "Infrastructure"
        if fresh:
            title = "what-if; blue: links that the baseline has not"
        alt = _network_words(arm, nodes, edges, look.tick, fresh)
        picture = draw(shown, ("network", arm, look.pair, look.tick, fresh), panels.network, alt, nodes, edges)
        parts.append(figure(title, picture, _leading(nodes), wide=alone(shown, look)))
    head = note(f"{NOTES['network']} At tick {look.tick}{_run(shown, look)}.", "legend")
    return joined(head, parts) + keystones(shown.scenario, loss_at(shown, look), losses or {})


def _network_words(arm: str, nodes: pd.DataFrame, edges: pd.DataFrame, tick: int, fresh: bool) -> str:
    kinds = nodes.groupby("kind", sort=False)
    counts = [f"{PLURALS[str(kind)]} {len(part)} ({int((~part['works']).sum())} down)" for kind, part in kinds]
    more = f"; {int(edges['new'].sum())} links that the baseline has not" if fresh else ""
    there = ", ".join(counts) or "no nodes"
    return f"Infrastructure of the {arm} at tick {tick}: {there}; {len(edges)} links{more}."


def _leading(nodes: pd.DataFrame) -> str:
    marked = records(nodes[nodes["mark"]].sort_values(["kind", "load"], ascending=[False, False]))
    words = [f"{r['kind']} {r['id']} ({r['load']:g})" for r in marked]
    return f"most used: {', '.join(words)}" if words else "no node depends on another"


def keystones(scenario: Scenario, asked: Loss, known: Mapping[Loss, pd.DataFrame]) -> str:
    """Return what the loss of each node costs, by simulation, and how to compute it for the tick and arm in view."""
    head = f'<section class="keystones"><h3>Keystones by simulation</h3>{note(NOTES["keystones"])}'
    button = f"Lose each node in turn from tick {asked.tick} on"
    head += f'<button type="button" class="btn btn-outline-primary" data-ask="losses">{button}</button>'
    several = len(scenario.plan.arms) > 1
    if others := [f"tick {loss.tick}" + f", {loss.arm}" * several for loss in known if loss != asked]:
        head += note(f"Computed as well: {'; '.join(others)}.")
    if asked not in known:
        return f"{head}</section>"
    head += note(f"Lost {escape(asked.words(scenario))}.", "legend")
    parts, costs = [], known[asked]
    for kind, part in costs.groupby("kind", sort=False):
        worst, runs = part.iloc[0], int(part["seeds"].max())
        alt = f"Cost of losing each {kind} in discoveries, costliest first: {worst['name']} {num(worst['cost'])}."
        picture = panels.ranked(alt, part, "discoveries lost by the end (share of the top set; 95 %)")
        sure = ", ".join(part.loc[part["low"] > 0, "name"])
        words = "keystones, whose loss surely costs discoveries: " + sure
        words = words if sure else "of no single loss is it sure that it costs discoveries"
        rest = f"rank 1 is the node with most users; mean of {runs} runs, intervals hold for all nodes together"
        parts.append(figure(f"Loss of a {kind}", picture, f"{words}; {rest}"))
    return joined(head, parts) + "</section>"


# --------------------------------------------------------------------------- materials


def materials(shown: Shown, look: View) -> str:
    """Return the map of families: what was tried, what was found."""
    parts = []
    for arm in ["difference"] if look.view == "difference" else arms_in(look.view, shown):
        title = {"difference": "what-if minus baseline"}.get(arm, arm) if shown.what_if else "Materials space"
        picture = draw(shown, ("materials", arm, look.pair, look.tick), _map, shown, look, arm)
        parts.append(figure(title, picture, _map_words(shown, look, arm), wide=alone(shown, look)))
    return joined(note(f"{NOTES['materials']} Up to tick {look.tick}{_run(shown, look)}.", "legend"), parts)


def _map(shown: Shown, look: View, arm: str) -> str:
    places = shown.histories[shown.last_arm if arm == "difference" else arm, look.pair].places
    counts = {a: shown.family_counts(a, look.pair, look.tick) for a in shown.arms}
    alt = f"Map of {len(places)} families"
    if arm == "difference":
        gap, found = (after - before for before, after in zip(counts[BASELINE], counts[WHAT_IF], strict=True))
        alt += " coloured by the difference of experiments, what-if minus baseline."
        return panels.materials(alt, places, gap, np.maximum(found, 0), float(np.abs(gap).max()), signed=True)
    most = max(float(tried.max()) for tried, _ in counts.values())
    return panels.materials(f"{alt}, {arm}: {_map_words(shown, look, arm)}", places, *counts[arm], most)


def _map_words(shown: Shown, look: View, arm: str) -> str:
    if arm == "difference":
        before, f0 = shown.family_counts(BASELINE, look.pair, look.tick)
        after, f1 = shown.family_counts(WHAT_IF, look.pair, look.tick)
        gained, lost = int(((before == 0) & (after > 0)).sum()), int(((before > 0) & (after == 0)).sum())
        more = f"ringed: more discoveries in the what-if ({int(f1.sum())} against {int(f0.sum())} in all)"
        return f"{gained} families are tried only in the what-if, {lost} only in the baseline; {more}"
    tried, found = shown.family_counts(arm, look.pair, look.tick)
    top = int(shown.histories[arm, look.pair].places["top"].sum())
    best = f"{int(found.sum())} of the {top} best materials found in {int((found > 0).sum())} families"
    return f"{int((tried > 0).sum())} of {len(tried)} families tried in {int(tried.sum())} experiments; {best}"


# --------------------------------------------------------------------------- outcomes


def outcomes(shown: Shown, _: View) -> str:
    """Return distributions of outcomes over runs, and effects with what they say."""
    parts = []
    for outcome in HEADLINE[:8]:
        pairs = pd.DataFrame({arm: shown.ensemble.arm(arm)[outcome] for arm in shown.arms})
        middle = ", ".join(f"{arm} {num(float(pairs[arm].median()))}" for arm in shown.arms)
        alt = f"{outcome} of every run; medians: {middle}."
        picture = draw(shown, ("outcomes", outcome), panels.outcome, alt, pairs, UNITS[outcome])
        parts.append(figure(TITLES.get(outcome, outcome.replace("_", " ")), picture, escape(MEANING[outcome])))
    effects = _spread_table(shown) if shown.effects is None else _effects_table(shown, shown.effects)
    cautions = "".join(f"<li>{escape(s)}</li>" for s in shown.ensemble.cautions)
    return joined("", parts, "grid small") + effects + (f'<ul class="cautions">{cautions}</ul>' if cautions else "")


def _effects_table(shown: Shown, effects: Mapping[str, Mapping[str, Any]]) -> str:
    rows = []
    for outcome in HEADLINE:
        e = effects[outcome]
        base, treated = (shown.ensemble.arm(a)[outcome].to_numpy(np.float64) for a in (BASELINE, WHAT_IF))
        higher = np.mean(treated > base) if len(base) else math.nan
        numbers = [num(e["baseline"]), num(e["treated"]), num(e["difference"], "+"), interval(e["low"], e["high"])]
        pairs = [f"{higher:.0%}", num(e["vrf"]), str(int(e["n"]))]
        rows.append([meant(outcome), *numbers, said(e), *pairs, escape(UNITS[outcome])])
    head = ["outcome", "baseline", "what-if", "difference", "95 % interval"]
    head += ["verdict", "pairs higher", "VRF", "pairs", "unit"]
    caption = f"{at_end(shown)}: effects"
    return table(head, rows, caption, numeric=(1, 2, 3, 4, 6, 7, 8)) + note(NOTES["effects"])


def _spread_table(shown: Shown) -> str:
    rows = [
        [meant(r["outcome"]), *(num(r[c]) for c in ("median", "p10", "p90")), escape(UNITS[r["outcome"]])]
        for r in records(spread(shown.ensemble.arm(BASELINE), HEADLINE))
    ]
    caption = f"{at_end(shown)}: outcomes over {len(shown.replicates)} runs"
    return table(["outcome", "median", "10 %", "90 %", "unit"], rows, caption, numeric=(1, 2, 3))


# --------------------------------------------------------------------------- configuration


def configuration(shown: Shown, _: View) -> str:
    """Return how to make the same runs elsewhere, what differs from the defaults, and the hashes."""
    s = shown.scenario
    flat, record = s.parameters.flat(), s.plan.record()
    changed = [
        [r["path"], *map(escape, (flat[r["path"]], r["default"], r["unit"], r["help"]))]
        for r in schema()
        if flat[r["path"]] != r["default"]
    ]
    runs = [
        [f"{arm} {i + 1}", str(s.seed + i), f"<code>{s.plan.spec(arm, i).id}</code>"]
        for arm in shown.arms
        for i in shown.replicates
    ]
    head = ["parameter", "value", "default", "unit", "help"]
    software = f"{escape(record['software']['version'])} <code>{record['software']['fingerprint']}</code>"
    ids = "Runs; the id follows from everything that a run depends on, and is the same in a study"
    parts = [
        "<h3>The same runs from the command line</h3>",
        f'<div class="copy"><pre id="command" tabindex="0">{escape(s.command())}</pre>',
        '<button type="button" class="btn btn-outline-primary" data-copy="command">Copy</button></div>',
        f'<h3>As a configuration file</h3><pre tabindex="0">{escape(s.to_toml())}</pre>',
        table(head, changed, "Parameters that differ from the defaults", (1, 2))
        if changed
        else note("All parameters are as by default."),
        note(f"Plan <code>{record['run_hash']}</code>, software {software}."),
        table(["run", "seed", "id"], runs, ids, (1,)),
    ]
    return "".join(parts)


MAKERS: dict[str, Callable[[Shown, View], str]] = {
    make.__name__: make for make in (layers, flows, network, materials, outcomes, configuration)
}
