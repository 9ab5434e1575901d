"""The same work as others do it: one object for each agent, and campaigns with general libraries.

Peers that are not installed leave a row that says so.
"""

from __future__ import annotations

import importlib
import importlib.util
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.benchmarks.measuring import SEED, Row, row, timed
from analysis.benchmarks.model import agents, crowded, per_tick
from analysis.benchmarks.pools import KAPPA, RULES, SHARE, pools, unequal_pools
from mpbf_abm.measures.acceleration import by_chance, wanted
from mpbf_abm.model.campaign import run_campaign
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.stats.estimates import mean_estimate
from mpbf_abm.streams import Streams

Float = NDArray[np.float64]
Predict = Callable[[Float, Float, Float], tuple[Float, Float]]
FOUNDING = 5
MOST_SPENT = 150  # experiments, ours and theirs; a campaign that needs more counts as many
LEAST = 0.9  # lower end of the interval of AF@50 over that of a peer


def objects(docking: Path | None, factor: int = 17, ticks: int = 3) -> list[Row]:
    """Measure a tick against the docking implementation.

    It has the same rules and draws, and an object for each agent, record and node.

    Parameters
    ----------
    docking : Path, optional
        Its folder; without one nothing is measured.
    factor : int
        Of the number of agents.
    ticks : int
    """
    p = crowded(factor)
    count = agents(p)
    if docking is None:
        return [row(f"object per agent, {count} agents: needs --docking", float("nan"), "")]
    sys.path.insert(0, str(docking))
    try:
        community_of = importlib.import_module("naive").Community
    finally:
        sys.path.remove(str(docking))
    space = MaterialsSpace.synthetic(p, seed=SEED)
    community = community_of(p, space, Streams(SEED))
    community.step()
    theirs = timed(lambda: [community.step() for _ in range(ticks)]) / ticks
    ours = min(per_tick(p, space, ticks) for _ in range(3))
    return [
        row(f"tick, an object for each of {count} agents", 1e3 * theirs, "ms"),
        row(f"tick, {count} agents in columns", 1e3 * ours, "ms"),
        row("object per agent / columns", theirs / ours, "ratio", ">= 20", theirs / ours >= 20),
    ]


# --------------------------------------------------------------------------- campaigns


def sklearn_process(x: Float, y: Float, ahead: Float) -> tuple[Float, Float]:
    """Predict by scikit-learn: Matern-5/2 with a length for each column, signal, white noise; default bounds."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import Matern, WhiteKernel

    shape = Matern(np.ones(x.shape[1]), nu=2.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = GaussianProcessRegressor(1.0 * shape + WhiteKernel(), normalize_y=True).fit(x, y)
        mean, sd = model.predict(ahead, return_std=True)
    return mean, sd


def botorch_process(x: Float, y: Float, ahead: Float) -> tuple[Float, Float]:
    """Predict by BoTorch: ``SingleTaskGP`` with its defaults, fitted anew."""
    import torch
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskGP
    from botorch.models.transforms import Standardize
    from gpytorch.mlls import ExactMarginalLogLikelihood

    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = SingleTaskGP(torch.tensor(x), torch.tensor(y)[:, None], outcome_transform=Standardize(1))
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        with torch.no_grad():
            told = model.posterior(torch.tensor(ahead))
            return told.mean[:, 0].numpy(), told.variance[:, 0].sqrt().numpy()


PEERS: dict[str, tuple[str, Predict]] = {
    "scikit-learn": ("sklearn", sklearn_process),
    "BoTorch": ("botorch", botorch_process),
}


def campaigns(spaces: dict[str, MaterialsSpace], seeds: int, target: float = 20.0) -> list[Row]:
    """Campaigns until half of the top set is found, ours and each peer's, by the better of two rules, same starts."""
    rows, ours = [], {name: Made.of(space, seeds, _ours) for name, space in spaces.items()}
    for peer, (module, predict) in PEERS.items():
        if importlib.util.find_spec(module) is None:
            rows.append(row(f"campaigns with {peer}: not installed", float("nan"), ""))
            continue
        for name, space in spaces.items():
            theirs = Made.of(space, seeds, partial(_campaign, predict))
            rows += _against(peer, name, by_chance(space, SHARE), ours[name], theirs, target)
    return rows


