"""Tables and pools become spaces; bad input is told in one line per fault, all at once."""

import gzip
import json
import subprocess
import sys
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pandas as pd
import periodictable
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mpbf_abm.data import chemistry
from mpbf_abm.errors import ConfigurationError, DataError
from mpbf_abm.model.campaign import run_campaign
from mpbf_abm.model.materials import MaterialsSpace

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
    assert space.origin["conflicts"] == []
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
        ("table.xls", b"", "allowed: .csv, .tsv, .txt, .json, .jsonl, .ndjson, .parquet"),
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


# --------------------------------------------------------------------------- tables as people save them


def delimited(separator=",", cells=None, head=("formula", "gap"), end="\n"):
    cells = cells or [f"{v:.2f}" for v in table()["gap"]]
    rows = [separator.join(head), *(f"{f}{separator}{c}" for f, c in zip(FORMULAS, cells, strict=True))]
    return end.join(rows) + end


def written(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def commas(cells):
    return [c.replace(".", ",") for c in cells]


TWO_DIGITS = [f"{v:.2f}" for v in np.linspace(1.0, 6.5, 12)]
ROWS = [{"formula": f, "gap": float(v)} for f, v in zip(FORMULAS, TWO_DIGITS, strict=True)]
PLAIN = delimited()


@pytest.mark.parametrize(
    ("name", "content", "notes"),
    [
        ("plain.csv", PLAIN, []),
        ("mark.csv", PLAIN.encode("utf-8-sig"), []),
        ("windows.csv", PLAIN.replace("\n", "\r\n"), []),
        ("old-mac.csv", PLAIN.replace("\n", "\r"), []),
        ("utf16.txt", delimited("\t").encode("utf-16"), ["text is UTF-16", "fields are parted by tabs"]),
        ("tabs.tsv", delimited("\t"), ["fields are parted by tabs"]),
        ("bars.csv", delimited("|"), ["fields are parted by vertical bars"]),
        ("semicolons.csv", delimited(";"), ["fields are parted by semicolons"]),
        (
            "german.csv",
            delimited(";", commas(TWO_DIGITS)),
            ["fields are parted by semicolons", "column 'gap' has decimal commas"],
        ),
        ("sep.csv", "sep=;\n" + delimited(";", TWO_DIGITS), ["fields are parted by semicolons"]),
        ("tab-commas.csv", delimited("\t", commas(TWO_DIGITS)), None),
        (
            "quoted-commas.csv",
            delimited(cells=[f'"{c}"' for c in commas(TWO_DIGITS)]),
            ["column 'gap' has decimal commas"],
        ),
        ("exponents.csv", delimited(cells=[f"{float(c):.2e}" for c in TWO_DIGITS]), []),
        ("trailing.csv", "formula,gap,\n" + "".join(f"{r['formula']},{r['gap']},\n" for r in ROWS), []),
        ("packed.csv.gz", gzip.compress(PLAIN.encode(), mtime=0), []),
        ("rows.json", json.dumps(ROWS), []),
        ("rows.jsonl", "\n".join(map(json.dumps, ROWS)), []),
        ("rows.jsonl.gz", gzip.compress("\n\n".join(map(json.dumps, ROWS)).encode(), mtime=0), []),
        *(
            (f"{form}.json", pd.DataFrame(ROWS).to_json(orient=form), [])
            for form in ("columns", "index", "split", "table")
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isprintable() and len(value) < 30 else "",
)
def test_the_same_table_however_it_was_saved(tmp_path, name, content, notes):
    space = build(written(tmp_path, name, content))
    plain = build(pd.DataFrame(ROWS))
    assert space.names == plain.names
    np.testing.assert_allclose(space.in_unit(space.property), plain.in_unit(plain.property), rtol=1e-6)
    assert notes is None or space.origin["notes"] == notes


@pytest.mark.parametrize(
    ("cells", "first"),
    [
        (['"1,234.50"', *["12.5"] * 5, *["3"] * 6], 1234.5),
        (['"1,234,567"', *["12.5"] * 5, *["3"] * 6], 1234567),
        (['"1.234,5"', *["7"] * 11], 1234.5),
        (['"1.234,5"', "1.234", *["7"] * 10], 1234.5),
        (['"0,123"', *["7"] * 11], 0.123),
        (["1\u202f234.5", *["7"] * 11], 1234.5),
        (["\u22121.5", *["7"] * 11], -1.5),
        (["\u22121,5e-3", *["7"] * 11], -0.0015),
        ([" 1.5 ", *["7"] * 11], 1.5),
    ],
)
def test_numbers_as_people_write_them(tmp_path, cells, first):
    space = build(written(tmp_path, "t.tsv", delimited("\t", cells)))
    assert float(space.in_unit(float(space.property[space.names.index("NaCl")]))) == pytest.approx(
        first, rel=1e-4, abs=1e-5
    )


def test_a_cell_without_a_number_among_decimal_commas_is_named(tmp_path):
    (found,) = faults(build, written(tmp_path, "t.tsv", delimited("\t", ["1,5", "n.a.", *["7"] * 10])))
    assert "'n.a.'" in found


def test_points_that_part_thousands_are_read_with_commas(tmp_path):
    space = build(written(tmp_path, "t.tsv", delimited("\t", ["1.234,5", "1.234", *["7"] * 10])))
    assert float(space.in_unit(float(space.property[space.names.index("KCl")]))) == pytest.approx(1234, rel=1e-4)


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("1.2(3)", "'1.2(3)'"),
        ("1.2\u00b10.3", "'1.2\u00b10.3'"),
        ("<5", "'<5'"),
        ("n/a", "'n/a'"),
        ("", "empty"),
        ("-", "'-'"),
        ("NaN", "'NaN'"),
        ("inf", "'inf'"),
        ("True", "'True'"),
        ("1.2 eV", "'1.2 eV'"),
        ("5%", "'5%'"),
        ("0x10", "'0x10'"),
        ("1_000", "'1_000'"),
        ("1e200", "'1e+200'"),
        ("1.234.567", "'1.234.567'"),
        ('"1,5"', "'1,5'"),
        ('"1,2,3"', "'1,2,3'"),
        ("12 eV, 3", "field"),
    ],
)
def test_cells_that_are_no_number_are_named(tmp_path, cell, shown):
    (found,) = faults(build, written(tmp_path, "t.csv", delimited(cells=[*TWO_DIGITS[:3], cell, *TWO_DIGITS[4:]])))
    assert shown in found
    assert "line 5" in found


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        (
            "t.csv",
            delimited(";", [f"{i + 1},250" for i in range(12)]),
            "'1,250' may be a decimal comma or one that parts thousands",
        ),
        ("t.csv", "a, b;gap\nNaCl, x;1\n", "may be parted by commas or semicolons"),
        ("t.csv", delimited(cells=commas(TWO_DIGITS)), "line 2 has 3 fields, the header 2; decimal commas need quotes"),
        ("t.csv", "# made by hand\n" + PLAIN, "line 1 is a comment ('# made by hand')"),
        ("t.csv", PLAIN + 'LiF,"1\n', "cannot be read as csv"),
        ("t.csv", PLAIN.encode("utf-16-le"), "zero bytes"),
        ("t.csv", bytes(range(256)), "zero bytes"),
        ("t.csv", (PLAIN + "\u00e9,1\n").encode("latin-1"), "(line 14) is not UTF-8"),
        ("t.csv", b"PK\x03\x04" + bytes(20), "spreadsheet or zip archive"),
        ("t.csv", gzip.compress(PLAIN.encode(), mtime=0), "gzip file"),
        ("t.csv", "\n\n \n", "is empty"),
        ("t.csv", ",\n", "no rows"),
        ("t.csv.gz", "no", "cannot be read as csv.gz"),
        ("t.csv.gz", gzip.compress(PLAIN.encode(), mtime=0)[:40], "cannot be read as csv.gz"),
        ("t.parquet.gz", "", "and with .gz all but .parquet"),
        ("table", PLAIN, "unknown kind of file ''"),
        ("t.jsonl", '{"formula": "NaCl", "gap": 1}\n{"formula"\n', "line 2"),
        ("t.json", "5", "neither a list of rows nor an object of columns"),
        ("t.json", "null", "neither a list of rows"),
        ("t.json", "[]", "no rows"),
        ("t.json", "{}", "no rows"),
        ("t.json", '[{"formula": "NaCl", "gap": 1}, 5]', "entry 2 is not an object"),
        ("t.json", '{"formula": ["NaCl"], "gap": [1, 2]}', "same length"),
        ("t.json", "[" * 100_000, "cannot be read as json"),
    ],
)
def test_wrong_files_are_refused_in_one_line(tmp_path, name, content, part):
    (found,) = faults(build, written(tmp_path, name, content))
    assert part in found
    assert name in found


