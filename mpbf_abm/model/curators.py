"""Data curators: acquire, audit and publish records (phase assimilate)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.arrays import Float, Float32, Int
from mpbf_abm.model import modalities
from mpbf_abm.model.assimilation import budget_response, delta_b
from mpbf_abm.model.attention import covering
from mpbf_abm.model.commons import CURATOR, FAILED, GENERATED, SIMULATION, distinct, record_keys
from mpbf_abm.model.coupling import pseudo_label
from mpbf_abm.model.modalities import (
    CRYSTAL_GRAPHS,
    FIDELITY,
    MEASURED,
    SIMULATED,
    SIMULATED_SHARE,
    SPECTROSCOPY,
    label,
    labelled_property,
)
from mpbf_abm.model.opening import attend, covered, found, reveal, revealed, unfolds
from mpbf_abm.model.repositories import ENUMERATOR, curated, curated_materials, curators_kinds
from mpbf_abm.model.steering import integrity_weights, log_weights
from mpbf_abm.model.structures import CURATED_STRUCTURE
from mpbf_abm.model.world import CohortAgent, Curators, Signals, World, checked, note_discoveries
from mpbf_abm.streams import by_shares, normal_quantile, race

DOUBLE_ENTRY = 1 << 15  # index offset of the second copy of a record entered twice
# Modalities from simulated to measured, so that inverse CDF moves choices one way.
ORDER = np.argsort(FIDELITY, kind="stable")


class DataCurator(CohortAgent):
    """A curator who runs a repository. Override a method to give it a custom rule."""

    cohort_type = Curators

    def family_weights(self, share: Float) -> Float:
        """Return weights of the families that this curator acquires records of (K,).

        Parameters
        ----------
        share : float (K,)
            What the standard rule gives.
        """
        return share


def assimilate(world: World) -> None:
    """Acquire records, enter them with the errors that happen, and audit old ones."""
    p, curators = world.p.curators, world.curators
    world.signals = signals = Signals(p.audit_rate, p.measured_quota)
    if p.response_dal:
        base = world.base.curators
        audits, quota = budget_response(perceived_boundary_shift(world), p.response_dal, p.audit_rate, p.measured_quota)
        # What a policy mandates stays a floor.
        signals.audit_share = max(audits, p.audit_rate) if p.audit_rate > base.audit_rate else audits
        signals.measured_quota = max(quota, p.measured_quota) if p.measured_quota > base.measured_quota else quota
    works = world.infrastructure.working_repositories()[curators.repository]
    curators.credit[...] += p.records * (1 - signals.audit_share) * works
    curators.audit_credit[...] += p.records * signals.audit_share * works
    acquire(world, works)
    if signals.audit_share > 0:
        audit(world, works)


def perceived_boundary_shift(world: World) -> float:
    """Return Delta-B as curators can see it, with fidelity judged by measured labels in view."""
    commons, f = world.commons, world.p.layers
    fidelity, founding = commons.perceived_fidelity(f.prior_overlaps), max(1.0, world.base.founding.records)
    return delta_b(f, covered(world), fidelity, float(commons.visible().sum()), founding)


def curator_attention(world: World, exploration: Float | None = None) -> Float:
    """Attention of every curator to every family (n, K).

    Parameters
    ----------
    world : World
    exploration : float (n,), optional
        In place of the curators' own.
    """
    p, curators = world.p.curators, world.curators
    x = world.commons.visible()
    guidance = None
    if p.model_guidance and (logs := log_weights(world)) is not None:
        served = [i for i, _ in world.models()]
        trust = integrity_weights(world)
        mean = logs[served].mean(axis=0) if trust is None else trust[served] @ logs[served] / trust[served].sum()
        guidance = np.exp(p.model_guidance * mean)[None]
    if exploration is None:
        exploration = np.maximum(curators.exploration, p.exploration_floor)
    share = attend(world, exploration, p.adjacency, curators.reinforcement, guidance)
    if p.coverage_seeking and (known := revealed(world)).any():
        share = covering(
            share, world.commons.visible() if known.all() else np.where(known, x, np.inf), p.coverage_seeking
        )
    if world.specialisation is not None:
        share = share * world.specialisation[curators.repository]
        share /= np.maximum(share.sum(axis=1, keepdims=True), np.finfo(float).tiny)  # 0 before any family is revealed
    for row, rule in world.own("curators").items():
        share[row] = checked(rule, "family_weights", rule.family_weights(share[row].copy()), share[row], 0)
    return share


def acquire(world: World, works: NDArray[np.bool_]) -> None:
    """Choose families by attention, materials uniformly, modalities by mix; enter the records."""
    p, curators, space, credit = world.p.curators, world.curators, world.space, world.curators.credit
    waves = math.ceil(credit.max(initial=0.0) - 1e-9)
    if waves <= 0 and not p.structures:
        return
    share = curator_attention(world)
    if p.structures:
        collect(world, works, share)
    if waves <= 0:
        return
    types = curators_kinds(world)
    share = curated(world, share, types)
    family = np.array([choose_families(world, j, share) for j in range(waves)]).T
    u = np.array([world.uniform(f"curator.record.{j}", curators, 8) for j in range(waves)]).swapaxes(0, 1)
    drawn = np.where(family >= 0, space.member(family, u[..., 0]), -1)
    material = curated_materials(world, types, family, drawn, u[..., 0])
    modality = choose_modality(world, u[..., 1], u[..., 2], material)
    modality[types == ENUMERATOR] = CRYSTAL_GRAPHS
    cost = modalities.costs(p.measured_cost)[modality]
    # The last record may overdraw the budget, to be paid off from the next: a budget that waited
    # for what it can afford would never buy the dear ones.
    taken = works[:, None] & (material >= 0) & (np.cumsum(cost, axis=1) - cost < credit[:, None] - 1e-9)
    credit -= (cost * taken).sum(axis=1)
    np.minimum(credit, p.measured_cost, out=credit)
    # Records are entered in the order of slots, whatever the order of rows.
    order, wave = np.nonzero(taken if curators.in_order else taken[curators.by_slot])
    agent = curators.by_slot[order]
    if len(agent):
        reveal(world, family[agent, wave])
        enter(world, agent, wave, material[agent, wave], modality[agent, wave], u[agent, wave])


def choose_families(world: World, wave: int, share: Float) -> Int:
    """Choose a family for each curator's record of a wave, or found one (n,)."""
    curators = world.curators
    family = race(world.family_clocks(f"curator.family.{wave}", curators), share)
    if not unfolds(world):
        return family
    lot = world.uniform(f"curator.founds.{wave}", curators, 1)
    clocks = world.family_clocks(f"curator.founded.{wave}", curators)
    return found(world, family, share, lot, clocks, world.p.curators.adjacency)


