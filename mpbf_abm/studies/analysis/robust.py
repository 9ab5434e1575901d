"""Robustness of policies over scenarios."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.measures import robustness as criteria_of
from mpbf_abm.studies.analysis.common import Analysis, complete, main_outcome, refuse_gaps, refuse_unsupported
from mpbf_abm.studies.results import Results

Float = NDArray[np.float64]


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
                "outcome": name, "criterion": rule, "arm": arm, "value": float(scores[rule][i] * back[rule]), "rank": float(ranked[rule][i]),
                "first_share": float(first[i]), "honest": float(honest[i]) if rule == "minimax regret" else np.nan,
                "scenarios": f.shape[1], "replicates": values.shape[2],
            }
            for i, arm in enumerate(results.arm_names)
        ]  # fmt: skip
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
