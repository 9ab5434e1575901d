"""One run of a study as a pure function: from a job to a record that can be stored and compared.

Runs in workers. Nothing that is kept between runs (spaces, snapshots of shared histories) changes a result.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import numbers
import struct
import traceback
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from mpbf_abm.arrays import Float
from mpbf_abm.errors import InterruptionError, private, words_of
from mpbf_abm.identity import own_modules
from mpbf_abm.measures.networks import tick_flows
from mpbf_abm.model.community import Community, Snapshot
from mpbf_abm.model.interventions import Policy
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.model.run import begin, families_table, outcome_names, summarise
from mpbf_abm.model.shocks import Shock
from mpbf_abm.model.spec import RunSpec
from mpbf_abm.parameters import Parameters
from mpbf_abm.processes import one_process, one_thread
from mpbf_abm.provenance import DEFAULT_SEED
from mpbf_abm.studies.definition import Arm, Measure, Recording, StudyDefinition

if TYPE_CHECKING:
    import pandas as pd

Observed = dict[int, dict[str, float]]
V = TypeVar("V")

KEPT_SPACES = 3
KEPT_HISTORIES = 2
NAN = struct.pack(">d", math.nan)


class Job(NamedTuple):
    """One run to be made: its id, its place in the plan, its draws; what is noted beside what the study asks for."""

    id: str
    scenario: int
    arm: int
    replicate: int
    seed: int
    history: int
    values: tuple[Any, ...]
    also: Recording = Recording()


@dataclass(frozen=True)
class RunInput:
    """What a custom model is called with.

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
        Whatever else is kept, by name (:func:`~mpbf_abm.studies.jobs.pack_value`).
    """

    outcomes: str
    series: bytes | None
    hash: str
    series_hash: str
    tables: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Returned:
    """What a custom model may return where numbers are not enough.

    Attributes
    ----------
    outcomes : mapping of str to float
    series : float array (ticks, quantities), optional
    tables : mapping of str to object
        Anything that :func:`~mpbf_abm.studies.jobs.pack_value` takes, by name.
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


def _outcome(name: str, value: Any) -> float:
    """Return an outcome that a model of the user gave, as a number; NaN is a missing one."""
    if isinstance(value, numbers.Real) or (np.ndim(value) == 0 and np.asarray(value).dtype.kind in "biuf"):
        return float(value)
    raise TypeError(f"the model must return a dict of numbers; '{name}' is {type(value).__name__}")


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


# --------------------------------------------------------------------------- values

# Values as bytes: nested lists, mappings, arrays and tables, to JSON and raw arrays and back, bit for bit. Nothing is
# ever unpickled.

HEAD = 8  # bytes that say how long the JSON is


def pack_value(value: Any) -> bytes:
    """Turn a value into compressed bytes.

    Parameters
    ----------
    value : object
        None, truth values, whole numbers, floats (NaN and infinities, too), text, NumPy arrays and scalars that hold no
        objects, pandas tables, and lists, tuples and dicts of all of them.

    Raises
    ------
    TypeError
        For anything else.
    """
    arrays: list[np.ndarray[Any, Any]] = []
    text = json.dumps(_packed(value, arrays), separators=(",", ":")).encode()
    raw = b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)
    return zlib.compress(len(text).to_bytes(HEAD, "big") + text + raw, 1)


def unpack_value(data: bytes) -> Any:
    """Turn bytes of :func:`pack_value` back into the value.

    Raises
    ------
    ValueError
        If they are not such bytes.
    """
    try:
        raw = zlib.decompress(data)
        start = HEAD + int.from_bytes(raw[:HEAD], "big")
        return _Values(raw, start).value(json.loads(raw[HEAD:start]))
    except (zlib.error, TypeError, LookupError, RecursionError, SyntaxError, MemoryError, OverflowError) as error:
        raise ValueError(f"is no stored value ({error})") from None


