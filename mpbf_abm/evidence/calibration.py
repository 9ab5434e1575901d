"""Calibration: its factors, the facts at a point (the model of its studies), emulators, posteriors, and their tables.

Parameters are moved together over stated ranges (a uniform prior), which stand in calibration.toml. Facts that are held
out, reductions and campaigns on pools play no part in the fit. The held-out ones are computed along, so that what the
fit does to them can be seen.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.linalg import cho_factor, cho_solve
from scipy.special import log_ndtr

from mpbf_abm.arrays import Float
from mpbf_abm.evidence.facts import learners
from mpbf_abm.evidence.facts.community import community
from mpbf_abm.evidence.facts.learners import simulated_labels
from mpbf_abm.evidence.facts.recorded import COMPONENTS, FACTS, Component
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.parameters import Parameters
from mpbf_abm.processes import one_thread
from mpbf_abm.streams import Streams
from mpbf_abm.studies.analyses import morris_effects
from mpbf_abm.studies.definition import Outcome, Replicates
from mpbf_abm.studies.design import Design
from mpbf_abm.studies.jobs import RunInput
from mpbf_abm.studies.results import Results
from mpbf_abm.studies.study import Study

MOVED: dict[str, Any] = tomllib.loads(Path(__file__).with_name("calibration.toml").read_text(encoding="utf-8"))
# What is moved: lowest and highest value, parameters that take it.
FACTORS: dict[str, tuple[float, float, tuple[str, ...]]] = {
    name: (f["low"], f["high"], tuple(f["paths"])) for name, f in MOVED["factors"].items()
}
WHOLE = tuple(name for name, f in MOVED["factors"].items() if f.get("whole"))
FITTED: tuple[str, ...] = tuple(MOVED["fitted"])
FOUND = Component("found_share", "found share of the top set", "share", 0.45, 0.3, 0.6)  # room to move both ways


def parameters(values: dict[str, Any]) -> Parameters:
    """Return parameters at a point of the calibration."""
    changes: dict[str, Any] = {}
    for name, value in values.items():
        changes |= dict.fromkeys(FACTORS[name][2], round(value) if name in WHOLE else float(value))
    if "space.bias_family" in changes:
        # The two shares leave the rest to the smooth part.
        changes["space.bias_smooth"] = 1.0 - changes["space.bias_family"] - changes["space.bias_scatter"]
    return Parameters.preset("single-default").updated(changes)


def evaluate(run: RunInput) -> dict[str, float]:
    """Return every fitted fact of one community, its materials and its learners."""
    return facts_at(parameters(dict(run.values)), run.seed)


def facts_at(p: Parameters, seed: int) -> dict[str, float]:
    """Return the fitted facts of a community with these parameters, on materials of the same seed."""
    with one_thread():
        space = MaterialsSpace.synthetic(p, seed=seed)
        out = simulated_labels(p, space, seed) | community(p, space, seed)
        for measure in learners.MEASURES:
            out |= measure(p, space, seed)
    return {name: out[name] for name in FITTED}


def study(name: str, design: Design, replicates: int, seed: int) -> Study:
    """Return the study of the facts over a design; all scenarios share their draws."""
    return Study(
        name=name,
        model=evaluate,
        seed=seed,
        crn="all",
        design=design,
        replicates=Replicates(n=replicates),
        outcomes={name: Outcome() for name in FITTED},
        parameters={name: {"low": float(low), "high": float(high)} for name, (low, high, _) in FACTORS.items()},
    )


# --------------------------------------------------------------------------- emulation

# Emulators of facts, and the posterior of parameters under which all facts lie in their ranges.
#
# A fact as a function of the parameters is emulated by a quadratic in each parameter and a Gaussian process on the
# rest (Kennedy and O'Hagan 2001). With a uniform prior and acceptance where every fact lies in its range, as in
# approximate Bayesian computation, the posterior density is the probability of acceptance under the emulators; it is
# drawn from by tempering (Del Moral et al. 2006).


LENGTHS = (0.7, 1.4, 2.8, 5.6)  # of the Gaussian process, per root of parameters, in half ranges
NUGGETS = (0.05, 0.2, 0.5, 0.9)  # shares of what the quadratic leaves that is noise of replicates
RIDGE = 1e-3
PARTICLES = 4_000
KEEP = 0.5  # effective share of the particles that one step of tempering leaves
MOVES = 8


@dataclass(frozen=True)
class Emulator:
    """An output as a function of parameters scaled to [-1, 1].

    Attributes
    ----------
    x : float (n, k)
    coefficients : float (2 k + 1,)
    weights : float (n,)
        Of the Gaussian process.
    factor : float (n, n)
        Cholesky factor of its covariance, in units of `variance`.
    inverse : float (2 k + 1, 2 k + 1)
        Of the normal equations of the quadratic.
    variance, noise, length : float
        Of the residuals that are a function, of those that are not, and correlation length.
    """

    x: Float
    coefficients: Float
    weights: Float
    factor: tuple[Float, bool]
    inverse: Float
    variance: float
    noise: float
    length: float

    def predict(self, x: Float) -> tuple[Float, Float]:
        """Return mean, and standard deviation of the expected output, at points (m,), (m,)."""
        basis = quadratic(x)
        near = correlation(x, self.x, self.length)
        mean = basis @ self.coefficients + near @ self.weights
        left = np.maximum(1.0 - np.einsum("mn,nm->m", near, cho_solve(self.factor, near.T)), 0.0)
        curve = np.einsum("mi,ij,mj->m", basis, self.inverse, basis)
        return mean, np.sqrt(self.variance * left + (self.variance + self.noise) * curve)


def quadratic(x: Float) -> Float:
    """Return the basis of the quadratic: 1, each parameter, each square (n, 2 k + 1)."""
    return np.concatenate([np.ones((len(x), 1)), x, x**2 - 1.0 / 3.0], axis=1)


def correlation(a: Float, b: Float, length: float) -> Float:
    """Return the Matern-5/2 correlation between points (m, n)."""
    squared = np.maximum((a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T, 0.0)
    r = np.sqrt(5 * squared) / (length * np.sqrt(a.shape[1]))
    return np.asarray((1 + r + r**2 / 3) * np.exp(-r))


def fit(x: Float, y: Float) -> Emulator:
    """Emulate an output; length and noise by the largest marginal likelihood of the residuals.

    Parameters
    ----------
    x : float (n, k)
        Parameters in [-1, 1].
    y : float (n,)
    """
    basis = quadratic(x)
    inverse = np.asarray(np.linalg.inv(basis.T @ basis + RIDGE * np.eye(basis.shape[1]) * len(x)), np.float64)
    coefficients = inverse @ (basis.T @ y)
    rest = y - basis @ coefficients
    total = max(float(rest @ rest) / max(len(y) - basis.shape[1], 1), 1e-12)
    best = -math.inf, 0.0, 0.0, np.zeros_like(rest), rest
    for length in LENGTHS:
        near = correlation(x, x, length)
        for share in NUGGETS:
            factor = cho_factor((1 - share) * near + share * np.eye(len(x)), lower=True)[0]
            solved = cho_solve((factor, True), rest)
            fitness = -0.5 * float(rest @ solved) / total - float(np.log(np.diag(factor)).sum())
            if fitness > best[0]:
                best = fitness, length, share, factor, solved
    fitness, length, share, factor, solved = best
    if fitness == -math.inf:
        raise ValueError("no emulator was tried")
    # Covariance with a point: (1 - share) k; `weights` and `factor` hold that scale.
    function, weights = (np.asarray(factor / np.sqrt(1 - share), np.float64), True), (1 - share) * solved
    return Emulator(x, coefficients, weights, function, inverse, (1 - share) * total, share * total, length)


def left_out(x: Float, y: Float, folds: int = 8) -> Float:
    """Return standardised errors of an output at points that were left out of the emulator in turn (n,)."""
    errors = np.empty(len(y))
    for fold in range(folds):
        out = np.arange(len(y)) % folds == fold
        emulator = fit(x[~out], y[~out])
        mean, sd = emulator.predict(x[out])
        errors[out] = (y[out] - mean) / np.sqrt(sd**2 + emulator.noise)
    return errors


def log_acceptance(emulators: Mapping[str, Emulator], ranges: Mapping[str, Component], x: Float) -> Float:
    """Return the log probability under the emulators that every output lies in its range, at points (m,)."""
    total = np.zeros(len(x))
    for name, emulator in emulators.items():
        mean, sd = emulator.predict(x)
        sd = np.maximum(sd, 1e-9)
        low, high = (ranges[name].low - mean) / sd, (ranges[name].high - mean) / sd
        # The logarithm of a difference of normal probabilities, taken in the tail where both are small.
        swap = low > 0
        a, b = log_ndtr(np.where(swap, -low, high)), log_ndtr(np.where(swap, -high, low))
        total += a + np.log1p(-np.exp(np.minimum(b - a, -1e-12)))
    return total


def posterior(
    emulators: Mapping[str, Emulator], ranges: Mapping[str, Component], k: int, seed: int, particles: int = PARTICLES
) -> Float:
    """Return draws of the parameters from the posterior, in [-1, 1] (particles, k)."""
    draws = Streams(seed).generator("calibration.posterior")
    x = draws.uniform(-1, 1, (particles, k))
    level, value = 0.0, log_acceptance(emulators, ranges, x)
    while level < 1.0:
        temperature = _next(level, value)
        weight = np.exp((temperature - level) * (value - value.max()))
        # Systematic resampling.
        edges = np.cumsum(weight / weight.sum())
        chosen = np.searchsorted(edges, (np.arange(particles) + draws.random()) / particles).clip(max=particles - 1)
        x, value, level = x[chosen], value[chosen], temperature
        for _ in range(MOVES):
            # Small and large steps in turn, along the spread that the particles have.
            step = draws.standard_normal((particles, k)) @ np.linalg.cholesky(np.cov(x.T) + 1e-9 * np.eye(k)).T
            step *= 2.4 / np.sqrt(k) * 10 ** draws.uniform(-1, 0, (particles, 1))
            near = x + step
            inside = (np.abs(near) <= 1).all(axis=1)
            other = np.full(particles, -np.inf)
            other[inside] = log_acceptance(emulators, ranges, near[inside])
            moved = np.log(draws.random(particles)) < level * (other - value)
            x, value = np.where(moved[:, None], near, x), np.where(moved, other, value)
    return x


def _next(level: float, value: Float) -> float:
    """Return the temperature at which half of the particles still count, by bisection; 1 if they do there."""
    low, high = level, 1.0
    if _effective(value, high - level) >= KEEP:
        return high
    for _ in range(40):
        centre = 0.5 * (low + high)
        low, high = (centre, high) if _effective(value, centre - level) >= KEEP else (low, centre)
    return high


def _effective(value: Float, step: float) -> float:
    """Return the share of the particles that still count where the temperature rises by a step."""
    weight = np.exp(step * (value - value.max()))
    return float(weight.sum() ** 2 / (weight**2).sum() / len(value))


def middle(emulators: Mapping[str, Emulator], ranges: Mapping[str, Component], x: Sequence[Float] | Float) -> Float:
    """Return the point, of some, at which all facts most probably lie in their ranges (k,)."""
    points = np.asarray(x)
    return np.asarray(points[int(np.argmax(log_acceptance(emulators, ranges, points)))])


# --------------------------------------------------------------------------- calibrate

# The calibration as it is run: screening, two waves, posteriors, and the documents' tables of them.

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
    """Parameters that a set of facts leaves open.

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
    """Return factor values in [-1, 1] (n, k)."""
    return np.asarray(2.0 * (values - LOW) / (HIGH - LOW) - 1.0)


