"""Rows of the verification suite, and mutations that they must notice.

A row is a small function ``(seed, **parameters) -> checks``. Its parameters can be changed, and the expected value
follows. Every check states its Monte-Carlo standard error. It passes when measured and expected values lie within
:data:`SIGMAS` of them, plus a tolerance that the row states and explains.

A mutation replaces one function of the package for a moment by a wrong one. Rows that never call the function cannot
be touched, which is seen by counting calls. Of those that do, exactly the named ones must fail.
"""

from __future__ import annotations

import hashlib
import inspect
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial, wraps
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar

from mpbf_abm.arrays import Float
from mpbf_abm.errors import MpbfError, did_you_mean, refuse, refuse_any, tried
from mpbf_abm.learning.heads import Head
from mpbf_abm.measures.path import run_to
from mpbf_abm.model.community import Community
from mpbf_abm.model.materials import MaterialsSpace
from mpbf_abm.parameters import Parameters
from mpbf_abm.provenance import DEFAULT_SEED

Relation = Literal["=", "<", ">"]
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
    relation: Relation = "="
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
class Parameter:
    """A parameter of a row: default, help, bounds (inclusive unless `above`), and a value for quick runs."""

    default: Any
    help: str
    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    fast: Any = None

    @property
    def several(self) -> bool:
        """Whether it takes several numbers."""
        return isinstance(self.default, tuple)

    @property
    def whole(self) -> bool:
        """Whether it takes whole numbers only."""
        return isinstance(self.default[0] if self.several and self.default else self.default, int)

    def check(self, name: str, value: Any) -> Any:
        """Return a valid value in the default's kind, or raise one clear line."""
        many = isinstance(value, (list, tuple))
        values = value if many else (value,)
        refuse(many and not self.several, f"{name} = {value!r}: must be one {self.kind()}")
        # Only several numbers can be none.
        refuse(self.default and not values, f"{name} = []: must have at least one {self.kind()}")
        for v in values:
            refuse(not self._takes(v), f"{name} = {v!r}: must be a {self.kind()} {self.range()}".rstrip())
        out = tuple(map(int if self.whole else float, values))
        return out if self.several else out[0]

    def _takes(self, v: Any) -> bool:
        """Return whether something is a number of the default's kind within the bounds."""
        if type(v) is bool or not isinstance(v, (int, float)) or not math.isfinite(v):
            return False
        fits = float(v).is_integer() or not self.whole
        return fits and self.low <= v <= self.high and not (self.above and v == self.low)

    def kind(self) -> str:
        """Return the words for its kind of value."""
        return "whole number" if self.whole else "number"

    def range(self) -> str:
        """Return the words for its bounds."""
        low = "" if math.isinf(self.low) else f"{'above' if self.above else 'from'} {self.low:g}"
        high = "" if math.isinf(self.high) else f"{'to' if low else 'up to'} {self.high:g}"
        return f"{low} {high}".strip()


# Declares a parameter of a row, as the default of an argument of its rule.
parameter: Callable[..., Any] = Parameter

Rule = Callable[..., Iterable[Check]]


@dataclass(frozen=True)
class KnownRow:
    """A known result.

    Attributes
    ----------
    id, title, source : str
    rule : callable
        ``(seed, **parameters) -> checks``.
    parameters : dict of str to Parameter
    """

    id: str
    title: str
    source: str
    rule: Rule
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    @property
    def needs_data(self) -> bool:
        """Whether the row takes a folder of real data."""
        return "data" in inspect.signature(self.rule).parameters

    @property
    def starts_processes(self) -> bool:
        """Whether the row starts processes, so that it cannot be run in a worker, which may have none."""
        return "workers" in self.parameters

    def values(self, changes: Mapping[str, Any] | None = None, *, fast: bool = False) -> dict[str, Any]:
        """Return the values of the parameters: defaults, quick ones if asked, and changes on top."""
        values = {k: v.fast if fast and v.fast is not None else v.default for k, v in self.parameters.items()}
        given, faults = tried(partial(self._value, name, value) for name, value in (changes or {}).items())
        refuse_any(faults)
        return values | dict(given)

    def _value(self, name: str, value: Any) -> tuple[str, Any]:
        """Return a parameter's name and its valid value."""
        meant = did_you_mean(name, self.parameters)
        refuse(name not in self.parameters, f"unknown parameter '{self.id}.{name}'{meant}")
        return name, self.parameters[name].check(f"{self.id}.{name}", value)


