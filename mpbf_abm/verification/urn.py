"""Urn limits: the null MPBF against the exact laws of generalised Polya urns (rows U0 to U13)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import betabinom, chi2, norm

from mpbf_abm.ecosystem import Ecosystem
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.measures.concentration import (
    limit_entropy,
    limit_gini,
    limit_hhi,
    limit_inverse_hhi,
)
from mpbf_abm.measures.divergence import corrected_jsd
from mpbf_abm.measures.path_dependence import (
    cost_of_reversal,
    damage,
    damage_exponent,
    deposit,
    early_stream_index,
    monopoly_chance,
    run_to,
    share_after_deposit,
    split_streams,
)
from mpbf_abm.parameters import Parameters
from mpbf_abm.space.materials import MaterialsSpace
from mpbf_abm.streams import Streams
from mpbf_abm.twin import Twin, urn_variance
from mpbf_abm.verification.mutations import mutation
from mpbf_abm.verification.rows import Check, Knob, generator, mean_error, row, seeds, variance_error

Float = NDArray[np.float64]
Int = NDArray[np.int64]

RUNS = "runs of the model"
LEAD = 0.02  # share by which a family is put ahead to see whether its lead grows


# --------------------------------------------------------------------------- communities that are urns


def urn(families: int, mass: float | Sequence[float] = 1.0, batch: int = 1, **changes: Any) -> Parameters:
    """Null community of `batch` curators who enter one record each per tick, and no planners."""
    return Parameters.null(
        **{
            "space.materials": max(4, 2 * families), "space.families": families, "founding.records": 0,
            "founding.mass": mass if isinstance(mass, (int, float)) else tuple(float(m) for m in mass),
            "curators.count": batch, "curators.records": 1, "curators.exploration": 0.0, "planners.count": 0,
            "infrastructure.repositories": 1, **changes,
        }
    )  # fmt: skip


def reinforcing(g: float, eps: float) -> dict[str, Any]:
    """Attention of curators and planners alike."""
    return {
        "curators.reinforcement": g, "planners.reinforcement": g, "curators.exploration": eps, "planners.exploration": eps,
    }  # fmt: skip


@lru_cache(maxsize=32)
def small_space(families: int, materials: int) -> MaterialsSpace:
    """Materials space of null communities, where only the number of families counts."""
    p = Parameters.null(**{"space.materials": materials, "space.families": families, "space.feasible": 1.0})
    return MaterialsSpace.synthetic(p, seed=0)


def family_masses(p: Parameters, run_seeds: Sequence[int], ticks: int | Sequence[int]) -> Float:
    """Family masses at the end of runs (R, K), or at several ticks (R, T, K)."""
    space = small_space(p.space.families, p.space.materials)
    return np.array([run_to(p, s, ticks, space=space) for s in run_seeds])


def law_of_two(a: float, b: float, n: int, g: float = 1.0, eps: float = 0.0) -> Float:
    """Exact law of the first colour's draws after n draws from two colours, one at a time (n + 1,)."""
    law = np.array([1.0])
    for t in range(n):
        first = np.arange(t + 1.0)
        x, y = (a + first) ** g, (b + t - first) ** g
        up = eps / 2 + (1 - eps) * x / (x + y)
        law = np.append(law * (1 - up), 0.0) + np.append(0.0, law * up)
    return law


# --------------------------------------------------------------------------- U0

# Each switch of null(), what turning it on means, whether it breaks the urn and, where it provably
# does not, the reason.
SWITCHES: dict[str, tuple[dict[str, Any], bool, str]] = {
    "trainers.count": ({"trainers.count": 3}, False, "models exist but weigh nothing while the steering gain is 0"),
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
    "guidance by models": ({"curators.model_guidance": 1.0, "trainers.count": 3, "planners.steering_gain": 2.0}, True, ""),
    "curators.modality_mix": ({"curators.modality_mix": (0.0, 0.0, 0.0, 0.0, 1.0, 0.0)}, True, ""),
    "curators.measured_quota": ({"curators.measured_quota": 1.0}, True, ""),
    "curators.provenance_errors": ({"curators.provenance_errors": 1.0, "curators.qa": 0.0}, True, ""),
    "curators.audit_rate": ({"curators.audit_rate": 0.5}, True, ""),
    "curators.response_dal": ({"curators.response_dal": 5.0, "layers.fidelity_weight": 0.0, "layers.coverage_scale": 1.0}, True, ""),
    "trainers.response_ral": ({"trainers.response_ral": 1.0}, False, "there is no trainer to respond"),
    "coupling.outer_loop": ({"coupling.outer_loop": 0.3}, True, ""),
    "coupling.pseudo_share": ({"coupling.pseudo_share": 1.0}, False, "a generated label changes values, never families"),
    "coupling.correction": ({"coupling.correction": 1.0}, False, "there is no model to correct"),
    "stocks.merit_share": ({"stocks.merit_share": 1.0, "stocks.matthew": 3.0}, True, ""),
    "stocks.lottery_share": ({"stocks.lottery_share": 1.0}, True, ""),
    "stocks.wear": ({"stocks.wear": 0.5}, False, "worn nodes fail only with a hazard"),
    "stocks.hazard": ({"stocks.hazard": 0.5}, True, ""),
    "commons.forgetting": ({"commons.forgetting": 0.3}, True, ""),
}  # fmt: skip


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
    eco = Ecosystem(p, seed, record=())
    for _ in range(ticks):
        eco.step()
    families: list[int] = eco.world.commons.family[p.founding.records :].tolist()
    eco.release()
    return families


