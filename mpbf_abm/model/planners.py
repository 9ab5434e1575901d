"""Experiment planners: adopt a model, choose a family, choose a candidate, experiment (phase steer).

A custom rule: subclass :class:`ExperimentPlanner`, override `family_weights` or `score`,
and hand the class to :func:`mpbf_abm.simulate` as ``planners=``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.arrays import Bool, Float, Float32, Int
from mpbf_abm.errors import RuleError, refuse
from mpbf_abm.learning.acquisition import RULES, posterior_sample, rank_scale, score
from mpbf_abm.learning.models import FoundationModel
from mpbf_abm.model.adapters import adapt, shifts
from mpbf_abm.model.adoption import adopt
from mpbf_abm.model.commons import PLANNER, distinct, record_keys
from mpbf_abm.model.feasibility import weigh_by_chance
from mpbf_abm.model.generation import generate
from mpbf_abm.model.links import NONE
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.modalities import claimed_variance, measurement_sd
from mpbf_abm.model.opening import DORMANT, attend, found, reveal, unfolds
from mpbf_abm.model.rivalry import common_draws, common_sets, set_keys
from mpbf_abm.model.steering import adapted, best_known, channelled_fall, channelled_sd, log_weights
from mpbf_abm.model.world import CohortAgent, Experiments, Planners, World, checked, said_by
from mpbf_abm.streams import normal_quantile, race, splitmix

ATTEMPTS = 16
MOST_EXPERIMENTS = 1 << 16  # of one planner in one tick, so that every record has a separate key
REACH = 4  # a proposal is realised among this many times C materials
ASCENT_STEPS = 10
LEAST_WEIGHT = 1e-300  # of a family by a rule of the user; clocks over smaller ones overflow


class ExperimentPlanner(CohortAgent):
    """A lab. Override a method to give it a custom rule."""

    cohort_type = Planners

    def family_weights(self, share: Float) -> Float:
        """Return weights of this planner's families (K,).

        Parameters
        ----------
        share : float (K,)
            What the standard rule gives: attention times the model's weights. ``self.world``
            has the commons (``world.commons.visible()``), the space and the registry.
        """
        return share

    def score(self, candidates: Int, mean: Float32, sd: Float32, scores: Float32) -> Float32:  # noqa: ARG002
        """Return scores of this planner's candidates (C,); the largest is made.

        Parameters
        ----------
        candidates : int (C,)
            Materials.
        mean, sd : float32 (C,)
            The model's prediction and claimed sd (zeros and ones without a model).
        scores : float32 (C,)
            What the standard acquisition rule gives.
        """
        return scores


def steer(world: World) -> None:
    """Adopt models, then spend every funded experiment."""
    world.results = None
    world.experiments_before = world.experiments.copy()
    planners, budget = world.planners, world.planners.budget
    if not len(planners):
        return
    adopt(world)
    adapt(world)
    world.totals.requested += int(budget.sum())
    # Experiments are made and entered in the order of slots, whatever the order of rows.
    by_slot, most = planners.by_slot, int(budget.max())
    refuse(
        most > MOST_EXPERIMENTS,
        f"{most} experiments of one planner in one tick: at most {MOST_EXPERIMENTS}; "
        + "lower planners.experiments or stocks.matthew, or raise planners.count",
    )
    each = budget[by_slot]
    planner = np.repeat(by_slot, each)
    wave = np.arange(len(planner)) - np.repeat(np.cumsum(each) - each, each)
    model = world.model_in_use()[planner]
    family = choose_families(world, planner, wave)
    kept = family >= 0
    if not kept.any():
        return
    planner, wave, model, family = planner[kept], wave[kept], model[kept], family[kept]
    reveal(world, family)
    world.totals.unsteered += int((model == NONE).sum())
    world.results = choose_and_test(world, planner, wave, model, family)


# --------------------------------------------------------------------------- stage 1: families


def planner_attention(world: World, exploration: Float | None = None) -> Float:
    """Attention of every planner to every family that has a material left (L, K).

    Parameters
    ----------
    world : World
    exploration : float (L,), optional
        In place of the planners' own.
    """
    p, planners, space = world.p.planners, world.planners, world.space
    weight = None
    if p.steering_gain > 0 and (logs := log_weights(world)) is not None:
        in_use = world.model_in_use()
        weight = np.where((in_use >= 0)[:, None], np.exp(adapted(world, logs, in_use)), 1.0)
    if exploration is None:
        exploration = np.maximum(planners.exploration, p.exploration_floor)
    share = attend(world, exploration, p.adjacency, planners.reinforcement, weight)
    for row, rule in world.own("planners").items():
        given = checked(rule, "family_weights", rule.family_weights(share[row].copy()), share[row], 0)
        if share[row].any() and not (given >= LEAST_WEIGHT).any():
            raise RuleError(
                f"{said_by(rule, 'family_weights')} returned 0 for every family: no experiment could be made"
            )
        share[row] = np.where(given < LEAST_WEIGHT, 0, given)
    if not p.repeats:
        share = share * (space.by_property(world.commons.untested) > 0)[planners.property]
    return share


def choose_families(world: World, planner: Int, wave: Int) -> Int:
    """Choose a family for each experiment, -1 where none has a material left (E,)."""
    share, planners = planner_attention(world), world.planners

    def draw(j: int) -> Int:
        family = race(world.family_clocks(f"planner.family.{j}", planners), share)
        if not unfolds(world):
            return family
        lot, clocks = (
            world.uniform(f"planner.founds.{j}", planners, 1),
            world.family_clocks(f"planner.founded.{j}", planners),
        )
        return found(world, family, share, lot, clocks, world.p.planners.adjacency)

    family = by_wave(planner, wave, draw)
    if not world.p.planners.repeats:
        # With every weight 0 there is nothing left to choose but a family to found.
        family[(share[planner, family] <= 0) & (world.revealed_at[family] > DORMANT)] = -1
    return family


def by_wave(planner: Int, wave: Int, draw: Callable[[int], NDArray[Any]]) -> NDArray[Any]:
    """Return what each experiment draws (E, ...), given the draws of all planners for a wave's number (L, ...)."""
    out = draw(0)[planner]
    for j in range(1, int(wave.max(initial=0)) + 1):
        at = wave == j
        out[at] = draw(j)[planner[at]]
    return out


