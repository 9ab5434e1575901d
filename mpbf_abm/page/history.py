"""What the page keeps of a run: the tables of ``mpbf run``, and flows, links and the map of families at every tick."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mpbf_abm.errors import MpbfError
from mpbf_abm.measures.keystones import LOSS, losses_from
from mpbf_abm.measures.networks import FLOWS
from mpbf_abm.measures.path import run_on
from mpbf_abm.model.links import Infrastructure
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.run import begin
from mpbf_abm.model.shocks import NODES
from mpbf_abm.model.spec import RunSpec
from mpbf_abm.outputs import RUNS
from mpbf_abm.parameters import Parameters, SpaceParameters
from mpbf_abm.processes import one_thread, tell
from mpbf_abm.studies.definition import Recording
from mpbf_abm.studies.jobs import Notes, Returned
from mpbf_abm.studies.store import FILE, Store
from mpbf_abm.studies.whatif import KEPT, ArmResult, WhatIf, arm_result


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
        """Return the id of the run, and of what is asked of it: tasks with the same one have the same result."""
        return self.spec.id if self.losses is None else f"{self.spec.id}:losses:{self.losses}"

    @property
    def ticks(self) -> int:
        """Return the horizon."""
        return self.spec.ticks


def tasks_of(plan: WhatIf) -> dict[tuple[str, int], Task]:
    """Return the task of each arm and replicate, pair by pair."""
    return {(arm, i): Task(plan.spec(arm, i)) for i in range(plan.replicates) for arm in plan.arms}


@dataclass(frozen=True)
class History:
    """A run, tick by tick.

    Attributes
    ----------
    spec : RunSpec
    noted : Returned
        What was noted of it, as ``mpbf run`` notes it.
    places : DataFrame
        One row per family: name, x, y (principal components of the mean descriptors, standardised), materials, top.
    """

    spec: RunSpec
    noted: Returned
    places: pd.DataFrame

    @cached_property
    def result(self) -> ArmResult:
        """Return tables as ``mpbf run`` has them, of no arm and replicate in particular."""
        return arm_result("", 0, self.spec.seed, recording(self.spec).ticks, self.noted)

    @cached_property
    def flows(self) -> pd.DataFrame:
        """Return one row per tick, one column per flow of :data:`~mpbf_abm.measures.networks.FLOWS`."""
        return pd.DataFrame(self.noted.tables["flows"], columns=list(FLOWS))

    @cached_property
    def links(self) -> tuple[Infrastructure, ...]:
        """Return the dependency graph after each tick."""
        table = self.noted.tables["links"]
        states = [Infrastructure.of(state, table["need"]) for state in table["states"]]
        return tuple(states[i] for i in (np.searchsorted(table["tick"], recording(self.spec).ticks, side="right") - 1))

    def as_arm(self, arm: str, replicate: int) -> ArmResult:
        """Return tables under the name of an arm."""
        return replace(self.result, arm=arm, replicate=replicate)

    @property
    def bytes(self) -> int:
        """Return the memory of the large parts, roughly, and of the tables that are made of them."""
        families, links = self.noted.tables["families"], self.noted.tables["links"]["states"]
        arrays = [self.noted.series, *families.values(), *(a for state in links for a in state.values())]
        return 3 * sum(a.nbytes for a in arrays if isinstance(a, np.ndarray))


def work(task: Task | None, folder: Path | None = None) -> Any:
    """Do a task in a worker; without one only what is needed is loaded.

    Parameters
    ----------
    task : Task, optional
    folder : Path, optional
        Folder of results: a run that ``mpbf run`` has made there is not made again.
    """
    if task is None:
        record_history(
            RunSpec(Parameters.preset("quick").updated({"space.materials": 500, "space.families": 20}), 0, 12)
        )
        return None
    if task.losses is not None:
        return losses(task.spec, task.losses)
    found = None if folder is None else stored(folder, task.spec)
    return record_history(task.spec) if found is None else history_of(task.spec, found)


@lru_cache(maxsize=16)
def space_of(parameters: SpaceParameters, seed: int) -> MaterialsSpace:
    """Return materials space of a seed; the last few are kept, as neighbouring questions share theirs."""
    return MaterialsSpace.synthetic(Parameters(space=parameters), seed=seed)


def record_history(spec: RunSpec) -> History:
    """Run a community and keep what the page shows."""
    notes = Notes(recording(spec), (), spec.ticks, tell)
    with one_thread():
        spec.check()
        eco = begin(spec, space=space_of(spec.parameters.space, spec.seed), record=notes.recorded)
        notes.follow(eco, spec.ticks)
        return history_of(spec, notes.returned(eco))


def recording(spec: RunSpec) -> Recording:
    """Return what is noted of a run: as by ``mpbf run``."""
    return Recording((), KEPT.of, tuple(KEPT.ticks(spec.ticks)), KEPT.tables)


def stored(folder: Path, spec: RunSpec) -> Returned | None:
    """Return a run as ``mpbf run`` has stored it in a folder of results, if it has."""
    wanted = recording(spec)
    for path in stores(folder, f"*/{RUNS}/{FILE}"):
        try:
            with Store.open(path) as store:
                found = store.finished(spec.id, wanted)
        except (MpbfError, OSError):
            continue
        if found is not None:
            return found
    return None


def stores(folder: Path, pattern: str) -> list[Path]:
    """Return the stores of a folder whose paths fit a pattern, in order; none to which a link leads outside of it."""
    home = folder.resolve()
    return [path for path in sorted(folder.glob(pattern)) if path.resolve().is_relative_to(home)]


def history_of(spec: RunSpec, noted: Returned) -> History:
    """Return the history of a run from what was noted of it."""
    return History(spec, noted, family_places(space_of(spec.parameters.space, spec.seed)))


def family_places(space: MaterialsSpace) -> pd.DataFrame:
    """Return a place in the plane for each family: the two main directions in which mean descriptors differ.

    Returns
    -------
    DataFrame
        name, x, y (each in standard deviations over families), materials, top (materials of the top set).
    """
    left = space.dims["quantum"] + space.dims["meso"]
    sizes = space.family_sizes
    columns = space.descriptors[:, : left or space.descriptors.shape[1]].astype(np.float64)
    means = np.add.reduceat(columns, space.start[:-1], axis=0) / sizes[:, None]
    u, s, _ = np.linalg.svd(means - np.average(means, axis=0, weights=sizes), full_matrices=False)
    plane = np.zeros((len(sizes), 2))
    width = min(2, u.shape[1])
    plane[:, :width] = u[:, :width] * s[:width]
    # Directions have no sign: the family that lies furthest out lies on the positive side.
    plane *= np.where(plane[np.abs(plane).argmax(axis=0), [0, 1]] < 0, -1.0, 1.0)
    spread = plane.std(axis=0)
    plane /= np.where(spread > 0, spread, 1.0)
    top = np.add.reduceat(space.by_property(space.top).sum(axis=0), space.start[:-1])
    x, y = plane.T
    return pd.DataFrame({"name": list(space.family_names), "x": x, "y": y, "materials": sizes, "top": top})


def losses(spec: RunSpec, start: int) -> pd.DataFrame:
    """Return costs of losing each repository and each model for good from a tick on (as ``single_losses`` does).

    Policies and shocks of the run stay in force.
    """
    eco = begin(spec, space=space_of(spec.parameters.space, spec.seed), record=())
    snapshot = run_on(eco, start).snapshot()
    kinds: list[Any] = [kind for kind in LOSS if spec.parameters.flat()[NODES[LOSS[kind]]]]
    parts = [losses_from(snapshot, spec.ticks, kind=kind).assign(kind=kind, seed=spec.seed) for kind in kinds]
    return pd.concat(parts, ignore_index=True)