def unscaled(x: Float) -> Float:
    """Return factor values (n, k) of points in [-1, 1]."""
    return np.asarray(LOW + (x + 1.0) / 2.0 * (HIGH - LOW))


def wave_of(results: Results) -> Wave:
    """Return points and facts of a study; points of which no run is done are left out."""
    values = {name: results.values(name)[:, 0, :] for name in FITTED}
    done = np.isfinite(values[FITTED[0]]).any(axis=1)
    points = results.scenarios[list(FACTORS)].to_numpy(np.float64)
    return Wave(scaled(points[done]), {n: np.nanmean(v[done], axis=1) for n, v in values.items()})


def emulators(waves: Sequence[Wave]) -> dict[str, Emulator]:
    """Return the emulator of every fact from all waves.

    Waves have other seeds, and few of them. The level of earlier ones is moved to that of the last, which has more
    replicates.
    """
    x = np.concatenate([w.x for w in waves])
    return {name: fit(x, np.concatenate(leveled(waves, name))) for name in FITTED}


def leveled(waves: Sequence[Wave], name: str) -> list[Float]:
    """Return values of a fact in every wave, on the level of the last."""
    values = [np.asarray(w.facts[name]) for w in waves]
    for i in range(len(waves) - 1):
        ahead, _ = fit(waves[i].x, values[i]).predict(waves[-1].x)
        values[i] = values[i] + float(np.mean(values[-1] - ahead))
    return values


