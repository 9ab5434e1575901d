"""The mean-field twin: event rates from parameters, allocation, the map, the ODE, volume, thresholds and noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from scipy.optimize import brentq
from scipy.special import ndtr

from mpbf_abm.arrays import Float
from mpbf_abm.data.synthetic import family_rows
from mpbf_abm.errors import ConfigurationError, lines_where, refuse, refuse_any
from mpbf_abm.model import modalities
from mpbf_abm.model.attention import attention, covering, power, reinforced
from mpbf_abm.model.coupling import bias_share, loop_gain, steady_bias
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.parameters import CuratorParameters, Parameters, PlannerParameters

# --------------------------------------------------------------------------- rates

# From parameters to event rates, and what the twin cannot represent.


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
    feasible, K = (p.space.feasible, p.space.families) if space is None else (space.feasible_share, space.families)
    cannot = [*_limits_of_learner(p), *_limits_of_planning(p, space is None), *_limits_of_records(p, feasible)]
    faults = [f"twin: cannot represent {what}" for what in lines_where(*cannot)]
    if isinstance(p.founding.mass, tuple) and len(p.founding.mass) != K:
        faults.append(f"founding.mass has {len(p.founding.mass)} entries; this space has {K} families")
    refuse_any(faults)


def _limits_of_learner(p: Parameters) -> list[tuple[bool, str]]:
    """Return what the learner of the twin cannot do, with whether it would have to."""
    q, t, correction = p.planners, p.trainers, p.coupling.correction
    if not t.count:
        return []
    builds = t.physical_prior or t.delta_learning
    every = [
        (t.head != "mean", "trainers.head: its learner is a mean ('mean')"),
        (q.steering_gain > 0, "planners.steering_gain: its models steer no planner (0)"),
    ]
    of_pseudo_labels = [
        (t.count > 1, "trainers.count: all learn the same (at most 1 with pseudo-labels)"),
        (t.labels != "all", "trainers.labels: its learner reads all ('all')"),
        (builds, "trainers.physical_prior, trainers.delta_learning: its learner has no simulation to build on (false)"),
        (q.count * correction > 0, "coupling.correction: its learner is not fine-tuned (0)"),
        (t.harmonisation > 0, "trainers.harmonisation: its learner reads labels as they are (0)"),
    ]
    return every + of_pseudo_labels * (p.coupling.pseudo_share > 0)


def _limits_of_planning(p: Parameters, bare: bool) -> Sequence[tuple[object, str]]:
    """Return what the twin cannot choose or publish, bare of a space or not, with whether it would have to."""
    q, censors = p.planners, p.planners.publication_bias > 0
    hidden, chosen = all([bare, q.count, censors]), all([p.trainers.count, censors, q.acquisition != "random"])
    near = bare and any(s.adjacency * s.count * max(s.exploration, s.exploration_floor) for s in (p.curators, q))
    return [
        (q.count and not q.repeats, "planners.repeats: no family is ever used up (true)"),
        (hidden, "planners.publication_bias: what is published depends on the materials (0, or give the space)"),
        (chosen, "planners.acquisition: what is published depends on who chooses ('random')"),
        (near, "planners.adjacency, curators.adjacency: families have no similarity (0, or give the space)"),
    ]


def _limits_of_records(p: Parameters, feasible: float) -> Sequence[tuple[object, str]]:
    """Return what the twin cannot do with records, of which a share is feasible, with whether it would have to."""
    c, founding = p.curators, p.founding
    misfiled = c.count * c.provenance_errors * (1 - c.qa) > 0
    met = max(c.audit_rate, p.trainers.count * p.coupling.pseudo_share) > 0
    unaged = c.audit_rate > 0 and p.commons.forgetting == 0
    unlike = p.infrastructure.specialisation + p.infrastructure.enumerators + p.infrastructure.known
    return [
        (misfiled, "curators.provenance_errors: records are entered once and right (0, or curators.qa = 1)"),
        (c.count * c.response_dal > 0, "curators.response_dal: budgets are fixed (0)"),
        (p.stocks.hazard > 0, "stocks.hazard: nothing fails (0)"),
        (p.commons.founds, "commons.concentration, commons.discount: all families are open (0)"),
        (unlike > 0, "infrastructure.specialisation, enumerators, known: all repositories are alike (0)"),
        (p.commons.grace > 0, "commons.grace: records have no age (0)"),
        (founding.year * founding.records > 0, "founding.year: founding records are by families (0)"),
        (unaged, "curators.audit_rate: audits need forgetting, or no record stays open to them"),
        (feasible < 1 and met, "space.feasible: audits and learners meet every record (1)"),
    ]


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
    loud = space.feasible * ndtr((space.by_property(space.property) - q.publication_threshold) / sd)
    return p.coupling.outer_loop * family_mean(space, 1.0 - q.publication_bias * (1.0 - loud))


def family_mean(space: MaterialsSpace, values: NDArray[np.floating]) -> Float:
    """Return the mean over the materials of each family, and over properties (K,)."""
    values = space.by_property(values).mean(axis=0)
    return np.asarray(np.bincount(space.family, values, minlength=space.families) / space.family_sizes)


# --------------------------------------------------------------------------- the twin

Kind = Literal["map", "ode"]

FARTHEST = 25.0  # log-odds of a winner beyond which a share is 1 to ten digits


@dataclass(frozen=True)
class Path:
    """A trajectory: times (T,), records (T, K), bias mass (T, K), the learner's mean (T,; NaN before the first)."""

    times: Float
    records: Float
    bias: Float
    model: Float

    @property
    def volume(self) -> Float:
        """Return records of all families (T,)."""
        return np.asarray(self.records.sum(axis=1))

    @property
    def shares(self) -> Float:
        """Return the share of each family (T, K)."""
        return np.asarray(self.records / self.volume[:, None])


