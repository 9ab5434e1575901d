"""Which headline results depend on the form of a formula? All sixteen combinations of the four formulas' two forms.

The source describes its formulas in words; their forms are this model's own choice, and each has an alternative. A
result that holds under every combination, and that no form moves, does not hang on that choice.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from mpbf_abm.arrays import Float
from mpbf_abm.evidence.assessments.assessment import Assessment, Finding, Report, Setting, materials
from mpbf_abm.model.interventions import Policy
from mpbf_abm.model.run import simulate
from mpbf_abm.model.shocks import Shock
from mpbf_abm.stats.estimates import Estimate
from mpbf_abm.stats.paired import simultaneous_intervals

FORMS = ("boundary_shift", "integrity", "steering", "tradeoff")
COMBINATIONS = tuple(itertools.product(("chosen", "alternative"), repeat=len(FORMS)))
OUTCOMES = ("found_share", "families_d1", "rmse_niche", "inherited_bias", "leading_share")
BASE = "as it is"
ROUNDING = 1e-12  # what sums of equal effects differ by


@dataclass(frozen=True)
class FormsArm:
    """A community beside the one that is examined.

    Attributes
    ----------
    changes : mapping of str to value
        Parameters that differ.
    policy, shock : str
        Name of what is in force from a fifth of the run on; empty for none.
    """

    changes: Mapping[str, Any] = field(default_factory=dict)
    policy: str = ""
    shock: str = ""


CROWD = {"planners.reinforcement": 2.0, "curators.reinforcement": 2.0}
STRONG, FLOOR, MANDATE, OPEN = (
    "strong reinforcement",
    "strong reinforcement, exploration floor",
    "coverage mandate",
    "no outer loop",
)
BLIND, SIMULATED, LOST = "no invariance", "simulated labels only", "largest repository lost"
ARMS = {
    BASE: FormsArm(),
    STRONG: FormsArm(CROWD),
    FLOOR: FormsArm(CROWD, "exploration_floor"),
    MANDATE: FormsArm(policy="coverage_mandate"),
    OPEN: FormsArm({"coupling.outer_loop": 0.0}),
    BLIND: FormsArm({"trainers.invariance": 0.0}),
    SIMULATED: FormsArm({"trainers.labels": "simulated"}),
    LOST: FormsArm(shock="repository_outage"),
}


@dataclass(frozen=True)
class Headline:
    """A result: the difference of an outcome between two arms on the same draws, and the direction claimed for it."""

    words: str
    arm: str
    against: str
    outcome: str
    sign: int


HEADLINES = (
    Headline("strong reinforcement narrows the search", STRONG, BASE, "families_d1", -1),
    Headline("strong reinforcement discovers less", STRONG, BASE, "found_share", -1),
    Headline("an exploration floor brings breadth back", FLOOR, STRONG, "families_d1", 1),
    Headline("an exploration floor brings discoveries back", FLOOR, STRONG, "found_share", 1),
    Headline("a coverage mandate widens the search", MANDATE, BASE, "families_d1", 1),
    Headline("a coverage mandate lowers the error in rare families", MANDATE, BASE, "rmse_niche", -1),
    Headline("without the outer loop less is found", OPEN, BASE, "found_share", -1),
    Headline("without invariance less is found", BLIND, BASE, "found_share", -1),
    Headline("simulated labels alone hand on more of their bias", SIMULATED, BASE, "inherited_bias", 1),
    Headline("the loss of the largest repository costs discoveries", LOST, BASE, "found_share", -1),
)


def tasks(setting: Setting) -> list[tuple[int, int]]:
    """Return every combination and seed; arms share the materials space."""
    return [(c, seed) for seed in setting.seeds() for c in range(len(COMBINATIONS))]


def measure(setting: Setting, task: tuple[int, int]) -> dict[str, dict[str, float]]:
    """Return outcomes of all arms under one combination of forms."""
    index, seed = task
    spec = setting.spec(seed, materials(setting.parameters, seed))
    chosen = {f"layers.{form}": kind for form, kind in zip(FORMS, COMBINATIONS[index], strict=True)}
    start, out = max(1, setting.ticks // 5), {}
    for name, arm in ARMS.items():
        policies = (Policy(name=arm.policy, start=start),) if arm.policy else ()
        shocks = (Shock(name=arm.shock, start=start, target="largest"),) if arm.shock else ()
        p = spec.parameters.updated({**chosen, **arm.changes})
        events = {"policies": (*spec.policies, *policies), "shocks": (*spec.shocks, *shocks)}
        run = simulate(spec.changed(parameters=p, **events), record=())
        out[name] = {o: float(run.summary[o]) for o in OUTCOMES}
    return out


# --------------------------------------------------------------------------- what came out


def effects(setting: Setting, values: Mapping[Any, dict[str, dict[str, float]]]) -> Float:
    """Return paired effects of every headline under every combination (replicates, combinations, headlines)."""
    runs = [[values[c, seed] for c in range(len(COMBINATIONS))] for seed in setting.seeds()]
    return np.array([[[_effect(outcomes, h) for h in HEADLINES] for outcomes in run] for run in runs])


def _effect(outcomes: dict[str, dict[str, float]], h: Headline) -> float:
    """Return the difference that a headline is about."""
    return outcomes[h.arm][h.outcome] - outcomes[h.against][h.outcome]


def _reading(headline: Headline, low: Float, high: Float, moves: Sequence[str]) -> str:
    """Say from a headline's intervals in how many combinations it is surely so, and which forms move it."""
    above, below = (low > 0).sum(), (high < 0).sum()
    surely, against = (above, below) if headline.sign > 0 else (below, above)
    verdict = f"surely so in {surely} of {len(low)}" + (f", surely not in {against}" if against else "")
    return f"{verdict}; " + (f"moved by the form of {', '.join(moves)}" if moves else "no form surely moves it")


