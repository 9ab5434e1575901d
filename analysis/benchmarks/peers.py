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
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.benchmarks.measuring import SEED, Row, row, timed
from analysis.benchmarks.model import agents, crowded, per_tick
from analysis.benchmarks.pools import KAPPA, MOST, SHARE, pools, synthetic_pool
from mpbf_abm.evidence.known.rows import mean_error
from mpbf_abm.measures.acceleration import by_chance, wanted
from mpbf_abm.model.campaign import run_campaign
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.streams import Streams

Float = NDArray[np.float64]
Choose = Callable[[Float, Float, Float], Float]


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


def sklearn_upper(x: Float, y: Float, ahead: Float) -> Float:
    """Upper bounds by scikit-learn: Matern-5/2 of one length, white noise, fitted anew, default bounds, no restarts."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import Matern, WhiteKernel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = GaussianProcessRegressor(1.0 * Matern(nu=2.5) + WhiteKernel(), normalize_y=True).fit(x, y)
        mean, sd = model.predict(ahead, return_std=True)
    return np.asarray(mean + KAPPA * sd)


def botorch_upper(x: Float, y: Float, ahead: Float) -> Float:
    """Upper bounds by BoTorch: ``SingleTaskGP`` with its defaults, fitted anew."""
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
            upper = told.mean[:, 0] + KAPPA * told.variance[:, 0].sqrt()
    return np.asarray(upper.numpy())


PEERS: dict[str, tuple[str, Choose]] = {
    "scikit-learn": ("sklearn", sklearn_upper),
    "BoTorch": ("botorch", botorch_upper),
}


def campaigns(spaces: dict[str, MaterialsSpace], seeds: int, target: float = 20.0) -> list[Row]:
    """Campaigns until half of the top set is found, by upper bounds, ours and each peer's, on the same starts."""
    rows = []
    for peer, (module, choose) in PEERS.items():
        if importlib.util.find_spec(module) is None:
            rows.append(row(f"campaigns with {peer}: not installed", float("nan"), ""))
            continue
        for name, space in spaces.items():
            rows += _against(peer, choose, name, space, seeds, target)
    return rows


def _against(peer: str, choose: Choose, name: str, space: MaterialsSpace, seeds: int, target: float) -> list[Row]:
    x, y, enough = space.descriptors.astype(np.float64), space.property.astype(np.float64), wanted(space, SHARE)
    x = (x - x.min(axis=0)) / np.ptp(x, axis=0)
    budget = min(space.size, MOST)
    spent, theirs, ours, cost = [], [], [], []
    for seed in range(seeds):
        made = run_campaign(space, "ucb", seed, budget=budget, kappa=KAPPA, enough=enough)
        spent.append(made.spent(enough))
        ours.append(made.cpu_seconds)
        begun = time.process_time()
        theirs.append(_campaign(choose, x, y, made.materials[: made.founding].tolist(), space.top, enough, budget))
        cost.append(time.process_time() - begun)
    mean, reference = float(np.mean(spent)), float(np.mean(theirs))
    noise = (
        float(np.hypot(mean_error(spent)[1], mean_error(theirs)[1]))
        if np.isfinite([*spent, *theirs]).all()
        else float("nan")
    )
    ratio = statistics.median(cost) / statistics.median(ours)
    detail: dict[str, Any] = {
        "ours": by_chance(space, SHARE) / mean,
        "theirs": by_chance(space, SHARE) / reference,
        "seeds": seeds,
    }
    return [
        row(
            f"AF@50 / {peer}, {name}",
            reference / mean,
            "ratio",
            ">= 1 within noise",
            mean - reference <= 2 * noise,
            error=noise / mean,
            **detail,
        ),
        row(
            f"{peer} / ours, CPU, {name}",
            ratio,
            "ratio",
            f">= {target:g}",
            ratio >= target,
            ours=statistics.median(ours),
            theirs=statistics.median(cost),
        ),
    ]


def _campaign(choose: Choose, x: Float, y: Float, start: list[int], top: Any, enough: int, budget: int) -> float:
    """Experiments that a peer spends until enough of the top set are found; infinite if the budget does not suffice."""
    made, open_ = list(start), np.ones(len(x), bool)
    open_[made] = False
    while top[made].sum() < enough:
        if len(made) >= budget:
            return float("inf")
        ahead = np.flatnonzero(open_)
        made.append(int(ahead[np.argmax(choose(x[made], y[made], x[ahead]))]))
        open_[made[-1]] = False
    return float(len(made))


def real(data: Path, seeds: int) -> list[Row]:
    """Campaigns on every real pool."""
    return campaigns(pools(data), seeds)


def synthetic(size: int = 600, seeds: int = 5) -> list[Row]:
    """Campaigns on a synthetic pool of six columns."""
    return campaigns({f"pool of {size}": synthetic_pool(size)}, seeds)
