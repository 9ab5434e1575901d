"""Tables as users have them: a DataFrame, or a file of delimited text, JSON or Parquet, as columns with row numbers."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import re
import textwrap
import warnings
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpbf_abm.arrays import Bool, Float, Int
from mpbf_abm.data.synthetic import Quantity
from mpbf_abm.errors import ConfigurationError, DataError, did_you_mean, one_line, refuse, tried
from mpbf_abm.parameters import value_faults
from mpbf_abm.streams import check_seed, is_whole

if TYPE_CHECKING:
    import pint

TEXT = (".csv", ".tsv", ".txt")
LINES = (".jsonl", ".ndjson")
KINDS = (*TEXT, ".json", *LINES, ".parquet")
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
LOOKED_AT = 1000  # records that a separator is judged by
SHOWN = 5
FOREIGN = {b"PK\x03\x04": "a spreadsheet or zip archive", b"\xd0\xcf\x11\xe0": "an old spreadsheet"}
FOREIGN |= {b"PAR1": "a Parquet file", b"\x1f\x8b": "a gzip file"}
MARKS = {b"\xff\xfe\x00\x00": "utf-32", b"\x00\x00\xfe\xff": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


Table = str | Path | pd.DataFrame


@dataclass(frozen=True)
class TableSource:
    """A table as read.

    Attributes
    ----------
    frame : DataFrame
        Columns by stripped name.
    label : str
        Name of the file, or ``table``.
    word : str
        What the numbers of the rows are: line, row or index.
    numbers : list
        Number of each row as its user sees it.
    digest : str
        SHA-256 of the bytes.
    text : bool
        Whether numbers were written as text, so that one decimal mark is to be expected in all columns.
    notes : list of str
        What was taken to be meant.
    index : tuple of str
        Names of index levels, which are no columns.
    """

    frame: pd.DataFrame
    label: str
    word: str
    numbers: list[Any]
    digest: str
    text: bool = False
    notes: list[str] = field(default_factory=list)
    index: tuple[str, ...] = ()


def read(table: Table) -> TableSource:
    """Read a table.

    Raises
    ------
    DataError
        If it cannot be read, or has no rows.
    """
    if isinstance(table, pd.DataFrame):
        digest = hashlib.sha256(table.to_csv().encode()).hexdigest()
        numbers = [i if isinstance(i, (int, str)) else str(i) for i in table.index.tolist()]
        source = _source(table, str(table.attrs.get("source", "table")), "index", numbers, digest)
    elif isinstance(table, (str, Path)):
        source = _read_file(Path(table))
    else:
        raise DataError(f"table: must be a path or a DataFrame, not {type(table).__name__}")
    if len(source.frame) == 0:
        raise DataError(f"{source.label}: the table has no rows")
    return source


def _source(frame: pd.DataFrame, label: str, word: str, numbers: list[Any], digest: str, **more: Any) -> TableSource:
    index = tuple(str(name) for name in frame.index.names if name is not None)
    named = frame.reset_index(drop=True).set_axis([str(name).strip() for name in frame.columns], axis=1)
    return TableSource(named, label, word, numbers or list(range(1, len(frame) + 1)), digest, index=index, **more)


def _read_file(path: Path) -> TableSource:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    digest = hashlib.sha256(data).hexdigest()
    suffixes = [s.lower() for s in path.suffixes[-2:]] or [""]
    packed = suffixes[-1] == ".gz"
    kind = suffixes[0] if packed else suffixes[-1]
    if kind not in KINDS or (kind == ".parquet" and packed):
        unknown = f"unknown kind of file '{''.join(suffixes) if kind == '.gz' else kind}'"
        raise DataError(f"{path.name}: {unknown}; allowed: {', '.join(KINDS)}, and with .gz all but .parquet")
    try:
        return _of_bytes(gzip.decompress(data) if packed else data, kind, path.name, digest)
    except ImportError as error:
        raise DataError(f"{path.name}: reading {kind} needs pyarrow: pip install 'mpbf_abm[study]'") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        where = f"{path.name}: byte {error.start} (line {line})"
        raise DataError(f"{where} is not UTF-8 text; save the file as UTF-8") from error
    except (ValueError, OSError, EOFError, zlib.error, csv.Error, RecursionError, pd.errors.ParserWarning) as error:
        reason = one_line(error).rstrip(".")
        raise DataError(f"{path.name}: cannot be read as {''.join(suffixes)[1:]} ({reason})") from error


def _of_bytes(data: bytes, kind: str, label: str, digest: str) -> TableSource:
    """Read the content of a file of some kind, unpacked."""
    if kind == ".parquet":
        return _source(pd.read_parquet(io.BytesIO(data)), label, "row", [], digest)
    text, notes = _decode(data, kind)
    if kind in TEXT:
        frame, numbers, read_so = _delimited(text)
        return _source(frame, label, "line", numbers, digest, text=True, notes=notes + read_so)
    if kind in LINES:
        lines = {number: line for number, line in enumerate(text.split("\n"), 1) if line.strip()}
        return _source(_from_json(_json_lines(lines)), label, "line", list(lines), digest, notes=notes)
    return _source(_from_json(json.loads(text)), label, "row", [], digest, notes=notes)


# --------------------------------------------------------------------------- text


def _decode(data: bytes, kind: str) -> tuple[str, list[str]]:
    """Return the text of a file, and how it was encoded if that is not UTF-8."""
    for start, what in FOREIGN.items():
        if data.startswith(start):
            raise ValueError(f"it is {what}; save it as {kind} or give it its own ending")
    for mark, encoding in MARKS.items():
        if data.startswith(mark):
            return _one_line_end(data.decode(encoding)), [f"text is {encoding.upper()}"]
    if b"\0" in data:
        raise ValueError("it holds zero bytes: a binary file, or UTF-16 without a mark; save it as UTF-8")
    text = _one_line_end(data.decode("utf-8-sig"))
    bare = text.lstrip("\ufeff")
    return bare, ["a second byte-order mark is left out"] if bare != text else []


def _one_line_end(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _delimited(text: str) -> tuple[pd.DataFrame, list[int], list[str]]:
    """Return columns of delimited text, the line of each record, and what was taken to be meant."""
    said = text[4] if text[:4].lower() == "sep=" and text[5:6] == "\n" else None
    text = text[6:] if said else text
    _refuse_comment(text, said)
    separator = said or _separator(text)
    head: list[str] = []
    lines: list[int] = []
    for line, record in _records(text, separator):
        lines.append(line + (said is not None))
        head = head or record
        if any(cell.strip() for cell in record[len(head) :]):
            commas = "; decimal commas need quotes, or another separator" if separator == "," else ""
            raise ValueError(f"line {line} has {len(record)} fields, the header {len(head)}{commas}")
    if not head:
        raise ValueError("the file is empty")
    frame = _parsed(text, separator, head)
    notes = [] if separator == "," else [f"fields are parted by {SEPARATORS.get(separator, repr(separator))}"]
    return frame, lines[1:] if len(lines) == len(frame) + 1 else [], notes


def _parsed(text: str, separator: str, head: list[str]) -> pd.DataFrame:
    with warnings.catch_warnings():
        # Rows longer than the header would otherwise shift or lose columns.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        # An empty cell is missing; NaN is a formula, too, and NA and None are names.
        empty: dict[str, Any] = {"keep_default_na": False, "na_values": [""]}
        frame: pd.DataFrame = pd.read_csv(io.StringIO(text), sep=separator, index_col=False, low_memory=False, **empty)
    if len(frame.columns) <= len(head):
        # Repeated names stay as they are, so that they can be refused.
        frame.columns = pd.Index([h.strip() or c for h, c in zip(head, frame.columns, strict=False)])
    return frame


def _refuse_comment(text: str, said: str | None) -> None:
    """Refuse comments above the header, which has as many fields as what follows."""
    lines = text.split("\n")
    marked = [i for i, line in enumerate(lines) if line.strip()][:1]
    if not marked or not lines[marked[0]].lstrip().startswith("#"):
        return
    after = next((i for i in range(marked[0], len(lines)) if not lines[i].lstrip().startswith("#")), len(lines))
    rest = "\n".join(lines[after:])
    fields = [len(next(_records(part, said or _separator(rest)), (0, []))[1]) for part in (lines[marked[0]], rest)]
    if after > marked[0] + 1 or fields[0] != fields[1]:
        shown = textwrap.shorten(lines[marked[0]], 40, placeholder=" ...")
        raise ValueError(
            f"line {marked[0] + 1} is a comment ('{shown}'); leave out what stands above the names of columns"
        )


def _records(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Return records that are not blank, with their line; blank lines and line breaks in quotes are considered."""
    reader, before = csv.reader(io.StringIO(text), delimiter=separator), 0
    for record in reader:
        if len(record) > 1 or any(cell.strip() for cell in record):
            yield before + 1, record
        before = reader.line_num


