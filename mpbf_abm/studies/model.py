"""One run of a study as a pure function: from a job to a record that can be stored and compared.

Runs in workers. Nothing that is kept between runs (spaces, snapshots of shared histories) changes a result.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
import traceback
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.errors import ConfigurationError, InterruptionError, words_of
from mpbf_abm.interventions import Policy, Shock
from mpbf_abm.studies.definition import Arm, Measure, Study
from mpbf_abm.studies.values import pack_value
from mpbf_abm.workers import one_process

if TYPE_CHECKING:
    from mpbf_abm.ecosystem import Ecosystem, Snapshot
    from mpbf_abm.parameters import Parameters
    from mpbf_abm.space.materials import MaterialsSpace

Float = NDArray[np.float64]
Observed = dict[int, dict[str, float]]
V = TypeVar("V")

KEPT_SPACES = 3
KEPT_HISTORIES = 2
NAN = struct.pack(">d", math.nan)


class Job(NamedTuple):
    """One run to be made: its id, its place in the plan, its draws."""

    id: str
    scenario: int
    arm: int
    replicate: int
    seed: int
    history: int
    values: tuple[Any, ...]


@dataclass(frozen=True)
class RunInput:
    """What a model of one's own is called with.

    Attributes
    ----------
    values : dict
        Parameters of the run by name: fixed ones, the scenario's, the arm's.
    arm : str
        Label of the arm.
    policies, shocks : tuples
    seed : int
        Every draw should follow from it; arms of a scenario share it.
    replicate, ticks : int
    series : tuple of str
        Quantities to return along the run, in this order, at `kept` ticks.
    kept : list of int
    space : MaterialsSpace, optional
        Materials that all runs share, if there are such.
    """

    values: Mapping[str, Any]
    arm: str
    policies: tuple[Policy, ...]
    shocks: tuple[Shock, ...]
    seed: int
    replicate: int
    ticks: int
    series: tuple[str, ...]
    kept: list[int]
    space: MaterialsSpace | None = None


@dataclass(frozen=True)
class Record:
    """What is kept of a finished run.

    Attributes
    ----------
    outcomes : str
        JSON object of numbers; null is NaN.
    series : bytes or None
        Compressed float64 array (ticks, quantities).
    hash, series_hash : str
        Of outcomes and of series, bit for bit; empty without series.
    tables : dict of str to bytes
        Whatever else is kept, by name (:func:`~mpbf_abm.studies.values.pack_value`).
    """

    outcomes: str
    series: bytes | None
    hash: str
    series_hash: str
    tables: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Returned:
    """What a model of one's own may return where numbers are not enough.

    Attributes
    ----------
    outcomes : mapping of str to float
    series : float array (ticks, quantities), optional
    tables : mapping of str to object
        Anything that :func:`~mpbf_abm.studies.values.pack_value` takes, by name.
    """

    outcomes: Mapping[str, float] = field(default_factory=dict)
    series: Float | None = None
    tables: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """A run that raised, and where."""

    stage: str
    type: str
    message: str
    traceback: str = ""


# --------------------------------------------------------------------------- records


def pack(outcomes: Mapping[str, float], series: Float | None = None, tables: Mapping[str, Any] | None = None) -> Record:
    """Make the record of a run; outcomes and tables in the order of their names."""
    named = {name: float(outcomes[name]) for name in sorted(outcomes)}
    data = None if series is None else zlib.compress(_bytes(series), 1)
    kept = {name: pack_value(value) for name, value in sorted((tables or {}).items())}
    return Record(
        outcomes_text(named), data, outcomes_hash(named), "" if series is None else hash_bytes(_bytes(series)), kept
    )


def outcomes_text(outcomes: Mapping[str, float]) -> str:
    """Outcomes as a JSON object; NaN is null, and JSON has no infinity, but numbers that are read as one."""
    return "{" + ",".join(f"{json.dumps(name)}:{_number(value)}" for name, value in outcomes.items()) + "}"


def unpack_outcomes(text: str) -> dict[str, float]:
    """Outcomes of a record; null is NaN."""
    return {name: math.nan if value is None else float(value) for name, value in json.loads(text).items()}


def unpack_series(data: bytes, quantities: int) -> Float:
    """Series of a record (ticks, quantities)."""
    return np.frombuffer(zlib.decompress(data), "<f8").reshape(-1, quantities)


def outcomes_hash(outcomes: Mapping[str, float]) -> str:
    """Hash of a run's outcomes: equal for equal bits, whatever machine or engine made it."""
    parts = [
        name.encode() + (NAN if math.isnan(value) else struct.pack(">d", value)) for name, value in outcomes.items()
    ]
    return hash_bytes(b"".join(parts))


