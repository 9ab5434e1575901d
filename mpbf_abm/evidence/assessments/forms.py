"""Which headline results depend on the form of a formula? All sixteen combinations of the four formulas' two forms.

The source describes its formulas in words; their forms are this model's own choice, and each has an alternative. A result that holds under every
combination, and that no form moves, does not hang on that choice.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpbf_abm.evidence.assessments.assessment import Battery, Finding, Report, Setting, materials
from mpbf_abm.model.interventions import Policy
from mpbf_abm.model.run import simulate
from mpbf_abm.model.shocks import Shock
from mpbf_abm.stats.estimates import Estimate
from mpbf_abm.stats.paired import simultaneous_intervals

Float = NDArray[np.float64]

FORMS = ("boundary_shift", "integrity", "steering", "tradeoff")
COMBINATIONS = tuple(itertools.product(("chosen", "alternative"), repeat=len(FORMS)))
OUTCOMES = ("found_share", "families_d1", "rmse_niche", "inherited_bias", "leading_share")
BASE = "as it is"
ROUNDING = 1e-12  # what sums of equal effects differ by


@dataclass(frozen=True)
class Arm:
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
ARMS = {
    BASE: Arm(),
    "strong reinforcement": Arm(CROWD),
    "strong reinforcement, exploration floor": Arm(CROWD, "exploration_floor"),
    "coverage mandate": Arm(policy="coverage_mandate"),
    "no outer loop": Arm({"coupling.outer_loop": 0.0}),
    "no invariance": Arm({"trainers.invariance": 0.0}),
    "simulated labels only": Arm({"trainers.labels": "simulated"}),
    "largest repository lost": Arm(shock="repository_outage"),
}


@dataclass(frozen=True)
class Headline:
    """A result: by the difference of an outcome between two arms on the same draws, and the direction claimed for it."""

    words: str
    arm: str
    against: str
    outcome: str
    sign: int


HEADLINES = (
    Headline("strong reinforcement narrows the search", "strong reinforcement", BASE, "families_d1", -1),
    Headline("strong reinforcement finds less", "strong reinforcement", BASE, "found_share", -1),
    Headline(
        "an exploration floor brings breadth back",
        "strong reinforcement, exploration floor",
        "strong reinforcement",
        "families_d1",
        1,
    ),
    Headline(
        "an exploration floor brings finds back",
        "strong reinforcement, exploration floor",
        "strong reinforcement",
        "found_share",
        1,
    ),
    Headline("a coverage mandate widens the search", "coverage mandate", BASE, "families_d1", 1),
    Headline("a coverage mandate lowers the error in rare families", "coverage mandate", BASE, "rmse_niche", -1),
    Headline("without the outer loop less is found", "no outer loop", BASE, "found_share", -1),
    Headline("without invariance less is found", "no invariance", BASE, "found_share", -1),
    Headline("simulated labels alone hand on more of their bias", "simulated labels only", BASE, "inherited_bias", 1),
    Headline("the loss of the largest repository costs finds", "largest repository lost", BASE, "found_share", -1),
)


def tasks(setting: Setting) -> list[tuple[int, int]]:
    """Every combination and seed; arms share the materials space."""
    return [(c, seed) for seed in setting.seeds() for c in range(len(COMBINATIONS))]


def measure(setting: Setting, task: tuple[int, int]) -> dict[str, dict[str, float]]:
    """Outcomes of all arms under one combination of forms."""
    index, seed = task
    p = setting.parameters.updated({f"layers.{f}": v for f, v in zip(FORMS, COMBINATIONS[index], strict=True)})
    start, out = max(1, setting.ticks // 5), {}
    space = materials(setting.parameters, seed)
    for name, arm in ARMS.items():
        policies = [*setting.policies, *([Policy(name=arm.policy, start=start)] if arm.policy else [])]
        shock = Shock(name=arm.shock, start=start, target="largest") if arm.shock else None
        run = simulate(
            p.updated(dict(arm.changes)),
            seed=seed,
            ticks=setting.ticks,
            policies=policies,
            shocks=[*setting.shocks, *([shock] if shock else [])],
            space=space,
            record=(),
        )
        out[name] = {o: float(run.summary[o]) for o in OUTCOMES}
    return out


# --------------------------------------------------------------------------- what came out


def effects(setting: Setting, values: Mapping[Any, dict[str, dict[str, float]]]) -> Float:
    """Paired effects of every headline under every combination (replicates, combinations, headlines)."""
    return np.array(
        [
            [
                [values[c, seed][h.arm][h.outcome] - values[c, seed][h.against][h.outcome] for h in HEADLINES]
                for c in range(len(COMBINATIONS))
            ]
            for seed in setting.seeds()
        ]
    )


def report(setting: Setting, values: Mapping[Any, dict[str, dict[str, float]]]) -> Report:
    """Effects under every combination, how many agree, and what each form moves."""
    x = effects(setting, values)
    R, C, H = x.shape
    under = simultaneous_intervals(x.reshape(R, C * H), events=[False] * (C * H), seed=setting.seed)
    mean, low, high = (v.reshape(C, H) for v in (under.mean, under.low, under.high))
    alternative = np.array([[v == "alternative" for v in combination] for combination in COMBINATIONS])
    # What a form moves: mean over the eight combinations with its alternative, less that over the other eight.
    contrast = np.where(alternative, 1.0, -1.0) / (C / 2)
    moved = np.einsum("rch,cf->rhf", x, contrast).reshape(R, H * len(FORMS))
    moved[np.abs(moved) < ROUNDING] = 0.0
    held = simultaneous_intervals(moved, events=[False] * moved.shape[1], seed=setting.seed)
    by_form = {k: v.reshape(H, len(FORMS)) for k, v in (("mean", held.mean), ("low", held.low), ("high", held.high))}
    findings, rows = [], []
    for h, headline in enumerate(HEADLINES):
        surely = (low[:, h] > 0) if headline.sign > 0 else (high[:, h] < 0)
        against = (high[:, h] < 0) if headline.sign > 0 else (low[:, h] > 0)
        moves = [f for i, f in enumerate(FORMS) if by_form["low"][h, i] > 0 or by_form["high"][h, i] < 0]
        verdict = f"surely so in {int(surely.sum())} of {C}" + (
            f", surely not in {int(against.sum())}" if against.any() else ""
        )
        reading = f"{verdict}; " + (f"moved by the form of {', '.join(moves)}" if moves else "no form surely moves it")
        every = x[:, :, h].mean(axis=1)
        interval = simultaneous_intervals(every[:, None], events=[False], seed=setting.seed)
        estimate = Estimate(
            float(every.mean()), float(interval.error[0]), float(interval.low[0]), float(interval.high[0])
        )
        findings.append(Finding(f"{headline.words}: {headline.outcome}", estimate, 0.0, R, reading))
        rows += [
            {
                "headline": headline.words,
                "outcome": headline.outcome,
                "claimed": "+" if headline.sign > 0 else "-",
                **dict(zip(FORMS, combination, strict=True)),
                "effect": mean[c, h],
                "low": low[c, h],
                "high": high[c, h],
            }
            for c, combination in enumerate(COMBINATIONS)
        ]
    forms = [
        {"headline": h.words, "form": f, **{k: by_form[k][i, j] for k in by_form}}
        for i, h in enumerate(HEADLINES)
        for j, f in enumerate(FORMS)
    ]
    return Report(tuple(findings), {"combinations": pd.DataFrame(rows), "forms": pd.DataFrame(forms)})


ROBUSTNESS = Battery(
    "forms", "Which headline results depend on the form of a formula?", tasks, measure, report, replicates=12
)
