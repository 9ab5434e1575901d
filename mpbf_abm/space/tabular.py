"""Materials spaces made of data: a table of formulas, or a numeric pool with one objective."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpbf_abm.errors import ConfigurationError, DataError, did_you_mean
from mpbf_abm.space import chemistry
from mpbf_abm.space.materials import MaterialsSpace, knn_similarity, top_set
from mpbf_abm.streams import Streams, check_seed

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]
Int = NDArray[np.int64]
Bool = NDArray[np.bool_]
Goal = Literal["max", "min"]
OnError = Literal["raise", "drop"]

COLUMN_VARIANCE = 0.8  # mean variance of a quantum column, as in the synthetic space
QUANTUM_WIDTH = 24
GAUGE_WIDTH = 6
MOST_FAMILIES = 40
DENSE_SHARE = 0.1
LARGEST = 1e100  # larger numbers overflow when squared
FARTHEST = 1e4  # simulated values further off than this many sd are in another unit
SHOWN = 5


def from_table(
    table: str | Path | pd.DataFrame,
    *,
    formula: str,
    measured: str,
    simulated: str | None = None,
    year: str | None = None,
    family: str | None = None,
    goal: Goal = "max",
    on_error: OnError = "raise",
    unit: str | None = None,
    families: int | None = None,
    min_family: int = 20,
    top_share: float = 0.01,
    seed: int = 0,
) -> MaterialsSpace:
    """Build a space from a table of formulas and measured values.

    Rows of the same reduced composition are merged: values averaged, first year kept. Descriptors are elemental
    statistics (:func:`mpbf_abm.space.chemistry.descriptors`), standardised and rotated to their principal axes.

    Parameters
    ----------
    table : path or DataFrame
        A ``.csv``, ``.parquet`` or ``.json`` file (UTF-8, with or without byte-order mark; JSON as a list of records
        or an object of columns).
    formula, measured : str
        Columns of the formula and of the measured property.
    simulated : str, optional
        Column of the simulated property, in the unit of the measured one. Without it, simulation is exact.
    year : str, optional
        Column of the year of first report.
    family : str, optional
        Column that names the family; taken as it is. Without it, families follow chemistry.
    goal : {"max", "min"}
        Whether a large or a small value is sought.
    on_error : {"raise", "drop"}
        Whether faulty rows are refused or left out (then listed in ``origin["dropped"]``).
    unit : str, optional
        Unit of the property; the name of the measured column if not given.
    families : int, optional
        Largest number of families by chemistry; 40, or fewer in a small table, if not given.
    min_family : int
        Materials a family by chemistry should have at least (a third of the mean family if that is more).
    top_share : float
        Share of the materials in the top set.
    seed : int
        Seed of the direction of the misaligned objective (``proxy``).

    Raises
    ------
    DataError
        With one line per fault, all at once.
    """
    options = _options(locals())
    check = _Check(table, goal, on_error, top_share, seed)
    check.whole("min_family", min_family)
    if families is not None:
        check.whole("families", families)

    texts = check.texts(formula, "formula")
    target = check.numbers(measured, "measured")
    model = None if simulated is None else check.numbers(simulated, "simulated")
    years = None if year is None else check.numbers(year, "year", whole=True)
    groups = None if family is None else check.texts(family, "family")
    reasons = {text: _reason(text) for text in dict.fromkeys(texts)}
    check.rows(
        np.array([bool(text) and reasons[text] is not None for text in texts], bool),
        f"column '{formula}': {{count}} that cannot be read as a formula",
        lambda i: f"'{texts[i]}': {reasons[texts[i]]}",
    )
    keep = check.finish()

    names = [texts[i] for i in keep]
    fractions = chemistry.composition_matrix(names)
    same, first = _distinct(chemistry.composition_keys(fractions))
    values, noise = _averaged(target[keep], same)
    mean, sd = check.scale(measured, values)
    sd = -sd if goal == "min" else sd
    fractions = fractions[first]
    points, explained = _principal(chemistry.descriptors(fractions))

    n = len(first)
    if groups is None:
        most = families or min(MOST_FAMILIES, max(1, n // (2 * min_family)))
        # Parts far below the mean would use up the families before the largest group is split.
        smallest = max(min_family, n // (3 * most))
        number, labels = chemistry.chemical_families(fractions, points, most, smallest)
    else:
        number, labels = _named_families([groups[i] for i in keep[first]])
    order = np.argsort(number, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(number))]).astype(np.int64)

    standard = ((values - mean) / sd).astype(np.float32)[order]
    simulation = standard.copy()
    if model is not None:
        shifted = (_averaged(model[keep], same)[0] - mean) / sd
        if np.abs(shifted).max() > FARTHEST:
            raise DataError(
                f"{check.label}: column '{simulated}' lies up to {np.abs(shifted).max():.1g} sd from the mean of "
                f"'{measured}'; both must have the same unit"
            )
        simulation = shifted.astype(np.float32)[order]
    feasible = np.ones(n, bool)
    stored = points[order].astype(np.float32)
    return MaterialsSpace(
        descriptors=stored,
        dims={"quantum": stored.shape[1], "meso": 0, "gauge": GAUGE_WIDTH, "spurious": 0},
        start=start,
        property=standard,
        simulated=simulation,
        difficulty=np.ones(n, np.float32),
        feasible=feasible,
        proxy=_proxy(stored, standard, Streams(seed)),
        similarity=_similarity(stored, start),
        family_keys=np.arange(len(labels)),
        material_keys=np.arange(n),
        top=top_set(standard, feasible, top_share),
        dense=_dense(np.diff(start)),
        family_names=labels,
        names=tuple(names[first[i]] for i in order),
        year=None if years is None else _earliest(years[keep], same)[order],
        scale=(mean, sd),
        unit=measured if unit is None else unit,
        has_simulated=simulated is not None,
        origin={
            **check.origin("table", options),
            "materials": n,
            "families": len(labels),
            "merged": len(keep) - n,
            "replicate_sd": None if noise is None else noise / abs(sd),
            "explained_variance": explained,
        },
    )


def from_pool(
    table: str | Path | pd.DataFrame,
    *,
    objective: str,
    goal: Goal = "max",
    descriptors: Sequence[str] | None = None,
    on_error: OnError = "raise",
    unit: str | None = None,
    top_share: float | None = None,
    seed: int = 0,
) -> MaterialsSpace:
    """Build a space of one family from a pool of numeric settings with one objective.

    Repeated settings are averaged; their pooled spread is kept as ``origin["replicate_sd"]``, in sd of the property.

    Parameters
    ----------
    table : path or DataFrame
        As in :func:`from_table`.
    objective : str
        Column of the objective.
    goal : {"max", "min"}
        Whether a large or a small value is sought.
    descriptors : sequence of str, optional
        Columns of the settings. Without it, every other column of which at least half is numbers.
    on_error : {"raise", "drop"}
        Whether faulty rows are refused or left out.
    unit : str, optional
        Unit of the objective; the name of its column if not given.
    top_share : float, optional
        Share of the settings in the top set; .05, or .01 above 1,000 settings, if not given.
    seed : int
        Seed of the direction of the misaligned objective (``proxy``).

    Raises
    ------
    DataError
        With one line per fault, all at once.
    """
    options = _options(locals())
    check = _Check(table, goal, on_error, 0.05 if top_share is None else top_share, seed)
    target = check.numbers(objective, "objective")
    given = [descriptors] if isinstance(descriptors, str) else descriptors
    chosen = check.numeric_columns(objective) if given is None else list(dict.fromkeys(given))
    if not chosen:
        check.faults.append(f"{check.label}: no numeric descriptor column beside '{objective}'")
    if objective in chosen:
        check.faults.append(f"descriptors: '{objective}' is the objective and cannot describe the settings")
    settings = [check.numbers(name, "descriptor") for name in chosen if name != objective]
    keep = check.finish()

    raw = np.stack(settings, axis=1)[keep]
    low, high = raw.min(axis=0), raw.max(axis=0)
    varies = high > low
    if not varies.any():
        raise DataError(f"{check.label}: fewer than two distinct settings; a pool needs at least two")
    unit_box = (raw[:, varies] - low[varies]) / (high - low)[varies]
    same, first = _distinct([row.tobytes() for row in np.rint(unit_box * 1e9).astype(np.int64)])
    values, noise = _averaged(target[keep], same)
    mean, sd = check.scale(objective, values)
    sd = -sd if goal == "min" else sd
    n = len(first)
    share = top_share if top_share is not None else 0.01 if n > 1000 else 0.05
    standard = ((values - mean) / sd).astype(np.float32)
    feasible = np.ones(n, bool)
    stored = _to_variance(unit_box[first]).astype(np.float32)
    return MaterialsSpace(
        descriptors=stored,
        dims={"quantum": stored.shape[1], "meso": 0, "gauge": 0, "spurious": 0},
        start=np.array([0, n], np.int64),
        property=standard,
        simulated=standard.copy(),
        difficulty=np.ones(n, np.float32),
        feasible=feasible,
        proxy=_proxy(stored, standard, Streams(seed)),
        similarity=np.ones((1, 1)),
        family_keys=np.arange(1),
        material_keys=np.arange(n),
        top=top_set(standard, feasible, share),
        dense=np.ones(1, bool),
        family_names=("pool",),
        scale=(mean, sd),
        unit=objective if unit is None else unit,
        has_simulated=False,
        origin={
            **check.origin("pool", options),
            "materials": n,
            "descriptors": [name for name, v in zip(chosen, varies, strict=True) if v],
            "constant": [name for name, v in zip(chosen, varies, strict=True) if not v],
            "merged": len(keep) - n,
            "replicate_sd": None if noise is None else noise / abs(sd),
        },
    )


# --------------------------------------------------------------------------- reading and checking


@dataclass(frozen=True)
class _Source:
    """A table as read, with the row numbers that its user sees."""

    frame: pd.DataFrame
    label: str
    word: str
    numbers: list[Any]
    digest: str


def _read(table: str | Path | pd.DataFrame) -> _Source:
    if isinstance(table, pd.DataFrame):
        frame = table.reset_index(drop=True)
        digest = hashlib.sha256(table.to_csv().encode()).hexdigest()
        numbers = [i if isinstance(i, (int, str)) else str(i) for i in table.index.tolist()]
        source = _Source(frame, "table", "index", numbers, digest)
    elif isinstance(table, (str, Path)):
        source = _read_file(Path(table))
    else:
        raise DataError(f"table: must be a path or a DataFrame, not {type(table).__name__}")
    names = [str(name).strip() for name in source.frame.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{source.label}: two columns are named '{name}'" for name in twice)
    if len(source.frame) == 0:
        raise DataError(f"{source.label}: the table has no rows")
    return _Source(source.frame.set_axis(names, axis=1), source.label, source.word, source.numbers, source.digest)


def _read_file(path: Path) -> _Source:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    suffix, word = path.suffix.lower(), "row"
    try:
        if suffix == ".csv":
            text = data.decode("utf-8-sig")
            with warnings.catch_warnings():
                # Rows longer than the header would otherwise shift or lose columns.
                warnings.simplefilter("error", pd.errors.ParserWarning)
                frame = pd.read_csv(io.StringIO(text), index_col=False, low_memory=False)
            word = "line"
        elif suffix == ".parquet":
            frame = pd.read_parquet(io.BytesIO(data)).reset_index(drop=True)
        elif suffix == ".json":
            frame = pd.DataFrame(json.loads(data.decode("utf-8-sig"))).reset_index(drop=True)
        else:
            raise DataError(f"{path.name}: unknown kind of file '{suffix}'; allowed: .csv, .parquet, .json")
    except ImportError as error:
        raise DataError(f"{path.name}: reading {suffix} needs pyarrow: pip install 'mpbf_abm[study]'") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name}: byte {error.start} is not UTF-8 text; save the file as UTF-8") from error
    except pd.errors.EmptyDataError as error:
        raise DataError(f"{path.name}: the file is empty") from error
    except (pd.errors.ParserWarning, ValueError, OSError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise DataError(f"{path.name}: cannot be read as {suffix[1:]} ({reason})") from error
    numbers = _lines(text) if word == "line" else []
    if len(numbers) != len(frame):
        numbers = list(range(1, len(frame) + 1))
        word = "row"
    return _Source(frame, path.name, word, numbers, hashlib.sha256(data).hexdigest())


def _lines(text: str) -> list[int]:
    """Line number of each record of a CSV text, blank lines and line breaks in quotes considered."""
    reader = csv.reader(io.StringIO(text))
    found, before = [], 0
    for record in reader:
        if len(record) > 1 or any(cell.strip() for cell in record):
            found.append(before + 1)
        before = reader.line_num
    return found[1:]


class _Check:
    """Collects the faults of a table, so that a user sees all of them at once."""

    def __init__(
        self, table: str | Path | pd.DataFrame, goal: str, on_error: str, top_share: object, seed: object
    ) -> None:
        self.faults: list[str] = []
        self.row_faults: list[str] = []
        for name, given, allowed in (("goal", goal, ("max", "min")), ("on_error", on_error, ("raise", "drop"))):
            if given not in allowed:
                self.faults.append(f"{name} = {given!r}: must be '{allowed[0]}' or '{allowed[1]}'")
        if not isinstance(top_share, (int, float)) or not 0 < top_share <= 1:
            self.faults.append(f"top_share = {top_share!r}: must be above 0 and at most 1")
        try:
            check_seed(seed)
        except ConfigurationError as error:
            self.faults += error.faults
        try:
            self.source = _read(table)
        except DataError as error:
            raise DataError(self.faults + error.faults) from error
        self.on_error = on_error
        self.label = self.source.label
        self.bad = np.zeros(len(self.source.frame), bool)

    def whole(self, name: str, value: object) -> None:
        """Note an option that is not a whole number of at least one."""
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            self.faults.append(f"{name} = {value!r}: must be a whole number of at least 1")

    def _column(self, name: str, role: str) -> pd.Series[Any] | None:
        columns = self.source.frame.columns
        if name not in columns:
            near = did_you_mean(str(name), columns)
            has = "" if near else f"; columns: {', '.join(columns[:12])}{', ...' if len(columns) > 12 else ''}"
            self.faults.append(f"{self.label}: no column '{name}' ({role}){near}{has}")
            return None
        return self.source.frame[name]

    def texts(self, name: str, role: str) -> list[str]:
        """Return a column as text, '' where nothing is given (noted as a fault)."""
        column = self._column(name, role)
        if column is None:
            return [""] * len(self.bad)
        texts = ["" if gone else str(v).strip() for v, gone in zip(column, column.isna(), strict=True)]
        self.rows(np.array([not t for t in texts], bool), f"column '{name}': {{count}} without a {role}")
        return texts

    def numbers(self, name: str, role: str, whole: bool = False) -> Float:
        """Return a column as finite numbers; others are noted as faults and come back as NaN."""
        column = self._column(name, role)
        if column is None:
            return np.full(len(self.bad), np.nan)
        values = _to_numbers(column)
        values[~(np.abs(values) <= LARGEST)] = np.nan
        if whole:
            values[values != np.rint(values)] = np.nan
        kind = "whole number" if whole else "finite number"
        self.rows(
            np.isnan(values),
            f"column '{name}': {{count}} without a {kind}",
            lambda i: "empty" if pd.isna(column.iloc[i]) else f"'{column.iloc[i]}'",
        )
        return values

    def numeric_columns(self, objective: str) -> list[str]:
        """Columns that can describe a pool: mostly numbers, and not a nameless row number."""
        frame = self.source.frame
        others = [c for c in frame.columns if c != objective and not c.startswith("Unnamed:")]
        return [c for c in others if np.isfinite(_to_numbers(frame[c])).mean() >= 0.5]

    def rows(self, bad: Bool, text: str, detail: Callable[[int], str] | None = None) -> None:
        """Note rows with the same fault in one line; `text` has a place for their count."""
        at = np.flatnonzero(bad)
        if len(at) == 0:
            return
        self.bad |= bad
        shown = ", ".join(str(self.source.numbers[i]) for i in at[:SHOWN]) + (", ..." if len(at) > SHOWN else "")
        word = self.source.word + ("s" if len(at) > 1 and self.source.word != "index" else "")
        first = "" if detail is None else f"; first: {detail(int(at[0]))}"
        count = f"{len(at)} row{'s' if len(at) > 1 else ''}"
        self.row_faults.append(f"{self.label}: {text.format(count=count)} ({word} {shown}{first})")

    def finish(self) -> Int:
        """Raise what was found, or return the rows to keep."""
        if self.on_error != "drop":
            self.faults += [f"{line}; on_error='drop' leaves them out" for line in self.row_faults]
        elif self.bad.all() and not self.faults:
            self.faults = [f"{self.label}: no usable row is left", *self.row_faults]
        if self.faults:
            raise DataError(self.faults)
        return np.flatnonzero(~self.bad)

    def scale(self, name: str, values: Float) -> tuple[float, float]:
        """Mean and standard deviation of the property; refuse values that do not vary."""
        if len(values) < 2:
            raise DataError(f"{self.label}: one distinct material or setting is left; a space needs at least two")
        mean, sd = float(values.mean()), float(values.std())
        if not sd > 1e-12 * float(np.abs(values).max()):
            raise DataError(f"{self.label}: column '{name}' is the same for all {len(values)} materials or settings")
        return mean, sd

    def origin(self, kind: str, options: dict[str, Any]) -> dict[str, Any]:
        """Record the source, its digest, the options and what was dropped."""
        dropped = [self.source.numbers[i] for i in np.flatnonzero(self.bad)]
        return {
            "kind": kind,
            "source": self.label,
            "sha256": self.source.digest,
            "options": options,
            "rows": len(self.bad),
            "dropped": {"count": len(dropped), self.source.word: dropped, "reasons": list(self.row_faults)},
        }


def _options(given: dict[str, Any]) -> dict[str, Any]:
    """Keep the arguments of a call without its data, as values that JSON can hold."""
    return {k: list(v) if isinstance(v, (list, tuple)) else v for k, v in given.items() if k != "table"}


def _to_numbers(column: pd.Series[Any]) -> Float:
    if pd.api.types.is_datetime64_any_dtype(column) or pd.api.types.is_timedelta64_dtype(column):
        return np.full(len(column), np.nan)
    return np.array(pd.to_numeric(column, errors="coerce"), dtype=np.float64)


def _reason(text: str) -> str | None:
    """Why a formula cannot be read, or None."""
    try:
        chemistry.parse(text)
    except chemistry.FormulaError as error:
        return str(error)
    return None


# --------------------------------------------------------------------------- from rows to arrays


def _distinct(keys: list[bytes]) -> tuple[Int, Int]:
    """Return the number of each row's key, by order of appearance, and the first row of each key."""
    seen: dict[bytes, int] = {}
    same = np.array([seen.setdefault(key, len(seen)) for key in keys], np.int64)
    return same, np.unique(same, return_index=True)[1].astype(np.int64)


