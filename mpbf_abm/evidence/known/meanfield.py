"""Rows K1-K5: the mean-field twin against the agent-based model, and against closed forms."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from itertools import islice
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

from mpbf_abm.arrays import Float
from mpbf_abm.errors import refuse
from mpbf_abm.evidence.known.rows import (
    Check,
    fold,
    generator,
    grouped,
    known_fold,
    mean_error,
    mutation,
    parameter,
    reinforcing,
    row,
    seeds,
    urn_moments,
)
from mpbf_abm.measures.path import run_to
from mpbf_abm.model.commons import Commons
from mpbf_abm.model.community import Community
from mpbf_abm.model.curators import curator_attention
from mpbf_abm.model.forgetting import decay
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.planners import choose_families
from mpbf_abm.model.publication import publish
from mpbf_abm.model.run import begin
from mpbf_abm.model.spec import RunSpec
from mpbf_abm.model.world import World
from mpbf_abm.parameters import Parameters
from mpbf_abm.theory.twin import Twin, tick_noise, urn_variance

# Sources of rows.
ARTHUR = "Arthur 1989; Benaim 1999"

GAMMA = "reinforcement of curators and planners"
DELTA = "obsolescence per tick"
SIZES = (8, 16, 32, 64, 128, 256)
SIZES_OF_NOISE = "sizes, in that at which early noise is `noise` of the border (at least 3)"


@cache
def tiny(families: int) -> MaterialsSpace:
    """Space that only has to have families; everything can be made, and measured equally well."""
    return MaterialsSpace.synthetic(
        Parameters.preset("single-default"),
        seed=0,
        materials=8 * families,
        families=families,
        feasible=1.0,
        difficulty=0.0,
    )


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
    """Return null MPBF with forgetting: one record per curator, one experiment per planner and tick."""
    changes = reinforcing(gamma, exploration) | grouped(
        space={"families": families},
        founding={"records": 0, "mass": tuple(float(a) for a in mass)},
        curators={"count": curators, "records": 1},
        planners={"count": planners, "experiments": 1.0, "neighbours": 0},
        commons={"forgetting": delta},
        infrastructure={"repositories": 1},
    )
    return Parameters.null(**(changes | more))


def trajectory(p: Parameters, seed: int) -> Iterator[Float]:
    """Yield the records and mass of each family, from founding on, as far as asked for (K,)."""
    eco = begin(RunSpec(p, seed, space=tiny(p.space.families)), record=())
    while True:
        yield eco.world.commons.visible().copy()
        eco.step()


def line(x: Float, y: Float, error: Float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Fit a line to independent points with known errors: intercept and slope, each with its error."""
    design = np.stack([np.ones_like(x), x], axis=1) / error[:, None]
    covariance = np.linalg.inv(design.T @ design)
    at = covariance @ design.T @ (y / error)
    deviation = np.sqrt(np.diag(covariance))
    return (float(at[0]), float(deviation[0])), (float(at[1]), float(deviation[1]))


# --------------------------------------------------------------------------- K1