class Halves(NamedTuple):
    """Derivatives of the curators' and of the planners' half of a tick (K, K), and where their records go (K,)."""

    curated: Float
    planned: Float
    chosen: Float
    published: Float


@dataclass(frozen=True)
class Thresholds:
    """Exploration below which communities lock in.

    Attributes
    ----------
    symmetric : float
        eps_c: below it equal families do not stay equal; root of the Jacobian there (0: never).
    closed_form : float
        The same as ``1 - 1/gamma``, whatever K.
    fold : float
        eps_sn: above it no locked-in state is left.
    locked_in : float
        Share of the winner at the fold.
    """

    symmetric: float
    closed_form: float
    fold: float
    locked_in: float


@dataclass(frozen=True)
class Twin:
    """The family-level event model.

    Attributes
    ----------
    mass, records : float (K,)
        Virtual founding mass and founding records.
    curators, planners : Source
    forgetting, audit : float
        delta and kappa, per record and tick.
    similarity : float (K, K)
        Row-normalised similarity graph, used with adjacency.
    simulated, hybrid : float
        Shares of the curators' records with simulated and with hybrid labels (these err by half).
    bias, level : float (K,)
        Mean simulation bias b_k and mean property of each family.
    pseudo_share, pseudo_gain, transfer : float
        pi, g and chi.
    retrain : int
        Ticks between retrainings.
    gamma_eff : float, optional
        Effective reinforcement: weights ``x^(gamma_eff - gamma)`` in place of the models'.

    Examples
    --------
    >>> p = Parameters.null(**{"planners.reinforcement": 2.0, "curators.reinforcement": 2.0, "space.families": 5})
    >>> limits = Twin.from_parameters(p).thresholds()
    >>> print(f"{limits.symmetric:.4f} {limits.fold:.4f}")
    0.5000 0.5556
    """

    mass: Float
    records: Float
    curators: Source
    planners: Source
    forgetting: float
    similarity: Float
    audit: float = 0.0
    simulated: float = 1.0
    hybrid: float = 0.0
    bias: Float | float = 0.0
    level: Float | float = 0.0
    pseudo_share: float = 0.0
    pseudo_gain: float = 1.0
    transfer: float = 1.0
    retrain: int = 1
    gamma_eff: float | None = None

    @classmethod
    def from_parameters(
        cls,
        p: Parameters,
        space: MaterialsSpace | None = None,
        *,
        gamma_eff: float | None = None,
        transfer: float = 1.0,
        bias: float | None = None,
    ) -> Twin:
        """Derive the rates from parameters.

        Parameters
        ----------
        p : Parameters
        space : MaterialsSpace, optional
            Families with their sizes, similarity, bias and level; without it, what `p.space` says of them all.
        gamma_eff, transfer : float, optional
            Effective reinforcement, and share chi of the records' bias that reaches the learner: both measured.
        bias : float, optional
            Mean simulation bias b_s of every family; that of the space if not given.

        Raises
        ------
        ConfigurationError
            One line for everything that the twin cannot represent.
        """
        return cls(**rates(p, space, bias), transfer=transfer, gamma_eff=gamma_eff)

    # ------------------------------------------------------------------ allocation

    @property
    def families(self) -> int:
        """Return the number of families K."""
        return len(self.mass)

    @property
    def start(self) -> Float:
        """Return records and mass of each family at founding (K,)."""
        return np.asarray(self.mass + self.records)

    @property
    def sources(self) -> tuple[Source, Source]:
        """Return curators and planners, in the order of a tick."""
        return self.curators, self.planners

    def attend(self, source: Source, x: Float) -> Float:
        """Return the attention of a source to each family (K,)."""
        ε, γ = np.array([source.exploration]), np.array([source.reinforcement])
        share = attention(x, ε, source.adjacency, γ, self.similarity, self._weights(source, x))[0]
        return np.asarray(covering(share, x, source.coverage) if source.coverage else share)

    def attend_jacobian(self, source: Source, x: Float) -> Float:
        """Return the derivative of :meth:`attend` by the records of each family (K, K); every family must have some."""
        r = reinforced(x, np.array([source.reinforcement]), self._weights(source, x))[0]
        change = (1 - source.exploration) * self.reinforcement(source) * (np.diag(r) - np.outer(r, r)) / x
        if source.adjacency and source.exploration:
            total = x.sum()
            near = (self.similarity.T - (x @ self.similarity / total)[:, None]) / total
            change += source.exploration * source.adjacency * near
        if source.coverage:
            rare = 1.0 / (1.0 + x)
            c = rare / rare.sum()
            change = (1 - source.coverage) * change + source.coverage * c[:, None] * (c * rare - np.diag(rare))
        return np.asarray(change)

    def inflow(self, x: Float) -> Float:
        """Return records that all sources add to each family in a unit of time (K,)."""
        return np.asarray(sum(s.rate * s.published * self.attend(s, x) for s in self.sources))

    def inflow_jacobian(self, x: Float) -> Float:
        """Return the derivative of :meth:`inflow` by the records (K, K)."""
        return np.asarray(sum(s.rate * s.published[:, None] * self.attend_jacobian(s, x) for s in self.sources))

    def allocation(self, x: Float) -> Float:
        """Return the share p_k(x) of the inflow that goes to each family (K,)."""
        flow = self.inflow(x)
        return np.asarray(flow / flow.sum())

    def reinforcement(self, source: Source) -> float:
        """Return the exponent in force: gamma_eff where it is given."""
        return source.reinforcement if self.gamma_eff is None else self.gamma_eff

    def exploring(self, exploration: float) -> Twin:
        """Return the same twin with another exploration of curators and planners."""
        curators, planners = (replace(s, exploration=exploration) for s in self.sources)
        return replace(self, curators=curators, planners=planners)

    def _weights(self, source: Source, x: Float) -> Float | None:
        merit = None if source.merit is None else source.merit[None]
        if self.gamma_eff is None:
            return merit
        learned = power(x, self.gamma_eff - source.reinforcement)[None]
        return learned if merit is None else learned * merit

    # ------------------------------------------------------------------ trajectories

    def step(self, x: Float, bias: Float, model: float, tick: int) -> tuple[Float, Float, float]:
        """Take one tick in the order of the phases: records, bias mass and the learner's mean after it."""
        keep = math.exp(-self.forgetting)
        x, bias = keep * x, keep * bias
        new = self.curators.rate * self.attend(self.curators, x)
        bias = (bias + new * self._error(model)) * math.exp(-self.audit)
        x = x + new
        if self.pseudo_share and tick % self.retrain == 0:
            model = self.learned(x - self.mass * keep ** (tick + 1), bias)
        return x + self.planners.rate * self.planners.published * self.attend(self.planners, x), bias, model

    def map(self, ticks: int, start: Float | None = None) -> Path:
        """Return the trajectory of the synchronous map from founding, or from other records (K,)."""
        x, bias, model = self._founded(start)
        states = [(x, bias, model)]
        for tick in range(ticks):
            states.append(self.step(*states[-1], tick))
        records, biases, models = zip(*states, strict=True)
        return Path(np.arange(ticks + 1.0), np.array(records), np.array(biases), np.array(models))

    def slope(self, t: float, y: Float) -> Float:
        """Return the right-hand side of the ODE for ``y`` = records, bias mass, the learner's mean (2K + 1,)."""
        K = self.families
        x, bias, model = np.maximum(y[:K], 0.0), y[K : 2 * K], float(y[-1])
        new = self.curators.rate * self.attend(self.curators, x)
        learned = self.learned(x - self.mass * math.exp(-self.forgetting * t), bias) if self.pseudo_share else model
        # Before the first record there is nothing to learn.
        learned = model if math.isnan(learned) else learned
        erring = new * self._error(model) - (self.forgetting + self.audit) * bias
        return np.concatenate([self.inflow(x) - self.forgetting * x, erring, [(learned - model) / self.retrain]])

    def ode(self, times: Sequence[float] | Float, start: Float | None = None) -> Path:
        """Return the trajectory of the ODE at increasing times, from founding at time 0 or from other records (K,)."""
        x, bias, _ = self._founded(start)
        # Events at once: the learner has learned what was there at founding.
        model = self.learned(x - self.mass, bias) if self.pseudo_share and x.sum() > self.mass.sum() else 0.0
        at = np.asarray(times, np.float64)
        y = np.concatenate([x, bias, [model]])
        # An explicit rule treats equal families equally to the last bit.
        out = solve_ivp(self.slope, (0.0, float(at[-1])), y, "DOP853", t_eval=at, rtol=1e-10, atol=1e-12).y.T
        K = self.families
        return Path(at, out[:, :K], out[:, K : 2 * K], out[:, -1])

    def _founded(self, start: Float | None) -> tuple[Float, Float, float]:
        x = self.start if start is None else np.asarray(start, np.float64)
        return x, (x - self.mass) * (self.simulated + 0.5 * self.hybrid) * self.bias, math.nan

    def _error(self, model: float) -> Float | float:
        """Return the mean bias of a new record of the curators in each family."""
        generated = self.simulated * (0.0 if math.isnan(model) else self.pseudo_share)
        plain = (self.simulated - generated + 0.5 * self.hybrid) * self.bias
        return plain if not generated else plain + generated * (self.pseudo_gain * model - self.level)

    def learned(self, records: Float, bias: Float) -> float:
        """Return the learner's mean: chi times that of all labels."""
        total = float(records.sum())
        return self.transfer * float((bias + records * self.level).sum()) / total if total > 0 else math.nan

    # ------------------------------------------------------------------ volume and bias

    def total_inflow(self) -> float:
        """Return records added per tick, where they do not depend on the allocation."""
        rate = self.planners.published
        refuse(
            not np.allclose(rate, rate[0]), "twin: families differ in what is published; their total has no closed form"
        )
        return float(self.curators.rate + self.planners.rate * rate[0])

    def volume(self, times: Sequence[float] | Float, kind: Kind = "ode") -> Float:
        """Return total records V(t) in closed form (T,): the allocation has no part in it."""
        t, rate, start = np.asarray(times, np.float64), self.total_inflow(), float(self.start.sum())
        if not self.forgetting:
            return np.asarray(start + rate * t)
        limit = rate / (self.forgetting if kind == "ode" else -math.expm1(-self.forgetting))
        return np.asarray(limit + (start - limit) * np.exp(-self.forgetting * t))

    def loop(self, kind: Kind = "ode") -> tuple[float, float]:
        """Return the gain L of the bias loop (bias grows without end where L > 1), and steady bias b*.

        Where families differ in bias, theirs counts by the steady allocation.
        """
        rate = self.total_inflow()
        curated = self.curators.rate * (self.simulated + 0.5 * self.hybrid)
        generated = self.pseudo_share * self.simulated / (self.simulated + 0.5 * self.hybrid)
        transfer = self.transfer
        if kind == "ode":
            h = bias_share(self.forgetting, self.audit)
        else:
            gone = -math.expm1(-self.forgetting)
            h = bias_share(gone, math.expm1(self.audit))
            # Within a tick the learner reads the records before the experiments of the tick are among them.
            transfer /= 1.0 - gone * (rate - self.curators.rate) / rate
        rho = 1.0 - curated / rate
        L = loop_gain(rho, generated, self.pseudo_gain, transfer, h)
        b = np.asarray(self.bias)
        source = float(b) if b.ndim == 0 else float(b @ self.attend(self.curators, self.steady(kind=kind)))
        return L, steady_bias(rho, generated, source, h, L)

    # ------------------------------------------------------------------ steady states

    def jacobian(self, x: Float, kind: Kind = "map") -> Float:
        """Return the derivative of the map's step, or of the ODE's right-hand side, by the records (K, K)."""
        if kind == "ode":
            return self.inflow_jacobian(x) - self.forgetting * np.eye(self.families)
        half = self.halves(x)
        return np.asarray(half.planned @ half.curated * math.exp(-self.forgetting))

    def steady(self, start: Float | None = None, kind: Kind = "map") -> Float:
        """Return steady records (K,) to which a start (or founding) leads; needs forgetting."""
        refuse(not self.forgetting, "twin: without forgetting records grow without end; there is no steady state")
        far = math.ceil(60.0 / self.forgetting)
        x = self.map(far, start).records[-1] if kind == "map" else self.ode([far], start).records[-1]
        still, zero = np.eye(self.families) if kind == "map" else 0.0, np.zeros(self.families)
        for _ in range(20):
            gap = self.step(x, zero, math.nan, 1)[0] - x if kind == "map" else self.inflow(x) - self.forgetting * x
            if np.abs(gap).max() <= 1e-13 * x.sum():
                break
            x = x - np.linalg.solve(self.jacobian(x, kind) - still, gap)
        return np.asarray(x)

    def halves(self, x: Float) -> Halves:
        """Return curators' and planners' half of a tick that starts at x."""
        eye, (c, p) = np.eye(self.families), self.sources
        first = math.exp(-self.forgetting) * x
        chosen = self.attend(c, first)
        second = first + c.rate * chosen
        curated = eye + c.rate * self.attend_jacobian(c, first)
        planned = eye + p.rate * p.published[:, None] * self.attend_jacobian(p, second)
        return Halves(curated, planned, chosen, p.published * self.attend(p, second))

    def growth(self, x: Float) -> float:
        """Return the largest multiplier per tick of small differences between families (total kept) at a state."""
        out = np.eye(self.families) - 1.0 / self.families
        return float(np.linalg.eigvals(out @ self.jacobian(x) @ out).real.max())

    # ------------------------------------------------------------------ lock-in and noise

    def thresholds(self) -> Thresholds:
        """Find both thresholds of a twin whose families differ in nothing but their records.

        The symmetric state loses stability, and the locked-in one folds. Both belong to ``p(x) = x``, what shares rest
        at, and so depend neither on rates nor on forgetting. The exploration of all agents varies at once.
        """
        K, rate, equal = self.families, self.total_inflow(), 1.0 / self.families
        greedy = self._greedy()

        gamma = float(sum(s.rate * s.published[0] * self.reinforcement(s) for s in self.sources)) / rate
        if K == 1 or self._from_equality(0.0, rate) <= 0:
            return Thresholds(0.0, 0.0, 0.0, equal)
        symmetric, closed = float(brentq(self._from_equality, 0.0, 1.0, (rate,), xtol=1e-14)), 1.0 - 1.0 / gamma

        # From near equality to near monopoly, in steps of the winner's log-odds.
        odds = np.linspace(math.log(equal / (1 - equal)) + 0.02, FARTHEST, 500)
        shares = 1.0 / (1.0 + np.exp(-odds))
        rising = np.flatnonzero([greedy._turn(s, rate) > 0 for s in shares])
        if not len(rising):
            return Thresholds(symmetric, closed, symmetric, equal)
        share = float(brentq(greedy._turn, shares[rising[-1]], shares[rising[-1] + 1], (rate,), xtol=1e-15))
        drawn = greedy.allocation(winner(share, K))[0]
        return Thresholds(symmetric, closed, float((drawn - share) / (drawn - 1 / K)), share)

    def _from_equality(self, exploration: float, rate: float) -> float:
        """Return how fast differences between equal families grow at some exploration, records coming in."""
        change = self.exploring(exploration).inflow_jacobian(np.full(self.families, 1.0 / self.families)) / rate
        return float(np.linalg.eigvals(change).real.max()) - 1.0

    def _turn(self, share: float, rate: float) -> float:
        """Return the sign of the slope of the exploration at which a winner's share is steady, records coming in."""
        K = self.families
        x = winner(share, K)
        drawn = self.allocation(x)[0]
        rise = float((self.inflow_jacobian(x) @ (winner(1.0, K) - winner(0.0, K)))[0]) / rate
        return float((rise - 1) * (drawn - 1.0 / K) - (drawn - share) * rise)

    def locked_in(self, exploration: float) -> float:
        """Return the share of the winner in the stable locked-in state at some exploration; NaN where there is none."""
        limits, K, greedy = self.thresholds(), self.families, self._greedy()
        if exploration >= limits.fold:
            return math.nan
        if exploration == 0:
            return 1.0

        return float(brentq(greedy._gap, max(limits.locked_in, 1 / K + 1e-9), 1.0 - 1e-15, (exploration,), xtol=1e-15))

    def _gap(self, share: float, exploration: float) -> float:
        """Return what a winner draws at some exploration above its share."""
        drawn = self.allocation(winner(share, self.families))[0]
        return float(drawn - share - exploration * (drawn - 1 / self.families))

    def _greedy(self) -> Twin:
        """Return the twin that only reinforces; refuse one whose families are not alike."""
        if any((s.adjacency and s.exploration) or s.coverage for s in self.sources if s.rate):
            alike = "families that differ in their records only (adjacency 0, coverage_seeking 0)"
            raise ConfigurationError(f"twin: thresholds need {alike}")
        return self.exploring(0.0)

    def share_spread(
        self, ticks: int, start: Float | None = None, *, initial: Float | None = None, until: int | None = None
    ) -> Float:
        """Return the covariance of the shares along the map, to first order in the noise (ticks + 1, K, K).

        Parameters
        ----------
        ticks : int
        start : float (K,), optional
            Records at the beginning; founding if not given.
        initial : float (K, K), optional
            Their covariance; 0 if not given.
        until : int, optional
            First tick without chance; chance never ends if not given.
        """
        spread = np.zeros((self.families, self.families)) if initial is None else initial
        records = self.map(ticks, start).records
        out = [of_shares(spread, records[0])]
        for t, (x, after) in enumerate(pairwise(records)):
            J = self.jacobian(x)
            spread = J @ spread @ J.T
            if until is None or t < until:
                spread = spread + tick_noise(self, x, self.mass * math.exp(-self.forgetting * t))
            out.append(of_shares(spread, after))
        return np.array(out)


