"""The verification suite: every row passes, wrong rules are noticed, and the command tells what came out."""

import json
import math
from dataclasses import asdict
from functools import partial

import numpy as np
import pytest

from mpbf_abm import cli
from mpbf_abm.cli.console import Bar
from mpbf_abm.errors import ConfigurationError
from mpbf_abm.evidence.known import suite
from mpbf_abm.evidence.known.rows import (
    MUTATIONS,
    ROWS,
    SIGMAS,
    Check,
    Parameter,
    RowOutcome,
    evaluate,
    failing,
    law_of_two,
    mean_error,
    patched,
    share_error,
    variance_error,
)
from mpbf_abm.figures import of_evidence
from mpbf_abm.model import assimilation
from mpbf_abm.studies.jobs import pack_value, unpack_value

OTHER_VALUES = {
    "U0": {"K": 3, "curators": 1, "planners": 0, "g": -1, "eps": 0.0, "switches": 0},
    "U1": {"a": 3, "b": 0.5, "n": 80, "N0": 20, "m": 40, "T": 3, "x0": 0.25},
    "U2": {"K": 3, "masses": (2, 0.5, 1)},
    "U3": {"m": 5, "n": 50, "N0": 6, "x0": 0.3, "batch": 20, "batch_early": 1, "batch_T": 5},
    "U4": {"K": 2, "a": 2.0},
    "U5": {"N0": 5, "K": 8, "g": 1.2, "eps": 0.6},
    "U6": {"g": 0.5, "eps": 0.4, "runs": 120},
    "U7": {"K": 2, "g": 3.0, "step": 0.1},
    "U8": {"K": 4, "g": 2.5, "eps": (0.5, 0.62, 0.75), "V": 3_000},
    "U9": {"a": 4, "b": 1, "N": 40, "m": 10, "D": 0.05},
    "U10": {"r": 0.5, "g_R": 1.0, "g_S": 0.2},
    "U11": {"g": 1.6, "a": 2, "b": 1, "g_low": -0.5},
    "U13": {"E": 60, "t": 97},
    "U14": {"theta": 4, "alpha": 0.3, "n": 12, "runs": 120},
    "M1": {"n": 3, "M": 20},
    "M2": {"lam": 0.6, "n": 4, "M": 80},
    "M3": {"n": 2, "M": 8, "runs": 100},
    "M4": {"K": 3, "a": (1, 5, 2), "M": 10, "t": 6, "runs": 100},
    "M5": {"K": 4, "sigma": 0.4, "tau": 1.5},
    "M6": {"mu0": -1.0, "e": 0.2, "e_above": 2.0, "n": 4},
    "M7": {"q": 0.9, "kappa": 0.2, "chi": 0.7, "delta": 0.1, "g": 1.5, "b_s": -0.8},
    "M8": {"n": 60, "p": 30, "d": 3, "r": 2},
    "M9": {"c": 0.2, "spikes": (5.0, 2.0), "runs": 40},
    "M10": {"columns": 30, "fits": 20},
    "G1": {"k": 2, "M": 4, "beta": 0.8, "P": 200},
    "G2": {"n": 9, "p": 20, "m": 3, "tried": 5},
    "G3": {"v": (0.0, 0.5, 0.7, 3.0), "sigma": 0.6, "n": 5},
    "L1": {"alpha": 2, "beta": 0.3, "V": 50, "F": 0.9},
    "L2": {"gamma": 1.4, "R": 0.3, "u": (0.5,), "delta_U": 0.2},
    "L3": {"o": 0.2, "c": 1.7, "w": 0.1},
    "L4": {"eta": 2, "theta": 0.5, "I": 0.2, "E": 0.9, "p": 3},
}

# Rows that take more than a second or two, and that the fast tier sees at their first values alone.
DEAR = {"U1", "U2", "U5", "U6", "U7", "U8", "U11", "M7", "M8"}


# Fewer and smaller runs, at which every wrong rule that no other row notices is noticed all the same.
SMALL = {
    "K1": {"sizes": (4, 8, 16, 32, 64), "runs": 24, "delta": 0.5, "bias_runs": 20},
    "F11": {"V": 1000, "replicates": 12, "K": 3},
    "M8": {"extra": 60},
    "U8": {"V": 2000},
}


