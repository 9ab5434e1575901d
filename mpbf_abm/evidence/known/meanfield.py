"""Rows K1-K5: the mean-field twin against the agent-based model, and against closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.evidence.known.communities import fold, known_fold, urn_moments
from mpbf_abm.evidence.known.mutations import mutation
from mpbf_abm.evidence.known.rows import Check, Knob, generator, mean_error, row, seeds
from mpbf_abm.measures.path import run_to
from mpbf_abm.model.commons import Commons
from mpbf_abm.model.community import Community
from mpbf_abm.model.curators import curator_attention
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.planners import choose_families
from mpbf_abm.model.publication import publish
from mpbf_abm.model.run import begin
from mpbf_abm.model.spec import RunSpec
from mpbf_abm.parameters import Parameters
from mpbf_abm.theory.twin import Twin, tick_noise, urn_variance

Float = NDArray[np.float64]

GAMMA = "reinforcement of curators and planners"
DELTA = "obsolescence per tick"


@cache
def tiny(families: int) -> MaterialsSpace:
    """Space that only has to have families; everything can be made, and measured equally well."""
    return MaterialsSpace.synthetic(materials=8 * families, families=families, feasible=1.0, difficulty=0.0)


def community(
    families: int,
    gamma: float,
    exploration: float,
    delta: float,
    curators: int,
    planners: int,
    mass: Sequence[float] | Float,
    **more: Any,
) -> Parameters:
    """Null MPBF with forgetting: one record per curator, one experiment per planner and tick."""
    changes: dict[str, Any] = {
        "space.families": families,
        "founding.records": 0,
        "founding.mass": tuple(float(a) for a in mass),
        "curators.count": curators,
        "curators.records": 1,
        "curators.reinforcement": gamma,
        "curators.exploration": exploration,
        "planners.count": planners,
        "planners.experiments": 1.0,
        "planners.reinforcement": gamma,
        "planners.exploration": exploration,
        "planners.neighbours": 0,
        "commons.forgetting": delta,
        "infrastructure.repositories": 1,
    }
    return Parameters.null(**(changes | more))


def history(p: Parameters, seed: int) -> Iterator[Community]:
    """One run of the model, from its founding on, tick by tick."""
    eco = begin(RunSpec(p, seed, space=tiny(p.space.families)), record=())
    yield eco
    while True:
        eco.step()
        yield eco


def trajectory(p: Parameters, seed: int) -> Iterator[Float]:
    """Records and mass of each family, from founding on (K,)."""
    return (eco.world.commons.visible().copy() for eco in history(p, seed))


def line(x: Float, y: Float, error: Float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Fit a line to independent points with known errors: intercept and slope, each with its error."""
    design = np.stack([np.ones_like(x), x], axis=1) / error[:, None]
    covariance = np.linalg.inv(design.T @ design)
    at = covariance @ design.T @ (y / error)
    deviation = np.sqrt(np.diag(covariance))
    return (float(at[0]), float(deviation[0])), (float(at[1]), float(deviation[1]))


# --------------------------------------------------------------------------- K1


