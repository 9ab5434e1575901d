"""The effective urn: the few numbers by which a community with real learners would be an urn, measured by intervention.

A generalised Polya urn gives family k the share ``F_k = ε e_k + (1-ε) φ_k`` of new records, ``φ_k ~ x_k^γ``. In a
community that learns, models add weights, which records move. Extra records of a family, under common
random numbers, say by how much: ``γ_eff = d logit φ_k / d logit x_k`` (at fixed weights this is γ), and the share of a
change of φ that reaches F is ``1 - ε_eff``. Regression on a community's history could not: families with merit have
more records.

With these numbers urn theory predicts what becomes of a displacement, at three levels. The first is the law of equal
families (:attr:`EffectiveUrn.exponent`), the second the law at the state where the community is
(:func:`local_exponent`). The third lets an urn run on from there (:func:`fitted_twin`), in which models keep what they
think of each family.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mpbf_abm.arrays import Bool, Float, Int
from mpbf_abm.errors import refuse
from mpbf_abm.measures.path import Change, Ticks, deposit, deposited, follow, run_on, unchanged
from mpbf_abm.model.attention import power
from mpbf_abm.model.commons import EXPERIMENT, FAILED
from mpbf_abm.model.community import Community, Snapshot
from mpbf_abm.model.curators import curator_attention
from mpbf_abm.model.opening import unfolds
from mpbf_abm.model.planners import planner_attention
from mpbf_abm.model.world import World
from mpbf_abm.processes import one_thread
from mpbf_abm.theory.twin import Source, Twin

Families = Sequence[int] | Int

FRACTION = 0.25  # extra records of a family, in parts of what it has


class Flow(NamedTuple):
    """Where records are expected to go.

    Attributes
    ----------
    rates : float (2,)
        Records per tick of curators and of planners.
    total, steered : float (2, K)
        Share of each family in the choices of curators and of planners, and in those that follow what is known.
    """

    rates: Float
    total: Float
    steered: Float

    def mixed(self, shares: Float) -> Float:
        """Return the shares of curators and planners together (K,)."""
        return np.asarray(self.rates @ shares / self.rates.sum())


@dataclass(frozen=True)
class EffectiveUrn:
    """What interventions in some families measured, one entry for each.

    Attributes
    ----------
    family : int (F,)
    share : float (F,)
        Share of the family in the records before the intervention.
    added : int (F,)
        Extra records.
    gamma : float (F,)
        Effective reinforcement.
    gamma_of : float (2, F)
        That of curators alone and of planners alone (NaN for who enters no records, not finite without any attention).
    passed : float (F,)
        Change of the family's share of new records over that of the steered part: ``1 - ε_eff``.
    local : float (F,)
        Exponent of a small displacement of the family's share (:func:`local_exponent`).
    flow : Flow
        Without intervention, when it was measured.
    records : float (K,)
        Records of each family then.
    """

    family: Int
    share: Float
    added: Int
    gamma: Float
    gamma_of: Float
    passed: Float
    local: Float
    flow: Flow
    records: Float

    @property
    def reinforcement(self) -> float:
        """Effective reinforcement gamma_eff of the community: the mean over families."""
        return float(self.gamma.mean())

    @property
    def exploration(self) -> float:
        """Effective exploration eps_eff: by the median family, as a share that hardly moves has no ratio."""
        return float(1.0 - np.median(self.passed))

    @property
    def exponent(self) -> float:
        """Exponent of damage in an urn of equal families with these numbers, ``(1 - ε_eff) γ_eff - 1``."""
        return (1.0 - self.exploration) * self.reinforcement - 1.0

    def numbers(self) -> dict[str, float]:
        """Return effective reinforcement and exploration, and the exponent of equal families, by short names."""
        return {"gamma_eff": self.reinforcement, "eps_eff": self.exploration, "law": self.exponent}

    @property
    def threshold(self) -> float:
        """Exploration above which equal families of such an urn stay equal, ``1 - 1/γ_eff`` (0 where γ_eff <= 1)."""
        return 1.0 - 1.0 / max(1.0, self.reinforcement)


# --------------------------------------------------------------------------- interventions


def flow(ecosystem: Community, window: int) -> Flow:
    """Return where the next records are expected to go, with the models as they are.

    Rates are those of the last `window` ticks.
    """
    world = ecosystem.world
    refuse(unfolds(world), "effective urn: commons.concentration, commons.discount: all families are open (0)")
    commons = world.commons
    recent = commons.alive & (commons.tick >= world.tick - window) & (commons.producer >= 0)
    tested = np.isin(commons.origin, (EXPERIMENT, FAILED))
    rates = np.array([(recent & ~tested).sum(), (recent & tested).sum()], np.float64) / window
    refuse(not rates.any(), f"effective urn: no record was entered in the last {window} ticks")
    shares = np.zeros((2, 2, world.space.families))
    with one_thread():
        groups = ((world.curators, curator_attention), (world.planners, planner_attention))
        for i, (agents, attention) in enumerate(groups):
            if len(agents):
                shares[:, i] = [_mean(share) for share in (attention(world), attention(world, np.zeros(len(agents))))]
    return Flow(rates, *shares)


def _mean(share: Float) -> Float:
    """Return the mean share of each family over agents (n, K), whose rows may not sum to 1 (K,)."""
    mass = share.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(share, mass, out=np.zeros_like(share), where=mass > 0).mean(axis=0))


def at_mass_quantiles(x: Float, count: int) -> Int:
    """Return families that hold the middles of `count` equal parts of all records, then the largest others.

    Unweighted means over them are about means over records.

    Raises
    ------
    ConfigurationError
        If fewer families have records.
    """
    order = np.argsort(-x, kind="stable")
    order = order[x[order] > 0]
    refuse(
        not 1 <= count <= len(order),
        f"effective urn: families = {count}: must be 1 to {len(order)}, those with records",
    )
    middles = (np.arange(count) + 0.5) / count
    at = np.unique(np.searchsorted(np.cumsum(x[order]) / x[order].sum(), middles))
    spare = np.setdiff1d(np.arange(len(order)), at)
    return np.asarray(order[np.sort(np.concatenate([at, spare[: count - len(at)]]))])


def extra_records(x: Float, families: Families, fraction: float) -> Int:
    """Return the extra records of each family: a fraction of those it has, at least one (F,)."""
    chosen = np.asarray(families, np.int64)
    refuse(not fraction > 0, f"effective urn: fraction = {fraction:g}: must be above 0")
    refuse(
        not len(chosen) or chosen.min() < 0 or chosen.max() >= len(x) or (x[chosen] <= 0).any(),
        "effective urn: every family of an intervention must exist and have records",
    )
    return np.maximum(1, np.rint(fraction * x[chosen])).astype(np.int64)


def intervene(
    snapshot: Snapshot, families: Families, *, fraction: float = FRACTION, wait: int | None = None
) -> EffectiveUrn:
    """Measure effective reinforcement and exploration by extra records, one family at a time.

    Parameters
    ----------
    snapshot : Snapshot
        The community, after at least one tick.
    families : sequence of int
    fraction : float
        Extra records of a family over those it has.
    wait : int, optional
        Ticks until the flows are compared; by default until every trainer has retrained. With 0 models are
        the same, and gamma_eff is the rule's own.

    Raises
    ------
    ConfigurationError
        Before the first tick, and for families without records.
    """
    ticks = snapshot.parameters.trainers.retrain_interval if wait is None else wait
    refuse(
        snapshot.world.tick < 1 or ticks < 0,
        "effective urn: is measured after the first tick, with a wait of 0 or more ticks",
    )
    window = min(snapshot.world.tick, max(ticks, 1))
    before = snapshot.world.commons.visible().copy()
    added = extra_records(before, families, fraction)
    x, plain = _branch(snapshot, ticks, window)
    rows = []
    for k, m in zip(np.asarray(families), added, strict=True):
        x_moved, moved = _branch(snapshot, ticks, window, int(k), int(m))
        turned = logit(x_moved)[k] - logit(x)[k]
        mixed = [f.mixed(f.steered) for f in (plain, moved)]
        gamma = (logit(mixed[1])[k] - logit(mixed[0])[k]) / turned
        with np.errstate(invalid="ignore"):
            # Neither has a family without any attention an exponent.
            turn = [(logit(moved.steered[i])[k] - logit(plain.steered[i])[k]) / turned for i in range(2)]
        of = [turn[i] if plain.rates[i] else math.nan for i in range(2)]
        change = moved.mixed(moved.total)[k] - plain.mixed(plain.total)[k]
        passed = change / (mixed[1][k] - mixed[0][k])
        rows.append((gamma, *of, passed, local_exponent(gamma * passed, mixed[0][k], x[k] / x.sum())))
    gamma, curators, planners, passed, local = np.array(rows).T
    chosen, share = np.asarray(families, np.int64), before[families] / before.sum()
    return EffectiveUrn(chosen, share, added, gamma, np.array([curators, planners]), passed, local, plain, x)


def _branch(snapshot: Snapshot, ticks: int, window: int, family: int = 0, count: int = 0) -> tuple[Float, Flow]:
    """Return the records by family and expected flow some ticks on, with `count` extra records of a family."""
    eco = Community.restore(snapshot)
    deposit(eco, family, count)
    run_on(eco, ticks)
    return eco.world.commons.visible().copy(), flow(eco, window)


def displacements(
    snapshot: Snapshot, families: Families, at: Ticks, *, fraction: float = FRACTION, seed: int | None = None
) -> tuple[Float, Float, Float]:
    """Follow extra records: displaced share of the family, and damage, at some ticks.

    Parameters
    ----------
    snapshot : Snapshot
    families : sequence of int
        One perturbed copy each.
    at : increasing sequence of int
        Ticks of the run, from that of the snapshot on.
    fraction : float
        As for :func:`intervene`.
    seed : int, optional
        Another future: draws from the snapshot on come from this seed, in all copies alike.

    Returns
    -------
    records (T, K), own (F, T), damage (F, T)
        Records of the untouched run; difference of the family's own share, twin minus untouched; half the sum of
        absolute differences of all shares.
    """
    chosen = np.asarray(families, np.int64)
    added = extra_records(snapshot.world.commons.visible(), chosen, fraction)

    def path(family: int = 0, count: int = 0) -> Float:
        return follow(snapshot, at, seed=seed, change=deposited(family, count))

    plain = path()
    own, damage = compared(plain, np.array([path(int(k), int(m)) for k, m in zip(chosen, added, strict=True)]), chosen)
    return plain, own, damage


def compared(plain: Float, twins: Float, families: Int) -> tuple[Float, Float]:
    """Return the displacement of each own share, and damage (F, T), in perturbed copies (F, T, K) of a run (T, K)."""
    gap = twins / twins.sum(axis=2, keepdims=True) - plain / plain.sum(axis=1, keepdims=True)
    return np.take_along_axis(gap, families[:, None, None], axis=2)[..., 0], 0.5 * np.abs(gap).sum(axis=2)


# --------------------------------------------------------------------------- predictions of urn theory


def local_exponent(slope: float, steered: float, share: float) -> float:
    """Return the exponent d ln D / d ln N of a small displacement of one family's share where an urn stands now.

    ``(1-ε)γ φ(1-φ) / (s(1-s)) - 1``, with `slope` (1-ε)γ, `steered` φ and `share` s. Where φ = s, as between equal
    families, it is ``(1-ε)γ - 1``.
    """
    return slope * steered * (1.0 - steered) / (share * (1.0 - share)) - 1.0


def fitted_twin(urn: EffectiveUrn, snapshot: Snapshot) -> Twin:
    """Return the mean-field urn with the numbers that were measured.

    Attention is the model's, and each group has its own measured reinforcement. Models keep what they think of each
    family beyond its records, ``a_k = φ_k / x_k^γ_eff`` as it was measured.
    """
    p, x, K = snapshot.world.p, urn.records, len(urn.records)
    gammas = [_finite_mean(gamma) for gamma in urn.gamma_of]
    merits = [merit(steered, x, gamma) for steered, gamma in zip(urn.flow.steered, gammas, strict=True)]
    rates, every = urn.flow.rates.tolist(), np.ones(K)
    c, q = p.curators, p.planners
    explore = [max(who.exploration, who.exploration_floor) for who in (c, q)]
    curators = Source(rates[0], every, explore[0], gammas[0], c.adjacency, c.coverage_seeking, merits[0])
    planners = Source(rates[1], every, explore[1], gammas[1], q.adjacency, merit=merits[1])
    records, alike = snapshot.world.commons.visible().copy(), snapshot.world.space.similarity
    return Twin(np.zeros(K), records, curators, planners, p.commons.forgetting, alike)


def _finite_mean(gamma: Float) -> float:
    """Return the mean exponent over families that a group attends to; 1 for a group without records."""
    known = gamma[np.isfinite(gamma)]
    return float(known.mean()) if len(known) else 1.0


def merit(steered: Float, x: Float, gamma: float) -> Float:
    """Return the worth of families beyond their records, ``φ_k / x_k^γ``, with mean 1 over those with records (K,)."""
    attraction = power(x, gamma)
    worth = np.divide(steered, attraction, out=np.zeros_like(steered), where=attraction > 0)
    mean = worth[x > 0].mean()
    return np.asarray(worth / mean) if mean > 0 else np.ones_like(worth)


def predicted(twin: Twin, families: Families, added: Int, ticks: Sequence[int]) -> tuple[Float, Float, Float]:
    """Predict records, displacement of the own share, and damage in a twin: as :func:`displacements`."""
    chosen, horizon = np.asarray(families, np.int64), max(ticks)
    plain = twin.map(horizon).records[list(ticks)]
    eye, pairs = np.eye(twin.families), zip(chosen, added, strict=True)
    moved = [twin.map(horizon, twin.start + m * eye[k]).records[list(ticks)] for k, m in pairs]
    return plain, *compared(plain, np.array(moved), chosen)


def early_index(twin: Twin, start: Float, drawn: float, split: int, ticks: int) -> float:
    """Return the early-stream Sobol index of the shares (summed over families) in a twin, to first order in the noise.

    Parameters
    ----------
    twin : Twin
    start : float (K,)
        Expected records at founding, mass included.
    drawn : float
        Founding records that are drawn one by one; the early stream has them too.
    split : int
        Ticks of the early stream.
    ticks : int
        Horizon.
    """
    p = start / start.sum()
    founding = drawn * (np.diag(p) - np.outer(p, p))
    spread = [twin.share_spread(ticks, start, initial=founding, until=until)[-1] for until in (None, split)]
    both, early = (float(np.trace(s)) for s in spread)
    return early / both


def lasting_cost(x: float, N: float, D: float, grown: float) -> float:
    """Return extra records that leave a share x displaced by D in the end, if displacements change by `grown`.

    ``N d / (1 - x - d)`` with ``d = D / grown``; infinite where the share cannot be moved so far.
    """
    d = D / grown if grown > 0 else math.inf
    return N * d / (1.0 - x - d) if x + d < 1 else math.inf


def logit(values: Float) -> Float:
    """Return the log-odds of each share of a whole."""
    share = values / values.sum()
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(share) - np.log1p(-share))


# --------------------------------------------------------------------------- bias gain

# The gain of the bias loop, measured by intervention: how much of the records' bias new records inherit.
#
# Models learn what records say, and generated labels say what models have learned. If every record said a little more,
# new records would say ``L`` times as much more: L is the loop's gain per generation of records. Without renewal, an
# urn of biases then has the displacement of the corpus' mean bias grow as ``N^(L - 1)``: it is thinned out below L = 1,
# and grows above.


SIZE = 0.5  # shift of every record, in standard deviations of the property


def shift_records(ecosystem: Community, size: float) -> None:
    """Let every record that has a label say `size` more, between two ticks."""
    commons = ecosystem.world.commons
    rows = np.flatnonzero(_labelled(ecosystem.world))
    commons.rewrite(rows, (commons.value[rows] + size).astype(np.float32), commons.variance[rows])


def corpus_bias(world: World, since: int = -(2**31)) -> float:
    """Return the mean of record minus truth over labelled records entered since a tick; NaN without any."""
    commons = world.commons
    rows = np.flatnonzero(_labelled(world) & (commons.tick >= since))
    if not len(rows):
        return math.nan
    return float((commons.value[rows] - world.truth.property[commons.pairs(rows)]).mean(dtype=np.float64))


def _labelled(world: World) -> Bool:
    return np.asarray(world.commons.alive & (world.commons.origin != FAILED))


def bias_gain(snapshot: Snapshot, *, size: float = SIZE, wait: int | None = None) -> float:
    """Measure the loop gain L: shift of new records over the shift of the corpus when they begin.

    Parameters
    ----------
    snapshot : Snapshot
    size : float
        Shift in standard deviations of the property.
    wait : int, optional
        Ticks until models know of it, and over which new records are then taken; by default the interval in which every
        trainer retrains once.

    Raises
    ------
    ConfigurationError
        For a shift of 0 or a wait below one tick.
    """
    ticks = snapshot.parameters.trainers.retrain_interval if wait is None else wait
    refuse(not size or ticks < 1, f"bias gain: size = {size:g}, wait = {ticks}: must be a shift and at least one tick")
    since = snapshot.world.tick + ticks

    def look(ecosystem: Community) -> tuple[float, float]:
        return corpus_bias(ecosystem.world), corpus_bias(ecosystem.world, since)

    plain, moved = (follow(snapshot, [since, since + ticks], look, change=_shift(s)) for s in (0.0, size))
    return float((moved[1, 1] - plain[1, 1]) / (moved[0, 0] - plain[0, 0]))


def bias_displacements(
    snapshot: Snapshot, at: Ticks, *, size: float = SIZE, seed: int | None = None
) -> tuple[Float, Float]:
    """Follow a shift of every record: labelled records, and displacement of the corpus' mean bias, at some ticks.

    Parameters
    ----------
    snapshot : Snapshot
    at : increasing sequence of int
        Ticks of the run, from that of the snapshot on.
    size : float
        As for :func:`bias_gain`.
    seed : int, optional
        Another future: draws from the snapshot on come from this seed, in both runs alike.

    Returns
    -------
    two arrays (T,)
    """
    plain, moved = (follow(snapshot, at, _labels_and_bias, seed=seed, change=_shift(s)) for s in (0.0, size))
    return plain[:, 0], moved[:, 1] - plain[:, 1]


def _labels_and_bias(ecosystem: Community) -> tuple[float, float]:
    """Return the number of labelled records, and the corpus' mean bias."""
    return float(np.count_nonzero(_labelled(ecosystem.world))), corpus_bias(ecosystem.world)


def _shift(size: float) -> Change:
    return (lambda ecosystem: shift_records(ecosystem, size)) if size else unchanged
