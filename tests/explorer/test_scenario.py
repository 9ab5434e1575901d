"""The page's state: form, address, file and command line say the same; a fault is one line at its control."""

from __future__ import annotations

import shlex
import tomllib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from questions import SMALL, WHAT_IF, scenario

from mpbf_abm.cli.options import Question
from mpbf_abm.model.interventions import POLICIES, Policy, parse_event
from mpbf_abm.model.settings import EVENTS, read_settings
from mpbf_abm.model.shocks import NODES, SHOCKS, Shock
from mpbf_abm.page import scenario as module
from mpbf_abm.page.layout import FIRST, form
from mpbf_abm.page.scenario import (
    EXAMPLES,
    MOST,
    MOST_TEXT,
    NUMBERS,
    Scenario,
    ScenarioError,
    event_fields,
    from_address,
    from_form,
    from_settings,
    from_toml,
    value_text,
)
from mpbf_abm.parameters import PATHS, Parameters, schema
from mpbf_abm.studies.files import parse_study
from mpbf_abm.studies.plan import Plan


def as_form(s: Scenario) -> dict[str, object]:
    """What the page sends when its controls show a scenario."""
    events: dict[str, dict[str, dict[str, str]]] = {"policy": {}, "shock": {}}
    for kind, event in s.events():
        events[kind][event.name] = {"end": ""} | {k: str(v) for k, v in event_fields(event).items() if k != "name"}
    return {
        "preset": s.preset,
        "values": {path: value_text(v) for path, v in s.changes.items()},
        "numbers": {name: str(getattr(s, name)) for name in NUMBERS},
        "shocks_in_baseline": s.shocks_in_baseline,
        **events,
    }


def lines(query: str) -> dict[str, str]:
    """Fault at each control."""
    with pytest.raises(ScenarioError) as caught:
        from_address(query).checked()
    return {fault.control: fault.line for fault in caught.value.placed}


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_can_be_run_and_told_in_every_way(name: str, tmp_path):
    s = from_address(EXAMPLES[name][0]).checked()
    assert EXAMPLES[name][1]
    assert from_address(s.address()) == s
    assert from_form(as_form(s)) == s
    assert from_toml(s.to_toml()) == s
    file = tmp_path / "s.toml"
    file.write_text(s.to_toml())
    assert from_settings(read_settings(file), s.preset) == s
    study = parse_study(tomllib.loads(s.to_study()))
    assert (study.ticks, study.seed, study.replicates.n) == (s.ticks, s.seed, s.replicates)
    assert dict(study.parameters) == dict(s.changes)
    assert len(study.arms) == len(s.plan.arms)


@pytest.mark.parametrize(
    "query",
    [SMALL, WHAT_IF, *(EXAMPLES[n][0] for n in ("The failure, with redundancy", "The largest repository fails"))],
)
def test_the_command_line_is_the_same_plan(query: str):
    s = scenario(query)
    words = shlex.split(s.command())[2:]
    alone = "--no-shocks-in-baseline" in words
    assert alone == (not s.shocks_in_baseline)
    if alone:
        words.remove("--no-shocks-in-baseline")
    options: dict[str, list[str]] = {}
    for name, value in zip(words[::2], words[1::2], strict=True):
        options.setdefault(name, []).append(value)
    policies, shocks = ([parse_event(t, EVENTS[k]) for t in options.get(f"--{k}", [])] for k in ("policy", "shock"))
    question = Question(
        preset=options.get("--preset", [None])[0],
        assignments=options.get("--set", []),
        policies=policies,
        shocks=shocks,
        shocks_in_baseline=False if alone else None,
        **{n: int(options[f"--{n}"][0]) for n in NUMBERS},
    )
    plan = question.plan()
    assert plan.record()["run_hash"] == s.plan.record()["run_hash"]
    # The study file makes the same runs, by their ids.
    study = Plan(parse_study(tomllib.loads(s.to_study())))
    ids = {(arm, i): s.plan.spec(arm, i).id for arm in s.plan.arms for i in range(s.replicates)}
    assert [study.job(0, a, i).id for a in range(len(s.plan.arms)) for i in range(s.replicates)] == [*ids.values()]


