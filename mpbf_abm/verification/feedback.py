"""Feedback between models and data: self-training, selection, performative shift, the bias loop (rows M1 to M8)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import digamma, ndtr

from mpbf_abm.ecosystem import Ecosystem
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.layers.coupling import bias_share, loop_gain, steady_bias
from mpbf_abm.learning.heads import fit_head
from mpbf_abm.learning.kernels import features
from mpbf_abm.learning.models import frequencies
from mpbf_abm.measures.concentration import hhi
from mpbf_abm.measures.path_dependence import deposit
from mpbf_abm.parameters import Parameters
from mpbf_abm.space.materials import MaterialsSpace
from mpbf_abm.streams import Streams
from mpbf_abm.verification.mutations import mutation
from mpbf_abm.verification.rows import Check, Knob, generator, mean_error, row, seeds
from mpbf_abm.verification.urn import urn

Float = NDArray[np.float64]

ALL_GO = 50.0  # forgetting rate at which nothing is left
RUNS = "runs of the model"


def community(**changes: Any) -> Parameters:
    """Null community whose single trainer fits a mean to everything it can read, at every tick."""
    return Parameters.null(
        **{
            "space.materials": 400, "space.families": 1, "space.quantum_dims": 4, "space.meso_dims": 1, "space.gauge_dims": 0,
            "space.spurious_dims": 0, "space.feasible": 1.0, "founding.records": 0, "curators.records": 1,
            "curators.simulated_noise": 0.0, "curators.harmonisation": 0.0, "trainers.count": 1, "trainers.head": "mean",
            "trainers.objective": "masked", "trainers.latent_dims": 1, "trainers.retrain_interval": 1, "trainers.records": 1_000_000,
            "trainers.reuse": 0.0, "planners.count": 0, "planners.panel": 1, "planners.neighbours": 0, "stocks.compute": 0.0,
            "infrastructure.repositories": 1, "coupling.uncertainty_dal_ral": 0.0, "coupling.uncertainty_ral_isl": 0.0,
            "coupling.pseudo_anchor": "property", **changes,
        }
    )  # fmt: skip


def flat_space(
    p: Parameters, property: float | Float = 0.0, simulated: float | Float = 0.0, seed: int = 0
) -> MaterialsSpace:
    """Materials space of a community with property and simulation as given (numbers, or one for each material)."""
    space = MaterialsSpace.synthetic(p, seed=seed)
    n = space.size
    return replace(
        space,
        property=np.broadcast_to(property, n).astype(np.float32),
        simulated=np.broadcast_to(simulated, n).astype(np.float32),
    )


def learned(eco: Ecosystem) -> tuple[float, float]:
    """Mean and noise variance of the only model."""
    model = eco.world.registry.models[0]
    if model is None:
        raise RuntimeError("the trainer has published no model")
    return float(model.head.offset + model.head.mean[-1]), float(model.head.noise)


def generations(p: Parameters, run_seeds: Sequence[int], ticks: int, space: MaterialsSpace) -> Float:
    """Mean and noise variance that the trainer has learned after each tick (R, T, 2)."""
    out = np.empty((len(run_seeds), ticks, 2))
    for r, s in enumerate(run_seeds):
        eco = Ecosystem(p, s, record=(), space=space)
        for t in range(ticks):
            eco.step()
            out[r, t] = learned(eco)
        eco.release()
    return out


def self_training(M: int, fresh: float, *, accumulate: bool) -> Parameters:
    """Community in which M records a tick are drawn from the last model, a share `fresh` of them from the truth."""
    return community(
        **{
            "curators.count": M, "coupling.pseudo_share": 1.0 - fresh, "coupling.pseudo_noise": 1.0,
            "commons.forgetting": 0.0 if accumulate else ALL_GO,
        }
    )  # fmt: skip


def error_growth(
    seed: int, label: str, M: int, fresh: float, n: int, runs: int, *, accumulate: bool
) -> tuple[float, float]:
    """Error variance of the model of generation n over that of one fit to M true labels, and its standard error."""
    p = self_training(M, fresh, accumulate=accumulate)
    # Gaussian labels of mean 0: what a fresh label adds is the same at every generation.
    labels = np.random.Generator(np.random.Philox(7)).standard_normal(p.space.materials)
    labels = (labels - labels.mean()) / labels.std()
    means = generations(p, seeds(seed, label, runs), n, flat_space(p, labels, labels))[:, -1, 0]
    square, error = mean_error(means**2)
    return square * M, error * M


# --------------------------------------------------------------------------- M1 to M3: self-training


@row(
    "M1", "Self-training: replace against accumulate", "Gerstgrasser et al. 2024; Dohmatob et al. 2024",
    n=Knob(8, "generations, the first on true labels", 1, 200, fast=5), M=Knob(50, "labels of a generation", 5, 5_000),
    runs=Knob(1_500, RUNS, 30, 10**6, fast=250),
)  # fmt: skip
def replace_or_accumulate(seed: int, n: int, M: int, runs: int) -> list[Check]:
    """Error variance of the n-th model over that of the first."""
    replaced = error_growth(seed, "M1 replace", M, 0.0, n, runs, accumulate=False)
    kept = error_growth(seed, "M1 accumulate", M, 0.0, n, runs, accumulate=True)
    expected = float((1.0 / np.arange(1, n + 1) ** 2).sum())
    note = "tolerance: the spread of accumulated labels is that of one generation to order 1/M"
    return [
        Check("replace: error variance / one-shot", n, *replaced),
        Check("accumulate: error variance / one-shot", expected, *kept, 2 * (expected - 1) / M, note=note),
    ]


@row(
    "M2", "Self-training with a share of true labels", "recursion of the mean's error (Gerstgrasser et al. 2024; Bertrand et al. 2024)",
    lam=Knob(0.3, "share lambda of true labels", 0.01, 1), n=Knob(10, "generations", 1, 200, fast=6), M=Knob(50, "labels of a generation", 5, 5_000),
    runs=Knob(1_200, RUNS, 30, 10**6, fast=250),
)  # fmt: skip
def fresh_labels(seed: int, lam: float, n: int, M: int, runs: int) -> list[Check]:
    """Error variance of the n-th model with fresh true labels in every generation."""
    v = 1.0
    for i in range(2, n + 1):
        v = (1 - lam / i) ** 2 * v + 1 / i**2
    kept = error_growth(seed, "M2 accumulate", M, lam, n, runs, accumulate=True)
    renewed = error_growth(seed, "M2 replace", M, lam, n, runs, accumulate=False)
    limit = 1 / (lam * (2 - lam))
    # The share of true labels varies by chance, and true and generated labels differ in mean: both to order 1/M.
    order = 3 / M
    distance = (limit - 1) * (1 - lam) ** (2 * (n - 1))
    note = f"exact after {n} generations: {limit - distance:.5f}; tolerance: that, and effects of order 1/M"
    return [
        Check("accumulate: v_n", v, *kept, (v - v * (1 - lam) / 2) * order, note="tolerance: effects of order 1/M"),
        Check("replace: 1 / (lambda (2 - lambda))", limit, *renewed, distance + limit * order, note=note),
    ]


@row(
    "M3", "Gaussian refits", "log of a chi-squared mean (Shumailov et al. 2024; Alemohammad et al. 2024)",
    n=Knob(8, "refits", 1, 200, fast=5), M=Knob(20, "labels of a generation", 4, 5_000), runs=Knob(1_500, RUNS, 30, 10**6, fast=300),
)  # fmt: skip
def gaussian_refits(seed: int, n: int, M: int, runs: int) -> list[Check]:
    """Log and mean of the variance that is left after n refits to own draws."""
    p = self_training(M, 0.0, accumulate=False)
    labels = np.random.Generator(np.random.Philox(7)).standard_normal(p.space.materials)
    variance = generations(p, seeds(seed, "M3", runs), n + 1, flat_space(p, labels, labels))[:, :, 1]
    ratio = variance[:, -1] / variance[:, 0]
    per_refit = float(digamma((M - 1) / 2) + math.log(2 / (M - 1)))
    # The prior on the constant leaves 1e-4 of variance and of a parameter at most.
    tolerance = n * 3e-4
    exact = math.sqrt(((1 + 2 / (M - 1)) ** n - 1) / runs)
    return [
        Check("E ln(s2_n / s2_0)", n * per_refit, *mean_error(np.log(ratio)), tolerance),
        Check("E s2_n / s2_0", 1.0, float(ratio.mean()), exact, tolerance, note="standard error from the exact variance; skewed, so the logs decide"),
    ]  # fmt: skip


# --------------------------------------------------------------------------- M4: resampling


@row(
    "M4", "Resampling of families", "Wright-Fisher loss of heterozygosity",
    K=Knob(5, "families", 2, 200), a=Knob((), "initial masses; equal where none are given", 0, 1e6, True), M=Knob(40, "records of a generation", 2, 5_000),
    t=Knob(20, "generations", 1, 2_000), runs=Knob(1_500, RUNS, 30, 10**6, fast=300),
)  # fmt: skip
def resampling(seed: int, K: int, a: tuple[float, ...], M: int, t: int, runs: int) -> list[Check]:
    """Diversity 1 - sum x^2 when every generation is drawn from the one before."""
    start = np.array(a) if a else np.ones(K)
    if len(start) != K:
        raise ConfigurationError(f"M4.a has {len(start)} entries: must have K = {K}")
    p = urn(K, start.tolist(), M, **{"commons.forgetting": ALL_GO, "commons.grace": 1, "space.materials": 4 * K})
    space = MaterialsSpace.synthetic(p, seed=0)
    diversity = []
    for s in seeds(seed, "M4", runs):
        eco = Ecosystem(p, s, record=(), space=space)
        for _ in range(t):
            eco.step()
        commons = eco.world.commons
        last = commons.family[commons.alive & (commons.tick == t - 1)]
        diversity.append(1 - hhi(np.bincount(last, minlength=K)))
        eco.release()
    return [Check("E[1 - sum x^2]", (1 - hhi(start)) * (1 - 1 / M) ** t, *mean_error(diversity))]


# --------------------------------------------------------------------------- M5: the optimiser's curse


def expected_maximum(K: int) -> float:
    """Mean of the largest of K standard normal numbers; K = 10: 1.53875."""

    def integrand(x: float) -> float:
        return float(x * K * math.exp(-x * x / 2) / math.sqrt(2 * math.pi) * ndtr(x) ** (K - 1))

    return float(quad(integrand, -12, 12, limit=400)[0])


@row(
    "M5", "Best of K candidates", "optimiser's curse (Smith and Winkler 2006); order statistics",
    K=Knob(10, "candidates", 1, 200), sigma=Knob(0.8, "sd of the estimate's error", 0.05, 5), tau=Knob(1.0, "sd of the property", 0.1, 3),
    materials=Knob(100_000, "materials", 5_000, 2_000_000, fast=40_000), experiments=Knob(20_000, "experiments", 500, 10**7, fast=3_000), labels=Knob(4_000, "labels that the shrinking learner sees", 200, 100_000, fast=2_000),
)  # fmt: skip
def best_of_candidates(
    seed: int, K: int, sigma: float, tau: float, materials: int, experiments: int, labels: int
) -> list[Check]:
    """Prediction minus truth of the chosen candidate, with and without shrinkage."""
    rng = generator(seed, "M5")
    y = tau * rng.standard_normal(materials)
    estimate = y + sigma * rng.standard_normal(materials)
    unshrunk = sigma**2 / math.hypot(tau, sigma) * expected_maximum(K)
    labs = 500
    out = []
    for name, changes in (
        ("without shrinkage", {"trainers.head": "mean", "trainers.physical_prior": True, "founding.records": 20}),
        ("with posterior means", {"trainers.head": "bayesian", "trainers.labels": "measured", "founding.records": labels,
                                  "curators.modality_mix": (0.0, 0.0, 1.0, 0.0, 0.0, 0.0)}),
    ):  # fmt: skip
        p = community(
            **{
                "space.materials": materials, "curators.count": 0, "trainers.retrain_interval": 10_000, "planners.count": labs,
                "planners.experiments": 1.0, "planners.acquisition": "greedy", "planners.candidates": K, "stocks.attention": 1e6,
                "stocks.attention_cap": 1e7, "curators.measured_noise": 0.1, "trainers.features": 64, "trainers.records": 100_000,
                "planners.steering_gain": 0.0, "coupling.uncertainty_dal_ral": 1.0, **changes,
            }
        )  # fmt: skip
        space = flat_space(p, y, estimate)
        columns = np.zeros_like(space.descriptors)
        columns[:, 0] = estimate
        space = replace(space, descriptors=columns, difficulty=np.ones(materials, np.float32))
        eco = Ecosystem(p, seeds(seed, "M5 " + name, 1)[0], record=(), space=space)
        gaps = []
        for _ in range(max(2, math.ceil(experiments / labs))):
            eco.step()
            r = eco.world.results
            if r is not None:
                gaps.append(r.predicted - space.property[r.material])
        eco.release()
        measured = mean_error(np.concatenate(gaps).astype(np.float64))
        if name == "without shrinkage":
            out.append(Check(f"disappointment {name}", unshrunk, *measured))
        else:
            note = "tolerance: what a head fitted to some labels misses of the exact posterior mean (3 % of the former)"
            out.append(Check(f"disappointment {name}", 0.0, *measured, 0.03 * unshrunk + 0.002 * tau, note=note))
    return out


# --------------------------------------------------------------------------- M6: performative shift


@row(
    "M6", "Repeated risk minimisation", "performative prediction, location family (Perdomo et al. 2020)",
    mu0=Knob(0.4, "mean of the data without a model's influence", -5, 5), e=Knob(0.6, "influence of the model on its data", 0, 0.98),
    e_above=Knob(1.3, "influence at which it diverges", 1.01, 5), n=Knob(8, "retrainings at that influence", 2, 60), M=Knob(400, "records of a generation", 10, 10_000),
    runs=Knob(150, RUNS, 10, 10**5, fast=40),
)  # fmt: skip
def performative(seed: int, mu0: float, e: float, e_above: float, n: int, M: int, runs: int) -> list[Check]:
    """Mean that repeated fits settle on when data follow the model, and its growth where they do not settle."""
    pi = 0.5

    def fits(influence: float, ticks: int, label: str) -> tuple[float, float]:
        # A share pi of the records says g times the model's mean: e = pi g; the rest has mean mu0 / (1 - pi).
        p = community(
            **{"curators.count": M, "coupling.pseudo_share": pi, "coupling.pseudo_gain": influence / pi, "commons.forgetting": ALL_GO}
        )  # fmt: skip
        space = flat_space(p, 0.0, mu0 / (1 - pi))
        return mean_error(generations(p, seeds(seed, label, runs), ticks, space)[:, -1, 0])

    start = mu0 / (1 - pi)
    settled = 12 if e == 0 else max(2, math.ceil(math.log(1e-4) / math.log(e)))
    limit = mu0 / (1 - e)
    grown = mu0 * (1 - e_above**n) / (1 - e_above) + e_above**n * start
    return [
        Check("fixed point mu0 / (1 - e)", limit, *fits(e, settled + 1, "M6"), abs(start - limit) * e**settled + 1e-6),
        Check(f"e = {e_above:g}: mean after {n} retrainings", grown, *fits(e_above, n + 1, "M6 above"), 1e-5 * abs(grown),
              note=f"diverges: from {start:g}"),
    ]  # fmt: skip


# --------------------------------------------------------------------------- M7: the bias loop


@row(
    "M7", "Bias loop with audits", "L = (1-rho) pi g chi h, b* = (1-rho)(1-pi) b_s h / (1-L) (our operationalisation)",
    lambda_P=Knob(1.0, "experiments a tick", 0, 20), q=Knob(0.6, "share of them that is published", 0.01, 1), lambda_S=Knob(0.8, "simulated labels a tick", 0.05, 20),
    delta=Knob(0.05, "chance that a record goes in a tick", 0.005, 0.4), kappa=Knob(0.1, "chance that a record is audited in a tick", 0, 1), b_s=Knob(0.4, "bias of simulated labels", -3, 3),
    pi=Knob(0.5, "share of simulated labels that a model generates", 0.01, 0.99), g=Knob(2.4, "their gain", 0, 10), chi=Knob(0.9, "share of the records' bias that a model learns", 0.05, 1),
    L_below=Knob(0.8, "loop gain at which bias growth must be negative", 0.05, 0.97), L_above=Knob(1.25, "and one at which it must be positive", 1.03, 3),
    scale=Knob(200.0, "size of the community: events per unit of the rates", 5, 10**4), ticks=Knob(200, "ticks of the time average", 20, 10**5, fast=80), runs=Knob(12, RUNS, 4, 10**4, fast=6),
)  # fmt: skip
def bias_loop(
    seed: int, lambda_P: float, q: float, lambda_S: float, delta: float, kappa: float, b_s: float, pi: float, g: float, chi: float,
    L_below: float, L_above: float, scale: float, ticks: int, runs: int,
) -> list[Check]:  # fmt: skip
    """Corpus bias in the steady state, and the sign of its growth on either side of L = 1."""
    rho = lambda_P * q / (lambda_P * q + lambda_S)
    h = bias_share(delta, kappa)
    L = loop_gain(rho, pi, g, chi, h)
    if L >= 0.97:
        raise ConfigurationError(f"M7: L = {L:.4g}: must be below .97 for a steady state; lower g, pi or chi")
    rates = {
        "lambda_P": lambda_P, "q": q, "lambda_S": lambda_S, "delta": delta, "kappa": kappa, "chi": chi, "rho": rho, "scale": scale
    }  # fmt: skip
    # The slowest of renewal and of the loop's own approach, five times.
    settle = math.ceil(5 / (delta * min(1.0, (1 - L) * (delta + kappa) / delta / (1 + kappa))))
    bias, mean = bias_paths(seeds(seed, "M7", runs), settle + ticks, b_s=b_s, pi=pi, g=g, **rates)
    b, b_se = mean_error(bias[:, settle:].mean(axis=1))
    transferred = mean[:, settle:].mean(axis=1) / bias[:, settle:].mean(axis=1)
    out = [
        Check(
            "steady bias b*",
            steady_bias(rho, pi, b_s, h, L),
            b,
            b_se,
            note=f"L = {L:.6f}, h = {h:.6f}, rho = {rho:.6f}",
        ),
    ]
    if b_s:
        out.append(Check("chi, measured", chi, *mean_error(transferred), note="model's mean bias over the records'"))
    for gain, relation in ((L_below, "<"), (L_above, ">")):
        # The gain of pseudo-labels ends at 10; a larger share of them makes up for it.
        share = min(0.99, max(pi, gain / loop_gain(rho, 1.0, 9.5, chi, h)))
        needed = gain / loop_gain(rho, share, 1.0, chi, h)
        if needed > 10:
            continue
        expected = math.log(((1 - delta) + delta * (1 - rho) * share * needed * chi) / (1 + kappa))
        run_seeds = seeds(seed, f"M7 {relation}", runs)
        fixed = (1 - rho) * (1 - share) * (b_s or 0.4) * h / (1 - gain)
        rate, error = growth_rate(run_seeds, expected, fixed, b_s=b_s or 0.4, pi=share, g=needed, **rates)
        name = f"bias growth per tick at L = {gain:g}"
        note = f"multiplier of the loop's linear map; pi = {share:.3g}, g = {needed:.3g}"
        out.append(Check(name, expected, rate, error, 0.02 * abs(expected), note=note))
        out.append(Check(name + ": sign", 0.0, rate, error, relation="<" if relation == "<" else ">"))
    return out


def bias_paths(
    run_seeds: Sequence[int], ticks: int, *, lambda_P: float, q: float, lambda_S: float, delta: float, kappa: float, b_s: float, pi: float,
    g: float, chi: float, rho: float, scale: float, founded: float | None = None,
) -> tuple[Float, Float]:  # fmt: skip
    """Mean bias of the records, and of the model, after each tick of some runs (R, T), (R, T).

    One curator has the whole budget: many with equal ones would acquire in the same ticks. The community starts with the steady numbers of records open to audit and of others. The chances become budgets: audits are those that keep the chance kappa in the steady state, where
    ``lambda_S / (delta + kappa)`` records are open to audit; what a model does not learn of the bias is
    harmonised away, the records that planners enter after its training counted in. `founded` is the
    records' mean bias at founding (default: that of simulations).
    """
    simulated = lambda_S * scale
    open_records = simulated / (delta + kappa)
    audits = kappa * open_records
    budget = math.ceil(simulated + audits)
    cost = (budget - simulated) / audits if audits else 1.0
    volume = (lambda_P * q + lambda_S) / delta * scale
    p = community(
        **{
            "space.materials": 300, "founding.records": round(open_records), "founding.mass": 1.0, "curators.count": 1, "curators.records": budget if audits else round(simulated),
            "curators.audit_rate": (budget - simulated) / budget if audits else 0.0, "curators.measured_cost": max(1.0, cost),
            "curators.measured_noise": 0.05, "curators.harmonisation": 1.0 - chi * (1.0 - delta * rho),
            "commons.forgetting": -math.log1p(-delta), "coupling.pseudo_share": pi, "coupling.pseudo_gain": g,
            "planners.count": round(lambda_P * scale), "planners.experiments": 1.0, "planners.publication_bias": 1.0 - q,
            "planners.publication_threshold": 5.0, "planners.steering_gain": 0.0,
        }
    )  # fmt: skip
    spread = 0.01 * np.random.Generator(np.random.Philox(7)).standard_normal(300)
    space = flat_space(p, spread - spread.mean(), spread - spread.mean() + b_s)
    bias, mean = np.empty((len(run_seeds), ticks)), np.empty((len(run_seeds), ticks))
    for r, s in enumerate(run_seeds):
        eco = Ecosystem(p, s, record=(), space=space)
        commons = eco.world.commons
        if founded is not None:
            rows = np.arange(len(commons))
            value = space.property[commons.material] + founded * volume / open_records
            commons.rewrite(rows, value.astype(np.float32), commons.variance.copy())
        deposit(eco, 0, round(volume - open_records), measured=True)
        for t in range(ticks):
            eco.step()
            alive = commons.alive
            bias[r, t] = (commons.value[alive] - space.property[commons.material[alive]]).mean(dtype=np.float64)
            mean[r, t] = learned(eco)[0]
        eco.release()
    return bias, mean


def growth_rate(run_seeds: Sequence[int], expected: float, fixed: float, **rates: Any) -> tuple[float, float]:
    """Rate at which the bias moves away from its fixed point (or towards it), and its jackknife error.

    From the means over two windows half an e-fold long and as far apart.
    """
    window = max(8, math.ceil(0.5 / abs(expected)))
    start = 5  # until the first models have spoken
    # Far from the fixed point, so that chance is small against the distance.
    founded = fixed + 3 * max(abs(fixed), abs(rates["b_s"]))
    bias, _ = bias_paths(run_seeds, start + 3 * window, founded=founded, **rates)
    distance = bias[:, start:].reshape(len(bias), 3, window).mean(axis=2) - fixed

    def rate(mean: Float) -> float:
        ratio = mean[2] / mean[0]
        return math.log(ratio) / (2 * window) if ratio > 0 else math.nan

    total, n = distance.sum(axis=0), len(distance)
    left_out = np.array([rate((total - v) / (n - 1)) for v in distance])
    return rate(total / n), float(math.sqrt((n - 1) * left_out.var()))


# --------------------------------------------------------------------------- M8: the learner


@row(
    "M8", "The learner is exact", "Gaussian posterior (Rasmussen and Williams 2006, chapter 2)",
    n=Knob(300, "labels", 5, 5_000), p=Knob(96, "random features", 4, 1_000), d=Knob(8, "descriptors", 1, 100), r=Knob(12, "labels of the low-rank update", 1, 200),
    extra=Knob(200, "extra records tried one by one", 5, 5_000, fast=60), records=Knob(2_500, "records before the extra one", 100, 100_000),
)  # fmt: skip
def exact_learner(seed: int, n: int, p: int, d: int, r: int, extra: int, records: int) -> list[Check]:
    """Posterior against a dense float64 solution; update against refit; one extra record."""
    rng = generator(seed, "M8")
    x = rng.standard_normal((n + r + 200, d)).astype(np.float32)
    omega, phase = frequencies(Streams(seed), 0, d, p)
    phi = features(x, (omega / (2 * math.sqrt(d))).astype(np.float32), phase)
    y = np.sin(x[:, 0].astype(np.float64)) + 0.3 * x[:, -1] + 0.1 * rng.standard_normal(len(x))
    noise = 0.01 * (1 + rng.random(len(x)))
    head = fit_head(phi[:n], y[:n], noise[:n])
    test = phi[n + r :]
    mean, variance = head.predict(test)
    exact_mean, exact_variance = dense_posterior(phi[:n], y[:n] - head.offset, head.noise + noise[:n], head.prior, test)
    updated = fit_head(phi[:n], y[:n], noise[:n])
    more = slice(n, n + r)
    residual = y[more] - updated.predict(phi[more])[0].astype(np.float64)
    updated.update(phi[more], residual, noise[more] + updated.noise, 1.0)
    refit_mean, refit_variance = dense_posterior(
        phi[: n + r], y[: n + r] - head.offset, head.noise + noise[: n + r], head.prior, test
    )
    after_mean, after_variance = updated.predict(test)
    return [
        Check("posterior mean, largest difference", 0.0, worst(mean - head.offset, exact_mean), tolerance=1e-5 * scale_of(y)),
        Check("posterior variance, largest difference", 0.0, worst(variance - head.noise, exact_variance), tolerance=1e-5 * scale_of(y)),
        Check("updated mean against refit", 0.0, worst(after_mean - head.offset, refit_mean), tolerance=1e-5 * scale_of(y)),
        Check("updated variance against refit", 0.0, worst(after_variance - head.noise, refit_variance), tolerance=1e-5 * scale_of(y)),
        one_extra_record(seed, extra, records),
    ]  # fmt: skip


def scale_of(y: Float) -> float:
    """Size of the labels, of which float32 keeps seven digits."""
    return max(1.0, float(np.abs(y).max()))


def worst(a: NDArray[Any], b: Float) -> float:
    """Largest absolute difference."""
    return float(np.abs(a - b).max())


def dense_posterior(phi: NDArray[Any], y: Float, noise: Float, prior: float, test: NDArray[Any]) -> tuple[Float, Float]:
    """Posterior mean and variance by the dual (Gaussian process) form in float64 (n,), (n,)."""
    rows, at = phi.astype(np.float64), test.astype(np.float64)
    kernel = rows @ rows.T / prior + np.diag(noise)
    cross = at @ rows.T / prior
    solved = np.linalg.solve(kernel, np.concatenate([y[:, None], cross.T], axis=1))
    return cross @ solved[:, 0], (at * at).sum(axis=1) / prior - (cross * solved[:, 1:].T).sum(axis=1)


def one_extra_record(seed: int, extra: int, records: int) -> Check:
    """Mean movement of a retrained model's predictions on the panel when the commons held one more record."""
    p = Parameters().updated(
        {
            "curators.count": 0, "planners.count": 0, "trainers.count": 1, "trainers.objective": "masked", "founding.records": records,
            "trainers.records": 2 * records, "curators.openness": 1.0,
        }
    )  # fmt: skip
    space = MaterialsSpace.synthetic(p, seed=seed)

    def predictions(run_seed: int, family: int | None) -> Float:
        eco = Ecosystem(p, run_seed, record=(), space=space)
        if family is not None:
            deposit(eco, family, 1)
        eco.step()
        model = eco.world.registry.models[0]
        eco.release()
        if model is None:
            raise RuntimeError("the trainer has published no model")
        return np.asarray(model.panel_mean.ravel(), np.float64)

    moved = np.array(
        [
            np.abs(predictions(s, k % space.families) - predictions(s, None)).mean()
            for k, s in enumerate(seeds(seed, "M8 extra", extra))
        ]
    )
    mean, error = mean_error(moved)
    note = f"mean absolute shift over the panel, {records} records before; largest of {extra}: {moved.max():.4f}"
    return Check("one extra record moves predictions by less than .01 sd", 0.01, mean, error, relation="<", note=note)