def breaks_the_urn(switch: str, seed: int, ticks: int = 30) -> bool:
    """Whether turning on one switch of null() changes the family sequence of a small community."""
    base = {
        "space.materials": 600, "space.families": 6, "founding.records": 120, "curators.records": 2, "curators.count": 3,
        "planners.count": 5, "planners.experiments": 1.0, "curators.exploration": 0.3, "planners.exploration": 0.3,
        "infrastructure.repositories": 3,
    }  # fmt: skip
    plain, changed = (Parameters.null(**(base | changes)) for changes in ({}, SWITCHES[switch][0]))
    return family_sequence(plain, seed, ticks) != family_sequence(changed, seed, ticks)


@row(
    "U0", "Null MPBF is the urn, draw for draw", "definition of Parameters.null(); model.md 4.8",
    K=Knob(6, "families", 1, 500), curators=Knob(3, "curators, one record each per tick", 0, 200),
    planners=Knob(5, "planners, one experiment each per tick", 0, 200), g=Knob(1.5, "reinforcement", -1, 4),
    eps=Knob(0.2, "exploration", 0, 1), ticks=Knob(200, "ticks", 1, 5_000, fast=40), switches=Knob(1, "1: examine the switches of null(), too", 0, 1),
)  # fmt: skip
def null_is_the_urn(
    seed: int, K: int, curators: int, planners: int, g: float, eps: float, ticks: int, switches: int
) -> list[Check]:
    """Compare the community's records with a ten-line urn on the same keyed draws."""
    mass = np.round(0.5 + 3 * generator(seed, "U0").random(K), 3)
    p = urn(
        K, mass.tolist(), curators,
        **{**reinforcing(g, eps), "planners.count": planners, "planners.experiments": 1.0, "space.materials": max(4, 20 * K)},
    )  # fmt: skip
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
    "U1", "Polya urn: law of the share", "Eggenberger and Polya 1923; batches: conditional variance of multinomial draws",
    a=Knob(1.0, "founding mass of the first colour", 0, 1e6, True), b=Knob(1.0, "founding mass of the second", 0, 1e6, True),
    n=Knob(200, "draws, one at a time", 1, 20_000, fast=60), N0=Knob(60.0, "founding mass of the batch urn", 0, 1e7, True),
    m=Knob(100, "records a tick of the batch urn", 1, 5_000), T=Knob(10, "its ticks", 1, 2_000), x0=Knob(0.5, "its first share", 1e-6, 1 - 1e-6),
    runs=Knob(4_000, RUNS, 50, 10**6, fast=500),
)  # fmt: skip
def polya(
    seed: int, a: float, b: float, n: int, N0: float, m: int, T: int, x0: float, runs: int
) -> list[Check]:  # fmt: skip
    """Beta-binomial law one at a time; variance in batches."""
    total = a + b
    first = family_masses(urn(2, (a, b)), seeds(seed, "U1", runs), n)[:, 0] - a
    x = (a + first) / (total + n)
    mean, mean_se = mean_error(x)
    variance, variance_se = variance_error(x)
    law = betabinom(n, a, b)
    exact = urn_variance(a, total, np.ones(n))
    draws = family_masses(urn(2, (x0 * N0, (1 - x0) * N0), m), seeds(seed, "U1 batches", runs), T)
    y = draws[:, 0] / draws.sum(axis=1)
    batch, batch_se = variance_error(y)
    return [
        Check("E x_n", a / total, mean, mean_se),
        Check("Var x_n", a * b / (total**2 * (total + 1)) * n / (total + n), variance, variance_se),
        Check("law of K_n, standardised chi^2", 0.0, goodness(first, law.cdf, n), 1.0, note="against the Beta-binomial law"),
        Check("product formula with batches of 1", a * b / (total**2 * (total + 1)) * n / (total + n), exact, tolerance=1e-9 * exact),
        Check("Var x_T in batches", urn_variance(x0 * N0, N0, np.full(T, m)), batch, batch_se),
        Check("E x_T in batches", x0, *mean_error(y)),
    ]  # fmt: skip


def goodness(counts: Float, cdf: Any, n: int, bins: int = 12) -> float:
    """Chi-squared statistic of counts against a law on 0..n, as a standard normal number."""
    edges = np.unique(np.searchsorted(cdf(np.arange(n + 1)), np.arange(1, bins) / bins))
    if not len(edges):
        return 0.0
    probability = np.diff(np.concatenate([[0.0], cdf(edges), [1.0]]))
    held = np.bincount(np.searchsorted(edges, counts), minlength=len(probability))
    kept = probability * len(counts) >= 5
    if kept.sum() < 2:
        return 0.0
    expected = probability * len(counts)
    statistic = float(((held - expected)[kept] ** 2 / expected[kept]).sum())
    return float(norm.isf(chi2.sf(statistic, int(kept.sum()) - int(kept.all()))))


