"""The effective urn put to the test: does urn theory, fed with early measurements, predict communities with learners.

A study of held-out parameter draws. In each, a community is taken at a fifth of its time. Its effective urn is measured
by short interventions. What the fitted urn predicts of the rest is compared with what happens in other futures: what
becomes of displacements, how much early history decides, who leads, whether a price pays for a reversal. Also compared
is whether the bias of the corpus grows. An urn with the nominal parameters, without merit, is the plain alternative.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from mpbf_abm.arrays import Float
from mpbf_abm.evidence.assessments.assessment import Finding, Report
from mpbf_abm.measures.path import deposited, early_stream_index, follow, largest_share, run_on
from mpbf_abm.measures.urn import (
    FRACTION,
    EffectiveUrn,
    at_mass_quantiles,
    bias_displacements,
    bias_gain,
    displacements,
    early_index,
    fitted_twin,
    flow,
    intervene,
    lasting_cost,
    merit,
    predicted,
)
from mpbf_abm.model.community import Community, Snapshot
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.run import begin
from mpbf_abm.model.spec import RunSpec
from mpbf_abm.parameters import Parameters
from mpbf_abm.processes import one_thread
from mpbf_abm.provenance import DEFAULT_SEED
from mpbf_abm.stats.classification import auc
from mpbf_abm.stats.estimates import UNKNOWN, Estimate, holm, share_estimate
from mpbf_abm.studies.definition import Outcome, Replicates
from mpbf_abm.studies.design import Design
from mpbf_abm.studies.jobs import RunInput
from mpbf_abm.studies.results import Results
from mpbf_abm.studies.study import Study
from mpbf_abm.theory.twin import Twin

FAMILIES = 5  # in which one intervenes
LATE = 3  # fifths of a run after which the urn is measured again
FUTURES = 2  # in which displacements are followed
PAIRS = 6  # of runs that share early history
LOCKED = 0.3  # leading share from which a community counts as locked in
MOVED = 0.05  # displacement of a share that a reversal should buy
DEAREST = 3.0  # no price above this many times the commons is paid

# What differs between draws: name, and lowest and highest value or choices; parameters of that name move.
FACTORS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "reinforcement": ((1.0, 2.5), ("planners.reinforcement", "curators.reinforcement")),
    "exploration": ((0.02, 0.5), ("planners.exploration", "curators.exploration")),
    "adjacency": ((0.0, 1.0), ("planners.adjacency", "curators.adjacency")),
    "concentration": ((0.0, 1.2), ("founding.concentration",)),
    "steering_gain": ((0.0, 3.0), ("planners.steering_gain",)),
    "model_guidance": ((0.0, 1.0), ("curators.model_guidance",)),
    "acquisition": (["greedy", "ucb", "maxvar"], ("planners.acquisition",)),
    "experiments": ((0.1, 0.6), ("planners.experiments",)),
    "publication_bias": ((0.0, 1.0), ("planners.publication_bias",)),
    "outer_loop": ((0.3, 1.0), ("coupling.outer_loop",)),
    "reuse": ((0.0, 0.8), ("trainers.reuse",)),
    "invariance": ((0.3, 1.0), ("trainers.invariance",)),
    "pseudo_share": ((0.0, 0.5), ("coupling.pseudo_share",)),
    "pseudo_gain": ((0.5, 3.0), ("coupling.pseudo_gain",)),
    "pseudo_anchor": (["model", "property"], ("coupling.pseudo_anchor",)),
    "bias_sd": ((0.2, 1.2), ("space.bias_sd",)),
}


def parameters(values: dict[str, Any], preset: str = "single-quick") -> Parameters:
    """Return the parameters of a draw."""
    changes = {path: value for name, value in values.items() for path in FACTORS[name][1]}
    return Parameters.preset(preset).updated(changes)


def study(name: str, draws: int, seed: int = DEFAULT_SEED) -> Study:
    """Return a study over a Latin hypercube of draws."""
    spans = {
        n: {"values": span} if isinstance(span, list) else {"low": span[0], "high": span[1]}
        for n, (span, _) in FACTORS.items()
    }
    outcomes, one = {name: Outcome() for name in OUTCOMES}, Replicates(n=1)
    design = Design(kind="lhs", n=draws)
    return Study(
        name=name, model=evaluate, seed=seed, design=design, parameters=spans, replicates=one, outcomes=outcomes
    )


OF_FAMILIES = ("gamma", "share", "local", "grown", "grown_urn", "grown_plain", "apart", "volume")
OUTCOMES = (
    *("gamma_eff", "gamma_curators", "gamma_planners", "gamma_sd", "eps_eff", "law", "threshold", "share_now"),
    *("gamma_later", "eps_later", "loop_gain", "bias_grown", "bias_volume"),
    *(f"{what}_{i}" for i in range(FAMILIES) for what in OF_FAMILIES),
    *("damage", "damage_urn", "early", "early_error", "early_urn", "early_plain"),
    *("leading", "leading_urn", "leading_plain", "locked", "cost", "cost_plain", "bought", "used_up"),
)


def evaluate(run: RunInput) -> dict[str, float]:
    """Evaluate one draw: what was measured, predicted, and observed."""
    p = parameters(dict(run.values))
    early = max(2, run.ticks // 5)
    with one_thread():
        space = MaterialsSpace.synthetic(p, seed=run.seed)
    founded, snapshot = _until(p, run.seed, early, space)
    x = snapshot.world.commons.visible()
    urn = intervene(snapshot, at_mass_quantiles(x, FAMILIES))
    fitted, plain = fitted_twin(urn, snapshot), plain_twin(urn, snapshot)
    alone = {"gamma_curators": float(urn.gamma_of[0].mean()), "gamma_planners": float(urn.gamma_of[1].mean())}
    out = urn.numbers() | alone | {"gamma_sd": float(urn.gamma.std(ddof=1)), "threshold": urn.threshold}
    out["share_now"] = largest_share(x)
    out |= _displaced(snapshot, urn, fitted, plain, run) | _biased(snapshot, run) | _later(snapshot, run)
    out |= _reversed(snapshot, fitted, plain, run, int(np.argsort(-x, kind="stable")[1]))
    return out | _ensemble(p, run, early, space, founded, (fitted, plain))


def plain_twin(urn: EffectiveUrn, snapshot: Snapshot) -> Twin:
    """Return the urn of the nominal parameters: reinforcement as given, families without merit."""
    fitted, p = fitted_twin(urn, snapshot), snapshot.world.p
    curators = replace(fitted.curators, reinforcement=p.curators.reinforcement, merit=None)
    planners = replace(fitted.planners, reinforcement=p.planners.reinforcement, merit=None)
    return replace(fitted, curators=curators, planners=planners)


def _until(p: Parameters, seed: int, ticks: int, space: MaterialsSpace) -> tuple[Float, Snapshot]:
    """Return records at founding (K,), and the community some ticks later."""
    eco = begin(RunSpec(p, seed, ticks, space=space), record=())
    founded = eco.world.commons.visible().copy()
    return founded, run_on(eco, ticks).snapshot()


def _growth(course: Float) -> Float:
    """Return the factor between the first and the last of two ticks (...,) of displacements (..., 2)."""
    return np.asarray(course[..., 1] / course[..., 0])


def _displaced(snapshot: Snapshot, urn: EffectiveUrn, fitted: Twin, plain: Twin, run: RunInput) -> dict[str, float]:
    """Measure what becomes of displacements, in futures that the first measurement has not seen."""
    at = [snapshot.world.tick, run.ticks]
    seen = [displacements(snapshot, urn.family, at, seed=run.seed + 1 + i) for i in range(FUTURES)]
    own, damage = (np.mean([s[i] for s in seen], axis=0) for i in (1, 2))
    # What two futures differ by says how much of the observed is chance.
    growths = np.array([_growth(s[1]) for s in seen])
    ahead = [0, run.ticks - snapshot.world.tick]
    (_, own_urn, damage_urn), (_, own_plain, _) = (predicted(t, urn.family, urn.added, ahead) for t in (fitted, plain))
    volumes = np.mean([s[0].sum(axis=1) for s in seen], axis=0)
    apart = growths.std(axis=0, ddof=1) / math.sqrt(FUTURES)
    grown = [_growth(course) for course in (own, own_urn, own_plain)]
    columns = (urn.gamma, urn.share, urn.local, *grown, apart, np.full(FAMILIES, _growth(volumes)))
    of_families = zip(OF_FAMILIES, columns, strict=True)
    out = {f"{name}_{i}": float(v) for name, column in of_families for i, v in enumerate(column)}
    return out | {"damage": float(_growth(damage).mean()), "damage_urn": float(_growth(damage_urn).mean())}


def _biased(snapshot: Snapshot, run: RunInput) -> dict[str, float]:
    """Measure the gain of the bias loop, and what becomes of a shift of every record in other futures."""
    at = [snapshot.world.tick, run.ticks]
    seen = [bias_displacements(snapshot, at, seed=run.seed + 1 + i) for i in range(FUTURES)]
    records, displaced = (np.mean([s[i] for s in seen], axis=0) for i in (0, 1))
    grown = {"bias_grown": float(_growth(displaced)), "bias_volume": float(_growth(records))}
    return {"loop_gain": bias_gain(snapshot)} | grown


def _later(snapshot: Snapshot, run: RunInput) -> dict[str, float]:
    """Measure the effective urn again, late in the same run."""
    late = run_on(Community.restore(snapshot), LATE * run.ticks // 5 - snapshot.world.tick).snapshot()
    urn = intervene(late, at_mass_quantiles(late.world.commons.visible(), FAMILIES))
    return {"gamma_later": urn.reinforcement, "eps_later": urn.exploration}


def _share_at_end(snapshot: Snapshot, ticks: int, family: int, count: int, seed: int) -> float:
    """Return the share of a family at the end of a future that begins with some records more of it."""
    end = follow(snapshot, [ticks], seed=seed, change=deposited(family, count))[0]
    return float(end[family] / end.sum())


def _reversed(snapshot: Snapshot, fitted: Twin, plain: Twin, run: RunInput, family: int) -> dict[str, float]:
    """Pay what the fitted urn asks for a lasting displacement of the second family, and see what it bought."""
    x = snapshot.world.commons.visible()
    N, s, ahead = float(x.sum()), float(x[family] / x.sum()), run.ticks - snapshot.world.tick
    prices = []
    for twin in (fitted, plain):
        _, own, _ = predicted(twin, [family], np.array([max(1, round(FRACTION * x[family]))]), [0, ahead])
        prices.append(lasting_cost(s, N, MOVED, float(own[0, 1] / own[0, 0])))
    cost = prices[0]
    bought = math.nan
    if cost <= DEAREST * N:
        share = partial(_share_at_end, snapshot, run.ticks, family)
        seeds = [run.seed + 1 + i for i in range(FUTURES)]
        bought = float(np.mean([share(round(cost), seed) - share(0, seed) for seed in seeds])) / MOVED
    finite = [min(price, 1e9) for price in prices]
    return {"cost": finite[0] / N, "cost_plain": finite[1] / N, "bought": bought}


def _ensemble(
    p: Parameters, run: RunInput, early: int, space: MaterialsSpace, founded: Float, twins: Sequence[Twin]
) -> dict[str, float]:
    """Run pairs that share early history: how much it decides, who leads, who is locked in."""
    ends, starts, leads, used = [], [founded], [], []
    for i in range(PAIRS):
        start, snapshot = _until(p, run.seed + 100 + i, early, space)
        starts.append(start)
        now = _current(twins[0], snapshot)
        fitted, plain = now, replace(twins[1], records=now.records)
        leads.append([largest_share(t.map(run.ticks - early).records[-1]) for t in (fitted, plain)])
        pair = []
        for branch in (1 << 60, 1 << 61):
            eco = Community.restore(snapshot, reseed={early: (run.seed + 100 + i) ^ branch})
            x = run_on(eco, run.ticks - early).world.commons.visible()
            pair.append(x / x.sum())
            used.append(float((eco.world.commons.untested <= 0).mean()))
        ends.append(pair)
    both = np.array(ends)
    index, error = early_stream_index(both[:, 0], both[:, 1])
    expected, drawn, leading = np.mean(starts, axis=0), float(p.founding.records), both.max(axis=2)
    out = {"early": index, "early_error": error, "leading": float(leading.mean())}
    for name, twin, lead in zip(("urn", "plain"), twins, np.mean(leads, axis=0), strict=True):
        out[f"early_{name}"] = early_index(twin, expected, drawn, early, run.ticks)
        out[f"leading_{name}"] = float(lead)
    return out | {"locked": float((leading > LOCKED).mean()), "used_up": float(np.mean(used))}


def _current(fitted: Twin, snapshot: Snapshot) -> Twin:
    """Return the fitted urn at the state of another history of the same community: its records and its models."""
    eco = Community.restore(snapshot)
    now, x = flow(eco, eco.tick), snapshot.world.commons.visible().copy()
    curators, planners = (
        replace(source, merit=merit(steered, x, source.reinforcement))
        for source, steered in zip(fitted.sources, now.steered, strict=True)
    )
    return replace(fitted, records=x, curators=curators, planners=planners)


# --------------------------------------------------------------------------- urn report

# What the study of held-out draws found: predicted against observed, how well, and where it fails.

QUESTION = "Does urn theory, fed with what was measured early, predict communities with real learners?"
RESAMPLES = 2_000
FEWEST = 12  # draws that can be compared
FAR = 0.5  # an error that counts as a failure, in parts of what was observed


@dataclass(frozen=True)
class Claim:
    """A prediction of urn theory for every draw.

    Attributes
    ----------
    row : str
        Of the verification plan: E1 to E4, and L.
    what : str
    predictor : str
        By what: the fitted urn, an urn of nominal parameters, a law.
    observed, predicted : callable
        From the table of draws (one row each) to arrays (draws,) or (draws, families).
    """

    row: str
    what: str
    predictor: str
    observed: Callable[[pd.DataFrame], Float]
    predicted: Callable[[pd.DataFrame], Float]

    def labels(self) -> dict[str, str]:
        """Return row, words and predictor, as in tables."""
        return {"row": self.row, "what": self.what, "by": self.predictor}


def _column(name: str) -> Callable[[pd.DataFrame], Float]:
    return lambda draws: draws[name].to_numpy(np.float64)


def _families(name: str) -> Callable[[pd.DataFrame], Float]:
    return lambda draws: draws[[f"{name}_{i}" for i in range(FAMILIES)]].to_numpy(np.float64)


def _exponent(growth: str) -> Callable[[pd.DataFrame], Float]:
    """Return the exponent of a displacement over the growth of the commons, NaN where it turned its sign."""

    def of(draws: pd.DataFrame) -> Float:
        grown = _families(growth)(draws)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where(grown > 0, np.log(grown), np.nan) / np.log(_families("volume")(draws)))

    return of


def _log(name: str) -> Callable[[pd.DataFrame], Float]:
    return lambda draws: np.log(_column(name)(draws))


def _law(draws: pd.DataFrame) -> Float:
    return np.repeat(_column("law")(draws)[:, None], FAMILIES, axis=1)


def _bias_exponent(draws: pd.DataFrame) -> Float:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(_log("bias_grown")(draws) / _log("bias_volume")(draws))


def _less_one(draws: pd.DataFrame) -> Float:
    return _column("loop_gain")(draws) - 1.0


URN, PLAIN = "fitted urn", "urn of nominal parameters"
DISPLACED, INDEX, LARGEST = "exponent of a displaced share", "early-stream Sobol index", "largest share at the end"
LATER, AGAIN, HERE = "two fifths of a run later", "the early one", "law where the community stands"
CLAIMS = (
    Claim("E1", f"effective reinforcement {LATER}", AGAIN, _column("gamma_later"), _column("gamma_eff")),
    Claim("E1", f"effective exploration {LATER}", AGAIN, _column("eps_later"), _column("eps_eff")),
    Claim("E2", DISPLACED, URN, _exponent("grown"), _exponent("grown_urn")),
    Claim("E2", DISPLACED, PLAIN, _exponent("grown"), _exponent("grown_plain")),
    Claim("E2", DISPLACED, HERE, _exponent("grown"), _families("local")),
    Claim("E2", DISPLACED, "law of equal families", _exponent("grown"), _law),
    Claim("E2", "growth of damage (logarithm)", URN, _log("damage"), _log("damage_urn")),
    Claim("E3", INDEX, URN, _column("early"), _column("early_urn")),
    Claim("E3", INDEX, PLAIN, _column("early"), _column("early_plain")),
    Claim("E4", LARGEST, URN, _column("leading"), _column("leading_urn")),
    Claim("E4", LARGEST, PLAIN, _column("leading"), _column("leading_plain")),
    Claim("E4", LARGEST, "the largest share now", _column("leading"), _column("share_now")),
    Claim("L", "exponent of a shift of the corpus' bias", "L - 1", _bias_exponent, _less_one),
)


def draws_of(results: Results) -> pd.DataFrame:
    """Return one row per draw: its parameters and everything measured, predicted and observed."""
    wide = results.outcomes.pivot(index="scenario", columns="outcome", values="value")
    left_out = ["arm", "replicate", "run", "seed", "status"]
    parameters = results.runs.set_index("scenario").drop(columns=left_out, errors="ignore")
    return parameters.join(wide, how="inner").reset_index()


# --------------------------------------------------------------------------- how well


AGREEMENT = ("slope", "slope_low", "slope_high", "intercept", "r2", "r2_low", "r2_high", "skill", "error")


def agreement(observed: Float, predicted: Float, seed: int = 0) -> dict[str, float]:
    """Return slope, intercept and R^2 of observed on predicted, and skill, with their intervals over draws.

    ``slope``, ``r2`` with bootstrap intervals (draws resampled whole), ``skill`` = 1 - sum (o-p)^2 / sum (o-mean o)^2,
    ``error``, the median absolute error, ``n`` pairs and ``draws``. NaN pairs are left out and counted (``left_out``).
    """
    o, p = (np.asarray(v, np.float64).reshape(len(v), -1) for v in (observed, predicted))
    known = np.isfinite(o) & np.isfinite(p)
    counts = {"n": float(known.sum()), "left_out": float((~known).sum())}
    if known.sum() < 3:
        return dict.fromkeys(AGREEMENT, math.nan) | counts
    weight = np.random.default_rng([seed, len(o)]).multinomial(len(o), np.full(len(o), 1.0 / len(o)), RESAMPLES)
    terms = {"n": known * 1.0, "o": o, "p": p, "oo": o * o, "pp": p * p, "op": o * p}
    sums = {name: np.where(known, v, 0.0).sum(axis=1) for name, v in terms.items()}
    slope, intercept, r2 = (float(v[0]) for v in _line({k: np.array([v.sum()]) for k, v in sums.items()}))
    slopes, _, r2s = _line({k: weight @ v for k, v in sums.items()})
    gap, spread = (o - p)[known], o[known] - o[known].mean()
    (slope_low, slope_high), (r2_low, r2_high) = (map(float, np.nanquantile(v, (0.025, 0.975))) for v in (slopes, r2s))
    skill = float(1.0 - (gap @ gap) / (spread @ spread)) if spread.any() else math.nan
    numbers = (slope, slope_low, slope_high, intercept, r2, r2_low, r2_high, skill, float(np.median(np.abs(gap))))
    return dict(zip(AGREEMENT, numbers, strict=True)) | counts


def _line(s: dict[str, Float]) -> tuple[Float, Float, Float]:
    """Return slope, intercept and R^2 of o on p from sums of n, o, p, o^2, p^2, op."""
    with np.errstate(invalid="ignore", divide="ignore"):
        n = s["n"]
        pairs = (("op", "o", "p"), ("pp", "p", "p"), ("oo", "o", "o"))
        cov, var_p, var_o = (s[a] - s[b] * s[c] / n for a, b, c in pairs)
        slope = cov / var_p
        return slope, (s["o"] - slope * s["p"]) / n, cov**2 / (var_p * var_o)


def report(draws: pd.DataFrame, factors: list[str]) -> Report:
    """Report findings, the table of claims, and where the fitted urn fails.

    Parameters
    ----------
    draws : DataFrame
        From :func:`draws_of`.
    factors : list of str
        Columns of parameters.
    """
    findings, rows = [], []
    for claim in CLAIMS:
        found = agreement(claim.observed(draws), claim.predicted(draws))
        rows.append(claim.labels() | found)
        slope = Estimate(found["slope"], math.nan, found["slope_low"], found["slope_high"])
        reading = f"R^2 {found['r2']:.2f}, skill {found['skill']:.2f}, median error {found['error']:.2g}"
        findings.append(
            Finding(f"{claim.row} {claim.what}, by {claim.predictor}: slope", slope, 1.0, len(draws), reading)
        )
    findings += [*_locked(draws), *_price(draws), _ceiling(draws)]
    tables = {"claims": pd.DataFrame(rows), "failures": failures(draws, factors), "points": _points(draws)}
    return Report(tuple(findings), tables | {"draws": draws})


def _locked(draws: pd.DataFrame) -> list[Finding]:
    """Report E4: which side of the threshold, and who ends locked in."""
    locked, out = (draws["locked"] > 0.5).to_numpy(), []
    scores = {
        "the largest share that the fitted urn predicts": draws["leading_urn"],
        "the largest share that an urn of nominal parameters predicts": draws["leading_plain"],
        "how far exploration lies below 1 - 1/gamma_eff": draws["threshold"] - draws["eps_eff"],
        "the largest share now": draws["share_now"],
    }
    for name, score in scores.items():
        s = score.to_numpy(np.float64)
        known = np.isfinite(s)
        if len(np.unique(locked[known])) < 2:
            continue
        words = f"E4 ends locked in (share above {LOCKED:g}): AUC of {name}"
        out.append(Finding(words, auc(s[known], locked[known]), 0.5, int(known.sum()), "ranking of draws"))
    sides = {
        "the fitted urn": draws["leading_urn"] > LOCKED,
        "the threshold 1 - 1/gamma_eff": draws["eps_eff"] < draws["threshold"],
    }
    common = float(max(locked.mean(), 1 - locked.mean()))
    for name, side in sides.items():
        words, right = (
            "E4 share of draws on the right side of lock-in, by",
            share_estimate(side.to_numpy(bool) == locked),
        )
        out.append(Finding(f"{words} {name}", right, common, len(draws), "null: the commoner side always"))
    return out


def _price(draws: pd.DataFrame) -> list[Finding]:
    """Report E3: what the price of a reversal buys."""
    bought = draws["bought"].dropna().to_numpy(np.float64)
    if len(bought) < 3:
        return []
    n, rng = len(bought), np.random.default_rng(len(bought))
    middle = np.sort([np.median(v) for v in rng.choice(bought, (RESAMPLES, n))])
    low, high = np.quantile(middle, (0.025, 0.975))
    median = Estimate(float(np.median(bought)), math.nan, float(low), float(high))
    quartiles = np.quantile(bought, (0.25, 0.75))
    half = f"half of the draws {quartiles[0]:.2f} to {quartiles[1]:.2f}"
    within, paid = share_estimate(np.abs(bought - 1.0) <= FAR), "prices up to three times the commons were paid"
    return [
        Finding("E3 what the fitted urn's price of a reversal buys, over what it is for: median", median, 1.0, n, half),
        Finding(f"E3 share of draws in which it buys that within {FAR:.0%}", within, math.nan, n, paid),
    ]


def _ceiling(draws: pd.DataFrame) -> Finding:
    """Return the largest R^2 that chance in the futures leaves for growth."""
    grown, apart = _families("grown")(draws), _families("apart")(draws)
    known = np.isfinite(grown) & np.isfinite(apart)
    noise, whole = float((apart[known] ** 2).mean()), float(grown[known].var())
    value = max(0.0, 1.0 - noise / whole) if whole > 0 else math.nan
    words = "E2 share of the variance of growth that is not chance of futures"
    reading = f"{FUTURES} futures each; no prediction can have a larger R^2"
    return Finding(words, replace(UNKNOWN, value=value), math.nan, int(known.sum()), reading)


def failures(draws: pd.DataFrame, factors: list[str]) -> pd.DataFrame:
    """Rank-correlate the absolute errors of the fitted urn with parameters and with the state of the community.

    Returns
    -------
    DataFrame
        ``what``, ``factor``, ``rho`` (Spearman), ``p`` with Holm's correction over all pairs of the table, sorted by p.
    """
    from scipy.stats import spearmanr

    exponents = np.abs(_exponent("grown")(draws) - _exponent("grown_urn")(draws))
    errors = {
        DISPLACED: np.nanmean(exponents, axis=1),
        INDEX: np.abs(_column("early")(draws) - _column("early_urn")(draws)),
        LARGEST: np.abs(_column("leading")(draws) - _column("leading_urn")(draws)),
        "price of a reversal": np.abs(np.log(np.maximum(_column("bought")(draws), 0.05))),
        "exponent of the bias": np.abs(_bias_exponent(draws) - draws["loop_gain"].to_numpy() + 1.0),
    }
    numeric = [f for f in factors if pd.api.types.is_numeric_dtype(draws[f])]
    state = ["gamma_sd", "used_up", "share_now", "gamma_eff"]
    rows = []
    for what, error in errors.items():
        for factor in [*numeric, *state]:
            x = draws[factor].to_numpy(np.float64)
            known = np.isfinite(error) & np.isfinite(x)
            if known.sum() < 8 or np.ptp(x[known]) == 0 or np.ptp(error[known]) == 0:
                continue
            rho, p = spearmanr(error[known], x[known])
            rows.append((what, factor, float(rho), float(p)))
    table = pd.DataFrame(rows, columns=["what", "factor", "rho", "p"]).sort_values("p", ignore_index=True)
    return table.assign(p=holm(table["p"].to_numpy()))


def _points(draws: pd.DataFrame) -> pd.DataFrame:
    """Return every pair of predicted and observed, for the figure and for files."""
    parts = []
    for claim in CLAIMS:
        o, p = (f(draws).reshape(len(draws), -1) for f in (claim.observed, claim.predicted))
        draw = np.repeat(draws["scenario"].to_numpy(), o.shape[1])
        parts.append(pd.DataFrame(claim.labels() | {"draw": draw, "observed": o.ravel(), "predicted": p.ravel()}))
    return pd.concat(parts, ignore_index=True)