@row("K1", "strong error against the synchronous map falls as the root of size", "Kurtz 1971; van Kampen 1981")
def strong_error(
    seed: int,
    sizes: tuple[int, ...] = parameter(
        SIZES, "curators, planners and a share of founding mass (at least 5)", 4, 100_000, fast=SIZES[:5]
    ),
    runs: int = parameter(400, "runs of each size", 20, 100_000, fast=60),
    families: int = parameter(3, "families", 2, 50),
    gamma: float = parameter(1.5, GAMMA, -1, 4),
    margin: float = parameter(0.4, "exploration: share of the way from the fold to 1", 0.1, 1),
    delta: float = parameter(0.2, DELTA, 0.02, 1),
    deposited: float = parameter(0.7, "share of experiments that become records", 0, 1),
    window: float = parameter(
        3.0, "length of a run in relaxation times; errors are averaged over the last third", 1, 20
    ),
    bias_runs: int = parameter(120, "runs of each size with a learner and pseudo-labels", 20, 100_000, fast=30),
    pseudo_share: float = parameter(0.5, "share of pseudo-labels", 0, 1),
    pseudo_gain: float = parameter(1.2, "gain of pseudo-labels", 0, 1.5),
    retrain: int = parameter(2, "ticks between retrainings", 1, 1000),
) -> Iterator[Check]:
    """Distance of the model's shares, and of its records' mean bias, from the map's, over sizes."""
    enough("K1", sizes, 5)
    limit = fold(gamma, families) if gamma > 1 else 0.0
    ticks = max(3, round(window / delta))
    at = range(ticks - ticks // 3, ticks + 1)
    late = slice(at.start, at.stop)
    # Every label has the same variance, so that the learner's mean is that of all records.
    learner = grouped(
        trainers={"count": 1, "head": "mean", "retrain_interval": retrain, "records": 1_000_000, "harmonisation": 0.0},
        coupling={"pseudo_share": pseudo_share, "pseudo_gain": pseudo_gain, "pseudo_anchor": "property"},
        modalities={"simulated_noise": 0.0, "measured_noise": 0.0},
    ) | {"coupling.uncertainty_ral_isl": 0.0}
    weights = np.arange(1.0, families + 1)
    errors: dict[str, list[Any]] = {"shares": [], "mean bias": []}
    for n in sorted(sizes):
        volume = 0.5 * n * (1 + deposited) / -math.expm1(-delta)
        mass, exploration = volume * weights / weights.sum(), limit + margin * (1 - limit)
        p = community(families, gamma, exploration, delta, n, n, mass, **{"coupling.outer_loop": deposited})
        twin = Twin.from_parameters(p, tiny(families))
        x = np.array([run_to(p, s, at, space=tiny(families)) for s in seeds(seed, f"K1.{n}", runs)])
        off = x / x.sum(axis=2, keepdims=True) - twin.map(ticks).shares[late]
        total = 0.5 * np.abs(off).sum(axis=2), (off**2).sum(axis=2)
        p = p.updated(learner)
        path = Twin.from_parameters(p, tiny(families)).map(ticks)
        real = path.volume[late] - volume * np.exp(-delta * path.times[late])
        keys = seeds(seed, f"K1.bias.{n}", bias_runs)
        gap = np.array([run_to(p, s, at, space=tiny(families), observe=mean_bias) for s in keys])
        gap -= path.bias[late].sum(axis=1) / real
        for name, sizes_of in (("shares", total), ("mean bias", (np.abs(gap), gap**2))):
            errors[name].append([mean_error(v.mean(axis=1)) for v in sizes_of])
    expected = float(np.mean([np.trace(c) for c in twin.share_spread(ticks)[late]]))
    square, error = (v / expected for v in errors["shares"][-1][1])
    name = "shares: squared error at the largest size against its linear-noise value"
    yield from decline("shares", sizes, np.array(errors["shares"]))
    yield Check(name, 1.0, square, error, 4 / max(sizes), note="tolerance: next order")
    yield from decline("mean bias", sizes, np.array(errors["mean bias"]))
    for k, v in {"shares": off[..., -1].mean(axis=1), "mean bias": gap.mean(axis=1)}.items():
        name, order = f"{k}: mean deviation at the largest size, in standard deviations", 1 / math.sqrt(max(sizes))
        standard = float(v.mean() / v.std(ddof=1))
        yield Check(name, 0.0, standard, 1 / math.sqrt(len(v)), order, note="tolerance: order N^-1/2")


def enough(id: str, sizes: Sequence[int], count: int) -> None:
    """Refuse fewer sizes than a slope needs."""
    refuse(len(set(sizes)) < count, f"{id}.sizes: needs at least {count} different sizes, not {len(set(sizes))}")


def mean_bias(eco: Community) -> float:
    """Return the mean error of the model's records (NaN without any)."""
    commons = eco.world.commons
    error = commons.value - eco.world.space.property[commons.material]
    return float(error[commons.alive].mean(dtype=np.float64)) if commons.alive.any() else math.nan


def decline(name: str, sizes: Sequence[int], errors: Float) -> Iterator[Check]:
    """Check that an error falls as the root of size, and that nothing of it stays.

    Parameters
    ----------
    name : str
    sizes : sequence of int (n,)
    errors : float (n, 2, 2)
        Mean absolute and mean squared error at each size, smallest first, each with its standard error.
    """
    size = np.sort(np.array(sizes, np.float64))
    error, square = errors[:, 0], errors[:, 1]
    half = len(size) // 2
    relative = error[:, 1] / error[:, 0]
    _, slope = line(np.log(size), np.log(error[:, 0]), relative)
    _, local = line(np.log(size[half:]), np.log(error[half:, 0]), relative[half:])
    stays, _ = line(1 / size[half:], square[half:, 0], square[half:, 1])
    stay, stay_error = stays[0] / square[-1, 0], stays[1] / square[-1, 0]
    yield Check(f"{name}: slope of ln error on ln size", -0.5, *slope, 0.1 / size[0], note="tolerance: order 1/size")
    yield Check(f"{name}: slope over the larger half", -0.5, *local, 0.1 / size[0])
    name += ": squared error that would stay without end, in that of the largest size"
    yield Check(name, 0.0, stay, stay_error, 2 / size[-1])


# --------------------------------------------------------------------------- K2


@row("K2", "total volume, whatever the allocation", "linear birth and death")
def total_volume(
    seed: int,
    runs: int = parameter(300, "runs of each allocation", 10, 100_000, fast=40),
    families: int = parameter(4, "families", 1, 50),
    gamma: float = parameter(2.0, GAMMA, -1, 4),
    exploration: float = parameter(0.1, "exploration of curators and planners", 0, 1),
    delta: float = parameter(0.1, DELTA, 0.001, 2),
    deposited: float = parameter(0.6, "share q of experiments that become records", 0, 1),
    curators: int = parameter(8, "records per tick", 0, 10_000),
    planners: int = parameter(10, "experiments per tick", 1, 10_000),
    mass: float = parameter(20.0, "founding mass", 0, 1e6, True),
    records: int = parameter(100, "founding records", 0, 100_000),
    ticks: int = parameter(25, "length of a run", 1, 10_000),
) -> Iterator[Check]:
    """Total of records and mass in the model, the map and the ODE."""
    rate, start, keep = planners * deposited + curators, mass + records, math.exp(-delta)
    ends = {"ODE": rate / delta, "map": rate / (1 - keep)}
    closed = {name: end + (start - end) * keep**ticks for name, end in ends.items()}
    more = {"coupling.outer_loop": deposited, "founding.records": records}
    equal, rounding = np.full(families, mass / families), 1e-8 * start + 1e-6
    for label, g, e in (("reinforced", gamma, exploration), ("uniform", 0.0, 1.0)):
        p = community(families, g, e, delta, curators, planners, equal, **more)
        twin = Twin.from_parameters(p, tiny(families))
        for name, path in (("ODE", twin.ode([0, ticks])), ("map", twin.map(ticks))):
            yield Check(f"{label}: {name} at the end", closed[name], float(path.volume[-1]), 0, rounding)
        totals = [run_to(p, s, ticks, space=tiny(families)).sum() for s in seeds(seed, f"K2.{label}", runs)]
        yield Check(f"{label}: model, mean at the end", closed["map"], *mean_error(totals))
        # Every record is thinned by itself, and every deposit is a separate draw.
        left = keep ** np.arange(ticks)
        entered = np.repeat(left, curators), np.repeat(deposited * left, planners)
        chance = np.concatenate([np.full(records, keep**ticks), *entered])
        each = chance * (1 - chance)
        spread, measured = float(each.sum()), float(np.var(totals, ddof=1))
        # Exact error of a sample variance, from the fourth cumulant of such a sum.
        error = math.sqrt(float((each * (1 - 6 * each)).sum()) / runs + 2 * spread**2 / (runs - 1))
        yield Check(f"{label}: model, variance at the end", spread, measured, error, 1e-9 * start**2)
    for k, end in ends.items():
        far = float(twin.volume([50 / delta], "ode" if k == "ODE" else "map")[0])
        yield Check(f"{k}: without end", end, far, 0, 1e-9 * (end + start))


# --------------------------------------------------------------------------- K3


@row("K3", "founding mass decides how much chance can do", "Polya 1930; Eggenberger & Polya 1923")
def founding_mass(
    seed: int,
    mass: tuple[float, ...] = parameter((2.0, 1.0), "founding mass of the two families", 0, 1000, True),
    batch: int = parameter(20, "records of a batch", 2, 10_000),
    ticks: int = parameter(100, "records, one at a time", 1, 100_000, fast=20),
    batches: int = parameter(40, "batches", 1, 100_000, fast=10),
    runs: int = parameter(2000, "runs", 50, 1_000_000, fast=150),
) -> Iterator[Check]:
    """Variance of the first family's share, one record at a time and in batches."""
    refuse(len(mass) != 2, f"K3.mass has {len(mass)} entries: must have 2")
    a, b = mass
    total, x0 = a + b, a / (a + b)
    for label, m, T in (("one at a time", 1, ticks), (f"batches of {batch}", batch, batches)):
        p = community(2, 1.0, 0.0, 0.0, m, 0, (a, b))
        shares = [run_to(p, s, T, space=tiny(2)) for s in seeds(seed, f"K3.{m}", runs)]
        grown = total + m * np.arange(1, T + 1)
        variance = x0 * (1 - x0) * (1 - float(np.prod(1 - m / grown**2)))
        spread, fourth = urn_moments(a, total, m, T)
        error = math.sqrt((fourth - spread**2 * (runs - 3) / (runs - 1)) / runs)
        measured = float(np.var([x[0] / x.sum() for x in shares], ddof=1))
        yield Check(f"{label}: variance after {T} ticks", variance, measured, error)
        yield Check(f"{label}: twin", variance, urn_variance(a, total, np.full(T, m)), 0, 1e-12)
    # The tail of the product beyond n batches is 1/n of it.
    limit = urn_variance(a, total, np.ones(200_000))
    yield Check("without end, one at a time", x0 * (1 - x0) / (total + 1), limit, 0, 1e-4 * limit)


# --------------------------------------------------------------------------- K4


@row("K4", "the twin keeps a symmetric unstable state, the model leaves it after ln N / (2 lambda)", "Kurtz 1971")
def symmetry_breaking(
    seed: int,
    sizes: tuple[int, ...] = parameter((1, 4, 16, 64), SIZES_OF_NOISE, 1, 10_000, fast=(1, 3, 9)),
    runs: int = parameter(400, "runs of each size", 20, 100_000, fast=40),
    families: int = parameter(3, "families", 2, 20),
    gamma: float = parameter(2.0, GAMMA, 1.4, 4),
    depth: float = parameter(0.8, "exploration: how far from eps_c down to 0", 0.5, 1),
    delta: float = parameter(0.3, DELTA, 0.02, 1),
    passed: float = parameter(
        0.5, "distance from equality that counts as broken (the border), in that of the locked-in state", 0.3, 0.8
    ),
    noise: float = parameter(0.1, "early noise of a family's share at size 1, in the border", 0.01, 0.25, fast=0.2),
) -> Iterator[Check]:
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
    times, broken = [], 0
    for n in counts:
        p = equal(int(n))
        twin = Twin.from_parameters(p, tiny(families))
        horizon = math.ceil((math.log(n) / 2 + 14) / rate)
        passages = np.array([passage(trajectory(p, s), border, horizon) for s in seeds(seed, f"K4.{n}", runs)])
        broken += int(np.isfinite(passages).sum())
        times.append(mean_error(np.minimum(passages, horizon)))
    mean, sd = np.array(times).T
    _, slope = line(np.log(counts), mean, sd)
    carried, error = mean_error(carried_passages(twin, rate, border, horizon, generator(seed, "K4.noise")))
    for k, v in {"map": twin.map(horizon), "ODE": twin.ode(np.arange(horizon + 1.0))}.items():
        yield Check(f"{k}: largest difference between families", 0.0, float(np.ptp(v.records, axis=1).max()))
    yield Check("map: growth per tick", rate, math.log(twin.growth(twin.start)), 0, 1e-9)
    share = broken / (runs * len(counts))
    yield Check("model: share of runs that broke", 1.0, share, 0, 0.002, note="tolerance: the horizon")
    early, note = noise / math.sqrt(min(sizes)), "tolerance: early noise of the smallest size, in the border"
    steep, steep_error = (v * 2 * rate for v in slope)
    yield Check("model: slope of the time on ln N, times 2 lambda", 1.0, steep, steep_error, early, note=note)
    name = "model: mean time at the largest size, against early noise that the map carries on"
    error, order = math.hypot(error, sd[-1]), 1 / math.sqrt(counts[-1]) / rate
    yield Check(name, carried, mean[-1], error, order, note="tolerance: order N^-1/2")


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
    """Yield the records along the map, as far as asked for."""
    nothing = np.zeros_like(x)
    while True:
        yield x
        x = twin.step(x, nothing, math.nan, 0)[0]


# --------------------------------------------------------------------------- K5


@row("K5", "shares follow (lambda/V)(p(x) - x), so the thresholds of the urn hold without fitting", ARTHUR)
def shares_and_thresholds(
    seed: int,  # noqa: ARG001
    families: int = parameter(5, "families", 2, 200),
    gamma: float = parameter(2.0, GAMMA, 1.05, 4),
    exploration: float = parameter(0.3, "exploration of curators and planners", 0, 1),
    delta: float = parameter(0.1, DELTA, 0, 2),
    curators: int = parameter(3, "records per tick", 0, 10_000),
    planners: int = parameter(4, "experiments per tick", 1, 10_000),
    deposited: float = parameter(0.6, "share of experiments that become records", 0.05, 1),
    ticks: int = parameter(60, "time followed", 1, 10_000),
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


def _pull(twin: Twin, t: float, x: Float) -> Float:  # noqa: ARG001
    """Return the change of shares in their own time, so that neither rates nor forgetting matter."""
    return np.asarray(twin.allocation(x) - x)


def sides(twin: Twin, top: float, families: int) -> Iterator[Check]:
    """Check the winner's lead that is left on either side of the fold after a start close to monopoly."""
    locked = np.concatenate([[0.98], np.full(families - 1, 0.02 / (families - 1))])
    expected = twin.locked_in(0.9 * top) - 1 / families, 0.0
    for name, exploration, lead in zip(("below", "above"), (0.9 * top, min(1.0, 1.1 * top)), expected, strict=True):
        pull = partial(_pull, twin.exploring(exploration))
        end = solve_ivp(pull, (0.0, 3000.0), locked, "LSODA", rtol=1e-9, atol=1e-11).y[:, -1]
        yield Check(f"{name} the fold: the winner's lead at the end", lead, float(end.max()) - 1 / families, 0, 1e-5)


# --------------------------------------------------------------------------- injected faults


@mutation("the map removes records after adding new ones", Twin.step, "K1 K2")
def _removal_last(right: Any, twin: Twin, x: Float, bias: Float, model: float, tick: int) -> tuple[Any, Any, float]:
    kept = math.exp(-twin.forgetting)
    x, bias, model = right(replace(twin, forgetting=0.0), x, bias, model, tick)
    return kept * x, kept * bias, model


mutation("planners take the family after the one they chose", choose_families, "K1 U0 U14 W1")(
    lambda right, world, *a: (right(world, *a) + 1) % world.space.families
)
mutation("retraining keeps what the learner knew", Twin.learned, "K1")(lambda right, *a: 0.5 * right(*a))
mutation("a batch is drawn one record at a time", urn_variance, "K3 U1")(
    lambda right, a, total, batches: right(a, total, np.ones(int(np.sum(batches))))
)
mutation("equal families not quite equal in the map", Twin.step, "K4")(
    lambda right, twin, x, *a: right(twin, x * (1 + 1e-9 * np.arange(len(x))), *a)
)
mutation("the derivative of attention forgets that shares sum to 1", Twin.attend_jacobian, "K4 K5 U7")(
    lambda right, twin, source, x: right(twin, source, x) + np.diag(0.1 * twin.attend(source, x) / x)
)
mutation("the ODE takes one source twice", Twin.inflow, "K2 K4 K5 U7 U8")(
    lambda right, twin, x: right(replace(twin, curators=twin.planners), x)
)


@mutation("founding mass does not decay", decay, "K1 K2 K4 U8 M4 F11")
def _restored(right: Any, commons: Commons, *arguments: Any) -> Any:
    mass = commons.mass.copy()
    gone = right(commons, *arguments)
    commons.mass[...] = mass
    commons.recount()
    return gone


@mutation("no result is deposited", publish, "K1 K2 U0 U14 M7 M10")
def _withheld(right: Any, world: World, results: Any) -> None:
    own, world.p = world.p, world.p.replace("coupling.outer_loop", 0.0)
    right(world, results)
    world.p = own


@mutation("reinforcement one unit too strong", curator_attention, "K1 K3 K4 U0 U1 U2 U3 U4 U5 U6 U7 U9 U11 U14 M4 F11")
def _sharpened(right: Any, world: World) -> Float:
    sharp = right(world) * world.commons.visible()
    return np.asarray(sharp / sharp.sum(axis=1, keepdims=True))
