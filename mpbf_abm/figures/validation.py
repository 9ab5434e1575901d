"""Figure of the validation: real ranges, real values and the model's, one line per component of a fact."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mpbf_abm.evidence.facts.recorded import USES
from mpbf_abm.figures import style
from mpbf_abm.figures.style import BLUE, GREEN, GREY, INK, LIGHT, MM, VERMILION, WIDTHS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mpbf_abm.evidence.facts.validation import Validation

COLOURS = dict(zip(USES, (BLUE, VERMILION, GREEN), strict=True))
MARKERS = dict(zip(USES, ("o", "s", "D"), strict=True))
EDGE = 3.2  # half ranges, beyond which a value is drawn at the edge
TITLE = "Stylised facts: the model beside reality"


def alt_text(v: Validation) -> str:
    """Say in words what the figure shows."""
    return (
        f"One line for each of {len(v.table)} numbers of {len(v.facts)} facts, scaled so that the range of real values is a bar from -1 "
        f"to 1; real values as ticks, simulated means with 95 % intervals as coloured points. {int(v.table['inside'].sum())} numbers lie "
        f"inside, {v.count} facts with all of theirs."
    )


def draw(v: Validation) -> Figure:
    """Draw the figure; call it inside :func:`mpbf_abm.figures.style.styled`."""
    import matplotlib.pyplot as plt

    t, use = v.table, {fact.number: fact.use for fact in v.facts}
    middle, half = (t["low"] + t["high"]) / 2, (t["high"] - t["low"]) / 2
    scaled = {
        name: ((t[name] - middle) / half).clip(-EDGE, EDGE)
        for name in ("simulated", "simulated_low", "simulated_high", "recorded", "real")
    }
    fig, ax = plt.subplots(figsize=(WIDTHS["double"], (5.2 * len(t) + 20) * MM))
    rows = np.arange(len(t))
    ax.barh(rows, 2, left=-1, height=0.62, color=LIGHT, lw=0, zorder=0)
    ax.vlines(scaled["recorded"], rows - 0.31, rows + 0.31, color=INK, lw=0.9, label="real value, recorded")
    ax.plot(scaled["real"], rows, "|", color=GREY, ms=4, mew=2.2, label="real value, from data")
    for kind in USES:
        at = (t["fact"].map(use) == kind).to_numpy()
        if at.any():
            ax.hlines(rows[at], scaled["simulated_low"][at], scaled["simulated_high"][at], color=COLOURS[kind], lw=1.0)
            inside = at & t["inside"].to_numpy(bool)
            ax.plot(
                scaled["simulated"][inside],
                rows[inside],
                MARKERS[kind],
                color=COLOURS[kind],
                ms=3.4,
                label=f"model, {kind}",
            )
            out = at & ~t["inside"].to_numpy(bool)
            ax.plot(scaled["simulated"][out], rows[out], MARKERS[kind], color=COLOURS[kind], mfc="white", ms=3.4)
    names = [f"{f}  {n}" for f, n in zip(t["fact"], t["name"], strict=True)]
    ax.set(yticks=rows, yticklabels=names, ylim=(len(t) - 0.4, -0.6), xlim=(-EDGE - 0.15, EDGE + 0.15), xticks=(-3, -2, -1, 0, 1, 2, 3),
           xlabel="distance from the middle of the real range, in half ranges; hollow: outside (at the edge: farther)")  # fmt: skip
    ax.legend(
        loc="upper center", bbox_to_anchor=(0.35, -0.06 - 1.1 / len(t)), ncols=5, handletextpad=0.3, columnspacing=1.0
    )
    return fig


def save(v: Validation, path: Path) -> Path:
    """Draw the figure and write it; the format follows the suffix."""
    import matplotlib.pyplot as plt

    with style.styled():
        fig = draw(v)
        style.save(fig, path, title=TITLE, alt=alt_text(v), dpi=200)
        plt.close(fig)
    return path
