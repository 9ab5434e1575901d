"""What analyses share: what they return, and how they refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpbf_abm.arrays import Bool, Float
from mpbf_abm.errors import ConfigurationError, faults_of, lines_where, refuse, refuse_any
from mpbf_abm.stats import robustness as criteria_of
from mpbf_abm.stats.estimates import half_widths, wilson
from mpbf_abm.stats.paired import FEW_UNITS, TWO_GROUPS, bimodality, cautions, middle, reduction, simultaneous_intervals
from mpbf_abm.stats.prim import Found, Prim
from mpbf_abm.stats.sensitivity import elementary_effects, sobol_indices
from mpbf_abm.studies.definition import BASELINE, Outcome
from mpbf_abm.studies.design import DUMMY, SAMPLED
from mpbf_abm.studies.results import DONE, FAILED, Results

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


def fields_of(source: Any, names: str) -> dict[str, Any]:
    """Return some attributes of an object by name, as columns of a table."""
    return {name: getattr(source, name) for name in names.split()}


def chosen(results: Results, names: Sequence[str] | None) -> list[str]:
    """Names of outcomes, all of the study's if none is asked for; unknown ones are refused."""
    wanted = list(names or results.definitions)
    refuse_any(faults_of(*(partial(results.outcome, name) for name in wanted)))
    return wanted


def refuse_unsupported(results: Results, kind: str) -> None:
    """Refuse an analysis that the design of a study cannot support."""
    why = results.plan.supports()[kind]
    refuse(why, f"{kind}: {why}")


def refuse_gaps(whole: NDArray[np.bool_], what: str, before: str = "") -> int:
    """Refuse an analysis in which too much is missing to be left out; return how much is."""
    missing, planned = int((~whole).sum()), len(whole)
    few = f"more than {MOST_MISSING:.0%}; see mpbf study status and failures"
    much = missing == planned or missing > MOST_MISSING * planned
    refuse(much, f"{before}{missing} of {planned} {what} lack a run or a value, {few}")
    return missing


def main_outcome(results: Results, name: str | None) -> str:
    """Name of an outcome: the one asked for, else the first primary one, else the first."""
    refuse_without_outcomes(results)
    return name or next(iter(results.study.primary), next(iter(results.definitions)))


def refuse_without_outcomes(results: Results) -> None:
    """Refuse runs that are pieces of another result, and have no outcomes."""
    pieces = "they are pieces of a result, which is reported where it was written"
    refuse(not results.definitions, f"{results.store.path}: its runs have no outcomes; {pieces}")


def complete(values: NDArray[np.float64], axis: int | tuple[int, ...]) -> NDArray[np.bool_]:
    """Where all values along some axes are finite."""
    return np.asarray(np.isfinite(values).all(axis=axis), bool)


# --------------------------------------------------------------------------- effects

# Distributions of outcomes, and paired effects of policies with verdicts.


BOX_NOTE = (
    "the box with the best balance (harmonic mean) of coverage and density is chosen; quasi_p: chance of so many hits "
    "if the restriction made no difference"
)
POWER = 0.8416  # normal quantile of 80 % power


def distributions(results: Results, names: Sequence[str] | None = None) -> pd.DataFrame:
    """Return how each outcome is distributed over the runs of each arm.

    Returns
    -------
    DataFrame
        outcome, arm, runs, missing, mean, sd, median, p10, p90, bimodality (above 5/9 two groups are likely); for
        events their share with its 95 % Wilson interval.
    """
    rows: list[dict[str, Any]] = []
    for name in chosen(results, names):
        event, values = results.outcome(name).event, results.values(name)
        for a, arm in enumerate(results.arm_names):
            x = values[:, a].ravel()
            known = x[np.isfinite(x)]
            low, half, high = middle(known)
            ends = map(float, wilson(known.sum(), len(known))) if event else (np.nan, np.nan)
            row: dict[str, Any] = {"outcome": name, "arm": arm, "runs": len(known), "missing": int(x.size - len(known))}
            row |= {"mean": _mean(known), "sd": known.std(ddof=1) if len(known) > 1 else np.nan, "median": half}
            row |= {"p10": low, "p90": high, "bimodality": np.nan if event else bimodality(known)}
            rows.append(row | dict(zip(("share_low", "share_high"), ends, strict=True)))
    return pd.DataFrame(rows)


