"""Studies that feed the paper's figures, in two sizes: `quick` (minutes, under the quick preset) and `full`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from mpbf_abm.evidence.assessments import histories
from mpbf_abm.model.interventions import POLICIES, Policy
from mpbf_abm.parameters import PRESETS
from mpbf_abm.studies.definition import Arm, Outcome, Replicates, Series
from mpbf_abm.studies.design import Design
from mpbf_abm.studies.study import Study

Profile = Literal["quick", "full"]
PROFILES: tuple[Profile, ...] = ("quick", "full")
CROWD = ["planners.reinforcement", "curators.reinforcement"]
SEARCH = ["planners.exploration", "curators.exploration"]
FLOOR = 0.6  # strength of the floor on exploration
# Budget of experiments a planner has in a tick, for the distributions of outcomes.
BUDGETS = (0.1, 0.2, 0.4)


def _size(profile: Profile, quick: int, full: int) -> int:
    return quick if profile == "quick" else full


def _arm(policy: str, ticks: int, strength: float | None = None) -> Arm:
    """Arm of a policy that starts at a fifth of the run."""
    return Arm.of(Policy(name=policy, start=ticks // 5, strength=strength))


def _learners(profile: Profile) -> dict[str, Any]:
    """Parameters of learners that a profile fixes."""
    return dict(PRESETS["single-quick" if profile == "quick" else "single-default"])


def courses(profile: Profile) -> Study:
    """Communities at default reinforcement and of followers, with and without a floor on exploration."""
    ticks = _size(profile, 40, 120)
    return Study(
        name="courses",
        question="What flows between curators, models and planners, and what becomes of an early corpus?",
        ticks=ticks,
        model=histories.course,
        parameters=_learners(profile) | {"gamma": {"paths": CROWD, "values": [1.05, 2.0]}},
        design=Design(kind="grid"),
        replicates=Replicates(n=_size(profile, 8, 64)),
        policies=(_arm("exploration_floor", ticks, FLOOR),),
        outcomes={name: Outcome() for name in histories.COURSE_OUTCOMES},
        series=Series(of=histories.COURSE_SERIES, every=4),
    )


def twins(profile: Profile) -> Study:
    """Pairs of histories that differ by an early deposit of a fiftieth of the records."""
    return Study(
        name="twins",
        question="Does a small early difference grow, last or fade?",
        ticks=_size(profile, 40, 120),
        model=histories.twins,
        parameters=_learners(profile)
        | {"deposit": 0.02, "founding.concentration": 0.0, "gamma": {"paths": CROWD, "values": [0.5, 1.05, 2.0]}},
        design=Design(kind="grid"),
        replicates=Replicates(n=_size(profile, 6, 40)),
        outcomes={name: Outcome() for name in ("first", "last", "growth")},
        series=Series(of=histories.TWIN_SERIES, every=2),
    )


def removal(profile: Profile) -> Study:
    """Networks of repositories, models and labs, with one to three providers each."""
    return Study(
        name="removal",
        question="How does the network of repositories, models and labs hold when nodes go?",
        ticks=_size(profile, 12, 60),
        model=histories.removal,
        parameters=_learners(profile) | {"infrastructure.providers": {"values": [1, 2, 3]}},
        design=Design(kind="grid"),
        replicates=Replicates(n=_size(profile, 6, 40)),
        outcomes={name: Outcome() for name in histories.REMOVAL_OUTCOMES},
    )


def urns(profile: Profile) -> Study:
    """Null communities over reinforcement and exploration."""
    points = _size(profile, 9, 17)
    return Study(
        name="urns",
        question="Where does a community without models lock in?",
        ticks=_size(profile, 200, 400),
        model=histories.urn,
        parameters={
            "space.materials": 20,
            "space.families": 5,
            "founding.records": 0,
            "founding.mass": 4.0,
            "planners.count": 0,
            "curators.count": 5,
            "curators.records": 4,
            "curators.reinforcement": {"low": 1.0, "high": 3.0},
            "curators.exploration": {"low": 0.0, "high": 0.8},
        },
        design=Design(kind="grid", levels=points),
        replicates=Replicates(n=_size(profile, 10, 60)),
        outcomes={name: Outcome() for name in histories.URN_OUTCOMES},
    )


def warnings(profile: Profile) -> Study:
    """Null communities whose exploration falls towards the threshold of lock-in, and others whose exploration stays."""
    return Study(
        name="warnings",
        question="Does a community say that it is about to lock in?",
        ticks=_size(profile, 200, 400),
        model=histories.approach,
        parameters={
            "space.materials": 20,
            "space.families": 2,
            "founding.records": 0,
            "founding.mass": 200.0,
            "planners.count": 0,
            "curators.count": 5,
            "curators.records": 8,
            "curators.reinforcement": 2.0,
            "commons.forgetting": 0.1,
            "high": 0.9,
            "low": 0.9,
        },
        replicates=Replicates(n=_size(profile, 30, 200)),
        policies=(Arm(label="approaching", parameters={"low": 0.5}),),
        outcomes={name: Outcome() for name in histories.WARNING_OUTCOMES},
        series=Series(of=histories.WARNING_SERIES, every=2),
    )


def policies(profile: Profile) -> Study:
    """Every policy under uncertainty about the community."""
    spans: dict[str, Any] = {
        "gamma": {"paths": CROWD, "low": 1.0, "high": 2.5},
        "eps": {"paths": SEARCH, "low": 0.02, "high": 0.4},
        "planners.publication_bias": {"low": 0.0, "high": 1.0},
        "planners.social": {"low": 0.0, "high": 0.9},
        "trainers.reuse": {"low": 0.0, "high": 0.8},
        "trainers.invariance": {"low": 0.3, "high": 1.0},
        "curators.provenance_errors": {"low": 0.0, "high": 0.3},
        "infrastructure.openness": {"low": 0.0, "high": 0.8},
        "coupling.pseudo_share": {"low": 0.0, "high": 0.5},
        "space.bias_sd": {"low": 0.2, "high": 1.2},
        "stocks.hazard": {"low": 0.0005, "high": 0.02, "scale": "log"},
        "stocks.merit_share": {"low": 0.0, "high": 0.9},
    }
    ticks = _size(profile, 30, 120)
    chosen = (
        ("exploration_floor", "coverage_mandate", "redundancy", "compute_cap")
        if profile == "quick"
        else tuple(POLICIES)
    )
    return Study(
        name="policies",
        question="Which policies help, how much and how surely, when much is uncertain?",
        ticks=ticks,
        preset="single-quick" if profile == "quick" else "single-default",
        parameters=spans,
        design=Design(kind="lhs", n=_size(profile, 24, 64)),
        replicates=Replicates(n=2),
        policies=tuple(_arm(name, ticks) for name in chosen),
        outcomes={
            "found_share": Outcome(better="more", smallest=0.02, primary=True),
            "families_d1": Outcome(better="more", smallest=3.0, primary=True),
            "rmse_niche": Outcome(better="less", smallest=0.02),
            "leading_share": Outcome(better="less"),
            "locked_in": Outcome(of="leading_share", above=0.3, better="less"),
        },
    )


def budgets(profile: Profile) -> Study:
    """Two policies at three budgets: distributions of finds and breadth."""
    ticks = _size(profile, 30, 120)
    return Study(
        name="budgets",
        question="How are outcomes distributed over histories, by policy and budget?",
        ticks=ticks,
        preset="single-quick" if profile == "quick" else "single-default",
        parameters={**dict.fromkeys(CROWD, 2.0), "planners.experiments": {"values": list(BUDGETS)}},
        design=Design(kind="grid"),
        replicates=Replicates(n=_size(profile, 12, 80)),
        policies=(_arm("exploration_floor", ticks, FLOOR), _arm("coverage_mandate", ticks)),
        outcomes={
            "found_share": Outcome(better="more", smallest=0.02, primary=True),
            "families_d1": Outcome(better="more", smallest=3.0),
            "leading_share": Outcome(better="less"),
        },
    )


def indices(profile: Profile) -> Study:
    """Variance of the headline outcomes by five parameters and by chance."""
    return Study(
        name="indices",
        question="How much of the variance of finds and breadth does each parameter explain, and how much is chance?",
        ticks=_size(profile, 24, 120),
        preset="single-quick" if profile == "quick" else "single-default",
        parameters={
            "gamma": {"paths": CROWD, "low": 1.0, "high": 3.0},
            "eps": {"paths": SEARCH, "low": 0.0, "high": 0.5},
            "planners.steering_gain": {"low": 0.0, "high": 2.0},
            "infrastructure.openness": {"low": 0.0, "high": 0.9},
            "space.ruggedness": {"low": 3.0, "high": 12.0, "scale": "log"},
        },
        design=Design(kind="saltelli", n=_size(profile, 8, 64)),
        replicates=Replicates(n=2),
        outcomes={
            "found_share": Outcome(better="more", primary=True),
            "families_d1": Outcome(better="more", primary=True),
        },
    )


STUDIES: dict[str, Callable[[Profile], Study]] = {
    f.__name__: f for f in (courses, twins, removal, urns, warnings, policies, budgets, indices)
}
