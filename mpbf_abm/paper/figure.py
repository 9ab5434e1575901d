"""What a figure of the paper is: which study feeds it, how its frames are prepared, how they are drawn, and how it is told in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mpbf_abm.studies.results import Results

Float = NDArray[np.float64]
Frames = Mapping[str, pd.DataFrame]
BAND = (0.05, 0.95)


@dataclass(frozen=True)
class PaperFigure:
    """One figure.

    Attributes
    ----------
    name, title : str
    study : str
        Which of :data:`mpbf_abm.paper.studies.STUDIES` feeds it.
    width : str
        single or double column.
    height : float
        In millimetres.
    caption, alt : str
        What stands below it, and what is told to those who cannot see it.
    prepare : callable
        From a study's results to one frame for each panel: what is drawn, and nothing else.
    draw : callable
        From these frames to the figure; no computation.
    bare : tuple of str
        Panels that show neither an interval nor single runs, since they are theory, or ranks, limits and rates of all scenarios.
    """

    name: str
    title: str
    study: str
    width: Literal["single", "double"]
    height: float
    caption: str
    alt: str
    prepare: Callable[[Results], dict[str, pd.DataFrame]]
    draw: Callable[[Frames], Figure]
    bare: tuple[str, ...] = ()


def band(values: Float, axis: int = 0) -> tuple[Float, Float, Float]:
    """Median over replicates and the range of nine tenths of them."""
    low, middle, high = np.nanquantile(values, (BAND[0], 0.5, BAND[1]), axis=axis)
    return middle, low, high


def scenario(results: Results, **values: float) -> int:
    """Number of the scenario with some values."""
    table = results.scenarios
    chosen = np.logical_and.reduce([np.isclose(table[name].astype(float), v) for name, v in values.items()])
    return int(table.loc[chosen, "scenario"].iloc[0])


def names(results: Results) -> list[str]:
    """Arms as figures call them."""
    return [label.replace("_", " ") for label in results.arm_names]