# --------------------------------------------------------------------------- stage 2: candidates


def choose_and_test(world: World, planner: Int, wave: Int, model: Int, family: Int) -> Experiments:
    """Compare candidates, make the best one, measure it."""
    p, served, sought = world.p.planners, dict(world.models()), world.planners.property[planner]
    candidates, each, distance = choose_candidates(world, planner, wave, model, family)
    n, C = candidates.shape
    mean, sd, shift = np.zeros((n, C), np.float32), np.ones((n, C), np.float32), np.zeros((n, C), np.float32)
    scores = in_order(n, C)  # without a model, as by rule random, the first keyed draw is made
    phi: dict[int, tuple[Int, Float32]] = {}
    if (model >= 0).any():
        gauge = candidate_gauges(world, planner, wave, C).reshape(n * C, -1)
        x = world.space.ambient_rows(candidates.ravel(), gauge).reshape(n, C, -1)
    for m in distinct(model[model >= 0]).tolist():
        rows = np.flatnonzero(model == m)
        mean[rows], sd[rows], scores[rows], features, shift[rows] = judge(
            world, served[m], candidates[rows], x[rows], planner[rows], wave[rows]
        )
        phi[m] = rows, features
    if p.proxy > 0:
        weight, proxy = (
            np.float32(p.proxy),
            rank_scale(world.space.proxy[world.space.pairs(sought[:, None], candidates)]),
        )
        scores = (1 - weight) * rank_scale(scores) + weight * proxy
    for row, rule in world.own("planners").items():
        for e in np.flatnonzero(planner == row):
            given = rule.score(candidates[e], mean[e], sd[e], scores[e].copy())
            scores[e] = checked(rule, "score", given, scores[e])
    ranked = np.where(np.arange(C) < each[:, None], scores, -np.inf)
    pick = np.argmax(ranked, axis=1)
    at = np.arange(n)
    claimed = np.full(n, np.nan, np.float32)
    for m, (rows, features) in phi.items():
        chosen = features[np.arange(len(rows)) * C + pick[rows]]
        claimed[rows] = served[m].claimed_sd(served[m].head.predict(chosen)[1])
        phi[m] = rows, chosen
    material = candidates[at, pick]
    observed, variance, lot = measure(world, planner, wave, family, world.space.pairs(sought, material))
    return Experiments(
        planner=planner,
        wave=wave,
        family=family,
        material=material,
        property=sought,
        model=model,
        predicted=np.where(model >= 0, mean[at, pick], np.float32(np.nan)),
        claimed_sd=claimed,
        observed=observed,
        variance=variance,
        lot=lot,
        phi=phi,
        candidates=candidates,
        expected=mean,
        pick=pick,
        distance=distance,
        shift=shift[at, pick],
    )