# --------------------------------------------------------------------------- compare


def compare(
    results: Results, names: Sequence[str] | None = None, *, together: bool | None = None, seed: int = 0
) -> Analysis:
    """Return paired effects of every arm against the baseline, with simultaneous 95 % intervals and verdicts.

    The unit of the intervals is the scenario where scenarios are a sample, each with separate draws, else the replicate
    (averaged over the scenarios of the design). Primary outcomes of all arms are one family; every other outcome is
    another family, and exploratory. Intervals of events and of outcomes that are shares lie within -1 and 1.

    Parameters
    ----------
    results : Results
    names : sequence of str, optional
        Outcomes, all of the study's by default.
    together : bool, optional
        Whether all outcomes of all arms are one family instead; so it is by default where the study declares no
        outcome, as in ``mpbf run``.
    seed : int
        Of the bootstrap.

    Raises
    ------
    ConfigurationError
        Without another arm, with fewer than two pairs, or for a design of kind morris or saltelli.
    """
    refuse_unsupported(results, "compare")
    # Scenarios that share their draws say nothing about chance.
    unit = "scenario" if results.study.design.kind in SAMPLED and results.study.crn != "all" else "replicate"
    wanted, arms = chosen(results, names), range(1, len(results.arm_names))
    effects = {name: _effects(results, name) for name in wanted}
    units = {name: _units(effects[name], unit == "scenario") for name in wanted}
    few = all(complete(u, 1).sum() < 2 for u in units.values())
    refuse(few, f"compare: fewer than two pairs of runs are complete; {results.status.size} are planned")
    together = not results.study.outcomes if together is None else together
    ends: dict[tuple[str, int], list[float]] = {}
    for family in _families(results, wanted, together):
        ends |= _intervals(results, units, list(product(family, arms)), seed)
    alike = {(name, results.arm_names[a]): _alike(results, name, a) for name, a in ends}
    rows = [
        _effect_row(results, name, a, effects[name][:, a - 1], units[name][:, a - 1], ends[name, a], alike, unit)
        for name, a in product(wanted, arms)
    ]
    table = pd.DataFrame(rows)
    spreads = distributions(results, wanted)
    notes = [f"units are {unit}s; common random numbers: {results.study.crn}; {TOGETHER[together]}"]
    notes += _compare_notes(results, table, spreads, alike)
    return Analysis("compare", {"effects": table, "distributions": spreads}, notes)


# Whose intervals hold together, by whether all do.
TOGETHER = {
    True: "all intervals hold together, over outcomes and arms",
    False: "intervals of primary outcomes hold together over all arms, those of an exploratory outcome over its arms",
}


def _families(results: Results, wanted: Sequence[str], together: bool) -> Iterator[Sequence[str]]:
    """Return outcomes whose intervals hold together: all, or the primary ones and each other one."""
    first = [name for name in wanted if together or results.outcome(name).primary]
    return filter(None, [first, *([name] for name in wanted if name not in first)])


