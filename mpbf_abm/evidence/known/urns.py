"""Urns: the null MPBF draw for draw, exact laws, lock-in, interventions, adoption and coverage (rows U0 to U13)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from scipy.special import betaln, digamma, log_expit
from scipy.stats import betabinom, chi2, norm

from mpbf_abm.arrays import Float
from mpbf_abm.errors import ConfigurationError, refuse
from mpbf_abm.evidence.known.rows import (
    ONE_FAMILY,
    RUNS,
    Check,
    family_masses,
    generator,
    grouped,
    known_fold,
    law_of_two,
    mean_error,
    mutation,
    parameter,
    reinforcing,
    row,
    seeds,
    small_space,
    urn,
    urn_moments,
    variance_error,
)
from mpbf_abm.measures import path
from mpbf_abm.model.adoption import utility
from mpbf_abm.model.attention import attention, power
from mpbf_abm.model.community import Community
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.planners import keyed
from mpbf_abm.model.run import begin
from mpbf_abm.model.spec import RunSpec
from mpbf_abm.model.world import World
from mpbf_abm.parameters import Parameters
from mpbf_abm.stats.concentration import (
    corrected_jsd,
    entropies,
    hhi,
    limit_entropy,
    limit_gini,
    limit_hhi,
    limit_inverse_hhi,
    shannon,
)
from mpbf_abm.streams import Streams, race
from mpbf_abm.theory.twin import Twin, urn_variance

# Sources of rows.
EGGENBERGER = "Eggenberger and Polya 1923; batches: conditional variance of multinomial draws"
BRANCHES = "two stable branches between eps_c and eps_sn (forgetting urn)"

# --------------------------------------------------------------------------- U0

# Each switch of null(), what turning it on means, and why it provably does not break the urn; it does without a reason.
SWITCHES: dict[str, tuple[dict[str, Any], str]] = {
    "trainers.count": ({"trainers.count": 3}, "models exist but weigh nothing while the steering gain is 0"),
    "planners.reinforcement": ({"planners.reinforcement": 1.5}, ""),
    "curators.reinforcement": ({"curators.reinforcement": 1.5}, ""),
    "planners.steering_gain": ({"planners.steering_gain": 2.0}, "there is no model to weigh families"),
    "models": ({"trainers.count": 3, "planners.steering_gain": 2.0}, ""),
    "planners.acquisition": ({"planners.acquisition": "greedy"}, "candidates are chosen after the family"),
    "planners.candidates": ({"planners.candidates": 8}, "candidates are chosen after the family"),
    "planners.repeats": ({"planners.repeats": False, "space.materials": 60}, ""),
    "planners.publication_bias": ({"planners.publication_bias": 0.9}, ""),
    "planners.adjacency": ({"planners.adjacency": 1.0}, ""),
    "curators.adjacency": ({"curators.adjacency": 1.0}, ""),
    "curators.coverage_seeking": ({"curators.coverage_seeking": 1.0}, ""),
    "curators.model_guidance": ({"curators.model_guidance": 1.0}, "there is no model to guide"),
    "guidance by models": ({"curators.model_guidance": 1.0, "trainers.count": 3, "planners.steering_gain": 2.0}, ""),
    "curators.modality_mix": ({"curators.modality_mix": (0.0, 0.0, 0.0, 0.0, 1.0, 0.0)}, ""),
    "curators.measured_quota": ({"curators.measured_quota": 1.0}, ""),
    "curators.provenance_errors": ({"curators.provenance_errors": 1.0, "curators.qa": 0.0}, ""),
    "curators.audit_rate": ({"curators.audit_rate": 0.5}, ""),
    "curators.response_dal": (
        {"curators.response_dal": 5.0, "layers.fidelity_weight": 0.0, "layers.coverage_scale": 1.0},
        "",
    ),
    "trainers.response_ral": ({"trainers.response_ral": 1.0}, "there is no trainer to respond"),
    "coupling.outer_loop": ({"coupling.outer_loop": 0.3}, ""),
    "coupling.pseudo_share": ({"coupling.pseudo_share": 1.0}, "a generated label changes values, never families"),
    "coupling.correction": ({"coupling.correction": 1.0}, "there is no model to correct"),
    "stocks.merit_share": ({"stocks.merit_share": 1.0, "stocks.matthew": 3.0}, ""),
    "stocks.lottery_share": ({"stocks.lottery_share": 1.0}, ""),
    "stocks.wear": ({"stocks.wear": 0.5}, "worn nodes fail only with a hazard"),
    "stocks.hazard": ({"stocks.hazard": 0.5}, ""),
    "commons.forgetting": ({"commons.forgetting": 0.3}, ""),
}


def ten_line_urn(
    seed: int, mass: Float, producers: list[tuple[str, int]], ticks: int, gamma: float, eps: float
) -> list[int]:
    """Draw families from an urn with the community's own keyed clocks."""
    x, sequence, streams = mass.astype(float).copy(), [], Streams(seed)
    for tick in range(ticks):
        for decision, count in producers:
            with np.errstate(divide="ignore"):
                power = np.exp(gamma * np.log(x) - (gamma * np.log(x)).max())
            f = eps / len(x) + (1 - eps) * (x if gamma == 1 else power) / (x if gamma == 1 else power).sum()
            chosen = np.argmin(streams.exponential(decision, tick, (count, len(x))) / f, axis=1)
            sequence += chosen.tolist()
            x += np.bincount(chosen, minlength=len(x))
    return sequence


