"""The effective urn put to the test: does urn theory, fed with early measurements, foretell communities with learners.

A study of held-out parameter draws. In each, a community is taken at a fifth of its time, its effective urn is measured by
short interventions, and what the fitted urn foretells of the rest is set beside what happens in other futures: what
becomes of displacements, how much early history decides, who leads, whether a price pays for a reversal, and whether the bias of
the corpus grows. An urn with the nominal parameters, without merit, is the plain alternative.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpbf_abm.evidence.assessments.assessment import Finding, Report
from mpbf_abm.measures.path import deposit, early_stream_index
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
    foretold,
    intervene,
    lasting_cost,
    merit,
)
from mpbf_abm.model.community import Community, Snapshot
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.run import begin
from mpbf_abm.model.spec import RunSpec
from mpbf_abm.parameters import Parameters
from mpbf_abm.processes import one_thread
from mpbf_abm.stats.classification import auc
from mpbf_abm.stats.estimates import Estimate, share_estimate
from mpbf_abm.studies.definition import Outcome, Replicates
from mpbf_abm.studies.design import Design
from mpbf_abm.studies.jobs import RunInput
from mpbf_abm.studies.results import Results
from mpbf_abm.studies.study import Study
from mpbf_abm.theory.twin import Twin

Float = NDArray[np.float64]

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


def parameters(values: dict[str, Any], preset: str = "quick") -> Parameters:
    """Parameters of a draw."""
    changes = {path: value for name, value in values.items() for path in FACTORS[name][1]}
    return Parameters.preset(preset).updated(changes)


def study(name: str, draws: int, seed: int = 1) -> Study:
    """Study over a Latin hypercube of draws."""
    spans = {
        n: {"values": span} if isinstance(span, list) else {"low": span[0], "high": span[1]}
        for n, (span, _) in FACTORS.items()
    }
    return Study(
        name=name,
        model=evaluate,
        seed=seed,
        design=Design(kind="lhs", n=draws),
        parameters=spans,
        replicates=Replicates(n=1),
        outcomes={name: Outcome() for name in OUTCOMES},
    )


OUTCOMES = (
    "gamma_eff",
    "gamma_curators",
    "gamma_planners",
    "gamma_sd",
    "eps_eff",
    "law",
    "threshold",
    "share_now",
    "gamma_later",
    "eps_later",
    "loop_gain",
    "bias_grown",
    "bias_volume",
    *(
        f"{what}_{i}"
        for i in range(FAMILIES)
        for what in ("gamma", "share", "local", "grown", "grown_urn", "grown_plain", "apart", "volume")
    ),
    "damage",
    "damage_urn",
    "early",
    "early_error",
    "early_urn",
    "early_plain",
    "leading",
    "leading_urn",
    "leading_plain",
    "locked",
    "cost",
    "cost_plain",
    "bought",
    "used_up",
)


def evaluate(run: RunInput) -> dict[str, float]:
    """Everything about one draw: measured, foretold, and what came."""
    p = parameters(dict(run.values))
    early = max(2, run.ticks // 5)
    with one_thread():
        space = MaterialsSpace.synthetic(p, seed=run.seed)
    founded, snapshot = _until(p, run.seed, early, space)
    x = snapshot.world.commons.visible()
    families = at_mass_quantiles(x, FAMILIES)
    urn = intervene(snapshot, families)
    fitted, plain = fitted_twin(urn, snapshot), plain_twin(urn, snapshot)
    out = {
        "gamma_eff": urn.reinforcement,
        "gamma_curators": float(urn.gamma_of[0].mean()),
        "gamma_planners": float(urn.gamma_of[1].mean()),
        "gamma_sd": float(urn.gamma.std(ddof=1)),
        "eps_eff": urn.exploration,
        "law": urn.exponent,
        "threshold": urn.threshold,
        "share_now": float(x.max() / x.sum()),
    }
    out |= _displaced(snapshot, urn, fitted, plain, run) | _biased(snapshot, run) | _later(snapshot, run)
    out |= _reversed(snapshot, fitted, plain, run, int(np.argsort(-x, kind="stable")[1]))
    return out | _ensemble(p, run, early, space, founded, (fitted, plain))


def plain_twin(urn: EffectiveUrn, snapshot: Snapshot) -> Twin:
    """The urn of the nominal parameters: reinforcement as given, families without merit."""
    fitted, p = fitted_twin(urn, snapshot), snapshot.world.p
    curators = replace(fitted.curators, reinforcement=p.curators.reinforcement, merit=None)
    return replace(
        fitted, curators=curators, planners=replace(fitted.planners, reinforcement=p.planners.reinforcement, merit=None)
    )


def _until(p: Parameters, seed: int, ticks: int, space: MaterialsSpace) -> tuple[Float, Snapshot]:
    """Records at founding (K,), and the community some ticks later."""
    eco = begin(RunSpec(p, seed, ticks, space=space), record=())
    founded = eco.world.commons.visible().copy()
    for _ in range(ticks):
        eco.step()
    snapshot = eco.snapshot()
    return founded, snapshot


def _displaced(snapshot: Snapshot, urn: EffectiveUrn, fitted: Twin, plain: Twin, run: RunInput) -> dict[str, float]:
    """What becomes of displacements, in futures that the measurement has not seen."""
    at = [snapshot.world.tick, run.ticks]
    seen = [displacements(snapshot, urn.family, at, seed=run.seed + 1 + i) for i in range(FUTURES)]
    own, damage = (np.mean([s[i] for s in seen], axis=0) for i in (1, 2))
    # What two futures differ by says how much of the observed is chance.
    growths = np.array([s[1][:, 1] / s[1][:, 0] for s in seen])
    ahead = [0, run.ticks - snapshot.world.tick]
    (_, own_urn, damage_urn), (_, own_plain, _) = (foretold(t, urn.family, urn.added, ahead) for t in (fitted, plain))
    out = {
        "damage": float((damage[:, 1] / damage[:, 0]).mean()),
        "damage_urn": float((damage_urn[:, 1] / damage_urn[:, 0]).mean()),
    }
    volumes = np.mean([s[0].sum(axis=1) for s in seen], axis=0)
    for i in range(FAMILIES):
        out |= {
            f"gamma_{i}": float(urn.gamma[i]),
            f"share_{i}": float(urn.share[i]),
            f"local_{i}": float(urn.local[i]),
            f"grown_{i}": float(own[i, 1] / own[i, 0]),
            f"grown_urn_{i}": float(own_urn[i, 1] / own_urn[i, 0]),
            f"grown_plain_{i}": float(own_plain[i, 1] / own_plain[i, 0]),
            f"volume_{i}": float(volumes[1] / volumes[0]),
            f"apart_{i}": float(growths[:, i].std(ddof=1) / math.sqrt(FUTURES)),
        }
    return out


def _biased(snapshot: Snapshot, run: RunInput) -> dict[str, float]:
    """Gain of the bias loop, and what becomes of a shift of every record in other futures."""
    at = [snapshot.world.tick, run.ticks]
    seen = [bias_displacements(snapshot, at, seed=run.seed + 1 + i) for i in range(FUTURES)]
    records, displaced = (np.mean([s[i] for s in seen], axis=0) for i in (0, 1))
    return {
        "loop_gain": bias_gain(snapshot),
        "bias_grown": float(displaced[1] / displaced[0]),
        "bias_volume": float(records[1] / records[0]),
    }


def _later(snapshot: Snapshot, run: RunInput) -> dict[str, float]:
    """The effective urn again, late in the same run."""
    eco = Community.restore(snapshot)
    for _ in range(LATE * run.ticks // 5 - snapshot.world.tick):
        eco.step()
    late = eco.snapshot()
    urn = intervene(late, at_mass_quantiles(late.world.commons.visible(), FAMILIES))
    return {"gamma_later": urn.reinforcement, "eps_later": urn.exploration}


def _reversed(snapshot: Snapshot, fitted: Twin, plain: Twin, run: RunInput, family: int) -> dict[str, float]:
    """Pay what the fitted urn asks for a lasting displacement of the second family, and see what it bought."""
    x = snapshot.world.commons.visible()
    N, s, ahead = (float(x.sum()), float(x[family] / x.sum()), run.ticks - snapshot.world.tick)
    prices = []
    for twin in (fitted, plain):
        dose = np.array([max(1, round(FRACTION * x[family]))])
        _, own, _ = foretold(twin, [family], dose, [0, ahead])
        prices.append(lasting_cost(s, N, MOVED, float(own[0, 1] / own[0, 0])))
    cost = prices[0]
    bought = math.nan
    if cost <= DEAREST * N:
        shifts = []
        for i in range(FUTURES):
            ends = []
            for count in (0, round(cost)):
                eco = Community.restore(snapshot, reseed={snapshot.world.tick: run.seed + 1 + i})
                deposit(eco, family, count)
                for _ in range(ahead):
                    eco.step()
                end = eco.world.commons.visible()
                ends.append(float(end[family] / end.sum()))
            shifts.append(ends[1] - ends[0])
        bought = float(np.mean(shifts)) / MOVED
    finite = [min(price, 1e9) for price in prices]
    return {"cost": finite[0] / N, "cost_plain": finite[1] / N, "bought": bought}


def _ensemble(
    p: Parameters, run: RunInput, early: int, space: MaterialsSpace, founded: Float, twins: Sequence[Twin]
) -> dict[str, float]:
    """Pairs of runs that share early history: how much it decides, who leads, who is locked in."""
    ends, starts, leads, used = [], [founded], [], []
    for i in range(PAIRS):
        start, snapshot = _until(p, run.seed + 100 + i, early, space)
        starts.append(start)
        now = _current(twins[0], snapshot)
        leads.append(
            [_leading(t.map(run.ticks - early).records[-1]) for t in (now, replace(twins[1], records=now.records))]
        )
        pair = []
        for branch in (1 << 60, 1 << 61):
            eco = Community.restore(snapshot, reseed={early: (run.seed + 100 + i) ^ branch})
            for _ in range(run.ticks - early):
                eco.step()
            pair.append(eco.world.commons.visible() / eco.world.commons.visible().sum())
            used.append(float((eco.world.commons.untested <= 0).mean()))
        ends.append(pair)
    both = np.array(ends)
    index, error = early_stream_index(both[:, 0], both[:, 1])
    expected = np.mean(starts, axis=0)
    drawn = float(p.founding.records)
    leading = both.max(axis=2)
    return {
        "early": index,
        "early_error": error,
        "early_urn": early_index(twins[0], expected, drawn, early, run.ticks),
        "early_plain": early_index(twins[1], expected, drawn, early, run.ticks),
        "leading": float(leading.mean()),
        "leading_urn": float(np.mean(leads, axis=0)[0]),
        "leading_plain": float(np.mean(leads, axis=0)[1]),
        "locked": float((leading > LOCKED).mean()),
        "used_up": float(np.mean(used)),
    }


def _current(fitted: Twin, snapshot: Snapshot) -> Twin:
    """The fitted urn at the state of another history of the same community: its records, and what its models think."""
    eco = Community.restore(snapshot)
    now, x = flow(eco, eco.tick), snapshot.world.commons.visible().copy()
    curators, planners = (
        replace(source, merit=merit(steered, x, source.reinforcement))
        for source, steered in zip(fitted.sources, now.steered, strict=True)
    )
    return replace(fitted, records=x, curators=curators, planners=planners)


def _leading(x: Float) -> float:
    return float(x.max() / x.sum())


# --------------------------------------------------------------------------- urn report

# What the study of held-out draws found: predicted against observed, how well, and where it fails.

QUESTION = "Does urn theory, fed with what was measured early, foretell communities with real learners?"
RESAMPLES = 2_000
FEWEST = 12  # draws that can be compared
FAR = 0.5  # an error that counts as a failure, in parts of what was observed


@dataclass(frozen=True)
class Claim:
    """Something that urn theory foretells of every draw.

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


