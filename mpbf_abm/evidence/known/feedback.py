"""Feedback between models and data, the bias loop, and the learner (rows M1 to M9)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import digamma, ndtr, polygamma

from mpbf_abm.arrays import Float
from mpbf_abm.errors import refuse
from mpbf_abm.evidence.known.rows import (
    RUNS,
    Check,
    flat_space,
    generations,
    generator,
    grouped,
    learned,
    learning_community,
    mean_error,
    mutation,
    parameter,
    row,
    seeds,
    urn,
)
from mpbf_abm.learning.encoders import spike, train_encoder
from mpbf_abm.learning.heads import fit_head, low_rank
from mpbf_abm.learning.linalg import features, quadratic
from mpbf_abm.learning.models import FoundationModel, frequencies
from mpbf_abm.measures.path import deposit, run_to
from mpbf_abm.model.commons import Commons
from mpbf_abm.model.community import Community
from mpbf_abm.model.coupling import bias_share, loop_gain, pseudo_label, steady_bias
from mpbf_abm.model.forgetting import decay
from mpbf_abm.model.materials import MaterialsSpace, Observation
from mpbf_abm.model.planners import affordable
from mpbf_abm.model.run import begin
from mpbf_abm.model.spec import RunSpec
from mpbf_abm.model.structures import Structures
from mpbf_abm.model.training import encode, encoder_corpus, sightings
from mpbf_abm.parameters import Parameters
from mpbf_abm.stats.concentration import hhi
from mpbf_abm.streams import Streams

ALL_GO = 50.0  # forgetting rate at which nothing is left
LABS = 250  # planners of row M5
# Three directions of signal; records show what structures do, and all are within reach.
UNLABELLED = Parameters.preset("single-default").updated(
    {
        "space.materials": 1_500,
        "space.families": 1,
        "space.chemistry_rank": 3,
        "space.quantum_dims": 4,
        "space.gauge_dims": 0,
        "space.spurious_dims": 0,
        "space.meso_dims": 1,
        "space.near_duplicates": 0.0,
        "space.observed_dims": 60,
        "space.signal": 1.0,
        "trainers.corpus": "reachable",
        "curators.modality_mix": (1.0, 0.0, 0.0, 0.0, 0.0, 0.0),
        "infrastructure.repositories": 1,
        "infrastructure.providers": 1,
        "infrastructure.openness": 1.0,
    }
)
SPIKED = "spiked covariance (Johnstone 2001; Paul 2007; Benaych-Georges and Nadakuditi 2011)"
RECURSION = "recursion of the mean's error (Gerstgrasser et al. 2024; Bertrand et al. 2024)"


def self_training(M: int, fresh: float, *, accumulate: bool) -> Parameters:
    """Community in which M records a tick are drawn from the last model, a share `fresh` of them from the truth."""
    coupling = {"pseudo_share": 1.0 - fresh, "pseudo_noise": 1.0}
    forgetting = {"forgetting": 0.0 if accumulate else ALL_GO}
    return learning_community(**grouped(curators={"count": M}, coupling=coupling, commons=forgetting))


def standard_labels(p: Parameters) -> Float:
    """Gaussian labels of mean 0 and variance 1 (N,): what a fresh one adds is the same at every generation."""
    labels = np.random.Generator(np.random.Philox(7)).standard_normal(p.space.materials)
    return np.asarray((labels - labels.mean()) / labels.std())


def error_growth(
    seed: int, label: str, M: int, fresh: float, n: int, runs: int, *, accumulate: bool
) -> tuple[float, float]:
    """Error variance of the model of generation n over that of one fit to M true labels, and its standard error."""
    p = self_training(M, fresh, accumulate=accumulate)
    labels = standard_labels(p)
    means = generations(p, seeds(seed, label, runs), n, flat_space(p, labels, labels))[:, -1, 0]
    square, error = mean_error(means**2)
    return square * M, error * M


# --------------------------------------------------------------------------- M1 to M3: self-training


@row("M1", "Self-training: replace against accumulate", "Gerstgrasser et al. 2024; Dohmatob et al. 2024")
def replace_or_accumulate(
    seed: int,
    n: int = parameter(8, "generations, the first on true labels", 1, 200, fast=4),
    M: int = parameter(50, "labels of a generation", 5, 5_000),
    runs: int = parameter(1_500, RUNS, 30, 10**6, fast=80),
) -> Iterator[Check]:
    """Error variance of the n-th model over that of the first."""
    replaced = error_growth(seed, "M1 replace", M, 0.0, n, runs, accumulate=False)
    kept = error_growth(seed, "M1 accumulate", M, 0.0, n, runs, accumulate=True)
    expected = float((1.0 / np.arange(1, n + 1) ** 2).sum())
    note = "tolerance: the spread of accumulated labels is that of one generation to order 1/M"
    yield Check("replace: error variance / one-shot", n, *replaced)
    yield Check("accumulate: error variance / one-shot", expected, *kept, 2 * (expected - 1) / M, note=note)


@row("M2", "Self-training with a share of true labels", RECURSION)
def fresh_labels(
    seed: int,
    lam: float = parameter(0.3, "share lambda of true labels", 0.01, 1),
    n: int = parameter(10, "generations", 1, 200, fast=5),
    M: int = parameter(50, "labels of a generation", 5, 5_000),
    runs: int = parameter(1_200, RUNS, 30, 10**6, fast=80),
) -> Iterator[Check]:
    """Error variance of the n-th model with fresh true labels in every generation."""
    v = 1.0
    for i in range(2, n + 1):
        v = (1 - lam / i) ** 2 * v + 1 / i**2
    kept = error_growth(seed, "M2 accumulate", M, lam, n, runs, accumulate=True)
    renewed = error_growth(seed, "M2 replace", M, lam, n, runs, accumulate=False)
    limit = 1 / (lam * (2 - lam))
    # The share of true labels varies by chance, and true and generated labels differ in mean: both to order 1/M.
    order, note = 3 / M, "tolerance: effects of order 1/M"
    yield Check("accumulate: v_n", v, *kept, (v - v * (1 - lam) / 2) * order, note=note)
    left = limit - (limit - 1) * (1 - lam) ** (2 * (n - 1))
    name, note = "replace: 1 / (lambda (2 - lambda)) less what is left to come", f"without end {limit:.5f}; {note}"
    yield Check(name, left, *renewed, left * order, note=note)


@row("M3", "Gaussian refits", "log of a chi-squared mean (Shumailov et al. 2024; Alemohammad et al. 2024)")
def gaussian_refits(
    seed: int,
    n: int = parameter(8, "refits", 1, 200, fast=5),
    M: int = parameter(20, "labels of a generation", 4, 5_000),
    runs: int = parameter(1_500, RUNS, 30, 10**6, fast=300),
) -> Iterator[Check]:
    """Log and mean of the variance that is left after n refits to own draws."""
    per_refit = float(digamma((M - 1) / 2) + math.log(2 / (M - 1)))
    refuse(
        4 * math.sqrt(n * float(polygamma(1, (M - 1) / 2))) - n * per_refit > 5,
        f"M3: {n} refits to {M} labels leave less variance than the learner resolves; lower n or raise M",
    )
    p = self_training(M, 0.0, accumulate=False)
    labels = np.random.Generator(np.random.Philox(7)).standard_normal(p.space.materials)
    variance = generations(p, seeds(seed, "M3", runs), n + 1, flat_space(p, labels, labels))[:, :, 1]
    ratio = variance[:, -1] / variance[:, 0]
    # The prior on the constant leaves 1e-4 of variance and of a parameter at most.
    tolerance = n * 3e-4
    exact = math.sqrt(((1 + 2 / (M - 1)) ** n - 1) / runs)
    yield Check("E ln(s2_n / s2_0)", n * per_refit, *mean_error(np.log(ratio)), tolerance)
    note = "standard error from the exact variance; skewed, so the logs decide"
    yield Check("E s2_n / s2_0", 1.0, float(ratio.mean()), exact, tolerance, note=note)


# --------------------------------------------------------------------------- M4: resampling


def _diversity(K: int, tick: int, eco: Community) -> float:
    """Return the diversity of the families of a tick's records that are alive."""
    commons = eco.world.commons
    last = commons.family[commons.alive & (commons.tick == tick)]
    return 1 - hhi(np.bincount(last, minlength=K))


