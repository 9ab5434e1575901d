"""The ecosystem: a Mesa model that steps through its phases, and the function that runs one."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import mesa
import numpy as np
from numpy.typing import NDArray

from mpbf_abm.agents.curator import DataCurator, label
from mpbf_abm.agents.planner import ExperimentPlanner, collaboration
from mpbf_abm.agents.cohort import Cohort
from mpbf_abm.agents.trainer import ModelTrainer, link_trainers
from mpbf_abm.agents.world import Truth, World
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.events import Agenda, Policy, Shock
from mpbf_abm.observation import COLUMNS, observe
from mpbf_abm.parameters import Parameters
from mpbf_abm.provenance import record as provenance_record
from mpbf_abm.schedule import Phase, schedule
from mpbf_abm.space import modalities
from mpbf_abm.space.commons import FOUNDER, LITERATURE, Commons, record_keys
from mpbf_abm.space.infrastructure import Infrastructure, choose_links
from mpbf_abm.space.materials import MaterialsSpace
from mpbf_abm.space.registry import Registry
from mpbf_abm.space.synthetic import generate
from mpbf_abm.stocks import Books
from mpbf_abm.streams import Streams, race

if TYPE_CHECKING:
    import pandas as pd

TABLES = ("series", "families", "agents")
DEFAULT_RECORD = ("series", "families")
DEFAULT_TICKS = 120


@dataclass
class Recorder:
    """What was recorded so far, as plain rows; tables are made when somebody asks.

    Attributes
    ----------
    series : list of (tick, indicators)
    families : list of (tick, records, experiments, found)
    agents : list of (tick, {kind: columns})
    """

    tables: tuple[str, ...]
    series: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    families: list[tuple[int, NDArray[Any], NDArray[Any], NDArray[Any]]] = field(default_factory=list)
    agents: list[tuple[int, dict[str, dict[str, NDArray[Any]]]]] = field(default_factory=list)

    def observe(self, world: World) -> None:
        """Record one tick."""
        if "series" in self.tables:
            self.series.append((world.tick, observe(world)))
        if "families" in self.tables:
            found = np.bincount(
                world.space.family[np.flatnonzero(world.found_by >= 0)], minlength=world.space.families
            ) if world.found else np.zeros(world.space.families, np.int64)  # fmt: skip
            self.families.append((world.tick, world.commons.records_by_family(), world.experiments.copy(), found))
        if "agents" in self.tables:
            cohorts = {
                c.kind: {n: v.copy() for n, v in c.frame().items()} | {"id": c.slots.copy()}
                for c in world_cohorts(world)
            }
            self.agents.append((world.tick, cohorts))


def world_cohorts(world: World) -> tuple[Cohort, Cohort, Cohort]:
    """Return the three cohorts."""
    return world.curators, world.trainers, world.planners


@dataclass(frozen=True)
class Snapshot:
    """State of an ecosystem between two ticks; see :meth:`Ecosystem.restore`."""

    parameters: Parameters
    seed: int
    policies: tuple[Policy, ...]
    shocks: tuple[Shock, ...]
    planner_types: tuple[type[ExperimentPlanner], ...]
    world: World
    recorder: Recorder


class Ecosystem(mesa.Model):
    """A discovery ecosystem.

    Parameters
    ----------
    parameters : Parameters
    seed : int
        Root seed of all draws.
    policies, shocks : sequences, optional
    space : MaterialsSpace, optional
        A space of one's own instead of the synthetic one.
    record : sequence of str, optional
        Tables to record: series, families, agents. Default: series and families.
    planners : class or sequence of classes, optional
        Subclasses of :class:`ExperimentPlanner`, dealt to planners in turn.
    reseed : mapping of int to int, optional
        ``{tick: seed}``: draws from that tick on come from another root seed.
    mesa_seed : int
        Seed of Mesa's own generators, which no result depends on.

    Examples
    --------
    >>> eco = Ecosystem(Parameters.preset("quick"), seed=1)
    >>> eco.step()
    >>> eco.world.tick
    1
    """

    def __init__(
        self,
        parameters: Parameters | None = None,
        seed: int = 0,
        *,
        policies: Iterable[Policy] = (),
        shocks: Iterable[Shock] = (),
        space: MaterialsSpace | None = None,
        record: Sequence[str] | None = None,
        planners: type[ExperimentPlanner] | Sequence[type[ExperimentPlanner]] = (),
        reseed: Mapping[int, int] | None = None,
        mesa_seed: int = 0,
    ) -> None:
        super().__init__(rng=int(mesa_seed))
        p = parameters or Parameters()
        self.agenda = Agenda(tuple(policies), tuple(shocks))
        check_agenda(self.agenda)
        self.recorder = Recorder(check_record(record))
        self.planner_types = check_types(planners)
        streams = Streams(seed, reseed)
        space = space if space is not None else generate(p.space, streams)
        check_fit(p, space)
        self.world = found(p, streams, space)
        self._assemble()

    def _assemble(self) -> None:
        """Create the Mesa agents over the columns, and the phases."""
        world = self.world
        for row in range(len(world.curators)):
            DataCurator(self, row)
        for row in range(len(world.trainers)):
            ModelTrainer(self, row)
        types: tuple[type[ExperimentPlanner], ...] = self.planner_types or (ExperimentPlanner,)
        world.rules = {}
        for row in range(len(world.planners)):
            agent = types[row % len(types)](self, row)
            if type(agent) is not ExperimentPlanner:
                world.rules[row] = agent
        recorder = self.recorder.observe if self.recorder.tables else None
        self.phases: list[Phase] = schedule(self.agenda, world, recorder)

    @property
    def tick(self) -> int:
        """Next tick to run."""
        return self.world.tick

    @property
    def parameters(self) -> Parameters:
        """Parameters the run was started with."""
        return self.world.base

    def step(self) -> None:
        """Run one tick."""
        world = self.world
        for phase in self.phases:
            phase.act(world)
        world.tick += 1

    # ------------------------------------------------------------------ snapshots

    def snapshot(self) -> Snapshot:
        """Freeze the state between two ticks; arms of a what-if can be restored from it."""
        rules, self.world.rules = self.world.rules, {}
        try:
            world, recorder = copy.deepcopy((self.world, self.recorder))
        finally:
            self.world.rules = rules
        return Snapshot(
            self.world.base,
            self.world.streams.seed,
            self.agenda.policies,
            self.agenda.shocks,
            self.planner_types,
            world,
            recorder,
        )

    @classmethod
    def restore(
        cls,
        snapshot: Snapshot,
        *,
        policies: Iterable[Policy] | None = None,
        shocks: Iterable[Shock] | None = None,
        reseed: Mapping[int, int] | None = None,
    ) -> Ecosystem:
        """Continue from a snapshot, as often as one likes.

        Parameters
        ----------
        snapshot : Snapshot
        policies, shocks : sequences, optional
            Replace those of the snapshot: another branch of the same history.
        reseed : mapping of int to int, optional
            Other draws from a tick on.
        """
        self = cls.__new__(cls)
        mesa.Model.__init__(self, rng=0)
        self.world, self.recorder = copy.deepcopy((snapshot.world, snapshot.recorder))
        if reseed is not None:
            self.world.streams = Streams(snapshot.seed, reseed)
            self.world.commons.streams = self.world.streams
        self.planner_types = snapshot.planner_types
        self.agenda = Agenda(
            snapshot.policies if policies is None else tuple(policies),
            snapshot.shocks if shocks is None else tuple(shocks),
        )
        check_agenda(self.agenda)
        self._assemble()
        return self

    def release(self) -> None:
        """Let go of this model: Mesa 3.3 otherwise keeps every model that had an agent."""
        ids = getattr(mesa.Agent, "_ids", None)
        if isinstance(ids, dict):
            ids.pop(self, None)


# --------------------------------------------------------------------------- checks


def check_fit(p: Parameters, space: MaterialsSpace) -> None:
    """Check that parameters and space fit together; all faults at once."""
    faults = []
    mass = p.founding.mass
    if isinstance(mass, tuple) and len(mass) != space.families:
        faults.append(f"founding.mass has {len(mass)} entries; this space has {space.families} families")
    if p.planners.count and p.planners.experiments * p.planners.count > space.size and not p.planners.repeats:
        faults.append(
            f"planners.count x planners.experiments = {p.planners.count * p.planners.experiments:g} experiments per tick: "
            f"more than the space has materials ({space.size}); allow planners.repeats or enlarge the space"
        )
    if faults:
        raise ConfigurationError(faults)


def check_horizon(p: Parameters, space: MaterialsSpace, ticks: int) -> None:
    """Refuse a run that would use up the space long before its end."""
    wanted = p.planners.count * p.planners.experiments * p.stocks.funding * ticks
    if not p.planners.repeats and wanted > 4 * space.size:
        raise ConfigurationError(
            f"{wanted:g} experiments in {ticks} ticks on {space.size} materials: more experiments than materials; "
            "lower planners.count, planners.experiments or the ticks, enlarge space.materials, or set planners.repeats = true"
        )


def check_agenda(agenda: Agenda) -> None:
    """Check types of policies and shocks."""
    faults = [f"policies: {p!r} is not a Policy" for p in agenda.policies if not isinstance(p, Policy)]
    faults += [f"shocks: {s!r} is not a Shock" for s in agenda.shocks if not isinstance(s, Shock)]
    if faults:
        raise ConfigurationError(faults)


def check_record(record: Sequence[str] | None) -> tuple[str, ...]:
    """Check the names of tables to record."""
    if record is None:
        return DEFAULT_RECORD
    tables = (record,) if isinstance(record, str) else tuple(record)
    unknown = [t for t in tables if t not in TABLES]
    if unknown:
        raise ConfigurationError(f"record: unknown table '{unknown[0]}' (tables: {', '.join(TABLES)})")
    return tables


def check_types(
    planners: type[ExperimentPlanner] | Sequence[type[ExperimentPlanner]],
) -> tuple[type[ExperimentPlanner], ...]:
    """Check custom planner classes."""
    types = (planners,) if isinstance(planners, type) else tuple(planners)
    for t in types:
        if not (isinstance(t, type) and issubclass(t, ExperimentPlanner)):
            raise ConfigurationError(f"planners: {t!r} is not a subclass of ExperimentPlanner")
    return types


# --------------------------------------------------------------------------- founding


def found(p: Parameters, streams: Streams, space: MaterialsSpace) -> World:
    """Found a community: commons with its founding records, links, agents with their columns."""
    R = p.infrastructure.repositories
    mass = np.broadcast_to(np.asarray(p.founding.mass, np.float64), (space.families,))
    commons = Commons(space, R, mass, streams)
    M, L = p.trainers.count, p.planners.count + p.planners.isolated
    c, t, q = p.curators, p.trainers, p.planners
    curators = Cohort(
        "curators", c.count, exploration=c.exploration, reinforcement=c.reinforcement,
        repository=np.arange(c.count) % R, credit=0.0, audit_credit=0.0,
    )  # fmt: skip
    trainers = Cohort(
        "trainers", M, scale=t.scale, invariance=t.invariance, compute=max(p.stocks.compute, t.scale), spent=0.0,
        last_tradeoff=np.nan, last_direction=1.0,
    )  # fmt: skip
    planners = Cohort(
        "planners", L, exploration=q.exploration, reinforcement=q.reinforcement, budget=np.int64(0), funding=0.0,
        attention=min(p.stocks.attention, p.stocks.attention_cap), judged=0.0, claims=0.0, best_value=-np.inf,
        best_material=np.int64(-1), isolated=np.arange(L) >= q.count, hits=np.zeros((L, M)), misses=np.zeros((L, M)),
    )  # fmt: skip
    y = space.property
    truth = Truth(y, space.simulated, space.top, float(np.median(np.abs(y - np.median(y)))) or 1.0)
    world = World(
        p=p, base=p, streams=streams, space=space, truth=truth, commons=commons,
        infrastructure=Infrastructure(R, M, L, p.infrastructure.providers, p.infrastructure.need),
        registry=Registry([None] * M), curators=curators, trainers=trainers, planners=planners,
        network=collaboration(L, q.neighbours, streams.exponential("found.collaborators", 0, (L, L)) if L * M else np.zeros((L, L))),
        health_repositories=np.ones(R), health_models=np.ones(M), books=Books(),
        found_by=np.full(space.size, -1, np.int32), experiments=np.zeros(space.families, np.int64),
        experiments_before=np.zeros(space.families, np.int64), reference=float(np.quantile(y, 0.9)),
    )  # fmt: skip
    isolate(world)
    found_records(world)
    link(world)
    return world


def isolate(world: World) -> None:
    """Cut isolated planners out of the collaboration network."""
    alone = world.planners.isolated
    if alone.any():
        inside = ~alone
        world.network[alone] = 0.0
        members = int(inside.sum())
        clocks = (
            world.streams.exponential("found.collaborators", 0, (members, members)) if members else np.zeros((0, 0))
        )
        world.network[np.ix_(inside, inside)] = collaboration(members, world.p.planners.neighbours, clocks)
        world.network[np.ix_(inside, alone)] = 0.0


def found_records(world: World) -> None:
    """Enter the founding records: families by size to the founding concentration, materials uniformly."""
    p, space, streams = world.p, world.space, world.streams
    n = p.founding.records
    if n == 0:
        start_counting(world)
        return
    weight = space.family_sizes.astype(np.float64) ** p.founding.concentration
    # Ordered by inverse CDF over family keys, so that the draw does not depend on labels.
    by_key = np.argsort(space.family_keys, kind="stable")
    edges = np.cumsum(weight[by_key] / weight.sum())
    u = streams.uniform("found.record", 0, (n, 8))
    family = by_key[np.minimum(np.searchsorted(edges, u[:, 0], side="right"), space.families - 1)]
    material = space.start[family] + (u[:, 1] * space.family_sizes[family]).astype(np.int64)
    if n <= 64 and space.families == 1:
        # A pool's few founding records are distinct materials.
        material = np.argsort(streams.uniform("found.pool", 0, space.size), kind="stable")[:n]
        material = np.resize(material, n)
    mix = np.cumsum(np.asarray(p.curators.modality_mix) / sum(p.curators.modality_mix))
    modality = np.minimum(np.searchsorted(mix, u[:, 2], side="right"), len(mix) - 1).astype(np.int8)
    from scipy.special import ndtri

    value, variance = label(world, material, modality, ndtri(np.clip(u[:, 3], 1e-12, 1 - 1e-12)))
    # Repositories start unequal, as real ones are: Zipf sizes.
    share = np.cumsum(1.0 / np.arange(1, world.commons.repositories + 1))
    repository = np.searchsorted(share / share[-1], u[:, 4], side="right")
    world.commons.append(
        key=record_keys(FOUNDER, np.arange(n) >> 15, 0, np.arange(n) & 0x7FFF), material=material, modality=modality,
        value=value, variance=variance, origin=np.int8(LITERATURE), repository=np.minimum(repository, world.commons.repositories - 1),
        producer=-1, tick=-1, federated=u[:, 5] < p.curators.openness,
    )  # fmt: skip
    start_counting(world)


def start_counting(world: World) -> None:
    """Note what is known at founding, so that finds are counted from there."""
    known = world.commons.tested
    world.found_by[known] = -2
    world.existing = int((world.truth.top & ~known).sum())
    world.founding_untested = int((world.space.feasible & ~known).sum())


def link(world: World) -> None:
    """Make the founding links of trainers and labs to repositories."""
    infrastructure, commons = world.infrastructure, world.commons
    size = commons.counts[: commons.repositories].sum(axis=1) + 1.0
    if len(world.trainers):
        link_trainers(world, np.arange(len(world.trainers)))
    if len(world.planners):
        if commons.repositories == 1:
            return
        clocks = world.clocks("found.lab_repository", world.planners, commons.repositories)
        infrastructure.lab_repository = race(
            clocks, np.broadcast_to(size**world.p.infrastructure.preference, clocks.shape)
        ).astype(np.int64)


# --------------------------------------------------------------------------- running


class Run:
    """Result of a run.

    Attributes
    ----------
    summary : dict
        Scalar outcomes at the end.
    provenance : dict
        Everything needed to run it again.
    ecosystem : Ecosystem
        The community at the end of the run.
    """

    def __init__(self, ecosystem: Ecosystem, ticks: int, call: dict[str, Any]) -> None:
        self.ecosystem = ecosystem
        self.ticks = ticks
        self._call = call
        self.summary = summarise(ecosystem)
        self.provenance = provenance_record(
            parameters=ecosystem.parameters.model_dump(), changed=ecosystem.parameters.changed(), seed=ecosystem.world.streams.seed,
            reseed=ecosystem.world.streams.later, ticks=ticks, policies=[e.model_dump() for e in ecosystem.agenda.policies],
            shocks=[e.model_dump() for e in ecosystem.agenda.shocks], record=list(ecosystem.recorder.tables),
            space=dict(ecosystem.world.space.origin), planners=[f"{t.__module__}.{t.__qualname__}" for t in ecosystem.planner_types],
        )  # fmt: skip

    @property
    def series(self) -> pd.DataFrame:
        """One row per tick: tick and one column per indicator."""
        import pandas as pd

        rows = self.ecosystem.recorder.series
        data = np.array([[values[c] for c in COLUMNS] for _, values in rows]).reshape(len(rows), len(COLUMNS))
        frame = pd.DataFrame(data, columns=list(COLUMNS))
        frame.insert(0, "tick", np.array([t for t, _ in rows], np.int64))
        return frame

    @property
    def families(self) -> pd.DataFrame:
        """One row per tick and family: records alive, experiments and finds so far, share of records."""
        import pandas as pd

        rows = self.ecosystem.recorder.families
        K = self.ecosystem.world.space.families
        records = np.array([r for _, r, _, _ in rows], np.int64).reshape(-1, K)
        total = np.maximum(records.sum(axis=1, keepdims=True), 1)
        return pd.DataFrame(
            {
                "tick": np.repeat(np.array([t for t, *_ in rows], np.int64), K),
                "family": np.tile(np.arange(K), len(rows)),
                "records": records.ravel(),
                "experiments": np.array([e for _, _, e, _ in rows], np.int64).ravel(),
                "found": np.array([f for *_, f in rows], np.int64).ravel(),
                "share": (records / total).ravel(),
            }
        )

    @property
    def agents(self) -> pd.DataFrame:
        """One row per tick and agent (empty unless ``record`` asked for it)."""
        import pandas as pd

        parts = []
        for tick, cohorts in self.ecosystem.recorder.agents:
            for kind, columns in cohorts.items():
                frame = pd.DataFrame(columns)
                frame.insert(0, "kind", kind)
                frame.insert(0, "tick", tick)
                parts.append(frame)
        columns = ["tick", "kind", "id"]
        if not parts:
            return pd.DataFrame(columns=columns)
        table = pd.concat(parts, ignore_index=True)
        return table[columns + [c for c in table.columns if c not in columns]]

    def replay(self) -> Run:
        """Run it again from the same inputs; the result has equal bytes."""
        return simulate(**self._call)


def summarise(ecosystem: Ecosystem) -> dict[str, float]:
    """Scalar outcomes: every indicator at the end, and what defines the run's fate."""
    world = ecosystem.world
    last = ecosystem.recorder.series[-1][1] if ecosystem.recorder.series else observe(world)
    out = {"ticks": float(world.tick), **last}
    records = world.commons.records_by_family()
    out["leading_family"] = float(np.argmax(records)) if records.sum() else float("nan")
    out["leading_share"] = float(records.max() / records.sum()) if records.sum() else float("nan")
    out["outages"] = float(world.totals.outages)
    out["audits"] = float(world.totals.audits)
    out["failed_retrainings"] = float(world.totals.failed_retrainings)
    return out