def test_odd_names_and_long_cells_are_shown_in_short(tmp_path):
    path = written(tmp_path, "t.csv", delimited(cells=["x " * 9000, *TWO_DIGITS[1:]], head=("formula", "gap {eV}")))
    (found,) = faults(build, path, measured="gap {eV}")
    assert "'gap {eV}': 1 row without" in found
    assert len(found) < 400


def test_a_folder_is_refused(tmp_path):
    (tmp_path / "t.csv").mkdir()
    (found,) = faults(build, tmp_path / "t.csv")
    assert "Is a directory" in found


def test_decimal_commas_beside_points_are_refused(tmp_path):
    rows = "".join(f"{f};{g};{p}\n" for f, g, p in zip(FORMULAS, commas(TWO_DIGITS), TWO_DIGITS, strict=True))
    (found,) = faults(build, written(tmp_path, "t.csv", "formula;gap;pbe\n" + rows), simulated="pbe")
    assert "column 'gap' has decimal commas, column 'pbe' decimal points" in found


def test_parquet_without_pyarrow(tmp_path):
    table().to_parquet(tmp_path / "t.parquet")
    code = (
        "import sys; sys.modules['pyarrow'] = None; sys.modules['pyarrow.parquet'] = None\n"
        "from mpbf_abm import MaterialsSpace\n"
        "from mpbf_abm.errors import DataError\n"
        "try: MaterialsSpace.from_table('t.parquet', formula='formula', measured='gap')\n"
        "except DataError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "t.parquet: reading .parquet needs pyarrow: pip install 'mpbf_abm[study]'\n"


@pytest.mark.parametrize(
    ("asked", "columns", "part"),
    [
        ("gap", ["formula", "GAP"], "did you mean 'GAP'?"),
        ("band gap", ["formula", "Band_Gap"], "did you mean 'Band_Gap'?"),
        ("gap", ["formula", "Gap (eV)"], "did you mean 'Gap (eV)'?"),
        ("gpa", ["formula", "gap"], "did you mean 'gap'?"),
    ],
)
def test_columns_are_taken_as_named_and_suggested(asked, columns, part):
    (found,) = faults(build, table()[["formula", "gap"]].set_axis(columns, axis=1), measured=asked)
    assert part in found


def test_repeated_columns_harm_only_where_they_are_asked_for(tmp_path):
    wide = written(
        tmp_path, "t.csv", "formula,gap,note,note\n" + "".join(f"{f},{i},a,b\n" for i, f in enumerate(FORMULAS))
    )
    assert build(wide).size == 12
    (found,) = faults(build, wide, family="note")
    assert "two columns are named 'note'" in found


def test_an_index_is_no_column():
    (found,) = faults(build, table().set_index("formula"))
    assert "'formula' (formula) is an index; reset_index() makes it a column" in found


@pytest.mark.parametrize("year", ["2004-05-01", 2004.5, 0, 20040, "MMIV"])
def test_years_are_whole_numbers(year):
    (found,) = faults(build, table(year=[year] * 12), year="year")
    assert "12 rows without a whole number from 1 to 9999" in found


def test_kinds_of_columns():
    values = table()["gap"]
    plain = build(table())
    for column in (values.astype("Float64"), values.astype("category"), values.astype(str), values.astype("float32")):
        np.testing.assert_allclose(build(table(gap=column)).property, plain.property, atol=1e-6)
    missing = values.astype("Float64")
    missing[3] = pd.NA
    assert build(table(gap=missing), on_error="drop").size == 11
    (found,) = faults(build, table(gap=[True, False] * 6))
    assert "12 rows without a finite number" in found
    assert "12 rows" in faults(build, table(gap=values + 1j))[0]


# --------------------------------------------------------------------------- units, duplicates, size


def test_the_simulated_column_may_have_another_unit():
    frame = table(mev=1000 * table()["pbe"])
    plain = build(frame, simulated="pbe")
    turned = build(frame, simulated="mev", unit="eV", simulated_unit="meV")
    np.testing.assert_allclose(turned.simulated, plain.simulated, atol=1e-5)
    assert turned.unit == "eV"
    celsius = build(table(), simulated="pbe", unit="K", simulated_unit="degC")
    np.testing.assert_allclose(celsius.in_unit(celsius.simulated), plain.in_unit(plain.simulated) + 273.15, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"simulated": "pbe", "unit": "eV", "simulated_unit": "K"}, "'K' cannot be converted to 'eV'"),
        ({"simulated": "pbe", "unit": "eV", "simulated_unit": "furlongs per eve"}, "is no unit"),
        ({"simulated": "pbe", "unit": "HV", "simulated_unit": "GPa"}, "'HV' is no unit"),
        ({"simulated": "pbe", "unit": "eV", "simulated_unit": "2**2**2**2**9 eV"}, "is no unit"),
        ({"simulated": "pbe", "simulated_unit": "meV"}, "simulated_unit needs unit"),
        ({"unit": "eV", "simulated_unit": "meV"}, "simulated_unit needs simulated"),
    ],
)
def test_units_that_do_not_fit(options, part):
    (found,) = faults(build, table(), **options)
    assert part in found


