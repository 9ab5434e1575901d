"""From parameters to the twin's event rates, and what the twin cannot represent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from mpbf_abm.arrays import Float
from mpbf_abm.data.synthetic import family_rows
from mpbf_abm.errors import refuse
from mpbf_abm.model import modalities
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.parameters import CuratorParameters, Parameters, PlannerParameters


@dataclass(frozen=True)
class Source:
    """Curators or planners as one stream of records.

    Attributes
    ----------
    rate : float
        Records acquired, or experiments made, per tick.
    published : float (K,)
        Share of them that become records.
    exploration, reinforcement, adjacency, coverage : float
        Their attention: eps, gamma, nu, and the mix-in inverse to a family's records.
    merit : float (K,), optional
        Fixed weights of families, in place of the models'; 1 without.
    """

    rate: float
    published: Float
    exploration: float
    reinforcement: float
    adjacency: float = 0.0
    coverage: float = 0.0
    merit: Float | None = None


def rates(p: Parameters, space: MaterialsSpace | None, bias: float | None) -> dict[str, Any]:
    """Return what a twin's fields are by parameters, and by the space where there is one."""
    check(p, space)
    c, q = p.curators, p.planners
    K = p.space.families if space is None else space.families
    if space is None:
        sizes, feasible = np.diff(family_rows(p.space.materials, K, p.space.family_exponent)), p.space.feasible
        level: Float | float = 0.0
        error: Float | float = p.space.bias_offset
        similarity = np.eye(K)
    else:
        sizes, feasible, similarity = space.family_sizes, space.feasible_share, space.similarity
        level, error = family_mean(space, space.property), family_mean(space, space.simulated - space.property)
    founders = sizes.astype(np.float64) ** p.founding.concentration
    kinds = label_kinds(p, feasible)
    budget = c.count * c.records
    acquired = budget * (1 - c.audit_rate) / float(kinds @ modalities.costs_by_fidelity(c.measured_cost))
    open_records, audits = acquired * (1.0 - kinds[modalities.MEASURED]), budget * c.audit_rate / c.measured_cost
    return {
        "mass": np.broadcast_to(np.asarray(p.founding.mass, np.float64), (K,)),
        "records": p.founding.records * founders / founders.sum(),
        "curators": _source(c, acquired, np.ones(K), c.coverage_seeking),
        "planners": _source(q, q.count * q.experiments * p.stocks.funding, published(p, K, space)),
        "forgetting": p.commons.forgetting,
        "audit": audit_rate(open_records, audits, p.commons.forgetting),
        "similarity": similarity,
        "simulated": float(kinds[modalities.SIMULATED]),
        "hybrid": float(kinds[modalities.HYBRID]),
        "bias": error if bias is None else bias,
        "level": level,
        "pseudo_share": p.coupling.pseudo_share if p.trainers.count else 0.0,
        # The gain acts about a mean that the learner shares with its labels, or about that of the property.
        "pseudo_gain": p.coupling.pseudo_gain if p.coupling.pseudo_anchor == "property" else 1.0,
        "retrain": p.trainers.retrain_interval,
    }


def _source(of: CuratorParameters | PlannerParameters, rate: float, share: Float, coverage: float = 0.0) -> Source:
    return Source(rate, share, max(of.exploration, of.exploration_floor), of.reinforcement, of.adjacency, coverage)


