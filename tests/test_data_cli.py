"""``mpbf data check``: what it reports of tables and pools, and what it refuses."""

import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from mpbf_abm import cli

FORMULAS = ["NaCl", "KCl", "MgO", "CaO", "ZnS", "CdS", "GaAs", "InP", "SiO2", "TiO2", "Fe2O3", "AlN"]
COLUMNS = ["--formula=formula", "--measured=gap"]


@pytest.fixture
def mpbf(capsys, tmp_path, monkeypatch):
    """Run the command in an empty folder; returns exit code, output and complaints."""
    monkeypatch.chdir(tmp_path)
    values = np.linspace(1.0, 6.5, 12)
    frame = pd.DataFrame({"formula": FORMULAS, "gap": values, "pbe": 0.5 * values, "year": 1990 + np.arange(12)})
    frame["kind"] = ["salt"] * 2 + ["rest"] * 10
    again = pd.DataFrame({"formula": ["Na2Cl2", "O Mg"], "gap": [6.0, 2.0], "pbe": 0.5, "year": 1980, "kind": "salt"})
    pd.concat([frame, again]).to_csv("good.csv", index=False)
    frame.astype({"gap": object}).replace({"gap": {2.0: "much"}, "formula": {"InP": "InP-x"}}).to_csv(
        "bad.csv", index=False
    )
    frame[["pbe", "year", "gap"]].to_csv("pool.csv", index=False)

    def call(*arguments):
        with pytest.raises(SystemExit) as stop:
            cli.main(["data", "check", *map(str, arguments)])
        return stop.value.code, *capsys.readouterr()

    return call


def test_a_table_is_reported(mpbf):
    code, out, err = mpbf("good.csv", *COLUMNS, "--simulated=pbe", "--year=year", "--family=kind", "--unit=eV")
    assert code == 0
    refused = "mpbf: a run of the preset default on this table would be refused: founding.records = 1000 test"
    assert refused in err
    assert out.startswith("good.csv: 14 rows, 0 left out, 2 merged, 12 materials")
    assert "years 1980 to 2001" in out
    assert "property [eV], max sought: 1.5 to 6.5" in out
    assert "top set: 1; best: AlN (6.5)" in out
    assert "simulated less measured: -" in out
    assert "rows that contradict each other: 1" in out
    assert "NaCl" in out.split("contradict")[1]
    assert "family (of 2)" in out


def test_a_report_for_machines(mpbf):
    options = (*COLUMNS, "--simulated=pbe", "--simulated-unit=meV", "--unit=eV", "--duplicates=first", "--json")
    code, out, _ = mpbf("good.csv", *options)
    assert code == 0
    found = json.loads(out)
    assert (found["rows"], found["merged"], found["materials"], found["unit"]) == (14, 2, 12, "eV")
    assert found["property"]["low"] == pytest.approx(1.0)
    assert found["property"]["high"] == pytest.approx(6.5)
    # Half of the measured value, a thousandth of the unit.
    assert found["simulated"]["slope"] == pytest.approx(0.0005, rel=1e-3)
    assert found["simulated"]["bias"] == pytest.approx(-3.75 * 0.9995, rel=1e-3)
    assert found["simulated"]["correlation"] == pytest.approx(1.0)
    assert found["families"][0]["bias"] == pytest.approx(found["simulated"]["bias"], rel=1e-3)
    assert found["conflicts"][0]["rows"] == [2, 14]
    assert found["top"]["best"] == [{"name": "AlN", "value": pytest.approx(6.5)}]


def test_several_properties_are_reported_one_after_the_other(mpbf):
    several = ("--measured=pbe", "--simulated=", "--simulated=gap", "--unit=eV", "--goal=max", "--goal=min")
    code, out, _ = mpbf("good.csv", *COLUMNS, *several)
    assert code == 0
    head, gap, pbe = re.split("property '(?:gap|pbe)' ", out)
    assert head.count("- rows of one material differ by an sd of") == 2
    assert gap.startswith("[eV], max sought: 1.5 to 6.5")
    assert pbe.startswith("[eV], min sought: 0.5 to 3.25")
    assert "simulated less measured" not in gap
    assert "simulated less measured: +" in pbe
    assert "best: KCl (0.75)" in pbe or "best: NaCl (0.5" in pbe
    code, out, _ = mpbf("good.csv", *COLUMNS, *several, "--json")
    found = json.loads(out)
    assert [(p["name"], p["goal"]) for p in found["properties"]] == [("gap", "max"), ("pbe", "min")]
    assert found["property"] == found["properties"][0]["property"]


