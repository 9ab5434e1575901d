"""The atlas: everything the table names has a row, verdicts on constructed effects, a parameter that does nothing."""

import math

import numpy as np
import pandas as pd
import pytest

from mpbf_abm import Parameters
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.evidence.assessments.assessment import Setting, run_assessment
from mpbf_abm.evidence.assessments.atlas import (
    GROUPS,
    MEASURED,
    ROWS,
    SMALLEST,
    AtlasRow,
    atlas,
    between,
    chosen,
    effect_of,
    report_of,
    tasks_of,
    variant,
    verdict,
)
from mpbf_abm.model.indicators import COLUMNS
from mpbf_abm.stats.estimates import Estimate, holm

# Table 1 of the paper, word by word.
CONDITIONS = {
    "data sparsity",
    "simulation bias transfer",
    "modality imbalance",
    "provenance noise",
    "coverage gaps across chemical space",
    "over-abstraction",
    "invariance deficit",
    "causal erosion",
    "latent collapse in niche domains",
    "scale misalignment (quantum to macro)",
    "inference drift",
    "feedback amplification",
    "uncertainty underestimation",
    "objective misalignment",
    "exploration lock-in",
    "cascading bias",
    "compounding uncertainty",
    "reinforcement of dense-region priors",
    "misaligned retraining signals",
}
IMPLICATIONS = {
    "skewed latent priors",
    "overfitting to simulated regimes",
    "weak experimental transferability",
    "distorted screening landscapes",
    "physically incoherent predictions",
    "spurious correlations",
    "instability under perturbations",
    "premature convergence",
    "suboptimal candidate prioritization",
    "reduced novelty",
    "brittle closed-loop experimentation",
    "discovery path dependency",
    "infrastructure fragility",
    "reduced generalization to unexplored regimes",
}
MECHANISMS = {
    "crystal graphs",
    "DFT trajectories",
    "spectroscopy",
    "microscopy",
    "synthesis metadata",
    "multi-fidelity sets",
    "graph neural encoders",
    "equivariant networks",
    "masked structure prediction",
    "contrastive learning",
    "cross-modal fusion",
    "inverse design engines",
    "generative models",
    "Bayesian optimization",
    "active learning",
    "candidate ranking systems",
    "inner loop: model fine-tuning",
    "outer loop: data reacquisition",
    "uncertainty propagation channels",
}
TINY = Parameters.preset("single-quick").updated(
    {
        "space.families": 10,
        "space.materials": 1_000,
        "founding.records": 200,
        "trainers.records": 100,
        "trainers.features": 24,
    }
)


def test_everything_that_the_table_names_has_a_row():
    for group, names in zip(GROUPS, (CONDITIONS, IMPLICATIONS, MECHANISMS), strict=True):
        assert {row.name for row in ROWS if row.group == group} == names
    assert (len(CONDITIONS), len(IMPLICATIONS), len(MECHANISMS)) == (19, 14, 19)


@pytest.mark.parametrize("row", ROWS, ids=lambda r: f"{r.group} {r.key} {r.parameter}")
def test_rows_can_be_run(row):
    assert row.indicator in (*COLUMNS, *MEASURED)
    for level in range(len(row.levels)):
        Parameters.preset("single-default").updated({k: v for k, v in row.parameters(level).items() if k != "shock"})
    assert len(row.levels) >= (3 if row.sign == 0 else 2)
    assert len({variant(row, i) for i in range(len(row.levels))}) == len(row.levels)


def estimate(low, high):
    return Estimate(0.5 * (low + high), 0.1, low, high)


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (0.4, 0.8, "as predicted"),
        (0.1, 0.3, "weak"),
        (-0.3, 0.2, "absent"),
        (-0.9, -0.1, "reversed"),
        (-0.3, 0.9, "undecided"),
        (math.nan, math.nan, "undecided"),
    ],
)
def test_verdicts(low, high, word):
    assert verdict(1, estimate(low, high)) == word
    assert verdict(-1, estimate(-high, -low)) == word
    assert SMALLEST == 0.5


