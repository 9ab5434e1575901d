"""What agents share during a run: the one place that holds mutable state."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.learning.models import FoundationModel, Panel
from mpbf_abm.model.commons import Commons
from mpbf_abm.model.links import Infrastructure, Registry
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.parameters import Parameters
from mpbf_abm.streams import Streams

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]
Int = NDArray[np.int64]
Bool = NDArray[np.bool_]


@dataclass
class Truth:
    """Properties as nature (and simulation codes) have them now; shocks may replace them.

    Attributes
    ----------
    property, simulated : float32 (N,)
    top : bool (N,)
        The top set under the property in force.
    mad : float
        Median absolute deviation of the property.
    """

    property: Float32
    simulated: Float32
    top: Bool
    mad: float


@dataclass
class Results:
    """Experiments of one tick, one entry each.

    Attributes
    ----------
    planner, wave, family, material, model : int (E,)
        Row of the planner, number of the experiment within its planner's, what it chose, the model
        it used (-1 for none).
    predicted, claimed_sd : float32 (E,)
        The model's claim (NaN without a model).
    observed : float32 (E,)
        Measured value, NaN where the material could not be made.
    variance : float32 (E,)
        Claimed variance of the measurement.
    published : bool (E,)
    phi : list
        Features of the choice by model, for corrections.
    drift : float
        Mean signed error of chosen minus that of the candidates they were chosen from.
    proxy_gain : float
        Mean misaligned objective of chosen minus that of candidates.
    value_gain : float
        Mean true property of chosen minus that of candidates.
    distance : float
        Mean latent distance between a proposed optimum and the material that realised it.
    """

    planner: Int
    wave: Int
    family: Int
    material: Int
    model: Int
    predicted: Float32
    claimed_sd: Float32
    observed: Float32
    variance: Float32
    published: Bool
    phi: dict[int, tuple[Int, Float32]]
    drift: float = float("nan")
    proxy_gain: float = float("nan")
    value_gain: float = float("nan")
    distance: float = float("nan")

    def subset(self, rows: Bool) -> Results:
        """Return some experiments of the tick (without features)."""
        arrays = {
            name: getattr(self, name)[rows]
            for name in (
                "planner",
                "wave",
                "family",
                "material",
                "model",
                "predicted",
                "claimed_sd",
                "observed",
                "variance",
                "published",
            )
        }
        return replace(self, **arrays, phi={})


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
    found_by : int32 (N,)
        Tick at which a material of the top set was first measured and published after founding;
        -1 for not yet, -2 for known at founding.
    found_in : int (K,)
        Top-set materials of each family found since founding.
    existing : int
        How many there were to find.
    best_found : float
        Best true property among them.
    spent_before : int
        Tests before the present objective was set; finds per test are counted from there.
    founding_untested : int
        Feasible materials without a public measurement at founding.
    reference : float
        Best decile of the property at the start.
    experiments, experiments_before : int (K,)
        Experiments done in each family so far, and before this tick.
    collaborators : int (L, c)
        Rows of the planners whose track records each one sees, beside its own; -1 for isolated ones.
    health_repositories, health_models : float
        Health of each node, 0 to 1 (stocks).
    books : Books
        The flows of the stocks.
    """

    p: Parameters
    base: Parameters
    streams: Streams
    space: MaterialsSpace
    truth: Truth
    commons: Commons
    infrastructure: Infrastructure
    registry: Registry[FoundationModel]
    curators: Cohort
    trainers: Cohort
    planners: Cohort
    collaborators: Int
    health_repositories: Float
    health_models: Float
    books: Any = None
    tick: int = 0
    panel: Panel | None = None
    results: Results | None = None
    signals: Signals = field(default_factory=Signals)
    totals: Totals = field(default_factory=Totals)
    found_by: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    found_in: Int = field(default_factory=lambda: np.zeros(0, np.int64))
    existing: int = 0
    best_found: float = 0.0
    founding_untested: int = 0
    spent_before: int = 0
    reference: float = 0.0
    experiments: Int = field(default_factory=lambda: np.zeros(0, np.int64))
    experiments_before: Int = field(default_factory=lambda: np.zeros(0, np.int64))
    frequencies: dict[tuple[int, int], tuple[Float, Float32]] = field(default_factory=dict)
    ceilings: dict[tuple[int, int, float], float] = field(default_factory=dict)
    rules: dict[int, Any] = field(default_factory=dict)

    @property
    def found(self) -> int:
        """Top-set materials found since founding."""
        return int(self.found_in.sum())

    def models(self) -> list[tuple[int, FoundationModel]]:
        """Published models that are served now, with their trainer."""
        works = self.infrastructure.working_models()
        return [(i, m) for i, m in enumerate(self.registry.models) if m is not None and works[i]]

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


# --------------------------------------------------------------------------- cohort

# Cohorts: the state of all agents of one kind as columns. A rule acts on a cohort at once.


class Cohort:
    """Columns of one kind of agent.

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

    def __init__(self, kind: str, count: int, **columns: Any) -> None:
        self.kind = kind
        self.slots = np.arange(count, dtype=np.int64)
        self.columns: dict[str, NDArray[Any]] = {}
        for name, value in columns.items():
            array = np.asarray(value)
            self.columns[name] = np.full(count, array) if array.ndim == 0 else array.copy()

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
        """Draws of each agent, given by slot along the first axis."""
        return draws if self.in_order else draws[self._slots]

    def __getattr__(self, name: str) -> NDArray[Any]:
        columns = self.__dict__.get("columns")
        if columns is None or name not in columns:
            raise AttributeError(f"{self.__dict__.get('kind', 'cohort')} has no column '{name}'")
        column: NDArray[Any] = columns[name]
        return column

    def frame(self) -> dict[str, NDArray[Any]]:
        """Return the one-dimensional columns, as for a table of agents."""
        return {name: value for name, value in self.columns.items() if value.ndim == 1}
