"""How fragile is a community's infrastructure? Its network, every single loss, losses of many, outages that end, warnings.

Replicates are communities with materials and a network of their own (:mod:`mpbf_abm.laboratory.fragility_parts`). Each is compared
with itself without the loss, on the same draws; intervals are over communities.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpbf_abm.laboratory.battery import Battery, Finding, Report, Setting
from mpbf_abm.laboratory.effective_urn import LOCKED
from mpbf_abm.laboratory.fragility_parts import (
    ALL,
    BELOW,
    CRITERIA,
    KINDS,
    LABOUR,
    OUTAGE,
    OUTAGES,
    OUTCOMES,
    PARTS,
    PERFORMANCE,
    WORST,
    Course,
    levels,
    measure,
    tasks,
)  # fmt: skip
from mpbf_abm.measures.classification import auc
from mpbf_abm.measures.early_warning import trend
from mpbf_abm.measures.early_warning_roc import warning_trends
from mpbf_abm.measures.estimates import Estimate, mean_estimate
from mpbf_abm.measures.keystone import Kind, keystones, static_ranking
from mpbf_abm.measures.paired import CONSTANT, TWO_GROUPS, bimodality
from mpbf_abm.measures.resilience import disruption, gap_curve
from mpbf_abm.measures.tipping import FEWEST, tipping_point

Float = NDArray[np.float64]

FEWEST_LOCKED = 5  # communities that end locked in, without which there is nothing to be warned of
FEWEST_TICKS = 8  # before the loss, for a trend

SIGNALS = {
    "rise": "rise of the largest share itself", "variance": "rising variance of it", "autocorrelation": "rising autocorrelation of it"
}  # fmt: skip
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
        "removal_curves": curves, "keystones": _joined(ranked), "static_ranking": _joined(static), "tipping": _joined(shares),
        "recovery": recovery, "gap_curves": gaps, "losses": _joined(losses),
    }  # fmt: skip
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
            Finding(f"share of the others that stop with the most leaned-on {kind}", one, any_one.value, n, "null: with any one"),
            Finding(f"fewest {several} without which most {users} have none", few, math.nan, n, "truck factor, greedy; more is safer"),
        ]  # fmt: skip
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
                f"rank correlation of a {kind}'s users with its cost in finds", _read(users, "rho_within", "_within"), 0.0,
                int(float(users["seeds"])), "mean over communities; chance in single runs lowers it",
            ),
        ]  # fmt: skip
    return findings


def _of_shares(
    worlds: list[dict[int, float]], target: Literal["largest", "random"], setting: Setting
) -> tuple[list[Finding], pd.DataFrame]:
    """Share of the repositories whose loss costs more finds than matters."""
    count, smallest, n = setting.parameters.infrastructure.repositories, OUTCOMES[WORST][1], len(worlds)
    costs = {m: np.array([w[m] for w in worlds]) for m in levels(count)}
    rows = [
        (target, m / count, e.value, e.low, e.high, float((x > smallest).mean())) for m, x in costs.items() for e in [mean_estimate(x)]
    ]  # fmt: skip
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
    return findings, pd.concat(rows, ignore_index=True), pd.concat(curves, ignore_index=True)


def _service(name: str, summed: Mapping[Any, Mapping[Any, Any]], n: int, ticks: int) -> list[Finding]:
    """Labs left without a model by an outage, and for how long."""
    drop, time, seen = summed["mean_drop"], summed["recovery"], summed["recovered_share"]
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
    words, count, ticks = "early warning of lock-in, AUC", int(locked.sum()), here.shape[1]
    if count < FEWEST_LOCKED or ticks < FEWEST_TICKS:
        why = f"{count} of {n} communities end locked in" if ticks >= FEWEST_TICKS else f"{ticks} ticks are too few"
        return [Finding(words, NOTHING, 0.5, n, f"not told: {why}")]
    both, outcome = np.concatenate([here[locked], calm]), np.repeat([True, False], [count, n])
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