def _separator(text: str) -> str:
    """Return the separator under which most records have as many fields as the header."""
    fits = {}
    for separator in SEPARATORS:
        head, *widths = [len(record) for _, record in islice(_records(text, separator), LOOKED_AT)] or [0]
        if head > 1:
            fits[separator] = widths.count(head)
    best = [separator for separator, count in fits.items() if count == max(fits.values())]
    if len(best) > 1:
        names = " or ".join(SEPARATORS[s] for s in best)
        raise ValueError(f"its fields may be parted by {names}; put names with such signs in quotes")
    return best[0] if best else ","


# --------------------------------------------------------------------------- JSON


def _json_lines(lines: Mapping[int, str]) -> list[Any]:
    """Return values of lines by their number, one JSON value each."""
    values = []
    for number, line in lines.items():
        try:
            values.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise ValueError(f"line {number}: {error.msg}") from error
    return values


def _from_json(value: Any) -> pd.DataFrame:
    """Return columns of a JSON value: rows as objects, columns as lists or objects, or a form that pandas writes."""
    match value:
        case {"schema": _, "data": list(rows)}:  # as pandas writes it
            return _from_json(rows)
        case {"columns": columns, "data": list(rows)}:
            return pd.DataFrame(rows, columns=columns)
        case list():
            if wrong := [number for number, row in enumerate(value, 1) if not isinstance(row, dict)]:
                raise ValueError(f"entry {wrong[0]} is not an object with a value for each column")
            return pd.DataFrame(value)
        case dict() if all(isinstance(column, (list, dict)) for column in value.values()):
            by_row = value and all(key.isdigit() and isinstance(row, dict) for key, row in value.items())
            return pd.DataFrame.from_dict(value, orient="index" if by_row else "columns")
    raise ValueError("it is neither a list of rows nor an object of columns")