@row(
    "U2", "Concentration of a Polya urn in the end", "moments of the Dirichlet law (Blackwell and MacQueen 1973)",
    K=Knob(5, "colours", 2, 200), a=Knob(1.0, "founding mass of each colour", 0, 1e5, True),
    masses=Knob((), "founding masses instead, one for each of K colours", 0, 1e5, True), n=Knob(300, "draws", 10, 20_000, fast=100), runs=Knob(1_500, RUNS, 30, 10**6, fast=300),
)  # fmt: skip
def concentration_of_urns(seed: int, K: int, a: float, masses: tuple[float, ...], n: int, runs: int) -> list[Check]:
    """Mean HHI, entropy and Gini of the limit, from founding masses and from the masses after n draws."""
    start = np.array(masses) if masses else np.full(K, a)
    if len(start) != K:
        raise ConfigurationError(f"U2.masses has {len(start)} entries: must have K = {K}")
    x = family_masses(urn(K, start.tolist()), seeds(seed, "U2", runs), n)
    two = family_masses(urn(2, (a, a)), seeds(seed, "U2 two", runs), n)
    note = f"measured: mean over runs of the limit's mean given the masses after {n} draws (a martingale)"
    return [
        Check("E HHI", limit_hhi(start), *mean_error([limit_hhi(v) for v in x]), note=note),
        Check("E H (nats)", limit_entropy(start), *mean_error([limit_entropy(v) for v in x]), note=note),
        Check("E Gini", limit_gini(start), *mean_error([limit_gini(v) for v in x]), note=note),
        Check("E 1/HHI, K = 2", limit_inverse_hhi([a, a]), *mean_error([limit_inverse_hhi(v) for v in two]),
              note="flat a = 1: pi / 2"),
    ]  # fmt: skip


@row(
    "U3", "Early-stream Sobol index", "martingale property of the Polya urn; pick-freeze (Janon et al. 2014)",
    m=Knob(20, "draws of the early stream", 1, 20_000), n=Knob(400, "draws", 2, 20_000, fast=100), N0=Knob(2.0, "founding mass", 0, 1e6, True),
    x0=Knob(0.5, "first share", 1e-6, 1 - 1e-6), pairs=Knob(2_000, "pairs of runs", 30, 10**6, fast=300),
    batch=Knob(100, "records a tick of the batch urn", 1, 5_000), batch_N0=Knob(60.0, "its founding mass", 0, 1e7, True),
    batch_early=Knob(2, "its early ticks", 1, 2_000), batch_T=Knob(10, "its ticks", 2, 2_000),
)  # fmt: skip
def early_stream(
    seed: int, m: int, n: int, N0: float, x0: float, pairs: int, batch: int, batch_N0: float, batch_early: int, batch_T: int
) -> list[Check]:  # fmt: skip
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
    return [
        Check("S_early", m * (n + N0) / (n * (m + N0)), *one),
        Check("S_early in batches", early / whole, *many),
    ]


@row(
    "U4", "Divergence of replicates of a flat urn", "entropy of the mean less mean entropy of Dirichlet shares",
    K=Knob(5, "colours", 2, 200), a=Knob(1.0, "founding mass of each colour", 0, 1e5, True), n=Knob(300, "draws", 10, 20_000, fast=100),
    R=Knob(1_500, "replicates", 10, 10**6, fast=300),
)  # fmt: skip
def replicate_divergence(seed: int, K: int, a: float, n: int, R: int) -> list[Check]:
    """Jensen-Shannon divergence of the replicates' draws, without the part of chance."""
    start = np.full(K, a)
    counts = family_masses(urn(K, start.tolist()), seeds(seed, "U4", R), n) - start
    measured, error = corrected_jsd(counts)
    # Miller-Madow is exact to 1/n; what it leaves is of the order of the next term.
    left = sum_of_inverse_shares(a, K) / (12.0 * n**2)
    note = "flat a = 1: ln K - (H_K - 1); null bias subtracted, jackknife over replicates"
    return [Check("JSD (nats)", math.log(K) - limit_entropy(start), measured, error, left, note=note)]


def sum_of_inverse_shares(a: float, K: int) -> float:
    """Mean of ``sum 1/x_k`` of flat Dirichlet shares; where it does not exist, that of shares above a draw's size."""
    return K * (a * K - 1) / (a - 1) if a > 1.05 else 20.0 * K**2


# --------------------------------------------------------------------------- U5 to U8: damage, central limit, thresholds


