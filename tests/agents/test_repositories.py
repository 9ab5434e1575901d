"""Repositories that are not substitutes: preferences for families, types, and what each holds alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mpbf_abm import Parameters
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.model.community import Community
from mpbf_abm.model.modalities import CRYSTAL_GRAPHS
from mpbf_abm.model.repositories import ENUMERATOR, GENERAL, KNOWN, kinds

SMALL = {
    "space.materials": 400,
    "space.families": 8,
    "founding.records": 300,
    "curators.count": 4,
    "planners.count": 0,
    "trainers.count": 0,
    "infrastructure.repositories": 4,
}


def community(ticks: int = 0, **changes: Any) -> Community:
    p = Parameters.preset("single-quick").updated(SMALL | {f"infrastructure.{k}": v for k, v in changes.items()})
    made = Community(p, 4, record=())
    for _ in range(ticks):
        made.step()
    return made


def test_preferences_move_founding_records_between_repositories_and_not_between_families() -> None:
    plain, special = community().world, community(specialisation=2.0).world
    assert plain.specialisation is None
    assert special.specialisation is not None
    np.testing.assert_array_equal(plain.commons.material, special.commons.material)
    counts = [w.commons.counts.sum(axis=0) for w in (plain, special)]
    np.testing.assert_array_equal(*counts)

    def spread(world: Any) -> float:
        """Mean distance between the family shares of a repository and those of all."""
        held = np.bincount(world.commons.repository * 8 + world.commons.family, minlength=32).reshape(4, 8)
        return float(np.abs(held / held.sum(axis=1, keepdims=True) - held.sum(axis=0) / held.sum()).sum(axis=1).mean())

    assert spread(special) > 2 * spread(plain)


def test_types_hold_what_they_may() -> None:
    """Enumerators enter what nobody holds, those of the known only what others hold."""
    founded = community(enumerators=1, known=1, sizes=(3.0, 2.0, 2.0, 1.0))
    types = kinds(founded.world.p.infrastructure)
    assert types.tolist() == [GENERAL, ENUMERATOR, KNOWN, GENERAL]
    held = founded.world.commons.holdings.records > 0
    assert held[:, 2].any()
    assert not (held[:, 2] & ~held[:, [0, 3]].any(axis=1)).any()
    assert not (held[:, 1] & held[:, [0, 2, 3]].any(axis=1)).any()
    for _ in range(12):
        before = founded.world.commons.material_records.copy()
        founded.step()
        commons = founded.world.commons
        fresh, home = commons.tick == founded.tick - 1, types[commons.repository]
        assert not before[commons.material[fresh & (home == ENUMERATOR)]].any()
        assert before[commons.material[fresh & (home == KNOWN)]].all()
        assert set(commons.producer[fresh & (home == KNOWN)]) == {2}
    plain = commons.modality[(home == ENUMERATOR) & ~commons.corrupted]
    assert len(plain) > 50
    assert (plain == CRYSTAL_GRAPHS).all()


def test_those_of_the_known_wait_where_nothing_is_known() -> None:
    """They enter nothing, rather than the first family."""
    p = Parameters.preset("single-quick").updated(
        SMALL | {"founding.records": 0, "infrastructure.repositories": 2, "infrastructure.known": 1}
    )
    eco = Community(p.updated({"curators.count": 2}), 1, record=())
    eco.step()
    assert set(eco.world.commons.repository) == {0}
    assert eco.world.curators.credit[1] > 0
    eco.step()
    assert set(eco.world.commons.repository) == {0, 1}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"enumerators": 3, "known": 1}, "must be below infrastructure.repositories = 4"),
        ({"sizes": (1.0, 2.0)}, "infrastructure.sizes has 2 entries"),
        ({"sizes": (0.0, 0.0, 0.0, 0.0)}, "above 0 somewhere"),
    ],
)
def test_what_cannot_be(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        community(**changes)


def test_holdings_stay_right_when_records_go_and_repositories_fall_silent() -> None:
    """The totals are those of a count of all records."""
    eco = community(3, specialisation=1.0)
    world = eco.world
    world.commons.remove(np.arange(0, len(world.commons), 3))
    world.infrastructure.fail_repositories(np.array([1]), 9)
    h, alive = world.commons.holdings, world.commons.alive
    held = np.zeros((400, 4), bool)
    held[world.commons.material[alive], world.commons.repository[alive]] = True
    copied = np.isin(np.arange(400), world.commons.material[alive & world.commons.federated])
    np.testing.assert_array_equal(h.held, held.sum(axis=0))
    np.testing.assert_array_equal(h.unique, held[held.sum(axis=1) == 1].sum(axis=0))
    served = held & [True, False, True, True]
    np.testing.assert_array_equal(h.sole, served[(served.sum(axis=1) == 1) & ~copied].sum(axis=0))
    assert h.readable == (served.any(axis=1) | copied).sum()
