"""``mpbf validate`` and ``mpbf calibrate``: what they print and write, and what they refuse."""

import json

import pandas as pd
import pytest

from mpbf_abm import cli

TINY = (
    "--set=space.materials=600",
    "--set=space.families=8",
    "--set=founding.records=200",
    "--set=curators.count=1",
    "--set=trainers.count=2",
    "--set=planners.count=4",
    "--set=trainers.features=24",
    "--set=trainers.records=150",
    "--set=trainers.panel=8",
    "--replicates=2",
    "--jobs=1",
)


@pytest.fixture
def mpbf(capfd, tmp_path, monkeypatch):
    """Run a command in an empty folder; returns exit code, output and complaints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mpbf_abm.evidence.facts.community.HORIZON", 14)

    def call(*arguments):
        with pytest.raises(SystemExit) as stop:
            cli.main([str(a) for a in arguments])
        return stop.value.code, *capfd.readouterr()

    return call


def gap_table(folder, text):
    (folder / "data" / "pbe_expt_gap_pairs").mkdir(parents=True)
    (folder / "data" / "pbe_expt_gap_pairs" / "gap_pairs.csv").write_text(text, encoding="utf-8")


def files(folder):
    """Bytes of every file of a result."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.*")}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith("runs/")}


# --------------------------------------------------------------------------- validate


def test_a_fact_of_a_tiny_community_is_told(mpbf):
    code, out, err = mpbf("validate", *TINY, "--only=4", "--least=0")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split() == [
        "fact",
        "component",
        "real",
        "range",
        "from",
        "data",
        "simulated",
        "95",
        "%",
        "interval",
        "n",
        "verdict",
        "use",
    ]
    assert [line.split()[0] for line in lines[2:4]] == ["4", "4"]
    assert "records in the largest tenth of families (share)" in out
    assert "of 1 facts are reproduced" in out
    # No data: a dash.
    assert lines[2].split("0.47 to 0.5")[1].split()[0] == "-"


def test_too_few_facts_are_a_mismatch_and_say_why(mpbf):
    # Labels without any error: fact 1 must fail.
    right = ("--set=space.bias_sd=0", "--set=space.bias_offset=0", "--set=space.cross_scale=0")
    code, out, _ = mpbf("validate", *TINY, *right, "--only=1,4", "--least=2")
    assert code == 3
    assert "not reproduced: 1, simulated labels are precise and wrong" in out
    assert "outside" in out
    # The default is four fifths, which one of one is not short of.
    assert mpbf("validate", *TINY, *right, "--only=1")[0] == 3
    assert mpbf("validate", *TINY, *right, "--only=1", "--least=0")[0] == 0


def test_json_is_for_machines(mpbf):
    # One family: attachment and adjacency have no value.
    tiny = [word for word in TINY if "families" not in word]
    options = (*tiny, "--set=space.families=1", "--only=5", "--json", "--least=0")
    code, out, err = mpbf("validate", *options)
    assert (code, err) == (0, "")
    assert "NaN" not in out
    found = json.loads(out)
    assert found["reproduced"] == 0
    assert [f["fact"] for f in found["facts"]] == [5]
    by_id = {c["component"]: c for c in found["components"]}
    assert by_id["attachment_alpha"]["simulated"] is None
    assert by_id["attachment_alpha"]["inside"] is False
    assert by_id["reuse_share"]["simulated"] == 1.0
    assert found["changed"]["space.families"] == 1
    assert mpbf("validate", *options)[1] == out


