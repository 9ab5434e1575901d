"""What the loss of the leading repository or model costs, through which channel, and what insures against it.

A node is lost for good at half of the time. Its cost is the difference to the same community without the loss, on the
same draws. An insurance is a parameter that is another from the founding on: what it saves is the cost without less the
cost with it. A channel is closed at the moment of the loss, with and without the loss; shares of channels in the cost
are Shapley values (Shapley 1953) over all orders in which they could be closed.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from mpbf_abm.arrays import Float
from mpbf_abm.errors import refuse_all
from mpbf_abm.evidence.assessments.assessment import Assessment, Finding, Report, Setting
from mpbf_abm.measures.keystones import LOSS, Kind, standing
from mpbf_abm.measures.path import run_on
from mpbf_abm.model.community import Community, Snapshot
from mpbf_abm.model.interventions import Policy
from mpbf_abm.model.run import summarise
from mpbf_abm.model.shocks import Shock
from mpbf_abm.parameters import Parameters
from mpbf_abm.stats.estimates import mean_estimate

Changes = Mapping[str, Any]

KINDS: tuple[Kind, ...] = ("repository", "model")
# What is counted, in words; costs are signed so that above 0 is worse.
OUTCOMES = {
    "found_by_planners_share": (-1, "discoveries by planners, share"),
    "rmse_centred": (1, "centred error, sd"),
    "unsteered_share": (1, "experiments without a model, share"),
    "readable": (-1, "records that can be read, share"),
}
PLAIN = "as it is"
# What closes each channel of a loss.
CHANNELS: dict[Kind, dict[str, Changes]] = {
    "repository": {
        "data": {"infrastructure.migration": 1.0},
        "service": {"infrastructure.service": "host"},
        "search": {"infrastructure.search_time": 0},
        "switching": {"planners.switching_time": 0},
    },
    "model": {
        "service": {"infrastructure.service": "host", "infrastructure.open_weights": 1.0},
        "search": {"planners.adoption_rate": 1.0},
        "switching": {"planners.switching_time": 0},
    },
}
ALL = "all channels closed"
COLUMNS = (*("kind", "arm", "outcome", "cost", "low", "high"), *("saved", "saved_low", "saved_high", "n"))


def insurances(p: Parameters, kind: Kind) -> dict[str, Changes]:
    """Return what can be insured against a loss, as changes of a community; those that it has already are left out."""
    more: dict[str, Changes] = {
        "one provider more": {"infrastructure.providers": p.infrastructure.providers + 1},
        "a year's notice": {"infrastructure.notice": 12},
        "free switching": {"planners.switching_time": 0},
    }
    if kind == "repository":
        more |= {
            "mirrors of all records": {"infrastructure.openness": 1.0},
            "migration of all records": {"infrastructure.migration": 1.0},
            "hosts for models": {"infrastructure.service": "host"},
            "search at once": {"infrastructure.search_time": 0},
        }
    else:
        more |= {"open weights": {"infrastructure.service": "host", "infrastructure.open_weights": 1.0}}
    return {name: changes for name, changes in more.items() if p.updated(changes) != p}


# --------------------------------------------------------------------------- what is run


def tasks(setting: Setting) -> list[Hashable]:
    """Return every community with every insurance, and its channels.

    Raises
    ------
    ConfigurationError
        For a community without a second repository, a second model or time.
    """
    p, second = setting.parameters, "must be at least 2, so that one can be lost and one is left"
    refuse_all(
        (p.infrastructure.repositories < 2, f"infrastructure.repositories = 1: {second}"),
        (p.trainers.count < 2, f"trainers.count = {p.trainers.count}: {second}"),
        (not p.planners.count, "planners.count = 0: must be at least 1; without labs nothing is lost"),
        (setting.ticks < 4, f"ticks = {setting.ticks}: must be at least 4, two before a loss and two after"),
    )
    each = [(kind, arm) for kind in KINDS for arm in (PLAIN, *insurances(p, kind), "channels")]
    return [(*task, seed) for seed in setting.seeds() for task in each]


def measure(setting: Setting, task: tuple[Kind, str, int]) -> Any:
    """Measure the cost of a loss in one community: with an insurance, or by channels."""
    kind, arm, seed = task
    p = setting.parameters
    changes = {PLAIN: {}, "channels": {}, **insurances(p, kind)}[arm]
    eco = run_on(Setting(p.updated(changes), setting.seed, 0, setting.ticks).community(seed), setting.ticks // 2)
    snapshot = eco.snapshot()
    if arm != "channels":
        return cost(snapshot, setting.ticks, kind, {})
    names, closers = tuple(CHANNELS[kind]), CHANNELS[kind]
    out = {}
    for kept in subsets(names):
        closed: dict[str, Any] = {}
        for name in names:
            closed |= {} if name in kept else closers[name]
        out["+".join(kept)] = cost(snapshot, setting.ticks, kind, closed)
    return out


def subsets(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return all subsets of some names, in their order, the empty one first."""
    return [s for n in range(len(names) + 1) for s in combinations(names, n)]