def test_units_without_pint(monkeypatch):
    from mpbf_abm.data import tables

    tables._registry.cache_clear()
    monkeypatch.setitem(sys.modules, "pint", None)
    (found,) = faults(build, table(), simulated="pbe", unit="eV", simulated_unit="meV")
    assert "pip install 'mpbf_abm[units]'" in found


REPEATED = pd.DataFrame(
    {"formula": ["Fe2O3", "O3Fe2", "Fe4O6", "NaCl", "Cl Na", "MgO", "CaO"], "gap": [2.0, 2.2, 9.0, 8, 8, 5, 6]}
)


@pytest.mark.parametrize(("rule", "expected"), [("mean", 4.4), ("median", 2.2), ("first", 2.0)])
def test_rules_of_merging(rule, expected):
    space = build(REPEATED, duplicates=rule)
    assert space.size == 4
    assert space.origin["merged"] == 3
    assert float(space.in_unit(float(space.property[space.names.index("Fe2O3")]))) == pytest.approx(expected, rel=1e-5)
    assert space.origin["replicate_sd"] * abs(space.scale[1]) == pytest.approx(np.sqrt(31.76 / 3), rel=1e-6)
    (conflict,) = space.origin["conflicts"]
    assert conflict["material"] == "Fe2O3"
    assert conflict["rows"] == [0, 1, 2]
    assert (conflict["low"], conflict["high"]) == (2.0, 9.0)
    assert conflict["sd_apart"] == pytest.approx(7.0 / abs(space.scale[1]))