def test_a_folder_holds_page_table_and_figure_and_the_same_bytes_again(mpbf, tmp_path):
    gap_table(tmp_path, "gap_expt_eV,pbe_median\n2,1.3\n4,2.6\n")
    options = (*TINY, "--only=1,7", "--data=data", "--least=0")
    code, out, err = mpbf("validate", *options, "--out=o")
    assert code == 0
    assert err == "written to o: images/validation.png, provenance.json, validation.csv, validation.md\n"
    page = (tmp_path / "o" / "validation.md").read_text(encoding="utf-8")
    assert "## 1. Simulated labels are precise and wrong" in page
    assert "--only 1,7 --replicates 2 --data DATA`" in page
    assert str(tmp_path) not in page
    assert "| calibration | overconfidence_head |" in page  # reported beside
    table = pd.read_csv(tmp_path / "o" / "validation.csv")
    assert table["component"].tolist() == [
        "gap_pbe_ratio",
        "gap_pbe_mae",
        "gap_false_metal",
        "cov68_id",
        "overconfidence",
    ]
    assert table["real"].tolist()[0] == pytest.approx(0.65)
    assert table["real"].isna().tolist() == [False, False, False, True, True]
    for row in table.itertuples():
        assert f"{row.simulated:.3g}" in page
        assert f"{row.simulated:.3g}" in out
    before = files(tmp_path / "o")
    assert set(before) == {"images/validation.png", "provenance.json", "validation.csv", "validation.md"}
    # Once from the measures that are kept there, once from new ones.
    for folder in ("o", "other"):
        assert mpbf("validate", *options, f"--out={folder}")[0] == 0
        assert files(tmp_path / folder) == before


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--only=16"], ["unknown fact '16'"]),
        (["--only=4,x", "--only=0"], ["unknown fact 'x'", "unknown fact '0'"]),
        (["--replicates=1"], ["--replicates = 1: must be at least 2"]),
        (
            ["--replicates=many", "--seed=x", "--jobs=0", "--least=y"],
            ["--replicates = 'many'", "--seed = 'x'", "--jobs = 0", "--least = 'y'"],
        ),
        (["--seed=-1"], ["seed"]),
        (["--only=4,7", "--least=3"], ["--least = 3: must be 0 to 2"]),
        (["--least=-1"], ["--least = -1: must be 0 to 15"]),
        (["--data=nowhere"], ["--data = 'nowhere': no such folder"]),
        (["--preset=quik"], ["quick"]),
        (["none.toml"], ["none.toml"]),
        (
            ["--set=space.familes=3", "--set=space.materials=none", "--only=99", "--data=nowhere"],
            ["space.families", "space.materials", "'99'", "nowhere"],
        ),
    ],
)
def test_faults_are_told_one_line_each_and_nothing_is_written(mpbf, tmp_path, options, parts):
    code, out, err = mpbf("validate", *options, "--out=o")
    assert (code, out) == (2, "")
    lines = err.splitlines()
    assert len(lines) == len(parts), err
    for part in parts:
        assert sum(part in line for line in lines) == 1, err
    assert "Traceback" not in err
    assert not (tmp_path / "o").exists()


def test_a_configuration_may_hold_parameters_but_nothing_that_happens_to_the_community(mpbf, tmp_path):
    """A table that would be left out of the comparison is never left out silently."""
    file = tmp_path / "community.toml"
    file.write_text("[run]\nseed = 9\n[founding]\nconcentration = 0.0\n", encoding="utf-8")
    code, out, err = mpbf("validate", "community.toml", *TINY, "--only=4", "--least=0", "--json")
    assert (code, err.count("\n")) == (0, 1)
    assert "[run] of community.toml is left aside" in err
    assert json.loads(out)["changed"]["founding.concentration"] == 0
    for events in ('[[policy]]\nname = "redundancy"\n', '[[shock]]\nname = "repository_outage"\n'):
        file.write_text(events, encoding="utf-8")
        code, out, err = mpbf("validate", "community.toml", *TINY)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert "community.toml: the community is compared as it is" in err


def test_damaged_data_are_one_clear_line(mpbf, tmp_path):
    gap_table(tmp_path, "gap\n1\n")
    code, out, err = mpbf("validate", *TINY, "--only=1", "--data=data")
    assert (code, out) == (2, "")
    assert err.splitlines() == ["mpbf: data/pbe_expt_gap_pairs: needs 'gap_expt_eV', which is not there"]


def test_a_page_that_is_a_folder_is_refused_before_anything_is_computed(mpbf, tmp_path):
    (tmp_path / "o" / "validation.csv").mkdir(parents=True)
    code, out, err = mpbf("validate", *TINY, "--only=4", "--out=o")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "o: is not empty and was not written by mpbf" in err
    assert (tmp_path / "o" / "validation.csv").is_dir()


# --------------------------------------------------------------------------- calibrate


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (
            ["--trajectories=1", "--points=59", "--second=9"],
            [
                "--trajectories = 1: must be at least 2",
                "--points = 59: must be at least 60",
                "--second = 9: must be at least 10",
            ],
        ),
        (["--points=many"], ["--points = 'many': must be a whole number"]),
        (["--seed=-1", "--jobs=0", "--data=nowhere"], ["--seed", "--jobs = 0", "--data = 'nowhere': no such folder"]),
    ],
)
def test_a_calibration_that_cannot_be_is_refused_before_any_run(mpbf, tmp_path, options, parts):
    code, out, err = mpbf("calibrate", *options, "--out=o")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == len(parts), err
    assert all(part in line for part, line in zip(parts, err.splitlines(), strict=True)) or all(p in err for p in parts)
    assert "Traceback" not in err
    assert not (tmp_path / "o").exists()
