"""The plan of a run or a what-if: parameters, seeds, horizon, policies and shocks, checked as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mpbf_abm.errors import ConfigurationError, did_you_mean
from mpbf_abm.founding import check_fit
from mpbf_abm.interventions import NODES, Event, Policy, Shock, missing_nodes, parse_event
from mpbf_abm.parameters import Parameters, read_toml
from mpbf_abm.provenance import record
from mpbf_abm.simulation import DEFAULT_TICKS, check_horizon
from mpbf_abm.space.materials import MaterialsSpace
from mpbf_abm.streams import check_seed

BASELINE, WHAT_IF = "baseline", "what-if"
DEFAULT_SEED = 1
DEFAULT_PAIRS = 8
MOST_REPLICATES = 100_000
NUMBER_KEYS = ("seed", "ticks", "replicates")
SHARED = "shocks_in_baseline"
RUN_KEYS = (*NUMBER_KEYS, SHARED)
EVENTS: dict[str, type[Policy | Shock]] = {"policy": Policy, "shock": Shock}


@dataclass(frozen=True)
class Plan:
    """What to run.

    Without policies and shocks there is one arm; with any there are two, baseline and what-if,
    and replicate ``i`` of both has the seed ``seed + i``.

    Attributes
    ----------
    parameters : Parameters
    seed : int
        Seed of the first replicate.
    ticks : int
        Horizon.
    replicates : int
        Runs per arm.
    policies, shocks : tuples
        What the what-if adds to the baseline.
    shocks_in_baseline : bool
        Shocks hit the baseline too, so that the arms differ by the policies alone.
    space : MaterialsSpace, optional
        Real data that every run shares; without it each seed has a synthetic space of its own.
    """

    parameters: Parameters
    seed: int = DEFAULT_SEED
    ticks: int = DEFAULT_TICKS
    replicates: int = 1
    policies: tuple[Policy, ...] = ()
    shocks: tuple[Shock, ...] = ()
    space: MaterialsSpace | None = None
    shocks_in_baseline: bool = False

    @property
    def arms(self) -> dict[str, tuple[tuple[Policy, ...], tuple[Shock, ...]]]:
        """Policies and shocks of each arm."""
        arms: dict[str, tuple[tuple[Policy, ...], tuple[Shock, ...]]] = {
            BASELINE: ((), self.shocks if self.shocks_in_baseline else ())
        }
        if self.policies or self.shocks:
            arms[WHAT_IF] = (self.policies, self.shocks)
        return arms

    @property
    def seeds(self) -> list[int]:
        """Seed of each replicate."""
        return [self.seed + i for i in range(self.replicates)]

    @cached_property
    def first_space(self) -> MaterialsSpace:
        """Materials space of the first replicate."""
        return self.space_of(self.seed)

    def space_of(self, seed: int) -> MaterialsSpace:
        """Materials space of a replicate."""
        return self.space if self.space is not None else MaterialsSpace.synthetic(self.parameters, seed=seed)

    def check(self) -> None:
        """Raise with one line for every fault that would stop the run or leave an event without effect."""
        faults = numbers_faults({"seed": self.seed, "ticks": self.ticks, "replicates": self.replicates})
        if not faults:
            faults += missing_nodes(self.shocks, self.parameters)
            for event in (*self.policies, *self.shocks):
                if event.start >= self.ticks:
                    faults.append(
                        f"{event.label}: start = {event.start} is not before the end of the run at tick {self.ticks}"
                    )
            if self.shocks_in_baseline and not (self.policies and self.shocks):
                faults.append(f"{SHARED}: needs a shock, and a policy by which the arms differ")
            if len(self.arms) > 1 and self.replicates < 2:
                faults.append(f"replicates = {self.replicates}: a what-if needs at least 2 pairs for an interval")
            try:
                check_seed(self.seed + self.replicates - 1, "last seed")
                p, space = self.parameters, self.space
                # A synthetic space has the size it is asked for; it need not be made to be checked.
                size, families = (
                    (space.size, space.families) if space is not None else (p.space.materials, p.space.families)
                )
                check_fit(p, size, families, None if space is None else space.year)
                check_horizon(p, size, self.ticks)
            except ConfigurationError as error:
                faults += error.faults
        if faults:
            raise ConfigurationError(faults)

    def record(self) -> dict[str, Any]:
        """Provenance of the plan: everything needed to run it again, and its hash."""
        shared = {SHARED: True} if self.shocks_in_baseline else {}
        return record(
            **shared,
            kind="what-if" if len(self.arms) > 1 else "run",
            parameters=self.parameters.model_dump(),
            changed=self.parameters.changed(),
            seed=self.seed,
            replicates=self.replicates,
            ticks=self.ticks,
            policies=[p.model_dump() for p in self.policies],
            shocks=[s.model_dump() for s in self.shocks],
            space=dict(self.first_space.origin),
        )

    def words(self) -> str:
        """The plan in one line."""
        runs = f"{self.replicates} {'pairs of runs' if len(self.arms) > 1 else 'run' + 's' * (self.replicates > 1)}"
        seeds = f"seed{'s' * (self.replicates > 1)} {'-'.join(str(s) for s in dict.fromkeys(self.seeds[:: len(self.seeds) - 1 or 1]))}"
        events = ", ".join(describe(e) for e in (*self.policies, *self.shocks))
        both = " (shocks in both arms)" if self.shocks_in_baseline else ""
        return f"{'what-if: ' + events + both if events else 'run'} | {runs}, {seeds}, {self.ticks} ticks"


def describe(event: Event) -> str:
    """Name, strength, what it hits, and time of an event in a few words."""
    strength = "" if event.strength is None else f" at {event.strength:g}"
    hit = ""
    if isinstance(event, Shock) and event.name in NODES:
        hit = f", node {event.target}" if isinstance(event.target, int) else f", {event.target}"
    until = "" if event.end is None else f" to {event.end}"
    return f"{event.name}{strength}{hit} from tick {event.start}{until}"


def numbers_faults(values: Mapping[str, Any]) -> list[str]:
    """Faults of seed, ticks and replicates."""
    faults = []
    limits = {"ticks": (1, 1_000_000), "replicates": (1, MOST_REPLICATES)}
    for name, value in values.items():
        if name == "seed":
            try:
                check_seed(value)
            except ConfigurationError as error:
                faults += error.faults
            continue
        low, high = limits[name]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            faults.append(f"{name} = {value!r}: must be a whole number from {low} to {high}")
    return faults


@dataclass(frozen=True)
class Settings:
    """What a configuration file says; every part may be missing from it."""

    parameters: Parameters
    numbers: Mapping[str, int]
    policies: tuple[Policy, ...] = ()
    shocks: tuple[Shock, ...] = ()
    shocks_in_baseline: bool = False


def read_settings(path: str | Path | None, preset: str | None = None) -> Settings:
    """Read a configuration file: parameter groups, ``preset``, ``[run]``, ``[[policy]]``, ``[[shock]]``.

    Parameters
    ----------
    path : path or None
        None stands for an empty file.
    preset : str, optional
        Takes the place of the file's preset.

    Raises
    ------
    ConfigurationError
        Every fault of the file at once, one line each.
    """
    data = {} if path is None else read_toml(path)
    return settings_from(data, preset, where="" if path is None else Path(path).name)


def settings_from(data: Mapping[str, Any], preset: str | None = None, where: str = "") -> Settings:
    """Settings of what a configuration file holds; see :func:`read_settings`."""
    data = dict(data)
    where = f"{where}: " if where else ""
    if preset is not None:
        data["preset"] = preset
    faults: list[str] = []
    numbers, shared, run_faults = _run_table(data.pop("run", {}))
    faults += run_faults
    events: dict[str, list[Any]] = {}
    for key, kind in EVENTS.items():
        events[key], event_faults = _event_tables(key, kind, data.pop(key, []))
        faults += event_faults
    parameters = Parameters()
    try:
        parameters = Parameters.from_mapping(data)
    except ConfigurationError as error:
        faults = error.faults + faults
    if faults:
        raise ConfigurationError([where + fault for fault in faults])
    return Settings(parameters, numbers, tuple(events["policy"]), tuple(events["shock"]), shared)


def _run_table(table: Any) -> tuple[dict[str, int], bool, list[str]]:
    if not isinstance(table, Mapping):
        return {}, False, ["'run' must be a table, [run]"]
    faults = [f"unknown key 'run.{k}'{did_you_mean(k, RUN_KEYS)}" for k in table if k not in RUN_KEYS]
    numbers, shared = {k: v for k, v in table.items() if k in NUMBER_KEYS}, table.get(SHARED, False)
    if not isinstance(shared, bool):
        faults.append(f"run.{SHARED} = {shared!r}: must be true or false")
    return numbers, shared is True, faults + [f"run.{fault}" for fault in numbers_faults(numbers)]


def _event_tables(key: str, kind: type[Policy | Shock], tables: Any) -> tuple[list[Any], list[str]]:
    if not isinstance(tables, list):
        return [], [f"'{key}' must be a list of tables, [[{key}]]"]
    events, faults = [], []
    for number, table in enumerate(tables, 1):
        if not isinstance(table, Mapping):
            faults.append(f"{key} {number} must be a table, [[{key}]]")
        elif "name" not in table:
            faults.append(f"{key} {number} has no name")
        else:
            try:
                events.append(kind(**table))
            except ConfigurationError as error:
                faults += error.faults
    return events, faults


def read_events(texts: Sequence[str], key: str) -> tuple[list[Any], list[str]]:
    """Parse ``name[:start=24,strength=0.5]`` options; returns events and faults."""
    events, faults = [], []
    for text in texts:
        try:
            events.append(parse_event(text, EVENTS[key]))
        except ConfigurationError as error:
            faults += error.faults
    return events, faults