def test_duplicates_can_be_refused():
    (found,) = faults(build, REPEATED, duplicates="raise")
    assert "2 materials or settings stand in more than one row (first: 'Fe2O3', index 0, 1, 2)" in found
    assert build(table(), duplicates="raise").size == 12
    assert "must be 'mean', 'median', 'first' or 'raise'" in faults(build, table(), duplicates="best")[0]
    grid = pool()
    (found,) = faults(MaterialsSpace.from_pool, pd.concat([grid, grid]), objective="score", duplicates="raise")
    assert "20 materials or settings" in found


@pytest.mark.parametrize("rule", ["mean", "median", "first"])
def test_rules_of_merging_in_pools(rule):
    noisy = pd.concat([pool(), pool().assign(score=pool()["score"] + 9), pool()], ignore_index=True)
    space = MaterialsSpace.from_pool(noisy, objective="score", duplicates=rule)
    shift = {"mean": 3.0, "median": 0.0, "first": 0.0}[rule]
    assert float(space.in_unit(float(space.property.max()))) == pytest.approx(3 + shift, abs=1e-4)


# --------------------------------------------------------------------------- several properties


def test_each_measured_column_is_a_property():
    frame = table(modulus=100 - np.arange(12.0) ** 2, shear=np.arange(12) - 3.0, flat=1.0)
    two = {"measured": ("gap", "modulus"), "simulated": ["", "shear"], "goal": ["max", "min"], "unit": ["eV", "GPa"]}
    space, gap, modulus = build(frame, **two), build(frame, unit="eV"), build(frame, measured="modulus", goal="min")
    assert space.properties == 2
    assert [(q.name, q.unit, q.sd > 0) for q in space.quantities] == [("gap", "eV", True), ("modulus", "GPa", False)]
    # Each is standardised, sought and simulated by itself, and one more changes nothing of the first.
    for number, one in enumerate((gap, modulus)):
        for name in ("property", "top"):
            np.testing.assert_array_equal(space.by_property(getattr(space, name))[number], getattr(one, name))
        values = space.by_property(space.property)[number]
        np.testing.assert_allclose(space.in_unit(values, number), one.in_unit(one.property), rtol=1e-6)
    exact, shear = space.by_property(space.simulated)
    np.testing.assert_array_equal(exact, gap.simulated)
    given = frame.set_index("formula")["shear"][list(space.names)]
    np.testing.assert_allclose(space.in_unit(shear.astype(float), 1), given, atol=1e-4)
    proxies, values = space.by_property(space.proxy), space.by_property(space.property)
    np.testing.assert_array_equal(proxies[0], gap.proxy)
    assert np.abs(np.corrcoef(proxies, values)[[0, 1], [2, 3]]).max() < 1e-6
    assert (space.scale, space.unit) == (gap.scale, gap.unit)
    # A list of one is the one.
    alone = build(frame, measured=["gap"], goal=["max"], unit=["eV"])
    assert (alone.content, alone.origin) == (gap.content, gap.origin)


