"""The learner: best of some candidates, exact posteriors, one extra record (rows M5 and M8)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import ndtr

from mpbf_abm.evidence.known.communities import flat_space, learning_community
from mpbf_abm.evidence.known.mutations import mutation
from mpbf_abm.evidence.known.rows import Check, Knob, generator, mean_error, row, seeds
from mpbf_abm.learning.heads import fit_head, low_rank
from mpbf_abm.learning.linalg import features, quadratic
from mpbf_abm.learning.models import frequencies
from mpbf_abm.measures.path import deposit
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.planners import affordable
from mpbf_abm.model.run import begin
from mpbf_abm.model.spec import RunSpec
from mpbf_abm.parameters import Parameters
from mpbf_abm.streams import Streams

Float = NDArray[np.float64]


# --------------------------------------------------------------------------- M5: the optimiser's curse


def expected_maximum(K: int) -> float:
    """Mean of the largest of K standard normal numbers; K = 10: 1.53875."""

    def integrand(x: float) -> float:
        return float(x * K * math.exp(-x * x / 2) / math.sqrt(2 * math.pi) * ndtr(x) ** (K - 1))

    return float(quad(integrand, -12, 12, limit=400)[0])


@row(
    "M5",
    "Best of K candidates",
    "optimiser's curse (Smith and Winkler 2006); order statistics",
    K=Knob(10, "candidates", 1, 200),
    sigma=Knob(0.8, "sd of the estimate's error", 0.05, 5),
    tau=Knob(1.0, "sd of the property", 0.1, 3),
    materials=Knob(500_000, "materials", 20_000, 2_000_000, fast=200_000),
    experiments=Knob(5_000, "experiments; fewer where candidates would repeat", 500, 10**7, fast=2_000),
    labels=Knob(4_000, "labels that the shrinking learner sees", 200, 100_000, fast=2_000),
)
def best_of_candidates(
    seed: int, K: int, sigma: float, tau: float, materials: int, experiments: int, labels: int
) -> list[Check]:
    """Prediction minus truth of the chosen candidate, with and without shrinkage."""
    rng = generator(seed, "M5")
    y = tau * rng.standard_normal(materials)
    estimate = y + sigma * rng.standard_normal(materials)
    unshrunk = sigma**2 / math.hypot(tau, sigma) * expected_maximum(K)
    labs = 250
    # Few of all materials are ever candidates, so that experiments are independent.
    rounds = max(2, min(experiments, materials // (10 * K)) // labs)
    out = []
    for name, changes in (
        ("without shrinkage", {"trainers.head": "mean", "trainers.physical_prior": True, "founding.records": 20}),
        (
            "with posterior means",
            {
                "trainers.head": "bayesian",
                "trainers.labels": "measured",
                "founding.records": labels,
                "curators.modality_mix": (0.0, 0.0, 1.0, 0.0, 0.0, 0.0),
            },
        ),
    ):
        p = learning_community(
            **{
                "space.materials": materials,
                "curators.count": 0,
                "trainers.retrain_interval": 10_000,
                "planners.count": labs,
                "planners.experiments": 1.0,
                "planners.acquisition": "greedy",
                "planners.candidates": K,
                "stocks.attention": 1e6,
                "stocks.attention_cap": 1e7,
                "modalities.measured_noise": 0.1,
                "trainers.features": 64,
                "trainers.records": 100_000,
                "planners.steering_gain": 0.0,
                "coupling.uncertainty_dal_ral": 1.0,
                **changes,
            }
        )
        space = flat_space(p, y, estimate)
        columns = np.zeros_like(space.descriptors)
        columns[:, 0] = estimate
        space = replace(space, descriptors=columns, difficulty=np.ones(materials, np.float32))
        eco = begin(RunSpec(p, seeds(seed, "M5 " + name, 1)[0], space=space), record=())
        gaps = []
        for _ in range(rounds):
            eco.step()
            r = eco.world.results
            if r is not None:
                gaps.append(r.predicted - space.property[r.material])
        measured = mean_error(np.concatenate(gaps).astype(np.float64))
        if name == "without shrinkage":
            out.append(Check(f"disappointment {name}", unshrunk, *measured))
        else:
            note = "tolerance: what a head fitted to some labels misses of the exact posterior mean (3 % of the former)"
            out.append(Check(f"disappointment {name}", 0.0, *measured, 0.03 * unshrunk + 0.002 * tau, note=note))
    return out


# --------------------------------------------------------------------------- M8: the learner


@row(
    "M8",
    "The learner is exact",
    "Gaussian posterior (Rasmussen and Williams 2006, chapter 2)",
    n=Knob(300, "labels", 5, 5_000),
    p=Knob(96, "random features", 4, 1_000),
    d=Knob(8, "descriptors", 1, 100),
    r=Knob(12, "labels of the low-rank update", 1, 200),
    extra=Knob(400, "extra records tried one by one", 5, 5_000, fast=120),
    records=Knob(4_000, "records before the extra one", 100, 100_000),
)
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
        Check(
            "posterior mean, largest difference",
            0.0,
            worst(mean - head.offset, exact_mean),
            tolerance=1e-5 * scale_of(y),
        ),
        Check(
            "posterior variance, largest difference",
            0.0,
            worst(variance - head.noise, exact_variance),
            tolerance=1e-5 * scale_of(y),
        ),
        Check(
            "updated mean against refit", 0.0, worst(after_mean - head.offset, refit_mean), tolerance=1e-5 * scale_of(y)
        ),
        Check(
            "updated variance against refit",
            0.0,
            worst(after_variance - head.noise, refit_variance),
            tolerance=1e-5 * scale_of(y),
        ),
        one_extra_record(seed, extra, records),
    ]


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
            "curators.count": 0,
            "planners.count": 0,
            "trainers.count": 1,
            "trainers.objective": "masked",
            "founding.records": records,
            "trainers.records": 2 * records,
            "infrastructure.openness": 1.0,
        }
    )
    space = MaterialsSpace.synthetic(p, seed=seed)

    def predictions(run_seed: int, family: int | None) -> Float:
        eco = begin(RunSpec(p, run_seed, space=space), record=())
        if family is not None:
            deposit(eco, family, 1)
        eco.step()
        model = eco.world.registry.models[0]
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

mutation(
    "attention for one candidate",
    affordable,
    lambda _: lambda _world, planner, _C: np.ones(len(planner), np.int64),
    "M5",
)
mutation(
    "an update counts every label twice",
    low_rank,
    lambda right: lambda c, phi, r, v, s: right(c, phi, r, v / 2, s),
    "M8",
)
mutation("posterior variance a tenth too large", quadratic, lambda right: lambda *a: 1.1 * right(*a), "M8")
