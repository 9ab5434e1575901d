"""Measured flows: counts that add up, and vanish where what makes them is switched off."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mpbf_abm import Ecosystem, Parameters
from mpbf_abm.measures.networks import FLOWS, added, core_families, records_by_origin, tick_flows
from mpbf_abm.model.commons import EXPERIMENT, FAILED, GENERATED, ORIGINS, SIMULATION

SMALL = {"space.materials": 800, "space.families": 12, "founding.records": 200}


def flows_of(ticks: int = 8, **changes: Any) -> tuple[dict[str, float], Ecosystem]:
    eco = Ecosystem(Parameters.preset("single-quick").replace(**SMALL, **changes), 3, record=())
    total: dict[str, float] = dict.fromkeys(FLOWS, 0.0)
    for _ in range(ticks):
        eco.step()
        total = added(total, tick_flows(eco.world))
    return total, eco


def test_flows_add_up_to_what_the_community_holds() -> None:
    flows, eco = flows_of(**{"coupling.pseudo_share": 0.4, "curators.provenance_errors": 0.0})
    world, origin = eco.world, eco.world.commons.origin
    assert flows["acquired"] == np.count_nonzero(origin == SIMULATION)
    assert flows["generated"] == np.count_nonzero(origin == GENERATED) > 0
    assert flows["deposited"] == np.count_nonzero((origin == EXPERIMENT) | (origin == FAILED)) > 0
    assert flows["steered"] + flows["alone"] == world.totals.done
    assert flows["alone"] == world.totals.unsteered
    assert 0 < flows["corrected"] <= flows["published"] <= world.totals.done
    assert flows["read"] > 0


@pytest.mark.parametrize(
    ("changes", "gone"),
    [
        ({"coupling.outer_loop": 0.0}, ["deposited"]),
        ({"coupling.correction": 0.0}, ["corrected"]),
        ({"trainers.count": 0}, ["steered", "read", "generated", "corrected"]),
        ({"planners.count": 0}, ["steered", "alone", "published", "deposited", "corrected"]),
        ({"curators.records": 0}, ["acquired", "generated"]),
        ({"coupling.pseudo_share": 0.0}, ["generated"]),
    ],
)
def test_what_is_switched_off_does_not_flow(changes: dict[str, Any], gone: list[str]) -> None:
    flows, _ = flows_of(4, **changes)
    assert [flows[name] for name in gone] == [0.0] * len(gone)


def test_the_core_is_the_fewest_largest_families_that_hold_a_share() -> None:
    assert core_families(np.array([1, 5, 2, 2])).tolist() == [False, True, False, False]
    assert core_families(np.array([4, 4, 1, 1])).tolist() == [True, True, False, False]
    assert core_families(np.array([1, 1, 1, 1]), 0.5).tolist() == [True, True, False, False]
    assert not core_families(np.zeros(3, int)).any()


def test_records_are_counted_once_each() -> None:
    _, eco = flows_of(4)
    regions = np.arange(12) % 3
    table = records_by_origin(eco.world, regions, 3)
    assert table.shape == (len(ORIGINS), 3)
    assert table.sum() == eco.world.commons.records_by_family().sum()
    np.testing.assert_array_equal(
        table.sum(axis=0), np.bincount(regions, eco.world.commons.records_by_family(), minlength=3)
    )
