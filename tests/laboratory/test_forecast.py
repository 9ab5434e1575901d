"""The forecast: indicators of known records, out-of-sample areas on constructed runs, what cannot be told."""

import numpy as np
import pytest

from mpbf_abm import Parameters
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.evidence.assessments.assessment import Setting, run_assessment
from mpbf_abm.evidence.assessments.effective_urn import FACTORS
from mpbf_abm.evidence.assessments.forecast import (
    ENSEMBLES,
    FORECAST,
    INDICATORS,
    MOMENTS,
    indicators,
    parameters_of,
    report,
)

TINY = Parameters.null(**{"space.families": 4, "space.materials": 400})


def runs(told, seed=0, n=80):
    """Runs of both ensembles whose end the largest early share tells, or not."""
    rng, values = np.random.default_rng(seed), {}
    for ensemble in ENSEMBLES:
        for s in range(n):
            early = rng.random()
            end = (0.1 if early < 0.5 else 0.6) if told else rng.choice([0.1, 0.6])
            noise = dict(zip(INDICATORS, rng.normal(size=len(INDICATORS)), strict=True))
            values[ensemble, s + 1, n] = (
                noise | {"leading": early, "pull": 1.0, "end": end} | {f"leading at {m:g}": early for m in MOMENTS}
            )
    return values


def value_of(found, measure):
    (finding,) = [f for f in found.findings if f.measure == measure]
    return finding


def test_what_the_largest_share_tells_is_foretold_out_of_sample():
    found = report(Setting(TINY, replicates=80), runs(told=True))
    for name in ENSEMBLES.values():
        area = value_of(found, f"{name}: AUC, largest share alone")
        assert area.estimate.value == 1.0
        assert area.verdict == "above"
        assert value_of(found, f"{name}: Brier skill, largest share alone").estimate.value > 0.5
    # The parameters are the same in every run, and so no input.
    assert not [f for f in found.findings if "parameters" in f.measure]


def test_pure_chance_is_not_foretold():
    areas, covered = [], []
    for seed in range(12):
        found = report(Setting(TINY, replicates=80), runs(told=False, seed=seed))
        told = [f.estimate for f in found.findings if "AUC, all indicators" in f.measure]
        areas += [e.value for e in told]
        covered += [e.low < 0.5 < e.high for e in told]
    assert np.mean(areas) == pytest.approx(0.5, abs=3 * np.std(areas, ddof=1) / np.sqrt(len(areas)))
    # Training on noise adds to what the intervals know of.
    assert np.mean(covered) >= 0.75


def test_runs_that_all_end_alike_tell_nothing_and_say_so():
    values = {k: v | {"end": 0.1} for k, v in runs(told=True).items()}
    found = report(Setting(TINY, replicates=80), values)
    assert [f.reading for f in found.findings if f.measure.endswith("AUC")] == [
        "not known: fewer than 10 runs of one kind"
    ] * 2
    assert all(f.verdict == "-" for f in found.findings)


def test_indicators_are_those_of_the_records():
    eco = Setting(TINY).community(1)
    for _ in range(6):
        eco.step()
    world = eco.world
    x = world.commons.visible() / world.commons.visible().sum()
    seen = indicators(world, 0)
    ordered = np.sort(x)[::-1]
    assert seen["leading"] == pytest.approx(ordered[0])
    assert seen["lead"] == pytest.approx(ordered[0] - ordered[1])
    assert seen["breadth"] == pytest.approx(-(x * np.log(x)).sum())
    recent = np.bincount(world.commons.family[world.commons.tick >= 0], minlength=4)
    assert seen["momentum"] == pytest.approx(recent[np.argmax(x)] / recent.sum() - ordered[0])
    assert indicators(world, 99)["recent_breadth"] == 0.0


def test_communities_differ_by_a_latin_hypercube_and_one_community_does_not():
    setting = Setting(Parameters.preset("single-quick"), seed=7, replicates=40)
    drawn = [parameters_of(setting, "varied", s, 40) for s in setting.seeds()]
    gammas = np.sort([p.planners.reinforcement for p in drawn])
    low, high = FACTORS["reinforcement"][0]
    # One draw in each fortieth of the range.
    assert (np.floor((gammas - low) / (high - low) * 40) == np.arange(40)).all()
    assert {p.planners.acquisition for p in drawn} == set(FACTORS["acquisition"][0])
    assert all(parameters_of(setting, "same", s, 1) == setting.parameters for s in setting.seeds())


def test_a_few_communities_are_not_enough():
    with pytest.raises(ConfigurationError, match="must be at least 40"):
        run_assessment(FORECAST, Setting(TINY, replicates=10))


def test_real_runs_give_a_report_and_a_figure():
    from mpbf_abm.figures.of_assessments import forecast as draw

    setting = Setting(
        TINY.updated({"planners.reinforcement": 3.0, "curators.reinforcement": 3.0}), replicates=40, ticks=10
    )
    values = {task: FORECAST.measure(setting, task) for task in [("same", s, 1) for s in setting.seeds()]}
    found = report(setting, values | {("varied", s, 40): v for (_, s, _), v in values.items()})
    assert len(found.tables["cases"]) == 80
    # In ten ticks the first two moments are one.
    assert all({f"leading at {m:g}" for m in MOMENTS} <= value.keys() for value in values.values())
    assert len(draw(found).axes) == 4