@pytest.mark.parametrize(("rule", "expected"), [("mean", 76.0), ("first", 77.0)])
def test_a_material_needs_a_number_in_each_column_in_whatever_row(rule, expected):
    values = 100 - np.arange(12.0)
    values[[2, 5]] = np.nan  # MgO and CdS
    more = pd.DataFrame({"formula": ["O Mg", "MgO"], "modulus": [77.0, 75.0]})
    frame = pd.concat([table(modulus=values), more], ignore_index=True)
    options = {"measured": ["gap", "modulus"], "simulated": "pbe", "duplicates": rule}
    (found,) = faults(build, frame, **options)
    assert "'modulus': 1 row of materials without a value in any row (index 5); on_error='drop' leaves" in found
    space = build(frame, on_error="drop", **options)
    assert (space.size, space.origin["dropped"]["index"], space.origin["merged"]) == (11, [5], 2)
    at = space.size + space.names.index("MgO")
    assert space.in_unit(float(space.property[at]), 1) == pytest.approx(expected, rel=1e-6)
    assert [noted["replicate_sd"] is None for noted in space.origin["properties"]] == [True, False]


def test_faults_of_several_columns():
    frame = table(flat=1.0, none=np.nan, level=2.0)
    gap = {"measured": ["gap", "pbe"]}
    for options, told in (
        ({"measured": []}, ["measured: space.properties = 0: must be 1 to 64 properties (whole number)"]),
        ({"measured": ["gap", "pbe", "gap"]}, ["measured: 'gap' is named twice"]),
        ({"measured": ["gap", "none"]}, ["table: column 'none': 12 rows without a finite number"]),
        ({"measured": ["gap", "formula"]}, ["table: column 'formula': 12 rows without a finite number"]),
        ({"measured": ["gap", "flat", "level"]}, [f"table: column '{n}' is the same for" for n in ("flat", "level")]),
        (gap | {"goal": ["max"] * 3, "unit": ["eV"] * 3}, [f"{n}: 3 given, columns: 2" for n in ("goal", "unit")]),
        (gap | {"goal": ["max", "most"]}, ["goal = 'most': must be 'max' or 'min'"]),
        (gap | {"simulated": ["pbe"] * 3}, ["simulated: 3 columns for 2 measured"]),
        (gap | {"simulated_unit": ["meV", ""]}, ["simulated_unit needs simulated"]),
        (gap | {"simulated": "pbe", "simulated_unit": "meV", "unit": ["", "eV"]}, ["simulated_unit needs unit"]),
    ):
        found = faults(build, frame, **options)
        assert len(found) == len(told)
        assert all(line.startswith(start) for line, start in zip(found, told, strict=True)), found
    many = pd.DataFrame({f"y{i}": np.arange(12.0) for i in range(65)}).assign(formula=FORMULAS)
    (found,) = faults(build, many, measured=[f"y{i}" for i in range(65)])
    assert found.startswith("measured: space.properties = 65")


def test_a_pool_of_several_objectives():
    frame = pool().assign(cost=np.arange(20.0) ** 2)
    space = MaterialsSpace.from_pool(frame, objective=["score", "cost"], goal=["max", "min"], unit="u")
    assert space.origin["descriptors"] == ["speed", "heat"]
    assert [(q.name, q.unit, q.sd > 0) for q in space.quantities] == [("score", "u", True), ("cost", "u", False)]
    assert list(np.flatnonzero(space.top)) == [3, 20]
    frame.loc[3, "cost"] = np.nan
    (found,) = faults(MaterialsSpace.from_pool, frame, objective=["score", "cost"])
    assert found.startswith("table: column 'cost': 1 row without a finite number (index 3; first: empty)")
    with pytest.raises(ConfigurationError, match="a campaign seeks one objective, not 2"):
        run_campaign(space)


CELLS = st.text(st.sampled_from([*"NaCl2O(.),;|\t\n\r\"'1-+e ", "\u00b7", "\ufeff", "\0", "\u2212"]), max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["csv", "tsv", "csv.gz", "json", "jsonl", "parquet"]),
    content=st.one_of(
        st.binary(max_size=60),
        st.lists(st.lists(CELLS, min_size=1, max_size=3), max_size=5).map(
            lambda rows: "\n".join(["formula,gap", *(",".join(row) for row in rows)]).encode()
        ),
        st.recursive(st.one_of(st.none(), st.booleans(), st.floats(), CELLS), lambda x: st.lists(x, max_size=3)).map(
            lambda value: json.dumps({"formula": value, "gap": value}).encode()
        ),
    ),
)
def test_any_bytes_are_a_space_or_refused(tmp_path, kind, content):
    packed = gzip.compress(content) if kind == "csv.gz" else content
    path = written(tmp_path, f"t.{kind}", packed)
    try:
        told = build(path).origin["dropped"]["reasons"]
    except DataError as error:
        told = error.faults
    assert all("\n" not in fault for fault in told)


