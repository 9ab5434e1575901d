"""What analyses share: what they return, and how they refuse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.stats import robustness as criteria_of
from mpbf_abm.stats.estimates import half_widths, wilson
from mpbf_abm.stats.paired import (
    FEW_UNITS,
    TWO_GROUPS,
    Simultaneous,
    bimodality,
    cautions,
    middle,
    reduction,
    simultaneous_intervals,
)
from mpbf_abm.stats.prim import Found, Prim
from mpbf_abm.stats.sensitivity import elementary_effects, sobol_indices
from mpbf_abm.studies.definition import BASELINE, Outcome
from mpbf_abm.studies.design import DUMMY, SAMPLED
from mpbf_abm.studies.results import DONE, FAILED, Results

if TYPE_CHECKING:
    import pandas as pd

MOST_MISSING = 0.05  # share of scenarios, row blocks or trajectories that may be left out


@dataclass
class Analysis:
    """What an analysis found.

    Attributes
    ----------
    kind : str
    tables : dict of DataFrame
        The first is the main one.
    notes : list of str
        What a reader must know: how it was done, what is missing, what is weak.
    """

    kind: str
    tables: dict[str, pd.DataFrame]
    notes: list[str] = field(default_factory=list)

    @property
    def table(self) -> pd.DataFrame:
        """The main table."""
        return next(iter(self.tables.values()))


def chosen(results: Results, names: Sequence[str] | None) -> list[str]:
    """Names of outcomes, all of the study's if none is asked for; unknown ones are refused."""
    wanted = list(names or results.definitions)
    faults: list[str] = []
    for name in wanted:
        try:
            results.outcome(name)
        except ConfigurationError as error:
            faults += error.faults
    if faults:
        raise ConfigurationError(faults)
    return wanted


def refuse_unsupported(results: Results, kind: str) -> None:
    """Refuse an analysis that the design of a study cannot support."""
    why = results.plan.supports()[kind]
    if why:
        raise ConfigurationError(f"{kind}: {why}")


def refuse_gaps(missing: int, planned: int, what: str, before: str = "") -> None:
    """Refuse an analysis in which too much is missing to be left out."""
    if missing == planned or missing > MOST_MISSING * planned:
        raise ConfigurationError(
            f"{before}{missing} of {planned} {what} lack a run or a value, more than {MOST_MISSING:.0%}; see mpbf study status and failures"
        )


def main_outcome(results: Results, name: str | None) -> str:
    """Name of an outcome: the one asked for, else the first primary one, else the first."""
    refuse_without_outcomes(results)
    return name or next(iter(results.study.primary), next(iter(results.definitions)))


def refuse_without_outcomes(results: Results) -> None:
    """Refuse runs that are pieces of another result, and have no outcomes of their own."""
    if not results.definitions:
        raise ConfigurationError(
            f"{results.store.path}: its runs have no outcomes; they are pieces of a result, which is told where it was written"
        )


def complete(values: NDArray[np.float64], axis: int | tuple[int, ...]) -> NDArray[np.bool_]:
    """Where all values along some axes are finite."""
    return np.asarray(np.isfinite(values).all(axis=axis), bool)


# --------------------------------------------------------------------------- effects

# Distributions of outcomes, and paired effects of policies with verdicts.

Float = NDArray[np.float64]

POWER = 0.8416  # normal quantile of 80 % power


def distributions(results: Results, names: Sequence[str] | None = None) -> pd.DataFrame:
    """How each outcome is distributed over the runs of each arm.

    Returns
    -------
    DataFrame
        outcome, arm, runs, missing, mean, sd, median, p10, p90, bimodality (above 5/9 two groups are likely); for
        events their share with its 95 % Wilson interval.
    """
    import pandas as pd

    rows = []
    for name in chosen(results, names):
        event = results.outcome(name).event
        values = results.values(name)
        for a, arm in enumerate(results.arm_names):
            x = values[:, a].ravel()
            known = x[np.isfinite(x)]
            low, half, high = middle(known)
            row: dict[str, Any] = {
                "outcome": name,
                "arm": arm,
                "runs": len(known),
                "missing": int(x.size - len(known)),
                "mean": known.mean() if len(known) else np.nan,
                "sd": known.std(ddof=1) if len(known) > 1 else np.nan,
                "median": half,
                "p10": low,
                "p90": high,
                "bimodality": np.nan if event else bimodality(known),
                "share_low": np.nan,
                "share_high": np.nan,
            }
            if event:
                ends = wilson(known.sum(), len(known))
                row |= {"share_low": float(ends[0]), "share_high": float(ends[1])}
            rows.append(row)
    return pd.DataFrame(rows)


