"""What the page asks the model, as data: read from its form, its address or a file; told as command line, TOML and address."""

from __future__ import annotations

import math
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, urlencode

from mpbf_abm.errors import ConfigurationError, MpbfError
from mpbf_abm.model.interventions import Event, Policy
from mpbf_abm.model.settings import (
    DEFAULT_PAIRS,
    DEFAULT_SEED,
    EVENTS,
    SHARED,
    Settings,
    numbers_faults,
    read_events,
    settings_from,
)
from mpbf_abm.model.shocks import Shock
from mpbf_abm.model.spec import DEFAULT_TICKS, event_fields, table_lines
from mpbf_abm.parameters import (
    GROUPS,
    PATHS,
    PRESETS,
    Parameters,
    current,
    parse_assignment,
    toml_value,
    typed,
    value_faults,
)
from mpbf_abm.studies.whatif import Plan, plain_study

NUMBERS = {"seed": DEFAULT_SEED, "ticks": DEFAULT_TICKS, "replicates": DEFAULT_PAIRS}
PRESET_NAMES = (*(name for name in PRESETS if name != "pool"), "null")
# What a page on one machine can be asked for at once, and why not more.
MOST = {"ticks": 1_000, "replicates": 64, "agents": 2_000, "space.materials": 200_000, "founding.records": 100_000}
MOST_AGENT_TICKS = 2_000_000
MOST_CELLS = 20_000_000  # rows of families.csv that are kept in memory
MOST_TEXT = 256 * 1024  # bytes of a file or a form


@dataclass(frozen=True)
class Fault:
    """One line about what cannot be used, and the control it belongs to (empty: none).

    Controls are named by the dotted path of a parameter, ``seed``, ``ticks``, ``replicates``, ``preset``, ``shocks_in_baseline``, or an event's
    kind and name (``policy:audits``).
    """

    control: str
    line: str


class ScenarioError(MpbfError):
    """A form, an address or a file that is no scenario; `placed` are its faults, `faults` their lines."""

    def __init__(self, placed: Sequence[Fault]) -> None:
        self.placed = list(placed)
        self.faults = [fault.line for fault in placed]
        super().__init__("\n".join(self.faults))