def _column(name: str) -> Callable[[pd.DataFrame], Float]:
    return lambda draws: draws[name].to_numpy(np.float64)


def _families(name: str) -> Callable[[pd.DataFrame], Float]:
    return lambda draws: draws[[f"{name}_{i}" for i in range(FAMILIES)]].to_numpy(np.float64)


def _exponent(growth: str) -> Callable[[pd.DataFrame], Float]:
    """Exponent of a displacement over the growth of the commons, NaN where it turned its sign."""

    def of(draws: pd.DataFrame) -> Float:
        grown = _families(growth)(draws)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where(grown > 0, np.log(grown), np.nan) / np.log(_families("volume")(draws)))

    return of


def _law(draws: pd.DataFrame) -> Float:
    return np.repeat(draws["law"].to_numpy(np.float64)[:, None], FAMILIES, axis=1)


def _bias_exponent(draws: pd.DataFrame) -> Float:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(
            np.log(draws["bias_grown"].to_numpy(np.float64)) / np.log(draws["bias_volume"].to_numpy(np.float64))
        )


URN, PLAIN = "fitted urn", "urn of nominal parameters"
CLAIMS = (
    Claim(
        "E1",
        "effective reinforcement two fifths of a run later",
        "the early one",
        _column("gamma_later"),
        _column("gamma_eff"),
    ),
    Claim(
        "E1",
        "effective exploration two fifths of a run later",
        "the early one",
        _column("eps_later"),
        _column("eps_eff"),
    ),
    Claim("E2", "exponent of a displaced share", URN, _exponent("grown"), _exponent("grown_urn")),
    Claim("E2", "exponent of a displaced share", PLAIN, _exponent("grown"), _exponent("grown_plain")),
    Claim(
        "E2", "exponent of a displaced share", "law where the community stands", _exponent("grown"), _families("local")
    ),
    Claim("E2", "exponent of a displaced share", "law of equal families", _exponent("grown"), _law),
    Claim(
        "E2",
        "growth of damage (logarithm)",
        URN,
        lambda d: np.log(_column("damage")(d)),
        lambda d: np.log(_column("damage_urn")(d)),
    ),
    Claim("E3", "early-stream Sobol index", URN, _column("early"), _column("early_urn")),
    Claim("E3", "early-stream Sobol index", PLAIN, _column("early"), _column("early_plain")),
    Claim("E4", "largest share at the end", URN, _column("leading"), _column("leading_urn")),
    Claim("E4", "largest share at the end", PLAIN, _column("leading"), _column("leading_plain")),
    Claim("E4", "largest share at the end", "the largest share now", _column("leading"), _column("share_now")),
    Claim(
        "L", "exponent of a shift of the corpus' bias", "L - 1", _bias_exponent, lambda d: _column("loop_gain")(d) - 1.0
    ),
)