# --------------------------------------------------------------------------- compare


def compare(
    results: Results, names: Sequence[str] | None = None, *, together: bool | None = None, seed: int = 0
) -> Analysis:
    """Paired effects of every arm against the baseline, with simultaneous 95 % intervals and verdicts.

    The unit of the intervals is the scenario where scenarios are a sample with draws of their own, else the replicate
    (averaged over the scenarios of the design). Primary outcomes of all arms are one family; every other outcome is a family of its own,
    and exploratory. Intervals of events and of outcomes that are shares lie within -1 and 1.

    Parameters
    ----------
    results : Results
    names : sequence of str, optional
        Outcomes, all of the study's by default.
    together : bool, optional
        Whether all outcomes of all arms are one family instead; so it is by default where the study declares no outcome, as in ``mpbf run``.
    seed : int
        Of the bootstrap.

    Raises
    ------
    ConfigurationError
        Without another arm, with fewer than two pairs, or for a design of kind morris or saltelli.
    """
    import pandas as pd

    refuse_unsupported(results, "compare")
    # Scenarios that share their draws say nothing about chance.
    by_scenario = results.study.design.kind in SAMPLED and results.study.crn != "all"
    wanted = chosen(results, names)
    effects = {name: _effects(results, name) for name in wanted}
    units = {name: _units(effects[name], by_scenario) for name in wanted}
    if all(complete(u, 1).sum() < 2 for u in units.values()):
        raise ConfigurationError(
            f"compare: fewer than two pairs of runs are complete; {results.status.size} are planned"
        )
    together = not results.study.outcomes if together is None else together
    first = wanted if together else [name for name in wanted if results.outcome(name).primary]
    families = ([first] if first else []) + [[name] for name in wanted if name not in first]
    rows: list[dict[str, Any]] = []
    alike: dict[tuple[str, str], int] = {}
    arms = results.arm_names[1:]
    for family in families:
        columns = [(name, a) for name in family for a in range(len(arms))]
        found = simultaneous_intervals(
            np.column_stack([units[name][:, a] for name, a in columns]),
            events=[results.outcome(name).event for name, _ in columns],
            bounds=[_bound(results, name) for name, _ in columns],
            seed=seed,
        )
        for j, (name, a) in enumerate(columns):
            same = alike[name, arms[a]] = _alike(results, name, a + 1)
            rows.append(
                _effect_row(results, name, a + 1, effects[name][:, a], units[name][:, a], found, j, same, by_scenario)
            )
    table = pd.DataFrame(rows)
    order = {name: i for i, name in enumerate(wanted)}
    table = table.sort_values("outcome", key=lambda c: c.map(order), kind="stable", ignore_index=True)
    spreads = distributions(results, wanted)
    said = (
        "all intervals hold together, over outcomes and arms"
        if together
        else "intervals of primary outcomes hold together over all arms, those of an exploratory outcome over its arms"
    )
    return Analysis(
        "compare",
        {"effects": table, "distributions": spreads},
        _compare_notes(results, table, spreads, said, alike, by_scenario),
    )


def _bound(results: Results, name: str) -> float:
    """Size that a difference of an outcome cannot exceed: 1 for an event and for a share, else infinite."""
    outcome = results.outcome(name)
    if outcome.event:
        return 1.0
    if results.study.own_model:
        return np.inf
    from mpbf_abm.model.indicators import BOUNDS

    return BOUNDS.get(outcome.of or name, np.inf)


def _effects(results: Results, name: str) -> Float:
    """Differences of each arm to the baseline (scenarios, arms - 1, replicates)."""
    values = results.values(name)
    return values[:, 1:] - values[:, :1]


def _units(effects: Float, by_scenario: bool) -> Float:
    """Rows that are resampled: scenarios (mean over their pairs), or replicates (mean over all scenarios)."""
    if not by_scenario:
        # A replicate counts where all scenarios have it.
        return np.asarray(effects.mean(axis=0).T)
    known = np.isfinite(effects)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(known, effects, 0.0).sum(axis=2) / known.sum(axis=2))


