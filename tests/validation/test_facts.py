"""The recorded facts agree with themselves, with what is measured, and with the sources of the defaults."""

import math
import re

import pytest

from mpbf_abm.evidence.calibration import FITTED, FOUND
from mpbf_abm.evidence.facts.recorded import COMPONENTS, FACTS, USES, Component
from mpbf_abm.evidence.facts.validation import MEASURES, OF_FACT
from mpbf_abm.parameters import schema

NAMED = re.compile(r"calibrated: facts? ([\d, and]+)")


def facts_named(source: str) -> set[int]:
    return {int(n) for found in NAMED.findall(source) for n in re.findall(r"\d+", found)}


def test_facts_are_numbered_and_components_named_once():
    assert [fact.number for fact in FACTS] == list(range(1, 16))
    assert len(COMPONENTS) == sum(len(fact.components) for fact in FACTS)
    assert len({c.name for c in COMPONENTS.values()}) == len(COMPONENTS)
    assert {fact.use for fact in FACTS} == set(USES)


@pytest.mark.parametrize("component", COMPONENTS.values(), ids=lambda c: c.id)
def test_the_recorded_value_lies_in_its_range(component: Component):
    assert component.low < component.high
    assert component.holds(component.value)


def test_the_ends_of_a_range_belong_to_it_and_nothing_is_no_value():
    c = Component("c", "c", "", 1.0, 0.5, 2.0)
    assert c.holds(0.5)
    assert c.holds(2.0)
    assert not c.holds(math.nextafter(0.5, 0))
    assert not c.holds(math.nextafter(2.0, 3))
    assert not c.holds(math.nan)


def test_every_fact_has_a_measure_and_every_measure_a_fact():
    assert sorted(OF_FACT) == [fact.number for fact in FACTS]
    assert set(OF_FACT.values()) == set(MEASURES)


def test_defaults_name_facts_by_which_they_may_be_chosen():
    use = {fact.number: fact.use for fact in FACTS}
    named = {row["path"]: facts_named(row["source"]) for row in schema()}
    assert sum(map(bool, named.values())) >= 15, "the search for sources finds too little"
    for path, numbers in named.items():
        for number in numbers:
            # The chance of reuse can only be told from the descent of models, so one reduction test sets it.
            allowed = use[number] == "calibrated" or (path, number) == ("trainers.reuse", 12)
            assert allowed, f"{path} was chosen by fact {number}, which is: {use[number]}"
    # The other way round: what is called calibrated chose something.
    chosen = set().union(*named.values())
    assert {fact.number for fact in FACTS if fact.use == "calibrated"} <= chosen


def test_reductions_play_no_part_in_the_fit():
    limits = {c.id for fact in FACTS if fact.use == "reduction test" for c in fact.components}
    assert not limits & set(FITTED)
    calibrated = {c.id for fact in FACTS if fact.use == "calibrated" for c in fact.components}
    assert calibrated <= set(FITTED)
    assert set(FITTED) <= set(COMPONENTS) | {FOUND.id}
