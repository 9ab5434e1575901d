"""``mpbf pool``: what it prints, writes and refuses."""

import json

import numpy as np
import pandas as pd
import pytest

from mpbf_abm import cli

FILES = {"summary.csv", "curves.csv", "campaigns.csv", "provenance.json", "campaigns.png", "campaigns.pdf"}
QUICK = ["--objective=goal", "--seeds=3", "--jobs=1"]


@pytest.fixture
def mpbf(capfd, tmp_path, monkeypatch):
    """Run the command in a folder with a pool; returns exit code, output and complaints."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(60, 2))
    table = pd.DataFrame({"heat": 300 + 100 * x[:, 0], "speed": x[:, 1], "goal": np.cos(4 * x[:, 0]) - x[:, 1]})
    table.to_csv("pool.csv", index=False)
    pd.concat([table, table.assign(goal=table["goal"] + 0.2)]).to_csv("twice.csv", index=False)
    table["speed"] = table["speed"].astype(object)
    table.loc[3, "speed"] = "fast"
    table.to_csv("faulty.csv", index=False)

    def call(*arguments):
        with pytest.raises(SystemExit) as stop:
            cli.main(["pool", *(str(a) for a in arguments)])
        return stop.value.code, *capfd.readouterr()

    return call


def test_rules_are_compared_with_random_choice_and_with_each_other(mpbf):
    code, out, err = mpbf("pool.csv", *QUICK, "--acquisition=greedy", "--acquisition=ucb", "--kappa=2")
    assert (code, err) == (0, "")
    for word in (
        "random choice (exact)",
        "greedy",
        "ucb",
        "AF@50",
        "EF",
        "CPU s",
        "60 settings, 2 descriptors, the best 3 sought",
        "learned kernel",
    ):
        assert word in out


def test_a_folder_holds_everything_and_the_same_bytes_again(mpbf, tmp_path):
    code, _, err = mpbf("pool.csv", *QUICK, "--acquisition=greedy", "--budget=0.4", "--out=o")
    assert code == 0
    assert "written to o" in err
    assert {p.name for p in (tmp_path / "o").iterdir()} == FILES | {"runs"}
    provenance = json.loads((tmp_path / "o" / "provenance.json").read_text())
    assert set(provenance["outputs"]) == FILES - {"provenance.json"}
    assert provenance["run"]["budget"] == 24
    assert provenance["run"]["pool"]["source"] == "pool.csv"
    steps = pd.read_csv(tmp_path / "o" / "campaigns.csv")
    assert len(steps) == 3 * 24
    first = steps[steps["seed"] == 1]
    told = pd.read_csv(tmp_path / "pool.csv").iloc[first["material"]]
    assert np.allclose(first["observed"], told["goal"], atol=1e-5)
    assert first["settings"].iloc[0] == f"{told['heat'].iloc[0]:g}, {told['speed'].iloc[0]:g}"
    before = {name: (tmp_path / "o" / name).read_bytes() for name in FILES}
    # Once from the campaigns that are kept there, once from new ones.
    for out in ("o", "other"):
        assert mpbf("pool.csv", *QUICK[:2], "--acquisition=greedy", "--budget=24", "--jobs=2", f"--out={out}")[0] == 0
        assert {name: (tmp_path / out / name).read_bytes() for name in FILES} == before


def test_json_is_for_machines(mpbf):
    code, out, err = mpbf(
        "pool.csv", *QUICK, "--json", "--goal=min", "--top=0.1", "--batch=5", "--founding=4", "--kernel=fixed"
    )
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["run"]["kernel"] == "fixed"
    assert [row["rule"] for row in found["summary"]] == ["random choice (exact)", "greedy"]
    assert found["run"]["founding"] == 4
    assert found["run"]["batch"] == 5
    assert found["run"]["pool"]["options"]["top_share"] == 0.1


def test_quiet_says_nothing_and_descriptors_are_chosen(mpbf, tmp_path):
    assert mpbf("pool.csv", *QUICK, "--quiet", "--descriptors=heat", "--out=o") == (0, "", "")
    assert json.loads((tmp_path / "o" / "provenance.json").read_text())["run"]["pool"]["descriptors"] == ["heat"]


def test_noise_is_the_spread_of_repeated_settings(mpbf):
    code, out, _ = mpbf("twice.csv", *QUICK, "--noise", "--json")
    run = json.loads(out)["run"]
    assert code == 0
    assert run["noise"] == pytest.approx(run["pool"]["replicate_sd"])
    assert json.loads(mpbf("twice.csv", *QUICK, "--json")[1])["run"]["noise"] == 0


def test_what_a_budget_leaves_open_is_said(mpbf):
    _, out, _ = mpbf("pool.csv", *QUICK, "--acquisition=random", "--budget=8")
    assert "0/3" in out
    assert "larger --budget" in out


def test_faulty_rows_are_refused_or_dropped(mpbf):
    code, out, err = mpbf("faulty.csv", *QUICK, "--descriptors=heat,speed")
    assert (code, out) == (2, "")
    assert "'fast'" in err
    assert "--drop" in err
    code, out, err = mpbf("faulty.csv", *QUICK, "--descriptors=heat,speed", "--drop")
    assert code == 0
    assert "59 settings" in out
    assert "line 5" in err


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["nothing.csv", "--objective=goal"], ["nothing.csv: cannot be read"]),
        (["pool.csv"], ["needs --objective"]),
        (["pool.csv", "--objective=goal", "--objective=heat"], ["--objective: 2 are given; a campaign seeks one"]),
        (["pool.csv", "--objective=gaol"], ["did you mean 'goal'"]),
        (
            ["pool.csv", *QUICK, "--acquisition=best", "--budget=99", "--batch=0", "--kappa=-11"],
            ["unknown rule 'best'", "--budget = 99: must be 6 to 60", "--batch = 0", "--kappa = -11"],
        ),
        (["pool.csv", *QUICK, "--seeds=0", "--jobs=0", "--top=2"], ["--seeds = 0", "--jobs = 0", "--top = 2"]),
        (["pool.csv", *QUICK, "--budget=many", "--kappa=nan"], ["--budget = 'many'", "--kappa = 'nan'"]),
        (["pool.csv", *QUICK, "--budget=7.5"], ["--budget = 7.5: must be a whole number"]),
        (["pool.csv", *QUICK, "--goal=up"], ["--goal = 'up'"]),
        (["pool.csv", *QUICK, "--kernel=fixt"], ["--kernel = 'fixt': must be learned or fixed; did you mean 'fixed'?"]),
        (["pool.csv", *QUICK, "--noise"], ["no setting is repeated"]),
    ],
)
def test_faults_are_told_one_line_each_and_nothing_is_written(mpbf, tmp_path, options, parts):
    code, out, err = mpbf(*options, "--out=o")
    assert (code, out) == (2, "")
    for part in parts:
        assert part in err
    assert "Traceback" not in err
    assert not (tmp_path / "o").exists()
