"""The value of data: what a community would lose without retraining, curators, results, pretraining or a repository.

Each arm is the community with one change, on the same draws; its effect is the paired difference over communities. No
outcome weighs families by an arm's own corpus. Beside it stand two learning curves: the error of models of the first
tick over founding records of several numbers, and that of all models that the running community has published.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from mpbf_abm.arrays import Float
from mpbf_abm.errors import refuse_all
from mpbf_abm.evidence.assessments.assessment import Assessment, Finding, Report, Setting, materials
from mpbf_abm.measures.path import run_on
from mpbf_abm.model.community import Community
from mpbf_abm.model.indicators import UNITS, WIDE, observe, selection, usage
from mpbf_abm.model.run import begin
from mpbf_abm.model.shocks import Shock
from mpbf_abm.model.steering import counted_correction
from mpbf_abm.parameters import Parameters
from mpbf_abm.stats.estimates import UNKNOWN, Estimate, Slope, mean_estimate
from mpbf_abm.studies.analyses import verdict
from mpbf_abm.studies.definition import Outcome

Changes = Mapping[str, Any]

# Better direction and smallest effect of interest.
OUTCOMES = {
    "rmse_centred": Outcome(better="less", smallest=0.01),
    "rmse_centred_niche": Outcome(better="less", smallest=0.01),
    "found_by_planners_share": Outcome(better="more", smallest=0.03),
    "value_gain": Outcome(better="more", smallest=0.03),
    "unsteered_share": Outcome(better="less", smallest=0.03),
}
ERROR, CURVE = "rmse_centred", "learning_exponent"
KEPT = (*OUTCOMES, CURVE, "records")
BASE, ONE = "as it is", "one provider"
NONE, OWN, HALF = "no pretraining", "encoders from the head's own rows", "half of all labels"
LOST = "largest repository lost, one provider"
# Least values without which an arm means nothing.
NEEDS = {
    "a quarter of the founding records, no curators": {"curators.count": 1},
    "no outer loop": {"planners.count": 1},
    "no correction by results": {"planners.count": 1},
    LOST: {"infrastructure.repositories": 2},
}
PER = 1_000  # records
SIZES = (300, 600, 1_200, 2_400, 4_800)  # founding records of the static curve
TARGET = (-0.21, -0.12)  # exponents of real learning curves
COLUMNS = (*("arm", "against", "outcome", "baseline", "treated", "effect"), *("low", "high", "verdict", "n"))


def arms(p: Parameters) -> dict[str, Changes]:
    """Return what each arm changes of a community; the first and :data:`ONE` are baselines."""
    quarter, one = {"founding.records": p.founding.records // 4}, {"infrastructure.providers": 1}
    fewer = {"founding.records": p.founding.records // 2, "curators.records": p.curators.records // 2}
    structures: Changes = {"founding.structures": 0, "curators.structures": 0}
    changes: dict[str, Changes] = {
        BASE: {},
        "no retraining": {"trainers.retrain_interval": 10_000},
        "a quarter of the founding records": quarter,
        "a quarter of the founding records, no curators": quarter | {"curators.count": 0},
        "no outer loop": {"coupling.outer_loop": 0.0},
        # What S counts stays: how far models are followed is another change.
        "no correction by results": {"coupling.correction": 0.0, "layers.feedback_correction": counted_correction(p)},
        NONE: {"trainers.objective": "none"},
        OWN: {"trainers.corpus": "own", **structures},
        HALF: fewer | {"coupling.outer_loop": p.coupling.outer_loop / 2},
        ONE: one,
        LOST: one,
    }
    return changes | {"no structures": structures}


def left_out(p: Parameters) -> dict[str, str]:
    """Return the arms that mean nothing in a community, and why."""
    seen: dict[str, Parameters] = {}
    out: dict[str, str] = {}
    for name, changes in arms(p).items():
        changed = p.updated(changes)
        same = next((other for other, q in seen.items() if q == changed), "") if name != LOST else ""
        lacking = [path for path, least in NEEDS.get(name, {}).items() if p.value(path) < least]
        if lacking or same:
            has = " and ".join(f"{path} = {p.value(path)}" for path in lacking)
            out[name] = has or ("the community is so" if same == BASE else f"the same as '{same}'")
        seen.setdefault(name, changed)
    return out


def against(p: Parameters) -> Iterator[tuple[str, str]]:
    """Yield each arm of the table with its baseline."""
    without = left_out(p)
    for name in arms(p):
        if name not in (BASE, ONE, *without):
            yield name, ONE if name == LOST and ONE not in without else BASE


# --------------------------------------------------------------------------- what is run


def tasks(setting: Setting) -> list[Hashable]:
    """Return every arm, and every number of founding records, on each community.

    Raises
    ------
    ConfigurationError
        For a community without models, or too short a run.
    """
    p = setting.parameters
    refuse_all(
        (not p.trainers.count, "trainers.count = 0: must be at least 1; without a model no record teaches anything"),
        (setting.ticks < 3, f"ticks = {setting.ticks}: must be at least 3; outcomes are means over the last third"),
    )
    needed = {name: None for pair in against(p) for name in reversed(pair)}
    return [(what, seed) for seed in setting.seeds() for what in (*needed, *SIZES)]


def measure(setting: Setting, task: tuple[str | int, int]) -> dict[str, float]:
    """Measure an arm, or the models of the first tick over a number of founding records."""
    what, seed = task
    if isinstance(what, int):
        return first_error(setting, what, seed)
    spec = setting.spec(seed, materials(setting.parameters, seed))
    changed = setting.parameters.updated(arms(setting.parameters)[what])
    community, last = begin(spec.changed(parameters=changed), record=()), setting.ticks // 3
    if what == LOST:
        run_on(community, last)
        held = community.world.commons.counts[: changed.infrastructure.repositories].sum(axis=1)
        lost = Shock(name="repository_outage", start=last, target=int(held.argmax()))
        community = Community.restore(community.snapshot(), shocks=(*spec.shocks, lost))
    world, gains = community.world, list[float]()
    run_on(community, setting.ticks - last - community.tick)
    for _ in range(last):
        community.step()
        gains.append(selection(world, world.results).get("value_gain", math.nan))
    seen = observe(world)
    return {name: seen[name] for name in KEPT} | {"value_gain": known(gains)[0].value}


def first_error(setting: Setting, records: int, seed: int) -> dict[str, float]:
    """Return labels and centred error of models trained at the first tick over a number of founding records.

    Parameters
    ----------
    setting : Setting
    records, seed : int

    Returns
    -------
    dict
        ``labels`` (mean of the models in use) and ``error`` (sd); NaN without a model.
    """
    spec = setting.spec(seed, materials(setting.parameters, seed))
    changed = setting.parameters.updated({"founding.records": records})
    world = run_on(begin(spec.changed(parameters=changed), record=()), 1).world
    labels = sum(w * m.records for w, m in usage(world)) or math.nan
    return {"labels": labels, "error": observe(world)[ERROR]}


# --------------------------------------------------------------------------- what came out


def exponents(curves: Float) -> Float:
    """Return the slope of log error on log labels of each community.

    Parameters
    ----------
    curves : float (communities, sizes, 2)
        Labels and errors; a point that is not finite is left out.

    Returns
    -------
    float (communities,)
        NaN with fewer than three points, or where no size has a quarter more labels than another.
    """
    out = []
    for curve in np.log(curves):
        slope = Slope()
        for labels, error in curve.tolist():
            slope.add(labels, error)
        out.append(slope.value(apart=WIDE))
    return np.array(out)


def known(values: Any) -> tuple[Estimate, int]:
    """Return the mean of the finite values with its interval, and how many there are."""
    x = np.asarray(values, np.float64)
    x = x[np.isfinite(x)]
    return (mean_estimate(x) if len(x) else UNKNOWN), len(x)


def report(setting: Setting, values: Mapping[Any, dict[str, float]]) -> Report:
    """Report the effect of every arm, what follows for pretraining and a record, and both learning curves."""
    seeds, p = setting.seeds(), setting.parameters

    def of(arm: str, outcome: str) -> Float:
        return np.array([values[arm, seed][outcome] for seed in seeds])

    findings, rows = [], []
    for arm, base in against(p):
        for outcome, judged in OUTCOMES.items():
            a, b = of(base, outcome), of(arm, outcome)
            effect, n = known(b - a)
            word = "identical" if n > 1 and not (b - a).any() else verdict(effect.low, effect.high, judged)
            findings.append(Finding(f"{arm}: {outcome} ({UNITS[outcome]})", effect, 0.0, n, word))
            means = [known(x)[0].value for x in (a, b)]
            rows.append((arm, base, outcome, *means, effect.value, effect.low, effect.high, word, n))
    left = left_out(p)
    for arm, words in ((NONE, "none"), (OWN, "encoders from own rows")):
        if arm not in left:
            saved, n = known(of(arm, ERROR) - of(BASE, ERROR))
            word = verdict(-saved.high, -saved.low, OUTCOMES[ERROR])
            findings.append(Finding(f"error that pretraining saves, against {words} (sd)", saved, 0.0, n, word))
    if HALF not in left:
        gap = of(HALF, "records") - of(BASE, "records")
        per, n = known(PER * (of(HALF, ERROR) - of(BASE, ERROR)) / np.where(gap, gap, math.nan))
        findings.append(Finding("error per 1,000 more records (sd)", per, 0.0, n, f"by intervention: {HALF}"))
    curves = np.array([[[values[n, s][c] for c in ("labels", "error")] for n in SIZES] for s in seeds])
    findings += [
        _exponent("static learning curve (exponent)", exponents(curves), "models of the first tick"),
        _exponent("learning curve of the running community (exponent)", of(BASE, CURVE), "all models of the run"),
        *(Finding(arm, UNKNOWN, math.nan, 0, f"left out: {why}") for arm, why in left.items() if arm != ONE),
    ]
    return Report(
        tuple(findings), {"value_of_data": pd.DataFrame(rows, columns=list(COLUMNS)), "learning_curve": _points(curves)}
    )


def _exponent(measure: str, x: Float, of: str) -> Finding:
    """Return the finding of a learning curve, and whether its interval meets the real one."""
    slope, n = known(x)
    apart = slope.low > TARGET[1] or slope.high < TARGET[0]
    within = TARGET[0] <= slope.low and slope.high <= TARGET[1]
    word = "inside" if within else "misses" if apart else "overlaps"
    word = "without an interval, not to be set against" if math.isnan(slope.low) else word
    # An interval that holds 0 meets nearly anything.
    word = "not surely negative, undecided against" if slope.low < 0 <= slope.high else word
    return Finding(measure, slope, 0.0, n, f"{of}: {word} the real {TARGET[0]} to {TARGET[1]}")


def _points(curves: Float) -> pd.DataFrame:
    """Return the static curve, one row per number of founding records."""
    rows = []
    for i, records in enumerate(SIZES):
        error, n = known(curves[:, i, 1])
        rows.append((records, known(curves[:, i, 0])[0].value, error.value, error.low, error.high, n))
    return pd.DataFrame(rows, columns=["records", "labels", "error", "low", "high", "n"])


WORTH = Assessment("data", "What data, models and repositories are worth", tasks, measure, report, replicates=8)