def test_two_hundred_thousand_rows(tmp_path):
    rng = np.random.default_rng(1)
    metals = np.array(chemistry.elements().symbols)[
        [2, 10, 11, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 36, 37, 38, 39, 56]
    ]
    first, second = (metals[rng.integers(0, len(metals), 200_000)] for _ in range(2))
    counts = rng.integers(1, 60, (200_000, 3))
    formulas = [f"{a}{i}{b}{j}O{k}" for a, b, (i, j, k) in zip(first, second, counts.tolist(), strict=True)]
    path = tmp_path / "large.csv"
    pd.DataFrame({"formula": formulas, "gap": rng.normal(size=200_000).round(4)}).to_csv(path, index=False)
    with path.open("a", encoding="utf-8") as file:
        file.write("MgO,much\nXy2,1\n")
    space = build(path, min_family=20, on_error="drop")
    assert space.origin["rows"] == 200_002
    assert space.origin["dropped"]["line"] == [200_002, 200_003]
    assert space.size + space.origin["merged"] == 200_000
    assert space.size > 150_000


def test_two_thousand_columns(tmp_path):
    wide = pd.DataFrame(np.arange(60_000.0).reshape(30, 2000) ** 0.5).add_prefix("c")
    wide.to_csv(tmp_path / "wide.csv", index=False)
    space = MaterialsSpace.from_pool(tmp_path / "wide.csv", objective="c7", descriptors=["c1", "c1999"])
    assert space.size == 30


@pytest.mark.parametrize(
    "text",
    ["CuSO4.5H2O", "Na2CO3.10H2O", "Fe02O3", "Fe1.2.3O", "D2O", "Fe3+", "SO4-2", "YBa2Cu3O7-x", "(Fe,Mn)O", "2(NaCl)"],
)
def test_unclear_formulas_are_refused(text):
    (found,) = faults(build, table(formula=[text, *FORMULAS[1:]]))
    assert f"'{text}'" in found


@pytest.mark.parametrize(
    "text", ["Fe2O3", "Hg0.66Pb0.34Ba2Ca1.98Cu2.9O8.4", "(Mg0.5Fe0.5)2SiO4", "Al0.25 Co1 Fe", "O2O3.50"]
)
def test_formulas_read_in_pieces_are_those_of_the_library(text):
    atoms = periodictable.formula(text).atoms
    total = sum(atoms.values())
    assert chemistry.parse(text) == tuple(sorted((atom.number, count / total) for atom, count in atoms.items()))


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("CuSO4\u00b75H2O", "CuSO9H10"),
        ("CaSO4 \u00b7 0.5H2O", "Ca2S2O9H2"),
        ("Fe\u2082O\u2083", "Fe2O3"),
        ("Ca((OH)2)3", "CaO6H6"),
        ("(Mg0.5Fe0.5)2SiO4", "MgFeSiO4"),
        ("Fe0.95O", "Fe19O20"),
        ("0.5FeO", "FeO"),
    ],
)
def test_formulas_written_differently_are_one(text, same):
    keys = chemistry.composition_keys(chemistry.composition_matrix([text, same]))
    assert keys[0] == keys[1]


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
    assert space.origin["constant"] == ["label", "fixed"]
    assert space.origin["left_out"] == {"Unnamed: 0": "has no name"}
    narrow = MaterialsSpace.from_pool(frame, objective="score", descriptors="heat", ignore="speed")
    assert (narrow.size, narrow.width) == (5, 1)


SOLVENTS = ("DMF", "MeOH", "THF")


def mixed(repeats=1):
    """A pool of a text and a number, every setting several times, with a running number."""
    rows = [(s, t) for s in SOLVENTS for t in (20, 40, 60, 80) for _ in range(repeats)]
    frame = pd.DataFrame(rows, columns=["solvent", "temp"])
    frame["score"] = frame["temp"] / 20 + frame["solvent"].map({"DMF": 40, "MeOH": 0, "THF": 20})
    return frame


def apart(space):
    """Distances between settings, by their two names."""
    x = space.descriptors.astype(float)
    pairs = zip(combinations(space.names, 2), combinations(x, 2), strict=True)
    return {frozenset(names): np.linalg.norm(a - b) for names, (a, b) in pairs}


