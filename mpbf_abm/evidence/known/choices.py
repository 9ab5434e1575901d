"""Generated candidates, and choices that learn most (rows G1 and G2)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from mpbf_abm.arrays import Float, Float32
from mpbf_abm.evidence.known.feedback import expected_maximum
from mpbf_abm.evidence.known.rows import Check, generator, mean_error, mutation, parameter, row
from mpbf_abm.learning.gaussian import GaussianProcess, fit_gaussian, solve_lower
from mpbf_abm.learning.generation import Mixture, fit_mixture, maximised, tilted
from mpbf_abm.learning.heads import Head, expected_fall, fit_head
from mpbf_abm.learning.kernels import Kernel, matern
from mpbf_abm.learning.linalg import features
from mpbf_abm.learning.models import frequencies
from mpbf_abm.streams import Streams

TILTED = "exponential tilting of a Gaussian; importance resampling to first order in 1/P (Rubin 1987; Liu 2001)"
ROUNDING = 1e-10  # relative; what is compared are sums of squares in double precision


# --------------------------------------------------------------------------- G1: what is generated


@row("G1", "Draws without a tilt are the corpus, and with one its exponential family", TILTED)
def generated(
    seed: int,
    n: int = parameter(400, "points of the corpus", 20, 10**5),
    k: int = parameter(5, "dimensions", 1, 50),
    M: int = parameter(3, "components of the mixture, of a corpus that has two", 2, 20),
    beta: float = parameter(0.5, "tilt", 0, 1),
    P: int = parameter(64, "proposals of which one is chosen", 16, 4096),
    runs: int = parameter(40_000, "draws", 1_000, 10**6, fast=10_000),
) -> Iterator[Check]:
    """Moments of a fitted mixture; distance of its draws to the corpus; means of tilted draws of a standard normal.

    The one chosen of P proposals has the mean beta - beta exp(beta^2) / P, up to terms in 1 / P^2. A large tilt chooses
    the largest.
    """
    rng = generator(seed, "G1")
    parts = [rng.normal(3 * rng.standard_normal(k), rng.uniform(0.2, 1.0, k), (n, k)) for _ in range(2)]
    corpus, others = (np.where(rng.random((n, 1)) < 0.4, *parts) for _ in range(2))
    mixture = fit_mixture(corpus, rng.random(M))
    mean = mixture.shares @ mixture.means
    gap, scale = mixture.means - mean, np.sqrt(np.trace(np.cov(corpus.T, bias=True)) if k > 1 else corpus.var())
    within = np.tensordot(mixture.shares, mixture.roots @ np.swapaxes(mixture.roots, 1, 2), 1)
    covariance = within + (mixture.shares[:, None] * gap).T @ gap
    yield Check("gap of the means, in spreads", 0, float(np.abs(mean - corpus.mean(axis=0)).max() / scale), 0, 1e-9)
    wrong = float(np.abs(covariance - np.cov(corpus.T, bias=True).reshape(k, k)).max() / scale**2)
    yield Check("gap of the covariances, in spreads squared", 0, wrong, 0, 1e-5, note="the ridge adds 1e-6")
    draws = [mixture.draw(rng.random(n), rng.standard_normal((n, k))) for _ in range(20)]
    apart = energies(others, draws) - energies(others, [corpus])
    fresh = mean_error(apart)
    yield Check(
        "energy distance of draws to other points of the corpus' law, less that of the corpus",
        0,
        *fresh,
        0.02 * float(scale),
        note="in latent units; EM ends in one optimum of several, and few points do not settle a law",
    )
    z = rng.standard_normal((runs, P))
    for name, tilt, wanted, allowed in (
        (
            f"mean of draws tilted by {beta:g}",
            beta,
            beta - beta * math.exp(beta**2) / P,
            2 * beta * math.exp(4 * beta**2) / P**2,
        ),
        ("mean of draws tilted without end", 1e9, expected_maximum(P), 1e-6),
    ):
        chosen = z[np.arange(runs), tilted(z, tilt, rng.random(z.shape))]
        yield Check(name, wanted, *mean_error(chosen), allowed)


def energies(others: Float, samples: list[Float]) -> Float:
    """Return twice the mean distance of each sample to some points, less that within the sample."""

    def far(a: Float, b: Float) -> float:
        return float(np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=2)).mean())

    return np.array([2 * far(others, sample) - far(sample, sample) for sample in samples])


# --------------------------------------------------------------------------- G2: what a result teaches


@row(
    "G2",
    "The expected fall of the variance over a panel is the fall",
    "Cohn et al. 1996; exact for Gaussian posteriors",
)
def falls(
    seed: int,
    n: int = parameter(60, "labels", 1, 2_000),
    p: int = parameter(48, "features", 1, 500),
    m: int = parameter(80, "materials of the panel", 1, 5_000),
    tried: int = parameter(30, "candidates, each made once", 2, 1_000),
) -> Iterator[Check]:
    """Expected falls of a head and of a Gaussian process against those after a full correction by one result."""
    rng = generator(seed, "G2")
    omega, phase = frequencies(Streams(seed), 0, 4, p)
    x = rng.standard_normal((n + m + tried, 4)).astype(np.float32)
    y, variance = np.sin(x[:n, 0]) + 0.3 * rng.standard_normal(n), rng.uniform(0.01, 0.2, n)
    noise = rng.uniform(0.01, 0.5, tried)
    phi = features(x, (omega / 2).astype(np.float32), phase)
    head = fit_head(phi[:n], y, variance)
    process = fit_gaussian(x[:n], y, variance)
    process.kernel = Kernel(noise=0.05, amplitude=1.0)
    process.refresh()
    learners: tuple[tuple[str, Any, Float32], ...] = ("head", head, phi), ("Gaussian process", process, x)
    for name, learner, rows in learners:
        panel, candidates = rows[n : n + m], rows[n + m :]
        expected = expected_fall(learner.reach(candidates, learner.over(panel)), noise + learner.noise)
        made = [fall_of(learner, panel, candidates[i : i + 1], noise[i : i + 1]) for i in range(tried)]
        wrong = float(np.abs(expected / np.array(made) - 1).max())
        yield Check(f"{name}: largest relative gap of a fall", 0, wrong, 0, ROUNDING)
        best = int(np.argmax(made)) != int(np.argmax(expected))
        yield Check(f"{name}: another candidate teaches more", 0, float(best))


def fall_of(learner: Head | GaussianProcess, panel: Float32, candidate: Float32, variance: Float) -> float:
    """Return how far the panel's mean variance falls by one result at a candidate, by a full correction."""
    after = replace(learner)
    after.update(candidate, np.array([0.3]), variance + learner.noise, 1.0)
    return mean_variance(learner, panel) - mean_variance(after, panel)


def mean_variance(learner: Head | GaussianProcess, panel: Float32) -> float:
    """Return the mean variance over a panel in double precision, misfit left out."""
    rows = panel.astype(np.float64)
    if isinstance(learner, Head):
        return float(np.einsum("np,pq,nq->n", rows, learner.covariance, rows).mean())
    v = solve_lower(learner.factor, matern(learner.points, rows))
    return learner.scale**2 * float((1.0 - (v * v).sum(axis=0)).mean())


# --------------------------------------------------------------------------- injected faults

mutation("components of a mixture a tenth too wide", maximised, "G1")(
    lambda right, *a: replace(m := right(*a), roots=1.1 * m.roots)
)
mutation("a tilt counts half", tilted, "G1")(lambda right, values, tilt, u: right(values, tilt / 2, u))
mutation("a draw forgets the shares of components", Mixture.draw, "G1")(
    lambda right, self, *a: right(replace(self, shares=np.ones_like(self.shares) / len(self.shares)), *a)
)
mutation("half the noise of a result is forgotten", expected_fall, "G2")(
    lambda right, reach, variance: right(reach, 0.5 * variance)
)
