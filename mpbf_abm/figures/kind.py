"""A kind of figure: what it needs of a study, how its frames are prepared and drawn, and how it is described."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mpbf_abm.arrays import Float
from mpbf_abm.errors import ConfigurationError, did_you_mean, refuse
from mpbf_abm.figures import style
from mpbf_abm.figures.style import Frames, words
from mpbf_abm.stats.estimates import mean_estimate
from mpbf_abm.studies.results import Results

Prepare = Callable[..., dict[str, pd.DataFrame]]
Draw = Callable[[Frames], Figure]
BAND = (0.05, 0.95)

# Parameters that have a symbol or a short name in figures; their axes, and labels of what figures often show.
SHORT = {"curators.reinforcement": "gamma", "curators.exploration": "eps"}
SHORT |= {"planners.experiments": "budget", "infrastructure.providers": "providers"}
SYMBOLS = {"gamma": "γ", "eps": "ε"}
LABELS: dict[str, str] = style.TEXTS["labels"]
# Columns that frames have anyway: no parameter's column may be called so.
_OWN = (
    "arm tick origin region records share median low high twin replicate growth early final time variance n criterion "
    "removed R what value density"
)
OWN = frozenset(_OWN.split())


@dataclass(frozen=True)
class Choice:
    """What a figure shows of a study that has more.

    Attributes
    ----------
    where : mapping of str to object
        Values of parameters that vary: scenarios with these values.
    outcomes : tuple of str
        Outcomes, or series of a figure of series.
    arms : tuple of str
        Labels of arms.
    """

    where: Mapping[str, Any] = field(default_factory=dict)
    outcomes: tuple[str, ...] = ()
    arms: tuple[str, ...] = ()


EVERYTHING = Choice()


@dataclass(frozen=True)
class Kind:
    """A kind of figure.

    Attributes
    ----------
    name, title : str
    needs : str
        What a study must have for it.
    width : str
        single or double column.
    height : float
        In millimetres.
    caption, alt : str
        What stands below it, and its description for those who cannot see it.
    prepare : callable
        From a study's results (and a :class:`Choice`) to one frame for each panel: what is drawn, and nothing else.
    draw : callable
        From these frames to the figure; no computation.
    bare : tuple of str
        Panels that show neither an interval nor single runs: theory, or ranks, limits and rates of all scenarios.
    """

    name: str
    title: str
    needs: str
    width: Literal["single", "double"]
    height: float
    caption: str
    alt: str
    prepare: Prepare
    draw: Draw
    bare: tuple[str, ...] = ()


def declare(name: str, prepare: Prepare, draw: Draw, bare: tuple[str, ...] = ()) -> Kind:
    """Return a kind of figure, with its size and its texts."""
    return Kind(name=name, prepare=prepare, draw=draw, bare=bare, **style.TEXTS["kinds"][name])


def need(kind: str, there: object, what: str) -> None:
    """Raise the error of a study that cannot feed a figure, where something is not there."""
    refuse(not there, f"{kind}: the study lacks {what}")


def band(values: Float, middle: str = "median", **columns: Any) -> pd.DataFrame:
    """Return columns, and the median over replicates with the range of nine tenths of them, ``low`` to ``high``.

    Parameters
    ----------
    values : array (R, T)
    middle : str
        Column of the median.
    **columns
        A value, or one for each row (T,).
    """
    low, half, high = np.nanquantile(values, (BAND[0], 0.5, BAND[1]), axis=0)
    return pd.DataFrame({**columns, middle: half, "low": low, "high": high})


def mean(values: Float, name: str, **columns: Any) -> dict[str, Any]:
    """Return a row: columns, the mean of the runs that have a value, its 95 % interval, and how many they are."""
    known = finite(values)
    e = mean_estimate(known)
    return {**columns, name: e.value, "low": e.low, "high": e.high, "n": len(known)}


def tables(results: Results, name: str, s: int, a: int = 0) -> dict[int, Mapping[str, Any]]:
    """Return the tables that the runs of a scenario and arm have stored under a name, by replicate."""
    found = sorted(results.tables(name).items())
    return {replicate: table for (at, arm, replicate), table in found if (at, arm) == (s, a)}


def finite(values: Float) -> Float:
    """Return the values of runs that have one."""
    return values[np.isfinite(values)]


def scenarios(results: Results, where: Mapping[str, Any]) -> list[int]:
    """Return the numbers of the scenarios with some values, all without any.

    Raises
    ------
    ConfigurationError
        For a parameter that does not vary, or a value that no scenario has.
    """
    table = results.scenarios.drop(columns="place")
    wanted = _by_column([str(c) for c in table if c != "scenario"], where)
    for name, value in wanted.items():
        table = table[_equal(table[name], value)]
    refuse(table.empty, f"no scenario has {', '.join(f'{n} = {v}' for n, v in wanted.items())}")
    return [int(s) for s in table["scenario"]]


def _by_column(known: list[str], where: Mapping[str, Any]) -> dict[str, Any]:
    """Return values by the columns of scenarios, which short names stand for."""
    names = {SHORT[c]: c for c in known if c in SHORT}
    wanted = {names.get(name, name): value for name, value in where.items()}
    if unknown := [n for n in wanted if n not in known]:
        varied = f"varies: {', '.join(known)}" if known else "it has one scenario"
        close = did_you_mean(unknown[0], [*known, *names])
        raise ConfigurationError(f"the study does not vary '{unknown[0]}'{close} ({varied})")
    return wanted


def _equal(column: pd.Series[Any], value: Any) -> Any:
    """Return where a column has a value: numbers are compared as numbers, anything else as text."""
    if column.dtype.kind in "if" and isinstance(value, (int, float)):
        return np.isclose(column.astype(float), value)
    return column.astype(str) == str(value)


def scenario(results: Results, where: Mapping[str, Any]) -> int:
    """Return the number of the first scenario with some values."""
    return scenarios(results, where)[0]


def levels(results: Results, choice: Choice, most: int) -> tuple[str, dict[int, Any]]:
    """Return what tells scenarios apart, as a column, and its value in each of those that are chosen, `most` at most.

    The only parameter that varies, under its short name; the number of the scenario where none or several do.
    """
    chosen, names = scenarios(results, choice.where)[:most], list(results.plan.scenarios.names)
    column = SHORT.get(names[0], names[0]) if len(names) == 1 else "scenario"
    if column == "scenario" or column in OWN:
        return "scenario", {s: s for s in chosen}
    return column, {s: results.scenarios[names[0]].tolist()[s] for s in chosen}


def level_words(column: str, value: Any) -> str:
    """Say a level: γ = 2, 2 providers each."""
    number = f"{value:g}" if isinstance(value, (int, float)) else words(str(value))
    if column == "providers":
        return f"{number} provider{'s' * int(value > 1)} each"
    return f"{SYMBOLS.get(column, words(column))} = {number}"


def label(name: str) -> str:
    """Return the label of an axis."""
    return LABELS.get(name, words(name))


def arms(results: Results, choice: Choice, most: int | None = None) -> dict[str, int]:
    """Return the arms that are chosen, all without a choice, as figures call them, with their numbers."""
    return {name.replace("_", " "): results.arm_index(name) for name in list(choice.arms or results.arm_names)[:most]}
