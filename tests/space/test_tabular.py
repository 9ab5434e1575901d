"""Tables and pools become spaces; bad input is told in one line per fault, all at once."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mpbf_abm.errors import DataError
from mpbf_abm.space.materials import MaterialsSpace

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

FORMULAS = ["NaCl", "KCl", "MgO", "CaO", "ZnS", "CdS", "GaAs", "InP", "SiO2", "TiO2", "Fe2O3", "AlN"]


def table(**columns):
    values = np.linspace(1.0, 6.5, len(FORMULAS))
    return pd.DataFrame({"formula": FORMULAS, "gap": values, "pbe": 0.7 * values - 0.1, "year": 1990} | columns)


def build(frame, **changes):
    options = {"formula": "formula", "measured": "gap", "min_family": 2} | changes
    return MaterialsSpace.from_table(frame, **options)


def pool():
    grid = np.stack(np.meshgrid(np.arange(4.0), np.arange(5.0)), axis=-1).reshape(-1, 2)
    return pd.DataFrame({"speed": grid[:, 0], "heat": 100 * grid[:, 1], "score": grid[:, 0] - grid[:, 1] ** 2})


def faults(call, *arguments, **options):
    with pytest.raises(DataError) as caught:
        call(*arguments, **options)
    assert all("\n" not in fault for fault in caught.value.faults)
    return caught.value.faults


def data_file(name):
    path = DATA / name
    if not path.exists():
        pytest.skip(f"the data file {name} is not beside the repository")
    return path


# --------------------------------------------------------------------------- tables


def test_table_becomes_a_space():
    space = build(table(), simulated="pbe", year="year")
    assert space.size == 12
    assert space.has_simulated
    assert sorted(space.names) == sorted(FORMULAS)
    assert space.dims == {"quantum": space.descriptors.shape[1], "meso": 0, "gauge": 6, "spurious": 0}
    assert space.descriptors.shape[1] <= 24
    assert space.descriptors.var(axis=0).mean() == pytest.approx(0.8, rel=1e-4)
    assert space.property.mean() == pytest.approx(0, abs=1e-6)
    assert space.property.std() == pytest.approx(1, rel=1e-5)
    assert np.corrcoef(space.proxy, space.property)[0, 1] == pytest.approx(0, abs=1e-6)
    assert space.proxy.std() == pytest.approx(1, rel=1e-5)
    measured = dict(zip(FORMULAS, table()["gap"], strict=True))
    np.testing.assert_allclose(space.in_unit(space.property), [measured[n] for n in space.names], rtol=1e-5)
    # Measured and simulated share mean and sd, so the bias survives.
    np.testing.assert_allclose(
        space.in_unit(space.simulated), [0.7 * measured[n] - 0.1 for n in space.names], rtol=1e-5
    )
    np.testing.assert_allclose(space.similarity.sum(axis=1), 1)
    assert space.dense.sum() == 1
    assert space.top.sum() == 1
    assert (space.year == 1990).all()
    assert space.feasible.all()
    json.dumps(dict(space.origin))


def test_goal_min_turns_the_sign():
    large, small = build(table()), build(table(), goal="min")
    np.testing.assert_allclose(large.property, -small.property)
    np.testing.assert_allclose(large.in_unit(large.property), small.in_unit(small.property), rtol=1e-5)
    assert small.scale[1] < 0
    assert small.names[int(np.argmax(small.property))] == "NaCl"


def test_without_simulation_it_is_exact():
    space = build(table())
    assert not space.has_simulated
    np.testing.assert_array_equal(space.simulated, space.property)
    assert space.year is None


def test_same_composition_is_merged():
    more = pd.concat([table(), pd.DataFrame({"formula": ["Na2Cl2", "O Mg"], "gap": [3.0, 4.0], "year": [1980, 2000]})])
    space = build(more, year="year")
    assert space.size == 12
    assert space.origin["merged"] == 2
    assert space.origin["replicate_sd"] > 0
    at = space.names.index("NaCl")
    assert space.in_unit(space.property[at]) == pytest.approx(2.0, rel=1e-5)
    assert space.year[at] == 1980


def test_families_of_the_user_are_kept():
    space = build(table(kind=["salt"] * 2 + ["oxide"] * 2 + [" rest"] * 8), family="kind")
    assert space.family_names == ("rest", "oxide", "salt")
    assert list(space.family_sizes) == [8, 2, 2]
    assert list(space.names[:2]) == ["ZnS", "CdS"]


def test_same_input_same_space():
    one, two = build(table(), seed=3), build(table(), seed=3)
    for name in ("descriptors", "property", "proxy", "similarity", "start"):
        assert getattr(one, name).tobytes() == getattr(two, name).tobytes()
    assert one.origin == two.origin
    assert not np.array_equal(one.proxy, build(table(), seed=4).proxy)


def test_csv_with_mark_spaces_and_blank_lines(tmp_path):
    path = tmp_path / "alloys.csv"
    rows = "\n\n".join(f"{i}, Al0.{i} Co1 Fe1 Ni1 ,{i}.5" for i in range(1, 9))
    path.write_text(f"no, FORMULA ,HV\n{rows}\n", encoding="utf-8-sig")
    space = build(path, formula="FORMULA", measured="HV")
    assert space.size == 8
    assert space.names[0] == "Al0.1 Co1 Fe1 Ni1"
    assert space.origin["source"] == "alloys.csv"
    assert str(tmp_path) not in json.dumps(dict(space.origin))


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
def test_kinds_of_file_agree(tmp_path, suffix):
    path = tmp_path / f"table.{suffix}"
    frame = table()
    if suffix == "csv":
        frame.to_csv(path, index=False)
    elif suffix == "json":
        frame.to_json(path)
    else:
        frame.to_parquet(path)
    np.testing.assert_allclose(build(path).property, build(frame).property, atol=1e-6)


def test_all_faults_at_once(tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text(
        'formula,gap,pbe,note\nNaCl,1,1,"two\nlines"\nYBa2Cu3O7-x,2,1,\n\nMgO,much,1,\nCaO,,1,\n,3,1,\nZnS,4,inf,\n',
        encoding="utf-8",
    )
    found = faults(build, path, simulated="pbe", year="yaer", goal="most", top_share=2.0)
    text = "\n".join(found)
    assert "goal = 'most': must be 'max' or 'min'" in text
    assert "top_share = 2.0" in text
    assert "no column 'yaer' (year)" in text
    assert "'gap': 2 rows without a finite number (lines 6, 7; first: 'much')" in text
    assert "'pbe': 1 row without a finite number (line 9; first: 'inf')" in text
    assert "'formula': 1 row without a formula (line 8)" in text
    assert "line 4; first: 'YBa2Cu3O7-x'" in text
    assert len(found) == 7


def test_many_faulty_rows_are_summed_up():
    (found,) = faults(build, table(gap=["x"] * 9 + [1, 2, 3]))
    assert "9 rows" in found
    assert "(index 0, 1, 2, 3, 4, ...; first: 'x')" in found
    assert "on_error='drop'" in found


def test_faulty_rows_can_be_dropped():
    frame = table()
    frame.loc[[1, 4], "gap"] = np.nan
    frame.loc[7, "formula"] = "InP-x"
    space = build(frame, on_error="drop")
    assert space.size == 9
    assert space.origin["dropped"]["count"] == 3
    assert space.origin["dropped"]["index"] == [1, 4, 7]
    assert len(space.origin["dropped"]["reasons"]) == 2


@pytest.mark.parametrize(
    ("frame", "options", "part"),
    [
        (table().head(0), {}, "no rows"),
        (table(), {"measured": "gapp"}, "did you mean 'gap'?"),
        (table(), {"measured": "conductance"}, "columns: formula, gap, pbe, year"),
        (table(gap=2.0), {}, "is the same for all"),
        (table().head(1), {}, "one distinct material"),
        (table(formula="NaCl"), {}, "one distinct material"),
        (table(gap=np.nan), {"on_error": "drop"}, "no usable row is left"),
        (table(year=1990.5), {"year": "year"}, "whole number"),
        (table(pbe=1e9), {"simulated": "pbe"}, "same unit"),
        (table(gap=pd.Timestamp("2020-01-01")), {}, "finite number"),
        (table(kind=None), {"family": "kind"}, "without a family"),
        (table(), {"min_family": 0}, "min_family = 0"),
        (table(), {"seed": "3"}, "seed = '3'"),
        (table(), {"top_share": "all"}, "top_share = 'all'"),
        (table(), {"families": "many"}, "families = 'many'"),
        (table().set_axis(["formula", "gap", "gap", "year"], axis=1), {}, "two columns are named 'gap'"),
        ([1, 2], {}, "must be a path or a DataFrame"),
    ],
)
def test_unusable_tables(frame, options, part):
    assert part in "\n".join(faults(build, frame, **options))


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("none.csv", None, "cannot be read (No such file"),
        ("empty.csv", b"", "is empty"),
        ("header.csv", b"formula,gap\n", "no rows"),
        ("latin.csv", "formula,gap\nNaCl,1 \xb5\n".encode("latin-1"), "not UTF-8"),
        ("ragged.csv", b"formula,gap\nNaCl,1\nKCl,2,3\n", "cannot be read as csv"),
        ("wide.csv", b"formula,gap\nNaCl,1,2\nKCl,2,3\n", "cannot be read as csv"),
        ("table.xls", b"", "allowed: .csv, .parquet, .json"),
        ("table.json", b"{", "cannot be read as json"),
        ("table.parquet", b"no", "cannot be read as parquet"),
    ],
)
def test_unreadable_files(tmp_path, name, content, part):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    (fault,) = faults(build, path)
    assert part in fault


# --------------------------------------------------------------------------- pools


def test_pool_becomes_a_space():
    space = MaterialsSpace.from_pool(pool(), objective="score")
    assert (space.size, space.families) == (20, 1)
    assert space.dims == {"quantum": 2, "meso": 0, "gauge": 0, "spurious": 0}
    assert space.descriptors.var(axis=0).mean() == pytest.approx(0.8, rel=1e-4)
    # Both settings span a full unit box, scaled by one factor.
    assert np.ptp(space.descriptors, axis=0) == pytest.approx(np.ptp(space.descriptors[:, 0]) * np.ones(2))
    assert space.top.sum() == 1
    assert space.in_unit(space.property.max()) == pytest.approx(3)
    assert space.neighbours(np.arange(20)).shape == (20, 5)
    assert space.ambient_rows(np.arange(3), np.empty((3, 0), np.float32)).shape == (3, 2)
    assert space.origin["replicate_sd"] is None


def test_pool_averages_repeated_settings():
    more = pool().assign(score=pool()["score"] + 2)
    space = MaterialsSpace.from_pool(pd.concat([pool(), more], ignore_index=True), objective="score", goal="min")
    assert space.size == 20
    assert space.origin["merged"] == 20
    assert space.origin["replicate_sd"] == pytest.approx(np.sqrt(2) / pool()["score"].std(ddof=0))
    assert space.in_unit(space.property.max()) == pytest.approx(pool()["score"].min() + 1)


def test_pool_columns():
    frame = pool().assign(label="a", fixed=1.0)
    frame.insert(0, "Unnamed: 0", range(20))
    space = MaterialsSpace.from_pool(frame, objective="score")
    assert space.origin["descriptors"] == ["speed", "heat"]
    assert space.origin["constant"] == ["fixed"]
    narrow = MaterialsSpace.from_pool(frame, objective="score", descriptors="heat")
    assert (narrow.size, narrow.width) == (5, 1)


@pytest.mark.parametrize(
    ("frame", "options", "part"),
    [
        (pool(), {"objective": "scores"}, "did you mean 'score'?"),
        (pool(), {"descriptors": ["haet"]}, "did you mean 'heat'?"),
        (pool(), {"descriptors": ["heat", "score"]}, "is the objective"),
        (pool()[["score"]], {}, "no numeric descriptor column"),
        (pool().assign(score=1.0), {}, "is the same for all"),
        (pool().assign(heat=1.0, speed=2.0), {}, "fewer than two distinct settings"),
        (pool().head(1), {}, "fewer than two distinct settings"),
        (pool().replace({"heat": {100.0: np.nan}}), {}, "'heat': 4 rows without a finite number"),
    ],
)
def test_unusable_pools(frame, options, part):
    found = faults(MaterialsSpace.from_pool, frame, **({"objective": "score"} | options))
    assert part in "\n".join(found)


# --------------------------------------------------------------------------- real data


def test_gap_pairs():
    path = data_file("pbe_expt_gap_pairs/gap_pairs.csv")
    space = MaterialsSpace.from_table(path, formula="formula", measured="gap_expt_eV", simulated="pbe_median")
    assert space.size == 3347
    assert 15 <= space.families <= 60
    assert space.family_sizes.min() >= 20
    assert any(name.startswith("oxides: Cu") for name in space.family_names)
    assert 0.8 < np.corrcoef(space.property, space.simulated)[0, 1] < 0.95
    wide = space.property > 1
    assert (space.simulated - space.property)[wide].mean() < -0.3, "PBE gaps are too small"


def test_supercon_cuprates():
    path = data_file("supercon/supercon_stanev2018.csv")
    assert "cannot be read as a formula" in faults(MaterialsSpace.from_table, path, formula="name", measured="Tc")[0]
    space = MaterialsSpace.from_table(path, formula="name", measured="Tc", on_error="drop")
    assert 10 <= space.origin["dropped"]["count"] <= 50
    assert 15 <= space.families <= 60
    cuprate = [name.startswith("oxides: Cu") for name in space.family_names]
    assert sum(cuprate) >= 3
    in_cuprates = np.array(cuprate)[space.family]
    # The rest are oxyfluorides, and entries whose oxygen content is not a number.
    assert in_cuprates[space.top].mean() > 0.9
    assert space.property[in_cuprates].mean() > space.property[~in_cuprates].mean() + 1


def test_alloys_with_years():
    path = data_file("mpea/MPEA_dataset.csv")
    space = MaterialsSpace.from_table(
        path, formula="FORMULA", measured="PROPERTY: HV", year="REFERENCE: year", on_error="drop"
    )
    assert space.size > 300
    assert space.year.min() >= 2004
    assert space.year.max() <= 2019


@pytest.mark.parametrize(
    ("name", "objective", "goal", "settings", "best"),
    [
        ("pvlab_campaigns/AgNP_dataset.csv", "loss", "min", 164, None),
        ("pvlab_campaigns/AutoAM_dataset.csv", "Score", "max", 100, None),
        ("pvlab_campaigns/P3HT_dataset.csv", "Conductivity (measured) (S/cm)", "max", 178, None),
        ("pvlab_campaigns/Perovskite_dataset.csv", "Instability index", "min", 94, None),
        ("pvlab_campaigns/Crossed_barrel_dataset.csv", "toughness", "max", 600, None),
        ("oer_plates/oer_plate_3496.csv", "overpotential_V", "min", 2121, 21),
        ("oer_plates/oer_plate_3860.csv", "overpotential_V", "min", 2120, 21),
    ],
)
def test_pools(name, objective, goal, settings, best):
    path = data_file(name)
    space = MaterialsSpace.from_pool(path, objective=objective, goal=goal)
    assert space.size == settings
    assert space.top.sum() == (best or round(0.05 * settings))
    values = pd.read_csv(path, encoding="utf-8-sig")
    groups = values.groupby([c for c in values.columns if c != objective])[objective].mean()
    expected = groups.max() if goal == "max" else groups.min()
    assert space.in_unit(float(space.property.max())) == pytest.approx(expected, rel=1e-4)
    assert (space.origin["replicate_sd"] is None) == (len(values) == settings)