def _effect_row(
    results: Results,
    name: str,
    arm: int,
    pairs: Float,
    units: Float,
    found: Simultaneous,
    j: int,
    alike: int,
    by_scenario: bool,
) -> dict[str, Any]:
    outcome, values = results.outcome(name), results.values(name)
    low, high, critical, error = (float(v[j]) for v in (found.low, found.high, found.critical, found.error))
    known = np.isfinite(pairs)
    flat = pairs[known] * outcome.sign
    wins = float((flat > 0).sum() + 0.5 * (flat == 0).sum())
    p_low, p_high = wilson(wins, len(flat))
    n = int(np.isfinite(units).sum())
    with np.errstate(invalid="ignore"):
        by = (
            np.array([row[k].mean() if k.any() else np.nan for row, k in zip(pairs, known, strict=True)]) * outcome.sign
        )
    several = len(by) > 1
    difference = float(np.nanmean(units)) if n else np.nan
    word = verdict(low, high, outcome)
    if len(flat) and outcome.event and np.ptp(np.concatenate([values[:, 0][known], values[:, arm][known]])) == 0:
        # That an event was never seen, or never missed, says nothing of what an arm does to it.
        word = "undecided"
    elif alike >= 2:
        word = "identical"
    sd = error * np.sqrt(n) if n else np.nan
    return {
        "outcome": name,
        "arm": results.arm_names[arm],
        "role": "primary" if outcome.primary else "exploratory",
        "better": outcome.better,
        "baseline": _mean(values[:, 0][known]),
        "treated": _mean(values[:, arm][known]),
        "difference": difference,
        "low": low,
        "high": high,
        "smallest": np.nan if outcome.smallest is None else outcome.smallest,
        "verdict": word,
        "pairs_needed": pairs_needed(sd, critical, outcome) if word == "undecided" else np.nan,
        "share_better": wins / len(flat) if len(flat) and outcome.better != "none" else np.nan,
        "share_better_low": float(p_low) if outcome.better != "none" else np.nan,
        "share_better_high": float(p_high) if outcome.better != "none" else np.nan,
        "worst_scenario": float(np.nanmin(by)) * outcome.sign
        if several and outcome.better != "none" and np.isfinite(by).any()
        else np.nan,
        "share_harmed": float((by[np.isfinite(by)] < 0).mean())
        if several and outcome.better != "none" and np.isfinite(by).any()
        else np.nan,
        "vrf": reduction(values[:, 0], values[:, arm]),
        "unit": "scenario" if by_scenario else "replicate",
        "units": n,
        "pairs": int(known.sum()),
        "missing": int((~known).sum()),
        "failed_baseline": int((results.status[:, 0] == FAILED).sum()),
        "failed_arm": int((results.status[:, arm] == FAILED).sum()),
        "critical": critical,
        "method": "paired max-t bootstrap, 95 % simultaneous"
        + (", within -1 and 1" if _bound(results, name) == 1.0 else ""),
    }


def _alike(results: Results, name: str, arm: int) -> int:
    """Number of pairs in which the quantity behind an outcome is known, if it has equal bits in every pair of finished runs; else 0."""
    quantity = results.quantity(name)
    done = (results.status[:, [0, arm]] == DONE).all(axis=1)
    a, b = quantity[:, 0][done], quantity[:, arm][done]
    unknown = np.isnan(a) & np.isnan(b)
    return int((~unknown).sum()) if ((a.view(np.int64) == b.view(np.int64)) | unknown).all() else 0


def _mean(values: Float) -> float:
    return float(values.mean()) if values.size else float("nan")


def verdict(low: float, high: float, outcome: Outcome) -> str:
    """What an interval of a difference says: better, worse, equivalent or undecided (higher, lower where nothing is better)."""
    if not (np.isfinite(low) and np.isfinite(high)):
        return "undecided"
    if outcome.smallest is not None and -outcome.smallest <= low and high <= outcome.smallest:
        return "equivalent"
    if low > 0 or high < 0:
        up = low > 0
        if outcome.better == "none":
            return "higher" if up else "lower"
        return "better" if up == (outcome.sign > 0) else "worse"
    return "undecided"


def pairs_needed(sd: float, critical: float, outcome: Outcome) -> float:
    """Units that would show the smallest effect of interest with 80 % power: ``((c + z) sd / smallest)^2``."""
    if outcome.smallest is None or not np.isfinite(sd):
        return float("nan")
    return float(np.ceil(((critical + POWER) * sd / outcome.smallest) ** 2))


