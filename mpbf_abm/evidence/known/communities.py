"""Communities that verification rows run: urns, and single learners; and the exact law of two colours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from mpbf_abm.arrays import Float
from mpbf_abm.learning.heads import Head
from mpbf_abm.measures.path import run_to
from mpbf_abm.model.community import Community
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.parameters import Parameters

RUNS = "runs of the model"


def grouped(**groups: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters that are given by group as a flat ``{path: value}`` mapping."""
    return {f"{group}.{name}": value for group, values in groups.items() for name, value in values.items()}


# One small space of one family, and one trainer of one latent dimension that learns from masked records.
ONE_FAMILY = grouped(
    space={"families": 1, "quantum_dims": 4, "meso_dims": 1, "gauge_dims": 0, "spurious_dims": 0},
    trainers={"head": "mean", "objective": "masked", "latent_dims": 1, "reuse": 0.0, "panel": 1},
    planners={"neighbours": 0},
    stocks={"compute": 0.0},
    infrastructure={"repositories": 1},
)
LEARNING = ONE_FAMILY | grouped(
    space={"materials": 400, "feasible": 1.0},
    founding={"records": 0},
    curators={"records": 1},
    modalities={"simulated_noise": 0.0},
    trainers={"harmonisation": 0.0, "count": 1, "retrain_interval": 1, "records": 1_000_000},
    planners={"count": 0},
    coupling={"uncertainty_dal_ral": 0.0, "uncertainty_ral_isl": 0.0, "pseudo_anchor": "property"},
)


def urn(families: int, mass: float | Sequence[float] | Float = 1.0, batch: int = 1, **changes: Any) -> Parameters:
    """Null community of `batch` curators who enter one record each per tick, and no planners."""
    defaults = grouped(
        space={"materials": max(4, 2 * families), "families": families},
        founding={"records": 0, "mass": mass if isinstance(mass, (int, float)) else tuple(float(m) for m in mass)},
        curators={"count": batch, "records": 1, "exploration": 0.0},
        planners={"count": 0},
        infrastructure={"repositories": 1},
    )
    return Parameters.null(**(defaults | changes))


def reinforcing(g: float, eps: float) -> dict[str, Any]:
    """Attention of curators and planners alike."""
    return grouped(curators={"reinforcement": g, "exploration": eps}, planners={"reinforcement": g, "exploration": eps})


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


def learning_community(**changes: Any) -> Parameters:
    """Return a null community whose single trainer fits a mean to everything it can read, at every tick."""
    return Parameters.null(**{**LEARNING, **changes})


def flat_space(
    p: Parameters, property: float | Float = 0.0, simulated: float | Float = 0.0, seed: int = 0
) -> MaterialsSpace:
    """Return the space of a community with property and simulation as given (numbers, or one for each material)."""
    space = MaterialsSpace.synthetic(p, seed=seed)
    flat, simulation = (np.broadcast_to(v, space.size).astype(np.float32) for v in (property, simulated))
    return replace(space, property=flat, simulated=simulation)


def learned(eco: Community) -> tuple[float, float]:
    """Mean and noise variance of the only model."""
    model = eco.world.registry.models[0]
    if model is None or not isinstance(model.head, Head):
        raise RuntimeError("the trainer has published no linear model")
    return float(model.head.offset + model.head.mean[-1]), float(model.head.noise)


def generations(p: Parameters, run_seeds: Sequence[int], ticks: int, space: MaterialsSpace) -> Float:
    """Return the mean and noise variance that the trainer has learned after each tick (R, T, 2)."""
    return np.array([run_to(p, s, range(1, ticks + 1), space=space, observe=learned) for s in run_seeds])


def urn_moments(a: float, total: float, batch: int, ticks: int) -> tuple[float, float]:
    """Second and fourth central moment of the first family's share of a linear urn, for errors of sample variances."""
    rows = [1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 1, 1, 0, 0], [0, 1, 3, 1, 0], [0, 1, 7, 6, 1]
    stirling = np.array(rows, np.float64)
    # Raw moments of a binomial batch are polynomials in the share.
    drawn = stirling * np.array([math.prod(batch - i for i in range(j)) for j in range(5)], np.float64)
    raw = (a / total) ** np.arange(5.0)
    for n in total + batch * np.arange(ticks):
        terms = [
            [math.comb(k, i) * n ** (k - i) * drawn[i, j] * raw[k - i + j] for i in range(k + 1) for j in range(i + 1)]
            for k in range(5)
        ]
        raw = np.array([sum(row) / (n + batch) ** k for k, row in enumerate(terms)])
    x = raw[1]
    return float(raw[2] - x**2), float(raw[4] - 4 * x * raw[3] + 6 * x**2 * raw[2] - 3 * x**4)


def fold(gamma: float, families: int) -> float:
    """Largest exploration at which a winner, `r` times each other family, can hold its share."""

    def exploration(log_ratio: float) -> float:
        r = math.exp(log_ratio)
        share, drawn = r / (r + families - 1), r**gamma / (r**gamma + families - 1)
        return float((drawn - share) / (drawn - 1 / families))

    if families == 2:
        return 1 - 1 / gamma  # tanh z / tanh(gamma z) only grows with z: the fold is at equality
    grid = np.linspace(1e-3, 12.0, 2400)
    best = grid[1:-1][np.argmax([exploration(v) for v in grid[1:-1]])]
    found = minimize_scalar(
        lambda v: -exploration(v), bounds=(best - 0.005, best + 0.005), method="bounded", options={"xatol": 1e-9}
    )
    return max(1 - 1 / gamma, exploration(float(found.x)))


def known_fold(gamma: float, families: int) -> float:
    """The fold in closed form where there is one, ``K / (1 + sqrt(K - 1))^2`` at gamma = 2, and by search elsewhere."""
    return families / (1 + math.sqrt(families - 1)) ** 2 if gamma == 2 else fold(gamma, families)
