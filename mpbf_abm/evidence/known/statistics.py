"""Statistics of studies: intervals, families of intervals, pairing, and sensitivity under noise (rows S1 to S5)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from mpbf_abm.arrays import Float
from mpbf_abm.evidence.known.rows import SIGMAS, Check, generator, mutation, parameter, row
from mpbf_abm.stats.estimates import judge
from mpbf_abm.stats.paired import reduction, simultaneous_intervals
from mpbf_abm.stats.sensitivity import elementary_effects, sobol_indices

# Sources of rows.
RULE_THAT_STOPS = "definition of a 95 % interval; Hoad, Robinson and Davies (2010) for the rule that stops"
WESTFALL = "Westfall and Young (1993): intervals of a largest t hold together"
ISHIGAMI = "Ishigami and Homma (1990); total index of Jansen (1999)"
MORRIS = "Morris (1991); Campolongo, Cariboni and Saltelli (2007)"


def within(name: str, expected: float, measured: float, error: float, bound: float, note: str = "") -> Check:
    """Check against a bound on the deviation, or against chance where that is wider."""
    return Check(name, expected, measured, error, max(0.0, bound - SIGMAS * error), note=note)


def proportion_error(p: float, n: int) -> float:
    """Standard error of a share p of n."""
    return math.sqrt(p * (1 - p) / n)


@row("S1", "Coverage of a policy's effect where runs fall into two groups", RULE_THAT_STOPS)
def coverage(
    seed: int,
    baseline: float = parameter(0.7, "chance of the upper group in the baseline", 0, 1),
    policy: float = parameter(0.4, "chance of it under the policy", 0, 1),
    common: float = parameter(0.8, "share of replicates in which both arms draw alike", 0, 1),
    half: float = parameter(0.1, "wanted half width", 0.02, 1),
    studies: int = parameter(3_000, "studies", 1, 10**6, fast=300),
) -> Iterator[Check]:
    """Replicates are added until the rule says enough; how often the reported interval then holds the truth."""
    rng, truth, inside = generator(seed, "S1"), policy - baseline, 0

    def draw(n: int) -> Float:
        one = rng.random(n)
        other = np.where(rng.random(n) < common, one, rng.random(n))
        return ((other < policy) * 1.0 - (one < baseline) + 0.05 * rng.normal(size=n))[:, None]

    for study in range(studies):
        x, wanted = np.empty((0, 1)), 45
        while len(x) < wanted:
            x = np.concatenate([x, draw(wanted - len(x))])
            wanted = judge(x, [half], least=20, most=2_000, look_ahead=25).wanted
        found = simultaneous_intervals(x, resamples=400, seed=study)
        inside += bool(found.low[0] <= truth <= found.high[0])
    yield within("coverage", 0.95, inside / studies, proportion_error(0.95, studies), 0.02)


@row("S2", "Family-wise error over policies that do nothing", WESTFALL)
def family_wise(
    seed: int,
    policies: int = parameter(8, "policies", 1, 100),
    n: int = parameter(30, "replicates", 5, 10_000),
    skew: float = parameter(
        0.1, "log-sd of the outcomes; where it is large, intervals hold more often than they say", 0.01, 0.3
    ),
    studies: int = parameter(4_000, "studies", 1, 10**6, fast=300),
) -> Iterator[Check]:
    """How often any of several intervals leaves zero out, for skewed outcomes that share draws with the baseline."""
    rng, wrong = generator(seed, "S2"), 0
    for study in range(studies):
        z = 0.6 * rng.normal(size=(n, 1)) + 0.8 * rng.normal(size=(n, policies + 1))
        y = np.exp(skew * z)
        found = simultaneous_intervals(y[:, 1:] - y[:, :1], resamples=400, seed=study)
        wrong += bool(((found.low > 0) | (found.high < 0)).any())
    yield within("any of them called an effect", 0.05, wrong / studies, proportion_error(0.05, studies), 0.01)


@row("S3", "Total Sobol indices under the noise of replicates", ISHIGAMI)
def ishigami(
    seed: int,
    a: float = parameter(7.0, "weight of sin^2", 0, 20),
    b: float = parameter(0.1, "weight of the interaction", 0, 1),
    sd: float = parameter(6.0, "noise of a run", 0, 20),
    m: int = parameter(4, "replicates", 2, 100),
    rows: int = parameter(32_768, "base rows", 64, 2**17, fast=2_048),
) -> Iterator[Check]:
    """Three factors, one without an effect by itself, from noisy runs; and the variance of the noise."""
    rng = generator(seed, "S3")

    def run(x: Float) -> Float:
        y = np.sin(x[..., 0]) + a * np.sin(x[..., 1]) ** 2 + b * x[..., 2] ** 4 * np.sin(x[..., 0])
        return np.asarray(y[..., None] + sd * rng.normal(size=(*y.shape, m)))

    A, B = (np.pi * (2 * rng.random((rows, 3)) - 1) for _ in range(2))
    AB = np.stack([np.where(np.arange(3) == i, B, A) for i in range(3)], axis=1)
    found = sobol_indices(run(A), run(B), run(AB), seed=seed)
    alone = (1 + b * np.pi**4 / 5) ** 2 / 2, a**2 / 8, 0.0
    both = b**2 * np.pi**8 * (1 / 18 - 1 / 50)
    total = np.array([alone[0] + both, alone[1], both]) / (alone[0] + alone[1] + both)
    # An interval of 95 % is 3.92 standard errors wide.
    errors = (found.total_high - found.total_low) / 3.92
    for i in range(3):
        yield within(f"total index of factor {i + 1}", total[i], found.total[i], float(errors[i]), 0.06)
    yield Check("variance of the noise", sd**2, found.noise, sd**2 * math.sqrt(2 / (rows * 5 * (m - 1))))


@row("S4", "Elementary effects of a plane with one interaction", MORRIS)
def plane(
    seed: int,
    slope: float = parameter(2.0, "slope of the first factor", -10, 10),
    interaction: float = parameter(3.0, "weight of the product of the other two", 0, 10),
    sd: float = parameter(0.5, "noise that the runs of a trajectory do not share", 0, 10),
    trajectories: int = parameter(4_000, "trajectories", 2, 10**5, fast=1_000),
    m: int = parameter(2, "replicates", 2, 100),
) -> list[Check]:
    """Mean effects are the slopes; the spread of an effect without its noise is that of the interaction."""
    rng = generator(seed, "S4")
    step = 2 / 3
    at = rng.integers(0, 2, (trajectories, 3)) / 3  # the four levels of Morris: up by two thirds from 0 or 1/3
    exact = np.stack([np.full(trajectories, -slope), interaction * at[:, 2], interaction * at[:, 1]], axis=1)
    noise = sd * math.sqrt(2) / step * rng.normal(size=(trajectories, 3, m))
    found = elementary_effects(exact[..., None] + noise)
    spread = interaction / 6  # 0 and 1/3 are equally likely
    noisy = math.sqrt(2 * sd**2 / step**2 / m)
    error = [math.sqrt((s**2 + noisy**2) / trajectories) for s in (0.0, spread)]
    of_variance = math.sqrt(2 / trajectories) * (spread**2 + noisy**2)
    of_noise = math.sqrt(2 / trajectories / (m - 1)) * noisy**2
    return [
        Check("mean effect of the factor with a slope", -slope, float(found.mu[0]), error[0], 1e-12),
        Check("mean effect of a factor of the product", interaction / 6, float(found.mu[1]), error[1], 1e-12),
        Check(
            "variance of its effects over the factor space",
            spread**2,
            float(found.spread[1] ** 2),
            math.hypot(of_variance, of_noise),
            1e-12,
        ),
        Check("variance that is noise", noisy**2, float(found.floor[1] ** 2 * math.pi / 2), of_noise, 1e-12),
    ]


@row("S5", "What common random numbers save", "variance of a difference: 1 / (1 - rho)")
def pairing(
    seed: int,
    rho: float = parameter(0.9, "correlation of the two arms over replicates", -0.99, 0.99),
    effect: float = parameter(0.5, "effect", -10, 10),
    n: int = parameter(20_000, "replicates", 10, 10**7, fast=4_000),
) -> Iterator[Check]:
    """Effect and variance-reduction factor of two arms with one variance."""
    z = generator(seed, "S5").normal(size=(n, 2))
    baseline, treated = z[:, 0], effect + rho * z[:, 0] + math.sqrt(1 - rho**2) * z[:, 1]
    found = simultaneous_intervals((treated - baseline)[:, None], events=[False], resamples=200)
    # The ratio of sums to differences of a pair follows an F law, and the factor is half of one plus it.
    ratio = (1 + rho) / (1 - rho)
    yield Check("effect", effect, float(found.mean[0]), math.sqrt(2 * (1 - rho) / n))
    measured, error = reduction(baseline[None], treated[None]), ratio * math.sqrt(4 / n) / 2
    yield Check("variance-reduction factor", 1 / (1 - rho), measured, error, 10 * ratio / n)


mutation("intervals that hold in 80 of 100 cases", simultaneous_intervals, "S1 S2")(
    lambda right, *a, **k: right(*a, **k, level=0.8)
)
mutation("noise of replicates left in Sobol indices", sobol_indices, "S3")(
    lambda right, *a, **k: right(*a, **k, correct=False)
)
mutation("elementary effects without their sign", elementary_effects, "S4")(lambda right, x: right(np.abs(x)))
mutation("pairs that do not belong together", reduction, "S5")(lambda right, a, b: right(a, b[:, ::-1]))