@row(
    "U5", "Twin damage under common random numbers", "coupling by exponential race; linearisation at x* = 1/2",
    N0=Knob(2, "founding mass of the two-colour urn", 2, 10**5), K=Knob(5, "colours of the second urn, mass 1 each", 3, 60), n=Knob(100, "draws", 1, 5_000, fast=50),
    pairs=Knob(1_500, "twin runs", 30, 10**6, fast=200), g=Knob(2.0, "reinforcement at x* = 1/2", -1, 4), eps=Knob(0.3, "exploration at x* = 1/2", 0, 1),
    volume=Knob(2_000, "founding mass at x* = 1/2", 100, 10**6), growth=Knob(3.0, "final over first volume", 1.2, 100), twins=Knob(300, "twin runs at x* = 1/2", 20, 10**5, fast=60),
)  # fmt: skip
def twin_damage(
    seed: int, N0: int, K: int, n: int, pairs: int, g: float, eps: float, volume: int, growth: float, twins: int
) -> list[Check]:  # fmt: skip
    """Distance of twin runs that start one record apart."""
    runs = seeds(seed, "U5", pairs)
    a, b = N0 / 2 + 1, N0 / 2
    two = damage(family_masses(urn(2, (a, b)), runs, n), family_masses(urn(2, (b, a)), runs, n))
    start, moved = np.ones(K), np.ones(K)
    start[0] += 1
    moved[1] += 1
    several = damage(family_masses(urn(K, start.tolist()), runs, n), family_masses(urn(K, moved.tolist()), runs, n))
    reference = coupled_urns(start, moved, n, 20_000, generator(seed, "U5 reference"))
    expected, expected_se = mean_error(reference)
    measured, measured_se = mean_error(several)
    exponent = measured_exponent(2, g, eps, volume, growth, seeds(seed, "U5 exponent", twins))
    return [
        Check("K = 2: E|dx| after n draws", 1 / (N0 + 1), *mean_error(two), note="one record moved; conserved exactly"),
        Check(f"K = {K}: damage after n draws", expected, measured, math.hypot(expected_se, measured_se),
              note=f"from {1 / (K + 1):.3f} at the start; expected from {len(reference)} coupled urns"),
        Check("exponent d ln D / d ln n", (1 - eps) * g - 1, *exponent, note="tolerance: curvature of p(x)"),
    ]  # fmt: skip


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
    ticks = max(1, math.ceil((growth - 1) * volume / batch))
    volumes = volume + batch * np.arange(ticks + 1.0)
    changes = {**reinforcing(g, eps), "space.materials": 4 * K}
    starts = []
    for sign in (1.0, -1.0):
        mass = np.full(K, volume / K)
        mass[0] += sign * LEAD * volume
        mass[1:] -= sign * LEAD * volume / (K - 1)
        starts.append(urn(K, mass.tolist(), batch, **changes))
    one, two = (family_masses(p, run_seeds, ticks) for p in starts)
    mean, error = mean_error((one[:, 0] - two[:, 0]) / one.sum(axis=1))
    at = damage_exponent(2 * LEAD, mean, volumes)
    slope = (damage_exponent(2 * LEAD, mean * 1.001, volumes) - at) / (mean * 0.001)
    # Shares wander, and the slope of p(x) differs a little from that at equality where they do.
    twin = Twin.from_parameters(starts[0])
    start = np.full(K, volume / K)
    wander = (1 - 1 / K) / (K * volume) * growth ** max(0.0, 2 * ((1 - eps) * g - 1))
    sigma = math.sqrt(LEAD**2 + wander)
    rates = []
    for shift in (-sigma, 0.0, sigma):
        x = start + volume * shift * np.concatenate([[1.0], np.full(K - 1, -1 / (K - 1))])
        direction = np.concatenate([[1.0], np.full(K - 1, -1 / (K - 1))])
        rates.append(float((twin.inflow_jacobian(x) @ direction)[0]) * volume / twin.total_inflow())
    return at, abs(slope) * error, abs(rates[0] + rates[2] - 2 * rates[1])


@row(
    "U6", "Central limit of urns with f' < 1/2", "Freedman 1965; Kushner and Yin 2003",
    g=Knob(-1.0, "reinforcement", -1, 4), eps=Knob(0.0, "exploration", 0, 1), N0=Knob(10.0, "founding mass, in equal parts", 0, 1e5, True),
    n=Knob(400, "draws", 20, 50_000, fast=100), runs=Knob(2_500, RUNS, 50, 10**6, fast=400),
)  # fmt: skip
def central_limit(seed: int, g: float, eps: float, N0: float, n: int, runs: int) -> list[Check]:
    """Variance of the share of two colours about 1/2, times the volume."""
    slope = (1 - eps) * g
    if slope >= 0.45:
        raise ConfigurationError(
            f"U6: f' = (1 - eps) g = {slope:g}: must be below .45 (at 1/2 the limit ceases to exist)"
        )
    times = sorted({max(1, n >> k) for k in range(3)})
    x = family_masses(urn(2, (N0 / 2, N0 / 2), **reinforcing(g, eps)), seeds(seed, "U6", runs), times)
    size = x.sum(axis=2)
    scaled = (size * (x[:, :, 0] / size - 0.5) ** 2).mean(axis=1)
    exact = []
    for t in times:
        law = law_of_two(N0 / 2, N0 / 2, t, g, eps)
        exact.append((N0 + t) * float(law @ ((N0 / 2 + np.arange(t + 1)) / (N0 + t) - 0.5) ** 2))
    limit = 0.25 / (1 - 2 * slope)
    note = f"mean over n = {', '.join(map(str, times))}; exact finite-size value {np.mean(exact):.6f}"
    mean, error = mean_error(scaled)
    return [
        Check("n Var x_n, exact at these n", float(np.mean(exact)), mean, error, note=note),
        Check("n Var x_n -> f(1-f)/(1-2f')", limit, mean, error, abs(limit - float(np.mean(exact))), note="tolerance: exact finite-size effect"),
    ]  # fmt: skip