def _compare_notes(
    results: Results,
    table: pd.DataFrame,
    spreads: pd.DataFrame,
    family: str,
    alike: Mapping[tuple[str, str], int],
    by_scenario: bool,
) -> list[str]:
    unit = "scenarios" if by_scenario else "replicates"
    notes = [f"units are {unit}; common random numbers: {results.study.crn}; {family}"]
    notes.append(
        "better, worse: the interval leaves out 0; equivalent: it lies within the smallest effect of interest; undecided: neither (pairs needed: to show an effect of that size in 4 of 5 studies)"
    )
    same = table[table["verdict"] == "identical"]
    if len(same):
        named = ", ".join(
            f"{o} of {a} ({alike[o, a]} pairs)" for o, a in zip(same["outcome"], same["arm"], strict=True)
        )
        notes.append(f"identical: the quantity has equal bits in every pair: {named}")
    events = table["outcome"].map(lambda name: results.outcome(name).event).to_numpy(bool)
    still = table[events & (table["baseline"] == table["treated"]) & table["baseline"].isin((0.0, 1.0))]
    if len(still):
        named = ", ".join(f"{row.outcome} of {row.arm} ({row.pairs} pairs)" for row in still.itertuples())
        notes.append(f"an event that happened in no pair of runs, or in all, decides nothing: {named}")
    if not results.study.primary:
        notes.append("no primary outcome was declared: everything here is exploratory")
    lost = table[table["vrf"] <= 1.0]
    unpaired = [f"{o} of {a}" for o, a in zip(lost["outcome"], lost["arm"], strict=True)]
    grouped = sorted(set(spreads[spreads["bimodality"] > TWO_GROUPS]["outcome"]))
    notes += cautions(int(table["units"].min()), unpaired, [])
    if table["vrf"].isna().all():
        notes.append(
            "the variance-reduction factor needs two replicates of a scenario, and differences that are not all the same"
        )
    failed = table[["failed_baseline", "failed_arm"]].max().max()
    if failed:
        notes.append(
            f"up to {int(failed)} runs of an arm failed; if failing depends on the policy, effects are biased (mpbf study failures)"
        )
    if (table["missing"] > 0).any():
        notes.append(f"up to {int(table['missing'].max())} pairs are missing and left out")
    return notes + cautions(FEW_UNITS, [], grouped)


# --------------------------------------------------------------------------- robust

# Robustness of policies over scenarios.


def robustness(results: Results, name: str | None = None, *, threshold: float | None = None, seed: int = 0) -> Analysis:
    """Values and ranks of every arm by several criteria, how they agree, and how sure the first place is.

    Parameters
    ----------
    results : Results
    name : str, optional
        Outcome; the first primary one (or the first) if not given.
    threshold : float, optional
        What a satisfactory scenario reaches; the outcome's `acceptable` if not given.
    """
    import pandas as pd

    refuse_unsupported(results, "robustness")
    name = main_outcome(results, name)
    outcome = results.outcome(name)
    if outcome.better == "none":
        raise ConfigurationError(f"robustness: outcome '{name}' does not say what is better, more or less")
    values = np.moveaxis(results.values(name), 1, 0) * outcome.sign
    values, whole, left_out = _whole(values)
    f = criteria_of.check_table(values.mean(axis=2))
    level = threshold if threshold is not None else outcome.acceptable
    rules = criteria_of.criteria(None if level is None else level * outcome.sign)
    scores = {rule: function(f) for rule, (function, _) in rules.items()}
    ranked = {rule: criteria_of.ranks(scores[rule], larger) for rule, (_, larger) in rules.items()}
    honest = criteria_of.honest_regret(values)
    back = {rule: outcome.sign if rule in ("maximin", "maximax", "hurwicz", "laplace") else 1 for rule in rules}
    rows = []
    for rule, (function, larger) in rules.items():
        first = (
            criteria_of.rank_shares(values, function, larger, seed=seed)
            if values.shape[2] > 1
            else np.full(len(f), np.nan)
        )
        rows += [
            {
                "outcome": name,
                "criterion": rule,
                "arm": arm,
                "value": float(scores[rule][i] * back[rule]),
                "rank": float(ranked[rule][i]),
                "first_share": float(first[i]),
                "honest": float(honest[i]) if rule == "minimax regret" else np.nan,
                "scenarios": f.shape[1],
                "replicates": values.shape[2],
            }
            for i, arm in enumerate(results.arm_names)
        ]
    names = list(rules)
    tau = pd.DataFrame(criteria_of.agreement(ranked), index=names, columns=names).rename_axis("criterion").reset_index()
    regrets = pd.DataFrame(criteria_of.regret(f).T, columns=results.arm_names)
    regrets.insert(0, "scenario", np.flatnonzero(whole))
    notes = [
        f"{f.shape[1]} scenarios, {values.shape[2]} replicates each; first_share: how often an arm comes first when replicates are resampled",
        "regret of noisy means is too large; `honest` chooses on one half of the replicates and values on the other (it may come out below 0)",
    ]
    notes += left_out
    largest = float(criteria_of.regret(f).max())
    if outcome.smallest is not None and largest < outcome.smallest:
        notes.append(
            f"the largest regret, {largest:.3g}, is below the smallest effect of interest, {outcome.smallest:g}: the order does not matter"
        )
    if values.shape[2] < 2:
        notes.append("one replicate: neither the order nor honest regret can be judged")
    if level is None:
        notes.append("no satisficing: the outcome has no `acceptable` value, and no threshold was given")
    return Analysis("robustness", {"criteria": pd.DataFrame(rows), "agreement": tau, "regret": regrets}, notes)


