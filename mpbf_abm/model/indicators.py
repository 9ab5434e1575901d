"""Indicators: what a run reports at every tick (phase observe).

Every column of ``run.series`` is defined once in :data:`INDICATORS`; the tables of the
documentation are generated from it. No indicator costs more with more materials.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mpbf_abm.arrays import Float, Float32, kernel
from mpbf_abm.errors import RuleError
from mpbf_abm.identity import first_line, name_of, own
from mpbf_abm.learning.models import FoundationModel
from mpbf_abm.model.assimilation import delta_b
from mpbf_abm.model.commons import FAILED
from mpbf_abm.model.coupling import gain_matrix, spectral_radius
from mpbf_abm.model.feasibility import area_in_use
from mpbf_abm.model.homogenisation import homogenisation
from mpbf_abm.model.modalities import FIDELITY, MEASURED
from mpbf_abm.model.opening import covered, growth
from mpbf_abm.model.steering import agreement, counted_correction, perceived_steering, steering_of
from mpbf_abm.model.world import Experiments, World
from mpbf_abm.stats.concentration import gini, hill
from mpbf_abm.stats.estimates import pooled

NAN = float("nan")
WIDE = math.log(1.25)  # a learning curve is fitted where its largest sample is a quarter above the smallest
Measure = Callable[[World], float]


@dataclass(frozen=True)
class Indicator:
    """One column of the series."""

    column: str
    layer: str
    unit: str
    definition: str


def _rows(layer: str, *rows: tuple[str, str, str]) -> tuple[Indicator, ...]:
    return tuple(Indicator(column, layer, unit, definition) for column, unit, definition in rows)


INDICATORS: list[Indicator] = [
    *_rows(
        "discovery",
        ("experiments_requested", "experiments", "funded experiments so far"),
        ("experiments_done", "experiments", "experiments carried out so far"),
        ("infeasible_share", "share", "experiments so far on materials that could not be made"),
        ("found", "materials", "top-set materials first measured and published since founding"),
        ("found_share", "share", "found / top set not known at founding (top-% recall)"),
        ("found_by_planners", "materials", "top-set materials first found by an experiment of a planner"),
        (
            "found_by_planners_share",
            "share",
            "the same / top set not known at founding (without what curators discover)",
        ),
        (
            "acceleration_factor",
            "ratio",
            "experiments and measured acquisitions that random search needs for as many discoveries / those spent (AF)",
        ),
        (
            "enhancement_factor",
            "ratio",
            "found share / share of untested feasible materials tested since founding (EF)",
        ),
        (
            "discovery_acceleration",
            "ratio",
            "hit rate of this tick's published tests / prevalence of the remaining top set (DAF)",
        ),
        ("hit_rate_frozen", "share", "results of this tick above the best decile of the property, fixed reference"),
        ("hit_rate_moving", "share", "results of this tick above the best decile of measured labels in the commons"),
        ("novelty", "share", "experiments of this tick in families without an experiment before"),
        ("unsteered_share", "share", "experiments so far made without a model"),
        ("best_found", "sd", "best true property among found materials (0 before any)"),
    ),
    *_rows(
        "learning",
        (
            "rmse",
            "sd",
            "error of served models on the panel, families weighted by the training corpus; mean over adopters",
        ),
        ("rmse_out", "sd", "the same over families in the lower half by training records (out of distribution)"),
        ("rmse_dense", "sd", "the same over dense families"),
        ("rmse_niche", "sd", "the same over all other families"),
        ("rmse_centred", "sd", "error of served models less its panel mean, families equal; mean over adopters"),
        ("rmse_centred_niche", "sd", "the same over niche families (the mean is that of the whole panel)"),
        (
            "learning_exponent",
            "exponent",
            "slope of log centred error on log labels over all models so far, each when it was published",
        ),
        ("coverage_68", "share", "true property inside the claimed 68 % interval (reference: true property)"),
        ("coverage_95", "share", "true property inside the claimed 95 % interval (reference: true property)"),
        (
            "coverage_68_simulated",
            "share",
            "simulated property inside the claimed 68 % interval (reference: simulated label)",
        ),
        (
            "claimed_to_actual",
            "ratio",
            "RMSE / root mean claimed variance, all parts (1 is calibrated; above is overconfident)",
        ),
        ("overconfidence_emergent", "ratio", "the same without the imposed factor"),
        ("overconfidence_imposed", "ratio", "the imposed factor alone"),
        (
            "inherited_bias",
            "slope",
            "slope of model error on simulation error over the panel, the property held constant",
        ),
        (
            "inherited_share",
            "ratio",
            "share of the model's response to the property and its simulation that follows the simulation",
        ),
        (
            "inherited_bias_raw",
            "slope",
            "the same slope without holding the property constant (what no model has learned raises it)",
        ),
        ("captured_dense", "share", "causal variance kept by encoders in dense families"),
        ("captured_niche", "share", "causal variance kept by encoders in other families"),
        ("gauge_variance", "sd^2", "prediction variance under gauge redraw"),
        ("strain_variance", "sd^2", "squared prediction change under a small strain of causal columns"),
        (
            "feasibility_auc",
            "share",
            "area under the ROC curve of the chance to be made on the panel; mean over adopters of what learns it",
        ),
        ("error_correlation", "correlation", "of signed errors of two served models of a property, mean over pairs"),
        ("overlap_top", "share", "overlap of the best 5 % by two served models of a property, mean over pairs"),
        (
            "shared_wrong_picks",
            "share",
            "of a model's best 5 % that are not the true ones, those another model picks too",
        ),
        ("error_shared_corpus", "correlation", "part of error_correlation that goes with common training materials"),
        ("error_shared_encoder", "correlation", "part of error_correlation that goes with a common lineage"),
        ("error_intrinsic", "correlation", "the rest: what models share without a common material or lineage"),
    ),
    *_rows(
        "concentration",
        ("records", "records", "records alive in the commons"),
        ("records_hhi", "index", "Herfindahl index of records over families"),
        ("records_gini", "index", "Gini coefficient of records over families"),
        ("families_d0", "families", "Hill number D0: families with an experiment so far"),
        ("families_d1", "families", "Hill number D1 (exp of entropy) of experiments so far: effective families"),
        ("families_d2", "families", "Hill number D2 (inverse Herfindahl) of experiments so far"),
        ("models_d2", "models", "effective number of models in use by planners"),
        ("models_gini", "index", "Gini coefficient of adoptions over models"),
        ("lineages_d2", "lineages", "effective number of encoder lineages in use by planners"),
        ("repositories_d2", "repositories", "effective number of repositories that models depend on"),
        ("funding_gini", "index", "Gini coefficient of this tick's experiments over planners"),
        ("modalities_d1", "modalities", "effective number of modalities among records"),
        ("heaps", "exponent", "log families with an experiment / log experiments (Heaps exponent so far)"),
        (
            "adjacency_first",
            "ratio",
            "similarity, relative to the mean, of families first tried in this tick to those tried before",
        ),
        ("families_revealed", "families", "families that are revealed; all of them where none lie dormant at founding"),
        ("heaps_revealed", "exponent", "slope of log families revealed on log choices of a family so far"),
        ("heaps_first", "exponent", "the same over the first half of these choices"),
        ("heaps_second", "exponent", "the same over the second half"),
    ),
    *_rows(
        "layers",
        ("coverage", "share", "C: coverage of the corpus"),
        ("fidelity", "share", "F with the true property"),
        ("fidelity_perceived", "share", "F with measured labels in view"),
        ("boundary_shift", "index", "Delta-B (true fidelity)"),
        ("boundary_shift_perceived", "index", "Delta-B as curators see it"),
        ("integrity", "index", "A, families weighted equally (true)"),
        ("integrity_perceived", "index", "A, families weighted by the corpus"),
        ("integrity_unfloored", "index", "A before its floor at 0 (true)"),
        ("integrity_gap", "index", "perceived minus true A: the shift that steering does not see"),
        ("uncertainty", "share", "mean loss at scale transitions, (u1 + u2) / 2"),
        ("tradeoff", "index", "T by its formula"),
        ("tradeoff_measured", "index", "T measured on materials"),
        ("tradeoff_rank", "correlation", "rank correlation of formula and measured T over models"),
        ("steering", "share", "S with agreement over a uniform panel (true)"),
        ("steering_perceived", "share", "S with agreement over recent published tests"),
        ("scale", "ratio", "mean pretraining scale P of published models"),
    ),
    *_rows(
        "coupling",
        ("drift", "sd", "signed error (predicted - true) of chosen minus of candidates of the same families"),
        ("value_gain", "sd", "true property of chosen minus of candidates of the same families"),
        ("proxy_gain", "sd", "misaligned objective of chosen minus of candidates of the same families"),
        ("claim_error", "sd", "predicted minus observed over this tick's steered experiments"),
        ("realisation_distance", "latent sd", "distance of a proposed optimum to the material that realised it"),
        ("generated_share", "share", "this tick's simulated acquisitions that were model-generated"),
        ("loop_radius", "gain", "spectral radius of the measured gain matrix between layers"),
        (
            "boundary_choices",
            "share",
            "this tick's choices inside the boundary zone (weakly captured families or badly known materials)",
        ),
        ("rmse_boundary", "sd", "model error on panel materials of families inside the boundary zone"),
        ("rmse_interior", "sd", "model error on panel materials of families outside it"),
    ),
    *_rows(
        "infrastructure",
        ("repositories_working", "share", "repositories that answer"),
        ("models_working", "share", "models that are served"),
        ("labs_working", "share", "labs with enough working models"),
        ("labs_learning", "share", "labs without a model while they learn to use one that they have taken up"),
        ("model_age", "ticks", "ticks since the models in use were trained, mean over labs"),
        ("health_repositories", "share", "mean repository health (stock)"),
        ("health_models", "share", "mean model health (stock)"),
        ("attention", "candidates", "mean attention of planners (stock)"),
        ("funding", "experiments", "funding balance of planners, sum (stock)"),
        ("compute", "compute units", "compute of trainers, sum (stock)"),
        ("trust", "share", "mean track record of models in use (auxiliary)"),
        ("corpus_bias", "sd", "mean estimated bias of simulated labels in view (auxiliary)"),
        ("unique_share", "share", "materials of a repository that no other one holds / those it holds; mean"),
        ("unique_share_largest", "share", "the same of the repository that holds most materials"),
        ("one_place_share", "share", "materials that one repository alone holds / materials with records"),
        (
            "sole_share",
            "share",
            "readable materials that one repository alone serves, without a federated copy; largest of all",
        ),
    ),
]
STANDARD = tuple(i.column for i in INDICATORS)
# With those that users register:
COLUMNS = list(STANDARD)
UNITS = {i.column: i.unit for i in INDICATORS} | {"leading_share": "share"}  # of outcomes, too
# Sizes that differences of outcomes cannot exceed.
BOUNDS = {name: 1.0 for name, unit in UNITS.items() if unit == "share"}
REGISTERED: dict[str, Measure] = {}
# What a diagnosis says under the same name.
DIAGNOSED = ("captured_dense", "captured_niche", "gauge_variance", "strain_variance")


def indicator(name: str | None = None, *, unit: str = "1", subject: str = "own") -> Callable[[Measure], Measure]:
    """Register an indicator: a function of the world that gives one number after each tick, NaN where it has none.

    It is a column of the series and an outcome of studies from then on.
    The first line of its docstring is its definition.

    Raises
    ------
    ConfigurationError
        If there is an indicator of that name.
    """

    def register(measure: Measure) -> Measure:
        column = name_of(measure, name, "indicator", COLUMNS)
        INDICATORS.append(Indicator(column, subject, unit, first_line(measure, column)))
        COLUMNS.append(column)
        UNITS[column] = unit
        if unit == "share":
            BOUNDS[column] = 1.0
        REGISTERED[column] = own(measure)
        return measure

    return register


def observe(world: World) -> dict[str, float]:
    """Return every indicator at this tick, by column; NaN where there is nothing to measure."""
    use = usage(world)
    results = world.results
    seen = errors(world, use) if use else None
    learned = learning(world, use, seen)
    return {
        **dict.fromkeys(STANDARD, NAN),
        **discovery(world, results),
        **learned,
        **homogenisation(world),
        **concentration(world),
        **layers(world, use, seen),
        **coupling(world, results, use, seen, learned.get("inherited_bias", NAN)),
        **infrastructure(world),
        **{column: registered(column, world) for column in REGISTERED},
    }


def registered(column: str, world: World) -> float:
    """Return the value of an indicator of the user.

    Raises
    ------
    RuleError
        If it is no number, or infinite; one line with indicator and tick.
    """
    value: Any = REGISTERED[column](world)
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.inf
    if math.isinf(number):
        raise RuleError(f"indicator '{column}' gave {value!r} at tick {world.tick}: must be a number, or NaN")
    return number


def usage(world: World) -> list[tuple[float, FoundationModel]]:
    """Served models with their share of adopters (equal shares before any adoption)."""
    served = world.models()
    users = world.registry.users.ravel()
    weight = np.array([users[i] for i, _ in served], np.float64)
    if not weight.sum():
        weight = np.ones(len(served))
    return [(float(w), m) for w, (_, m) in zip(weight / max(weight.sum(), 1), served, strict=True) if w > 0]


def by_property(world: World) -> dict[str, NDArray[Any]]:
    """What is labelled, sought and found of each property, and how its models err (T,)."""
    commons, space, d = world.commons, world.space, world.discoveries
    T, use = space.properties, usage(world)
    labelled = commons.alive & (commons.origin != FAILED)
    measured = labelled & (FIDELITY[commons.modality] == MEASURED)
    weight, error = np.zeros((2, T))
    for w, m in use:
        gap = m.panel_mean - world.truth.property[space.pairs(m.of_property, m.panel.materials)]
        weight[m.of_property] += w
        error[m.of_property] += w * float(gap.std())
    return {
        "labels": np.bincount(commons.property[labelled], minlength=T),
        "measured": np.bincount(commons.property[measured], minlength=T),
        "planners": np.bincount(world.planners.property, minlength=T),
        "untested": space.by_property(commons.untested).sum(axis=1),
        "found": np.bincount(np.flatnonzero(d.tick >= 0) // space.size, minlength=T),
        "rmse_centred": np.where(weight > 0, error / np.where(weight > 0, weight, 1.0), NAN),
    }


# --------------------------------------------------------------------------- discovery


def discovery(world: World, r: Experiments | None) -> dict[str, float]:
    """Discoveries, acceleration and novelty."""
    t, d = world.totals, world.discoveries
    found, existing, pool = d.count, d.existing, max(1, d.untested)
    spent = t.done + t.measured_acquisitions - d.spent
    out = {
        "experiments_requested": float(t.requested),
        "experiments_done": float(t.done),
        "infeasible_share": ratio(t.infeasible, t.done),
        "found": float(found),
        "found_share": ratio(found, existing),
        "found_by_planners": float(d.by_planners),
        "found_by_planners_share": ratio(d.by_planners, existing),
        "acceleration_factor": ratio(found * (pool + 1) / (existing + 1), spent),
        "enhancement_factor": ratio(ratio(found, existing), spent / pool),
        "unsteered_share": ratio(t.unsteered, t.done),
        "best_found": average(d.best),
    }
    if r is None:
        return out
    seen = r.observed[~np.isnan(r.observed)]
    tested = np.unique(world.space.pairs(r.property, r.material)[r.published])
    hits = int((world.truth.top[tested] & world.space.feasible[tested % world.space.size]).sum())
    tests = max(1, int(r.published.sum()))
    prevalence = max(existing - found + hits, 1) / max(1, int(world.commons.untested.sum()) + tests)
    return out | {
        "discovery_acceleration": hits / tests / prevalence,
        "hit_rate_frozen": share_of(seen > world.reference[r.property[~np.isnan(r.observed)]]),
        "hit_rate_moving": float((seen > moving_reference(world)).mean()) if len(seen) else NAN,
        "novelty": float((world.experiments_before[r.family] == 0).mean()),
    }


def moving_reference(world: World) -> float:
    """Best decile of the last measured labels in the commons."""
    commons = world.commons
    value, modality, origin = (column[-2_000:] for column in (commons.value, commons.modality, commons.origin))
    value = value[(FIDELITY[modality] == MEASURED) & (origin != FAILED)]
    return upper(value, 0.1) if len(value) else 0.0


# --------------------------------------------------------------------------- learning


class Errors(NamedTuple):
    """How M models err on their panels.

    Attributes
    ----------
    by_family : float (M, K)
        Squared error of each family.
    actual, claimed : float (M,)
        Squared error and claimed variance, families weighted as in the training sample: claims are judged
        where the corpus is.
    inside_68, inside_95, inside_68_simulated : float (M,)
        Share of the property inside claimed intervals, and of the simulated property, weighted likewise.
    slope, share, raw : float (M,)
        Slope of model error on simulation error over the whole panel with the property held constant; the same
        as a share of the model's response to the property; and the slope without holding it constant. Without,
        a model that has learned nothing seems to inherit whatever bias goes with the property.
    median : float (M,)
        Median absolute error over the panel.
    centred : float (M, K)
        Squared error of each family less the mean error over the panel.
    """

    by_family: Float
    actual: Float
    claimed: Float
    inside_68: Float
    inside_95: Float
    inside_68_simulated: Float
    slope: Float
    share: Float
    raw: Float
    median: Float
    centred: Float


def errors(world: World, use: list[tuple[float, FoundationModel]]) -> Errors:
    """Errors of the models in use, at least one, on their panels."""
    models = [m for _, m in use]
    if len({m.panel_mean.shape for m in models}) > 1:  # a policy has changed the size of panels
        parts = [errors(world, [one]) for one in use]
        return Errors(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    pairs = np.array([world.space.pairs(m.of_property, m.panel.materials) for m in models])
    return panel_errors(
        np.array([m.panel_mean for m in models]),
        np.array([m.panel_variance for m in models]),
        np.array([m.overconfidence for m in models]),
        world.truth.property[pairs],
        world.truth.simulated[pairs],
        np.array([m.corpus for m in models]),
    )


@kernel
def panel_errors(
    mean: Float32, variance: Float32, overconfidence: Float, y: Float32, simulated: Float32, corpus: Float
) -> Errors:
    """Errors of predictions (M, K, B) against the property and its simulation there.

    Parameters
    ----------
    mean, variance, y, simulated : float32 (M, K, B)
    overconfidence : float (M,)
    corpus : float (M, K)
    """
    M, _, B = mean.shape
    error, label = mean - y, simulated - y
    square = error * error
    by_family = np.einsum("mkb->mk", square).astype(np.float64) / B
    weight = np.repeat((corpus / B).astype(np.float32), B, axis=1)
    claim = variance.reshape(M, -1) / (overconfidence**2).astype(np.float32)[:, None]

    def weighted(values: NDArray[Any]) -> Float:
        return np.asarray(np.einsum("mn,mn->m", weight, values.reshape(M, -1)), np.float64)

    def covered(gap: Float32, z: float) -> Float:
        return weighted(gap.reshape(M, -1) <= np.float32(z * z) * claim)

    e, s, t = (a.reshape(M, -1) - a.reshape(M, -1).mean(axis=1, keepdims=True) for a in (error, label, y))
    ss, tt, st, se, te = (
        np.einsum("mn,mn->m", a, b).astype(np.float64) for a, b in ((s, s), (t, t), (s, t), (s, e), (t, e))
    )
    partial = ss * tt - st * st
    defined = (ss > 1e-9) & (partial > 1e-6 * ss * tt)
    over = np.where(defined, partial, 1.0)
    # Prediction = response * property + slope * (simulation - property) + rest.
    slope = np.where(defined, (se * tt - te * st) / over, NAN)
    response = np.where(defined, 1.0 + (te * ss - se * st) / over, NAN)
    responsive = response > 0.05
    gap, middle = np.abs(error).reshape(M, -1), middle_of(error[0].size, 0.5)
    return Errors(
        by_family,
        np.einsum("mk,mk->m", by_family, corpus),
        weighted(claim),
        covered(square, 0.994458),
        covered(square, 1.959964),
        covered((mean - simulated) ** 2, 0.994458),
        slope,
        np.where(responsive, slope / np.where(responsive, response, 1.0), NAN),
        np.where(ss > 1e-9, se / np.where(ss > 1e-9, ss, 1.0), NAN),
        np.partition(gap, middle, axis=1)[:, middle].astype(np.float64),
        np.square(e).reshape(mean.shape).mean(axis=2, dtype=np.float64),
    )


def learning(world: World, use: list[tuple[float, FoundationModel]], seen: Errors | None) -> dict[str, float]:
    """Error, calibration and inheritance of the models in use, on their panels."""
    if seen is None:
        return {}
    models, dense, niche = [m for _, m in use], world.space.dense_families, world.space.niche_families
    rare = np.array([m.rare for m in models])
    imposed = np.array([m.overconfidence for m in models])
    ratio = np.sqrt(seen.actual / np.maximum(seen.claimed, 1e-12))
    columns: dict[str, Any] = {
        "rmse": np.sqrt(seen.actual),
        "rmse_out": np.sqrt(np.take_along_axis(seen.by_family, rare, axis=1).mean(axis=1)),
        "rmse_dense": np.sqrt(seen.by_family[:, dense].mean(axis=1)) if len(dense) else np.full(len(use), NAN),
        "rmse_niche": np.sqrt(seen.by_family[:, niche].mean(axis=1)),
        "coverage_68": seen.inside_68,
        "coverage_95": seen.inside_95,
        "coverage_68_simulated": seen.inside_68_simulated,
        "claimed_to_actual": ratio,
        "overconfidence_emergent": ratio / imposed,
        "overconfidence_imposed": imposed,
        "inherited_bias": seen.slope,
        "inherited_share": seen.share,
        "inherited_bias_raw": seen.raw,
        **{name: [getattr(m.diagnosis, name) for m in models] for name in DIAGNOSED},
    }
    weight = np.array([w for w, _ in use])
    means = np.array(list(columns.values())) @ weight
    # Apart from the others: how many columns there are moves the last bit of sums.
    centred = np.sqrt([seen.centred.mean(axis=1), seen.centred[:, niche].mean(axis=1)]) @ weight
    return dict(zip(columns, means.tolist(), strict=True)) | {
        "rmse_centred": float(centred[0]),
        "rmse_centred_niche": float(centred[1]),
        "learning_exponent": pooled(world.discoveries.learned, apart=WIDE),
        "feasibility_auc": area_in_use(use),
    }


def ratio(part: float, whole: float) -> float:
    """Return a part of a whole, NaN of nothing."""
    return part / whole if whole else NAN


def average(values: NDArray[Any]) -> float:
    """Mean of an array, NaN without values."""
    return float(np.add.reduce(values)) / len(values) if len(values) else NAN


def share_of(flags: NDArray[np.bool_]) -> float:
    """Share of true ones, NaN without any."""
    return np.count_nonzero(flags) / len(flags) if len(flags) else NAN


# --------------------------------------------------------------------------- concentration


def concentration(world: World) -> dict[str, float]:
    """How far records, effort, models and funding are concentrated."""
    commons, done = world.commons, world.experiments
    records = commons.records_by_family()
    tried = done > 0
    before = world.experiments_before > 0
    fresh = tried & ~before
    adjacency = NAN
    if fresh.any() and before.any():
        near = world.space.similarity @ before
        mean = average(near)
        adjacency = average(near[fresh]) / mean if mean > 0 else NAN
    entered, n, families = float(np.add.reduce(records)), float(np.add.reduce(done)), float(np.count_nonzero(tried))
    registry, load = world.registry, world.infrastructure.repository_load()
    return {
        "records": entered,
        "records_hhi": 1.0 / hill(records, 2),
        "records_gini": gini(records),
        "families_d0": families if n else NAN,
        "families_d1": hill(done, 1),
        "families_d2": hill(done, 2),
        "models_d2": hill(registry.adopters, 2),
        "models_gini": gini(registry.adoptions),
        "lineages_d2": hill(np.bincount(registry.lineage, registry.adopters), 2),
        "repositories_d2": hill(load, 2),
        "funding_gini": gini(world.planners.budget),
        "modalities_d1": hill(commons.modality_counts, 1),
        "heaps": math.log(families) / math.log(n) if n > 1 else NAN,
        "adjacency_first": adjacency,
        **growth(world),
    }


# --------------------------------------------------------------------------- layers and coupling


def layers(world: World, use: list[tuple[float, FoundationModel]], seen: Errors | None) -> dict[str, float]:
    """The four MPBF quantities, true and perceived."""
    commons, f = world.commons, world.p.layers
    true, perceived = commons.true_fidelity(), commons.perceived_fidelity(f.prior_overlaps)
    volume, founding = float(commons.visible().sum()), max(1.0, world.base.founding.records)
    C = covered(world)
    out = {
        "coverage": C,
        "fidelity": true,
        "fidelity_perceived": perceived,
        "boundary_shift": delta_b(f, C, true, volume, founding),
        "boundary_shift_perceived": delta_b(f, C, perceived, volume, founding),
    }
    if seen is None:
        return out
    rows = [
        {
            "integrity": d.integrity_true,
            "integrity_perceived": d.integrity_perceived,
            "integrity_unfloored": d.integrity_unfloored,
            "integrity_gap": d.integrity_perceived - d.integrity_true,
            "uncertainty": 0.5 * (d.u[0] + d.u[1]),
            "tradeoff": d.tradeoff,
            "tradeoff_measured": d.tradeoff_measured,
            "tradeoff_rank": 0.0,  # is of all models; how many columns there are moves the last bit of sums
            "steering": steering_of(
                f, agreement(median, world.truth.mad[m.of_property]), counted_correction(world.p), d.tradeoff
            ),
            "steering_perceived": perceived_steering(world, m),
            "scale": m.scale,
        }
        for (m, d), median in zip(((m, m.diagnosis) for _, m in use), seen.median.tolist(), strict=True)
    ]
    means = np.array([w for w, _ in use]) @ np.array([list(row.values()) for row in rows])
    formula, measured = (np.array([row[name] for row in rows]) for name in ("tradeoff", "tradeoff_measured"))
    return (
        out | dict(zip(rows[0], means.tolist(), strict=True)) | {"tradeoff_rank": rank_correlation(formula, measured)}
    )


def rank_correlation(a: Float, b: Float) -> float:
    """Spearman correlation without tie correction; NaN for fewer than three or constant values."""
    n = len(a)
    if n < 3 or a.max() - a.min() < 1e-12 or b.max() - b.min() < 1e-12:
        return NAN
    gap = a.argsort(kind="stable").argsort(kind="stable") - b.argsort(kind="stable").argsort(kind="stable")
    return 1.0 - 6.0 * float(gap @ gap) / (n * (n * n - 1))


def upper(values: NDArray[Any], share: float) -> float:
    """Smallest value among the upper `share` of an array (at least one)."""
    k = middle_of(len(values), share)
    return float(np.partition(values, k)[k])


def middle_of(count: int, share: float) -> int:
    """Position, in ascending order, of the smallest among the upper `share` of `count` values (at least one)."""
    return count - max(1, round(share * count))


def selection(world: World, r: Experiments | None) -> dict[str, float]:
    """Return what choices gain over this tick's steered experiments: chosen minus mean of candidates."""
    if r is None or not (r.model >= 0).any() or r.candidates.shape[1] < 2:
        return {}
    pairs = world.space.pairs(r.property[:, None], r.candidates)
    at, values = np.arange(len(r.pick)), world.truth.property[pairs]
    of = {"drift": r.expected - values, "value_gain": values, "proxy_gain": world.space.proxy[pairs]}
    return {name: float((x[at, r.pick] - x.mean(axis=1))[r.model >= 0].mean()) for name, x in of.items()}


