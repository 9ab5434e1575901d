"""An ensemble of null communities equals its histories one by one, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mpbf_abm import MaterialsSpace, Parameters
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.measures.path import run_to
from mpbf_abm.theory.ensembles import family_masses, obstacles

SEEDS, TIMES = [3, 1, 4], [0, 1, 9]


def community(**changes: Any) -> tuple[Parameters, MaterialsSpace]:
    p = Parameters.null(**{"space.materials": 400, "space.families": 9, "founding.records": 50, **changes})
    return p, MaterialsSpace.synthetic(p, seed=2)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"planners.count": 0, "founding.records": 0, "founding.mass": 0.1},
        {"curators.count": 0, "planners.experiments": 1.3},
        {"curators.reinforcement": 2.0, "planners.reinforcement": -0.5, "curators.exploration": 0.0},
        {"curators.adjacency": 0.5, "planners.adjacency": 1.0, "planners.exploration_floor": 0.7},
        {"founding.mass": tuple(float(k) for k in range(9)), "founding.records": 0, "curators.reinforcement": 0.0},
        {"founding.mass": 0.0, "founding.records": 0},
        {"curators.records": 0, "stocks.funding": 0.5},
    ],
)
def test_every_history_has_its_own_bits(changes: dict[str, Any]) -> None:
    p, space = community(**changes)
    together = family_masses(p, SEEDS, TIMES, space=space)
    alone = np.array([run_to(p, seed, TIMES, space=space) for seed in SEEDS])
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(family_masses(p, SEEDS, 9, space=space), alone[:, -1])


def test_families_in_another_order_are_drawn_by_their_keys() -> None:
    p, space = community()
    other = space.relabelled(np.random.default_rng(0).permutation(9))
    assert not other.keys_in_order
    alone = np.array([run_to(p, seed, TIMES, space=other) for seed in SEEDS])
    np.testing.assert_array_equal(family_masses(p, SEEDS, TIMES, space=other), alone)


def test_later_draws_may_come_from_other_seeds() -> None:
    p, space = community()
    reseed = [{4: 8}, {}, {2: 6}]
    alone = np.array([run_to(p, s, 9, space=space, reseed=r) for s, r in zip(SEEDS, reseed, strict=True)])
    together = family_masses(p, SEEDS, 9, space=space, reseed=reseed)
    np.testing.assert_array_equal(together, alone)
    assert (together != family_masses(p, SEEDS, 9, space=space)).any(axis=1).tolist() == [True, False, True]


def test_one_more_history_moves_no_other() -> None:
    p, space = community()
    np.testing.assert_array_equal(
        family_masses(p, SEEDS[:1], 9, space=space)[0], family_masses(p, SEEDS, 9, space=space)[0]
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"trainers.count": 2}, "trainers.count = 2"),
        ({"planners.repeats": False}, "planners.repeats = False"),
        ({"curators.modality_mix": (1.0, 1.0, 0.0, 0.0, 0.0, 0.0)}, "curators.modality_mix"),
        ({"curators.provenance_errors": 0.1}, "curators.provenance_errors"),
        ({"commons.forgetting": 0.1}, "commons.forgetting = 0.1"),
        ({"space.families": 1}, "space.families = 1"),
    ],
)
def test_what_an_ensemble_cannot_advance_is_refused(changes: dict[str, Any], told: str) -> None:
    p, space = community(**changes)
    assert [told in line for line in obstacles(p, space)] == [True]
    with pytest.raises(ConfigurationError, match=told.split(" ")[0]):
        family_masses(p, SEEDS, 3, space=space)


def test_planners_do_not_matter_where_there_are_none() -> None:
    p, space = community(**{"planners.repeats": False, "planners.count": 0})
    assert obstacles(p, space) == []
