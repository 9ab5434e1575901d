"""How fragile is a community's infrastructure? Its network, every single loss, losses of many, outages that end, warnings.

Replicates are communities with materials and a network of their own (:mod:`mpbf_abm.evidence.assessments.fragility`). Each is compared
with itself without the loss, on the same draws; intervals are over communities.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.evidence.assessments.assessment import Battery, Finding, Report, Setting
from mpbf_abm.evidence.assessments.effective_urn import LOCKED
from mpbf_abm.measures.keystones import LOSS, Kind, keystones, leaning, losses_from, standing, static_ranking
from mpbf_abm.measures.networks import influence_vector, removal_curve, truck_factor
from mpbf_abm.measures.resilience import disruption, gap_curve
from mpbf_abm.measures.tipping import FEWEST, tipping_point
from mpbf_abm.model.community import Community, Snapshot
from mpbf_abm.model.links import any_of_r, from_graph
from mpbf_abm.model.run import summarise
from mpbf_abm.model.shocks import Shock
from mpbf_abm.model.world import World
from mpbf_abm.stats.classification import auc
from mpbf_abm.stats.estimates import Estimate, mean_estimate
from mpbf_abm.stats.paired import CONSTANT, TWO_GROUPS, bimodality
from mpbf_abm.stats.warning import trend, warning_trends

# --------------------------------------------------------------------------- fragility parts

# What the fragility battery does with one community: its network, every single loss, losses of many, outages that end.
#
# A community is taken at half of its time; what follows is compared with the same community without the loss, on the same draws.

Float = NDArray[np.float64]
Course = dict[str, Float]

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
BELOW = 0.5  # reinforcement that locks nobody in, for the null of early warning

# What a loss costs: whether more or less is better, the smallest effect of interest, and in words.
OUTCOMES: dict[str, tuple[Literal["more", "less"], float, str]] = {
    "found_share": ("more", 0.02, "finds, share of what is to be found"),
    "unsteered_share": ("less", 0.05, "experiments without a model, share"),
    "rmse_niche": ("less", 0.02, "error in rare families, sd"),
    "families_d1": ("more", 3.0, "breadth, effective families"),
}
WORST = "found_share"  # by which nodes are ranked
KINDS: dict[Kind, tuple[str, str]] = {
    "repository": ("repositories", "models"),
    "model": ("models", "labs"),
}  # in the plural, and who leans on them
ALL: dict[Literal["largest", "random"], str] = {"largest": "most leaned on first", "random": "at random"}
# Outages that end: shock, how nodes are chosen, and the share of them (None: the one most leaned on).
OUTAGES: dict[str, tuple[str, Literal["largest", "correlated"], float | None]] = {
    "the most leaned-on repository": (LOSS["repository"], "largest", None),
    "a quarter of the repositories, most leaned on": (LOSS["repository"], "largest", 0.25),
    "a quarter of the repositories, alike": (LOSS["repository"], "correlated", 0.25),
    "the most used model": (LOSS["model"], "largest", None),
}
PERFORMANCE = {
    "finds": "finds per tick, share of what is to be found",
    "steered": "labs with a working model",
    "visible": "records that can be read",
}


# --------------------------------------------------------------------------- what is run


def tasks(setting: Setting) -> list[tuple[int, str]]:
    """Every community and what is done with it.

    Raises
    ------
    ConfigurationError
        For a community without a second repository, models or time.
    """
    flat, faults = setting.parameters.flat(), []
    if flat["infrastructure.repositories"] < 2:
        faults.append("infrastructure.repositories = 1: must be at least 2, so that one can be lost and one is left")
    if not flat["trainers.count"]:
        faults.append("trainers.count = 0: must be at least 1; without models nobody leans on anything")
    if setting.ticks < 4:
        faults.append(f"ticks = {setting.ticks}: must be at least 4, two before a loss and two after")
    if faults:
        raise ConfigurationError(faults)
    return [(seed, part) for seed in setting.seeds() for part in PARTS]


def measure(setting: Setting, task: tuple[int, str]) -> Any:
    """One part of one community's measurements."""
    seed, part = task
    return PARTS[part](setting, seed)