def _intervals(
    results: Results, units: Mapping[str, Float], columns: Sequence[tuple[str, int]], seed: int
) -> dict[tuple[str, int], list[float]]:
    """Return low, high, critical value and error of every effect of a family, by outcome and arm."""
    found = simultaneous_intervals(
        np.column_stack([units[name][:, a - 1] for name, a in columns]),
        events=[results.outcome(name).event for name, _ in columns],
        bounds=[_bound(results, name) for name, _ in columns],
        seed=seed,
    )
    ends = np.column_stack([found.low, found.high, found.critical, found.error]).tolist()
    return dict(zip(columns, ends, strict=True))


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
    ends: Sequence[float],
    alike: Mapping[tuple[str, str], int],
    unit: str,
) -> dict[str, Any]:
    outcome, values = results.outcome(name), results.values(name)
    low, high, critical, error = ends
    known, n = np.isfinite(pairs), int(np.isfinite(units).sum())
    baseline, treated = values[:, 0][known], values[:, arm][known]
    word = _word(
        verdict(low, high, outcome), outcome, np.concatenate([baseline, treated]), alike[name, results.arm_names[arm]]
    )
    needed = pairs_needed(error * np.sqrt(n) if n else np.nan, critical, outcome) if word == "undecided" else np.nan
    shares = ("share_better", "share_better_low", "share_better_high", "worst_scenario", "share_harmed")
    benefit = [np.nan] * len(shares) if outcome.better == "none" else _benefit(pairs, known, outcome.sign)
    role, failed = "primary" if outcome.primary else "exploratory", (results.status == FAILED).sum(axis=(0, 2))
    method = "paired max-t bootstrap, 95 % simultaneous" + ", within -1 and 1" * (_bound(results, name) == 1.0)
    row: dict[str, Any] = {"outcome": name, "arm": results.arm_names[arm], "role": role, "better": outcome.better}
    row |= {"baseline": _mean(baseline), "treated": _mean(treated)}
    row |= {"difference": float(np.nanmean(units)) if n else np.nan, "low": low, "high": high}
    row |= {"smallest": np.nan if outcome.smallest is None else outcome.smallest, "verdict": word}
    row |= {"pairs_needed": needed, **dict(zip(shares, benefit, strict=True))}
    row |= {"vrf": reduction(values[:, 0], values[:, arm]), "unit": unit, "units": n, "pairs": int(known.sum())}
    row |= {"missing": int((~known).sum()), "failed_baseline": int(failed[0]), "failed_arm": int(failed[arm])}
    return row | {"critical": critical, "method": method}


def _benefit(pairs: Float, known: Bool, sign: float) -> list[float]:
    """Return the share of pairs that are better with its interval, the worst scenario, and the share of harmed ones."""
    flat = pairs[known] * sign
    wins = float((flat > 0).sum() + 0.5 * (flat == 0).sum())
    by = np.array([row[k].mean() if k.any() else np.nan for row, k in zip(pairs, known, strict=True)]) * sign
    harmed, worst = by[np.isfinite(by)], [np.nan] * 2
    if len(by) > 1 and len(harmed):
        worst = [float(harmed.min()) * sign, float((harmed < 0).mean())]
    return [wins / len(flat) if len(flat) else np.nan, *map(float, wilson(wins, len(flat))), *worst]


def _word(judged: str, outcome: Outcome, values: Float, alike: int) -> str:
    """Return the verdict of an effect, where all its values and its identical pairs are known."""
    if values.size and outcome.event and np.ptp(values) == 0:
        # That an event was never seen, or never missed, says nothing of what an arm does to it.
        return "undecided"
    return "identical" if alike >= 2 else judged


def _alike(results: Results, name: str, arm: int) -> int:
    """Count pairs in which the quantity behind an outcome is known, if bits are equal in all finished pairs; else 0."""
    quantity = results.quantity(name)
    done = (results.status[:, [0, arm]] == DONE).all(axis=1)
    a, b = quantity[:, 0][done], quantity[:, arm][done]
    unknown = np.isnan(a) & np.isnan(b)
    return int((~unknown).sum()) if ((a.view(np.int64) == b.view(np.int64)) | unknown).all() else 0


def _mean(values: Float) -> float:
    return float(values.mean()) if values.size else float("nan")


def verdict(low: float, high: float, outcome: Outcome) -> str:
    """Say of an interval: better, worse, equivalent or undecided (higher, lower where nothing is better)."""
    if not (np.isfinite(low) and np.isfinite(high)):
        return "undecided"
    if outcome.smallest is not None and -outcome.smallest <= low and high <= outcome.smallest:
        return "equivalent"
    if low <= 0 <= high:
        return "undecided"
    along, against = ("higher", "lower") if outcome.better == "none" else ("better", "worse")
    return along if (low > 0) == (outcome.sign > 0) else against


