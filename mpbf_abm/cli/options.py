"""Options that commands share, and the models that hold them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from mpbf_abm.cli.binding import argument, folder, names_in, of_run, one_of, option, whole
from mpbf_abm.errors import ConfigurationError, faults_of, refuse_any, tried
from mpbf_abm.provenance import DEFAULT_SEED

if TYPE_CHECKING:
    from mpbf_abm.model.materials import MaterialsSpace
    from mpbf_abm.model.settings import Settings
    from mpbf_abm.studies.whatif import WhatIf

OUTPUT, DATA, MORE = "Output", "Real data", "; may be repeated."
MERGING = ("mean", "median", "first", "raise")


def _parameters() -> Iterable[str]:
    from mpbf_abm.parameters import PATHS

    return [f"{path}=" for path in PATHS]


def _events(kind: str, place: str, options: str, help: str) -> Any:
    """Declare an option that is a policy or shock, which may be repeated."""

    def parse(text: str) -> Any:
        from mpbf_abm.model.interventions import parse_event
        from mpbf_abm.model.settings import EVENTS

        return parse_event(text, EVENTS[kind])

    help = f"{help} (mpbf config {place.split(':')[1].lower()}){MORE}"
    return option(f"--{kind} NAME{options}", help, parse, names_in(place), default=())


Json = Annotated[bool, option("--json", "Print JSON.", panel=OUTPUT)]
Quiet = Annotated[bool, option("--quiet -q", "Print neither progress nor tables.", panel=OUTPUT)]
Jobs = Annotated[int | None, whole("--jobs -j", "Processes. [default: one per core]", low=1)]
Out = Annotated[Path | None, option("--out -o DIR", "Folder of the result.", panel=OUTPUT)]


def workers(jobs: int | None) -> int:
    """Return the number of processes asked for, or one per core."""
    from mpbf_abm.processes import default_workers

    return jobs or default_workers()


PRESETS = names_in("parameters:PRESETS", "null")
Preset = Annotated[
    str | None,
    option("NAME", "One of default, quick, faithful, these with single- before them, null, pool.", complete=PRESETS),
]
Data = Annotated[Path | None, folder("DATA", "Folder of real data.")]


@dataclass(frozen=True)
class CommunityOptions:
    """A community: a configuration file, a preset, and parameters that were changed."""

    config_file: Annotated[Path | None, argument("[CONFIG.toml]", "Parameters, [run], [[policy]], [[shock]].")] = None
    preset: Preset = None
    infrastructure: Path | None = option("FILE", "Start from a graph of repositories, models and labs (GraphML, JSON).")
    assignments: list[str] = option(
        "--set GROUP.NAME=VALUE", f"Change a parameter{MORE}", None, _parameters, default=()
    )

    @cached_property
    def settings(self) -> Settings:
        """Settings of the file or preset, with the parameters that were changed."""
        from mpbf_abm.model.settings import Settings, read_settings
        from mpbf_abm.parameters import Parameters, parse_assignment

        read, changes = Settings(Parameters(), {}), dict[str, Any]()
        set_values, faults = tried(partial(parse_assignment, text) for text in self.assignments)
        try:
            read = read_settings(self.config_file, self.preset)
        except ConfigurationError as error:
            faults = error.faults + faults
        if self.infrastructure is not None:
            from mpbf_abm.data.graphs import read_infrastructure

            graphs, graph_faults = tried([partial(read_infrastructure, self.infrastructure)])
            faults += graph_faults
            changes = dict(*graphs)
        given = set(changes)
        for path, value in set_values:
            faults += [f"--set {path}: follows from --infrastructure"] * (path in given)
            faults += [f"--set {path} is given twice"] * (path in changes and path not in given)
            changes[path] = value
        faults += faults_of(lambda: read.parameters.updated(changes))
        refuse_any(faults)
        return replace(read, parameters=read.parameters.updated(changes))


@dataclass(frozen=True)
class Question(CommunityOptions):
    """A run, or a what-if: a community, what is done to it, and how often."""

    seed: int | None = of_run("seed", f"Seed of the first replicate. [default: {DEFAULT_SEED}]")
    ticks: int | None = of_run("ticks", "Horizon; a tick is about a month. [default: 120]")
    replicates: int | None = of_run("replicates", "Runs, or pairs, at seeds SEED, SEED+1, ... [default: 1, what-if 8]")
    policies: list[Any] = _events(
        "policy", "model.interventions:POLICIES", "[:start=24,strength=0.5]", "Ask what a policy would change"
    )
    shocks: list[Any] = _events("shock", "model.shocks:SHOCKS", "[:start=24,end=36]", "Apply a shock to every run")
    shocks_in_baseline: bool | None = option("", "Apply shocks to both arms, or to the what-if alone. [default: both]")

    def plan(self, space: MaterialsSpace | None = None) -> WhatIf:
        """Return what to run; the command line takes precedence over the file.

        Raises
        ------
        ConfigurationError
            With one line for each fault.
        """
        from mpbf_abm.model.settings import DEFAULT_PAIRS, NUMBER_KEYS
        from mpbf_abm.studies.whatif import WhatIf

        settings = self.settings
        policies, shocks = (*settings.policies, *self.policies), (*settings.shocks, *self.shocks)
        both = settings.shocks_in_baseline if self.shocks_in_baseline is None else self.shocks_in_baseline
        numbers: dict[str, Any] = {"replicates": DEFAULT_PAIRS} if policies or (shocks and not both) else {}
        numbers |= {**settings.numbers} | given(**{name: getattr(self, name) for name in NUMBER_KEYS})
        plan = WhatIf(
            settings.parameters, space=space, policies=policies, shocks=shocks, shocks_in_baseline=both, **numbers
        )
        plan.check()
        return plan


def given(**options: Any) -> dict[str, Any]:
    """Return the options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def _column(help: str, default: Any = None) -> Any:
    return option("COLUMN", help, panel=DATA, default=default)


