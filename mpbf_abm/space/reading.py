"""Tables as users have them: a DataFrame, or a file of delimited text, JSON or Parquet, as columns with row numbers."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from mpbf_abm.errors import DataError

TEXT = (".csv", ".tsv", ".txt")
LINES = (".jsonl", ".ndjson")
KINDS = (*TEXT, ".json", *LINES, ".parquet")
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
LOOKED_AT = 1000  # records that a separator is judged by
SHOWN = 5
FOREIGN = {
    b"PK\x03\x04": "a spreadsheet or zip archive",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet",
    b"PAR1": "a Parquet file",
    b"\x1f\x8b": "a gzip file",
}
MARKS = {b"\xff\xfe\x00\x00": "utf-32", b"\x00\x00\xfe\xff": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


@dataclass(frozen=True)
class Source:
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


def read(table: str | Path | pd.DataFrame) -> Source:
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


def _source(frame: pd.DataFrame, label: str, word: str, numbers: list[Any], digest: str, **more: Any) -> Source:
    index = tuple(str(name) for name in frame.index.names if name is not None)
    named = frame.reset_index(drop=True).set_axis([str(name).strip() for name in frame.columns], axis=1)
    return Source(named, label, word, numbers or list(range(1, len(frame) + 1)), digest, index=index, **more)


def _read_file(path: Path) -> Source:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    digest = hashlib.sha256(data).hexdigest()
    suffixes = [s.lower() for s in path.suffixes[-2:]]
    kind = suffixes[0] if suffixes[-1:] == [".gz"] else suffixes[-1] if suffixes else ""
    if kind not in KINDS or (kind == ".parquet" and suffixes[-1] == ".gz"):
        raise DataError(
            f"{path.name}: unknown kind of file '{''.join(suffixes) if kind == '.gz' else kind}'; "
            f"allowed: {', '.join(KINDS)}, and with .gz all but .parquet"
        )
    try:
        if suffixes[-1] == ".gz":
            data = gzip.decompress(data)
        if kind == ".parquet":
            return _source(pd.read_parquet(io.BytesIO(data)), path.name, "row", [], digest)
        text, notes = _decode(data, kind)
        if kind in TEXT:
            frame, numbers, read_so = _delimited(text)
            return _source(frame, path.name, "line", numbers, digest, text=True, notes=notes + read_so)
        if kind in LINES:
            numbers = [i for i, line in enumerate(text.split("\n"), 1) if line.strip()]
            return _source(_from_json(_json_lines(text)), path.name, "line", numbers, digest, notes=notes)
        return _source(_from_json(json.loads(text)), path.name, "row", [], digest, notes=notes)
    except ImportError as error:
        raise DataError(f"{path.name}: reading {kind} needs pyarrow: pip install 'mpbf_abm[study]'") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path.name}: byte {error.start} (line {line}) is not UTF-8 text; save the file as UTF-8"
        ) from error
    except (ValueError, OSError, EOFError, zlib.error, csv.Error, RecursionError, pd.errors.ParserWarning) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise DataError(f"{path.name}: cannot be read as {''.join(suffixes)[1:]} ({reason})") from error


# --------------------------------------------------------------------------- text


def _decode(data: bytes, kind: str) -> tuple[str, list[str]]:
    """Text of a file, and how it was encoded if that is not UTF-8."""
    for start, what in FOREIGN.items():
        if data.startswith(start):
            raise ValueError(f"it is {what}; save it as {kind} or give it its own ending")
    for mark, encoding in MARKS.items():
        if data.startswith(mark):
            return _one_line_end(data.decode(encoding)), [f"text is {encoding.upper()}"]
    if b"\0" in data:
        raise ValueError("it holds zero bytes: a binary file, or UTF-16 without a mark; save it as UTF-8")
    return _one_line_end(data.decode("utf-8-sig")), []


def _one_line_end(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _delimited(text: str) -> tuple[pd.DataFrame, list[int], list[str]]:
    """Columns of delimited text, the line of each record, and what was taken to be meant."""
    said = None
    if text[:4].lower() == "sep=" and text[5:6] == "\n":
        said, text = text[4], text[6:]
    separator = said or _separator(text)
    head: list[str] = []
    lines: list[int] = []
    for line, record in _records(text, separator):
        if not head:
            head = record
        else:
            lines.append(line + (said is not None))
        if any(cell.strip() for cell in record[len(head) :]):
            commas = "; decimal commas need quotes, or another separator" if separator == "," else ""
            raise ValueError(f"line {line} has {len(record)} fields, the header {len(head)}{commas}")
    if not head:
        raise ValueError("the file is empty")
    with warnings.catch_warnings():
        # Rows longer than the header would otherwise shift or lose columns.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        frame = pd.read_csv(io.StringIO(text), sep=separator, index_col=False, low_memory=False)
    if len(frame.columns) <= len(head):
        # Repeated names stay as they are, so that they can be told.
        frame.columns = pd.Index([h.strip() or c for h, c in zip(head, frame.columns, strict=False)])
    notes = [] if separator == "," else [f"fields are parted by {SEPARATORS.get(separator, repr(separator))}"]
    return frame, lines if len(lines) == len(frame) else [], notes


def _records(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Records that are not blank, with their line; blank lines and line breaks in quotes are considered."""
    reader, before = csv.reader(io.StringIO(text), delimiter=separator), 0
    for record in reader:
        if len(record) > 1 or any(cell.strip() for cell in record):
            yield before + 1, record
        before = reader.line_num


def _separator(text: str) -> str:
    """Return the separator under which most records have as many fields as the header."""
    fits = {}
    for separator in SEPARATORS:
        records = (record for _, record in islice(_records(text, separator), LOOKED_AT))
        head = next(records, [])
        if len(head) > 1:
            fits[separator] = sum(len(record) == len(head) for record in records)
    best = [separator for separator, count in fits.items() if count == max(fits.values())]
    if len(best) > 1:
        names = " or ".join(SEPARATORS[s] for s in best)
        raise ValueError(f"its fields may be parted by {names}; put names with such signs in quotes")
    return best[0] if best else ","


# --------------------------------------------------------------------------- JSON


def _json_lines(text: str) -> list[Any]:
    """Values of a text with one JSON value a line."""
    values = []
    for number, line in enumerate(text.split("\n"), 1):
        try:
            values += [json.loads(line)] if line.strip() else []
        except json.JSONDecodeError as error:
            raise ValueError(f"line {number}: {error.msg}") from error
    return values


def _from_json(value: Any) -> pd.DataFrame:
    """Columns of a JSON value: rows as objects, columns as lists or objects, or a form that pandas writes."""
    if isinstance(value, dict) and isinstance(value.get("data"), list) and ("columns" in value or "schema" in value):
        if "schema" in value:
            return _from_json(value["data"])
        return pd.DataFrame(value["data"], columns=value["columns"])
    if isinstance(value, list):
        wrong = next((i for i, row in enumerate(value, 1) if not isinstance(row, dict)), None)
        if wrong is not None:
            raise ValueError(f"entry {wrong} is not an object with a value for each column")
        return pd.DataFrame(value)
    if isinstance(value, dict) and all(isinstance(column, (list, dict)) for column in value.values()):
        by_row = value and all(key.isdigit() and isinstance(row, dict) for key, row in value.items())
        return pd.DataFrame.from_dict(value, orient="index") if by_row else pd.DataFrame(value)
    raise ValueError("it is neither a list of rows nor an object of columns")