def pairs_needed(sd: float, critical: float, outcome: Outcome) -> float:
    """Units that would show the smallest effect of interest with 80 % power: ``((c + z) sd / smallest)^2``."""
    if outcome.smallest is None or not np.isfinite(sd):
        return float("nan")
    return float(np.ceil(((critical + POWER) * sd / outcome.smallest) ** 2))


def _compare_notes(results: Results, table: pd.DataFrame, spreads: pd.DataFrame, alike: Mapping[Any, int]) -> list[str]:
    """Return what a reader of the effects must know."""
    verdicts = (
        "better, worse: the interval leaves out 0; equivalent: it lies within the smallest effect of interest; "
        "undecided: neither (pairs needed: to show an effect of that size in 4 of 5 studies)"
    )
    events = table["outcome"].map(lambda name: results.outcome(name).event).to_numpy(bool)
    still = table[events & (table["baseline"] == table["treated"]) & table["baseline"].isin((0.0, 1.0))]
    named = [
        f"{row.outcome} of {row.arm} ({alike[row.outcome, row.arm]} pairs)"
        for row in table[table["verdict"] == "identical"].itertuples()
    ]
    idle = [f"{row.outcome} of {row.arm} ({row.pairs} pairs)" for row in still.itertuples()]
    notes = [verdicts]
    notes += lines_where(
        (named, f"identical: the quantity has equal bits in every pair: {', '.join(named)}"),
        (idle, f"an event that happened in no pair of runs, or in all, decides nothing: {', '.join(idle)}"),
        (not results.study.primary, "no primary outcome was declared: everything here is exploratory"),
    )
    unpaired = [f"{row.outcome} of {row.arm}" for row in table[table["vrf"] <= 1.0].itertuples()]
    notes += cautions(int(table["units"].min()), unpaired, [])
    failed, missing = table[["failed_baseline", "failed_arm"]].max().max(), int(table["missing"].max())
    without: Any = spreads[spreads["missing"] > 0].itertuples()
    gone = [f"{row.outcome} in {row.missing} of {row.arm}" for row in without]
    few = "the variance-reduction factor needs two replicates of a scenario, and differences that are not all the same"
    biased = "if failing depends on the policy, effects are biased (mpbf study failures)"
    notes += lines_where(
        (table["vrf"].isna().all(), few),
        (failed, f"up to {int(failed)} runs of an arm failed; {biased}"),
        (missing > 0, f"up to {missing} pairs are missing and left out; runs without a value: {', '.join(gone)}"),
        (results.overflows, f"infinite or too large, and so missing: values of {', '.join(results.overflows)}"),
    )
    return notes + cautions(FEW_UNITS, [], sorted(set(spreads[spreads["bimodality"] > TWO_GROUPS]["outcome"])))


# --------------------------------------------------------------------------- robust

# Robustness of policies over scenarios.


