"""Runs and their ids: what they follow from, what they do not, and every check before running."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import toys
from communities import SMALL, small_study

from mpbf_abm import MaterialsSpace, Policy, Shock
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.studies.definition import Arm, Branch, Engine, Limits, Outcome, StudyDefinition
from mpbf_abm.studies.driver import run_study
from mpbf_abm.studies.plan import Plan, fingerprint_of
from mpbf_abm.studies.results import Results


def ids(study: StudyDefinition, replicates: int = 3, **plan: Any) -> set[str]:
    return {job.id for job in Plan(study, **plan).jobs(0, replicates)}


BASE = small_study()


def test_every_run_has_an_id_of_its_own() -> None:
    assert len(ids(BASE)) == 2 * 2 * 3
    assert ids(BASE) == ids(small_study())


@pytest.mark.parametrize(
    "change",
    [
        {"engine": Engine(workers=7)},
        {"limits": Limits(seconds=5.0, retries=0)},
        {"question": "Another one?"},
        {"name": "renamed"},
        {"outcomes": {"found_share": Outcome(better="less", above=0.3), "rmse": Outcome()}},
        {"branch": Branch(tick=2)},
        # What is noted.
        {"series": {"of": ("found_share",), "every": 3}},
        {"series": {"of": ("found_share", "families_d1"), "every": 2, "tables": ("families",)}},
        {"outcomes": {"late": Outcome(of="found_share", over="mean")}},
        {"policies": [Arm(label="renamed", policies=[Policy("exploration_floor", start=3, strength=0.9)])]},
    ],
)
def test_what_a_result_does_not_follow_from_is_no_part_of_an_id(change: dict[str, Any]) -> None:
    assert ids(small_study(**change)) == ids(BASE)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 2},
        {"ticks": 9},
        {"parameters": {"curators.qa": 0.3}},
        {"shocks": [Shock("poisoning", start=1)]},
        {"branch": Branch(tick=2, history="one")},
        {"crn": "all"},
        {"crn": "none"},
    ],
)
def test_what_a_result_follows_from_is_part_of_every_id(change: dict[str, Any]) -> None:
    assert not ids(small_study(**change)) & ids(BASE)


def test_models_of_ones_own_are_told_apart_by_all_that_is_bound_to_them() -> None:
    def prints(*models: Any) -> list[str]:
        return [fingerprint_of(StudyDefinition(name="o", model=model)) for model in models]

    one, other = prints(partial(toys.outcome, [1, 2], [3]), partial(toys.outcome, [1], [2, 3]))
    assert one != other
    one, other = prints(lambda run: {"y": run.seed}, lambda run: {"y": -run.seed})
    assert one != other


def test_materials_and_model_are_part_of_an_id() -> None:
    space = MaterialsSpace.synthetic(seed=1, materials=500, families=8)
    assert not ids(BASE, space=space) & ids(BASE)
    assert not ids(BASE, fingerprint="another") & ids(BASE)
    own = StudyDefinition(name="x", model=toys.outcome, parameters={"x": 1.0})
    assert not ids(own) & ids(own.changed(model=toys.logged))
    assert ids(own) != ids(own.changed(parameters={"x": 2.0}))


def test_whole_numbers_and_floats_of_one_value_are_one_run() -> None:
    a, b = (small_study(parameters={"planners.reinforcement": v}) for v in (2, 2.0))
    assert ids(a) == ids(b)


@pytest.mark.parametrize(
    ("larger", "kept"),
    [
        ({"replicates": {"n": 9}}, 12),
        ({"policies": [*BASE.policies, Policy("audits", start=2)]}, 12),
        ({"parameters": {"planners.exploration": {"values": (0.1, 0.3, 0.5, 0.7)}}}, 12),
        ({"parameters": {"curators.qa": {"values": (0.7, 0.9)}}}, 12),
        ({"policies": []}, 6),
    ],
)
def test_extending_a_study_keeps_its_runs(larger: dict[str, Any], kept: int) -> None:
    assert len(ids(small_study(**larger), 3) & ids(BASE)) == kept


@pytest.mark.parametrize(("kind", "n"), [("lhs", 6), ("sobol", 8), ("morris", 3), ("saltelli", 4)])
def test_extending_a_sampled_design_keeps_its_runs(kind: str, n: int) -> None:
    study = small_study(
        parameters={"planners.exploration": {"low": 0.0, "high": 0.9}, "curators.qa": {"low": 0.0, "high": 1.0}},
        design={"kind": kind, "n": n},
    )
    assert ids(study) <= ids(study.changed(design={"kind": kind, "n": 2 * n}))


def test_arms_of_a_scenario_share_their_draws_and_scenarios_do_not() -> None:
    plan = Plan(BASE)
    assert plan.seed(0, 0, 1) == plan.seed(0, 1, 1)
    assert len({plan.seed(s, 0, r) for s in range(2) for r in range(9)}) == 18
    every = Plan(small_study(crn="all"))
    assert every.seed(0, 0, 1) == every.seed(1, 1, 1) != every.seed(0, 0, 2)
    none = Plan(small_study(crn="none"))
    assert len({none.seed(s, a, 0) for s in range(2) for a in range(2)}) == 4


def test_rows_of_a_saltelli_block_share_no_draws_and_those_of_a_trajectory_do() -> None:
    factors = {"planners.exploration": {"low": 0.0, "high": 0.9}, "curators.qa": {"low": 0.0, "high": 1.0}}
    saltelli = Plan(small_study(parameters=factors, design={"kind": "saltelli", "n": 2}))
    assert len({saltelli.seed(s, 0, 0) for s in range(len(saltelli.scenarios))}) == len(saltelli.scenarios)
    morris = Plan(small_study(parameters=factors, design={"kind": "morris", "n": 2}))
    assert len({morris.seed(s, 0, 0) for s in range(3)}) == 1
    assert morris.seed(0, 0, 0) != morris.seed(3, 0, 0)


def test_runs_come_replicate_by_replicate_with_scenarios_shuffled_and_arms_together() -> None:
    study = small_study(parameters={"planners.exploration": {"low": 0.0, "high": 0.9}}, design={"kind": "lhs", "n": 20})
    jobs = list(Plan(study).jobs(0, 3))
    assert [j.replicate for j in jobs] == [0] * 40 + [1] * 40 + [2] * 40
    assert [j.arm for j in jobs] == [0, 1] * 60
    orders = [[j.scenario for j in jobs[40 * r : 40 * r + 40 : 2]] for r in range(3)]
    assert all(sorted(o) == list(range(20)) for o in orders)
    assert orders[0] != orders[1] != list(range(20))


def test_the_number_of_runs_is_exact() -> None:
    plan = Plan(BASE)
    assert plan.count() == len(list(plan.jobs(0, 3))) == 12
    adaptive = Plan(small_study(replicates={"most": 60}))
    assert (adaptive.count(), adaptive.count(60)) == (4 * 45, 4 * 60)


# --------------------------------------------------------------------------- checks


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"parameters": {"planners.explorat": 0.2}},
            "[parameters]: unknown parameter 'planners.explorat'; did you mean 'planners.exploration'?",
        ),
        ({"parameters": {"curators.qa": 2.0}}, "[parameters]: curators.qa = 2.0: must be 0 to 1"),
        (
            {"parameters": {"planners.exploration": {"low": 0.0, "high": 1.5}}, "design": {"kind": "lhs", "n": 2}},
            "planners.exploration = 1.5: must be 0 to 1",
        ),
        ({"parameters": {"planners.exploration": {"values": (0.1, "ucb")}}}, "planners.exploration = 'ucb'"),
        ({"parameters": {"gamma": {"values": (1.0, 2.0)}}}, "unknown parameter 'gamma'"),
        (
            {"parameters": {"curators.qa": 0.2, "q": {"values": (0.0, 1.0), "paths": ("curators.qa",)}}},
            "curators.qa is set by a value already",
        ),
        (
            {"parameters": {"q": {"values": (0.0, 1.0), "paths": ("planners.exploration",)}}},
            "planners.exploration is set by 'planners.exploration' already",
        ),
        (
            {"policies": [Arm(label="a", parameters={"planners.exploration": 0.2})]},
            "varies over scenarios and cannot be set by an arm",
        ),
        ({"policies": [Arm(label="a", parameters={"curators.q": 0.2})]}, "arm 'a': unknown parameter 'curators.q'"),
        ({"policies": [Arm(label="a")]}, "arm 'a': is the same as arm 'baseline'"),
        ({"policies": [Policy("audits", start=8)]}, "policy 'audits': start = 8 is not before the end"),
        ({"shocks": [Shock("poisoning", start=80)]}, "shock 'poisoning': start = 80"),
        ({"branch": Branch(tick=8)}, "[branch]: tick = 8 is not before the end"),
        ({"branch": Branch(tick=5)}, "policy 'exploration_floor' starts at 3, before the branch at 5"),
        (
            {"branch": Branch(tick=1), "policies": [Arm(label="a", parameters={"curators.qa": 0.1})]},
            "cannot branch from the baseline",
        ),
        (
            {"outcomes": {"found_shar": Outcome()}},
            "[outcome.found_shar]: unknown quantity 'found_shar'; did you mean 'found_share'?",
        ),
        ({"outcomes": {"x": Outcome(of="found_share", at=8)}}, "[outcome.x]: tick 8 is not before the end"),
        ({"outcomes": {"found_share": Outcome(primary=True)}}, "a primary outcome says what is better"),
        ({"series": {"of": ("found",)}}, ""),
        ({"series": {"of": ("fnd",)}}, "[series]: unknown quantity 'fnd'; did you mean 'found'?"),
        (
            {"replicates": {"most": 50}, "outcomes": {"found_share": Outcome(better="more", primary=True)}},
            "precision needs a primary outcome with smallest",
        ),
        ({"preset": "quik"}, "[study]: unknown preset 'quik'; did you mean 'quick'?"),
        ({"design": {"kind": "saltelli", "n": 4}, "crn": "all"}, "needs separate draws in each row"),
        ({"design": {"kind": "single"}}, "planners.exploration varies; say how"),
        ({"parameters": {"space.families": 900}}, "space.materials = 500: must be at least space.families = 900"),
        ({"parameters": {"planners.count": 600}}, "more than the space has materials"),
        ({"ticks": 400}, "more experiments than materials"),
        (
            {"policies": [Policy("own", set={"infrastructure.need": 3}, start=1)]},
            "arm 'own': infrastructure.need = 3: must not exceed infrastructure.providers = 2",
        ),
    ],
)
def test_faults_are_told_before_anything_runs(change: dict[str, Any], told: str) -> None:
    study = small_study(**change)
    if not told:
        Plan(study).check()
        return
    with pytest.raises(ConfigurationError) as caught:
        Plan(study).check()
    assert any(told in fault for fault in caught.value.faults), caught.value.faults


def test_all_faults_are_told_at_once() -> None:
    study = small_study(
        parameters={"curators.q": 1, "curators.qa": 7},
        policies=[Policy("audits", start=99)],
        outcomes={"fund": Outcome()},
        series={"of": ("x",)},
        preset="none",
    )
    with pytest.raises(ConfigurationError) as caught:
        Plan(study).check()
    assert len(caught.value.faults) == 6


def test_a_scenario_at_fault_is_named_with_its_values() -> None:
    study = small_study(
        parameters={"infrastructure.need": {"values": (1, 2)}, "infrastructure.providers": {"values": (1, 2)}}
    )
    with pytest.raises(
        ConfigurationError,
        match=r"scenario \d+ \(planners.exploration = 0.1, infrastructure.need = 2, infrastructure.providers = 1\)",
    ):
        Plan(study).check()


def test_what_may_not_be_meant_is_noted() -> None:
    study = small_study(
        parameters={"planners.exploration": {"low": 0.0, "high": 0.9}}, design={"kind": "sobol", "n": 6}
    )
    assert Plan(study).check() == ["[design]: n = 6: a Sobol sequence is balanced at powers of two"]
    assert Plan(BASE).check() == []


def test_a_model_of_ones_own_has_no_branches_and_no_materials() -> None:
    study = StudyDefinition(
        name="x", model=toys.outcome, branch=Branch(tick=3), space={"synthetic": 3}, outcomes={"y": Outcome(at=3)}
    )
    with pytest.raises(ConfigurationError) as caught:
        Plan(study).check()
    assert len(caught.value.faults) == 3


@pytest.mark.parametrize(
    ("change", "possible"),
    [
        ({}, {"compare", "robustness"}),
        ({"replicates": {"n": 1}}, {"robustness"}),
        ({"policies": []}, set()),
        (
            {"design": {"kind": "lhs", "n": 30}, "parameters": {"planners.exploration": {"low": 0.0, "high": 1.0}}},
            {"compare", "robustness", "discover"},
        ),
        (
            {"design": {"kind": "morris", "n": 5}, "parameters": {"planners.exploration": {"low": 0.0, "high": 1.0}}},
            {"sensitivity"},
        ),
    ],
)
def test_which_analyses_a_design_supports(change: dict[str, Any], possible: set[str]) -> None:
    supports = Plan(small_study(**change)).supports()
    assert {name for name, why in supports.items() if not why} == possible
    assert SMALL


def own(k: float) -> Any:
    return lambda _: {"y": k}


def powered(run: Any, k: float = 1.0) -> dict[str, float]:  # noqa: ARG001
    return {"y": k}


def test_models_of_ones_own_are_told_apart_by_what_is_bound_to_them() -> None:
    def prints(model: Any) -> str:
        return Plan(StudyDefinition(name="x", model=model)).fingerprint

    assert prints(own(1.0)) == prints(own(1.0)) != prints(own(2.0))
    assert prints(partial(powered, k=1.0)) == prints(partial(powered, k=1.0)) != prints(partial(powered, k=2.0))
    space: dict[str, Any] = {}
    codes = []
    for k in (1, 2, 2):
        exec(compile(f"def model(run):\n    return {{'y': {k}}}", "<nowhere>", "exec"), space)  # noqa: S102
        codes.append(prints(space["model"]))
    assert codes[0] != codes[1] == codes[2]
    with pytest.raises(ConfigurationError, match="cannot be distinguished from another one"):
        prints(partial(powered, k=object()))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (
            {"space": {"synthetic": 3}, "parameters": {"space.ruggedness": {"values": (1.0, 9.0)}}},
            "space.ruggedness has no effect where all runs share",
        ),
        (
            {"space": {"synthetic": 3}, "policies": [{"label": "a", "parameters": {"space.ruggedness": 9.0}}]},
            "space.ruggedness has no effect where all runs share",
        ),
        (
            {"parameters": {"seed": {"paths": ("planners.social",), "low": 0.0, "high": 0.5}}},
            "seed: is the name of a column",
        ),
        (
            {"parameters": {"found_share": {"paths": ("planners.social",), "low": 0.0, "high": 0.5}}},
            "found_share: is the name of an outcome",
        ),
        ({"crn": "none", "design": {"kind": "morris", "n": 2}}, "steps of a morris trajectory share their draws"),
        ({"design": {"kind": "lhs", "n": 4}, "replicates": {"most": 40}}, "more scenarios make them"),
        (
            {"parameters": {"planners.neighbours": {"low": 1.5, "high": 3.2}}},
            "ends of a range of whole numbers are whole",
        ),
    ],
)
def test_what_would_have_no_effect_or_mislead_is_refused(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(told)):
        Plan.of(small_study(**fields)).check()


def test_scenarios_that_are_one_are_refused() -> None:
    twice = {"a": {"paths": ("planners.social",), "values": (0.2, 0.3)}, "planners.exploration": {"values": (0, 0.5)}}
    assert Plan.of(small_study(parameters=twice)).check() == []
    with pytest.raises(ConfigurationError, match="listed twice"):
        small_study(parameters={"planners.social": {"values": (0, 0.0)}})


def test_shocks_at_nodes_that_do_not_exist_are_told_with_scenario_and_arm() -> None:
    lost = Arm(label="lost", shocks=[Shock("model_withdrawal", start=2, target=2)])
    with pytest.raises(
        ConfigurationError, match=r"arm 'lost': shock 'model_withdrawal': target = 2: must be from 0 to 1"
    ):
        Plan(small_study(policies=[lost])).check()


@pytest.mark.parametrize(
    "design",
    [{"kind": "lhs", "n": 40}, {"kind": "sobol", "n": 32}, {"kind": "morris", "n": 12}],
    ids=lambda d: d["kind"],
)
def test_samples_of_few_values_that_share_all_draws_have_an_id_for_each_run(
    tmp_path: Path, design: dict[str, Any]
) -> None:
    study = StudyDefinition(
        name="few",
        model=toys.outcome,
        crn="all",
        parameters={"x": {"values": (1.0, 2.0, 3.0)}, "z": {"low": 1.0, "high": 2.0, "whole": True}},
        ticks=4,
        policies=[{"label": "other", "parameters": {"shift": 1.0}}],
        design=design,
        replicates={"n": 2},
        outcomes={"y": {"better": "more"}},
    )
    plan = Plan(study)
    S = len(plan.scenarios)
    every = [plan.job(s, a, r).id for s in range(S) for a in range(2) for r in range(2)]
    assert len(set(every)) == len(every)
    assert len({plan.seed(s, a, 0) for s in range(S) for a in range(2)}) == 1
    # Rows that are no repetition have the ids that they always had.
    first = [plan.scenarios.values.index(v) for v in dict.fromkeys(plan.scenarios.values)]
    plain = Plan(study)
    plain.__dict__["_repeats"] = [0] * S
    assert [plan.job(s, 1, 1).id for s in first] == [plain.job(s, 1, 1).id for s in first]
    tally = run_study(study, tmp_path, workers=1)
    with Results.open(tmp_path, study) as results:
        assert tally.made == len(every)
        assert (results.status == 1).all()
    assert run_study(study, tmp_path, workers=1).made == 0