@dataclass(frozen=True)
class Scenario:
    """One question to the model.

    Attributes
    ----------
    preset : str
    changes : dict
        Parameters that differ from the preset, by dotted path.
    policies, shocks : tuples
        At most one of a name, as the page has one switch for each.
    seed, ticks, replicates : int
    shocks_in_baseline : bool
        Shocks hit both arms; else the what-if alone.
    """

    preset: str = "default"
    changes: Mapping[str, Any] = field(default_factory=dict)
    policies: tuple[Policy, ...] = ()
    shocks: tuple[Shock, ...] = ()
    seed: int = DEFAULT_SEED
    ticks: int = DEFAULT_TICKS
    replicates: int = DEFAULT_PAIRS
    shocks_in_baseline: bool = True

    @cached_property
    def parameters(self) -> Parameters:
        """All parameters."""
        return Parameters.preset(self.preset).updated(self.changes)

    @cached_property
    def plan(self) -> Plan:
        """What to run."""
        return Plan(
            self.parameters, seed=self.seed, ticks=self.ticks, replicates=self.replicates, policies=self.policies, shocks=self.shocks,
            shocks_in_baseline=self.shocks_in_baseline,
        )  # fmt: skip

    @property
    def agents(self) -> int:
        """Agents of a run."""
        p = self.parameters
        return p.curators.count + p.trainers.count + p.planners.count

    # ------------------------------------------------------------------ checks

    def faults(self) -> list[Fault]:
        """What stops it from being run, or run on a page."""
        try:
            plan = self.plan
        except ConfigurationError as error:
            return placed(error.faults)
        try:
            plan.check()
        except ConfigurationError as error:
            return placed(error.faults)
        return self.too_much()

    def too_much(self) -> list[Fault]:
        """What is more than a page should be asked for, with the reason."""
        instead = "mpbf run with the line under Configuration has no such limit"
        p, faults = self.parameters, []
        wanted = {
            "ticks": self.ticks, "replicates": self.replicates, "agents": self.agents,
            "space.materials": p.space.materials, "founding.records": p.founding.records,
        }  # fmt: skip
        for name, most in MOST.items():
            if wanted[name] > most:
                control = "planners.count" if name == "agents" else name
                faults.append(
                    Fault(control, f"{name} = {wanted[name]}: the page takes at most {most}, so that it stays quick; {instead}")
                )  # fmt: skip
        arms = len(self.plan.arms)
        work = self.agents * self.ticks * self.replicates * arms
        if work > MOST_AGENT_TICKS and not faults:
            faults.append(
                Fault(
                    "replicates",
                    f"{self.agents} agents x {self.ticks} ticks x {self.replicates} replicates x {arms} arm{'s' * (arms > 1)} = "
                    f"{work / 1e6:.3g} million: the page takes at most {MOST_AGENT_TICKS / 1e6:g} million, some minutes of work; {instead}",
                )
            )  # fmt: skip
        cells = p.space.families * self.ticks * self.replicates * arms
        if cells > MOST_CELLS and not faults:
            faults.append(
                Fault(
                    "space.families",
                    f"{p.space.families} families x {self.ticks} ticks x {self.replicates} replicates x {arms} arm{'s' * (arms > 1)} = "
                    f"{cells / 1e6:.3g} million rows: the page keeps at most {MOST_CELLS / 1e6:g} million in memory; {instead}",
                )
            )  # fmt: skip
        return faults

    def checked(self) -> Scenario:
        """Itself, or every fault at once."""
        if faults := self.faults():
            raise ScenarioError(faults)
        return self

    # ------------------------------------------------------------------ told

    def _numbers(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in NUMBERS}

    def address(self) -> str:
        """Query of the page's address; what is as by default is left out."""
        parts: list[tuple[str, str]] = []
        if self.preset != "default":
            parts.append(("preset", self.preset))
        parts += [(path, value_text(value)) for path, value in self.changes.items()]
        parts += [(kind, event_text(e)) for kind, e in self.events()]
        if not self.shocks_in_baseline:
            parts.append((SHARED, "false"))
        parts += [(name, str(value)) for name, value in self._numbers().items() if value != NUMBERS[name]]
        return urlencode(parts, safe=":,=[]")

    def command(self) -> str:
        """Command line of the same runs."""
        words = ["mpbf", "run"]
        if self.preset != "default":
            words += ["--preset", self.preset]
        for path, value in self.changes.items():
            words += ["--set", f"{path}={value_text(value)}"]
        for kind, event in self.events():
            words += [f"--{kind}", event_text(event)]
        if not self.shocks_in_baseline:
            words.append("--no-shocks-in-baseline")
        for name, number in self._numbers().items():
            words += [f"--{name}", str(number)]
        return shlex.join(words)

    def to_toml(self) -> str:
        """Configuration file of the same runs (``mpbf run FILE``)."""
        lines = [f'preset = "{self.preset}"', "", "[run]", *(f"{k} = {v}" for k, v in self._numbers().items())]
        if not self.shocks_in_baseline:
            lines.append(f"{SHARED} = false")
        return "\n".join([*lines, *table_lines(self.changes, self.policies, self.shocks)]) + "\n"

    def to_study(self) -> str:
        """Study file of the same runs (``mpbf study run FILE``): one arm with all policies."""
        from mpbf_abm.studies.files import write_study

        study = plain_study(self.plan, "explored")
        return write_study(study.changed(preset=self.preset, parameters=dict(self.changes)))

    def events(self) -> list[tuple[str, Event]]:
        """Policies and shocks with their kind."""
        return [*(("policy", p) for p in self.policies), *(("shock", s) for s in self.shocks)]


# --------------------------------------------------------------------------- values as text


def value_text(value: Any) -> str:
    """A parameter's value as it stands after ``=`` on a command line."""
    return value if isinstance(value, str) else toml_value(value)


def event_text(event: Event) -> str:
    """An event as it stands on a command line."""
    fields = event_fields(event)
    name = fields.pop("name")
    fields.pop("set", None)
    told = ",".join(f"{k}={v if isinstance(v, str) else toml_value(v)}" for k, v in fields.items())
    return f"{name}:{told}" if told else str(name)


def parse_value(path: str, text: str) -> Any:
    """Value of what was typed into a parameter's control.

    Raises
    ------
    ScenarioError
        One line at the control.
    """
    group, name = PATHS[path]
    text = text.strip()
    if "tuple" in str(GROUPS[group].model_fields[name].annotation) and "," in text and not text.startswith("["):
        text = f"[{text}]"
    value: Any = parse_assignment(f"{path}={text}")[1]
    if isinstance(value, list):
        value = tuple(value)
    if faults := value_faults(path, value):
        raise ScenarioError([Fault(path, line) for line in faults])
    return typed(path, value)