def _whole(values: Float) -> tuple[Float, NDArray[np.bool_], list[str]]:
    """Leave out scenarios, or replicates of all scenarios, that are not complete: whichever costs less.

    Parameters
    ----------
    values : float array (arms, scenarios, replicates)

    Returns
    -------
    values, whole, notes
        What is left; which scenarios (scenarios,); what was left out.
    """
    known = np.isfinite(values)
    if known.all():
        return values, np.ones(values.shape[1], bool), []
    refuse_gaps(int((~known).sum()), known.size, "runs", "robustness: ")
    by_scenario, by_replicate = complete(values, (0, 2)), complete(values, (0, 1))
    if by_scenario.mean() >= by_replicate.mean():
        if not by_scenario.any():
            raise ConfigurationError("robustness: no scenario is complete; see mpbf study status and failures")
        return (
            values[:, by_scenario],
            by_scenario,
            [f"{int((~by_scenario).sum())} scenarios with a missing run are left out"],
        )
    gone = int((~by_replicate).sum())
    return (
        values[:, :, by_replicate],
        np.ones(len(by_scenario), bool),
        [f"{gone} replicates with a missing run are left out of every scenario"],
    )


# --------------------------------------------------------------------------- factors

# Sensitivity of outcomes to factors: elementary effects and Sobol indices.


def sensitivity(
    results: Results,
    names: Sequence[str] | None = None,
    *,
    arm: str = BASELINE,
    series: str | None = None,
    seed: int = 0,
) -> Analysis:
    """Which factors the outcomes depend on: elementary effects of a morris design, Sobol indices of a saltelli one.

    Parameters
    ----------
    results : Results
    names : sequence of str, optional
        Outcomes; all of the study's if not given.
    arm : str
        Arm whose runs are looked at.
    series : str, optional
        Sobol indices of this stored quantity at every stored tick, instead of outcomes.
    """
    refuse_unsupported(results, "sensitivity")
    kind = results.study.design.kind
    a = results.arm_index(arm)
    if series is not None:
        if kind != "saltelli":
            raise ConfigurationError("sensitivity: indices along the run need a saltelli design")
        return _along(results, series, a, seed)
    return (_sobol if kind == "saltelli" else _morris)(results, chosen(results, names), a, seed)


def _blocks(results: Results, values: Float) -> tuple[Float, Float, Float, int]:
    """Rows A (n, m), B (n, m) and AB (n, k, m) of a Saltelli design, and how many blocks were left out.

    Parameters
    ----------
    values : float array (scenarios, replicates)
    """
    k = len(results.study.factors) + results.study.design.dummy
    table = values.reshape(-1, k + 2, values.shape[1])
    whole = complete(table, (1, 2))
    refuse_gaps(int((~whole).sum()), len(whole), "row blocks")
    table = table[whole]
    return table[:, 0], table[:, 1], table[:, 2:], int((~whole).sum())


