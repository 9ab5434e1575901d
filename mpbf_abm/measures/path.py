"""Path dependence: how much early history decides, what a small change becomes, what undoing costs.

Perturbed copies and interventions share every keyed draw with the run they are compared to (common
random numbers). What differs between them follows from the change alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mpbf_abm.arrays import Float, Int
from mpbf_abm.errors import refuse
from mpbf_abm.model.commons import FOUNDER, LITERATURE, record_keys
from mpbf_abm.model.community import Community, Snapshot
from mpbf_abm.model.indicators import observe, usage
from mpbf_abm.model.modalities import CRYSTAL_GRAPHS, SPECTROSCOPY
from mpbf_abm.model.run import begin
from mpbf_abm.model.spec import RunSpec
from mpbf_abm.model.world import World
from mpbf_abm.parameters import Parameters
from mpbf_abm.stats.paired import simultaneous_intervals

Ticks = Sequence[int]
Observe = Callable[[Community], Any]
Change = Callable[[Community], None]


def family_mass(ecosystem: Community) -> Float:
    """Return the founding mass plus visible records of each family, x_k (K,)."""
    return ecosystem.world.commons.visible().copy()


def largest_share(x: Float | NDArray[np.int64]) -> float:
    """Return the share of the largest family in masses or records (K,)."""
    return float(x.max() / x.sum())


def run_on(ecosystem: Community, ticks: int) -> Community:
    """Step a community for some ticks, and return it."""
    for _ in range(ticks):
        ecosystem.step()
    return ecosystem


def run_to(
    parameters: Parameters, seed: int, ticks: int | Sequence[int], *, observe: Observe = family_mass, **fields: Any
) -> NDArray[Any]:
    """Run a community without records of its course and observe it after some ticks.

    Parameters
    ----------
    parameters : Parameters
    seed : int
    ticks : int or increasing sequence of int
        Ticks after which to observe.
    observe : callable
        What is taken from the community; by default its family masses (K,).
    **fields
        Of the :class:`~mpbf_abm.model.spec.RunSpec` (space, reseed, policies, shocks, planners).

    Returns
    -------
    array
        What was observed; with several ticks, one row for each.
    """
    ecosystem = begin(RunSpec(parameters, seed, **fields), record=())
    if isinstance(ticks, (int, np.integer)):
        return np.asarray(observe(run_on(ecosystem, int(ticks))))
    return watched(ecosystem, ticks, observe)


def watched(ecosystem: Community, at: Sequence[int], observe: Observe = family_mass) -> NDArray[Any]:
    """Run a community on and return what is observed at some ticks, one row each."""
    seen = []
    for tick in range(ecosystem.tick, max(at) + 1):
        if tick in at:
            seen.append(observe(ecosystem))
        if tick < max(at):
            ecosystem.step()
    return np.asarray(seen)


def unchanged(ecosystem: Community) -> None:
    """Leave a community as it is."""


def follow(
    snapshot: Snapshot,
    at: Ticks,
    observe: Observe = family_mass,
    *,
    seed: int | None = None,
    change: Change = unchanged,
) -> NDArray[Any]:
    """Run a community on from a snapshot and observe it at some ticks.

    Parameters
    ----------
    snapshot : Snapshot
    at : increasing sequence of int
        Ticks of the run, from that of the snapshot on.
    observe : callable
        What is taken from the community; by default its family masses (K,).
    seed : int, optional
        Another future: draws from the snapshot on come from this seed.
    change : callable
        What is done to the community before it goes on.

    Returns
    -------
    array
        What was observed, one row for each tick.
    """
    ecosystem = Community.restore(snapshot, reseed=None if seed is None else {snapshot.world.tick: seed})
    change(ecosystem)
    return watched(ecosystem, at, observe)


# --------------------------------------------------------------------------- early history


def split_streams(
    parameters: Parameters, split: int, ticks: int, seeds: Sequence[int], **options: Any
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return outcomes of pairs of runs that share their draws up to a tick and none after it.

    Parameters
    ----------
    parameters : Parameters
    split : int
        First tick whose draws differ.
    ticks : int
        Horizon.
    seeds : sequence of int
        One early stream for each pair; the two late streams follow from it.
    **options
        As for :func:`run_to` (space, observe).

    Returns
    -------
    two arrays (pairs, ...)
    """

    def ends(branch: int) -> NDArray[Any]:
        reseeds = [(seed, {split: seed ^ (1 << branch)}) for seed in seeds]
        return np.asarray([run_to(parameters, seed, ticks, reseed=reseed, **options) for seed, reseed in reseeds])

    return ends(61), ends(60)


