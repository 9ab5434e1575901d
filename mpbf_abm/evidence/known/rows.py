"""Rows of the verification suite: what is known, what the model gives, and how far apart they may be.

A row is a small function ``(seed, **knobs) -> checks``. Its knobs can be changed, and the expected
value follows. Every check states its Monte-Carlo standard error; it passes when measured and
expected values lie within :data:`SIGMAS` of them, plus a tolerance that the row states and explains.
"""

from __future__ import annotations

import hashlib
import inspect
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.errors import ConfigurationError, MpbfError, did_you_mean

SIGMAS = 4.5
POWER = 1.96  # a deviation this many standard errors beyond the limit is caught 97.5 % of the time


@dataclass(frozen=True)
class Check:
    """One expected value beside the measured one.

    Attributes
    ----------
    name : str
    expected, measured : float
    error : float
        Monte-Carlo standard error of the difference; 0 where nothing is random.
    tolerance : float
        What is allowed beside the Monte-Carlo error: rounding, or a stated finite-size effect.
    relation : str
        ``=``; or ``<`` and ``>`` where only a side is known: the measured value must lie on that
        side of the expected one by more than `SIGMAS` standard errors.
    note : str
        What a reader needs to know: a limit, the reason of a tolerance.
    """

    name: str
    expected: float
    measured: float
    error: float = 0.0
    tolerance: float = 0.0
    relation: Literal["=", "<", ">"] = "="
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether the measured value is where it should be."""
        limit = SIGMAS * self.error + self.tolerance
        gap = self.measured - self.expected
        if self.relation == "=":
            return self.expected == self.measured or bool(abs(gap) <= limit)
        return bool(gap > limit) if self.relation == ">" else bool(gap < -limit)

    @property
    def detects(self) -> float:
        """Deviation that would be caught 97.5 times in a hundred."""
        return (SIGMAS + POWER) * self.error + self.tolerance


@dataclass(frozen=True)
class Knob:
    """A parameter of a row: default, bounds (inclusive unless `above`), help, and a value for quick runs."""

    default: Any
    help: str
    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    fast: Any = None

    def check(self, name: str, value: Any) -> Any:
        """Return a valid value in the default's kind, or raise one clear line."""
        sample = self.default[0] if isinstance(self.default, tuple) and self.default else self.default
        several = isinstance(self.default, tuple)
        values = value if isinstance(value, (list, tuple)) else (value,)
        if isinstance(value, (list, tuple)) and not several:
            raise ConfigurationError(f"{name} = {value!r}: must be one {self.kind()}")
        if several and self.default and not values:
            raise ConfigurationError(f"{name} = []: must have at least one {self.kind()}")
        out = []
        for v in values:
            good = isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v)
            if good and isinstance(sample, int):
                good = float(v).is_integer()
            low = v > self.low if good and self.above else good and v >= self.low
            if not (good and low and v <= self.high):
                raise ConfigurationError(f"{name} = {v!r}: must be a {self.kind()} {self.range()}".rstrip())
            out.append(int(v) if isinstance(sample, int) else float(v))
        return tuple(out) if several else out[0]

    def kind(self) -> str:
        """Return the words for its kind of value."""
        sample = self.default[0] if isinstance(self.default, tuple) and self.default else self.default
        return "whole number" if isinstance(sample, int) else "number"

    def range(self) -> str:
        """Return the words for its bounds."""
        low = "" if math.isinf(self.low) else f"{'above' if self.above else 'from'} {self.low:g}"
        high = "" if math.isinf(self.high) else f"{'to' if low else 'up to'} {self.high:g}"
        return f"{low} {high}".strip()


Rule = Callable[..., Iterable[Check]]


@dataclass(frozen=True)
class Row:
    """A known result.

    Attributes
    ----------
    id, title, source : str
    rule : callable
        ``(seed, **knobs) -> checks``.
    knobs : dict of str to Knob
    """

    id: str
    title: str
    source: str
    rule: Rule
    knobs: Mapping[str, Knob] = field(default_factory=dict)

    @property
    def needs_data(self) -> bool:
        """Whether the row takes a folder of real data."""
        return "data" in inspect.signature(self.rule).parameters

    @property
    def starts_processes(self) -> bool:
        """Whether the row has processes of its own, so that it cannot be run in a worker, which may have none."""
        return "workers" in self.knobs

    def values(self, changes: Mapping[str, Any] | None = None, *, fast: bool = False) -> dict[str, Any]:
        """Values of the knobs: defaults, quick ones if asked, and changes on top."""
        values = {
            name: knob.fast if fast and knob.fast is not None else knob.default for name, knob in self.knobs.items()
        }
        faults = []
        for name, value in (changes or {}).items():
            try:
                values[name] = self.knobs[name].check(f"{self.id}.{name}", value)
            except KeyError:
                faults.append(f"unknown parameter '{self.id}.{name}'{did_you_mean(name, self.knobs)}")
            except ConfigurationError as error:
                faults += error.faults
        if faults:
            raise ConfigurationError(faults)
        return values


