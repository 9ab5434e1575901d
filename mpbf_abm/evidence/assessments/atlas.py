"""The atlas: every condition, implication and mechanism of Table 1, measured on a community by its parameter.

Levels of a parameter share seeds (common random numbers). An effect is the paired difference of the indicator between
the highest and the lowest level, in standard deviations of the indicator over communities; rows that share a community
share its run.
"""

from __future__ import annotations

import math
import tomllib
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import resources
from typing import Any

import numpy as np
import pandas as pd

from mpbf_abm.arrays import Float
from mpbf_abm.errors import did_you_mean, refuse_any
from mpbf_abm.evidence.assessments.assessment import Assessment, Finding, Report, Setting, materials
from mpbf_abm.measures.path import watched
from mpbf_abm.measures.urn import at_mass_quantiles, bias_displacements, bias_gain, corpus_bias, intervene
from mpbf_abm.model.community import Snapshot
from mpbf_abm.model.indicators import observe, ratio, usage
from mpbf_abm.model.shocks import NODES, Shock
from mpbf_abm.model.world import World
from mpbf_abm.stats.concentration import corrected_jsd
from mpbf_abm.stats.estimates import LEVEL, UNKNOWN, Estimate, holm, mean_estimate

Changes = Mapping[str, Any]
GROUPS = ("boundary conditions", "implications", "mechanisms")
SIGNS = {1: "+", -1: "-", 0: "least between"}


@dataclass(frozen=True)
class AtlasRow:
    """One row: a parameter, an indicator, and the direction that is expected.

    Attributes
    ----------
    group, layer, name : str
        Group of the table, layer, and what the table names.
    parameter : str
        The parameter that changes, in words.
    levels : tuple of mapping of str to value
        Parameters at each level, low to high; an empty mapping is the community as it is. The key ``shock`` names a
        shock at mid-run.
    indicator : str
        Column of the observation, or one of :data:`mpbf_abm.evidence.assessments.atlas.MEASURED`.
    sign : int
        +1 or -1: expected direction of the indicator; 0: least in between.
    base : mapping
        Parameters that differ at all levels, so that the parameter can act.
    note : str
    """

    group: str
    layer: str
    name: str
    parameter: str
    levels: tuple[Changes, ...]
    indicator: str
    sign: int
    base: Changes = field(default_factory=dict)
    note: str = ""

    @property
    def key(self) -> str:
        """Name by which the command knows the row."""
        return f"{self.name}: {self.indicator}"

    def parameters(self, level: int) -> dict[str, Any]:
        """Return the changes at a level, the base included."""
        return {**self.base, **self.levels[level]}


def _rows() -> Iterator[AtlasRow]:
    """Read the rows from ``atlas.toml``: an entry with several expected indicators is as many rows."""
    groups = tomllib.loads((resources.files(__package__) / "atlas.toml").read_text(encoding="utf-8"))
    for group in GROUPS:
        for entry in groups[group]:
            levels, base = tuple(_changes(level) for level in entry["levels"]), _changes(entry.get("base", {}))
            what = (group, entry["layer"], entry["name"], entry["parameter"], levels)
            for indicator, sign in entry["expected"].items():
                yield AtlasRow(*what, indicator, sign, base, entry.get("note", ""))


def _changes(level: Changes) -> dict[str, Any]:
    """Return the changes of parameters as they are hashed: lists as tuples."""
    return {path: tuple(value) if isinstance(value, list) else value for path, value in level.items()}


ROWS = tuple(_rows())

Variant = tuple[tuple[str, Any], ...]

WORDS = ("as predicted", "weak", "absent", "reversed", "undecided")
COLUMNS_OF_TABLE = (
    *(
        "layer",
        "{}",
        "parameter, low to high",
        "indicator",
        "lowest",
        "highest",
        "expected",
        "effect, sd",
        "95 % interval",
    ),
    *("p (Holm)", "found"),
)
COLUMNS_OF_LEVELS = ("group", "row", "parameter", "found", "level", "of", "value", "low", "high")
SURE = ("as predicted", "reversed")
SMALLEST = 0.5  # standard deviations: a smaller effect is weak
LOOKS = 10  # observations in the second half of a run
FAMILIES = 5  # of an intervention
# What one tick shows is averaged over the second half of a run; the rest is taken at its end.
FLOWS = (
    *("drift", "value_gain", "proxy_gain", "claim_error", "novelty", "adjacency_first", "hit_rate_frozen"),
    *("hit_rate_moving", "generated_share", "boundary_choices", "labs_working", "models_working"),
    "repositories_working",
)
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
    "early_novelty": "families tried in the first fifth of the run over experiments made in it",
    "divergence": "divergence of the new records of four histories of one world, chance taken off (nats)",
}
BY_INTERVENTION = frozenset({"gamma_excess", "loop_gain", "bias_exponent", "divergence"})
HISTORIES = 4


