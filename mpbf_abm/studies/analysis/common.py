"""What analyses share: what they return, and how they refuse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.studies.results import Results

if TYPE_CHECKING:
    import pandas as pd

MOST_MISSING = 0.05  # share of scenarios, row blocks or trajectories that may be left out
SCREENS = ("morris", "saltelli")


@dataclass
class Analysis:
    """What an analysis found.

    Attributes
    ----------
    kind : str
    tables : dict of DataFrame
        The first is the main one.
    notes : list of str
        What a reader must know: how it was done, what is missing, what is weak.
    """

    kind: str
    tables: dict[str, pd.DataFrame]
    notes: list[str] = field(default_factory=list)

    @property
    def table(self) -> pd.DataFrame:
        """The main table."""
        return next(iter(self.tables.values()))


def chosen(results: Results, names: Sequence[str] | None) -> list[str]:
    """Names of outcomes, all of the study's if none is asked for; unknown ones are refused."""
    wanted = list(names or results.definitions)
    faults: list[str] = []
    for name in wanted:
        try:
            results.outcome(name)
        except ConfigurationError as error:
            faults += error.faults
    if faults:
        raise ConfigurationError(faults)
    return wanted


def refuse(reason: str) -> None:
    """Refuse an analysis, unless there is no reason to."""
    if reason:
        raise ConfigurationError(reason)


def unless(good: bool, reason: str) -> str:
    """The reason to refuse, unless all is good."""
    return "" if good else reason


def too_many(missing: int, all_of_them: int, what: str, kind: str) -> str:
    """The reason to refuse, where too many are missing."""
    share = missing / max(1, all_of_them)
    if missing == all_of_them or share > MOST_MISSING:
        return f"{kind}: {missing} of {all_of_them} {what} lack a run or a value, more than {MOST_MISSING:.0%}; see mpbf study status and failures"
    return ""


def complete(values: NDArray[np.float64], axis: int | tuple[int, ...]) -> NDArray[np.bool_]:
    """Where all values along some axes are finite."""
    return np.asarray(np.isfinite(values).all(axis=axis), bool)
