"""The effective urn put to the test: does urn theory, fed with early measurements, foretell communities with learners.

A study of held-out parameter draws. In each, a community is taken at a fifth of its time, its effective urn is measured by
short interventions, and what the fitted urn foretells of the rest is set beside what happens in other futures: what
becomes of displacements, how much early history decides, who leads, whether a price pays for a reversal, and whether the bias of
the corpus grows. An urn with the nominal parameters, without merit, is the plain alternative.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.ecosystem import Ecosystem, Snapshot
from mpbf_abm.measures.bias_gain import bias_displacements, bias_gain
from mpbf_abm.measures.effective_urn import (
    FRACTION,
    EffectiveUrn,
    at_mass_quantiles,
    displacements,
    early_index,
    fitted_twin,
    flow,
    foretold,
    intervene,
    lasting_cost,
    merit,
)
from mpbf_abm.measures.path_dependence import deposit, early_stream_index
from mpbf_abm.parameters import Parameters
from mpbf_abm.simulation import begin
from mpbf_abm.space.materials import MaterialsSpace
from mpbf_abm.spec import RunSpec
from mpbf_abm.studies.definition import Outcome, Replicates
from mpbf_abm.studies.design import Design
from mpbf_abm.studies.model import RunInput
from mpbf_abm.studies.study import Study
from mpbf_abm.threads import one_thread
from mpbf_abm.twin import Twin

Float = NDArray[np.float64]

FAMILIES = 5  # in which one intervenes
LATE = 3  # fifths of a run after which the urn is measured again
FUTURES = 2  # in which displacements are followed
PAIRS = 6  # of runs that share early history
LOCKED = 0.3  # leading share from which a community counts as locked in
MOVED = 0.05  # displacement of a share that a reversal should buy
DEAREST = 3.0  # no price above this many times the commons is paid

# What differs between draws: name, and lowest and highest value or choices; parameters of that name move.
FACTORS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "reinforcement": ((1.0, 2.5), ("planners.reinforcement", "curators.reinforcement")),
    "exploration": ((0.02, 0.5), ("planners.exploration", "curators.exploration")),
    "adjacency": ((0.0, 1.0), ("planners.adjacency", "curators.adjacency")),
    "concentration": ((0.0, 1.2), ("founding.concentration",)),
    "steering_gain": ((0.0, 3.0), ("planners.steering_gain",)),
    "model_guidance": ((0.0, 1.0), ("curators.model_guidance",)),
    "acquisition": (["greedy", "ucb", "maxvar"], ("planners.acquisition",)),
    "experiments": ((0.1, 0.6), ("planners.experiments",)),
    "publication_bias": ((0.0, 1.0), ("planners.publication_bias",)),
    "outer_loop": ((0.3, 1.0), ("coupling.outer_loop",)),
    "reuse": ((0.0, 0.8), ("trainers.reuse",)),
    "invariance": ((0.3, 1.0), ("trainers.invariance",)),
    "pseudo_share": ((0.0, 0.5), ("coupling.pseudo_share",)),
    "pseudo_gain": ((0.5, 3.0), ("coupling.pseudo_gain",)),
    "pseudo_anchor": (["model", "property"], ("coupling.pseudo_anchor",)),
    "bias_sd": ((0.2, 1.2), ("space.bias_sd",)),
}


def parameters(values: dict[str, Any], preset: str = "quick") -> Parameters:
    """Parameters of a draw."""
    changes = {path: value for name, value in values.items() for path in FACTORS[name][1]}
    return Parameters.preset(preset).updated(changes)


def study(name: str, draws: int, seed: int = 1) -> Study:
    """Study over a Latin hypercube of draws."""
    spans = {
        n: {"values": span} if isinstance(span, list) else {"low": span[0], "high": span[1]}
        for n, (span, _) in FACTORS.items()
    }
    return Study(
        name=name, model=evaluate, seed=seed, design=Design(kind="lhs", n=draws), parameters=spans, replicates=Replicates(n=1),
        outcomes={name: Outcome() for name in OUTCOMES},
    )  # fmt: skip


OUTCOMES = (
    "gamma_eff", "gamma_curators", "gamma_planners", "gamma_sd", "eps_eff", "law", "threshold", "share_now", "gamma_later", "eps_later",
    "loop_gain", "bias_grown", "bias_volume",
    *(f"{what}_{i}" for i in range(FAMILIES) for what in ("gamma", "share", "local", "grown", "grown_urn", "grown_plain", "apart", "volume")),
    "damage", "damage_urn", "early", "early_error", "early_urn", "early_plain",
    "leading", "leading_urn", "leading_plain", "locked", "cost", "cost_plain", "bought", "used_up",
)  # fmt: skip


def evaluate(run: RunInput) -> dict[str, float]:
    """Everything about one draw: measured, foretold, and what came."""
    p = parameters(dict(run.values))
    early = max(2, run.ticks // 5)
    with one_thread():
        space = MaterialsSpace.synthetic(p, seed=run.seed)
    founded, snapshot = _until(p, run.seed, early, space)
    x = snapshot.world.commons.visible()
    families = at_mass_quantiles(x, FAMILIES)
    urn = intervene(snapshot, families)
    fitted, plain = fitted_twin(urn, snapshot), plain_twin(urn, snapshot)
    out = {
        "gamma_eff": urn.reinforcement, "gamma_curators": float(urn.gamma_of[0].mean()), "gamma_planners": float(urn.gamma_of[1].mean()),
        "gamma_sd": float(urn.gamma.std(ddof=1)), "eps_eff": urn.exploration, "law": urn.exponent, "threshold": urn.threshold,
        "share_now": float(x.max() / x.sum()),
    }  # fmt: skip
    out |= _displaced(snapshot, urn, fitted, plain, run) | _biased(snapshot, run) | _later(snapshot, run)
    out |= _reversed(snapshot, fitted, plain, run, int(np.argsort(-x, kind="stable")[1]))
    return out | _ensemble(p, run, early, space, founded, (fitted, plain))


def plain_twin(urn: EffectiveUrn, snapshot: Snapshot) -> Twin:
    """The urn of the nominal parameters: reinforcement as given, families without merit."""
    fitted, p = fitted_twin(urn, snapshot), snapshot.world.p
    curators = replace(fitted.curators, reinforcement=p.curators.reinforcement, merit=None)
    return replace(
        fitted,
        curators=curators,
        planners=replace(fitted.planners, reinforcement=p.planners.reinforcement, merit=None),
    )


def _until(p: Parameters, seed: int, ticks: int, space: MaterialsSpace) -> tuple[Float, Snapshot]:
    """Records at founding (K,), and the community some ticks later."""
    eco = begin(RunSpec(p, seed, ticks, space=space), record=())
    founded = eco.world.commons.visible().copy()
    for _ in range(ticks):
        eco.step()
    snapshot = eco.snapshot()
    eco.release()
    return founded, snapshot


def _displaced(snapshot: Snapshot, urn: EffectiveUrn, fitted: Twin, plain: Twin, run: RunInput) -> dict[str, float]:
    """What becomes of displacements, in futures that the measurement has not seen."""
    at = [snapshot.world.tick, run.ticks]
    seen = [displacements(snapshot, urn.family, at, seed=run.seed + 1 + i) for i in range(FUTURES)]
    own, damage = (np.mean([s[i] for s in seen], axis=0) for i in (1, 2))
    # What two futures differ by says how much of the observed is chance.
    growths = np.array([s[1][:, 1] / s[1][:, 0] for s in seen])
    ahead = [0, run.ticks - snapshot.world.tick]
    (_, own_urn, damage_urn), (_, own_plain, _) = (foretold(t, urn.family, urn.added, ahead) for t in (fitted, plain))
    out = {
        "damage": float((damage[:, 1] / damage[:, 0]).mean()),
        "damage_urn": float((damage_urn[:, 1] / damage_urn[:, 0]).mean()),
    }
    volumes = np.mean([s[0].sum(axis=1) for s in seen], axis=0)
    for i in range(FAMILIES):
        out |= {
            f"gamma_{i}": float(urn.gamma[i]), f"share_{i}": float(urn.share[i]), f"local_{i}": float(urn.local[i]),
            f"grown_{i}": float(own[i, 1] / own[i, 0]), f"grown_urn_{i}": float(own_urn[i, 1] / own_urn[i, 0]),
            f"grown_plain_{i}": float(own_plain[i, 1] / own_plain[i, 0]), f"volume_{i}": float(volumes[1] / volumes[0]),
            f"apart_{i}": float(growths[:, i].std(ddof=1) / math.sqrt(FUTURES)),
        }  # fmt: skip
    return out


def _biased(snapshot: Snapshot, run: RunInput) -> dict[str, float]:
    """Gain of the bias loop, and what becomes of a shift of every record in other futures."""
    at = [snapshot.world.tick, run.ticks]
    seen = [bias_displacements(snapshot, at, seed=run.seed + 1 + i) for i in range(FUTURES)]
    records, displaced = (np.mean([s[i] for s in seen], axis=0) for i in (0, 1))
    return {
        "loop_gain": bias_gain(snapshot), "bias_grown": float(displaced[1] / displaced[0]),
        "bias_volume": float(records[1] / records[0]),
    }  # fmt: skip


def _later(snapshot: Snapshot, run: RunInput) -> dict[str, float]:
    """The effective urn again, late in the same run."""
    eco = Ecosystem.restore(snapshot)
    for _ in range(LATE * run.ticks // 5 - snapshot.world.tick):
        eco.step()
    late = eco.snapshot()
    eco.release()
    urn = intervene(late, at_mass_quantiles(late.world.commons.visible(), FAMILIES))
    return {"gamma_later": urn.reinforcement, "eps_later": urn.exploration}


def _reversed(snapshot: Snapshot, fitted: Twin, plain: Twin, run: RunInput, family: int) -> dict[str, float]:
    """Pay what the fitted urn asks for a lasting displacement of the second family, and see what it bought."""
    x = snapshot.world.commons.visible()
    N, s, ahead = float(x.sum()), float(x[family] / x.sum()), run.ticks - snapshot.world.tick
    prices = []
    for twin in (fitted, plain):
        dose = np.array([max(1, round(FRACTION * x[family]))])
        _, own, _ = foretold(twin, [family], dose, [0, ahead])
        prices.append(lasting_cost(s, N, MOVED, float(own[0, 1] / own[0, 0])))
    cost = prices[0]
    bought = math.nan
    if cost <= DEAREST * N:
        shifts = []
        for i in range(FUTURES):
            ends = []
            for count in (0, round(cost)):
                eco = Ecosystem.restore(snapshot, reseed={snapshot.world.tick: run.seed + 1 + i})
                deposit(eco, family, count)
                for _ in range(ahead):
                    eco.step()
                end = eco.world.commons.visible()
                ends.append(float(end[family] / end.sum()))
                eco.release()
            shifts.append(ends[1] - ends[0])
        bought = float(np.mean(shifts)) / MOVED
    finite = [min(price, 1e9) for price in prices]
    return {"cost": finite[0] / N, "cost_plain": finite[1] / N, "bought": bought}


def _ensemble(
    p: Parameters, run: RunInput, early: int, space: MaterialsSpace, founded: Float, twins: Sequence[Twin]
) -> dict[str, float]:  # fmt: skip
    """Pairs of runs that share early history: how much it decides, who leads, who is locked in."""
    ends, starts, leads, used = [], [founded], [], []
    for i in range(PAIRS):
        start, snapshot = _until(p, run.seed + 100 + i, early, space)
        starts.append(start)
        now = _current(twins[0], snapshot)
        leads.append(
            [_leading(t.map(run.ticks - early).records[-1]) for t in (now, replace(twins[1], records=now.records))]
        )
        pair = []
        for branch in (1 << 60, 1 << 61):
            eco = Ecosystem.restore(snapshot, reseed={early: (run.seed + 100 + i) ^ branch})
            for _ in range(run.ticks - early):
                eco.step()
            pair.append(eco.world.commons.visible() / eco.world.commons.visible().sum())
            used.append(float((eco.world.commons.untested <= 0).mean()))
            eco.release()
        ends.append(pair)
    both = np.array(ends)
    index, error = early_stream_index(both[:, 0], both[:, 1])
    expected = np.mean(starts, axis=0)
    drawn = float(p.founding.records)
    leading = both.max(axis=2)
    return {
        "early": index, "early_error": error, "early_urn": early_index(twins[0], expected, drawn, early, run.ticks),
        "early_plain": early_index(twins[1], expected, drawn, early, run.ticks), "leading": float(leading.mean()),
        "leading_urn": float(np.mean(leads, axis=0)[0]), "leading_plain": float(np.mean(leads, axis=0)[1]),
        "locked": float((leading > LOCKED).mean()), "used_up": float(np.mean(used)),
    }  # fmt: skip


def _current(fitted: Twin, snapshot: Snapshot) -> Twin:
    """The fitted urn at the state of another history of the same community: its records, and what its models think."""
    eco = Ecosystem.restore(snapshot)
    now, x = flow(eco, eco.tick), snapshot.world.commons.visible().copy()
    eco.release()
    curators, planners = (
        replace(source, merit=merit(steered, x, source.reinforcement))
        for source, steered in zip(fitted.sources, now.steered, strict=True)
    )
    return replace(fitted, records=x, curators=curators, planners=planners)


def _leading(x: Float) -> float:
    return float(x.max() / x.sum())
