"""Parameters: one schema for validation, command line, documentation and page.

Every parameter has a name, a default, bounds, a unit, a source (or "assumed") and a help
text, grouped by the layer it belongs to. Values are frozen; :meth:`Parameters.replace`
returns a changed copy.
"""

from __future__ import annotations

import inspect
import json
import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic.fields import FieldInfo

from mpbf_abm.errors import ConfigurationError, NotTomlError, did_you_mean, refuse, refuse_all, refuse_any
from mpbf_abm.glance import Glance, Shown
from mpbf_abm.learning.acquisition import RULES

DESIGN = "design target"
TAUGHT = "design target: a world in which data and pretraining have value, found by trial"
ASSUMED = "assumed"
LEAST = 1e-3  # of what is divided by in a run: less is no question, and too little for arithmetic


def fitted(*facts: int) -> str:
    """Return the source of a parameter that was calibrated on some facts."""
    return f"calibrated: fact{'s' * (len(facts) > 1)} {' and '.join(map(str, facts))}"


def _p(
    help: str,
    default: Any,
    low: float | None = None,
    high: float | None = None,
    *,
    gt: float | None = None,
    unit: str = "1",
    source: str = ASSUMED,
) -> Any:
    """Declare one parameter: what it means, its default, bounds (or what it must exceed), unit and source."""
    divides = low == LEAST
    # Studies of earlier versions hold smaller values, and can be read; a run is refused (too_small).
    low, gt = (None, 0) if divides else (low, gt)
    about: Any = {"unit": unit, "source": source, "divides": divides}
    return Field(default, description=help, ge=low, le=high, gt=gt, json_schema_extra=about)


FIELDS = "Fields"  # heading in a docstring
SIGNS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


def _bounds(info: Any) -> dict[str, float]:
    """Return the bounds of a field in a run, by kind of bound."""
    bounds = {s: getattr(m, s) for s in SIGNS for m in info.metadata if hasattr(m, s)}
    divides = (info.json_schema_extra or {}).get("divides")
    return {"ge": LEAST, "le": bounds["le"]} if divides else bounds


class Documented(BaseModel):
    """Values whose ``help()`` lists their fields with type, unit, bounds, default and meaning."""

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        super().__pydantic_init_subclass__(**options)
        lines = [line for item in cls.model_fields.items() for line in _field_lines(*item)]
        about = inspect.cleandoc(cls.__dict__.get("__doc__") or "")
        cls.__doc__ = "\n".join([about, "", FIELDS, "-" * len(FIELDS), *lines] if lines else [about])


def _field_lines(name: str, info: FieldInfo) -> list[str]:
    """Return a field as a docstring has it: its type, unit, bounds and default, and below what it means."""
    kind = re.sub(r"(?:\w+\.)+(?=\w)", "", inspect.formatannotation(info.annotation))
    said: Any = info.json_schema_extra or {}
    unit = [f"unit {said['unit']}"] if said.get("unit", "name") not in ("name", "switch") else []
    bounds = [f"{SIGNS[sign]} {bound:.12g}" for sign, bound in _bounds(info).items()]
    value = info.get_default(call_default_factory=True)
    default = "required" if info.is_required() else f"default {_made(value)}"
    meaning = [f"    {info.description}"] if info.description else []
    return [f"{name} : {', '.join([kind, *unit, *bounds, default])}", *meaning]


def _made(value: Any) -> str:
    """Return how a value is written in Python; of a group what differs from its defaults."""
    if not isinstance(value, BaseModel):
        return repr(value)
    return (
        f"{type(value).__name__}({', '.join(f'{k}={v!r}' for k, v in value.model_dump(exclude_defaults=True).items())})"
    )


class Group(Documented):
    """A group of parameters that belong to one part of the model."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_silent_conversion(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse text for numbers ('1' is a typing error, not 1) and switches for numbers, also inside vectors."""
        return refuse_silent_conversion(value, switch=cls.model_fields[str(info.field_name)].annotation is bool)


def refuse_silent_conversion(value: Any, *, switch: bool = False) -> Any:
    """Return a value unless it is text for a number or a switch for a number, also inside vectors."""
    for part in value if isinstance(value, (list, tuple)) else (value,):
        if isinstance(part, str) and _looks_numeric(part):
            raise ValueError(f"is text ({part!r}); write the number without quotes")
        if isinstance(part, bool) and not switch:
            raise ValueError(f"is a switch ({str(part).lower()}); a number is meant")
    return value


def bounds_of(path: str) -> tuple[float, float]:
    """Lowest and highest value of a parameter, infinite where it has none."""
    row = schema_row(path)
    return (-math.inf if row["low"] is None else row["low"]), (math.inf if row["high"] is None else row["high"])