ROWS: dict[str, KnownRow] = {}


def row(id: str, title: str, source: str) -> Callable[[Rule], Rule]:
    """Register a row; arguments of its rule whose default is a :func:`parameter` can be changed."""

    def register(rule: Rule) -> Rule:
        if id in ROWS:
            raise ValueError(f"row {id} is registered twice")
        defaults = {k: v.default for k, v in inspect.signature(rule).parameters.items()}
        ROWS[id] = KnownRow(id, title, source, rule, {k: v for k, v in defaults.items() if isinstance(v, Parameter)})
        return rule

    return register


@dataclass(frozen=True)
class RowOutcome:
    """The result of one row.

    Attributes
    ----------
    id, title, source : str
    values : dict
        Values of its parameters.
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
    id: str,
    seed: int = DEFAULT_SEED,
    changes: Mapping[str, Any] | None = None,
    *,
    fast: bool = False,
    data: Path | None = None,
) -> RowOutcome:
    """Run one row.

    Parameters
    ----------
    id : str
    seed : int
        Root seed; the seeds of the row's runs follow from it.
    changes : mapping, optional
        Values of parameters.
    fast : bool
        Use the quick values (fewer runs, larger standard errors).
    data : Path, optional
        Folder of real data, for rows that need it.

    Raises
    ------
    ConfigurationError
        For an unknown parameter or one out of range.
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
    return RowOutcome(id, row.title, row.source, values, checks, time.perf_counter() - start, skipped)


# --------------------------------------------------------------------------- for rules


def seeds(seed: int, label: str, count: int) -> list[int]:
    """Return seeds of a row's runs, which follow from the root seed and a label."""
    keys = (f"{label}\x1f{seed}\x1f{i}".encode() for i in range(count))
    return [int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "little") >> 2 for key in keys]


def generator(seed: int, label: str) -> np.random.Generator:
    """Return a generator for reference values and graphs that no run of the model draws."""
    return np.random.Generator(np.random.Philox(key=np.array([seeds(seed, label, 1)[0], 0], np.uint64)))


def mean_error(values: ArrayLike) -> tuple[float, float]:
    """Return the mean of independent values, and its standard error."""
    x = np.asarray(values, np.float64)
    return float(x.mean()), float(x.std(ddof=1) / math.sqrt(len(x))) if len(x) > 1 else math.inf


def variance_error(values: ArrayLike) -> tuple[float, float]:
    """Return the variance of independent values, and its standard error from their fourth moment."""
    x = np.asarray(values, np.float64)
    n = len(x)
    deviation = (x - x.mean()) ** 2
    v = deviation.sum() / (n - 1)
    return float(v), float(math.sqrt(max(0.0, (np.mean(deviation**2) - v**2 * (n - 3) / (n - 1)) / n)))


def share_error(hits: float, count: int) -> tuple[float, float]:
    """Return the share of successes, and its standard error (never 0: one further success or failure is assumed)."""
    smoothed = (hits + 1.0) / (count + 2.0)
    return hits / count, math.sqrt(smoothed * (1.0 - smoothed) / count)


# --------------------------------------------------------------------------- communities

# Communities that rows run: urns, and single learners; and the exact law of two colours.

RUNS = "runs of the model"