def family_sequence(p: Parameters, seed: int, ticks: int) -> list[int]:
    """Return families of the records of a community in the order they were entered, founding left out."""
    families = path.run_to(p, seed, ticks, observe=lambda eco: eco.world.commons.family[p.founding.records :])
    return [int(k) for k in families]


def breaks_the_urn(switch: str, seed: int, ticks: int = 30) -> bool:
    """Whether turning on one switch of null() changes the family sequence of a small community."""
    base = grouped(
        space={"materials": 600, "families": 6},
        founding={"records": 120},
        curators={"records": 2, "count": 3, "exploration": 0.3},
        planners={"count": 5, "experiments": 1.0, "exploration": 0.3},
        infrastructure={"repositories": 3},
    )
    plain, changed = (Parameters.null(**(base | changes)) for changes in ({}, SWITCHES[switch][0]))
    return family_sequence(plain, seed, ticks) != family_sequence(changed, seed, ticks)


@row("U0", "Null MPBF is the urn, draw for draw", "definition of Parameters.null() (model description, 7.19)")
def null_is_the_urn(
    seed: int,
    K: int = parameter(6, "families", 1, 500),
    curators: int = parameter(3, "curators, one record each per tick", 0, 200),
    planners: int = parameter(5, "planners, one experiment each per tick", 0, 200),
    g: float = parameter(1.5, "reinforcement", -1, 4),
    eps: float = parameter(0.2, "exploration", 0, 1),
    ticks: int = parameter(200, "ticks", 1, 5_000, fast=40),
    switches: int = parameter(1, "1: examine the switches of null(), too", 0, 1),
) -> Iterator[Check]:
    """Compare the community's records with a ten-line urn on the same keyed draws."""
    mass = np.round(0.5 + 3 * generator(seed, "U0").random(K), 3)
    more = {"planners.count": planners, "planners.experiments": 1.0, "space.materials": max(4, 20 * K)}
    p = urn(K, mass, curators, **(reinforcing(g, eps) | more))
    producers = [(name, n) for name, n in (("curator.family.0", curators), ("planner.family.0", planners)) if n]
    expected = ten_line_urn(seed, mass, producers, ticks, g, eps)
    measured = family_sequence(p, seed, ticks)
    different = abs(len(expected) - len(measured)) + sum(a != b for a, b in zip(expected, measured, strict=False))
    yield Check("records that differ from the urn's", 0, different, note=f"{len(expected)} records")
    if switches:
        wrong = [s for s, (_, harmless) in SWITCHES.items() if breaks_the_urn(s, 3) is bool(harmless)]
        breaking = sum(not harmless for _, harmless in SWITCHES.values())
        note = f"{len(SWITCHES)} switches; turned on, {breaking} break the urn, the others provably do not"
        yield Check("switches that do otherwise than said", 0, len(wrong), note=", ".join(wrong) or note)


MARTINGALE = "measured: mean over runs of the limit's mean given the masses after {} draws (a martingale)"

# --------------------------------------------------------------------------- U1 to U4: linear urns


@row("U1", "Polya urn: law of the share", EGGENBERGER)
def polya(
    seed: int,
    a: float = parameter(1.0, "founding mass of the first colour", 0, 1e6, True),
    b: float = parameter(1.0, "founding mass of the second", 0, 1e6, True),
    n: int = parameter(200, "draws, one at a time", 1, 20_000, fast=60),
    N0: float = parameter(60.0, "founding mass of the batch urn", 0, 1e7, True),
    m: int = parameter(100, "records a tick of the batch urn", 1, 5_000),
    T: int = parameter(10, "its ticks", 1, 2_000),
    x0: float = parameter(0.5, "its first share", 1e-6, 1 - 1e-6),
    runs: int = parameter(4_000, RUNS, 50, 10**6, fast=150),
) -> list[Check]:
    """Beta-binomial law one at a time; variance in batches."""
    total = a + b
    first = family_masses(urn(2, (a, b)), seeds(seed, "U1", runs), n)[:, 0] - a
    x = (a + first) / (total + n)
    exact, product = a * b / (total**2 * (total + 1)) * n / (total + n), urn_variance(a, total, np.ones(n))
    draws = family_masses(urn(2, (x0 * N0, (1 - x0) * N0), m), seeds(seed, "U1 batches", runs), T)
    y = draws[:, 0] / draws.sum(axis=1)
    chi = goodness(first, betabinom(n, a, b).cdf, n)
    batches = float(np.var(y, ddof=1)), exact_error(x0 * N0, N0, m, T, runs)
    return [
        Check("E x_n", a / total, *mean_error(x)),
        Check("Var x_n", exact, float(np.var(x, ddof=1)), exact_error(a, total, 1, n, runs)),
        Check("law of K_n, standardised chi^2", 0.0, chi, 1.0, note="against the Beta-binomial law"),
        Check("product formula with batches of 1", exact, product, tolerance=1e-6 * product),
        Check("Var x_T in batches", urn_variance(x0 * N0, N0, np.full(T, m)), *batches),
        Check("E x_T in batches", x0, *mean_error(y)),
    ]