def told(id, seed, changes=None):
    outcome = evaluate(id, seed, changes, fast=True)
    assert outcome.checks or outcome.skipped
    return [
        f"{c.name}: {c.measured:.6g} {c.relation} {c.expected:.6g} +- {c.error:.2g}"
        for c in outcome.checks
        if not c.passed
    ]


@pytest.mark.parametrize("id", suite.ids())
def test_rows_pass(id):
    assert told(id, 1, SMALL.get(id)) == []


@pytest.mark.nightly
@pytest.mark.parametrize("id", SMALL)
def test_rows_pass_at_their_own_sizes(id):
    assert told(id, 1) == []


@pytest.mark.parametrize(
    "id", [pytest.param(id, marks=pytest.mark.nightly) if id in DEAR else id for id in OTHER_VALUES]
)
def test_expected_values_follow_the_parameters(id):
    assert told(id, 2, OTHER_VALUES[id]) == []


def test_the_suite_has_every_row_of_the_design_and_every_row_a_wrong_rule():
    groups = {"U": 15, "M": 10, "G": 3, "F": 12, "D": 3, "K": 5, "L": 4, "W": 4, "S": 5}
    first = {"U": 0, "M": 1, "G": 1, "D": 1, "F": 1, "K": 1, "L": 1, "W": 1, "S": 1}
    assert set(suite.ids()) == {f"{g}{i}" for g, n in groups.items() for i in range(first[g], first[g] + n)}
    noticed = {id for m in MUTATIONS for id in m.breaks}
    # W4 needs data that are not part of the repository.
    assert noticed == set(suite.ids()) - {"W4"}
    assert all(row.source and row.title and row.rule.__doc__ for row in ROWS.values())


@pytest.mark.parametrize(
    "name",
    [
        "exploration half as strong",
        "risk grows with invariance",
        pytest.param("pseudo-labels without their gain", marks=pytest.mark.nightly),
    ],
)
def test_wrong_rules_are_noticed_by_their_rows_and_gone_afterwards(name):
    (mutation,) = [m for m in MUTATIONS if m.name == name]
    some = [id for id in mutation.breaks if id in ("U0", "M6", "L4")] + ["L3", "U13"]
    assert failing(mutation, some, 1) == set(mutation.breaks) & set(some)
    assert failing(mutation, [], 1) == set()
    assert told(some[0], 1) == []


def test_wrong_rules_have_names_of_their_own():
    assert len({m.name for m in MUTATIONS}) == len(MUTATIONS)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.name)
def test_wrong_rules_replace_functions_that_exist(mutation):
    with patched(mutation.function, mutation.wrong):
        pass


def test_a_wrong_rule_reaches_every_module_that_knows_the_function():
    from mpbf_abm.model import attention, opening

    right = attention.attention
    with patched(attention.attention, lambda *_: 7):
        assert opening.attention(1) == attention.attention(1) == 7
    assert opening.attention is attention.attention is right


# --------------------------------------------------------------------------- checks and parameters


def test_verdicts():
    assert Check("a", 1.0, 1.0 + 4 * 0.1, 0.1).passed
    assert not Check("a", 1.0, 1.0 + 5 * 0.1, 0.1).passed
    assert Check("a", 1.0, 1.0 + 5 * 0.1, 0.1, tolerance=0.1).passed
    assert not Check("a", 0.0, 1e-9).passed
    assert not Check("a", 0.0, math.nan, 1.0).passed
    assert Check("a", 0.0, 0.5, 0.1, relation=">").passed
    assert not Check("a", 0.0, 0.4, 0.1, relation=">").passed
    assert not Check("a", 0.0, 0.5, 0.1, relation="<").passed
    assert not RowOutcome("X1", "", "", {}, (), 0.0).passed
    assert RowOutcome("X1", "", "", {}, (), 0.0, "no data").passed
    assert Check("a", 0.0, 0.5, 0.1).detects == pytest.approx((SIGMAS + 1.96) * 0.1)