def _looks_numeric(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


class SpaceParameters(Group):
    """Synthetic materials space."""

    materials: int = _p("number of materials N", 20_000, 2, 5_000_000, unit="materials", source=DESIGN)
    families: int = _p("number of families K", 100, 1, 5_000, unit="families", source=DESIGN)
    family_exponent: float = _p(
        "Zipf exponent of family sizes (top decile 0.50, Gini 0.56 at 100 families)",
        0.9,
        0,
        3,
        source="concentration of real databases: top decile of chemical systems 0.47-0.50, Gini 0.47-0.62",
    )
    quantum_dims: int = _p("width of the quantum block", 8, 4, 128, unit="columns", source=DESIGN)
    meso_dims: int = _p("width of the meso block (microstructure, processing)", 4, 1, 32, unit="columns", source=DESIGN)
    gauge_amplitude: float = _p(
        "standard deviation of the gauge block: orientation moves descriptors as much as chemistry",
        1.0,
        0,
        10,
        unit="descriptor units",
        source=TAUGHT,
    )
    gauge_dims: int = _p("width of the gauge block (orientation, cell choice)", 6, 0, 32, unit="columns", source=DESIGN)
    spurious_dims: int = _p("width of the spurious block", 4, 0, 32, unit="columns", source=DESIGN)
    chemistry_rank: int = _p(
        "dimensions along which materials of one family vary", 4, 1, 24, unit="dimensions", source=DESIGN
    )
    shared_chemistry: float = _p(
        "share of those dimensions' variance that all families have in common", 0.6, 0, 1, source=TAUGHT
    )
    ruggedness: float = _p(
        "length scale of the property field in the quantum block; smaller is more rugged",
        6.0,
        LEAST,
        100,
        unit="descriptor units",
        source=TAUGHT,
    )
    field: Literal["fourier", "binned"] = _p(
        "class of the property's random fields: smooth ones of the learners' own kind, or piecewise constant ones",
        "fourier",
        unit="name",
    )
    cross_scale: float = _p(
        "variance share of the property that depends on quantum and meso jointly", 0.18, 0, 1, source=fitted(1, 2)
    )
    phase_jump: float = _p("height of a jump of the property across a phase surface", 0.0, 0, 5, unit="property sd")
    spurious_correlation: float = _p("correlation of the spurious block with the property in dense families", 0.5, 0, 1)
    spurious_amplitude: float = _p(
        "amplitude of the spurious block", 1.0, 0, 10, unit="descriptor units", source=TAUGHT
    )
    bias_sd: float = _p(
        "standard deviation of the simulation bias field", 0.44, 0, 5, unit="property sd", source=fitted(1, 2)
    )
    bias_offset: float = _p("mean simulation bias", -0.55, -5, 5, unit="property sd", source=fitted(1))
    bias_family: float = _p(
        "share of bias variance between families",
        0.15,
        0,
        1,
        source="calibrated: facts 1 and 3; families hold 0.10 to 0.23 of the variance of PBE errors",
    )
    bias_smooth: float = _p(
        "share of bias variance that is smooth within families", 0.83, 0, 1, source="what the other two shares leave"
    )
    bias_scatter: float = _p("share of bias variance that is scatter", 0.02, 0, 1, source=fitted(2))
    bias_length: float = _p(
        "length scale of the smooth bias", 5.0, LEAST, 100, unit="descriptor units", source=fitted(2, 3)
    )
    difficulty: float = _p("log-sd of the factor on measurement noise", 0.4, 0, 2)
    feasible: float = _p("share of materials that can be made", 0.85, None, 1, gt=0)
    feasible_scatter: float = _p(
        "variance share of what decides whether a material can be made that no descriptor shows",
        0.3,
        0,
        1,
        source="learning curves of real trials are met best at 0.25 to 0.4 (observed descriptors)",
    )
    near_duplicates: float = _p(
        "share of materials that nearly copy another of their family",
        0.05,
        0,
        0.9,
        source="assumed; databases hold up to 95 % redundant entries (fact 9, held out)",
    )
    observed_dims: int = _p(
        "width of the observed descriptor, in which the blocks are hidden under noise; 0 shows the blocks themselves",
        160,
        0,
        2_048,
        unit="columns",
        source=TAUGHT,
    )
    signal: float = _p(
        "amplitude of the blocks in the observed descriptor, in which noise is 1",
        2.0,
        None,
        100,
        unit="noise sd",
        gt=0,
        source=TAUGHT,
    )
    curvature: float = _p("epsilon of a non-linear observation: blocks c are seen as c + epsilon tanh(c)", 0.0, 0, 10)
    view_noise: float = _p("variance share of that noise that differs between observations of one material", 0.0, 0, 1)
    properties: int = _p("number of properties T; every lab seeks one of them", 6, 1, 64, unit="properties")
    factors: int = _p(
        "independent random fields J of which properties are mixtures, where there are several", 4, 1, 64, unit="fields"
    )
    relatedness: float = _p("rho_T: share of a property's mixture that all properties have in common", 0.3, 0, 1)
    top_share: float = _p("share of feasible materials that form the top set", 0.01, None, 0.5, gt=0, source=DESIGN)
    dense_share: float = _p("share of families, the largest ones, that count as dense", 0.1, 0, 1, source=DESIGN)

    @model_validator(mode="after")
    def _consistent(self) -> SpaceParameters:
        shares = self.bias_family + self.bias_smooth + self.bias_scatter
        refuse_all(
            (
                self.materials < self.families,
                (
                    f"space.materials = {self.materials}: must be at least space.families = {self.families}, "
                    "or some family is empty"
                ),
            ),
            (
                self.chemistry_rank > self.quantum_dims,
                (
                    f"space.chemistry_rank = {self.chemistry_rank}: must not exceed "
                    f"space.quantum_dims = {self.quantum_dims}"
                ),
            ),
            (
                0 < self.observed_dims < self.block_dims,
                (
                    f"space.observed_dims = {self.observed_dims}: must be 0, or at least the width of the four blocks, "
                    f"{self.block_dims}"
                ),
            ),
            (
                not math.isclose(shares, 1.0, abs_tol=1e-6),
                (
                    "space.bias_family, space.bias_smooth and space.bias_scatter are variance shares: "
                    f"they must sum to 1, not {shares:g}"
                ),
            ),
        )
        return self

    @property
    def block_dims(self) -> int:
        """Columns of the four blocks together."""
        return self.quantum_dims + self.meso_dims + self.gauge_dims + self.spurious_dims


class FoundingParameters(Group):
    """What the commons holds at tick 0."""

    mass: float | tuple[float, ...] = _p(
        "virtual founding mass a_k of every family (one number, or one per family)", 1.0, unit="records"
    )
    records: int = _p("real founding records", 1_000, 0, 5_000_000, unit="records")
    structures: int = _p(
        "founding structures: unlabelled records, which encoders alone read", 0, 0, 5_000_000, unit="structures"
    )
    concentration: float = _p(
        "founding records of a family grow as its size to this power; above 1 the corpus is concentrated",
        0.98,
        -2,
        5,
        source=fitted(4),
    )
    year: int = _p(
        "founding records are of materials reported by this year, each as often as any other; 0: of all, by families",
        0,
        0,
        9_999,
        unit="year",
    )

    @field_validator("mass")
    @classmethod
    def _mass_positive(cls, value: float | tuple[float, ...]) -> float | tuple[float, ...]:
        values = value if isinstance(value, tuple) else (value,)
        none = isinstance(value, tuple) and sum(values) <= 0
        refuse(none or min(values) < 0, "must be at least 0 everywhere, and above 0 somewhere when given per family")
        return value


class CommonsParameters(Group):
    """The shared record store."""

    forgetting: float = _p(
        "rate delta at which records become obsolete; each goes with probability 1 - exp(-delta)",
        0.0,
        0,
        50,
        unit="1/tick",
    )
    grace: int = _p(
        "age up to which no record becomes obsolete; at 1 a tick still sees all of the last one",
        0,
        0,
        1_000_000,
        unit="ticks",
    )
    concentration: float = _p(
        "theta of the chance (theta + alpha K) / (theta + n) of a new family by a choice, K revealed, n their records: "
        "with both 0 every family is open from the start",
        0.0,
        0,
        1e6,
        unit="records",
    )
    discount: float = _p("alpha of the same chance, and taken from each family's records in attention", 0.0, 0, 0.99)

    @property
    def founds(self) -> bool:
        """Whether choices found families, so that some lie dormant at first."""
        return self.concentration > 0 or self.discount > 0


class ModalityParameters(Group):
    """Kinds of data: how noisy a label is, whoever takes it."""

    simulated_noise: float = _p("noise of a simulated label", 0.05, 0, 5, unit="property sd")
    measured_noise: float = _p(
        "noise of a measured label at difficulty 1", 0.4, 0, 5, unit="property sd", source=fitted(3)
    )
    simulated_focus: float = _p(
        "Zipf exponent of properties among simulated labels, where there are several",
        0.6,
        0,
        5,
        source="labels of 28 properties by one workflow: effective number 18.5",
    )
    measured_focus: float = _p(
        "Zipf exponent of properties among measured labels",
        1.2,
        0,
        5,
        source="curves of 169 measured properties: effective number 11",
    )


class CuratorParameters(Group):
    """Data curators: the data assimilation layer."""

    count: int = _p("number of curators", 12, 0, 100_000, unit="agents", source=DESIGN)
    records: int = _p("acquisition budget of a curator; a simulated record costs 1", 4, 0, 10_000, unit="records/tick")
    structures: int = _p("structures that a curator enters beside its records", 0, 0, 10_000, unit="structures/tick")
    reinforcement: float = _p("exponent gamma of attention on a family's records", 1.05, -1, 4, source=fitted(4))
    exploration: float = _p("share eps of attention that does not follow reinforcement", 0.1, 0, 1)
    exploration_floor: float = _p("least exploration of any curator, set by policy", 0.0, 0, 1)
    adjacency: float = _p(
        "share nu of exploration that goes to families similar to known ones",
        0.8,
        0,
        1,
        source="84 % of new alloy families lie within two element edits of an old one",
    )
    coverage_seeking: float = _p("mix-in of attention inverse to a family's records", 0.0, 0, 1)
    model_guidance: float = _p(
        "how strongly published models' family weights guide acquisition (0 none, 1 as planners)", 0.2, 0, 1
    )
    modality_mix: tuple[float, float, float, float, float, float] = _p(
        "weights of crystal graphs, DFT trajectories, spectroscopy, microscopy, synthesis metadata, "
        "multi-fidelity sets",
        (0.15, 0.1, 0.25, 0.2, 0.15, 0.15),
    )
    measured_quota: float = _p("least expected share of acquisitions that are measured labels", 0.0, 0, 1)
    measured_cost: float = _p(
        "cost of a measured label or an audit against a simulated record", 4.0, 1, 1_000, unit="records"
    )
    bias_claims: bool = _p(
        "whether simulated labels claim, beside their noise, the bias that overlaps with measured ones leave",
        False,
        unit="switch",
    )
    provenance_errors: float = _p("rate of provenance errors without quality assurance", 0.1, 0, 1)
    qa: float = _p("quality assurance: share of provenance errors prevented", 0.7, 0, 1)
    audit_rate: float = _p("share of the acquisition budget spent on re-measuring records", 0.02, 0, 1)
    response_dal: float = _p("gain of the budget response to the boundary shift Delta-B", 0.2, 0, 5)

    @field_validator("modality_mix")
    @classmethod
    def _weights(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        refuse(min(value) < 0 or sum(value) <= 0, "weights must be at least 0 and not all 0")
        return value


class TrainerParameters(Group):
    """Model trainers: the representational abstraction layer."""

    count: int = _p("number of trainers, one published model each", 6, 0, 10_000, unit="agents", source=DESIGN)
    training_time: int = _p("ticks from the data of a retraining to its model", 0, 0, 10_000, unit="ticks")
    retrain_interval: int = _p("ticks tau between retrainings of one trainer", 12, 1, 10_000, unit="ticks")
    records: int = _p(
        "most records n_0 used in a retraining at scale 1; 0 is no limit", 0, 0, 1_000_000, unit="records"
    )
    scale: float = _p("pretraining scale P against the reference P_0 = 1", 1.0, LEAST, 64)
    scale_cap: float = _p("largest scale a trainer may use (compute cap)", 8.0, LEAST, 64)
    latent_dims: int = _p("latent directions k_0 of the encoder at scale 1", 16, 1, 128, unit="directions")
    latent_per_doubling: float = _p("latent directions c_k added when the scale doubles", 0.0, 0, 32, unit="directions")
    features: int = _p(
        "random features p_0 of the head at scale 1", 184, 4, 4_096, unit="features", source=fitted(7, 8)
    )
    features_growth: float = _p(
        "random features per square root of scale times training records; 0: p_0, whatever the records",
        5.0,
        0,
        100,
        unit="features",
    )
    features_most: int = _p("most random features where they grow with the records", 160, 32, 4_096, unit="features")
    bias_features: int = _p(
        "random features of a head for what simulated labels hold beside the property; 0: none",
        0,
        0,
        4_096,
        unit="features",
    )
    corpus: Literal["own", "sample", "reachable"] = _p(
        "what encoders are trained on: for each head its own records, those of all heads, or all that can be reached",
        "reachable",
        unit="name",
    )
    width: Literal["fixed", "evidence"] = _p(
        "width of the head's kernel: the length scale, or that times a factor chosen by evidence once for a lineage",
        "evidence",
        unit="name",
    )
    length_scale: float = _p(
        "length scale of the head's kernel per square root of latent directions, whitened "
        "(of the range, without pretraining)",
        0.9,
        LEAST,
        100,
        source=fitted(7),
    )
    objective: Literal["mixed", "masked", "contrastive", "fusion", "graph", "none"] = _p(
        "pretraining objective; mixed deals the four to the trainers in turn, none keeps the descriptors as they are",
        "mixed",
        unit="name",
    )
    supervised: float = _p(
        "weight of the gradients of a trainer's last model in the directions that its next encoder takes", 0.0, 0, 1
    )
    fusion_weight: float = _p("weight of the contrastive part in cross-modal fusion", 0.5, 0, 1)
    graph_smoothing: float = _p("weight a of neighbours in the graph encoder", 0.5, 0, 1)
    invariance: float = _p("invariance I of the architecture; scales the gauge block by 1 - I", 0.7, 0, 1)
    reuse: float = _p(
        "chance that a retraining builds on the encoder of another trainer's published model",
        0.35,
        0,
        1,
        source=fitted(12),
    )
    head: Literal["bayesian", "gaussian_process", "gaussian_process_ard", "mean"] = _p(
        "learner on top of the encoder: Bayesian linear on random features, exact Gaussian process (ard: its kernel is "
        "learned, with a length for each direction), or the mean alone",
        "bayesian",
        unit="name",
    )
    harmonisation: float = _p("strength of the correction of simulated labels by estimated bias", 0.3, 0, 1)
    labels: Literal["all", "simulated", "measured"] = _p("label kinds that trainers learn from", "all", unit="name")
    panel: int = _p(
        "materials per family on which a model's family values are judged", 10, 1, 256, unit="materials", source=DESIGN
    )
    fresh_floor: float = _p("least share of a training sample that is recent and not model-generated", 0.0, 0, 1)
    physical_prior: bool = _p("whether the simulated property is the prior mean of the head", False, unit="switch")
    delta_learning: bool = _p("whether heads learn the difference to the simulated property", False, unit="switch")
    overconfidence: float = _p(
        "imposed factor by which claimed standard deviations are divided", 1.0, LEAST, 10, source=DESIGN
    )
    response_ral: float = _p("change of log2 scale per retraining along the sign of dT/dp", 0.0, 0, 2, unit="doublings")
    measured_response: bool = _p(
        "whether the measured trade-off steers the scale instead of the formula", False, unit="switch"
    )


class PlannerParameters(Group):
    """Experiment planners: the inference steering layer."""

    count: int = _p("number of planners (labs)", 40, 0, 100_000, unit="agents", source=DESIGN)
    experiments: float = _p(
        "experiments per planner, on average",
        0.9,
        0,
        1_000,
        unit="experiments/tick",
        source="room to move both ways: found share 0.3 to 0.6",
    )
    demand: float = _p("Zipf exponent of properties among planners, where there are several", 1.0, 0, 5)
    reinforcement: float = _p("exponent gamma of attention on a family's records", 1.05, -1, 4, source=fitted(4))
    exploration: float = _p("share eps of attention that does not follow reinforcement", 0.1, 0, 1)
    exploration_floor: float = _p("least exploration of any planner, set by policy", 0.0, 0, 1)
    adjacency: float = _p(
        "share nu of exploration that goes to families similar to known ones",
        0.8,
        0,
        1,
        source="84 % of new alloy families lie within two element edits of an old one",
    )
    steering_gain: float = _p(
        "gain beta_S from a family's standardised acquisition value to its log-weight", 1.0, 0, 10, source=DESIGN
    )
    candidates: int = _p("candidates C compared for one experiment", 24, 1, 100_000, unit="materials")
    common_candidates: float = _p(
        "chance that an experiment looks at the candidates that are common to all labs of its family and tick",
        0.0,
        0,
        1,
    )
    source: Literal["uniform", "neighbourhood", "inverse", "generative", "mixture"] = _p(
        "where candidates come from", "uniform", unit="name"
    )
    mixture_components: int = _p(
        "latent Gaussians that are fitted to a model's training sample, source mixture", 4, 1, 64, unit="Gaussians"
    )
    tilt: float = _p(
        "beta of the factor exp(beta mu) on draws from the mixture, mu predicted; 0 reproduces the sample",
        0.0,
        0,
        1_000,
        unit="1/property sd",
    )
    proposals: int = _p(
        "draws from the mixture for each candidate, of which the tilt chooses one", 16, 1, 4_096, unit="draws"
    )
    attention_cost: Literal["shown", "scored"] = _p(
        "what inverse design pays for: candidates shown to it, or every material that its model scores",
        "shown",
        unit="name",
    )
    acquisition: str = _p(
        "rule that scores candidates and families",
        "greedy",
        unit="name",
        source="greedy accelerates most on real pools",
    )
    kappa: float = _p(
        "weight of the claimed sd in upper-confidence and ranking rules; below 0 what is sure is preferred",
        1.0,
        -10,
        10,
    )
    feasibility_weight: float = _p(
        "power of the chance that a candidate can be made in its score; 0: what fails is not learned", 1.0, 0, 100
    )
    proxy: float = _p("weight of a misaligned objective in candidate scores", 0.0, 0, 1)
    repeats: bool = _p("whether materials with a published test may be tried again", False, unit="switch")
    publication_threshold: float = _p(
        "results above this are always published", 0.5, -5, 5, unit="property sd above mean"
    )
    publication_bias: float = _p("chance that a result below the threshold stays unpublished", 0.5, 0, 1)
    priority: float = _p(
        "share of the credit that only the first finder has; later or simultaneous ones have the rest", 0.0, 0, 1
    )
    adoption: Literal["track_record", "utility"] = _p("how models are adopted", "track_record", unit="name")
    adoption_rate: float = _p("chance that a planner reconsiders its models in a tick", 0.1, 0, 1, unit="1/tick")
    entry: int = _p(
        "planners that first adopt a model in a tick, in the order of their slots; 0 is all at once",
        0,
        0,
        100_000,
        unit="agents/tick",
    )
    social: float = _p("weight of popularity against track record in adoption", 0.3, 0, 1)
    selectivity: float = _p("exponent with which adoption favours a good track record", 4.0, 0, 50)
    neighbours: int = _p("collaborators with whom a planner shares track records", 4, 0, 100, unit="agents")
    memory: float = _p("share of a track record kept from tick to tick", 0.98, 0, 1)
    switching_time: int = _p(
        "ticks that a lab needs to learn a model that it takes up, in which it works without it",
        0,
        0,
        10_000,
        unit="ticks",
    )
    discount: float = _p(
        "weight of a tick against the one before it for a lab that weighs switching, adoption utility", 1.0, 0, 1
    )
    adapter_records: int = _p(
        "own results that a lab fits an adapter of its model to, the latest ones; 0: no adapters",
        0,
        0,
        100_000,
        unit="results",
    )
    adapter_features: Literal["model", "family"] = _p(
        "what adapters weigh: the features of the model, or one indicator of each family", "model", unit="name"
    )
    adapter_sd: float = _p("prior sd of what an adapter adds to a prediction", 0.5, LEAST, 100, unit="sd of property")
    utility_gaps: tuple[float, ...] = _p(
        "taste gap of each planner type for the model of the same number", (), unit="utility"
    )
    utility_returns: float = _p(
        "returns r to adoption, utility per adopter (Arthur 1989)", 0.0, -10, 10, unit="utility"
    )

    @field_validator("acquisition")
    @classmethod
    def _rule(cls, value: str) -> str:
        refuse(value not in RULES, f"must be {' | '.join(RULES)} (one of these)")
        return value


class CouplingParameters(Group):
    """Couplings between the layers; every one has a switch (0) and a gain."""

    outer_loop: float = _p("share of published results that reach the commons", 1.0, 0, 1)
    correction: float = _p(
        "correction strength c with which results update heads (inner loop)", 0.6, 0, 2, source=DESIGN
    )
    pseudo_share: float = _p("share pi of simulated records that are model-generated", 0.1, 0, 1)
    pseudo_gain: float = _p("gain g of pseudo-labels about the mean; above 1 they sharpen", 1.0, 0, 10, source=DESIGN)
    pseudo_anchor: Literal["model", "property"] = _p(
        "mean that the gain acts about: that of the generating model, or that of the property (0)", "model", unit="name"
    )
    pseudo_noise: float = _p(
        "scatter of pseudo-labels in claimed sds of the model: 0 its mean, 1 a draw from its prediction",
        0.0,
        0,
        10,
        unit="sd",
    )
    integrity_weight: float = _p(
        "power of perceived A, at least 0.05, by which curators and adopters weigh models; 0: A has no say", 0.0, 0, 10
    )
    uncertainty_dal_ral: float = _p("how far claimed record variances reach training", 1.0, 0, 1)
    uncertainty_modalities: float = _p("how far variances differ between modalities in training", 1.0, 0, 1)
    uncertainty_ral_isl: float = _p("how far model variances reach acquisition", 1.0, 0, 1)


class InfrastructureParameters(Group):
    """Repositories, models and labs that depend on each other."""

    repositories: int = _p(
        "number of repositories; curators run them in turn", 12, 1, 10_000, unit="nodes", source=DESIGN
    )
    providers: int = _p(
        "links r of a model to repositories, of a lab to models", 2, 1, 50, unit="links", source=fitted(11)
    )
    openness: float = _p("share of records that are federated, so that other repositories hold a copy", 0.3, 0, 1)
    need: int = _p("working providers that a node needs", 1, 0, 50, unit="links", source=DESIGN)
    preference: float = _p(
        "exponent with which trainers and labs prefer large repositories", 2.4, 0, 6, source=fitted(11)
    )
    rewiring: float = _p("chance that a trainer reconsiders a repository link when it retrains", 0.1, 0, 1)
    search_time: int = _p(
        "ticks until a trainer without a source has found another; -1: it waits until it reconsiders its links",
        -1,
        -1,
        10_000,
        unit="ticks",
    )
    service: Literal["data", "host"] = _p(
        "what serves a model: its working data providers, without which it falls silent, or a host", "data", unit="name"
    )
    hosts: int = _p("hosts, which serve models in turn", 1, 1, 10_000, unit="nodes")
    open_weights: float = _p("share of hosted models whose weights labs can host themselves", 0.0, 0, 1)
    notice: int = _p("ticks from the announcement of an end for good to the end", 0, 0, 10_000, unit="ticks")
    migration: float = _p(
        "share of the records it holds alone that a repository passes on when it ends",
        0.0,
        0,
        1,
        source="0.44 of closed registries pass data on (Strecker et al. 2023); 0 by default",
    )
    specialisation: float = _p(
        "variance of the weight of a family of mean size in a repository, larger in rarer families; 0: all are alike",
        0.0,
        0,
        100,
    )
    enumerators: int = _p(
        "repositories, from the second on, that make simulated records of materials without any",
        0,
        0,
        9_999,
        unit="nodes",
    )
    known: int = _p(
        "repositories, after the enumerators, that enter materials with a record in sight alone",
        0,
        0,
        9_999,
        unit="nodes",
    )
    sizes: tuple[float, ...] = _p(
        "shares of founding records of the repositories, to scale, one for each; none: by Zipf's law",
        (),
        unit="records",
    )

    model_links: tuple[int, ...] = _p(
        "repositories of each model at founding, best first, `providers` numbers for each; -1 is no link; none: drawn",
        (),
        unit="numbers",
    )
    lab_links: tuple[int, ...] = _p("models of each lab at founding, likewise", (), unit="numbers")
    deposits: tuple[int, ...] = _p(
        "repository in which each lab deposits, a number for each; -1 is drawn", (), unit="numbers"
    )

    @field_validator("sizes")
    @classmethod
    def _sizes_positive(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        refuse(
            value and not (min(value) >= 0 and sum(value) > 0), "must be at least 0 everywhere, and above 0 somewhere"
        )
        return value

    @model_validator(mode="after")
    def _enough(self) -> InfrastructureParameters:
        typed, sizes = self.enumerators + self.known, len(self.sizes)
        refuse(
            typed >= self.repositories,
            f"infrastructure.enumerators + infrastructure.known = {typed}: must be below "
            f"infrastructure.repositories = {self.repositories}, of which the first is general",
        )
        refuse(
            sizes not in (0, self.repositories),
            f"infrastructure.sizes has {sizes} entries: must be none, or one for each repository ({self.repositories})",
        )
        for name, most in (("providers", self.providers), ("repositories", self.repositories)):
            refuse(
                self.need > most, f"infrastructure.need = {self.need}: must not exceed infrastructure.{name} = {most}"
            )
        return self


class StockParameters(Group):
    """Stocks and flows: funding, health, attention."""

    funding: float = _p("inflow of experimental funding against the planned experiments", 1.0, 0, 10)
    merit_share: float = _p("share of funding given by merit on claimed discoveries", 0.5, 0, 1)
    matthew: float = _p("exponent of merit on claimed discoveries", 1.0, 0, 4)
    lottery_share: float = _p("share of funding given by lottery", 0.0, 0, 1)
    compute: float = _p(
        "compute income of a trainer per retraining interval; training at scale P costs P; 0 is no limit",
        2.0,
        0,
        1_000,
        unit="compute units",
    )
    wear: float = _p("health lost per tick at average load", 0.01, 0, 1, unit="1/tick")
    upkeep: float = _p("health restored per tick by routine upkeep", 0.01, 0, 1, unit="1/tick")
    hazard: float = _p("outages per node and tick at full health", 0.0, 0, 1, unit="1/tick")
    hazard_steepness: float = _p("growth of the log-hazard as health falls from 1 to 0", 4.0, 0, 20)
    repair: float = _p("chance per tick that a node in outage is repaired", 0.2, 0, 1, unit="1/tick")
    attention: float = _p(
        "attention inflow of a planner; judging a candidate costs 1", 30.0, 0, 1e6, unit="candidates/tick"
    )
    attention_cap: float = _p("most attention a planner can hold", 120.0, LEAST, 1e7, unit="candidates")


class LayerParameters(Group):
    """Coefficients and forms of the four MPBF formulas (our operationalisation)."""

    coverage_weight: float = _p("alpha in Delta-B", 1.0, 0, 10)
    fidelity_weight: float = _p("beta in Delta-B", 1.0, 0, 10)
    coverage_scale: float = _p(
        "v_0: distinct materials at which a family counts as covered",
        200.0,
        LEAST,
        1e7,
        unit="materials",
        source=DESIGN,
    )
    coverage_share: float = _p(
        "v_0 as a share of each family's materials, C relative to the most that it can be; 0: v_0 is coverage_scale",
        0.0,
        0,
        100,
    )
    fidelity_scale: float = _p("F_0, reference fidelity of the alternative form", 0.25, LEAST, 1)
    prior_overlaps: float = _p(
        "weight of the prior fidelity 1 in perceived fidelity", 5.0, 0, 1e6, unit="records", source=DESIGN
    )
    integration: float = _p("gamma_A in A", 1.0, LEAST, 10)
    uncertainty_penalty: float = _p("delta_U in A", 0.3, 0, 1, source=DESIGN)
    integrity_exponent: float = _p("exponent g of the alternative form of A", 0.5, LEAST, 4)
    feedback_correction: float = _p(
        "correction c that feedback counts in S; -1: that by which results update heads", -1.0, -1, 2
    )
    feedback_weight: float = _p("w of feedback against trade-off in S", 0.6, 0, 1, source="assumed")
    tradeoff_scale: float = _p("T_s in the logistic of S", 0.5, LEAST, 10)
    scale_benefit: float = _p("eta in T", 1.0, 0, 10)
    risk_weight: float = _p("theta in T", 1.0, 0, 10)
    invariance_half: float = _p("I_0 of the alternative form of T", 0.3, LEAST, 1)
    gauge_penalty: float = _p("theta_m: weight of gauge variance in the measured trade-off", 1.0, 0, 10)
    boundary_shift: Literal["chosen", "alternative"] = _p("form of Delta-B", "chosen", unit="name")
    integrity: Literal["chosen", "alternative"] = _p("form of A", "chosen", unit="name")
    steering: Literal["chosen", "alternative"] = _p("form of S", "chosen", unit="name")
    tradeoff: Literal["chosen", "alternative"] = _p("form of T", "chosen", unit="name")


class Parameters(Shown, Group):
    """All parameters of a run, nested by layer.

    Examples
    --------
    >>> p = Parameters().replace("planners.exploration", 0.2)
    >>> p.planners.exploration
    0.2
    """

    space: SpaceParameters = SpaceParameters()
    founding: FoundingParameters = FoundingParameters()
    commons: CommonsParameters = CommonsParameters()
    modalities: ModalityParameters = ModalityParameters()
    curators: CuratorParameters = CuratorParameters()
    trainers: TrainerParameters = TrainerParameters()
    planners: PlannerParameters = PlannerParameters()
    coupling: CouplingParameters = CouplingParameters()
    infrastructure: InfrastructureParameters = InfrastructureParameters()
    stocks: StockParameters = StockParameters()
    layers: LayerParameters = LayerParameters()

    def __init__(self, **groups: Any) -> None:
        try:
            super().__init__(**groups)
        except ValidationError as error:
            raise ConfigurationError(explain(error)) from None

    @model_validator(mode="after")
    def _across_groups(self) -> Parameters:
        mass, families, faults = self.founding.mass, self.space.families, []
        if isinstance(mass, tuple) and len(mass) != families:
            faults.append(
                f"founding.mass has {len(mass)} entries: must be one number or space.families = {families} numbers"
            )
        if self.trainers.corpus != "reachable" or self.space.observed_dims == 0:
            needed = "structures are read with trainers.corpus = reachable and space.observed_dims above 0 only"
            faults += [f"{entered}: {needed}" for entered in self.entered_structures]
        refuse_any(faults)
        return self

    @property
    def entered_structures(self) -> list[str]:
        """Parameters that enter structures, with their values."""
        paths = ("founding.structures", "curators.structures")
        return [f"{path} = {self.value(path)}" for path in paths if self.value(path)]

    # ------------------------------------------------------------------ change

    def replace(self, path: str | None = None, value: Any = None, /, **changes: Any) -> Parameters:
        """Return a copy with some parameters changed.

        Parameters
        ----------
        path, value
            One dotted path and its value: ``p.replace("planners.exploration", 0.1)``.
        **changes
            Several at once, by dotted path: ``p.replace(**{"trainers.count": 3, ...})``.

        Raises
        ------
        ConfigurationError
            One line for every unknown path and every value out of range.
        """
        return self.updated(changes if path is None else {path: value, **changes})

    def updated(self, changes: Mapping[str, Any]) -> Parameters:
        """Return a copy with the values of a flat ``{path: value}`` mapping."""
        groups: dict[str, Any] = dict(self)
        faults = []
        for path, value in changes.items():
            if path in PATHS:
                group, name = PATHS[path]
                groups[group] = {**dict(groups[group]), name: value}
            elif (path, value) not in REMOVED.items():
                faults.append(unknown(path))
            if path in MOVED and MOVED[path] in changes:
                faults.append(f"{path} is the earlier name of {MOVED[path]}, which is given, too")
        try:
            new = Parameters(**groups)
        except ConfigurationError as error:
            raise ConfigurationError(faults + error.faults) from None
        refuse_any(faults)
        return new

    # ------------------------------------------------------------------ read

    def value(self, path: str) -> Any:
        """Return the value of a parameter by its dotted path."""
        group, name = PATHS[path]
        return getattr(getattr(self, group), name)

    def flat(self) -> dict[str, Any]:
        """Return ``{dotted path: value}`` for every parameter."""
        return {path: self.value(path) for path in PATHS}

    def changed(self) -> dict[str, Any]:
        """Return the parameters that differ from the defaults, by dotted path."""
        default = Parameters().flat()
        return {path: value for path, value in self.flat().items() if value != default[path]}

    def glance(self) -> Glance:
        """Return the parameters that differ from the defaults."""
        changed = [schema_row(path) | {"value": value} for path, value in self.changed().items()]
        rows = [[r["path"], r["value"], r["default"], r["unit"]] for r in changed]
        said = f"Parameters: {len(rows)} of {len(PATHS)} differ from the defaults"
        return Glance(said, ("parameter", "value", "default", "unit"), rows)

    # ------------------------------------------------------------------ files

    @classmethod
    def from_toml(cls, path: str | Path) -> Parameters:
        """Read parameters from a TOML file; every fault at once, one line each."""
        return cls.from_mapping(read_toml(path), where=Path(path).name)

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any], where: str = "") -> Parameters:
        """Validate a nested mapping; unknown names are errors with a suggestion.

        A top-level key ``preset`` names the preset to start from.
        """
        data = dict(data)
        preset = data.pop("preset", "default")
        prefix = f"{where}: " if where else ""
        faults: list[str] = []
        flat: dict[str, Any] = {}
        try:
            base = cls.preset(preset)
        except ConfigurationError as error:
            base, faults = cls(), error.faults
        for group, values in data.items():
            if group not in GROUPS:
                faults.append(f"unknown group '{group}'{did_you_mean(group, GROUPS)}")
            elif not isinstance(values, Mapping):
                faults.append(f"'{group}' must be a table of parameters, [{group}]")
            else:
                flat.update({f"{group}.{name}": value for name, value in values.items()})
        try:
            base = base.updated(flat)
        except ConfigurationError as error:
            faults += error.faults
        refuse(faults, [prefix + f for f in faults])
        return base

    def to_toml(self, *, comments: bool = True) -> str:
        """Write all parameters as TOML, with help, unit and bounds as comments."""
        lines: list[str] = []
        for group in GROUPS:
            lines.append(f"[{group}]")
            for row in schema(group):
                note = f"  # {row['help']}; {row['unit']}, {row['allowed']}" if comments else ""
                lines.append(f"{row['name']} = {toml_value(self.value(row['path']))}{note}")
            lines.append("")
        return "\n".join(lines)

    # ------------------------------------------------------------------ named points

    @classmethod
    def null(cls, **changes: Any) -> Parameters:
        """Return the null MPBF: the generalised Polya urn, draw for draw (docs/odd.md).

        Every model is off (weights 1, random candidates, repeats allowed), every result is
        published and reaches the commons, budgets are fixed, nothing decays or fails.
        """
        return cls().updated({**NULL, **changes})

    @classmethod
    def preset(cls, name: str) -> Parameters:
        """Return a named preset: default, quick or faithful; the same with ``single-`` before it; null or pool."""
        known = {**PRESETS, "null": NULL}
        if name not in list(known):
            raise ConfigurationError(
                f"unknown preset '{name}'{did_you_mean(str(name), known)} (presets: {', '.join(known)})"
            )
        return cls().updated(known[name])


GROUPS: dict[str, type[Group]] = {
    name: f.annotation for name, f in Parameters.model_fields.items() if isinstance(f.annotation, type)
}
# Names of version 0.1, which files, command lines and addresses may still use.
MOVED = {
    "curators.harmonisation": "trainers.harmonisation",
    "curators.measured_noise": "modalities.measured_noise",
    "curators.openness": "infrastructure.openness",
    "curators.simulated_noise": "modalities.simulated_noise",
    "planners.panel": "trainers.panel",
}
# What has left the model, and the value with which it never acted.
REMOVED = {"planners.isolated": 0}
# What has joined the model, and the value with which it does not act.
ADDED = {
    "space.observed_dims": 0,
    "space.signal": 2.0,
    "space.curvature": 0.0,
    "space.field": "fourier",
    "space.view_noise": 0.0,
    "space.properties": 1,
    "space.factors": 4,
    "space.relatedness": 0.3,
    "modalities.simulated_focus": 0.6,
    "modalities.measured_focus": 1.2,
    "planners.demand": 1.0,
    "curators.bias_claims": False,
    "trainers.bias_features": 0,
    "space.feasible_scatter": 0.5,
    "planners.feasibility_weight": 0.0,
    "trainers.features_growth": 0.0,
    "trainers.features_most": 400,
    "trainers.corpus": "sample",
    "trainers.width": "fixed",
    "founding.structures": 0,
    "curators.structures": 0,
    "trainers.supervised": 0.0,
    "planners.mixture_components": 4,
    "planners.tilt": 0.0,
    "planners.proposals": 16,
    "planners.attention_cost": "shown",
    "infrastructure.search_time": -1,
    "infrastructure.service": "data",
    "infrastructure.hosts": 1,
    "infrastructure.open_weights": 0.0,
    "infrastructure.notice": 0,
    "infrastructure.migration": 0.0,
    "planners.switching_time": 0,
    "planners.discount": 1.0,
    "planners.adapter_records": 0,
    "planners.adapter_features": "model",
    "planners.adapter_sd": 0.5,
    "trainers.training_time": 0,
    "planners.common_candidates": 0.0,
    "planners.priority": 0.0,
    "commons.concentration": 0.0,
    "commons.discount": 0.0,
    "layers.coverage_share": 0.0,
    "coupling.integrity_weight": 0.0,
    "infrastructure.specialisation": 0.0,
    "infrastructure.enumerators": 0,
    "infrastructure.known": 0,
    "infrastructure.sizes": (),
    "infrastructure.model_links": (),
    "infrastructure.lab_links": (),
    "infrastructure.deposits": (),
    "layers.feedback_correction": -1.0,
}


# Names that seeds and ids are hashed from: those of form 1, whatever a parameter is called since.
FORM_1 = {now: then for then, now in MOVED.items()}


def current(path: str) -> str:
    """Return today's name of a parameter."""
    return MOVED.get(path, path)


class Paths(dict[str, tuple[str, str]]):
    """Group and name of each parameter by its path; earlier names are found, too, and not listed."""

    def __contains__(self, path: object) -> bool:
        return super().__contains__(MOVED.get(path, path) if isinstance(path, str) else path)

    def __missing__(self, path: str) -> tuple[str, str]:
        return self[MOVED[path]]


PATHS = Paths({f"{group}.{name}": (group, name) for group, model in GROUPS.items() for name in model.model_fields})
LAYERS = {
    "space": "space",
    "founding": "DAL",
    "commons": "DAL",
    "modalities": "DAL",
    "curators": "DAL",
    "trainers": "RAL",
    "planners": "ISL",
    "coupling": "X",
    "infrastructure": "infrastructure",
    "stocks": "stocks",
    "layers": "formulas",
}

# The earlier community: one property, descriptors that learners see as they are, heads that are soon full.
SINGLE: dict[str, Any] = {
    "space.quantum_dims": 24,
    "space.gauge_amplitude": 1.6,
    "space.shared_chemistry": 0.2,
    "space.ruggedness": 8.0,
    "space.spurious_amplitude": 2.5,
    "space.observed_dims": 0,
    "space.properties": 1,
    "space.feasible_scatter": 0.5,
    "founding.records": 2_000,
    "curators.modality_mix": (0.35, 0.25, 0.1, 0.1, 0.1, 0.1),
    "trainers.records": 1_600,
    "trainers.latent_dims": 18,
    "trainers.latent_per_doubling": 2.0,
    "trainers.features_growth": 0.0,
    "trainers.features_most": 400,
    "trainers.corpus": "sample",
    "trainers.width": "fixed",
    "trainers.panel": 16,
    "planners.experiments": 0.2,
    "planners.feasibility_weight": 0.0,
}

NULL: dict[str, Any] = {
    **SINGLE,
    "trainers.count": 0,
    "planners.reinforcement": 1.0,
    "curators.reinforcement": 1.0,
    "planners.steering_gain": 0.0,
    "planners.acquisition": "random",
    "planners.candidates": 1,
    "planners.repeats": True,
    "planners.publication_bias": 0.0,
    "planners.adjacency": 0.0,
    "curators.adjacency": 0.0,
    "curators.coverage_seeking": 0.0,
    "curators.model_guidance": 0.0,
    "curators.modality_mix": (1.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "curators.measured_quota": 0.0,
    "curators.provenance_errors": 0.0,
    "curators.audit_rate": 0.0,
    "curators.response_dal": 0.0,
    "trainers.response_ral": 0.0,
    "coupling.outer_loop": 1.0,
    "coupling.pseudo_share": 0.0,
    "coupling.correction": 0.0,
    "stocks.merit_share": 0.0,
    "stocks.lottery_share": 0.0,
    "stocks.wear": 0.0,
    "stocks.hazard": 0.0,
    "commons.forgetting": 0.0,
}

PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "quick": {
        "trainers.features_growth": 4.0,
        "trainers.features_most": 112,
        "trainers.panel": 8,
        "planners.candidates": 12,
    },
    "faithful": {"trainers.features_growth": 10.0, "trainers.features_most": 400, "planners.candidates": 48},
    "single-default": SINGLE,
    "single-quick": {
        **SINGLE,
        "trainers.features": 96,
        "trainers.panel": 8,
        "planners.candidates": 12,
        "trainers.records": 500,
    },
    "single-faithful": {**SINGLE, "trainers.features": 512, "trainers.records": 2_500, "planners.candidates": 48},
    "pool": {
        **SINGLE,
        "curators.count": 0,
        "trainers.count": 1,
        "trainers.retrain_interval": 5,
        "trainers.objective": "none",
        "trainers.head": "gaussian_process",
        "trainers.length_scale": 0.25,
        "trainers.records": 100_000,
        "trainers.reuse": 0.0,
        "trainers.labels": "measured",
        "planners.count": 1,
        "planners.experiments": 1.0,
        "planners.candidates": 100_000,
        "planners.publication_bias": 0.0,
        "planners.adjacency": 0.0,
        "planners.exploration": 0.0,
        "founding.records": 5,
        "founding.mass": 1.0,
        "coupling.correction": 1.0,
        "coupling.pseudo_share": 0.0,
        "infrastructure.repositories": 1,
        "stocks.merit_share": 0.0,
        "stocks.wear": 0.0,
        "stocks.attention": 100_000.0,
        "stocks.attention_cap": 100_000.0,
        "curators.modality_mix": (0.0, 0.0, 1.0, 0.0, 0.0, 0.0),
        "modalities.measured_noise": 0.0,
        "curators.provenance_errors": 0.0,
        "trainers.panel": 64,
    },
}


# --------------------------------------------------------------------------- schema and files


def schema(group: str | None = None) -> list[dict[str, Any]]:
    """Return one row per parameter: path, layer, default, bounds, unit, source, help.

    Feeds ``mpbf config schema``, the tables of ``docs/odd.md`` and the controls of the page.
    """
    return [schema_row(path) for path, (home, _) in PATHS.items() if group in (None, home)]


def schema_row(path: str) -> dict[str, Any]:
    """Return what is declared of one parameter; see :func:`schema`."""
    (group, name), info = PATHS[path], field_of(path)
    bounds, about = _bounds(info), info.json_schema_extra
    return {
        "path": path,
        "group": group,
        "name": name,
        "layer": LAYERS[group],
        "default": info.default,
        "low": bounds.get("ge", bounds.get("gt")),
        "high": bounds.get("le"),
        "allowed": _allowed(path, bounds),
        "unit": about["unit"],
        "source": about["source"],
        "help": info.description,
    }


def field_of(path: str) -> Any:
    """Return the declaration of a parameter as pydantic holds it."""
    group, name = PATHS[path]
    return GROUPS[group].model_fields[name]


def options(path: str) -> tuple[str, ...]:
    """Return the names that a parameter may have; none where it is a number."""
    if path == "planners.acquisition":
        return tuple(RULES)
    names = get_args(field_of(path).annotation)
    return names if all(isinstance(o, str) for o in names) else ()


def _allowed(path: str, bounds: Mapping[str, float]) -> str:
    kind = field_of(path).annotation
    if names := options(path):
        return " | ".join(names)
    if kind is bool:
        return "true | false"
    if not bounds:
        one = "float |" in str(kind)
        return "one number, or one for each" if one else "a list of numbers, as many as the help says"
    low = f"{bounds['ge']:g}" if "ge" in bounds else f"above {bounds['gt']:g}"
    return f"{low} to {bounds['le']:g}"


def read_toml(path: str | Path) -> dict[str, Any]:
    """Read a TOML file; a missing or malformed one becomes one clear line."""
    path = Path(path)
    try:
        return parse_toml(path.read_bytes().decode("utf-8-sig"), f"{path.name}: ")
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: no such file") from None
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path.name}: is not UTF-8 text") from None