def exact_error(a: float, total: float, batch: int, ticks: int, runs: int) -> float:
    """Standard error of the variance of a linear urn's share over runs, from its exact moments."""
    second, fourth = urn_moments(a, total, batch, ticks)
    return math.sqrt(max(0.0, fourth - second**2 * (runs - 3) / (runs - 1)) / runs) + 1e-15


def goodness(counts: Float, cdf: Any, n: int, bins: int = 12) -> float:
    """Chi-squared statistic of counts against a law on 0..n, as a standard normal number."""
    edges = np.unique(np.searchsorted(cdf(np.arange(n + 1)), np.arange(1, bins) / bins))
    if not len(edges):
        return 0.0
    probability = np.diff(np.concatenate([[0.0], cdf(edges), [1.0]]))
    expected = probability * len(counts)
    held = np.bincount(np.searchsorted(edges, counts), minlength=len(probability))
    kept = expected >= 5
    if kept.sum() < 2:
        return 0.0
    statistic = float(((held - expected)[kept] ** 2 / expected[kept]).sum())
    whole = math.isclose(probability[kept].sum(), 1.0)
    # One-sided: counts that fit too well are no fault.
    return max(0.0, float(norm.isf(chi2.sf(statistic, int(kept.sum()) - whole))))


@row("U2", "Concentration of a Polya urn in the end", "moments of the Dirichlet law (Blackwell and MacQueen 1973)")
def concentration_of_urns(
    seed: int,
    K: int = parameter(5, "colours", 2, 200),
    a: float = parameter(1.0, "founding mass of each colour", 0.05, 1e5),
    masses: tuple[float, ...] = parameter((), "founding masses instead, one for each of K colours", 0.05, 1e5),
    n: int = parameter(300, "draws", 10, 20_000, fast=100),
    runs: int = parameter(1_500, RUNS, 30, 10**6, fast=80),
) -> Iterator[Check]:
    """Mean HHI, entropy and Gini of the limit, from founding masses and from the masses after n draws."""
    start = np.array(masses) if masses else np.full(K, a)
    refuse(len(start) != K, f"U2.masses has {len(start)} entries: must have K = {K}")
    x = family_masses(urn(K, start), seeds(seed, "U2", runs), n)
    two = family_masses(urn(2, (a, a)), seeds(seed, "U2 two", runs), n)
    A = start.sum()
    if (start == 1).all():
        limits = 2 / (K + 1), sum(1 / i for i in range(2, K + 1)), (K - 1) / (2 * K)
    else:
        entropy = float(digamma(A + 1) - (start * digamma(start + 1)).sum() / A)
        limits = float((start * (start + 1)).sum() / (A * (A + 1))), entropy, numeric_gini(start)
    # What the shares themselves are after n draws: every count is Beta-binomial.
    j = np.arange(n + 1)
    second = entropy_now = 0.0
    for mass, times in zip(*np.unique(start, return_counts=True), strict=True):
        share = (mass + j) / (A + n)
        law = betabinom.pmf(j, n, mass, A - mass)
        second += times * float(law @ share**2)
        entropy_now -= times * float(law @ (share * np.log(share)))
    inverse, now = math.pi / 2 if a == 1 else numeric_inverse_hhi(a), f"after {n} draws, exact"
    for name, expected, masses_after, measure, tolerance, note in (
        ("E HHI in the end", limits[0], x, limit_hhi, 0.0, MARTINGALE.format(n)),
        ("E H in the end (nats)", limits[1], x, limit_entropy, 0.0, MARTINGALE.format(n)),
        ("E Gini in the end", limits[2], x, limit_gini, 1e-6, MARTINGALE.format(n)),
        ("E 1/HHI in the end, K = 2", inverse, two, limit_inverse_hhi, 1e-6, "flat a = 1: pi / 2"),
        ("E HHI of the shares now", second, x, hhi, 0.0, now),
        ("E H of the shares now (nats)", entropy_now, x, shannon, 0.0, now),
    ):
        yield Check(name, expected, *mean_error([measure(v) for v in masses_after]), tolerance, note=note)