def draws_of(results: Results) -> pd.DataFrame:
    """One row per draw: its parameters and everything measured, foretold and observed."""
    wide = results.outcomes.pivot(index="scenario", columns="outcome", values="value")
    parameters = results.runs.set_index("scenario").drop(
        columns=["arm", "replicate", "run", "seed", "status"], errors="ignore"
    )
    return parameters.join(wide, how="inner").reset_index()


# --------------------------------------------------------------------------- how well


def agreement(observed: Float, predicted: Float, seed: int = 0) -> dict[str, float]:
    """Slope and intercept of observed on predicted, R^2, skill of the prediction as it stands, and their intervals over draws.

    ``slope``, ``r2`` with bootstrap intervals (draws resampled whole), ``skill`` = 1 - sum (o-p)^2 / sum (o-mean o)^2, ``error``, the median absolute
    error, ``n`` pairs and ``draws``. NaN pairs are left out and counted (``left_out``).
    """
    o, p = (np.asarray(v, np.float64).reshape(len(v), -1) for v in (observed, predicted))
    known = np.isfinite(o) & np.isfinite(p)
    if known.sum() < 3:
        return dict.fromkeys(
            ("slope", "slope_low", "slope_high", "intercept", "r2", "r2_low", "r2_high", "skill", "error"), math.nan
        ) | {"n": float(known.sum()), "left_out": float((~known).sum())}
    weight = np.random.default_rng([seed, len(o)]).multinomial(len(o), np.full(len(o), 1.0 / len(o)), RESAMPLES)
    sums = {
        name: np.where(known, v, 0.0).sum(axis=1)
        for name, v in (("n", known * 1.0), ("o", o), ("p", p), ("oo", o * o), ("pp", p * p), ("op", o * p))
    }
    slope, intercept, r2 = _line({k: np.array([v.sum()]) for k, v in sums.items()})
    slopes, _, r2s = _line({k: weight @ v for k, v in sums.items()})
    gap, spread = (o - p)[known], o[known] - o[known].mean()
    ends = (0.025, 0.975)
    slope_low, slope_high = np.nanquantile(slopes, ends)
    r2_low, r2_high = np.nanquantile(r2s, ends)
    return {
        "slope": float(slope[0]),
        "slope_low": float(slope_low),
        "slope_high": float(slope_high),
        "intercept": float(intercept[0]),
        "r2": float(r2[0]),
        "r2_low": float(r2_low),
        "r2_high": float(r2_high),
        "skill": float(1.0 - (gap @ gap) / (spread @ spread)) if spread.any() else math.nan,
        "error": float(np.median(np.abs(gap))),
        "n": float(known.sum()),
        "left_out": float((~known).sum()),
    }