def test_a_text_is_a_factor_with_a_column_for_each_level():
    space = MaterialsSpace.from_pool(mixed(), objective="score")
    assert (space.size, space.width) == (12, 4)
    assert space.origin["factors"] == [
        {"name": "solvent", "kind": "one-hot", "levels": [*SOLVENTS]},
        {"name": "temp", "kind": "number"},
    ]
    assert space.names[0] == "DMF, 20"
    d = apart(space)
    ends = d[frozenset({"DMF, 20", "DMF, 80"})]
    for a, b in combinations(SOLVENTS, 2):
        assert d[frozenset({f"{a}, 20", f"{b}, 20"})] == pytest.approx(ends, rel=1e-5)


def test_levels_in_an_order_are_equally_far_apart():
    space = MaterialsSpace.from_pool(mixed(), objective="score", ordinal={"solvent": ["MeOH", "THF", "DMF"]})
    assert space.width == 2
    d = apart(space)
    steps = [d[frozenset({f"{a}, 20", f"{b}, 20"})] for a, b in (("MeOH", "THF"), ("THF", "DMF"), ("MeOH", "DMF"))]
    assert steps == pytest.approx([steps[0], steps[0], 2 * steps[0]], rel=1e-5)
    assert steps[2] == pytest.approx(d[frozenset({"DMF, 20", "DMF, 80"})], rel=1e-5)


@pytest.mark.parametrize("texts", [["solvent"], ["solvent", "base"]])
def test_a_pool_may_have_texts_alone(texts):
    frame = mixed().assign(base=["KOH", "NaOH", "KOH", "none"] * 3)
    space = MaterialsSpace.from_pool(frame[[*texts, "score"]], objective="score")
    assert space.size == (3 if len(texts) == 1 else 9)
    one = pd.DataFrame({"catalyst": [f"C{i}" for i in range(6)], "score": range(6)})
    assert MaterialsSpace.from_pool(one, objective="score").size == 6


@pytest.mark.parametrize("name", ["run", "Exp. no", "anything"])
def test_a_column_that_counts_the_rows_is_left_out_and_named(name):
    frame = mixed()
    frame.insert(0, name, range(1, 13))
    frame["note"] = [f"flask {i}" for i in range(12)]
    space = MaterialsSpace.from_pool(frame, objective="score")
    assert space.width == 4
    assert space.origin["left_out"] == {name: "counts the rows", "note": "has another text in nearly every row"}
    gaps = frame.assign(**{name: np.cumsum(np.arange(12) % 3 + 1)})
    left = MaterialsSpace.from_pool(gaps, objective="score").origin["left_out"]
    assert (name in left) == (name == "run")


@pytest.mark.parametrize(
    ("frame", "options", "name"),
    [
        (mixed(), {"descriptors": ["temp"]}, "solvent"),
        (mixed(), {"descriptors": ["solvent"]}, "temp"),
        (mixed(2).assign(run=range(24)), {}, "run"),
        (mixed(2).assign(label=[f"s{i}" for i in range(24)]), {}, "label"),
    ],
)
def test_what_tells_rows_apart_is_not_left_out_unasked(frame, options, name):
    (fault,) = faults(MaterialsSpace.from_pool, frame, objective="score", **options)
    assert f"column '{name}' is left out" in fault
    assert f"ignore='{name}'" in fault
    MaterialsSpace.from_pool(frame, objective="score", ignore=[name], **options)


def test_two_columns_of_one_name_that_are_left_out_are_looked_at_both():
    twice = mixed(2).assign(other=0.5, tool=[1, 2] * 12).rename(columns={"tool": "other"})
    (fault,) = faults(MaterialsSpace.from_pool, twice, objective="score", descriptors=["solvent", "temp"])
    assert "column 'other' is left out" in fault


def test_another_measured_column_does_not_forbid_a_merge():
    frame = mixed(2).assign(other=np.random.default_rng(0).normal(size=24))
    space = MaterialsSpace.from_pool(frame, objective="score", descriptors=["solvent", "temp"])
    assert (space.size, space.origin["left_out"]) == (12, {"other": "not among the descriptors"})


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"ordinal": {"solvent": ["DMF", "THF"]}}, "4 rows with a level that is not in its order (DMF, THF)"),
        ({"ordinal": {"solvent": ["DMF"]}}, "at least two levels"),
        ({"ordinal": {"solvents": ["a", "b"]}}, "did you mean 'solvent'?"),
        ({"ordinal": {"score": ["a", "b"]}}, "is an objective"),
        ({"ignore": ["tmep"]}, "did you mean 'temp'?"),
        ({"ignore": ["temp"], "descriptors": ["temp"]}, "also among the settings"),
        ({"ordinal": {"solvent": [*SOLVENTS]}, "descriptors": ["temp"], "ignore": []}, "not among the descriptors"),
    ],
)
def test_factors_that_cannot_be_are_refused(options, part):
    assert part in "\n".join(faults(MaterialsSpace.from_pool, mixed(), objective="score", **options))