def _packed(value: Any, arrays: list[np.ndarray[Any, Any]]) -> Any:
    """JSON of a value; arrays are put aside in the order in which they are named."""
    if value is None or type(value) in (bool, float, str):
        return value
    if type(value) is int:
        if abs(value) >> 4_096:
            raise TypeError("a whole number of more than 4,096 bits cannot be stored")
        return value
    if isinstance(value, (np.ndarray, np.generic)):
        return _packed_array(value, arrays)
    if isinstance(value, (list, tuple)):
        return {type(value).__name__ if type(value) in (list, tuple) else "tuple": [_packed(v, arrays) for v in value]}
    if isinstance(value, dict):
        return {"dict": [[_packed(k, arrays), _packed(v, arrays)] for k, v in value.items()]}
    return _packed_table(value, arrays)


def _packed_array(value: Any, arrays: list[np.ndarray[Any, Any]]) -> Any:
    array = np.asarray(value)
    if array.dtype.kind != "O":
        if array.dtype.kind == "V" or array.dtype.hasobject:
            raise TypeError(f"an array of {array.dtype} cannot be stored")
        arrays.append(array)
        return {"scalar" if isinstance(value, np.generic) else "array": [array.dtype.str, list(array.shape)]}
    if array.ndim != 1:
        raise TypeError("an array of objects cannot be stored")
    return {"objects": [_packed(v, arrays) for v in array.tolist()]}


def _packed_table(value: Any, arrays: list[np.ndarray[Any, Any]]) -> Any:
    import pandas as pd

    if not isinstance(value, pd.DataFrame):
        raise TypeError(f"a {type(value).__name__} cannot be stored")
    indices = (value.columns, value.index)
    own = "of a kind of pandas' own, cannot be stored"
    if any(isinstance(index, pd.MultiIndex) or not _is_plain(index.dtype) for index in indices):
        raise TypeError(f"a table whose rows or columns have several names, or names {own}")
    if not value.columns.is_unique or not all(map(_is_plain, value.dtypes)):
        raise TypeError(f"a table with columns of one name, or {own}")
    # Columns are put aside before the names of columns and rows.
    columns = [_column(value[name], arrays) for name in value.columns]
    return {"table": [*(_index(index, arrays) for index in indices), columns]}


def _is_plain(dtype: Any) -> bool:
    """Whether a type of a column is one of NumPy, or that of text."""
    return isinstance(dtype, np.dtype) or _is_text(dtype)


def _is_text(dtype: Any) -> bool:
    """Whether a type of a column is pandas' own for text."""
    return str(dtype) == "str"


def _index(index: pd.Index[Any], arrays: list[np.ndarray[Any, Any]]) -> Any:
    """Return JSON of the names of columns or rows: a count where they are numbered."""
    import pandas as pd

    if isinstance(index, pd.RangeIndex) and (index.start, index.step, index.name) == (0, 1, None):
        return len(index)
    return [_packed(index.name, arrays), _column(index, arrays)]


def _column(values: pd.Series[Any] | pd.Index[Any], arrays: list[np.ndarray[Any, Any]]) -> Any:
    """Return JSON of a column: whether it is text, and its values."""
    text = _is_text(values.dtype)
    return [text, _packed(values.to_numpy(object if text else None), arrays)]


def _objects(values: Iterable[Any]) -> np.ndarray[Any, Any]:
    """Return an array of objects, whatever they are."""
    held = list(values)
    out = np.empty(len(held), object)
    out[:] = held
    return out


SEQUENCES: dict[str, Callable[[Iterable[Any]], Any]] = {"objects": _objects, "list": list, "tuple": tuple}


