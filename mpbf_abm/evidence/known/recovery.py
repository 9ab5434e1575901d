"""Who is needed, recovery, and early warning (rows F9 to F11)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import networkx as nx
import numpy as np
from numpy.typing import ArrayLike, NDArray

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.evidence.known.mutations import mutation
from mpbf_abm.evidence.known.rows import Check, Knob, generator, mean_error, row, seeds
from mpbf_abm.measures import networks
from mpbf_abm.measures import resilience as resilience_rules
from mpbf_abm.measures.resilience import resilience
from mpbf_abm.model.interventions import Policy
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.run import begin
from mpbf_abm.model.shocks import Shock
from mpbf_abm.model.spec import RunSpec
from mpbf_abm.parameters import Parameters
from mpbf_abm.stats import warning
from mpbf_abm.streams import Streams

Float = NDArray[np.float64]


@row(
    "F9",
    "truck factor, Katz centrality, influence vector",
    "Avelino et al. 2016; Katz 1953; Acemoglu et al. 2012",
    n=Knob(9, "leaves of the star; agents with a task of their own", low=2, high=1_000),
    alpha=Knob(0.2, "attenuation of Katz centrality, below n^-1/2", low=0, high=1),
    labour=Knob(0.4, "share of labour in the influence vector", low=0, high=1, above=True),
)
def influences(seed: int, n: int, alpha: float, labour: float) -> list[Check]:  # noqa: ARG001 (nothing is random)
    """Closed forms on a star and on agents with one task each."""
    if alpha * math.sqrt(n) >= 1:
        raise ConfigurationError(f"F9.alpha = {alpha:g}: must be below 1/sqrt(n) = {1 / math.sqrt(n):.4g}")
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
    return [
        Check("truck factor of sole agents", n // 2 + 1, networks.truck_factor(sole)),
        Check(
            "truck factor with a second for all",
            n // 2 + 2,
            networks.truck_factor(backed),
            note="the second goes first",
        ),
        Check("Katz, hub", (1 + n * alpha) / walks, float(x[0]), 0, rounding / walks),
        Check("Katz, leaf", (1 + alpha) / walks, float(x[1:].mean()), 0, rounding / walks),
        Check("Katz, leaves alike", 0.0, float(np.ptp(x[1:])), 0, rounding / walks),
        Check("influence, hub", hub, float(v[0]), 0, rounding, note="leaves buy from the hub, the hub from all leaves"),
        Check("influence, leaf", (1 - hub) / n, float(v[-1]), 0, rounding, note="influences sum to 1"),
    ]


@row(
    "F10",
    "resilience triangle",
    "Bruneau et al. 2003",
    X=Knob(0.4, "drop", low=0, high=1e6, above=True),
    T=Knob(12.0, "time of linear recovery", low=0, high=1e6, above=True),
    l=Knob(0.3, "rate of exponential recovery", low=0, high=1e6, above=True),
)
def triangle(seed: int, X: float, T: float, l: float) -> list[Check]:  # noqa: ARG001
    """Area lost and recovery time after a drop, by a straight line and exponentially."""
    step, instant = 0.01, 1e-12
    line = np.concatenate([[-0.5, -instant], np.arange(11) / 10, [2.0]])
    straight = resilience(T * line, 1 - X * np.where(line < 0, 0, np.clip(1 - line, 0, 1)), recovered=1.0)
    t = np.concatenate([[-0.5, -instant], np.arange(0, 40 + step / 2, step)])
    undisturbed = 2.0 + t
    decay = resilience(t / l, undisturbed - X * np.where(t < 0, 0, np.exp(-t)), undisturbed, recovered=0.9)
    rounding = 1e-9
    trapezoid = "against a rising run; straight lines between steps of h add h^2/12"
    return [
        Check("area, linear", X * T / 2, straight.area, 0, rounding * X * T, note="against a level"),
        Check("drop", X, straight.drop, 0, rounding * X),
        Check("recovery time, linear", T, straight.recovery, 0, rounding * T),
        Check("area, exponential", X / l, decay.area, 0, X / l * (step**2 / 12 + 1e-9), note=trapezoid),
        Check(
            "time to nine tenths, exponential",
            math.log(10) / l,
            decay.recovery,
            0,
            step**2 / 8 / l + rounding / l,
            note="a straight line between steps lies h^2/8 off",
        ),
    ]


# --------------------------------------------------------------------------- early warning


START, LEVEL = 0.1, 0.4  # exploration at the start of the ramp, and in the other arm, against the fold
REPOSITORIES = 40
SETTLE = 20  # ticks until fluctuations have their full size


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
    mass: Float,
    eps: float,
    delta: float,
    records: int,
    outages: Sequence[int],
    ticks: int,
    runs: int,
    rng: np.random.Generator,
) -> Float:
    """Leading share in a process without agents: repositories forget, gather records, and drop out (ticks, runs)."""
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


def leading_share(
    p: Parameters, seed: int, ticks: int, space: MaterialsSpace, policies: Iterable[Policy], shocks: Iterable[Shock]
) -> Float:
    """Share of the first family among visible records after every tick (ticks,)."""
    eco = begin(RunSpec(p, seed, space=space, policies=tuple(policies), shocks=tuple(shocks)), record=())
    out = np.empty(ticks)
    for tick in range(ticks):
        eco.step()
        visible = eco.world.commons.visible()
        out[tick] = visible[0] / visible.sum()
    return out


@row(
    "F11",
    "early warning",
    "Scheffer et al. 2009; Dakos et al. 2012; AR(1) sampled from an Ornstein-Uhlenbeck process",
    l=Knob(0.5, "rate of return", low=0, high=1e3, above=True),
    dt=Knob(0.4, "sampling interval", low=0, high=1e3, above=True),
    s=Knob(0.3, "standard deviation of innovations", low=0, high=1e3, above=True),
    n=Knob(20_000, "values of a series", low=500, high=10_000_000, fast=5_000),
    series=Knob(40, "independent series", low=5, high=100_000, fast=10),
    K=Knob(5, "families of the community", low=3, high=50),
    V=Knob(2_000, "records in force", low=1_000, high=100_000),
    delta=Knob(1.0, "rate of forgetting", low=0.8, high=5, fast=1.5),
    ticks=Knob(320, "ticks of the ramp, and of the outages", low=200, high=100_000, fast=200),
    replicates=Knob(24, "runs toward the fold; half as many lose repositories", low=12, high=10_000, fast=16),
)
def warnings(
    seed: int,
    l: float,
    dt: float,
    s: float,
    n: int,
    series: int,
    K: int,
    V: int,
    delta: float,
    ticks: int,
    replicates: int,
) -> list[Check]:
    """Signals of an AR(1) process; of the community on its way to the fold; and while it loses repositories."""
    return [*known_process(seed, l, dt, s, n, series), *community_signals(seed, K, V, delta, ticks, replicates)]


def known_process(seed: int, l: float, dt: float, s: float, n: int, series: int) -> list[Check]:
    """Lag-1 autocorrelation and variance of an AR(1) process, in whole series and in windows."""
    a = math.exp(-l * dt)
    if n * (1 - a) < 100:
        raise ConfigurationError(
            f"F11.n = {n}: series of l dt = {l * dt:g} must have at least {100 / (1 - a):.0f} values"
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
    return [
        Check(
            "autocorrelation", a, *mean_error(slow), tolerance=(1 + 4 * a) / n, note="e^(-l dt); bias of the estimator"
        ),
        Check(
            "variance", sample_variance(a, variance, n), *mean_error(wide), note="s^2/(1 - ac1^2), exact at this length"
        ),
        Check(
            f"variance in windows of {window}",
            sample_variance(a, variance, window),
            *mean_error(rolling),
            note="each about its own mean; exact",
        ),
        Check("what a straight line adds to a detrended signal", 0.0, bent, tolerance=1e-6),
    ]


def community_signals(seed: int, K: int, V: int, delta: float, ticks: int, replicates: int) -> list[Check]:
    """Trends of the leading family's signals toward the fold, and while repositories are lost for good."""
    fold = K / (1 + math.sqrt(K - 1)) ** 2
    turnover = -math.expm1(-delta)
    records = round(V * turnover / REPOSITORIES)
    base = Parameters.null().updated(
        {
            "space.materials": 20 * K,
            "space.families": K,
            "founding.records": 0,
            "commons.forgetting": delta,
            "curators.count": REPOSITORIES,
            "curators.records": records,
            "curators.reinforcement": 2.0,
            "infrastructure.openness": 0.0,
            "infrastructure.repositories": REPOSITORIES,
            "planners.count": 1,
            "planners.experiments": 0.0,
        }
    )

    def founding(level: float) -> tuple[float, ...]:
        x = locked_in(K, level * fold)[0]
        return (V * x, *[V * (1 - x) / (K - 1)] * (K - 1))

    def community(level: float) -> Parameters:
        return base.updated({"curators.exploration": level * fold, "founding.mass": founding(level)})

    # The policy's floor rises from 0 and binds from the starting exploration on.
    idle = math.ceil(ticks * START / (1 - START))
    ramp = Policy(name="exploration_floor", strength=fold, ramp=idle + ticks)
    outages = [
        Shock(name="repository_outage", start=SETTLE + ticks * i // REPOSITORIES, strength=1 / REPOSITORIES)
        for i in range(REPOSITORIES)
    ]
    space = MaterialsSpace.generate(base.space, Streams(seed))
    toward, losing, level = [], [], []
    for i, key in enumerate(seeds(seed, "F11 community", replicates)):
        rising = leading_share(community(START), key, idle + ticks, space, [ramp], [])[idle:]
        toward.append(warning.early_warnings(rising, ticks // 8))
        if i % 2 == 0:
            steady = leading_share(community(LEVEL), key, SETTLE + ticks, space, [], outages)[SETTLE:]
            losing.append(warning.early_warnings(steady, ticks // 8))
            level.append(warning.autocorrelation(steady))
    expected = reference(
        np.array(founding(LEVEL)),
        LEVEL * fold,
        delta,
        records,
        [o.start for o in outages],
        SETTLE + ticks,
        100,
        generator(seed, "F11 reference"),
    )
    usual, usual_error = mean_error([warning.autocorrelation(x) for x in expected[SETTLE:].T])
    # How large a trend arises by chance is known from the reference better than from few runs.
    chance = [warning.early_warnings(x, ticks // 8) for x in expected[SETTLE:].T]
    by_chance = float(np.std([w.autocorrelation_trend for w in chance], ddof=1))
    wider, spread = (float(f([w.variance_trend for w in chance])) for f in (np.mean, np.std))
    found, error = mean_error(level)
    limit = 1 - turnover * (1 - locked_in(K, LEVEL * fold)[1])
    return [
        Check(
            "tau of autocorrelation, toward the fold",
            0.0,
            float(np.mean([w.autocorrelation_trend for w in toward])),
            by_chance / math.sqrt(len(toward)),
            relation=">",
            note=f"exploration to {fold:.4g}",
        ),
        Check("tau of variance, toward the fold", 0.0, *mean_error([w.variance_trend for w in toward]), relation=">"),
        Check(
            "tau of autocorrelation, losing repositories",
            0.0,
            float(np.mean([w.autocorrelation_trend for w in losing])),
            by_chance / math.sqrt(len(losing)),
            note="stocks and flows shrink alike: as quick to recover as before",
        ),
        Check(
            "tau of variance, losing repositories",
            wider,
            float(np.mean([w.variance_trend for w in losing])),
            spread * math.sqrt(1 / len(losing) + 1 / len(chance)),
            note="fewer records, more chance: the loss is felt, as in a process without agents",
        ),
        Check(
            "autocorrelation, losing repositories",
            usual,
            found,
            math.hypot(error, usual_error),
            note=f"expected from a process without agents; 1 - (1 - e^-delta)(1 - p'(x*)) = {limit:.4f} in long, large runs",
        ),
    ]


# --------------------------------------------------------------------------- wrong rules

mutation(
    "a task is lost with its first holder",
    networks.truck_factor,
    lambda right: lambda holders, lost=0.5: right({t: list(a)[:1] for t, a in holders.items()}, lost),
    "F9",
)
mutation(
    "Katz counts walks of one step",
    networks.katz,
    lambda _: lambda graph, alpha: np.array([1 + alpha * d for _, d in graph.degree()]),
    "F9",
)
mutation(
    "labour for goods", networks.influence_vector, lambda right: lambda inputs, labour: right(inputs, 1 - labour), "F9"
)
mutation(
    "any baseline is 1",
    resilience,
    lambda right: lambda times, performance, _baseline=1.0, **k: right(times, performance, **k),
    "F10",
)
mutation("recovered at once", resilience_rules._recovery, lambda _: lambda *_a: 0.0, "F10")
mutation("autocorrelation at lag 2", warning.autocorrelation, lambda right: lambda x: right(x, 2), "F11")
mutation(
    "variance divided by the window",
    warning.rolling_variance,
    lambda right: lambda x, window, **k: right(x, window, **k) * (window - 1) / window,
    "F11",
)
mutation(
    "no straight line is subtracted",
    warning.rolling_autocorrelation,
    lambda right: lambda x, window, **_k: right(x, window),
    "F11",
)
mutation("trend against reversed time", warning.trend, lambda right: lambda values: -right(values), "F11")