@row("M4", "Resampling of families", "Wright-Fisher loss of heterozygosity")
def resampling(
    seed: int,
    K: int = parameter(5, "families", 2, 200),
    a: tuple[float, ...] = parameter((), "initial masses; equal where none are given", 0, 1e6, True),
    M: int = parameter(40, "records of a generation", 2, 5_000),
    t: int = parameter(20, "generations", 1, 2_000),
    runs: int = parameter(1_500, RUNS, 30, 10**6, fast=300),
) -> Iterator[Check]:
    """Diversity 1 - sum x^2 when every generation is drawn from the one before."""
    start = np.array(a) if a else np.ones(K)
    refuse(len(start) != K, f"M4.a has {len(start)} entries: must have K = {K}")
    p = urn(K, start, M, **{"commons.forgetting": ALL_GO, "commons.grace": 1, "space.materials": 4 * K})
    space = MaterialsSpace.synthetic(p, seed=0)

    diversity = partial(_diversity, K, t - 1)
    expected = (1 - hhi(start)) * (1 - 1 / M) ** t
    mean, error = mean_error([run_to(p, s, t, space=space, observe=diversity) for s in seeds(seed, "M4", runs)])
    if expected * runs < 50:
        # Few runs are not fixed yet: no variance below that of so rare a success.
        error = max(error, math.sqrt(expected * (1 - 1 / min(K, M)) / runs))
    yield Check("E[1 - sum x^2]", expected, mean, error)


