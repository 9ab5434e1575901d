"""What a campaign gained on random choice: recall of the top set, acceleration and enhancement factors.

Drawn at random without replacement, the k-th of K materials among N comes on average after
k (N + 1) / (K + 1) draws. The acceleration factor AF at a share of the top set is that number over the experiments
a campaign took; the enhancement factor EF at a number of experiments is its recall over that of random choice
(Rohr et al. 2020). Both are 1 for random choice, larger is better.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mpbf_abm.arrays import Float
from mpbf_abm.model.campaign import Campaign
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.stats.estimates import mean_estimate

SHARES = (0.3, 0.5, 0.8)  # of the top set, at which AF is reported
BAND = (0.1, 0.9)  # quantiles over seeds
TENTH = 0.1  # of the pool, at which recall is reported
CURVE = ("rule", "experiments", "recall", "recall_p10", "recall_p90", "recall_by_chance", "ef", "best_value")
EXPERIMENTS = ("experiment", "founding", "material", "settings", "observed", "top", "best_so_far")
RANDOM = "random choice (exact)"


def wanted(space: MaterialsSpace, share: float) -> int:
    """Return the number of materials that make up a share of the top set, rounded up."""
    # A share such as 0.3 of 10 is a rounding error above 3.
    return max(1, math.ceil(share * int(space.top.sum()) - 1e-9))


def by_chance(space: MaterialsSpace, share: float = 0.5) -> float:
    """Return the mean number of random draws without replacement until a share of the top set is found."""
    return wanted(space, share) * (space.size + 1) / (int(space.top.sum()) + 1)


def acceleration(space: MaterialsSpace, campaigns: Sequence[Campaign], share: float) -> tuple[float, float, float]:
    """Return AF at a share of the top set and its 95 % interval: chance over the mean number of experiments.

    NaN where a campaign did not reach the share; the interval is NaN with fewer than two.
    """
    spent = np.array([c.spent(wanted(space, share)) for c in campaigns])
    if not np.isfinite(spent).all():
        return math.nan, math.nan, math.nan
    e, chance = mean_estimate(spent), by_chance(space, share)
    # Fewer experiments than none cannot be: the interval then has no upper end.
    return chance / e.value, chance / e.high, chance / e.low if e.low > 0 else math.inf


def recall(space: MaterialsSpace, campaigns: Sequence[Campaign]) -> Float:
    """Return the share of the top set found after each experiment (S, n)."""
    return np.cumsum([c.hits for c in campaigns], axis=1) / int(space.top.sum())


def acceleration_of_curve(space: MaterialsSpace, mean_recall: Float, share: float) -> float:
    """Return AF of a mean curve: share times N over the experiments until mean recall reaches it, or NaN."""
    reached = np.flatnonzero(mean_recall >= share - 1e-12)
    return share * space.size / (reached[0] + 1) if len(reached) else math.nan


def by_rule(campaigns: Sequence[Campaign]) -> dict[str, list[Campaign]]:
    """Return the campaigns of each rule, in the order of their first."""
    groups: dict[str, list[Campaign]] = {}
    for c in campaigns:
        groups.setdefault(c.rule, []).append(c)
    return groups


def summary_table(space: MaterialsSpace, campaigns: Sequence[Campaign]) -> pd.DataFrame:
    """Return one row per rule, random choice first: factors with intervals, recall, how often the best was found, cost.

    Columns ``af30``, ``af50``, ``af80`` with ``_low``, ``_high``, ``_reached`` (campaigns that got there) and
    ``_curve`` (off the mean curve); ``ef`` at the budget and ``recall_tenth`` after a tenth of the pool with intervals;
    ``found_best``; ``cpu_seconds``.
    """
    budget = max(len(c.hits) for c in campaigns)
    tenth = max(1, round(TENTH * space.size))
    row: dict[str, Any] = {"rule": RANDOM, "seeds": 0, "experiments": budget, "ef": 1.0}
    row |= {"recall_tenth": tenth / space.size, "found_best": budget / space.size}
    rows = [row | {f"af{round(100 * share)}": 1.0 for share in SHARES}]
    best = int(np.argmax(space.property))
    for rule, group in by_rule(campaigns).items():
        curves = recall(space, group)
        row = {"rule": rule, "seeds": len(group), "experiments": budget}
        for share in SHARES:
            name = f"af{round(100 * share)}"
            row[name], row[f"{name}_low"], row[f"{name}_high"] = acceleration(space, group, share)
            row[f"{name}_reached"] = sum(math.isfinite(c.spent(wanted(space, share))) for c in group)
            row[f"{name}_curve"] = acceleration_of_curve(space, curves.mean(axis=0), share)
        gain = mean_estimate(curves[:, -1] * space.size / budget)
        row["ef"], row["ef_low"], row["ef_high"] = gain.value, gain.low, gain.high
        if tenth <= budget:
            # Student's interval knows nothing of the ends of a share.
            part = mean_estimate(curves[:, tenth - 1])
            row["recall_tenth"] = part.value
            row["recall_tenth_low"], row["recall_tenth_high"] = max(part.low, 0.0), min(part.high, 1.0)
        row["found_best"] = float(np.mean([best in c.materials for c in group]))
        row["cpu_seconds"] = float(np.mean([c.cpu_seconds for c in group]))
        rows.append(row)
    return pd.DataFrame(rows)


def curve_table(space: MaterialsSpace, campaigns: Sequence[Campaign]) -> pd.DataFrame:
    """Return mean recall by rule and number of experiments, its band over seeds, chance, EF and best value."""
    parts = []
    for rule, group in by_rule(campaigns).items():
        curves = recall(space, group)
        mean = curves.mean(axis=0)
        low, high = np.quantile(curves, BAND, axis=0)
        n = np.arange(1, len(mean) + 1)
        best = np.mean([c.best(space) for c in group], axis=0)
        values = (rule, n, mean, low, high, n / space.size, mean * space.size / n, best)
        parts.append(pd.DataFrame(dict(zip(CURVE, values, strict=True))))
    return pd.concat(parts, ignore_index=True)


def campaign_table(space: MaterialsSpace, campaigns: Sequence[Campaign]) -> pd.DataFrame:
    """Return one row per experiment: rule, seed, step, material, settings, observed value, and whether it is a hit."""
    parts = []
    for c in campaigns:
        step, observed = np.arange(len(c.materials)), space.in_unit(c.observed.astype(np.float64))
        settings = [space.names[i] for i in c.materials] if space.names else ""
        values = (step + 1, step < c.founding, c.materials, settings, observed, c.hits, c.best(space))
        parts.append(pd.DataFrame({"rule": c.rule, "seed": c.seed} | dict(zip(EXPERIMENTS, values, strict=True))))
    return pd.concat(parts, ignore_index=True)
