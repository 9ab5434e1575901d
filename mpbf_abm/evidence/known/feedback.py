"""Feedback between models and data: self-training, resampling, performative shift (rows M1 to M4 and M6)."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, polygamma

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.evidence.known.communities import RUNS, flat_space, generations, learning_community, urn
from mpbf_abm.evidence.known.mutations import mutation
from mpbf_abm.evidence.known.rows import Check, Knob, mean_error, row, seeds
from mpbf_abm.learning.heads import fit_head
from mpbf_abm.learning.models import FoundationModel
from mpbf_abm.model.commons import Commons
from mpbf_abm.model.coupling import pseudo_label
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.run import begin
from mpbf_abm.model.spec import RunSpec
from mpbf_abm.parameters import Parameters
from mpbf_abm.stats.concentration import hhi

Float = NDArray[np.float64]

ALL_GO = 50.0  # forgetting rate at which nothing is left


def self_training(M: int, fresh: float, *, accumulate: bool) -> Parameters:
    """Community in which M records a tick are drawn from the last model, a share `fresh` of them from the truth."""
    return learning_community(
        **{
            "curators.count": M,
            "coupling.pseudo_share": 1.0 - fresh,
            "coupling.pseudo_noise": 1.0,
            "commons.forgetting": 0.0 if accumulate else ALL_GO,
        }
    )


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


@row(
    "M1",
    "Self-training: replace against accumulate",
    "Gerstgrasser et al. 2024; Dohmatob et al. 2024",
    n=Knob(8, "generations, the first on true labels", 1, 200, fast=4),
    M=Knob(50, "labels of a generation", 5, 5_000),
    runs=Knob(1_500, RUNS, 30, 10**6, fast=80),
)
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
    "M2",
    "Self-training with a share of true labels",
    "recursion of the mean's error (Gerstgrasser et al. 2024; Bertrand et al. 2024)",
    lam=Knob(0.3, "share lambda of true labels", 0.01, 1),
    n=Knob(10, "generations", 1, 200, fast=5),
    M=Knob(50, "labels of a generation", 5, 5_000),
    runs=Knob(1_200, RUNS, 30, 10**6, fast=80),
)
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
    note = f"without end {limit:.5f}; tolerance: effects of order 1/M"
    return [
        Check("accumulate: v_n", v, *kept, (v - v * (1 - lam) / 2) * order, note="tolerance: effects of order 1/M"),
        Check(
            "replace: 1 / (lambda (2 - lambda)) less what is left to come",
            limit - distance,
            *renewed,
            (limit - distance) * order,
            note=note,
        ),
    ]


@row(
    "M3",
    "Gaussian refits",
    "log of a chi-squared mean (Shumailov et al. 2024; Alemohammad et al. 2024)",
    n=Knob(8, "refits", 1, 200, fast=5),
    M=Knob(20, "labels of a generation", 4, 5_000),
    runs=Knob(1_500, RUNS, 30, 10**6, fast=300),
)
def gaussian_refits(seed: int, n: int, M: int, runs: int) -> list[Check]:
    """Log and mean of the variance that is left after n refits to own draws."""
    per_refit = float(digamma((M - 1) / 2) + math.log(2 / (M - 1)))
    if 4 * math.sqrt(n * float(polygamma(1, (M - 1) / 2))) - n * per_refit > 5:
        raise ConfigurationError(
            f"M3: {n} refits to {M} labels leave less variance than the learner resolves; lower n or raise M"
        )
    p = self_training(M, 0.0, accumulate=False)
    labels = np.random.Generator(np.random.Philox(7)).standard_normal(p.space.materials)
    variance = generations(p, seeds(seed, "M3", runs), n + 1, flat_space(p, labels, labels))[:, :, 1]
    ratio = variance[:, -1] / variance[:, 0]
    # The prior on the constant leaves 1e-4 of variance and of a parameter at most.
    tolerance = n * 3e-4
    exact = math.sqrt(((1 + 2 / (M - 1)) ** n - 1) / runs)
    return [
        Check("E ln(s2_n / s2_0)", n * per_refit, *mean_error(np.log(ratio)), tolerance),
        Check(
            "E s2_n / s2_0",
            1.0,
            float(ratio.mean()),
            exact,
            tolerance,
            note="standard error from the exact variance; skewed, so the logs decide",
        ),
    ]


# --------------------------------------------------------------------------- M4: resampling


@row(
    "M4",
    "Resampling of families",
    "Wright-Fisher loss of heterozygosity",
    K=Knob(5, "families", 2, 200),
    a=Knob((), "initial masses; equal where none are given", 0, 1e6, True),
    M=Knob(40, "records of a generation", 2, 5_000),
    t=Knob(20, "generations", 1, 2_000),
    runs=Knob(1_500, RUNS, 30, 10**6, fast=300),
)
def resampling(seed: int, K: int, a: tuple[float, ...], M: int, t: int, runs: int) -> list[Check]:
    """Diversity 1 - sum x^2 when every generation is drawn from the one before."""
    start = np.array(a) if a else np.ones(K)
    if len(start) != K:
        raise ConfigurationError(f"M4.a has {len(start)} entries: must have K = {K}")
    p = urn(K, start.tolist(), M, **{"commons.forgetting": ALL_GO, "commons.grace": 1, "space.materials": 4 * K})
    space = MaterialsSpace.synthetic(p, seed=0)
    diversity = []
    for s in seeds(seed, "M4", runs):
        eco = begin(RunSpec(p, s, space=space), record=())
        for _ in range(t):
            eco.step()
        commons = eco.world.commons
        last = commons.family[commons.alive & (commons.tick == t - 1)]
        diversity.append(1 - hhi(np.bincount(last, minlength=K)))
    expected = (1 - hhi(start)) * (1 - 1 / M) ** t
    mean, error = mean_error(diversity)
    if expected * runs < 50:
        # Few runs are not fixed yet: no variance below that of so rare a success.
        error = max(error, math.sqrt(expected * (1 - 1 / min(K, M)) / runs))
    return [Check("E[1 - sum x^2]", expected, mean, error)]


# --------------------------------------------------------------------------- M6: performative shift


@row(
    "M6",
    "Repeated risk minimisation",
    "performative prediction, location family (Perdomo et al. 2020)",
    mu0=Knob(0.4, "mean of the data without a model's influence", -5, 5),
    e=Knob(0.6, "influence of the model on its data", 0, 0.98),
    e_above=Knob(1.3, "influence at which it diverges", 1.01, 5),
    n=Knob(8, "retrainings at that influence", 2, 60),
    M=Knob(400, "records of a generation", 10, 10_000),
    runs=Knob(150, RUNS, 10, 10**5, fast=40),
)
def performative(seed: int, mu0: float, e: float, e_above: float, n: int, M: int, runs: int) -> list[Check]:
    """Mean that repeated fits settle on when data follow the model, and its growth where they do not settle."""
    pi = 0.5

    def fits(influence: float, ticks: int, label: str) -> tuple[float, float]:
        # A share pi of the records says g times the model's mean: e = pi g; the rest has mean mu0 / (1 - pi).
        p = learning_community(
            **{
                "curators.count": M,
                "coupling.pseudo_share": pi,
                "coupling.pseudo_gain": influence / pi,
                "commons.forgetting": ALL_GO,
            }
        )
        space = flat_space(p, 0.0, mu0 / (1 - pi))
        return mean_error(generations(p, seeds(seed, label, runs), ticks, space)[:, -1, 0])

    start = mu0 / (1 - pi)
    settled = 12 if e == 0 else max(2, math.ceil(math.log(1e-4) / math.log(e)))
    limit = mu0 / (1 - e)
    grown = mu0 * (1 - e_above**n) / (1 - e_above) + e_above**n * start
    if abs(grown) > 1e30:
        raise ConfigurationError(
            f"M6: {n} retrainings at e_above = {e_above:g} leave the range of labels; lower one of them"
        )
    return [
        Check("fixed point mu0 / (1 - e)", limit, *fits(e, settled + 1, "M6"), abs(start - limit) * e**settled + 1e-6),
        Check(
            f"e = {e_above:g}: mean after {n} retrainings",
            grown,
            *fits(e_above, n + 1, "M6 above"),
            1e-5 * abs(grown),
            note=f"diverges: from {start:g}",
        ),
    ]


# --------------------------------------------------------------------------- wrong rules

mutation(
    "generated labels scatter half as much",
    FoundationModel.claimed_sd,
    lambda right: lambda self, variance: 0.5 * right(self, variance),
    "M1",
    "M2",
    "M3",
)
mutation(
    "a fit forgets that it estimated the mean",
    fit_head,
    lambda right: lambda phi, y, v, **o: replace(h := right(phi, y, v, **o), noise=h.noise * (1 - 1 / len(y))),
    "M3",
    "M8",
)
mutation(
    "labels after the first tick count half",
    Commons.append,
    lambda right: (
        lambda self, **v: right(self, **{**v, "value": np.where(v["tick"] > 0, v["value"] * 0.5, v["value"])})
    ),
    "M1",
    "M2",
    "M3",
    "M6",
    "M7",
    "K1",
)
mutation(
    "pseudo-labels without their gain",
    pseudo_label,
    lambda right: lambda y, mean, g: right(y, mean, min(g, 1.0)),
    "M6",
    "M7",
    "K1",
)
mutation(
    "grace of one tick more",
    Commons.decay,
    lambda right: lambda self, rate, tick, grace=0: right(self, rate, tick, grace + (grace > 0)),
    "M4",
)
