"""Forecast of lock-in: whether the first fifth of a run says how it will end.

Two ensembles are asked: histories of one community, of which only chance and materials differ, and communities whose
parameters differ, too. Every prediction is of runs that the regression has not seen, and is set against the base rate
and the largest early share alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import qmc

from mpbf_abm.evidence.assessments.assessment import Assessment, Finding, Report, Setting
from mpbf_abm.evidence.assessments.effective_urn import FACTORS, LOCKED
from mpbf_abm.measures.path import largest_share
from mpbf_abm.model.world import World
from mpbf_abm.parameters import Parameters
from mpbf_abm.stats.classification import auc, auc_difference, brier_skill, cross_validate, fit_logistic, roc_curve
from mpbf_abm.stats.concentration import shannon
from mpbf_abm.stats.estimates import UNKNOWN, share_estimate

EARLY = 5  # the first 1/5 of a run is looked at
MOMENTS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8)  # of a run, when the largest share is noted
FOLDS = 5
FEWEST = 10  # fewest runs of each kind
ENSEMBLES = {"same": "histories of one community", "varied": "communities that differ"}

INDICATORS = {
    "leading": "share of the largest family in the records",
    "lead": "by how much it leads the second",
    "momentum": "its share of the records of the last tenth of the run, less its share of all",
    "breadth": "effective number of families in the records (exponential of Shannon's entropy), logarithm",
    "recent_breadth": "the same for the records of the last tenth of the run",
    "experiments": "share of the most tested family in experiments",
}
NOMINAL = {"pull": "(1 - exploration) times reinforcement, of planners"}
SETS = {
    "largest share alone": ("leading",),
    "all indicators": tuple(INDICATORS),
    "indicators and parameters": (*INDICATORS, *NOMINAL),
}


def tasks(setting: Setting) -> list[tuple[str, int, int]]:
    """Return every ensemble and seed, and the number of draws that parameters are one of."""
    number = {"same": 1, "varied": setting.replicates}
    return [(ensemble, seed, number[ensemble]) for ensemble in ENSEMBLES for seed in setting.seeds()]


def parameters_of(setting: Setting, ensemble: str, seed: int, number: int) -> Parameters:
    """Return the parameters of a run: those of the setting, or one of a number of draws (Latin hypercube)."""
    if ensemble == "same":
        return setting.parameters
    draws = qmc.LatinHypercube(len(FACTORS), rng=np.random.default_rng(setting.seed)).random(number)
    changes: dict[str, Any] = {}
    for u, (span, paths) in zip(draws[seed - setting.seed], FACTORS.values(), strict=True):
        value = span[int(u * len(span))] if isinstance(span, list) else span[0] + u * (span[1] - span[0])
        changes |= dict.fromkeys(paths, value if isinstance(value, str) else float(value))
    return setting.parameters.updated(changes)


def measure(setting: Setting, task: tuple[str, int, int]) -> dict[str, Any]:
    """Measure early indicators, the largest share along the run, and how it ended."""
    _, seed, _ = task
    p = parameters_of(setting, *task)
    eco = Setting(p, policies=setting.policies, shocks=setting.shocks).community(seed)
    early = max(2, setting.ticks // EARLY)
    out: dict[str, Any] = {}
    moments = {m: max(1, round(m * setting.ticks)) for m in MOMENTS}
    for tick in range(1, setting.ticks + 1):
        eco.step()
        # In a short run several moments fall on one tick.
        share = largest_share(eco.world.commons.visible())
        out |= {f"leading at {m:g}": share for m, at in moments.items() if at == tick}
        if tick == early:
            out |= indicators(eco.world, early // 2)
    out["pull"] = (1.0 - max(p.planners.exploration, p.planners.exploration_floor)) * p.planners.reinforcement
    return out | {"end": largest_share(eco.world.commons.visible())}


def indicators(world: World, since: int) -> dict[str, float]:
    """Return what an observer of the commons sees; records entered since a tick are recent."""
    commons, K = world.commons, world.space.families
    x = commons.visible()
    second, first = np.partition(x / x.sum(), -2)[-2:]
    recent = np.bincount(commons.family[commons.alive & (commons.tick >= since)], minlength=K).astype(np.float64)
    total = max(recent.sum(), 1.0)
    tested = world.experiments / max(world.experiments.sum(), 1)
    values = (first, first - second, recent[int(np.argmax(x))] / total - first, shannon(x))
    breadth = shannon(recent) if recent.any() else 0.0
    return dict(zip(INDICATORS, (*map(float, values), breadth, float(tested.max())), strict=True))


# --------------------------------------------------------------------------- what came out


def report(setting: Setting, values: Mapping[Any, dict[str, Any]]) -> Report:
    """Report areas under the ROC curve of every set of indicators, out of sample."""
    cases = pd.DataFrame([{"ensemble": e, "seed": s, **v} for (e, s, _), v in values.items()])
    cases["locked"] = (cases["end"] > LOCKED).astype(np.int64)
    findings: list[Finding] = []
    tables: dict[str, list[pd.DataFrame]] = {"roc": [], "moments": [], "weights": []}
    for ensemble, name in ENSEMBLES.items():
        part = cases[cases["ensemble"] == ensemble].reset_index(drop=True)
        y = part["locked"].to_numpy()
        rate = share_estimate(y)
        findings.append(
            Finding(f"{name}: share that ends locked in", rate, math.nan, len(y), f"largest share above {LOCKED:g}")
        )
        if min(y.sum(), len(y) - y.sum()) < FEWEST:
            findings.append(
                Finding(f"{name}: AUC", UNKNOWN, 0.5, len(y), f"not known: fewer than {FEWEST} runs of one kind")
            )
            continue
        for key, rows in _predicted(part, y, ensemble, setting.seed, findings).items():
            tables[key].append(rows)
    joined = {n: pd.concat(t, ignore_index=True) for n, t in tables.items() if t}
    return Report(tuple(findings), joined | {"cases": cases})


def _predicted(
    part: pd.DataFrame, y: NDArray[np.int64], ensemble: str, seed: int, findings: list[Finding]
) -> dict[str, pd.DataFrame]:
    """Predict one ensemble: add findings, return tables."""
    name, n = ENSEMBLES[ensemble], len(y)
    plain, rocs = None, []
    for label, columns in SETS.items():
        if not set(columns).isdisjoint(NOMINAL) and part["pull"].nunique() == 1:
            continue
        out = cross_validate(part[list(columns)], y, rng=np.random.default_rng([seed, n]), folds=FOLDS)
        score, fold = out["probability"].to_numpy(), out["fold"].to_numpy()
        found = auc(score, y, folds=fold)
        findings.append(Finding(f"{name}: AUC, {label}", found, 0.5, n, "out of sample; 0.5 is chance"))
        if plain is None:
            plain = score
        else:
            more = auc_difference(score, plain, y, folds=fold)
            findings.append(
                Finding(f"{name}: AUC beyond the largest share, {label}", more, 0.0, n, "on the same runs and folds")
            )
        skill, against = brier_skill(score, y, base=out["base"]), "against the base rate; 1 is certainty"
        findings.append(Finding(f"{name}: Brier skill, {label}", skill, 0.0, n, against))
        rocs.append(roc_curve(score, y).assign(ensemble=ensemble, indicators=label))
    areas = [{"ensemble": ensemble, "moment": m, **vars(auc(part[f"leading at {m:g}"], y))} for m in MOMENTS]
    fitted = fit_logistic(part[list(INDICATORS)], y)
    of = {"ensemble": ensemble, "indicator": list(INDICATORS), "log_odds_per_sd": fitted.coefficients, "sd": fitted.sd}
    return {"roc": pd.concat(rocs, ignore_index=True), "moments": pd.DataFrame(areas), "weights": pd.DataFrame(of)}


QUESTION = "Does the first fifth of a run say whether it will end locked in?"
FORECAST = Assessment("forecast", QUESTION, tasks, measure, report, replicates=150, fewest=40)
