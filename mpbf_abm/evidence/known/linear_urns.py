"""Linear urns: the null MPBF draw for draw, and the exact laws of Polya urns (rows U0 to U4)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, digamma, log_expit
from scipy.stats import betabinom, chi2, norm

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.evidence.known.communities import RUNS, family_masses, reinforcing, small_space, urn, urn_moments
from mpbf_abm.evidence.known.mutations import mutation
from mpbf_abm.evidence.known.rows import Check, Knob, generator, mean_error, row, seeds
from mpbf_abm.measures.path import early_stream_index, split_streams
from mpbf_abm.model import attention
from mpbf_abm.model.run import begin
from mpbf_abm.model.spec import RunSpec
from mpbf_abm.parameters import Parameters
from mpbf_abm.stats.concentration import hhi, limit_entropy, limit_gini, limit_hhi, limit_inverse_hhi, shannon
from mpbf_abm.stats.information import corrected_jsd, entropies
from mpbf_abm.streams import Streams, race
from mpbf_abm.theory.twin import urn_variance

Float = NDArray[np.float64]
Int = NDArray[np.int64]

# --------------------------------------------------------------------------- U0

# Each switch of null(), what turning it on means, whether it breaks the urn and, where it provably
# does not, the reason.
SWITCHES: dict[str, tuple[dict[str, Any], bool, str]] = {
    "trainers.count": ({"trainers.count": 3}, False, "models exist but weigh nothing while the steering gain is 0"),
    "planners.reinforcement": ({"planners.reinforcement": 1.5}, True, ""),
    "curators.reinforcement": ({"curators.reinforcement": 1.5}, True, ""),
    "planners.steering_gain": ({"planners.steering_gain": 2.0}, False, "there is no model to weigh families"),
    "models": ({"trainers.count": 3, "planners.steering_gain": 2.0}, True, ""),
    "planners.acquisition": ({"planners.acquisition": "greedy"}, False, "candidates are chosen after the family"),
    "planners.candidates": ({"planners.candidates": 8}, False, "candidates are chosen after the family"),
    "planners.repeats": ({"planners.repeats": False, "space.materials": 60}, True, ""),
    "planners.publication_bias": ({"planners.publication_bias": 0.9}, True, ""),
    "planners.adjacency": ({"planners.adjacency": 1.0}, True, ""),
    "curators.adjacency": ({"curators.adjacency": 1.0}, True, ""),
    "curators.coverage_seeking": ({"curators.coverage_seeking": 1.0}, True, ""),
    "curators.model_guidance": ({"curators.model_guidance": 1.0}, False, "there is no model to guide"),
    "guidance by models": (
        {"curators.model_guidance": 1.0, "trainers.count": 3, "planners.steering_gain": 2.0},
        True,
        "",
    ),
    "curators.modality_mix": ({"curators.modality_mix": (0.0, 0.0, 0.0, 0.0, 1.0, 0.0)}, True, ""),
    "curators.measured_quota": ({"curators.measured_quota": 1.0}, True, ""),
    "curators.provenance_errors": ({"curators.provenance_errors": 1.0, "curators.qa": 0.0}, True, ""),
    "curators.audit_rate": ({"curators.audit_rate": 0.5}, True, ""),
    "curators.response_dal": (
        {"curators.response_dal": 5.0, "layers.fidelity_weight": 0.0, "layers.coverage_scale": 1.0},
        True,
        "",
    ),
    "trainers.response_ral": ({"trainers.response_ral": 1.0}, False, "there is no trainer to respond"),
    "coupling.outer_loop": ({"coupling.outer_loop": 0.3}, True, ""),
    "coupling.pseudo_share": (
        {"coupling.pseudo_share": 1.0},
        False,
        "a generated label changes values, never families",
    ),
    "coupling.correction": ({"coupling.correction": 1.0}, False, "there is no model to correct"),
    "stocks.merit_share": ({"stocks.merit_share": 1.0, "stocks.matthew": 3.0}, True, ""),
    "stocks.lottery_share": ({"stocks.lottery_share": 1.0}, True, ""),
    "stocks.wear": ({"stocks.wear": 0.5}, False, "worn nodes fail only with a hazard"),
    "stocks.hazard": ({"stocks.hazard": 0.5}, True, ""),
    "commons.forgetting": ({"commons.forgetting": 0.3}, True, ""),
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
    """Families of the records of a community in the order they were entered, founding left out."""
    eco = begin(RunSpec(p, seed), record=())
    for _ in range(ticks):
        eco.step()
    families: list[int] = eco.world.commons.family[p.founding.records :].tolist()
    return families


def breaks_the_urn(switch: str, seed: int, ticks: int = 30) -> bool:
    """Whether turning on one switch of null() changes the family sequence of a small community."""
    base = {
        "space.materials": 600,
        "space.families": 6,
        "founding.records": 120,
        "curators.records": 2,
        "curators.count": 3,
        "planners.count": 5,
        "planners.experiments": 1.0,
        "curators.exploration": 0.3,
        "planners.exploration": 0.3,
        "infrastructure.repositories": 3,
    }
    plain, changed = (Parameters.null(**(base | changes)) for changes in ({}, SWITCHES[switch][0]))
    return family_sequence(plain, seed, ticks) != family_sequence(changed, seed, ticks)


@row(
    "U0",
    "Null MPBF is the urn, draw for draw",
    "definition of Parameters.null() (model description, 7.19)",
    K=Knob(6, "families", 1, 500),
    curators=Knob(3, "curators, one record each per tick", 0, 200),
    planners=Knob(5, "planners, one experiment each per tick", 0, 200),
    g=Knob(1.5, "reinforcement", -1, 4),
    eps=Knob(0.2, "exploration", 0, 1),
    ticks=Knob(200, "ticks", 1, 5_000, fast=40),
    switches=Knob(1, "1: examine the switches of null(), too", 0, 1),
)
def null_is_the_urn(
    seed: int, K: int, curators: int, planners: int, g: float, eps: float, ticks: int, switches: int
) -> list[Check]:
    """Compare the community's records with a ten-line urn on the same keyed draws."""
    mass = np.round(0.5 + 3 * generator(seed, "U0").random(K), 3)
    p = urn(
        K,
        mass.tolist(),
        curators,
        **{
            **reinforcing(g, eps),
            "planners.count": planners,
            "planners.experiments": 1.0,
            "space.materials": max(4, 20 * K),
        },
    )
    producers = [(name, n) for name, n in (("curator.family.0", curators), ("planner.family.0", planners)) if n]
    expected = ten_line_urn(seed, mass, producers, ticks, g, eps)
    measured = family_sequence(p, seed, ticks)
    different = abs(len(expected) - len(measured)) + sum(a != b for a, b in zip(expected, measured, strict=False))
    out = [Check("records that differ from the urn's", 0, different, note=f"{len(expected)} records")]
    if switches:
        wrong = [s for s, (_, breaks, _) in SWITCHES.items() if breaks_the_urn(s, 3) is not breaks]
        note = f"{len(SWITCHES)} switches; turned on, {sum(b for _, b, _ in SWITCHES.values())} break the urn, the others provably do not"
        out.append(Check("switches that do otherwise than said", 0, len(wrong), note=", ".join(wrong) or note))
    return out