def collect(world: World, works: NDArray[np.bool_], share: Float) -> None:
    """Enter structures, which cost nothing: families by attention, materials uniformly, where the repository works."""
    curators, waves = world.curators, np.arange(world.p.curators.structures)
    agent = curators.by_slot[works[curators.by_slot]]
    family = np.array([race(world.family_clocks(f"curator.structure.family.{j}", curators), share) for j in waves])
    u = np.array([world.uniform(f"curator.structure.{j}", curators, 2) for j in waves])[:, agent]
    world.structures.append(
        key=record_keys(CURATED_STRUCTURE, curators.slots[agent], world.tick, waves[:, None]).ravel(),
        material=world.space.member(family[:, agent], u[..., 0]).ravel(),
        repository=np.tile(curators.repository[agent], len(waves)),
        federated=(u[..., 1] < world.p.infrastructure.openness).ravel(),
    )


def choose_modality(world: World, draw: Float, quota: Float, material: Int) -> NDArray[np.int8]:
    """Choose modalities by the mix, raised to the measured quota, where such data can be had.

    Each kind of data exists for a share of materials, measured kinds only for feasible ones;
    where the chosen kind does not exist, crystal graphs serve.
    """
    weights, floor = world.p.curators.modality_mix, world.signals.measured_quota
    if weights[CRYSTAL_GRAPHS] == sum(weights) and floor == 0:
        return np.full(material.shape, CRYSTAL_GRAPHS, np.int8)
    mix = np.asarray(weights) / sum(weights)
    modality = ORDER[by_shares(np.cumsum(mix[ORDER]), draw)]
    had = available(world, material)
    modality = np.where(np.take_along_axis(had, modality[..., None], axis=-1)[..., 0], modality, CRYSTAL_GRAPHS)
    if floor > 0:
        short = modalities.short_of(floor, mix, world.space.feasible_share)
        measured = had & (FIDELITY == MEASURED)
        raised = (quota < short) & (FIDELITY[modality] != MEASURED) & measured.any(axis=-1)
        modality = np.where(raised, np.argmax(measured, axis=-1), modality)
    return modality.astype(np.int8)