# --------------------------------------------------------------------------- numerals

# Numbers as people write them: decimal commas, separators of thousands, typographic signs.

Mark = Literal[".", ","]

SPACES = "\u00a0\u2009\u202f"  # no-break, thin and narrow no-break space
EXPONENT = r"(?:[eE][+-]?\d+)?"


def _pattern(point: str, group: str) -> re.Pattern[str]:
    parted = rf"[1-9]\d{{0,2}}(?:[{group}]\d{{3}})+(?:{point}\d*)?"
    return re.compile(rf"[+-]?(?:{parted}|\d+(?:{point}\d*)?|{point}\d+){EXPONENT}")


POINT, COMMA = _pattern(r"\.", f",{SPACES}"), _pattern(",", rf"\.{SPACES}")
AS_ASCII = str.maketrans("\u2212", "-")
WITHOUT_SPACES = str.maketrans("", "", SPACES)


class Numbers(NamedTuple):
    """A column as numbers.

    Attributes
    ----------
    values : float (n,)
        NaN where a cell is no number.
    mark : {".", ","} or None
        The decimal mark; None where no number has one.
    unclear : str
        A cell that can be read in two ways, where that leaves the column without a reading; '' otherwise.
    """

    values: Float
    mark: Mark | None
    unclear: str = ""


