"""Small communities that are quick to run."""

from __future__ import annotations

from typing import Any

from mpbf_abm import Policy
from mpbf_abm.studies.definition import StudyDefinition

SMALL: dict[str, Any] = {
    "space.materials": 500,
    "space.families": 8,
    "founding.records": 120,
    "curators.count": 3,
    "trainers.count": 2,
    "planners.count": 5,
    "planners.experiments": 1.0,
    "trainers.retrain_interval": 3,
    "trainers.features": 32,
    "trainers.records": 100,
    "planners.panel": 4,
    "planners.candidates": 6,
    "infrastructure.repositories": 3,
}


def small_study(**fields: Any) -> StudyDefinition:
    """A study of small communities: two scenarios, a policy beside the baseline, three replicates."""
    given: dict[str, Any] = {
        "name": "small",
        "ticks": 8,
        "policies": [Policy("exploration_floor", start=3, strength=0.9)],
        "replicates": {"n": 3},
        "design": {"kind": "grid"},
        "outcomes": {"found_share": {"better": "more", "primary": True, "smallest": 0.1}},
        "series": {"of": ("found_share", "families_d1"), "every": 3},
    }
    parameters = SMALL | {"planners.exploration": {"values": (0.1, 0.5)}} | fields.pop("parameters", {})
    return StudyDefinition(**(given | {"parameters": parameters} | fields))