def available(world: World, material: Int) -> NDArray[np.bool_]:
    """Which kinds of data can be had of some materials (..., 6)."""
    kinds = len(modalities.COVERAGE)
    keys = (world.space.material_keys[material][..., None] * kinds + np.arange(kinds)).astype(np.uint64)
    had = world.streams.record_uniform("modality.available", keys) < modalities.COVERAGE
    return np.asarray(had & ((FIDELITY == SIMULATED) | world.space.feasible[material][..., None]))


def enter(world: World, agent: Int, wave: Int, material: Int, modality: NDArray[np.int8], u: Float) -> None:
    """Label records, let provenance errors happen, and append them to the commons."""
    p, curators = world.p.curators, world.curators
    labelled, stored = material, modality
    rate = p.provenance_errors * (1 - p.qa)
    bad = twice = np.zeros(len(agent), bool)
    if rate > 0:
        # One uniform decides whether and, within the rate, which of the three errors happens.
        kind = u[:, 4] / rate
        bad, swapped, twice = kind < 1, kind < 1 / 3, (kind >= 2 / 3) & (kind < 1)
        labelled = np.where(swapped, world.space.member(world.space.family[material], u[:, 5]), material)
        another = (modality + 1 + (u[:, 5] * 5).astype(np.int64)) % 6
        stored = np.where(bad & ~swapped & ~twice, another, modality).astype(np.int8)
    z, slots, space = normal_quantile(u[:, 3]), curators.slots[agent], world.space
    keys = record_keys(CURATOR, slots, world.tick, wave)
    sought = labelled_property(world.p.modalities, world.streams, space.properties, keys, modality)
    pairs = space.pairs(sought, labelled)
    value, variance = label(world.p.modalities, world.truth, space.difficulty, pairs, modality, z)
    if world.p.curators.bias_claims:
        left = world.commons.bias_left(world.p.trainers.harmonisation)[space.cells(space.pairs(sought, material))]
        variance += (SIMULATED_SHARE[modality] ** 2 * left).astype(np.float32)
    origin = np.full(len(agent), SIMULATION, np.int8)
    if world.p.coupling.pseudo_share > 0:
        chosen = np.flatnonzero((FIDELITY[modality] == SIMULATED) & (u[:, 6] < world.p.coupling.pseudo_share))
        for t in distinct(sought[chosen].astype(np.int64)).tolist():
            generate(world, keys, material, chosen[sought[chosen] == t], t, value, variance, origin)
    records: dict[str, Any] = {
        "key": keys,
        "material": material,
        "property": sought,
        "modality": stored,
        "value": value,
        "variance": variance,
        "origin": origin,
        "repository": curators.repository[agent],
        "producer": slots,
        "tick": world.tick,
        "federated": u[:, 7] < world.p.infrastructure.openness,
        "corrupted": bad,
    }
    world.commons.append(**records)
    if twice.any():
        again = {k: (v[twice] if isinstance(v, np.ndarray) else v) for k, v in records.items()}
        again["key"] = record_keys(CURATOR, slots[twice], world.tick, wave[twice] + DOUBLE_ENTRY)
        world.commons.append(**again)
    world.signals.acquisitions = np.bincount(FIDELITY[modality], minlength=3)
    world.signals.generated = int((origin == GENERATED).sum())
    measured = (FIDELITY[modality] == MEASURED) & (FIDELITY[stored] == MEASURED)
    world.totals.measured_acquisitions += int(measured.sum())
    note_discoveries(world, space.pairs(sought[measured], material[measured]))


