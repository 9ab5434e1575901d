"""The atlas: every condition, implication and mechanism of Table 1, measured on a community by turning its knob.

Levels of a knob share seeds (common random numbers). An effect is the paired difference of the indicator between the highest and the lowest level, in standard deviations of
the indicator over communities; rows that share a community share its run.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpbf_abm.ecosystem import Snapshot
from mpbf_abm.errors import ConfigurationError, did_you_mean
from mpbf_abm.interventions import NODES, Shock
from mpbf_abm.laboratory.atlas_rows import GROUPS, ROWS, Row
from mpbf_abm.laboratory.battery import Battery, Finding, Report, Setting
from mpbf_abm.measures.bias_gain import bias_displacements, bias_gain, corpus_bias
from mpbf_abm.measures.effective_urn import at_mass_quantiles, displacements, intervene
from mpbf_abm.measures.estimates import LEVEL, Estimate, mean_estimate
from mpbf_abm.observation import COLUMNS, observe, usage
from mpbf_abm.parameters import Parameters

Float = NDArray[np.float64]
Variant = tuple[tuple[str, Any], ...]

WORDS = ("as predicted", "weak", "absent", "reversed", "undecided")
SURE = ("as predicted", "reversed")
SMALLEST = 0.5  # standard deviations: a smaller effect is weak
LOOKS = 10  # observations in the second half of a run
FAMILIES = 5  # of an intervention
# What one tick shows is averaged over the second half of a run; the rest is taken at its end.
FLOWS = (
    "drift", "value_gain", "proxy_gain", "claim_error", "novelty", "adjacency_first", "hit_rate_frozen", "hit_rate_moving", "generated_share", "boundary_choices", "labs_working",
    "models_working", "repositories_working",
)  # fmt: skip
# Made of columns, or measured on the community.
MEASURED = {
    "meso_explained": "share of the meso block that representations explain, R^2(meso given latent)",
    "fidelity_gap": "perceived less true fidelity",
    "niche_excess": "error in niche families less that in dense ones",
    "niche_ratio": "error in niche families over that in dense ones",
    "captured_gap": "causal variance kept in dense families less that in niche ones",
    "simulated_excess": "68 % coverage of simulated less that of true values",
    "bias_dal": "mean bias of the records, absolute",
    "bias_ral": "mean error of models over the panel, absolute",
    "bias_isl": "mean predicted less observed value of steered experiments, absolute",
    "gamma_excess": "effective reinforcement, by intervention, less what planners were given",
    "loop_gain": "gain L of the bias loop, by intervention",
    "bias_exponent": "exponent of a shift of the corpus' bias over the growth of the commons; above 0 it grows",
    "damage_exponent": "exponent of damage of a small change over the growth of the commons; above 0 it grows",
}
BY_INTERVENTION = frozenset({"gamma_excess", "loop_gain", "bias_exponent", "damage_exponent"})


def chosen(names: Sequence[str]) -> tuple[Row, ...]:
    """Rows of some names (or beginnings of ``name: indicator``); all without any.

    Raises
    ------
    ConfigurationError
        One line for every name that no row has.
    """
    known = {row.name: None for row in ROWS}
    faults = [
        f"--row '{name}': no such row{did_you_mean(name, list(known))} (mpbf atlas --list)"
        for name in names
        if not any(_named(row, name) for row in ROWS)
    ]
    if faults:
        raise ConfigurationError(faults)
    return tuple(row for row in ROWS if not names or any(_named(row, name) for name in names))


def _named(row: Row, name: str) -> bool:
    return name in (row.name, row.key, row.layer, row.group)


# --------------------------------------------------------------------------- measured


def variant(row: Row, level: int) -> Variant:
    """What a community at one level of a row differs by: the same for all rows that can share its run."""
    return tuple(sorted(row.parameters(level).items()))


def tasks_of(rows: Sequence[Row], setting: Setting) -> list[Hashable]:
    """Every community that some row needs, once, with what must be measured on it by intervention."""
    needs: dict[Variant, set[str]] = {}
    for row in rows:
        for level in range(len(row.levels)):
            needs.setdefault(variant(row, level), set()).update({row.indicator} & BY_INTERVENTION)
    return [(v, tuple(sorted(n)), seed) for seed in setting.seeds() for v, n in needs.items()]


def measure(setting: Setting, task: tuple[Variant, tuple[str, ...], int]) -> dict[str, float]:
    """Every indicator of one community."""
    changes, interventions, seed = task
    changed = dict(changes)
    shock = changed.pop("shock", None)
    half = setting.ticks // 2
    shocks = setting.shocks
    if shock is not None:
        hit = Shock(name=shock, start=half, target="largest") if shock in NODES else Shock(name=shock, start=half)
        shocks = (*shocks, hit)
    here = replace(setting, parameters=setting.parameters.updated(changed), shocks=shocks)
    eco = here.community(seed)
    early, looks = max(2, setting.ticks // 5), set(np.linspace(half + 1, setting.ticks, LOOKS).astype(int).tolist())
    seen: list[dict[str, float]] = []
    out: dict[str, float] = {}
    for tick in range(1, setting.ticks + 1):
        eco.step()
        if tick in looks:
            seen.append(observe(eco.world))
        if tick == early and interventions:
            out |= by_intervention(eco.snapshot(), interventions, setting.ticks)
    flows = {name: _known_mean([s[name] for s in seen]) for name in FLOWS}
    world, end = eco.world, seen[-1] | flows
    models = [(w, m) for w, m in usage(world) if m.diagnosis is not None]
    eco.release()
    mine = {
        "meso_explained": sum(w * (1.0 - m.diagnosis.u[0]) for w, m in models if m.diagnosis) if models else math.nan,
        "fidelity_gap": end["fidelity_perceived"] - end["fidelity"], "niche_excess": end["rmse_niche"] - end["rmse_dense"],
        "niche_ratio": end["rmse_niche"] / end["rmse_dense"] if end["rmse_dense"] else math.nan, "captured_gap": end["captured_dense"] - end["captured_niche"],
        "simulated_excess": end["coverage_68_simulated"] - end["coverage_68"], "bias_dal": abs(corpus_bias(world)),
        "bias_ral": abs(sum(w * float((m.panel_mean - world.truth.property[m.panel.materials]).mean()) for w, m in models)) if models else math.nan,
        "bias_isl": abs(end["claim_error"]),
    }  # fmt: skip
    return end | mine | out


def by_intervention(snapshot: Snapshot, wanted: Sequence[str], ticks: int) -> dict[str, float]:
    """What only an intervention tells, from a community on."""
    out: dict[str, float] = {}
    at = [snapshot.world.tick, ticks]
    x = snapshot.world.commons.visible()
    if "gamma_excess" in wanted:
        urn = intervene(snapshot, at_mass_quantiles(x, min(FAMILIES, int((x > 0).sum()))))
        out["gamma_excess"] = urn.reinforcement - snapshot.parameters.planners.reinforcement
    if "loop_gain" in wanted:
        out["loop_gain"] = bias_gain(snapshot)
    if "bias_exponent" in wanted:
        records, displaced = bias_displacements(snapshot, at)
        grown = displaced[1] / displaced[0]
        out["bias_exponent"] = math.log(grown) / math.log(records[1] / records[0]) if grown > 0 else math.nan
    if "damage_exponent" in wanted:
        second = int(np.argsort(-x, kind="stable")[1])
        records, _, damage = displacements(snapshot, [second], at)
        volumes = records.sum(axis=1)
        out["damage_exponent"] = float(np.log(damage[0, 1] / damage[0, 0]) / np.log(volumes[1] / volumes[0]))
    return out


def _known_mean(values: Sequence[float]) -> float:
    known = [v for v in values if not math.isnan(v)]
    return float(np.mean(known)) if known else math.nan


# --------------------------------------------------------------------------- what came out


def verdict(sign: int, effect: Estimate) -> str:
    """Whether an effect in standard deviations is as predicted, weak, absent, reversed, or not told.

    ``as predicted``: surely in the expected direction, and at least half a standard deviation; ``weak``: surely in it, and
    smaller; ``reversed``: surely in the other one; ``absent``: surely smaller than half a standard deviation either way; else ``undecided``.
    """
    if math.isnan(effect.low):
        return "undecided"
    low, high = (effect.low, effect.high) if sign > 0 else (-effect.high, -effect.low)
    if low > 0:
        return "as predicted" if sign * effect.value >= SMALLEST else "weak"
    if high < 0:
        return "reversed"
    return "absent" if low > -SMALLEST and high < SMALLEST else "undecided"


def effect_of(low: Float, high: Float, reference: Float) -> Estimate:
    """Paired difference of two levels (n,) in standard deviations over the communities of a reference level."""
    difference = high - low
    known = np.isfinite(difference)
    if known.sum() and not difference[known].any():
        return Estimate(0.0, 0.0, 0.0, 0.0)
    spread = max(
        (float(np.nanstd(v, ddof=1)) for v in (reference, np.concatenate([low, high])) if np.isfinite(v).sum() > 1),
        default=math.nan,
        key=lambda s: s > 0,
    )
    return mean_estimate(difference[known] / spread) if known.sum() and spread > 0 else Estimate(*[math.nan] * 4)


def between(levels: Float) -> tuple[Estimate, str]:
    """Rows that expect the least in between: how far the best inner level (of those over all communities) lies below the better end (levels, n)."""
    inner = 1 + int(np.nanmean(levels[1:-1], axis=1).argmin())
    ends = [effect_of(levels[inner], levels[end], levels[inner]) for end in (0, -1)]
    least = min(ends, key=lambda e: e.value)
    return least, verdict(1, least)


def report_of(rows: Sequence[Row], setting: Setting, values: Mapping[Any, dict[str, float]]) -> Report:
    """Effect and verdict of every row, and the indicator at every level."""
    from scipy.stats import ttest_1samp

    by_variant: dict[tuple[Variant, int], dict[str, float]] = {(v, seed): out for (v, _, seed), out in values.items()}
    told, levels, p_values = [], [], []
    for row in rows:
        x = np.array(
            [[by_variant[variant(row, i), s][row.indicator] for s in setting.seeds()] for i in range(len(row.levels))]
        )
        if row.sign:
            reference = next((x[i] for i, level in enumerate(row.levels) if not level), x[len(x) // 2])
            effect = effect_of(x[0], x[-1], reference)
            word = verdict(row.sign, effect)
        else:
            effect, word = between(x)
        difference = (x[-1] - x[0])[np.isfinite(x[-1] - x[0])]
        usable = row.sign and len(difference) > 1 and np.ptp(difference) > 0
        p_values.append(float(ttest_1samp(difference, 0.0).pvalue) if usable else math.nan)
        told.append((row, effect, word, x))
        for i in range(len(row.levels)):
            e = mean_estimate(x[i][np.isfinite(x[i])])
            levels.append(
                {
                    "group": row.group,
                    "row": row.key,
                    "knob": row.knob,
                    "found": word,
                    "level": i,
                    "of": len(row.levels),
                    "value": e.value,
                    "low": e.low,
                    "high": e.high,
                }
            )
    adjusted = holm(np.array(p_values))
    findings, tables = [], {}
    for group in GROUPS:
        tables[group.replace(" ", "_")] = pd.DataFrame(
            [
                {
                    "layer": row.layer, row_title(group): row.name, "knob, low to high": row.knob, "indicator": row.indicator, "lowest": float(np.nanmean(x[0])) if np.isfinite(x[0]).any() else math.nan,
                    "highest": float(np.nanmean(x[-1])) if np.isfinite(x[-1]).any() else math.nan, "expected": {1: "+", -1: "-", 0: "least between"}[row.sign], "effect, sd": effect.value,
                    "95 % interval": f"{effect.low:.2f} to {effect.high:.2f}", "p (Holm)": adjusted[i], "found": word,
                }
                for i, (row, effect, word, x) in enumerate(told)
                if row.group == group
            ]
        )  # fmt: skip
    for row, effect, word, _ in told:
        expected = {1: "expected +", -1: "expected -", 0: "least expected between"}[row.sign]
        findings.append(
            Finding(
                f"{row.layer}: {row.name}, {row.indicator} (sd)", effect, 0.0, setting.replicates, f"{expected}: {word}"
            )
        )
    return Report(
        tuple(findings),
        {n: t for n, t in tables.items() if len(t)}
        | {"levels": pd.DataFrame(levels), "counts": _counts(told, adjusted)},
    )


def row_title(group: str) -> str:
    """Head of the column that names what the table names."""
    return {GROUPS[0]: "condition", GROUPS[1]: "implication", GROUPS[2]: "mechanism"}[group]


def _counts(told: Sequence[tuple[Row, Estimate, str, Float]], adjusted: Float) -> pd.DataFrame:
    """How many rows of each group came out how, and how many of these are sure among all rows (Holm)."""
    rows = []
    for group in GROUPS:
        here = [(word, p) for (row, _, word, _), p in zip(told, adjusted, strict=True) if row.group == group]
        found = Counter(word for word, _ in here)
        sure = Counter(word for word, p in here if p < 1.0 - LEVEL)
        rows.append(
            {"group": group, "rows": len(here)} | {word: found[word] for word in WORDS} | {f"{word} (Holm)": sure[word] for word in SURE}
        )  # fmt: skip
    return pd.DataFrame(rows)


def holm(p: Float) -> Float:
    """Holm's adjusted p values of the tests that have one (n,); NaN stays."""
    out = np.full(len(p), math.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    out[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)))
    return out


def atlas(rows: Sequence[Row] = ROWS) -> Battery:
    """The battery of some rows."""
    return Battery(
        "atlas", "Table 1 of the framework, row by row", partial(tasks_of, rows), measure, partial(report_of, rows), replicates=16, fewest=3
    )  # fmt: skip


def faults_of(row: Row) -> list[str]:
    """What is wrong with a row: an indicator that nobody measures, levels that parameters do not allow."""
    faults = [] if row.indicator in (*COLUMNS, *MEASURED) else [f"{row.key}: no such indicator"]
    for level in range(len(row.levels)):
        try:
            Parameters().updated({k: v for k, v in row.parameters(level).items() if k != "shock"})
        except ConfigurationError as error:
            faults += error.faults
    return faults
