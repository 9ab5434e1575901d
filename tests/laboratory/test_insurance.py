"""Insurance: costs of losses, what insurances save, and Shapley values of channels."""

import math

import numpy as np
import pytest
from lean import LEAN

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.evidence.assessments.assessment import Setting, run_assessment
from mpbf_abm.evidence.assessments.insurance import (
    ALL,
    CHANNELS,
    INSURANCE,
    KINDS,
    OUTCOMES,
    PLAIN,
    insurances,
    shapley,
    subsets,
    tasks,
)

FRICTIONS = {
    "infrastructure.repositories": 3,
    "infrastructure.providers": 1,
    "infrastructure.openness": 0.0,
    "trainers.count": 2,
    "planners.switching_time": 2,
    "infrastructure.search_time": 3,
}


def test_channels_that_add_up_have_their_own_cost_and_a_joint_cost_is_shared():
    names = ("data", "service", "search")
    own = {"data": 3.0, "service": 1.0, "search": 0.0}
    value = {"+".join(s): np.array([sum(own[n] for n in s), 0.0]) for s in subsets(names)}
    # Of two channels that cost only together each has half.
    value |= {k: v + 2.0 * ("data" in k and "search" in k) for k, v in value.items()}
    found = shapley(names, value)
    assert found["data"] == pytest.approx([4.0, 1.0])
    assert found["service"] == pytest.approx([1.0, 0.0])
    assert found["search"] == pytest.approx([1.0, 1.0])
    assert sum(x.sum() for x in found.values()) == pytest.approx(value["data+service+search"].sum() - value[""].sum())


def test_an_insurance_that_a_community_has_is_none():
    p = LEAN.updated({"infrastructure.migration": 1.0, "infrastructure.search_time": 0})
    assert {"migration of all records", "search at once", "free switching"}.isdisjoint(insurances(p, "repository"))
    assert "one provider more" in insurances(p, "model")


def test_communities_in_which_nothing_can_be_lost_are_refused():
    with pytest.raises(ConfigurationError, match=r"trainers.count = 1: must be at least 2"):
        tasks(Setting(LEAN.updated({"trainers.count": 1, "infrastructure.repositories": 2}), ticks=8))


def test_a_real_community_is_measured_and_drawn():
    from mpbf_abm.figures.of_assessments import insurance as draw

    setting = Setting(LEAN.updated(FRICTIONS), replicates=2, ticks=8)
    found = run_assessment(INSURANCE, setting)
    costs = found.tables["insurances"].set_index(["kind", "arm", "outcome"])["cost"]
    # Nothing that migrates is lost, and what one repository held alone is.
    assert costs["repository", PLAIN, "readable"] > 0.1
    assert costs["repository", "migration of all records", "readable"] == pytest.approx(0.0, abs=1e-9)
    # Labs lose their model for as long as they learn another; with open weights they keep it.
    assert costs["model", PLAIN, "unsteered_share"] > 0
    assert costs["model", "open weights", "unsteered_share"] == 0
    shares = found.tables["channels"].set_index(["kind", "outcome", "channel"])["cost"]
    assert shares["repository", "readable", "data"] > 0.9 * costs["repository", PLAIN, "readable"]
    for kind in KINDS:
        for outcome in OUTCOMES:
            parts = sum(shares[kind, outcome, name] for name in (*CHANNELS[kind], ALL))
            assert parts == pytest.approx(costs[kind, PLAIN, outcome], abs=1e-9)
    assert all(math.isfinite(f.estimate.value) for f in found.findings)
    assert len(draw(found).axes) == 4
