"""Null MPBF is the urn, draw for draw (U0), and what each of its switches does to that."""

from __future__ import annotations

import numpy as np
import pytest

from mpbf_abm import Parameters
from mpbf_abm.ecosystem import Ecosystem
from mpbf_abm.parameters import NULL
from mpbf_abm.streams import Streams

SMALL = {"space.materials": 600, "space.families": 6, "founding.records": 0}
TICKS = 30


def urn(
    seed: int, mass: np.ndarray, producers: list[tuple[str, int]], ticks: int, gamma: float, eps: float
) -> list[int]:
    """Ten lines: an urn whose draws are the community's own keyed clocks."""
    x, sequence, streams = mass.astype(float).copy(), [], Streams(seed)
    for tick in range(ticks):
        for decision, count in producers:
            with np.errstate(divide="ignore"):
                power = np.exp(gamma * np.log(x) - (gamma * np.log(x)).max())
            f = eps / len(x) + (1 - eps) * (x if gamma == 1 else power) / (x if gamma == 1 else power).sum()
            chosen = np.argmin(streams.exponential(decision, tick, (count, len(x))) / f, axis=1)
            sequence += chosen.tolist()
            x += np.bincount(chosen, minlength=len(x))
    return sequence


def sequence(p: Parameters, seed: int, ticks: int = TICKS) -> list[int]:
    """Families of the records in the order they were entered."""
    eco = Ecosystem(p, seed, record=())
    for _ in range(ticks):
        eco.step()
    families = eco.world.commons.family[p.founding.records :].tolist()
    eco.release()
    return families


def null(**changes: object) -> Parameters:
    return Parameters.null().updated({**SMALL, "curators.records": 1, "planners.experiments": 1.0, **changes})


@pytest.mark.parametrize(
    ("curators", "planners", "gamma", "eps"),
    [(1, 0, 1.0, 0.0), (3, 0, 2.0, 0.1), (0, 4, 1.0, 0.3), (3, 5, 1.5, 0.2), (4, 7, -1.0, 0.0), (2, 2, 0.0, 0.5)],
)
def test_null_is_the_urn_bit_for_bit(curators: int, planners: int, gamma: float, eps: float) -> None:
    p = null(
        **{
            "curators.count": curators, "planners.count": planners, "curators.reinforcement": gamma, "curators.exploration": eps,
            "planners.reinforcement": gamma, "planners.exploration": eps, "founding.mass": (3.0, 1.0, 2.0, 1.0, 0.5, 4.0),
        }
    )  # fmt: skip
    producers = [("curator.family.0", curators), ("planner.family.0", planners)]
    expected = urn(
        7, np.array([3.0, 1.0, 2.0, 1.0, 0.5, 4.0]), [pair for pair in producers if pair[1]], TICKS, gamma, eps
    )
    assert sequence(p, 7) == expected
    assert len(set(expected)) > 1


# Each switch of null(), what turning it on means, and whether it breaks the urn. Those marked
# False provably do not: the reason stands beside them.
SWITCHES: dict[str, tuple[dict[str, object], bool, str]] = {
    "trainers.count": ({"trainers.count": 3}, False, "models exist but weigh nothing while the steering gain is 0"),
    "planners.steering_gain": ({"planners.steering_gain": 2.0}, False, "there is no model to weigh families"),
    "models": ({"trainers.count": 3, "planners.steering_gain": 2.0}, True, ""),
    "planners.acquisition": ({"planners.acquisition": "greedy"}, False, "candidates are chosen after the family"),
    "planners.candidates": ({"planners.candidates": 8}, False, "candidates are chosen after the family"),
    "planners.repeats": ({"planners.repeats": False, "space.materials": 60}, True, ""),
    "planners.publication_bias": ({"planners.publication_bias": 0.9}, True, ""),
    "planners.adjacency": ({"planners.adjacency": 1.0}, True, ""),
    "curators.adjacency": ({"curators.adjacency": 1.0}, True, ""),
    "curators.coverage_seeking": ({"curators.coverage_seeking": 1.0}, True, ""),
    "curators.model_guidance": ({"curators.model_guidance": 1.0}, False, "there is no model to guide"),
    "guidance by models": ({"curators.model_guidance": 1.0, "trainers.count": 3, "planners.steering_gain": 2.0}, True, ""),
    "curators.modality_mix": ({"curators.modality_mix": (0.0, 0.0, 0.0, 0.0, 1.0, 0.0)}, True, ""),
    "curators.measured_quota": ({"curators.measured_quota": 1.0}, True, ""),
    "curators.provenance_errors": ({"curators.provenance_errors": 1.0, "curators.qa": 0.0}, True, ""),
    "curators.audit_rate": ({"curators.audit_rate": 0.5}, True, ""),
    "curators.response_dal": ({"curators.response_dal": 5.0, "layers.fidelity_weight": 0.0, "layers.coverage_scale": 1.0}, True, ""),
    "trainers.response_ral": ({"trainers.response_ral": 1.0}, False, "there is no trainer to respond"),
    "coupling.outer_loop": ({"coupling.outer_loop": 0.3}, True, ""),
    "coupling.pseudo_share": ({"coupling.pseudo_share": 1.0}, False, "a generated label changes values, never families"),
    "coupling.correction": ({"coupling.correction": 1.0}, False, "there is no model to correct"),
    "stocks.merit_share": ({"stocks.merit_share": 1.0, "stocks.matthew": 3.0}, True, ""),
    "stocks.lottery_share": ({"stocks.lottery_share": 1.0}, True, ""),
    "stocks.wear": ({"stocks.wear": 0.5}, False, "worn nodes fail only with a hazard"),
    "stocks.hazard": ({"stocks.hazard": 0.5}, True, ""),
    "commons.forgetting": ({"commons.forgetting": 0.3}, True, ""),
}  # fmt: skip


def test_every_switch_of_null_is_examined() -> None:
    assert set(NULL) <= set(SWITCHES)


@pytest.mark.parametrize("switch", SWITCHES)
def test_turning_a_switch_on_breaks_the_urn_or_provably_does_not(switch: str) -> None:
    changes, breaks, reason = SWITCHES[switch]
    base = {
        "curators.count": 3, "planners.count": 5, "curators.exploration": 0.3, "planners.exploration": 0.3, "founding.records": 120,
        "curators.records": 2, "infrastructure.repositories": 3,
    }  # fmt: skip
    same = sequence(null(**base), 3) == sequence(null(**(base | changes)), 3)
    assert same is not breaks, reason or f"{switch} turned on leaves the urn as it was"