def robustness(results: Results, name: str | None = None, *, threshold: float | None = None, seed: int = 0) -> Analysis:
    """Return values and ranks of every arm by several criteria, how they agree, and how sure the first place is.

    Parameters
    ----------
    results : Results
    name : str, optional
        Outcome; the first primary one (or the first) if not given.
    threshold : float, optional
        What a satisfactory scenario reaches; the outcome's `acceptable` if not given.
    """
    refuse_unsupported(results, "robustness")
    name = main_outcome(results, name)
    outcome = results.outcome(name)
    refuse(outcome.better == "none", f"robustness: outcome '{name}' does not say what is better, more or less")
    values, whole, left_out = _whole(np.moveaxis(results.values(name), 1, 0) * outcome.sign)
    f, replicates = criteria_of.check_table(values.mean(axis=2)), values.shape[2]
    level = threshold if threshold is not None else outcome.acceptable
    rules = criteria_of.criteria(None if level is None else level * outcome.sign)
    scores = {rule: function(f) for rule, (function, _) in rules.items()}
    ranked = {rule: criteria_of.ranks(scores[rule], larger) for rule, (_, larger) in rules.items()}
    honest, parts = criteria_of.honest_regret(values), []
    for rule, (function, larger) in rules.items():
        shares = criteria_of.rank_shares(values, function, larger, seed=seed) if replicates > 1 else np.nan
        sign = outcome.sign if rule in ("maximin", "maximax", "hurwicz", "laplace") else 1
        part: dict[str, Any] = {"outcome": name, "criterion": rule, "arm": results.arm_names}
        part |= {
            "value": scores[rule] * sign,
            "rank": ranked[rule],
            "first_share": shares,
            "honest": honest if rule == "minimax regret" else np.nan,
        }
        parts.append(pd.DataFrame(part | {"scenarios": f.shape[1], "replicates": replicates}))
    names, regret = list(rules), criteria_of.regret(f)
    tau = pd.DataFrame(criteria_of.agreement(ranked), index=names, columns=names).rename_axis("criterion").reset_index()
    regrets = pd.DataFrame(regret.T, columns=results.arm_names)
    regrets.insert(0, "scenario", np.flatnonzero(whole))
    largest, smallest = float(regret.max()), outcome.smallest or 0.0
    interest = f"is below the smallest effect of interest, {smallest:g}: the order does not matter"
    often = "first_share: how often an arm comes first when replicates are resampled"
    halves = "`honest` chooses on one half of the replicates and values on the other (it may come out below 0)"
    notes = [f"{f.shape[1]} scenarios, {replicates} replicates each; {often}"]
    notes += [f"regret of noisy means is too large; {halves}", *left_out]
    notes += lines_where(
        (largest < smallest, f"the largest regret, {largest:.3g}, {interest}"),
        (replicates < 2, "one replicate: neither the order nor honest regret can be judged"),
        (level is None, "no satisficing: the outcome has no `acceptable` value, and no threshold was given"),
    )
    criteria = pd.concat(parts, ignore_index=True)
    return Analysis("robustness", {"criteria": criteria, "agreement": tau, "regret": regrets}, notes)


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
    known, everywhere = np.isfinite(values), np.ones(values.shape[1], bool)
    if known.all():
        return values, everywhere, []
    refuse_gaps(known.ravel(), "runs", "robustness: ")
    by_scenario, by_replicate = complete(values, (0, 2)), complete(values, (0, 1))
    if by_scenario.mean() < by_replicate.mean():
        gone = f"{(~by_replicate).sum()} replicates with a missing run are left out of every scenario"
        return values[:, :, by_replicate], everywhere, [gone]
    refuse(not by_scenario.any(), "robustness: no scenario is complete; see mpbf study status and failures")
    return values[:, by_scenario], by_scenario, [f"{(~by_scenario).sum()} scenarios with a missing run are left out"]


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
    """Return which factors outcomes depend on: elementary effects (morris design) or Sobol indices (saltelli design).

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
    kind, a = results.study.design.kind, results.arm_index(arm)
    if series is None:
        return (_sobol if kind == "saltelli" else _morris)(results, chosen(results, names), a, seed)
    refuse(kind != "saltelli", "sensitivity: indices along the run need a saltelli design")
    return _along(results, series, a, seed)


Part = tuple[pd.DataFrame, list[str]]  # a table, and notes on it


def _each(makers: Mapping[str, Callable[[], Part]], without: str = "") -> Part:
    """Join the tables of several outcomes or ticks; what one of them lacks becomes a note.

    Raises
    ------
    ConfigurationError
        If none can be made: the notes, or else what is given.
    """
    parts, notes = [], []
    for name, make in makers.items():
        try:
            part, said = make()
        except ConfigurationError as error:
            notes.append(f"{name}: {error}")
            continue
        parts.append(part)
        notes += said
    refuse(not parts, [f"sensitivity: {note}" for note in ([without] if without else notes)])
    return pd.concat(parts, ignore_index=True), list(dict.fromkeys(notes))


def _blocks(results: Results, values: Float) -> tuple[Float, Float, Float, int]:
    """Return rows A (n, m), B (n, m) and AB (n, k, m) of a Saltelli design, and how many blocks were left out.

    Parameters
    ----------
    values : float array (scenarios, replicates)
    """
    table = values.reshape(-1, len(_columns_of(results)) + 2, values.shape[1])
    whole = complete(table, (1, 2))
    dropped = refuse_gaps(whole, "row blocks")
    table = table[whole]
    return table[:, 0], table[:, 1], table[:, 2:], dropped


def _columns_of(results: Results) -> list[str]:
    """Return the names of the factors of a Saltelli design, the dummy with them."""
    return [f.name for f in results.study.factors] + [DUMMY] * results.study.design.dummy


def _sobol(results: Results, names: Sequence[str], arm: int, seed: int) -> Analysis:
    table, notes = _each({name: partial(_indices, results, name, arm, seed) for name in names})
    return Analysis("sensitivity", {"indices": table}, notes)


def _indices(results: Results, name: str, arm: int, seed: int) -> Part:
    """Sobol indices of an outcome."""
    factors = _columns_of(results)
    *blocks, dropped = _blocks(results, results.values(name)[:, arm])
    s = sobol_indices(*blocks, seed=seed)
    floor = max(0.0, np.nan_to_num(s.total_high[-1])) if results.study.design.dummy else 0.0
    width = s.total_high - s.total_low
    adequate = (width < 0.1) | (s.total_high < 0.05)
    part: dict[str, Any] = {"outcome": name, "factor": factors}
    part |= fields_of(s, "first first_low first_high total total_low total_high")
    part |= {"above_floor": s.total_low > floor, "adequate": adequate}
    part |= fields_of(s, "stochastic_share variance rows replicates") | {"dropped": dropped}
    method = "Saltelli 2010, Jansen 1999; noise of replicates taken out; percentile bootstrap"
    wide = ", ".join(f for f, good in zip(factors, adequate, strict=True) if not good)
    # Base rows at which every interval would be narrow enough, as a power of two.
    more = int(2 ** np.ceil(np.log2(max(2.0, s.rows * (width.max() / 0.1) ** 2))))
    alone = "one replicate: noise counts as variance that every factor makes; the dummy shows how much"
    few = f"too few rows for {wide} (interval of the total index wider than 0.1); about {more} would do"
    notes = lines_where(
        (dropped, f"{name}: {dropped} row blocks with a missing run or value are left out"),
        (s.replicates < 2, f"{name}: {alone}"),
        (wide, f"{name}: {few}"),
    )
    return pd.DataFrame(part | {"method": method}), notes


def _along(results: Results, series: str, arm: int, seed: int) -> Analysis:
    """Return indices at every stored tick, and over the whole run weighted by variance (Gamboa et al. 2014)."""
    values, factors = results.series_values(series)[:, arm], _columns_of(results)
    weights = []

    def indices(t: int, tick: int) -> Part:
        *blocks, dropped = _blocks(results, values[:, :, t])
        s = sobol_indices(*blocks, resamples=200, seed=seed)
        weights.append((s.variance, s.first, s.total))
        part: dict[str, Any] = {"series": series, "tick": tick, "factor": factors}
        part |= fields_of(s, "first total total_low total_high stochastic_share rows replicates")
        return pd.DataFrame(part | {"dropped": dropped}), []

    makers = {f"tick {tick}": partial(indices, t, int(tick)) for t, tick in enumerate(results.series_ticks)}
    along, notes = _each(makers, f"the series '{series}' does not vary at any tick")
    total = sum(w for w, _, _ in weights)
    first, both = sum(w * f for w, f, _ in weights) / total, sum(w * t for w, _, t in weights) / total
    whole = pd.DataFrame({"series": series, "factor": factors, "first": first, "total": both})
    return Analysis("sensitivity", {"along": along, "generalised": whole}, notes)


def morris_effects(results: Results, values: Float) -> tuple[Float, int]:
    """Return elementary effects (r, k, m) of a Morris design, per unit of a factor's range, and trajectories left out.

    Parameters
    ----------
    values : float array (scenarios, replicates)
    """
    scenarios, k = results.plan.scenarios, len(results.study.factors)
    table = values.reshape(-1, k + 1, values.shape[1])
    moved, step = (np.array(x).reshape(-1, k + 1)[:, 1:] for x in (scenarios.moved, scenarios.steps))
    whole = complete(table, (1, 2))
    dropped = refuse_gaps(whole, "trajectories")
    change = (table[:, 1:] - table[:, :-1]) / step[..., None]
    effects = np.empty_like(change)
    np.put_along_axis(effects, moved[..., None], change, axis=1)
    return effects[whole], dropped


def _morris(results: Results, names: Sequence[str], arm: int, seed: int) -> Analysis:
    table, notes = _each({name: partial(_screened, results, name, arm, seed) for name in names})
    floor = "mu_star of a factor that does nothing is `floor`"
    notes += lines_where(
        (True, f"effects are per unit of a factor's range; {floor}; size has the noise taken out"),
        (results.replicates < 2, "one replicate: size still holds the noise, and nothing can be concluded from it"),
    )
    return Analysis("sensitivity", {"effects": table}, notes)


def _screened(results: Results, name: str, arm: int, seed: int) -> Part:
    """Elementary effects of an outcome."""
    effects, dropped = morris_effects(results, results.values(name)[:, arm])
    e = elementary_effects(effects, seed=seed)
    part: dict[str, Any] = {"outcome": name, "factor": [f.name for f in results.study.factors]}
    part |= fields_of(e, "mu mu_star mu_star_low mu_star_high sigma size size_low size_high spread floor")
    part |= {"above_floor": e.size_low > 0 if e.replicates > 1 else None}
    part |= fields_of(e, "trajectories replicates") | {"dropped": dropped}
    method = "Morris 1991, Campolongo 2007; size: noise of replicates taken out; percentile bootstrap"
    gaps = (dropped, f"{name}: {dropped} trajectories with a missing run or value are left out")
    return pd.DataFrame(part | {"method": method}), lines_where(gaps)


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
    refuse_unsupported(results, "discover")
    name = main_outcome(results, name)
    outcome, a = results.outcome(name), results.arm_index(arm)
    if above is None and below is None and outcome.event:
        above = 0.5
    unsaid = (above is None) == (below is None)
    refuse(unsaid, f"discover: say what of '{name}' is of interest: above or below a value")
    values = results.values(name)[:, a]
    whole = complete(values, 1)
    dropped = refuse_gaps(whole, "scenarios", "discover: ")
    mean = values[whole].mean(axis=1)
    if above is not None:
        interest, words = mean > above, f"above {above:g}"
    else:
        interest, words = mean < float(below or 0.0), f"below {below:g}"
    frame = results.scenarios[list(results.plan.scenarios.names)][whole]
    columns = [_numbers_or_text(frame[c].to_numpy()) for c in frame]
    rng = np.random.default_rng([seed, len(mean)])
    half = rng.permutation(len(mean)) < (len(mean) + 1) // 2
    fit = Prim([c[half] for c in columns], interest[half])
    steps = fit.trajectory()
    balances = list(map(_balance, steps))
    best = balances.index(max(balances))
    others, hits = [c[~half] for c in columns], interest[~half]
    rows = [
        {"chosen": i == best, "step": i, "restricted": len(s.restricted)}
        | fields_of(s, "coverage density mass")
        | _held_out(fit, s, others, hits)
        for i, s in enumerate(steps)
    ]
    limits = _limits(fit, steps[best], list(map(str, frame)), _reproduced(columns, interest, rng))
    held = rows[best]
    found = f"{int(interest.sum())} of {len(interest)} scenarios"
    halves = f"fitted to {int(half.sum())}, judged on {int((~half).sum())}"
    density, coverage = (
        f"{what} {held[what]:.2f} (held out {held[f'held_out_{what}']:.2f})" for what in ("density", "coverage")
    )
    notes = [
        f"of interest: {name} {words} in arm '{arm}' ({found}); {halves}",
        f"chosen box: {density}, {coverage}",
        BOX_NOTE,
        *lines_where((dropped, f"{dropped} scenarios with a missing run or value are left out")),
    ]
    points = frame.assign(scenario=np.flatnonzero(whole), interest=interest)
    points = points.assign(half=np.where(half, "fitted", "held out"), value=mean).reset_index(drop=True)
    return Analysis("discover", {"box": limits, "trajectory": pd.DataFrame(rows), "points": points}, notes)


def _numbers_or_text(column: NDArray[Any]) -> NDArray[Any]:
    """Return a factor's values as numbers, or else as text."""
    return column if column.dtype.kind in "iuf" else np.array(list(map(str, column)))