def _sobol(results: Results, names: Sequence[str], arm: int, seed: int) -> Analysis:
    import pandas as pd

    factors = [f.name for f in results.study.factors] + [DUMMY] * results.study.design.dummy
    rows, notes = [], []
    for name in names:
        try:
            A, B, AB, dropped = _blocks(results, results.values(name)[:, arm])
            s = sobol_indices(A, B, AB, seed=seed)
        except ConfigurationError as error:
            notes.append(f"{name}: {error}")
            continue
        floor = s.total_high[-1] if results.study.design.dummy else np.nan
        for i, factor in enumerate(factors):
            rows.append(
                {
                    "outcome": name,
                    "factor": factor,
                    "first": s.first[i],
                    "first_low": s.first_low[i],
                    "first_high": s.first_high[i],
                    "total": s.total[i],
                    "total_low": s.total_low[i],
                    "total_high": s.total_high[i],
                    "above_floor": bool(s.total_low[i] > max(0.0, np.nan_to_num(floor))),
                    "adequate": bool(s.total_high[i] - s.total_low[i] < 0.1 or s.total_high[i] < 0.05),
                    "stochastic_share": s.stochastic_share,
                    "variance": s.variance,
                    "rows": s.rows,
                    "replicates": s.replicates,
                    "dropped": dropped,
                    "method": "Saltelli 2010, Jansen 1999; noise of replicates taken out; percentile bootstrap",
                }
            )
        if dropped:
            notes.append(f"{name}: {dropped} row blocks with a missing run or value are left out")
        if not rows[-1]["replicates"] > 1:
            notes.append(
                f"{name}: one replicate: noise counts as variance that every factor makes; the dummy shows how much"
            )
        wide = [r["factor"] for r in rows if r["outcome"] == name and not r["adequate"]]
        if wide:
            notes.append(
                f"{name}: too few rows for {', '.join(wide)} (interval of the total index wider than .1); about {_more_rows(rows, name)} would do"
            )
    if not rows:
        raise ConfigurationError([f"sensitivity: {note}" for note in notes])
    return Analysis("sensitivity", {"indices": pd.DataFrame(rows)}, list(dict.fromkeys(notes)))


def _more_rows(rows: Sequence[dict[str, Any]], name: str) -> int:
    """Base rows at which every interval would be narrow enough, as a power of two."""
    own = [r for r in rows if r["outcome"] == name]
    widest = max(r["total_high"] - r["total_low"] for r in own)
    return int(2 ** np.ceil(np.log2(max(2.0, own[0]["rows"] * (widest / 0.1) ** 2))))


def _along(results: Results, series: str, arm: int, seed: int) -> Analysis:
    """Indices at every stored tick, and over the whole run weighted by variance (Gamboa et al. 2014)."""
    import pandas as pd

    values = results.series_values(series)[:, arm]
    factors = [f.name for f in results.study.factors] + [DUMMY] * results.study.design.dummy
    rows, weights, notes = [], [], []
    for t, tick in enumerate(results.series_ticks):
        try:
            A, B, AB, dropped = _blocks(results, values[:, :, t])
            s = sobol_indices(A, B, AB, resamples=200, seed=seed)
        except ConfigurationError as error:
            notes.append(f"tick {tick}: {error}")
            continue
        weights.append((s.variance, s.first, s.total))
        rows += [
            {
                "series": series,
                "tick": int(tick),
                "factor": f,
                "first": s.first[i],
                "total": s.total[i],
                "total_low": s.total_low[i],
                "total_high": s.total_high[i],
                "stochastic_share": s.stochastic_share,
                "rows": s.rows,
                "replicates": s.replicates,
                "dropped": dropped,
            }
            for i, f in enumerate(factors)
        ]
    if not rows:
        raise ConfigurationError(f"sensitivity: the series '{series}' does not vary at any tick")
    total = sum(w for w, _, _ in weights)
    whole = pd.DataFrame(
        {
            "series": series,
            "factor": factors,
            "first": sum(w * f for w, f, _ in weights) / total,
            "total": sum(w * t for w, _, t in weights) / total,
        }
    )
    return Analysis("sensitivity", {"along": pd.DataFrame(rows), "generalised": whole}, list(dict.fromkeys(notes)))


def morris_effects(results: Results, values: Float) -> tuple[Float, int]:
    """Elementary effects (r, k, m) of a Morris design, per unit of each factor's range, and trajectories left out.

    Parameters
    ----------
    values : float array (scenarios, replicates)
    """
    scenarios, k = results.plan.scenarios, len(results.study.factors)
    table = values.reshape(-1, k + 1, values.shape[1])
    moved = np.array(scenarios.moved).reshape(-1, k + 1)[:, 1:]
    step = np.array(scenarios.steps).reshape(-1, k + 1)[:, 1:]
    whole = complete(table, (1, 2))
    refuse_gaps(int((~whole).sum()), len(whole), "trajectories")
    change = (table[:, 1:] - table[:, :-1]) / step[..., None]
    effects = np.empty_like(change)
    np.put_along_axis(effects, moved[..., None], change, axis=1)
    return effects[whole], int((~whole).sum())


