"""The runs of a study: what each is, its id, its draws, and the order they are made in.

The id of a run is a hash of everything its result follows from. Whether a run is done, was made by another
study or has to be made is therefore looked up, and extending a study never makes a run twice.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, cached_property, lru_cache, partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mpbf_abm.errors import did_you_mean, faults_of, lines_where, refuse_any
from mpbf_abm.identity import source_hash
from mpbf_abm.model.indicators import REGISTERED
from mpbf_abm.model.interventions import in_force
from mpbf_abm.model.spec import FORM, canonical, rules_fingerprint, run_id, run_kind
from mpbf_abm.parameters import PATHS, Parameters, value_faults
from mpbf_abm.provenance import content_hash, library_fingerprint
from mpbf_abm.studies.definition import (
    BASELINE,
    Arm,
    Outcome,
    StudyDefinition,
    load_space,
    name_of_model,
    unknown_names,
)
from mpbf_abm.studies.design import SAMPLED, SCREENS, Factor, Scenarios, build, design_faults, names_of
from mpbf_abm.studies.files import write_study
from mpbf_abm.studies.jobs import Job, known_quantities, resolve, run_values, spec_of

if TYPE_CHECKING:
    from mpbf_abm.model.materials import MaterialsSpace

FEW_SCENARIOS = 20
LONGEST_NAME = 200  # characters
COLUMNS = names_of(
    "scenario place arm replicate run seed status outcome value tick stage type message attempts series interest event "
    "runs mean low high"
)
MOST_CHECKED = 2_000  # scenarios whose parameters are checked before running


def fingerprint_of(study: StudyDefinition, form: int = FORM) -> str:
    """Hash of the source that the study's runs depend on, a custom model included."""
    if study.model is None:
        named = [*(o.of or n for n, o in study.outcomes.items()), *study.series.of]
        return rules_fingerprint(study.classes, *(REGISTERED[n] for n in dict.fromkeys(named) if n in REGISTERED))
    if form == 0:
        return source_hash(study.model, name_of_model(study.model), form=0)
    # One of this package stands on the rest of it.
    package = library_fingerprint() if study.own_model.startswith("mpbf_abm.") else ""
    return source_hash(study.model, study.own_model + package)


def _number(*parts: object) -> int:
    """63 bits that follow from some parts."""
    text = "\x1f".join(str(p) for p in parts).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") >> 1


