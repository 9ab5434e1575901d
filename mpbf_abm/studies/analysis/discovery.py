"""Scenario discovery: where an outcome of interest is common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.measures.scenario_discovery import Found, Prim
from mpbf_abm.studies.analysis.common import Analysis, complete, main_outcome, refuse_gaps, refuse_unsupported
from mpbf_abm.studies.definition import BASELINE
from mpbf_abm.studies.results import Results

if TYPE_CHECKING:
    import pandas as pd

Float = NDArray[np.float64]


def discover(
    results: Results, name: str | None = None, *, arm: str = BASELINE, above: float | None = None, below: float | None = None, seed: int = 0
) -> Analysis:  # fmt: skip
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
            "step": i, "restricted": len(s.restricted), "coverage": s.coverage, "density": s.density, "mass": s.mass,
            **dict(zip(("held_out_coverage", "held_out_density", "held_out_mass"), _held_out(fit, s, others, hits), strict=True)),
        }
        for i, s in enumerate(steps)
    ]  # fmt: skip
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
            {"factor": name, "restricted": i in found.restricted, "low": low, "high": high, "least": first, "most": last, "quasi_p": p.get(i, np.nan),
             "reproduced": float(reproduced[i])}
        )  # fmt: skip
    return pd.DataFrame(rows)
