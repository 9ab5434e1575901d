"""The calibration as it is run: screening, two waves, posteriors, and the documents' tables of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpbf_abm.parameters import Parameters
from mpbf_abm.studies.analysis.factors import morris_effects
from mpbf_abm.studies.design import Design
from mpbf_abm.studies.results import Results
from mpbf_abm.validation.calibration import FACTORS, FITTED, FOUND, WHOLE, parameters
from mpbf_abm.validation.emulation import Emulator, fit, left_out, log_acceptance, middle, posterior
from mpbf_abm.validation.facts import COMPONENTS, FACTS, Component

Float = NDArray[np.float64]
Run = Callable[[str, Design, int, int], Results]

LOW = np.array([low for low, _, _ in FACTORS.values()])
HIGH = np.array([high for _, high, _ in FACTORS.values()])
RANGES: dict[str, Component] = {**{n: COMPONENTS[n] for n in FITTED if n in COMPONENTS}, FOUND.id: FOUND}
HELD_OUT = frozenset(c.id for fact in FACTS if fact.use == "held out" for c in fact.components)
SHOWN = (0.05, 0.5, 0.95)
SECOND_REPLICATES = 6


@dataclass(frozen=True)
class Wave:
    """Points that were run, scaled to [-1, 1] (n, k), and the mean of every fact over replicates (n,)."""

    x: Float
    facts: Mapping[str, Float]


@dataclass(frozen=True)
class Posterior:
    """What a set of facts leaves open.

    Attributes
    ----------
    fitted : tuple of str
        Components that it was fitted to.
    draws : float (m, k)
        In [-1, 1].
    best : float (k,)
        Draw at which all of them most probably lie in their ranges.
    log_acceptance : float
        Log of that probability.
    """

    fitted: tuple[str, ...]
    draws: Float
    best: Float
    log_acceptance: float


def scaled(values: Float) -> Float:
    """Factor values in [-1, 1] (n, k)."""
    return np.asarray(2.0 * (values - LOW) / (HIGH - LOW) - 1.0)


def unscaled(x: Float) -> Float:
    """Factor values (n, k) of points in [-1, 1]."""
    return np.asarray(LOW + (x + 1.0) / 2.0 * (HIGH - LOW))


def wave_of(results: Results) -> Wave:
    """Points and facts of a study; points of which no run is done are left out."""
    values = {name: results.values(name)[:, 0, :] for name in FITTED}
    done = np.isfinite(values[FITTED[0]]).any(axis=1)
    points = results.scenarios[list(FACTORS)].to_numpy(np.float64)
    return Wave(scaled(points[done]), {n: np.nanmean(v[done], axis=1) for n, v in values.items()})


def emulators(waves: Sequence[Wave]) -> dict[str, Emulator]:
    """Emulator of every fact from all waves.

    Waves have other seeds, and few of them: the level of earlier ones is moved to that of the last, whose replicates are
    more.
    """
    x = np.concatenate([w.x for w in waves])
    return {name: fit(x, np.concatenate(leveled(waves, name))) for name in FITTED}


def leveled(waves: Sequence[Wave], name: str) -> list[Float]:
    """Values of a fact in every wave, on the level of the last."""
    values = [np.asarray(w.facts[name]) for w in waves]
    for i in range(len(waves) - 1):
        ahead, _ = fit(waves[i].x, values[i]).predict(waves[-1].x)
        values[i] = values[i] + float(np.mean(values[-1] - ahead))
    return values


def explain(emulated: Mapping[str, Emulator], fitted: Sequence[str], seed: int) -> Posterior:
    """Posterior of the parameters given that some facts lie in their ranges."""
    use = {name: emulated[name] for name in fitted}
    draws = posterior(use, RANGES, len(FACTORS), seed)
    best = middle(use, RANGES, draws)
    return Posterior(tuple(fitted), draws, best, float(log_acceptance(use, RANGES, best[None])[0]))


def fitted_by_default() -> list[str]:
    """Components that the defaults are chosen by: all but those of held-out facts."""
    return [name for name in FITTED if name not in HELD_OUT]


def components_of(numbers: Sequence[int]) -> list[str]:
    """Fitted components of some facts, and the found share, which belongs to none."""
    wanted = {c.id for fact in FACTS if fact.number in numbers for c in fact.components}
    return [name for name in FITTED if name in wanted or name == FOUND.id]


def second_wave(emulated: Mapping[str, Emulator], points: int, seed: int) -> Design:
    """Design of the second wave: draws from the posterior of the first, evenly through it."""
    draws = explain(emulated, fitted_by_default(), seed).draws
    rows = unscaled(draws[np.linspace(0, len(draws) - 1, points).astype(np.int64)])
    return Design(
        kind="table", columns=tuple(FACTORS), rows=tuple(tuple(float(f"{v:.4g}") for v in row) for row in rows)
    )


# --------------------------------------------------------------------------- what is found


def posterior_table(found: Mapping[str, Posterior]) -> pd.DataFrame:
    """One row per parameter: its prior, median and 90 % range of each posterior, and its default."""
    now, rows = Parameters().flat(), []
    ranges = {label: unscaled(np.quantile(p.draws, SHOWN, axis=0)) for label, p in found.items()}
    for i, (name, (low, high, paths)) in enumerate(FACTORS.items()):
        row: dict[str, Any] = {"parameter": ", ".join(paths), "prior": f"{low:g} to {high:g}"}
        for label, quantiles in ranges.items():
            low_q, median, high_q = quantiles[:, i]
            row[label] = f"{median:.3g} ({low_q:.3g} to {high_q:.3g})"
        rows.append({**row, "default": f"{now[paths[0]]:g}", "factor": name})
    return pd.DataFrame(rows)


def emulator_table(
    emulated: Mapping[str, Emulator], waves: Sequence[Wave], found: Mapping[str, Posterior]
) -> pd.DataFrame:
    """One row per fact: range, mean over each posterior, standardised errors of points left out, and what moves it most."""
    x, rows = np.concatenate([w.x for w in waves]), []
    for name, emulator in emulated.items():
        errors = left_out(x, np.concatenate(leveled(waves, name)))
        strongest = np.argsort(-np.abs(emulator.coefficients[1 : 1 + len(FACTORS)]))[:3]
        row: dict[str, Any] = {"fact": name, "range": f"{RANGES[name].low:g} to {RANGES[name].high:g}"}
        for label, p in found.items():
            row[label] = f"{emulator.predict(p.draws)[0].mean():.3g}" + ("" if name in p.fitted else " (not fitted)")
        row |= {"sd of left-out errors": f"{errors.std():.2f}", "within 2": f"{(np.abs(errors) < 2).mean():.2f}"}
        rows.append({**row, "moved most by": ", ".join(list(FACTORS)[i] for i in strongest)})
    return pd.DataFrame(rows)


def screening_table(results: Results) -> pd.DataFrame:
    """One row per parameter: mean absolute elementary effect on every fact, in half ranges of the fact."""
    columns: dict[str, Any] = {"parameter": list(FACTORS)}
    for name in FITTED:
        effects, _ = morris_effects(results, results.values(name)[:, 0, :])
        columns[name] = np.abs(effects).mean(axis=(0, 2)) * 2 / (RANGES[name].high - RANGES[name].low)
    return pd.DataFrame(columns)


def rounded(best: Float) -> Parameters:
    """A community at a point, to three digits."""
    values = dict(zip(FACTORS, unscaled(best[None])[0].tolist(), strict=True))
    return parameters({n: round(v) if n in WHOLE else float(f"{v:.3g}") for n, v in values.items()})


def assignments(p: Parameters) -> list[str]:
    """The options of a command that make a community from the defaults."""
    return [f"--set {path}={value:g}" for path, value in p.changed().items()]


def run_all(run: Run, *, trajectories: int, points: int, second: int, seed: int) -> tuple[Results, list[Wave]]:
    """Make every run of the calibration: screening, first wave, second wave."""
    screening = run("screening", Design(kind="morris", n=trajectories), 1, seed)
    with run("first", Design(kind="lhs", n=points), 2, seed) as results:
        first = wave_of(results)
    with run("second", second_wave(emulators([first]), second, seed), SECOND_REPLICATES, seed + 1) as results:
        return screening, [first, wave_of(results)]
