"""A user adds one of each kind in a module of its own; it acts in runs, in studies and in the ids of runs."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from registries import registering

from mpbf_abm import (
    ConfigurationError,
    Ecosystem,
    Outcome,
    Parameters,
    Policy,
    Replicates,
    RunSpec,
    Shock,
    Study,
    simulate,
)
from mpbf_abm.identity import own_modules
from mpbf_abm.learning.acquisition import acquisition
from mpbf_abm.model import indicators
from mpbf_abm.model.indicators import indicator
from mpbf_abm.model.interventions import Lever, policy
from mpbf_abm.model.shocks import shock
from mpbf_abm.model.world import Planners, column

SMALL = Parameters.preset("single-quick").updated(
    {
        "space.materials": 600,
        "space.families": 8,
        "founding.records": 150,
        "curators.count": 4,
        "trainers.count": 3,
        "planners.count": 6,
        "trainers.retrain_interval": 3,
        "trainers.records": 100,
        "trainers.features": 32,
        "planners.experiments": 1.0,
    }
)
TICKS = 6


@pytest.fixture(scope="module", autouse=True)
def additions() -> Iterator[Any]:
    """The user's module, whose registrations end with these tests."""
    with registering():
        yield importlib.import_module("additions")
    del sys.modules["additions"]


def run(**options: Any) -> Any:
    return simulate(options.pop("parameters", SMALL), seed=3, ticks=TICKS, **options)


def test_an_indicator_is_a_column_and_an_outcome() -> None:
    made = run(shocks=[Shock("repository_outage", start=2)])
    assert made.series["silent_share"].tolist()[:2] == [0.0, 0.0]
    assert made.summary["silent_share"] == made.series["silent_share"].iloc[-1] > 0


def test_a_shock_acts_from_its_start_on() -> None:
    plain, hit = run(), run(shocks=[Shock("curators_strike", start=3)])
    assert plain.series[plain.series.tick < 3].equals(hit.series[hit.series.tick < 3])
    assert plain.series["records"].iloc[-1] > hit.series["records"].iloc[-1]


def test_a_policy_is_the_levers_that_it_names() -> None:
    named = run(policies=[Policy("open_results", start=2)])
    spelt = run(policies=[Policy("spelt", set={"planners.publication_bias": 0.0}, start=2)])
    assert named.series.equals(spelt.series)


def test_an_acquisition_rule_is_a_value_of_its_parameter() -> None:
    bold, plain = run(parameters=SMALL.replace("planners.acquisition", "boldest")), run()
    # A constant offset moves no choice: it is the upper bound with kappa 3.
    bound = run(parameters=SMALL.updated({"planners.acquisition": "ucb", "planners.kappa": 3.0}))
    assert not bold.series.equals(plain.series)
    assert bold.series["found"].equals(bound.series["found"])


def test_a_column_starts_at_its_value_and_is_an_attribute(additions: Any) -> None:
    eco = Ecosystem(SMALL, 3, planners=additions.Learner)
    for _ in range(3):
        eco.step()
    experience = eco.world.planners.experience
    assert experience.sum() > 0
    assert next(iter(eco.agents_by_type[additions.Learner])).experience == experience[0]
    eco.release()


@pytest.mark.parametrize(("kind", "name"), [("planners", "Learner"), ("curators", "Rarity"), ("trainers", "Frugal")])
def test_a_rule_changes_what_its_agents_do(kind: str, name: str, additions: Any) -> None:
    rule = getattr(additions, name)
    plain, ruled = run(), run(**{kind: rule})
    assert not plain.series.equals(ruled.series)
    assert ruled.replay().series.equals(ruled.series)
    assert plain.spec.id != ruled.spec.id
    assert RunSpec.from_toml(ruled.spec.to_toml(), **{kind: rule}).id == ruled.spec.id
    with pytest.raises(ConfigurationError, match="give the classes themselves"):
        RunSpec.from_toml(ruled.spec.to_toml())


def test_rules_of_all_kinds_act_together(additions: Any) -> None:
    made = run(planners=additions.Learner, curators=additions.Rarity, trainers=additions.Frugal)
    trained = [m.records for m in made.ecosystem.world.registry.models if m is not None]
    assert max(trained) <= SMALL.trainers.records / 2


def test_a_study_in_several_processes_knows_all_of_them(tmp_path: Path, additions: Any) -> None:
    study = Study(
        name="own",
        ticks=TICKS,
        parameters={**SMALL.changed(), "planners.acquisition": "boldest"},
        policies=[Policy("open_results", start=2)],
        shocks=[Shock("curators_strike", start=3)],
        replicates=Replicates(n=2),
        outcomes={"silent_share": Outcome(), "found_share": Outcome()},
        planners=[additions.Learner],
        curators=[additions.Rarity],
    )
    assert "additions" in own_modules()
    results = study.run(tmp_path / "runs", workers=2)
    assert results.failures.empty, results.failures["message"].tolist()
    one = simulate(
        SMALL.replace("planners.acquisition", "boldest"),
        seed=int(results.runs["seed"].iloc[0]),
        ticks=TICKS,
        shocks=[Shock("curators_strike", start=3)],
        planners=additions.Learner,
        curators=additions.Rarity,
    )
    assert results.values("found_share")[0, 0, 0] == one.summary["found_share"]


TWICE = {
    "indicator": lambda: indicator("found")(lambda _: 0.0),
    "shock": lambda: shock(0.5, name="poisoning")(lambda *_: None),
    "acquisition rule": lambda: acquisition("greedy")(lambda mean, *_, **__: mean),
    "policy": lambda: policy("audits", "", []),
    "column": lambda: Planners.declare("budget", column("twice")),
    "policy of nothing": lambda: policy("founder", "", [Lever("founding.records", 0)]),
}


@pytest.mark.parametrize("what", TWICE)
def test_a_name_is_registered_once_and_a_lever_must_move_something(what: str) -> None:
    with pytest.raises(ConfigurationError, match=r"already|can be moved"):
        TWICE[what]()


def test_an_indicator_that_gives_no_number_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(indicators.REGISTERED, "silent_share", lambda _: "many")
    with pytest.raises(
        ConfigurationError, match="indicator 'silent_share' gave 'many' at tick 0: must be a number, or NaN"
    ):
        run()
