"""The value of data: effects and curves of constructed outcomes, arms that mean nothing, and real runs."""

import math

import numpy as np
import pytest
from lean import LEAN

from mpbf_abm import Ecosystem, Parameters, simulate
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.evidence.assessments import worth
from mpbf_abm.evidence.assessments.assessment import Setting, run_assessment
from mpbf_abm.evidence.assessments.worth import (
    BASE,
    CURVE,
    HALF,
    KEPT,
    LOST,
    NONE,
    ONE,
    OUTCOMES,
    OWN,
    WORTH,
    against,
    arms,
    exponents,
    left_out,
    measure,
    report,
    tasks,
)

SETTING = Setting(Parameters.preset("single-quick").updated({"trainers.corpus": "reachable"}), replicates=8)


def constructed(task, rng):
    """What an arm or a size ends with: noise of the seed, which pairing takes off, and what the arm adds."""
    what, seed = task
    noise = float(np.random.default_rng(seed).normal())
    if isinstance(what, int):
        return {"labels": 0.8 * what, "error": (1.0 + 0.1 * noise**2) * what**-0.2}
    effect = {NONE: 0.15, HALF: 0.02, ONE: 5.0, LOST: 5.01}.get(what, 0.0) + 0.001 * rng.normal()
    return dict.fromkeys(KEPT, noise + effect) | {CURVE: -0.05, "records": 3000.0 - 1000.0 * (what == HALF)}


def test_constructed_effects_have_their_verdicts():
    rng = np.random.default_rng(0)
    found = report(SETTING, {task: constructed(task, rng) for task in tasks(SETTING)})
    table = found.tables["value_of_data"].set_index(["arm", "outcome"])
    assert len(table) == len(list(against(SETTING.parameters))) * len(OUTCOMES)
    assert table.loc[(NONE, "rmse_centred"), "verdict"] == "worse"
    assert table.loc[(NONE, "value_gain"), "verdict"] == "better"
    assert table.loc[("no outer loop", "rmse_centred_niche"), "verdict"] == "equivalent"
    # A loss is compared with the community that leans on one provider, too.
    assert table.loc[(LOST, "value_gain"), "against"] == ONE
    assert table.loc[(LOST, "value_gain"), "effect"] == pytest.approx(0.01, abs=0.002)
    read = {f.measure: f for f in found.findings}
    assert read["error that pretraining saves, against none (sd)"].estimate.value == pytest.approx(0.15, abs=0.002)
    assert read["error per 1,000 more records (sd)"].estimate.value == pytest.approx(-0.02, abs=0.002)
    static = read["static learning curve (exponent)"]
    assert static.estimate.value == pytest.approx(-0.2)
    assert "inside" in static.reading
    assert "misses" in read["learning curve of the running community (exponent)"].reading


def test_a_curve_needs_three_points_and_some_width():
    labels = np.array([[100.0, 200.0, 400.0], [100.0, 101.0, 102.0], [100.0, 200.0, math.nan]])
    found = exponents(np.stack([labels, labels**-0.3], axis=2))
    assert found == pytest.approx([-0.3, math.nan, math.nan], nan_ok=True)


@pytest.mark.parametrize(
    ("changes", "name", "why"),
    [
        ({"trainers.corpus": "own"}, OWN, "the community is so"),
        ({"trainers.objective": "none"}, NONE, "the community is so"),
        ({"curators.count": 0}, "a quarter of the founding records, no curators", "curators.count = 0"),
        ({"planners.count": 0}, "no outer loop", "planners.count = 0"),
        ({"infrastructure.repositories": 1}, LOST, "infrastructure.repositories = 1"),
        ({"founding.records": 0}, "a quarter of the founding records", "the community is so"),
    ],
)
def test_arms_that_mean_nothing_are_left_out_with_the_reason(changes, name, why):
    p = Parameters.preset("single-quick").updated(changes)
    assert left_out(p)[name] == why
    assert name not in dict(against(p))


def test_a_community_with_one_provider_is_its_own_baseline_of_a_loss():
    assert dict(against(Parameters.preset("single-default").updated({"infrastructure.providers": 1})))[LOST] == BASE


def test_communities_that_cannot_be_examined_are_refused():
    with pytest.raises(ConfigurationError, match=r"trainers\.count = 0: must be at least 1"):
        tasks(Setting(Parameters.null()))
    with pytest.raises(ConfigurationError, match="ticks = 2: must be at least 3"):
        tasks(Setting(LEAN, ticks=2))


def test_a_real_community_is_measured_and_drawn(monkeypatch):
    from mpbf_abm.figures.of_assessments import data as draw

    sizes = (100, 200, 400)
    monkeypatch.setattr(worth, "SIZES", sizes)

    setting = Setting(LEAN.updated({"trainers.records": 0}), replicates=2, ticks=3)
    found = run_assessment(WORTH, setting)
    table = found.tables["value_of_data"]
    assert set(table["arm"]) == set(arms(setting.parameters)) - {BASE, ONE, *left_out(setting.parameters)}
    assert measure(setting, (LOST, 1)) != measure(setting, (BASE, 1))
    assert found.tables["learning_curve"]["records"].tolist() == list(sizes)
    assert (found.tables["learning_curve"]["labels"].diff().dropna() > 0).all()
    assert {f.measure: f.reading for f in found.findings}["no structures"] == "left out: the community is so"
    assert len(draw(found).axes) == len(OUTCOMES) + 1


def test_the_learning_curve_is_that_of_the_run_whatever_is_recorded_and_survives_a_snapshot():
    p = LEAN.updated({"trainers.records": 0})
    whole = simulate(p, seed=2, ticks=12)
    assert whole.summary["learning_exponent"] == simulate(p, seed=2, ticks=12, record=()).summary["learning_exponent"]
    assert math.isfinite(whole.summary["learning_exponent"])
    eco = Ecosystem(p, 2)
    for tick in range(12):
        eco = Ecosystem.restore(eco.snapshot()) if tick == 6 else eco
        eco.step()
    assert eco.recorder.series[-1][1]["learning_exponent"] == whole.summary["learning_exponent"]
    # Without curators planners find all.
    assert whole.summary["found_by_planners"] == whole.summary["found"] > 0