def numeric_gini(start: Float) -> float:
    """Return the mean Gini coefficient of Dirichlet shares by numeric integration over the odds of each pair."""
    total = 0.0
    for a, b in ((float(start[i]), float(start[j])) for i in range(len(start)) for j in range(i)):
        s = np.linspace(-1, 1, 60_001) * max(60.0, 30 / min(a, b)) + math.log(a / b)
        density = np.exp(a * log_expit(s) + b * log_expit(-s) - betaln(a, b))
        apart = float(np.trapezoid(density * np.abs(np.tanh(s / 2)), s))
        total += (a + b) / start.sum() * apart / float(np.trapezoid(density, s))
    return total / len(start)


def numeric_inverse_hhi(a: float) -> float:
    """Mean inverse HHI of two colours of equal mass by numeric integration over their odds."""
    s = np.linspace(-60, 60, 60_001)
    density = np.exp(a * (log_expit(s) + log_expit(-s)) - betaln(a, a))
    return 1.0 + float(np.trapezoid(density * (1 - np.tanh(s / 2) ** 2) / (1 + np.tanh(s / 2) ** 2), s))


def _early_index(p: Parameters, split: int, ticks: int, keys: Sequence[int]) -> tuple[float, float]:
    """Return the early-stream index of the first of two families' share, and its standard error."""
    runs = path.split_streams(p, split, ticks, keys, space=small_space(2, p.space.materials))
    return path.early_stream_index(*(v[:, 0] / v.sum(axis=1) for v in runs))


@row("U3", "Early-stream Sobol index", "martingale property of the Polya urn; pick-freeze (Janon et al. 2014)")
def early_stream(
    seed: int,
    m: int = parameter(20, "draws of the early stream", 1, 20_000),
    n: int = parameter(400, "draws", 2, 20_000, fast=100),
    N0: float = parameter(2.0, "founding mass", 0, 1e6, True),
    x0: float = parameter(0.5, "first share", 1e-6, 1 - 1e-6),
    pairs: int = parameter(2_000, "pairs of runs", 30, 10**6, fast=80),
    batch: int = parameter(100, "records a tick of the batch urn", 1, 5_000),
    batch_N0: float = parameter(60.0, "its founding mass", 0, 1e7, True),
    batch_early: int = parameter(2, "its early ticks", 1, 2_000),
    batch_T: int = parameter(10, "its ticks", 2, 2_000),
) -> Iterator[Check]:
    """Share of the variance of the last share that the first draws decide."""
    refuse(
        not (m <= n and batch_early <= batch_T),
        f"U3: the early stream (m = {m}, batch_early = {batch_early}) must not be longer than the run",
    )

    one = _early_index(urn(2, (x0 * N0, (1 - x0) * N0)), m, n, seeds(seed, "U3", pairs))
    batches, keys = urn(2, (x0 * batch_N0, (1 - x0) * batch_N0), batch), seeds(seed, "U3 batches", pairs)
    many = _early_index(batches, batch_early, batch_T, keys)
    early, whole = (urn_variance(x0 * batch_N0, batch_N0, np.full(t, batch)) for t in (batch_early, batch_T))
    yield Check("S_early", m * (n + N0) / (n * (m + N0)), *one)
    yield Check("S_early in batches", early / whole, *many)


@row("U4", "Divergence of replicates of a flat urn", "entropy of the mean less mean entropy of Dirichlet shares")
def replicate_divergence(
    seed: int,
    K: int = parameter(5, "colours", 2, 200),
    a: float = parameter(1.0, "founding mass of each colour", 0, 1e5, True),
    n: int = parameter(300, "draws", 10, 20_000, fast=100),
    R: int = parameter(1_500, "replicates", 10, 10**6, fast=100),
) -> Iterator[Check]:
    """Jensen-Shannon divergence of the replicates' draws, without the part of chance."""
    start = np.full(K, a)
    counts = family_masses(urn(K, start), seeds(seed, "U4", R), n) - start
    measured, error = corrected_jsd(counts)
    # What the null bias leaves of the effect of n draws, exactly: each count is Beta-binomial.
    j = np.arange(1, n + 1)
    entropy = -K * float(betabinom.pmf(j, n, a, (K - 1) * a) @ (j / n * np.log(j / n)))
    exact = math.log(K) - entropy - (K - 1) / (2 * n)
    limit = math.log(K) - limit_entropy(start)
    note = "flat a = 1: ln K - (H_K - 1); null bias subtracted, jackknife over replicates; tolerance: exact effect of n"
    yield Check("JSD (nats), exact after n draws", exact, measured, error)
    yield Check("JSD (nats), n large", limit, measured, error, abs(limit - exact), note=note)


LEAD = 0.02  # share by which a family is put ahead to see whether its lead grows