def test_a_setting_without_a_level_is_named():
    frame = mixed()
    frame.loc[3, "solvent"] = None
    (fault,) = faults(MaterialsSpace.from_pool, frame, objective="score")
    assert "column 'solvent': 1 row without a descriptor (index 3)" in fault
    assert MaterialsSpace.from_pool(frame, objective="score", on_error="drop").size == 11


KINDS_OF_FACTORS = {
    "numbers": st.lists(st.floats(-1e3, 1e3).map(lambda v: round(v, 3)), min_size=2, max_size=5, unique=True),
    "texts": st.lists(st.text("abcÄé -", min_size=1, max_size=4).map(str.strip), min_size=2, max_size=5, unique=True),
    "truth": st.just([True, False]),
    "numbers as texts": st.lists(st.integers(0, 50).map(lambda v: f"{v}.5"), min_size=2, max_size=4, unique=True),
}


@given(
    kinds=st.lists(st.sampled_from(list(KINDS_OF_FACTORS)), min_size=1, max_size=3),
    repeats=st.integers(1, 2),
    data=st.data(),
)
def test_settings_are_the_distinct_rows_of_factors_of_any_type(kinds, repeats, data):
    levels = [data.draw(KINDS_OF_FACTORS[kind].filter(lambda x: "" not in x)) for kind in kinds]
    rows = list(product(*levels)) * repeats
    frame = pd.DataFrame(rows, columns=[f"f{i}" for i in range(len(kinds))])
    frame["y"] = np.linspace(0, 1, len(frame))
    named = list(frame.columns[:-1])
    space = MaterialsSpace.from_pool(frame, objective="y", descriptors=named)
    assert space.size == len(rows) // repeats == len(set(space.names))
    wide = [1 if kind.startswith("numbers") else len(x) for kind, x in zip(kinds, levels, strict=True)]
    assert space.width == sum(wide)
    shuffled = MaterialsSpace.from_pool(frame.sample(frac=1, random_state=1), objective="y", descriptors=named)
    assert set(shuffled.names) == set(space.names)


def test_missing_is_what_is_empty(tmp_path):
    # Sodium nitride, indium fluoride; families of that name.
    names = ["NaN", "InF", *FORMULAS[:10]]
    groups = ["NA", "None", "null", *["nan"] * 9]
    frame = pd.DataFrame({"formula": names, "gap": np.linspace(1, 2, 12), "class": groups})
    path = tmp_path / "t.csv"
    frame.to_csv(path, index=False)
    space = MaterialsSpace.from_table(path, formula="formula", measured="gap", family="class")
    assert set(space.names) == set(names)
    assert set(space.family_names) == {"NA", "None", "null", "nan"}


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("# made by hand\nformula,gap\nNaCl,1\nKCl,2\n", "line 1 is a comment ('# made by hand')"),
        ("# one, two\n# three, four\nformula,gap\nNaCl,1\nKCl,2\n", "line 1 is a comment"),
        ("form\u200bula,gap\nNaCl,1\nKCl,2\n", "did you mean 'form<U+200B>ula'?"),
        ("formula,gap\nNa\u200bCl,1\nKCl,2\n", "'Na<U+200B>Cl': only element symbols"),
        ("formula,gap\nNaCl,1\nKCl,2\u200b\n", "'2<U+200B>'"),
    ],
)
def test_signs_that_cannot_be_seen_and_comments_are_named(tmp_path, text, part):
    (found,) = faults(build, written(tmp_path, "t.csv", text))
    assert part in found


def test_what_stands_before_a_header_and_is_none_of_it(tmp_path):
    body = table().to_csv(index=False)
    twice = build(written(tmp_path, "t.csv", "\ufeff\ufeff" + body))
    assert (twice.size, twice.origin["notes"]) == (12, ["a second byte-order mark is left out"])
    assert build(written(tmp_path, "h.csv", "#" + body), formula="#formula").size == 12


@pytest.mark.parametrize(
    ("frame", "options", "part"),
    [
        (pool(), {"objective": "scores"}, "did you mean 'score'?"),
        (pool(), {"descriptors": ["haet"]}, "did you mean 'heat'?"),
        (pool(), {"descriptors": ["heat", "score"]}, "is an objective"),
        (pool()[["score"]], {}, "no column of settings beside 'score'"),
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
