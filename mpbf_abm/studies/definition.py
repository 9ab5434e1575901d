"""What a study is: parameters fixed and varied, arms, design, outcomes, and how it is to be run."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator, ConfigDict, Field

from mpbf_abm.config import TICKS, Section
from mpbf_abm.errors import did_you_mean, faults_of, lines_where, refuse, refuse_any
from mpbf_abm.glance import Glance, Shown
from mpbf_abm.model.interventions import Event, Policy
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.settings import MOST
from mpbf_abm.model.shocks import Shock
from mpbf_abm.model.spec import DEFAULT_TICKS, gathered, rule_faults, rule_name
from mpbf_abm.outputs import some
from mpbf_abm.parameters import GROUPS, PATHS, Parameters
from mpbf_abm.provenance import DEFAULT_SEED
from mpbf_abm.streams import check_seed
from mpbf_abm.studies.design import Design, Factor, plain

BASELINE, WHAT_IF = "baseline", "what-if"
NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
MOST_REPLICATES = MOST["replicates"]
LATE = ("mean", "min", "max")


class Arm(Section):
    """What one arm of a study adds to the baseline: policies, shocks, other parameters from the start.

    Attributes
    ----------
    label : str
        What tables and figures call it.
    policies, shocks : tuples
    parameters : dict
        Parameters of this arm, before any scenario.
    """

    label: str
    policies: tuple[Policy, ...] = ()
    shocks: tuple[Shock, ...] = ()
    parameters: Annotated[
        dict[str, Any],
        BeforeValidator(lambda given: {k: plain(v) for k, v in given.items()} if isinstance(given, Mapping) else given),
    ] = Field(default_factory=dict)

    @classmethod
    def place(cls, fields: Mapping[str, Any]) -> str:
        """How messages call this arm."""
        return f"arm '{fields.get('label', '')}'"

    def _conflicts(self) -> list[str]:
        always = f"arm '{BASELINE}': is always there, without policies; choose another label"
        return lines_where((self.label == BASELINE, always))

    @property
    def events(self) -> tuple[Event, ...]:
        """Policies and shocks."""
        return (*self.policies, *self.shocks)

    @classmethod
    def of(cls, policy: Policy | Arm, label: str | None = None) -> Arm:
        """Arm of one policy."""
        return policy if isinstance(policy, Arm) else cls(label=label or policy.name, policies=(policy,))


class Outcome(Section):
    """A number that a run ends with, and what would be better.

    Attributes
    ----------
    of : str
        Quantity: a scalar of ``run.summary``; the outcome's own name if empty.
    over : str
        end (its value after the last tick, or after tick `at`), or mean, min or max over ticks
        `start` to `end`.
    at, start, end : int
        Ticks as in ``run.series``.
    above, below : float
        Makes it an event: 1 if the value lies above (below) this, else 0.
    better : str
        more, less, or none.
    smallest : float
        Smallest effect of interest.
    primary : bool
        Whether it was chosen before the runs; everything else is exploratory.
    half_width : float
        Wanted half width of the interval of a paired difference; a quarter of `smallest` if not given.
    acceptable : float
        Value that a satisfactory run reaches.
    """

    of: str = ""
    over: Literal["end", "mean", "min", "max"] = "end"
    at: int | None = Field(None, ge=0, json_schema_extra=TICKS)
    start: int | None = Field(None, ge=0, json_schema_extra=TICKS)
    end: int | None = Field(None, ge=0, json_schema_extra=TICKS)
    above: float | None = None
    below: float | None = None
    better: Literal["more", "less", "none"] = "none"
    smallest: float | None = Field(None, gt=0)
    primary: bool = False
    half_width: float | None = Field(None, gt=0)
    acceptable: float | None = None

    @classmethod
    def place(cls, fields: Mapping[str, Any]) -> str:  # noqa: ARG003
        """How messages call it; its name is known to the study."""
        return ""

    def _conflicts(self) -> list[str]:
        start, end = self.start, self.end
        ticks = self.over == "end" and (start is not None or end is not None)
        tick = self.over != "end" and self.at is not None
        both = self.above is not None and self.below is not None
        before = start is not None and end is not None and end < start
        return lines_where(
            (ticks, "start and end belong to over = mean, min or max; one tick is chosen by at"),
            (tick, f"at belongs to over = end, not to {self.over}"),
            (before, f"end = {end} must not be before start = {start}"),
            (both, "above and below exclude each other"),
            (self.acceptable is not None and self.better == "none", "acceptable needs better = more or less"),
        )

    @property
    def event(self) -> bool:
        """Whether it is an event, 0 or 1 in a run."""
        return self.above is not None or self.below is not None

    @property
    def target(self) -> float | None:
        """Wanted half width of the interval of a paired difference."""
        return self.half_width if self.half_width is not None else None if self.smallest is None else self.smallest / 4

    @property
    def sign(self) -> int:
        """1 where more is better (or nothing is), -1 where less is."""
        return -1 if self.better == "less" else 1

    def measure(self, name: str) -> Measure:
        """What a run has to note for it."""
        return Measure(quantity=self.of or name, over=self.over, at=self.at, start=self.start, end=self.end)

    def value(self, measured: float) -> float:
        """Outcome from what was measured: itself, or whether the event happened; NaN stays NaN."""
        if math.isnan(measured) or not self.event:
            return measured
        return float(measured > self.above if self.above is not None else measured < (self.below or 0.0))


class Measure(Section):
    """A quantity of a run at some time; its key is its name in the store."""

    quantity: str
    over: Literal["end", "mean", "min", "max"] = "end"
    at: int | None = None
    start: int | None = None
    end: int | None = None

    @property
    def key(self) -> str:
        """The quantity alone at the end of a run; with its ticks elsewhere."""
        if self.over == "end":
            return self.quantity if self.at is None else f"{self.quantity}@{self.at}"
        first, last = ("" if tick is None else tick for tick in (self.start, self.end))
        return f"{self.over}({self.quantity})@{first}-{last}"

    def ticks(self, horizon: int) -> range:
        """Ticks at which it has to be looked at; none if the end of the run is enough."""
        if self.over == "end":
            return range(0) if self.at is None else range(self.at, self.at + 1)
        return range(self.start or 0, (horizon - 1 if self.end is None else self.end) + 1)


class Series(Section):
    """Quantities that are stored along the run.

    Attributes
    ----------
    of : tuple of str
    every : int
        Stored at ticks every - 1, 2 every - 1, ..., and at the last one.
    tables : tuple of str
        Whole tables that are stored, too: families (records alive, experiments and discoveries of each family after
        each tick), infrastructure (who depends on whom at the end), links (after each tick), flows (between curators,
        models and planners, of each tick).
    """

    of: tuple[str, ...] = ()
    every: int = Field(1, ge=1, json_schema_extra=TICKS)
    tables: tuple[Literal["families", "infrastructure", "links", "flows"], ...] = ()

    def ticks(self, horizon: int) -> list[int]:
        """Ticks that are stored."""
        if not self.of or horizon < 1:
            return []
        return sorted({*range(self.every - 1, horizon, self.every), horizon - 1})


class Recording(NamedTuple):
    """What is noted of a run beside its end; it is no part of what the run is.

    Attributes
    ----------
    measures : tuple of str
        Keys of outcomes that do not follow from its end.
    series : tuple of str
    ticks : tuple of int
        At which series are noted.
    tables : tuple of str
    """

    measures: tuple[str, ...] = ()
    series: tuple[str, ...] = ()
    ticks: tuple[int, ...] = ()
    tables: tuple[str, ...] = ()

    def joined(self, other: Recording) -> Recording:
        """Return both together."""
        measures, series, tables = (
            tuple(dict.fromkeys(one + two))
            for one, two in ((self.measures, other.measures), (self.series, other.series), (self.tables, other.tables))
        )
        return Recording(measures, series, tuple(sorted({*self.ticks, *other.ticks})), tables)


class Replicates(Section):
    """How many runs of each scenario and arm.

    Attributes
    ----------
    n : int
        A fixed number.
    seeds : tuple of int
        Instead: these root seeds, in every scenario and arm; as many replicates as there are seeds.
    least, most : int
        Instead: as many as the precision of the primary outcomes takes, within these bounds.
    look_ahead : int
        Further replicates over which the precision must hold (Hoad et al. 2010, with 25 for 5).
    """

    n: int | None = Field(None, ge=1, le=MOST_REPLICATES)
    least: int = Field(20, ge=2, le=MOST_REPLICATES)
    most: int | None = Field(None, ge=2, le=MOST_REPLICATES)
    look_ahead: int = Field(25, ge=0, le=MOST_REPLICATES)
    seeds: tuple[int, ...] = ()

    def __init__(self, **fields: Any) -> None:
        seeds = fields.get("seeds")
        if isinstance(seeds, (range, list, tuple)) and seeds:
            fields["seeds"] = tuple(seeds)
            if fields.get("n") is None and len(seeds) <= MOST_REPLICATES:
                fields["n"] = len(seeds)
        super().__init__(**fields)

    def _conflicts(self) -> list[str]:
        n, most = self.n, self.most
        bounds = not {"least", "look_ahead"}.isdisjoint(self.model_fields_set)
        one = "n is a fixed number, least and most are bounds; one of them is meant"
        numbers = lines_where(
            (n is not None and most is not None, one),
            (n is None and most is None, "say n, or most (and least) for as many as precision takes"),
            (n is not None and bounds, "least and look_ahead belong to most, not to n"),
            (most is not None and most < self.least, f"most = {most} must not be below least = {self.least}"),
        )
        return [f"[replicates]: {line}" for line in self._seed_faults() or numbers[:1]]

    def _seed_faults(self) -> list[str]:
        """What is wrong with seeds."""
        seeds = self.seeds
        if len(seeds) > MOST_REPLICATES:
            return [f"{len(seeds)} seeds are more than {MOST_REPLICATES}"]
        counted = not seeds or (self.most is None and self.n == len(seeds))
        return faults_of(*(partial(check_seed, seed) for seed in seeds)) + lines_where(
            (len(set(seeds)) < len(seeds), "a seed is listed twice"),
            (not counted, "seeds say how many replicates there are; leave n and most away"),
        )

    @property
    def first(self) -> int:
        """Replicates that are run in any case."""
        if self.n is not None:
            return self.n
        return min(self.least + self.look_ahead, self.most or self.least)


class Branch(Section):
    """Arms that start from a snapshot of the baseline between two ticks.

    Attributes
    ----------
    tick : int
        Ticks that the shared history lasts.
    history : str
        own: each replicate has a separate history (the same numbers as without branching, in less time).
        one: all replicates of a scenario share one history and differ in their draws from then on.
    """

    tick: int = Field(ge=1, json_schema_extra=TICKS)
    history: Literal["own", "one"] = "own"


class Limits(Section):
    """What a single run may take.

    Attributes
    ----------
    seconds, memory_mb : float
        Time of a run; resident memory of a worker. 0 is no limit.
    retries : int
        Further attempts when a worker died or went over a limit.
    """

    seconds: float = Field(3_600.0, ge=0)
    memory_mb: float = Field(4_000.0, ge=0)
    retries: int = Field(2, ge=0, le=100)


UNLIMITED = Limits(seconds=0, memory_mb=0, retries=1)
"""For what a command makes whose runs have no known size."""


class Engine(Section):
    """Where runs are made; never part of what a run is.

    Attributes
    ----------
    kind : str
        local, or dask.
    workers : int
        Processes; of the machine's cores if not given.
    address : str
        Scheduler of a running dask cluster.
    cluster : str
        dask cluster to start: local; slurm, pbs, sge, lsf, oar or htcondor (dask-jobqueue); kubernetes
        (dask-kubernetes).
    options : dict
        Arguments of that cluster's class.
    chunk_seconds : float, optional
        Runs that travel to a dask worker together take about this long; by default one second, and longer on more than
        fifty workers, whom one scheduler could not serve otherwise.
    """

    kind: Literal["local", "dask"] = "local"
    workers: int | None = Field(None, ge=1, le=100_000)
    address: str | None = None
    cluster: Literal["local", "slurm", "pbs", "sge", "lsf", "oar", "htcondor", "kubernetes"] = "local"
    options: dict[str, Any] = Field(default_factory=dict)
    chunk_seconds: float | None = Field(None, gt=0, le=3_600)

    def _conflicts(self) -> list[str]:
        local = "[engine]: address, cluster and options belong to kind = 'dask'"
        return lines_where((self.kind == "local" and (self.address or self.options or self.cluster != "local"), local))


def _texts(value: Any) -> Any:
    if not all(isinstance(text, str) for text in (value if isinstance(value, (list, tuple)) else [value])):
        raise ValueError("must be a text, or a list of texts")
    return value


Texts = Annotated[str | tuple[str, ...], BeforeValidator(_texts)]  # of one property, or of each


class Space(Section):
    """Materials that all runs share, instead of a synthetic space for each seed.

    Attributes
    ----------
    synthetic : int
        Seed of one synthetic space for all runs.
    table : str
        File of formulas, with columns `formula`, `measured` and perhaps `simulated`, `year`, `family`.
    pool : str
        File of settings with a column `objective`. This, `measured`, `simulated`, `goal` and both units may be lists,
        with one entry for each property.
    descriptors, ordinal, ignore
        Columns of a pool's settings, those whose levels have an order (a table of lists), and those to leave out.
    goal : str
        max or min, checked when the file is read.
    unit, simulated_unit : str
        Units of the property and of the simulated column, where they differ.
    duplicates : str
        What becomes of rows of the same composition or settings: mean, median, first or raise.
    drop : bool
        Whether faulty rows are left out instead of refused.
    """

    synthetic: int | None = None
    table: str | None = None
    pool: str | None = None
    formula: str | None = None
    measured: Texts | None = None
    simulated: Texts | None = None
    year: str | None = None
    family: str | None = None
    objective: Texts | None = None
    descriptors: tuple[str, ...] | None = None
    ordinal: dict[str, tuple[str, ...]] | None = None
    ignore: tuple[str, ...] | None = None
    goal: Texts = "max"
    unit: Texts | None = None
    simulated_unit: Texts | None = None
    duplicates: Literal["mean", "median", "first", "raise"] | None = None
    drop: bool = False

    def _conflicts(self) -> list[str]:
        given = self._given()
        kinds = given.keys() & NEEDED.keys()
        if len(kinds) != 1:
            return ["[space]: needs one of synthetic, table and pool"]
        (kind,) = kinds
        homes = {n: k for k, names in COLUMNS.items() if k != kind for n in names}
        homes |= dict.fromkeys(("unit", "duplicates"), "table or pool") if kind == "synthetic" else {}
        faults = [f"{kind} needs {n}" for n in NEEDED[kind] if n not in given]
        return [f"[space]: {line}" for line in faults + [f"{n} belongs to {k}" for n, k in homes.items() if n in given]]

    def _given(self) -> dict[str, Any]:
        """Return the fields that are set."""
        return {name: value for name, value in self if value is not None}

    def columns(self) -> dict[str, Any]:
        """Return arguments of the space's constructor."""
        own = (*COLUMNS["table" if self.table else "pool"], "unit", "duplicates")
        given = self._given()
        return {n: given[n] for n in own if n in given} | {
            "goal": self.goal,
            "on_error": "drop" if self.drop else "raise",
        }


