"""Policies and shocks as data: every kind constructs, ramps, ends; bad ones are told in one line."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from mpbf_abm import Ecosystem, Parameters, Policy, Shock, simulate
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.model.community import Community
from mpbf_abm.model.interventions import POLICIES, Lever, in_force, parse_event
from mpbf_abm.model.shocks import SHOCKS, hit_nodes, missing_nodes
from mpbf_abm.model.spec import RunSpec
from mpbf_abm.parameters import PATHS
from mpbf_abm.streams import Streams

BASE = Parameters.preset("single-default")
EVENTS = [(Policy, name) for name in POLICIES] + [(Shock, name) for name in SHOCKS]


def get(p: Parameters, path: str) -> Any:
    group, name = path.split(".")
    return getattr(getattr(p, group), name)


# --------------------------------------------------------------------------- every kind


@pytest.mark.parametrize(("kind", "name"), EVENTS)
def test_every_kind_constructs_by_its_name_alone(kind: Any, name: str) -> None:
    event = kind(name)
    assert (event.name, event.start, event.end, event.strength) == (name, 0, None, None)
    assert kind(name=name) == event == kind.model_validate({"name": name})
    catalogue = POLICIES if kind is Policy else SHOCKS
    assert 0 < catalogue[name].strength <= 1
    assert len(catalogue[name].help) > 10
    assert kind.model_validate(event.model_dump()) == event


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("strength", [0.01, 0.5, 1.0, None])
def test_every_policy_makes_valid_parameters_at_any_strength(name: str, strength: float | None) -> None:
    p = in_force(BASE, [Policy(name, strength=strength)], 0)
    assert Parameters.preset("single-default").updated(p.flat()) == p
    levers = {lever.path for lever in POLICIES[name].levers}
    assert levers <= set(PATHS)
    single = Parameters.preset("single-default").flat()
    assert {path for path, value in p.flat().items() if value != single[path]} <= levers


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_at_full_strength_reaches_its_targets(name: str) -> None:
    """From a baseline that is laxer everywhere."""
    lax = BASE.updated(
        {"trainers.scale_cap": 8.0, "trainers.reuse": 0.9, "stocks.lottery_share": 0.3, "curators.qa": 0.1}
    )
    lax = lax.updated({"coupling.uncertainty_ral_isl": 0.2, "coupling.uncertainty_dal_ral": 0.2})
    p = in_force(lax, [Policy(name, strength=1.0)], 0)
    for lever in POLICIES[name].levers:
        assert get(p, lever.path) == lever.target
    assert p != lax


def test_all_policies_together_are_valid() -> None:
    p = in_force(BASE, [Policy(name) for name in POLICIES], 3)
    assert Parameters.preset("single-default").updated(p.flat()) == p
    assert len(p.changed()) > 12


def test_redundancy_never_asks_for_more_links_than_allowed() -> None:
    most = BASE.replace("infrastructure.providers", 50)
    assert in_force(most, [Policy("redundancy")], 0).infrastructure.providers == 50
    assert in_force(BASE, [Policy("redundancy")], 0).infrastructure.providers == 3


def test_one_policy_builds_on_another() -> None:
    both = [Policy("equal_funding"), Policy("funding_lottery", strength=0.4)]
    p = in_force(BASE, both, 0)
    assert (p.stocks.merit_share, p.stocks.lottery_share) == (0.0, 0.4)


# --------------------------------------------------------------------------- time


def test_a_policy_is_in_force_from_start_to_before_end() -> None:
    policy = Policy("audits", start=3, end=6, strength=0.5)
    assert [policy.at(t) for t in range(8)] == [0, 0, 0, 0.5, 0.5, 0.5, 0, 0]
    assert Policy("audits", start=3).at(10**6) == POLICIES["audits"].strength


def test_a_policy_ramps_up_in_equal_steps() -> None:
    policy = Policy("audits", start=2, ramp=4, strength=0.8)
    np.testing.assert_allclose([policy.at(t) for t in range(8)], [0, 0, 0.2, 0.4, 0.6, 0.8, 0.8, 0.8])
    assert Policy("audits", start=2, ramp=1, strength=0.8).at(2) == 0.8


def test_a_policy_may_end_before_its_ramp_does() -> None:
    policy = Policy("audits", start=0, end=2, ramp=10, strength=1.0)
    np.testing.assert_allclose([policy.at(t) for t in range(4)], [0.1, 0.2, 0, 0])


def test_a_shock_lasts_one_tick_or_until_its_end() -> None:
    assert [Shock("poisoning", start=2).active(t) for t in range(5)] == [False, False, True, False, False]
    assert [Shock("poisoning", start=2, end=4).active(t) for t in range(5)] == [False, False, True, True, False]
    assert Shock("poisoning").force == SHOCKS["poisoning"].strength
    assert Shock("poisoning", strength=0.0).force == 0.0


def test_an_outage_without_end_is_never_repaired() -> None:
    shocks = [Shock("repository_outage", start=1, end=2, target=0), Shock("repository_outage", start=1, target=1)]
    assert run(4, shocks=shocks, **{"stocks.repair": 1.0}).commons.down.tolist() == [False, True, False, False]


@pytest.mark.parametrize(
    ("policies", "tick"),
    [([], 0), ([Policy("audits", start=5)], 4), ([Policy("audits", end=5)], 5), ([Policy("audits", strength=0.0)], 0)],
)
def test_parameters_are_the_same_object_while_no_policy_is_in_force(policies: list[Policy], tick: int) -> None:
    assert in_force(BASE, policies, tick) is BASE


# --------------------------------------------------------------------------- levers


@pytest.mark.parametrize(
    ("mode", "target", "base", "expected"),
    [
        ("set", 0.0, 0.8, [0.8, 0.4, 0.0]),
        ("set", 1.0, 0.8, [0.8, 0.9, 1.0]),
        ("floor", 1.0, 0.2, [0.2, 0.5, 1.0]),
        ("floor", 1.0, 0.7, [0.7, 0.7, 1.0]),  # the baseline is stricter until the floor passes it
        ("floor", 0.5, 0.9, [0.9, 0.9, 0.9]),
        ("cap", 0.0, 0.8, [0.8, 0.4, 0.0]),
        ("cap", 0.5, 8.0, [8.0, 4.25, 0.5]),
        ("cap", 0.5, 0.25, [0.25, 0.25, 0.25]),  # the baseline is stricter than the cap
    ],
)
def test_levers_set_floor_and_cap(mode: Any, target: float, base: float, expected: list[float]) -> None:
    lever = Lever("planners.social", target, mode)
    assert [lever.value(base, s) for s in (0.0, 0.5, 1.0)] == pytest.approx(expected)


def test_levers_keep_the_kind_of_a_parameter() -> None:
    assert Lever("infrastructure.providers", 4, "floor").value(1, 0.6) == 2
    assert type(Lever("infrastructure.providers", 4, "floor").value(1, 0.6)) is int
    assert Lever("planners.acquisition", "ucb").value("greedy", 0.01) == "ucb"
    assert Lever("planners.acquisition", "ucb").value("greedy", 0.0) == "greedy"
    assert Lever("planners.repeats", True).value(False, 1.0) is True


@pytest.mark.parametrize(
    "name", [name for name, kind in POLICIES.items() if any(lv.mode != "set" for lv in kind.levers)]
)
@pytest.mark.parametrize("strength", [0.2, 1.0])
def test_floors_and_caps_never_loosen_a_stricter_baseline(name: str, strength: float) -> None:
    for lever in POLICIES[name].levers:
        if lever.mode == "set" or isinstance(lever.target, str):
            continue
        strict = max(lever.target, 1) if lever.mode == "floor" else lever.target / 2
        base = BASE.replace(lever.path, strict)
        assert get(in_force(base, [Policy(name, strength=strength)], 0), lever.path) == strict


# --------------------------------------------------------------------------- bad events


@pytest.mark.parametrize(
    ("kind", "wrong", "meant"),
    [
        (Policy, "audit", "audits"),
        (Policy, "explorationfloor", "exploration_floor"),
        (Shock, "repository_outtage", "repository_outage"),
    ],
)
def test_an_unknown_name_brings_a_suggestion_and_the_list(kind: Any, wrong: str, meant: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        kind(wrong)
    (fault,) = caught.value.faults
    noun = kind.__name__.lower()
    assert fault.startswith(f"{noun}: unknown {noun} '{wrong}'; did you mean '{meant}'?")
    assert all(name in fault for name in (POLICIES if kind is Policy else SHOCKS))


def test_every_shock_has_its_act_and_says_what_it_does() -> None:
    for name, kind in SHOCKS.items():
        assert kind.act.__name__ == name
        assert (kind.act.__doc__ or "").split("\n")[0] == f"{kind.help}."


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"set": {"planners.exploration": 2.0}}, "policy 'own': set: planners.exploration = 2.0: must be 0 to 1"),
        ({"set": {"planners.exploratoin": 0.2}}, "set: unknown parameter 'planners.exploratoin'; did you mean"),
        ({"set": {"space.materials": 10}}, "set: space.materials acts at founding only"),
        ({"set": {"planners.exploration": "0.2"}}, "write the number without quotes"),
        ({"set": {"planners.exploration": 0.2}, "fade": 3}, "fade = 3 needs an end"),
        ({"set": {}}, "unknown policy 'own'"),
    ],
)
def test_a_policy_of_ones_own_is_checked(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Policy("own", **fields)
    (fault,) = caught.value.faults
    assert told in fault


def test_a_policy_of_ones_own_may_not_take_a_name_of_the_list() -> None:
    with pytest.raises(ConfigurationError, match="is one of the list"):
        Policy("audits", set={"curators.qa": 1.0})


def test_a_policy_may_rise_and_fall() -> None:
    policy = Policy("tide", set={"planners.exploration": 0.9}, start=10, end=30, ramp=10, fade=10)
    assert [policy.at(t) for t in (9, 10, 14, 19, 20, 25, 29, 30)] == [0, 0.1, 0.5, 1, 1, 0.5, 0.1, 0]
    base = Parameters.preset("single-default").replace("planners.exploration", 0.1)
    assert in_force(base, [policy], 14).planners.exploration == pytest.approx(0.5)


def test_a_vector_moves_entry_by_entry() -> None:
    mix = (0.0, 0.0, 1.0, 0.0, 0.0, 0.0)
    policy = Policy("own", set={"curators.modality_mix": mix}, strength=0.5)
    before = Parameters.preset("single-default").curators.modality_mix
    moved = in_force(Parameters.preset("single-default"), [policy], 0).curators.modality_mix
    assert moved == pytest.approx([0.5 * (a + b) for a, b in zip(before, mix, strict=True)])


def test_policies_are_not_shocks() -> None:
    with pytest.raises(ConfigurationError, match="unknown policy 'poisoning'"):
        Policy("poisoning")
    with pytest.raises(ConfigurationError, match="unknown shock 'audits'"):
        Shock("audits")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"strength": 1.01}, "policy 'audits': strength = 1.01: "),
        ({"strength": -0.01}, "policy 'audits': strength = -0.01: "),
        ({"strength": float("nan")}, "policy 'audits': strength = nan: "),
        ({"strength": "strong"}, "policy 'audits': strength = 'strong': "),
        ({"start": -1}, "policy 'audits': start = -1: "),
        ({"start": 1.5}, "policy 'audits': start = 1.5: "),
        ({"end": -2}, "policy 'audits': end = -2: "),
        ({"ramp": -1}, "policy 'audits': ramp = -1: "),
        ({"strenght": 0.5}, "unknown field 'strenght'; did you mean 'strength'?"),
        ({"target": "largest"}, "unknown field 'target'"),
        ({"start": 5, "end": 5}, "policy 'audits': end = 5 must be after start = 5"),
        ({"start": 5, "end": 2}, "policy 'audits': end = 2 must be after start = 5"),
    ],
)
def test_bad_fields_are_told_in_one_line(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Policy("audits", **fields)
    (fault,) = caught.value.faults
    assert told in fault
    assert "\n" not in fault


def test_all_faults_of_an_event_are_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Shock("flood", start=-1, strength=2, target="biggest", ramp=3)
    assert len(caught.value.faults) == 5


def test_an_event_needs_a_name() -> None:
    with pytest.raises(ConfigurationError, match="policy: name is missing"):
        Policy()


@pytest.mark.parametrize("target", ["random", "largest", "correlated", 0, 7])
def test_a_shock_may_be_aimed(target: Any) -> None:
    shock = Shock("repository_outage", target=target)
    assert shock.target == target
    assert Shock.model_validate(shock.model_dump()) == shock


@pytest.mark.parametrize("target", ["biggest", "3", -1, 1.0, True, None])
def test_a_target_is_one_of_the_ways_or_a_number(target: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Shock("model_withdrawal", target=target)
    words = "must be random, largest, correlated, or the number of a node from 0"
    assert caught.value.faults == [f"shock 'model_withdrawal': target = {target!r}: {words}"]


def test_a_number_is_one_node_of_those_that_there_are() -> None:
    for fields, told in (
        ({"kind": "poisoning"}, "target = 3: hits no nodes, only repository_outage, model_withdrawal, .* do"),
        ({"kind": "repository_outage", "strength": 0.5}, "target = 3 is one node; it cannot have a strength"),
    ):
        with pytest.raises(ConfigurationError, match=told) as caught:
            Shock(fields.pop("kind"), target=3, **fields)
        assert len(caught.value.faults) == 1
    p = Parameters.preset("single-default").updated(SMALL)
    shocks = [
        Shock("repository_outage", target=4),
        Shock("model_withdrawal", target=1),
        Shock("model_withdrawal", target=2),
    ]
    faults = [
        "shock 'repository_outage': target = 4: must be from 0 to 3 (infrastructure.repositories = 4)",
        "shock 'model_withdrawal': target = 2: must be from 0 to 1 (trainers.count = 2)",
    ]
    assert missing_nodes(shocks, p) == faults
    assert missing_nodes([Shock("model_withdrawal", target=0)], p.replace("trainers.count", 0)) == [
        "shock 'model_withdrawal': target = 0: there is no node (trainers.count = 0)"
    ]
    eco = Ecosystem(p, 1, record=())
    for start in (lambda: Ecosystem(p, 1, shocks=shocks), lambda: Ecosystem.restore(eco.snapshot(), shocks=shocks)):
        with pytest.raises(ConfigurationError) as caught:
            start()
        assert caught.value.faults == faults
    eco.release()


def test_events_are_frozen() -> None:
    policy = Policy("audits")
    with pytest.raises(ValidationError, match="frozen"):
        policy.start = 3


# --------------------------------------------------------------------------- command line


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("audits", Policy, Policy("audits")),
        ("audits:start=12,strength=0.5", Policy, Policy("audits", start=12, strength=0.5)),
        (" audits : start = 12 , ramp = 3 ", Policy, Policy("audits", start=12, ramp=3)),
        ("audits:", Policy, Policy("audits")),
        ("audits:strength=1", Policy, Policy("audits", strength=1.0)),
        ("poisoning:start=3,end=5", Shock, Shock("poisoning", start=3, end=5)),
        ("repository_outage:target=largest", Shock, Shock("repository_outage", target="largest")),
        ("repository_outage:start=9,target=3", Shock, Shock("repository_outage", start=9, target=3)),
    ],
)
def test_events_of_the_command_line_are_parsed(text: str, kind: Any, expected: Any) -> None:
    assert parse_event(text, kind) == expected


@pytest.mark.parametrize(
    "text",
    [
        "audits:start",
        "audits:start=x",
        "audits:strength=nan",
        "audits:bogus=1",
        "flood",
        "",
        ":start=1",
        "audits:start=1.5",
        "audits:name=audits",
        "audits:=3",
        "audits:self=1",
    ],
)
def test_bad_events_of_the_command_line_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_event(text, Policy)
    assert all("\n" not in fault for fault in caught.value.faults)


# --------------------------------------------------------------------------- whom a shock hits


def hit(target: Any, strength: float | None, n: int = 10, seed: int = 0, start: int = 4) -> list[int]:
    world: Any = SimpleNamespace(streams=Streams(seed))
    load = np.array([0, 5, 1, 5, 2, 0, 0, 9, 0, 0], float)[:n]
    likeness = np.array([1, 50, 2, 51, 3, 52, 4, 53, 5, 54], float)[:n]
    shock = Shock("repository_outage", start=start, strength=strength, target=target)
    return hit_nodes(world, shock, n, load, likeness).tolist()


@pytest.mark.parametrize("target", ["random", "largest", "correlated"])
@pytest.mark.parametrize(("strength", "count"), [(0.0, 1), (0.1, 1), (0.34, 3), (1.0, 10)])
def test_a_shock_hits_its_share_and_at_least_one(target: str, strength: float, count: int) -> None:
    nodes = hit(target, strength)
    assert len(set(nodes)) == len(nodes) == count


def test_a_targeted_shock_hits_those_most_leaned_on() -> None:
    assert hit("largest", 0.1) == [7]
    assert set(hit("largest", 0.3)) == {7, 1, 3}


def test_a_correlated_shock_hits_nodes_that_are_alike() -> None:
    for seed in range(20):
        assert len({node % 2 for node in hit("correlated", 0.5, seed=seed)}) == 1


def test_a_numbered_shock_hits_that_node() -> None:
    assert [hit(node, None) for node in range(10)] == [[node] for node in range(10)]


def test_a_random_shock_hits_everyone_alike() -> None:
    n = 3_000
    first = np.bincount([hit("random", 0.1, seed=seed)[0] for seed in range(n)], minlength=10) / n
    assert np.all(np.abs(first - 0.1) < 4.5 * np.sqrt(0.09 / n))


# --------------------------------------------------------------------------- in a run

SMALL = {
    "space.materials": 300,
    "space.families": 4,
    "founding.records": 80,
    "trainers.count": 2,
    "trainers.features": 16,
    "trainers.retrain_interval": 4,
    "curators.count": 2,
    "planners.count": 4,
    "infrastructure.repositories": 4,
    "trainers.panel": 4,
}


def run(ticks: int, policies: Any = (), shocks: Any = (), **changes: Any) -> Any:
    eco = Ecosystem(
        Parameters.preset("single-default").updated({**SMALL, **changes}),
        2,
        policies=policies,
        shocks=shocks,
        record=(),
    )
    for _ in range(ticks):
        eco.step()
    eco.release()
    return eco.world


def history(world: Any, before: int) -> tuple[bytes, ...]:
    rows = world.commons.tick < before
    return tuple(getattr(world.commons, name)[rows].tobytes() for name in ("key", "material", "value", "variance"))


@pytest.mark.parametrize(("kind", "name"), EVENTS)
def test_every_kind_runs_and_changes_nothing_before_its_start(kind: Any, name: str) -> None:
    event = kind(name, start=5, end=8)
    changes = {"infrastructure.service": "host"} if name == "host_outage" else {}
    arm = run(8, **{"policies" if kind is Policy else "shocks": [event]}, **changes)
    same = run(5, **changes)
    assert arm.tick == 8
    if name not in ("poisoning", "retraction_wave"):
        assert history(arm, 5) == history(same, 5)
    early = run(5, **{"policies" if kind is Policy else "shocks": [event]}, **changes)
    assert history(early, 5) == history(same, 5)
    assert early.p is early.base


def test_a_policy_that_has_ended_leaves_the_parameters_as_they_were() -> None:
    world = run(6, policies=[Policy("invariance_standard", start=1, end=4), Policy("redundancy", start=2, end=4)])
    assert world.p is world.base
    np.testing.assert_allclose(world.trainers.invariance, world.base.trainers.invariance)
    assert world.infrastructure.providers == world.base.infrastructure.providers


def test_poisoned_records_are_shifted_by_about_two() -> None:
    arm, base = (
        run(1, shocks=[Shock("poisoning", strength=0.5)], **{"founding.records": 2_000}),
        run(1, **{"founding.records": 2_000}),
    )
    spoiled = arm.commons.corrupted[:2_000] & ~base.commons.corrupted[:2_000]
    shift = (arm.commons.value[:2_000] - base.commons.value[:2_000]).astype(np.float64)
    assert abs(np.mean(shift != 0) - 0.5) < 4.5 * np.sqrt(0.25 / 2_000)
    assert not shift[~arm.commons.corrupted[:2_000]].any()
    moved = shift[spoiled]
    assert abs(moved.mean() - 2) < 4.5 * 0.5 / np.sqrt(len(moved))
    assert moved.std() == pytest.approx(0.5, rel=4.5 / np.sqrt(2 * len(moved)))


def test_a_retraction_wave_takes_its_share() -> None:
    world = run(1, shocks=[Shock("retraction_wave", strength=0.4)], **{"founding.records": 2_000})
    gone = world.commons.retracted[:2_000]
    assert abs(gone.mean() - 0.4) < 4.5 * np.sqrt(0.24 / 2_000)
    assert not world.commons.alive[:2_000][gone].any()


def test_a_funding_cut_lasts_until_its_end_and_adds_to_policies() -> None:
    cut = [Shock("funding_cut", start=2, end=4, strength=0.25)]
    eco = Ecosystem(
        Parameters.preset("single-default").updated(SMALL), 2, policies=[Policy("audits")], shocks=cut, record=()
    )
    seen = []
    for _ in range(6):
        eco.step()
        seen.append((eco.world.p.stocks.funding, eco.world.p.curators.audit_rate))
    eco.release()
    assert seen == [(1.0, 0.2), (1.0, 0.2), (0.75, 0.2), (0.75, 0.2), (1.0, 0.2), (1.0, 0.2)]


def test_a_functional_revision_keeps_the_size_of_the_bias() -> None:
    world, base = run(1, shocks=[Shock("functional_revision")]), run(1)
    old = base.truth.simulated - base.truth.property
    new = world.truth.simulated - world.truth.property
    np.testing.assert_allclose(np.sort(new), np.sort(old), atol=1e-4)
    inner = [np.corrcoef(old[world.space.family == k], new[world.space.family == k])[0, 1] for k in range(2)]
    assert np.max(np.abs(inner)) < 4.5 / np.sqrt(world.space.family_sizes[:2].min())
    np.testing.assert_array_equal(world.truth.property, base.truth.property)


def test_an_objective_shift_turns_the_property_toward_the_other_one() -> None:
    world = run(1, shocks=[Shock("objective_shift", strength=1.0)])
    np.testing.assert_allclose(world.truth.property, world.space.proxy, atol=1e-3)
    assert world.truth.top.sum() == world.space.top.sum()
    assert world.space.feasible[world.truth.top].all()


def test_outages_last_at_least_until_their_end() -> None:
    shock = Shock("repository_outage", start=1, end=4, strength=0.5, target="largest")
    eco = Ecosystem(
        Parameters.preset("single-default").updated({**SMALL, "stocks.repair": 1.0}), 2, shocks=[shock], record=()
    )
    down = []
    for _ in range(6):
        eco.step()
        down.append(int(eco.world.infrastructure.down_repositories.sum()))
    eco.release()
    assert down == [0, 2, 2, 2, 0, 0]


def test_a_numbered_node_is_lost_for_good() -> None:
    shocks = [Shock("repository_outage", start=2, target=3), Shock("model_withdrawal", start=3, end=5, target=1)]
    eco = Ecosystem(
        Parameters.preset("single-default").updated({**SMALL, "stocks.repair": 1.0}), 2, shocks=shocks, record=()
    )
    down = []
    for _ in range(7):
        eco.step()
        nodes = eco.world.infrastructure
        down.append((np.flatnonzero(nodes.down_repositories).tolist(), np.flatnonzero(nodes.down_models).tolist()))
    eco.release()
    assert down == [([], []), ([], []), ([3], []), ([3], [1]), ([3], [1]), ([3], []), ([3], [])]


# --------------------------------------------------------------------------- what cannot be in a run


def test_what_a_run_would_stop_at_is_refused_before_its_first_tick() -> None:
    p = Parameters.preset("null").updated({"space.materials": 2, "space.families": 1, "founding.records": 0})
    needy, shift = Policy("needy", set={"infrastructure.need": 11}, start=2), Shock("objective_shift", strength=1.0)
    for events, told in (({"policies": [needy]}, "must not exceed"), ({"shocks": [shift]}, "at least 3 are needed")):
        with pytest.raises(ConfigurationError, match=told):
            Community(p, 1, **events)
        with pytest.raises(ConfigurationError, match=told):
            RunSpec(p, 1, 4, **{kind: tuple(made) for kind, made in events.items()}).check()


def test_scales_have_a_least_value_that_arithmetic_can_take() -> None:
    gaussian = {"trainers.head": "gaussian_process", "trainers.labels": "simulated", "trainers.scale": 60}
    small = {"space.materials": 300, "founding.records": 100, "planners.count": 3, "trainers.scale_cap": 64}
    tiny, moved = {"trainers.length_scale": 1e-12}, Policy("tiny", set={"trainers.overconfidence": 1e-4})
    for p, events in (
        (Parameters.preset("single-quick").updated(tiny), ()),
        (Parameters.preset("single-quick"), (moved,)),
    ):
        for made in (lambda p, e: Community(p, 1, policies=e), lambda p, e: RunSpec(p, 1, 4, e).check()):
            with pytest.raises(ConfigurationError, match=r"trainers\.\w+ = \S+e-\d+: must be 0\.001 to 10"):
                made(p, events)
    least = Parameters.preset("single-quick").updated(gaussian | small | {"trainers.length_scale": 1e-3})
    assert np.isfinite(simulate(least, seed=1, ticks=6).summary["rmse_dense"])
