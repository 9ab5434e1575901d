"""A run as data: one id wherever it is asked for, one check, one form as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from communities import SMALL
from hypothesis import given
from hypothesis import strategies as st
from rules import Contrary

from mpbf_abm import ConfigurationError, Ecosystem, MaterialsSpace, Parameters, Policy, RunSpec, Shock, Study, simulate
from mpbf_abm.errors import DataError
from mpbf_abm.model.interventions import POLICIES
from mpbf_abm.model.settings import read_settings
from mpbf_abm.model.shocks import SHOCKS
from mpbf_abm.model.spec import canonical, canonical_event, rules_fingerprint
from mpbf_abm.page.history import tasks_of
from mpbf_abm.page.scenario import from_address
from mpbf_abm.provenance import content_hash
from mpbf_abm.studies.files import read_study
from mpbf_abm.studies.whatif import WhatIf

P = Parameters.preset("single-quick").updated(SMALL)
SPEC = RunSpec(P, 3, 6, (Policy("audits", start=1),), (Shock("retraction_wave", start=2),))
# Of the form in which seeds and ids of stored runs were hashed: it never changes.
FORM_1 = {
    "single-default": "4094639a1fdb3409fb2d815e22ab06a4",
    "single-quick": "8cf68c34d718aeed92a162b00ee8c696",
    "single-faithful": "63fcf8683c3e899578835618e0c953ad",
    "null": "a1876c67bb0eb14f1c24a00f890cacad",
    "pool": "860edb0ee2f1f42920fe62897a59726f",
}


# --------------------------------------------------------------------------- identity


@pytest.mark.parametrize("preset", FORM_1)
def test_the_form_that_seeds_and_ids_are_hashed_from_is_frozen(preset: str) -> None:
    assert content_hash(canonical(Parameters.preset(preset))) == FORM_1[preset]


def test_events_in_that_form_are_frozen_with_their_usual_strength_written_out() -> None:
    assert canonical_event(Policy("audits", start=2)) == {
        "name": "audits",
        "start": 2,
        "end": None,
        "strength": 0.2,
        "ramp": 0,
        "fade": 0,
        "set": {},
    }
    assert canonical_event(Shock("poisoning")) == {
        "name": "poisoning",
        "start": 0,
        "end": None,
        "strength": 0.3,
        "target": "random",
    }
    assert SPEC.id == SPEC.changed(policies=(Policy("audits", start=1, strength=0.2),)).id


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 4},
        {"ticks": 7},
        {"parameters": P.updated({"planners.exploration": 0.41})},
        {"policies": ()},
        {"policies": (Policy("audits", start=2),)},
        {"shocks": ()},
        {"shocks": (Shock("retraction_wave", start=2, strength=0.1),)},
        {"reseed": {3: 9}},
        {"planners": (Contrary,)},
        {"space": MaterialsSpace.synthetic(P, seed=9)},
    ],
    ids=str,
)
def test_whatever_decides_the_course_of_a_run_is_in_its_id(change: dict[str, Any]) -> None:
    assert SPEC.changed(**change).id != SPEC.id
    assert SPEC.changed(**change).id == SPEC.changed(**change).id


def test_materials_are_told_apart_by_what_a_run_sees_of_them() -> None:
    one, other = (MaterialsSpace.synthetic(P, seed=s) for s in (1, 2))
    assert one.content == MaterialsSpace.synthetic(P, seed=1).content != other.content


def test_the_same_question_has_the_same_ids_at_every_door(tmp_path: Path) -> None:
    query = (
        "preset=single-quick&planners.exploration=0.5&policy=audits:start=3&shock=poisoning:start=4"
        "&ticks=8&replicates=2&seed=5"
    )
    scenario = from_address(query)
    (tmp_path / "run.toml").write_text(scenario.to_toml())
    (tmp_path / "study.toml").write_text(scenario.to_study())
    file = read_settings(tmp_path / "run.toml")
    plan = WhatIf(file.parameters, policies=file.policies, shocks=file.shocks, **file.numbers)
    page = {task.spec.id for task in tasks_of(scenario.plan).values()}
    command = {run["id"] for run in plan.record()["runs"]}
    studies = [read_study(tmp_path / name) for name in ("run.toml", "study.toml")]
    explorers = Parameters.preset("single-quick").updated({"planners.exploration": 0.5})
    by_hand = {
        RunSpec(explorers, s, 8, p, (Shock("poisoning", start=4),)).id
        for s in (5, 6)
        for p in ((), (Policy("audits", start=3),))
    }
    assert page == command == by_hand
    for study in studies:
        assert {job.id for job in Study._with(study, tmp_path).plan().jobs(0, 2)} == page
        assert study.replicates.seeds == (5, 6)


def test_a_branched_history_is_the_run_that_its_spec_says(tmp_path: Path) -> None:
    from mpbf_abm.studies.definition import Branch

    study = Study(
        name="b",
        preset="single-quick",
        parameters=SMALL,
        ticks=6,
        policies=[Policy("audits", start=3)],
        branch=Branch(tick=3, history="one"),
        replicates={"n": 2},
    )
    with study.run(tmp_path, workers=1) as results:
        from mpbf_abm.studies.jobs import Runner

        runner = Runner(study)
        for place in ((0, 0, 1), (0, 1, 0)):
            job = results.plan.job(*place)
            spec = runner.spec(job)
            assert spec.id == job.id
            assert list(spec.reseed) == [3]
            assert simulate(spec).summary["found_share"] == results.values("found_share")[place]


# --------------------------------------------------------------------------- running and checking


def test_a_spec_runs_as_its_parts_do() -> None:
    one = simulate(SPEC)
    other = simulate(P, seed=3, ticks=6, policies=SPEC.policies, shocks=SPEC.shocks)
    pd.testing.assert_frame_equal(one.series, other.series)
    assert one.spec.id == other.spec.id == one.provenance["run"]["id"]
    pd.testing.assert_frame_equal(one.replay().series, one.series)
    with pytest.raises(ConfigurationError, match=r"spec\.changed"):
        simulate(SPEC, seed=4)


def test_every_fault_of_a_run_is_said_at_once() -> None:
    spec = RunSpec(
        P.updated({"planners.experiments": 5.0}),
        1,
        400,
        (Policy("audits", start=400),),
        (Shock("repository_outage", start=500, target=99),),
    )
    with pytest.raises(ConfigurationError) as error:
        spec.check()
    told = "\n".join(error.value.faults)
    assert len(error.value.faults) == 4
    for word in ("target = 99", "start = 400", "start = 500", "more experiments than materials"):
        assert word in told
    for name in ("parameters", "policies", "shocks", "space", "rules", "reseed"):
        for value in (3, "x", [1]):
            with pytest.raises(ConfigurationError, match=f"^{name}: "):
                SPEC.changed(**{name: value}).check()
    for later in ({"a": 3}, {-1: 2}, {1.5: 3}):
        with pytest.raises(ConfigurationError, match="reseed"):
            SPEC.changed(reseed=later).check()
    for bad in ({"seed": -1}, {"ticks": 1.5}, {"planners": (int,)}, {"policies": ("audits",)}, {"reseed": {1: 2**70}}):
        with pytest.raises(ConfigurationError):
            SPEC.changed(**bad).check()


# --------------------------------------------------------------------------- as a file


events = st.tuples(
    st.lists(st.sampled_from(sorted(POLICIES)), max_size=2, unique=True),
    st.lists(st.sampled_from(sorted(SHOCKS)), max_size=2, unique=True),
)


@given(st.integers(0, 2**63 - 1), st.integers(1, 50), events, st.floats(0, 1), st.booleans())
def test_a_file_gives_the_same_run(seed: int, ticks: int, names: Any, share: float, later: bool) -> None:
    spec = RunSpec(
        P.updated({"planners.exploration": share, "founding.mass": (share, *[1.0] * 7)}),
        seed,
        ticks,
        tuple(Policy(n, start=1) for n in names[0]),
        tuple(Shock(n, start=2, strength=share) for n in names[1]),
        reseed={7: seed} if later else {},
    )
    again = RunSpec.from_toml(spec.to_toml())
    assert again == spec
    assert again.id == spec.id


def test_materials_of_several_properties_survive_a_file_and_are_all_sought(tmp_path: Path) -> None:
    pairs = [(a, b) for a in ("Li", "Na", "K", "Mg", "Ca", "Zn") for b in ("F", "Cl", "Br", "O", "S")]
    rows = [f"{a}{b},{i % 7},{i % 5},{i % 6}" for i, (a, b) in enumerate(pairs)]
    (tmp_path / "t.csv").write_text("formula,gap,pbe,modulus\n" + "\n".join(rows) + "\n")
    columns = {"measured": ["gap", "modulus"], "simulated": ["pbe", ""], "goal": ("max", "min"), "unit": ["eV", ""]}
    space = MaterialsSpace.from_table(tmp_path / "t.csv", formula="formula", **columns)
    p = P.updated({"founding.records": 4, "planners.repeats": True, "planners.count": 6})
    spec = RunSpec(p, 1, 2, space=space)
    again = RunSpec.from_toml(spec.to_toml(), folder=tmp_path)
    assert again.id == spec.id
    assert again.space.quantities == space.quantities
    assert set(Ecosystem(p, 1, space=space).world.planners.property) == {0, 1}
    spec.changed(parameters=p.updated({"space.properties": 2})).check()
    # Nobody who takes a preset of one property has asked for one.
    spec.changed(parameters=p.updated({"space.properties": 1})).check()
    with pytest.raises(ConfigurationError, match=r"space.properties = 3: the materials have 2; leave it out"):
        spec.changed(parameters=p.updated({"space.properties": 3})).check()


def test_policies_of_ones_own_and_rules_and_materials_survive_a_file(tmp_path: Path) -> None:
    rows = [
        f"{a}{b},{i % 7},{i % 5}"
        for i, (a, b) in enumerate((a, b) for a in ("Li", "Na", "K", "Mg") for b in ("F", "Cl", "Br", "O"))
    ]
    (tmp_path / "t.csv").write_text("formula,gap,pbe\n" + "\n".join(rows) + "\n")
    space = MaterialsSpace.from_table(tmp_path / "t.csv", formula="formula", measured="gap", simulated="pbe")
    own = Policy("own", set={"planners.kappa": 3.0}, start=1)
    spec = RunSpec(P, 1, 4, (own,), space=space, planners=(Contrary,))
    text = spec.to_toml()
    again = RunSpec.from_toml(text, folder=tmp_path, planners=[Contrary])
    assert again.id == spec.id
    with pytest.raises(ConfigurationError, match="rules:Contrary"):
        RunSpec.from_toml(text, folder=tmp_path)
    (tmp_path / "t.csv").write_text("formula,gap,pbe\n" + "\n".join(reversed(rows[1:])) + "\n")
    with pytest.raises(DataError, match="other materials"):
        RunSpec.from_toml(text, folder=tmp_path, planners=[Contrary])
    with pytest.raises(ConfigurationError, match="made in Python"):
        spec.changed(space=MaterialsSpace.synthetic(P, seed=1)).to_toml()
    with pytest.raises(ConfigurationError, match="not valid TOML"):
        RunSpec.from_toml("[run")
    for nonsense in (
        "run = 3",
        "rules = 3",
        "[run]\nreseed = 3",
        "[run]\nreseed = { a = 1 }",
        "[materials]\ntable = 't.csv'",
        "materials = 3",
        "[run]\nreplicates = 2",
        "[run]\nshocks_in_baseline = true",
        "[rules]\nplanners = 3",
    ):
        with pytest.raises(ConfigurationError):
            RunSpec.from_toml(nonsense, folder=tmp_path)
    whole, real = (Policy("own", set={"planners.exploration": v}, start=1) for v in (1, 1.0))
    assert RunSpec(P, 1, 4, (whole,)).id == RunSpec(P, 1, 4, (real,)).id
    taken = Policy("own", set={"planners.kappa": np.float64(0.5)}, start=1)
    assert RunSpec.from_toml(RunSpec(P, 1, 4, (taken,)).to_toml()).id == RunSpec(P, 1, 4, (taken,)).id


# --------------------------------------------------------------------------- rules of one's own


def test_rules_of_ones_own_work_in_studies_and_are_part_of_their_runs(tmp_path: Path) -> None:
    fields: dict[str, Any] = {
        "name": "rules",
        "preset": "single-quick",
        "parameters": SMALL,
        "ticks": 5,
        "replicates": {"n": 2},
    }
    plain, own = Study(**fields), Study(**fields, planners=[Contrary])
    assert not {j.id for j in plain.plan().jobs(0, 2)} & {j.id for j in own.plan().jobs(0, 2)}
    assert [j.seed for j in plain.plan().jobs(0, 2)] == [j.seed for j in own.plan().jobs(0, 2)]
    with own.run(tmp_path / "own", workers=2) as results:
        seed = results.plan.seed(0, 0, 1)
        alone = simulate(P, seed=seed, ticks=5, planners=Contrary)
        assert results.values("found_share")[0, 0, 1] == alone.summary["found_share"]
        assert results.values("families_d1")[0, 0, 1] == alone.summary["families_d1"]
        assert results.plan.job(0, 0, 1).id == alone.spec.id
    assert 'rules = ["rules:Contrary"]' in own.to_toml().replace("[\n    ", "[").replace(",\n]", "]")
    (tmp_path / "own.toml").write_text(own.to_toml())
    with pytest.raises(ConfigurationError, match="are given in Python"):
        Study.from_file(tmp_path / "own.toml").check()
    with pytest.raises(ConfigurationError, match="not a subclass"):
        Study(**fields, planners=[int])


def test_rules_that_are_made_by_a_function_are_told_apart() -> None:
    from mpbf_abm import ExperimentPlanner

    def make(rate: float) -> type:
        class Mine(ExperimentPlanner):
            def score(self, candidates: Any, mean: Any, sd: Any, scores: Any) -> Any:  # noqa: ARG002
                return rate * scores

        return Mine

    assert rules_fingerprint([make(0.0)]) == rules_fingerprint([make(0.0)]) != rules_fingerprint([make(3.0)])
    # What cannot be told from something else is run, and has no id.
    odd = type("Odd", (ExperimentPlanner,), {"thing": object(), "module": np})
    run = simulate(P, seed=1, ticks=1, planners=odd)
    assert run.provenance["run"]["id"] is None
    with pytest.raises(ConfigurationError, match="cannot be distinguished from another"):
        run.spec.id  # noqa: B018
    bound = [type("R", (ExperimentPlanner,), {"rate": rate}) for rate in (0, 3)]
    assert rules_fingerprint(bound[:1]) != rules_fingerprint(bound[1:])


def test_another_source_of_a_rule_is_another_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    monkeypatch.syspath_prepend(tmp_path)
    text = "from mpbf_abm import ExperimentPlanner\n\nclass Rule(ExperimentPlanner):\n    share = {}\n"
    prints = []
    for share in (1, 2):
        (tmp_path / f"rule_{share}.py").write_text(text.format(share))
        prints.append(rules_fingerprint([importlib.import_module(f"rule_{share}").Rule]))
    assert prints[0] != prints[1]
    assert rules_fingerprint([]) not in prints
    assert np.unique(prints).size == 2
