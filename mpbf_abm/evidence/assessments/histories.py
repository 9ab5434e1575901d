"""Histories of which studies keep more than indicators: flows, origins, perturbed copies, networks, urns, transitions.

Each function is the model of a study (:class:`mpbf_abm.Study`): it makes one run from its parameters and seed and
returns outcomes and series. The figures of a paper are drawn from what such studies have stored.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from mpbf_abm.arrays import Float
from mpbf_abm.evidence.assessments.fragility import CRITERIA, ORDERS
from mpbf_abm.measures.networks import FLOWS, added, core_families, records_by_origin, removal_curve, tick_flows
from mpbf_abm.measures.path import damage, deposited, follow, largest_share, run_on
from mpbf_abm.model.commons import ORIGINS
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.run import begin, summarise
from mpbf_abm.model.spec import RunSpec
from mpbf_abm.parameters import Parameters
from mpbf_abm.processes import one_thread
from mpbf_abm.stats.warning import early_warnings
from mpbf_abm.studies.jobs import RunInput

if TYPE_CHECKING:
    import networkx as nx

Outcomes = dict[str, float]

EARLY = 5  # early history is the first 1/5 of a run
LAYERS = ("boundary_shift", "integrity", "steering", "tradeoff", "found_share", "families_d1")
REGIONS = ("core", "rest")  # families that held half of the founding records, and all others
HELD = tuple(f"{origin}, {region}" for origin in ORIGINS for region in REGIONS)
COURSE_SERIES = (*LAYERS, *FLOWS, *HELD)
COURSE_OUTCOMES = (
    *("found_share", "families_d1", "leading_share", "rmse_niche"),
    *("early_share", "late_share", "same_leader", "core_share"),
)


def parameters(run: RunInput) -> Parameters:
    """Return all parameters of a run of a study with its own model."""
    return Parameters().updated(dict(run.values))


# --------------------------------------------------------------------------- the course of a community


def course(run: RunInput) -> tuple[Outcomes, Float]:
    """Return a community's layers, cumulative flows and records by origin at the kept ticks, and its outcomes."""
    p = parameters(run)
    early, kept = max(1, run.ticks // EARLY), set(run.kept)
    with one_thread():
        eco = begin(RunSpec(p, run.seed, run.ticks, run.policies, run.shocks), record=())
        regions = np.where(core_families(eco.world.commons.records_by_family()), 0, 1)
        flows: dict[str, float] = dict.fromkeys(FLOWS, 0.0)
        rows, leader, early_share = [], 0, 0.0
        for tick in range(run.ticks):
            eco.step()
            flows = added(flows, tick_flows(eco.world))
            if tick == early - 1:
                x = eco.world.commons.records_by_family()
                leader, early_share = int(x.argmax()), largest_share(x)
            if tick in kept:
                now = summarise(eco)
                held = records_by_origin(eco.world, regions, len(REGIONS))
                rows.append([*(now[name] for name in LAYERS), *flows.values(), *held.ravel().tolist()])
        end, x = summarise(eco), eco.world.commons.records_by_family()
    decided = (early_share, x[leader] / x.sum(), x.argmax() == leader, x[regions == 0].sum() / x.sum())
    values = (*(end[name] for name in COURSE_OUTCOMES[:4]), *map(float, decided))
    return dict(zip(COURSE_OUTCOMES, values, strict=True)), np.array(rows)


# --------------------------------------------------------------------------- perturbed copies

TWIN_SERIES = ("moved", "identical")


def twins(run: RunInput) -> tuple[Outcomes, Float]:
    """Return the distance of a history to one that differs by a small deposit, and to one that differs by nothing.

    The study's parameter ``deposit`` is the deposit's size in parts of the records there are; it goes to the family of
    median size at a fifth of the way, and all later draws are the same.
    """
    values = dict(run.values)
    share = float(values.pop("deposit"))
    p = Parameters().updated(values)
    early = max(1, run.ticks // EARLY)
    later = [t + 1 for t in run.kept if t + 1 >= early]
    with one_thread():
        eco = begin(RunSpec(p, run.seed, run.ticks), record=())
        snapshot = run_on(eco, early).snapshot()
        x = snapshot.world.commons.records_by_family()
        family = int(np.argsort(x, kind="stable")[len(x) // 2])
        amount = max(1, round(share * x.sum()))

        plain, again = (follow(snapshot, later) for _ in range(2))
        moved = follow(snapshot, later, change=deposited(family, amount))
    distance = np.zeros((len(run.kept), 2))
    distance[len(run.kept) - len(later) :] = np.stack([damage(plain, moved), damage(plain, again)], axis=1)
    first, last = distance[len(run.kept) - len(later), 0], distance[-1, 0]
    return {"first": float(first), "last": float(last), "growth": float(last / first) if first else math.nan}, distance


# --------------------------------------------------------------------------- networks under removal

STEPS = 20  # points of a removal curve
REMOVAL_OUTCOMES = tuple(f"{c} {i}" for c in CRITERIA for i in range(STEPS + 1)) + tuple(f"R {c}" for c in CRITERIA)


def removal(run: RunInput) -> Outcomes:
    """Return removal curves of a community's network at the end of a run, and their mean R."""
    p = parameters(run)
    with one_thread():
        eco = begin(RunSpec(p, run.seed, run.ticks, run.policies, run.shocks), record=())
        graph = run_on(eco, run.ticks).world.infrastructure.graph()
    return network_outcomes(graph, run.seed)


def network_outcomes(graph: nx.Graph[Any], seed: int) -> Outcomes:
    """Return the removal curves of a network at :data:`STEPS` equal steps, and the mean R of each."""
    rng = np.random.default_rng(seed)
    out: Outcomes = {}
    for criterion in CRITERIA:
        orders = ORDERS if criterion == "random" else 1
        curve = np.mean([removal_curve(graph, criterion, rng) for _ in range(orders)], axis=0)
        at = np.interp(np.linspace(0, 1, STEPS + 1), np.linspace(0, 1, len(curve)), curve)
        out |= {f"{criterion} {i}": float(v) for i, v in enumerate(at)} | {f"R {criterion}": float(curve.mean())}
    return out


# --------------------------------------------------------------------------- urns

URN_OUTCOMES = ("leading_share", "locked")
LOCKED = 0.4  # of all records, in an urn of five families: twice an equal share, above the winner's at the fold


def urn(run: RunInput) -> Outcomes:
    """Return a null community's leading share at the end, and whether it exceeds two fifths of the records."""
    from mpbf_abm.theory.ensembles import family_masses

    p = Parameters.null(**dict(run.values))
    with one_thread():
        x = family_masses(p, [run.seed], run.ticks, space=MaterialsSpace.synthetic(p, seed=0))[0]
    share = largest_share(x)
    return {"leading_share": share, "locked": float(share > LOCKED)}


# --------------------------------------------------------------------------- towards a transition

WARNING_SERIES = ("leading_share", "exploration")
WARNING_OUTCOMES = ("variance_trend", "autocorrelation_trend", "leading_share")


def approach(run: RunInput) -> tuple[Outcomes, Float]:
    """Run a null community of constant size whose exploration falls towards the threshold of lock-in, or stays.

    The study's parameters ``high`` and ``low`` are exploration at the start and at the end, a straight line between
    them; the trend of variance and autocorrelation of the first family's share is Kendall's tau in windows of half of
    the run.
    """
    values: dict[str, Any] = dict(run.values)
    high, low = float(values.pop("high")), float(values.pop("low"))
    p = Parameters.null(**values)
    lever = np.linspace(high, low, run.ticks)
    share = np.empty(run.ticks)
    with one_thread():
        eco = begin(RunSpec(p, run.seed, run.ticks, space=MaterialsSpace.synthetic(p, seed=0)), record=())
        for tick in range(run.ticks):
            eco.world.curators.exploration[...] = lever[tick]
            eco.step()
            x = eco.world.commons.visible()
            share[tick] = x[0] / x.sum()
    seen = early_warnings(share, run.ticks // 2)
    x = eco.world.commons.visible()
    trends = (seen.variance_trend, seen.autocorrelation_trend)
    outcomes = dict(zip(WARNING_OUTCOMES, (*trends, largest_share(x)), strict=True))
    return outcomes, np.stack([share[run.kept], lever[run.kept]], axis=1)
