"""The page's tabs, as HTML: which pictures and tables a tab has, and what is said about them."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mpbf_abm.figures.of_studies import records
from mpbf_abm.figures.overview import PLURALS
from mpbf_abm.measures.flows import FLOWS
from mpbf_abm.model.indicators import INDICATORS, UNITS
from mpbf_abm.model.run import HEADLINE
from mpbf_abm.page import panels
from mpbf_abm.page.shown import FLOW_WINDOW, Shown
from mpbf_abm.parameters import schema
from mpbf_abm.stats.estimates import mean_estimate
from mpbf_abm.stats.paired import spread
from mpbf_abm.studies.definition import BASELINE, WHAT_IF

Array = np.ndarray[Any, Any]
TABS = ("layers", "flows", "network", "materials", "outcomes", "configuration", "study")
VIEWS = {"both": "both", BASELINE: "baseline", WHAT_IF: "what-if", "difference": "difference"}


MEANING = {i.column: i.definition for i in INDICATORS} | {
    "leading_share": "share of the records that the largest family holds"
}
TITLES = {
    "found_share": "Best materials found", "families_d1": "Breadth of experiments", "leading_share": "Largest family",
    "rmse_niche": "Error on rare families", "acceleration_factor": "Against chance", "inherited_bias": "Inherited bias",
}  # fmt: skip
PLAIN = {
    "found_share": "of the top 1 % were made and measured", "families_d1": "families, effectively, got the experiments",
    "leading_share": "of all records are of one family", "rmse_niche": "sd: how wrong models are off the beaten track",
    "acceleration_factor": "times fewer tests than random search needs", "inherited_bias": "of the bias of simulation lives on in models",
}  # fmt: skip
CHARTS: tuple[tuple[str, dict[str, str], str], ...] = (
    ("Boundary shift ΔB", {"boundary_shift": "ΔB"}, "coverage of the corpus less its fidelity, weighted"),
    (
        "Abstraction integrity A",
        {"integrity": "as it is", "integrity_perceived": "as perceived"},
        "how well representations keep what matters: over all families, and as the corpus weighs them",
    ),
    ("Steering fidelity S", {"steering": "S"}, "how far models deserve to steer: feedback and resolved trade-off"),
    (
        "Trade-off T of scale and invariance",
        {"tradeoff": "T"},
        "benefit of pretraining scale under invariance less its risk",
    ),
    (
        "Best materials found",
        {"found_share": "found"},
        "share of the top 1 % of materials, first made and measured since founding",
    ),
    (
        "Breadth of experiments",
        {"families_d1": "effective families"},
        "effective number of families that experiments so far went to",
    ),
    (
        "Model error",
        {"rmse_dense": "large families", "rmse_niche": "rare families"},
        "of the models in use, against the true property",
    ),
    ("What works", {"models_working": "models", "labs_working": "labs"}, "share that has enough working providers"),
)


@dataclass(frozen=True)
class Look:
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
        The chart of one's own choice.
    """

    tab: str = "layers"
    view: str = "both"
    tick: int = 0
    pair: int = 0
    indicator: str = "records_hhi"

    def fitting(self, shown: Shown) -> Look:
        """The same within what there is."""
        view = self.view if shown.what_if else BASELINE
        pair = self.pair if self.pair in shown.replicates else shown.replicates[0]
        return Look(self.tab, view, min(max(0, self.tick), shown.scenario.ticks - 1), pair, self.indicator)


def arms_in(view: str, shown: Shown) -> list[str]:
    """Arms that a view shows."""
    return list(shown.arms) if view in ("both", "difference") else [view]


# --------------------------------------------------------------------------- words and numbers


def num(value: float, sign: str = "") -> str:
    """A number of three digits; what is not defined is a dash."""
    return "–" if math.isnan(value) else f"{value:{sign}.3g}".replace("-", "−")


def interval(low: float, high: float) -> str:
    """An interval in words."""
    if low == high == 0.0:
        return "0"
    return "" if math.isnan(low) else f"{num(low, '+')} to {num(high, '+')}"


def verdict(effect: Mapping[str, Any]) -> tuple[str, str]:
    """What a paired difference says, and the class of its colour."""
    low, high = effect["low"], effect["high"]
    if effect["identical"] or low == high == 0.0:
        return "no difference", "none"
    if math.isnan(low):
        return ("one pair says little" if effect["n"] == 1 else "no interval"), "unsure"
    if low > 0:
        return "more", "more"
    if high < 0:
        return "less", "less"
    return "undecided", "unsure"


