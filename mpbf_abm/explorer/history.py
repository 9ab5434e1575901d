"""What the page keeps of a run: the tables of ``mpbf run``, and flows, links and the map of families at every tick."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pandas as pd

from mpbf_abm.interventions import NODES
from mpbf_abm.measures.flows import FLOWS, tick_flows
from mpbf_abm.measures.keystone import LOSS, single_losses
from mpbf_abm.parameters import Parameters, SpaceParameters
from mpbf_abm.simulation import Run, begin
from mpbf_abm.space.infrastructure import Infrastructure
from mpbf_abm.space.materials import MaterialsSpace
from mpbf_abm.spec import RunSpec
from mpbf_abm.threads import one_thread
from mpbf_abm.whatif.plan import Plan
from mpbf_abm.whatif.runner import ArmResult
from mpbf_abm.workers import tell

LINKS = ("model_repositories", "lab_models", "lab_repository", "down_repositories", "down_models", "members")


@dataclass(frozen=True)
class Task:
    """One thing for a worker to compute, which follows from these fields alone.

    Attributes
    ----------
    spec : RunSpec
    losses : int, optional
        Instead of the run: lose each repository and each model in turn from this tick on.
    """

    spec: RunSpec
    losses: int | None = None

    @cached_property
    def key(self) -> str:
        """Id of the run, and of what is asked of it: tasks with the same one have the same result."""
        return self.spec.id if self.losses is None else f"{self.spec.id}:losses:{self.losses}"

    @property
    def ticks(self) -> int:
        """Horizon."""
        return self.spec.ticks


def tasks_of(plan: Plan) -> dict[tuple[str, int], Task]:
    """Task of each arm and replicate, pair by pair."""
    return {(arm, i): Task(plan.spec(arm, i)) for i in range(plan.replicates) for arm in plan.arms}


@dataclass(frozen=True)
class History:
    """A run, tick by tick.

    Attributes
    ----------
    result : ArmResult
        Tables as ``mpbf run`` has them, of no arm and replicate in particular.
    flows : DataFrame
        One row per tick, one column per flow of :data:`~mpbf_abm.measures.flows.FLOWS`.
    links : tuple of Infrastructure
        Who leans on whom after each tick.
    places : DataFrame
        One row per family: name, x, y (principal components of the mean descriptors, standardised), materials, top.
    """

    result: ArmResult
    flows: pd.DataFrame
    links: tuple[Infrastructure, ...]
    places: pd.DataFrame

    def as_arm(self, arm: str, replicate: int) -> ArmResult:
        """Tables under the name of an arm."""
        return replace(self.result, arm=arm, replicate=replicate)

    @property
    def bytes(self) -> int:
        """Memory of the large parts, roughly."""
        links = {id(link): sum(getattr(link, name).nbytes for name in LINKS) for link in self.links}
        tables = (self.result.families, self.result.series, self.flows)
        return int(sum(t.memory_usage().sum() for t in tables) + sum(links.values()))


def work(task: Task | None) -> Any:
    """Do a task in a worker; without one only what is needed is loaded."""
    if task is None:
        small = Parameters.preset("quick").updated({"space.materials": 500, "space.families": 20})
        record_history(RunSpec(small, 0, 12))
        return None
    return record_history(task.spec) if task.losses is None else losses(task.spec, task.losses)


@lru_cache(maxsize=16)
def space_of(parameters: SpaceParameters, seed: int) -> MaterialsSpace:
    """Materials space of a seed; the last few are kept, as neighbouring questions share theirs."""
    return MaterialsSpace.synthetic(Parameters(space=parameters), seed=seed)


def record_history(spec: RunSpec) -> History:
    """Run a community and keep what the page shows."""
    space = space_of(spec.parameters.space, spec.seed)
    flows: list[Mapping[str, float]] = []
    links: list[Infrastructure] = []
    with one_thread():
        spec.check()
        eco = begin(spec, space=space)
        try:
            for _ in range(spec.ticks):
                eco.step()
                flows.append(tick_flows(eco.world))
                links.append(_kept(eco.world.infrastructure, links[-1] if links else None))
                tell()
            result = arm_result(Run(eco, spec.ticks))
        finally:
            eco.release()
    return History(result, pd.DataFrame(flows, columns=list(FLOWS)), tuple(links), family_places(space))


def arm_result(run: Run) -> ArmResult:
    """Tables of a run that is over, of no arm and replicate in particular."""
    families = run.families
    names = run.ecosystem.world.space.family_names
    families.insert(2, "name", [names[k] for k in families["family"]])
    nodes, edges = run.ecosystem.world.infrastructure.tables()
    return ArmResult("", 0, run.spec.seed, run.series, families, nodes, edges, run.summary)


def _kept(now: Infrastructure, last: Infrastructure | None) -> Infrastructure:
    """The links as they are now; the last ones again where nothing has changed."""
    if last is not None and all(np.array_equal(getattr(now, name), getattr(last, name)) for name in LINKS):
        return last
    kept = copy.copy(now)
    kept._known = {}
    for name in LINKS:
        array = getattr(now, name)
        setattr(kept, name, array.astype(np.int32) if array.dtype == np.int64 else array.copy())
    return kept


def family_places(space: MaterialsSpace) -> pd.DataFrame:
    """A place in the plane for each family: the two main directions in which mean descriptors differ.

    Returns
    -------
    DataFrame
        name, x, y (each in standard deviations over families), materials, top (materials of the top set).
    """
    left = space.dims["quantum"] + space.dims["meso"]
    sizes = space.family_sizes
    columns = space.descriptors[:, : left or space.descriptors.shape[1]].astype(np.float64)
    means = np.add.reduceat(columns, space.start[:-1], axis=0) / sizes[:, None]
    centred = means - np.average(means, axis=0, weights=sizes)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    plane = np.zeros((len(sizes), 2))
    width = min(2, u.shape[1])
    plane[:, :width] = u[:, :width] * s[:width]
    # Directions have no sign of their own: the family that lies furthest out lies on the positive side.
    plane *= np.where(plane[np.abs(plane).argmax(axis=0), [0, 1]] < 0, -1.0, 1.0)
    spread = plane.std(axis=0)
    plane /= np.where(spread > 0, spread, 1.0)
    top = np.add.reduceat(space.top.astype(np.int64), space.start[:-1])
    return pd.DataFrame(
        {"name": list(space.family_names), "x": plane[:, 0], "y": plane[:, 1], "materials": sizes, "top": top}
    )


def losses(spec: RunSpec, start: int) -> pd.DataFrame:
    """Costs of losing each repository and each model for good from a tick on (:func:`mpbf_abm.measures.keystone.single_losses`)."""
    parts = []
    for kind in LOSS:
        if spec.parameters.flat()[NODES[LOSS[kind]]]:
            table = single_losses(
                spec.parameters, [spec.seed], spec.ticks, start=start, kind=kind, space=space_of(spec.parameters.space, spec.seed),  # type: ignore[arg-type]
                policies=spec.policies,
            )  # fmt: skip
            parts.append(table.assign(kind=kind))
    return pd.concat(parts, ignore_index=True)