def _averaged(values: Float, same: Int) -> tuple[Float, float | None]:
    """Mean of each set of equal rows, and the pooled sd within sets (None where nothing repeats)."""
    mean = np.bincount(same, weights=values) / np.bincount(same)
    spare = len(values) - len(mean)
    return mean, float(np.sqrt(((values - mean[same]) ** 2).sum() / spare)) if spare else None


def _earliest(years: Float, same: Int) -> Int:
    first = np.full(int(same.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, same, years.astype(np.int64))
    return first


def _named_families(labels: list[str]) -> tuple[Int, tuple[str, ...]]:
    """Families as named by the user, numbered by falling size."""
    names, number, count = np.unique(labels, return_inverse=True, return_counts=True)
    order = np.argsort(-count, kind="stable")
    rank = np.empty(len(names), np.int64)
    rank[order] = np.arange(len(names))
    return rank[number], tuple(str(names[i]) for i in order)


def _to_variance(columns: Float) -> Float:
    """Scale a matrix as a whole so that its columns have the mean variance of the synthetic space."""
    centred = columns - columns.mean(axis=0)
    factor = np.sqrt(COLUMN_VARIANCE / float(centred.var(axis=0).mean()))
    return np.asarray(centred * factor, np.float64)


def _principal(raw: Float) -> tuple[Float, float]:
    """Principal axes of the standardised descriptors, at most 24, and the share of variance they hold."""
    spread = raw.std(axis=0)
    varies = spread > 1e-9 * (1 + np.abs(raw).max(axis=0))
    standard = (raw[:, varies] - raw[:, varies].mean(axis=0)) / spread[varies]
    power, axes = np.linalg.eigh(standard.T @ standard)
    keep = np.flatnonzero(power > 1e-10 * power[-1])[::-1][:QUANTUM_WIDTH]
    axes = axes[:, keep]
    # An axis has no direction of its own: its largest loading is made positive.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    return _to_variance(standard @ axes), float(power[keep].sum() / power.sum())


def _proxy(columns: Float32, standard: Float32, streams: Streams) -> Float32:
    """Build a misaligned objective: a direction among the descriptors with its share of the property taken out."""
    y = standard.astype(np.float64) - float(standard.mean(dtype=np.float64))
    direction = streams.normal("space.proxy", 0, columns.shape[1])
    # Where the descriptors are the property itself nothing is left of them, and noise takes their place.
    for values in (columns @ direction, streams.normal("space.proxy.noise", 0, len(y))):
        centred = values - values.mean()
        rest = centred - y * (centred @ y) / (y @ y)
        if rest.std() > 1e-3 * centred.std():
            return np.asarray(rest / rest.std(), np.float32)
    return np.zeros(len(y), np.float32)


def _similarity(points: Float32, start: Int) -> Float:
    """Family graph by distance of descriptor means, in units of the median distance."""
    centres = np.add.reduceat(points.astype(np.float64), start[:-1], axis=0) / np.diff(start)[:, None]
    squared = ((centres[:, None] - centres[None]) ** 2).sum(axis=2)
    unit = float(np.median(squared[squared > 0])) if (squared > 0).any() else 1.0
    return knn_similarity(np.exp(-squared / unit))


def _dense(sizes: Int) -> Bool:
    """Mark the largest tenth of the families, at least one."""
    mask = np.zeros(len(sizes), bool)
    mask[np.argsort(-sizes, kind="stable")[: max(1, round(DENSE_SHARE * len(sizes)))]] = True
    return mask
