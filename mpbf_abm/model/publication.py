"""What becomes of results: records in the commons, corrections of heads (phase couple)."""

from __future__ import annotations

import numpy as np

from mpbf_abm.model.adapters import keep_results
from mpbf_abm.model.adoption import fade, keep_track
from mpbf_abm.model.commons import EXPERIMENT, FAILED, PLANNER, record_keys
from mpbf_abm.model.modalities import SPECTROSCOPY
from mpbf_abm.model.planners import by_wave
from mpbf_abm.model.world import Experiments, World, note_discoveries
from mpbf_abm.streams import race


def couple(world: World) -> None:
    """Publish, correct, and keep track records."""
    fade(world)
    results = world.results
    if results is None:
        return
    decide(world, results)
    keep_track(world, results)
    keep_results(world, results)
    publish(world, results)
    correct(world, results)


def decide(world: World, results: Experiments) -> None:
    """Decide what is published: results above the threshold, and a share of the others (failures among them)."""
    p = world.p.planners
    loud = np.nan_to_num(results.observed, nan=-np.inf) > p.publication_threshold
    results.published = loud | (results.lot >= p.publication_bias)


def publish(world: World, results: Experiments) -> None:
    """Make published tests known, and deposit their data in the labs' repositories (the outer loop)."""
    planners = world.planners
    rows = np.flatnonzero(results.published)
    if not len(rows):
        return
    planner, wave = results.planner[rows], results.wave[rows]
    made = ~np.isnan(results.observed[rows])
    # A paper makes a test known whether or not its data reach a repository.
    commons, pairs = world.commons, world.space.pairs(results.property, results.material)[rows]
    commons.know(commons.tests(pairs, ~made))
    world.discoveries.by_planners += note_discoveries(world, pairs[made])
    outer = world.p.coupling.outer_loop
    if outer < 1:
        u = by_wave(planner, wave, lambda j: world.uniform(f"planner.deposit.{j}", planners, 1)[:, 0])
        rows, planner, wave = rows[u < outer], planner[u < outer], wave[u < outer]
    works = world.infrastructure.working_repositories()
    if not len(rows) or not works.any():
        return
    home = world.infrastructure.lab_repository
    if not works[home].all():
        # Labs whose repository is silent deposit elsewhere for the time being.
        refuge = race(world.clocks("planner.refuge", planners, len(works)), works.astype(float))
        home = np.where(works[home], home, refuge)
    failed = np.isnan(results.observed[rows])
    slots = planners.slots[planner]
    keys = record_keys(PLANNER, slots, world.tick, wave)
    commons.append(
        key=keys,
        material=results.material[rows],
        property=results.property[rows],
        modality=np.int8(SPECTROSCOPY),
        value=np.nan_to_num(results.observed[rows]),
        variance=results.variance[rows],
        origin=np.where(failed, FAILED, EXPERIMENT).astype(np.int8),
        repository=home[planner],
        producer=slots,
        tick=world.tick,
        federated=world.streams.record_uniform("planner.federated", keys) < world.p.infrastructure.openness,
    )


def correct(world: World, results: Experiments) -> None:
    """Fine-tune each model on the published tests of its users (the inner loop)."""
    c = world.p.coupling
    for m, (rows, phi) in results.phi.items():
        model = world.registry.models[m]
        shared = results.published[rows] & ~np.isnan(results.observed[rows])
        if model is None or not shared.any():
            continue
        rows = rows[shared]
        predicted = results.predicted[rows] - results.shift[rows]
        model.remember(predicted, results.observed[rows])
        if c.correction > 0:
            residual = (results.observed[rows] - predicted).astype(np.float64)
            model.correct(phi[shared], residual, results.variance[rows].astype(np.float64), c.correction)