def choose_candidates(world: World, planner: Int, wave: Int, model: Int, family: Int) -> tuple[Int, Int, float]:
    """Return candidates (E, C), how many of them each experiment can have judged (E,), and how far they were sought."""
    p, distance = world.p.planners, float("nan")
    drawn = p.source in ("uniform", "mixture")
    common = common_sets(world, planner, wave, model)
    pool = propose(world, planner, wave, family, p.candidates * (1 if drawn else REACH), common)
    first = RULES[p.acquisition].draws == "order" and p.proxy == 0 and not world.own("planners")
    C = 1 if first else min(p.candidates, pool.shape[1])
    each = affordable(world, planner, C)
    if p.source == "mixture":
        pool, distance = generate(world, planner, wave, model, family, pool[:, :C], each)
    elif not drawn:
        pool, distance = realise(world, planner, wave, model, pool, p.candidates, each)
    return pool[:, :C], each, distance


def in_order(experiments: int, candidates: int) -> Float32:
    """Return scores by which the first candidate is the best, the next one second (E, C)."""
    return np.tile(-np.arange(candidates, dtype=np.float32), (experiments, 1))


def keyed(world: World, decision: str, planner: Int, wave: Int, width: int) -> Float:
    """Keyed uniform draws, one row per experiment (E, width)."""
    return by_wave(planner, wave, lambda j: world.uniform(f"{decision}.{j}", world.planners, width))


def candidate_gauges(world: World, planner: Int, wave: Int, C: int) -> Float32:
    """View in which each candidate is presented to the model (E, C, view_dims)."""
    shape = len(world.planners), C, world.space.view_dims

    def draw(j: int) -> Float32:
        return world.planners.by_row(world.streams.normal32(f"planner.gauge.{j}", world.tick, shape))

    return by_wave(planner, wave, draw)