def simulate(
    parameters: Parameters | None = None,
    *,
    seed: int = 0,
    ticks: int = DEFAULT_TICKS,
    policies: Iterable[Policy] = (),
    shocks: Iterable[Shock] = (),
    space: MaterialsSpace | None = None,
    record: Sequence[str] | None = None,
    planners: type[ExperimentPlanner] | Sequence[type[ExperimentPlanner]] = (),
    reseed: Mapping[int, int] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Run:
    """Run an ecosystem.

    Parameters
    ----------
    parameters : Parameters, optional
        Default: ``Parameters()``.
    seed : int
        Root seed. Equal seeds share every draw (common random numbers), whatever else differs.
    ticks : int
        Horizon; one tick is about a month.
    policies, shocks : sequences of Policy and Shock, optional
    space : MaterialsSpace, optional
        Default: a synthetic one generated from the parameters and the seed.
    record : sequence of str, optional
        Tables to record (series, families, agents); an empty one observes the end only.
    planners, reseed
        See :class:`Ecosystem`.
    progress : callable, optional
        Called with the tick after each tick.

    Returns
    -------
    Run

    Raises
    ------
    ConfigurationError
        For any input that cannot be used, one line per fault.

    Examples
    --------
    >>> run = simulate(Parameters.preset("quick"), seed=1, ticks=2)
    >>> len(run.series)
    2
    """
    if isinstance(ticks, bool) or not isinstance(ticks, (int, np.integer)) or not 0 <= ticks <= 1_000_000:
        raise ConfigurationError(f"ticks = {ticks!r}: must be a whole number from 0 to 1000000")
    call = {
        "parameters": parameters, "seed": seed, "ticks": ticks, "policies": tuple(policies), "shocks": tuple(shocks),
        "space": space, "record": record, "planners": planners, "reseed": reseed,
    }  # fmt: skip
    ecosystem = Ecosystem(
        parameters,
        seed,
        policies=call["policies"],
        shocks=call["shocks"],
        space=space,
        record=record,
        planners=planners,
        reseed=reseed,  # type: ignore[arg-type]
    )
    try:
        check_horizon(ecosystem.parameters, ecosystem.world.space, int(ticks))
        for _ in range(int(ticks)):
            ecosystem.step()
            if progress is not None:
                progress(ecosystem.tick)
        return Run(ecosystem, int(ticks), call)
    finally:
        ecosystem.release()


__all__ = ["Ecosystem", "Recorder", "Run", "Snapshot", "choose_links", "found", "itertools", "modalities", "simulate"]