def _balance(found: Found) -> float:
    """Harmonic mean of coverage and density."""
    total = found.coverage + found.density
    return 2 * found.coverage * found.density / total if total > 0 else 0.0


def _held_out(
    fit: Prim, found: Found, columns: Sequence[NDArray[Any]], interest: NDArray[np.bool_]
) -> dict[str, float]:
    inside = fit.inside(found.box, columns)
    hits, common = int(interest[inside].sum()), int(interest.sum())
    coverage = hits / common if common else np.nan
    density = hits / int(inside.sum()) if inside.any() else np.nan
    return {"held_out_coverage": coverage, "held_out_density": density, "held_out_mass": float(inside.mean())}


def _reproduced(columns: Sequence[NDArray[Any]], interest: NDArray[np.bool_], rng: np.random.Generator) -> Float:
    """How often each column is restricted when the box is fitted to random halves (Bryant and Lempert 2010)."""
    count, done = np.zeros(len(columns)), 0
    for _ in range(20):
        part = rng.permutation(len(interest)) < len(interest) // 2
        if interest[part].any() and not interest[part].all():
            fit = Prim([c[part] for c in columns], interest[part])
            best = max(fit.trajectory(), key=_balance)
            count[list(best.restricted)] += 1
            done += 1
    return count / done if done else np.full(len(columns), np.nan)


