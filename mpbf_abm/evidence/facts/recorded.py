"""The stylised facts: what real discovery ecosystems look like, as recorded values with ranges.

Recorded values stand in facts.toml. They were measured on public data, or are taken from the named source.
:mod:`mpbf_abm.evidence.facts.public` computes those again for which data are at hand; ranges stay as recorded.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Use = Literal["calibrated", "reduction test", "held out"]
USES: tuple[Use, ...] = ("calibrated", "reduction test", "held out")


@dataclass(frozen=True)
class Component:
    """One number by which a fact is judged.

    Attributes
    ----------
    id, name, unit : str
    value, low, high : float
        Recorded real value and its range.
    """

    id: str
    name: str
    unit: str
    value: float
    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Return whether a value lies in the range."""
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Fact:
    """A stylised fact: it is reproduced where all of its components are.

    Attributes
    ----------
    number : int
    title, layer : str
    use : str
        calibrated (defaults were chosen to meet it), reduction test (the rule in a limit case), or held out (no
        default was chosen by it).
    source : str
    components : tuple of Component
    how : str
        How it is measured in the model.
    why : str
        Why the model does not reproduce it, where it does not.
    """

    number: int
    title: str
    layer: str
    use: Use
    source: str
    components: tuple[Component, ...]
    how: str
    why: str = ""


RECORDED: dict[str, Any] = tomllib.loads(Path(__file__).with_name("facts.toml").read_text(encoding="utf-8"))
# What measures the components of a fact in the model, by the number of the fact.
OF_FACT: dict[int, str] = {entry["number"]: entry.pop("measure") for entry in RECORDED["facts"]}
FACTS: list[Fact] = [
    Fact(**{**entry, "components": tuple(Component(*c) for c in entry["components"])}) for entry in RECORDED["facts"]
]
COMPONENTS: dict[str, Component] = {c.id: c for f in FACTS for c in f.components}
