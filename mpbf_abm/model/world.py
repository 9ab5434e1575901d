"""What agents share during a run: the one place that holds mutable state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, cast

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.arrays import Bool, Float, Float32, Int, fault_of_values
from mpbf_abm.errors import BookkeepingError, RuleError
from mpbf_abm.identity import name_of
from mpbf_abm.learning.models import FoundationModel, Panel
from mpbf_abm.model.commons import Commons, distinct
from mpbf_abm.model.links import Infrastructure, Registry
from mpbf_abm.model.materials import MaterialsSpace, Truth
from mpbf_abm.model.structures import Structures
from mpbf_abm.parameters import Parameters
from mpbf_abm.stats.estimates import Slope
from mpbf_abm.streams import Streams


@dataclass
class Experiments:
    """Experiments of one tick, one entry each.

    Attributes
    ----------
    planner, wave, family, material, property, model : int (E,)
        Row of the planner, number of the experiment within its planner's, what it chose, the property that it
        sought, the model it used (-1 for none).
    predicted, claimed_sd : float32 (E,)
        The model's claim (NaN without a model).
    observed : float32 (E,)
        Measured value, NaN where the material could not be made.
    variance : float32 (E,)
        Claimed variance of the measurement.
    lot : float (E,)
        Uniform number by which a result that nothing else decides on is published.
    phi : dict
        Features of the choice by model, for corrections: rows of experiments, and features.
    candidates : int (E, C)
        Materials among which was chosen.
    expected : float32 (E, C)
        Predicted means of the candidates (0 without a model).
    pick : int (E,)
        Which candidate was made.
    shift : float32 (E,)
        What the lab's adapter adds to its model's prediction.
    distance : float
        Mean latent distance between a proposed optimum and the material that realised it.
    published : bool (E,)
        Decided in phase couple.
    """

    planner: Int
    wave: Int
    family: Int
    material: Int
    property: Int
    model: Int
    predicted: Float32
    claimed_sd: Float32
    observed: Float32
    variance: Float32
    lot: Float
    phi: dict[int, tuple[Int, Float32]]
    candidates: Int
    expected: Float32
    pick: Int
    distance: float
    shift: Float32
    published: Bool = field(init=False)


@dataclass
class Signals:
    """Auxiliaries that one phase leaves for the next."""

    audit_share: float = 0.0
    measured_quota: float = 0.0
    acquisitions: Int = field(default_factory=lambda: np.zeros(3, np.int64))
    generated: int = 0


@dataclass
class Totals:
    """Counters over the run."""

    requested: int = 0
    done: int = 0
    infeasible: int = 0
    failed_retrainings: int = 0
    unsteered: int = 0
    measured_acquisitions: int = 0
    audits: int = 0
    outages: int = 0


@dataclass
class Discoveries:
    """Members of top sets that are found, and how many there are to find. With several properties these are pairs.

    Attributes
    ----------
    tick : int32 (T N,)
        Tick at which a material of the top set was first measured and published after founding;
        -1 for not yet, -2 for known at founding.
    by_family : int (K,)
        Top-set materials of each family found since founding.
    existing : int
        How many there were to find.
    untested : int
        Feasible materials without a public measurement of the property at founding.
    spent : int
        Tests before the present objective was set; discoveries per test are counted from there.
    best : float (T,)
        Best true value of each property among those found (0 before any).
    by_planners : int
        Found by an experiment of a planner; the others by curators, who measure too.
    learned : list of Slope (T)
        Log error on log labels of the models of each property published, each as it was then.
    """

    tick: NDArray[np.int32]
    by_family: Int
    existing: int
    untested: int
    spent: int
    best: Float
    learned: list[Slope]
    by_planners: int = 0

    @property
    def count(self) -> int:
        """Top-set materials found since founding."""
        return int(self.by_family.sum())


# --------------------------------------------------------------------------- columns of agents


@dataclass(frozen=True)
class Column:
    """One state variable of every agent of a kind, declared once.

    Attributes
    ----------
    help, unit : str
    start : value, parameter name or callable
        Value at founding: a number, or what a function of the parameters gives, broadcast to (n,) or (n, width).
    parameter : bool
        Whether the column starts at the parameter of its kind and name, and moves with it.
    width : callable, optional
        Length of the second axis, from the parameters.
    dtype : type
    """

    help: str
    unit: str = "1"
    start: Any = 0.0
    parameter: bool = False
    width: Callable[[Parameters], int] | None = None
    dtype: type = np.float64


def column(help: str, unit: str = "1", start: Any = 0.0, **more: Any) -> Any:
    """Declare a column in the body of a cohort; see :class:`Column`."""
    return Column(help, unit, start, **more)


class Cohort:
    """State of all agents of one kind as columns. A rule acts on a cohort at once.

    Attributes
    ----------
    slots : int (n,)
        Identity of each agent in keyed draws. Assign it anew to change it.
    in_order : bool
        Whether every agent's slot is its row.
    by_slot : int (n,)
        Rows in the order of slots.
    columns : dict of arrays, first axis n
    """

    kind: ClassVar[str] = ""
    declared: ClassVar[dict[str, Column]] = {}

    def __init_subclass__(cls) -> None:
        cls.declared = {name: value for name, value in vars(cls).items() if isinstance(value, Column)}
        for name in cls.declared:
            delattr(cls, name)

    def __init__(self, count: int, **columns: Any) -> None:
        self.slots = np.arange(count, dtype=np.int64)
        self.columns: dict[str, NDArray[Any]] = {}
        for name, value in columns.items():
            array = np.asarray(value)
            self.columns[name] = np.full(count, array) if array.ndim == 0 else array.copy()

    @classmethod
    def declare(cls, name: str, column: Column) -> None:
        """Add a column to every agent of this kind that is founded from now on.

        Raises
        ------
        ConfigurationError
            If there is one of that name.
        """
        cls.declared[name_of(column, name, f"column of {cls.kind}", cls.declared)] = column

    @classmethod
    def begin(cls, p: Parameters, count: int) -> Self:
        """Make the agents of a community with their columns as they start."""
        columns: dict[str, NDArray[Any]] = {}
        for name, c in cls.declared.items():
            path = f"{cls.kind}.{name}"
            start = p.value(path) if c.parameter else c.start(p) if callable(c.start) else c.start
            shape = (count,) if c.width is None else (count, c.width(p))
            columns[name] = np.array(np.broadcast_to(np.asarray(start, c.dtype), shape))
        return cls(count, **columns)

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def slots(self) -> NDArray[np.int64]:
        """Identity of each agent in keyed draws (n,)."""
        return self._slots

    @slots.setter
    def slots(self, slots: NDArray[np.int64]) -> None:
        self._slots = slots
        self.by_slot = np.argsort(slots)
        self.in_order = bool((self.by_slot == np.arange(len(slots))).all())

    def by_row(self, draws: NDArray[Any]) -> NDArray[Any]:
        """Return draws of each agent, given by slot along the first axis."""
        return draws if self.in_order else draws[self._slots]

    def __getattr__(self, name: str) -> NDArray[Any]:
        columns: dict[str, NDArray[Any]] = self.__dict__.get("columns", {})
        if name not in columns:
            raise AttributeError(f"{self.kind or 'cohort'} have no column '{name}'")
        return columns[name]

    def frame(self) -> dict[str, NDArray[Any]]:
        """Return the one-dimensional columns, as for a table of agents."""
        return {name: value for name, value in self.columns.items() if value.ndim == 1}


class Curators(Cohort):
    """Columns of all curators."""

    kind = "curators"
    exploration: Float = column("eps of its attention", parameter=True)
    reinforcement: Float = column("gamma of its attention", parameter=True)
    repository: Int = column(
        "repository it runs: row number modulo R",
        "row",
        dtype=np.int64,
        start=lambda p: np.arange(p.curators.count) % p.infrastructure.repositories,
    )
    credit: Float = column("budget for acquisition that is unspent", "records")
    audit_credit: Float = column("budget for audits that is unspent", "records")


class Trainers(Cohort):
    """Columns of all trainers."""

    kind = "trainers"
    scale: Float = column("pretraining scale P that it wants", parameter=True)
    invariance: Float = column("invariance I of its architecture", parameter=True)
    compute: Float = column("stock of compute", "compute units", lambda p: max(p.stocks.compute, p.trainers.scale))
    spent: Float = column("compute that this tick's retraining took", "compute units")
    last_tradeoff: Float = column("trade-off measured at the last retraining", "index", np.nan)
    last_direction: Float = column("direction of its last change of scale", "sign", 1.0)


class Planners(Cohort):
    """Columns of all planners."""

    kind = "planners"
    property: Int = column("property that it seeks", "number", 0, dtype=np.int64)
    exploration: Float = column("eps of its attention", parameter=True)
    reinforcement: Float = column("gamma of its attention", parameter=True)
    budget: Int = column("whole experiments of this tick", "experiments", 0, dtype=np.int64)
    funding: Float = column("stock of funding that is left over", "experiments")
    attention: Float = column(
        "stock of attention", "candidates", lambda p: min(p.stocks.attention, p.stocks.attention_cap)
    )
    judged: Float = column("attention that this tick's choices took", "candidates")
    claims: Float = column("decaying count of published results above the threshold", "discoveries")
    best_value: Float = column("best result of the planner itself", "sd", -np.inf)
    best_material: Int = column("material of that result, -1 before any", "row", -1, dtype=np.int64)
    hits: Float = column(
        "decaying count of tests inside each model's interval", "tests", width=lambda p: p.trainers.count
    )
    misses: Float = column("decaying count of tests outside it", "tests", width=lambda p: p.trainers.count)


@dataclass
class Books:
    """Opening totals and flows of each stock, and the check that they balance.

    Attributes
    ----------
    opening : dict
        Total of each stock when the tick began.
    flows : dict of dict
        ``flows[stock][name]``: signed total of each named flow in this tick.
    """

    opening: dict[str, float] = field(default_factory=dict)
    flows: dict[str, dict[str, float]] = field(default_factory=dict)

    def open(self, **totals: float) -> None:
        """Begin a tick with the present totals."""
        self.opening = totals
        self.flows = {stock: {} for stock in totals}

    def flow(self, stock: str, name: str, amount: float) -> None:
        """Enter a flow; outflows are negative."""
        self.flows[stock][name] = self.flows[stock].get(name, 0.0) + amount

    def check(self, **totals: float) -> None:
        """Raise unless every closing total equals the opening total plus its flows."""
        for stock, total in totals.items():
            expected = self.opening[stock] + sum(self.flows[stock].values())
            if not abs(total - expected) <= 1e-6 * (1.0 + abs(expected)):  # NaN does not balance either
                raise BookkeepingError(
                    f"stock '{stock}' closed at {total:.9g}; its flows make {expected:.9g} "
                    f"(opening {self.opening[stock]:.9g}, flows {self.flows[stock]})"
                )


@dataclass
class World:
    """Parameters in force, streams, space and every piece of mutable state.

    Attributes
    ----------
    p : Parameters
        Parameters in force at this tick (policies change them).
    base : Parameters
        Parameters the run was started with.
    tick : int
        Current tick, from 0.
    discoveries : Discoveries
        Top-set materials found since founding, and what there was to find.
    structures : Structures
        Unlabelled records, for encoders alone.
    reference : float (T,)
        Best decile of each property at the start.
    revealed_at, choices : int (K,), int
        Number of the choice that revealed each family (0 open from the start, -1 dormant), and of choices so far.
    experiments, experiments_before : int (K,)
        Experiments done in each family so far, and before this tick.
    collaborators : int (L, c)
        Rows of the planners whose track records each one sees, beside its own.
    health_repositories, health_models : float
        Health of each node, 0 to 1 (stocks).
    books : Books
        The flows of the stocks.
    training : list of (int, int, dict)
        Models in training: the tick at which they are published, their trainer, and they by property.
    adapters : dict of int to Adapter
        What labs have learned of their models' errors, by row (:mod:`mpbf_abm.model.adapters`).
    rules : dict
        Agents with a custom rule, by kind and row.
    compared : dict
        What comparisons of models keep until a model is replaced; nothing follows from it.
    specialisation : float (R, K), optional
        Weights of families in repositories, set at founding; None where all repositories are alike.
    """

    p: Parameters
    base: Parameters
    streams: Streams
    space: MaterialsSpace
    truth: Truth
    commons: Commons
    infrastructure: Infrastructure
    registry: Registry[FoundationModel]
    curators: Curators
    trainers: Trainers
    planners: Planners
    collaborators: Int
    health_repositories: Float
    health_models: Float
    discoveries: Discoveries = field(init=False)
    structures: Structures = field(default_factory=Structures)
    books: Books = field(default_factory=Books)
    tick: int = 0
    panel: Panel | None = None
    results: Experiments | None = None
    signals: Signals = field(default_factory=Signals)
    totals: Totals = field(default_factory=Totals)
    reference: Float = field(default_factory=lambda: np.zeros(1))
    revealed_at: Int = field(default_factory=lambda: np.zeros(0, np.int64))
    choices: int = 0
    experiments: Int = field(default_factory=lambda: np.zeros(0, np.int64))
    experiments_before: Int = field(default_factory=lambda: np.zeros(0, np.int64))
    frequencies: dict[tuple[int, int], tuple[Float, Float32]] = field(default_factory=dict)
    widths: dict[int, float] = field(default_factory=dict)
    ceilings: dict[tuple[int, int, float], float] = field(default_factory=dict)
    training: list[tuple[int, int, dict[int, FoundationModel]]] = field(default_factory=list)
    adapters: dict[int, Any] = field(default_factory=dict)
    rules: dict[str, dict[int, Any]] = field(default_factory=dict)
    compared: dict[Any, Any] = field(default_factory=dict)
    specialisation: Float | None = None

    @property
    def cohorts(self) -> dict[str, Cohort]:
        """Agents by kind."""
        return {c.kind: c for c in (self.curators, self.trainers, self.planners)}

    def own(self, kind: str) -> dict[int, Any]:
        """Return agents of a kind that have a custom rule, by row."""
        return self.rules.get(kind, {})

    def models(self) -> list[tuple[int, FoundationModel]]:
        """Published models that are served now, with their number in the registry."""
        works = self.infrastructure.working_models()
        return [(i, m) for i, m in enumerate(self.registry.models) if m is not None and works[i % len(works)]]

    def model_in_use(self) -> Int:
        """Number in the registry of the model that each planner uses, -1 for none (L,)."""
        trainer = self.infrastructure.model_in_use()
        if self.space.properties == 1:
            return trainer
        return np.where(trainer >= 0, self.planners.property * len(self.trainers) + trainer, trainer)

    def uniform(self, decision: str, cohort: Cohort, width: int) -> Float:
        """Keyed uniform draws for every agent of a cohort (n, width)."""
        return cohort.by_row(self.streams.uniform(decision, self.tick, (len(cohort), width)))

    def clocks(self, decision: str, cohort: Cohort, options: int) -> Float:
        """Keyed exponential clocks of every agent for options identified by number (n, options)."""
        return cohort.by_row(self.streams.exponential(decision, self.tick, (len(cohort), options)))

    def family_clocks(self, decision: str, cohort: Cohort) -> Float:
        """Keyed exponential clocks of every agent for every family (n, K)."""
        clocks = self.clocks(decision, cohort, self.space.families)
        return clocks if self.space.keys_in_order else clocks[:, self.space.family_keys]


# --------------------------------------------------------------------------- agents as views of rows

# An agent's attribute reads and writes its row, so inspection, custom subclasses and vectorised
# rules always agree.


class CohortAgent:
    """A view of one row of a cohort; every column of the cohort is an attribute.

    Parameters
    ----------
    model : Community
        Whose world the agent lives in.
    row : int
    """

    cohort_type: ClassVar[type[Cohort]] = Cohort

    def __init__(self, model: Any, row: int) -> None:
        self.model = model
        self.row = row

    @property
    def world(self) -> World:
        """What agents share: space, commons, registry, infrastructure."""
        return cast(World, self.model.world)

    @property
    def cohort(self) -> Cohort:
        """All agents of this kind, as columns."""
        return self.world.cohorts[self.cohort_type.kind]

    @property
    def slot(self) -> int:
        """Identity of this agent in keyed draws."""
        return int(self.cohort.slots[self.row])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in type(self).cohort_type.declared:
            raise AttributeError(f"{type(self).__name__} has no attribute '{name}'")
        value = self.cohort.columns[name][self.row]
        return value.item() if np.ndim(value) == 0 else value

    def __setattr__(self, name: str, value: Any) -> None:
        if name in type(self).cohort_type.declared:
            self.cohort.columns[name][self.row] = value
        else:
            super().__setattr__(name, value)


# What rules of the user return. These are no methods, so that a rule may have any other method it likes.


def checked(agent: CohortAgent, method: str, value: Any, like: NDArray[Any], least: float = -np.inf) -> NDArray[Any]:
    """Return what a method of an agent gave, as an array of the type of another.

    Raises
    ------
    RuleError
        If it has not its shape, or holds what is no finite number or is below `least`.
    """
    if fault := fault_of_values(value, like.shape, least):
        raise RuleError(f"{said_by(agent, method)} returned {fault}")
    return np.asarray(value, like.dtype)


def checked_rows(agent: CohortAgent, method: str, value: Any, among: Int) -> Int:
    """Return rows that a method of an agent chose among others, each once.

    Raises
    ------
    RuleError
        If they are no list of whole numbers, or others than these.
    """
    try:
        rows = np.asarray(value)
    except ValueError:
        rows = np.asarray(None)
    if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
        fault = f"{type(value).__name__} ({rows.dtype}, shape {rows.shape}) instead of a list of rows"
    elif strange := int((~np.isin(rows, among)).sum()):
        fault = f"{strange} of {len(rows)} rows that are not among those given"
    else:
        return np.unique(rows.astype(np.int64))
    raise RuleError(f"{said_by(agent, method)} returned {fault}")


def said_by(agent: CohortAgent, method: str) -> str:
    """Return how messages call a method of an agent at this tick."""
    kind = agent.cohort_type.kind.removesuffix("s")
    return f"{type(agent).__name__}.{method} (tick {agent.world.tick}, {kind} {agent.slot})"


# --------------------------------------------------------------------------- discoveries

# Which materials of the top set are found, and when, since founding or since a new objective.

NOT_YET, KNOWN = -1, -2


def start_counting(world: World) -> None:
    """Count from now on: what is known already is no discovery."""
    known, totals = world.commons.tested, world.totals
    world.discoveries = Discoveries(
        tick=np.where(known, KNOWN, NOT_YET).astype(np.int32),
        by_family=np.zeros(world.space.families, np.int64),
        existing=int((world.truth.top & ~known).sum()),
        untested=int((world.space.feasible & ~world.space.by_property(known)).sum()),
        spent=totals.done + totals.measured_acquisitions,
        best=np.zeros(world.space.properties),
        learned=[Slope() for _ in range(world.space.properties)],
    )


def note_discoveries(world: World, pairs: NDArray[np.int64]) -> int:
    """Note which of the pairs measured in public are of a top set and new; return how many."""
    if not len(pairs):
        return 0
    d, truth, space = world.discoveries, world.truth, world.space
    top = pairs[truth.top[pairs] & space.feasible[pairs % space.size]]
    fresh = distinct(top[d.tick[top] == NOT_YET])
    if len(fresh):
        d.tick[fresh] = world.tick
        np.add.at(d.by_family, space.cells(fresh) % space.families, 1)
        np.maximum.at(d.best, fresh // space.size, truth.property[fresh])
    return len(fresh)
