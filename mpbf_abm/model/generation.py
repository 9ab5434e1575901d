"""Generated candidates: draws from a mixture fitted to a model's training sample, realised as materials (steer)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.arrays import Float, Float32, Int
from mpbf_abm.learning.generation import Mixture, fit_mixture, nearest, tilted
from mpbf_abm.learning.models import FoundationModel
from mpbf_abm.model.commons import PLANNER, record_keys
from mpbf_abm.model.world import World
from mpbf_abm.streams import splitmix

AT_ONCE = 2**16  # proposals that are held at once


def generate(
    world: World, planner: Int, wave: Int, model: Int, family: Int, candidates: Int, each: Int
) -> tuple[Int, float]:
    """Replace candidates of experiments that a model steers by realised draws from its mixture (E, C).

    A draw is realised as the nearest material in latent space of the *whole* family that the lab chose: of those
    without a published test, if none is to be repeated. So the cost of a tick grows with the size of families.

    Parameters
    ----------
    world : World
    planner, wave, model, family : int (E,)
    candidates : int (E, C)
        What experiments without a model have, and others beyond `each`.
    each : int (E,)
        Candidates that can be judged, so that no more are generated.

    Returns
    -------
    candidates : int (E, C)
    distance : float
        Mean latent distance from a draw to the material that realised it; nan where there is none.
    """
    out, distances = candidates.copy(), []
    open_: dict[tuple[int, int], tuple[Int, Float32]] = {}
    keys = record_keys(PLANNER, world.planners.slots[planner], world.tick, wave)
    for e in np.flatnonzero(model >= 0):
        served = world.registry.models[model[e]]
        place = int(model[e]), int(family[e])
        if place not in open_:
            open_[place] = open_materials(world, served, place[1])
        materials, points = open_[place]
        at, distance = nearest(drawn(world, served, keys[e], int(each[e])), points)
        out[e, : each[e]] = materials[at]
        distances.append(float(distance.mean()))
    return out, float(np.mean(distances)) if distances else float("nan")


def open_materials(world: World, model: FoundationModel, family: int) -> tuple[Int, Float32]:
    """Return the materials of a family that can be tried (n,), and their latent coordinates (n, k)."""
    first, end = world.space.start[family : family + 2]
    rows = np.arange(first, end)
    if not world.p.planners.repeats:
        rows = rows[~world.space.by_property(world.commons.tested)[model.of_property, first:end]]
    return rows, latent_points(world, model, rows)


def latent_points(world: World, model: FoundationModel, materials: Int) -> Float32:
    """Return latent coordinates of materials, each in the view of gauge 0 (n, k)."""
    view = np.zeros((len(materials), world.space.view_dims), np.float32)
    return model.encoder.latent(world.space.ambient_rows(materials, view))


def mixture_of(world: World, model: FoundationModel) -> Mixture:
    """Return the mixture fitted to a model's training sample: once, when it is first drawn from."""
    if model.mixture is None:
        shape = len(world.trainers), world.p.planners.mixture_components
        u = world.trainers.by_row(world.streams.uniform("model.mixture", model.trained, shape))[model.trainer]
        model.mixture = fit_mixture(latent_points(world, model, model.sample).astype(np.float64), u)
    return model.mixture


def drawn(world: World, model: FoundationModel, key: np.uint64, count: int) -> Float:
    """Return latent points drawn for one experiment from a model's mixture, tilted by its prediction (count, k).

    Each is one of `proposals` draws that no other point has. Without a tilt the first is taken, and none is scored.
    """
    p = world.p.planners
    few = max(1, AT_ONCE // p.proposals)
    parts = [range(first, min(first + few, count)) for first in range(0, count, few)]
    return np.concatenate([drawn_part(world, model, key, np.array(part)) for part in parts])


def drawn_part(world: World, model: FoundationModel, key: np.uint64, numbers: Int) -> Float:
    """Return some of these points, by their numbers (n, k)."""
    p, streams, tick = world.p.planners, world.streams, world.tick
    each = np.arange(p.proposals if p.tilt > 0 else 1)
    keys: NDArray[np.uint64] = splitmix((numbers[:, None] * p.proposals + each).ravel().astype(np.uint64)) ^ key
    u = streams.record_uniform("planner.mixture.component", keys, tick)
    normals = streams.record_normal("planner.mixture.normal", keys, model.encoder.k, tick)
    z = mixture_of(world, model).draw(u, normals)
    if p.tilt == 0:
        return z
    mean = model.head.centred(model.features(model.encoder.ambient(z)))
    u = streams.record_uniform("planner.mixture.tilt", keys, tick)
    chosen = tilted(mean.reshape(-1, len(each)), p.tilt, u.reshape(-1, len(each)))
    return np.asarray(z.reshape(-1, len(each), z.shape[1])[np.arange(len(numbers)), chosen])
