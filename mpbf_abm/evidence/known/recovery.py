"""Who is needed, recovery, and early warning (rows F9 to F11)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import ArrayLike, NDArray

from mpbf_abm.evidence.known.communities import grouped
from mpbf_abm.evidence.known.rows import (
    Check,
    Relation,
    generator,
    mean_error,
    mutation,
    parameter,
    require,
    row,
    seeds,
)
from mpbf_abm.measures import networks
from mpbf_abm.measures import resilience as resilience_rules
from mpbf_abm.measures.path import run_to
from mpbf_abm.measures.resilience import resilience
from mpbf_abm.model.interventions import Policy
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.shocks import Shock
from mpbf_abm.parameters import Parameters
from mpbf_abm.stats import warning
from mpbf_abm.streams import Streams

Float = NDArray[np.float64]

# Sources of rows.
SCHEFFER = "Scheffer et al. 2009; Dakos et al. 2012; AR(1) sampled from an Ornstein-Uhlenbeck process"


@row("F9", "truck factor, Katz centrality, influence vector", "Avelino et al. 2016; Katz 1953; Acemoglu et al. 2012")
def influences(
    seed: int,  # noqa: ARG001 (nothing is random)
    n: int = parameter(9, "leaves of the star; agents with a task of their own", 2, 1_000),
    alpha: float = parameter(0.2, "attenuation of Katz centrality, below n^-1/2", 0, 1),
    labour: float = parameter(0.4, "share of labour in the influence vector", 0, 1, True),
) -> Iterator[Check]:
    """Closed forms on a star and on agents with one task each."""
    require(alpha * math.sqrt(n) < 1, f"F9.alpha = {alpha:g}: must be below 1/sqrt(n) = {1 / math.sqrt(n):.4g}")
    sole = {task: [task] for task in range(n)}
    backed = {task: [task, "second"] for task in range(n)}
    star = nx.star_graph(n)
    x = networks.katz(star, alpha)
    inputs = np.zeros((n + 1, n + 1))
    inputs[0, 1:], inputs[1:, 0] = 1 / n, 1.0
    v = networks.influence_vector(inputs, labour)
    goods = 1 - labour
    hub = labour / (n + 1) * (1 + n * goods) / (1 - goods**2)
    rounding = 1e-9
    walks = 1 - n * alpha**2
    yield Check("truck factor of sole agents", n // 2 + 1, networks.truck_factor(sole))
    note = "the second goes first"
    yield Check("truck factor with a second for all", n // 2 + 2, networks.truck_factor(backed), note=note)
    yield Check("Katz, hub", (1 + n * alpha) / walks, float(x[0]), 0, rounding / walks)
    yield Check("Katz, leaf", (1 + alpha) / walks, float(x[1:].mean()), 0, rounding / walks)
    yield Check("Katz, leaves alike", 0.0, float(np.ptp(x[1:])), 0, rounding / walks)
    note = "leaves buy from the hub, the hub from all leaves"
    yield Check("influence, hub", hub, float(v[0]), 0, rounding, note=note)
    yield Check("influence, leaf", (1 - hub) / n, float(v[-1]), 0, rounding, note="influences sum to 1")


@row("F10", "resilience triangle", "Bruneau et al. 2003")
def triangle(
    seed: int,  # noqa: ARG001
    X: float = parameter(0.4, "drop", 0, 1e6, True),
    T: float = parameter(12.0, "time of linear recovery", 0, 1e6, True),
    l: float = parameter(0.3, "rate of exponential recovery", 0, 1e6, True),
) -> Iterator[Check]:
    """Area lost and recovery time after a drop, by a straight line and exponentially."""
    step, instant = 0.01, 1e-12
    line = np.concatenate([[-0.5, -instant], np.arange(11) / 10, [2.0]])
    straight = resilience(T * line, 1 - X * np.where(line < 0, 0, np.clip(1 - line, 0, 1)), recovered=1.0)
    t = np.concatenate([[-0.5, -instant], np.arange(0, 40 + step / 2, step)])
    undisturbed = 2.0 + t
    decay = resilience(t / l, undisturbed - X * np.where(t < 0, 0, np.exp(-t)), undisturbed, recovered=0.9)
    rounding = 1e-9
    trapezoid = "against a rising run; straight lines between steps of h add h^2/12"
    yield Check("area, linear", X * T / 2, straight.area, 0, rounding * X * T, note="against a level")
    yield Check("drop", X, straight.drop, 0, rounding * X)
    yield Check("recovery time, linear", T, straight.recovery, 0, rounding * T)
    yield Check("area, exponential", X / l, decay.area, 0, X / l * (step**2 / 12 + 1e-9), note=trapezoid)
    name, note = "time to nine tenths, exponential", "a straight line between steps lies h^2/8 off"
    yield Check(name, math.log(10) / l, decay.recovery, 0, step**2 / 8 / l + rounding / l, note=note)


# --------------------------------------------------------------------------- early warning


START, LEVEL = 0.1, 0.4  # exploration at the start of the ramp, and in the other arm, against the fold
REPOSITORIES = 40
SETTLE = 20  # ticks until fluctuations have their full size
REFERENCE_RUNS = 100


def stationary(a: float, s: float, n: int, rng: np.random.Generator) -> Float:
    """AR(1) series of coefficient a and innovation sd s, from its stationary law (n,)."""
    from scipy.signal import lfilter

    noise = s * rng.standard_normal(n)
    noise[0] /= math.sqrt(1 - a * a)
    return np.asarray(lfilter([1.0], [1.0, -a], noise))


def sample_variance(a: float, variance: float, n: int) -> float:
    """Mean of the sample variance of n successive values of an AR(1) process, exactly."""
    k = np.arange(1, n)
    return variance * (1 - 2 / (n - 1) * float(((1 - k / n) * a**k).sum()))


def attention(x: ArrayLike, K: int, eps: float) -> Float:
    """Share of new records that the leading of K families gets, the others being equal; reinforcement 2."""
    x = np.asarray(x, np.float64)
    return np.asarray(eps / K + (1 - eps) * x**2 / (x**2 + (1 - x) ** 2 / (K - 1)))


def locked_in(K: int, eps: float) -> tuple[float, float]:
    """Leading share in the locked-in state, and the slope of :func:`attention` there."""
    from scipy.optimize import brentq

    grid = np.linspace(1, 1 / K, 10_001)
    crossed = int(np.argmax(attention(grid, K, eps) > grid))
    x = float(brentq(lambda y: float(attention(y, K, eps)) - y, grid[crossed], grid[crossed - 1]))
    h = 1e-5
    return x, float(attention(x + h, K, eps) - attention(x - h, K, eps)) / (2 * h)


def reference(
    mass: Float, eps: float, delta: float, records: int, outages: Sequence[int], ticks: int, rng: np.random.Generator
) -> Float:
    """Return the leading share in a process without agents (ticks, runs).

    Repositories forget, gather records, and drop out.
    """
    runs = REFERENCE_RUNS
    keep, K = math.exp(-delta), len(mass)
    held = np.zeros((runs, REPOSITORIES, K), np.int64)
    up = np.ones((runs, REPOSITORIES), bool)
    out = np.empty((ticks, runs))
    for tick in range(ticks):
        for _ in range(outages.count(tick)):
            up[np.arange(runs), rng.integers(0, REPOSITORIES, runs)] = False
        held, mass = rng.binomial(held, keep), mass * keep
        x = mass + (held * up[..., None]).sum(axis=1)
        p = eps / K + (1 - eps) * x**2 / (x**2).sum(axis=1, keepdims=True)
        held += rng.multinomial(records, p[:, None, :], size=(runs, REPOSITORIES)) * up[..., None]
        x = mass + (held * up[..., None]).sum(axis=1)
        out[tick] = x[:, 0] / x.sum(axis=1)
    return out


def leading_share(p: Parameters, seed: int, ticks: int, **events: Any) -> Float:
    """Return the share of the first family among visible records after every tick (ticks,)."""
    visible = run_to(p, seed, range(1, ticks + 1), **events)
    return np.asarray(visible[:, 0] / visible.sum(axis=1))


@row("F11", "early warning", SCHEFFER)
def warnings(
    seed: int,
    l: float = parameter(0.5, "rate of return", 0, 1e3, True),
    dt: float = parameter(0.4, "sampling interval", 0, 1e3, True),
    s: float = parameter(0.3, "standard deviation of innovations", 0, 1e3, True),
    n: int = parameter(20_000, "values of a series", 500, 10_000_000, fast=5_000),
    series: int = parameter(40, "independent series", 5, 100_000, fast=10),
    K: int = parameter(5, "families of the community", 3, 50),
    V: int = parameter(2_000, "records in force", 1_000, 100_000),
    delta: float = parameter(1.0, "rate of forgetting", 0.8, 5, fast=1.5),
    ticks: int = parameter(320, "ticks of the ramp, and of the outages", 200, 100_000, fast=200),
    replicates: int = parameter(24, "runs toward the fold; half as many lose repositories", 12, 10_000, fast=16),
) -> Iterator[Check]:
    """Signals of an AR(1) process; of the community on its way to the fold; and while it loses repositories."""
    yield from known_process(seed, l, dt, s, n, series)
    yield from community_signals(seed, K, V, delta, ticks, replicates)


def known_process(seed: int, l: float, dt: float, s: float, n: int, series: int) -> Iterator[Check]:
    """Check lag-1 autocorrelation and variance of an AR(1) process, in whole series and in windows."""
    a = math.exp(-l * dt)
    require(
        n * (1 - a) >= 100, f"F11.n = {n}: series of l dt = {l * dt:g} must have at least {100 / (1 - a):.0f} values"
    )
    variance = s**2 / (1 - a * a)
    window, most = 5, 20_000
    slow, wide, rolling, bent = [], [], [], 0.0
    for key in seeds(seed, "F11", series):
        x = stationary(a, s, n, generator(key, "F11"))
        slow.append(warning.autocorrelation(x))
        wide.append(warning.rolling_variance(x, n)[0])
        part = x[:most]
        rolling.append(warning.rolling_variance(part, window).mean())
        line = part + s * np.arange(len(part))
        straight, tilted = (warning.rolling_autocorrelation(y, window, detrend="linear") for y in (part, line))
        bent = max(bent, float(np.abs(straight - tilted).max()))
    note = "e^(-l dt); bias of the estimator"
    yield Check("autocorrelation", a, *mean_error(slow), (1 + 4 * a) / n, note=note)
    note = "s^2/(1 - ac1^2), exact at this length"
    yield Check("variance", sample_variance(a, variance, n), *mean_error(wide), note=note)
    short, note = sample_variance(a, variance, window), "each about its own mean; exact"
    yield Check(f"variance in windows of {window}", short, *mean_error(rolling), note=note)
    yield Check("what a straight line adds to a detrended signal", 0.0, bent, tolerance=1e-6)


def community_signals(seed: int, K: int, V: int, delta: float, ticks: int, replicates: int) -> Iterator[Check]:
    """Check trends of the leading family's signals toward the fold, and while repositories are lost for good."""
    fold = K / (1 + math.sqrt(K - 1)) ** 2
    turnover = -math.expm1(-delta)
    records = round(V * turnover / REPOSITORIES)
    changes = grouped(
        space={"materials": 20 * K, "families": K},
        founding={"records": 0},
        commons={"forgetting": delta},
        curators={"count": REPOSITORIES, "records": records, "reinforcement": 2.0},
        infrastructure={"openness": 0.0, "repositories": REPOSITORIES},
        planners={"count": 1, "experiments": 0.0},
    )
    base = Parameters.null(**changes)

    def founding(level: float) -> tuple[float, ...]:
        x = locked_in(K, level * fold)[0]
        return (V * x, *[V * (1 - x) / (K - 1)] * (K - 1))

    def community(level: float) -> Parameters:
        return base.updated({"curators.exploration": level * fold, "founding.mass": founding(level)})

    # The policy's floor rises from 0 and binds from the starting exploration on.
    idle = math.ceil(ticks * START / (1 - START))
    ramp = Policy(name="exploration_floor", strength=fold, ramp=idle + ticks)
    starts = [SETTLE + ticks * i // REPOSITORIES for i in range(REPOSITORIES)]
    outages = tuple(Shock(name="repository_outage", start=t, strength=1 / REPOSITORIES) for t in starts)
    space = MaterialsSpace.generate(base.space, Streams(seed))
    toward, losing, level = [], [], []
    for i, key in enumerate(seeds(seed, "F11 community", replicates)):
        rising = leading_share(community(START), key, idle + ticks, space=space, policies=(ramp,))[idle:]
        toward.append(warning.early_warnings(rising, ticks // 8))
        if i % 2 == 0:
            steady = leading_share(community(LEVEL), key, SETTLE + ticks, space=space, shocks=outages)[SETTLE:]
            losing.append(warning.early_warnings(steady, ticks // 8))
            level.append(warning.autocorrelation(steady))
    rng, eps = generator(seed, "F11 reference"), LEVEL * fold
    expected = reference(np.array(founding(LEVEL)), eps, delta, records, starts, SETTLE + ticks, rng)[SETTLE:].T
    usual, usual_error = mean_error([warning.autocorrelation(x) for x in expected])
    # How large a trend arises by chance is known from the reference better than from few runs.
    chance = [warning.early_warnings(x, ticks // 8) for x in expected]
    by_chance = float(np.std([w.autocorrelation_trend for w in chance], ddof=1))
    wider, spread = (float(f([w.variance_trend for w in chance])) for f in (np.mean, np.std))
    limit = 1 - turnover * (1 - locked_in(K, eps)[1])

    def trend(name: str, runs: list[warning.Warnings], relation: Relation, note: str) -> Check:
        tau = float(np.mean([w.autocorrelation_trend for w in runs]))
        return Check(f"tau of autocorrelation, {name}", 0.0, tau, by_chance / math.sqrt(len(runs)), 0.0, relation, note)

    yield trend("toward the fold", toward, ">", f"exploration to {fold:.4g}")
    yield Check("tau of variance, toward the fold", 0.0, *mean_error([w.variance_trend for w in toward]), relation=">")
    yield trend("losing repositories", losing, "=", "stocks and flows shrink alike: as quick to recover as before")
    measured, error = float(np.mean([w.variance_trend for w in losing])), math.sqrt(1 / len(losing) + 1 / len(chance))
    note = "fewer records, more chance: the loss is felt, as in a process without agents"
    yield Check("tau of variance, losing repositories", wider, measured, spread * error, note=note)
    found, error = mean_error(level)
    note = f"expected from a process without agents; 1 - (1 - e^-delta)(1 - p'(x*)) = {limit:.4f} in long, large runs"
    yield Check("autocorrelation, losing repositories", usual, found, math.hypot(error, usual_error), note=note)


# --------------------------------------------------------------------------- wrong rules

mutation("a task is lost with its first holder", networks.truck_factor, "F9")(
    lambda right, holders, lost=0.5: right({t: list(a)[:1] for t, a in holders.items()}, lost)
)
mutation("Katz counts walks of one step", networks.katz, "F9")(
    lambda _, graph, alpha: np.array([1 + alpha * d for _, d in graph.degree()])
)
mutation("labour for goods", networks.influence_vector, "F9")(lambda right, inputs, labour: right(inputs, 1 - labour))
mutation("any baseline is 1", resilience, "F10")(
    lambda right, times, performance, _baseline=1.0, **k: right(times, performance, **k)
)
mutation("recovered at once", resilience_rules._recovery, "F10")(lambda _, *_a: 0.0)
mutation("autocorrelation at lag 2", warning.autocorrelation, "F11")(lambda right, x: right(x, 2))
mutation("variance divided by the window", warning.rolling_variance, "F11")(
    lambda right, x, window, **k: right(x, window, **k) * (window - 1) / window
)
mutation("no straight line is subtracted", warning.rolling_autocorrelation, "F11")(
    lambda right, x, window, **_k: right(x, window)
)
mutation("trend against reversed time", warning.trend, "F11")(lambda right, values: -right(values))
