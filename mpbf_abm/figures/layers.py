"""The layer diagram: what flows between curators, commons, models, planners and experiments, measured."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch

from mpbf_abm.figures.style import BLUE, GREEN, INK, VERMILION

COLORS = {"records": BLUE, "experiments": VERMILION, "tests": GREEN}
PLACES = {"curators": (0.10, 0.84), "commons": (0.10, 0.22), "models": (0.50, 0.53), "planners": (0.90, 0.84)}
PLACES |= {"experiments": (0.90, 0.22)}
# Each arrow: from, to, bend, and where its label stands.
ARROWS: dict[str, tuple[str, str, float, tuple[float, float]]] = {
    "acquired": ("curators", "commons", 0.0, (-0.02, 0.53)),
    "generated": ("models", "commons", 0.35, (0.24, 0.60)),
    "read": ("commons", "models", 0.25, (0.41, 0.22)),
    "steered": ("models", "planners", -0.2, (0.60, 0.80)),
    "alone": ("planners", "experiments", -0.3, (1.10, 0.53)),
    "published": ("experiments", "planners", -0.25, (0.735, 0.60)),
    "deposited": ("experiments", "commons", -0.18, (0.50, 0.035)),
    "corrected": ("experiments", "models", 0.2, (0.655, 0.335)),
}


def draw_diagram(ax: Axes, table: pd.DataFrame) -> None:
    """Draw boxes joined by arrows as wide as what flows.

    Parameters
    ----------
    ax : Axes
    table : DataFrame
        Indexed by flow: ``per_tick`` with its interval, ``low`` to ``high`` (NaN where there is none), and ``unit``.
    """
    ax.set(xlim=(-0.15, 1.22), ylim=(0.0, 0.95))
    ax.set_axis_off()
    for flow, (source, target, bend, at) in ARROWS.items():
        row = table.loc[flow]
        # Wider by the logarithm: records read in retrainings are a hundred times the experiments.
        width = 0.4 + 0.9 * float(np.log1p(row["per_tick"]))
        arrow: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 6 + width, "shrinkA": 17, "shrinkB": 17}
        arrow |= {"linewidth": width, "color": COLORS[str(row["unit"])], "alpha": 0.75}
        ends = PLACES[source], PLACES[target]
        ax.add_patch(FancyArrowPatch(*ends, connectionstyle=f"arc3,rad={bend}", **arrow))
        interval = "" if np.isnan(row["low"]) else f" ({row['low']:.3g}–{row['high']:.3g})"
        text = f"{flow}\n{row['per_tick']:.3g}{interval}"
        ax.text(*at, text, ha="center", va="center", fontsize=5.5, color=INK)
    box = {"boxstyle": "round,pad=0.45", "facecolor": "white", "edgecolor": INK, "linewidth": 0.6}
    for node, (x, y) in PLACES.items():
        ax.text(x, y, node, ha="center", va="center", fontsize=7, bbox=box)