# --------------------------------------------------------------------------- M6: performative shift


@row("M6", "Repeated risk minimisation", "performative prediction, location family (Perdomo et al. 2020)")
def performative(
    seed: int,
    mu0: float = parameter(0.4, "mean of the data without a model's influence", -5, 5),
    e: float = parameter(0.6, "influence of the model on its data", 0, 0.98),
    e_above: float = parameter(1.3, "influence at which it diverges", 1.01, 5),
    n: int = parameter(8, "retrainings at that influence", 2, 60),
    M: int = parameter(400, "records of a generation", 10, 10_000),
    runs: int = parameter(150, RUNS, 10, 10**5, fast=40),
) -> Iterator[Check]:
    """Mean that repeated fits settle on when data follow the model, and its growth where they do not settle."""
    pi = 0.5

    def fits(influence: float, ticks: int, label: str) -> tuple[float, float]:
        # A share pi of the records says g times the model's mean: e = pi g; the rest has mean mu0 / (1 - pi).
        coupling = {"pseudo_share": pi, "pseudo_gain": influence / pi}
        p = learning_community(**grouped(curators={"count": M}, coupling=coupling, commons={"forgetting": ALL_GO}))
        space = flat_space(p, 0.0, mu0 / (1 - pi))
        return mean_error(generations(p, seeds(seed, label, runs), ticks, space)[:, -1, 0])

    start = mu0 / (1 - pi)
    settled = 12 if e == 0 else max(2, math.ceil(math.log(1e-4) / math.log(e)))
    limit = mu0 / (1 - e)
    grown = mu0 * (1 - e_above**n) / (1 - e_above) + e_above**n * start
    refuse(
        abs(grown) > 1e30, f"M6: {n} retrainings at e_above = {e_above:g} leave the range of labels; lower one of them"
    )
    yield Check("fixed point mu0 / (1 - e)", limit, *fits(e, settled + 1, "M6"), abs(start - limit) * e**settled + 1e-6)
    name, diverged = f"e = {e_above:g}: mean after {n} retrainings", fits(e_above, n + 1, "M6 above")
    yield Check(name, grown, *diverged, 1e-5 * abs(grown), note=f"diverges: from {start:g}")


# --------------------------------------------------------------------------- M5: the optimiser's curse


def expected_maximum(K: int) -> float:
    """Mean of the largest of K standard normal numbers; K = 10: 1.53875."""

    def integrand(x: float) -> float:
        return float(x * K * math.exp(-x * x / 2) / math.sqrt(2 * math.pi) * ndtr(x) ** (K - 1))

    return float(quad(integrand, -12, 12, limit=400)[0])


