"""What the page asks the model, as data: read from form, address or file; written as command, file and address."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from reprlib import repr as brief
from typing import Any
from urllib.parse import parse_qs, urlencode

from mpbf_abm.errors import ConfigurationError, MpbfError, did_you_mean
from mpbf_abm.model.interventions import Event, Policy
from mpbf_abm.model.settings import DEFAULT_PAIRS, EVENTS, SHARED, Settings, numbers_faults, read_events, settings_from
from mpbf_abm.model.shocks import Shock
from mpbf_abm.model.spec import DEFAULT_TICKS, event_fields, table_lines
from mpbf_abm.page import WORDS
from mpbf_abm.parameters import (
    GROUPS,
    PATHS,
    PRESETS,
    Parameters,
    current,
    parse_assignment,
    parse_toml,
    toml_value,
    typed,
    value_faults,
)
from mpbf_abm.provenance import DEFAULT_SEED
from mpbf_abm.studies.whatif import WhatIf, plain_study

NUMBERS = {"seed": DEFAULT_SEED, "ticks": DEFAULT_TICKS, "replicates": DEFAULT_PAIRS}
EARLIER, VERSION = "1", "2"  # of addresses; one without a version is read as of the present one
PRESET_NAMES = (*(name for name in PRESETS if name != "pool"), "null")
# What a page on one machine can be asked for at once, and why not more.
MOST = {"ticks": 1_000, "replicates": 64, "agents": 2_000, "space.materials": 200_000, "founding.records": 100_000}
MOST_AGENT_TICKS = 2_000_000
MOST_CELLS = 20_000_000  # rows of families.csv that are kept in memory
MOST_TEXT = 256 * 1024  # bytes of a file or a form

Texts = Mapping[str, Any]
Events = dict[str, list[Any]]  # by kind, policy or shock


@dataclass(frozen=True)
class FormFault:
    """One line about what cannot be used, and the control it belongs to (empty: none).

    Controls are named by the dotted path of a parameter, ``seed``, ``ticks``, ``replicates``, ``preset``,
    ``shocks_in_baseline``, or an event's kind and name (``policy:audits``).
    """

    control: str
    line: str


class ScenarioError(MpbfError):
    """A form, an address or a file that is no scenario.

    Its faults are `placed`, their lines `faults`; `rest` is the scenario of what can be used.
    """

    def __init__(self, placed: Sequence[FormFault], rest: Scenario | None = None) -> None:
        self.placed, self.rest = list(placed), rest or Scenario()
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
        """Return all parameters."""
        return Parameters.preset(self.preset).updated(self.changes)

    @cached_property
    def plan(self) -> WhatIf:
        """Return what to run."""
        events = (self.policies, self.shocks)
        return WhatIf(
            self.parameters, self.seed, self.ticks, self.replicates, *events, shocks_in_baseline=self.shocks_in_baseline
        )

    @property
    def agents(self) -> int:
        """Return agents of a run."""
        p = self.parameters
        return p.curators.count + p.trainers.count + p.planners.count

    # ------------------------------------------------------------------ checks

    def faults(self) -> list[FormFault]:
        """Return what stops it from being run, or run on a page; a page's limits are named first, as they are lower."""
        instead = "mpbf run with the line under Configuration has no such limit"
        try:
            if faults := self._too_many(instead):
                return faults
            self.plan.check()
        except ConfigurationError as error:
            return placed(error.faults)
        return [*self._too_long(instead)]

    def _too_many(self, instead: str) -> list[FormFault]:
        """Return each number that is more than a page should be asked for, with the reason."""
        wanted = {
            "ticks": self.ticks,
            "replicates": self.replicates,
            "agents": self.agents,
            "space.materials": self.parameters.space.materials,
            "founding.records": self.parameters.founding.records,
        }
        return [
            FormFault(
                "planners.count" if name == "agents" else name,
                f"{name} = {brief(wanted[name])}: the page takes at most {most}, so that it stays quick; {instead}",
            )
            for name, most in MOST.items()
            if wanted[name] > most
        ]

    def _too_long(self, instead: str) -> Iterator[FormFault]:
        """Yield the first product of numbers that is more than a page should be asked for."""
        arms, families = len(self.plan.arms), self.parameters.space.families
        runs = self.ticks * self.replicates * arms
        each = f"x {self.ticks} ticks x {self.replicates} replicates x {arms} arm{'s' * (arms > 1)} ="
        work, cells = self.agents * runs, families * runs
        if work > MOST_AGENT_TICKS:
            words = f"the page takes at most {MOST_AGENT_TICKS / 1e6:g} million, some minutes of work; {instead}"
            yield FormFault("replicates", f"{self.agents} agents {each} {work / 1e6:.3g} million: {words}")
        elif cells > MOST_CELLS:
            words = f"the page keeps at most {MOST_CELLS / 1e6:g} million in memory; {instead}"
            yield FormFault("space.families", f"{families} families {each} {cells / 1e6:.3g} million rows: {words}")

    def checked(self) -> Scenario:
        """Return the scenario itself, or raise every fault at once."""
        _refuse(self.faults())
        return self

    # ------------------------------------------------------------------ as text

    def _numbers(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in NUMBERS}

    def _texts(self) -> list[tuple[str, str]]:
        """Return what differs from the defaults as keys and texts, but for the numbers."""
        parts = [(path, value_text(value)) for path, value in self.changes.items()]
        parts += [(kind, event_text(event)) for kind, event in self.events()]
        preset = [] if self.preset == "default" else [("preset", self.preset)]
        return [*preset, *parts, *([] if self.shocks_in_baseline else [(SHARED, "false")])]

    def address(self) -> str:
        """Return the query of the page's address, its version first; what is as by default is left out."""
        numbers = [(name, str(value)) for name, value in self._numbers().items() if value != NUMBERS[name]]
        return urlencode([("v", VERSION), *self._texts(), *numbers], safe=":,=[]")

    def command(self) -> str:
        """Return the command line of the same runs."""
        words = ["mpbf", "run"]
        for key, text in [*self._texts(), *self._numbers().items()]:
            if key == SHARED:
                words.append("--no-shocks-in-baseline")
            else:
                words += ["--set", f"{key}={text}"] if key in PATHS else [f"--{key}", str(text)]
        return shlex.join(words)

    def to_toml(self) -> str:
        """Return the configuration file of the same runs (``mpbf run FILE``)."""
        lines = [f'preset = "{self.preset}"', "", "[run]", *(f"{k} = {v}" for k, v in self._numbers().items())]
        if not self.shocks_in_baseline:
            lines.append(f"{SHARED} = false")
        return "\n".join([*lines, *table_lines(self.changes, self.policies, self.shocks)]) + "\n"

    def to_study(self) -> str:
        """Return the study file of the same runs (``mpbf study run FILE``): one arm with all policies."""
        from mpbf_abm.studies.files import write_study

        return write_study(
            plain_study(self.plan, "explored").changed(preset=self.preset, parameters=dict(self.changes))
        )

    def events(self) -> list[tuple[str, Event]]:
        """Return policies and shocks with their kind."""
        return [*(("policy", policy) for policy in self.policies), *(("shock", shock) for shock in self.shocks)]