class _Values:
    """Reads values; arrays are taken from the raw bytes in order."""

    def __init__(self, raw: bytes, start: int) -> None:
        self.raw, self.at = raw, start

    def value(self, found: Any) -> Any:
        if not isinstance(found, dict):
            return found
        ((kind, content),) = found.items()
        match kind:
            case "array":
                return self._array(*content)
            case "scalar":
                return self._array(*content)[()]
            case "objects" | "list" | "tuple":
                return SEQUENCES[kind](map(self.value, content))
            case "dict":
                return {self.value(k): self.value(v) for k, v in content}
            case "table":
                return self._table(*content)
        raise ValueError(f"unknown kind '{kind}'")

    def _array(self, kind: Any, sizes: Any) -> np.ndarray[Any, Any]:
        """Return the next array that was put aside."""
        dtype, shape = np.dtype(kind), tuple(sizes)
        if dtype.hasobject or any(n < 0 for n in shape):
            raise ValueError("an array of objects, or of no shape")
        count = int(np.prod(shape, dtype=np.int64))
        array = np.frombuffer(self.raw, dtype, count, self.at).reshape(shape).copy()
        self.at += count * dtype.itemsize
        return array

    def _table(self, names: Any, rows: Any, columns: list[Any]) -> pd.DataFrame:
        import pandas as pd

        # Arrays come in the order in which they were put aside: columns, then names of columns and rows.
        values = [(self.value(data), "str" if text else None) for text, data in columns]
        head, index = self._names(names), self._names(rows)
        # Objects stay objects, whatever they are.
        series = [pd.Series(v, index=index, dtype=dtype or v.dtype) for v, dtype in values]
        table = pd.DataFrame(dict(enumerate(series)), index=index)
        table.columns = head
        return table

    def _names(self, found: Any) -> pd.Index[Any]:
        import pandas as pd

        if isinstance(found, int):
            if found < 0:
                raise ValueError("a table of fewer than no rows")
            return pd.RangeIndex(found)
        name, (text, data) = self.value(found[0]), found[1]
        values = self.value(data)
        index: pd.Index[Any] = pd.Index(values, dtype="str" if text else values.dtype, name=name)
        return index


# --------------------------------------------------------------------------- a run


class Runner:
    """Makes the runs of a study; a worker holds one.

    Parameters
    ----------
    study : Study
    space : MaterialsSpace, optional
        Materials that all runs share.
    """

    def __init__(self, study: StudyDefinition, space: MaterialsSpace | None = None) -> None:
        self.study, self.space = study, space
        self.debug = False  # open the debugger where a run raises
        self.modules = own_modules()  # what they register must be there in every process

    def __call__(self, job: Job) -> Record | Failure:
        """Make one run; what it raises is its result, but for memory (its limits are the pool's business)."""
        self.stage = "parameters"
        try:
            for module in self.modules:
                importlib.import_module(module)
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
            return Failure(self.stage, type(error).__name__, words_of(error), private(traceback.format_exc()))

    def recording(self, job: Job) -> Recording:
        """What is noted of a run."""
        return self.study.recording.joined(job.also)

    def values(self, job: Job) -> dict[str, Any]:
        """Parameters of a run that differ from the preset, by name."""
        return run_values(self.study, job.values, self.study.arms[job.arm])

    def _own(self, job: Job) -> Returned:
        """Run a model of the user's."""
        study, arm, noted = self.study, self.study.arms[job.arm], self.recording(job)
        events, draws = (arm.policies, (*study.shocks, *arm.shocks)), (job.seed, job.replicate, study.ticks)
        given = RunInput(self.values(job), arm.label, *events, *draws, noted.series, list(noted.ticks), self.space)
        self.stage = "run"
        made: Any = study.model(given) if study.model is not None else {}
        if not isinstance(made, Returned):
            made = Returned(*made) if isinstance(made, tuple) else Returned(made)
        self.stage = "outcomes"
        if not isinstance(made.outcomes, Mapping):
            raise TypeError(f"the model must return a dict of numbers, not {type(made.outcomes).__name__}")
        series = self._series(made.series, noted)
        missing = [m for name, o in study.outcomes.items() if (m := o.measure(name).key) not in made.outcomes]
        if missing:
            raise ValueError(f"the model returned no outcome '{missing[0]}'")
        return Returned({name: _outcome(name, value) for name, value in made.outcomes.items()}, series, made.tables)

    @staticmethod
    def _series(given: Any, noted: Recording) -> Float | None:
        """Return the series that a custom model gave, of the shape that is stored."""
        if given is None:
            if noted.series:
                raise ValueError("the study stores series, but the model returned none")
            return None
        series, shape = np.asarray(given, np.float64), (len(noted.ticks), len(noted.series))
        if series.shape != shape:
            raise ValueError(f"series must have shape {shape}, stored ticks by quantities, not {series.shape}")
        return series

    # ------------------------------------------------------------------ the ecosystem

    def spec(self, job: Job) -> RunSpec:
        """Return what a run of the ecosystem is."""
        tick = self.study.shared_until
        seed, reseed = (job.history, {tick: job.seed}) if tick else (job.seed, {})
        return spec_of(self.study, job.values, self.study.arms[job.arm], self.space, seed, reseed)

    def _ecosystem(self, job: Job) -> Returned:
        study, spec = self.study, self.spec(job)
        notes = Notes(self.recording(job), study.measures, study.ticks)
        self.stage = "founding"
        with one_thread():
            spec.check()
            eco = self._begin(spec, notes)
            self.stage = "run"
            notes.follow(eco, study.ticks)
            self.stage = "outcomes"
            return notes.returned(eco)

    def _begin(self, spec: RunSpec, notes: Notes) -> Community:
        """Return a new community, or one restored at the branch, with what was noted before it."""
        if self.study.branch is None:
            return begin(spec, space=self._space(spec), record=notes.recorded)
        snapshot, seen = self._history(spec, notes)
        notes.seen = dict(seen)
        return Community.restore(snapshot, policies=spec.policies, shocks=spec.shocks, reseed=dict(spec.reseed) or None)

    def _history(self, spec: RunSpec, notes: Notes) -> tuple[Snapshot, Observed]:
        """Return the snapshot of the baseline at the branch, and what was seen before it."""
        shared = spec.changed(policies=(), shocks=self.study.shocks, reseed={})

        def live() -> tuple[Snapshot, Observed]:
            early = Notes(notes.recording, notes.measures, notes.horizon)
            eco = begin(shared, space=self._space(shared), record=early.recorded)
            early.follow(eco, self.study.branch.tick if self.study.branch else 0)
            return eco.snapshot(), early.seen

        return self._keep(
            "histories", (spec.parameters.model_dump_json(), spec.seed, notes.recording), live, KEPT_HISTORIES
        )

    def _space(self, spec: RunSpec) -> MaterialsSpace:
        """Return the materials: shared ones, or those of this seed, which arms have in common."""
        if spec.space is not None:
            return spec.space
        p, seed = spec.parameters, spec.seed
        return self._keep(
            "spaces", (p.space.model_dump_json(), seed), lambda: MaterialsSpace.synthetic(p, seed=seed), KEPT_SPACES
        )

    def _keep(self, what: str, key: Any, make: Callable[[], V], most: int) -> V:
        """Return the value made for a key, the last few of which are kept."""
        kept: dict[Any, V] = self.__dict__.setdefault(f"_kept_{what}", {})
        kept[key] = kept.pop(key) if key in kept else make()
        while len(kept) > most:
            del kept[next(iter(kept))]
        return kept[key]

    def __getstate__(self) -> dict[str, Any]:
        return {"study": self.study, "space": self.space, "debug": False, "modules": self.modules}