def _limits(fit: Prim, found: Found, names: Sequence[str], reproduced: Float) -> pd.DataFrame:
    p, rows = fit.quasi_p(found), []
    for i, name in enumerate(names):
        (low, high), (least, most) = (
            (" ".join(sorted(map(str, limit))), "") if isinstance(limit, frozenset) else limit
            for limit in (found.box[i], fit.all[i])
        )
        row: dict[str, Any] = {"factor": name, "restricted": i in found.restricted, "low": low, "high": high}
        row |= {"least": least, "most": most, "quasi_p": p.get(i, np.nan), "reproduced": float(reproduced[i])}
        rows.append(row)
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
    factors, study = results.study.factors, results.study
    plane = study.design.kind == "grid" and len(factors) == 2 and all(f.ordered for f in factors)
    refuse(not plane, "phase: a phase diagram needs a grid of two factors whose values are numbers")
    names = sorted(chosen(results, names or study.primary), key=lambda n: not results.outcome(n).event)
    axes = results.scenarios[list(results.plan.scenarios.names)].astype(float)
    number, parts, notes = results.arm_index(arm), [], []
    for name in names:
        values, event = results.values(name)[:, number], results.outcome(name).event
        known = np.isfinite(values)
        runs = known.sum(axis=1)
        total = np.where(known, values, 0.0).sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = total / runs
        if event:
            low, high = wilson(total, runs)
        else:
            half = half_widths(values.T)[-1]
            low, high = mean - half, mean + half
        parts.append(axes.assign(outcome=name, event=event, runs=runs, mean=mean, low=low, high=high))
        missing = int((~known).sum())
        notes += lines_where((missing, f"{missing} runs without a value of {name} are left out"))
    notes.append("shares of runs have Wilson intervals, means t-intervals of 95 % over replicates, each for itself")
    return Analysis("phase", {"phase": pd.concat(parts, ignore_index=True)}, notes)