def cost(snapshot: Snapshot, ticks: int, kind: Kind, closed: Changes) -> dict[str, float]:
    """Return what the loss of the leading node costs by each outcome, with some channels closed from now on."""
    start, leader = snapshot.world.tick, int(standing(snapshot.world, kind)["role"].to_numpy().argmin())
    values = {path: v for path, v in closed.items() if snapshot.world.p.value(path) != v}
    policies = (Policy(name="channels closed", set=values, start=start),) if values else ()
    spared, lost = (
        outcomes(Community.restore(snapshot, policies=policies, shocks=shocks), ticks)
        for shocks in ((), (Shock(name=LOSS[kind], start=start, target=leader),))
    )
    return {name: sign * (lost[name] - spared[name]) for name, (sign, _) in OUTCOMES.items()}


def outcomes(eco: Community, ticks: int) -> dict[str, float]:
    """Run a community to the horizon and return its outcomes."""
    run_on(eco, ticks - eco.tick)
    commons, found = eco.world.commons, summarise(eco)
    readable = float((commons.visible() - commons.mass).sum() / max(1, commons.records_by_family().sum()))
    return {name: readable if name == "readable" else float(found[name]) for name in OUTCOMES}


# --------------------------------------------------------------------------- what came out


def shapley(names: tuple[str, ...], value: Mapping[str, Float]) -> dict[str, Float]:
    """Return Shapley values of channels from the value of every subset that stays open, by its names joined with +.

    ``phi_i = sum_S |S|! (n - |S| - 1)! / n! (v(S + i) - v(S))`` over subsets S without i. They sum to the value of all
    less that of none.
    """
    n, out = len(names), {}
    for name in names:
        total: Any = 0.0
        for kept in subsets(tuple(other for other in names if other != name)):
            with_it = "+".join(other for other in names if other in kept or other == name)
            weight = math.factorial(len(kept)) * math.factorial(n - len(kept) - 1) / math.factorial(n)
            total = total + weight * (value[with_it] - value["+".join(kept)])
        out[name] = np.asarray(total)
    return out


def report(setting: Setting, values: Mapping[Any, Any]) -> Report:
    """Report costs, what insurances save, and shares of channels, with intervals over communities."""
    seeds, p = setting.seeds(), setting.parameters
    findings: list[Finding] = []
    rows, shares = [], []
    for kind in KINDS:
        for outcome, (_, words) in OUTCOMES.items():
            plain = np.array([values[kind, PLAIN, s][outcome] for s in seeds])
            for arm in (PLAIN, *insurances(p, kind)):
                costs = np.array([values[kind, arm, s][outcome] for s in seeds])
                e, saved = mean_estimate(costs), mean_estimate(plain - costs)
                row = (kind, arm, outcome, e.value, e.low, e.high, saved.value, saved.low, saved.high, len(seeds))
                rows.append(row)
                what = f"loss of the leading {kind}, {words}"
                if arm == PLAIN:
                    findings.append(Finding(f"{what}: cost", e, 0.0, len(seeds), "above 0 is worse"))
                else:
                    findings.append(
                        Finding(f"{what}: saved by {arm}", saved, 0.0, len(seeds), "cost without less with")
                    )
            names = tuple(CHANNELS[kind])
            each = {
                key: np.array([values[kind, "channels", s][key][outcome] for s in seeds])
                for key in map("+".join, subsets(names))
            }
            parts: Iterable[tuple[str, Float]] = [*shapley(names, each).items(), (ALL, each[""])]
            for name, x in parts:
                e = mean_estimate(x)
                shares.append((kind, outcome, name, e.value, e.low, e.high, len(seeds)))
    tables = {
        "insurances": pd.DataFrame(rows, columns=list(COLUMNS)),
        "channels": pd.DataFrame(shares, columns=["kind", "outcome", "channel", "cost", "low", "high", "n"]),
    }
    return Report(tuple(findings), tables)


QUESTION = "What does the loss of a leading node cost, through which channel, and what insures against it?"
INSURANCE = Assessment("insurance", QUESTION, tasks, measure, report, replicates=12)