def escape(text: object) -> str:
    """Text for HTML."""
    return html.escape(str(text), quote=True)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str, numeric: Sequence[int] = ()) -> str:
    """A table with a caption, which scrolls on a narrow screen; cells are HTML."""
    cls = [' class="num"' if i in numeric else "" for i in range(len(head))]
    top = "".join(f'<th scope="col"{c}>{h}</th>' for h, c in zip(head, cls, strict=True))
    body = "".join(
        "<tr>" + f'<th scope="row">{row[0]}</th>' + "".join(f"<td{c}>{v}</td>" for v, c in zip(row[1:], cls[1:], strict=True)) + "</tr>"
        for row in rows
    )  # fmt: skip
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table><caption>{caption}</caption>'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def figure(title: str, picture: str, note: str = "", *, timed: bool = False, wide: bool = False) -> str:
    """A picture with its title; `timed` ones have the time cursor over them."""
    classes = "figure" + (" timed" if timed else "") + (" wide" if wide else "")
    cursor = '<div class="cursor" aria-hidden="true"></div>' if timed else ""
    told = f"<p>{note}</p>" if note else ""
    return f'<figure class="{classes}"><figcaption><h3>{title}</h3>{told}</figcaption><div class="picture">{picture}{cursor}</div></figure>'


def legend(shown: Shown, view: str) -> str:
    """What lines and bands mean."""
    n = len(shown.replicates)
    over = f"{n} of {shown.scenario.replicates}" if not shown.whole else str(n)
    if view == "difference":
        return f'<p class="legend"><span class="key what-if"></span>what-if minus baseline, mean of {over} pairs; band: 95 % interval at each tick</p>'
    keys = []
    if view == "both" and shown.what_if:
        keys = ['<span class="key baseline"></span>baseline', '<span class="key what-if"></span>what-if']
    elif shown.what_if:
        keys = [f'<span class="key {"what-if" if view == WHAT_IF else "baseline solid"}"></span>{view}']
    band = f"median of {over} runs; band: 10–90 % of them" if n > 1 else "one run"
    return f'<p class="legend">{" ".join(keys)} <span class="over">{band}</span></p>'


# --------------------------------------------------------------------------- what is always there


def cards(shown: Shown) -> str:
    """The headline numbers at the end of the runs."""
    parts = []
    for outcome, title in TITLES.items():
        if shown.effects is None:
            values = shown.ensemble.arm(BASELINE)[outcome].to_numpy(np.float64)
            known = values[np.isfinite(values)]
            low, high = np.quantile(known, (0.1, 0.9)) if len(known) > 1 else (math.nan, math.nan)
            value = float(known.mean()) if len(known) else math.nan
            told = f"10–90 % of runs: {num(low)} to {num(high)}" if len(known) > 1 else "one run"
            parts.append(
                f'<div class="card"><h3>{title}</h3><p class="value" data-outcome="{outcome}" data-value="{value!r}">{num(value)}</p>'
                f'<p class="plain">{PLAIN[outcome]}</p><p class="range">{told}</p></div>'
            )
            continue
        e = shown.effects[outcome]
        word, cls = verdict(e)
        between = "" if math.isnan(e["low"]) else f" ({interval(e['low'], e['high'])})"
        parts.append(
            f'<div class="card"><h3>{title}</h3><p class="value"><span data-outcome="{outcome}" data-arm="baseline" data-value="{float(e["baseline"])!r}">'
            f'{num(e["baseline"])}</span><span class="arrow" aria-label="to"> → </span><strong data-outcome="{outcome}" data-arm="what-if" '
            f'data-value="{float(e["treated"])!r}">{num(e["treated"])}</strong></p><p class="plain">{PLAIN[outcome]}</p>'
            f'<p class="range"><span class="verdict {cls}">{word}</span> {num(e["difference"], "+")}'
            f"{between}</p></div>"
        )
    kind = "means of pairs, and what-if minus baseline with its 95 % interval" if shown.what_if else "means of runs"
    n, wanted = len(shown.replicates), shown.scenario.replicates
    some = f"; {n} of {wanted} so far" if n < wanted else f"; {n} {'pairs' if shown.what_if else 'runs'}"
    return f'<div class="cards">{"".join(parts)}</div><p class="help">At tick {shown.scenario.ticks}, {kind}{some}.</p>'