def test_parameters_refuse_what_is_no_number_or_out_of_range():
    assert Parameter(1.0, "", 0, 2).check("x", 2) == 2.0
    assert Parameter(1, "").check("x", 3.0) == 3
    assert Parameter((1.0,), "").check("x", [1, 2]) == (1.0, 2.0)
    assert Parameter((), "", 0).check("x", 3) == (3.0,)
    for parameter, value in (
        (Parameter(1.0, "", 0, 2), 3),
        (Parameter(1.0, "", 0, 2, True), 0),
        (Parameter(1, ""), 1.5),
        (Parameter(1.0, ""), "a"),
        (Parameter((1.0,), ""), []),
        (Parameter(1.0, ""), math.nan),
        (Parameter(1.0, ""), (1, 2)),
        (Parameter(1.0, ""), True),
    ):
        with pytest.raises(ConfigurationError, match="x = "):
            parameter.check("x", value)


def test_standard_errors_are_the_scatter_of_the_estimates():
    rng = np.random.default_rng(1)
    for estimate, draw in ((mean_error, lambda: rng.exponential(size=60)), (variance_error, lambda: rng.random(200))):
        pairs = [estimate(draw()) for _ in range(600)]
        assert np.mean([e for _, e in pairs]) == pytest.approx(np.std([v for v, _ in pairs]), rel=0.12)
    assert share_error(0, 10)[1] > 0


def test_exact_law_of_two_colours():
    assert law_of_two(1, 1, 9).tolist() == pytest.approx([0.1] * 10)
    assert law_of_two(1, 1, 6, g=0.0).tolist() == pytest.approx([math.comb(6, k) / 64 for k in range(7)])
    assert law_of_two(3, 1, 4, g=2.0, eps=1.0).tolist() == pytest.approx([math.comb(4, k) / 16 for k in range(5)])


# --------------------------------------------------------------------------- the command