def explain(emulated: Mapping[str, Emulator], fitted: Sequence[str], seed: int) -> Posterior:
    """Return the posterior of the parameters given that some facts lie in their ranges."""
    use = {name: emulated[name] for name in fitted}
    draws = posterior(use, RANGES, len(FACTORS), seed)
    best = middle(use, RANGES, draws)
    return Posterior(tuple(fitted), draws, best, float(log_acceptance(use, RANGES, best[None])[0]))


def fitted_by_default() -> list[str]:
    """Return components that the defaults are chosen by: all but those of held-out facts."""
    return [name for name in FITTED if name not in HELD_OUT]


def components_of(numbers: Sequence[int]) -> list[str]:
    """Return fitted components of some facts, and the found share, which belongs to none."""
    wanted = {c.id for fact in FACTS if fact.number in numbers for c in fact.components}
    return [name for name in FITTED if name in wanted or name == FOUND.id]


def second_wave(emulated: Mapping[str, Emulator], points: int, seed: int) -> Design:
    """Return the design of the second wave: draws from the posterior of the first, evenly through it."""
    draws = explain(emulated, fitted_by_default(), seed).draws
    at = unscaled(draws[np.linspace(0, len(draws) - 1, points).astype(np.int64)])
    rows = tuple(tuple(float(f"{v:.4g}") for v in row) for row in at)
    return Design(kind="table", columns=tuple(FACTORS), rows=rows)