# --------------------------------------------------------------------------- U1 to U4: linear urns


@row(
    "U1",
    "Polya urn: law of the share",
    "Eggenberger and Polya 1923; batches: conditional variance of multinomial draws",
    a=Knob(1.0, "founding mass of the first colour", 0, 1e6, True),
    b=Knob(1.0, "founding mass of the second", 0, 1e6, True),
    n=Knob(200, "draws, one at a time", 1, 20_000, fast=60),
    N0=Knob(60.0, "founding mass of the batch urn", 0, 1e7, True),
    m=Knob(100, "records a tick of the batch urn", 1, 5_000),
    T=Knob(10, "its ticks", 1, 2_000),
    x0=Knob(0.5, "its first share", 1e-6, 1 - 1e-6),
    runs=Knob(4_000, RUNS, 50, 10**6, fast=150),
)
def polya(seed: int, a: float, b: float, n: int, N0: float, m: int, T: int, x0: float, runs: int) -> list[Check]:
    """Beta-binomial law one at a time; variance in batches."""
    total = a + b
    first = family_masses(urn(2, (a, b)), seeds(seed, "U1", runs), n)[:, 0] - a
    x = (a + first) / (total + n)
    mean, mean_se = mean_error(x)
    variance = float(np.var(x, ddof=1))
    variance_se = exact_error(a, total, 1, n, runs)
    law = betabinom(n, a, b)
    exact = urn_variance(a, total, np.ones(n))
    draws = family_masses(urn(2, (x0 * N0, (1 - x0) * N0), m), seeds(seed, "U1 batches", runs), T)
    y = draws[:, 0] / draws.sum(axis=1)
    batch, batch_se = float(np.var(y, ddof=1)), exact_error(x0 * N0, N0, m, T, runs)
    return [
        Check("E x_n", a / total, mean, mean_se),
        Check("Var x_n", a * b / (total**2 * (total + 1)) * n / (total + n), variance, variance_se),
        Check(
            "law of K_n, standardised chi^2",
            0.0,
            goodness(first, law.cdf, n),
            1.0,
            note="against the Beta-binomial law",
        ),
        Check(
            "product formula with batches of 1",
            a * b / (total**2 * (total + 1)) * n / (total + n),
            exact,
            tolerance=1e-6 * exact,
        ),
        Check("Var x_T in batches", urn_variance(x0 * N0, N0, np.full(T, m)), batch, batch_se),
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


@row(
    "U2",
    "Concentration of a Polya urn in the end",
    "moments of the Dirichlet law (Blackwell and MacQueen 1973)",
    K=Knob(5, "colours", 2, 200),
    a=Knob(1.0, "founding mass of each colour", 0.05, 1e5),
    masses=Knob((), "founding masses instead, one for each of K colours", 0.05, 1e5),
    n=Knob(300, "draws", 10, 20_000, fast=100),
    runs=Knob(1_500, RUNS, 30, 10**6, fast=80),
)
def concentration_of_urns(seed: int, K: int, a: float, masses: tuple[float, ...], n: int, runs: int) -> list[Check]:
    """Mean HHI, entropy and Gini of the limit, from founding masses and from the masses after n draws."""
    start = np.array(masses) if masses else np.full(K, a)
    if len(start) != K:
        raise ConfigurationError(f"U2.masses has {len(start)} entries: must have K = {K}")
    x = family_masses(urn(K, start.tolist()), seeds(seed, "U2", runs), n)
    two = family_masses(urn(2, (a, a)), seeds(seed, "U2 two", runs), n)
    note = f"measured: mean over runs of the limit's mean given the masses after {n} draws (a martingale)"
    A = start.sum()
    flat = bool((start == 1).all())
    hhi_limit = 2 / (K + 1) if flat else float((start * (start + 1)).sum() / (A * (A + 1)))
    entropy_limit = (
        sum(1 / i for i in range(2, K + 1)) if flat else float(digamma(A + 1) - (start * digamma(start + 1)).sum() / A)
    )
    gini_limit = (K - 1) / (2 * K) if flat else numeric_gini(start)
    # What the shares themselves are after n draws: every count is Beta-binomial.
    j = np.arange(n + 1)
    second = entropy_now = 0.0
    for mass, times in zip(*np.unique(start, return_counts=True), strict=True):
        share = (mass + j) / (A + n)
        law = betabinom.pmf(j, n, mass, A - mass)
        second += times * float(law @ share**2)
        entropy_now -= times * float(law @ (share * np.log(share)))
    inverse = math.pi / 2 if a == 1 else numeric_inverse_hhi(a)
    return [
        Check("E HHI in the end", hhi_limit, *mean_error([limit_hhi(v) for v in x]), note=note),
        Check("E H in the end (nats)", entropy_limit, *mean_error([limit_entropy(v) for v in x]), note=note),
        Check("E Gini in the end", gini_limit, *mean_error([limit_gini(v) for v in x]), 1e-6, note=note),
        Check(
            "E 1/HHI in the end, K = 2",
            inverse,
            *mean_error([limit_inverse_hhi(v) for v in two]),
            1e-6,
            note="flat a = 1: pi / 2",
        ),
        Check("E HHI of the shares now", second, *mean_error([hhi(v) for v in x]), note=f"after {n} draws, exact"),
        Check(
            "E H of the shares now (nats)",
            entropy_now,
            *mean_error([shannon(v) for v in x]),
            note=f"after {n} draws, exact",
        ),
    ]


def numeric_gini(start: Float) -> float:
    """Mean Gini coefficient of Dirichlet shares by numeric integration over the odds of each pair."""
    total = 0.0
    for i in range(len(start)):
        for j in range(i):
            a, b = float(start[i]), float(start[j])
            s = np.linspace(-1, 1, 60_001) * max(60.0, 30 / min(a, b)) + math.log(a / b)
            density = np.exp(a * log_expit(s) + b * log_expit(-s) - betaln(a, b))
            total += (
                (a + b)
                / start.sum()
                * float(np.trapezoid(density * np.abs(np.tanh(s / 2)), s))
                / float(np.trapezoid(density, s))
            )
    return total / len(start)


def numeric_inverse_hhi(a: float) -> float:
    """Mean inverse HHI of two colours of equal mass by numeric integration over their odds."""
    s = np.linspace(-60, 60, 60_001)
    density = np.exp(a * (log_expit(s) + log_expit(-s)) - betaln(a, a))
    return 1.0 + float(np.trapezoid(density * (1 - np.tanh(s / 2) ** 2) / (1 + np.tanh(s / 2) ** 2), s))


@row(
    "U3",
    "Early-stream Sobol index",
    "martingale property of the Polya urn; pick-freeze (Janon et al. 2014)",
    m=Knob(20, "draws of the early stream", 1, 20_000),
    n=Knob(400, "draws", 2, 20_000, fast=100),
    N0=Knob(2.0, "founding mass", 0, 1e6, True),
    x0=Knob(0.5, "first share", 1e-6, 1 - 1e-6),
    pairs=Knob(2_000, "pairs of runs", 30, 10**6, fast=80),
    batch=Knob(100, "records a tick of the batch urn", 1, 5_000),
    batch_N0=Knob(60.0, "its founding mass", 0, 1e7, True),
    batch_early=Knob(2, "its early ticks", 1, 2_000),
    batch_T=Knob(10, "its ticks", 2, 2_000),
)
def early_stream(
    seed: int,
    m: int,
    n: int,
    N0: float,
    x0: float,
    pairs: int,
    batch: int,
    batch_N0: float,
    batch_early: int,
    batch_T: int,
) -> list[Check]:
    """Share of the variance of the last share that the first draws decide."""
    if m > n or batch_early > batch_T:
        raise ConfigurationError(
            f"U3: the early stream (m = {m}, batch_early = {batch_early}) must not be longer than the run"
        )

    def measured(p: Parameters, split: int, ticks: int, label: str) -> tuple[float, float]:
        runs = split_streams(p, split, ticks, seeds(seed, label, pairs), space=small_space(2, p.space.materials))
        return early_stream_index(*(v[:, 0] / v.sum(axis=1) for v in runs))

    one = measured(urn(2, (x0 * N0, (1 - x0) * N0)), m, n, "U3")
    many = measured(urn(2, (x0 * batch_N0, (1 - x0) * batch_N0), batch), batch_early, batch_T, "U3 batches")
    early, whole = (urn_variance(x0 * batch_N0, batch_N0, np.full(t, batch)) for t in (batch_early, batch_T))
    return [Check("S_early", m * (n + N0) / (n * (m + N0)), *one), Check("S_early in batches", early / whole, *many)]


@row(
    "U4",
    "Divergence of replicates of a flat urn",
    "entropy of the mean less mean entropy of Dirichlet shares",
    K=Knob(5, "colours", 2, 200),
    a=Knob(1.0, "founding mass of each colour", 0, 1e5, True),
    n=Knob(300, "draws", 10, 20_000, fast=100),
    R=Knob(1_500, "replicates", 10, 10**6, fast=100),
)
def replicate_divergence(seed: int, K: int, a: float, n: int, R: int) -> list[Check]:
    """Jensen-Shannon divergence of the replicates' draws, without the part of chance."""
    start = np.full(K, a)
    counts = family_masses(urn(K, start.tolist()), seeds(seed, "U4", R), n) - start
    measured, error = corrected_jsd(counts)
    # What the null bias leaves of the effect of n draws, exactly: each count is Beta-binomial.
    j = np.arange(1, n + 1)
    entropy = -K * float(betabinom.pmf(j, n, a, (K - 1) * a) @ (j / n * np.log(j / n)))
    exact = math.log(K) - entropy - (K - 1) / (2 * n)
    limit = math.log(K) - limit_entropy(start)
    note = "flat a = 1: ln K - (H_K - 1); null bias subtracted, jackknife over replicates; tolerance: exact effect of n"
    return [
        Check("JSD (nats), exact after n draws", exact, measured, error),
        Check("JSD (nats), n large", limit, measured, error, abs(limit - exact), note=note),
    ]


# --------------------------------------------------------------------------- wrong rules

SEQUENCE = np.random.Generator(np.random.Philox(1))  # a generator that remembers
LINEAR = ("U1", "U2", "U3", "U4", "U9")  # rows of the linear urn

mutation(
    "reinforcement weaker than said",
    attention.power,
    lambda right: lambda x, g: right(x, g - 0.4),
    "U0",
    *LINEAR,
    "U5",
    "U6",
    "U7",
    "U8",
    "U11",
    "M4",
    "F11",
    "K3",
    "K5",
)
mutation(
    "families by inverse CDF instead of a race",
    race,
    lambda _: lambda clocks, w: (np.cumsum(w, -1) / w.sum(-1, keepdims=True) < -np.expm1(-clocks[..., :1])).sum(-1),
    "U0",
    "U5",
    "W1",
)
mutation(
    "the late stream begins with the run",
    Streams.root,
    lambda right: lambda self, tick: right(self, tick + 10**6),
    "U3",
)
mutation(
    "covariance over the variance of sums",
    early_stream_index,
    lambda right: lambda a, b: (0.5 * right(a, b)[0], right(a, b)[1]),
    "U3",
)
mutation(
    "limits from shares instead of masses",
    limit_hhi,
    lambda right: lambda a: right(np.asarray(a) / np.sum(a) * len(a)),
    "U2",
)
mutation("entropies in bits", entropies, lambda right: lambda x: right(x) / math.log(2), "U4")
mutation(
    "draws follow from how many came before",
    Streams.generator,
    lambda _: lambda self, name, tick=0: SEQUENCE,
    "U0",
    "U3",
    "U5",
    "U12",
    "W1",
    "M8",
)
