"""Batteries: tasks in any process, findings against their null value, faults before anything runs."""

import math
import os
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from mpbf_abm.cli.console import Bar
from mpbf_abm.errors import ConfigurationError, StoppedError
from mpbf_abm.evidence.assessments.assessment import Assessment, Finding, Report, Setting, run_assessment
from mpbf_abm.model.interventions import Policy
from mpbf_abm.model.shocks import Shock
from mpbf_abm.parameters import Parameters
from mpbf_abm.stats.estimates import Estimate, mean_estimate


def squares(setting, task):
    return (setting.seed + task) ** 2


def report(_, values):
    mean = mean_estimate(list(values.values()))
    return Report(
        (Finding("mean square", mean, 0.0, len(values), ""),),
        {"squares": pd.DataFrame({"n": list(values), "square": list(values.values())})},
    )


SQUARES = Assessment("squares", "What are squares?", lambda s: list(range(s.replicates)), squares, report, fewest=3)


def test_a_report_is_the_same_in_any_number_of_processes():
    setting, watch = Setting(Parameters.preset("single-default"), seed=2, replicates=5), Bar(quiet=True)
    one, two = run_assessment(SQUARES, setting), run_assessment(SQUARES, setting, 2, watch)
    assert list(one.tables["squares"]["square"]) == [4, 9, 16, 25, 36]
    pd.testing.assert_frame_equal(one.tables["squares"], two.tables["squares"])
    assert one.findings == two.findings
    assert (watch.done, watch.total) == (5, 5)


def test_a_value_that_is_kept_serves_any_number_of_communities_and_no_other_setting(tmp_path: Path):
    def made(setting: Setting) -> tuple[int, int]:
        watch = Bar(quiet=True)
        report = run_assessment(SQUARES, setting, 1, watch, tmp_path)
        assert list(report.tables["squares"]["square"]) == [(setting.seed + n) ** 2 for n in range(setting.replicates)]
        return watch.done, watch.known

    assert made(Setting(Parameters.preset("single-default"), replicates=5)) == (5, 0)
    assert made(Setting(Parameters.preset("single-default"), replicates=5)) == (0, 5)
    assert made(Setting(Parameters.preset("single-default"), replicates=8)) == (3, 5)
    for other in (
        Setting(Parameters.preset("single-default"), seed=2, replicates=5),
        Setting(Parameters.preset("single-default"), ticks=60, replicates=5),
        Setting(Parameters.preset("single-quick"), replicates=5),
        Setting(Parameters.preset("single-default"), policies=(Policy("audits", start=3),), replicates=5),
        Setting(Parameters.preset("single-default"), shocks=(Shock("funding_cut", start=3),), replicates=5),
    ):
        assert made(other) == (5, 0)


def cubes(setting, task):
    return (setting.seed + task) ** 3


def test_another_measure_is_another_question_in_the_same_folder(tmp_path: Path):
    setting = Setting(Parameters.preset("single-default"), replicates=3)
    run_assessment(SQUARES, setting, out=tmp_path)
    found = run_assessment(replace(SQUARES, measure=cubes), setting, out=tmp_path)
    assert list(found.tables["squares"]["square"]) == [1, 8, 27]


def of_their_number(setting, task):
    return setting.replicates + task


def test_no_value_depends_on_the_number_of_communities():
    found = run_assessment(
        replace(SQUARES, measure=of_their_number), Setting(Parameters.preset("single-default"), replicates=3)
    )
    assert list(found.tables["squares"]["square"]) == [0, 1, 2]


def test_a_setting_is_the_same_from_its_text():
    events = {
        "policies": (Policy("tide", set={"planners.exploration": 0.9}, start=10, end=30, fade=3),),
        "shocks": (Shock("repository_outage", start=5, target=1),),
    }
    for preset in ("default", "pool", "null"):
        setting = Setting(Parameters.preset(preset), 3, 0, 50, **events)
        assert repr(Setting.from_text(setting.to_text())) == repr(setting)


def picky(setting, task):  # noqa: ARG001
    if task == 1 and os.environ.get("PICKY"):
        raise ValueError("not this one")
    return task


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_task_that_fails_costs_itself_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: int):
    battery, setting, watch = (
        replace(SQUARES, measure=picky),
        Setting(Parameters.preset("single-default"), replicates=4),
        Bar(quiet=True),
    )
    monkeypatch.setenv("PICKY", "yes")
    with pytest.raises(
        StoppedError,
        match=r"^1 of 4 runs failed; the first: ValueError: not this one; finished runs are kept in .*runs, and",
    ):
        run_assessment(battery, setting, jobs, out=tmp_path)
    monkeypatch.delenv("PICKY")
    run_assessment(battery, setting, jobs, watch, tmp_path)
    assert (watch.done, watch.known) == (1, 3)


def test_too_few_communities_and_nodes_that_do_not_exist_are_told_before_anything_runs():
    p = Parameters.preset("single-default")
    lost = Shock(name="repository_outage", start=5, target=p.infrastructure.repositories)
    with pytest.raises(ConfigurationError) as error:
        run_assessment(SQUARES, Setting(p, replicates=2, shocks=(lost,)))
    assert len(error.value.faults) == 2
    assert "replicates = 2: must be at least 3 for squares" in error.value.faults[0]


@pytest.mark.parametrize(
    ("low", "high", "null", "verdict"),
    [
        (1.0, 2.0, 0.0, "above"),
        (-2.0, -1.0, 0.0, "below"),
        (-1.0, 1.0, 0.0, "as null"),
        (1.0, 2.0, math.nan, "-"),
        (math.nan, 1.0, 0.0, "-"),
    ],
)
def test_a_finding_is_set_against_its_null(low, high, null, verdict):
    assert Finding("x", Estimate(0.5 * (low + high), 1.0, low, high), null, 4, "").verdict == verdict


def threads(setting, task):  # noqa: ARG001
    from threadpoolctl import threadpool_info

    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_linear_algebra_has_one_thread_in_this_process_as_in_any_other():
    watched = Assessment(
        "threads",
        "How many?",
        lambda s: list(range(s.replicates)),
        threads,
        lambda _, v: Report((), {"n": pd.DataFrame({"n": list(v.values())})}),
    )
    assert all(
        set(n) == {1}
        for n in run_assessment(watched, Setting(Parameters.preset("single-default"), replicates=2)).tables["n"]["n"]
    )