def _morris(results: Results, names: Sequence[str], arm: int, seed: int) -> Analysis:
    import pandas as pd

    rows, notes = [], []
    for name in names:
        try:
            effects, dropped = morris_effects(results, results.values(name)[:, arm])
        except ConfigurationError as error:
            notes.append(f"{name}: {error}")
            continue
        e = elementary_effects(effects, seed=seed)
        for i, factor in enumerate(results.study.factors):
            rows.append(
                {
                    "outcome": name,
                    "factor": factor.name,
                    "mu": e.mu[i],
                    "mu_star": e.mu_star[i],
                    "mu_star_low": e.mu_star_low[i],
                    "mu_star_high": e.mu_star_high[i],
                    "sigma": e.sigma[i],
                    "size": e.size[i],
                    "size_low": e.size_low[i],
                    "size_high": e.size_high[i],
                    "spread": e.spread[i],
                    "floor": e.floor[i],
                    "above_floor": bool(e.size_low[i] > 0) if e.replicates > 1 else None,
                    "trajectories": e.trajectories,
                    "replicates": e.replicates,
                    "dropped": dropped,
                    "method": "Morris 1991, Campolongo 2007; size: noise of replicates taken out; percentile bootstrap",
                }
            )
        if dropped:
            notes.append(f"{name}: {dropped} trajectories with a missing run or value are left out")
    if not rows:
        raise ConfigurationError([f"sensitivity: {note}" for note in notes])
    notes.append(
        "effects are per unit of a factor's range; mu_star of a factor that does nothing is `floor`; size has the noise taken out"
    )
    if results.replicates < 2:
        notes.append("one replicate: size still holds the noise, and nothing can be told from it")
    return Analysis("sensitivity", {"effects": pd.DataFrame(rows)}, notes)


# --------------------------------------------------------------------------- discovery

# Scenario discovery: where an outcome of interest is common.


def discover(
    results: Results,
    name: str | None = None,
    *,
    arm: str = BASELINE,
    above: float | None = None,
    below: float | None = None,
    seed: int = 0,
) -> Analysis:
    """Find the part of the factors' ranges in which an outcome of interest is common.

    A box is fitted to one half of the scenarios and judged on the other, as its density and coverage on those it was
    fitted to are too good. A scenario is of interest if its mean over replicates (of an event: its share) is.

    Parameters
    ----------
    results : Results
    name : str, optional
        Outcome; the first primary one (or the first) if not given.
    arm : str
    above, below : float, optional
        What is of interest; of an event, more than half of the replicates if not given.
    """
    import pandas as pd

    refuse_unsupported(results, "discover")
    name = main_outcome(results, name)
    outcome, a = results.outcome(name), results.arm_index(arm)
    if above is None and below is None and outcome.event:
        above = 0.5
    if (above is None) == (below is None):
        raise ConfigurationError(f"discover: say what of '{name}' is of interest: above or below a value")
    values = results.values(name)[:, a]
    whole = complete(values, 1)
    refuse_gaps(int((~whole).sum()), len(whole), "scenarios", "discover: ")
    mean = values[whole].mean(axis=1)
    interest = mean > above if above is not None else mean < float(below or 0.0)
    frame = results.scenarios[list(results.plan.scenarios.names)][whole]
    columns = [_column(frame[c]) for c in frame]
    rng = np.random.default_rng([seed, len(mean)])
    half = rng.permutation(len(mean)) < (len(mean) + 1) // 2
    fit = Prim([c[half] for c in columns], interest[half])
    others, hits = [c[~half] for c in columns], interest[~half]
    steps = fit.trajectory()
    rows = [
        {
            "step": i,
            "restricted": len(s.restricted),
            "coverage": s.coverage,
            "density": s.density,
            "mass": s.mass,
            **dict(
                zip(
                    ("held_out_coverage", "held_out_density", "held_out_mass"),
                    _held_out(fit, s, others, hits),
                    strict=True,
                )
            ),
        }
        for i, s in enumerate(steps)
    ]
    best = max(range(len(steps)), key=lambda i: _balance(steps[i]))
    limits = _limits(fit, steps[best], [str(c) for c in frame], _reproduced(columns, interest, rng))
    trajectory = pd.DataFrame(rows)
    trajectory.insert(0, "chosen", trajectory["step"] == best)
    words = f"above {above:g}" if above is not None else f"below {below:g}"
    held = rows[best]
    notes = [
        f"of interest: {name} {words} in arm '{arm}' ({int(interest.sum())} of {len(interest)} scenarios); fitted to {int(half.sum())}, judged on {int((~half).sum())}",
        f"chosen box: density {held['density']:.2f} (held out {held['held_out_density']:.2f}), coverage {held['coverage']:.2f} (held out {held['held_out_coverage']:.2f})",
        "the box with the best balance (harmonic mean) of coverage and density is chosen; quasi_p: chance of so many hits if the restriction made no difference",
    ]
    if not whole.all():
        notes.append(f"{int((~whole).sum())} scenarios with a missing run or value are left out")
    points = frame.assign(
        scenario=np.flatnonzero(whole), interest=interest, half=np.where(half, "fitted", "held out"), value=mean
    )
    return Analysis(
        "discover", {"box": limits, "trajectory": trajectory, "points": points.reset_index(drop=True)}, notes
    )


