"""A community at its defaults, and rules in their limit cases (facts 4, 5, 10 to 14).

Of the community: concentration, attachment, monoculture, gain and contraction. Of rules: campaigns, descent of models,
collapse.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import zeta

from mpbf_abm.arrays import Int
from mpbf_abm.evidence.facts.learners import crossing
from mpbf_abm.evidence.known.feedback import self_training, standard_labels
from mpbf_abm.evidence.known.rows import flat_space, generations, grouped, seeds
from mpbf_abm.evidence.known.whole import POOLS, pool_space
from mpbf_abm.measures.acceleration import by_chance, wanted
from mpbf_abm.measures.attachment import adjacency, choices, first_edits, likelihood_exponent, reuse
from mpbf_abm.model.adoption import adopt
from mpbf_abm.model.campaign import run_campaign
from mpbf_abm.model.commons import EXPERIMENT, FAILED
from mpbf_abm.model.founding import found_community
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.run import begin
from mpbf_abm.model.spec import RunSpec
from mpbf_abm.model.trainers import abstract
from mpbf_abm.parameters import Parameters
from mpbf_abm.processes import one_thread
from mpbf_abm.stats.concentration import gini, hhi
from mpbf_abm.streams import Streams

HORIZON = 120
YEAR = 12
LATE = 4  # years at the end that count as late
UNSTEERED = {"trainers.count": 0, "planners.steering_gain": 0.0, "planners.acquisition": "random"}


@dataclass(frozen=True)
class CommunityHistory:
    """Course of a community, from founding to the horizon.

    Attributes
    ----------
    space : MaterialsSpace
    family, tick : int (n,)
        Of every record of the commons; founding records have tick -1.
    tested : bool (n,)
        Whether a record is a planner's experiment.
    tests : int (m,)
        Materials of published experiments.
    claims : int
        Published results above the publication threshold.
    found : float
        Share of the top set that was found.
    sources : tuple of frozenset of int
        Repositories that each published model was trained on.
    """

    space: MaterialsSpace
    family: Int
    tick: Int
    tested: NDArray[np.bool_]
    tests: Int
    claims: int
    found: float
    sources: tuple[frozenset[int], ...]


def history(p: Parameters, space: MaterialsSpace, seed: int, ticks: int = HORIZON) -> CommunityHistory:
    """Run a community, and note who learned from what."""
    eco = begin(RunSpec(p, seed, ticks, space=space), record=())
    world, sources, tests, claims = eco.world, [], [], 0
    version = world.registry.version.copy()
    for _ in range(ticks):
        eco.step()
        for trainer in np.flatnonzero(world.registry.version > version):
            links = world.infrastructure.model_repositories[trainer]
            sources.append(frozenset(links[links >= 0].tolist()))
        version = world.registry.version.copy()
        if (r := world.results) is not None:
            tests.append(r.material[r.published])
            loud = r.published & (np.nan_to_num(r.observed, nan=-np.inf) > p.planners.publication_threshold)
            claims += int(loud.sum())
    commons = world.commons
    n = len(commons)
    return CommunityHistory(
        space,
        commons.family[:n].astype(np.int64),
        commons.tick[:n].astype(np.int64),
        np.isin(commons.origin[:n], (EXPERIMENT, FAILED)),
        np.concatenate([np.zeros(0, np.int64), *tests]),
        claims,
        world.discoveries.count / max(1, world.discoveries.existing),
        tuple(sources),
    )


def concentration(h: CommunityHistory) -> dict[str, float]:
    """Return the share of the records in the largest tenth of the families, and their Gini coefficient."""
    count = np.bincount(h.family, minlength=h.space.families)
    top = np.sort(count)[::-1][: max(1, round(0.1 * len(count)))]
    return {"system_top10": float(top.sum() / count.sum()), "element_gini": gini(count)}


def attachment(h: CommunityHistory) -> dict[str, float]:
    """Return the attachment exponent of experiments on families' records; reuse and adjacency of families tried.

    A family counts as known for reuse and adjacency once an experiment was made in it. NaN without experiments.
    """
    year = np.floor_divide(h.tick, YEAR)
    made = choices(year, h.family)
    weight = h.tested[made.unit].astype(np.float64)
    tried, when = h.family[h.tested], year[h.tested]
    if not len(tried):
        return dict.fromkeys(("attachment_alpha", "reuse_share", "adjacent_possible"), math.nan)
    _, share, events = reuse(when, tried)
    out = {
        "attachment_alpha": likelihood_exponent(made, weight),
        "reuse_share": float(np.average(share[-LATE:], weights=events[-LATE:])),
    }
    steps = np.where(h.space.similarity > 0, 1, 2) * (1 - np.eye(h.space.families, dtype=np.int64))
    return out | {"adjacent_possible": adjacency(first_edits(when, tried, steps), 1)}


def monoculture(h: CommunityHistory) -> dict[str, float]:
    """Return the share of models trained on the most used repository, and the effective number of training mixes.

    NaN without models.
    """
    if not h.sources:
        return {"corpus_monoculture": math.nan, "effective_mixes": math.nan}
    used, mixes = np.bincount([r for mix in h.sources for r in mix]), np.array(list(Counter(h.sources).values()))
    return {"corpus_monoculture": float(used.max() / len(h.sources)), "effective_mixes": 1.0 / hhi(mixes)}


def narrowing(steered: CommunityHistory, unsteered: CommunityHistory) -> dict[str, float]:
    """Return the claims of a steered community over those of an unsteered one, and the change of the extent of topics.

    A test's topic is its family, placed at the mean descriptors of its materials. The extent of published tests is the
    root mean squared distance of their topics from the centre: a diameter, as in an embedding of papers.
    NaN where the unsteered community worked on one topic or none.
    """
    extent, other = _extent(steered), _extent(unsteered)
    return {
        "individual_gain": steered.claims / max(1, unsteered.claims),
        "ai_narrowing": extent / other - 1.0 if other > 0 else math.nan,
    }


def _extent(h: CommunityHistory) -> float:
    if not len(h.tests):
        return math.nan
    families = h.space.family[h.tests]
    if (families == families[0]).all():
        return 0.0
    width = h.space.dims["quantum"] + h.space.dims["meso"]
    x = h.space.descriptors[:, :width].astype(np.float64)
    topics = np.add.reduceat(x, h.space.start[:-1], axis=0) / h.space.family_sizes[:, None]
    placed = topics[families]
    return float(np.sqrt(((placed - placed.mean(axis=0)) ** 2).sum(axis=1).mean()))


def community(p: Parameters, space: MaterialsSpace, seed: int) -> dict[str, float]:
    """Return all of these, of one community and its unsteered twin on the same draws."""
    steered = history(p, space, seed)
    unsteered = history(p.updated(UNSTEERED), space, seed)
    found = {"found_share": steered.found}
    return found | concentration(steered) | attachment(steered) | monoculture(steered) | narrowing(steered, unsteered)


# --------------------------------------------------------------------------- limit cases

POOL_SIZES = (100, 600)  # a family of as many materials can stand for an experimental pool
FEW, SMALL = 5, 1_000
MANY, ADOPTING = 600, 24  # trainers, and planners; ticks of adoption
LABELS, GENERATIONS, RUNS = 20, 40, 40
FRESH = (0.01, 0.02, 0.05, 0.1)
STOPPED = 0.9


def acceleration(p: Parameters, space: MaterialsSpace, seed: int) -> dict[str, float]:  # noqa: ARG001
    """Return the acceleration of campaigns on families taken as pools, geometric mean over pools, by rule."""
    sizes = space.family_sizes
    fit = np.flatnonzero((sizes >= POOL_SIZES[0]) & (sizes <= POOL_SIZES[1]))
    some = fit[np.linspace(0, len(fit) - 1, min(FEW, len(fit))).astype(np.int64)]
    pools = [pool_of(space, int(family)) for family in some]
    return {"af_greedy": factor(pools, "greedy", seed), "af_maxvar": factor(pools, "maxvar", seed)}


def real_acceleration(data: Path, seed: int) -> dict[str, float]:
    """Return the same on real pools: greedy on all, largest variance on the small ones.

    Of a large one it would take most.
    """
    pools = [pool_space(data, name) for name in POOLS]
    small = [pool for pool in pools if pool.size <= SMALL]
    return {"af_greedy": factor(pools, "greedy", seed), "af_maxvar": factor(small, "maxvar", seed)}


def factor(pools: Sequence[MaterialsSpace], rule: str, seed: int) -> float:
    """Return the acceleration at half of the top set, geometric mean over pools; NaN without any."""
    if not pools:
        return math.nan
    enough = [wanted(pool, 0.5) for pool in pools]
    spent = [
        run_campaign(pool, rule, seed, enough=k, kernel="fixed").spent(k) for pool, k in zip(pools, enough, strict=True)
    ]
    return math.exp(float(np.mean([math.log(by_chance(pool) / n) for pool, n in zip(pools, spent, strict=True)])))


def pool_of(space: MaterialsSpace, family: int) -> MaterialsSpace:
    """Return one family as a pool of settings: its causal descriptors and its property."""
    rows = slice(space.start[family], space.start[family + 1])
    width = space.dims["quantum"] + space.dims["meso"]
    table = pd.DataFrame(space.descriptors[rows, :width].astype(np.float64)).rename(columns="x{}".format)
    return MaterialsSpace.from_pool(table.assign(y=space.property[rows].astype(np.float64)), objective="y")


def descent(p: Parameters, space: MaterialsSpace, seed: int) -> dict[str, float]:  # noqa: ARG001 (a separate space)
    """Return the power law of descendants per base model, and the most used hundredth's share of all adoptions.

    Many trainers publish one after the other, each on a new encoder or on a published one by the rule of reuse. As many
    planners then adopt. What is learned plays no part, so heads are means and spaces small.
    """
    changes = grouped(
        space={"materials": 400, "families": 4},
        founding={"records": 60},
        trainers={"count": MANY, "head": "mean", "records": 20, "panel": 1},
        stocks={"compute": 0.0},
        planners={"count": MANY, "entry": MANY // ADOPTING},
        curators={"count": 0},
    )
    many = p.updated(changes)
    world = found_community(many, Streams(seed), MaterialsSpace.synthetic(many, seed=seed))
    abstract(world)
    sizes = np.bincount(world.registry.lineage)
    descendants = sizes[sizes > 1] - 1
    for tick in range(ADOPTING):
        world.tick = tick
        adopt(world)
    use = np.sort(world.registry.adoptions)[::-1]
    return {
        "reuse_powerlaw": power_law(descendants),
        "download_top1pct": float(use[: max(1, len(use) // 100)].sum() / use.sum()),
    }


def power_law(counts: Int) -> float:
    """Return the likeliest exponent of a discrete power law from 1 on (Clauset et al. 2009); NaN without counts."""
    if not len(counts):
        return math.nan
    logs, n = float(np.log(counts).sum()), len(counts)
    return float(minimize_scalar(lambda a: a * logs + n * math.log(zeta(a)), bounds=(1.05, 8.0), method="bounded").x)


def _variance_lost(fresh: float, seed: int) -> float:
    """Return the mean change of log variance over refits to own labels and a share of fresh ones."""
    p = self_training(LABELS, fresh, accumulate=False)
    labels = standard_labels(p)
    space = flat_space(p, labels, labels)
    variance = generations(p, seeds(seed, "collapse", RUNS), GENERATIONS + 1, space)[:, :, 1]
    return float(np.log(variance[:, -1] / variance[:, 0]).mean())


def collapse(p: Parameters, space: MaterialsSpace, seed: int) -> dict[str, float]:  # noqa: ARG001
    """Return the loss of log variance by recursive refits, times labels, and the fresh share that stops most of it."""
    with one_thread():
        alone = _variance_lost(0.0, seed)
        stopped = [1.0 - _variance_lost(fresh, seed) / alone for fresh in FRESH]
    return {
        "collapse_rate": alone * LABELS / GENERATIONS,
        "collapse_stop": crossing((FRESH[0] / 2, *FRESH), [0.0, *stopped], STOPPED),
    }


MEASURES = (acceleration, descent, collapse)