@row("U5", "Twin damage under common random numbers", "coupling by exponential race; linearisation at x* = 1/2")
def twin_damage(
    seed: int,
    N0: int = parameter(2, "founding mass of the two-colour urn", 2, 10**5),
    K: int = parameter(5, "colours of the second urn, mass 1 each", 3, 60),
    n: int = parameter(100, "draws", 1, 5_000, fast=50),
    pairs: int = parameter(1_500, "pairs of runs", 30, 10**6, fast=70),
    g: float = parameter(2.0, "reinforcement at x* = 1/2", -1, 4),
    eps: float = parameter(0.3, "exploration at x* = 1/2", 0, 1),
    volume: int = parameter(2_000, "founding mass at x* = 1/2", 100, 10**6),
    growth: float = parameter(3.0, "final over first volume", 1.2, 100),
    twins: int = parameter(300, "pairs of runs at x* = 1/2", 20, 10**5, fast=24),
) -> list[Check]:
    """Distance of pairs of runs that start one record apart."""
    runs = seeds(seed, "U5", pairs)
    a, b = N0 / 2 + 1, N0 / 2
    two = path.damage(family_masses(urn(2, (a, b)), runs, n), family_masses(urn(2, (b, a)), runs, n))
    start, moved = np.ones(K), np.ones(K)
    start[0] += 1
    moved[1] += 1
    several = path.damage(family_masses(urn(K, start), runs, n), family_masses(urn(K, moved), runs, n))
    reference = coupled_urns(start, moved, n, 20_000, generator(seed, "U5 reference"))
    expected, expected_se = mean_error(reference)
    measured, measured_se = mean_error(several)
    exponent = measured_exponent(2, g, eps, volume, growth, seeds(seed, "U5 exponent", twins))
    return [
        Check("K = 2: E|dx| after n draws", 1 / (N0 + 1), *mean_error(two), note="one record moved; conserved exactly"),
        Check(
            f"K = {K}: damage after n draws",
            expected,
            measured,
            math.hypot(expected_se, measured_se),
            note=f"from {1 / (K + 1):.3f} at the start; expected from {len(reference)} coupled urns",
        ),
        Check("exponent d ln D / d ln n", (1 - eps) * g - 1, *exponent, note="tolerance: curvature of p(x)"),
    ]


def coupled_urns(first: Float, second: Float, n: int, count: int, rng: np.random.Generator) -> Float:
    """Damage between linear urns coupled by exponential races, for many pairs at once (count,)."""
    x, y = (np.repeat(v[None], count, 0) for v in (first, second))
    at = np.arange(count)
    for _ in range(n):
        clocks = rng.standard_exponential(x.shape)
        x[at, np.argmin(clocks / x, axis=1)] += 1
        y[at, np.argmin(clocks / y, axis=1)] += 1
    return path.damage(x, y)


