"""Fragility of a community's infrastructure: its network, single losses, losses of many, outages that end, warnings.

Replicates are communities, each with separate materials and a separate network.
Each is compared with itself without the loss, on the same draws; intervals are over communities.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, Literal

import numpy as np
import pandas as pd

from mpbf_abm.arrays import Float
from mpbf_abm.errors import refuse_all
from mpbf_abm.evidence.assessments.assessment import Assessment, Finding, Report, Setting
from mpbf_abm.evidence.assessments.effective_urn import LOCKED
from mpbf_abm.measures.keystones import LOSS, Kind, end_of, keystones, leaning, losses_from, standing, static_ranking
from mpbf_abm.measures.networks import influence_vector, removal_curve, truck_factor
from mpbf_abm.measures.path import largest_share, run_on, watched
from mpbf_abm.measures.resilience import disruption, gap_curve
from mpbf_abm.measures.tipping import FEWEST, tipping_point
from mpbf_abm.model.community import Community, Snapshot
from mpbf_abm.model.links import any_of_r, from_graph
from mpbf_abm.model.shocks import Shock
from mpbf_abm.model.world import World
from mpbf_abm.stats.classification import auc
from mpbf_abm.stats.estimates import UNKNOWN, Estimate, mean_estimate
from mpbf_abm.stats.paired import CONSTANT, TWO_GROUPS, bimodality
from mpbf_abm.stats.warning import trend, warning_trends

# --------------------------------------------------------------------------- fragility parts

# What the fragility assessment does with one community: its network, every single loss, losses of many, outages that
# end.
#
# A community is taken at half of its time; what follows is compared with the same community without the loss, on the
# same draws.

Course = dict[str, Float]
Target = Literal["largest", "random"]
Part = tuple[list[Finding], list[tuple[str, pd.DataFrame]]]

CRITERIA = {
    "random": "nodes at random",
    "degree": "most links first",
    "degree-recalculated": "most links among what is left first",
    "load": "most shortest paths first",
}
ORDERS = 20  # random orders of removal, averaged
LABOUR = 0.5  # of what a node makes comes from itself, in the influence vector
ORPHANED = 0.5  # share of users left without any provider that the truck factor asks for
OUTAGE = 10  # an outage lasts 1/10 of a run
STEPS = 6  # in which all repositories are lost
BELOW = 0.5  # reinforcement without lock-in, for the null of early warning

# What a loss costs: whether more or less is better, the smallest effect of interest, and in words.
OUTCOMES: dict[str, tuple[Literal["more", "less"], float, str]] = {
    "found_share": ("more", 0.02, "discoveries, share of what is to be found"),
    "unsteered_share": ("less", 0.05, "experiments without a model, share"),
    "rmse_niche": ("less", 0.02, "error in rare families, sd"),
    "families_d1": ("more", 3.0, "breadth, effective families"),
}
WORST = "found_share"  # by which nodes are ranked
# In the plural, and who depends on them.
KINDS: dict[Kind, tuple[str, str]] = {"repository": ("repositories", "models"), "model": ("models", "labs")}
ALL: dict[Target, str] = {"largest": "most users first", "random": "at random"}
# Outages that end: kind of node, how nodes are chosen, and the share of them (None: the one with most users).
OUTAGES: dict[str, tuple[Kind, Literal["largest", "correlated"], float | None]] = {
    "the most used repository": ("repository", "largest", None),
    "a quarter of the repositories, most used": ("repository", "largest", 0.25),
    "a quarter of the repositories, alike": ("repository", "correlated", 0.25),
    "the most used model": ("model", "largest", None),
}
PERFORMANCE = {
    "discoveries": "discoveries per tick, share of what is to be found",
    "steered": "labs with a working model",
    "visible": "records that can be read",
}


# --------------------------------------------------------------------------- what is run


def tasks(setting: Setting) -> list[tuple[int, str]]:
    """Return every community and what is done with it.

    Raises
    ------
    ConfigurationError
        For a community without a second repository, models or time.
    """
    p, second = setting.parameters, "must be at least 2, so that one can be lost and one is left"
    refuse_all(
        (p.infrastructure.repositories < 2, f"infrastructure.repositories = 1: {second}"),
        (not p.trainers.count, "trainers.count = 0: must be at least 1; without models nothing depends on another"),
        (setting.ticks < 4, f"ticks = {setting.ticks}: must be at least 4, two before a loss and two after"),
    )
    return [(seed, part) for seed in setting.seeds() for part in PARTS]


def measure(setting: Setting, task: tuple[int, str]) -> Any:
    """Measure one part of one community."""
    return PARTS[task[1]](setting, task[0])


def halfway(setting: Setting, seed: int) -> tuple[Snapshot, Float]:
    """Return a community after half of its time, and its largest family's share until then (start + 1,)."""
    return _halfway(setting.to_text(), seed)


