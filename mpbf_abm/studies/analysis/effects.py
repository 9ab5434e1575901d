"""Distributions of outcomes, and paired effects of policies with verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.measures.estimates import wilson
from mpbf_abm.measures.paired import (
    FEW_UNITS,
    TWO_GROUPS,
    Simultaneous,
    bimodality,
    cautions,
    middle,
    reduction,
    simultaneous_intervals,
)
from mpbf_abm.studies.analysis.common import Analysis, chosen, complete, refuse_unsupported
from mpbf_abm.studies.definition import Outcome
from mpbf_abm.studies.design import SAMPLED
from mpbf_abm.studies.results import DONE, FAILED, Results

if TYPE_CHECKING:
    import pandas as pd

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
                "outcome": name, "arm": arm, "runs": len(known), "missing": int(x.size - len(known)), "mean": known.mean() if len(known) else np.nan,
                "sd": known.std(ddof=1) if len(known) > 1 else np.nan, "median": half, "p10": low, "p90": high,
                "bimodality": np.nan if event else bimodality(known), "share_low": np.nan, "share_high": np.nan,
            }  # fmt: skip
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
    from mpbf_abm.observation import BOUNDS

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
    results: Results, name: str, arm: int, pairs: Float, units: Float, found: Simultaneous, j: int, alike: int, by_scenario: bool
) -> dict[str, Any]:  # fmt: skip
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
        "outcome": name, "arm": results.arm_names[arm], "role": "primary" if outcome.primary else "exploratory", "better": outcome.better,
        "baseline": _mean(values[:, 0][known]), "treated": _mean(values[:, arm][known]), "difference": difference, "low": low, "high": high,
        "smallest": np.nan if outcome.smallest is None else outcome.smallest, "verdict": word,
        "pairs_needed": pairs_needed(sd, critical, outcome) if word == "undecided" else np.nan,
        "share_better": wins / len(flat) if len(flat) and outcome.better != "none" else np.nan,
        "share_better_low": float(p_low) if outcome.better != "none" else np.nan, "share_better_high": float(p_high) if outcome.better != "none" else np.nan,
        "worst_scenario": float(np.nanmin(by)) * outcome.sign if several and outcome.better != "none" and np.isfinite(by).any() else np.nan,
        "share_harmed": float((by[np.isfinite(by)] < 0).mean()) if several and outcome.better != "none" and np.isfinite(by).any() else np.nan,
        "vrf": reduction(values[:, 0], values[:, arm]), "unit": "scenario" if by_scenario else "replicate", "units": n, "pairs": int(known.sum()),
        "missing": int((~known).sum()), "failed_baseline": int((results.status[:, 0] == FAILED).sum()), "failed_arm": int((results.status[:, arm] == FAILED).sum()),
        "critical": critical, "method": "paired max-t bootstrap, 95 % simultaneous" + (", within -1 and 1" if _bound(results, name) == 1.0 else ""),
    }  # fmt: skip


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
    results: Results, table: pd.DataFrame, spreads: pd.DataFrame, family: str, alike: Mapping[tuple[str, str], int], by_scenario: bool
) -> list[str]:  # fmt: skip
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