@row(
    "U7", "Lock-in threshold and fold", "stability of p(x) = x: eps_c = 1 - 1/g; g = 2: eps_sn = K/(1 + sqrt(K-1))^2",
    K=Knob(5, "families", 2, 100), g=Knob(2.0, "reinforcement", 1.05, 4), step=Knob(0.05, "distance from eps_c at which the ABM is tried", 0.005, 0.5),
    volume=Knob(2_000, "founding mass of the ABM", 100, 10**6), twins=Knob(300, "twin runs on either side", 20, 10**5, fast=80),
)  # fmt: skip
def lock_in_threshold(seed: int, K: int, g: float, step: float, volume: int, twins: int) -> list[Check]:
    """Thresholds of the twin built from the parameters, and the sign of growth in the ABM."""
    limits = Twin.from_parameters(urn(K, volume / K, 10, **reinforcing(g, 0.0))).thresholds()
    critical = 1 - 1 / g
    out = [Check("eps_c, root of the Jacobian", critical, limits.symmetric, tolerance=1e-9)]
    closed = fold_closed_form(K, g)
    if not math.isnan(closed):
        out.append(Check("eps_sn, root finder", closed, limits.fold, tolerance=1e-8))
    else:
        out.append(
            Check(
                "eps_sn, root finder",
                fold_by_scan(K, g),
                limits.fold,
                tolerance=1e-6,
                note="expected: largest eps of the locked-in branch, by scan",
            )
        )
    if K == 2:
        out.append(
            Check(
                "gap eps_sn - eps_c, K = 2", 0.0, limits.fold - limits.symmetric, tolerance=1e-9, note="for 1 < g <= 3"
            )
        )
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
        out.append(Check(f"growth {name} eps_c", 0.0, exponent, error, relation=">" if sign < 0 else "<", note=note))
        out.append(Check(f"growth exponent {name} eps_c", expected, exponent, error, curvature))
    return out


def fold_closed_form(K: int, g: float) -> float:
    """Largest exploration with a locked-in state where it is known in closed form, NaN elsewhere."""
    if g == 2:
        return K / (1 + math.sqrt(K - 1)) ** 2
    return 1 - 1 / g if K == 2 and g <= 3 else math.nan


def fold_by_scan(K: int, g: float) -> float:
    """Largest exploration for which some share above 1/K is steady, by a fine scan of the branch."""
    odds = np.linspace(math.log(1 / (K - 1)) + 1e-3, 30, 400_001)
    s = 1 / (1 + np.exp(-odds))
    ratio = np.exp(g * (odds + math.log(K - 1)))  # (s / other)^g
    r = ratio / (ratio + K - 1)
    return float(np.max((r - s) / (r - 1 / K)))


@row(
    "U8", "Hysteresis between lock-in threshold and fold", "two stable branches between eps_c and eps_sn (forgetting urn)",
    K=Knob(5, "families", 3, 100), g=Knob(2.0, "reinforcement", 1.2, 4), V=Knob(4_000, "records in the steady state", 1_000, 10**6),
    eps=Knob((0.47, 0.53, 0.55, 0.60), "explorations to try", 0, 1, fast=(0.47, 0.53, 0.60)), renewal=Knob(0.1, "share of records that goes in a tick", 0.005, 0.5),
    runs=Knob(16, "runs from each side at each exploration", 4, 10_000, fast=5), most=Knob(8_000, "most ticks of a run", 50, 10**6),
)  # fmt: skip
def hysteresis(
    seed: int, K: int, g: float, V: int, eps: tuple[float, ...], renewal: float, runs: int, most: int
) -> list[Check]:  # fmt: skip
    """Largest share at the end of runs that start from equal families and from lock-in."""
    out = []
    for value in eps:
        batch = max(1, round(V * renewal))
        changes = {**reinforcing(g, value), "commons.forgetting": -math.log1p(-renewal), "space.materials": 4 * K}
        top = np.full(K, 0.05 * V / (K - 1))
        top[0] = 0.95 * V
        twin = Twin.from_parameters(urn(K, V / K, batch, **changes))
        limits = twin.thresholds()
        ticks = min(most, decided(twin, value, top))
        ends = []
        for label, mass in (("equal", [V / K] * K), ("locked in", top.tolist())):
            x = family_masses(urn(K, mass, batch, **changes), seeds(seed, f"U8 {label} {value}", runs), ticks)
            ends.append(x.max(axis=1) / x.sum(axis=1))
        (equal, equal_se), (locked, locked_se) = mean_error(ends[0]), mean_error(ends[1])
        note = f"largest share after {ticks} ticks: {equal:.3f} from equality, {locked:.3f} from lock-in"
        differ = limits.symmetric < value < limits.fold
        name = f"branches {'differ' if differ else 'agree'} at eps = {value:g}"
        error = math.hypot(equal_se, locked_se)
        out.append(Check(name, 0.0, locked - equal, error, relation=">" if differ else "=", note=note))
    return out