values = {
    "planners.exploration": st.floats(0, 1),
    "trainers.count": st.integers(0, 30),
    "trainers.objective": st.sampled_from(["masked", "none"]),
    "planners.repeats": st.booleans(),
    "founding.mass": st.floats(0.1, 50),
    "curators.modality_mix": st.tuples(*[st.floats(0.01, 1)] * 6),
    "planners.utility_gaps": st.lists(st.floats(-1, 1), max_size=3).map(tuple),
    "curators.reinforcement": st.floats(-1, 4),
}


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    preset=st.sampled_from(["default", "quick", "faithful", "single-quick", "null"]),
    changes=st.fixed_dictionaries({}, optional=values),
    policies=st.lists(st.sampled_from(sorted(POLICIES)), unique=True, max_size=3),
    shocks=st.lists(st.sampled_from(sorted(SHOCKS)), unique=True, max_size=2),
    start=st.integers(0, 40),
    strength=st.none() | st.floats(0, 1),
    seed=st.integers(0, 2**31),
    ramp=st.integers(0, 9),
    target=st.sampled_from(["random", "largest", "correlated"]),
)
def test_any_scenario_survives_address_form_and_file(
    preset, changes, policies, shocks, start, strength, seed, ramp, target
):
    base = Parameters.preset(preset).flat()
    s = Scenario(
        preset,
        {path: changes[path] for path in PATHS if path in changes and changes[path] != base[path]},
        tuple(Policy(p, start=start, strength=strength, ramp=ramp, end=start + 20, fade=2) for p in policies),
        tuple(Shock(k, start=start, strength=strength, **({"target": target} if k in NODES else {})) for k in shocks),
        seed=seed,
        replicates=2,
        shocks_in_baseline=bool(policies) or not shocks,
    )
    assert from_address(s.address()) == s
    assert from_form(as_form(s)) == s
    assert from_toml(s.to_toml()) == s


def test_faults_are_told_all_at_once_each_at_its_control():
    told = lines(
        "planners.reinforcement=9&trainers.objective=guess&ticks=0&seed=x&policy=exploration_floor:start=500&shock=poisoning:strength=2"
    )
    assert told["planners.reinforcement"] == "planners.reinforcement = 9: must be -1 to 4 (number)"
    assert told["ticks"] == "ticks = 0: must be a whole number from 1 to 1000"
    assert told["seed"] == "seed = 'x': must be a whole number from 0 to 2^63 - 1"
    assert "masked" in told["trainers.objective"]
    assert "strength" in told["shock:poisoning"]
    assert "not before the end" in lines("policy=exploration_floor:start=500")["policy:exploration_floor"]
    assert all("\n" not in line for line in told.values())


def test_faults_between_controls_stand_at_one_of_them():
    assert "space.families" in lines("founding.mass=1,2")["founding.mass"]
    assert "2 pairs" in lines("replicates=1&policy=audits")["replicates"]
    assert "needs a shock" in lines("policy=audits&shocks_in_baseline=false")["shocks_in_baseline"]
    assert "did you mean 'planners.count'" in lines("planers.count=3")[""]
    assert "given twice" in lines("policy=audits&policy=audits:start=3")["policy:audits"]


@pytest.mark.parametrize(
    ("query", "control"),
    [
        ("ticks=1001", "ticks"),
        ("ticks=5000000", "ticks"),
        ("replicates=65", "replicates"),
        ("planners.count=3000&planners.repeats=true", "planners.count"),
        ("space.materials=300000", "space.materials"),
        ("founding.records=200000", "founding.records"),
        ("ticks=900&replicates=64&planners.repeats=true", "replicates"),
        ("space.families=1000&ticks=200&replicates=64&planners.count=10&policy=audits", "space.families"),
    ],
)
def test_too_much_is_refused_with_the_reason_and_what_to_do_instead(query: str, control: str):
    (line,) = [fault for name, fault in lines(query).items() if name == control]
    assert "the page" in line
    assert "mpbf run" in line


def test_limits_leave_room_for_the_defaults():
    s = from_address("policy=audits&replicates=64")
    assert not s.faults()
    assert s.agents * s.ticks < module.MOST_AGENT_TICKS / 64 / 2
    assert Parameters.preset("single-default").space.materials < MOST["space.materials"]