def _ordered(text: str) -> tuple[str, list[str]]:
    """Return a column and its levels from low to high."""
    name, sign, levels = text.partition("=")
    if not (sign and name.strip() and "," in levels):
        raise ValueError("must be COLUMN=LOW,...,HIGH")
    return name.strip(), [level.strip() for level in levels.split(",")]


@dataclass(frozen=True)
class PoolOptions:
    """How a pool of settings is read."""

    objective: list[str] = _column(f"Column of a pool's objective{MORE}", ())
    goal: list[str] = one_of(
        f"Whether small or large values are sought{MORE} [default: max]", "min", "max", panel=DATA, default=()
    )
    unit: list[str] = option(
        "UNIT", f"Unit of the property{MORE} [default: name of its column]", panel=DATA, default=()
    )
    duplicates: str | None = option(
        "|".join(MERGING), "Merging of rows of the same composition. [default: mean]", None, lambda: MERGING, DATA
    )
    descriptors: str | None = option(
        "A,B,...", "Columns of a pool's settings. [default: all but those that count or name the rows]", panel=DATA
    )
    ordinal: list[Any] = option(
        "COLUMN=LOW,...,HIGH", f"Column of a pool whose levels have an order{MORE}", _ordered, panel=DATA, default=()
    )
    ignore: list[str] = option("COLUMN", f"Column of a pool to leave out{MORE}", panel=DATA, default=())
    drop: bool = option("--drop", "Leave out faulty rows instead of refusing the file.", panel=DATA, default=False)

    def settings_columns(self) -> dict[str, Any]:
        """Return how the settings of a pool are read, as far as it was given."""
        names = None if self.descriptors is None else [name.strip() for name in self.descriptors.split(",")]
        return given(descriptors=names, ordinal=dict(self.ordinal) or None, ignore=list(self.ignore) or None)

    def read(self, *, drop: bool | None = None, **columns: Any) -> MaterialsSpace:
        """Read a file: ``table`` or ``pool``, a path, with the columns and options that its reader takes."""
        from mpbf_abm.model.materials import MaterialsSpace

        drop = self.drop if drop is None else drop
        kind, read = ("table", MaterialsSpace.from_table) if "table" in columns else ("pool", MaterialsSpace.from_pool)
        try:
            return read(columns.pop(kind), **columns, goal=self.goal or "max", on_error="drop" if drop else "raise")
        except ConfigurationError as error:
            raise ConfigurationError([_as_options(fault) for fault in error.faults]) from None


