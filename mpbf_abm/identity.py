"""Identity of a user's functions and classes: their source, what they close over, what is bound to them."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Container, Iterator
from functools import partial
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType, NoneType
from typing import Any, TypeVar

import numpy as np

from mpbf_abm.errors import ConfigurationError, refuse

T = TypeVar("T")
NOT_OWN = ("mpbf_abm.", "mesa.", "builtins")
# Members that every class has, or that say where it stands.
FORMAL = frozenset(
    {
        "__module__",
        "__qualname__",
        "__doc__",
        "__dict__",
        "__weakref__",
        "__annotations__",
        "__firstlineno__",
        "__static_attributes__",
        "__abstractmethods__",
        "_abc_impl",
        "__parameters__",
        "__orig_bases__",
    }
)


def identity_of(thing: Any, form: int = 1) -> Iterator[bytes]:
    """Yield what the results of a function or class follow from: file, code, closure, bound arguments.

    What it imports is not looked at.

    Parameters
    ----------
    thing : object
    form : int
        Form 0 is that of stores of version 0.1.
        It does not say where a list ends, what type a number has, or which function of a file it is but
        for its name.

    Raises
    ------
    ConfigurationError
        For something that another run of the program could not tell from something else.
    """
    if isinstance(thing, partial):
        yield from _mark("partial", form)
        yield from identity_of(thing.func, form)
        yield from identity_of((thing.args, dict(sorted(thing.keywords.items()))), form)
    elif isinstance(thing, (tuple, list)):
        yield from _mark(f"{type(thing).__name__} of {len(thing)}", form)
        for part in thing:
            yield from identity_of(part, form)
    elif isinstance(thing, dict):
        yield from _mark(f"dict of {len(thing)}", form)
        for key, value in thing.items():
            yield (repr(key) if form else str(key)).encode()
            yield from identity_of(value, form)
    elif isinstance(thing, (staticmethod, classmethod)):
        yield type(thing).__name__.encode()
        yield from identity_of(thing.__func__, form)
    elif isinstance(thing, property):
        yield from identity_of([thing.fget, thing.fset, thing.fdel], form)
    elif isinstance(thing, (FunctionType, type)):
        yield from _function(thing, form) if isinstance(thing, FunctionType) else _class(thing)
    else:
        yield _atom(thing, form)


def _atom(thing: Any, form: int) -> bytes:
    """Return what distinguishes something without parts: a name, a value, numbers of an array."""
    kind = type(thing).__name__
    if isinstance(thing, (ModuleType, BuiltinFunctionType)):
        return f"{kind} {thing.__name__}".encode()
    if isinstance(thing, (NoneType, bool, int, float, str, bytes, np.generic)):
        return (f"{kind} {thing!r}" if form else repr(thing)).encode()
    if isinstance(thing, np.ndarray) and not thing.dtype.hasobject:
        return repr((thing.dtype, thing.shape)).encode() + thing.tobytes()
    raise ConfigurationError(
        f"{kind} cannot be distinguished from another one; models and rules are functions and classes, "
        "with numbers, words, arrays or functions bound to them (functools.partial)"
    )


def _mark(text: str, form: int) -> list[bytes]:
    """What form 0 does not say."""
    return [text.encode()] if form else []


def _function(thing: Any, form: int) -> Iterator[bytes]:
    """What distinguishes a function: its file and code, its defaults, what it closes over."""
    file, name, code = _file(inspect.unwrap(thing)), thing.__qualname__.encode(), _code(thing.__code__, form)
    if form:
        yield from (file or b"no file", name, *code)
    else:
        yield from (*(code if file is None else [file]), name)
    yield from identity_of((thing.__defaults__ or (), thing.__kwdefaults__ or {}), form)
    yield from identity_of([cell.cell_contents for cell in thing.__closure__ or ()], form)


def _class(thing: type) -> Iterator[bytes]:
    """What distinguishes a class: its file and its members, and those of the classes it is made from."""
    for part in thing.__mro__:
        if part is object:
            continue
        yield f"{part.__module__}:{part.__qualname__}".encode()
        if part.__module__.startswith(NOT_OWN):
            continue
        yield _file(part) or b"no file"
        for name in sorted(vars(part).keys() - FORMAL):
            yield name.encode()
            yield from identity_of(vars(part)[name])


def _file(thing: Any) -> bytes | None:
    """Content of the file that something stands in, if it stands in one."""
    try:
        return Path(inspect.getsourcefile(thing) or "").read_bytes()
    except (OSError, TypeError):
        return None


def _code(code: CodeType, form: int) -> Iterator[bytes]:
    """Code of a function, and of those that are made in it."""
    yield code.co_code
    yield repr((code.co_names, code.co_varnames, code.co_freevars) if form else code.co_names).encode()
    for constant in code.co_consts:
        yield from _code(constant, form) if isinstance(constant, CodeType) else iter([repr(constant).encode()])


# --------------------------------------------------------------------------- what users register

_modules: set[str] = set()


def own(function: T) -> T:
    """Note the module that registers something, so that worker processes import it; return what was registered."""
    module = getattr(function, "__module__", None) or ""
    if module and not module.startswith(NOT_OWN):
        _modules.add(module)
    return function


def name_of(function: Any, name: str | None, kind: str, taken: Container[str]) -> str:
    """Return the name something registers under: the one given, or else its own.

    Raises
    ------
    ConfigurationError
        If it is taken.
    """
    called: str = name or function.__name__
    refuse(called in taken, f"{kind} '{called}' is registered already")
    return called


def first_line(function: Any, otherwise: str) -> str:
    """Return the first line of a docstring, without its full stop."""
    return (function.__doc__ or otherwise).strip().split("\n")[0].rstrip(".")


def source_hash(function: Any, before: str = "", form: int = 1) -> str:
    """Return a hash of some text, and of what a function of the user follows from."""
    digest = hashlib.blake2b(before.encode(), digest_size=16)
    for part in identity_of(function, form):
        digest.update(b"\0" + part)
    return digest.hexdigest()


def is_own(function: object) -> bool:
    """Whether a function is the user's, and not of the package."""
    return not getattr(function, "__module__", "").startswith(NOT_OWN)


def own_modules() -> tuple[str, ...]:
    """Return modules of the user that have registered something; processes import the script itself anyway."""
    return tuple(sorted(_modules - {"__main__", "__mp_main__"}))