def winner(share: float, K: int) -> Float:
    """Return shares with one winner and equal others (K,)."""
    return np.concatenate([[share], np.full(K - 1, (1.0 - share) / (K - 1))])


# --------------------------------------------------------------------------- noise

# Linear noise about the twin: how far chance takes the ecosystem from it, to first order in N^-1/2.


def tick_noise(twin: Twin, x: Float, mass: Float) -> Float:
    """Return the covariance of the records that one tick of chance adds (K, K).

    Records other than founding mass are thinned one by one; curators and planners draw families
    one by one, and what planners find is deposited or not.
    """
    keep = math.exp(-twin.forgetting)
    half = twin.halves(x)
    thinned = half.curated @ np.diag((x - mass) * keep * (1 - keep)) @ half.curated.T
    drawn = twin.curators.rate * (np.diag(half.chosen) - np.outer(half.chosen, half.chosen))
    deposited = twin.planners.rate * (np.diag(half.published) - np.outer(half.published, half.published))
    return np.asarray(half.planned @ (thinned + drawn) @ half.planned.T + deposited)


def of_shares(covariance: Float, x: Float) -> Float:
    """Return the covariance of the shares from that of the records about a state x (K, K)."""
    change = (np.eye(len(x)) - (x / x.sum())[:, None]) / x.sum()
    return np.asarray(change @ covariance @ change.T)


def urn_variance(a: float, total: float, batches: Sequence[float] | NDArray[np.generic]) -> float:
    """Return the variance of the first family's share of a linear urn after some batches of records.

    ``x0 (1-x0) [1 - prod_t (1 - m_t / (N_t + m_t)^2)]`` for founding mass `a` of `total`, where the
    m_t records of a batch are drawn from the same shares. One record at a time, without end:
    ``x0 (1-x0) / (total + 1)``.
    """
    m = np.asarray(batches, np.float64)
    grown = total + np.cumsum(m)
    return a / total * (1 - a / total) * -math.expm1(float(np.log1p(-m / grown**2).sum()))
