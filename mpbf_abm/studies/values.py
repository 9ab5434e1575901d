"""Values as bytes: nested lists, mappings, arrays and tables, to JSON and raw arrays and back, bit for bit; nothing is ever unpickled."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

HEAD = 8  # bytes that say how long the JSON is


def pack_value(value: Any) -> bytes:
    """Turn a value into compressed bytes.

    Parameters
    ----------
    value : object
        None, truth values, whole numbers, floats (NaN and infinities, too), text, NumPy arrays and scalars that hold no objects,
        pandas tables, and lists, tuples and dicts of all of them.

    Raises
    ------
    TypeError
        For anything else.
    """
    arrays: list[np.ndarray[Any, Any]] = []
    text = json.dumps(_plain(value, arrays), separators=(",", ":")).encode()
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
        return _Reader(raw, start).value(json.loads(raw[HEAD:start]))
    except (
        zlib.error,
        TypeError,
        KeyError,
        IndexError,
        RecursionError,
        SyntaxError,
        MemoryError,
        OverflowError,
    ) as error:
        raise ValueError(f"is no stored value ({error})") from None


def _plain(value: Any, arrays: list[np.ndarray[Any, Any]]) -> Any:
    """JSON of a value; arrays are put aside in the order in which they are named."""
    if value is None or type(value) in (bool, float, str):
        return value
    if type(value) is int:
        if abs(value) >> 4_096:
            raise TypeError("a whole number of more than 4,096 bits cannot be stored")
        return value
    if isinstance(value, (np.ndarray, np.generic)):
        array = np.asarray(value)
        if array.dtype.kind == "V" or (array.dtype.hasobject and array.dtype.kind != "O"):
            raise TypeError(f"an array of {array.dtype} cannot be stored")
        if array.dtype.kind == "O":
            if array.ndim != 1:
                raise TypeError("an array of objects cannot be stored")
            return {"objects": [_plain(v, arrays) for v in array.tolist()]}
        arrays.append(array)
        return {"scalar" if isinstance(value, np.generic) else "array": [array.dtype.str, list(array.shape)]}
    if isinstance(value, (list, tuple)):
        return {type(value).__name__ if type(value) in (list, tuple) else "tuple": [_plain(v, arrays) for v in value]}
    if isinstance(value, dict):
        return {"dict": [[_plain(k, arrays), _plain(v, arrays)] for k, v in value.items()]}
    import pandas as pd

    if isinstance(value, pd.DataFrame):
        for index in (value.columns, value.index):
            if isinstance(index, pd.MultiIndex) or not _is_plain(index.dtype):
                raise TypeError(
                    "a table whose rows or columns have several names, or names of a kind of pandas' own, cannot be stored"
                )
        if not value.columns.is_unique or not all(map(_is_plain, value.dtypes)):
            raise TypeError("a table with columns of one name, or of a kind of pandas' own, cannot be stored")
        columns = [
            [
                _is_text(value[name].dtype),
                _plain(value[name].to_numpy(object if _is_text(value[name].dtype) else None), arrays),
            ]
            for name in value.columns
        ]
        return {"table": [_index(value.columns, arrays), _index(value.index, arrays), columns]}
    raise TypeError(f"a {type(value).__name__} cannot be stored")


def _is_plain(dtype: Any) -> bool:
    """Whether a type of a column is one of NumPy, or that of text."""
    return isinstance(dtype, np.dtype) or _is_text(dtype)


def _is_text(dtype: Any) -> bool:
    """Whether a type of a column is pandas' own for text."""
    return str(dtype) == "str"


def _index(index: pd.Index[Any], arrays: list[np.ndarray[Any, Any]]) -> Any:
    """JSON of the names of columns or rows: a count where they are numbered."""
    import pandas as pd

    if isinstance(index, pd.RangeIndex) and (index.start, index.step, index.name) == (0, 1, None):
        return len(index)
    text = _is_text(index.dtype)
    return [_plain(index.name, arrays), [text, _plain(index.to_numpy(object if text else None), arrays)]]


class _Reader:
    """Reads values; arrays are taken from the raw bytes in order."""

    def __init__(self, raw: bytes, start: int) -> None:
        self.raw, self.at = raw, start

    def value(self, found: Any) -> Any:
        if not isinstance(found, dict):
            return found
        ((kind, content),) = found.items()
        match kind:
            case "array" | "scalar":
                dtype, shape = np.dtype(content[0]), tuple(content[1])
                if dtype.hasobject or any(n < 0 for n in shape):
                    raise ValueError("an array of objects, or of no shape")
                count = int(np.prod(shape, dtype=np.int64))
                array = np.frombuffer(self.raw, dtype, count, self.at).reshape(shape).copy()
                self.at += count * dtype.itemsize
                return array if kind == "array" else array[()]
            case "objects":
                out = np.empty(len(content), object)
                out[:] = [self.value(v) for v in content]
                return out
            case "list":
                return [self.value(v) for v in content]
            case "tuple":
                return tuple(self.value(v) for v in content)
            case "dict":
                return {self.value(k): self.value(v) for k, v in content}
            case "table":
                return self._table(*content)
        raise ValueError(f"unknown kind '{kind}'")

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
