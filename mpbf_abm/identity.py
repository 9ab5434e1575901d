"""What functions and classes of a user's are told apart by: their source, what they close over, what is bound to them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np

from mpbf_abm.errors import ConfigurationError

NOT_OWN = ("mpbf_abm.", "mesa.", "builtins")
# Members that every class has, or that say where it stands.
FORMAL = frozenset({"__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__annotations__", "__firstlineno__", "__static_attributes__",
                    "__abstractmethods__", "_abc_impl", "__parameters__", "__orig_bases__"})  # fmt: skip


def identity_of(thing: Any) -> Iterator[bytes]:
    """Yield what the results of a function or class follow from: file, code, what it closes over, arguments that are bound.

    What it imports is not looked at.

    Raises
    ------
    ConfigurationError
        For something that another run of the program could not tell from something else.
    """
    if isinstance(thing, partial):
        yield b"partial"
        yield from identity_of(thing.func)
        yield from identity_of((thing.args, dict(sorted(thing.keywords.items()))))
    elif isinstance(thing, (tuple, list)):
        yield f"{type(thing).__name__} of {len(thing)}".encode()
        for part in thing:
            yield from identity_of(part)
    elif isinstance(thing, dict):
        yield f"dict of {len(thing)}".encode()
        for key, value in thing.items():
            yield repr(key).encode()
            yield from identity_of(value)
    elif inspect.isfunction(thing):
        yield from _file(inspect.unwrap(thing))
        yield thing.__qualname__.encode()
        yield from _code(thing.__code__)
        yield from identity_of((thing.__defaults__ or (), thing.__kwdefaults__ or {}))
        yield from identity_of([cell.cell_contents for cell in thing.__closure__ or ()])
    elif isinstance(thing, (staticmethod, classmethod)):
        yield type(thing).__name__.encode()
        yield from identity_of(thing.__func__)
    elif isinstance(thing, property):
        yield from identity_of([thing.fget, thing.fset, thing.fdel])
    elif isinstance(thing, type):
        yield from _class(thing)
    elif inspect.ismodule(thing) or inspect.isbuiltin(thing):
        yield f"{type(thing).__name__} {thing.__name__}".encode()
    elif thing is None or isinstance(thing, (bool, int, float, str, bytes, np.generic)):
        yield f"{type(thing).__name__} {thing!r}".encode()
    elif isinstance(thing, np.ndarray) and not thing.dtype.hasobject:
        yield repr((thing.dtype, thing.shape)).encode() + thing.tobytes()
    else:
        raise ConfigurationError(
            f"{type(thing).__name__} cannot be told from another one; models and rules are functions and classes, with numbers, words, arrays or "
            "functions bound to them (functools.partial)"
        )


def _class(thing: type) -> Iterator[bytes]:
    """What a class is told apart by: its file and its members, and those of the classes it is made from."""
    for part in thing.__mro__:
        if part is object:
            continue
        yield f"{part.__module__}:{part.__qualname__}".encode()
        if part.__module__.startswith(NOT_OWN):
            continue
        yield from _file(part)
        for name in sorted(vars(part).keys() - FORMAL):
            yield name.encode()
            yield from identity_of(vars(part)[name])


def _file(thing: Any) -> Iterator[bytes]:
    """Content of the file that something stands in, if it stands in one."""
    try:
        yield Path(inspect.getsourcefile(thing) or "").read_bytes()
    except (OSError, TypeError):
        yield b"no file"


def _code(code: CodeType) -> Iterator[bytes]:
    """Code of a function, and of those that are made in it."""
    yield code.co_code
    yield repr((code.co_names, code.co_varnames, code.co_freevars)).encode()
    for constant in code.co_consts:
        yield from _code(constant) if isinstance(constant, CodeType) else iter([repr(constant).encode()])