def _refuse(faults: Sequence[FormFault], rest: Scenario | None = None) -> None:
    """Raise every fault at once, if there are any."""
    if faults:
        raise ScenarioError(faults, rest)


# --------------------------------------------------------------------------- values as text


def value_text(value: Any) -> str:
    """Return a parameter's value as it stands after ``=`` on a command line."""
    return value if isinstance(value, str) else toml_value(value)


def event_text(event: Event) -> str:
    """Return an event as it stands on a command line."""
    fields = event_fields(event)
    name = fields.pop("name")
    fields.pop("set", None)
    texts = ",".join(f"{k}={value_text(v)}" for k, v in fields.items())
    return f"{name}:{texts}" if texts else str(name)


def parse_value(path: str, text: str) -> Any:
    """Return the value of what was typed into a parameter's control.

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
    value = tuple(value) if isinstance(value, list) else value
    _refuse([FormFault(path, line) for line in value_faults(path, value)])
    return typed(path, value)


def placed(lines: Sequence[str]) -> list[FormFault]:
    """Give each line the control that it speaks of."""
    return [FormFault(_place(line), line) for line in lines]


def _place(line: str) -> str:
    for kind in EVENTS:
        if line.startswith(f"{kind} '"):
            return f"{kind}:{line.split(chr(39))[1]}"
    words = (word.strip("().;'") for word in re.split(r"[\s=:,]+", line))
    return next((word for word in words if word in PATHS or word in NUMBERS or word in ("preset", SHARED)), "")


# --------------------------------------------------------------------------- read


def from_address(query: str, beside: Collection[str] = ()) -> Scenario:
    """Return the scenario of a page's address.

    Parameters
    ----------
    query : str
    beside : collection of str
        Keys that are about something else, such as the tab that is open.

    Raises
    ------
    ScenarioError
        Also for another version, and for a key that looks like a mistyped one; others are left out.
    """
    _refuse([FormFault("", f"the address is longer than {MOST_TEXT} characters")] * (len(query) > MOST_TEXT))
    given = {current(key): texts for key, texts in parse_qs(query.removeprefix("?"), keep_blank_values=True).items()}
    version = given.pop("v", [VERSION])[-1]
    other = f"v = {brief(version)}: the address is of another version of this page, which reads version {VERSION}"
    _refuse([FormFault("", other)] * (version not in (EARLIER, VERSION)))
    unknown = unknown_entries(given, beside).items()
    faults = [FormFault("", f"unknown entry {brief(key)} of the address{close}") for key, close in unknown if close]
    events: Events = {}
    for kind in EVENTS:
        events[kind], lines = read_events(given.pop(kind, []), kind)
        faults += placed(lines)
    values = {key: texts[-1] for key, texts in given.items()}
    changes = {path: text for path, text in values.items() if "." in path}
    shared = values.get(SHARED, "true")
    if shared not in ("true", "false"):
        faults.append(FormFault(SHARED, f"{SHARED} = {shared!r}: must be true or false"))
    preset = values.get("preset", "default")
    if version == EARLIER and f"single-{preset}" in PRESETS:
        preset = f"single-{preset}"  # its present name
    return _assemble(preset, changes, values, events, shared == "true", faults)


def unknown_entries(keys: Iterable[str], beside: Collection[str] = ()) -> dict[str, str]:
    """Return keys of an address that are not known, each with the known one that it is close to, if any."""
    known = ("v", "preset", SHARED, *NUMBERS, *EVENTS)
    return {key: did_you_mean(key[:99], known) for key in keys if "." not in key and key not in (*known, *beside)}


def from_form(form: Any) -> Scenario:
    """Return the scenario of what the page's form holds, all as text.

    The form has ``preset``, ``values`` by path, ``numbers``, and ``policy`` and ``shock`` by name.

    Raises
    ------
    ScenarioError
        Every fault at once, each at its control.
    """
    _refuse([FormFault("", "the form cannot be read; reload the page")] * (not isinstance(form, Mapping)))
    faults: list[FormFault] = []
    events: Events = {kind: [] for kind in EVENTS}
    for kind in EVENTS:
        for name in _texts_of(form, kind):
            fields = _texts_of(form[kind], name).items()
            made, lines = read_events([f"{name}:{','.join(f'{k}={v}' for k, v in fields if str(v).strip())}"], kind)
            faults += [FormFault(f"{kind}:{name}", line) for line in lines]
            events[kind] += made
    preset, values, numbers = str(form.get("preset", "default")), _texts_of(form, "values"), _texts_of(form, "numbers")
    shared = form.get(SHARED) is not False or not events["shock"]
    return _assemble(preset, values, numbers, events, shared, faults)


def _texts_of(form: Mapping[str, Any], key: str) -> dict[str, Any]:
    table = form.get(key)
    return {str(k): v for k, v in table.items()} if isinstance(table, Mapping) else {}


def from_toml(text: str, where: str = "file") -> Scenario:
    """Return the scenario of a configuration file, which is read as data.

    Raises
    ------
    ScenarioError
    """
    line = f"{where}: is larger than {MOST_TEXT // 1024} kB, the most a configuration may have"
    _refuse([FormFault("", line)] * (len(text.encode()) > MOST_TEXT))
    try:
        data = parse_toml(text.removeprefix("\ufeff"), f"{where}: ")
        settings = settings_from(data, where=where)
    except ConfigurationError as error:
        raise ScenarioError(placed(error.faults)) from None
    return from_settings(settings, str(data.get("preset", "default")))


def from_settings(settings: Settings, preset: str = "default") -> Scenario:
    """Return the scenario of a configuration file and a command line; parameters are changes to a preset.

    Raises
    ------
    ScenarioError
    """
    # A preset that the page does not have becomes changes to the default one.
    preset = preset if preset in PRESET_NAMES else "default"
    base = Parameters.preset(preset).flat()
    changes = {p: value_text(v) for p, v in settings.parameters.flat().items() if v != base[p]}
    numbers = {name: str(value) for name, value in settings.numbers.items()}
    events: Events = {"policy": [*settings.policies], "shock": [*settings.shocks]}
    return _assemble(preset, changes, numbers, events, settings.shocks_in_baseline, [])


def _assemble(
    preset: str, changes: Texts, numbers: Texts, events: Events, shared: bool, faults: list[FormFault]
) -> Scenario:
    """Put the parts together; raise every fault at once."""
    if preset not in PRESET_NAMES:
        faults.append(FormFault("preset", f"preset = {preset!r}: must be {', '.join(PRESET_NAMES)}"))
        preset = "default"
    values = _values(changes, faults)
    counts: dict[str, Any] = {name: _whole(numbers[name]) for name in NUMBERS if name in numbers}
    wrong = [FormFault(name, line) for name, value in counts.items() for line in _number_faults(name, value)]
    faults += [*wrong, *_event_faults(events)]
    for fault in wrong:
        del counts[fault.control]
    base = Parameters.preset(preset).flat()
    different = {path: values[path] for path in PATHS if path in values and values[path] != base[path]}
    policies, shocks = tuple(events["policy"]), tuple(events["shock"])
    scenario = Scenario(preset, different, policies, shocks, shocks_in_baseline=shared, **counts)
    _refuse(faults, scenario)
    return scenario


def _values(changes: Texts, faults: list[FormFault]) -> dict[str, Any]:
    """Return the values of parameters by path; adds what cannot be used to the faults."""
    values: dict[str, Any] = {}
    for path, text in changes.items():
        try:
            values[path] = parse_value(path, str(text)) if path in PATHS else parse_assignment(f"{path}=0")[1]
        except ScenarioError as error:
            faults += error.placed
        except ConfigurationError as error:
            faults += placed(error.faults)
    return values


def _number_faults(name: str, value: Any) -> list[str]:
    """Return faults of a number; one above what the page takes is refused with the reason, by ``Scenario.faults``."""
    capped = min(value, MOST.get(name, value)) if isinstance(value, int) else value
    return numbers_faults({name: capped}, MOST)


def _whole(text: Any) -> Any:
    """Return the number of a text, or the text where it is none."""
    try:
        return int(str(text))
    except ValueError:
        return text


def _event_faults(events: Events) -> list[FormFault]:
    """Return a fault for each event that is given twice, and for each policy with parameters."""
    names = Counter((kind, event.name) for kind, given in events.items() for event in given)
    twice = "is given twice; the page has one switch for each, mpbf run takes any number"
    faults = [FormFault(f"{kind}:{n}", f"{kind} '{n}': {twice}") for (kind, n), count in names.items() if count > 1]
    own = "the page cannot show parameters of a policy (set); mpbf run can"
    return faults + [FormFault("", f"policy '{policy.name}': {own}") for policy in events["policy"] if policy.set]


EXAMPLES: dict[str, list[str]] = WORDS["examples"]  # address, and what it is about