ROWS: dict[str, Row] = {}


def row(id: str, title: str, source: str, **knobs: Knob) -> Callable[[Rule], Rule]:
    """Register a row; keyword arguments are its knobs."""

    def register(rule: Rule) -> Rule:
        if id in ROWS:
            raise ValueError(f"row {id} is registered twice")
        ROWS[id] = Row(id, title, source, rule, knobs)
        return rule

    return register


@dataclass(frozen=True)
class Outcome:
    """What became of one row.

    Attributes
    ----------
    id, title, source : str
    values : dict
        Values of its knobs.
    checks : tuple of Check
    seconds : float
    skipped : str
        Why it was not run; empty when it was.
    """

    id: str
    title: str
    source: str
    values: dict[str, Any]
    checks: tuple[Check, ...]
    seconds: float
    skipped: str = ""

    @property
    def passed(self) -> bool:
        """Whether every check passed; a row that was not run has none and has not failed."""
        return bool(self.skipped) or (bool(self.checks) and all(c.passed for c in self.checks))


class NotRun(MpbfError):
    """A row cannot be run here, with the reason."""


def evaluate(
    id: str, seed: int = 1, changes: Mapping[str, Any] | None = None, *, fast: bool = False, data: Path | None = None
) -> Outcome:
    """Run one row.

    Parameters
    ----------
    id : str
    seed : int
        Root seed; the row's runs have seeds of their own that follow from it.
    changes : mapping, optional
        Values of knobs.
    fast : bool
        Use the quick values (fewer runs, larger standard errors).
    data : Path, optional
        Folder of real data, for rows that need it.

    Raises
    ------
    ConfigurationError
        For an unknown knob or one out of range.
    """
    from mpbf_abm.processes import one_thread

    row = ROWS[id]
    values = row.values(changes, fast=fast)
    start = time.perf_counter()
    skipped = ""
    checks: tuple[Check, ...] = ()
    try:
        with one_thread():
            checks = tuple(row.rule(seed, **values, **({"data": data} if row.needs_data else {})))
    except NotRun as reason:
        skipped = str(reason)
    return Outcome(id, row.title, row.source, values, checks, time.perf_counter() - start, skipped)


# --------------------------------------------------------------------------- for rules


def seeds(seed: int, label: str, count: int) -> list[int]:
    """Seeds of a row's runs, which follow from the root seed and a label."""
    out = []
    for i in range(count):
        digest = hashlib.blake2b(f"{label}\x1f{seed}\x1f{i}".encode(), digest_size=8).digest()
        out.append(int.from_bytes(digest, "little") >> 2)
    return out


def generator(seed: int, label: str) -> np.random.Generator:
    """Generator for reference values and graphs that no run of the model draws."""
    return np.random.Generator(np.random.Philox(key=np.array([seeds(seed, label, 1)[0], 0], np.uint64)))


def mean_error(values: Sequence[float] | NDArray[Any]) -> tuple[float, float]:
    """Mean of independent values, and its standard error."""
    x = np.asarray(values, np.float64)
    return float(x.mean()), float(x.std(ddof=1) / math.sqrt(len(x))) if len(x) > 1 else math.inf


def variance_error(values: Sequence[float] | NDArray[Any]) -> tuple[float, float]:
    """Variance of independent values, and its standard error from their fourth moment."""
    x = np.asarray(values, np.float64)
    n = len(x)
    deviation = (x - x.mean()) ** 2
    v = deviation.sum() / (n - 1)
    return float(v), float(math.sqrt(max(0.0, (np.mean(deviation**2) - v**2 * (n - 3) / (n - 1)) / n)))


def share_error(hits: float, count: int) -> tuple[float, float]:
    """Share of successes, and its standard error (never 0: one further success or failure is assumed)."""
    smoothed = (hits + 1.0) / (count + 2.0)
    return hits / count, math.sqrt(smoothed * (1.0 - smoothed) / count)