@dataclass(frozen=True)
class Made:
    """Campaigns on a pool.

    Attributes
    ----------
    rule : str
        The better one.
    spent : float64 (seeds,)
        Experiments by that rule; the budget, if that did not suffice.
    cost : float
        Median CPU seconds of a campaign by any rule.
    missed : int
        Campaigns by that rule for which the budget did not suffice.
    """

    rule: str
    spent: Float
    cost: float
    missed: int

    @classmethod
    def of(cls, space: MaterialsSpace, seeds: int, play: Callable[[MaterialsSpace, str, int, int], float]) -> Made:
        """Play campaigns by every rule."""
        budget, cost = min(space.size, MOST_SPENT), []
        spent: dict[str, list[float]] = {rule: [] for rule in RULES}
        for rule in RULES:
            for seed in range(seeds):
                begun = time.process_time()
                spent[rule].append(play(space, rule, seed, budget))
                cost.append(time.process_time() - begun)
        counted = {rule: np.minimum(values, budget) for rule, values in spent.items()}
        best = min(RULES, key=lambda rule: float(counted[rule].mean()))
        return cls(best, counted[best], statistics.median(cost), int(np.isinf(spent[best]).sum()))


def _ours(space: MaterialsSpace, rule: str, seed: int, budget: int) -> float:
    enough = wanted(space, SHARE)
    return run_campaign(space, rule, seed, budget=budget, kappa=KAPPA, enough=enough).spent(enough)


def _campaign(predict: Predict, space: MaterialsSpace, rule: str, seed: int, budget: int) -> float:
    """Experiments that a peer spends until enough of the top set are found; infinite if the budget does not suffice."""
    x, y, enough = space.descriptors.astype(np.float64), space.property.astype(np.float64), wanted(space, SHARE)
    x = (x - x.min(axis=0)) / np.ptp(x, axis=0)
    made = run_campaign(space, "random", seed, budget=FOUNDING + 1).materials[:FOUNDING].tolist()
    open_ = np.ones(len(x), bool)
    open_[made] = False
    while space.top[made].sum() < enough:
        if len(made) >= budget:
            return float("inf")
        ahead = np.flatnonzero(open_)
        mean, sd = predict(x[made], y[made], x[ahead])
        made.append(int(ahead[np.argmax(mean + KAPPA * sd if rule == "ucb" else mean)]))
        open_[made[-1]] = False
    return float(len(made))


def _against(peer: str, name: str, chance: float, ours: Made, theirs: Made, target: float) -> list[Row]:
    mean, reference = float(ours.spent.mean()), float(theirs.spent.mean())
    ratio, cheaper = reference / mean, theirs.cost / ours.cost
    e = mean_estimate(theirs.spent - ratio * ours.spent)  # of a ratio of means, seed by seed
    low = ratio + e.low / mean
    detail: dict[str, Any] = {
        "low": low,
        "ours": chance / mean,
        "theirs": chance / reference,
        "rules": [ours.rule, theirs.rule],
        "missed": [ours.missed, theirs.missed],
        "seeds": len(ours.spent),
    }
    cost: dict[str, Any] = {"ours": ours.cost, "theirs": theirs.cost}
    return [
        row(
            f"AF@50 / {peer}, {name}", ratio, "ratio", "95 % above 0.9", low > LEAST, error=(ratio - low) / 2, **detail
        ),
        row(f"{peer} / ours, CPU, {name}", cheaper, "ratio", f">= {target:g}", cheaper >= target, **cost),
    ]


def real(data: Path, seeds: int) -> list[Row]:
    """Campaigns on every real pool."""
    return campaigns(pools(data), seeds)


def synthetic(size: int = 900, seeds: int = 20) -> list[Row]:
    """Campaigns on synthetic pools whose columns have known unequal lengths."""
    return campaigns(unequal_pools(size), seeds)