# --------------------------------------------------------------------------- layers


def draw(shown: Shown, key: tuple[Any, ...], make: Callable[..., str], *of: Any) -> str:
    """A picture of something, made once."""
    if key not in shown.drawn:
        shown.drawn[key] = make(*of)
    return shown.drawn[key]


def layers(shown: Shown, look: Look) -> str:
    """Charts over time."""
    mine = (f"Of your choice: {look.indicator}", {look.indicator: look.indicator}, MEANING[look.indicator])
    parts = [legend(shown, look.view), '<div class="grid">']
    for title, labels, note in (*CHARTS, mine):
        key = ("layers", look.view, title)
        parts.append(draw(shown, key, _chart, shown, look.view, title, labels, note))
    return "".join([*parts, "</div>"])


def _chart(shown: Shown, view: str, title: str, labels: Mapping[str, str], note: str) -> str:
    quantities, ticks = list(labels), shown.scenario.ticks
    unit = UNITS[quantities[0]]
    if view == "difference":
        frame = shown.gaps(quantities)
        last = frame[frame["tick"] == ticks - 1]
        ends = "; ".join(f"{labels[r['quantity']]} {num(r['difference'], '+')}" for r in records(last))
        picture = panels.gaps(
            frame, labels, ticks, unit, f"{title}, what-if minus baseline over time; at the end {ends}."
        )
    else:
        bands = shown.bands(quantities, arms_in(view, shown))
        last = bands.groupby(["arm", "quantity"], sort=False).tail(1)
        told = [
            ([r["arm"]] if shown.what_if else [])
            + ([labels[r["quantity"]]] if len(labels) > 1 else [])
            + [num(r["median"])]
            for r in records(last)
        ]
        ends = "; ".join(" ".join(words) for words in told)
        picture = panels.lines(
            bands, labels, ticks, unit, f"{title} over time; median at the end: {ends or 'not defined'}."
        )
    return figure(title, picture, escape(note), timed=True)


def at_tick(shown: Shown, look: Look) -> str:
    """Indicators at the tick of the scrubber, as a table."""
    names = list(dict.fromkeys([*(q for _, labels, _ in CHARTS for q in labels), look.indicator]))
    return _values_table(
        shown, {name: [shown.values(name, arm)[:, look.tick] for arm in shown.arms] for name in names},
        {name: f"<abbr title=\"{escape(MEANING[name])}\">{name}</abbr>" for name in names},
        {name: UNITS[name] for name in names}, f"At tick {look.tick + 1} (means over runs)",
    )  # fmt: skip


def _values_table(
    shown: Shown, values: Mapping[str, Sequence[Array]], labels: Mapping[str, str], units: Mapping[str, str], caption: str,
    first: str = "indicator",
) -> str:  # fmt: skip
    """Means of each arm and paired differences of some quantities."""
    rows = []
    for name, by_arm in values.items():
        means = [num(mean_estimate(v[np.isfinite(v)]).value) for v in by_arm]
        row = [labels[name], *means]
        if shown.what_if:
            gap = by_arm[1] - by_arm[0]
            e = mean_estimate(gap[np.isfinite(gap)])
            row += [num(e.value, "+"), interval(e.low, e.high)]
        rows.append([*row, escape(units[name])])
    head = [first, *shown.arms, *(["difference", "95 % interval"] if shown.what_if else []), "unit"]
    if not shown.what_if:
        head[1] = "value"
    return table(head, rows, caption, numeric=range(1, len(head) - 1))


# --------------------------------------------------------------------------- flows


