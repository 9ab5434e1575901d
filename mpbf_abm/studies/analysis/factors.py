"""Sensitivity of outcomes to factors: elementary effects and Sobol indices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.measures.sensitivity import elementary_effects, sobol_indices
from mpbf_abm.studies.analysis.common import Analysis, chosen, complete, refuse_gaps, refuse_unsupported
from mpbf_abm.studies.definition import BASELINE
from mpbf_abm.studies.design import DUMMY
from mpbf_abm.studies.results import Results

Float = NDArray[np.float64]


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
                    "outcome": name, "factor": factor, "first": s.first[i], "first_low": s.first_low[i], "first_high": s.first_high[i],
                    "total": s.total[i], "total_low": s.total_low[i], "total_high": s.total_high[i], "above_floor": bool(s.total_low[i] > max(0.0, np.nan_to_num(floor))),
                    "adequate": bool(s.total_high[i] - s.total_low[i] < 0.1 or s.total_high[i] < 0.05), "stochastic_share": s.stochastic_share,
                    "variance": s.variance, "rows": s.rows, "replicates": s.replicates, "dropped": dropped, "method": "Saltelli 2010, Jansen 1999; noise of replicates taken out; percentile bootstrap",
                }
            )  # fmt: skip
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
            {"series": series, "tick": int(tick), "factor": f, "first": s.first[i], "total": s.total[i], "total_low": s.total_low[i],
             "total_high": s.total_high[i], "stochastic_share": s.stochastic_share, "rows": s.rows, "replicates": s.replicates, "dropped": dropped}
            for i, f in enumerate(factors)
        ]  # fmt: skip
    if not rows:
        raise ConfigurationError(f"sensitivity: the series '{series}' does not vary at any tick")
    total = sum(w for w, _, _ in weights)
    whole = pd.DataFrame(
        {
            "series": series, "factor": factors, "first": sum(w * f for w, f, _ in weights) / total, "total": sum(w * t for w, _, t in weights) / total,
        }
    )  # fmt: skip
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
                    "outcome": name, "factor": factor.name, "mu": e.mu[i], "mu_star": e.mu_star[i], "mu_star_low": e.mu_star_low[i], "mu_star_high": e.mu_star_high[i],
                    "sigma": e.sigma[i], "size": e.size[i], "size_low": e.size_low[i], "size_high": e.size_high[i], "spread": e.spread[i], "floor": e.floor[i],
                    "above_floor": bool(e.size_low[i] > 0) if e.replicates > 1 else None, "trajectories": e.trajectories, "replicates": e.replicates, "dropped": dropped,
                    "method": "Morris 1991, Campolongo 2007; size: noise of replicates taken out; percentile bootstrap",
                }
            )  # fmt: skip
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