def grouped(**groups: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters that are given by group as a flat ``{path: value}`` mapping."""
    return {f"{group}.{name}": value for group, values in groups.items() for name, value in values.items()}


# One small space of one family, and one trainer of one latent dimension that learns from masked records.
ONE_FAMILY = grouped(
    space={"families": 1, "quantum_dims": 4, "meso_dims": 1, "gauge_dims": 0, "spurious_dims": 0},
    trainers={"head": "mean", "objective": "masked", "latent_dims": 1, "reuse": 0.0, "panel": 1},
    planners={"neighbours": 0},
    stocks={"compute": 0.0},
    infrastructure={"repositories": 1},
)
LEARNING = ONE_FAMILY | grouped(
    space={"materials": 400, "feasible": 1.0},
    founding={"records": 0},
    curators={"records": 1},
    modalities={"simulated_noise": 0.0},
    trainers={"harmonisation": 0.0, "count": 1, "retrain_interval": 1, "records": 1_000_000},
    planners={"count": 0},
    coupling={"uncertainty_dal_ral": 0.0, "uncertainty_ral_isl": 0.0, "pseudo_anchor": "property"},
)


def urn(families: int, mass: float | Sequence[float] | Float = 1.0, batch: int = 1, **changes: Any) -> Parameters:
    """Null community of `batch` curators who enter one record each per tick, and no planners."""
    defaults = grouped(
        space={"materials": max(4, 2 * families), "families": families},
        founding={"records": 0, "mass": mass if isinstance(mass, (int, float)) else tuple(float(m) for m in mass)},
        curators={"count": batch, "records": 1, "exploration": 0.0},
        planners={"count": 0},
        infrastructure={"repositories": 1},
    )
    return Parameters.null(**(defaults | changes))


def reinforcing(g: float, eps: float) -> dict[str, Any]:
    """Attention of curators and planners alike."""
    return grouped(curators={"reinforcement": g, "exploration": eps}, planners={"reinforcement": g, "exploration": eps})


@lru_cache(maxsize=32)
def small_space(families: int, materials: int) -> MaterialsSpace:
    """Materials space of null communities, where only the number of families counts."""
    p = Parameters.null(**{"space.materials": materials, "space.families": families, "space.feasible": 1.0})
    return MaterialsSpace.synthetic(p, seed=0)


def family_masses(p: Parameters, run_seeds: Sequence[int], ticks: int | Sequence[int]) -> Float:
    """Family masses at the end of runs (R, K), or at several ticks (R, T, K)."""
    space = small_space(p.space.families, p.space.materials)
    return np.array([run_to(p, s, ticks, space=space) for s in run_seeds])


def law_of_two(a: float, b: float, n: int, g: float = 1.0, eps: float = 0.0) -> Float:
    """Exact law of the first colour's draws after n draws from two colours, one at a time (n + 1,)."""
    law = np.array([1.0])
    for t in range(n):
        first = np.arange(t + 1.0)
        x, y = (a + first) ** g, (b + t - first) ** g
        up = eps / 2 + (1 - eps) * x / (x + y)
        law = np.append(law * (1 - up), 0.0) + np.append(0.0, law * up)
    return law


def learning_community(**changes: Any) -> Parameters:
    """Return a null community whose single trainer fits a mean to everything it can read, at every tick."""
    return Parameters.null(**{**LEARNING, **changes})


def flat_space(
    p: Parameters, property: float | Float = 0.0, simulated: float | Float = 0.0, seed: int = 0
) -> MaterialsSpace:
    """Return the space of a community with property and simulation as given (numbers, or one for each material)."""
    space = MaterialsSpace.synthetic(p, seed=seed)
    flat, simulation = (np.broadcast_to(v, space.size).astype(np.float32) for v in (property, simulated))
    return replace(space, property=flat, simulated=simulation)


def learned(eco: Community) -> tuple[float, float]:
    """Mean and noise variance of the only model."""
    model = eco.world.registry.models[0]
    if model is None or not isinstance(model.head, Head):
        raise RuntimeError("the trainer has published no linear model")
    return float(model.head.offset + model.head.mean[-1]), float(model.head.noise)


def generations(p: Parameters, run_seeds: Sequence[int], ticks: int, space: MaterialsSpace) -> Float:
    """Return the mean and noise variance that the trainer has learned after each tick (R, T, 2)."""
    return np.array([run_to(p, s, range(1, ticks + 1), space=space, observe=learned) for s in run_seeds])


def urn_moments(a: float, total: float, batch: int, ticks: int) -> tuple[float, float]:
    """Second and fourth central moment of the first family's share of a linear urn, for errors of sample variances."""
    rows = [1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 1, 1, 0, 0], [0, 1, 3, 1, 0], [0, 1, 7, 6, 1]
    stirling = np.array(rows, np.float64)
    # Raw moments of a binomial batch are polynomials in the share.
    drawn = stirling * np.array([math.prod(batch - i for i in range(j)) for j in range(5)], np.float64)
    raw = (a / total) ** np.arange(5.0)
    for n in total + batch * np.arange(ticks):
        terms = [
            [math.comb(k, i) * n ** (k - i) * drawn[i, j] * raw[k - i + j] for i in range(k + 1) for j in range(i + 1)]
            for k in range(5)
        ]
        raw = np.array([sum(row) / (n + batch) ** k for k, row in enumerate(terms)])
    x = raw[1]
    return float(raw[2] - x**2), float(raw[4] - 4 * x * raw[3] + 6 * x**2 * raw[2] - 3 * x**4)


def fold(gamma: float, families: int) -> float:
    """Largest exploration at which a winner, `r` times each other family, can hold its share."""

    def exploration(log_ratio: float) -> float:
        r = math.exp(log_ratio)
        share, drawn = r / (r + families - 1), r**gamma / (r**gamma + families - 1)
        return float((drawn - share) / (drawn - 1 / families))

    if families == 2:
        return 1 - 1 / gamma  # tanh z / tanh(gamma z) only grows with z: the fold is at equality
    grid = np.linspace(1e-3, 12.0, 2400)
    best = grid[1:-1][np.argmax([exploration(v) for v in grid[1:-1]])]
    found = minimize_scalar(
        lambda v: -exploration(v), bounds=(best - 0.005, best + 0.005), method="bounded", options={"xatol": 1e-9}
    )
    return max(1 - 1 / gamma, exploration(float(found.x)))


def known_fold(gamma: float, families: int) -> float:
    """The fold in closed form where there is one, ``K / (1 + sqrt(K - 1))^2`` at gamma = 2, and by search elsewhere."""
    return families / (1 + math.sqrt(families - 1)) ** 2 if gamma == 2 else fold(gamma, families)


# --------------------------------------------------------------------------- mutations

Wrong = Callable[..., Any]


@dataclass(frozen=True)
class Mutation:
    """An injected fault.

    Attributes
    ----------
    name : str
        What is wrong about it.
    function : callable
        Function or method of the package that is replaced.
    breaks : tuple of str
        Rows that must fail; no other row may.
    wrong : callable
        Takes the right function, then its arguments.
    """

    name: str
    function: Callable[..., Any]
    breaks: tuple[str, ...]
    wrong: Wrong

    @property
    def target(self) -> str:
        """Module and name of the function."""
        return f"{self.function.__module__.removeprefix('mpbf_abm.')}:{self.function.__qualname__}"


MUTATIONS: list[Mutation] = []


def mutation(name: str, function: Callable[..., Any], breaks: str) -> Callable[[Wrong], None]:
    """Register an injected fault, which takes the right rule before its arguments, and the rows that it must fail."""
    return lambda wrong: MUTATIONS.append(Mutation(name, function, tuple(breaks.split()), wrong))


@contextmanager
def patched(function: Callable[..., Any], wrong: Wrong) -> Iterator[None]:
    """Replace a function of the package wherever it is known, until the block ends."""
    owner: Any = sys.modules[function.__module__]
    *path, last = function.__qualname__.split(".")
    for part in path:
        owner = getattr(owner, part)
    original = vars(owner)[last]

    @wraps(original)
    def replacement(*arguments: Any, **named: Any) -> Any:
        return wrong(original, *arguments, **named)

    places = [(owner, last)]
    if not path:  # a function imported by name stands in several modules
        modules = [m for name, m in list(sys.modules.items()) if name.startswith("mpbf_abm") and m is not None]
        places = [(m, key) for m in modules for key, value in list(vars(m).items()) if value is original]
    for place, key in places:
        setattr(place, key, replacement)
    try:
        yield
    finally:
        for place, key in places:
            setattr(place, key, original)


def failing(mutation: Mutation, ids: Sequence[str], seed: int) -> set[str]:
    """Return the rows among `ids` that fail under a mutation; an exception is a failure, too."""
    failed = set()
    with patched(mutation.function, mutation.wrong):
        for id in ids:
            try:
                if not evaluate(id, seed, fast=True).passed:
                    failed.add(id)
            except Exception:  # noqa: BLE001  (a rule may be wrong enough to stop the model)
                failed.add(id)
    return failed


def callers(targets: Iterable[str], id: str, seed: int) -> set[str]:
    """Return which of some functions one row calls."""
    called: set[str] = set()
    functions = {m.target: m.function for m in MUTATIONS}

    def counted(target: str) -> Wrong:
        def call(right: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
            called.add(target)
            return right(*arguments, **named)

        return call

    with ExitStack() as stack:
        for target in dict.fromkeys(targets):
            stack.enter_context(patched(functions[target], counted(target)))
        evaluate(id, seed, fast=True)
    return called
