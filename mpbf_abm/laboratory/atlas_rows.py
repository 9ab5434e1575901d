"""Rows of the atlas: what Table 1 of the Matter Pretraining Boundary Framework names, as knobs and indicators.

Knobs are turned from low to high in the sense of the named condition. Directions were fixed from the framework before anything was run: a row whose effect is absent or
reversed stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
        Column of the observation, or one of :data:`mpbf_abm.laboratory.atlas.MEASURED`.
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
    Row(BOUNDARY, DAL, "simulation bias transfer", "harmonisation 1, .3, 0", _one("curators.harmonisation", 1.0, 0.3, 0.0), "inherited_bias", +1, _SIMULATED),
    Row(BOUNDARY, DAL, "modality imbalance", "mix from even to crystal graphs alone", _MIX, "modalities_d1", -1),
    Row(BOUNDARY, DAL, "modality imbalance", "mix from even to crystal graphs alone", _MIX, "meso_explained", -1),
    Row(BOUNDARY, DAL, "provenance noise", "quality assurance 1, .5, 0 at an error rate of .3", _QA, "rmse", +1),
    Row(BOUNDARY, DAL, "provenance noise", "quality assurance 1, .5, 0 at an error rate of .3", _QA, "fidelity_gap", +1),
    Row(BOUNDARY, DAL, "provenance noise", "audits .5, .1, 0 at an error rate of .3, no quality assurance", _AUDIT, "rmse", +1),
    Row(BOUNDARY, DAL, "provenance noise", "audits .5, .1, 0 at an error rate of .3, no quality assurance", _AUDIT, "fidelity_gap", +1),
    Row(BOUNDARY, DAL, "coverage gaps across chemical space", "reinforcement 0, 1.05, 2", _GAMMA, "coverage", -1),
    Row(BOUNDARY, DAL, "coverage gaps across chemical space", "coverage seeking 1, .5, 0", _one("curators.coverage_seeking", 1.0, 0.5, 0.0), "coverage", -1),
    Row(BOUNDARY, RAL, "over-abstraction", "latent directions 96, 48, 18, 8, 3", _one("trainers.latent_dims", 96, 48, 18, 8, 3), "rmse", 0,
        note="optimum expected in between: few directions lose what matters, many keep gauge and noise"),
    Row(BOUNDARY, RAL, "invariance deficit", "invariance 1, .7, 0", _INVARIANCE, "gauge_variance", +1),
    Row(BOUNDARY, RAL, "causal erosion", "correlation of the spurious block 0, .5, 1", _one("space.spurious_correlation", 0.0, 0.5, 1.0), "niche_excess", +1),
    Row(BOUNDARY, RAL, "latent collapse in niche domains", "concentration of founding records 0, .98, 1.5", _CONCENTRATION, "captured_gap", +1),
    Row(BOUNDARY, RAL, "latent collapse in niche domains", "concentration of founding records 0, .98, 1.5", _CONCENTRATION, "niche_ratio", +1),
    Row(BOUNDARY, RAL, "scale misalignment (quantum to macro)", "share of the property that arises across scales 0, .3, .6", _SCALES, "uncertainty", +1),
    Row(BOUNDARY, RAL, "scale misalignment (quantum to macro)", "share of the property that arises across scales 0, .3, .6", _SCALES, "rmse", +1),
    Row(BOUNDARY, RAL, "scale misalignment (quantum to macro)", "mix from even to crystal graphs alone", _MIX, "uncertainty", +1),
    Row(BOUNDARY, RAL, "scale misalignment (quantum to macro)", "mix from even to crystal graphs alone", _MIX, "rmse", +1),
    Row(BOUNDARY, ISL, "inference drift", "correction by results 1.2, .6, 0", _one("coupling.correction", 1.2, 0.6, 0.0), "drift", +1),
    Row(BOUNDARY, ISL, "inference drift", "ticks between retrainings 4, 12, 48", _one("trainers.retrain_interval", 4, 12, 48), "drift", +1),
    Row(BOUNDARY, ISL, "inference drift", "another simulation method from mid-run on", ({}, {"shock": "functional_revision"}), "drift", +1),
    Row(BOUNDARY, ISL, "feedback amplification", "share of generated labels 0, .25, .5, gain 3 about the property's mean", _one("coupling.pseudo_share", 0.0, 0.25, 0.5), "loop_gain", +1, _PSEUDO),
    Row(BOUNDARY, ISL, "feedback amplification", "share of generated labels 0, .25, .5, gain 3 about the property's mean", _one("coupling.pseudo_share", 0.0, 0.25, 0.5), "bias_exponent", +1, _PSEUDO,
        note="the sign of growth at L = 1 is verified exactly (row M7); here a real learner"),
    Row(BOUNDARY, ISL, "uncertainty underestimation", "labels: measured, all, simulated", _LABELS, "overconfidence_emergent", +1),
    Row(BOUNDARY, ISL, "uncertainty underestimation", "imposed overconfidence 1, 1.5, 2", _one("trainers.overconfidence", 1.0, 1.5, 2.0), "coverage_95", -1),
    Row(BOUNDARY, ISL, "objective misalignment", "weight of a misaligned objective 0, .5, 1", _PROXY, "value_gain", -1),
    Row(BOUNDARY, ISL, "objective misalignment", "weight of a misaligned objective 0, .5, 1", _PROXY, "proxy_gain", +1),
    Row(BOUNDARY, ISL, "exploration lock-in", "reinforcement 0, 1.05, 2", _GAMMA, "families_d1", -1),
    Row(BOUNDARY, ISL, "exploration lock-in", "exploration .5, .1, 0 at reinforcement 2", _both("exploration", 0.5, 0.1, 0.0), "families_d1", -1, _GAMMA[2]),
    Row(BOUNDARY, X, "cascading bias", "mean simulation bias 0, -.55, -1.1", _BIAS, "bias_dal", +1),
    Row(BOUNDARY, X, "cascading bias", "mean simulation bias 0, -.55, -1.1", _BIAS, "bias_ral", +1),
    Row(BOUNDARY, X, "cascading bias", "mean simulation bias 0, -.55, -1.1", _BIAS, "bias_isl", +1),
    Row(BOUNDARY, X, "compounding uncertainty", "uncertainty channels open, half, closed", _CHANNELS, "claimed_to_actual", +1),
    Row(BOUNDARY, X, "reinforcement of dense-region priors", "weights of models off, usual, strong", _WEIGHTS, "gamma_excess", +1,
        note="by intervention: extra records under common random numbers"),
    Row(BOUNDARY, X, "misaligned retraining signals", "publication bias 0, .5, 1", _one("planners.publication_bias", 0.0, 0.5, 1.0), "rmse", +1),
    Row(BOUNDARY, X, "misaligned retraining signals", "weight of a misaligned objective 0, .5, 1", _PROXY, "rmse", +1),
)  # fmt: skip

_I = GROUPS[1]
IMPLICATIONS = (
    Row(_I, DAL, "skewed latent priors", "concentration of founding records 0, .98, 1.5", _CONCENTRATION, "integrity_gap", +1),
    Row(_I, DAL, "overfitting to simulated regimes", "labels: measured, all, simulated", _LABELS, "simulated_excess", +1),
    Row(_I, DAL, "weak experimental transferability", "labels: measured, all, simulated", _LABELS, "rmse", +1),
    Row(_I, DAL, "distorted screening landscapes", "spread of the simulation bias .1, .44, 1.2", _one("space.bias_sd", 0.1, 0.44, 1.2), "enhancement_factor", -1),
    Row(_I, RAL, "physically incoherent predictions", "invariance 1, .7, 0", _INVARIANCE, "tradeoff_measured", -1),
    Row(_I, RAL, "spurious correlations", "amplitude of the spurious block 0, 2.5, 5", _one("space.spurious_amplitude", 0.0, 2.5, 5.0), "rmse_niche", +1),
    Row(_I, RAL, "instability under perturbations", "invariance 1, .7, 0", _INVARIANCE, "strain_variance", +1),
    Row(_I, ISL, "premature convergence", "reinforcement 0, 1.05, 2", _GAMMA, "novelty", -1),
    Row(_I, ISL, "suboptimal candidate prioritization", "weight of a misaligned objective 0, .5, 1", _PROXY, "found_share", -1),
    Row(_I, ISL, "reduced novelty", "reinforcement 0, 1.05, 2", _GAMMA, "families_d0", -1),
    Row(_I, ISL, "brittle closed-loop experimentation", "providers 3, 2, 1 at a hazard of .02", _one("infrastructure.providers", 3, 2, 1), "labs_working", -1, {"stocks.hazard": 0.02}),
    Row(_I, X, "discovery path dependency", "reinforcement 0, 1.05, 2", _GAMMA, "damage_exponent", +1, note="a small change in twin runs; more by mpbf lab path"),
    Row(_I, X, "infrastructure fragility", "the largest repository lost at mid-run", ({}, {"shock": "repository_outage"}), "found_share", -1, note="more by mpbf lab fragility"),
    Row(_I, X, "reduced generalization to unexplored regimes", "reinforcement 0, 1.05, 2", _GAMMA, "rmse_out", +1),
)  # fmt: skip

_M = GROUPS[2]
MECHANISMS = (
    *(
        Row(_M, DAL, kind, f"{kind} in an even mix, and without", ({"curators.modality_mix": EVEN}, {"curators.modality_mix": _without(i)}), "rmse", +1)
        for i, kind in enumerate(KINDS)
    ),
    Row(_M, RAL, "graph neural encoders", "no pretraining, graph-smoothed descriptors", _one("trainers.objective", "none", "graph"), "rmse", -1),
    Row(_M, RAL, "equivariant networks", "invariance 0, 1", _one("trainers.invariance", 0.0, 1.0), "rmse", -1),
    Row(_M, RAL, "masked structure prediction", "no pretraining, masked", _one("trainers.objective", "none", "masked"), "rmse", -1),
    Row(_M, RAL, "contrastive learning", "no pretraining, contrastive", _one("trainers.objective", "none", "contrastive"), "rmse", -1),
    Row(_M, RAL, "cross-modal fusion", "no pretraining, fusion", _one("trainers.objective", "none", "fusion"), "rmse", -1),
    Row(_M, ISL, "inverse design engines", "uniform candidates, inverse design", _one("planners.source", "uniform", "inverse"), "found_share", +1),
    Row(_M, ISL, "generative models", "uniform candidates, generated proposals", _one("planners.source", "uniform", "generative"), "found_share", +1),
    Row(_M, ISL, "Bayesian optimization", "random choice, expected improvement", _one("planners.acquisition", "random", "ei"), "found_share", +1),
    Row(_M, ISL, "active learning", "random choice, largest variance", _one("planners.acquisition", "random", "maxvar"), "rmse", -1),
    Row(_M, ISL, "candidate ranking systems", "random choice, rank ensemble", _one("planners.acquisition", "random", "ranking"), "found_share", +1),
    Row(_M, X, "inner loop: model fine-tuning", "corrections by results off, on", _one("coupling.correction", 0.0, 0.6), "drift", -1),
    Row(_M, X, "outer loop: data reacquisition", "results reach the commons: none, all", _one("coupling.outer_loop", 0.0, 1.0), "found_share", +1),
    Row(_M, X, "uncertainty propagation channels", "closed, open", (_CHANNELS[2], _CHANNELS[0]), "claimed_to_actual", -1),
)  # fmt: skip

ROWS = (*CONDITIONS, *IMPLICATIONS, *MECHANISMS)
