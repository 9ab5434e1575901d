"""One run of a study: the same numbers as the model alone gives, whatever is kept between runs."""

from __future__ import annotations

import json
import math
import pickle
from typing import Any

import numpy as np
import pytest
import toys
from communities import small_study

from mpbf_abm import MaterialsSpace, Policy, Shock, simulate
from mpbf_abm.model.run import OUTCOMES
from mpbf_abm.studies.definition import Arm, Branch, Outcome, StudyDefinition
from mpbf_abm.studies.jobs import (
    Failure,
    Job,
    Record,
    Runner,
    outcomes_hash,
    pack,
    resolve,
    run_values,
    unpack_outcomes,
    unpack_series,
)
from mpbf_abm.studies.plan import Plan

STUDY = small_study(
    ticks=12,
    policies=[
        Policy("exploration_floor", start=5, strength=0.9),
        Arm(label="both", policies=[Policy("audits", start=6)], shocks=[Shock("repository_outage", start=5, end=9)]),
    ],
    shocks=[Shock("poisoning", start=2, end=4)],
    series={"of": ("found_share", "leading_share", "novelty"), "every": 5},
    outcomes={
        "late": Outcome(of="families_d1", over="mean", start=4, end=9),
        "then": Outcome(of="found_share", at=3),
        "top": Outcome(of="leading_share", over="max"),
        "low": Outcome(of="records", over="min", start=2),
    },
)


def done(runner: Runner, job: Job) -> Record:
    result = runner(job)
    assert isinstance(result, Record), result
    return result


def test_a_run_gives_the_numbers_of_the_model_alone() -> None:
    plan, runner = Plan(STUDY), Runner(STUDY)
    for job in plan.jobs(0, 1):
        arm = STUDY.arms[job.arm]
        p = resolve(STUDY, run_values(STUDY, job.values, arm))
        alone = simulate(p, seed=job.seed, ticks=12, policies=arm.policies, shocks=(*STUDY.shocks, *arm.shocks))
        record = done(runner, job)
        outcomes = unpack_outcomes(record.outcomes)
        for name, value in alone.summary.items():
            assert outcomes[name] == value or (math.isnan(outcomes[name]) and math.isnan(value)), name
        series = alone.series.set_index("tick")
        assert outcomes["mean(families_d1)@4-9"] == pytest.approx(series["families_d1"][4:10].mean(), rel=1e-12)
        assert outcomes["found_share@3"] == series["found_share"][3]
        assert outcomes["min(records)@2-"] == series["records"][2:].min()
        kept = unpack_series(record.series or b"", 3)
        assert STUDY.series.ticks(12) == [4, 9, 11]
        assert np.array_equal(kept[:, [0, 2]], series.loc[[4, 9, 11], ["found_share", "novelty"]], equal_nan=True)
        assert kept[-1, 1] == outcomes["leading_share"]


def test_the_names_of_outcomes_are_known_before_a_run() -> None:
    assert set(simulate(resolve(STUDY, STUDY.fixed), seed=1, ticks=2).summary) == set(OUTCOMES)
    assert len(set(OUTCOMES)) == len(OUTCOMES)


def test_a_run_does_not_depend_on_the_runs_before_it() -> None:
    jobs = list(Plan(STUDY).jobs(0, 2))
    together, runner = {}, Runner(STUDY)
    for job in jobs:
        together[job.id] = done(runner, job)
    for job in reversed(jobs):
        assert done(Runner(STUDY), job) == together[job.id]
    assert done(pickle.loads(pickle.dumps(runner)), jobs[0]) == together[jobs[0].id]


def test_a_branch_of_own_histories_is_the_same_run_in_less_work() -> None:
    branched = STUDY.changed(branch=Branch(tick=5))
    for job, same in zip(Plan(STUDY).jobs(0, 1), Plan(branched).jobs(0, 1), strict=True):
        assert job.id == same.id
        assert done(Runner(STUDY), job) == done(Runner(branched), same)


def test_replicates_of_one_history_are_alike_before_the_branch_and_differ_after() -> None:
    study = STUDY.changed(branch=Branch(tick=5, history="one"), series={"of": ("families_d1", "records"), "every": 1})
    plan, runner = Plan(study), Runner(study)
    jobs = [j for j in plan.jobs(0, 3) if j.scenario == 0]
    assert len({j.history for j in jobs}) == 1
    series = {(j.arm, j.replicate): unpack_series(done(runner, j).series or b"", 2) for j in jobs}
    first = series[0, 0]
    for s in series.values():
        assert np.array_equal(s[:5], first[:5])
    assert len({s[5:].tobytes() for s in series.values()}) == len(series)
    other = next(j for j in plan.jobs(0, 1) if j.scenario == 1)
    assert other.history != jobs[0].history


def test_arms_that_start_with_other_parameters_differ_from_the_first_tick() -> None:
    study = small_study(policies=[Arm(label="one model", parameters={"trainers.count": 1})])
    plan = Plan(study)
    a, b = (unpack_outcomes(done(Runner(study), plan.job(0, arm, 0)).outcomes) for arm in (0, 1))
    assert a["models_gini"] != b["models_gini"]


