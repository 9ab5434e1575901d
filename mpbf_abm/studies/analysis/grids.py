"""Phase diagrams: outcomes over a grid of two factors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.measures.estimates import wilson
from mpbf_abm.studies.analysis.common import Analysis, chosen
from mpbf_abm.studies.precision import half_widths
from mpbf_abm.studies.results import Results


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