def propose(world: World, planner: Int, wave: Int, family: Int, count: int, common: Bool) -> Int:
    """Propose candidates: keyed rejection among materials without a published test of the lab's property (E, C).

    Up to 16 attempts, then the next index; a family with fewer untested materials than
    candidates is looked through whole. In `common` experiments (E,) draws and order are those of the family.
    """
    space, commons, p = world.space, world.commons, world.p.planners
    sets = set_keys(world, family, wave)

    sought, tested = world.planners.property[planner], space.by_property(commons.tested)

    def untested(e: Any) -> Int:
        first, end = space.start[family[e] : family[e] + 2]
        return np.asarray(first + np.flatnonzero(~tested[sought[e], first:end]))

    def draws(attempt: int, width: int) -> Float:
        u = keyed(world, f"planner.candidate.{attempt}", planner, wave, width)
        if common.any():
            u[common] = common_draws(world, attempt, sets[common], width)
        return u

    if p.repeats:
        return space.member(family[:, None], draws(0, count))
    # The width never depends on who else chooses what, so that one agent's draws do not move another's.
    C = int(min(count, space.family_sizes.max()))
    out = np.empty((len(planner), C), np.int64)
    small = space.by_property(commons.untested)[sought, family] <= C
    looks = np.where(common, sets, record_keys(PLANNER, world.planners.slots[planner], world.tick, wave))
    for e in np.flatnonzero(small):
        rows = untested(e)
        # In a keyed order, so that the first one is a random one.
        keys = splitmix(space.material_keys[rows].astype(np.uint64)) ^ looks[e]
        order = np.argsort(world.streams.record_uniform("planner.candidate.order", keys), kind="stable")
        out[e] = np.resize(rows[order], C)
    open_ = np.broadcast_to(~small[:, None], out.shape).copy()
    for attempt in range(ATTEMPTS):
        if not open_.any():
            return out
        out = np.where(open_, space.member(family[:, None], draws(attempt, C)), out)
        open_ &= tested[sought[:, None], out]
    for e, c in np.argwhere(open_):
        free = untested(e)
        out[e, c] = free[np.searchsorted(free, out[e, c]) % len(free)]
    return out


def judge(
    world: World, model: FoundationModel, candidates: Int, x: Float32, planner: Int, wave: Int
) -> tuple[Float32, Float32, Float32, Float32, Float32]:
    """Predict candidates, shown as x (n, C, d), and score them: mean, sd, scores, features, and adapters' part."""
    p, rule = world.p.planners, RULES[world.p.planners.acquisition]
    n, C = candidates.shape
    x = x.reshape(n * C, -1)
    phi = model.features(x)
    pairs = world.space.pairs(model.of_property, candidates)
    base = world.truth.simulated[pairs] if model.simulated_base else np.float32(0)
    if rule.sd:
        flat, variance = model.head.predict(phi)
        sd = channelled_sd(world, model, variance).reshape(n, C)
    else:
        flat, sd = model.head.centred(phi) + np.float32(model.head.offset), np.ones((n, C), np.float32)
    mean, shift = flat.reshape(n, C) + base, np.zeros((n, C), np.float32)
    if (own := shifts(world, model, np.repeat(planner, C), phi, candidates.ravel())) is not None:
        shift = own.reshape(n, C)
        mean = mean + shift
    draws = in_order(n, C) if rule.draws == "order" else None
    if rule.draws == "posterior":
        joint = model.head.joint(phi.reshape(n, C, -1)) / np.float32(model.overconfidence**2)
        u = np.clip(keyed(world, "planner.thompson", planner, wave, C), 1e-9, 1 - 1e-9)
        draws = posterior_sample(mean, joint, normal_quantile(u).astype(np.float32))
    elif rule.draws == "panel":
        draws = channelled_fall(world, model, phi, candidates.ravel()).reshape(n, C)
    best = best_known(world, model.of_property) if rule.best else 0.0
    where = f"tick {world.tick}, planners {', '.join(map(str, world.planners.slots[distinct(planner)][:5]))}"
    scores = score(p.acquisition, mean, sd, best=best, kappa=p.kappa, draws=draws, where=where)
    return mean, sd, weigh_by_chance(world, model, candidates, x, phi, scores), phi, shift


def affordable(world: World, planner: Int, C: int) -> Int:
    """Candidates each experiment can have judged from the planner's attention, at least one (E,)."""
    planners, cost = world.planners, candidate_cost(world)
    each = np.clip(planners.attention / (np.maximum(planners.budget, 1) * cost), 1, C).astype(np.int64)
    spent = np.bincount(planner, minlength=len(planners)) * each * cost
    planners.judged[...] = np.minimum(spent, planners.attention)
    return np.asarray(each[planner])


def candidate_cost(world: World) -> Int:
    """Materials, or points of latent space, that each planner's model scores to show it one candidate (L,)."""
    p, scored = world.p.planners, 1
    if p.source == "mixture" and p.tilt > 0:
        scored = 1 + p.proposals
    elif p.source == "inverse" and p.attention_cost == "scored":
        scored = REACH
    return np.where(world.infrastructure.model_in_use() >= 0, scored, 1)