def decided(twin: Twin, eps: float, locked: Float) -> int:
    """Ticks by which communities are where they go: twice what it takes from chance to lock-in, or out of it.

    Between the threshold and the fold nothing goes anywhere: twenty lifetimes of a record then.
    """
    here, limits = twin.exploring(eps), twin.thresholds()
    lifetimes = math.ceil(20 / -math.expm1(-here.forgetting))
    if eps <= limits.symmetric:
        # From fluctuations of the order V^-1/2 at the rate of the linearised map.
        V = here.start.sum()
        return lifetimes + math.ceil(2 * math.log(V) / 2 / max(1e-4, math.log(here.growth(here.start))))
    if eps >= limits.fold:
        shares = here.map(20_000, locked).shares.max(axis=1)
        return lifetimes + 2 * int(np.argmax(shares < 1.5 / here.families))
    return lifetimes


# --------------------------------------------------------------------------- U9 to U13


@row(
    "U9", "Intervention and cost of reversal", "martingale property of the Polya urn",
    a=Knob(1.0, "founding mass of the first colour", 0, 1e5, True), b=Knob(1.0, "founding mass of the second", 0, 1e5, True),
    N=Knob(60, "size at which to intervene", 3, 20_000), m=Knob(30, "extra records of the first colour", 1, 10**5), D=Knob(0.1, "shift of its share to buy", 0.001, 0.9),
    after=Knob(150, "draws afterwards", 1, 20_000, fast=60), runs=Knob(800, RUNS, 30, 10**6, fast=200),
)  # fmt: skip
def intervention(seed: int, a: float, b: float, N: int, m: int, D: float, after: int, runs: int) -> list[Check]:
    """Share in the end after extra records, and what it costs to move it by D."""
    before = max(1, round(N - a - b))
    p = urn(2, (a, b))
    given: list[tuple[float, float, float]] = []
    bought: list[tuple[float, float, float]] = []
    for s in seeds(seed, "U9", runs):
        for price, out in ((False, given), (True, bought)):
            eco = Ecosystem(p, s, record=(), space=small_space(2, p.space.materials))
            for _ in range(before):
                eco.step()
            now = eco.world.commons.visible()
            size, x = float(now.sum()), float(now[0] / now.sum())
            count: float = m
            if price:
                count = cost_of_reversal(x, size, D)
            if math.isfinite(count):
                count = round(count)
                deposit(eco, 0, int(count))
                for _ in range(after):
                    eco.step()
                end = eco.world.commons.visible()
                share = float(end[0] / end.sum())
                # Whole records buy slightly more or less than D.
                wanted = share_after_deposit(x, size, count)
                out.append((wanted, share, share - x))
            eco.release()
    w, share, _ = np.array(given).T
    out_checks = [
        Check("E share after m extra records", float(w.mean()), float(share.mean()), mean_error(share - w)[1])
    ]
    if len(bought) > 2:
        w, share, shift = np.array(bought).T
        note = f"runs with x + D < 1: {len(bought)}; records to the nearest whole number"
        rounding = float(np.abs(w - (share - shift) - D).mean())
        out_checks.append(
            Check(
                "E shift bought by N D / (1 - x - D) records",
                D,
                float(shift.mean()),
                mean_error(share - w)[1],
                rounding,
                note=note,
            )
        )
    return out_checks  # fmt: skip


@row(
    "U10", "Adoption with increasing returns", "Arthur 1989: random walk between absorbing barriers",
    r=Knob(1.0, "returns to adoption", 0, 10, True), g_R=Knob(2.5, "taste of R-agents for A", 0, 1000), g_S=Knob(4.5, "taste of S-agents for B", 0, 1000),
    runs=Knob(1_200, RUNS, 30, 10**6, fast=250),
)  # fmt: skip
def adoption(seed: int, r: float, g_R: float, g_S: float, runs: int) -> list[Check]:
    """Which model takes the market, and how many adoptions it takes."""
    # Rounded as the rule rounds utilities, since decimals are not exact.
    b_A, b_B = math.floor(round(g_S / r, 9)) + 1, math.floor(round(g_R / r, 9)) + 1
    mean = b_A * b_B
    planners = int(min(100_000, 40 * mean + 200))
    p = Parameters.null(
        **{
            "space.materials": 40, "space.families": 1, "space.quantum_dims": 4, "space.meso_dims": 1, "space.gauge_dims": 0,
            "space.spurious_dims": 0, "founding.records": 20, "curators.count": 0, "trainers.count": 2, "trainers.head": "mean",
            "trainers.objective": "masked", "trainers.latent_dims": 1, "trainers.retrain_interval": 10_000, "trainers.reuse": 0.0,
            "planners.count": planners, "planners.experiments": 0.0, "planners.adoption": "utility", "planners.entry": 1,
            "planners.adoption_rate": 0.0, "planners.utility_gaps": (g_R, g_S), "planners.utility_returns": r, "planners.panel": 1,
            "planners.neighbours": 0, "infrastructure.repositories": 1, "stocks.compute": 0.0,
        }
    )  # fmt: skip
    space = MaterialsSpace.synthetic(p, seed=0)
    first, time = [], []
    for s in seeds(seed, "U10", runs):
        eco = Ecosystem(p, s, record=(), space=space)
        for t in range(1, planners + 1):
            eco.step()
            lead = int(np.diff(eco.world.registry.adopters)[0])
            if lead <= -b_A or lead >= b_B:
                first.append(lead <= -b_A)
                time.append(t)
                break
        eco.release()
    undecided = runs - len(first)
    expected = b_B / (b_A + b_B)
    note = f"barriers: A ahead by {b_A}, B ahead by {b_B}; undecided after {planners} agents: {undecided}"
    return [
        Check(
            "P(A takes the market)",
            expected,
            float(np.mean(first)),
            math.sqrt(expected * (1 - expected) / len(first)),
            note=note,
        ),
        Check("E adoptions until then", float(mean), *mean_error(time)),
    ]