def _arms(value: Any) -> Any:
    listed = isinstance(value, (list, tuple))
    return tuple(Arm.of(v) if isinstance(v, Policy) else v for v in value) if listed else value


NEEDED: dict[str, tuple[str, ...]] = {"synthetic": (), "table": ("formula", "measured"), "pool": ("objective",)}
COLUMNS: dict[str, tuple[str, ...]] = {
    "table": ("formula", "measured", "simulated", "year", "family", "simulated_unit"),
    "pool": ("objective", "descriptors", "ordinal", "ignore"),
}


def factor_of(name: str, entry: Mapping[str, Any]) -> Factor:
    """Make a factor of the table that stands under its name."""
    refuse("name" in entry, f"[parameters] {name}: unknown field 'name'; the key is its name")
    return Factor(name=name, **entry)


def flat_parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters by dotted path, where they may stand in tables of their groups."""
    flat: dict[str, Any] = {}
    for name, entry in given.items():
        group = name in GROUPS and isinstance(entry, Mapping)
        flat |= {f"{name}.{n}": v for n, v in entry.items()} if group else {name: entry}
    return flat


def _parameters(value: Any) -> Any:
    """Return flat parameters; a factor written as a table gets its name."""
    if not isinstance(value, Mapping):
        return value
    made = {
        name: partial(factor_of, name, entry) if isinstance(entry, Mapping) else partial(plain, entry)
        for name, entry in flat_parameters(value).items()
    }
    refuse_any(faults_of(*made.values()))
    return {name: make() for name, make in made.items()}


Model = Callable[..., Any]


class StudyDefinition(Shown, Section):
    """A question, and all that is needed to run it.

    Examples
    --------
    >>> study = Study(
    ...     name="floors",
    ...     parameters={
    ...         "planners.reinforcement": 2.0,
    ...         "planners.exploration": Factor(name="planners.exploration", low=0.0, high=0.5),
    ...     },
    ...     policies=[Policy("audits", start=24)], design=Design(kind="lhs", n=10), replicates=Replicates(n=3),
    ... )
    >>> [arm.label for arm in study.arms], len(study.factors)
    (['baseline', 'audits'], 1)
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    name: str = Field(pattern=NAME, max_length=100, description="letters, digits, _, - and .")
    question: str = Field("", description="what it asks, in words")
    preset: str = Field("default", description="parameters to start from")
    seed: int = Field(DEFAULT_SEED, description="root seed of designs and draws")
    ticks: int = Field(DEFAULT_TICKS, ge=1, le=MOST["ticks"], description="horizon", json_schema_extra=TICKS)
    crn: Literal["policies", "all", "none"] = Field(
        "policies", description="runs that share draws: those of the arms of a scenario; of scenarios, too; none"
    )
    parameters: Annotated[dict[str, Any], BeforeValidator(_parameters)] = Field(
        default_factory=dict, description="values by path, and a Factor for what varies"
    )
    policies: Annotated[tuple[Arm, ...], BeforeValidator(_arms)] = Field(
        (), description="the arms other than the baseline; a Policy is an arm of its name"
    )
    shocks: tuple[Shock, ...] = Field((), description="what happens in every arm")
    space: Space | None = Field(None, description="materials that all runs share")
    design: Design = Field(Design(), description="how scenarios are chosen")
    replicates: Replicates = Field(Replicates(n=20), description="how many runs of each scenario and arm")
    outcomes: dict[str, Outcome] = Field(default_factory=dict, description="what runs are judged by, by name")
    series: Series = Field(Series(), description="what is stored along the runs")
    branch: Branch | None = Field(None, description="tick until which arms share their history")
    limits: Limits = Field(Limits(), description="what a single run may take")
    engine: Engine = Field(Engine(), description="where runs are made; no part of what they are")
    model: Model | None = Field(
        None,
        exclude=True,
        repr=False,
        description="a custom model (importable) instead of the ecosystem: takes a RunInput, returns a dict of "
        "outcomes, or a pair of it and an array (ticks, series); no part of a file",
    )
    classes: tuple[Any, ...] = Field(
        (), exclude=True, repr=False, description="custom rules, which may be given as planners, curators and trainers"
    )
    rules: tuple[str, ...] = Field((), description="names of the custom rules, as a file has them")
    made_by: str = Field("", exclude=True, repr=False, description="custom model that a stored study was made by")

    def __init__(self, **fields: Any) -> None:
        given = [fields.pop(kind) for kind in ("planners", "curators", "trainers", "classes") if kind in fields]
        if classes := gathered(*given):
            refuse_any(rule_faults(classes))
            fields |= {"classes": classes, "rules": tuple(map(rule_name, classes))}
        super().__init__(**fields)

    @classmethod
    def place(cls, fields: Mapping[str, Any]) -> str:  # noqa: ARG003
        """How messages call it."""
        return "[study]"

    def glance(self) -> Glance:
        """Return what it asks: parameters, arms, design, replicates and outcomes."""
        n, varied = self.replicates, some([f.name for f in self.factors])
        said = {
            "preset": self.preset,
            "fixed": some([f"{name} = {value}" for name, value in self.fixed.items()]),
            "varied": varied and f"{varied} ({self.design.kind})",
            "arms": some([arm.label for arm in self.arms]),
            "shocks": some([shock.words for shock in self.shocks]),
            "replicates": f"{n.n or f'{n.least} to {n.most}'}, seed {self.seed}, {self.ticks} ticks",
            "outcomes": some([name + " (primary)" * o.primary for name, o in self.outcomes.items()]),
            "model": self.own_model,
        }
        rows = [item for item in said.items() if item[1]]
        return Glance(f"Study '{self.name}'" + f": {self.question}" * bool(self.question), ("part", "content"), rows)

    def _conflicts(self) -> list[str]:
        labels, seeds, branch = Counter(arm.label for arm in self.arms), self.replicates.seeds, self.branch
        along = branch is not None and not {"links", "flows"}.isdisjoint(self.series.tables)
        named = f"[study]: crn = '{self.crn}': [replicates] seeds name the draws of all runs"
        return [
            *(f"arm '{label}': two arms have this label" for label, times in labels.items() if times > 1),
            *faults_of(partial(check_seed, self.seed)),
            *lines_where(
                (seeds and self.crn != "policies", named),
                (
                    seeds and self.shared_until,
                    "[branch]: history = 'one' needs separate draws; leave [replicates] seeds away",
                ),
                (along, "[series]: tables links and flows need runs from their beginning, without [branch]"),
            ),
        ]

    # ------------------------------------------------------------------ parts

    @property
    def shared_until(self) -> int:
        """Ticks of the one history that all replicates of a scenario share; 0 if each has a separate one."""
        return self.branch.tick if self.branch is not None and self.branch.history == "one" else 0

    @cached_property
    def arms(self) -> tuple[Arm, ...]:
        """All arms, the baseline first."""
        return (Arm.model_construct(label=BASELINE, policies=(), shocks=(), parameters={}), *self.policies)

    @cached_property
    def factors(self) -> tuple[Factor, ...]:
        """What varies, in the order of the file, whole where its parameter is a whole number."""
        return tuple(self._typed(f) for f in self.parameters.values() if isinstance(f, Factor))

    @cached_property
    def fixed(self) -> dict[str, Any]:
        """Parameters that have one value in all scenarios."""
        return {name: value for name, value in self.parameters.items() if not isinstance(value, Factor)}

    def _typed(self, factor: Factor) -> Factor:
        """Say of a factor of the ecosystem's parameters that it is whole."""
        if self.own_model or factor.values or factor.whole:
            return factor
        places = [PATHS[path] for path in factor.targets if path in PATHS]
        kinds = {GROUPS[group].model_fields[name].annotation for group, name in places}
        return factor.model_copy(update={"whole": kinds == {int}})

    @cached_property
    def measures(self) -> tuple[Measure, ...]:
        """What runs have to note in addition to their end, each once."""
        wanted = {m.key: m for name, o in self.outcomes.items() if (m := o.measure(name)).key != m.quantity}
        return tuple(wanted[key] for key in sorted(wanted))

    @cached_property
    def recording(self) -> Recording:
        """What its runs have to note."""
        own = [o.measure(name).key for name, o in self.outcomes.items()] if self.own_model else []
        ticks = tuple(self.series.ticks(self.ticks)) if self.series.of else ()
        return Recording(tuple(own or [m.key for m in self.measures]), self.series.of, ticks, self.series.tables)

    @property
    def own_model(self) -> str:
        """Name of a custom model, of the function where arguments are bound to it; empty for the ecosystem."""
        model: Any = self.model
        if model is None:
            return self.made_by
        while isinstance(model, partial):
            model = model.func
        return name_of_model(model)

    @property
    def primary(self) -> tuple[str, ...]:
        """Names of the primary outcomes."""
        return tuple(name for name, o in self.outcomes.items() if o.primary)

    @property
    def adaptive(self) -> bool:
        """Whether the number of replicates follows from precision."""
        return self.replicates.n is None

    @classmethod
    def of_question(
        cls,
        name: str,
        parameters: Parameters,
        policies: Sequence[Policy],
        shocks: Sequence[Shock],
        *,
        shared: bool = True,
        seeds: Sequence[int],
        **fields: Any,
    ) -> StudyDefinition:
        """Make the study of one question: baseline, and what-if if it differs by anything, on the same seeds.

        Parameters
        ----------
        name : str
        parameters : Parameters
        policies : sequence of Policy
            What the what-if adds.
        shocks : sequence of Shock
            What happens in every run; in the what-if alone unless `shared`.
        shared : bool
        seeds : sequence of int
            Root seed of each replicate.
        **fields
            Other fields of the study.
        """
        own, common = ((), tuple(shocks)) if shared else (tuple(shocks), ())
        fields["policies"] = (Arm(label=WHAT_IF, policies=tuple(policies), shocks=own),) if policies or own else ()
        fields |= {"shocks": common, "replicates": Replicates(seeds=tuple(seeds))}
        return cls(name=name, parameters=parameters.changed(), **fields)

    def changed(self, **fields: Any) -> StudyDefinition:
        """Return a copy with some fields changed."""
        own = {name: getattr(self, name) for name in type(self).model_fields}
        return StudyDefinition(**(own | fields))


def name_of_model(model: Any) -> str:
    """Return module and name of a function, or of the class of an object that can be called."""
    return f"{model.__module__}:{getattr(model, '__qualname__', type(model).__qualname__)}"


def unknown_names(names: Sequence[str], known: Sequence[str], place: str) -> list[str]:
    """One line for each name that is unknown."""
    return [f"{place}: unknown quantity '{n}'{did_you_mean(n, known)}" for n in names if n not in known]


def load_space(space: Space, folder: Path, study: StudyDefinition) -> MaterialsSpace:
    """Return the materials of a study: read from a file (relative to a folder), or generated.

    Raises
    ------
    ConfigurationError
        If the file cannot be used.
    """
    if space.synthetic is not None:
        own = {path: value for path, value in study.fixed.items() if path.startswith("space.")}
        return MaterialsSpace.synthetic(Parameters.preset(study.preset).updated(own), seed=space.synthetic)
    read = MaterialsSpace.from_pool if space.table is None else MaterialsSpace.from_table
    return read(folder / os.path.expanduser(str(space.table or space.pool)), **space.columns())