def measured_exponent(
    K: int, g: float, eps: float, volume: float, growth: float, run_seeds: Sequence[int]
) -> tuple[float, float, float]:
    """Exponent of the lead of one family among equal ones: measured, its standard error, and what curvature adds.

    The runs of a pair start with the first family ahead by 2 %, and behind by as much, on the same draws. What both
    share of chance, and what is quadratic in the lead, cancels. Batches are 5 % of the founding mass.
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
    at = path.damage_exponent(2 * LEAD, mean, volumes)
    slope = (path.damage_exponent(2 * LEAD, mean * 1.001, volumes) - at) / (mean * 0.001)
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
    refuse(slope >= 0.45, f"U6: f' = (1 - eps) g = {slope:g}: must be below 0.45 (at 1/2 the limit ceases to exist)")
    refuse(n < N0, f"U6: n = {n}: must be at least N0 = {N0:g}, or founding has not faded")
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
    twins: int = parameter(300, "pairs of runs on either side", 20, 10**5, fast=80),
) -> Iterator[Check]:
    """Thresholds of the twin built from the parameters, and the sign of growth in the ABM."""
    limits = Twin.from_parameters(urn(K, volume / K, 10, **reinforcing(g, 0.0))).thresholds()
    critical = 1 - 1 / g
    yield Check("eps_c, root of the Jacobian", critical, limits.symmetric, tolerance=1e-9)
    yield Check("eps_sn, root finder", known_fold(g, K), limits.fold, tolerance=1e-8 if g == 2 or K == 2 else 1e-6)
    if K == 2:
        yield Check(
            "gap eps_sn - eps_c, K = 2", 0.0, limits.fold - limits.symmetric, tolerance=1e-9, note="at any g above 1"
        )
    for sign, name in ((-1, "below"), (1, "above")):
        eps = critical + sign * step
        if not 0 <= eps <= 1:
            continue
        expected = (1 - eps) * g - 1
        runs = seeds(seed, f"U7 {name}", twins * 40)
        exponent, error, curvature = measured_exponent(K, g, eps, volume, math.e, runs[:twins])
        if 8 * error > abs(expected):
            # Too few pairs to tell the sign this close to the threshold.
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


@row("U9", "Intervention and cost of reversal", "martingale property of the Polya urn")
def intervention(
    seed: int,
    a: float = parameter(1.0, "founding mass of the first colour", 0, 1e5, True),
    b: float = parameter(1.0, "founding mass of the second", 0, 1e5, True),
    N: int = parameter(60, "size at which to intervene", 3, 20_000),
    m: int = parameter(30, "extra records of the first colour", 1, 10**5),
    D: float = parameter(0.1, "shift of its share to buy", 0.001, 0.9),
    after: int = parameter(150, "draws afterwards", 1, 20_000, fast=50),
    runs: int = parameter(800, RUNS, 30, 10**6, fast=60),
) -> Iterator[Check]:
    """Share in the end after extra records, and what it costs to move it by D."""
    refuse(a + b + 1 > N, f"U9: N = {N}: must be above the founding mass a + b = {a + b:g}")
    refuse(D * N < 2, f"U9: D N = {D * N:g}: must be at least 2, or whole records cannot buy the shift")
    p = urn(2, (a, b))
    space = small_space(2, p.space.materials)
    given: list[tuple[float, float, float]] = []
    bought: list[tuple[float, float, float]] = []
    for s in seeds(seed, "U9", runs):
        for price, out in ((False, given), (True, bought)):
            eco = begin(RunSpec(p, s, space=space), record=())
            step_on(eco, round(N - a - b))
            now = eco.world.commons.visible()
            size, x = float(now.sum()), float(now[0] / now.sum())
            count = path.cost_of_reversal(x, size, D) if price else m
            if math.isfinite(count):
                path.deposit(eco, 0, round(count))
                step_on(eco, after)
                end = eco.world.commons.visible()
                share = float(end[0] / end.sum())
                # Whole records buy slightly more or less than D.
                out.append((path.share_after_deposit(x, size, round(count)), share, share - x))
    w, share, _ = np.array(given).T
    yield Check("E share after m extra records", float(w.mean()), float(share.mean()), mean_error(share - w)[1])
    if len(bought) > 2:
        w, share, shift = np.array(bought).T
        name, error, half_a_record = "E shift bought by N D / (1 - x - D) records", mean_error(share - w)[1], 0.5 / N
        note = f"runs with x + D < 1: {len(bought)}; records to the nearest whole number"
        yield Check(name, D, float(shift.mean()), error, half_a_record, note=note)


def step_on(eco: Community, ticks: int) -> None:
    """Advance a community by some ticks."""
    for _ in range(ticks):
        eco.step()


@row("U10", "Adoption with increasing returns", "Arthur 1989: random walk between absorbing barriers")
def adoption(
    seed: int,
    r: float = parameter(1.0, "returns to adoption", 0, 10, True),
    g_R: float = parameter(2.5, "taste of R-agents for A", 0, 1000),
    g_S: float = parameter(4.5, "taste of S-agents for B", 0, 1000),
    runs: int = parameter(1_200, RUNS, 30, 10**6, fast=80),
) -> list[Check]:
    """Which model takes the market, and how many adoptions it takes."""
    # Rounded as the rule rounds utilities, since decimals are not exact.
    b_A, b_B = math.floor(round(g_S / r, 9)) + 1, math.floor(round(g_R / r, 9)) + 1
    mean = b_A * b_B
    refuse(mean > 2_000, f"U10: the barriers are {b_A} and {b_B} adoptions away; g_R and g_S must be smaller against r")
    planners = int(min(100_000, 40 * mean + 200))
    taste = {"adoption": "utility", "utility_gaps": (g_R, g_S), "utility_returns": r}
    changes = grouped(
        space={"materials": 40},
        founding={"records": 20},
        curators={"count": 0},
        trainers={"count": 2, "retrain_interval": 10_000},
        planners={"count": planners, "experiments": 0.0, "entry": 1, "adoption_rate": 0.0, **taste},
    )
    p = Parameters.null(**(ONE_FAMILY | changes))
    space = MaterialsSpace.synthetic(p, seed=0)
    first, time, strayed = [], [], 0
    for s in seeds(seed, "U10", runs):
        eco = begin(RunSpec(p, s, space=space), record=())
        for t in range(1, planners + 1):
            eco.step()
            lead = int(np.diff(eco.world.registry.adopters)[0])
            if lead <= -b_A or lead >= b_B:
                first.append(lead <= -b_A)
                time.append(t)
                step_on(eco, b_A + b_B + 5)
                # From here on all take the leader, whatever their taste.
                strayed += abs(int(np.diff(eco.world.registry.adopters)[0])) != abs(lead) + b_A + b_B + 5
                break
    expected, measured, undecided = b_B / (b_A + b_B), float(np.mean(first)), runs - len(first)
    return [
        Check(
            "P(A takes the market)",
            expected,
            measured,
            math.sqrt(expected * (1 - expected) / len(first)),
            note=f"barriers: A ahead by {b_A}, B ahead by {b_B}; undecided after {planners} agents: {undecided}",
        ),
        Check("E adoptions until then", float(mean), *mean_error(time)),
        Check("runs in which an agent later takes the other", 0, strayed),
    ]


def _chance_of_lead(a: float, b: float, draws: int, g: float) -> float:
    """Return the chance that the first colour has more after some draws, by the exact law."""
    lead = 2 * (a + np.arange(draws + 1)) - (a + b + draws)
    return float(law_of_two(a, b, draws, g) @ (np.sign(lead) * 0.5 + 0.5))


@row("U11", "Monopoly with g > 1, equal shares with g < 1", "Rubin's theorem (Davis 1990)")
def monopoly(
    seed: int,
    g: float = parameter(2.0, "reinforcement above 1", 1.2, 4),
    a: float = parameter(1.0, "mass of the first colour", 0, 1e4, True),
    b: float = parameter(2.0, "mass of the second", 0, 1e4, True),
    g_low: float = parameter(0.4, "reinforcement below 1", -1, 0.95),
    n: int = parameter(400, "draws", 10, 20_000, fast=100),
    runs: int = parameter(1_500, RUNS, 30, 10**6, fast=80),
) -> list[Check]:
    """Chance that the first colour takes nearly all; shares with weak reinforcement."""
    refuse(a + b > n, f"U11: n = {n}: must be at least the masses a + b = {a + b:g}, or the winner is still open")
    x = family_masses(urn(2, (a, b), **reinforcing(g, 0.0)), seeds(seed, "U11", runs), n)
    leads = float((np.sign(x[:, 0] - x[:, 1]) * 0.5 + 0.5).mean())

    exact, later = (_chance_of_lead(a, b, draws, g) for draws in (n, 4 * n))
    # The chance of a late change of leader falls as n^(1 - g).
    left = 1.5 * abs(later - exact) / (1 - 4.0 ** (1 - g)) + 1e-4
    error = math.sqrt(max(exact * (1 - exact), 1 / runs) / runs)
    low = family_masses(urn(2, (a, b), **reinforcing(g_low, 0.0)), seeds(seed, "U11 low", runs), n)
    share = low[:, 0] / low.sum(axis=1)
    law, first = law_of_two(a, b, n, g_low), a + np.arange(n + 1)
    low_exact = float(law @ first) / (a + b + n)
    low_sd = math.sqrt(float(law @ ((first / (a + b + n) - low_exact) ** 2)))
    return [
        Check(
            "P(first colour is the monopolist)",
            path.monopoly_chance(a, b, g),
            leads,
            error,
            left,
            note=f"tolerance: stopping at n = {n}, from the exact laws at n and 4 n",
        ),
        Check("P(first colour leads after n draws)", exact, leads, error, note="exact law of two colours"),
        Check("g < 1: E x_n", low_exact, *mean_error(share), note="tends to 1/2 with n"),
        Check("g < 1: Var x_n", low_sd**2, *variance_error(share), note="tends to 0 with n"),
    ]


@row("U12", "No perturbation, no difference", "common random numbers by construction")
def zero_perturbation(
    seed: int,
    ticks: int = parameter(24, "ticks", 2, 2_000, fast=8),
    materials: int = parameter(2_000, "materials", 200, 10**6, fast=600),
    planners: int = parameter(12, "planners", 2, 1_000),
) -> list[Check]:
    """Bytes that differ between identical runs, and choices of others in the tick in which one planner is perturbed."""
    changes = grouped(
        space={"materials": materials, "families": 20},
        founding={"records": 300},
        planners={"count": planners, "experiments": 4.0},
        stocks={"merit_share": 0.0},
        trainers={"records": 200, "features": 48},
    )
    p = Parameters.preset("single-quick").updated(changes)
    space = MaterialsSpace.synthetic(p, seed=seed)

    def course(perturbed: bool) -> tuple[list[bytes], list[bytes]]:
        """Return bytes of the ticks but the last one, and the choices of the others and of the last planner in it."""
        eco = begin(RunSpec(p, seed, space=space), record=("series",))
        step_on(eco, ticks - 1)
        if perturbed:
            eco.world.planners.exploration[-1], eco.world.planners.reinforcement[-1] = 1.0, -1.0
        eco.step()
        world, results = eco.world, eco.world.results
        if results is None:
            raise ConfigurationError("U12: no experiment in the last tick; raise planners")
        parts = [np.array(list(values.values())).tobytes() for _, values in eco.recorder.series[:-1]]
        before = world.commons.tick < ticks - 1
        parts += [world.commons.key[before].tobytes(), world.commons.value[before].tobytes()]
        last = results.planner == planners - 1
        return parts, [results.material[rows].tobytes() + results.observed[rows].tobytes() for rows in (~last, last)]

    (parts, choices), (twin, same), (other, perturbed) = course(False), course(False), course(True)
    return [
        Check("parts that differ between identical runs", 0, _different(parts + choices, twin + same)),
        Check(
            "parts that differ beside the perturbed planner, in its tick",
            0,
            _different([*parts, choices[0]], [*other, perturbed[0]]),
        ),
        Check("the perturbed planner itself differs", 1, float(choices[1] != perturbed[1])),
    ]


def _different(one: list[bytes], other: list[bytes]) -> int:
    """Count the parts that differ."""
    return sum(x != y for x, y in zip(one, other, strict=True))


def _touched(eco: Community) -> float:
    """Return the share of the materials that were ever tested."""
    return float(eco.world.commons.tested.mean())


@row("U13", "Coverage by random choice", "occupancy: 1 - (1 - 1/E)^t")
def random_coverage(
    seed: int,
    E: int = parameter(500, "materials", 2, 100_000),
    t: int = parameter(700, "experiments", 1, 10**6),
    runs: int = parameter(200, RUNS, 10, 10**5, fast=40),
) -> Iterator[Check]:
    """Share of the materials that random experiments with repeats have touched."""
    per_tick = next(d for d in range(min(t, 100), 0, -1) if t % d == 0)
    changes = grouped(
        space={"materials": E, "families": 1, "feasible": 1.0},
        founding={"records": 0},
        curators={"count": 0},
        planners={"count": per_tick, "experiments": 1.0},
        infrastructure={"repositories": 1},
    )
    p, space = Parameters.null(**changes), small_space(1, E)

    ends = [path.run_to(p, s, t // per_tick, space=space, observe=_touched) for s in seeds(seed, "U13", runs)]
    missed, both = (1 - 1 / E) ** t, (1 - 2 / E) ** t
    error = math.sqrt(max(0.0, missed * (1 - missed) / E + (1 - 1 / E) * (both - missed**2)) / runs) or 1e-12
    yield Check(
        "share of materials seen", 1 - missed, mean_error(ends)[0], error, note="standard error from the exact variance"
    )


# --------------------------------------------------------------------------- injected faults

SEQUENCE = np.random.Generator(np.random.Philox(1))  # a generator that remembers

mutation("reinforcement weaker than said", power, "U0 U1 U2 U3 U4 U9 U5 U6 U7 U8 U11 U14 M4 F11 K3 K5")(
    lambda right, x, g: right(x, g - 0.4)
)
mutation("families by inverse CDF instead of a race", race, "U0 U5 W1")(
    lambda _, clocks, w: (np.cumsum(w, -1) / w.sum(-1, keepdims=True) < -np.expm1(-clocks[..., :1])).sum(-1)
)
mutation("the late stream begins with the run", Streams.root, "U3")(lambda right, self, tick: right(self, tick + 10**6))
mutation("covariance over the variance of sums", path.early_stream_index, "U3")(
    lambda right, a, b: (0.5 * right(a, b)[0], right(a, b)[1])
)
mutation("limits from shares instead of masses", limit_hhi, "U2")(
    lambda right, a: right(np.asarray(a) / np.sum(a) * len(a))
)
mutation("entropies in bits", entropies, "U4")(lambda right, x: right(x) / math.log(2))
mutation("draws follow from how many came before", Streams.generator, "U0 U3 U5 U12 W1 M8")(
    lambda _, self, name, tick=0: SEQUENCE
)
mutation("exploration half as strong", attention, "U0 U5 U7 U8 F11 K1 K5")(
    lambda right, x, eps, *rest: right(x, 0.5 * eps, *rest)
)
mutation("damage counts both what is gained and what is lost", path.damage, "U5")(lambda right, a, b: 2 * right(a, b))
mutation("exponent by natural numbers of steps", path.damage_exponent, "U5 U7")(
    lambda right, a, b, n: right(a, b, np.asarray(n) / 2 + n[0] / 2)
)
mutation("a deposit counts twice", path.deposit, "U9 M7")(lambda right, eco, k, m, **o: right(eco, k, 2 * m, **o))
mutation("price of a move from nothing", path.cost_of_reversal, "U9")(lambda right, x, N, D: right(0.0, N, D))


@mutation("returns to adoption count half", utility, "U10")
def _half_returns(right: Any, world: World) -> tuple[Any, Any]:
    value, cost = right(world)
    return value - 0.5 * world.p.planners.utility_returns * world.registry.adopters, cost


mutation("colours have one mass", path.monopoly_chance, "U11")(lambda right, a, _b, g: right(a, a, g))
mutation("candidates from the first half of a family", keyed, "U13 M7")(lambda right, *a: right(*a) * 0.5)