def parse_toml(text: str, where: str = "") -> dict[str, Any]:
    """Parse TOML; what it is not, or holds too large, becomes one line after `where`."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise NotTomlError(f"{where}is not valid TOML ({error})") from None
    except ValueError:
        raise ConfigurationError(f"{where}a number has more digits than any number that can be used") from None
    except RecursionError:
        raise ConfigurationError(f"{where}lists or tables stand too deep in one another") from None


def typed(path: str, value: Any) -> Any:
    """Return a value as its parameter holds it: 1 becomes 1.0 where it is no whole number, and the other way round."""
    kind = field_of(path).annotation
    plain = value.item() if hasattr(value, "item") else value
    if isinstance(plain, bool) or not isinstance(plain, (int, float)):
        return tuple(plain) if isinstance(plain, list) else plain
    if kind is int:
        return int(plain) if float(plain).is_integer() else plain
    return float(plain) if kind is float else plain


def toml_value(value: Any) -> str:
    """Format a parameter value, or a table of them, as TOML in one line."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(str(k))} = {toml_value(v)}" for k, v in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)  # of numbers, texts, switches and lists of them both say the same


def explain(error: ValidationError, *above: str) -> list[str]:
    """Turn a pydantic error, perhaps of the group `above`, into one line per fault, with what is allowed."""
    return list(dict.fromkeys(_explain(error, above)))


