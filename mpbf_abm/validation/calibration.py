"""What the calibration moves, and the facts at a point: the model of its studies.

Parameters are moved together over stated ranges (a uniform prior). Facts that are held out, reductions and campaigns on pools
play no part in the fit; the held-out ones are computed along, so that what the fit does to them can be seen.
"""

from __future__ import annotations

from typing import Any

from mpbf_abm.parameters import Parameters
from mpbf_abm.space.materials import MaterialsSpace
from mpbf_abm.studies.definition import Outcome, Replicates
from mpbf_abm.studies.design import Design
from mpbf_abm.studies.model import RunInput
from mpbf_abm.studies.study import Study
from mpbf_abm.threads import one_thread
from mpbf_abm.validation import learners
from mpbf_abm.validation.community import community
from mpbf_abm.validation.facts import Component
from mpbf_abm.validation.labels import simulated_labels

# What is moved: name, lowest and highest value, parameters that take it.
FACTORS: dict[str, tuple[float, float, tuple[str, ...]]] = {
    "bias_offset": (-0.7, -0.4, ("space.bias_offset",)),
    "bias_sd": (0.25, 0.6, ("space.bias_sd",)),
    "bias_family": (0.05, 0.4, ("space.bias_family",)),
    "bias_scatter": (0.01, 0.15, ("space.bias_scatter",)),
    "bias_length": (2.0, 8.0, ("space.bias_length",)),
    "cross_scale": (0.1, 0.3, ("space.cross_scale",)),
    "ruggedness": (4.0, 10.0, ("space.ruggedness",)),
    "near_duplicates": (0.02, 0.5, ("space.near_duplicates",)),
    "concentration": (0.8, 1.2, ("founding.concentration",)),
    "reinforcement": (0.9, 1.2, ("planners.reinforcement", "curators.reinforcement")),
    "exploration": (0.05, 0.2, ("planners.exploration", "curators.exploration")),
    "latent_dims": (12, 22, ("trainers.latent_dims",)),
    "features": (96, 256, ("trainers.features",)),
    "length_scale": (0.6, 2.0, ("trainers.length_scale",)),
    "records": (800, 2_400, ("trainers.records",)),
    "measured_noise": (0.2, 0.6, ("curators.measured_noise",)),
    "experiments": (0.1, 0.35, ("planners.experiments",)),
    "preference": (1.5, 3.0, ("infrastructure.preference",)),
    "providers": (1, 3, ("infrastructure.providers",)),
    "rewiring": (0.05, 0.3, ("infrastructure.rewiring",)),
}
WHOLE = ("latent_dims", "features", "records", "providers")
# Facts that follow from the defaults, neither reductions nor campaigns on pools.
FITTED = (
    "gap_pbe_ratio", "gap_pbe_mae", "gap_false_metal", "bias_inheritance", "bias_correction_n", "system_top10", "element_gini",
    "attachment_alpha", "ood_ratio", "cov68_id", "overconfidence", "learning_exponent", "corpus_exponent", "redundancy",
    "corpus_monoculture", "effective_mixes", "ai_narrowing", "individual_gain", "element_prevalence_weak", "found_share",
)  # fmt: skip
FOUND = Component("found_share", "found share of the top set", "share", 0.45, 0.3, 0.6)  # room to move both ways


def parameters(values: dict[str, Any]) -> Parameters:
    """Parameters at a point of the calibration."""
    changes: dict[str, Any] = {}
    for name, value in values.items():
        changes |= dict.fromkeys(FACTORS[name][2], round(value) if name in WHOLE else float(value))
    if "space.bias_family" in changes:
        # The two shares leave the rest to the smooth part.
        changes["space.bias_smooth"] = 1.0 - changes["space.bias_family"] - changes["space.bias_scatter"]
    return Parameters().updated(changes)


def evaluate(run: RunInput) -> dict[str, float]:
    """Every fitted fact of one community, its materials and its learners."""
    return facts_at(parameters(dict(run.values)), run.seed)


def facts_at(p: Parameters, seed: int) -> dict[str, float]:
    """Fitted facts of a community with these parameters, on materials of the same seed."""
    with one_thread():
        space = MaterialsSpace.synthetic(p, seed=seed)
        out = simulated_labels(p, space, seed) | community(p, space, seed)
        for measure in (
            learners.inheritance, learners.transfer, learners.calibration, learners.learning_curves,
            learners.redundancy, learners.prevalence,
        ):  # fmt: skip
            out |= measure(p, space, seed)
    return {name: out[name] for name in FITTED}


def study(name: str, design: Design, replicates: int, seed: int) -> Study:
    """Study of the facts over a design; all scenarios share their draws."""
    return Study(
        name=name, model=evaluate, seed=seed, crn="all", design=design, replicates=Replicates(n=replicates),
        outcomes={name: Outcome() for name in FITTED},
        parameters={name: {"low": float(low), "high": float(high)} for name, (low, high, _) in FACTORS.items()},
    )  # fmt: skip
