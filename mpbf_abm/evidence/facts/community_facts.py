"""A community at its defaults: concentration, attachment, monoculture, gain and contraction (facts 4, 5, 11, 14)."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.arrays import Int
from mpbf_abm.measures.attachment import adjacency, choices, first_edits, likelihood_exponent, reuse
from mpbf_abm.model.commons import EXPERIMENT, FAILED
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.run import begin
from mpbf_abm.model.spec import RunSpec
from mpbf_abm.parameters import Parameters
from mpbf_abm.stats.concentration import gini, hhi

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
    first = first_edits(when, tried, steps)
    return out | {"adjacent_possible": adjacency(first, 1)}


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
    root mean squared distance of their topics from the centre, a diameter as it is taken in an embedding of papers.
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