def test_effects_are_paired_and_in_standard_deviations_of_the_reference():
    rng = np.random.default_rng(0)
    x = rng.normal(3.0, 2.0, 40)
    e = effect_of(x, x + 2.0 + 0.01 * rng.normal(size=40), x)
    assert e.value == pytest.approx(2.0 / x.std(ddof=1), abs=0.01)
    assert e.high - e.low < 0.01
    nothing = effect_of(x, x, x)
    assert (nothing.value, verdict(1, nothing)) == (0.0, "absent")
    assert math.isnan(effect_of(np.full(5, np.nan), x[:5], x[:5]).value)
    # Where the reference does not vary, the levels do.
    assert effect_of(np.zeros(6), np.array([1.0, 1.2, 0.8, 1.0, 1.1, 0.9]), np.zeros(6)).low > 0


def test_an_optimum_in_between_is_told_from_a_slope():
    noise = np.random.default_rng(1).normal(size=(5, 20))
    valley = np.array([4.0, 1.0, 0.0, 1.0, 4.0])[:, None] + 0.1 * noise
    slope = np.arange(5.0)[:, None] + 0.1 * noise
    assert between(valley)[1] == "as predicted"
    assert between(slope)[1] == "reversed"


def test_holm_adjusts_known_p_values():
    np.testing.assert_allclose(holm(np.array([0.01, math.nan, 0.04, 0.03])), [0.03, math.nan, 0.06, 0.06])


def test_a_parameter_that_does_nothing_has_no_effect():
    row = AtlasRow(GROUPS[0], "DAL", "nothing", "nothing", ({}, {"layers.fidelity_scale": 0.25}), "rmse", 1)
    report = run_assessment(atlas([row]), Setting(TINY, replicates=3, ticks=10))
    (finding,) = report.findings
    assert finding.estimate.value == 0.0
    assert finding.reading == "expected +: absent"


SHARING = ["exploration lock-in", "premature convergence", "feedback amplification"]


@pytest.mark.nightly
def test_processes_do_not_matter():
    rows, setting = chosen(SHARING), Setting(TINY, replicates=3, ticks=10)
    one, two = run_assessment(atlas(rows), setting), run_assessment(atlas(rows), setting, 2)
    for name in one.tables:
        pd.testing.assert_frame_equal(one.tables[name], two.tables[name])


def test_rows_share_runs():
    rows, setting = chosen(SHARING), Setting(TINY, replicates=3, ticks=10)
    tasks = tasks_of(rows, setting)
    assert len(tasks) == len(set(tasks)) == 3 * (3 + 3 + 3)
    one = run_assessment(atlas(rows), setting)
    levels = one.tables["levels"]
    assert {"loop_gain", "bias_exponent"} <= {row.rsplit(": ", 1)[1] for row in levels["row"]}
    gain = levels[levels["row"] == "feedback amplification: loop_gain"]["value"].to_numpy()
    assert gain[0] < gain[-1]

    from mpbf_abm.figures.of_assessments import atlas as draw

    assert len(draw(one).axes) == len(rows)


def test_events_at_mid_run_are_part_of_a_level():
    (row,) = chosen(["infrastructure fragility"])
    setting = Setting(TINY, replicates=3, ticks=8)
    measured = {t: atlas([row]).measure(Setting(TINY, ticks=8), t) for t in tasks_of([row], setting)}
    report = report_of([row], setting, measured)
    assert len(report.tables["levels"]) == 2


def test_unknown_rows_are_told_with_what_they_may_be():
    with pytest.raises(ConfigurationError, match=r"no such row.*exploration lock-in"):
        chosen(["exploration lock in"])
    assert chosen([]) == ROWS
    assert {row.layer for row in chosen(["ISL"])} == {"ISL"}