def placed(lines: Sequence[str]) -> list[Fault]:
    """Give each line the control that it speaks of."""
    return [Fault(_place(line), line) for line in lines]


def _place(line: str) -> str:
    for kind in EVENTS:
        if line.startswith(f"{kind} '"):
            return f"{kind}:{line.split(chr(39))[1]}"
    words = line.replace("=", " ").replace(":", " ").replace(",", " ").split()
    for word in words:
        path = word.strip("().;'")
        if path in PATHS or path in NUMBERS or path in ("preset", SHARED):
            return path
    return ""


# --------------------------------------------------------------------------- read


def from_address(query: str) -> Scenario:
    """Scenario of a page's address; keys that are not about the model are left alone.

    Raises
    ------
    ScenarioError
    """
    if len(query) > MOST_TEXT:
        raise ScenarioError([Fault("", f"the address is longer than {MOST_TEXT} characters")])
    values: dict[str, str] = {}
    texts: dict[str, list[str]] = {kind: [] for kind in EVENTS}
    for key, text in parse_qsl(query.removeprefix("?"), keep_blank_values=True):
        if key in texts:
            texts[key].append(text)
        else:
            values[current(key)] = text
    faults: list[Fault] = []
    events: dict[str, list[Event]] = {}
    for kind, given in texts.items():
        events[kind], lines = read_events(given, kind)
        faults += placed(lines)
    changes = {path: text for path, text in values.items() if path in PATHS or "." in path}
    numbers = {name: values[name] for name in NUMBERS if name in values}
    shared = values.get(SHARED, "true")
    if shared not in ("true", "false"):
        faults.append(Fault(SHARED, f"{SHARED} = {shared!r}: must be true or false"))
    return _assemble(values.get("preset", "default"), changes, numbers, events, shared == "true", faults)


def from_form(form: Any) -> Scenario:
    """Scenario of what the page's form holds: ``preset``, ``values`` by path, ``numbers``, ``policy`` and ``shock`` by name, all as text.

    Raises
    ------
    ScenarioError
        Every fault at once, each at its control.
    """
    if not isinstance(form, Mapping):
        raise ScenarioError([Fault("", "the form cannot be read; reload the page")])
    faults: list[Fault] = []
    events: dict[str, list[Event]] = {}
    for kind, make in EVENTS.items():
        events[kind] = []
        for name, fields in _texts_of(form, kind).items():
            told = (
                ",".join(f"{k}={v}" for k, v in fields.items() if str(v).strip()) if isinstance(fields, Mapping) else ""
            )
            made, lines = read_events([f"{name}:{told}"], kind)
            faults += [Fault(f"{make.__name__.lower()}:{name}", line) for line in lines]
            events[kind] += made
    return _assemble(
        str(form.get("preset", "default")), _texts_of(form, "values"), _texts_of(form, "numbers"), events, form.get(SHARED) is not False or not events["shock"], faults
    )  # fmt: skip


def _texts_of(form: Mapping[str, Any], key: str) -> dict[str, Any]:
    table = form.get(key)
    return {str(k): v for k, v in table.items()} if isinstance(table, Mapping) else {}


def from_toml(text: str, where: str = "file") -> Scenario:
    """Scenario of a configuration file, which is read as data.

    Raises
    ------
    ScenarioError
    """
    if len(text.encode()) > MOST_TEXT:
        raise ScenarioError(
            [Fault("", f"{where}: is larger than {MOST_TEXT // 1024} kB, the most a configuration may have")]
        )
    try:
        data = tomllib.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise ScenarioError([Fault("", f"{where}: is not valid TOML ({error})")]) from None
    try:
        settings = settings_from(data, where=where)
    except ConfigurationError as error:
        raise ScenarioError(placed(error.faults)) from None
    return from_settings(settings, str(data.get("preset", "default")))


