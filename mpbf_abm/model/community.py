"""A community: the state of a run, and the phases that it steps through; :class:`Ecosystem` is it as a Mesa model."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from numpy.typing import NDArray

from mpbf_abm.errors import refuse, refuse_any
from mpbf_abm.glance import Glance, Shown
from mpbf_abm.model.curators import DataCurator, assimilate
from mpbf_abm.model.forgetting import forget
from mpbf_abm.model.founding import check_fit, found_community
from mpbf_abm.model.indicators import by_property, observe
from mpbf_abm.model.interventions import Policy, joint_faults, listed
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.planners import ExperimentPlanner, steer
from mpbf_abm.model.publication import couple
from mpbf_abm.model.shocks import Agenda, Shock, missing_nodes, unfit_shocks
from mpbf_abm.model.spec import Rule, Rules, event_type_faults, gathered, rule_faults, rule_kind
from mpbf_abm.model.stocks import fund, maintain
from mpbf_abm.model.trainers import ModelTrainer, abstract
from mpbf_abm.model.world import Cohort, World
from mpbf_abm.parameters import Parameters
from mpbf_abm.processes import one_thread
from mpbf_abm.provenance import DEFAULT_SEED
from mpbf_abm.streams import Streams

AGENTS: dict[str, Rule] = {"curators": DataCurator, "trainers": ModelTrainer, "planners": ExperimentPlanner}
TABLES = ("series", "families", "agents", "properties")
DEFAULT_RECORD = ("series", "families")


@dataclass
class Recorder:
    """What was recorded so far, as plain rows; tables are made when they are read.

    Attributes
    ----------
    series : list of (tick, indicators)
    families : list of (tick, records, experiments, found)
    properties : list of (tick, columns)
    agents : list of (tick, {kind: columns})
    """

    tables: tuple[str, ...]
    series: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    families: list[tuple[int, NDArray[Any], NDArray[Any], NDArray[Any]]] = field(default_factory=list)
    agents: list[tuple[int, dict[str, dict[str, NDArray[Any]]]]] = field(default_factory=list)
    properties: list[tuple[int, dict[str, NDArray[Any]]]] = field(default_factory=list)

    def observe(self, world: World) -> None:
        """Record one tick."""
        if "series" in self.tables:
            self.series.append((world.tick, observe(world)))
        if "families" in self.tables:
            found = world.discoveries.by_family.copy()
            self.families.append((world.tick, world.commons.records_by_family(), world.experiments.copy(), found))
        if "properties" in self.tables:
            self.properties.append((world.tick, by_property(world)))
        if "agents" in self.tables:
            cohorts = {
                c.kind: {n: v.copy() for n, v in c.frame().items()} | {"id": c.slots.copy()}
                for c in world.cohorts.values()
            }
            self.agents.append((world.tick, cohorts))


@dataclass(frozen=True, repr=False)
class Snapshot(Shown):
    """State of an ecosystem between two ticks; see :meth:`Community.restore`.

    Attributes
    ----------
    parameters, seed, policies, shocks, rules
        As of a :class:`~mpbf_abm.model.spec.RunSpec`.
    world : World
        Agents, records, models and links.
    recorder : Recorder
        What was recorded until then.
    """

    parameters: Parameters
    seed: int
    policies: tuple[Policy, ...]
    shocks: tuple[Shock, ...]
    rules: tuple[Rule, ...]
    world: World
    recorder: Recorder

    def glance(self) -> Glance:
        """Return when it was taken, and of what."""
        return Glance(f"Snapshot after {self.world.tick} ticks, seed {self.seed}; {self.world.space.glance().said}")


class Community:
    """A discovery ecosystem without Mesa.

    Parameters
    ----------
    parameters : Parameters
    seed : int
        Root seed of all draws.
    policies, shocks : sequences, optional
    space : MaterialsSpace, optional
        A custom space instead of the synthetic one.
    record : sequence of str, optional
        Tables to record: series, families, agents, properties. Default: series and families.
    planners, curators, trainers : class or sequence of classes, optional
        Subclasses of :class:`ExperimentPlanner`, :class:`DataCurator`, :class:`ModelTrainer`, dealt to agents in turn.
    reseed : mapping of int to int, optional
        ``{tick: seed}``: draws from that tick on come from another root seed.

    Examples
    --------
    >>> eco = Community(Parameters.preset("quick"), seed=1)
    >>> eco.step()
    >>> eco.world.tick
    1
    """

    def __init__(
        self,
        parameters: Parameters | None = None,
        seed: int = DEFAULT_SEED,
        *,
        policies: Iterable[Policy] = (),
        shocks: Iterable[Shock] = (),
        space: MaterialsSpace | None = None,
        record: Sequence[str] | None = None,
        planners: Rules = (),
        curators: Rules = (),
        trainers: Rules = (),
        reseed: Mapping[int, int] | None = None,
    ) -> None:
        p = parameters or Parameters()
        self.agenda = checked_agenda(policies, shocks, p)
        self.recorder = Recorder(check_record(record))
        self.rules = gathered(planners, curators, trainers)
        faults = rule_faults(self.rules)
        refuse_any(faults)
        streams = Streams(seed, reseed)
        with one_thread():
            space = space if space is not None else MaterialsSpace.generate(p.space, streams)
            check_fit(p, space.size, space.families, space.year, observed=space.observation is not None)
            refuse_any(unfit_shocks(self.agenda.shocks, space.size))
            self.world = found_community(p, streams, space)
        self._assemble()

    def _assemble(self) -> None:
        """Create the agents that have a custom rule, and the phases."""
        self.world.rules = {kind: self._dealt(kind, cohort) for kind, cohort in self.world.cohorts.items()}
        recorder = self.recorder.observe if self.recorder.tables else None
        self.phases: list[Phase] = schedule(self.agenda, self.world, recorder)

    def _dealt(self, kind: str, cohort: Cohort) -> dict[int, Any]:
        """Return agents of a kind by row, without those that follow the standard rules."""
        classes = [rule for rule in self.rules if rule_kind(rule) == kind]
        each = {row: classes[row % len(classes)] for row in range(len(cohort))} if classes else {}
        return {row: rule(self, row) for row, rule in each.items() if rule not in AGENTS.values()}

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
        with one_thread():
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
            self.rules,
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
    ) -> Self:
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
        self._prepare()
        self.world, self.recorder = copy.deepcopy((snapshot.world, snapshot.recorder))
        if reseed is not None:
            self.world.streams.reseed(reseed)
        self.rules = snapshot.rules
        self.agenda = checked_agenda(
            snapshot.policies if policies is None else policies,
            snapshot.shocks if shocks is None else shocks,
            snapshot.parameters,
        )
        self._assemble()
        return self

    def _prepare(self) -> None:
        """Prepare what a subclass needs before the state is put in."""


# --------------------------------------------------------------------------- checks


def checked_agenda(policies: Iterable[Policy], shocks: Iterable[Shock], parameters: Parameters) -> Agenda:
    """Return policies and shocks of a run, if all have that type, their nodes exist, and they go together."""
    agenda = Agenda(listed(policies), listed(shocks))
    refuse_any(event_type_faults(agenda.policies, agenda.shocks))
    refuse_any([*missing_nodes(agenda.shocks, parameters), *joint_faults(parameters, agenda.policies)])
    return agenda


def check_record(record: Sequence[str] | None) -> tuple[str, ...]:
    """Check the names of tables to record."""
    if record is None:
        return DEFAULT_RECORD
    tables = (record,) if isinstance(record, str) else tuple(record)
    for table in tables:
        refuse(table not in TABLES, f"record: unknown table '{table}' (tables: {', '.join(TABLES)})")
    return tables


# --------------------------------------------------------------------------- schedule

# The phases of a tick: data, printable, reorderable.


@dataclass(frozen=True)
class Phase:
    """One phase of a tick.

    Attributes
    ----------
    name, layer, does : str
    act : callable
        Takes the world and changes it.
    """

    name: str
    layer: str
    does: str
    act: Callable[[World], None]


def schedule(agenda: Agenda, world: World, observe: Callable[[World], None] | None) -> list[Phase]:
    """Phases of a tick in order; those without participants are dropped.

    Parameters
    ----------
    agenda : Agenda
        Policies and shocks of the run.
    world : World
        Decides who takes part.
    observe : callable or None
        What records the tick, if anything does.
    """
    everything = phases(agenda, observe)
    stocks = any([len(world.planners), len(world.trainers), world.base.stocks.hazard, agenda.shocks])
    busy = {
        "events": any([agenda.policies, agenda.shocks, world.p is not world.base]),
        "forget": any([agenda.policies, world.base.commons.forgetting, world.p.commons.forgetting]),
        "fund": stocks,  # opens the books that maintain checks
        "assimilate": all([len(world.curators), world.base.curators.records or world.base.curators.structures]),
        "abstract": bool(len(world.trainers)),
        "steer": bool(len(world.planners)),
        "couple": bool(len(world.planners)),
        "maintain": stocks,
        "observe": observe is not None,
    }
    return [phase for phase in everything if busy[phase.name]]


def nothing(world: World) -> None:
    """Observe nothing."""


def phases(agenda: Agenda, observe: Callable[[World], None] | None = None) -> list[Phase]:
    """All nine phases, whether or not anyone takes part."""
    return [
        Phase("events", "-", "policies and shocks start, act and end", agenda.act),
        Phase("forget", "DAL", "obsolete records go", forget),
        Phase("fund", "stocks", "income to planners and trainers; whole experiments by largest remainder", fund),
        Phase("assimilate", "DAL", "curators acquire, audit and publish records", assimilate),
        Phase("abstract", "RAL", "trainers that are due harmonise labels, retrain and publish their model", abstract),
        Phase("steer", "ISL", "planners adopt a model, choose family and candidate, experiment", steer),
        Phase("couple", "X", "results are published, become records, correct heads and make track records", couple),
        Phase(
            "maintain",
            "stocks",
            "wear, upkeep, outages and repairs; the balance of stocks and flows is checked",
            maintain,
        ),
        Phase("observe", "-", "indicators are recorded", observe or nothing),
    ]