def chosen(names: Sequence[str]) -> tuple[AtlasRow, ...]:
    """Return rows of some names (or beginnings of ``name: indicator``); all without any.

    Raises
    ------
    ConfigurationError
        One line for every name that no row has.
    """
    known = list({row.name: None for row in ROWS})
    faults = [
        f"--row '{name}': no such row{did_you_mean(name, known)} (mpbf atlas --list)"
        for name in names
        if not any(_named(row, name) for row in ROWS)
    ]
    refuse_any(faults)
    return tuple(row for row in ROWS if not names or any(_named(row, name) for name in names))


def _named(row: AtlasRow, name: str) -> bool:
    return name in (row.name, row.key, row.layer, row.group)


# --------------------------------------------------------------------------- measured


def variant(row: AtlasRow, level: int) -> Variant:
    """Return what a community at one level of a row differs by: the same for all rows that can share its run."""
    return tuple(sorted(row.parameters(level).items()))


def tasks_of(rows: Sequence[AtlasRow], setting: Setting) -> list[Hashable]:
    """Return every community that some row needs, once, with what must be measured on it by intervention."""
    needs: dict[Variant, set[str]] = {}
    for row in rows:
        for level in range(len(row.levels)):
            needs.setdefault(variant(row, level), set()).update({row.indicator} & BY_INTERVENTION)
    return [(v, tuple(sorted(n)), seed) for seed in setting.seeds() for v, n in needs.items()]