def check(p: Parameters, space: MaterialsSpace | None) -> None:
    """Refuse what the twin cannot represent, one line each."""
    c, q, t, x = p.curators, p.planners, p.trainers, p.coupling
    K = p.space.families if space is None else space.families
    feasible = p.space.feasible if space is None else space.feasible_share
    bare, curates, trains, plans = space is None, c.count > 0, t.count > 0, q.count > 0
    learns, censors = trains and x.pseudo_share > 0, q.publication_bias > 0
    builds = learns and (t.physical_prior or t.delta_learning)
    chosen = trains and censors and q.acquisition != "random"
    hidden = bare and plans and censors
    near = bare and any(s.adjacency and (s.exploration or s.exploration_floor) and s.count for s in (c, q))
    misfiled = curates and c.provenance_errors * (1 - c.qa) > 0
    unaged = c.audit_rate > 0 and p.commons.forgetting == 0
    cannot = {
        "trainers.head: its learner is a mean ('mean')": trains and t.head != "mean",
        "planners.steering_gain: its models steer no planner (0)": trains and q.steering_gain > 0,
        "trainers.count: all learn the same (at most 1 with pseudo-labels)": learns and t.count > 1,
        "trainers.labels: its learner reads all ('all')": learns and t.labels != "all",
        "trainers.physical_prior, trainers.delta_learning: its learner has no simulation to build on (false)": builds,
        "coupling.correction: its learner is not fine-tuned (0)": learns and plans and x.correction > 0,
        "trainers.harmonisation: its learner reads labels as they are (0)": learns and t.harmonisation > 0,
        "planners.repeats: no family is ever used up (true)": plans and not q.repeats,
        "planners.publication_bias: what is published depends on the materials (0, or give the space)": hidden,
        "planners.acquisition: what is published depends on who chooses ('random')": chosen,
        "planners.adjacency, curators.adjacency: families have no similarity (0, or give the space)": near,
        "curators.provenance_errors: records are entered once and right (0, or curators.qa = 1)": misfiled,
        "curators.response_dal: budgets are fixed (0)": curates and c.response_dal > 0,
        "stocks.hazard: nothing fails (0)": p.stocks.hazard > 0,
        "commons.grace: records have no age (0)": p.commons.grace > 0,
        "founding.year: founding records are by families (0)": p.founding.year > 0 and p.founding.records > 0,
        "curators.audit_rate: audits need forgetting, or no record stays open to them": unaged,
        "space.feasible: audits and learners meet every record (1)": feasible < 1 and (learns or c.audit_rate > 0),
    }
    faults = [f"twin: cannot represent {what}" for what, wrong in cannot.items() if wrong]
    if isinstance(p.founding.mass, tuple) and len(p.founding.mass) != K:
        faults.append(f"founding.mass has {len(p.founding.mass)} entries; this space has {K} families")
    refuse(faults, faults)


def label_kinds(p: Parameters, feasible: float) -> Float:
    """Return expected shares of simulated, hybrid and measured labels among the curators' records (3,).

    A kind of data that does not exist for a material gives way to crystal graphs; the measured
    quota raises what the mix leaves short of it, where such data exist.
    """
    mix = np.asarray(p.curators.modality_mix) / sum(p.curators.modality_mix)
    had = mix * modalities.COVERAGE * np.where(modalities.FIDELITY == modalities.SIMULATED, 1.0, feasible)
    had[modalities.CRYSTAL_GRAPHS] += 1.0 - had.sum()
    kinds = np.bincount(modalities.FIDELITY, had, minlength=3)
    short = min(1.0, modalities.short_of(p.curators.measured_quota, mix, feasible))
    measured = kinds[modalities.MEASURED] + short * (modalities.MEASURABLE * feasible - kinds[modalities.MEASURED])
    hybrid = kinds[modalities.HYBRID] * (1.0 - short * modalities.MEASURABLE)
    return np.array([1.0 - hybrid - measured, hybrid, measured])


def audit_rate(open_records: float, audits: float, forgetting: float) -> float:
    """Return the chance kappa per record and tick of an audit at the stationary number of records open to audit.

    Parameters
    ----------
    open_records : float
        Records per tick that enter without a measured label.
    audits : float
        Audits per tick.
    forgetting : float
    """
    if not audits:
        return 0.0
    refuse(audits >= open_records, "twin: curators.audit_rate audits more records than are entered")
    return math.log1p(audits * -math.expm1(-forgetting) / (open_records - audits))


def published(p: Parameters, K: int, space: MaterialsSpace | None) -> Float:
    """Return the share of a family's experiments that become records (K,)."""
    q = p.planners
    if space is None or not q.publication_bias:
        return np.full(K, p.coupling.outer_loop)
    sd = np.maximum(p.modalities.measured_noise * space.difficulty, 1e-12)
    loud = space.feasible * ndtr((space.property - q.publication_threshold) / sd)
    return p.coupling.outer_loop * family_mean(space, 1.0 - q.publication_bias * (1.0 - loud))


def family_mean(space: MaterialsSpace, values: NDArray[np.floating]) -> Float:
    """Return the mean over the materials of each family (K,)."""
    return np.asarray(np.bincount(space.family, values, minlength=space.families) / space.family_sizes)
