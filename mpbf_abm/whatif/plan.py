"""A what-if: one question, asked of baseline and what-if on the same seeds; a study of two arms at most."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.interventions import NODES, Event, Policy, Shock
from mpbf_abm.observation import COLUMNS
from mpbf_abm.parameters import Parameters
from mpbf_abm.provenance import content_hash, record
from mpbf_abm.settings import DEFAULT_SEED, SHARED, numbers_faults, question_faults
from mpbf_abm.space.materials import MaterialsSpace
from mpbf_abm.spec import DEFAULT_TICKS, RunSpec
from mpbf_abm.streams import check_seed
from mpbf_abm.studies.definition import BASELINE, UNLIMITED, WHAT_IF, Limits, Series, Study

# What is kept of a run for the tables and the figure of a result, and for the page.
KEPT = Series(of=COLUMNS, tables=("families", "infrastructure", "links", "flows"))


@dataclass(frozen=True)
class Plan:
    """What to run.

    Without anything by which they would differ there is one arm; else there are two, baseline and what-if, and replicate ``i`` of both has the
    seed ``seed + i``.

    Attributes
    ----------
    parameters : Parameters
    seed : int
        Seed of the first replicate.
    ticks : int
        Horizon.
    replicates : int
        Runs per arm.
    policies : tuple
        What the what-if adds to the baseline.
    shocks : tuple
        What happens in every run, as in a study.
    space : MaterialsSpace, optional
        Real data that every run shares; without it each seed has a synthetic space of its own.
    shocks_in_baseline : bool
        False lets shocks happen in the what-if alone: what do shocks and policies change together?
    """

    parameters: Parameters
    seed: int = DEFAULT_SEED
    ticks: int = DEFAULT_TICKS
    replicates: int = 1
    policies: tuple[Policy, ...] = ()
    shocks: tuple[Shock, ...] = ()
    space: MaterialsSpace | None = None
    shocks_in_baseline: bool = True

    @property
    def arms(self) -> dict[str, tuple[tuple[Policy, ...], tuple[Shock, ...]]]:
        """Policies and shocks of each arm."""
        arms: dict[str, tuple[tuple[Policy, ...], tuple[Shock, ...]]] = {
            BASELINE: ((), self.shocks if self.shocks_in_baseline else ())
        }
        if self.policies or (self.shocks and not self.shocks_in_baseline):
            arms[WHAT_IF] = (self.policies, self.shocks)
        return arms

    @property
    def seeds(self) -> list[int]:
        """Seed of each replicate."""
        return [self.seed + i for i in range(self.replicates)]

    def spec(self, arm: str, replicate: int = 0) -> RunSpec:
        """One of the runs."""
        policies, shocks = self.arms[arm]
        return RunSpec(self.parameters, self.seed + replicate, self.ticks, policies, shocks, self.space)

    @property
    def kind(self) -> str:
        """What it is: a run, or a what-if."""
        return WHAT_IF if len(self.arms) > 1 else "run"

    @cached_property
    def study(self) -> Study:
        """The study of this question."""
        return Study.of_question(
            self.kind, self.parameters, self.policies, self.shocks, shared=self.shocks_in_baseline, seeds=self.seeds, ticks=self.ticks,
            series=KEPT, limits=UNLIMITED, question=self.compared(),
        )  # fmt: skip

    def check(self) -> None:
        """Raise with one line for every fault that would stop the run or leave an event without effect."""
        faults = numbers_faults({"seed": self.seed, "ticks": self.ticks, "replicates": self.replicates})
        if not faults:
            faults += question_faults(self.policies, self.shocks, self.replicates, shared=self.shocks_in_baseline)
            last = lambda: check_seed(self.seed + self.replicates - 1, "last seed")
            for act in (last, *(self.spec(arm).check for arm in self.arms)):
                try:
                    act()
                except ConfigurationError as error:
                    faults += error.faults
        if faults:
            raise ConfigurationError(list(dict.fromkeys(faults)))

    @property
    def question_hash(self) -> str:
        """Hash of the question: what it asks, and where seeds begin, but not of how many pairs."""
        return content_hash([self.seed, *(self.spec(arm).kind for arm in self.arms)])

    def record(self) -> dict[str, Any]:
        """Provenance of the plan: everything needed to run it again, and its hash."""
        runs = [
            {"arm": arm, "replicate": i, "seed": seed, "id": self.spec(arm, i).id}
            for arm in self.arms
            for i, seed in enumerate(self.seeds)
        ]
        return record(
            kind=self.kind,
            parameters=self.parameters.model_dump(),
            changed=self.parameters.changed(),
            seed=self.seed,
            replicates=self.replicates,
            ticks=self.ticks,
            policies=[p.model_dump() for p in self.policies],
            shocks=[s.model_dump() for s in self.shocks],
            space=None if self.space is None else dict(self.space.origin),
            **{SHARED: self.shocks_in_baseline},
        ) | {"runs": runs, "run_hash": content_hash([run["id"] for run in runs])}

    def words(self) -> str:
        """The plan in one line: what is compared with what."""
        pairs = len(self.arms) > 1
        runs = f"{self.replicates} {'pairs of runs' if pairs else 'run' + 's' * (self.replicates > 1)}"
        seeds = f"seed{'s' * (self.replicates > 1)} {'-'.join(str(s) for s in dict.fromkeys(self.seeds[:: len(self.seeds) - 1 or 1]))}"
        return f"{self.compared()} | {runs}, {seeds}, {self.ticks} ticks"

    def compared(self) -> str:
        """What is compared with what."""
        policies, shocks = (", ".join(describe(e) for e in events) for events in (self.policies, self.shocks))
        if len(self.arms) == 1:
            return f"run, with {shocks}" if shocks else "run"
        if not self.shocks_in_baseline:
            return f"what-if: {', '.join(filter(None, (policies, shocks)))}, against a baseline without"
        return f"what-if: {policies}" + (f"; in both arms: {shocks}" if shocks else "")


def plain_study(plan: Plan, name: str = "") -> Study:
    """The study of a plan, perhaps under another name, without what a result keeps of every run."""
    return plan.study.changed(name=name or plan.kind, series=Series(), limits=Limits())


def describe(event: Event) -> str:
    """Name, strength, what it hits, and time of an event in a few words."""
    strength = "" if event.strength is None else f" at {event.strength:g}"
    hit = ""
    if isinstance(event, Shock) and event.name in NODES:
        hit = f", node {event.target}" if isinstance(event.target, int) else f", {event.target}"
    until = "" if event.end is None else f" to {event.end}"
    return f"{event.name}{strength}{hit} from tick {event.start}{until}"
