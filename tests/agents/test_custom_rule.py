"""The rule of docs/custom-rule.md is short and changes what planners do, nothing before; agents are their columns."""

import re
from pathlib import Path

import numpy as np
import pytest

from mpbf_abm import ConfigurationError, Ecosystem, ExperimentPlanner, Parameters, simulate
from mpbf_abm.model.indicators import selection

PAGE = Path(__file__).resolve().parents[2] / "docs" / "custom-rule.md"
EXAMPLE = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)[0]
QUICK = Parameters.preset("quick")


@pytest.fixture(scope="module")
def example() -> dict[str, object]:
    namespace: dict[str, object] = {"__name__": "example"}
    exec(EXAMPLE, namespace)  # noqa: S102
    return namespace


def niche_planner() -> type[ExperimentPlanner]:
    """Define the class of the page, without its runs."""
    namespace: dict[str, object] = {"__name__": "example"}
    exec(EXAMPLE.split("p = Parameters")[0], namespace)  # noqa: S102
    planner = namespace["NichePlanner"]
    assert isinstance(planner, type)
    assert issubclass(planner, ExperimentPlanner)
    return planner


def chosen(eco: Ecosystem) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    results = eco.world.results
    assert results is not None
    return results.planner, results.family, results.material


def test_the_example_has_at_most_twenty_lines():
    assert len(EXAMPLE.strip().splitlines()) <= 20


def test_the_example_spreads_experiments_over_more_families(example):
    plain, niche = example["plain"], example["niche"]
    assert niche.summary["families_d1"] > 1.1 * plain.summary["families_d1"]
    assert niche.summary["experiments_done"] == plain.summary["experiments_done"]


def test_a_rule_touches_only_the_planners_that_have_it():
    kinds = [ExperimentPlanner, niche_planner()]
    plain, mixed = Ecosystem(QUICK, seed=3), Ecosystem(QUICK, seed=3, planners=kinds)
    plain.step()
    mixed.step()
    (who, family, material), (whom, other_family, other_material) = chosen(plain), chosen(mixed)
    assert np.array_equal(who, whom)
    standard = who % 2 == 0
    assert np.array_equal(family[standard], other_family[standard])
    assert np.array_equal(material[standard], other_material[standard])
    assert not np.array_equal(family[~standard], other_family[~standard])


def test_score_alone_changes_the_candidate_and_not_the_family():
    class Contrary(ExperimentPlanner):
        def score(self, candidates, mean, sd, scores):  # noqa: ARG002
            return -scores

    plain, contrary = Ecosystem(QUICK, seed=3), Ecosystem(QUICK, seed=3, planners=Contrary)
    plain.step()
    contrary.step()
    assert np.array_equal(chosen(plain)[1], chosen(contrary)[1])
    assert not np.array_equal(chosen(plain)[2], chosen(contrary)[2])
    gains = [selection(eco.world, eco.world.results)["value_gain"] for eco in (contrary, plain)]
    assert gains[0] < gains[1]


def test_a_rule_that_changes_nothing_changes_nothing():
    class Same(ExperimentPlanner):
        pass

    plain, same = simulate(QUICK, seed=4, ticks=6), simulate(QUICK, seed=4, ticks=6, planners=Same)
    assert plain.series.equals(same.series)


def test_attributes_of_an_agent_are_its_row_of_the_columns():
    eco = Ecosystem(QUICK, seed=1)
    eco.step()
    planners = eco.world.planners
    agents = list(eco.agents_by_type[ExperimentPlanner])
    assert [a.row for a in agents] == list(range(len(planners)))
    for name in (
        "exploration",
        "reinforcement",
        "budget",
        "attention",
        "best_value",
        "best_material",
        "claims",
        "funding",
    ):
        assert [getattr(a, name) for a in agents] == planners.columns[name].tolist()
    agents[3].exploration = 0.75
    assert planners.exploration[3] == 0.75
    assert np.count_nonzero(planners.exploration == 0.75) == 1
    planners.exploration[4] = 0.25
    assert agents[4].exploration == 0.25


def test_what_an_agent_writes_moves_its_choice():
    plain, moved = Ecosystem(QUICK, seed=2), Ecosystem(QUICK, seed=2)
    for eco in (plain, moved):
        for _ in range(6):
            eco.step()
    for agent in moved.agents_by_type[ExperimentPlanner]:
        agent.exploration = 1.0
    shares = []
    for eco in (plain, moved):
        for _ in range(12):
            eco.step()
        shares.append(eco.world.experiments)
    assert not np.array_equal(*shares)
    assert np.count_nonzero(shares[1]) > np.count_nonzero(shares[0])


def test_a_class_that_is_no_planner_is_refused():
    with pytest.raises(ConfigurationError, match="not a subclass of ExperimentPlanner"):
        simulate(QUICK, ticks=1, planners=[dict])  # type: ignore[list-item]
