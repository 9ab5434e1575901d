"""What is noted of a run is no part of it: asking for more makes it again, compares, and adds."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import toys
from communities import SMALL

from mpbf_abm import Arm, Outcome, Parameters, Policy, Series, Study
from mpbf_abm.errors import ConfigurationError, StoppedError
from mpbf_abm.studies import jobs
from mpbf_abm.studies.analyses import compare
from mpbf_abm.studies.definition import Recording, Replicates
from mpbf_abm.studies.driver import Silent, Tally, answered, run_study
from mpbf_abm.studies.files import parse_study, read_study, write_study
from mpbf_abm.studies.plan import Plan
from mpbf_abm.studies.results import Results
from mpbf_abm.studies.store import StoreError
from mpbf_abm.studies.upkeep import merge_stores, replay_run, some_runs

PLAIN: dict[str, Any] = {"name": "noted", "preset": "quick", "parameters": SMALL, "ticks": 8, "replicates": {"n": 2}}


def make(out: Path, **fields: Any) -> Tally:
    return run_study(Study(**PLAIN, **fields), out, workers=1)


def opened(out: Path, **fields: Any) -> Results:
    return Results.open(out, Study(**PLAIN, **fields))


def rows(out: Path) -> dict[str, tuple[Any, ...]]:
    query = (
        "SELECT id, runs.number, outcomes, quantities, ticks, tables "
        "FROM runs LEFT JOIN series ON series.run = runs.number"
    )
    with sqlite3.connect(out / "study.sqlite") as db:
        return {id: tuple(rest) for id, *rest in db.execute(query)}


LATER = {"outcomes": {"late": Outcome(of="rmse_dense", over="mean", start=4)}}
SERIES = {"series": Series(of=("found_share",), every=4)}
OTHER = {"series": Series(of=("rmse_dense", "found_share"), every=2, tables=("families", "infrastructure"))}


def test_asking_for_more_makes_runs_again_under_their_ids_and_adds(tmp_path: Path) -> None:
    assert (make(tmp_path).made, make(tmp_path).known) == (2, 2)
    first = rows(tmp_path)
    for fields in (LATER, SERIES, OTHER):
        tally = make(tmp_path, **fields)
        assert (tally.made, tally.again, tally.known) == (2, 2, 0)
        assert make(tmp_path, **fields).known == 2
    last = rows(tmp_path)
    assert last.keys() == first.keys()
    assert [r[0] for r in last.values()] == [r[0] for r in first.values()]
    # All that was ever asked for is there, and reads as if it alone had been asked for.
    for fields in ({}, LATER, SERIES, OTHER):
        make(tmp_path / "alone", **fields) if not fields else run_study(
            Study(**PLAIN, **fields), tmp_path / str(len(str(fields))), workers=1
        )
        alone = tmp_path / ("alone" if not fields else str(len(str(fields))))
        assert make(tmp_path, **fields).known == 2
        with opened(tmp_path, **fields) as here, opened(alone, **fields) as there:
            assert (here.status == 1).all()
            pd.testing.assert_frame_equal(here.outcomes, there.outcomes)
            if "series" in fields:
                pd.testing.assert_frame_equal(here.series(), there.series())
                pd.testing.assert_frame_equal(here.mean_series(), there.mean_series())
    with opened(tmp_path, **OTHER) as results:
        table = results.tables("families")[0, 0, 1]
        assert table["records"].shape == (8, 8)
        assert set(results.tables("infrastructure")[0, 0, 0]) == {"nodes", "edges"}


def test_a_run_that_comes_out_otherwise_stays_and_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path)
    before = rows(tmp_path)
    right = jobs.summarise
    monkeypatch.setattr(jobs, "summarise", lambda eco: right(eco) | {"found_share": 0.123})
    with pytest.raises(StoppedError, match="came out otherwise"):
        make(tmp_path, **SERIES)
    assert rows(tmp_path) == before
    monkeypatch.undo()
    assert make(tmp_path, **SERIES).made == 2


def test_merged_stores_hold_what_either_noted(tmp_path: Path) -> None:
    make(tmp_path / "a", **LATER)
    make(tmp_path / "b", **OTHER)
    counts = merge_stores(tmp_path / "c", [tmp_path / "a", tmp_path / "b"])
    assert (counts["added"], counts["known"], counts["different"]) == (2, 2, 0)
    for fields in (LATER, OTHER):
        assert make(tmp_path / "c", **fields).known == 2


def test_models_of_ones_own_are_asked_for_what_was_noted_before(tmp_path: Path) -> None:
    def study(**fields: Any) -> Study:
        return Study(name="own", model=toys.outcome, ticks=6, replicates={"n": 2}, **fields)

    run_study(study(series=Series(of=("a",), every=3)), tmp_path, workers=1)
    # The toy's series depend on how many there are: the run is not the same one any more.
    with pytest.raises(StoppedError, match="came out otherwise"):
        run_study(study(series=Series(of=("a", "b"), every=3)), tmp_path, workers=1)
    assert run_study(study(outcomes={"big": Outcome()}), tmp_path, workers=1).known == 2


def test_a_run_that_fails_when_it_is_made_again_is_told_and_stays(tmp_path: Path) -> None:
    told: list[str] = []

    class Watch(Silent):
        def say(self, line: str) -> None:
            told.append(line)

    def study(**outcomes: Outcome) -> Study:
        return Study(name="own", model=toys.outcome, ticks=6, replicates={"n": 2}, outcomes=outcomes)

    run_study(study(y=Outcome()), tmp_path, workers=1)
    tally = run_study(study(y=Outcome(), z=Outcome()), tmp_path, workers=1, progress=Watch())
    assert (tally.made, tally.failed, tally.again) == (0, 2, 2)
    assert sum("made again to note more, failed" in line and "no outcome 'z'" in line for line in told) == 2
    assert run_study(study(y=Outcome()), tmp_path, workers=1).known == 2


def test_stores_that_noted_different_things_do_not_differ(tmp_path: Path) -> None:
    for name, every in (("a", 2), ("b", 3)):
        make(tmp_path / name, series=Series(of=("found_share",), every=every))
    counts = merge_stores(tmp_path / "c", [tmp_path / "a", tmp_path / "b"])
    assert (counts["added"], counts["known"], counts["different"]) == (2, 2, 0)
    assert make(tmp_path / "c", series=Series(of=("found_share",), every=3)).again == 2


def test_a_run_is_replayed_as_it_was_noted(tmp_path: Path) -> None:
    make(tmp_path, **OTHER)
    make(tmp_path, **SERIES)
    with Results.open(tmp_path) as results:
        for stored in some_runs(results, 2):
            assert replay_run(results, stored).words == "equal"


def test_the_store_of_a_study_is_no_place_for_the_runs_of_a_result(tmp_path: Path) -> None:
    make(tmp_path / "o" / "runs")
    with pytest.raises(StoreError, match="holds the study 'noted'"), answered(Study(**PLAIN), tmp_path / "o"):
        pass
    with answered(Study(**PLAIN), tmp_path / "p", workers=1) as results:
        assert results.status.sum() == 2
    with pytest.raises(StoreError, match="the command that made it"):
        make(tmp_path / "p" / "runs")


def test_rows_of_a_sample_with_named_seeds_have_ids_of_their_own(tmp_path: Path) -> None:
    varied = {"planners.exploration": {"values": (0.1, 0.2)}}
    study = Study(
        **(PLAIN | {"parameters": SMALL | varied, "replicates": {"seeds": (1, 2)}, "ticks": 2}),
        design={"kind": "lhs", "n": 6},
    )
    assert run_study(study, tmp_path, workers=1).made == 12
    with Results.open(tmp_path) as results:
        assert (results.status == 1).all()
        assert np.isfinite(results.values("found_share")).all()


@pytest.mark.parametrize(
    "arms",
    [
        [Policy("audits"), Arm(label="again", policies=(Policy("audits", strength=0.2),))],
        [
            Arm(
                label="same",
                parameters={"planners.exploration": Parameters.preset("single-quick").planners.exploration},
            )
        ],
    ],
)
def test_arms_that_are_the_same_runs_are_refused(arms: list[Any]) -> None:
    with pytest.raises(ConfigurationError, match="is the same as arm"):
        Study(**PLAIN, policies=arms).check()


def test_replicates_of_a_model_of_ones_own_are_told_apart_by_their_numbers() -> None:
    ids = [
        {j.seed: j.id for j in Plan(Study(name="o", model=toys.outcome, replicates={"seeds": s})).jobs(0, 2)}
        for s in ((5, 7), (7, 5))
    ]
    assert ids[0][5] != ids[1][5]


def test_recordings_join() -> None:
    a, b = Recording(("m",), ("x",), (1, 3), ("t",)), Recording((), ("y", "x"), (2, 3), ())
    assert a.joined(b) == Recording(("m",), ("x", "y"), (1, 2, 3), ("t",))
    assert a.joined(Recording()) == a


# --------------------------------------------------------------------------- seeds by name


def test_named_seeds_are_those_of_all_arms_and_survive_a_file(tmp_path: Path) -> None:
    text = (
        '[study]\nname = "s"\npreset = "single-quick"\n[replicates]\nseeds = [7, 3, 11]\n[[policy]]\nname = "audits"\n'
    )
    (tmp_path / "s.toml").write_text(text)
    study = read_study(tmp_path / "s.toml")
    plan = Study._with(study, tmp_path).plan()
    assert [[plan.seed(0, a, r) for r in range(3)] for a in range(2)] == [[7, 3, 11]] * 2
    assert parse_study(__import__("tomllib").loads(write_study(study))) == study


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"replicates": {"seeds": [1, 1]}}, "listed twice"),
        ({"replicates": {"seeds": [1, -1]}}, "seed"),
        ({"replicates": {"seeds": [1, 2], "n": 3}}, "leave n"),
        ({"replicates": {"seeds": [1, 2]}, "crn": "all"}, "name the draws"),
        ({"replicates": {"seeds": [1, 2]}, "branch": {"tick": 2, "history": "one"}}, "history"),
    ],
)
def test_seeds_that_cannot_be_are_one_line(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as error:
        Study(name="s", **fields)
    assert len(error.value.faults) == 1
    assert Replicates(seeds=(4, 5)).n == 2


# --------------------------------------------------------------------------- what-ifs


def test_a_what_if_says_what_compare_says_of_its_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mpbf_abm.model.run import HEADLINE
    from mpbf_abm.studies.whatif import WhatIf as Question
    from mpbf_abm.studies.whatif import keep_runs, run_plan

    plan = Question(
        Parameters.preset("single-quick").updated(SMALL), ticks=6, replicates=4, policies=(Policy("audits", start=1),)
    )
    ensemble = run_plan(plan, out=tmp_path)
    said = ensemble.effects.set_index("outcome").loc[list(HEADLINE)]
    with Results.open(tmp_path / "runs") as results:
        table = (
            compare(results, list(HEADLINE), together=True).tables["effects"].set_index("outcome").loc[list(HEADLINE)]
        )
    for column in ("baseline", "treated", "difference", "low", "high", "vrf"):
        np.testing.assert_allclose(said[column].astype(float), table[column].astype(float), rtol=1e-12, atol=1e-15)
    assert np.isfinite(said["vrf"].dropna()).all()
    assert any("only 4 units" in line for line in ensemble.cautions)
    # Runs that the page has made are found by the command, and the other way round.
    from mpbf_abm.page.history import record_history, stored

    made = {(arm, i): record_history(plan.spec(arm, i)) for arm in plan.arms for i in range(4)}
    keep_runs(plan, {place: history.noted for place, history in made.items()}, tmp_path / "page")
    (tmp_path / "results").mkdir()
    (tmp_path / "runs").rename(tmp_path / "results" / "runs")
    for (arm, i), history in made.items():
        found = stored(tmp_path, plan.spec(arm, i))
        assert found is not None
        np.testing.assert_array_equal(found.series, history.noted.series)
        assert found.outcomes == {
            name: pytest.approx(value, nan_ok=True, rel=0) for name, value in history.noted.outcomes.items()
        }
        np.testing.assert_equal(found.tables["links"], history.noted.tables["links"])
        np.testing.assert_equal(found.tables["flows"], history.noted.tables["flows"])
    assert stored(tmp_path, plan.spec("baseline").changed(seed=99)) is None
    from mpbf_abm.page import history as page

    monkeypatch.setattr(page, "record_history", lambda spec: pytest.fail(f"{spec.id} was made again"))
    shown = page.work(page.Task(plan.spec("what-if", 2)), tmp_path)
    assert shown.result.summary == {
        name: pytest.approx(value, nan_ok=True) for name, value in ensemble.results[6].summary.items()
    }
    again = run_plan(plan, out=tmp_path / "page")
    with sqlite3.connect(tmp_path / "page" / "runs" / "study.sqlite") as db:
        assert db.execute("SELECT count(*), max(seconds) FROM runs").fetchone() == (8, 0.0)
    for name in ("series", "families", "summary", "effects"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(ensemble, name))
