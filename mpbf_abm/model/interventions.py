"""Policies: levers on parameters, and the parameters in force; and what policies and shocks have in common.

A policy moves parameters toward targets between its start and its end.
A shock happens to the community (:mod:`mpbf_abm.model.shocks`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeVar, cast

import numpy as np
from pydantic import Field, field_validator

from mpbf_abm.config import TICKS, Section
from mpbf_abm.errors import ConfigurationError, did_you_mean, refuse, refuse_any, tried
from mpbf_abm.identity import name_of
from mpbf_abm.model.world import Cohort
from mpbf_abm.parameters import PATHS, Parameters, bounds_of, current, too_small, value_faults


@dataclass(frozen=True)
class Lever:
    """How a policy moves one parameter.

    Attributes
    ----------
    path : str
        Dotted parameter.
    target : float or bool or str
        Value at strength 1.
    mode : str
        set moves the value toward the target; floor and cap let it stand where it is stricter.
    """

    path: str
    target: Any
    mode: Literal["set", "floor", "cap"] = "set"

    def value(self, base: Any, strength: float) -> Any:
        """Value of the parameter at a strength from 0 to 1."""
        vector = isinstance(base, tuple)
        if isinstance(base, (bool, str)) or (vector and len(base) != len(self.target)):
            return self.target if strength > 0 else base
        if vector:
            return tuple(b + strength * (t - b) for b, t in zip(base, self.target, strict=True))
        moved = {
            "set": base + strength * (self.target - base),
            "floor": max(base, strength * self.target),
            "cap": min(base, self.target + (1 - strength) * max(0.0, base - self.target)),
        }[self.mode]
        return round(moved) if isinstance(base, int) else moved


@dataclass(frozen=True)
class PolicyKind:
    """A policy users can name: what it does, its levers at strength 1 and its usual strength."""

    help: str
    levers: tuple[Lever, ...]
    strength: float = 1.0


POLICIES: dict[str, PolicyKind] = {
    "negative_results": PolicyKind(
        "results below the threshold and failures are published too", (Lever("planners.publication_bias", 0.0),)
    ),
    "coverage_mandate": PolicyKind(
        "curators give a share of attention to rare families", (Lever("curators.coverage_seeking", 1.0, "floor"),), 0.5
    ),
    "measured_quota": PolicyKind(
        "a least share of curated records are measured labels", (Lever("curators.measured_quota", 1.0, "floor"),), 0.3
    ),
    "provenance_standard": PolicyKind(
        "quality assurance against provenance errors", (Lever("curators.qa", 1.0, "floor"),)
    ),
    "audits": PolicyKind(
        "a share of acquisition budgets goes to re-measuring records",
        (Lever("curators.audit_rate", 1.0, "floor"),),
        0.2,
    ),
    "harmonisation": PolicyKind(
        "simulated labels are corrected by estimated bias", (Lever("trainers.harmonisation", 1.0, "floor"),)
    ),
    "uncertainty_aware": PolicyKind(
        "planners weigh what models do not know; uncertainty passes all channels",
        (
            Lever("planners.acquisition", "ucb"),
            Lever("coupling.uncertainty_ral_isl", 1.0, "floor"),
            Lever("coupling.uncertainty_dal_ral", 1.0, "floor"),
            Lever("coupling.uncertainty_modalities", 1.0, "floor"),
        ),
    ),
    "invariance_standard": PolicyKind(
        "architectures must respect symmetry", (Lever("trainers.invariance", 1.0, "floor"),)
    ),
    "model_pluralism": PolicyKind(
        "no reuse of published encoders, no following of popularity",
        (Lever("trainers.reuse", 0.0, "cap"), Lever("planners.social", 0.0, "cap")),
    ),
    "redundancy": PolicyKind("models and labs keep three providers", (Lever("infrastructure.providers", 3, "floor"),)),
    "mirrors_and_repair": PolicyKind(
        "records are federated and outages mended fast",
        (Lever("infrastructure.openness", 1.0, "floor"), Lever("stocks.repair", 1.0, "floor")),
    ),
    "compute_cap": PolicyKind("training at scale above 1/2 is not allowed", (Lever("trainers.scale_cap", 0.5, "cap"),)),
    "equal_funding": PolicyKind(
        "every lab gets the same", (Lever("stocks.merit_share", 0.0), Lever("stocks.lottery_share", 0.0))
    ),
    "funding_lottery": PolicyKind(
        "a share of funding is drawn by lot", (Lever("stocks.lottery_share", 1.0, "floor"),), 0.5
    ),
    "exploration_floor": PolicyKind(
        "a least share of every curator's and planner's effort explores",
        (Lever("planners.exploration_floor", 1.0, "floor"), Lever("curators.exploration_floor", 1.0, "floor")),
        0.3,
    ),
    "fresh_data_floor": PolicyKind(
        "a least share of training data is recent and not model-generated",
        (Lever("trainers.fresh_floor", 1.0, "floor"),),
        0.3,
    ),
}


LISTED = frozenset(POLICIES)  # without those that users register


def policy(name: str, help: str, levers: Sequence[Lever], strength: float = 1.0) -> PolicyKind:
    """Register a policy: its levers at strength 1, and its usual strength.

    Raises
    ------
    ConfigurationError
        If there is a policy of that name, or a lever names no parameter that can be moved.
    """
    fixed = [v.path for v in levers if v.path not in PATHS or v.path in FIXED]
    refuse(fixed, [f"policy '{name}': {path} is no parameter that can be moved" for path in fixed])
    kind = POLICIES[name_of(levers, name, "policy", POLICIES)] = PolicyKind(help, tuple(levers), strength)
    return kind


# Parameters that act when the community is founded and never after: no policy can move them.
FIXED = frozenset(path for path in PATHS if path.startswith(("space.", "founding.")) or path.endswith(".count")) | {
    "planners.demand",
    "planners.neighbours",
    "infrastructure.repositories",
    "infrastructure.hosts",
    "infrastructure.specialisation",
    "infrastructure.sizes",
    "infrastructure.model_links",
    "infrastructure.lab_links",
    "infrastructure.deposits",
}


class Event(Section):
    """What policies and shocks have in common: a name and a time."""

    name: str = Field(description="one of the list; of a policy with parameters in `set`, any other")
    start: int = Field(0, ge=0, description="first tick with an effect", json_schema_extra=TICKS)
    end: int | None = Field(None, ge=0, description="first tick without (None: to the end)", json_schema_extra=TICKS)
    strength: float | None = Field(None, ge=0, le=1, description="0 to 1; None is the usual strength of the kind")

    def __init__(self, kind: str | None = None, /, **fields: Any) -> None:
        if kind is not None:
            refuse("name" in fields, f"{self.place({'name': kind})}: its name is given twice")
            fields["name"] = kind
        name = fields.get("name")
        faults = self._name_faults(name, fields) if isinstance(name, str) else []
        try:
            super().__init__(**fields)
        except ConfigurationError as error:
            raise ConfigurationError(faults + error.faults) from None
        refuse_any(faults)

    @classmethod
    def place(cls, fields: Mapping[str, Any]) -> str:
        """How messages call this event."""
        kind = cls.__name__.lower()
        return kind if fields.get("name") is None else f"{kind} '{fields['name']}'"

    @classmethod
    def _name_faults(cls, name: str, fields: Mapping[str, Any]) -> list[str]:
        """What is wrong with the name, given the other fields."""
        raise NotImplementedError

    def _conflicts(self) -> list[str]:
        if self.end is not None and self.end <= self.start:
            return [f"{self.label}: end = {self.end} must be after start = {self.start}"]
        return []

    @property
    def label(self) -> str:
        """How messages call this event."""
        return self.place({"name": self.name})

    @property
    def words(self) -> str:
        """Name, strength, what it hits, and time in a few words."""
        strength = "" if self.strength is None else f" at {self.strength:g}"
        until = "" if self.end is None else f" to {self.end}"
        return f"{self.name}{strength}{self._hit()} from tick {self.start}{until}"

    def _hit(self) -> str:
        """Which nodes it hits, if it hits any."""
        return ""

    @property
    def force(self) -> float:
        """Strength, or the usual one of the kind."""
        return self.kind.strength if self.strength is None else self.strength

    @property
    def kind(self) -> Any:
        """What the event does, and its usual strength."""
        raise NotImplementedError


class Policy(Event):
    """A policy in force from `start` to `end`: one of the list, or custom parameters (`set`).

    Its strength rises over the first `ramp` ticks and falls over the last `fade` ticks before `end`.

    Examples
    --------
    >>> Policy("exploration_floor", start=24, strength=0.6).at(24)
    0.6
    >>> Policy("tide", set={"planners.exploration": 0.9}, start=10, end=30, ramp=10, fade=10).at(15)
    0.6
    """

    ramp: int = Field(0, ge=0, description="ticks until full strength", json_schema_extra=TICKS)
    fade: int = Field(0, ge=0, description="ticks before the end over which it weakens", json_schema_extra=TICKS)
    set: dict[str, Any] = Field(
        default_factory=dict, description="parameters of a custom policy, and their values at strength 1"
    )

    @classmethod
    def _name_faults(cls, name: str, fields: Mapping[str, Any]) -> list[str]:
        own, listed = bool(fields.get("set")), name in POLICIES
        if own != listed:
            return []
        if listed:
            return [f"policy '{name}': is one of the list; a policy with parameters in `set` needs another name"]
        near = did_you_mean(name, POLICIES)
        return [f"policy: unknown policy '{name}'{near} (policies: {', '.join(POLICIES)}; or a custom one, with set)"]

    @field_validator("set")
    @classmethod
    def _levers_hold(cls, values: dict[str, Any]) -> dict[str, Any]:
        faults = []
        for path, value in values.items():
            # One by one: what they are together depends on the community that they act on.
            fixed = [f"{path} acts at founding only and cannot be moved later"] if path in FIXED else []
            faults += fixed or value_faults(path, value)
        refuse_any(faults)
        return {path: tuple(value) if isinstance(value, list) else value for path, value in values.items()}

    def _conflicts(self) -> list[str]:
        endless = [f"{self.label}: fade = {self.fade} needs an end"] if self.fade and self.end is None else []
        return super()._conflicts() + endless

    @property
    def kind(self) -> PolicyKind:
        """Its levers, help and usual strength."""
        if not self.set:
            return POLICIES[self.name]
        return PolicyKind("custom parameters", tuple(Lever(current(path), value) for path, value in self.set.items()))

    @property
    def usual(self) -> float | None:
        """Strength of its kind where none is given; custom levers have none."""
        return None if self.set else self.kind.strength

    def at(self, tick: int) -> float:
        """Strength in force at a tick, 0 outside its time."""
        if tick < self.start or (self.end is not None and tick >= self.end):
            return 0.0
        rise = min(1.0, (tick - self.start + 1) / self.ramp) if self.ramp else 1.0
        fall = min(1.0, (self.end - tick) / self.fade) if self.fade and self.end is not None else 1.0
        return self.force * min(rise, fall)


# --------------------------------------------------------------------------- in force


def in_force(base: Parameters, policies: Sequence[Policy], tick: int) -> Parameters:
    """Parameters with every active policy applied; the same object where none is."""
    values: dict[str, Any] = {}
    for policy in policies:
        strength = policy.at(tick)
        if strength > 0:
            for lever in policy.kind.levers:
                now = values[lever.path] if lever.path in values else base.value(lever.path)
                values[lever.path] = lever.value(now, strength)
    return base.updated(values) if values else base


def joint_faults(base: Parameters, policies: Sequence[Policy]) -> list[str]:
    """Say which parameters cannot be, at the start and at the ticks at which each policy reaches its strength."""
    full = sorted({policy.start + max(0, policy.ramp - 1) for policy in policies})
    reached, faults = tried(partial(in_force, base, policies, tick) for tick in full)
    return faults + [line for p in (base, *reached) for line in too_small(p)]


E = TypeVar("E", bound=Event)


def listed(events: Iterable[E] | E) -> tuple[E, ...]:
    """Return policies or shocks as a tuple; one that stands alone, or a text, is not taken apart."""
    given, alone = cast(Any, events), isinstance(events, (Event, str))
    return (given,) if alone else tuple(given)


def parse_event(text: str, kind: type[E]) -> E:
    """Parse ``name[:field=value[,field=value...]]`` of the command line."""
    name, _, rest = text.partition(":")
    fields: dict[str, Any] = {}
    for part in filter(None, rest.split(",")):
        key, sep, raw = part.partition("=")
        if not sep:
            raise ConfigurationError(f"'{text}': write name:start=12,strength=0.5")
        fields[key.strip()] = _number(raw.strip())
    return kind(name.strip(), **fields)


def _number(text: str) -> Any:
    for convert in (int, float):
        with suppress(ValueError):
            return convert(text)
    return text


def follow(cohort: Cohort, before: Parameters, now: Parameters) -> None:
    """Carry a change of parameters over to the columns of agents that start at them: each moves by as much."""
    for name, c in cohort.declared.items():
        path = f"{cohort.kind}.{name}"
        if c.parameter and (change := now.value(path) - before.value(path)):
            cohort.columns[name] = np.clip(cohort.columns[name] + change, *bounds_of(path))