@lru_cache(maxsize=1)
def _halfway(setting: str, seed: int) -> tuple[Snapshot, Float]:
    """Make a community once in a process that does several parts of it."""
    held = Setting.from_text(setting)
    eco = held.community(seed)
    leading = _watched(eco, held.ticks // 2)
    return eco.snapshot(), leading


def _watched(eco: Community, ticks: int) -> Float:
    """Run a community on; return the share of its largest family before and after each tick (ticks + 1,)."""
    return watched(eco, range(eco.tick, eco.tick + ticks + 1), lambda e: _leading(e.world))


def _leading(world: World) -> float:
    x = world.commons.visible()
    return largest_share(x) if x.any() else 0.0


def _losses(kind: Kind, setting: Setting, seed: int) -> pd.DataFrame:
    """Lose each node of a kind for good in turn."""
    ways = {name: way for name, (way, _, _) in OUTCOMES.items()}
    return losses_from(halfway(setting, seed)[0], setting.ticks, kind=kind, better=ways)


def _needs(graph: Any) -> Float:
    """Return the share of its needs that each node gets from each: without providers all from itself."""
    nodes, needs = list(graph), np.eye(len(graph))
    for i, node in enumerate(nodes):
        providers = [nodes.index(v) for v in graph.predecessors(node)]
        if providers:
            needs[i] = np.bincount(providers, minlength=len(nodes)) / len(providers)
    return needs


def _network(setting: Setting, seed: int) -> dict[str, Any]:
    """Describe the network of repositories, models and labs, as it stands halfway."""
    world = halfway(setting, seed)[0].world
    graph, rng = world.infrastructure.graph(), np.random.default_rng(seed)
    nodes, leans = list(graph), leaning(graph)
    curves = {c: removal_curve(graph, c, rng) for c in CRITERIA if c != "random"}
    curves["random"] = np.mean([removal_curve(graph, "random", rng) for _ in range(ORDERS)], axis=0)
    weight = influence_vector(_needs(graph), LABOUR) * len(nodes)
    out: dict[str, Any] = {"curves": curves, "influence": float(weight.max())}
    network = from_graph(leans, any_of_r(world.infrastructure.need))
    stands = network.fail([])
    for kind, (_, users) in KINDS.items():
        roles = standing(world, kind)["role"].to_numpy()
        falls = np.array([(stands & ~network.fail([(kind, i)])).sum() for i in range(len(roles))])
        # Of all but itself, if it worked.
        others = (falls - stands[[nodes.index((kind, i)) for i in range(len(roles))]]) / (len(nodes) - 1)
        out[f"cascade {kind}"], out[f"cascade {kind}, any"] = float(others[roles == 1][0]), float(others.mean())
        out[f"truck {kind}"] = truck_factor({v: leans.predecessors(v) for v in nodes if v[0] == users[:-1]}, ORPHANED)
    return out


def _shares_lost(target: Target, setting: Setting, seed: int) -> dict[int, float]:
    """Return discoveries lost with so many repositories, for good."""
    snapshot, _ = halfway(setting, seed)
    count = setting.parameters.infrastructure.repositories
    spared = end_of(snapshot, setting.ticks)[0]["found_share"]
    out = {0: 0.0}
    for n in levels(count)[1:]:
        shock = Shock(name="repository_outage", start=snapshot.world.tick, strength=n / count, target=target)
        out[n] = spared - end_of(snapshot, setting.ticks, shock)[0]["found_share"]
    return out


def levels(repositories: int) -> list[int]:
    """Return the numbers of repositories that are lost together."""
    return sorted({0, 1, *(round(repositories * i / STEPS) for i in range(STEPS + 1))})


def _outages(setting: Setting, seed: int) -> dict[str, Course]:
    """Return performance tick by tick, spared and with every outage."""
    snapshot, _ = halfway(setting, seed)
    start = snapshot.world.tick
    end = start + max(1, setting.ticks // OUTAGE)
    out = {"spared": _course(snapshot, setting.ticks)}
    for name, (kind, target, share) in OUTAGES.items():
        chosen: dict[str, Any] = {"target": target, "strength": share}
        if share is None:
            chosen = {"target": int(standing(snapshot.world, kind)["role"].to_numpy().argmin())}
        out[name] = _course(snapshot, setting.ticks, Shock(name=LOSS[kind], start=start, end=end, **chosen))
    return out


def _course(snapshot: Snapshot, ticks: int, *shocks: Shock) -> Course:
    """Return performance after each tick from a snapshot on, arrays (ticks - start,)."""
    eco = Community.restore(snapshot, shocks=(*snapshot.shocks, *shocks))
    world = eco.world
    rows: list[tuple[float, float, float]] = []
    while eco.tick < ticks:
        found = world.discoveries.count
        eco.step()
        works = world.infrastructure.working_labs()
        everything = world.commons.mass + world.commons.records_by_family()
        # An objective that shifts counts discoveries anew.
        new = max(0, world.discoveries.count - found) / max(1, world.discoveries.existing)
        visible = float(world.commons.visible().sum() / max(1.0, everything.sum()))
        rows.append((new, float(works.mean()) if len(works) else 0.0, visible))
    return dict(zip(PERFORMANCE, np.array(rows).T, strict=True))


def _warning(setting: Setting, seed: int) -> dict[str, Any]:
    """Return the largest share until halfway, also in a community that nothing locks in, and at the end."""
    snapshot, leading = halfway(setting, seed)
    end = Community.restore(snapshot)
    run_on(end, setting.ticks - end.tick)
    paths = [f"{who}.reinforcement" for who in ("planners", "curators")]
    low = {path: min(BELOW, setting.parameters.flat()[path]) for path in paths}
    calm = replace(setting, parameters=setting.parameters.updated(low)).community(seed)
    return {"leading": leading, "calm": _watched(calm, setting.ticks // 2), "end": _leading(end.world)}


PARTS: dict[str, Callable[[Setting, int], Any]] = {
    "network": _network,
    **{kind: partial(_losses, kind) for kind in KINDS},
    **{target: partial(_shares_lost, target) for target in ALL},
    "outages": _outages,
    "warning": _warning,
}

FEWEST_LOCKED = 5  # communities that end locked in, without which there is nothing to be warned of
FEWEST_TICKS = 8  # before the loss, for a trend

SIGNALS = {
    "rise": "rise of the largest share itself",
    "variance": "rising variance of it",
    "autocorrelation": "rising autocorrelation of it",
}
TABLES = ("removal_curves", "keystones", "static_ranking", "tipping", "recovery", "gap_curves", "losses")


def report(setting: Setting, values: Mapping[Any, Any]) -> Report:
    """Return findings with intervals over communities, and the tables behind them."""
    of = {part: [values[seed, part] for seed in setting.seeds()] for part in PARTS}
    parts = [_of_network(of["network"])]
    for kind in KINDS:
        each = [t.assign(seed=s) for s, t in zip(setting.seeds(), of[kind], strict=True)]
        parts.append(_of_losses(pd.concat(each, ignore_index=True), kind))
    parts += [_of_shares(of[target], target, setting) for target in ALL]
    parts += [_of_outages(of["outages"], setting), (_of_warning(of["warning"]), [])]
    tables: dict[str, list[pd.DataFrame]] = {name: [] for name in TABLES}
    for name, table in itertools.chain.from_iterable(made for _, made in parts):
        tables[name].append(table)
    joined = {n: pd.concat(t, ignore_index=True) if t else pd.DataFrame() for n, t in tables.items()}
    return Report(tuple(f for found, _ in parts for f in found), joined)


def in_words(e: Estimate, smallest: float) -> str:
    """Compare an interval with the smallest effect of interest, in words."""
    if math.isnan(e.low):
        return "not known: no interval"
    if e.low >= smallest:
        return f"at least {smallest:g} for sure"
    if -smallest < e.low and e.high < smallest:
        return f"less than {smallest:g} for sure" + ("" if e.low <= 0 <= e.high else ", yet not 0")
    return f"undecided: above 0, {smallest:g} not known" if e.low > 0 else "undecided"


def borne(costs: Float, smallest: float) -> str:
    """Say how many communities lose, and gain, more than matters, and whether in two groups; chance does both."""
    groups = ", in two groups" if bimodality(costs) > TWO_GROUPS else ""
    lose, gain = (costs > smallest).mean(), (costs < -smallest).mean()
    return f"more than {smallest:g} lost in {lose:.0%}, gained in {gain:.0%} of communities{groups}"


def _cost(words: str, costs: Float, smallest: float) -> Finding:
    """Return the mean of costs over communities (n,); null: the node does not matter."""
    known = costs[np.isfinite(costs)]
    e = mean_estimate(known)
    alike = 1 < len(known) < CONSTANT and not np.ptp(known)
    said = f"all {len(known)} alike, too few to be sure" if alike else in_words(e, smallest)
    return Finding(words, e, 0.0, len(known), f"{said}; {borne(known, smallest)}")


def _read(row: Mapping[Any, Any], value: str, suffix: str = "") -> Estimate:
    """Return the estimate in a row of a table of measures, which holds no standard error."""
    return Estimate(float(row[value]), math.nan, float(row[f"low{suffix}"]), float(row[f"high{suffix}"]))


def _of_kind(worlds: list[dict[str, Any]], kind: Kind) -> list[Finding]:
    """Report what stops with nodes of a kind, and how few have all the rest."""
    several, users = KINDS[kind]
    keys = (f"cascade {kind}", f"cascade {kind}, any", f"truck {kind}")
    one, any_one, few = (mean_estimate([w[key] for w in worlds]) for key in keys)
    stop = f"share of the others that stop with the most used {kind}"
    fewest = f"fewest {several} without which most {users} have none"
    return [
        Finding(stop, one, any_one.value, len(worlds), "null: with any one"),
        Finding(fewest, few, math.nan, len(worlds), "truck factor, greedy; more is safer"),
    ]


def _of_network(worlds: list[dict[str, Any]]) -> Part:
    n, N = len(worlds), len(worlds[0]["curves"]["random"]) - 1
    robust = {c: np.array([w["curves"][c][1:].mean() for w in worlds]) for c in CRITERIA}
    random, whole = mean_estimate(robust["random"]), (N - 1) / (2 * N)
    name = "robustness R of the network"
    findings = [
        Finding(f"{name}, {CRITERIA['random']}", random, whole, n, "0 to 1/2; null: all nodes linked to all others")
    ]
    for c in list(CRITERIA)[1:]:
        less = mean_estimate(robust["random"] - robust[c])
        reading = f"null: at random; {less.value:.2g} less ({less.low:.2g} to {less.high:.2g})"
        findings.append(Finding(f"{name}, {CRITERIA[c]}", mean_estimate(robust[c]), random.value, n, reading))
    findings += [finding for kind in KINDS for finding in _of_kind(worlds, kind)]
    weight = mean_estimate([w["influence"] for w in worlds])
    findings.append(Finding("largest influence of a node, over that of equals", weight, 1.0, n, f"labour {LABOUR:g}"))
    means = {c: np.mean([w["curves"][c] for w in worlds], axis=0) for c in CRITERIA}
    rows = [(c, i / N, float(v)) for c, curve in means.items() for i, v in enumerate(curve)]
    return findings, [("removal_curves", pd.DataFrame(rows, columns=["criterion", "removed", "giant"]))]


def _of_losses(losses: pd.DataFrame, kind: Kind) -> Part:
    """Return what the loss of each node costs: findings, keystones and static rankings of every outcome."""
    findings: list[Finding] = []
    tables = [("losses", losses.assign(kind=kind))]
    for outcome, (_, smallest, words) in OUTCOMES.items():
        each = losses.pivot(index="seed", columns="role", values=outcome)
        cost = f"cost of losing the most used {kind}: {words}"
        if each.isna().all(axis=0).any():
            findings.append(Finding(cost, UNKNOWN, 0.0, 0, "not known: not defined without some node in any community"))
            continue
        findings.append(_cost(cost, each[1].to_numpy(), smallest))
        table, ranks = keystones(losses, outcome), static_ranking(losses, outcome)
        named = (("keystones", table), ("static_ranking", ranks))
        tables += [(name, t.assign(kind=kind, outcome=outcome)) for name, t in named]
        if outcome == WORST:
            findings += _of_ranking(each, table, ranks, kind)
    return findings, tables


def _of_ranking(each: pd.DataFrame, table: pd.DataFrame, ranks: pd.DataFrame, kind: Kind) -> list[Finding]:
    """Report the costliest node, any one, and whether the users of a node say what its loss costs."""
    n, top, smallest = len(each), table.iloc[0].to_dict(), OUTCOMES[WORST][1]
    e = _read(top, "cost")
    costliest = f"role {top['role']:.0f} of {len(table)}, costliest in {top['costliest']:.0%} of resamples"
    sure = f"{costliest}; {in_words(e, smallest)}, for all nodes together"
    findings = [
        Finding(f"cost of losing the costliest {kind}: discoveries", e, 0.0, n, sure),
        _cost(f"cost of losing any one {kind}: discoveries", each.mean(axis=1).to_numpy(), smallest),
    ]
    if each.shape[1] > 1:
        more = (each[1] - each.drop(columns=1).mean(axis=1)).to_numpy()
        users = ranks.set_index("measure").to_dict("index")["users"]
        words = f"rank correlation of a {kind}'s users with its cost in discoveries"
        reading = "mean over communities; chance in single runs lowers it"
        findings += [
            _cost(f"discoveries that the most used {kind} costs beyond another", more, smallest),
            Finding(words, _read(users, "rho_within", "_within"), 0.0, int(float(users["seeds"])), reading),
        ]
    return findings


def _of_shares(worlds: list[dict[int, float]], target: Target, setting: Setting) -> Part:
    """Report the share of the repositories whose loss costs more discoveries than matters."""
    count, smallest, n = setting.parameters.infrastructure.repositories, OUTCOMES[WORST][1], len(worlds)
    costs = {m: np.array([w[m] for w in worlds]) for m in levels(count)}
    rows = []
    for m, x in costs.items():
        e = mean_estimate(x)
        rows.append((target, m / count, e.value, e.low, e.high, float((x > smallest).mean())))
    table = [("tipping", pd.DataFrame(rows, columns=["chosen", "lost", "cost", "low", "high", "costly"]))]
    findings = (
        [_cost("cost of losing all repositories: discoveries", costs[count], smallest)] if target == "largest" else []
    )
    words = f"share of the repositories whose loss costs {smallest:g} of discoveries, {ALL[target]}"
    if n < FEWEST:
        why = f"not known: fewer than {FEWEST} communities"
    elif not float(costs[count].mean()) > smallest:
        why = "no such share: the loss of all does not cost so much on average"
    else:

        def cost(level: float, seed: int) -> float:
            return float(costs[min(costs, key=lambda m: abs(m / count - level))][seed - setting.seed])

        point = tipping_point(cost, 0.0, 1.0, seeds=setting.seeds(), precision=1.0 / count, threshold=smallest)
        e = Estimate(point.level, math.nan, max(point.low, 0.0), min(point.high, 1.0))
        ends = "" if math.isfinite(point.high) else "; undecided whether all are enough"
        return [*findings, Finding(words, e, math.nan, n, f"of {len(costs)} levels{ends}; {point.remark}")], table
    return [*findings, Finding(words, UNKNOWN, math.nan, n, why)], table


def _of_outages(worlds: list[dict[str, Course]], setting: Setting) -> Part:
    """Return what outages that end cost, and how long they are felt: findings, their numbers, and gap curves."""
    findings: list[Finding] = []
    tables: list[tuple[str, pd.DataFrame]] = []
    for name in OUTAGES:
        for what in PERFORMANCE:
            hit, spared = (np.array([w[arm][what] for w in worlds]) for arm in (name, "spared"))
            times = np.arange(1.0, hit.shape[1] + 1)
            summed = disruption(hit, spared, times, seed=setting.seed).assign(outage=name, performance=what)
            # Discoveries of a tick go up and down: their largest gap, and its end, are chance.
            tables.append(("recovery", summed if what != "discoveries" else summed[summed["measure"] == "area"]))
            tables.append(("gap_curves", gap_curve(hit, spared, times).assign(outage=name, performance=what)))
            if what == "discoveries":
                lost = (spared - hit).sum(axis=1)
                findings.append(_cost(f"discoveries lost by the end, outage of {name}", lost, OUTCOMES[WORST][1]))
            elif what == "steered":
                findings += _service(name, summed.set_index("measure").to_dict("index"), len(worlds), setting.ticks)
    return findings, tables


def _service(name: str, summed: Mapping[Any, Mapping[Any, Any]], n: int, ticks: int) -> list[Finding]:
    """Report labs left without a model by an outage, and for how long."""
    drop, time, seen = summed["mean_drop"], summed["recovery"], summed["recovered_share"]
    words = f"largest drop of the share of labs with a model, outage of {name}"
    findings = [Finding(words, _read(drop, "value"), 0.0, n, "of the mean course")]
    if float(drop["value"]) > 0:
        recover = f"{float(seen['value']):.0%} of communities recover within the run"
        reading = f"median; the outage lasts {max(1, ticks // OUTAGE)}; {recover}"
        findings.append(
            Finding(f"ticks until labs have models again, outage of {name}", _read(time, "value"), math.nan, n, reading)
        )
    return findings


def _of_warning(worlds: list[dict[str, Any]]) -> list[Finding]:
    """Report whether fluctuations of the largest share predict lock-in, against communities that nothing locks in."""
    n, locked = len(worlds), np.array([w["end"] > LOCKED for w in worlds])
    here, calm = (np.array([w[side] for w in worlds]) for side in ("leading", "calm"))
    words, count, ticks = "early warning of lock-in, AUC", int(locked.sum()), here.shape[1]
    if count < FEWEST_LOCKED or ticks < FEWEST_TICKS:
        why = f"{count} of {n} communities end locked in" if ticks >= FEWEST_TICKS else f"{ticks} ticks are too few"
        return [Finding(words, UNKNOWN, 0.5, n, f"not known: {why}")]
    both, outcome = np.concatenate([here[locked], calm]), np.repeat([True, False], [count, n])
    signals = warning_trends(both, ticks // 2).assign(rise=[trend(x) for x in both])
    findings = []
    for signal, name in SIGNALS.items():
        known = signals[signal].notna().to_numpy()
        enough = min(outcome[known].sum(), (~outcome[known]).sum()) > 1
        area = auc(signals[signal][known], outcome[known]) if enough else UNKNOWN
        chance = f"{count} that lock in against {n} at reinforcement {BELOW:g} or less; 0.5 is chance"
        reading = chance if enough else "not known: shares stand still"
        findings.append(Finding(f"{words}: {name}", area, 0.5, int(known.sum()), reading))
    return findings


QUESTION = "How fragile is the community's infrastructure?"
FRAGILITY = Assessment("fragility", QUESTION, tasks, measure, report, replicates=20)
