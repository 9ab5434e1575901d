"""From parameters to the twin's event rates, and what the twin cannot represent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from mpbf_abm.data.synthetic import family_rows
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.modalities import (
    COVERAGE,
    CRYSTAL_GRAPHS,
    FIDELITY,
    HYBRID,
    MEASURABLE,
    MEASURED,
    SIMULATED,
    costs_by_fidelity,
    short_of,
)
from mpbf_abm.parameters import Parameters

Float = NDArray[np.float64]


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
    acquired = budget * (1 - c.audit_rate) / float(kinds @ costs_by_fidelity(c.measured_cost))
    audits = audit_rate(
        acquired * (1.0 - kinds[MEASURED]), budget * c.audit_rate / c.measured_cost, p.commons.forgetting
    )
    # The gain acts about a mean that the learner shares with its labels, or about that of the property.
    gain = p.coupling.pseudo_gain if p.coupling.pseudo_anchor == "property" else 1.0
    return {
        "mass": np.broadcast_to(np.asarray(p.founding.mass, np.float64), (K,)),
        "records": p.founding.records * founders / founders.sum(),
        "curators": Source(
            acquired, np.ones(K), max(c.exploration, c.exploration_floor), c.reinforcement, c.adjacency, c.coverage_seeking
        ),
        "planners": Source(
            q.count * q.experiments * p.stocks.funding, published(p, K, space), max(q.exploration, q.exploration_floor),
            q.reinforcement, q.adjacency,
        ),
        "forgetting": p.commons.forgetting, "audit": audits, "similarity": similarity,
        "simulated": float(kinds[SIMULATED]), "hybrid": float(kinds[HYBRID]),
        "bias": error if bias is None else bias, "level": level,
        "pseudo_share": p.coupling.pseudo_share if p.trainers.count else 0.0, "pseudo_gain": gain,
        "retrain": p.trainers.retrain_interval,
    }  # fmt: skip


def check(p: Parameters, space: MaterialsSpace | None) -> None:
    """Refuse what the twin cannot represent, one line each."""
    c, q, t, x = p.curators, p.planners, p.trainers, p.coupling
    K = p.space.families if space is None else space.families
    feasible = p.space.feasible if space is None else space.feasible_share
    learns = t.count > 0 and x.pseudo_share > 0
    adjacent = (c.adjacency and (c.exploration or c.exploration_floor) and c.count) or (
        q.adjacency and (q.exploration or q.exploration_floor) and q.count
    )
    cannot = {
        "trainers.head: its learner is a mean ('mean')": t.count > 0 and t.head != "mean",
        "planners.steering_gain: its models steer nobody (0)": t.count > 0 and q.steering_gain > 0,
        "trainers.count: all learn the same (at most 1 with pseudo-labels)": learns and t.count > 1,
        "trainers.labels: its learner reads all ('all')": learns and t.labels != "all",
        "trainers.physical_prior, trainers.delta_learning: its learner has no simulation to build on (false)": learns
        and (t.physical_prior or t.delta_learning),
        "coupling.correction: its learner is not fine-tuned (0)": learns and q.count > 0 and x.correction > 0,
        "trainers.harmonisation: its learner reads labels as they are (0)": learns and t.harmonisation > 0,
        "planners.repeats: no family is ever used up (true)": q.count > 0 and not q.repeats,
        "planners.publication_bias: what is published depends on the materials (0, or give the space)": space is None
        and q.count > 0
        and q.publication_bias > 0,
        "planners.acquisition: what is published depends on who chooses ('random')": t.count > 0
        and q.publication_bias > 0
        and q.acquisition != "random",
        "planners.adjacency, curators.adjacency: families have no similarity (0, or give the space)": space is None
        and bool(adjacent),
        "curators.provenance_errors: records are entered once and right (0, or curators.qa = 1)": c.count > 0
        and c.provenance_errors * (1 - c.qa) > 0,
        "curators.response_dal: budgets are fixed (0)": c.count > 0 and c.response_dal > 0,
        "stocks.hazard: nothing fails (0)": p.stocks.hazard > 0,
        "commons.grace: records have no age (0)": p.commons.grace > 0,
        "founding.year: founding records are by families (0)": p.founding.year > 0 and p.founding.records > 0,
        "curators.audit_rate: audits need forgetting, or no record stays open to them": c.audit_rate > 0
        and p.commons.forgetting == 0,
        "space.feasible: audits and learners meet every record (1)": feasible < 1 and (learns or c.audit_rate > 0),
    }
    faults = [f"twin: cannot represent {what}" for what, wrong in cannot.items() if wrong]
    if isinstance(p.founding.mass, tuple) and len(p.founding.mass) != K:
        faults.append(f"founding.mass has {len(p.founding.mass)} entries; this space has {K} families")
    if faults:
        raise ConfigurationError(faults)


def label_kinds(p: Parameters, feasible: float) -> Float:
    """Expected shares of simulated, hybrid and measured labels among the curators' records (3,).

    A kind of data that does not exist for a material gives way to crystal graphs; the measured
    quota raises what the mix leaves short of it, where such data exist.
    """
    mix = np.asarray(p.curators.modality_mix) / sum(p.curators.modality_mix)
    had = mix * COVERAGE * np.where(FIDELITY == SIMULATED, 1.0, feasible)
    had[CRYSTAL_GRAPHS] += 1.0 - had.sum()
    kinds = np.bincount(FIDELITY, had, minlength=3)
    short = min(1.0, short_of(p.curators.measured_quota, mix, feasible))
    measured = kinds[MEASURED] + short * (MEASURABLE * feasible - kinds[MEASURED])
    hybrid = kinds[HYBRID] * (1.0 - short * MEASURABLE)
    return np.array([1.0 - hybrid - measured, hybrid, measured])


def audit_rate(open_records: float, audits: float, forgetting: float) -> float:
    """Chance kappa per record and tick of an audit at the stationary number of records open to audit.

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
    if audits >= open_records:
        raise ConfigurationError("twin: curators.audit_rate audits more records than are entered")
    return math.log1p(audits * -math.expm1(-forgetting) / (open_records - audits))


def published(p: Parameters, K: int, space: MaterialsSpace | None) -> Float:
    """Share of a family's experiments that become records (K,)."""
    q = p.planners
    if space is None or not q.publication_bias:
        return np.full(K, p.coupling.outer_loop)
    sd = np.maximum(p.modalities.measured_noise * space.difficulty, 1e-12)
    loud = space.feasible * ndtr((space.property - q.publication_threshold) / sd)
    return p.coupling.outer_loop * family_mean(space, 1.0 - q.publication_bias * (1.0 - loud))


def family_mean(space: MaterialsSpace, values: NDArray[np.floating]) -> Float:
    """Mean over the materials of each family (K,)."""
    return np.asarray(np.bincount(space.family, values, minlength=space.families) / space.family_sizes)