@dataclass(frozen=True)
class _Community:
    """A setting and a seed; settings with policies cannot be hashed."""

    setting: Setting
    seed: int

    def __hash__(self) -> int:
        return hash(self.seed)


def halfway(setting: Setting, seed: int) -> tuple[Snapshot, Float]:
    """A community after half of its time, and its largest family's share of the records until then (start + 1,)."""
    return _halfway(_Community(setting, seed))


@lru_cache(maxsize=1)
def _halfway(community: _Community) -> tuple[Snapshot, Float]:
    """Made once by a process that does several parts of one community."""
    setting = community.setting
    eco = setting.community(community.seed)
    leading = [_leading(eco.world)]
    for _ in range(setting.ticks // 2):
        eco.step()
        leading.append(_leading(eco.world))
    snapshot = eco.snapshot()
    return snapshot, np.array(leading)


def _leading(world: World) -> float:
    x = world.commons.visible()
    return float(x.max() / x.sum()) if x.any() else 0.0


def _losses(kind: Kind) -> Callable[[Setting, int], pd.DataFrame]:
    """Each node of a kind lost for good in turn."""

    def losses(setting: Setting, seed: int) -> pd.DataFrame:
        ways = {name: way for name, (way, _, _) in OUTCOMES.items()}
        return losses_from(halfway(setting, seed)[0], setting.ticks, kind=kind, better=ways)

    return losses


def _network(setting: Setting, seed: int) -> dict[str, Any]:
    """The network of repositories, models and labs, as it stands halfway."""
    world = halfway(setting, seed)[0].world
    graph, rng = world.infrastructure.graph(), np.random.default_rng(seed)
    nodes, leans = list(graph), leaning(graph)
    curves = {c: removal_curve(graph, c, rng) for c in CRITERIA if c != "random"}
    curves["random"] = np.mean([removal_curve(graph, "random", rng) for _ in range(ORDERS)], axis=0)
    # What leans on nobody gets all it needs from itself.
    needs = np.eye(len(nodes))
    for i, node in enumerate(nodes):
        providers = [nodes.index(v) for v in graph.predecessors(node)]
        if providers:
            needs[i] = np.bincount(providers, minlength=len(nodes)) / len(providers)
    weight = influence_vector(needs, LABOUR) * len(nodes)
    out: dict[str, Any] = {"curves": curves, "influence": float(weight.max())}
    network = from_graph(leans, any_of_r(world.infrastructure.need))
    stands = network.fail([])
    for kind, (_, users) in KINDS.items():
        roles = standing(world, kind)["role"].to_numpy()
        falls = np.array([(stands & ~network.fail([(kind, i)])).sum() for i in range(len(roles))])
        # Of all but itself, if it worked.
        others = (falls - stands[[nodes.index((kind, i)) for i in range(len(roles))]]) / (len(nodes) - 1)
        out[f"cascade {kind}"], out[f"cascade {kind}, any"] = (float(others[roles == 1][0]), float(others.mean()))
        out[f"truck {kind}"] = truck_factor({v: leans.predecessors(v) for v in nodes if v[0] == users[:-1]}, ORPHANED)
    return out


def _shares_lost(target: Literal["largest", "random"]) -> Callable[[Setting, int], dict[int, float]]:
    """Finds lost with so many repositories, for good."""

    def lost(setting: Setting, seed: int) -> dict[int, float]:
        snapshot, _ = halfway(setting, seed)
        count = setting.parameters.infrastructure.repositories
        spared = _found(snapshot, setting.ticks)
        out = {0: 0.0}
        for n in levels(count)[1:]:
            shock = Shock(name="repository_outage", start=snapshot.world.tick, strength=n / count, target=target)
            out[n] = spared - _found(snapshot, setting.ticks, shock)
        return out

    return lost


def levels(repositories: int) -> list[int]:
    """Numbers of repositories that are lost together."""
    return sorted({0, 1, *(round(repositories * i / STEPS) for i in range(STEPS + 1))})


def _found(snapshot: Snapshot, ticks: int, *shocks: Shock) -> float:
    eco = Community.restore(snapshot, shocks=(*snapshot.shocks, *shocks))
    while eco.tick < ticks:
        eco.step()
    return summarise(eco)["found_share"]


def _outages(setting: Setting, seed: int) -> dict[str, Course]:
    """Performance tick by tick, spared and with every outage."""
    snapshot, _ = halfway(setting, seed)
    start = snapshot.world.tick
    end = start + max(1, setting.ticks // OUTAGE)
    out = {"spared": _course(snapshot, setting.ticks)}
    for name, (shock, target, share) in OUTAGES.items():
        if share is None:
            kind: Kind = "repository" if shock == LOSS["repository"] else "model"
            node = int(standing(snapshot.world, kind)["role"].to_numpy().argmin())
            hit = Shock(name=shock, start=start, end=end, target=node)
        else:
            hit = Shock(name=shock, start=start, end=end, target=target, strength=share)
        out[name] = _course(snapshot, setting.ticks, hit)
    return out


def _course(snapshot: Snapshot, ticks: int, *shocks: Shock) -> Course:
    """Performance after each tick from a snapshot on, arrays (ticks - start,)."""
    eco = Community.restore(snapshot, shocks=(*snapshot.shocks, *shocks))
    world = eco.world
    rows: list[tuple[float, float, float]] = []
    while eco.tick < ticks:
        found = world.discoveries.count
        eco.step()
        works = world.infrastructure.working_labs()
        everything = world.commons.mass + world.commons.records_by_family()
        rows.append(
            (
                # An objective that shifts counts finds anew.
                max(0, world.discoveries.count - found) / max(1, world.discoveries.existing),
                float(works.mean()) if len(works) else 0.0,
                float(world.commons.visible().sum() / max(1.0, everything.sum())),
            )
        )
    return dict(zip(PERFORMANCE, np.array(rows).T, strict=True))


def _warning(setting: Setting, seed: int) -> dict[str, Any]:
    """Largest share until halfway, here and in a community that nothing locks in, and at the end."""
    snapshot, leading = halfway(setting, seed)
    eco = Community.restore(snapshot)
    while eco.tick < setting.ticks:
        eco.step()
    changes = {
        f"{who}.reinforcement": min(BELOW, setting.parameters.flat()[f"{who}.reinforcement"])
        for who in ("planners", "curators")
    }
    calm = Setting(setting.parameters.updated(changes), policies=setting.policies, shocks=setting.shocks)
    other = calm.community(seed)
    quiet = [_leading(other.world)]
    for _ in range(setting.ticks // 2):
        other.step()
        quiet.append(_leading(other.world))
    return {"leading": leading, "calm": np.array(quiet), "end": _leading(eco.world)}


PARTS: dict[str, Callable[[Setting, int], Any]] = {
    "network": _network,
    **{kind: _losses(kind) for kind in KINDS},
    **{target: _shares_lost(target) for target in ALL},
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
NOTHING = Estimate(math.nan, math.nan, math.nan, math.nan)


def report(setting: Setting, values: Mapping[Any, Any]) -> Report:
    """Findings with intervals over communities, and the tables behind them."""
    of = {part: [values[seed, part] for seed in setting.seeds()] for part in PARTS}
    findings, curves = _of_network(of["network"])
    ranked, static, losses, shares = [], [], [], []
    for kind in KINDS:
        each = pd.concat([t.assign(seed=s) for s, t in zip(setting.seeds(), of[kind], strict=True)], ignore_index=True)
        found, of_kind, ranks = _of_losses(each, kind)
        findings += found
        ranked += of_kind
        static += ranks
        losses.append(each.assign(kind=kind))
    for target in ALL:
        found, rows = _of_shares(of[target], target, setting)
        findings += found
        shares.append(rows)
    found, recovery, gaps = _of_outages(of["outages"], setting)
    tables = {
        "removal_curves": curves,
        "keystones": _joined(ranked),
        "static_ranking": _joined(static),
        "tipping": _joined(shares),
        "recovery": recovery,
        "gap_curves": gaps,
        "losses": _joined(losses),
    }
    return Report((*findings, *found, *_of_warning(of["warning"])), tables)


def _joined(tables: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def told(e: Estimate, smallest: float) -> str:
    """What an interval says against the smallest effect of interest."""
    if math.isnan(e.low):
        return "not told: no interval"
    if e.low >= smallest:
        return f"at least {smallest:g} for sure"
    if -smallest < e.low and e.high < smallest:
        return f"less than {smallest:g} for sure" + ("" if e.low <= 0 <= e.high else ", yet not 0")
    return f"undecided: above 0, {smallest:g} not told" if e.low > 0 else "undecided"


def borne(costs: Float, smallest: float) -> str:
    """Who bears a cost: communities that lose, and gain, more than matters, and whether they fall into groups; chance alone does both."""
    groups = ", in two groups" if bimodality(costs) > TWO_GROUPS else ""
    lose, gain = (costs > smallest).mean(), (costs < -smallest).mean()
    return f"more than {smallest:g} lost in {lose:.0%}, gained in {gain:.0%} of communities{groups}"


def _cost(words: str, costs: Float, smallest: float) -> Finding:
    """Mean of costs over communities (n,), which nothing would have if the node did not matter."""
    known = costs[np.isfinite(costs)]
    e = mean_estimate(known)
    alike = 1 < len(known) < CONSTANT and not np.ptp(known)
    said = f"all {len(known)} alike, too few to be sure" if alike else told(e, smallest)
    return Finding(words, e, 0.0, len(known), f"{said}; {borne(known, smallest)}")


def _read(row: Mapping[Any, Any], value: str, suffix: str = "") -> Estimate:
    """Estimate from a row of a table of measures, which does not tell its standard error."""
    return Estimate(float(row[value]), math.nan, float(row[f"low{suffix}"]), float(row[f"high{suffix}"]))


def _of_network(worlds: list[dict[str, Any]]) -> tuple[list[Finding], pd.DataFrame]:
    n, N = len(worlds), len(worlds[0]["curves"]["random"]) - 1
    robust = {c: np.array([w["curves"][c][1:].mean() for w in worlds]) for c in CRITERIA}
    random, whole = mean_estimate(robust["random"]), (N - 1) / (2 * N)
    name = "robustness R of the network"
    findings = [
        Finding(f"{name}, {CRITERIA['random']}", random, whole, n, "0 to 1/2; null: everybody linked to everybody")
    ]
    for c in list(CRITERIA)[1:]:
        less = mean_estimate(robust["random"] - robust[c])
        reading = f"null: at random; {less.value:.2g} less ({less.low:.2g} to {less.high:.2g})"
        findings.append(Finding(f"{name}, {CRITERIA[c]}", mean_estimate(robust[c]), random.value, n, reading))
    for kind, (several, users) in KINDS.items():
        one, any_one, few = (
            mean_estimate([w[key] for w in worlds])
            for key in (f"cascade {kind}", f"cascade {kind}, any", f"truck {kind}")
        )
        findings += [
            Finding(
                f"share of the others that stop with the most leaned-on {kind}",
                one,
                any_one.value,
                n,
                "null: with any one",
            ),
            Finding(
                f"fewest {several} without which most {users} have none",
                few,
                math.nan,
                n,
                "truck factor, greedy; more is safer",
            ),
        ]
    weight = mean_estimate([w["influence"] for w in worlds])
    findings.append(Finding("largest influence of a node, over that of equals", weight, 1.0, n, f"labour {LABOUR:g}"))
    means = {c: np.mean([w["curves"][c] for w in worlds], axis=0) for c in CRITERIA}
    rows = [(c, i / N, float(v)) for c, curve in means.items() for i, v in enumerate(curve)]
    return findings, pd.DataFrame(rows, columns=["criterion", "removed", "giant"])


def _of_losses(losses: pd.DataFrame, kind: Kind) -> tuple[list[Finding], list[pd.DataFrame], list[pd.DataFrame]]:
    """What each node's loss costs: findings, keystones and static rankings of every outcome."""
    findings: list[Finding] = []
    ranked, static = [], []
    for outcome, (_, smallest, words) in OUTCOMES.items():
        each = losses.pivot(index="seed", columns="role", values=outcome)
        cost = f"cost of losing the most leaned-on {kind}: {words}"
        if each.isna().all(axis=0).any():
            findings.append(Finding(cost, NOTHING, 0.0, 0, "not told: not defined without some node in any community"))
            continue
        findings.append(_cost(cost, each[1].to_numpy(), smallest))
        table, ranks = keystones(losses, outcome), static_ranking(losses, outcome)
        ranked.append(table.assign(kind=kind, outcome=outcome))
        static.append(ranks.assign(kind=kind, outcome=outcome))
        if outcome == WORST:
            findings += _of_ranking(each, table, ranks, kind)
    return findings, ranked, static


def _of_ranking(each: pd.DataFrame, table: pd.DataFrame, ranks: pd.DataFrame, kind: Kind) -> list[Finding]:
    """The node that costs most finds, any one, and whether who leans on a node says what its loss costs."""
    n, top, smallest = len(each), table.iloc[0].to_dict(), OUTCOMES[WORST][1]
    e = _read(top, "cost")
    sure = f"role {top['role']:.0f} of {len(table)}, costliest in {top['costliest']:.0%} of resamples; {told(e, smallest)}, for all nodes together"
    findings = [
        Finding(f"cost of losing the costliest {kind}: finds", e, 0.0, n, sure),
        _cost(f"cost of losing any one {kind}: finds", each.mean(axis=1).to_numpy(), smallest),
    ]
    if each.shape[1] > 1:
        more = (each[1] - each.drop(columns=1).mean(axis=1)).to_numpy()
        users = ranks.set_index("measure").to_dict("index")["users"]
        findings += [
            _cost(f"finds that the most leaned-on {kind} costs beyond another", more, smallest),
            Finding(
                f"rank correlation of a {kind}'s users with its cost in finds",
                _read(users, "rho_within", "_within"),
                0.0,
                int(float(users["seeds"])),
                "mean over communities; chance in single runs lowers it",
            ),
        ]
    return findings


def _of_shares(
    worlds: list[dict[int, float]], target: Literal["largest", "random"], setting: Setting
) -> tuple[list[Finding], pd.DataFrame]:
    """Share of the repositories whose loss costs more finds than matters."""
    count, smallest, n = (setting.parameters.infrastructure.repositories, OUTCOMES[WORST][1], len(worlds))
    costs = {m: np.array([w[m] for w in worlds]) for m in levels(count)}
    rows = [
        (target, m / count, e.value, e.low, e.high, float((x > smallest).mean()))
        for m, x in costs.items()
        for e in [mean_estimate(x)]
    ]
    table = pd.DataFrame(rows, columns=["chosen", "lost", "cost", "low", "high", "costly"])
    findings = [_cost("cost of losing all repositories: finds", costs[count], smallest)] if target == "largest" else []
    words = f"share of the repositories whose loss costs {smallest:g} of finds, {ALL[target]}"
    if n < FEWEST:
        why = f"not told: fewer than {FEWEST} communities"
    elif not float(costs[count].mean()) > smallest:
        why = "no such share: the loss of all does not cost so much on average"
    else:

        def cost(level: float, seed: int) -> float:
            return float(costs[min(costs, key=lambda m: abs(m / count - level))][seed - setting.seed])

        point = tipping_point(cost, 0.0, 1.0, seeds=setting.seeds(), precision=1.0 / count, threshold=smallest)
        e = Estimate(point.level, math.nan, max(point.low, 0.0), min(point.high, 1.0))
        ends = "" if math.isfinite(point.high) else "; undecided whether all are enough"
        return [*findings, Finding(words, e, math.nan, n, f"of {len(costs)} levels{ends}; {point.remark}")], table
    return [*findings, Finding(words, NOTHING, math.nan, n, why)], table


def _of_outages(worlds: list[dict[str, Course]], setting: Setting) -> tuple[list[Finding], pd.DataFrame, pd.DataFrame]:
    """What outages that end cost, and how long they are felt: findings, their numbers, and gap curves."""
    findings, rows, curves = [], [], []
    for name in OUTAGES:
        for what in PERFORMANCE:
            hit, spared = (np.array([w[arm][what] for w in worlds]) for arm in (name, "spared"))
            times = np.arange(1.0, hit.shape[1] + 1)
            summed = disruption(hit, spared, times, seed=setting.seed).assign(outage=name, performance=what)
            # Finds of a tick go up and down: their largest gap, and its end, are chance.
            rows.append(summed if what != "finds" else summed[summed["measure"] == "area"])
            curves.append(gap_curve(hit, spared, times).assign(outage=name, performance=what))
            if what == "finds":
                lost = (spared - hit).sum(axis=1)
                findings.append(_cost(f"finds lost by the end, outage of {name}", lost, OUTCOMES[WORST][1]))
            elif what == "steered":
                findings += _service(name, summed.set_index("measure").to_dict("index"), len(worlds), setting.ticks)
    return (findings, pd.concat(rows, ignore_index=True), pd.concat(curves, ignore_index=True))


def _service(name: str, summed: Mapping[Any, Mapping[Any, Any]], n: int, ticks: int) -> list[Finding]:
    """Labs left without a model by an outage, and for how long."""
    drop, time, seen = (summed["mean_drop"], summed["recovery"], summed["recovered_share"])
    findings = [
        Finding(
            f"largest drop of the share of labs with a model, outage of {name}",
            _read(drop, "value"),
            0.0,
            n,
            "of the mean course",
        )
    ]
    if float(drop["value"]) > 0:
        reading = f"median; the outage lasts {max(1, ticks // OUTAGE)}; {float(seen['value']):.0%} of communities recover within the run"
        findings.append(
            Finding(f"ticks until labs have models again, outage of {name}", _read(time, "value"), math.nan, n, reading)
        )
    return findings


def _of_warning(worlds: list[dict[str, Any]]) -> list[Finding]:
    """Whether fluctuations of the largest share foretell lock-in, against communities that nothing locks in."""
    n, locked = len(worlds), np.array([w["end"] > LOCKED for w in worlds])
    here, calm = (np.array([w[side] for w in worlds]) for side in ("leading", "calm"))
    words, count, ticks = ("early warning of lock-in, AUC", int(locked.sum()), here.shape[1])
    if count < FEWEST_LOCKED or ticks < FEWEST_TICKS:
        why = f"{count} of {n} communities end locked in" if ticks >= FEWEST_TICKS else f"{ticks} ticks are too few"
        return [Finding(words, NOTHING, 0.5, n, f"not told: {why}")]
    both, outcome = (np.concatenate([here[locked], calm]), np.repeat([True, False], [count, n]))
    signals = warning_trends(both, ticks // 2).assign(rise=[trend(x) for x in both])
    findings = []
    for signal, name in SIGNALS.items():
        known = signals[signal].notna().to_numpy()
        enough = min(outcome[known].sum(), (~outcome[known]).sum()) > 1
        area = auc(signals[signal][known], outcome[known]) if enough else NOTHING
        reading = f"{count} that lock in against {n} at reinforcement {BELOW:g} or less; .5 is chance"
        findings.append(
            Finding(
                f"{words}: {name}", area, 0.5, int(known.sum()), reading if enough else "not told: shares stand still"
            )
        )
    return findings


FRAGILITY = Battery(
    "fragility", "How fragile is the community's infrastructure?", tasks, measure, report, replicates=20
)