# --------------------------------------------------------------------------- what is found


def posterior_table(found: Mapping[str, Posterior]) -> pd.DataFrame:
    """Return a row per parameter: its prior, median and 90 % range of each posterior, and its default."""
    now, rows = Parameters.preset("single-default").flat(), []
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
    """Return a row per fact: range, mean over each posterior, standardised errors of left-out points, what moves it."""
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
    """Return a row per parameter: mean absolute elementary effect on every fact, in half ranges of the fact."""
    columns: dict[str, Any] = {"parameter": list(FACTORS)}
    for name in FITTED:
        effects, _ = morris_effects(results, results.values(name)[:, 0, :])
        columns[name] = np.abs(effects).mean(axis=(0, 2)) * 2 / (RANGES[name].high - RANGES[name].low)
    return pd.DataFrame(columns)


def rounded(best: Float) -> Parameters:
    """Return a community at a point, to three digits."""
    values = dict(zip(FACTORS, unscaled(best[None])[0].tolist(), strict=True))
    return parameters({n: round(v) if n in WHOLE else float(f"{v:.3g}") for n, v in values.items()})


def assignments(p: Parameters) -> list[str]:
    """Return the options of a command that make a community from the preset single-default."""
    single = Parameters.preset("single-default").flat()
    return [f"--set {path}={value:g}" for path, value in p.flat().items() if value != single[path]]


def run_all(run: Run, *, trajectories: int, points: int, second: int, seed: int) -> tuple[Results, list[Wave]]:
    """Make every run of the calibration: screening, first wave, second wave."""
    screening = run("screening", Design(kind="morris", n=trajectories), 1, seed)
    with run("first", Design(kind="lhs", n=points), 2, seed) as results:
        first = wave_of(results)
    with run("second", second_wave(emulators([first]), second, seed), SECOND_REPLICATES, seed + 1) as results:
        return screening, [first, wave_of(results)]
