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


def refuse_unsupported(results: Results, kind: str) -> None:
    """Refuse an analysis that the design of a study cannot support."""
    why = results.plan.supports()[kind]
    if why:
        raise ConfigurationError(f"{kind}: {why}")


def refuse_gaps(missing: int, planned: int, what: str, before: str = "") -> None:
    """Refuse an analysis in which too much is missing to be left out."""
    if missing == planned or missing > MOST_MISSING * planned:
        raise ConfigurationError(
            f"{before}{missing} of {planned} {what} lack a run or a value, more than {MOST_MISSING:.0%}; see mpbf study status and failures"
        )


def main_outcome(results: Results, name: str | None) -> str:
    """Name of an outcome: the one asked for, else the first primary one, else the first."""
    refuse_without_outcomes(results)
    return name or next(iter(results.study.primary), next(iter(results.definitions)))


def refuse_without_outcomes(results: Results) -> None:
    """Refuse runs that are pieces of another result, and have no outcomes of their own."""
    if not results.definitions:
        raise ConfigurationError(
            f"{results.store.path}: its runs have no outcomes; they are pieces of a result, which is told where it was written"
        )


def complete(values: NDArray[np.float64], axis: int | tuple[int, ...]) -> NDArray[np.bool_]:
    """Where all values along some axes are finite."""
    return np.asarray(np.isfinite(values).all(axis=axis), bool)
