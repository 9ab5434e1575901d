"""A run as data: everything its course follows from, with one id, one check and one TOML form."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import InitVar, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self

from mpbf_abm.errors import ConfigurationError, DataError, faults_of, refuse, refuse_any
from mpbf_abm.glance import Glance, Shown
from mpbf_abm.identity import identity_of, is_own, source_hash
from mpbf_abm.learning.acquisition import RULES
from mpbf_abm.model.founding import check_fit, founding_faults
from mpbf_abm.model.interventions import LISTED, Event, Policy, joint_faults
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.settings import MOST_TICKS, SHARED, settings_from
from mpbf_abm.model.shocks import Shock, missing_nodes, unfit_shocks
from mpbf_abm.parameters import (
    ADDED,
    FORM_1,
    GROUPS,
    PATHS,
    PRESETS,
    REMOVED,
    Parameters,
    parse_toml,
    toml_value,
    typed,
)
from mpbf_abm.provenance import DEFAULT_SEED, content_hash, model_fingerprint
from mpbf_abm.streams import check_seed, is_whole

DEFAULT_TICKS = 120
FORM = 1  # of what is hashed: names and values of parameters and events as they were in version 0.1
FILES = ("table", "pool")  # kinds of materials that can be read again


@dataclass(frozen=True, eq=False, repr=False)
class RunSpec(Shown):
    """A run: what its course follows from, and nothing else.

    Attributes
    ----------
    parameters : Parameters
    seed : int
        Root seed of all draws.
    ticks : int
        Horizon; one tick is about a month.
    policies, shocks : tuples of Policy and Shock
        In force in this run.
    space : MaterialsSpace, optional
        Materials; without any, synthetic ones generated from the parameters and the seed.
    rules : tuple of classes
        Rules of the user: subclasses of planners, curators and trainers, dealt to agents in turn; also given as
        `planners`, `curators` and `trainers`.
    reseed : mapping of int to int
        ``{tick: seed}``: draws from that tick on come from another root seed (a branch of a shared history).

    Examples
    --------
    >>> spec = RunSpec(Parameters.preset("quick"), seed=1, ticks=2, policies=(Policy("audits"),))
    >>> spec.check()
    >>> RunSpec.from_toml(spec.to_toml()).id == spec.id
    True
    """

    parameters: Parameters = field(default_factory=Parameters)
    seed: int = DEFAULT_SEED
    ticks: int = DEFAULT_TICKS
    policies: tuple[Policy, ...] = ()
    shocks: tuple[Shock, ...] = ()
    space: MaterialsSpace | None = None
    rules: tuple[Rule, ...] = ()
    reseed: Mapping[int, int] = field(default_factory=dict)
    planners: InitVar[Rules] = ()
    curators: InitVar[Rules] = ()
    trainers: InitVar[Rules] = ()

    def __post_init__(self, planners: Rules, curators: Rules, trainers: Rules) -> None:
        if more := gathered(planners, curators, trainers):
            object.__setattr__(self, "rules", (*self.rules, *more))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RunSpec) and (self is other or self.id == other.id)

    def __hash__(self) -> int:
        return hash(self.id)

    def glance(self) -> Glance:
        """Return what it is, and the parameters that differ from the defaults."""
        parameters = self.parameters.glance()
        return Glance(f"RunSpec: {self.words}", parameters.head, parameters.rows)

    @property
    def words(self) -> str:
        """Seed, ticks, events and materials in a line."""
        events = [e.words for e in (*self.policies, *self.shocks)]
        space = [] if self.space is None else [f"materials of {self.space.origin.get('source', 'a custom space')}"]
        return "; ".join([f"seed {self.seed}, {self.ticks} ticks", *events, *space])

    # ------------------------------------------------------------------ identity

    @cached_property
    def id(self) -> str:
        """Hash of everything that the run's course follows from, the version of the model included.

        Equal questions have equal ids, wherever they are asked; what is recorded is no part of it.
        """
        return run_id(self.kind, self.seed, self.reseed)

    @cached_property
    def kind(self) -> str:
        """Hash of all but the draws: what runs on different seeds have in common."""
        return run_kind(
            rules_fingerprint(self.rules),
            content_hash(canonical(self.parameters)),
            self.ticks,
            self.policies,
            self.shocks,
            None if self.space is None else self.space.content,
        )

    # ------------------------------------------------------------------ checks

    def check(self) -> None:
        """Refuse a run that could not begin, or in which a policy or shock would have no effect.

        Raises
        ------
        ConfigurationError
            Every fault at once, one line each.
        """
        faults = self._type_faults() or [*self._number_faults()] or [*self._event_faults(), *self._fit_faults()]
        refuse_any(faults)

    def _type_faults(self) -> list[str]:
        kinds: dict[str, tuple[Any, str]] = {
            "parameters": (Parameters, "Parameters"),
            "policies": (tuple, "a tuple of Policy"),
            "shocks": (tuple, "a tuple of Shock"),
            "space": ((MaterialsSpace, type(None)), "a MaterialsSpace"),
            "rules": (tuple, "a tuple of classes"),
            "reseed": (Mapping, "seeds by tick"),
        }
        faults = [
            f"{n}: {getattr(self, n)!r} is not {words}"
            for n, (kind, words) in kinds.items()
            if not isinstance(getattr(self, n), kind)
        ]
        return faults or [*event_type_faults(self.policies, self.shocks), *rule_faults(self.rules)]

    def _number_faults(self) -> Iterator[str]:
        if not (is_whole(self.ticks) and 0 <= self.ticks <= MOST_TICKS):
            yield f"ticks = {self.ticks!r}: must be a whole number from 0 to {MOST_TICKS}"
        for tick in self.reseed:
            if not is_whole(tick) or tick < 0:
                yield f"reseed: tick {tick!r}: must be a whole number from 0"
        seeds = ((self.seed, "seed"), *((s, "later seed") for s in self.reseed.values()))
        yield from faults_of(*(partial(check_seed, *seed) for seed in seeds))

    def _event_faults(self) -> Iterator[str]:
        yield from missing_nodes(self.shocks, self.parameters)
        for event in (*self.policies, *self.shocks):
            if event.start >= self.ticks:
                yield f"{event.label}: start = {event.start} is not before the end of a run at tick {self.ticks}"
        yield from joint_faults(self.parameters, self.policies)

    def _fit_faults(self) -> Iterator[str]:
        p, space = self.parameters, self.space
        # A synthetic space has the size it is asked for; it need not be made to be checked.
        size, families = (p.space.materials, p.space.families) if space is None else (space.size, space.families)
        observed = space is None or space.observation is not None
        year = None if space is None else space.year
        yield from faults_of(partial(check_fit, p, size, families, year, observed=observed))
        yield from unfit_shocks(self.shocks, size)
        room = "enlarge space.materials" if space is None else "add materials"
        yield from horizon_faults(p, size, int(self.ticks), room)
        if space is not None:
            yield from properties_faults(p.space.properties, space)
            yield from founding_faults(p, space, int(self.ticks))

    # ------------------------------------------------------------------ files

    def to_toml(self) -> str:
        """Write the run for :meth:`from_toml`: changed parameters, ``[run]``, policies, shocks, materials, rules.

        To ``mpbf run`` a file with policies is a what-if, whose baseline has none.
        Later seeds, materials and rules are no part of its files.

        Raises
        ------
        ConfigurationError
            For materials that were neither generated nor read from a file.
        """
        lines = ["[run]", f"seed = {self.seed}", f"ticks = {self.ticks}"]
        if self.reseed:
            lines.append("reseed = { " + ", ".join(f'"{t}" = {s}' for t, s in self.reseed.items()) + " }")
        lines += table_lines(self.parameters.changed(), self.policies, self.shocks)
        if self.space is not None:
            lines += ["", "[materials]", *(f"{k} = {toml_value(v)}" for k, v in _source(self.space).items())]
        if self.rules:
            names = rule_names(self.rules)
            lines += ["", "[rules]", *(f"{kind} = {toml_value(mine)}" for kind, mine in names.items())]
        return "\n".join(lines) + "\n"

    @classmethod
    def from_toml(
        cls, text: str, *, folder: Path | None = None, planners: Rules = (), curators: Rules = (), trainers: Rules = ()
    ) -> Self:
        """Read a run from a file's text.

        Parameters
        ----------
        text : str
        folder : Path, optional
            Folder that a file of materials lies in.
        planners, curators, trainers : sequences of classes
            The rules that the file names; a file is never a reason to run code.

        Raises
        ------
        ConfigurationError
            Every fault at once; DataError for materials that are not those of the run.
        """
        data = parse_toml(text)
        rules, run = data.pop("rules", {}), data.get("run", {})
        reseed = run.pop("reseed", {}) if isinstance(run, dict) else {}
        refuse(
            not all(isinstance(table, dict) for table in (run, rules, reseed)) or not all(map(str.isdecimal, reseed)),
            "[run] and [rules] must be tables, and run.reseed one of seeds by tick",
        )
        given = gathered(planners, curators, trainers)
        refuse(
            rules != rule_names(given),
            f"[rules] {rules}: give the classes themselves, planners=[...], curators=[...], trainers=[...]",
        )
        materials = data.pop("materials", None)
        several = [key for key in run if key in ("replicates", SHARED)]
        refuse(several, [f"run.{key}: is of a question of several runs, and a run has none" for key in several])
        settings = settings_from(data)
        numbers: Mapping[str, Any] = settings.numbers
        return cls(
            settings.parameters,
            **numbers,
            policies=settings.policies,
            shocks=settings.shocks,
            rules=given,
            space=None if materials is None else _read_again(materials, folder or Path()),
            reseed={int(t): s for t, s in reseed.items()},
        )

    def changed(self, **fields: Any) -> Self:
        """Return a copy with some fields changed."""
        return replace(self, **fields)


# --------------------------------------------------------------------------- identity


def canonical(parameters: Parameters) -> dict[str, Any]:
    """Parameters in the form that seeds and ids are hashed from: names and values of form 1.

    A parameter that is renamed keeps its old name here.
    One that has left keeps the value with which it never acted. One that has joined
    enters only where it may act. A test holds the hashes of the presets.
    """
    data: dict[str, dict[str, Any]] = {}
    for path, value in {**REMOVED, **parameters.flat()}.items():
        if path in ADDED and value == ADDED[path]:
            continue
        group, name = FORM_1.get(path, path).split(".")
        data.setdefault(group, {})[name] = value
    rule = RULES[parameters.planners.acquisition].score
    if is_own(rule):
        data["planners"]["acquisition"] = f"{parameters.planners.acquisition}:{source_hash(rule)}"
    return data


def canonical_event(event: Policy | Shock) -> dict[str, Any]:
    """A policy or shock in the form that ids are hashed from; the usual strength is written out."""
    fields = event.model_dump()
    if event.strength is None:
        fields["strength"] = event.kind.strength
    if isinstance(event, Shock):
        return fields | ({"source": source_hash(event.kind.act)} if is_own(event.kind.act) else {})
    # 1 and 1.0 are one value of a parameter that is no whole number.
    fields["set"] = {FORM_1.get(path, path): typed(path, value) for path, value in event.set.items()}
    if not event.set and event.name not in LISTED:
        fields["levers"] = [[FORM_1.get(v.path, v.path), typed(v.path, v.target), v.mode] for v in event.kind.levers]
    return fields


def run_kind(
    fingerprint: str,
    parameters: str,
    ticks: int,
    policies: Sequence[Policy],
    shocks: Sequence[Shock],
    space: str | None,
) -> str:
    """Hash of what runs on different seeds have in common; parameters and materials are hashes, too."""
    return content_hash(
        {
            "form": FORM,
            "model": fingerprint,
            "parameters": parameters,
            "ticks": int(ticks),
            "space": space,
            "policies": [canonical_event(e) for e in policies],
            "shocks": [canonical_event(e) for e in shocks],
        }
    )


def run_id(kind: str, seed: int, reseed: Mapping[int, int]) -> str:
    """Id of a run: hash of what it has in common with others, and of its draws."""
    later = "".join(f";{int(t)}:{s}" for t, s in sorted(reseed.items()))
    return hashlib.blake2b(f"{kind}:{seed}{later}".encode(), digest_size=16).hexdigest()


def rules_fingerprint(rules: Sequence[Rule], *more: Any) -> str:
    """Return a hash of the source of the model, of rules of the user, and of other functions of the user."""
    if not rules and not more:
        return model_fingerprint()
    digest = hashlib.blake2b(model_fingerprint().encode(), digest_size=16)
    for rule in (*rules, *more):
        for part in identity_of(rule):
            digest.update(b"\0" + part)
    return digest.hexdigest()


# --------------------------------------------------------------------------- rules of the user

Rule = type[Any]
Rules = Rule | Sequence[Rule]


def gathered(*several: Rules) -> tuple[Rule, ...]:
    """Return classes that are given one by one or in sequences, in one tuple."""
    return tuple(rule for rules in several for rule in (tuple(rules) if isinstance(rules, Sequence) else (rules,)))


def rule_kind(rule: Any) -> str:
    """Return the kind of agent that a class is a rule of, empty if of none."""
    cohort = getattr(rule, "cohort_type", None)
    return getattr(cohort, "kind", "") if isinstance(rule, type) else ""


def rule_name(rule: type) -> str:
    """Return the name of a class: module and name."""
    return f"{rule.__module__}:{rule.__qualname__}"


def rule_names(rules: Sequence[Rule]) -> dict[str, list[str]]:
    """Return names of rules by the kind of their agents."""
    out: dict[str, list[str]] = {}
    for rule in rules:
        out.setdefault(rule_kind(rule), []).append(rule_name(rule))
    return out


def event_type_faults(policies: Sequence[Any], shocks: Sequence[Any]) -> list[str]:
    """Return lines for everything among policies and shocks that is none."""
    return [
        f"{name}: {event!r} is not a {kind.__name__}"
        for name, kind, events in (("policies", Policy, policies), ("shocks", Shock, shocks))
        for event in events
        if not isinstance(event, kind)
    ]


def rule_faults(rules: Sequence[Any]) -> list[str]:
    """Return lines for everything that is no rule of a planner, curator or trainer."""
    wanted = "ExperimentPlanner, DataCurator or ModelTrainer"
    faults = [f"rules: {t!r} is not a subclass of {wanted}" for t in rules if not rule_kind(t)]
    return faults + [fault for t in rules if rule_kind(t) for fault in _misspelt(t)]


def _misspelt(rule: Rule) -> Iterator[str]:
    """Yield a line for each method that nothing calls, and that is spelt nearly as one that is called."""
    own = next(kind for kind in rule.__mro__ if "cohort_type" in vars(kind))
    called = [name for name, what in vars(own).items() if callable(what) and not name.startswith("_")]
    for kind in rule.__mro__[: rule.__mro__.index(own)]:
        for name, what in vars(kind).items():
            if (
                callable(what)
                and not hasattr(own, name)
                and (close := difflib.get_close_matches(name, called, 1, 0.75))
            ):
                yield f"rules: {kind.__name__}.{name} is never called; did you mean '{close[0]}'?"


# --------------------------------------------------------------------------- parts


def horizon_faults(p: Parameters, size: int, ticks: int, room: str = "enlarge space.materials") -> list[str]:
    """More experiments than materials, and how to make room."""
    wanted = p.planners.count * p.planners.experiments * p.stocks.funding * ticks
    if p.planners.repeats or wanted <= size:
        return []
    instead = f"lower planners.count, planners.experiments or the ticks, {room}, "
    instead += "or set planners.repeats = true"
    return [f"{wanted:g} experiments in {ticks} ticks on {size} materials: more experiments than materials; {instead}"]


def properties_faults(asked: int, space: MaterialsSpace) -> list[str]:
    """Another number of properties than the materials have, where one is asked for: no preset has it."""
    of_presets = (changes.get("space.properties", Parameters().space.properties) for changes in PRESETS.values())
    fits = asked in (space.properties, *of_presets)
    return [] if fits else [f"space.properties = {asked}: the materials have {space.properties}; leave it out"]


def table_lines(changes: Mapping[str, Any], policies: Sequence[Policy], shocks: Sequence[Shock]) -> list[str]:
    """Lines of a configuration file: parameter groups that differ, policies, shocks."""
    lines: list[str] = []
    for group in GROUPS:
        mine = {path: value for path, value in changes.items() if PATHS[path][0] == group}
        if mine:
            lines += ["", f"[{group}]", *(f"{PATHS[p][1]} = {toml_value(v)}" for p, v in mine.items())]
    for kind, event in (*(("policy", p) for p in policies), *(("shock", s) for s in shocks)):
        lines += ["", f"[[{kind}]]", *(f"{k} = {toml_field(v)}" for k, v in event_fields(event).items())]
    return lines


def event_fields(event: Event) -> dict[str, Any]:
    """Fields of an event that are not as by default, its name first."""
    default = {name: info.get_default(call_default_factory=True) for name, info in type(event).model_fields.items()}
    given = {name: getattr(event, name) for name in type(event).model_fields}
    return {"name": event.name} | {k: v for k, v in given.items() if k != "name" and v != default[k]}


def toml_field(value: Any) -> str:
    """A field of an event as TOML; parameters of a custom policy as a table in one line."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f'"{k}" = {toml_value(typed(k, v))}' for k, v in value.items()) + " }"
    return toml_value(value)


def _source(space: MaterialsSpace) -> dict[str, Any]:
    """How materials are read again."""
    origin = json.loads(json.dumps(dict(space.origin), default=str))
    refuse(
        origin.get("kind") not in FILES,
        "materials that were made in Python have no file; a run on them cannot be written as one",
    )
    options = {name: value for name, value in origin["options"].items() if value is not None}
    return {origin["kind"]: origin["source"], "content": space.content, **options}


def _read_again(materials: Any, folder: Path) -> MaterialsSpace:
    """Materials of a file that a run names; they must be the same."""
    kinds = [k for k in FILES if k in materials] if isinstance(materials, Mapping) else []
    refuse(len(kinds) != 1, "[materials]: needs one of table and pool")
    source = str(materials[kinds[0]])
    options = {k: v for k, v in materials.items() if k not in (*FILES, "content")}
    read = MaterialsSpace.from_table if kinds[0] == "table" else MaterialsSpace.from_pool
    try:
        space = read(folder / source, **options)
    except TypeError as error:
        raise ConfigurationError(f"[materials]: {error}") from None
    if space.content != materials.get("content"):
        raise DataError(f"{source}: holds other materials than those of the run")
    return space
