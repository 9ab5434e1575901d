"""Path dependence of a community: histories of the same materials, from the same rules, that differ by chance alone.

Replicates are worlds: separate materials spaces. In each, several histories are run, founding included. Each of them
is run twice from a fifth of the way on, so that the effects of early and of later history can be separated. Intervals
are over worlds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from mpbf_abm.arrays import Float
from mpbf_abm.errors import refuse
from mpbf_abm.evidence.assessments.assessment import Assessment, Finding, Report, Setting, materials
from mpbf_abm.evidence.assessments.effective_urn import FAMILIES, LOCKED, MOVED
from mpbf_abm.measures.path import (
    POLICIES,
    cost_of_reversal,
    damage,
    damage_exponent,
    degree,
    deposit,
    early_stream_index,
    largest_share,
    policy_arms,
    watched,
)
from mpbf_abm.measures.tipping import FOLD, loop_area, ramp_community, slow_limit
from mpbf_abm.measures.urn import at_mass_quantiles, flow, intervene
from mpbf_abm.model.community import Community, Snapshot
from mpbf_abm.model.indicators import observe
from mpbf_abm.parameters import Parameters
from mpbf_abm.stats.concentration import corrected_jsd, share_information
from mpbf_abm.stats.estimates import UNKNOWN, Estimate, mean_estimate
from mpbf_abm.stats.survival import leader_changes, lock_in_times, median_time, survival
from mpbf_abm.studies.jobs import RunInput

EARLY = 5  # early history is the first 1/5 of a run
LEAST_TICKS = 10
HISTORIES = 6  # of each world
LATER = (1 << 60, 1 << 61)  # what sets the draws of the two later courses apart
INFORMED = 2  # of them in which policies that know are tried
RAMPS = (4, 2, 1)  # parts of a run that each way of a ramp takes
HIGH = 0.6  # exploration at the top of a ramp
SMALLEST = 0.02  # smallest gain of interest in the share found
TWIN = 0.02  # extra records of a perturbed copy, in parts of all: a small change
Part = tuple[list[Finding], dict[str, pd.DataFrame]]


def tasks(setting: Setting) -> list[tuple[str, int, int]]:
    """Return every world and history, and every world and ramp.

    Raises
    ------
    ConfigurationError
        For a run that is too short to have an early and a late part.
    """
    refuse(
        setting.ticks < LEAST_TICKS,
        f"ticks = {setting.ticks}: must be at least {LEAST_TICKS} for path; a fifth of a run is its early history",
    )
    histories = [("history", world, i) for world in setting.seeds() for i in range(HISTORIES)]
    return histories + [("ramp", world, ticks) for world in setting.seeds() for ticks in ramps(setting)]


def ramps(setting: Setting) -> list[int]:
    """Return the ticks of each way of the ramps, slowest last; none where all explore as much as they can."""
    return [max(2 + i, setting.ticks // part) for i, part in enumerate(RAMPS)] if _room(setting) else []


def measure(setting: Setting, task: tuple[str, int, int]) -> dict[str, Any]:
    """Measure one history or one ramp."""
    kind, world, number = task
    return history(setting, world, number) if kind == "history" else ramp(setting, world, number)


def ramp(setting: Setting, world: int, ticks: int) -> dict[str, Any]:
    """Explore more and more and then less again, and watch the largest share of what is expected to be entered next."""
    lever = {path: (now, HIGH if now < HIGH else 0.5 * (1.0 + now)) for path, now in _room(setting).items()}
    spec = setting.spec((world << 8) + HISTORIES, materials(setting.parameters, world))
    way, seen = ramp_community(spec, lever, ticks, _next_leading, settle=max(2, setting.ticks // EARLY))
    return {"way": way, "seen": seen, "area": loop_area(way, seen)}


def _room(setting: Setting) -> dict[str, float]:
    """Return the exploration of those who could explore more."""
    p = setting.parameters
    now = {"planners.exploration": p.planners.exploration, "curators.exploration": p.curators.exploration}
    return {path: value for path, value in now.items() if value < 1}


def _next_leading(eco: Community) -> float:
    """Return the largest share of a family in the records that are expected next."""
    now = flow(eco, eco.tick)
    return float(now.mixed(now.total).max())


def history(setting: Setting, world: int, i: int) -> dict[str, Any]:
    """Run one history: later courses, a twin with extra records, a reversal, the effective urn, informed policies."""
    seed = (world << 8) + i
    early = max(2, setting.ticks // EARLY)
    eco = setting.community(seed, space=materials(setting.parameters, world))
    path = watched(eco, range(early + 1))
    snapshot = eco.snapshot()
    x = path[-1]
    courses = [_course(setting, snapshot, seed ^ branch) for branch in LATER]
    later, _ = courses[0]
    second = int(np.argsort(-x, kind="stable")[1])
    share, N = float(x[second] / x.sum()), float(x.sum())
    price = cost_of_reversal(share, N, MOVED)
    twin, _ = _course(setting, snapshot, seed ^ LATER[0], second, max(1, round(TWIN * N)))
    if math.isfinite(price):
        paid, _ = _course(setting, snapshot, seed ^ LATER[0], second, round(price))
    else:
        paid = later
    moved = [float(c[-1, second] / c[-1].sum() - later[-1, second] / later[-1].sum()) for c in (twin, paid)]
    families = at_mass_quantiles(x, min(FAMILIES, int((x > 0).sum())))
    urn = intervene(snapshot, [second, *families[families != second]])
    arms = policy_arms([snapshot], round(MOVED * N), setting.ticks) if i < INFORMED else None
    before, after = (float(damage(twin[t], later[t])) for t in (0, -1))
    return {
        "arms": arms,
        "path": np.vstack([path, later[1:]]),
        "early": x,
        "ends": np.array([c[-1] for c, _ in courses]),
        "new": np.maximum(later[-1] - path[0], 0.0),
        "later": np.array([np.maximum(c[-1] - x, 0.0) for c, _ in courses]),
        "found": np.array([f for _, f in courses]),
        "exponent": damage_exponent(before, after, later.sum(axis=1).tolist()),
        "kept": moved[0] / float(twin[0, second] / twin[0].sum() - share),
        "price": price / N,
        "bought": moved[1] / MOVED,
        **urn.numbers(),
        "local": float(urn.local[0]),
    }


def _course(setting: Setting, snapshot: Snapshot, seed: int, family: int = 0, count: int = 0) -> tuple[Float, float]:
    """Return records by family after each tick (T, K) from a snapshot on, with extra records, and the share found."""
    eco = Community.restore(snapshot, reseed={snapshot.world.tick: seed})
    deposit(eco, family, count)
    return watched(eco, range(eco.tick, setting.ticks + 1)), observe(eco.world)["found_share"]


# --------------------------------------------------------------------------- what came out


# What is measured of one world, and how to read it.
MEASURED = {
    "early index of shares": "early history's share of the variance of later records' families (0 to 1)",
    "early index of discoveries": "early history's share of the variance of discoveries (0 to 1)",
    "divergence": "divergence of the records of histories (nats)",
    "same leader": "chance that two histories end with the same largest family",
    "leader stays": "chance that the early largest family is the last",
    "locked": f"share of histories that end locked in (largest share above {LOCKED:g})",
    "exponent": "exponent of damage, d ln D / d ln N",
    "kept": "displacement that is left of extra records",
    "bought": f"what the price of a reversal buys, over the {MOVED:g} it is for",
    "gamma_eff": "effective reinforcement",
    "eps_eff": "effective exploration",
    "law": "exponent of equal families, (1 - eps_eff) gamma_eff - 1",
    "local": "exponent where the community stands",
}
READINGS = {
    "early index of shares": "rerun from a fifth of the way on",
    "early index of discoveries": "0: later chance alone decides how much is found",
    "divergence": "Jensen-Shannon, chance taken off",
    "same leader": "1: the outcome is given by the materials",
    "leader stays": "chance of one in all families without any history",
    "locked": "a distribution, see the figure",
    "exponent": "-1: a small change is thinned out; 0: it stays",
    "kept": "1: kept whole, as in a linear urn",
    "bought": "price N D / (1 - x - D) of a linear urn",
    "gamma_eff": "null: what planners were given",
    "eps_eff": "null: what planners were given",
    "law": "above 0, equal families part for good",
    "local": "(1 - eps_eff) gamma_eff phi(1-phi) / (s(1-s)) - 1 of the second family",
}
NO_NULL = ("leader stays", "locked", "kept")
NULLS = {"same leader": 1.0, "exponent": -1.0, "bought": 1.0, "local": -1.0} | dict.fromkeys(NO_NULL, math.nan)
OF_HISTORY = ("exponent", "kept", "bought", "gamma_eff", "eps_eff", "law", "local")


def report(setting: Setting, values: Mapping[Any, dict[str, Any]]) -> Report:
    """Return findings with intervals over worlds, and tables of histories and of their courses."""
    worlds = {w: [values["history", w, i] for i in range(HISTORIES)] for w in setting.seeds()}
    rows = [_of_world(histories) for histories in worlds.values()]
    p = setting.parameters.planners
    nulls = NULLS | {"gamma_eff": p.reinforcement, "eps_eff": max(p.exploration, p.exploration_floor)}
    findings = []
    for name, words in MEASURED.items():
        known = [row[name] for row in rows if not math.isnan(row[name])]
        findings.append(Finding(words, mean_estimate(known), nulls.get(name, 0.0), len(known), READINGS[name]))
    tables = {"worlds": pd.DataFrame(rows, index=pd.Index(worlds, name="world")).reset_index(), **_tables(worlds)}
    for more, named in (_locking(worlds), _information(setting, worlds), _loops(setting, values), _degrees(worlds)):
        findings += more
        tables |= named
    return Report(tuple(findings), tables)


def _locking(worlds: Mapping[int, list[dict[str, Any]]]) -> Part:
    """Report changes of the leader, and when it is there to stay."""
    paths = {w: np.array([h["path"] for h in runs]) for w, runs in worlds.items()}
    changes = mean_estimate([float(leader_changes(p).mean()) for p in paths.values()])
    times, seen = (np.concatenate(v) for v in zip(*(lock_in_times(p, LOCKED) for p in paths.values()), strict=True))
    curve = survival(times, seen)
    middle, low, high = median_time(curve)
    reading = f"Kaplan-Meier over {len(times)} histories, {int((~seen).sum())} censored; worlds pooled"
    median, takes = Estimate(middle, math.nan, low, high), "ticks at which another family takes the lead"
    return [
        Finding("changes of the largest family in a history", changes, 0.0, len(paths), takes),
        Finding("median lock-in time (tick; inf: not within the run)", median, math.nan, len(paths), reading),
    ], {"survival": curve}


def _information(setting: Setting, worlds: Mapping[int, list[dict[str, Any]]]) -> Part:
    """Report what the largest share early says about that at the end."""
    runs = [h for histories in worlds.values() for h in histories]
    early = np.array([largest_share(h["early"]) for h in runs])
    late = np.array([largest_share(h["ends"][0]) for h in runs])
    found = share_information(early, late, np.random.default_rng([setting.seed, len(early)]))
    reading = f"nearest neighbours, chance taken off; p = {found.p:.2g}; worlds pooled"
    value = replace(UNKNOWN, value=found.corrected)
    return [
        Finding("information of the early largest share about the last (nats)", value, 0.0, len(worlds), reading)
    ], {}


def _loops(setting: Setting, values: Mapping[Any, dict[str, Any]]) -> Part:
    """Report the hysteresis of exploration."""
    ways = ramps(setting)
    if not ways:
        return [], {"loops": pd.DataFrame(columns=["world", "ticks", "way", "leading"])}
    areas = np.array([[values["ramp", w, t]["area"] for t in ways] for w in setting.seeds()])
    loops = []
    for w, t in itertools.product(setting.seeds(), ways):
        ramp = values["ramp", w, t]
        loops.append(pd.DataFrame({"world": w, "ticks": t, "way": ramp["way"], "leading": ramp["seen"]}))
    slow, lagging = (slow_limit(1.0 / np.array(ways, np.float64), areas, exponent) for exponent in (FOLD, 1.0))
    seen = ", ".join(f"{a:.3g} at {t}" for a, t in zip(areas.mean(axis=0), ways, strict=True))
    lag = f"{lagging.value:.3g} ({lagging.low:.3g} to {lagging.high:.3g})"
    reading = f"areas {seen} ticks a way; growing with the rate itself {lag}"
    finding = Finding("loop of a slow ramp of exploration (rate to the power 2/3)", slow, 0.0, len(areas), reading)
    return [finding], {"loops": pd.concat(loops, ignore_index=True)}


def _degrees(worlds: Mapping[int, list[dict[str, Any]]]) -> Part:
    """Report what an informed policy and an oracle gain over laissez-faire with the same records."""
    tried = [h["arms"].assign(world=w) for w, runs in worlds.items() for h in runs[:INFORMED]]
    arms = pd.concat(tried, ignore_index=True)
    means = arms.groupby("world")[list(POLICIES)].mean()
    out = []
    if len(means) >= 3 and means.notna().all(axis=None):
        found = degree(means["laissez-faire"], means["informed"], means["oracle"], SMALLEST)
        reading = f"degree of path dependence: {found.degree} (smallest gain {SMALLEST:g})"
        for name, (mean, low, high) in (("an oracle", found.oracle), ("an informed policy", found.informed)):
            gain = Estimate(mean, math.nan, low, high)
            out.append(Finding(f"gain of {name} in the share found", gain, 0.0, found.n, reading))
    return out, {"arms": arms}


def _of_world(histories: list[dict[str, Any]]) -> dict[str, float]:
    """Return the numbers of one world: of its histories together, or the means over them."""
    ends = np.array([h["ends"] / h["ends"].sum(axis=1, keepdims=True) for h in histories])
    found = np.array([h["found"] for h in histories])
    leaders = ends[:, 0].argmax(axis=1)
    pairs = np.triu_indices(len(leaders), 1)
    out = {
        "early index of shares": _index(*_shares([h["later"] for h in histories])),
        "early index of discoveries": _index(found[:, 0], found[:, 1]),
        "divergence": corrected_jsd(np.array([h["new"] for h in histories]))[0],
        "same leader": float((leaders[pairs[0]] == leaders[pairs[1]]).mean()),
        "leader stays": float(np.mean([h["early"].argmax() == k for h, k in zip(histories, leaders, strict=True)])),
        "locked": float((ends.max(axis=2) > LOCKED).mean()),
    }
    for name in OF_HISTORY:
        known = [h[name] for h in histories if math.isfinite(h[name])]
        out[name] = float(np.mean(known)) if known else math.nan
    return out


def _shares(later: list[Float]) -> tuple[Float, Float]:
    """Return the shares of families in the later records of both courses, two arrays (histories, K)."""
    x = np.array(later)
    shares = x / np.maximum(x.sum(axis=2, keepdims=True), 1.0)
    return shares[:, 0], shares[:, 1]


def _index(first: Float, second: Float) -> float:
    """Return the early-stream index, NaN where nothing varies."""
    return early_stream_index(first, second)[0] if np.ptp(np.concatenate([first, second]), axis=0).any() else math.nan


def _tables(worlds: Mapping[int, list[dict[str, Any]]]) -> dict[str, pd.DataFrame]:
    """Return histories, one row each, and the course of the largest share."""
    histories, courses = [], []
    for world, runs in worlds.items():
        for i, h in enumerate(runs):
            ends = h["ends"] / h["ends"].sum(axis=1, keepdims=True)
            pair, found = list(zip("ab", ends, strict=True)), zip("ab", h["found"], strict=True)
            row = {"world": world, "history": i, "early_leading": largest_share(h["early"])}
            row |= {f"leader_{b}": int(e.argmax()) for b, e in pair} | {f"leading_{b}": float(e.max()) for b, e in pair}
            row |= {f"found_{b}": float(f) for b, f in found}
            histories.append(row | {n: float(h[n]) for n in (*OF_HISTORY[:2], "price", *OF_HISTORY[2:])})
            leading = h["path"].max(axis=1) / h["path"].sum(axis=1)
            courses += [{"world": world, "history": i, "tick": t, "leading": float(v)} for t, v in enumerate(leading)]
    return {"histories": pd.DataFrame(histories), "courses": pd.DataFrame(courses)}


PATH = Assessment("path", "How path-dependent is the community?", tasks, measure, report, replicates=8)


# --------------------------------------------------------------------------- over parameters

OUTCOMES = (*MEASURED, "oracle gain", "informed gain")


def world_outcomes(run: RunInput, preset: str = "single-quick") -> dict[str, float]:
    """Return the numbers of one world, as a study's model; ``gamma`` is the reinforcement of all agents."""
    values = dict(run.values)
    gamma = values.pop("gamma", None)
    if gamma is not None:
        values |= {"planners.reinforcement": gamma, "curators.reinforcement": gamma}
    setting = Setting(Parameters.preset(preset).updated(values), ticks=run.ticks)
    histories = [history(setting, run.seed >> 10, i) for i in range(HISTORIES)]
    means = pd.concat([h["arms"] for h in histories if h["arms"] is not None])[list(POLICIES)].mean()
    gains = {f"{name} gain": float(means[name] - means["laissez-faire"]) for name in ("oracle", "informed")}
    return _of_world(histories) | gains