def generate(
    world: World,
    keys: NDArray[np.uint64],
    material: Int,
    rows: Int,
    number: int,
    value: Float32,
    variance: Float32,
    origin: NDArray[np.int8],
) -> None:
    """Replace simulated labels of one property by predictions of its most used model (in place)."""
    c, slots, users = world.p.coupling, world.trainers.slots, world.registry.users[number]
    served = [(i % len(slots), m) for i, m in world.models() if m.of_property == number]
    if not served:
        return
    _, model = max(served, key=lambda pair: (users[pair[0]], -slots[pair[0]]))
    gauge = world.streams.record_normal("curator.generate.gauge", keys[rows], world.space.view_dims)
    phi = model.features(world.space.ambient_rows(material[rows], gauge))
    predicted, spread = model.head.predict(phi)
    mean = model.head.offset
    if model.simulated_base:
        base = world.truth.simulated[world.space.pairs(number, material[rows])]
        predicted, mean = predicted + base, mean + float(base.mean())
    value[rows] = pseudo_label(predicted, mean if c.pseudo_anchor == "model" else 0.0, c.pseudo_gain)
    if c.pseudo_noise:
        noise = normal_quantile(world.streams.record_uniform("curator.generate.noise", keys[rows]))
        value[rows] += (c.pseudo_noise * noise * model.claimed_sd(spread)).astype(np.float32)
    # With the channel open a generated label owns up to its uncertainty; closed, it passes for a simulation.
    opened = c.uncertainty_ral_isl
    variance[rows] = opened * model.claimed_sd(spread) ** 2 + (1 - opened) * variance[rows]
    origin[rows] = GENERATED


def audit(world: World, works: NDArray[np.bool_]) -> None:
    """Re-measure records of the own repository at the cost of an experiment each.

    Which ones follows from a keyed uniform of each record open to audit: the smallest go first.
    """
    p, curators, commons = world.p.curators, world.curators, world.commons
    wanted = np.where(works, curators.audit_credit / p.measured_cost + 1e-9, 0).astype(np.int64)
    if not wanted.any():
        return
    open_to_audit = np.flatnonzero(
        commons.alive
        & (commons.origin != FAILED)
        & (FIDELITY[commons.modality] != MEASURED)
        & world.space.feasible[commons.material]
    )
    home = commons.repository[open_to_audit]
    chosen = []
    asking = curators.by_slot[wanted[curators.by_slot] > 0]
    for repository in np.unique(curators.repository[asking]):
        rows, own = open_to_audit[home == repository], asking[curators.repository[asking] == repository]
        # The first to ask is served first; an audit without a record left is not paid for.
        asked = np.cumsum(wanted[own])
        done = np.diff(np.minimum(asked, len(rows)), prepend=0)
        curators.audit_credit[own] = np.minimum(curators.audit_credit[own] - done * p.measured_cost, p.measured_cost)
        order = world.streams.record_uniform("curator.audit", commons.key[rows], world.tick)
        chosen.append(rows[np.argsort(order, kind="stable")[: asked[-1]]])
    rows = np.sort(np.concatenate(chosen))
    if len(rows):
        remeasure(world, rows)
        world.totals.audits += len(rows)


def remeasure(world: World, rows: Int) -> None:
    """Turn records into measured ones: value y + noise, variance of that noise."""
    commons = world.commons
    pairs = commons.pairs(rows)
    modality = np.full(len(rows), SPECTROSCOPY, np.int8)
    z = normal_quantile(world.streams.record_uniform("curator.audit.noise", commons.key[rows], world.tick))
    value, variance = label(world.p.modalities, world.truth, world.space.difficulty, pairs, modality, z)
    commons.rewrite(rows, value, variance, modality=modality, audited=True, corrupted=False)
    commons.know(pairs)
    note_discoveries(world, pairs)