def test_materials_that_all_runs_share_are_used() -> None:
    study = small_study(space={"synthetic": 3})
    plan = Plan.of(study)
    assert plan.space is not None
    space = MaterialsSpace.synthetic(resolve(study, study.fixed), seed=3)
    assert np.array_equal(plan.space.property, space.property)
    job = plan.job(0, 0, 1)
    alone = simulate(resolve(study, run_values(study, job.values, study.arms[0])), seed=job.seed, ticks=8, space=space)
    assert unpack_outcomes(done(Runner(study, plan.space), job).outcomes)["found_share"] == alone.summary["found_share"]


def test_a_run_that_raises_is_a_failure_with_its_stage() -> None:
    study = small_study(parameters={"planners.exploration": 0.1, "infrastructure.need": {"values": (1, 3)}})
    result = Runner(study)(Job("x", 1, 0, 0, 1, 0, (3,)))
    assert isinstance(result, Failure)
    assert (result.stage, result.type) == ("parameters", "ConfigurationError")
    assert "infrastructure.need = 3" in result.message
    assert "Traceback" in result.traceback


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        (({"y": 1.0}, None), "the study stores series, but the model returned none"),
        (({"y": 1.0}, np.zeros((3, 5))), r"series must have shape \(3, 2\)"),
        (({"y": 1.0}, np.zeros((1, 2))), r"series must have shape \(3, 2\)"),
        (({"z": 1.0}, np.zeros((3, 2))), "the model returned no outcome 'y'"),
        (({"y": "much"}, np.zeros((3, 2))), "a dict of numbers"),
    ],
)
def test_a_model_of_ones_own_that_returns_nonsense_fails_in_its_outcomes(returned: Any, told: str) -> None:
    study = StudyDefinition(
        name="x", model=lambda _: returned, outcomes={"y": Outcome()}, series={"of": ("a", "b")}, ticks=3
    )
    result = Runner(study)(Plan(study).job(0, 0, 0))
    assert isinstance(result, Failure)
    assert result.stage == "outcomes"
    with pytest.raises(AssertionError, match=told):
        raise AssertionError(result.message)


def test_a_model_of_ones_own_gets_what_it_needs() -> None:
    seen: list[Any] = []

    def model(run: Any) -> dict[str, float]:
        seen.append(run)
        return {"y": 1.0}

    study = StudyDefinition(
        name="x",
        model=model,
        parameters={"x": {"values": (1, 2)}, "c": 3.0},
        design={"kind": "grid"},
        replicates={"n": 1},
        policies=[Arm(label="p", parameters={"c": 4.0}, policies=[Policy("audits")])],
        ticks=9,
    )
    for job in Plan(study).jobs(0, 1):
        Runner(study)(job)
    assert {(r.values["x"], r.values["c"], r.arm, len(r.policies)) for r in seen} == {
        (1, 3.0, "baseline", 0),
        (2, 3.0, "baseline", 0),
        (1, 4.0, "p", 1),
        (2, 4.0, "p", 1),
    }
    assert {r.ticks for r in seen} == {9}
    assert len({r.seed for r in seen}) == 2


def test_records_keep_every_bit() -> None:
    values = {"b": 0.1 + 0.2, "a": float("nan"), "c": float("inf"), "d": -float("inf"), "e": 5e-324, "f": -0.0}
    series = np.array([[np.nan, 1e308], [-0.0, 0.1 + 0.2]])
    record = pack(values, series)
    back = unpack_outcomes(record.outcomes)
    assert list(back) == sorted(values)
    assert all(np.float64(back[k]).tobytes() == np.float64(v).tobytes() for k, v in values.items() if k != "a")
    assert math.isnan(back["a"])
    assert json.loads(record.outcomes)["a"] is None
    assert np.array_equal(unpack_series(record.series or b"", 2), series, equal_nan=True)
    assert outcomes_hash(back) == record.hash
    assert pack(values | {"b": 0.3}, series).hash != record.hash
    assert pack(values, np.nextafter(series, 2)).series_hash != record.series_hash
    assert toys.FAULTS


# --------------------------------------------------------------------------- what a model of the user returns


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (None, "the model must return a dict of numbers, not NoneType"),
        ([1.0], "the model must return a dict of numbers, not list"),
        ("text", "the model must return a dict of numbers, not str"),
        ({"y": None}, "the model must return a dict of numbers; 'y' is NoneType"),
        ({"y": "1.0"}, "the model must return a dict of numbers; 'y' is str"),
        ({"y": [1.0]}, "the model must return a dict of numbers; 'y' is list"),
        ({"z": 1.0}, "the model returned no outcome 'y'"),
    ],
)
def test_what_is_no_dict_of_numbers_is_a_failure_with_the_reason(value: Any, fault: str) -> None:
    assert one_run(value).message == fault


@pytest.mark.parametrize("value", [1, 1.5, True, np.float32(1), np.array(2.0), np.int8(3), math.nan, math.inf])
def test_numbers_of_any_kind_are_outcomes(value: Any) -> None:
    found = unpack_outcomes(one_run({"y": value}).outcomes)["y"]
    assert found == float(value) or math.isnan(float(value))


def one_run(value: Any) -> Any:
    """Result of a run whose model returns a value."""
    study = StudyDefinition(name="one", model=lambda _: value, ticks=2, outcomes={"y": {"better": "more"}})
    return Runner(study)(Plan(study).job(0, 0, 0))