def flows(shown: Shown, look: Look) -> str:
    """The layer diagram of each arm, and a table of what flows."""
    first = max(0, look.tick + 1 - FLOW_WINDOW)
    when = f"ticks {first + 1} to {look.tick + 1}"
    parts = [
        f'<p class="legend">what flows in a tick, mean over {when}'
        + (f" and {len(shown.replicates)} runs, with its 95 % interval" if len(shown.replicates) > 1 else "")
        + '; width grows with the logarithm. <span class="key blue"></span>records <span class="key vermilion"></span>experiments '
        '<span class="key green"></span>published tests</p>',
        '<div class="grid two">',
    ]
    for arm in arms_in(look.view, shown):
        frame = shown.flow_table(arm, look.tick)
        told = "; ".join(f"{name} {num(v)}" for name, v in frame["per_tick"].items())
        alt = f"Layer diagram of the {arm}, {when}, per tick: {told}."
        picture = draw(shown, ("flows", arm, look.tick), panels.flows, frame, alt)
        parts.append(
            figure(
                arm if shown.what_if else "Flows between the layers",
                picture,
                wide=not shown.what_if or look.view != "both",
            )
        )
    parts.append("</div>")
    parts.append(
        _values_table(
            shown, {flow: [shown.flow_values(flow, arm, look.tick) for arm in shown.arms] for flow in FLOWS},
            {flow: f"<strong>{flow}</strong>: {escape(what)}" for flow, (_, _, _, what) in FLOWS.items()},
            {flow: f"{unit} per tick" for flow, (_, _, unit, _) in FLOWS.items()}, f"Flows per tick, {when}", "flow",
        )
    )  # fmt: skip
    return "".join(parts)


# --------------------------------------------------------------------------- network


def network(shown: Shown, look: Look, losses: pd.DataFrame | None = None) -> str:
    """Who leans on whom at a tick, and what it costs to lose a node, if that was computed."""
    run = "" if len(shown.replicates) == 1 else f", {'pair' if shown.what_if else 'run'} {look.pair + 1}"
    parts = [
        '<p class="legend">repositories feed models, models steer labs; area: how many lean on a node; ringed: the two of each kind that most others lean on; '
        + f"✕: not working. At tick {look.tick + 1}{run}.</p>",
        '<div class="grid two">',
    ]
    for arm in [WHAT_IF] if look.view == "difference" else arms_in(look.view, shown):
        fresh = look.view == "difference"
        nodes, edges = shown.new_links(look.pair, look.tick) if fresh else shown.network(arm, look.pair, look.tick)
        title = (
            "what-if; blue: links that the baseline has not" if fresh else arm if shown.what_if else "Infrastructure"
        )
        alt = _network_words(arm, nodes, edges, look.tick, fresh)
        picture = draw(shown, ("network", arm, look.pair, look.tick, fresh), panels.network, nodes, edges, alt)
        parts.append(figure(title, picture, _leading(nodes), wide=look.view != "both" or not shown.what_if))
    parts.append("</div>")
    return "".join([*parts, keystones(losses)])


def _network_words(arm: str, nodes: pd.DataFrame, edges: pd.DataFrame, tick: int, fresh: bool) -> str:
    counts = [
        f"{PLURALS[str(kind)]} {len(part)} ({int((~part['works']).sum())} down)"
        for kind, part in nodes.groupby("kind", sort=False)
    ]
    more = f"; {int(edges['new'].sum())} links that the baseline has not" if fresh else ""
    return (
        f"Infrastructure of the {arm} at tick {tick + 1}: {', '.join(counts) or 'no nodes'}; {len(edges)} links{more}."
    )


def _leading(nodes: pd.DataFrame) -> str:
    marked = records(nodes[nodes["mark"]].sort_values(["kind", "load"], ascending=[False, False]))
    words = [f"{r['kind']} {r['id']} ({r['load']:g})" for r in marked]
    return f"most leaned on: {', '.join(words)}" if words else "nobody leans on anybody"


def keystones(costs: pd.DataFrame | None) -> str:
    """What the loss of each node costs, by simulation; before it was computed, how to."""
    head = (
        '<section class="keystones"><h3>Keystones by simulation</h3><p class="help">The node that most others lean on need not be the one whose loss '
        "costs most. Each repository and each model is lost in turn, for good, from the tick of the scrubber on; nodes of several runs are put together "
        "by their rank among those that others lean on.</p>"
    )
    if costs is None:
        return (
            head
            + '<button type="button" class="btn btn-outline-primary" data-ask="losses">Lose each node in turn</button></section>'
        )
    parts = [head, '<div class="grid two">']
    for kind, part in costs.groupby("kind", sort=False):
        label = "finds lost by the end (share of the top set; 95 %)"
        worst = part.iloc[0]
        alt = f"Cost of losing each {kind} in finds, costliest first: {worst['name']} {num(worst['cost'])}."
        sure = list(part.loc[part["low"] > 0, "name"])
        said = (
            f"keystones, whose loss surely costs finds: {', '.join(sure)}"
            if sure
            else "of no single loss is it sure that it costs finds"
        )
        note = f"{said}; rank 1 is the node that most others lean on; mean of {int(part['seeds'].max())} runs, intervals hold for all nodes together"
        parts.append(figure(f"Loss of a {kind}", panels.ranked(part, label, alt), note))
    return "".join([*parts, "</div></section>"])