def coupling(
    world: World, r: Experiments | None, use: list[tuple[float, FoundationModel]], seen: Errors | None, inherited: float
) -> dict[str, float]:
    """Drift, feedback and the boundary zone."""
    s, c = world.signals, world.p.coupling
    simulated = int(s.acquisitions[0])
    gap = r.predicted - r.observed if r else np.zeros(0, np.float32)
    out = {
        **selection(world, r),
        "claim_error": average(gap[~np.isnan(gap)]),
        "realisation_distance": r.distance if r else NAN,
        "generated_share": ratio(s.generated, simulated),
    }
    if seen is None:
        return out
    most = max(range(len(use)), key=lambda i: use[i][0])
    model, square = use[most][1], seen.by_family[most]
    inherited = 0.0 if np.isnan(inherited) else inherited
    steered = 1.0 - float(np.mean(world.planners.exploration)) if len(world.planners) else 0.0
    results = float(r.published.sum()) if r else 0.0
    entered = results + float(s.acquisitions.sum())
    fed_back = c.outer_loop * results / entered if entered else 0.0
    generated = c.pseudo_gain * s.generated / entered if entered else 0.0
    matrix = gain_matrix(
        inherited, steered * world.p.planners.steering_gain, fed_back, generated, min(1.0, c.correction) * fed_back
    )
    out["loop_radius"] = spectral_radius(matrix)
    # Boundary zone: families that the encoder keeps less than half of, or whose claimed sd is in
    # the corpus's worst tenth.
    sd = np.einsum("kb->k", model.panel_variance)  # only its order counts
    zone = (sd >= upper(sd, 0.1)) | (model.diagnosis.captured < 0.5)
    out["boundary_choices"] = share_of(zone[r.family]) if r else NAN
    out["rmse_boundary"] = math.sqrt(average(square[zone]))
    out["rmse_interior"] = math.sqrt(average(square[~zone]))
    return out


