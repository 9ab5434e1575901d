"""The path battery: nothing where history does not matter, what is known of urns, the same in any process."""

import numpy as np
import pandas as pd
import pytest

from mpbf_abm import Parameters
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.evidence.assessments.assessment import Setting, run_assessment
from mpbf_abm.evidence.assessments.path_dependence import HISTORIES, PATH, _of_world, measure, tasks
from mpbf_abm.measures.path import damage_exponent


def urn(gamma, exploration, **changes):
    """Parameters of a community without models."""
    who = ("planners", "curators")
    return Parameters.null(
        **{
            **{f"{w}.reinforcement": gamma for w in who},
            **{f"{w}.exploration": exploration for w in who},
            "space.families": 4,
            "space.materials": 800,
            "founding.records": 12,
            "founding.mass": 1.0,
            **changes,
        }
    )


def found(setting):
    """Value of every finding by the words it begins with, and the table of histories."""
    report = run_assessment(PATH, setting)
    return {f.measure: f for f in report.findings}, report.tables["histories"]


def of(findings, words):
    (finding,) = [f for measure, f in findings.items() if measure.startswith(words)]
    return finding


def test_where_everybody_explores_history_decides_nothing():
    findings, histories = found(Setting(urn(1.0, 1.0), replicates=6, ticks=40))
    index = of(findings, "early history's share of the variance of later")
    assert index.verdict == "as null"
    assert index.estimate.error < 0.2
    # All explore as much as they can: there is no ramp.
    assert not [m for m in findings if m.startswith("loop")]
    assert of(findings, "gain of an oracle").estimate.value == 0.0
    # What is added is thinned out in every history; D = m (1 - s) / (N + m) moves a little with the family's own share.
    np.testing.assert_allclose(histories["exponent"], -1.0, atol=0.06)
    assert of(findings, "effective exploration").estimate.value == pytest.approx(1.0)


@pytest.mark.nightly
def test_a_linear_urn_remembers_and_a_price_buys_what_it_is_for():
    findings, _ = found(Setting(urn(1.0, 0.0), replicates=8, ticks=40))
    assert of(findings, "early history's share of the variance of later").verdict == "above"
    assert of(findings, "divergence").verdict == "above"
    kept, bought = of(findings, "displacement that is left").estimate, of(findings, "what the price").estimate
    assert kept.low < 1.0 < kept.high
    assert bought.low < 1.0 < bought.high
    assert of(findings, "effective reinforcement").estimate.value == pytest.approx(1.0, abs=0.05)
    assert of(findings, "exponent of equal families").estimate.value == pytest.approx(0.0, abs=0.05)


def test_histories_that_are_one_history_do_not_diverge():
    setting = Setting(urn(1.0, 0.0), ticks=20)
    history = measure(setting, ("history", 1, 0))
    history = history | {n: np.array([history[n][0]] * 2) for n in ("ends", "later", "found")}
    world = _of_world([history] * HISTORIES)
    assert world["same leader"] == 1.0
    assert world["divergence"] <= 0.0
    assert np.isnan(world["early index of shares"])


SHORT = Setting(urn(1.5, 0.1), replicates=2, ticks=10)


def test_every_history_of_every_world_is_a_task_and_a_row():
    assert len(tasks(SHORT)) == 2 * (HISTORIES + 3)
    assert len(run_assessment(PATH, SHORT).tables["histories"]) == 2 * HISTORIES


@pytest.mark.nightly
def test_a_report_is_the_same_in_two_processes():
    one, two = run_assessment(PATH, SHORT), run_assessment(PATH, SHORT, 2)
    for name in one.tables:
        pd.testing.assert_frame_equal(one.tables[name], two.tables[name])


def test_one_world_has_no_interval():
    with pytest.raises(ConfigurationError, match="must be at least 2 for path"):
        run_assessment(PATH, Setting(urn(1.0, 0.0), replicates=1))


def test_worlds_can_be_studied_over_parameters(monkeypatch):
    from mpbf_abm.evidence.assessments import path_dependence
    from mpbf_abm.studies.jobs import RunInput

    monkeypatch.setattr(path_dependence.Parameters, "preset", lambda _: urn(1.0, 0.1, **{"space.materials": 400}))
    run = RunInput(
        values={"gamma": 2.0}, arm="", policies=(), shocks=(), seed=5 << 20, replicate=0, ticks=10, series=(), kept=[]
    )
    out = path_dependence.world_outcomes(run)
    assert set(out) == set(path_dependence.OUTCOMES)
    assert out["gamma_eff"] == pytest.approx(2.0, abs=0.2)


def test_a_run_without_an_early_part_is_refused():
    with pytest.raises(ConfigurationError, match="ticks = 9: must be at least 10"):
        PATH.tasks(Setting(urn(1.0, 0.0), ticks=9))


def test_damage_has_no_exponent_where_the_commons_shrinks():
    assert np.isnan(damage_exponent(0.1, 0.2, [10.0, 20.0, 15.0]))
    assert damage_exponent(0.1, 0.2, [10.0, 20.0, 20.0, 40.0]) > 0