def early_stream_index(first: NDArray[Any], second: NDArray[Any]) -> tuple[float, float]:
    """Return the Sobol index of the early stream by pick-freeze, and its standard error.

    Outcomes of several numbers have one index, of their summed variances (Gamboa et al. 2014).

    ``S = Cov(Y, Y') / Var Y`` for pairs that share early draws only: the share of an outcome's
    variance that early history decides, between 0 (none) and 1 (all). The estimator uses both runs of a
    pair for mean and variance (Janon et al. 2014), less what the estimated mean takes from both; the standard
    error is that of its linearisation.

    Parameters
    ----------
    first, second : arrays (pairs,) or (pairs, numbers)

    Raises
    ------
    ConfigurationError
        For fewer than three pairs, or outcomes that do not vary.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    refuse(
        a.shape != b.shape or a.ndim not in (1, 2) or len(a) < 3,
        "the early-stream index needs at least three pairs of outcomes",
    )
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    mean = (a + b).mean(axis=0) / 2
    together = ((a - mean) * (b - mean)).sum(axis=1)
    alone = ((a - mean) ** 2 + (b - mean) ** 2).sum(axis=1) / 2
    # The mean of n pairs varies by (V + C) / 2n, which both variance and covariance about it lack.
    lacking = (together.mean() + alone.mean()) / (2 * (len(a) - 1))
    variance = alone.mean() + lacking
    refuse(not variance > 0, "the early-stream index needs outcomes that vary")
    index = float((together.mean() + lacking) / variance)
    influence = (together - index * alone) / variance
    return index, float(influence.std(ddof=1) / math.sqrt(len(a)))


# --------------------------------------------------------------------------- perturbed copies


def damage(first: NDArray[Any], second: NDArray[Any]) -> Float:
    """Return the total variation distance of two communities: half the summed absolute differences of family shares.

    Parameters
    ----------
    first, second : arrays (..., K)
        Family masses, records or experiments; normalised along the last axis.

    Returns
    -------
    float (...,)
        0 (alike) to 1 (nothing in common).
    """
    x, y = np.asarray(first, np.float64), np.asarray(second, np.float64)
    x, y = x / x.sum(axis=-1, keepdims=True), y / y.sum(axis=-1, keepdims=True)
    return np.asarray(0.5 * np.abs(x - y).sum(axis=-1))


def damage_exponent(before: float, after: float, volumes: Sequence[float] | Float) -> float:
    """Return the exponent d ln D / d ln N of damage between two sizes of the commons, by what each step added.

    Damage that changes by the factor ``1 + q m_t / (N_t + m_t)`` in a step from N_t to N_t + m_t records
    has exponent q; in steps of one record this is the slope on logarithmic axes.

    Parameters
    ----------
    before, after : float
        Damage at the first and at the last size.
    volumes : sequence of float
        Sizes N_0 <= N_1 <= ... after each step. Where records go out of sight there is no such exponent: NaN.
    """
    from scipy.optimize import brentq

    if not (before > 0 and after > 0):
        return math.nan
    n = np.asarray(volumes, np.float64)
    step = np.diff(n) / n[1:]
    if step.min() < 0:
        return math.nan
    lowest = -1.0 / step.max() + 1e-9
    return float(brentq(lambda q: np.log1p(q * step).sum() - math.log(after / before), lowest, 50.0))


# --------------------------------------------------------------------------- interventions


def deposit(ecosystem: Community, family: int, count: int, *, measured: bool = False) -> None:
    """Enter extra records of one family between two ticks, as literature that anyone can read.

    Parameters
    ----------
    ecosystem : Community
    family : int
    count : int
        Number of records m; materials are taken in turn.
    measured : bool
        Whether their labels are measured (without noise) rather than simulated.

    Raises
    ------
    ConfigurationError
        For a family that the space does not have, or a negative count.
    """
    world, space = ecosystem.world, ecosystem.world.space
    allowed = f"must be a family from 0 to {space.families - 1} and a count from 0"
    refuse(not 0 <= family < space.families or count < 0, f"deposit: family = {family}, count = {count}: {allowed}")
    if not count:
        return
    noise, truth, index = world.p.modalities, world.truth, np.arange(count)
    kind, value, sd = CRYSTAL_GRAPHS, truth.simulated, noise.simulated_noise
    if measured:
        kind, value, sd = SPECTROSCOPY, truth.property, noise.measured_noise
    material = space.start[family] + index % space.family_sizes[family]
    # Keys of founders of a later tick: no other record has them.
    held = int(np.count_nonzero((world.commons.producer == -1) & (world.commons.tick == world.tick)))
    keys = record_keys(FOUNDER, (held + index) >> 15, world.tick + 1, (held + index) & 0x7FFF)
    modality, origin = np.full(count, kind, np.int8), np.full(count, LITERATURE, np.int8)
    sought = (index % space.properties).astype(np.int8)
    what = {"key": keys, "material": material, "property": sought, "modality": modality, "origin": origin}
    what["value"] = value[space.pairs(sought, material)]
    where = {"repository": np.int32(0), "producer": -1, "tick": world.tick, "federated": True}
    world.commons.append(**what, **where, variance=np.float32(max(1e-6, sd**2)))


def deposited(family: int, count: int) -> Change:
    """Return the change of a community by :func:`deposit`."""
    return lambda ecosystem: deposit(ecosystem, family, count)


def share_after_deposit(x: float, N: float, m: float) -> float:
    """Return the share of a family after m extra records at size N: ``(x N + m) / (N + m)`` (linear urn: for good)."""
    return (x * N + m) / (N + m)


def cost_of_reversal(x: float, N: float, D: float) -> float:
    """Return the extra records that move a share x by D at size N: ``N D / (1 - x - D)``; infinite if x + D >= 1."""
    return N * D / (1.0 - x - D) if x + D < 1 else math.inf


# --------------------------------------------------------------------------- monopoly


def monopoly_chance(a: float, b: float, g: float) -> float:
    """Return the chance that the first of two colours takes all but finitely many draws, reinforcement g > 1.

    Rubin's construction (Davis 1990): each colour's arrivals are a pure birth process with rates
    ``j^g``, the one that explodes first wins: ``P(sum_{j>=a} E_j / j^g < sum_{j>=b} E'_j / j^g)``, here by
    Gil-Pelaez inversion of the difference's characteristic function. Masses grow in steps of one from a and b.

    Raises
    ------
    ConfigurationError
        Unless g > 1 and both masses are positive.
    """
    given = f"g = {g:g}, masses {a:g}, {b:g}"
    wrong = not g > 1 or not a > 0 or not b > 0
    refuse(wrong, f"monopoly needs reinforcement above 1 and positive masses, not {given}")
    if a == b:
        return 0.5
    if a > b:
        return 1.0 - monopoly_chance(b, a, g)
    # The sums are cut at a common index, beyond which both are nearly normal.
    terms = 5_000
    j = np.arange(float(terms))
    first, second = (a + j) ** -g, (b + j) ** -g
    # What the cut leaves of the difference of means (integral of the tails, midpoint rule).
    tail = ((a + terms - 0.5) ** (1 - g) - (b + terms - 0.5) ** (1 - g)) / (g - 1)
    # And of the variances; higher cumulants of the tails are negligible.
    spread = ((a + terms - 0.5) ** (1 - 2 * g) + (b + terms - 0.5) ** (1 - 2 * g)) / (2 * g - 1)

    def integrand(s: Float) -> Float:
        t = np.exp(s)
        log = np.zeros(len(t), np.complex128)
        for k in range(0, terms, 1000):
            log -= np.log1p(-1j * t[:, None] * first[k : k + 1000]).sum(axis=1)
            log -= np.log1p(1j * t[:, None] * second[k : k + 1000]).sum(axis=1)
        # dt / t = ds on the logarithmic axis
        return np.asarray(np.imag(np.exp(log + 1j * t * tail - 0.5 * t**2 * spread)))

    s = np.linspace(math.log(1e-8 / first[0]), math.log(1e8 / first[0]), 1601)
    return float(np.clip(0.5 - np.trapezoid(integrand(s), s) / math.pi, 0.0, 1.0))


# --------------------------------------------------------------------------- degrees

# Degrees of path dependence of Liebowitz and Margolis (1995): whether there is a loss, and whether it could be avoided.
#
# First degree: history matters, and nothing is lost by it. Second: a better path existed, but it could not be known.
# Third: a policy that acts on what was known at the time does better, so that the loss could be remedied. All arms
# enter the same number of records at the same tick and differ in the families alone; the oracle knows nature.

Degree = Literal["first", "second", "third", "undecided"]

AIMED = 5  # families that a policy enters records of


@dataclass(frozen=True)
class Degrees:
    """What comparison of the arms says.

    Attributes
    ----------
    degree : str
        ``first``, ``second``, ``third`` or ``undecided``.
    oracle, informed : (mean, low, high)
        Gain over laissez-faire, with simultaneous 95 % intervals.
    n : int
        Pairs.
    """

    degree: Degree
    oracle: tuple[float, float, float]
    informed: tuple[float, float, float]
    n: int


def degree(laissez_faire: ArrayLike, informed: ArrayLike, oracle: ArrayLike, smallest: float) -> Degrees:
    """Return the degree of path dependence from paired outcomes of three arms, more being better.

    Parameters
    ----------
    laissez_faire, informed, oracle : float (n,)
        Outcomes on the same draws.
    smallest : float
        Smallest gain of interest, above 0: what is surely smaller is no loss.

    Returns
    -------
    Degrees
        ``first`` where the oracle surely gains less than the smallest gain of interest; ``third`` where the informed
        policy surely gains that much or its gain is surely above 0 and the oracle's mean above it; ``second`` where the
        oracle's gain is surely above 0 and the informed policy's surely below the smallest of interest; else
        ``undecided``.

    Raises
    ------
    ConfigurationError
        For fewer than three pairs, or a smallest gain that is not above 0.
    """
    arms = [np.asarray(v, np.float64) for v in (laissez_faire, informed, oracle)]
    wrong = len({a.shape for a in arms}) != 1 or arms[0].ndim != 1 or len(arms[0]) < 3 or not smallest > 0
    refuse(wrong, "degrees: three paired arms of at least three outcomes, and a smallest gain above 0, are needed")
    gains = np.column_stack([arms[2] - arms[0], arms[1] - arms[0]])
    both = simultaneous_intervals(gains, events=[False, False])

    # Differences that are all 0 have no error, and no interval where pairs are few.
    ends = np.where(gains.any(axis=0), [both.mean, both.low, both.high], 0.0).T.tolist()
    oracle_gain, informed_gain = map(tuple, ends)
    return Degrees(_degree(oracle_gain, informed_gain, smallest), oracle_gain, informed_gain, len(arms[0]))


def _degree(oracle: Sequence[float], informed: Sequence[float], smallest: float) -> Degree:
    """Return the degree that the gains (mean, low, high) of the oracle and of the informed policy show."""
    mean, low, high = informed
    if low > 0 and mean >= smallest:
        return "third"
    if oracle[2] < smallest:
        return "first"
    return "second" if oracle[1] > 0 and high < smallest else "undecided"


# --------------------------------------------------------------------------- policies


def current(world: World) -> Float:
    """Return the worth of families to laissez-faire: the records they have now (K,)."""
    return np.asarray(world.commons.visible().astype(np.float64))


def informed(world: World) -> Float:
    """Return untested materials of each family times the share that models predict above the reference (K,).

    All 0 where no model is in use.
    """
    worth = np.zeros((world.space.properties, world.space.families))
    for weight, model in usage(world):
        worth[model.of_property] += weight * (model.panel_mean > world.reference[model.of_property]).mean(axis=1)
    return np.asarray((worth * world.space.by_property(world.commons.untested)).sum(axis=0))


def oracle(world: World) -> Float:
    """Return the undiscovered materials of the top set in each family (K,)."""
    left = np.flatnonzero(world.truth.top & world.space.feasible & (world.discoveries.tick < 0))
    families = world.space.families
    return np.bincount(world.space.cells(left) % families, minlength=families).astype(np.float64)


POLICIES: Mapping[str, Callable[[World], Float]] = {"laissez-faire": current, "informed": informed, "oracle": oracle}


def allocate(worth: Float, count: int, families: int = AIMED) -> Int:
    """Return records of each family (K,): `count` in proportion to worth over the best few (largest remainders)."""
    best = np.argsort(-worth, kind="stable")[:families]
    weight = np.zeros(len(worth))
    weight[best] = np.maximum(worth[best], 0.0)
    if not weight.any():
        return np.zeros(len(worth), np.int64)
    exact = count * weight / weight.sum()
    whole: Int = np.floor(exact).astype(np.int64)
    rest = np.argsort(whole - exact, kind="stable")[: count - int(whole.sum())]
    whole[rest] += 1
    return whole


def policy_arms(snapshots: Sequence[Snapshot], count: int, ticks: int, *, futures: int = 1) -> pd.DataFrame:
    """Return the share found under every policy, each from the same state on the same draws.

    Parameters
    ----------
    snapshots : sequence of Snapshot
        One community each.
    count : int
        Records that each policy enters, as literature that anyone can read; laissez-faire enters as many, where records
        are now.
    ticks : int
        Horizon of the run, after the snapshots.
    futures : int
        Later courses of each; the first is the community's own.

    Returns
    -------
    DataFrame
        ``community`` (number of the snapshot), ``future``, and a column per policy.

    Raises
    ------
    ConfigurationError
        For no snapshot, a negative count, or a horizon that is over.
    """
    needed = "communities before their end, and 0 records or more, are needed"
    wrong = not snapshots or count < 0 or any(ticks <= s.world.tick for s in snapshots)
    refuse(wrong, f"policy arms: count = {count}, ticks = {ticks}: {needed}")
    rows = []
    for i, snapshot in enumerate(snapshots):
        for future in range(futures):
            row: dict[str, float] = {"community": i, "future": future}
            for name, worth in POLICIES.items():
                reseed = {snapshot.world.tick: snapshot.seed ^ (future << 59)} if future else None
                eco = Community.restore(snapshot, reseed=reseed)
                for family, extra in enumerate(allocate(worth(eco.world), count)):
                    deposit(eco, family, int(extra))
                row[name] = observe(run_on(eco, ticks - eco.tick).world)["found_share"]
            rows.append(row)
    return pd.DataFrame(rows)
