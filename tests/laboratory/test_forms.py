"""Combinations of formula forms: contrasts of constructed effects, and real runs."""

import numpy as np
import pytest

from mpbf_abm import Parameters
from mpbf_abm.evidence.assessments.assessment import Setting
from mpbf_abm.evidence.assessments.forms import (
    ARMS,
    BASE,
    COMBINATIONS,
    FORMS,
    HEADLINES,
    OUTCOMES,
    measure,
    report,
    tasks,
)
from mpbf_abm.parameters import PATHS


def outcomes(setting, effect):
    """Outcomes of all arms: noise of the seed, which pairing takes off, and effects of (combination, seed) on them."""
    values = {}
    for c, seed in tasks(setting):
        noise = np.random.default_rng(seed).normal(size=len(OUTCOMES)) * 10
        values[c, seed] = {
            name: {o: float(noise[i] + (effect(c, seed) if name != BASE else 0.0)) for i, o in enumerate(OUTCOMES)}
            for name in ARMS
        }
    return values


def jitter(seed):
    return 0.05 * np.random.default_rng([seed, 9]).normal()


def test_every_combination_once():
    assert len(set(COMBINATIONS)) == 16 == 2 ** len(FORMS)
    assert COMBINATIONS[0] == ("chosen",) * 4
    assert all(f"layers.{form}" in PATHS for form in FORMS)
    assert all(h.arm in ARMS and h.against in ARMS and h.outcome in OUTCOMES for h in HEADLINES)


def test_an_effect_that_no_form_moves_holds_everywhere():
    setting = Setting(Parameters.preset("single-default"), replicates=12)
    found = report(setting, outcomes(setting, lambda _, seed: 1.0 + jitter(seed)))
    up = [f for f, h in zip(found.findings, HEADLINES, strict=True) if h.sign > 0 and h.against == BASE]
    assert all(f.reading == "surely so in 16 of 16; no form surely moves it" for f in up)
    down = [f for f, h in zip(found.findings, HEADLINES, strict=True) if h.sign < 0]
    assert all(f.reading.startswith("surely so in 0 of 16, surely not in 16") for f in down)
    assert all(f.estimate.value == pytest.approx(1.0, abs=0.05) for f in up)


def test_the_form_that_moves_a_result_is_named():
    setting, i = Setting(Parameters.preset("single-default"), replicates=12), FORMS.index("steering")
    moved = outcomes(
        setting, lambda c, seed: (2.0 if COMBINATIONS[c][i] == "alternative" else 1.0) + jitter(100 * seed + c)
    )
    found = report(setting, moved)
    named = [f.reading for f, h in zip(found.findings, HEADLINES, strict=True) if h.against == BASE and h.sign > 0]
    assert named == ["surely so in 16 of 16; moved by the form of steering"] * len(named)
    table = found.tables["forms"]
    steering = table[(table["form"] == "steering") & (table["headline"] == HEADLINES[4].words)].iloc[0]
    assert steering["mean"] == pytest.approx(1.0, abs=0.05)


def test_real_communities_run_under_every_form():
    from mpbf_abm.figures.of_assessments import forms as draw

    p = Parameters.preset("single-quick").updated(
        {"space.families": 10, "space.materials": 1_000, "founding.records": 200}
    )
    setting = Setting(p, replicates=2, ticks=6)
    one = measure(setting, (15, 1))
    assert set(one) == set(ARMS)
    # Forms that nothing depends on yet, in the first ticks, leave the search as it is.
    assert all(np.isfinite(v["families_d1"]) for v in one.values())
    values = {(c, s): measure(setting, (c, s)) if (c, s) in ((0, 1), (15, 2)) else one for c, s in tasks(setting)}
    assert len(draw(report(setting, values)).axes) == len(HEADLINES)
