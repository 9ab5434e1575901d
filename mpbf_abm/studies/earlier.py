"""Ids of runs, and fingerprints of models, in stores of version 0.1 (form 0): read and gone on with, never made anew."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any

import numpy as np

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.provenance import content_hash

if TYPE_CHECKING:
    from mpbf_abm.studies.definition import Study
    from mpbf_abm.studies.plan import Plan


def run_id(plan: Plan, scenario: int, arm: int, seed: int, history: int) -> str:
    """Id of a run: what it notes, and where its materials were read, are part of it."""
    study, recorded = plan.study, plan.recorded
    shared = {
        "model": plan.fingerprint,
        "ticks": study.ticks,
        "measures": [m.key for m in recorded.measures],
        "series": [list(recorded.series.of), recorded.series.every if recorded.series.of else 1],
        "space": None
        if plan.origin is None
        else {k: v for k, v in plan.origin.items() if k not in ("source", "content")},
        "branch": study.branch.tick if study.branch is not None and study.branch.history == "one" else None,
    }
    state = hashlib.blake2b(content_hash(shared).encode(), digest_size=16)
    state.update(plan.content(scenario, plan.arms[arm]).encode())
    state.update(plan.events[arm].encode())
    state.update(history.to_bytes(8, "little"))
    state.update(seed.to_bytes(8, "little"))
    return state.hexdigest()


def fingerprint(study: Study) -> str:
    """Hash of the source of a model of one's own; its name as it was told then."""
    model: Any = study.model
    name = f"{model.__module__}:{getattr(model, '__qualname__', type(model).__qualname__)}"
    digest = hashlib.blake2b(name.encode(), digest_size=16)
    for part in _identity(model):
        digest.update(b"\0" + part)
    return digest.hexdigest()


def _identity(thing: Any) -> Iterator[bytes]:
    """What the results of a function follow from: its file, its code, what it closes over, arguments that are bound.

    What it imports is not looked at.

    Raises
    ------
    ConfigurationError
        For something that another run of the program could not tell from something else.
    """
    if isinstance(thing, partial):
        yield from _identity(thing.func)
        yield from _identity((thing.args, dict(sorted(thing.keywords.items()))))
    elif isinstance(thing, (tuple, list)):
        for part in thing:
            yield from _identity(part)
    elif isinstance(thing, dict):
        for key, value in thing.items():
            yield str(key).encode()
            yield from _identity(value)
    elif inspect.isfunction(thing):
        try:
            yield Path(inspect.getsourcefile(inspect.unwrap(thing)) or "").read_bytes()
        except (OSError, TypeError):
            yield from _code(thing.__code__)
        yield thing.__qualname__.encode()
        yield from _identity((thing.__defaults__ or (), thing.__kwdefaults__ or {}))
        yield from _identity([cell.cell_contents for cell in thing.__closure__ or ()])
    elif thing is None or isinstance(thing, (bool, int, float, str, bytes, np.generic)):
        yield repr(thing).encode()
    elif isinstance(thing, np.ndarray) and thing.dtype != object:
        yield repr((thing.dtype, thing.shape)).encode() + thing.tobytes()
    else:
        raise ConfigurationError(
            f"model: {type(thing).__name__} cannot be told from another one; a model is a function, with numbers, words, arrays or functions bound to it (functools.partial)"
        )


def _code(code: CodeType) -> Iterator[bytes]:
    """Code of a function that has no file."""
    yield code.co_code
    yield repr(code.co_names).encode()
    for constant in code.co_consts:
        yield from _code(constant) if isinstance(constant, CodeType) else iter([repr(constant).encode()])