def hash_bytes(data: bytes) -> str:
    """Hash of some bytes, in 32 hexadecimal digits."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _number(value: float) -> str:
    return "null" if math.isnan(value) else ("1e999" if value > 0 else "-1e999") if math.isinf(value) else repr(value)


def _bytes(series: Float) -> bytes:
    return np.ascontiguousarray(series, "<f8").tobytes()


# --------------------------------------------------------------------------- a run


class Runner:
    """Makes the runs of a study; a worker holds one.

    Parameters
    ----------
    study : Study
    space : MaterialsSpace, optional
        Materials that all runs share.
    """

    def __init__(self, study: Study, space: MaterialsSpace | None = None) -> None:
        self.study, self.space = study, space
        self.debug = False  # open the debugger where a run raises

    def __call__(self, job: Job) -> Record | Failure:
        """Make one run; what it raises is its result, but for memory (its limits are the pool's business)."""
        self.stage = "parameters"
        try:
            # A model may fork; what goes on there is no run.
            with one_process():
                made = self._own(job) if self.study.model is not None else self._ecosystem(job)
            self.stage = "outcomes"
            return pack(made.outcomes, made.series, made.tables)
        except (MemoryError, InterruptionError):
            raise
        except BaseException as error:  # noqa: BLE001 (a run that raises is a result)
            if self.debug:
                import pdb  # noqa: T100 (asked for)

                pdb.post_mortem(error.__traceback__)
            return Failure(self.stage, type(error).__name__, words_of(error), traceback.format_exc())

    @cached_property
    def _kept(self) -> list[int]:
        return self.study.series.ticks(self.study.ticks)

    def values(self, job: Job) -> dict[str, Any]:
        """Parameters of a run that differ from the preset, by name."""
        return run_values(self.study, job.values, self.study.arms[job.arm])

    def _own(self, job: Job) -> Returned:
        """Run a model of the user's."""
        study, arm = self.study, self.study.arms[job.arm]
        given = RunInput(
            self.values(job), arm.label, arm.policies, (*study.shocks, *arm.shocks), job.seed, job.replicate, study.ticks,
            study.series.of, self._kept, self.space,
        )  # fmt: skip
        self.stage = "run"
        result = study.model(given) if study.model is not None else {}
        made = (
            result
            if isinstance(result, Returned)
            else Returned(*result)
            if isinstance(result, tuple)
            else Returned(result)
        )
        outcomes, series = made.outcomes, made.series
        self.stage = "outcomes"
        if series is not None:
            series = np.asarray(series, np.float64)
            shape = len(self._kept), len(study.series.of)
            if series.shape != shape:
                raise ValueError(f"series must have shape {shape}, stored ticks by quantities, not {series.shape}")
        elif study.series.of:
            raise ValueError("the study stores series, but the model returned none")
        missing = [m for name, o in study.outcomes.items() if (m := o.measure(name).key) not in outcomes]
        if missing:
            raise ValueError(f"the model returned no outcome '{missing[0]}'")
        return Returned(outcomes, series, made.tables)

    # ------------------------------------------------------------------ the ecosystem

    def _ecosystem(self, job: Job) -> Returned:
        from mpbf_abm.simulation import check_horizon, summarise
        from mpbf_abm.threads import one_thread

        study, arm = self.study, self.study.arms[job.arm]
        parameters = resolve(study, self.values(job))
        self.stage = "founding"
        with one_thread():
            eco, seen = self._begin(job, parameters, arm)
            try:
                check_horizon(parameters, eco.world.space.size, study.ticks)
                self.stage = "run"
                self._follow(eco, study.ticks, seen)
                self.stage = "outcomes"
                end = summarise(eco)
            finally:
                eco.release()
        outcomes = end | {m.key: measured(m, seen, study.ticks) for m in study.measures}
        series = None
        if study.series.of:
            series = np.array([[seen[t][name] for name in study.series.of] for t in self._kept], np.float64)
        return Returned(outcomes, series)

    @cached_property
    def _watched(self) -> frozenset[int]:
        """Ticks at which the community is looked at."""
        return frozenset(self._kept).union(*(m.ticks(self.study.ticks) for m in self.study.measures))

    def _follow(self, eco: Ecosystem, until: int, seen: Observed) -> None:
        """Step to a tick, and note what the study wants to see on the way."""
        from mpbf_abm.simulation import summarise

        while eco.tick < until:
            eco.step()
            if eco.tick - 1 in self._watched:
                seen[eco.tick - 1] = summarise(eco)

    def _begin(self, job: Job, p: Parameters, arm: Arm) -> tuple[Ecosystem, Observed]:
        """A new community, or one restored at the branch."""
        from mpbf_abm.ecosystem import Ecosystem

        study = self.study
        shocks = (*study.shocks, *arm.shocks)
        if study.branch is None:
            space = self._space(p, job.seed)
            return Ecosystem(p, job.seed, policies=arm.policies, shocks=shocks, space=space, record=()), {}
        one = study.branch.history == "one"
        snapshot, seen = self._history(p, job.history if one else job.seed)
        reseed = {study.branch.tick: job.seed} if one else None
        return Ecosystem.restore(snapshot, policies=arm.policies, shocks=shocks, reseed=reseed), dict(seen)

    def _history(self, p: Parameters, seed: int) -> tuple[Snapshot, Observed]:
        """Snapshot of the baseline at the branch, and what was seen before it."""
        from mpbf_abm.ecosystem import Ecosystem

        def live() -> tuple[Snapshot, Observed]:
            seen: Observed = {}
            eco = Ecosystem(p, seed, shocks=self.study.shocks, space=self._space(p, seed), record=())
            try:
                self._follow(eco, self.study.branch.tick if self.study.branch else 0, seen)
                return eco.snapshot(), seen
            finally:
                eco.release()

        return self._keep("histories", (repr(p), seed), live, KEPT_HISTORIES)

    def _space(self, p: Parameters, seed: int) -> MaterialsSpace:
        """Materials: shared ones, or those of this seed, which arms have in common."""
        from mpbf_abm.space.materials import MaterialsSpace

        if self.space is not None:
            return self.space
        return self._keep("spaces", (repr(p.space), seed), lambda: MaterialsSpace.synthetic(p, seed=seed), KEPT_SPACES)

    def _keep(self, what: str, key: Any, make: Callable[[], V], most: int) -> V:
        """Value made for a key, the last few of which are kept."""
        kept: dict[Any, V] = self.__dict__.setdefault(f"_kept_{what}", {})
        if key in kept:
            kept[key] = kept.pop(key)
        else:
            kept[key] = make()
            while len(kept) > most:
                del kept[next(iter(kept))]
        return kept[key]

    def __getstate__(self) -> dict[str, Any]:
        return {"study": self.study, "space": self.space, "debug": False}


def run_values(study: Study, values: Sequence[Any], arm: Arm) -> dict[str, Any]:
    """Parameters of a run that differ from the preset: fixed ones, the arm's, the scenario's."""
    out = study.fixed | arm.parameters
    for factor, value in zip(study.factors, values, strict=True):
        out |= dict.fromkeys(factor.targets, value)
    return out


def resolve(study: Study, values: Mapping[str, Any]) -> Parameters:
    """All parameters of a run."""
    from mpbf_abm.parameters import Parameters

    return Parameters.preset(study.preset).updated(values)


def measured(measure: Measure, seen: Observed, horizon: int) -> float:
    """Value of a measure from what was seen; NaN where a tick has none."""
    values = [seen[t][measure.quantity] for t in measure.ticks(horizon)]
    if any(math.isnan(v) for v in values):
        return math.nan
    if measure.over == "mean":
        return math.fsum(values) / len(values)
    return {"min": min(values), "max": max(values), "end": values[-1]}[measure.over]


def known_quantities(study: Study) -> tuple[str, ...]:
    """Quantities of the ecosystem that outcomes and series can name; none are known of a model of one's own."""
    if study.own_model:
        return ()
    from mpbf_abm.simulation import OUTCOMES

    return OUTCOMES


def check_resolved(study: Study, values: Mapping[str, Any], space: MaterialsSpace | None) -> None:
    """Check that a run could begin: parameters, their fit to the materials, the policies in force."""
    from mpbf_abm.founding import check_fit
    from mpbf_abm.simulation import check_horizon

    p = resolve(study, values)
    if space is None:
        size, families, year = p.space.materials, p.space.families, None
    else:
        size, families, year = space.size, space.families, space.year
    faults: list[str] = []
    for check in (partial(check_fit, p, size, families, year), partial(check_horizon, p, size, study.ticks)):
        try:
            check()
        except ConfigurationError as error:
            faults += error.faults
    if faults:
        raise ConfigurationError(faults)