def measure(setting: Setting, task: tuple[Variant, tuple[str, ...], int]) -> dict[str, float]:
    """Measure every indicator of one community."""
    changes, interventions, seed = task
    changed = _changed(setting, dict(changes))
    half, eco = setting.ticks // 2, changed.community(seed)
    early = min(max(2, setting.ticks // 5), setting.ticks)
    looks = set(np.linspace(half + 1, setting.ticks, LOOKS).astype(int).tolist())
    seen: list[dict[str, float]] = []
    out: dict[str, float] = {}
    for tick in range(1, setting.ticks + 1):
        eco.step()
        if tick in looks:
            seen.append(observe(eco.world))
        if tick == early:
            done = eco.world.experiments
            out["early_novelty"] = ratio(float((done > 0).sum()), float(done.sum()))
            out |= by_intervention(eco.snapshot(), interventions, setting.ticks) if interventions else {}
    if "divergence" in interventions:
        out["divergence"] = divergence(changed, seed)
    end = seen[-1] | {name: _known_mean([s[name] for s in seen]) for name in FLOWS}
    return end | _derived(eco.world, end) | out


def _changed(setting: Setting, changes: dict[str, Any]) -> Setting:
    """Return a setting with changed parameters, and halfway with the shock that is among them."""
    shock, shocks = changes.pop("shock", None), setting.shocks
    if shock:
        struck = Shock(name=shock, start=setting.ticks // 2, target="largest" if shock in NODES else "random")
        shocks = (*shocks, struck)
    return replace(setting, parameters=setting.parameters.updated(changes), shocks=shocks)


def _derived(world: World, end: Mapping[str, float]) -> dict[str, float]:
    """Return the indicators that follow from others at the end, and from the models in use."""
    models = [(w, m, m.diagnosis.u[0]) for w, m in usage(world)]
    pairs = (world.space.pairs(m.of_property, m.panel.materials) for _, m, _ in models)
    errors = (
        w * float((m.panel_mean - world.truth.property[i]).mean()) for (w, m, _), i in zip(models, pairs, strict=True)
    )
    return {
        "meso_explained": sum(w * (1.0 - u) for w, _, u in models) if models else math.nan,
        "fidelity_gap": end["fidelity_perceived"] - end["fidelity"],
        "niche_excess": end["rmse_niche"] - end["rmse_dense"],
        "niche_ratio": end["rmse_niche"] / end["rmse_dense"] if end["rmse_dense"] else math.nan,
        "captured_gap": end["captured_dense"] - end["captured_niche"],
        "simulated_excess": end["coverage_68_simulated"] - end["coverage_68"],
        "bias_dal": abs(corpus_bias(world)),
        "bias_ral": abs(sum(errors)) if models else math.nan,
        "bias_isl": abs(end["claim_error"]),
    }


def by_intervention(snapshot: Snapshot, wanted: Sequence[str], ticks: int) -> dict[str, float]:
    """Measure what needs an intervention, from a community on."""
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
    return out


def divergence(setting: Setting, seed: int) -> float:
    """Return how far the records that several histories of one world enter end apart (Jensen-Shannon, in nats)."""
    space, new = materials(setting.parameters, seed), []
    for i in range(HISTORIES):
        first, last = watched(setting.community((seed << 8) + i, space), (0, setting.ticks))
        new.append(np.maximum(last - first, 0.0))
    return float(corrected_jsd(np.array(new))[0])


def _known_mean(values: Sequence[float]) -> float:
    known = [v for v in values if not math.isnan(v)]
    return float(np.mean(known)) if known else math.nan


# --------------------------------------------------------------------------- what came out


def verdict(sign: int, effect: Estimate) -> str:
    """Return whether an effect in standard deviations is as predicted, weak, absent, reversed, or undecided.

    ``as predicted``: surely in the expected direction, and at least half a standard deviation; ``weak``: surely in it,
    and smaller; ``reversed``: surely in the other one; ``absent``: surely smaller than half a standard deviation either
    way; else ``undecided``.
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
    """Return the paired difference of two levels (n,) in standard deviations over a reference level."""
    difference = high - low
    known = np.isfinite(difference)
    if known.sum() and not difference[known].any():
        return Estimate(0.0, 0.0, 0.0, 0.0)
    spread = max(
        (float(np.nanstd(v, ddof=1)) for v in (reference, np.concatenate([low, high])) if np.isfinite(v).sum() > 1),
        default=math.nan,
        key=lambda s: s > 0,
    )
    return mean_estimate(difference[known] / spread) if known.sum() and spread > 0 else UNKNOWN


def between(levels: Float) -> tuple[Estimate, str]:
    """Return how far the best inner level lies below the better end (levels, n), for rows with least between."""
    inner = 1 + int(np.nanmean(levels[1:-1], axis=1).argmin())
    ends = [effect_of(levels[inner], levels[end], levels[inner]) for end in (0, -1)]
    least = min(ends, key=lambda e: e.value)
    return least, verdict(1, least)


def _judged(row: AtlasRow, x: Float) -> tuple[Estimate, str, float]:
    """Return effect, verdict and p value of a row from its indicator by level and seed."""
    from scipy.stats import ttest_1samp

    if not row.sign:
        return *between(x), math.nan
    reference = next((x[i] for i, level in enumerate(row.levels) if not level), x[len(x) // 2])
    effect = effect_of(x[0], x[-1], reference)
    difference = (x[-1] - x[0])[np.isfinite(x[-1] - x[0])]
    varies = len(difference) > 1 and np.ptp(difference) > 0
    return effect, verdict(row.sign, effect), float(ttest_1samp(difference, 0.0).pvalue) if varies else math.nan


def _finding(row: AtlasRow, effect: Estimate, word: str, n: int) -> Finding:
    """Return the finding of a row."""
    expected = f"expected {SIGNS[row.sign]}" if row.sign else "least expected between"
    words = f"{row.layer}: {row.name}, {row.indicator} (sd)"
    return Finding(words, effect, 0.0, n, f"{expected}: {word}")


def report_of(rows: Sequence[AtlasRow], setting: Setting, values: Mapping[Any, dict[str, float]]) -> Report:
    """Report effect and verdict of every row, and the indicator at every level."""
    by_variant: dict[tuple[Variant, int], dict[str, float]] = {(v, seed): out for (v, _, seed), out in values.items()}
    results, levels, p_values = [], [], []
    for row in rows:
        of, seeds = len(row.levels), setting.seeds()
        x = np.array([[by_variant[variant(row, i), s][row.indicator] for s in seeds] for i in range(of)])
        effect, word, p_value = _judged(row, x)
        p_values.append(p_value)
        results.append((row, effect, word, x))
        for i in range(of):
            e = mean_estimate(x[i][np.isfinite(x[i])])
            levels.append((row.group, row.key, row.parameter, word, i, of, e.value, e.low, e.high))
    adjusted = holm(np.array(p_values))
    findings, cells = [], []
    for (row, effect, word, x), p in zip(results, adjusted, strict=True):
        findings.append(_finding(row, effect, word, setting.replicates))
        ends = [float(np.nanmean(v)) if np.isfinite(v).any() else math.nan for v in (x[0], x[-1])]
        what = (row.layer, row.name, row.parameter, row.indicator, *ends, SIGNS[row.sign])
        cells.append((row.group, *what, effect.value, f"{effect.low:.2f} to {effect.high:.2f}", p, word))
    groups = dict.fromkeys(row.group for row in rows)
    tables = {group.replace(" ", "_"): _table(group, [c[1:] for c in cells if c[0] == group]) for group in groups}
    tables["levels"] = pd.DataFrame(levels, columns=COLUMNS_OF_LEVELS)
    return Report(tuple(findings), tables | {"counts": _counts([(c[0], c[-1], c[-2]) for c in cells])})


def _table(group: str, cells: list[tuple[Any, ...]]) -> pd.DataFrame:
    """Return the table of a group; of "boundary conditions" a row is a condition."""
    one = group.split()[-1].removesuffix("s")
    return pd.DataFrame(cells, columns=[c.format(one) for c in COLUMNS_OF_TABLE])


def _counts(verdicts: Sequence[tuple[str, str, float]]) -> pd.DataFrame:
    """Count rows by group and verdict, and those that are sure among all rows (Holm), by their p values."""
    rows = []
    for group in GROUPS:
        here = [(word, p) for of, word, p in verdicts if of == group]
        seen, sure = Counter(word for word, _ in here), Counter(word for word, p in here if p < 1.0 - LEVEL)
        counts = {word: seen[word] for word in WORDS} | {f"{word} (Holm)": sure[word] for word in SURE}
        rows.append({"group": group, "rows": len(here)} | counts)
    return pd.DataFrame(rows)


def atlas(rows: Sequence[AtlasRow] = ROWS) -> Assessment:
    """Return the assessment of some rows."""
    tasks, report = partial(tasks_of, rows), partial(report_of, rows)
    return Assessment("atlas", "Table 1 of the framework, row by row", tasks, measure, report, replicates=16, fewest=3)