@dataclass(frozen=True)
class DataOptions(PoolOptions):
    """How a table of formulas or a pool of settings is read."""

    formula: str | None = _column("Column of formulas.")
    measured: list[str] = _column(f"Column of the measured property{MORE}", ())
    simulated: list[str] = _column(f"Column of the simulated property, in the order of --measured{MORE}", ())
    year: str | None = _column("Column of the year of first report.")
    family: str | None = _column("Column of families. [default: by chemistry]")
    simulated_unit: list[str] = option(
        "UNIT", f"Unit of the simulated column{MORE} [default: that of --unit]", panel=DATA, default=()
    )

    def columns(self) -> dict[str, Any]:
        """Return the columns and options that were given."""
        named = {name: getattr(self, name) for name in ("objective", *OF_BOTH, *OF_TABLE)}
        return {name: value for name, value in named.items() if value not in (None, (), [])} | self.settings_columns()


OF_TABLE = ("formula", "measured", "simulated", "year", "family", "simulated_unit")
OF_POOL = ("descriptors", "ordinal", "ignore")
OF_BOTH = ("unit", "duplicates")
REPEATED = ("objective", "measured", "simulated", "goal", "unit", "simulated_unit")  # once for each property
NEEDS = (
    *(("table", (column,)) for column in ("formula", "measured")),
    *((name, ("table",)) for name in OF_TABLE),
    *((name, ("pool",)) for name in OF_POOL),
    *((name, ("table", "pool")) for name in (*OF_BOTH, "drop")),
    ("pool", ("objective",)),
    ("objective", ("pool",)),
)


@dataclass(frozen=True)
class DataFile(DataOptions):
    """Real data for a run, if a file is named."""

    table: Path | None = option("FILE", "Table of formulas (with --formula, --measured).", panel=DATA)
    pool: Path | None = option("FILE", "Pool of settings (with --objective; often with --preset pool).", panel=DATA)

    @cached_property
    def space(self) -> MaterialsSpace | None:
        """The materials of the file, or None without one."""
        options = self.columns() | given(table=self.table, pool=self.pool)
        asked = {*options, "drop"} if self.drop else {*options}
        faults = ["--table and --pool exclude each other"] * (asked >= {"table", "pool"})
        faults += [
            f"{flag(name)} needs {' or '.join(map(flag, needed))}"
            for name, needed in NEEDS
            if name in asked and not asked & {*needed}
        ]
        refuse_any(faults)
        return self.read(**options) if options else None


def flag(name: str) -> str:
    """Return the option of a field."""
    return f"--{name.replace('_', '-')}"


# Words of the reader in Python, as the command line has them.
WORDS = {"on_error='drop'": "--drop", "duplicates='mean'": "--duplicates mean", "duplicates = ": "--duplicates = "}
WORDS |= {"simulated_unit needs unit": "--simulated-unit needs --unit", "simulated_unit:": "--simulated-unit:"}
WORDS |= {"simulated_unit needs simulated": "--simulated-unit needs --simulated"}


def _as_options(fault: str) -> str:
    """Write a fault in the words of the command line."""
    for python, words in WORDS.items():
        fault = fault.replace(python, words)
    fault = re.sub(r"\bignore='([^']*)'", r"--ignore '\1'", fault)
    return f"--{fault}" if fault.startswith(tuple(f"{name}: " for name in (*OF_POOL, *REPEATED))) else fault
