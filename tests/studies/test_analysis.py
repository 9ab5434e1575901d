"""Analyses on studies whose answers are known: effects, robustness, sensitivity, discovery, and refusals."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import toys

from mpbf_abm.errors import ConfigurationError
from mpbf_abm.figures import of_studies as figures
from mpbf_abm.stats.paired import reduction
from mpbf_abm.studies.analyses import (
    compare,
    discover,
    distributions,
    morris_effects,
    pairs_needed,
    phase,
    robustness,
    sensitivity,
    verdict,
)
from mpbf_abm.studies.definition import Arm, Outcome, StudyDefinition
from mpbf_abm.studies.driver import run_study
from mpbf_abm.studies.report import report
from mpbf_abm.studies.results import Results

counter = itertools.count()
ARMS = (
    Arm(label="good", parameters={"d": 0.5}),
    Arm(label="null", parameters={"d": 0.0}),
    Arm(label="noisy", parameters={"d": 0.0, "own": 1.0}),
)
OUTCOMES = {
    "y": Outcome(better="more", smallest=0.2, primary=True, acceptable=1.0),
    "high": Outcome(of="y", above=1.0, better="less"),
    "y2": Outcome(of="y"),
}


def answer(run: Any) -> Any:
    """Y = 2 x + x z + d + noise; arm `noisy` draws its own noise; the series grow towards y."""
    v = run.values
    rng = np.random.default_rng([run.seed, int(v.get("own", 0))])
    y = 2 * v["x"] + v["x"] * v["z"] + v.get("d", 0.0) + v.get("noise", 0.3) * rng.normal()
    if v.get("gap") is not None and run.replicate == 1 and abs(v["x"] - v["gap"]) < 1e-9:
        y = float("nan")
    return {"y": y}, np.linspace(0, 1, len(run.kept))[:, None] * np.full(len(run.series), y)


def study(**fields: Any) -> StudyDefinition:
    given: dict[str, Any] = {
        "name": "known",
        "model": answer,
        "parameters": {"x": {"low": 0.0, "high": 1.0}, "z": {"low": 0.0, "high": 1.0}},
        "policies": ARMS,
        "design": {"kind": "lhs", "n": 64},
        "replicates": {"n": 6},
        "outcomes": OUTCOMES,
        "ticks": 8,
        "series": {"of": ("y",), "every": 2},
    }
    given["parameters"] = given["parameters"] | fields.pop("parameters", {})
    return StudyDefinition(**(given | fields))


@contextmanager
def ran(folder: Path, **fields: Any) -> Iterator[Results]:
    """Results of a study, run in this process."""
    out, s = folder / f"o{next(counter)}", study(**fields)
    run_study(s, out, workers=1)
    with Results.open(out, s) as results:
        yield results


# --------------------------------------------------------------------------- compare


def row(table: pd.DataFrame, **where: Any) -> Any:
    for name, value in where.items():
        table = table[table[name] == value]
    (only,) = table.to_dict("records")
    return only


def test_effects_are_found_with_their_verdicts(tmp_path: Path) -> None:
    with ran(tmp_path) as results:
        found = compare(results)
        table = found.table
        good, null, noisy = (row(table, outcome="y", arm=a) for a in ("good", "null", "noisy"))
        assert good["difference"] == pytest.approx(0.5)
        assert (good["verdict"], null["verdict"], noisy["verdict"]) == ("better", "identical", "equivalent")
        assert any(
            note.startswith("identical: the quantity has equal bits in every pair: y of null (384 pairs)")
            for note in found.notes
        )
        assert np.isnan(good["vrf"])
        assert noisy["vrf"] == pytest.approx(1.0, abs=0.2)
        assert good["share_better"] == 1.0
        assert null["share_better"] == 0.5
        assert good["share_harmed"] == 0.0
        assert 0.2 < noisy["share_harmed"] < 0.8
        assert (good["unit"], good["units"], good["pairs"]) == ("scenario", 64, 384)
        assert {row(table, outcome="y", arm=a)["role"] for a in ("good", "null")} == {"primary"}
        assert row(table, outcome="y2", arm="good")["verdict"] == "higher"
        assert row(table, outcome="high", arm="good")["verdict"] == "worse"
        assert any("pairing failed" in note and "y of noisy" in note for note in found.notes) == (noisy["vrf"] <= 1)
        assert compare(results, ["y"]).table["critical"].nunique() == 1


def scattered(run: Any) -> dict[str, float]:
    """Quantities that have nothing in common, in any arm."""
    return dict(zip("abcd", np.random.default_rng([run.seed, len(run.arm)]).normal(size=4).tolist(), strict=True))


def test_all_outcomes_of_all_arms_are_one_family_where_that_is_asked_for(tmp_path: Path) -> None:
    arms = (Arm(label="on", parameters={"p": 1.0}), Arm(label="off", parameters={"p": 2.0}))
    outcomes = {name: Outcome(better="more", primary=name in "ab") for name in "abcd"}
    s = StudyDefinition(name="scattered", model=scattered, policies=arms, replicates={"n": 30}, outcomes=outcomes)
    run_study(s, tmp_path, workers=1)
    with Results.open(tmp_path, s) as results:
        alone, together = compare(results), compare(results, together=True)
    assert alone.table.groupby("outcome")["critical"].first().round(9).nunique() == 3
    assert together.table["critical"].round(9).nunique() == 1
    width = [(found.table["high"] - found.table["low"]).to_numpy() for found in (alone, together)]
    assert (width[1] > width[0]).all()
    same = ["outcome", "arm", "role", "baseline", "treated", "difference", "vrf", "units", "pairs", "missing"]
    pd.testing.assert_frame_equal(alone.table[same], together.table[same])
    assert "all intervals hold together, over outcomes and arms" in together.notes[0]
    assert "those of an exploratory outcome over its arms" in alone.notes[0]


def extreme(run: Any) -> dict[str, float]:
    """An event and a quantity named like a share of the model, 1 in one arm and 0 in the other but for one pair."""
    y = float((run.arm == "on") != (run.replicate == 0))
    return {"y": y, "found_share": y + 1e-3 * run.replicate}


def test_intervals_of_events_stay_within_minus_one_and_one_and_those_of_other_quantities_need_not(
    tmp_path: Path,
) -> None:
    outcomes = {"event": Outcome(of="y", above=0.5), "found_share": Outcome()}
    s = StudyDefinition(
        name="extreme",
        model=extreme,
        policies=(Arm(label="on", parameters={"a": 1.0}),),
        replicates={"n": 6},
        outcomes=outcomes,
    )
    run_study(s, tmp_path, workers=1)
    with Results.open(tmp_path, s) as results:
        found = compare(results).table
    event, number = row(found, outcome="event"), row(found, outcome="found_share")
    assert event["high"] == 1.0
    assert event["low"] < event["difference"] < 1.0
    assert event["method"].endswith(", within -1 and 1")
    # A model of one's own may mean anything by a name.
    assert number["high"] > 1.0
    assert number["method"].endswith("simultaneous")


def judged(run: Any) -> dict[str, float]:
    """Quantities that an arm moves by much, by a bit, or not at all, and that are NaN in some runs."""
    y, moved = float(np.random.default_rng(run.seed).random()), run.arm == "moves"
    turn, gone = float(run.replicate % 2), run.replicate == 1
    return {
        "y": y + 2.0 * moved,
        "bit": np.nextafter(y, 9.0) if moved and run.replicate == 0 else y,
        "zero": -0.0 if moved else 0.0,
        "same": y,
        "gone": float("nan") if gone else y,
        "gone_in_one": float("nan") if gone and moved else y,
        "turn": turn,
        "turned": np.nextafter(turn, 9.0) if moved else turn,
    }


QUANTITIES = ("y", "bit", "zero", "same", "gone", "gone_in_one")
JUDGED = {name: Outcome(better="more", smallest=0.1) for name in QUANTITIES} | {
    "never": Outcome(of="y", above=6.0, better="less", smallest=0.9),
    "always": Outcome(of="y", above=-1.0, better="less", smallest=0.9),
    "never_same": Outcome(of="same", above=6.0),
    "often_same": Outcome(of="turn", above=0.5),
    "often": Outcome(of="turned", above=0.5),
}


@pytest.mark.parametrize("n", [2, 40])
def test_identical_is_said_of_quantities_that_are_equal_to_the_bit_in_every_pair_only(tmp_path: Path, n: int) -> None:
    arms = (Arm(label="moves", parameters={"a": 1.0}), Arm(label="rests", parameters={"a": 2.0}))
    s = StudyDefinition(name="judged", model=judged, policies=arms, replicates={"n": n}, outcomes=JUDGED)
    run_study(s, tmp_path, workers=1)
    with Results.open(tmp_path, s) as results:
        found = compare(results)
    said = {(r["outcome"], r["arm"]): r["verdict"] for r in found.table.to_dict("records")}
    still = {"never", "always", "never_same"}
    # One pair is not enough: `gone` is known in one less.
    few = {"gone"} if n == 2 else set()
    assert {name for name in JUDGED if said[name, "rests"] == "identical"} == set(JUDGED) - still - few
    assert {name for name in JUDGED if said[name, "moves"] == "identical"} == {"same", "gone", "often_same"} - few
    # An event that happened in no run, or in all, decides nothing, whatever its interval and the quantity.
    assert {said[name, arm] for name in still for arm in ("moves", "rests")} == {"undecided"}
    notes = "\n".join(found.notes)
    assert f"same of moves ({n} pairs)" in notes
    assert (f"gone of moves ({n - 1} pairs)" in notes) == (n > 2)
    assert f"never of moves ({n} pairs), never of rests ({n} pairs)" in notes
    assert said["often", "moves"] in ("undecided", "equivalent")
    assert said["y", "moves"] == ("better" if n > 2 else "undecided")


def test_replicates_are_units_where_scenarios_are_chosen(tmp_path: Path) -> None:
    grid = {"x": {"values": (0.0, 1.0)}, "z": {"values": (0.0, 1.0)}}
    with ran(tmp_path, design={"kind": "grid"}, parameters=grid, replicates={"n": 30}) as results:
        noisy = row(compare(results).table, outcome="y", arm="noisy")
        assert (noisy["unit"], noisy["units"], noisy["pairs"]) == ("replicate", 30, 120)
        pairs = results.values("y")[:, 3] - results.values("y")[:, 0]
        assert noisy["difference"] == pytest.approx(pairs.mean())
        spread = pairs.mean(axis=0).std(ddof=1) / np.sqrt(30)
        assert (noisy["high"] - noisy["low"]) / 2 == pytest.approx(noisy["critical"] * spread)


def test_missing_pairs_are_left_out_and_told(tmp_path: Path) -> None:
    with ran(
        tmp_path,
        design={"kind": "grid"},
        parameters={"x": {"values": (0.0, 1.0)}, "z": 0.5, "gap": 1.0},
        replicates={"n": 20},
    ) as results:
        assert np.isnan(results.values("y")).sum() == 4
        found = compare(results, ["y"])
        assert set(found.table["missing"]) == {1}
        assert set(found.table["units"]) == {19}
        assert any("pairs are missing" in note for note in found.notes)
        assert distributions(results, ["y"])["missing"].tolist() == [1, 1, 1, 1]


def test_a_verdict_is_read_off_an_interval() -> None:
    more, less, none = (Outcome(better=b, smallest=0.1) for b in ("more", "less", "none"))
    assert verdict(0.05, 0.3, more) == "better"
    assert verdict(0.05, 0.3, less) == "worse"
    assert verdict(-0.3, -0.05, less) == "better"
    assert verdict(0.05, 0.3, none) == "higher"
    assert verdict(-0.3, -0.05, none) == "lower"
    assert verdict(-0.05, 0.3, more) == "undecided"
    assert verdict(-0.1, 0.1, more) == "equivalent"
    assert verdict(0.01, 0.09, more) == "equivalent"
    assert verdict(-0.1, 0.1, Outcome(better="more")) == "undecided"
    assert verdict(float("nan"), float("nan"), more) == "undecided"
    assert pairs_needed(1.0, 1.96, more) == np.ceil(((1.96 + 0.8416) / 0.1) ** 2)
    assert np.isnan(pairs_needed(1.0, 1.96, Outcome()))


def test_the_variance_reduction_factor_is_pooled_within_scenarios() -> None:
    rng = np.random.default_rng(1)
    scenario, common = 100 * rng.normal(size=(5, 1)), rng.normal(size=(5, 400))
    a, b = scenario + common, scenario + common + 0.5 * rng.normal(size=(5, 400))
    expected = np.mean([(x.var(ddof=1) + y.var(ddof=1)) for x, y in zip(a, b, strict=True)]) / np.mean(
        [(y - x).var(ddof=1) for x, y in zip(a, b, strict=True)]
    )
    assert reduction(a, b) == pytest.approx(expected)
    assert 7 < reduction(a, b) < 11
    assert np.isnan(reduction(a[:, :1], b[:, :1]))
    # Pairs that differ by a constant: what pairing saves is not defined.
    assert np.isnan([reduction(a, a), reduction(a, a + 1), reduction(a, a + 0.1)]).all()


def test_chance_of_an_event_has_a_wilson_interval(tmp_path: Path) -> None:
    with ran(tmp_path) as results:
        table = distributions(results, ["high", "y"])
        high = row(table, outcome="high", arm="baseline")
        assert high["share_low"] < high["mean"] < high["share_high"]
        assert np.isnan(row(table, outcome="y", arm="baseline")["share_low"])


# --------------------------------------------------------------------------- robustness


def test_the_best_policy_is_first_by_every_criterion_of_value(tmp_path: Path) -> None:
    with ran(tmp_path) as results:
        found = robustness(results)
        table = found.table
        for rule in ("maximin", "maximax", "hurwicz", "laplace", "minimax regret", "90 % regret", "satisficing"):
            assert row(table, criterion=rule, arm="good")["rank"] == 1, rule
        for rule, part in table.groupby("criterion"):
            assert part["first_share"].sum() == pytest.approx(1), rule
        values = results.values("y").mean(axis=2)
        assert row(table, criterion="maximin", arm="good")["value"] == pytest.approx(values[:, 1].min())
        assert row(table, criterion="minimax regret", arm="baseline")["value"] == pytest.approx(
            (values.max(axis=1) - values[:, 0]).max()
        )
        assert row(table, criterion="satisficing", arm="null")["value"] == pytest.approx((values[:, 2] >= 1.0).mean())
        assert found.tables["regret"].shape == (64, 5)
        less = robustness(results, "high")
        assert (
            row(less.table, criterion="maximin", arm="null")["rank"]
            < row(less.table, criterion="maximin", arm="good")["rank"] + 1
        )
        with pytest.raises(ConfigurationError, match="'y2' does not say what is better"):
            robustness(results, "y2")


# --------------------------------------------------------------------------- sensitivity

TRUE_Y = {"x": (2 + 0.5) ** 2 / 12, "z": 0.25 / 12, "xz": 1 / 144}


@pytest.mark.nightly
def test_indices_of_a_saltelli_design_are_right_under_noise(tmp_path: Path) -> None:
    with ran(
        tmp_path, policies=(), design={"kind": "saltelli", "n": 512}, replicates={"n": 3}, parameters={"noise": 1.0}
    ) as results:
        found = sensitivity(results, ["y"])
        V = sum(TRUE_Y.values())
        x, z, dummy = (row(found.table, factor=f) for f in ("x", "z", "(dummy)"))
        assert x["total"] == pytest.approx((TRUE_Y["x"] + TRUE_Y["xz"]) / V, abs=0.1)
        assert z["total"] == pytest.approx((TRUE_Y["z"] + TRUE_Y["xz"]) / V, abs=0.1)
        assert dummy["total_low"] < 0 < dummy["total_high"]
        assert x["above_floor"]
        assert not dummy["above_floor"]
        assert x["stochastic_share"] == pytest.approx(1 / (1 + V), abs=0.03)
        assert any("too few rows" in note for note in found.notes) == (not found.table["adequate"].all())
        along = sensitivity(results, series="y")
        assert set(along.table["tick"]) == {3, 5, 7}
        assert row(along.tables["generalised"], factor="x")["total"] == pytest.approx(x["total"], abs=0.02)


def test_effects_of_a_morris_design_are_right(tmp_path: Path) -> None:
    with ran(tmp_path, policies=(), design={"kind": "morris", "n": 60}, replicates={"n": 3}) as results:
        found = sensitivity(results, ["y"])
        x, z = row(found.table, factor="x"), row(found.table, factor="z")
        effects, dropped = morris_effects(results, results.values("y")[:, 0])
        assert dropped == 0
        # A trajectory shares its draws, so that noise cancels and effects are exact.
        assert (effects[:, 0] > 2 - 1e-9).all()
        assert (effects[:, 0] < 3 + 1e-9).all()
        assert x["mu_star"] == pytest.approx(2.5, abs=0.15)
        assert z["mu_star"] == pytest.approx(0.5, abs=0.15)
        assert x["floor"] < 1e-9
        assert x["above_floor"]


def test_gaps_are_left_out_by_whole_blocks_and_many_are_refused(tmp_path: Path) -> None:
    with ran(tmp_path, policies=(), design={"kind": "saltelli", "n": 64}, replicates={"n": 2}) as results:
        values = results.values("y")
        values[7, 0, 1] = np.nan
        found = sensitivity(results, ["y"])
        assert set(found.table["dropped"]) == {1}
        assert set(found.table["rows"]) == {63}
        assert any("1 row blocks" in note for note in found.notes)
        values[::5, 0, 0] = np.nan
        with pytest.raises(ConfigurationError, match="64 of 64 row blocks lack a run or a value"):
            sensitivity(results, ["y"])
    with ran(tmp_path, policies=(), design={"kind": "morris", "n": 30}, replicates={"n": 2}) as results:
        results.values("y")[4, 0, 0] = np.nan
        assert set(sensitivity(results, ["y"]).table["trajectories"]) == {29}
        results.values("y")[:20, 0, 0] = np.nan
        with pytest.raises(ConfigurationError, match="trajectories lack"):
            sensitivity(results, ["y"])


def test_one_replicate_is_said_to_be_too_few(tmp_path: Path) -> None:
    for design in ({"kind": "saltelli", "n": 64}, {"kind": "morris", "n": 10}):
        with ran(tmp_path, policies=(), design=design, replicates={"n": 1}) as results:
            assert any("one replicate" in note for note in sensitivity(results, ["y"]).notes)


# --------------------------------------------------------------------------- discover


def test_a_box_is_found_where_the_outcome_is_high(tmp_path: Path) -> None:
    with ran(tmp_path, policies=(), design={"kind": "lhs", "n": 200}, replicates={"n": 2}) as results:
        found = discover(results, "y", above=1.8)
        x = row(found.table, factor="x")
        assert x["restricted"]
        assert 0.6 < x["low"] < 0.85
        assert x["quasi_p"] < 1e-6
        assert x["reproduced"] == 1.0
        chosen = row(found.tables["trajectory"], chosen=True)
        assert chosen["held_out_density"] > 0.7
        assert len(found.tables["points"]) == 200
        event = discover(results, "high")
        assert row(event.table, factor="x")["restricted"]


def test_discovery_in_noise_is_seen_through_by_the_held_out_half(tmp_path: Path) -> None:
    with ran(
        tmp_path, policies=(), design={"kind": "lhs", "n": 200}, replicates={"n": 1}, parameters={"noise": 1000.0}
    ) as results:
        found = discover(results, "y", above=600.0)
        chosen = row(found.tables["trajectory"], chosen=True)
        assert chosen["density"] > chosen["held_out_density"]


# --------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("analyse", "fields", "told"),
    [
        (compare, {"policies": ()}, "compare: the study has no arm other than the baseline"),
        (compare, {"design": {"kind": "morris", "n": 4}}, "compare: the scenarios of a morris design are no sample"),
        (
            robustness,
            {"design": {"kind": "single"}, "parameters": {"x": 0.5, "z": 0.5}},
            "robustness: the study has one scenario",
        ),
        (sensitivity, {}, r"sensitivity: a design of kind lhs cannot support it; use \[design\] kind = 'morris'"),
        (discover, {"design": {"kind": "lhs", "n": 10}}, "discover: 10 scenarios are too few"),
        (
            discover,
            {"design": {"kind": "saltelli", "n": 16}, "policies": ()},
            "discover: the scenarios of a saltelli design",
        ),
        (discover, {}, "discover: say what of 'y' is of interest"),
    ],
)
def test_what_a_design_cannot_support_is_refused(
    tmp_path: Path, analyse: Any, fields: dict[str, Any], told: str
) -> None:
    with ran(tmp_path, replicates={"n": 2}, **fields) as results, pytest.raises(ConfigurationError, match=told):
        analyse(results)


def test_unknown_names_bring_a_suggestion(tmp_path: Path) -> None:
    with ran(tmp_path, replicates={"n": 2}) as results:
        with pytest.raises(ConfigurationError, match="unknown outcome 'hihg'; did you mean 'high'"):
            compare(results, ["y", "hihg"])
        with pytest.raises(ConfigurationError, match="unknown arm 'goood'; did you mean 'good'"):
            discover(results, "y", arm="goood", above=1.0)
        with pytest.raises(ConfigurationError, match="no series of 'yy'; did you mean 'y'"):
            results.series_values("yy")


def test_runs_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with (
        ran(tmp_path, replicates={"n": 2}) as small,
        Results.open(small.store.path, study(replicates={"n": 40})) as results,
    ):
        with pytest.raises(ConfigurationError, match="9728 of 10240 runs lack a run"):
            robustness(results)
        assert compare(results, ["y"]).table["missing"].min() > 0
    with (
        Results.open(small.store.path, study(seed=9)) as nothing,
        pytest.raises(ConfigurationError, match="fewer than two pairs"),
    ):
        compare(nothing)


# --------------------------------------------------------------------------- figures and report


@pytest.mark.parametrize(
    ("analyse", "fields"),
    [
        (compare, {}),
        (robustness, {}),
        (sensitivity, {"policies": (), "design": {"kind": "saltelli", "n": 32}}),
        (lambda r: sensitivity(r, series="y"), {"policies": (), "design": {"kind": "saltelli", "n": 32}}),
        (sensitivity, {"policies": (), "design": {"kind": "morris", "n": 8}}),
        (lambda r: discover(r, "y", above=1.5), {}),
    ],
    ids=["compare", "robustness", "sobol", "along", "morris", "discover"],
)
def test_every_analysis_has_a_figure_of_the_same_bytes_each_time(
    tmp_path: Path, analyse: Any, fields: dict[str, Any]
) -> None:
    with ran(tmp_path, replicates={"n": 3}, **fields) as results:
        analysis = analyse(results)
        (first,) = figures.save(results, analysis, tmp_path / "a", (".svg",))
        (again,) = figures.save(results, analyse(results), tmp_path / "b", (".svg",))
        assert first.read_bytes() == again.read_bytes()
        assert first.stat().st_size > 2000


def test_a_grid_of_two_factors_has_a_phase_diagram(tmp_path: Path) -> None:
    grid = {"x": {"values": (0.0, 0.5, 1.0)}, "z": {"low": 0.0, "high": 1.0}}
    with ran(
        tmp_path, policies=(), design={"kind": "grid", "levels": 4}, parameters=grid, replicates={"n": 2}
    ) as results:
        found = phase(results, ["y", "high"])
        table = found.table
        assert table["outcome"].tolist() == ["high"] * 12 + ["y"] * 12
        one = table[(table["outcome"] == "y") & (table["x"] == 0.5) & (table["z"] == 1.0)].iloc[0]
        runs = results.values("y")[:, 0]
        here = runs[(results.scenarios["x"] == 0.5) & (results.scenarios["z"] == 1.0)][0]
        assert one["mean"] == pytest.approx(here.mean())
        assert one["high"] - one["mean"] == pytest.approx(12.7062 * here.std(ddof=1) / np.sqrt(2), rel=1e-4)
        share = table[table["outcome"] == "high"]
        assert ((share["low"] >= 0) & (share["high"] <= 1) & (share["low"] < share["high"])).all()
        (path, *_) = figures.save(results, found, tmp_path / "phase")
        assert path.stat().st_size > 5000


def test_a_phase_diagram_needs_a_grid_of_two(tmp_path: Path) -> None:
    with ran(tmp_path, replicates={"n": 1}) as results, pytest.raises(ConfigurationError, match="grid of two factors"):
        phase(results)


def test_the_report_says_what_was_done_and_found(tmp_path: Path) -> None:
    with ran(tmp_path, replicates={"n": 3}) as results:
        text = report(
            results,
            [compare(results), robustness(results)],
            {"compare": "compare.png"},
            ["sensitivity: not with this design"],
        )
        for words in (
            "# known",
            "64 scenarios (a Latin hypercube sample over 2 factors), 4 arms, 3 replicates of each",
            "Primary outcomes, declared before running: y",
            "768 runs planned, 768 done, 0 failed",
            results.hash,
            "model test_analysis:answer",
            "## Effects of policies",
            "![Effects of policies](compare.png)",
            "| x | 0 to 1 |",
            "| good | d = 0.5 |",
            "sensitivity: not with this design",
        ):
            assert words in text, words
        assert "nan" not in text.lower().replace("nano", "")


def test_a_nan_never_enters_silently(tmp_path: Path) -> None:
    model = toys.nan
    s = StudyDefinition(
        name="n",
        model=model,
        parameters={"x": {"values": tuple(float(i) for i in range(30))}},
        policies=[Arm(label="p", parameters={"q": 1.0})],
        design={"kind": "grid"},
        replicates={"n": 3},
        outcomes={"y": Outcome(better="more", primary=True)},
    )
    run_study(s, tmp_path / "o", workers=1)
    with Results.open(tmp_path / "o", s) as results:
        assert set(compare(results).table["missing"]) == {1}
        assert any("1 scenarios with a missing run" in note for note in robustness(results).notes)
        assert any("1 scenarios with a missing run" in note for note in discover(results, above=15.0).notes)