def _column(column: pd.Series[Any]) -> NDArray[Any]:
    values = column.to_numpy()
    if values.dtype.kind in "iuf":
        return values
    return np.array([str(v) for v in values])


def _balance(found: Found) -> float:
    """Harmonic mean of coverage and density."""
    total = found.coverage + found.density
    return 2 * found.coverage * found.density / total if total > 0 else 0.0


def _held_out(
    fit: Prim, found: Found, columns: Sequence[NDArray[Any]], interest: NDArray[np.bool_]
) -> tuple[float, float, float]:
    inside = fit.inside(found.box, columns)
    hits = int(interest[inside].sum())
    return (
        hits / int(interest.sum()) if interest.any() else np.nan,
        hits / int(inside.sum()) if inside.any() else np.nan,
        float(inside.mean()),
    )


def _reproduced(
    columns: Sequence[NDArray[Any]], interest: NDArray[np.bool_], rng: np.random.Generator, times: int = 20
) -> Float:
    """How often each column is restricted when the box is fitted to random halves (Bryant and Lempert 2010)."""
    count, done = np.zeros(len(columns)), 0
    for _ in range(times):
        part = rng.permutation(len(interest)) < len(interest) // 2
        if interest[part].any() and not interest[part].all():
            fit = Prim([c[part] for c in columns], interest[part])
            best = max(fit.trajectory(), key=_balance)
            count[list(best.restricted)] += 1
            done += 1
    return count / done if done else np.full(len(columns), np.nan)


def _limits(fit: Prim, found: Found, names: Sequence[str], reproduced: Float) -> pd.DataFrame:
    import pandas as pd

    p = fit.quasi_p(found)
    rows = []
    for i, name in enumerate(names):
        limit, everything = found.box[i], fit.all[i]
        low, high = (" ".join(sorted(map(str, limit))), "") if isinstance(limit, frozenset) else limit
        first, last = (" ".join(sorted(map(str, everything))), "") if isinstance(everything, frozenset) else everything
        rows.append(
            {
                "factor": name,
                "restricted": i in found.restricted,
                "low": low,
                "high": high,
                "least": first,
                "most": last,
                "quasi_p": p.get(i, np.nan),
                "reproduced": float(reproduced[i]),
            }
        )
    return pd.DataFrame(rows)


# --------------------------------------------------------------------------- grids

# Phase diagrams: outcomes over a grid of two factors.


def phase(results: Results, names: Sequence[str] | None = None, *, arm: str = "baseline") -> Analysis:
    """Mean of outcomes, and share of runs with an event, at every point of a grid of two factors.

    Parameters
    ----------
    results : Results
    names : sequence of str, optional
        Outcomes; the primary ones (or all) if not given. Events come first.
    arm : str
        Arm whose runs are looked at.
    """
    import pandas as pd

    factors, study = results.study.factors, results.study
    if study.design.kind != "grid" or len(factors) != 2 or not all(f.ordered for f in factors):
        raise ConfigurationError("phase: a phase diagram needs a grid of two factors whose values are numbers")
    names = sorted(chosen(results, names or study.primary), key=lambda n: not results.outcome(n).event)
    axes = results.scenarios[list(results.plan.scenarios.names)].astype(float)
    number, parts, notes = results.arm_index(arm), [], []
    for name in names:
        values, event = results.values(name)[:, number], results.outcome(name).event
        known = np.isfinite(values)
        runs = known.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(known, values, 0.0).sum(axis=1) / runs
        if event:
            low, high = wilson(np.where(known, values, 0.0).sum(axis=1), runs)
        else:
            half = half_widths(values.T)[-1]
            low, high = mean - half, mean + half
        parts.append(axes.assign(outcome=name, event=event, runs=runs, mean=mean, low=low, high=high))
        if (missing := int((~known).sum())) > 0:
            notes.append(f"{missing} runs without a value of {name} are left out")
    notes.append("shares of runs have Wilson intervals, means t-intervals of 95 % over replicates, each for itself")
    return Analysis("phase", {"phase": pd.concat(parts, ignore_index=True)}, notes)
