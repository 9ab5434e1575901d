"""Headline outcomes of a run or what-if."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from mpbf_abm.model.indicators import UNITS
from mpbf_abm.model.run import HEADLINE
from mpbf_abm.outputs import number, table
from mpbf_abm.stats.paired import spread
from mpbf_abm.studies.whatif import Ensemble


def report(ensemble: Ensemble) -> str:
    """Format headline outcomes: means and effects, medians and ranges."""
    parts = [ensemble.plan.words(), ""]
    if ensemble.effects is not None:
        effects: list[Any] = list(ensemble.effects.set_index("outcome").loc[list(HEADLINE)].itertuples())
        head = ["outcome (mean)", "baseline", "what-if", "difference", "95 % interval  ", "VRF", "pairs"]
        rows = []
        for e in effects:
            means = [number(e.baseline), number(e.treated), number(e.difference, "+")]
            rows.append([e.Index, *means, _interval(e), number(e.vrf), str(e.n)])
        note = "* 95 % interval excludes zero (simultaneous). VRF: variance-reduction factor of pairing"
        parts += [table(head, rows, right=(1, 2, 3, 4, 5, 6)), note, *ensemble.cautions, ""]
    return "\n".join([*parts, _spread_table(ensemble)])


def _interval(effect: Any) -> str:
    if effect.identical or math.isnan(effect.low):
        return "identical  " if effect.identical else "-"
    return f"{effect.low:+.3g} to {effect.high:+.3g} {'*' if effect.low > 0 or effect.high < 0 else ' '}"


def _spread_table(ensemble: Ensemble) -> str:
    if ensemble.plan.replicates == 1:
        values = [[o, number(float(ensemble.summary[o].iloc[0])), UNITS[o]] for o in HEADLINE]
        return table(["outcome", "value", "unit"], values, right=(1,))
    arms = list(ensemble.plan.arms)
    cells = [[_spread(r) for r in spread(ensemble.arm(arm), HEADLINE).itertuples()] for arm in arms]
    rows = [[o, *of_arms, UNITS[o]] for o, *of_arms in zip(HEADLINE, *cells, strict=True)]
    head = ["outcome (median, 10-90 % of runs)", *(arms if len(arms) > 1 else ["value"]), "unit"]
    return table(head, rows, right=range(1, len(head) - 1))


def _spread(row: Any) -> str:
    return f"{number(row.median)} ({number(row.p10)} to {number(row.p90)})"


def as_mapping(ensemble: Ensemble, folder: Path, run_hash: str) -> dict[str, Any]:
    """Return outcomes of every run, and effects, for machines."""
    effects = None if ensemble.effects is None else ensemble.effects.to_dict("records")
    run = {"run_hash": run_hash, "out": str(folder), "ticks": ensemble.plan.ticks, "seeds": ensemble.plan.seeds}
    return run | {"runs": ensemble.summary.to_dict("records"), "effects": effects, "cautions": ensemble.cautions}
