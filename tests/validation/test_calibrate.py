"""The calibration and its command, on facts that are planes over the factors (see cheap_facts)."""

import shlex
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import cheap_facts
import numpy as np
import pytest
import renew
from small import SMALL

from mpbf_abm import cli
from mpbf_abm.evidence import calibration
from mpbf_abm.evidence import calibration as calibrate
from mpbf_abm.evidence.calibration import (
    FACTORS,
    FITTED,
    FOUND,
    HELD_OUT,
    HIGH,
    LOW,
    RANGES,
    WHOLE,
    Posterior,
    Wave,
    assignments,
    components_of,
    emulator_table,
    emulators,
    explain,
    fitted_by_default,
    leveled,
    parameters,
    posterior,
    posterior_table,
    rounded,
    run_all,
    scaled,
    screening_table,
    study,
    unscaled,
)
from mpbf_abm.evidence.facts.recorded import FACTS
from mpbf_abm.parameters import Parameters, parse_assignment
from mpbf_abm.studies.design import Design
from mpbf_abm.studies.results import Results

FEW = 300  # particles
MIDDLE = np.zeros(len(FACTORS))


def stand_in(patch: pytest.MonkeyPatch) -> None:
    """Let planes stand for communities, and few particles for many."""
    patch.setattr(calibration, "evaluate", cheap_facts.planes)
    patch.setattr(calibrate, "posterior", partial(posterior, particles=FEW))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A whole calibration of the cheap stand-in, with few particles."""
    patch, folder, calls = pytest.MonkeyPatch(), tmp_path_factory.mktemp("calibration"), []
    stand_in(patch)

    def run_of_the_stand_in(name: str, design: Design, replicates: int, seed: int) -> Results:
        calls.append((name, replicates, seed))
        return study(name, design, replicates, seed).run(folder / name, workers=1)

    screening, waves = run_all(run_of_the_stand_in, trajectories=2, points=80, second=12, seed=3)
    emulated = emulators(waves)
    found = {"calibrated": explain(emulated, fitted_by_default(), 3), "one": explain(emulated, [FITTED[0]], 3)}
    yield SimpleNamespace(screening=screening, waves=waves, emulated=emulated, found=found, calls=calls)
    screening.close()
    patch.undo()


def test_scaling_goes_back_and_forth():
    ends = scaled(np.array([LOW, HIGH, (LOW + HIGH) / 2]))
    np.testing.assert_allclose(ends, np.array([-1, 1, 0])[:, None] + MIDDLE, atol=1e-12)
    x = np.random.default_rng(0).uniform(-1, 1, (5, len(FACTORS)))
    np.testing.assert_allclose(scaled(unscaled(x)), x)


def test_held_out_facts_are_not_fitted():
    assert set(fitted_by_default()) == set(FITTED) - HELD_OUT
    assert {"ood_ratio", "redundancy", "individual_gain"} <= HELD_OUT & set(FITTED)
    assert FOUND.id in fitted_by_default()
    assert components_of([1, 10]) == ["gap_pbe_ratio", "gap_pbe_mae", "gap_false_metal", FOUND.id]


def test_the_waves_are_made_in_order_the_second_on_a_seed_of_its_own(made):
    assert made.calls == [("screening", 1, 3), ("first", 2, 3), ("second", calibrate.SECOND_REPLICATES, 4)]
    assert [w.x.shape for w in made.waves] == [(80, len(FACTORS)), (12, len(FACTORS))]
    assert all(np.abs(w.x).max() <= 1 + 1e-3 for w in made.waves)  # rows are written with four digits


def test_screening_finds_the_effects_that_were_put_in(made):
    table = screening_table(made.screening)
    assert table["parameter"].tolist() == list(FACTORS)
    # From one end of a factor to the other is twice as far as from the middle.
    np.testing.assert_allclose(table[list(FITTED)].to_numpy().T, 2 * np.abs(cheap_facts.slopes()), atol=1e-9)


def test_the_second_wave_looks_where_the_facts_are_met(made):
    def met(wave: Wave) -> float:
        inside = [(RANGES[n].low <= wave.facts[n]) & (wave.facts[n] <= RANGES[n].high) for n in fitted_by_default()]
        return float(np.mean(inside))

    first, second = map(met, made.waves)
    assert first < 0.75
    assert second > 0.95


def test_emulators_know_the_planes_and_the_level_is_that_of_the_last_wave(made):
    x = np.random.default_rng(1).uniform(-0.7, 0.7, (50, len(FACTORS)))
    for j, name in enumerate(FITTED):
        half = (RANGES[name].high - RANGES[name].low) / 2
        moved = (made.emulated[name].predict(x)[0] - (RANGES[name].low + RANGES[name].high) / 2) / half
        wrong = moved - x @ cheap_facts.slopes()[j]
        assert wrong.std() < 0.1
        assert abs(wrong.mean()) < 0.1


def test_a_wave_on_another_level_is_moved_and_keeps_its_shape():
    x = np.random.default_rng(2).uniform(-1, 1, (80, len(FACTORS)))
    near = x[:20] * 0.5
    waves = [Wave(x, {"y": x[:, 0] + 5.0}), Wave(near, {"y": near[:, 0]})]
    first, last = leveled(waves, "y")
    np.testing.assert_allclose(first, x[:, 0], atol=0.02)
    np.testing.assert_array_equal(last, near[:, 0])
    (alone,) = leveled(waves[:1], "y")
    np.testing.assert_array_equal(alone, x[:, 0] + 5.0)


def test_the_posterior_meets_what_it_was_fitted_to_and_leaves_the_rest_open(made):
    whole, one = made.found["calibrated"], made.found["one"]
    assert whole.draws.shape == (FEW, len(FACTORS))
    first = cheap_facts.slopes()[0]
    for found in (whole, one):
        assert found.log_acceptance <= 0
        assert (np.abs(found.draws @ first) < 1.3).mean() > 0.95
    assert one.log_acceptance > whole.log_acceptance - 1e-9
    free = next(i for i in range(len(FACTORS)) if first[i] == 0)
    assert one.draws[:, free].std() > 0.5  # a uniform law has 0.577
    assert whole.draws[:, 0].std() < 0.5


def test_the_table_of_posteriors_has_a_row_for_every_factor(made):
    table = posterior_table(made.found)
    assert table["factor"].tolist() == list(FACTORS)
    assert {"parameter", "prior", "calibrated", "one", "default"} <= set(table.columns)
    row = table[table["factor"] == "records"].iloc[0]
    assert row["parameter"] == "trainers.records"
    assert row["prior"] == "800 to 2400"
    assert row["default"] == f"{Parameters.preset('single-default').trainers.records:g}"
    corner = Posterior((), np.ones((4, len(FACTORS))), np.ones(len(FACTORS)), 0.0)
    told = posterior_table({"corner": corner})
    assert told.loc[told["factor"] == "records", "corner"].item() == "2.4e+03 (2.4e+03 to 2.4e+03)"


def test_the_table_of_emulators_says_what_was_not_fitted_and_what_moves_a_fact(made):
    table = emulator_table(made.emulated, made.waves, made.found).set_index("fact")
    assert tuple(table.index) == FITTED
    assert not table.loc[FITTED[0], "one"].endswith("(not fitted)")
    assert all(text.endswith("(not fitted)") for text in table.loc[list(FITTED[1:]), "one"])
    assert {n for n in FITTED if table.loc[n, "calibrated"].endswith("(not fitted)")} == HELD_OUT & set(FITTED)
    for j, name in enumerate(FITTED):
        assert table.loc[name, "moved most by"].split(", ")[0] == list(FACTORS)[j % len(FACTORS)]


@pytest.mark.parametrize("seed", range(3))
def test_the_options_of_a_command_make_the_point_again(seed: int):
    best = np.random.default_rng(seed).uniform(-1, 1, len(FACTORS))
    words = shlex.split(" ".join(assignments(rounded(best))))
    assert words[::2] == ["--set"] * (len(words) // 2)
    again = Parameters.preset("single-default").updated(dict(parse_assignment(word) for word in words[1::2]))
    values = dict(zip(FACTORS, unscaled(best[None])[0], strict=True))
    meant = parameters({n: round(v) if n in WHOLE else float(f"{v:.3g}") for n, v in values.items()}).flat()
    assert again.flat() == {
        path: pytest.approx(v, rel=1e-5) if isinstance(v, float) else v for path, v in meant.items()
    }
    assert again != Parameters.preset("single-default")


def test_the_default_point_needs_no_options():
    now = Parameters.preset("single-default").flat()
    point = scaled(np.array([[now[paths[0]] for _, _, paths in FACTORS.values()]]))[0]
    # The default shares are round numbers, so that nothing is left to say.
    assert assignments(rounded(point)) == []


def test_the_command_prints_its_tables_and_renews_a_page(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    stand_in(monkeypatch)
    # The held-out check runs a real community, a small one.
    points: list[Parameters] = []

    def of_small_size(best: np.ndarray) -> Parameters:
        points.append(rounded(best))
        return points[-1].updated(SMALL)

    monkeypatch.setattr(calibrate, "rounded", of_small_size)
    monkeypatch.setattr("mpbf_abm.evidence.facts.validation.REPLICATES", 2)
    monkeypatch.setattr("mpbf_abm.evidence.facts.community.HORIZON", 14)
    names = ("posterior", "facts", "screening", "calibrated", "odd", "even")
    page = Path("page.md")
    page.write_text(
        "a\n" + "".join(f"<!-- result:{n} -->\nold\n<!-- /result -->\n" for n in names) + "b\n", encoding="utf-8"
    )
    given = ["calibrate", "--out=o", "--trajectories=2", "--points=60", "--second=10", "--seed=1", "--jobs=1"]
    told = []
    for _ in range(2):
        with pytest.raises(SystemExit) as stop:
            cli.main(given)
        assert stop.value.code == 0
        out, err = capfd.readouterr()
        assert "screening: 42 runs" in err
        assert "first: 120 runs" in err
        assert "second: 60 runs" in err
        told.append(out)
    # The second time goes on with what was run, and finds the same.
    assert told[0] == told[1]
    out = told[0]
    Path("printed.txt").write_text(out, encoding="utf-8")
    page = Path("calibration.md").absolute()
    Path("page.md").rename(page)
    assert renew.main([str(page), "printed.txt"]) == 0
    text = page.read_text(encoding="utf-8")
    assert text.startswith("a\n")
    assert text.endswith("b\n")
    assert "old" not in text
    for name in names:
        block = text.split(f"<!-- result:{name} -->\n")[1].split("<!-- /result -->")[0]
        assert block.strip() in out
    assert text.count("mpbf validate --preset single-default --data DATA --seed 1001 --set ") == 2
    held_out = text.split("<!-- result:even -->\n")[1].split("<!-- /result -->")[0].splitlines()[2:]
    assert [row.split(" | ")[0].strip("| ") for row in held_out] == [
        str(fact.number) for fact in FACTS if fact.number % 2 == 0 for _ in fact.components
    ]
    # Fitted to different facts, the two points differ.
    assert points[0] != points[1]
    assert {p.name for p in Path("o").iterdir()} == {"screening", "first", "second", "runs"}