def test_faulty_rows_are_told_beside_the_report(mpbf):
    code, out, err = mpbf("bad.csv", *COLUMNS)
    assert code == 2
    assert "12 rows, 2 left out, 0 merged, 10 materials" in out
    value, formula = err.splitlines()
    assert value == (
        "mpbf: bad.csv: column 'gap': 1 row without a finite number (line 4; first: 'much'); --drop leaves them out"
    )
    assert formula.startswith(
        "mpbf: bad.csv: column 'formula': 1 row that cannot be read as a formula (line 9; first: 'InP-x'"
    )
    code, out, err = mpbf("bad.csv", *COLUMNS, "--drop")
    assert code == 0
    assert "2 left out" in out
    *rows, each, horizon, founding = err.splitlines()
    assert len(rows) == 2
    assert "36 experiments per tick" in each
    refused = "mpbf: a run of the preset default on this table would be refused:"
    assert horizon.startswith(f"{refused} 4320 experiments")
    assert founding.startswith(f"{refused} founding.records")


def test_a_pool_is_reported(mpbf):
    code, out, err = mpbf("pool.csv", "--objective=gap", "--goal=min", "--unit=eV")
    assert (code, err) == (0, "")
    assert out.startswith("pool.csv: 12 rows, 0 left out, 0 merged, 12 settings, 2 descriptors")
    assert "property [eV], min sought: 1 to 6.5" in out
    assert re.search(r"^top set: 1; best: .*\b1\b", out, re.MULTILINE)
    assert "family" not in out


@pytest.mark.parametrize(
    ("arguments", "faults"),
    [
        (["good.csv"], ["a table needs --formula, a pool --objective", "a table needs --measured, a pool --objective"]),
        (["good.csv", "--objective=gap", "--year=year"], ["--year belongs to a table"]),
        (["good.csv", "--formula=Formula", "--measured=gpa"], ["did you mean 'formula'?", "did you mean 'gap'?"]),
        (["bad.csv", *COLUMNS, "--year=yaer"], ["no column 'yaer'", "'gap': 1 row", "'formula': 1 row"]),
        (["bad.csv", *COLUMNS, "--year=yaer", "--drop"], ["no column 'yaer'"]),
        (["good.csv", *COLUMNS, "--duplicates=raise"], ["--duplicates mean averages them"]),
        (["good.csv", *COLUMNS, "--duplicates=any"], ["--duplicates = 'any': must be"]),
        (["good.csv", *COLUMNS, "--simulated-unit=eV"], ["--simulated-unit needs --simulated"]),
        (["good.csv", *COLUMNS, "--simulated=pbe", "--simulated-unit=eV"], ["--simulated-unit needs --unit"]),
        (
            ["good.csv", *COLUMNS, "--simulated=pbe", "--simulated-unit=K", "--unit=eV"],
            ["--simulated-unit: 'K' cannot be converted to 'eV'"],
        ),
        (["good.csv", *COLUMNS, "--goal=most"], ["--goal = 'most': must be min or max"]),
        (["good.csv", *COLUMNS, "--measured=gap", "--unit=a", "--unit=b"], ["--measured: 'gap' is named twice"]),
        (["good.csv", *COLUMNS, "--unit=a", "--unit=b"], ["--unit: 2 given, columns: 1"]),
        (["none.csv", *COLUMNS], ["none.csv: cannot be read"]),
    ],
)
def test_faults_are_one_line_each(mpbf, arguments, faults):
    code, out, err = mpbf(*arguments)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == len(faults)
    for line, fault in zip(err.splitlines(), faults, strict=True):
        assert fault in line


def test_pandas_and_pint_are_loaded_when_needed():
    code = (
        "import sys, contextlib\nfrom mpbf_abm import cli\n"
        "with contextlib.suppress(SystemExit): cli.main(['data', '--help'])\n"
        "sys.exit(bool({'pandas', 'pint', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