@pytest.fixture
def mpbf(capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        with pytest.raises(SystemExit) as stop:
            cli.main(["verify", *(str(a) for a in arguments)])
        return stop.value.code, *capfd.readouterr()

    return call


def test_json_has_everything_and_follows_the_parameters(mpbf):
    code, out, _ = mpbf(
        "--only", "L1,U13", "--set", "L1.V=400", "--set", "E=50", "--set", "F=.5", "--fast", "--jobs=1", "--json"
    )
    result = json.loads(out)
    assert code == 0
    assert result["passed"]
    assert [r["id"] for r in result["rows"]] == ["U13", "L1"]
    check = result["rows"][1]["checks"][0]
    assert check["expected"] == pytest.approx(1 - math.exp(-2) - 0.5)
    assert result["rows"][0]["parameters"]["E"] == 50
    assert {"measured", "standard_error", "tolerance", "passed", "caught_beyond", "note"} <= set(check)


def test_page_and_figure_are_written(mpbf, tmp_path):
    code, out, _ = mpbf("--only", "L,F5,W4", "--fast", "--jobs=1", "--figure", "--out=docs")
    assert code == 0
    assert "5 of 5 rows pass" in out
    assert "not run: needs real data" in out
    page = (tmp_path / "docs/verification.md").read_text()
    assert "mpbf verify --only L,F5,W4 --fast --figure`" in page
    assert "![Expected against measured values of all rows](images/verification.png)" in page
    assert (tmp_path / "docs/images/verification.png").stat().st_size > 10_000


def test_figure_marks_what_failed():
    outcome = evaluate("L1")
    wrong = type(outcome)(
        **{
            **vars(outcome),
            "checks": (Check("x", 0.0, 1.0, 0.01), Check("y", 0, 1), Check("z", 0, 1, 0.1, relation=">")),
        }
    )
    frame = of_evidence.known_checks([outcome, wrong])
    assert frame["passed"].tolist() == [True, True, False, False, True]
    assert frame["standardised"].tolist()[2:4] == [pytest.approx(100), math.inf]
    assert "3 of 5 checks pass" in of_evidence.known_alt(frame)


def test_a_row_that_fails_is_told_and_gives_exit_code_3(mpbf):
    with patched(assimilation.coverage, lambda right, V, v0: right(V, 2 * v0)):
        code, out, _ = mpbf("--only=L1", "--jobs=1")
    assert code == 3
    assert "FAILED" in out
    assert "0 of 1 rows pass; failed: L1" in out


def test_all_faults_at_once_with_exit_code_2(mpbf):
    code, out, err = mpbf("--only=Q9", "--seed=x", "--jobs=0", "--data=nowhere")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 4
    code, _, err = mpbf("--only=U1,L1", "--set", "aa=1", "--set", "a=-1", "--set", "U1.b=[1", "--set", "n")
    assert code == 2
    assert len(err.splitlines()) == 4
    assert "did you mean 'a'?" in err
    code, _, err = mpbf("--only=M7", "--set", "g=9.9", "--set", "pi=.9", "--jobs=1")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "L = " in err


def test_list_names_rows_and_parameters(mpbf):
    code, out, _ = mpbf("--list", "--only=U9")
    assert code == 0
    assert "cost of reversal" in out
    assert "extra records of the first colour" in out


def test_outcomes_are_kept_bit_for_bit():
    outcome = RowOutcome(
        "X1",
        "title",
        "source",
        {"a": (1, 2.5), "b": 3},
        (
            Check("whole", 0, 1),
            Check("none", math.nan, -0.0, math.inf, 5e-324),
            Check("side", np.float64(0.1), np.float32(0.1), relation="<", note="why"),
        ),
        0.1 + 0.2,
    )
    again = suite.outcome_of(unpack_value(pack_value(asdict(outcome))))
    assert repr(again) == repr(outcome)
    assert suite.outcome_of(unpack_value(pack_value(asdict(RowOutcome("X2", "", "", {}, (), 0.0, "no data"))))).passed


@pytest.mark.nightly
def test_rows_and_wrong_rules_go_on_from_what_a_folder_holds(tmp_path, monkeypatch):
    def asked(run):
        watch = Bar(quiet=True)
        return run(out=tmp_path, progress=watch), (watch.done, watch.known)

    first, counts = asked(partial(suite.run_suite, ["L1", "W2"], 3, fast=True))
    assert counts == (2, 0)
    again, counts = asked(partial(suite.run_suite, ["L1", "L2", "W2"], 3, fast=True, jobs=2))
    assert counts == (1, 2)
    assert [again[0], again[2]] == first  # their seconds, too
    # What a row follows from is its own: a parameter, the seed, data where it needs some.
    assert asked(partial(suite.run_suite, ["L1", "L2"], 3, {"L2": {"R": 0.5}}, fast=True))[1] == (1, 1)
    assert asked(partial(suite.run_suite, ["L1"], 4, fast=True))[1] == (1, 0)
    assert asked(partial(suite.run_suite, ["L1", "W4"], 3, fast=True))[1] == (1, 1)
    with pytest.raises(ConfigurationError, match="has no folder 'pvlab_campaigns'"):
        asked(partial(suite.run_suite, ["L1", "W4"], 3, fast=True, data=tmp_path))
    monkeypatch.setattr(suite, "ids", lambda: ["L1"])
    tried, counts = asked(suite.run_mutations)
    assert counts[1] == 0
    assert asked(suite.run_mutations) == (tried, (0, counts[0]))


@pytest.mark.nightly
def test_processes_do_not_matter():
    some = ["U13", "L1", "W2", "L2"]  # W2 has processes of its own, which a worker may not have
    one, two = (suite.run_suite(some, 3, fast=True, jobs=jobs) for jobs in (1, 2))
    assert [o.checks for o in one] == [o.checks for o in two]
    assert [o.id for o in two] == some


@pytest.mark.nightly
def test_wrong_rules_are_tried_in_several_processes_also_on_rows_that_start_some(monkeypatch):
    some = [m for m in MUTATIONS if "L1" in m.breaks or "W2" in m.breaks]
    monkeypatch.setattr(suite, "ids", lambda: ["L1", "W2"])
    # Another order than that of the workers, which import the rows anew.
    monkeypatch.setattr(suite, "MUTATIONS", some[::-1])
    tried = suite.run_mutations(1, jobs=2)
    assert {name: found for name, _, _, found in tried} == {m.name: {"L1", "W2"} & set(m.breaks) for m in some}