def report(setting: Setting, values: Mapping[Any, dict[str, dict[str, float]]]) -> Report:
    """Report effects under every combination, how many agree, and what each form moves."""
    x = effects(setting, values)
    R, C, H = x.shape
    under = simultaneous_intervals(x.reshape(R, C * H), events=[False] * (C * H), seed=setting.seed)
    mean, low, high = (v.reshape(C, H) for v in (under.mean, under.low, under.high))
    alternative = np.array([[v == "alternative" for v in combination] for combination in COMBINATIONS])
    # What a form moves: mean over the eight combinations with its alternative, less that over the other eight.
    moved = np.einsum("rch,cf->rhf", x, np.where(alternative, 1.0, -1.0) / (C / 2)).reshape(R, H * len(FORMS))
    moved[np.abs(moved) < ROUNDING] = 0.0
    held = simultaneous_intervals(moved, events=[False] * moved.shape[1], seed=setting.seed)
    by_form = {k: v.reshape(H, len(FORMS)) for k, v in (("mean", held.mean), ("low", held.low), ("high", held.high))}
    findings, rows = [], []
    for h, headline in enumerate(HEADLINES):
        moves = [f for i, f in enumerate(FORMS) if by_form["low"][h, i] > 0 or by_form["high"][h, i] < 0]
        reading = _reading(headline, low[:, h], high[:, h], moves)
        every = x[:, :, h].mean(axis=1)
        one = simultaneous_intervals(every[:, None], events=[False], seed=setting.seed)
        estimate = Estimate(float(every.mean()), float(one.error[0]), float(one.low[0]), float(one.high[0]))
        findings.append(Finding(f"{headline.words}: {headline.outcome}", estimate, 0.0, R, reading))
        claim = (headline.words, headline.outcome, "+" if headline.sign > 0 else "-")
        for c, combination in enumerate(COMBINATIONS):
            rows.append((*claim, *combination, mean[c, h], low[c, h], high[c, h]))
    forms = [
        (h.words, form, *(by_form[k][i, j] for k in by_form))
        for i, h in enumerate(HEADLINES)
        for j, form in enumerate(FORMS)
    ]
    columns = ["headline", "outcome", "claimed", *FORMS, "effect", "low", "high"]
    tables = {"combinations": pd.DataFrame(rows, columns=columns)}
    tables["forms"] = pd.DataFrame(forms, columns=["headline", "form", *by_form])
    return Report(tuple(findings), tables)


QUESTION = "Which headline results depend on the form of a formula?"
ROBUSTNESS = Assessment("forms", QUESTION, tasks, measure, report, replicates=12)