# --------------------------------------------------------------------------- materials


def materials(shown: Shown, look: Look) -> str:
    """The map of families: what was tried, what was found."""
    run = "" if len(shown.replicates) == 1 else f", {'pair' if shown.what_if else 'run'} {look.pair + 1}"
    parts = [
        '<p class="legend">each circle is a family, near those with similar descriptors (two main directions); area: materials; hollow: never tried; '
        + f'<span class="key ring"></span>best materials found there. Up to tick {look.tick + 1}{run}.</p>',
        '<div class="grid two">',
    ]
    for arm in arms_in(look.view, shown) if look.view != "difference" else ["difference"]:
        picture = draw(shown, ("materials", arm, look.pair, look.tick), _map, shown, look, arm)
        title = "what-if minus baseline" if arm == "difference" else arm if shown.what_if else "Materials space"
        parts.append(
            figure(title, picture, _map_words(shown, look, arm), wide=look.view != "both" or not shown.what_if)
        )
    return "".join([*parts, "</div>"])


def _map(shown: Shown, look: Look, arm: str) -> str:
    places = shown.histories[shown.last_arm if arm == "difference" else arm, look.pair].places
    if arm == "difference":
        before, found_before = shown.family_counts(BASELINE, look.pair, look.tick)
        after, found = shown.family_counts(WHAT_IF, look.pair, look.tick)
        alt = f"Map of {len(places)} families coloured by the difference of experiments, what-if minus baseline."
        gap = after - before
        return panels.materials(
            places, gap, np.maximum(found - found_before, 0), float(np.abs(gap).max()), alt, signed=True
        )
    tried, found = shown.family_counts(arm, look.pair, look.tick)
    most = max(float(shown.family_counts(a, look.pair, look.tick)[0].max()) for a in shown.arms)
    alt = f"Map of {len(places)} families, {arm}: {_map_words(shown, look, arm)}"
    return panels.materials(places, tried, found, most, alt)


def _map_words(shown: Shown, look: Look, arm: str) -> str:
    if arm == "difference":
        before, f0 = shown.family_counts(BASELINE, look.pair, look.tick)
        after, f1 = shown.family_counts(WHAT_IF, look.pair, look.tick)
        return (
            f"{int(((before == 0) & (after > 0)).sum())} families are tried only in the what-if, {int(((before > 0) & (after == 0)).sum())} only in the "
            f"baseline; ringed: more finds in the what-if ({int(f1.sum())} against {int(f0.sum())} in all)"
        )
    tried, found = shown.family_counts(arm, look.pair, look.tick)
    top = int(shown.histories[arm, look.pair].places["top"].sum())
    return (
        f"{int((tried > 0).sum())} of {len(tried)} families tried in {int(tried.sum())} experiments; {int(found.sum())} of the {top} best materials found "
        f"in {int((found > 0).sum())} families"
    )


# --------------------------------------------------------------------------- outcomes


def outcomes(shown: Shown, _: Look) -> str:
    """Distributions of outcomes over runs, and effects with what they say."""
    parts = ['<div class="grid small">']
    for outcome in HEADLINE[:6] + HEADLINE[6:8]:
        pairs = pd.DataFrame({arm: shown.ensemble.arm(arm)[outcome] for arm in shown.arms})
        middle = ", ".join(f"{arm} {num(float(pairs[arm].median()))}" for arm in shown.arms)
        alt = f"{outcome} of every run; medians: {middle}."
        picture = draw(shown, ("outcomes", outcome), panels.outcome, pairs, UNITS[outcome], alt)
        parts.append(figure(TITLES.get(outcome, outcome.replace("_", " ")), picture, escape(MEANING[outcome])))
    parts.append("</div>")
    parts.append(_effects_table(shown) if shown.effects is not None else _spread_table(shown))
    return "".join([*parts, *_cautions(shown)])


