"""Results of a study: what its store holds, as arrays and tidy tables."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.arrays import Float
from mpbf_abm.errors import ConfigurationError, did_you_mean, refuse
from mpbf_abm.glance import Glance, Shown, picture
from mpbf_abm.model.run import HEADLINE
from mpbf_abm.outputs import RUNS
from mpbf_abm.studies.definition import Outcome, StudyDefinition
from mpbf_abm.studies.files import parse_study, read_study
from mpbf_abm.studies.jobs import unpack_value
from mpbf_abm.studies.plan import Plan
from mpbf_abm.studies.store import FILE, Look, Saved, Store, StoredSeries, StoreError, series_bytes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

V = TypeVar("V")
Place = tuple[int, int, int]

MISSING, DONE, FAILED = 0, 1, 2
STATUS = ("missing", "done", "failed")
RUN = ("scenario", "arm", "replicate")
COUNTED = ("arm", "planned", "done", "failed", "missing")


def default_folder(study: StudyDefinition) -> Path:
    """Folder that the runs of a study are written to unless one is named."""
    return Path("results") / study.name


def store_path(place: str | Path) -> Path:
    """Return the store in a folder, in that of a result's runs, or itself; a study file stands for its default folder.

    Raises
    ------
    StoreError
        If there is none; shards that were not merged are named.
    """
    path = Path(place)
    if path.suffix == ".toml" and path.is_file():
        path = default_folder(read_study(path))
        elsewhere = f"{place}: is a study file, and its runs are not in {path}; name their folder"
        refuse(not path.is_dir(), elsewhere, StoreError)
    if not path.is_dir():
        return path
    # A folder of a result has the runs that it comes from in a folder within.
    for store in (path / FILE, path / RUNS / FILE):
        if store.exists():
            return store
    shards = len(list(path.glob("shard-*-of-*.sqlite")))
    hint = f"; it holds {shards} shards: mpbf study merge {path}" if shards else ""
    raise StoreError(f"{path}: holds no study{hint}")


def saved_study(saved: Saved) -> StudyDefinition:
    """Return the study of a stored definition.

    Raises
    ------
    StoreError
        If it cannot be read.
    """
    try:
        study = parse_study(tomllib.loads(saved.definition), where="stored study")
        json.loads(saved.origin)
    except (ValueError, ConfigurationError) as error:
        said = f"cannot be read ({' '.join(str(error).split())}); run it again from its file"
        raise StoreError(f"the definition of a stored study {said}") from None
    return study.changed(made_by=saved.model) if saved.model else study


def saved_plan(saved: Saved, study: StudyDefinition | None = None) -> Plan:
    """Return the plan of a stored definition, by which its runs can be found; perhaps read by another study."""
    stored = saved_study(saved)
    if study is not None and study.own_model != stored.own_model:
        study = study.changed(model=None, made_by=stored.made_by)
    if study is not None and study.series != stored.series:
        study = study.changed(series=stored.series)
    origin = json.loads(saved.origin)
    return Plan(study or stored, fingerprint=saved.fingerprint, origin=origin, recorded=stored, form=saved.form)


def frame(data: Any = None, columns: Any = None, **options: Any) -> pd.DataFrame:
    """Make a table; pandas is imported when the first one is wanted."""
    import pandas as pd

    return pd.DataFrame(data, columns=columns, **options)


TOO_LARGE = 1e150  # sums of squares of larger values overflow


class Results(Shown, AbstractContextManager["Results"]):
    """What a study's store holds, by scenario, arm and replicate.

    Parameters
    ----------
    store : Store
        Open for reading.
    study : Study, optional
        Another reading of the same runs: other outcomes, fewer arms. Runs are found by what they are.

    Examples
    --------
    >>> results = Results.open("results/floors")  # doctest: +SKIP
    >>> results.outcomes.groupby(["arm", "outcome"])["value"].median()  # doctest: +SKIP
    """

    closed = False

    def __init__(self, store: Store, study: StudyDefinition | None = None) -> None:
        saved = store.last_study()
        if saved is None:
            raise StoreError(f"{store.path}: holds no study")
        self.store, self.saved = store, saved
        self.plan = saved_plan(saved, study)
        self.study = self.plan.study
        # What another study asks for, runs need not have noted: a missing one is an error where it is asked for.
        strict = self.plan.form > 0 and self.study.recording == self.plan.recorded.recording
        self._wanted = self.study.recording if strict else None

    @classmethod
    def open(cls, place: str | Path, study: StudyDefinition | None = None) -> Self:
        """Open the results in a folder."""
        return cls(Store.open(store_path(place)), study)

    def close(self) -> None:
        """Let go of the store."""
        self.closed = True
        self.store.close()

    def __exit__(self, *_: object) -> None:
        self.close()

    def glance(self) -> Glance:
        """Return how many runs of each arm are done."""
        said, place = f"Results of study '{self.study.name}'", f"in {self.store.path}"
        if self.closed and "status" not in vars(self):
            return Glance(f"{said}, closed, {place}")
        S, _, R = self.status.shape
        said = f"{said}: {S} scenarios, {R} replicates, {place}"
        return Glance(said, COUNTED, self.counted, right=range(1, len(COUNTED)))

    def plot(self) -> Figure:
        """Draw the effects of the arms against the baseline, and the values of all runs.

        Raises
        ------
        ConfigurationError
            Where :func:`~mpbf_abm.studies.analyses.compare` does.
        """
        return picture("of_studies:of_results", self)

    # ------------------------------------------------------------------ where things are

    @cached_property
    def replicates(self) -> int:
        """Replicates that were begun (adaptive studies), or are wanted."""
        n = self.study.replicates.n
        return self.store.last_replicate() + 1 if n is None else n

    @property
    def shape(self) -> Place:
        """Scenarios, arms, replicates."""
        return len(self.plan.scenarios), len(self.plan.arms), self.replicates

    @cached_property
    def places(self) -> dict[str, Place]:
        """Scenario, arm and replicate of each run, by id."""
        S, A, R = self.shape
        return {self.plan.job(s, a, r).id: (s, a, r) for s in range(S) for a in range(A) for r in range(R)}

    def _placed(self, found: Iterable[tuple[str, V]]) -> Iterator[tuple[Place, str, V]]:
        """Yield what is of runs of the plan: place, id, and itself."""
        return ((self.places[id], id, item) for id, item in found if id in self.places)

    @cached_property
    def _look(self) -> Look:
        """Ids of all sound runs, at one moment; runs that did not note what the study asks for are `short`."""
        return self.store.look(self._wanted)

    @cached_property
    def status(self) -> NDArray[np.int8]:
        """0 missing, 1 done, 2 failed (scenarios, arms, replicates)."""
        out = np.zeros(self.shape, np.int8)
        for ids, mark in ((self._look.done, DONE), (self._look.failed, FAILED)):
            for place, _, _ in self._placed((id.decode(), None) for id in ids):
                out[place] = mark
        return out

    @property
    def counted(self) -> list[tuple[str, int, int, int, int]]:
        """Each arm, its runs that are planned, and those that are done, failed and missing."""
        of = [(self.status == kind).sum(axis=(0, 2)).tolist() for kind in (DONE, FAILED, MISSING)]
        return [(arm, sum(row), *row) for arm, *row in zip(self.arm_names, *of, strict=True)]

    @property
    def arm_names(self) -> list[str]:
        """Labels of the arms, the baseline first."""
        return [arm.label for arm in self.plan.arms]

    def arm_index(self, label: str) -> int:
        """Number of an arm."""
        names = self.arm_names
        refuse(label not in names, f"unknown arm '{label}'{did_you_mean(label, names)} (arms: {', '.join(names)})")
        return names.index(label)

    # ------------------------------------------------------------------ outcomes

    @cached_property
    def _measured(self) -> dict[str, Float]:
        """Everything that was stored at the end of runs, by name (scenarios, arms, replicates)."""
        out: dict[str, Float] = defaultdict(lambda: np.full(self.shape, np.nan))
        for place, _, outcomes in self._placed(self.store.outcomes()):
            for name, value in outcomes.items():
                out[name][place] = value
        return dict(out)

    @cached_property
    def definitions(self) -> Mapping[str, Outcome]:
        """Outcomes of the study; without any, the headline ones, or all of a custom model."""
        named = sorted(self._measured) if self.study.own_model and not self.study.outcomes else HEADLINE
        return self.study.outcomes or {name: Outcome() for name in named}

    def outcome(self, name: str) -> Outcome:
        """Return the definition of an outcome; any quantity that was stored counts as an exploratory one."""
        if name in self.definitions:
            return self.definitions[name]
        if name in self._measured:
            return Outcome()
        hint = did_you_mean(name, [*self.definitions, *self._measured])
        outcomes = f"outcomes: {', '.join(self.definitions)}; any stored quantity may be named, too"
        raise ConfigurationError(f"unknown outcome '{name}'{hint} ({outcomes})")

    def quantity(self, name: str) -> Float:
        """Return the quantity behind an outcome, not judged as an event (scenarios, arms, replicates).

        NaN where there is none, and where it is infinite or too large to be squared (:attr:`overflows`).
        """
        key = self.outcome(name).measure(name).key
        if not self._measured:
            return np.full(self.shape, np.nan)
        hint = did_you_mean(key, self._measured)
        refuse(key not in self._measured, f"outcome '{name}': the runs did not note {key}{hint}")
        values = self._measured[key]
        return np.where(np.abs(values) >= TOO_LARGE, np.nan, values) if key in self.overflows else values

    @cached_property
    def overflows(self) -> list[str]:
        """Quantities of which some run has an infinite value, or one that is too large to be squared."""
        return [key for key, values in self._measured.items() if (np.abs(values) >= TOO_LARGE).any()]

    def values(self, name: str) -> Float:
        """Values of an outcome (scenarios, arms, replicates), 0 or 1 for an event; NaN where there is none."""
        outcome, raw = self.outcome(name), self.quantity(name)
        if not outcome.event:
            return raw
        happened = raw > outcome.above if outcome.above is not None else raw < (outcome.below or 0.0)
        return np.where(np.isnan(raw), np.nan, happened)

    # ------------------------------------------------------------------ tidy tables

    @cached_property
    def scenarios(self) -> pd.DataFrame:
        """One row per scenario: its number, its place in the design, and what varies."""
        s = self.plan.scenarios
        table = frame(s.values, list(s.names), dtype=object).infer_objects()
        table.insert(0, "place", s.labels)
        table.insert(0, "scenario", np.arange(len(s)))
        return table

    def _with_scenarios(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return a table of runs with what varies in their scenarios."""
        return table.merge(self.scenarios.drop(columns="place"), on="scenario", how="left")

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row per run of the plan: scenario, arm, replicate, id, seed, status, and what varies."""
        rows = [
            (s, self.arm_names[a], r, id, self.plan.seed(s, a, r), STATUS[self.status[s, a, r]])
            for id, (s, a, r) in self.places.items()
        ]
        return self._with_scenarios(frame(rows, [*RUN, "run", "seed", "status"]))

    @cached_property
    def outcomes(self) -> pd.DataFrame:
        """One row per finished run and outcome: scenario, arm, replicate, outcome, value."""
        s, a, r = np.nonzero(self.status == DONE)
        names, values = list(self.definitions), [self.values(name)[s, a, r] for name in self.definitions]
        runs, arms = len(s), np.array(self.arm_names)
        where = {name: np.tile(column, len(names)) for name, column in zip(RUN, (s, arms[a], r), strict=True)}
        return frame(where | {"outcome": np.repeat(names, runs), "value": np.concatenate(values) if values else values})

    @cached_property
    def failures(self) -> pd.DataFrame:
        """One row per failed run of the plan: where, what, and what varied."""
        rows = [
            (id, s, self.arm_names[a], r, f.stage, f.type, f.message, run.attempts, run.seed)
            for (s, a, r), id, run in self._placed((run.id, run) for run in self.store.failures())
            if (f := run.failure) is not None
        ]
        table = frame(rows, ["run", *RUN, "stage", "type", "message", "attempts", "seed"])
        return self._with_scenarios(table.sort_values(list(RUN), ignore_index=True))

    # ------------------------------------------------------------------ series

    def _array(self, id: str, series: StoredSeries) -> Float:
        """Return series of a run as the study asks for them (ticks, quantities); NaN where the run noted none."""
        whole = np.frombuffer(series_bytes(self.store.path, id, series), "<f8").reshape(-1, len(series.quantities))
        of, ticks = self.study.series.of, self.series_ticks.tolist()
        if (series.quantities, list(series.ticks)) == (of, ticks):
            return whole
        out = np.full((len(ticks), len(of)), np.nan)
        rows = [i for i, tick in enumerate(ticks) if tick in series.ticks]
        columns = [j for j, name in enumerate(of) if name in series.quantities]
        out[np.ix_(rows, columns)] = series.part(whole, [ticks[i] for i in rows], [of[j] for j in columns])
        return out

    @property
    def series_ticks(self) -> NDArray[np.int64]:
        """Ticks at which series were stored."""
        return np.array(self.study.series.ticks(self.study.ticks), np.int64)

    def _quantity(self, name: str) -> int:
        of = self.study.series.of
        stored = f"stored: {', '.join(of)}" if of else "the study stores none; see [series]"
        refuse(name not in of, f"no series of '{name}'{did_you_mean(name, of)} ({stored})")
        return of.index(name)

    def series_values(self, name: str) -> Float:
        """One quantity along all runs (scenarios, arms, replicates, ticks); NaN where there is none."""
        column = self._quantity(name)
        out = np.full((*self.shape, len(self.series_ticks)), np.nan)
        for place, id, series in self._placed(self.store.series()):
            out[place] = self._array(id, series)[:, column]
        return out

    def series(self, names: Sequence[str] | None = None) -> pd.DataFrame:
        """Return one row per run and stored tick: scenario, arm, replicate, tick, and one column per quantity."""
        import pandas as pd

        of, T = list(names or self.study.series.of), len(self.series_ticks)
        columns = [self._quantity(n) for n in of]
        parts = {place: self._array(id, series)[:, columns] for place, id, series in self._placed(self.store.series())}
        places = sorted(parts)
        s, a, r = np.repeat(np.array(places, np.int64).reshape(-1, 3), T, axis=0).T
        values = np.concatenate([parts[place] for place in places]) if parts else np.empty((0, len(of)))
        where = {"scenario": s, "arm": np.array(self.arm_names)[a], "replicate": r}
        table = frame(where | {"tick": np.tile(self.series_ticks, len(parts))})
        return pd.concat([table, frame(values, of)], axis=1)

    def mean_series(self) -> pd.DataFrame:
        """Return mean, sd and number of runs by arm, tick and quantity; in one pass, with little memory."""
        of, T = list(self.study.series.of), len(self.series_ticks)
        count, mean, square = np.zeros((3, len(self.arm_names), T, len(of)))
        for (_, arm, _), id, series in self._placed(self.store.series()):
            # Welford's update; a quantity that is NaN at a tick does not count there.
            x = self._array(id, series)
            known = ~np.isnan(x)
            count[arm] += known
            gap = np.where(known, x - mean[arm], 0.0)
            mean[arm] += gap / np.maximum(count[arm], 1)
            square[arm] += np.where(known, gap * (x - mean[arm]), 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            sd = np.sqrt(square / (count - 1))
            mean = np.where(count > 0, mean, np.nan)
        arms, ticks, quantities = np.meshgrid(self.arm_names, self.series_ticks, of, indexing="ij")
        columns = {"arm": arms, "tick": ticks, "quantity": quantities, "mean": mean, "sd": sd, "n": count.astype(int)}
        return frame({name: values.ravel() for name, values in columns.items()})

    # ------------------------------------------------------------------ tables

    def tables(self, name: str) -> dict[Place, Any]:
        """What was kept under a name (:class:`~mpbf_abm.studies.jobs.Returned`), by scenario, arm and replicate."""
        found = self._placed(self.store.tables())
        return {place: unpack_value(held[name]) for place, _, held in found if name in held}

    # ------------------------------------------------------------------ the whole

    @cached_property
    def hash(self) -> str:
        """Hash of all outcomes and series: equal wherever, and in any order, runs that noted the same were made."""
        digest = hashlib.blake2b(digest_size=16)
        for id, own, series in sorted(self.store.hashes()):
            if id in self.places:
                digest.update(f"{id}{own}{series}".encode())
        return digest.hexdigest()

    @property
    def orphans(self) -> int:
        """Stored runs that are not part of the study any more."""
        look = self._look
        return sum(id.decode() not in self.places for ids in (look.done, look.short, look.failed) for id in ids)

    @property
    def damaged(self) -> int:
        """Stored rows that are not as they were written; their runs count as missing."""
        return self._look.damaged