def numbers(column: pd.Series[Any]) -> Numbers:
    """Read a column of numbers, or of texts that are numbers.

    Truth values, dates and complex numbers are no numbers. A column with decimal commas is read where all its cells
    agree with them. Commas or points that part thousands are taken as such where some number shows both marks, or one
    of them twice; ``1,234`` alone is unclear.
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    kind = column.dtype.kind
    if kind in "bmMc":
        return Numbers(np.full(len(column), np.nan), None)
    if kind in "iuf":
        values = column.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
        return Numbers(values, "." if np.any(np.isfinite(values) & (values != np.rint(values))) else None)
    return _numbers_of_texts(column)


def _numbers_of_texts(column: pd.Series[Any]) -> Numbers:
    """Read a column that holds texts, perhaps among other things."""
    cells = [v.strip() if isinstance(v, str) else "" for v in column.tolist()]
    plain = column.map(lambda v: np.nan if isinstance(v, (bool, np.bool_, complex)) else v)
    values = pd.to_numeric(plain, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
    texts = {i: cells[i].translate(AS_ASCII) for i in np.flatnonzero(np.isnan(values)).tolist()}
    found = {i: t for i, t in texts.items() if _is_numeral(t)}
    read = {i: cells[i] for i in np.flatnonzero(np.isfinite(values)).tolist() if cells[i]}
    if not found:
        return Numbers(values, "." if any("." in c for c in read.values()) else None)
    mark = _mark([*found.values(), *read.values()])
    if mark is None:
        # Some cells speak against commas: those that need them are no numbers.
        return Numbers(values, ".")
    if mark == "unclear":
        return Numbers(values, None, next(iter(found.values())))
    if mark == ",":
        found |= read  # thousands with points were read as fractions
    for i, text in found.items():
        values[i] = _value(text, mark)
    return Numbers(values, mark)


def _is_numeral(text: str) -> bool:
    return bool(POINT.fullmatch(text) or COMMA.fullmatch(text))


def _mark(cells: list[str]) -> Mark | Literal["unclear"] | None:
    """Return the decimal mark with which all cells are numbers; None if there is none."""
    point, comma = all(map(POINT.fullmatch, cells)), all(map(COMMA.fullmatch, cells))
    most_points, most_commas = (max(c.count(mark) for c in cells) for mark in ".,")
    both = any("." in c and "," in c for c in cells)
    if not most_commas:
        return "." if point else None
    if not most_points and point and comma:
        return "unclear"
    if point and (both or most_commas > 1):
        return "."
    return "," if comma and (both or most_points != 1) else None


def _value(text: str, mark: Mark) -> float:
    text = text.translate(WITHOUT_SPACES)
    return float(text.replace(",", "") if mark == "." else text.replace(".", "").replace(",", "."))


# --------------------------------------------------------------------------- units

# Units of properties, converted by pint (loaded when first needed).

LONGEST_UNIT = 60
POWER_OF_NUMBER = re.compile(r"\d\s*(?:\*\*|\^)")


@lru_cache(maxsize=1)
def _registry() -> pint.UnitRegistry[float]:
    try:
        import pint
    except ImportError as error:
        raise DataError("converting units needs pint: pip install 'mpbf_abm[units]'") from error
    registry: pint.UnitRegistry[float] = pint.UnitRegistry()
    registry.define("atom = particle")  # as in eV/atom
    return registry


def convert(values: Float, unit: str, to: str) -> Float:
    """Express values in another unit.

    Parameters
    ----------
    values : float (n,)
    unit, to : str
        Units as in ``eV``, ``meV``, ``K``, ``degC``, ``S/cm``, ``kJ/mol``, ``eV/atom``.

    Raises
    ------
    DataError
        In one line: pint is not there, a unit is unknown, or the two do not belong together.
    """
    registry = _registry()
    units = []
    for text in (unit, to):
        # pint works powers of numbers out, however large.
        if len(text) > LONGEST_UNIT or POWER_OF_NUMBER.search(text):
            raise DataError(f"'{text[:LONGEST_UNIT]}' is no unit that can be converted")
        try:
            units.append(registry.Unit(text))
        except Exception as error:  # its parser raises errors of several unrelated types
            raise DataError(f"'{text}' is no unit that can be converted") from error
    given, wanted = units
    if given.dimensionality != wanted.dimensionality:
        against = f"{given.dimensionality} against {wanted.dimensionality}"
        raise DataError(f"'{unit}' cannot be converted to '{to}': {against}")
    return np.asarray(registry.Quantity(values, given).to(wanted).magnitude, np.float64)


# --------------------------------------------------------------------------- merging

# Rows of the same material become one; where they contradict each other, that is noted.

Rule = Literal["mean", "median", "first", "raise"]

RULES = ("mean", "median", "first", "raise")
CONFLICT_SD = 2.0


def merge(values: Float, same: Int, rule: Rule) -> Float:
    """Return one value for each set of equal rows (m,)."""
    if rule == "median":
        return np.asarray(pd.Series(values).groupby(same).median(), np.float64)
    if rule == "first":
        return values[np.unique(same, return_index=True)[1]]
    return np.asarray(np.bincount(same, weights=values) / np.bincount(same), np.float64)


def replicate_sd(values: Float, same: Int) -> float | None:
    """Return the pooled standard deviation within sets of equal rows; None where nothing repeats."""
    mean = merge(values, same, "mean")
    spare = len(values) - len(mean)
    return float(np.sqrt(((values - mean[same]) ** 2).sum() / spare)) if spare else None


def conflicts(
    values: Float, same: Int, sd: float, numbers: Sequence[Any], names: Sequence[str]
) -> list[dict[str, Any]]:
    """Return sets of equal rows whose values differ by more than ``CONFLICT_SD`` standard deviations, the widest first.

    Parameters
    ----------
    values : float (n,)
    same : int (n,)
        Set of each row.
    sd : float
        Standard deviation of the property over materials.
    numbers : sequence (n,)
        Number of each row as its user sees it.
    names : sequence of str (m,)
        Name of each set.
    """
    sets = pd.Series(values).groupby(same)
    low, high = sets.min().to_numpy(), sets.max().to_numpy()
    wide = np.flatnonzero(high - low > CONFLICT_SD * sd)
    rows = sets.indices if len(wide) else {}
    return [
        {
            "material": names[k],
            "rows": [numbers[i] for i in rows[k]],
            "low": float(low[k]),
            "high": float(high[k]),
            "sd_apart": float((high[k] - low[k]) / sd),
        }
        for k in wide[np.argsort(low[wide] - high[wide], kind="stable")]
    ]


Columns = str | Sequence[str]  # one column, or several in the order of the properties


def listed(given: Any) -> list[Any]:
    """Return what may be one, several or none as a list."""
    if given is None:
        return []
    return [given] if isinstance(given, str) or not isinstance(given, Iterable) else list(given)


def alone(given: Any) -> Any:
    """Return several as a list, one as itself, and None for none."""
    several = listed(given)
    return several if len(several) > 1 else several[0] if several else None


class Sought(NamedTuple):
    """A column that becomes a property.

    Attributes
    ----------
    name : str
    unit : str
        '' where none is given.
    goal : {"max", "min"}
    values : float (rows of the table,)
    """

    name: str
    unit: str
    goal: str
    values: Float


class Merged(NamedTuple):
    """Rows of a table after those of the same material or setting became one.

    Attributes
    ----------
    same : int (rows,)
        Material of each row that was kept.
    first : int (n,)
        First of these rows for each material.
    names : tuple of str (n,)
    values : float32 (T, n)
        Properties in sd from the mean; large is sought.
    quantities : tuple of Quantity (T,)
    notes : dict
        For ``origin``: how many rows were merged, their pooled sd in sd of the property, and conflicts. Of several
        properties these are the first's, and ``properties`` has those of each.
    """

    same: Int
    first: Int
    names: tuple[str, ...]
    values: NDArray[np.float32]
    quantities: tuple[Quantity, ...]
    notes: dict[str, Any]


# --------------------------------------------------------------------------- checking

# Columns of a table as checked texts and numbers; every fault is kept, so that a user sees all at once.


LONGEST = 160  # signs of a cell that are shown
LARGEST = 1e100  # larger numbers overflow when squared
YEARS = (1, 9999)
CHOICES: dict[str, tuple[str, ...]] = {"goal": ("max", "min"), "on_error": ("raise", "drop"), "duplicates": RULES}


class TableCheck:
    """Reads a table, hands out its columns, and collects what is wrong.

    Parameters
    ----------
    table : path or DataFrame
    goal, on_error, duplicates, top_share, seed
        Options of a space made of data, checked here.
    """

    def __init__(
        self, table: Table, *, goal: Columns, on_error: str, duplicates: Rule, top_share: object, seed: object
    ) -> None:
        self.faults: list[str] = []
        self.row_faults: list[str] = []
        self.marks: dict[str, Mark] = {}
        self._parsed: dict[str, Numbers] = {}
        self.goal, self.on_error, self.duplicates = goal, on_error, duplicates
        for name, allowed in CHOICES.items():
            for given in listed(getattr(self, name)) or [None]:
                self.choice(name, given, allowed)
        if not isinstance(top_share, (int, float)) or not 0 < top_share <= 1:
            self.faults.append(f"top_share = {top_share!r}: must be above 0 and at most 1")
        try:
            check_seed(seed)
        except ConfigurationError as error:
            self.faults += error.faults
        try:
            self.source = read(table)
        except DataError as error:
            raise DataError(self.faults + error.faults) from error
        self.label = self.source.label
        self.bad = np.zeros(len(self.source.frame), bool)

    def choice(self, name: str, given: object, allowed: Collection[str]) -> None:
        """Note an option that is not one of those allowed."""
        if given not in allowed:
            words = [f"'{word}'" for word in allowed]
            self.faults.append(f"{name} = {given!r}: must be {', '.join(words[:-1])} or {words[-1]}")

    def whole(self, name: str, value: object) -> None:
        """Note an option that is not a whole number of at least one."""
        if not is_whole(value) or value < 1:
            self.faults.append(f"{name} = {value!r}: must be a whole number of at least 1")

    def column(self, name: str, role: str) -> pd.Series[Any] | None:
        """Return a column as it stands; one that is not there is noted as a fault."""
        columns = list(self.source.frame.columns)
        if columns.count(name) == 1:
            return self.source.frame[name]
        if name in columns:
            fault = f"two columns are named '{name}' ({role})"
        elif name in self.source.index:
            fault = f"'{name}' ({role}) is an index; reset_index() makes it a column"
        else:
            near = _near(str(name), columns)
            has = "" if near else f"; columns: {', '.join(columns[:12])}{', ...' if len(columns) > 12 else ''}"
            fault = f"no column '{name}' ({role}){near}{has}"
        self.faults.append(f"{self.label}: {fault}")
        return None

    def texts(self, name: str, role: str) -> list[str]:
        """Return a column as text, '' where nothing is given (noted as a fault)."""
        column = self.column(name, role)
        if column is None:
            return [""] * len(self.bad)
        texts = ["" if gone else str(v).strip() for v, gone in zip(column, column.isna(), strict=True)]
        self.rows(np.array([not t for t in texts], bool), f"column '{name}': {{count}} without a {role}")
        return texts

    def parsed(self, name: str) -> Numbers:
        """Return a column that is there as numbers, read once."""
        if name not in self._parsed:
            self._parsed[name] = numbers(self.source.frame[name])
        return self._parsed[name]

    def is_numeric(self, name: str) -> bool:
        """Whether at least half of a column that is there are numbers."""
        return bool(np.isfinite(self.parsed(name).values).mean() >= 0.5)

    def sought(self, role: str, columns: Columns, goal: Columns, unit: Columns | None) -> list[Sought]:
        """Return the columns that become properties; of several measured ones, cells may be empty."""
        names = listed(columns)
        self.faults += [f"{role}: {fault}" for fault in value_faults("space.properties", len(names))]
        self.faults += [f"{role}: '{n}' is named twice" for n in dict.fromkeys(names) if names.count(n) > 1]
        goals, units = (self.one_each(option, given, len(names)) for option, given in (("goal", goal), ("unit", unit)))
        each, gaps = zip(names, units, goals, strict=True), role == "measured" and len(names) > 1
        return [Sought(n, u, g, self.numbers(n, role, gaps=gaps)) for n, u, g in each]

    def one_each(self, option: str, given: Columns | None, count: int) -> list[str]:
        """Return a value for each of several columns, of one for all or one for each; '' where none is given."""
        values = listed(given) or [""]
        if len(values) not in (1, count):
            self.faults.append(f"{option}: {len(values)} given, columns: {count}; give one for all or one for each")
        return values if len(values) == count else values[:1] * count

    def complete(self, columns: Sequence[Sought], keep: Int, keys: Sequence[bytes]) -> Int:
        """Return which of the rows that were kept are of materials with a number in each column, in whatever row."""
        same = pd.factorize(np.array(keys, object))[0]
        for column in columns:
            lacks = np.bincount(same, np.isfinite(column.values[keep])) == 0
            bad = np.zeros(len(self.bad), bool)
            bad[keep] = lacks[same]
            self.rows(bad, f"column '{column.name}': {{count}} of materials without a value in any row")
        self.finish()
        return np.flatnonzero(~self.bad[keep])

    def numbers(self, name: str, role: str, *, gaps: bool = False) -> Float:
        """Return a column as finite numbers; others are NaN, and noted as faults unless they are gaps (empty cells)."""
        column = self.column(name, role)
        if column is None:
            return np.full(len(self.bad), np.nan)
        parsed, mark, unclear = self.parsed(name)
        values = parsed.copy()
        if unclear:
            may = f"'{unclear}' may be a decimal comma or one that parts thousands; write points"
            self.faults.append(f"{self.label}: column '{name}': {may}")
            return values
        if mark and self.source.text:
            self.marks[name] = mark
        values[~(np.abs(values) <= LARGEST)] = np.nan
        if role == "year":
            values[(values != np.rint(values)) | (values < YEARS[0]) | (values > YEARS[1])] = np.nan
        large = np.isfinite(parsed) & np.isnan(values)
        kind = f"number up to {LARGEST:g} in size" if large.any() else "finite number"
        kind = f"whole number from {YEARS[0]} to {YEARS[1]}" if role == "year" else kind
        fault, empty = f"column '{name}': {{count}} without a {kind}", column.isna()
        bad = np.isnan(values) & ~empty.to_numpy() if gaps and not empty.all() else np.isnan(values)
        self.rows(bad, fault, lambda i: "empty" if empty.iloc[i] else f"'{column.iloc[i]}'")
        return values

    def converted(self, values: Float, unit: str, to: str) -> Float:
        """Express a simulated column in the unit of the measured one."""
        if not to:
            self.faults.append("simulated_unit needs unit, that of the measured column")
            return values
        try:
            return convert(values, unit, to)
        except DataError as error:
            self.faults += [f"simulated_unit: {fault}" for fault in error.faults]
            return values

    def rows(self, bad: Bool, text: str, detail: Callable[[int], str] | None = None) -> None:
        """Note rows with the same fault in one line; `text` has a place for their count."""
        at = np.flatnonzero(bad)
        if len(at) == 0:
            return
        self.bad |= bad
        first = "" if detail is None else f"; first: {textwrap.shorten(detail(int(at[0])), LONGEST)}"
        what = text.replace("{count}", f"{len(at)} row{'s' if len(at) > 1 else ''}")
        self.row_faults.append(one_line(f"{self.label}: {what} ({self.where(at)}{first})"))

    def where(self, at: Int) -> str:
        """Name rows as their user sees them."""
        shown = ", ".join(str(self.source.numbers[i]) for i in at[:SHOWN]) + (", ..." if len(at) > SHOWN else "")
        return f"{self.source.word}{'s' if len(at) > 1 and self.source.word != 'index' else ''} {shown}"

    def finish(self) -> Int:
        """Raise what was found, or return the rows to keep."""
        commas, points = ([name for name, mark in self.marks.items() if mark == sign] for sign in ",.")
        if commas and points:
            both = f"column '{commas[0]}' has decimal commas, column '{points[0]}' decimal points"
            self.faults.append(f"{self.label}: {both}; use one of them")
        if self.on_error != "drop":
            self.faults += [f"{line}; on_error='drop' leaves them out" for line in self.row_faults]
        elif self.bad.all() and not self.faults:
            self.faults = [f"{self.label}: no usable row is left", *self.row_faults]
        if self.faults:
            raise DataError(map(one_line, self.faults))
        notes = [f"column '{name}' has decimal commas" for name in commas]
        self.source.notes.extend(note for note in notes if note not in self.source.notes)
        return np.flatnonzero(~self.bad)

    def merged(self, sought: Sequence[Sought], keep: Int, keys: Sequence[bytes], name: Callable[[int], str]) -> Merged:
        """Make one of rows with the same key; refuse repeats, if that is the rule, and values that do not vary.

        Parameters
        ----------
        sought : sequence of Sought (T,)
        keep : int (rows,)
        keys : sequence of bytes (rows,)
        name : callable
            Name of the material or setting of a kept row.
        """
        same = pd.factorize(np.array(keys, object))[0]
        first = np.unique(same, return_index=True)[1]
        several = np.flatnonzero(np.bincount(same) > 1)
        if self.duplicates == "raise" and len(several):
            again = np.flatnonzero(same == several[0])
            where = f"(first: '{name(int(again[0]))}', {self.where(keep[again])})"
            more = f"{len(several)} materials or settings stand in more than one row {where}"
            raise DataError(f"{self.label}: {more}; duplicates='mean' averages them")
        names = tuple(name(int(i)) for i in first)
        if len(first) < 2:
            raise DataError(f"{self.label}: one distinct material or setting is left; a space needs at least two")
        made, faults = tried(partial(self._standardised, s, keep, same, names) for s in sought)
        refuse(faults, faults, DataError)
        values, quantities, notes = zip(*made, strict=True)
        about = {"merged": len(keep) - len(first), **notes[0]}
        if len(notes) > 1:
            about["properties"] = [{"name": s.name, **note} for s, note in zip(sought, notes, strict=True)]
        return Merged(same, first, names, np.array(values), quantities, about)

    def _standardised(
        self, sought: Sought, keep: Int, same: Int, names: Sequence[str]
    ) -> tuple[NDArray[np.float32], Quantity, dict[str, Any]]:
        """Return a property of every material in sd from the mean, what it is, and how its rows differ."""
        has = keep[given := np.isfinite(sought.values[keep])]
        target, same = sought.values[has], same[given]
        values, noise = merge(target, same, self.duplicates), replicate_sd(target, same)
        mean, sd = float(values.mean()), float(values.std())
        if not sd > 1e-12 * float(np.abs(values).max()):
            same_for = f"is the same for all {len(values)} materials or settings"
            raise DataError(f"{self.label}: column '{sought.name}' {same_for}")
        apart = conflicts(target, same, sd, [self.source.numbers[i] for i in has], names)
        notes = {"replicate_sd": None if noise is None else noise / sd, "conflicts": apart}
        sd = -sd if sought.goal == "min" else sd
        quantity = Quantity(sought.name, sought.unit or sought.name, mean, sd)
        return ((values - mean) / sd).astype(np.float32), quantity, notes

    def origin(self, kind: str, options: dict[str, Any]) -> dict[str, Any]:
        """Record the source, its digest, the options and what was dropped."""
        dropped = [self.source.numbers[i] for i in np.flatnonzero(self.bad)]
        return {
            "kind": kind,
            "source": self.label,
            "sha256": self.source.digest,
            "notes": list(self.source.notes),
            "options": options,
            "rows": len(self.bad),
            "dropped": {"count": len(dropped), self.source.word: dropped, "reasons": list(self.row_faults)},
        }


def _near(name: str, columns: list[str]) -> str:
    """Suggest a column: the same but for case, spaces and signs, or one that begins so, or one spelt alike."""

    def plain(text: str) -> str:
        return "".join(c for c in text.casefold() if c.isalnum())

    alike = [c for c in columns if plain(c) == plain(name)]
    alike = alike or [c for c in columns if plain(name) and plain(c).startswith(plain(name))]
    return f"; did you mean '{alike[0]}'?" if alike else did_you_mean(name, columns)