def from_settings(settings: Settings, preset: str = "default") -> Scenario:
    """Scenario of what a configuration file and a command line say; parameters are told as changes to a preset.

    Raises
    ------
    ScenarioError
    """
    # A preset that the page does not have is told as changes to the default one.
    preset = preset if preset in PRESET_NAMES else "default"
    base = Parameters.preset(preset).flat()
    changes = {p: value_text(v) for p, v in settings.parameters.flat().items() if v != base[p]}
    numbers = {name: str(value) for name, value in settings.numbers.items()}
    events: dict[str, list[Event]] = {"policy": [*settings.policies], "shock": [*settings.shocks]}
    return _assemble(preset, changes, numbers, events, settings.shocks_in_baseline, [])


def _assemble(
    preset: str, changes: Mapping[str, Any], numbers: Mapping[str, Any], events: Mapping[str, Sequence[Event]], shared: bool,
    faults: list[Fault],
) -> Scenario:  # fmt: skip
    """Put the parts together; every fault at once."""
    if preset not in PRESET_NAMES:
        faults.append(Fault("preset", f"preset = {preset!r}: must be {', '.join(PRESET_NAMES)}"))
        preset = "default"
    values: dict[str, Any] = {}
    for path, text in changes.items():
        try:
            values[path] = parse_value(path, str(text)) if path in PATHS else parse_assignment(f"{path}=0")[1]
        except ScenarioError as error:
            faults += error.placed
        except ConfigurationError as error:
            faults += placed(error.faults)
    counts: dict[str, int] = {}
    for name, text in numbers.items():
        if name not in NUMBERS:
            continue
        try:
            number: Any = float(text)
            counts[name] = number = int(text) if not math.isfinite(number) or number.is_integer() else text
        except ValueError:
            number = text
        faults += [Fault(name, line) for line in numbers_faults({name: number})]
    for kind, given in events.items():
        names = [e.name for e in given]
        faults += [
            Fault(f"{kind}:{name}", f"{kind} '{name}': is given twice; the page has one switch for each, mpbf run takes any number")
            for name in dict.fromkeys(names) if names.count(name) > 1
        ]  # fmt: skip
        faults += [
            Fault("", f"policy '{e.name}': the page cannot show parameters of one's own (set); mpbf run can")
            for e in given if isinstance(e, Policy) and e.set
        ]  # fmt: skip
    if faults:
        raise ScenarioError(faults)
    base = Parameters.preset(preset).flat()
    changes = {path: values[path] for path in PATHS if path in values and values[path] != base[path]}
    given_events = [event for kind in EVENTS for event in events.get(kind, ())]
    policies = tuple(e for e in given_events if isinstance(e, Policy))
    shocks = tuple(e for e in given_events if isinstance(e, Shock))
    return Scenario(preset, changes, policies, shocks, shocks_in_baseline=shared, **counts)


# --------------------------------------------------------------------------- ready-made questions

EXAMPLES: dict[str, tuple[str, str]] = {
    "A community at its defaults": ("", "Twelve curators, six trainers, forty labs, for ten years."),
    "The crowd, and a floor on exploration": (
        "planners.reinforcement=2&curators.reinforcement=2&policy=exploration_floor:start=12,strength=0.6",
        "Attention grows with the square of what a family holds. Does it help to reserve six tenths of all effort for exploration?",
    ),
    "The same floor without a crowd": (
        "policy=exploration_floor:start=12,strength=0.6",
        "The same policy where attention only grows in proportion: a cure for a disease that is not there.",
    ),
    "The largest repository fails": (
        "shock=repository_outage:start=48,end=72,target=largest&shocks_in_baseline=false",
        "The most leaned-on repository is down for two years.",
    ),
    "The failure, with redundancy": (
        "infrastructure.providers=1&policy=redundancy:start=24&shock=repository_outage:start=48,end=72,target=largest,strength=0.3",
        "Three tenths of the repositories fail for two years, in both arms: does it help to lean on three providers instead of one?",
    ),
    "A wave of retractions, with audits": (
        "policy=audits:start=12&shock=retraction_wave:start=60",
        "Three tenths of all records are retracted at tick 60, in both arms: does it help to have audited since tick 12?",
    ),
    "Publishing negative results": (
        "policy=negative_results:start=12",
        "Failures and results below the threshold are published too.",
    ),
    "Symmetry required of all architectures": (
        "trainers.invariance=0.3&policy=invariance_standard:start=12",
        "Models that confuse orientation with chemistry, and a standard that forbids it.",
    ),
    "The urn alone": ("preset=null&planners.reinforcement=1.5&curators.reinforcement=1.5", "No models, no money: a reinforced urn over families."),
}  # fmt: skip