@row(
    "U11", "Monopoly with g > 1, equal shares with g < 1", "Rubin's theorem (Davis 1990)",
    g=Knob(2.0, "reinforcement above 1", 1.2, 4), a=Knob(1.0, "mass of the first colour", 0, 1e4, True), b=Knob(2.0, "mass of the second", 0, 1e4, True),
    g_low=Knob(0.4, "reinforcement below 1", -1, 0.95), n=Knob(400, "draws", 10, 20_000, fast=150), runs=Knob(1_500, RUNS, 30, 10**6, fast=300),
)  # fmt: skip
def monopoly(seed: int, g: float, a: float, b: float, g_low: float, n: int, runs: int) -> list[Check]:
    """Chance that the first colour takes nearly all; shares with weak reinforcement."""
    x = family_masses(urn(2, (a, b), **reinforcing(g, 0.0)), seeds(seed, "U11", runs), n)
    leads = np.sign(x[:, 0] - x[:, 1]) * 0.5 + 0.5
    law = law_of_two(a, b, n, g)
    first = a + np.arange(n + 1)
    exact = float(law @ (np.sign(2 * first - (a + b + n)) * 0.5 + 0.5))
    rubin = monopoly_chance(a, b, g)
    error = math.sqrt(max(exact * (1 - exact), 1 / runs) / runs)
    low = family_masses(urn(2, (a, b), **reinforcing(g_low, 0.0)), seeds(seed, "U11 low", runs), n)
    share = low[:, 0] / low.sum(axis=1)
    low_law = law_of_two(a, b, n, g_low)
    low_exact = float(low_law @ first) / (a + b + n)
    low_sd = math.sqrt(float(low_law @ ((first / (a + b + n) - low_exact) ** 2)))
    return [
        Check(
            "P(first colour is the monopolist)",
            rubin,
            float(leads.mean()),
            error,
            abs(rubin - exact),
            note=f"tolerance: exact effect of stopping at n = {n}",
        ),
        Check(
            "P(first colour leads after n draws)", exact, float(leads.mean()), error, note="exact law of two colours"
        ),
        Check("g < 1: E x_n", low_exact, *mean_error(share), note="tends to 1/2 with n"),
        Check("g < 1: sd of x_n", low_sd**2, *variance_error(share), note="as a variance; tends to 0 with n"),
    ]


@row(
    "U12", "No perturbation, no difference", "common random numbers by construction",
    ticks=Knob(24, "ticks", 2, 2_000, fast=8), materials=Knob(2_000, "materials", 200, 10**6, fast=600), planners=Knob(12, "planners", 2, 1_000),
)  # fmt: skip
def zero_perturbation(seed: int, ticks: int, materials: int, planners: int) -> list[Check]:
    """Bytes that differ between twins, and between communities with and without another isolated agent."""
    p = Parameters.preset("quick").updated(
        {"space.materials": materials, "space.families": 20, "founding.records": 300, "planners.count": planners,
         "planners.experiments": 0.5, "trainers.records": 200, "trainers.features": 48, "planners.isolated": 1}
    )  # fmt: skip
    space = MaterialsSpace.synthetic(p, seed=seed)

    def digest(change: Any = None) -> tuple[list[bytes], bytes]:
        eco = Ecosystem(p, seed, record=("series",), space=space)
        if change is not None:
            change(eco)
        own = b""
        for _ in range(ticks):
            eco.step()
            if (results := eco.world.results) is not None:
                own += results.material[results.planner >= planners].tobytes()
        world = eco.world
        rows = [np.array(list(values.values())).tobytes() for _, values in eco.recorder.series]
        rows += [world.commons.key.tobytes(), world.commons.value.tobytes(), world.planners.claims[:planners].tobytes()]
        eco.release()
        return rows, own

    def perturb(eco: Ecosystem) -> None:
        eco.world.planners.exploration[planners:] = 0.0
        eco.world.planners.reinforcement[planners:] = -1.0

    one, two, other = digest(), digest(), digest(perturb)
    return [
        Check(
            "parts that differ between twins",
            0,
            sum(x != y for x, y in zip(one[0], two[0], strict=True)) + (one[1] != two[1]),
        ),
        Check(
            "parts that differ beside the perturbed isolated agent",
            0,
            sum(x != y for x, y in zip(one[0], other[0], strict=True)),
        ),
        Check("the perturbed agent itself differs", 1, float(one[1] != other[1])),
    ]


