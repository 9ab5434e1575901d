"""Founding by year: from what people had reported by then."""

from dataclasses import replace

import numpy as np
import pytest

from mpbf_abm import MaterialsSpace, Parameters, simulate
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.model.ecosystem import Ecosystem

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