@row(
    "K1",
    "strong error against the synchronous map falls as the root of size",
    "Kurtz 1971; van Kampen 1981",
    sizes=Knob(
        (8, 16, 32, 64, 128, 256),
        "curators, planners and a share of founding mass (at least 5)",
        low=4,
        high=100_000,
        fast=(8, 16, 32, 64, 128),
    ),
    runs=Knob(400, "runs of each size", low=20, high=100_000, fast=60),
    families=Knob(3, "families", low=2, high=50),
    gamma=Knob(1.5, GAMMA, low=-1, high=4),
    margin=Knob(0.4, "exploration: share of the way from the fold to 1", low=0.1, high=1),
    delta=Knob(0.2, DELTA, low=0.02, high=1),
    deposited=Knob(0.7, "share of experiments that become records", low=0, high=1),
    window=Knob(3.0, "length of a run in relaxation times; errors are averaged over the last third", low=1, high=20),
    bias_runs=Knob(120, "runs of each size with a learner and pseudo-labels", low=20, high=100_000, fast=30),
    pseudo_share=Knob(0.5, "share of pseudo-labels", low=0, high=1),
    pseudo_gain=Knob(1.2, "gain of pseudo-labels", low=0, high=1.5),
    retrain=Knob(2, "ticks between retrainings", low=1, high=1000),
)
def strong_error(
    seed: int,
    *,
    sizes: tuple[int, ...],
    runs: int,
    families: int,
    gamma: float,
    margin: float,
    delta: float,
    deposited: float,
    window: float,
    bias_runs: int,
    pseudo_share: float,
    pseudo_gain: float,
    retrain: int,
) -> list[Check]:
    """Distance of the model's shares, and of its records' mean bias, from the map's, over sizes."""
    enough("K1", sizes, 5)
    limit = fold(gamma, families) if gamma > 1 else 0.0
    exploration = limit + margin * (1 - limit)
    ticks = max(3, round(window / delta))
    late = slice(ticks - ticks // 3, ticks + 1)
    learner = {
        "trainers.count": 1,
        "trainers.head": "mean",
        "trainers.retrain_interval": retrain,
        "trainers.records": 1_000_000,
        "coupling.pseudo_share": pseudo_share,
        "coupling.pseudo_gain": pseudo_gain,
        "coupling.pseudo_anchor": "property",
        # Every label has the same variance, so that the learner's mean is that of all records.
        "modalities.simulated_noise": 0.0,
        "modalities.measured_noise": 0.0,
        "coupling.uncertainty_ral_isl": 0.0,
        "trainers.harmonisation": 0.0,
    }
    share, square, bias, bias_square, expected, leans = [], [], [], [], math.nan, {}
    for n in sorted(sizes):
        volume = 0.5 * n * (1 + deposited) / -math.expm1(-delta)
        weights = np.arange(1.0, families + 1)
        p = community(
            families,
            gamma,
            exploration,
            delta,
            n,
            n,
            volume * weights / weights.sum(),
            **{"coupling.outer_loop": deposited},
        )
        twin = Twin.from_parameters(p, tiny(families))
        off = np.array([list(islice(trajectory(p, s), late.start, late.stop)) for s in seeds(seed, f"K1.{n}", runs)])
        off = off / off.sum(axis=2, keepdims=True) - twin.map(ticks).shares[late]
        share.append(mean_error(0.5 * np.abs(off).sum(axis=2).mean(axis=1)))
        square.append(mean_error((off**2).sum(axis=2).mean(axis=1)))
        expected = float(np.mean([np.trace(c) for c in twin.share_spread(ticks)[late]]))
        p = p.updated(learner)
        path = Twin.from_parameters(p, tiny(families)).map(ticks)
        real = path.volume[late] - volume * np.exp(-delta * path.times[late])
        wanted = path.bias[late].sum(axis=1) / real
        gap = np.array(
            [list(islice(biases(p, s), late.start, late.stop)) for s in seeds(seed, f"K1.bias.{n}", bias_runs)]
        )
        bias.append(mean_error(np.abs(gap - wanted).mean(axis=1)))
        bias_square.append(mean_error(((gap - wanted) ** 2).mean(axis=1)))
        leans = {"shares": off[..., -1].mean(axis=1), "mean bias": (gap - wanted).mean(axis=1)}
    ratio = square[-1][0] / expected, square[-1][1] / expected
    return [
        *decline("shares", sizes, np.array(share), np.array(square)),
        Check(
            "shares: squared error at the largest size against its linear-noise value",
            1.0,
            *ratio,
            4 / max(sizes),
            note="tolerance: next order",
        ),
        *decline("mean bias", sizes, np.array(bias), np.array(bias_square)),
        *(
            Check(
                f"{k}: mean deviation at the largest size, in standard deviations",
                0.0,
                float(v.mean() / v.std(ddof=1)),
                1 / math.sqrt(len(v)),
                1 / math.sqrt(max(sizes)),
                note="tolerance: order N^-1/2",
            )
            for k, v in leans.items()
        ),
    ]


def enough(id: str, sizes: Sequence[int], count: int) -> None:
    """Refuse fewer sizes than a slope needs."""
    if len(set(sizes)) < count:
        raise ConfigurationError(f"{id}.sizes: needs at least {count} different sizes, not {len(set(sizes))}")


def biases(p: Parameters, seed: int) -> Iterator[float]:
    """Mean error of the model's records, from founding on (NaN before the first)."""
    for eco in history(p, seed):
        commons = eco.world.commons
        error = commons.value - eco.world.space.property[commons.material]
        yield float(error[commons.alive].mean(dtype=np.float64)) if commons.alive.any() else math.nan


def decline(name: str, sizes: Sequence[int], error: Float, square: Float) -> list[Check]:
    """Check that an error falls as the root of size, and that nothing of it stays.

    Parameters
    ----------
    name : str
    sizes : sequence of int (n,)
    error, square : float (n, 2)
        Mean absolute and mean squared error at each size, smallest first, with their standard errors.
    """
    size = np.sort(np.array(sizes, np.float64))
    half = len(size) // 2
    relative = error[:, 1] / error[:, 0]
    _, slope = line(np.log(size), np.log(error[:, 0]), relative)
    _, local = line(np.log(size[half:]), np.log(error[half:, 0]), relative[half:])
    stays, _ = line(1 / size[half:], square[half:, 0], square[half:, 1])
    return [
        Check(f"{name}: slope of ln error on ln size", -0.5, *slope, 0.1 / size[0], note="tolerance: order 1/size"),
        Check(f"{name}: slope over the larger half", -0.5, *local, 0.1 / size[0]),
        Check(
            f"{name}: squared error that would stay without end, in that of the largest size",
            0.0,
            stays[0] / square[-1, 0],
            stays[1] / square[-1, 0],
            2 / size[-1],
        ),
    ]


# --------------------------------------------------------------------------- K2


@row(
    "K2",
    "total volume, whatever the allocation",
    "linear birth and death",
    runs=Knob(300, "runs of each allocation", low=10, high=100_000, fast=40),
    families=Knob(4, "families", low=1, high=50),
    gamma=Knob(2.0, GAMMA, low=-1, high=4),
    exploration=Knob(0.1, "exploration of curators and planners", low=0, high=1),
    delta=Knob(0.1, DELTA, low=0.001, high=2),
    deposited=Knob(0.6, "share q of experiments that become records", low=0, high=1),
    curators=Knob(8, "records per tick", low=0, high=10_000),
    planners=Knob(10, "experiments per tick", low=1, high=10_000),
    mass=Knob(20.0, "founding mass", low=0, high=1e6, above=True),
    records=Knob(100, "founding records", low=0, high=100_000),
    ticks=Knob(25, "length of a run", low=1, high=10_000),
)
def total_volume(
    seed: int,
    *,
    runs: int,
    families: int,
    gamma: float,
    exploration: float,
    delta: float,
    deposited: float,
    curators: int,
    planners: int,
    mass: float,
    records: int,
    ticks: int,
) -> list[Check]:
    """Total of records and mass in the model, the map and the ODE."""
    rate, start, keep = planners * deposited + curators, mass + records, math.exp(-delta)
    ends = {"ODE": rate / delta, "map": rate / (1 - keep)}
    closed = {name: end + (start - end) * keep**ticks for name, end in ends.items()}
    out = []
    for label, g, e in (("reinforced", gamma, exploration), ("uniform", 0.0, 1.0)):
        p = community(
            families,
            g,
            e,
            delta,
            curators,
            planners,
            np.full(families, mass / families),
            **{"coupling.outer_loop": deposited, "founding.records": records},
        )
        twin = Twin.from_parameters(p, tiny(families))
        out += [
            Check(
                f"{label}: ODE at the end",
                closed["ODE"],
                float(twin.ode([0, ticks]).volume[-1]),
                0,
                1e-8 * start + 1e-6,
            ),
            Check(f"{label}: map at the end", closed["map"], float(twin.map(ticks).volume[-1]), 0, 1e-8 * start + 1e-6),
        ]
        totals = [run_to(p, s, ticks, space=tiny(families)).sum() for s in seeds(seed, f"K2.{label}", runs)]
        out.append(Check(f"{label}: model, mean at the end", closed["map"], *mean_error(totals)))
        # Every record is thinned by itself, and every deposit is a draw of its own.
        left = keep ** np.arange(ticks)
        chance = np.concatenate(
            [np.full(records, keep**ticks), np.repeat(left, curators), np.repeat(deposited * left, planners)]
        )
        each = chance * (1 - chance)
        spread = float(each.sum())
        # Exact error of a sample variance, from the fourth cumulant of such a sum.
        error = math.sqrt(float((each * (1 - 6 * each)).sum()) / runs + 2 * spread**2 / (runs - 1))
        out.append(
            Check(f"{label}: model, variance at the end", spread, float(np.var(totals, ddof=1)), error, 1e-9 * start**2)
        )
    far = {"ODE": twin.volume([50 / delta], "ode"), "map": twin.volume([50 / delta], "map")}
    return out + [Check(f"{k}: without end", ends[k], float(far[k][0]), 0, 1e-9 * (ends[k] + start)) for k in ends]


# --------------------------------------------------------------------------- K3


@row(
    "K3",
    "founding mass decides how much chance can do",
    "Polya 1930; Eggenberger & Polya 1923",
    mass=Knob((2.0, 1.0), "founding mass of the two families", low=0, high=1000, above=True),
    batch=Knob(20, "records of a batch", low=2, high=10_000),
    ticks=Knob(100, "records, one at a time", low=1, high=100_000, fast=20),
    batches=Knob(40, "batches", low=1, high=100_000, fast=10),
    runs=Knob(2000, "runs", low=50, high=1_000_000, fast=150),
)
def founding_mass(
    seed: int, *, mass: tuple[float, ...], batch: int, ticks: int, batches: int, runs: int
) -> list[Check]:
    """Variance of the first family's share, one record at a time and in batches."""
    if len(mass) != 2:
        raise ConfigurationError(f"K3.mass has {len(mass)} entries: must have 2")
    a, b = mass
    total, x0 = a + b, a / (a + b)
    out = []
    for label, m, T in (("one at a time", 1, ticks), (f"batches of {batch}", batch, batches)):
        p = community(2, 1.0, 0.0, 0.0, m, 0, (a, b))
        shares = [run_to(p, s, T, space=tiny(2)) for s in seeds(seed, f"K3.{m}", runs)]
        grown = total + m * np.arange(1, T + 1)
        variance = x0 * (1 - x0) * (1 - float(np.prod(1 - m / grown**2)))
        spread, fourth = urn_moments(a, total, m, T)
        error = math.sqrt((fourth - spread**2 * (runs - 3) / (runs - 1)) / runs)
        measured = float(np.var([x[0] / x.sum() for x in shares], ddof=1))
        out.append(Check(f"{label}: variance after {T} ticks", variance, measured, error))
        out.append(Check(f"{label}: twin", variance, urn_variance(a, total, np.full(T, m)), 0, 1e-12))
    # The tail of the product beyond n batches is 1/n of it.
    limit = urn_variance(a, total, np.ones(200_000))
    out.append(Check("without end, one at a time", x0 * (1 - x0) / (total + 1), limit, 0, 1e-4 * limit))
    return out


# --------------------------------------------------------------------------- K4


@row(
    "K4",
    "the twin keeps a symmetric unstable state, the model leaves it after ln N / (2 lambda)",
    "Kurtz 1971",
    sizes=Knob(
        (1, 4, 16, 64),
        "sizes, in that at which early noise is `noise` of the border (at least 3)",
        low=1,
        high=10_000,
        fast=(1, 3, 9),
    ),
    runs=Knob(400, "runs of each size", low=20, high=100_000, fast=40),
    families=Knob(3, "families", low=2, high=20),
    gamma=Knob(2.0, GAMMA, low=1.4, high=4),
    depth=Knob(0.8, "exploration: how far from eps_c down to 0", low=0.5, high=1),
    delta=Knob(0.3, DELTA, low=0.02, high=1),
    passed=Knob(
        0.5,
        "distance from equality that counts as broken (the border), in that of the locked-in state",
        low=0.3,
        high=0.8,
    ),
    noise=Knob(0.1, "early noise of a family's share at size 1, in the border", low=0.01, high=0.25, fast=0.2),
)
def symmetry_breaking(
    seed: int,
    *,
    sizes: tuple[int, ...],
    runs: int,
    families: int,
    gamma: float,
    depth: float,
    delta: float,
    passed: float,
    noise: float,
) -> list[Check]:
    """Time at which equal families have become unequal, over sizes."""
    enough("K4", sizes, 3)
    exploration = (1 - 1 / gamma) * (1 - depth)
    # Shares follow the allocation at the rate at which records are renewed.
    rate = math.log(math.exp(-delta) - math.expm1(-delta) * gamma * (1 - exploration))

    def equal(curators: int) -> Parameters:
        mass = np.full(families, curators / -math.expm1(-delta) / families)
        return community(families, gamma, exploration, delta, curators, 0, mass)

    one = Twin.from_parameters(equal(1), tiny(families))
    border = passed * (one.locked_in(exploration) - 1 / families)
    # Variances fall as 1/size.
    unit = math.ceil(gathered(one, rate)[0, 0] / (one.start.sum() * noise * border) ** 2)
    counts = np.array(sorted(set(sizes))) * unit
    times, broken, horizon, twin = [], 0, 0, one
    for n in counts:
        p = equal(int(n))
        twin = Twin.from_parameters(p, tiny(families))
        horizon = math.ceil((math.log(n) / 2 + 14) / rate)
        passages = np.array([passage(trajectory(p, s), border, horizon) for s in seeds(seed, f"K4.{n}", runs)])
        broken += int(np.isfinite(passages).sum())
        times.append(mean_error(np.minimum(passages, horizon)))
    mean, sd = np.array(times).T
    _, slope = line(np.log(counts), mean, sd)
    carried = mean_error(carried_passages(twin, rate, border, horizon, generator(seed, "K4.noise")))
    early = noise / math.sqrt(min(sizes))
    paths = {"map": twin.map(horizon), "ODE": twin.ode(np.arange(horizon + 1.0))}
    return [
        *(
            Check(f"{k}: largest difference between families", 0.0, float(np.ptp(v.records, axis=1).max()))
            for k, v in paths.items()
        ),
        Check("map: growth per tick", rate, math.log(twin.growth(twin.start)), 0, 1e-9),
        Check(
            "model: share of runs that broke",
            1.0,
            broken / (runs * len(counts)),
            0,
            0.002,
            note="tolerance: the horizon",
        ),
        Check(
            "model: slope of the time on ln N, times 2 lambda",
            1.0,
            slope[0] * 2 * rate,
            slope[1] * 2 * rate,
            early,
            note="tolerance: early noise of the smallest size, in the border",
        ),
        Check(
            "model: mean time at the largest size, against early noise that the map carries on",
            carried[0],
            mean[-1],
            math.hypot(carried[1], sd[-1]),
            1 / math.sqrt(counts[-1]) / rate,
            note="tolerance: order N^-1/2",
        ),
    ]


def passage(states: Iterable[Float], border: float, horizon: int) -> float:
    """Time at which the largest share passes a border above equality, between ticks by its exponential growth."""
    before = 0.0
    for tick, x in enumerate(islice(states, horizon + 1)):
        gap = float(x.max() / x.sum()) - 1 / len(x)
        if gap >= border:
            return tick - (math.log(gap / border) / math.log(gap / before) if before > 0 else 0.0)
        before = gap
    return math.inf


def gathered(twin: Twin, rate: float) -> Float:
    """Covariance of the differences between families at the start that are worth all later noise (K, K)."""
    K, x = twin.families, twin.start
    total = np.zeros((K, K))
    for t in range(math.ceil(20 / rate)):
        total += math.exp(-2 * rate * (t + 1)) * tick_noise(twin, x, twin.mass * math.exp(-twin.forgetting * t))
    out = np.eye(K) - 1 / K
    return np.asarray(out @ total @ out)


def carried_passages(
    twin: Twin, rate: float, border: float, horizon: int, generator: np.random.Generator, count: int = 400
) -> list[float]:
    """Times of passage of the map where all the noise is put in at the start."""
    values, vectors = np.linalg.eigh(gathered(twin, rate))
    draws = generator.standard_normal((count, twin.families)) * np.sqrt(np.maximum(values, 0))
    return [passage(lazy(twin, np.maximum(twin.start + vectors @ z, 0)), border, horizon) for z in draws]


def lazy(twin: Twin, x: Float) -> Iterator[Float]:
    """Records along the map, as far as somebody asks."""
    nothing = np.zeros_like(x)
    while True:
        yield x
        x = twin.step(x, nothing, math.nan, 0)[0]


# --------------------------------------------------------------------------- K5


@row(
    "K5",
    "shares follow (lambda/V)(p(x) - x), so the thresholds of the urn hold without fitting",
    "Arthur 1989; Benaim 1999",
    families=Knob(5, "families", low=2, high=200),
    gamma=Knob(2.0, GAMMA, low=1.05, high=4),
    exploration=Knob(0.3, "exploration of curators and planners", low=0, high=1),
    delta=Knob(0.1, DELTA, low=0, high=2),
    curators=Knob(3, "records per tick", low=0, high=10_000),
    planners=Knob(4, "experiments per tick", low=1, high=10_000),
    deposited=Knob(0.6, "share of experiments that become records", low=0.05, high=1),
    ticks=Knob(60, "time followed", low=1, high=10_000),
)
def shares_and_thresholds(
    seed: int,
    *,
    families: int,
    gamma: float,
    exploration: float,
    delta: float,
    curators: int,
    planners: int,
    deposited: float,  # noqa: ARG001
    ticks: int,
) -> list[Check]:
    """The twin's shares against their own equation, and its thresholds against the urn's."""
    mass = np.arange(1.0, families + 1)
    p = community(families, gamma, exploration, delta, curators, planners, mass, **{"coupling.outer_loop": deposited})
    twin = Twin.from_parameters(p, tiny(families))
    rate, start = curators + planners * deposited, mass.sum()

    def slope(t: float, x: Float) -> Float:
        volume = start + rate * t if delta == 0 else rate / delta + (start - rate / delta) * math.exp(-delta * t)
        grown = np.maximum(x, 0) ** gamma
        drawn = exploration / families + (1 - exploration) * grown / grown.sum()
        return np.asarray(rate / volume * (drawn - x))

    at = np.linspace(0.0, ticks, 50)
    own = solve_ivp(slope, (0.0, float(ticks)), mass / start, "LSODA", t_eval=at, rtol=1e-10, atol=1e-13).y.T
    limits = twin.thresholds()
    closed = known_fold(gamma, families)
    return [
        Check(
            "shares: largest distance of the ODE from their equation",
            0.0,
            float(np.abs(twin.ode(at).shares - own).max()),
            0,
            1e-7,
        ),
        Check("eps_c: 1 - 1/gamma", 1 - 1 / gamma, limits.symmetric, 0, 1e-10),
        Check("eps_sn: fold of the locked-in state", closed, limits.fold, 0, 1e-7),
        *sides(twin, limits.fold, families),
    ]


def sides(twin: Twin, top: float, families: int) -> list[Check]:
    """Lead of the winner that is left, on either side of the fold, of a start close to monopoly."""
    locked = np.concatenate([[0.98], np.full(families - 1, 0.02 / (families - 1))])
    lead = []
    for exploration in (0.9 * top, min(1.0, 1.1 * top)):
        beside = twin.exploring(exploration)

        # In the time of the shares, so that neither rates nor forgetting matter.
        def slope(t: float, x: Float, beside: Twin = beside) -> Float:  # noqa: ARG001
            return np.asarray(beside.allocation(x) - x)

        end = solve_ivp(slope, (0.0, 3000.0), locked, "LSODA", rtol=1e-9, atol=1e-11).y[:, -1]
        lead.append(float(end.max()) - 1 / families)
    return [
        Check(
            "below the fold: the winner's lead at the end", twin.locked_in(0.9 * top) - 1 / families, lead[0], 0, 1e-5
        ),
        Check("above the fold: the winner's lead at the end", 0.0, lead[1], 0, 1e-5),
    ]


# --------------------------------------------------------------------------- wrong rules


def removal_last(right: Callable[..., Any]) -> Callable[..., Any]:
    """Take the obsolete records after the new ones have come."""

    def step(twin: Twin, x: Float, bias: Float, model: float, tick: int) -> tuple[Float, Float, float]:
        kept = math.exp(-twin.forgetting)
        x, bias, model = right(replace(twin, forgetting=0.0), x, bias, model, tick)
        return kept * x, kept * bias, model

    return step


mutation("the map removes records after adding new ones", Twin.step, removal_last, "K1", "K2")
mutation(
    "founding mass does not decay",
    Commons.decay,
    lambda right: lambda commons, *a: _restored(commons, right, a),
    "K1",
    "K2",
    "K4",
    "U8",
    "M4",
    "F11",
)
mutation(
    "planners take the family after the one they chose",
    choose_families,
    lambda right: lambda world, *a: (right(world, *a) + 1) % world.space.families,
    "K1",
    "U0",
    "W1",
)
mutation("retraining keeps what the learner knew", Twin.learned, lambda right: lambda *a: 0.5 * right(*a), "K1")
mutation(
    "no result is deposited",
    publish,
    lambda right: lambda world, results: _withheld(world, right, results),
    "K1",
    "K2",
    "U0",
    "M7",
)
mutation(
    "a batch is drawn one record at a time",
    urn_variance,
    lambda right: lambda a, total, batches: right(a, total, np.ones(int(np.sum(batches)))),
    "K3",
    "U1",
)
mutation(
    "reinforcement one unit too strong",
    curator_attention,
    lambda right: lambda world: _sharpened(world, right(world)),
    "K1",
    "K3",
    "K4",
    "U0",
    "U1",
    "U2",
    "U3",
    "U4",
    "U5",
    "U6",
    "U7",
    "U9",
    "U11",
    "M4",
    "F11",
)
mutation(
    "equal families not quite equal in the map",
    Twin.step,
    lambda right: lambda twin, x, *a: right(twin, x * (1 + 1e-9 * np.arange(len(x))), *a),
    "K4",
)
mutation(
    "the derivative of attention forgets that shares sum to 1",
    Twin.attend_jacobian,
    lambda right: lambda twin, source, x: right(twin, source, x) + np.diag(0.1 * twin.attend(source, x) / x),
    "K4",
    "K5",
    "U7",
)
mutation(
    "the ODE takes one source twice",
    Twin.inflow,
    lambda right: lambda twin, x: right(replace(twin, curators=twin.planners), x),
    "K2",
    "K4",
    "K5",
    "U7",
    "U8",
)


def _restored(commons: Any, right: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    mass = commons.mass.copy()
    gone = right(commons, *arguments)
    commons.mass[...] = mass
    commons._recount()
    return gone


def _withheld(world: Any, right: Callable[..., Any], results: Any) -> None:
    own, world.p = world.p, world.p.replace("coupling.outer_loop", 0.0)
    right(world, results)
    world.p = own


def _sharpened(world: Any, share: Float) -> Float:
    sharp = share * world.commons.visible()
    return np.asarray(sharp / sharp.sum(axis=1, keepdims=True))
