"""What the study of held-out draws found: predicted against observed, how well, and where it fails."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpbf_abm.laboratory.battery import Finding, Report
from mpbf_abm.laboratory.effective_urn import FAMILIES, FUTURES, LOCKED
from mpbf_abm.measures.classification import auc
from mpbf_abm.measures.estimates import Estimate, share_estimate
from mpbf_abm.studies.results import Results

Float = NDArray[np.float64]

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
    Claim("E1", "effective reinforcement two fifths of a run later", "the early one", _column("gamma_later"), _column("gamma_eff")),
    Claim("E1", "effective exploration two fifths of a run later", "the early one", _column("eps_later"), _column("eps_eff")),
    Claim("E2", "exponent of a displaced share", URN, _exponent("grown"), _exponent("grown_urn")),
    Claim("E2", "exponent of a displaced share", PLAIN, _exponent("grown"), _exponent("grown_plain")),
    Claim("E2", "exponent of a displaced share", "law where the community stands", _exponent("grown"), _families("local")),
    Claim("E2", "exponent of a displaced share", "law of equal families", _exponent("grown"), _law),
    Claim("E2", "growth of damage (logarithm)", URN, lambda d: np.log(_column("damage")(d)), lambda d: np.log(_column("damage_urn")(d))),
    Claim("E3", "early-stream Sobol index", URN, _column("early"), _column("early_urn")),
    Claim("E3", "early-stream Sobol index", PLAIN, _column("early"), _column("early_plain")),
    Claim("E4", "largest share at the end", URN, _column("leading"), _column("leading_urn")),
    Claim("E4", "largest share at the end", PLAIN, _column("leading"), _column("leading_plain")),
    Claim("E4", "largest share at the end", "the largest share now", _column("leading"), _column("share_now")),
    Claim("L", "exponent of a shift of the corpus' bias", "L - 1", _bias_exponent, lambda d: _column("loop_gain")(d) - 1.0),
)  # fmt: skip


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
        return dict.fromkeys(("slope", "slope_low", "slope_high", "intercept", "r2", "r2_low", "r2_high", "skill", "error"), math.nan) | {
            "n": float(known.sum()), "left_out": float((~known).sum())
        }  # fmt: skip
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
        "slope": float(slope[0]), "slope_low": float(slope_low), "slope_high": float(slope_high), "intercept": float(intercept[0]),
        "r2": float(r2[0]), "r2_low": float(r2_low), "r2_high": float(r2_high),
        "skill": float(1.0 - (gap @ gap) / (spread @ spread)) if spread.any() else math.nan, "error": float(np.median(np.abs(gap))),
        "n": float(known.sum()), "left_out": float((~known).sum()),
    }  # fmt: skip


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
    )  # fmt: skip


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
        out.append(Finding(f"E4 share of draws on the right side of lock-in, by {name}", right, float(common), len(draws), "null: the commoner side always"))  # fmt: skip
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
        Finding("E3 what the fitted urn's price of a reversal buys, over what it is for: median", Estimate(float(np.median(bought)), math.nan, float(low), float(high)),
                1.0, len(bought), f"half of the draws {quartiles[0]:.2f} to {quartiles[1]:.2f}"),
        Finding(f"E3 share of draws in which it buys that within {FAR:.0%}", within, math.nan, len(bought), "prices up to three times the commons were paid"),
    ]  # fmt: skip


def _ceiling(draws: pd.DataFrame) -> Finding:
    """Largest R^2 that chance in the futures leaves for growth."""
    grown, apart = _families("grown")(draws), _families("apart")(draws)
    known = np.isfinite(grown) & np.isfinite(apart)
    noise, whole = float((apart[known] ** 2).mean()), float(grown[known].var())
    value = max(0.0, 1.0 - noise / whole) if whole > 0 else math.nan
    return Finding("E2 share of the variance of growth that is not chance of futures", Estimate(value, math.nan, math.nan, math.nan), math.nan,
                   int(known.sum()), f"{FUTURES} futures each; no prediction can have a larger R^2")  # fmt: skip


def failures(draws: pd.DataFrame, factors: list[str]) -> pd.DataFrame:
    """Where the fitted urn fails: rank correlation of its absolute errors with parameters and with the state of the community.

    Returns
    -------
    DataFrame
        ``what``, ``factor``, ``rho`` (Spearman), ``p`` with Holm's correction over all pairs of the table, sorted by p.
    """
    from scipy.stats import spearmanr

    errors = {
        "exponent of a displaced share": np.nanmean(np.abs(_exponent("grown")(draws) - _exponent("grown_urn")(draws)), axis=1),
        "early-stream Sobol index": np.abs(_column("early")(draws) - _column("early_urn")(draws)),
        "largest share at the end": np.abs(_column("leading")(draws) - _column("leading_urn")(draws)),
        "price of a reversal": np.abs(np.log(np.maximum(_column("bought")(draws), 0.05))),
        "exponent of the bias": np.abs(_bias_exponent(draws) - draws["loop_gain"].to_numpy() + 1.0),
    }  # fmt: skip
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
                    "row": claim.row, "what": claim.what, "by": claim.predictor, "draw": np.repeat(draws["scenario"].to_numpy(), o.shape[1]),
                    "observed": o.ravel(), "predicted": p.ravel(),
                }
            )
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True)