def models_of_labs(world: World) -> list[FoundationModel]:
    """Return the model that each lab uses, of labs that use one."""
    used = [world.registry.models[i] for i in world.model_in_use().tolist() if i >= 0]
    return [m for m in used if m is not None]


def infrastructure(world: World) -> dict[str, float]:
    """Who works, and the stocks."""
    i, planners = world.infrastructure, world.planners
    in_use = i.model_in_use()
    rows = np.flatnonzero(in_use >= 0)
    trust = NAN
    if len(rows):
        hits, misses = planners.hits[rows, in_use[rows]], planners.misses[rows, in_use[rows]]
        trust = average((1 + hits) / (2 + hits + misses))
    sizes, bias = world.space.family_sizes, world.space.by_property(world.commons.estimated_bias())
    return {
        "repositories_working": share_of(i.working_repositories()),
        "models_working": share_of(i.working_models() & world.registry.published()),
        "labs_working": share_of(i.working_labs()),
        "labs_learning": share_of(i.labs_learning()),
        "model_age": average(world.registry.tick - np.array([m.trained for m in models_of_labs(world)])),
        "health_repositories": average(world.health_repositories),
        "health_models": average(world.health_models),
        "attention": average(planners.attention),
        "funding": float(np.add.reduce(planners.funding)) if len(planners) else NAN,
        "compute": float(np.add.reduce(world.trainers.compute)) if len(world.trainers) else NAN,
        "trust": trust,
        "corpus_bias": average(bias @ sizes / np.add.reduce(sizes)),
        **overlap(world),
    }


def overlap(world: World) -> dict[str, float]:
    """How far repositories stand in for each other."""
    h, materials = world.commons.holdings, int(world.commons.distinct_materials().sum())
    shares = h.unique_shares()
    return {
        "unique_share": average(shares[h.held > 0]),
        "unique_share_largest": float(shares[np.argmax(h.held)]),
        "one_place_share": ratio(int(h.unique.sum()), materials),
        "sole_share": ratio(int(h.sole.max()), h.readable),
    }
