"""The rule of docs/custom-rule.md is short and changes what planners do, nothing before; agents are their columns."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpbf_abm import ConfigurationError, DataCurator, Ecosystem, ExperimentPlanner, ModelTrainer, Parameters, simulate
from mpbf_abm.learning.acquisition import RULES, acquisition
from mpbf_abm.model.indicators import selection

PAGE = Path(__file__).resolve().parents[2] / "docs" / "custom-rule.md"
EXAMPLE = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)[0]
QUICK = Parameters.preset("single-quick")


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


# --------------------------------------------------------------------------- what rules return

SMALL = QUICK.updated(
    {
        "space.materials": 400,
        "space.families": 6,
        "founding.records": 150,
        "planners.count": 4,
        "curators.count": 3,
        "trainers.count": 2,
        "trainers.features": 16,
    }
)
K = 6


def some(kind, method, value):
    """A rule of which one method returns the same whatever it is given."""
    return type("Faulty", (kind,), {method: lambda *_: value})


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ([1, 1, float("nan"), 1, 1, 1], "1 of 6 numbers is not finite"),
        (np.full(K, np.nan), "6 of 6 numbers are not finite"),
        ([np.inf] * K, "6 of 6 numbers are not finite"),
        (np.ones(K + 1), r"shape \(7,\) instead of \(6,\)"),
        (1.0, r"shape \(\) instead of \(6,\)"),
        ([1, -1, 1, 1, 1, 1], "1 of 6 numbers is below 0"),
        (None, "NoneType instead of numbers"),
        ("equal", "str instead of numbers"),
        ([[1], [2, 3]], "list of unequal lengths"),
        ({0: 1.0}, "dict instead of numbers"),
    ],
)
def test_weights_that_are_none_are_named_with_rule_tick_and_agent(value, fault):
    for kind, word in ((ExperimentPlanner, "planner"), (DataCurator, "curator")):
        with pytest.raises(
            ConfigurationError, match=rf"^Faulty\.family_weights \(tick 0, {word} 0\) returned {fault}$"
        ):
            simulate(SMALL, ticks=2, planners=some(kind, "family_weights", value))


def test_weights_of_nothing_are_refused_while_there_is_something_left():
    with pytest.raises(ConfigurationError, match="returned 0 for every family: no experiment could be made"):
        simulate(SMALL, ticks=2, planners=some(ExperimentPlanner, "family_weights", np.zeros(K)))


@pytest.mark.parametrize("value", [None, np.nan, "best", [1.0]])
def test_scores_that_are_none_are_named(value):
    with pytest.raises(ConfigurationError, match=r"^Faulty\.score \(tick \d, planner 0\) returned "):
        simulate(SMALL, ticks=2, planners=some(ExperimentPlanner, "score", value))


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (None, "instead of a list of rows"),
        ([0.5, 1.5], "instead of a list of rows"),
        ([True, False], "instead of a list of rows"),
        ([-1], "1 of 1 rows that are not among those given"),
        ([10**9], "1 of 1 rows that are not among those given"),
    ],
)
def test_samples_that_are_none_are_named(value, fault):
    with pytest.raises(ConfigurationError, match=rf"^Faulty\.sample \(tick 0, trainer 0\) returned .*{fault}"):
        simulate(SMALL, ticks=2, trainers=some(ModelTrainer, "sample", value))


def test_scores_of_an_acquisition_rule_of_the_user_are_checked(monkeypatch):
    monkeypatch.setitem(RULES, "broken", None)
    monkeypatch.delitem(RULES, "broken")
    acquisition("broken")(lambda mean, _sd, **_: mean * np.nan)
    with pytest.raises(ConfigurationError, match=r"^acquisition rule 'broken' \(tick \d, .*not finite$"):
        simulate(SMALL.replace("planners.acquisition", "broken"), ticks=2)


@pytest.mark.parametrize(
    ("kind", "name", "near"),
    [
        (ExperimentPlanner, "family_weight", "family_weights"),
        (ExperimentPlanner, "scores", "score"),
        (DataCurator, "familyweights", "family_weights"),
        (ModelTrainer, "samples", "sample"),
    ],
)
def test_a_misspelt_method_is_named(kind, name, near):
    rule = some(kind, name, None)
    with pytest.raises(ConfigurationError, match=f"^rules: Faulty.{name} is never called; did you mean '{near}'"):
        simulate(SMALL, ticks=1, planners=type("Below", (rule,), {}))


ANY = st.one_of(
    st.none(),
    st.text(max_size=3),
    st.floats(width=32),
    st.lists(st.floats(width=32), max_size=8),
    st.lists(st.integers(-2, 5), min_size=K, max_size=K),
    st.lists(st.floats(0, 10, width=32), min_size=K, max_size=K),
    st.lists(st.booleans(), min_size=K, max_size=K),
    st.dictionaries(st.integers(0, 3), st.floats(width=32), max_size=3),
    st.just(object()),
    st.just(np.ones((K, K))),
    st.just(np.ones(K, complex)),
    st.just(np.ma.masked_all(K)),
)


@settings(max_examples=40)
@given(value=ANY, kind=st.sampled_from([ExperimentPlanner, DataCurator]))
def test_whatever_a_rule_returns_is_used_as_it_is_or_refused_in_one_line(value, kind):
    usable = isinstance(value, (list, np.ndarray)) and np.shape(value) == (K,) and not np.iscomplexobj(value)
    usable = (
        usable
        and not np.ma.is_masked(value)
        and np.isfinite(np.asarray(value, float)).all()
        and (np.asarray(value, float) >= 0).all()
    )
    usable = usable and (kind is DataCurator or np.any(value))
    eco = Ecosystem(SMALL, planners=some(kind, "family_weights", value))
    if usable:
        eco.step()
        assert np.isfinite(list(eco.recorder.series[0][1].values())).any()
    else:
        with pytest.raises(ConfigurationError, match="family_weights") as caught:
            eco.step()
        assert "\n" not in str(caught.value)
