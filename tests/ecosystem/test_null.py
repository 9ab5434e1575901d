"""Null MPBF is the urn, draw for draw (U0), and what each of its switches does to that."""

from __future__ import annotations

import numpy as np
import pytest

from mpbf_abm import Parameters
from mpbf_abm.evidence.known.urns import SWITCHES, breaks_the_urn, family_sequence, ten_line_urn
from mpbf_abm.parameters import NULL, SINGLE

TICKS = 30
MASS = (3.0, 1.0, 2.0, 1.0, 0.5, 4.0)


@pytest.mark.parametrize(
    ("curators", "planners", "gamma", "eps"),
    [(1, 0, 1.0, 0.0), (3, 0, 2.0, 0.1), (0, 4, 1.0, 0.3), (3, 5, 1.5, 0.2), (4, 7, -1.0, 0.0), (2, 2, 0.0, 0.5)],
)
def test_null_is_the_urn_bit_for_bit(curators: int, planners: int, gamma: float, eps: float) -> None:
    p = Parameters.null(
        **{
            "space.materials": 600,
            "space.families": 6,
            "founding.records": 0,
            "curators.records": 1,
            "planners.experiments": 1.0,
            "curators.count": curators,
            "planners.count": planners,
            "curators.reinforcement": gamma,
            "curators.exploration": eps,
            "planners.reinforcement": gamma,
            "planners.exploration": eps,
            "founding.mass": MASS,
        }
    )
    producers = [pair for pair in (("curator.family.0", curators), ("planner.family.0", planners)) if pair[1]]
    expected = ten_line_urn(7, np.array(MASS), producers, TICKS, gamma, eps)
    assert family_sequence(p, 7, TICKS) == expected
    assert len(set(expected)) > 1


def test_every_switch_of_null_is_examined() -> None:
    assert set(NULL) - set(SINGLE) <= set(SWITCHES)


@pytest.mark.parametrize("switch", SWITCHES)
def test_turning_a_switch_on_breaks_the_urn_or_provably_does_not(switch: str) -> None:
    _, reason = SWITCHES[switch]
    assert breaks_the_urn(switch, 3) is not bool(reason), reason or f"{switch} turned on leaves the urn as it was"
