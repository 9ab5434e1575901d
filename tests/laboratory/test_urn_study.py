"""The study of held-out draws: agreement where it is known, failures that are found, one real draw."""

import math

import numpy as np
import pandas as pd
import pytest

from mpbf_abm.evidence.assessments.effective_urn import (
    CLAIMS,
    FACTORS,
    FAMILIES,
    OUTCOMES,
    PLAIN,
    URN,
    agreement,
    evaluate,
    failures,
    parameters,
    report,
    study,
)
from mpbf_abm.studies.jobs import RunInput

N = 60


def draws(noise=0.0, seed=0):
    """Draws that come as foretold but for noise, which grows with exploration; nominal urns know nothing."""
    rng = np.random.default_rng(seed)
    d = {name: rng.uniform(*span) if isinstance(span, tuple) else 0.0 for name, (span, _) in FACTORS.items()}
    d = pd.DataFrame(
        {name: rng.uniform(0.1, 1.0, N) for name in d} | {"acquisition": "greedy", "pseudo_anchor": "model"}
    )
    d.insert(0, "scenario", range(N))
    for name in OUTCOMES:
        d[name] = rng.uniform(0.2, 0.9, N)
    e = noise * d["exploration"] * rng.normal(size=N)
    for i in range(FAMILIES):
        d[f"volume_{i}"], d[f"apart_{i}"] = 2.0, 0.0
        d[f"grown_{i}"] = d[f"grown_urn_{i}"] * np.exp(e)
    d["damage"], d["early"], d["leading"] = d["damage_urn"], d["early_urn"], d["leading_urn"]
    d["gamma_later"], d["eps_later"], d["bought"] = d["gamma_eff"], d["eps_eff"], 1.0
    d["bias_volume"], d["bias_grown"] = 2.0, 2.0 ** (d["loop_gain"] - 1.0)
    d["locked"] = (d["leading"] > 0.3) * 1.0
    return d


def test_draws_that_come_as_foretold_agree_exactly():
    found = report(draws(), list(FACTORS))
    claims = found.tables["claims"].set_index(["what", "by"])
    for claim in CLAIMS:
        row = claims.loc[(claim.what, claim.predictor)]
        if claim.predictor in (URN, "the early one", "L - 1"):
            assert row[["slope", "r2", "skill"]].to_numpy(float) == pytest.approx(1.0), claim
            assert row["error"] == pytest.approx(0.0, abs=1e-12)
        if claim.predictor == PLAIN:
            assert row["r2"] < 0.2
            assert row["skill"] < 0.3
    by = {f.measure: f.estimate.value for f in found.findings}
    assert by["E4 ends locked in (share above 0.3): AUC of the largest share that the fitted urn predicts"] == 1.0
    assert by["E4 share of draws on the right side of lock-in, by the fitted urn"] == 1.0
    assert by["E3 what the fitted urn's price of a reversal buys, over what it is for: median"] == 1.0
    assert by["E2 share of the variance of growth that is not chance of futures"] == 1.0


def test_agreement_is_least_squares_and_skill_is_about_the_identity():
    rng = np.random.default_rng(1)
    p = rng.normal(size=200)
    o = 0.5 * p + 1.0 + 0.3 * rng.normal(size=200)
    found = agreement(o, p)
    slope, intercept = np.polyfit(p, o, 1)
    assert (found["slope"], found["intercept"]) == pytest.approx((slope, intercept))
    assert found["r2"] == pytest.approx(np.corrcoef(o, p)[0, 1] ** 2)
    assert found["slope_low"] < 0.5 < found["slope_high"]
    assert found["skill"] < 0 < found["r2"]
    assert agreement(o, o)["skill"] == 1.0
    holed = o.copy()
    holed[:50] = math.nan
    assert (agreement(holed, p)["n"], agreement(holed, p)["left_out"]) == (150, 50)
    assert math.isnan(agreement(o[:2], p[:2])["slope"])


def test_where_the_urn_fails_is_found_and_chance_is_not():
    worst = failures(draws(noise=1.0), list(FACTORS)).iloc[0]
    assert (worst["what"], worst["factor"]) == ("exponent of a displaced share", "exploration")
    assert worst["rho"] > 0.4
    assert worst["p"] < 0.01
    rest = failures(draws(noise=1.0), list(FACTORS)).iloc[1:]
    assert (rest["p"] > 0.01).all()


def test_one_real_draw_has_every_outcome_and_a_figure():
    from mpbf_abm.figures.of_assessments import effective_urn as draw

    values = {n: (span[0] if isinstance(span, list) else 0.5 * (span[0] + span[1])) for n, (span, _) in FACTORS.items()}
    p = parameters(values)
    assert p.planners.reinforcement == p.curators.reinforcement == values["reinforcement"]
    run = RunInput(values=values, arm="", policies=(), shocks=(), seed=3, replicate=0, ticks=20, series=(), kept=[])
    out = evaluate(run)
    assert set(out) == set(OUTCOMES)
    assert out["volume_0"] > 1.0
    assert 0.0 <= out["locked"] <= 1.0
    assert len(draw(report(draws(), list(FACTORS))).axes) == 6


def test_the_study_is_a_latin_hypercube_over_all_factors():
    made = study("urn", 20)
    assert made.plan().count() == 20
    assert set(made.parameters) == set(FACTORS)


@pytest.mark.parametrize(
    ("option", "line"), [("--draws=3", "must be at least 12"), ("--seed=x", "must be a whole number")]
)
def test_faults_are_told_in_one_line(option, line, capsys):
    from mpbf_abm.cli import main

    with pytest.raises(SystemExit) as end:
        main(["lab", "urn", option])
    assert end.value.code == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1
    assert line in told[0]
