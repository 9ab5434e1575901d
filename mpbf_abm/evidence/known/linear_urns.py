"""Linear urns: the null MPBF draw for draw, and the exact laws of Polya urns (rows U0 to U4)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, digamma, log_expit
from scipy.stats import betabinom, chi2, norm

from mpbf_abm.evidence.known.communities import RUNS, family_masses, grouped, reinforcing, small_space, urn, urn_moments
from mpbf_abm.evidence.known.rows import Check, generator, mean_error, mutation, parameter, require, row, seeds
from mpbf_abm.measures.path import early_stream_index, run_to, split_streams
from mpbf_abm.model import attention
from mpbf_abm.parameters import Parameters
from mpbf_abm.stats.concentration import hhi, limit_entropy, limit_gini, limit_hhi, limit_inverse_hhi, shannon
from mpbf_abm.stats.information import corrected_jsd, entropies
from mpbf_abm.streams import Streams, race
from mpbf_abm.theory.twin import urn_variance

Float = NDArray[np.float64]

# Sources of rows.
EGGENBERGER = "Eggenberger and Polya 1923; batches: conditional variance of multinomial draws"

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
    families = run_to(p, seed, ticks, observe=lambda eco: eco.world.commons.family[p.founding.records :])
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
) -> Iterator[Check]:
    """Beta-binomial law one at a time; variance in batches."""
    total = a + b
    first = family_masses(urn(2, (a, b)), seeds(seed, "U1", runs), n)[:, 0] - a
    x = (a + first) / (total + n)
    exact, product = a * b / (total**2 * (total + 1)) * n / (total + n), urn_variance(a, total, np.ones(n))
    draws = family_masses(urn(2, (x0 * N0, (1 - x0) * N0), m), seeds(seed, "U1 batches", runs), T)
    y = draws[:, 0] / draws.sum(axis=1)
    chi = goodness(first, betabinom(n, a, b).cdf, n)
    batches = float(np.var(y, ddof=1)), exact_error(x0 * N0, N0, m, T, runs)
    yield Check("E x_n", a / total, *mean_error(x))
    yield Check("Var x_n", exact, float(np.var(x, ddof=1)), exact_error(a, total, 1, n, runs))
    yield Check("law of K_n, standardised chi^2", 0.0, chi, 1.0, note="against the Beta-binomial law")
    yield Check("product formula with batches of 1", exact, product, tolerance=1e-6 * product)
    yield Check("Var x_T in batches", urn_variance(x0 * N0, N0, np.full(T, m)), *batches)
    yield Check("E x_T in batches", x0, *mean_error(y))


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
    require(len(start) == K, f"U2.masses has {len(start)} entries: must have K = {K}")
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
    require(
        m <= n and batch_early <= batch_T,
        f"U3: the early stream (m = {m}, batch_early = {batch_early}) must not be longer than the run",
    )

    def measured(p: Parameters, split: int, ticks: int, label: str) -> tuple[float, float]:
        runs = split_streams(p, split, ticks, seeds(seed, label, pairs), space=small_space(2, p.space.materials))
        return early_stream_index(*(v[:, 0] / v.sum(axis=1) for v in runs))

    one = measured(urn(2, (x0 * N0, (1 - x0) * N0)), m, n, "U3")
    many = measured(urn(2, (x0 * batch_N0, (1 - x0) * batch_N0), batch), batch_early, batch_T, "U3 batches")
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


# --------------------------------------------------------------------------- wrong rules

SEQUENCE = np.random.Generator(np.random.Philox(1))  # a generator that remembers

mutation("reinforcement weaker than said", attention.power, "U0 U1 U2 U3 U4 U9 U5 U6 U7 U8 U11 M4 F11 K3 K5")(
    lambda right, x, g: right(x, g - 0.4)
)
mutation("families by inverse CDF instead of a race", race, "U0 U5 W1")(
    lambda _, clocks, w: (np.cumsum(w, -1) / w.sum(-1, keepdims=True) < -np.expm1(-clocks[..., :1])).sum(-1)
)
mutation("the late stream begins with the run", Streams.root, "U3")(lambda right, self, tick: right(self, tick + 10**6))
mutation("covariance over the variance of sums", early_stream_index, "U3")(
    lambda right, a, b: (0.5 * right(a, b)[0], right(a, b)[1])
)
mutation("limits from shares instead of masses", limit_hhi, "U2")(
    lambda right, a: right(np.asarray(a) / np.sum(a) * len(a))
)
mutation("entropies in bits", entropies, "U4")(lambda right, x: right(x) / math.log(2))
mutation("draws follow from how many came before", Streams.generator, "U0 U3 U5 U12 W1 M8")(
    lambda _, self, name, tick=0: SEQUENCE
)