def realise(world: World, planner: Int, wave: Int, model: Int, pool: Int, count: int, each: Int) -> tuple[Int, float]:
    """Realise proposals in latent space as the nearest materials of a keyed pool (E, C).

    neighbourhood: near the planner's own best; inverse: near the model's optimum, found by
    gradient ascent on its mean; generative: near draws from the pool's latent Gaussian. Where what a model scores
    is paid for, inverse design climbs from REACH members of the pool for each candidate that can be judged (`each`).
    """
    p, space = world.p.planners, world.space
    n, size = pool.shape
    count = min(count, size)
    out = pool[:, :count].copy()
    distances = []
    zero = np.zeros((1, space.view_dims), np.float32)
    for e in range(n):
        fm = world.registry.models[model[e]] if model[e] >= 0 else None
        best = world.planners.best_material[planner[e]]
        x = space.ambient_rows(pool[e], np.repeat(zero, size, 0))
        if fm is not None and p.source == "inverse" and p.attention_cost == "scored":
            x = x[: each[e] * REACH]
        z = latent(space, fm, x)
        if p.source == "neighbourhood" or fm is None:
            if best < 0:
                continue
            target = latent(space, fm, space.ambient_rows(np.array([best]), zero))
        elif p.source == "inverse":
            target = fm.encoder.latent(ascend(fm, x)[None])
        else:
            u = world.streams.normal(
                f"planner.generate.{wave[e]}", world.tick, (len(world.planners), count, z.shape[1])
            )
            target = z.mean(axis=0) + z.std(axis=0) * u[world.planners.slots[planner[e]]].astype(np.float32)
        gap = ((z[None] - target[:, None]) ** 2).sum(axis=2)
        order = np.argsort(gap[0], kind="stable")[:count] if len(target) == 1 else np.argmin(gap, axis=1)
        distances.append(float(np.sqrt(gap.min(axis=1)).mean()))
        out[e, : len(order)] = pool[e, order]
    return out, float(np.mean(distances)) if distances else float("nan")


def latent(space: MaterialsSpace, model: FoundationModel | None, x: Float32) -> Float32:
    """Coordinates in which ambient rows are near each other: latent ones, or without a model causal columns (n, k).

    Where descriptors are observed, which columns are causal is not known: all of them.
    """
    if model is not None:
        return model.encoder.latent(x)
    return x[:, space.causal] if space.observation is None else x


def ascend(model: FoundationModel, x: Float32) -> Float32:
    """Climb the model's predicted mean from its best row by normalised gradient steps (d,)."""
    point = x[np.argmax(model.head.centred(model.features(x)))].copy()
    step = np.float32(0.1) * x.std(axis=0).mean()
    for _ in range(ASCENT_STEPS):
        gradient = model.head.slope(point, model.weights, model.phase)
        norm = np.sqrt(np.sum(gradient**2))
        if norm == 0:
            break
        point = point + step * gradient / norm
    return np.asarray(point)


# --------------------------------------------------------------------------- the experiment


def measure(world: World, planner: Int, wave: Int, family: Int, pair: Int) -> tuple[Float32, Float32, Float]:
    """Make and measure the chosen pairs: observed values, claimed variances, lots of publication (E,)."""
    space, totals, material = world.space, world.totals, pair % world.space.size
    u = keyed(world, "planner.experiment", planner, wave, 2)
    sd = measurement_sd(world.p.modalities, space.difficulty[material])
    made = space.feasible[material]
    observed = np.where(made, world.truth.property[pair] + sd * normal_quantile(u[:, 0]), np.nan)
    totals.done += len(planner)
    totals.infeasible += int((~made).sum())
    world.experiments += np.bincount(family, minlength=space.families)
    return observed.astype(np.float32), claimed_variance(sd), u[:, 1]