def _effects_table(shown: Shown) -> str:
    rows = []
    assert shown.effects is not None  # noqa: S101 (the caller asked)
    for outcome in HEADLINE:
        e = shown.effects[outcome]
        base, treated = (shown.ensemble.arm(a)[outcome].to_numpy(np.float64) for a in (BASELINE, WHAT_IF))
        higher = np.mean(treated > base) if len(base) else math.nan
        word, cls = verdict(e)
        rows.append(
            [
                f'<abbr title="{escape(MEANING[outcome])}">{outcome}</abbr>', num(e["baseline"]), num(e["treated"]), num(e["difference"], "+"),
                interval(e["low"], e["high"]), f'<span class="verdict {cls}">{word}</span>', f"{higher:.0%}", num(e["vrf"]), str(int(e["n"])), escape(UNITS[outcome]),
            ]
        )  # fmt: skip
    head = [
        "outcome",
        "baseline",
        "what-if",
        "difference",
        "95 % interval",
        "verdict",
        "pairs higher",
        "VRF",
        "pairs",
        "unit",
    ]
    note = (
        '<p class="help">Means over pairs of runs on the same draws. More, less: the interval leaves out 0; all intervals hold '
        "together. Undecided: more pairs are needed. VRF: how many times smaller pairing makes the variance of the "
        "difference.</p>"
    )
    return table(head, rows, f"Effects at tick {shown.scenario.ticks}", numeric=(1, 2, 3, 4, 6, 7, 8)) + note


def _spread_table(shown: Shown) -> str:
    rows = []
    for r in records(spread(shown.ensemble.arm(BASELINE), HEADLINE)):
        name = f'<abbr title="{escape(MEANING[r["outcome"]])}">{r["outcome"]}</abbr>'
        rows.append([name, num(r["median"]), num(r["p10"]), num(r["p90"]), escape(UNITS[r["outcome"]])])
    head = ["outcome", "median", "10 %", "90 %", "unit"]
    return table(
        head, rows, f"Outcomes at tick {shown.scenario.ticks}, over {len(shown.replicates)} runs", numeric=(1, 2, 3)
    )


def _cautions(shown: Shown) -> list[str]:
    said = shown.ensemble.cautions
    return ['<ul class="cautions">', *(f"<li>{escape(s)}</li>" for s in said), "</ul>"] if said else []


# --------------------------------------------------------------------------- configuration


def configuration(shown: Shown, _: Look) -> str:
    """How to make the same runs elsewhere, what differs from the defaults, and the hashes."""
    s = shown.scenario
    rows = {r["path"]: r for r in schema()}
    default = dict.fromkeys(rows) | {p: r["default"] for p, r in rows.items()}
    flat = s.parameters.flat()
    changed = [
        [p, escape(flat[p]), escape(default[p]), escape(rows[p]["unit"]), escape(rows[p]["help"])] for p in rows if flat[p] != default[p]
    ]  # fmt: skip
    record = s.plan.record()
    run_hashes = [
        [f"{arm} {i + 1}", str(s.seed + i), f"<code>{s.plan.spec(arm, i).id}</code>"] for arm in shown.arms for i in shown.replicates
    ]  # fmt: skip
    parts = [
        "<h3>The same runs from the command line</h3>",
        f'<div class="copy"><pre id="command" tabindex="0">{escape(s.command())}</pre>'
        + '<button type="button" class="btn btn-outline-primary" data-copy="command">Copy</button></div>',
        "<h3>As a configuration file</h3>",
        f'<pre tabindex="0">{escape(s.to_toml())}</pre>',
        table(["parameter", "value", "default", "unit", "help"], changed, "Parameters that differ from the defaults", (1, 2))
        if changed else '<p class="help">All parameters are as by default.</p>',
        f'<p class="help">Plan <code>{record["run_hash"]}</code>, software {escape(record["software"]["version"])} '
        + f'<code>{record["software"]["fingerprint"]}</code>.</p>',
        table(["run", "seed", "id"], run_hashes, "Runs; the id follows from everything that a run depends on, and is the same in a study", (1,)),
    ]  # fmt: skip
    return "".join(parts)


MAKERS: dict[str, Callable[[Shown, Look], str]] = {
    "layers": layers, "flows": flows, "network": network, "materials": materials, "outcomes": outcomes, "configuration": configuration,
}  # fmt: skip