@pytest.mark.parametrize(
    ("text", "line", "count"),
    [
        ("#" * (MOST_TEXT + 1), "larger than 256 kB", 1),
        ("a = __import__('os')", "not valid TOML", 1),
        (f"a = {'9' * 5000}", "more digits than any number that can be used", 1),
        ('[[policy]]\nname = "tide"\nset = {"planners.exploration" = 0.9}', "parameters of a policy", 1),
        ("[planners]\nexploration = 2\ncount = -1", "count = -1", 2),
    ],
)
def test_a_file_is_data_and_has_a_limit(text: str, line: str, count: int):
    with pytest.raises(ScenarioError) as caught:
        from_toml(text, "f.toml")
    assert line in caught.value.faults[0]
    assert len(caught.value.faults) == count


def test_an_address_has_a_limit_and_so_has_a_line_about_it():
    with pytest.raises(ScenarioError, match="longer"):
        from_address("x" * (MOST_TEXT + 1))
    digits = "9" * 5000
    told = lines(f"planners.exploration={digits}&ticks={digits}&seed={digits[:4000]}&policy=audits:start={digits}")
    assert set(told) == {"planners.exploration", "ticks", "seed", "policy:audits"}
    assert max(map(len, told.values())) < 120


def test_an_address_names_its_version_and_one_that_is_not_understood_is_no_scenario():
    s = scenario(WHAT_IF)
    assert s.address() == f"v=2&{s.address().removeprefix('v=2&')}"
    assert from_address(s.address().removeprefix("v=2&")) == s
    assert Scenario().address() == "v=2"
    # The presets of an earlier address have other names now.
    assert from_address("v=1&preset=quick&ticks=30") == from_address("v=2&preset=single-quick&ticks=30")
    assert from_address("v=1&ticks=30").preset == "single-default"
    assert from_address("v=1&preset=null").preset == "null"
    assert lines("v=3&ticks=3&a_later_switch=on") == {
        "": "v = '3': the address is of another version of this page, which reads version 2"
    }
    assert lines("ticsk=3&utm_source=x") == {"": "unknown entry 'ticsk' of the address; did you mean 'ticks'?"}
    assert from_address("ticks=3&tab=network", ["tab"]).ticks == 3


def test_what_can_be_used_of_an_address_with_a_fault_is_kept():
    with pytest.raises(ScenarioError) as caught:
        from_address("preset=single-quick&ticks=30&replicates=x&planners.exploration=NaN&policy=audits&policy=tide")
    assert caught.value.rest == from_address("preset=single-quick&ticks=30&policy=audits")


def test_a_number_is_one_however_it_is_typed_and_was_not_quoted():
    assert scenario("planners.exploration=.5&trainers.panel=08") == scenario(
        "planners.exploration=0.5&trainers.panel=8"
    )
    assert lines("planners.exploration=NaN")["planners.exploration"].endswith("= nan: must be 0 to 1 (number)")
    assert "without quotes" in lines("planners.exploration='0.3'")["planners.exploration"]


@pytest.mark.parametrize(
    "junk",
    [
        None,
        3,
        [],
        "a",
        {"numbers": {"ticks": [1]}},
        {"values": {"planners.exploration": {}}},
        {"policy": {"audits": {"start": []}}},
    ],
)
def test_a_form_may_hold_anything(junk: object):
    with pytest.raises(ScenarioError, match=r"."):
        from_form(junk)


@pytest.mark.parametrize("junk", [{}, {"values": 3}, {"policy": {"audits": 3}}, {"numbers": []}])
def test_parts_of_a_form_may_be_missing(junk: object):
    assert from_form(junk).checked().seed == 1


def test_the_form_has_a_control_for_every_parameter_policy_and_shock():
    page = str(form())
    for path in PATHS:
        assert page.count(f'data-path="{path}"') == 1
        assert f'data-fault="{path}"' in page
    for row in schema():
        assert str(row["help"]).split(";")[0].split("'")[0][:30] in page.replace("&amp;", "&")
    for kind, names in (("policy", POLICIES), ("shock", SHOCKS)):
        for name in names:
            assert f'data-switch="{kind}:{name}"' in page
    assert set(FIRST) <= set(PATHS)