@row(
    "U13", "Coverage by random choice", "occupancy: 1 - (1 - 1/E)^t",
    E=Knob(500, "materials", 2, 100_000), t=Knob(700, "experiments", 1, 10**6), runs=Knob(200, RUNS, 10, 10**5, fast=40),
)  # fmt: skip
def random_coverage(seed: int, E: int, t: int, runs: int) -> list[Check]:
    """Share of the materials that random experiments with repeats have touched."""
    per_tick = next(d for d in range(min(t, 100), 0, -1) if t % d == 0)
    p = Parameters.null(
        **{"space.materials": E, "space.families": 1, "space.feasible": 1.0, "founding.records": 0, "curators.count": 0,
           "planners.count": per_tick, "planners.experiments": 1.0, "infrastructure.repositories": 1}
    )  # fmt: skip
    space = small_space(1, E)
    touched = [
        run_to(p, s, t // per_tick, space=space, observe=lambda eco: float(eco.world.commons.tested.mean()))
        for s in seeds(seed, "U13", runs)
    ]
    mean, _ = mean_error(np.array(touched, np.float64))
    missed, both = (1 - 1 / E) ** t, (1 - 2 / E) ** t
    variance = max(0.0, missed * (1 - missed) / E + (1 - 1 / E) * (both - missed**2))
    return [
        Check(
            "share of materials seen",
            1 - missed,
            mean,
            math.sqrt(variance / runs) or 1e-12,
            note="standard error from the exact variance",
        )
    ]


# --------------------------------------------------------------------------- wrong rules

SEQUENCE = np.random.Generator(np.random.Philox(1))  # a generator that remembers
LINEAR = ("U1", "U2", "U3", "U4", "U9")  # rows of the linear urn

mutation("reinforcement weaker than said", "layers.attention:power", lambda right: lambda x, g: right(x, g - 0.4),
         "U0", *LINEAR, "U5", "U6", "U7", "U8", "U11")  # fmt: skip
mutation("exploration half as strong", "layers.attention:attention",
         lambda right: lambda x, eps, *rest: right(x, 0.5 * eps, *rest), "U0", "U5", "U7", "U8")  # fmt: skip
mutation("one draw of families for all ticks", "agents.world:World.clocks",
         lambda _: lambda self, name, cohort, n: self.streams.exponential(name, 0, (len(cohort), n))[cohort.slots],
         "U0", *LINEAR, "U5", "U6", "U11")  # fmt: skip
mutation("families by inverse CDF instead of a race", "streams:race",
         lambda _: lambda clocks, w: (np.cumsum(w, -1) / w.sum(-1, keepdims=True) < -np.expm1(-clocks[..., :1])).sum(-1),
         "U0", "U5", "W1")  # fmt: skip
mutation("the late stream begins with the run", "streams:Streams.root",
         lambda right: lambda self, tick: right(self, tick + 10**6), "U3")  # fmt: skip
mutation("covariance over the variance of sums", "measures.path_dependence:early_stream_index",
         lambda right: lambda a, b: (0.5 * right(a, b)[0], right(a, b)[1]), "U3")  # fmt: skip
mutation("limits of an urn with one colour more", "measures.concentration:limit_hhi",
         lambda right: lambda a: right(np.append(a, 1.0)), "U2")  # fmt: skip
mutation("entropies in bits", "measures.divergence:entropies", lambda right: lambda x: right(x) / math.log(2), "U4")
mutation("damage counts both what is gained and what is lost", "measures.path_dependence:damage",
         lambda right: lambda a, b: 2 * right(a, b), "U5")  # fmt: skip
mutation("exponent by natural numbers of steps", "measures.path_dependence:damage_exponent",
         lambda right: lambda a, b, n: right(a, b, np.asarray(n) / 2 + n[0] / 2), "U5", "U7")  # fmt: skip
mutation("records forget their mass only", "space.commons:Commons.decay",
         lambda _: lambda self, rate, *_a: (self.mass.__imul__(np.exp(-rate)), self._recount()), "U8")  # fmt: skip
mutation("a deposit counts twice", "measures.path_dependence:deposit",
         lambda right: lambda eco, k, m, **o: right(eco, k, 2 * m, **o), "U9")  # fmt: skip
mutation("price of a move from nothing", "measures.path_dependence:cost_of_reversal",
         lambda right: lambda x, N, D: right(0.0, N, D), "U9")  # fmt: skip
mutation("returns to adoption count half", "agents.planner:utility",
         lambda right: lambda world: (right(world)[0] - 0.5 * world.p.planners.utility_returns * world.registry.adopters, right(world)[1]),
         "U10")  # fmt: skip
mutation(
    "colours have one mass",
    "measures.path_dependence:monopoly_chance",
    lambda right: lambda a, _b, g: right(a, a, g),
    "U11",
)
mutation("draws follow from how many came before", "streams:Streams.generator",
         lambda _: lambda self, name, tick=0: SEQUENCE, "U0", "U3", "U5", "U12", "W1")  # fmt: skip
mutation("candidates from the first half of a family", "agents.planner:keyed",
         lambda right: lambda *a: right(*a) * 0.5, "U13")  # fmt: skip
