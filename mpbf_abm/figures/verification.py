"""Figure of the verification suite: expected against measured, and the standardised difference of every check."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mpbf_abm.evidence.known.rows import SIGMAS, Outcome
from mpbf_abm.figures import style
from mpbf_abm.figures.style import BLUE, GREEN, GREY, INK, LIGHT, MM, PURPLE, VERMILION, WIDTHS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GROUPS = {
    "U": ("urn limits", BLUE, "o"), "M": ("feedback", VERMILION, "s"), "F": ("infrastructure", GREEN, "^"),
    "K": ("twin", PURPLE, "D"), "L": ("formulas", GREY, "v"), "W": ("whole model", INK, "P"),
}  # fmt: skip
TITLE = "Known results: expected against measured"


def prepare(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """One row per check: row, group, check, expected, measured, error, tolerance, relation, passed, standardised.

    ``standardised`` is the difference beyond the tolerance in standard errors; 0 where nothing is random
    and the values agree, infinite where they do not. One-sided checks have none.
    """
    rows = []
    for o in outcomes:
        for c in o.checks:
            gap = c.measured - c.expected
            beyond = float(np.sign(gap) * max(0.0, abs(gap) - c.tolerance)) if np.isfinite(gap) else np.inf
            z = beyond / c.error if c.error else (0.0 if beyond == 0 else np.inf)
            rows.append(
                {"row": o.id, "group": o.id[0], "check": c.name, "expected": c.expected, "measured": c.measured, "error": c.error,
                 "tolerance": c.tolerance, "relation": c.relation, "passed": c.passed, "standardised": z if c.relation == "=" else np.nan}
            )  # fmt: skip
    return pd.DataFrame(rows)


def alt_text(checks: pd.DataFrame) -> str:
    """Say in words what the figure shows."""
    z = checks["standardised"].replace([np.inf, -np.inf], np.nan).dropna()
    return (
        f"Left: {len(checks)} measured values against the expected ones on symmetric logarithmic axes, along the diagonal. Right: "
        f"standardised differences by row, largest {z.abs().max():.1f} standard errors, limit {SIGMAS:g}; "
        f"{int(checks['passed'].sum())} of {len(checks)} checks pass."
    )


def draw(checks: pd.DataFrame) -> Figure:
    """Draw the figure; call it inside :func:`style.styled`."""
    import matplotlib.pyplot as plt

    ids = list(dict.fromkeys(checks["row"]))
    height = max(90.0, 2.6 * len(ids) + 22.0)
    fig, (left, right) = plt.subplots(1, 2, figsize=(WIDTHS["double"], height * MM), width_ratios=(1, 1))
    two_sided = checks[checks["relation"] == "="]
    values = np.concatenate([two_sided["expected"], two_sided["measured"]])
    values = values[np.isfinite(values)]
    limit = 1.6 * float(np.abs(values).max(initial=1.0))
    left.plot([-limit, limit], [-limit, limit], color=LIGHT, lw=0.8, zorder=0)
    for key, (label, colour, marker) in GROUPS.items():
        part = two_sided[two_sided["group"] == key]
        if not len(part):
            continue
        left.errorbar(
            part["expected"], part["measured"], SIGMAS * part["error"], fmt=marker, color=colour, ms=2.8, lw=0.5, mfc="none", mew=0.6,
            label=label,
        )  # fmt: skip
    for axis in (left.set_xscale, left.set_yscale):
        axis("symlog", linthresh=0.01, linscale=0.4)
    low = 1.6 * min(0.0, float(values.min(initial=0.0))) - 0.003
    left.set(xlim=(low, limit), ylim=(low, limit), xlabel="expected", ylabel=f"measured ± {SIGMAS:g} standard errors")
    left.set_aspect("equal", adjustable="box", anchor="N")
    left.tick_params(axis="x", rotation=45)
    left.legend(loc="upper left", handlelength=1.2)
    style.letter(left, "a", "every two-sided check")
    place = {id: i for i, id in enumerate(ids)}
    right.axvspan(-SIGMAS, SIGMAS, color=LIGHT, alpha=0.35, lw=0)
    right.axvline(0, color=GREY, lw=0.5)
    for key, (_, colour, marker) in GROUPS.items():
        part = two_sided[two_sided["group"] == key]
        shown = part["standardised"].clip(-SIGMAS - 1.5, SIGMAS + 1.5)
        exact = part["error"] == 0
        at = part["row"].map(place)
        right.plot(shown[~exact], at[~exact], marker, color=colour, ms=2.8, mew=0, alpha=0.85)
        right.plot(shown[exact], at[exact], marker, color=colour, ms=2.8, mfc="none", mew=0.6)
    failed = two_sided[~two_sided["passed"]]
    right.plot(
        failed["standardised"].clip(-SIGMAS - 1.5, SIGMAS + 1.5), failed["row"].map(place), "x", color="black", ms=6
    )
    right.set(
        yticks=range(len(ids)), yticklabels=ids, xlim=(-SIGMAS - 2, SIGMAS + 2), ylim=(len(ids) - 0.4, -0.6),
        xlabel="difference beyond the tolerance / standard error",
    )  # fmt: skip
    style.letter(right, "b", f"by row; shaded: accepted (± {SIGMAS:g}), hollow: nothing random")
    return fig


def save(outcomes: Sequence[Outcome], path: Path) -> Path:
    """Draw the outcomes and write the figure; the format follows the suffix."""
    import matplotlib.pyplot as plt

    checks = prepare(outcomes)
    with style.styled():
        fig = draw(checks)
        style.save(fig, path, title=TITLE, alt=alt_text(checks), dpi=200)
        plt.close(fig)
    return path
