"""Run a plan, in this process or in several; equal plans give equal tables whatever the number of processes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pandas as pd

from mpbf_abm.measures.paired import paired_effects, spread
from mpbf_abm.outputs import RECORD
from mpbf_abm.simulation import Run, simulate
from mpbf_abm.space.infrastructure import Infrastructure
from mpbf_abm.threads import one_thread
from mpbf_abm.whatif.plan import BASELINE, WHAT_IF, Plan
from mpbf_abm.workers import each_value

IDENTITY = ("arm", "replicate", "seed")


@dataclass(frozen=True)
class ArmResult:
    """Tables of one run.

    Attributes
    ----------
    series, families : DataFrame
        As of :class:`~mpbf_abm.ecosystem.Run`.
    nodes, edges : DataFrame
        The infrastructure at the end: kind, id, load, works; provider and user of each link.
    summary : dict
    run_hash : str
        Hash of the run's own provenance.
    """

    arm: str
    replicate: int
    seed: int
    series: pd.DataFrame
    families: pd.DataFrame
    nodes: pd.DataFrame
    edges: pd.DataFrame
    summary: dict[str, float]
    run_hash: str


@dataclass(frozen=True)
class Ensemble:
    """All runs of a plan, by arm and replicate."""

    plan: Plan
    results: tuple[ArmResult, ...]

    def _joined(self, table: str) -> pd.DataFrame:
        parts = []
        for r in self.results:
            part: pd.DataFrame = getattr(r, table).copy()
            part.insert(0, "replicate", r.replicate)
            part.insert(0, "arm", r.arm)
            parts.append(part)
        return pd.concat(parts, ignore_index=True)

    @cached_property
    def series(self) -> pd.DataFrame:
        """One row per arm, replicate and tick; one column per indicator."""
        return self._joined("series")

    @cached_property
    def families(self) -> pd.DataFrame:
        """One row per arm, replicate, tick and family."""
        return self._joined("families")

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row per arm and replicate; one column per outcome."""
        return pd.DataFrame(
            [{"arm": r.arm, "replicate": r.replicate, "seed": r.seed, **r.summary} for r in self.results]
        )

    @property
    def outcomes(self) -> list[str]:
        """Names of the outcomes."""
        return [c for c in self.summary.columns if c not in IDENTITY]

    def arm(self, name: str) -> pd.DataFrame:
        """Summary of one arm by replicate."""
        table = self.summary
        return table[table["arm"] == name].set_index("replicate")

    @cached_property
    def effects(self) -> pd.DataFrame | None:
        """Paired effect and spread of every outcome; None for a plain run."""
        if len(self.plan.arms) < 2:
            return None
        table = paired_effects(self.arm(BASELINE), self.arm(WHAT_IF), self.outcomes)
        for prefix, name in (("baseline", BASELINE), ("treated", WHAT_IF)):
            part = spread(self.arm(name), self.outcomes).drop(columns="outcome")
            table = table.join(part.add_prefix(f"{prefix}_"))
        return table

    def first(self, arm: str) -> ArmResult:
        """First replicate of an arm."""
        return next(r for r in self.results if r.arm == arm)


# --------------------------------------------------------------------------- running


def run_plan(plan: Plan, jobs: int = 1, progress: Callable[[int], None] | None = None) -> Ensemble:
    """Run every arm and replicate of a plan.

    Parameters
    ----------
    plan : Plan
        Checked (:meth:`Plan.check`).
    jobs : int
        Processes; 1 runs in this one.
    progress : callable, optional
        Called with the number of ticks that were completed since the last call.

    Returns
    -------
    Ensemble
        The same for any number of jobs.
    """
    advance = progress or _ignore
    if jobs <= 1 or plan.replicates == 1:
        done = {i: run_replicate(plan, i, advance) for i in range(plan.replicates)}
    else:
        done = {}
        for i, results in each_value(partial(run_replicate, plan), range(plan.replicates), jobs):
            done[i] = results
            advance(plan.ticks * len(plan.arms))
    return Ensemble(plan, tuple(done[i][arm] for arm in range(len(plan.arms)) for i in range(plan.replicates)))


def _ignore(ticks: int) -> None:
    """Nobody watches."""


def run_replicate(plan: Plan, replicate: int, advance: Callable[[int], None] | None = None) -> list[ArmResult]:
    """Run every arm on one seed; the arms share the materials space."""
    seed = plan.seed + replicate
    space = plan.first_space if replicate == 0 else plan.space_of(seed)
    results = []
    # One thread: sums in BLAS then have one order, whatever the machine does besides.
    with one_thread():
        for arm, (policies, shocks) in plan.arms.items():
            run = simulate(
                plan.parameters, seed=seed, ticks=plan.ticks, policies=policies, shocks=shocks, space=space,
                progress=None if advance is None else lambda _: advance(1),
            )  # fmt: skip
            results.append(arm_result(run, arm, replicate))
    return results


def arm_result(run: Run, arm: str, replicate: int) -> ArmResult:
    """Tables of a run that is over."""
    families = run.families
    names = run.ecosystem.world.space.family_names
    families.insert(2, "name", [names[k] for k in families["family"]])
    nodes, edges = infrastructure_tables(run.ecosystem.world.infrastructure)
    return ArmResult(
        arm, replicate, run.ecosystem.world.streams.seed, run.series, families, nodes, edges, run.summary, run.provenance["run_hash"]
    )  # fmt: skip


def infrastructure_tables(infrastructure: Infrastructure) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Nodes (kind, id, load, works) and links (provider and user) of the infrastructure as it is."""
    graph = infrastructure.graph()
    load = {"repository": infrastructure.repository_load(), "model": infrastructure.model_load()}
    nodes = pd.DataFrame(
        [
            {"kind": kind, "id": i, "load": float(load[kind][i]) if kind in load else 1.0, "works": data["works"]}
            for (kind, i), data in graph.nodes(data=True)
        ],
        columns=["kind", "id", "load", "works"],
    )
    edges = pd.DataFrame(
        [
            {"provider_kind": u[0], "provider": u[1], "user_kind": v[0], "user": v[1]}
            for u, v, data in graph.edges(data=True)
            if data["relation"] == "provides"
        ],
        columns=["provider_kind", "provider", "user_kind", "user"],
    )
    return nodes, edges


# --------------------------------------------------------------------------- writing


def write_tables(ensemble: Ensemble, folder: Path) -> None:
    """Write series, families, summary, effects and parameters into a folder."""
    tables: dict[str, pd.DataFrame | None] = {
        "series": ensemble.series,
        "families": ensemble.families,
        "summary": ensemble.summary,
        "effects": ensemble.effects,
    }
    for name, table in tables.items():
        if table is not None:
            table.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
    (folder / "parameters.toml").write_text(ensemble.plan.parameters.to_toml(), encoding="utf-8", newline="\n")


def write_provenance(ensemble: Ensemble, folder: Path) -> None:
    """Begin the record of a folder: the plan, and the hash of every run."""
    runs = [{"arm": r.arm, "replicate": r.replicate, "seed": r.seed, "run_hash": r.run_hash} for r in ensemble.results]
    text = json.dumps(ensemble.plan.record() | {"runs": runs}, allow_nan=False)
    (folder / RECORD).write_text(text, encoding="utf-8")


def plain(value: Any) -> Any:
    """Make numbers fit for JSON: NaN and infinities become null."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value.item() if hasattr(value, "item") else value
