"""Non-linear urns: twin damage, central limit, lock-in threshold and hysteresis (rows U5 to U8)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.evidence.known.communities import RUNS, family_masses, known_fold, law_of_two, reinforcing, urn
from mpbf_abm.evidence.known.rows import Check, generator, mean_error, mutation, parameter, require, row, seeds
from mpbf_abm.measures.path import damage, damage_exponent
from mpbf_abm.model.attention import attention
from mpbf_abm.theory.twin import Twin

Float = NDArray[np.float64]

# Sources of rows.
BRANCHES = "two stable branches between eps_c and eps_sn (forgetting urn)"

LEAD = 0.02  # share by which a family is put ahead to see whether its lead grows


@row("U5", "Twin damage under common random numbers", "coupling by exponential race; linearisation at x* = 1/2")
def twin_damage(
    seed: int,
    N0: int = parameter(2, "founding mass of the two-colour urn", 2, 10**5),
    K: int = parameter(5, "colours of the second urn, mass 1 each", 3, 60),
    n: int = parameter(100, "draws", 1, 5_000, fast=50),
    pairs: int = parameter(1_500, "twin runs", 30, 10**6, fast=70),
    g: float = parameter(2.0, "reinforcement at x* = 1/2", -1, 4),
    eps: float = parameter(0.3, "exploration at x* = 1/2", 0, 1),
    volume: int = parameter(2_000, "founding mass at x* = 1/2", 100, 10**6),
    growth: float = parameter(3.0, "final over first volume", 1.2, 100),
    twins: int = parameter(300, "twin runs at x* = 1/2", 20, 10**5, fast=24),
) -> Iterator[Check]:
    """Distance of twin runs that start one record apart."""
    runs = seeds(seed, "U5", pairs)
    a, b = N0 / 2 + 1, N0 / 2
    two = damage(family_masses(urn(2, (a, b)), runs, n), family_masses(urn(2, (b, a)), runs, n))
    start, moved = np.ones(K), np.ones(K)
    start[0] += 1
    moved[1] += 1
    several = damage(family_masses(urn(K, start), runs, n), family_masses(urn(K, moved), runs, n))
    reference = coupled_urns(start, moved, n, 20_000, generator(seed, "U5 reference"))
    expected, expected_se = mean_error(reference)
    measured, measured_se = mean_error(several)
    exponent = measured_exponent(2, g, eps, volume, growth, seeds(seed, "U5 exponent", twins))
    note = "one record moved; conserved exactly"
    yield Check("K = 2: E|dx| after n draws", 1 / (N0 + 1), *mean_error(two), note=note)
    note = f"from {1 / (K + 1):.3f} at the start; expected from {len(reference)} coupled urns"
    yield Check(f"K = {K}: damage after n draws", expected, measured, math.hypot(expected_se, measured_se), note=note)
    yield Check("exponent d ln D / d ln n", (1 - eps) * g - 1, *exponent, note="tolerance: curvature of p(x)")


def coupled_urns(first: Float, second: Float, n: int, count: int, rng: np.random.Generator) -> Float:
    """Damage between linear urns coupled by exponential races, for many pairs at once (count,)."""
    x, y = (np.repeat(v[None], count, 0) for v in (first, second))
    at = np.arange(count)
    for _ in range(n):
        clocks = rng.standard_exponential(x.shape)
        x[at, np.argmin(clocks / x, axis=1)] += 1
        y[at, np.argmin(clocks / y, axis=1)] += 1
    return damage(x, y)


def measured_exponent(
    K: int, g: float, eps: float, volume: float, growth: float, run_seeds: Sequence[int]
) -> tuple[float, float, float]:
    """Exponent of the lead of one family among equal ones: measured, its standard error, and what curvature adds.

    Twins start with the first family ahead by 2 % and behind by as much, on the same draws, so that
    what both share of chance, and what is quadratic in the lead, cancels. Batches are 5 % of the founding mass.
    """
    batch = max(1, round(0.05 * volume))
    # Strong reinforcement would leave the neighbourhood of equality before that.
    growth = growth ** (1 / max(1.0, (1 - eps) * g - 1))
    ticks = max(1, math.ceil((growth - 1) * volume / batch))
    volumes = volume + batch * np.arange(ticks + 1.0)
    changes = {**reinforcing(g, eps), "space.materials": 4 * K}
    starts = []
    for sign in (1.0, -1.0):
        mass = np.full(K, volume / K)
        mass[0] += sign * LEAD * volume
        mass[1:] -= sign * LEAD * volume / (K - 1)
        starts.append(urn(K, mass, batch, **changes))
    one, two = (family_masses(p, run_seeds, ticks) for p in starts)
    mean, error = mean_error((one[:, 0] - two[:, 0]) / one.sum(axis=1))
    at = damage_exponent(2 * LEAD, mean, volumes)
    slope = (damage_exponent(2 * LEAD, mean * 1.001, volumes) - at) / (mean * 0.001)
    # Shares wander, and the slope of p(x) differs a little from that at equality where they do.
    twin = Twin.from_parameters(starts[0])
    start, direction = np.full(K, volume / K), np.concatenate([[1.0], np.full(K - 1, -1 / (K - 1))])
    wander = (1 - 1 / K) / (K * volume) * growth ** max(0.0, 2 * ((1 - eps) * g - 1))
    sigma = math.sqrt(LEAD**2 + wander)
    rates = []
    for shift in (-sigma, 0.0, sigma):
        x = start + volume * shift * direction
        rates.append(float((twin.inflow_jacobian(x) @ direction)[0]) * volume / twin.total_inflow())
    return at, abs(slope) * error, abs(rates[0] + rates[2] - 2 * rates[1])


@row("U6", "Central limit of urns with f' < 1/2", "Freedman 1965; Kushner and Yin 2003")
def central_limit(
    seed: int,
    g: float = parameter(-1.0, "reinforcement", -1, 4),
    eps: float = parameter(0.0, "exploration", 0, 1),
    N0: float = parameter(10.0, "founding mass, in equal parts", 0, 1e5, True),
    n: int = parameter(400, "draws", 20, 50_000, fast=100),
    runs: int = parameter(2_500, RUNS, 50, 10**6, fast=250),
) -> Iterator[Check]:
    """Variance of the share of two colours about 1/2, times the volume."""
    slope = (1 - eps) * g
    require(slope < 0.45, f"U6: f' = (1 - eps) g = {slope:g}: must be below .45 (at 1/2 the limit ceases to exist)")
    require(n >= N0, f"U6: n = {n}: must be at least N0 = {N0:g}, or founding has not faded")
    times = sorted({max(1, n >> k) for k in range(3)})
    x = family_masses(urn(2, (N0 / 2, N0 / 2), **reinforcing(g, eps)), seeds(seed, "U6", runs), times)
    size = x.sum(axis=2)
    scaled = (size * (x[:, :, 0] / size - 0.5) ** 2).mean(axis=1)
    exact = [scaled_variance(N0, t, g, eps) for t in times]
    limit = 0.25 / (1 - 2 * slope)
    # The exact value nears its limit as n^(2 f' - 1): what is left follows from that at four times n.
    later = float(np.mean([scaled_variance(N0, 4 * t, g, eps) for t in times]))
    at = float(np.mean(exact))
    left = 1.2 * abs(later - at) / (1 - 4.0 ** (2 * slope - 1))
    note = f"mean over n = {', '.join(map(str, times))}"
    mean, error = mean_error(scaled)
    yield Check("n Var x_n, exact at these n", at, mean, error, note=note)
    note = f"{note}; tolerance: finite size, from exact values at n and 4 n"
    yield Check("n Var x_n -> f(1-f)/(1-2f')", limit, mean, error, left, note=note)


def scaled_variance(N0: float, n: int, g: float, eps: float) -> float:
    """Exact variance of the share about 1/2 after n draws from two equal colours, times the volume."""
    law = law_of_two(N0 / 2, N0 / 2, n, g, eps)
    return (N0 + n) * float(law @ ((N0 / 2 + np.arange(n + 1)) / (N0 + n) - 0.5) ** 2)


@row("U7", "Lock-in threshold and fold", "stability of p(x) = x: eps_c = 1 - 1/g; g = 2: eps_sn = K/(1 + sqrt(K-1))^2")
def lock_in_threshold(
    seed: int,
    K: int = parameter(5, "families", 2, 100),
    g: float = parameter(2.0, "reinforcement", 1.05, 4),
    step: float = parameter(0.05, "distance from eps_c at which the ABM is tried", 0.005, 0.5),
    volume: int = parameter(2_000, "founding mass of the ABM", 100, 10**6),
    twins: int = parameter(300, "twin runs on either side", 20, 10**5, fast=80),
) -> Iterator[Check]:
    """Thresholds of the twin built from the parameters, and the sign of growth in the ABM."""
    limits = Twin.from_parameters(urn(K, volume / K, 10, **reinforcing(g, 0.0))).thresholds()
    critical = 1 - 1 / g
    yield Check("eps_c, root of the Jacobian", critical, limits.symmetric, tolerance=1e-9)
    yield Check("eps_sn, root finder", known_fold(g, K), limits.fold, tolerance=1e-8 if g == 2 or K == 2 else 1e-6)
    if K == 2:
        note = "at any g above 1"
        yield Check("gap eps_sn - eps_c, K = 2", 0.0, limits.fold - limits.symmetric, tolerance=1e-9, note=note)
    for sign, name in ((-1, "below"), (1, "above")):
        eps = critical + sign * step
        if not 0 <= eps <= 1:
            continue
        expected = (1 - eps) * g - 1
        runs = seeds(seed, f"U7 {name}", twins * 40)
        exponent, error, curvature = measured_exponent(K, g, eps, volume, math.e, runs[:twins])
        if 8 * error > abs(expected):
            # Too few twins to tell the sign this close to the threshold.
            enough = math.ceil(twins * (8 * error / abs(expected)) ** 2)
            exponent, error, curvature = measured_exponent(K, g, eps, volume, math.e, runs[:enough])
        note = f"growth of the largest share over one e-fold; 0 is {abs(expected) / error:.0f} standard errors away"
        yield Check(f"growth {name} eps_c", 0.0, exponent, error, relation=">" if sign < 0 else "<", note=note)
        yield Check(f"growth exponent {name} eps_c", expected, exponent, error, curvature)


@row("U8", "Hysteresis between lock-in threshold and fold", BRANCHES)
def hysteresis(
    seed: int,
    K: int = parameter(5, "families", 3, 100),
    g: float = parameter(2.0, "reinforcement", 1.2, 4),
    V: int = parameter(4_000, "records in the steady state", 1_000, 10**6),
    eps: tuple[float, ...] = parameter((0.47, 0.53, 0.55, 0.60), "explorations to try", 0, 1, fast=(0.4, 0.53, 0.65)),
    renewal: float = parameter(0.1, "share of records that goes in a tick", 0.005, 0.5),
    runs: int = parameter(16, "runs from each side at each exploration", 4, 10_000, fast=4),
    most: int = parameter(8_000, "most ticks of a run", 50, 10**6),
) -> Iterator[Check]:
    """Largest share at the end of runs that start from equal families and from lock-in."""
    for value in eps:
        batch = max(1, round(V * renewal))
        changes = {**reinforcing(g, value), "commons.forgetting": -math.log1p(-renewal), "space.materials": 4 * K}
        top = np.full(K, 0.05 * V / (K - 1))
        top[0] = 0.95 * V
        twin = Twin.from_parameters(urn(K, V / K, batch, **changes))
        # Thresholds from closed form or search: the twin shares the model's attention.
        critical, fold = 1 - 1 / g, known_fold(g, K)
        ticks = decided(twin, value, critical, fold, top)
        if ticks > most:
            near = f"too near a threshold ({critical:.4f} or {fold:.4f}) to be decided in {most} ticks"
            raise ConfigurationError(f"U8.eps = {value:g}: {near}; raise U8.most to {ticks}")
        ends = []
        for label, mass in (("equal", [V / K] * K), ("locked in", top.tolist())):
            x = family_masses(urn(K, mass, batch, **changes), seeds(seed, f"U8 {label} {value}", runs), ticks)
            ends.append(x.max(axis=1) / x.sum(axis=1))
        (equal, equal_se), (locked, locked_se) = mean_error(ends[0]), mean_error(ends[1])
        note = f"largest share after {ticks} ticks: {equal:.3f} from equality, {locked:.3f} from lock-in"
        differ = critical < value < fold
        name = f"branches {'differ' if differ else 'agree'} at eps = {value:g}"
        error = math.hypot(equal_se, locked_se)
        yield Check(name, 0.0, locked - equal, error, 1e-9, relation=">" if differ else "=", note=note)


def decided(twin: Twin, eps: float, critical: float, fold: float, locked: Float) -> int:
    """Ticks by which communities are where they go: twice what it takes from chance to lock-in, or out of it.

    Between the threshold and the fold nothing goes anywhere: twenty lifetimes of a record then.
    """
    here = twin.exploring(eps)
    lifetimes = math.ceil(20 / -math.expm1(-here.forgetting))
    if eps <= critical:
        # From fluctuations of the order V^-1/2 at the rate of the linearised map.
        return lifetimes + math.ceil(math.log(here.start.sum()) / max(1e-4, math.log(here.growth(here.start))))
    if eps >= fold:
        shares = here.map(20_000, locked).shares.max(axis=1)
        return lifetimes + 2 * int(np.argmax(shares < 1.5 / here.families))
    return lifetimes


# --------------------------------------------------------------------------- wrong rules

mutation("exploration half as strong", attention, "U0 U5 U7 U8 F11 K1 K5")(
    lambda right, x, eps, *rest: right(x, 0.5 * eps, *rest)
)
mutation("damage counts both what is gained and what is lost", damage, "U5")(lambda right, a, b: 2 * right(a, b))
mutation("exponent by natural numbers of steps", damage_exponent, "U5 U7")(
    lambda right, a, b, n: right(a, b, np.asarray(n) / 2 + n[0] / 2)
)