def run_values(study: StudyDefinition, values: Sequence[Any], arm: Arm) -> dict[str, Any]:
    """Parameters of a run that differ from the preset: fixed ones, the arm's, the scenario's."""
    out = study.fixed | arm.parameters
    for factor, value in zip(study.factors, values, strict=True):
        out |= dict.fromkeys(factor.targets, value)
    return out


def resolve(study: StudyDefinition, values: Mapping[str, Any]) -> Parameters:
    """Return all parameters of a run."""
    return Parameters.preset(study.preset).updated(values)


def measured(measure: Measure, seen: Observed, horizon: int) -> float:
    """Value of a measure from what was seen; NaN where a tick has none."""
    values = [seen[t][measure.quantity] for t in measure.ticks(horizon)]
    if any(math.isnan(v) for v in values):
        return math.nan
    if measure.over == "mean":
        return math.fsum(values) / len(values)
    return {"min": min(values), "max": max(values), "end": values[-1]}[measure.over]


def known_quantities(study: StudyDefinition) -> tuple[str, ...]:
    """Return the quantities of the ecosystem that outcomes and series can name; none are known of a custom model."""
    return () if study.own_model else outcome_names()


def spec_of(
    study: StudyDefinition,
    values: Sequence[Any],
    arm: Arm,
    space: MaterialsSpace | None,
    seed: int = DEFAULT_SEED,
    reseed: Any = None,
) -> RunSpec:
    """Return a run of a study of the ecosystem: a scenario's values in an arm, with its draws."""
    p, shocks = resolve(study, run_values(study, values, arm)), (*study.shocks, *arm.shocks)
    return RunSpec(p, seed, study.ticks, arm.policies, shocks, space, study.classes, reseed or {})