class Plan:
    """Scenarios x arms x replicates of a study.

    Parameters
    ----------
    study : Study
    space : MaterialsSpace, optional
        Materials that all runs share, if the study names any.
    fingerprint, origin : optional
        Of a stored study: the version of its model, and where its materials came from. Runs can then be found
        without either being there.
    recorded : Study, optional
        Of a stored study that is read by another one: what its runs noted.
    form : int
        Of the ids; stores of version 0.1 have form 0, where what is noted of a run is part of its id.
    """

    def __init__(
        self,
        study: StudyDefinition,
        space: MaterialsSpace | None = None,
        *,
        fingerprint: str | None = None,
        origin: Mapping[str, Any] | None = None,
        recorded: StudyDefinition | None = None,
        form: int = FORM,
    ) -> None:
        self.study, self.space, self.form = study, space, form
        self.recorded = recorded or study
        self.fingerprint = fingerprint or fingerprint_of(study, form)
        # A JSON round trip makes what was stored and what was read alike.
        self.origin = origin
        if space is not None:
            self.origin = json.loads(json.dumps(dict(space.origin), default=str)) | {"content": space.content}
        self._baseline = cache(self._baseline_content)
        self._kind = lru_cache(200_000)(self._kind_of)

    def in_form(self, form: int) -> Plan:
        """The same plan with ids of a form."""
        return self if form == self.form else Plan(self.study, self.space, form=form)

    @classmethod
    def of(cls, study: StudyDefinition, folder: Path | None = None) -> Plan:
        """Plan of a study, with its materials; files are relative to a folder."""
        return cls(study, None if study.space is None else load_space(study.space, folder or Path(), study))

    @cached_property
    def scenarios(self) -> Scenarios:
        """The scenarios of the design."""
        return build(self.study.design, self.study.factors, self.study.seed)

    @property
    def arms(self) -> tuple[Arm, ...]:
        """All arms, the baseline first."""
        return self.study.arms

    def count(self, replicates: int | None = None) -> int:
        """Number of runs."""
        n = self.study.replicates.first if replicates is None else replicates
        return len(self.scenarios) * len(self.arms) * n

    # ------------------------------------------------------------------ identity

    def content(self, scenario: int, arm: Arm) -> str:
        """Hash of all parameters of a scenario in an arm."""
        values = run_values(self.study, self.scenarios.values[scenario], arm)
        if self.study.own_model:
            return content_hash({name: repr(value) for name, value in values.items()})
        return content_hash(canonical(resolve(self.study, values)))

    def _baseline_content(self, scenario: int) -> str:
        """Hash of all parameters of a scenario in the baseline."""
        return self.content(scenario, self.arms[0])

    def key(self, scenario: int) -> str:
        """What the draws of a scenario are keyed by, and its name in the store."""
        return self.scenarios.keys[scenario] or self._baseline(scenario)

    @cached_property
    def events(self) -> list[str]:
        """Hash of each arm's policies and shocks; of its label, too, for a custom model."""
        shared, own = self.study.shocks, bool(self.study.own_model)
        return [
            content_hash(
                {"policies": arm.policies, "shocks": (*shared, *arm.shocks), "label": arm.label if own else ""}
            )
            for arm in self.arms
        ]

    def seed(self, scenario: int, arm: int, replicate: int) -> int:
        """Seed of a run: the same for what shares its draws."""
        study = self.study
        if study.replicates.seeds:
            return study.replicates.seeds[replicate]
        parts: list[object] = ["run", study.seed, replicate]
        if study.crn != "all":
            parts.append(self.key(scenario))
        if study.crn == "none":
            parts += [self.events[arm], content_hash(self.arms[arm].parameters)]
        return _number(*parts)

    def history(self, scenario: int) -> int:
        """Seed of the one history that replicates of a scenario share; 0 if each has its own."""
        if not self.study.shared_until:
            return 0
        return _number("history", self.study.seed, "" if self.study.crn == "all" else self.key(scenario))

    @cached_property
    def _repeats(self) -> list[int]:
        """How many scenarios before each one have its values and its draws.

        Rows of a sample that share all draws are separate runs.
        """
        times: Counter[str] = Counter()
        shared, out = self.study.crn == "all" or self.study.replicates.seeds, []
        for values, key in zip(self.scenarios.values, self.scenarios.keys, strict=True):
            content = repr(values) if key and shared else ""
            out.append(times[content] if content else 0)
            times[content] += 1
        return out

    def _kind_of(self, scenario: int, arm: int) -> str:
        """Hash what replicates of a scenario in an arm share (:class:`~mpbf_abm.model.spec.RunSpec` does the same)."""
        study, added = self.study, self.arms[arm]
        content = self.content(scenario, added) if added.parameters else self._baseline(scenario)
        shocks = (*study.shocks, *added.shocks)
        space = None if self.origin is None else self.origin["content"]
        if study.own_model:
            events = [added.label, *added.policies, *shocks]
            kind = content_hash(["own", FORM, self.fingerprint, content, study.ticks, events, space])
        else:
            kind = run_kind(self.fingerprint, content, study.ticks, added.policies, shocks, space)
        repeat = self._repeats[scenario]
        return content_hash([kind, "repeat", repeat]) if repeat else kind

    def _id(self, scenario: int, arm: int, replicate: int) -> str:
        """Id of a run."""
        seed, history, kind = self.seed(scenario, arm, replicate), self.history(scenario), self._kind(scenario, arm)
        if tick := self.study.shared_until:
            return run_id(kind, history, {tick: seed})
        if self.study.own_model and self.study.replicates.seeds:
            # A custom model gets the number of its replicate, which the seed does not say here.
            kind = content_hash([kind, "replicate", replicate])
        return run_id(kind, seed, {})

    def job(self, scenario: int, arm: int, replicate: int) -> Job:
        """One run, with its id."""
        id = (earlier_run_id if self.form == 0 else Plan._id)(self, scenario, arm, replicate)
        seed, history = self.seed(scenario, arm, replicate), self.history(scenario)
        return Job(id, scenario, arm, replicate, seed, history, self.scenarios.values[scenario])

    # ------------------------------------------------------------------ order

    def order(self, replicate: int) -> list[int]:
        """Scenarios in the order of one replicate."""
        order: list[int] = (
            np.random.default_rng([self.study.seed, 1, replicate]).permutation(len(self.scenarios)).tolist()
        )
        return order

    def jobs(self, first: int, last: int, *, shuffled: bool = True) -> Iterator[Job]:
        """Yield runs of replicates `first` to `last` - 1: scenarios of a replicate shuffled or not, arms together.

        A study that is stopped is therefore balanced.
        """
        for replicate in range(first, last):
            for scenario in self.order(replicate) if shuffled else range(len(self.scenarios)):
                for arm in range(len(self.arms)):
                    yield self.job(scenario, arm, replicate)

    # ------------------------------------------------------------------ checks

    def check(self) -> list[str]:
        """Raise with every fault that would stop a run, or leave a part of the study without effect.

        Returns
        -------
        list of str
            What is allowed, but may not be meant.
        """
        study, n = self.study, self.study.design.n or 1
        alike = [
            json.dumps([e, a.parameters], sort_keys=True, default=str)
            for e, a in zip(self.events, self.arms, strict=True)
        ]
        faults = self._parameter_faults() + self._event_faults() + self._outcome_faults()
        faults += design_faults(study.design, study.factors) + self._same_arms(alike) + self._draw_faults()
        faults += self._name_faults() + self._file_faults() + self._rule_faults()
        refuse_any(faults or self._scenario_faults() or self._twin_faults())
        unbalanced = study.design.kind in ("sobol", "saltelli") and n & (n - 1)
        balance = f"[design]: n = {n}: a Sobol sequence is balanced at powers of two"
        return lines_where((unbalanced, balance)) + self._idle_notes()

    def _draw_faults(self) -> list[str]:
        """Name designs and replicates that do not go with how draws are shared."""
        study, kind, adaptive = self.study, self.study.design.kind, self.study.adaptive
        more = (
            f"scenarios of a {kind} design are the units of intervals, so that more scenarios make them narrower, "
            "not more replicates; say n, or share draws by crn = 'all'"
        )
        separate = "a saltelli design needs separate draws in each row"
        shared = "steps of a morris trajectory share their draws"
        precise = any(o.primary and o.target for o in study.outcomes.values())
        unshared = adaptive and kind in SAMPLED and study.crn != "all"
        return lines_where(
            (kind == "saltelli" and study.crn == "all", f"[study]: crn = 'all': {separate}; use 'policies'"),
            (unshared, f"[replicates]: most = {study.replicates.most}: {more}"),
            (adaptive and not precise, "[replicates]: precision needs a primary outcome with smallest or half_width"),
            (kind == "morris" and study.crn == "none", f"[study]: crn = 'none': {shared}; use 'policies'"),
        )

    def _name_faults(self) -> list[str]:
        """Name what cannot be called so, and factors that are called as columns or outcomes are."""
        names, column = [f.name for f in self.study.factors], "is the name of a column of every table; choose another"
        faults = [f"[parameters] {name}: {column}" for name in names if name in COLUMNS]
        outcomes, arms = self.study.outcomes, self.study.policies
        events = [*self.study.shocks, *(event for arm in arms for event in arm.events)]
        given: list[tuple[str, Iterable[str]]] = [
            ("arm", [arm.label for arm in arms]),
            ("policy", [event.name for event in events]),
        ]
        given += [("outcome", outcomes), ("parameter", self.study.parameters), ("series", self.study.series.of)]
        faults += [
            f"{kind} {name[:40]!r}: a name has 1 to {LONGEST_NAME} characters, none of them a control sign"
            for kind, names in given
            for name in names
            if not (1 <= len(name) <= LONGEST_NAME and name.isprintable() and not name.isspace())
        ]
        return faults + [f"[parameters] {name}: is the name of an outcome, too" for name in names if name in outcomes]

    def _rule_faults(self) -> list[str]:
        """Name custom rules that cannot be used."""
        study = self.study
        rules = "custom rules are given in Python, Study(planners=[...], curators=[...], trainers=[...])"
        return lines_where(
            (study.rules and not study.classes, f"[study]: rules = {list(study.rules)}: {rules}"),
            (study.classes and study.own_model, "[study]: rules belong to the ecosystem, not to a custom model"),
        )

    def _same_arms(self, keys: list[str]) -> list[str]:
        """Name arms whose keys an earlier one has."""
        first = [keys.index(key) for key in keys]
        same = [
            (arm.label, self.arms[i].label) for n, (i, arm) in enumerate(zip(first, self.arms, strict=True)) if i < n
        ]
        return [f"arm '{one}': is the same as arm '{other}'" for one, other in same]

    def _parameter_faults(self) -> list[str]:
        study = self.study
        if study.own_model:
            spaced = (study.space is not None, "[space]: a custom model has no materials space")
            return self._taken_faults() + lines_where(spaced)
        places = [("[parameters]", study.fixed), *((_place(arm), arm.parameters) for arm in study.policies)]
        values = [(place, path, value) for place, values in places for path, value in values.items()]
        faults = [f"{place}: {line}" for place, path, value in values for line in value_faults(path, value)]
        faults += [f"[parameters]: {line}" for factor in study.factors for line in self._factor_faults(factor)]
        preset = faults_of(partial(Parameters.preset, study.preset))
        return faults + self._void_faults() + self._taken_faults() + [f"[study]: {line}" for line in preset]

    def _taken_faults(self) -> list[str]:
        """Name parameters that are set twice."""
        faults, taken = [], dict.fromkeys(self.study.fixed, "a value")
        varied = "varies over scenarios and cannot be set by an arm"
        for name, path in [(factor.name, path) for factor in self.study.factors for path in factor.targets]:
            if path in taken:
                faults.append(f"[parameters] {name}: {path} is set by {taken[path]} already")
            taken[path] = f"'{name}'"
            faults += [f"{_place(arm)}: {path} {varied}" for arm in self.study.policies if path in arm.parameters]
        return faults

    def _void_faults(self) -> list[str]:
        """Name parameters of materials that have no effect, as all runs share some."""
        study = self.study
        if study.space is None:
            return []
        varied = [("[parameters]", path) for factor in study.factors for path in factor.targets]
        varied += [(_place(arm), path) for arm in study.policies for path in arm.parameters]
        varied += [("[parameters]", path) for path in study.fixed if study.space.synthetic is None]
        void = "has no effect where all runs share the materials of [space]"
        return [f"{place}: {path} {void}" for place, path in varied if path.startswith("space.")]

    @staticmethod
    def _factor_faults(factor: Factor) -> list[str]:
        unknown = [p for p in factor.targets if p not in PATHS]
        if unknown:
            more = "" if factor.paths else "; several parameters are moved together by paths = [...]"
            return [f"unknown parameter '{unknown[0]}'{did_you_mean(unknown[0], PATHS) or more}"]
        if factor.whole and (faults := factor._conflicts()):
            return faults
        values = factor.values or (factor.at(0.0), factor.at(1.0))
        return [line for path, value in product(factor.targets, values) for line in value_faults(path, value)]

    def _idle_notes(self) -> list[str]:
        """Name policies that leave all parameters as they are, in every scenario that is looked at."""
        if self.study.own_model:
            return []
        some = range(0, len(self.scenarios), max(1, len(self.scenarios) // FEW_SCENARIOS))
        notes = []
        for arm in self.arms:
            bases = [resolve(self.study, run_values(self.study, self.scenarios.values[s], arm)) for s in some]
            for policy in arm.policies:
                full = policy.start + max(0, policy.ramp - 1)
                if all(in_force(base, [policy], full) == base for base in bases):
                    strength = "" if policy.strength is None else f" at strength {policy.strength:g}"
                    levers = ", ".join(lever.path for lever in policy.kind.levers)
                    idle = "changes no parameter in the scenarios looked at; its levers"
                    notes.append(f"{_place(arm)}: {policy.label}{strength} {idle}: {levers}")
        return notes

    def _file_faults(self) -> list[str]:
        """Name what no file can hold, and a store therefore neither."""
        try:
            write_study(self.study)
        except (TypeError, ValueError) as error:
            return [f"[parameters]: a value cannot be written to a file ({error})"]
        return []

    def _twin_faults(self) -> list[str]:
        """Name arms, and scenarios, that are the same one, written differently."""
        kinds = [] if self.study.own_model else [self._kind(0, arm) for arm in range(len(self.arms))]
        if kinds and (same := self._same_arms(kinds)):
            return same[:1]
        if len(self.scenarios) > MOST_CHECKED or any(self.scenarios.keys):
            return []
        first: dict[str, int] = {}
        for scenario in range(len(self.scenarios)):
            same_as = first.setdefault(self._baseline(scenario), scenario)
            if same_as != scenario:
                return [f"[design]: scenarios {same_as} and {scenario} have the same parameters"]
        return []

    def _event_faults(self) -> list[str]:
        study = self.study
        late = f"is not before the end of a run at tick {study.ticks}"
        events = [*study.shocks, *(e for arm in study.policies for e in arm.events)]
        faults = [f"{e.label}: start = {e.start} {late}" for e in events if e.start >= study.ticks]
        if study.branch is None:
            return faults
        tick = study.branch.tick
        faults += lines_where((tick >= study.ticks, f"[branch]: tick = {tick} {late}"))
        for arm in study.policies:
            early = [e for e in arm.events if e.start < tick]
            faults += [f"{_place(arm)}: {e.label} starts at {e.start}, before the branch at {tick}" for e in early]
            moved = "has other parameters from the start, so that it cannot branch from the baseline"
            faults += lines_where((arm.parameters, f"{_place(arm)}: {moved}"))
        return faults + lines_where((study.own_model, "[branch]: a custom model cannot be branched"))

    def _outcome_faults(self) -> list[str]:
        study, known = self.study, known_quantities(self.study)
        faults = [line for name, o in study.outcomes.items() for line in self._faults_of_outcome(name, o, known)]
        return faults + (unknown_names(study.series.of, known, "[series]") if known else [])

    def _faults_of_outcome(self, name: str, outcome: Outcome, known: tuple[str, ...]) -> list[str]:
        place, along = f"[outcome.{name}]", outcome.over != "end" or outcome.at is not None
        undirected = not outcome.event and outcome.primary and outcome.better == "none" and self.study.policies
        ticks = self.study.ticks
        late = [t for t in (outcome.at, outcome.start, outcome.end) if (t or 0) >= ticks]
        return [
            *(unknown_names([outcome.of or name], known, place) if known else ()),
            *lines_where((not known and along, f"{place}: a custom model returns outcomes at its end only")),
            *(f"{place}: tick {t} is not before the end of a run at tick {ticks}" for t in late),
            *lines_where((undirected, f"{place}: a primary outcome says what is better, more or less")),
        ]

    def _check_run(self, values: tuple[Any, ...], arm: Arm) -> None:
        """Raise with the faults of a run with a scenario's values in an arm."""
        spec_of(self.study, values, arm, self.space).check()

    def _scenario_faults(self) -> list[str]:
        """Name faults between parameters, scenario by scenario: those of the first that has any."""
        if self.study.own_model:
            return []
        for scenario in range(0, len(self.scenarios), max(1, len(self.scenarios) // MOST_CHECKED)):
            values = self.scenarios.values[scenario]
            for arm in self.arms:
                if faults := faults_of(partial(self._check_run, values, arm)):
                    at = ", ".join(f"{n} = {v!r}" for n, v in zip(self.scenarios.names, values, strict=True))
                    label = "" if arm.label == BASELINE else f", {_place(arm)}"
                    where = f"scenario {scenario}{f' ({at})' if at else ''}{label}: " if at or label else ""
                    return [where + line for line in faults]
        return []

    # ------------------------------------------------------------------ what can be asked

    def supports(self) -> dict[str, str]:
        """Return for each analysis nothing if the design supports it, or the reason why not."""
        kind, n = self.study.design.kind, len(self.scenarios)
        pairs = n if kind in SAMPLED and self.study.crn != "all" else self.study.replicates.first
        alone = (len(self.arms) < 2, "the study has no arm other than the baseline")
        screen = f"the scenarios of a {kind} design are no sample of the factors' ranges; use lhs, sobol, grid or table"
        screens = "use [design] kind = 'morris' (screening) or 'saltelli' (indices)"
        few = f"{n} scenarios are too few; at least {FEW_SCENARIOS} (better 200) are needed"
        why = {
            "compare": lines_where(
                alone, (kind in SCREENS, screen), (pairs < 2, "one pair of runs is planned; at least 2 are needed")
            ),
            "robustness": lines_where(
                alone, (kind in SCREENS, screen), (n < 2, "the study has one scenario; a design is needed")
            ),
            "sensitivity": lines_where((kind not in SCREENS, f"a design of kind {kind} cannot support it; {screens}")),
            "discover": lines_where((kind in (*SCREENS, "one_at_a_time"), screen), (n < FEW_SCENARIOS, few)),
        }
        return {analysis: next(iter(lines), "") for analysis, lines in why.items()}


def _place(arm: Arm) -> str:
    """How messages call an arm."""
    return f"arm '{arm.label}'"


# --------------------------------------------------------------------------- earlier

# Ids of runs in stores of version 0.1 (form 0): read and gone on with, never made anew.


def earlier_run_id(plan: Plan, scenario: int, arm: int, replicate: int) -> str:
    """Return the id of a run: what it notes, and where its materials were read, are part of it."""
    study, recorded, origin = plan.study, plan.recorded, plan.origin
    space = None if origin is None else {k: v for k, v in origin.items() if k not in ("source", "content")}
    shared = {
        "model": plan.fingerprint,
        "ticks": study.ticks,
        "measures": [m.key for m in recorded.measures],
        "series": [list(recorded.series.of), recorded.series.every if recorded.series.of else 1],
        "space": space,
        "branch": study.shared_until or None,
    }
    state = hashlib.blake2b(content_hash(shared).encode(), digest_size=16)
    state.update((plan.content(scenario, plan.arms[arm]) + plan.events[arm]).encode())
    for number in (plan.history(scenario), plan.seed(scenario, arm, replicate)):
        state.update(number.to_bytes(8, "little"))
    return state.hexdigest()