# --------------------------------------------------------------------------- wrong rules

mutation("generated labels scatter half as much", "learning.models:FoundationModel.claimed_sd",
         lambda right: lambda self, variance: 0.5 * right(self, variance), "M1", "M2", "M3")  # fmt: skip
mutation("a fit forgets that it estimated the mean", "learning.heads:fit_head",
         lambda right: lambda phi, y, v, **o: replace(h := right(phi, y, v, **o), noise=h.noise * (1 - 1 / len(y))), "M3")  # fmt: skip
mutation("labels after the first tick count half", "space.commons:Commons.append",
         lambda right: lambda self, **v: right(self, **{**v, "value": np.where(v["tick"] > 0, v["value"] * 0.5, v["value"])}), "M1", "M2", "M3", "M6", "M7")  # fmt: skip
mutation("grace of one tick more", "space.commons:Commons.decay",
         lambda right: lambda self, rate, tick, grace=0: right(self, rate, tick, grace + 1), "M1", "M2", "M4", "M6", "M7", "U8")  # fmt: skip
mutation("the first candidate is made", "learning.acquisition:score",
         lambda _: lambda rule, mean, sd, **o: -np.arange(mean.shape[-1], dtype=np.float32) + 0 * mean, "M5")  # fmt: skip
mutation("predictions are shrunk by a fifth", "learning.heads:Head.predict",
         lambda right: lambda self, phi: (0.8 * right(self, phi)[0], right(self, phi)[1]), "M8")  # fmt: skip
mutation("pseudo-labels without their gain", "layers.coupling:pseudo_label",
         lambda right: lambda y, mean, g: right(y, mean, min(g, 1.0)), "M6", "M7")  # fmt: skip
mutation("audits leave the value as it is", "space.commons:Commons.rewrite",
         lambda right: lambda self, rows, value, variance, **f: right(self, rows, self.value[rows] if f else value, variance, **f), "M7")  # fmt: skip
mutation(
    "audits mend what renewal renews", "layers.coupling:bias_share", lambda right: lambda d, k: right(d, k + d), "M7"
)
mutation("an update counts every label twice", "learning.heads:low_rank",
         lambda right: lambda c, phi, r, v, s: right(c, phi, r, v / 2, s), "M8")  # fmt: skip
