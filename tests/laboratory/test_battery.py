"""Batteries: tasks in any process, findings against their null value, faults before anything runs."""

import math

import pandas as pd
import pytest

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.interventions import Shock
from mpbf_abm.laboratory.battery import Battery, Finding, Report, Setting, run_battery
from mpbf_abm.measures.estimates import Estimate, mean_estimate
from mpbf_abm.parameters import Parameters


def squares(setting, task):
    return (setting.seed + task) ** 2


def report(_, values):
    mean = mean_estimate(list(values.values()))
    return Report((Finding("mean square", mean, 0.0, len(values), ""),), {"squares": pd.DataFrame({"n": list(values), "square": list(values.values())})})  # fmt: skip


SQUARES = Battery("squares", "What are squares?", lambda s: list(range(s.replicates)), squares, report, fewest=3)


def test_a_report_is_the_same_in_any_number_of_processes():
    setting, told = Setting(Parameters(), seed=2, replicates=5), []
    one, two = run_battery(SQUARES, setting), run_battery(SQUARES, setting, 2, told.append)
    assert list(one.tables["squares"]["square"]) == [4, 9, 16, 25, 36]
    pd.testing.assert_frame_equal(one.tables["squares"], two.tables["squares"])
    assert one.findings == two.findings
    assert sum(told) == 5


def test_too_few_communities_and_nodes_that_do_not_exist_are_told_before_anything_runs():
    p = Parameters()
    lost = Shock(name="repository_outage", start=5, target=p.infrastructure.repositories)
    with pytest.raises(ConfigurationError) as error:
        run_battery(SQUARES, Setting(p, replicates=2, shocks=(lost,)))
    assert len(error.value.faults) == 2
    assert "replicates = 2: must be at least 3 for squares" in error.value.faults[0]


@pytest.mark.parametrize(
    ("low", "high", "null", "verdict"),
    [(1.0, 2.0, 0.0, "above"), (-2.0, -1.0, 0.0, "below"), (-1.0, 1.0, 0.0, "as null"), (1.0, 2.0, math.nan, "-"), (math.nan, 1.0, 0.0, "-")],
)  # fmt: skip
def test_a_finding_is_set_against_its_null(low, high, null, verdict):
    assert Finding("x", Estimate(0.5 * (low + high), 1.0, low, high), null, 4, "").verdict == verdict


def threads(setting, task):  # noqa: ARG001
    from threadpoolctl import threadpool_info

    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_linear_algebra_has_one_thread_in_this_process_as_in_any_other():
    watched = Battery("threads", "How many?", lambda s: list(range(s.replicates)), threads, lambda _, v: Report((), {"n": pd.DataFrame({"n": list(v.values())})}))  # fmt: skip
    assert all(n == {1} for n in run_battery(watched, Setting(Parameters(), replicates=2)).tables["n"]["n"])