# --------------------------------------------------------------------------- what is noted


class Notes:
    """What is noted of a run of the ecosystem while it goes on.

    Parameters
    ----------
    recording : Recording
    measures : sequence of Measure
        Outcomes at other ticks than the end.
    horizon : int
        Ticks of the run.
    notify : callable, optional
        Called after each tick.
    """

    def __init__(
        self, recording: Recording, measures: Sequence[Measure], horizon: int, notify: Callable[[], None] = lambda: None
    ) -> None:
        self.recording, self.measures, self.horizon, self.notify = recording, measures, horizon, notify
        self.seen: Observed = {}
        self.tables: dict[str, list[Any]] = {name: [] for name in recording.tables}
        self._watched = frozenset(recording.ticks).union(*(m.ticks(horizon) for m in measures))

    @property
    def recorded(self) -> tuple[str, ...]:
        """What the community's own recorder has to keep."""
        return ("families",) if "families" in self.tables else ()

    def follow(self, eco: Community, until: int) -> None:
        """Step to a tick, and note what is wanted on the way."""
        while eco.tick < until:
            eco.step()
            if eco.tick - 1 in self._watched:
                self.seen[eco.tick - 1] = summarise(eco)
            for name, kept in self.tables.items():
                TABLES[name].look(eco, kept)
            self.notify()

    def returned(self, eco: Community) -> Returned:
        """Return everything that was noted, at the end of the run."""
        outcomes = summarise(eco) | {m.key: measured(m, self.seen, self.horizon) for m in self.measures}
        noted, series = self.recording, None
        if noted.series:
            series = np.array([[self.seen[t][name] for name in noted.series] for t in noted.ticks], np.float64)
        tables = {name: TABLES[name].made(eco, kept) for name, kept in self.tables.items()}
        return Returned(outcomes, series, tables)


class Table(NamedTuple):
    """A table of a run: what is noted after each tick, and what is made of it at the end of the run."""

    made: Callable[[Community, list[Any]], dict[str, Any]]
    look: Callable[[Community, list[Any]], None] = lambda *_: None


def infrastructure_table(eco: Community, _: list[Any]) -> dict[str, Any]:
    """Return nodes and links of the infrastructure at the end."""
    nodes, edges = eco.world.infrastructure.tables()
    return {"nodes": nodes, "edges": edges}


def note_links(eco: Community, noted: list[Any]) -> None:
    """Note who depends on whom after a tick, if that changed: the tick, and the arrays of the infrastructure."""
    now = {name: getattr(eco.world.infrastructure, name) for name in LINKS}
    if not noted or any(not np.array_equal(now[name], noted[-1][1][name]) for name in LINKS):
        state = {name: a.astype(np.int32) if a.dtype == np.int64 else a.copy() for name, a in now.items()}
        noted.append((eco.tick - 1, state))


def links_table(eco: Community, noted: list[Any]) -> dict[str, Any]:
    """Return the ticks at which links changed, the arrays from then on, and what models and planners need."""
    ticks, states = np.array([tick for tick, _ in noted], np.int64), [state for _, state in noted]
    return {"tick": ticks, "states": states, "need": eco.world.infrastructure.need}


def flows_table(_: Community, noted: list[Any]) -> dict[str, Any]:
    """Return flows between curators, models and planners in each tick (:mod:`mpbf_abm.measures.networks`)."""
    return {name: np.array([row[name] for row in noted]) for name in (noted[0] if noted else {})}


LINKS = (
    *("model_repositories", "lab_models", "lab_repository", "down_repositories", "down_models"),
    *("down_hosts", "host", "open_weights"),
)
TABLES = {
    "families": Table(lambda eco, _: families_table(eco)),
    "infrastructure": Table(infrastructure_table),
    "links": Table(links_table, note_links),
    "flows": Table(flows_table, lambda eco, noted: noted.append(tick_flows(eco.world))),
}
