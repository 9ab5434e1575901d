"""The atlas: every condition, implication and mechanism of Table 1, measured on a community by turning its knob.

Levels of a knob share seeds (common random numbers). An effect is the paired difference of the indicator between the highest and the lowest level, in standard deviations of
the indicator over communities; rows that share a community share its run.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpbf_abm.errors import ConfigurationError, did_you_mean
from mpbf_abm.evidence.assessments.assessment import Battery, Finding, Report, Setting
from mpbf_abm.measures.urn import (
    at_mass_quantiles,
    bias_displacements,
    bias_gain,
    corpus_bias,
    displacements,
    intervene,
)
from mpbf_abm.model.community import Snapshot
from mpbf_abm.model.indicators import COLUMNS, observe, usage
from mpbf_abm.model.shocks import NODES, Shock
from mpbf_abm.parameters import Parameters
from mpbf_abm.stats.estimates import LEVEL, Estimate, mean_estimate

# --------------------------------------------------------------------------- atlas rows

# Rows of the atlas: what Table 1 of the Matter Pretraining Boundary Framework names, as knobs and indicators.
#
# Knobs are turned from low to high in the sense of the named condition. Directions were fixed from the framework before anything was run: a row whose effect is absent or
# reversed stays as it is.

Changes = Mapping[str, Any]
GROUPS = ("boundary conditions", "implications", "mechanisms")

EVEN = (1.0,) * 6
ALL_GRAPHS = (1.0, 0.0, 0.0, 0.0, 0.0, 0.0)
KINDS = (
    "crystal graphs",
    "DFT trajectories",
    "spectroscopy",
    "microscopy",
    "synthesis metadata",
    "multi-fidelity sets",
)


@dataclass(frozen=True)
class Row:
    """One row: a knob, an indicator, and the direction that is expected.

    Attributes
    ----------
    group, layer, name : str
        Group of the table, layer, and what the table names.
    knob : str
        What is turned, in words.
    levels : tuple of mapping of str to value
        Parameters at each level, low to high; an empty mapping is the community as it is. The key ``shock`` names a shock at mid-run.
    indicator : str
        Column of the observation, or one of :data:`mpbf_abm.evidence.assessments.atlas.MEASURED`.
    sign : int
        +1 or -1: expected direction of the indicator; 0: least in between.
    base : mapping
        Parameters that differ at all levels, so that the knob can act.
    note : str
    """

    group: str
    layer: str
    name: str
    knob: str
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
        """Changes at a level, the base included."""
        return {**self.base, **self.levels[level]}


def _both(name: str, *values: float) -> tuple[Changes, ...]:
    """Levels of a parameter that curators and planners share."""
    return tuple({f"planners.{name}": v, f"curators.{name}": v} for v in values)


def _one(path: str, *values: Any) -> tuple[Changes, ...]:
    return tuple({path: v} for v in values)


def _without(kind: int) -> tuple[float, ...]:
    """An even mix of modalities without one of them."""
    return tuple(0.0 if i == kind else 1.0 for i in range(6))


_SPARSE = tuple({"founding.records": f, "curators.records": c} for f, c in ((4_000, 8), (2_000, 4), (500, 1)))
_GAMMA = _both("reinforcement", 0.0, 1.05, 2.0)
_LABELS = _one("trainers.labels", "measured", "all", "simulated")
_CHANNELS = tuple(
    dict.fromkeys(
        ("coupling.uncertainty_dal_ral", "coupling.uncertainty_modalities", "coupling.uncertainty_ral_isl"), v
    )
    for v in (1.0, 0.5, 0.0)
)
_SIMULATED = {"trainers.labels": "simulated"}
_PSEUDO = {"coupling.pseudo_anchor": "property", "coupling.pseudo_gain": 3.0}
_WEIGHTS = tuple(
    {"planners.steering_gain": s, "curators.model_guidance": g} for s, g in ((0.0, 0.0), (1.0, 0.2), (3.0, 1.0))
)
_BIAS = _one("space.bias_offset", 0.0, -0.55, -1.1)
_QA = tuple({"curators.qa": q, "curators.provenance_errors": 0.3, "curators.audit_rate": 0.0} for q in (1.0, 0.5, 0.0))
_AUDIT = tuple(
    {"curators.audit_rate": a, "curators.provenance_errors": 0.3, "curators.qa": 0.0} for a in (0.5, 0.1, 0.0)
)
_MIX: tuple[Changes, ...] = ({"curators.modality_mix": EVEN}, {}, {"curators.modality_mix": ALL_GRAPHS})
_PROXY = _one("planners.proxy", 0.0, 0.5, 1.0)
_SCALES = _one("space.cross_scale", 0.0, 0.3, 0.6)
_INVARIANCE = _one("trainers.invariance", 1.0, 0.7, 0.0)
_CONCENTRATION = _one("founding.concentration", 0.0, 0.98, 1.5)

BOUNDARY = GROUPS[0]
DAL, RAL, ISL, X = "DAL", "RAL", "ISL", "cross-layer"

CONDITIONS = (
    Row(BOUNDARY, DAL, "data sparsity", "founding records and budget of curators, falling", _SPARSE, "rmse_out", +1),
    Row(BOUNDARY, DAL, "simulation bias transfer", "labels: measured, all, simulated", _LABELS, "inherited_bias", +1),
    Row(BOUNDARY, DAL, "simulation bias transfer", "labels: measured, all, simulated", _LABELS, "inherited_share", +1),
    Row(
        BOUNDARY,
        DAL,
        "simulation bias transfer",
        "harmonisation 1, .3, 0",
        _one("trainers.harmonisation", 1.0, 0.3, 0.0),
        "inherited_bias",
        +1,
        _SIMULATED,
    ),
    Row(BOUNDARY, DAL, "modality imbalance", "mix from even to crystal graphs alone", _MIX, "modalities_d1", -1),
    Row(BOUNDARY, DAL, "modality imbalance", "mix from even to crystal graphs alone", _MIX, "meso_explained", -1),
    Row(BOUNDARY, DAL, "provenance noise", "quality assurance 1, .5, 0 at an error rate of .3", _QA, "rmse", +1),
    Row(
        BOUNDARY, DAL, "provenance noise", "quality assurance 1, .5, 0 at an error rate of .3", _QA, "fidelity_gap", +1
    ),
    Row(
        BOUNDARY,
        DAL,
        "provenance noise",
        "audits .5, .1, 0 at an error rate of .3, no quality assurance",
        _AUDIT,
        "rmse",
        +1,
    ),
    Row(
        BOUNDARY,
        DAL,
        "provenance noise",
        "audits .5, .1, 0 at an error rate of .3, no quality assurance",
        _AUDIT,
        "fidelity_gap",
        +1,
    ),
    Row(BOUNDARY, DAL, "coverage gaps across chemical space", "reinforcement 0, 1.05, 2", _GAMMA, "coverage", -1),
    Row(
        BOUNDARY,
        DAL,
        "coverage gaps across chemical space",
        "coverage seeking 1, .5, 0",
        _one("curators.coverage_seeking", 1.0, 0.5, 0.0),
        "coverage",
        -1,
    ),
    Row(
        BOUNDARY,
        RAL,
        "over-abstraction",
        "latent directions 96, 48, 18, 8, 3",
        _one("trainers.latent_dims", 96, 48, 18, 8, 3),
        "rmse",
        0,
        note="optimum expected in between: few directions lose what matters, many keep gauge and noise",
    ),
    Row(BOUNDARY, RAL, "invariance deficit", "invariance 1, .7, 0", _INVARIANCE, "gauge_variance", +1),
    Row(
        BOUNDARY,
        RAL,
        "causal erosion",
        "correlation of the spurious block 0, .5, 1",
        _one("space.spurious_correlation", 0.0, 0.5, 1.0),
        "niche_excess",
        +1,
    ),
    Row(
        BOUNDARY,
        RAL,
        "latent collapse in niche domains",
        "concentration of founding records 0, .98, 1.5",
        _CONCENTRATION,
        "captured_gap",
        +1,
    ),
    Row(
        BOUNDARY,
        RAL,
        "latent collapse in niche domains",
        "concentration of founding records 0, .98, 1.5",
        _CONCENTRATION,
        "niche_ratio",
        +1,
    ),
    Row(
        BOUNDARY,
        RAL,
        "scale misalignment (quantum to macro)",
        "share of the property that arises across scales 0, .3, .6",
        _SCALES,
        "uncertainty",
        +1,
    ),
    Row(
        BOUNDARY,
        RAL,
        "scale misalignment (quantum to macro)",
        "share of the property that arises across scales 0, .3, .6",
        _SCALES,
        "rmse",
        +1,
    ),
    Row(
        BOUNDARY,
        RAL,
        "scale misalignment (quantum to macro)",
        "mix from even to crystal graphs alone",
        _MIX,
        "uncertainty",
        +1,
    ),
    Row(
        BOUNDARY,
        RAL,
        "scale misalignment (quantum to macro)",
        "mix from even to crystal graphs alone",
        _MIX,
        "rmse",
        +1,
    ),
    Row(
        BOUNDARY,
        ISL,
        "inference drift",
        "correction by results 1.2, .6, 0",
        _one("coupling.correction", 1.2, 0.6, 0.0),
        "drift",
        +1,
    ),
    Row(
        BOUNDARY,
        ISL,
        "inference drift",
        "ticks between retrainings 4, 12, 48",
        _one("trainers.retrain_interval", 4, 12, 48),
        "drift",
        +1,
    ),
    Row(
        BOUNDARY,
        ISL,
        "inference drift",
        "another simulation method from mid-run on",
        ({}, {"shock": "functional_revision"}),
        "drift",
        +1,
    ),
    Row(
        BOUNDARY,
        ISL,
        "feedback amplification",
        "share of generated labels 0, .25, .5, gain 3 about the property's mean",
        _one("coupling.pseudo_share", 0.0, 0.25, 0.5),
        "loop_gain",
        +1,
        _PSEUDO,
    ),
    Row(
        BOUNDARY,
        ISL,
        "feedback amplification",
        "share of generated labels 0, .25, .5, gain 3 about the property's mean",
        _one("coupling.pseudo_share", 0.0, 0.25, 0.5),
        "bias_exponent",
        +1,
        _PSEUDO,
        note="the sign of growth at L = 1 is verified exactly (row M7); here a real learner",
    ),
    Row(
        BOUNDARY,
        ISL,
        "uncertainty underestimation",
        "labels: measured, all, simulated",
        _LABELS,
        "overconfidence_emergent",
        +1,
    ),
    Row(
        BOUNDARY,
        ISL,
        "uncertainty underestimation",
        "imposed overconfidence 1, 1.5, 2",
        _one("trainers.overconfidence", 1.0, 1.5, 2.0),
        "coverage_95",
        -1,
    ),
    Row(BOUNDARY, ISL, "objective misalignment", "weight of a misaligned objective 0, .5, 1", _PROXY, "value_gain", -1),
    Row(BOUNDARY, ISL, "objective misalignment", "weight of a misaligned objective 0, .5, 1", _PROXY, "proxy_gain", +1),
    Row(BOUNDARY, ISL, "exploration lock-in", "reinforcement 0, 1.05, 2", _GAMMA, "families_d1", -1),
    Row(
        BOUNDARY,
        ISL,
        "exploration lock-in",
        "exploration .5, .1, 0 at reinforcement 2",
        _both("exploration", 0.5, 0.1, 0.0),
        "families_d1",
        -1,
        _GAMMA[2],
    ),
    Row(BOUNDARY, X, "cascading bias", "mean simulation bias 0, -.55, -1.1", _BIAS, "bias_dal", +1),
    Row(BOUNDARY, X, "cascading bias", "mean simulation bias 0, -.55, -1.1", _BIAS, "bias_ral", +1),
    Row(BOUNDARY, X, "cascading bias", "mean simulation bias 0, -.55, -1.1", _BIAS, "bias_isl", +1),
    Row(
        BOUNDARY,
        X,
        "compounding uncertainty",
        "uncertainty channels open, half, closed",
        _CHANNELS,
        "claimed_to_actual",
        +1,
    ),
    Row(
        BOUNDARY,
        X,
        "reinforcement of dense-region priors",
        "weights of models off, usual, strong",
        _WEIGHTS,
        "gamma_excess",
        +1,
        note="by intervention: extra records under common random numbers",
    ),
    Row(
        BOUNDARY,
        X,
        "misaligned retraining signals",
        "publication bias 0, .5, 1",
        _one("planners.publication_bias", 0.0, 0.5, 1.0),
        "rmse",
        +1,
    ),
    Row(BOUNDARY, X, "misaligned retraining signals", "weight of a misaligned objective 0, .5, 1", _PROXY, "rmse", +1),
)

_I = GROUPS[1]
IMPLICATIONS = (
    Row(
        _I,
        DAL,
        "skewed latent priors",
        "concentration of founding records 0, .98, 1.5",
        _CONCENTRATION,
        "integrity_gap",
        +1,
    ),
    Row(
        _I, DAL, "overfitting to simulated regimes", "labels: measured, all, simulated", _LABELS, "simulated_excess", +1
    ),
    Row(_I, DAL, "weak experimental transferability", "labels: measured, all, simulated", _LABELS, "rmse", +1),
    Row(
        _I,
        DAL,
        "distorted screening landscapes",
        "spread of the simulation bias .1, .44, 1.2",
        _one("space.bias_sd", 0.1, 0.44, 1.2),
        "enhancement_factor",
        -1,
    ),
    Row(_I, RAL, "physically incoherent predictions", "invariance 1, .7, 0", _INVARIANCE, "tradeoff_measured", -1),
    Row(
        _I,
        RAL,
        "spurious correlations",
        "amplitude of the spurious block 0, 2.5, 5",
        _one("space.spurious_amplitude", 0.0, 2.5, 5.0),
        "rmse_niche",
        +1,
    ),
    Row(_I, RAL, "instability under perturbations", "invariance 1, .7, 0", _INVARIANCE, "strain_variance", +1),
    Row(_I, ISL, "premature convergence", "reinforcement 0, 1.05, 2", _GAMMA, "novelty", -1),
    Row(
        _I,
        ISL,
        "suboptimal candidate prioritization",
        "weight of a misaligned objective 0, .5, 1",
        _PROXY,
        "found_share",
        -1,
    ),
    Row(_I, ISL, "reduced novelty", "reinforcement 0, 1.05, 2", _GAMMA, "families_d0", -1),
    Row(
        _I,
        ISL,
        "brittle closed-loop experimentation",
        "providers 3, 2, 1 at a hazard of .02",
        _one("infrastructure.providers", 3, 2, 1),
        "labs_working",
        -1,
        {"stocks.hazard": 0.02},
    ),
    Row(
        _I,
        X,
        "discovery path dependency",
        "reinforcement 0, 1.05, 2",
        _GAMMA,
        "damage_exponent",
        +1,
        note="a small change in twin runs; more by mpbf lab path",
    ),
    Row(
        _I,
        X,
        "infrastructure fragility",
        "the largest repository lost at mid-run",
        ({}, {"shock": "repository_outage"}),
        "found_share",
        -1,
        note="more by mpbf lab fragility",
    ),
    Row(_I, X, "reduced generalization to unexplored regimes", "reinforcement 0, 1.05, 2", _GAMMA, "rmse_out", +1),
)

_M = GROUPS[2]
MECHANISMS = (
    *(
        Row(
            _M,
            DAL,
            kind,
            f"{kind} in an even mix, and without",
            ({"curators.modality_mix": EVEN}, {"curators.modality_mix": _without(i)}),
            "rmse",
            +1,
        )
        for i, kind in enumerate(KINDS)
    ),
    Row(
        _M,
        RAL,
        "graph neural encoders",
        "no pretraining, graph-smoothed descriptors",
        _one("trainers.objective", "none", "graph"),
        "rmse",
        -1,
    ),
    Row(_M, RAL, "equivariant networks", "invariance 0, 1", _one("trainers.invariance", 0.0, 1.0), "rmse", -1),
    Row(
        _M,
        RAL,
        "masked structure prediction",
        "no pretraining, masked",
        _one("trainers.objective", "none", "masked"),
        "rmse",
        -1,
    ),
    Row(
        _M,
        RAL,
        "contrastive learning",
        "no pretraining, contrastive",
        _one("trainers.objective", "none", "contrastive"),
        "rmse",
        -1,
    ),
    Row(
        _M,
        RAL,
        "cross-modal fusion",
        "no pretraining, fusion",
        _one("trainers.objective", "none", "fusion"),
        "rmse",
        -1,
    ),
    Row(
        _M,
        ISL,
        "inverse design engines",
        "uniform candidates, inverse design",
        _one("planners.source", "uniform", "inverse"),
        "found_share",
        +1,
    ),
    Row(
        _M,
        ISL,
        "generative models",
        "uniform candidates, generated proposals",
        _one("planners.source", "uniform", "generative"),
        "found_share",
        +1,
    ),
    Row(
        _M,
        ISL,
        "Bayesian optimization",
        "random choice, expected improvement",
        _one("planners.acquisition", "random", "ei"),
        "found_share",
        +1,
    ),
    Row(
        _M,
        ISL,
        "active learning",
        "random choice, largest variance",
        _one("planners.acquisition", "random", "maxvar"),
        "rmse",
        -1,
    ),
    Row(
        _M,
        ISL,
        "candidate ranking systems",
        "random choice, rank ensemble",
        _one("planners.acquisition", "random", "ranking"),
        "found_share",
        +1,
    ),
    Row(
        _M,
        X,
        "inner loop: model fine-tuning",
        "corrections by results off, on",
        _one("coupling.correction", 0.0, 0.6),
        "drift",
        -1,
    ),
    Row(
        _M,
        X,
        "outer loop: data reacquisition",
        "results reach the commons: none, all",
        _one("coupling.outer_loop", 0.0, 1.0),
        "found_share",
        +1,
    ),
    Row(
        _M, X, "uncertainty propagation channels", "closed, open", (_CHANNELS[2], _CHANNELS[0]), "claimed_to_actual", -1
    ),
)

ROWS = (*CONDITIONS, *IMPLICATIONS, *MECHANISMS)

Float = NDArray[np.float64]
Variant = tuple[tuple[str, Any], ...]

WORDS = ("as predicted", "weak", "absent", "reversed", "undecided")
SURE = ("as predicted", "reversed")
SMALLEST = 0.5  # standard deviations: a smaller effect is weak
LOOKS = 10  # observations in the second half of a run
FAMILIES = 5  # of an intervention
# What one tick shows is averaged over the second half of a run; the rest is taken at its end.
FLOWS = (
    "drift",
    "value_gain",
    "proxy_gain",
    "claim_error",
    "novelty",
    "adjacency_first",
    "hit_rate_frozen",
    "hit_rate_moving",
    "generated_share",
    "boundary_choices",
    "labs_working",
    "models_working",
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
    mine = {
        "meso_explained": sum(w * (1.0 - m.diagnosis.u[0]) for w, m in models if m.diagnosis) if models else math.nan,
        "fidelity_gap": end["fidelity_perceived"] - end["fidelity"],
        "niche_excess": end["rmse_niche"] - end["rmse_dense"],
        "niche_ratio": end["rmse_niche"] / end["rmse_dense"] if end["rmse_dense"] else math.nan,
        "captured_gap": end["captured_dense"] - end["captured_niche"],
        "simulated_excess": end["coverage_68_simulated"] - end["coverage_68"],
        "bias_dal": abs(corpus_bias(world)),
        "bias_ral": abs(
            sum(w * float((m.panel_mean - world.truth.property[m.panel.materials]).mean()) for w, m in models)
        )
        if models
        else math.nan,
        "bias_isl": abs(end["claim_error"]),
    }
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
                    "layer": row.layer,
                    row_title(group): row.name,
                    "knob, low to high": row.knob,
                    "indicator": row.indicator,
                    "lowest": float(np.nanmean(x[0])) if np.isfinite(x[0]).any() else math.nan,
                    "highest": float(np.nanmean(x[-1])) if np.isfinite(x[-1]).any() else math.nan,
                    "expected": {1: "+", -1: "-", 0: "least between"}[row.sign],
                    "effect, sd": effect.value,
                    "95 % interval": f"{effect.low:.2f} to {effect.high:.2f}",
                    "p (Holm)": adjusted[i],
                    "found": word,
                }
                for i, (row, effect, word, x) in enumerate(told)
                if row.group == group
            ]
        )
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
            {"group": group, "rows": len(here)}
            | {word: found[word] for word in WORDS}
            | {f"{word} (Holm)": sure[word] for word in SURE}
        )
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
        "atlas",
        "Table 1 of the framework, row by row",
        partial(tasks_of, rows),
        measure,
        partial(report_of, rows),
        replicates=16,
        fewest=3,
    )


def faults_of(row: Row) -> list[str]:
    """What is wrong with a row: an indicator that nobody measures, levels that parameters do not allow."""
    faults = [] if row.indicator in (*COLUMNS, *MEASURED) else [f"{row.key}: no such indicator"]
    for level in range(len(row.levels)):
        try:
            Parameters().updated({k: v for k, v in row.parameters(level).items() if k != "shock"})
        except ConfigurationError as error:
            faults += error.faults
    return faults
