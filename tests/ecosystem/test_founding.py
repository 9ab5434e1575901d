"""Founding by year: from what people had reported by then."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mpbf_abm import MaterialsSpace, Parameters, RunSpec, simulate
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.model.ecosystem import Ecosystem
from mpbf_abm.model.founding import founding_faults

P = Parameters.null().updated({"space.materials": 300, "space.families": 6, "founding.records": 40})


def dated() -> MaterialsSpace:
    plain = MaterialsSpace.synthetic(P, seed=1)
    return replace(plain, year=1990 + np.arange(plain.size) % 30)


def founders(p: Parameters, space: MaterialsSpace) -> np.ndarray:
    eco = Ecosystem(p, 1, space=space, record=())
    eco.release()
    return np.array(eco.world.commons.material)


def test_founding_records_are_of_materials_reported_by_the_year():
    space = dated()
    assert space.year is not None
    found = founders(P.replace("founding.year", 1995), space)
    assert len(set(found)) == 40
    assert space.year[found].max() <= 1995
    # With a later year some of them give way, the others are the same: one keyed order of all materials.
    later = founders(P.replace("founding.year", 1996), space)
    assert 0 < len(set(found) & set(later)) < 40
    assert np.array_equal(later[space.year[later] <= 1995], found[: (space.year[later] <= 1995).sum()])


def test_without_a_year_nothing_changes():
    space = dated()
    assert np.array_equal(founders(P, space), founders(P, replace(space, year=None)))


@pytest.mark.parametrize(("year", "word"), [(None, "has no years"), (1999, "the first of this space is of 2000")])
def test_a_year_that_knows_nothing_is_refused(year: int | None, word: str):
    plain = dated()
    space = replace(plain, year=None if year is None else np.full(plain.size, 2000))
    with pytest.raises(ConfigurationError, match=word):
        simulate(P.replace("founding.year", 1999), seed=1, ticks=1, space=space)
    # Nobody asks for the year of records that are not there.
    simulate(P.updated({"founding.year": 1999, "founding.records": 0}), seed=1, ticks=1, space=space)


# --------------------------------------------------------------------------- what founding leaves to test


def small_table(**changes):
    formulas = [f"{a}{b}" for a in ("Zn", "Cd", "Mg", "Ca", "Sr", "Ba") for b in ("O", "S", "Se", "Te")]
    frame = pd.DataFrame(
        {"formula": formulas, "gap": np.linspace(1, 7, 24), "class": ["oxide", "other", "other", "other"] * 6}
    )
    space = MaterialsSpace.from_table(frame, formula="formula", measured="gap", family="class")
    return RunSpec(Parameters.preset("single-quick").updated({"planners.count": 2} | changes), ticks=6, space=space)


def test_founding_that_tests_every_material_is_refused_with_the_number_to_set():
    with pytest.raises(ConfigurationError, match=r"test about 24 of 24 materials.*; set at most [0-9]+$") as caught:
        small_table().check()
    most = int(str(caught.value).rsplit(" ", 1)[1])
    assert 10 < most < 200
    small_table(**{"founding.records": most}).check()
    run = simulate(small_table(**{"founding.records": most}))
    assert run.summary["experiments_done"] > 0
    # A few more leave too little for the whole run, and far more for a tick.
    assert founding_faults(small_table(**{"founding.records": 20 * most}).parameters, small_table().space, 6)


@pytest.mark.parametrize(
    "changes", [{"planners.repeats": True}, {"planners.count": 0}, {"founding.records": 0}, {"founding.records": 20}]
)
def test_founding_is_no_fault_where_there_is_something_to_do_or_nothing_wanted(changes):
    assert small_table(**changes).check() is None