def value_faults(path: str, value: Any) -> list[str]:
    """Faults of one parameter's value, whatever the other parameters are."""
    if path not in PATHS:
        return [unknown(path)]
    group, name = PATHS[path]
    try:
        GROUPS[group](**{name: value})
    except ValidationError as error:
        return explain(error, group)
    return []


def too_small(p: Parameters) -> list[str]:
    """Faults of values that no run can divide by."""
    divisors = [path for path in PATHS if field_of(path).json_schema_extra["divides"]]
    return [_beyond(path, value) for path in divisors if (value := p.value(path)) < LEAST]


def _beyond(path: str, value: Any) -> str:
    """Return the line of a value out of range."""
    row = schema_row(path)
    unit = "" if row["unit"] in ("1", "name", "switch") else f" {row['unit']}"
    return f"{path} = {value!r}: must be {row['allowed']}{unit} ({_kind(path)})"


def _explain(error: ValidationError, above: tuple[str, ...]) -> Iterator[str]:
    for fault in error.errors():
        if above and not fault["loc"]:
            continue  # lies between parameters of the group
        where = [*above, *(str(part) for part in fault["loc"])]
        path = ".".join(where[:2])
        if fault["type"] == "extra_forbidden":
            yield f"unknown parameter '{path}'{did_you_mean(path, PATHS if len(where) > 1 else GROUPS)}"
        elif path in PATHS:
            message = str(fault["msg"]).removeprefix("Value error, ")
            own = fault["type"] == "value_error"
            yield f"{path} = {fault['input']!r}: {message}" if own else _beyond(path, fault["input"])
        else:
            yield from str(fault["msg"]).removeprefix("Value error, ").split("\n")


def _kind(path: str) -> str:
    kinds = {int: "whole number", float: "number", bool: "switch"}
    return kinds.get(field_of(path).annotation, "one of these" if options(path) else "numbers")


def unknown(path: str) -> str:
    """Return the line for a name that is no parameter."""
    if path in REMOVED:
        return f"{path} has left the model; only {REMOVED[path]} is understood"
    return f"unknown parameter '{path}'{did_you_mean(path, PATHS)}"


def parse_assignment(text: str) -> tuple[str, Any]:
    """Parse ``group.name=value`` of the command line into a path and a typed value."""
    path, sep, raw = text.partition("=")
    path, raw = path.strip(), raw.strip()
    if not sep or not path:
        raise ConfigurationError(f"'{text}': write --set group.name=value")
    if path not in PATHS and path not in REMOVED:
        raise ConfigurationError(unknown(path))
    try:
        value = parse_toml(f"v = {raw}", f"{path}: ")["v"]
    except NotTomlError:
        # Numbers that TOML writes in another way, such as .5, were typed without quotes.
        value = float(raw) if _looks_numeric(raw) else raw
    return path, value