def _line(s: dict[str, Float]) -> tuple[Float, Float, Float]:
    """Slope, intercept and R^2 of o on p from sums of n, o, p, o^2, p^2, op."""
    with np.errstate(invalid="ignore", divide="ignore"):
        n = s["n"]
        cov, var_p, var_o = (
            s[a] - s[b] * s[c] / n for a, b, c in (("op", "o", "p"), ("pp", "p", "p"), ("oo", "o", "o"))
        )
        slope = cov / var_p
        return slope, (s["o"] - slope * s["p"]) / n, cov**2 / (var_p * var_o)


def report(draws: pd.DataFrame, factors: list[str]) -> Report:
    """Findings, the table of claims, and where the fitted urn fails.

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
        rows.append({"row": claim.row, "what": claim.what, "by": claim.predictor, **found})
        slope = Estimate(found["slope"], math.nan, found["slope_low"], found["slope_high"])
        words = f"R^2 {found['r2']:.2f}, skill {found['skill']:.2f}, median error {found['error']:.2g}"
        findings.append(
            Finding(f"{claim.row} {claim.what}, by {claim.predictor}: slope", slope, 1.0, len(draws), words)
        )
    findings += _locked(draws) + _price(draws) + [_ceiling(draws)]
    return Report(
        tuple(findings),
        {"claims": pd.DataFrame(rows), "failures": failures(draws, factors), "points": _points(draws), "draws": draws},
    )


def _locked(draws: pd.DataFrame) -> list[Finding]:
    """E4: which side of the threshold, and who ends locked in."""
    locked, out = (draws["locked"] > 0.5).to_numpy(), []
    scores = {
        "the largest share that the fitted urn foretells": draws["leading_urn"],
        "the largest share that an urn of nominal parameters foretells": draws["leading_plain"],
        "how far exploration lies below 1 - 1/gamma_eff": draws["threshold"] - draws["eps_eff"],
        "the largest share now": draws["share_now"],
    }
    for name, score in scores.items():
        s = score.to_numpy(np.float64)
        known = np.isfinite(s)
        if len(np.unique(locked[known])) < 2:
            continue
        area = auc(s[known], locked[known])
        out.append(
            Finding(
                f"E4 ends locked in (share above {LOCKED:g}): AUC of {name}",
                area,
                0.5,
                int(known.sum()),
                "ranking of draws",
            )
        )
    for name, side in (
        ("the fitted urn", draws["leading_urn"] > LOCKED),
        ("the threshold 1 - 1/gamma_eff", draws["eps_eff"] < draws["threshold"]),
    ):
        right = share_estimate(side.to_numpy(bool) == locked)
        common = max(locked.mean(), 1 - locked.mean())
        out.append(
            Finding(
                f"E4 share of draws on the right side of lock-in, by {name}",
                right,
                float(common),
                len(draws),
                "null: the commoner side always",
            )
        )
    return out


def _price(draws: pd.DataFrame) -> list[Finding]:
    """E3: what the price of a reversal buys."""
    bought = draws["bought"].dropna().to_numpy(np.float64)
    if len(bought) < 3:
        return []
    middle = np.sort(
        [np.median(v) for v in np.random.default_rng(len(bought)).choice(bought, (RESAMPLES, len(bought)))]
    )
    low, high = np.quantile(middle, (0.025, 0.975))
    within = share_estimate(np.abs(bought - 1.0) <= FAR)
    quartiles = np.quantile(bought, (0.25, 0.75))
    return [
        Finding(
            "E3 what the fitted urn's price of a reversal buys, over what it is for: median",
            Estimate(float(np.median(bought)), math.nan, float(low), float(high)),
            1.0,
            len(bought),
            f"half of the draws {quartiles[0]:.2f} to {quartiles[1]:.2f}",
        ),
        Finding(
            f"E3 share of draws in which it buys that within {FAR:.0%}",
            within,
            math.nan,
            len(bought),
            "prices up to three times the commons were paid",
        ),
    ]


def _ceiling(draws: pd.DataFrame) -> Finding:
    """Largest R^2 that chance in the futures leaves for growth."""
    grown, apart = _families("grown")(draws), _families("apart")(draws)
    known = np.isfinite(grown) & np.isfinite(apart)
    noise, whole = float((apart[known] ** 2).mean()), float(grown[known].var())
    value = max(0.0, 1.0 - noise / whole) if whole > 0 else math.nan
    return Finding(
        "E2 share of the variance of growth that is not chance of futures",
        Estimate(value, math.nan, math.nan, math.nan),
        math.nan,
        int(known.sum()),
        f"{FUTURES} futures each; no prediction can have a larger R^2",
    )


def failures(draws: pd.DataFrame, factors: list[str]) -> pd.DataFrame:
    """Where the fitted urn fails: rank correlation of its absolute errors with parameters and with the state of the community.

    Returns
    -------
    DataFrame
        ``what``, ``factor``, ``rho`` (Spearman), ``p`` with Holm's correction over all pairs of the table, sorted by p.
    """
    from scipy.stats import spearmanr

    errors = {
        "exponent of a displaced share": np.nanmean(
            np.abs(_exponent("grown")(draws) - _exponent("grown_urn")(draws)), axis=1
        ),
        "early-stream Sobol index": np.abs(_column("early")(draws) - _column("early_urn")(draws)),
        "largest share at the end": np.abs(_column("leading")(draws) - _column("leading_urn")(draws)),
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
    table["p"] = np.minimum(1.0, np.maximum.accumulate(table["p"] * np.arange(len(table), 0, -1)))
    return table


def _points(draws: pd.DataFrame) -> pd.DataFrame:
    """Every pair of predicted and observed, for the figure and for files."""
    parts = []
    for claim in CLAIMS:
        o, p = (f(draws).reshape(len(draws), -1) for f in (claim.observed, claim.predicted))
        parts.append(
            pd.DataFrame(
                {
                    "row": claim.row,
                    "what": claim.what,
                    "by": claim.predictor,
                    "draw": np.repeat(draws["scenario"].to_numpy(), o.shape[1]),
                    "observed": o.ravel(),
                    "predicted": p.ravel(),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)