@row("M5", "Best of K candidates", "optimiser's curse (Smith and Winkler 2006); order statistics")
def best_of_candidates(
    seed: int,
    K: int = parameter(10, "candidates", 1, 200),
    sigma: float = parameter(0.8, "sd of the estimate's error", 0.05, 5),
    tau: float = parameter(1.0, "sd of the property", 0.1, 3),
    materials: int = parameter(500_000, "materials", 20_000, 2_000_000, fast=200_000),
    experiments: int = parameter(5_000, "experiments; fewer where candidates would repeat", 500, 10**7, fast=2_000),
    labels: int = parameter(4_000, "labels that the shrinking learner sees", 200, 100_000, fast=2_000),
) -> list[Check]:
    """Prediction minus truth of the chosen candidate, with and without shrinkage."""
    rng = generator(seed, "M5")
    y = tau * rng.standard_normal(materials)
    estimate = y + sigma * rng.standard_normal(materials)
    unshrunk = sigma**2 / math.hypot(tau, sigma) * expected_maximum(K)
    # Few of all materials are ever candidates, so that experiments are independent.
    rounds = max(2, min(experiments, materials // (10 * K)) // LABS)
    common = grouped(
        space={"materials": materials},
        curators={"count": 0},
        trainers={"retrain_interval": 10_000, "features": 64, "records": 100_000},
        planners={"count": LABS, "experiments": 1.0, "acquisition": "greedy", "candidates": K, "steering_gain": 0.0},
        stocks={"attention": 1e6, "attention_cap": 1e7},
        modalities={"measured_noise": 0.1},
        coupling={"uncertainty_dal_ral": 1.0},
    )

    def disappointment(name: str, changes: dict[str, Any]) -> tuple[float, float]:
        p = learning_community(**(common | changes))
        space = flat_space(p, y, estimate)
        columns = np.zeros_like(space.descriptors)
        columns[:, 0] = estimate
        space = replace(space, descriptors=columns, difficulty=np.ones(materials, np.float32))
        eco = begin(RunSpec(p, seeds(seed, f"M5 {name}", 1)[0], space=space), record=())
        gaps = []
        for _ in range(rounds):
            eco.step()
            if (r := eco.world.results) is not None:
                gaps.append(r.predicted - space.property[r.material])
        return mean_error(np.concatenate(gaps).astype(np.float64))

    plain = {"trainers.head": "mean", "trainers.physical_prior": True, "founding.records": 20}
    shrunk = {"trainers.head": "bayesian", "trainers.labels": "measured", "founding.records": labels}
    shrunk["curators.modality_mix"] = (0.0, 0.0, 1.0, 0.0, 0.0, 0.0)
    return [
        Check("disappointment without shrinkage", unshrunk, *disappointment("without shrinkage", plain)),
        Check(
            "disappointment with posterior means",
            0.0,
            *disappointment("with posterior means", shrunk),
            0.03 * unshrunk + 0.002 * tau,
            note="tolerance: what a head fitted to some labels misses of the exact posterior mean (3 % of the former)",
        ),
    ]


# --------------------------------------------------------------------------- M8: the learner


@row("M8", "The learner is exact", "Gaussian posterior (Rasmussen and Williams 2006, chapter 2)")
def exact_learner(
    seed: int,
    n: int = parameter(300, "labels", 5, 5_000),
    p: int = parameter(96, "random features", 4, 1_000),
    d: int = parameter(8, "descriptors", 1, 100),
    r: int = parameter(12, "labels of the low-rank update", 1, 200),
    extra: int = parameter(400, "extra records tried one by one", 5, 5_000, fast=120),
    records: int = parameter(4_000, "records before the extra one", 100, 100_000),
) -> Iterator[Check]:
    """Posterior against a dense float64 solution; update against refit; one extra record."""
    rng = generator(seed, "M8")
    x = rng.standard_normal((n + r + 200, d)).astype(np.float32)
    omega, phase = frequencies(Streams(seed), 0, d, p)
    phi = features(x, (omega / (2 * math.sqrt(d))).astype(np.float32), phase)
    y = np.sin(x[:, 0].astype(np.float64)) + 0.3 * x[:, -1] + 0.1 * rng.standard_normal(len(x))
    noise = 0.01 * (1 + rng.random(len(x)))
    head, updated = (fit_head(phi[:n], y[:n], noise[:n]) for _ in range(2))
    more, test = slice(n, n + r), phi[n + r :]
    residual = y[more] - updated.predict(phi[more])[0].astype(np.float64)
    updated.update(phi[more], residual, noise[more] + updated.noise, 1.0)
    # float32 keeps seven digits of the labels.
    tolerance = 1e-5 * max(1.0, float(np.abs(y).max()))
    names = (("posterior mean", "posterior variance"), ("updated mean", "updated variance"))
    ends = ", largest difference", " against refit"
    for model, size, kinds, end in zip((head, updated), (n, n + r), names, ends, strict=True):
        mean, variance = model.predict(test)
        exact = dense_posterior(phi[:size], y[:size] - head.offset, head.noise + noise[:size], head.prior, test)
        for kind, one, other in zip(kinds, (mean - head.offset, variance - head.noise), exact, strict=True):
            yield Check(f"{kind}{end}", 0.0, float(np.abs(one - other).max()), tolerance=tolerance)
    yield one_extra_record(seed, extra, records)


def dense_posterior(phi: NDArray[Any], y: Float, noise: Float, prior: float, test: NDArray[Any]) -> tuple[Float, Float]:
    """Posterior mean and variance by the dual (Gaussian process) form in float64 (n,), (n,)."""
    rows, at = phi.astype(np.float64), test.astype(np.float64)
    kernel = rows @ rows.T / prior + np.diag(noise)
    cross = at @ rows.T / prior
    solved = np.linalg.solve(kernel, np.concatenate([y[:, None], cross.T], axis=1))
    return cross @ solved[:, 0], (at * at).sum(axis=1) / prior - (cross * solved[:, 1:].T).sum(axis=1)


def _predictions(spec: RunSpec, family: int | None) -> Float:
    """Return the model's predictions on its panel after a tick, with a record more of a family if one is named."""
    eco = begin(spec, record=())
    if family is not None:
        deposit(eco, family, 1)
    eco.step()
    model = eco.world.registry.models[0]
    if model is None:
        raise RuntimeError("the trainer has published no model")
    return np.asarray(model.panel_mean.ravel(), np.float64)


def one_extra_record(seed: int, extra: int, records: int) -> Check:
    """Check how far a retrained model's predictions on the panel move when the commons held one more record."""
    changes = grouped(
        curators={"count": 0},
        planners={"count": 0},
        trainers={"count": 1, "objective": "masked", "records": 2 * records},
        founding={"records": records},
        infrastructure={"openness": 1.0},
    )
    p = Parameters.preset("single-default").updated(changes)
    space = MaterialsSpace.synthetic(p, seed=seed)

    specs = enumerate(RunSpec(p, s, space=space) for s in seeds(seed, "M8 extra", extra))
    moved = [np.abs(_predictions(s, k % space.families) - _predictions(s, None)).mean() for k, s in specs]
    mean, error = mean_error(moved)
    note = f"mean absolute shift over the panel, {records} records before; largest of {extra}: {max(moved):.4f}"
    return Check("one extra record moves predictions by less than 0.01 sd", 0.01, mean, error, relation="<", note=note)


class Rates(NamedTuple):
    """Rates of the bias loop, by the names of row M7."""

    lambda_P: float
    q: float
    lambda_S: float
    delta: float
    kappa: float
    chi: float
    scale: float

    @property
    def rho(self) -> float:
        """Share of published experiments among new records."""
        return self.lambda_P * self.q / (self.lambda_P * self.q + self.lambda_S)


@row("M7", "Bias loop with audits", "L = (1-rho) pi g chi h, b* = (1-rho)(1-pi) b_s h / (1-L) (our operationalisation)")
def bias_loop(
    seed: int,
    lambda_P: float = parameter(1.0, "experiments a tick", 0, 20),
    q: float = parameter(0.6, "share of them that is published", 0.01, 1),
    lambda_S: float = parameter(0.8, "simulated labels a tick", 0.05, 20),
    delta: float = parameter(0.05, "chance that a record goes in a tick", 0.005, 0.4),
    kappa: float = parameter(0.1, "chance that a record is audited in a tick", 0, 1),
    b_s: float = parameter(0.4, "bias of simulated labels", -3, 3),
    pi: float = parameter(0.5, "share of simulated labels that a model generates", 0.01, 0.99),
    g: float = parameter(2.4, "their gain", 0, 10),
    chi: float = parameter(0.9, "share of the records' bias that a model learns", 0.05, 1),
    L_below: float = parameter(0.8, "loop gain at which bias growth must be negative", 0.05, 0.97),
    L_above: float = parameter(1.25, "and one at which it must be positive", 1.03, 3),
    scale: float = parameter(200.0, "size of the community: events per unit of the rates", 5, 10**4, fast=50.0),
    ticks: int = parameter(200, "ticks of the time average", 20, 10**5, fast=80),
    runs: int = parameter(12, RUNS, 4, 10**4, fast=5),
) -> Iterator[Check]:
    """Corpus bias in the steady state, and the sign of its growth on either side of L = 1."""
    rates = Rates(lambda_P, q, lambda_S, delta, kappa, chi, scale)
    rho, h = rates.rho, bias_share(delta, kappa)
    L = loop_gain(rho, pi, g, chi, h)
    refuse(L >= 0.97, f"M7: L = {L:.4g}: must be below 0.97 for a steady state; lower g, pi or chi")
    # The slowest of renewal and of the loop's own approach, five times.
    settle = math.ceil(5 / (delta * min(1.0, (1 - L) * (delta + kappa) / delta / (1 + kappa))))
    paths = bias_paths(seeds(seed, "M7", runs), settle + ticks, rates, b_s, pi, g)
    bias, mean = (path[:, settle:].mean(axis=1) for path in paths)
    note = f"L = {L:.6f}, h = {h:.6f}, rho = {rho:.6f}"
    yield Check("steady bias b*", steady_bias(rho, pi, b_s, h, L), *mean_error(bias), note=note)
    if b_s:
        yield Check("chi, measured", chi, *mean_error(mean / bias), note="model's mean bias over the records'")
    biased = b_s or 0.4
    for gain, relation in ((L_below, "<"), (L_above, ">")):
        # The gain of pseudo-labels ends at 10; a larger share of them makes up for it.
        share = min(0.99, max(pi, gain / loop_gain(rho, 1.0, 9.5, chi, h)))
        needed = gain / loop_gain(rho, share, 1.0, chi, h)
        if needed > 10:
            continue
        expected = math.log(((1 - delta) + delta * (1 - rho) * share * needed * chi) / (1 + kappa))
        fixed = (1 - rho) * (1 - share) * biased * h / (1 - gain)
        run_seeds = seeds(seed, f"M7 {relation}", runs)
        rate, error = growth_rate(run_seeds, expected, fixed, rates, biased, share, needed)
        name = f"bias growth per tick at L = {gain:g}"
        note = f"multiplier of the loop's linear map; pi = {share:.3g}, g = {needed:.3g}"
        yield Check(name, expected, rate, error, 0.02 * abs(expected), note=note)
        yield Check(f"{name}: sign", 0.0, rate, error, relation="<" if relation == "<" else ">")


def bias_paths(
    run_seeds: Sequence[int], ticks: int, rates: Rates, b_s: float, pi: float, g: float, founded: float | None = None
) -> tuple[Float, Float]:
    """Return the mean bias of the records, and of the model, after each tick of some runs (R, T), (R, T).

    One curator has the whole budget: many with equal ones would acquire in the same ticks. The community starts with
    the steady numbers of records open to audit and of others. The chances become budgets: audits are those that keep
    the chance kappa in the steady state, where ``lambda_S / (delta + kappa)`` records are open to audit. What a model
    does not learn of the bias is harmonised away, the records that planners enter after its training counted in.
    `founded` is the records' mean bias at founding (default: that of simulations).
    """
    lambda_P, q, lambda_S, delta, kappa, chi, scale = rates
    simulated = lambda_S * scale
    open_records = simulated / (delta + kappa)
    audits = kappa * open_records
    budget = math.ceil(simulated + audits)
    volume = (lambda_P * q + lambda_S) / delta * scale
    auditing = {"curators.records": round(simulated), "curators.audit_rate": 0.0, "curators.measured_cost": 1.0}
    if audits:
        cost = max(1.0, (budget - simulated) / audits)
        auditing = grouped(
            curators={"records": budget, "audit_rate": (budget - simulated) / budget, "measured_cost": cost}
        )
    changes = grouped(
        space={"materials": 300},
        founding={"records": round(open_records), "mass": 1.0},
        curators={"count": 1},
        modalities={"measured_noise": 0.05},
        trainers={"harmonisation": 1.0 - chi * (1.0 - delta * rates.rho)},
        commons={"forgetting": -math.log1p(-delta)},
        coupling={"pseudo_share": pi, "pseudo_gain": g},
        planners={"count": round(lambda_P * scale), "experiments": 1.0, "steering_gain": 0.0},
    )
    publishing = {"planners.publication_bias": 1.0 - q, "planners.publication_threshold": 5.0}
    p = learning_community(**changes, **auditing, **publishing)
    spread = 0.01 * np.random.Generator(np.random.Philox(7)).standard_normal(300)
    space = flat_space(p, spread - spread.mean(), spread - spread.mean() + b_s)
    bias, mean = np.empty((2, len(run_seeds), ticks))
    for r, s in enumerate(run_seeds):
        eco = begin(RunSpec(p, s, space=space), record=())
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
    return bias, mean


def _rate(mean: Float, window: int) -> float:
    """Return the rate of growth between the first and the last of three windows; NaN where the sign turns."""
    ratio = mean[2] / mean[0]
    return math.log(ratio) / (2 * window) if ratio > 0 else math.nan


def growth_rate(
    run_seeds: Sequence[int], expected: float, fixed: float, rates: Rates, b_s: float, pi: float, g: float
) -> tuple[float, float]:
    """Return the rate at which the bias moves away from its fixed point (or towards it), and its jackknife error.

    From the means over two windows half an e-fold long and as far apart.
    """
    window = max(8, math.ceil(0.5 / abs(expected)))
    start = 5  # until the first models have spoken
    # Far from the fixed point, so that chance is small against the distance.
    founded = fixed + 3 * max(abs(fixed), abs(b_s))
    bias, _ = bias_paths(run_seeds, start + 3 * window, rates, b_s, pi, g, founded)
    distance = bias[:, start:].reshape(len(bias), 3, window).mean(axis=2) - fixed

    total, n = distance.sum(axis=0), len(distance)
    left_out = np.array([_rate((total - v) / (n - 1), window) for v in distance])
    return _rate(total / n, window), float(math.sqrt((n - 1) * left_out.var()))


# --------------------------------------------------------------------------- M9: directions under noise


@row("M9", "Directions learned under noise", SPIKED)
def spiked_directions(
    seed: int,
    d: int = parameter(60, "observed columns of the smallest corpus", 20, 500),
    c: float = parameter(0.5, "columns over materials", 0, 4, above=True),
    spikes: tuple[float, ...] = parameter((12.0, 6.0, 3.0), "variances of the signal", 0, 1_000, above=True),
    runs: int = parameter(200, RUNS, 20, 10**5, fast=60),
    worlds: int = parameter(24, "communities in which structures stand beside records", 6, 1_000, fast=8),
) -> Iterator[Check]:
    """Overlap of learned with true directions, and weights, extrapolated from d, 2 d and 4 d columns.

    All columns are shown alike, the noise is the same in every observation, and spikes are apart from each other.
    To an encoder a material without a label is worth as much as one with a label.
    """
    l, least = np.array(sorted(spikes, reverse=True)), 2 * math.sqrt(c)
    refuse(l[-1] < least, f"M9: spikes must be at least 2 sqrt(c) = {least:g}; nearer to sqrt(c) sizes count")
    widths = (d, 2 * d, 4 * d)
    found = np.array([[learned_spikes(seed, w, round(w / c), l, run) for run in range(runs)] for w in widths])
    # Finite sizes add a term in 1 / d and one in 1 / d^2.
    at = np.linalg.inv(np.vander(1.0 / np.array(widths), increasing=True))[0]
    mean, error = found.mean(axis=1), found.std(axis=1, ddof=1) / math.sqrt(runs)
    limit, spread = np.tensordot(at, mean, 1), np.sqrt(np.tensordot(at**2, error**2, 1))
    overlap = (1 - c / l**2) / (1 + c / l)
    weight = l * overlap / (1 + l * overlap)
    for j, spike_j in enumerate(l):
        for q, name, wanted in ((0, "squared cosine", overlap[j]), (1, "weight over the first", weight[j] / weight[0])):
            sizes = ", ".join(f"{value:.4f} at {w} columns" for w, value in zip(widths, mean[:, q, j], strict=True))
            if q == 0 or j > 0:
                yield Check(f"{name}, l = {spike_j:g}", float(wanted), limit[q, j], spread[q, j], note=sizes)

    half, full, unlabelled = np.array([learned_shares(seed, world) for world in range(worlds)]).T
    note = f"share of the signal in three directions: {full.mean():.3f}, of half the materials {half.mean():.3f}"
    yield Check("structures in place of half of the records", 0.0, *mean_error(unlabelled - full), note=note)
    yield Check("structures beside records", 0.0, *mean_error(unlabelled - half), relation=">")


def learned_shares(seed: int, world: int) -> Float:
    """Share of the signal's directions learned from 150 records, from 300, and from 150 and 150 structures (3,)."""
    space = MaterialsSpace.synthetic(UNLABELLED, seed=seed + 1_000 * world)

    def share(records: int, structures: int) -> float:
        founded = UNLABELLED.updated({"founding.records": records, "founding.structures": structures})
        w = begin(RunSpec(founded, seed + 1_000 * world, space=space), record=()).world
        encoder = encode(w, encoder_corpus(w, 0, np.arange(records)), "masked", 3, 1.0)
        # The signal stands in the first columns.
        return float((encoder.directions[: space.block_width] ** 2).sum() / 3)

    return np.array([share(150, 0), share(300, 0), share(150, 150)])


def learned_spikes(seed: int, d: int, materials: int, spikes: Float, run: int) -> Float:
    """Squared cosines, and weights over the first one, of an encoder of an observed corpus (2, k)."""
    k, every = len(spikes), np.arange(materials)
    world = Observation(d, 1.0, 0.0, 0.0, Streams(seed), every.astype(np.uint64) + np.uint64((1_000 * d + run) << 20))
    x = world.noise(every)
    x[:, :k] += (generator(seed, f"M9 {d} {run}").standard_normal((materials, k)) * np.sqrt(spikes)).astype(np.float32)
    encoder = train_encoder(x, np.ones_like(x), "masked", k, np.ones(d), distinct=materials)
    refuse(encoder.k < k, "M9: a direction was lost in the noise; raise d or the spikes")
    return np.array([np.diagonal(encoder.directions) ** 2, encoder.spread[0] / encoder.spread])


# --------------------------------------------------------------------------- injected faults

mutation("generated labels scatter half as much", FoundationModel.claimed_sd, "M1 M2 M3")(
    lambda right, self, variance: 0.5 * right(self, variance)
)
mutation("a fit forgets that it estimated the mean", fit_head, "M3 M8")(
    lambda right, phi, y, v, **o: replace(h := right(phi, y, v, **o), noise=h.noise * (1 - 1 / len(y)))
)
mutation("labels after the first tick count half", Commons.append, "M1 M2 M3 M6 M7 K1")(
    lambda right, self, **v: right(self, **{**v, "value": np.where(v["tick"] > 0, v["value"] * 0.5, v["value"])})
)
mutation("pseudo-labels without their gain", pseudo_label, "M6 M7 K1")(lambda right, y, m, g: right(y, m, min(g, 1.0)))
mutation("grace of one tick more", decay, "M4")(
    lambda right, self, rate, tick, grace=0: right(self, rate, tick, grace + (grace > 0))
)
mutation("attention for one candidate", affordable, "M5 M10")(
    lambda _, _w, planner, _C: np.ones(len(planner), np.int64)
)
mutation("an update counts every label twice", low_rank, "M8 G2")(lambda right, c, x, r, v, s: right(c, x, r, v / 2, s))
mutation("posterior variance a tenth too large", quadratic, "M8")(lambda right, *a: 1.1 * right(*a))
mutation("audits leave the value as it is", Commons.rewrite, "M7")(
    lambda right, self, rows, value, variance, **f: right(self, rows, self.value[rows] if f else value, variance, **f)
)
mutation("audits mend what renewal renews", bias_share, "M7")(lambda right, d, k: right(d, k + d))
mutation("directions count as if the corpus had no end", spike, "M9")(lambda right, ratio, c: right(ratio, c / 4))
mutation("structures are seen as micrographs", sightings, "M9")(
    lambda right, world, corpus: (*(seen := right(world, corpus))[:2], np.where(seen[0] >> 60 >= 3, 3, seen[2]))
)
mutation("structures are out of reach", Structures.reachable, "M9")(lambda right, *a: right(*a)[:0])
mutation("noise of materials a fifth too large", Observation.noise, "M9")(lambda right, *a: np.float32(1.2) * right(*a))
